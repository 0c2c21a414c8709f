//! An outbox that was read: what its log and its store have together, and how a group gets into either.

use super::log::{Entry, Log};
use super::medium::Medium;
use super::record::{self, Unreadable};
use super::rows::{MOST_IDS, Row, Rows};
use super::tables::{self, Facts, LEFT, Life, News, TASKS};
use crate::confirmed::outbox::KeptTask;
use redb::{Database, Error, ReadableTable, Table, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

pub(super) struct Ready {
    pub(super) db: Database,
    rows: Rows,
    log: Log,
    /// Tasks that the log has and the store has not: at most as many octets as the log.
    recent: Recent,
    /// Keys of rows that are not in the store as they are here: of the log, [`MOST_TOUCHED`] and one group's more at most.
    touched: BTreeSet<u64>,
}

/// Records, by their tasks' ids.
pub(super) type Recent = BTreeMap<u64, Box<[u8]>>;

impl Ready {
    /// Reads an outbox. Of what it finds above `highest`, if that is known, nothing is kept: it is of a store that failed.
    ///
    /// What of it is in the log is only there until it is written, which has to be next.
    pub(super) fn read(
        medium: &Medium,
        db: Database,
        highest: Option<u64>,
        each: impl FnMut(KeptTask),
    ) -> Result<(Self, Facts), Error> {
        let (rows, mut facts) = tables::read(&db, each)?;
        let log = Log::found(medium, facts.secret, facts.round);
        let mut ready = Ready {
            db,
            rows,
            log,
            recent: Recent::new(),
            touched: BTreeSet::new(),
        };
        for Entry { settled, records } in ready.log.read()? {
            let last = records.last().map_or(0, |&(id, _)| id);
            facts.highest = facts.highest.max(last);
            ready.recent.extend(records);
            settled.iter().for_each(|&id| ready.settle(id));
        }
        let highest = highest.unwrap_or(facts.highest);
        ready.recent.retain(|&id, _| id <= highest);
        let strays: Vec<u64> = ready.rows.above(highest).chain(facts.over.iter().copied()).collect();
        for key in strays {
            ready.rows.remove(key);
            ready.touched.insert(key);
        }
        Ok((ready, facts))
    }

    /// Whether a task is here, and not settled.
    pub(super) fn has(&self, id: u64) -> bool {
        self.recent.contains_key(&id) || self.rows.has(id)
    }

    /// What the log has, oldest first.
    pub(super) fn recent(&self) -> impl Iterator<Item = Result<KeptTask, Unreadable>> {
        self.recent.values().map(|octets| record::task(octets))
    }

    /// Whether the disk has what is here, and nothing else: no group that failed.
    pub(super) fn is_written(&self) -> bool {
        self.log.has_end()
    }

    /// Whether a group goes to the log, so many octets of records and so many ids.
    pub(super) fn appends(&self, octets: usize, settled: usize) -> bool {
        self.touched.len() < MOST_TOUCHED && self.log.takes(octets, settled)
    }

    /// Writes a group to the log. After an error it is as it was before.
    pub(super) fn append(&mut self, accepted: &[KeptTask], settled: &[u64]) -> io::Result<()> {
        let records: Vec<_> = accepted.iter().map(|task| (task.id, record::of(task))).collect();
        self.log.append(settled, records.iter().map(|(_, record)| &**record))?;
        self.recent.extend(records);
        settled.iter().for_each(|&id| self.settle(id));
        Ok(())
    }

    /// Writes what the log has, and a group behind it, to the store, in one transaction. After an error it is of no use any
    /// more.
    pub(super) fn write(
        &mut self,
        accepted: &[KeptTask],
        settled: &[u64],
        highest: u64,
        life: Life,
    ) -> Result<(), Error> {
        // In rows of their own: if this fails and is found to be there, they are not kept, and what was gathered is.
        let mut fresh: Recent = accepted.iter().map(|task| (task.id, record::of(task))).collect();
        for id in settled {
            if fresh.remove(id).is_none() {
                self.settle(*id);
            }
        }
        let gathered = std::mem::take(&mut self.recent);
        let round = self.log.next_round();
        let transaction = self.db.begin_write()?;
        {
            let mut tasks = transaction.open_table(TASKS)?;
            let written = self.write_rows(&mut tasks, gathered)? + self.write_rows(&mut tasks, fresh)?;
            self.write_touched(&transaction, &mut tasks, written)?;
        }
        tables::tell(&transaction, News { highest, round, life })?;
        transaction.commit()?;
        self.log.begin(round);
        Ok(())
    }

    /// Returns how many octets the rows have.
    fn write_rows(&mut self, tasks: &mut Table<'_, u64, &'static [u8]>, mut recent: Recent) -> Result<u64, Error> {
        let mut written = 0;
        while let Some((ids, octets)) = take_row(&mut recent) {
            let Some(&key) = ids.first() else { break };
            tasks.insert(key, octets.as_slice())?;
            self.rows.insert(key, Row::new(key, ids.into_iter(), octets.len()));
            written += octets.len() as u64;
        }
        Ok(written)
    }

    fn write_touched(
        &mut self,
        transaction: &WriteTransaction,
        tasks: &mut Table<'_, u64, &'static [u8]>,
        written: u64,
    ) -> Result<(), Error> {
        if self.touched.is_empty() {
            return Ok(());
        }
        let mut left = transaction.open_table(LEFT)?;
        for key in std::mem::take(&mut self.touched) {
            match self.rows.get(key) {
                Some(row) if !row.is_over() => drop(left.insert(key, row.left().as_slice())?),
                _ => {
                    tasks.remove(key)?;
                    left.remove(key)?;
                    self.rows.remove(key);
                }
            }
        }
        for key in self.rows.sweep(SLACK, written) {
            let Some(kept) = self.rows.get(key) else { continue };
            let (mut ids, mut row) = (Vec::new(), vec![record::VERSION]);
            if let Some(octets) = tasks.get(key)? {
                record::read(octets.value(), |record| {
                    if let Ok(record) = record.as_ref()
                        && kept.has(key, record.id)
                    {
                        ids.push(record.id);
                        row.extend_from_slice(record.octets);
                    }
                });
            }
            tasks.insert(key, row.as_slice())?;
            left.remove(key)?;
            self.rows.insert(key, Row::new(key, ids.into_iter(), row.len()));
        }
        Ok(())
    }

    fn settle(&mut self, id: u64) {
        if self.recent.remove(&id).is_none()
            && let Some(key) = self.rows.settle(id)
        {
            self.touched.insert(key);
        }
    }
}

/// Takes as many of the oldest as are to be one row: their ids, and the row.
pub(super) fn take_row(recent: &mut Recent) -> Option<(Vec<u64>, Vec<u8>)> {
    let key = *recent.first_key_value()?.0;
    let (mut ids, mut row) = (Vec::new(), vec![record::VERSION]);
    while let Some(next) = recent.first_entry() {
        let has_room = row.len() + next.get().len() <= MOST_ROW_OCTETS && next.key() - key < MOST_IDS;
        if !has_room && !ids.is_empty() {
            break;
        }
        let (id, record) = next.remove_entry();
        ids.push(id);
        row.extend_from_slice(&record);
    }
    Some((ids, row))
}

/// Of a row with more than one task. With what the store writes beside it, a little less than 16 of its pages, as it takes
/// powers of 2 of them.
pub(super) const MOST_ROW_OCTETS: usize = 65_000;
/// Rows that are written once the log is, or nobody would know how long that takes.
const MOST_TOUCHED: usize = 1024;
/// What may be settled and still in the file, beyond as much as is not.
pub(super) const SLACK: u64 = 16 << 20;

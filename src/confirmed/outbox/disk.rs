//! An outbox in one file, by an embedded store: redb.
//!
//! | file | what is there |
//! |---|---|
//! | `record` | tasks as octets |
//! | `rows` | which rows the store has, and what of them is left |
//! | `tables` | the store: its tables, how it is opened and read |
//! | `medium` | the file below it |
//!
//! A row of the store is a run of tasks of one group, up to 64 KiB: a B-tree of pages writes each about once so, and forgets
//! a whole row at once. What is settled of it meanwhile is a bit.
//!
//! Measured before it was built, with the same writes to each store: tasks of 1 KiB, 10,000 of them kept, the oldest settled as
//! new ones come (2 cores, ext4; thousands of tasks a second). Beside rows of a group: a row a task, and another store, which
//! has a row a task in a log-structured tree.
//!
//! | group of | power loss: rows of a group | redb, a row a task | fjall | process crash: rows of a group | redb, a row a task | fjall |
//! |--:|--:|--:|--:|--:|--:|--:|
//! | 1 | 2 | 1.5 | 6 | 13 | 11 | 107 |
//! | 16 | 23 | 19 | 32 | 153 | 67 | 144 |
//! | 64 | 76 | 31 | 56 | 380 | 100 | 130 |
//! | 256 | 149 | 43 | 80 | 860 | 143 | 161 |
//! | 1,024 | 211 | 58 | 95 | 1,049 | 87 | 136 |
//!
//! The file stays at about twice what is kept (fjall's: 6 to 20 times, with pauses of 200 ms while it is put in order). What it
//! costs as it was built, beside the least that the disk takes: `cargo bench --features outbox --bench outbox`.

mod medium;
mod record;
mod rows;
mod tables;

use super::{Finding, Kept, KeptTask, Outbox, OutboxError};
use medium::Medium;
use redb::{Database, ReadableTable as _};
use rows::{MOST_IDS, Row, Rows};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tables::{FACTS, LEFT, TASKS};

/// What stored tasks survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Survives {
    /// The end of the process, however it comes: a panic, a kill, no memory. The kernel has what is stored. When the machine
    /// ends without notice not only the last tasks are in danger but the file is, as the kernel writes its parts in an order of
    /// its own: it may then be [`OutboxError::Damaged`], all of it.
    ProcessCrash,
    /// The end of the machine as well: what is stored was synced, once for each group.
    PowerLoss,
}

/// An outbox in a file, which one process has open at a time. There with the feature `outbox`.
///
/// The file grows to about twice what was kept in it at most, some MiB more, and stays as large. To open it reads all of it, and
/// after an error it is read again before the next store. Dropping it closes it, which writes and syncs.
#[derive(Debug)]
pub struct DiskOutbox {
    path: PathBuf,
    medium: Medium,
    state: State,
    /// The largest id that was loaded, or stored with success.
    highest: Option<u64>,
    /// Settled by calls that failed: they go with the next. Of tasks that the store has, so no more than those.
    owed: BTreeSet<u64>,
    /// A row that is being written; at most as large as one row was.
    row: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// A store failed, and the database does nothing more until it is opened anew.
    Failed,
    /// Open, and not read.
    Open(Database),
    Ready(Ready),
}

#[derive(Debug)]
struct Ready {
    db: Database,
    rows: Rows,
    /// Keys of rows to be removed with the next group: of stores that had failed and were found to be there, or of which
    /// nothing is left. Found when it was opened, so at most as many as there were rows.
    strays: Vec<u64>,
}

impl DiskOutbox {
    /// Opens an outbox, and makes its file if there is none: under another name first, so that a file of this name is whole.
    ///
    /// A file that another process has open, that is no outbox or of a later version is an error, and stays as it is.
    pub fn open(path: impl AsRef<Path>, survives: Survives) -> Result<Self, OutboxError> {
        let path = path.as_ref();
        let medium = medium::open(path, survives)?;
        DiskOutbox::on(path, medium)
    }

    fn on(path: &Path, medium: Medium) -> Result<Self, OutboxError> {
        let db = tables::open(&medium).map_err(|error| tables::explain(path, error))?;
        Ok(DiskOutbox {
            path: path.to_path_buf(),
            medium,
            state: State::Open(db),
            highest: None,
            owed: BTreeSet::new(),
            row: Vec::new(),
        })
    }

    fn try_load(&mut self, fresh: [u8; 16]) -> Result<Kept, redb::Error> {
        let mut tasks = Vec::new();
        let (ready, facts) = self.read(|task| tasks.push(task))?;
        let source = tables::begin(&ready.db, facts.source.unwrap_or(fresh))?;
        self.state = State::Ready(ready);
        let mut findings = facts.findings;
        if facts.is_open {
            findings.insert(0, Finding::NotClosed);
            findings.truncate(tables::MOST_FINDINGS);
        }
        Ok(Kept {
            source,
            highest: facts.highest,
            tasks,
            findings,
        })
    }

    /// Reads the store, opening it if need be. It is taken out of the state, and nobody's if that fails.
    fn read(&mut self, each: impl FnMut(KeptTask)) -> Result<(Ready, tables::Facts), redb::Error> {
        let db = match std::mem::replace(&mut self.state, State::Failed) {
            State::Failed => tables::open(&self.medium)?,
            State::Open(db) | State::Ready(Ready { db, .. }) => db,
        };
        let (rows, facts) = tables::read(&db, each)?;
        // What a store has left that failed was never accepted.
        let highest = *self.highest.get_or_insert(facts.highest);
        let mut strays = facts.over.clone();
        strays.extend(rows.above(highest));
        let mut ready = Ready { db, rows, strays };
        for &key in &ready.strays {
            ready.rows.remove(key);
        }
        Ok((ready, facts))
    }

    fn try_store(&mut self, accepted: &[KeptTask], settled: &[u64]) -> Result<(), OutboxError> {
        if !matches!(self.state, State::Ready(_)) {
            let (ready, _) = self.read(drop).map_err(|error| tables::explain(&self.path, error))?;
            self.state = State::Ready(ready);
        }
        let highest = self.highest.unwrap_or(0);
        let runs = runs(accepted, highest)?;
        let State::Ready(mut ready) = std::mem::replace(&mut self.state, State::Failed) else {
            unreachable!("it was just made so");
        };
        let settled = self.owed.iter().chain(settled).copied();
        ready
            .write(&runs, settled, highest, &mut self.row)
            .map_err(|error| tables::explain(&self.path, error))?;
        self.state = State::Ready(ready);
        self.highest = Some(accepted.last().map_or(highest, |last| last.id));
        self.owed.clear();
        self.row.shrink_to(MOST_ROW_OCTETS);
        Ok(())
    }
}

impl Outbox for DiskOutbox {
    fn load(&mut self, fresh: [u8; 16]) -> Result<Kept, OutboxError> {
        self.try_load(fresh).map_err(|error| tables::explain(&self.path, error))
    }

    fn store(&mut self, accepted: &[KeptTask], settled: &[u64]) -> Result<(), OutboxError> {
        let stored = self.try_store(accepted, settled);
        if stored.is_err() {
            self.owed.extend(settled);
        }
        stored
    }
}

impl Drop for DiskOutbox {
    fn drop(&mut self) {
        // Of a store that failed all may be there: its tasks are their senders' again.
        let has_failed = matches!(self.state, State::Failed) && self.highest.is_some();
        if has_failed || !self.owed.is_empty() {
            // Without it, what was settled is delivered once more, and what was refused is delivered.
            let _ = self.try_store(&[], &[]);
        }
        if let State::Ready(ready) = &self.state {
            // Without it, the next load says that it was not closed.
            let _ = tables::end(&ready.db);
        }
    }
}

impl Ready {
    /// Writes a group, in one transaction. After an error it is of no use any more.
    fn write(
        &mut self,
        runs: &[Run<'_>],
        settled: impl Iterator<Item = u64>,
        highest: u64,
        row: &mut Vec<u8>,
    ) -> Result<(), redb::Error> {
        for run in runs {
            let ids = run.tasks.iter().map(|task| task.id);
            self.rows.insert(run.key, Row::new(run.key, ids, run.octets));
        }
        let newest = self.rows.newest();
        let touched: BTreeSet<u64> = settled.filter_map(|id| self.rows.settle(id)).collect();
        if runs.is_empty() && touched.is_empty() && self.strays.is_empty() {
            return Ok(());
        }
        let mut is_newest_cut = false;
        let transaction = self.db.begin_write()?;
        {
            let mut tasks = transaction.open_table(TASKS)?;
            for key in self.strays.drain(..) {
                tasks.remove(key)?;
                transaction.open_table(LEFT)?.remove(key)?;
            }
            for run in runs {
                record::begin(row);
                run.tasks.iter().for_each(|task| record::put(row, task));
                tasks.insert(run.key, row.as_slice())?;
            }
            if !touched.is_empty() {
                let mut left = transaction.open_table(LEFT)?;
                for key in touched {
                    match self.rows.get(key) {
                        Some(row) if !row.is_over() => drop(left.insert(key, row.left().as_slice())?),
                        _ => {
                            tasks.remove(key)?;
                            left.remove(key)?;
                            self.rows.remove(key);
                            is_newest_cut |= newest == Some(key);
                        }
                    }
                }
                for key in self.rows.sweep(SLACK) {
                    let Some(kept) = self.rows.get(key) else { continue };
                    let mut ids = Vec::new();
                    record::begin(row);
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
                    is_newest_cut |= newest == Some(key);
                }
            }
            if is_newest_cut {
                // Else the newest row tells it.
                let last = runs.last().and_then(|run| run.tasks.last());
                let highest = last.map_or(highest, |task| task.id);
                let mut facts = transaction.open_table(FACTS)?;
                facts.insert(tables::HIGHEST, highest.to_be_bytes().as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Tasks that are to be one row.
struct Run<'a> {
    /// The first id.
    key: u64,
    tasks: &'a [KeptTask],
    octets: usize,
}

/// Cuts a group into rows, or says what of it cannot be stored.
fn runs(mut tasks: &[KeptTask], mut highest: u64) -> Result<Vec<Run<'_>>, OutboxError> {
    let mut runs = Vec::new();
    while let Some(first) = tasks.first() {
        let mut octets = 1;
        let mut count = 0;
        for task in tasks {
            let id = task.id;
            if id <= highest {
                return Err(OutboxError::OutOfOrder { id, highest });
            }
            let more = record::len(task)?;
            let has_room = octets + more <= MOST_ROW_OCTETS && id - first.id < MOST_IDS;
            if count > 0 && !has_room {
                break;
            }
            highest = id;
            octets += more;
            count += 1;
        }
        let (run, rest) = tasks.split_at_checked(count).unwrap_or((tasks, &[]));
        runs.push(Run {
            key: first.id,
            tasks: run,
            octets,
        });
        tasks = rest;
    }
    Ok(runs)
}

/// Of a row with more than one task. With what the store writes beside it, a little less than 16 of its pages, as it takes
/// powers of 2 of them.
const MOST_ROW_OCTETS: usize = 65_000;
/// What may be settled and still in the file, beyond as much as is not.
const SLACK: u64 = 16 << 20;

#[cfg(test)]
mod tests;

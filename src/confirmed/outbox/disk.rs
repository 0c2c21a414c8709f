//! An outbox in one file, by an embedded store: redb.
//!
//! | file | what is there |
//! |---|---|
//! | `record` | tasks as octets |
//! | `log` | where small groups are written first |
//! | `rows` | which rows the store has, and what of them is left |
//! | `tables` | the store: its tables, how it is opened and read |
//! | `ready` | log and store together |
//! | `medium` | the file below both |
//!
//! A row of the store is a run of tasks, up to 64 KiB: a B-tree of pages writes each about once so, and forgets
//! a whole row at once. What is settled of it meanwhile is a bit.
//!
//! Measured before there was a log, with the same writes to each store: tasks of 1 KiB, 10,000 of them kept, the oldest settled as
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
//! The file stays at about twice what is kept (fjall's: 6 to 20 times, with pauses of 200 ms while it is put in order). The log
//! makes a group that it takes as quick as one write and one sync of as many octets: in the same run a task alone took 1.0 of
//! their time, and 2.0 without it. What an outbox costs beside that least: `cargo bench --features outbox --bench outbox`.

mod log;
mod medium;
mod ready;
mod record;
mod rows;
mod tables;

use super::{Finding, Kept, KeptTask, Outbox, OutboxError};
use medium::Medium;
use ready::Ready;
use redb::Database;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use tables::Life;

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
/// after an error it may be read again before the next store. Dropping it closes it, which writes and syncs.
pub struct DiskOutbox {
    path: PathBuf,
    medium: Medium,
    state: State,
    /// The largest id that was loaded, or stored with success.
    highest: Option<u64>,
    /// Settled by calls that failed: those that are here go with the next. As many as the source settles: of tasks that it has.
    owed: BTreeSet<u64>,
}

enum State {
    /// A store failed, and the database does nothing more until it is opened anew.
    Failed,
    /// Open, and not read.
    Open(Database),
    Ready(Ready),
}

/// Shows nothing of tasks, nor of what tells that they are its own.
impl fmt::Debug for DiskOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskOutbox")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
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
        })
    }

    fn try_load(&mut self, fresh: [u8; 16]) -> Result<Kept, redb::Error> {
        let mut tasks = Vec::new();
        let (mut ready, facts) = self.read(|task| tasks.push(task))?;
        tasks.retain(|task| ready.has(task.id));
        for task in ready.recent() {
            tasks.push(task.map_err(|why| redb::Error::Corrupted(why.to_string()))?);
        }
        let source = facts.source.unwrap_or(fresh);
        ready.write(&[], &[], facts.highest, Life::Begins(source))?;
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

    /// Reads it, opening the store if need be. That is taken out of the state, and nobody's if it fails.
    fn read(&mut self, each: impl FnMut(KeptTask)) -> Result<(Ready, tables::Facts), redb::Error> {
        let db = match std::mem::replace(&mut self.state, State::Failed) {
            State::Failed => tables::open(&self.medium)?,
            State::Open(db) | State::Ready(Ready { db, .. }) => db,
        };
        let (ready, facts) = Ready::read(&self.medium, db, self.highest, each)?;
        self.highest.get_or_insert(facts.highest);
        Ok((ready, facts))
    }

    fn try_store(&mut self, accepted: &[KeptTask], settled: &[u64]) -> Result<(), OutboxError> {
        if !matches!(self.state, State::Ready(_)) {
            let (ready, _) = self.read(drop).map_err(|error| tables::explain(&self.path, error))?;
            self.state = State::Ready(ready);
        }
        let octets = check(accepted, self.highest.unwrap_or(0))?;
        let State::Ready(ready) = &mut self.state else {
            unreachable!("it was just made so");
        };
        // What is owed was there before: a number may come again if its task was refused.
        let owed = self.owed.iter().copied().filter(|&id| ready.has(id));
        let is_here = |id: &u64| ready.has(*id) || accepted.binary_search_by_key(id, |task| task.id).is_ok();
        let settled: Vec<u64> = owed.chain(settled.iter().copied().filter(is_here)).collect();
        if accepted.is_empty() && settled.is_empty() && ready.is_written() {
            return Ok(());
        }
        if ready.appends(octets, settled.len()) {
            ready
                .append(accepted, &settled)
                .map_err(|error| tables::explain_io(&self.path, error))?;
        } else {
            self.write(accepted, &settled, Life::GoesOn)
                .map_err(|error| tables::explain(&self.path, error))?;
        }
        self.highest = accepted.last().map(|last| last.id).or(self.highest);
        self.owed.clear();
        Ok(())
    }

    /// Writes to the store. After an error it is open no more.
    fn write(&mut self, accepted: &[KeptTask], settled: &[u64], life: Life) -> Result<(), redb::Error> {
        let State::Ready(mut ready) = std::mem::replace(&mut self.state, State::Failed) else {
            return Ok(());
        };
        let highest = accepted.last().map(|last| last.id).or(self.highest);
        ready.write(accepted, settled, highest.unwrap_or(0), life)?;
        self.state = State::Ready(ready);
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
        if matches!(self.state, State::Failed)
            && self.highest.is_some()
            && let Ok((ready, _)) = self.read(drop)
        {
            self.state = State::Ready(ready);
        }
        // Without it, what was settled by calls that failed is delivered once more, what was refused is delivered, and the next
        // load says that it was not closed.
        let settled: Vec<u64> = std::mem::take(&mut self.owed).into_iter().collect();
        let _ = self.write(&[], &settled, Life::Ends);
    }
}

/// How many octets a group's records are, or what of it cannot be stored.
fn check(accepted: &[KeptTask], mut highest: u64) -> Result<usize, OutboxError> {
    let mut octets = 0_usize;
    for task in accepted {
        if task.id <= highest {
            return Err(OutboxError::OutOfOrder { id: task.id, highest });
        }
        highest = task.id;
        octets = octets.saturating_add(record::len(task)?);
    }
    Ok(octets)
}

#[cfg(all(test, not(loom)))]
mod tests;

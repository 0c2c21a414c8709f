//! The store's tables: how they are made, opened and read, and what their errors mean.

use super::medium::Medium;
use super::record::{self, Unreadable};
use super::rows::{MOST_IDS, Row, Rows};
use crate::confirmed::outbox::{Finding, KeptTask, OutboxError};
use redb::{Database, Error, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Runs of tasks, by the first id of each.
pub(super) const TASKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("tasks");
/// What is left of runs that are settled in part, by the same key.
pub(super) const LEFT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("left");
/// What is known of the outbox as a whole.
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");

/// The source's id.
const SOURCE: &str = "source";
/// The largest id that was given.
const HIGHEST: &str = "highest";
/// What its log's entries are known by.
const SECRET: &str = "secret";
/// The log's round: what of the log is older is here.
const ROUND: &str = "round";
/// There while somebody has it open.
const OPEN: &str = "open";

/// What reading has found besides rows.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) source: Option<[u8; 16]>,
    pub(super) highest: u64,
    pub(super) secret: [u8; 16],
    pub(super) round: u64,
    pub(super) is_open: bool,
    /// Keys of rows of which nothing is left.
    pub(super) over: Vec<u64>,
    /// At most [`MOST_FINDINGS`].
    pub(super) findings: Vec<Finding>,
}

/// What a transaction says of the outbox as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    pub(super) highest: u64,
    pub(super) round: u64,
    pub(super) life: Life,
}

/// Who has it open.
#[derive(Debug, Clone, Copy)]
pub(super) enum Life {
    /// Somebody from now on, and this is whose it is.
    Begins([u8; 16]),
    GoesOn,
    /// Nobody from now on.
    Ends,
}

/// Makes the tables, and room for the log, in a medium that is empty.
pub(super) fn create(medium: &Medium, secret: [u8; 16]) -> Result<(), Error> {
    medium.make_log()?;
    let db = builder().create_with_backend(medium.clone())?;
    let transaction = db.begin_write()?;
    transaction.open_table(TASKS)?;
    transaction.open_table(LEFT)?;
    transaction.open_table(FACTS)?.insert(SECRET, secret.as_slice())?;
    transaction.commit()?;
    Ok(())
}

/// Opens them, and cuts off what was not stored as a whole.
pub(super) fn open(medium: &Medium) -> Result<Database, Error> {
    if redb::StorageBackend::len(medium)? == 0 {
        return Err(Error::Corrupted(String::from("there is nothing in it")));
    }
    Ok(builder().create_with_backend(medium.clone())?)
}

/// Reads all rows.
pub(super) fn read(db: &Database, mut each: impl FnMut(KeptTask)) -> Result<(Rows, Facts), Error> {
    let transaction = db.begin_read()?;
    let tasks = transaction.open_table(TASKS)?;
    let left = transaction.open_table(LEFT)?;
    let mut facts = Facts::default();
    {
        let table = transaction.open_table(FACTS)?;
        let octets = |name| -> Result<Option<[u8; 16]>, Error> {
            let octets = table.get(name)?;
            Ok(octets.and_then(|octets| octets.value().try_into().ok()))
        };
        facts.source = octets(SOURCE)?;
        facts.secret = octets(SECRET)?.ok_or_else(|| Error::Corrupted(String::from("it has no secret")))?;
        let number = |name| -> Result<u64, Error> {
            let octets = table.get(name)?;
            let octets = octets.and_then(|octets| octets.value().try_into().ok());
            Ok(octets.map_or(0, u64::from_be_bytes))
        };
        facts.highest = number(HIGHEST)?;
        facts.round = number(ROUND)?;
        facts.is_open = table.get(OPEN)?.is_some();
    }
    let mut rows = Rows::default();
    let mut last = 0;
    for entry in tasks.iter()? {
        let (key, octets) = entry?;
        let (key, octets) = (key.value(), octets.value());
        let left = left.get(key)?;
        let row = read_row(
            key,
            octets,
            left.as_ref().map(|left| left.value()),
            &mut last,
            |read| match read {
                Ok(task) => each(task),
                Err(why) if facts.findings.len() < MOST_FINDINGS => {
                    facts.findings.push(Finding::Unreadable { first: key, why });
                }
                Err(_) => {}
            },
        );
        if row.is_spoilt() {
            // Whatever ids it had, they are not given again.
            facts.highest = facts.highest.max(key.saturating_add(MOST_IDS - 1));
        }
        if row.is_over() {
            facts.over.push(key);
        }
        rows.insert(key, row);
    }
    facts.highest = facts.highest.max(last);
    Ok((rows, facts))
}

/// Reads one row. `last` is the largest id so far, and becomes that of the row: the rows behind it have larger ones, whatever
/// of this one cannot be read.
fn read_row(
    key: u64,
    octets: &[u8],
    left: Option<&[u8]>,
    last: &mut u64,
    mut each: impl FnMut(Result<KeptTask, Unreadable>),
) -> Row {
    let mut is_spoilt = false;
    let mut ids = Vec::new();
    let mut found = Vec::new();
    record::read(octets, |record| {
        let task = record.and_then(|record| {
            let is_in_place = record.id > *last && record.id >= key && record.id - key < MOST_IDS;
            if !is_in_place {
                return Err("its id is out of its place");
            }
            *last = record.id;
            ids.push(record.id);
            found.push(record);
            Ok(())
        });
        if let Err(why) = task {
            is_spoilt = true;
            each(Err(why));
        }
    });
    let mut row = Row::new(key, ids.into_iter(), octets.len());
    if let Some(left) = left {
        row.keep(left);
    }
    for record in found.into_iter().filter(|record| row.has(key, record.id)) {
        let task = record.task();
        is_spoilt |= task.is_err();
        each(task);
    }
    if is_spoilt {
        row.spoil();
    }
    row
}

/// Writes what is new of the outbox as a whole.
pub(super) fn tell(transaction: &WriteTransaction, news: News) -> Result<(), Error> {
    let mut facts = transaction.open_table(FACTS)?;
    facts.insert(HIGHEST, news.highest.to_be_bytes().as_slice())?;
    facts.insert(ROUND, news.round.to_be_bytes().as_slice())?;
    match news.life {
        Life::Begins(source) => {
            facts.insert(SOURCE, source.as_slice())?;
            facts.insert(OPEN, [].as_slice())?;
        }
        Life::GoesOn => {}
        Life::Ends => drop(facts.remove(OPEN)?),
    }
    Ok(())
}

/// What an error of the store is to who has the outbox.
pub(super) fn explain(path: &Path, error: Error) -> OutboxError {
    let path = path.to_path_buf();
    match error {
        Error::Io(source) => explain_io(path.as_path(), source),
        Error::DatabaseAlreadyOpen => OutboxError::InUse { path },
        Error::PreviousIo | Error::DatabaseClosed => OutboxError::Io {
            path,
            source: io::Error::other(error.to_string()),
        },
        error => OutboxError::Damaged {
            path,
            why: error.to_string(),
        },
    }
}

pub(super) fn explain_io(path: &Path, source: io::Error) -> OutboxError {
    let path = path.to_path_buf();
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            OutboxError::Full { path, source }
        }
        // What was read is not what the store writes.
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => OutboxError::Damaged {
            path,
            why: source.to_string(),
        },
        _ => OutboxError::Io { path, source },
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    // Each open compares the checksums of all that is there: octets that changed are an error then, and not used.
    builder.set_check_integrity_on_open(true);
    builder
}

/// Findings that are told.
pub(super) const MOST_FINDINGS: usize = 64;
/// Octets of pages that are kept in memory. What is read again is little; a group is written through it.
const CACHE: usize = 16 << 20;

//! Where a source keeps its tasks, so that they outlive it.
//!
//! What is kept is named by what it survives. Without an outbox: nothing. With a [`DiskOutbox`](disk::DiskOutbox), which is
//! there with the feature `outbox`, the end of the process, or that of the machine as well. [`Outbox`] is the whole of what a
//! source asks, so another store can stand in.

#[cfg(feature = "outbox")]
mod disk;

#[cfg(feature = "outbox")]
pub use disk::{DiskOutbox, Survives};

use crate::message::Message;
use bytes::Bytes;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// Keeps the tasks of one source.
///
/// Both calls wait for the disk, and are made by one thread at a time: by one of the source's, where many senders share a store
/// by going in one group, or by a sender that is alone.
pub trait Outbox: Send {
    /// Returns what is kept and not settled, oldest first. Called once, before anything is stored. `fresh` becomes the id of
    /// the source if the outbox has none yet.
    fn load(&mut self, fresh: [u8; 16]) -> Result<Kept, OutboxError>;

    /// Stores a group: tasks that are accepted, in the order of their ids, and the ids of tasks that are settled. When it
    /// returns they survive what the outbox promises; so a group of few costs as much time as one of many, and what is only
    /// settled should wait for the next that is accepted, or for a pause.
    ///
    /// Each id has to be larger than all that were stored before. An id that is settled and not known is no error.
    ///
    /// After an error nothing of the group's tasks is kept, but for what a crash finds before the next call that succeeds; what
    /// was settled is remembered and goes with the next group. A later call may succeed: each tries anew.
    fn store(&mut self, accepted: &[KeptTask], settled: &[u64]) -> Result<(), OutboxError>;
}

/// A task as an outbox keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTask {
    /// Its number: not 0, and larger than those of all tasks before it.
    pub id: u64,
    /// What is to be done.
    pub message: Message,
    /// What it is known by, whoever does it: at most 255 bytes.
    pub key: Bytes,
    /// What workers are told of it: at most 65,535 bytes.
    pub headers: Bytes,
    /// Its ordering key, if it has one: at most 255 bytes.
    pub order: Option<Bytes>,
    /// When it may be delivered first, if that is not at once. Kept in nanoseconds between 1970 and 2554; what is before or
    /// after that becomes the first or the last of them.
    pub starts_at: Option<SystemTime>,
    /// When nobody wants it done any more, if that time comes. Kept like `starts_at`.
    pub too_late_at: Option<SystemTime>,
}

/// What an outbox has kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The id of the source: the same as long as there is the outbox.
    pub source: [u8; 16],
    /// The largest id that was ever stored, settled or not; 0, if there was none. What comes has to be larger.
    pub highest: u64,
    /// Tasks that are not settled, in the order of their ids.
    pub tasks: Vec<KeptTask>,
    /// What was found besides: at most 64, what is more is not told.
    pub findings: Vec<Finding>,
}

impl Kept {
    /// What an outbox returns that is new: nothing, and this id.
    pub fn nothing(source: [u8; 16]) -> Self {
        Kept {
            source,
            highest: 0,
            tasks: Vec::new(),
            findings: Vec::new(),
        }
    }
}

/// What an outbox has found while it loaded. None keeps it from going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// Who had the outbox before ended without closing it. What of a store that had not returned was written is cut off.
    #[error("the outbox was not closed: what was not stored as a whole is cut off")]
    NotClosed,
    /// A task, or several, cannot be read and are left where they are.
    #[error("a task from {first} on cannot be read: {why}")]
    Unreadable {
        /// The least id that it may have.
        first: u64,
        /// Why.
        why: &'static str,
    },
}

/// Why an outbox does not open, load or store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// There is no room on the disk, or in what its user may have of it. What was stored before is intact; stores succeed
    /// again when there is room.
    #[error("the outbox {} is full: {source}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or this one, has it open.
    #[error("the outbox {} is open elsewhere", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else. It was not changed.
    #[error("{} is no outbox", path.display())]
    NotAnOutbox {
        /// The file.
        path: PathBuf,
    },
    /// The file was made by a later version of the library. It was not changed.
    #[error("the outbox {} is of version {version}, which is later than {known}", path.display())]
    LaterVersion {
        /// The file.
        path: PathBuf,
        /// The version of its form.
        version: u32,
        /// The latest version that is known here.
        known: u32,
    },
    /// The file is an outbox, and not as a store has left it: it was changed by others, or it survives less than happened.
    #[error("the outbox {} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system refused something else.
    #[error("the outbox {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something of a task is larger than what is kept. Nothing of its group is stored.
    #[error("{observed} {what} are over the limit of {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// How large.
        observed: usize,
        /// The limit.
        limit: usize,
    },
    /// A task's id is not larger than the one before. Nothing of its group is stored.
    #[error("task {id} comes after {highest}")]
    OutOfOrder {
        /// The id.
        id: u64,
        /// The largest before it.
        highest: u64,
    },
}

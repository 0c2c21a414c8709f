//! What a ledger wants done, and what it has counted.

use super::task::{Failed, Task};
use super::workers::WorkerId;
use crate::confirmed::wire::{FromSource, Session, TaskId};
use crate::message::Message;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Say this to a worker, or to who should be one. Who is gone hears nothing.
    Send {
        to: WorkerId,
        head: FromSource,
        /// The frames behind a TASK.
        message: Option<Message>,
    },
    /// Tell the application that this task is settled: nothing more happens to it.
    Settled { id: TaskId, outcome: Outcome },
    /// Tell the application that tasks are accepted again.
    Room,
    /// End this connection.
    CloseWorker(WorkerId),
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A worker has done it.
    Done { by: Session },
    /// Nobody is asked any more; what to do with it is the application's.
    Dead(Box<Dead>),
}

/// A task that nobody is asked to do any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) why: Death,
    pub(crate) task: Task,
    /// Deliveries but those that were returned, and how many of them ended without a word.
    pub(crate) attempts: u16,
    pub(crate) losses: u16,
    /// What workers said who could not do it, oldest first: the last few.
    pub(crate) failures: Vec<Failed>,
}

/// Why nobody is asked to do a task any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Death {
    /// It was tried as often as it may be; this is what was said last.
    #[error("it failed as often as it may: {reason}")]
    Failed {
        /// What the last worker said.
        reason: String,
    },
    /// A worker said that it is never to be.
    #[error("a worker rejected it: {reason}")]
    Rejected {
        /// What it said.
        reason: String,
    },
    /// Its time was over.
    #[error("its time to live was over")]
    TooLate,
    /// As many of its deliveries ended without a word as may: workers seem to die of it.
    #[error("too many workers were lost with it")]
    Lost,
}

/// Where tasks are, and how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// They are not kept yet.
    pub(crate) reserved: usize,
    /// They wait for a worker.
    pub(crate) queued: usize,
    /// They are at workers.
    pub(crate) open: usize,
    /// They wait for their time.
    pub(crate) delayed: usize,
    /// Octets of all of them.
    pub(crate) bytes: usize,
    pub(crate) workers: usize,
}

/// What has happened since a ledger began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tasks.
    pub(crate) accepted: u64,
    pub(crate) done: u64,
    pub(crate) dead: u64,
    /// Deliveries, all and those but a task's first.
    pub(crate) delivered: u64,
    pub(crate) again: u64,
    /// How deliveries ended that did not settle their task. Those whose lease was over are among the lost.
    pub(crate) lost: u64,
    pub(crate) leases_over: u64,
    pub(crate) failed: u64,
    pub(crate) returned: u64,
    /// Ids that were said by who had nothing to say of them.
    pub(crate) ignored: u64,
    /// Heads that were not understood, or grant too much.
    pub(crate) malformed: u64,
    /// Heads of those who had not said HELLO.
    pub(crate) strangers: u64,
    /// Workers that came when there were too many.
    pub(crate) turned_away: u64,
    /// Workers that were silent for too long.
    pub(crate) silent: u64,
}

//! Confirmed delivery: a [`Source`] keeps each task until a [`Worker`] says that it is done, with no broker between them.
//!
//! At least once: what a source has taken on is delivered until it is done or dead, whatever happens to workers and
//! connections; what a worker had that is gone goes to another. Each delivery of a task but its first is marked. Exactly once are
//! only the effects of workers that may do a task twice, or ask a store ([`Seen`]) whether it was done.
//!
//! A worker can be written with any binding of ZeroMQ: `docs/confirmed.md` is what goes over the wire,
//! `examples/python_worker.py` is one.
//!
//! # How it is built
//!
//! Floors, each above those below it:
//!
//! | module | what is there |
//! |---|---|
//! | `source` | the sending side: a ledger behind a lock, a ROUTER, and the thread between them |
//! | `worker` | the other side: its sockets, its thread, its verbs, and what it knows of a source as a value |
//! | `task`, `dead` | what senders give, and what comes back of tasks that nobody could do |
//! | `outbox` | where a source keeps its tasks, so that they outlive it |
//! | `ledger` | what a source knows of its tasks and workers, and what it does next, as a value |
//! | `wire` | what the two sides say, as octets |
//!
//! The values know no socket, no clock, no thread and no chance.

mod bell;
mod dead;
pub(crate) mod ledger;
mod outbox;
mod source;
mod task;
pub(crate) mod wire;
mod worker;

pub use dead::{DeadLetter, FailedAttempt};
pub use ledger::Death;
#[cfg(feature = "outbox")]
pub use outbox::{DiskOutbox, Survives};
pub use outbox::{Finding, Kept, KeptTask, Outbox, OutboxError};
pub use source::{Receipt, Source, SourceBuilder, SourceError, SourceReport, SourceStats, Unconfirmed};
pub use task::{NotTaken, Task, TaskRefused};
pub use worker::{
    AnswerError, BoxError, BuildError, Delivery, Seen, Worker, WorkerBuilder, WorkerError, WorkerReport, WorkerStats,
};

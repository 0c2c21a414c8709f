//! Confirmed delivery: a [`Source`] keeps each task until a worker says that it is done, with no broker between them.
//!
//! `docs/confirmed.md` is the protocol, which any binding of ZeroMQ can speak.
//!
//! At least once: what a source has taken on is delivered until it is done or dead, whatever happens to workers and
//! connections. Each delivery of a task but its first is marked. Exactly once are only the effects of workers that can be asked
//! twice.
//!
//! Floors, each above those below it:
//!
//! | module | what is there |
//! |---|---|
//! | `source` | a ledger behind a lock, a ROUTER, and the thread between them |
//! | `task`, `dead` | what senders give, and what comes back of tasks that nobody could do |
//! | `outbox` | where a source keeps its tasks, so that they outlive it |
//! | `ledger` | what a source knows of its tasks and workers, and what it does next |
//! | `wire` | what the two sides say, as octets |
//!
//! Ledger and wire are values: they know no socket, no clock, no thread and no chance.

mod dead;
mod ledger;
mod outbox;
mod source;
mod task;
mod wire;
#[expect(dead_code, reason = "its sockets stand on it next")]
mod worker;

pub use dead::{DeadLetter, Death, FailedAttempt};
#[cfg(feature = "outbox")]
pub use outbox::{DiskOutbox, Survives};
pub use outbox::{Finding, Kept, KeptTask, Outbox, OutboxError};
pub use source::{Receipt, Source, SourceBuilder, SourceError, SourceReport, SourceStats, Unconfirmed};
pub use task::{NotTaken, Task, TaskRefused};

//! What a sender holds of a task that was taken on.

use super::desk::Shared;
use crate::confirmed::ledger::{self, Death};
use crate::confirmed::task::NotTaken;
use crate::confirmed::wire::TaskId;
use crate::hub::waiters::Ticket;
use crate::hub::{CannotWait, deadline};
use crate::routing::Awaited;
use crate::sync::Mutex;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Tells what becomes of a task: waited for by a thread, or as a future.
///
/// Dropping it changes nothing: the task is delivered all the same. A receipt may outlive its source; what is not settled when
/// that is closed is told as [`Unconfirmed::Closed`].
#[must_use = "a task is delivered without it, but only this tells whether it was done"]
pub struct Receipt {
    id: TaskId,
    slip: Arc<Slip>,
    shared: Arc<Shared>,
    /// It stands among those who wait, as a future.
    ticket: Option<Ticket>,
}

/// Why a task is not known to be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unconfirmed {
    /// Nothing is known yet: it may still be done. May be waited for again.
    #[error("it is not settled yet")]
    TimedOut,
    /// Nobody is asked to do it any more.
    #[error("the task is dead: {0}")]
    Dead(Death),
    /// The source was closed before it was settled. With an outbox it is delivered again by the next one.
    #[error("the source was closed before it was settled")]
    Closed,
    /// The call would wait on the thread that runs the event loop (it was made from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

/// How a task ended, or that it was not told before the source was closed.
pub(super) type End = Result<(), Unconfirmed>;

/// Why a task is not kept, and the task, until somebody takes it back.
pub(super) type NotKept = (NotTaken, Option<Box<ledger::Task>>);

/// Where it is told what becomes of a task. Changed under the desk's lock only, so that who stands there misses nothing.
#[derive(Debug, Default)]
pub(super) struct Slip(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Whether it is kept; if not, it is its sender's again.
    kept: Option<Result<(), NotKept>>,
    end: Option<End>,
}

impl Slip {
    pub(super) fn tell(&self, end: End) {
        self.0.lock().end.get_or_insert(end);
    }

    pub(super) fn tell_kept(&self, kept: Result<(), NotKept>) {
        self.0.lock().kept = Some(kept);
    }

    /// Whether it is kept, if that is told; who asks first gets it if it is not.
    pub(super) fn take_kept(&self) -> Option<Result<(), NotKept>> {
        Some(match self.0.lock().kept.as_mut()? {
            Ok(()) => Ok(()),
            Err((why, task)) => Err((why.clone(), task.take())),
        })
    }

    fn end(&self) -> Option<End> {
        self.0.lock().end.clone()
    }
}

impl Receipt {
    pub(super) fn new(id: TaskId, slip: Arc<Slip>, shared: Arc<Shared>) -> Self {
        Receipt {
            id,
            slip,
            shared,
            ticket: None,
        }
    }

    /// Returns the task's number: its source never gives it again, and with an outbox none that is started anew does.
    pub fn id(&self) -> u64 {
        self.id.0.get()
    }

    /// Waits until a worker has done the task, at most this long.
    ///
    /// `Ok`: a worker that had it said that it is done. `TimedOut`: not yet, and the call may be made again; the task goes on.
    /// `Dead`: nobody is asked any more. `Closed`: the source was closed before. `Duration::MAX` waits for ever.
    pub fn wait(&self, timeout: Duration) -> Result<(), Unconfirmed> {
        match self
            .shared
            .wait_settled(self.id, deadline(self.shared.drive(), Some(timeout)))
        {
            Ok(_is_in_time) => self.slip.end().unwrap_or(Err(Unconfirmed::TimedOut)),
            Err(CannotWait::OnDriver) => Err(Unconfirmed::WouldDeadlock),
            Err(CannotWait::Forked) => Err(Unconfirmed::Forked),
        }
    }

    /// Returns what has become of the task, without waiting; `None`: it is not settled yet.
    pub fn outcome(&self) -> Option<Result<(), Unconfirmed>> {
        self.slip.end()
    }
}

/// Waits as [`Receipt::wait`] does, without a limit: `TimedOut` does not come.
impl Future for Receipt {
    type Output = Result<(), Unconfirmed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let settled = this.shared.poll_settled(this.id, &mut this.ticket, context.waker());
        // What is settled has been told.
        settled.map(|()| this.slip.end().unwrap_or(Err(Unconfirmed::Closed)))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.leave(self.id, Awaited::Readable, ticket);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("id", &self.id())
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}

//! What a sender holds of a task that was taken on.

use super::desk::Shared;
use crate::confirmed::ledger::{self, Death};
use crate::confirmed::task::NotTaken;
use crate::confirmed::wire::TaskId;
use crate::hub::{CannotWait, block_on, deadline};
use crate::sync::Mutex;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
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

/// Where it is told what becomes of a task.
#[derive(Debug, Default)]
pub(super) struct Slip(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Whether it is kept; if not, it is its sender's again.
    kept: Option<Result<(), NotKept>>,
    end: Option<End>,
    /// Who waits: at most one for each call to wait for this receipt.
    wakers: Vec<Waker>,
}

impl Slip {
    /// Tells the end, and adds who waits for it to those that are to be woken.
    pub(super) fn tell(&self, end: End, wakers: &mut Vec<Waker>) {
        let mut told = self.0.lock();
        told.end.get_or_insert(end);
        wakers.append(&mut told.wakers);
    }

    /// Tells that it is kept.
    pub(super) fn tell_kept(&self, wakers: &mut Vec<Waker>) {
        let mut told = self.0.lock();
        told.kept = Some(Ok(()));
        wakers.append(&mut told.wakers);
    }

    /// Tells that it is not kept, and gives it back.
    pub(super) fn tell_not_kept(&self, why: NotTaken, task: Box<ledger::Task>, wakers: &mut Vec<Waker>) {
        let mut told = self.0.lock();
        told.kept = Some(Err((why, Some(task))));
        wakers.append(&mut told.wakers);
    }

    /// Whether it is kept; who asks first gets it if it is not.
    pub(super) fn poll_kept(&self, waker: &Waker) -> Poll<Result<(), NotKept>> {
        let mut told = self.0.lock();
        match &mut told.kept {
            Some(Ok(())) => Poll::Ready(Ok(())),
            Some(Err((why, task))) => Poll::Ready(Err((why.clone(), task.take()))),
            None => {
                told.stand(waker);
                Poll::Pending
            }
        }
    }

    fn end(&self) -> Option<End> {
        self.0.lock().end.clone()
    }

    fn poll(&self, waker: &Waker) -> Poll<End> {
        let mut told = self.0.lock();
        if let Some(end) = &told.end {
            return Poll::Ready(end.clone());
        }
        told.stand(waker);
        Poll::Pending
    }
}

impl Told {
    fn stand(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }
}

impl Receipt {
    pub(super) fn new(id: TaskId, slip: Arc<Slip>, shared: Arc<Shared>) -> Self {
        Receipt { id, slip, shared }
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
        if let Some(end) = self.slip.end() {
            return end;
        }
        let drive = self.shared.drive();
        let until = deadline(drive, Some(timeout));
        match block_on(drive, Waited(&self.slip), until) {
            Ok(Some(end)) => end,
            Ok(None) => Err(Unconfirmed::TimedOut),
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

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.slip.poll(context.waker())
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

struct Waited<'a>(&'a Slip);

impl Future for Waited<'_> {
    type Output = End;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        self.0.poll(context.waker())
    }
}

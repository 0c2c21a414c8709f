//! A worker: takes tasks of its sources, and says what became of them.
//!
//! | part | what it is |
//! |---|---|
//! | `desk` | what it knows of one source, as a value |
//! | `room` | the desks under one lock, and who waits for a task |
//! | `hand` | the thread that reads |

mod builder;
mod delivery;
mod desk;
mod hand;
mod room;
mod seen;
mod stats;

pub use builder::{BuildError, WorkerBuilder};
pub use delivery::{AnswerError, Delivery};
pub use seen::{BoxError, Seen};
pub use stats::{WorkerReport, WorkerStats};

use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::explain::Explanation;
use crate::hub::waiters::Ticket;
use crate::hub::{CannotWait, block_on, deadline};
use crate::routing::Awaited;
use crate::socket::dealer::Dealer;
use room::{ContextClosed, End, Room};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Takes tasks of sources, by one or more endpoints, and says what became of each.
///
/// A source keeps a task until a worker says that it is done, and gives it to another when this one is gone. So each task is done
/// at least once, and may be done twice: by a worker whose word was lost. Those that may have been are
/// [marked](Delivery::is_redelivered), and what this worker remembers to have done it does not do again
/// ([`remember`](WorkerBuilder::remember), [`seen`](WorkerBuilder::seen)).
///
/// It has a thread that reads and beats, so a task may take long, and several threads may take tasks of one worker, or futures.
/// Tasks that wait here are taken of each source in turn.
///
/// Dropped, it says BYE and closes its sockets, and does not wait: what is at work is delivered again.
/// [`close`](Worker::close) does. In a forked child neither does anything.
///
/// ```no_run
/// use peermq::Context;
/// use peermq::confirmed::Worker;
///
/// # fn handle(_: &peermq::Message) -> Result<(), std::num::ParseIntError> { Ok(()) }
/// let context = Context::new()?;
/// let worker = Worker::builder(&context).connect("tcp://127.0.0.1:7000")?.build()?;
/// while let Some(task) = worker.recv()? {
///     match handle(&task) {
///         Ok(()) => task.ack()?,
///         Err(error) => task.retry(error.to_string())?,
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Worker {
    room: Arc<Room>,
    endpoints: Vec<Endpoint>,
}

/// Why no task was received. `WouldBlock`, `TimedOut` and `Store` may be tried again; the others stay as they are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// No task is here, and the call was not to wait.
    #[error("no task is here")]
    WouldBlock,
    /// No task came in time.
    #[error("no task came in time")]
    TimedOut,
    /// The context is shut down, or the worker's own thread has panicked, which is logged.
    #[error("the context is closed")]
    Closed,
    /// The call would wait on the thread that runs the event loop (it was made from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
    /// The store ([`WorkerBuilder::seen`]) does not say whether a task was done. The task is to be tried again later, which is
    /// one of the attempts that its source allows.
    #[error("the store of what was done has failed: {0}")]
    Store(#[source] BoxError),
}

impl Worker {
    /// Begins to make a worker with sockets of this context.
    pub fn builder(context: &Context) -> WorkerBuilder {
        WorkerBuilder::new(context)
    }

    /// Receives the next task; waits for it. `None`: the worker takes no more ([`drain`](Worker::drain),
    /// [`close`](Worker::close)), and nothing is left.
    ///
    /// Waits for sources to come, as long as it takes. Fails with `Closed` once the context is shut down, also while it waits,
    /// with `WouldDeadlock` if it would have to wait on the loop's own thread (from a `Waker`), and with `Store`.
    pub fn recv(&self) -> Result<Option<Delivery>, WorkerError> {
        self.wait(None)
    }

    /// Receives a task if one is here, else says `WouldBlock`. Never waits, but for a store.
    pub fn try_recv(&self) -> Result<Option<Delivery>, WorkerError> {
        match self.poll_next(&mut None, None) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(WorkerError::WouldBlock),
        }
    }

    /// Receives a task; waits at most this long, then says `TimedOut`. Times under a millisecond are kept.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Delivery>, WorkerError> {
        self.wait(Some(timeout))
    }

    /// Receives a task, as a future of no runtime's own. Dropped before it is ready, it has taken nothing.
    pub fn recv_async(&self) -> impl Future<Output = Result<Option<Delivery>, WorkerError>> + Send + '_ {
        Next {
            worker: self,
            ticket: None,
        }
    }

    /// Takes no more tasks: those that wait here, and those on their way, are given back to their sources at once, who deliver
    /// them to others. Who waits in `recv` gets `None`. What is at work goes on, and can be answered. Never waits.
    pub fn drain(&self) {
        self.room.drain();
    }

    /// Drains, waits until all that is at work is answered and the answers are sent, this long at most, says BYE, and closes the
    /// sockets. Deliveries that are answered later fail with [`AnswerError::Closed`], and are delivered again.
    ///
    /// Then waits for half a second at most until what was said is written. A second call does not wait for answers. On the
    /// loop's own thread (from a `Waker`) it does not wait at all.
    pub fn close(&self, timeout: Duration) -> WorkerReport {
        if self.room.is_forked() {
            let stats = self.room.stats();
            return WorkerReport { stats, unwritten: 0 };
        }
        self.room.drain();
        self.wait_for(End::Answered, timeout);
        let stats = self.room.stats();
        self.room.begin_close();
        self.wait_for(End::Closed, LAST_WORDS + GRACE);
        let unwritten = self.room.unwritten();
        WorkerReport { stats, unwritten }
    }

    /// Returns what it has done, and what it is at. Takes time for each endpoint. Works after `close` too.
    pub fn stats(&self) -> WorkerStats {
        self.room.stats()
    }

    /// Returns the endpoints that it is connected to, and those that it has bound, really: with their ports. In the order in
    /// which they were given.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Explains what each of its sockets is about, a DEALER for each endpoint, in the order of
    /// [`endpoints`](Worker::endpoints): whether a source is reached, and why not. So a source that refuses it for good, because
    /// it is no ROUTER or does not know this worker's key, is found as [`Cause::GaveUp`](crate::Cause::GaveUp). Shown, each is
    /// text for people. Works after `close` too, and then says so.
    ///
    /// Waits for one turn of the loop for each, except on the loop's own thread (from a `Waker`): not for every task.
    pub fn explain(&self) -> Vec<Explanation> {
        self.room.dealers.iter().map(Dealer::explain).collect()
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Delivery>, WorkerError> {
        // Whether it may wait at all is asked only if it has to: that takes a system call.
        if let Poll::Ready(result) = self.poll_next(&mut None, None) {
            return result;
        }
        let next = Next {
            worker: self,
            ticket: None,
        };
        match block_on(&*self.room, next, deadline(&*self.room, timeout)) {
            Ok(Some(result)) => result,
            Ok(None) => Err(WorkerError::TimedOut),
            Err(CannotWait::OnDriver) => Err(WorkerError::WouldDeadlock),
            Err(CannotWait::Forked) => Err(WorkerError::Forked),
        }
    }

    fn wait_for(&self, end: End, timeout: Duration) {
        let ended = Ended {
            room: &self.room,
            end,
            ticket: None,
        };
        // In time or not: the caller goes on.
        let _ended = block_on(&*self.room, ended, deadline(&*self.room, Some(timeout)));
    }

    /// The next task that its store does not know.
    fn poll_next(
        &self,
        ticket: &mut Option<Ticket>,
        waker: Option<&Waker>,
    ) -> Poll<Result<Option<Delivery>, WorkerError>> {
        loop {
            let delivery = match self.room.poll_task(ticket, waker) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(ContextClosed)) => return Poll::Ready(Err(WorkerError::Closed)),
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(Some(delivery))) => delivery,
            };
            let seen = self.room.seen.as_ref();
            let Some(seen) = seen.filter(|_| delivery.is_redelivered() && !delivery.key().is_empty()) else {
                return Poll::Ready(Ok(Some(delivery)));
            };
            match seen.was_done(delivery.key()) {
                Ok(false) => return Poll::Ready(Ok(Some(delivery))),
                Ok(true) => delivery.was_known(),
                Err(error) => {
                    // Closed: nobody is told.
                    let _closed = delivery.retry(format!("the store of what was done has failed: {error}"));
                    return Poll::Ready(Err(WorkerError::Store(error)));
                }
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.room.is_forked() {
            return;
        }
        self.room.drain();
        self.room.begin_close();
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// The next task, as a future.
struct Next<'a> {
    worker: &'a Worker,
    ticket: Option<Ticket>,
}

impl Future for Next<'_> {
    type Output = Result<Option<Delivery>, WorkerError>;

    fn poll(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.worker.poll_next(&mut this.ticket, Some(context.waker()))
    }
}

impl Drop for Next<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.worker.room.leave(Awaited::Readable, ticket);
        }
    }
}

/// How far a worker that closes is, as a future.
struct Ended<'a> {
    room: &'a Room,
    end: End,
    ticket: Option<Ticket>,
}

impl Future for Ended<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.room.poll_end(this.end, &mut this.ticket, context.waker())
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.room.leave(Awaited::Writable, ticket);
        }
    }
}

/// For what was said last to be written.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// For the hand to say that the sockets are closed.
const GRACE: Duration = Duration::from_millis(250);

#[cfg(all(test, not(loom)))]
mod tests;

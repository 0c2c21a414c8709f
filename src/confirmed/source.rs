//! A source: takes tasks on, keeps them until workers have done them, and tells what became of them.

mod builder;
mod clerk;
mod desk;
mod doors;
mod keeper;
mod receipt;
mod stats;

pub use builder::{SourceBuilder, SourceError};
pub use receipt::{Receipt, Unconfirmed};
pub use stats::{SourceReport, SourceStats};

use super::ledger::{self, Refusal, Refused};
use super::outbox::Finding;
use super::task::{NotTaken, Task, TaskRefused, Times};
use super::wire::TaskId;
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::engine::seat::is_driving;
use crate::explain::Explanation;
use crate::hub::waiters::Ticket;
use crate::hub::{CannotWait, Effects, block_on, deadline};
use crate::routing::Awaited;
use crate::socket::router::Router;
use crate::sync::Mutex;
use desk::{Shared, Taken, run};
use keeper::{store_here, store_there};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Keeps each task until a [`Worker`](super::Worker) has done it: the sending side of confirmed delivery.
///
/// Workers take tasks by credit, and what a worker had that is gone goes to another. A task that fails is tried again, later
/// and later, and is dead once it has failed as often as it may.
///
/// A source may be used by several threads at once. It has a thread of its own, for leases, tries and dead letters. Memory is
/// bounded by the backlog: at its limit `send` waits, and nothing is dropped. Without an outbox, what is not settled when the
/// process ends is lost.
///
/// ```
/// use peermq::Context;
/// use peermq::confirmed::{Source, Task, Worker};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let source = Source::builder(&context).bind("tcp://127.0.0.1:*")?.build()?;
/// let worker = Worker::builder(&context).connect(source.endpoints()[0].clone())?.build()?;
///
/// let receipt = source.send(Task::new("resize 17.png").key("17"))?;
///
/// let task = worker.recv()?.expect("a task");
/// assert_eq!(task.message(), "resize 17.png");
/// task.ack()?;
///
/// receipt.wait(Duration::from_secs(10))?; // a worker has done it
/// let report = source.close(Duration::from_secs(1))?;
/// assert_eq!((report.done, report.unsettled), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Source {
    shared: Arc<Shared>,
    /// The clerk's, who closes it.
    router: Arc<Router>,
    endpoints: Vec<Endpoint>,
    /// Until they are joined.
    threads: Mutex<Vec<JoinHandle<()>>>,
    findings: Vec<Finding>,
}

impl Source {
    /// Begins to say how a source is to be.
    pub fn builder(context: &Context) -> SourceBuilder {
        SourceBuilder::new(context)
    }

    /// Returns where workers can connect to: the endpoints that were bound, with the ports that the system chose.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Returns what its outbox found when it was opened: nothing, if the source before it was closed in order.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Takes a task on; waits while the backlog is full, and until the outbox has stored it, if there is one.
    ///
    /// When it returns the task is kept, and is delivered until it is settled. Who sends alone stores on its own thread, which
    /// takes as long as the disk does; of those who are several a thread of the source stores all that came, together. Fails
    /// with `OutboxFull` or `Outbox` if it cannot be stored, with `Closed` once the source is draining or closed, with `TooLong`
    /// if a key or the headers are too long, and with `WouldDeadlock` from a `Waker`; the error has the task.
    pub fn send(&self, task: impl Into<Task>) -> Result<Receipt, TaskRefused> {
        self.send_until(task.into(), None)
    }

    /// Takes a task on as [`send`](Source::send) does, or gives it back as `WouldBlock` if the backlog is full. It still waits
    /// for the disk, if there is an outbox.
    pub fn try_send(&self, task: impl Into<Task>) -> Result<Receipt, TaskRefused> {
        let mut sending = Sending::new(self, task.into());
        match sending.try_once(None, store_here) {
            Poll::Ready(sent) => sent,
            Poll::Pending if sending.taken.is_none() => Err(sending.give_back(NotTaken::WouldBlock)),
            Poll::Pending => sending.wait(None),
        }
    }

    /// Takes a task on as [`send`](Source::send) does, and waits for room at most this long: then it gives the task back as
    /// `TimedOut`.
    pub fn send_timeout(&self, task: impl Into<Task>, timeout: Duration) -> Result<Receipt, TaskRefused> {
        self.send_until(task.into(), deadline(self.shared.drive(), Some(timeout)))
    }

    /// Takes a task on as [`send`](Source::send) does, as a future. One that is dropped before it is ready has taken nothing on,
    /// unless an outbox had stored its task just then. With an outbox it takes two wake-ups longer than a `send` that is alone: a
    /// future must not wait for the disk, so a thread of the source does.
    pub fn send_async(&self, task: impl Into<Task>) -> impl Future<Output = Result<Receipt, TaskRefused>> + Send + '_ {
        Sending::new(self, task.into())
    }

    /// Waits until all tasks that were taken on before are settled, done or dead, at most this long. `false`: some are not.
    ///
    /// `true` too once the source is closed. `Duration::MAX` waits for ever. Fails with `WouldDeadlock` and `Forked` as all
    /// calls do that wait.
    pub fn flush(&self, timeout: Duration) -> Result<bool, NotTaken> {
        let until = deadline(self.shared.drive(), Some(timeout));
        let mut newest = self.shared.desk().newest(TaskId(NonZeroU64::MAX));
        // Those before it are settled by then, as a rule.
        while let Some(id) = newest {
            match self.shared.wait_settled(id, until) {
                Ok(true) => newest = self.shared.desk().newest(id),
                Ok(false) => return Ok(false),
                Err(why) => return Err(cannot_wait(why)),
            }
        }
        Ok(true)
    }

    /// Takes no more tasks on; those that are here are delivered. [`flush`](Source::flush) waits for them.
    pub fn drain(&self) {
        let mut effects = Effects::default();
        self.shared.desk().drain(&mut effects);
        run(effects);
    }

    /// Explains what its socket is about, a ROUTER: what each endpoint does, which workers are there, and what is likely to keep
    /// them away. Shown, it is text for people. Works after `close` too, and then says so.
    ///
    /// Waits for one turn of the loop, except on the loop's own thread (from a `Waker`). Takes time for each worker.
    pub fn explain(&self) -> Explanation {
        self.router.explain()
    }

    /// Returns how the source stands: true at one moment. Takes time for each worker.
    pub fn stats(&self) -> SourceStats {
        let now = self.shared.now();
        let standing = self.shared.desk().standing(now);
        SourceStats::new(standing, now)
    }

    /// Drains the source, waits until all tasks are settled, at most this long, and ends it with a report.
    ///
    /// Workers are told that no more tasks come. What is not settled is told as [`Unconfirmed::Closed`]; with an outbox it is
    /// delivered by the next source. It takes at most a second longer than `timeout`, for what is on its way to workers, and as
    /// long as a store takes that is under way, or a dead letter's sink. A call after that returns the same report. A source that
    /// is dropped is closed with no time; in a forked child neither does anything.
    pub fn close(&self, timeout: Duration) -> Result<SourceReport, NotTaken> {
        if self.is_forked() {
            return Err(NotTaken::Forked);
        }
        self.drain();
        let flushed = self.flush(timeout);
        self.stop();
        flushed?;
        Ok(SourceReport::new(&self.stats()))
    }

    /// Whether this is a child of the process whose source it is: its threads are not here.
    fn is_forked(&self) -> bool {
        self.shared.drive().may_wait() == Err(CannotWait::Forked)
    }

    fn stop(&self) {
        if self.is_forked() {
            return;
        }
        self.shared.desk().is_stopping = true;
        self.shared.clerk.ring();
        let threads = std::mem::take(&mut *self.threads.lock());
        // The thread that drives may have to write what the others wait for.
        if !is_driving() {
            for thread in threads {
                let _panicked = thread.join();
            }
        }
    }

    fn send_until(&self, task: Task, until: Option<Instant>) -> Result<Receipt, TaskRefused> {
        let mut sending = Sending::new(self, task);
        // Most find room. A store has no limit of time.
        let store = if until.is_none() { store_here } else { store_there };
        if let Poll::Ready(sent) = sending.try_once(None, store) {
            return sent;
        }
        sending.wait(until)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// A task on its way into the backlog, and then to where it is kept. Its times begin when it is sent, not when there is room.
struct Sending<'a> {
    source: &'a Source,
    /// `None`: it is taken on, or given back.
    entry: Option<ledger::Task>,
    times: Times,
    /// It is being stored.
    taken: Option<Taken>,
    /// It stands among those who wait for room, or for their task to be stored.
    ticket: Option<Ticket>,
}

impl<'a> Sending<'a> {
    fn new(source: &'a Source, task: Task) -> Self {
        let (entry, times) = task.into_entry(source.shared.now());
        Sending {
            source,
            entry: Some(entry),
            times,
            taken: None,
            ticket: None,
        }
    }

    fn wait(mut self, until: Option<Instant>) -> Result<Receipt, TaskRefused> {
        match block_on(self.source.shared.drive(), &mut self, until) {
            Ok(Some(sent)) => sent,
            Ok(None) => self.call_off(NotTaken::TimedOut),
            Err(why) => self.call_off(cannot_wait(why)),
        }
    }

    /// Puts it on the desk if there is room, and has it stored so if need be.
    fn try_once(&mut self, waker: Option<&Waker>, store: fn(&Shared)) -> Poll<Result<Receipt, TaskRefused>> {
        let Some(entry) = self.entry.take() else {
            return Poll::Pending;
        };
        let place = waker.map(|waker| (waker, &mut self.ticket));
        match self.source.shared.accept(entry, place) {
            Ok(taken) => {
                self.leave();
                let is_kept = taken.is_kept;
                self.taken = Some(taken);
                if is_kept {
                    return self.receipt();
                }
                store(&self.source.shared);
                Poll::Pending
            }
            Err(Refused { why, task }) => {
                self.entry = Some(*task);
                match why {
                    Refusal::Full => Poll::Pending,
                    Refusal::TooLong => Poll::Ready(Err(self.give_back(NotTaken::TooLong))),
                    Refusal::Draining => Poll::Ready(Err(self.give_back(NotTaken::Closed))),
                }
            }
        }
    }

    /// Whether it is stored, once it was handed over for that.
    fn poll_kept(&mut self, waker: &Waker) -> Poll<Result<Receipt, TaskRefused>> {
        let Some(taken) = &self.taken else {
            return Poll::Pending;
        };
        match self.source.shared.poll_kept(taken, &mut self.ticket, waker) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => self.receipt(),
            Poll::Ready(Err((reason, task))) => {
                self.leave();
                self.taken = None;
                self.entry = task.map(|task| *task);
                Poll::Ready(Err(self.give_back(reason)))
            }
        }
    }

    /// It is taken on, and kept.
    fn receipt(&mut self) -> Poll<Result<Receipt, TaskRefused>> {
        self.leave();
        let Some(Taken { id, slip, .. }) = self.taken.take() else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(Receipt::new(id, slip, Arc::clone(&self.source.shared))))
    }

    /// The call ends before it is taken on; if it is by now, it succeeds.
    fn call_off(&mut self, reason: NotTaken) -> Result<Receipt, TaskRefused> {
        if self.taken.is_some()
            && !self.take_back()
            && let Poll::Ready(kept) = self.poll_kept(Waker::noop())
        {
            return kept;
        }
        Err(self.give_back(reason))
    }

    /// Whether it was not kept yet, and is not to be any more.
    fn take_back(&mut self) -> bool {
        self.leave();
        let shared = &self.source.shared;
        let taken_back = self.taken.as_ref().and_then(|taken| shared.desk().take_back(taken.id));
        // What was to be stored is dropped here, where no lock is held.
        let Some((entry, _unstored)) = taken_back else {
            return false;
        };
        // There may be room for others now.
        shared.clerk.ring();
        self.entry = Some(entry);
        self.taken = None;
        true
    }

    /// Waits no more. Before `taken` changes: that says where it stands.
    fn leave(&mut self) {
        let shared = &self.source.shared;
        match (self.ticket.take(), &self.taken) {
            (Some(ticket), Some(taken)) => shared.leave(taken.id, Awaited::Writable, ticket),
            (Some(ticket), None) => shared.leave_senders(ticket),
            (None, _) => {}
        }
    }

    fn give_back(&mut self, reason: NotTaken) -> TaskRefused {
        let entry = self.entry.take();
        let entry = entry.unwrap_or_else(|| ledger::Task::new(crate::Message::empty()));
        TaskRefused {
            reason,
            task: Box::new(Task::from_entry(entry, self.times)),
        }
    }
}

impl Future for Sending<'_> {
    type Output = Result<Receipt, TaskRefused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        match self.try_once(Some(context.waker()), store_there) {
            Poll::Pending => self.poll_kept(context.waker()),
            ready => ready,
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.take_back();
    }
}

fn cannot_wait(why: CannotWait) -> NotTaken {
    match why {
        CannotWait::OnDriver => NotTaken::WouldDeadlock,
        CannotWait::Forked => NotTaken::Forked,
    }
}

//! The receiving end of a socket's events.
//!
//! Bounded: what nobody reads is dropped and counted, and the loop never waits for a reader.

use super::waiters::{CannotWait, Drive, Ticket, Waiters, block_on, deadline};
use crate::error::RecvError;
use crate::monitor::Event;
use crate::routing::Awaited;
use crate::sync::Mutex;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tracing::debug;

/// The monitors of one socket.
pub(crate) struct Feeds {
    state: Mutex<FeedsState>,
    limit: usize,
}

#[derive(Default)]
struct FeedsState {
    /// One a monitor; those that are dropped go with the next event.
    feeds: Vec<Weak<Feed>>,
    /// The last event was told.
    is_over: bool,
}

struct Feed {
    state: Mutex<FeedState>,
}

#[derive(Default)]
struct FeedState {
    /// Oldest first; at the limit a new one is dropped and counted in `missed`.
    events: VecDeque<Event>,
    missed: u64,
    is_over: bool,
    /// Who waits for an event; all are woken by one.
    waiters: Waiters,
}

impl Feeds {
    pub(crate) fn new(limit: usize) -> Self {
        Feeds {
            state: Mutex::default(),
            limit,
        }
    }

    pub(crate) fn add(&self, drive: Arc<dyn Drive>) -> Monitor {
        let mut state = self.state.lock();
        let feed = Arc::new(Feed {
            state: Mutex::new(FeedState {
                is_over: state.is_over,
                ..FeedState::default()
            }),
        });
        state.feeds.push(Arc::downgrade(&feed));
        drop(state);
        Monitor { feed, drive }
    }

    /// Tells every monitor. The caller holds no lock.
    pub(crate) fn tell(&self, event: &Event) {
        debug!(?event);
        self.each(|state| {
            if state.events.len() < self.limit {
                state.events.push_back(event.clone());
            } else {
                state.missed += 1;
            }
        });
    }

    /// No more events follow.
    pub(crate) fn end(&self) {
        self.state.lock().is_over = true;
        self.each(|state| state.is_over = true);
    }

    fn each(&self, mut act: impl FnMut(&mut FeedState)) {
        let mut live = Vec::new();
        self.state.lock().feeds.retain(|feed| {
            let feed = feed.upgrade();
            live.extend(feed.clone());
            feed.is_some()
        });
        for feed in live {
            let mut state = feed.state.lock();
            act(&mut state);
            let mut effects = super::Effects::default();
            state.waiters.wake_all(&mut effects);
            drop(state);
            effects.run();
        }
    }
}

/// Receives what happens to a socket's peers from the moment it is made.
///
/// At most [`Options::monitor_events`](crate::Options::monitor_events) wait to be read; further ones are dropped and
/// counted in [`Monitor::missed`]: the loop never waits for a reader. Of strangers who fail by the thousand only some are
/// told in the first place ([`Event::HandshakeFailed`]), so that they do not push out what else happens: who reads now and
/// then misses nothing because of them. Peers that are let in, and go, are told each. It outlives its socket, and then says
/// `Closed`. Several threads may read one; each event goes to one of them.
///
/// ```
/// use peermq::{Context, Pull, Push};
///
/// let context = Context::new()?;
/// let (pull, push) = (Pull::new(&context), Push::new(&context));
/// let monitor = push.monitor();
/// push.connect(pull.bind("inproc://watched")?)?;
/// push.close()?;
/// let mut lines = Vec::new();
/// for event in &monitor {
///     lines.push(event.to_string());
/// }
/// // It ended with the socket.
/// assert_eq!(lines[0], "inproc://watched: connected with inproc://watched");
/// assert_eq!(monitor.missed(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Monitor {
    feed: Arc<Feed>,
    drive: Arc<dyn Drive>,
}

impl Monitor {
    /// Receives the next event; waits for it, and meanwhile drives the loop if nobody else does.
    ///
    /// After the socket is closed to its last peer: what is left, then `Closed`. Called from a `Waker` it cannot wait,
    /// and says `WouldDeadlock` if no event is here.
    pub fn recv(&self) -> Result<Event, RecvError> {
        self.wait(None)
    }

    /// Receives the next event; waits at most this long, then says `TimedOut`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvError> {
        self.wait(Some(timeout))
    }

    /// Receives the next event if it is here, else says `WouldBlock`.
    pub fn try_recv(&self) -> Result<Event, RecvError> {
        match self.poll_next(&mut None, None) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(RecvError::WouldBlock),
        }
    }

    /// Receives the next event, as a future of no runtime's own. Dropping it loses nothing.
    pub fn recv_async(&self) -> impl Future<Output = Result<Event, RecvError>> + Send + '_ {
        Next::new(self)
    }

    /// Returns an iterator over the events, which waits for each like [`recv`](Monitor::recv), and ends where that fails:
    /// once the socket is closed to its last peer and all is read, or where it cannot wait.
    pub fn iter(&self) -> Events<'_> {
        Events(self)
    }

    /// Returns an iterator over the events that are here now. It does not wait.
    pub fn try_iter(&self) -> impl Iterator<Item = Event> + '_ {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    /// Returns how many events were dropped because nobody read them.
    pub fn missed(&self) -> u64 {
        self.feed.state.lock().missed
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Event, RecvError> {
        let drive = &*self.drive;
        match block_on(drive, Next::new(self), deadline(drive, timeout)) {
            Ok(Some(result)) => result,
            Ok(None) => Err(RecvError::TimedOut),
            Err(CannotWait::OnDriver) => Err(RecvError::WouldDeadlock),
            Err(CannotWait::Forked) => Err(RecvError::Forked),
        }
    }

    fn poll_next(&self, ticket: &mut Option<Ticket>, waker: Option<&Waker>) -> Poll<Result<Event, RecvError>> {
        let mut effects = super::Effects::default();
        let mut state = self.feed.state.lock();
        let result = match state.events.pop_front() {
            Some(event) => Poll::Ready(Ok(event)),
            None if state.is_over => Poll::Ready(Err(RecvError::Closed)),
            None => {
                if let Some(waker) = waker {
                    state.waiters.stand(Awaited::Readable, ticket, waker, &mut effects);
                }
                Poll::Pending
            }
        };
        drop(state);
        effects.run();
        result
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// The events of a [`Monitor`], one after the other; waits for each. What [`Monitor::iter`] returns.
#[derive(Debug)]
pub struct Events<'a>(&'a Monitor);

impl Iterator for Events<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.0.recv().ok()
    }
}

impl<'a> IntoIterator for &'a Monitor {
    type Item = Event;
    type IntoIter = Events<'a>;

    fn into_iter(self) -> Events<'a> {
        self.iter()
    }
}

/// As an iterator a monitor waits for each event, as [`Monitor::iter`] does.
impl Iterator for Monitor {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv().ok()
    }
}

/// The next event, as a future.
struct Next<'a> {
    monitor: &'a Monitor,
    ticket: Option<Ticket>,
}

impl<'a> Next<'a> {
    fn new(monitor: &'a Monitor) -> Self {
        Next { monitor, ticket: None }
    }
}

impl Future for Next<'_> {
    type Output = Result<Event, RecvError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.monitor.poll_next(&mut this.ticket, Some(context.waker()))
    }
}

impl Drop for Next<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut effects = super::Effects::default();
            let mut state = self.monitor.feed.state.lock();
            state.waiters.leave(Awaited::Readable, ticket, &mut effects);
            drop(state);
            effects.run();
        }
    }
}

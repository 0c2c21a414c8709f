//! Where application threads and the engine meet: one lock around a pure value.
//!
//! A [`Hub`] is one socket: its pattern, its peers and who waits for them. The lock is a leaf, held for a queue push or
//! to take a batch. What a step wants done outside comes out as [`Effects`] and is done when the lock is free.
//! [`Station`] is a hub as the engine sees it, [`Link`] is how a hub reaches a peer.

pub(crate) mod effects;
mod engine_side;
pub(crate) mod monitor;
mod pollable;
mod state;
pub(crate) mod station;
mod tempo;
pub(crate) mod waiters;
pub(crate) mod watchers;

pub(crate) use effects::{Ask, Effects};
pub use monitor::{Events, Monitor};
pub use pollable::Pollable;
pub(crate) use station::{Collected, Origin, Station};
pub(crate) use tempo::{Pace, QUIET};
pub(crate) use waiters::{CannotWait, Drive, Waiting, block_on, deadline};
pub(crate) use watchers::{Readiness, Watched};

use crate::batch::Copies;
use crate::explain::{EndpointState, Explanation, Facts, Life};
use crate::failure::Failure;
use crate::monitor::Event;
use crate::options::{Mark, Options};
use crate::routing::{Awaited, Pattern, PeerId, Peers, Pool, Turn, Want};
use crate::socket_type::SocketType::{Dealer, Pub, Pull, Push, Sub, XPub, XSub};
use crate::stats::{CloseReport, SocketStats, TurnedAway};
use crate::sync::{Mutex, Parker, SpinMutex, SpinMutexGuard};
use crate::wire::Local;
use monitor::Feeds;
use state::{Phase, State};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tempo::Tempo;
use waiters::{Ticket, Waiters};
use watchers::Watchers;

/// How a hub reaches a peer. Called with no lock of ours held; none of it waits.
pub(crate) trait Link: Send + Sync {
    /// There is something to take. Called by whoever made the queue not empty, once, until it was found empty again, and who
    /// may know what time it is.
    fn flush(&self, pace: Pace, now: Option<Instant>);
    /// A large frame, alone a message, is to go, behind what is queued: it is taken on as [`Station::lend`] says, written
    /// from where it lies as far as that goes, and the rest copied. Who may look tries for a moment before it copies.
    fn lend(&self, _frame: &[u8], _copies: &Copies, _may_look: bool) -> Lent {
        Lent::Refused
    }
    /// Nothing more, or one message more, is taken on for the peer until there is room.
    fn full(&self) {}
    /// There is room again. Called once after the link was told that there is none.
    fn resume(&self);
    /// End it.
    fn sever(&self, failure: Failure);
    /// End it unless a byte comes within a second: the peer is PINGed. One that speaks a version without PING is let be,
    /// and while we do not read we do not judge. Over inproc a peer that is gone is known to be gone: nothing is done.
    fn challenge(&self);
}

/// What became of a frame that was lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lent {
    /// It is not taken on.
    Refused,
    /// It is written.
    Whole,
    /// A copy of it waits for the kernel to take the rest.
    Copied,
}

/// One socket.
pub(crate) struct Hub<P> {
    state: SpinMutex<State<P>>,
    key: u64,
    local: Arc<Local>,
    options: Arc<Options>,
    /// As it was set last.
    linger: Mutex<Duration>,
    /// Those who came and are no peers.
    strangers: Mutex<Strangers>,
    feeds: Arc<Feeds>,
    drive: Arc<dyn Drive>,
    /// Its descriptor, once somebody wanted one.
    pollable: Mutex<Option<Pollable>>,
}

/// What is counted of those who are no peers, and so have no place in routing.
#[derive(Debug, Default)]
struct Strangers {
    turned_away: TurnedAway,
    failed: u64,
    untold: u64,
}

/// The socket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// Why a call ended without what it was to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Closed,
    /// It was not to wait.
    WouldBlock,
    TimedOut,
    CannotWait(CannotWait),
}

impl<P: Pattern> Hub<P> {
    /// All queues of a pool share what that has.
    pub(crate) fn new(pattern: P, options: Options, key: u64, drive: Arc<dyn Drive>, pool: Option<Arc<Pool>>) -> Self {
        let mut peers = Peers::new(options.send_mark, options.recv_mark);
        if let Some(pool) = pool {
            peers.share(pool);
        }
        let sends = matches!(P::TYPE, Push | Dealer | Pub | XPub);
        let receives = matches!(P::TYPE, Pull | Dealer | Sub | XSub);
        peers.conflate(
            options.conflate.filter(|_| sends),
            options.conflate.filter(|_| receives),
        );
        let feeds = Arc::new(Feeds::new(options.monitor_events));
        Hub {
            state: SpinMutex::new(State {
                pattern,
                peers,
                links: Vec::new(),
                turned_away: None,
                waiters: Waiters::default(),
                offered: Turn::default(),
                watchers: Watchers::default(),
                tempo: Tempo::default(),
                feeds: Arc::clone(&feeds),
                phase: Phase::Open,
            }),
            key,
            local: Arc::new(Local::new(P::TYPE, &options)),
            feeds,
            strangers: Mutex::default(),
            linger: Mutex::new(options.linger),
            options: Arc::new(options),
            drive,
            pollable: Mutex::default(),
        }
    }

    pub(crate) fn drive(&self) -> &Arc<dyn Drive> {
        &self.drive
    }

    // -- verbs: one path for those that try, block, or pend

    /// Takes one step under the lock, whatever the phase.
    pub(crate) fn act<R>(&self, step: impl FnOnce(&mut P, &mut Peers) -> R) -> R {
        let mut effects = Effects::default();
        let result = self.step(&mut effects, |state, _| step(&mut state.pattern, &mut state.peers));
        effects.run();
        result
    }

    /// Tries once. The way of every message that need not wait: apart from `poll`, so that it is compiled as one piece.
    #[inline(always)]
    pub(crate) fn attempt<R>(
        &self,
        awaited: Awaited,
        mut step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Poll<Result<R, Closed>> {
        loop {
            let mut state = self.state.lock();
            let result = state.attempt(&mut step);
            if !(state.has_calls(awaited, &result) && self.answer(state, &awaited, result.is_ready())) {
                return result;
            }
        }
    }

    /// Does what a step wants done, and lets the next in line have what it left. `true`: try once more.
    #[inline(never)]
    fn answer(&self, mut state: SpinMutexGuard<'_, State<P>>, awaited: &Awaited, has_taken: bool) -> bool {
        let mut effects = Effects::default();
        let has_fetched = state.passed(*awaited, has_taken, &mut effects);
        state.settle_all(&*self.drive, &mut effects);
        drop(state);
        effects.run();
        has_fetched
    }

    /// Sends a message of one large frame without copying it, if it can go now; what is queued before it goes first.
    pub(crate) fn lend(&self, frame: &[u8], copies: &Copies, may_look: bool) -> Lent {
        let state = self.state.lock();
        let is_free = matches!(state.phase, Phase::Open) && state.waiters.is_empty(Awaited::Writable);
        let next = state.pattern.next_peer().filter(|_| is_free);
        let link = next.and_then(|id| state.link_to(id)).map(Arc::clone);
        drop(state);
        // Where no call may wait, none looks either.
        let may_look = may_look && self.drive.may_wait().is_ok();
        link.map_or(Lent::Refused, |link| link.lend(frame, copies, may_look))
    }

    /// Tries once, and if that was in vain waits on this thread until the step gives something, or until then.
    #[inline(always)]
    pub(crate) fn attempt_until<R>(
        &self,
        awaited: Awaited,
        deadline: impl FnOnce() -> Option<Instant>,
        mut step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Result<R, Stop> {
        let mut state = self.state.lock();
        let Poll::Ready(result) = state.attempt(&mut step) else {
            return self.wait_on(Some(state), awaited, deadline(), step);
        };
        if state.has_calls(awaited, &Poll::Ready(())) {
            self.answer(state, &awaited, true);
        }
        result.map_err(|Closed| Stop::Closed)
    }

    /// Waits on this thread until the step gives something.
    pub(crate) fn wait<R>(
        &self,
        awaited: Awaited,
        deadline: Option<Instant>,
        step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Result<R, Stop> {
        self.wait_on(None, awaited, deadline, step)
    }

    /// Not a part of its callers, which rarely wait.
    #[inline(never)]
    fn wait_on<R>(
        &self,
        mut tried: Option<SpinMutexGuard<'_, State<P>>>,
        awaited: Awaited,
        deadline: Option<Instant>,
        mut step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Result<R, Stop> {
        Parker::with(|parker, waker| {
            let mut place = Place::new(self, awaited);
            loop {
                parker.reset();
                match self.poll(tried.take(), awaited, &mut place.ticket, waker, &mut step) {
                    Poll::Ready(Ok(value)) => return Ok(value),
                    Poll::Ready(Err(Closed)) => return Err(Stop::Closed),
                    Poll::Pending => match self.drive.wait(parker, deadline) {
                        Ok(true) => {}
                        Ok(false) => return Err(Stop::TimedOut),
                        // What the try wanted done may have brought it, on this very thread.
                        Err(_) if parker.was_woken() && deadline.is_none_or(|end| self.drive.now() < end) => {}
                        Err(why) => return Err(Stop::CannotWait(why)),
                    },
                }
            }
        })
    }

    /// A future that ends when the step gives something. Dropping it loses nothing.
    pub(crate) fn pending<R, F>(self: &Arc<Self>, awaited: Awaited, step: F) -> Pending<'_, P, F>
    where
        F: FnMut(&mut P, &mut Peers) -> Option<R>,
    {
        Pending {
            place: Place::new(self, awaited),
            step,
        }
    }

    /// Tries, and stands in line if it was in vain; `tried`: it was, and the lock is still held.
    fn poll<R>(
        &self,
        mut tried: Option<SpinMutexGuard<'_, State<P>>>,
        awaited: Awaited,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        mut step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Poll<Result<R, Closed>> {
        loop {
            let mut effects = Effects::default();
            let (mut state, result) = match tried.take() {
                Some(state) => (state, Poll::Pending),
                None => {
                    let mut state = self.state.lock();
                    let result = state.attempt(&mut step);
                    (state, result)
                }
            };
            if result.is_ready()
                && let Some(ticket) = ticket.take()
            {
                state.waiters.leave(awaited, ticket, &mut effects);
            }
            let has_fetched = state.passed(awaited, result.is_ready(), &mut effects);
            let stands = result.is_pending() && !has_fetched;
            let is_alone = stands && ticket.is_none() && awaited == Awaited::Writable && state.peers.count() == 0;
            if stands {
                state.waiters.stand(awaited, ticket, waker, &mut effects);
            }
            state.settle_all(&*self.drive, &mut effects);
            drop(state);
            effects.run();
            if is_alone {
                self.feeds.tell(&Event::NoPeer);
            }
            if !has_fetched {
                return result;
            }
        }
    }

    #[inline(always)]
    fn step<R>(&self, effects: &mut Effects, step: impl FnOnce(&mut State<P>, &mut Effects) -> R) -> R {
        let mut state = self.state.lock();
        let result = step(&mut state, effects);
        state.settle_all(&*self.drive, effects);
        result
    }

    // -- the socket's life

    /// A peer that is dialed has its queue from now on, if this step attaches one.
    pub(crate) fn attach_with<E: From<Closed>>(
        &self,
        attach: impl FnOnce(&mut P, &mut Peers) -> Result<PeerId, E>,
    ) -> Result<PeerId, E> {
        let mut effects = Effects::default();
        let result = self.step(&mut effects, |state, _| {
            if !matches!(state.phase, Phase::Open) {
                return Err(Closed.into());
            }
            let id = attach(&mut state.pattern, &mut state.peers)?;
            state.pattern.attached(&mut state.peers, id);
            state.peers.wants.push(Want::Ready(Awaited::Writable));
            Ok(id)
        });
        effects.run();
        result
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Open)
    }

    /// The report of a socket that is closed to the last peer.
    pub(crate) fn report(&self) -> Option<CloseReport> {
        match &self.state.lock().phase {
            Phase::Closed(report) => Some(report.clone()),
            _ => None,
        }
    }

    /// Waits for the last peer of a socket that closes.
    pub(crate) fn wait_closed(&self, deadline: Option<Instant>) -> Option<CloseReport> {
        if self.drive.may_wait().is_err() {
            return self.report();
        }
        Parker::with(|parker, waker| {
            let mut place = Place::new(self, Awaited::Detached);
            loop {
                parker.reset();
                let mut effects = Effects::default();
                let report = self.step(&mut effects, |state, effects| match &state.phase {
                    Phase::Closed(report) => Some(report.clone()),
                    _ => {
                        state
                            .waiters
                            .stand(Awaited::Detached, &mut place.ticket, waker, effects);
                        None
                    }
                });
                effects.run();
                if report.is_some() {
                    return report;
                }
                if self.drive.wait(parker, deadline) != Ok(true) {
                    return None;
                }
            }
        })
    }

    pub(crate) fn stats(&self) -> SocketStats {
        let now = self.drive.now();
        let mut state = self.fetched();
        state.peers.clock(now);
        let mut stats = state.peers.stats();
        drop(state);
        let strangers = self.strangers.lock();
        stats.turned_away = strangers.turned_away;
        stats.failed_handshakes = strangers.failed;
        stats.untold_handshakes = strangers.untold;
        stats
    }

    /// What it knows of itself, with what others know of its endpoints.
    pub(crate) fn explain(&self, endpoints: Option<Vec<EndpointState>>) -> Explanation {
        let stats = self.stats();
        let state = self.state.lock();
        let facts = Facts {
            socket_type: P::TYPE,
            life: match state.phase {
                Phase::Open => Life::Open,
                Phase::Closing { .. } => Life::Closing,
                Phase::Closed(_) => Life::Closed,
            },
            endpoints,
            stats,
            topics: state.pattern.topics(),
        };
        drop(state);
        Explanation::new(facts)
    }

    pub(crate) fn monitor(&self) -> Monitor {
        self.feeds.add(Arc::clone(&self.drive))
    }

    pub(crate) fn options(&self) -> &Arc<Options> {
        &self.options
    }

    /// Changes what may be queued for each peer and of each peer, or a part of it. Who has room now is wanted.
    pub(crate) fn set_marks(&self, change: impl FnOnce(&mut Mark, &mut Mark)) {
        let mut effects = Effects::default();
        self.step(&mut effects, |state, _| state.peers.set_marks(change));
        effects.run();
    }

    pub(crate) fn set_linger(&self, linger: Duration) {
        *self.linger.lock() = linger;
    }

    /// Goes out of line; if it had been woken in vain, the next one is woken.
    fn leave(&self, awaited: Awaited, ticket: Ticket) {
        let mut effects = Effects::default();
        self.step(&mut effects, |state, effects| {
            if !state.waiters.leave(awaited, ticket, effects) {
                state.pass_on(awaited, effects);
            }
        });
        effects.run();
    }
}

/// A place in a line, left when it is dropped.
struct Place<'a, P: Pattern> {
    hub: &'a Hub<P>,
    awaited: Awaited,
    ticket: Option<Ticket>,
    /// It is a future's, which was told to wait.
    waiting: Option<Waiting>,
}

impl<'a, P: Pattern> Place<'a, P> {
    fn new(hub: &'a Hub<P>, awaited: Awaited) -> Self {
        Place {
            hub,
            awaited,
            ticket: None,
            waiting: None,
        }
    }
}

impl<P: Pattern> Drop for Place<'_, P> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.hub.leave(self.awaited, ticket);
        }
    }
}

/// A call that is waiting, as a future.
pub(crate) struct Pending<'a, P: Pattern, F> {
    place: Place<'a, P>,
    step: F,
}

impl<P: Pattern, F, R> Future for Pending<'_, P, F>
where
    F: FnMut(&mut P, &mut Peers) -> Option<R> + Unpin,
{
    type Output = Result<R, Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let place = &mut this.place;
        let result = place
            .hub
            .poll(None, place.awaited, &mut place.ticket, context.waker(), &mut this.step);
        if result.is_pending() {
            place.waiting.get_or_insert_with(|| Waiting::at(&place.hub.drive));
        }
        result
    }
}

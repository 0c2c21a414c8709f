//! Where application threads and the engine meet: one lock around a pure value.
//!
//! A [`Hub`] is one socket: its pattern, its peers and who waits for them. The lock is a leaf, held for a queue push or
//! to take a batch. What a step wants done outside comes out as [`Effects`] and is done when the lock is free.
//! [`Station`] is a hub as the engine sees it, [`Link`] is how a hub reaches a peer.

pub(crate) mod effects;
pub(crate) mod monitor;
mod pollable;
pub(crate) mod station;
pub(crate) mod waiters;
pub(crate) mod watchers;

pub(crate) use effects::{Ask, Effects};
pub use monitor::{Events, Monitor};
pub use pollable::Pollable;
pub(crate) use station::{Collected, Origin, Station};
pub(crate) use waiters::{CannotWait, Drive, block_on, deadline};
pub(crate) use watchers::{Readiness, Watched};

use crate::explain::{EndpointState, Explanation, Facts, Life};
use crate::failure::Failure;
use crate::monitor::Event;
use crate::options::{Mark, Options};
use crate::routing::{Awaited, Dropped, Pattern, PeerId, Peers, Want};
use crate::socket_type::SocketType::{Dealer, Pub, Pull, Push, Sub, XPub, XSub};
use crate::stats::{CloseReport, DropReason, SocketStats};
use crate::sync::{Mutex, Parker};
use crate::wire::Local;
use monitor::Feeds;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use waiters::{Ticket, Waiters};
use watchers::Watchers;

/// How a hub reaches a peer. Called with no lock of ours held; none of it waits.
pub(crate) trait Link: Send + Sync {
    /// There is something to take. Called by whoever made the queue not empty, once, until it was found empty again.
    fn flush(&self, pace: Pace);
    /// There is room again. Called once after the link was told that there is none.
    fn resume(&self);
    /// End it.
    fn sever(&self, failure: Failure);
    /// End it unless a byte comes within a second: the peer is PINGed. One that speaks a version without PING is let be,
    /// and while we do not read we do not judge. Over inproc a peer that is gone is known to be gone: nothing is done.
    fn challenge(&self);
}

/// How busy a socket is with sending: whether a message is better written at once or gathered with those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nothing was sent for a moment, or who sends has waited for an answer since.
    Quiet,
    /// A stream: a system call for each message would cost far more than the message.
    Stream,
}

/// One socket.
pub(crate) struct Hub<P> {
    state: Mutex<State<P>>,
    key: u64,
    local: Arc<Local>,
    options: Arc<Options>,
    /// As it was set last.
    linger: Mutex<Duration>,
    feeds: Arc<Feeds>,
    drive: Arc<dyn Drive>,
    /// Its descriptor, once somebody wanted one.
    pollable: Mutex<Option<Pollable>>,
}

struct State<P> {
    pattern: P,
    peers: Peers,
    /// By the index of the peer.
    links: Vec<Option<(PeerId, Arc<dyn Link>)>>,
    /// Stands for all who were turned away over inproc, and wait for a place. Over other transports they come back.
    turned_away: Option<Arc<dyn Link>>,
    waiters: Waiters,
    watchers: Watchers,
    /// When a queue was made not empty last. Of the whole socket: to each peer alone, taking turns looks quiet.
    last_sent: Option<Instant>,
    /// A receiver has found nothing since. Beside `last_sent` because a write may be interrupted for longer than that.
    was_awaited: bool,
    /// The monitors.
    feeds: Arc<Feeds>,
    phase: Phase,
}

enum Phase {
    Open,
    /// Verbs end with `Closed`; what is queued is still sent.
    Closing {
        report: CloseReport,
        /// The engine has no dialer, listener or session of this socket any more.
        is_engine_done: bool,
    },
    Closed(CloseReport),
}

/// The socket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// Why a waiting call ended without what it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Closed,
    TimedOut,
    CannotWait(CannotWait),
}

impl<P: Pattern> Hub<P> {
    pub(crate) fn new(pattern: P, options: Options, key: u64, drive: Arc<dyn Drive>) -> Self {
        let mut peers = Peers::new(options.send_mark, options.recv_mark);
        let sends = matches!(P::TYPE, Push | Dealer | Pub | XPub);
        let receives = matches!(P::TYPE, Pull | Dealer | Sub | XSub);
        peers.conflate(
            options.conflate.filter(|_| sends),
            options.conflate.filter(|_| receives),
        );
        let feeds = Arc::new(Feeds::new(options.monitor_events));
        Hub {
            state: Mutex::new(State {
                pattern,
                peers,
                links: Vec::new(),
                turned_away: None,
                waiters: Waiters::default(),
                watchers: Watchers::default(),
                last_sent: None,
                was_awaited: false,
                feeds: Arc::clone(&feeds),
                phase: Phase::Open,
            }),
            key,
            local: Arc::new(Local::new(P::TYPE, &options)),
            feeds,
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
        let mut effects = Effects::default();
        let result = self.step(&mut effects, |state, effects| {
            state.take(awaited, &mut None, &mut step, effects)
        });
        effects.run();
        result
    }

    /// Waits on this thread until the step gives something.
    pub(crate) fn wait<R>(
        &self,
        awaited: Awaited,
        deadline: Option<Instant>,
        mut step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Result<R, Stop> {
        match self.drive.may_wait() {
            Ok(()) => {}
            Err(why) => return Err(Stop::CannotWait(why)),
        }
        Parker::with(|parker, waker| {
            let mut place = Place::new(self, awaited);
            loop {
                parker.reset();
                match self.poll(awaited, &mut place.ticket, waker, &mut step) {
                    Poll::Ready(Ok(value)) => return Ok(value),
                    Poll::Ready(Err(Closed)) => return Err(Stop::Closed),
                    Poll::Pending if self.drive.wait(parker, deadline) => {}
                    Poll::Pending => return Err(Stop::TimedOut),
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

    /// Tries, and stands in line if it was in vain.
    fn poll<R>(
        &self,
        awaited: Awaited,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        mut step: impl FnMut(&mut P, &mut Peers) -> Option<R>,
    ) -> Poll<Result<R, Closed>> {
        let mut effects = Effects::default();
        let mut is_alone = false;
        let result = self.step(&mut effects, |state, effects| {
            let result = state.take(awaited, ticket, &mut step, effects);
            if result.is_pending() {
                is_alone = ticket.is_none() && awaited == Awaited::Writable && state.peers.count() == 0;
                state.waiters.stand(awaited, ticket, waker, effects);
            }
            result
        });
        effects.run();
        if is_alone {
            self.feeds.tell(&Event::NoPeer);
        }
        result
    }

    #[inline(always)]
    fn step<R>(&self, effects: &mut Effects, step: impl FnOnce(&mut State<P>, &mut Effects) -> R) -> R {
        let mut state = self.state.lock();
        let result = step(&mut state, effects);
        if !state.peers.wants.is_empty() {
            state.settle(&*self.drive, effects);
        }
        if !state.watchers.is_empty() {
            state.tell_watchers(effects);
        }
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
                if !self.drive.wait(parker, deadline) {
                    return None;
                }
            }
        })
    }

    pub(crate) fn stats(&self) -> SocketStats {
        let now = self.drive.now();
        let mut state = self.state.lock();
        state.peers.clock(now);
        state.peers.stats()
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

impl<P: Pattern> State<P> {
    /// Takes what a step gives, goes out of line for it, and lets the next in line have what is left.
    #[inline(always)]
    fn take<R>(
        &mut self,
        awaited: Awaited,
        ticket: &mut Option<Ticket>,
        step: &mut impl FnMut(&mut P, &mut Peers) -> Option<R>,
        effects: &mut Effects,
    ) -> Poll<Result<R, Closed>> {
        if !matches!(self.phase, Phase::Open) {
            return Poll::Ready(Err(Closed));
        }
        let Some(value) = step(&mut self.pattern, &mut self.peers) else {
            self.was_awaited |= !matches!(awaited, Awaited::Writable | Awaited::WritablePeer(_));
            return Poll::Pending;
        };
        if let Some(ticket) = ticket.take() {
            self.waiters.leave(awaited, ticket, effects);
        }
        self.pass_on(awaited, effects);
        Poll::Ready(Ok(value))
    }

    /// Wakes the next in line if it would find what it waits for.
    #[inline]
    fn pass_on(&mut self, awaited: Awaited, effects: &mut Effects) {
        if !self.waiters.is_empty(awaited) && self.pattern.is_ready(awaited) {
            self.waiters.wake_first(awaited, effects);
        }
    }

    /// Turns what routing wants into effects on links and wakers.
    fn settle(&mut self, drive: &dyn Drive, effects: &mut Effects) {
        let (mut pace, mut now) = (None, None);
        while !self.peers.wants.is_empty() {
            let mut wants = std::mem::take(&mut self.peers.wants);
            if wants.len() > FEW && wants.iter().filter(|want| matches!(want, Want::Flush(_))).count() > FEW {
                // As many system calls in a row are no direct write any more: the loop takes them beside this thread.
                self.pace(drive.now());
                pace = Some(Pace::Stream);
            }
            for want in wants.drain(..) {
                match want {
                    Want::Flush(id) => {
                        let now = *now.get_or_insert_with(|| drive.now());
                        self.peers.clock(now);
                        let pace = *pace.get_or_insert_with(|| self.pace(now));
                        self.ask(id, Ask::Flush(pace), effects);
                    }
                    Want::Time(id) => self.peers.time(id, *now.get_or_insert_with(|| drive.now())),
                    Want::Resume(id) => {
                        self.peers.time(id, *now.get_or_insert_with(|| drive.now()));
                        self.ask(id, Ask::Resume, effects);
                    }
                    Want::Room(id) => {
                        self.peers.time(id, *now.get_or_insert_with(|| drive.now()));
                        self.pattern.has_room(&mut self.peers, id);
                        self.waiters.wake_first(Awaited::Writable, effects);
                    }
                    Want::Forget(id) => self.unlink(id),
                    Want::Admit => {
                        if let Some(waiting) = self.turned_away.take() {
                            effects.ask(waiting, Ask::Resume);
                        }
                    }
                    Want::Drop(message) => effects.drop_later(Dropped::messages(vec![message])),
                    Want::Ready(awaited) => self.waiters.wake_first(awaited, effects),
                    Want::ReadyAll(awaited) => self.waiters.wake_line(awaited, effects),
                    Want::Sever(id, failure) => self.ask(id, Ask::Sever(failure), effects),
                    Want::Challenge(id) => self.ask(id, Ask::Challenge, effects),
                    Want::Tell(event) => effects.tell(&self.feeds, event),
                }
            }
            if self.peers.wants.is_empty() {
                // Kept for its memory.
                self.peers.wants = wants;
            }
        }
    }

    /// Asked by who makes a queue not empty.
    fn pace(&mut self, now: Instant) -> Pace {
        let since = self
            .last_sent
            .replace(now)
            .map(|last| now.saturating_duration_since(last));
        if std::mem::take(&mut self.was_awaited) || since.is_none_or(|since| since >= QUIET) {
            Pace::Quiet
        } else {
            Pace::Stream
        }
    }

    fn ask(&self, id: PeerId, ask: Ask, effects: &mut Effects) {
        if let Some(Some((owner, link))) = self.links.get(id.index())
            && *owner == id
        {
            effects.ask(Arc::clone(link), ask);
        }
    }

    fn link(&mut self, id: PeerId, link: Arc<dyn Link>) {
        if self.links.len() <= id.index() {
            self.links.resize_with(id.index() + 1, || None);
        }
        if let Some(place) = self.links.get_mut(id.index()) {
            *place = Some((id, link));
        }
    }

    fn unlink(&mut self, id: PeerId) {
        if let Some(place) = self.links.get_mut(id.index())
            && place.as_ref().is_some_and(|(owner, _)| *owner == id)
        {
            *place = None;
        }
    }

    /// Closes for good once the engine is done and no peer is left.
    fn finish(&mut self, effects: &mut Effects) -> bool {
        let Phase::Closing {
            report,
            is_engine_done: true,
        } = &mut self.phase
        else {
            return false;
        };
        if self.peers.count() > 0 {
            return false;
        }
        effects.drop_later(self.pattern.abandon(&mut self.peers));
        let out = self.peers.stats().out;
        for (reason, count) in out.dropped.iter() {
            let of_peers: u64 = report.peers.iter().map(|peer| peer.dropped.of(reason)).sum();
            let without_peer = count.saturating_sub(report.gone_dropped.of(reason) + of_peers);
            report.without_peer.add(reason, without_peer);
        }
        debug_assert_eq!(
            report.written() + report.dropped(),
            out.taken,
            "a closed socket has written or dropped all that it took on"
        );
        self.phase = Phase::Closed(std::mem::take(report));
        self.waiters.wake_all(effects);
        true
    }

    /// Drops what is unread, of all peers.
    fn drop_unread(&mut self) -> Dropped {
        let mut dropped = Dropped::default();
        for id in self.peers.ids() {
            dropped.merge(self.peers.drop_incoming(id, DropReason::Closed));
            self.peers.forget_if_over(id);
        }
        dropped
    }
}

/// A place in a line, left when it is dropped.
struct Place<'a, P: Pattern> {
    hub: &'a Hub<P>,
    awaited: Awaited,
    ticket: Option<Ticket>,
    /// Who was told that this is a future, and that it waits.
    driver: Option<&'a dyn Drive>,
}

impl<'a, P: Pattern> Place<'a, P> {
    fn new(hub: &'a Hub<P>, awaited: Awaited) -> Self {
        Place {
            hub,
            awaited,
            ticket: None,
            driver: None,
        }
    }
}

impl<P: Pattern> Drop for Place<'_, P> {
    fn drop(&mut self) {
        if let Some(driver) = self.driver {
            driver.future_is_over();
        }
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
            .poll(place.awaited, &mut place.ticket, context.waker(), &mut this.step);
        if result.is_pending() && place.driver.is_none() {
            place.driver = Some(&*place.hub.drive);
            place.hub.drive.future_waits();
        }
        result
    }
}

/// Peers that a message is written to directly, one after the other.
const FEW: usize = 4;
/// A queue that was not made "not empty" for so long is quiet. At 64 bytes a stream has a message in each 0.1 us.
const QUIET: Duration = Duration::from_micros(5);

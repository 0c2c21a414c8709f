//! Joins hub, wire and transport: sessions, dialers, listeners and their timers.
//!
//! Generic over [`Net`], so the simulated world runs what ships. It has no loop of its own: it is told what happened
//! (`on_event`, `on_note`, `on_timeout`) and what time it is, does a bounded piece of work, and says until when nothing is
//! to be done ([`Engine::deadline`]).

mod accepting;
mod admission;
mod bucket;
mod closing;
mod dialer;
mod dialing;
mod gate;
mod glances;
pub(crate) mod inproc;
mod inspecting;
mod life;
pub(crate) mod notes;
pub(crate) mod reactor;
pub(crate) mod seat;
mod serving;
mod session;
mod slots;
pub(crate) mod spin;
mod strangers;
mod timers;

use crate::batch::Buffers;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, Stage};
use crate::hub::{Ask, Effects, Link, Station};
use crate::stats::LoopStats;
use crate::transport::Net;
use accepting::Listener;
use dialer::Dialer;
use life::Life;
use notes::Note;
use seat::Seat;
use session::Session;
use slots::Slots;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use timers::{Timer, Timers};

/// All connections of one context.
pub(crate) struct Engine<N: Net> {
    net: N,
    seat: Arc<Seat<N>>,
    slots: Slots<Slot<N>>,
    timers: Timers,
    /// Slots that stopped at their budget, each once, oldest first.
    ready: VecDeque<usize>,
    /// What belongs to which socket.
    members: BTreeMap<u64, Member>,
    buffers: Buffers,
    /// A handshake came further since this was asked last.
    was_greeted: bool,
    latest: Latest,
    /// What was done; the rest is counted when somebody asks.
    counts: LoopStats,
}

/// The session that something was read from last.
#[derive(Debug, Default)]
struct Latest {
    token: Option<usize>,
    /// What was read before came from it, too.
    is_again: bool,
}

enum Slot<N: Net> {
    /// Boxed, as a dialer is: both are larger than a session, of which there are many.
    Listener(Box<Listener<N>>),
    Dialer(Box<Dialer>),
    Session(Entry<N>),
    /// Links that only their sockets know (inproc) and that are to end, at the linger time at the latest. They may be over
    /// before.
    Lingering(Vec<Arc<dyn Link>>),
    /// A socket that wants to be called at a time.
    Alarm(Arc<dyn Station>),
}

/// A session, and what only the engine knows of it.
struct Entry<N: Net> {
    session: Arc<Session<N>>,
    station: Arc<dyn Station>,
    owner: Owner,
    endpoint: Arc<Endpoint>,
    /// The peer's address, for people.
    remote: Arc<str>,
    phase: Phase,
    /// It stands in `ready`.
    is_queued: bool,
    wants_read: bool,
    wants_write: bool,
    /// `None`: it is of a version without PING, and nothing is asked or waited for.
    life: Option<Box<Life>>,
    /// Writing failed, or the peer was refused: the reason that its end is to be told with.
    failure: Option<Box<Failure>>,
}

/// Who hears of a session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Dialer(usize),
    Listener(Arrival),
}

/// How a session came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrival {
    /// It may be gone.
    listener: usize,
    /// Which of those that came by it.
    number: u64,
    /// Its address, where connections of one are limited.
    address: Option<IpAddr>,
    /// Among those of its socket.
    is_counted: bool,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// The proxy is to connect us.
    Proxy,
    Handshake,
    /// It has shown a wrong password, and is told so in a moment: who guesses is to wait for each answer. Nothing is read.
    Denied,
    Traffic,
    /// Our side writes what is left, shuts, and reads to the peer's end.
    Ending,
}

/// A connection that ended before it was ready.
struct Failed {
    endpoint: Arc<Endpoint>,
    peer: Arc<str>,
    stage: Stage,
    failure: Failure,
}

/// What belongs to one socket.
struct Member {
    station: Arc<dyn Station>,
    tokens: BTreeSet<usize>,
    is_closing: bool,
    /// The slot of its links that linger, while it closes.
    lingering: Option<usize>,
    /// The slot of its alarm, while there is one.
    alarm: Option<usize>,
    /// Connections that came, until their end.
    accepted: usize,
    /// The same by address, where that is limited; none is 0.
    by_address: BTreeMap<IpAddr, usize>,
    /// Who came last and was no peer, or was one until its own fault ended it: to which endpoint, how far, and why not.
    last_turned_away: Option<(Arc<Endpoint>, Stage, Failure)>,
}

impl Member {
    fn new(station: &Arc<dyn Station>) -> Self {
        Member {
            station: Arc::clone(station),
            tokens: BTreeSet::new(),
            is_closing: false,
            lingering: None,
            alarm: None,
            accepted: 0,
            by_address: BTreeMap::new(),
            last_turned_away: None,
        }
    }
}

/// What the system reported about a stream or listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer's end of stream, or an error.
    pub(crate) hung_up: bool,
}

impl<N: Net> Engine<N> {
    pub(crate) fn new(net: N, seat: Arc<Seat<N>>) -> Self {
        Engine {
            net,
            seat,
            slots: Slots::new(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            members: BTreeMap::new(),
            buffers: Buffers::default(),
            was_greeted: false,
            latest: Latest::default(),
            counts: LoopStats::default(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.net.now()
    }

    /// Until when nothing is to be done if nothing happens; `None`: for ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Whether several peers send more than a turn takes.
    pub(crate) fn is_flooded(&self) -> bool {
        self.ready.len() > 1
    }

    /// Whether a handshake came further since this was asked last.
    pub(crate) fn was_greeted(&mut self) -> bool {
        std::mem::take(&mut self.was_greeted)
    }

    /// Whether something stopped at its budget and goes on with [`Engine::on_ready`].
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    // -- what happened

    pub(crate) fn on_event(&mut self, token: usize, readiness: Readiness, now: Instant, effects: &mut Effects) {
        match self.slots.get_mut(token) {
            Some(Slot::Listener(_)) => self.accept(token, now, effects),
            Some(Slot::Session(entry)) => {
                if readiness.hung_up {
                    entry.session.hang_up();
                }
                match entry.phase {
                    Phase::Connecting => return self.check_connected(token, now, effects),
                    // Nobody is there to be told.
                    Phase::Denied if readiness.hung_up => return self.end(token, Failure::ClosedByPeer, now, effects),
                    _ => {}
                }
                entry.wants_read |= readiness.readable || readiness.hung_up;
                entry.wants_write |= readiness.writable && entry.session.take_blocked();
                self.serve(token, now, effects);
            }
            Some(Slot::Dialer(_) | Slot::Lingering(_) | Slot::Alarm(_)) | None => {}
        }
    }

    /// Looks whether there is more where the last two came from, without an event that says so. `None`: they came from two
    /// places, or something else is to be done first.
    pub(crate) fn glance(&mut self, now: Instant, effects: &mut Effects) -> Option<bool> {
        let token = self.latest.token.filter(|_| self.latest.is_again)?;
        match self.slots.get_mut(token) {
            Some(Slot::Session(entry)) if entry.phase == Phase::Traffic && self.ready.is_empty() => {
                entry.wants_read = true;
                Some(self.serve(token, now, effects))
            }
            _ => None,
        }
    }

    /// A session has something to write.
    pub(crate) fn on_flush(&mut self, session: &Session<N>, now: Instant, effects: &mut Effects) {
        if let Some(Slot::Session(entry)) = self.slots.get_mut(session.token) {
            entry.wants_write = true;
            self.serve(session.token, now, effects);
        }
    }

    pub(crate) fn on_note(&mut self, note: Note<N>, now: Instant, effects: &mut Effects) {
        self.counts.notes += 1;
        match note {
            Note::Serve(session) => self.on_flush(&session, now, effects),
            Note::Resume(session) => {
                if let Some(Slot::Session(entry)) = self.slots.get_mut(session.token) {
                    entry.wants_read = true;
                    self.serve(session.token, now, effects);
                }
            }
            Note::Sever(session, failure) => self.end(session.token, failure, now, effects),
            Note::Challenge(session) => self.challenge(session.token, now, effects),
            Note::Listen {
                station,
                listener,
                endpoint,
            } => self.listen(station, listener, endpoint, now, effects),
            Note::Dial {
                station,
                peer,
                endpoint,
            } => self.dial(station, peer, endpoint, now, effects),
            Note::Unbind {
                key,
                endpoint,
                with_connections,
                answer,
            } => answer.give(self.unbind(key, &endpoint, with_connections, now, effects)),
            Note::Disconnect { key, endpoint, answer } => answer.give(self.disconnect(key, &endpoint, now, effects)),
            Note::Close {
                station,
                links,
                deadline,
            } => {
                let lingering = self.linger(links, deadline);
                self.close(&station, lingering, deadline, now, effects);
            }
            Note::Linger { links, deadline } => {
                self.linger(links, Some(deadline));
            }
            Note::Explain { key, answer } => answer.give(self.explain(key, now)),
            Note::Count { answer } => answer.give(self.count()),
            Note::Alarm { station, at } => self.set_alarm(&station, at),
            Note::Judged(session, verdict) => self.judged(&session, verdict, now, effects),
            Note::Resolved { token, result } => self.resolved(token, result, now, effects),
        }
    }

    /// Goes on with one that stopped at its budget.
    pub(crate) fn on_ready(&mut self, now: Instant, effects: &mut Effects) {
        let Some(token) = self.ready.pop_front() else { return };
        match self.slots.get_mut(token) {
            Some(Slot::Session(entry)) => {
                entry.is_queued = false;
                self.serve(token, now, effects);
            }
            Some(Slot::Listener(_)) => self.accept(token, now, effects),
            _ => {}
        }
    }

    /// Does what is due. `false`: nothing was.
    pub(crate) fn on_timeout(&mut self, now: Instant, effects: &mut Effects) -> bool {
        let Some((token, timer)) = self.timers.pop_due(now) else {
            return false;
        };
        let timed_out = |what, limit| Failure::TimedOut { what, limit };
        match (timer, self.slots.get_mut(token)) {
            (Timer::Connect, Some(Slot::Session(entry))) => {
                let failure = timed_out("connecting", entry.station.options().connect_timeout);
                self.end(token, failure, now, effects);
            }
            (Timer::Handshake, Some(Slot::Session(entry))) => {
                let failure = timed_out("the handshake", entry.station.options().handshake_timeout);
                self.end(token, failure, now, effects);
            }
            (Timer::Denial, Some(Slot::Session(_))) => self.tell_denied(token, now, effects),
            (Timer::Linger, Some(Slot::Session(_))) => self.end(token, Failure::ClosedHere, now, effects),
            (Timer::Linger, Some(Slot::Dialer(_))) => self.drop_dialer(token, false, now, effects),
            (Timer::Linger, Some(Slot::Lingering(links))) => {
                for link in links.drain(..) {
                    effects.ask(link, Ask::Sever(Failure::ClosedHere));
                }
                self.slots.remove(token);
            }
            (Timer::Life, Some(Slot::Session(_))) => self.look_for_life(token, now, effects),
            (Timer::Alarm, Some(Slot::Alarm(station))) => match Arc::clone(station).on_alarm(now, effects) {
                Some(next) => self.timers.set(token, Timer::Alarm, Some(next)),
                None => self.drop_alarm(token, effects),
            },
            (Timer::Retry, Some(Slot::Dialer(_))) => self.attempt(token, now, effects),
            (Timer::Accept, Some(Slot::Listener(_))) => self.accept(token, now, effects),
            _ => {}
        }
        true
    }

    /// A socket wants to be called. Each has one alarm: a second is for an earlier time.
    fn set_alarm(&mut self, station: &Arc<dyn Station>, at: Instant) {
        if station.is_closing() {
            return;
        }
        let known = self.members.get(&station.key()).and_then(|member| member.alarm);
        let token = known.unwrap_or_else(|| self.slots.insert(Slot::Alarm(Arc::clone(station))));
        self.join(station, token);
        if let Some(member) = self.members.get_mut(&station.key()) {
            member.alarm = Some(token);
        }
        self.timers.set(token, Timer::Alarm, Some(at));
    }

    /// Nothing more is to be called.
    fn drop_alarm(&mut self, token: usize, effects: &mut Effects) {
        self.timers.clear_all(token);
        if let Some(Slot::Alarm(station)) = self.slots.remove(token) {
            if let Some(member) = self.members.get_mut(&station.key()) {
                member.alarm = None;
            }
            self.leave(&station, token, effects);
        }
    }

    // -- what belongs to which socket

    fn join(&mut self, station: &Arc<dyn Station>, token: usize) {
        self.members
            .entry(station.key())
            .or_insert_with(|| Member::new(station))
            .tokens
            .insert(token);
    }

    fn leave(&mut self, station: &Arc<dyn Station>, token: usize, effects: &mut Effects) {
        if let Some(member) = self.members.get_mut(&station.key()) {
            member.tokens.remove(&token);
        }
        self.forget_if_empty(station.key(), effects);
    }

    fn forget_if_empty(&mut self, key: u64, effects: &mut Effects) {
        let Some(member) = self.members.get(&key) else { return };
        if member.tokens.is_empty()
            && let Some(member) = self.members.remove(&key)
            && member.is_closing
        {
            member.station.engine_done(effects);
            match member.lingering {
                Some(token) if member.station.is_closed() => {
                    self.timers.clear_all(token);
                    self.slots.remove(token);
                }
                _ => {}
            }
        }
    }
}

//! Joins hub, wire and transport: sessions, dialers, listeners and their timers.
//!
//! Generic over [`Net`], so the simulated world runs what ships. It has no loop of its own: it is told what happened
//! (`on_event`, `on_note`, `on_timeout`) and what time it is, does a bounded piece of work, and says until when nothing is
//! to be done ([`Engine::deadline`]).

mod accepting;
mod closing;
mod dialer;
mod dialing;
pub(crate) mod inproc;
pub(crate) mod notes;
pub(crate) mod reactor;
pub(crate) mod seat;
mod session;
mod slots;
mod spin;
mod timers;

use crate::batch::Buffers;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, Stage};
use crate::hub::{Ask, Effects, Link, Station};
use crate::monitor::Event;
use crate::transport::{Net, Stream};
use accepting::Listener;
use dialer::Dialer;
use notes::Note;
use seat::Seat;
use session::{Filled, Flushed, Found, Session};
use slots::Slots;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
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
}

enum Slot<N: Net> {
    Listener(Listener<N>),
    Dialer(Dialer),
    Session(Entry<N>),
    /// A socket that closes and has links that only it knows (inproc): they end with its linger time.
    Expiring(Arc<dyn Station>),
    /// Links that only their sockets know and that are to end, at the linger time at the latest. They may be over before.
    Lingering(Vec<Arc<dyn Link>>),
}

/// A session, and what only the engine knows of it.
struct Entry<N: Net> {
    session: Arc<Session<N>>,
    station: Arc<dyn Station>,
    owner: Owner,
    endpoint: Endpoint,
    /// The peer's address, for people.
    remote: String,
    phase: Phase,
    /// It stands in `ready`.
    is_queued: bool,
    wants_read: bool,
    wants_write: bool,
    /// Writing failed, or the peer was refused: the reason that its end is to be told with.
    failure: Option<Failure>,
}

/// Who hears of a session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Dialer(usize),
    Listener,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Handshake,
    Traffic,
    /// Our side writes what is left, shuts, and reads to the peer's end.
    Ending,
}

/// What belongs to one socket.
struct Member {
    station: Arc<dyn Station>,
    tokens: BTreeSet<usize>,
    is_closing: bool,
    /// Its slot of that kind, while it closes.
    expiring: Option<usize>,
}

impl Member {
    fn new(station: &Arc<dyn Station>) -> Self {
        Member {
            station: Arc::clone(station),
            tokens: BTreeSet::new(),
            is_closing: false,
            expiring: None,
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
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.net.now()
    }

    /// Until when nothing is to be done if nothing happens; `None`: for ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.next()
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
                if entry.phase == Phase::Connecting {
                    self.check_connected(token, now, effects);
                    return;
                }
                entry.wants_read |= readiness.readable || readiness.hung_up;
                entry.wants_write |= readiness.writable && entry.session.take_blocked();
                self.serve(token, now, effects);
            }
            Some(Slot::Dialer(_) | Slot::Expiring(_) | Slot::Lingering(_)) | None => {}
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
        match note {
            Note::Serve(session) => self.on_flush(&session, now, effects),
            Note::Resume(session) => {
                if let Some(Slot::Session(entry)) = self.slots.get_mut(session.token) {
                    entry.wants_read = true;
                    self.serve(session.token, now, effects);
                }
            }
            Note::Sever(session, failure) => self.end(session.token, failure, now, effects),
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
            Note::Close { station, deadline } => self.close(&station, deadline, now, effects),
            Note::Linger { links, deadline } => self.linger(links, deadline),
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
            (Timer::Linger, Some(Slot::Session(_))) => self.end(token, Failure::ClosedHere, now, effects),
            (Timer::Linger, Some(Slot::Dialer(_))) => self.drop_dialer(token, false, now, effects),
            (Timer::Linger, Some(Slot::Expiring(station))) => {
                station.expire(effects);
                self.slots.remove(token);
            }
            (Timer::Linger, Some(Slot::Lingering(links))) => {
                for link in links.drain(..) {
                    effects.ask(link, Ask::Sever(Failure::ClosedHere));
                }
                self.slots.remove(token);
            }
            (Timer::Retry, Some(Slot::Dialer(_))) => self.attempt(token, now, effects),
            (Timer::Accept, Some(Slot::Listener(_))) => self.accept(token, now, effects),
            _ => {}
        }
        true
    }

    // -- sessions

    /// A stream came about, or is on its way: a session speaks for it.
    #[expect(clippy::too_many_arguments, reason = "all of a session's facts, known at once")]
    fn begin_session(
        &mut self,
        stream: N::Stream,
        station: &Arc<dyn Station>,
        owner: Owner,
        origin: crate::hub::Origin,
        endpoint: Endpoint,
        remote: String,
        phase: Phase,
    ) -> usize {
        let token = self.slots.next_token();
        let session = Session::new(token, stream, Arc::clone(station), Arc::clone(&self.seat), origin);
        session.transmit();
        self.slots.insert(Slot::Session(Entry {
            session,
            station: Arc::clone(station),
            owner,
            endpoint,
            remote,
            phase,
            is_queued: false,
            wants_read: false,
            wants_write: false,
            failure: None,
        }));
        self.join(station, token);
        token
    }

    /// Its stream is open: greets, within the time that a handshake may take.
    fn begin_handshake(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        entry.phase = Phase::Handshake;
        entry.wants_write = true;
        entry.wants_read = true;
        entry.session.open();
        let deadline = now.checked_add(entry.station.options().handshake_timeout);
        self.timers.set(token, Timer::Handshake, deadline);
        self.serve(token, now, effects);
    }

    /// Reads and writes what is wanted, within the budgets.
    fn serve(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        if entry.phase == Phase::Connecting {
            return;
        }
        let session = Arc::clone(&entry.session);
        if std::mem::take(&mut entry.wants_read) {
            let mut found = Found::default();
            let filled = session.fill(&mut self.buffers, effects, &mut found);
            entry.wants_read = filled == Filled::More;
            entry.wants_write |= found.has_output;
            if found.is_ready {
                self.became_ready(token);
            }
            if let Filled::End(failure) = filled {
                self.read_ended(token, failure, now, effects);
                return;
            }
        }
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        if std::mem::take(&mut entry.wants_write) {
            match session.flush(effects) {
                Ok(Flushed::Done) => {
                    if session.is_shut() && entry.phase == Phase::Ending {
                        session.discard_input();
                    }
                }
                Ok(Flushed::More) => entry.wants_write = true,
                Err(failure) => {
                    // What the peer sent before is still read: the read side meets the end too.
                    if entry.failure.replace(failure).is_none() {
                        entry.wants_read = true;
                        session.hang_up();
                    }
                }
            }
        }
        if (entry.wants_read || entry.wants_write) && !entry.is_queued {
            entry.is_queued = true;
            self.ready.push_back(token);
        }
    }

    fn became_ready(&mut self, token: usize) {
        self.timers.clear(token, Timer::Handshake);
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        entry.phase = Phase::Traffic;
        let event = Event::Connected {
            endpoint: entry.endpoint.clone(),
            peer: entry.remote.clone(),
        };
        entry.station.tell(event);
        let session = Arc::clone(&entry.session);
        if let Owner::Dialer(dialer) = entry.owner
            && let Some(Slot::Dialer(dialer)) = self.slots.get_mut(dialer)
        {
            dialer.was_ready();
            if let Some(ending) = dialer.ending {
                // It came about only for what still waits for the peer.
                session.end_when_flushed();
                self.timers.set(token, Timer::Linger, ending.deadline);
                if let Some(Slot::Session(entry)) = self.slots.get_mut(token) {
                    entry.phase = Phase::Ending;
                }
            }
        }
    }

    /// The read side met the end of the stream, or refuses what came.
    fn read_ended(&mut self, token: usize, failure: Failure, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        let is_over = matches!(
            failure,
            Failure::ClosedByPeer | Failure::CutShort { .. } | Failure::Io { .. }
        );
        if is_over || entry.failure.is_some() || entry.phase == Phase::Ending {
            let failure = entry.failure.take().unwrap_or(failure);
            self.end(token, failure, now, effects);
            return;
        }
        // We end it. What is left to be said (an ERROR) goes out first, and what the peer still sends is read to its
        // end: a close with unread bytes would make the kernel throw our last words away.
        let session = Arc::clone(&entry.session);
        entry.failure = Some(failure.clone());
        if entry.phase == Phase::Handshake && session.peer().is_none() {
            session.transmit();
            session.end_when_flushed();
            session.discard_input();
            if session.flush(effects).is_ok() && session.is_shut() {
                self.timers.set(token, Timer::Handshake, now.checked_add(LAST_WORDS));
                if let Some(Slot::Session(entry)) = self.slots.get_mut(token) {
                    entry.wants_read = true;
                    entry.is_queued = true;
                    self.ready.push_back(token);
                }
                return;
            }
        }
        self.end(token, failure, now, effects);
    }

    /// A session is over: what it had not written goes back, and its owner is told.
    fn end(&mut self, token: usize, failure: Failure, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(_)) = self.slots.get_mut(token) else {
            return;
        };
        let Some(Slot::Session(mut entry)) = self.slots.remove(token) else {
            return;
        };
        self.timers.clear_all(token);
        let failure = entry.failure.take().unwrap_or(failure);
        let session = &entry.session;
        let stage = session.stage();
        let peer = session.peer();
        let is_confirmed = session.is_shut() && failure == Failure::ClosedByPeer;
        let unwritten = session.take_unwritten();
        let event = match (entry.phase, peer) {
            (_, Some(id)) => {
                entry.station.moved(id, session.take_done(), effects);
                entry.station.lost(id, unwritten, &failure, effects);
                Event::Disconnected {
                    endpoint: entry.endpoint.clone(),
                    peer: entry.remote.clone(),
                    failure: failure.clone(),
                    written: session.messages_written(),
                }
            }
            (Phase::Connecting, None) => Event::ConnectFailed {
                endpoint: entry.endpoint.clone(),
                failure: failure.clone(),
            },
            (_, None) => Event::HandshakeFailed {
                endpoint: entry.endpoint.clone(),
                peer: entry.remote.clone(),
                stage: stage.max(Stage::Greeting),
                failure: failure.clone(),
            },
        };
        entry.station.tell(event);
        match (entry.owner, peer) {
            (Owner::Dialer(dialer), _) => {
                self.dialer_lost(
                    dialer,
                    &failure,
                    entry.phase == Phase::Connecting,
                    is_confirmed,
                    now,
                    effects,
                );
            }
            (Owner::Listener, Some(id)) => entry.station.detach(id, is_confirmed, effects),
            (Owner::Listener, None) => {}
        }
        self.leave(&entry.station, token, effects);
    }

    /// A stream that was on its way reached its peer, or did not.
    fn check_connected(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        match entry.session.stream.connected() {
            Ok(None) => {}
            Ok(Some(reached)) if reached.itself => self.end(token, Failure::ConnectedToItself, now, effects),
            Ok(Some(reached)) => {
                entry.remote = reached.remote;
                self.timers.clear(token, Timer::Connect);
                self.begin_handshake(token, now, effects);
            }
            Err(error) => self.end(token, Failure::io(&error), now, effects),
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
            match member.expiring {
                Some(token) if member.station.is_closed() => {
                    self.timers.clear_all(token);
                    self.slots.remove(token);
                }
                _ => {}
            }
        }
    }
}

/// How long a peer that was refused may take to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);

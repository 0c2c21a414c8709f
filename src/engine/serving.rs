//! A session's life as the engine leads it: from a stream that comes about to the end that its owner is told of.

use super::session::{Filled, Flushed, Found, Session};
use super::timers::Timer;
use super::{Engine, Entry, Failed, Latest, Owner, Phase, Slot};
use crate::endpoint::Endpoint;
use crate::failure::{Failure, Fault, Stage};
use crate::hub::{Ask, Effects, Station};
use crate::monitor::Event;
use crate::routing::PeerId;
use crate::transport::{Net, Stream};
use crate::wire::{Fresh, Heard, Pulse};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl<N: Net> Engine<N> {
    /// A stream came about, or is on its way: a session speaks for it.
    #[expect(clippy::too_many_arguments, reason = "all of a session's facts, known at once")]
    pub(super) fn begin_session(
        &mut self,
        stream: N::Stream,
        station: &Arc<dyn Station>,
        owner: Owner,
        origin: crate::hub::Origin,
        endpoint: Arc<Endpoint>,
        remote: Arc<str>,
        phase: Phase,
    ) -> usize {
        let token = self.slots.next_token();
        let mut fresh = Fresh::for_role(&station.local().role);
        // Without chance there are no keys, and the handshake ends with that: all zeros would be known to everybody.
        if let Some(secret) = fresh.as_mut()
            && self.net.secret(secret).is_err()
        {
            fresh = Fresh::none();
        }
        let session = Session::new(
            token,
            stream,
            Arc::clone(station),
            Arc::clone(&self.seat),
            origin,
            fresh,
        );
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
            life: None,
            failure: None,
        }));
        self.join(station, token);
        token
    }

    /// Its stream is open: greets, within the time that a handshake may take.
    pub(super) fn begin_handshake(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        entry.wants_write = true;
        entry.wants_read = true;
        entry.session.transmit();
        entry.session.open();
        if entry.session.is_at_proxy() {
            // Still within the time that connecting may take.
            entry.phase = Phase::Proxy;
        } else {
            self.await_handshake(token, now);
        }
        self.serve(token, now, effects);
    }

    /// The peer's greeting is next.
    fn await_handshake(&mut self, token: usize, now: Instant) {
        self.timers.clear(token, Timer::Connect);
        if let Some(Slot::Session(entry)) = self.slots.get_mut(token) {
            entry.phase = Phase::Handshake;
            let deadline = now.checked_add(entry.station.options().handshake_timeout);
            self.timers.set(token, Timer::Handshake, deadline);
        }
    }

    /// Reads and writes what is wanted, within the budgets. Gives whether something was read.
    pub(super) fn serve(&mut self, token: usize, now: Instant, effects: &mut Effects) -> bool {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return false;
        };
        if entry.phase == Phase::Connecting {
            return false;
        }
        let session = Arc::clone(&entry.session);
        let mut has_read = false;
        if std::mem::take(&mut entry.wants_read) && entry.phase != Phase::Denied {
            let mut found = Found::default();
            self.was_greeted |= entry.phase == Phase::Handshake;
            let filled = session.fill(&mut self.buffers, effects, &mut found);
            entry.wants_read = filled == Filled::More;
            entry.wants_write |= found.has_output;
            has_read = found.has_read;
            if has_read {
                self.latest = Latest {
                    token: Some(token),
                    is_again: self.latest.token == Some(token),
                };
            }
            if let Some((authoriser, credentials)) = found.claim.take() {
                self.ask(token, authoriser, credentials);
            }
            if let Some(why) = found.denied.take() {
                self.deny(token, why, now);
            }
            if found.is_through {
                self.await_handshake(token, now);
            }
            if let Some(pulse) = found.ready {
                self.became_ready(token, pulse, now);
            }
            if found.heard != Heard::default() || filled == Filled::Paused {
                self.heard(token, found.heard, filled == Filled::Paused, now);
            }
            match filled {
                Filled::End(failure) => {
                    self.read_ended(token, failure, now, effects);
                    return has_read;
                }
                Filled::Done if !session.is_shut() => self.give_up_if_failed(token, now, effects),
                Filled::Done | Filled::More | Filled::Paused => {}
            }
        }
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return has_read;
        };
        if std::mem::take(&mut entry.wants_write) {
            match session.flush(effects) {
                Ok(Flushed::Done) if session.is_shut() => match entry.phase {
                    Phase::Ending if session.stream.is_datagrams() => {
                        // Nobody would answer the end.
                        self.end(token, Failure::ClosedHere, now, effects);
                        return has_read;
                    }
                    Phase::Ending => session.discard_input(),
                    Phase::Traffic => {
                        self.end_as_asked(token, now, effects);
                        return has_read;
                    }
                    _ => {}
                },
                Ok(Flushed::Done) => {}
                Ok(Flushed::More | Flushed::Little) => entry.wants_write = true,
                // The first failure is the reason.
                Err(_) if entry.failure.is_some() => {}
                Err(failure) => {
                    // What the peer sent before is still read: the read side meets the end too.
                    entry.failure = Some(Box::new(failure));
                    entry.wants_read = true;
                    session.hang_up();
                }
            }
        }
        if entry.wants_read || entry.wants_write {
            self.go_on_later(token);
        }
        has_read
    }

    /// Puts a session on the list of those that go on, unless it stands there.
    fn go_on_later(&mut self, token: usize) {
        if let Some(Slot::Session(entry)) = self.slots.get_mut(token)
            && !std::mem::replace(&mut entry.is_queued, true)
        {
            self.ready.push_back(token);
        }
    }

    /// Nothing more is to be read. If writing failed before, and still no end has come, none will: over IPC a peer can
    /// shut its reading side alone, and stay.
    fn give_up_if_failed(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        if let Some(Slot::Session(entry)) = self.slots.get_mut(token)
            && entry.phase != Phase::Denied
            && let Some(failure) = entry.failure.take()
        {
            self.end(token, *failure, now, effects);
        }
    }

    fn became_ready(&mut self, token: usize, pulse: Pulse, now: Instant) {
        self.timers.clear(token, Timer::Handshake);
        self.begin_life(token, pulse, now);
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        entry.phase = Phase::Traffic;
        let event = Event::Connected {
            endpoint: Endpoint::clone(&entry.endpoint),
            peer: entry.remote.to_string(),
        };
        entry.station.tell(event);
        let session = Arc::clone(&entry.session);
        let owner = entry.owner;
        if let Owner::Listener(arrival) = owner {
            self.is_no_stranger(arrival);
        }
        if let Owner::Dialer(dialer) = owner
            && let Some(Slot::Dialer(dialer)) = self.slots.get_mut(dialer)
        {
            dialer.was_ready(now);
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
    pub(super) fn read_ended(&mut self, token: usize, failure: Failure, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        let is_over = matches!(
            failure,
            Failure::ClosedByPeer | Failure::CutShort { .. } | Failure::Io { .. }
        );
        if is_over || entry.failure.is_some() || entry.phase == Phase::Ending {
            let failure = entry.failure.take().map_or(failure, |first| *first);
            self.end(token, failure, now, effects);
            return;
        }
        // We end it. What is left to be said (an ERROR) goes out first, and what the peer still sends is read to its
        // end: a close with unread bytes would make the kernel throw our last words away.
        let session = Arc::clone(&entry.session);
        entry.failure = Some(Box::new(failure.clone()));
        if entry.phase == Phase::Handshake && session.peer().is_none() {
            session.transmit();
            session.end_when_flushed();
            session.discard_input();
            if session.flush(effects).is_ok() && session.is_shut() {
                self.timers.set(token, Timer::Handshake, now.checked_add(LAST_WORDS));
                if let Some(Slot::Session(entry)) = self.slots.get_mut(token) {
                    entry.wants_read = true;
                }
                self.go_on_later(token);
                return;
            }
        }
        self.end(token, failure, now, effects);
    }

    /// A session is over: what it had not written goes back, and its owner is told.
    pub(super) fn end(&mut self, token: usize, failure: Failure, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(_)) = self.slots.get_mut(token) else {
            return;
        };
        let Some(Slot::Session(mut entry)) = self.slots.remove(token) else {
            return;
        };
        self.timers.clear_all(token);
        let failure = entry.failure.take().map_or(failure, |first| *first);
        let session = &entry.session;
        let peer = session.peer();
        let stage = match (entry.phase, peer) {
            (_, Some(_)) => Stage::Traffic,
            (Phase::Connecting | Phase::Proxy, None) => Stage::Connect,
            (_, None) => session.stage().max(Stage::Greeting),
        };
        let is_confirmed = session.is_shut() && failure == Failure::ClosedByPeer;
        let unwritten = session.take_unwritten();
        if let Some(limit) = failure.limit() {
            entry.station.over_limit(limit);
        }
        let failed = Failed {
            endpoint: Arc::clone(&entry.endpoint),
            peer: Arc::clone(&entry.remote),
            stage,
            failure: failure.clone(),
        };
        match (entry.phase, peer) {
            (_, Some(id)) => {
                entry.station.moved(id, session.take_done(), effects);
                entry.station.lost(id, unwritten, &failure, effects);
                entry.station.tell(Event::Disconnected {
                    endpoint: Endpoint::clone(&entry.endpoint),
                    peer: entry.remote.to_string(),
                    failure: failure.clone(),
                    unanswered: session.unanswered(),
                });
            }
            (Phase::Connecting | Phase::Proxy, None) => entry.station.tell(Event::ConnectFailed {
                endpoint: Endpoint::clone(&entry.endpoint),
                failure: failure.clone(),
            }),
            (_, None) => {
                let listener = match entry.owner {
                    Owner::Listener(arrival) => Some(arrival.listener),
                    Owner::Dialer(_) => None,
                };
                self.tell_failed(listener, &entry.station, &failed, now);
            }
        }
        match (entry.owner, peer) {
            (Owner::Dialer(dialer), _) => {
                self.dialer_lost(dialer, &failure, stage, is_confirmed, now, effects);
            }
            (Owner::Listener(_), Some(id)) => detach(&entry.station, id, is_confirmed, effects),
            (Owner::Listener(_), None) => {}
        }
        // Of a dialer, that is kept with it.
        let is_turned_away = peer.is_none() || failure.fault() == Fault::Peer;
        if let Owner::Listener(arrival) = entry.owner {
            self.count_out(&entry.station, arrival);
            if is_turned_away {
                self.remember(&entry.station, failed);
            }
        }
        self.leave(&entry.station, token, effects);
    }

    /// A stream that was on its way reached its peer, or did not.
    pub(super) fn check_connected(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
            return;
        };
        match entry.session.stream.connected() {
            Ok(None) => {}
            Ok(Some(reached)) if reached.itself => self.end(token, Failure::ConnectedToItself, now, effects),
            Ok(Some(reached)) => {
                if !entry.session.is_at_proxy() {
                    entry.remote = reached.remote.into();
                }
                self.begin_handshake(token, now, effects);
            }
            Err(error) => self.end(token, Failure::io(&error), now, effects),
        }
    }
}

/// A peer is gone for good: those that found no place because of it may find one now.
pub(super) fn detach(station: &Arc<dyn Station>, peer: PeerId, is_confirmed: bool, effects: &mut Effects) {
    station.detach(peer, is_confirmed, effects);
    if let Some(waiting) = station.take_vacancy() {
        effects.ask(waiting, Ask::Resume);
    }
}

/// How long a peer that was refused may take to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);

//! What the engine does for dialers: attempts, retries, and their end.

use super::dialer::{Begin, Dialer, Dialing, Ending, is_last};
use super::notes::Note;
use super::serving::detach;
use super::timers::Timer;
use super::{Engine, Owner, Phase, Slot};
use crate::endpoint::Endpoint;
use crate::failure::{Failure, Stage};
use crate::hub::{Effects, Origin, Station};
use crate::monitor::Event;
use crate::routing::PeerId;
use crate::transport::{Net, Resolved};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl<N: Net> Engine<N> {
    pub(super) fn dial(
        &mut self,
        station: Arc<dyn Station>,
        peer: PeerId,
        endpoint: Endpoint,
        now: Instant,
        effects: &mut Effects,
    ) {
        // A socket that closed while another thread connected it; one whose close is still to come lingers.
        if station.is_engine_done() || self.members.get(&station.key()).is_some_and(|member| member.is_closing) {
            station.detach(peer, false, effects);
            return;
        }
        let token = self.slots.insert(Slot::Dialer(Box::new(Dialer::new(
            Arc::clone(&station),
            peer,
            endpoint,
        ))));
        self.join(&station, token);
        self.attempt(token, now, effects);
    }

    /// Begins an attempt to reach the endpoint.
    pub(super) fn attempt(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        let Some(Slot::Dialer(dialer)) = self.slots.get_mut(token) else {
            return;
        };
        match dialer.begin() {
            Begin::Connect => self.next_address(token, None, now, effects),
            Begin::Resolve { host, port } => {
                let seat = Arc::clone(&self.seat);
                let answer = move |result| {
                    let _is_live = seat.note(Note::Resolved { token, result });
                };
                self.net.resolve(&host, port, Box::new(answer));
            }
        }
    }

    pub(super) fn resolved(&mut self, token: usize, result: Resolved, now: Instant, effects: &mut Effects) {
        let Some(Slot::Dialer(dialer)) = self.slots.get_mut(token) else {
            return;
        };
        if dialer.state != Dialing::Resolving {
            return;
        }
        match result {
            Ok(addresses) => {
                dialer.resolved(addresses);
                self.next_address(token, None, now, effects);
            }
            Err(error) => {
                let failure = Failure::Unresolved {
                    host: dialer.first_stop().to_string(),
                    error,
                };
                dialer.station.tell(Event::ConnectFailed {
                    endpoint: Endpoint::clone(&dialer.endpoint),
                    failure: failure.clone(),
                });
                self.retry(token, &failure, Stage::Connect, now, effects);
            }
        }
    }

    /// Tries the next address of this attempt; after the last one, waits.
    fn next_address(&mut self, token: usize, failed: Option<&Failure>, now: Instant, effects: &mut Effects) {
        let mut last = failed.cloned();
        loop {
            let session = self.slots.next_token();
            let Some(Slot::Dialer(dialer)) = self.slots.get_mut(token) else {
                return;
            };
            let Some(address) = dialer.next_address() else { break };
            let options = Arc::clone(dialer.station.options());
            match self.net.connect(&address, &options.transport, session) {
                Ok(stream) => {
                    dialer.state = Dialing::Connected { session };
                    let (station, endpoint) = (Arc::clone(&dialer.station), Arc::clone(&dialer.endpoint));
                    let origin = Origin::Dialed(dialer.peer);
                    let remote = endpoint.to_string().into();
                    let through = dialer.through();
                    let session = self.begin_session(
                        stream,
                        &station,
                        Owner::Dialer(token),
                        origin,
                        endpoint,
                        remote,
                        Phase::Connecting,
                    );
                    if let (Some(through), Some(Slot::Session(entry))) = (through, self.slots.get_mut(session)) {
                        entry.session.go_through(through);
                    }
                    self.timers
                        .set(session, Timer::Connect, now.checked_add(options.connect_timeout));
                    // Some streams are connected at once, and no event says so.
                    self.check_connected(session, now, effects);
                    return;
                }
                Err(error) => {
                    let failure = Failure::io(&error);
                    dialer.station.tell(Event::ConnectFailed {
                        endpoint: Endpoint::clone(&dialer.endpoint),
                        failure: failure.clone(),
                    });
                    last = Some(failure);
                }
            }
        }
        let failure = last.unwrap_or(Failure::ClosedHere);
        self.retry(token, &failure, Stage::Connect, now, effects);
    }

    /// Its session is over, and had come so far.
    pub(super) fn dialer_lost(
        &mut self,
        token: usize,
        failure: &Failure,
        stage: Stage,
        is_confirmed: bool,
        now: Instant,
        effects: &mut Effects,
    ) {
        let Some(Slot::Dialer(dialer)) = self.slots.get_mut(token) else {
            return;
        };
        if dialer.state == Dialing::Stopped {
            // It is going, and ended its session itself.
            return;
        }
        dialer.state = Dialing::Idle;
        dialer.was_lost(now);
        let is_leaving = dialer.ending.is_some() || dialer.station.is_leaving(dialer.peer);
        if is_leaving && (is_confirmed || dialer.station.outgoing(dialer.peer) == 0) {
            self.drop_dialer(token, is_confirmed, now, effects);
        } else if stage == Stage::Connect {
            self.next_address(token, Some(failure), now, effects);
        } else {
            self.retry(token, failure, stage, now, effects);
        }
    }

    /// Waits until the next attempt, or gives up.
    fn retry(&mut self, token: usize, failure: &Failure, stage: Stage, now: Instant, effects: &mut Effects) {
        let chance = self.net.chance();
        let Some(Slot::Dialer(dialer)) = self.slots.get_mut(token) else {
            return;
        };
        dialer.station.failed(dialer.peer, failure);
        dialer.last_failure = Some((stage, failure.clone()));
        let options = Arc::clone(dialer.station.options());
        if is_last(options.stop_dialing, stage, failure) {
            let (station, endpoint) = (Arc::clone(&dialer.station), Endpoint::clone(&dialer.endpoint));
            station.abandon(dialer.peer, effects);
            self.drop_dialer(token, false, now, effects);
            station.tell(Event::GaveUp {
                endpoint,
                failure: failure.clone(),
            });
            return;
        }
        let delay = match options.retry_refused {
            None if failure.is_final() => {
                dialer.state = Dialing::Stopped;
                dialer.station.given_up(dialer.peer, effects);
                dialer.station.tell(Event::GaveUp {
                    endpoint: Endpoint::clone(&dialer.endpoint),
                    failure: failure.clone(),
                });
                if dialer.ending.is_some() {
                    self.drop_dialer(token, false, now, effects);
                }
                return;
            }
            Some(interval) if failure.is_final() => interval,
            _ => dialer.next_wait(chance),
        };
        self.wait(token, delay, now);
    }

    /// Plans the next attempt.
    fn wait(&mut self, token: usize, delay: Duration, now: Instant) {
        let Some(Slot::Dialer(dialer)) = self.slots.get_mut(token) else {
            return;
        };
        dialer.state = Dialing::Waiting;
        dialer.next_attempt = now.checked_add(delay);
        dialer.station.tell(Event::RetryingIn {
            endpoint: Endpoint::clone(&dialer.endpoint),
            delay,
        });
        self.timers.set(token, Timer::Retry, dialer.next_attempt);
    }

    /// Stops dialing an endpoint: at once if nothing waits for its peer, else after its linger time at the latest.
    pub(super) fn disconnect(&mut self, key: u64, endpoint: &Endpoint, now: Instant, effects: &mut Effects) -> bool {
        let Some(token) = self.find(
            key,
            |slot| matches!(slot, Slot::Dialer(it) if *it.endpoint == *endpoint && it.ending.is_none()),
        ) else {
            return false;
        };
        let deadline = self.linger_of(key).and_then(|linger| now.checked_add(linger));
        self.end_dialer(token, deadline, now, effects);
        true
    }

    /// A dialer is to go: its session in good order, what waits for its peer until the deadline.
    pub(super) fn end_dialer(&mut self, token: usize, deadline: Option<Instant>, now: Instant, effects: &mut Effects) {
        let chance = self.net.chance();
        let Some(Slot::Dialer(dialer)) = self.slots.get_mut(token) else {
            return;
        };
        dialer.ending = Some(Ending { deadline });
        dialer.station.retire(dialer.peer, effects);
        let is_empty = dialer.station.outgoing(dialer.peer) == 0;
        let is_late = deadline.is_some_and(|deadline| deadline <= now);
        match dialer.state {
            Dialing::Connected { session } if !is_late => {
                self.timers.set(token, Timer::Linger, deadline);
                self.end_orderly(session, deadline, now, effects);
            }
            Dialing::Stopped => self.drop_dialer(token, false, now, effects),
            _ if is_empty || is_late => self.drop_dialer(token, false, now, effects),
            _ => {
                self.timers.set(token, Timer::Linger, deadline);
                // Planned when there was time: it may be later than the deadline.
                if let Some(wait) = dialer.shorter_wait(now, chance) {
                    self.wait(token, wait, now);
                }
            }
        }
    }

    /// A dialer goes, and its peer with it.
    pub(super) fn drop_dialer(&mut self, token: usize, is_confirmed: bool, now: Instant, effects: &mut Effects) {
        if let Some(Slot::Dialer(dialer)) = self.slots.get_mut(token)
            && let Dialing::Connected { session } = dialer.state
        {
            // Told first, so that the end of the session does not begin another attempt.
            dialer.ending = Some(Ending { deadline: Some(now) });
            dialer.state = Dialing::Stopped;
            self.end(session, Failure::ClosedHere, now, effects);
        }
        self.timers.clear_all(token);
        if let Some(Slot::Dialer(_)) = self.slots.get_mut(token)
            && let Some(Slot::Dialer(dialer)) = self.slots.remove(token)
        {
            detach(&dialer.station, dialer.peer, is_confirmed, effects);
            self.leave(&dialer.station, token, effects);
        }
    }
}

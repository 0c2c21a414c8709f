//! The passive side of an endpoint: takes connections, within a budget, and pauses when the system has no more to give.

use super::gate::Gate;
use super::timers::Timer;
use super::{Engine, Owner, Slot};
use crate::endpoint::{Endpoint, Kind};
use crate::hub::{Effects, Station};
use crate::monitor::Event;
use crate::transport::Net;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One endpoint that a socket is bound to.
pub(super) struct Listener<N: Net> {
    pub(super) listener: N::Listener,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) station: Arc<dyn Station>,
    pub(super) gate: Gate,
    /// How long the next pause is.
    pause: Duration,
}

impl<N: Net> Engine<N> {
    pub(super) fn listen(
        &mut self,
        station: Arc<dyn Station>,
        mut listener: N::Listener,
        endpoint: Endpoint,
        now: Instant,
        effects: &mut Effects,
    ) {
        if station.is_closing() {
            return;
        }
        let token = self.slots.next_token();
        if let Err(error) = self.net.listen(&mut listener, token) {
            station.tell(Event::AcceptFailed {
                endpoint,
                error: error.to_string(),
                pause: Duration::MAX,
            });
            return;
        }
        station.tell(Event::Listening {
            endpoint: endpoint.clone(),
        });
        self.slots.insert(Slot::Listener(Box::new(Listener {
            listener,
            endpoint: Arc::new(endpoint),
            station: Arc::clone(&station),
            gate: Gate::new(&station.options().strangers),
            pause: PAUSE_MIN,
        })));
        self.join(&station, token);
        self.accept(token, now, effects);
    }

    /// Takes what waits, within the budget.
    pub(super) fn accept(&mut self, token: usize, now: Instant, effects: &mut Effects) {
        for _ in 0..BUDGET {
            let next = self.slots.next_token();
            let Some(Slot::Listener(it)) = self.slots.get_mut(token) else {
                return;
            };
            let options = Arc::clone(it.station.options());
            if let Some(until) = it.gate.pause(now) {
                self.timers.set(token, Timer::Accept, Some(until));
                return;
            }
            match self.net.accept(&it.listener, &options.transport, next) {
                Ok((stream, remote)) => {
                    it.pause = PAUSE_MIN;
                    it.gate.took(now);
                    self.receive(token, next, stream, remote.into(), now, effects);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    // The peer went before it was taken.
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted => {}
                    _ => {
                        // Out of descriptors or memory: spinning would not bring any.
                        let pause = it.pause;
                        it.pause = (pause * 2).min(PAUSE_MAX);
                        it.station.tell(Event::AcceptFailed {
                            endpoint: Endpoint::clone(&it.endpoint),
                            error: error.to_string(),
                            pause,
                        });
                        self.timers.set(token, Timer::Accept, now.checked_add(pause));
                        return;
                    }
                },
            }
        }
        self.ready.push_back(token);
    }

    /// Removes a listener. The connections that came by it stay unless they are to go too.
    pub(super) fn unbind(
        &mut self,
        key: u64,
        endpoint: &Endpoint,
        with_connections: bool,
        now: Instant,
        effects: &mut Effects,
    ) -> bool {
        let Some(token) = self.find(
            key,
            |slot| matches!(slot, Slot::Listener(it) if *it.endpoint == *endpoint),
        ) else {
            return false;
        };
        self.drop_listener(token, effects);
        // Of datagrams there is one for all who send, and it is what is bound.
        if with_connections || matches!(endpoint.kind(), Kind::Udp(_)) {
            let linger = self.linger_of(key);
            let accepted = self.find_all(key, |slot| {
                matches!(slot, Slot::Session(entry) if matches!(entry.owner, Owner::Listener(_)) && *entry.endpoint == *endpoint)
            });
            for session in accepted {
                self.end_orderly(session, linger.and_then(|linger| now.checked_add(linger)), now, effects);
            }
        }
        true
    }

    /// Frees the endpoint.
    pub(super) fn drop_listener(&mut self, token: usize, effects: &mut Effects) {
        self.timers.clear_all(token);
        if let Some(Slot::Listener(mut it)) = self.slots.remove(token) {
            self.net.unlisten(&mut it.listener);
            drop(it.listener);
            it.station.tell(Event::Unbound {
                endpoint: Arc::unwrap_or_clone(it.endpoint),
            });
            self.leave(&it.station, token, effects);
        }
    }

    pub(super) fn find(&mut self, key: u64, fits: impl Fn(&Slot<N>) -> bool) -> Option<usize> {
        self.find_all(key, fits).first().copied()
    }

    pub(super) fn find_all(&mut self, key: u64, fits: impl Fn(&Slot<N>) -> bool) -> Vec<usize> {
        let tokens: Vec<usize> = self
            .members
            .get(&key)
            .map_or(Vec::new(), |member| member.tokens.iter().copied().collect());
        tokens
            .into_iter()
            .filter(|&token| self.slots.get_mut(token).is_some_and(|slot| fits(slot)))
            .collect()
    }

    pub(super) fn linger_of(&self, key: u64) -> Option<Duration> {
        self.members.get(&key).map(|member| member.station.linger())
    }
}

/// Connections taken before others have their turn.
const BUDGET: usize = 32;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

//! What the engine has, for those who ask: counts, and what each endpoint of a socket is about.

use super::dialer::{Dialer, Dialing};
use super::{Engine, Owner, Phase, Slot};
use crate::endpoint::Endpoint;
use crate::explain::{ConnectionState, Doing, EndpointState};
use crate::failure::{Failure, Stage};
use crate::stats::LoopStats;
use crate::transport::Net;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

impl<N: Net> Engine<N> {
    /// A turn is taken.
    pub(crate) fn count_turn(&mut self) {
        self.counts.turns += 1;
    }

    /// What it has done, and has now.
    pub(super) fn count(&self) -> LoopStats {
        let mut counts = self.counts;
        for slot in self.slots.iter() {
            let place = match slot {
                Slot::Listener(_) => &mut counts.listeners,
                Slot::Dialer(_) => &mut counts.dialers,
                Slot::Session(entry) => match entry.phase {
                    Phase::Connecting | Phase::Proxy => &mut counts.connections.connecting,
                    Phase::Handshake | Phase::Denied => &mut counts.connections.handshaking,
                    Phase::Traffic => &mut counts.connections.ready,
                    Phase::Ending => &mut counts.connections.ending,
                },
                Slot::Lingering(_) | Slot::Alarm(_) => continue,
            };
            *place += 1;
        }
        counts
    }

    /// What each endpoint of a socket is about, in the order of their slots.
    pub(super) fn explain(&mut self, key: u64, now: Instant) -> Vec<EndpointState> {
        let Some(member) = self.members.get(&key) else {
            return Vec::new();
        };
        let turned_away = member.last_turned_away.clone();
        let tokens: Vec<usize> = member.tokens.iter().copied().collect();
        let mut endpoints = Vec::new();
        // Where a dialer stands in that list.
        let mut places = BTreeMap::new();
        for &token in &tokens {
            match self.slots.get_mut(token) {
                Some(Slot::Listener(it)) => {
                    let is_theirs = |(to, ..): &(Arc<Endpoint>, Stage, Failure)| *to == it.endpoint;
                    endpoints.push(EndpointState {
                        endpoint: Endpoint::clone(&it.endpoint),
                        doing: Doing::Listening,
                        attempts: 0,
                        last_failure: turned_away
                            .clone()
                            .filter(is_theirs)
                            .map(|(_, stage, why)| (stage, why)),
                        connections: Vec::new(),
                    });
                }
                Some(Slot::Dialer(it)) => {
                    places.insert(token, endpoints.len());
                    endpoints.push(dialing(it, now));
                }
                _ => {}
            }
        }
        for &token in &tokens {
            let Some(Slot::Session(entry)) = self.slots.get_mut(token) else {
                continue;
            };
            let state = match entry.owner {
                Owner::Dialer(dialer) => places.get(&dialer).and_then(|&place| endpoints.get_mut(place)),
                Owner::Listener(_) => endpoints
                    .iter_mut()
                    .find(|it| it.doing == Doing::Listening && it.endpoint == *entry.endpoint),
            };
            let Some(state) = state else { continue };
            let stage = match entry.phase {
                Phase::Connecting | Phase::Proxy => Stage::Connect,
                Phase::Handshake | Phase::Denied | Phase::Traffic | Phase::Ending => entry.session.stage(),
            };
            state.connections.push(ConnectionState {
                peer: entry.remote.to_string(),
                stage,
            });
        }
        endpoints
    }
}

fn dialing(it: &Dialer, now: Instant) -> EndpointState {
    let doing = match it.state {
        Dialing::Idle | Dialing::Connected { .. } => Doing::Connecting,
        Dialing::Resolving => Doing::Resolving,
        Dialing::Waiting => {
            let left = it.next_attempt.map(|at| at.saturating_duration_since(now));
            Doing::Waiting(left.unwrap_or_default())
        }
        Dialing::Stopped => Doing::GaveUp,
    };
    EndpointState {
        endpoint: Endpoint::clone(&it.endpoint),
        doing,
        attempts: it.attempts,
        last_failure: it.last_failure.clone(),
        connections: Vec::new(),
    }
}

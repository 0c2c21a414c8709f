//! Two sockets that are linked: moves what one has queued into the other.
//!
//! Whoever calls moves one way, one pass, under the link's lock; it holds one hub's lock at a time.

use super::names::Names;
use crate::batch::{Run, Tally};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::hub::{Effects, Link, Pace, Station};
use crate::monitor::Event;
use crate::routing::{Dropped, PeerId};
use crate::sync::Mutex;
use crate::wire::Facts;
use std::sync::{Arc, Weak};

/// A dialing socket's end.
#[derive(Clone)]
pub(super) struct End {
    pub(super) station: Arc<dyn Station>,
    pub(super) peer: PeerId,
    pub(super) endpoint: Endpoint,
}

/// Two sockets that are linked.
pub(super) struct Pairing {
    pub(super) names: Weak<Names>,
    pub(super) name: String,
    pub(super) dialer: End,
    pub(super) binder: Arc<dyn Station>,
    pub(super) state: Mutex<Moving>,
}

#[derive(Default)]
pub(super) struct Moving {
    pub(super) accepted: Option<PeerId>,
    /// What was collected from a side and found no room on the other; it still counts as queued there.
    from_dialer: Run,
    from_binder: Run,
    pub(super) is_over: bool,
}

/// A socket's own end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Dialer,
    Binder,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Dialer => Side::Binder,
            Side::Binder => Side::Dialer,
        }
    }
}

impl Pairing {
    pub(super) fn has(&self, key: u64) -> bool {
        self.dialer.station.key() == key || self.binder.key() == key
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    fn station(&self, side: Side) -> &Arc<dyn Station> {
        match side {
            Side::Dialer => &self.dialer.station,
            Side::Binder => &self.binder,
        }
    }

    fn peer(&self, side: Side, state: &Moving) -> Option<PeerId> {
        match side {
            Side::Dialer => Some(self.dialer.peer),
            Side::Binder => state.accepted,
        }
    }

    /// Moves what one side has queued into the other, as far as there is room.
    fn move_from(self: &Arc<Self>, from: Side) {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        self.pass(&mut state, from, &mut effects);
        let is_finished = !state.is_over
            && self.station(from).is_closing()
            && self
                .peer(from, &state)
                .is_some_and(|peer| self.station(from).outgoing(peer) == 0);
        drop(state);
        effects.run();
        if is_finished {
            self.end(from, true);
        }
    }

    fn pass(&self, state: &mut Moving, from: Side, effects: &mut Effects) {
        let (Some(giver), Some(taker)) = (self.peer(from, state), self.peer(from.other(), state)) else {
            return;
        };
        if state.is_over {
            return;
        }
        let (giving, taking) = (self.station(from), self.station(from.other()));
        let mut moved = Tally::default();
        loop {
            let pending = match from {
                Side::Dialer => &mut state.from_dialer,
                Side::Binder => &mut state.from_binder,
            };
            if pending.is_empty() {
                match giving.collect(giver, std::mem::take(&mut moved), Vec::new(), effects) {
                    Some(batch) => *pending = batch.into_run(),
                    None => return,
                }
            }
            let room = taking.room(taker);
            if room.messages == 0 {
                giving.moved(giver, moved, effects);
                return;
            }
            let mut part = pending.split_front(room.messages, room.bytes);
            moved.add(part.messages(), part.payload());
            taking.deliver(taker, &mut part, effects);
            if !part.is_empty() {
                effects.drop_later(Dropped::run(part));
            }
            if !pending.is_empty() {
                giving.moved(giver, std::mem::take(&mut moved), effects);
            }
        }
    }

    /// A socket wants the link to end: at once if nothing is queued on its side, else once that has moved.
    pub(super) fn end_from(self: &Arc<Self>, key: u64, may_linger: bool) {
        let side = if self.dialer.station.key() == key {
            Side::Dialer
        } else {
            Side::Binder
        };
        self.move_from(side);
        let state = self.state.lock();
        let is_empty = self
            .peer(side, &state)
            .is_none_or(|peer| self.station(side).outgoing(peer) == 0);
        let is_over = state.is_over;
        drop(state);
        if !is_over && (is_empty || !may_linger) {
            self.end(side, is_empty);
        }
    }

    /// Ends the link; what did not move is the dialed peer's again, or is dropped.
    fn end(&self, by: Side, is_confirmed: bool) {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.is_over, true) {
            return;
        }
        let accepted = state.accepted;
        let from_dialer = std::mem::take(&mut state.from_dialer);
        let from_binder = std::mem::take(&mut state.from_binder);
        drop(state);
        let mut unmoved = [(Side::Dialer, from_dialer), (Side::Binder, from_binder)];
        if by == Side::Binder {
            unmoved.reverse();
        }
        for (side, run) in unmoved {
            let failure = if side == by {
                Failure::ClosedHere
            } else {
                Failure::ClosedByPeer
            };
            let station = self.station(side);
            let peer = match side {
                Side::Dialer => Some(self.dialer.peer),
                Side::Binder => accepted,
            };
            let Some(peer) = peer else { continue };
            let written = station.written(peer);
            station.lost(peer, Some((run.into_batch(), 0)), &failure, &mut effects);
            station.tell(Event::Disconnected {
                endpoint: self.dialer.endpoint.clone(),
                peer: self.dialer.endpoint.to_string(),
                failure,
                written,
            });
            let stays = side == Side::Dialer && by == Side::Binder && !station.is_closing();
            if !stays {
                station.detach(peer, is_confirmed && side == by, &mut effects);
            } else if let Some(names) = self.names.upgrade() {
                // A dialed peer outlives its links: it waits for the name again.
                names.connect(&self.name, station, peer, &self.dialer.endpoint);
            }
        }
        effects.run();
        if let Some(names) = self.names.upgrade() {
            names.retry(&self.name);
        }
    }
}

/// A link as one side's hub holds it.
pub(super) struct Half {
    pub(super) pairing: Arc<Pairing>,
    pub(super) side: Side,
}

impl Link for Half {
    fn flush(&self, _pace: Pace) {
        self.pairing.move_from(self.side);
    }

    fn resume(&self) {
        self.pairing.move_from(self.side.other());
    }

    fn sever(&self, _failure: Failure) {
        self.pairing.end(self.side, false);
    }
}

pub(super) fn facts(station: &Arc<dyn Station>) -> Facts {
    let local = station.local();
    Facts {
        socket_type: local.socket_type,
        identity: local.identity.clone(),
        version: (3, 1),
        metadata: Vec::new(),
    }
}

//! Sockets of one context that meet by name, without the loop.
//!
//! The calling thread moves the batch: whoever makes a queue not empty moves it into the other socket, whoever makes room
//! resumes; each call moves one way, under the link's lock, one pass. Lock order: names, link, hub.

use crate::batch::{Run, Tally};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::hub::{Effects, Link, Origin, Pace, Station};
use crate::monitor::Event;
use crate::routing::{Dropped, PeerId};
use crate::sync::Mutex;
use crate::wire::Facts;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// Who has bound which name, and who waits for it.
#[derive(Default)]
pub(crate) struct Names {
    names: Mutex<BTreeMap<String, Name>>,
}

#[derive(Default)]
struct Name {
    binder: Option<Binder>,
    /// In the order of their `connect`; as many as sockets have connected.
    waiting: Vec<End>,
    /// Links of this name; those that are over are removed when another is made or one of the sockets closes.
    links: Vec<Arc<Pairing>>,
}

#[derive(Clone)]
struct Binder {
    station: Arc<dyn Station>,
    endpoint: Endpoint,
}

/// A dialing socket's end.
#[derive(Clone)]
struct End {
    station: Arc<dyn Station>,
    peer: PeerId,
    endpoint: Endpoint,
}

/// Why a name is not bound.
pub(crate) enum NotBound {
    /// Another socket has it.
    InUse,
    /// The socket closes.
    Closed,
}

impl Names {
    /// Binds a name; who waits for it is linked.
    pub(crate) fn bind(
        self: &Arc<Self>,
        name: &str,
        station: &Arc<dyn Station>,
        endpoint: &Endpoint,
    ) -> Result<(), NotBound> {
        let mut effects = Effects::default();
        let mut names = self.names.lock();
        if station.is_closing() {
            return Err(NotBound::Closed);
        }
        let entry = names.entry(name.to_owned()).or_default();
        if entry.binder.is_some() {
            return Err(NotBound::InUse);
        }
        let binder = Binder {
            station: Arc::clone(station),
            endpoint: endpoint.clone(),
        };
        let mut events = vec![(
            Arc::clone(station),
            Event::Listening {
                endpoint: endpoint.clone(),
            },
        )];
        for end in std::mem::take(&mut entry.waiting) {
            meet(self, name, entry, &binder, end, &mut effects, &mut events);
        }
        entry.binder = Some(binder);
        drop(names);
        finish(effects, events);
        Ok(())
    }

    /// Links a dialed peer to whoever has bound the name, now or later.
    pub(crate) fn connect(self: &Arc<Self>, name: &str, station: &Arc<dyn Station>, peer: PeerId, endpoint: &Endpoint) {
        let mut effects = Effects::default();
        let mut events = Vec::new();
        let end = End {
            station: Arc::clone(station),
            peer,
            endpoint: endpoint.clone(),
        };
        let mut names = self.names.lock();
        // The close of a socket marks it first and then looks here: one of the two sees the other.
        if station.is_closing() {
            drop(names);
            station.detach(peer, false, &mut effects);
            effects.run();
            return;
        }
        let entry = names.entry(name.to_owned()).or_default();
        match entry.binder.clone() {
            Some(binder) => meet(self, name, entry, &binder, end, &mut effects, &mut events),
            None => entry.waiting.push(end),
        }
        drop(names);
        finish(effects, events);
    }

    /// Tries those again that were turned away: a place may be free now.
    fn retry(self: &Arc<Self>, name: &str) {
        let mut effects = Effects::default();
        let mut events = Vec::new();
        let mut names = self.names.lock();
        if let Some(entry) = names.get_mut(name)
            && let Some(binder) = entry.binder.clone()
        {
            for end in std::mem::take(&mut entry.waiting) {
                if end.station.is_closing()
                    || !end
                        .station
                        .local()
                        .socket_type
                        .speaks_with(binder.station.local().socket_type)
                {
                    entry.waiting.push(end);
                } else {
                    meet(self, name, entry, &binder, end, &mut effects, &mut events);
                }
            }
        }
        drop(names);
        finish(effects, events);
    }

    /// Frees a name. Its links stay unless `with_links`.
    pub(crate) fn unbind(&self, name: &str, key: u64, with_links: bool) -> bool {
        let mut names = self.names.lock();
        let Some(entry) = names.get_mut(name) else { return false };
        if entry.binder.as_ref().is_none_or(|binder| binder.station.key() != key) {
            return false;
        }
        let binder = entry.binder.take();
        let links = if with_links { entry.links.clone() } else { Vec::new() };
        drop(names);
        if let Some(binder) = binder {
            binder.station.tell(Event::Unbound {
                endpoint: binder.endpoint,
            });
        }
        for link in links {
            link.end_from(key, false);
        }
        true
    }

    /// Ends one link of a dialing socket, or its wait for the name.
    pub(crate) fn disconnect(&self, name: &str, key: u64) -> bool {
        let mut effects = Effects::default();
        let mut names = self.names.lock();
        let Some(entry) = names.get_mut(name) else { return false };
        let waiting = entry.waiting.iter().position(|end| end.station.key() == key);
        let waiting = waiting.map(|place| entry.waiting.remove(place));
        let link = entry
            .links
            .iter()
            .find(|link| link.dialer.station.key() == key && !link.is_over())
            .cloned();
        drop(names);
        let found = waiting.is_some() || link.is_some();
        match (waiting, link) {
            (Some(end), _) => end.station.detach(end.peer, false, &mut effects),
            (None, Some(link)) => link.end_from(key, false),
            (None, None) => {}
        }
        effects.run();
        found
    }

    /// A socket closes: its names are free, its links end once nothing is queued on its side, its dialed peers without a
    /// link go.
    pub(crate) fn close(&self, key: u64) {
        let mut effects = Effects::default();
        let mut links = Vec::new();
        let mut gone = Vec::new();
        let mut unbound = Vec::new();
        let mut names = self.names.lock();
        names.retain(|_, entry| {
            if entry.binder.as_ref().is_some_and(|binder| binder.station.key() == key) {
                unbound.extend(entry.binder.take());
            }
            gone.extend(entry.waiting.extract_if(.., |end| end.station.key() == key));
            entry.links.retain(|link| !link.is_over());
            links.extend(entry.links.iter().filter(|link| link.has(key)).cloned());
            entry.binder.is_some() || !entry.waiting.is_empty() || !entry.links.is_empty()
        });
        drop(names);
        for binder in unbound {
            binder.station.tell(Event::Unbound {
                endpoint: binder.endpoint,
            });
        }
        for end in gone {
            end.station.detach(end.peer, false, &mut effects);
        }
        effects.run();
        for link in links {
            link.end_from(key, true);
        }
    }
}

/// Runs what is wanted, and tells, with no lock held.
fn finish(effects: Effects, events: Vec<(Arc<dyn Station>, Event)>) {
    effects.run();
    for (station, event) in events {
        station.tell(event);
    }
}

/// Links two sockets, if their types speak with each other and the binder has a place.
fn meet(
    names: &Arc<Names>,
    name: &str,
    entry: &mut Name,
    binder: &Binder,
    end: End,
    effects: &mut Effects,
    events: &mut Vec<(Arc<dyn Station>, Event)>,
) {
    let (ours, theirs) = (end.station.local().socket_type, binder.station.local().socket_type);
    if !ours.speaks_with(theirs) {
        let failure = Failure::IncompatibleSocketType {
            ours,
            theirs: theirs.to_string(),
        };
        end.station.failed(end.peer, &failure);
        let endpoint = end.endpoint.clone();
        events.push((Arc::clone(&end.station), Event::GaveUp { endpoint, failure }));
        entry.waiting.push(end);
        return;
    }
    let pairing = Arc::new(Pairing {
        names: Arc::downgrade(names),
        name: name.to_owned(),
        dialer: end.clone(),
        binder: binder.station.clone(),
        state: Mutex::new(Moving::default()),
    });
    let from = Origin::Accepted(end.endpoint.to_string());
    let side = |side| -> Arc<dyn Link> {
        Arc::new(Half {
            pairing: Arc::clone(&pairing),
            side,
        })
    };
    let accepted = match binder
        .station
        .ready(from, &facts(&end.station), side(Side::Binder), effects)
    {
        Ok(peer) => peer,
        Err(why) => {
            let failure = Failure::Refused { why };
            end.station.failed(end.peer, &failure);
            entry.waiting.push(end);
            return;
        }
    };
    pairing.state.lock().accepted = Some(accepted);
    let dialed = Origin::Dialed(end.peer);
    if end
        .station
        .ready(dialed, &facts(&binder.station), side(Side::Dialer), effects)
        .is_err()
    {
        pairing.state.lock().is_over = true;
        binder.station.detach(accepted, false, effects);
        entry.waiting.push(end);
        return;
    }
    for station in [&end.station, &binder.station] {
        events.push((
            Arc::clone(station),
            Event::Connected {
                endpoint: end.endpoint.clone(),
                peer: end.endpoint.to_string(),
            },
        ));
    }
    for way in [Side::Dialer, Side::Binder] {
        effects.ask(side(way), crate::hub::Ask::Flush(Pace::Stream));
    }
    entry.links.retain(|link| !link.is_over());
    entry.links.push(pairing);
}

fn facts(station: &Arc<dyn Station>) -> Facts {
    let local = station.local();
    Facts {
        socket_type: local.socket_type,
        identity: local.identity.clone(),
        version: (3, 1),
        metadata: Vec::new(),
    }
}

/// Two sockets that are linked.
struct Pairing {
    names: Weak<Names>,
    name: String,
    dialer: End,
    binder: Arc<dyn Station>,
    state: Mutex<Moving>,
}

#[derive(Default)]
struct Moving {
    accepted: Option<PeerId>,
    /// What was collected from a side and found no room on the other; it still counts as queued there.
    from_dialer: Run,
    from_binder: Run,
    is_over: bool,
}

/// A socket's own end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
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
    fn has(&self, key: u64) -> bool {
        self.dialer.station.key() == key || self.binder.key() == key
    }

    fn is_over(&self) -> bool {
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
    fn end_from(self: &Arc<Self>, key: u64, may_linger: bool) {
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
struct Half {
    pairing: Arc<Pairing>,
    side: Side,
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

//! Who is bound to which name, who waits for it, and which links came of it.

use super::After;
use super::pairing::{End, Pairing, Side};
use super::unlinked::{Parting, Vacancy};
use crate::endpoint::Endpoint;
use crate::explain::{ConnectionState, Doing, EndpointState};
use crate::failure::{Failure, Stage};
use crate::hub::{Link, Station};
use crate::monitor::Event;
use crate::routing::PeerId;
use crate::sync::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    /// Links of this name that are not over: at most one for each `connect`.
    links: Vec<Arc<Pairing>>,
}

impl Name {
    /// Whether one of these sockets has bound it, or waits for it.
    fn is_of(&self, keys: &[u64]) -> bool {
        let binder = self.binder.iter().map(|binder| &binder.station);
        let mut stations = self.waiting.iter().map(|end| &end.station).chain(binder);
        stations.any(|station| keys.contains(&station.key()))
    }

    fn is_empty(&self) -> bool {
        self.binder.is_none() && self.waiting.is_empty() && self.links.is_empty()
    }
}

/// A name of which nothing is left is forgotten: programs make names up for each of their tasks.
fn forget_if_empty(names: &mut BTreeMap<String, Name>, name: &str) {
    if names.get(name).is_some_and(Name::is_empty) {
        names.remove(name);
    }
}

#[derive(Clone)]
struct Binder {
    station: Arc<dyn Station>,
    endpoint: Endpoint,
}

/// Why a name is not bound.
pub(crate) enum NotBound {
    /// Another socket has it.
    InUse,
    /// The socket closes.
    Closed,
}

/// What a socket has ended and what is not over yet, because something is queued: to be severed when it has lingered long
/// enough.
pub(crate) type Lingering = Vec<Arc<dyn Link>>;

impl Names {
    /// Binds a name; who waits for it is linked.
    pub(crate) fn bind(
        self: &Arc<Self>,
        name: &str,
        station: &Arc<dyn Station>,
        endpoint: &Endpoint,
    ) -> Result<(), NotBound> {
        let mut after = After::default();
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
        let endpoint = endpoint.clone();
        after.tell(station, Event::Listening { endpoint });
        let mut joined = Vec::new();
        for end in std::mem::take(&mut entry.waiting) {
            joined.extend(self.meet(name, entry, &binder, end, &mut after));
        }
        entry.binder = Some(binder);
        drop(names);
        after.run();
        self.begin(joined);
        Ok(())
    }

    /// Links a dialed peer to whoever has bound the name, now or later.
    pub(crate) fn connect(self: &Arc<Self>, name: &str, station: &Arc<dyn Station>, peer: PeerId, endpoint: &Endpoint) {
        let mut after = After::default();
        let end = End {
            station: Arc::clone(station),
            peer,
            endpoint: endpoint.clone(),
            is_leaving: false,
            failure: None,
        };
        let mut joined = None;
        let mut names = self.names.lock();
        // The close of a socket marks it first and then looks here: one of the two sees the other.
        if station.is_closing() {
            after.detach(station, peer, false);
        } else {
            let entry = names.entry(name.to_owned()).or_default();
            match entry.binder.clone() {
                Some(binder) => joined = self.meet(name, entry, &binder, end, &mut after),
                None => entry.waiting.push(end),
            }
        }
        drop(names);
        after.run();
        self.begin(joined);
    }

    /// Frees a name. With `with_links`, the links that came by it end once nothing is queued on this side. `None`: this
    /// socket has not bound it.
    pub(crate) fn unbind(self: &Arc<Self>, name: &str, key: u64, with_links: bool) -> Option<Lingering> {
        let mut after = After::default();
        let mut names = self.names.lock();
        let entry = names.get_mut(name)?;
        let binder = entry.binder.take_if(|binder| binder.station.key() == key)?;
        let endpoint = binder.endpoint;
        after.tell(&binder.station, Event::Unbound { endpoint });
        let mut links = Vec::new();
        for link in entry.links.iter().filter(|_| with_links) {
            if link.station(Side::Binder).key() == key && link.begin_end(Side::Binder, &mut after) {
                links.push(Arc::clone(link));
            }
        }
        forget_if_empty(&mut names, name);
        drop(names);
        after.run();
        Some(self.linger(links.into_iter().map(|link| (link, Side::Binder))))
    }

    /// Ends one link of a dialing socket, or its wait for the name, once nothing is queued for the peer. `None`: there is
    /// none that was not ending.
    pub(crate) fn disconnect(self: &Arc<Self>, name: &str, key: u64) -> Option<Lingering> {
        let mut after = After::default();
        let mut names = self.names.lock();
        let entry = names.get_mut(name)?;
        let is_mine = |end: &&mut End| end.station.key() == key && !end.is_leaving;
        if let Some(end) = entry.waiting.iter_mut().find(is_mine) {
            let (station, peer) = (Arc::clone(&end.station), end.peer);
            let mut lingering = Lingering::new();
            if end.begin_leaving(&mut after) {
                lingering.push(self.parting(name, key, peer));
            } else {
                entry.waiting.retain(|end| !end.is(key, peer));
                forget_if_empty(&mut names, name);
            }
            drop(names);
            after.run();
            self.vacate(&station);
            return Some(lingering);
        }
        let link = entry
            .links
            .iter()
            .find(|link| link.station(Side::Dialer).key() == key && link.begin_end(Side::Dialer, &mut after))
            .cloned();
        drop(names);
        after.run();
        link.map(|link| self.linger([(link, Side::Dialer)]))
    }

    /// Links begin to end: moves what has room now, and gives those that have more.
    fn linger(self: &Arc<Self>, links: impl IntoIterator<Item = (Arc<Pairing>, Side)>) -> Lingering {
        let mut lingering = Lingering::new();
        for (link, side) in links {
            if !link.station(side).is_closing() {
                // What the other side has left here to be fetched had arrived, as over any other transport.
                link.move_from(side.other());
            }
            link.move_from(side);
            if let Some(peer) = link.peer_left(side) {
                lingering.push(self.parting(&link.name, link.station(side).key(), peer));
            }
        }
        lingering
    }

    fn parting(self: &Arc<Self>, name: &str, key: u64, peer: PeerId) -> Arc<dyn Link> {
        Arc::new(Parting {
            names: Arc::downgrade(self),
            name: name.to_owned(),
            key,
            peer,
        })
    }

    /// A peer has lingered long enough, whether it waits for the name or is linked.
    pub(super) fn expire(self: &Arc<Self>, name: &str, key: u64, peer: PeerId) {
        let mut after = After::default();
        let mut names = self.names.lock();
        let Some(entry) = names.get_mut(name) else { return };
        let mut vacated = None;
        entry.waiting.retain(|end| {
            let is_over = end.is(key, peer);
            if is_over {
                after.detach(&end.station, peer, false);
                vacated = Some(Arc::clone(&end.station));
            }
            !is_over
        });
        let link = entry.links.iter().find_map(|link| {
            let side = link.side_of(key, peer)?;
            Some((Arc::clone(link), side))
        });
        forget_if_empty(&mut names, name);
        drop(names);
        after.run();
        vacated.inspect(|station| self.vacate(station));
        if let Some((link, side)) = link {
            self.end(&link, side, false, Failure::ClosedHere);
        }
    }

    /// Ends a link. A dialed peer outlives its links: it waits for the name again, in the same step, so that it can be
    /// found all the time.
    ///
    /// Whoever takes the place that is free now may be done at once too, and free it again: a loop, for as many as wait.
    ///
    /// A peer whose place another took waits for the next end: tried again now, it would take that place again.
    pub(super) fn end(self: &Arc<Self>, link: &Arc<Pairing>, by: Side, is_confirmed: bool, failure: Failure) {
        let mut ending = vec![(Arc::clone(link), by, is_confirmed, failure)];
        while let Some((link, by, is_confirmed, failure)) = ending.pop() {
            let mut after = After::default();
            let mut names = self.names.lock();
            let stays = link.take_apart(by, is_confirmed, &failure, &mut after);
            let not_yet = stays
                .as_ref()
                .filter(|_| failure == Failure::Replaced)
                .map(|end| (end.station.key(), end.peer));
            if let Some(entry) = names.get_mut(&link.name) {
                entry.links.retain(|other| !Arc::ptr_eq(other, &link));
                entry.waiting.extend(stays);
            }
            forget_if_empty(&mut names, &link.name);
            drop(names);
            after.run();
            for joined in self.retry(Some(&link.name), &link.vacated(), not_yet) {
                let ended = joined.begin();
                ending.extend(ended.map(|side| (Arc::clone(&joined), side, true, Failure::ClosedHere)));
            }
        }
    }

    /// A peer of this socket is gone: those that were turned away, if any were, may find a place now.
    fn vacate(self: &Arc<Self>, station: &Arc<dyn Station>) {
        if station.take_vacancy().is_some() {
            self.vacated(station.key());
        }
    }

    /// A peer of this socket is gone that had turned somebody away.
    pub(super) fn vacated(self: &Arc<Self>, key: u64) {
        self.begin(self.retry(None, &[key], None));
    }

    /// Tries those again, but for this one, who wait for this name though it is bound, or were turned away by one of these
    /// sockets: a place may be free now. Gives the links that came of it.
    fn retry(self: &Arc<Self>, name: Option<&str>, vacated: &[u64], but: Option<(u64, PeerId)>) -> Vec<Arc<Pairing>> {
        let mut after = After::default();
        let mut joined = Vec::new();
        let mut names = self.names.lock();
        let by_name = name.and_then(|name| names.get_key_value(name)).map(|(name, _)| name);
        let all = names.iter().filter(|_| !vacated.is_empty());
        let by_socket = all.filter(|(_, entry)| entry.is_of(vacated)).map(|(name, _)| name);
        let concerned: BTreeSet<String> = by_name.into_iter().chain(by_socket).cloned().collect();
        for name in &concerned {
            let Some(entry) = names.get_mut(name) else { continue };
            let Some(binder) = entry.binder.clone() else { continue };
            let theirs = binder.station.local().socket_type;
            for end in std::mem::take(&mut entry.waiting) {
                let is_for_later = but.is_some_and(|(key, peer)| end.is(key, peer));
                if end.station.local().socket_type.speaks_with(theirs) && !is_for_later {
                    joined.extend(self.meet(name, entry, &binder, end, &mut after));
                } else {
                    entry.waiting.push(end);
                }
            }
        }
        drop(names);
        after.run();
        joined
    }

    /// Moves what waits at both ends of links that came about, and ends those of a side that wanted no more.
    fn begin(self: &Arc<Self>, joined: impl IntoIterator<Item = Arc<Pairing>>) {
        for link in joined {
            if let Some(side) = link.begin() {
                self.end(&link, side, true, Failure::ClosedHere);
            }
        }
    }

    /// Links two sockets, or lets the dialing one wait. The link is to begin once no lock is held.
    fn meet(
        self: &Arc<Self>,
        name: &str,
        entry: &mut Name,
        binder: &Binder,
        end: End,
        after: &mut After,
    ) -> Option<Arc<Pairing>> {
        let mut result = Pairing::join(self, name, &end, &binder.station, &mut after.effects);
        if matches!(result, Err(Failure::Refused { .. })) {
            for station in [&end.station, &binder.station] {
                station.await_vacancy(Arc::new(Vacancy {
                    names: Arc::downgrade(self),
                    key: station.key(),
                }));
            }
            // A place that became free before that was nobody's to tell.
            result = Pairing::join(self, name, &end, &binder.station, &mut after.effects);
        }
        match result {
            Ok(link) => {
                for station in [&end.station, &binder.station] {
                    let event = Event::Connected {
                        endpoint: end.endpoint.clone(),
                        peer: end.endpoint.to_string(),
                    };
                    after.tell(station, event);
                }
                entry.links.push(Arc::clone(&link));
                Some(link)
            }
            Err(failure) => {
                end.station.failed(end.peer, &failure);
                for [station, other] in [[&end.station, &binder.station], [&binder.station, &end.station]] {
                    let event = Event::HandshakeFailed {
                        endpoint: end.endpoint.clone(),
                        peer: end.endpoint.to_string(),
                        stage: Stage::Ready,
                        failure: as_seen_by(station, other, failure.clone()),
                        suppressed: 0,
                    };
                    after.tell(station, event);
                }
                if failure.is_final() {
                    let (endpoint, failure) = (end.endpoint.clone(), failure.clone());
                    after.tell(&end.station, Event::GaveUp { endpoint, failure });
                }
                entry.waiting.push(End {
                    failure: Some(failure),
                    ..end
                });
                None
            }
        }
    }

    /// What each of a socket's endpoints is about.
    pub(crate) fn explain(&self, key: u64) -> Vec<EndpointState> {
        let state = |endpoint: &Endpoint, doing, failure: Option<&Failure>| EndpointState {
            endpoint: endpoint.clone(),
            doing,
            attempts: 0,
            last_failure: failure.map(|failure| (Stage::Ready, failure.clone())),
            connections: Vec::new(),
        };
        let connection = |link: &Arc<Pairing>| ConnectionState {
            peer: format!("inproc://{}", link.name),
            stage: Stage::Traffic,
        };
        let mut endpoints = Vec::new();
        let names = self.names.lock();
        for entry in names.values() {
            if let Some(binder) = entry.binder.as_ref().filter(|it| it.station.key() == key) {
                let mut bound = state(&binder.endpoint, Doing::Listening, None);
                let links = entry.links.iter();
                bound.connections = links.map(connection).collect();
                endpoints.push(bound);
            }
            for end in entry.waiting.iter().filter(|end| end.station.key() == key) {
                let has_given_up = end.failure.as_ref().is_some_and(Failure::is_final) && entry.binder.is_some();
                let doing = match has_given_up {
                    true => Doing::GaveUp,
                    false => Doing::AwaitingBinder,
                };
                let failure = end.failure.as_ref().filter(|_| entry.binder.is_some());
                endpoints.push(state(&end.endpoint, doing, failure));
            }
            for link in entry
                .links
                .iter()
                .filter(|link| link.station(Side::Dialer).key() == key)
            {
                let mut linked = state(link.endpoint(), Doing::Connecting, None);
                linked.connections.push(connection(link));
                endpoints.push(linked);
            }
        }
        endpoints
    }

    /// A socket closes: its names are free, its links and its waits for a name end once nothing is queued on its side.
    pub(crate) fn close(self: &Arc<Self>, key: u64) -> Lingering {
        let mut after = After::default();
        let mut lingering = Lingering::new();
        let mut ending = Vec::new();
        let mut names = self.names.lock();
        names.retain(|name, entry| {
            if let Some(binder) = entry.binder.take_if(|binder| binder.station.key() == key) {
                let endpoint = binder.endpoint;
                after.tell(&binder.station, Event::Unbound { endpoint });
            }
            entry.waiting.retain_mut(|end| {
                let is_mine = end.station.key() == key;
                let stays = !is_mine || end.begin_leaving(&mut after);
                if is_mine && stays {
                    lingering.push(self.parting(name, key, end.peer));
                }
                stays
            });
            for link in &entry.links {
                for side in [Side::Dialer, Side::Binder] {
                    if link.station(side).key() == key {
                        link.begin_end(side, &mut after);
                        ending.push((Arc::clone(link), side));
                    }
                }
            }
            !entry.is_empty()
        });
        drop(names);
        after.run();
        lingering.append(&mut self.linger(ending));
        lingering
    }

    /// All sockets close, and nobody will bind a name: who waits for one need not wait any longer.
    pub(crate) fn give_up(&self) {
        let mut after = After::default();
        let mut names = self.names.lock();
        for end in names.values_mut().flat_map(|entry| entry.waiting.drain(..)) {
            after.detach(&end.station, end.peer, false);
        }
        drop(names);
        after.run();
    }
}

/// The failure of two that do not speak with each other is told to each with its own type first.
fn as_seen_by(station: &Arc<dyn Station>, other: &Arc<dyn Station>, failure: Failure) -> Failure {
    match failure {
        Failure::IncompatibleSocketType { .. } => Failure::IncompatibleSocketType {
            ours: station.local().socket_type,
            theirs: other.local().socket_type.to_string(),
        },
        failure => failure,
    }
}

//! Who is bound to which name, who waits for it, and which links came of it.

use super::pairing::{End, Half, Moving, Pairing, Side, facts};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::hub::{Ask, Effects, Link, Origin, Pace, Station};
use crate::monitor::Event;
use crate::routing::PeerId;
use crate::sync::Mutex;
use std::collections::BTreeMap;
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
    /// Links of this name; those that are over are removed when another is made or one of the sockets closes.
    links: Vec<Arc<Pairing>>,
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
    pub(super) fn retry(self: &Arc<Self>, name: &str) {
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
        effects.ask(side(way), Ask::Flush(Pace::Stream));
    }
    entry.links.retain(|link| !link.is_over());
    entry.links.push(pairing);
}

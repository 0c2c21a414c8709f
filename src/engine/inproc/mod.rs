//! Sockets of one context that meet by name, without the loop.
//!
//! The calling thread moves the batch: whoever makes a queue not empty moves it into the other socket, whoever makes room
//! resumes; each call moves one way, under the link's lock, one pass. Lock order: names, link, hub, buffers. The loop is needed
//! only to end what lingers too long.

mod lent;
mod names;
mod pairing;
mod unlinked;
mod way;

pub(crate) use names::{Lingering, Names, NotBound};

use crate::hub::{Effects, Station};
use crate::monitor::Event;
use crate::routing::PeerId;
use std::sync::Arc;

/// What is wanted once no lock is held: events first, then the ends of peers, then effects.
#[derive(Default)]
struct After {
    effects: Effects,
    events: Vec<(Arc<dyn Station>, Event)>,
    gone: Vec<Gone>,
}

/// A peer that is gone for good.
struct Gone {
    station: Arc<dyn Station>,
    peer: PeerId,
    is_confirmed: bool,
}

impl After {
    fn tell(&mut self, station: &Arc<dyn Station>, event: Event) {
        self.events.push((Arc::clone(station), event));
    }

    fn detach(&mut self, station: &Arc<dyn Station>, peer: PeerId, is_confirmed: bool) {
        self.gone.push(Gone {
            station: Arc::clone(station),
            peer,
            is_confirmed,
        });
    }

    fn run(self) {
        for (station, event) in self.events {
            station.tell(event);
        }
        let mut effects = self.effects;
        for gone in self.gone {
            gone.station.detach(gone.peer, gone.is_confirmed, &mut effects);
        }
        effects.run();
    }
}

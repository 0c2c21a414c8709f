//! What the engine has, for those who ask: counts, and what each endpoint of a socket is about.

use super::{Engine, Phase, Slot};
use crate::stats::LoopStats;
use crate::transport::Net;

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
                    Phase::Handshake => &mut counts.connections.handshaking,
                    Phase::Traffic => &mut counts.connections.ready,
                    Phase::Ending => &mut counts.connections.ending,
                },
                Slot::Lingering(_) => continue,
            };
            *place += 1;
        }
        counts
    }
}

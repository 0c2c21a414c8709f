//! What comes from each peer.

use super::Peers;
use crate::batch::Run;
use crate::failure::Failure;
use crate::message::Message;
use crate::monitor::Event;
use crate::routing::dropped::Dropped;
use crate::routing::incoming::{Popped, Room, discard, drop_received, hand_over};
use crate::routing::peer::PeerId;
use crate::routing::wants::{TOLD, Want};
use crate::stats::DropReason;
use std::time::Duration;

impl Peers {
    /// How much may be taken in from it. If nothing may, its link is resumed at the low mark.
    pub(crate) fn room(&mut self, id: PeerId) -> Room {
        let mark = self.recv_mark;
        self.get_mut(id)
            .map_or_else(Room::default, |peer| peer.incoming.room(mark))
    }

    /// Whether more of it is unread than the mark allows.
    pub(crate) fn is_over_mark(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| peer.incoming.is_over(self.recv_mark))
    }

    /// Appends whole messages to what is to be received from it.
    pub(crate) fn deliver(&mut self, id: PeerId, run: &mut Run) {
        let now = self.measure_incoming(run.messages(), run.payload());
        let Some(peer) = self.get_mut(id) else { return };
        for done in peer.incoming.deliver(run, now) {
            self.drop_later(done);
        }
    }

    /// Counts commands that came and mean nothing to us.
    pub(crate) fn ignored(&mut self, id: PeerId, commands: u64) {
        if let Some(peer) = self.get_mut(id) {
            peer.ignored += commands;
        }
    }

    /// Whether it may subscribe to this. If not, that is counted, and told the first time, the second, the fourth, and so on:
    /// it may ask as often as it likes.
    pub(crate) fn may_subscribe(&mut self, id: PeerId, topic: &[u8]) -> bool {
        let Some(peer) = self.get_mut(id) else { return false };
        let user = peer.info.as_ref().and_then(|info| info.user());
        if user.is_none_or(|user| user.may_subscribe(topic)) {
            return true;
        }
        peer.refused += 1;
        let refused = peer.refused;
        if refused.is_power_of_two() {
            let peer = peer.endpoint.to_string();
            let topic = topic.get(..TOLD).unwrap_or(topic).to_vec();
            self.wants
                .push(Want::Tell(Event::SubscriptionRefused { peer, topic, refused }));
        }
        false
    }

    /// Counts a message that was written to it and never queued.
    pub(crate) fn greeted(&mut self, id: PeerId, frames: usize, payload: usize) {
        if let Some(out) = self.out(id) {
            out.greeted(frames, payload);
            self.measure(1, payload as u64);
        }
    }

    /// A PING to it was answered after so long.
    pub(crate) fn round_trip(&mut self, id: PeerId, took: Duration) {
        if let Some(peer) = self.get_mut(id) {
            peer.round_trip = Some(took);
        }
    }

    /// Counts messages that came and are not for anybody, of a peer that may be gone.
    pub(crate) fn discard(&mut self, id: PeerId, messages: usize, payload: usize, why: DropReason) {
        let now = self.measure_incoming(messages, payload);
        match self.get_mut(id) {
            Some(peer) => peer.incoming.discard(messages, payload, why, now),
            None => discard(&mut self.gone.incoming, messages, payload, why),
        }
    }

    /// Counts messages that came to a socket that only sends. Who goes on with it is disconnected: what it says costs time, and
    /// is for nobody.
    pub(crate) fn astray(&mut self, id: PeerId, messages: usize, payload: usize) {
        self.discard(id, messages, payload, DropReason::WrongDirection);
        // Datagrams have no connection that would end, and may be anybody's.
        let Some(peer) = self.get_mut(id).filter(|peer| !peer.is_wordless) else {
            return;
        };
        let before = peer.astray;
        peer.astray = before.saturating_add(messages as u64);
        let observed = peer.astray;
        if before <= MOST_ASTRAY && observed > MOST_ASTRAY {
            let failure = Failure::TooLarge {
                what: "messages to a socket that only sends",
                limit: MOST_ASTRAY,
                observed,
            };
            self.wants.push(Want::Sever(id, failure));
        }
    }

    /// Counts a message that came and was handed to the application without waiting in a queue, of a peer that may be
    /// gone.
    pub(crate) fn hand_over(&mut self, id: PeerId, payload: usize) {
        let now = self.measure_incoming(1, payload);
        match self.get_mut(id) {
            Some(peer) => peer.incoming.hand_over(payload, now),
            None => hand_over(&mut self.gone.incoming, payload),
        }
    }

    /// Counts frames beyond the first of a message that was handed over.
    pub(crate) fn more_frames(&mut self, id: PeerId, frames: usize) {
        if let Some(peer) = self.get_mut(id) {
            peer.incoming.more_frames(frames);
        }
    }

    /// Takes the oldest unread message of a peer.
    #[inline(always)]
    pub(crate) fn pop(&mut self, id: PeerId, into: &mut Message) -> Option<Popped> {
        if let Some(peer) = self.slots.get_mut(id.index)
            && peer.generation == id.generation
            && !self.is_witness
            && peer.incoming.pop_next(into)
        {
            return Some(Popped::More);
        }
        self.pop_any(id, into)
    }

    /// Takes the oldest unread messages of a peer, at most so many, as long as nothing else is to be looked at. Each but
    /// these is for [`Peers::pop`].
    pub(crate) fn pop_many(&mut self, id: PeerId, into: &mut Vec<Message>, most: usize) -> usize {
        match self.slots.get_mut(id.index) {
            Some(peer) if peer.generation == id.generation && !self.is_witness => peer.incoming.pop_many(into, most),
            _ => 0,
        }
    }

    #[inline(never)]
    fn pop_any(&mut self, id: PeerId, into: &mut Message) -> Option<Popped> {
        let mark = self.recv_mark;
        let peer = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)?;
        let popped = peer.incoming.pop(into)?;
        if peer.incoming.has_fallen_to_low(mark) {
            self.wants.push(Want::Resume(id));
        }
        if peer.incoming.ends_time() {
            self.wants.push(Want::Time(id));
        }
        if peer.earlier.is_empty() {
            peer.incoming.look_ahead(mark);
        }
        if self.is_witness | !peer.earlier.is_empty() {
            let info = peer.sender_of_popped();
            if self.is_witness {
                self.sender = info;
            }
        }
        Some(popped)
    }

    /// Drops a message that was popped, and counts it as not received.
    pub(crate) fn drop_popped(&mut self, id: PeerId, message: Message, why: DropReason) {
        self.dropped_after_pop(id, message.byte_count(), why);
        self.drop_later(message);
    }

    /// Leaves a message to be dropped where no lock is held: it may be the application's own memory.
    pub(crate) fn drop_later(&mut self, message: Message) {
        if !message.is_small() {
            self.wants.push(Want::Drop(message));
        }
    }

    /// Counts a message that was popped as dropped, not received.
    pub(crate) fn dropped_after_pop(&mut self, id: PeerId, payload: usize, why: DropReason) {
        match self.get_mut(id) {
            Some(peer) => peer.incoming.dropped_after_pop(payload, why),
            None => drop_received(&mut self.gone.incoming, payload, why),
        }
    }

    /// Drops and counts what is unread of a peer.
    #[must_use]
    pub(crate) fn drop_incoming(&mut self, id: PeerId, why: DropReason) -> Dropped {
        let Some(peer) = self.get_mut(id) else {
            return Dropped::default();
        };
        let dropped = peer.incoming.drop_all(why);
        peer.earlier.clear();
        if peer.incoming.stop_starving() {
            self.wants.push(Want::Resume(id));
        }
        dropped
    }
}

/// So many messages of one connection that are for nobody may be a mistake.
const MOST_ASTRAY: u64 = 1_000;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::Mark;
    use crate::routing::peer::PeerKind;

    const MARK: Mark = Mark {
        messages: 2,
        bytes: 1 << 20,
    };

    /// T18: a peer that sends to who only sends is disconnected after a thousand messages, once; each connection begins anew.
    #[test]
    fn threat_18_who_sends_where_nobody_receives_is_disconnected_after_a_thousand() {
        let mut peers = Peers::new(MARK, MARK);
        let id = peers.attach(PeerKind::Dialed, "peer");
        for _ in 0..2 {
            drop(peers.connected(id, None));
            peers.wants.clear();
            peers.astray(id, 400, 400);
            peers.astray(id, 600, 600);
            assert!(peers.wants.is_empty(), "{:?}", peers.wants);

            peers.astray(id, 3, 3);
            peers.astray(id, 1_000, 1_000);

            let [Want::Sever(who, failure)] = &peers.wants[..] else {
                panic!("{:?}", peers.wants)
            };
            assert_eq!(*who, id);
            assert_eq!(
                failure.to_string(),
                "1003 messages to a socket that only sends are over the limit of 1000"
            );
        }
        let incoming = peers.stats().incoming;
        assert_eq!(incoming.dropped.of(DropReason::WrongDirection), 2 * 2_003);
        assert!(incoming.is_conserved());
    }
}

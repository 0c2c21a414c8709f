//! The peers of one socket: who is there, and what goes to and comes from each of them.
//!
//! A mark counts all that is queued, also what a connection is writing. A peer at its mark is full, and wanted again at
//! half of it. Every message is in one place and in one count: what was taken on is passed on, dropped, or here.

use super::dropped::Dropped;
use super::incoming::{Popped, Room, drop_received};
use super::outgoing::{Placed, Spares, Unwritten, refuse};
use super::peer::{Peer, PeerId, PeerKind};
use super::wants::{Want, Wants};
use crate::batch::{Batch, Run, Tally};
use crate::identity::Identity;
use crate::message::{Message, Outgoing};
use crate::options::{Conflate, Mark};
use crate::stats::{DropReason, Flow, PeerStats, SocketStats};
use slab::Slab;

/// The peers of one socket.
#[derive(Debug)]
pub(crate) struct Peers {
    slots: Slab<Peer>,
    next_generation: u64,
    send_mark: Mark,
    recv_mark: Mark,
    spares: Spares,
    /// What peers that are gone have counted, and what was dropped without one.
    gone: SocketStats,
    /// Messages that lost their peer and have no other yet. They are held by the pattern.
    adrift: Tally,
    /// Whether only the newest message to each peer counts, and of each.
    conflate: [Option<Conflate>; 2],
    /// What the steps since the last look want done.
    pub(crate) wants: Wants,
}

impl Peers {
    pub(crate) fn new(send_mark: Mark, recv_mark: Mark) -> Self {
        Peers {
            slots: Slab::new(),
            next_generation: 0,
            send_mark,
            recv_mark,
            spares: Spares::default(),
            gone: SocketStats::default(),
            adrift: Tally::default(),
            conflate: [None; 2],
            wants: Wants::default(),
        }
    }

    fn get(&self, id: PeerId) -> Option<&Peer> {
        self.slots.get(id.index).filter(|peer| peer.generation == id.generation)
    }

    fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)
    }

    // -- coming and going

    /// A new peer, with two empty queues.
    pub(crate) fn attach(&mut self, kind: PeerKind, endpoint: String) -> PeerId {
        let generation = self.next_generation;
        self.next_generation += 1;
        let mut peer = Peer::new(generation, kind, endpoint);
        let [out, incoming] = self.conflate;
        out.inspect(|&kind| peer.out.conflate(kind));
        incoming.inspect(|&kind| peer.incoming.conflate(kind));
        let index = self.slots.insert(peer);
        PeerId { index, generation }
    }

    /// Its connection is ready, and will collect. Whoever comes back under another identity is a new peer: what was
    /// queued for the old one is dropped and counted.
    pub(crate) fn connected(&mut self, id: PeerId, identity: Option<Identity>) -> Dropped {
        let Some(peer) = self.get_mut(id) else {
            return Dropped::default();
        };
        let is_other = peer.connections > 0 && peer.identity != identity;
        peer.identity = identity;
        peer.is_up = true;
        peer.out.make_busy();
        peer.connections += 1;
        if is_other {
            let dropped = self.drop_queue(id, Unwritten::new(), DropReason::IdentityChanged);
            self.note_room(id);
            return dropped;
        }
        Dropped::default()
    }

    /// Its connection ended, with so many bytes of this batch written: what was not wholly written, in order, is the
    /// caller's to put back, move or drop; what was is to be dropped where no lock is held.
    pub(crate) fn disconnected(
        &mut self,
        id: PeerId,
        batch: Option<(Batch, usize)>,
        why: String,
    ) -> (Unwritten, Dropped) {
        let Some(peer) = self.get_mut(id) else {
            let batches = batch.into_iter().map(|(batch, _)| batch).collect();
            let dropped = Dropped {
                batches,
                ..Dropped::default()
            };
            return (Unwritten::new(), dropped);
        };
        peer.is_up = false;
        peer.owes_notices = false;
        peer.incoming.stop_starving();
        peer.last_error = Some(why);
        peer.out.cut_off(batch)
    }

    /// An attempt to reach it failed.
    pub(crate) fn failed(&mut self, id: PeerId, why: String) {
        if let Some(peer) = self.get_mut(id) {
            peer.last_error = Some(why);
        }
    }

    /// Puts back what [`Peers::disconnected`] gave, in front of everything.
    pub(crate) fn put_back(&mut self, id: PeerId, unwritten: Unwritten) {
        let Some(peer) = self.get_mut(id) else { return };
        for message in peer.out.put_back(unwritten) {
            self.wants.push(Want::Drop(message));
        }
    }

    /// Takes everything out of the queue to a peer that is down, `unwritten` first, to be sent elsewhere. It counts as
    /// adrift until then.
    pub(crate) fn take_back(&mut self, id: PeerId, unwritten: Unwritten) -> Vec<Message> {
        let Some(peer) = self.get_mut(id) else {
            return Vec::new();
        };
        let (all, queued) = peer.out.take_back(unwritten);
        self.adrift.add(queued.messages, queued.payload);
        all
    }

    /// A message that was adrift has a peer again, or is dropped.
    pub(crate) fn settled(&mut self, message: &Message) {
        self.adrift.sub(Tally {
            messages: 1,
            payload: message.byte_count(),
        });
    }

    /// A message that is adrift finds no peer any more.
    pub(crate) fn drop_adrift(&mut self, message: &Message, why: DropReason) {
        self.settled(message);
        refuse(&mut self.gone.out, message.byte_count(), why);
    }

    /// Drops and counts all that waits to go to a peer whose connection is over, `unwritten` included. What is returned
    /// is to be dropped where no lock is held.
    #[must_use]
    pub(crate) fn drop_queue(&mut self, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        match self.get_mut(id) {
            Some(peer) => peer.out.drop_all(unwritten, why),
            None => Dropped::default(),
        }
    }

    /// Drops and counts what is unread of a peer.
    #[must_use]
    pub(crate) fn drop_incoming(&mut self, id: PeerId, why: DropReason) -> Dropped {
        let Some(peer) = self.get_mut(id) else {
            return Dropped::default();
        };
        let dropped = peer.incoming.drop_all(why);
        if peer.incoming.stop_starving() {
            self.wants.push(Want::Resume(id));
        }
        dropped
    }

    /// It takes no more messages, and has room for none: what is queued still goes, and then it goes too.
    pub(crate) fn retire(&mut self, id: PeerId) {
        if let Some(peer) = self.get_mut(id) {
            peer.is_leaving = true;
        }
    }

    /// Its last connection is over: it goes now, or once nothing of it is unread. Its outgoing queue is empty by now.
    pub(crate) fn detach(&mut self, id: PeerId) {
        if let Some(peer) = self.get_mut(id) {
            debug_assert_eq!(peer.out.waiting(), 0, "a peer goes with an empty queue");
            peer.is_up = false;
            peer.is_over = true;
            self.forget_if_over(id);
        }
    }

    /// Forgets a peer that is over and has nothing unread.
    pub(crate) fn forget_if_over(&mut self, id: PeerId) {
        if self
            .get(id)
            .is_some_and(|peer| peer.is_over && peer.incoming.is_empty())
        {
            let peer = self.slots.remove(id.index);
            self.gone.out.merge(peer.out.flow());
            self.gone.incoming.merge(peer.incoming.flow());
            self.gone.ignored_commands += peer.ignored;
            self.gone.reconnects += peer.connections.saturating_sub(1);
            self.wants.push(Want::Forget(id));
        }
    }

    // -- asking

    pub(crate) fn kind(&self, id: PeerId) -> Option<PeerKind> {
        self.get(id).map(|peer| peer.kind)
    }

    /// Whether a connection to it is ready; `None`: it is gone.
    pub(crate) fn is_up(&self, id: PeerId) -> Option<bool> {
        self.get(id).map(|peer| peer.is_up)
    }

    /// Whether it had a connection, and has none now.
    pub(crate) fn was_lost(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| !peer.is_up && peer.connections > 0)
    }

    /// Which of its connections is ready for messages now, counted from 1; `None` while none is.
    pub(crate) fn connection(&self, id: PeerId) -> Option<u64> {
        self.get(id)
            .filter(|peer| peer.is_up && !peer.is_leaving)
            .map(|peer| peer.connections)
    }

    /// Peers that are attached and whose last connection is not over.
    pub(crate) fn count(&self) -> usize {
        self.slots.iter().filter(|(_, peer)| !peer.is_over).count()
    }

    /// All of them, also those with something unread whose connection is over.
    pub(crate) fn ids(&self) -> Vec<PeerId> {
        self.slots
            .iter()
            .map(|(index, peer)| PeerId {
                index,
                generation: peer.generation,
            })
            .collect()
    }

    /// Messages that wait to go to it, or are being written.
    pub(crate) fn outgoing(&self, id: PeerId) -> usize {
        self.get(id).map_or(0, |peer| peer.out.held().messages)
    }

    /// Messages that were taken on for it since it exists.
    pub(crate) fn accepted(&self, id: PeerId) -> u64 {
        self.get(id).map_or(0, |peer| peer.out.flow().taken)
    }

    /// Of the messages that were taken on, how many have left the queue: written or dropped.
    pub(crate) fn left(&self, id: PeerId) -> u64 {
        self.get(id)
            .map(|peer| peer.out.flow())
            .map_or(0, |out| out.passed + out.dropped.total())
    }

    /// Unread messages of it.
    pub(crate) fn unread(&self, id: PeerId) -> usize {
        self.get(id).map_or(0, |peer| peer.incoming.messages())
    }

    /// Messages that were wholly written to it since it exists.
    pub(crate) fn written(&self, id: PeerId) -> u64 {
        self.get(id).map_or(0, |peer| peer.out.flow().passed)
    }

    pub(crate) fn has_incoming(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| !peer.incoming.is_empty())
    }

    /// Whether it has room for a message: asked before a message, never about it, so that a lone big one always fits.
    /// If not, [`Pattern::has_room`](super::Pattern::has_room) follows at the low mark.
    pub(crate) fn wants_room(&mut self, id: PeerId) -> bool {
        let mark = self.send_mark;
        self.get_mut(id)
            .is_some_and(|peer| !peer.is_leaving && peer.out.has_room(mark))
    }

    // -- the way out

    /// From now on each new peer's queues keep the newest message only: that out, and that in.
    pub(crate) fn conflate(&mut self, out: Option<Conflate>, incoming: Option<Conflate>) {
        self.conflate = [out, incoming];
    }

    /// Packs a message to the end of the peer's queue, if there is room.
    #[inline(always)]
    pub(crate) fn enqueue(&mut self, id: PeerId, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> Placed {
        if self.conflate[0].is_some() {
            return self.replace(id, envelope, message);
        }
        let mark = self.send_mark;
        let Some(peer) = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)
        else {
            return Placed::Refused;
        };
        let placed = peer.out.enqueue(mark, &mut self.spares, envelope, message);
        if placed != Placed::Refused && peer.out.make_busy() {
            self.wants.push(Want::Flush(id));
        }
        placed
    }

    /// Keeps a message in the place of an older one.
    #[inline(never)]
    fn replace(&mut self, id: PeerId, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> Placed {
        let Some(peer) = self.get_mut(id) else {
            return Placed::Refused;
        };
        let replaced = peer.out.replace(&message.share(envelope));
        if peer.out.make_busy() {
            self.wants.push(Want::Flush(id));
        }
        self.wants.extend(replaced.map(Want::Drop));
        Placed::WithRoom
    }

    /// Packs a message to the end of the peer's queue, whether there is room or not.
    pub(crate) fn force(&mut self, id: PeerId, envelope: &[&[u8]], message: &mut Outgoing<'_>) {
        if self.conflate[0].is_some() {
            self.replace(id, envelope, message);
            return;
        }
        let Some(peer) = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)
        else {
            return;
        };
        peer.out.force(&mut self.spares, envelope, message);
        if peer.out.make_busy() {
            self.wants.push(Want::Flush(id));
        }
    }

    /// Drops and counts the oldest message to a peer that no connection has taken yet. `false`: there is none.
    pub(crate) fn drop_oldest(&mut self, id: PeerId, why: DropReason) -> bool {
        let dropped = self.get_mut(id).and_then(|peer| peer.out.drop_oldest(why));
        let has = dropped.is_some();
        self.wants.extend(dropped.map(Want::Drop));
        has
    }

    /// Counts a message that was taken on and is for nobody.
    pub(crate) fn drop_unsent(&mut self, payload: usize, why: DropReason) {
        refuse(&mut self.gone.out, payload, why);
    }

    /// Whether it is at half its mark or below. If not, [`Pattern::has_room`](super::Pattern::has_room) follows when it
    /// is.
    pub(crate) fn awaits_low(&mut self, id: PeerId) -> bool {
        let mark = self.send_mark;
        self.get_mut(id).is_some_and(|peer| peer.out.awaits_low(mark))
    }

    /// Counts a topic whose newest message is not kept any more.
    pub(crate) fn forgot_topic(&mut self) {
        self.gone.forgotten_topics += 1;
    }

    /// Where it is: the endpoint that was connected to, or the address that it came from.
    pub(crate) fn endpoint(&self, id: PeerId) -> Option<&str> {
        self.get(id).map(|peer| &*peer.endpoint)
    }

    /// A peer that is up is to be told something before its next message: [`Pattern::notices`](super::Pattern::notices)
    /// is asked for it.
    pub(crate) fn owe_notices(&mut self, id: PeerId) {
        let Some(peer) = self.get_mut(id).filter(|peer| peer.is_up) else {
            return;
        };
        peer.owes_notices = true;
        if peer.out.make_busy() {
            self.wants.push(Want::Flush(id));
        }
    }

    /// Whether it is to be told something; says so once.
    #[inline]
    pub(crate) fn take_owed(&mut self, id: PeerId) -> bool {
        self.get_mut(id)
            .is_some_and(|peer| std::mem::take(&mut peer.owes_notices))
    }

    /// Takes off what was wholly written, then gives the oldest batch: at most half a mark of messages, at least one.
    /// `None`: nothing is queued, and whoever makes it not so flushes.
    pub(crate) fn collect(&mut self, id: PeerId, written: Tally, spent: Vec<u8>) -> Option<Batch> {
        self.spares.give(spent);
        let mark = self.send_mark;
        let peer = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)?;
        peer.out.written(written);
        if peer.out.has_fallen_to_low(mark) {
            self.wants.push(Want::Room(id));
        }
        peer.out.collect(&mut self.spares)
    }

    /// Takes off what another socket took out of the batch that was collected, when there is more of it.
    pub(crate) fn moved(&mut self, id: PeerId, moved: Tally) {
        let Some(peer) = self.get_mut(id) else { return };
        peer.out.written(moved);
        self.note_room(id);
    }

    fn note_room(&mut self, id: PeerId) {
        let mark = self.send_mark;
        if self.get_mut(id).is_some_and(|peer| peer.out.has_fallen_to_low(mark)) {
            self.wants.push(Want::Room(id));
        }
    }

    // -- the way in

    /// How much may be taken in from it. If nothing may, its link is resumed at the low mark.
    pub(crate) fn room(&mut self, id: PeerId) -> Room {
        let mark = self.recv_mark;
        self.get_mut(id)
            .map_or_else(Room::default, |peer| peer.incoming.room(mark))
    }

    /// Appends whole messages to what is to be received from it.
    pub(crate) fn deliver(&mut self, id: PeerId, run: &mut Run) {
        let Some(peer) = self.get_mut(id) else { return };
        for replaced in peer.incoming.deliver(run) {
            self.wants.push(Want::Drop(replaced));
        }
    }

    /// Counts commands that came and mean nothing to us.
    pub(crate) fn ignored(&mut self, id: PeerId, commands: u64) {
        if let Some(peer) = self.get_mut(id) {
            peer.ignored += commands;
        }
    }

    /// Counts messages that came and are not for anybody.
    pub(crate) fn discard(&mut self, id: PeerId, messages: usize, payload: usize, why: DropReason) {
        if let Some(peer) = self.get_mut(id) {
            peer.incoming.discard(messages, payload, why);
        }
    }

    /// Counts a message that came and was handed to the application without waiting in a queue.
    pub(crate) fn hand_over(&mut self, id: PeerId, payload: usize) {
        if let Some(peer) = self.get_mut(id) {
            peer.incoming.hand_over(payload);
        }
    }

    /// Takes the oldest unread message of a peer.
    #[inline(always)]
    pub(crate) fn pop(&mut self, id: PeerId, into: &mut Message) -> Option<Popped> {
        let mark = self.recv_mark;
        let peer = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)?;
        let popped = peer.incoming.pop(into)?;
        if peer.incoming.has_fallen_to_low(mark) {
            self.wants.push(Want::Resume(id));
        }
        Some(popped)
    }

    /// Counts a message that was popped as dropped, not received.
    pub(crate) fn dropped_after_pop(&mut self, id: PeerId, payload: usize, why: DropReason) {
        let flow = match self.get_mut(id) {
            Some(peer) => peer.incoming.flow_mut(),
            None => &mut self.gone.incoming,
        };
        drop_received(flow, payload, why);
    }

    /// Counts a message that was taken on and dropped at once, for a peer that may be gone.
    pub(crate) fn refuse(&mut self, id: PeerId, payload: usize, why: DropReason) {
        let flow = match self.get_mut(id) {
            Some(peer) => peer.out.flow_mut(),
            None => &mut self.gone.out,
        };
        refuse(flow, payload, why);
    }

    // -- counting

    /// What was sent to peers that are gone, or refused.
    pub(crate) fn gone(&self) -> &Flow {
        &self.gone.out
    }

    pub(crate) fn stats(&self) -> SocketStats {
        let mut stats = self.gone.clone();
        for (_, peer) in &self.slots {
            let one = peer.stats();
            stats.out.merge(&one.out);
            stats.incoming.merge(&one.incoming);
            stats.reconnects += one.reconnects;
            stats.ignored_commands += one.ignored_commands;
            if !peer.is_over {
                stats.peers.push(one);
            }
        }
        stats.out.taken += self.adrift.messages as u64;
        stats.out.taken_bytes += self.adrift.payload as u64;
        stats.out.queued += self.adrift.messages as u64;
        stats.out.queued_bytes += self.adrift.payload as u64;
        stats
    }

    pub(crate) fn peer_stats(&self, id: PeerId) -> Option<PeerStats> {
        self.get(id).map(Peer::stats)
    }
}

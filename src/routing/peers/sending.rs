//! What goes to each peer.

use super::Peers;
use crate::batch::{Batch, Packed, Tally};
use crate::message::{Message, Outgoing};
use crate::options::Conflate;
use crate::routing::dropped::Dropped;
use crate::routing::outgoing::{OutgoingQueue, Placed, Unwritten, refuse};
use crate::routing::peer::{Peer, PeerId};
use crate::routing::wants::Want;
use crate::stats::DropReason;

impl Peers {
    /// From now on each new peer's queues keep the newest message only: that out, and that in.
    pub(crate) fn conflate(&mut self, out: Option<Conflate>, incoming: Option<Conflate>) {
        self.conflate = [out, incoming];
    }

    /// Packs a message to the end of the peer's queue, if there is room.
    #[inline(always)]
    pub(crate) fn enqueue(&mut self, id: PeerId, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> Placed {
        if envelope.is_empty()
            && let Some(peer) = self.slots.get_mut(id.index)
            && peer.generation == id.generation
            && peer.out.reach(&mut self.stage).enqueue_lent(message)
        {
            return Placed::WithRoom;
        }
        self.enqueue_any(id, envelope, message)
    }

    /// Takes on a message of so many bytes that its caller writes itself, if nothing is queued for the peer: it counts as
    /// collected.
    pub(crate) fn lend(&mut self, id: PeerId, payload: usize) -> Placed {
        let mark = self.send_mark;
        let replaces = self.conflate[0].is_some();
        let takes = |peer: &Peer| !replaces && peer.is_up && !peer.is_leaving;
        if !self.get(id).is_some_and(takes) {
            return Placed::Refused;
        }
        let Some(out) = self.out(id) else {
            return Placed::Refused;
        };
        let placed = out.lend(mark, payload);
        if placed == Placed::Last && out.is_full_untimed() {
            self.wants.push(Want::Time(id));
        }
        placed
    }

    /// Moves messages to the end of the peer's queue, at most so many, as long as none of them concerns anybody else. Says how
    /// many; the next is for [`Peers::enqueue`].
    pub(crate) fn enqueue_packed(&mut self, id: PeerId, packed: &mut Packed, most: usize) -> Tally {
        let mark = self.send_mark;
        self.out(id)
            .map_or_else(Tally::default, |out| out.enqueue_packed(mark, packed, most))
    }

    #[inline(never)]
    fn enqueue_any(&mut self, id: PeerId, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> Placed {
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
        let out = peer.out.reach(&mut self.stage);
        let was_full = out.awaits_room();
        let placed = out.enqueue(mark, &mut self.spares, envelope, message);
        if placed == Placed::Refused && !was_full {
            // What others hold has brought it there since it was looked at.
            self.wants.push(Want::Full(id));
        }
        if placed != Placed::Refused && out.make_busy() {
            self.wants.push(Want::Flush(id));
        }
        if placed != Placed::Refused && out.is_nearly_at(mark) {
            self.wants.push(Want::Full(id));
        }
        if placed != Placed::Refused && out.begins_time(placed) {
            self.wants.push(Want::Time(id));
        }
        placed
    }

    /// Keeps a message in the place of an older one.
    #[inline(never)]
    fn replace(&mut self, id: PeerId, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> Placed {
        let Some(out) = self.out(id) else {
            return Placed::Refused;
        };
        let replaced = out.replace(&message.share(envelope));
        if out.make_busy() {
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
        let out = peer.out.reach(&mut self.stage);
        out.force(&mut self.spares, envelope, message);
        let is_nearly_full = out.is_nearly_at(self.send_mark);
        if out.make_busy() {
            self.wants.push(Want::Flush(id));
        }
        if is_nearly_full {
            self.wants.push(Want::Full(id));
        }
    }

    /// Drops and counts the oldest message to a peer that no connection has taken yet. `false`: there is none.
    pub(crate) fn drop_oldest(&mut self, id: PeerId, why: DropReason) -> bool {
        let dropped = self.out(id).and_then(|out| out.drop_oldest(why));
        let has = dropped.is_some();
        self.wants.extend(dropped.map(Want::Drop));
        has
    }

    /// Drops and counts a message that no connection has taken yet, by its place among those that were taken on for the
    /// peer ([`Peers::accepted`]). Gives how many had left the queue before: those between are one place further behind
    /// now. `None`: it is on its way, or was.
    pub(crate) fn drop_at(&mut self, id: PeerId, place: u64, why: DropReason) -> Option<u64> {
        let mark = self.send_mark;
        let peer = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)?;
        let out = peer.out.reach(&mut self.stage);
        let (left, message) = out.drop_at(place, mark, &mut self.spares, why)?;
        self.wants.push(Want::Drop(message));
        self.note_room(id);
        Some(left)
    }

    /// Half of what may wait for each peer, in messages (at least one) and in bytes.
    pub(crate) fn half_a_mark(&self) -> (usize, usize) {
        ((self.send_mark.messages / 2).max(1), self.send_mark.bytes / 2)
    }

    /// Counts a message that was taken on and is for nobody.
    pub(crate) fn drop_unsent(&mut self, payload: usize, why: DropReason) {
        refuse(&mut self.gone.out, payload, why);
    }

    /// Whether it is at half its mark or below. If not, [`Pattern::has_room`](super::Pattern::has_room) follows when it
    /// is.
    pub(crate) fn awaits_low(&mut self, id: PeerId) -> bool {
        let mark = self.send_mark;
        self.out(id).is_some_and(|out| out.awaits_low(mark))
    }

    /// A peer that is up is to be told something before its next message: [`Pattern::notices`](super::Pattern::notices)
    /// is asked for it.
    pub(crate) fn owe_notices(&mut self, id: PeerId) {
        let Some(peer) = self.get_mut(id).filter(|peer| peer.is_up) else {
            return;
        };
        peer.owes_notices = true;
        if self.out(id).is_some_and(OutgoingQueue::make_busy) {
            self.wants.push(Want::Flush(id));
        }
    }

    /// Whether it is to be told something; says so once.
    #[inline]
    pub(crate) fn take_owed(&mut self, id: PeerId) -> bool {
        self.get_mut(id)
            .is_some_and(|peer| std::mem::take(&mut peer.owes_notices))
    }

    /// Packs an empty message, so that a ROUTER hears of us. Where the queue is full, what waits there does as much; to one
    /// that leaves nothing new is said.
    pub(crate) fn probe(&mut self, id: PeerId) {
        if !self.is_leaving(id) {
            let _full = self.enqueue(id, &[], &mut Outgoing::from(Message::empty()));
        }
    }

    /// Keeps a packing buffer for the next batch.
    pub(crate) fn give_spare(&mut self, spent: Vec<u8>) {
        self.spares.give(spent);
    }

    /// Takes off what was wholly written, then gives the oldest batch: at most half a mark of messages, at least one.
    /// `None`: nothing is queued, and whoever makes it not so flushes.
    pub(crate) fn collect(&mut self, id: PeerId, written: Tally, spent: Vec<u8>) -> Option<Batch> {
        self.spares.give(spent);
        self.measure(written.messages as u64, written.payload as u64);
        let (mark, now) = (self.send_mark, self.now);
        let peer = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)?;
        let out = peer.out.reach(&mut self.stage);
        out.written(written, now);
        if out.has_fallen_to_low(mark) {
            self.wants.push(Want::Room(id));
        }
        let wants = &mut self.wants;
        out.collect(&mut self.spares, |packed| wants.push(Want::Drop(packed)))
    }

    /// Takes off what another socket took out of the batch that was collected, when there is more of it.
    pub(crate) fn moved(&mut self, id: PeerId, moved: Tally) {
        let now = self.now;
        let Some(out) = self.out(id) else { return };
        out.written(moved, now);
        self.measure(moved.messages as u64, moved.payload as u64);
        self.note_room(id);
    }

    /// Takes off, and counts as dropped, what was collected and cannot be written.
    pub(crate) fn refused(&mut self, id: PeerId, refused: Tally, why: DropReason) {
        let Some(out) = self.out(id) else { return };
        out.refused(refused, why);
        self.note_room(id);
    }

    pub(super) fn note_room(&mut self, id: PeerId) {
        let mark = self.send_mark;
        if self.out(id).is_some_and(|out| out.has_fallen_to_low(mark)) {
            self.wants.push(Want::Room(id));
        }
    }

    /// Counts a message that was taken on and dropped at once, for a peer that may be gone.
    pub(crate) fn refuse(&mut self, id: PeerId, payload: usize, why: DropReason) {
        match self.out(id) {
            Some(out) => out.refuse(payload, why),
            None => refuse(&mut self.gone.out, payload, why),
        }
    }

    /// Whether it has room for a message: asked before a message, never about it, so that a lone big one always fits.
    /// If not, [`Pattern::has_room`](super::Pattern::has_room) follows at the low mark.
    pub(crate) fn wants_room(&mut self, id: PeerId) -> bool {
        let mark = self.send_mark;
        let peer = self.slots.get_mut(id.index);
        let Some(peer) = peer.filter(|peer| peer.generation == id.generation && !peer.is_leaving) else {
            return false;
        };
        let out = peer.out.reach(&mut self.stage);
        if out.has_room_ahead() {
            return true;
        }
        let was_full = out.awaits_room();
        let has_room = out.has_room(mark);
        if !has_room && !was_full {
            self.wants.push(Want::Full(id));
        }
        if out.is_full_untimed() {
            self.wants.push(Want::Time(id));
        }
        has_room
    }

    /// Whether as much is queued for it as may be; nobody is told when it is not any more.
    pub(crate) fn is_at_mark(&mut self, id: PeerId) -> bool {
        let mark = self.send_mark;
        self.out(id).is_some_and(|out| out.is_at(mark))
    }

    /// Puts back what [`Peers::disconnected`] gave, in front of everything.
    pub(crate) fn put_back(&mut self, id: PeerId, unwritten: Unwritten) {
        let Some(out) = self.out(id) else { return };
        for message in out.put_back(unwritten) {
            self.wants.push(Want::Drop(message));
        }
    }

    /// Takes everything out of the queue to a peer that is down, `unwritten` first, to be sent elsewhere. It counts as
    /// adrift until then.
    pub(crate) fn take_back(&mut self, id: PeerId, unwritten: Unwritten) -> Vec<Message> {
        let Some(out) = self.out(id) else {
            return Vec::new();
        };
        let (all, queued) = out.take_back(unwritten);
        self.adrift.add(queued.messages, queued.payload);
        all
    }

    /// A message waits for a peer, as one more that was taken on.
    pub(crate) fn set_adrift(&mut self, message: &Message) {
        self.adrift.add(1, message.byte_count());
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
        match self.out(id) {
            Some(out) => out.drop_all(unwritten, why),
            None => Dropped::default(),
        }
    }
}

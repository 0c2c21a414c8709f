//! The peers of one socket: who is there, and what goes to and comes from each of them.
//!
//! A mark counts all that is queued, also what a connection is writing. A peer at its mark is full, and wanted again at
//! half of it. Every message is in one place and in one count: what was taken on is passed on, dropped, or here.

use super::dropped::Dropped;
use super::incoming::{Popped, Room, discard, drop_received, hand_over};
use super::outgoing::{Placed, Spares, Unwritten, refuse};
use super::peer::{Peer, PeerId, PeerKind};
use super::wants::{Want, Wants};
use crate::batch::{Batch, Run, Tally};
use crate::identity::Identity;
use crate::message::{Message, Outgoing};
use crate::options::{Conflate, Mark};
use crate::peer_info::PeerInfo;
use crate::socket_type::SocketType;
use crate::stats::{DropReason, Flow, Meter, PeerStats, SocketStats};
use slab::Slab;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// What all peers have been written, and what came from all.
    meters: (Meter, Meter),
    /// What time it was when the socket last said so; it does before each step that moves messages to or from a connection.
    now: Option<Instant>,
    /// Messages that lost their peer and have no other yet. They are held by the pattern.
    adrift: Tally,
    /// What peers that are gone have left unread weighs. At the mark of bytes of one peer nobody new is let in.
    left_behind: usize,
    /// Whether only the newest message to each peer counts, and of each.
    conflate: [Option<Conflate>; 2],
    /// Whether it is asked whose messages are taken, and whose the last one is.
    is_witness: bool,
    sender: Option<Arc<PeerInfo>>,
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
            meters: (Meter::default(), Meter::default()),
            now: None,
            adrift: Tally::default(),
            left_behind: 0,
            conflate: [None; 2],
            is_witness: false,
            sender: None,
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

    // -- the time

    /// What time it is.
    #[inline]
    pub(crate) fn clock(&mut self, now: Instant) {
        self.now = Some(now);
    }

    /// What time it was last.
    #[inline]
    pub(crate) fn now(&self) -> Option<Instant> {
        self.now
    }

    /// What time it is that [`Want::Time`] asked for, or that the peer's queues became full or wanted again.
    pub(crate) fn time(&mut self, id: PeerId, now: Instant) {
        self.now = Some(now);
        if let Some(peer) = self.get_mut(id) {
            peer.out.time(now);
            peer.incoming.time(now);
        }
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
        let now = self.now;
        let Some(peer) = self.get_mut(id) else {
            let batches = batch.into_iter().map(|(batch, _)| batch).collect();
            let dropped = Dropped {
                batches,
                ..Dropped::default()
            };
            return (Unwritten::new(), dropped);
        };
        peer.is_up = false;
        peer.round_trip = None;
        peer.owes_notices = false;
        peer.incoming.stop_starving();
        peer.last_error = Some(why);
        let before = *peer.out.flow();
        let cut = peer.out.cut_off(batch, now);
        let after = *peer.out.flow();
        self.measure(after.passed - before.passed, after.passed_bytes - before.passed_bytes);
        cut
    }

    /// As what it is ready.
    pub(crate) fn is_a(&mut self, id: PeerId, socket_type: SocketType) {
        if let Some(peer) = self.get_mut(id) {
            peer.socket_type = Some(socket_type);
        }
    }

    /// Who it is, by the connection that is ready now. What is unread came by the one before.
    pub(crate) fn introduce(&mut self, id: PeerId, info: impl FnOnce(String) -> PeerInfo) {
        let [_, conflates] = self.conflate;
        if let Some(peer) = self.get_mut(id) {
            let info = Arc::new(info(peer.endpoint.clone()));
            let before = peer.info.replace(info);
            let known: usize = peer.earlier.iter().map(|(unread, _)| unread).sum();
            let unread = peer.incoming.messages().saturating_sub(known);
            // Of conflated messages only the newest is kept, and it may come by any connection.
            if let (Some(before), true, None) = (before, unread > 0, conflates) {
                peer.earlier.push_back((unread, before));
            }
        }
    }

    /// Who they are to which a connection is ready.
    pub(crate) fn infos(&self) -> Vec<Arc<PeerInfo>> {
        let up = self.slots.iter().filter(|(_, peer)| peer.is_up);
        up.filter_map(|(_, peer)| peer.info.clone()).collect()
    }

    /// Who it is, or was by its last connection.
    pub(crate) fn info(&self, id: PeerId) -> Option<Arc<PeerInfo>> {
        self.get(id)?.info.clone()
    }

    /// Takes a step that may take a message, and tells whose it is.
    pub(crate) fn witness<R>(&mut self, step: impl FnOnce(&mut Self) -> Option<R>) -> Option<(R, Arc<PeerInfo>)> {
        self.is_witness = true;
        let result = step(self);
        self.is_witness = false;
        let sender = self.sender.take();
        debug_assert!(
            result.is_none() || sender.is_some(),
            "a message comes of a peer that was ready"
        );
        result.zip(sender)
    }

    /// Whether it says nothing of itself, and is told nothing but messages.
    pub(crate) fn is_wordless_if(&mut self, id: PeerId, is_wordless: bool) {
        if let Some(peer) = self.get_mut(id) {
            peer.is_wordless = is_wordless;
        }
    }

    pub(crate) fn is_wordless(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| peer.is_wordless)
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

    /// A message waits for a peer, as one more that was taken on.
    pub(crate) fn set_adrift(&mut self, message: &Message) {
        self.adrift.add(1, message.byte_count());
    }

    /// Counts a request that was sent again.
    pub(crate) fn retried(&mut self) {
        self.gone.retried_requests += 1;
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
        peer.earlier.clear();
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
            peer.left_behind = LEFT_BEHIND.saturating_add(peer.incoming.weight());
            let left = peer.left_behind;
            self.left_behind = self.left_behind.saturating_add(left);
            self.forget_if_over(id);
        }
    }

    /// How many messages of each peer may be unread, as it is set now.
    pub(crate) fn recv_mark(&self) -> usize {
        self.recv_mark.messages
    }

    /// Whether one more may come: what those that are gone have left unread is below the mark of bytes of one peer.
    pub(crate) fn has_place(&self) -> bool {
        self.left_behind < self.recv_mark.bytes
    }

    /// Forgets a peer that is over and has nothing unread.
    pub(crate) fn forget_if_over(&mut self, id: PeerId) {
        if self
            .get(id)
            .is_some_and(|peer| peer.is_over && peer.incoming.is_empty())
        {
            let peer = self.slots.remove(id.index);
            self.left_behind = self.left_behind.saturating_sub(peer.left_behind);
            if peer.left_behind > LEFT_BEHIND {
                self.wants.push(Want::Admit);
            }
            // Nothing of it is here any more, so this is all that it had.
            let all = peer.stats(self.now);
            self.gone.out.merge(&all.out);
            self.gone.incoming.merge(&all.incoming);
            // A queue that is gone is not full any more.
            (self.gone.out.full_now, self.gone.incoming.full_now) = (0, 0);
            self.gone.out_residence.merge(&all.out_residence);
            self.gone.incoming_residence.merge(&all.incoming_residence);
            self.gone.ignored_commands += all.ignored_commands;
            self.gone.reconnects += all.reconnects;
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

    /// Under what name it was ready last, if it has one.
    pub(crate) fn identity(&self, id: PeerId) -> Option<&Identity> {
        self.get(id)?.identity.as_ref()
    }

    /// Whether it takes no more messages, and goes once what is queued has gone.
    pub(crate) fn is_leaving(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| peer.is_leaving)
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

    /// Those of them that can be asked something.
    pub(crate) fn count_with_words(&self) -> usize {
        let has_words = |peer: &Peer| !peer.is_over && !peer.is_wordless;
        self.slots.iter().filter(|(_, peer)| has_words(peer)).count()
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
        self.get(id).map_or(0, |peer| peer.out.left())
    }

    /// Unread messages of it.
    pub(crate) fn unread(&self, id: PeerId) -> usize {
        self.get(id).map_or(0, |peer| peer.incoming.messages())
    }

    pub(crate) fn has_incoming(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| !peer.incoming.is_empty())
    }

    /// Whether it has room for a message: asked before a message, never about it, so that a lone big one always fits.
    /// If not, [`Pattern::has_room`](super::Pattern::has_room) follows at the low mark.
    pub(crate) fn wants_room(&mut self, id: PeerId) -> bool {
        let mark = self.send_mark;
        let Some(peer) = self.get_mut(id).filter(|peer| !peer.is_leaving) else {
            return false;
        };
        let has_room = peer.out.has_room(mark);
        if peer.out.is_full_untimed() {
            self.wants.push(Want::Time(id));
        }
        has_room
    }

    /// Whether as much is queued for it as may be; nobody is told when it is not any more.
    pub(crate) fn is_at_mark(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| peer.out.is_at(self.send_mark))
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
        if placed != Placed::Refused && peer.out.begins_time(placed) {
            self.wants.push(Want::Time(id));
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

    /// Drops and counts a message that no connection has taken yet, by its place among those that were taken on for the
    /// peer ([`Peers::accepted`]). Gives how many had left the queue before: those between are one place further behind
    /// now. `None`: it is on its way, or was.
    pub(crate) fn drop_at(&mut self, id: PeerId, place: u64, why: DropReason) -> Option<u64> {
        let mark = self.send_mark;
        let peer = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)?;
        let (left, message) = peer.out.drop_at(place, mark, &mut self.spares, why)?;
        self.wants.push(Want::Drop(message));
        self.note_room(id);
        Some(left)
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
        peer.out.written(written, now);
        if peer.out.has_fallen_to_low(mark) {
            self.wants.push(Want::Room(id));
        }
        let wants = &mut self.wants;
        peer.out
            .collect(&mut self.spares, |packed| wants.push(Want::Drop(packed)))
    }

    /// Takes off what another socket took out of the batch that was collected, when there is more of it.
    pub(crate) fn moved(&mut self, id: PeerId, moved: Tally) {
        let now = self.now;
        let Some(peer) = self.get_mut(id) else { return };
        peer.out.written(moved, now);
        self.measure(moved.messages as u64, moved.payload as u64);
        self.note_room(id);
    }

    /// Takes off, and counts as dropped, what was collected and cannot be written.
    pub(crate) fn refused(&mut self, id: PeerId, refused: Tally, why: DropReason) {
        let Some(peer) = self.get_mut(id) else { return };
        peer.out.refused(refused, why);
        self.note_room(id);
    }

    /// So much was written, to any peer.
    fn measure(&mut self, messages: u64, bytes: u64) {
        if let Some(now) = self.now
            && messages > 0
        {
            self.meters.0.add(now, messages, bytes);
        }
    }

    /// So much came, from any peer.
    fn measure_incoming(&mut self, messages: usize, bytes: usize) -> Option<Instant> {
        if let Some(now) = self.now {
            self.meters.1.add(now, messages as u64, bytes as u64);
        }
        self.now
    }

    /// Changes what may be queued for each peer, and of each peer. Who was found full or starved and is not any more has
    /// room now; one that holds more than the new mark stays full until it is at half of that.
    pub(crate) fn set_marks(&mut self, change: impl FnOnce(&mut Mark, &mut Mark)) {
        change(&mut self.send_mark, &mut self.recv_mark);
        let (send_mark, recv_mark) = (self.send_mark, self.recv_mark);
        for id in self.ids() {
            let Some(peer) = self.get_mut(id) else { continue };
            let (has_room, may_read) = (peer.out.is_freed(send_mark), peer.incoming.is_freed(recv_mark));
            if has_room {
                self.wants.push(Want::Room(id));
            }
            if may_read {
                self.wants.push(Want::Resume(id));
            }
        }
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
        let now = self.measure_incoming(run.messages(), run.payload());
        let Some(peer) = self.get_mut(id) else { return };
        for replaced in peer.incoming.deliver(run, now) {
            self.wants.push(Want::Drop(replaced));
        }
    }

    /// Counts commands that came and mean nothing to us.
    pub(crate) fn ignored(&mut self, id: PeerId, commands: u64) {
        if let Some(peer) = self.get_mut(id) {
            peer.ignored += commands;
        }
    }

    /// Counts a message that was written to it and never queued.
    pub(crate) fn greeted(&mut self, id: PeerId, frames: usize, payload: usize) {
        if let Some(peer) = self.get_mut(id) {
            peer.out.greeted(frames, payload);
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

    /// Counts a message that was taken on and dropped at once, for a peer that may be gone.
    pub(crate) fn refuse(&mut self, id: PeerId, payload: usize, why: DropReason) {
        match self.get_mut(id) {
            Some(peer) => peer.out.refuse(payload, why),
            None => refuse(&mut self.gone.out, payload, why),
        }
    }

    /// Counts a message that was taken on and dropped at once, since there is no peer that it is for.
    pub(crate) fn refuse_for_nobody(&mut self, payload: usize, why: DropReason) {
        refuse(&mut self.gone.out, payload, why);
    }

    // -- counting

    /// What was sent to peers that are gone, or refused.
    pub(crate) fn gone(&self) -> &Flow {
        &self.gone.out
    }

    pub(crate) fn stats(&self) -> SocketStats {
        let mut stats = self.gone.clone();
        if let Some(now) = self.now {
            stats.out_rate = self.meters.0.at(now);
            stats.incoming_rate = self.meters.1.at(now);
        }
        for (_, peer) in &self.slots {
            let one = peer.stats(self.now);
            stats.out.merge(&one.out);
            stats.incoming.merge(&one.incoming);
            stats.out_residence.merge(&one.out_residence);
            stats.incoming_residence.merge(&one.incoming_residence);
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
        self.get(id).map(|peer| peer.stats(self.now))
    }
}

/// What a peer that is gone weighs beside what it has left unread.
const LEFT_BEHIND: usize = 4 * 1024;

//! The peers of one socket: who is there, and what goes to and comes from each of them.
//!
//! A mark counts all that is queued, also what a connection is writing. A peer at its mark is full, and wanted again at
//! half of it. Every message is in one place and in one count: what was taken on is passed on, dropped, or here.

mod publishing;
mod receiving;
mod sending;

use super::dropped::Dropped;
use super::outgoing::{OutgoingQueue, Unwritten};
use super::peer::{Peer, PeerId, PeerKind};
use super::pool::{Pool, Share};
use super::spares::Spares;
use super::stage::Stage;
use super::wants::{Want, Wants};
use crate::batch::{Batch, Tally};
use crate::identity::Identity;
use crate::options::{Conflate, Mark};
use crate::peer_info::PeerInfo;
use crate::security::User;
use crate::socket_type::SocketType;
use crate::stats::{DropReason, Flow, Meter, PeerStats, SocketStats};
use slab::Slab;
use std::sync::Arc;
use std::time::Instant;

/// The peers of one socket.
#[derive(Debug)]
pub(crate) struct Peers {
    slots: Slab<Peer>,
    next_generation: u64,
    send_mark: Mark,
    recv_mark: Mark,
    /// What all queues of the context may hold together, if that has a limit.
    pool: Option<Arc<Pool>>,
    spares: Spares,
    stage: Stage,
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
            pool: None,
            spares: Spares::default(),
            stage: Stage::new(),
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

    /// From now on the queues of each new peer share this with those of others.
    pub(crate) fn share(&mut self, pool: Arc<Pool>) {
        self.pool = Some(pool);
    }

    fn get(&self, id: PeerId) -> Option<&Peer> {
        self.slots.get(id.index).filter(|peer| peer.generation == id.generation)
    }

    fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)
    }

    /// What goes to it.
    #[inline(always)]
    fn out(&mut self, id: PeerId) -> Option<&mut OutgoingQueue> {
        let peer = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)?;
        Some(peer.out.reach(&mut self.stage))
    }

    /// Changes what may be queued for each peer, and of each peer. Who was found full or starved and is not any more has
    /// room now, and who was turned away may find a place; one that holds more than the new mark stays full until it is at
    /// half of that.
    pub(crate) fn set_marks(&mut self, change: impl FnOnce(&mut Mark, &mut Mark)) {
        let had_place = self.has_place();
        change(&mut self.send_mark, &mut self.recv_mark);
        if self.has_place() && !had_place {
            self.wants.push(Want::Admit);
        }
        let (send_mark, recv_mark) = (self.send_mark, self.recv_mark);
        for id in self.ids() {
            let Some(out) = self.out(id) else { continue };
            let has_room = out.is_freed(send_mark);
            if out.is_nearly_at(send_mark) {
                self.wants.push(Want::Full(id));
            }
            let may_read = self.get_mut(id).is_some_and(|peer| peer.incoming.is_freed(recv_mark));
            if has_room {
                self.wants.push(Want::Room(id));
            }
            if may_read {
                self.wants.push(Want::Resume(id));
            }
        }
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
        if let Some(out) = self.out(id) {
            out.time(now);
        }
        if let Some(peer) = self.get_mut(id) {
            peer.incoming.time(now);
        }
    }

    // -- coming and going

    /// A new peer, with two empty queues.
    pub(crate) fn attach(&mut self, kind: PeerKind, endpoint: impl Into<Arc<str>>) -> PeerId {
        let generation = self.next_generation;
        self.next_generation += 1;
        let mut peer = Peer::new(generation, kind, endpoint.into());
        let [out, incoming] = self.conflate;
        out.inspect(|&kind| peer.out.reach(&mut self.stage).conflate(kind));
        incoming.inspect(|&kind| peer.incoming.conflate(kind));
        if let Some(pool) = &self.pool {
            peer.out.reach(&mut self.stage).share(Share::of(pool));
            peer.incoming.share(Share::of(pool));
        }
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
        peer.astray = 0;
        peer.connections += 1;
        if let Some(out) = self.out(id) {
            out.make_busy();
        }
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
        let peer = self.slots.get_mut(id.index);
        let Some(peer) = peer.filter(|peer| peer.generation == id.generation) else {
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
        let out = peer.out.reach(&mut self.stage);
        let passed = |out: &OutgoingQueue| (out.counts().passed, out.counts().passed_bytes);
        let (messages, bytes) = passed(out);
        let cut = out.cut_off(batch, now);
        let (messages_after, bytes_after) = passed(out);
        self.measure(messages_after - messages, bytes_after - bytes);
        cut
    }

    /// As what it is ready.
    pub(crate) fn is_a(&mut self, id: PeerId, socket_type: SocketType) {
        if let Some(peer) = self.get_mut(id) {
            peer.socket_type = Some(socket_type);
        }
    }

    /// Who it is, by the connection that is ready now. What is unread came by the one before.
    pub(crate) fn introduce(&mut self, id: PeerId, info: impl FnOnce(Arc<str>) -> PeerInfo) {
        let [_, conflates] = self.conflate;
        if let Some(peer) = self.get_mut(id) {
            let info = Arc::new(info(Arc::clone(&peer.endpoint)));
            let before = peer.info.replace(info);
            let known: usize = peer.earlier.iter().map(|(unread, _)| unread).sum();
            let unread = peer.incoming.messages().saturating_sub(known);
            // Of conflated messages only the newest is kept, and it may come by any connection.
            if let (Some(before), true, None) = (before, unread > 0, conflates) {
                peer.earlier.push_back((unread, before));
                peer.incoming.look_at_next();
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

    /// Whether it is, or was by its last connection, the same user as this one; or nobody known, and this neither.
    pub(crate) fn is_user(&self, id: PeerId, user: Option<&User>) -> bool {
        let info = self.get(id).and_then(|peer| peer.info.as_ref());
        info.and_then(|info| info.user()).map(User::id) == user.map(User::id)
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

    /// Counts a request that was sent again.
    pub(crate) fn retried(&mut self) {
        self.gone.retried_requests += 1;
    }

    /// It takes no more messages, and has room for none: what is queued still goes, and then it goes too.
    pub(crate) fn retire(&mut self, id: PeerId) {
        if let Some(peer) = self.get_mut(id) {
            peer.is_leaving = true;
        }
    }

    /// Its last connection is over: it goes now, or once nothing of it is unread. Its outgoing queue is empty by now.
    pub(crate) fn detach(&mut self, id: PeerId) {
        if let Some(out) = self.out(id) {
            debug_assert_eq!(out.waiting(), 0, "a peer goes with an empty queue");
        }
        if let Some(peer) = self.get_mut(id) {
            peer.is_up = false;
            peer.is_over = true;
            peer.left_behind = weight_of_gone(peer).saturating_add(peer.incoming.weight());
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
            let mut peer = self.slots.remove(id.index);
            self.left_behind = self.left_behind.saturating_sub(peer.left_behind);
            if peer.left_behind > weight_of_gone(&peer) {
                self.wants.push(Want::Admit);
            }
            // Nothing of it is here any more, so this is all that it had.
            let all = peer.stats(&mut self.stage, self.now);
            self.gone.out.merge(&all.out);
            self.gone.incoming.merge(&all.incoming);
            // A queue that is gone is not full any more.
            (self.gone.out.full_now, self.gone.incoming.full_now) = (0, 0);
            self.gone.out_residence.merge(&all.out_residence);
            self.gone.incoming_residence.merge(&all.incoming_residence);
            self.gone.ignored_commands += all.ignored_commands;
            self.gone.refused_subscriptions += all.refused_subscriptions;
            self.gone.reconnects += all.reconnects;
            self.wants.push(Want::Forget(id));
        }
    }

    // -- asking

    /// Where it is: the endpoint that was connected to, or the address that it came from.
    pub(crate) fn endpoint(&self, id: PeerId) -> Option<&str> {
        self.get(id).map(|peer| &*peer.endpoint)
    }

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
    pub(crate) fn outgoing(&mut self, id: PeerId) -> usize {
        self.out(id).map_or(0, |out| out.held().messages)
    }

    /// Bytes of them.
    pub(crate) fn outgoing_bytes(&mut self, id: PeerId) -> usize {
        self.out(id).map_or(0, |out| out.held().payload)
    }

    /// Messages that were taken on for it since it exists.
    pub(crate) fn accepted(&mut self, id: PeerId) -> u64 {
        self.out(id).map_or(0, |out| out.counts().taken)
    }

    /// Of the messages that were taken on, how many have left the queue: written or dropped.
    pub(crate) fn left(&mut self, id: PeerId) -> u64 {
        self.out(id).map_or(0, |out| out.left())
    }

    /// Unread messages of it.
    pub(crate) fn unread(&self, id: PeerId) -> usize {
        self.get(id).map_or(0, |peer| peer.incoming.messages())
    }

    pub(crate) fn has_incoming(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| !peer.incoming.is_empty())
    }

    // -- counting

    /// Counts a topic whose newest message is not kept any more.
    pub(crate) fn forgot_topic(&mut self) {
        self.gone.forgotten_topics += 1;
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

    /// What was sent to peers that are gone, or refused.
    pub(crate) fn gone(&self) -> &Flow {
        &self.gone.out
    }

    pub(crate) fn stats(&mut self) -> SocketStats {
        let mut stats = self.gone.clone();
        if let Some(now) = self.now {
            stats.out_rate = self.meters.0.at(now);
            stats.incoming_rate = self.meters.1.at(now);
        }
        for (_, peer) in &mut self.slots {
            let one = peer.stats(&mut self.stage, self.now);
            stats.out.merge(&one.out);
            stats.incoming.merge(&one.incoming);
            stats.out_residence.merge(&one.out_residence);
            stats.incoming_residence.merge(&one.incoming_residence);
            stats.reconnects += one.reconnects;
            stats.ignored_commands += one.ignored_commands;
            stats.refused_subscriptions += one.refused_subscriptions;
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

    pub(crate) fn peer_stats(&mut self, id: PeerId) -> Option<PeerStats> {
        let peer = self.slots.get_mut(id.index);
        let peer = peer.filter(|peer| peer.generation == id.generation)?;
        Some(peer.stats(&mut self.stage, self.now))
    }
}

/// What a peer that is gone weighs beside what it has left unread.
fn weight_of_gone(peer: &Peer) -> usize {
    let said = peer.info.as_ref().map_or(0, |info| info.weight());
    LEFT_BEHIND.saturating_add(said)
}

/// The same of one that has said nothing of itself.
const LEFT_BEHIND: usize = 4 * 1024;

//! The peers of one socket: who is there, and what goes to and comes from each of them.
//!
//! A mark counts all that is queued, also what a connection is writing. A peer at its mark is full, and wanted again at
//! half of it. Every message is in one place and in one count: what was taken on is passed on, dropped, or here.

mod life;
mod publishing;
mod receiving;
mod sending;

use super::outgoing::OutgoingQueue;
use super::peer::{Peer, PeerId, PeerKind};
use super::pool::Pool;
use super::spares::Spares;
use super::stage::Stage;
use super::wants::{Want, Wants};
use crate::batch::Tally;
use crate::identity::Identity;
use crate::options::{Conflate, Mark};
use crate::peer_info::PeerInfo;
use crate::stats::{Flow, Meter, PeerStats, SocketStats};
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

//! Peers as they come and go: who they are, and what becomes of what they leave.

use super::Peers;
use crate::batch::Batch;
use crate::identity::Identity;
use crate::peer_info::PeerInfo;
use crate::routing::dropped::Dropped;
use crate::routing::outgoing::{OutgoingQueue, Unwritten};
use crate::routing::peer::{Peer, PeerId, PeerKind};
use crate::routing::pool::Share;
use crate::routing::wants::Want;
use crate::security::User;
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use std::sync::Arc;

impl Peers {
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
        peer.last_error = Some(why.into());
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
            peer.last_error = Some(why.into());
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
}

/// What a peer that is gone weighs beside what it has left unread.
fn weight_of_gone(peer: &Peer) -> usize {
    let said = peer.info.as_ref().map_or(0, |info| info.weight());
    LEFT_BEHIND.saturating_add(said)
}

/// The same of one that has said nothing of itself.
const LEFT_BEHIND: usize = 4 * 1024;

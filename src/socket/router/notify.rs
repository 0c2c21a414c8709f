//! What a ROUTER tells its application in band: that a peer's connection became ready, and that it ended.

use crate::identity::Identity;
use crate::options::Notify;
use crate::routing::{Awaited, PeerId, Peers, Want};
use crate::stats::DropReason;
use std::collections::{BTreeSet, VecDeque};

/// What is to be told, and what has to wait until messages before it are received.
#[derive(Debug)]
pub(super) struct News {
    wanted: Notify,
    /// Oldest first. At the mark of what is unread the next one is dropped, and counted as `Unnoticed`.
    told: VecDeque<(PeerId, Identity)>,
    /// They came, and what their predecessors left is to be received first. Peers with something unread before them.
    arriving: BTreeSet<PeerId>,
    /// Their connection ended, and something of it is unread.
    parting: BTreeSet<PeerId>,
}

impl News {
    pub(super) fn new(wanted: Notify) -> Self {
        News {
            wanted,
            told: VecDeque::new(),
            arriving: BTreeSet::new(),
            parting: BTreeSet::new(),
        }
    }

    /// A peer's connection is ready; told now, or once its time has come.
    pub(super) fn arrived(&mut self, peers: &mut Peers, id: PeerId, name: &Identity, waits: bool) {
        if !self.wanted.connects {
            return;
        }
        if waits {
            self.arriving.insert(id);
        } else {
            self.tell(peers, id, name);
        }
    }

    /// A peer's connection ended; told now, or once nothing of it is unread.
    pub(super) fn parted(&mut self, peers: &mut Peers, id: PeerId, name: &Identity, waits: bool) {
        if !self.wanted.disconnects {
            return;
        }
        if waits {
            self.parting.insert(id);
        } else {
            self.tell(peers, id, name);
        }
    }

    /// What came before this peer was received: its own time has come.
    pub(super) fn may_arrive(&mut self, peers: &mut Peers, id: PeerId, name: &Identity) {
        if self.arriving.remove(&id) {
            self.tell(peers, id, name);
        }
    }

    /// Nothing of this peer is unread, or it is back already.
    pub(super) fn may_part(&mut self, peers: &mut Peers, id: PeerId, name: &Identity) {
        if self.parting.remove(&id) {
            self.tell(peers, id, name);
        }
    }

    /// One that waited for its time goes, and has said nothing: it need not be told of at all.
    pub(super) fn never_mind(&mut self, id: PeerId) {
        self.arriving.remove(&id);
        self.parting.remove(&id);
    }

    /// The oldest that is to be received.
    pub(super) fn take(&mut self, peers: &mut Peers) -> Option<Identity> {
        let (id, name) = self.told.pop_front()?;
        peers.hand_over(id, 0);
        Some(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.is_empty() && self.arriving.is_empty() && self.parting.is_empty()
    }

    fn tell(&mut self, peers: &mut Peers, id: PeerId, name: &Identity) {
        if self.told.len() >= peers.recv_mark() {
            peers.discard(id, 1, 0, DropReason::Unnoticed);
            return;
        }
        self.told.push_back((id, name.clone()));
        peers.wants.push(Want::Ready(Awaited::Readable));
    }
}

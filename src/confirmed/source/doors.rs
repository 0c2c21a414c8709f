//! Which connection is which worker's: identities and what a ledger calls them.

use crate::confirmed::ledger::WorkerId;
use crate::identity::Identity;
use crate::peer_info::PeerInfo;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The connections on which something was said. As many as the socket has peers.
#[derive(Debug, Default)]
pub(super) struct Doors {
    by_identity: BTreeMap<Identity, Door>,
    by_id: BTreeMap<WorkerId, Identity>,
    next_id: u64,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) id: WorkerId,
    /// Each connection has its own.
    info: Arc<PeerInfo>,
    /// When WHO was said on it last.
    who_at: Option<Instant>,
    /// It is to end: what still comes on it is nobody's.
    pub(super) is_closing: bool,
}

impl Doors {
    /// By whom something was said on this connection; the other one, if there was an earlier connection that is over now.
    pub(super) fn enter(&mut self, identity: &Identity, info: &Arc<PeerInfo>) -> (&mut Door, Option<WorkerId>) {
        let is_same = |door: &Door| Arc::ptr_eq(&door.info, info);
        let earlier = match self.by_identity.get(identity) {
            Some(door) if !is_same(door) => self.leave(identity),
            _ => None,
        };
        let next_id = &mut self.next_id;
        let by_id = &mut self.by_id;
        let door = self.by_identity.entry(identity.clone()).or_insert_with(|| {
            *next_id += 1;
            let id = WorkerId(*next_id);
            by_id.insert(id, identity.clone());
            Door {
                id,
                info: Arc::clone(info),
                who_at: None,
                is_closing: false,
            }
        });
        (door, earlier)
    }

    /// Its connection is over.
    pub(super) fn leave(&mut self, identity: &Identity) -> Option<WorkerId> {
        let door = self.by_identity.remove(identity)?;
        self.by_id.remove(&door.id);
        Some(door.id)
    }

    /// What a worker is called at the socket.
    pub(super) fn identity(&self, id: WorkerId) -> Option<&Identity> {
        self.by_id.get(&id)
    }

    pub(super) fn door_of(&mut self, id: WorkerId) -> Option<(&Identity, &mut Door)> {
        let identity = self.by_id.get(&id)?;
        Some((identity, self.by_identity.get_mut(identity)?))
    }

    /// The connections that are over, by what `connection` leads to now.
    pub(super) fn stale(&self, mut connection: impl FnMut(&Identity) -> Option<Arc<PeerInfo>>) -> Vec<Identity> {
        let stale = self.by_identity.iter().filter(|(identity, door)| {
            let info = connection(identity);
            info.is_none_or(|info| !Arc::ptr_eq(&info, &door.info))
        });
        stale.map(|(identity, _)| identity.clone()).collect()
    }

    /// Whether this is the connection of who has the identity, as far as was heard.
    pub(super) fn is_at(&self, identity: &Identity, info: Option<&Arc<PeerInfo>>) -> bool {
        let door = self.by_identity.get(identity);
        door.zip(info).is_some_and(|(door, info)| Arc::ptr_eq(&door.info, info))
    }
}

impl Door {
    /// Whether WHO may be said: not for each word of a stranger.
    pub(super) fn may_ask(&mut self, now: Instant) -> bool {
        let is_due = self
            .who_at
            .is_none_or(|at| now.saturating_duration_since(at) >= BETWEEN_WHO);
        if is_due {
            self.who_at = Some(now);
        }
        is_due
    }
}

/// Between one WHO and the next on a connection.
const BETWEEN_WHO: Duration = Duration::from_secs(1);

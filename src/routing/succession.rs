//! Who is received only once all of another was: a peer that took the place of one that left something unread.

use super::peer::PeerId;
use super::peers::Peers;
use std::collections::{BTreeMap, BTreeSet};

/// Peers that follow upon others. At most one entry for each peer.
#[derive(Debug, Default)]
pub(crate) struct Succession {
    /// Who follows upon whom. A peer has one heir at most.
    heirs: BTreeMap<PeerId, PeerId>,
    /// The heirs: none of theirs is received yet.
    waiting: BTreeSet<PeerId>,
}

impl Succession {
    /// `heir` is not received before all of `before` was.
    pub(crate) fn follow(&mut self, before: PeerId, heir: PeerId) {
        self.heirs.insert(before, heir);
        self.waiting.insert(heir);
    }

    /// Whether it has to wait until another was received.
    pub(crate) fn waits(&self, id: PeerId) -> bool {
        self.waiting.contains(&id)
    }

    /// Nothing of this peer is unread any more, and nothing will come: gives those whose time it is now, in order. Only
    /// the last of them has anything to be received, or is still there.
    pub(crate) fn release(&mut self, peers: &Peers, id: PeerId) -> Vec<PeerId> {
        let mut released = Vec::new();
        let mut last = id;
        while let Some(heir) = self.heirs.remove(&last) {
            self.waiting.remove(&heir);
            released.push(heir);
            if peers.has_incoming(heir) || peers.kind(heir).is_some() {
                break;
            }
            last = heir;
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Mark;
    use crate::routing::PeerKind;

    #[test]
    fn an_heir_that_is_gone_hands_on_to_its_own() {
        let mark = Mark { messages: 1, bytes: 1 };
        let mut peers = Peers::new(mark, mark);
        let [first, second, third] = [(); 3].map(|()| peers.attach(PeerKind::Accepted, String::new()));
        let mut succession = Succession::default();
        succession.follow(first, second);
        succession.follow(second, third);
        peers.detach(second);
        assert!(succession.waits(third), "the first is not read to its end");

        assert_eq!(succession.release(&peers, first), [second, third]);

        assert!(!succession.waits(second) && !succession.waits(third));
        assert!(succession.release(&peers, second).is_empty());
    }
}

//! Who is received only once all of another was: a peer that came under the name of one that left something unread.

use super::peer::PeerId;
use std::collections::BTreeMap;

/// Peers that follow upon others. At most one entry for each peer that is there, or has something unread.
#[derive(Debug, Default)]
pub(crate) struct Succession {
    /// Who follows upon whom. A peer has one heir at most.
    heirs: BTreeMap<PeerId, PeerId>,
    /// The other way round: who waits for whom.
    waiting: BTreeMap<PeerId, PeerId>,
}

impl Succession {
    /// `heir` is not received before all of `before` was.
    pub(crate) fn follow(&mut self, before: PeerId, heir: PeerId) {
        self.heirs.insert(before, heir);
        self.waiting.insert(heir, before);
    }

    /// Whether it has to wait until another was received.
    pub(crate) fn waits(&self, id: PeerId) -> bool {
        self.waiting.contains_key(&id)
    }

    /// Nothing of this peer is unread any more: whose time it is now.
    pub(crate) fn release(&mut self, id: PeerId) -> Option<PeerId> {
        let heir = self.heirs.remove(&id)?;
        self.waiting.remove(&heir);
        Some(heir)
    }

    /// One that waits goes, and leaves nothing: whoever follows upon it follows upon the one before, who is given.
    pub(crate) fn leave(&mut self, id: PeerId) -> Option<PeerId> {
        let before = self.waiting.remove(&id)?;
        self.heirs.remove(&before);
        if let Some(heir) = self.heirs.remove(&id) {
            self.follow(before, heir);
        }
        Some(before)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.heirs.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn peer(index: usize) -> PeerId {
        PeerId { index, generation: 0 }
    }

    #[test]
    fn an_heir_waits_until_it_is_released() {
        let [first, second, third] = [1, 2, 3].map(peer);
        let mut succession = Succession::default();
        succession.follow(first, second);
        succession.follow(second, third);

        assert_eq!(succession.release(first), Some(second));

        assert!(!succession.waits(second) && succession.waits(third));
        assert_eq!(succession.release(first), None);
        assert_eq!(succession.release(second), Some(third));
        assert!(succession.is_empty());
    }

    #[test]
    fn one_that_leaves_nothing_is_followed_upon_no_more() {
        let [first, second, third] = [1, 2, 3].map(peer);
        let mut succession = Succession::default();
        succession.follow(first, second);
        succession.follow(second, third);

        assert_eq!(succession.leave(second), Some(first));
        assert_eq!(succession.release(first), Some(third));
        assert!(succession.is_empty());

        succession.follow(first, second);
        assert_eq!(succession.leave(second), Some(first));
        assert_eq!(succession.leave(first), None);
        assert!(succession.is_empty());
    }
}

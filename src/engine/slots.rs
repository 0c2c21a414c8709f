//! Places addressed by index and generation: an event for what is gone finds nothing.

use slab::Slab;

/// Values under tokens that are not given twice.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slab: Slab<(usize, T)>,
    generation: usize,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Slots {
            slab: Slab::new(),
            generation: 0,
        }
    }

    /// The token that the next insertion gets.
    pub(crate) fn next_token(&self) -> usize {
        token(self.slab.vacant_key(), self.generation)
    }

    pub(crate) fn insert(&mut self, value: T) -> usize {
        let generation = self.generation;
        self.generation = (generation + 1) % GENERATIONS;
        token(self.slab.insert((generation, value)), generation)
    }

    pub(crate) fn get_mut(&mut self, token: usize) -> Option<&mut T> {
        self.slab
            .get_mut(index(token))
            .filter(|(generation, _)| *generation == token >> INDEX_BITS)
            .map(|(_, value)| value)
    }

    /// All of them, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slab.iter().map(|(_, (_, value))| value)
    }

    pub(crate) fn remove(&mut self, token: usize) -> Option<T> {
        self.get_mut(token)?;
        self.slab.try_remove(index(token)).map(|(_, value)| value)
    }
}

fn token(index: usize, generation: usize) -> usize {
    index | generation << INDEX_BITS
}

fn index(token: usize) -> usize {
    token & (usize::MAX >> (usize::BITS - INDEX_BITS))
}

const INDEX_BITS: u32 = usize::BITS / 2;
/// One less than fits, so that no token is all ones: that one is the doorbell's.
const GENERATIONS: usize = (1 << (usize::BITS - INDEX_BITS)) - 1;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_what_is_gone_finds_nothing() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        assert_eq!(slots.next_token(), slots.insert("second"));
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
    }
}

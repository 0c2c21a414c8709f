//! Messages that are gathered, to be packed under one lock.

use crate::batch::{Packed, Tally};
use crate::message::{Outgoing, Source};

/// What is to be sent next, oldest first. What was taken of it and is to be dropped waits until no lock is held.
#[derive(Debug, Default)]
pub(crate) struct Lot<'m> {
    /// The first of them, as long as they are lent and not long.
    packed: Packed,
    /// Those behind them. The first `done` are taken.
    others: Vec<Outgoing<'m>>,
    done: usize,
}

impl<'m> Lot<'m> {
    /// Messages that are to be sent.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.packed.messages() + self.others.len() - self.done
    }

    /// Whether there are enough of them for one lock, which is as good as nothing to each of them then.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.others.len() - self.done >= MOST_OTHERS || self.len() >= MOST
    }

    /// Adds one more, if it is lent and not long, and so are all before it.
    #[inline(always)]
    pub(crate) fn pack(&mut self, message: &Outgoing<'m>) -> bool {
        match message.0 {
            Source::Lent(frame) => self.others.is_empty() && self.packed.push(frame),
            _ => false,
        }
    }

    /// Adds one more of any kind; so many follow.
    pub(crate) fn push(&mut self, message: Outgoing<'m>, expected: usize) {
        if self.others.capacity() == 0 {
            self.others.reserve_exact(expected.saturating_add(1));
        }
        self.others.push(message);
    }

    /// Those at the front.
    pub(crate) fn packed(&mut self) -> &mut Packed {
        &mut self.packed
    }

    /// Packs the next one by this, if there is one. `false`: it was not taken.
    #[inline(always)]
    pub(crate) fn pack_next(&mut self, pack: impl FnOnce(&mut Outgoing<'_>) -> bool) -> Tally {
        let payload;
        let is_packed = if let Some(frame) = self.packed.front() {
            payload = frame.len();
            let is_packed = pack(&mut frame.into());
            if is_packed {
                self.packed.take(1, usize::MAX);
            }
            is_packed
        } else {
            let Some(message) = self.others.get_mut(self.done) else {
                return Tally::default();
            };
            payload = message.byte_count();
            let is_packed = pack(message);
            self.done += usize::from(is_packed);
            is_packed
        };
        if !is_packed {
            return Tally::default();
        }
        Tally { messages: 1, payload }
    }

    /// Drops what is packed, and says how many of these were copies of ours.
    pub(crate) fn let_go(&mut self) -> usize {
        let done = std::mem::take(&mut self.done);
        self.others.drain(..done).filter(Outgoing::is_copy).count()
    }

    /// What was not packed and was given away, or may have been.
    pub(crate) fn into_others(mut self) -> Vec<Outgoing<'m>> {
        self.let_go();
        self.others
    }
}

/// Messages that are gathered for one lock.
const MOST: usize = 256;
/// Of those that are not packed before: to pack them holds it for long.
pub(crate) const MOST_OTHERS: usize = 64;

#[cfg(all(test, not(loom)))]
mod tests;

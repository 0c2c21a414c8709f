//! Messages that are gathered, to be packed under one lock.

use crate::batch::{Shorts, Tally};
use crate::message::{Outgoing, Source};

/// What is to be sent next, oldest first. Once one is packed it is taken, but for what is to be dropped, which waits until no
/// lock is held.
#[derive(Debug, Default)]
pub(crate) struct Lot<'m> {
    /// The first of them, if they are short and lent.
    shorts: Shorts,
    /// Those behind them. The first `packed` are packed.
    others: Vec<Outgoing<'m>>,
    packed: usize,
}

impl<'m> Lot<'m> {
    /// Messages that are to be sent.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.shorts.messages() + self.others.len() - self.packed
    }

    /// Adds one more, if it is short and lent, and so are all before it.
    #[inline(always)]
    pub(crate) fn push_short(&mut self, message: &Outgoing<'m>) -> bool {
        match message.0 {
            Source::Lent(frame) => self.others.is_empty() && self.shorts.push(frame),
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

    /// The short ones at the front.
    pub(crate) fn shorts(&mut self) -> &mut Shorts {
        &mut self.shorts
    }

    /// Packs the next one by this, if there is one. `false`: it was not taken.
    #[inline(always)]
    pub(crate) fn pack_next(&mut self, pack: impl FnOnce(&mut Outgoing<'_>) -> bool) -> Tally {
        let payload;
        let is_packed = if let Some(frame) = self.shorts.front() {
            payload = frame.len();
            let is_packed = pack(&mut frame.into());
            if is_packed {
                self.shorts.take(1);
            }
            is_packed
        } else {
            let Some(message) = self.others.get_mut(self.packed) else {
                return Tally::default();
            };
            payload = message.byte_count();
            let is_packed = pack(message);
            self.packed += usize::from(is_packed);
            is_packed
        };
        if !is_packed {
            return Tally::default();
        }
        Tally { messages: 1, payload }
    }

    /// Drops what is packed, and says how many of these were copies of ours.
    pub(crate) fn let_go(&mut self) -> usize {
        let packed = std::mem::take(&mut self.packed);
        self.others.drain(..packed).filter(Outgoing::is_copy).count()
    }

    /// What was not packed and was given away, or may have been.
    pub(crate) fn into_others(mut self) -> Vec<Outgoing<'m>> {
        self.let_go();
        self.others
    }
}

#[cfg(test)]
mod tests;

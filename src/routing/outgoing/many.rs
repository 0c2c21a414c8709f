//! Many messages at once, packed already: as long as none of them concerns anybody else, they are one copy.

use super::{BATCH_BYTES, NOTHING, OutgoingQueue, SMALL_BATCH, half};
use crate::batch::{Packed, Tally, weight};
use crate::options::Mark;

impl OutgoingQueue {
    /// Moves messages behind the youngest, if there is one, at most so many, and as long as mark and batch have room for them
    /// and more. Says how many.
    pub(in crate::routing) fn enqueue_packed(&mut self, mark: Mark, packed: &mut Packed, most: usize) -> Tally {
        if self.open.is_empty() || self.awaits_room || self.share.is_limited() {
            return Tally::default();
        }
        let (held, len) = (self.held(), self.open.wire_len());
        let mut most = most.min(mark.messages.saturating_sub(held.messages + 2));
        if len + packed.wire_len() > SMALL_BATCH {
            most = most.min(half(mark.messages).saturating_sub(self.open.messages()));
        }
        let until_heavy = mark
            .bytes
            .saturating_sub(held.weight() + weight(most.min(packed.messages()), 1));
        let (packed, tally) = packed.take(most, until_heavy.min(BATCH_BYTES.saturating_sub(len)));
        if tally.messages > 0 {
            self.open.push_packed(packed, tally);
            self.queued.add(tally.messages, tally.payload);
            self.counts.taken += tally.messages as u64;
            self.counts.taken_bytes += tally.payload as u64;
            self.ahead = self.look_ahead(mark);
        }
        tally
    }

    /// How much may come at once, at most so many bytes, before a limit has to be looked at: mark and batch have room for it
    /// and more. Nothing, where each message concerns somebody else too.
    pub(in crate::routing) fn room_for_many(&self, mark: Mark, bytes: usize) -> Mark {
        let is_looked_at = self.newest.is_some() || self.share.is_limited();
        if self.open.is_empty() || is_looked_at || self.awaits_room || !self.is_busy {
            return NOTHING;
        }
        let (held, len) = (self.held(), self.open.wire_len());
        let mut messages = mark.messages.saturating_sub(held.messages + 2);
        if len + bytes > SMALL_BATCH {
            messages = messages.min(half(mark.messages).saturating_sub(self.open.messages()));
        }
        let until_heavy = mark.bytes.saturating_sub(held.weight() + 1);
        Mark {
            messages,
            bytes: until_heavy.min(BATCH_BYTES.saturating_sub(len)),
        }
    }

    /// Moves messages behind the youngest that [`OutgoingQueue::room_for_many`] had room for, and that are packed already.
    pub(in crate::routing) fn take_over(&mut self, packed: &[u8], tally: Tally, more_frames: u64) {
        self.open.push_packed(packed, tally);
        self.queued.add(tally.messages, tally.payload);
        self.counts.taken += tally.messages as u64;
        self.counts.taken_bytes += tally.payload as u64;
        self.more_frames += more_frames;
        self.ahead = NOTHING;
    }
}

//! Many messages at once, packed already: as long as none of them concerns anybody else, they are one step.

use super::{BATCH_BYTES, NOTHING, OutgoingQueue, SMALL_BATCH, half};
use crate::batch::{Batch, Packed, Tally, weight};
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
            self.open.push_packed(packed);
            self.open.count(tally);
            self.queued.add(tally.messages, tally.payload);
            self.counts.taken += tally.messages as u64;
            self.counts.taken_bytes += tally.payload as u64;
            self.ahead = self.look_ahead(mark);
        }
        tally
    }

    /// How much may come at once before a limit has to be looked at: mark and batch have room for it and more. `None`: not even
    /// as much as this, or each message concerns somebody else too. Where it is the batch that has no room, the next message
    /// begins another.
    pub(in crate::routing) fn room_for_many(&mut self, mark: Mark, least: Tally) -> Option<Mark> {
        let is_looked_at = self.newest.is_some() || self.share.is_limited();
        if self.open.is_empty() || is_looked_at || self.awaits_room || !self.is_busy {
            return None;
        }
        let (held, len) = (self.held(), self.open.wire_len());
        let until_full = Mark {
            messages: mark.messages.saturating_sub(held.messages + 2),
            bytes: mark.bytes.saturating_sub(held.weight() + 1),
        };
        let until_half = Mark {
            messages: half(mark.messages).saturating_sub(self.open.messages()),
            bytes: BATCH_BYTES.saturating_sub(len),
        };
        let while_small = Mark {
            messages: usize::MAX,
            bytes: SMALL_BATCH.saturating_sub(len),
        };
        let has_room = |room: &Mark| room.messages >= least.messages && room.bytes >= least.weight();
        let count = |room: &Mark| room.messages.min(room.bytes * least.messages / least.weight().max(1));
        if !has_room(&until_full) {
            return None;
        }
        let batch = if count(&until_half) >= count(&while_small) {
            until_half
        } else {
            while_small
        };
        if !has_room(&batch) {
            // It is nearly as large as any: better another for many than this one to its end, message by message.
            let nearly_full = self.take_open();
            self.closed.push_back(nearly_full);
            return None;
        }
        Some(Mark {
            messages: batch.messages.min(until_full.messages),
            bytes: batch.bytes.min(until_full.bytes),
        })
    }

    /// Takes on messages that [`OutgoingQueue::room_for_many`] had room for: gives the batch that they are to be packed behind
    /// the youngest of.
    pub(in crate::routing) fn take_over(&mut self, tally: Tally, more_frames: u64) -> &mut Batch {
        self.queued.add(tally.messages, tally.payload);
        self.counts.taken += tally.messages as u64;
        self.counts.taken_bytes += tally.payload as u64;
        self.more_frames += more_frames;
        self.ahead = NOTHING;
        self.open.count(tally);
        &mut self.open
    }
}

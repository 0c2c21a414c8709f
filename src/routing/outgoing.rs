//! The way out to one peer: what waits to go, what is being written, and what became of the rest.
//!
//! Both count against one mark. At the mark the queue is full, and wanted again at half of it; nothing is dropped for
//! want of room. Knows nothing of who the peer is, of its connection, or of who waits for room.

mod dropping;
mod ending;
mod many;

use super::conflation::Conflation;
use super::counts::Counts;
use super::pool::Share;
use super::spares::Spares;
use super::timing::Timing;
use crate::batch::{Batch, Run, Tally, weight};
use crate::message::{Message, Outgoing};
use crate::options::Mark;
use crate::stats::{DropReason, Flow};
use std::collections::VecDeque;
use std::time::Instant;

/// What became of a message that was to go to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is queued, and another would be too.
    WithRoom,
    /// It is queued, and the peer is at its mark now.
    Last,
    /// The peer is at its mark, or gone; nothing has happened.
    Refused,
}

/// What was left of a connection's batch when it ended: the messages whose last byte was not written, oldest first.
pub(crate) type Unwritten = Vec<Message>;

/// The queue to one peer.
#[derive(Debug)]
pub(super) struct OutgoingQueue {
    /// Youngest messages: what the next send is packed into. At the mark the peer leaves its socket's turn; nothing is
    /// dropped.
    open: Batch,
    /// Before `open`, oldest first. Counts against the same mark.
    closed: VecDeque<Batch>,
    /// Before all of them, if it is not empty: what is left of a batch of which the oldest messages were dropped.
    oldest: Option<Box<Run>>,
    /// Instead of all of them, if only the newest message counts. It replaces, and is never full.
    newest: Option<Box<Conflation>>,
    /// What all of these hold.
    queued: Tally,
    /// What a connection has collected and not wholly written. Counts against the same mark.
    writing: Tally,
    /// Somebody is answerable for what is queued: a note, a flush at work, or the next writable event.
    /// Invariant: something is queued, or being written, to a peer that is up only if it is busy.
    is_busy: bool,
    /// So much may follow the youngest without a look at any limit: mark, batch and buffer have room for it and more.
    /// Whatever changes one of these, other than by making room, sets it to nothing.
    ahead: Mark,
    /// It was found full: whoever makes it fall to the low mark says so.
    awaits_room: bool,
    /// Somebody waits for the low mark, whether it was found full or not.
    awaits_low: bool,
    counts: Counts,
    /// Frames beyond the first of each message that was queued.
    more_frames: u64,
    /// Its part of what there is for all queues.
    share: Share,
    /// Messages that were counted and never queued.
    refused: u64,
    /// The most that it held before it last became shorter.
    peak: Tally,
    timing: Timing,
}

impl OutgoingQueue {
    /// Empty, and busy: there is no connection yet that could be asked to flush.
    pub(super) fn new() -> Self {
        OutgoingQueue {
            open: Batch::default(),
            closed: VecDeque::new(),
            oldest: None,
            newest: None,
            queued: Tally::default(),
            writing: Tally::default(),
            is_busy: true,
            ahead: NOTHING,
            awaits_room: false,
            awaits_low: false,
            counts: Counts::default(),
            more_frames: 0,
            share: Share::default(),
            refused: 0,
            peak: Tally::default(),
            timing: Timing::default(),
        }
    }

    /// From now on it has a part of what there is for all.
    pub(super) fn share(&mut self, share: Share) {
        self.share = share;
    }

    /// Tells what it holds to those who share with it.
    #[inline]
    fn tell(&mut self) {
        let weight = self.held().weight();
        self.share.hold(weight);
    }

    // -- sending

    /// Packs a message of one frame to the end, if that was lent and there is room for it and more; that takes no look at any
    /// limit.
    #[inline(always)]
    pub(super) fn enqueue_lent(&mut self, message: &Outgoing<'_>) -> bool {
        let Some(frame) = message.packed_lent() else {
            return false;
        };
        let weight = weight(1, frame.len());
        if self.ahead.messages == 0 || self.ahead.bytes < weight {
            return false;
        }
        self.open.push_lent(frame);
        self.ahead.messages -= 1;
        self.ahead.bytes -= weight;
        self.queued.add(1, frame.len());
        self.counts.taken += 1;
        self.counts.taken_bytes += frame.len() as u64;
        true
    }

    /// Packs a message to the end, if there is room.
    pub(super) fn enqueue(
        &mut self,
        mark: Mark,
        spares: &mut Spares,
        envelope: &[&[u8]],
        message: &mut Outgoing<'_>,
    ) -> Placed {
        if !self.has_room(mark) {
            return Placed::Refused;
        }
        self.take_on(mark, spares, envelope, message);
        if self.has_room(mark) {
            self.ahead = self.look_ahead(mark);
            Placed::WithRoom
        } else {
            self.ahead = NOTHING;
            Placed::Last
        }
    }

    #[inline(always)]
    fn take_on(&mut self, mark: Mark, spares: &mut Spares, envelope: &[&[u8]], message: &mut Outgoing<'_>) {
        let payload = self.pack(mark, spares, envelope, message);
        self.queued.add(1, payload);
        self.tell();
        self.counts.taken += 1;
        self.counts.taken_bytes += payload as u64;
        if !envelope.is_empty() || message.has_several_frames() {
            self.more_frames += (envelope.len() + message.frame_count() - 1) as u64;
        }
    }

    /// Takes on a message that is written at once, from where its sender has it: it counts as collected. Nothing may go before
    /// it, and it finds room as any other does.
    pub(super) fn lend(&mut self, mark: Mark, payload: usize) -> Placed {
        if self.held().messages > 0 || !self.has_room(mark) {
            return Placed::Refused;
        }
        self.writing.add(1, payload);
        self.tell();
        self.counts.taken += 1;
        self.counts.taken_bytes += payload as u64;
        self.is_busy = true;
        self.ahead = NOTHING;
        match self.has_room(mark) {
            true => Placed::WithRoom,
            false => Placed::Last,
        }
    }

    /// How much may come before it has to be looked at again whether there is room: messages, and their weight, which is more
    /// than they take on the wire.
    fn look_ahead(&self, mark: Mark) -> Mark {
        if self.share.is_limited() {
            return NOTHING;
        }
        let held = self.held();
        let until_nearly_full = mark.messages.saturating_sub(held.messages + 2);
        let until_heavy = mark.bytes.saturating_sub(held.weight() + 1);
        let (until_packed, room) = match half(mark.messages).saturating_sub(self.open.messages()) {
            0 => (usize::MAX, self.open.room(SMALL_BATCH)),
            until_half => (until_half, self.open.room(BATCH_BYTES)),
        };
        Mark {
            messages: until_nearly_full.min(until_packed),
            bytes: until_heavy.min(room),
        }
    }

    fn take_open(&mut self) -> Batch {
        self.ahead = NOTHING;
        std::mem::take(&mut self.open)
    }

    #[inline(always)]
    fn pack(&mut self, mark: Mark, spares: &mut Spares, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> usize {
        let len = self.open.wire_len();
        if self.open.messages() >= half(mark.messages) && len >= SMALL_BATCH || len >= BATCH_BYTES {
            let full = self.take_open();
            self.closed.push_back(full);
        }
        if self.open.is_empty() {
            self.open = Batch::with_buffer(spares.take());
        }
        self.open.push(envelope, message)
    }

    /// Packs a message to the end, whether there is room or not, and whatever others hold.
    pub(super) fn force(&mut self, spares: &mut Spares, envelope: &[&[u8]], message: &mut Outgoing<'_>) {
        let no_mark = Mark {
            messages: usize::MAX,
            bytes: usize::MAX,
        };
        self.take_on(no_mark, spares, envelope, message);
        self.ahead = NOTHING;
    }

    /// Whether nobody was answerable for what is queued; who asks is so from now on.
    #[inline]
    pub(super) fn make_busy(&mut self) -> bool {
        !std::mem::replace(&mut self.is_busy, true)
    }

    /// Whether the message that was just queued begins something that is timed, or the queue is full since: who asks is to
    /// say what time it is.
    #[inline(always)]
    pub(super) fn begins_time(&mut self, placed: Placed) -> bool {
        // Looked at once a batch: at its first message.
        if self.open.messages() == 1 && self.timing.awaits_message() {
            self.timing.came(self.left() + self.held().messages as u64);
            return true;
        }
        placed != Placed::WithRoom && self.is_full_untimed()
    }

    /// Whether it became full, or is so no more, and nobody has said when.
    pub(super) fn is_full_untimed(&self) -> bool {
        self.awaits_room != self.timing.is_full()
    }

    /// It is now that what was queued came, and that the queue is full or not.
    pub(super) fn time(&mut self, now: Instant) {
        self.timing.rest(now);
        self.timing.began(now);
        self.timing.set_full(self.awaits_room, now);
    }

    /// Whether it is below its mark: asked before a message, never about it, so that a lone big one always fits.
    /// If not, its low mark is waited for.
    #[inline]
    pub(super) fn has_room(&mut self, mark: Mark) -> bool {
        self.awaits_room = self.is_at(mark);
        !self.awaits_room
    }

    /// Whether it was found full, and has not fallen to its low mark since.
    #[inline]
    pub(super) fn awaits_room(&self) -> bool {
        self.awaits_room
    }

    /// Whether it has room, as it is known without a look at the mark.
    #[inline]
    pub(super) fn has_room_ahead(&self) -> bool {
        self.ahead.messages > 0
    }

    /// Whether it is at its mark, or would be with one message more.
    #[inline]
    pub(super) fn is_nearly_at(&self, mark: Mark) -> bool {
        self.held().messages.saturating_add(1) >= mark.messages || self.is_at(mark)
    }

    /// Whether it is at its mark.
    #[inline]
    pub(super) fn is_at(&self, mark: Mark) -> bool {
        let (held, mark) = (self.held(), self.share.within(mark));
        held.messages >= mark.messages || held.weight() >= mark.bytes
    }

    /// Whether it was found full and is at its low mark now; says so once.
    pub(super) fn has_fallen_to_low(&mut self, mark: Mark) -> bool {
        self.tell();
        let has = (self.awaits_room || self.awaits_low) && self.is_low(mark);
        self.awaits_room &= !has;
        self.awaits_low &= !has;
        has
    }

    /// Whether it was found full under another mark and has room under this one; says so once.
    pub(super) fn is_freed(&mut self, mark: Mark) -> bool {
        self.ahead = NOTHING;
        let was_full = self.awaits_room;
        self.has_fallen_to_low(mark) || was_full && self.has_room(mark)
    }

    /// Whether it is at its low mark. If not, that is waited for.
    pub(super) fn awaits_low(&mut self, mark: Mark) -> bool {
        self.awaits_low = !self.is_low(mark);
        !self.awaits_low
    }

    fn is_low(&self, mark: Mark) -> bool {
        let (held, mark) = (self.held(), self.share.within(mark));
        held.messages <= mark.messages / 2 && held.weight() <= mark.bytes / 2
    }

    // -- writing

    /// Takes off what was wholly written of the batch that was collected.
    pub(super) fn written(&mut self, written: Tally, now: Option<Instant>) {
        self.note_peak();
        self.pass(written, now);
        self.writing.sub(written);
    }

    /// Takes off, and counts as dropped, a part of the batch that was collected: it cannot be written.
    pub(super) fn refused(&mut self, refused: Tally, why: DropReason) {
        self.note_peak();
        self.writing.sub(refused);
        self.counts.drop(why, refused.messages);
        if self.timing.times_a_message() && self.left() >= self.timing.place() {
            self.timing.forget();
        }
    }

    /// Gives the oldest batch: at least one message, and at most half a mark of them unless they are small. `None`: nothing is queued, and nobody is
    /// answerable any more. What was kept whole until now, and is packed, is given to be dropped where no lock is held.
    pub(super) fn collect(&mut self, spares: &mut Spares, mut drop_later: impl FnMut(Message)) -> Option<Batch> {
        debug_assert_eq!(
            self.writing.messages, 0,
            "a batch is collected once the last one is written"
        );
        let next = if let Some(oldest) = self.oldest.take() {
            oldest.into_batch()
        } else if let Some(newest) = &mut self.newest {
            let mut batch = Batch::with_buffer(spares.take());
            while batch.wire_len() < BATCH_BYTES
                && let Some(message) = newest.pop()
            {
                batch.push(&[], &mut (&message).into());
                drop_later(message);
            }
            batch
        } else {
            match self.closed.pop_front() {
                Some(batch) => batch,
                None => self.take_open(),
            }
        };
        if next.is_empty() {
            self.is_busy = false;
            spares.give(next.into_parts().0);
            return None;
        }
        self.queued.sub(next.tally());
        self.writing = next.tally();
        Some(next)
    }

    /// Counts a message that was written and never queued.
    pub(super) fn greeted(&mut self, frames: usize, payload: usize) {
        self.counts.taken += 1;
        self.counts.taken_bytes += payload as u64;
        self.counts.passed += 1;
        self.counts.passed_bytes += payload as u64;
        self.more_frames += frames.saturating_sub(1) as u64;
    }

    // -- asking

    /// Messages that wait to go; not those that are being written.
    pub(super) fn waiting(&self) -> usize {
        self.queued.messages
    }

    /// All that counts against the mark.
    pub(super) fn held(&self) -> Tally {
        Tally {
            messages: self.queued.messages + self.writing.messages,
            payload: self.queued.payload + self.writing.payload,
        }
    }

    /// What was counted so far, without what is here.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Messages that were taken on and are not here any more.
    pub(super) fn left(&self) -> u64 {
        self.counts.left()
    }

    pub(super) fn timing(&self) -> &Timing {
        &self.timing
    }

    /// What was counted so far, with what is here.
    pub(super) fn stats(&self, now: Option<Instant>) -> Flow {
        let held = self.held();
        Flow {
            frames: self.counts.taken - self.refused + self.more_frames,
            queued: held.messages as u64,
            queued_bytes: held.payload as u64,
            queued_peak: self.peak.messages.max(held.messages) as u64,
            queued_peak_bytes: self.peak.payload.max(held.payload) as u64,
            full_now: u64::from(self.awaits_room),
            full_for: self.timing.full_for(now),
            ..self.counts.flow()
        }
    }

    /// Counts a message that was taken on and dropped at once.
    pub(super) fn refuse(&mut self, payload: usize, why: DropReason) {
        self.counts.taken += 1;
        self.counts.taken_bytes += payload as u64;
        self.counts.drop(why, 1);
        self.refused += 1;
        self.timing.shift(1);
    }

    /// It is about to become shorter. Looked at only then: each message that comes would be too often.
    fn note_peak(&mut self) {
        let held = self.held();
        self.peak.messages = self.peak.messages.max(held.messages);
        self.peak.payload = self.peak.payload.max(held.payload);
    }

    fn pass(&mut self, written: Tally, now: Option<Instant>) {
        self.counts.passed += written.messages as u64;
        self.counts.passed_bytes += written.payload as u64;
        if let Some(now) = now
            && written.messages > 0
        {
            if self.timing.times_a_message() {
                self.timing.left(self.left(), now);
            } else {
                self.timing.rest(now);
            }
            self.timing
                .meter
                .add(now, written.messages as u64, written.payload as u64);
        }
    }
}

/// Counts a message that was taken on for a peer that is gone, or for none, and dropped at once.
pub(super) fn refuse(out: &mut Flow, payload: usize, why: DropReason) {
    out.taken += 1;
    out.taken_bytes += payload as u64;
    out.dropped.add(why, 1);
}

/// A batch holds at most half a mark, so that packing and writing overlap.
fn half(mark: usize) -> usize {
    (mark / 2).max(1)
}

/// But one of fewer bytes may hold the whole mark: a system call for each half of so little costs more than the writing that
/// would overlap. Measured, at 16 bytes and a mark of 1,000: a quarter more messages than with 500 to a call.
const SMALL_BATCH: usize = 72 * 1024;
/// Nor does it grow once it has this many bytes; with one more packed message its buffer is a quarter of a mebibyte. Measured
/// against a quarter of that: a fifth more messages of 1 KiB and 8 KiB, in fewer and larger writes.
const BATCH_BYTES: usize = 240 * 1024;

/// Something has to be looked at with the next message.
const NOTHING: Mark = Mark { messages: 0, bytes: 0 };

#[cfg(all(test, not(loom)))]
mod tests;

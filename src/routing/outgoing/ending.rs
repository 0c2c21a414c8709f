//! When a connection ends, or its peer does: what becomes of the messages that were not wholly written.

use super::{OutgoingQueue, Unwritten};
use crate::batch::{Batch, Tally};
use crate::message::Message;
use crate::routing::dropped::Dropped;
use crate::stats::DropReason;
use std::time::Instant;

impl OutgoingQueue {
    /// The connection ended, with so many bytes of this batch written. What was not wholly written counts as queued
    /// again, and is the caller's to put back, take back or drop. What was is to be dropped where no lock is held.
    pub(in crate::routing) fn cut_off(
        &mut self,
        batch: Option<(Batch, usize)>,
        now: Option<Instant>,
    ) -> (Unwritten, Dropped) {
        self.note_peak();
        self.is_busy = true;
        self.writing = Tally::default();
        let Some((batch, written)) = batch else {
            return (Unwritten::new(), Dropped::default());
        };
        let (done, rest) = batch.split_unwritten(written);
        self.pass(Tally::of(&done), now);
        let rest_tally = Tally::of(&rest);
        self.queued.add(rest_tally.messages, rest_tally.payload);
        self.tell();
        (rest, Dropped::messages(done))
    }

    /// Puts back what [`OutgoingQueue::cut_off`] gave, in front of everything.
    /// Gives what is to be dropped where no lock is held.
    pub(in crate::routing) fn put_back(&mut self, unwritten: Unwritten) -> Vec<Message> {
        if let Some(newest) = &mut self.newest {
            let mut replaced = Vec::new();
            // The newest first: the others give way to it.
            for message in unwritten.into_iter().rev() {
                replaced.extend(newest.put_back(message));
            }
            for message in &replaced {
                self.drop_queued(message, DropReason::Conflated);
            }
            return replaced;
        }
        let mut batch = Batch::default();
        for message in unwritten {
            batch.push(&[], &mut message.into());
        }
        if let Some(oldest) = self.oldest.take() {
            self.closed.push_front(oldest.into_batch());
        }
        if !batch.is_empty() {
            self.closed.push_front(batch);
        }
        Vec::new()
    }

    /// Takes everything out, `unwritten` first, as if it had never been taken on; says how much it is.
    pub(in crate::routing) fn take_back(&mut self, unwritten: Unwritten) -> (Vec<Message>, Tally) {
        self.note_peak();
        self.timing.forget();
        let mut all = unwritten;
        all.append(&mut self.drain());
        let queued = std::mem::take(&mut self.queued);
        self.tell();
        self.counts.taken -= queued.messages as u64;
        self.counts.taken_bytes -= queued.payload as u64;
        let frames: usize = all.iter().map(Message::frame_count).sum();
        self.more_frames = self.more_frames.saturating_sub((frames - all.len()) as u64);
        (all, queued)
    }

    /// Unpacks everything; the counts stay as they are.
    pub(super) fn drain(&mut self) -> Vec<Message> {
        let mut all = Vec::new();
        if let Some(mut oldest) = self.oldest.take() {
            all.extend(std::iter::from_fn(|| oldest.pop()));
        }
        if let Some(newest) = &mut self.newest {
            all.extend(std::iter::from_fn(|| newest.pop()));
        }
        let open = self.take_open();
        for batch in self.closed.drain(..).chain([open]) {
            let mut run = batch.into_run();
            all.extend(std::iter::from_fn(|| run.pop()));
        }
        all
    }

    /// Drops and counts everything, `unwritten` included.
    pub(in crate::routing) fn drop_all(&mut self, unwritten: Unwritten, why: DropReason) -> Dropped {
        self.note_peak();
        self.timing.forget();
        let queued = std::mem::take(&mut self.queued);
        self.tell();
        self.counts.drop(why, queued.messages);
        let mut batches: Vec<_> = self.closed.drain(..).collect();
        batches.push(self.take_open());
        let mut messages = unwritten;
        if let Some(newest) = &mut self.newest {
            messages.extend(std::iter::from_fn(|| newest.pop()));
        }
        Dropped {
            messages,
            batches,
            runs: self.oldest.take().map(|oldest| *oldest).into_iter().collect(),
        }
    }
}

//! Messages that leave a queue without being written, to make room: a newer one takes their place, they are the oldest, or
//! nobody waits for them any more.

use super::OutgoingQueue;
use crate::batch::Tally;
use crate::batch::buffers::to_keep;
use crate::message::Message;
use crate::options::{Conflate, Mark};
use crate::routing::conflation::Conflation;
use crate::routing::spares::Spares;
use crate::stats::DropReason;

impl OutgoingQueue {
    /// From now on only the newest message is kept.
    pub(in crate::routing) fn conflate(&mut self, kind: Conflate) {
        self.newest = Some(Box::new(Conflation::new(kind)));
    }

    /// Keeps a message in the place of an older one, if that is what this queue does. Gives what is to be dropped where
    /// no lock is held.
    pub(in crate::routing) fn replace(&mut self, message: &Message) -> Option<Message> {
        let newest = self.newest.as_mut()?;
        self.queued.add(1, message.byte_count());
        self.counts.taken += 1;
        self.counts.taken_bytes += message.byte_count() as u64;
        self.more_frames += (message.frame_count() - 1) as u64;
        let replaced = newest.put(to_keep(message));
        let replaced = replaced.inspect(|replaced| self.drop_queued(replaced, DropReason::Conflated));
        self.tell();
        replaced
    }

    /// Takes out and counts the oldest message that no connection has collected, to be dropped where no lock is held.
    pub(in crate::routing) fn drop_oldest(&mut self, why: DropReason) -> Option<Message> {
        let mut oldest = self.oldest.take().unwrap_or_else(|| {
            let next = self.closed.pop_front().unwrap_or_else(|| self.take_open());
            Box::new(next.into_run())
        });
        let message = oldest.pop()?;
        self.oldest = Some(oldest).filter(|oldest| !oldest.is_empty());
        self.drop_queued(&message, why);
        Some(message)
    }

    /// Takes out and counts a message that no connection has collected, by its place among all that were taken on, counted
    /// from 1; those behind it are packed again. Gives how many had left the queue before, and the message, to be dropped
    /// where no lock is held.
    pub(in crate::routing) fn drop_at(
        &mut self,
        place: u64,
        mark: Mark,
        spares: &mut Spares,
        why: DropReason,
    ) -> Option<(u64, Message)> {
        let left = self.left();
        let before = place.checked_sub(left + self.writing.messages as u64 + 1)?;
        let index = usize::try_from(before).ok()?;
        if self.newest.is_some() || index >= self.queued.messages {
            return None;
        }
        let mut dropped = None;
        for (at, message) in self.drain().into_iter().enumerate() {
            if at == index {
                dropped = Some(message);
            } else {
                self.pack(mark, spares, &[], &mut message.into());
            }
        }
        let message = dropped?;
        self.drop_queued(&message, why);
        self.timing.forget();
        Some((left, message))
    }

    pub(super) fn drop_queued(&mut self, message: &Message, why: DropReason) {
        self.note_peak();
        self.queued.sub(Tally {
            messages: 1,
            payload: message.byte_count(),
        });
        self.tell();
        self.counts.drop(why, 1);
        if self.timing.times_a_message() && self.left() >= self.timing.place() {
            self.timing.forget();
        }
    }
}

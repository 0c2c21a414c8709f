//! The way in from one peer: what came and is unread, and what became of the rest.
//!
//! At its mark nothing more may be taken in; who was refused is starved, and resumed at half the mark. Nothing is
//! dropped for want of room. Knows nothing of who the peer is or where its messages go.

use super::conflation::Conflation;
use super::counts::Counts;
use super::dropped::Dropped;
use super::pool::Share;
use super::timing::Timing;
use crate::batch::buffers::to_keep;
use crate::batch::{Run, Tally};
use crate::message::Message;
use crate::options::{Conflate, Mark};
use crate::stats::{DropReason, Flow};
use std::time::Instant;

/// How much may still be taken in from a peer. Both zero: nothing, and its link is resumed at the low mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// Whether a peer has more messages than the one that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Popped {
    More,
    Last,
}

/// The queue from one peer.
#[derive(Debug)]
pub(super) struct IncomingQueue {
    /// Oldest first. At the mark the peer's connection stops reading; nothing is dropped.
    run: Run,
    /// Instead of it, if only the newest message counts. It replaces, and is never full.
    newest: Option<Box<Newest>>,
    /// Its connection stopped reading: whoever makes the queue fall to the low mark resumes it.
    is_starved: bool,
    /// So many messages may be taken without a look at anything but them: none is the last, the one that is timed, or the
    /// one at the low mark. Whatever brings one of these nearer sets it to zero.
    ahead: usize,
    counts: Counts,
    /// Its part of what there is for all queues.
    share: Share,
    /// Frames beyond the first of each message that was taken out.
    more_frames: u64,
    /// Messages that were taken out and then counted as dropped.
    returned: u64,
    /// The most that it held.
    peak: Tally,
    timing: Timing,
    /// Once so many were received, the one that is timed was.
    timed: u64,
}

/// The newest messages, and what they hold.
#[derive(Debug)]
struct Newest {
    messages: Conflation,
    held: Tally,
}

impl IncomingQueue {
    /// From now on only the newest message is kept.
    pub(super) fn conflate(&mut self, kind: Conflate) {
        self.newest = Some(Box::new(Newest {
            messages: Conflation::new(kind),
            held: Tally::default(),
        }));
    }

    /// From now on it has a part of what there is for all.
    pub(super) fn share(&mut self, share: Share) {
        self.share = share;
    }

    /// Tells what it holds to those who share with it.
    #[inline]
    fn tell(&mut self) {
        let weight = self.weight();
        self.share.hold(weight);
    }

    // -- arriving

    /// How much may be taken in. If nothing may, it is starved.
    pub(super) fn room(&mut self, mark: Mark) -> Room {
        let mark = self.share.within(mark);
        let room = Room {
            messages: mark.messages.saturating_sub(self.run.messages()),
            bytes: mark.bytes.saturating_sub(self.run.weight()),
        };
        if room.messages == 0 || room.bytes == 0 {
            self.is_starved = true;
            self.ahead = 0;
            return Room::default();
        }
        room
    }

    /// Whether more is here than its mark allows.
    pub(super) fn is_over(&self, mark: Mark) -> bool {
        self.run.messages() > mark.messages || self.run.weight() > mark.bytes
    }

    /// Appends whole messages. Gives what is to be dropped where no lock is held: those that they replace, and those of which
    /// a copy is kept.
    pub(super) fn deliver(&mut self, run: &mut Run, now: Option<Instant>) -> Vec<Message> {
        self.arrive(run.messages(), run.payload(), now);
        let mut done = Vec::new();
        match &mut self.newest {
            None => {
                self.begin_time(now);
                self.run.append(run);
            }
            Some(newest) => {
                while let Some(message) = run.pop() {
                    newest.held.add(1, message.byte_count());
                    if let Some(replaced) = newest.messages.put(to_keep(&message)) {
                        newest.held.sub(Tally::of(std::slice::from_ref(&replaced)));
                        self.counts.drop(DropReason::Conflated, 1);
                        done.push(replaced);
                    }
                    done.push(message);
                }
            }
        }
        self.tell();
        let held = self.held();
        self.peak.messages = self.peak.messages.max(held.messages);
        self.peak.payload = self.peak.payload.max(held.payload);
        done
    }

    /// The next message that comes is timed, if none is.
    fn begin_time(&mut self, now: Option<Instant>) {
        let Some(now) = now else { return };
        self.timing.rest(now);
        if self.timing.awaits_message() {
            self.timed = self.counts.passed + self.run.messages() as u64 + 1;
            self.timing.came(self.timed);
            self.timing.began(now);
            self.ahead = 0;
        }
    }

    /// Counts messages that came and are not for anybody.
    pub(super) fn discard(&mut self, messages: usize, payload: usize, why: DropReason, now: Option<Instant>) {
        self.arrive(messages, payload, now);
        self.counts.drop(why, messages);
    }

    /// Counts a message that came and was handed to the application without waiting here.
    pub(super) fn hand_over(&mut self, payload: usize, now: Option<Instant>) {
        self.arrive(1, payload, now);
        self.receive(payload);
    }

    /// Counts frames beyond the first of a message that was handed over.
    pub(super) fn more_frames(&mut self, frames: usize) {
        self.more_frames += frames as u64;
    }

    // -- receiving

    /// Takes the oldest message, if it has one frame and is not the last: that takes no look at anything else.
    #[inline(always)]
    pub(super) fn pop_next(&mut self, into: &mut Message) -> bool {
        if self.ahead == 0 {
            return false;
        }
        let Some(payload) = self.run.pop_next(into) else {
            return false;
        };
        self.ahead -= 1;
        self.receive(payload);
        true
    }

    /// Takes the oldest messages, at most so many, as long as none of them takes a look at anything else.
    pub(super) fn pop_many(&mut self, into: &mut Vec<Message>, most: usize) -> usize {
        let taken = self.run.pop_many(into, most.min(self.ahead));
        self.ahead -= taken.messages;
        self.counts.passed += taken.messages as u64;
        self.counts.passed_bytes += taken.payload as u64;
        taken.messages
    }

    /// Looks how many messages may be taken before something is to be looked at again.
    pub(super) fn look_ahead(&mut self, mark: Mark) {
        if self.share.is_limited() {
            // With each: others may have been given room by it.
            return;
        }
        let until_last = self.run.messages().saturating_sub(1);
        let until_low = match self.is_starved {
            true => self.run.messages().saturating_sub(mark.messages / 2 + 1),
            false => usize::MAX,
        };
        let until_timed = self.timed.saturating_sub(self.counts.passed + 1);
        let until_timed = usize::try_from(until_timed).unwrap_or(usize::MAX);
        self.ahead = until_last.min(until_low).min(until_timed);
    }

    /// Something is to be looked at with the next message.
    pub(super) fn look_at_next(&mut self) {
        self.ahead = 0;
    }

    /// Takes the oldest message.
    pub(super) fn pop(&mut self, into: &mut Message) -> Option<Popped> {
        let Some(payload) = self.run.pop_into(into) else {
            return self.pop_newest(into);
        };
        self.receive(payload);
        if into.frame_count() > 1 {
            self.more_frames += (into.frame_count() - 1) as u64;
        }
        Some(if self.run.is_empty() {
            Popped::Last
        } else {
            Popped::More
        })
    }

    #[inline(never)]
    fn pop_newest(&mut self, into: &mut Message) -> Option<Popped> {
        let newest = self.newest.as_mut()?;
        *into = newest.messages.pop()?;
        let payload = into.byte_count();
        newest.held.sub(Tally { messages: 1, payload });
        let is_last = newest.messages.is_empty();
        self.receive(payload);
        self.more_frames += (into.frame_count() - 1) as u64;
        Some(if is_last { Popped::Last } else { Popped::More })
    }

    /// Whether the message that is timed was received; who asks is to say what time it is.
    #[inline(always)]
    pub(super) fn ends_time(&mut self) -> bool {
        self.counts.passed >= self.timed
    }

    /// It is now that it was received, and that the queue is starved or not.
    pub(super) fn time(&mut self, now: Instant) {
        self.timing.left(self.counts.passed, now);
        self.timed = self.timing.place();
        self.ahead = 0;
        self.timing.set_full(self.is_starved, now);
    }

    /// Whether it was starved and is at its low mark now; says so once.
    #[inline(always)]
    pub(super) fn has_fallen_to_low(&mut self, mark: Mark) -> bool {
        if self.share.is_limited() {
            self.tell();
        }
        let mark = self.share.within(mark);
        let has = self.is_starved && self.run.messages() <= mark.messages / 2 && self.run.weight() <= mark.bytes / 2;
        if has {
            self.is_starved = false;
        }
        has
    }

    /// Whether it was starved under another mark and has room under this one; says so once.
    pub(super) fn is_freed(&mut self, mark: Mark) -> bool {
        self.ahead = 0;
        let mark = self.share.within(mark);
        let has_room = self.run.messages() < mark.messages && self.run.weight() < mark.bytes;
        self.is_starved && has_room && std::mem::take(&mut self.is_starved)
    }

    /// Drops and counts what is unread. What is returned is to be dropped where no lock is held.
    pub(super) fn drop_all(&mut self, why: DropReason) -> Dropped {
        self.timing.forget();
        self.timed = u64::MAX;
        self.ahead = 0;
        self.counts.drop(why, self.messages());
        let mut dropped = Dropped::run(std::mem::take(&mut self.run));
        if let Some(newest) = &mut self.newest {
            newest.held = Tally::default();
            let messages = std::iter::from_fn(|| newest.messages.pop()).collect();
            dropped.merge(Dropped::messages(messages));
        }
        self.tell();
        dropped
    }

    /// Counts a message that was received as dropped instead.
    pub(super) fn dropped_after_pop(&mut self, payload: usize, why: DropReason) {
        self.counts.passed -= 1;
        self.counts.passed_bytes -= payload as u64;
        self.counts.drop(why, 1);
        self.returned += 1;
        self.ahead = 0;
        self.timing.shift(-1);
        self.timed = self.timing.place();
    }

    /// Whether it was starved; it is not any more.
    pub(super) fn stop_starving(&mut self) -> bool {
        std::mem::take(&mut self.is_starved)
    }

    // -- asking

    pub(super) fn messages(&self) -> usize {
        self.held().messages
    }

    pub(super) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.newest.as_ref().is_none_or(|newest| newest.messages.is_empty())
    }

    /// What is unread weighs.
    pub(super) fn weight(&self) -> usize {
        self.held().weight()
    }

    fn held(&self) -> Tally {
        match &self.newest {
            Some(newest) => newest.held,
            None => Tally {
                messages: self.run.messages(),
                payload: self.run.payload(),
            },
        }
    }

    pub(super) fn timing(&self) -> &Timing {
        &self.timing
    }

    /// What was counted so far, with what is here.
    pub(super) fn stats(&self, now: Option<Instant>) -> Flow {
        let held = self.held();
        Flow {
            frames: self.counts.passed + self.returned + self.more_frames,
            queued: held.messages as u64,
            queued_bytes: held.payload as u64,
            queued_peak: self.peak.messages as u64,
            queued_peak_bytes: self.peak.payload as u64,
            full_now: u64::from(self.is_starved),
            full_for: self.timing.full_for(now),
            ..self.counts.flow()
        }
    }

    fn arrive(&mut self, messages: usize, payload: usize, now: Option<Instant>) {
        self.counts.taken += messages as u64;
        self.counts.taken_bytes += payload as u64;
        if let Some(now) = now {
            self.timing.meter.add(now, messages as u64, payload as u64);
        }
    }

    #[inline(always)]
    fn receive(&mut self, payload: usize) {
        self.counts.passed += 1;
        self.counts.passed_bytes += payload as u64;
    }
}

impl Default for IncomingQueue {
    fn default() -> Self {
        IncomingQueue {
            run: Run::default(),
            is_starved: false,
            ahead: 0,
            counts: Counts::default(),
            share: Share::default(),
            more_frames: 0,
            returned: 0,
            newest: None,
            peak: Tally::default(),
            timing: Timing::default(),
            timed: u64::MAX,
        }
    }
}

/// Counts messages that came and are not for anybody, of a peer that is gone.
pub(super) fn discard(incoming: &mut Flow, messages: usize, payload: usize, why: DropReason) {
    incoming.taken += messages as u64;
    incoming.taken_bytes += payload as u64;
    incoming.dropped.add(why, messages as u64);
}

/// Counts a message of one frame that was handed to the application for a peer that is gone.
pub(super) fn hand_over(incoming: &mut Flow, payload: usize) {
    incoming.taken += 1;
    incoming.taken_bytes += payload as u64;
    incoming.passed += 1;
    incoming.passed_bytes += payload as u64;
    incoming.frames += 1;
}

/// Counts a message that was received, of a peer that is gone, as dropped instead.
pub(super) fn drop_received(incoming: &mut Flow, payload: usize, why: DropReason) {
    incoming.passed -= 1;
    incoming.passed_bytes -= payload as u64;
    incoming.dropped.add(why, 1);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::batch::Buffers;
    use crate::batch::buffers::{CHUNK, FEW};

    /// Of a fast publisher's topics some change rarely: each of those would keep the chunk that its last change came in.
    #[test]
    fn what_only_the_newest_is_kept_of_keeps_no_chunk_for_a_few_bytes() {
        for size in [70, 100, FEW - 1, FEW] {
            let mut buffers = Buffers::default();
            let place = buffers.chunks(CHUNK).room().as_ptr();
            let mut frame = Vec::new();
            crate::batch::frame::put_header(&mut frame, 0, size);
            frame.resize(frame.len() + size, 7);
            buffers.chunks(CHUNK).room()[..frame.len()].copy_from_slice(&frame);
            let mut run = Run::default();
            run.push_part(buffers.chunks(CHUNK).take(frame.len()));
            run.count(1, size);
            let mut queue = IncomingQueue::default();
            queue.conflate(Conflate::ByTopic { topics: 9 });

            drop(queue.deliver(&mut run, None));

            // Others use up the rest of it.
            drop(buffers.chunks(CHUNK).take(CHUNK - frame.len()));
            let is_free = buffers.chunks(CHUNK).room().as_ptr() == place;
            assert_eq!(is_free, size < FEW, "{size} bytes are unread");
            let mut message = Message::empty();
            assert_eq!(queue.pop(&mut message), Some(Popped::Last));
            assert_eq!(message, vec![7; size]);
            assert!(queue.stats(None).is_conserved());
        }
    }
}

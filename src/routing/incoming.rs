//! The way in from one peer: what came and is unread, and what became of the rest.
//!
//! At its mark nothing more may be taken in; who was refused is starved, and resumed at half the mark. Nothing is
//! dropped for want of room. Knows nothing of who the peer is or where its messages go.

use crate::batch::Run;
use crate::message::Message;
use crate::options::Mark;
use crate::stats::{DropReason, Flow};

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
#[derive(Debug, Default)]
pub(super) struct IncomingQueue {
    /// Oldest first. At the mark the peer's connection stops reading; nothing is dropped.
    run: Run,
    /// Its connection stopped reading: whoever makes the queue fall to the low mark resumes it.
    is_starved: bool,
    flow: Flow,
}

impl IncomingQueue {
    // -- arriving

    /// How much may be taken in. If nothing may, it is starved.
    pub(super) fn room(&mut self, mark: Mark) -> Room {
        let room = Room {
            messages: mark.messages.saturating_sub(self.run.messages()),
            bytes: mark.bytes.saturating_sub(self.run.weight()),
        };
        if room.messages == 0 || room.bytes == 0 {
            self.is_starved = true;
            return Room::default();
        }
        room
    }

    /// Appends whole messages.
    pub(super) fn deliver(&mut self, run: &mut Run) {
        self.arrive(run.messages(), run.payload());
        self.run.append(run);
    }

    /// Counts messages that came and are not for anybody.
    pub(super) fn discard(&mut self, messages: usize, payload: usize, why: DropReason) {
        self.arrive(messages, payload);
        self.flow.dropped.add(why, messages as u64);
    }

    /// Counts a message that came and was handed to the application without waiting here.
    pub(super) fn hand_over(&mut self, payload: usize) {
        self.arrive(1, payload);
        self.receive(payload);
    }

    // -- receiving

    /// Takes the oldest message.
    #[inline(always)]
    pub(super) fn pop(&mut self, into: &mut Message) -> Option<Popped> {
        let payload = self.run.pop_into(into)?;
        self.receive(payload);
        Some(if self.run.is_empty() {
            Popped::Last
        } else {
            Popped::More
        })
    }

    /// Whether it was starved and is at its low mark now; says so once.
    #[inline(always)]
    pub(super) fn has_fallen_to_low(&mut self, mark: Mark) -> bool {
        let has = self.is_starved && self.run.messages() <= mark.messages / 2 && self.run.weight() <= mark.bytes / 2;
        if has {
            self.is_starved = false;
        }
        has
    }

    /// Drops and counts what is unread. What is returned is to be dropped where no lock is held.
    pub(super) fn drop_all(&mut self, why: DropReason) -> Run {
        let run = std::mem::take(&mut self.run);
        self.flow.dropped.add(why, run.messages() as u64);
        run
    }

    /// Whether it was starved; it is not any more.
    pub(super) fn stop_starving(&mut self) -> bool {
        std::mem::take(&mut self.is_starved)
    }

    // -- asking

    pub(super) fn messages(&self) -> usize {
        self.run.messages()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    /// What was counted so far, without what is here.
    pub(super) fn flow(&self) -> &Flow {
        &self.flow
    }

    pub(super) fn flow_mut(&mut self) -> &mut Flow {
        &mut self.flow
    }

    /// What was counted so far, with what is here.
    pub(super) fn stats(&self) -> Flow {
        Flow {
            queued: self.run.messages() as u64,
            queued_bytes: self.run.payload() as u64,
            ..self.flow
        }
    }

    fn arrive(&mut self, messages: usize, payload: usize) {
        self.flow.taken += messages as u64;
        self.flow.taken_bytes += payload as u64;
    }

    #[inline(always)]
    fn receive(&mut self, payload: usize) {
        self.flow.passed += 1;
        self.flow.passed_bytes += payload as u64;
    }
}

/// Counts a message that was received as dropped instead.
pub(super) fn drop_received(incoming: &mut Flow, payload: usize, why: DropReason) {
    incoming.passed -= 1;
    incoming.passed_bytes -= payload as u64;
    incoming.dropped.add(why, 1);
}

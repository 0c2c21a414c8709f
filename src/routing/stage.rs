//! Messages for many peers, packed once.
//!
//! What is published to the same peers as the message before is packed here, and counts as queued for each of them. A peer's
//! queue takes over what it lacks when somebody looks at it; until then a publish touches nothing of the peer. It shares what
//! is much, and copies the rest: so what waits for many lies in the processor's cache, and not as often in memory as they are.
//!
//! A peer enters with room for several messages, and leaves whenever its queue is looked at. There is no other way to the
//! queue than [`Staged::reach`], so whoever looks finds all of its messages there, and need not know of the stage: what
//! follows goes to that peer by itself, until it enters again.

use super::outgoing::OutgoingQueue;
use super::peer::PeerId;
use crate::batch::frame::MAX_HEADER;
use crate::batch::{BY_REFERENCE, Batch, Tally, weight};
use crate::message::Outgoing;
use crate::options::Mark;
use bytes::Bytes;
use slab::Slab;

/// What was published, and is not in all queues yet.
#[derive(Debug)]
pub(super) struct Stage {
    /// Who the last message was for, if they are many.
    pub(super) audience: Vec<PeerId>,
    /// Which choice of the publisher's that was.
    pub(super) choice: u64,
    /// Those of them that are not on the stage.
    pub(super) others: Vec<PeerId>,
    /// Whether they may enter: the last message was short, and for the same peers as the one before.
    pub(super) is_open: bool,
    /// What does not grow any more, oldest first: queues share it. With `packed` at most [`STAGE_BYTES`], and one message more.
    sealed: Vec<Sealed>,
    /// What follows it; at most [`PIECE_BYTES`].
    packed: Batch,
    /// Up to where `packed` ends.
    extent: Extent,
    /// Up to where nobody on the stage has to look at a limit of its queue.
    limit: Mark,
    /// Who is on it, and since when: some of the audience.
    entered: Slab<Entered>,
    /// Of all stages: whoever is on an earlier one is on none.
    number: u64,
}

/// Whole messages that lie on a stage behind so many bytes.
#[derive(Debug)]
struct Sealed {
    before: usize,
    bytes: Bytes,
}

/// How far a stage is packed.
#[derive(Debug, Default, Clone, Copy)]
struct Extent {
    wire_len: usize,
    tally: Tally,
    more_frames: u64,
}

impl Stage {
    pub(super) fn new() -> Self {
        Stage {
            audience: Vec::new(),
            choice: 0,
            others: Vec::new(),
            is_open: false,
            sealed: Vec::new(),
            packed: Batch::default(),
            extent: Extent::default(),
            limit: NO_LIMIT,
            entered: Slab::new(),
            number: 1,
        }
    }

    /// Whether a message may be packed here, whoever is on the stage.
    #[inline]
    pub(super) fn is_short(envelope: &[&[u8]], message: &Outgoing<'_>) -> bool {
        let frames = envelope.len() + message.frame_count();
        payload(envelope, message) <= LONGEST && frames <= MOST_FRAMES
    }

    /// Whether all on the stage have room for a short message.
    #[inline]
    pub(super) fn has_room(&self, envelope: &[&[u8]], message: &Outgoing<'_>) -> bool {
        let Extent { wire_len, tally, .. } = self.extent;
        tally.messages < self.limit.messages
            && weight(tally.messages + 1, tally.payload + payload(envelope, message)) <= self.limit.bytes
            && wire_len < STAGE_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.extent.tally.messages == 0
    }

    /// Whether nobody is on it.
    pub(super) fn is_deserted(&self) -> bool {
        self.entered.is_empty()
    }

    #[cfg(test)]
    pub(super) fn staged(&self) -> usize {
        self.extent.tally.messages
    }

    #[cfg(test)]
    pub(super) fn sealed(&self) -> usize {
        self.sealed.len()
    }

    /// Packs a message for all on the stage.
    #[inline]
    pub(super) fn push(&mut self, envelope: &[&[u8]], message: &mut Outgoing<'_>) {
        if self.packed.wire_len() + LONGEST_PACKED > PIECE_BYTES {
            self.seal();
        }
        let before = self.packed.wire_len();
        let payload = self.packed.push(envelope, message);
        self.extent.wire_len += self.packed.wire_len() - before;
        self.extent.tally.add(1, payload);
        self.extent.more_frames += (envelope.len() + message.frame_count() - 1) as u64;
    }

    /// Nothing more comes: all who are on the stage are to leave it.
    pub(super) fn close(&mut self) {
        if self.packed.wire_len() >= SHARED {
            self.seal();
        }
    }

    /// Begins another, that nobody is on. Whatever stood here is in all queues.
    pub(super) fn begin(&mut self) {
        self.number += 1;
        self.entered.clear();
        self.sealed.clear();
        self.packed = Batch::with_buffer(std::mem::take(&mut self.packed).into_parts().0);
        self.extent = Extent::default();
        self.limit = NO_LIMIT;
    }

    fn seal(&mut self) {
        let next = Batch::with_buffer(Vec::with_capacity(PIECE_BYTES));
        let packed = std::mem::replace(&mut self.packed, next);
        self.sealed.push(Sealed {
            before: self.extent.wire_len - packed.wire_len(),
            bytes: Bytes::from(packed.into_parts().0),
        });
    }

    /// Packs into a queue what stands here behind so many bytes.
    fn copy_to(&self, queue: &mut Batch, from: usize) {
        let sealed_len = self.extent.wire_len - self.packed.wire_len();
        for Sealed { before, bytes } in &self.sealed {
            match bytes.len().saturating_sub(from.saturating_sub(*before)) {
                0 => {}
                len @ ..SHARED => queue.push_packed(bytes.get(bytes.len() - len..).unwrap_or_default()),
                len => queue.push_shared(bytes.slice(bytes.len() - len..)),
            }
        }
        let packed = self.packed.one_piece().unwrap_or_default();
        let rest = packed.get(from.saturating_sub(sealed_len)..).unwrap_or_default();
        queue.push_packed(rest);
    }
}

/// The queue to a peer, of which the youngest messages may stand on the stage.
#[derive(Debug)]
pub(super) struct Staged {
    queue: OutgoingQueue,
    /// The stage that it is on, by its number; zero: on none.
    stage: u64,
    /// Among those that are.
    place: usize,
}

/// A peer has entered the stage: all before this is in its queue, or was not for it.
#[derive(Debug)]
struct Entered {
    id: PeerId,
    from: Extent,
}

impl Staged {
    pub(super) fn new() -> Self {
        Staged {
            queue: OutgoingQueue::new(),
            stage: 0,
            place: 0,
        }
    }

    /// The queue, with all of its messages in it.
    #[inline(always)]
    pub(super) fn reach(&mut self, stage: &mut Stage) -> &mut OutgoingQueue {
        if self.stage > 0 {
            self.leave(stage);
        }
        &mut self.queue
    }

    #[inline(never)]
    fn leave(&mut self, stage: &mut Stage) {
        let is_there = std::mem::take(&mut self.stage) == stage.number;
        let entered = is_there.then(|| stage.entered.try_remove(self.place)).flatten();
        let Some(Entered { id, from }) = entered else {
            return;
        };
        stage.others.push(id);
        let to = stage.extent;
        let mut tally = to.tally;
        tally.sub(from.tally);
        if tally.messages > 0 {
            let queue = self.queue.take_over(tally, to.more_frames - from.more_frames);
            stage.copy_to(queue, from.wire_len);
        }
        if stage.is_deserted() {
            // There may be no next message for long.
            stage.sealed.clear();
        }
    }

    /// Goes on the stage, if it has room there for several messages of so many bytes.
    pub(super) fn enter(&mut self, id: PeerId, mark: Mark, payload: usize, stage: &mut Stage) -> bool {
        // Once it has no more room all queues are looked at: until then, one by one, it would have been this one as often.
        let several = stage.audience.len().min(mark.messages / 8);
        let several = several.min(STAGE_BYTES / weight(1, payload)).max(FEW);
        let least = Tally {
            messages: several,
            payload: several * payload,
        };
        let Some(room) = self.reach(stage).room_for_many(mark, least) else {
            return false;
        };
        let from = stage.extent;
        stage.limit.messages = stage.limit.messages.min(from.tally.messages + room.messages);
        stage.limit.bytes = stage.limit.bytes.min(from.tally.weight().saturating_add(room.bytes));
        self.stage = stage.number;
        self.place = stage.entered.insert(Entered { id, from });
        true
    }
}

pub(super) fn payload(envelope: &[&[u8]], message: &Outgoing<'_>) -> usize {
    message.byte_count() + envelope.iter().map(|frame| frame.len()).sum::<usize>()
}

/// Peers that share a stage, at least. Measured: four save a third of a publish, 64 save two thirds.
pub(super) const MANY: usize = 4;
/// Messages that a peer has room for when it enters, at least.
const FEW: usize = 4;
/// What stands on a stage. The first message of each is copied for all: of messages of 1 KiB this is one in 64.
const STAGE_BYTES: usize = 64 * 1024;
/// Bytes that share a buffer, which lives until the slowest of those that share it has them written.
const PIECE_BYTES: usize = 16 * 1024;
/// A part of such a piece is shared from so many bytes on: what keeps the whole of it is at least a quarter as large.
const SHARED: usize = PIECE_BYTES / 4;
/// Bytes of a message that is packed once; others may go by reference anyway. Measured, to 64 peers: a delivery of 64 bytes
/// takes a third of the time, one of 1 KiB or 3 KiB less than half.
const LONGEST: usize = BY_REFERENCE - 1;
/// Frames of such a message: so it weighs more than it has bytes on the wire.
const MOST_FRAMES: usize = weight(1, 0) / MAX_HEADER;
/// What that takes on the wire, at most.
const LONGEST_PACKED: usize = LONGEST + MOST_FRAMES * MAX_HEADER;
const NO_LIMIT: Mark = Mark {
    messages: usize::MAX,
    bytes: usize::MAX,
};

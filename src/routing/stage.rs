//! Messages for many peers, packed once.
//!
//! What is published to the same peers as the message before is packed here, and counts as queued for each of them. A peer's
//! queue takes over what it lacks, by one copy, when somebody looks at it; until then a publish touches nothing of the peer.
//!
//! A peer enters with room for several messages, and leaves whenever its queue is looked at. There is no other way to the
//! queue than [`Staged::reach`], so whoever looks finds all of its messages there, and need not know of the stage: what
//! follows goes to that peer by itself, until it enters again.

use super::outgoing::OutgoingQueue;
use super::peer::PeerId;
use super::spares::Spares;
use crate::batch::frame::MAX_HEADER;
use crate::batch::{Batch, Tally, weight};
use crate::message::Outgoing;
use crate::options::Mark;

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
    /// At most [`STAGE_BYTES`], and one message more.
    packed: Batch,
    more_frames: u64,
    /// Up to where nobody on the stage has to look at a limit of its queue.
    limit: Mark,
    /// How many stages there were before: whoever is on one of those is on none.
    number: u64,
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
            packed: Batch::default(),
            more_frames: 0,
            limit: NO_LIMIT,
            number: 0,
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
        let Tally {
            messages,
            payload: held,
        } = self.packed.tally();
        messages < self.limit.messages
            && weight(messages + 1, held + payload(envelope, message)) <= self.limit.bytes
            && self.packed.wire_len() < STAGE_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    #[cfg(test)]
    pub(super) fn staged(&self) -> usize {
        self.packed.messages()
    }

    /// Packs a message for all on the stage.
    #[inline]
    pub(super) fn push(&mut self, spares: &mut Spares, envelope: &[&[u8]], message: &mut Outgoing<'_>) {
        if self.packed.is_empty() {
            self.packed = Batch::with_buffer(spares.take());
        }
        self.packed.push(envelope, message);
        self.more_frames += (envelope.len() + message.frame_count() - 1) as u64;
    }

    /// Begins another, that nobody is on. Whatever stood here is in all queues.
    pub(super) fn begin(&mut self, spares: &mut Spares) {
        self.number += 1;
        self.more_frames = 0;
        self.limit = NO_LIMIT;
        spares.give(std::mem::take(&mut self.packed).into_parts().0);
    }

    fn extent(&self) -> Extent {
        Extent {
            wire_len: self.packed.wire_len(),
            tally: self.packed.tally(),
            more_frames: self.more_frames,
        }
    }
}

/// The queue to a peer, of which the youngest messages may stand on the stage.
#[derive(Debug)]
pub(super) struct Staged {
    queue: OutgoingQueue,
    on: Option<Place>,
}

/// A peer is on a stage, and all before this is in its queue, or was not for it.
#[derive(Debug)]
struct Place {
    id: PeerId,
    number: u64,
    from: Extent,
}

impl Staged {
    pub(super) fn new() -> Self {
        Staged {
            queue: OutgoingQueue::new(),
            on: None,
        }
    }

    /// The queue, with all of its messages in it.
    #[inline(always)]
    pub(super) fn reach(&mut self, stage: &mut Stage) -> &mut OutgoingQueue {
        if self.on.is_some() {
            self.leave(stage);
        }
        &mut self.queue
    }

    #[inline(never)]
    fn leave(&mut self, stage: &mut Stage) {
        let Some(place) = self.on.take().filter(|place| place.number == stage.number) else {
            return;
        };
        stage.others.push(place.id);
        let (from, to) = (place.from, stage.extent());
        let mut tally = to.tally;
        tally.sub(from.tally);
        if let Some(packed) = stage.packed.one_piece().and_then(|all| all.get(from.wire_len..))
            && tally.messages > 0
        {
            self.queue.take_over(packed, tally, to.more_frames - from.more_frames);
        }
    }

    /// Goes on the stage, if it has room there for several messages.
    pub(super) fn enter(&mut self, id: PeerId, mark: Mark, stage: &mut Stage) -> bool {
        let from = stage.extent();
        let room = self.reach(stage).room_for_many(mark, STAGE_BYTES);
        // Once it has no more room all queues are looked at: until then, one by one, it would have been this one as often.
        let several = stage.audience.len().min(mark.messages / 8).max(FEW);
        if room.messages < several || room.bytes < weight(several, several * LONGEST) {
            return false;
        }
        let weight = from.tally.weight();
        stage.limit.messages = stage.limit.messages.min(from.tally.messages + room.messages);
        stage.limit.bytes = stage.limit.bytes.min(weight.saturating_add(room.bytes));
        self.on = Some(Place {
            id,
            number: stage.number,
            from,
        });
        true
    }
}

fn payload(envelope: &[&[u8]], message: &Outgoing<'_>) -> usize {
    message.byte_count() + envelope.iter().map(|frame| frame.len()).sum::<usize>()
}

/// Peers that share a stage, at least. Measured: four save a third of a publish, 64 save two thirds.
pub(super) const MANY: usize = 4;
/// Messages that a peer has room for when it enters, at least.
const FEW: usize = 4;
/// What stands on a stage: more makes its end longer, for which the lock is held, and saves nothing that can be measured.
const STAGE_BYTES: usize = 16 * 1024;
/// Bytes of a message that is packed once. Measured, to 64 peers: a delivery of 64 bytes takes a third of the time, one of
/// 1 KiB half.
const LONGEST: usize = 1024;
/// Frames of such a message: so it weighs more than it has bytes on the wire.
const MOST_FRAMES: usize = weight(1, 0) / MAX_HEADER;
const NO_LIMIT: Mark = Mark {
    messages: usize::MAX,
    bytes: usize::MAX,
};

//! One way through a link: what is on it, and the memory that travels with it.
//!
//! A batch is received where it was packed. Its buffer comes back once the last of it is dropped, to be packed into again.

use super::lent::Buffers;
use crate::batch::{Batch, Run};
use crate::notice::Notice;
use bytes::BytesMut;
use std::collections::VecDeque;

/// One way through a link.
#[derive(Default)]
pub(super) struct Way {
    /// What was collected and found no room on the other side; it still counts as queued on this one.
    pub(super) pending: Run,
    /// What was collected of what the other side is to be told, and found no room there: it may be given to its
    /// application as messages. At most one part.
    pub(super) notices: VecDeque<Notice>,
    /// What small batches are copied into; at most [`CHUNK`].
    chunk: BytesMut,
    buffers: Buffers,
    /// This side wants the link to end: it does once nothing is queued here.
    pub(super) is_ending: bool,
}

impl Way {
    /// Makes a batch what is pending, and gives a buffer to pack the next into, if one is free. A small batch is copied: in
    /// memory of its own it would cost four allocations, for each message if the receiver keeps up.
    pub(super) fn take_over(&mut self, batch: Batch) -> Vec<u8> {
        match batch.one_piece() {
            Some(packed) if packed.len() <= CHUNK / 4 => {
                if self.chunk.capacity() < packed.len() {
                    self.chunk = BytesMut::with_capacity(CHUNK);
                }
                self.chunk.extend_from_slice(packed);
                self.pending.push_part(self.chunk.split().freeze());
                let tally = batch.tally();
                self.pending.count(tally.messages, tally.payload);
                batch.into_parts().0
            }
            _ => {
                self.pending = batch.into_run_in(|buffer| self.buffers.lend(buffer));
                self.buffers.take()
            }
        }
    }

    /// All is moved.
    pub(super) fn rest(&mut self) {
        self.buffers.rest();
    }
}

/// Small, because a link that is idle keeps one, and a message that is kept keeps one.
const CHUNK: usize = 4 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::batch::frame::MAX_HEADER;

    /// A batch too large to be copied, in a buffer of so many bytes that is full to its end or not.
    fn batch(buffer: Vec<u8>, is_full: bool) -> Batch {
        let mut batch = Batch::with_buffer(buffer);
        let frame = vec![0; if is_full { CHUNK - MAX_HEADER } else { CHUNK / 2 }];
        batch.push(&[], &mut frame.as_slice().into());
        batch
    }

    #[test]
    fn a_buffer_of_which_all_is_dropped_is_packed_into_again() {
        for is_full in [false, true] {
            let mut way = Way::default();
            let buffer = Vec::with_capacity(CHUNK);
            let place = buffer.as_ptr();

            assert_eq!(way.take_over(batch(buffer, is_full)).capacity(), 0);
            while way.pending.pop().is_some() {}
            let back = way.take_over(batch(Vec::with_capacity(CHUNK), is_full));
            assert_eq!((back.as_ptr(), back.capacity()), (place, CHUNK));

            let _unread = std::mem::take(&mut way.pending);
            assert_eq!(way.take_over(batch(back, is_full)).capacity(), 0);
        }
    }
}

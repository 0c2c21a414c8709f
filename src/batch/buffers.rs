//! The memory that received bytes land in, used by all connections of a loop in turn.
//!
//! A chunk is filled by a read, whole messages are split off its front and handed on, and the handle that remains waits
//! in a ring until the last of those messages is gone: then the same memory is filled again. Bodies too large for a
//! chunk have buffers of their own, recycled in the same way.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Chunks, and buffers for large bodies. An idle connection owns none of them.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    chunk: BytesMut,
    /// Empty handles of spent chunks, oldest first; at most [`RING`].
    spent: VecDeque<BytesMut>,
    /// Second handles of bodies that were handed on, oldest first; at most [`BODIES`], none over [`BODY_KEPT`].
    bodies: VecDeque<Bytes>,
}

impl Buffers {
    /// Where the next read goes: at least half a chunk of initialised bytes.
    pub(crate) fn chunk(&mut self) -> &mut BytesMut {
        if self.chunk.len() < CHUNK / 2 {
            let mut spent = std::mem::take(&mut self.chunk);
            spent.clear();
            if spent.capacity() > 0 {
                self.spent.push_back(spent);
            }
            self.chunk = self.next_chunk();
        }
        &mut self.chunk
    }

    fn next_chunk(&mut self) -> BytesMut {
        // The oldest is the likeliest to be free; if it is not, it waits for another round.
        if let Some(mut oldest) = self.spent.pop_front() {
            if oldest.try_reclaim(CHUNK) {
                oldest.resize(CHUNK, 0);
                return oldest;
            }
            if self.spent.len() < RING {
                self.spent.push_back(oldest);
            }
        }
        BytesMut::zeroed(CHUNK)
    }

    /// A buffer for a body of `total` bytes, initialised. It may be shorter than asked: what is only announced is not
    /// reserved, and [`Buffers::grow`] makes it longer once it is full.
    pub(crate) fn body(&mut self, total: usize) -> BytesMut {
        for _ in 0..self.bodies.len() {
            let Some(kept) = self.bodies.pop_front() else { break };
            let fits = kept.len() >= total && kept.len() / 4 <= total;
            if !fits {
                self.bodies.push_back(kept);
                continue;
            }
            match kept.try_into_mut() {
                Ok(mut free) => {
                    free.truncate(total);
                    return free;
                }
                Err(in_use) => self.bodies.push_back(in_use),
            }
        }
        BytesMut::zeroed(total.min(CHUNK))
    }

    /// Doubles a full body buffer, up to `total`: memory follows what has come.
    pub(crate) fn grow(body: &mut BytesMut, total: usize) {
        let len = body.len().saturating_mul(2).max(CHUNK).min(total);
        body.resize(len, 0);
    }

    /// Remembers a body that is handed on, to fill its memory again when it is dropped.
    pub(crate) fn keep(&mut self, body: &Bytes) {
        if body.len() <= BODY_KEPT {
            if self.bodies.len() >= BODIES {
                self.bodies.pop_front();
            }
            self.bodies.push_back(body.clone());
        }
    }
}

/// Bytes of a chunk, and of the largest read into one.
pub(crate) const CHUNK: usize = 64 * 1024;
/// Spent chunks that wait to be free: 2 MiB.
const RING: usize = 32;
/// Body buffers that wait to be free: at most 8 MiB.
const BODIES: usize = 8;
const BODY_KEPT: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_filled_again_once_its_messages_are_gone() {
        let mut buffers = Buffers::default();
        let first = buffers.chunk().as_ptr();
        let run = buffers.chunk().split_to(CHUNK - 1).freeze();
        let second = buffers.chunk().as_ptr();
        assert_ne!(first, second, "still held by the run");

        drop(run);
        let _rest = buffers.chunk().split_to(CHUNK - 1);
        drop(_rest);

        assert_eq!(buffers.chunk().as_ptr(), first);
    }

    #[test]
    fn a_body_is_filled_again_once_it_is_dropped() {
        let mut buffers = Buffers::default();
        let body = buffers.body(60_000).freeze();
        let first = body.as_ptr();
        buffers.keep(&body);
        assert_ne!(buffers.body(60_000).as_ptr(), first, "still held");

        drop(body);

        let again = buffers.body(50_000);
        assert_eq!((again.as_ptr(), again.len()), (first, 50_000));
    }

    #[test]
    fn an_announced_gigabyte_reserves_one_chunk() {
        let mut buffers = Buffers::default();
        let mut body = buffers.body(1 << 30);
        assert_eq!(body.len(), CHUNK);
        Buffers::grow(&mut body, 1 << 30);
        assert_eq!(body.len(), 2 * CHUNK);
    }
}

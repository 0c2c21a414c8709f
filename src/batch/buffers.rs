//! The memory that received bytes land in, used by all connections of a loop in turn.
//!
//! A chunk is filled by a read, whole messages are split off its front and handed on, and the handle that remains waits
//! in a ring until the last of those messages is gone: then the same memory is filled again. Bodies too large for a
//! chunk have buffers of their own, recycled in the same way.

use super::frame::MAX_HEADER;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Chunks, and buffers for large bodies. An idle connection owns none of them.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    chunk: BytesMut,
    /// Empty handles of spent chunks, oldest first; at most [`RING`].
    spent: VecDeque<BytesMut>,
    /// Second handles of bodies that were handed on, oldest first; together at most [`BODIES_BYTES`].
    bodies: VecDeque<Kept>,
    /// Their capacities together.
    bodies_bytes: usize,
}

impl Buffers {
    /// Where the next read goes: at least half a chunk of initialised bytes.
    pub(crate) fn chunk(&mut self) -> &mut BytesMut {
        self.chunk_of(CHUNK / 2)
    }

    /// Where a read goes that must not be cut short: all of a chunk.
    pub(crate) fn whole_chunk(&mut self) -> &mut BytesMut {
        self.chunk_of(CHUNK)
    }

    fn chunk_of(&mut self, least: usize) -> &mut BytesMut {
        if self.chunk.len() < least {
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

    /// A buffer for `total` bytes, initialised: one that was filled before, or the beginning of a new one. What is only
    /// announced is not reserved: [`Buffers::grow`] makes it longer once it is full.
    pub(crate) fn body(&mut self, total: usize) -> BytesMut {
        for _ in 0..self.bodies.len().min(LOOKS) {
            let Some(kept) = self.bodies.pop_front() else { break };
            let fits = kept.capacity >= total && kept.capacity / 4 <= total;
            if !fits {
                self.bodies.push_back(kept);
                continue;
            }
            match kept.body.try_into_mut() {
                Ok(mut free) => {
                    self.bodies_bytes -= kept.capacity;
                    free.resize(total, 0);
                    return free;
                }
                Err(body) => self.bodies.push_back(Kept { body, ..kept }),
            }
        }
        BytesMut::zeroed(total.min(FIRST_BODY))
    }

    /// Doubles a full body buffer, up to `total`: memory follows what has come.
    pub(crate) fn grow(body: &mut BytesMut, total: usize) {
        let len = body.len().saturating_mul(2).max(FIRST_BODY).min(total);
        body.resize(len, 0);
    }

    /// Hands a body on, and remembers it, to fill its memory again when it is dropped.
    pub(crate) fn hand_on(&mut self, body: BytesMut) -> Bytes {
        let capacity = body.capacity();
        let body = body.freeze();
        if capacity <= BODIES_BYTES {
            while self.bodies_bytes > BODIES_BYTES - capacity
                && let Some(oldest) = self.bodies.pop_front()
            {
                self.bodies_bytes -= oldest.capacity;
            }
            self.bodies_bytes += capacity;
            self.bodies.push_back(Kept {
                body: body.clone(),
                capacity,
            });
        }
        body
    }
}

/// The second handle of a body.
#[derive(Debug)]
struct Kept {
    body: Bytes,
    /// Of its memory; the body may be shorter.
    capacity: usize,
}

/// Bytes of a chunk, and of the largest read into one.
pub(crate) const CHUNK: usize = 64 * 1024;
/// Spent chunks that wait to be free: 2 MiB.
const RING: usize = 32;
/// Bytes of the body buffers that wait to be free.
const BODIES_BYTES: usize = 8 * 1024 * 1024;
/// So many of them are looked at before there is a new one: where a receiver falls behind, none is free.
const LOOKS: usize = 8;
/// What is taken at once for a body that was announced: a chunk's worth, and the header behind it.
pub(crate) const FIRST_BODY: usize = CHUNK + MAX_HEADER;

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
        let body = buffers.body(60_000);
        let body = buffers.hand_on(body);
        let first = body.as_ptr();
        assert_ne!(buffers.body(60_000).as_ptr(), first, "still held");

        drop(body);

        let mut shorter = buffers.body(50_000);
        assert_eq!((shorter.as_ptr(), shorter.len()), (first, 50_000));
        shorter.truncate(40_000);
        drop(buffers.hand_on(shorter));
        let longer = buffers.body(60_000);
        assert_eq!((longer.as_ptr(), longer.len()), (first, 60_000), "it kept its size");
    }

    #[test]
    fn bodies_are_remembered_up_to_their_bytes_together() {
        for size in [100_000, 1 << 20, BODIES_BYTES, BODIES_BYTES + 1] {
            let mut buffers = Buffers::default();
            let handed_on: Vec<_> = (0..200).map(|_| buffers.hand_on(BytesMut::zeroed(size))).collect();
            assert_eq!(buffers.bodies.len(), (BODIES_BYTES / size).min(200));
            drop(handed_on);
            let mut taken = Vec::new();
            while !buffers.bodies.is_empty() {
                taken.push(buffers.body(size));
            }
            assert_eq!(buffers.bodies_bytes, 0);
        }
    }

    #[test]
    fn an_announced_gigabyte_reserves_one_chunk() {
        let mut buffers = Buffers::default();
        let mut body = buffers.body(1 << 30);
        assert_eq!(body.len(), FIRST_BODY);
        Buffers::grow(&mut body, 1 << 30);
        assert_eq!(body.len(), 2 * FIRST_BODY);
    }
}

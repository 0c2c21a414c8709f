//! The memory that received bytes land in, used by all connections of a loop in turn.
//!
//! A chunk is filled by reads, what each brought is taken off its front and handed on, and a second handle waits in a ring
//! until the last of that is gone: then the same memory is filled again. Bodies too large for a
//! chunk have buffers of their own, recycled in the same way.

use super::frame::MAX_HEADER;
use crate::message::Message;
use crate::sync::{AtomicUsize, Ordering};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;

/// Chunks, and buffers for large bodies. An idle connection owns none of them.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// What is left of the chunk in use: at least half of one, or nothing.
    chunk: BytesMut,
    /// The first piece that was taken of it.
    first: Option<Bytes>,
    /// Second handles of the first pieces of spent chunks, oldest first. Those behind the first that is held are not
    /// looked at.
    spent: VecDeque<Bytes>,
    /// Chunks that nobody holds any more. The last to become free is filled next: it may still be in the processor's cache.
    /// Together with `spent` at most [`RING`].
    free: Vec<BytesMut>,
    /// Second handles of bodies that were handed on, oldest first; together at most [`BODIES_BYTES`].
    bodies: VecDeque<Kept>,
    /// Their capacities together.
    bodies_bytes: usize,
    /// Of those that were given again, the capacities of all that are not whole yet; at most [`MOST_LENT`].
    lent: Arc<AtomicUsize>,
}

/// Memory that was given for what is only announced: until it is whole, or nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Loan {
    lent: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.lent.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Buffers {
    /// Where the next read goes: at least half a chunk, which the largest datagram fits in. [`Buffers::take`] takes what it
    /// brought.
    pub(crate) fn chunk(&mut self) -> &mut [u8] {
        if self.chunk.is_empty() {
            self.chunk = self.next_chunk();
        }
        &mut self.chunk
    }

    /// Takes the first `n` bytes of the chunk.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        if self.chunk.len().saturating_sub(n) < CHUNK / 2 {
            return self.take_last(n);
        }
        let taken = self.chunk.split_to(n).freeze();
        self.first.get_or_insert_with(|| taken.clone());
        taken
    }

    /// The last that is taken of a chunk. A handle waits in the ring until all of it is free: of the first piece, because
    /// where that ends the bytes begin that have to be zeroed again. Of a chunk that was filled at once there are none.
    fn take_last(&mut self, n: usize) -> Bytes {
        let mut rest = std::mem::take(&mut self.chunk).freeze();
        let first = self.first.take().unwrap_or_else(|| rest.clone());
        self.spent.push_back(first);
        rest.truncate(n);
        rest
    }

    fn next_chunk(&mut self) -> BytesMut {
        while let Some(oldest) = self.spent.pop_front() {
            match oldest.try_into_mut() {
                Ok(free) => self.free.push(free),
                Err(held) => {
                    self.spent.push_front(held);
                    break;
                }
            }
        }
        if let Some(mut free) = self.free.pop() {
            free.resize(CHUNK, 0);
            return free;
        }
        if self.spent.len() >= RING {
            self.spent.pop_front();
        }
        BytesMut::zeroed(CHUNK)
    }

    /// A buffer for `total` bytes, initialised: one that was filled before, or the beginning of a new one. What is only
    /// announced is not reserved: [`Buffers::grow`] makes it longer once it is full. Of those that were filled before not
    /// many are given until they are whole again: who announces much and sends nothing would have them all.
    pub(crate) fn body(&mut self, total: usize) -> (BytesMut, Option<Loan>) {
        let lent = self.lent.load(Ordering::Relaxed);
        for _ in 0..self.bodies.len().min(LOOKS) {
            let Some(kept) = self.bodies.pop_front() else { break };
            let may_be_lent = lent.saturating_add(kept.capacity) <= MOST_LENT;
            let fits = kept.capacity >= total && kept.capacity / 4 <= total && may_be_lent;
            if !fits {
                self.bodies.push_back(kept);
                continue;
            }
            match kept.body.try_into_mut() {
                Ok(mut free) => {
                    self.bodies_bytes -= kept.capacity;
                    free.resize(total, 0);
                    self.lent.fetch_add(kept.capacity, Ordering::Relaxed);
                    let loan = Loan {
                        lent: Arc::clone(&self.lent),
                        bytes: kept.capacity,
                    };
                    return (free, Some(loan));
                }
                Err(body) => self.bodies.push_back(Kept { body, ..kept }),
            }
        }
        (BytesMut::zeroed(total.min(FIRST_BODY)), None)
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

/// What is to be kept of a message until a newer one replaces it: of a few bytes a copy, since they may have come in a chunk
/// that others have done with.
pub(crate) fn to_keep(message: &Message) -> Message {
    if message.byte_count() < FEW {
        message.detach()
    } else {
        message.clone()
    }
}

/// The second handle of a body.
#[derive(Debug)]
struct Kept {
    body: Bytes,
    /// Of its memory; the body may be shorter.
    capacity: usize,
}

/// Bytes of a chunk, and of the largest read into one. The kernel answers each read of a full stream with leave for its
/// peer to go on, and the reading thread pays for that: half as large, a message of 1 KiB costs a seventh more.
pub(crate) const CHUNK: usize = 256 * 1024;
/// Fewer bytes than this are copied out of the chunk that they came in: it is 16 times as large.
pub(crate) const FEW: usize = CHUNK / 16;
/// Chunks that are remembered: 8 MiB.
const RING: usize = 32;
/// Bytes of the body buffers that wait to be free.
const BODIES_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of those that are lent to bodies which are not whole: as many as four of the largest.
const MOST_LENT: usize = 4 * BODIES_BYTES;
/// So many of them are looked at before there is a new one: where a receiver falls behind, none is free.
const LOOKS: usize = 8;
/// What is taken at once for a body that was announced, and the header behind it.
pub(crate) const FIRST_BODY: usize = 64 * 1024 + MAX_HEADER;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    impl Buffers {
        fn known(&self) -> usize {
            self.spent.len() + self.free.len()
        }
    }

    #[test]
    fn a_chunk_is_filled_again_once_its_messages_are_gone() {
        for pieces in [&[CHUNK][..], &[CHUNK - 1], &[100, 200, CHUNK - 300], &[100, CHUNK / 2]] {
            let mut buffers = Buffers::default();
            let first = buffers.chunk().as_ptr();
            let taken: Vec<Bytes> = pieces.iter().map(|&n| take(&mut buffers, n)).collect();
            let second = take(&mut buffers, CHUNK);
            assert_ne!(second.as_ptr(), first, "still held");

            drop(taken);

            let third = take(&mut buffers, CHUNK);
            assert_eq!((third.as_ptr(), third.len()), (first, CHUNK));
            assert_eq!(buffers.known(), 2);
        }
    }

    #[test]
    fn the_chunk_that_became_free_last_is_filled_next() {
        let mut buffers = Buffers::default();
        let held: Vec<Bytes> = (0..RING).map(|_| take(&mut buffers, CHUNK)).collect();
        let last = held.last().map(|chunk| chunk.as_ptr());
        drop(held);

        for _ in 0..10 {
            assert_eq!(Some(take(&mut buffers, CHUNK).as_ptr()), last);
        }
    }

    #[test]
    fn so_many_chunks_are_remembered_and_no_more() {
        let mut buffers = Buffers::default();
        for held in [1, RING, 3 * RING, 2, 2 * RING] {
            let held: Vec<Bytes> = (0..held).map(|_| take(&mut buffers, CHUNK)).collect();
            assert!(buffers.known() <= RING + 1);
            drop(held);
        }
    }

    fn take(buffers: &mut Buffers, n: usize) -> Bytes {
        assert!(n <= buffers.chunk().len());
        buffers.take(n)
    }

    #[test]
    fn a_read_has_at_least_half_a_chunk_which_the_largest_datagram_fits_in() {
        let mut buffers = Buffers::default();
        let mut held = Vec::new();
        for n in 0..1000 {
            assert!(buffers.chunk().len() >= CHUNK / 2);
            assert!(buffers.chunk().len() > usize::from(u16::MAX));
            held.push(take(&mut buffers, n));
        }
    }

    #[test]
    fn a_body_is_filled_again_once_it_is_dropped() {
        let mut buffers = Buffers::default();
        let (body, _) = buffers.body(60_000);
        let body = buffers.hand_on(body);
        let first = body.as_ptr();
        assert_ne!(buffers.body(60_000).0.as_ptr(), first, "still held");

        drop(body);

        let (mut shorter, _) = buffers.body(50_000);
        assert_eq!((shorter.as_ptr(), shorter.len()), (first, 50_000));
        shorter.truncate(40_000);
        drop(buffers.hand_on(shorter));
        let (longer, _) = buffers.body(60_000);
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

    /// T2: beside an honest flow of large bodies, whose memory waits here to be filled again.
    #[test]
    fn threat_02_those_who_only_announce_do_not_get_all_that_was_filled_before() {
        let mut buffers = Buffers::default();
        let sizes = [BODIES_BYTES, 1 << 20, BODIES_BYTES / 3];
        let mut announced = Vec::new();
        for n in 0..1_000 {
            let size = sizes[n % sizes.len()];
            drop(buffers.hand_on(BytesMut::zeroed(size)));
            announced.push(buffers.body(size));
        }
        let held: usize = announced.iter().map(|(body, _)| body.len()).sum();
        assert!(held <= MOST_LENT + announced.len() * FIRST_BODY, "{held}");

        announced.clear();
        drop(buffers.hand_on(BytesMut::zeroed(1 << 20)));
        assert_eq!(buffers.body(1 << 20).0.len(), 1 << 20, "they have gone");
    }

    #[test]
    fn an_announced_gigabyte_reserves_64_kib() {
        let mut buffers = Buffers::default();
        let (mut body, _) = buffers.body(1 << 30);
        assert_eq!(body.len(), FIRST_BODY);
        Buffers::grow(&mut body, 1 << 30);
        assert_eq!(body.len(), 2 * FIRST_BODY);
    }
}

//! The memory that received bytes land in, used by all connections of a loop in turn.
//!
//! A read lands in a chunk that is not much larger than what it may bring: what it does not fill is memory all the same. Bodies
//! too large for a chunk have buffers of their own, recycled in the same way.

use super::chunks::Chunks;
use super::frame::MAX_HEADER;
use crate::message::Message;
use crate::sync::{AtomicUsize, Ordering};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;

/// Chunks, and buffers for large bodies. An idle connection owns none of them.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// The smaller ones, the smallest first; each size is twice the one before.
    smaller: [Chunks; SIZES - 1],
    largest: Chunks,
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

impl Default for Buffers {
    fn default() -> Self {
        Buffers {
            smaller: std::array::from_fn(|at| Chunks::new(CHUNK >> (SIZES - 1 - at))),
            largest: Chunks::new(CHUNK),
            bodies: VecDeque::new(),
            bodies_bytes: 0,
            lent: Arc::default(),
        }
    }
}

impl Buffers {
    /// Those for reads that may bring so many bytes. Of the largest, half a chunk has room for the largest datagram.
    pub(crate) fn chunks(&mut self, wanted: usize) -> &mut Chunks {
        let smaller = self.smaller.iter_mut().find(|chunks| chunks.size >= wanted);
        smaller.unwrap_or(&mut self.largest)
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

/// Bytes of the largest chunk, and of the largest read. The kernel answers each read of a full stream with leave for its
/// peer to go on, and the reading thread pays for that: half as large, a message of 1 KiB costs a seventh more.
pub(crate) const CHUNK: usize = 256 * 1024;
/// Fewer bytes than this are copied out of the chunk that they came in: it may be 16 times as large.
pub(crate) const FEW: usize = CHUNK / 16;
/// So many sizes of chunks there are.
const SIZES: usize = 5;
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

    #[test]
    fn a_read_lands_in_a_chunk_that_has_room_for_it_and_is_not_much_larger() {
        let mut buffers = Buffers::default();
        for wanted in [
            0,
            1,
            16 * 1024,
            16 * 1024 + 1,
            70_000,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            usize::MAX,
        ] {
            let len = buffers.chunks(wanted).room().len();
            assert!(
                len >= wanted.min(CHUNK) && len < wanted.saturating_mul(2).max(CHUNK / 16 + 1),
                "{wanted}: {len}"
            );
        }
        drop(buffers.chunks(CHUNK).take(CHUNK / 4 - 1));
        assert!(
            buffers.chunks(CHUNK).room().len() > usize::from(u16::MAX),
            "the largest datagram"
        );
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

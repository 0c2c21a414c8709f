//! The memory of reads, one size of it: filled, handed on, and filled again once nobody holds what it brought.
//!
//! A read that brings much is handed on with its whole chunk, so that the same memory can be filled again as soon as that is
//! received, and is still near the processor. Small reads share a chunk, each taken off its front.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Chunks of one size.
#[derive(Debug)]
pub(crate) struct Chunks {
    pub(super) size: usize,
    /// What is left of the chunk in use: at least half of one, or nothing.
    chunk: BytesMut,
    /// The first piece that was taken of it.
    first: Option<Bytes>,
    /// Second handles of spent chunks, oldest first: of all of it, or of the first piece that was taken. Those behind the
    /// first that is held are not looked at.
    spent: VecDeque<Bytes>,
    /// Chunks that nobody holds any more. The last to become free is filled next: it may still be in the processor's cache.
    /// Together with `spent` at most [`RING`].
    free: Vec<BytesMut>,
}

impl Chunks {
    pub(super) fn new(size: usize) -> Self {
        Chunks {
            size,
            chunk: BytesMut::new(),
            first: None,
            spent: VecDeque::new(),
            free: Vec::new(),
        }
    }

    /// Where the next read goes: at least half a chunk. [`Chunks::take`] takes what it brought.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.chunk.is_empty() {
            self.chunk = self.next_chunk();
        }
        &mut self.chunk
    }

    /// Takes the first `n` bytes of that room.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        let left = self.chunk.len().saturating_sub(n);
        if n >= self.size / MUCH || left < self.size / 2 {
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
            free.resize(self.size, 0);
            return free;
        }
        if self.spent.len() >= RING {
            self.spent.pop_front();
        }
        BytesMut::zeroed(self.size)
    }
}

/// A read that fills this part of a chunk is handed on with all of it: what a chunk brought is at least so large a part of it.
const MUCH: usize = 4;
/// Chunks of one size that are remembered: 8 MiB of the largest, and half as much of each that is half as large.
const RING: usize = 32;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SIZE: usize = 64 * 1024;

    impl Chunks {
        fn known(&self) -> usize {
            self.spent.len() + self.free.len()
        }

        /// A read of so many bytes.
        fn read(&mut self, n: usize) -> Bytes {
            assert!(n <= self.room().len());
            self.take(n)
        }
    }

    #[test]
    fn a_chunk_is_filled_again_once_its_messages_are_gone() {
        for pieces in [
            &[SIZE][..],
            &[SIZE - 1],
            &[SIZE / MUCH],
            &[100, 200, SIZE - 300],
            &[100, SIZE / 2],
        ] {
            let mut chunks = Chunks::new(SIZE);
            let first = chunks.room().as_ptr();
            let taken: Vec<Bytes> = pieces.iter().map(|&n| chunks.read(n)).collect();
            let second = chunks.read(SIZE);
            assert_ne!(second.as_ptr(), first, "still held");

            drop(taken);

            let third = chunks.read(SIZE);
            assert_eq!((third.as_ptr(), third.len()), (first, SIZE));
            assert_eq!(chunks.known(), 2);
        }
    }

    #[test]
    fn who_takes_what_came_before_the_next_read_has_one_chunk_for_all() {
        let mut chunks = Chunks::new(SIZE);
        let place = chunks.room().as_ptr();
        for n in (SIZE / MUCH..=SIZE).step_by(997) {
            assert_eq!(chunks.read(n).as_ptr(), place);
        }
        assert_eq!(chunks.known(), 1);
    }

    #[test]
    fn what_a_chunk_brought_is_at_least_a_quarter_of_it() {
        for n in [1, 100, SIZE / MUCH - 1, SIZE / MUCH, SIZE / 2, SIZE] {
            let mut chunks = Chunks::new(SIZE);
            let held: Vec<Bytes> = (0..RING).map(|_| chunks.read(n)).collect();
            let places: std::collections::HashSet<_> = held.iter().map(|bytes| bytes.as_ptr() as usize).collect();
            assert_eq!(places.len(), RING, "nothing is written over");
            let spent = chunks.known() * SIZE;
            assert!(spent <= RING * n * MUCH, "{n}: {spent}");
        }
    }

    #[test]
    fn the_chunk_that_became_free_last_is_filled_next() {
        let mut chunks = Chunks::new(SIZE);
        let held: Vec<Bytes> = (0..RING).map(|_| chunks.read(SIZE)).collect();
        let last = held.last().map(|chunk| chunk.as_ptr());
        drop(held);

        for _ in 0..10 {
            assert_eq!(Some(chunks.read(SIZE).as_ptr()), last);
        }
    }

    #[test]
    fn so_many_chunks_are_remembered_and_no_more() {
        let mut chunks = Chunks::new(SIZE);
        for held in [1, RING, 3 * RING, 2, 2 * RING] {
            let held: Vec<Bytes> = (0..held).map(|_| chunks.read(SIZE)).collect();
            assert!(chunks.known() <= RING + 1);
            drop(held);
        }
    }

    #[test]
    fn a_read_has_at_least_half_a_chunk() {
        let mut chunks = Chunks::new(SIZE);
        let mut held = Vec::new();
        for n in 0..1000 {
            assert!(chunks.room().len() >= SIZE / 2);
            held.push(chunks.read(n));
        }
    }
}

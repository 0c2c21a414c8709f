//! The buffers that batches of one way travel in: each comes back when the last of its messages is dropped.
//!
//! Its lock is a leaf. Whoever drops a message takes it, also under the lock of a hub, and does not wait for it: in a forked
//! child its holder may be gone, and a buffer that is freed is no loss.

use crate::routing::LARGEST_SPARE;
use crate::sync::SpinMutex;
use bytes::Bytes;
use std::sync::Arc;

/// Buffers to pack into. What is lent when this is dropped does not come back.
#[derive(Default)]
pub(super) struct Buffers(Arc<SpinMutex<Free>>);

#[derive(Default)]
struct Free {
    /// Which came back; the last is the nearest to the processor. At most `most`, the others are freed.
    buffers: Vec<Vec<u8>>,
    most: usize,
}

impl Buffers {
    /// Makes it bytes that can be shared.
    pub(super) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        self.0.lock().most = OF_A_STREAM;
        let home = Arc::clone(&self.0);
        Bytes::from_owner(Lent { buffer, home })
    }

    /// One that came back, or none.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().buffers.pop().unwrap_or_default()
    }

    /// All is moved: there may be no more for long. What a stream needs whose receiver keeps up is left, of those that are
    /// here and those that come back later.
    pub(super) fn rest(&self) {
        let freed = self.0.lock().keep(OF_WHO_RESTS);
        drop(freed);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // Where that is in vain, they go with the last that is lent.
        let freed = self.0.try_lock().map(|mut free| free.keep(0));
        drop(freed);
    }
}

impl Free {
    /// From now on at most so many: gives the others, to be freed without the lock.
    fn keep(&mut self, most: usize) -> Vec<Vec<u8>> {
        self.most = most;
        let too_many = self.buffers.len().saturating_sub(most);
        self.buffers.drain(..too_many).collect()
    }
}

/// A buffer on its way.
struct Lent {
    buffer: Vec<u8>,
    home: Arc<SpinMutex<Free>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.buffer.capacity() <= LARGEST_SPARE
            && let Some(mut free) = self.home.try_lock()
            && free.buffers.len() < free.most
        {
            free.buffers.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// Enough for most of a thousand messages of 8 KiB on their way: 8 MiB.
const OF_A_STREAM: usize = 32;
/// Enough for who sends some hundred messages of 4 KiB and then receives them, in turn. A way that has streamed keeps as many
/// as it had on its way at once, at most these: 2 MiB, and of messages under 100 bytes half a MiB. (With 4 that took three
/// times as long.)
const OF_WHO_RESTS: usize = 8;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn buffer() -> Vec<u8> {
        vec![7; 100]
    }

    #[test]
    fn a_buffer_comes_back_when_the_last_of_it_is_dropped() {
        let buffers = Buffers::default();
        let buffer = buffer();
        let place = buffer.as_ptr();
        let (first, second) = {
            let all = buffers.lend(buffer);
            (all.slice(..10), all.slice(90..))
        };
        assert_eq!((&first[..], &second[..]), (&[7; 10][..], &[7; 10][..]));

        drop(first);
        assert_eq!(buffers.take().capacity(), 0);
        drop(second);

        let back = buffers.take();
        assert_eq!((back.as_ptr(), back.capacity()), (place, 100));
        assert_eq!(buffers.take().capacity(), 0);
    }

    #[test]
    fn who_rests_keeps_few_also_of_those_that_come_back_later() {
        let buffers = Buffers::default();
        let count = || std::iter::from_fn(|| Some(buffers.take()).filter(|buffer| buffer.capacity() > 0)).count();
        let mut lent: Vec<_> = (0..OF_A_STREAM).map(|_| buffers.lend(buffer())).collect();
        lent.truncate(OF_A_STREAM / 2);
        buffers.rest();
        drop(lent);
        assert_eq!(count(), OF_WHO_RESTS);

        let lent: Vec<_> = (0..2 * OF_A_STREAM).map(|_| buffers.lend(buffer())).collect();
        drop(lent);
        assert_eq!(count(), OF_A_STREAM);
    }

    #[test]
    fn the_last_that_came_back_are_kept_and_taken_first() {
        let buffers = Buffers::default();
        let lent: Vec<_> = (1..=10).map(|size| buffers.lend(vec![7; size])).collect();
        lent.into_iter().for_each(drop);
        buffers.rest();
        let sizes: Vec<_> = (0..=OF_WHO_RESTS).map(|_| buffers.take().len()).collect();
        assert_eq!(sizes, [10, 9, 8, 7, 6, 5, 4, 3, 0]);
    }

    #[test]
    fn one_that_is_larger_than_any_stream_needs_does_not_come_back() {
        let buffers = Buffers::default();
        drop(buffers.lend(Vec::with_capacity(LARGEST_SPARE + 1)));
        assert_eq!(buffers.take().capacity(), 0);
        drop(buffers.lend(Vec::with_capacity(LARGEST_SPARE)));
        assert_eq!(buffers.take().capacity(), LARGEST_SPARE);
    }

    #[test]
    fn who_rests_while_somebody_gives_one_back_keeps_few_too() {
        let buffers = Buffers::default();
        drop(buffers.lend(buffer()));
        let home = Arc::clone(&buffers.0);
        std::thread::scope(|scope| {
            let held = home.lock();
            let rests = scope.spawn(|| buffers.rest());
            let looks = (0..10_000).take_while(|_| !rests.is_finished());
            looks.for_each(|_| std::thread::yield_now());
            drop(held);
        });
        assert_eq!(home.lock().most, OF_WHO_RESTS);
    }

    #[test]
    fn nothing_comes_back_to_who_is_gone() {
        let buffers = Buffers::default();
        let home = Arc::clone(&buffers.0);
        let lent = [buffers.lend(buffer()), buffers.lend(buffer())];
        let [first, second] = lent;
        drop(first);

        drop(buffers);
        drop(second);

        assert!(home.lock().buffers.is_empty());
    }
}

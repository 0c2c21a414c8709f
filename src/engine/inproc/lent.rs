//! The buffers that batches of one way travel in: each comes back when the last of its messages is dropped.

use crate::sync::Mutex;
use bytes::Bytes;
use std::sync::Arc;

/// Buffers to pack into. What is lent when this is dropped does not come back.
#[derive(Default)]
pub(super) struct Buffers(Arc<Mutex<Free>>);

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

    /// All is moved: there may be no more for long. What a stream needs whose receiver keeps up is left.
    pub(super) fn rest(&self) {
        self.keep(OF_WHO_RESTS);
    }

    fn keep(&self, most: usize) {
        let mut free = self.0.lock();
        free.most = most;
        let kept = free.buffers.len().min(most);
        let freed = free.buffers.split_off(kept);
        drop(free);
        drop(freed);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        self.keep(0);
    }
}

/// A buffer on its way.
struct Lent {
    buffer: Vec<u8>,
    home: Arc<Mutex<Free>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Whoever drops the last of it may hold a lock of ours, so this one is not waited for.
        if let Some(mut free) = self.home.try_lock()
            && free.buffers.len() < free.most
        {
            free.buffers.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// Enough for a thousand messages of 8 KiB on their way, in buffers of 256 KiB.
const OF_A_STREAM: usize = 32;
const OF_WHO_RESTS: usize = 1;

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
    fn who_rests_keeps_one_also_of_those_that_come_back_later() {
        let buffers = Buffers::default();
        let count = || std::iter::from_fn(|| Some(buffers.take()).filter(|buffer| buffer.capacity() > 0)).count();
        let mut lent: Vec<_> = (0..10).map(|_| buffers.lend(buffer())).collect();
        lent.truncate(5);
        buffers.rest();
        drop(lent);
        assert_eq!(count(), OF_WHO_RESTS);

        let lent: Vec<_> = (0..2 * OF_A_STREAM).map(|_| buffers.lend(buffer())).collect();
        drop(lent);
        assert_eq!(count(), OF_A_STREAM);
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

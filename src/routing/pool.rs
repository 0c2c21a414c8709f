//! What all queues of a context may hold together.
//!
//! Whatever its marks allow, a queue takes nothing more once it holds as much as the pool has left. So one queue alone gets
//! half of the pool, `n` full ones get an equal part of `n + 1`, and a part is left for the next: who fills his queue does not
//! fill the others' (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM
//! Transactions on Networking 6, 1998). An empty queue takes one message always: nobody waits for what others hold, and who
//! empties a queue makes room in it.

use crate::options::Mark;
use crate::sync::{AtomicUsize, Ordering};
use std::sync::Arc;

/// What there is for all.
#[derive(Debug)]
pub(crate) struct Pool {
    limit: usize,
    /// What all queues hold, in their weight.
    held: AtomicUsize,
}

/// A queue's part of it; none, where there is no limit. What it holds is given back with it.
#[derive(Debug, Default)]
pub(super) struct Share(Option<Part>);

#[derive(Debug)]
struct Part {
    pool: Arc<Pool>,
    held: usize,
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Self {
        Pool {
            limit,
            held: AtomicUsize::new(0),
        }
    }

    /// Whether all hold no more than there is, but for one message each, of at most this weight.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_kept(self: &Arc<Self>, heaviest: usize) -> bool {
        self.held.load(Ordering::Relaxed) <= self.limit + Arc::strong_count(self) * heaviest
    }

    /// Whether nothing is held.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_whole(&self) -> bool {
        self.left() == self.limit
    }

    fn left(&self) -> usize {
        self.limit.saturating_sub(self.held.load(Ordering::Relaxed))
    }
}

impl Share {
    pub(super) fn of(pool: &Arc<Pool>) -> Self {
        Share(Some(Part {
            pool: Arc::clone(pool),
            held: 0,
        }))
    }

    /// Whether others share with it: what they hold may change its mark at any time.
    #[inline]
    pub(super) fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// The queue weighs this much now.
    #[inline]
    pub(super) fn hold(&mut self, weight: usize) {
        if let Some(part) = &mut self.0 {
            part.hold(weight);
        }
    }

    /// The mark up to which the queue may be filled now. At least one byte: an empty one is not full.
    #[inline]
    pub(super) fn within(&self, mark: Mark) -> Mark {
        match &self.0 {
            None => mark,
            Some(part) => Mark {
                bytes: mark.bytes.min(part.pool.left()).max(1),
                ..mark
            },
        }
    }
}

impl Part {
    fn hold(&mut self, weight: usize) {
        // Wraps, as what it adds may be less than nothing.
        let more = weight.wrapping_sub(std::mem::replace(&mut self.held, weight));
        self.pool.held.fetch_add(more, Ordering::Relaxed);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const NONE: Mark = Mark {
        messages: usize::MAX,
        bytes: usize::MAX,
    };

    /// A byte at a time, as long as it may.
    fn fill(share: &mut Share) -> usize {
        while grow(share) {}
        held(share)
    }

    fn grow(share: &mut Share) -> bool {
        let has_room = held(share) < share.within(NONE).bytes;
        if has_room {
            share.hold(held(share) + 1);
        }
        has_room
    }

    fn held(share: &Share) -> usize {
        share.0.as_ref().map_or(0, |part| part.held)
    }

    #[test]
    fn who_comes_gets_a_part_of_what_is_left_and_never_nothing() {
        let pool = Arc::new(Pool::new(1_000));
        let mut shares: Vec<Share> = Vec::new();
        let mut parts = Vec::new();
        for _ in 0..12 {
            shares.push(Share::of(&pool));
            parts.push(fill(shares.last_mut().unwrap()));
        }
        assert_eq!(parts, [500, 250, 125, 63, 31, 16, 8, 4, 2, 1, 1, 1]);
        assert_eq!(pool.left(), 0, "those that come then have a byte each, over the limit");

        shares.truncate(1);
        assert_eq!(pool.left(), 500);
        shares[0].hold(100);
        shares.push(Share::of(&pool));
        assert_eq!(fill(&mut shares[1]), 450);
        drop(shares);
        assert_eq!(pool.left(), 1_000);
    }

    #[test]
    fn those_that_are_filled_together_get_equal_parts() {
        let pool = Arc::new(Pool::new(1_000));
        let mut shares: Vec<Share> = (0..4).map(|_| Share::of(&pool)).collect();
        for _ in 0..1_000 {
            for share in &mut shares {
                grow(share);
            }
        }
        assert!(shares.iter().all(|share| held(share) == 200), "{shares:?}");
    }

    #[test]
    fn a_mark_that_is_lower_stands() {
        let share = Share::of(&Arc::new(Pool::new(1_000)));
        let mark = Mark { messages: 3, bytes: 10 };
        assert_eq!(share.within(mark), mark);
    }
}

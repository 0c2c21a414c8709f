//! How often something may happen: a token bucket.
//!
//! Kept as the one moment at which the bucket will be full again (the generic cell rate algorithm of ATM): nothing is to be
//! done as time goes by, nothing is rounded, and when the next token comes is known.

use std::time::{Duration, Instant};

/// Tokens, of which so many come in a second, and so many are kept at most. Full at first.
#[derive(Debug)]
pub(super) struct Bucket {
    /// From one token to the next.
    interval: Duration,
    /// How far ahead of now `full_at` may be for a token to be left.
    slack: Duration,
    /// `None`: it is full.
    full_at: Option<Instant>,
}

impl Bucket {
    /// Both at least 1.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Bucket {
            interval,
            slack: interval.saturating_mul(burst.max(1) - 1),
            full_at: None,
        }
    }

    /// When there is a token: at the earliest now.
    pub(super) fn next(&self, now: Instant) -> Instant {
        self.full_at
            .and_then(|full| full.checked_sub(self.slack))
            .map_or(now, |next| next.max(now))
    }

    /// Takes a token. `false`: there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.next(now) > now {
            return false;
        }
        let from = self.full_at.map_or(now, |full| full.max(now));
        self.full_at = from.checked_add(self.interval);
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// How many can be taken at once.
    fn takes(bucket: &mut Bucket, now: Instant) -> usize {
        (0..1_000).take_while(|_| bucket.take(now)).count()
    }

    #[test]
    fn a_burst_is_taken_at_once_and_then_one_after_each_interval() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 5);
        assert_eq!(takes(&mut bucket, start), 5);
        assert_eq!(bucket.next(start), start + 100 * MS);

        for nth in 1..=20 {
            let due = start + nth * 100 * MS;
            assert_eq!(takes(&mut bucket, due - MS), 0, "{nth}");
            assert_eq!(takes(&mut bucket, due), 1, "{nth}");
        }
    }

    #[test]
    fn no_more_is_saved_than_a_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 5);
        takes(&mut bucket, start);

        assert_eq!(takes(&mut bucket, start + 250 * MS), 2);
        assert_eq!(takes(&mut bucket, start + 300 * MS), 1, "what was over is kept");
        assert_eq!(takes(&mut bucket, start + 800 * MS), 5);
        assert_eq!(takes(&mut bucket, start + 3_600_000 * MS), 5);
    }

    #[test]
    fn the_moment_it_names_is_the_first_with_a_token() {
        for (per_second, burst) in [(1, 1), (3, 2), (7, 1), (999, 50), (1_000_000_000, 1), (1, u32::MAX)] {
            let mut bucket = Bucket::new(per_second, burst);
            let mut now = Instant::now();
            for _ in 0..200 {
                now = bucket.next(now);
                assert!(bucket.take(now), "{per_second} {burst}");
                let next = bucket.next(now);
                assert!(next == now || !bucket.take(next - Duration::from_nanos(1)));
            }
        }
    }

    /// A clock that stands still, or is read late, gives nothing twice.
    #[test]
    fn time_that_does_not_pass_brings_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000, 3);
        assert_eq!(takes(&mut bucket, start + MS), 3);
        assert_eq!(takes(&mut bucket, start), 0);
        assert_eq!(takes(&mut bucket, start + MS), 0);
    }
}

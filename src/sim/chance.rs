//! All chance of a world: one seed, one sequence (SplitMix64).

use std::ops::Range;

/// A sequence of numbers that a seed decides.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of the range, which is not empty.
    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        range.start + (self.next() % (range.end - range.start) as u64) as usize
    }

    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.within(0..of.len())]
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}

/// Runs a test with many seeds, a quarter of them where nothing is optimised, and tells with how many; a failing one is
/// printed. `PEERMQ_SEED` replays that one alone, `PEERMQ_SEEDS=1000` runs so many of each test that has fewer.
pub(crate) fn with_seeds(count: u64, test: impl Fn(u64)) -> u64 {
    let number = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    if let Some(seed) = number("PEERMQ_SEED") {
        test(seed);
        return 1;
    }
    let count = if cfg!(debug_assertions) {
        count.div_ceil(4)
    } else {
        count
    };
    let count = number("PEERMQ_SEEDS").unwrap_or(0).max(count);
    for seed in 0..count {
        let printed = Printed(seed);
        test(seed);
        std::mem::forget(printed);
    }
    count
}

/// Dropped only by a panic: names the seed that led to it.
struct Printed(u64);

impl Drop for Printed {
    fn drop(&mut self) {
        eprintln!("failed with seed {0}: replay with PEERMQ_SEED={0}", self.0);
    }
}

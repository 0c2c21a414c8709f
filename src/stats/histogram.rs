//! How long things took, in powers of two.

use std::fmt;
use std::time::Duration;

/// Counts times by their size: each bucket reaches twice as far as the one before, from one nanosecond to minutes.
///
/// A copy, true at one moment; of a merged one the buckets are those of all. It needs no memory while it is empty.
///
/// ```
/// use peermq::{Context, Pull, Push};
///
/// let context = Context::new()?;
/// let (pull, push) = (Pull::new(&context), Push::new(&context));
/// push.connect(pull.bind("tcp://127.0.0.1:0")?)?;
/// push.send("hello")?;
/// pull.recv()?;
///
/// let waited = &pull.stats().incoming_residence;
/// assert_eq!(waited.count(), 1);
/// assert!(waited.percentile(99.0) >= waited.mean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Histogram(Option<Box<Counts>>);

#[derive(Clone, PartialEq, Eq)]
struct Counts {
    /// The first counts times up to 1 ns, each further one times up to twice as long; the last all that are longer.
    buckets: [u64; BUCKETS],
    /// All of them together, in nanoseconds.
    sum: u64,
}

impl Histogram {
    /// Returns how many times were counted.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |counts| counts.buckets.iter().sum())
    }

    /// Returns all of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.0.as_ref().map_or(0, |counts| counts.sum))
    }

    /// Returns the mean; `None` if nothing was counted.
    pub fn mean(&self) -> Option<Duration> {
        self.sum().as_nanos().checked_div(u128::from(self.count())).map(nanos)
    }

    /// Returns a time that so many in a hundred did not exceed: the end of the bucket in which it lies, so up to twice
    /// as long as it was. `None` if nothing was counted. Less than 0 counts as 0, more than 100 as 100.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let count = self.count();
        let rank = (percent.clamp(0.0, 100.0) / 100.0 * count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.buckets().find_map(|(end, count)| {
            seen += count;
            (seen >= rank && count > 0).then_some(end)
        })
    }

    /// Returns the buckets, shortest times first: the longest time that each holds, and how many it holds. The last one
    /// holds all that were longer than those before, and ends at [`Duration::MAX`].
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        (0..BUCKETS).map(|index| {
            let end = match index {
                LAST => Duration::MAX,
                _ => Duration::from_nanos(1 << index),
            };
            let count = self.0.as_ref().and_then(|counts| counts.buckets.get(index));
            (end, count.copied().unwrap_or(0))
        })
    }

    pub(crate) fn add(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let counts = self.0.get_or_insert_default();
        let index = (u64::BITS - nanos.saturating_sub(1).leading_zeros()) as usize;
        if let Some(count) = counts.buckets.get_mut(index.min(LAST)) {
            *count += 1;
        }
        counts.sum = counts.sum.saturating_add(nanos);
    }

    pub(crate) fn merge(&mut self, other: &Histogram) {
        let Some(theirs) = &other.0 else { return };
        let mine = self.0.get_or_insert_default();
        for (mine, theirs) in mine.buckets.iter_mut().zip(theirs.buckets) {
            *mine += theirs;
        }
        mine.sum = mine.sum.saturating_add(theirs.sum);
    }
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            buckets: [0; BUCKETS],
            sum: 0,
        }
    }
}

/// Median, 99th percentile and number: what people ask for first.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.percentile(50.0), self.percentile(99.0)) {
            (Some(half), Some(most)) => {
                write!(f, "half within {half:?}, 99 % within {most:?} ({} timed)", self.count())
            }
            _ => f.write_str("none timed"),
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filled = self.buckets().filter(|(_, count)| *count > 0);
        f.debug_map().entries(filled).finish()
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The last but one ends at 2^38 ns, which is four and a half minutes.
const BUCKETS: usize = 40;
const LAST: usize = BUCKETS - 1;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        times.iter().for_each(|&time| histogram.add(Duration::from_nanos(time)));
        histogram
    }

    /// Each bucket ends at a power of two, and the end belongs to it.
    #[test]
    fn a_time_stands_in_the_first_bucket_that_reaches_it() {
        for (time, end) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 4),
            (4, 4),
            (5, 8),
            (1024, 1024),
            (1025, 2048),
        ] {
            let held: Vec<_> = of(&[time]).buckets().filter(|(_, count)| *count > 0).collect();
            assert_eq!(held, [(Duration::from_nanos(end), 1)], "{time} ns");
        }
        for time in [1 << 38, (1 << 38) + 1, u64::MAX] {
            let histogram = of(&[time]);
            let (end, _) = histogram.buckets().find(|(_, count)| *count > 0).unwrap();
            assert_eq!(end == Duration::MAX, time > 1 << 38, "{time} ns");
        }
    }

    #[test]
    fn percentiles_are_ends_of_buckets_and_never_too_short() {
        let histogram = of(&[100; 90].iter().chain(&[10_000; 10]).copied().collect::<Vec<_>>());
        assert_eq!(histogram.percentile(50.0), Some(Duration::from_nanos(128)));
        assert_eq!(histogram.percentile(90.0), Some(Duration::from_nanos(128)));
        assert_eq!(histogram.percentile(90.1), Some(Duration::from_nanos(16_384)));
        assert_eq!(histogram.percentile(1e9), Some(Duration::from_nanos(16_384)));
        assert_eq!(histogram.percentile(-1.0), Some(Duration::from_nanos(128)));
        assert_eq!(histogram.mean(), Some(Duration::from_nanos(1_090)));
    }

    #[test]
    fn an_empty_one_has_no_middle_and_a_merged_one_has_all() {
        assert_eq!(
            (of(&[]).percentile(50.0), of(&[]).mean(), of(&[]).count()),
            (None, None, 0)
        );
        let mut all = of(&[]);
        all.merge(&of(&[]));
        assert_eq!(all, of(&[]), "nothing was reserved for nothing");
        all.merge(&of(&[5, 7]));
        all.merge(&of(&[900]));
        assert_eq!(all, of(&[5, 7, 900]));
    }
}

//! How much passes in a second: over the last second, the last ten, and the last minute.
//!
//! Two windows for each of the three lengths, the one that is filled and the one before it, are enough for a rate that
//! slides: of the window before, as much counts as the length still reaches into it. Whoever counts a batch says what
//! time it is; nobody has to come by while nothing passes.

use std::time::{Duration, Instant};

/// What passes in a second, averaged over three lengths of time.
///
/// Each is what passed within its length, divided by it: a burst counts fully until its length is over, and a meter that
/// is younger than its length has the rest of it as silence. Batches are counted when they are handed to the kernel or
/// come from it, so nobody has to ask in between for it to be right. What passed in the earlier part of a length is
/// taken as spread evenly over it: a steady rate is exact; of a burst, up to all may be forgotten or remembered one
/// length too early or too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Throughput {
    /// Over the last second.
    pub second: Rate,
    /// Over the last ten seconds.
    pub ten_seconds: Rate,
    /// Over the last minute.
    pub minute: Rate,
}

/// What passes in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rate {
    /// Messages a second.
    pub messages: u64,
    /// Bytes of their frames' bodies a second.
    pub bytes: u64,
}

/// Counts what passes. It needs no memory until something does.
#[derive(Debug, Default)]
pub(crate) struct Meter(Option<Box<Windows>>);

/// All begin together, so each ends when a second does.
#[derive(Debug, Clone, Copy)]
struct Windows {
    /// When this second ends.
    until: Instant,
    /// What passed in it, and is in no window yet.
    second: Passed,
    windows: [Window; LENGTHS.len()],
}

#[derive(Debug, Clone, Copy)]
struct Window {
    /// When it began.
    since: Instant,
    /// What passed in it.
    now: Passed,
    /// What passed in the one before it.
    before: Passed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    messages: u64,
    bytes: u64,
}

impl Meter {
    /// So much passed now.
    pub(crate) fn add(&mut self, now: Instant, messages: u64, bytes: u64) {
        let windows = self.0.get_or_insert_with(|| Box::new(Windows::new(now)));
        if now >= windows.until {
            windows.reach(now);
        }
        windows.second.messages += messages;
        windows.second.bytes += bytes;
    }

    /// The rates as they are now.
    pub(crate) fn at(&self, now: Instant) -> Throughput {
        let Some(windows) = &self.0 else {
            return Throughput::default();
        };
        let mut windows = **windows;
        windows.reach(now);
        let [second, ten_seconds, minute] = windows.windows;
        let [one, ten, sixty] = LENGTHS;
        Throughput {
            second: second.rate(now, one),
            ten_seconds: ten_seconds.rate(now, ten),
            minute: minute.rate(now, sixty),
        }
    }
}

impl Windows {
    fn new(now: Instant) -> Self {
        let empty = Window {
            since: now,
            now: Passed::default(),
            before: Passed::default(),
        };
        Windows {
            until: now,
            second: Passed::default(),
            windows: [empty; LENGTHS.len()],
        }
    }

    /// Puts what passed in this second into the windows, and moves them on to this moment.
    #[inline(never)]
    fn reach(&mut self, now: Instant) {
        let passed = std::mem::take(&mut self.second);
        for (window, length) in self.windows.iter_mut().zip(LENGTHS) {
            window.now.messages += passed.messages;
            window.now.bytes += passed.bytes;
            window.reach(now, length);
        }
        let [second, ..] = &self.windows;
        let [length, ..] = LENGTHS;
        self.until = second.since.checked_add(length).unwrap_or(now);
    }
}

impl Window {
    /// Moves on by whole lengths, until it holds this moment.
    fn reach(&mut self, now: Instant, length: Duration) {
        let age = now.saturating_duration_since(self.since);
        if age < length {
            return;
        }
        // Nothing passed in the windows that nobody began.
        self.before = match age < length * 2 {
            true => self.now,
            false => Passed::default(),
        };
        self.now = Passed::default();
        let rest = (age.as_nanos() % length.as_nanos()) as u64;
        self.since = now.checked_sub(Duration::from_nanos(rest)).unwrap_or(now);
    }

    fn rate(&self, now: Instant, length: Duration) -> Rate {
        let length = length.as_secs_f64();
        let age = now.saturating_duration_since(self.since).as_secs_f64();
        let left = (1.0 - age / length).clamp(0.0, 1.0);
        let rate = |now: u64, before: u64| ((now as f64 + before as f64 * left) / length).round() as u64;
        Rate {
            messages: rate(self.now.messages, self.before.messages),
            bytes: rate(self.now.bytes, self.before.bytes),
        }
    }
}

const LENGTHS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn messages(rates: Throughput) -> [u64; 3] {
        [rates.second.messages, rates.ten_seconds.messages, rates.minute.messages]
    }

    #[test]
    fn a_steady_stream_has_one_rate_over_every_length() {
        let start = Instant::now();
        let mut meter = Meter::default();
        // A batch of 7 every 10 ms, for three minutes.
        let at = |n: u64| start + Duration::from_millis(10 * n);
        for n in 0..18_000 {
            meter.add(at(n), 7, 70);
        }
        for n in 18_000..18_100 {
            meter.add(at(n), 7, 70);
            let rates = meter.at(at(n));
            for rate in messages(rates) {
                assert!((690..=714).contains(&rate), "{rates:?}");
            }
            assert!(rates.second.bytes.abs_diff(7_000) < 150, "{rates:?}");
        }
    }

    /// Asked for the first time after minutes, and nobody came by in between.
    #[test]
    fn silence_needs_nobody_to_watch_it() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.add(start, 600, 0);

        assert_eq!(messages(meter.at(start)), [600, 60, 10]);
        assert_eq!(messages(meter.at(start + Duration::from_millis(1_500))), [300, 60, 10]);
        assert_eq!(messages(meter.at(start + Duration::from_secs(2))), [0, 60, 10]);
        assert_eq!(messages(meter.at(start + Duration::from_secs(15))), [0, 30, 10]);
        assert_eq!(messages(meter.at(start + Duration::from_secs(90))), [0, 0, 5]);
        assert_eq!(messages(meter.at(start + Duration::from_secs(600))), [0, 0, 0]);
    }

    #[test]
    fn what_passes_after_a_pause_is_not_spread_over_it() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.add(start, 1_000, 0);
        let later = start + Duration::from_millis(125_300);
        meter.add(later, 60, 0);

        assert_eq!(messages(meter.at(later)), [60, 6, 1]);
    }

    /// A clock of which two threads have read in another order than they come by.
    #[test]
    fn an_earlier_moment_counts_with_the_present_one() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut meter = Meter::default();
        meter.add(start, 1, 0);
        meter.add(start - Duration::from_secs(3), 1, 0);

        assert_eq!(meter.at(start - Duration::from_secs(1)).second.messages, 2);
    }
}

//! What takes time at one queue of one peer: how long it is full, how long a message waits in it, how much passes.
//!
//! Knows no clock. Who has one says what time it is when something begins or ends, which is once in a batch, and never for
//! each message.

use crate::stats::{Histogram, Meter};
use std::time::{Duration, Instant};

/// The times of one queue.
#[derive(Debug, Default)]
pub(super) struct Timing {
    /// Once it was full.
    full: Option<Box<Full>>,
    timed: Timed,
    pub(super) residence: Histogram,
    pub(super) meter: Meter,
}

/// How long it is full.
#[derive(Debug, Default)]
struct Full {
    /// Since it is, if it is now.
    since: Option<Instant>,
    /// All the times before together.
    before: Duration,
}

/// The one message that is timed, by its place: that many have left the queue when it has.
#[derive(Debug, Default)]
enum Timed {
    /// The next that comes.
    #[default]
    Next,
    /// It came in this step.
    Came {
        place: u64,
    },
    Waits {
        place: u64,
        since: Instant,
    },
    /// None before this time: what takes a microsecond need not be timed each time.
    Rests {
        until: Instant,
    },
}

impl Timing {
    // -- full

    /// Whether its being full is timed.
    pub(super) fn is_full(&self) -> bool {
        self.full.as_ref().is_some_and(|full| full.since.is_some())
    }

    /// It is full or not, as of now.
    pub(super) fn set_full(&mut self, is_full: bool, now: Instant) {
        if is_full {
            self.full.get_or_insert_default().since.get_or_insert(now);
        } else if let Some(full) = &mut self.full
            && let Some(since) = full.since.take()
        {
            full.before += now.saturating_duration_since(since);
        }
    }

    /// How long it has been full, until now.
    pub(super) fn full_for(&self, now: Option<Instant>) -> Duration {
        let Some(full) = &self.full else { return Duration::ZERO };
        let since = full.since.zip(now);
        full.before + since.map_or(Duration::ZERO, |(since, now)| now.saturating_duration_since(since))
    }

    // -- a message that waits

    /// Whether the next message that comes is to be timed.
    #[inline]
    pub(super) fn awaits_message(&self) -> bool {
        matches!(self.timed, Timed::Next)
    }

    /// Whether one is timed now.
    #[inline]
    pub(super) fn times_a_message(&self) -> bool {
        matches!(self.timed, Timed::Waits { .. })
    }

    /// That message came; once so many have left, it has.
    pub(super) fn came(&mut self, place: u64) {
        self.timed = Timed::Came { place };
    }

    /// It is now that it came.
    pub(super) fn began(&mut self, now: Instant) {
        if let Timed::Came { place } = self.timed {
            self.timed = Timed::Waits { place, since: now };
        }
    }

    /// The place of the message that is timed; `u64::MAX` if there is none.
    pub(super) fn place(&self) -> u64 {
        match self.timed {
            Timed::Next | Timed::Rests { .. } => u64::MAX,
            Timed::Came { place } | Timed::Waits { place, .. } => place,
        }
    }

    /// So many have left the queue by now.
    pub(super) fn left(&mut self, left: u64, now: Instant) {
        match self.timed {
            Timed::Waits { place, since } if left >= place => {
                self.residence.add(now.saturating_duration_since(since));
                self.timed = match since.checked_add(REST) {
                    Some(until) if now < until => Timed::Rests { until },
                    _ => Timed::Next,
                };
            }
            _ => self.rest(now),
        }
    }

    /// It is now: whoever rested long enough times the next message.
    #[inline]
    pub(super) fn rest(&mut self, now: Instant) {
        if let Timed::Rests { until } = self.timed
            && until <= now
        {
            self.timed = Timed::Next;
        }
    }

    /// One more, or less, is counted as having left that was not in front of it.
    pub(super) fn shift(&mut self, by: i64) {
        if let Timed::Came { place } | Timed::Waits { place, .. } = &mut self.timed {
            *place = place.saturating_add_signed(by);
        }
    }

    /// It left another way than by its turn.
    pub(super) fn forget(&mut self) {
        self.timed = Timed::Next;
    }
}

/// From one timed message to the next, at least: looking at the clock takes a few hundredths of a microsecond, and ten
/// thousand messages a second say as much as all.
const REST: Duration = Duration::from_micros(100);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn time_full_is_told_while_it_lasts_and_adds_up() {
        let start = Instant::now();
        let mut timing = Timing::default();
        timing.set_full(false, start);
        timing.set_full(true, at(start, 10));
        timing.set_full(true, at(start, 15));

        assert_eq!(timing.full_for(Some(at(start, 30))), Duration::from_millis(20));
        timing.set_full(false, at(start, 40));
        timing.set_full(true, at(start, 100));
        assert_eq!(timing.full_for(Some(at(start, 101))), Duration::from_millis(31));
        assert_eq!(timing.full_for(None), Duration::from_millis(30));
    }

    #[test]
    fn one_message_is_timed_at_a_time() {
        let start = Instant::now();
        let mut timing = Timing::default();
        assert!(timing.awaits_message());
        timing.came(3);
        timing.began(at(start, 5));
        assert!(!timing.awaits_message());
        timing.left(2, at(start, 6));
        timing.shift(1);
        timing.left(3, at(start, 7));
        assert_eq!((timing.residence.count(), timing.place()), (0, 4));

        timing.left(4, at(start, 9));
        assert_eq!(timing.residence.sum(), Duration::from_millis(4));
        assert!(timing.awaits_message());
    }
}

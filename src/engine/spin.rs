//! Whether to look again and again before sleeping.
//!
//! Waking a core that sleeps costs tens of microseconds, so a short look is often cheaper than a sleep; where it is not,
//! it only heats. It goes by credit: what paid is tried again, what did not soon stops. Without credit a rare long look
//! finds out whether it would pay again: once both ends sleep, a reply takes two wake-ups, and no short look meets it.

use std::time::Duration;

/// What the last waits of a context taught.
#[derive(Debug)]
pub(crate) struct Spin {
    credit: u32,
    /// One wait in so many is a long look, while there is no credit.
    gap: u32,
    /// Waits since the last long look.
    waits: u32,
    is_long: bool,
    last_sleep: Duration,
}

impl Default for Spin {
    fn default() -> Self {
        Spin {
            credit: 0,
            gap: SHORTEST_GAP,
            waits: 0,
            is_long: false,
            last_sleep: Duration::MAX,
        }
    }
}

impl Spin {
    /// How long to look before the next sleep, if at all.
    pub(crate) fn plan(&mut self) -> Option<Duration> {
        self.is_long = false;
        if self.credit > 0 {
            return Some(SHORT_LOOK);
        }
        if self.last_sleep >= SHORT_SLEEP {
            return None;
        }
        self.waits += 1;
        if self.waits < self.gap {
            return None;
        }
        self.waits = 0;
        self.is_long = true;
        Some(LONG_LOOK)
    }

    /// It came while looking.
    pub(crate) fn paid(&mut self) {
        self.credit = (self.credit + 1).min(MOST_CREDIT);
        self.gap = SHORTEST_GAP;
    }

    /// It did not.
    pub(crate) fn wasted(&mut self) {
        self.credit = self.credit.saturating_sub(2);
        if self.is_long {
            self.gap = (self.gap * 2).min(LONGEST_GAP);
        }
    }

    /// How long the sleep was that followed.
    pub(crate) fn slept(&mut self, time: Duration) {
        self.last_sleep = time;
    }
}

/// Measured: 20 us never met a reply, and 50 cost no more processor time than sleeping.
const SHORT_LOOK: Duration = Duration::from_micros(50);
const LONG_LOOK: Duration = Duration::from_micros(150);
/// After a longer sleep, looking is not worth a try.
const SHORT_SLEEP: Duration = Duration::from_micros(400);
const MOST_CREDIT: u32 = 16;
const SHORTEST_GAP: u32 = 8;
const LONGEST_GAP: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_pay_stops_and_is_tried_ever_more_rarely() {
        let mut spin = Spin::default();
        let mut looks = Vec::new();
        for wait in 1..=10_000 {
            spin.slept(Duration::from_micros(100));
            if let Some(length) = spin.plan() {
                assert_eq!(length, LONG_LOOK);
                spin.wasted();
                looks.push(wait);
            }
        }
        assert_eq!(looks[..4], [8, 24, 56, 120]);
        assert!(looks.len() < 20);
    }

    #[test]
    fn what_pays_is_done_each_time_until_it_does_not() {
        let mut spin = Spin::default();
        spin.slept(Duration::from_micros(100));
        while spin.plan().is_none() {}
        for _ in 0..100 {
            spin.paid();
            assert_eq!(spin.plan(), Some(SHORT_LOOK));
        }
        let wasted = (0..).take_while(|_| {
            spin.wasted();
            spin.plan() == Some(SHORT_LOOK)
        });
        assert_eq!(wasted.count(), 7);
    }

    #[test]
    fn after_a_long_sleep_nothing_is_tried() {
        let mut spin = Spin::default();
        spin.slept(Duration::from_secs(1));
        assert!((0..100).all(|_| spin.plan().is_none()));
    }
}

//! Whether to look again and again before sleeping.
//!
//! Waking a core that sleeps costs tens of microseconds, so a short look is often cheaper than a sleep; where it is not,
//! it only heats. It goes by credit: what paid is tried again, what did not soon stops. Without credit a rare long look
//! finds out whether it would pay again: once both ends sleep, a reply takes two wake-ups, and no short look meets it.

use std::time::Duration;

/// What the last waits of a context taught.
#[derive(Debug)]
pub(crate) struct Spin {
    /// A short look; zero: there is none, nor a long one.
    look: Duration,
    credit: u32,
    /// After so many sleeps there is a long look, while there is no credit.
    gap: u32,
    /// Sleeps since the last long look.
    sleeps: u32,
    is_long: bool,
    last_sleep: Duration,
}

impl Spin {
    /// With short looks of this length.
    pub(crate) fn of(look: Duration) -> Self {
        Spin {
            look,
            credit: 0,
            gap: SHORTEST_GAP,
            sleeps: 0,
            is_long: false,
            last_sleep: Duration::MAX,
        }
    }

    /// How long a short look is; zero: nobody looks.
    pub(crate) fn look(&self) -> Duration {
        self.look
    }

    /// How long to look before the next sleep, if at all; not longer than is left to wait.
    pub(crate) fn plan(&mut self, left: Duration) -> Option<Duration> {
        self.is_long = false;
        if self.credit > 0 {
            return Some(self.look.min(left));
        }
        let long_look = self.look * LONG;
        if self.look.is_zero() || self.last_sleep >= long_look + WAKING {
            return None;
        }
        if self.sleeps < self.gap {
            return None;
        }
        self.sleeps = 0;
        self.is_long = true;
        Some(long_look.min(left))
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

    /// How long the sleep was that followed. None that found something at once says anything: looking was not needed.
    pub(crate) fn slept(&mut self, time: Duration) {
        if time >= AT_ONCE {
            self.last_sleep = time;
            self.sleeps = self.sleeps.saturating_add(1);
        }
    }
}

/// How many short looks a long one is.
const LONG: u32 = 3;
/// What a sleep takes longer than a look that meets the same: both ends are woken, from ever deeper sleep. After one that
/// was longer than that and a long look, looking is not worth a try.
const WAKING: Duration = Duration::from_micros(250);
/// No sleep is shorter: falling asleep and waking take as long.
const AT_ONCE: Duration = Duration::from_micros(2);
const MOST_CREDIT: u32 = 16;
const SHORTEST_GAP: u32 = 8;
const LONGEST_GAP: u32 = 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::ContextOptions;

    fn look() -> Duration {
        ContextOptions::default().spin
    }

    /// A wait after another sleep of this length.
    fn next(spin: &mut Spin, sleep: Duration) -> Option<Duration> {
        spin.slept(sleep);
        spin.plan(Duration::MAX)
    }

    #[test]
    fn what_does_not_pay_stops_and_is_tried_ever_more_rarely() {
        let mut spin = Spin::of(look());
        let mut looks = Vec::new();
        for wait in 1..=10_000 {
            if let Some(length) = next(&mut spin, Duration::from_micros(100)) {
                assert_eq!(length, look() * LONG);
                spin.wasted();
                looks.push(wait);
            }
        }
        assert_eq!(looks[..4], [8, 24, 56, 120]);
        assert!(looks.len() < 20);
    }

    #[test]
    fn what_pays_is_done_each_time_until_it_does_not() {
        let mut spin = Spin::of(look());
        while next(&mut spin, Duration::from_micros(100)).is_none() {}
        for _ in 0..100 {
            spin.paid();
            assert_eq!(spin.plan(Duration::MAX), Some(look()));
        }
        let wasted = (0..).take_while(|_| {
            spin.wasted();
            spin.plan(Duration::MAX) == Some(look())
        });
        assert_eq!(wasted.count(), 7);
    }

    #[test]
    fn after_a_long_sleep_nothing_is_tried() {
        let mut spin = Spin::of(look());
        assert!((0..100).all(|_| next(&mut spin, Duration::from_secs(1)).is_none()));
    }

    #[test]
    fn who_is_to_look_longer_does_so_and_tries_it_after_longer_sleeps() {
        for look in [1, 20, 50, 1_000].map(Duration::from_micros) {
            let worth_a_try = look * LONG + WAKING;
            for (sleep, looks) in [(worth_a_try - Duration::from_nanos(1), true), (worth_a_try, false)] {
                let mut spin = Spin::of(look);
                let first = (0..100).find_map(|_| next(&mut spin, sleep));
                assert_eq!(first, looks.then_some(look * LONG));
            }
            let mut spin = Spin::of(look);
            spin.paid();
            assert_eq!(spin.plan(Duration::MAX), Some(look));
        }
    }

    #[test]
    fn nobody_looks_for_longer_than_there_is_to_wait() {
        let (left, mut spin) = (Duration::from_micros(30), Spin::of(look()));
        (0..SHORTEST_GAP).for_each(|_| spin.slept(look()));
        assert_eq!(spin.plan(left), Some(left), "a long look");
        spin.paid();
        assert_eq!(spin.plan(left), Some(left), "a short one");
    }

    #[test]
    fn who_is_not_to_look_never_does() {
        let mut spin = Spin::of(Duration::ZERO);
        for sleep in [0, 1, 100, 1_000_000] {
            assert!((0..10_000).all(|_| next(&mut spin, Duration::from_micros(sleep)).is_none()));
        }
    }

    #[test]
    fn what_was_there_at_once_says_nothing_of_how_long_to_look() {
        let mut spin = Spin::of(look());
        assert!((0..100).all(|_| next(&mut spin, Duration::ZERO).is_none()));
    }
}

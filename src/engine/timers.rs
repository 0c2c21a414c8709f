//! What is to happen at which time: one timer for each purpose of each slot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// An attempt to reach an address takes too long.
    Connect,
    /// A handshake takes too long.
    Handshake,
    /// Who has shown a wrong password is told so.
    Denial,
    /// A dialer tries again.
    Retry,
    /// A listener that paused accepts again.
    Accept,
    /// A socket wants to be called.
    Alarm,
    /// What closes has had its time.
    Linger,
    /// A peer is to be asked for a sign of life, or has had the time to give one.
    Life,
}

/// All timers of a loop.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, usize, Timer)>,
    by_slot: BTreeMap<(usize, Timer), Instant>,
}

impl Timers {
    /// Sets a timer, instead of the one that was set for the same purpose. `None`: never.
    pub(crate) fn set(&mut self, token: usize, timer: Timer, at: Option<Instant>) {
        self.clear(token, timer);
        if let Some(at) = at {
            self.by_slot.insert((token, timer), at);
            self.by_time.insert((at, token, timer));
        }
    }

    pub(crate) fn clear(&mut self, token: usize, timer: Timer) {
        if let Some(at) = self.by_slot.remove(&(token, timer)) {
            self.by_time.remove(&(at, token, timer));
        }
    }

    /// Clears all timers of a slot that goes.
    pub(crate) fn clear_all(&mut self, token: usize) {
        for timer in ALL {
            self.clear(token, timer);
        }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|&(at, _, _)| at)
    }

    /// Takes one that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(usize, Timer)> {
        let &(at, token, timer) = self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(token, timer);
        Some((token, timer))
    }
}

const ALL: [Timer; 8] = [
    Timer::Alarm,
    Timer::Connect,
    Timer::Handshake,
    Timer::Denial,
    Timer::Retry,
    Timer::Accept,
    Timer::Linger,
    Timer::Life,
];

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_fire_in_the_order_of_their_times_and_once() {
        let start = Instant::now();
        let at = |ms| Some(start + Duration::from_millis(ms));
        let mut timers = Timers::default();
        timers.set(1, Timer::Retry, at(30));
        timers.set(2, Timer::Linger, at(10));
        timers.set(3, Timer::Connect, at(20));
        timers.set(1, Timer::Retry, at(5));
        timers.clear_all(3);

        let now = start + Duration::from_millis(40);
        assert_eq!(timers.pop_due(start), None);
        assert_eq!(timers.pop_due(now), Some((1, Timer::Retry)));
        assert_eq!(timers.pop_due(now), Some((2, Timer::Linger)));
        assert_eq!(timers.pop_due(now), None);
        assert_eq!(timers.next(), None);
    }
}

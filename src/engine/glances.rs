//! How long it is enough to look only where the last came from.
//!
//! Who waits for an answer looks there again and again: it costs half of what it costs to ask the poll, and the answer is at
//! hand at once. All others, the timers and the notes are looked at in whole turns, which must not be put off for long:
//! neither while glances find nothing, nor while each of them finds something.

use std::time::{Duration, Instant};

/// The glances since the last whole turn.
#[derive(Debug, Default)]
pub(super) struct Glances {
    /// When that turn began.
    begun: Option<Instant>,
    /// In a row.
    in_vain: u32,
}

impl Glances {
    /// Whether a glance is enough now.
    pub(super) fn are_enough(&self, now: Instant) -> bool {
        let since = self.begun.map(|begun| now.saturating_duration_since(begun));
        self.in_vain < MOST_IN_VAIN && since.is_some_and(|since| since < LONGEST)
    }

    /// One was taken.
    pub(super) fn taken(&mut self, has_found: bool) {
        self.in_vain = if has_found { 0 } else { self.in_vain + 1 };
    }

    /// A whole turn begins.
    pub(super) fn end(&mut self, now: Instant) {
        *self = Glances {
            begun: Some(now),
            in_vain: 0,
        };
    }
}

/// So many take as long as a few whole turns.
const MOST_IN_VAIN: u32 = 8;
/// A small part of a lease, within which all that comes is to be read.
const LONGEST: Duration = Duration::from_micros(50);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_whole_turn_is_first() {
        assert!(!Glances::default().are_enough(Instant::now()));
    }

    #[test]
    fn those_that_find_nothing_are_few() {
        let (now, mut glances) = (Instant::now(), Glances::default());
        for _ in 0..3 {
            glances.end(now);
            let mut taken = 0;
            while glances.are_enough(now) {
                glances.taken(false);
                taken += 1;
            }
            assert_eq!(taken, MOST_IN_VAIN);
        }
    }

    #[test]
    fn those_that_find_something_are_over_soon() {
        let (start, mut glances) = (Instant::now(), Glances::default());
        glances.end(start);
        let last = start + LONGEST - Duration::from_nanos(1);
        for now in [start, last, last, last] {
            assert!(glances.are_enough(now));
            glances.taken(true);
        }

        assert!(!glances.are_enough(start + LONGEST));
        glances.end(start + LONGEST);
        assert!(glances.are_enough(start + LONGEST));
    }
}

//! Which process this is, asked of the system only where it may have changed.
//!
//! A forked child has its parent's memory, and shares with it what the kernel keeps: the events of a poll, which one would
//! take from the other, and the connections. So each wait and each write asks in whose process it is, and that is a call
//! to the system. But a fork takes longer than [`FORK`]: a thread that was here within it has not been through one since.

use crate::sync::per_thread;
use std::cell::Cell;
use std::process;
use std::time::{Duration, Instant};

/// The process that the calling thread is in.
pub(super) fn process_here(now: Instant) -> u32 {
    let known = HERE.with(Cell::get).filter(|(_, since)| is_too_short(*since, now));
    let process = known.map_or_else(process::id, |(process, _)| process);
    HERE.with(|here| here.set(Some((process, now))));
    process
}

/// The calling thread asked before, and has been in calls of ours since, in which nobody forks.
pub(super) fn still_here(now: Instant) {
    HERE.with(|here| here.set(here.get().map(|(process, _)| (process, now))));
}

/// Whether nobody can have forked in between. A clock that goes back may be a child's own.
fn is_too_short(since: Instant, now: Instant) -> bool {
    now.checked_duration_since(since).is_some_and(|time| time < FORK)
}

per_thread! {
    static HERE: Cell<Option<(u32, Instant)>> = const { Cell::new(None) };
}

/// No fork is as fast: that of the smallest process takes 40 us until its child runs, of which most is spent in copying what
/// a process with threads has more of.
const FORK: Duration = Duration::from_micros(5);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_away_for_as_long_as_a_fork_takes_asks_again() {
        let start = Instant::now();
        let made_up = 0;
        for (away, is_asked) in [(FORK - Duration::from_nanos(1), false), (FORK, true)] {
            HERE.with(|here| here.set(Some((made_up, start))));
            assert_eq!(process_here(start + away) != made_up, is_asked);
        }
        HERE.with(|here| here.set(Some((made_up, start))));
        still_here(start + FORK);
        assert_eq!(process_here(start + FORK + FORK / 2), made_up);
    }

    #[test]
    fn a_clock_that_went_back_is_no_proof() {
        let start = Instant::now();
        HERE.with(|here| here.set(Some((0, start + FORK))));
        assert_eq!(process_here(start), process::id());
    }
}

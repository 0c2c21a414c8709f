//! What happens at which time, if nothing happens before.

use super::workers::WorkerId;
use crate::confirmed::wire::TaskId;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// So long from now: far in the future if that is longer than clocks go, and not at once.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.min(FAR)).unwrap_or(now)
}

/// All timers: at most two for each task and one for each worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Timer)>);

/// What a time is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Nobody wants the task any more.
    TooLate(TaskId),
    /// A task's open delivery is lost.
    Lease(TaskId),
    /// A delayed task is queued.
    Start(TaskId),
    /// A worker may have been silent for too long.
    Silence(WorkerId),
}

impl Timers {
    /// Sets it; one without a time never is.
    pub(super) fn set(&mut self, at: Option<Instant>, timer: Timer) {
        self.0.extend(at.map(|at| (at, timer)));
    }

    /// Forgets one that was set for that time.
    pub(super) fn clear(&mut self, at: Option<Instant>, timer: Timer) {
        if let Some(at) = at {
            self.0.remove(&(at, timer));
        }
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.0.first().map(|&(at, _)| at)
    }

    /// The first that is due by now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Timer> {
        self.first().filter(|&at| at <= now)?;
        self.0.pop_first().map(|(_, timer)| timer)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// As good as never: a hundred years, which every clock holds, and every outbox.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

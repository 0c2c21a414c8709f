//! How the hand is woken, and how the application's threads wait for it.

use super::Room;
use crate::hub::{CannotWait, Drive};
use crate::poller::Signal;
use crate::sync::{AtomicBool, Ordering, Parker};
use crate::transport::real::now;
use std::sync::Arc;
use std::task::Wake;
use std::time::{Duration, Instant};

/// Wakes the hand.
#[derive(Default)]
pub(in crate::confirmed::worker) struct Bell {
    is_rung: AtomicBool,
    pub(in crate::confirmed::worker) signal: Arc<Signal>,
}

impl Bell {
    pub(in crate::confirmed::worker) fn ring(&self) {
        self.is_rung.store(true, Ordering::Release);
        self.signal.give();
    }

    /// Whether it was rung since.
    pub(in crate::confirmed::worker) fn was_rung(&self) -> bool {
        self.is_rung.swap(false, Ordering::AcqRel)
    }

    pub(in crate::confirmed::worker) fn is_rung(&self) -> bool {
        self.is_rung.load(Ordering::Acquire)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// How the application's threads wait: the hand reads, and wakes them. A thread that sat and read instead would have to wake the
/// hand.
impl Drive for Room {
    fn now(&self) -> Instant {
        now()
    }

    fn may_wait(&self) -> Result<(), CannotWait> {
        self.drive.may_wait()
    }

    fn wait(&self, parker: &Parker, deadline: Option<Instant>) -> bool {
        loop {
            if parker.was_woken() {
                return true;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            parker.park(left);
        }
    }

    fn future_waits(&self) {}

    fn future_is_over(&self) {}
}

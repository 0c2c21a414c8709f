//! How the application's threads wait for the hand.

use super::Room;
use crate::hub::{CannotWait, Drive};
use crate::sync::Parker;
use std::time::{Duration, Instant};

/// How the application's threads wait: the hand reads, and wakes them. A thread that sat and read instead would have to wake the
/// hand.
impl Drive for Room {
    fn now(&self) -> Instant {
        self.drive.now()
    }

    fn may_wait(&self) -> Result<(), CannotWait> {
        self.drive.may_wait()
    }

    fn wait(&self, parker: &Parker, deadline: Option<Instant>) -> Result<bool, CannotWait> {
        self.may_wait()?;
        loop {
            if parker.was_woken() {
                return Ok(true);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(self.now()));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            parker.park(left);
        }
    }

    fn future_waits(&self) {}

    fn future_is_over(&self) {}
}

//! An application's thread that waits: it sits if the seat is free, and else sleeps until it is woken.

use super::{Keeper, Nap, Reins, Seat, Sitter, Turned, drive_here, is_driving, rouse};
use crate::hub::{CannotWait, Drive};
use crate::sync::{Ordering, Parker, Ring};
use crate::transport::Net;
use std::time::{Duration, Instant};

impl<N: Net> Seat<N> {
    /// Takes the seat, if it is free.
    fn sit_down(&self, left: Option<Duration>) -> Option<Sitting<'_, N>> {
        let mut state = self.state.lock();
        if !state.is_free() || !is_worth_sitting(left) {
            return None;
        }
        state.sitter = Sitter::Application;
        state.changes += 1;
        state.was_used = true;
        state.is_rung = false;
        Some(Sitting {
            seat: self,
            is_flooded: false,
        })
    }

    /// Sleeps while somebody else drives.
    fn park(&self, parker: &Parker, left: Option<Duration>) {
        let mut state = self.state.lock();
        let is_free = state.is_free();
        if is_free && is_worth_sitting(left) {
            return;
        }
        state.parked += 1;
        if is_free {
            self.call(state);
        } else {
            drop(state);
        }
        parker.park(left);
        self.state.lock().parked -= 1;
    }
}

/// The kernel's timer counts whole milliseconds: who has less left is woken by a finer one, and lets the keeper drive.
fn is_worth_sitting(left: Option<Duration>) -> bool {
    left.is_none_or(|left| left >= Duration::from_millis(1))
}

/// While it lives, an application's thread sits.
struct Sitting<'a, N: Net> {
    seat: &'a Seat<N>,
    /// There is more to read than this thread can while it works: the keeper is to go on at once.
    is_flooded: bool,
}

impl<N: Net> Sitting<'_, N> {
    /// Runs the loop until the parker is woken (`true`), or the deadline is too near to sit for, or the context is over.
    fn drive(mut self, parker: &Parker, deadline: Option<Instant>) -> bool {
        let seat = self.seat;
        let _driving = drive_here();
        let mut reins = seat.reins.lock();
        let Some(reins) = reins.as_mut() else { return false };
        let Some(ring) = seat.this.upgrade() else { return false };
        let _bell = parker.rung_by(ring);
        let is_flooded = &mut self.is_flooded;
        let mut turn = |reins: &mut Reins, nap| {
            let turned = seat.turn(reins, nap);
            *is_flooded = turned == Turned::Flooded;
            match turned {
                Turned::Over => Some(false),
                Turned::Again | Turned::Flooded => parker.was_woken().then_some(true),
            }
        };
        if let Some(end) = turn(reins, Nap::None) {
            return end;
        }
        loop {
            let begin = seat.now();
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(begin));
            if let Some(limit) = reins.spin.plan(left) {
                while seat.now().saturating_duration_since(begin) < limit {
                    if let Some(end) = turn(reins, Nap::None) {
                        reins.spin.paid();
                        return end;
                    }
                }
                reins.spin.wasted();
            }
            // The waker is in its line and rings from here on: test again, then sleep. A ring in between is seen there.
            if parker.was_woken() {
                return true;
            }
            let begin = seat.now();
            if !is_worth_sitting(deadline.map(|deadline| deadline.saturating_duration_since(begin))) {
                return false;
            }
            let end = turn(reins, Nap::Until(deadline));
            reins.spin.slept(seat.now().saturating_duration_since(begin));
            if let Some(end) = end {
                return end;
            }
        }
    }
}

/// Also when unwinding: the seat is free again.
impl<N: Net> Drop for Sitting<'_, N> {
    fn drop(&mut self) {
        let now = self.seat.now();
        let mut state = self.seat.state.lock();
        state.sitter = Sitter::Nobody;
        state.is_asleep = false;
        state.changes += 1;
        // What was noted meanwhile waits for nobody's lease.
        let is_wanted = self.is_flooded || !state.notes.is_empty();
        state.left_at = (!is_wanted).then_some(now);
        let is_called = match state.keeper {
            Keeper::Deep => true,
            Keeper::Trusting => is_wanted || self.seat.others_wait(&state),
            Keeper::Running | Keeper::Pacing | Keeper::Lease => is_wanted,
        };
        if is_called {
            rouse(state);
        }
    }
}

impl<N: Net> Ring for Seat<N> {
    /// Whoever is not in the seat reaches a thread that drives: it looks again, and does not sleep before.
    fn ring(&self) {
        let mut state = self.state.lock();
        state.is_rung = true;
        if std::mem::take(&mut state.is_asleep) {
            drop(state);
            (self.doorbell)();
        }
    }
}

impl<N: Net> Drive for Seat<N> {
    fn now(&self) -> Instant {
        (self.clock)()
    }

    fn may_wait(&self) -> Result<(), CannotWait> {
        if is_driving() {
            Err(CannotWait::OnDriver)
        } else if self.is_forked() {
            Err(CannotWait::Forked)
        } else {
            Ok(())
        }
    }

    fn wait(&self, parker: &Parker, deadline: Option<Instant>) -> bool {
        loop {
            if parker.was_woken() {
                return true;
            }
            let left = match deadline {
                None => None,
                Some(deadline) => match deadline.checked_duration_since(self.now()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => return false,
                },
            };
            match self.sit_down(left) {
                Some(sitting) => {
                    if sitting.drive(parker, deadline) {
                        return true;
                    }
                }
                None => self.park(parker, left),
            }
        }
    }

    fn future_waits(&self) {
        self.futures.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock();
        if state.sitter == Sitter::Nobody && state.keeper == Keeper::Trusting {
            rouse(state);
        }
    }

    fn future_is_over(&self) {
        self.futures.fetch_sub(1, Ordering::Relaxed);
    }
}

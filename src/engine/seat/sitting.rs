//! An application's thread that waits: it sits if the seat is free, and else sleeps until it is woken.

use super::{Keeper, Nap, Reins, Seat, Sitter, Turned, drive_here, forks, is_driving, rouse};
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
        let is_alone = state.notes.is_empty() && state.flushes.is_empty() && !self.others_wait(&state);
        Some(Sitting {
            seat: self,
            look: if is_alone { Nap::Glance } else { Nap::None },
            is_flooded: false,
        })
    }

    /// Waits while somebody else drives: looks for a moment whether it is woken, if that pays and no other does, then sleeps.
    fn park(&self, parker: &Parker, left: Option<Duration>, deadline: Option<Instant>, now: Instant) {
        let mut state = self.state.lock();
        let is_free = state.is_free();
        if is_free && is_worth_sitting(left) {
            return;
        }
        state.parked += 1;
        let look = match state.is_looking {
            true => None,
            false => state.spin.plan(left.unwrap_or(Duration::MAX)),
        };
        state.is_looking |= look.is_some();
        if is_free {
            self.call(state);
        } else {
            drop(state);
        }
        if let Some(limit) = look {
            let has_come = self.look(parker, limit, now);
            let mut state = self.state.lock();
            state.is_looking = false;
            if has_come {
                state.spin.paid();
                state.parked -= 1;
                return;
            }
            state.spin.wasted();
        }
        let begin = self.now();
        // The look took a part of what was left.
        parker.park(deadline.map(|deadline| deadline.saturating_duration_since(begin)));
        let slept = self.now().saturating_duration_since(begin);
        let mut state = self.state.lock();
        state.parked -= 1;
        state.spin.slept(slept);
    }

    /// Whether it is woken within so long, from `begin` on.
    fn look(&self, parker: &Parker, limit: Duration, begin: Instant) -> bool {
        loop {
            if parker.is_woken() {
                return true;
            }
            if self.now().saturating_duration_since(begin) >= limit {
                return false;
            }
            std::hint::spin_loop();
        }
    }
}

/// The kernel's timer counts whole milliseconds: who has less left is woken by a finer one, and lets the keeper drive.
fn is_worth_sitting(left: Option<Duration>) -> bool {
    left.is_none_or(|left| left >= Duration::from_millis(1))
}

/// While it lives, an application's thread sits.
struct Sitting<'a, N: Net> {
    seat: &'a Seat<N>,
    /// How it looks before it sleeps.
    look: Nap,
    /// There is more to read than this thread can while it works: the keeper is to go on at once.
    is_flooded: bool,
}

impl<N: Net> Sitting<'_, N> {
    /// Runs the loop from now on until the parker is woken (`true`), or the deadline is too near to sit for, or the context is
    /// over.
    fn drive(mut self, parker: &Parker, deadline: Option<Instant>, mut now: Instant) -> bool {
        let seat = self.seat;
        let _driving = drive_here();
        let mut reins = seat.reins.lock();
        let Some(reins) = reins.as_mut() else { return false };
        let Some(ring) = seat.this.upgrade() else { return false };
        let _bell = parker.rung_by(ring);
        let (look, is_flooded) = (self.look, &mut self.is_flooded);
        let mut turn = |reins: &mut Reins, nap, now| {
            let turned = seat.turn(reins, nap, now);
            *is_flooded = turned == Turned::Flooded;
            match turned {
                Turned::Over => Some(false),
                Turned::Again | Turned::Greeted | Turned::Flooded => parker.was_woken().then_some(true),
            }
        };
        loop {
            let begin = now;
            let left = deadline.map(|deadline| deadline.saturating_duration_since(begin));
            if let Some(limit) = reins.spin.plan(left.unwrap_or(Duration::MAX)) {
                let mut is_first = true;
                while now.saturating_duration_since(begin) < limit {
                    if let Some(end) = turn(reins, look, now) {
                        // What was there already would have ended a sleep as soon.
                        if !is_first {
                            reins.spin.paid();
                        }
                        return end;
                    }
                    is_first = false;
                    now = seat.now();
                }
                reins.spin.wasted();
            }
            // The waker is in its line and rings from here on: test again, then sleep. A ring in between is seen there.
            if parker.was_woken() {
                return true;
            }
            if !is_worth_sitting(deadline.map(|deadline| deadline.saturating_duration_since(now))) {
                return false;
            }
            let end = turn(reins, Nap::Until(deadline), now);
            reins.spin.slept(reins.turns.slept());
            if let Some(end) = end {
                return end;
            }
            now = seat.now();
        }
    }
}

/// Also when unwinding: the seat is free again.
impl<N: Net> Drop for Sitting<'_, N> {
    fn drop(&mut self) {
        let now = self.seat.now();
        forks::still_here(now);
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

    fn wait(&self, parker: &Parker, deadline: Option<Instant>) -> Result<bool, CannotWait> {
        if is_driving() {
            return Err(CannotWait::OnDriver);
        }
        let mut now = self.now();
        if self.is_forked_at(now) {
            return Err(CannotWait::Forked);
        }
        loop {
            if parker.was_woken() {
                return Ok(true);
            }
            let left = match deadline {
                None => None,
                Some(deadline) => match deadline.checked_duration_since(now) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => return Ok(false),
                },
            };
            match self.sit_down(left) {
                Some(sitting) => {
                    if sitting.drive(parker, deadline, now) {
                        return Ok(true);
                    }
                }
                None => self.park(parker, left, deadline, now),
            }
            now = self.now();
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::Turns;
    use super::*;
    use crate::engine::spin::Spin;
    use crate::transport::real::RealNet;
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
    use std::sync::{Arc, OnceLock, Weak};
    use std::task::Waker;

    /// A seat in which the keeper sits and sleeps; the clock wakes who waits when it is read for the last of so many times.
    fn woken_at_look(reads: usize) -> (Arc<Seat<RealNet>>, Arc<OnceLock<Waker>>) {
        let (waker, left) = (Arc::new(OnceLock::<Waker>::new()), AtomicUsize::new(reads));
        let (theirs, begin) = (Arc::clone(&waker), Instant::now());
        let clock = move || {
            if left.fetch_sub(1, Relaxed) == 1
                && let Some(waker) = theirs.get()
            {
                waker.wake_by_ref();
            }
            begin
        };
        let mut spin = Spin::of(Duration::from_micros(50));
        spin.paid();
        (Seat::new(|| {}, clock, spin), waker)
    }

    #[test]
    fn who_waits_beside_the_one_who_drives_looks_before_it_sleeps() {
        let (seat, waker) = woken_at_look(3);

        let was_woken = Parker::with(|parker, mine| {
            waker.set(mine.clone()).unwrap();
            seat.wait(parker, None)
        });

        let mut state = seat.state.lock();
        assert!(was_woken == Ok(true) && state.parked == 0 && !state.is_looking);
        assert_eq!(
            state.spin.plan(Duration::MAX),
            Some(Duration::from_micros(50)),
            "it paid"
        );
    }

    /// A seat in which the keeper sits and sleeps, and a look of three seconds has paid; a second passes with each look at
    /// the clock, which says how many there were before.
    fn slow_looks(clock: impl Fn(u64) + Send + Sync + 'static) -> (Arc<Seat<RealNet>>, Instant) {
        let (start, seconds) = (Instant::now(), AtomicU64::new(0));
        let now = move || {
            let second = seconds.fetch_add(1, Relaxed);
            clock(second);
            start + Duration::from_secs(second)
        };
        let mut spin = Spin::of(Duration::from_secs(3));
        spin.paid();
        (Seat::new(|| {}, now, spin), start)
    }

    #[test]
    fn what_it_has_looked_for_is_not_left_to_sleep() {
        let (seat, start) = slow_looks(|_| {});

        let was_woken = Parker::with(|parker, _| seat.wait(parker, Some(start + Duration::from_secs(3))));

        assert!(
            was_woken == Ok(false) && start.elapsed() < Duration::from_secs(2),
            "it slept, too"
        );
    }

    #[test]
    fn who_has_looked_in_vain_leaves_it_to_another_and_sleeps() {
        let sleeper = Arc::new(OnceLock::<(Weak<Seat<RealNet>>, Waker)>::new());
        let theirs = Arc::clone(&sleeper);
        let may_look = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&may_look);
        let (seat, _) = slow_looks(move |second| {
            // The look is over, and the sleep begins.
            if second == 4
                && let Some((seat, waker)) = theirs.get()
            {
                told.store(!seat.upgrade().unwrap().state.lock().is_looking, Relaxed);
                waker.wake_by_ref();
            }
        });

        let was_woken = Parker::with(|parker, mine| {
            sleeper.set((Arc::downgrade(&seat), mine.clone())).unwrap();
            seat.wait(parker, None)
        });

        assert!(was_woken == Ok(true) && may_look.load(Relaxed));
        assert_eq!(seat.state.lock().parked, 0);
    }

    /// Each that looks takes a core from those it waits for.
    #[test]
    fn one_looks_and_the_others_sleep() {
        let (seat, waker) = woken_at_look(2);
        seat.state.lock().is_looking = true;

        let was_woken = Parker::with(|parker, mine| {
            waker.set(mine.clone()).unwrap();
            seat.wait(parker, None)
        });

        assert!(
            was_woken == Ok(true) && seat.state.lock().is_looking,
            "who looks still does"
        );
    }

    /// Has always more to do, and never sleeps.
    struct Busy(Arc<AtomicUsize>);

    impl Turns for Busy {
        fn turn(&mut self, _: Nap, _: Instant) -> Turned {
            match self.0.fetch_add(1, Relaxed) {
                ..100 => Turned::Again,
                _ => Turned::Over,
            }
        }

        fn slept(&self) -> Duration {
            Duration::ZERO
        }

        fn end(&mut self) {}
    }

    #[test]
    fn the_deadline_of_who_drives_comes_also_where_there_is_always_more_to_do() {
        let (seat, start) = slow_looks(|_| {});
        seat.state.lock().sitter = Sitter::Nobody;
        let turns = Arc::new(AtomicUsize::new(0));
        *seat.reins.lock() = Some(Reins {
            turns: Box::new(Busy(Arc::clone(&turns))),
            spin: Spin::of(Duration::ZERO),
        });

        let was_woken = Parker::with(|parker, _| seat.wait(parker, Some(start + Duration::from_secs(9))));

        assert_eq!(was_woken, Ok(false));
        assert!(turns.load(Relaxed) < 10, "each looks at the clock");
    }
}

//! The seat, the parker and a hub's waiters, in every order of their steps that a few preemptions can make.
//!
//! ```text
//! RUSTFLAGS="--cfg loom -A dead_code" cargo test --release --lib --target-dir target/loom seat::model
//! ```
//!
//! The seat, hub, session and parker are those that ship; the reactor is a poll that sleeps on a bell. Whoever sleeps
//! through what it waits for is a deadlock, which loom tells; no timeout mends it where the protocol does not count on one.
//! It does not know spinning, nor pacing as time, nor more than one session.
//!
//! Each of these bugs was put in by hand, and at least one test failed:
//!
//! - `ring` marks, and does not use the doorbell;
//! - `before_poll` does not look at `is_rung`, or declares the sleep in a step of its own;
//! - the bell is hung up after the last look at `was_woken`;
//! - `is_rung` is cleared after the last look at `was_woken`;
//! - who leaves the seat does not rouse a keeper in `Deep`, or one that trusts while others wait, or does not look at the
//!   notes;
//! - a future that begins to wait does not rouse a keeper that trusts;
//! - `call` does not ring who sits and sleeps;
//! - `note_flush` does not rouse the keeper;
//! - the keeper stands up although something was noted;
//! - the keeper writes without the seat as a thread that does not drive;
//! - `shut_down` does not ring who sleeps, or does not rouse the keeper;
//! - two may sit.

mod world;

use super::keeper::LEASE;
use super::*;
use crate::batch::Run;
use crate::engine::notes::answer;
use crate::engine::session::Flushed;
use crate::hub::{Effects, Hub, Origin, Station, Stop, block_on};
use crate::options::{ContextOptions, Options, TransportOptions};
use crate::routing::{Awaited, Pattern, PeerId, Peers, Want};
use crate::socket_type::SocketType;
use crate::sync::{Parker, Ring, let_time_pass};
use crate::transport::{Address, Reached, Resolved, Stream};
use crate::wire::Fresh;
use loom::thread::{JoinHandle, spawn};
use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;
use world::*;

/// Runs the model in every order that so many preemptions can make; `LOOM_MAX_PREEMPTIONS` says otherwise.
fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(model);
}

/// Each preemption more takes ten times as long.
const MOST: usize = 3;
/// For those with more steps, and with more threads.
const FEWER: usize = 2;
const FEWEST: usize = 1;

/// Nobody but the giver wakes the one who drives, and is about to sleep, or sleeps.
#[test]
fn what_comes_from_outside_the_seat_reaches_who_drives() {
    check(MOST, || {
        let world = World::without_keeper();
        let waits = world.waits();

        give(&world.hub);

        waits.join().expect("it is woken");
        world.end(None);
    });
}

#[test]
fn what_comes_from_outside_the_seat_reaches_who_drives_and_who_is_parked() {
    check(MOST, || {
        let world = World::without_keeper();
        let waits = [world.waits(), world.waits()];

        give(&world.hub);
        give(&world.hub);

        for one in waits {
            one.join().expect("it is woken");
        }
        world.end(None);
    });
}

/// Who receives comes back to sit, for those who are parked too; a future does not.
#[test]
fn the_keeper_is_called_for_room_only_if_a_future_waits() {
    check(FEWEST, || {
        for (parked, futures, keeper) in [(1, 0, Keeper::Lease), (0, 1, Keeper::Running)] {
            let world = World::without_keeper();
            world.seat.futures.store(futures, Ordering::Relaxed);
            let mut state = world.seat.state.lock();
            state.left_at = Some(world.clock.now());
            state.parked = parked;
            drop(state);

            assert!(world.seat.note(Note::Resume(world.session())));

            let mut state = world.seat.state.lock();
            assert_eq!(state.keeper, keeper);
            state.parked = 0;
            let notes = std::mem::take(&mut state.notes);
            drop(state);
            drop(notes);
            world.end(None);
        }
    });
}

/// Who found the keeper in the seat, and was parked, waits for a lease if the keeper leaves then.
#[test]
fn what_comes_over_the_net_reaches_who_waits_whoever_drives() {
    for keeper_is in [KeeperIs::Sitting, KeeperIs::Leaving] {
        check(MOST, move || {
            let (world, keeper) = World::with_keeper(keeper_is);
            let waits = world.waits();

            world.bell.arrive();
            if keeper_is == KeeperIs::Leaving {
                world.later();
            }

            waits.join().expect("it is woken");
            world.end(Some(keeper));
        });
    }
}

/// Who drives takes its own and goes; the keeper, which may sleep as deeply as it can, drives for who is left.
#[test]
fn who_leaves_the_seat_does_not_leave_the_others_behind() {
    check(MOST, || {
        let (world, keeper) = World::with_keeper(KeeperIs::Leaving);
        let (answer, answered) = answer();
        let other = world.clone();
        let leaves = spawn(move || {
            assert_eq!(block_on(&*other.seat, answered, None), Ok(Some(Some(()))));
            other.bell.arrive();
        });
        world.later();

        answer.give(());

        assert_eq!(wait(&world.hub, None), Ok(()));
        leaves.join().expect("it is woken");
        world.end(Some(keeper));
    });
}

/// Whoever left the seat had called nobody: the keeper trusted that it comes back, and nobody waited who cannot sit.
#[test]
fn a_future_that_begins_to_wait_is_not_left_to_who_has_left_the_seat() {
    check(MOST, || {
        let (world, keeper) = World::with_keeper(KeeperIs::Leaving);
        let leaves = world.waits();
        world.later();
        give(&world.hub);
        leaves.join().expect("it is woken");
        world.bell.arrive();

        let mut waits = world.hub.pending(Awaited::Readable, |basket: &mut Basket, _| {
            basket.things = basket.things.checked_sub(1)?;
            Some(())
        });
        Parker::with(|parker, waker| {
            let mut context = std::task::Context::from_waker(waker);
            while std::pin::Pin::new(&mut waits).poll(&mut context).is_pending() {
                parker.park(None);
            }
        });

        drop(waits);
        world.end(Some(keeper));
    });
}

/// The same with one more thread, and so with fewer orders.
#[test]
fn of_two_who_wait_the_first_does_not_leave_the_other_behind() {
    check(FEWEST, || {
        let (world, keeper) = World::with_keeper(KeeperIs::Leaving);
        let waits = [world.waits(), world.waits()];
        world.later();

        world.bell.arrive();
        world.bell.arrive();

        for one in waits {
            one.join().expect("it is woken");
        }
        world.end(Some(keeper));
    });
}

#[test]
fn what_is_asked_is_answered_also_while_somebody_sits_and_sleeps() {
    check(FEWER, || {
        let (world, keeper) = World::with_keeper(KeeperIs::Leaving);
        let waits = world.waits();
        let (answer, answered) = answer();
        let note = Note::Unbind {
            key: 1,
            endpoint: "inproc://it".parse().expect("an endpoint"),
            with_connections: false,
            answer,
        };

        assert!(world.seat.note(note));

        assert_eq!(block_on(&*world.seat, answered, None), Ok(Some(Some(true))));
        give(&world.hub);
        waits.join().expect("it is woken");
        world.end(Some(keeper));
    });
}

/// What is to be written is written while somebody sits and sleeps, at once, and who waits for what comes of it is woken.
#[test]
fn what_is_to_be_flushed_is_flushed_while_somebody_sits_and_sleeps() {
    for keeper_is in [KeeperIs::Sitting, KeeperIs::Leaving] {
        check(MOST, move || {
            let (world, keeper) = World::with_keeper(keeper_is);
            let waits = world.waits();

            world.seat.note_flush(world.session());

            waits.join().expect("it is woken");
            world.end(Some(keeper));
        });
    }
}

#[test]
fn what_is_to_be_flushed_is_flushed_also_by_who_leaves_at_that_moment_or_after_it() {
    check(MOST, || {
        let (world, keeper) = World::with_keeper(KeeperIs::Leaving);
        let waits = world.waits();
        give(&world.hub);

        world.seat.note_flush(world.session());

        assert_eq!(wait(&world.hub, None), Ok(()));
        waits.join().expect("it is woken");
        world.end(Some(keeper));
    });
}

/// As a context does it.
#[test]
fn the_end_of_a_context_ends_its_waits_and_its_thread() {
    check(MOST, || {
        let (world, keeper) = World::with_keeper(KeeperIs::Leaving);
        let other = world.clone();
        let waits = spawn(move || assert_eq!(wait(&other.hub, None), Err(Stop::Closed)));
        let station: Arc<dyn Station> = world.hub.clone();
        let mut effects = Effects::default();

        assert!(station.begin_close(&mut effects));
        effects.run();
        assert!(world.seat.note(Note::Close {
            station,
            links: Vec::new(),
            deadline: None
        }));
        assert!(world.hub.wait_closed(None).is_some());

        world.seat.shut_down();
        waits.join().expect("it is woken");
        world.end(Some(keeper));
    });
}

/// The loop ends first, as when it panics.
#[test]
fn who_waits_while_the_loop_ends_is_woken_by_the_close_of_its_socket() {
    check(MOST, || {
        let (world, keeper) = World::with_keeper(KeeperIs::Leaving);
        let other = world.clone();
        let waits = spawn(move || assert_eq!(wait(&other.hub, None), Err(Stop::Closed)));

        world.seat.shut_down();
        let mut effects = Effects::default();
        assert!(world.hub.begin_close(&mut effects));
        effects.run();

        waits.join().expect("it is woken");
        world.end(Some(keeper));
    });
}

/// With a deadline worth sitting for, and with one that the keeper watches.
#[test]
fn who_waits_for_so_long_waits_no_longer() {
    for limit in [LEASE * 5, LEASE / 2] {
        check(MOST, move || {
            let (world, keeper) = World::with_keeper(KeeperIs::Leaving);
            let other = world.clone();
            let deadline = world.clock.now() + limit;
            let waits = spawn(move || assert_eq!(wait(&other.hub, Some(deadline)), Err(Stop::TimedOut)));

            world.later();

            waits.join().expect("its time is over");
            world.end(Some(keeper));
        });
    }
}

/// A wake before the sleep, while the thread changes how it sleeps, and during the sleep: in its parker or elsewhere.
#[test]
fn a_wake_ends_a_sleep_of_either_kind() {
    struct Elsewhere(Thread);
    impl Ring for Elsewhere {
        fn ring(&self) {
            self.0.unpark();
        }
    }
    for is_rung in [false, true] {
        check(MOST, move || {
            let waker: Arc<Mutex<Option<std::task::Waker>>> = Arc::default();
            let theirs = Arc::clone(&waker);
            let sleeps = spawn(move || {
                Parker::with(|parker, waker| {
                    parker.reset();
                    *theirs.lock() = Some(waker.clone());
                    if is_rung {
                        let elsewhere = Arc::new(Elsewhere(Thread::default()));
                        let _rung = parker.rung_by(elsewhere.clone());
                        while !parker.was_woken() {
                            elsewhere.0.sleep(None);
                        }
                    } else {
                        while !parker.was_woken() {
                            parker.park(None);
                        }
                    }
                });
            });

            let wake = || {
                let waker = waker.lock().take();
                waker.map(std::task::Waker::wake)
            };
            while wake().is_none() {
                loom::thread::yield_now();
            }

            sleeps.join().expect("it is woken");
        });
    }
}

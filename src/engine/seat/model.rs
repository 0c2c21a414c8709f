//! The seat, the parker and a hub's waiters, in every order of their steps that a few preemptions can make.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release --lib --target-dir target/loom seat::model
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

// -- what waits

/// A socket that others put things into.
#[derive(Default)]
struct Basket {
    things: usize,
}

impl Pattern for Basket {
    const TYPE: SocketType = SocketType::Pull;

    fn attached(&mut self, _: &mut Peers, _: PeerId) {}

    fn deliver(&mut self, _: &mut Peers, _: PeerId, _: &mut Run) {}

    fn detached(&mut self, _: &mut Peers, _: PeerId) {}

    fn is_ready(&self, _: Awaited) -> bool {
        self.things > 0
    }
}

fn give(hub: &Hub<Basket>) {
    hub.act(|basket, peers| {
        basket.things += 1;
        peers.wants.push(Want::Ready(Awaited::Readable));
    });
}

fn wait(hub: &Hub<Basket>, deadline: Option<Instant>) -> Result<(), Stop> {
    hub.wait(Awaited::Readable, deadline, |basket, _| {
        basket.things = basket.things.checked_sub(1)?;
        Some(())
    })
}

// -- the world outside

/// Edge-triggered, as the system's: what came before a poll ends it at once, and only once.
#[derive(Default)]
struct Bell {
    edges: Mutex<Edges>,
    poll: Thread,
}

#[derive(Default)]
struct Edges {
    is_rung: bool,
    /// Things that came and were not read.
    arrived: usize,
}

impl Bell {
    fn ring(&self) {
        self.edges.lock().is_rung = true;
        self.poll.unpark();
    }

    /// Something comes from a peer.
    fn arrive(&self) {
        self.edges.lock().arrived += 1;
        self.poll.unpark();
    }

    fn poll(&self, sleep: bool, until: Option<Instant>) -> usize {
        let limit = until.map(|_| LEASE);
        for round in 0.. {
            let mut edges = self.edges.lock();
            let is_rung = std::mem::take(&mut edges.is_rung);
            let arrived = std::mem::take(&mut edges.arrived);
            drop(edges);
            if is_rung || arrived > 0 || !sleep || limit.is_some() && round > 0 {
                return arrived;
            }
            self.poll.sleep(limit);
        }
        0
    }
}

/// A net of which only the streams are used.
struct Nowhere;

/// A stream that takes what is written, and something comes of it.
struct Takes(Arc<Hub<Basket>>);

impl Stream for Takes {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn write_vectored(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(
            is_driving(),
            "nobody else writes here, and a waker that waited would never return"
        );
        give(&self.0);
        Ok(from.iter().map(|slice| slice.len()).sum())
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn connected(&self) -> io::Result<Option<Reached>> {
        Ok(None)
    }
}

impl Net for Nowhere {
    type Stream = Takes;
    type Listener = ();

    fn now(&self) -> Instant {
        unreachable!("the seat has a clock of its own")
    }

    fn chance(&mut self) -> u64 {
        0
    }

    fn secret(&mut self, _: &mut [u8]) -> io::Result<()> {
        Ok(())
    }

    fn run_aside(&mut self, _: Box<dyn FnOnce() + Send>) -> bool {
        false
    }

    fn resolve(&mut self, _: &str, _: u16, _: Box<dyn FnOnce(Resolved) + Send>) {}

    fn connect(&mut self, _: &Address, _: &TransportOptions, _: usize) -> io::Result<Takes> {
        Err(ErrorKind::Unsupported.into())
    }

    fn listen(&mut self, (): &mut (), _: usize) -> io::Result<()> {
        Ok(())
    }

    fn unlisten(&mut self, (): &mut ()) {}

    fn accept(&mut self, (): &(), _: &TransportOptions, _: usize) -> io::Result<(Takes, String)> {
        Err(ErrorKind::WouldBlock.into())
    }
}

// -- one context

#[derive(Clone)]
struct World {
    seat: Arc<Seat<Nowhere>>,
    bell: Arc<Bell>,
    hub: Arc<Hub<Basket>>,
    clock: Arc<Clock>,
}

/// Stands still, and later is an hour later each time. No step of the model: it does not matter when it is read.
struct Clock {
    start: Instant,
    is_later: std::sync::atomic::AtomicBool,
    hours: std::sync::atomic::AtomicU64,
}

impl Clock {
    fn now(&self) -> Instant {
        if self.is_later.load(Ordering::SeqCst) {
            self.hours.fetch_add(1, Ordering::SeqCst);
        }
        self.start + Duration::from_secs(3600 * self.hours.load(Ordering::SeqCst))
    }
}

impl World {
    fn new() -> Self {
        let bell: Arc<Bell> = Arc::default();
        let clock = Arc::new(Clock {
            start: Instant::now(),
            is_later: false.into(),
            hours: 0.into(),
        });
        let (rings, tells) = (Arc::clone(&bell), Arc::clone(&clock));
        let seat = Seat::new(move || rings.ring(), move || tells.now(), Spin::of(Duration::ZERO));
        let hub = Arc::new(Hub::new(Basket::default(), Options::default(), 1, seat.clone()));
        World { seat, bell, hub, clock }
    }

    /// The keeper has left the seat, and sleeps for ever.
    fn without_keeper() -> Self {
        let world = World::new();
        *world.seat.reins.lock() = Some(Reins {
            turns: Box::new(world.turns(KeeperIs::Sitting)),
            spin: Spin::of(ContextOptions::default().spin),
        });
        let mut state = world.seat.state.lock();
        state.sitter = Sitter::Nobody;
        state.keeper = Keeper::Lease;
        drop(state);
        world
    }

    fn with_keeper(keeper_is: KeeperIs) -> (Self, JoinHandle<()>) {
        let world = World::new();
        let turns = world.turns(keeper_is);
        let seat = Arc::clone(&world.seat);
        let keeper = spawn(move || seat.keep(Box::new(turns), Spin::of(ContextOptions::default().spin)));
        (world, keeper)
    }

    fn turns(&self, keeper_is: KeeperIs) -> Loop {
        Loop {
            seat: Arc::clone(&self.seat),
            bell: Arc::clone(&self.bell),
            hub: Arc::clone(&self.hub),
            work: Work::default(),
            keeper_is,
        }
    }

    /// A thread that waits for one thing.
    fn waits(&self) -> JoinHandle<()> {
        let world = self.clone();
        spawn(move || assert_eq!(wait(&world.hub, None), Ok(())))
    }

    fn session(&self) -> Arc<Session<Nowhere>> {
        let station: Arc<dyn Station> = self.hub.clone();
        let stream = Takes(Arc::clone(&self.hub));
        let origin = Origin::Accepted("".into());
        let session = Session::new(0, stream, station, Arc::clone(&self.seat), origin, Fresh::none());
        session.transmit();
        session
    }

    /// Time passes.
    fn later(&self) {
        self.clock.is_later.store(true, Ordering::SeqCst);
        let_time_pass();
    }

    /// All waits are over.
    fn end(self, keeper: Option<JoinHandle<()>>) {
        let state = self.seat.state.lock();
        assert!(state.sitter != Sitter::Application && state.parked == 0);
        drop(state);
        if let Some(keeper) = keeper {
            self.seat.shut_down();
            keeper.join().expect("the keeper ends");
            let state = self.seat.state.lock();
            assert!(state.is_over && state.notes.is_empty() && state.flushes.is_empty());
            assert_eq!(state.sitter, Sitter::Keeper);
        }
        // They hold the seat that holds them.
        let reins = self.seat.reins.lock().take();
        drop(reins);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeeperIs {
    /// In its first poll.
    Sitting,
    /// About to leave the seat, as after it has woken a thread.
    Leaving,
}

/// What the reactor is, with a bell for a poll.
struct Loop {
    seat: Arc<Seat<Nowhere>>,
    bell: Arc<Bell>,
    hub: Arc<Hub<Basket>>,
    work: Work<Nowhere>,
    keeper_is: KeeperIs,
}

impl Turns for Loop {
    fn turn(&mut self, nap: Nap, _: Instant) -> Turned {
        if std::mem::replace(&mut self.keeper_is, KeeperIs::Sitting) == KeeperIs::Leaving {
            wake_somebody();
            return Turned::Again;
        }
        let begun = self.seat.state.lock().changes;
        let mut slept = 0;
        let wants_sleep = matches!(nap, Nap::Until(_));
        let arrived = match (self.seat.before_poll(wants_sleep, &mut self.work), nap) {
            (Before::ShutDown, _) => return Turned::Over,
            (Before::Idle, Nap::Until(until)) => {
                let arrived = self.bell.poll(true, until);
                self.seat.after_poll();
                slept = 1;
                arrived
            }
            (Before::Work, _) => {
                self.do_work();
                self.bell.poll(false, None)
            }
            _ => self.bell.poll(false, None),
        };
        (0..arrived).for_each(|_| give(&self.hub));
        // Nobody has sat down, or left the seat, in the meantime.
        assert_eq!(self.seat.state.lock().changes, begun + slept, "two drive");
        if arrived > 1 { Turned::Flooded } else { Turned::Again }
    }

    fn slept(&self) -> Duration {
        Duration::ZERO
    }

    fn end(&mut self) {
        self.do_work();
        self.work = self.seat.end();
        self.do_work();
    }
}

impl Loop {
    fn do_work(&mut self) {
        for session in self.work.flushes.drain(..) {
            let mut effects = Effects::default();
            assert_eq!(session.flush(&mut effects), Ok(Flushed::Done));
            effects.run();
        }
        for note in self.work.notes.drain(..) {
            match note {
                Note::Unbind { answer, .. } => answer.give(true),
                Note::Close { station, .. } => {
                    let mut effects = Effects::default();
                    station.engine_done(&mut effects);
                    effects.run();
                }
                _ => unreachable!("nobody notes it"),
            }
        }
    }
}

/// Counts as a wake, and reaches nobody.
fn wake_somebody() {
    struct Silence;
    impl Ring for Silence {
        fn ring(&self) {}
    }
    Parker::with(|parker, waker| {
        let _silent = parker.rung_by(Arc::new(Silence));
        waker.wake_by_ref();
        parker.reset();
    });
}

// -- what is checked

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

//! Who drives the loop, and how others reach it: *who waits, drives*.
//!
//! One thread at a time sits in the seat and runs the reactor's turns. A thread that would otherwise sleep takes it if it
//! is free, so that data which somebody waits for is read by the one who wants it. The loop's own thread, the *keeper*,
//! sits while nobody else does: it steps back once it has woken a thread, and comes back when the seat has been empty for
//! a lease, or for up to eight where those who left it were back whenever it looked. Where several peers send more than a
//! turn takes it stays, since to read that fills a thread. All of this is one value under one lock, a leaf, held for
//! nanoseconds and never over a call.
//!
//! The seat is for polling. Writing never needs it: the keeper flushes also while somebody else sits. Nor does what another
//! thread of the context sends: one of those that wait beside who sits looks for it, for a moment, before it sleeps too.

mod forks;
mod keeper;
#[cfg(all(test, loom))]
mod model;
mod sitting;

use super::notes::Note;
use super::session::Session;
use super::spin::Spin;
use crate::hub::Drive;
use crate::sync::{AtomicUsize, Mutex, Ordering, SpinMutex, SpinMutexGuard, Thread, catch, per_thread};
use crate::transport::Net;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tracing::error;

/// What who sits runs: the reactor.
pub(crate) trait Turns: Send {
    /// One turn, begun now: notes, what the system reports, timers.
    fn turn(&mut self, nap: Nap, now: Instant) -> Turned;

    /// How long the last one slept.
    fn slept(&self) -> Duration;

    /// The last: the context is over.
    fn end(&mut self);
}

/// How long a turn may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nap {
    /// Not at all.
    None,
    /// Not at all, and to look where the last came from is enough for once: nobody waits for anything else.
    Glance,
    /// Until something happens, or until then; `None`: for ever.
    Until(Option<Instant>),
}

/// Whether there is another turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    Over,
    /// There may be more to do.
    Again,
    /// The same, and a handshake came further: what follows may come within a moment.
    Greeted,
    /// There is: several peers send more than a turn takes. To read that fills a thread of its own.
    Flooded,
}

/// The seat of one context.
pub(crate) struct Seat<N: Net> {
    state: SpinMutex<State<N>>,
    /// Locked only by who sits, so nobody ever waits for it. `None` in a simulated world, which takes the turns itself,
    /// and once the context is over.
    reins: Mutex<Option<Reins>>,
    /// Pending futures: they wait, and cannot drive.
    futures: AtomicUsize,
    doorbell: Box<dyn Fn() + Send + Sync>,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    process: u32,
    /// How long a thread may look for something before it does without; zero: nobody looks.
    longest_look: Duration,
    /// Itself, for those who are to be able to ring it.
    this: Weak<Seat<N>>,
}

struct Reins {
    turns: Box<dyn Turns>,
    spin: Spin,
}

struct State<N: Net> {
    sitter: Sitter,
    /// Who sits is inside a poll that may sleep: the doorbell wakes it.
    is_asleep: bool,
    /// It was rung since it last looked.
    is_rung: bool,
    /// Counts sitting down, standing up and falling asleep.
    changes: u64,
    keeper: Keeper,
    keeper_thread: Option<Thread>,
    /// When the seat was left, while a lease runs.
    left_at: Option<Instant>,
    /// The seat was taken by an application's thread since the keeper last left it.
    was_used: bool,
    /// Application threads that wait and do not sit.
    parked: usize,
    /// One of them does not sleep yet: it looks whether it is woken.
    is_looking: bool,
    /// What such looks have taught.
    spin: Spin,
    /// What waits to be written. Like `notes` oldest first; each is taken within one turn, so their number is bounded by
    /// what is asked between two turns: one flush and one resume a session, and what the application calls.
    flushes: VecDeque<Arc<Session<N>>>,
    notes: VecDeque<Note<N>>,
    is_shut_down: bool,
    /// The loop has gone: notes are dropped.
    is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sitter {
    Nobody,
    Keeper,
    Application,
}

/// What the keeper does while it does not sit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// It is awake, and looks at everything before it sleeps.
    Running,
    /// It has written a part of a stream, and sleeps for a moment while the rest grows. Whoever waits for it writes before.
    Pacing,
    /// It sleeps until a lease is over.
    Lease,
    /// It sleeps for longer, because those who leave the seat come back: until it is called, for others who wait.
    Trusting,
    /// It sleeps until it is called: who sits is asleep too.
    Deep,
}

/// What was noted, for who takes a turn; the queues keep their memory from one to the next.
pub(crate) struct Work<N: Net> {
    pub(crate) flushes: VecDeque<Arc<Session<N>>>,
    pub(crate) notes: VecDeque<Note<N>>,
}

/// What a turn may do at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Notes were waiting.
    Work,
    /// Nothing waits: who polls now may sleep if it wanted to, and is rung for the next note.
    Idle,
    /// Somebody rang: look, and do not sleep.
    Rung,
    /// The context is over.
    ShutDown,
}

impl<N: Net> Default for Work<N> {
    fn default() -> Self {
        Work {
            flushes: VecDeque::new(),
            notes: VecDeque::new(),
        }
    }
}

impl<N: Net> Seat<N> {
    /// A seat in which the keeper sits.
    pub(crate) fn new(
        doorbell: impl Fn() + Send + Sync + 'static,
        clock: impl Fn() -> Instant + Send + Sync + 'static,
        spin: Spin,
    ) -> Arc<Self> {
        let longest_look = spin.look();
        Arc::new_cyclic(|this| Seat {
            state: SpinMutex::new(State {
                sitter: Sitter::Keeper,
                is_asleep: false,
                is_rung: false,
                changes: 0,
                keeper: Keeper::Running,
                keeper_thread: None,
                left_at: None,
                was_used: false,
                parked: 0,
                is_looking: false,
                spin,
                flushes: VecDeque::new(),
                notes: VecDeque::new(),
                is_shut_down: false,
                is_over: false,
            }),
            reins: Mutex::new(None),
            futures: AtomicUsize::new(0),
            doorbell: Box::new(doorbell),
            clock: Box::new(clock),
            process: std::process::id(),
            longest_look,
            this: Weak::clone(this),
        })
    }

    // -- asking for attention

    /// Asks who sits. Wakes only a sleeper. `false`: the loop is gone, and the note with it.
    pub(crate) fn note(&self, note: Note<N>) -> bool {
        let mut state = self.state.lock();
        if state.is_over {
            drop(state);
            // Dropped without the lock: it may hold the application's values.
            drop(note);
            return false;
        }
        // Whoever makes room by receiving comes back to wait within a moment, and reads then, also for those who are parked;
        // or the lease ends. (Called for them, the keeper and a receiver of many woke each other for every batch.) A future
        // that makes room does not come back to sit.
        let can_wait = matches!(note, Note::Resume(_))
            && state.sitter == Sitter::Nobody
            && state.left_at.is_some()
            && self.futures.load(Ordering::Relaxed) == 0;
        state.notes.push_back(note);
        if !can_wait {
            self.call(state);
        }
        true
    }

    /// Asks for a session to be flushed: by the keeper, if it does not sit.
    pub(crate) fn note_flush(&self, session: Arc<Session<N>>) {
        let mut state = self.state.lock();
        if state.is_over {
            drop(state);
            return;
        }
        state.flushes.push_back(session);
        if state.sitter == Sitter::Keeper {
            self.call(state);
        } else if state.keeper != Keeper::Pacing {
            rouse(state);
        }
    }

    /// Wakes who sits if it sleeps, or the keeper if nobody sits.
    fn call(&self, mut state: SpinMutexGuard<'_, State<N>>) {
        if state.sitter == Sitter::Nobody {
            state.left_at = None;
            rouse(state);
        } else if std::mem::take(&mut state.is_asleep) {
            drop(state);
            (self.doorbell)();
        }
    }

    fn others_wait(&self, state: &State<N>) -> bool {
        state.parked > 0 || self.futures.load(Ordering::Relaxed) > 0
    }

    // -- for who sits

    /// Takes what was noted, into queues that are empty; if there is nothing and the caller `wants_sleep`, declares that
    /// it is about to. Test and declaration are one step, so a note that comes later rings.
    pub(crate) fn before_poll(&self, wants_sleep: bool, work: &mut Work<N>) -> Before {
        let mut state = self.state.lock();
        if !state.notes.is_empty() || !state.flushes.is_empty() {
            std::mem::swap(&mut work.notes, &mut state.notes);
            std::mem::swap(&mut work.flushes, &mut state.flushes);
            return Before::Work;
        }
        if state.is_shut_down {
            return Before::ShutDown;
        }
        if std::mem::take(&mut state.is_rung) {
            return Before::Rung;
        }
        if wants_sleep {
            state.is_asleep = true;
            state.changes += 1;
        }
        Before::Idle
    }

    /// The poll returned.
    pub(crate) fn after_poll(&self) {
        self.state.lock().is_asleep = false;
    }

    fn turn(&self, reins: &mut Reins, nap: Nap, now: Instant) -> Turned {
        catch(|| reins.turns.turn(nap, now)).unwrap_or_else(|_| {
            self.give_up();
            Turned::Over
        })
    }

    /// The engine has no reason to panic; if it does, its context is over: waiting calls end instead of hanging.
    fn give_up(&self) {
        error!("the event loop panicked; its sockets are dead");
        self.shut_down();
    }

    pub(crate) fn longest_look(&self) -> Duration {
        self.longest_look
    }

    // -- its end

    /// Ends the loop after the notes that wait now.
    pub(crate) fn shut_down(&self) {
        let mut state = self.state.lock();
        state.is_shut_down = true;
        let is_asleep = std::mem::take(&mut state.is_asleep);
        rouse(state);
        if is_asleep {
            (self.doorbell)();
        }
    }

    /// The loop goes: what waits is given back once, what comes from now on is refused.
    pub(crate) fn end(&self) -> Work<N> {
        let mut state = self.state.lock();
        state.is_over = true;
        Work {
            flushes: std::mem::take(&mut state.flushes),
            notes: std::mem::take(&mut state.notes),
        }
    }

    /// Whether the calling thread is in a child of the process whose seat it is.
    pub(crate) fn is_forked(&self) -> bool {
        self.is_forked_at(self.now())
    }

    /// The same, for who knows what time it is.
    pub(crate) fn is_forked_at(&self, now: Instant) -> bool {
        self.process != forks::process_here(now)
    }

    /// The calling thread has found out that it is not forked, and has been in calls of ours since.
    pub(crate) fn still_not_forked(&self, now: Instant) {
        forks::still_here(now);
    }
}

impl<N: Net> State<N> {
    fn is_free(&self) -> bool {
        self.sitter == Sitter::Nobody && !self.is_shut_down
    }
}

/// Lets the keeper look at everything, if it sleeps.
fn rouse<N: Net>(mut state: SpinMutexGuard<'_, State<N>>) {
    if state.keeper != Keeper::Running {
        state.keeper = Keeper::Running;
        let thread = state.keeper_thread.clone();
        drop(state);
        if let Some(thread) = thread {
            thread.unpark();
        }
    }
}

/// Marks this thread as one that drives: calls that would wait here fail instead.
pub(crate) fn drive_here() -> Driving {
    DRIVING.with(|driving| driving.set(true));
    Driving
}

/// Whether the calling thread drives a loop.
pub(crate) fn is_driving() -> bool {
    DRIVING.with(Cell::get)
}

/// While it lives, its thread drives.
pub(crate) struct Driving;

impl Drop for Driving {
    fn drop(&mut self) {
        DRIVING.with(|driving| driving.set(false));
    }
}

per_thread! {
    static DRIVING: Cell<bool> = const { Cell::new(false) };
}

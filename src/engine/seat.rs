//! Who drives the loop, and how others reach it: *who waits, drives*.
//!
//! One thread at a time sits in the seat and runs the reactor's turns. A thread that would otherwise sleep takes it if it
//! is free, so that data which somebody waits for is read by the one who wants it. The loop's own thread, the *keeper*,
//! sits while nobody else does: it steps back once it has woken a thread, and comes back when the seat has been empty for
//! a lease. All of this is one value under one lock, a leaf, held for nanoseconds and never over a call.
//!
//! The seat is for polling. Writing never needs it: the keeper flushes also while somebody else sits.

#[cfg(all(test, loom))]
mod model;

use super::notes::Note;
use super::session::{Flushed, Session};
use super::spin::Spin;
use crate::hub::{CannotWait, Drive, Effects};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, Parker, Ring, Thread, catch, per_thread};
use crate::transport::Net;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tracing::error;

/// What who sits runs: the reactor.
pub(crate) trait Turns: Send {
    /// One turn: notes, what the system reports, timers.
    fn turn(&mut self, nap: Nap) -> Turned;

    /// The last: the context is over.
    fn end(&mut self);
}

/// How long a turn may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nap {
    /// Not at all.
    None,
    /// Until something happens, or until then; `None`: for ever.
    Until(Option<Instant>),
}

/// Whether there is another turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    Over,
    Again,
}

/// The seat of one context.
pub(crate) struct Seat<N: Net> {
    state: Mutex<State<N>>,
    /// Locked only by who sits, so nobody ever waits for it. `None` in a simulated world, which takes the turns itself,
    /// and once the context is over.
    reins: Mutex<Option<Reins>>,
    /// Pending futures: they wait, and cannot drive.
    futures: AtomicUsize,
    doorbell: Box<dyn Fn() + Send + Sync>,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    process: u32,
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
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Seat {
            state: Mutex::new(State {
                sitter: Sitter::Keeper,
                is_asleep: false,
                is_rung: false,
                changes: 0,
                keeper: Keeper::Running,
                keeper_thread: None,
                left_at: None,
                was_used: false,
                parked: 0,
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
        // Whoever makes room by receiving comes back to wait within a moment, and reads then; or the lease ends.
        let can_wait = matches!(note, Note::Resume(_))
            && state.sitter == Sitter::Nobody
            && state.left_at.is_some()
            && !self.others_wait(&state);
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
    fn call(&self, mut state: MutexGuard<'_, State<N>>) {
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

    // -- the keeper's life

    /// Runs the loop on this thread until the context is shut down.
    pub(crate) fn keep(&self, turns: Box<dyn Turns>) {
        // Also while it writes without the seat: wakers run then too, and nobody else would end a wait of theirs.
        let _driving = drive_here();
        *self.reins.lock() = Some(Reins {
            turns,
            spin: Spin::default(),
        });
        self.state.lock().keeper_thread = Some(crate::sync::current());
        self.keep_until_over();
        // From here on nobody else sits.
        let reins = self.reins.lock().take();
        if let Some(mut reins) = reins
            && catch(|| reins.turns.end()).is_err()
        {
            error!("the event loop panicked at its end");
        }
    }

    /// Returns with the seat taken.
    fn keep_until_over(&self) {
        let mut patience = Patience::default();
        let mut changes_seen = 0;
        let mut flushes = VecDeque::new();
        if self.sit(Nap::Until(None), &mut patience) == Turned::Over {
            return;
        }
        loop {
            let now = self.now();
            let mut state = self.state.lock();
            state.keeper = Keeper::Running;
            let lease_left = self.lease_left(&state, now);
            if !state.flushes.is_empty() {
                if state.sitter == Sitter::Nobody && lease_left.is_none() {
                    // A stream may never pause, and nobody looks at the rest meanwhile: one turn, and on with the stream.
                    // It does not stay, because a stream that is written from the seat is written in small pieces.
                    state.sitter = Sitter::Keeper;
                    state.changes += 1;
                    drop(state);
                    if self.sit(Nap::None, &mut patience) == Turned::Over {
                        return;
                    }
                    continue;
                }
                std::mem::swap(&mut flushes, &mut state.flushes);
                drop(state);
                let mut is_little = true;
                for session in flushes.drain(..) {
                    is_little &= self.flush(session) == Flushed::Little;
                }
                if is_little {
                    let mut state = self.state.lock();
                    if state.notes.is_empty() && !state.is_shut_down {
                        state.keeper = Keeper::Pacing;
                        drop(state);
                        crate::sync::park(Some(PACE));
                    }
                }
                continue;
            }
            match state.sitter {
                Sitter::Application => {
                    let is_deep = state.is_asleep && state.changes == changes_seen || state.is_shut_down;
                    changes_seen = state.changes;
                    state.keeper = if is_deep { Keeper::Deep } else { Keeper::Lease };
                    drop(state);
                    crate::sync::park(if is_deep { None } else { Some(LEASE / 2) });
                }
                Sitter::Nobody | Sitter::Keeper => {
                    if let Some(left) = lease_left {
                        state.keeper = Keeper::Lease;
                        drop(state);
                        crate::sync::park(Some(left));
                        continue;
                    }
                    state.sitter = Sitter::Keeper;
                    state.changes += 1;
                    patience.came_back(std::mem::take(&mut state.was_used));
                    drop(state);
                    if self.sit(Nap::Until(None), &mut patience) == Turned::Over {
                        return;
                    }
                }
            }
        }
    }

    /// How long the seat stays empty for who left it. `None`: no longer.
    fn lease_left(&self, state: &State<N>, now: Instant) -> Option<Duration> {
        let lease = if self.others_wait(state) { SHORT_LEASE } else { LEASE };
        let left_at = state.left_at.filter(|_| !state.is_shut_down)?;
        let left = lease.saturating_sub(now.saturating_duration_since(left_at));
        (!left.is_zero()).then_some(left)
    }

    /// The keeper's turns: one without a nap, or as many as it takes until it has woken a thread that may want the seat.
    fn sit(&self, mut nap: Nap, patience: &mut Patience) -> Turned {
        loop {
            if self.take_turns(nap, patience) == Turned::Over {
                return Turned::Over;
            }
            if self.stand_up() {
                return Turned::Again;
            }
            nap = Nap::None;
        }
    }

    /// Gives the reins back before the seat, so that who takes the seat does not wait for them.
    fn take_turns(&self, nap: Nap, patience: &mut Patience) -> Turned {
        let mut reins = self.reins.lock();
        let Some(reins) = reins.as_mut() else {
            return Turned::Over;
        };
        loop {
            let woken = Parker::woken_here();
            if self.turn(reins, nap) == Turned::Over {
                return Turned::Over;
            }
            if nap == Nap::None || Parker::woken_here() != woken && patience.is_over() {
                return Turned::Again;
            }
        }
    }

    /// The keeper leaves the seat. `false`: something was noted since its last turn, for which it would not be called.
    fn stand_up(&self) -> bool {
        let now = self.now();
        let mut state = self.state.lock();
        if !state.notes.is_empty() {
            return false;
        }
        state.sitter = Sitter::Nobody;
        state.left_at = Some(now);
        state.changes += 1;
        true
    }

    fn turn(&self, reins: &mut Reins, nap: Nap) -> Turned {
        catch(|| reins.turns.turn(nap)).unwrap_or_else(|_| {
            self.give_up();
            Turned::Over
        })
    }

    /// Writes without the seat, once; what needs the engine is noted for who sits.
    fn flush(&self, session: Arc<Session<N>>) -> Flushed {
        let written = catch(|| {
            let mut effects = Effects::default();
            let flushed = session.flush_once(&mut effects);
            effects.run();
            flushed
        });
        match written {
            Ok(Ok(Flushed::Done)) if !session.is_shut() => Flushed::Done,
            Ok(Ok(more @ (Flushed::More | Flushed::Little))) => {
                self.note_flush(session);
                more
            }
            Ok(Ok(Flushed::Done) | Err(_)) => {
                self.note(Note::Serve(session));
                Flushed::Done
            }
            Err(_) => {
                self.give_up();
                Flushed::Done
            }
        }
    }

    /// The engine has no reason to panic; if it does, its context is over: waiting calls end instead of hanging.
    fn give_up(&self) {
        error!("the event loop panicked; its sockets are dead");
        self.shut_down();
    }

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

    // -- the application's threads

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
        Some(Sitting(self))
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

    pub(crate) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }
}

impl<N: Net> State<N> {
    fn is_free(&self) -> bool {
        self.sitter == Sitter::Nobody && !self.is_shut_down
    }
}

/// Lets the keeper look at everything, if it sleeps.
fn rouse<N: Net>(mut state: MutexGuard<'_, State<N>>) {
    if state.keeper != Keeper::Running {
        state.keeper = Keeper::Running;
        let thread = state.keeper_thread.clone();
        drop(state);
        if let Some(thread) = thread {
            thread.unpark();
        }
    }
}

/// The kernel's timer counts whole milliseconds: who has less left is woken by a finer one, and lets the keeper drive.
fn is_worth_sitting(left: Option<Duration>) -> bool {
    left.is_none_or(|left| left >= Duration::from_millis(1))
}

/// While it lives, an application's thread sits.
struct Sitting<'a, N: Net>(&'a Seat<N>);

impl<N: Net> Sitting<'_, N> {
    /// Runs the loop until the parker is woken (`true`), or the deadline is too near to sit for, or the context is over.
    fn drive(&self, parker: &Parker, deadline: Option<Instant>) -> bool {
        let seat = self.0;
        let _driving = drive_here();
        let mut reins = seat.reins.lock();
        let Some(reins) = reins.as_mut() else { return false };
        let Some(ring) = seat.this.upgrade() else { return false };
        let _bell = parker.rung_by(ring);
        let turn = |reins: &mut Reins, nap| match seat.turn(reins, nap) {
            Turned::Over => Some(false),
            Turned::Again => parker.was_woken().then_some(true),
        };
        if let Some(end) = turn(reins, Nap::None) {
            return end;
        }
        loop {
            let begin = seat.now();
            if let Some(limit) = reins.spin.plan() {
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
        let now = self.0.now();
        let mut state = self.0.state.lock();
        state.sitter = Sitter::Nobody;
        state.is_asleep = false;
        state.changes += 1;
        // What was noted meanwhile waits for nobody's lease.
        state.left_at = state.notes.is_empty().then_some(now);
        if state.keeper == Keeper::Deep || !state.notes.is_empty() {
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
                Some(sitting) if sitting.drive(parker, deadline) => return true,
                Some(_) => {}
                None => self.park(parker, left),
            }
        }
    }

    fn future_waits(&self) {
        self.futures.fetch_add(1, Ordering::Relaxed);
    }

    fn future_is_over(&self) {
        self.futures.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many threads the keeper wakes before it steps back for them: more and more while nobody takes the seat.
#[derive(Debug, Default)]
struct Patience {
    wakes: u32,
    left: u32,
}

impl Patience {
    /// The seat was free for a lease.
    fn came_back(&mut self, was_used: bool) {
        self.wakes = if was_used { 0 } else { (self.wakes * 2).clamp(2, 64) };
        self.left = self.wakes;
    }

    /// A thread was woken.
    fn is_over(&mut self) -> bool {
        let is_over = self.left == 0;
        self.left = self.left.saturating_sub(1);
        is_over
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

/// How long a stream that is written without the seat is let grow.
const PACE: Duration = Duration::from_micros(50);
/// How long the seat stays empty for who left it, before the keeper comes back.
const LEASE: Duration = Duration::from_millis(1);
/// The same while others wait who cannot take it.
const SHORT_LEASE: Duration = Duration::from_micros(200);

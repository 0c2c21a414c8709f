//! The loop's own thread: it sits while nobody else does, and writes beside who sits.

use super::{Keeper, Nap, Reins, Seat, Sitter, State, Turned, Turns, drive_here};
use crate::engine::notes::Note;
use crate::engine::session::{Flushed, Session};
use crate::engine::spin::Spin;
use crate::hub::{Drive, Effects};
use crate::sync::{Parker, catch};
use crate::transport::Net;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::error;

impl<N: Net> Seat<N> {
    /// Runs the loop on this thread until the context is shut down.
    pub(crate) fn keep(&self, turns: Box<dyn Turns>, spin: Spin) {
        // Also while it writes without the seat: wakers run then too, and nobody else would end a wait of theirs.
        let _driving = drive_here();
        *self.reins.lock() = Some(Reins { turns, spin });
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
        let mut trust = Trust::default();
        let mut pause = Pause::default();
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
                let is_due = state.is_asleep || state.is_shut_down || !state.notes.is_empty();
                if pause.grows(state.changes, now) && !is_due && !self.others_wait(&state) {
                    state.keeper = Keeper::Pacing;
                    drop(state);
                    crate::sync::park(Some(pause.length));
                    continue;
                }
                std::mem::swap(&mut flushes, &mut state.flushes);
                drop(state);
                pause = match self.flush_all(&mut flushes) {
                    Some(changes) => Pause::begun(changes, now),
                    None => Pause::default(),
                };
                continue;
            }
            match state.sitter {
                Sitter::Application => {
                    let is_deep = state.is_asleep && state.changes == changes_seen || state.is_shut_down;
                    changes_seen = state.changes;
                    let sleep = trust.next(self.others_wait(&state));
                    state.keeper = match sleep {
                        _ if is_deep => Keeper::Deep,
                        sleep if sleep > LEASE => Keeper::Trusting,
                        _ => Keeper::Lease,
                    };
                    // Nobody who waits counts on the end of a longer sleep than a lease: in the model there is none.
                    let is_endless = is_deep || cfg!(loom) && state.keeper == Keeper::Trusting;
                    drop(state);
                    crate::sync::park((!is_endless).then_some(sleep));
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
                    trust = Trust::default();
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
            match self.turn(reins, nap, self.now()) {
                Turned::Over => return Turned::Over,
                Turned::Flooded if nap != Nap::None => continue,
                Turned::Greeted if nap != Nap::None => {
                    reins.spin.slept(reins.turns.slept());
                    if self.look_for_more(reins, woken) == Turned::Over {
                        return Turned::Over;
                    }
                }
                Turned::Again | Turned::Greeted | Turned::Flooded => {}
            }
            if nap == Nap::None || Parker::woken_here() != woken && patience.is_over() {
                return Turned::Again;
            }
        }
    }

    /// Handshakes come many at a time, and each waits for us more than once: looks before it sleeps, until nothing comes of
    /// any, or a thread was woken.
    fn look_for_more(&self, reins: &mut Reins, woken: u64) -> Turned {
        let mut begin = self.now();
        while let Some(limit) = reins.spin.plan(Duration::MAX) {
            loop {
                match self.turn(reins, Nap::None, self.now()) {
                    Turned::Greeted => break reins.spin.paid(),
                    Turned::Again => {}
                    end @ (Turned::Over | Turned::Flooded) => return end,
                }
                if Parker::woken_here() != woken {
                    return Turned::Again;
                }
                if self.now().saturating_duration_since(begin) >= limit {
                    reins.spin.wasted();
                    return Turned::Again;
                }
            }
            begin = self.now();
        }
        Turned::Again
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

    /// Writes without the seat, once to each; and pauses while more of what it writes comes, if it was little. Gives how often
    /// the seat had changed hands when it did.
    fn flush_all(&self, sessions: &mut VecDeque<Arc<Session<N>>>) -> Option<u64> {
        // Writing to many takes longer, and each write wakes a process: about as much again, so that more goes with each. By
        // their number: measured, it would be as long as this thread was kept from running.
        let pace = EACH.saturating_mul(sessions.len() as u32).clamp(PACE, LONGEST_PACE);
        let mut is_little = true;
        for session in sessions.drain(..) {
            is_little &= self.flush(session) == Flushed::Little;
        }
        if !is_little {
            return None;
        }
        let mut state = self.state.lock();
        if !state.notes.is_empty() || state.is_shut_down {
            return None;
        }
        let changes = state.changes;
        state.keeper = Keeper::Pacing;
        drop(state);
        crate::sync::park(Some(pace));
        Some(changes)
    }

    /// Writes without the seat, once; what needs the engine is noted for who sits.
    pub(crate) fn flush(&self, session: Arc<Session<N>>) -> Flushed {
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

/// How long the keeper leaves a stream alone that an application's thread writes: one that sends until its peer is full and
/// then sits, and writes it all. As long as the seat changed hands in every pause, the next is twice as long; what is sent last
/// waits for two of them, which is a lease. (Looking every 50 us cost a stream of 16 bytes a fifth: each look takes the
/// sender's core, and cuts what it has gathered in two.)
#[derive(Debug, Default)]
struct Pause {
    /// How often the seat had changed hands when the last one began, and when that was.
    begun: Option<(u64, Instant)>,
    length: Duration,
}

impl Pause {
    /// One that is no longer than others.
    fn begun(changes: u64, now: Instant) -> Self {
        Pause {
            begun: Some((changes, now)),
            length: PACE,
        }
    }

    /// Whether there may be another: the last is just over, and somebody sat in it.
    fn grows(&mut self, changes: u64, now: Instant) -> bool {
        let grows = self
            .begun
            .is_some_and(|(before, at)| before != changes && now.saturating_duration_since(at) < LONGEST_PACE + LEASE);
        self.begun = grows.then_some((changes, now));
        self.length = (self.length * 2).min(LONGEST_PAUSE);
        grows
    }
}

/// How long the keeper sleeps while an application's thread sits: longer and longer, as long as it is there whenever the
/// keeper looks. A thread that takes what comes and waits for more is away for microseconds, and each look for whether it
/// is costs two changes of threads: of 64 subscribers on two cores a quarter of their time.
#[derive(Debug)]
struct Trust {
    looks: u32,
}

impl Default for Trust {
    fn default() -> Self {
        // The model cannot wait for it to grow.
        let looks = if cfg!(loom) { MOST_LOOKS } else { 0 };
        Trust { looks }
    }
}

impl Trust {
    /// The seat is taken.
    fn next(&mut self, others_wait: bool) -> Duration {
        self.looks = if others_wait {
            0
        } else {
            (self.looks + 1).min(MOST_LOOKS)
        };
        LEASE / 2 * (1 << self.looks)
    }
}

/// How long a stream that is written without the seat is let grow.
const PACE: Duration = Duration::from_micros(50);
/// What one write takes, of many.
const EACH: Duration = Duration::from_micros(8);
/// The longest pause, for one that goes to many.
const LONGEST_PACE: Duration = Duration::from_millis(1);
/// The longest pause while an application's thread writes.
const LONGEST_PAUSE: Duration = Duration::from_micros(500);
/// How long the seat stays empty for who left it, before the keeper comes back.
pub(super) const LEASE: Duration = Duration::from_millis(1);
/// The same while others wait who cannot take it.
const SHORT_LEASE: Duration = Duration::from_micros(200);
/// How often the keeper doubles its sleep beside who sits: up to eight leases.
const MOST_LOOKS: u32 = 4;

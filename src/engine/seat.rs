//! Who drives the loop, and how others reach it.
//!
//! One thread at a time sits in the seat and runs the engine's turns; today that is the loop's own thread. A note asks
//! for its attention: it wakes only a sleeper, and a sleeper looks for notes once more before it sleeps, so no note is
//! lost and none costs a system call while the loop is awake.

use super::session::Session;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::hub::{CannotWait, Drive, Station};
use crate::routing::PeerId;
use crate::sync::{Mutex, Parker};
use crate::transport::{Net, Resolved};
use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// What the engine is asked to look at.
pub(crate) enum Note<N: Net> {
    /// The session has something to write.
    Flush(Arc<Session<N>>),
    /// The session may read again.
    Resume(Arc<Session<N>>),
    /// The session is to end.
    Sever(Arc<Session<N>>, Failure),
    /// A new listener.
    Listen {
        station: Arc<dyn Station>,
        listener: N::Listener,
        endpoint: Endpoint,
    },
    /// A new dialer.
    Dial {
        station: Arc<dyn Station>,
        peer: PeerId,
        endpoint: Endpoint,
    },
    /// A listener is to go; its connections stay unless `with_connections`. Answers whether there was one.
    Unbind {
        key: u64,
        endpoint: Endpoint,
        with_connections: bool,
        answer: Answer<bool>,
    },
    /// A dialer is to go, after its linger time at the latest. Answers whether there was one.
    Disconnect {
        key: u64,
        endpoint: Endpoint,
        answer: Answer<bool>,
    },
    /// A socket closes: all of its listeners, dialers and sessions are to go, until the deadline at the latest.
    Close {
        station: Arc<dyn Station>,
        deadline: Option<Instant>,
    },
    /// A name was looked up.
    Resolved { token: usize, result: Resolved },
}

/// The seat of one context.
pub(crate) struct Seat<N: Net> {
    state: Mutex<State<N>>,
    doorbell: Box<dyn Fn() + Send + Sync>,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    process: u32,
}

struct State<N: Net> {
    /// Oldest first; each is taken within one turn, so their number is bounded by what is asked between two turns: one
    /// flush and one resume a session, and what the application calls.
    notes: Vec<Note<N>>,
    /// Who sits is inside a poll that may sleep: the doorbell wakes it.
    is_asleep: bool,
    is_shut_down: bool,
    /// The loop has gone: notes are dropped.
    is_over: bool,
}

/// What a turn may do at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Notes were waiting.
    Notes,
    /// Nothing waits: who polls now may sleep, and is rung for the next note.
    MaySleep,
    /// The context is over.
    ShutDown,
}

impl<N: Net> Seat<N> {
    pub(crate) fn new(
        doorbell: impl Fn() + Send + Sync + 'static,
        clock: impl Fn() -> Instant + Send + Sync + 'static,
    ) -> Self {
        Seat {
            state: Mutex::new(State {
                notes: Vec::new(),
                is_asleep: false,
                is_shut_down: false,
                is_over: false,
            }),
            doorbell: Box::new(doorbell),
            clock: Box::new(clock),
            process: std::process::id(),
        }
    }

    /// Asks for attention. Wakes the loop only if it sleeps. `false`: the loop is gone, and the note with it.
    pub(crate) fn note(&self, note: Note<N>) -> bool {
        let mut state = self.state.lock();
        if state.is_over {
            drop(state);
            // Dropped without the lock: it may hold the application's values.
            drop(note);
            return false;
        }
        state.notes.push(note);
        self.ring_if(state);
        true
    }

    fn ring_if(&self, mut state: std::sync::MutexGuard<'_, State<N>>) {
        let is_asleep = std::mem::take(&mut state.is_asleep);
        drop(state);
        if is_asleep {
            (self.doorbell)();
        }
    }

    /// Takes the notes, into a vector that is empty and keeps its memory; with none of them and `wants_sleep`, declares that the caller is about to sleep. Test and
    /// declaration are one step, so a note that comes later rings.
    pub(crate) fn before_poll(&self, wants_sleep: bool, notes: &mut Vec<Note<N>>) -> Before {
        let mut state = self.state.lock();
        if !state.notes.is_empty() {
            std::mem::swap(notes, &mut state.notes);
            return Before::Notes;
        }
        if state.is_shut_down {
            return Before::ShutDown;
        }
        state.is_asleep = wants_sleep;
        Before::MaySleep
    }

    /// The poll returned.
    pub(crate) fn after_poll(&self) {
        self.state.lock().is_asleep = false;
    }

    /// Ends the loop after the notes that wait now.
    pub(crate) fn shut_down(&self) {
        let mut state = self.state.lock();
        state.is_shut_down = true;
        self.ring_if(state);
    }

    /// The loop goes: what waits is given back once, what comes from now on is refused.
    pub(crate) fn end(&self) -> Vec<Note<N>> {
        let mut state = self.state.lock();
        state.is_over = true;
        std::mem::take(&mut state.notes)
    }

    /// Marks this thread as one that drives: calls that would wait here fail instead.
    pub(crate) fn drive_here(&self) -> Driving {
        DRIVING.set(true);
        Driving
    }

    pub(crate) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }
}

/// Whether the calling thread drives a loop.
pub(crate) fn is_driving() -> bool {
    DRIVING.get()
}

/// While it lives, its thread drives.
pub(crate) struct Driving;

impl Drop for Driving {
    fn drop(&mut self) {
        DRIVING.set(false);
    }
}

thread_local! {
    static DRIVING: Cell<bool> = const { Cell::new(false) };
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
            parker.park(left);
        }
    }
}

/// The giving end of an answer that is given once. Dropped without one, it says so.
pub(crate) struct Answer<T>(Arc<Mutex<Answering<T>>>);

/// The taking end: a future. `None`: nobody will answer.
pub(crate) struct Answered<T>(Arc<Mutex<Answering<T>>>);

struct Answering<T> {
    value: Option<T>,
    is_over: bool,
    waker: Option<Waker>,
}

/// The two ends of an answer.
pub(crate) fn answer<T>() -> (Answer<T>, Answered<T>) {
    let shared = Arc::new(Mutex::new(Answering {
        value: None,
        is_over: false,
        waker: None,
    }));
    (Answer(Arc::clone(&shared)), Answered(shared))
}

impl<T> Answer<T> {
    pub(crate) fn give(self, value: T) {
        self.0.lock().value = Some(value);
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Answered<T> {
    type Output = Option<T>;

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if state.is_over {
            return Poll::Ready(state.value.take());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

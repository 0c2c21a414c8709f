//! The only mio loop: polls, reads the clock once, and runs the engine's turn.
//!
//! Between two pieces of work it runs what they want done outside, so that a receiver is woken as soon as its messages
//! are there, and no lock is held then.

use super::seat::{Before, Note, Seat};
use super::{Engine, Readiness};
use crate::hub::Effects;
use crate::transport::real::RealNet;
use mio::{Events, Poll, Token, Waker};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{error, warn};

/// Starts the loop of a context on a thread of its own.
pub(crate) fn start() -> io::Result<(Arc<Seat<RealNet>>, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let doorbell = Waker::new(poll.registry(), DOORBELL)?;
    let ring = move || {
        if let Err(error) = doorbell.wake() {
            error!(%error, "the event loop cannot be woken");
        }
    };
    let seat = Arc::new(Seat::new(ring, Instant::now));
    let net = RealNet::new(poll.registry().try_clone()?);
    let engine = Engine::new(net, Arc::clone(&seat));
    let theirs = Arc::clone(&seat);
    let thread = std::thread::Builder::new().name("peermq".into()).spawn(move || {
        let mut reactor = Reactor {
            poll,
            events: Events::with_capacity(EVENTS),
            engine,
            seat: Arc::clone(&theirs),
            notes: Vec::new(),
        };
        // The engine has no reason to panic; if it does, waiting calls end instead of hanging.
        if catch_unwind(AssertUnwindSafe(|| reactor.run())).is_err() {
            error!("the event loop panicked; its sockets are dead");
        }
        let late = theirs.end();
        let end = AssertUnwindSafe(|| {
            let now = reactor.engine.now();
            for note in reactor.notes.drain(..).chain(late) {
                step(|effects| reactor.engine.on_note(note, now, effects));
            }
            step(|effects| reactor.engine.close_all(now, effects));
        });
        if catch_unwind(end).is_err() {
            error!("the event loop panicked at its end");
        }
    })?;
    Ok((seat, thread))
}

struct Reactor {
    poll: Poll,
    events: Events,
    engine: Engine<RealNet>,
    seat: Arc<Seat<RealNet>>,
    /// Empty between two turns; kept for its memory.
    notes: Vec<Note<RealNet>>,
}

impl Reactor {
    fn run(&mut self) {
        let seat = Arc::clone(&self.seat);
        let _driving = seat.drive_here();
        while self.turn() {}
    }

    /// One turn: notes, what the system reports, what stopped at its budget, timers. `false`: the context is over.
    fn turn(&mut self) -> bool {
        let has_ready = self.engine.has_ready();
        let now = self.engine.now();
        match self.seat.before_poll(!has_ready, &mut self.notes) {
            Before::ShutDown => return false,
            Before::Notes => {
                for note in self.notes.drain(..) {
                    step(|effects| self.engine.on_note(note, now, effects));
                }
                self.poll(Some(Duration::ZERO));
            }
            Before::MaySleep => {
                let left = self
                    .engine
                    .deadline()
                    .map(|deadline| deadline.saturating_duration_since(now));
                // mio counts whole milliseconds and would wake early.
                let timeout = left.map(|left| left.saturating_add(Duration::from_micros(999)));
                self.poll(if has_ready { Some(Duration::ZERO) } else { timeout });
                self.seat.after_poll();
            }
        }
        let now = self.engine.now();
        for event in &self.events {
            let readiness = Readiness {
                readable: event.is_readable(),
                writable: event.is_writable(),
                hung_up: event.is_read_closed() || event.is_error(),
            };
            step(|effects| self.engine.on_event(event.token().0, readiness, now, effects));
        }
        for _ in 0..READY {
            if !self.engine.has_ready() {
                break;
            }
            step(|effects| self.engine.on_ready(now, effects));
        }
        while step(|effects| self.engine.on_timeout(now, effects)) {}
        true
    }

    fn poll(&mut self, timeout: Option<Duration>) {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => {
                warn!(%error, "poll failed");
                self.events.clear();
            }
        }
    }
}

/// One piece of work, and then what it wants done outside.
fn step<R>(work: impl FnOnce(&mut Effects) -> R) -> R {
    let mut effects = Effects::default();
    let result = work(&mut effects);
    effects.run();
    result
}

/// The token that no slot has.
const DOORBELL: Token = Token(usize::MAX);
/// Events taken by one poll.
const EVENTS: usize = 1024;
/// Slots that go on in one turn after they stopped at their budget.
const READY: usize = 64;

//! The only mio loop: polls, reads the clock once, and runs the engine's turn.
//!
//! Between two pieces of work it runs what they want done outside, so that a receiver is woken as soon as its messages
//! are there, and no lock of a hub or session is held then. Which thread takes the turns is the seat's to know.

use super::glances::Glances;
use super::seat::{Before, Nap, Seat, Turned, Turns, Work};
use super::spin::Spin;
use super::{Engine, Readiness};
use crate::hub::Effects;
use crate::options::ContextOptions;
use crate::transport::real::RealNet;
use mio::{Events, Poll, Token, Waker};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{error, warn};

/// Starts the loop of a context; its keeper is a thread of its own.
pub(crate) fn start(options: &ContextOptions) -> io::Result<(Arc<Seat<RealNet>>, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let doorbell = Waker::new(poll.registry(), DOORBELL)?;
    let ring = move || {
        if let Err(error) = doorbell.wake() {
            error!(%error, "the event loop cannot be woken");
        }
    };
    let seat = Seat::new(ring, Instant::now, Spin::of(options.spin));
    let net = RealNet::new(poll.registry().try_clone()?);
    let reactor = Reactor {
        poll,
        events: Events::with_capacity(EVENTS),
        engine: Engine::new(net, Arc::clone(&seat)),
        seat: Arc::clone(&seat),
        work: Work::default(),
        slept: Duration::ZERO,
        glances: Glances::default(),
    };
    let theirs = Arc::clone(&seat);
    let spin = Spin::of(options.spin);
    let thread = std::thread::Builder::new()
        .name("peermq".into())
        .spawn(move || theirs.keep(Box::new(reactor), spin))?;
    Ok((seat, thread))
}

struct Reactor {
    poll: Poll,
    events: Events,
    engine: Engine<RealNet>,
    seat: Arc<Seat<RealNet>>,
    /// Empty between two turns; kept for its memory.
    work: Work<RealNet>,
    /// For how long the last turn did.
    slept: Duration,
    glances: Glances,
}

impl Turns for Reactor {
    fn turn(&mut self, nap: Nap, begun: Instant) -> Turned {
        if nap == Nap::Glance && self.is_glance_enough(begun) {
            return Turned::Again;
        }
        self.glances.end(begun);
        self.engine.count_turn();
        self.slept = Duration::ZERO;
        let wants_sleep = matches!(nap, Nap::Until(_)) && !self.engine.has_ready();
        let has_slept = match (self.seat.before_poll(wants_sleep, &mut self.work), nap) {
            (Before::ShutDown, _) => return Turned::Over,
            (Before::Idle, Nap::Until(until)) if wants_sleep => {
                self.poll(self.longest_sleep(begun, until));
                self.seat.after_poll();
                true
            }
            (Before::Work, _) => {
                self.do_work(begun);
                self.poll(Some(Duration::ZERO));
                false
            }
            _ => {
                self.poll(Some(Duration::ZERO));
                false
            }
        };
        let now = self.engine.now();
        if has_slept {
            self.slept = now.saturating_duration_since(begun);
        }
        for event in &self.events {
            let readiness = Readiness {
                readable: event.is_readable(),
                writable: event.is_writable(),
                hung_up: event.is_read_closed() || event.is_error(),
            };
            step(now, |effects| {
                self.engine.on_event(event.token().0, readiness, now, effects)
            });
        }
        for _ in 0..READY {
            if !self.engine.has_ready() {
                break;
            }
            step(now, |effects| self.engine.on_ready(now, effects));
        }
        // Bounded: what is to be done again without a pause is due at once, whenever this looks.
        for _ in 0..TIMEOUTS {
            if !step(now, |effects| self.engine.on_timeout(now, effects)) {
                break;
            }
        }
        let was_greeted = self.engine.was_greeted();
        if self.engine.is_flooded() {
            Turned::Flooded
        } else if was_greeted {
            Turned::Greeted
        } else {
            Turned::Again
        }
    }

    fn slept(&self) -> Duration {
        self.slept
    }

    fn end(&mut self) {
        let now = self.engine.now();
        // What a turn that panicked left, then what came later.
        self.do_work(now);
        self.work = self.seat.end();
        self.do_work(now);
        step(now, |effects| self.engine.close_all(now, effects));
    }
}

impl Reactor {
    /// Takes them out one by one, oldest first: if one panics, the others are still there at the end.
    fn do_work(&mut self, now: Instant) {
        while let Some(session) = self.work.flushes.pop_front() {
            step(now, |effects| self.engine.on_flush(&session, now, effects));
        }
        while let Some(note) = self.work.notes.pop_front() {
            step(now, |effects| self.engine.on_note(note, now, effects));
        }
    }

    /// mio rounds up to whole milliseconds, as is right for timers; who waits for a deadline wants to be there before it.
    fn longest_sleep(&self, now: Instant, until: Option<Instant>) -> Option<Duration> {
        let left = |at: Instant| at.saturating_duration_since(now);
        let timer = self.engine.deadline().map(left);
        let waiter = until.map(|until| {
            let left = left(until);
            left - Duration::from_nanos(u64::from(left.subsec_nanos() % 1_000_000))
        });
        match (timer, waiter) {
            (Some(timer), Some(waiter)) => Some(timer.min(waiter)),
            (one, other) => one.or(other),
        }
    }

    /// Looks only where the last came from. `false`: a whole turn is due, or that is nowhere.
    fn is_glance_enough(&mut self, now: Instant) -> bool {
        if !self.glances.are_enough(now) {
            return false;
        }
        let has_found = step(now, |effects| self.engine.glance(now, effects));
        if let Some(has_found) = has_found {
            self.glances.taken(has_found);
        }
        has_found.is_some()
    }

    fn poll(&mut self, timeout: Option<Duration>) {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => {
                warn!(%error, "poll failed");
                self.events.clear();
                // It may go on failing, and must not take a core for that.
                crate::sync::park(Some(AFTER_FAILURE));
            }
        }
    }
}

/// One piece of work of a turn, and then what it wants done outside.
fn step<R>(now: Instant, work: impl FnOnce(&mut Effects) -> R) -> R {
    let mut effects = Effects::at(now);
    let result = work(&mut effects);
    effects.run();
    result
}

/// The token that no slot has.
const DOORBELL: Token = Token(usize::MAX);
/// Events taken by one poll.
const EVENTS: usize = 1024;
const AFTER_FAILURE: Duration = Duration::from_millis(10);
/// Slots that go on in one turn after they stopped at their budget.
const READY: usize = 64;
/// Timers that one turn looks at; the next does not sleep if there are more.
const TIMEOUTS: usize = 64;

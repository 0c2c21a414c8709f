//! Where the application's threads and the worker's hand meet: one lock around the desks, and who waits for a task.
//!
//! Who has changed a desk says what it has to say then, with the lock free: one at a time for each, in the order in which the
//! desk gives it. The rest, and what comes, is the hand's.

mod waking;

use super::delivery::Delivery;
use super::desk::{Desk, Task};
use super::seen::Seen;
use super::stats::WorkerStats;
use crate::confirmed::bell::Bell;
use crate::confirmed::wire::{FromSource, FromWorker, Malformed, TaskId};
use crate::error::NotSent;
use crate::hub::waiters::{Ticket, Waiters};
use crate::hub::{CannotWait, Drive, Effects};
use crate::message::Message;
use crate::routing::Awaited;
use crate::socket::dealer::Dealer;
use crate::sync::{Mutex, MutexGuard};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// What a worker's threads share.
pub(super) struct Room {
    /// One for each endpoint, and as many lines.
    pub(super) dealers: Vec<Dealer>,
    state: Mutex<State>,
    pub(super) bell: Arc<Bell>,
    drive: Arc<dyn Drive>,
    pub(super) seen: Option<Box<dyn Seen>>,
}

struct State {
    lines: Vec<Line>,
    /// Who waits for a task stands in the line of those who read, who waits for the end in that of those who write.
    waiters: Waiters,
    /// Whose task is next.
    turn: usize,
    course: Course,
    hand: Hand,
    /// Messages that were not written before the sockets were closed.
    unwritten: u64,
}

/// A desk, and what is said over its socket.
struct Line {
    desk: Desk,
    /// Somebody sends what it says, and goes on until there is nothing.
    is_speaking: bool,
    /// Found no room, oldest first: at most [`MOST_SAID`]. Sent before all else; dropped with its connection.
    unsent: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Course {
    /// Tasks come.
    Open,
    /// None come; open deliveries are answered.
    Draining,
    /// The hand has still to close the sockets.
    Closing,
    /// Nothing happens any more.
    Closed,
    /// There is no hand any more, and nobody has asked for that: the context is shut down, or the hand has panicked.
    ShutDown,
}

/// Whether the hand looks at the desks by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hand {
    Awake,
    Asleep { until: Option<Instant> },
}

/// What a source has said, and the task behind it.
pub(super) type Heard = (Result<FromSource, Malformed>, Option<Message>);

/// Why there is no task.
pub(super) struct ContextClosed;

impl Room {
    pub(super) fn new(
        dealers: Vec<Dealer>,
        desks: Vec<Desk>,
        drive: Arc<dyn Drive>,
        seen: Option<Box<dyn Seen>>,
    ) -> Self {
        let lines = desks.into_iter().map(|desk| Line {
            desk,
            is_speaking: false,
            unsent: Vec::new(),
        });
        Room {
            dealers,
            state: Mutex::new(State {
                lines: lines.collect(),
                waiters: Waiters::default(),
                turn: 0,
                course: Course::Open,
                hand: Hand::Awake,
                unwritten: 0,
            }),
            bell: Arc::default(),
            drive,
            seen,
        }
    }

    /// Whether this is a child of the process whose worker it is: nobody reads here, and whoever had the lock when the child was
    /// made has it for ever.
    pub(super) fn is_forked(&self) -> bool {
        self.drive.may_wait() == Err(CannotWait::Forked)
    }

    /// Changes a desk, and says what follows. `None`: the worker is closed, and nothing happened.
    pub(super) fn step<R>(&self, at: usize, act: impl FnOnce(&mut Desk, Instant) -> R) -> Option<R> {
        let now = self.drive.now();
        let mut state = self.state.lock();
        if state.course >= Course::Closing {
            return None;
        }
        let line = state.lines.get_mut(at)?;
        let result = act(&mut line.desk, now);
        self.speak(at, state, now);
        Some(result)
    }

    /// The next task, of each source in turn; `None` after the last one.
    pub(super) fn poll_task(
        self: &Arc<Self>,
        ticket: &mut Option<Ticket>,
        waker: Option<&Waker>,
    ) -> Poll<Result<Option<Delivery>, ContextClosed>> {
        let mut effects = Effects::default();
        let now = self.drive.now();
        let mut state = self.state.lock();
        if let Some((at, task)) = state.take(now) {
            if let Some(ticket) = ticket.take() {
                // It may not have been woken.
                state.waiters.leave(Awaited::Readable, ticket, &mut effects);
            }
            if state.lines.iter().any(|line| line.desk.waiting() > 0) {
                state.waiters.wake_first(Awaited::Readable, &mut effects);
            }
            self.speak(at, state, now);
            effects.run();
            return Poll::Ready(Ok(Some(Delivery::new(Arc::clone(self), at, task))));
        }
        let result = match (state.course, waker) {
            (Course::ShutDown, _) => Poll::Ready(Err(ContextClosed)),
            (Course::Draining | Course::Closing | Course::Closed, _) => Poll::Ready(Ok(None)),
            (Course::Open, None) => Poll::Pending,
            (Course::Open, Some(waker)) => {
                state.waiters.stand(Awaited::Readable, ticket, waker, &mut effects);
                Poll::Pending
            }
        };
        drop(state);
        effects.run();
        result
    }

    /// Waits for no task any more. Who was woken for one lets the next have it.
    pub(super) fn leave(&self, awaited: Awaited, ticket: Ticket) {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        if !state.waiters.leave(awaited, ticket, &mut effects) {
            state.waiters.wake_first(awaited, &mut effects);
        }
        drop(state);
        effects.run();
    }

    /// Whether all is answered and said, or, to the end, whether the sockets are closed.
    pub(super) fn poll_end(&self, end: End, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<()> {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        let is_over = match end {
            End::Answered => state.is_answered() || state.course >= Course::Closing,
            End::Closed => state.course >= Course::Closed,
        };
        if !is_over {
            state.waiters.stand(Awaited::Writable, ticket, waker, &mut effects);
        }
        drop(state);
        effects.run();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn is_wanted(&self, at: usize, id: TaskId, serial: u64) -> bool {
        let state = self.state.lock();
        let line = state.lines.get(at).filter(|_| state.course < Course::Closing);
        line.is_some_and(|line| line.desk.is_wanted(id, serial))
    }

    pub(super) fn stats(&self) -> WorkerStats {
        let state = self.state.lock();
        let mut stats = WorkerStats::default();
        for line in &state.lines {
            stats.add(&line.desk);
            stats.unsaid += line.unsent_answers();
        }
        stats
    }

    /// Messages that were not written before the sockets were closed: 0, until they are.
    pub(super) fn unwritten(&self) -> u64 {
        self.state.lock().unwritten
    }

    /// Takes no more tasks. False: it did not before.
    pub(super) fn drain(&self) -> bool {
        self.turn_to(Course::Draining, Desk::handle_drain)
    }

    /// Says BYE, and lets the hand close the sockets. False: somebody has done so.
    pub(super) fn begin_close(&self) -> bool {
        for at in 0..self.dealers.len() {
            // As far as it can be said now. Closed: it was.
            let _closed = self.step(at, |desk, _| desk.handle_leave());
        }
        let is_first = self.turn_to(Course::Closing, |_| {});
        self.bell.ring();
        is_first
    }

    /// The hand has closed the sockets. So many messages were not written.
    pub(super) fn handle_closed(&self, unwritten: u64) {
        self.state.lock().unwritten = unwritten;
        self.turn_to(Course::Closed, |_| {});
    }

    /// The context is shut down, or the hand has panicked.
    pub(super) fn handle_shut_down(&self) {
        self.turn_to(Course::ShutDown, Desk::handle_disconnected);
    }

    fn turn_to(&self, course: Course, act: impl Fn(&mut Desk)) -> bool {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        let is_first = state.course < course;
        if is_first {
            state.course = course;
            state.lines.iter_mut().for_each(|line| act(&mut line.desk));
            state.waiters.wake_all(&mut effects);
        }
        drop(state);
        effects.run();
        if is_first && course == Course::Draining {
            for at in 0..self.dealers.len() {
                self.speak(at, self.state.lock(), self.drive.now());
            }
        }
        is_first
    }
}

/// What a closing worker waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All that is at work is answered, and that is said.
    Answered,
    /// The sockets are closed.
    Closed,
}

/// What the hand does.
impl Room {
    /// There is a new connection, or none any more.
    pub(super) fn handle_connection(&self, at: usize, is_there: bool) {
        let mut state = self.state.lock();
        if let Some(line) = state.lines.get_mut(at) {
            // Of the connection before.
            line.unsent.clear();
            match is_there {
                true => line.desk.handle_connected(),
                false => line.desk.handle_disconnected(),
            }
        }
    }

    /// All this has come, by the connection that there is.
    pub(super) fn handle_heard(&self, at: usize, now: Instant, heard: impl Iterator<Item = Heard>) {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        let State { lines, waiters, .. } = &mut *state;
        let Some(line) = lines.get_mut(at) else {
            return;
        };
        let before = line.desk.waiting();
        for (said, message) in heard {
            line.desk.handle_heard(now, said, message);
        }
        for _ in before..line.desk.waiting() {
            if waiters.is_empty(Awaited::Readable) {
                break;
            }
            waiters.wake_first(Awaited::Readable, &mut effects);
        }
        drop(state);
        effects.run();
    }

    /// Says what is to be said now.
    pub(super) fn say(&self, at: usize) {
        self.speak(at, self.state.lock(), self.drive.now());
    }

    /// Whether something waits for room at this socket.
    pub(super) fn is_blocked(&self, at: usize) -> bool {
        let state = self.state.lock();
        state.lines.get(at).is_some_and(|line| !line.unsent.is_empty())
    }

    /// When the hand has to look at the desks, unless it is woken; `Err`: the worker is to be closed. It sleeps from now on.
    pub(super) fn sleep(&self, now: Instant) -> Result<Option<Instant>, ToClose> {
        let mut state = self.state.lock();
        if state.course >= Course::Closing {
            return Err(ToClose);
        }
        // Who has found no room waits for that, and has no time to keep.
        let lines = state.lines.iter().filter(|line| line.unsent.is_empty());
        let deadlines = lines.filter_map(|line| line.desk.deadline());
        // Who is about to sleep for less does not drive meanwhile.
        let until = deadlines.min().map(|until| until.max(now + SHORTEST_SLEEP));
        state.hand = Hand::Asleep { until };
        Ok(until)
    }

    pub(super) fn wake_up(&self) {
        self.state.lock().hand = Hand::Awake;
    }

    /// Sends what this desk has to say, until there is nothing, or no room; unless somebody does. What others go on adding is left
    /// to the hand.
    fn speak<'a>(&'a self, at: usize, mut state: MutexGuard<'a, State>, now: Instant) {
        for calls in 0.. {
            if calls == MOST_CALLS {
                drop(state);
                return self.bell.ring();
            }
            let Some(line) = state.lines.get_mut(at).filter(|line| !line.is_speaking) else {
                return;
            };
            let mut heads = line.next(now);
            if heads.is_empty() {
                break;
            }
            line.is_speaking = true;
            drop(state);
            // By one call, and so in one packet: CREDIT follows DONE.
            let sent = self.dealers.get(at).map(|dealer| dealer.try_send_many(&heads));
            state = self.state.lock();
            let Some(line) = state.lines.get_mut(at) else {
                return;
            };
            line.is_speaking = false;
            if let Some(Err(error)) = sent {
                if error.reason == NotSent::WouldBlock {
                    heads.drain(..error.sent);
                    line.unsent = heads;
                    // Who is awake looks before it sleeps whether there is room by then.
                    let is_asleep = matches!(state.hand, Hand::Asleep { .. });
                    state.hand = Hand::Awake;
                    drop(state);
                    if is_asleep {
                        self.bell.ring();
                    }
                }
                return;
            }
        }
        let mut effects = Effects::default();
        if state.course != Course::Open && state.is_answered() {
            state.waiters.wake_line(Awaited::Writable, &mut effects);
        }
        let deadline = state.lines.get(at).and_then(|line| line.desk.deadline());
        let is_late = match (state.hand, deadline) {
            (Hand::Awake, _) | (_, None) => false,
            (Hand::Asleep { until: None }, Some(_)) => true,
            (Hand::Asleep { until: Some(until) }, Some(deadline)) => deadline + SHORTEST_SLEEP < until,
        };
        if is_late {
            // Once is enough.
            state.hand = Hand::Awake;
        }
        drop(state);
        effects.run();
        if is_late {
            self.bell.ring();
        }
    }
}

/// The hand is to close the sockets.
pub(super) struct ToClose;

impl State {
    fn take(&mut self, now: Instant) -> Option<(usize, Task)> {
        let count = self.lines.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let Some(task) = self.lines.get_mut(at).and_then(|line| line.desk.take(now)) else {
                continue;
            };
            self.turn = at + 1;
            return Some((at, task));
        }
        None
    }

    fn is_answered(&self) -> bool {
        let mut lines = self.lines.iter();
        lines.all(|line| line.desk.is_answered() && line.unsent.is_empty() && !line.is_speaking)
    }
}

impl Line {
    fn next(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if !self.unsent.is_empty() {
            return std::mem::take(&mut self.unsent);
        }
        let said = std::iter::from_fn(|| self.desk.poll_said(now));
        let octets = |said: FromWorker| {
            let mut octets = Vec::new();
            said.put(&mut octets);
            octets
        };
        said.take(MOST_SAID).map(octets).collect()
    }

    /// Answers that have found no room.
    fn unsent_answers(&self) -> u64 {
        let answers = self.unsent.iter().map(|octets| match FromWorker::parse(octets) {
            Ok(FromWorker::Done { ids }) => ids.len() as u64,
            Ok(FromWorker::Failed { .. }) => 1,
            _ => 0,
        });
        answers.sum()
    }
}

/// The hand's timers are no finer: DONE may be later by this.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
/// Heads that are sent by one call.
const MOST_SAID: usize = 64;
/// Calls that one thread makes in a row.
const MOST_CALLS: usize = 16;

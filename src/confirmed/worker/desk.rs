//! What a worker knows of one source: the protocol's state, without a socket, a clock or a thread.
//!
//! `handle_` tells what happened, `take` gives the next task, `poll_said` asks what is to be said, `deadline` when to ask
//! again if nothing happens before. The law: what was granted, what waits, what is at work and what is answered but not said
//! are together never more than the prefetch.

mod answers;
mod heard;
mod said;
mod window;

use crate::confirmed::wire::{FailureKind, Session, SourceId, TaskHead, TaskId};
use crate::message::Message;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use window::Window;

/// A worker's side of one source.
#[derive(Debug)]
pub(super) struct Desk {
    session: Session,
    /// Tasks that are granted and here, at most.
    prefetch: usize,
    course: Course,
    phase: Phase,
    /// As it has said; [`SourceId::NONE`] before. All ids are its.
    source: SourceId,
    /// HELLOs of this connection that were not answered.
    hellos: u32,
    /// Tasks that may come yet.
    granted: usize,
    /// Tasks that are here and not answered: at most the prefetch.
    held: HashMap<TaskId, Held>,
    /// Those that wait, oldest first, and some that do not wait any more: no more of these than of the others and
    /// [`FEW_STALE`].
    order: VecDeque<Task>,
    waiting: usize,
    next_serial: u64,
    /// What to say, beside what follows from all the rest. Each has a place in the prefetch until it is said.
    returned: Vec<TaskId>,
    failed: VecDeque<Failed>,
    done: Vec<TaskId>,
    /// When the first of `done` was.
    done_since: Option<Instant>,
    /// Each has a place in `held`, and is here once.
    extended: VecDeque<TaskId>,
    /// Of the TASK that came last; a source has one.
    lease_ms: u32,
    /// When the leases of what waits are to begin anew, if the application is at work.
    renew_at: Option<Instant>,
    /// They do, and that is to be said. No more than waited.
    renewed: VecDeque<TaskId>,
    /// When it was seen last that the application is not stuck: it took a task, said something of one, or had none.
    lively: Option<Instant>,
    /// What it has done lately: of these it says DONE again.
    window: Window,
    /// DONE was said of these since the last HELLO. The last [`MOST_IDS`](crate::confirmed::wire::MOST_IDS).
    said_done: VecDeque<TaskId>,
    /// The last HELLOs say that these are done, and are not all answered. As many.
    hello_done: Vec<TaskId>,
    counts: Counts,
}

/// How long a worker goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Course {
    /// Tasks come and go.
    Open,
    /// What comes is returned.
    Draining,
    /// BYE, once all else is said.
    Leaving,
}

/// How far it is with the source at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is no connection.
    Away,
    /// HELLO is to be said.
    ToGreet,
    /// HELLO was said; without an answer it is said again.
    ExpectWelcome { again_at: Option<Instant> },
    /// Both know who is there.
    Greeted {
        /// No longer than so long without a word.
        pause: Option<Duration>,
        spoke: Instant,
    },
    /// Nothing more is said on this connection: the source is of another version, or was told BYE.
    Mute,
}

/// A task that is here.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Tells it from a later delivery of the task.
    serial: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// The application has it.
    Begun {
        /// The source has sent it by this connection, and takes it to be open here.
        is_open: bool,
        /// To be said.
        extend_ms: Option<u32>,
    },
}

/// A task, as it came.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) head: TaskHead,
    pub(super) message: Message,
    pub(super) serial: u64,
    pub(super) heard: Instant,
}

#[derive(Debug)]
struct Failed {
    id: TaskId,
    kind: FailureKind,
    after_ms: u32,
    reason: String,
}

/// What an application says of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// Its store says that it was done before.
    Known,
    Failed {
        kind: FailureKind,
        after_ms: u32,
        reason: String,
    },
}

/// What has happened since a desk began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// TASKs that took a credit, and those of them that were delivered before.
    pub(super) received: u64,
    pub(super) redelivered: u64,
    /// What the application said.
    pub(super) acked: u64,
    pub(super) retried: u64,
    pub(super) rejected: u64,
    /// Tasks that were not begun, and given back.
    pub(super) returned: u64,
    /// TASKs of what was at work or waiting, or done before.
    pub(super) duplicates: u64,
    /// Tasks that nobody wanted any more while they waited or were at work.
    pub(super) cancelled: u64,
    /// Tasks that waited, or were at work, when they were the source's again: the connection ended, or another source came.
    pub(super) lost: u64,
    /// Heads that were not understood, and TASKs without a credit.
    pub(super) malformed: u64,
}

impl Desk {
    /// Begins without a connection. `remember`: so many of the ids that were done, for so long.
    pub(super) fn new(session: Session, prefetch: u32, remember: (usize, Duration)) -> Self {
        Desk {
            session,
            prefetch: prefetch as usize,
            course: Course::Open,
            phase: Phase::Away,
            source: SourceId::NONE,
            hellos: 0,
            granted: 0,
            held: HashMap::new(),
            order: VecDeque::new(),
            waiting: 0,
            next_serial: 0,
            returned: Vec::new(),
            failed: VecDeque::new(),
            done: Vec::new(),
            done_since: None,
            extended: VecDeque::new(),
            lease_ms: 0,
            renew_at: None,
            renewed: VecDeque::new(),
            lively: None,
            window: Window::new(remember.0, remember.1),
            said_done: VecDeque::new(),
            hello_done: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// There is a new connection. Whatever was before is over.
    pub(super) fn handle_connected(&mut self) {
        self.lose_deliveries();
        self.hellos = 0;
        self.phase = Phase::ToGreet;
    }

    /// There is none any more.
    pub(super) fn handle_disconnected(&mut self) {
        self.lose_deliveries();
        self.phase = Phase::Away;
    }

    /// Takes no more tasks, and returns what was not begun.
    pub(super) fn handle_drain(&mut self) {
        if self.course != Course::Open {
            return;
        }
        self.course = Course::Draining;
        for task in std::mem::take(&mut self.order) {
            if is_waiting(&self.held, &task) {
                self.held.remove(&task.head.id);
                self.returned.push(task.head.id);
            }
        }
        self.waiting = 0;
    }

    /// Says BYE once all else is said. What is at work is not waited for.
    pub(super) fn handle_leave(&mut self) {
        self.handle_drain();
        self.course = Course::Leaving;
    }

    /// The next task, which is at work from now on. Its lease begins anew, unless it has hardly waited.
    pub(super) fn take(&mut self, now: Instant) -> Option<Task> {
        while let Some(task) = self.order.pop_front() {
            if let Some(held) = waiting_mut(&mut self.held, &task) {
                self.lively = Some(now);
                let lease_ms = task.head.lease_ms;
                let has_waited = now.saturating_duration_since(task.heard) * 8 > Duration::from_millis(lease_ms.into());
                held.state = State::Begun {
                    is_open: true,
                    extend_ms: has_waited.then_some(lease_ms),
                };
                if has_waited {
                    self.extended.push_back(task.head.id);
                }
                self.waiting -= 1;
                return Some(task);
            }
        }
        None
    }

    /// Whether somebody still wants to know what becomes of this delivery.
    pub(super) fn is_wanted(&self, id: TaskId, serial: u64) -> bool {
        self.held.get(&id).is_some_and(|held| held.serial == serial)
    }

    /// Tasks that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Tasks at work.
    pub(super) fn begun(&self) -> usize {
        self.held.len() - self.waiting
    }

    /// Whether it has a source that knows it.
    pub(super) fn is_greeted(&self) -> bool {
        matches!(self.phase, Phase::Greeted { .. })
    }

    /// Whether nothing is at work, and all answers are said.
    pub(super) fn is_answered(&self) -> bool {
        self.begun() == 0 && self.is_said()
    }

    /// Answers that are not said.
    pub(super) fn unsaid(&self) -> usize {
        self.done.len() + self.failed.len()
    }

    /// Whether all answers are said, of what is not at work.
    pub(super) fn is_said(&self) -> bool {
        self.unsaid() == 0 && self.returned.is_empty()
    }

    /// Whether it says nothing more, unless there is another connection. Only tests look.
    #[cfg(test)]
    pub(super) fn is_mute(&self) -> bool {
        matches!(self.phase, Phase::Away | Phase::Mute)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// What is granted, waits, is at work, and is answered but not said.
    fn taken(&self) -> usize {
        self.granted + self.held.len() + self.returned.len() + self.done.len() + self.failed.len()
    }

    /// The source takes none of its tasks to be open here any more: it sends again what waited, and knows what is at work
    /// only once it has sent that again.
    fn lose_deliveries(&mut self) {
        self.granted = 0;
        self.counts.lost += self.waiting as u64;
        self.waiting = 0;
        self.order.clear();
        self.returned.clear();
        self.failed.clear();
        self.extended.clear();
        self.renewed.clear();
        self.renew_at = None;
        self.held.retain(|_, held| held.state != State::Waiting);
        for held in self.held.values_mut() {
            held.state = State::Begun {
                is_open: false,
                extend_ms: None,
            };
        }
    }

    /// Another source is there: the ids mean others' tasks.
    fn forget_source(&mut self) {
        self.lose_deliveries();
        self.counts.lost += self.held.len() as u64;
        self.held.clear();
        self.done.clear();
        self.done_since = None;
        self.window.clear();
        self.said_done.clear();
        self.hello_done.clear();
    }
}

fn is_waiting(held: &HashMap<TaskId, Held>, task: &Task) -> bool {
    let held = held.get(&task.head.id);
    held.is_some_and(|held| held.serial == task.serial && held.state == State::Waiting)
}

fn waiting_mut<'h>(held: &'h mut HashMap<TaskId, Held>, task: &Task) -> Option<&'h mut Held> {
    let held = held.get_mut(&task.head.id);
    held.filter(|held| held.serial == task.serial && held.state == State::Waiting)
}

/// As many of those that do not wait any more may always stand among those that wait.
const FEW_STALE: usize = 64;

#[cfg(all(test, not(loom)))]
mod tests;

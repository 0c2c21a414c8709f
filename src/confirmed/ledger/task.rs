//! A task: what its user gives, and what a ledger knows of it.

use super::workers::WorkerId;
use crate::confirmed::wire::{LONGEST_HEADERS, LONGEST_KEY, Session};
use crate::message::Message;
use bytes::Bytes;
use std::time::Instant;

/// What is to be done, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) message: Message,
    /// What it is known by, whoever does it: at most 64 octets.
    pub(crate) key: Bytes,
    /// What workers are told of it: at most 1,024 octets.
    pub(crate) headers: Bytes,
    /// Of those with the same ordering key the next is delivered when the one before is settled, and to the same worker as
    /// long as it is there and others of that key are here. At most 64 octets.
    pub(crate) order: Option<Bytes>,
    /// It is not delivered before.
    pub(crate) starts_at: Option<Instant>,
    /// Nobody wants it done any more.
    pub(crate) too_late_at: Option<Instant>,
}

/// A task that was not accepted.
#[derive(Debug, thiserror::Error)]
#[error("the task is not accepted: {why}")]
pub(crate) struct Refused {
    pub(crate) why: Refusal,
    pub(crate) task: Box<Task>,
}

/// Why a task was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There are as many as may be.
    #[error("the backlog is full")]
    Full,
    /// None are any more.
    #[error("the source is stopping")]
    Draining,
    /// Its keys or its headers are over their limits.
    #[error("a key is over 64 octets, or the headers are over 1,024")]
    TooLong,
}

/// A task that is not settled.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) task: Task,
    pub(super) state: State,
    /// Deliveries but those that were returned.
    pub(super) attempts: u16,
    /// Deliveries that ended without a word.
    pub(super) losses: u16,
    /// Whether there was a delivery at all.
    pub(super) was_delivered: bool,
    /// Who was sent it and has not given it up, the last one last: they may say DONE, and are told when it is settled. Of more
    /// than [`MOST_SESSIONS`] the first is forgotten, so what that has done is done again.
    had: Vec<Session>,
    /// What was said of it by who could not do it, oldest first. Of more than [`MOST_FAILURES`] the oldest is forgotten.
    pub(super) failures: Vec<Failed>,
}

/// What a worker said that could not do a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) at: Instant,
    pub(crate) reason: String,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// In the queue.
    Queued,
    /// At a worker. No `until`: for longer than a clock says.
    Open { worker: WorkerId, until: Option<Instant> },
    /// Nowhere, for a while.
    Delayed { until: Instant },
}

impl Task {
    /// A task of this message and nothing else.
    pub(crate) fn new(message: Message) -> Self {
        Task {
            message,
            key: Bytes::new(),
            headers: Bytes::new(),
            order: None,
            starts_at: None,
            too_late_at: None,
        }
    }

    pub(super) fn byte_count(&self) -> usize {
        let order = self.order.as_ref().map_or(0, Bytes::len);
        self.message.byte_count() + self.key.len() + self.headers.len() + order
    }

    pub(super) fn is_too_long(&self) -> bool {
        let order = self.order.as_ref().map_or(0, Bytes::len);
        self.key.len().max(order) > LONGEST_KEY || self.headers.len() > LONGEST_HEADERS
    }
}

impl Held {
    pub(super) fn new(task: Task) -> Self {
        Held {
            task,
            state: State::Queued,
            attempts: 0,
            losses: 0,
            was_delivered: false,
            had: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// A worker could not do it.
    pub(super) fn failed(&mut self, at: Instant, reason: &str) {
        if self.failures.len() >= MOST_FAILURES {
            self.failures.remove(0);
        }
        self.failures.push(Failed {
            at,
            reason: reason.to_owned(),
        });
    }

    pub(super) fn had(&self) -> &[Session] {
        &self.had
    }

    /// It is sent to this one.
    pub(super) fn give(&mut self, to: Session) {
        self.give_up(to);
        if self.had.len() >= MOST_SESSIONS {
            self.had.remove(0);
        }
        self.had.push(to);
    }

    /// This one has said that it will not do it.
    pub(super) fn give_up(&mut self, by: Session) {
        self.had.retain(|&session| session != by);
    }
}

const MOST_SESSIONS: usize = 16;
const MOST_FAILURES: usize = 16;

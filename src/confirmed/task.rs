//! A task as its sender gives it, and why it was not taken on.

use super::ledger;
use crate::message::Message;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// What is to be done: a message, and how it is to be delivered.
///
/// ```
/// use peermq::confirmed::Task;
/// use std::time::Duration;
///
/// let plain = Task::new("resize 17.png");
/// let task = Task::new(["resize", "18.png"])
///     .key("18.png at 640")             // who must not do it twice knows it by this
///     .ordering_key("customer 7")       // one after the other, by one worker
///     .delay(Duration::from_secs(5))
///     .time_to_live(Duration::from_secs(3_600));
/// # let _ = (plain, task);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    message: Message,
    key: Bytes,
    headers: Bytes,
    ordering_key: Option<Bytes>,
    delay: Duration,
    time_to_live: Option<Duration>,
}

impl Task {
    /// Makes a task of a message of any number of frames.
    pub fn new(message: impl Into<Message>) -> Self {
        Task {
            message: message.into(),
            key: Bytes::new(),
            headers: Bytes::new(),
            ordering_key: None,
            delay: Duration::ZERO,
            time_to_live: None,
        }
    }

    /// Sets what it is known by, whoever does it: for workers that must not do it twice. At most 64 bytes; empty, as by
    /// default: nothing.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Bytes::copy_from_slice(key.as_ref());
        self
    }

    /// Sets what workers are told of it beside the message. At most 1,024 bytes; empty by default.
    pub fn headers(mut self, headers: impl AsRef<[u8]>) -> Self {
        self.headers = Bytes::copy_from_slice(headers.as_ref());
        self
    }

    /// Sets its ordering key, of at most 64 bytes. Default none.
    ///
    /// Of the tasks with the same one at most one is at work, in the order in which they were sent, and as long as any of
    /// them is here they go to the same worker if that is there. The next waits until the one before is done or dead, also
    /// while that waits to be tried again.
    pub fn ordering_key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.ordering_key = Some(Bytes::copy_from_slice(key.as_ref()));
        self
    }

    /// Sets how long it is not delivered, from when it is taken on. Default not at all; over a hundred years is a hundred years.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets how long anybody wants it done, from when it is taken on. After that it is dead as
    /// [`TooLate`](super::Death::TooLate), also if it is at work. Default without a limit.
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = Some(time);
        self
    }

    /// Returns what is to be done.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Returns what is to be done, and nothing else of it.
    pub fn into_message(self) -> Message {
        self.message
    }

    /// As a ledger has it, with times of a clock.
    pub(super) fn into_entry(self, now: Instant) -> (ledger::Task, Times) {
        let times = Times {
            delay: self.delay,
            time_to_live: self.time_to_live,
        };
        let entry = ledger::Task {
            message: self.message,
            key: self.key,
            headers: self.headers,
            order: self.ordering_key,
            starts_at: (!self.delay.is_zero()).then(|| ledger::later(now, self.delay)),
            // What no clock tells is no limit.
            too_late_at: self.time_to_live.and_then(|time| now.checked_add(time)),
        };
        (entry, times)
    }

    pub(super) fn from_entry(entry: ledger::Task, times: Times) -> Self {
        Task {
            message: entry.message,
            key: entry.key,
            headers: entry.headers,
            ordering_key: entry.order,
            delay: times.delay,
            time_to_live: times.time_to_live,
        }
    }
}

impl<M: Into<Message>> From<M> for Task {
    fn from(message: M) -> Self {
        Task::new(message)
    }
}

/// What of a task a ledger has in another form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    delay: Duration,
    time_to_live: Option<Duration>,
}

/// A task that was not taken on, which is its sender's again.
#[derive(Debug, thiserror::Error)]
#[error("the task was not taken on: {reason}")]
pub struct TaskRefused {
    /// Why.
    pub reason: NotTaken,
    /// What was given.
    pub task: Box<Task>,
}

/// Why a task was not taken on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotTaken {
    /// The backlog is at its limit, and the call was not to wait.
    #[error("the backlog is full")]
    WouldBlock,
    /// There was no room in the backlog in time, or what keeps tasks took longer.
    #[error("there was no room in the backlog in time")]
    TimedOut,
    /// The source is draining or closed, or its context is.
    #[error("the source is draining or closed")]
    Closed,
    /// The key or the ordering key is over 64 bytes, or the headers are over 1,024.
    #[error("a key is over 64 bytes, or the headers are over 1,024")]
    TooLong,
    /// What keeps the source's tasks has no room: its disk is full. A later call may succeed.
    #[error("the outbox is full")]
    OutboxFull,
    /// What keeps the source's tasks could not keep it, for this reason.
    #[error("the outbox: {0}")]
    Outbox(String),
    /// The call would wait on the thread that runs the event loop (it was made from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after the context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_no_clock_tells_is_never_and_not_at_once() {
        let now = Instant::now();
        let entry = |time| Task::new("one").delay(time).time_to_live(time).into_entry(now).0;
        let century = now + Duration::from_secs(100 * 365 * 86_400);

        assert_eq!(entry(Duration::MAX).starts_at, Some(century));
        assert_eq!(entry(Duration::MAX).too_late_at, None);

        let second = Some(now + Duration::from_secs(1));
        assert_eq!(entry(Duration::from_secs(1)).starts_at, second);
        assert_eq!(entry(Duration::from_secs(1)).too_late_at, second);
        assert_eq!(entry(Duration::ZERO).starts_at, None);
    }
}

//! A task at work: what it is, and how its source is told what became of it.

use super::desk::{Answer, Task};
use super::room::Room;
use super::seen::BoxError;
use crate::confirmed::wire::{FailureKind, LONGEST_MS, LONGEST_REASON};
use crate::hub::Drive;
use crate::message::Message;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// A task that was received: its message, and the duty to say what became of it.
///
/// Answer it with [`ack`](Delivery::ack), [`retry`](Delivery::retry) or [`reject`](Delivery::reject); dropped without one, also
/// by a panic, it is to be tried again. No answer waits for the network: it goes when the source is there. What the source takes
/// to be somebody else's by then, because the lease was over or the connection ended, counts if it was done, and not otherwise.
///
/// It may be moved to another thread, and outlive its worker; then its answers fail.
#[must_use = "dropped, it is to be tried again"]
pub struct Delivery {
    room: Arc<Room>,
    at: usize,
    task: Task,
    is_answered: bool,
}

/// Why an answer was not given, or not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The worker, or its context, is closed: nobody is told, and the task is delivered again.
    #[error("the worker is closed: nobody is told")]
    Closed,
    /// The store ([`WorkerBuilder::seen`](super::WorkerBuilder::seen)) has failed. The source is told that the task is done, but
    /// should it be delivered again, nobody knows it by its key.
    #[error("the store of what was done has failed: {0}")]
    Store(#[source] BoxError),
}

impl Delivery {
    pub(super) fn new(room: Arc<Room>, at: usize, task: Task) -> Self {
        Delivery {
            room,
            at,
            task,
            is_answered: false,
        }
    }

    /// Returns the task's number at its source, as [`Receipt::id`](crate::confirmed::Receipt::id) does there. Tasks of other
    /// sources may have the same one.
    pub fn id(&self) -> u64 {
        self.task.head.id.0.get()
    }

    /// Returns what is to be done.
    pub fn message(&self) -> &Message {
        &self.task.message
    }

    /// Returns what the task is known by, whoever does it: at most 64 octets, none if its source has not said.
    pub fn key(&self) -> &[u8] {
        &self.task.head.key
    }

    /// Returns what the application at the source says of the task beside its message: at most 1,024 octets.
    pub fn headers(&self) -> &[u8] {
        &self.task.head.headers
    }

    /// Returns which delivery of the task this is, from 1; those that were returned do not count, and 65,535 stands for more.
    pub fn attempt(&self) -> u16 {
        self.task.head.attempt
    }

    /// Returns whether the task was delivered before: it may have been done, in part or as a whole.
    pub fn is_redelivered(&self) -> bool {
        self.task.head.is_again
    }

    /// Returns how long it may take from when it was received from [`recv`](super::Worker::recv), an eighth less at most, until
    /// its source takes it to be lost and gives it to another. Who needs longer says so in time with
    /// [`extend`](Delivery::extend). To the millisecond.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.task.head.lease_ms.into())
    }

    /// Returns how long it is until nobody wants it done any more: zero if it is too late, `None` if there is no limit.
    pub fn time_left(&self) -> Option<Duration> {
        let left = match self.task.head.left_ms {
            0 => return None,
            left_ms => Duration::from_millis(left_ms),
        };
        let until = self.task.heard.checked_add(left)?;
        Some(until.saturating_duration_since(self.room.now()))
    }

    /// Returns whether nobody wants it done any more: it was done by another, it is too late, its source has been replaced by
    /// one that does not know it; or the worker is closed. Answers are dropped then. Never waits; a long task looks now and then.
    pub fn is_cancelled(&self) -> bool {
        !self.room.is_wanted(self.at, self.task.head.id, self.task.serial)
    }

    /// Says that it is done: its source forgets it. Several go together, within a few milliseconds.
    ///
    /// With a store ([`WorkerBuilder::seen`](super::WorkerBuilder::seen)) the key is written there first, and waited for. Fails
    /// with `Closed`, and with `Store`.
    pub fn ack(mut self) -> Result<(), AnswerError> {
        let stored = match &self.room.seen {
            Some(seen) if !self.key().is_empty() => seen.done(self.key()).map_err(AnswerError::Store),
            _ => Ok(()),
        };
        self.answer(Answer::Done)?;
        stored
    }

    /// Says that it was not done, and may be tried again, after a wait that its source chooses. As the last of the attempts that
    /// the source allows, it is its end.
    ///
    /// The reason is for people; over 255 octets it is cut. Fails with `Closed`.
    pub fn retry(self, reason: impl Into<String>) -> Result<(), AnswerError> {
        self.retry_after(Duration::ZERO, reason)
    }

    /// Says that it was not done, and may be tried again, so long from now at the earliest: at most a day, to the millisecond.
    /// Fails with `Closed`.
    pub fn retry_after(mut self, wait: Duration, reason: impl Into<String>) -> Result<(), AnswerError> {
        self.answer(failed(FailureKind::Retry, wait, reason.into()))
    }

    /// Says that it is wrong, and never to be tried again. Fails with `Closed`.
    pub fn reject(mut self, reason: impl Into<String>) -> Result<(), AnswerError> {
        self.answer(failed(FailureKind::Reject, Duration::ZERO, reason.into()))
    }

    /// Asks its source to wait so long from now on, 1 ms to a day, until it takes it to be lost. What is over by then has been
    /// given to another. Fails with `Closed`.
    pub fn extend(&self, lease: Duration) -> Result<(), AnswerError> {
        let (id, serial) = (self.task.head.id, self.task.serial);
        let lease_ms = up_to_a_day(lease).max(1);
        self.room
            .step(self.at, |desk, now| desk.handle_extend(now, id, serial, lease_ms))
            .ok_or(AnswerError::Closed)
    }

    /// Its store says that it was done.
    pub(super) fn was_known(mut self) {
        // Closed: nobody is told.
        let _closed = self.answer(Answer::Known);
    }

    fn answer(&mut self, answer: Answer) -> Result<(), AnswerError> {
        self.is_answered = true;
        let (id, serial) = (self.task.head.id, self.task.serial);
        self.room
            .step(self.at, |desk, now| desk.handle_answer(now, id, serial, answer))
            .ok_or(AnswerError::Closed)
    }
}

impl Deref for Delivery {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.task.message
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.is_answered || self.room.is_forked() {
            return;
        }
        let reason = match std::thread::panicking() {
            true => "its worker panicked",
            false => "its worker dropped it without an answer",
        };
        // Closed: nobody is told.
        let _closed = self.answer(failed(FailureKind::Retry, Duration::ZERO, reason.to_owned()));
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("message", &self.task.message)
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

fn failed(kind: FailureKind, wait: Duration, mut reason: String) -> Answer {
    let mut len = reason.len().min(LONGEST_REASON);
    while !reason.is_char_boundary(len) {
        len -= 1;
    }
    reason.truncate(len);
    Answer::Failed {
        kind,
        after_ms: up_to_a_day(wait),
        reason,
    }
}

fn up_to_a_day(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).map_or(LONGEST_MS, |ms| ms.min(LONGEST_MS))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_where_a_letter_ends() {
        let cut = |reason: &str| match failed(FailureKind::Retry, Duration::MAX, reason.to_owned()) {
            Answer::Failed { reason, after_ms, .. } => (reason.len(), after_ms),
            _ => unreachable!("it failed"),
        };
        assert_eq!(cut(&"x".repeat(255)), (255, LONGEST_MS));
        assert_eq!(cut(&"x".repeat(300)), (255, LONGEST_MS));
        assert_eq!(cut(&"\u{fc}".repeat(128)), (254, LONGEST_MS));
        assert_eq!(cut(&"\u{1f980}".repeat(64)), (252, LONGEST_MS));
    }
}

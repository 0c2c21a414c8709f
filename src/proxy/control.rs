//! What a proxy is told, and what it tells: the part that other threads have.

use crate::poller::Signal;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

/// What a proxy is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Run,
    Pause,
    Stop,
}

/// What the proxy and its handles share.
#[derive(Default)]
pub(super) struct Control {
    pub(super) signal: Arc<Signal>,
    course: AtomicUsize,
    pub(super) forward: Counts,
    pub(super) backward: Counts,
}

/// The counters of one way. Written by the proxy's thread alone.
#[derive(Default)]
pub(super) struct Counts {
    taken: AtomicU64,
    taken_bytes: AtomicU64,
    passed: AtomicU64,
    passed_bytes: AtomicU64,
    dropped: AtomicU64,
    captured: AtomicU64,
    not_captured: AtomicU64,
}

impl Control {
    pub(super) fn course(&self) -> Course {
        match self.course.load(Ordering::Acquire) {
            0 => Course::Run,
            1 => Course::Pause,
            _ => Course::Stop,
        }
    }

    /// A stop stays one.
    fn steer(&self, course: Course) {
        let to = match course {
            Course::Run => 0,
            Course::Pause => 1,
            Course::Stop => 2,
        };
        let mut from = self.course.load(Ordering::Acquire);
        while from < 2 {
            match self
                .course
                .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return self.signal.give(),
                Err(now) => from = now,
            }
        }
    }

    pub(super) fn stats(&self) -> ProxyStats {
        ProxyStats {
            forward: self.forward.read(),
            backward: self.backward.read(),
        }
    }
}

impl Counts {
    pub(super) fn read(&self) -> Passage {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Passage {
            taken: read(&self.taken),
            taken_bytes: read(&self.taken_bytes),
            passed: read(&self.passed),
            passed_bytes: read(&self.passed_bytes),
            dropped: read(&self.dropped),
            captured: read(&self.captured),
            not_captured: read(&self.not_captured),
        }
    }

    pub(super) fn write(&self, passage: &Passage) {
        let write = |count: &AtomicU64, value| count.store(value, Ordering::Relaxed);
        write(&self.taken, passage.taken);
        write(&self.taken_bytes, passage.taken_bytes);
        write(&self.passed, passage.passed);
        write(&self.passed_bytes, passage.passed_bytes);
        write(&self.dropped, passage.dropped);
        write(&self.captured, passage.captured);
        write(&self.not_captured, passage.not_captured);
    }
}

/// Steers a [`Proxy`](crate::Proxy) from any thread. Clones steer the same one.
///
/// May outlive it; then steering does nothing, and the statistics are the last ones.
#[derive(Clone)]
pub struct ProxyHandle(pub(super) Arc<Control>);

impl ProxyHandle {
    /// Lets the proxy take no more messages until it is resumed; the one at hand still goes on. What comes meanwhile
    /// waits in the sockets up to their marks, and then in their peers. Never waits.
    pub fn pause(&self) {
        self.0.steer(Course::Pause);
    }

    /// Lets a paused proxy go on. Never waits.
    pub fn resume(&self) {
        self.0.steer(Course::Run);
    }

    /// Ends the proxy: [`run`](crate::Proxy::run) returns its report. What is in the sockets stays there, and they are
    /// not closed. Also before it runs; it cannot be taken back. Never waits.
    pub fn stop(&self) {
        self.0.steer(Course::Stop);
    }

    /// Returns what the proxy has done until now. Never waits, also while the proxy does. While messages flow, numbers may
    /// be some behind, and not all of one moment; once nothing flows they are exact.
    pub fn stats(&self) -> ProxyStats {
        self.0.stats()
    }
}

impl std::fmt::Debug for ProxyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyHandle")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Counts what a proxy has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ProxyStats {
    /// From the front to the back.
    pub forward: Passage,
    /// From the back to the front.
    pub backward: Passage,
}

/// Counts what went one way through a proxy. Bytes are those of the frames' bodies.
///
/// When it is over, `taken` is `passed`, `dropped`, and one more if a message was left in its hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Passage {
    /// Messages received on one side.
    pub taken: u64,
    /// Their bytes.
    pub taken_bytes: u64,
    /// Messages sent on the other side.
    pub passed: u64,
    /// Their bytes.
    pub passed_bytes: u64,
    /// Messages that the other side would never have taken: for a peer of a ROUTER that is gone or at its mark, or not
    /// formed as the type wants it.
    pub dropped: u64,
    /// Messages of which the capture socket took a copy.
    pub captured: u64,
    /// Messages of which the capture socket took none, because it had no room.
    pub not_captured: u64,
}

//! What one queue counts as messages pass: the part of its [`Flow`] that nobody could tell later.
//!
//! Most queues drop nothing in all their life, so why something was dropped takes no place until something is.

use crate::stats::{DropReason, Drops, Flow};

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) taken: u64,
    pub(super) taken_bytes: u64,
    pub(super) passed: u64,
    pub(super) passed_bytes: u64,
    dropped: Option<Box<Drops>>,
}

impl Counts {
    pub(super) fn drop(&mut self, why: DropReason, messages: usize) {
        if messages > 0 {
            self.dropped.get_or_insert_default().add(why, messages as u64);
        }
    }

    /// Messages that were taken on and are not here any more.
    pub(super) fn left(&self) -> u64 {
        self.passed + self.dropped.as_ref().map_or(0, |dropped| dropped.total())
    }

    /// As far as it is counted here.
    pub(super) fn flow(&self) -> Flow {
        Flow {
            taken: self.taken,
            taken_bytes: self.taken_bytes,
            passed: self.passed,
            passed_bytes: self.passed_bytes,
            dropped: self.dropped.as_deref().copied().unwrap_or_default(),
            ..Flow::default()
        }
    }
}

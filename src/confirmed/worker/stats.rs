//! What a worker has done, and what it is at.

use super::desk::Desk;

/// What a [`Worker`](super::Worker) has done since it began, and what it is at now. Numbers of tasks, if nothing else is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Deliveries that came.
    pub received: u64,
    /// Those of them that were marked as delivered before, to this worker or another.
    pub redelivered: u64,
    /// Deliveries that were answered with [`ack`](super::Delivery::ack).
    pub acked: u64,
    /// Deliveries that were answered with [`retry`](super::Delivery::retry), or dropped.
    pub retried: u64,
    /// Deliveries that were answered with [`reject`](super::Delivery::reject).
    pub rejected: u64,
    /// Tasks that were not begun and given back, by [`drain`](super::Worker::drain).
    pub returned: u64,
    /// Deliveries of what was at work, or had been done before: they were not begun again.
    pub duplicates: u64,
    /// Tasks that nobody wanted any more while they waited or were at work.
    pub cancelled: u64,
    /// Tasks that waited here when the connection to their source ended, or that another source came for, or that crossed this
    /// worker's greeting. Theirs is the source: it delivers them again.
    pub lost: u64,
    /// Messages of sources that were not understood, and tasks that were not asked for. They were dropped.
    pub malformed: u64,
    /// At work now: received, and not answered.
    pub open: u64,
    /// Waiting now for [`recv`](super::Worker::recv).
    pub waiting: u64,
    /// Answers that are not on their way yet: without a connection they wait for one, and for room if the source reads too
    /// slowly.
    pub unsaid: u64,
    /// Endpoints.
    pub endpoints: u64,
    /// Endpoints by which a source is there now that has welcomed this worker.
    pub sources: u64,
}

/// Says how a [`Worker`](super::Worker) ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// What it has done. `open` are the deliveries that nobody had answered in time, and `unsaid` the answers that no source was
    /// there for, or had room for: these tasks are delivered again, to whoever is there.
    pub stats: WorkerStats,
    /// Messages to sources, an answer or several in each, that were on their way and not written before the sockets were closed:
    /// the source reads too slowly. Tasks whose answers they were are delivered again. As far as it is known when `close` returns.
    pub unwritten: u64,
}

impl WorkerReport {
    /// Returns whether all that was taken was answered, and each answer was written to its source.
    ///
    /// Whether it has arrived only the source knows: the task of one that was lost with its connection is delivered again.
    pub fn is_complete(&self) -> bool {
        self.stats.open == 0 && self.stats.unsaid == 0 && self.unwritten == 0
    }
}

impl WorkerStats {
    pub(super) fn add(&mut self, desk: &Desk) {
        let counts = desk.counts();
        self.received += counts.received;
        self.redelivered += counts.redelivered;
        self.acked += counts.acked;
        self.retried += counts.retried;
        self.rejected += counts.rejected;
        self.returned += counts.returned;
        self.duplicates += counts.duplicates;
        self.cancelled += counts.cancelled;
        self.lost += counts.lost;
        self.malformed += counts.malformed;
        self.open += desk.begun() as u64;
        self.waiting += desk.waiting() as u64;
        self.unsaid += desk.unsaid() as u64;
        self.endpoints += 1;
        self.sources += u64::from(desk.is_greeted());
    }
}

//! How a source stands, in figures.

use super::desk::Standing;
use crate::stats::{Histogram, Text, Throughput};
use std::time::{Duration, Instant};

/// What a source has, and what has happened since it was built.
///
/// At every moment `accepted` is `done`, `dead`, `queued`, `open` and `delayed` together.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SourceStats {
    /// Tasks that are being stored in the outbox, and are not accepted yet.
    pub storing: u64,
    /// Tasks that wait for a worker.
    pub queued: u64,
    /// Tasks that workers have.
    pub open: u64,
    /// Tasks that wait for their time: delayed, or to be tried again.
    pub delayed: u64,
    /// Bytes of all tasks that are here: messages, keys and headers.
    pub bytes: u64,
    /// Workers that are there.
    pub workers: u64,
    /// How long the oldest task is here.
    pub oldest: Option<Duration>,
    /// Tasks that were taken on.
    pub accepted: u64,
    /// Tasks that a worker has done.
    pub done: u64,
    /// Tasks that nobody is asked to do any more.
    pub dead: u64,
    /// Dead letters that were lost because what was to take them failed or panicked.
    pub lost_letters: u64,
    /// Deliveries, of all tasks.
    pub deliveries: u64,
    /// Of these, those that were not a task's first.
    pub redeliveries: u64,
    /// Deliveries that ended without a word: connections that broke, workers that were silent, leases that were over.
    pub losses: u64,
    /// Of these, leases that were over.
    pub leases_over: u64,
    /// Deliveries that failed, as workers said.
    pub failures: u64,
    /// Deliveries that workers returned before they began them.
    pub returned: u64,
    /// What workers said of tasks that they had no say in: settled before, or not theirs. Most are duplicates.
    pub ignored: u64,
    /// What was not understood.
    pub malformed: u64,
    /// What came of those who had not said HELLO.
    pub strangers: u64,
    /// Workers that came when there were as many as may be.
    pub turned_away: u64,
    /// Workers whose connections were ended because they said nothing for too long.
    pub silent: u64,
    /// Tasks that were taken on in a second.
    pub accept_rate: Throughput,
    /// Tasks that were done in a second.
    pub done_rate: Throughput,
    /// From when tasks were taken on to when they were known to be done.
    pub confirm_time: Histogram,
}

impl SourceStats {
    pub(super) fn new(standing: Standing, now: Instant) -> Self {
        let Standing {
            counts,
            places,
            oldest,
            confirm_time,
            accepted,
            done,
            lost_letters,
        } = standing;
        SourceStats {
            storing: places.reserved as u64,
            queued: places.queued as u64,
            open: places.open as u64,
            delayed: places.delayed as u64,
            bytes: places.bytes as u64,
            workers: places.workers as u64,
            oldest: oldest.map(|at| now.saturating_duration_since(at)),
            accepted: counts.accepted,
            done: counts.done,
            dead: counts.dead,
            lost_letters,
            deliveries: counts.delivered,
            redeliveries: counts.again,
            losses: counts.lost,
            leases_over: counts.leases_over,
            failures: counts.failed,
            returned: counts.returned,
            ignored: counts.ignored,
            malformed: counts.malformed,
            strangers: counts.strangers,
            turned_away: counts.turned_away,
            silent: counts.silent,
            accept_rate: accepted,
            done_rate: done,
            confirm_time,
        }
    }

    /// Returns the statistics as text for Prometheus (exposition format 0.0.4), each line with these labels, such as the
    /// source's name. As [`SocketStats::to_prometheus`](crate::SocketStats::to_prometheus).
    pub fn to_prometheus(&self, labels: &[(&str, &str)]) -> String {
        let mut text = Text::new(labels);
        let mut one = |name, kind, help, value: f64| {
            text.family(name, kind, help);
            text.put(&[], value);
        };
        let oldest = self.oldest.unwrap_or_default().as_secs_f64();
        one(
            "peermq_source_task_bytes",
            "gauge",
            "Bytes of tasks that are not settled.",
            self.bytes as f64,
        );
        one(
            "peermq_source_workers",
            "gauge",
            "Workers that are there.",
            self.workers as f64,
        );
        one(
            "peermq_source_oldest_task_seconds",
            "gauge",
            "How long the oldest task is here.",
            oldest,
        );
        one(
            "peermq_source_accepted_total",
            "counter",
            "Tasks that were taken on.",
            self.accepted as f64,
        );
        one(
            "peermq_source_lost_letters_total",
            "counter",
            "Dead letters that were not taken.",
            self.lost_letters as f64,
        );
        one(
            "peermq_source_deliveries_total",
            "counter",
            "Deliveries.",
            self.deliveries as f64,
        );
        one(
            "peermq_source_redeliveries_total",
            "counter",
            "Deliveries but a task's first.",
            self.redeliveries as f64,
        );
        let mut by = |name, kind, help, label, values: &[(&str, u64)]| {
            text.family(name, kind, help);
            for (value, count) in values {
                text.put(&[(label, value)], count);
            }
        };
        let places = [
            ("storing", self.storing),
            ("queued", self.queued),
            ("open", self.open),
            ("delayed", self.delayed),
        ];
        by(
            "peermq_source_tasks",
            "gauge",
            "Tasks that are not settled, by where they are.",
            "place",
            &places,
        );
        let settled = [("done", self.done), ("dead", self.dead)];
        by(
            "peermq_source_settled_total",
            "counter",
            "Tasks that ended.",
            "how",
            &settled,
        );
        let ended = [
            ("lost", self.losses.saturating_sub(self.leases_over)),
            ("lease over", self.leases_over),
            ("failed", self.failures),
            ("returned", self.returned),
        ];
        let help = "Deliveries that ended and did not settle their task.";
        by("peermq_source_vain_deliveries_total", "counter", help, "how", &ended);
        let refused = [
            ("ignored", self.ignored),
            ("malformed", self.malformed),
            ("stranger", self.strangers),
            ("turned away", self.turned_away),
            ("silent", self.silent),
        ];
        let help = "What workers said or did in vain.";
        by("peermq_source_refused_total", "counter", help, "why", &refused);
        let rates = [("accepted", self.accept_rate), ("done", self.done_rate)];
        text.family(
            "peermq_source_throughput_tasks",
            "gauge",
            "Tasks a second over the last 1, 10 and 60 seconds.",
        );
        for (what, rate) in rates {
            for (window, rate) in [("1s", rate.second), ("10s", rate.ten_seconds), ("60s", rate.minute)] {
                text.put(&[("what", what), ("window", window)], rate.messages);
            }
        }
        text.family(
            "peermq_source_confirm_seconds",
            "histogram",
            "From taken on to known to be done.",
        );
        text.histogram(&[], &self.confirm_time);
        text.into_string()
    }
}

/// How a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceReport {
    /// Tasks that a worker has done.
    pub done: u64,
    /// Tasks that nobody was asked to do any more.
    pub dead: u64,
    /// Tasks that were neither: lost, unless there is an outbox.
    pub unsettled: u64,
}

impl SourceReport {
    pub(super) fn new(stats: &SourceStats) -> Self {
        SourceReport {
            done: stats.done,
            dead: stats.dead,
            unsettled: stats.queued + stats.open + stats.delayed,
        }
    }
}

//! What a source says, and what a worker makes of it.

use super::{Course, Desk, FEW_STALE, Held, Phase, State, Task, is_waiting};
use crate::confirmed::wire::{FromSource, Malformed, SourceId, TaskHead, TaskId};
use crate::message::Message;
use std::collections::HashSet;
use std::time::{Duration, Instant};

impl Desk {
    /// The source at the other end of this connection has said something. Behind the head of a TASK stands the task.
    pub(in crate::confirmed::worker) fn handle_heard(
        &mut self,
        now: Instant,
        said: Result<FromSource, Malformed>,
        message: Option<Message>,
    ) {
        match (said, message) {
            (Ok(FromSource::Task(head)), Some(message)) => self.handle_task(now, head, message),
            (Ok(FromSource::Welcome { source, silence_ms, .. }), None) => self.handle_welcome(now, source, silence_ms),
            (Ok(FromSource::Cancel { ids }), None) => self.handle_cancel(&ids),
            (Ok(FromSource::Who), None) => self.handle_who(),
            // It may come back, by this connection or another.
            (Ok(FromSource::Bye), None) => {}
            (Err(Malformed::OtherVersion(_)), _) => {
                self.counts.malformed += 1;
                if self.phase != Phase::Away {
                    self.lose_deliveries();
                    self.phase = Phase::Mute;
                }
            }
            (Err(Malformed::Form(_)) | Ok(_), _) => self.counts.malformed += 1,
        }
    }

    fn handle_welcome(&mut self, now: Instant, source: SourceId, silence_ms: u32) {
        if !matches!(self.phase, Phase::ExpectWelcome { .. } | Phase::Greeted { .. }) {
            // It answers a HELLO that is not the last one.
            return;
        }
        if self.source != source {
            if self.source != SourceId::NONE {
                self.forget_source();
            }
            self.source = source;
        }
        // Of several HELLOs it is not known which one was heard.
        self.hellos = self.hellos.saturating_sub(1);
        if self.hellos == 0 {
            self.hello_done.clear();
        }
        let spoke = match self.phase {
            Phase::Greeted { spoke, .. } => spoke,
            _ => now,
        };
        let pause = (silence_ms > 0).then(|| Duration::from_millis(silence_ms.into()) / 3);
        self.phase = Phase::Greeted { pause, spoke };
    }

    /// The source does not know it, or knows it no more.
    fn handle_who(&mut self) {
        if matches!(self.phase, Phase::Greeted { .. }) {
            self.lose_deliveries();
            self.phase = Phase::ToGreet;
        }
    }

    fn handle_task(&mut self, now: Instant, head: TaskHead, message: Message) {
        if !matches!(self.phase, Phase::Greeted { .. }) {
            // It answers what was granted under an earlier greeting; HELLO takes that back.
            self.counts.received += 1;
            self.counts.lost += 1;
            return;
        }
        if self.granted == 0 {
            self.counts.malformed += 1;
            return;
        }
        self.granted -= 1;
        self.counts.received += 1;
        self.counts.redelivered += u64::from(head.is_again);
        let id = head.id;
        if let Some(held) = self.held.get_mut(&id) {
            self.counts.duplicates += 1;
            if let State::Begun { is_open, .. } = &mut held.state {
                *is_open = true;
            }
            return;
        }
        if self.window.has(now, id) {
            self.counts.duplicates += 1;
            self.say_done(now, id);
            return;
        }
        if self.course != Course::Open {
            self.returned.push(id);
            return;
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        let state = State::Waiting;
        if self.held.is_empty() {
            self.lively = Some(now);
        }
        self.held.insert(id, Held { serial, state });
        self.waiting += 1;
        self.lease_ms = head.lease_ms;
        self.renew_at = self.renew_at.or_else(|| self.renewal_after(now));
        self.order.push_back(Task {
            head,
            message,
            serial,
            heard: now,
        });
    }

    /// They are settled: nothing is said of them any more.
    fn handle_cancel(&mut self, ids: &[TaskId]) {
        for id in ids {
            let Some(held) = self.held.remove(id) else {
                continue;
            };
            self.counts.cancelled += 1;
            self.waiting -= usize::from(held.state == State::Waiting);
        }
        self.sweep();
        // Once for all of them: there may be many on both sides.
        let ids: HashSet<TaskId> = ids.iter().copied().collect();
        self.returned.retain(|id| !ids.contains(id));
        self.failed.retain(|failed| !ids.contains(&failed.id));
        self.said_done.retain(|id| !ids.contains(id));
        self.hello_done.retain(|id| !ids.contains(id));
        self.done.retain(|id| !ids.contains(id));
        if self.done.is_empty() {
            self.done_since = None;
        }
    }

    /// Forgets what was cancelled, once there is more of it than of what waits.
    fn sweep(&mut self) {
        if self.order.len() > FEW_STALE + 2 * self.waiting {
            let held = &self.held;
            self.order.retain(|task| is_waiting(held, task));
        }
    }
}

//! What an application says of its tasks.

use super::{Answer, Desk, Failed, State};
use crate::confirmed::wire::{FailureKind, TaskId};
use std::time::Instant;

impl Desk {
    /// The application has an answer. Of what nobody wants to know any more it is dropped.
    pub(in crate::confirmed::worker) fn handle_answer(
        &mut self,
        now: Instant,
        id: TaskId,
        serial: u64,
        answer: Answer,
    ) {
        self.lively = Some(now);
        match &answer {
            Answer::Done => self.counts.acked += 1,
            Answer::Known => self.counts.duplicates += 1,
            Answer::Failed { kind, .. } => match kind {
                FailureKind::Retry => self.counts.retried += 1,
                FailureKind::Reject => self.counts.rejected += 1,
            },
        }
        if !self.is_wanted(id, serial) {
            return;
        }
        let Some(held) = self.held.remove(&id) else {
            return;
        };
        let is_open = matches!(held.state, State::Begun { is_open: true, .. });
        match answer {
            Answer::Done | Answer::Known => {
                self.window.insert(now, id);
                self.say_done(now, id);
            }
            // Only who has the open delivery can say so.
            Answer::Failed { .. } if !is_open => {}
            Answer::Failed { kind, after_ms, reason } => self.failed.push_back(Failed {
                id,
                kind,
                after_ms,
                reason,
            }),
        }
    }

    /// The application needs so long from now on.
    pub(in crate::confirmed::worker) fn handle_extend(&mut self, now: Instant, id: TaskId, serial: u64, ms: u32) {
        self.lively = Some(now);
        let Some(held) = self.held.get_mut(&id).filter(|held| held.serial == serial) else {
            return;
        };
        if let State::Begun {
            is_open: true,
            extend_ms,
        } = &mut held.state
            && extend_ms.replace(ms).is_none()
        {
            self.extended.push_back(id);
        }
    }

    /// DONE is to be said of it, soon.
    pub(super) fn say_done(&mut self, now: Instant, id: TaskId) {
        self.done.push(id);
        self.done_since.get_or_insert(now);
    }
}

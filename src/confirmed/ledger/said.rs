//! What workers say, and what becomes of those who say it, or nothing.

use super::steps::Ending;
use super::timers::Timer;
use super::{Action, Death, Ledger, Phase, WorkerId};
use crate::confirmed::wire::{FailureKind, FromSource, MOST_CREDIT, Malformed, Session, TaskId};
use std::time::{Duration, Instant};

/// What workers say.
impl Ledger {
    pub(super) fn greet(&mut self, now: Instant, from: WorkerId, session: Session, credit: u32) {
        match self.workers.of_session(session) {
            Some(other) if other != from => self.close(other),
            _ => {}
        }
        if self.workers.get(from).is_some_and(|worker| worker.session != session) {
            self.part(from);
        }
        let is_new = self.workers.get(from).is_none();
        if is_new && self.workers.len() >= self.settings.most_workers {
            self.counts.turned_away += 1;
            self.close(from);
            return;
        }
        let silent_at = self.settings.silence.and_then(|silence| now.checked_add(silence));
        if is_new {
            self.workers.insert(from, session, now);
            self.timers.set(silent_at, Timer::Silence(from));
            self.workers.update(from, |worker| worker.silent_at = silent_at);
        }
        self.workers.hear(from, now);
        self.workers.update(from, |worker| {
            worker.credit = credit.min(MOST_CREDIT.saturating_sub(worker.has()))
        });
        self.welcome(from);
        if self.phase == Phase::Stopped {
            self.send(from, FromSource::Bye);
        }
    }

    pub(super) fn grant(&mut self, now: Instant, from: WorkerId, more: u32) {
        let is_within = self.workers.update(from, |worker| {
            let is_within = more <= MOST_CREDIT.saturating_sub(worker.has()).saturating_sub(worker.credit);
            if is_within {
                worker.credit += more;
            }
            is_within
        });
        if is_within == Some(false) {
            self.handle_malformed(now, from, Malformed::Form("it grants over 65,536"));
        }
    }

    /// Who has done it need not be who has it open: it was late, or was sent it on an earlier connection.
    pub(super) fn settle(&mut self, from: WorkerId, ids: &[TaskId]) {
        let Some(by) = self.workers.get(from).map(|worker| worker.session) else {
            return;
        };
        for &id in ids {
            if self.tasks.get(&id).is_some_and(|held| held.had().contains(&by)) {
                self.finish(id, Some(from), Ending::Done { by });
            } else {
                self.counts.ignored += 1;
            }
        }
    }

    pub(super) fn fail(
        &mut self,
        now: Instant,
        id: TaskId,
        from: WorkerId,
        kind: FailureKind,
        until: Instant,
        reason: String,
    ) {
        if !self.give_up(id, from) {
            return;
        }
        self.counts.failed += 1;
        if let Some(held) = self.tasks.get_mut(&id) {
            held.failed(now, &reason);
        }
        let is_last = self.attempts(id) >= self.settings.most_attempts;
        match kind {
            FailureKind::Reject => self.finish(id, Some(from), Ending::Dead(Death::Rejected { reason })),
            FailureKind::Retry if !is_last => {
                self.leave(id);
                self.delay(id, until);
            }
            FailureKind::Retry => self.finish(id, Some(from), Ending::Dead(Death::Failed { reason })),
        }
    }

    pub(super) fn extend(&mut self, now: Instant, id: TaskId, from: WorkerId, lease_ms: u32) {
        if self.is_open_at(id, from) {
            self.leave(id);
            let until = now.checked_add(Duration::from_millis(lease_ms.into()));
            self.open(id, from, until);
        } else {
            self.counts.ignored += 1;
        }
    }

    pub(super) fn take_back(&mut self, from: WorkerId, ids: &[TaskId]) {
        // What was returned does not come back at once to who did so.
        self.workers.update(from, |worker| worker.credit = 0);
        for &id in ids {
            if !self.give_up(id, from) {
                continue;
            }
            self.counts.returned += 1;
            self.leave(id);
            if let Some(held) = self.tasks.get_mut(&id) {
                held.attempts = held.attempts.saturating_sub(1);
                self.queue.unbind(held);
            }
            self.enqueue(id);
        }
    }

    /// A worker says that it will not do this. Whether it has it open: else it has no say in what becomes of it.
    fn give_up(&mut self, id: TaskId, from: WorkerId) -> bool {
        let session = self.workers.get(from).map(|worker| worker.session);
        if let Some((held, session)) = self.tasks.get_mut(&id).zip(session) {
            held.give_up(session);
        }
        let is_open = self.is_open_at(id, from);
        self.counts.ignored += u64::from(!is_open);
        is_open
    }

    pub(super) fn offend(&mut self, from: WorkerId) {
        let offences = self.workers.update(from, |worker| {
            worker.offences += 1;
            worker.offences
        });
        if offences.is_some_and(|offences| offences >= self.settings.most_offences) {
            self.close(from);
        }
    }
}

/// What becomes of workers.
impl Ledger {
    pub(super) fn send(&mut self, to: WorkerId, head: FromSource) {
        self.actions.push_back(Action::Send {
            to,
            head,
            message: None,
        });
    }

    pub(super) fn welcome(&mut self, to: WorkerId) {
        let welcome = FromSource::Welcome {
            source: self.source,
            lease_ms: self.settings.lease_ms(),
            silence_ms: self.settings.silence_ms(),
        };
        self.send(to, welcome);
    }

    /// Its timer is over. If it was heard since that was set, it is set anew: so hearing costs no timer.
    pub(super) fn listen(&mut self, id: WorkerId) {
        let silence = self.settings.silence;
        let was_heard = self.workers.update(id, |worker| {
            let silent_at = silence.and_then(|silence| worker.heard.checked_add(silence));
            let was_heard = silent_at != worker.silent_at;
            worker.silent_at = silent_at;
            was_heard.then_some(silent_at)
        });
        match was_heard {
            Some(Some(silent_at)) => self.timers.set(silent_at, Timer::Silence(id)),
            Some(None) => {
                self.counts.silent += 1;
                self.close(id);
            }
            None => {}
        }
    }

    /// Ends its connection.
    pub(super) fn close(&mut self, id: WorkerId) {
        self.part(id);
        self.actions.push_back(Action::CloseWorker(id));
    }

    /// It is a worker no more. What it has open is lost.
    pub(super) fn part(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.remove(id) else {
            return;
        };
        self.timers.clear(worker.silent_at, Timer::Silence(id));
        self.queue.set_free(worker.bound);
        for task in worker.open {
            self.leave(task);
            self.lose(task);
        }
    }
}

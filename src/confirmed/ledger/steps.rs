//! The steps of a task: from the queue to a worker, back, away for a while, and to its end.

use super::task::State;
use super::timers::Timer;
use super::{Action, Dead, Death, Ledger, Outcome, Phase, WorkerId};
use crate::confirmed::wire::{FromSource, Session, TaskHead, TaskId};
use std::time::{Duration, Instant};

/// What becomes of tasks.
impl Ledger {
    /// Sends the next task to the best worker. False: there is none, or nobody to take it.
    pub(super) fn deliver(&mut self, now: Instant) -> bool {
        if self.phase == Phase::Stopped {
            return false;
        }
        let Some((id, to)) = self.queue.next(&self.workers) else {
            return false;
        };
        let too_late_at = self.tasks.get(&id).and_then(|held| held.task.too_late_at);
        let left = too_late_at.map(|at| at.saturating_duration_since(now));
        if left == Some(Duration::ZERO) {
            self.finish(id, None, Ending::Dead(Death::TooLate));
            return true;
        }
        self.leave(id);
        let worker = self.workers.get(to).map(|worker| worker.session);
        let (Some(held), Some(session), Some(arrival)) = (self.tasks.get_mut(&id), worker, self.workers.arrival(to))
        else {
            return false;
        };
        held.give(session);
        held.attempts = held.attempts.saturating_add(1);
        let is_again = std::mem::replace(&mut held.was_delivered, true);
        let head = TaskHead {
            id,
            attempt: held.attempts,
            is_again,
            lease_ms: self.settings.lease_ms(),
            left_ms: left.map_or(0, up_to_ms),
            key: held.task.key.clone(),
            headers: held.task.headers.clone(),
        };
        let message = held.task.message.clone();
        self.queue.bind(held, arrival);
        self.counts.delivered += 1;
        self.counts.again += u64::from(is_again);
        self.workers.choose(to);
        self.open(id, to, now.checked_add(self.settings.lease));
        self.actions.push_back(Action::Send {
            to,
            head: FromSource::Task(head),
            message: Some(message),
        });
        true
    }

    /// Takes the task out of where its state has it; the caller gives it another.
    pub(super) fn leave(&mut self, id: TaskId) {
        let Some(held) = self.tasks.get(&id) else {
            return;
        };
        match held.state {
            State::Queued => self.queue.leave(id, held, &mut self.workers),
            State::Delayed { until } => {
                self.delayed -= 1;
                self.timers.clear(Some(until), Timer::Start(id));
            }
            State::Open { worker, until } => {
                self.timers.clear(until, Timer::Lease(id));
                self.workers.update(worker, |worker| worker.open.remove(&id));
            }
        }
    }

    pub(super) fn enqueue(&mut self, id: TaskId) {
        if let Some(held) = self.tasks.get_mut(&id) {
            held.state = State::Queued;
            self.queue.enter(id, held, &mut self.workers);
        }
    }

    pub(super) fn delay(&mut self, id: TaskId, until: Instant) {
        if let Some(held) = self.tasks.get_mut(&id) {
            held.state = State::Delayed { until };
            self.delayed += 1;
            self.timers.set(Some(until), Timer::Start(id));
        }
    }

    pub(super) fn open(&mut self, id: TaskId, worker: WorkerId, until: Option<Instant>) {
        if let Some(held) = self.tasks.get_mut(&id) {
            held.state = State::Open { worker, until };
            self.timers.set(until, Timer::Lease(id));
            self.workers.update(worker, |worker| worker.open.insert(id));
        }
    }

    /// The worker stays, and may still say DONE.
    pub(super) fn lease_is_over(&mut self, id: TaskId) {
        self.leave(id);
        self.counts.leases_over += 1;
        if let Some(held) = self.tasks.get(&id) {
            self.queue.unbind(held);
        }
        self.lose(id);
    }

    /// A delivery has ended without a word, and the task has left its state.
    pub(super) fn lose(&mut self, id: TaskId) {
        let Some(held) = self.tasks.get_mut(&id) else {
            return;
        };
        self.counts.lost += 1;
        held.losses = held.losses.saturating_add(1);
        let is_last = self.settings.most_losses.is_some_and(|most| held.losses >= most);
        self.enqueue(id);
        if is_last {
            self.finish(id, None, Ending::Dead(Death::Lost));
        }
    }

    /// The task is settled. All that it was delivered to are told but `by`, who has said so.
    pub(super) fn finish(&mut self, id: TaskId, by: Option<WorkerId>, ending: Ending) {
        self.leave(id);
        let Some(held) = self.tasks.remove(&id) else {
            return;
        };
        self.queue.finish(id, &held, &mut self.workers);
        self.timers.clear(held.task.too_late_at, Timer::TooLate(id));
        for &session in held.had() {
            if let Some(to) = self.workers.of_session(session).filter(|&to| Some(to) != by) {
                self.send(to, FromSource::Cancel { ids: vec![id] });
            }
        }
        let has_room = self.backlog.remove(held.task.byte_count());
        let outcome = match ending {
            Ending::Done { by } => {
                self.counts.done += 1;
                self.spent.push(held.task);
                Outcome::Done { by }
            }
            Ending::Dead(why) => {
                self.counts.dead += 1;
                Outcome::Dead(Box::new(Dead {
                    why,
                    attempts: held.attempts,
                    losses: held.losses,
                    failures: held.failures,
                    task: held.task,
                }))
            }
        };
        self.actions.push_back(Action::Settled { id, outcome });
        if has_room {
            self.actions.push_back(Action::Room);
        }
    }

    pub(super) fn attempts(&self, id: TaskId) -> u16 {
        self.tasks.get(&id).map_or(0, |held| held.attempts)
    }

    pub(super) fn is_open_at(&self, id: TaskId, at: WorkerId) -> bool {
        let state = self.tasks.get(&id).map(|held| held.state);
        matches!(state, Some(State::Open { worker, .. }) if worker == at)
    }
}

/// How a task ends, before it is known what else to tell of it.
pub(super) enum Ending {
    Done { by: Session },
    Dead(Death),
}

/// Whole milliseconds, none of them too few: 0 would say that there is no limit.
fn up_to_ms(left: Duration) -> u64 {
    u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

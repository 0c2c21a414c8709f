//! What a worker has to say next, and when.

use super::{Course, Desk, Phase, State, is_waiting};
use crate::confirmed::wire::{FromWorker, MOST_IDS, TaskId};
use std::time::{Duration, Instant};

impl Desk {
    /// What is to be said now. Ask until there is nothing, after each call and at the deadline.
    pub(in crate::confirmed::worker) fn poll_said(&mut self, now: Instant) -> Option<FromWorker> {
        match self.phase {
            Phase::Away | Phase::Mute => None,
            Phase::ToGreet => Some(self.hello(now)),
            Phase::ExpectWelcome { again_at } => {
                let is_due = again_at.is_some_and(|again_at| again_at <= now);
                is_due.then(|| self.hello(now))
            }
            Phase::Greeted { .. } => {
                let said = self.next(now)?;
                if let Phase::Greeted { spoke, .. } = &mut self.phase {
                    *spoke = now;
                }
                Some(said)
            }
        }
    }

    /// When there is something to say, if nothing happens before.
    pub(in crate::confirmed::worker) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Away | Phase::Mute | Phase::ToGreet => None,
            Phase::ExpectWelcome { again_at } => again_at,
            Phase::Greeted { .. } => {
                let all = [self.done_at(), self.beat_at(), self.renewal_at()];
                all.into_iter().flatten().min()
            }
        }
    }

    /// It grants nothing: with one that was said before, and is heard late, the source would be granted twice as much. CREDIT
    /// follows WELCOME.
    fn hello(&mut self, now: Instant) -> FromWorker {
        self.phase = Phase::ExpectWelcome {
            again_at: now.checked_add(HELLO_AGAIN),
        };
        self.hellos = self.hellos.saturating_add(1);
        self.hello_done.extend(self.said_done.drain(..));
        let too_many = self.hello_done.len().saturating_sub(MOST_IDS);
        self.hello_done.drain(..too_many);
        FromWorker::Hello {
            session: self.session,
            source: self.source,
            credit: 0,
            done: self.hello_done.clone(),
        }
    }

    fn next(&mut self, now: Instant) -> Option<FromWorker> {
        if !self.returned.is_empty() {
            let ids = front(&mut self.returned);
            self.counts.returned += ids.len() as u64;
            return Some(FromWorker::Return { ids });
        }
        if let Some(failed) = self.failed.pop_front() {
            return Some(FromWorker::Failed {
                id: failed.id,
                kind: failed.kind,
                after_ms: failed.after_ms,
                reason: failed.reason,
            });
        }
        while let Some(id) = self.extended.pop_front() {
            let state = self.held.get_mut(&id).map(|held| &mut held.state);
            if let Some(State::Begun { extend_ms, .. }) = state
                && let Some(lease_ms) = extend_ms.take()
            {
                return Some(FromWorker::Extend { id, lease_ms });
            }
        }
        if self.renewal_at().is_some_and(|at| at <= now) {
            let waiting = self.order.iter().filter(|task| is_waiting(&self.held, task));
            self.renewed = waiting.map(|task| task.head.id).collect();
            self.renew_at = self.renewal_after(now);
        }
        while let Some(id) = self.renewed.pop_front() {
            if self.held.get(&id).is_some_and(|held| held.state == State::Waiting) {
                let lease_ms = self.lease_ms;
                return Some(FromWorker::Extend { id, lease_ms });
            }
        }
        if self.is_done_due(now) {
            let ids = front(&mut self.done);
            if self.done.is_empty() {
                self.done_since = None;
            }
            self.said_done.extend(&ids);
            let too_many = self.said_done.len().saturating_sub(MOST_IDS);
            self.said_done.drain(..too_many);
            return Some(FromWorker::Done { ids });
        }
        let more = self.more();
        if more > 0 {
            self.granted += more;
            // The prefetch is at most 65,536.
            return u32::try_from(more).ok().map(|more| FromWorker::Credit { more });
        }
        if self.is_bye_due() {
            self.lose_deliveries();
            self.phase = Phase::Mute;
            return Some(FromWorker::Bye);
        }
        self.is_beat_due(now).then_some(FromWorker::Beat)
    }

    /// What is to be granted now: nothing, until it is as much as is granted or waits. So for several at once, and before
    /// there is nothing to do.
    fn more(&self) -> usize {
        if self.course != Course::Open {
            return 0;
        }
        let room = self.prefetch.saturating_sub(self.taken());
        if room >= self.granted + self.waiting { room } else { 0 }
    }

    fn is_done_due(&self, now: Instant) -> bool {
        let enough = self.prefetch.div_ceil(2).min(MOST_IDS);
        let is_late = || self.done_at().is_some_and(|at| at <= now);
        !self.done.is_empty() && (self.waiting == 0 || self.done.len() >= enough || is_late())
    }

    fn is_bye_due(&self) -> bool {
        self.course == Course::Leaving && self.is_said()
    }

    fn is_beat_due(&self, now: Instant) -> bool {
        self.beat_at().is_some_and(|at| at <= now)
    }

    fn done_at(&self) -> Option<Instant> {
        self.done_since?.checked_add(DONE_WAITS)
    }

    /// What waits goes to others when its lease is over if the application is stuck, and not if it is at work: then it takes a
    /// task, or says something of one, within each lease.
    fn renewal_at(&self) -> Option<Instant> {
        let lease = Duration::from_millis(self.lease_ms.into());
        let until = self.lively?.checked_add(lease)?;
        let is_wanted = self.course == Course::Open && self.waiting > 0;
        self.renew_at.filter(|&at| is_wanted && at < until)
    }

    pub(super) fn renewal_after(&self, now: Instant) -> Option<Instant> {
        let half = Duration::from_millis(self.lease_ms.into()) / 2;
        now.checked_add(half.max(SHORTEST_RENEWAL))
    }

    fn beat_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Greeted {
                pause: Some(pause),
                spoke,
            } => spoke.checked_add(pause),
            _ => None,
        }
    }
}

/// As many as one head says.
fn front(ids: &mut Vec<TaskId>) -> Vec<TaskId> {
    if ids.len() <= MOST_IDS {
        return std::mem::take(ids);
    }
    ids.drain(..MOST_IDS).collect()
}

/// Until HELLO is said again.
pub(super) const HELLO_AGAIN: Duration = Duration::from_secs(5);
/// Between one EXTEND of what waits and the next, whatever the source calls a lease.
const SHORTEST_RENEWAL: Duration = Duration::from_millis(20);
/// Of a task that is done, for others to go with it.
pub(super) const DONE_WAITS: Duration = Duration::from_millis(1);

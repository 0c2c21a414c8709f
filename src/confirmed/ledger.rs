//! What a source knows of its tasks and its workers, and what it does next.
//!
//! A task is *queued*, *open* at a worker, *delayed*, or settled and forgotten. `handle_` tells what happened, `poll_action`
//! asks what is to be done, `deadline` says when to call `handle_timeout`. Nothing is over before `handle_timeout` finds it
//! so: who was away for a while tells first what was heard meanwhile.
//!
//! Each step takes time in the logarithm of what is here. The law: what was accepted is done, dead or here.

mod action;
mod backlog;
mod queue;
mod said;
mod settings;
mod steps;
mod task;
mod timers;
mod workers;

pub use action::Death;
pub(crate) use action::{Action, Counts, Dead, Outcome, Places};
pub(crate) use settings::Settings;
#[cfg(all(test, not(loom)))]
pub(crate) use task::Failed;
pub(crate) use task::{Refusal, Refused, Task};
pub(crate) use timers::later;
pub(crate) use workers::WorkerId;

use super::wire::{FromSource, FromWorker, Malformed, SourceId, TaskId};
use backlog::Backlog;
use queue::Queue;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use steps::Ending;
use task::Held;
use timers::{Timer, Timers};
use workers::Workers;

/// All tasks of a source that are not settled, and all workers that have said HELLO.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    source: SourceId,
    settings: Settings,
    phase: Phase,
    /// The id of the next task.
    next_id: NonZeroU64,
    /// What has its id and its place in the backlog, and is not kept yet.
    reserved: BTreeMap<TaskId, Task>,
    /// What is not settled. At the backlog's limit no task is accepted.
    tasks: BTreeMap<TaskId, Held>,
    backlog: Backlog,
    /// Those of `tasks` that wait for a worker.
    queue: Queue,
    /// How many of `tasks` wait for their time.
    delayed: usize,
    /// Who has said HELLO. At the limit of the settings who says it is turned away.
    workers: Workers,
    timers: Timers,
    /// To be done, oldest first. Emptied by who calls, after each call: one call adds at most one for each task that it ends
    /// and one for each worker that has to hear of that, and two for each worker besides.
    actions: VecDeque<Action>,
    /// Tasks that are done, until the caller drops them where it holds no lock: what they are made of may be the application's.
    spent: Vec<Task>,
    counts: Counts,
}

/// How long a source goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Tasks come and go.
    Open,
    /// None come.
    Draining,
    /// None are delivered; what workers say of those that are open is still taken.
    Stopped,
}

impl Ledger {
    /// Begins an empty one.
    pub(crate) fn new(source: SourceId, settings: Settings) -> Self {
        Ledger {
            source,
            phase: Phase::Open,
            next_id: NonZeroU64::MIN,
            reserved: BTreeMap::new(),
            tasks: BTreeMap::new(),
            backlog: Backlog::new(settings.most_tasks, settings.most_bytes),
            queue: Queue::default(),
            delayed: 0,
            workers: Workers::default(),
            timers: Timers::default(),
            actions: VecDeque::new(),
            spent: Vec::new(),
            counts: Counts::default(),
            settings,
        }
    }

    /// Accepts a task, or gives it back: when it is full it takes none until [`Action::Room`].
    pub(crate) fn handle_task(&mut self, now: Instant, task: Task) -> Result<TaskId, Refused> {
        let id = self.reserve(task)?;
        self.handle_kept(now, id);
        Ok(id)
    }

    /// Takes a task on that is to be kept elsewhere first: nobody is sent it before [`Ledger::handle_kept`]. Refuses as
    /// `handle_task` does.
    pub(crate) fn reserve(&mut self, task: Task) -> Result<TaskId, Refused> {
        let why = match self.phase {
            Phase::Open if self.backlog.is_full() => Some(Refusal::Full),
            Phase::Open => task.is_too_long().then_some(Refusal::TooLong),
            Phase::Draining | Phase::Stopped => Some(Refusal::Draining),
        };
        if let Some(why) = why {
            let task = Box::new(task);
            return Err(Refused { why, task });
        }
        // Numbers of 64 bits do not run out.
        let id = TaskId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        self.backlog.add(task.byte_count());
        self.reserved.insert(id, task);
        Ok(id)
    }

    /// A task that was reserved is kept: it is accepted. `false`: it is not reserved any more.
    pub(crate) fn handle_kept(&mut self, now: Instant, id: TaskId) -> bool {
        let task = self.reserved.remove(&id);
        let is_reserved = task.is_some();
        if let Some(task) = task {
            self.accept(now, id, Held::new(task));
        }
        is_reserved
    }

    /// A task that was reserved could not be kept: it is its sender's again.
    pub(crate) fn handle_not_kept(&mut self, id: TaskId) -> Option<Task> {
        let task = self.reserved.remove(&id)?;
        if self.backlog.remove(task.byte_count()) {
            self.actions.push_back(Action::Room);
        }
        Some(task)
    }

    /// A task that was kept when an earlier ledger of this source ended, which may have delivered it. It is here even if the
    /// backlog is full. Ids that were given since are larger.
    pub(crate) fn restore(&mut self, now: Instant, id: TaskId, task: Task) {
        self.skip(id.0.saturating_add(1));
        self.backlog.add(task.byte_count());
        let mut held = Held::new(task);
        held.was_delivered = true;
        self.accept(now, id, held);
    }

    /// Ids begin here, or later.
    pub(crate) fn skip(&mut self, next_id: NonZeroU64) {
        self.next_id = self.next_id.max(next_id);
    }

    fn accept(&mut self, now: Instant, id: TaskId, held: Held) {
        self.counts.accepted += 1;
        self.timers.set(held.task.too_late_at, Timer::TooLate(id));
        let starts_at = held.task.starts_at.filter(|&at| at > now);
        self.tasks.insert(id, held);
        match starts_at {
            Some(until) => self.delay(id, until),
            None => self.enqueue(id),
        }
    }

    /// This connection's worker has said something. `chance` decides how long a task waits that has failed.
    pub(crate) fn handle_said(&mut self, now: Instant, from: WorkerId, said: FromWorker, chance: u32) {
        if let FromWorker::Hello {
            session,
            source,
            credit,
            done,
        } = said
        {
            self.greet(now, from, session, credit);
            if source == self.source && self.workers.get(from).is_some() {
                self.settle(from, &done);
            } else {
                self.counts.ignored += done.len() as u64;
            }
            return;
        }
        if !self.workers.hear(from, now) {
            self.counts.strangers += 1;
            self.send(from, FromSource::Who);
            return;
        }
        match said {
            FromWorker::Hello { .. } | FromWorker::Beat => {}
            FromWorker::Credit { more } => self.grant(now, from, more),
            FromWorker::Done { ids } => self.settle(from, &ids),
            FromWorker::Failed {
                id,
                kind,
                after_ms,
                reason,
            } => {
                let wait = self.settings.wait(self.attempts(id), chance);
                let after = Duration::from_millis(after_ms.into());
                let until = later(now, wait.max(after));
                self.fail(now, id, from, kind, until, reason);
            }
            FromWorker::Extend { id, lease_ms } => self.extend(now, id, from, lease_ms),
            FromWorker::Return { ids } => self.take_back(from, &ids),
            FromWorker::Bye => self.part(from),
        }
    }

    /// This connection's worker, or who is no worker, has said what was not understood.
    pub(crate) fn handle_malformed(&mut self, now: Instant, from: WorkerId, why: Malformed) {
        self.counts.malformed += 1;
        let is_worker = self.workers.hear(from, now);
        match why {
            Malformed::OtherVersion(_) => self.welcome(from),
            Malformed::Form(_) => {}
        }
        if is_worker {
            self.offend(from);
        } else if matches!(why, Malformed::Form(_)) {
            // Workers say HELLO first.
            self.close(from);
        }
    }

    /// This connection is no more.
    pub(crate) fn handle_lost(&mut self, from: WorkerId) {
        self.part(from);
    }

    /// When to call `handle_timeout`, unless something else happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.first()
    }

    /// Finds what is over by now.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Lease(id) => self.lease_is_over(id),
                Timer::Start(id) => {
                    self.leave(id);
                    self.enqueue(id);
                }
                Timer::TooLate(id) => self.finish(id, None, Ending::Dead(Death::TooLate)),
                Timer::Silence(worker) => self.listen(worker),
            }
        }
    }

    /// Accepts no more tasks; those that are here are delivered.
    pub(crate) fn handle_drain(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Draining;
        }
    }

    /// Delivers no more tasks either, and says so.
    pub(crate) fn handle_stop(&mut self) {
        if self.phase == Phase::Stopped {
            return;
        }
        self.phase = Phase::Stopped;
        let workers: Vec<WorkerId> = self.workers.ids().collect();
        for worker in workers {
            self.send(worker, FromSource::Bye);
        }
    }

    /// What is to be done next. Ask until there is nothing, after each call.
    pub(crate) fn poll_action(&mut self, now: Instant) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            if !self.deliver(now) {
                return None;
            }
        }
    }

    /// The tasks that are done since this was asked.
    pub(crate) fn take_spent(&mut self) -> Vec<Task> {
        std::mem::take(&mut self.spent)
    }

    /// Whether somebody takes the next task.
    pub(crate) fn can_deliver(&self) -> bool {
        self.phase != Phase::Stopped && self.queue.next(&self.workers).is_some()
    }

    /// What has happened since it began.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Tasks that are not settled.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn here(&self) -> usize {
        self.tasks.len()
    }

    /// Where the tasks are. Takes time for each worker.
    pub(crate) fn places(&self) -> Places {
        let open = self.workers.open();
        Places {
            reserved: self.reserved.len(),
            open,
            delayed: self.delayed,
            queued: self.tasks.len().saturating_sub(open + self.delayed),
            bytes: self.backlog.bytes(),
            workers: self.workers.len(),
        }
    }

    /// Whether each task that was accepted is done, dead or here.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_conserved(&self) -> bool {
        let Counts {
            accepted, done, dead, ..
        } = self.counts;
        accepted == done + dead + self.here() as u64 && self.backlog.tasks() == self.here() + self.reserved.len()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

//! The rules once more, in plain lists that are looked through from front to back: what a ledger is compared with.

use super::*;

pub(super) struct Naive {
    settings: Settings,
    phase: Phase,
    accepted: u64,
    is_full: bool,
    choices: u64,
    /// In the order of their ids.
    tasks: Vec<Known>,
    workers: Vec<Worker>,
    /// Who has had the tasks of an ordering key, as long as one holds it.
    bound: Vec<(Bytes, WorkerId)>,
    pub(super) actions: Vec<Action>,
}

struct Known {
    id: TaskId,
    task: Task,
    state: State,
    attempts: u16,
    losses: u16,
    was_sent: bool,
    had: Vec<Session>,
    failures: Vec<Failed>,
    /// Those of the same ordering key wait for it.
    holds: bool,
}

struct Worker {
    id: WorkerId,
    session: Session,
    credit: u32,
    chosen: u64,
    heard: Instant,
    offences: u32,
}

impl Naive {
    pub(super) fn new(settings: Settings) -> Self {
        Naive {
            settings,
            phase: Phase::Open,
            accepted: 0,
            is_full: false,
            choices: 0,
            tasks: Vec::new(),
            workers: Vec::new(),
            bound: Vec::new(),
            actions: Vec::new(),
        }
    }

    pub(super) fn task(&mut self, now: Instant, task: Task) -> Result<TaskId, Refusal> {
        if self.phase != Phase::Open {
            return Err(Refusal::Draining);
        }
        if self.is_full {
            return Err(Refusal::Full);
        }
        self.accepted += 1;
        let id = id(self.accepted);
        let state = match task.starts_at {
            Some(until) if until > now => State::Delayed { until },
            _ => State::Queued,
        };
        self.tasks.push(Known {
            id,
            task,
            state,
            attempts: 0,
            losses: 0,
            was_sent: false,
            had: Vec::new(),
            failures: Vec::new(),
            holds: false,
        });
        self.is_full = self.tasks.len() >= self.settings.most_tasks || self.bytes() >= self.settings.most_bytes;
        if state == State::Queued {
            self.queue(id);
        }
        Ok(id)
    }

    pub(super) fn said(&mut self, now: Instant, from: WorkerId, said: FromWorker, chance: u32) {
        if let FromWorker::Hello {
            session,
            source,
            credit,
            done,
        } = said
        {
            let is_other = |worker: &&Worker| worker.session == session && worker.id != from;
            if let Some(other) = self.workers.iter().find(is_other).map(|worker| worker.id) {
                self.close(other);
            }
            if self.worker(from).is_some_and(|worker| worker.session != session) {
                self.lost(from);
            }
            if self.worker(from).is_none() {
                if self.workers.len() >= self.settings.most_workers {
                    self.actions.push(Action::CloseWorker(from));
                    return;
                }
                self.workers.push(Worker {
                    id: from,
                    session,
                    credit: 0,
                    chosen: self.choices,
                    heard: now,
                    offences: 0,
                });
            }
            let most = MOST_CREDIT - self.open_at(from).len() as u32;
            let worker = self.worker(from).unwrap();
            worker.heard = now;
            worker.credit = credit.min(most);
            self.welcome(from);
            if self.phase == Phase::Stopped {
                self.send(from, FromSource::Bye);
            }
            if source == OURS {
                self.done(from, &done);
            }
            return;
        }
        let open = self.open_at(from);
        let Some(worker) = self.worker(from) else {
            self.send(from, FromSource::Who);
            return;
        };
        worker.heard = now;
        let session = worker.session;
        match said {
            FromWorker::Hello { .. } | FromWorker::Beat => {}
            FromWorker::Credit { more } if open.len() as u32 + worker.credit + more > MOST_CREDIT => {
                self.malformed(now, from);
            }
            FromWorker::Credit { more } => worker.credit += more,
            FromWorker::Done { ids } => self.done(from, &ids),
            FromWorker::Failed {
                id,
                kind,
                after_ms,
                reason,
            } => {
                self.give_up(id, session);
                if !open.contains(&id) {
                    return;
                }
                let known = self.known(id).unwrap();
                let failed = Failed {
                    at: now,
                    reason: reason.clone(),
                };
                known.failures.push(failed);
                let excess = known.failures.len().saturating_sub(16);
                known.failures.drain(..excess);
                let attempts = known.attempts;
                let wait = self.settings.wait(attempts, chance);
                let until = now + wait.max(Duration::from_millis(after_ms.into()));
                if kind == FailureKind::Reject {
                    self.end(id, Some(from), Ending::Dead(Death::Rejected { reason }));
                } else if attempts >= self.settings.most_attempts {
                    self.end(id, Some(from), Ending::Dead(Death::Failed { reason }));
                } else {
                    self.known(id).unwrap().state = State::Delayed { until };
                }
            }
            FromWorker::Extend { id, lease_ms } => {
                if open.contains(&id) {
                    let until = Some(now + Duration::from_millis(lease_ms.into()));
                    self.known(id).unwrap().state = State::Open { worker: from, until };
                }
            }
            FromWorker::Return { ids } => {
                worker.credit = 0;
                for id in ids {
                    self.give_up(id, session);
                    if self.open_at(from).contains(&id) {
                        self.known(id).unwrap().attempts -= 1;
                        self.unbind(id);
                        self.queue(id);
                    }
                }
            }
            FromWorker::Bye => self.lost(from),
        }
    }

    pub(super) fn malformed(&mut self, now: Instant, from: WorkerId) {
        let most = self.settings.most_offences;
        let is_over = self.worker(from).is_none_or(|worker| {
            worker.heard = now;
            worker.offences += 1;
            worker.offences >= most
        });
        if is_over {
            self.close(from);
        }
    }

    pub(super) fn lost(&mut self, from: WorkerId) {
        let open = self.open_at(from);
        self.workers.retain(|worker| worker.id != from);
        self.bound.retain(|&(_, worker)| worker != from);
        for id in open {
            self.lose(id);
        }
    }

    /// The next time that something is over, silence aside.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let times = self.times();
        times.into_iter().map(|(at, _)| at).min()
    }

    pub(super) fn timeout(&mut self, now: Instant) {
        loop {
            let silence = self.settings.silence;
            let silent = self.workers.iter().filter_map(|worker| {
                let at = worker.heard + silence?;
                Some((at, Timer::Silence(worker.id)))
            });
            let next = self.times().into_iter().chain(silent).min();
            let Some((_, timer)) = next.filter(|&(at, _)| at <= now) else {
                return;
            };
            match timer {
                Timer::TooLate(id) => self.end(id, None, Ending::Dead(Death::TooLate)),
                Timer::Start(id) => self.queue(id),
                Timer::Silence(worker) => self.close(worker),
                Timer::Lease(id) => {
                    self.unbind(id);
                    self.lose(id);
                }
            }
        }
    }

    pub(super) fn stop(&mut self) {
        if self.phase != Phase::Stopped {
            self.phase = Phase::Stopped;
            let mut ids: Vec<WorkerId> = self.workers.iter().map(|worker| worker.id).collect();
            ids.sort();
            for id in ids {
                self.send(id, FromSource::Bye);
            }
        }
    }

    pub(super) fn drain(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Draining;
        }
    }

    /// Sends all that somebody takes.
    pub(super) fn deliver(&mut self, now: Instant) {
        while let Some((id, to)) = self.next() {
            let lease = self.settings.lease;
            let too_late_at = self.known(id).unwrap().task.too_late_at;
            if too_late_at.is_some_and(|at| at <= now) {
                self.end(id, None, Ending::Dead(Death::TooLate));
                continue;
            }
            self.choices += 1;
            let choices = self.choices;
            let worker = self.worker(to).unwrap();
            worker.credit -= 1;
            worker.chosen = choices;
            let session = worker.session;
            let lease_ms = self.settings.lease_ms();
            let known = self.known(id).unwrap();
            known.attempts += 1;
            known.had.retain(|&had| had != session);
            known.had.push(session);
            if known.had.len() > 16 {
                known.had.remove(0);
            }
            let until = Some(now + lease);
            known.state = State::Open { worker: to, until };
            let head = TaskHead {
                id,
                attempt: known.attempts,
                is_again: std::mem::replace(&mut known.was_sent, true),
                lease_ms,
                left_ms: too_late_at.map_or(0, |at| (at - now).as_nanos().div_ceil(1_000_000) as u64),
                key: known.task.key.clone(),
                headers: known.task.headers.clone(),
            };
            let message = Some(known.task.message.clone());
            if let Some(order) = known.task.order.clone() {
                self.bound.retain(|(bound, _)| *bound != order);
                self.bound.push((order, to));
            }
            let head = FromSource::Task(head);
            self.actions.push(Action::Send { to, head, message });
        }
    }

    fn next(&self) -> Option<(TaskId, WorkerId)> {
        if self.phase == Phase::Stopped {
            return None;
        }
        let is_ready = |known: &&Known| known.state == State::Queued && (known.holds || known.task.order.is_none());
        let mut ready: Vec<&Known> = self.tasks.iter().filter(is_ready).collect();
        ready.sort_by_key(|known| (!known.was_sent, known.id));
        ready.into_iter().find_map(|known| {
            let order = known.task.order.as_ref();
            let bound = self.bound.iter().find(|(bound, _)| Some(bound) == order);
            let may = |worker: &&Worker| worker.credit > 0 && bound.is_none_or(|&(_, to)| to == worker.id);
            let best = |worker: &&Worker| (std::cmp::Reverse(worker.credit), worker.chosen, worker.id);
            let to = self.workers.iter().filter(may).min_by_key(best)?;
            Some((known.id, to.id))
        })
    }

    fn times(&self) -> Vec<(Instant, Timer)> {
        let mut times = Vec::new();
        for known in &self.tasks {
            times.extend(known.task.too_late_at.map(|at| (at, Timer::TooLate(known.id))));
            match known.state {
                State::Open { until, .. } => times.extend(until.map(|at| (at, Timer::Lease(known.id)))),
                State::Delayed { until } => times.push((until, Timer::Start(known.id))),
                State::Queued => {}
            }
        }
        times
    }

    fn queue(&mut self, id: TaskId) {
        let order = self.known(id).unwrap().task.order.clone();
        let is_held = |known: &Known| known.holds && known.task.order == order;
        let holds = order.is_some() && !self.tasks.iter().any(is_held);
        let known = self.known(id).unwrap();
        known.state = State::Queued;
        known.holds |= holds;
    }

    fn lose(&mut self, id: TaskId) {
        self.queue(id);
        let most = self.settings.most_losses;
        let known = self.known(id).unwrap();
        known.losses += 1;
        if most.is_some_and(|most| known.losses >= most) {
            self.end(id, None, Ending::Dead(Death::Lost));
        }
    }

    fn done(&mut self, from: WorkerId, ids: &[TaskId]) {
        let by = self.worker(from).unwrap().session;
        for &id in ids {
            if self.known(id).is_some_and(|known| known.had.contains(&by)) {
                self.end(id, Some(from), Ending::Done { by });
            }
        }
    }

    fn end(&mut self, id: TaskId, by: Option<WorkerId>, ending: Ending) {
        let at = self.tasks.iter().position(|known| known.id == id).unwrap();
        let known = self.tasks.remove(at);
        if known.holds {
            let waits = |next: &&mut Known| next.task.order == known.task.order && next.state == State::Queued;
            match self.tasks.iter_mut().find(waits) {
                Some(next) => next.holds = true,
                None => self.bound.retain(|(order, _)| Some(order) != known.task.order.as_ref()),
            }
        }
        for session in known.had {
            let to = self.workers.iter().find(|worker| worker.session == session);
            if let Some(to) = to.map(|worker| worker.id).filter(|&to| Some(to) != by) {
                self.send(to, FromSource::Cancel { ids: vec![id] });
            }
        }
        let outcome = match ending {
            Ending::Done { by } => Outcome::Done { by },
            Ending::Dead(why) => Outcome::Dead(Box::new(Dead {
                why,
                attempts: known.attempts,
                losses: known.losses,
                failures: known.failures,
                task: known.task,
            })),
        };
        self.actions.push(Action::Settled { id, outcome });
        let half = self.tasks.len() <= self.settings.most_tasks / 2 && self.bytes() <= self.settings.most_bytes / 2;
        if self.is_full && half {
            self.is_full = false;
            self.actions.push(Action::Room);
        }
    }

    fn give_up(&mut self, id: TaskId, by: Session) {
        if let Some(known) = self.known(id) {
            known.had.retain(|&session| session != by);
        }
    }

    fn unbind(&mut self, id: TaskId) {
        let order = self.known(id).unwrap().task.order.clone();
        self.bound.retain(|(bound, _)| Some(bound) != order.as_ref());
    }

    fn close(&mut self, id: WorkerId) {
        self.lost(id);
        self.actions.push(Action::CloseWorker(id));
    }

    fn welcome(&mut self, to: WorkerId) {
        let welcome = FromSource::Welcome {
            source: OURS,
            lease_ms: self.settings.lease_ms(),
            silence_ms: self.settings.silence_ms(),
        };
        self.send(to, welcome);
    }

    fn send(&mut self, to: WorkerId, head: FromSource) {
        let message = None;
        self.actions.push(Action::Send { to, head, message });
    }

    fn known(&mut self, id: TaskId) -> Option<&mut Known> {
        self.tasks.iter_mut().find(|known| known.id == id)
    }

    fn worker(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    pub(super) fn workers(&self) -> Vec<WorkerId> {
        self.workers.iter().map(|worker| worker.id).collect()
    }

    pub(super) fn open_at(&self, at: WorkerId) -> Vec<TaskId> {
        let is_open = |known: &&Known| matches!(known.state, State::Open { worker, .. } if worker == at);
        self.tasks.iter().filter(is_open).map(|known| known.id).collect()
    }

    fn bytes(&self) -> usize {
        self.tasks.iter().map(|known| known.task.byte_count()).sum()
    }
}

//! A source and its workers, and all that is on its way between them: one state of many, and the steps that lead on.
//!
//! A step is one event: a message is heard at one end, a worker ends a task, connects, crashes, or its connection is cut; the
//! source finds that out in a step of its own, or is told by the session's next connection. What is on its way is lost with
//! its connection. Each step keeps the promises, or panics.

use super::*;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{Hash, Hasher};

/// What may still go wrong, and how much a worker takes at once.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Trouble {
    pub(super) crashes: u8,
    pub(super) cuts: u8,
    /// Leases that are over before the worker says anything.
    pub(super) late: u8,
    pub(super) failures: u8,
    pub(super) returns: u8,
}

#[derive(Clone)]
pub(super) struct Scene {
    pub(super) ledger: Ledger,
    now: Instant,
    left: Trouble,
    takes: u32,
    workers: [Worker; 2],
    /// Those that are cut are here until the source knows.
    connections: BTreeMap<WorkerId, Connection>,
    came: u64,
    fates: BTreeMap<TaskId, Fate>,
}

#[derive(Clone, Default, Hash)]
struct Worker {
    starts: u8,
    at: Option<WorkerId>,
    is_welcome: bool,
    at_work: BTreeSet<TaskId>,
    /// All that it has done since it started.
    done: BTreeSet<TaskId>,
    /// Those of them that its HELLO has said.
    said: BTreeSet<TaskId>,
}

#[derive(Clone)]
struct Connection {
    worker: usize,
    is_cut: bool,
    up: VecDeque<FromWorker>,
    down: VecDeque<FromSource>,
    /// What the source has heard of it and not used.
    credit: u32,
}

/// A task as one sees it who sees all.
#[derive(Clone, Default, Hash)]
struct Fate {
    was_sent: bool,
    open: Option<WorkerId>,
    /// A worker has really done it.
    is_done: bool,
    is_settled: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Connect(usize),
    Cut(usize),
    Crash(usize),
    /// The source finds that a connection is no more.
    Miss(WorkerId),
    /// The source hears what is first on its way.
    Hear(WorkerId),
    /// The worker does.
    Read(WorkerId),
    Finish(usize, TaskId),
    Fail(usize, TaskId),
    Return(usize),
    /// The next deadline comes.
    Wait,
}

impl Scene {
    pub(super) fn new(tasks: Vec<Task>, takes: u32, left: Trouble) -> Self {
        let now = Instant::now();
        let mut ledger = Ledger::new(OURS, settings());
        let ids = tasks.into_iter().map(|task| ledger.handle_task(now, task).unwrap());
        let fates = ids.map(|id| (id, Fate::default())).collect();
        Scene {
            ledger,
            now,
            left,
            takes,
            workers: Default::default(),
            connections: BTreeMap::new(),
            came: 0,
            fates,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.fates.values().all(|fate| fate.is_settled)
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (at, worker) in self.workers.iter().enumerate() {
            match worker.at {
                None => steps.push(Step::Connect(at)),
                Some(_) if self.left.cuts > 0 => steps.push(Step::Cut(at)),
                Some(_) => {}
            }
            if self.left.crashes > 0 && (worker.at.is_some() || !worker.at_work.is_empty()) {
                steps.push(Step::Crash(at));
            }
            steps.extend(worker.at_work.iter().map(|&id| Step::Finish(at, id)));
            if worker.is_welcome && self.left.failures > 0 {
                steps.extend(worker.at_work.iter().map(|&id| Step::Fail(at, id)));
            }
            if worker.is_welcome && self.left.returns > 0 && !worker.at_work.is_empty() {
                steps.push(Step::Return(at));
            }
        }
        for (&id, connection) in &self.connections {
            if connection.is_cut {
                steps.push(Step::Miss(id));
            }
            if !connection.up.is_empty() {
                steps.push(Step::Hear(id));
            }
            if !connection.down.is_empty() {
                steps.push(Step::Read(id));
            }
        }
        if let Some(deadline) = self.ledger.deadline()
            && (self.left.late > 0 || self.late_by(deadline).is_empty())
        {
            steps.push(Step::Wait);
        }
        steps
    }

    /// Whose lease is over then.
    fn late_by(&self, deadline: Instant) -> Vec<TaskId> {
        let is_late =
            |held: &Held| matches!(held.state, State::Open { until, .. } if until.is_some_and(|at| at <= deadline));
        let tasks = self.ledger.tasks.iter();
        tasks.filter(|(_, held)| is_late(held)).map(|(&id, _)| id).collect()
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Connect(at) => self.connect(at),
            Step::Cut(at) => {
                self.left.cuts -= 1;
                self.cut(at);
            }
            Step::Crash(at) => {
                self.left.crashes -= 1;
                self.cut(at);
                let starts = self.workers[at].starts + 1;
                self.workers[at] = Worker {
                    starts,
                    ..Worker::default()
                };
            }
            Step::Miss(id) => {
                self.end(id);
                self.ledger.handle_lost(id);
            }
            Step::Hear(id) => self.hear(id),
            Step::Read(id) => self.read(id),
            Step::Finish(at, id) => {
                self.fates.get_mut(&id).unwrap().is_done = true;
                self.workers[at].at_work.remove(&id);
                self.workers[at].done.insert(id);
                if self.workers[at].is_welcome {
                    self.say(at, FromWorker::Done { ids: vec![id] });
                    self.say(at, FromWorker::Credit { more: 1 });
                }
            }
            Step::Fail(at, id) => {
                self.left.failures -= 1;
                self.workers[at].at_work.remove(&id);
                let failed = FromWorker::Failed {
                    id,
                    kind: FailureKind::Retry,
                    after_ms: 0,
                    reason: String::new(),
                };
                self.say(at, failed);
                self.say(at, FromWorker::Credit { more: 1 });
            }
            Step::Return(at) => {
                self.left.returns -= 1;
                let ids = std::mem::take(&mut self.workers[at].at_work);
                let ids = ids.into_iter().collect();
                self.say(at, FromWorker::Return { ids });
                self.say(at, FromWorker::Credit { more: self.takes });
            }
            Step::Wait => {
                self.now = self.ledger.deadline().unwrap();
                let late = self.late_by(self.now);
                self.left.late -= u8::from(!late.is_empty());
                for id in late {
                    self.fates.get_mut(&id).unwrap().open = None;
                }
                self.ledger.handle_timeout(self.now);
            }
        }
        self.act();
        for (id, fate) in &self.fates {
            assert_ne!(
                fate.is_settled,
                self.ledger.tasks.contains_key(id),
                "it is here or settled"
            );
        }
    }

    fn connect(&mut self, at: usize) {
        self.came += 1;
        let id = WorkerId(self.came);
        let session = self.session(at);
        let worker = &mut self.workers[at];
        worker.at = Some(id);
        worker.is_welcome = false;
        worker.said = worker.done.clone();
        let hello = FromWorker::Hello {
            session,
            source: OURS,
            credit: self.takes.saturating_sub(worker.at_work.len() as u32),
            done: worker.done.iter().copied().collect(),
        };
        let connection = Connection {
            worker: at,
            is_cut: false,
            up: VecDeque::from([hello]),
            down: VecDeque::new(),
            credit: 0,
        };
        self.connections.insert(id, connection);
    }

    fn cut(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        worker.is_welcome = false;
        if let Some(id) = worker.at.take() {
            let connection = self.connections.get_mut(&id).unwrap();
            connection.is_cut = true;
            connection.up.clear();
            connection.down.clear();
        }
    }

    /// The source has nothing to do with it any more.
    fn end(&mut self, id: WorkerId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        let worker = &mut self.workers[connection.worker];
        if worker.at == Some(id) {
            worker.at = None;
            worker.is_welcome = false;
        }
        for fate in self.fates.values_mut().filter(|fate| fate.open == Some(id)) {
            fate.open = None;
        }
    }

    fn say(&mut self, at: usize, said: FromWorker) {
        let id = self.workers[at].at.unwrap();
        self.connections.get_mut(&id).unwrap().up.push_back(said);
    }

    fn hear(&mut self, id: WorkerId) {
        let connection = self.connections.get_mut(&id).unwrap();
        let said = connection.up.pop_front().unwrap();
        let is_followed = matches!(
            said,
            FromWorker::Done { .. } | FromWorker::Failed { .. } | FromWorker::Return { .. }
        );
        let mut given_up = Vec::new();
        match &said {
            FromWorker::Hello { credit, .. } => connection.credit = *credit,
            FromWorker::Credit { more } => connection.credit += more,
            FromWorker::Return { ids } => {
                connection.credit = 0;
                given_up.clone_from(ids);
            }
            FromWorker::Failed { id, .. } => given_up.push(*id),
            _ => {}
        }
        for task in given_up {
            let fate = self.fates.get_mut(&task).unwrap();
            fate.open = fate.open.filter(|&at| at != id);
        }
        self.ledger.handle_said(self.now, id, said, 1 << 31);
        if is_followed {
            // By CREDIT, which a worker says in one breath with it.
            self.act();
            self.hear(id);
        }
    }

    fn read(&mut self, id: WorkerId) {
        let connection = self.connections.get_mut(&id).unwrap();
        let at = connection.worker;
        let worker = &mut self.workers[at];
        match connection.down.pop_front().unwrap() {
            FromSource::Welcome { .. } => {
                worker.is_welcome = true;
                let said = std::mem::take(&mut worker.said);
                let ids: Vec<TaskId> = worker.done.difference(&said).copied().collect();
                if !ids.is_empty() {
                    let more = ids.len() as u32;
                    self.say(at, FromWorker::Done { ids });
                    self.say(at, FromWorker::Credit { more });
                }
            }
            FromSource::Task(head) if worker.done.contains(&head.id) => {
                assert!(head.is_again);
                self.say(at, FromWorker::Done { ids: vec![head.id] });
                self.say(at, FromWorker::Credit { more: 1 });
            }
            FromSource::Task(head) => {
                if !worker.at_work.insert(head.id) {
                    assert!(head.is_again);
                    self.say(at, FromWorker::Credit { more: 1 });
                }
            }
            FromSource::Cancel { ids } => {
                if worker.at_work.remove(&ids[0]) {
                    self.say(at, FromWorker::Credit { more: 1 });
                }
            }
            FromSource::Bye | FromSource::Who => unreachable!("nobody stops, and all say HELLO"),
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.ledger.poll_action(self.now) {
            match action {
                Action::Send { to, head, .. } => {
                    if let FromSource::Task(head) = &head {
                        self.deliver(to, head);
                    }
                    if let Some(connection) = self.connections.get_mut(&to).filter(|it| !it.is_cut) {
                        connection.down.push_back(head);
                    }
                }
                Action::Settled { id, outcome } => {
                    let fate = self.fates.get_mut(&id).unwrap();
                    assert!(!fate.is_settled, "it is settled once");
                    assert!(
                        fate.is_done || matches!(outcome, Outcome::Dead(_)),
                        "nobody has done it"
                    );
                    fate.is_settled = true;
                    fate.open = None;
                }
                Action::CloseWorker(id) => self.end(id),
                Action::Room => unreachable!("it is never full"),
            }
        }
    }

    fn deliver(&mut self, to: WorkerId, head: &TaskHead) {
        let order = |id: &TaskId| self.ledger.tasks.get(id).and_then(|held| held.task.order.as_ref());
        for (before, fate) in self.fates.range(..head.id).filter(|(_, fate)| !fate.is_settled) {
            let key = order(&head.id);
            assert!(
                key.is_none() || order(before) != key,
                "one of an ordering key at a time"
            );
            let is_in_turn = head.is_again || fate.was_sent || key.is_some() || order(before).is_some();
            assert!(is_in_turn, "the first time in the order of the ids");
        }
        let fate = self.fates.get_mut(&head.id).unwrap();
        assert!(!fate.is_settled, "what is settled is not delivered again");
        assert_eq!(fate.open, None, "one delivery is open at a time");
        assert_eq!(head.is_again, fate.was_sent, "each delivery but the first is marked");
        fate.open = Some(to);
        fate.was_sent = true;
        let connection = self.connections.get_mut(&to).unwrap();
        assert!(connection.credit > 0, "credit is never exceeded");
        connection.credit -= 1;
    }

    /// The same for states that nothing tells apart from now on: times are told from now, connections by their order, and it
    /// does not matter which of the two workers is which, what is said of settled tasks, or who had a task that has crashed.
    pub(super) fn print(&self) -> u128 {
        let mut prints = [self.print_from(0), self.print_from(1)];
        prints.sort_unstable();
        u128::from(prints[0]) << 64 | u128::from(prints[1])
    }

    /// Seen from one of the workers.
    fn print_from(&self, first: usize) -> u64 {
        let numbers: HashMap<WorkerId, u8> = self.connections.keys().copied().zip(0..).collect();
        let number = |id: WorkerId| numbers.get(&id).copied();
        let ms = |at: Instant| (at - self.now).as_millis();
        let sessions = [first, 1 - first].map(|at| self.session(at));
        let session = |of: Session| sessions.iter().position(|&session| session == of);
        let is_here = |id: &&TaskId| self.ledger.tasks.contains_key(id);
        // How often a task was tried matters only where it may fail.
        let attempt = |attempt| if self.left.failures == 0 { 1 } else { attempt };
        let mut coming = Vec::new();
        let mut print = DefaultHasher::new();
        for connection in self.connections.values() {
            (connection.worker == first, connection.is_cut, connection.credit).hash(&mut print);
            for said in &connection.up {
                match said {
                    FromWorker::Hello { credit, done, .. } => {
                        (*credit, done.iter().filter(is_here).collect::<Vec<_>>()).hash(&mut print);
                    }
                    said => said.hash(&mut print),
                }
            }
            for said in &connection.down {
                match said {
                    FromSource::Task(head) => {
                        coming.push((connection.worker, head.id));
                        (head.id, attempt(head.attempt), head.is_again).hash(&mut print);
                    }
                    said => said.hash(&mut print),
                }
            }
            (connection.up.len(), connection.down.len()).hash(&mut print);
        }
        for at in [first, 1 - first] {
            let worker = &self.workers[at];
            (worker.at.map(number), worker.is_welcome, &worker.at_work).hash(&mut print);
            let comes = |id: &TaskId| coming.contains(&(at, *id));
            let matters = |id: &&TaskId| is_here(id) || comes(id);
            worker.done.iter().filter(matters).collect::<Vec<_>>().hash(&mut print);
            worker.said.iter().filter(is_here).collect::<Vec<_>>().hash(&mut print);
        }
        for (id, held) in &self.ledger.tasks {
            (id, attempt(held.attempts), held.was_delivered, self.fates[id].is_done).hash(&mut print);
            held.had()
                .iter()
                .filter_map(|&of| session(of))
                .collect::<Vec<_>>()
                .hash(&mut print);
            match held.state {
                State::Queued => 0.hash(&mut print),
                State::Open { worker, until } => (1, number(worker), until.map(ms)).hash(&mut print),
                State::Delayed { until } => (2, ms(until)).hash(&mut print),
            }
        }
        for (order, holder, bound) in self.ledger.queue.lanes() {
            (order, holder, bound.and_then(number)).hash(&mut print);
        }
        let mut before = 0;
        for (chosen, id) in self.ledger.workers.by_choice() {
            let worker = self.ledger.workers.get(id).unwrap();
            (chosen == before, number(id), session(worker.session), worker.credit).hash(&mut print);
            before = chosen;
        }
        self.left.hash(&mut print);
        print.finish()
    }

    fn session(&self, at: usize) -> Session {
        Session([at as u8 * 16 + self.workers[at].starts; 16])
    }
}

//! What a ledger promises, a sentence at a time; against plain lists; and in all its states.

mod crowd;
mod endings;
mod exhaustive;
mod naive;
mod queues;
mod scene;
mod workers;

use super::task::State;
use super::*;
use crate::confirmed::wire::{FailureKind, LONGEST_HEADERS, MOST_CREDIT, Session, TaskHead};
use crate::message::Message;
use bytes::Bytes;
use std::collections::BTreeSet;

/// A ledger and its time. What it wants done is told in words.
struct World {
    ledger: Ledger,
    start: Instant,
    now: Instant,
}

impl World {
    fn new() -> Self {
        World::with(settings())
    }

    fn with(settings: Settings) -> Self {
        let start = Instant::now();
        World {
            ledger: Ledger::new(OURS, settings),
            start,
            now: start,
        }
    }

    /// So many tasks, each of four octets.
    fn tasks(&mut self, count: usize) {
        for _ in 0..count {
            self.task(task());
        }
    }

    fn task(&mut self, task: Task) {
        self.ledger.handle_task(self.now, task).unwrap();
    }

    fn refused(&mut self, task: Task) -> Refusal {
        let refused = self.ledger.handle_task(self.now, task.clone()).unwrap_err();
        assert_eq!(*refused.task, task);
        refused.why
    }

    /// A worker says HELLO; its session has the number of its connection.
    fn hello(&mut self, worker: u64, credit: u32) -> Vec<String> {
        self.hello_of(worker, worker as u8, credit, &[])
    }

    fn hello_of(&mut self, worker: u64, session: u8, credit: u32, done: &[u64]) -> Vec<String> {
        let hello = FromWorker::Hello {
            session: Session([session; 16]),
            source: OURS,
            credit,
            done: ids(done),
        };
        self.says(worker, hello)
    }

    fn says(&mut self, worker: u64, said: FromWorker) -> Vec<String> {
        self.ledger.handle_said(self.now, WorkerId(worker), said, 1 << 31);
        self.told()
    }

    fn done(&mut self, worker: u64, done: &[u64]) -> Vec<String> {
        self.says(worker, FromWorker::Done { ids: ids(done) })
    }

    fn credit(&mut self, worker: u64, more: u32) -> Vec<String> {
        self.says(worker, FromWorker::Credit { more })
    }

    fn failed(&mut self, worker: u64, task: u64, kind: FailureKind, after_ms: u32) -> Vec<String> {
        let reason = "why".to_owned();
        let id = id(task);
        self.says(
            worker,
            FromWorker::Failed {
                id,
                kind,
                after_ms,
                reason,
            },
        )
    }

    fn returned(&mut self, worker: u64, returned: &[u64]) -> Vec<String> {
        self.says(worker, FromWorker::Return { ids: ids(returned) })
    }

    fn lost(&mut self, worker: u64) -> Vec<String> {
        self.ledger.handle_lost(WorkerId(worker));
        self.told()
    }

    /// So much time passes, and each deadline on the way is kept.
    fn pass(&mut self, ms: u64) -> Vec<String> {
        let until = self.now + Duration::from_millis(ms);
        let mut told = Vec::new();
        while let Some(deadline) = self.ledger.deadline().filter(|&deadline| deadline <= until) {
            assert!(deadline >= self.now, "a deadline that is over is left");
            self.now = deadline;
            self.ledger.handle_timeout(self.now);
            told.extend(self.told());
        }
        self.now = until;
        told
    }

    /// Milliseconds from the start to the next deadline.
    fn deadline(&self) -> Option<u128> {
        let deadline = self.ledger.deadline()?;
        Some((deadline - self.start).as_millis())
    }

    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(action) = self.ledger.poll_action(self.now) {
            told.push(in_words(&action));
        }
        check(&self.ledger);
        told
    }

    fn at(&self, ms: u64) -> Option<Instant> {
        self.start.checked_add(Duration::from_millis(ms))
    }
}

/// A lease of a second, no silence, three attempts.
fn settings() -> Settings {
    Settings {
        lease: Duration::from_secs(1),
        most_attempts: 3,
        ..Settings::default()
    }
}

fn task() -> Task {
    Task::new(Message::from("task"))
}

fn ordered(order: &'static str) -> Task {
    Task {
        order: Some(Bytes::from_static(order.as_bytes())),
        ..task()
    }
}

fn id(number: u64) -> TaskId {
    TaskId(NonZeroU64::new(number).unwrap())
}

fn ids(numbers: &[u64]) -> Vec<TaskId> {
    numbers.iter().map(|&number| id(number)).collect()
}

fn in_words(action: &Action) -> String {
    match action {
        Action::Send { to, head, message } => {
            let said = match head {
                FromSource::Welcome { .. } => "welcome".to_owned(),
                FromSource::Task(head) if head.is_again => format!("again {} attempt {}", head.id.0, head.attempt),
                FromSource::Task(head) => format!("task {}", head.id.0),
                FromSource::Cancel { ids } => format!("cancel {}", ids[0].0),
                FromSource::Bye => "bye".to_owned(),
                FromSource::Who => "who".to_owned(),
            };
            assert_eq!(message.is_some(), matches!(head, FromSource::Task(_)));
            format!("{}: {said}", to.0)
        }
        Action::Settled { id, outcome } => {
            let how = match outcome {
                Outcome::Done { .. } => "done",
                Outcome::Dead(dead) => match dead.why {
                    Death::Failed { .. } => "failed",
                    Death::Rejected { .. } => "rejected",
                    Death::TooLate => "too late",
                    Death::Lost => "lost",
                },
            };
            format!("{} {how}", id.0)
        }
        Action::Room => "room".to_owned(),
        Action::CloseWorker(worker) => format!("{}: close", worker.0),
    }
}

/// All that must agree agrees.
fn check(ledger: &Ledger) {
    assert!(ledger.is_conserved() && ledger.workers.is_exact());
    let bytes: usize = ledger.tasks.values().map(|held| held.task.byte_count()).sum();
    assert_eq!(ledger.backlog.bytes(), bytes);

    let mut queued = Vec::new();
    let mut open = BTreeSet::new();
    let mut timers = 0;
    for (&id, held) in &ledger.tasks {
        match held.state {
            State::Queued => queued.push(id),
            State::Open { worker, until } => {
                timers += usize::from(until.is_some());
                open.insert((worker, id));
                let session = ledger.workers.get(worker).unwrap().session;
                assert!(held.was_delivered && held.had().last() == Some(&session));
            }
            State::Delayed { .. } => timers += 1,
        }
        timers += usize::from(held.task.too_late_at.is_some());
    }
    let workers = || {
        ledger
            .workers
            .ids()
            .filter_map(|id| Some((id, ledger.workers.get(id)?)))
    };
    let listed = workers().flat_map(|(id, worker)| worker.open.iter().map(move |&task| (id, task)));
    assert_eq!(listed.collect::<BTreeSet<_>>(), open);
    timers += workers().filter(|(_, worker)| worker.silent_at.is_some()).count();
    assert_eq!(ledger.timers.len(), timers);

    let mut places = ledger.queue.queued();
    places.extend(workers().flat_map(|(_, worker)| worker.bound.iter().map(|turn| turn.id)));
    places.sort();
    assert_eq!(places, queued, "each queued task is in one place");
    for (order, holder, _) in ledger.queue.lanes() {
        let held = &ledger.tasks[&holder];
        assert_eq!(held.task.order.as_ref(), Some(order));
    }
}

const OURS: SourceId = SourceId([1; 16]);

fn hello_head(credit: u32) -> FromWorker {
    FromWorker::Hello {
        session: Session([1; 16]),
        source: OURS,
        credit,
        done: Vec::new(),
    }
}

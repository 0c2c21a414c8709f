//! Workers against a ROUTER that plays the source by hand.

mod endings;
mod full;
mod sources;
mod store;

use super::desk::Desk;
use super::*;
use crate::confirmed::Source;
use crate::confirmed::wire::{FailureKind, FromSource, FromWorker, Session, SourceId, TaskHead, TaskId};
use crate::error::RecvError;
use crate::identity::Identity;
use crate::message::Message;
use crate::options::Options;
use crate::socket::Sealed;
use crate::socket::router::Router;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// Longer than anything here takes: a test that meets it has failed.
const LONG: Duration = Duration::from_secs(20);

/// A source that says what the test says.
struct Played {
    router: Router,
    worker: Option<Identity>,
}

impl Played {
    fn bound(context: &Context, endpoint: &str) -> (Self, String) {
        let router = Router::new(context);
        let here = router.bind(endpoint).unwrap().to_string();
        (Played { router, worker: None }, here)
    }

    fn hears(&mut self) -> FromWorker {
        let (from, message) = self.router.recv_timeout(LONG).unwrap();
        self.worker = Some(from);
        assert_eq!(message.frame_count(), 1);
        FromWorker::parse(message.first()).unwrap()
    }

    fn says(&self, said: &FromSource) {
        let mut octets = Vec::new();
        said.put(&mut octets);
        self.router.send_to(self.worker.as_ref().unwrap(), octets).unwrap();
    }

    fn sends(&self, head: TaskHead) {
        let mut octets = Vec::new();
        FromSource::Task(head).put(&mut octets);
        let message = Message::from([&octets[..], b"what", b"to do"]);
        self.router.send_to(self.worker.as_ref().unwrap(), message).unwrap();
    }

    /// A worker says HELLO, and is granted what it grants.
    fn greets(&mut self, silence_ms: u32) -> (Session, u32) {
        let session = self.hears_hello().0;
        self.welcomes(1, silence_ms);
        let FromWorker::Credit { more } = self.hears() else {
            panic!("no credit");
        };
        (session, more)
    }

    fn hears_hello(&mut self) -> (Session, SourceId, Vec<TaskId>) {
        match self.hears() {
            FromWorker::Hello {
                session, source, done, ..
            } => (session, source, done),
            said => panic!("no HELLO: {said:?}"),
        }
    }

    fn welcomes(&self, source: u8, silence_ms: u32) {
        self.says(&FromSource::Welcome {
            source: SourceId([source; 16]),
            lease_ms: 1000,
            silence_ms,
        });
    }

    /// What comes next that is no BEAT and no CREDIT.
    fn hears_of_tasks(&mut self) -> FromWorker {
        loop {
            match self.hears() {
                FromWorker::Beat | FromWorker::Credit { .. } => {}
                said => return said,
            }
        }
    }

    /// DONE of all these, in one or several.
    fn hears_done_of(&mut self, numbers: impl Iterator<Item = u64>) {
        let mut missing: BTreeSet<TaskId> = numbers.map(id).collect();
        while !missing.is_empty() {
            let FromWorker::Done { ids } = self.hears_of_tasks() else {
                panic!("no DONE");
            };
            ids.iter().for_each(|id| assert!(missing.remove(id), "{id:?} twice"));
        }
    }
}

fn id(number: u64) -> TaskId {
    TaskId(NonZeroU64::new(number).unwrap())
}

fn head(number: u64) -> TaskHead {
    TaskHead {
        id: id(number),
        attempt: 1,
        is_again: false,
        lease_ms: 1000,
        left_ms: 0,
        key: Bytes::new(),
        headers: Bytes::new(),
    }
}

/// A source and a worker that know each other.
fn joined(context: &Context, prefetch: u32) -> (Played, Worker) {
    let (mut source, here) = Played::bound(context, "tcp://127.0.0.1:0");
    let worker = Worker::builder(context).connect(here.as_str()).unwrap();
    let worker = worker.prefetch(prefetch).build().unwrap();
    assert_eq!(source.greets(0).1, prefetch);
    (source, worker)
}

fn next(worker: &Worker) -> Delivery {
    worker.recv_timeout(LONG).unwrap().expect("a task")
}

#[test]
fn tasks_come_with_what_is_said_of_them_and_are_answered() {
    let context = Context::new().unwrap();
    let (mut source, worker) = joined(&context, 8);
    source.sends(TaskHead {
        attempt: 3,
        is_again: true,
        left_ms: 3_600_000,
        key: Bytes::from_static(b"key"),
        headers: Bytes::from_static(b"headers"),
        ..head(1)
    });
    (2..=4).for_each(|number| source.sends(head(number)));

    let task = next(&worker);
    assert_eq!(
        (task.key(), task.headers(), task.attempt()),
        (&b"key"[..], &b"headers"[..], 3)
    );
    assert!(task.is_redelivered() && !task.is_cancelled());
    assert_eq!(task.lease(), Duration::from_secs(1));
    let left = task.time_left().unwrap();
    assert!(left > Duration::from_secs(3000) && left <= Duration::from_secs(3600));
    assert_eq!(*task.message(), Message::from(["what", "to do"]));
    assert_eq!(task.frame(1), Some(&b"to do"[..]));
    task.extend(Duration::MAX).unwrap();
    let extended = FromWorker::Extend {
        id: id(1),
        lease_ms: 86_400_000,
    };
    assert_eq!(source.hears_of_tasks(), extended);

    task.ack().unwrap();
    let task = next(&worker);
    assert!(!task.is_redelivered() && task.time_left().is_none());
    task.retry_after(Duration::from_millis(7), "busy").unwrap();
    next(&worker).reject("wrong").unwrap();
    drop(next(&worker));

    // The answers that are no DONE do not wait for others.
    let mut said: Vec<_> = (0..4).map(|_| source.hears_of_tasks()).collect();
    said.sort_by_key(|said| matches!(said, FromWorker::Done { .. }));
    let failed = |number, kind, after_ms, reason: &str| FromWorker::Failed {
        id: id(number),
        kind,
        after_ms,
        reason: reason.to_owned(),
    };
    let dropped = "its worker dropped it without an answer";
    assert_eq!(said[0], failed(2, FailureKind::Retry, 7, "busy"));
    assert_eq!(said[1], failed(3, FailureKind::Reject, 0, "wrong"));
    assert_eq!(said[2], failed(4, FailureKind::Retry, 0, dropped));
    assert_eq!(said[3], FromWorker::Done { ids: vec![id(1)] });

    let stats = worker.stats();
    assert_eq!((stats.received, stats.redelivered, stats.open), (4, 1, 0));
    assert_eq!((stats.acked, stats.retried, stats.rejected), (1, 2, 1));
    assert_eq!((stats.endpoints, stats.sources), (1, 1));
    assert!(worker.close(LONG).is_complete());
    assert_eq!(source.hears_of_tasks(), FromWorker::Bye);
}

#[test]
fn a_panic_is_a_word_too() {
    let context = Context::new().unwrap();
    let (mut source, worker) = joined(&context, 8);
    source.sends(head(1));

    let panicked = thread::scope(|scope| {
        let running = scope.spawn(|| {
            let _task = next(&worker);
            panic!("on purpose");
        });
        running.join()
    });

    assert!(panicked.is_err());
    let FromWorker::Failed { reason, .. } = source.hears_of_tasks() else {
        panic!("it did not fail");
    };
    assert_eq!(reason, "its worker panicked");
}

#[test]
fn thousands_of_tasks_go_to_several_threads_and_futures() {
    const TASKS: u64 = 5000;
    let context = Context::new().unwrap();
    let (mut source, worker) = joined(&context, 64);
    thread::scope(|scope| {
        for number in 0..3 {
            let worker = &worker;
            scope.spawn(move || match number {
                0 => smol::block_on(async {
                    while let Some(task) = worker.recv_async().await.unwrap() {
                        task.ack().unwrap();
                    }
                }),
                _ => {
                    while let Some(task) = worker.recv().unwrap() {
                        task.ack().unwrap();
                    }
                }
            });
        }
        let (mut credit, mut sent, mut done) = (64, 0, BTreeSet::new());
        while done.len() < TASKS as usize {
            while credit > 0 && sent < TASKS {
                sent += 1;
                credit -= 1;
                source.sends(head(sent));
            }
            match source.hears() {
                FromWorker::Credit { more } => credit += more,
                FromWorker::Done { ids } => ids.into_iter().for_each(|id| assert!(done.insert(id))),
                // On a machine that is slow.
                FromWorker::Extend { .. } => {}
                said => panic!("{said:?}"),
            }
            assert!(credit + (sent as u32 - done.len() as u32) <= 64);
        }
        worker.drain();
    });
    let stats = worker.stats();
    assert_eq!((stats.received, stats.acked, stats.malformed), (TASKS, TASKS, 0));
}

#[test]
fn it_beats_while_a_task_is_at_work() {
    let context = Context::new().unwrap();
    let (mut source, here) = Played::bound(&context, "tcp://127.0.0.1:0");
    let worker = Worker::builder(&context).connect(here.as_str()).unwrap();
    let worker = worker.prefetch(1).build().unwrap();
    source.greets(30);
    source.sends(head(1));
    let task = next(&worker);

    (0..5).for_each(|_| assert_eq!(source.hears(), FromWorker::Beat));

    task.ack().unwrap();
    assert_eq!(source.hears_of_tasks(), FromWorker::Done { ids: vec![id(1)] });
}

#[test]
fn a_cancelled_task_is_known_to_be() {
    let context = Context::new().unwrap();
    let (mut source, worker) = joined(&context, 2);
    (1..=2).for_each(|number| source.sends(head(number)));
    let task = next(&worker);
    source.says(&FromSource::Cancel {
        ids: vec![id(1), id(2)],
    });
    // Both places are free.
    assert_eq!(source.hears(), FromWorker::Credit { more: 2 });
    assert!(task.is_cancelled());
    task.ack().unwrap();
    assert!(matches!(worker.try_recv(), Err(WorkerError::WouldBlock)));
    source.sends(head(3));
    next(&worker).ack().unwrap();
    assert_eq!(source.hears_of_tasks(), FromWorker::Done { ids: vec![id(3)] });
}

#[test]
fn what_makes_no_sense_is_not_built() {
    let context = Context::new().unwrap();
    let builder = || Worker::builder(&context);
    let connected = || builder().connect("inproc://x").unwrap();
    assert!(matches!(builder().build(), Err(BuildError::NoEndpoint)));
    assert!(matches!(connected().prefetch(0).build(), Err(BuildError::Prefetch(0))));
    let too_many = connected().prefetch(65_537).build();
    assert!(matches!(too_many, Err(BuildError::Prefetch(65_537))));
    assert!(builder().connect("nowhere").is_err());
    let options = connected().options(Options::default().send_mark(0)).build();
    assert!(matches!(options, Err(BuildError::Options(_))));
}

#[test]
fn nothing_here_does_not_wait() {
    let context = Context::new().unwrap();
    let (source, worker) = joined(&context, 8);
    assert!(matches!(worker.try_recv(), Err(WorkerError::WouldBlock)));
    let short = Duration::from_millis(5);
    assert!(matches!(worker.recv_timeout(short), Err(WorkerError::TimedOut)));
    assert!(matches!(source.router.try_recv(), Err(RecvError::WouldBlock)));
    fn assert_shared<T: Send + Sync>(_: &T) {}
    assert_shared(&worker);
}

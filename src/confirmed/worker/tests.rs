//! Workers against a ROUTER that plays the source by hand.

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
fn a_source_that_comes_back_hears_what_was_done() {
    let context = Context::new().unwrap();
    let (mut source, here) = Played::bound(&context, "tcp://127.0.0.1:0");
    let options = Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(20));
    let worker = Worker::builder(&context).connect(here.as_str()).unwrap();
    let worker = worker.options(options).prefetch(4).build().unwrap();
    let (session, _) = source.greets(0);
    (1..=3).for_each(|number| source.sends(head(number)));
    let (one, two) = (next(&worker), next(&worker));
    one.ack().unwrap();
    source.hears_done_of(1..=1);

    source.router.close().unwrap();
    let (mut source, _) = Played::bound(&context, &here);
    assert_eq!(source.hears_hello(), (session, SourceId([1; 16]), vec![id(1)]));
    two.ack().unwrap();
    source.welcomes(1, 0);
    assert_eq!(source.hears(), FromWorker::Done { ids: vec![id(2)] });
    assert_eq!(source.hears(), FromWorker::Credit { more: 4 });

    // What waited comes again, and so does what was done.
    (2..=3).for_each(|number| {
        source.sends(TaskHead {
            is_again: true,
            ..head(number)
        })
    });
    let three = next(&worker);
    three.ack().unwrap();
    let mut said = vec![source.hears_of_tasks(), source.hears_of_tasks()];
    said.sort_by_key(|said| format!("{said:?}"));
    assert_eq!(said, [2, 3].map(|number| FromWorker::Done { ids: vec![id(number)] }));
    assert_eq!(worker.stats().duplicates, 1);
}

#[test]
fn another_source_at_the_same_endpoint_hears_nothing_of_the_one_before() {
    let context = Context::new().unwrap();
    let (mut source, here) = Played::bound(&context, "tcp://127.0.0.1:0");
    let options = Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(20));
    let worker = Worker::builder(&context).connect(here.as_str()).unwrap();
    let worker = worker.options(options).prefetch(4).build().unwrap();
    source.greets(0);
    source.sends(head(1));
    let task = next(&worker);

    source.router.close().unwrap();
    let (mut source, _) = Played::bound(&context, &here);
    source.hears_hello();
    source.welcomes(2, 0);
    assert_eq!(source.hears(), FromWorker::Credit { more: 4 });
    assert!(task.is_cancelled());
    task.ack().unwrap();
    source.sends(head(1));
    next(&worker).reject("theirs").unwrap();
    assert!(matches!(source.hears_of_tasks(), FromWorker::Failed { .. }));
}

#[test]
fn who_is_answered_with_hello() {
    let context = Context::new().unwrap();
    let (mut source, worker) = joined(&context, 4);
    source.sends(head(1));
    let task = next(&worker);
    source.says(&FromSource::Who);
    source.hears_hello();
    source.welcomes(1, 0);
    task.ack().unwrap();
    source.hears_done_of(1..=1);
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
fn a_source_may_connect_to_its_worker() {
    let context = Context::new().unwrap();
    for endpoint in ["tcp://127.0.0.1:0", "inproc://worker-bound"] {
        let worker = Worker::builder(&context).bind(endpoint).unwrap().build().unwrap();
        for round in 1..=2 {
            let router = Router::new(&context);
            router.connect(worker.endpoints()[0].clone()).unwrap();
            let mut source = Played { router, worker: None };
            source.greets(0);
            source.sends(head(round));
            next(&worker).ack().unwrap();
            source.hears_done_of(round..=round);
            source.router.close().unwrap();
        }
    }
}

#[test]
fn several_sources_are_asked_in_turn() {
    let context = Context::new().unwrap();
    let mut builder = Worker::builder(&context).prefetch(10);
    let mut sources = Vec::new();
    for _ in 0..2 {
        let (source, here) = Played::bound(&context, "tcp://127.0.0.1:0");
        builder = builder.connect(here.as_str()).unwrap();
        sources.push(source);
    }
    let worker = builder.build().unwrap();
    for source in &mut sources {
        source.greets(0);
        (1..=5).for_each(|number| source.sends(head(number)));
    }
    while worker.stats().waiting < 10 {
        thread::yield_now();
    }

    for _ in 0..5 {
        [next(&worker), next(&worker)]
            .into_iter()
            .for_each(|task| task.ack().unwrap());
    }
    for source in &mut sources {
        source.hears_done_of(1..=5);
    }
}

#[test]
fn two_endpoints_may_lead_to_one_source() {
    const TASKS: u32 = 100;
    let context = Context::new().unwrap();
    let source = Source::builder(&context).bind("tcp://127.0.0.1:*").unwrap();
    let source = source.bind("tcp://127.0.0.1:*").unwrap().build().unwrap();
    let builder = Worker::builder(&context).connect(source.endpoints()[0].clone());
    let builder = builder.unwrap().connect(source.endpoints()[1].clone());
    let worker = builder.unwrap().prefetch(1).build().unwrap();
    let limit = Instant::now() + LONG;
    while source.stats().workers < 2 {
        assert!(Instant::now() < limit, "one drives the other out");
        thread::yield_now();
    }

    let receipts: Vec<_> = (0..TASKS).map(|n| source.send(n.to_string()).unwrap()).collect();
    for _ in 0..TASKS {
        next(&worker).ack().unwrap();
    }

    assert!(receipts.iter().all(|receipt| receipt.wait(LONG).is_ok()));
    let stats = source.stats();
    assert_eq!((stats.workers, stats.losses, stats.redeliveries), (2, 0, 0));
}

#[test]
fn draining_returns_what_waits_and_wakes_who_waits() {
    let context = Context::new().unwrap();
    let (mut source, worker) = joined(&context, 8);
    (1..=3).for_each(|number| source.sends(head(number)));
    let task = next(&worker);
    while worker.stats().waiting < 2 {
        thread::yield_now();
    }

    worker.drain();
    assert_eq!(
        source.hears_of_tasks(),
        FromWorker::Return {
            ids: vec![id(2), id(3)]
        }
    );
    assert!(worker.recv().unwrap().is_none());
    source.sends(head(4));
    assert_eq!(source.hears_of_tasks(), FromWorker::Return { ids: vec![id(4)] });
    thread::scope(|scope| {
        let closing = scope.spawn(|| worker.close(LONG));
        task.ack().unwrap();
        assert!(closing.join().unwrap().is_complete());
    });
    assert_eq!(source.hears_of_tasks(), FromWorker::Done { ids: vec![id(1)] });
    assert_eq!(source.hears_of_tasks(), FromWorker::Bye);
    assert!(worker.recv().unwrap().is_none());
    assert_eq!(worker.stats().returned, 3);

    // Somebody waits already.
    let (_source, worker) = joined(&context, 8);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| worker.recv());
        worker.drain();
        assert!(waiting.join().unwrap().unwrap().is_none());
    });
}

#[test]
fn closing_does_not_wait_longer_than_it_may() {
    let context = Context::new().unwrap();
    let (mut source, worker) = joined(&context, 8);
    source.sends(head(1));
    let task = next(&worker);

    let report = worker.close(Duration::from_millis(20));
    assert!(!report.is_complete());
    assert_eq!(report.stats.open, 1);
    assert_eq!(source.hears_of_tasks(), FromWorker::Bye);
    assert!(matches!(task.extend(Duration::ZERO), Err(AnswerError::Closed)));
    assert!(task.is_cancelled());
    assert!(matches!(task.ack(), Err(AnswerError::Closed)));

    // Nobody is there, and nobody was.
    let worker = Worker::builder(&context).connect("inproc://nobody").unwrap();
    let begin = Instant::now();
    assert!(worker.build().unwrap().close(LONG).is_complete());
    assert!(begin.elapsed() < LONG / 2);
}

#[test]
fn who_drops_a_worker_says_bye() {
    let context = Context::new().unwrap();
    let (mut source, worker) = joined(&context, 8);
    source.sends(head(1));
    let task = next(&worker);
    drop(worker);
    assert_eq!(source.hears_of_tasks(), FromWorker::Bye);
    assert!(matches!(task.retry("late"), Err(AnswerError::Closed)));
}

#[test]
fn the_end_of_a_context_ends_the_wait() {
    let context = Context::new().unwrap();
    let (_source, worker) = joined(&context, 8);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| worker.recv());
        context.shutdown();
        assert!(matches!(waiting.join().unwrap(), Err(WorkerError::Closed)));
    });
    assert!(matches!(worker.recv(), Err(WorkerError::Closed)));
    worker.close(LONG);
}

/// A worker whose words find no room waits for it, and says them all.
#[test]
fn a_full_socket_delays_words_and_loses_none() {
    const TASKS: u64 = 2000;
    let context = Context::new().unwrap();
    let options = Options::default().recv_mark(1).send_mark(100_000);
    let router = Router::with_options(&context, options).unwrap();
    let here = router.bind("inproc://full").unwrap();
    let mut source = Played { router, worker: None };
    let worker = Worker::builder(&context).connect(here).unwrap();
    let options = Options::default().send_mark(1).recv_mark(100_000);
    let worker = worker.options(options).prefetch(65_536).build().unwrap();
    source.greets(0);
    (1..=TASKS).for_each(|number| source.sends(head(number)));
    // Each is said by itself, and nobody listens.
    for _ in 0..TASKS {
        next(&worker).reject("no").unwrap();
    }
    for number in 1..=TASKS {
        let FromWorker::Failed { id: failed, .. } = source.hears_of_tasks() else {
            panic!("it did not fail");
        };
        assert_eq!(failed, id(number));
    }
}

/// Who answers says what others have added meanwhile, but not all that they ever do.
#[test]
fn one_thread_does_not_speak_for_all_others_without_end() {
    const TASKS: u64 = 200;
    let context = Context::new().unwrap();
    let (mut source, here) = Played::bound(&context, "inproc://talkative");
    let worker = Worker::builder(&context).connect(here.as_str()).unwrap();
    let worker = worker.prefetch(1024).build().unwrap();
    source.greets(0);
    (1..=TASKS).for_each(|number| source.sends(head(number)));
    let chain = Arc::new(Chain {
        thread: thread::current().id(),
        left: Mutex::new((0..TASKS).map(|_| next(&worker)).collect()),
        is_answering: std::sync::atomic::AtomicBool::new(false),
        router: source.router,
    });
    let watched = chain.router.watched();
    let ticket = watched.watch(Waker::from(Arc::clone(&chain)));

    chain.answer();

    assert!(chain.left.lock().unwrap().len() > 100);
    watched.unwatch(ticket);
}

/// Answers one task, and, each time that something of it has arrived while the same thread was at it, the next.
struct Chain {
    thread: thread::ThreadId,
    left: Mutex<Vec<Delivery>>,
    is_answering: std::sync::atomic::AtomicBool,
    router: Router,
}

impl Chain {
    fn answer(&self) {
        let task = self.left.lock().unwrap().pop();
        task.into_iter().for_each(|task| task.reject("no").unwrap());
    }
}

impl std::task::Wake for Chain {
    fn wake(self: Arc<Self>) {
        let is_busy = || self.is_answering.swap(true, std::sync::atomic::Ordering::SeqCst);
        if thread::current().id() != self.thread || is_busy() {
            return;
        }
        while self.router.try_recv().is_ok() {}
        self.answer();
        self.is_answering.store(false, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn who_closes_is_told_of_answers_that_found_no_room() {
    let context = Context::new().unwrap();
    let router = Router::with_options(&context, Options::default().recv_mark(1)).unwrap();
    let here = router.bind("inproc://no-room").unwrap();
    let mut source = Played { router, worker: None };
    let worker = Worker::builder(&context).connect(here).unwrap();
    let worker = worker.options(Options::default().send_mark(1)).build().unwrap();
    source.greets(0);
    (1..=3).for_each(|number| source.sends(head(number)));
    for _ in 0..3 {
        next(&worker).reject("no").unwrap();
    }

    let report = worker.close(Duration::from_millis(20));

    // One is here, and one is on its way.
    assert_eq!((report.stats.open, report.stats.unsaid), (0, 1));
    assert!(!report.is_complete());
}

#[derive(Default)]
struct Store {
    done: Mutex<BTreeSet<Vec<u8>>>,
    is_broken: std::sync::atomic::AtomicBool,
}

impl Seen for Arc<Store> {
    fn was_done(&self, key: &[u8]) -> Result<bool, BoxError> {
        self.check()?;
        Ok(self.done.lock().unwrap().contains(key))
    }

    fn done(&self, key: &[u8]) -> Result<(), BoxError> {
        self.check()?;
        self.done.lock().unwrap().insert(key.to_vec());
        Ok(())
    }
}

impl Store {
    fn check(&self) -> Result<(), BoxError> {
        match self.is_broken.load(std::sync::atomic::Ordering::SeqCst) {
            true => Err("the disk is gone".into()),
            false => Ok(()),
        }
    }
}

#[test]
fn a_store_is_asked_of_what_comes_again_and_told_of_what_is_done() {
    let context = Context::new().unwrap();
    let (mut source, here) = Played::bound(&context, "tcp://127.0.0.1:0");
    let store = Arc::new(Store::default());
    store.done.lock().unwrap().insert(b"old".to_vec());
    let worker = Worker::builder(&context).connect(here.as_str()).unwrap();
    let worker = worker.seen(Arc::clone(&store)).build().unwrap();
    source.greets(0);
    let keyed = |number, key: &'static str, is_again| TaskHead {
        key: Bytes::from_static(key.as_bytes()),
        is_again,
        ..head(number)
    };

    source.sends(keyed(1, "old", true));
    source.sends(keyed(2, "old", false));
    let task = next(&worker);
    assert!(!task.is_redelivered(), "the first one was known");
    task.ack().unwrap();
    source.sends(keyed(3, "new", true));
    next(&worker).ack().unwrap();
    source.hears_done_of(1..=3);
    assert!(store.done.lock().unwrap().contains(&b"new"[..]));
    assert_eq!(worker.stats().duplicates, 1);

    store.is_broken.store(true, std::sync::atomic::Ordering::SeqCst);
    source.sends(keyed(4, "new", true));
    assert!(matches!(worker.recv_timeout(LONG), Err(WorkerError::Store(_))));
    let FromWorker::Failed { reason, .. } = source.hears_of_tasks() else {
        panic!("it did not fail");
    };
    assert_eq!(reason, "the store of what was done has failed: the disk is gone");
    source.sends(keyed(5, "more", false));
    assert!(matches!(next(&worker).ack(), Err(AnswerError::Store(_))));
    source.hears_done_of(5..=5);
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

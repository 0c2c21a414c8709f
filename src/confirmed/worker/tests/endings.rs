//! How a worker, or what it belongs to, ends.

use super::*;
use crate::hub::{CannotWait, Drive};
use crate::sync::Parker;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Of several sources, too: each has as long as the others.
#[test]
fn what_sources_did_not_read_in_time_is_reported() {
    const TASKS: u64 = 50;
    let context = Context::new().unwrap();
    let mut worker = Worker::builder(&context).prefetch(100);
    let mut sources = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let options = Options::default().recv_mark(1).send_mark(1000);
        let router = Router::with_options(&context, options).unwrap();
        worker = worker
            .connect(router.bind(format!("inproc://{name}")).unwrap())
            .unwrap();
        sources.push(Played { router, worker: None });
    }
    let worker = worker.build().unwrap();
    for source in &mut sources {
        source.greets(0);
        (1..=TASKS).for_each(|number| source.sends(head(number)));
        (1..=TASKS).for_each(|_| next(&worker).reject("no").unwrap());
    }

    let report = worker.close(LONG);

    assert_eq!((report.stats.open, report.stats.unsaid), (0, 0));
    assert!(report.unwritten > 0, "{report:?}");
    assert!(!report.is_complete());
}

/// Who waits for a task is told, and so is the source, which gives what this one had to others.
#[test]
fn a_worker_whose_thread_panics_ends() {
    let context = Context::new().unwrap();
    let (mut source, here) = Played::bound(&context, "tcp://127.0.0.1:0");
    let dealer = Dealer::new(&context);
    let monitors = [dealer.monitor()];
    dealer.connect(here.as_str()).unwrap();
    let clock = Arc::new(BrokenClock {
        drive: Arc::clone(dealer.watched().drive()),
        is_broken: AtomicBool::new(false),
    });
    let desk = Desk::new(Session([1; 16]), 8, (0, Duration::ZERO));
    let drive: Arc<dyn Drive> = Arc::clone(&clock) as _;
    let room = Arc::new(Room::new(vec![dealer], vec![desk], drive, None));
    room.bell.ring();
    let worker = Worker {
        room: Arc::clone(&room),
        endpoints: Vec::new(),
    };
    thread::scope(|scope| {
        let name = HAND.to_owned();
        let hand = thread::Builder::new().name(name);
        hand.spawn_scoped(scope, || hand::run(&room, &monitors)).unwrap();
        source.greets(0);
        source.sends(head(1));
        let task = next(&worker);
        let waiting = scope.spawn(|| worker.recv());

        clock.is_broken.store(true, Ordering::Release);
        room.bell.ring();

        assert!(matches!(waiting.join().unwrap(), Err(WorkerError::Closed)));
        assert!(matches!(task.ack(), Err(AnswerError::Closed)));
    });
    let worker_of = source.worker.clone().unwrap();
    while source.router.connection(&worker_of).is_some() {
        thread::yield_now();
    }
    assert_eq!(worker.close(LONG).stats.sources, 0);
}

/// Panics when a worker's thread looks at it, once it is broken.
struct BrokenClock {
    drive: Arc<dyn Drive>,
    is_broken: AtomicBool,
}

impl Drive for BrokenClock {
    fn now(&self) -> Instant {
        let is_hand = thread::current().name() == Some(HAND);
        assert!(!(is_hand && self.is_broken.load(Ordering::Acquire)), "on purpose");
        self.drive.now()
    }

    fn may_wait(&self) -> Result<(), CannotWait> {
        self.drive.may_wait()
    }

    fn wait(&self, parker: &Parker, deadline: Option<Instant>) -> Result<bool, CannotWait> {
        self.drive.wait(parker, deadline)
    }

    fn future_waits(&self) {
        self.drive.future_waits();
    }

    fn future_is_over(&self) {
        self.drive.future_is_over();
    }
}

const HAND: &str = "a hand of this test's";

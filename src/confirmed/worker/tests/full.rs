//! A source that does not read.

use super::*;

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
        let failed = loop {
            match source.hears_of_tasks() {
                FromWorker::Failed { id, .. } => break id,
                // On a machine that is slow.
                FromWorker::Extend { .. } => {}
                said => panic!("{said:?}"),
            }
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

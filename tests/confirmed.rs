//! Confirmed delivery over real sockets: a source, and workers that are written out octet by octet.

mod common;

use peermq::confirmed::{Death, NotTaken, Source, SourceBuilder, Task, Unconfirmed};
use peermq::{Cause, Context, Dealer, Endpoint, Life, Message, Options};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// A worker by hand.
struct Hand {
    dealer: Dealer,
}

impl Hand {
    fn new(context: &Context, endpoint: &Endpoint, credit: u32) -> Self {
        let dealer = Dealer::with_options(context, Options::default()).unwrap();
        dealer.connect(endpoint.clone()).unwrap();
        Hand::greeting(dealer, credit)
    }

    fn greeting(dealer: Dealer, credit: u32) -> Self {
        let hand = Hand { dealer };
        hand.say(1, &[&[7; 16], &[0; 16], &credit.to_be_bytes(), &[0, 0]]);
        let welcome = hand.hear(0x81);
        assert_eq!(welcome.first().len(), 4 + 24);
        hand
    }

    fn say(&self, command: u8, fields: &[&[u8]]) {
        let mut head = vec![b'C', b'D', 1, command];
        for field in fields {
            head.extend_from_slice(field);
        }
        self.dealer.send(head).unwrap();
    }

    fn hear(&self, command: u8) -> Message {
        let heard = self.dealer.recv_timeout(LONG).unwrap();
        assert_eq!(heard.first()[..4], [b'C', b'D', 1, command], "{heard:?}");
        heard
    }

    /// The next task: its id, its attempt, whether it is marked, and what it is.
    fn task(&self) -> (u64, u16, bool, String) {
        let heard = self.hear(0x82);
        let head = heard.first();
        (
            u64::from_be_bytes(head[4..12].try_into().unwrap()),
            u16::from_be_bytes(head[12..14].try_into().unwrap()),
            head[14] == 1,
            String::from_utf8(heard.frame(1).unwrap().to_vec()).unwrap(),
        )
    }

    fn done(&self, id: u64) {
        self.say(3, &[&[0, 1], &id.to_be_bytes()]);
        self.say(2, &[&[0, 0, 0, 1]]);
    }

    fn failed(&self, id: u64, kind: u8, reason: &str) {
        self.say(
            4,
            &[
                &id.to_be_bytes(),
                &[kind, 0, 0, 0, 0, reason.len() as u8],
                reason.as_bytes(),
            ],
        );
        self.say(2, &[&[0, 0, 0, 1]]);
    }
}

fn builder(context: &Context) -> SourceBuilder {
    Source::builder(context).bind("tcp://127.0.0.1:*").unwrap()
}

fn source(context: &Context) -> (Source, Endpoint) {
    let source = builder(context).build().unwrap();
    let endpoint = source.endpoints()[0].clone();
    (source, endpoint)
}

#[test]
fn a_task_is_confirmed_once_its_worker_says_that_it_is_done() {
    let context = Context::new().unwrap();
    let (source, endpoint) = source(&context);
    let receipt = source.send(Task::new("one").key("k").headers("h")).unwrap();
    assert_eq!(receipt.wait(Duration::ZERO), Err(Unconfirmed::TimedOut));

    let worker = Hand::new(&context, &endpoint, 1);
    let (id, attempt, is_again, text) = worker.task();
    assert_eq!((id, attempt, is_again, text.as_str()), (receipt.id(), 1, false, "one"));
    assert_eq!(receipt.outcome(), None);
    worker.done(id);

    assert_eq!(receipt.wait(LONG), Ok(()));
    let stats = source.stats();
    assert_eq!((stats.accepted, stats.done, stats.open, stats.queued), (1, 1, 0, 0));
    assert_eq!(stats.confirm_time.count(), 1);
}

#[test]
fn a_source_explains_why_nobody_takes_its_tasks() {
    let context = Context::new().unwrap();
    let (source, endpoint) = source(&context);
    assert_eq!(source.explain().causes, [Cause::NobodyCame]);

    let _worker = Hand::new(&context, &endpoint, 1);

    assert_eq!(source.explain().causes, []);
    source.close(LONG).unwrap();
    assert_eq!(source.explain().life, Life::Closed);
}

#[test]
fn what_a_worker_had_that_is_gone_goes_to_the_next_one_and_is_marked() {
    let context = Context::new().unwrap();
    let (source, endpoint) = source(&context);
    let receipts: Vec<_> = (0..3).map(|n| source.send(format!("task {n}")).unwrap()).collect();
    let first = Hand::new(&context, &endpoint, 2);
    assert_eq!(first.task().3, "task 0");
    assert_eq!(first.task().3, "task 1");

    drop(first);

    let second = Hand::new(&context, &endpoint, 3);
    for n in 0..3 {
        let (id, attempt, is_again, text) = second.task();
        assert_eq!(text, format!("task {n}"));
        assert_eq!((attempt, is_again), if n < 2 { (2, true) } else { (1, false) });
        second.done(id);
    }
    for receipt in &receipts {
        assert_eq!(receipt.wait(LONG), Ok(()));
    }
    assert_eq!(source.stats().losses, 2);
}

#[test]
fn a_rejected_task_is_a_dead_letter_before_its_sender_is_told() {
    let letters = Arc::new(Mutex::new(Vec::new()));
    let context = Context::new().unwrap();
    let theirs = Arc::clone(&letters);
    let source = builder(&context)
        .dead_letters(move |letter| {
            theirs.lock().unwrap().push(letter);
            Ok::<(), std::io::Error>(())
        })
        .build()
        .unwrap();
    let receipt = source.send(Task::new(["two", "frames"]).key("key")).unwrap();
    let worker = Hand::new(&context, &source.endpoints()[0], 1);

    worker.failed(worker.task().0, 1, "no such picture");

    let why = Death::Rejected {
        reason: String::from("no such picture"),
    };
    assert_eq!(receipt.wait(LONG), Err(Unconfirmed::Dead(why.clone())));
    let letters = letters.lock().unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].id, &letters[0].why, letters[0].attempts),
        (receipt.id(), &why, 1)
    );
    assert_eq!(letters[0].message, Message::from(["two", "frames"]));
    assert_eq!(letters[0].failures[0].reason, "no such picture");
}

#[test]
fn a_sink_that_panics_loses_its_letter_and_nothing_else() {
    let context = Context::new().unwrap();
    let source = builder(&context)
        .dead_letters(|_| -> Result<(), std::io::Error> { panic!("on purpose") })
        .build()
        .unwrap();
    let (bad, good) = (source.send("bad").unwrap(), source.send("good").unwrap());
    let worker = Hand::new(&context, &source.endpoints()[0], 2);

    worker.failed(worker.task().0, 1, "");
    worker.done(worker.task().0);

    assert_eq!(good.wait(LONG), Ok(()));
    assert!(matches!(bad.wait(LONG), Err(Unconfirmed::Dead(_))));
    assert_eq!(source.stats().lost_letters, 1);
}

#[test]
fn at_the_limit_of_the_backlog_try_send_hands_back_and_send_waits() {
    let context = Context::new().unwrap();
    let source = builder(&context).backlog(4, 1 << 20).build().unwrap();
    let receipts: Vec<_> = (0..4).map(|n| source.send(format!("{n}")).unwrap()).collect();

    let refused = source.try_send(Task::new("more").key("k")).unwrap_err();
    assert_eq!(refused.reason, NotTaken::WouldBlock);
    assert_eq!(*refused.task, Task::new("more").key("k"));
    let refused = source.send_timeout("more", Duration::from_millis(1)).unwrap_err();
    assert_eq!(refused.reason, NotTaken::TimedOut);

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| source.send("waits").unwrap());
        let worker = Hand::new(&context, &source.endpoints()[0], 8);
        for _ in 0..4 {
            worker.done(worker.task().0);
        }
        let (id, .., text) = worker.task();
        assert_eq!(text, "waits");
        worker.done(id);
        assert_eq!(waiting.join().unwrap().wait(LONG), Ok(()));
    });
    for receipt in &receipts {
        assert_eq!(receipt.wait(LONG), Ok(()));
    }
}

#[test]
fn bytes_fill_the_backlog_too() {
    let context = Context::new().unwrap();
    let source = builder(&context).backlog(1_000, 1_000).build().unwrap();
    let _first = source.try_send(vec![0; 999]).unwrap();
    let _second = source.try_send(vec![0; 5_000]).unwrap();

    assert_eq!(source.try_send("x").unwrap_err().reason, NotTaken::WouldBlock);
    assert_eq!(source.stats().bytes, 5_999);
}

#[test]
fn what_is_too_long_is_handed_back() {
    let context = Context::new().unwrap();
    let (source, _) = source(&context);

    for task in [
        Task::new("x").key([0; 65]),
        Task::new("x").ordering_key([0; 65]),
        Task::new("x").headers([0; 1_025]),
    ] {
        let refused = source.send(task.clone()).unwrap_err();
        assert_eq!((refused.reason, *refused.task), (NotTaken::TooLong, task));
    }
    let _taken = source.send(Task::new("x").key([0; 64]).headers([0; 1_024])).unwrap();
}

#[test]
fn close_reports_what_is_not_settled_and_tells_those_who_wait() {
    let context = Context::new().unwrap();
    let (source, endpoint) = source(&context);
    let receipts: Vec<_> = (0..3).map(|n| source.send(format!("{n}")).unwrap()).collect();
    let worker = Hand::new(&context, &endpoint, 2);
    worker.done(worker.task().0);
    assert_eq!(receipts[0].wait(LONG), Ok(()));

    let report = std::thread::scope(|scope| {
        let waits = scope.spawn(|| receipts[2].wait(LONG));
        let report = source.close(Duration::from_millis(1)).unwrap();
        assert_eq!(waits.join().unwrap(), Err(Unconfirmed::Closed));
        report
    });

    assert_eq!((report.done, report.dead, report.unsettled), (1, 0, 2));
    assert_eq!(source.send("late").unwrap_err().reason, NotTaken::Closed);
    assert_eq!(source.close(LONG).unwrap(), report, "a second call tells the same");
    let mut last = worker.dealer.recv_timeout(LONG).unwrap();
    while last.first()[3] == 0x82 {
        last = worker.dealer.recv_timeout(LONG).unwrap();
    }
    assert_eq!(last.first(), [b'C', b'D', 1, 0x84], "BYE");
}

#[test]
fn flush_waits_for_all_that_was_sent_before() {
    let context = Context::new().unwrap();
    let (source, endpoint) = source(&context);
    assert_eq!(source.flush(Duration::ZERO), Ok(true), "nothing was sent");
    let _receipts: Vec<_> = (0..10).map(|n| source.send(format!("{n}")).unwrap()).collect();
    assert_eq!(source.flush(Duration::from_millis(1)), Ok(false));
    let worker = Hand::new(&context, &endpoint, 10);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..10 {
                worker.done(worker.task().0);
            }
        });
        assert_eq!(source.flush(LONG), Ok(true));
    });
    assert_eq!(source.stats().done, 10);
}

#[test]
fn a_context_that_is_shut_down_ends_its_source() {
    let context = Context::new().unwrap();
    let (source, _) = source(&context);
    let receipt = source.send("x").unwrap();

    context.shutdown();

    assert_eq!(receipt.wait(LONG), Err(Unconfirmed::Closed));
    assert_eq!(source.send("y").unwrap_err().reason, NotTaken::Closed);
}

#[test]
fn a_stranger_is_asked_who_it_is_once_a_second_and_may_not_settle() {
    let context = Context::new().unwrap();
    let (source, endpoint) = source(&context);
    let receipt = source.send("x").unwrap();
    let worker = Hand::new(&context, &endpoint, 1);
    let (id, ..) = worker.task();
    let stranger = Dealer::new(&context);
    stranger.connect(endpoint).unwrap();

    for _ in 0..1_000 {
        let mut done = vec![b'C', b'D', 1, 3, 0, 1];
        done.extend_from_slice(&id.to_be_bytes());
        stranger.send(done).unwrap();
    }

    let who = stranger.recv_timeout(LONG).unwrap();
    assert_eq!(who.first(), [b'C', b'D', 1, 0x85]);
    common::until("a thousand strangers", || source.stats().strangers == 1_000);
    assert!(stranger.try_recv().is_err(), "not again at once");
    assert_eq!(receipt.outcome(), None);
    worker.done(id);
    assert_eq!(receipt.wait(LONG), Ok(()));
}

#[test]
fn who_says_what_is_not_understood_is_ended_and_its_tasks_go_on() {
    let context = Context::new().unwrap();
    let (source, endpoint) = source(&context);
    let receipt = source.send("x").unwrap();
    let bad = Hand::new(&context, &endpoint, 1);
    let _task = bad.task();

    for _ in 0..50 {
        bad.dealer.send("").unwrap();
        bad.dealer.send(["CD\u{1}\u{7}", "and a frame"]).unwrap();
    }

    common::until("it is ended", || source.stats().workers == 0);
    let good = Hand::new(&context, &endpoint, 1);
    let (id, attempt, ..) = good.task();
    assert_eq!(attempt, 2);
    good.done(id);
    assert_eq!(receipt.wait(LONG), Ok(()));
    assert_eq!(source.stats().malformed, 100);
}

#[test]
fn a_source_that_connects_gives_a_worker_that_is_back_nothing_of_before() {
    let context = Context::new().unwrap();
    let dealer = Dealer::new(&context);
    let monitor = dealer.monitor();
    let endpoint = dealer.bind("tcp://127.0.0.1:*").unwrap();
    let source = Source::builder(&context)
        .connect(endpoint.clone())
        .unwrap()
        .build()
        .unwrap();
    let receipt = source.send("x").unwrap();
    common::wait_connected(&monitor);
    let first = Hand::greeting(dealer, 1);
    let _task = first.task();

    drop(first);

    let dealer = Dealer::new(&context);
    let monitor = dealer.monitor();
    common::until("the endpoint is free", || dealer.bind(endpoint.clone()).is_ok());
    common::wait_connected(&monitor);
    let second = Hand::greeting(dealer, 1);
    let (id, attempt, is_again, _) = second.task();
    assert_eq!((id, attempt, is_again), (receipt.id(), 2, true));
    second.done(id);
    assert_eq!(receipt.wait(LONG), Ok(()));
}

#[test]
fn sends_and_receipts_are_futures() {
    let context = Context::new().unwrap();
    let source = builder(&context).backlog(1, 1 << 20).build().unwrap();
    let first = common::block_on(source.send_async("first")).unwrap();
    let mut waiting = Box::pin(source.send_async("second"));
    assert!(common::poll_once(waiting.as_mut()).is_none(), "the backlog is full");
    drop(Box::pin(source.send_async("dropped")));
    let worker = Hand::new(&context, &source.endpoints()[0], 1);

    worker.done(worker.task().0);

    assert_eq!(common::block_on(first), Ok(()));
    let second = common::block_on(waiting).unwrap();
    let (id, .., text) = worker.task();
    assert_eq!((id, text.as_str()), (second.id(), "second"));
    worker.done(id);
    assert_eq!(common::block_on(second), Ok(()));
    assert_eq!(source.stats().accepted, 2);
}

#[test]
fn statistics_are_text_for_prometheus_too() {
    let context = Context::new().unwrap();
    let (source, endpoint) = source(&context);
    let receipts: Vec<_> = (0..3).map(|n| source.send(format!("{n}")).unwrap()).collect();
    let worker = Hand::new(&context, &endpoint, 2);
    worker.done(worker.task().0);
    assert_eq!(receipts[0].wait(LONG), Ok(()));
    let _open = worker.task();
    let _open = worker.task();

    let text = source.stats().to_prometheus(&[("source", "a \"b\"")]);

    for line in [
        "peermq_source_tasks{source=\"a \\\"b\\\"\",place=\"open\"} 2\n",
        "peermq_source_settled_total{source=\"a \\\"b\\\"\",how=\"done\"} 1\n",
        "peermq_source_accepted_total{source=\"a \\\"b\\\"\"} 3\n",
        "peermq_source_confirm_seconds_count{source=\"a \\\"b\\\"\"} 1\n",
        "peermq_source_workers{source=\"a \\\"b\\\"\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert_eq!(
            line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>().is_ok()),
            Some(true),
            "{line}"
        );
    }
}

/// Looks at its source when it is dropped.
struct Curious(Arc<Mutex<Option<Arc<Source>>>>, Vec<u8>);

impl AsRef<[u8]> for Curious {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Curious {
    fn drop(&mut self) {
        if let Some(source) = self.0.lock().unwrap().take() {
            assert_eq!(source.stats().done, 1);
        }
    }
}

#[test]
fn what_a_done_task_was_made_of_may_ask_its_source_when_it_is_dropped() {
    let context = Context::new().unwrap();
    let source = Arc::new(source(&context).0);
    let place = Arc::new(Mutex::new(Some(Arc::clone(&source))));
    let body = bytes::Bytes::from_owner(Curious(Arc::clone(&place), vec![1; 10_000]));
    let receipt = source.send(body).unwrap();
    let worker = Hand::new(&context, &source.endpoints()[0], 2);
    let heard = worker.hear(0x82);

    worker.done(u64::from_be_bytes(heard.first()[4..12].try_into().unwrap()));

    assert_eq!(receipt.wait(LONG), Ok(()));
    common::until("it is dropped", || place.lock().unwrap().is_none());
    let next = source.send("next").unwrap();
    worker.done(worker.task().0);
    assert_eq!(next.wait(LONG), Ok(()));
}

#[test]
fn draining_ends_a_send_that_waits_for_room() {
    let context = Context::new().unwrap();
    let source = builder(&context).backlog(1, 1 << 20).build().unwrap();
    let _first = source.send("first").unwrap();
    let mut waiting = Box::pin(source.send_async("second"));
    assert!(common::poll_once(waiting.as_mut()).is_none());

    source.drain();

    let refused = common::block_on(waiting).unwrap_err();
    assert_eq!(
        (refused.reason, refused.task.message()),
        (NotTaken::Closed, &Message::from("second"))
    );
}

#[test]
fn a_sink_that_would_wait_for_its_source_is_told_so() {
    let context = Context::new().unwrap();
    let place = Arc::new(Mutex::new(None::<Arc<Source>>));
    let told = Arc::new(Mutex::new(None));
    let (here, result) = (Arc::clone(&place), Arc::clone(&told));
    let source = builder(&context)
        .dead_letters(move |_| {
            // The last handle, perhaps: dropping it must not wait for this thread either.
            if let Some(source) = here.lock().unwrap().take() {
                *result.lock().unwrap() = Some(source.flush(LONG));
            }
            Ok::<(), std::io::Error>(())
        })
        .build()
        .unwrap();
    let endpoint = source.endpoints()[0].clone();
    let receipt = source.send("bad").unwrap();
    *place.lock().unwrap() = Some(Arc::new(source));
    let worker = Hand::new(&context, &endpoint, 1);

    worker.failed(worker.task().0, 1, "never");

    assert!(matches!(receipt.wait(LONG), Err(Unconfirmed::Dead(_))));
    assert_eq!(*told.lock().unwrap(), Some(Err(NotTaken::WouldDeadlock)));
}

#[test]
fn strangers_that_flood_it_do_not_keep_a_source_from_delivering_or_from_ending() {
    let context = Context::new().unwrap();
    let (source, endpoint) = source(&context);
    let stranger = Dealer::new(&context);
    stranger.set_linger(Duration::ZERO);
    stranger.connect(endpoint.clone()).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                let _closed = stranger.send_timeout(b"CD\x01\x07", Duration::from_millis(100));
            }
        });
        common::until("the flood is here", || source.stats().strangers > 1_000);
        let worker = Hand::new(&context, &endpoint, 1);
        for n in 0..30 {
            let receipt = source.send(format!("{n}")).unwrap();
            worker.done(worker.task().0);
            assert_eq!(receipt.wait(LONG), Ok(()));
        }
        assert_eq!(source.close(LONG).unwrap().done, 30);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

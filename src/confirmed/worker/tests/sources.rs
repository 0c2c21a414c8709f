//! Sources that come, go and come back, and several of them.

use super::*;
use crate::explain::Cause;
use crate::socket::push::Push;

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
fn a_source_that_is_none_is_explained() {
    let context = Context::new().unwrap();
    let source = Router::new(&context);
    let here = source.bind("tcp://127.0.0.1:0").unwrap();
    let push = Push::new(&context);
    let there = push.bind("tcp://127.0.0.1:0").unwrap();
    let worker = Worker::builder(&context).connect(here).unwrap();
    let worker = worker.connect(there.clone()).unwrap().build().unwrap();

    let begin = Instant::now();
    let causes = loop {
        let explained = worker.explain().into_iter();
        let causes: Vec<_> = explained.map(|explanation| explanation.causes).collect();
        if !causes[1].is_empty() && !matches!(causes[1][..], [Cause::Awaited { .. }]) && causes[0].is_empty() {
            break causes;
        }
        assert!(begin.elapsed() < LONG, "{causes:?}");
        thread::yield_now();
    };

    let [Cause::GaveUp { endpoint, .. }] = &causes[1][..] else {
        panic!("{causes:?}");
    };
    assert_eq!(*endpoint, there);
}

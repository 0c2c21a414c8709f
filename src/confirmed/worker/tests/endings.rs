//! How a worker, or what it belongs to, ends.

use super::*;

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

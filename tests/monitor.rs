//! What happens is read one after the other: by a loop, by a future, by several at once.

mod common;

use common::{LONG, until};
use peermq::{Context, Event, Options, Pull, Push, RecvError};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread;

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Listening { .. } => "listening",
        Event::Connected { .. } => "connected",
        Event::Disconnected { .. } => "disconnected",
        Event::Unbound { .. } => "unbound",
        _ => "other",
    }
}

#[test]
fn a_loop_over_a_monitor_waits_for_each_event_and_ends_with_the_socket() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let looping = scope.spawn(move || {
            for event in &monitor {
                tell.send(kind(&event)).unwrap();
            }
            assert_eq!(
                monitor.try_recv(),
                Err(RecvError::Closed),
                "it ended because all is over"
            );
            monitor.missed()
        });
        let next = || told.recv_timeout(LONG).unwrap();
        let at = pull.bind("tcp://127.0.0.1:0").unwrap();
        assert_eq!(next(), "listening");
        let push = Push::new(&context);
        push.connect(at).unwrap();
        assert_eq!(next(), "connected");
        push.close().unwrap();
        assert_eq!(next(), "disconnected");
        pull.close().unwrap();
        assert_eq!(next(), "unbound");
        assert_eq!(looping.join().unwrap(), 0);
    });
}

#[test]
fn what_is_here_is_iterated_without_a_wait() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().monitor_events(2)).unwrap();
    let monitor = push.monitor();
    assert_eq!(monitor.try_iter().count(), 0);
    for _ in 0..3 {
        let pull = Pull::new(&context);
        push.connect(pull.bind("inproc://here").unwrap()).unwrap();
        pull.close().unwrap();
        push.disconnect("inproc://here").unwrap();
    }
    until("more came than it keeps", || monitor.missed() >= 4);
    assert_eq!(
        monitor.try_iter().map(|event| kind(&event)).collect::<Vec<_>>(),
        ["connected", "disconnected"]
    );
    drop(push);
    // As an iterator by itself, too: it waits for the end.
    assert_eq!(monitor.count(), 0);
}

#[test]
fn several_readers_share_the_events_of_one_monitor() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let seen = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for event in monitor.iter() {
                    if let Event::Listening { endpoint } = event {
                        assert!(
                            seen.lock().unwrap().insert(endpoint.to_string()),
                            "{endpoint} was told twice"
                        );
                    }
                }
            });
        }
        (0..100).for_each(|_| drop(pull.bind("tcp://127.0.0.1:0").unwrap()));
        until("all are told", || seen.lock().unwrap().len() == 100);
        pull.close().unwrap();
    });
}

#[test]
fn a_future_is_woken_by_the_next_event_and_loses_none_when_it_is_dropped() {
    struct Told(mpsc::Sender<()>);
    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            let _gone = self.0.send(());
        }
    }
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let (tell, told) = mpsc::channel();
    let waker = Waker::from(Arc::new(Told(tell)));
    let mut task = std::task::Context::from_waker(&waker);
    let mut dropped = Box::pin(monitor.recv_async());
    assert!(dropped.as_mut().poll(&mut task).is_pending());
    pull.bind("tcp://127.0.0.1:0").unwrap();
    told.recv_timeout(LONG).unwrap();
    drop(dropped);
    let mut next = Box::pin(monitor.recv_async());
    assert!(matches!(
        next.as_mut().poll(&mut task),
        Poll::Ready(Ok(Event::Listening { .. }))
    ));
    drop(next);
    let mut next = Box::pin(monitor.recv_async());
    assert!(next.as_mut().poll(&mut task).is_pending());
    pull.close().unwrap();
    let mut last = None;
    while last != Some(Err(RecvError::Closed)) {
        told.recv_timeout(LONG).unwrap();
        while let Poll::Ready(result) = next.as_mut().poll(&mut task) {
            next = Box::pin(monitor.recv_async());
            let is_over = result.is_err();
            last = Some(result);
            if is_over {
                break;
            }
        }
    }
}

#[test]
fn a_loop_on_the_thread_that_runs_the_event_loop_ends_instead_of_waiting() {
    struct Loops(Mutex<mpsc::Sender<usize>>, peermq::Monitor);
    impl Wake for Loops {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().send(self.1.iter().count()).unwrap();
        }
    }
    let context = Context::new().unwrap();
    let (pull, push) = (Pull::new(&context), Push::new(&context));
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let idle = Pull::new(&context);
    let (tell, told) = mpsc::channel();
    let waker = Waker::from(Arc::new(Loops(Mutex::new(tell), idle.monitor())));
    let mut next = Box::pin(pull.recv_async());
    assert!(
        next.as_mut()
            .poll(&mut std::task::Context::from_waker(&waker))
            .is_pending()
    );
    push.send("from the loop").unwrap();
    assert_eq!(told.recv_timeout(LONG).unwrap(), 0);
}

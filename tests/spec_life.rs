//! libzmq's tests of how sockets and contexts begin and end, by their numbers.

mod common;

use common::{LONG, endpoint, unused, wait_connected, wait_for};
use peermq::{
    Context, Dealer, Event, Identity, Interest, NotSent, Options, Pair, Poller, Pub, Pull, Push, RecvError, Router, Sub,
};
use std::collections::BTreeSet;
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A PULL that has bound this, and so many PUSHes that have sent it a message each; all arrive.
fn all_arrive(pull: &Pull, pushes: &[Push]) {
    let numbers = 0..pushes.len() as u8;
    numbers
        .clone()
        .zip(pushes)
        .for_each(|(n, push)| push.send(&[n]).unwrap());
    let heard = pushes.iter().map(|_| pull.recv_timeout(LONG).unwrap().first()[0]);
    assert_eq!(heard.collect::<BTreeSet<u8>>(), numbers.collect());
}

fn pushes(context: &Context, to: &str, count: usize) -> Vec<Push> {
    let push = || {
        let push = Push::new(context);
        push.connect(to).unwrap();
        push
    };
    (0..count).map(|_| push()).collect()
}

/// libzmq's test_inproc_connect: bind_before_connect, connect_before_bind, multiple_connects.
#[test]
fn t21_over_inproc_either_side_may_come_first() {
    for connects_first in [false, true] {
        for count in [1, 10] {
            let context = Context::new().unwrap();
            let pull = Pull::new(&context);
            let bind = || drop(pull.bind("inproc://either").unwrap());
            if !connects_first {
                bind();
            }
            let pushes = pushes(&context, "inproc://either", count);
            if connects_first {
                bind();
            }
            all_arrive(&pull, &pushes);
        }
    }
}

/// libzmq's test_inproc_connect: connect_before_bind_pub_sub. A publisher drops what nobody is there for.
#[test]
fn t21_a_pub_that_connects_before_anybody_binds_drops() {
    let context = Context::new().unwrap();
    let publisher = Pub::new(&context);
    publisher.connect("inproc://early").unwrap();
    publisher.send("for nobody").unwrap();
    let sub = Sub::new(&context);
    sub.bind("inproc://early").unwrap();
    sub.subscribe_confirmed("", LONG).unwrap();
    publisher.send("for you").unwrap();
    assert_eq!(sub.recv_timeout(LONG).unwrap(), "for you");
    assert_eq!(sub.try_recv(), Err(RecvError::WouldBlock));
}

/// libzmq's test_inproc_connect: connect_before_bind_ctx_term, connect_only, shutdown_during_pend.
#[test]
fn t21_a_context_ends_while_connects_wait_for_a_name() {
    for shuts_down in [false, true] {
        let context = Context::new().unwrap();
        let sockets: Vec<Pair> = (0..20)
            .map(|n| {
                let pair = Pair::new(&context);
                pair.connect(format!("inproc://nobody-{n}")).unwrap();
                pair
            })
            .collect();
        let begun = Instant::now();
        if shuts_down {
            assert_eq!(context.shutdown().sockets.len(), 20);
            assert_eq!(sockets[0].recv(), Err(RecvError::Closed));
        }
        drop(context);
        drop(sockets);
        assert!(begun.elapsed() < LONG / 4, "nothing waits to be sent");
    }
}

/// libzmq's test_inproc_connect: multiple_threads, simultaneous_connect_bind_threads.
#[test]
fn t21_over_inproc_many_threads_bind_and_connect_at_once() {
    const THREADS: usize = 30;
    let context = Context::new().unwrap();
    let at_once = Barrier::new(2 * THREADS);
    thread::scope(|scope| {
        for n in 0..THREADS {
            let (context, at_once) = (&context, &at_once);
            scope.spawn(move || {
                let push = Push::new(context);
                at_once.wait();
                push.connect(format!("inproc://{n}")).unwrap();
                push.send(&[n as u8]).unwrap();
            });
            scope.spawn(move || {
                let pull = Pull::new(context);
                at_once.wait();
                pull.bind(format!("inproc://{n}")).unwrap();
                assert_eq!(pull.recv_timeout(LONG).unwrap(), [n as u8]);
            });
        }
    });
}

/// libzmq's test_inproc_connect: routing_id.
#[test]
fn t21_a_name_is_known_over_inproc_whoever_comes_first() {
    for connects_first in [false, true] {
        let context = Context::new().unwrap();
        let named = Options::default().identity(Identity::new("me").unwrap());
        let (router, dealer) = (Router::new(&context), Dealer::with_options(&context, named).unwrap());
        if connects_first {
            dealer.connect("inproc://named").unwrap();
            dealer.send("hello").unwrap();
            router.bind("inproc://named").unwrap();
        } else {
            router.bind("inproc://named").unwrap();
            dealer.connect("inproc://named").unwrap();
            dealer.send("hello").unwrap();
        }
        let (who, message) = router.recv_timeout(LONG).unwrap();
        assert_eq!((who.as_bytes(), message), (&b"me"[..], "hello".into()));
        router.send_to(&who, "hello, you").unwrap();
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), "hello, you");
    }
}

/// libzmq's test_inproc_connect: unbind. A name that is free again may be bound by another.
#[test]
fn t21_a_name_that_was_unbound_is_bound_again() {
    let context = Context::new().unwrap();
    let (first, second) = (Pull::new(&context), Pull::new(&context));
    first.bind("inproc://again").unwrap();
    let before = pushes(&context, "inproc://again", 1);
    all_arrive(&first, &before);
    assert!(second.bind("inproc://again").is_err(), "it is taken");
    first.unbind("inproc://again").unwrap();
    second.bind("inproc://again").unwrap();
    let after = pushes(&context, "inproc://again", 1);
    all_arrive(&second, &after);
    all_arrive(&first, &before);
}

/// libzmq's test_timeo: calls wait as long as they were told to, and end at once when something comes.
#[test]
fn t27_timeouts_are_kept() {
    let limit = Duration::from_millis(250);
    let context = Context::new().unwrap();
    let (one, other) = (Dealer::new(&context), Dealer::new(&context));
    let here = one.bind("inproc://timeo").unwrap();
    let timed = |call: &dyn Fn()| {
        let begun = Instant::now();
        call();
        begun.elapsed()
    };
    let receiving = timed(&|| assert_eq!(one.recv_timeout(limit), Err(RecvError::TimedOut)));
    let sending = timed(&|| assert_eq!(one.send_timeout("x", limit).unwrap_err().reason, NotSent::TimedOut));
    for took in [receiving, sending] {
        assert!(took >= limit && took < LONG / 4, "{took:?}");
    }
    assert_eq!(one.try_recv(), Err(RecvError::WouldBlock));
    assert_eq!(one.try_send("x").unwrap_err().reason, NotSent::WouldBlock);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| one.recv_timeout(LONG).unwrap());
        other.connect(&here).unwrap();
        other.send_timeout("soon", limit).unwrap();
        assert_eq!(waiting.join().unwrap(), "soon");
    });
}

/// libzmq's test_ctx_destroy: the end of a context wakes who waits, for a message or by a poller; sockets that are made of
/// it afterwards are closed.
#[test]
fn t29_shutdown_wakes_who_waits_and_closes_what_comes() {
    for _ in 0..20 {
        let context = Context::new().unwrap();
        let pulls = [(), ()].map(|()| Pull::new(&context));
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let (receiving, polling, pulls) = (tell.clone(), tell, &pulls);
            scope.spawn(move || {
                receiving.send(()).unwrap();
                assert_eq!(pulls[0].recv(), Err(RecvError::Closed));
            });
            scope.spawn(move || {
                let mut poller = Poller::new();
                poller.add(&pulls[1], Interest::Readable).unwrap();
                polling.send(()).unwrap();
                let ready = poller.wait(Some(LONG)).unwrap();
                assert!(ready.len() == 1 && ready[0].closed, "{ready:?}");
            });
            (0..2).for_each(|_| told.recv().unwrap());
            context.shutdown();
        });
        let late = Push::new(&context);
        assert_eq!(late.send("x").unwrap_err().reason, NotSent::Closed);
        assert!(late.bind("inproc://late").is_err() && late.connect("inproc://late").is_err());
        assert_eq!(pulls[0].try_recv(), Err(RecvError::Closed));
    }
}

/// libzmq's test_shutdown_stress: ten times a hundred threads connect, close, and the context ends.
#[test]
fn t30_a_hundred_threads_connect_and_close_at_once() {
    for _ in 0..10 {
        let context = Context::new().unwrap();
        let publisher = Pub::new(&context);
        let here = publisher.bind("tcp://127.0.0.1:0").unwrap();
        let (begun, sockets) = (Instant::now(), Barrier::new(100));
        thread::scope(|scope| {
            for n in 0..100 {
                let (context, here, sockets) = (&context, &here, &sockets);
                scope.spawn(move || {
                    let sub = Sub::new(context);
                    sockets.wait();
                    sub.connect(here).unwrap();
                    match n % 3 {
                        0 => drop(sub.close().unwrap()),
                        _ => drop(sub),
                    }
                });
            }
        });
        drop(publisher);
        context.shutdown();
        assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Listening { .. } => "listening",
        Event::Connected { .. } => "connected",
        Event::Disconnected { .. } => "disconnected",
        Event::Unbound { .. } => "unbound",
        Event::ConnectFailed { .. } => "connect failed",
        Event::RetryingIn { .. } => "retrying",
        _ => "other",
    }
}

/// libzmq's test_monitor, basic: each side is told what happens, in order. Its ACCEPTED or CONNECTED and
/// HANDSHAKE_SUCCEEDED are one event here, `Connected`, and the end of its monitor is `Closed`.
#[test]
fn t42_events_come_in_order_over_tcp() {
    let context = Context::new().unwrap();
    let (server, client) = (Pull::new(&context), Push::new(&context));
    let (theirs, ours) = (server.monitor(), client.monitor());
    let here = server.bind("tcp://127.0.0.1:0").unwrap();
    client.connect(&here).unwrap();
    wait_connected(&ours);
    client.send("x").unwrap();
    server.recv_timeout(LONG).unwrap();
    client.close().unwrap();
    let mut told = Vec::new();
    while told.last() != Some(&"disconnected") {
        told.push(name(&theirs.recv_timeout(LONG).unwrap()));
    }
    server.close().unwrap();
    let rest = theirs.iter().map(|event| name(&event));
    told.extend(rest);
    assert_eq!(told, ["listening", "connected", "disconnected", "unbound"]);
    assert_eq!(theirs.try_recv(), Err(RecvError::Closed));
    let rest: Vec<_> = ours.iter().map(|event| name(&event)).collect();
    assert_eq!(rest, ["disconnected"]);
}

/// libzmq's test_monitor: an attempt that reaches nobody is told, and the wait that follows.
#[test]
fn t42_an_attempt_that_fails_is_told_and_then_the_wait() {
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(1), Duration::from_millis(5));
    let client = Push::with_options(&context, quick).unwrap();
    let monitor = client.monitor();
    let here = unused("tcp");
    client.connect(&here).unwrap();
    let next = || name(&monitor.recv_timeout(LONG).unwrap());
    assert_eq!(
        [next(), next(), next(), next()],
        ["connect failed", "retrying", "connect failed", "retrying"]
    );
    let server = Pull::new(&context);
    server.bind(&here).unwrap();
    wait_for!(monitor, Connected);
    let elsewhere = endpoint("inproc");
    client.connect(&elsewhere).unwrap();
    assert_eq!(
        monitor.try_recv(),
        Err(RecvError::WouldBlock),
        "over inproc the name may be bound later"
    );
}

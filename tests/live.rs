//! What is changed of a socket that exists is so at once, for the peers that it has.

mod common;

use common::{LONG, endpoint, transport_suite, until, unused, wait_connected, wait_for};
use peermq::{Context, DropReason, Endpoint, InvalidOptions, NotSent, Options, Pair, Pull, Push, RecvError, Req};
use std::thread;
use std::time::{Duration, Instant};

/// Sends until nothing finds room.
fn fill(push: &Push) -> usize {
    (0..)
        .find(|n: &usize| push.try_send(&n.to_le_bytes()).is_err())
        .unwrap()
}

/// Two sockets that hold exactly these marks together: nothing is in a kernel between them.
fn linked(context: &Context, name: &str, send: usize, recv: usize) -> (Push, Pull) {
    let push = Push::with_options(context, Options::default().send_mark(send)).unwrap();
    let pull = Pull::with_options(context, Options::default().recv_mark(recv)).unwrap();
    push.connect(pull.bind(name).unwrap()).unwrap();
    (push, pull)
}

#[test]
fn a_mark_of_0_is_refused_and_changes_nothing() {
    let context = Context::new().unwrap();
    let pair = Pair::with_options(&context, Options::default().mark(2)).unwrap();
    pair.connect("inproc://nobody").unwrap();
    let refused = |option| Err(InvalidOptions::Zero { option });
    assert_eq!(pair.set_send_mark(0), refused("send_mark"));
    assert_eq!(pair.set_send_mark_bytes(0), refused("send_mark_bytes"));
    assert_eq!(pair.set_recv_mark(0), refused("recv_mark"));
    assert_eq!(pair.set_recv_mark_bytes(0), refused("recv_mark_bytes"));
    pair.send("one").unwrap();
    pair.send("two").unwrap();
    assert_eq!(pair.try_send("three").unwrap_err().reason, NotSent::WouldBlock);
}

/// libzmq's test_sockopt_hwm: test_change_before_connected, test_change_after_connected.
#[test]
fn a_mark_counts_as_it_was_set_last_before_and_after_a_peer_is_there() {
    let context = Context::new().unwrap();
    let (push, pull) = (Push::new(&context), Pull::new(&context));
    push.set_send_mark(2).unwrap();
    pull.set_recv_mark(2).unwrap();
    push.connect(pull.bind("inproc://before").unwrap()).unwrap();
    assert_eq!(fill(&push), 4);

    let (push, pull) = linked(&context, "inproc://after", 1, 1);
    push.set_send_mark(5).unwrap();
    pull.set_recv_mark(2).unwrap();
    assert_eq!(fill(&push), 7);
    push.set_send_mark(8).unwrap();
    assert_eq!(fill(&push), 3);
    pull.set_recv_mark(4).unwrap();
    assert_eq!((pull.stats().incoming.queued, push.stats().out.queued), (4, 6));
    assert_eq!(fill(&push), 0, "it is not at its low mark");
    pull.set_recv_mark(6).unwrap();
    assert_eq!(fill(&push), 4);
}

/// libzmq's test_sockopt_hwm: test_decrease_when_full.
#[test]
fn lowered_below_what_is_queued_it_is_full_until_it_has_drained() {
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, "inproc://lower", 100, 1);
    assert_eq!(fill(&push), 101);

    push.set_send_mark(70).unwrap();

    assert_eq!(fill(&push), 0, "nothing is dropped, and nothing finds room");
    assert_eq!(push.stats().out.queued, 100);
    for n in 0..101_usize {
        // At half of the new mark it is wanted again, and not before.
        let queued = push.stats().out.queued;
        let has_room = push.try_send("x").is_ok();
        assert_eq!(has_room, queued <= 35, "{queued} are queued");
        if has_room {
            break;
        }
        assert_eq!(pull.recv_timeout(LONG).unwrap(), n.to_le_bytes());
    }
    until("all is read", || pull.try_recv().is_err());
    assert_eq!(fill(&push), 71);

    // The same for what may be unread.
    let (push, pull) = linked(&context, "inproc://lower-in", 1, 10);
    assert_eq!(fill(&push), 11);
    pull.set_recv_mark(4).unwrap();
    for left in (0..10).rev() {
        pull.try_recv().unwrap();
        let read_on = u64::from(left <= 2);
        assert_eq!(pull.stats().incoming.queued, left + read_on, "at half of the new mark");
        if read_on == 1 {
            break;
        }
    }
}

transport_suite!(
    who_waits_for_room_goes_on_once_the_mark_is_raised,
    reading_that_paused_goes_on_once_the_mark_is_raised,
);

fn who_waits_for_room_goes_on_once_the_mark_is_raised(transport: &str) {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().send_mark(1)).unwrap();
    push.connect(&*unused(transport)).unwrap();
    push.send("the only one").unwrap();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| push.send_timeout("waits", LONG)))
            .collect();
        let mut next = Box::pin(push.send_async("waits, too"));
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.as_mut().poll(&mut task).is_pending());

        push.set_send_mark(5).unwrap();

        // Its waker does nothing: if it stands before the others, they wait for it to go on.
        until("it is taken", || next.as_mut().poll(&mut task).is_ready());
        waiting.into_iter().for_each(|waiting| waiting.join().unwrap().unwrap());
    });
    assert_eq!(push.stats().out.queued, 5);
    assert_eq!(push.try_send("no").unwrap_err().reason, NotSent::WouldBlock);
    // In bytes: it is at its mark with any.
    push.set_send_mark(100).unwrap();
    push.set_send_mark_bytes(1).unwrap();
    assert_eq!(push.try_send("no").unwrap_err().reason, NotSent::WouldBlock);
    push.set_send_mark_bytes(1 << 20).unwrap();
    push.try_send("yes").unwrap();
}

fn reading_that_paused_goes_on_once_the_mark_is_raised(transport: &str) {
    let (here, there) = (Context::new().unwrap(), Context::new().unwrap());
    let there = if transport == "inproc" { &here } else { &there };
    // No heart beats: what comes wakes a connection that is paused, too.
    let quiet = || Options::default().no_heartbeat();
    let pull = Pull::with_options(&here, quiet().recv_mark(1)).unwrap();
    let push = Push::with_options(there, quiet()).unwrap();
    let monitor = push.monitor();
    push.connect(pull.bind(&*endpoint(transport)).unwrap()).unwrap();
    wait_connected(&monitor);
    (0..100_u8).for_each(|n| push.send(&[n]).unwrap());
    if transport != "inproc" {
        until("the kernel has it all", || push.stats().out.passed == 100);
    }
    until("it is at its mark", || pull.stats().incoming.queued == 1);
    // Nothing goes on any more that could have it read on by chance.
    let idle = Pull::new(&here);
    assert_eq!(idle.recv_timeout(Duration::from_millis(50)), Err(RecvError::TimedOut));
    for mark in [2, 10, 99] {
        pull.set_recv_mark(mark).unwrap();
        until("it reads on", || pull.stats().incoming.queued == mark as u64);
    }
    pull.set_recv_mark(1_000).unwrap();
    pull.set_recv_mark_bytes(1).unwrap();
    pull.set_recv_mark_bytes(1 << 20).unwrap();
    until("it has read all", || pull.stats().incoming.queued == 100);
    (0..100_u8).for_each(|n| assert_eq!(pull.try_recv().unwrap(), [n]));
}

#[test]
fn requests_wait_for_room_that_a_raised_mark_makes() {
    let context = Context::new().unwrap();
    let req = Req::with_options(&context, Options::default().send_mark(1)).unwrap();
    req.connect("inproc://no-server").unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert!(req.request("hello?").is_err()));
        }
        until("one is queued", || req.stats().out.queued == 1);
        req.set_send_mark(2).unwrap();
        until("both are", || req.stats().out.queued == 2);
        req.set_linger(Duration::ZERO);
        req.close().unwrap();
    });
}

#[test]
fn marks_that_change_all_the_time_lose_nothing_and_nobody_sleeps_through_it() {
    let (here, there) = (Context::new().unwrap(), Context::new().unwrap());
    let push = Push::with_options(&there, Options::default().send_mark(1)).unwrap();
    let pull = Pull::with_options(&here, Options::default().recv_mark(1)).unwrap();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| (0..20_000_u32).for_each(|n| push.send(&n.to_le_bytes()).unwrap()));
        scope.spawn(|| {
            for n in 0..2_000 {
                push.set_send_mark(n % 9 + 1).unwrap();
                pull.set_recv_mark(n % 7 + 1).unwrap();
                thread::yield_now();
            }
        });
        for n in 0..20_000_u32 {
            assert_eq!(pull.recv_timeout(LONG).unwrap(), n.to_le_bytes());
        }
    });
}

#[test]
fn the_linger_time_of_what_begins_to_end_is_the_one_that_was_set_last() {
    for ends in [
        |push: &Push, _: &Context| drop(push.close().unwrap()),
        |push: &Push, at: &Context| drop((push, at.shutdown())),
    ] {
        let context = Context::new().unwrap();
        let push = Push::with_options(&context, Options::default().linger(Duration::MAX)).unwrap();
        push.connect(&*unused("tcp")).unwrap();
        push.send("nobody will come").unwrap();
        let begin = Instant::now();
        push.set_linger(Duration::ZERO);

        ends(&push, &context);

        assert!(begin.elapsed() < LONG);
        assert_eq!(push.close().unwrap().peers[0].dropped.of(DropReason::Linger), 1);
    }
    // And of a disconnect, also the longer one.
    for (before, linger) in [(Duration::MAX, Duration::ZERO), (Duration::ZERO, Duration::MAX)] {
        let context = Context::new().unwrap();
        let push = Push::with_options(&context, Options::default().linger(before)).unwrap();
        let at: Endpoint = unused("tcp").parse().unwrap();
        push.connect(at.clone()).unwrap();
        push.send("somebody may come").unwrap();
        push.set_linger(linger);
        push.disconnect(at.clone()).unwrap();
        if linger.is_zero() {
            until("it is dropped", || push.stats().out.dropped.of(DropReason::Linger) == 1);
        } else {
            let pull = Pull::new(&context);
            let monitor = pull.monitor();
            pull.bind(at).unwrap();
            wait_for!(monitor, Connected);
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "somebody may come");
        }
        push.set_linger(Duration::ZERO);
    }
}

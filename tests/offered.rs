//! Over inproc a stream is left with its sender until somebody looks for it: it is there for every way to look.

mod common;

use common::{LONG, block_on, poll_once};
use peermq::{Context, Interest, Message, NotSent, Options, Poller, Pull, Push, RecvError};
use std::time::Duration;

/// Enough that some follow the one before within microseconds, also where a send takes some.
const MANY: u32 = 200;

/// Two that are linked, and what was sent to the second while it did not look.
fn streamed() -> (Context, Push, Pull) {
    let context = Context::new().unwrap();
    let (push, pull) = (Push::new(&context), Pull::new(&context));
    pull.bind("inproc://stream").unwrap();
    push.connect("inproc://stream").unwrap();
    send(&push);
    (context, push, pull)
}

fn send(push: &Push) {
    (0..MANY).for_each(|number| push.try_send(number.to_be_bytes().to_vec()).unwrap());
}

fn are_all(mut next: impl FnMut() -> Message) {
    (0..MANY).for_each(|number| assert_eq!(next(), number.to_be_bytes()));
}

#[test]
fn who_tries_finds_all_of_it() {
    let (_context, push, pull) = streamed();
    let waits = push.stats().peers[0].out.queued;
    println!("{waits} of {MANY} were left with the sender");

    are_all(|| pull.try_recv().unwrap());

    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
    assert_eq!(push.stats().peers[0].out.queued, 0);
}

#[test]
fn who_waits_finds_all_of_it() {
    let (_context, push, pull) = streamed();
    are_all(|| pull.recv_timeout(LONG).unwrap());
    send(&push);
    are_all(|| pull.recv().unwrap());
}

#[test]
fn a_future_finds_all_of_it() {
    let (_context, push, pull) = streamed();
    are_all(|| poll_once(pull.recv_async()).expect("it is there").unwrap());
    send(&push);
    are_all(|| block_on(pull.recv_async()).unwrap());
}

#[test]
fn a_call_for_many_finds_all_of_it() {
    let (_context, _push, pull) = streamed();
    let mut all = Vec::new();
    while all.len() < MANY as usize {
        pull.try_recv_many(&mut all, usize::MAX).unwrap();
    }
    let mut all = all.into_iter();
    are_all(|| all.next().unwrap());
}

#[test]
fn a_poller_is_told_of_it() {
    let (_context, push, pull) = streamed();
    let mut poller = Poller::new();
    poller.add(&pull, Interest::Readable).unwrap();
    are_all(|| {
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap().len(), 1);
        pull.try_recv().unwrap()
    });
    assert!(poller.wait(Some(Duration::ZERO)).unwrap().is_empty());
    send(&push);
    are_all(|| {
        assert_eq!(poller.wait(Some(LONG)).unwrap().len(), 1);
        pull.try_recv().unwrap()
    });
}

#[test]
fn it_arrives_though_its_sender_is_closed_before_anybody_looks() {
    let (_context, push, pull) = streamed();
    let report = push.close().unwrap();
    assert_eq!(report.written(), u64::from(MANY));
    drop(push);
    are_all(|| pull.recv_timeout(LONG).unwrap());
}

#[test]
fn both_marks_hold_exactly_while_nobody_looks() {
    for mark in [1, 2, 7] {
        let context = Context::new().unwrap();
        let push = Push::with_options(&context, Options::default().send_mark(mark)).unwrap();
        let pull = Pull::with_options(&context, Options::default().recv_mark(mark)).unwrap();
        pull.bind("inproc://marks").unwrap();
        push.connect("inproc://marks").unwrap();

        let sent = (0..100).take_while(|_| push.try_send("m").is_ok()).count();

        assert_eq!(sent, 2 * mark);
        assert_eq!(push.try_send("m").unwrap_err().reason, NotSent::WouldBlock);
        (0..sent).for_each(|_| assert_eq!(pull.try_recv().unwrap(), "m"));
        assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
    }
}

/// RFC 30, "fair-queuing": also while another peer's queue is never empty.
#[test]
fn a_peer_that_never_pauses_does_not_keep_it_from_being_found() {
    let context = Context::new().unwrap();
    let [flood, push] = [8, 1000].map(|mark| Push::with_options(&context, Options::default().send_mark(mark)).unwrap());
    let pull = Pull::with_options(&context, Options::default().recv_mark(8)).unwrap();
    pull.bind("inproc://fair").unwrap();
    for push in [&flood, &push] {
        push.connect("inproc://fair").unwrap();
    }
    while flood.try_send("flood").is_ok() {}
    for _ in 0..20 {
        push.send("rare").unwrap();
    }

    let (mut rare, mut turns) = (0, 0);
    while rare < 20 {
        rare += usize::from(pull.try_recv().unwrap() == "rare");
        turns += 1;
        assert!(turns < 200, "{rare} of 20 came");
        while flood.try_send("flood").is_ok() {}
    }
}

#[test]
fn a_lower_mark_leaves_the_room_that_the_receiver_has() {
    let (_context, push, pull) = streamed();
    push.set_send_mark(4).unwrap();
    push.try_send("one more").unwrap();
    are_all(|| pull.try_recv().unwrap());
    assert_eq!(pull.try_recv().unwrap(), "one more");
}

#[test]
fn it_is_received_though_the_receiver_parts_from_its_sender() {
    let context = Context::new().unwrap();
    let (push, pull) = (Push::new(&context), Pull::new(&context));
    push.bind("inproc://parting").unwrap();
    pull.connect("inproc://parting").unwrap();
    send(&push);

    pull.disconnect("inproc://parting").unwrap();

    are_all(|| pull.recv_timeout(LONG).unwrap());
}

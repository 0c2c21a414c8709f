//! libzmq's tests of what queues hold, by their numbers: how much fits, what waits, where it goes.

mod common;

use common::{LONG, endpoint, until, unused, wait_connected, wait_for};
use peermq::{AtMark, Context, DropReason, NotSent, Options, Pull, Push, Sub, XPub};
use std::thread;
use std::time::Duration;

const UNLIMITED: usize = usize::MAX;

fn quick() -> Options {
    Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(20))
}

/// Who is there first.
#[derive(Debug, Clone, Copy)]
enum First {
    Binds,
    Connects,
}

/// How many messages fit between a PUSH and a PULL that does not read; at most 10,000 are tried.
fn fit(send: usize, recv: usize, first: First) -> usize {
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, Options::default().recv_mark(recv)).unwrap();
    let push = Push::with_options(&context, Options::default().send_mark(send)).unwrap();
    match first {
        First::Binds => {
            pull.bind("inproc://marks").unwrap();
            push.connect("inproc://marks").unwrap();
        }
        First::Connects => {
            push.connect("inproc://marks").unwrap();
            pull.bind("inproc://marks").unwrap();
        }
    }
    let fits = (0..10_000)
        .take_while(|n: &u32| push.try_send(&n.to_be_bytes()).is_ok())
        .count();
    for n in 0..fits as u32 {
        assert_eq!(pull.recv_timeout(LONG).unwrap(), n.to_be_bytes());
    }
    assert!(pull.try_recv().is_err());
    push.try_send("and there is room again").unwrap();
    fits
}

/// libzmq's test_hwm: what fits over inproc is what both sides hold, whoever is there first. Its 0 is `usize::MAX` here.
#[test]
fn t16_what_fits_over_inproc_is_both_marks_together() {
    assert_eq!(fit(1_000, 1_000, First::Binds), 2_000, "the defaults");
    for first in [First::Binds, First::Connects] {
        for (send, recv, fits) in [
            (1, 1, 2),
            (5, 1, 6),
            (2, 7, 9),
            (UNLIMITED, 1, 10_000),
            (1, UNLIMITED, 10_000),
            (UNLIMITED, UNLIMITED, 10_000),
        ] {
            assert_eq!(fit(send, recv, first), fits, "{send} and {recv}, {first:?}");
        }
    }
}

/// libzmq's test_hwm: without its peer a socket holds its own mark.
#[test]
fn t16_alone_a_socket_holds_its_own_mark() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, quick().send_mark(5)).unwrap();
    let monitor = push.monitor();
    push.connect("inproc://alone").unwrap();
    let fill = || (0..100).take_while(|n: &u8| push.try_send(&[*n]).is_ok()).count();
    assert_eq!(fill(), 5, "nobody has been there");

    let pull = Pull::with_options(&context, Options::default().recv_mark(3)).unwrap();
    pull.bind("inproc://alone").unwrap();
    wait_connected(&monitor);
    until("three are there", || pull.stats().incoming.queued == 3);
    assert_eq!(fill(), 3, "its peer's mark is added");
    (0..8).for_each(|_| drop(pull.recv_timeout(LONG).unwrap()));
    pull.close().unwrap();
    wait_for!(monitor, Disconnected);
    assert_eq!(fill(), 5, "nobody is there any more");
}

fn xpub_and_sub(context: &Context, transport: &str, ours: Options, theirs: Options) -> (XPub, Sub) {
    let publisher = XPub::with_options(context, ours).unwrap();
    let sub = Sub::with_options(context, theirs).unwrap();
    sub.connect(publisher.bind(endpoint(transport)).unwrap()).unwrap();
    sub.subscribe_confirmed("", LONG).unwrap();
    (publisher, sub)
}

/// libzmq's test_hwm_pubsub, test_defaults_large and _small: up to the mark nothing is lost, over any transport.
#[test]
fn t17_up_to_the_mark_a_publisher_drops_nothing() {
    for transport in ["tcp", "ipc", "inproc"] {
        for (mark, size) in [(1_000, 1), (100, 10_000)] {
            let context = Context::new().unwrap();
            let options = || Options::default().mark(mark);
            let (publisher, sub) = xpub_and_sub(&context, transport, options(), options());
            for n in 0..mark as u32 {
                publisher.send([&n.to_be_bytes()[..], &vec![0; size]].concat()).unwrap();
            }
            for n in 0..mark as u32 {
                assert_eq!(sub.recv_timeout(LONG).unwrap().first()[..4], n.to_be_bytes());
            }
            assert_eq!(publisher.stats().out.dropped.total(), 0, "over {transport}");
        }
    }
}

/// libzmq's test_hwm_pubsub, test_blocking: a publisher that waits for its subscribers loses nothing.
#[test]
fn t17_a_publisher_that_waits_drops_nothing() {
    for transport in ["tcp", "ipc", "inproc"] {
        let context = Context::new().unwrap();
        let ours = Options::default().send_mark(100).at_mark(AtMark::Block);
        let (publisher, sub) = xpub_and_sub(&context, transport, ours, Options::default().recv_mark(10));
        let refused = thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut refused = 0;
                for n in 0..6_000u32 {
                    let body = [&n.to_be_bytes()[..], &[0; 1_000]].concat();
                    while let Err(error) = publisher.try_send(&body) {
                        assert_eq!(error.reason, NotSent::WouldBlock);
                        refused += 1;
                        thread::yield_now();
                    }
                }
                refused
            });
            if transport == "inproc" {
                until("it is full", || {
                    sub.stats().incoming.queued == 10 && publisher.stats().out.queued == 100
                });
            }
            for n in 0..6_000u32 {
                assert_eq!(sub.recv_timeout(LONG).unwrap().first()[..4], n.to_be_bytes());
            }
            sending.join().unwrap()
        });
        assert!(refused > 0 || transport != "inproc", "it had to wait");
        assert_eq!(publisher.stats().out.dropped.total(), 0, "over {transport}");
    }
}

/// libzmq's test_hwm_pubsub, test_reset_hwm: what was read makes room for as much again.
#[test]
fn t17_what_was_read_makes_room() {
    for transport in ["tcp", "inproc"] {
        let context = Context::new().unwrap();
        let options = || Options::default().mark(11_024);
        let (publisher, sub) = xpub_and_sub(&context, transport, options(), options());
        for count in [9_999, 1_100] {
            (0..count).for_each(|_| publisher.send("0123456789").unwrap());
            (0..count).for_each(|_| assert_eq!(sub.recv_timeout(LONG).unwrap(), "0123456789"));
            assert!(sub.try_recv().is_err());
        }
        assert_eq!(publisher.stats().out.dropped.of(DropReason::SubscriberFull), 0);
    }
}

/// libzmq's test_immediate, 1 and 2: of ten messages half wait for who is not there; or all go to who is, if so asked.
#[test]
fn t18_what_is_sent_to_two_of_whom_one_is_there() {
    for connected_first in [false, true] {
        let context = Context::new().unwrap();
        let push = Push::with_options(
            &context,
            quick().connected_first(connected_first).linger(Duration::ZERO),
        )
        .unwrap();
        let monitor = push.monitor();
        let pull = Pull::new(&context);
        push.connect(unused("tcp")).unwrap();
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        wait_connected(&monitor);

        (0..10u8).for_each(|n| push.try_send(&[n]).unwrap());

        let there = if connected_first { 10 } else { 5 };
        (0..there).for_each(|_| drop(pull.recv_timeout(LONG).unwrap()));
        assert_eq!(push.stats().out.queued, 10 - there);
    }
}

/// libzmq's test_immediate, 3: after a loss sending goes on once the peer is back. With `ZMQ_IMMEDIATE` nothing is accepted
/// meanwhile; here it waits for the peer.
#[test]
fn t18_a_lost_peer_gets_what_was_sent_meanwhile() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, quick().connected_first(true)).unwrap();
    let monitor = push.monitor();
    let first = Pull::new(&context);
    let here = first.bind("tcp://127.0.0.1:0").unwrap();
    push.connect(&here).unwrap();
    wait_connected(&monitor);
    first.close().unwrap();
    wait_for!(monitor, Disconnected);
    push.try_send("meanwhile").unwrap();

    let second = Pull::new(&context);
    second.bind(&here).unwrap();

    assert_eq!(second.recv_timeout(LONG).unwrap(), "meanwhile");
    push.try_send("and then").unwrap();
    assert_eq!(second.recv_timeout(LONG).unwrap(), "and then");
}

/// libzmq's test_bind_after_connect_tcp: what is sent before anybody is there arrives.
#[test]
fn t19_messages_wait_for_who_binds_after_connect() {
    let context = Context::new().unwrap();
    let [one, other] = [(), ()].map(|()| peermq::Dealer::with_options(&context, quick()).unwrap());
    let here = unused("tcp");
    one.connect(&here).unwrap();
    let messages = ["foobar", "baz", "buzz"];
    messages.iter().for_each(|message| one.send(*message).unwrap());
    other.bind(&here).unwrap();
    for message in messages {
        assert_eq!(other.recv_timeout(LONG).unwrap(), message);
    }
}

//! PUB, SUB, XPUB, XSUB: who gets what, what a slow subscriber misses, and what a late one gets.

mod common;

use common::*;
use peermq::*;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

transport_suite!(
    a_subscriber_gets_what_begins_with_its_topics_and_each_message_once,
    subscriptions_are_counted,
    what_nobody_subscribed_to_is_dropped_and_counted,
    a_subscription_before_connect_is_known_when_it_is_confirmed,
    t31_sub_forward,
    t32_xpub_verbose,
    t33_xpub_manual,
    t33_a_lost_subscriber_ends_its_subscriptions,
    t34_xpub_nodrop,
    t35_long_topics,
    a_welcome_message_comes_first,
    newest_values_wait_for_late_subscribers,
    t20_conflate,
    conflation_by_topic,
    inverted_matching,
    a_slow_reader_misses_what_is_counted_and_delays_nobody,
    a_slow_reader_that_drops_its_oldest_gets_the_newest,
    a_slow_reader_can_be_disconnected,
    user_messages_go_upstream,
    radio_and_dish,
    closing_wakes_who_waits_for_subscribers,
);

fn publisher_and_sub(transport: &str, options: Options, topics: &[&str]) -> (Context, Pub, Sub) {
    let context = Context::new().unwrap();
    let publisher = Pub::with_options(&context, options).unwrap();
    let sub = Sub::new(&context);
    sub.connect(publisher.bind(endpoint(transport)).unwrap()).unwrap();
    for topic in topics {
        sub.subscribe_confirmed(topic, LONG).unwrap();
    }
    (context, publisher, sub)
}

fn next(sub: &Sub) -> Message {
    sub.recv_timeout(LONG).unwrap()
}

/// RFC 29: "SHALL match the message if its first frame begins with the subscription", and SHALL NOT send it twice.
fn a_subscriber_gets_what_begins_with_its_topics_and_each_message_once(transport: &str) {
    let (_context, publisher, sub) = publisher_and_sub(transport, Options::default(), &["a", "ab", "x"]);
    for message in ["abc", "b", "a", "x", ""] {
        publisher.send(message).unwrap();
    }
    publisher.send(["y", "a"]).unwrap();
    publisher.send(["ay", "b"]).unwrap();
    for expected in ["abc", "a", "x"] {
        assert_eq!(next(&sub), expected);
    }
    assert_eq!(next(&sub), Message::from(["ay", "b"]));

    let stats = publisher.stats();
    assert!(stats.out.is_conserved());
    assert_eq!(stats.out.dropped.of(DropReason::NoSubscriber), 3);
    assert_eq!(publisher.subscribers("abc"), 1);
    assert_eq!(publisher.subscribers("b"), 0);
    assert_eq!(publisher.topics(), 3);
    sub.subscribe_confirmed("", LONG).unwrap();
    publisher.send("b").unwrap();
    assert_eq!(next(&sub), "b");
}

fn subscriptions_are_counted(transport: &str) {
    let (_context, publisher, sub) = publisher_and_sub(transport, Options::default(), &["a", "a", "b"]);
    assert!(sub.unsubscribe("a").unwrap());
    sub.subscribe_confirmed("c", LONG).unwrap();
    assert_eq!(publisher.subscribers("a"), 1, "it is wanted once more");
    assert!(sub.unsubscribe("a").unwrap());
    assert!(!sub.unsubscribe("a").unwrap());
    sub.subscribe_confirmed("c", LONG).unwrap();
    assert_eq!(publisher.subscribers("a"), 0);
    assert_eq!(sub.subscriptions(), 2);
    assert_eq!(
        sub.subscribe(vec![b'x'; 60_001]).unwrap_err(),
        SubscribeError::TooLong(60_001)
    );
}

fn what_nobody_subscribed_to_is_dropped_and_counted(transport: &str) {
    let context = Context::new().unwrap();
    let publisher = Pub::new(&context);
    publisher.bind(endpoint(transport)).unwrap();
    for _ in 0..10 {
        publisher.send("for nobody").unwrap();
    }
    let out = publisher.stats().out;
    assert_eq!((out.taken, out.dropped.of(DropReason::NoSubscriber)), (10, 10));
    assert!(publisher.close().is_ok());
    assert_eq!(
        publisher.send(Message::from("late")).unwrap_err().reason,
        NotSent::Closed
    );
}

fn a_subscription_before_connect_is_known_when_it_is_confirmed(transport: &str) {
    let context = Context::new().unwrap();
    let (publisher, sub) = (Pub::new(&context), Sub::new(&context));
    for n in 0..3_000 {
        sub.subscribe(format!("topic {n}")).unwrap();
    }
    let at = unused(transport);
    sub.connect(&*at).unwrap();
    publisher.bind(&*at).unwrap();
    assert_eq!(sub.subscribe_confirmed("last", LONG).unwrap(), 1);
    assert_eq!(publisher.topics(), 3_001);
    publisher.send("topic 2999").unwrap();
    assert_eq!(next(&sub), "topic 2999");
}

/// libzmq's test_sub_forward: what a proxy does, by hand.
fn t31_sub_forward(transport: &str) {
    let context = Context::new().unwrap();
    let (xpub, xsub) = (XPub::new(&context), XSub::new(&context));
    let (publisher, sub) = (Pub::new(&context), Sub::new(&context));
    publisher.connect(xsub.bind(endpoint(transport)).unwrap()).unwrap();
    sub.connect(xpub.bind(endpoint(transport)).unwrap()).unwrap();
    sub.subscribe("").unwrap();

    let subscription = xpub.recv_timeout(LONG).unwrap().into_message();
    assert_eq!(subscription, [1]);
    xsub.send(subscription).unwrap();
    publisher.wait_for_subscribers("anything", 1, LONG).unwrap();
    publisher.send("hello").unwrap();
    xpub.send(xsub.recv_timeout(LONG).unwrap()).unwrap();

    assert_eq!(next(&sub), "hello");
}

/// libzmq's test_xpub_verbose: duplicates are seen only by who wants to.
fn t32_xpub_verbose(transport: &str) {
    for verbosity in [Verbosity::Changes, Verbosity::Subscriptions, Verbosity::All] {
        let context = Context::new().unwrap();
        let publisher = XPub::with_options(&context, Options::default().verbosity(verbosity)).unwrap();
        let at = publisher.bind(endpoint(transport)).unwrap();
        let subs = [(); 2].map(|()| Sub::new(&context));
        for sub in &subs {
            sub.connect(at.clone()).unwrap();
            sub.subscribe_confirmed("A", LONG).unwrap();
        }
        subs[0].subscribe_confirmed("A", LONG).unwrap();
        for sub in &subs {
            while sub.unsubscribe("A").unwrap() {}
            sub.subscribe_confirmed("B", LONG).unwrap();
        }
        let mut seen = BTreeMap::<Vec<u8>, usize>::new();
        while let Ok(upstream) = publisher.try_recv() {
            *seen.entry(upstream.into_message().first().to_vec()).or_default() += 1;
        }
        let of = |what: &[u8]| seen.get(what).copied().unwrap_or(0);
        let expected = match verbosity {
            Verbosity::Changes => (1, 1, 1),
            Verbosity::Subscriptions => (3, 1, 2),
            _ => (3, 2, 2),
        };
        assert_eq!((of(b"\x01A"), of(b"\0A"), of(b"\x01B")), expected, "{verbosity:?}");
    }
}

/// libzmq's test_xpub_manual: the application decides what a subscriber gets.
fn t33_xpub_manual(transport: &str) {
    let context = Context::new().unwrap();
    let publisher = XPub::with_options(&context, Options::default().manual(true)).unwrap();
    let sub = Sub::new(&context);
    sub.connect(publisher.bind(endpoint(transport)).unwrap()).unwrap();
    sub.subscribe("A").unwrap();
    sub.subscribe("XA").unwrap();
    let Upstream::Subscribe { topic, from } = publisher.recv_timeout(LONG).unwrap() else {
        panic!("a subscription")
    };
    assert_eq!((topic, publisher.topics()), ("A".into(), 0));
    assert!(from.subscribe("XA"));
    publisher.send("A").unwrap();
    publisher.send("XA").unwrap();
    assert_eq!(next(&sub), "XA");

    assert!(from.cancel("XA"));
    assert!(!from.cancel("XA"));
    publisher.send("XA").unwrap();
    from.send("A, to you alone").unwrap();
    assert_eq!(next(&sub), "A, to you alone");
}

fn t33_a_lost_subscriber_ends_its_subscriptions(transport: &str) {
    for is_manual in [false, true] {
        let context = Context::new().unwrap();
        let publisher = XPub::with_options(&context, Options::default().manual(is_manual)).unwrap();
        let at = publisher.bind(endpoint(transport)).unwrap();
        let subs = [(); 2].map(|()| Sub::new(&context));
        for sub in &subs {
            sub.connect(at.clone()).unwrap();
            sub.subscribe_confirmed("A", LONG).unwrap();
        }
        subs[1].subscribe_confirmed("B", LONG).unwrap();
        let said = || publisher.recv_timeout(LONG).unwrap();
        let expected: &[&[u8]] = match is_manual {
            true => &[b"\x01A", b"\x01A", b"\x01B"],
            false => &[b"\x01A", b"\x01B"],
        };
        for one in expected {
            assert_eq!(said().into_message(), one);
        }
        let [first, second] = subs;
        drop(second);
        let mut ended: Vec<_> = (0..if is_manual { 2 } else { 1 })
            .map(|_| said().into_message().first().to_vec())
            .collect();
        ended.sort();
        let expected: &[&[u8]] = if is_manual { &[b"\0A", b"\0B"] } else { &[b"\0B"] };
        assert_eq!(ended, expected);
        drop(first);
        let Upstream::Cancel { topic, from } = said() else {
            panic!("an end")
        };
        assert_eq!(topic, "A");
        assert_eq!(from.send("too late").unwrap_err().reason, NotSent::PeerGone);
        assert!(!from.subscribe("A"));
    }
}

/// libzmq's test_xpub_nodrop: nobody misses anything, and who sends waits.
fn t34_xpub_nodrop(transport: &str) {
    let context = Context::new().unwrap();
    let options = Options::default().send_mark(20).at_mark(AtMark::Block);
    let publisher = Arc::new(XPub::with_options(&context, options).unwrap());
    let at = publisher.bind(endpoint(transport)).unwrap();
    let subs = [(); 2].map(|()| Sub::with_options(&context, Options::default().recv_mark(2)).unwrap());
    for sub in &subs {
        sub.connect(at.clone()).unwrap();
        sub.subscribe_confirmed("", LONG).unwrap();
    }
    const ALL: u32 = 100_000;
    let large = vec![7; 1000];
    let mut sent = 0;
    while sent < ALL && publisher.try_send([&sent.to_be_bytes()[..], &large]).is_ok() {
        sent += 1;
    }
    assert!(sent < ALL, "it would have to drop");
    // The kernel may still take some.
    let error = loop {
        match publisher.send_timeout([&sent.to_be_bytes()[..], &large], Duration::from_millis(1)) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason, NotSent::TimedOut);
    let last = sent + 500;
    let sending = {
        let (publisher, large) = (Arc::clone(&publisher), large.clone());
        thread::spawn(move || {
            for n in sent..last {
                publisher.send([&n.to_be_bytes()[..], &large]).unwrap();
            }
        })
    };
    let reading = subs.map(|sub| {
        thread::spawn(move || {
            for n in 0..last {
                assert_eq!(next(&sub).first(), n.to_be_bytes());
            }
        })
    });
    sending.join().unwrap();
    for reading in reading {
        reading.join().unwrap();
    }
    assert_eq!(publisher.stats().out.dropped.total(), 0);
}

/// It reads nothing, so its room would never come.
#[test]
fn a_subscriber_that_gives_its_topic_up_is_waited_for_no_more() {
    let context = Context::new().unwrap();
    let options = Options::default().send_mark(1).at_mark(AtMark::Block);
    let publisher = Pub::with_options(&context, options).unwrap();
    let sub = Sub::with_options(&context, Options::default().recv_mark(1)).unwrap();
    sub.connect(publisher.bind("inproc://given-up").unwrap()).unwrap();
    sub.subscribe("a").unwrap();
    while publisher.try_send("a").is_ok() {}
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let mut sending = std::pin::pin!(publisher.send_async("a"));
    let mut poll = || sending.as_mut().poll(&mut std::task::Context::from_waker(&waker));
    assert!(poll().is_pending());

    sub.unsubscribe("a").unwrap();

    assert!(woken.0.load(Ordering::SeqCst));
    assert!(poll().is_ready());
}

#[derive(Default)]
struct Woken(AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// libzmq's test_xpub_topic: around where the length of a SUBSCRIBE changes form.
fn t35_long_topics(transport: &str) {
    let (_context, publisher, sub) = publisher_and_sub(transport, Options::default(), &[]);
    for len in [0, 1, 244, 245, 246, 247, 253, 254, 255, 256, 1000, 60_000] {
        let topic = vec![b'x'; len];
        sub.subscribe_confirmed(&topic, LONG).unwrap();
        publisher.send([&topic[..], b"!"].concat()).unwrap();
        assert_eq!(next(&sub).first().len(), len + 1);
        assert!(sub.unsubscribe(&topic).unwrap());
        sub.subscribe_confirmed("y", LONG).unwrap();
        assert_eq!(publisher.subscribers(&topic), 0);
        assert!(sub.unsubscribe("y").unwrap());
    }
}

fn a_welcome_message_comes_first(transport: &str) {
    let context = Context::new().unwrap();
    let options = Options::default().welcome_message(["W", "hello"]);
    let publisher = XPub::with_options(&context, options).unwrap();
    let at = publisher.bind(endpoint(transport)).unwrap();
    let (welcomed, other) = (Sub::new(&context), Sub::new(&context));
    welcomed.subscribe("W").unwrap();
    for sub in [&welcomed, &other] {
        sub.connect(at.clone()).unwrap();
        sub.subscribe_confirmed("t", LONG).unwrap();
    }
    publisher.send("t").unwrap();
    assert_eq!(next(&welcomed), Message::from(["W", "hello"]));
    assert_eq!(next(&welcomed), "t");
    assert_eq!(next(&other), "t", "who has not subscribed to it does not see it");
    assert_eq!(other.stats().incoming.dropped.of(DropReason::NotSubscribed), 1);
}

fn newest_values_wait_for_late_subscribers(transport: &str) {
    let context = Context::new().unwrap();
    let publisher = Pub::with_options(&context, Options::default().last_values(3).send_mark(4)).unwrap();
    let at = publisher.bind(endpoint(transport)).unwrap();
    for n in 0..10 {
        for topic in ["gone", "a.1", "a.2", "b"] {
            publisher.send([topic.to_owned(), n.to_string()]).unwrap();
        }
    }
    let sub = Sub::new(&context);
    sub.connect(at).unwrap();
    sub.subscribe_confirmed("a.", LONG).unwrap();
    sub.subscribe_confirmed("a.", LONG).unwrap();
    assert_eq!(next(&sub), Message::from(["a.1", "9"]));
    assert_eq!(next(&sub), Message::from(["a.2", "9"]));
    sub.subscribe_confirmed("", LONG).unwrap();
    for expected in [["a.1", "9"], ["a.2", "9"], ["b", "9"]] {
        assert_eq!(next(&sub), Message::from(expected));
    }
    publisher.send(["c", "new"]).unwrap();
    assert_eq!(next(&sub), Message::from(["c", "new"]));
    let stats = publisher.stats();
    assert!(stats.out.is_conserved() && stats.forgotten_topics > 0);
}

/// libzmq's test_conflate: of many messages the last is seen.
fn t20_conflate(transport: &str) {
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, Options::default().conflate()).unwrap();
    let push = Push::new(&context);
    push.connect(pull.bind(endpoint(transport)).unwrap()).unwrap();
    let last = Message::from(["19", "and its second frame"]);
    for n in 0..19 {
        push.send(n.to_string()).unwrap();
    }
    push.send(last.clone()).unwrap();
    let mut received = 0;
    loop {
        received += 1;
        if pull.recv_timeout(LONG).unwrap() == last {
            break;
        }
    }
    assert!(push.close().unwrap().is_confirmed());
    let incoming = pull.stats().incoming;
    assert!(incoming.is_conserved());
    assert_eq!(incoming.dropped.of(DropReason::Conflated), 20 - received);
    assert_eq!(pull.try_recv().unwrap_err(), RecvError::WouldBlock);
}

fn conflation_by_topic(transport: &str) {
    let context = Context::new().unwrap();
    let (push, pull) = (Pub::new(&context), Options::default().conflate_by_topic(2));
    let pull = Sub::with_options(&context, pull).unwrap();
    pull.connect(push.bind(endpoint(transport)).unwrap()).unwrap();
    pull.subscribe_confirmed("", LONG).unwrap();
    for n in 0..100 {
        for topic in ["a", "b"] {
            push.send([topic.to_owned(), n.to_string()]).unwrap();
        }
    }
    let mut last = BTreeMap::new();
    while last.values().filter(|n| **n == "99").count() < 2 {
        let message = next(&pull);
        let text = |n| String::from_utf8(message.frame(n).unwrap().to_vec()).unwrap();
        last.insert(text(0), text(1));
    }
    let incoming = pull.stats().incoming;
    assert!(incoming.is_conserved());
    assert_eq!(incoming.dropped.of(DropReason::Conflated), 200 - incoming.passed);

    // Out: nobody reads, and what waits is replaced.
    let slow = Pub::with_options(&context, Options::default().conflate()).unwrap();
    let reader = Sub::with_options(&context, Options::default().recv_mark(1)).unwrap();
    reader.connect(slow.bind(endpoint(transport)).unwrap()).unwrap();
    reader.subscribe_confirmed("", LONG).unwrap();
    let body = vec![b'x'; 10_000];
    for n in 0..2_000_u32 {
        slow.send([&n.to_be_bytes()[..], &body].concat()).unwrap();
    }
    while next(&reader).first()[..4] != 1_999_u32.to_be_bytes() {}
    let out = slow.stats().out;
    assert!(
        out.is_conserved() && out.dropped.of(DropReason::Conflated) > 0,
        "{out:?}"
    );
}

fn inverted_matching(transport: &str) {
    let context = Context::new().unwrap();
    let inverted = Options::default().invert_matching(true);
    let publisher = Pub::with_options(&context, inverted.clone()).unwrap();
    let sub = Sub::with_options(&context, inverted).unwrap();
    sub.connect(publisher.bind(endpoint(transport)).unwrap()).unwrap();
    sub.subscribe_confirmed("not this", LONG).unwrap();
    publisher.send("not this one").unwrap();
    publisher.send("but this").unwrap();
    assert_eq!(next(&sub), "but this");
}

/// A publisher of large messages with a reader that does not read, and one that does.
fn slow_and_quick(transport: &str, at_mark: AtMark) -> (Context, Pub, Monitor, [Sub; 2]) {
    let context = Context::new().unwrap();
    let options = Options::default().send_mark(10).at_mark(at_mark);
    let publisher = Pub::with_options(&context, options).unwrap();
    let monitor = publisher.monitor();
    let at = publisher.bind(endpoint(transport)).unwrap();
    let once = Options::default().reconnect(Duration::from_secs(60), Duration::from_secs(60));
    let slow = Sub::with_options(&context, once.recv_mark(2)).unwrap();
    let quick = Sub::with_options(&context, Options::default().recv_mark(100_000)).unwrap();
    for sub in [&slow, &quick] {
        sub.connect(at.clone()).unwrap();
        sub.subscribe_confirmed("", LONG).unwrap();
    }
    (context, publisher, monitor, [slow, quick])
}

fn large(n: u32) -> Vec<u8> {
    [&n.to_be_bytes()[..], &vec![0; 20_000]].concat()
}

fn number(message: &Message) -> u32 {
    u32::from_be_bytes(message.first()[..4].try_into().unwrap())
}

const LARGE: u32 = 2_000;

fn a_slow_reader_misses_what_is_counted_and_delays_nobody(transport: &str) {
    let (_context, publisher, monitor, [slow, quick]) = slow_and_quick(transport, AtMark::DropNewest);
    for n in 0..LARGE {
        publisher.send(large(n)).unwrap();
        assert_eq!(number(&next(&quick)), n, "the other gets everything");
    }
    assert!(publisher.stats().out.queued <= 10);
    wait_for!(monitor, SubscriberFull);

    // Once it reads again, it gets exactly those that were not dropped.
    let missed = publisher.stats().out.dropped.of(DropReason::SubscriberFull);
    let arrives = u64::from(LARGE) - missed;
    let mut last = None;
    for _ in 0..arrives {
        let n = number(&next(&slow));
        assert!(last < Some(n), "in order, none twice");
        last = Some(n);
    }
    assert_eq!(slow.try_recv().unwrap_err(), RecvError::WouldBlock);
    assert!(missed > 0);
    let Event::SubscriberRecovered { .. } = wait_for!(monitor, SubscriberRecovered) else {
        unreachable!("it was waited for")
    };
    let out = publisher.stats().out;
    assert!(out.is_conserved());
    assert_eq!((out.dropped.total(), out.queued), (missed, 0));
}

/// Half a gigabyte is published past a reader that takes none of it.
#[test]
fn a_reader_that_stops_costs_no_more_memory_than_its_marks() {
    let (_context, publisher, _monitor, [_slow, quick]) = slow_and_quick("tcp", AtMark::DropNewest);
    let before = resident();
    for n in 0..25_000 {
        publisher.send(large(n)).unwrap();
        assert_eq!(number(&next(&quick)), n);
    }
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes more");
    // The marks hold a quarter of a megabyte; the rest is what this file's other tests take meanwhile, and received memory
    // that waits to be filled again.
    assert!(grown < 100 << 20, "{grown} bytes more");
    let dropped = publisher.stats().out.dropped.of(DropReason::SubscriberFull);
    assert!(dropped > 20_000, "{dropped} were dropped");
}

fn a_slow_reader_that_drops_its_oldest_gets_the_newest(transport: &str) {
    let (_context, publisher, _monitor, [slow, quick]) = slow_and_quick(transport, AtMark::DropOldest);
    for n in 0..LARGE {
        publisher.send(large(n)).unwrap();
        assert_eq!(number(&next(&quick)), n);
    }
    let (mut received, mut last) = (0, 0);
    while last < LARGE - 1 {
        last = number(&next(&slow));
        received += 1;
    }
    let out = publisher.stats().out;
    assert!(out.is_conserved());
    assert_eq!(out.dropped.of(DropReason::SubscriberFull), u64::from(LARGE - received));
}

fn a_slow_reader_can_be_disconnected(transport: &str) {
    let (_context, publisher, monitor, [_slow, quick]) = slow_and_quick(transport, AtMark::Disconnect);
    for n in 0..LARGE {
        publisher.send(large(n)).unwrap();
        assert_eq!(number(&next(&quick)), n);
    }
    let event = wait_for!(monitor, Disconnected);
    let Event::Disconnected { failure, .. } = event else {
        unreachable!("it was waited for")
    };
    if transport != "inproc" {
        assert_eq!(failure, Failure::SlowSubscriber);
    }
    assert!(publisher.stats().out.is_conserved());
}

fn user_messages_go_upstream(transport: &str) {
    let context = Context::new().unwrap();
    let (publisher, sub) = (XPub::new(&context), XSub::new(&context));
    sub.connect(publisher.bind(endpoint(transport)).unwrap()).unwrap();
    sub.subscribe_confirmed("x", LONG).unwrap();
    sub.send("one").unwrap();
    sub.send([&b"\x01two"[..], b"frames"]).unwrap();
    let said = || publisher.recv_timeout(LONG).unwrap();
    assert!(matches!(said(), Upstream::Subscribe { .. }));
    let Upstream::Message { message, from } = said() else {
        panic!("a message")
    };
    assert_eq!(message, "one");
    assert_eq!(said().into_message().frame_count(), 2);
    from.send("back").unwrap();
    assert_eq!(sub.recv_timeout(LONG).unwrap(), "back");
}

fn radio_and_dish(transport: &str) {
    let context = Context::new().unwrap();
    let (radio, dish) = (Radio::new(&context), Dish::new(&context));
    dish.connect(radio.bind(endpoint(transport)).unwrap()).unwrap();
    dish.join("movies").unwrap();
    dish.join("movies").unwrap();
    dish.join_confirmed("tv", LONG).unwrap();
    radio.send("mov", "not a member").unwrap();
    radio.send("movies", "Godfather").unwrap();
    radio.send("tv", "news").unwrap();
    let recv = || dish.recv_timeout(LONG).unwrap();
    assert_eq!(recv(), ("movies".into(), "Godfather".into()));
    assert_eq!(recv(), ("tv".into(), "news".into()));

    assert!(dish.leave("movies").unwrap());
    assert!(!dish.leave("movies").unwrap());
    dish.join_confirmed("radio", LONG).unwrap();
    radio.send("movies", "The end").unwrap();
    radio.send("tv", "more news").unwrap();
    assert_eq!(recv(), ("tv".into(), "more news".into()));
    assert_eq!(
        radio.send("tv", ["two", "frames"]).unwrap_err().reason,
        NotSent::SeveralFrames
    );
    assert_eq!(radio.send([b'g'; 256], "x").unwrap_err().reason, NotSent::TooLong);
    assert!(dish.join([b'g'; 256]).is_err());
    assert!(radio.stats().out.is_conserved());
}

fn closing_wakes_who_waits_for_subscribers(transport: &str) {
    let context = Context::new().unwrap();
    let publisher = Arc::new(Pub::new(&context));
    publisher.bind(endpoint(transport)).unwrap();
    assert_eq!(
        publisher.wait_for_subscribers("a", 1, Duration::from_millis(1)),
        Err(WaitError::TimedOut)
    );
    let waiting = {
        let publisher = Arc::clone(&publisher);
        thread::spawn(move || publisher.wait_for_subscribers("a", 1, LONG))
    };
    publisher.close().unwrap();
    assert_eq!(waiting.join().unwrap(), Err(WaitError::Closed));
    assert_eq!(publisher.wait_for_subscribers("a", 1, LONG), Err(WaitError::Closed));
}

#[test]
fn subscriptions_are_told_again_in_full_before_any_message_after_each_connection() {
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50));
    let sub = Sub::with_options(&context, quick).unwrap();
    let monitor = sub.monitor();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for n in 0..2_000 {
        sub.subscribe(format!("{n:04}")).unwrap();
    }
    sub.connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    let mut gone = 0;
    for round in 0..3 {
        let (mut stream, _) = listener.accept().unwrap();
        let mut expected = Vec::new();
        for n in gone..2_000 {
            expected.extend_from_slice(&[4, 14, 9]);
            expected.extend_from_slice(format!("SUBSCRIBE{n:04}").as_bytes());
        }
        assert_eq!(
            after_handshake(&mut stream, "PUB", expected.len()),
            expected,
            "round {round}"
        );
        for _ in 0..10 {
            sub.unsubscribe(format!("{gone:04}")).unwrap();
            gone += 1;
        }
        drop(stream);
        wait_for!(monitor, Disconnected);
    }
}

/// libzmq's test_mock_pub_sub: a SUB says what it wants in the form that its publisher's version has.
fn a_sub_speaks(minor: u8, subscribe: &[u8], cancel: &[u8]) {
    let context = Context::new().unwrap();
    let sub = Sub::new(&context);
    let here = sub.bind("tcp://127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(address(&here)).unwrap();
    sub.subscribe("A").unwrap();
    let mut hello = hello("PUB");
    hello[11] = minor;
    stream.write_all(&hello).unwrap();
    let mut theirs = vec![0; 64];
    stream.read_exact(&mut theirs).unwrap();
    assert_eq!(after_ready(&mut stream, subscribe.len()), subscribe);
    stream.write_all(b"\0\x04Anew\0\x01B").unwrap();
    assert_eq!(next(&sub), "Anew");
    sub.unsubscribe("A").unwrap();
    let mut end = vec![0; cancel.len()];
    stream.read_exact(&mut end).unwrap();
    assert_eq!(end, cancel);
}

/// The other way: both forms are understood.
fn a_pub_hears(subscribe: &[u8], cancel: &[u8]) {
    let context = Context::new().unwrap();
    let publisher = XPub::new(&context);
    let here = publisher.bind("tcp://127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(address(&here)).unwrap();
    stream.write_all(&[&hello("SUB"), subscribe].concat()).unwrap();
    assert_eq!(publisher.recv_timeout(LONG).unwrap().into_message(), "\x01A");
    publisher.send("B").unwrap();
    publisher.send("Ahoy").unwrap();
    assert_eq!(after_handshake(&mut stream, "SUB", 6), b"\0\x04Ahoy");
    stream.write_all(cancel).unwrap();
    assert_eq!(publisher.recv_timeout(LONG).unwrap().into_message(), "\0A");
    assert_eq!(publisher.subscribers("A"), 0);
}

const COMMANDS: [&[u8]; 2] = [b"\x04\x0b\x09SUBSCRIBEA", b"\x04\x08\x06CANCELA"];
const LEGACY: [&[u8]; 2] = [b"\0\x02\x01A", b"\0\x02\0A"];

#[test]
fn t36_mock_sub_command() {
    a_pub_hears(COMMANDS[0], COMMANDS[1]);
}

#[test]
fn t36_mock_sub_legacy() {
    a_pub_hears(LEGACY[0], LEGACY[1]);
}

#[test]
fn t36_mock_pub_command() {
    a_sub_speaks(1, COMMANDS[0], COMMANDS[1]);
}

#[test]
fn t36_mock_pub_legacy() {
    a_sub_speaks(0, LEGACY[0], LEGACY[1]);
}

/// Says hello as this type, and reads what follows the other side's READY.
fn after_handshake(stream: &mut TcpStream, socket_type: &str, len: usize) -> Vec<u8> {
    if socket_type == "PUB" {
        stream.write_all(&hello(socket_type)).unwrap();
    }
    let mut greeting = vec![0; 64];
    stream.read_exact(&mut greeting).unwrap();
    after_ready(stream, len)
}

fn after_ready(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    let mut ready = vec![0; usize::from(header[1])];
    stream.read_exact(&mut ready).unwrap();
    let mut rest = vec![0; len];
    stream.read_exact(&mut rest).unwrap();
    rest
}

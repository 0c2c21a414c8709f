//! A peer whose every byte, its order and its time are somebody else's: what it may take of a socket, and what not.

mod common;

use common::*;
use peermq::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A peer of this type, its handshake said, and nothing of ours read.
fn stranger(endpoint: &Endpoint, socket_type: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address(endpoint)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&hello(socket_type)).unwrap();
    stream
}

fn command(name: &str, data: &[u8]) -> Vec<u8> {
    let len = u8::try_from(1 + name.len() + data.len()).unwrap();
    [&[4, len, name.len() as u8], name.as_bytes(), data].concat()
}

/// Eight subscriptions of 129 bytes are more than a thousand.
fn eight(name: &str) -> Vec<u8> {
    (b'a'..=b'h').flat_map(|topic| command(name, &[topic])).collect()
}

fn limited() -> Options {
    Options::default().max_subscription_bytes(1_000)
}

fn wait_oversubscribed(monitor: &Monitor, expected: u64) {
    let event = wait_for!(monitor, Disconnected);
    let Event::Disconnected { failure, .. } = event else {
        unreachable!("it was waited for")
    };
    let limit = 1_000;
    let expected = Failure::TooLarge {
        what: "subscription bytes",
        limit,
        observed: expected,
    };
    assert_eq!(failure, expected);
}

#[test]
fn threat_16_a_peer_that_subscribes_without_end_is_disconnected_at_the_limit() {
    let context = Context::new().unwrap();
    let publisher = Pub::with_options(&context, limited()).unwrap();
    let monitor = publisher.monitor();
    let endpoint = publisher.bind("tcp://127.0.0.1:0").unwrap();
    let sub = Sub::new(&context);
    sub.connect(&endpoint).unwrap();
    sub.subscribe_confirmed("a", LONG).unwrap();

    let mut stream = stranger(&endpoint, "SUB");
    // The same again weighs nothing, nor does what was given up.
    stream.write_all(&eight("SUBSCRIBE")[..7 * 13]).unwrap();
    stream.write_all(&eight("SUBSCRIBE")[..7 * 13]).unwrap();
    stream.write_all(&command("CANCEL", b"a")).unwrap();
    stream.write_all(&command("SUBSCRIBE", b"x")).unwrap();
    until("its last subscription", || publisher.subscribers("x") == 1);
    stream.write_all(&command("SUBSCRIBE", b"y")).unwrap();

    wait_oversubscribed(&monitor, 1_032);
    until("the end of its subscriptions", || publisher.subscribers("x") == 0);
    assert_eq!(publisher.stats().ignored_commands, 1);
    publisher.send("a: for those who stay").unwrap();
    assert_eq!(sub.recv_timeout(LONG).unwrap(), "a: for those who stay");
}

#[test]
fn a_topic_of_a_message_is_limited_as_one_of_a_command_is() {
    let context = Context::new().unwrap();
    let publisher = Pub::with_options(&context, limited()).unwrap();
    let monitor = publisher.monitor();
    let mut stream = stranger(&publisher.bind("tcp://127.0.0.1:0").unwrap(), "SUB");

    let topic = [&[1][..], &[b'x'; 4_000]].concat();
    let header = [&[2][..], &(topic.len() as u64).to_be_bytes()].concat();
    stream.write_all(&[header, topic].concat()).unwrap();

    wait_oversubscribed(&monitor, 4_128);
    let incoming = publisher.stats().incoming;
    assert_eq!(incoming.dropped.of(DropReason::Oversubscribed), 1);
    assert!(incoming.is_conserved());
}

#[test]
fn an_xpub_is_not_told_of_what_is_over_the_limit() {
    for options in [limited().verbosity(Verbosity::All), limited().manual(true)] {
        let context = Context::new().unwrap();
        let publisher = XPub::with_options(&context, options).unwrap();
        let monitor = publisher.monitor();
        let mut stream = stranger(&publisher.bind("tcp://127.0.0.1:0").unwrap(), "SUB");

        stream.write_all(&eight("SUBSCRIBE")).unwrap();

        wait_oversubscribed(&monitor, 1_032);
        let told = (0..14).map(|_| publisher.recv_timeout(LONG).unwrap().into_message());
        let told: Vec<_> = told.map(|message| message.first().to_vec()).collect();
        let expected = |first: u8| (b'a'..=b'g').map(move |topic| vec![first, topic]);
        assert_eq!(told, expected(1).chain(expected(0)).collect::<Vec<_>>());
        assert_eq!(publisher.stats().ignored_commands, 1);
    }
}

#[test]
fn a_radio_limits_groups_as_a_pub_limits_topics() {
    let context = Context::new().unwrap();
    let radio = Radio::with_options(&context, limited()).unwrap();
    let monitor = radio.monitor();
    let mut stream = stranger(&radio.bind("tcp://127.0.0.1:0").unwrap(), "DISH");

    stream.write_all(&eight("JOIN")).unwrap();

    wait_oversubscribed(&monitor, 1_032);
    assert_eq!(radio.stats().ignored_commands, 1);
}

/// Each command comes with a read of its own: nothing is left over that would have to wait for room.
#[test]
fn subscriptions_that_come_one_by_one_do_not_pass_the_mark_of_an_xpub() {
    const MARK: u64 = 4;
    let context = Context::new().unwrap();
    let options = Options::default().recv_mark(MARK as usize).verbosity(Verbosity::All);
    let publisher = XPub::with_options(&context, options).unwrap();
    let mut stream = stranger(&publisher.bind("tcp://127.0.0.1:0").unwrap(), "SUB");
    let arrived = || publisher.stats().incoming.taken;

    for n in 1..=MARK {
        stream.write_all(&command("SUBSCRIBE", &[n as u8])).unwrap();
        until("one more", || arrived() == n);
    }
    // Others are served by the same loop after what was written here before.
    let pull = Pull::new(&context);
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    let mut other = stranger(&endpoint, "PUSH");
    for n in MARK + 1..=50 {
        stream.write_all(&command("SUBSCRIBE", &[n as u8])).unwrap();
        for _ in 0..2 {
            other.write_all(b"\0\x02hi").unwrap();
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi");
        }
    }

    assert!(arrived() <= MARK, "{} are queued, the mark is {MARK}", arrived());
    for n in 1..=50 {
        let Upstream::Subscribe { topic, .. } = publisher.recv_timeout(LONG).unwrap() else {
            panic!("it only subscribes")
        };
        assert_eq!(topic[..], [n]);
    }
}

/// A receiver of which this many senders like that have come, said something and gone, and a late one that is turned away.
fn with_many_gone(transport: &str, count: u64, like: Options) -> (Context, Pull, Push) {
    let context = Context::new().unwrap();
    let options = Options::default().recv_mark_bytes(40_000);
    let pull = Pull::with_options(&context, options).unwrap();
    let monitor = pull.monitor();
    let here = pull.bind(endpoint(transport)).unwrap();
    for _ in 0..count {
        let push = Push::with_options(&context, like.clone()).unwrap();
        push.connect(here.clone()).unwrap();
        push.send("and gone").unwrap();
        push.close().unwrap();
        wait_for!(monitor, Disconnected);
    }
    let quick = Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(5));
    let late = Push::with_options(&context, quick).unwrap();
    late.connect(here).unwrap();
    late.send("not yet").unwrap();
    let Event::HandshakeFailed { failure, .. } = wait_for!(monitor, HandshakeFailed) else {
        unreachable!("it was waited for")
    };
    assert!(matches!(failure, Failure::Refused { .. }), "{failure}");
    assert_eq!(pull.stats().incoming.queued, count, "over {transport}");
    (context, pull, late)
}

/// Come, say something, go, and come again: what is left unread of those that are gone has a limit too.
#[test]
fn peers_that_come_and_go_do_not_pile_up_what_nobody_receives() {
    let talkative = Options::default().metadata("X-Story", [b'x'; 8_000]);
    for transport in ["tcp", "inproc"] {
        // Nine peers of some more than 4 KiB each are below 40,000 bytes, ten are not; and of 12 KiB three, and not four.
        for (count, like) in [(10, Options::default()), (4, talkative.clone())] {
            let (_context, pull, _late) = with_many_gone(transport, count, like);

            for _ in 0..count {
                assert_eq!(pull.recv_timeout(LONG).unwrap(), "and gone");
            }
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "not yet", "it is let in now");
        }
    }
}

/// Over inproc nobody tries again by himself.
#[test]
fn who_was_turned_away_is_let_in_once_more_may_be_left_unread() {
    for transport in ["tcp", "inproc"] {
        let (_context, pull, late) = with_many_gone(transport, 10, Options::default());

        pull.set_recv_mark_bytes(1 << 20).unwrap();

        until("it is let in", || late.stats().out.passed == 1);
        for expected in ["and gone"; 10].into_iter().chain(["not yet"]) {
            assert_eq!(pull.recv_timeout(LONG).unwrap(), expected, "over {transport}");
        }
    }
}

/// Many more commands than are handled at once, in as few pieces as the system likes.
#[test]
fn a_flood_of_commands_is_heard_to_its_end() {
    const MANY: u32 = 50_000;
    let context = Context::new().unwrap();
    let publisher = Pub::new(&context);
    let mut stream = stranger(&publisher.bind("tcp://127.0.0.1:0").unwrap(), "SUB");
    let subscriptions = (0..MANY).flat_map(|n| command("SUBSCRIBE", &n.to_be_bytes()));
    // Two bytes of a time to live, then what is sent back.
    let pings = (0..MANY).flat_map(|n| command("PING", &[&[0, 0], &n.to_be_bytes()[..]].concat()));

    stream
        .write_all(&subscriptions.chain(pings).collect::<Vec<_>>())
        .unwrap();

    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut heard = Vec::new();
    let last = command("PONG", &(MANY - 1).to_be_bytes());
    while !heard.ends_with(&last) {
        let mut some = [0; 4096];
        let n = stream.read(&mut some).unwrap();
        assert!(n > 0, "it is not disconnected");
        heard.extend_from_slice(&some[..n]);
    }
    assert_eq!(publisher.topics(), MANY as usize);
}

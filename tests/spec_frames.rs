//! RFC 37 and 23: frames, commands and messages, byte by byte against our sockets; and what is asked of all sockets.
//! Greeting and handshake: `spec_zmtp.rs`.

mod common;
#[path = "spec/raw.rs"]
mod raw;

use common::{LONG, hello, unused, wait_connected, wait_for};
use peermq::{Context, Event, Failure, Message, Options, Pull, Push, RecvError};
use raw::{COMMAND, LONG_FRAME, MORE, Raw, command};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A PULL, and a peer made of bytes that may send to it.
fn pull_and_peer(context: &Context, options: Options) -> (Pull, peermq::Monitor, Raw) {
    let pull = Pull::with_options(context, options).unwrap();
    let monitor = pull.monitor();
    let peer = Raw::dial(&pull.bind("tcp://127.0.0.1:0").unwrap()).greet("PUSH");
    wait_connected(&monitor);
    (pull, monitor, peer)
}

/// Why the connection ended at which this was said.
fn ended_by(said: &[u8]) -> Failure {
    let context = Context::new().unwrap();
    let options = Options::default().max_message_size(1_000);
    let (pull, monitor, mut peer) = pull_and_peer(&context, options);
    peer.say(said);
    peer.finish();
    let Event::Disconnected { failure, .. } = wait_for!(monitor, Disconnected) else {
        unreachable!("it was waited for")
    };
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
    failure
}

/// RFC 37: "Bits 7-3 are reserved for future use and MUST be zero", and MORE "SHALL be zero on command frames": what has them
/// set is no frame. (libzmq looks at neither.)
#[test]
fn reserved_bits_and_commands_with_more_are_refused() {
    for flags in [
        8,
        16,
        32,
        64,
        128,
        0x80 | MORE,
        COMMAND | MORE,
        COMMAND | LONG_FRAME | MORE,
    ] {
        let failure = ended_by(&[flags, 1, b'x', 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(failure, Failure::Malformed { .. }), "{flags:#x}: {failure}");
    }
}

/// RFC 37: "On a clear text connection, message data SHALL be sent as message frames": the shortest form, no reserved bit.
#[test]
fn what_we_send_is_framed_as_the_grammar_has_it() {
    let context = Context::new().unwrap();
    let push = Push::new(&context);
    let mut peer = Raw::dial(&push.bind("tcp://127.0.0.1:0").unwrap()).greet("PULL");
    push.send("").unwrap();
    assert_eq!(peer.hear(2), b"\0\0");
    push.send(["a", "", "bc"]).unwrap();
    assert_eq!(peer.hear(9), b"\x01\x01a\x01\0\0\x02bc");
    push.send(vec![7; 255]).unwrap();
    assert_eq!(peer.hear(2), b"\0\xFF");
    assert_eq!(peer.hear(255), [7; 255]);
    push.send([vec![8; 256], vec![9; 65_536]]).unwrap();
    assert_eq!(peer.hear(9), b"\x03\0\0\0\0\0\0\x01\0");
    assert_eq!(peer.hear(256), [8; 256]);
    assert_eq!(peer.hear(9), b"\x02\0\0\0\0\0\x01\0\0");
    assert_eq!(peer.hear(65_536), [9; 65_536]);
}

/// RFC 37: "A short frame has a body of 0 to 255 octets. A long frame has a body of 0 to 2^63-1 octets": a small body may
/// come in either form.
#[test]
fn a_small_body_may_come_in_a_long_frame() {
    let context = Context::new().unwrap();
    let (pull, _monitor, mut peer) = pull_and_peer(&context, Options::default());
    for len in [0, 1, 255] {
        peer.say(&[&[LONG_FRAME][..], &(len as u64).to_be_bytes(), &vec![5; len]].concat());
        assert_eq!(pull.recv_timeout(LONG).unwrap(), vec![5; len]);
    }
    peer.say(b"\x06\0\0\0\0\0\0\0\x07\x04PING\0\0");
    assert_eq!(peer.frame(), (COMMAND, b"\x04PONG".to_vec()));
}

/// RFC 37: of a length "2^63-1" is the most, and ours may be set lower: what is announced beyond it is refused before it
/// comes.
#[test]
fn a_length_over_the_limit_is_refused_when_it_is_announced() {
    for len in [1_001, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
        let failure = ended_by(&[&[LONG_FRAME][..], &len.to_be_bytes()].concat());
        assert!(matches!(failure, Failure::TooLarge { .. }), "{len}: {failure}");
    }
    let all_frames = [
        &[MORE | LONG_FRAME][..],
        &600u64.to_be_bytes(),
        &[1; 600],
        &[LONG_FRAME],
        &600u64.to_be_bytes(),
    ];
    assert!(matches!(ended_by(&all_frames.concat()), Failure::TooLarge { .. }));
}

/// RFC 37: "an implementation SHALL always send and deliver messages atomically, that is, all the frames of a message, or none
/// of them."
#[test]
fn a_message_is_received_whole_or_not_at_all() {
    let context = Context::new().unwrap();
    let (pull, monitor, mut peer) = pull_and_peer(&context, Options::default());
    peer.say(b"\x01\x01a\x01\x01b");
    // Commands may stand between the frames; the answer says that what is before it was read.
    peer.command("PING", b"\0\0");
    assert_eq!(peer.frame(), (COMMAND, b"\x04PONG".to_vec()));
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
    peer.say(b"\0\x01c\x01\x04half");
    assert_eq!(pull.recv_timeout(LONG).unwrap(), Message::from(["a", "b", "c"]));

    peer.finish();

    let Event::Disconnected { failure, .. } = wait_for!(monitor, Disconnected) else {
        unreachable!("it was waited for")
    };
    assert!(matches!(failure, Failure::CutShort { .. }), "{failure}");
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
    assert_eq!(pull.stats().incoming.taken, 1, "half a message has not arrived");
}

/// libzmq's multipart_atomic_drop: a peer that goes in the middle of a message. Ours sends it whole by the next connection,
/// if it was connected to; of one that came it is dropped whole, and the next peer begins with the next message.
#[test]
fn t07_a_message_that_is_cut_is_sent_again_whole_or_dropped_whole() {
    let body = || Message::from([vec![1; 8 << 20], vec![2; 8 << 20], vec![3; 8 << 20]]);
    let context = Context::new().unwrap();
    let options = || Options::default().reconnect(Duration::from_millis(1), Duration::from_millis(5));
    let push = Push::with_options(&context, options()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    push.connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    push.send(body()).unwrap();
    push.send("next").unwrap();
    let mut cut = Raw::accept(&listener).greet("PULL");
    cut.hear(1 << 20);
    drop(cut);
    let mut again = Raw::accept(&listener).greet("PULL");
    assert_eq!(again.message(), [vec![1; 8 << 20], vec![2; 8 << 20], vec![3; 8 << 20]]);
    assert_eq!(again.message(), [b"next"]);

    let push = Push::with_options(&context, options()).unwrap();
    let monitor = push.monitor();
    let here = push.bind("tcp://127.0.0.1:0").unwrap();
    let mut cut = Raw::dial(&here).greet("PULL");
    wait_connected(&monitor);
    push.send(body()).unwrap();
    cut.hear(1 << 20);
    drop(cut);
    wait_for!(monitor, Disconnected);
    assert_eq!(push.stats().out.dropped.total(), 1);
    let mut other = Raw::dial(&here).greet("PULL");
    push.send("next").unwrap();
    assert_eq!(other.message(), [b"next"]);
}

/// RFC 37: "On sending, the peer SHALL queue all frames of a message in memory until the final frame is sent": they are one
/// call, and stand behind one another on the wire.
#[test]
fn frames_of_two_messages_never_mix() {
    let context = Context::new().unwrap();
    let push = Push::new(&context);
    let mut peer = Raw::dial(&push.bind("tcp://127.0.0.1:0").unwrap()).greet("PULL");
    std::thread::scope(|scope| {
        for sender in 0..4u8 {
            let push = &push;
            scope.spawn(move || {
                (0..250).for_each(|_| push.send([vec![sender], vec![sender; 300], vec![sender]]).unwrap())
            });
        }
        for _ in 0..1_000 {
            let message = peer.message();
            let sender = message[0][0];
            assert_eq!(message, [vec![sender], vec![sender; 300], vec![sender]]);
        }
    });
}

/// RFC 37: "A message SHALL NOT be delivered more than once to any peer", and "All messages between two immediate peers SHALL
/// be delivered in order": also over connections that are cut anywhere.
#[test]
fn over_connections_that_are_cut_messages_come_in_order_and_none_twice() {
    let context = Context::new().unwrap();
    let options = Options::default().reconnect(Duration::from_millis(1), Duration::from_millis(2));
    let push = Push::with_options(&context, options.send_mark(100).linger(Duration::ZERO)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    push.connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    let number = |message: Vec<Vec<u8>>| u32::from_be_bytes(message[0][..4].try_into().unwrap());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0u32;
            while !is_over.load(Ordering::SeqCst) {
                let body = [&n.to_be_bytes()[..], &[0; 1_000]].concat();
                // Not sent: the same again.
                n += u32::from(push.send_timeout(body, Duration::from_millis(10)).is_ok());
            }
        });
        let mut last = None;
        for round in 0..10 {
            let mut peer = Raw::accept(&listener).greet("PULL");
            for _ in 0..100 * round + 50 {
                let n = number(peer.message());
                assert!(last < Some(n), "{n} after {last:?}");
                last = Some(n);
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let out = push.stats().out;
    assert_eq!(
        (out.dropped.total(), out.is_conserved()),
        (0, true),
        "what is lost was on its way"
    );
}

/// RFC 37: "On all ZMTP connections, command names SHALL be visible and command frames SHALL be printable": a length and
/// letters, whatever follows them.
#[test]
fn the_names_of_our_commands_are_visible() {
    let context = Context::new().unwrap();
    let (pull, _monitor, mut peer) = pull_and_peer(&context, Options::default());
    peer.command("PING", b"\0\0context");
    assert_eq!(peer.frame(), (COMMAND, b"\x04PONGcontext".to_vec()));
    let mut wrong = Raw::dial(&pull.bind("tcp://127.0.0.1:0").unwrap());
    wrong.say(&hello("SUB"));
    wrong.hear(64);
    let (_, error) = wrong.frame();
    assert_eq!(&error[..6], b"\x05ERROR");
    let reason = &error[7..];
    assert_eq!(usize::from(error[6]), reason.len());
    assert!(
        reason.iter().all(|byte| (0x20..0x7F).contains(byte)),
        "{}",
        reason.escape_ascii()
    );
}

/// RFC 37: "When a peer receives a PING command it SHALL respond with a PONG command that echoes the ping-context, which may be
/// empty and MUST not exceed 16 octets".
#[test]
fn a_pong_echoes_the_context_of_its_ping() {
    let context = Context::new().unwrap();
    let (_pull, _monitor, mut peer) = pull_and_peer(&context, Options::default());
    for len in [0, 1, 15, 16] {
        let echoed: Vec<u8> = (0..len).collect();
        peer.command("PING", &[b"\0\0", &echoed[..]].concat());
        assert_eq!(peer.frame(), (COMMAND, [b"\x04PONG", &echoed[..]].concat()));
    }
    peer.command("PING", &[7; 2 + 17]);
    assert_eq!(peer.frame(), (COMMAND, [&b"\x04PONG"[..], &[7; 16]].concat()), "cut");
}

/// What is no command of ours means nothing, between messages and between frames.
#[test]
fn unknown_commands_are_ignored_and_counted() {
    let context = Context::new().unwrap();
    let (pull, _monitor, mut peer) = pull_and_peer(&context, Options::default());
    for said in [
        command("WHAT", b""),
        command("X", &[0; 300]),
        command("SUBSCRIBE", b"t"),
    ] {
        let said = &said[..];
        peer.say(&[said, &b"\x01\x01a"[..], said, b"\0\x01b"].concat());
        assert_eq!(pull.recv_timeout(LONG).unwrap(), Message::from(["a", "b"]));
    }
    assert_eq!(pull.stats().ignored_commands, 6);
}

macro_rules! bound_and_connected {
    ($($Type:ident),* $(,)?) => {{
        let context = Context::new().unwrap();
        let mut bound = Vec::new();
        $({
            // Nobody is there, and may never be.
            let socket = peermq::$Type::new(&context);
            socket.connect(unused("tcp")).unwrap();
            let socket = peermq::$Type::new(&context);
            let here = socket.bind("tcp://127.0.0.1:0").unwrap();
            bound.push((stringify!($Type).to_uppercase(), here, Box::new(socket) as Box<dyn std::any::Any>));
        })*
        (context, bound)
    }};
}

/// RFC 37: "All sockets SHALL accept connections (binding to an address) and make connections." "The Socket-Type SHALL match
/// this grammar", and who may not speak with whom is told so.
#[test]
fn every_socket_binds_connects_and_says_its_type() {
    let (_context, bound) = bound_and_connected!(
        Req, Rep, Dealer, Router, Pub, XPub, Sub, XSub, Push, Pull, Pair, Radio, Dish, Client, Server, Scatter, Gather,
        Peer, Channel
    );
    let speaks = |one: &str, other: &str| {
        let legal: &[&str] = match one {
            "REQ" => &["REP", "ROUTER"],
            "REP" => &["REQ", "DEALER"],
            "DEALER" => &["REP", "DEALER", "ROUTER"],
            "ROUTER" => &["REQ", "DEALER", "ROUTER"],
            "PUB" | "XPUB" => &["SUB", "XSUB"],
            "SUB" | "XSUB" => &["PUB", "XPUB"],
            "PUSH" => &["PULL"],
            "PULL" => &["PUSH"],
            "PAIR" => &["PAIR"],
            "CLIENT" => &["SERVER"],
            "SERVER" => &["CLIENT"],
            "RADIO" => &["DISH"],
            "DISH" => &["RADIO"],
            "SCATTER" => &["GATHER"],
            "GATHER" => &["SCATTER"],
            "PEER" => &["PEER"],
            "CHANNEL" => &["CHANNEL"],
            _ => &[],
        };
        legal.contains(&other)
    };
    for (ours, here, _socket) in &bound {
        for theirs in TYPES {
            let mut peer = Raw::dial(here);
            peer.say(&hello(theirs));
            peer.hear(64);
            let (flags, said) = peer.frame();
            assert_eq!(flags, COMMAND);
            if speaks(ours, theirs) {
                let len = [0, 0, 0, ours.len() as u8];
                let begins = [&b"\x05READY\x0BSocket-Type"[..], &len, ours.as_bytes()].concat();
                assert!(said.starts_with(&begins), "{ours} to {theirs}: {}", said.escape_ascii());
            } else {
                assert!(
                    said.starts_with(b"\x05ERROR"),
                    "{ours} to {theirs}: {}",
                    said.escape_ascii()
                );
            }
        }
    }
}

/// The names of the grammar, and some that are not.
const TYPES: [&str; 22] = [
    "REQ", "REP", "DEALER", "ROUTER", "PUB", "XPUB", "SUB", "XSUB", "PUSH", "PULL", "PAIR", "CLIENT", "SERVER",
    "RADIO", "DISH", "SCATTER", "GATHER", "PEER", "CHANNEL", "STREAM", "push", "",
];

//! What peers may try that takes real sockets to see, and has no better place: see `tests/spec/threats.txt` for all of it.

mod common;

use common::*;
use peermq::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn sender(context: &Context, to: &Endpoint) -> Push {
    let push = Push::new(context);
    push.connect(to).unwrap();
    push
}

/// What goes on until it is ended.
struct Flood {
    stream: TcpStream,
    is_over: AtomicBool,
}

/// Ends it, however the test ends.
struct Ends<'a>(&'a Flood);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        let _is_ended = self.0.stream.shutdown(Shutdown::Both);
    }
}

/// T4: who is flooded with empty messages holds as many of them as its mark in bytes allows, at 64 each; and others of its
/// context are served meanwhile.
#[test]
fn threat_04_a_flood_of_empty_messages_is_bounded_and_others_are_served() {
    const MOST: u64 = 100;
    let context = Context::new().unwrap();
    let options = Options::default().recv_mark_bytes(64 * MOST as usize);
    let flooded = Pull::with_options(&context, options).unwrap();
    let here = address(&flooded.bind("tcp://127.0.0.1:0").unwrap());
    let spared = Pull::new(&context);
    let there = spared.bind("tcp://127.0.0.1:0").unwrap();
    let theirs = Context::new().unwrap();
    let push = sender(&theirs, &there);
    let mut stream = TcpStream::connect(here).unwrap();
    stream.write_all(&hello("PUSH")).unwrap();
    let flood = Flood {
        stream: stream.try_clone().unwrap(),
        is_over: AtomicBool::new(false),
    };
    let is_over = &flood.is_over;

    thread::scope(|scope| {
        let _ends_here = Ends(&flood);
        scope.spawn(|| while stream.write_all(&[0; 60_000]).is_ok() {});
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _some = flooded.recv_timeout(Duration::from_millis(10));
            }
        });
        for n in 0..300 {
            push.send(n.to_string()).unwrap();
            assert_eq!(spared.recv_timeout(LONG).unwrap(), Message::from(n.to_string()));
            let queued = flooded.stats().incoming.queued;
            assert!(queued <= MOST, "{queued} are queued");
        }
        until("the flood has come", || flooded.stats().incoming.passed > 10_000);
    });
    assert!(flooded.stats().incoming.is_conserved());
}

/// T18: whoever sends to a socket that only sends is disconnected after a thousand messages.
#[test]
fn threat_18_who_talks_to_a_publisher_or_a_pusher_does_not_for_long() {
    let context = Context::new().unwrap();
    let (publisher, push) = (Pub::new(&context), Push::new(&context));
    let sockets = [
        ("SUB", publisher.bind("tcp://127.0.0.1:0").unwrap(), publisher.monitor()),
        ("PULL", push.bind("tcp://127.0.0.1:0").unwrap(), push.monitor()),
    ];
    for (socket_type, here, monitor) in &sockets {
        let mut stream = TcpStream::connect(address(here)).unwrap();
        stream.write_all(&hello(socket_type)).unwrap();
        wait_connected(monitor);

        stream.write_all(&b"\0\x02hi".repeat(1_001)).unwrap();

        let Event::Disconnected { failure, .. } = wait_for!(monitor, Disconnected) else {
            unreachable!("it was waited for")
        };
        let words = "messages to a socket that only sends are over the limit of 1000";
        assert!(failure.to_string().ends_with(words), "{failure}");
        assert_eq!(failure.fault(), Fault::Peer);
    }
    for incoming in [publisher.stats().incoming, push.stats().incoming] {
        assert_eq!(incoming.dropped.of(DropReason::WrongDirection), 1_001);
    }
}

/// T21: each HELLO of CURVE costs as much as thousands of messages. However many come, no more are taken in a second than
/// was set, and those who are there go on.
#[test]
fn threat_21_a_flood_of_hellos_is_taken_at_a_rate_and_messages_go_on() {
    const RATE: u32 = 500;
    const BURST: u32 = 20;
    const FLOOD: usize = 400;
    let (ours, theirs) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let server = ours.public();
    let context = Context::new().unwrap();
    let security = Curve::server(ours).allow([theirs.public()]);
    let options = Options::default().security(security).accept_rate(RATE, BURST);
    let pull = Pull::with_options(&context, options).unwrap();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let push = Push::with_options(&context, Options::default().security(Curve::client(theirs, server))).unwrap();
    push.connect(&here).unwrap();
    push.send("before").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "before");
    // As long as a HELLO is, with a key, and a box that nobody has sealed.
    let mut hello = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01CURVE".to_vec();
    hello.resize(64, 0);
    hello.extend_from_slice(b"\x04\xc8\x05HELLO\x01\0");
    hello.resize(64 + 2 + 8 + 72, 0);
    hello.extend_from_slice(SecretKey::from_bytes([9; 32]).public().as_bytes());
    hello.extend_from_slice(&1_u64.to_be_bytes());
    hello.resize(64 + 202, 7);
    let here = address(&here);
    let begin = Instant::now();

    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..FLOOD {
                let mut stream = TcpStream::connect(&here).unwrap();
                stream.write_all(&hello).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
        });
        let mut refused = 0;
        while refused < FLOOD as u64 {
            push.send("meanwhile").unwrap();
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "meanwhile");
            refused = pull.stats().failed_handshakes;
            let most = f64::from(BURST) + f64::from(RATE) * begin.elapsed().as_secs_f64();
            assert!(refused as f64 <= most, "{refused} were taken, {most} may be");
        }
    });
}

/// T24: who is in the process is trusted, over inproc whatever the mechanism; but nobody is asked about strangers whom the
/// socket was not told to ask.
#[test]
fn threat_24_who_is_in_the_process_is_trusted_and_is_asked_only_if_that_was_said() {
    let context = Context::new().unwrap();
    // It would let anybody in.
    let handler = Rep::new(&context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    let security = Plain::server().allow([("ann", "right")]);
    let pull = Pull::with_options(&context, Options::default().security(security)).unwrap();
    let monitor = pull.monitor();
    let stranger = Push::with_options(&context, Options::default().security(Plain::client("ann", "wrong"))).unwrap();
    stranger.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();

    wait_for!(monitor, HandshakeFailed);

    assert!(handler.try_recv().is_err(), "nobody has asked it");
    let inside = Push::new(&context);
    inside.connect(pull.bind("inproc://inside").unwrap()).unwrap();
    inside.send("it is me").unwrap();
    let (message, peer) = pull.recv_from_timeout(LONG).unwrap();
    assert_eq!((message, peer.user()), ("it is me".into(), None));
}

/// Not a test of its own: the process of the next one that has few descriptors.
#[test]
fn child_with_few_descriptors() {
    if std::env::var_os("PEERMQ_TEST_FEW").is_none() {
        return;
    }
    let context = Context::new().unwrap();
    // None are kept for others: all may be taken.
    let pull = Pull::with_options(&context, Options::default().fd_reserve(0)).unwrap();
    let monitor = pull.monitor();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let push = sender(&context, &here);
    wait_connected(&monitor);
    println!("\nhere {}", address(&here));
    let event = wait_for!(monitor, AcceptFailed);
    println!("\nfailed {event}");
    push.send("those who are there go on").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "those who are there go on");
    println!("\nwaiting");
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "late");
    println!("\ndone");
}

/// The next line of it that begins with this word, without it.
fn told(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
    let mut all = lines.map(Result::unwrap);
    let line = all.find_map(|line| line.strip_prefix(word).map(str::to_owned));
    line.unwrap_or_else(|| panic!("it has ended without {word}"))
}

/// T31: without a descriptor left nobody new comes in, nobody who is there is disturbed, and who waits comes in later.
#[cfg(unix)]
#[test]
fn threat_31_a_process_without_descriptors_waits_for_some() {
    let mut child: Child = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 64 && exec \"$0\" --exact child_with_few_descriptors --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env("PEERMQ_TEST_FEW", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let here = told(&mut lines, "here ");
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(&here).unwrap()).collect();
    let why = told(&mut lines, "failed ");
    assert!(why.contains("pauses for") && why.contains("os error 24"), "{why}");
    told(&mut lines, "waiting");

    drop(silent);
    let mut late = TcpStream::connect(&here).unwrap();
    late.write_all(&[&hello("PUSH"), &b"\0\x04late"[..]].concat()).unwrap();

    told(&mut lines, "done");
    let _end = late.read_to_end(&mut Vec::new());
    drop(late);
    assert!(child.wait().unwrap().success());
}

/// T34: a message that many hold in one process is the same memory, which nobody can change.
#[test]
fn threat_34_what_is_shared_within_a_process_is_changed_by_nobody() {
    let context = Context::new().unwrap();
    let (push, pull) = (Push::new(&context), Pull::new(&context));
    push.connect(pull.bind("inproc://shared").unwrap()).unwrap();
    let message = Message::from(vec![7; 100_000]);
    push.send(message.clone()).unwrap();

    let received = pull.recv_timeout(LONG).unwrap();

    assert_eq!(received.first().as_ptr(), message.first().as_ptr());
    let mut own = received.first().to_vec();
    own.fill(8);
    assert!(message == vec![7; 100_000] && received == message);
}

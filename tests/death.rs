//! What is promised when the process at the other end dies, or is not there yet.

mod common;

use common::{Chance, LONG, hello, unused, wait_connected, wait_for};
use peermq::{Context, Event, Options, Pull, Push};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Not a test of its own: the receiving process of the tests below, which writes what it receives to its output.
#[test]
fn child_that_receives() {
    let Ok(endpoint) = std::env::var("PEERMQ_TEST_RECEIVER") else {
        return;
    };
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let here = pull.bind(&endpoint).unwrap();
    println!("\nat {here}");
    while let Ok(message) = pull.recv_timeout(LONG) {
        println!("got {}", message.to_str().unwrap());
    }
}

struct Receiver {
    child: Child,
    lines: mpsc::Receiver<String>,
    endpoint: String,
}

impl Receiver {
    fn start(endpoint: &str) -> Receiver {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_receives", "--nocapture", "--test-threads=1"])
            .env("PEERMQ_TEST_RECEIVER", endpoint)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let endpoint = loop {
            let line = output.next().unwrap().unwrap();
            if let Some(endpoint) = line.strip_prefix("at ") {
                break endpoint.to_owned();
            }
        };
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                if let Some(number) = line.strip_prefix("got ") {
                    let _gone = sender.send(number.to_owned());
                }
            }
        });
        Receiver { child, lines, endpoint }
    }

    fn next(&self) -> u64 {
        self.lines.recv_timeout(LONG).unwrap().parse().unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[test]
fn a_receiver_that_is_killed_and_restarted_gets_the_rest_in_order_and_nothing_twice() {
    let mut receiver = Receiver::start("tcp://127.0.0.1:0");
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(100));
    let push = Push::with_options(&context, quick).unwrap();
    let monitor = push.monitor();
    push.connect(&receiver.endpoint).unwrap();
    wait_connected(&monitor);

    let (mut before, mut sent) = (Vec::new(), 0u64);
    for _ in 0..2_000 {
        push.send(sent.to_string()).unwrap();
        sent += 1;
    }
    while before.len() < 500 {
        before.push(receiver.next());
    }
    receiver.child.kill().unwrap();
    receiver.child.wait().unwrap();
    let event = wait_for!(monitor, Disconnected);
    let Event::Disconnected { unanswered, .. } = event else {
        unreachable!()
    };
    let written = push.stats().out.passed;
    assert!(unanswered <= written);
    before.extend(receiver.lines.iter().map(|number| number.parse::<u64>().unwrap()));
    // The mark is 1,000: these wait for the receiver to come back.
    for _ in 0..200 {
        push.send(sent.to_string()).unwrap();
        sent += 1;
    }

    let endpoint = receiver.endpoint.clone();
    receiver = Receiver::start(&endpoint);

    let mut after = vec![receiver.next()];
    while *after.last().unwrap() != sent - 1 {
        after.push(receiver.next());
    }
    assert!(before.is_sorted() && after.is_sorted());
    let all: BTreeSet<u64> = before.iter().chain(&after).copied().collect();
    assert_eq!(all.len(), before.len() + after.len(), "nothing twice");
    assert_eq!(
        after.len() as u64,
        sent - written,
        "what was not written arrives, all of it"
    );
    assert!(before.len() as u64 <= written, "what is missing was written");
}

#[test]
fn a_receiver_that_comes_later_gets_what_waited() {
    let endpoint = unused("tcp");
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(100));
    let push = Push::with_options(&context, quick).unwrap();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    push.send("7").unwrap();
    wait_for!(monitor, RetryingIn);
    let receiver = Receiver::start(&endpoint);
    assert_eq!(receiver.next(), 7);
}

/// A batch that was wholly written, and not told as such when its connection ended, was in no count.
#[test]
fn the_law_holds_when_a_peer_goes_in_the_middle_of_a_flood() {
    let seed = 11;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let context = Context::new().unwrap();
    let quick = Options::default()
        .reconnect(Duration::from_millis(1), Duration::from_millis(2))
        .linger(Duration::ZERO);
    let push = Push::with_options(&context, quick).unwrap();
    push.connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| while push.send(&[7; 900]).is_ok() {});
        for _ in 0..60 {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&hello("PULL")).unwrap();
            let mut some = vec![0; 1 + chance.below(3_000_000) as usize];
            let _cut = stream.read_exact(&mut some);
            drop(stream);
            let stats = push.stats();
            assert!(stats.out.is_conserved(), "{:?}", stats.out);
        }
        push.close().unwrap();
    });
    let stats = push.stats();
    assert!(stats.out.is_conserved(), "{:?}", stats.out);
}

/// Writing failed, no end of stream came, and what was queued waited for as long as the peer stayed.
#[test]
fn a_peer_that_shuts_its_reading_side_alone_is_left() {
    let endpoint = common::endpoint("ipc");
    let path = endpoint.trim_start_matches("ipc://");
    let listener = UnixListener::bind(path).unwrap();
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(1), Duration::from_millis(2));
    let push = Push::with_options(&context, quick).unwrap();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    let (mut deaf, _) = listener.accept().unwrap();
    deaf.write_all(&hello("PULL")).unwrap();
    wait_connected(&monitor);
    deaf.shutdown(std::net::Shutdown::Read).unwrap();

    push.send("one").unwrap();

    wait_for!(monitor, Disconnected);
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&hello("PULL")).unwrap();
    wait_connected(&monitor);
    let mut got = Vec::new();
    while !got.ends_with(b"\x00\x03one") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        got.push(byte[0]);
    }
    std::fs::remove_file(path).unwrap();
}

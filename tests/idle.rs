//! What a peer costs that says nothing or hears nothing, and a name that nobody uses any more. Alone in its process: memory that
//! another test has left would be taken again, and weigh nothing.

mod common;

use common::{LONG, a_thousand, address, resident};
use peermq::confirmed::Worker;
use peermq::{Context, Message, Options, Pull, Push, Router};
use std::time::Duration;

/// One after the other, because each weighs the whole process, and the first stay for the same reason.
#[test]
fn a_thousand_idle_peers_cost_under_8_kib_each() {
    let _alone = SCALES.lock();
    let _readers = that_were_read_from();
    that_were_written_to();
}

fn that_were_read_from() -> impl Sized {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let before = resident();
    let peers = a_thousand("PUSH", &here, b"\x00\x03one", &monitor);
    for _ in 0..1_000 {
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "one");
    }
    let cost = resident().saturating_sub(before) / 1_000;
    println!("{cost} bytes a peer");
    assert!(cost < 8 << 10, "{cost} bytes a peer");
    (peers, pull, context)
}

fn that_were_written_to() {
    let context = Context::new().unwrap();
    let push = Push::new(&context);
    let monitor = push.monitor();
    let here = address(&push.bind("tcp://127.0.0.1:0").unwrap());
    let before = resident();
    let _peers = a_thousand("PULL", &here, b"", &monitor);
    for _ in 0..1_000 {
        push.send("one").unwrap();
    }
    while push.stats().out.passed < 1_000 {
        std::thread::yield_now();
    }
    let cost = resident().saturating_sub(before) / 1_000;
    println!("{cost} bytes a peer");
    assert!(cost < 8 << 10, "{cost} bytes a peer");
}

/// What was bound and unbound was remembered until the next socket closed.
#[test]
fn inproc_names_that_are_used_once_are_forgotten() {
    let _alone = SCALES.lock();
    let context = Context::new().unwrap();
    let (pull, push) = (Pull::new(&context), Push::new(&context));
    let before = resident();
    for n in 0..30_000 {
        let name = format!("inproc://{n:0>200}");
        pull.bind(&name).unwrap();
        push.connect(&name).unwrap();
        push.disconnect(&name).unwrap();
        pull.unbind(&name).unwrap();
        let nobody = format!("inproc://nobody {n:0>200}");
        push.connect(&nobody).unwrap();
        push.disconnect(&nobody).unwrap();
    }
    let cost = resident().saturating_sub(before);
    assert!(cost < 4 << 20, "{} KiB", cost >> 10);
}

/// As long as there is no room, what a worker has to say is not tried again and again.
#[test]
fn a_worker_rests_while_its_source_does_not_read() {
    let _alone = SCALES.lock();
    let context = Context::new().unwrap();
    let source = Router::with_options(&context, Options::default().recv_mark(1)).unwrap();
    let here = source.bind("inproc://does-not-read").unwrap();
    let worker = Worker::builder(&context).connect(here).unwrap();
    let worker = worker.options(Options::default().send_mark(1)).build().unwrap();
    let (from, _hello) = source.recv_timeout(LONG).unwrap();
    // It is to beat, too.
    let silence = 3_u32.to_be_bytes();
    let welcome = [&b"CD\x01\x81"[..], &[7; 16], &1_000_u32.to_be_bytes(), &silence].concat();
    source.send_to(&from, welcome).unwrap();
    // CREDIT.
    while source.recv_timeout(LONG).unwrap().1.first()[3] != 2 {}
    for number in 1..=20_u64 {
        let mut head = [&b"CD\x01\x82"[..], &number.to_be_bytes(), &[0, 1, 0]].concat();
        head.extend_from_slice(&1_000_u32.to_be_bytes());
        head.extend_from_slice(&[0; 8 + 1 + 2]);
        source.send_to(&from, Message::from([&head[..], b"task"])).unwrap();
    }
    for _ in 0..20 {
        worker.recv_timeout(LONG).unwrap().unwrap().reject("no").unwrap();
    }

    let before = processor_time();
    assert!(worker.recv_timeout(Duration::from_millis(500)).is_err());
    let cost = processor_time() - before;

    assert!(cost < Duration::from_millis(150), "{cost:?}");
}

/// What this process has had of all processors.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which may have spaces. In hundredths of a second, of the program and of the system for it.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// Held by whoever weighs: one test at a time.
static SCALES: std::sync::Mutex<()> = std::sync::Mutex::new(());

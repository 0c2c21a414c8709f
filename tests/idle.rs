//! What a peer costs that says nothing, and a name that nobody uses any more. Alone in its process: memory that another
//! test has left would be taken again, and weigh nothing.

mod common;

use common::{LONG, a_thousand, address, resident};
use peermq::{Context, Pull, Push};

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

/// Held by whoever weighs: one test at a time.
static SCALES: std::sync::Mutex<()> = std::sync::Mutex::new(());

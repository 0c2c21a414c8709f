//! Who connects only to go again. Alone in its process, whose memory, threads and descriptors are looked at.
//!
//! `PEERMQ_CONNECTS` says how many come, 2,000 unless it does.

mod common;

use common::*;
use peermq::*;
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One after the other: each looks at all of the process.
static ALONE: Mutex<()> = Mutex::new(());

fn times() -> u64 {
    std::env::var("PEERMQ_CONNECTS").map_or(2_000, |times| times.parse().unwrap())
}

/// What a process holds, memory apart.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    threads: usize,
}

fn held() -> Held {
    let count = |of: &str| std::fs::read_dir(format!("/proc/self/{of}")).unwrap().count();
    Held {
        descriptors: count("fd"),
        threads: count("task"),
    }
}

/// Runs this twice: first a tenth of it, so that what is kept for later is there, then the rest, which is to leave nothing.
fn leaves_nothing(mut come_and_go: impl FnMut(u64)) {
    let times = times();
    come_and_go(times / 10);
    let (memory, before) = (resident(), held());

    come_and_go(times - times / 10);

    until("what they held is free", || held() == before);
    let cost = resident().saturating_sub(memory);
    println!("{times} times: {} KiB more, {before:?} as before", cost >> 10);
    assert!(cost < 2 << 20, "{} KiB", cost >> 10);
}

/// T8, T31: nothing is left of those who come only to go; and T27: not each is told, and all are counted.
#[test]
fn threat_08_a_port_scanner_leaves_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let context = Context::new().unwrap();
    let (pull, honest) = (Pull::new(&context), Push::new(&context));
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    let here = address(&endpoint);
    honest.connect(endpoint).unwrap();
    honest.send("before").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "before");
    leaves_nothing(|times| {
        for n in 0..times {
            let stream = TcpStream::connect(&here).unwrap();
            if n % 2 == 0 {
                socket2::SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
        }
        until("all are gone", || {
            context.stats().event_loop.unwrap().connections.total() == 2
        });
    });

    let stats = pull.stats();
    // A connection may be gone before it is taken.
    assert!((times() / 2..=times()).contains(&stats.failed_handshakes), "{stats:?}");
    let mut told = 0;
    for event in monitor.try_iter() {
        told += u64::from(matches!(event, Event::HandshakeFailed { .. }));
    }
    assert_eq!(monitor.missed(), 0);
    assert_eq!(told + stats.untold_handshakes, stats.failed_handshakes);
    assert!(stats.untold_handshakes > 0);
    assert_eq!(stats.turned_away.total(), 0);
    honest.send("after").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "after");
}

/// Those who are let in, and those whom we go to: what is kept of a peer goes with it.
#[test]
fn peers_that_come_and_go_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let context = Context::new().unwrap();
    let (pull, router) = (Pull::new(&context), Router::new(&context));
    let bound = pull.bind("tcp://127.0.0.1:0").unwrap();
    let here = address(&bound);
    let there = router.bind("ipc://*").unwrap();
    let said = [&hello("PUSH")[..], b"\0\x05hello"].concat();
    let live = || {
        let connections = context.stats().event_loop.unwrap().connections.total();
        let peers = pull.stats().peers.len() + router.stats().peers.len();
        (context.stats().sockets.len(), connections, peers)
    };

    leaves_nothing(|times| {
        for n in 0..times {
            match n % 4 {
                0 | 1 => {
                    let mut stream = TcpStream::connect(&here).unwrap();
                    stream.write_all(&said).unwrap();
                    assert_eq!(pull.recv_timeout(LONG).unwrap(), "hello");
                }
                2 => {
                    let push = Push::new(&context);
                    push.connect(&bound).unwrap();
                    push.send("hello").unwrap();
                    assert_eq!(pull.recv_timeout(LONG).unwrap(), "hello");
                }
                _ => {
                    let dealer = Dealer::new(&context);
                    dealer.connect(&there).unwrap();
                    dealer.send("who am I?").unwrap();
                    let (peer, message) = router.recv_timeout(LONG).unwrap();
                    router.send_to(&peer, message).unwrap();
                    assert_eq!(dealer.recv_timeout(LONG).unwrap(), "who am I?");
                }
            }
        }
        until("all are gone", || live() == (2, 0, 0));
    });
    assert!(pull.stats().incoming.is_conserved() && router.stats().incoming.is_conserved());
}

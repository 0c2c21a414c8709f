//! Who connects only to go again. Alone in its process, whose memory and descriptors are looked at.

mod common;

use common::*;
use peermq::*;
use std::net::TcpStream;
use std::time::Duration;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// T8, T31: nothing is left of those who come only to go; and T27: not each is told, and all are counted.
#[test]
fn threat_08_a_port_scanner_leaves_nothing_behind() {
    const TIMES: u64 = 2_000;
    let context = Context::new().unwrap();
    let (pull, honest) = (Pull::new(&context), Push::new(&context));
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    let here = address(&endpoint);
    honest.connect(endpoint).unwrap();
    honest.send("before").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "before");
    let scan = |times| {
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
    };
    scan(200);
    let before = (resident(), descriptors());
    scan(TIMES - 200);

    let cost = resident().saturating_sub(before.0);
    assert!(cost < 2 << 20, "{} KiB", cost >> 10);
    until("their descriptors are free", || descriptors() == before.1);
    let stats = pull.stats();
    // A connection may be gone before it is taken.
    assert!((TIMES / 2..=TIMES).contains(&stats.failed_handshakes), "{stats:?}");
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

//! What a peer costs that says nothing. Alone in its process: memory that another test has left would be taken again, and
//! weigh nothing.

mod common;

use common::{LONG, a_thousand, address, resident};
use peermq::{Context, Pull};

#[test]
fn a_thousand_idle_peers_cost_under_8_kib_each() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let before = resident();
    let _peers = a_thousand(&here, b"\x00\x03one", &monitor);
    for _ in 0..1_000 {
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "one");
    }
    let cost = resident().saturating_sub(before) / 1_000;
    println!("{cost} bytes a peer");
    assert!(cost < 8 << 10, "{cost} bytes a peer");
}

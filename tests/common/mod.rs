//! Waiting by events, and nothing by time.
#![allow(dead_code, reason = "each test file uses its part")]

use peermq::{Event, Monitor};
use std::time::Duration;

/// Longer than anything here takes: a test that meets it has failed.
pub const LONG: Duration = Duration::from_secs(20);

/// Waits for an event of this kind, and gives it.
pub fn wait_for(monitor: &Monitor, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
    loop {
        match monitor.recv_timeout(LONG) {
            Ok(event) if is_it(&event) => return event,
            Ok(_) => {}
            Err(error) => panic!("waiting for {what}: {error}"),
        }
    }
}

pub fn wait_connected(monitor: &Monitor) {
    wait_for(monitor, "Connected", |event| matches!(event, Event::Connected { .. }));
}

/// A fresh endpoint of each transport.
pub fn endpoint(transport: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    match transport {
        "tcp" => "tcp://127.0.0.1:0".into(),
        "ipc" => {
            let path = std::env::temp_dir().join(format!("peermq-test-{}-{n}", std::process::id()));
            format!("ipc://{}", path.display())
        }
        _ => format!("inproc://test-{n}"),
    }
}

/// A small generator: the same seed, the same test.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

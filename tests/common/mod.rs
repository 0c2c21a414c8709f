//! Waiting by events, and nothing by time.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses its part")]

use peermq::{Context, Event, Monitor, Options, Pull, Push};
use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longer than anything here takes: a test that meets it has failed.
pub const LONG: Duration = Duration::from_secs(20);

/// Waits for an event of this kind, and gives it.
macro_rules! wait_for {
    ($monitor:expr, $Kind:ident) => {
        crate::common::wait_until(&$monitor, stringify!($Kind), |event| {
            matches!(event, peermq::Event::$Kind { .. })
        })
    };
}

/// The same tests over every transport, each with its name.
macro_rules! transport_suite {
    ($($test:ident),* $(,)?) => {
        mod tcp { $(#[test] fn $test() { super::$test("tcp") })* }
        mod ipc { $(#[test] fn $test() { super::$test("ipc") })* }
        mod inproc { $(#[test] fn $test() { super::$test("inproc") })* }
    };
}

pub(crate) use {transport_suite, wait_for};

pub fn wait_until(monitor: &Monitor, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
    let deadline = Instant::now() + LONG;
    let mut others = VecDeque::new();
    loop {
        match monitor.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) if is_it(&event) => return event,
            Ok(event) => {
                others.truncate(9);
                others.push_front(event);
            }
            Err(error) => panic!("waiting for {what}: {error}; the newest others: {others:?}"),
        }
    }
}

pub fn wait_connected(monitor: &Monitor) {
    wait_for!(monitor, Connected);
}

/// What a peer says first: its greeting, with NULL, and READY as this socket type.
pub fn hello(socket_type: &str) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
    bytes.extend_from_slice(b"NULL");
    bytes.resize(64, 0);
    bytes.extend(ready(socket_type));
    bytes
}

/// The READY of this socket type.
pub fn ready(socket_type: &str) -> Vec<u8> {
    ready_with(&[("Socket-Type", socket_type)])
}

/// The READY that a socket of ours with default options says; of a type that has no identity.
pub fn ready_of_ours(socket_type: &str) -> Vec<u8> {
    ready_with(&[
        ("Socket-Type", socket_type),
        ("Implementation", concat!("peermq/", env!("CARGO_PKG_VERSION"))),
        ("Heartbeat-Timeout", "10000"),
    ])
}

/// The READY with these properties, less than 256 bytes.
pub fn ready_with(properties: &[(&str, &str)]) -> Vec<u8> {
    let mut body = b"\x05READY".to_vec();
    for (name, value) in properties {
        body.push(name.len() as u8);
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&(value.len() as u32).to_be_bytes());
        body.extend_from_slice(value.as_bytes());
    }
    let mut frame = vec![4, u8::try_from(body.len()).unwrap()];
    frame.append(&mut body);
    frame
}

/// Bytes of this process in memory.
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// A TCP endpoint's host and port.
pub fn address(endpoint: &peermq::Endpoint) -> String {
    endpoint.to_string().trim_start_matches("tcp://").to_owned()
}

/// Peers of this socket type that say this behind their handshake.
pub fn a_thousand(socket_type: &str, here: &str, then: &[u8], monitor: &Monitor) -> Vec<TcpStream> {
    let bytes = [&hello(socket_type), then].concat();
    let strangers = (0..1_000).map(|_| {
        let mut stream = TcpStream::connect(here).unwrap();
        stream.write_all(&bytes).unwrap();
        stream
    });
    let strangers = strangers.collect();
    (0..1_000).for_each(|_| wait_connected(monitor));
    strangers
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

/// An endpoint at which nobody is, and somebody can be later: over TCP a port that is held, so that the system gives it to
/// nobody else, and not listened at.
pub fn unused(transport: &str) -> String {
    match transport {
        "tcp" => {
            let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            held.set_reuse_address(true).unwrap();
            held.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
                .unwrap();
            let address = held.local_addr().unwrap().as_socket().unwrap();
            // Until the process ends.
            std::mem::forget(held);
            format!("tcp://{address}")
        }
        _ => endpoint(transport),
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

/// Looks again until it is so: for a state that no event tells of.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "waiting for {what}");
        std::thread::yield_now();
    }
}

/// Waits for a future on this thread, as an executor of nobody's would.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    let deadline = Instant::now() + LONG;
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "waiting for a future");
        std::thread::park_timeout(left);
    }
}

/// What a future gives at once; then it is dropped.
pub fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// Two sockets with these options, connected.
pub fn linked(context: &Context, transport: &str, options: &Options) -> (Push, Pull) {
    let pull = Pull::with_options(context, options.clone()).unwrap();
    let push = Push::with_options(context, options.clone()).unwrap();
    let monitor = push.monitor();
    push.connect(pull.bind(endpoint(transport)).unwrap()).unwrap();
    wait_connected(&monitor);
    (push, pull)
}

//! What strangers send to a real socket: it costs little, and those who are welcome are served all the same.

mod common;

use common::{LONG, wait_for};
use peermq::{Context, Event, Options, Pull, Push};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Tests that weigh the process run one at a time.
static SCALES: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn greeting() -> Vec<u8> {
    let mut bytes = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
    bytes.extend_from_slice(b"NULL");
    bytes.resize(64, 0);
    bytes
}

fn ready(socket_type: &str) -> Vec<u8> {
    let mut body = b"\x05READY\x0BSocket-Type".to_vec();
    body.extend_from_slice(&(socket_type.len() as u32).to_be_bytes());
    body.extend_from_slice(socket_type.as_bytes());
    let mut frame = vec![4, body.len() as u8];
    frame.append(&mut body);
    frame
}

fn address(endpoint: &peermq::Endpoint) -> String {
    endpoint.to_string().trim_start_matches("tcp://").to_owned()
}

#[test]
fn a_thousand_announced_gigabytes_cost_under_100_mib() {
    let _alone = SCALES.lock();
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let before = resident();
    let mut strangers = Vec::new();
    for _ in 0..1_000 {
        let mut stream = TcpStream::connect(&here).unwrap();
        let mut bytes = greeting();
        bytes.extend(ready("PUSH"));
        bytes.extend([2]);
        bytes.extend((1u64 << 30).to_be_bytes());
        bytes.push(7);
        stream.write_all(&bytes).unwrap();
        strangers.push(stream);
    }
    for _ in 0..1_000 {
        wait_for(&monitor, "Connected", |event| matches!(event, Event::Connected { .. }));
    }
    let push = Push::new(&context);
    push.connect(format!("tcp://{here}")).unwrap();
    push.send("welcome").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "welcome");
    let cost = resident().saturating_sub(before);
    assert!(cost < 100 << 20, "{} MiB", cost >> 20);
}

#[test]
fn a_thousand_idle_peers_cost_under_8_kib_each() {
    let _alone = SCALES.lock();
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let before = resident();
    let mut peers = Vec::new();
    for _ in 0..1_000 {
        let mut stream = TcpStream::connect(&here).unwrap();
        let mut bytes = greeting();
        bytes.extend(ready("PUSH"));
        bytes.extend([0, 3, b'o', b'n', b'e']);
        stream.write_all(&bytes).unwrap();
        peers.push(stream);
    }
    for _ in 0..1_000 {
        wait_for(&monitor, "Connected", |event| matches!(event, Event::Connected { .. }));
    }
    for _ in 0..1_000 {
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "one");
    }
    let cost = resident().saturating_sub(before) / 1_000;
    println!("{cost} bytes a peer");
    assert!(cost < 8 << 10, "{cost} bytes a peer");
}

#[test]
fn strangers_of_other_protocols_are_told_to_the_monitor_and_to_nobody_else() {
    let banners: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        &[0; 64],
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x00",
    ];
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    for banner in banners {
        let mut stream = TcpStream::connect(&here).unwrap();
        stream.write_all(banner).unwrap();
        let event = wait_for(&monitor, "HandshakeFailed", |event| {
            matches!(event, Event::HandshakeFailed { .. })
        });
        println!("{event:?}");
        let mut rest = Vec::new();
        let _reset_or_end = stream.read_to_end(&mut rest);
    }
    assert_eq!(pull.stats().peers.len(), 0);
}

#[test]
fn a_silent_stranger_meets_the_handshake_timeout() {
    let context = Context::new().unwrap();
    let options = Options::default().handshake_timeout(Duration::from_millis(100));
    let pull = Pull::with_options(&context, options).unwrap();
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let mut stream = TcpStream::connect(here).unwrap();
    let event = wait_for(&monitor, "HandshakeFailed", |event| {
        matches!(event, Event::HandshakeFailed { .. })
    });
    assert!(format!("{event:?}").contains("TimedOut"), "{event:?}");
    let mut greeting = Vec::new();
    stream.read_to_end(&mut greeting).unwrap();
    assert_eq!(greeting.len(), 64, "our greeting, and then the end");
}

#[test]
fn a_ping_is_answered_and_an_unknown_command_is_counted() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let mut stream = TcpStream::connect(here).unwrap();
    let mut bytes = greeting();
    bytes.extend(ready("PUSH"));
    bytes.extend(b"\x04\x05\x04WHAT");
    bytes.extend(b"\x04\x0A\x04PING\x00\x00abc");
    bytes.extend(b"\x00\x02hi");
    stream.write_all(&bytes).unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi");
    let mut said = vec![0; 64 + ready("PULL").len() + 10];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said[64..], [ready("PULL"), b"\x04\x08\x04PONGabc".to_vec()].concat());
    assert_eq!(pull.stats().ignored_commands, 1);
}

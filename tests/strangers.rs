//! What strangers send to a real socket: it costs little, and those who are welcome are served all the same.

mod common;

use common::{LONG, a_thousand, address, hello, ready_of_ours, resident, wait_for};
use peermq::{Context, Options, Pull, Push};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn threat_02_a_thousand_announced_gigabytes_cost_under_100_mib() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let before = resident();
    let _strangers = a_thousand(
        "PUSH",
        &here,
        &[&[2][..], &(1u64 << 30).to_be_bytes(), &[7]].concat(),
        &monitor,
    );
    let push = Push::new(&context);
    push.connect(format!("tcp://{here}")).unwrap();
    push.send("welcome").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "welcome");
    let cost = resident().saturating_sub(before);
    assert!(cost < 100 << 20, "{} MiB", cost >> 20);
}

#[test]
fn threat_07_strangers_of_other_protocols_are_told_to_the_monitor_and_to_nobody_else() {
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
        let event = wait_for!(monitor, HandshakeFailed);
        println!("{event:?}");
        let mut rest = Vec::new();
        let _reset_or_end = stream.read_to_end(&mut rest);
    }
    assert_eq!(pull.stats().peers.len(), 0);
}

#[test]
fn threat_05_a_silent_stranger_meets_the_handshake_timeout() {
    let context = Context::new().unwrap();
    let options = Options::default().handshake_timeout(Duration::from_millis(100));
    let pull = Pull::with_options(&context, options).unwrap();
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let mut stream = TcpStream::connect(here).unwrap();
    let event = wait_for!(monitor, HandshakeFailed);
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
    let mut bytes = hello("PUSH");
    bytes.extend(b"\x04\x05\x04WHAT");
    bytes.extend(b"\x04\x0A\x04PING\x00\x00abc");
    bytes.extend(b"\x00\x02hi");
    stream.write_all(&bytes).unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi");
    let mut said = vec![0; 64 + ready_of_ours("PULL").len() + 10];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(
        &said[64..],
        [ready_of_ours("PULL"), b"\x04\x08\x04PONGabc".to_vec()].concat()
    );
    assert_eq!(pull.stats().ignored_commands, 1);
}

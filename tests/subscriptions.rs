//! What a million subscriptions cost, at either end. Alone in its process, because it looks at the process's memory.

mod common;

use common::*;
use peermq::{Context, Pub, Sub};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const MILLION: u32 = 1_000_000;
const LIMIT: usize = 200 << 20;

#[test]
fn a_million_subscriptions_cost_under_200_mebibytes_at_either_end() {
    let context = Context::new().unwrap();

    // A raw peer, so that it costs this process nothing.
    let publisher = Pub::new(&context);
    let monitor = publisher.monitor();
    let here = publisher.bind("tcp://127.0.0.1:0").unwrap();
    let before = resident();
    let mut stream = TcpStream::connect(address(&here)).unwrap();
    stream.write_all(&hello("SUB")).unwrap();
    let mut bytes = Vec::new();
    for n in 0..MILLION {
        let topic = format!("stocks.{n:07}.price");
        bytes.extend_from_slice(&[4, 10 + topic.len() as u8, 9]);
        bytes.extend_from_slice(b"SUBSCRIBE");
        bytes.extend_from_slice(topic.as_bytes());
        if bytes.len() > 60_000 {
            stream.write_all(&bytes).unwrap();
            bytes.clear();
        }
    }
    stream.write_all(&bytes).unwrap();
    let last = format!("stocks.{:07}.price", MILLION - 1);
    publisher.wait_for_subscribers(&last, 1, LONG).unwrap();
    let of_pub = resident().saturating_sub(before);
    assert_eq!(publisher.topics(), MILLION as usize);

    // While those are there: memory that was free already would weigh nothing.
    let before = resident();
    let sub = Sub::new(&context);
    for n in 0..MILLION {
        sub.subscribe(format!("market.{n:07}.price")).unwrap();
    }
    let of_sub = resident().saturating_sub(before);
    assert_eq!(sub.subscriptions(), MILLION as usize);
    println!("a million subscriptions: {of_sub} bytes at the SUB, {of_pub} at the PUB");
    assert!(of_sub < LIMIT && of_pub < LIMIT, "{of_sub} {of_pub}");

    publisher.send("stocks.0000077.price: 12").unwrap();
    publisher.send("bonds.0000077.price: 12").unwrap();
    let mut greeting = [0; 64 + 2];
    stream.read_exact(&mut greeting).unwrap();
    let mut rest = vec![0; usize::from(greeting[65]) + 26];
    stream.read_exact(&mut rest).unwrap();
    assert!(
        rest.ends_with(b"\0\x18stocks.0000077.price: 12"),
        "{}",
        rest.escape_ascii()
    );
    drop(stream);
    wait_for!(monitor, Disconnected);
    let deadline = Instant::now() + LONG;
    while publisher.topics() > 0 {
        assert!(Instant::now() < deadline, "its subscriptions go with it");
        std::thread::yield_now();
    }
    publisher.send_timeout("nobody is left", Duration::ZERO).unwrap();
}

//! What a million subscriptions cost, at either end. Alone in its process, because it looks at the process's memory.

mod common;

use common::*;
use peermq::{Context, Options, Pub, Sub, XPub};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MILLION: u32 = 1_000_000;
const LIMIT: usize = 200 << 20;
/// One after the other: each looks at the memory of all.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn threat_16_a_million_subscriptions_cost_under_200_mebibytes_at_either_end() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let context = Context::new().unwrap();

    // A raw peer, so that it costs this process nothing.
    let options = Options::default().max_subscription_bytes(LIMIT);
    let publisher = Pub::with_options(&context, options).unwrap();
    let monitor = publisher.monitor();
    let here = publisher.bind("tcp://127.0.0.1:0").unwrap();
    let before = resident();
    let mut stream = TcpStream::connect(address(&here)).unwrap();
    stream.write_all(&hello("SUB")).unwrap();
    subscribe(&mut stream, 0..MILLION);
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

/// T17: a tree with a node for each byte would take hundreds of times as much.
#[test]
fn threat_17_topics_that_share_nothing_cost_less_than_three_times_their_bytes() {
    const TOPICS: usize = 1_000;
    const LEN: usize = 10_000;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut chance = Chance(17);
    let context = Context::new().unwrap();
    let publisher = Pub::new(&context);
    let mut stream = TcpStream::connect(address(&publisher.bind("tcp://127.0.0.1:0").unwrap())).unwrap();
    stream.write_all(&hello("SUB")).unwrap();
    let before = resident();

    for _ in 0..TOPICS {
        stream.write_all(&[6]).unwrap();
        stream.write_all(&(10 + LEN as u64).to_be_bytes()).unwrap();
        stream.write_all(b"\x09SUBSCRIBE").unwrap();
        let topic: Vec<u8> = (0..LEN).map(|_| chance.next() as u8).collect();
        stream.write_all(&topic).unwrap();
    }
    until("all have come", || publisher.topics() == TOPICS);

    let cost = resident().saturating_sub(before);
    println!("{} bytes of topics: {cost} bytes", TOPICS * LEN);
    assert!(cost < 3 * TOPICS * LEN, "{cost}");
}

/// What is told of each topic's end waits for the application, above the mark: it weighs what it says.
#[test]
fn the_end_of_a_peer_with_many_subscriptions_costs_an_xpub_little() {
    const MANY: u32 = 100_000;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let context = Context::new().unwrap();
    let publisher = XPub::new(&context);
    let mut stream = TcpStream::connect(address(&publisher.bind("tcp://127.0.0.1:0").unwrap())).unwrap();
    stream.write_all(&hello("SUB")).unwrap();
    for thousand in 0..MANY / 1_000 {
        subscribe(&mut stream, thousand * 1_000..(thousand + 1) * 1_000);
        (0..1_000).for_each(|_| drop(publisher.recv_timeout(LONG).unwrap()));
    }
    let before = resident();

    drop(stream);
    until("all is told", || publisher.stats().incoming.queued == u64::from(MANY));

    let more = resident().saturating_sub(before);
    println!("{MANY} ends: {more} bytes");
    assert!(more < 20 << 20, "{more}");
}

fn subscribe(stream: &mut TcpStream, which: Range<u32>) {
    let mut bytes = Vec::new();
    for n in which {
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
}

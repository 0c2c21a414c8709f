//! Connections that are cut at any byte, and read in pieces of any size.
//!
//! To who is bound each connection is a peer, and what the last one left is received in turn with what the next one brings:
//! no order is promised.

use crate::common::Chance;
use crate::peer::{LIMIT, with_peer};
use crate::shapes::window;
use crate::ways::{Place, they_bind, they_connect};
use peermq::*;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SIZE: usize = 5_000;
/// Messages sent at a time.
const PART: u32 = 200;
const CUTS: usize = 30;
const MOST_BYTES: u64 = 300_000;
/// More than are sent.
const END: u32 = 1 << 31;

/// Passes bytes on to an address and back, in pieces of any size, and cuts so many connections somewhere.
struct Relay {
    listener: TcpListener,
    to: String,
    seed: u64,
    /// Connections that it has taken.
    taken: AtomicUsize,
    /// Their ends.
    streams: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

impl Relay {
    fn new(to: &str) -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        println!("seed {seed}");
        Relay {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            to: to.trim_start_matches("tcp://").to_owned(),
            seed,
            taken: AtomicUsize::new(0),
            streams: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    fn endpoint(&self) -> String {
        format!("tcp://{}", self.listener.local_addr().unwrap())
    }

    fn run(&self) {
        std::thread::scope(|scope| {
            for (n, near) in self.listener.incoming().enumerate() {
                if self.is_over.load(Ordering::SeqCst) {
                    break;
                }
                let near = near.unwrap();
                let far = TcpStream::connect(&self.to).unwrap();
                let ends = [&near, &far].map(|stream| stream.try_clone().unwrap());
                self.streams.lock().unwrap().extend(ends);
                let mut chance = Chance(self.seed.wrapping_add(n as u64));
                let left = match n {
                    n if n < CUTS => 1 + chance.below(MOST_BYTES),
                    _ => u64::MAX,
                };
                self.taken.store(n + 1, Ordering::SeqCst);
                let ends = [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)];
                for (from, to) in ends {
                    let chance = Chance(chance.next());
                    scope.spawn(move || pass(from, to, left, chance));
                }
            }
        });
    }

    /// Whether all that is sent from now on passes undisturbed.
    fn is_done(&self) -> bool {
        self.taken.load(Ordering::SeqCst) > CUTS
    }
}

/// One way, until it has passed so many bytes, or its end: then the connection is over both ways.
fn pass(mut from: TcpStream, mut to: TcpStream, mut left: u64, mut chance: Chance) {
    let mut buffer = vec![0; 65_536];
    while left > 0 {
        let most = (1 + chance.below(buffer.len() as u64)).min(left) as usize;
        match from.read(&mut buffer[..most]) {
            Ok(n) if n > 0 && to.write_all(&buffer[..n]).is_ok() => left -= n as u64,
            _ => break,
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Ends the relay and all that it speaks for, also if the test fails.
struct End<'a>(&'a Relay);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.0.listener.local_addr().unwrap()));
        for stream in &*self.0.streams.lock().unwrap() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn what_they_send_comes_whole_and_once() {
    with_peer(|peer| {
        let context = Context::new().unwrap();
        let pull = Pull::new(&context);
        let here = pull.bind("tcp://127.0.0.1:0").unwrap();
        let relay = Relay::new(&here.to_string());
        std::thread::scope(|scope| {
            scope.spawn(|| relay.run());
            let _end = End(&relay);
            let name = they_connect(peer, "PUSH RECONNECT_IVL=1", relay.endpoint());
            let (mut end, mut is_last, mut seen) = (0, false, BTreeSet::new());
            while !is_last {
                is_last = relay.is_done();
                peer.tell(format_args!("count_up {name} {end} {} {SIZE}", end + PART));
                end += PART;
                // What is cut off does not come: only the last of the last part is sure to.
                while is_last && !seen.contains(&(end - 1)) || pull.stats().incoming.queued > 0 {
                    let message = pull.recv_timeout(LIMIT).unwrap();
                    let sizes: Vec<_> = message.frames().map(<[u8]>::len).collect();
                    assert_eq!(sizes, [4, SIZE]);
                    let number = u32::from_be_bytes(message.first().try_into().unwrap());
                    assert!(seen.insert(number), "{number} again");
                }
                peer.all_ok(1);
            }
            peer.ask(format_args!("close {name}"));
        });
        assert!(pull.stats().incoming.is_conserved());
    });
}

/// And what was cut in the middle of a message is sent again.
#[test]
fn what_we_send_comes_whole_and_once() {
    with_peer(|peer| {
        let context = Context::new().unwrap();
        let (name, there) = they_bind(peer, "PULL", &Place::new("tcp"));
        let relay = Relay::new(&there);
        let quick = Options::default().reconnect(Duration::from_millis(1), Duration::from_millis(5));
        let push = Push::with_options(&context, quick).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| relay.run());
            let _end = End(&relay);
            push.connect(&*relay.endpoint()).unwrap();
            peer.tell(format_args!("follow {name} {END} {SIZE}"));
            let send = |number: u32| push.send_timeout([&number.to_be_bytes()[..], window(SIZE)], LIMIT);
            for number in (0..).take_while(|_| !relay.is_done()) {
                send(number).unwrap();
            }
            send(END - 1).unwrap();
            peer.all_ok(1);
            push.close().unwrap();
        });
        let out = push.stats().out;
        assert!(out.is_conserved() && out.dropped.total() == 0, "{out:?}");
        peer.ask(format_args!("close {name}"));
    });
}

//! What RFC 47 and RFC 51 give to those who address their peers by number, SERVER and PEER, in the same words.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses its part")]

use crate::common::{LONG, endpoint, until, unused, wait_connected, wait_for};
use crate::raw::Raw;
use crate::types::{Node, Receives, Sends, join, number, numbered, quick, tight};
use peermq::{Context, DropReason, Message, NotSent, RoutingId};
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

/// Knows its peers by number.
pub trait Numbers: Node {
    /// The type of its peers, as one that is made of bytes says it.
    const THEIRS: &str;

    fn send_to(&self, to: &RoutingId, message: Message) -> Result<(), NotSent>;
    fn send_to_timeout(&self, to: &RoutingId, message: Message, limit: Duration) -> Result<(), NotSent>;
    fn recv_from(&self, limit: Duration) -> Option<(RoutingId, Message)>;
}

macro_rules! numbers {
    ($Type:ident, $theirs:literal) => {
        impl crate::numbers::Numbers for peermq::$Type {
            const THEIRS: &str = $theirs;

            fn send_to(&self, to: &peermq::RoutingId, message: peermq::Message) -> Result<(), peermq::NotSent> {
                peermq::$Type::send_to(self, to, message).map_err(|error| error.reason)
            }
            fn send_to_timeout(
                &self,
                to: &peermq::RoutingId,
                message: peermq::Message,
                limit: std::time::Duration,
            ) -> Result<(), peermq::NotSent> {
                peermq::$Type::send_to_timeout(self, to, message, limit).map_err(|error| error.reason)
            }
            fn recv_from(&self, limit: std::time::Duration) -> Option<(peermq::RoutingId, peermq::Message)> {
                peermq::$Type::recv_timeout(self, limit).ok()
            }
        }
    };
}

macro_rules! number_rules {
    ($module:ident, $Numbers:ty, $Far:ty) => {
        crate::rules::stamp_of!(
            numbers,
            $module,
            $Numbers,
            $Far,
            [
                messages_both_ways_go_as_they_are,
                the_two_queues_of_a_numbered_peer_are_independent,
                each_peer_that_comes_has_a_number_of_its_own,
                the_queue_of_a_numbered_peer_that_came_goes_with_it,
                peers_do_not_choose_their_numbers,
                numbered_peers_are_received_of_in_turn,
                several_frames_go_neither_way,
                a_full_peer_is_waited_for_or_an_error_and_nothing_is_discarded,
                who_is_not_there_is_an_error,
                a_call_is_a_message_from_any_thread,
            ]
        );
    };
}

pub(crate) use {number_rules, numbers};

const TRANSPORTS: [&str; 2] = ["tcp", "inproc"];

/// One that is known to the other by this number.
fn known<N: Numbers, F: Sends + Receives>(context: &Context, transport: &str, mark: usize) -> (N, F, RoutingId) {
    let (ours, far) = (
        N::make(context, tight().mark(mark)),
        F::make(context, tight().mark(mark)),
    );
    join(&far, &ours, &ours.bind(&endpoint(transport)).to_string());
    far.send("here I am");
    let (who, _) = ours.recv_from(LONG).unwrap();
    (ours, far, who)
}

fn large() -> Message {
    Message::from(vec![0; 1 << 20])
}

/// "SHALL not filter or modify outgoing or incoming messages in any way."
pub fn messages_both_ways_go_as_they_are<N: Numbers, F: Sends + Receives>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (ours, far, who) = known::<N, F>(&context, transport, 10);
        for size in [0, 1, 255, 256, 70_000] {
            let message = Message::from(vec![7; size]);
            ours.send_to(&who, message.clone()).unwrap();
            assert_eq!(far.recv(), message);
            far.send(message.clone());
            assert_eq!(ours.recv_from(LONG).unwrap(), (who, message));
        }
    }
}

/// "SHALL maintain a double queue for each connected peer, allowing outgoing and incoming messages to be queued
/// independently."
pub fn the_two_queues_of_a_numbered_peer_are_independent<N: Numbers, F: Sends + Receives>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (ours, far, who) = known::<N, F>(&context, transport, 4);
        let mut sent = 0;
        while ours.send_to_timeout(&who, large(), Duration::from_millis(50)).is_ok() {
            sent += 1;
        }
        for n in 0..20 {
            far.send(numbered(n));
            assert_eq!(ours.recv_from(LONG).unwrap(), (who, numbered(n)));
        }
        (0..sent).for_each(|_| assert_eq!(far.recv(), large()));
    }
}

/// "SHALL create a double queue when a peer connects to it", and "SHALL identify each double queue using a unique "routing
/// id", which is a non-zero 32-bit unsigned integer value": it comes with each message, and leads back.
pub fn each_peer_that_comes_has_a_number_of_its_own<N: Numbers, F: Sends + Receives>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let ours = N::make(&context, quick());
        let here = ours.bind(&endpoint(transport)).to_string();
        let peers: Vec<F> = (0..10).map(|_| F::make(&context, quick())).collect();
        for (n, peer) in (0..).zip(&peers) {
            join(peer, &ours, &here);
            peer.send(numbered(n));
        }
        let mut seen = BTreeSet::new();
        for _ in &peers {
            let (who, message) = ours.recv_from(LONG).unwrap();
            assert_ne!(who.get(), 0);
            ours.send_to(&who, message.clone()).unwrap();
            assert_eq!(peers[number(&message) as usize].recv(), message);
            seen.insert(who.get());
        }
        assert_eq!(seen.len(), 10);
    }
}

/// "If this peer disconnects, the SERVER socket SHALL destroy its double queue and SHALL discard any messages it contains."
/// What it had sent is received all the same.
pub fn the_queue_of_a_numbered_peer_that_came_goes_with_it<N: Numbers, F: Sends + Receives>() {
    let context = Context::new().unwrap();
    let ours = N::make(&context, tight().send_mark(8));
    let monitor = ours.monitor();
    let mut deaf = Raw::dial(&ours.bind("tcp://127.0.0.1:0")).greet(N::THEIRS);
    deaf.send(&[b"last"]);
    deaf.send(&[b"words"]);
    let (who, _) = ours.recv_from(LONG).unwrap();
    while ours.send_to_timeout(&who, large(), Duration::from_millis(50)).is_ok() {}
    assert!(ours.stats().out.queued > 0);

    drop(deaf);
    wait_for!(monitor, Disconnected);

    until("the peer's end", || ours.stats().peers.is_empty());
    let out = ours.stats().out;
    assert!(out.dropped.of(DropReason::PeerLost) > 0 && out.queued == 0, "{out:?}");
    assert_eq!(ours.recv_from(LONG).unwrap(), (who, "words".into()));
    assert_eq!(ours.send_to(&who, "hello?".into()), Err(NotSent::UnknownPeer));
    assert!(ours.stats().out.is_conserved() && ours.stats().incoming.is_conserved());
}

/// "SHALL NOT allow the peer to specify its routing id explicitly": what it says of itself changes nothing.
pub fn peers_do_not_choose_their_numbers<N: Numbers, F: Sends + Receives>() {
    let context = Context::new().unwrap();
    let ours = N::make(&context, quick());
    let here = ours.bind("tcp://127.0.0.1:0");
    let numbers: Vec<u32> = (0..5)
        .map(|_| {
            let mut peer = Raw::dial(&here);
            let theirs = N::THEIRS;
            let len = [theirs.len() as u8];
            let ready = [&b"\x0BSocket-Type\0\0\0"[..], &len, theirs.as_bytes()].concat();
            let name = b"\x08Identity\0\0\0\x04\x07\x07\x07\x07\x0ARouting-Id\0\0\0\x04\x07\x07\x07\x07";
            peer.say(&crate::common::hello(theirs)[..64]);
            peer.command("READY", &[&ready, &name[..]].concat());
            peer.send(&[b"hello"]);
            ours.recv_from(LONG).unwrap().0.get()
        })
        .collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 5);
    assert!(!numbers.contains(&0x0707_0707));
}

/// "SHALL receive incoming messages from its peers using a fair-queuing strategy."
pub fn numbered_peers_are_received_of_in_turn<N: Numbers, F: Sends + Receives>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let ours = N::make(&context, quick());
        let here = ours.bind(&endpoint(transport)).to_string();
        let peers: Vec<F> = (0..5).map(|_| F::make(&context, quick())).collect();
        for (n, peer) in (0..).zip(&peers) {
            join(peer, &ours, &here);
            (0..if n == 0 { 50 } else { 2 }).for_each(|_| peer.send(numbered(n)));
        }
        until("all", || ours.stats().incoming.queued == 58);
        for round in 0..2 {
            let turn = (0..5).map(|_| number(&ours.recv_from(LONG).unwrap().1));
            assert_eq!(turn.collect::<BTreeSet<_>>(), (0..5).collect(), "round {round}");
        }
    }
}

/// "MUST NOT send multi-part messages", and "MUST discard any part of a multipart message".
pub fn several_frames_go_neither_way<N: Numbers, F: Sends + Receives>() {
    let context = Context::new().unwrap();
    let ours = N::make(&context, quick());
    let mut peer = Raw::dial(&ours.bind("tcp://127.0.0.1:0")).greet(N::THEIRS);
    peer.send(&[b"a", b"b"]);
    peer.send(&[b"", b"", b""]);
    peer.send(&[b"one"]);
    let (who, message) = ours.recv_from(LONG).unwrap();
    assert_eq!(message, "one");
    let incoming = ours.stats().incoming;
    assert_eq!(
        (incoming.dropped.of(DropReason::Malformed), incoming.is_conserved()),
        (2, true)
    );

    let several = Message::from(["two", "frames"]);
    assert_eq!(ours.send_to(&who, several), Err(NotSent::SeveralFrames));
    ours.send_to(&who, "one".into()).unwrap();
    assert_eq!(peer.hear(5), b"\0\x03one");
}

/// "SHALL route the message to the outgoing queue if that queue exists, and is not full", "SHALL block on sending, if the queue
/// is full, unless otherwise configured", "SHALL NOT discard messages that it cannot queue." Which of the two is for each
/// call to say.
pub fn a_full_peer_is_waited_for_or_an_error_and_nothing_is_discarded<N: Numbers, F: Sends + Receives>() {
    let context = Context::new().unwrap();
    let (ours, far, who) = known::<N, F>(&context, "inproc", 1);
    // One in its queue, one in ours.
    (0..2).for_each(|n| ours.send_to(&who, numbered(n)).unwrap());
    assert_eq!(ours.send_to(&who, numbered(2)), Err(NotSent::PeerFull));
    let limit = Duration::from_millis(20);
    assert_eq!(ours.send_to_timeout(&who, numbered(2), limit), Err(NotSent::TimedOut));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ours.send_to_timeout(&who, numbered(2), LONG));
        (0..3).for_each(|n| assert_eq!(far.recv(), numbered(n)));
        waiting.join().unwrap().unwrap();
    });
    let out = ours.stats().out;
    assert_eq!((out.taken, out.dropped.total()), (3, 0));
}

/// "SHALL return an error if the queue does not exist."
pub fn who_is_not_there_is_an_error<N: Numbers, F: Sends + Receives>() {
    let context = Context::new().unwrap();
    let (ours, far, who) = known::<N, F>(&context, "tcp", 10);
    let stranger = N::make(&context, quick());
    assert_eq!(stranger.send_to(&who, "hello?".into()), Err(NotSent::UnknownPeer));
    far.close();
    until("its end", || ours.stats().peers.is_empty());
    assert_eq!(ours.send_to(&who, "hello?".into()), Err(NotSent::UnknownPeer));
    assert_eq!(
        ours.send_to_timeout(&who, "hello?".into(), LONG),
        Err(NotSent::UnknownPeer)
    );
    assert_eq!(ours.stats().out.taken, 0);
}

/// "In order for the API to be thread-safe sending and receiving messages MUST be atomic": a message and its number are one
/// call, from any thread.
pub fn a_call_is_a_message_from_any_thread<N: Numbers, F: Sends + Receives>() {
    const EACH: u32 = 500;
    let context = Context::new().unwrap();
    let ours = N::make(&context, quick());
    let here = ours.bind(&endpoint("tcp")).to_string();
    let peers: Vec<F> = (0..4).map(|_| F::make(&context, quick())).collect();
    peers.iter().for_each(|peer| join(peer, &ours, &here));
    thread::scope(|scope| {
        for (thread, peer) in (0..).zip(&peers) {
            scope.spawn(move || (0..EACH).for_each(|n| peer.send(numbered(thread * EACH + n))));
            scope.spawn(move || {
                let own = |_| number(&peer.recv()) / EACH == thread;
                assert!((0..EACH).all(own), "each gets its own back");
            });
            scope.spawn(|| {
                for _ in 0..EACH {
                    let (who, message) = ours.recv_from(LONG).unwrap();
                    ours.send_to_timeout(&who, message, LONG).unwrap();
                }
            });
        }
    });
}

//! Rules that several RFCs give to several socket types in the same words; each type's file stamps them for it.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses its part")]

#[path = "receiving.rs"]
mod receiving;

pub use receiving::*;

use crate::common::{LONG, address, endpoint, hello, until, unused, wait_connected, wait_for};
use crate::types::{Node, Receives, Sends, join, number, numbered, quick, tight};
use peermq::{Context, DropReason, Message, NotSent, Options};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

macro_rules! stamp {
    ($module:ident, $A:ty, $B:ty, [$($rule:ident),* $(,)?]) => {
        crate::rules::stamp_of!(rules, $module, $A, $B, [$($rule),*]);
    };
}

/// Rules of another file, each a test of this module.
macro_rules! stamp_of {
    ($rules:ident, $module:ident, $A:ty, $B:ty, [$($rule:ident),* $(,)?]) => {
        mod $module {
            $(#[test] fn $rule() { crate::$rules::$rule::<$A, $B>() })*
        }
    };
}

/// What a type keeps to that sends each message to one of its peers.
macro_rules! sender_rules {
    ($module:ident, $Sender:ty, $Receiver:ty) => {
        crate::rules::stamp!(
            $module,
            $Sender,
            $Receiver,
            [
                messages_go_as_they_are,
                each_peer_has_an_outgoing_queue,
                a_queue_is_there_from_connect_on_and_outlives_connections,
                a_peer_that_comes_has_a_queue,
                the_queue_of_a_peer_that_came_goes_with_it,
                a_full_peer_is_passed_over,
                messages_go_round,
                without_a_peer_sending_waits_or_says_so,
                at_the_mark_nothing_more_is_accepted,
                what_cannot_be_queued_is_not_discarded,
            ]
        );
    };
}

/// What a type keeps to that receives of all its peers.
macro_rules! receiver_rules {
    ($module:ident, $Receiver:ty, $Sender:ty) => {
        crate::rules::stamp!(
            $module,
            $Receiver,
            $Sender,
            [
                messages_come_as_they_are,
                each_peer_has_an_incoming_queue,
                an_incoming_queue_is_there_from_connect_on_and_outlives_connections,
                what_a_peer_that_came_had_sent_is_received_and_then_it_is_gone,
                peers_are_received_of_in_turn,
            ]
        );
    };
}

/// What a type keeps to that sends to its one peer, and receives of it.
macro_rules! single_peer_rules {
    ($module:ident, $One:ty, $Other:ty) => {
        crate::rules::stamp!(
            $module,
            $One,
            $Other,
            [
                messages_go_as_they_are,
                a_queue_is_there_from_connect_on_and_outlives_connections,
                a_peer_that_comes_has_a_queue,
                the_queue_of_a_peer_that_came_goes_with_it,
                without_a_peer_sending_waits_or_says_so,
                at_the_mark_nothing_more_is_accepted,
                what_cannot_be_queued_is_not_discarded,
                messages_come_as_they_are,
                the_two_queues_of_a_peer_are_independent,
            ]
        );
    };
}

pub(crate) use {receiver_rules, sender_rules, single_peer_rules, stamp, stamp_of};

const TRANSPORTS: [&str; 2] = ["tcp", "inproc"];

/// "SHALL not filter or modify outgoing messages in any way."
pub fn messages_go_as_they_are<S: Sends, R: Receives>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (sender, receiver) = (S::make(&context, quick()), R::make(&context, quick()));
        let here = receiver.bind(&endpoint(transport)).to_string();
        join(&sender, &receiver, &here);
        for size in [0, 1, 255, 256, 70_000] {
            let sent = Message::from(vec![7; size]);
            sender.send(sent.clone());
            assert_eq!(receiver.recv(), sent, "{size} bytes over {transport}");
            if S::SEVERAL_FRAMES && R::SEVERAL_FRAMES {
                let sent = Message::from([vec![], vec![9; size], vec![], vec![0xFF; 3]]);
                sender.send(sent.clone());
                assert_eq!(receiver.recv(), sent, "frames of {size} bytes over {transport}");
            }
        }
    }
}

/// "SHALL maintain an outgoing message queue for each connected peer."
pub fn each_peer_has_an_outgoing_queue<S: Sends, R: Receives>() {
    let context = Context::new().unwrap();
    let marks = || quick().mark(1);
    let sender = S::make(&context, marks());
    let receivers: Vec<R> = (0..2).map(|_| R::make(&context, marks())).collect();
    for receiver in &receivers {
        let here = receiver.bind(&endpoint("inproc")).to_string();
        join(&sender, receiver, &here);
    }

    let mut accepted = 0;
    while sender.try_send(numbered(accepted)).is_ok() {
        accepted += 1;
    }

    // One in its queue, one in the receiver's.
    assert_eq!(accepted, 4);
    for peer in sender.stats().peers {
        assert_eq!((peer.out.taken, peer.out.queued), (2, 1), "{peer:?}");
    }
    for receiver in &receivers {
        (0..2).for_each(|_| drop(receiver.recv()));
        assert!(receiver.has_nothing());
    }
}

/// "SHALL create this queue when initiating an outgoing connection to a peer, and SHALL maintain the queue whether or not
/// the connection is established."
pub fn a_queue_is_there_from_connect_on_and_outlives_connections<S: Sends, R: Receives>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let here = unused(transport);
        let sender = S::make(&context, quick());
        let monitor = sender.monitor();
        sender.connect(&here);
        for round in 0..2 {
            (0..3).for_each(|n| sender.try_send(numbered(3 * round + n)).unwrap());
            let peer = &sender.stats().peers[0];
            assert_eq!((peer.is_connected, peer.out.queued), (false, 3), "{peer:?}");

            let receiver = R::make(&context, quick());
            receiver.bind(&here);

            for n in 0..3 {
                assert_eq!(number(&receiver.recv()), 3 * round + n, "over {transport}");
            }
            receiver.close();
            wait_for!(monitor, Disconnected);
        }
        assert_eq!(sender.stats().peers.len(), 1, "one peer, over all its connections");
    }
}

/// "SHALL create this queue when a peer connects to it."
pub fn a_peer_that_comes_has_a_queue<S: Sends, R: Receives>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (sender, receiver) = (S::make(&context, quick()), R::make(&context, quick()));
        let here = sender.bind(&endpoint(transport)).to_string();
        assert!(sender.stats().peers.is_empty());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| sender.send("as soon as you are there"));
            receiver.connect(&here);
            waiting.join().unwrap();
        });
        assert_eq!(receiver.recv(), "as soon as you are there");
        let peers = sender.stats().peers;
        assert_eq!((peers.len(), peers[0].is_dialed, peers[0].out.taken), (1, false, 1));
    }
}

/// "If this peer disconnects, the PUSH socket SHALL destroy its queue and SHALL discard any messages it contains." (libzmq's
/// suite has the test destroy_queue_on_disconnect, and has switched it off.)
pub fn the_queue_of_a_peer_that_came_goes_with_it<S: Sends, R: Receives>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let sender = S::make(&context, tight().send_mark(8));
        let receiver = R::make(&context, tight().recv_mark(1).linger(Duration::ZERO));
        let monitor = sender.monitor();
        let here = sender.bind(&endpoint(transport)).to_string();
        join(&receiver, &sender, &here);
        // More than a kernel takes.
        let large = || Message::from(vec![0; 1 << 20]);
        while sender.send_timeout(large(), Duration::from_millis(50)).is_ok() {}
        assert!(sender.stats().out.queued > 0);

        receiver.close();
        wait_for!(monitor, Disconnected);

        until("the peer's end", || sender.stats().peers.is_empty());
        let out = sender.stats().out;
        // Over inproc the socket that closes takes them in, and drops them there.
        let (ours, theirs) = (out.dropped, receiver.stats().incoming.dropped);
        assert!(
            ours.of(DropReason::PeerLost) > 0 || theirs.of(DropReason::Closed) > 0,
            "{out:?}"
        );
        assert_eq!((out.queued, out.is_conserved()), (0, true), "{out:?}");
        assert_eq!(sender.try_send(large()), Err(NotSent::WouldBlock));
    }
}

/// "SHALL consider a peer as available only when it has a outgoing queue that is not full."
pub fn a_full_peer_is_passed_over<S: Sends, R: Receives>() {
    let context = Context::new().unwrap();
    let marks = || quick().mark(1);
    let sender = S::make(&context, marks());
    let (full, free) = (R::make(&context, marks()), R::make(&context, marks()));
    for receiver in [&full, &free] {
        let here = receiver.bind(&endpoint("inproc")).to_string();
        join(&sender, receiver, &here);
    }
    while sender.try_send(numbered(0)).is_ok() {}
    (0..2).for_each(|_| drop(free.recv()));

    for n in 1..=10 {
        sender.try_send(numbered(n)).unwrap();
        assert_eq!(number(&free.recv()), n);
    }

    assert_eq!([number(&full.recv()), number(&full.recv())], [0, 0]);
    assert!(full.has_nothing());
}

/// "SHALL route outgoing messages to available peers using a round-robin strategy."
pub fn messages_go_round<S: Sends, R: Receives>() {
    const PEERS: u32 = 5;
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let sender = S::make(&context, quick());
        let receivers: Vec<R> = (0..PEERS).map(|_| R::make(&context, quick())).collect();
        for receiver in &receivers {
            let here = receiver.bind(&endpoint(transport)).to_string();
            join(&sender, receiver, &here);
        }

        (0..2 * PEERS).for_each(|n| sender.send(numbered(n)));

        let mut firsts = BTreeSet::new();
        for receiver in &receivers {
            let (first, second) = (number(&receiver.recv()), number(&receiver.recv()));
            assert_eq!(second, first + PEERS, "each is served once in a turn");
            assert!(receiver.has_nothing());
            firsts.insert(first);
        }
        assert_eq!(firsts, (0..PEERS).collect());
    }
}

/// "SHALL block on sending, or return a suitable error, when it has no available peers."
pub fn without_a_peer_sending_waits_or_says_so<S: Sends, R: Receives>() {
    let context = Context::new().unwrap();
    let sender = S::make(&context, quick());
    let here = sender.bind(&endpoint("inproc")).to_string();
    let limit = Duration::from_millis(20);

    assert_eq!(sender.try_send("now".into()), Err(NotSent::WouldBlock));
    let begun = Instant::now();
    assert_eq!(sender.send_timeout("soon".into(), limit), Err(NotSent::TimedOut));

    assert!(begun.elapsed() >= limit);
    assert_eq!(sender.stats().out.taken, 0, "nothing was accepted");
    let receiver = R::make(&context, quick());
    receiver.connect(&here);
    sender.send("later");
    assert_eq!(receiver.recv(), "later");
}

/// "SHALL not accept further messages when it has no available peers."
pub fn at_the_mark_nothing_more_is_accepted<S: Sends, R: Receives>() {
    for mark in [1, 2, 7] {
        let context = Context::new().unwrap();
        let sender = S::make(&context, quick().mark(mark));
        let receiver = R::make(&context, quick().mark(mark));
        let here = receiver.bind(&endpoint("inproc")).to_string();
        join(&sender, &receiver, &here);

        (0..2 * mark).for_each(|_| sender.try_send("fits".into()).unwrap());

        for _ in 0..3 {
            assert_eq!(sender.try_send("too much".into()), Err(NotSent::WouldBlock));
        }
        assert_eq!(sender.stats().out.taken, 2 * mark as u64);
        (0..2 * mark).for_each(|_| assert_eq!(receiver.recv(), "fits"));
        assert!(receiver.has_nothing());
        sender.try_send("again".into()).unwrap();
    }
}

/// "SHALL NOT discard messages that it cannot queue."
pub fn what_cannot_be_queued_is_not_discarded<S: Sends, R: Receives>() {
    const COUNT: u32 = 2_000;
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let sender = S::make(&context, quick().mark(2));
        let receiver = R::make(&context, quick().mark(2));
        let here = receiver.bind(&endpoint(transport)).to_string();
        join(&sender, &receiver, &here);

        thread::scope(|scope| {
            scope.spawn(|| (0..COUNT).for_each(|n| sender.send(numbered(n))));
            (0..COUNT).for_each(|n| assert_eq!(number(&receiver.recv()), n));
        });

        let out = sender.stats().out;
        assert_eq!((out.taken, out.dropped.total()), (u64::from(COUNT), 0));
    }
}

/// "MUST be thread-safe and allow sending from multiple threads", "MUST be thread-safe and allow receiving from multiple
/// threads": each message is one call, and comes once.
pub fn many_threads_send_and_receive<S: Sends, R: Receives>() {
    const THREADS: u32 = 4;
    const EACH: u32 = 500;
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let sender = S::make(&context, quick().mark(7));
        let receiver = R::make(&context, quick().mark(7));
        join(&sender, &receiver, &receiver.bind(&endpoint(transport)).to_string());
        let came = Mutex::new(BTreeSet::new());
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (sender, receiver, came) = (&sender, &receiver, &came);
                scope.spawn(move || (0..EACH).for_each(|n| sender.send(numbered(thread * EACH + n))));
                scope.spawn(move || {
                    for _ in 0..EACH {
                        let n = number(&receiver.recv());
                        assert!(came.lock().unwrap().insert(n), "{n} came twice");
                    }
                });
            }
        });
        assert!(receiver.has_nothing());
        assert_eq!(came.into_inner().unwrap().len() as u32, THREADS * EACH);
    }
}

/// "MUST NOT send multi-part messages": they are given back, and nothing of them is accepted.
pub fn several_frames_are_not_sent<S: Sends, R: Receives>() {
    let context = Context::new().unwrap();
    let (sender, receiver) = (S::make(&context, quick()), R::make(&context, quick()));
    join(&sender, &receiver, &receiver.bind(&endpoint("inproc")).to_string());
    let several = || Message::from(["two", "frames"]);
    assert_eq!(sender.try_send(several()), Err(NotSent::SeveralFrames));
    assert_eq!(sender.send_timeout(several(), LONG), Err(NotSent::SeveralFrames));
    sender.send("one");
    assert_eq!(receiver.recv(), "one");
    assert_eq!(sender.stats().out.taken, 1);
}

/// "MUST discard any part of a multipart message": it is counted, and what follows it is received.
pub fn several_frames_are_discarded<R: Receives>(theirs: &str) {
    let context = Context::new().unwrap();
    let receiver = R::make(&context, quick());
    let here = receiver.bind("tcp://127.0.0.1:0");
    let mut stream = TcpStream::connect(address(&here)).unwrap();
    let several = b"\x01\x01a\x01\x01b\0\x01c\x01\0\0\0\0\x03one";
    stream.write_all(&[&hello(theirs), &several[..]].concat()).unwrap();
    assert_eq!(receiver.recv(), "one");
    assert!(receiver.has_nothing());
    let incoming = receiver.stats().incoming;
    assert_eq!((incoming.dropped.of(DropReason::Malformed), incoming.passed), (2, 1));
    assert!(incoming.is_conserved());
}

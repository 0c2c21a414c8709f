//! The rules of those who receive: see `rules.rs`.

use super::messages_go_as_they_are;
use crate::common::{endpoint, until, unused, wait_for};
use crate::types::{Receives, Sends, join, number, numbered, quick, tight};
use peermq::{Context, Message, NotSent};
use std::collections::BTreeSet;
use std::time::Duration;

const TRANSPORTS: [&str; 2] = ["tcp", "inproc"];

/// "SHALL not filter or modify incoming messages in any way."
pub fn messages_come_as_they_are<R: Receives, S: Sends>() {
    messages_go_as_they_are::<S, R>();
}

/// "SHALL maintain an incoming queue for each connected peer."
pub fn each_peer_has_an_incoming_queue<R: Receives, S: Sends>() {
    let context = Context::new().unwrap();
    let receiver = R::make(&context, quick().recv_mark(1));
    let here = receiver.bind(&endpoint("inproc")).to_string();
    let senders: Vec<S> = (0..3).map(|_| S::make(&context, quick().send_mark(1))).collect();
    for sender in &senders {
        join(sender, &receiver, &here);
    }

    // That one is full is nothing to the next.
    for sender in &senders {
        (0..2).for_each(|n| sender.try_send(numbered(n)).unwrap());
        assert_eq!(sender.try_send(numbered(2)), Err(NotSent::WouldBlock));
    }

    let peers = receiver.stats().peers;
    assert_eq!(peers.len(), 3);
    assert!(peers.iter().all(|peer| peer.incoming.queued == 1), "{peers:?}");
    (0..6).for_each(|_| drop(receiver.recv()));
    assert!(receiver.has_nothing());
}

/// "SHALL create this queue when initiating an outgoing connection to a peer, and SHALL maintain the queue whether or not
/// the connection is established."
pub fn an_incoming_queue_is_there_from_connect_on_and_outlives_connections<R: Receives, S: Sends>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let here = unused(transport);
        let receiver = R::make(&context, quick());
        let monitor = receiver.monitor();
        receiver.connect(&here);
        let peers = receiver.stats().peers;
        assert_eq!(
            (peers.len(), peers[0].is_connected, peers[0].is_dialed),
            (1, false, true)
        );

        for round in 0..2 {
            let sender = S::make(&context, quick());
            sender.bind(&here);
            (0..3).for_each(|n| sender.send(numbered(3 * round + n)));
            until("three more", || {
                receiver.stats().incoming.queued == u64::from(3 * round + 3)
            });
            sender.close();
            wait_for!(monitor, Disconnected);
        }

        let peers = receiver.stats().peers;
        assert_eq!((peers.len(), peers[0].incoming.queued, peers[0].reconnects), (1, 6, 1));
        (0..6).for_each(|n| assert_eq!(number(&receiver.recv()), n, "over {transport}"));
    }
}

/// "If this peer disconnects, the PULL socket SHALL destroy its queue and SHALL discard any messages it contains." Ours
/// delivers them first. (libzmq's suite has the test destroy_queue_on_disconnect, and has switched it off; libzmq delivers
/// them too.)
pub fn what_a_peer_that_came_had_sent_is_received_and_then_it_is_gone<R: Receives, S: Sends>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (receiver, sender) = (R::make(&context, quick()), S::make(&context, quick()));
        let monitor = receiver.monitor();
        let here = receiver.bind(&endpoint(transport)).to_string();
        join(&sender, &receiver, &here);
        (0..3).for_each(|n| sender.send(numbered(n)));
        until("all three", || receiver.stats().incoming.queued == 3);

        sender.close();
        wait_for!(monitor, Disconnected);

        (0..3).for_each(|n| assert_eq!(number(&receiver.recv()), n, "over {transport}"));
        until("the peer's end", || receiver.stats().peers.is_empty());
        assert!(receiver.has_nothing() && receiver.stats().incoming.is_conserved());
    }
}

/// "SHALL receive incoming messages from its peers using a fair-queuing strategy."
pub fn peers_are_received_of_in_turn<R: Receives, S: Sends>() {
    const PEERS: u32 = 5;
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let receiver = R::make(&context, quick());
        let here = receiver.bind(&endpoint(transport)).to_string();
        let senders: Vec<S> = (0..PEERS).map(|_| S::make(&context, quick())).collect();
        senders.iter().for_each(|sender| join(sender, &receiver, &here));
        (0..50).for_each(|_| senders[0].send(numbered(0)));
        for (n, sender) in (1..PEERS).zip(&senders[1..]) {
            (0..2).for_each(|_| sender.send(numbered(n)));
        }
        until("all", || {
            receiver.stats().incoming.queued == u64::from(50 + 2 * (PEERS - 1))
        });

        for round in 0..2 {
            let turn: BTreeSet<u32> = (0..PEERS).map(|_| number(&receiver.recv())).collect();
            assert_eq!(
                turn,
                (0..PEERS).collect(),
                "one of each in round {round} over {transport}"
            );
        }
    }
}

/// "SHALL maintain a double queue for each connected peer, allowing outgoing and incoming messages to be queued
/// independently."
pub fn the_two_queues_of_a_peer_are_independent<A: Sends + Receives, B: Sends + Receives>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (one, other) = (A::make(&context, tight().mark(4)), B::make(&context, tight().mark(4)));
        let here = one.bind(&endpoint(transport)).to_string();
        join(&other, &one, &here);
        // The way there is full, up to the other's mark and the kernel's.
        let large = || Message::from(vec![0; 1 << 20]);
        let mut sent = 0;
        while one.send_timeout(large(), Duration::from_millis(50)).is_ok() {
            sent += 1;
        }

        for n in 0..20 {
            other.send(numbered(n));
            assert_eq!(number(&one.recv()), n, "the way back is free over {transport}");
        }

        (0..sent).for_each(|_| assert_eq!(other.recv(), large()));
    }
}

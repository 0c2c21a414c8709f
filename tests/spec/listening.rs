//! The rules of those who listen: see `fan.rs`.

use super::{Listens, Publishes, large, number_of, pair, publications_are_not_modified};
use crate::common::{endpoint, until, unused, wait_for};
use crate::types::{join, numbered, quick};
use peermq::{Context, DropReason};
use std::collections::BTreeSet;

const TRANSPORTS: [&str; 2] = ["tcp", "inproc"];

/// "SHALL not modify incoming messages in any way."
pub fn what_is_heard_is_not_modified<L: Listens, P: Publishes>() {
    publications_are_not_modified::<P, L>();
}

/// "SHALL maintain a single incoming message queue for each connected publisher."
pub fn each_publisher_has_a_queue<L: Listens, P: Publishes>() {
    let context = Context::new().unwrap();
    let listener = L::make(&context, quick().recv_mark(1));
    let publishers = [(), (), ()].map(|()| {
        let publisher = P::make(&context, quick().send_mark(1));
        let here = publisher.bind(&endpoint("inproc")).to_string();
        join(&listener, &publisher, &here);
        publisher
    });
    listener.listen("t");

    for publisher in &publishers {
        (0..2).for_each(|n| publisher.publish("t", numbered(n)));
    }

    let peers = listener.stats().peers;
    assert_eq!(peers.len(), 3);
    assert!(peers.iter().all(|peer| peer.incoming.queued == 1), "{peers:?}");
    let mut heard: Vec<u32> = (0..6).map(|_| listener.hear_number()).collect();
    heard.sort();
    assert_eq!(heard, [0, 0, 0, 1, 1, 1]);
}

/// "SHALL create a queue when initiating an outgoing connection to a publisher, and SHALL maintain the queue whether or not
/// the connection is established."
pub fn the_queue_of_a_dialed_publisher_outlives_connections<L: Listens, P: Publishes>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let here = unused(transport);
        let listener = L::make(&context, quick());
        let monitor = listener.monitor();
        listener.connect(&here);
        let peers = listener.stats().peers;
        assert_eq!(
            (peers.len(), peers[0].is_dialed, peers[0].is_connected),
            (1, true, false)
        );
        for round in 0..2 {
            let publisher = P::make(&context, quick());
            publisher.bind(&here);
            wait_for!(monitor, Connected);
            listener.listen("t");
            publisher.wait("t", 1);
            (0..3).for_each(|n| publisher.publish("t", numbered(3 * round + n)));
            until("three more", || {
                listener.stats().incoming.queued == u64::from(3 * round + 3)
            });
            publisher.close();
            wait_for!(monitor, Disconnected);
        }
        let peers = listener.stats().peers;
        assert_eq!((peers.len(), peers[0].reconnects, peers[0].incoming.queued), (1, 1, 6));
        (0..6).for_each(|n| assert_eq!(listener.hear_number(), n, "over {transport}"));
    }
}

/// "If this publisher disconnects, the SUB socket SHALL destroy its queue and SHALL discard any messages it contains." Ours
/// delivers them first.
pub fn what_a_publisher_that_came_had_sent_is_received_and_then_it_is_gone<L: Listens, P: Publishes>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (listener, publisher) = (L::make(&context, quick()), P::make(&context, quick()));
        let monitor = listener.monitor();
        let here = listener.bind(&endpoint(transport)).to_string();
        join(&publisher, &listener, &here);
        listener.listen("t");
        (0..3).for_each(|n| publisher.publish("t", numbered(n)));
        until("all three", || listener.stats().incoming.queued == 3);

        publisher.close();
        wait_for!(monitor, Disconnected);

        (0..3).for_each(|n| assert_eq!(listener.hear_number(), n));
        until("the peer's end", || listener.stats().peers.is_empty());
        assert!(listener.hears_nothing() && listener.stats().incoming.is_conserved());
    }
}

/// "SHALL silently discard messages if the queue for a publisher is full." Ours stops reading, and the publisher, whose
/// queue is full then, drops and counts.
pub fn a_full_listener_discards_nothing_and_stops_reading<L: Listens, P: Publishes>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (publisher, listener) = pair::<P, L>(&context, transport, quick().send_mark(4), quick().recv_mark(2));
        let mut sent = 0;
        while publisher.stats().out.dropped.of(DropReason::SubscriberFull) == 0 {
            publisher.publish("t", large(sent));
            sent += 1;
        }
        assert!(listener.stats().incoming.queued <= 2);

        for n in 0..sent - 1 {
            assert_eq!(number_of(&listener.hear().1), n, "all that was not dropped there");
        }
        let incoming = listener.stats().incoming;
        assert_eq!((incoming.passed, incoming.dropped.total()), (u64::from(sent - 1), 0));
    }
}

/// "SHALL receive incoming messages from its publishers using a fair-queuing strategy."
pub fn publishers_are_received_of_in_turn<L: Listens, P: Publishes>() {
    const PEERS: u32 = 5;
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let listener = L::make(&context, quick());
        let here = listener.bind(&endpoint(transport)).to_string();
        let publishers: Vec<P> = (0..PEERS).map(|_| P::make(&context, quick())).collect();
        publishers
            .iter()
            .for_each(|publisher| join(publisher, &listener, &here));
        listener.listen("t");
        for (n, publisher) in (0..).zip(&publishers) {
            (0..if n == 0 { 50 } else { 2 }).for_each(|_| publisher.publish("t", numbered(n)));
        }
        until("all", || {
            listener.stats().incoming.queued == u64::from(50 + 2 * (PEERS - 1))
        });

        for round in 0..2 {
            let turn: BTreeSet<u32> = (0..PEERS).map(|_| listener.hear_number()).collect();
            assert_eq!(
                turn,
                (0..PEERS).collect(),
                "one of each in round {round} over {transport}"
            );
        }
    }
}

/// "SHALL deliver messages to its calling application."
pub fn what_is_wanted_is_delivered<L: Listens, P: Publishes>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (publisher, listener) = pair::<P, L>(&context, transport, quick(), quick());
        for n in 0..500 {
            publisher.publish(if n % 2 == 0 { "t" } else { "u" }, numbered(n));
        }
        (0..250).for_each(|n| assert_eq!(listener.hear_number(), 2 * n));
        assert!(listener.hears_nothing());
    }
}

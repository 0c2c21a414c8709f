//! PEER over real sockets: the same tests over every transport.

mod common;

use common::{LONG, endpoint, transport_suite, until, wait_connected, wait_for};
use peermq::{Context, DropReason, Message, NotSent, Options, Peer, RecvError, RoutingId};
use std::collections::BTreeSet;
use std::time::Duration;

fn options() -> Options {
    Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50))
}

fn peers_reach_each_other_by_number(transport: &str) {
    const PEERS: usize = 10;
    let context = Context::new().unwrap();
    let center = Peer::new(&context);
    let here = center.bind(endpoint(transport)).unwrap();
    let others: Vec<_> = (0..PEERS)
        .map(|n| {
            let peer = Peer::new(&context);
            let to = peer.connect(&here).unwrap();
            peer.send_to(&to, &[n as u8]).unwrap();
            (peer, to)
        })
        .collect();

    let mut numbers = BTreeSet::new();
    for _ in 0..PEERS {
        let (from, message) = center.recv_timeout(LONG).unwrap();
        numbers.insert(from);
        let stored: u32 = from.get();
        center.send_to(&RoutingId::new(stored).unwrap(), message).unwrap();
    }

    assert_eq!(numbers.len(), PEERS);
    for (n, (peer, to)) in others.iter().enumerate() {
        assert_eq!(peer.recv_timeout(LONG).unwrap(), (*to, Message::from(&[n as u8])));
    }
}

fn what_has_no_way_comes_back(transport: &str) {
    let context = Context::new().unwrap();
    let (one, other) = (
        Peer::with_options(&context, options().send_mark(1)).unwrap(),
        Peer::new(&context),
    );
    let nobody = RoutingId::new(7).unwrap();
    let given = one.send_to(&nobody, vec![1]).unwrap_err();
    assert_eq!(
        (given.reason, given.message.unwrap()),
        (NotSent::UnknownPeer, Message::from(&[1]))
    );
    let there = common::unused(transport);
    let number = one.connect(there.as_str()).unwrap();
    let several = one.send_to(&number, ["a", "b"]).unwrap_err();
    assert_eq!(several.reason, NotSent::SeveralFrames);
    assert_eq!(several.message.unwrap().frame_count(), 2);
    one.send_to(&number, "waits").unwrap();
    assert_eq!(one.send_to(&number, "x").unwrap_err().reason, NotSent::PeerFull);
    let late = one.send_to_timeout(&number, "x", Duration::from_millis(5)).unwrap_err();
    assert_eq!(late.reason, NotSent::TimedOut);
    assert_eq!(one.stats().out.taken, 1);

    other.bind(there.as_str()).unwrap();
    common::block_on(one.send_to_async(&number, "has room")).unwrap();
    assert_eq!(other.recv_timeout(LONG).unwrap().1, "waits");
    assert_eq!(common::block_on(other.recv_async()).unwrap().1, "has room");
    one.disconnect(there.as_str()).unwrap();
    until("its end", || {
        one.send_to(&number, "")
            .is_err_and(|error| error.reason == NotSent::UnknownPeer)
    });
}

fn a_number_outlives_the_connections_of_a_peer_that_was_connected_to(transport: &str) {
    let context = Context::new().unwrap();
    let first = Peer::new(&context);
    let here = first.bind(endpoint(transport)).unwrap();
    let peer = Peer::with_options(&context, options()).unwrap();
    let monitor = peer.monitor();
    let number = peer.connect(&here).unwrap();
    wait_connected(&monitor);
    first.close().unwrap();
    wait_for!(monitor, Disconnected);
    peer.send_to(&number, "for whoever is there").unwrap();

    let second = Peer::new(&context);
    second.bind(&here).unwrap();
    let (from, message) = second.recv_timeout(LONG).unwrap();
    assert_eq!(message, "for whoever is there");
    second.send_to(&from, "it is me").unwrap();
    assert_eq!(peer.recv_timeout(LONG).unwrap(), (number, Message::from("it is me")));
}

fn a_number_ends_with_the_connection_of_a_peer_that_came(transport: &str) {
    let context = Context::new().unwrap();
    let peer = Peer::new(&context);
    let monitor = peer.monitor();
    let here = peer.bind(endpoint(transport)).unwrap();
    let other = Peer::new(&context);
    let to = other.connect(&here).unwrap();
    other.send_to(&to, "one").unwrap();
    other.send_to(&to, "two").unwrap();
    let (number, message) = peer.recv_timeout(LONG).unwrap();
    assert_eq!(message, "one");
    until("two", || peer.stats().incoming.queued == 1);
    other.close().unwrap();
    wait_for!(monitor, Disconnected);

    until("its end", || peer.stats().peers.is_empty());
    assert_eq!(peer.send_to(&number, "x").unwrap_err().reason, NotSent::UnknownPeer);
    assert_eq!(peer.recv_timeout(LONG).unwrap(), (number, Message::from("two")));
    assert_eq!(peer.try_recv(), Err(RecvError::WouldBlock));
    let stats = peer.stats();
    assert!(stats.out.is_conserved() && stats.incoming.is_conserved());
    assert_eq!(stats.incoming.dropped.of(DropReason::Malformed), 0);
}

transport_suite!(
    peers_reach_each_other_by_number,
    what_has_no_way_comes_back,
    a_number_outlives_the_connections_of_a_peer_that_was_connected_to,
    a_number_ends_with_the_connection_of_a_peer_that_came,
);

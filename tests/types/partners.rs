//! Who is turned away, and who comes back.

use crate::common::{endpoint, wait_connected, wait_for};
use crate::every::{ALL, facts, open};
use crate::kind::Facts;
use crate::{Dials, assert_law, brief, introduce, join, meet, pass, ways};
use peermq::{Context, Event, Failure, Fault, Monitor, SocketType};
use std::time::Duration;

/// RFC 37: "A ZMTP implementation SHOULD" allow only those pairs; ours refuses the others, by ERROR.
pub(crate) fn strangers(transport: &str, it: Facts) {
    if it.socket_type == SocketType::Stream {
        return;
    }
    let context = Context::new().unwrap();
    let socket = open(it.socket_type, &context, brief()).unwrap();
    let here = socket.monitor();
    let bound = socket.bind(&endpoint(transport)).unwrap().to_string();
    let mut dialers = Vec::new();
    for &other in ALL {
        if other == SocketType::Stream || other.speaks_with(it.socket_type) {
            continue;
        }
        let ready_to_storm = brief().reconnect(Duration::from_millis(1), Duration::from_millis(1));
        let stranger = open(other, &context, ready_to_storm).unwrap();
        let there = stranger.monitor();
        stranger.connect(&bound).unwrap();
        let Event::GaveUp { failure, .. } = wait_for!(there, GaveUp) else {
            unreachable!()
        };
        assert_eq!(failure.fault(), Fault::Peer, "{other}: {failure}");
        dialers.push((other, stranger, there));
    }

    // One that fits comes last; until then each stranger has come once.
    let friend = open(it.partner, &context, brief()).unwrap();
    let its = friend.monitor();
    friend.connect(&bound).unwrap();
    wait_connected(&its);
    let mut refused = Vec::new();
    loop {
        match here.recv_timeout(crate::LONG).unwrap() {
            Event::HandshakeFailed { failure, .. } => refused.push(failure),
            Event::Connected { .. } => break,
            _ => {}
        }
    }
    let expected = dialers.iter().map(|(other, ..)| Failure::IncompatibleSocketType {
        ours: it.socket_type,
        theirs: other.to_string(),
    });
    let mut expected: Vec<_> = expected.map(|failure| failure.to_string()).collect();
    let mut refused: Vec<_> = refused.into_iter().map(|failure| failure.to_string()).collect();
    expected.sort();
    refused.sort();
    assert_eq!(refused, expected);
    for (other, stranger, there) in dialers {
        assert!(there.try_recv().is_err(), "{other} goes on");
        let stats = stranger.stats();
        assert!(stats.peers.iter().all(|peer| !peer.is_connected), "{stats:#?}");
        assert_law(&[stranger]);
    }
    assert_law(&[socket, friend]);
}

/// Nobody is there for a while; then there is somebody at the same place.
pub(crate) fn comes_back(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    let quick = || brief().reconnect(Duration::from_millis(1), Duration::from_millis(20));
    let socket = open(it.socket_type, &context, quick()).unwrap();
    let mut other = open(it.partner, &context, brief()).unwrap();
    let bound = join(&*socket, &*other, &endpoint(transport));
    for _ in 0..3 {
        let here = socket.monitor();
        other.close().unwrap();
        ended(&here);
        other = open(it.partner, &context, brief()).unwrap();
        let its = other.monitor();
        other.bind(&bound).unwrap();
        wait_connected(&its);
        wait_connected(&here);
        if socket.is_a_stream() {
            // That the old connection ended.
            socket.settle_in();
        }
        introduce(&*socket, &*other);
        let both = [it, facts(it.partner)];
        let pair = [&socket, &other];
        for [from, to] in ways(it) {
            pass(&**pair[from], &**pair[to], &both[from].message("again"));
        }
    }
    assert_law(&[socket, other]);
    // And from the other side.
    let sockets = meet(&context, transport, it, Dials::Other, [brief(), quick()]);
    let here = sockets[1].monitor();
    sockets[0].close().unwrap();
    ended(&here);
    assert_law(&sockets);
}

fn ended(monitor: &Monitor) {
    wait_for!(monitor, Disconnected);
}

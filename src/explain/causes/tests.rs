//! Each rule on what it looks at.

use super::super::{ConnectionState, Topics};
use super::*;
use crate::stats::{Flow, SocketStats};
use std::time::Duration;

fn facts() -> Facts {
    Facts {
        socket_type: SocketType::Push,
        life: Life::Open,
        endpoints: Some(vec![state(Doing::Listening, None)]),
        stats: SocketStats::default(),
        topics: None,
    }
}

fn state(doing: Doing, last_failure: Option<(Stage, Failure)>) -> EndpointState {
    EndpointState {
        endpoint: "tcp://127.0.0.1:5".parse().unwrap(),
        doing,
        attempts: 3,
        last_failure,
        connections: Vec::new(),
    }
}

fn dialing(doing: Doing, last_failure: Option<(Stage, Failure)>) -> Facts {
    Facts {
        endpoints: Some(vec![state(doing, last_failure)]),
        ..facts()
    }
}

fn with_peer(peer: PeerStats) -> Facts {
    let mut facts = facts();
    facts.stats.peers = vec![PeerStats {
        endpoint: String::from("tcp://10.0.0.1:7"),
        ..peer
    }];
    facts
}

fn said(facts: &Facts) -> Vec<String> {
    of(facts).iter().map(ToString::to_string).collect()
}

fn io() -> Failure {
    Failure::Io {
        kind: std::io::ErrorKind::ConnectionRefused,
        error: String::from("connection refused"),
    }
}

#[test]
fn a_closed_socket_says_so_and_what_it_dropped() {
    let mut facts = dialing(Doing::GaveUp, Some((Stage::Ready, io())));
    facts.life = Life::Closed;
    facts.stats.out.dropped.add(DropReason::Linger, 2);

    assert_eq!(
        said(&facts),
        ["the socket is closed", "2 outgoing messages were dropped as Linger"]
    );
}

#[test]
fn without_an_endpoint_there_is_nobody() {
    let mut facts = facts();
    facts.endpoints = Some(Vec::new());
    assert_eq!(said(&facts), ["the socket is neither bound nor connected to anything"]);
    facts.endpoints = None;
    assert!(of(&facts).is_empty(), "that is not known");
}

#[test]
fn a_dialer_says_how_far_it_comes() {
    let wait = || Doing::Waiting(Duration::from_secs(1));
    let http = Failure::NotZmtp { looks_like: "HTTP" };
    let mismatch = Failure::MechanismMismatch {
        ours: "CURVE",
        theirs: String::from("NULL"),
    };
    let refused = Failure::RefusedByPeer {
        reason: String::from("go away"),
    };
    for (doing, stage, failure, expected) in [
        (
            wait(),
            Stage::Connect,
            io(),
            "not reached in 3 attempts: connection refused",
        ),
        (
            wait(),
            Stage::Greeting,
            http,
            "somebody is there, but at greeting: the peer speaks HTTP, not ZMTP",
        ),
        (
            Doing::GaveUp,
            Stage::Greeting,
            mismatch,
            "gave up, and tries no more: we speak CURVE, the peer NULL",
        ),
        (
            Doing::GaveUp,
            Stage::Ready,
            refused,
            "gave up, and tries no more: the peer refused: go away",
        ),
        (
            wait(),
            Stage::Traffic,
            Failure::ClosedByPeer,
            "the connection is lost: the peer closed the connection",
        ),
    ] {
        let facts = dialing(doing, Some((stage, failure)));
        assert_eq!(said(&facts), [format!("tcp://127.0.0.1:5: {expected}")]);
    }
}

#[test]
fn a_dialer_without_a_failure_says_what_it_awaits() {
    let mut facts = dialing(Doing::Connecting, None);
    for (stage, expected) in [
        (Stage::Connect, "the address or its name has not answered yet"),
        (Stage::Ready, "connected, but the peer has not sent its READY yet"),
    ] {
        facts.endpoints.as_mut().unwrap()[0].connections = vec![ConnectionState {
            peer: String::new(),
            stage,
        }];
        assert_eq!(said(&facts), [format!("tcp://127.0.0.1:5: {expected}")]);
    }
    let facts = dialing(Doing::AwaitingBinder, None);
    assert_eq!(said(&facts), ["nobody in this context has bound tcp://127.0.0.1:5"]);
}

/// What failed before is over once a connection is ready.
#[test]
fn a_dialer_that_is_connected_has_no_cause() {
    let mut facts = dialing(Doing::Connecting, Some((Stage::Connect, io())));
    facts.endpoints.as_mut().unwrap()[0].connections = vec![ConnectionState {
        peer: String::new(),
        stage: Stage::Traffic,
    }];
    assert!(of(&facts).is_empty());
}

#[test]
fn a_listener_says_whether_somebody_came_who_is_no_peer() {
    assert_eq!(of(&facts()), [Cause::NobodyCame]);
    let tls = Failure::NotZmtp { looks_like: "TLS" };
    let facts = dialing(Doing::Listening, Some((Stage::Greeting, tls)));
    assert_eq!(
        said(&facts),
        ["tcp://127.0.0.1:5: somebody came, and is no peer: the peer speaks TLS, not ZMTP"]
    );

    let mut with_a_peer = facts;
    with_a_peer.stats.peers = vec![PeerStats {
        is_connected: true,
        ..PeerStats::default()
    }];
    assert!(of(&with_a_peer).is_empty(), "a stranger beside a peer is no cause");
}

#[test]
fn a_peer_that_was_disconnected_for_its_own_fault_is_no_stranger_and_has_come() {
    let slow = Some((Stage::Traffic, Failure::SlowSubscriber));
    let told = "tcp://127.0.0.1:5: a peer was disconnected for what it did: the subscriber reads too slowly";
    assert_eq!(said(&dialing(Doing::Listening, slow.clone())), [told]);
    // A dialer says it once.
    assert_eq!(
        said(&dialing(Doing::Connecting, slow)),
        ["tcp://127.0.0.1:5: the connection is lost: the subscriber reads too slowly"]
    );
    // What the network did may happen to anybody.
    assert!(said(&dialing(Doing::Listening, Some((Stage::Traffic, io())))).is_empty());
}

#[test]
fn subscriptions_are_looked_at_from_both_sides() {
    let mut facts = with_peer(PeerStats {
        is_connected: true,
        ..PeerStats::default()
    });
    facts.stats.peers.push(facts.stats.peers[0].clone());
    facts.socket_type = SocketType::Pub;
    facts.topics = Some(Topics::default());
    assert_eq!(
        said(&facts),
        ["no subscription: 2 peers are connected, and none has subscribed to anything"]
    );
    facts.topics = Some(Topics {
        count: 3,
        unmatched: Some(b"a.b".to_vec()),
    });
    assert_eq!(said(&facts), ["2 subscribers, none matches a.b"]);
    facts.socket_type = SocketType::Sub;
    assert!(of(&facts).is_empty());
    facts.topics = Some(Topics::default());
    assert_eq!(of(&facts), [Cause::NotSubscribed]);
}

#[test]
fn queues_say_who_does_not_keep_up() {
    let full = Flow {
        queued: 1_000,
        full_now: 1,
        ..Flow::default()
    };
    let up = PeerStats {
        is_connected: true,
        ..PeerStats::default()
    };
    let out = with_peer(PeerStats {
        out: full,
        ..up.clone()
    });
    let incoming = with_peer(PeerStats { incoming: full, ..up });
    let down = with_peer(PeerStats {
        out: full,
        is_dialed: true,
        ..PeerStats::default()
    });

    let one = |facts: &Facts| said(facts).join("; ");
    assert_eq!(
        one(&out),
        "tcp://10.0.0.1:7 does not read fast enough: 1000 messages wait for it, its mark is reached"
    );
    assert_eq!(
        one(&incoming),
        "1000 messages wait to be received here from tcp://10.0.0.1:7, the mark is reached"
    );
    assert_eq!(
        one(&down),
        "1000 messages wait for tcp://10.0.0.1:7, which is not connected"
    );
}

#[test]
fn a_thousand_peers_make_no_thousand_causes() {
    let mut facts = with_peer(PeerStats {
        out: Flow {
            queued: 1,
            ..Flow::default()
        },
        is_dialed: true,
        ..PeerStats::default()
    });
    facts.stats.peers = vec![facts.stats.peers[0].clone(); 1_000];
    assert_eq!(of(&facts).len(), TOLD);
}

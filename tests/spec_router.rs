//! RFC 28: DEALER and ROUTER.

mod common;
#[path = "spec/raw.rs"]
mod raw;
#[path = "spec/rules.rs"]
mod rules;
#[path = "spec/types.rs"]
mod types;

use common::{LONG, endpoint, until, unused, wait_for};
use peermq::{Context, Dealer, DropReason, Identity, Message, NotSent, Options, Router};
use raw::Raw;
use rules::{receiver_rules, sender_rules, stamp};
use std::collections::BTreeSet;
use std::time::Duration;
use types::{Node, Receives, join, node, numbered, quick, receives, sends, tight};

node!(Dealer);
sends!(Dealer);
receives!(Dealer);
node!(Router);
receives!(Router, |(_, message)| message);

const TRANSPORTS: [&str; 2] = ["tcp", "inproc"];

sender_rules!(dealer_out, peermq::Dealer, peermq::Dealer);
receiver_rules!(dealer_in, peermq::Dealer, peermq::Dealer);
stamp!(
    dealer_both,
    peermq::Dealer,
    peermq::Dealer,
    [the_two_queues_of_a_peer_are_independent]
);
receiver_rules!(router_in, peermq::Router, peermq::Dealer);

fn name(text: &str) -> Identity {
    Identity::new(text).unwrap()
}

fn named(text: &str) -> Options {
    quick().identity(name(text))
}

/// A ROUTER, and a DEALER that has come to it and is known by this name.
fn router_and_dealer(context: &Context, transport: &str, options: Options, theirs: Options) -> (Router, Dealer) {
    let router = Router::with_options(context, options).unwrap();
    let dealer = Dealer::with_options(context, theirs.identity(name("it"))).unwrap();
    let here = Node::bind(&router, &endpoint(transport)).to_string();
    join(&dealer, &router, &here);
    (router, dealer)
}

/// RFC 28: "SHALL maintain a double queue for each connected peer, allowing outgoing and incoming messages to be queued
/// independently."
#[test]
fn the_two_queues_of_a_routers_peer_are_independent() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let small = || tight().mark(4);
        let (router, dealer) = router_and_dealer(&context, transport, small(), small());
        let large = || vec![0; 1 << 20];
        let mut sent = 0;
        let limit = Duration::from_millis(50);
        while router.send_to_timeout(&name("it"), large(), limit).is_ok() {
            sent += 1;
        }
        for n in 0..20 {
            dealer.send(numbered(n)).unwrap();
            assert_eq!(router.recv_timeout(LONG).unwrap(), (name("it"), numbered(n)));
        }
        (0..sent).for_each(|_| assert_eq!(dealer.recv_timeout(LONG).unwrap(), large()));
    }
}

/// RFC 28: "SHALL create a double queue when initiating an outgoing connection to a peer, and SHALL maintain the double
/// queue whether or not the connection is established." It can be sent to once it has a name: given, or its own.
#[test]
fn a_routers_queue_outlives_connections() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let here = unused(transport);
        let router = Router::with_options(&context, quick()).unwrap();
        let monitor = router.monitor();
        router.connect_as(&here, &name("over there")).unwrap();
        for round in 0..2 {
            (0..3).for_each(|n| router.send_to(&name("over there"), numbered(3 * round + n)).unwrap());
            let peer = &router.stats().peers[0];
            assert_eq!((peer.is_connected, peer.out.queued), (false, 3), "{peer:?}");
            let dealer = Dealer::with_options(&context, quick()).unwrap();
            dealer.bind(&here).unwrap();
            (0..3).for_each(|n| assert_eq!(dealer.recv_timeout(LONG).unwrap(), numbered(3 * round + n)));
            dealer.close().unwrap();
            wait_for!(monitor, Disconnected);
        }
    }
}

/// RFC 28: "If this peer disconnects, the ROUTER socket SHALL destroy its double queue and SHALL discard any messages it
/// contains." (libzmq's suite has this test, and has switched it off.) What it had sent is received all the same: see `router_in`.
#[test]
fn destroy_queue_on_disconnect() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let theirs = tight().recv_mark(1).linger(Duration::ZERO);
        let (router, dealer) = router_and_dealer(&context, transport, tight().send_mark(8), theirs);
        let monitor = router.monitor();
        let to = || router.send_to_timeout(&name("it"), vec![0; 1 << 20], Duration::from_millis(50));
        while to().is_ok() {}
        assert!(router.stats().out.queued > 0);

        dealer.close().unwrap();
        wait_for!(monitor, Disconnected);

        until("the peer's end", || router.stats().peers.is_empty());
        let out = router.stats().out;
        let (ours, theirs) = (out.dropped, dealer.stats().incoming.dropped);
        // Over inproc the socket that closes takes them in, and drops them there.
        assert!(
            ours.of(DropReason::PeerLost) > 0 || theirs.of(DropReason::Closed) > 0,
            "{out:?}"
        );
        assert_eq!((out.queued, out.is_conserved()), (0, true), "{out:?}");
        assert_eq!(to().unwrap_err().reason, NotSent::UnknownPeer);
    }
}

/// RFC 28: "SHALL identify each double queue using a unique "identity" binary string", and "SHALL prefix each incoming
/// message with a frame containing the identity of the originating double queue": here it stands beside the message.
#[test]
fn each_peer_of_a_router_has_an_identity_of_its_own() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let router = Router::new(&context);
        let here = Node::bind(&router, &endpoint(transport)).to_string();
        let options = (0..10).map(|n| if n < 5 { named(&format!("client {n}")) } else { quick() });
        let dealers: Vec<_> = options
            .map(|options| Dealer::with_options(&context, options).unwrap())
            .collect();
        for (n, dealer) in (0..).zip(&dealers) {
            dealer.connect(&here).unwrap();
            dealer.send(["".into(), vec![n]]).unwrap();
        }

        let mut seen = BTreeSet::new();
        for _ in &dealers {
            let (identity, message) = router.recv_timeout(LONG).unwrap();
            assert_eq!(
                (message.frame_count(), message.first()),
                (2, &b""[..]),
                "with all its frames"
            );
            let n = message.frame(1).unwrap()[0];
            assert_eq!(n < 5, identity == name(&format!("client {n}")));
            assert_eq!(n >= 5, identity.is_made_up());
            // It leads back to whom it came from.
            router.send_to(&identity, [n].to_vec()).unwrap();
            assert_eq!(dealers[usize::from(n)].recv_timeout(LONG).unwrap(), [n]);
            seen.insert(identity);
        }
        assert_eq!(seen.len(), 10);
    }
}

/// RFC 28: "SHALL remove the first frame from each outgoing message and use this as the identity of a double queue": here
/// the identity stands beside the message, and no frame of it is removed, or added on the wire.
#[test]
fn an_address_is_not_sent_to_whom_it_leads() {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let mut peer = Raw::dial(&router.bind("tcp://127.0.0.1:0").unwrap()).greet("DEALER");
    peer.send(&[b"who am I?"]);
    let (me, message) = router.recv_timeout(LONG).unwrap();
    assert_eq!(message, "who am I?");
    router.send_to(&me, ["", "you"]).unwrap();
    assert_eq!(peer.hear(7), b"\x01\0\0\x03you");
}

/// RFC 28: "SHALL route the message to the outgoing queue if that queue exists, and has space", "SHALL either silently drop
/// the message, or return an error, depending on configuration, if the queue does not exist, or is full", and "SHALL NOT
/// block on sending."
#[test]
fn a_router_sends_drops_or_errs_and_never_waits() {
    for drops in [false, true] {
        let context = Context::new().unwrap();
        let options = quick().send_mark(1).drop_unroutable(drops);
        let (router, dealer) = router_and_dealer(&context, "inproc", options, quick().recv_mark(1));
        let to = |whom: &str| router.send_to(&name(whom), "hello").map_err(|error| error.reason);

        // One in its queue, one in ours.
        assert_eq!([to("it"), to("it")], [Ok(()), Ok(())]);
        let (full, unknown) = (to("it"), to("nobody"));

        let dropped = router.stats().out.dropped;
        if drops {
            assert_eq!((full, unknown, dropped.total()), (Ok(()), Ok(()), 2), "{dropped:?}");
        } else {
            let errors = (Err(NotSent::PeerFull), Err(NotSent::UnknownPeer), 0);
            assert_eq!((full, unknown, dropped.total()), errors, "{dropped:?}");
        }
        (0..2).for_each(|_| assert_eq!(dealer.recv_timeout(LONG).unwrap(), "hello"));
        assert!(dealer.has_nothing());
        assert_eq!(to("it"), Ok(()));
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), Message::from("hello"));
    }
}

//! RFC 31: PAIR.

mod common;
#[path = "spec/rules.rs"]
mod rules;
#[path = "spec/types.rs"]
mod types;

use common::{endpoint, wait_for};
use peermq::{Context, NotSent, Pair};
use rules::single_peer_rules;
use types::{Node, Receives, Sends, join, node, quick, receives, sends};

node!(Pair);
sends!(Pair);
receives!(Pair);

single_peer_rules!(pair, peermq::Pair, peermq::Pair);

/// RFC 31: "SHALL receive incoming messages from its single peer if it has one." A second one that comes is turned away,
/// and what it wanted to say stays with it.
#[test]
fn a_pair_receives_of_one_peer_only() {
    let context = Context::new().unwrap();
    let [one, other, third] = [(), (), ()].map(|()| Pair::make(&context, quick()));
    let here = Node::bind(&one, &endpoint("tcp")).to_string();
    join(&other, &one, &here);
    let turned_away = Node::monitor(&third);

    Node::connect(&third, &here);
    Sends::send(&third, "from the third");
    wait_for!(turned_away, HandshakeFailed);
    Sends::send(&other, "from the other");

    assert_eq!(Receives::recv(&one), "from the other");
    assert!(one.has_nothing());
    assert_eq!(Node::stats(&third).out.queued, 1);
    Node::close(&other);
    assert_eq!(Receives::recv(&one), "from the third");
}

/// RFC 31: "SHALL block on sending, or return a suitable error, when it has no available peer": also once its peer has
/// gone.
#[test]
fn a_pair_whose_peer_has_gone_accepts_nothing() {
    let context = Context::new().unwrap();
    let [one, other] = [(), ()].map(|()| Pair::make(&context, quick()));
    let monitor = Node::monitor(&one);
    let here = Node::bind(&one, &endpoint("tcp")).to_string();
    join(&other, &one, &here);
    Node::close(&other);
    wait_for!(monitor, Disconnected);
    assert_eq!(Sends::try_send(&one, "x".into()), Err(NotSent::WouldBlock));
}

//! RFC 49 and 52: SCATTER, GATHER and CHANNEL.

mod common;
#[path = "spec/rules.rs"]
mod rules;
#[path = "spec/types.rs"]
mod types;

use common::{endpoint, wait_for};
use peermq::{Channel, Context, Gather, NotSent, Scatter};
use rules::{receiver_rules, sender_rules, several_frames_are_discarded, single_peer_rules, stamp};
use types::{Node, Receives, Sends, assert_has_no, join, node, quick, receives, sends};

node!(Scatter, false);
node!(Gather, false);
node!(Channel, false);
sends!(Scatter);
receives!(Gather);
sends!(Channel);
receives!(Channel);

sender_rules!(scatter, peermq::Scatter, peermq::Gather);
receiver_rules!(gather, peermq::Gather, peermq::Scatter);
single_peer_rules!(channel, peermq::Channel, peermq::Channel);
stamp!(
    scatter_family,
    peermq::Scatter,
    peermq::Gather,
    [many_threads_send_and_receive, several_frames_are_not_sent]
);
stamp!(
    channel_family,
    peermq::Channel,
    peermq::Channel,
    [many_threads_send_and_receive, several_frames_are_not_sent]
);

/// RFC 49: SCATTER "SHALL only send messages", GATHER "SHALL only receive messages".
#[test]
fn scatter_only_sends_and_gather_only_receives() {
    let context = Context::new().unwrap();
    assert_has_no!(Scatter::new(&context), recv);
    assert_has_no!(Scatter::new(&context), try_recv);
    assert_has_no!(Gather::new(&context), send);
    assert_has_no!(Gather::new(&context), try_send);
}

/// RFC 49: "MUST discard any part of a multipart message".
#[test]
fn a_gather_discards_several_frames() {
    several_frames_are_discarded::<Gather>("SCATTER");
}

/// RFC 52: "MUST discard any part of a multipart message".
#[test]
fn a_channel_discards_several_frames() {
    several_frames_are_discarded::<Channel>("CHANNEL");
}

/// RFC 52: "SHALL receive incoming messages from its single peer if it has one." A second one that comes is turned away.
#[test]
fn a_channel_receives_of_one_peer_only() {
    let context = Context::new().unwrap();
    let [one, other, third] = [(), (), ()].map(|()| Channel::make(&context, quick()));
    let here = Node::bind(&one, &endpoint("tcp")).to_string();
    join(&other, &one, &here);
    let turned_away = Node::monitor(&third);
    Node::connect(&third, &here);
    Sends::send(&third, "from the third");
    wait_for!(turned_away, HandshakeFailed);
    Sends::send(&other, "from the other");
    assert_eq!(Receives::recv(&one), "from the other");
    assert!(one.has_nothing());
    Node::close(&other);
    assert_eq!(Receives::recv(&one), "from the third");
}

/// RFC 52: "SHALL not accept further messages when it has no available peer."
#[test]
fn a_channel_whose_peer_has_gone_accepts_nothing() {
    let context = Context::new().unwrap();
    let [one, other] = [(), ()].map(|()| Channel::make(&context, quick()));
    let monitor = Node::monitor(&one);
    let here = Node::bind(&one, &endpoint("tcp")).to_string();
    join(&other, &one, &here);
    Node::close(&other);
    wait_for!(monitor, Disconnected);
    assert_eq!(Sends::try_send(&one, "x".into()), Err(NotSent::WouldBlock));
}

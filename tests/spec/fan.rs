//! What RFC 29 and RFC 48 give to those who publish and those who listen in the same words; each type's file stamps it.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses its part")]

#[path = "listening.rs"]
mod listening;

pub use listening::*;

use crate::common::{LONG, endpoint, until, unused, wait_connected, wait_for};
use crate::raw::Raw;
use crate::types::{Node, join, number, numbered, quick, tight};
use peermq::{Context, DropReason, Message, Options};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

/// Sends to all who want it, by topic or group.
pub trait Publishes: Node {
    /// The type of who listens, as a peer made of bytes says it.
    const LISTENER: &str;

    fn publish(&self, topic: &str, body: Message);
    /// Waits until so many listen.
    fn wait(&self, topic: &str, listeners: usize);
}

/// Receives what it wants.
pub trait Listens: Node {
    /// Wants it, and knows that those who publish know.
    fn listen(&self, topic: &str);
    /// The next topic and body.
    fn hear_within(&self, limit: Duration) -> Option<(Vec<u8>, Message)>;

    fn hear(&self) -> (Vec<u8>, Message) {
        self.hear_within(LONG).unwrap()
    }

    fn hear_number(&self) -> u32 {
        number(&self.hear().1)
    }

    fn hears_nothing(&self) -> bool {
        self.hear_within(Duration::ZERO).is_none()
    }
}

/// What came, as topic and body: the first frame, and the rest.
pub fn split(message: Message) -> (Vec<u8>, Message) {
    let frames: Vec<Vec<u8>> = (1..message.frame_count())
        .map(|n| message.frame(n).unwrap().to_vec())
        .collect();
    let body = Message::from_frames(frames).unwrap_or_else(|_| Message::from(""));
    (message.first().to_vec(), body)
}

/// The topic and the body as one message: the topic is its first frame.
pub fn joined(topic: &str, body: &Message) -> Message {
    let body = (0..body.frame_count()).map(|n| body.frame(n).unwrap().to_vec());
    Message::from_frames([topic.as_bytes().to_vec()].into_iter().chain(body)).unwrap()
}

macro_rules! publisher_rules {
    ($module:ident, $Publisher:ty, $Listener:ty) => {
        crate::rules::stamp_of!(
            fan,
            $module,
            $Publisher,
            $Listener,
            [
                each_listener_has_a_queue,
                the_queue_of_a_dialed_listener_outlives_connections,
                a_listener_that_comes_has_a_queue,
                the_queue_of_a_listener_that_came_goes_with_it,
                publications_are_not_modified,
                what_a_full_listener_has_no_room_for_is_dropped_and_counted,
                publishing_does_not_wait,
            ]
        );
    };
}

macro_rules! listener_rules {
    ($module:ident, $Listener:ty, $Publisher:ty) => {
        crate::rules::stamp_of!(
            fan,
            $module,
            $Listener,
            $Publisher,
            [
                each_publisher_has_a_queue,
                the_queue_of_a_dialed_publisher_outlives_connections,
                what_a_publisher_that_came_had_sent_is_received_and_then_it_is_gone,
                a_full_listener_discards_nothing_and_stops_reading,
                publishers_are_received_of_in_turn,
                what_is_heard_is_not_modified,
                what_is_wanted_is_delivered,
            ]
        );
    };
}

pub(crate) use {listener_rules, publisher_rules};

const TRANSPORTS: [&str; 2] = ["tcp", "inproc"];

/// A listener that came to a publisher, and listens to "t".
fn pair<P: Publishes, L: Listens>(context: &Context, transport: &str, ours: Options, theirs: Options) -> (P, L) {
    let (publisher, listener) = (P::make(context, ours), L::make(context, theirs));
    let here = publisher.bind(&endpoint(transport)).to_string();
    join(&listener, &publisher, &here);
    listener.listen("t");
    (publisher, listener)
}

fn large(number: u32) -> Message {
    Message::from([&b"#"[..], &number.to_be_bytes(), &vec![0; 1 << 20]].concat())
}

fn number_of(large: &Message) -> u32 {
    u32::from_be_bytes(large.first()[1..5].try_into().unwrap())
}

/// "SHALL maintain a single outgoing message queue for each connected subscriber."
pub fn each_listener_has_a_queue<P: Publishes, L: Listens>() {
    let context = Context::new().unwrap();
    let publisher = P::make(&context, quick().send_mark(1));
    let here = publisher.bind(&endpoint("inproc")).to_string();
    let [slow, keen] = [(), ()].map(|()| {
        let listener = L::make(&context, quick().recv_mark(1));
        join(&listener, &publisher, &here);
        listener.listen("t");
        listener
    });

    for n in 0..10 {
        publisher.publish("t", numbered(n));
        assert_eq!(keen.hear_number(), n, "that the other is full is nothing to it");
    }

    let mut queued: Vec<u64> = publisher.stats().peers.iter().map(|peer| peer.out.queued).collect();
    queued.sort();
    assert_eq!(queued, [0, 1]);
    assert_eq!([slow.hear_number(), slow.hear_number()], [0, 1]);
}

/// "SHALL create a queue when initiating an outgoing connection to a subscriber, and SHALL maintain the queue whether or not
/// the connection is established."
pub fn the_queue_of_a_dialed_listener_outlives_connections<P: Publishes, L: Listens>() {
    let context = Context::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = format!("tcp://{}", listener.local_addr().unwrap());
    let publisher = P::make(&context, tight().send_mark(8));
    let monitor = publisher.monitor();
    publisher.connect(&here);
    let peers = publisher.stats().peers;
    assert_eq!(
        (peers.len(), peers[0].is_dialed, peers[0].is_connected),
        (1, true, false)
    );

    let mut deaf = Raw::accept(&listener).greet(P::LISTENER);
    drop(listener);
    let sent = fill(&publisher, &mut deaf);
    drop(deaf);
    wait_for!(monitor, Disconnected);
    let out = publisher.stats().out;
    assert!(out.queued > 0 && out.is_conserved(), "{out:?}");

    let second = L::make(&context, quick());
    second.bind(&here);
    second.listen("t");

    // The last one was dropped.
    for n in sent - 1 - out.queued as u32..sent - 1 {
        assert_eq!(number_of(&second.hear().1), n, "what waited, in order");
    }
    assert_eq!(publisher.stats().peers.len(), 1, "one peer, over all its connections");
}

/// Publishes to who does not read, until something is dropped; gives how much.
fn fill<P: Publishes>(publisher: &P, deaf: &mut Raw) -> u32 {
    deaf.command(if P::LISTENER == "DISH" { "JOIN" } else { "SUBSCRIBE" }, b"t");
    publisher.wait("t", 1);
    let mut sent = 0;
    while publisher.stats().out.dropped.of(DropReason::SubscriberFull) == 0 {
        publisher.publish("t", large(sent));
        sent += 1;
    }
    sent
}

/// "SHALL create a queue when a subscriber connects to it."
pub fn a_listener_that_comes_has_a_queue<P: Publishes, L: Listens>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let publisher = P::make(&context, quick());
        assert!(publisher.stats().peers.is_empty());
        publisher.publish("t", numbered(0));
        let here = publisher.bind(&endpoint(transport)).to_string();
        let listener = L::make(&context, quick());
        join(&listener, &publisher, &here);
        listener.listen("t");

        publisher.publish("t", numbered(1));

        assert_eq!(listener.hear_number(), 1);
        let peers = publisher.stats().peers;
        assert_eq!((peers.len(), peers[0].is_dialed, peers[0].out.taken), (1, false, 1));
    }
}

/// "If this subscriber disconnects, the PUB socket SHALL destroy its queue and SHALL discard any messages it contains."
pub fn the_queue_of_a_listener_that_came_goes_with_it<P: Publishes, L: Listens>() {
    let context = Context::new().unwrap();
    let publisher = P::make(&context, tight().send_mark(8));
    let monitor = publisher.monitor();
    let mut deaf = Raw::dial(&publisher.bind(&endpoint("tcp"))).greet(P::LISTENER);
    fill(&publisher, &mut deaf);
    assert!(publisher.stats().out.queued > 0);

    drop(deaf);
    wait_for!(monitor, Disconnected);

    until("the peer's end", || publisher.stats().peers.is_empty());
    let out = publisher.stats().out;
    assert_eq!((out.queued, out.is_conserved()), (0, true), "{out:?}");
    assert!(out.dropped.of(DropReason::PeerLost) > 0, "{out:?}");
}

/// "SHALL not modify outgoing messages in any way."
pub fn publications_are_not_modified<P: Publishes, L: Listens>() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let (publisher, listener) = pair::<P, L>(&context, transport, quick(), quick());
        for size in [0, 1, 255, 256, 70_000] {
            let mut bodies = vec![Message::from(vec![7; size])];
            if P::SEVERAL_FRAMES {
                bodies.push(Message::from([vec![], vec![9; size], vec![], vec![0xFF; 3]]));
            }
            for body in bodies {
                publisher.publish("t", body.clone());
                assert_eq!(listener.hear(), (b"t".to_vec(), body), "{size} bytes over {transport}");
            }
        }
    }
}

/// "SHALL silently drop the message if the queue for a subscriber is full."
pub fn what_a_full_listener_has_no_room_for_is_dropped_and_counted<P: Publishes, L: Listens>() {
    for mark in [1, 2, 7] {
        let context = Context::new().unwrap();
        let (publisher, listener) = pair::<P, L>(&context, "inproc", quick().send_mark(mark), quick().recv_mark(mark));
        let fits = 2 * mark as u32;

        (0..fits + 5).for_each(|n| publisher.publish("t", numbered(n)));

        let out = publisher.stats().out;
        assert_eq!(
            (out.dropped.of(DropReason::SubscriberFull), out.dropped.total()),
            (5, 5)
        );
        assert!(out.is_conserved());
        (0..fits).for_each(|n| assert_eq!(listener.hear_number(), n));
        assert!(listener.hears_nothing());
        publisher.publish("t", numbered(99));
        assert_eq!(listener.hear_number(), 99, "there is room again");
    }
}

/// "SHALL NOT block on sending": not for who does not read, and not for want of anybody.
pub fn publishing_does_not_wait<P: Publishes, L: Listens>() {
    let context = Context::new().unwrap();
    let publisher = P::make(&context, quick().send_mark(1));
    (0..10).for_each(|n| publisher.publish("t", numbered(n)));
    assert_eq!(publisher.stats().out.dropped.of(DropReason::NoSubscriber), 10);
    let here = publisher.bind(&endpoint("tcp"));
    let mut deaf = Raw::dial(&here).greet(P::LISTENER);
    let sent = fill(&publisher, &mut deaf);
    (sent..sent + 10).for_each(|n| publisher.publish("t", large(n)));
    assert!(publisher.stats().out.dropped.of(DropReason::SubscriberFull) > 0);
}

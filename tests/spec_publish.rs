//! RFC 29: PUB, XPUB, SUB and XSUB.

mod common;
#[path = "spec/fan.rs"]
mod fan;
#[path = "spec/raw.rs"]
mod raw;
#[path = "spec/rules.rs"]
mod rules;
#[path = "spec/types.rs"]
mod types;

use common::{LONG, endpoint, until, wait_for};
use fan::{Listens, Publishes, joined, listener_rules, publisher_rules, split};
use peermq::{Context, DropReason, Message, Pub, Sub, Upstream, XPub, XSub};
use raw::{COMMAND, Raw};
use rules::stamp;
use std::time::Duration;
use types::{Node, assert_has_no, join, node, numbered, quick, receives, sends, tight};

node!(Pub);
node!(XPub);
node!(Sub);
node!(XSub);
sends!(XSub);
receives!(XPub, Upstream::into_message);

macro_rules! publishes {
    ($Type:ident) => {
        impl Publishes for $Type {
            const LISTENER: &str = "SUB";

            fn publish(&self, topic: &str, body: Message) {
                self.send(joined(topic, &body)).unwrap();
            }
            fn wait(&self, topic: &str, listeners: usize) {
                self.wait_for_subscribers(topic, listeners, LONG).unwrap();
            }
        }
    };
}

macro_rules! listens {
    ($Type:ident) => {
        impl Listens for $Type {
            fn listen(&self, topic: &str) {
                self.subscribe_confirmed(topic, LONG).unwrap();
            }
            fn hear_within(&self, limit: Duration) -> Option<(Vec<u8>, Message)> {
                self.recv_timeout(limit).ok().map(split)
            }
        }
    };
}

publishes!(Pub);
publishes!(XPub);
listens!(Sub);
listens!(XSub);

publisher_rules!(publisher, peermq::Pub, peermq::Sub);
publisher_rules!(xpublisher, peermq::XPub, peermq::XSub);
listener_rules!(subscriber, peermq::Sub, peermq::Pub);
listener_rules!(xsubscriber, peermq::XSub, peermq::XPub);
stamp!(
    upstream,
    peermq::XPub,
    peermq::XSub,
    [messages_come_as_they_are, peers_are_received_of_in_turn]
);

/// RFC 29: PUB "SHALL only send messages", and "SHALL NOT deliver these commands to its calling application"; SUB "SHALL
/// only receive messages".
#[test]
fn pub_only_sends_and_sub_only_receives() {
    let context = Context::new().unwrap();
    assert_has_no!(Pub::new(&context), recv);
    assert_has_no!(Pub::new(&context), try_recv);
    assert_has_no!(Sub::new(&context), send);
    assert_has_no!(Sub::new(&context), try_send);
}

/// RFC 29: a PUB "SHALL silently discard any messages that subscribers send it."
#[test]
fn what_subscribers_send_to_a_pub_is_discarded() {
    let context = Context::new().unwrap();
    let publisher = Pub::new(&context);
    let mut sub = Raw::dial(&publisher.bind("tcp://127.0.0.1:0").unwrap()).greet("XSUB");
    sub.send(&[b"hello?"]);
    sub.send(&[b"\x01not", b"a subscription"]);
    sub.command("SUBSCRIBE", b"t");
    publisher.wait("t", 1);
    let incoming = publisher.stats().incoming;
    assert_eq!(
        (incoming.dropped.of(DropReason::WrongDirection), incoming.is_conserved()),
        (2, true)
    );
    publisher.send("t is served all the same").unwrap();
    assert_eq!(sub.message(), [b"t is served all the same"]);
}

/// RFC 29: "SHALL perform a binary comparison of the subscription against the start of the first frame of the message."
fn subscriptions_are_compared_byte_by_byte<P: Publishes>(publisher: &P, send: impl Fn(Message)) {
    let mut sub = Raw::dial(&Node::bind(publisher, "tcp://127.0.0.1:0")).greet("SUB");
    for topic in [&b"\0\xFF"[..], b"A", b"caf\xC3"] {
        sub.command("SUBSCRIBE", topic);
    }
    sub.command("PING", b"\0\0");
    assert_eq!(sub.frame(), (COMMAND, b"\x04PONG".to_vec()));
    let wanted: [&[u8]; 5] = [b"\0\xFF", b"\0\xFF\0", b"A", b"ABC", b"caf\xC3\xA9"];
    let unwanted: [&[u8]; 6] = [b"", b"\0", b"\0\xFE", b"a", b" A", b"caf"];
    for (n, first) in unwanted.iter().chain(&wanted).enumerate() {
        send(Message::from([first.to_vec(), vec![n as u8]]));
        send(Message::from([
            b"only its second frame begins so".to_vec(),
            first.to_vec(),
        ]));
    }
    for (n, first) in (unwanted.len()..).zip(wanted) {
        assert_eq!(sub.message(), [first.to_vec(), vec![n as u8]]);
    }
}

#[test]
fn a_pub_compares_subscriptions_byte_by_byte() {
    let context = Context::new().unwrap();
    let publisher = Pub::new(&context);
    subscriptions_are_compared_byte_by_byte(&publisher, |message| publisher.send(message).unwrap());
}

#[test]
fn an_xpub_compares_subscriptions_byte_by_byte() {
    let context = Context::new().unwrap();
    let publisher = XPub::new(&context);
    subscriptions_are_compared_byte_by_byte(&publisher, |message| publisher.send(message).unwrap());
}

/// RFC 29: "SHALL receive subscribe and unsubscribe requests from subscribers depending on the transport protocol used."
#[test]
fn a_pub_takes_subscriptions_and_their_ends() {
    let context = Context::new().unwrap();
    let publisher = Pub::new(&context);
    let mut sub = Raw::dial(&publisher.bind("tcp://127.0.0.1:0").unwrap()).greet("SUB");
    sub.command("SUBSCRIBE", b"A");
    publisher.wait("A", 1);
    sub.command("CANCEL", b"A");
    until("the end", || publisher.subscribers("A") == 0);
}

/// RFC 29: an XPUB "SHALL deliver these commands to its calling application", and "SHALL, if the subscriber peer disconnects
/// prematurely, generate a suitable unsubscribe request for the calling application."
#[test]
fn an_xpub_hands_over_subscriptions_and_their_ends() {
    let context = Context::new().unwrap();
    let publisher = XPub::new(&context);
    let mut sub = Raw::dial(&publisher.bind("tcp://127.0.0.1:0").unwrap()).greet("SUB");
    let next = || publisher.recv_timeout(LONG).unwrap().into_message();
    sub.command("SUBSCRIBE", b"A");
    sub.command("SUBSCRIBE", b"B");
    sub.command("CANCEL", b"A");
    assert_eq!([next(), next(), next()], ["\x01A", "\x01B", "\0A"].map(Message::from));
    drop(sub);
    assert_eq!(next(), "\0B");
}

/// RFC 29: "SHALL maintain a double queue for each connected subscriber, allowing outgoing and incoming messages to be
/// queued independently."
#[test]
fn the_two_queues_of_an_xpubs_subscriber_are_independent() {
    for transport in ["tcp", "inproc"] {
        let context = Context::new().unwrap();
        let publisher = XPub::make(&context, tight().mark(4));
        let sub = XSub::make(&context, tight().mark(4));
        let here = Node::bind(&publisher, &endpoint(transport)).to_string();
        join(&sub, &publisher, &here);
        sub.listen("");
        assert_eq!(publisher.recv_timeout(LONG).unwrap().into_message(), "\x01");
        let mut sent: usize = 0;
        while publisher.stats().out.dropped.of(DropReason::SubscriberFull) == 0 {
            publisher.send(vec![7; 1 << 20]).unwrap();
            sent += 1;
        }
        for n in 0..20 {
            sub.send(numbered(n)).unwrap();
            assert_eq!(publisher.recv_timeout(LONG).unwrap().into_message(), numbered(n));
        }
        (1..sent).for_each(|_| assert_eq!(sub.recv_timeout(LONG).unwrap(), vec![7; 1 << 20]));
    }
}

/// RFC 29: an XSUB "SHALL send all messages to all connected publishers."
#[test]
fn an_xsub_sends_to_all_publishers_as_it_is() {
    for transport in ["tcp", "inproc"] {
        let context = Context::new().unwrap();
        let sub = XSub::make(&context, quick());
        let publishers = [(), (), ()].map(|()| {
            let publisher = XPub::make(&context, quick());
            let here = Node::bind(&publisher, &endpoint(transport)).to_string();
            join(&sub, &publisher, &here);
            publisher
        });
        let sent = Message::from([&b"up"[..], b"", &[7; 300]]);
        sub.send(&sent).unwrap();
        for publisher in &publishers {
            assert_eq!(publisher.recv_timeout(LONG).unwrap().into_message(), sent);
        }
    }
}

/// RFC 29: an XSUB "SHALL silently drop the message if the outgoing queue for a publisher is full", and "SHALL NOT block on
/// sending."
#[test]
fn an_xsub_drops_what_a_full_publisher_has_no_room_for() {
    let context = Context::new().unwrap();
    let sub = XSub::make(&context, quick().send_mark(1));
    let [slow, keen] = [(), ()].map(|()| {
        let publisher = XPub::make(&context, quick().recv_mark(1));
        let here = Node::bind(&publisher, &endpoint("inproc")).to_string();
        join(&sub, &publisher, &here);
        publisher
    });
    for n in 0..10 {
        sub.send(numbered(n)).unwrap();
        assert_eq!(keen.recv_timeout(LONG).unwrap().into_message(), numbered(n));
    }
    let out = sub.stats().out;
    assert_eq!((out.dropped.of(DropReason::PeerFull), out.is_conserved()), (8, true));
    (0..2).for_each(|n| assert_eq!(slow.recv_timeout(LONG).unwrap().into_message(), numbered(n)));
}

/// RFC 29: an XSUB "SHALL accept subscription commands from its calling application", and "SHALL send subscribe and
/// unsubscribe requests to publishers depending on the transport protocol used."
#[test]
fn an_xsub_takes_subscriptions_as_messages_and_by_verbs() {
    let context = Context::new().unwrap();
    let sub = XSub::new(&context);
    let mut publisher = Raw::dial(&sub.bind("tcp://127.0.0.1:0").unwrap()).greet("PUB");
    let steps: [(&dyn Fn(), &[u8]); 4] = [
        (&|| sub.send(b"\x01A").unwrap(), b"\x09SUBSCRIBEA"),
        (&|| sub.subscribe("B").unwrap(), b"\x09SUBSCRIBEB"),
        (&|| sub.send(b"\0A").unwrap(), b"\x06CANCELA"),
        (&|| assert!(sub.unsubscribe("B").unwrap()), b"\x06CANCELB"),
    ];
    for (step, said) in steps {
        step();
        assert_eq!(publisher.frame(), (COMMAND, said.to_vec()));
    }
}

/// RFC 29, of an XSUB: "SHALL maintain the double queue whether or not the connection is established": what its application
/// sends while nobody is there is dropped and counted all the same, as it is by libzmq.
#[test]
fn what_an_xsub_has_no_publisher_for_is_dropped_and_counted() {
    let context = Context::new().unwrap();
    let sub = XSub::make(&context, quick());
    let monitor = sub.monitor();
    let publisher = XPub::make(&context, quick());
    let here = Node::bind(&publisher, &endpoint("tcp")).to_string();
    join(&sub, &publisher, &here);
    publisher.close().unwrap();
    wait_for!(monitor, Disconnected);
    sub.send("is anybody there?").unwrap();
    let stats = sub.stats();
    assert_eq!(
        (stats.peers.len(), stats.peers[0].is_dialed),
        (1, true),
        "the peer is kept"
    );
    assert_eq!(
        (stats.out.taken, stats.out.dropped.total(), stats.out.queued),
        (1, 1, 0),
        "{:?}",
        stats.out
    );
}

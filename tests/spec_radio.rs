//! RFC 48: RADIO and DISH.

mod common;
#[path = "spec/fan.rs"]
mod fan;
#[path = "spec/raw.rs"]
mod raw;
#[path = "spec/rules.rs"]
mod rules;
#[path = "spec/types.rs"]
mod types;

use common::{LONG, endpoint, until};
use fan::{Listens, Publishes, listener_rules, publisher_rules};
use peermq::{Context, Dish, DropReason, Message, NotSent, Radio};
use raw::{COMMAND, MORE, Raw};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use types::{Node, assert_has_no, join, node, number, numbered, quick};

node!(Radio, false);
node!(Dish, false);

impl Publishes for Radio {
    const LISTENER: &str = "DISH";

    fn publish(&self, topic: &str, body: Message) {
        self.send(topic, body).unwrap();
    }
    fn wait(&self, topic: &str, listeners: usize) {
        self.wait_for_members(topic, listeners, LONG).unwrap();
    }
}

impl Listens for Dish {
    fn listen(&self, topic: &str) {
        self.join_confirmed(topic, LONG).unwrap();
    }
    fn hear_within(&self, limit: Duration) -> Option<(Vec<u8>, Message)> {
        let (group, body) = self.recv_timeout(limit).ok()?;
        Some((group.to_vec(), body))
    }
}

publisher_rules!(radio, peermq::Radio, peermq::Dish);
listener_rules!(dish, peermq::Dish, peermq::Radio);

/// RFC 48: RADIO "SHALL only send messages", and "SHALL NOT deliver these commands to its calling application"; DISH "SHALL
/// only receive messages".
#[test]
fn radio_only_sends_and_dish_only_receives() {
    let context = Context::new().unwrap();
    assert_has_no!(Radio::new(&context), recv);
    assert_has_no!(Radio::new(&context), try_recv);
    assert_has_no!(Dish::new(&context), send);
    assert_has_no!(Dish::new(&context), try_send);
}

/// RFC 48: the pattern "MUST NOT allow multipart messages"; RFC 37: "Thread-safe socket MUST disallow the sending of
/// multipart messages and MUST discard any multipart messages received from the wire."
#[test]
fn messages_of_several_frames_are_neither_sent_nor_received() {
    let context = Context::new().unwrap();
    let (radio, dish) = (Radio::new(&context), Dish::new(&context));
    let refused = radio.send("t", Message::from(["two", "frames"])).unwrap_err();
    assert_eq!(refused.reason, NotSent::SeveralFrames);
    assert_eq!(refused.message.unwrap(), Message::from(["two", "frames"]));

    dish.join("t").unwrap();
    let mut raw = Raw::dial(&dish.bind("tcp://127.0.0.1:0").unwrap()).greet("RADIO");
    raw.send(&[b"t", b"two", b"frames"]);
    raw.send(&[b"t"]);
    raw.send(&[b"t", b"one"]);
    assert_eq!(dish.hear(), (b"t".to_vec(), "one".into()));
    assert_eq!(dish.stats().incoming.dropped.of(DropReason::Malformed), 2);
}

/// RFC 48: "MUST be thread-safe and allow sending from multiple threads", "MUST be thread-safe and allow receiving from
/// multiple threads", "MUST allow attaching a group to a message in a thread-safe way", and "MUST allow retrieving the group
/// of a message in a thread-safe way": a message and its group are one call.
#[test]
fn messages_keep_their_groups_between_many_threads() {
    const EACH: u32 = 200;
    let context = Context::new().unwrap();
    let (radio, dish) = (Radio::make(&context, quick()), Dish::make(&context, quick()));
    join(&dish, &radio, &Node::bind(&radio, &endpoint("tcp")).to_string());
    for thread in 0..4 {
        dish.listen(&format!("{thread}"));
    }
    let heard = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for thread in 0..4 {
            let (radio, dish, heard) = (&radio, &dish, &heard);
            scope.spawn(move || {
                (0..EACH).for_each(|n| radio.publish(&format!("{thread}"), numbered(thread * EACH + n)))
            });
            scope.spawn(move || {
                for _ in 0..EACH {
                    let (group, body) = dish.hear();
                    assert_eq!(group, format!("{}", number(&body) / EACH).into_bytes());
                    heard.lock().unwrap().insert(number(&body));
                }
            });
        }
    });
    assert_eq!(heard.into_inner().unwrap(), (0..4 * EACH).collect());
}

/// RFC 48: a RADIO "SHALL silently discard any messages that dishes send it."
#[test]
fn what_dishes_send_to_a_radio_is_discarded() {
    let context = Context::new().unwrap();
    let radio = Radio::new(&context);
    let mut dish = Raw::dial(&radio.bind("tcp://127.0.0.1:0").unwrap()).greet("DISH");
    dish.send(&[b"hello?"]);
    dish.command("JOIN", b"t");
    radio.wait("t", 1);
    let incoming = radio.stats().incoming;
    assert_eq!(
        (incoming.dropped.of(DropReason::WrongDirection), incoming.is_conserved()),
        (1, true)
    );
}

/// RFC 48: "SHALL perform a group membership check using exact matching algorithm"; RFC 37: "group membership checks SHALL
/// happen at the RADIO side", and what is sent is "group-part body-part".
#[test]
fn a_radio_sends_to_members_of_exactly_this_group() {
    let context = Context::new().unwrap();
    let radio = Radio::new(&context);
    let mut dish = Raw::dial(&radio.bind("tcp://127.0.0.1:0").unwrap()).greet("DISH");
    dish.command("JOIN", b"movies");
    dish.command("JOIN", b"");
    radio.wait("movies", 1);
    radio.wait("", 1);
    for group in ["m", "movie", "movies!", "Movies", " movies"] {
        radio.send(group, "not for you").unwrap();
    }
    radio.send("movies", "for you").unwrap();
    radio.send("", "for you too").unwrap();
    assert_eq!(dish.frame(), (MORE, b"movies".to_vec()));
    assert_eq!(dish.frame(), (0, b"for you".to_vec()));
    assert_eq!(dish.message(), [&b""[..], b"for you too"]);
    assert_eq!(radio.stats().out.dropped.of(DropReason::NoSubscriber), 5);
}

/// RFC 48: "SHALL receive join and leave commands from dishes depending on the transport protocol used."
#[test]
fn a_radio_takes_joins_and_leaves() {
    let context = Context::new().unwrap();
    let radio = Radio::new(&context);
    let mut dish = Raw::dial(&radio.bind("tcp://127.0.0.1:0").unwrap()).greet("DISH");
    dish.command("JOIN", b"t");
    radio.wait("t", 1);
    dish.command("LEAVE", b"t");
    until("the end", || {
        radio.send("t", "anybody?").unwrap();
        radio.stats().out.dropped.of(DropReason::NoSubscriber) > 0
    });
}

/// RFC 37: "To join a group, the DISH peer SHALL send a JOIN command", "To leave a group, the DISH peer SHALL send a LEAVE
/// command"; RFC 48: a DISH "SHALL attach the group to the message."
#[test]
fn a_dish_says_join_and_leave() {
    let context = Context::new().unwrap();
    let dish = Dish::new(&context);
    let mut radio = Raw::dial(&dish.bind("tcp://127.0.0.1:0").unwrap()).greet("RADIO");
    dish.join("t").unwrap();
    assert_eq!(radio.frame(), (COMMAND, b"\x04JOINt".to_vec()));
    radio.send(&[b"t", b"hello"]);
    assert_eq!(dish.hear(), (b"t".to_vec(), "hello".into()));
    assert!(dish.leave("t").unwrap());
    assert_eq!(radio.frame(), (COMMAND, b"\x05LEAVEt".to_vec()));
}

/// RFC 48, of a group: "Length MUST be between 0 to 255 bytes." Its bytes may be any: ours takes a zero too.
#[test]
fn a_groups_name_has_at_most_255_bytes() {
    let context = Context::new().unwrap();
    let (radio, dish) = (Radio::make(&context, quick()), Dish::make(&context, quick()));
    join(&dish, &radio, &Node::bind(&radio, &endpoint("tcp")).to_string());
    assert_eq!(radio.send([b'g'; 256], "x").unwrap_err().reason, NotSent::TooLong);
    assert!(dish.join([b'g'; 256]).is_err());
    let longest: Vec<u8> = (1..=255).collect();
    for group in [vec![], vec![1], longest, vec![0; 3]] {
        dish.join_confirmed(&group, LONG).unwrap();
        radio.send(&group, "heard").unwrap();
        assert_eq!(dish.hear(), (group, "heard".into()));
    }
}

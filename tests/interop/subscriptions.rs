//! Who subscribes to what: told in commands, by hand, in thousands, and again after each connection.

use crate::peer::{LIMIT, Peer, told, with_peer};
use crate::ways::{Place, TRANSPORTS, Way, for_each_way, they_bind, they_connect};
use peermq::*;

/// What an XPUB of ours is told, as libzmq's would see it.
fn upstream(publisher: &XPub) -> Message {
    publisher.recv_timeout(LIMIT).unwrap().into_message()
}

/// libzmq's XSUB subscribes by messages of 1 and the topic, and its XPUB sees them so; between the two go commands.
#[test]
fn an_xsub_subscribes_by_hand() {
    for_each_way("XSUB", |peer, way| {
        let publisher = XPub::new(&way.context);
        way.link(peer, &publisher);
        meet_subscriber(peer, way, &publisher);
        for (said, seen) in [(&b"\x01A"[..], true), (b"\0A", false)] {
            peer.say(&way.name, &[said]);
            assert_eq!(upstream(&publisher), said);
            assert_eq!(publisher.subscribers("A"), usize::from(seen));
        }
        peer.say(&way.name, &[&b"\x02no subscription"[..], b"\x01A"]);
        assert_eq!(
            upstream(&publisher),
            Message::from([&b"\x02no subscription"[..], b"\x01A"])
        );
    });
    for_each_way("XPUB", |peer, way| {
        let sub = XSub::new(&way.context);
        way.link(peer, &sub);
        for said in [&b"\x01A"[..], b"\x01", b"\0A"] {
            sub.send(said).unwrap();
            peer.expect(&way.name, &[said]);
        }
        sub.send([&b"\x02no subscription"[..], b"\x01A"]).unwrap();
        peer.expect(&way.name, &[&b"\x02no subscription"[..], b"\x01A"]);
        peer.say(&way.name, &["what was asked for"]);
        assert_eq!(sub.recv_timeout(LIMIT).unwrap(), "what was asked for");
    });
}

/// A subscriber of libzmq's tells a new connection what it wants when its application next calls it: it receives, until
/// something comes.
fn meet_subscriber(peer: &mut Peer, way: &Way, publisher: &XPub) {
    peer.tell(format_args!("say {} {}", way.name, told(&[b"\x01meet"])));
    peer.all_ok(1);
    peer.tell(format_args!("hear {}", way.name));
    assert_eq!(upstream(publisher), "\x01meet");
    publisher.send("meet").unwrap();
    assert_eq!(peer.answer(), told(&["meet"]));
    peer.say(&way.name, &[b"\0meet"]);
    assert_eq!(upstream(publisher), "\0meet");
}

/// RFC 29: an XPUB "SHALL deliver subscribe and unsubscribe messages to its calling application".
#[test]
fn an_xpub_sees_a_sub_come_and_go() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let publisher = XPub::new(&context);
            let here = publisher.bind(place.ours()).unwrap();
            let sub = they_connect(peer, "SUB SUBSCRIBE=a SUBSCRIBE=b", &here);
            let mut first = [upstream(&publisher), upstream(&publisher)].map(|one| one.first().to_vec());
            first.sort();
            assert_eq!(first, [b"\x01a", b"\x01b"]);
            let other = they_connect(peer, "SUB SUBSCRIBE=a SUBSCRIBE=c", &here);
            assert_eq!(upstream(&publisher), "\x01c", "a is known");
            assert_eq!(publisher.subscribers("a"), 2);
            peer.ask(format_args!("set {sub} UNSUBSCRIBE=b"));
            assert_eq!(upstream(&publisher), "\0b");
            peer.ask(format_args!("close {sub}"));
            peer.ask(format_args!("set {other} UNSUBSCRIBE=c"));
            assert_eq!(upstream(&publisher), "\0c");
            peer.ask(format_args!("close {other}"));
            assert_eq!(upstream(&publisher), "\0a", "nobody is left who wants it");
            assert_eq!(publisher.topics(), 0);
        }
    });
}

#[test]
fn their_xpub_sees_a_sub_of_ours_come_and_go() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let (name, there) = they_bind(peer, "XPUB XPUB_VERBOSE=1", &place);
            let sub = Sub::new(&context);
            sub.subscribe("a").unwrap();
            sub.connect(there.as_str()).unwrap();
            peer.expect(&name, &[b"\x01a"]);
            sub.subscribe("b").unwrap();
            peer.expect(&name, &[b"\x01b"]);
            // Who is verbose sees it again, and its end once.
            sub.subscribe("a").unwrap();
            peer.expect(&name, &[b"\x01a"]);
            assert!(sub.unsubscribe("a").unwrap() && sub.unsubscribe("b").unwrap());
            peer.expect(&name, &[b"\0b"]);
            assert!(sub.unsubscribe("a").unwrap());
            peer.expect(&name, &[b"\0a"]);
            sub.subscribe("until it closes").unwrap();
            peer.expect(&name, &["\x01until it closes"]);
            sub.close().unwrap();
            peer.expect(&name, &["\0until it closes"]);
            peer.ask(format_args!("close {name}"));
        }
    });
}

/// Without a mark on their side: at its mark libzmq drops subscriptions.
#[test]
fn ten_thousand_subscriptions_of_theirs() {
    for_each_way("SUB SNDHWM=0", |peer, way| {
        let (publisher, name) = (XPub::new(&way.context), &way.name);
        peer.ask(format_args!("subscribe_all {name} {MANY}"));
        way.link(peer, &publisher);
        peer.tell(format_args!("hear {name}"));
        let all = |first: u8| {
            let mut all: Vec<_> = (0..MANY).map(|_| upstream(&publisher).first().to_vec()).collect();
            all.sort();
            let expected = (0..MANY).map(|n| [&[first], format!("{n:06}").as_bytes()].concat());
            assert!(all.into_iter().eq(expected));
        };
        all(1);
        assert_eq!(publisher.topics(), MANY);
        publisher.send("nobody wants this").unwrap();
        publisher.send("009999: the last").unwrap();
        assert_eq!(peer.answer(), told(&["009999: the last"]));
        peer.ask(format_args!("unsubscribe_all {name} {MANY}"));
        all(0);
        assert_eq!(publisher.topics(), 0);
    });
}

#[test]
fn ten_thousand_subscriptions_of_ours() {
    for_each_way("XPUB", |peer, way| {
        let (sub, name) = (Sub::new(&way.context), &way.name);
        let topics = || (0..MANY).map(|n| format!("{n:06}"));
        for topic in topics() {
            sub.subscribe(topic).unwrap();
        }
        way.link(peer, &sub);
        peer.ask(format_args!("hear_all {name} 1 {MANY}"));
        peer.say(name, &["nobody wants this"]);
        peer.say(name, &["009999: the last"]);
        assert_eq!(sub.recv_timeout(LIMIT).unwrap(), "009999: the last");
        for topic in topics() {
            assert!(sub.unsubscribe(topic).unwrap());
        }
        peer.ask(format_args!("hear_all {name} 0 {MANY}"));
    });
}

const MANY: usize = 10_000;

/// It has arrived where their application looks. To one question they answer before it has, a few times in a hundred.
#[test]
fn a_confirmed_subscription_is_seen_when_their_publisher_looks() {
    for kind in ["PUB SNDHWM=0", "XPUB SNDHWM=0"] {
        for_each_way(kind, |peer, way| {
            let sub = Sub::new(&way.context);
            way.link(peer, &sub);
            for n in 0..200 {
                let topic = format!("{n}.");
                assert_eq!(sub.subscribe_confirmed(&topic, LIMIT), Ok(1));
                peer.ask(format_args!("look {}", way.name));
                peer.say(&way.name, &[&topic]);
                assert_eq!(sub.recv_timeout(LIMIT).unwrap(), &*topic);
            }
        });
    }
}

#[test]
fn who_waits_for_their_subs_loses_nothing() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let publisher = Pub::new(&context);
            let here = publisher.bind(place.ours()).unwrap();
            let subs = [(); 5].map(|()| they_connect(peer, "SUB SUBSCRIBE=t", &here));
            assert_eq!(publisher.wait_for_subscribers("topic", 5, LIMIT), Ok(5));
            publisher.send("topic").unwrap();
            for sub in &subs {
                peer.expect(sub, &["topic"]);
                peer.ask(format_args!("close {sub}"));
            }
        }
    });
}

#[test]
fn a_welcome_message_of_either_side_comes_first() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let publisher = XPub::with_options(&context, Options::default().welcome_message("welcome")).unwrap();
            let here = publisher.bind(place.ours()).unwrap();
            let name = they_connect(peer, "SUB SUBSCRIBE=w SUBSCRIBE=t", &here);
            publisher.wait_for_subscribers("t", 1, LIMIT).unwrap();
            publisher.send("t").unwrap();
            peer.expect(&name, &["welcome"]);
            peer.expect(&name, &["t"]);
            peer.ask(format_args!("close {name}"));

            let place = Place::new(transport);
            let (name, there) = they_bind(peer, "XPUB XPUB_WELCOME_MSG=welcome", &place);
            let sub = Sub::new(&context);
            sub.subscribe("w").unwrap();
            sub.connect(there.as_str()).unwrap();
            peer.expect(&name, &["\x01w"]);
            peer.say(&name, &["w: it"]);
            assert_eq!(sub.recv_timeout(LIMIT).unwrap(), "welcome");
            assert_eq!(sub.recv_timeout(LIMIT).unwrap(), "w: it");
            peer.ask(format_args!("close {name}"));
        }
    });
}

/// Both sides must be set: their SUB drops what it gets, else, and so does ours.
#[test]
fn inverted_matching_on_either_side() {
    for_each_way("SUB INVERT_MATCHING=1 SUBSCRIBE=no SUBSCRIBE=meet", |peer, way| {
        let inverted = Options::default().invert_matching(true);
        let publisher = XPub::with_options(&way.context, inverted).unwrap();
        way.link(peer, &publisher);
        peer.tell(format_args!("hear {}", way.name));
        upstream(&publisher);
        upstream(&publisher);
        for message in ["no", "meet", "yes"] {
            publisher.send(message).unwrap();
        }
        assert_eq!(peer.answer(), told(&["yes"]));
    });
    for_each_way("XPUB INVERT_MATCHING=1", |peer, way| {
        let inverted = Options::default().invert_matching(true);
        let sub = Sub::with_options(&way.context, inverted).unwrap();
        sub.subscribe("no").unwrap();
        way.link(peer, &sub);
        peer.expect(&way.name, &["\x01no"]);
        peer.say(&way.name, &["no"]);
        peer.say(&way.name, &["yes"]);
        assert_eq!(sub.recv_timeout(LIMIT).unwrap(), "yes");
    });
}

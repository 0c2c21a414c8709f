//! ROUTER on either side: whom it knows, by which name.

use crate::common::{until, wait_for};
use crate::peer::{LIMIT, told, with_peer};
use crate::ways::{Place, TRANSPORTS, for_each_way, they_bind, they_connect};
use peermq::*;
use std::time::Duration;

fn name(text: &str) -> Identity {
    Identity::new(text).unwrap()
}

/// Whoever does not say what it is called gets a name that is made up: 0 and four bytes.
#[test]
fn who_has_no_name_gets_one() {
    for kind in ["REQ", "DEALER"] {
        for_each_way(kind, |peer, way| {
            let router = Router::new(&way.context);
            way.link(peer, &router);
            let front = if kind == "REQ" { "." } else { "-" };
            peer.tell(format_args!("ask {} {front} 1 2 100", way.name));
            let (sender, message) = router.recv_timeout(LIMIT).unwrap();
            assert!(sender.is_made_up());
            assert_eq!(router.identities(), std::slice::from_ref(&sender));
            assert_eq!(message.first(), b"");
            router.send_to(&sender, message).unwrap();
            peer.all_ok(1);
        });
    }
    for_each_way("ROUTER ROUTER_MANDATORY=1", |peer, way| {
        let dealer = Dealer::new(&way.context);
        way.link(peer, &dealer);
        dealer.send_timeout("hello", LIMIT).unwrap();
        let frames = peer.ask(format_args!("hear {}", way.name));
        let (id, hello) = frames.split_once(',').unwrap();
        assert_eq!((id.len(), &id[..2], hello), (10, "00", &*told(&["hello"])));
        peer.ask(format_args!("say {} {frames}", way.name));
        assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), "hello");
    });
}

/// Whom we connect to can be sent to before it is there, by the name that we give it.
#[test]
fn we_name_their_router_ourselves() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let router = Router::with_options(&context, Options::default().identity(name("ours"))).unwrap();
            let (theirs, there) = they_bind(peer, "ROUTER ROUTING_ID=theirs", &place);
            router.connect_as(there.as_str(), &name("a name of ours")).unwrap();
            router.send_to(&name("a name of ours"), "hello").unwrap();
            peer.expect(&theirs, &["ours", "hello"]);
            peer.say(&theirs, &["ours", "and you"]);
            let (from, message) = router.recv_timeout(LIMIT).unwrap();
            assert_eq!((from, message), (name("a name of ours"), "and you".into()));
            peer.ask(format_args!("close {theirs}"));
        }
    });
}

/// Ours refuses by itself what theirs refuses with `ROUTER_MANDATORY`: whom it does not know, and who is full.
#[test]
fn what_cannot_be_sent_is_an_error_on_either_side() {
    for_each_way("ROUTER ROUTER_MANDATORY=1 SNDHWM=1", |peer, way| {
        let options = Options::default().identity(name("ours")).recv_mark(1);
        let dealer = Dealer::with_options(&way.context, options).unwrap();
        let early = format!("errno_of_say {} {}", way.name, told(&["ours", "early"]));
        assert_eq!(peer.ask(early), "EHOSTUNREACH");
        way.link(peer, &dealer);
        dealer.send_timeout("here", LIMIT).unwrap();
        peer.expect(&way.name, &["ours", "here"]);
        // Until their queue, the kernel's and ours are full.
        let sent: usize = peer
            .ask(format_args!("fill {} {} 1 2 100000", way.name, told(&["ours"])))
            .parse()
            .unwrap();
        assert!(sent > 1);
        for _ in 0..sent {
            assert_eq!(dealer.recv_timeout(LIMIT).unwrap().byte_count(), 200_000);
        }
        peer.say(&way.name, &["ours", "there is room again"]);
        assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), "there is room again");
    });
    for_each_way("DEALER ROUTING_ID=theirs RCVHWM=1", |peer, way| {
        let (options, theirs) = (Options::default().send_mark(1), name("theirs"));
        let router = Router::with_options(&way.context, options).unwrap();
        let unknown = router.send_to(&theirs, "early").unwrap_err();
        assert_eq!(unknown.reason, NotSent::UnknownPeer);
        way.link(peer, &router);
        until("it is there", || !router.identities().is_empty());
        let body = [&[7; 100_000][..]; 2];
        let mut sent = 0;
        // The kernel takes some more of what is being written while we look.
        let full = loop {
            match router.send_to_timeout(&theirs, &body[..], Duration::from_millis(200)) {
                Ok(()) => sent += 1,
                Err(full) => break full,
            }
        };
        assert_eq!(full.reason, NotSent::TimedOut);
        assert_eq!(router.send_to(&theirs, "!").unwrap_err().reason, NotSent::PeerFull);
        for _ in 0..sent {
            peer.expect(&way.name, &body);
        }
        router.send_to_timeout(&theirs, "there is room again", LIMIT).unwrap();
        peer.expect(&way.name, &["there is room again"]);
        let out = router.stats().out;
        assert!(out.is_conserved(), "{out:?}");
    });
}

/// `ROUTER_HANDOVER` of theirs: who comes second under one name has it.
#[test]
fn their_router_hands_a_name_over() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let (theirs, there) = they_bind(peer, "ROUTER ROUTER_HANDOVER=1", &place);
            let mut dealers = Vec::new();
            for life in ["first", "second", "third"] {
                let options = Options::default().identity(name("ours"));
                let dealer = Dealer::with_options(&context, options).unwrap();
                dealer.connect(there.as_str()).unwrap();
                dealer.send_timeout(life, LIMIT).unwrap();
                peer.expect(&theirs, &["ours", life]);
                peer.say(&theirs, &["ours", life]);
                assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), life);
                dealers.push(dealer);
            }
            peer.ask(format_args!("close {theirs}"));
        }
    });
}

/// Without a handover the second waits until the first is gone, and tries again.
#[test]
fn who_comes_second_under_a_name_waits_or_takes_it() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            for hands_over in [false, true] {
                let (context, place) = (Context::new().unwrap(), Place::new(transport));
                let options = Options::default().handover(hands_over);
                let router = Router::with_options(&context, options).unwrap();
                let monitor = router.monitor();
                let here = router.bind(place.ours()).unwrap();
                let theirs = name("theirs");
                let first = they_connect(peer, "DEALER ROUTING_ID=theirs RECONNECT_IVL=-1", &here);
                wait_for!(monitor, Connected);
                router.send_to(&theirs, "to the first").unwrap();
                peer.expect(&first, &["to the first"]);

                let second = they_connect(peer, "DEALER ROUTING_ID=theirs RECONNECT_IVL=10", &here);
                if hands_over {
                    let Event::Disconnected { failure, .. } = wait_for!(monitor, Disconnected) else {
                        unreachable!("it was waited for")
                    };
                    assert_eq!(failure, Failure::Replaced);
                } else {
                    // Several times.
                    for _ in 0..3 {
                        wait_for!(monitor, HandshakeFailed);
                    }
                    router.send_to(&theirs, "to the first again").unwrap();
                    peer.expect(&first, &["to the first again"]);
                    peer.ask(format_args!("close {first}"));
                    wait_for!(monitor, Connected);
                }
                router.send_to(&theirs, "to the second").unwrap();
                peer.expect(&second, &["to the second"]);
                peer.say(&second, &["from the second"]);
                let (from, message) = router.recv_timeout(LIMIT).unwrap();
                assert_eq!((from, message), (theirs, "from the second".into()));
                peer.ask(format_args!("close {second}"));
                if hands_over {
                    peer.ask(format_args!("close {first}"));
                }
            }
        }
    });
}

/// An empty message makes a peer known before it has anything to say.
#[test]
fn either_side_probes() {
    for_each_way("ROUTER", |peer, way| {
        let options = Options::default().identity(name("ours")).probe(true);
        let dealer = Dealer::with_options(&way.context, options).unwrap();
        way.link(peer, &dealer);
        peer.expect(&way.name, &["ours", ""]);
        peer.say(&way.name, &["ours", "hello"]);
        assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), "hello");
    });
    for_each_way("DEALER ROUTING_ID=theirs PROBE_ROUTER=1", |peer, way| {
        let router = Router::new(&way.context);
        way.link(peer, &router);
        // libzmq probes a connection that it accepted when its application next calls it.
        peer.tell(format_args!("hear {}", way.name));
        let (from, probe) = router.recv_timeout(LIMIT).unwrap();
        assert_eq!((from.as_bytes(), probe), (&b"theirs"[..], "".into()));
        router.send_to(&from, "hello").unwrap();
        assert_eq!(peer.answer(), told(&["hello"]));
    });
}

/// A name is of any bytes, up to 255 of them, in both directions.
#[test]
fn names_of_any_bytes() {
    let longest: Vec<u8> = (1..=255).collect();
    for id in [&[1][..], b"\xFF\0\xFF", &longest] {
        for_each_way("ROUTER", |peer, way| {
            let options = Options::default().identity(Identity::new(id).unwrap());
            let dealer = Dealer::with_options(&way.context, options).unwrap();
            way.link(peer, &dealer);
            dealer.send_timeout("hello", LIMIT).unwrap();
            peer.expect(&way.name, &[id, b"hello"]);
            peer.say(&way.name, &[id, b"and you"]);
            assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), "and you");
        });
        for_each_way("DEALER", |peer, way| {
            peer.ask(format_args!("call {} {}", way.name, told(&[id])));
            let router = Router::new(&way.context);
            way.link(peer, &router);
            peer.say(&way.name, &["hello"]);
            let (from, message) = router.recv_timeout(LIMIT).unwrap();
            assert_eq!((from.as_bytes(), message), (id, "hello".into()));
            router.send_to(&from, "and you").unwrap();
            peer.expect(&way.name, &["and you"]);
        });
    }
}

/// A restart under another name is another peer, and what waits for the old one is dropped.
#[test]
fn their_router_comes_back_under_another_name() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50));
            let router = Router::with_options(&context, quick.identity(name("ours"))).unwrap();
            let monitor = router.monitor();
            let (theirs, there) = they_bind(peer, "ROUTER ROUTING_ID=first", &place);
            router.connect(there.as_str()).unwrap();
            wait_for!(monitor, Connected);
            router.send_to(&name("first"), "hello").unwrap();
            peer.expect(&theirs, &["ours", "hello"]);
            peer.ask(format_args!("close {theirs}"));
            wait_for!(monitor, Disconnected);

            router.send_to(&name("first"), "waits for it").unwrap();
            peer.ask(format_args!("open {theirs} ROUTER ROUTING_ID=second"));
            peer.ask(format_args!("bind {theirs} {there}"));
            wait_for!(monitor, Connected);
            assert_eq!(router.identities(), [name("second")]);
            router.send_to(&name("second"), "hello").unwrap();
            peer.expect(&theirs, &["ours", "hello"]);
            let out = router.stats().out;
            assert_eq!(out.dropped.of(DropReason::IdentityChanged), 1);
            assert!(out.is_conserved());
            peer.ask(format_args!("close {theirs}"));
        }
    });
}

//! A socket of ours goes, and another comes in its place.

use crate::ours::Ours;
use crate::peer::{LIMIT, Peer, told, with_peer};
use crate::shapes::plain;
use crate::ways::{Place, TRANSPORTS, they_connect};
use peermq::*;

#[test]
fn they_may_connect_before_we_bind() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let reserved = Pull::new(&context);
            let endpoint = reserved.bind(place.ours()).unwrap();
            reserved.close().unwrap();

            let name = they_connect(peer, "PUSH", &endpoint);
            let shapes = || plain(0..10, 100);
            for shape in shapes() {
                peer.ask(format_args!("send {name} . {shape}"));
            }
            let pull = Pull::new(&context);
            pull.bind(&endpoint).unwrap();
            for shape in shapes() {
                shape.check(&[], &pull.recv_timeout(LIMIT).unwrap());
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

#[test]
fn they_find_a_restarted_pull_of_ours_and_what_they_sent_meanwhile_comes() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let mut pull = Pull::new(&context);
            let endpoint = pull.bind(place.ours()).unwrap();
            let name = they_connect(peer, "PUSH RECONNECT_IVL=10", &endpoint);
            peer.ask(format_args!("watch {name}"));
            for life in 0..3 {
                let shapes = || plain(life * 10..life * 10 + 10, 1000);
                for shape in shapes() {
                    peer.ask(format_args!("send {name} . {shape}"));
                }
                if life > 0 {
                    pull = Pull::new(&context);
                    pull.bind(&endpoint).unwrap();
                }
                for shape in shapes() {
                    shape.check(&[], &pull.recv_timeout(LIMIT).unwrap());
                }
                pull.close().unwrap();
                // What they write before they know is lost.
                peer.ask(format_args!("await {name} DISCONNECTED"));
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

#[test]
fn they_subscribe_again_at_a_restarted_publisher_of_ours() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let publisher = Pub::new(&context);
            let endpoint = publisher.bind(place.ours()).unwrap();
            let name = they_connect(peer, "SUB RECONNECT_IVL=10 SUBSCRIBE=a SUBSCRIBE=b", &endpoint);
            let meet = |publisher: &Pub, peer: &mut Peer| {
                // Its application receives: then it tells a new connection what it wants.
                peer.tell(format_args!("hear {name}"));
                publisher.wait_for_subscribers("a", 1, LIMIT).unwrap();
                publisher.wait_for_subscribers("b", 1, LIMIT).unwrap();
                publisher.send("c").unwrap();
                publisher.send("b").unwrap();
                assert_eq!(peer.answer(), told(&["b"]));
            };
            meet(&publisher, peer);
            publisher.close().unwrap();
            for _ in 0..2 {
                let publisher = Pub::new(&context);
                publisher.bind(&endpoint).unwrap();
                meet(&publisher, peer);
                publisher.close().unwrap();
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

#[test]
fn a_restarted_router_of_ours_knows_their_dealer_by_its_name() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let mut router = Router::new(&context);
            let endpoint = router.bind(place.ours()).unwrap();
            let name = they_connect(peer, "DEALER ROUTING_ID=theirs RECONNECT_IVL=10", &endpoint);
            peer.ask(format_args!("watch {name}"));
            for life in 0..3 {
                peer.say(&name, &["hello"]);
                peer.say(&name, &["again"]);
                if life > 0 {
                    router = Router::new(&context);
                    router.bind(&endpoint).unwrap();
                }
                for expected in ["hello", "again"] {
                    let (from, message) = router.recv_timeout(LIMIT).unwrap();
                    assert_eq!((from.as_bytes(), message), (&b"theirs"[..], expected.into()));
                }
                router.send_to(&Identity::new("theirs").unwrap(), "and you").unwrap();
                peer.expect(&name, &["and you"]);
                router.close().unwrap();
                peer.ask(format_args!("await {name} DISCONNECTED"));
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

#[test]
fn their_req_goes_on_with_a_restarted_rep_of_ours() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let mut rep = Rep::new(&context);
            let endpoint = rep.bind(place.ours()).unwrap();
            let name = they_connect(peer, "REQ RECONNECT_IVL=10", &endpoint);
            peer.ask(format_args!("watch {name}"));
            for shape in plain(0..3, 1000) {
                peer.tell(format_args!("ask {name} . {shape}"));
                if shape.seed > 0 {
                    rep = Rep::new(&context);
                    rep.bind(&endpoint).unwrap();
                }
                rep.echo(&|message| shape.check(&[], message));
                peer.all_ok(1);
                rep.close().unwrap();
                peer.ask(format_args!("await {name} DISCONNECTED"));
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

/// In the middle of a stream some are lost; none comes twice, late or in part, and the last one comes.
#[test]
fn a_pull_of_ours_that_restarts_in_the_middle_of_a_stream_sees_nothing_twice() {
    const COUNT: u32 = 5_000;
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let small = || Pull::with_options(&context, Options::default().recv_mark(10)).unwrap();
            let mut pull = small();
            let endpoint = pull.bind(place.ours()).unwrap();
            let name = they_connect(peer, "PUSH RECONNECT_IVL=1 SNDHWM=10", &endpoint);
            peer.tell(format_args!("count_up {name} 0 {COUNT} 20000"));
            let (mut last, mut received) = (None, 0);
            while last < Some(COUNT - 1) {
                let message = pull.recv_timeout(LIMIT).unwrap();
                let sizes: Vec<_> = message.frames().map(<[u8]>::len).collect();
                assert_eq!(sizes, [4, 20_000]);
                let number = u32::from_be_bytes(message.first().try_into().unwrap());
                assert!(last < Some(number), "{transport}: {number} after {last:?}");
                last = Some(number);
                received += 1;
                if received % 100 == 0 && received <= 500 {
                    pull.close().unwrap();
                    pull = small();
                    pull.bind(&endpoint).unwrap();
                }
            }
            assert!(received > 500, "it restarted five times");
            peer.all_ok(1);
            peer.ask(format_args!("close {name}"));
        }
    });
}

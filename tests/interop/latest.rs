//! CONFLATE on either side: of many messages the newest is seen.

use crate::common::unused;
use crate::ours::Ours;
use crate::peer::{LIMIT, Peer, told, with_peer};
use crate::ways::{Place, TRANSPORTS, Way, for_each_way, they_connect, wait_until_free};
use peermq::*;

const COUNT: usize = 100;
const NEWEST: &str = "99";

/// Where they connected to us, they have taken everything once they have seen our end, and only the newest is left. Where
/// we did, libzmq takes the end of the connection for something newer.
#[test]
fn their_receiver_keeps_the_newest_of_what_we_send() {
    let check = |peer: &mut Peer, way: &Way, close: &dyn Fn() -> CloseReport| {
        if way.we_bind {
            assert!(close().is_confirmed());
            peer.expect(&way.name, &[NEWEST]);
        } else {
            while peer.ask(format_args!("hear {}", way.name)) != told(&[NEWEST]) {}
        }
        assert_eq!(peer.ask(format_args!("hear_now {}", way.name)), "none");
    };
    for_each_way("PULL CONFLATE=1", |peer, way| {
        let push = Push::new(&way.context);
        way.link(peer, &push);
        for n in 0..COUNT {
            push.send_timeout(n.to_string(), LIMIT).unwrap();
        }
        check(peer, way, &|| push.close().unwrap());
    });
    for_each_way("SUB CONFLATE=1 SUBSCRIBE=", |peer, way| {
        let publisher = Pub::new(&way.context);
        way.link(peer, &publisher);
        peer.tell(format_args!("hear {}", way.name));
        publisher.wait_for_subscriber();
        publisher.send("hello").unwrap();
        assert_eq!(peer.answer(), told(&["hello"]));
        for n in 0..COUNT {
            publisher.send(n.to_string()).unwrap();
        }
        check(peer, way, &|| publisher.close().unwrap());
    });
}

#[test]
fn our_receiver_keeps_the_newest_of_what_they_send() {
    for_each_way("PUSH", |peer, way| {
        let pull = Pull::with_options(&way.context, Options::default().conflate()).unwrap();
        way.link(peer, &pull);
        for n in 0..COUNT {
            peer.say(&way.name, &[n.to_string()]);
        }
        let mut received = 1;
        while pull.recv_timeout(LIMIT).unwrap() != NEWEST {
            received += 1;
        }
        let incoming = pull.stats().incoming;
        assert!(incoming.is_conserved());
        assert_eq!(incoming.dropped.of(DropReason::Conflated), COUNT as u64 - received);
    });
}

/// What waits for a receiver that is not there yet is the newest.
#[test]
fn a_sender_of_either_side_keeps_the_newest() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let context = Context::new().unwrap();
            let place = Place::new(transport);
            let there = match transport {
                "tcp" => unused("tcp"),
                _ => place.ours(),
            };
            let name = they_connect(peer, "PUSH CONFLATE=1", &there);
            for n in 0..COUNT {
                peer.say(&name, &[n.to_string()]);
            }
            let pull = Pull::new(&context);
            let here = pull.bind(&*there).unwrap();
            assert_eq!(pull.recv_timeout(LIMIT).unwrap(), NEWEST);
            peer.say(&name, &["the next"]);
            assert_eq!(pull.recv_timeout(LIMIT).unwrap(), "the next");
            peer.ask(format_args!("close {name}"));
            pull.close().unwrap();
            wait_until_free(&here.to_string());

            let push = Push::with_options(&context, Options::default().conflate()).unwrap();
            push.connect(here.clone()).unwrap();
            for n in 0..COUNT {
                push.send(n.to_string()).unwrap();
            }
            peer.ask(format_args!("open {name} PULL"));
            peer.ask(format_args!("bind {name} {here}"));
            peer.expect(&name, &[NEWEST]);
            push.send("the next").unwrap();
            peer.expect(&name, &["the next"]);
            let out = push.stats().out;
            assert_eq!(out.dropped.of(DropReason::Conflated), COUNT as u64 - 1);
            peer.ask(format_args!("close {name}"));
        }
    });
}

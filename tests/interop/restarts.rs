//! A socket of theirs goes, and comes back.

use crate::common::{until, wait_for};
use crate::peer::{LIMIT, with_peer};
use crate::shapes::plain;
use crate::ways::{Place, TRANSPORTS, they_bind, they_connect, wait_until_free};
use peermq::*;
use std::time::Duration;

/// Lets a dialer of ours come back soon.
fn quick() -> Options {
    Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50))
}

fn named(name: &str) -> Options {
    quick().identity(Identity::new(name).unwrap())
}

#[test]
fn we_may_connect_before_they_bind() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let place = Place::new(transport);
            let (name, endpoint) = they_bind(peer, "PULL", &place);
            peer.ask(format_args!("close {name}"));
            wait_until_free(&endpoint);

            let context = Context::new().unwrap();
            let push = Push::new(&context);
            let monitor = push.monitor();
            push.connect(endpoint.as_str()).unwrap();
            let shapes = || plain(0..10, 100);
            for shape in shapes() {
                shape.lend(&[], |frames| push.send_timeout(frames, LIMIT).unwrap());
            }
            wait_for!(monitor, RetryingIn);
            peer.ask(format_args!("open {name} PULL"));
            peer.ask(format_args!("bind {name} {endpoint}"));
            for shape in shapes() {
                peer.ask(format_args!("recv {name} . {shape}"));
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

#[test]
fn a_restarted_pull_is_found_again() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let push = Push::new(&context);
            let monitor = push.monitor();
            let (name, endpoint) = they_bind(peer, "PULL", &place);
            push.connect(endpoint.as_str()).unwrap();
            for life in 0..3 {
                let shapes = || plain(life * 10..life * 10 + 10, 1000);
                for shape in shapes() {
                    shape.lend(&[], |frames| push.send_timeout(frames, LIMIT).unwrap());
                }
                for shape in shapes() {
                    peer.ask(format_args!("recv {name} . {shape}"));
                }
                peer.ask(format_args!("close {name}"));
                // What is written to a dead connection before its end is known may be lost.
                wait_for!(monitor, Disconnected);
                peer.ask(format_args!("open {name} PULL"));
                peer.ask(format_args!("bind {name} {endpoint}"));
            }
            wait_for!(monitor, Connected);
            assert_eq!(push.stats().reconnects, 3, "{transport}: {:?}", push.stats());
            peer.ask(format_args!("close {name}"));
        }
    });
}

/// What is sent while nobody is there waits, in order.
#[test]
fn a_restarted_router_knows_our_dealer_by_its_name() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let dealer = Dealer::with_options(&context, named("ours")).unwrap();
            let monitor = dealer.monitor();
            let (name, endpoint) = they_bind(peer, "ROUTER", &place);
            dealer.connect(endpoint.as_str()).unwrap();
            for life in ["first", "second", "third"] {
                dealer.send_timeout([life, "hello"], LIMIT).unwrap();
                dealer.send_timeout([life, "again"], LIMIT).unwrap();
                peer.expect(&name, &["ours", life, "hello"]);
                peer.expect(&name, &["ours", life, "again"]);
                peer.say(&name, &["ours", "and you"]);
                assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), "and you");
                peer.ask(format_args!("close {name}"));
                wait_for!(monitor, Disconnected);
                if life != "third" {
                    peer.ask(format_args!("open {name} ROUTER"));
                    peer.ask(format_args!("bind {name} {endpoint}"));
                }
            }
        }
    });
}

/// A new publisher is told everything, also what changed while nobody was there.
#[test]
fn a_restarted_xpub_is_told_all_subscriptions_again() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let sub = Sub::with_options(&context, quick()).unwrap();
            let monitor = sub.monitor();
            let (name, endpoint) = they_bind(peer, "XPUB", &place);
            sub.connect(endpoint.as_str()).unwrap();
            sub.subscribe("first").unwrap();
            for (before, now, next) in [("", "first", "second"), ("first", "second", "third")] {
                peer.expect(&name, &[format!("\x01{now}")]);
                for topic in [before, now, "and the last"] {
                    peer.say(&name, &[format!("{topic}.")]);
                }
                assert_eq!(sub.recv_timeout(LIMIT).unwrap(), &*format!("{now}."));
                peer.ask(format_args!("close {name}"));
                wait_for!(monitor, Disconnected);
                assert!(sub.unsubscribe(now).unwrap());
                sub.subscribe(next).unwrap();
                peer.ask(format_args!("open {name} XPUB"));
                peer.ask(format_args!("bind {name} {endpoint}"));
            }
            peer.expect(&name, &["\x01third"]);
            assert_eq!(sub.try_recv().unwrap_err(), RecvError::WouldBlock);
            peer.ask(format_args!("close {name}"));
        }
    });
}

/// A request that nobody has seen yet waits for the next one who is there.
#[test]
fn a_restarted_rep_answers_the_next_request() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let req = Req::with_options(&context, quick()).unwrap();
            let monitor = req.monitor();
            let (name, endpoint) = they_bind(peer, "REP", &place);
            req.connect(endpoint.as_str()).unwrap();
            for shape in plain(0..3, 1000) {
                std::thread::scope(|scope| {
                    let asking = scope.spawn(|| shape.lend(&[], |frames| req.request_timeout(frames, LIMIT).unwrap()));
                    if shape.seed > 0 {
                        // It is asked while nobody is there.
                        until("it waits", || req.stats().out.queued == 1);
                        peer.ask(format_args!("open {name} REP"));
                        peer.ask(format_args!("bind {name} {endpoint}"));
                    }
                    peer.ask(format_args!("echo {name} . {shape}"));
                    shape.check(&[], &asking.join().unwrap());
                });
                peer.ask(format_args!("close {name}"));
                wait_for!(monitor, Disconnected);
            }
        }
    });
}

/// Who came to us and goes is unknown until it is back, by whatever connection.
#[test]
fn a_restarted_dealer_of_theirs_is_the_same_to_our_router() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let router = Router::new(&context);
            let monitor = router.monitor();
            let endpoint = router.bind(place.ours()).unwrap();
            let theirs = Identity::new("theirs").unwrap();
            for _ in 0..3 {
                let unknown = router.send_to(&theirs, "too early").unwrap_err();
                assert_eq!(unknown.reason, NotSent::UnknownPeer);
                let name = they_connect(peer, "DEALER ROUTING_ID=theirs", &endpoint);
                wait_for!(monitor, Connected);
                router.send_to(&theirs, "hello").unwrap();
                peer.expect(&name, &["hello"]);
                peer.ask(format_args!("close {name}"));
                wait_for!(monitor, Disconnected);
            }
        }
    });
}

/// In the middle of a stream some are lost, as libzmq's own would be; none comes twice, or late.
#[test]
fn a_pull_that_restarts_in_the_middle_of_a_stream_sees_nothing_twice() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let push = Push::with_options(&context, quick().send_mark(100).linger(Duration::ZERO)).unwrap();
            let (name, endpoint) = they_bind(peer, "PULL RCVHWM=100", &place);
            push.connect(endpoint.as_str()).unwrap();
            std::thread::scope(|scope| {
                let sending = scope.spawn(|| {
                    let body = "x".repeat(1000);
                    (0_u32..)
                        .take_while(|n| push.send([&n.to_be_bytes()[..], body.as_bytes()]).is_ok())
                        .count()
                });
                let mut last = None;
                for life in 0..5 {
                    if life > 0 {
                        peer.ask(format_args!("open {name} PULL RCVHWM=100"));
                        peer.ask(format_args!("bind {name} {endpoint}"));
                    }
                    for _ in 0..300 {
                        let frames = peer.ask(format_args!("hear {name}"));
                        let number = u32::from_str_radix(&frames[..8], 16).unwrap();
                        assert!(last < Some(number), "{transport}: {number} after {last:?}");
                        last = Some(number);
                    }
                    peer.ask(format_args!("close {name}"));
                }
                // Nobody is left to take what waits.
                let _ = push.close();
                assert!(sending.join().unwrap() >= 1_500);
            });
            let out = push.stats().out;
            assert!(out.is_conserved(), "{out:?}");
        }
    });
}

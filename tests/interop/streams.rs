//! Long runs of messages of all sizes, with marks so small that both sides wait for each other all the time.

use crate::common::Chance;
use crate::ours::Ours;
use crate::peer::{LIMIT, Peer, told, with_peer};
use crate::shapes::Shape;
use crate::ways::{Place, TRANSPORTS, for_each_way, they_connect};
use peermq::*;
use std::time::{SystemTime, UNIX_EPOCH};

const COUNT: usize = 500;
const SIZES: [usize; 12] = [0, 1, 33, 34, 254, 255, 256, 8191, 8192, 8193, 65_536, 200_000];

/// Messages and marks from one number, which is printed: put it in the place of the clock to see them again.
struct Run {
    shapes: Vec<Shape>,
    options: Options,
    theirs: String,
}

impl Run {
    fn new() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        println!("seed {seed}");
        let mut chance = Chance(seed);
        let shapes = (0..COUNT).map(|seed| Shape {
            seed,
            frames: 1 + chance.below(5) as usize,
            size: SIZES[chance.below(SIZES.len() as u64) as usize],
        });
        let shapes = shapes.collect();
        let mut mark = || 1 + chance.below(8) as usize;
        let (send, recv) = (mark(), mark());
        Run {
            shapes,
            options: Options::default().mark(mark()),
            theirs: format!("SNDHWM={send} RCVHWM={recv}"),
        }
    }

    /// They send, receive or echo all of them.
    fn tell(&self, peer: &mut Peer, order: &str, name: &str, front: &str) {
        for shape in &self.shapes {
            peer.tell(format_args!("{order} {name} {front} {shape}"));
        }
        peer.all_ok(COUNT);
    }

    fn send(&self, ours: &dyn Ours, front: &[&[u8]]) {
        for shape in &self.shapes {
            shape.lend(front, |frames| ours.send(frames));
        }
    }

    fn recv(&self, ours: &dyn Ours, front: &[&[u8]]) {
        for shape in &self.shapes {
            shape.check(front, &ours.recv());
        }
    }

    /// We send all of them on one thread and receive what comes back on another, while they echo.
    fn there_and_back(&self, peer: &mut Peer, name: &str, ours: &(impl Ours + Sync), fronts: (&[&[u8]], &str)) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.send(ours, fronts.0));
            scope.spawn(|| self.recv(ours, fronts.0));
            self.tell(peer, "echo", name, fronts.1);
        });
    }
}

#[test]
fn down_a_pipeline() {
    let run = Run::new();
    for_each_way(&format!("PULL {}", run.theirs), |peer, way| {
        let push = Push::with_options(&way.context, run.options.clone()).unwrap();
        way.link(peer, &push);
        std::thread::scope(|scope| {
            scope.spawn(|| run.send(&push, &[]));
            run.tell(peer, "recv", &way.name, ".");
        });
        assert!(push.close().unwrap().is_confirmed());
    });
    for_each_way(&format!("PUSH {}", run.theirs), |peer, way| {
        let pull = Pull::with_options(&way.context, run.options.clone()).unwrap();
        way.link(peer, &pull);
        std::thread::scope(|scope| {
            scope.spawn(|| run.recv(&pull, &[]));
            run.tell(peer, "send", &way.name, ".");
        });
    });
}

#[test]
fn there_and_back() {
    let run = Run::new();
    for_each_way(&format!("PAIR {}", run.theirs), |peer, way| {
        let pair = Pair::with_options(&way.context, run.options.clone()).unwrap();
        way.link(peer, &pair);
        run.there_and_back(peer, &way.name, &pair, (&[], "."));
    });
    for_each_way(&format!("ROUTER ROUTER_MANDATORY=1 {}", run.theirs), |peer, way| {
        let options = run.options.clone().identity(Identity::new("ours").unwrap());
        let dealer = Dealer::with_options(&way.context, options).unwrap();
        way.link(peer, &dealer);
        run.there_and_back(peer, &way.name, &dealer, (&[], &told(&["ours"])));
    });
    for_each_way(&format!("DEALER ROUTING_ID=theirs {}", run.theirs), |peer, way| {
        let router = Router::with_options(&way.context, run.options.clone()).unwrap();
        way.link(peer, &router);
        router.wait_for_peer("theirs");
        run.there_and_back(peer, &way.name, &router, (&[b"theirs"], "."));
    });
}

/// A publisher that waits loses nothing, and one of theirs that is told not to drop does not either.
#[test]
fn to_a_subscriber_that_is_waited_for() {
    let run = Run::new();
    for_each_way(&format!("SUB SUBSCRIBE= {}", run.theirs), |peer, way| {
        let options = run.options.clone().at_mark(AtMark::Block);
        let publisher = Pub::with_options(&way.context, options).unwrap();
        way.link(peer, &publisher);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                publisher.wait_for_subscriber();
                run.send(&publisher, &[]);
            });
            run.tell(peer, "recv", &way.name, ".");
        });
        let out = publisher.stats().out;
        assert!(out.is_conserved() && out.dropped.total() == 0, "{out:?}");
    });
    for_each_way(&format!("XPUB XPUB_NODROP=1 {}", run.theirs), |peer, way| {
        let sub = Sub::with_options(&way.context, run.options.clone()).unwrap();
        way.link(peer, &sub);
        sub.subscribe("").unwrap();
        peer.expect(&way.name, &[b"\x01"]);
        std::thread::scope(|scope| {
            scope.spawn(|| run.recv(&sub, &[]));
            run.tell(peer, "send", &way.name, ".");
        });
    });
}

/// Thirty of theirs at once, each with an identity that is made up for it.
#[test]
fn a_crowd_of_dealers() {
    const CROWD: usize = 30;
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let router = Router::new(&context);
            let here = router.bind(place.ours()).unwrap();
            let dealers: Vec<_> = (0..CROWD).map(|_| they_connect(peer, "DEALER", &here)).collect();
            for round in 0..5 {
                for (n, dealer) in dealers.iter().enumerate() {
                    peer.say(dealer, &[format!("{n} in {round}")]);
                }
                for _ in 0..CROWD {
                    let (from, message) = router.recv_timeout(LIMIT).unwrap();
                    router.send_to(&from, message).unwrap();
                }
                for (n, dealer) in dealers.iter().enumerate() {
                    peer.expect(dealer, &[format!("{n} in {round}")]);
                }
            }
            assert_eq!(router.identities().len(), CROWD);
            for dealer in dealers {
                peer.ask(format_args!("close {dealer}"));
            }
        }
    });
}

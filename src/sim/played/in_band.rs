//! Messages that tell of connections, under faults: each connection begins with its greeting, its end is told once and behind
//! all that came by it, and all of them are counted.

use crate::hub::Hub;
use crate::identity::Identity;
use crate::message::Message;
use crate::routing::{Addressed, Awaited, Pattern};
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{conserved, numbered, read, recv, send, small};
use crate::socket::dealer::DealerPattern;
use crate::socket::router::RouterPattern;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const DEALERS: usize = 2;

/// Dealers without names: each of their connections is another peer of the router.
struct Office {
    world: World,
    router: Arc<Hub<RouterPattern>>,
    dealers: Vec<Arc<Hub<DealerPattern>>>,
    next: u32,
    /// Who the router has heard of, and how far that is.
    heard: BTreeMap<Identity, Heard>,
    /// Whether a dealer was greeted on the connection of which it heard last.
    is_welcome: [bool; DEALERS],
    /// How often it was told that a connection was lost.
    hiccups: [u64; DEALERS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Hello,
    Gone,
}

impl Office {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 1 + DEALERS);
        let options = small(&mut world.chance)
            .hello_message("welcome")
            .disconnect_message("gone");
        let router = world.open(0, |options| RouterPattern::new(options, seed), options);
        world.listen(0, &router, 1);
        let dealers: Vec<_> = (0..DEALERS)
            .map(|n| {
                let options = small(&mut world.chance)
                    .hello_message(["hello", "I am"])
                    .hiccup_message("hiccup");
                let dealer = world.open(1 + n, DealerPattern::new, options);
                world.dial(1 + n, &dealer, 1);
                dealer
            })
            .collect();
        let capacity = world.chance.within(1..300);
        world.tear(capacity, 40);
        Office {
            world,
            router,
            dealers,
            next: 0,
            heard: BTreeMap::new(),
            is_welcome: [false; DEALERS],
            hiccups: [0; DEALERS],
        }
    }

    fn send(&mut self, n: usize) {
        let is_sent = send(&self.dealers[n], numbered(n, self.next, 10));
        self.next += u32::from(is_sent);
    }

    /// The router receives, and answers what is no message of those that tell.
    fn receive(&mut self) -> bool {
        let mut message = Message::empty();
        let taken = self
            .router
            .attempt(Awaited::Readable, |pattern, peers| pattern.recv(peers, &mut message));
        let Poll::Ready(Ok(from)) = taken else { return false };
        let before = self.heard.get(&from).copied();
        match message.first() {
            b"hello" => {
                assert_eq!(before, None, "{from} says it first, and once");
                assert_eq!(message, Message::from(["hello", "I am"]));
                self.heard.insert(from, Heard::Hello);
            }
            b"gone" => {
                assert_ne!(before, Some(Heard::Gone), "{from} is gone once");
                self.heard.insert(from, Heard::Gone);
            }
            _ => {
                assert_eq!(before, Some(Heard::Hello), "{from} is here, and said so");
                read(&message);
                let _gone = self
                    .router
                    .act(|pattern, peers| pattern.send_to(peers, &from, &mut (&message).into()));
            }
        }
        true
    }

    fn listen(&mut self, n: usize) -> bool {
        let Some(message) = recv(&self.dealers[n]) else {
            return false;
        };
        match message.first() {
            b"welcome" => assert!(!std::mem::replace(&mut self.is_welcome[n], true), "once, and first"),
            b"hiccup" => {
                self.is_welcome[n] = false;
                self.hiccups[n] += 1;
            }
            _ => {
                assert!(self.is_welcome[n], "nothing comes before the greeting");
                assert_eq!(read(&message).0, n, "another's");
            }
        }
        true
    }

    fn check(&self) {
        check(&self.router);
        self.dealers.iter().for_each(|dealer| check(dealer));
    }

    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            let n = self.world.chance.within(0..DEALERS);
            match self.world.chance.within(0..8) {
                0 => self.send(n),
                1 => drop(self.receive()),
                2 => drop(self.listen(n)),
                _ => self.world.step_or_sleep(),
            }
            self.check();
        }
    }

    /// Everybody reads until nothing moves for so long.
    fn run(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            let mut received = (0..DEALERS).filter(|&n| self.listen(n)).count();
            received += usize::from(self.receive());
            self.check();
            if !self.world.step() && received == 0 && !self.world.sleep(until) {
                return;
            }
        }
    }
}

fn check<P: Pattern>(hub: &Hub<P>) {
    conserved(hub);
    assert!(hub.has_told_all(), "a watcher was not told: {:#?}", hub.stats());
}

#[test]
fn each_connection_begins_with_its_greeting_and_its_end_is_told_once() {
    with_seeds(200, |seed| {
        let mut it = Office::new(seed);
        it.world.fabric().has_faults = true;
        it.play(400);
        it.world.fabric().has_faults = false;
        it.run(Duration::from_secs(5));

        let here = it.router.act(|pattern, _| pattern.identities());
        assert_eq!(here.len(), DEALERS);
        for (who, heard) in &it.heard {
            let expected = if here.contains(who) { Heard::Hello } else { Heard::Gone };
            assert_eq!(*heard, expected, "{who}");
        }
        assert!(here.iter().all(|who| it.heard.contains_key(who)), "all have said hello");
        for (n, dealer) in it.dealers.iter().enumerate() {
            assert!(it.is_welcome[n], "{n}");
            assert_eq!(dealer.stats().reconnects, it.hiccups[n], "{n}");
        }
    });
}

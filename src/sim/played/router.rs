//! DEALER to ROUTER and back under faults: the law holds, each identity's messages come in order and under its name, and
//! once the faults are over every dealer is reached by its identity.

use crate::failure::Failure;
use crate::hub::Hub;
use crate::identity::Identity;
use crate::message::Message;
use crate::monitor::Event;
use crate::options::Options;
use crate::routing::{Addressed, Awaited};
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{check, numbered, read, recv, security, send, small};
use crate::socket::dealer::DealerPattern;
use crate::socket::router::RouterPattern;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const DEALERS: usize = 3;

struct Office {
    world: World,
    router: Arc<Hub<RouterPattern>>,
    dealers: Vec<Arc<Hub<DealerPattern>>>,
    next: [u32; DEALERS],
    /// What the router has received under which identity: the last number, and all.
    last: BTreeMap<Identity, u32>,
    received: u64,
    /// Numbers that came back to their dealers.
    echoed: [BTreeSet<u32>; DEALERS],
    /// Received, and not sent back yet.
    held: Vec<(Identity, Message)>,
    /// The router seldom receives, so that connections end with something unread.
    is_slow: bool,
}

fn name(n: usize) -> Identity {
    Identity::new(format!("dealer-{n}")).expect("a name")
}

impl Office {
    /// Each dealer has a name of its own; either side dials.
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 1 + DEALERS);
        world.share(seed);
        let router_dials = world.chance.once_in(3);
        let secured = security(seed);
        let options = small(&mut world.chance)
            .security(secured[0].clone())
            .handover(world.chance.once_in(2))
            .probe(world.chance.once_in(4))
            .router_notify(world.chance.once_in(3), world.chance.once_in(3));
        let seed = world.chance.next();
        let router = world.open(0, |options| RouterPattern::new(options, seed), options);
        let dealers: Vec<_> = (0..DEALERS)
            .map(|n| {
                let options = small(&mut world.chance)
                    .security(secured[1].clone())
                    .identity(name(n))
                    .probe(world.chance.once_in(4));
                world.open(1 + n, DealerPattern::new, options)
            })
            .collect();
        for (n, dealer) in dealers.iter().enumerate() {
            let port = n as u16 + 1;
            match router_dials {
                true => {
                    world.listen(1 + n, dealer, port);
                    world.dial(0, &router, port);
                }
                false => {
                    world.dial(1 + n, dealer, 1);
                }
            }
        }
        if !router_dials {
            world.listen(0, &router, 1);
        }
        let is_slow = world.chance.once_in(2);
        let capacity = world.chance.within(1..300);
        world.tear(capacity, 40);
        Office {
            world,
            router,
            dealers,
            next: [0; DEALERS],
            last: BTreeMap::new(),
            received: 0,
            echoed: Default::default(),
            held: Vec::new(),
            is_slow,
        }
    }

    fn send(&mut self, n: usize) -> bool {
        let size = self.world.chance.within(0..60);
        let is_sent = send(&self.dealers[n], numbered(n, self.next[n], size));
        self.next[n] += u32::from(is_sent);
        is_sent
    }

    /// Receives one, and holds it against what came under its identity before.
    fn receive(&mut self) -> bool {
        let mut message = Message::empty();
        let taken = self
            .router
            .attempt(Awaited::Readable, |pattern, peers| pattern.recv(peers, &mut message));
        let Poll::Ready(Ok(identity)) = taken else { return false };
        self.received += 1;
        if message.byte_count() == 0 {
            // A probe, or that it came or went.
            return true;
        }
        let (n, number) = read(&message);
        assert_eq!(identity, name(n), "another's message");
        if let Some(before) = self.last.insert(identity.clone(), number) {
            assert!(before < number, "{identity}: {number} came after {before}");
        }
        self.held.push((identity, message));
        true
    }

    /// Sends one back that was received; what cannot be sent is tried again.
    fn answer(&mut self) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let (identity, message) = self.held.remove(0);
        let result = self
            .router
            .act(|pattern, peers| pattern.send_to(peers, &identity, &mut (&message).into()));
        if result.is_err() {
            self.held.push((identity, message));
        }
        result.is_ok()
    }

    fn listen(&mut self, n: usize) -> bool {
        let Some(message) = recv(&self.dealers[n]) else {
            return false;
        };
        if message.byte_count() > 0 {
            let (sender, number) = read(&message);
            assert_eq!(sender, n, "another's answer");
            assert!(self.echoed[n].insert(number), "{n}: {number} came twice");
        }
        true
    }

    fn check(&self) {
        check_all(&self.router, &self.dealers);
    }

    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            let n = self.world.chance.within(0..DEALERS);
            match self.world.chance.within(0..12) {
                0 | 1 => drop(self.send(n)),
                2 if !self.is_slow || self.world.chance.once_in(8) => drop(self.receive()),
                3 => drop(self.answer()),
                4 => drop(self.listen(n)),
                _ => self.world.step_or_sleep(),
            }
            self.check();
        }
    }

    /// All do what they can for this long.
    fn run(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            let mut is_busy = self.receive();
            is_busy |= self.answer();
            for n in 0..DEALERS {
                is_busy |= self.listen(n);
            }
            self.check();
            if !self.world.step() && !is_busy && !self.world.sleep(until) {
                return;
            }
        }
    }
}

fn check_all(router: &Hub<RouterPattern>, dealers: &[Arc<Hub<DealerPattern>>]) {
    check(router);
    dealers.iter().for_each(|hub| drop(check(hub)));
}

#[test]
fn every_dealer_is_reached_by_its_identity_once_the_faults_are_over() {
    with_seeds(200, |seed| {
        let mut it = Office::new(seed);
        it.world.fabric().has_faults = true;
        it.play(400);
        it.world.fabric().has_faults = false;
        it.run(Duration::from_secs(5));
        let stats = check(&it.router);
        assert_eq!(stats.incoming.passed, it.received);
        assert_eq!(stats.incoming.queued, 0, "something is never received: {stats:#?}");

        let identities: BTreeSet<_> = it.router.act(|pattern, _| pattern.identities()).into_iter().collect();
        assert_eq!(identities, (0..DEALERS).map(name).collect());
        assert!(it.held.is_empty(), "a reply is never taken: {:?}", it.held);
        for n in 0..DEALERS {
            let number = it.next[n];
            assert!(it.send(n), "a dealer has no room");
            it.run(Duration::from_secs(1));
            assert!(it.echoed[n].contains(&number), "dealer {n} is not reached");
        }

        it.world.fabric().has_faults = seed.is_multiple_of(2);
        it.play(40);
        let mut last = it.world.close(0, it.router.clone());
        for n in 0..DEALERS {
            last = last.max(it.world.close(1 + n, it.dealers[n].clone()));
        }
        let left = last - it.world.now();
        let Office {
            world, router, dealers, ..
        } = &mut it;
        world.run_until(left, || {
            check_all(router, dealers);
            false
        });
        assert!(it.router.report().is_some(), "the ROUTER is not closed");
        assert!(it.dealers.iter().all(|hub| hub.report().is_some()), "one is not closed");
        it.world.run_for(Duration::from_secs(2));
        assert_eq!(it.world.fabric().open_ends(), 0, "a stream is left open");
    });
}

/// BEHAVIOUR: "the old connection is PINGed and ends if no byte comes within a second, so that a client which lost its
/// network gets in at a later try."
#[test]
fn threat_14_a_client_whose_old_self_is_dead_gets_in_and_one_whose_other_self_lives_does_not() {
    for is_alive in [true, false] {
        let mut world = World::new(u64::from(is_alive), 3);
        let router = world.open(0, |options| RouterPattern::new(options, 7), Options::default());
        world.listen(0, &router, 1);
        let monitor = router.monitor();
        let dealers = [1, 2].map(|node| {
            let options = Options::default().identity(name(0));
            world.open(node, DealerPattern::new, options)
        });
        world.dial(1, &dealers[0], 1);
        assert!(world.run_until(Duration::from_secs(1), || router.stats().peers.len() == 1));

        world.freeze(1, !is_alive);
        world.dial(2, &dealers[1], 1);
        assert!(send(&*dealers[1], numbered(0, 1, 0)));
        world.run_for(Duration::from_secs(30));

        let events: Vec<_> = std::iter::from_fn(|| monitor.try_recv().ok()).collect();
        let refused = Failure::Refused {
            why: "its identity is in use",
        };
        let is_told = |event: &Event| matches!(event, Event::HandshakeFailed { failure, .. } if *failure == refused);
        assert!(events.iter().any(is_told), "{events:?}");
        let ended = events.iter().find_map(|event| match event {
            Event::Disconnected { failure, .. } => Some(failure.clone()),
            _ => None,
        });
        let no_sign = Failure::TimedOut {
            what: "a sign of life",
            limit: Duration::from_secs(1),
        };
        assert_eq!(ended, (!is_alive).then_some(no_sign), "{events:?}");
        assert_eq!(check(&router).incoming.queued, u64::from(!is_alive));
    }
}

//! PUB and XPUB, and SUB or XSUB, under faults: every copy is counted, subscriptions converge once the faults are over, and then
//! everybody gets what it wants, once and in order.

use crate::hub::{Hub, Station};
use crate::message::Message;
use crate::options::{AtMark, Options};
use crate::routing::{Interests, Receives, Sends};
use crate::sim::World;
use crate::sim::chance::{Chance, with_seeds};
use crate::sim::laws::{conserved, recv, security, send, small};
use crate::socket::publish::PubPattern;
use crate::socket::subscribe::SubPattern;
use crate::socket::xpublish::XPubPattern;
use crate::socket::xsubscribe::XSubPattern;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

struct Publishing<S: Subscribes> {
    world: World,
    publisher: Arc<Hub<PubPattern>>,
    xpublisher: Arc<Hub<XPubPattern>>,
    subs: Vec<Arc<Hub<S>>>,
    /// What each of them is to be subscribed to, and how many times.
    wanted: Vec<BTreeMap<Vec<u8>, u32>>,
    /// By subscriber and publisher: the last number that came.
    last: BTreeMap<(usize, u8), u32>,
    received: u64,
    next: u32,
}

const SUBS: usize = 3;

/// What SUB and XSUB have in common.
trait Subscribes: Receives {
    /// What comes and matches no subscription is not handed over.
    const FILTERS: bool;

    fn new(options: &Options) -> Self;
    fn interests(&mut self) -> &mut Interests;
}

impl Subscribes for SubPattern {
    const FILTERS: bool = true;

    fn new(options: &Options) -> Self {
        SubPattern::new(options)
    }

    fn interests(&mut self) -> &mut Interests {
        self.interests()
    }
}

impl Subscribes for XSubPattern {
    const FILTERS: bool = false;

    fn new(options: &Options) -> Self {
        XSubPattern::new(options)
    }

    fn interests(&mut self) -> &mut Interests {
        self.interests()
    }
}

impl<S: Subscribes> Publishing<S> {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 2 + SUBS);
        world.share(seed);
        let at_mark = world.chance.one_of(&[
            AtMark::DropNewest,
            AtMark::DropOldest,
            AtMark::Disconnect,
            AtMark::Block,
        ]);
        let secured = security(seed);
        let mut options = || small(&mut world.chance).at_mark(at_mark).security(secured[0].clone());
        let [first, second]: [Options; 2] = std::array::from_fn(|_| options());
        let publisher = world.open(0, |options| PubPattern::new(options, seed), first);
        let xpublisher = world.open(1, |options| XPubPattern::new(options, !seed), second);
        let subs: Vec<_> = (0..SUBS)
            .map(|n| {
                let options = small(&mut world.chance).security(secured[1].clone());
                world.open(2 + n, S::new, options)
            })
            .collect();
        match world.chance.once_in(2) {
            true => {
                world.mesh((2, &subs), (0, std::slice::from_ref(&publisher)));
                world.listen(1, &xpublisher, 9);
                subs.iter().enumerate().for_each(|(n, hub)| {
                    world.dial(2 + n, hub, 9);
                });
            }
            false => {
                for (n, hub) in subs.iter().enumerate() {
                    let port = n as u16 + 1;
                    world.listen(2 + n, hub, port);
                    world.dial(0, &publisher, port);
                    world.dial(1, &xpublisher, port);
                }
            }
        }
        let capacity = world.chance.within(1..400);
        world.tear(capacity, 40);
        Publishing {
            world,
            publisher,
            xpublisher,
            subs,
            wanted: vec![BTreeMap::new(); SUBS],
            last: BTreeMap::new(),
            received: 0,
            next: 0,
        }
    }

    fn subscribe(&mut self) {
        let n = self.world.chance.within(0..SUBS);
        let topic = topic(&mut self.world.chance);
        if self.world.chance.once_in(3) {
            let had = match self.wanted[n].get_mut(&topic) {
                None => false,
                Some(1) => self.wanted[n].remove(&topic).is_some(),
                Some(count) => {
                    *count -= 1;
                    true
                }
            };
            let has = self.subs[n].act(|pattern, peers| pattern.interests().remove(peers, &topic));
            assert_eq!(has, had);
        } else {
            *self.wanted[n].entry(topic.clone()).or_default() += 1;
            self.subs[n].act(|pattern, peers| pattern.interests().add(peers, &topic));
        }
    }

    fn publish(&mut self) -> Vec<u8> {
        let topic = topic(&mut self.world.chance);
        let number = self.next.to_be_bytes();
        self.next += 1;
        let message = |publisher: u8| Message::from([&topic[..], &[publisher], &number]);
        send(&self.publisher, message(0));
        send(&self.xpublisher, message(1));
        topic
    }

    fn recv(&mut self, n: usize) -> bool {
        let Some(message) = recv(&self.subs[n]) else {
            return false;
        };
        let topic = message.first();
        assert!(
            !S::FILTERS || self.wanted[n].keys().any(|wanted| topic.starts_with(wanted)),
            "{n} does not want {topic:?}"
        );
        let publisher = message.frame(1).expect("a publisher")[0];
        let number = u32::from_be_bytes(message.frame(2).expect("a number").try_into().expect("four bytes"));
        if let Some(last) = self.last.insert((n, publisher), number) {
            assert!(last < number, "{n} got {number} of {publisher} after {last}");
        }
        self.received += 1;
        true
    }

    fn check(&self) {
        conserved(&self.publisher);
        conserved(&self.xpublisher);
        self.subs.iter().for_each(|hub| conserved(hub));
    }

    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.world.chance.within(0..12) {
                0 => self.subscribe(),
                1 | 2 => drop(self.publish()),
                3 | 4 => {
                    let n = self.world.chance.within(0..SUBS);
                    self.recv(n);
                }
                5 => drop(recv(&self.xpublisher)),
                _ => self.world.step_or_sleep(),
            }
            self.check();
            self.world.check_share();
        }
    }

    /// Everybody reads until nothing moves for so long.
    fn run(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            let mut received = (0..SUBS).filter(|&n| self.recv(n)).count();
            received += usize::from(recv(&self.xpublisher).is_some());
            self.check();
            if !self.world.step() && received == 0 && !self.world.sleep(until) {
                return;
            }
        }
    }

    /// Who is to get a message of this topic.
    fn takers(&self, topic: &[u8]) -> usize {
        let takes = |wanted: &&BTreeMap<Vec<u8>, u32>| wanted.keys().any(|wanted| topic.starts_with(wanted));
        self.wanted.iter().filter(takes).count()
    }
}

fn topic(chance: &mut Chance) -> Vec<u8> {
    (0..chance.within(0..3)).map(|_| chance.within(0..3) as u8).collect()
}

fn subscribers<P: Sends>(hub: &Hub<P>, fan: impl FnOnce(&mut P) -> usize) -> usize {
    hub.act(|pattern, _| fan(pattern))
}

#[test]
fn subscriptions_converge_after_faults_and_everybody_gets_what_it_wants() {
    subscriptions_converge::<SubPattern>(200);
}

#[test]
fn those_of_xsubs_converge_too() {
    subscriptions_converge::<XSubPattern>(40);
}

fn subscriptions_converge<S: Subscribes>(seeds: u64) {
    with_seeds(seeds, |seed| {
        let mut it = Publishing::<S>::new(seed);
        it.world.fabric().has_faults = true;
        it.play(300);
        it.world.fabric().has_faults = false;
        it.run(Duration::from_secs(5));

        for length in 0..3 {
            for number in 0..3_u8.pow(length) {
                let topic: Vec<u8> = (0..length).map(|n| number / 3_u8.pow(n) % 3).collect();
                let expected = it.takers(&topic);
                let counts = [
                    subscribers(&it.publisher, |pattern| pattern.fan().subscribers(&topic)),
                    subscribers(&it.xpublisher, |pattern| pattern.fan().subscribers(&topic)),
                ];
                assert_eq!(counts, [expected; 2], "subscribers to {topic:?}");
            }
        }
        for _ in 0..10 {
            let before = it.received;
            let topic = it.publish();
            it.run(Duration::from_millis(200));
            assert_eq!(it.received - before, 2 * it.takers(&topic) as u64, "of {topic:?}");
        }

        it.world.fabric().has_faults = seed.is_multiple_of(2);
        it.play(30);
        let mut stations: Vec<Arc<dyn Station>> = vec![it.publisher.clone(), it.xpublisher.clone()];
        stations.extend(it.subs.iter().map(|hub| hub.clone() as Arc<dyn Station>));
        let ends: Vec<_> = stations
            .iter()
            .enumerate()
            .map(|(n, station)| it.world.close(n, station.clone()))
            .collect();
        let left = ends.into_iter().max().expect("some") - it.world.now();
        it.world.run_for(left);
        assert!(stations.iter().all(|station| station.is_closed()), "one is not closed");
        it.check();
        it.world.run_for(Duration::from_secs(2));
        assert_eq!(it.world.fabric().open_ends(), 0, "a stream is left open");
    });
}

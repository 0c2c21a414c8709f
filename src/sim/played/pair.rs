//! PAIR and CHANNEL under faults, both ways at once, with a third that would like to be one of the two.

use crate::hub::Hub;
use crate::message::Message;
use crate::routing::{Awaited, Pattern};
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{Ledger, check, numbered_for, send, small};
use crate::socket::kind::{ChannelKind, Kind, PairKind};
use crate::socket::pair::Exclusive;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

struct Pairs<K: Kind> {
    world: World,
    hubs: Vec<Arc<Hub<Exclusive<K>>>>,
    ledger: Ledger,
    next: [u32; 3],
}

impl<K: Kind> Pairs<K> {
    /// The first listens; the second dials, and so may a third.
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 3);
        let dialing = if world.chance.once_in(3) { 2 } else { 1 };
        let hubs: Vec<_> = (0..=dialing)
            .map(|n| {
                let options = small(&mut world.chance);
                world.open(n, Exclusive::new, options)
            })
            .collect();
        world.listen(0, &hubs[0], 1);
        for (n, hub) in hubs.iter().enumerate().skip(1) {
            world.dial(n, hub, 1);
        }
        let capacity = world.chance.within(1..300);
        world.tear(capacity, 40);
        Pairs {
            world,
            hubs,
            ledger: Ledger::of::<Exclusive<K>>(),
            next: [0; 3],
        }
    }

    fn recv(&mut self, n: usize) -> bool {
        let mut message = Message::empty();
        let step = |pattern: &mut Exclusive<K>, peers: &mut _| pattern.queue.recv(peers, &mut message);
        if let Poll::Ready(Ok(peer)) = self.hubs[n].attempt(Awaited::Readable, step) {
            self.ledger.note(n, peer, &message);
            return true;
        }
        false
    }

    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            let n = self.world.chance.within(0..self.hubs.len());
            match self.world.chance.within(0..8) {
                0 | 1 => {
                    let size = self.world.chance.within(0..60);
                    if send(&self.hubs[n], numbered_for::<Exclusive<K>>(n, self.next[n], size)) {
                        self.next[n] += 1;
                    }
                }
                2 => {
                    self.recv(n);
                }
                _ => self.world.step_or_sleep(),
            }
            self.lost();
        }
    }

    fn lost(&self) -> i64 {
        lost(&self.hubs)
    }

    fn run(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            let received = (0..self.hubs.len()).filter(|&n| self.recv(n)).count();
            self.lost();
            if !self.world.step() && received == 0 && !self.world.sleep(until) {
                return;
            }
        }
    }
}

/// Messages that are neither here nor there, and no counter's: written, and lost on their way.
fn lost<P: Pattern>(hubs: &[Arc<Hub<P>>]) -> i64 {
    let mut lost = 0;
    for stats in hubs.iter().map(|hub| check(hub)) {
        lost += (stats.out.passed + stats.out.queued) as i64 - stats.incoming.taken as i64;
    }
    assert!(lost >= 0);
    lost
}

fn pairs_keep_the_law<K: Kind>(seeds: u64) {
    with_seeds(seeds, |seed| {
        let mut it = Pairs::<K>::new(seed);
        it.world.fabric().has_faults = true;
        it.play(300);
        it.world.fabric().has_faults = false;
        it.run(Duration::from_secs(3));
        let dropped: u64 = it.hubs.iter().map(|hub| check(hub).out.dropped.total()).sum();
        let before = it.lost();
        let received: u64 = it.hubs.iter().map(|hub| check(hub).incoming.passed).sum();
        assert_eq!(received, it.ledger.count());

        let first = it.next;
        it.play(200);
        it.run(Duration::from_secs(3));
        let now_dropped: u64 = it.hubs.iter().map(|hub| check(hub).out.dropped.total()).sum();
        assert_eq!(now_dropped, dropped);
        assert!(it.hubs.len() > 2 || it.lost() == before);
        let arrives = |n: usize| (first[n]..it.next[n]).all(|number| it.ledger.has(n, number));
        let is_in: Vec<bool> = it
            .hubs
            .iter()
            .map(|hub| check(hub).peers.iter().any(|peer| peer.is_connected))
            .collect();
        assert_eq!(
            is_in.iter().filter(|is_in| **is_in).count(),
            2,
            "exactly two are together"
        );
        assert!(
            (0..it.hubs.len()).all(|n| !is_in[n] || arrives(n)),
            "something was lost without a fault"
        );

        it.world.fabric().has_faults = seed.is_multiple_of(2);
        it.play(30);
        let deadlines: Vec<_> = (0..it.hubs.len())
            .map(|n| it.world.close(n, it.hubs[n].clone()))
            .collect();
        let last = deadlines.into_iter().max().expect("some");
        let left = last - it.world.now();
        let Pairs { world, hubs, .. } = &mut it;
        world.run_until(left, || {
            lost(hubs);
            false
        });
        assert!(it.hubs.iter().all(|hub| hub.report().is_some()), "one is not closed");
        it.world.run_for(Duration::from_secs(2));
        assert_eq!(it.world.fabric().open_ends(), 0, "a stream is left open");
    });
}

#[test]
fn pairs_keep_the_law_under_faults_and_lose_nothing_without() {
    pairs_keep_the_law::<PairKind>(500);
}

#[test]
fn channels_keep_the_law_under_faults_and_lose_nothing_without() {
    pairs_keep_the_law::<ChannelKind>(40);
}

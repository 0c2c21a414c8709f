//! DEALER to DEALER and PEER to PEER under faults: nothing is counted wrongly, nothing comes twice or out of order, and
//! once the faults are over nothing is lost.

use crate::hub::Hub;
use crate::message::Message;
use crate::options::Options;
use crate::routing::{Addressed, Awaited, Pattern, PeerId, PeerKind, Peers};
use crate::routing_id::RoutingId;
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{check, numbered_for, send, small};
use crate::sim::{endpoint, laws};
use crate::socket::dealer::DealerPattern;
use crate::socket::peer::PeerPattern;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// A type that speaks with its own kind, each socket with several.
trait Equal: Pattern + Sized {
    /// One connection of a peer that came, all of one that was dialed.
    type Name: Ord + Copy;

    fn new(options: &Options, seed: u64) -> Self;
    /// A dialed peer, and its name if it is sent to by that.
    fn attach(&mut self, peers: &mut Peers, endpoint: String) -> (PeerId, Option<Self::Name>);
    fn next(&mut self, peers: &mut Peers, into: &mut Message) -> Option<Self::Name>;
    /// To this one, if that can be said.
    fn give(hub: &Hub<Self>, to: Option<Self::Name>, message: Message) -> bool;
}

impl Equal for DealerPattern {
    type Name = PeerId;

    fn new(options: &Options, _seed: u64) -> Self {
        DealerPattern::new(options)
    }

    fn attach(&mut self, peers: &mut Peers, endpoint: String) -> (PeerId, Option<PeerId>) {
        (peers.attach(PeerKind::Dialed, endpoint), None)
    }

    fn next(&mut self, peers: &mut Peers, into: &mut Message) -> Option<PeerId> {
        self.queue.recv(peers, into)
    }

    fn give(hub: &Hub<Self>, _to: Option<PeerId>, message: Message) -> bool {
        send(hub, message)
    }
}

impl Equal for PeerPattern {
    type Name = RoutingId;

    fn new(options: &Options, seed: u64) -> Self {
        PeerPattern::new(options, seed)
    }

    fn attach(&mut self, peers: &mut Peers, endpoint: String) -> (PeerId, Option<RoutingId>) {
        let (id, number) = PeerPattern::attach(self, peers, endpoint);
        (id, Some(number))
    }

    fn next(&mut self, peers: &mut Peers, into: &mut Message) -> Option<RoutingId> {
        self.recv(peers, into)
    }

    fn give(hub: &Hub<Self>, to: Option<RoutingId>, message: Message) -> bool {
        to.is_some_and(|to| hub.act(|pattern, peers| pattern.send_to(peers, &to, &mut (&message).into()).is_ok()))
    }
}

const ALL: usize = 3;

struct Equals<P: Equal> {
    world: World,
    hubs: Vec<Arc<Hub<P>>>,
    /// Whom each of them can name.
    names: [BTreeSet<P::Name>; ALL],
    next: [u32; ALL],
    seen: BTreeSet<(usize, u32)>,
    last: BTreeMap<(usize, P::Name, usize), u32>,
}

impl<P: Equal> Equals<P> {
    /// Each dials those before it.
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, ALL);
        let hubs: Vec<_> = (0..ALL)
            .map(|n| {
                let (options, seed) = (small(&mut world.chance), world.chance.next());
                world.open(n, |options| P::new(options, seed), options)
            })
            .collect();
        let mut names: [BTreeSet<P::Name>; ALL] = Default::default();
        for (n, hub) in hubs.iter().enumerate() {
            world.listen(n, hub, n as u16 + 1);
            for before in 0..n {
                let at = endpoint(before as u16 + 1);
                let text = at.to_string();
                world.dial_with(n, hub, at, |pattern, peers| {
                    let (id, name) = pattern.attach(peers, text);
                    names[n].extend(name);
                    Ok(id)
                });
            }
        }
        let capacity = world.chance.within(1..300);
        world.tear(capacity, 40);
        Equals {
            world,
            hubs,
            names,
            next: [0; ALL],
            seen: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    fn send(&mut self, n: usize) {
        let size = self.world.chance.within(0..60);
        let to = match self.names[n].len() {
            0 => None,
            len => self.names[n].iter().copied().nth(self.world.chance.within(0..len)),
        };
        if P::give(&self.hubs[n], to, numbered_for::<P>(n, self.next[n], size)) {
            self.next[n] += 1;
        }
    }

    fn recv(&mut self, n: usize) -> bool {
        let mut message = Message::empty();
        let step = |pattern: &mut P, peers: &mut Peers| pattern.next(peers, &mut message);
        let Poll::Ready(Ok(from)) = self.hubs[n].attempt(Awaited::Readable, step) else {
            return false;
        };
        self.names[n].insert(from);
        let (sender, number) = laws::read(&message);
        assert!(self.seen.insert((sender, number)), "{sender}:{number} came twice");
        if let Some(before) = self.last.insert((n, from, sender), number) {
            assert!(before < number, "{sender}:{number} came after {before}");
        }
        true
    }

    fn check(&self) {
        self.hubs.iter().for_each(|hub| drop(check(hub)));
    }

    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            let n = self.world.chance.within(0..ALL);
            match self.world.chance.within(0..8) {
                0 | 1 => self.send(n),
                2 => drop(self.recv(n)),
                _ => self.world.step_or_sleep(),
            }
            self.check();
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            let received = (0..ALL).filter(|&n| self.recv(n)).count();
            self.check();
            if !self.world.step() && received == 0 && !self.world.sleep(until) {
                return;
            }
        }
    }
}

fn equals_keep_the_law<P: Equal>(seeds: u64) {
    with_seeds(seeds, |seed| {
        let mut it = Equals::<P>::new(seed);
        it.world.fabric().has_faults = true;
        it.play(300);
        it.world.fabric().has_faults = false;
        it.run(Duration::from_secs(3));

        let first = it.next;
        it.play(300);
        it.run(Duration::from_secs(3));
        for (n, &first) in first.iter().enumerate() {
            assert!(it.next[n] > first, "{n} could send nothing");
            let arrived = (first..it.next[n]).all(|number| it.seen.contains(&(n, number)));
            assert!(arrived, "something of {n} was lost without a fault");
        }

        it.world.fabric().has_faults = seed.is_multiple_of(2);
        it.play(30);
        let deadlines: Vec<_> = (0..ALL).map(|n| it.world.close(n, it.hubs[n].clone())).collect();
        let left = deadlines.into_iter().max().expect("some") - it.world.now();
        let Equals { world, hubs, .. } = &mut it;
        world.run_until(left, || {
            hubs.iter().for_each(|hub| drop(check(hub)));
            false
        });
        assert!(it.hubs.iter().all(|hub| hub.report().is_some()), "one is not closed");
        it.world.run_for(Duration::from_secs(2));
        assert_eq!(it.world.fabric().open_ends(), 0, "a stream is left open");
    });
}

#[test]
fn dealers_keep_the_law_among_themselves_and_lose_nothing_without_faults() {
    equals_keep_the_law::<DealerPattern>(60);
}

#[test]
fn peers_keep_the_law_among_themselves_and_lose_nothing_without_faults() {
    equals_keep_the_law::<PeerPattern>(60);
}

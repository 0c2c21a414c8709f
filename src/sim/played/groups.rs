//! RADIO and DISH under faults: nobody hears what it has not joined, memberships converge once the faults are over, and
//! then everybody hears what it has joined, once and in order.

use crate::hub::{Hub, Station};
use crate::message::Message;
use crate::options::AtMark;
use crate::routing::{Awaited, Peers};
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{conserved, small};
use crate::socket::dish::DishPattern;
use crate::socket::radio::RadioPattern;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const RADIOS: usize = 2;
const DISHES: usize = 3;
const GROUPS: [&str; 4] = ["", "a", "ab", "b"];

struct Waves {
    world: World,
    radios: Vec<Arc<Hub<RadioPattern>>>,
    dishes: Vec<Arc<Hub<DishPattern>>>,
    joined: [BTreeSet<&'static str>; DISHES],
    next: u32,
    /// By dish and radio: the last number that came.
    last: BTreeMap<(usize, u8), u32>,
    received: usize,
}

impl Waves {
    /// Either side dials.
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, RADIOS + DISHES);
        let at_mark = world.chance.one_of(&[
            AtMark::DropNewest,
            AtMark::DropOldest,
            AtMark::Disconnect,
            AtMark::Block,
        ]);
        let radios: Vec<_> = (0..RADIOS)
            .map(|n| {
                let (options, key) = (small(&mut world.chance).at_mark(at_mark), world.chance.next());
                world.open(n, |options| RadioPattern::new(options, key), options)
            })
            .collect();
        let dishes: Vec<_> = (0..DISHES)
            .map(|n| {
                let options = small(&mut world.chance);
                world.open(RADIOS + n, DishPattern::new, options)
            })
            .collect();
        match world.chance.once_in(2) {
            true => world.mesh((RADIOS, &dishes), (0, &radios)),
            false => world.mesh((0, &radios), (RADIOS, &dishes)),
        }
        let capacity = world.chance.within(1..400);
        world.tear(capacity, 40);
        Waves {
            world,
            radios,
            dishes,
            joined: Default::default(),
            next: 0,
            last: BTreeMap::new(),
            received: 0,
        }
    }

    fn join_or_leave(&mut self) {
        let n = self.world.chance.within(0..DISHES);
        let group = self.world.chance.one_of(&GROUPS);
        let (dish, joined) = (&self.dishes[n], &mut self.joined[n]);
        if self.world.chance.once_in(3) {
            let was_in = dish.act(|pattern, peers| pattern.leave(peers, group.as_bytes()));
            assert_eq!(was_in, joined.remove(group));
        } else {
            dish.act(|pattern, peers| pattern.join(peers, group.as_bytes()));
            joined.insert(group);
        }
    }

    /// Each radio sends to the same group.
    fn say(&mut self) -> &'static str {
        let group = self.world.chance.one_of(&GROUPS);
        for (n, radio) in self.radios.iter().enumerate() {
            let body = [&[n as u8][..], &self.next.to_be_bytes()].concat();
            let mut message = Message::from(body).into();
            let step =
                |pattern: &mut RadioPattern, peers: &mut Peers| pattern.send(peers, group.as_bytes(), &mut message);
            // Under `AtMark::Block` it may find no room; then nobody gets it.
            let _refused = radio.attempt(Awaited::Writable, step);
        }
        self.next += 1;
        group
    }

    fn hear(&mut self, n: usize) -> bool {
        let Poll::Ready(Ok((group, message))) = self.dishes[n].attempt(Awaited::Readable, DishPattern::next) else {
            return false;
        };
        let group = std::str::from_utf8(&group).expect("one of ours");
        assert!(self.joined[n].contains(group), "{n} has not joined {group:?}");
        let (radio, number) = message.first().split_at(1);
        let number = u32::from_be_bytes(number.try_into().expect("four bytes"));
        if let Some(last) = self.last.insert((n, radio[0]), number) {
            assert!(last < number, "{n} heard {number} after {last}");
        }
        self.received += 1;
        true
    }

    fn check(&self) {
        self.radios.iter().for_each(|hub| conserved(hub));
        self.dishes.iter().for_each(|hub| conserved(hub));
    }

    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.world.chance.within(0..12) {
                0 => self.join_or_leave(),
                1 | 2 => drop(self.say()),
                3 | 4 => {
                    let n = self.world.chance.within(0..DISHES);
                    self.hear(n);
                }
                _ => self.world.step_or_sleep(),
            }
            self.check();
        }
    }

    /// Everybody listens until nothing moves for so long.
    fn run(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            let heard = (0..DISHES).filter(|&n| self.hear(n)).count();
            self.check();
            if !self.world.step() && heard == 0 && !self.world.sleep(until) {
                return;
            }
        }
    }

    fn members(&self, group: &str) -> usize {
        self.joined.iter().filter(|joined| joined.contains(group)).count()
    }
}

#[test]
fn memberships_converge_after_faults_and_everybody_hears_what_it_has_joined() {
    with_seeds(40, |seed| {
        let mut it = Waves::new(seed);
        it.world.fabric().has_faults = true;
        it.play(300);
        it.world.fabric().has_faults = false;
        it.run(Duration::from_secs(5));

        for group in GROUPS {
            for radio in &it.radios {
                let members = radio.act(|pattern, _| pattern.members(group.as_bytes()));
                assert_eq!(members, it.members(group), "members of {group:?}");
            }
        }
        for _ in 0..10 {
            let before = it.received;
            let group = it.say();
            it.run(Duration::from_millis(200));
            assert_eq!(it.received - before, RADIOS * it.members(group), "of {group:?}");
        }

        it.world.fabric().has_faults = seed.is_multiple_of(2);
        it.play(30);
        let radios = it.radios.iter().map(|hub| hub.clone() as Arc<dyn Station>);
        let dishes = it.dishes.iter().map(|hub| hub.clone() as Arc<dyn Station>);
        let stations: Vec<_> = radios.chain(dishes).collect();
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

//! Sockets that keep only the newest messages, and publishers that keep the newest of each topic, under faults: every message
//! is counted, none is followed by an older one, and once the faults are over everybody has the newest.

use crate::hub::Hub;
use crate::message::Message;
use crate::options::{AtMark, Options};
use crate::routing::{Awaited, Pattern, Receives, Sends};
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{conserved, send, small};
use crate::socket::publish::PubPattern;
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use crate::socket::subscribe::SubPattern;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const TOPICS: usize = 3;

/// One that sends, and those that receive from it.
struct News<A: Sends, B: Receives> {
    world: World,
    sender: Arc<Hub<A>>,
    receivers: Vec<Arc<Hub<B>>>,
    sender_dials: bool,
    next: u32,
    /// What was sent last, by topic.
    newest: BTreeMap<u8, u32>,
    /// What came last, by receiver, peer and topic. What an accepted one left unread may come behind what its next connection
    /// brings, which is another peer.
    last: BTreeMap<(usize, String, u8), u32>,
    /// The newest that came, by receiver and topic.
    known: BTreeMap<(usize, u8), u32>,
    /// How many messages a queue may hold, out and in.
    most: [u64; 2],
}

impl<A: Sends, B: Receives> News<A, B> {
    /// Either side dials; each socket stands on a node of its own.
    fn new(mut world: World, sender: Arc<Hub<A>>, receivers: Vec<Arc<Hub<B>>>) -> Self {
        let here = std::slice::from_ref(&sender);
        let sender_dials = world.chance.once_in(2);
        match sender_dials {
            true => world.mesh((0, here), (1, &receivers)),
            false => world.mesh((1, &receivers), (0, here)),
        }
        let capacity = world.chance.within(1..200);
        world.tear(capacity, 40);
        News {
            world,
            sender,
            receivers,
            sender_dials,
            next: 0,
            newest: BTreeMap::new(),
            last: BTreeMap::new(),
            known: BTreeMap::new(),
            most: [u64::MAX; 2],
        }
    }

    fn send(&mut self, topic: u8) -> bool {
        let is_sent = send(&self.sender, Message::from([&[topic][..], &self.next.to_be_bytes()]));
        if is_sent {
            self.newest.insert(topic, self.next);
            self.next += 1;
        }
        is_sent
    }

    fn recv(&mut self, n: usize) -> bool {
        let mut message = Message::empty();
        let taken = self.receivers[n].attempt(Awaited::Readable, |pattern, peers| {
            peers.witness(|peers| pattern.recv(peers, &mut message).then_some(()))
        });
        let Poll::Ready(Ok(((), peer))) = taken else {
            return false;
        };
        let topic = message.first()[0];
        let number = u32::from_be_bytes(message.frame(1).expect("a number").try_into().expect("four bytes"));
        // The newest of a topic may come twice: as it was published, and to whoever subscribes.
        let before = self.last.insert((n, peer.address().to_owned(), topic), number);
        assert!(before <= Some(number), "{n} got {number} after {before:?} of {peer:?}");
        let known = self.known.entry((n, topic)).or_default();
        *known = number.max(*known);
        true
    }

    fn knows_the_newest(&self, n: usize) {
        let known = self.known.iter().filter(|((of, _), _)| *of == n);
        let known: BTreeMap<u8, u32> = known.map(|(&(_, topic), &number)| (topic, number)).collect();
        assert_eq!(known, self.newest, "{n}");
    }

    fn check(&self) {
        check(&self.sender, self.most[0], self.most[1]);
        for hub in &self.receivers {
            check(hub, self.most[0], self.most[1]);
        }
    }

    fn play(&mut self, steps: usize) {
        self.world.fabric().has_faults = true;
        for _ in 0..steps {
            match self.world.chance.within(0..8) {
                0 | 1 => {
                    let topic = self.world.chance.within(0..TOPICS) as u8;
                    self.send(topic);
                }
                2 => {
                    let n = self.world.chance.within(0..self.receivers.len());
                    self.recv(n);
                }
                _ => self.world.step_or_sleep(),
            }
            self.check();
        }
        self.world.fabric().has_faults = false;
    }

    /// All connections end at once.
    fn reset(&self) {
        let mut fabric = self.world.fabric();
        for end in fabric.dialed() {
            fabric.reset(end, true);
        }
    }

    /// Everybody reads until nothing moves for so long.
    fn run(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            let received = (0..self.receivers.len()).filter(|&n| self.recv(n)).count();
            self.check();
            if !self.world.step() && received == 0 && !self.world.sleep(until) {
                return;
            }
        }
    }
}

fn check<P: Pattern>(hub: &Hub<P>, out: u64, incoming: u64) {
    conserved(hub);
    assert!(hub.has_told_all(), "a watcher was not told: {:#?}", hub.stats());
    for peer in hub.stats().peers {
        assert!(peer.out.queued <= out && peer.incoming.queued <= incoming, "{peer:#?}");
    }
}

/// Only the newest of all, or of each topic, is kept on the way out, in, or both.
fn the_newest_arrives<A: Sends, B: Receives>(
    seed: u64,
    by_topic: bool,
    sender: fn(&Options) -> A,
    receiver: fn(&Options) -> B,
    begin: fn(&Hub<B>),
) {
    let mut world = World::new(seed, 2);
    let conflates = world.chance.one_of(&[[true, false], [false, true], [true, true]]);
    let [out, incoming] = conflates.map(|conflates| match (conflates, by_topic) {
        (false, _) => small(&mut world.chance),
        (true, false) => small(&mut world.chance).conflate(),
        (true, true) => small(&mut world.chance).conflate_by_topic(TOPICS),
    });
    let sender = world.open(0, sender, out);
    let receiver = world.open(1, receiver, incoming);
    begin(&receiver);
    let mut it = News::new(world, sender, vec![receiver]);
    // Beside what is kept, as much may be on its way.
    let kept = if by_topic { TOPICS as u64 } else { 1 };
    let most = [2 * kept, kept];
    it.most = std::array::from_fn(|way| if conflates[way] { most[way] } else { u64::MAX });

    it.play(300);
    it.run(Duration::from_secs(5));

    // What was to be written comes back to who dials when the connection ends, and gives way to what is newer.
    it.world.fabric().set_capacity(0);
    for topic in [0, 1, 2, 0, 1, 2] {
        it.send(topic);
        it.world.settle();
        it.check();
    }
    it.reset();
    it.world.fabric().set_capacity(100);
    it.run(Duration::from_secs(5));
    if it.sender_dials && conflates[0] && by_topic {
        it.knows_the_newest(0);
    } else if it.sender_dials && conflates[0] {
        assert_eq!(it.known.get(&(0, 2)), it.newest.get(&2));
    }

    for topic in 0..TOPICS as u8 {
        assert!(it.send(topic), "there is room");
        it.run(Duration::from_millis(200));
    }
    it.knows_the_newest(0);
}

#[test]
fn the_newest_message_arrives_whatever_was_replaced_by_it() {
    with_seeds(200, |seed| {
        the_newest_arrives(seed, false, PushPattern::new, PullPattern::new, |_| {});
    });
}

#[test]
fn the_newest_of_each_topic_arrives_whatever_was_replaced_by_it() {
    with_seeds(200, |seed| {
        let publisher = |options: &Options| PubPattern::new(options, 7);
        the_newest_arrives(seed, true, publisher, SubPattern::new, subscribe_to_all);
    });
}

/// Also who missed it, or was not there: each connection brings the newest of what is subscribed to.
#[test]
fn who_connects_gets_the_newest_of_each_topic() {
    with_seeds(200, |seed| {
        let mut world = World::new(seed, 4);
        let at_mark = world.chance.one_of(&[AtMark::DropNewest, AtMark::DropOldest]);
        let options = small(&mut world.chance).at_mark(at_mark).last_values(TOPICS);
        let publisher = world.open(0, |options| PubPattern::new(options, seed), options);
        let mut subs: Vec<_> = (1..4)
            .map(|node| {
                let options = small(&mut world.chance);
                let sub = world.open(node, SubPattern::new, options);
                subscribe_to_all(&sub);
                sub
            })
            .collect();
        let late = subs.pop().expect("three");
        world.listen(0, &publisher, 9);
        let mut it = News::new(world, publisher, subs);

        it.play(300);
        it.run(Duration::from_secs(5));
        it.world.dial(3, &late, 9);
        it.receivers.push(late);
        it.reset();
        it.run(Duration::from_secs(5));

        (0..3).for_each(|n| it.knows_the_newest(n));
    });
}

fn subscribe_to_all(sub: &Hub<SubPattern>) {
    sub.act(|pattern, peers| pattern.interests().add(peers, b""));
}

//! STREAM to STREAM under faults: the law holds, no connection's bytes are torn but at its end, nothing comes twice, and
//! what both ends are told fits what has happened.

use crate::hub::Hub;
use crate::identity::Identity;
use crate::message::Message;
use crate::options::Options;
use crate::routing::{Addressed, Awaited, Peers};
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{check, small};
use crate::socket::stream::StreamPattern;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// One end: who it is connected to, and what came from there.
struct Side {
    hub: Arc<Hub<StreamPattern>>,
    /// By id: what came by the connection that is there now, and is no whole record yet.
    open: BTreeMap<Identity, Vec<u8>>,
    next: u32,
    /// The last record of each that was whole.
    last: BTreeMap<Identity, u32>,
    seen: BTreeSet<u32>,
    /// Whose connections this side has ended: only what was here already still comes of them.
    ended: BTreeSet<Identity>,
}

struct Line {
    world: World,
    /// The second dials the first.
    sides: [Side; 2],
}

/// A number, a length, and as many bytes that follow from the number.
fn record(number: u32, size: usize) -> Vec<u8> {
    let size = size.min(255);
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.push(size as u8);
    bytes.resize(5 + size, number as u8);
    bytes
}

impl Side {
    fn new(world: &mut World, node: usize) -> Self {
        let options = small(&mut world.chance).max_message_size(world.chance.within(1..400) as u64);
        let seed = world.chance.next();
        Side {
            hub: world.open(node, |options| StreamPattern::new(options, seed), options),
            open: BTreeMap::new(),
            next: 0,
            last: BTreeMap::new(),
            seen: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    fn receive(&mut self) -> bool {
        let mut message = Message::empty();
        let step = |pattern: &mut StreamPattern, peers: &mut Peers| pattern.recv(peers, &mut message);
        let Poll::Ready(Ok(from)) = self.hub.attempt(Awaited::Readable, step) else {
            return false;
        };
        assert_eq!(message.frame_count(), 1);
        if self.ended.contains(&from) {
            return true;
        }
        if message.byte_count() == 0 {
            if self.open.remove(&from).is_none() {
                self.open.insert(from, Vec::new());
            }
            return true;
        }
        let bytes = self
            .open
            .get_mut(&from)
            .expect("bytes come between its begin and its end");
        bytes.extend_from_slice(message.first());
        while let Some(&[a, b, c, d, size]) = bytes.get(..5).and_then(|head| <&[u8; 5]>::try_from(head).ok()) {
            let whole = 5 + usize::from(size);
            if bytes.len() < whole {
                break;
            }
            let number = u32::from_be_bytes([a, b, c, d]);
            assert_eq!(bytes[..whole], record(number, size.into()), "torn");
            let last = self.last.insert(from.clone(), number);
            assert!(last.is_none_or(|last| last < number), "{number} came after {last:?}");
            assert!(self.seen.insert(number), "{number} came twice");
            bytes.drain(..whole);
        }
        true
    }

    /// Sends a record to somebody who is there.
    fn send(&mut self, size: usize) -> bool {
        let Some(to) = self.open.keys().next().cloned() else {
            return false;
        };
        let message = match self.next.is_multiple_of(3) {
            true => Message::from([record(self.next, size), Vec::new()]),
            false => Message::from(record(self.next, size)),
        };
        let is_sent = self.give(&to, message);
        self.next += u32::from(is_sent);
        is_sent
    }

    /// Ends a connection; nothing more is told of it.
    fn end(&mut self) {
        if let Some(to) = self.open.keys().next().cloned()
            && self.give(&to, Message::from(""))
        {
            self.open.remove(&to);
            self.ended.insert(to);
        }
    }

    fn give(&self, to: &Identity, message: Message) -> bool {
        let mut message = message.into();
        let sent = self.hub.act(|pattern, peers| pattern.send_to(peers, to, &mut message));
        sent.is_ok()
    }
}

impl Line {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 2);
        let sides = [Side::new(&mut world, 0), Side::new(&mut world, 1)];
        world.listen(0, &sides[0].hub, 1);
        world.dial(1, &sides[1].hub, 1);
        let capacity = world.chance.within(1..300);
        world.tear(capacity, 40);
        Line { world, sides }
    }

    fn check(&self) {
        self.sides.iter().for_each(|side| drop(check(&side.hub)));
    }

    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            let n = self.world.chance.within(0..2);
            let size = self.world.chance.within(0..256);
            match self.world.chance.within(0..40) {
                0..6 => drop(self.sides[n].send(size)),
                6..12 => drop(self.sides[n].receive()),
                // The one that dials would not come back.
                12 if self.world.fabric().has_faults => self.sides[0].end(),
                _ => self.world.step_or_sleep(),
            }
            self.check();
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            let mut is_busy = self.sides[0].receive();
            is_busy |= self.sides[1].receive();
            self.check();
            if !self.world.step() && !is_busy && !self.world.sleep(until) {
                return;
            }
        }
    }
}

#[test]
fn bytes_are_whole_and_in_order_on_every_connection_and_flow_once_the_faults_are_over() {
    let ended = Cell::new(0);
    with_seeds(200, |seed| {
        let mut it = Line::new(seed);
        it.world.fabric().has_faults = true;
        it.play(600);
        it.world.fabric().has_faults = false;
        it.run(Duration::from_secs(5));

        for n in 0..2 {
            let other = 1 - n;
            assert_eq!(
                it.sides[n].open.len(),
                1,
                "one connection is there: {:?}",
                it.sides[n].open
            );
            let number = it.sides[n].next;
            assert!(it.sides[n].send(200), "a peer has no room");
            it.run(Duration::from_secs(1));
            assert!(it.sides[other].seen.contains(&number), "{n} does not reach the other");
        }
        ended.set(ended.get() + it.sides[0].ended.len());

        it.world.fabric().has_faults = seed.is_multiple_of(2);
        it.play(40);
        let closed = [0, 1].map(|n| it.world.close(n, it.sides[n].hub.clone()));
        let left = closed[0].max(closed[1]) - it.world.now();
        let Line { world, sides } = &mut it;
        world.run_until(left, || {
            sides.iter().for_each(|side| drop(check(&side.hub)));
            false
        });
        for side in &it.sides {
            assert!(side.hub.report().is_some(), "one is not closed");
            assert_eq!(check(&side.hub).incoming.queued, 0);
        }
        it.world.run_for(Duration::from_secs(2));
        assert_eq!(it.world.fabric().open_ends(), 0, "a stream is left open");
    });
    assert!(ended.get() > 0, "no connection was ended by a message");
}

/// Who comes and goes while nobody receives is not let in once the mark is reached, and nothing piles up.
#[test]
fn a_dialed_peer_that_comes_and_goes_unread_does_not_pile_up_notices() {
    let mut world = World::new(7, 2);
    let server = world.open(0, |options| StreamPattern::new(options, 1), Options::default());
    let options = Options::default()
        .recv_mark(4)
        .reconnect(Duration::from_millis(1), Duration::from_millis(1));
    let client = world.open(1, |options| StreamPattern::new(options, 2), options);
    world.listen(0, &server, 1);
    world.dial(1, &client, 1);
    for _ in 0..50 {
        world.run_for(Duration::from_millis(100));
        let mut message = Message::empty();
        let mut step = |pattern: &mut StreamPattern, peers: &mut Peers| pattern.recv(peers, &mut message);
        while let Poll::Ready(Ok(from)) = server.attempt(Awaited::Readable, &mut step) {
            let _gone = server.act(|pattern, peers| pattern.send_to(peers, &from, &mut "".into()));
        }
    }

    let stats = check(&client);

    assert!((4..=5).contains(&stats.incoming.queued), "{stats:#?}");
    assert!(stats.reconnects < 5, "{stats:#?}");
}

//! Many at once against so many one by one: the same operations in two worlds, the same messages, wants and counts.

use crate::message::{Message, Outgoing};
use crate::options::Mark;
use crate::routing::{FairQueue, LoadBalance, Lot, PeerId, PeerKind, Peers, Want};
use crate::sim::chance::{Chance, with_seeds};

#[derive(Clone, Copy)]
enum By {
    One,
    Many,
}

struct World {
    by: By,
    peers: Peers,
    out: LoadBalance,
    queue: FairQueue,
    ids: Vec<PeerId>,
}

impl World {
    fn new(by: By, marks: [Mark; 2]) -> Self {
        World {
            by,
            peers: Peers::new(marks[0], marks[1]),
            out: LoadBalance::new(false),
            queue: FairQueue::default(),
            ids: Vec::new(),
        }
    }

    fn attach(&mut self) {
        let id = self.peers.attach(PeerKind::Dialed, String::new());
        self.out.enter(&mut self.peers, id);
        drop(self.peers.connected(id, None));
        self.ids.push(id);
        self.collect(self.ids.len() - 1);
    }

    /// As long as they are taken; says how many are.
    fn send(&mut self, frames: &[Vec<u8>]) -> usize {
        match self.by {
            By::One => {
                let mut send = |message: &mut Outgoing<'_>| self.out.send(&mut self.peers, &[], message).is_some();
                frames
                    .iter()
                    .take_while(|frame| send(&mut Outgoing::from(*frame)))
                    .count()
            }
            By::Many => {
                let mut lot = Lot::default();
                for message in frames.iter().map(Outgoing::from) {
                    if !lot.pack(&message) {
                        lot.push(message, 0);
                    }
                }
                let mut sent = 0;
                loop {
                    let more = self.out.send_many(&mut self.peers, &mut lot);
                    sent += more;
                    assert_eq!(lot.len(), frames.len() - sent);
                    lot.let_go();
                    if more == 0 {
                        return sent;
                    }
                }
            }
        }
    }

    fn recv(&mut self, limit: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        match self.by {
            By::Many => {
                let count = self.queue.recv_many(&mut self.peers, &mut messages, limit);
                assert_eq!(count, messages.len());
            }
            By::One => {
                let mut message = Message::empty();
                while messages.len() < limit && self.queue.recv(&mut self.peers, &mut message).is_some() {
                    messages.push(message.clone());
                }
            }
        }
        messages
    }

    /// Batch by batch.
    fn collect(&mut self, at: usize) -> Vec<Vec<Message>> {
        let id = self.ids[at];
        let mut collected = Vec::new();
        while let Some(batch) = self.peers.collect(id, Default::default(), Vec::new()) {
            self.peers.moved(id, batch.tally());
            let mut run = batch.into_run();
            collected.push(std::iter::from_fn(|| run.pop()).collect());
        }
        collected
    }

    fn deliver(&mut self, at: usize, frames: &[Vec<u8>]) {
        let id = self.ids[at];
        let mut batch = crate::batch::Batch::default();
        let room = self.peers.room(id);
        for frame in frames.iter().take(room.messages) {
            batch.push(&[], &mut frame.into());
        }
        if !batch.is_empty() {
            self.peers.deliver(id, &mut batch.into_run());
            self.queue.enter(id);
        }
    }

    /// What routing wants, and what a hub does with it.
    fn settle(&mut self) -> Vec<Want> {
        let wants: Vec<_> = std::mem::take(&mut self.peers.wants).into_iter().collect();
        for want in &wants {
            if let Want::Room(id) = want {
                self.out.enter(&mut self.peers, *id);
            }
        }
        wants
    }
}

/// Of all the lengths that are treated differently, the short ones more often.
fn frames(chance: &mut Chance, most: usize) -> Vec<Vec<u8>> {
    let count = chance.within(1..most + 1);
    let of = |chance: &mut Chance| {
        let longest = chance.one_of(&[4, 20, 64, 70, 255, 255, 600, 1024, 3000]);
        let len = chance.within(0..longest + 1);
        (0..len).map(|_| chance.next() as u8).collect()
    };
    (0..count).map(|_| of(chance)).collect()
}

#[test]
fn many_at_once_do_what_so_many_one_by_one_do() {
    with_seeds(200, |seed| {
        let mut chance = Chance::new(seed);
        let most = chance.one_of(&[4, 30, 300]);
        let mut mark = || Mark {
            messages: chance.within(1..most),
            bytes: chance.one_of(&[1, 1_000, 50_000, usize::MAX]),
        };
        let marks = [mark(), mark()];
        let peers = chance.within(1..4);
        let mut worlds = [By::One, By::Many].map(|by| World::new(by, marks));
        worlds.iter_mut().for_each(World::attach);
        for _ in 0..100 {
            let at = chance.within(0..worlds[0].ids.len());
            let does = chance.within(0..8);
            let (frames, limit) = (frames(&mut chance, most), chance.within(1..most + 1));
            let [one, many] = worlds.each_mut().map(|world| {
                let (mut sent, mut messages) = (0, Vec::new());
                match does {
                    0 if world.ids.len() < peers => world.attach(),
                    0 | 1 => messages = world.collect(at),
                    2 | 3 => world.deliver(at, &frames),
                    4 | 5 => messages = vec![world.recv(limit)],
                    _ => sent = world.send(&frames),
                }
                (sent, messages, world.settle(), world.peers.stats())
            });
            assert_eq!(one, many);
        }
    });
}

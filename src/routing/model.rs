//! Routing against a naive model: random operations, plain lists, the same answers.
//!
//! The model keeps a list of numbers for each place a message can be in. It is slow, and easy to believe.

use super::{FairQueue, LoadBalance, PeerId, PeerKind, Peers, Want};
use crate::batch::{Batch, Run};
use crate::message::{Message, Outgoing};
use crate::options::Mark;
use crate::sim::chance::{Chance, with_seeds};
use crate::stats::DropReason;

/// One peer, naively.
struct Model {
    id: PeerId,
    is_up: bool,
    queued: Vec<u32>,
    /// What was collected, as numbers and as the batch.
    writing: Vec<u32>,
    batch: Option<Batch>,
    unread: Vec<u32>,
    /// Sends to others since it last took one while it had room all the time.
    passed_over: usize,
}

struct Bench {
    chance: Chance,
    peers: Peers,
    out: LoadBalance,
    queue: FairQueue,
    mark: usize,
    models: Vec<Model>,
    next: u32,
    sent: u64,
    written: u64,
    dropped: u64,
    arrived: u64,
    received: u64,
}

fn number(message: &Message) -> u32 {
    u32::from_be_bytes(message.first().try_into().expect("four bytes"))
}

fn mark(messages: usize) -> Mark {
    Mark {
        messages,
        bytes: 1 << 30,
    }
}

impl Bench {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let send_mark = chance.within(1..9);
        Bench {
            peers: Peers::new(mark(send_mark), mark(chance.within(1..9))),
            out: LoadBalance::new(false),
            queue: FairQueue::default(),
            mark: send_mark,
            models: Vec::new(),
            next: 0,
            sent: 0,
            written: 0,
            dropped: 0,
            arrived: 0,
            received: 0,
            chance,
        }
    }

    fn any(&mut self) -> Option<usize> {
        (!self.models.is_empty()).then(|| self.chance.within(0..self.models.len()))
    }

    /// What a hub does with what routing wants.
    fn settle(&mut self) {
        for want in std::mem::take(&mut self.peers.wants) {
            match want {
                Want::Room(id) => self.out.enter(&mut self.peers, id),
                Want::Flush(id) => {
                    let model = self.models.iter().find(|model| model.id == id).expect("a peer");
                    assert!(
                        model.batch.is_none() && model.is_up,
                        "a flush is asked of one that has a batch, or is down"
                    );
                }
                _ => {}
            }
        }
    }

    fn attach(&mut self) {
        let id = self.peers.attach(PeerKind::Dialed, String::new());
        self.out.enter(&mut self.peers, id);
        self.models.push(Model {
            id,
            is_up: false,
            queued: Vec::new(),
            writing: Vec::new(),
            batch: None,
            unread: Vec::new(),
            passed_over: 0,
        });
    }

    fn detach(&mut self, at: usize) {
        self.disconnect(at, 0);
        let model = self.models.swap_remove(at);
        // Fewer peers make a round shorter: it is counted from here.
        self.models.iter_mut().for_each(|other| other.passed_over = 0);
        self.dropped += model.queued.len() as u64;
        drop(self.peers.drop_queue(model.id, Vec::new(), DropReason::PeerLost));
        drop(self.peers.drop_incoming(model.id, DropReason::Closed));
        self.received += model.unread.len() as u64;
        self.out.remove(model.id);
        self.queue.remove(model.id);
        self.peers.detach(model.id);
    }

    fn connect(&mut self, at: usize) {
        let model = &mut self.models[at];
        if !model.is_up {
            model.is_up = true;
            drop(self.peers.connected(model.id, None));
            self.out.enter(&mut self.peers, model.id);
            // A session that is ready flushes: until it finds nothing, it is answerable for the queue.
            self.collect(at);
        }
    }

    /// The connection ends; so many of the messages of its batch were wholly written, and a part of the next one.
    fn disconnect(&mut self, at: usize, wholly: usize) {
        let model = &mut self.models[at];
        if !model.is_up {
            return;
        }
        model.is_up = false;
        let wholly = wholly.min(model.writing.len());
        // Two bytes of a header, four of a number.
        let bytes = if wholly == model.writing.len() {
            wholly * 6
        } else {
            wholly * 6 + 5
        };
        let batch = model.batch.take().map(|batch| (batch, bytes));
        let (unwritten, _written) = self.peers.disconnected(model.id, batch, "lost".into());
        assert_eq!(
            unwritten.iter().map(number).collect::<Vec<_>>(),
            model.writing[wholly..]
        );
        self.peers.put_back(model.id, unwritten);
        let mut rest = model.writing.split_off(wholly);
        self.written += model.writing.len() as u64;
        rest.append(&mut model.queued);
        model.queued = rest;
        model.writing.clear();
        self.out.enter(&mut self.peers, model.id);
    }

    fn send(&mut self) {
        let with_room = |model: &Model| model.queued.len() + model.writing.len() < self.mark;
        let bytes = self.next.to_be_bytes();
        let mut message = Outgoing::from(&bytes);
        match self.out.send(&mut self.peers, &[], &mut message) {
            None => {
                // A full peer is wanted again at half its mark only, so one with a little room may be passed over.
                let is_low = |model: &Model| model.queued.len() + model.writing.len() <= self.mark / 2;
                assert!(!self.models.iter().any(is_low), "a peer at its low mark is not found");
            }
            Some(id) => {
                let model = self.models.iter().position(|model| model.id == id).expect("a peer");
                assert!(with_room(&self.models[model]), "above the mark");
                self.models[model].queued.push(self.next);
                self.next += 1;
                self.sent += 1;
                let (mark, count) = (self.mark, self.models.len());
                for (at, other) in self.models.iter_mut().enumerate() {
                    let has_room = other.queued.len() + other.writing.len() <= mark / 2;
                    other.passed_over = if at != model && has_room {
                        other.passed_over + 1
                    } else {
                        0
                    };
                    assert!(other.passed_over <= count, "a ready peer is not served in its turn");
                }
            }
        }
    }

    fn collect(&mut self, at: usize) {
        let model = &mut self.models[at];
        if !model.is_up {
            return;
        }
        let done = model.batch.take().map(|batch| batch.tally()).unwrap_or_default();
        self.written += model.writing.drain(..).count() as u64;
        model.batch = self.peers.collect(model.id, done, Vec::new());
        let count = model.batch.as_ref().map_or(0, Batch::messages);
        assert!(count <= self.mark, "more than a mark at once");
        assert!(
            count > 0 || model.queued.is_empty(),
            "something is queued, and nothing is given"
        );
        model.writing = model.queued.drain(..count).collect();
    }

    fn deliver(&mut self, at: usize) {
        let model = &mut self.models[at];
        let room = self.peers.room(model.id);
        let count = if room.messages == 0 {
            0
        } else {
            self.chance.within(0..room.messages + 1)
        };
        let mut batch = Batch::default();
        for _ in 0..count {
            batch.push(&[], &mut Outgoing::from(&self.next.to_be_bytes()));
            model.unread.push(self.next);
            self.next += 1;
        }
        self.arrived += count as u64;
        let mut run: Run = batch.into_run();
        self.peers.deliver(model.id, &mut run);
        if count > 0 {
            self.queue.enter(model.id);
        }
    }

    fn recv(&mut self) {
        let mut message = Message::empty();
        match self.queue.recv(&mut self.peers, &mut message) {
            None => assert!(
                self.models.iter().all(|model| model.unread.is_empty()),
                "a message is not found"
            ),
            Some(id) => {
                let model = self.models.iter_mut().find(|model| model.id == id).expect("a peer");
                assert_eq!(number(&message), model.unread.remove(0));
                self.received += 1;
            }
        }
    }

    fn check(&mut self) {
        let stats = self.peers.stats();
        assert!(stats.out.is_conserved() && stats.incoming.is_conserved(), "{stats:#?}");
        let left: usize = self
            .models
            .iter()
            .map(|model| model.queued.len() + model.writing.len())
            .sum();
        let out = (
            stats.out.taken,
            stats.out.passed,
            stats.out.dropped.total(),
            stats.out.queued,
        );
        assert_eq!(out, (self.sent, self.written, self.dropped, left as u64));
        let unread: usize = self.models.iter().map(|model| model.unread.len()).sum();
        let taken = stats.incoming.passed + stats.incoming.dropped.total();
        assert_eq!(
            (stats.incoming.taken, taken, stats.incoming.queued),
            (self.arrived, self.received, unread as u64)
        );
    }

    fn step(&mut self) {
        let at = self.any();
        match (self.chance.within(0..24), at) {
            (0, _) if self.models.len() < 5 => self.attach(),
            (1, Some(at)) if self.chance.once_in(4) => self.detach(at),
            (2 | 3, Some(at)) => self.connect(at),
            (4, Some(at)) => {
                let wholly = self.chance.within(0..5);
                self.disconnect(at, wholly);
            }
            (5..=13, _) => self.send(),
            (14..=17, Some(at)) => self.collect(at),
            (18..=19, Some(at)) => self.deliver(at),
            _ => self.recv(),
        }
        self.settle();
        self.check();
    }
}

#[test]
fn peers_in_turn_do_what_plain_lists_do() {
    with_seeds(500, |seed| {
        let mut run = Bench::new(seed);
        (0..300).for_each(|_| run.step());
    });
}

#[test]
fn a_peer_takes_exactly_its_mark_and_is_wanted_again_at_half_of_it() {
    for messages in [1, 2, 3, 8, 1000] {
        let mut run = Bench::new(0);
        run.mark = messages;
        run.peers = Peers::new(mark(messages), mark(messages));
        run.attach();
        run.connect(0);
        for _ in 0..messages + 5 {
            run.send();
            run.peers.wants.clear();
        }
        assert_eq!(run.models[0].queued.len(), messages);
        let held = |run: &Bench| run.models[0].queued.len() + run.models[0].writing.len();
        while held(&run) > messages / 2 {
            assert!(run.peers.wants.is_empty());
            run.collect(0);
        }
        assert_eq!(run.peers.wants, [Want::Room(run.models[0].id)]);
    }
}

#[test]
fn every_peer_with_messages_is_served_within_as_many_turns_as_there_are_peers() {
    let mut run = Bench::new(0);
    run.peers = Peers::new(mark(8), mark(100));
    for _ in 0..5 {
        run.attach();
    }
    for at in 0..5 {
        while run.models[at].unread.len() < 10 + at {
            run.deliver(at);
        }
    }
    while run.models.iter().all(|model| !model.unread.is_empty()) {
        let before: Vec<_> = run.models.iter().map(|model| model.unread.len()).collect();
        (0..5).for_each(|_| run.recv());
        for (model, before) in run.models.iter().zip(before) {
            assert_eq!(model.unread.len(), before - 1);
        }
    }
}

//! Publishing against a naive model, and against itself where each queue is looked at after each step: nothing stands on a
//! stage there.

use super::{FanOut, Matching};
use crate::batch::Batch;
use crate::message::{Message, Outgoing};
use crate::options::{AtMark, Mark, Publishing};
use crate::routing::{PeerId, PeerKind, Peers, Want, keep_or_drop};
use crate::sim::chance::{Chance, with_seeds};
use crate::stats::{DropReason, SocketStats};
use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

/// One subscriber, naively.
struct Model {
    id: PeerId,
    kind: PeerKind,
    is_up: bool,
    topics: BTreeSet<Vec<u8>>,
    queued: VecDeque<Message>,
    writing: Vec<Message>,
    batch: Option<Batch>,
    /// Whoever makes its queue not empty has somebody flush.
    is_idle: bool,
}

struct World {
    fan: FanOut,
    peers: Peers,
    matching: Matching,
    mark: Mark,
    at_mark: AtMark,
    now: Instant,
    models: Vec<Model>,
    taken: u64,
    passed: u64,
    dropped: u64,
}

fn is_at(mark: Mark, model: &Model) -> bool {
    let held = || model.queued.iter().chain(&model.writing);
    held().count() >= mark.messages || held().map(|message| 64 + message.byte_count()).sum::<usize>() >= mark.bytes
}

impl World {
    fn new(matching: Matching, mark: Mark, at_mark: AtMark, now: Instant) -> Self {
        let options = Publishing {
            at_mark,
            ..Publishing::default()
        };
        World {
            fan: FanOut::new(matching, &options, 7),
            peers: Peers::new(mark, mark),
            matching,
            mark,
            at_mark,
            now,
            models: Vec::new(),
            taken: 0,
            passed: 0,
            dropped: 0,
        }
    }

    fn attach(&mut self, kind: PeerKind) {
        let id = self.peers.attach(kind, "subscriber");
        self.models.push(Model {
            id,
            kind,
            is_up: false,
            topics: BTreeSet::new(),
            queued: VecDeque::new(),
            writing: Vec::new(),
            batch: None,
            is_idle: false,
        });
        self.connect(self.models.len() - 1, b"a");
    }

    fn connect(&mut self, at: usize, topic: &[u8]) {
        let model = &mut self.models[at];
        if !model.is_up {
            model.is_up = true;
            drop(self.peers.connected(model.id, None));
            self.fan.connected(&mut self.peers, model.id, None);
            self.subscribe(at, topic);
        }
    }

    /// The connection ends, with so many of a hundred bytes written of what it had collected.
    fn disconnect(&mut self, at: usize, written: usize) {
        let model = &mut self.models[at];
        if !model.is_up {
            return;
        }
        model.is_up = false;
        model.is_idle = false;
        model.topics.clear();
        let written = |batch: &Batch| batch.wire_len() * written / 100;
        let batch = model.batch.take().map(|batch| (written(&batch), batch));
        let batch = batch.map(|(written, batch)| (batch, written));
        let (unwritten, _) = self.peers.disconnected(model.id, batch, "lost".into());
        let rest = model.writing.split_off(model.writing.len() - unwritten.len());
        assert_eq!(unwritten, rest);
        self.passed += model.writing.drain(..).count() as u64;
        rest.into_iter()
            .rev()
            .for_each(|message| model.queued.push_front(message));
        self.fan.remove(&mut self.peers, model.id, |_, _| {});
        drop(keep_or_drop(&mut self.peers, model.id, unwritten, DropReason::PeerLost));
        if model.kind == PeerKind::Accepted {
            self.dropped += model.queued.len() as u64;
            self.peers.detach(model.id);
            self.models.swap_remove(at);
        }
    }

    fn subscribe(&mut self, at: usize, topic: &[u8]) {
        let model = &mut self.models[at];
        if model.is_up {
            model.topics.insert(topic.to_vec());
            self.fan.subscribe(&mut self.peers, model.id, topic);
        }
    }

    fn cancel(&mut self, at: usize, topic: &[u8]) {
        let model = &mut self.models[at];
        model.topics.remove(topic);
        self.fan.cancel(&mut self.peers, model.id, topic);
    }

    fn set_mark(&mut self, messages: usize) {
        self.mark.messages = messages;
        self.peers.set_marks(|send, _| send.messages = messages);
    }

    fn publish(&mut self, message: &Message) {
        let (matching, mark, at_mark) = (self.matching, self.mark, self.at_mark);
        let topic = message.first()[..1].to_vec();
        let group = (matching == Matching::Exact).then_some(&topic[..]);
        let is_sent = self.fan.send(&mut self.peers, group, &mut Outgoing::from(message));

        let frames = group.into_iter().chain(message.frames()).map(<[u8]>::to_vec);
        let delivered = Message::from_frames(frames).expect("a frame");
        let wants = |model: &&mut Model| match matching {
            Matching::Prefix => model.topics.iter().any(|other| topic.starts_with(other)),
            Matching::Exact => model.topics.contains(&topic),
        };
        let mut chosen: Vec<_> = self.models.iter_mut().filter(wants).collect();
        let must_wait = at_mark == AtMark::Block && chosen.iter().any(|model| is_at(mark, model));
        assert_eq!(is_sent, !must_wait);
        if must_wait {
            return;
        }
        if chosen.is_empty() {
            self.taken += 1;
            self.dropped += 1;
        }
        for model in &mut chosen {
            self.taken += 1;
            let mut has_room = !is_at(mark, model);
            while at_mark == AtMark::DropOldest && is_at(mark, model) && model.queued.pop_front().is_some() {
                self.dropped += 1;
                has_room = true;
            }
            match has_room {
                true => model.queued.push_back(delivered.clone()),
                false => self.dropped += 1,
            }
            let flushes = self.peers.wants.iter().filter(|want| **want == Want::Flush(model.id));
            assert_eq!(flushes.count(), usize::from(has_room && model.is_idle));
            model.is_idle &= !has_room;
        }
    }

    /// All of what was collected is written. Gives how much is collected now.
    fn collect(&mut self, at: usize) -> usize {
        let model = &mut self.models[at];
        if !model.is_up {
            return 0;
        }
        let mut written = Default::default();
        if let Some(batch) = model.batch.take() {
            written = batch.tally();
            let len = batch.wire_len();
            let (messages, _) = batch.split_unwritten(len);
            assert_eq!(messages, model.writing);
        }
        self.passed += model.writing.drain(..).count() as u64;
        model.batch = self.peers.collect(model.id, written, Vec::new());
        let count = model.batch.as_ref().map_or(0, Batch::messages);
        assert!(
            count > 0 || model.queued.is_empty(),
            "nothing is collected of something"
        );
        model.is_idle = count == 0;
        model.writing = model.queued.drain(..count).collect();
        count
    }

    fn settle(&mut self) -> Vec<Want> {
        let mut all = Vec::new();
        while !self.peers.wants.is_empty() {
            for want in std::mem::take(&mut self.peers.wants) {
                match want {
                    Want::Room(id) => self.fan.has_room(&mut self.peers, id),
                    Want::Time(id) => self.peers.time(id, self.now),
                    _ => {}
                }
                all.push(want);
            }
        }
        // A publish asks its peers in another order: those first that are on no stage.
        all.sort_by_key(|want| format!("{want:?}"));
        all
    }

    /// At each queue: nothing of it stands on a stage any more.
    fn look(&mut self) {
        for model in &self.models {
            let held = model.queued.len() + model.writing.len();
            assert_eq!(self.peers.outgoing(model.id), held);
        }
    }

    fn check(&mut self) -> SocketStats {
        self.look();
        let stats = self.peers.stats();
        let out = &stats.out;
        assert!(out.is_conserved(), "{out:#?}");
        let counted = (out.taken, out.passed, out.dropped.total());
        assert_eq!(counted, (self.taken, self.passed, self.dropped));
        stats
    }
}

fn message(chance: &mut Chance, least: usize, topics: &[u8]) -> Message {
    let topic = chance.one_of(topics);
    let longest = chance.one_of(&[1, 20, 64, 64, 200, 1_500]);
    let mut frame = vec![topic];
    frame.resize(1 + least, 7);
    frame.extend((0..chance.within(0..longest)).map(|_| chance.next() as u8));
    match chance.within(0..8) {
        0 => Message::from([frame, vec![7; 3]]),
        1 if chance.once_in(8) => Message::from(vec![topic; 5_000]),
        _ => Message::from(frame),
    }
}

#[test]
fn many_subscribers_get_what_plain_lists_and_looked_at_queues_give_them() {
    let (begin, staged, shared) = (Instant::now(), Cell::new(0), Cell::new(0));
    with_seeds(100, |seed| {
        let mut chance = Chance::new(seed);
        // Some publish long messages in peace: much stands on a stage, and batches become as large as any.
        let is_calm = chance.once_in(8);
        let (count, least, topics, often, rarely) = match is_calm {
            true => (900, 800, &[b'a'; 100][..], 600, 400),
            false => (300, 0, &b"aaaaaaaaaaaaab"[..], 60, 40),
        };
        let mark = Mark {
            messages: match chance.within(0..3) {
                _ if is_calm => 1_000,
                0 => chance.within(1..9),
                1 => chance.within(9..60),
                _ => 1_000,
            },
            bytes: match is_calm {
                true => usize::MAX,
                false => chance.one_of(&[1_000, 20_000, usize::MAX]),
            },
        };
        let at_mark = chance.one_of(&[
            AtMark::DropNewest,
            AtMark::DropOldest,
            AtMark::Disconnect,
            AtMark::Block,
        ]);
        let most = chance.within(3..20);
        let matching = match is_calm {
            true => Matching::Prefix,
            false => chance.one_of(&[Matching::Prefix, Matching::Exact]),
        };
        let mut worlds = [(); 2].map(|()| World::new(matching, mark, at_mark, begin));
        for _ in 0..most {
            let kind = chance.one_of(&[PeerKind::Dialed, PeerKind::Accepted]);
            worlds.iter_mut().for_each(|world| world.attach(kind));
        }
        for _ in 0..count {
            let (at, does, kind) = (chance.next() as usize, chance.within(0..often), chance.within(0..2));
            let (topic, written) = (chance.one_of(&[&b""[..], b"a", b"a", b"b"]), chance.within(0..101));
            let (message, looks) = (message(&mut chance, least, topics), chance.once_in(rarely));
            let [one, other] = worlds.each_mut().map(|world| {
                let count = world.models.len();
                let (at, mark) = (at % count.max(1), 1 + at % 50);
                let mut collected = 0;
                match does {
                    0 if count < most => world.attach([PeerKind::Dialed, PeerKind::Accepted][kind]),
                    1 if count > 0 && written < 30 => world.disconnect(at, written * 3),
                    2 if count > 0 => world.connect(at, topic),
                    3 if count > 0 => world.subscribe(at, topic),
                    4 if count > 0 && written < 30 => world.cancel(at, topic),
                    5 if written < 10 => world.set_mark(mark),
                    6..15 if count > 0 => collected = world.collect(at),
                    _ => world.publish(&message),
                }
                (collected, world.settle(), world.peers.staged(), world.peers.sealed())
            });
            // Who stays on a stage may have a batch that ends later.
            assert!(is_calm || (one.0, &one.1) == (other.0, &other.1), "{one:?} {other:?}");
            staged.set(staged.get() + one.2);
            shared.set(shared.get() + one.3);
            worlds[1].look();
            if looks {
                let [one, other] = worlds.each_mut().map(World::check);
                assert!(is_calm || one == other, "{one:#?} {other:#?}");
            }
        }
        let [one, other] = worlds.each_mut().map(World::check);
        assert!(is_calm || one == other, "{one:#?} {other:#?}");
    });
    assert!(staged.get() > 0, "a stage is used");
    assert!(shared.get() > 0, "and queues share what stands on it");
}

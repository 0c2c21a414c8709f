//! REQ and REP under faults: every request ends, with its own reply or as lost, and no fault wedges the next one.

use crate::engine::notes::Note;
use crate::hub::Hub;
use crate::message::Message;
use crate::routing::Awaited;
use crate::sim::World;
use crate::sim::chance::with_seeds;
use crate::sim::laws::{check, small};
use crate::socket::reply::{Asked, RepPattern};
use crate::socket::request::{Outcome, ReqPattern};
use crate::stats::DropReason;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

struct Service {
    world: World,
    reqs: Vec<Arc<Hub<ReqPattern>>>,
    reps: Vec<Arc<Hub<RepPattern>>>,
    /// What was asked, by asker and id.
    open: BTreeMap<(usize, u32), Vec<u8>>,
    /// Received, not replied to yet.
    taken: Vec<(usize, Asked)>,
    next: u32,
    kind: Kind,
    replied: u64,
    lost: u64,
    asked: u64,
}

/// How requests are told apart, and whether they are sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Correlated,
    InLockstep,
    Retried,
}

impl Service {
    fn new(seed: u64, kind: Kind) -> Self {
        let mut world = World::new(seed, 4);
        let reqs: Vec<_> = (0..2)
            .map(|n| {
                let mut options = small(&mut world.chance).correlate(kind != Kind::InLockstep);
                if kind == Kind::Retried {
                    options = options.retry(Duration::from_millis(300), 20);
                }
                let first_id = world.chance.next() as u32;
                world.open(n, |options| ReqPattern::new(options, first_id), options)
            })
            .collect();
        let reps: Vec<_> = (0..2)
            .map(|n| {
                let options = small(&mut world.chance);
                world.open(2 + n, RepPattern::new, options)
            })
            .collect();
        let reqs_dial = !world.chance.once_in(3);
        match reqs_dial {
            true => world.mesh((0, &reqs), (2, &reps)),
            false => world.mesh((2, &reps), (0, &reqs)),
        }
        let capacity = world.chance.within(1..300);
        world.tear(capacity, 40);
        Service {
            world,
            reqs,
            reps,
            open: BTreeMap::new(),
            taken: Vec::new(),
            next: 0,
            kind,
            replied: 0,
            lost: 0,
            asked: 0,
        }
    }

    fn ask(&mut self, n: usize) -> Option<u32> {
        let size = self.world.chance.within(0..40);
        let body = [&self.next.to_be_bytes()[..], &vec![n as u8; size]].concat();
        let mut message = Message::from(body.clone()).into();
        let step = |pattern: &mut ReqPattern, peers: &mut _| pattern.ask(peers, &mut message);
        let Poll::Ready(Ok(id)) = self.reqs[n].attempt(Awaited::Writable, step) else {
            return None;
        };
        self.next += 1;
        self.asked += 1;
        assert!(self.open.insert((n, id), body).is_none(), "the id {id} is given twice");
        let now = self.world.now();
        if let Some(at) = self.reqs[n].act(|pattern, _| pattern.begin_waiting(id, now)) {
            let station = self.reqs[n].clone();
            self.world.nodes[n].seat.note(Note::Alarm { station, at });
        }
        Some(id)
    }

    /// Takes what has come to the askers.
    fn collect(&mut self) {
        for (n, id) in self.open.keys().copied().collect::<Vec<_>>() {
            let outcome = self.reqs[n].attempt(Awaited::Reply(id), |pattern, peers| pattern.take(peers, id));
            match outcome {
                Poll::Ready(Ok(Outcome::Replied(reply))) => {
                    assert_eq!(
                        Some(reply.first()),
                        self.open.get(&(n, id)).map(|body| &body[..]),
                        "another's reply"
                    );
                    self.replied += 1;
                }
                Poll::Ready(Ok(Outcome::PeerLost)) => self.lost += 1,
                _ => continue,
            }
            self.forget(n, id);
        }
    }

    fn forget(&mut self, n: usize, id: u32) {
        self.reqs[n].act(|pattern, peers| {
            pattern.forget(peers, id);
        });
        self.open.remove(&(n, id));
    }

    fn receive(&mut self, n: usize) {
        if let Poll::Ready(Ok(asked)) = self.reps[n].attempt(Awaited::Readable, RepPattern::recv) {
            self.taken.push((n, asked));
        }
    }

    /// Replies in any order.
    fn reply(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let which = self.world.chance.within(0..self.taken.len());
        let (n, asked) = self.taken.swap_remove(which);
        let _refused = self.reps[n].act(|_, peers| asked.reply(peers, &mut (&asked.body).into()));
    }

    fn check(&self) {
        check_all(&self.reqs, &self.reps);
    }

    fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            let n = self.world.chance.within(0..2);
            match self.world.chance.within(0..10) {
                0 => drop(self.ask(n)),
                1 => self.receive(n),
                2 => self.reply(),
                3 if self.kind != Kind::InLockstep && self.world.chance.once_in(8) => {
                    // One who asked gives up. Without an id its reply could be taken for the next one's.
                    if let Some(&(n, id)) = self.open.keys().next() {
                        self.forget(n, id);
                    }
                }
                4 => self.collect(),
                _ => self.world.step_or_sleep(),
            }
            self.check();
        }
    }

    /// Serves for this long, or until nobody waits for a reply.
    fn serve(&mut self, time: Duration) {
        let until = self.world.now() + time;
        loop {
            (0..2).for_each(|n| self.receive(n));
            let is_idle = self.taken.is_empty();
            self.reply();
            self.collect();
            self.check();
            if !self.world.step() && is_idle && !self.world.sleep(until) {
                return;
            }
        }
    }
}

fn check_all(reqs: &[Arc<Hub<ReqPattern>>], reps: &[Arc<Hub<RepPattern>>]) {
    reqs.iter().for_each(|hub| drop(check(hub)));
    reps.iter().for_each(|hub| drop(check(hub)));
}

fn requests_survive(seed: u64, kind: Kind) {
    let mut it = Service::new(seed, kind);
    it.world.fabric().has_faults = true;
    it.play(300);
    it.world.fabric().has_faults = false;
    it.serve(Duration::from_secs(5));

    // A reply that its client had no room for is counted; those that ask for it wait in vain, and give up.
    let refused: u64 = it
        .reps
        .iter()
        .map(|hub| check(hub).out.dropped.of(DropReason::PeerFull))
        .sum();
    assert!(
        kind != Kind::Retried || it.open.is_empty(),
        "sent again, each is answered"
    );
    assert!(
        it.open.len() as u64 <= refused,
        "{} wait for ever, {refused} were refused",
        it.open.len()
    );
    for (n, id) in it.open.keys().copied().collect::<Vec<_>>() {
        it.forget(n, id);
    }

    // Nothing is wedged: each new request is answered.
    let lost = it.lost;
    for n in [0, 1, 0, 1, 0, 1] {
        let before = it.replied;
        it.ask(n).expect("there is room");
        it.serve(Duration::from_secs(1));
        assert_eq!(it.replied, before + 1, "a request is not answered");
    }
    assert_eq!(it.lost, lost);

    it.world.fabric().has_faults = seed.is_multiple_of(2);
    it.play(40);
    let mut last = it.world.now();
    for n in 0..2 {
        last = last.max(it.world.close(n, it.reqs[n].clone()));
        last = last.max(it.world.close(2 + n, it.reps[n].clone()));
    }
    let left = last - it.world.now();
    let Service { world, reqs, reps, .. } = &mut it;
    world.run_until(left, || {
        check_all(reqs, reps);
        false
    });
    assert!(it.reqs.iter().all(|hub| hub.report().is_some()), "a REQ is not closed");
    assert!(it.reps.iter().all(|hub| hub.report().is_some()), "a REP is not closed");
    it.world.run_for(Duration::from_secs(2));
    assert_eq!(it.world.fabric().open_ends(), 0, "a stream is left open");
}

#[test]
fn requests_end_and_the_next_is_answered_whatever_happened_before() {
    with_seeds(500, |seed| requests_survive(seed, Kind::Correlated));
}

#[test]
fn requests_without_an_id_end_and_the_next_is_answered() {
    with_seeds(200, |seed| requests_survive(seed, Kind::InLockstep));
}

#[test]
fn requests_that_are_sent_again_are_all_answered_once_the_faults_are_over() {
    with_seeds(200, |seed| requests_survive(seed, Kind::Retried));
}

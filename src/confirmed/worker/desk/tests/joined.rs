//! Desks and a ledger, over links that are late and are cut: nothing is lost, and what is done twice was cut off or late.
//!
//! A link is a dialed DEALER's: what it had not written when its connection ended goes in front on the next one. Both ends
//! hear of cuts when they do, the worker also by what a new connection says. The source may be another one after a cut.

use super::super::{Answer, Desk};
use crate::chance::SplitMix64;
use crate::confirmed::ledger::{Action, Ledger, Outcome, Settings, Task, WorkerId};
use crate::confirmed::wire::{FailureKind, FromSource, FromWorker, Session, SourceId, TaskId};
use crate::message::Message;
use crate::sim::chance::with_seeds;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

#[test]
fn nothing_is_lost_whatever_is_cut() {
    let total = RefCell::new(Tally::default());
    let seeds = with_seeds(1000, |seed| total.borrow_mut().add(&Joined::new(seed).run()));

    let total = total.into_inner();
    // A crowd that meets nothing shows nothing.
    if seeds > 1 {
        let often = [total.cuts, total.again, total.strangers];
        let at_times = [total.replaced, total.known];
        assert!(often.iter().all(|&times| times > seeds), "{total:?}");
        assert!(at_times.iter().all(|&times| times > seeds / 10), "{total:?}");
        assert!(total.twice > seeds / 100, "{total:?}");
    }
}

struct Joined {
    chance: SplitMix64,
    now: Instant,
    end_of_trouble: Instant,
    is_calm: bool,
    settings: Settings,
    ledger: Ledger,
    /// The number of this source; each task says whose it is.
    source: u8,
    links: Vec<Link>,
    next_connection: u64,
    /// The source hears then that a connection is no more.
    lost: Vec<(Instant, WorkerId)>,
    to_come: u64,
    /// What becomes of this source's tasks.
    fates: BTreeMap<TaskId, Fate>,
    tally: Tally,
}

struct Link {
    desk: Desk,
    prefetch: usize,
    threads: usize,
    /// The connection that there is, and the one that the desk was told of.
    connection: Option<u64>,
    told: Option<u64>,
    tell_at: Option<Instant>,
    connect_at: Option<Instant>,
    up: VecDeque<(Instant, Vec<u8>)>,
    down: VecDeque<(Instant, Vec<u8>, Option<Message>)>,
    work: Vec<Work>,
}

struct Work {
    until: Instant,
    source: u8,
    id: TaskId,
    serial: u64,
}

#[derive(Debug, Default)]
struct Fate {
    begun: u32,
    given_up: u32,
    done: u32,
    rejected: u32,
    is_settled: bool,
}

#[derive(Debug, Default)]
struct Tally {
    cuts: u64,
    again: u64,
    strangers: u64,
    known: u64,
    replaced: u64,
    twice: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.cuts += other.cuts;
        self.again += other.again;
        self.strangers += other.strangers;
        self.known += other.known;
        self.replaced += other.replaced;
        self.twice += other.twice;
    }
}

impl Joined {
    fn new(seed: u64) -> Self {
        let mut chance = SplitMix64::new(seed);
        let now = Instant::now();
        let is_calm = seed.is_multiple_of(4);
        let settings = Settings {
            lease: if is_calm {
                Duration::from_secs(3600)
            } else {
                ms(40 + chance.next() % 400)
            },
            silence: (!is_calm && chance.next().is_multiple_of(2)).then(|| ms(300)),
            most_attempts: u16::MAX,
            ..Settings::default()
        };
        let links = (0..1 + chance.next() % 3).map(|number| {
            let prefetch = [1, 2, 3, 8, 40][(chance.next() % 5) as usize];
            let remember = ([0, 4, 1000][(chance.next() % 3) as usize], Duration::from_secs(600));
            Link {
                desk: Desk::new(Session([number as u8 + 1; 16]), prefetch, remember),
                prefetch: prefetch as usize,
                threads: 1 + (chance.next() % 3) as usize,
                connection: None,
                told: None,
                tell_at: None,
                connect_at: Some(now + ms(chance.next() % 20)),
                up: VecDeque::new(),
                down: VecDeque::new(),
                work: Vec::new(),
            }
        });
        let links = links.collect();
        Joined {
            now,
            end_of_trouble: now + ms(if is_calm { 0 } else { 300 }),
            is_calm,
            ledger: Ledger::new(SourceId([1; 16]), settings.clone()),
            settings,
            source: 1,
            links,
            next_connection: 1,
            lost: Vec::new(),
            to_come: 20 + chance.next() % 60,
            fates: BTreeMap::new(),
            tally: Tally::default(),
            chance,
        }
    }

    fn run(mut self) -> Tally {
        let limit = self.now + Duration::from_secs(24 * 3600);
        while self.to_come > 0 || self.ledger.here() > 0 || self.now < self.end_of_trouble {
            self.step();
            self.check();
            assert!(self.now < limit, "it does not end: {:?}", self.fates);
        }
        // What is on its way arrives, and all go.
        for link in &mut self.links {
            link.desk.handle_leave();
        }
        while !self.links.iter().all(|link| link.desk.is_mute() && link.up.is_empty()) {
            self.step();
            assert!(self.now < limit, "somebody does not go");
        }
        self.judge();
        self.count();
        self.tally
    }

    fn step(&mut self) {
        if self.to_come > 0 && self.chance.next().is_multiple_of(2) {
            self.to_come -= 1;
            let id = self
                .ledger
                .handle_task(self.now, Task::new(Message::from(vec![self.source])));
            self.fates.insert(id.unwrap(), Fate::default());
        }
        if self.now < self.end_of_trouble {
            self.make_trouble();
        }
        self.act();
        for at in 0..self.links.len() {
            self.work(at);
        }
        self.pass();
        for at in 0..self.links.len() {
            self.arrive(at);
        }
        self.ledger.handle_timeout(self.now);
        let now = self.now;
        for (_, worker) in self.lost.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            self.ledger.handle_lost(worker);
        }
    }

    fn make_trouble(&mut self) {
        if self.chance.next().is_multiple_of(8) {
            let at = (self.chance.next() % self.links.len() as u64) as usize;
            self.cut(at);
        }
        if self.chance.next().is_multiple_of(80) {
            self.replace();
        }
    }

    /// The connection ends; the first of what was to be said is lost, and the rest waits for the next one.
    fn cut(&mut self, at: usize) {
        let is_late = self.chance.next().is_multiple_of(2);
        let delays = [(); 3].map(|()| ms(self.chance.next() % if is_late { 100 } else { 3 }));
        let (now, chance) = (self.now, self.chance.next());
        let link = &mut self.links[at];
        let Some(connection) = link.connection.take() else {
            return;
        };
        self.tally.cuts += 1;
        let lost = chance % (link.up.len() as u64 + 1);
        link.up.drain(..lost as usize);
        link.down.clear();
        link.tell_at = Some(now + delays[0]);
        link.connect_at = Some(now + delays[1]);
        self.lost.push((now + delays[2], WorkerId(connection)));
    }

    /// Another source comes in its place, with tasks of its own.
    fn replace(&mut self) {
        self.tally.replaced += 1;
        (0..self.links.len()).for_each(|at| self.cut(at));
        self.lost.clear();
        self.count();
        self.source += 1;
        self.ledger = Ledger::new(SourceId([self.source; 16]), self.settings.clone());
        self.fates.clear();
        self.to_come += 10;
    }

    /// Does what the ledger wants, and says what the desks do.
    fn act(&mut self) {
        while let Some(action) = self.ledger.poll_action(self.now) {
            match action {
                Action::Send { to, head, message } => {
                    let Some(link) = self.links.iter_mut().find(|link| link.connection == Some(to.0)) else {
                        continue;
                    };
                    let mut octets = Vec::new();
                    head.put(&mut octets);
                    let at = arrival(self.now, &mut self.chance, link.down.back().map(|last| last.0));
                    link.down.push_back((at, octets, message));
                }
                Action::Settled { id, outcome } => {
                    let fate = self.fates.get_mut(&id).unwrap();
                    assert!(!std::mem::replace(&mut fate.is_settled, true));
                    match outcome {
                        Outcome::Done { .. } => assert!(fate.done > 0, "nobody has done {id:?}"),
                        Outcome::Dead { .. } => assert!(fate.rejected > 0, "nobody has rejected {id:?}"),
                    }
                }
                Action::Room => {}
                Action::CloseWorker(worker) => {
                    let at = self.links.iter().position(|link| link.connection == Some(worker.0));
                    at.into_iter().for_each(|at| self.cut(at));
                }
            }
        }
        for link in &mut self.links {
            while let Some(said) = link.desk.poll_said(self.now) {
                let mut octets = Vec::new();
                said.put(&mut octets);
                let at = arrival(self.now, &mut self.chance, link.up.back().map(|last| last.0));
                link.up.push_back((at, octets));
            }
            link.desk.check();
        }
    }

    fn work(&mut self, at: usize) {
        let now = self.now;
        let link = &mut self.links[at];
        for work in link.work.extract_if(.., |work| work.until <= now).collect::<Vec<_>>() {
            let is_ours = work.source == self.source;
            let fate = self.fates.get_mut(&work.id).filter(|_| is_ours);
            let mut none = Fate::default();
            let fate = fate.unwrap_or(&mut none);
            let kind = match self.chance.next() % 20 {
                0..=15 => None,
                16..=18 => Some(FailureKind::Retry),
                _ => Some(FailureKind::Reject),
            };
            let answer = match kind {
                None => {
                    fate.done += 1;
                    Answer::Done
                }
                Some(kind) => {
                    fate.given_up += 1;
                    fate.rejected += u32::from(kind == FailureKind::Reject);
                    let reason = String::new();
                    Answer::Failed {
                        kind,
                        after_ms: 0,
                        reason,
                    }
                }
            };
            link.desk.handle_answer(now, work.id, work.serial, answer);
        }
        while link.work.len() < link.threads
            && let Some(task) = link.desk.take(now)
        {
            let source = task.message.first()[0];
            if source == self.source {
                self.fates.get_mut(&task.head.id).unwrap().begun += 1;
            }
            let most = if self.is_calm || now > self.end_of_trouble {
                30
            } else {
                80
            };
            let until = now + ms(self.chance.next() % most);
            link.work.push(Work {
                until,
                source,
                id: task.head.id,
                serial: task.serial,
            });
            if self.chance.next().is_multiple_of(8) {
                link.desk.handle_extend(now, task.head.id, task.serial, 100);
            }
        }
    }

    /// On to when something happens next.
    fn pass(&mut self) {
        let mut next = self.now + ms(if self.to_come > 0 { 5 } else { 5000 });
        for link in &self.links {
            let up = link
                .up
                .front()
                .map(|first| first.0)
                .filter(|_| link.connection.is_some());
            let down = link.down.front().map(|first| first.0);
            let work = link.work.iter().map(|work| work.until).min();
            let all = [up, down, work, link.tell_at, link.connect_at, link.desk.deadline()];
            next = all.into_iter().flatten().fold(next, Instant::min);
        }
        next = self.ledger.deadline().into_iter().fold(next, Instant::min);
        next = self.lost.iter().map(|&(at, _)| at).fold(next, Instant::min);
        self.now = self.now.max(next);
        // A step at a time, or nothing that is said at once would ever have come before something else.
        self.now += Duration::from_micros(self.chance.next() % 500);
    }

    fn arrive(&mut self, at: usize) {
        let now = self.now;
        let link = &mut self.links[at];
        if link.connect_at.is_some_and(|at| at <= now) {
            link.connect_at = None;
            link.connection = Some(self.next_connection);
            self.next_connection += 1;
            link.tell_at = Some(now + ms(self.chance.next() % 10));
        }
        if link.tell_at.is_some_and(|at| at <= now) {
            link.tell_at = None;
            link.tell();
        }
        while link.down.front().is_some_and(|first| first.0 <= now) {
            let (_, octets, message) = link.down.pop_front().unwrap();
            // What comes by a connection tells that there is one.
            link.tell();
            link.desk.handle_heard(now, FromSource::parse(&octets), message);
            link.desk.check();
        }
        let Some(connection) = link.connection else {
            return;
        };
        while link.up.front().is_some_and(|first| first.0 <= now) {
            let (_, octets) = link.up.pop_front().unwrap();
            let said = FromWorker::parse(&octets).unwrap();
            let chance = self.chance.next_u32();
            self.ledger.handle_said(now, WorkerId(connection), said, chance);
        }
    }

    fn check(&self) {
        assert!(self.ledger.is_conserved());
        assert_eq!(self.ledger.counts().malformed, 0, "it granted too much");
        for link in &self.links {
            assert_eq!(link.desk.counts().malformed, 0, "it was sent more than it granted");
            assert!(link.desk.taken() <= link.prefetch);
        }
    }

    fn judge(&mut self) {
        for (id, fate) in &self.fates {
            assert!(fate.is_settled, "{id:?} was forgotten");
            if self.is_calm {
                assert_eq!(fate.begun, 1 + fate.given_up - fate.rejected, "{id:?} {fate:?}");
                assert_eq!(fate.done + fate.rejected, 1, "{id:?} {fate:?}");
            }
            self.tally.twice += u64::from(fate.done > 1);
        }
    }

    fn count(&mut self) {
        self.tally.again += self.ledger.counts().again;
        self.tally.strangers += self.ledger.counts().strangers;
        let known = self.links.iter().map(|link| link.desk.counts().duplicates);
        self.tally.known = known.sum();
    }
}

impl Link {
    fn tell(&mut self) {
        if self.told != self.connection {
            self.told = self.connection;
            match self.connection {
                Some(_) => self.desk.handle_connected(),
                None => self.desk.handle_disconnected(),
            }
        }
    }
}

/// Behind what was sent before.
fn arrival(now: Instant, chance: &mut SplitMix64, last: Option<Instant>) -> Instant {
    let at = now + Duration::from_micros(chance.next() % 3000);
    last.map_or(at, |last| last.max(at))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

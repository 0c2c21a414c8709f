//! Crowds of workers and tasks by chance: whatever happens, a ledger does what the plain lists do.

use super::naive::Naive;
use super::*;
use crate::sim::chance::{Chance, with_seeds};

/// A ledger and its model, of one history.
struct Crowd {
    chance: Chance,
    start: Instant,
    now: Instant,
    ledger: Ledger,
    naive: Naive,
    came: u64,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let ms = Duration::from_millis;
        let settings = Settings {
            lease: ms(200),
            silence: chance.one_of(&[None, Some(ms(150)), Some(ms(900))]),
            most_attempts: chance.one_of(&[1, 3, 5]),
            most_losses: chance.one_of(&[None, None, Some(2)]),
            most_tasks: chance.one_of(&[4, 20, 60]),
            most_bytes: chance.one_of(&[30, 400, 4000]),
            most_workers: chance.one_of(&[3, 6]),
            most_offences: 3,
        };
        let start = Instant::now();
        Crowd {
            chance,
            start,
            now: start,
            ledger: Ledger::new(OURS, settings.clone()),
            naive: Naive::new(settings),
            came: 0,
        }
    }

    /// Something happens, to both.
    fn step(&mut self) {
        let within = |chance: &mut Chance, most: usize| chance.within(0..most + 1) as u64;
        match self.chance.within(0..32) {
            0..8 => {
                let task = self.task();
                let ours = self.ledger.handle_task(self.now, task.clone());
                let theirs = self.naive.task(self.now, task);
                assert_eq!(ours.map_err(|refused| refused.why), theirs);
            }
            8..12 => {
                let hello = FromWorker::Hello {
                    session: Session([self.chance.within(0..8) as u8; 16]),
                    source: self.chance.one_of(&[OURS, OURS, OURS, SourceId::NONE]),
                    credit: self.chance.one_of(&[0, 1, 2, 5, MOST_CREDIT]),
                    done: self.some_ids(3),
                };
                let from = if self.chance.once_in(6) {
                    self.worker()
                } else {
                    self.stranger()
                };
                self.say(from, hello);
            }
            12 => {
                let from = self.worker();
                self.ledger.handle_lost(from);
                self.naive.lost(from);
            }
            13 => {
                let from = self.worker();
                self.ledger.handle_malformed(self.now, from, Malformed::Form("any"));
                self.naive.malformed(self.now, from);
            }
            14..24 => {
                let (from, said) = self.said();
                self.say(from, said);
            }
            24..28 => self.now += Duration::from_millis(within(&mut self.chance, 120)),
            28 => self.now = self.ledger.deadline().unwrap_or(self.now).max(self.now),
            _ => {
                self.ledger.handle_timeout(self.now);
                self.naive.timeout(self.now);
            }
        }
        self.compare();
    }

    fn say(&mut self, from: WorkerId, said: FromWorker) {
        let chance = self.chance.next() as u32;
        self.ledger.handle_said(self.now, from, said.clone(), chance);
        self.naive.said(self.now, from, said, chance);
    }

    fn compare(&mut self) {
        self.naive.deliver(self.now);
        let mut actions = Vec::new();
        while let Some(action) = self.ledger.poll_action(self.now) {
            actions.push(action);
        }
        assert_eq!(actions, std::mem::take(&mut self.naive.actions));
        check(&self.ledger);
        match (self.ledger.deadline(), self.naive.deadline()) {
            (ours, theirs) if self.ledger.settings.silence.is_none() => assert_eq!(ours, theirs),
            (ours, Some(theirs)) => assert!(ours.is_some_and(|ours| ours <= theirs)),
            (_, None) => {}
        }
    }

    fn task(&mut self) -> Task {
        let chance = &mut self.chance;
        let later = |chance: &mut Chance, now: Instant| {
            let ms = chance.within(0..500) as u64;
            chance.once_in(5).then(|| now + Duration::from_millis(ms))
        };
        Task {
            message: Message::from(vec![0; chance.within(0..20)]),
            order: chance.one_of(&[None, None, Some("a"), Some("b")]).map(Bytes::from),
            starts_at: later(chance, self.now),
            too_late_at: later(chance, self.now),
            ..task()
        }
    }

    fn said(&mut self) -> (WorkerId, FromWorker) {
        let from = self.worker();
        // Mostly of what it has, sometimes of any.
        let open = self.naive.open_at(from);
        let mut ids = self.some_ids(2);
        if !open.is_empty() && !self.chance.once_in(4) {
            ids = (0..1 + self.chance.within(0..2))
                .map(|_| self.chance.one_of(&open))
                .collect();
        }
        let id = ids.first().copied().unwrap_or(id(1));
        let said = match self.chance.within(0..16) {
            0..6 => FromWorker::Done { ids },
            6..8 => FromWorker::Failed {
                id,
                kind: self
                    .chance
                    .one_of(&[FailureKind::Retry, FailureKind::Retry, FailureKind::Reject]),
                after_ms: self.chance.one_of(&[0, 300]),
                reason: "why".to_owned(),
            },
            8 => FromWorker::Extend {
                id,
                lease_ms: 1 + self.chance.within(0..400) as u32,
            },
            9 => FromWorker::Return { ids },
            10 => FromWorker::Beat,
            11 if self.chance.once_in(4) => FromWorker::Bye,
            _ => FromWorker::Credit {
                more: self.chance.one_of(&[0, 1, 1, 3, MOST_CREDIT]),
            },
        };
        (from, said)
    }

    fn some_ids(&mut self, most: usize) -> Vec<TaskId> {
        let count = self.chance.within(0..most + 1);
        let newest = self.ledger.counts().accepted as usize + 2;
        let oldest = newest.saturating_sub(30).max(1);
        (0..count)
            .map(|_| id(self.chance.within(oldest..newest) as u64))
            .collect()
    }

    /// One that is there, if any is.
    fn worker(&mut self) -> WorkerId {
        match &self.naive.workers()[..] {
            [] => self.stranger(),
            workers => self.chance.one_of(workers),
        }
    }

    fn stranger(&mut self) -> WorkerId {
        self.came += 1;
        WorkerId(self.came)
    }

    /// No more tasks come, and a worker does all that is left.
    fn finish(&mut self) {
        self.ledger.handle_drain();
        self.naive.drain();
        let from = self.stranger();
        let mut turns = 0;
        while self.ledger.here() > 0 {
            turns += 1;
            assert!(turns < 1000, "it does not come to an end");
            let others: Vec<WorkerId> = self
                .naive
                .workers()
                .into_iter()
                .filter(|&other| other != from)
                .collect();
            for other in others {
                self.ledger.handle_lost(other);
                self.naive.lost(other);
            }
            let hello = FromWorker::Hello {
                session: Session([99; 16]),
                source: OURS,
                credit: 10,
                done: Vec::new(),
            };
            self.say(from, hello);
            self.compare();
            let ids = self.naive.open_at(from);
            self.say(from, FromWorker::Done { ids });
            self.compare();
            self.now = self.ledger.deadline().unwrap_or(self.now).max(self.now);
            self.ledger.handle_timeout(self.now);
            self.naive.timeout(self.now);
            self.compare();
        }
    }
}

#[test]
fn a_ledger_does_what_plain_lists_do() {
    let totals = std::cell::RefCell::new(Counts::default());
    with_seeds(20, |seed| {
        let mut crowd = Crowd::new(seed);
        for _ in 0..3000 {
            crowd.step();
        }
        crowd.finish();
        assert!(crowd.now > crowd.start);

        let counts = crowd.ledger.counts();
        let mut totals = totals.borrow_mut();
        totals.done += counts.done;
        totals.dead += counts.dead;
        totals.again += counts.again;
        totals.leases_over += counts.leases_over;
        totals.returned += counts.returned;
        totals.turned_away += counts.turned_away;
        totals.silent += counts.silent;
    });
    let Counts {
        done,
        dead,
        again,
        leases_over,
        returned,
        turned_away,
        silent,
        ..
    } = totals.into_inner();
    let rarest = [done, dead, again, leases_over, returned, turned_away, silent]
        .into_iter()
        .min();
    assert!(
        rarest > Some(30),
        "{done} {dead} {again} {leases_over} {returned} {turned_away} {silent}"
    );
}

/// The same when it stops in the middle: what is open is still heard of, and nothing else is sent.
#[test]
fn a_ledger_that_stops_does_what_plain_lists_do() {
    with_seeds(20, |seed| {
        let mut crowd = Crowd::new(seed);
        for step in 0..600 {
            if step == 400 {
                crowd.ledger.handle_stop();
                crowd.naive.stop();
            }
            crowd.step();
        }
    });
}

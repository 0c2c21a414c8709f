//! What a desk promises, a sentence of the protocol at a time; and joined with ledgers, over links that are cut.

mod joined;
mod rules;

use super::said::{DONE_WAITS, HELLO_AGAIN};
use super::*;
use crate::confirmed::wire::{FromSource, FromWorker, Malformed};
use bytes::Bytes;
use std::num::NonZeroU64;

/// A desk and its time. What it says is told in words.
struct World {
    desk: Desk,
    now: Instant,
}

impl World {
    /// Connected, and its HELLO is said.
    fn new(prefetch: u32) -> Self {
        let mut world = World {
            desk: Desk::new(Session([7; 16]), prefetch, (100, Duration::from_secs(600))),
            now: Instant::now(),
        };
        world.desk.handle_connected();
        assert_eq!(world.said(), ["hello 0"]);
        world
    }

    /// It was also answered.
    fn greeted(prefetch: u32) -> Self {
        let mut world = World::new(prefetch);
        let credit = format!("credit {prefetch}");
        assert_eq!(world.welcome(1), [credit]);
        world
    }

    fn hears(&mut self, said: FromSource) -> Vec<String> {
        self.desk.handle_heard(self.now, Ok(said), None);
        self.said()
    }

    fn welcome(&mut self, source: u8) -> Vec<String> {
        self.welcome_with(source, 0)
    }

    fn welcome_with(&mut self, source: u8, silence_ms: u32) -> Vec<String> {
        self.hears(FromSource::Welcome {
            source: SourceId([source; 16]),
            lease_ms: 1000,
            silence_ms,
        })
    }

    fn task(&mut self, number: u64) -> Vec<String> {
        self.task_of(number, false)
    }

    fn task_again(&mut self, number: u64) -> Vec<String> {
        self.task_of(number, true)
    }

    fn task_of(&mut self, number: u64, is_again: bool) -> Vec<String> {
        let said = Ok(FromSource::Task(head(number, is_again)));
        self.desk.handle_heard(self.now, said, Some(Message::from("task")));
        self.said()
    }

    fn cancel(&mut self, numbers: &[u64]) -> Vec<String> {
        self.hears(FromSource::Cancel { ids: ids(numbers) })
    }

    /// The next task is begun; `0`: there is none.
    fn take(&mut self) -> (u64, u64) {
        let task = self.desk.take(self.now);
        task.map_or((0, 0), |task| (task.head.id.0.get(), task.serial))
    }

    /// These are begun, and all that is asked of it is there.
    fn take_all(&mut self) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| Some(self.take()).filter(|&(number, _)| number != 0)).collect()
    }

    fn done(&mut self, (number, serial): (u64, u64)) -> Vec<String> {
        self.desk.handle_answer(self.now, id(number), serial, Answer::Done);
        self.said()
    }

    fn retry(&mut self, (number, serial): (u64, u64)) -> Vec<String> {
        let answer = Answer::Failed {
            kind: FailureKind::Retry,
            after_ms: 9,
            reason: "busy".to_owned(),
        };
        self.desk.handle_answer(self.now, id(number), serial, answer);
        self.said()
    }

    fn extend(&mut self, (number, serial): (u64, u64), ms: u32) -> Vec<String> {
        self.desk.handle_extend(self.now, id(number), serial, ms);
        self.said()
    }

    fn reconnected(&mut self) -> Vec<String> {
        self.desk.handle_disconnected();
        assert!(self.said().is_empty());
        self.desk.handle_connected();
        self.said()
    }

    /// Time passes; nothing is said before the deadline.
    fn pass(&mut self, time: Duration) -> Vec<String> {
        let until = self.now + time;
        let mut said = Vec::new();
        while let Some(deadline) = self.desk.deadline().filter(|&deadline| deadline <= until) {
            self.now = deadline;
            let more = self.said();
            assert!(!more.is_empty(), "the deadline was one of nothing");
            said.extend(more);
        }
        self.now = until;
        assert!(self.said().is_empty(), "it is said late");
        said
    }

    fn said(&mut self) -> Vec<String> {
        let said: Vec<String> = std::iter::from_fn(|| self.desk.poll_said(self.now))
            .map(|said| in_words(&said))
            .collect();
        self.desk.check();
        said
    }
}

impl Desk {
    /// All that must agree agrees.
    fn check(&self) {
        assert!(self.taken() <= self.prefetch, "{} are taken", self.taken());
        let waiting = self.held.values().filter(|held| held.state == State::Waiting);
        assert_eq!(waiting.count(), self.waiting);
        let live = self.order.iter().filter(|task| is_waiting(&self.held, task));
        assert_eq!(live.count(), self.waiting);
        assert!(self.order.len() <= FEW_STALE + 2 * self.waiting.max(self.prefetch));
        assert_eq!(self.done.is_empty(), self.done_since.is_none());
        assert!(self.extended.len() <= self.prefetch && self.renewed.len() <= self.prefetch);
    }
}

fn head(number: u64, is_again: bool) -> TaskHead {
    TaskHead {
        id: id(number),
        attempt: if is_again { 2 } else { 1 },
        is_again,
        lease_ms: 1000,
        left_ms: 0,
        key: Bytes::new(),
        headers: Bytes::new(),
    }
}

fn id(number: u64) -> TaskId {
    TaskId(NonZeroU64::new(number).unwrap())
}

fn ids(numbers: &[u64]) -> Vec<TaskId> {
    numbers.iter().map(|&number| id(number)).collect()
}

fn in_words(said: &FromWorker) -> String {
    let numbers = |ids: &[TaskId]| {
        let numbers: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
        numbers.join(",")
    };
    match said {
        FromWorker::Hello {
            source, credit, done, ..
        } => match numbers(done) {
            _ if *credit > 0 => "hello with credit".to_owned(),
            done if done.is_empty() => format!("hello {}", source.0[0]),
            done => format!("hello {} done {done}", source.0[0]),
        },
        FromWorker::Credit { more } => format!("credit {more}"),
        FromWorker::Done { ids } => format!("done {}", numbers(ids)),
        FromWorker::Failed { id, kind, reason, .. } => format!("{kind:?} {}: {reason}", id.0).to_lowercase(),
        FromWorker::Extend { id, lease_ms } => format!("extend {} {lease_ms}", id.0),
        FromWorker::Return { ids } => format!("return {}", numbers(ids)),
        FromWorker::Beat => "beat".to_owned(),
        FromWorker::Bye => "bye".to_owned(),
    }
}

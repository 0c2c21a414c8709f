//! A source that keeps its tasks elsewhere: what is stored before what is delivered, and what comes back.

mod common;

use peermq::confirmed::{
    Kept, KeptTask, NotTaken, Outbox, OutboxError, Source, SourceBuilder, Task, Unconfirmed, Worker,
};
use peermq::{Context, Message};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// An outbox in memory that outlives its source, and does as it is told.
#[derive(Clone, Default)]
struct Memory(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    source: Option<[u8; 16]>,
    highest: u64,
    tasks: BTreeMap<u64, KeptTask>,
    groups: Vec<usize>,
    /// Who stored each of them.
    threads: Vec<ThreadId>,
    /// Stores wait while it is shut.
    is_shut: bool,
    /// A store waits.
    is_waiting: bool,
    is_full: bool,
}

impl Memory {
    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
        result
    }

    fn await_store(&self) {
        let state = self.0.0.lock().unwrap();
        let waited = self.0.1.wait_timeout_while(state, LONG, |state| !state.is_waiting);
        assert!(!waited.unwrap().1.timed_out(), "a store");
    }

    fn ids(&self) -> Vec<u64> {
        self.with(|state| state.tasks.keys().copied().collect())
    }
}

impl Outbox for Memory {
    fn load(&mut self, fresh: [u8; 16]) -> Result<Kept, OutboxError> {
        Ok(self.with(|state| {
            let mut kept = Kept::nothing(*state.source.get_or_insert(fresh));
            kept.highest = state.highest;
            kept.tasks = state.tasks.values().cloned().collect();
            kept
        }))
    }

    fn store(&mut self, accepted: &[KeptTask], settled: &[u64]) -> Result<(), OutboxError> {
        let mut state = self.0.0.lock().unwrap();
        state.is_waiting = !accepted.is_empty();
        self.0.1.notify_all();
        let mut state = self
            .0
            .1
            .wait_while(state, |state| state.is_shut && !accepted.is_empty())
            .unwrap();
        state.is_waiting = false;
        if state.is_full && !accepted.is_empty() {
            return Err(OutboxError::Full {
                path: "memory".into(),
                source: io::ErrorKind::StorageFull.into(),
            });
        }
        for task in accepted {
            assert!(task.id > state.highest, "ids grow");
            state.highest = task.id;
            state.tasks.insert(task.id, task.clone());
        }
        for id in settled {
            state.tasks.remove(id);
        }
        if !accepted.is_empty() {
            state.groups.push(accepted.len());
            state.threads.push(thread::current().id());
        }
        Ok(())
    }
}

fn builder(context: &Context, outbox: &Memory) -> SourceBuilder {
    let builder = Source::builder(context).bind("tcp://127.0.0.1:*").unwrap();
    builder.keep_in(outbox.clone())
}

fn worker(context: &Context, source: &Source) -> Worker {
    let endpoint = source.endpoints()[0].clone();
    Worker::builder(context).connect(endpoint).unwrap().build().unwrap()
}

#[test]
fn a_task_is_delivered_once_it_is_kept_and_forgotten_once_it_is_done() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    outbox.with(|state| state.is_shut = true);
    let source = builder(&context, &outbox).build().unwrap();
    let worker = worker(&context, &source);
    thread::scope(|scope| {
        let sending = scope.spawn(|| source.send("x").unwrap());
        outbox.await_store();
        common::until("the worker is there", || source.stats().workers == 1);
        assert_eq!((source.stats().accepted, source.stats().deliveries), (0, 0));

        outbox.with(|state| state.is_shut = false);

        let receipt = sending.join().unwrap();
        let task = worker.recv().unwrap().unwrap();
        assert_eq!(outbox.ids(), [receipt.id()]);
        task.ack().unwrap();
        assert_eq!(receipt.wait(LONG), Ok(()));
    });
    common::until("it is forgotten", || outbox.ids().is_empty());
}

#[test]
fn what_was_not_settled_comes_back_in_order_and_marked_and_no_id_is_given_again() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    let first = builder(&context, &outbox).build().unwrap();
    let receipts: Vec<_> = (0..4)
        .map(|n| {
            first
                .send(Task::new(format!("{n}")).key("k").headers("h").ordering_key("o"))
                .unwrap()
        })
        .collect();
    let report = first.close(Duration::ZERO).unwrap();
    assert_eq!((report.done, report.unsettled), (0, 4));
    assert_eq!(receipts[0].wait(LONG), Err(Unconfirmed::Closed));

    let second = builder(&context, &outbox).build().unwrap();
    let new = second.send("new").unwrap();
    assert!(new.id() > receipts[3].id());

    assert_eq!(second.stats().accepted, 5);
    let worker = worker(&context, &second);
    let mut texts = Vec::new();
    for _ in 0..5 {
        let task = worker.recv().unwrap().unwrap();
        let text = task.message().to_str().unwrap().to_owned();
        assert_eq!(task.is_redelivered(), text != "new");
        assert_eq!(task.key(), if text == "new" { "" } else { "k" }.as_bytes());
        texts.push(text);
        task.ack().unwrap();
    }
    texts.retain(|text| text != "new");
    assert_eq!(texts, ["0", "1", "2", "3"]);
    assert_eq!(new.wait(LONG), Ok(()));
    assert_eq!(second.flush(LONG), Ok(true));
    assert_eq!(second.close(LONG).unwrap().unsettled, 0);
    assert_eq!(outbox.ids(), [0; 0], "the last store is done before close returns");
}

#[test]
fn a_full_disk_hands_the_task_back_and_the_next_one_is_taken() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    let source = builder(&context, &outbox).build().unwrap();
    outbox.with(|state| state.is_full = true);

    let refused = source.send(Task::new("x").key("k")).unwrap_err();
    assert_eq!(refused.reason, NotTaken::OutboxFull);
    assert_eq!(*refused.task, Task::new("x").key("k"));

    outbox.with(|state| state.is_full = false);
    let receipt = source.send(*refused.task).unwrap();
    let worker = worker(&context, &source);
    worker.recv().unwrap().unwrap().ack().unwrap();
    assert_eq!(receipt.wait(LONG), Ok(()));
    assert_eq!((source.stats().accepted, source.stats().done), (1, 1));
}

#[test]
fn a_send_that_ends_before_its_task_is_kept_has_sent_nothing() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    outbox.with(|state| state.is_shut = true);
    let source = builder(&context, &outbox).build().unwrap();

    let refused = source.send_timeout("timed", Duration::from_millis(1)).unwrap_err();
    assert_eq!(
        (refused.reason, refused.task.message()),
        (NotTaken::TimedOut, &Message::from("timed"))
    );
    let mut sending = Box::pin(source.send_async("dropped"));
    assert!(common::poll_once(sending.as_mut()).is_none());
    drop(sending);
    outbox.with(|state| state.is_shut = false);
    let receipt = source.send("third").unwrap();

    let worker = worker(&context, &source);
    let task = worker.recv().unwrap().unwrap();
    assert_eq!(task.message(), "third");
    task.ack().unwrap();
    assert_eq!(receipt.wait(LONG), Ok(()));
    common::until("none is left behind", || outbox.ids().is_empty());
    assert_eq!(source.stats().accepted, 1);
}

#[test]
fn those_who_send_while_one_store_is_under_way_share_the_next() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    outbox.with(|state| state.is_shut = true);
    let source = builder(&context, &outbox).build().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| source.send("first").unwrap());
        outbox.await_store();
        for _ in 0..9 {
            scope.spawn(|| source.send("more").unwrap());
        }
        common::until("all have come", || source.stats().bytes >= 5 + 9 * 4);
        outbox.with(|state| state.is_shut = false);
    });

    assert_eq!(outbox.with(|state| state.groups.clone()), [1, 9]);
}

#[test]
fn who_sends_alone_stores_its_task_itself_and_those_who_are_several_leave_it_to_the_source() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    let source = builder(&context, &outbox).build().unwrap();
    let mut alone = Vec::new();
    alone.push(source.send("alone").unwrap());
    alone.push(source.try_send("alone").unwrap());
    outbox.with(|state| state.is_shut = true);
    thread::scope(|scope| {
        scope.spawn(|| source.send("first").unwrap());
        outbox.await_store();
        for _ in 0..2 {
            scope.spawn(|| source.send("more").unwrap());
        }
        common::until("all have come", || source.stats().bytes >= 2 * 5 + 5 + 2 * 4);
        outbox.with(|state| state.is_shut = false);
    });
    alone.push(source.send("alone after several").unwrap());
    alone.push(source.send("alone").unwrap());
    alone.push(source.send_timeout("with a limit", LONG).unwrap());

    assert_eq!(outbox.with(|state| state.groups.clone()), [1, 1, 1, 2, 1, 1, 1]);
    let (this, threads) = (thread::current().id(), outbox.with(|state| state.threads.clone()));
    let of_source = threads[3];
    assert_ne!(of_source, this);
    assert_eq!(threads[..2], [this; 2]);
    assert_eq!(threads[4..], [of_source, this, of_source]);
}

#[test]
fn a_dead_task_stays_where_it_is_kept_until_its_letter_has_a_place() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    let source = builder(&context, &outbox)
        .dead_letters(|letter| {
            if letter.message == "good" {
                Ok(())
            } else {
                Err("no place")
            }
        })
        .build()
        .unwrap();
    let (good, bad) = (source.send("good").unwrap(), source.send("bad").unwrap());
    let worker = worker(&context, &source);
    for _ in 0..2 {
        worker.recv().unwrap().unwrap().reject("never").unwrap();
    }

    assert!(matches!(good.wait(LONG), Err(Unconfirmed::Dead(_))));
    assert!(matches!(bad.wait(LONG), Err(Unconfirmed::Dead(_))));
    drop(source);
    assert_eq!(outbox.ids(), [bad.id()]);
}

#[test]
fn what_was_refused_because_the_source_was_closed_is_not_kept() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    outbox.with(|state| state.is_shut = true);
    let source = builder(&context, &outbox).build().unwrap();
    let mut storing = Box::pin(source.send_async("is being stored"));
    assert!(common::poll_once(storing.as_mut()).is_none());
    outbox.await_store();
    let mut waiting = Box::pin(source.send_async("waits to be"));
    assert!(common::poll_once(waiting.as_mut()).is_none());

    thread::scope(|scope| {
        let closing = scope.spawn(|| source.close(Duration::ZERO).unwrap());
        for sending in [storing, waiting] {
            assert_eq!(common::block_on(sending).unwrap_err().reason, NotTaken::Closed);
        }
        outbox.with(|state| state.is_shut = false);
        closing.join().unwrap();
    });

    assert_eq!(outbox.ids(), [0; 0]);
    assert_eq!(outbox.with(|state| state.groups.clone()), [1]);
}

#[test]
fn what_is_called_off_while_another_is_stored_is_not_stored_at_all() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    outbox.with(|state| state.is_shut = true);
    let source = builder(&context, &outbox).build().unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| source.send("first").unwrap());
        outbox.await_store();
        for _ in 0..100 {
            let refused = source.send_timeout("more", Duration::ZERO).unwrap_err();
            assert_eq!(refused.reason, NotTaken::TimedOut);
        }
        outbox.with(|state| state.is_shut = false);
        let _receipt = first.join().unwrap();
    });
    drop(source);

    assert_eq!(outbox.with(|state| state.groups.clone()), [1]);
}

#[test]
fn a_delay_that_no_clock_tells_is_never_also_for_the_next_source() {
    let context = Context::new().unwrap();
    let outbox = Memory::default();
    let first = builder(&context, &outbox).build().unwrap();
    // That since the machine began is told by its clock, that since 1970 is not.
    let ages = Duration::from_secs(i64::MAX as u64 - 1_000_000_000);
    for delay in [ages, Duration::MAX] {
        let _receipt = first.send(Task::new("never").delay(delay)).unwrap();
    }
    assert_eq!(first.stats().delayed, 2);

    drop(first);

    let second = builder(&context, &outbox).build().unwrap();
    assert_eq!((second.stats().delayed, second.stats().queued), (2, 0));
}

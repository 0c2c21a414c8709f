//! What a source's lock guards: the ledger, and who waits for what becomes of its tasks.
//!
//! Senders put tasks on it, the clerk takes what is to be done. The lock is a leaf: who is to be woken and what is to be sent
//! comes out as [`Found`], and is done when it is free.

use super::keeper::ToStore;
use super::receipt::{End, NotKept, Slip, Unconfirmed};
use crate::confirmed::bell::Bell;
use crate::confirmed::dead::DeadLetter;
use crate::confirmed::ledger::{self, Action, Counts, Death, Ledger, Outcome, Places, Refusal, Refused, WorkerId};
use crate::confirmed::outbox::{KeptTask, Outbox};
use crate::confirmed::task::NotTaken;
use crate::confirmed::wire::{FromSource, FromWorker, Malformed, TaskId};
use crate::engine::seat::{drive_here, is_driving};
use crate::hub::waiters::{Ticket, Waiters};
use crate::hub::{CannotWait, Drive, Effects, block_on};
use crate::message::Message;
use crate::routing::Awaited;
use crate::stats::{Histogram, Meter, Throughput};
use crate::sync::{Mutex, MutexGuard};
use crate::transport::real::wall;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

/// What a source's threads share.
pub(super) struct Shared {
    desk: Mutex<Desk>,
    drive: Arc<dyn Drive>,
    /// Lets the clerk look at the desk.
    pub(super) clerk: Bell,
    /// The same for who stores tasks elsewhere.
    pub(super) keeper: Bell,
}

/// Tasks and who waits for them.
pub(super) struct Desk {
    pub(super) ledger: Ledger,
    /// One for each task that is not settled.
    notes: BTreeMap<TaskId, Note>,
    /// Whether tasks are kept elsewhere before they are delivered.
    has_outbox: bool,
    pub(super) to_store: ToStore,
    /// Who waits for room in the backlog. All are woken when there is some.
    senders: Waiters,
    pub(super) is_stopping: bool,
    /// Nothing more happens: what is not settled is not told any more.
    is_over: bool,
    /// From when tasks were taken on to when they were done.
    confirm_time: Histogram,
    accepted: Meter,
    done: Meter,
    /// Dead letters that were not taken.
    lost_letters: u64,
}

/// What is known of a task that is not settled, beside what the ledger has.
struct Note {
    accepted_at: Instant,
    bytes: usize,
    slip: Arc<Slip>,
    /// Who waits for its end stands in the line of those who read, and its sender, until it is kept, in that of those who write.
    waiters: Waiters,
}

/// What the clerk heard.
pub(super) enum Heard {
    Said(FromWorker),
    Malformed(Malformed),
    /// The connection is over.
    Lost,
}

/// What is to be done when the lock is free.
#[derive(Default)]
pub(super) struct Found {
    pub(super) effects: Effects,
    pub(super) sends: Vec<Sending>,
    pub(super) closes: Vec<WorkerId>,
    pub(super) letters: Vec<(TaskId, DeadLetter)>,
    /// To be dropped.
    pub(super) spent: Vec<ledger::Task>,
    /// The keeper is to be told.
    pub(super) concerns_keeper: bool,
    /// There may be more to be done.
    pub(super) is_cut: bool,
}

/// What is said to a worker, and the task behind it.
pub(super) type Sending = (WorkerId, FromSource, Option<Message>);

/// How a source stands.
pub(super) struct Standing {
    pub(super) counts: Counts,
    pub(super) places: Places,
    pub(super) oldest: Option<Instant>,
    pub(super) confirm_time: Histogram,
    pub(super) accepted: Throughput,
    pub(super) done: Throughput,
    pub(super) lost_letters: u64,
}

/// A task that was taken on.
pub(super) struct Taken {
    pub(super) id: TaskId,
    pub(super) slip: Arc<Slip>,
    /// Else it is delivered once it is.
    pub(super) is_kept: bool,
}

impl Shared {
    pub(super) fn new(ledger: Ledger, drive: Arc<dyn Drive>, outbox: Option<Box<dyn Outbox>>) -> Self {
        Shared {
            desk: Mutex::new(Desk {
                ledger,
                notes: BTreeMap::new(),
                has_outbox: outbox.is_some(),
                to_store: ToStore::new(outbox),
                senders: Waiters::default(),
                is_stopping: false,
                is_over: false,
                confirm_time: Histogram::default(),
                accepted: Meter::default(),
                done: Meter::default(),
                lost_letters: 0,
            }),
            drive,
            clerk: Bell::default(),
            keeper: Bell::default(),
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock()
    }

    pub(super) fn drive(&self) -> &dyn Drive {
        &*self.drive
    }

    pub(super) fn now(&self) -> Instant {
        self.drive.now()
    }

    /// Takes a task on, or says why not: if it is full, `waker` is woken when there may be room. If it is not kept yet, it is the
    /// caller's to have it stored.
    pub(super) fn accept(
        &self,
        entry: ledger::Task,
        place: Option<(&Waker, &mut Option<Ticket>)>,
    ) -> Result<Taken, Refused> {
        let now = self.now();
        let is_timed = entry.starts_at.is_some() || entry.too_late_at.is_some();
        let mut effects = Effects::default();
        let mut desk = self.desk();
        let taken = desk.accept(now, entry);
        if let (Err(Refused { why: Refusal::Full, .. }), Some((waker, ticket))) = (&taken, place) {
            desk.senders.stand(Awaited::Writable, ticket, waker, &mut effects);
        }
        // Else somebody has to grant credit first, which the clerk hears by itself.
        let concerns_clerk = taken.is_ok() && (is_timed || desk.ledger.can_deliver());
        drop(desk);
        if concerns_clerk {
            self.clerk.ring();
        }
        run(effects);
        taken
    }

    /// Whether the task is settled; else `waker` is woken when it is.
    pub(super) fn poll_settled(&self, id: TaskId, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<()> {
        let mut effects = Effects::default();
        let mut desk = self.desk();
        let is_here = desk.stand(id, Awaited::Readable, ticket, waker, &mut effects);
        drop(desk);
        run(effects);
        if is_here { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Waits until the task is settled. `false`: the deadline came first.
    pub(super) fn wait_settled(&self, id: TaskId, deadline: Option<Instant>) -> Result<bool, CannotWait> {
        let mut ticket = None;
        let settled = poll_fn(|context| self.poll_settled(id, &mut ticket, context.waker()));
        let is_settled = block_on(&*self.drive, settled, deadline)?.is_some();
        if let Some(ticket) = ticket {
            self.leave(id, Awaited::Readable, ticket);
        }
        Ok(is_settled)
    }

    /// Whether the task is kept, or could not be; else `waker` is woken when that is known.
    pub(super) fn poll_kept(
        &self,
        taken: &Taken,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<(), NotKept>> {
        let mut effects = Effects::default();
        let mut desk = self.desk();
        let kept = taken.slip.take_kept();
        if kept.is_none() {
            desk.stand(taken.id, Awaited::Writable, ticket, waker, &mut effects);
        }
        drop(desk);
        run(effects);
        kept.map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits for what becomes of this task no more.
    pub(super) fn leave(&self, id: TaskId, awaited: Awaited, ticket: Ticket) {
        self.leave_line(awaited, ticket, |desk| Some(&mut desk.notes.get_mut(&id)?.waiters));
    }

    /// Waits for room no more.
    pub(super) fn leave_senders(&self, ticket: Ticket) {
        self.leave_line(Awaited::Writable, ticket, |desk| Some(&mut desk.senders));
    }

    fn leave_line(&self, awaited: Awaited, ticket: Ticket, line: impl FnOnce(&mut Desk) -> Option<&mut Waiters>) {
        let mut effects = Effects::default();
        let mut desk = self.desk();
        if let Some(waiters) = line(&mut desk) {
            // All of a line are woken together: nobody has to be told instead.
            waiters.leave(awaited, ticket, &mut effects);
        }
        drop(desk);
        run(effects);
    }
}

impl Desk {
    fn accept(&mut self, now: Instant, entry: ledger::Task) -> Result<Taken, Refused> {
        if self.is_over {
            let why = Refusal::Draining;
            let task = Box::new(entry);
            return Err(Refused { why, task });
        }
        let bytes = entry.message.byte_count();
        let is_kept = !self.has_outbox;
        let id = if is_kept {
            self.ledger.handle_task(now, entry)?
        } else {
            let kept = kept_task(now, &entry);
            let id = self.ledger.reserve(entry)?;
            self.to_store.add(KeptTask { id: id.0.get(), ..kept });
            id
        };
        let slip = Arc::<Slip>::default();
        self.note(id, now, bytes, Arc::clone(&slip));
        self.accepted.add(now, 1, bytes as u64);
        Ok(Taken { id, slip, is_kept })
    }

    fn note(&mut self, id: TaskId, accepted_at: Instant, bytes: usize, slip: Arc<Slip>) {
        let note = Note {
            accepted_at,
            bytes,
            slip,
            waiters: Waiters::default(),
        };
        self.notes.insert(id, note);
    }

    /// Waits for what becomes of a task. `false`: nothing more does.
    fn stand(
        &mut self,
        id: TaskId,
        awaited: Awaited,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        effects: &mut Effects,
    ) -> bool {
        let note = self.notes.get_mut(&id);
        note.map(|note| note.waiters.stand(awaited, ticket, waker, effects))
            .is_some()
    }

    /// The newest task that is not settled; of those up to this one.
    pub(super) fn newest(&self, up_to: TaskId) -> Option<TaskId> {
        self.notes.range(..=up_to).next_back().map(|(&id, _)| id)
    }

    /// A task of an earlier source.
    pub(super) fn restore(&mut self, now: Instant, id: TaskId, entry: ledger::Task) {
        self.note(id, now, entry.message.byte_count(), Arc::default());
        self.ledger.restore(now, id, entry);
    }

    /// A task is kept: from now on it is delivered. If its sender does not want it any more, it is settled.
    pub(super) fn kept(&mut self, now: Instant, id: TaskId, effects: &mut Effects) {
        if !self.ledger.handle_kept(now, id) {
            // Said by who stores next.
            let _is_sooner = self.to_store.settle(now, id.0.get());
        } else if let Some(note) = self.notes.get_mut(&id) {
            note.slip.tell_kept(Ok(()));
            note.waiters.wake_line(Awaited::Writable, effects);
        }
    }

    /// A task could not be kept: its sender gets it back.
    pub(super) fn not_kept(&mut self, id: TaskId, why: &NotTaken, effects: &mut Effects) {
        if let Some(task) = self.ledger.handle_not_kept(id)
            && let Some(mut note) = self.notes.remove(&id)
        {
            note.slip.tell_kept(Err((why.clone(), Some(Box::new(task)))));
            note.waiters.wake_all(effects);
        }
    }

    /// Its sender does not want it to be taken on any more, and gets it back. `None`: it is, or could not be.
    /// With it, what was to be stored.
    pub(super) fn take_back(&mut self, id: TaskId) -> Option<(ledger::Task, Option<KeptTask>)> {
        let task = self.ledger.handle_not_kept(id)?;
        self.notes.remove(&id);
        Some((task, self.to_store.take_back(id.0.get())))
    }

    /// No more tasks are taken on: those that wait for room are told.
    pub(super) fn drain(&mut self, effects: &mut Effects) {
        self.ledger.handle_drain();
        self.senders.wake_line(Awaited::Writable, effects);
    }

    /// Takes in what was heard, and, if that is all that was said, what is over by now; gives what is to be done.
    pub(super) fn turn(
        &mut self,
        now: Instant,
        heard: impl Iterator<Item = (WorkerId, Heard, u32)>,
        is_all: bool,
    ) -> Found {
        let mut found = Found::default();
        for (from, heard, chance) in heard {
            match heard {
                Heard::Said(said) => self.ledger.handle_said(now, from, said, chance),
                Heard::Malformed(why) => self.ledger.handle_malformed(now, from, why),
                Heard::Lost => self.ledger.handle_lost(from),
            }
        }
        if is_all && self.ledger.deadline().is_some_and(|at| at <= now) {
            self.ledger.handle_timeout(now);
        }
        if self.is_stopping {
            self.ledger.handle_stop();
        }
        while !found.is_cut
            && let Some(action) = self.ledger.poll_action(now)
        {
            match action {
                Action::Send { to, head, message } => found.sends.push((to, head, message)),
                Action::Settled { id, outcome } => self.settle(now, id, outcome, &mut found),
                Action::Room => self.senders.wake_line(Awaited::Writable, &mut found.effects),
                Action::CloseWorker(id) => found.closes.push(id),
            }
            found.is_cut = found.sends.len() >= MOST_SENDS;
        }
        found.spent = self.ledger.take_spent();
        found
    }

    /// A task that is dead is not told to be before its letter has found a place, or has not.
    fn settle(&mut self, now: Instant, id: TaskId, outcome: Outcome, found: &mut Found) {
        match outcome {
            Outcome::Done { .. } => {
                if let Some(note) = self.tell(id, Ok(()), &mut found.effects) {
                    self.confirm_time.add(now.saturating_duration_since(note.accepted_at));
                    self.done.add(now, 1, note.bytes as u64);
                }
                found.concerns_keeper |= self.forget(now, id);
            }
            Outcome::Dead(dead) => {
                let accepted_at = self.notes.get(&id).map_or(now, |note| note.accepted_at);
                let letter = DeadLetter::new(id.0.get(), *dead, accepted_at, (now, wall()));
                found.letters.push((id, letter));
            }
        }
    }

    /// The letter of a dead task was taken, or lost. Whether the keeper is to be told.
    pub(super) fn buried(
        &mut self,
        now: Instant,
        id: TaskId,
        why: Death,
        is_lost: bool,
        effects: &mut Effects,
    ) -> bool {
        self.tell(id, Err(Unconfirmed::Dead(why)), effects);
        self.lost_letters += u64::from(is_lost);
        !is_lost && self.forget(now, id)
    }

    /// A task has ended.
    fn tell(&mut self, id: TaskId, end: End, effects: &mut Effects) -> Option<Note> {
        let mut note = self.notes.remove(&id)?;
        note.slip.tell(end);
        note.waiters.wake_all(effects);
        Some(note)
    }

    /// A task is settled, and need not be kept. Whether the keeper is to be told.
    fn forget(&mut self, now: Instant, id: TaskId) -> bool {
        self.has_outbox && self.to_store.settle(now, id.0.get())
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Nothing more happens here: who waits is told. What was to be stored is to be dropped.
    pub(super) fn end(&mut self, effects: &mut Effects) -> VecDeque<KeptTask> {
        self.is_over = true;
        self.senders.wake_all(effects);
        for (id, mut note) in std::mem::take(&mut self.notes) {
            if let Some(task) = self.ledger.handle_not_kept(id) {
                note.slip.tell_kept(Err((NotTaken::Closed, Some(Box::new(task)))));
            }
            note.slip.tell(Err(Unconfirmed::Closed));
            note.waiters.wake_all(effects);
        }
        self.to_store.give_up()
    }

    pub(super) fn standing(&mut self, now: Instant) -> Standing {
        Standing {
            counts: self.ledger.counts().clone(),
            places: self.ledger.places(),
            oldest: self.notes.first_key_value().map(|(_, note)| note.accepted_at),
            confirm_time: self.confirm_time.clone(),
            accepted: self.accepted.at(now),
            done: self.done.at(now),
            lost_letters: self.lost_letters,
        }
    }
}

/// Does what is wanted, where no lock is held.
pub(super) fn run(effects: Effects) {
    // What would wait here would wait for this thread.
    let _driving = (!is_driving()).then(drive_here);
    effects.run();
}

/// As an outbox has it, with times of the wall's clock, and no id yet.
fn kept_task(now: Instant, entry: &ledger::Task) -> KeptTask {
    let wall = wall();
    let at = |at: Instant| wall.checked_add(at.saturating_duration_since(now));
    KeptTask {
        id: 0,
        message: entry.message.clone(),
        key: entry.key.clone(),
        headers: entry.headers.clone(),
        order: entry.order.clone(),
        starts_at: entry.starts_at.and_then(at),
        too_late_at: entry.too_late_at.and_then(at),
    }
}

/// What one turn sends at most: others want the lock, and workers want theirs.
const MOST_SENDS: usize = 256;

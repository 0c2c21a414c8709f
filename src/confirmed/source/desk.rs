//! What a source's lock guards: the ledger, and who waits for what becomes of its tasks.
//!
//! Senders put tasks on it, the clerk takes what is to be done. The lock is a leaf: who is to be woken and what is to be sent
//! comes out as [`Found`], and is done when it is free.

use super::keeper::ToStore;
use super::receipt::{End, Slip, Unconfirmed};
use crate::confirmed::dead::DeadLetter;
use crate::confirmed::ledger::{self, Action, Counts, Death, Ledger, Outcome, Places, Refusal, Refused, WorkerId};
use crate::confirmed::outbox::KeptTask;
use crate::confirmed::task::NotTaken;
use crate::confirmed::wire::{FromSource, FromWorker, Malformed, TaskId};
use crate::engine::seat::{drive_here, is_driving};
use crate::hub::Drive;
use crate::message::Message;
use crate::poller::Signal;
use crate::stats::{Histogram, Meter, Throughput};
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, catch};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Instant, SystemTime};

/// What a source's threads share.
pub(super) struct Shared {
    desk: Mutex<Desk>,
    drive: Arc<dyn Drive>,
    /// Wakes the clerk, who looks at `is_rung` then.
    pub(super) signal: Arc<Signal>,
    is_rung: AtomicBool,
    /// Wakes who stores tasks elsewhere.
    pub(super) keeper_signal: Arc<Signal>,
}

/// Tasks and who waits for them.
pub(super) struct Desk {
    pub(super) ledger: Ledger,
    /// One for each task that is not settled.
    notes: BTreeMap<TaskId, Note>,
    /// Whether tasks are kept elsewhere before they are delivered.
    has_outbox: bool,
    pub(super) to_store: ToStore,
    /// Who waits for room in the backlog, by tickets: as many as there are calls. All are woken when there is some.
    senders: BTreeMap<Ticket, Waker>,
    next_ticket: Ticket,
    /// Who waits until all up to this one are settled.
    flushers: Vec<(TaskId, Waker)>,
    /// The last id that was given.
    last: Option<TaskId>,
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
}

/// What the clerk heard.
pub(super) enum Heard {
    Said(FromWorker),
    Malformed(Malformed),
    /// The connection is over.
    Lost,
}

/// A place among those who wait for room.
pub(super) type Ticket = u64;

/// What is to be done when the lock is free.
#[derive(Default)]
pub(super) struct Found {
    pub(super) wakers: Vec<Waker>,
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

/// Why a task stays with its sender.
pub(super) enum Stays {
    /// There is no room now.
    Full(Box<ledger::Task>),
    TooLong(Box<ledger::Task>),
    Closed(Box<ledger::Task>),
}

impl Shared {
    pub(super) fn new(ledger: Ledger, drive: Arc<dyn Drive>, has_outbox: bool) -> Self {
        Shared {
            desk: Mutex::new(Desk {
                ledger,
                notes: BTreeMap::new(),
                has_outbox,
                to_store: ToStore::default(),
                senders: BTreeMap::new(),
                next_ticket: 0,
                flushers: Vec::new(),
                last: None,
                is_stopping: false,
                is_over: false,
                confirm_time: Histogram::default(),
                accepted: Meter::default(),
                done: Meter::default(),
                lost_letters: 0,
            }),
            drive,
            signal: Arc::default(),
            is_rung: AtomicBool::new(false),
            keeper_signal: Arc::default(),
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

    /// Lets the clerk look at the desk, if it does not already.
    pub(super) fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            self.signal.give();
        }
    }

    pub(super) fn was_rung(&self) -> bool {
        self.is_rung.swap(false, Ordering::AcqRel)
    }

    /// Takes a task on, or says why not; then `waker` is woken when there may be room.
    pub(super) fn accept(
        &self,
        entry: ledger::Task,
        waker: Option<(&Waker, &mut Option<Ticket>)>,
    ) -> Result<(TaskId, Arc<Slip>), Stays> {
        let now = self.now();
        let is_timed = entry.starts_at.is_some() || entry.too_late_at.is_some();
        let mut desk = self.desk();
        let (accepted, concerns_keeper) = desk.accept(now, entry, waker);
        // Else somebody has to grant credit first, which the clerk hears by itself.
        let concerns_clerk = accepted.is_ok() && (is_timed || desk.ledger.can_deliver());
        drop(desk);
        if concerns_clerk {
            self.ring();
        }
        if concerns_keeper {
            self.keeper_signal.give();
        }
        accepted
    }
}

impl Desk {
    fn accept(
        &mut self,
        now: Instant,
        entry: ledger::Task,
        waker: Option<(&Waker, &mut Option<Ticket>)>,
    ) -> (Result<(TaskId, Arc<Slip>), Stays>, bool) {
        if self.is_over {
            return (Err(Stays::Closed(Box::new(entry))), false);
        }
        let bytes = entry.message.byte_count();
        let kept = self.has_outbox.then(|| kept_task(now, &entry));
        let reserved = match kept {
            Some(_) => self.ledger.reserve(entry),
            None => self.ledger.handle_task(now, entry),
        };
        let mut concerns_keeper = false;
        let accepted = match reserved {
            Ok(id) => {
                if let Some(mut kept) = kept {
                    kept.id = id.0.get();
                    concerns_keeper = self.to_store.add(kept);
                }
                let slip = Arc::<Slip>::default();
                let note = Note {
                    accepted_at: now,
                    bytes,
                    slip: Arc::clone(&slip),
                };
                self.notes.insert(id, note);
                self.last = Some(id);
                self.accepted.add(now, 1, bytes as u64);
                Ok((id, slip))
            }
            Err(Refused { why, task }) => Err(match why {
                Refusal::Full => {
                    if let Some((waker, ticket)) = waker {
                        let ticket = *ticket.get_or_insert_with(|| {
                            self.next_ticket += 1;
                            self.next_ticket
                        });
                        self.senders.insert(ticket, waker.clone());
                    }
                    Stays::Full(task)
                }
                Refusal::TooLong => Stays::TooLong(task),
                Refusal::Draining => Stays::Closed(task),
            }),
        };
        (accepted, concerns_keeper)
    }

    /// Who stood there does not wait for room any more.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        self.senders.remove(&ticket)
    }

    /// A task of an earlier source.
    pub(super) fn restore(&mut self, now: Instant, id: TaskId, entry: ledger::Task) {
        let note = Note {
            accepted_at: now,
            bytes: entry.message.byte_count(),
            slip: Arc::default(),
        };
        self.notes.insert(id, note);
        self.last = Some(id);
        self.ledger.restore(now, id, entry);
    }

    /// A task is kept: from now on it is delivered. If its sender does not want it any more, it is settled.
    pub(super) fn kept(&mut self, now: Instant, id: TaskId, wakers: &mut Vec<Waker>) {
        if !self.ledger.handle_kept(now, id) {
            let _is_told_later = self.to_store.settle(id.0.get());
        } else if let Some(note) = self.notes.get(&id) {
            note.slip.tell_kept(wakers);
        }
    }

    /// A task could not be kept: its sender gets it back.
    pub(super) fn not_kept(&mut self, id: TaskId, why: &NotTaken, wakers: &mut Vec<Waker>) {
        if let Some(task) = self.ledger.handle_not_kept(id)
            && let Some(note) = self.notes.remove(&id)
        {
            note.slip.tell_not_kept(why.clone(), Box::new(task), wakers);
        }
        // The backlog may have room again.
        wakers.extend(std::mem::take(&mut self.senders).into_values());
    }

    /// Its sender does not want it to be taken on any more, and gets it back. `None`: it is, or could not be.
    /// With it, what was to be stored.
    pub(super) fn take_back(&mut self, id: TaskId) -> Option<(ledger::Task, Option<KeptTask>)> {
        let task = self.ledger.handle_not_kept(id)?;
        self.notes.remove(&id);
        Some((task, self.to_store.take_back(id.0.get())))
    }

    /// No more tasks are taken on: those that wait for room are to be told.
    pub(super) fn drain(&mut self) -> Vec<Waker> {
        self.ledger.handle_drain();
        std::mem::take(&mut self.senders).into_values().collect()
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
                Action::Room => found.wakers.extend(std::mem::take(&mut self.senders).into_values()),
                Action::CloseWorker(id) => found.closes.push(id),
            }
            found.is_cut = found.sends.len() >= MOST_SENDS;
        }
        self.tell_flushers(&mut found.wakers);
        found.spent = self.ledger.take_spent();
        found
    }

    /// A task that is dead is not told to be before its letter has found a place, or has not.
    fn settle(&mut self, now: Instant, id: TaskId, outcome: Outcome, found: &mut Found) {
        let Some(note) = self.notes.get(&id) else {
            return;
        };
        let age = now.saturating_duration_since(note.accepted_at);
        match outcome {
            Outcome::Done { .. } => {
                self.confirm_time.add(age);
                self.done.add(now, 1, note.bytes as u64);
                note.slip.tell(Ok(()), &mut found.wakers);
                self.notes.remove(&id);
                found.concerns_keeper |= self.forget(id.0.get());
            }
            Outcome::Dead(dead) => {
                let wall = SystemTime::now();
                let accepted_at = wall.checked_sub(age).unwrap_or(wall);
                let letter = DeadLetter::new(id.0.get(), *dead, accepted_at, (now, wall));
                found.letters.push((id, letter));
            }
        }
    }

    /// The letter of a dead task was taken, or lost. Whether the keeper is to be told.
    pub(super) fn buried(&mut self, id: TaskId, why: Death, is_lost: bool, wakers: &mut Vec<Waker>) -> bool {
        if let Some(note) = self.notes.remove(&id) {
            note.slip.tell(Err(Unconfirmed::Dead(why)), wakers);
        }
        self.tell_flushers(wakers);
        self.lost_letters += u64::from(is_lost);
        !is_lost && self.forget(id.0.get())
    }

    fn tell_flushers(&mut self, wakers: &mut Vec<Waker>) {
        let first = self.notes.first_key_value().map(|(&id, _)| id);
        self.flushers.retain(|(last, waker)| {
            let waits = first.is_some_and(|first| first <= *last);
            if !waits {
                wakers.push(waker.clone());
            }
            waits
        });
    }

    /// A task is settled, and need not be kept. Whether the keeper is to be told.
    fn forget(&mut self, id: u64) -> bool {
        self.has_outbox && self.to_store.settle(id)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether all that was given up to `last` is settled; else `waker` is woken when it is.
    pub(super) fn poll_flushed(&mut self, last: TaskId, waker: &Waker) -> bool {
        let is_flushed = self.is_over || self.notes.first_key_value().is_none_or(|(&first, _)| first > last);
        if !is_flushed && !self.flushers.iter().any(|(_, known)| known.will_wake(waker)) {
            self.flushers.push((last, waker.clone()));
        }
        is_flushed
    }

    pub(super) fn last(&self) -> Option<TaskId> {
        self.last
    }

    /// Nothing more happens here: who waits is told.
    pub(super) fn end(&mut self) -> (Vec<Waker>, VecDeque<KeptTask>) {
        self.is_over = true;
        let mut wakers: Vec<Waker> = std::mem::take(&mut self.senders).into_values().collect();
        wakers.extend(self.flushers.drain(..).map(|(_, waker)| waker));
        for (id, note) in std::mem::take(&mut self.notes) {
            if let Some(task) = self.ledger.handle_not_kept(id) {
                note.slip.tell_not_kept(NotTaken::Closed, Box::new(task), &mut wakers);
            }
            note.slip.tell(closed(), &mut wakers);
        }
        (wakers, self.to_store.give_up())
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

/// Wakes all of them, where no lock is held.
pub(super) fn wake(wakers: Vec<Waker>) {
    // What would wait here would wait for this thread.
    let _driving = (!is_driving()).then(drive_here);
    for waker in wakers {
        // A waker of the application's may panic; the others are woken all the same.
        let _panicked = catch(|| waker.wake());
    }
}

/// As an outbox has it, with times of the wall's clock, and no id yet.
fn kept_task(now: Instant, entry: &ledger::Task) -> KeptTask {
    let wall = SystemTime::now();
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

fn closed() -> End {
    Err(Unconfirmed::Closed)
}

/// What one turn sends at most: others want the lock, and workers want theirs.
const MOST_SENDS: usize = 256;

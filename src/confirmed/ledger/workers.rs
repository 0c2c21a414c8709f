//! Who has said HELLO, what each takes, and who takes the next task.

use super::queue::Turn;
use crate::confirmed::wire::{MOST_CREDIT, Session, TaskId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// A worker's connection: a number that is never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// A worker from when it came to when it was gone: one connection may be several, one after the other.
pub(super) type Arrival = (WorkerId, u64);

/// All that are there.
#[derive(Debug, Clone, Default)]
pub(super) struct Workers {
    all: BTreeMap<WorkerId, Worker>,
    sessions: BTreeMap<Session, WorkerId>,
    /// Those with credit: most first, of equals who was chosen longest ago.
    free: BTreeSet<(Reverse<u32>, u64, WorkerId)>,
    /// Those with credit and tasks that only they may have, by the first of these.
    wanted: BTreeSet<(Turn, WorkerId)>,
    /// How often one was chosen.
    choices: u64,
    /// How often one has come.
    arrivals: u64,
}

/// One that is there.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    pub(super) session: Session,
    /// The number of its coming.
    arrival: u64,
    /// Deliveries that it takes yet.
    pub(super) credit: u32,
    /// What it has. With `credit` at most [`MOST_CREDIT`].
    pub(super) open: BTreeSet<TaskId>,
    /// Queued tasks that only it may have, since it has had their ordering keys: at most one for each key that is at work.
    pub(super) bound: BTreeSet<Turn>,
    pub(super) heard: Instant,
    /// What its timer is set for.
    pub(super) silent_at: Option<Instant>,
    /// Heads that were not understood.
    pub(super) offences: u32,
    /// The number of the choice when it was chosen last; who has come stands behind all others.
    chosen: u64,
}

impl Worker {
    /// Deliveries that it has.
    pub(super) fn has(&self) -> u32 {
        // Each has taken a credit, so they are at most MOST_CREDIT.
        u32::try_from(self.open.len()).map_or(MOST_CREDIT, |has| has.min(MOST_CREDIT))
    }
}

impl Workers {
    /// Deliveries that are open, at all of them.
    pub(super) fn open(&self) -> usize {
        self.all.values().map(|worker| worker.open.len()).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = WorkerId> {
        self.all.keys().copied()
    }

    pub(super) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.all.get(&id)
    }

    pub(super) fn of_session(&self, session: Session) -> Option<WorkerId> {
        self.sessions.get(&session).copied()
    }

    pub(super) fn arrival(&self, id: WorkerId) -> Option<Arrival> {
        self.all.get(&id).map(|worker| (id, worker.arrival))
    }

    pub(super) fn is_there(&self, (id, arrival): Arrival) -> bool {
        self.all.get(&id).is_some_and(|worker| worker.arrival == arrival)
    }

    /// Who takes a task that anybody may have.
    pub(super) fn best(&self) -> Option<WorkerId> {
        self.free.first().map(|&(.., id)| id)
    }

    /// The first task that only one may have who takes it.
    pub(super) fn first_bound(&self) -> Option<(Turn, WorkerId)> {
        self.wanted.first().copied()
    }

    /// One has come, who takes nothing yet.
    pub(super) fn insert(&mut self, id: WorkerId, session: Session, now: Instant) {
        self.sessions.insert(session, id);
        self.arrivals += 1;
        let worker = Worker {
            session,
            arrival: self.arrivals,
            credit: 0,
            open: BTreeSet::new(),
            bound: BTreeSet::new(),
            heard: now,
            silent_at: None,
            offences: 0,
            chosen: self.choices,
        };
        self.all.insert(id, worker);
    }

    /// Whether it is there; then it has been heard.
    pub(super) fn hear(&mut self, id: WorkerId, now: Instant) -> bool {
        let worker = self.all.get_mut(&id);
        worker.map(|worker| worker.heard = now).is_some()
    }

    /// It takes a task.
    pub(super) fn choose(&mut self, id: WorkerId) {
        self.choices += 1;
        let choices = self.choices;
        self.update(id, |worker| {
            worker.credit = worker.credit.saturating_sub(1);
            worker.chosen = choices;
        });
    }

    /// Changes it, and where it stands among the others.
    pub(super) fn update<R>(&mut self, id: WorkerId, change: impl FnOnce(&mut Worker) -> R) -> Option<R> {
        let worker = self.all.get_mut(&id)?;
        let before = places(id, worker);
        let changed = change(worker);
        let after = places(id, worker);
        self.stand(before, after);
        Some(changed)
    }

    pub(super) fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        let worker = self.all.remove(&id)?;
        self.sessions.remove(&worker.session);
        self.stand(places(id, &worker), (None, None));
        Some(worker)
    }

    /// Whether each stands where it should. Only tests look.
    #[cfg(test)]
    pub(super) fn is_exact(&self) -> bool {
        let places = self.all.iter().map(|(&id, worker)| places(id, worker));
        let (free, wanted): (Vec<_>, Vec<_>) = places.unzip();
        self.free == free.into_iter().flatten().collect()
            && self.wanted == wanted.into_iter().flatten().collect()
            && self.sessions.len() == self.all.len()
            && self
                .sessions
                .iter()
                .all(|(session, id)| self.all.get(id).is_some_and(|worker| worker.session == *session))
            && self
                .all
                .values()
                .all(|worker| worker.has() + worker.credit <= MOST_CREDIT)
    }

    /// All, by who was chosen longest ago, and whether the next was so, too. Only tests look.
    #[cfg(test)]
    pub(super) fn by_choice(&self) -> Vec<(u64, WorkerId)> {
        let mut all: Vec<_> = self.all.iter().map(|(&id, worker)| (worker.chosen, id)).collect();
        all.sort();
        all
    }

    fn stand(&mut self, before: Places, after: Places) {
        if before.0 != after.0 {
            before.0.map(|place| self.free.remove(&place));
            self.free.extend(after.0);
        }
        if before.1 != after.1 {
            before.1.map(|place| self.wanted.remove(&place));
            self.wanted.extend(after.1);
        }
    }
}

/// In `free` and in `wanted`.
type Places = (Option<(Reverse<u32>, u64, WorkerId)>, Option<(Turn, WorkerId)>);

fn places(id: WorkerId, worker: &Worker) -> Places {
    if worker.credit == 0 {
        return (None, None);
    }
    let free = (Reverse(worker.credit), worker.chosen, id);
    (Some(free), worker.bound.first().map(|&turn| (turn, id)))
}

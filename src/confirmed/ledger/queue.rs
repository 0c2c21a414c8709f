//! Which task is next: redeliveries before fresh ones, each in the order of their ids.
//!
//! Tasks of one ordering key stand in a lane. One of them *holds* it from when it may be delivered to when it is settled, also
//! while it is open or waits to be tried again; the others wait behind it. A lane is bound to the worker that was sent its
//! holder: while that is there, only it gets the lane's tasks.

use super::task::Held;
use super::workers::{Arrival, WorkerId, Workers};
use crate::confirmed::wire::TaskId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The tasks that are queued. Each of them is in one place: here, in its lane, or with the worker that its lane is bound to.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    /// For anybody.
    anybody: BTreeSet<Turn>,
    /// A lane is here as long as a task holds it.
    lanes: BTreeMap<Bytes, Lane>,
}

/// A task's place among others: fresh ones stand behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    is_fresh: bool,
    pub(super) id: TaskId,
}

#[derive(Debug, Clone)]
struct Lane {
    holder: TaskId,
    /// It counts while that worker is there.
    bound: Option<Arrival>,
    waiting: BTreeSet<Turn>,
}

impl Queue {
    /// The next task, and who takes it.
    pub(super) fn next(&self, workers: &Workers) -> Option<(TaskId, WorkerId)> {
        let anybody = self.anybody.first().copied().zip(workers.best());
        let next = anybody.into_iter().chain(workers.first_bound()).min();
        next.map(|(turn, worker)| (turn.id, worker))
    }

    /// It may be delivered, or waits for its lane.
    pub(super) fn enter(&mut self, id: TaskId, held: &Held, workers: &mut Workers) {
        let turn = turn(id, held);
        if let Some(order) = &held.task.order {
            let lane = self.lanes.entry(order.clone()).or_insert_with(|| Lane {
                holder: id,
                bound: None,
                waiting: BTreeSet::new(),
            });
            if lane.holder != id {
                lane.waiting.insert(turn);
                return;
            }
        }
        self.place(turn, held.task.order.as_ref(), workers);
    }

    /// It is taken out of where `enter` put it. What held its lane still does.
    pub(super) fn leave(&mut self, id: TaskId, held: &Held, workers: &mut Workers) {
        let turn = turn(id, held);
        if let Some(lane) = held.task.order.as_ref().and_then(|order| self.lanes.get_mut(order)) {
            if lane.holder != id {
                lane.waiting.remove(&turn);
                return;
            }
            let bound = lane.bound.filter(|&bound| workers.is_there(bound));
            if let Some((worker, _)) = bound {
                workers.update(worker, |worker| worker.bound.remove(&turn));
                return;
            }
        }
        self.anybody.remove(&turn);
    }

    /// It has left, and is settled: the next of its lane may be delivered.
    pub(super) fn finish(&mut self, id: TaskId, held: &Held, workers: &mut Workers) {
        let Some(order) = &held.task.order else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(order).filter(|lane| lane.holder == id) else {
            return;
        };
        match lane.waiting.pop_first() {
            Some(turn) => {
                lane.holder = turn.id;
                self.place(turn, Some(order), workers);
            }
            None => drop(self.lanes.remove(order)),
        }
    }

    /// It is delivered to this worker, and so are those of its lane.
    pub(super) fn bind(&mut self, held: &Held, worker: Arrival) {
        self.set_bound(held, Some(worker));
    }

    /// Another worker may have its lane. It is not queued.
    pub(super) fn unbind(&mut self, held: &Held) {
        self.set_bound(held, None);
    }

    /// The worker that these were bound to is gone.
    pub(super) fn set_free(&mut self, bound: BTreeSet<Turn>) {
        self.anybody.extend(bound);
    }

    /// Where each queued task is, those apart that are with workers. Only tests look.
    #[cfg(test)]
    pub(super) fn queued(&self) -> Vec<TaskId> {
        let waiting = self.lanes.values().flat_map(|lane| &lane.waiting);
        self.anybody.iter().chain(waiting).map(|turn| turn.id).collect()
    }

    /// The holder of each lane and whom it is bound to. Only tests look.
    #[cfg(test)]
    pub(super) fn lanes(&self) -> impl Iterator<Item = (&Bytes, TaskId, Option<WorkerId>)> {
        let bound = |lane: &Lane| lane.bound.map(|(worker, _)| worker);
        let lanes = self.lanes.iter();
        lanes.map(move |(order, lane)| (order, lane.holder, bound(lane)))
    }

    fn set_bound(&mut self, held: &Held, bound: Option<Arrival>) {
        if let Some(lane) = held.task.order.as_ref().and_then(|order| self.lanes.get_mut(order)) {
            lane.bound = bound;
        }
    }

    /// It holds its lane, if it has one.
    fn place(&mut self, turn: Turn, order: Option<&Bytes>, workers: &mut Workers) {
        let bound = order.and_then(|order| self.lanes.get(order)?.bound);
        match bound.filter(|&bound| workers.is_there(bound)) {
            Some((worker, _)) => drop(workers.update(worker, |worker| worker.bound.insert(turn))),
            None => drop(self.anybody.insert(turn)),
        }
    }
}

/// Before its delivery, and as long as it is queued.
fn turn(id: TaskId, held: &Held) -> Turn {
    Turn {
        is_fresh: !held.was_delivered,
        id,
    }
}

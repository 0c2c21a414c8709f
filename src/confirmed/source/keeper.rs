//! The thread that keeps tasks elsewhere: stores what was reserved, and then lets it be delivered.
//!
//! Many senders share one store: while it is under way the next group gathers. What is settled goes with the next group, or
//! after a pause of a tenth of a second.

use super::desk::{Shared, wake};
use crate::confirmed::outbox::{KeptTask, Outbox, OutboxError};
use crate::confirmed::task::NotTaken;
use crate::confirmed::wire::TaskId;
use crate::poller::wait_for_any;
use crate::sync::catch;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::error;

/// What waits to be stored. Guarded by the desk's lock.
#[derive(Debug, Default)]
pub(super) struct ToStore {
    /// As many as are reserved: the backlog's limit is theirs.
    tasks: std::collections::VecDeque<KeptTask>,
    /// As many as were stored and are not known there to be settled: at most a backlog of them.
    settled: Vec<u64>,
}

/// One store's worth.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) tasks: Vec<KeptTask>,
    pub(super) settled: Vec<u64>,
}

impl ToStore {
    /// Whether the keeper is to be told.
    pub(super) fn add(&mut self, task: KeptTask) -> bool {
        self.tasks.push_back(task);
        self.tasks.len() == 1
    }

    /// Whether the keeper is to be told.
    pub(super) fn settle(&mut self, id: u64) -> bool {
        self.settled.push(id);
        self.settled.len() == 1 || self.settled.len() == MOST_SETTLED
    }

    /// Its sender does not want it to be stored any more. `None`: it is being stored.
    pub(super) fn take_back(&mut self, id: u64) -> Option<KeptTask> {
        // They came in the order of their ids.
        let place = self.tasks.binary_search_by_key(&id, |task| task.id).ok()?;
        self.tasks.remove(place)
    }

    /// Nobody waits for these to be stored any more.
    pub(super) fn give_up(&mut self) -> std::collections::VecDeque<KeptTask> {
        std::mem::take(&mut self.tasks)
    }

    fn is_due(&self) -> bool {
        !self.tasks.is_empty() || self.settled.len() >= MOST_SETTLED
    }

    fn take(&mut self) -> Group {
        let mut bytes = 0;
        let most = self.tasks.iter().take(MOST_TASKS).take_while(|task| {
            let fits = bytes < MOST_BYTES;
            bytes += task.message.byte_count();
            fits
        });
        let most = most.count();
        Group {
            tasks: self.tasks.drain(..most).collect(),
            settled: std::mem::take(&mut self.settled),
        }
    }
}

/// Stores until the source is over and nothing is left to be stored.
pub(super) fn keep(shared: &Arc<Shared>, mut outbox: Box<dyn Outbox>) {
    loop {
        let is_over = wait(shared);
        let group = shared.desk().to_store.take();
        if !group.tasks.is_empty() || !group.settled.is_empty() {
            store(shared, &mut *outbox, group);
        } else if is_over {
            return;
        }
    }
}

/// Until a group is due, or the source is over (`true`).
fn wait(shared: &Shared) -> bool {
    let look = || {
        let desk = shared.desk();
        let is_over = desk.is_over();
        (is_over || desk.to_store.is_due()).then_some(is_over)
    };
    loop {
        let has_settled = !shared.desk().to_store.settled.is_empty();
        let until: Option<Instant> = has_settled.then(|| shared.now().checked_add(PAUSE)).flatten();
        let woken = wait_for_any(&[], &shared.keeper_signal, until, || {
            // Rung for the first that is settled: from then on there is a time.
            look().map(Some).or_else(|| {
                let is_news = until.is_none() && !shared.desk().to_store.settled.is_empty();
                is_news.then_some(None)
            })
        });
        match woken {
            Some(Some(is_over)) => return is_over,
            Some(None) => {}
            None => return false,
        }
    }
}

fn store(shared: &Shared, outbox: &mut dyn Outbox, group: Group) {
    let Group { tasks, settled } = group;
    let stored = catch(|| outbox.store(&tasks, &settled));
    let refusal = match &stored {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(refusal(error)),
        Err(_) => Some(NotTaken::Outbox(String::from("it panicked"))),
    };
    if let Some(why) = &refusal {
        error!(%why, tasks = tasks.len(), "tasks could not be kept");
    }
    let now = shared.now();
    let mut wakers = Vec::new();
    let mut desk = shared.desk();
    for task in &tasks {
        let Some(id) = NonZeroU64::new(task.id).map(TaskId) else {
            continue;
        };
        match &refusal {
            None => desk.kept(now, id, &mut wakers),
            Some(why) => desk.not_kept(id, why, &mut wakers),
        }
    }
    // Who waits for room, or for all to be settled, is told by the clerk.
    let concerns_clerk = refusal.is_some() || desk.ledger.can_deliver() || desk.ledger.deadline().is_some();
    drop(desk);
    if concerns_clerk {
        shared.ring();
    }
    wake(wakers);
}

fn refusal(error: &OutboxError) -> NotTaken {
    match error {
        OutboxError::Full { .. } => NotTaken::OutboxFull,
        error => NotTaken::Outbox(error.to_string()),
    }
}

/// Tasks and bytes of one store, at most: who sends alone does not wait for more.
const MOST_TASKS: usize = 1024;
const MOST_BYTES: usize = 8 << 20;
/// So many that are settled are stored without a task.
const MOST_SETTLED: usize = 1024;
/// After which they are, however few.
const PAUSE: Duration = Duration::from_millis(100);

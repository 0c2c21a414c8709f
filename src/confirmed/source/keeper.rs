//! Keeps tasks elsewhere: stores what was reserved, and then lets it be delivered.
//!
//! Many senders share one store: while it is under way the next group gathers. A thread of the source stores the groups, but
//! for a sender that is alone: it would only wait for that thread to wake, so it stores its task itself. What is settled goes
//! with the next group, or after a tenth of a second.

use super::desk::{Shared, run};
use crate::confirmed::outbox::{KeptTask, Outbox, OutboxError};
use crate::confirmed::task::NotTaken;
use crate::confirmed::wire::TaskId;
use crate::hub::Effects;
use crate::poller::wait_for_any;
use crate::sync::catch;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use tracing::error;

/// What waits to be stored. Guarded by the desk's lock.
pub(super) struct ToStore {
    /// Here while nobody stores. Always gone where nothing is kept.
    outbox: Option<Box<dyn Outbox>>,
    /// In the order of their ids. As many as are reserved: the backlog's limit is theirs.
    tasks: VecDeque<KeptTask>,
    /// As many as were stored and are not known there to be settled: at most a backlog of them.
    settled: Vec<u64>,
    /// When they are stored without a task. `None`: there are none.
    settled_at: Option<Instant>,
    /// The last group was one task: who sends is alone.
    is_alone: bool,
}

/// One store's worth, and where it goes: who has this stores, and nobody else does meanwhile.
struct Group {
    outbox: Box<dyn Outbox>,
    tasks: Vec<KeptTask>,
    settled: Vec<u64>,
}

impl ToStore {
    pub(super) fn new(outbox: Option<Box<dyn Outbox>>) -> Self {
        ToStore {
            outbox,
            tasks: VecDeque::new(),
            settled: Vec::new(),
            settled_at: None,
            is_alone: true,
        }
    }

    pub(super) fn add(&mut self, task: KeptTask) {
        self.tasks.push_back(task);
    }

    /// Whether the keeper is to be told.
    pub(super) fn settle(&mut self, now: Instant, id: u64) -> bool {
        self.settled.push(id);
        let is_full = self.settled.len() >= MOST_SETTLED;
        let at = if is_full { now } else { now + PAUSE };
        let is_sooner = self.settled_at.is_none_or(|before| at < before);
        if is_sooner {
            self.settled_at = Some(at);
        }
        is_sooner
    }

    /// Its sender does not want it to be stored any more. `None`: it is being stored.
    pub(super) fn take_back(&mut self, id: u64) -> Option<KeptTask> {
        let place = self.tasks.binary_search_by_key(&id, |task| task.id).ok()?;
        self.tasks.remove(place)
    }

    /// Nobody waits for these to be stored any more.
    pub(super) fn give_up(&mut self) -> VecDeque<KeptTask> {
        std::mem::take(&mut self.tasks)
    }

    /// Whether a group is to be stored now, by who has the outbox.
    fn is_due(&self, now: Instant) -> bool {
        !self.tasks.is_empty() || self.settled_at.is_some_and(|at| at <= now)
    }

    /// `None`: there is nothing, or somebody stores.
    fn take(&mut self) -> Option<Group> {
        if self.tasks.is_empty() && self.settled.is_empty() {
            return None;
        }
        let outbox = self.outbox.take()?;
        let mut bytes = 0;
        let fits = |task: &&KeptTask| {
            let fits = bytes < MOST_BYTES;
            bytes += task.message.byte_count();
            fits
        };
        let most = self.tasks.iter().take(MOST_TASKS).take_while(fits).count();
        let tasks: Vec<_> = self.tasks.drain(..most).collect();
        if !tasks.is_empty() {
            self.is_alone = tasks.len() == 1;
        }
        self.settled_at = None;
        let settled = std::mem::take(&mut self.settled);
        Some(Group { outbox, tasks, settled })
    }

    /// For who has just added a task. `None`: others send as well, or somebody stores.
    fn take_alone(&mut self) -> Option<Group> {
        let is_alone = self.is_alone && self.tasks.len() == 1;
        is_alone.then(|| self.take()).flatten()
    }
}

/// Stores until the source is over and nothing is left to be stored, then lets go of the outbox.
pub(super) fn keep(shared: &Shared) {
    loop {
        let is_over = wait(shared);
        let group = shared.desk().to_store.take();
        match group {
            Some(group) => store(shared, group),
            None if is_over => break,
            None => {}
        }
    }
    let outbox = shared.desk().to_store.outbox.take();
    drop(outbox);
}

/// Stores on this thread what it has just added, unless others store or send as well: then the keeper is told.
pub(super) fn store_here(shared: &Shared) {
    let may_wait = shared.drive().may_wait().is_ok();
    let group = may_wait.then(|| shared.desk().to_store.take_alone()).flatten();
    match group {
        Some(group) => store(shared, group),
        None => shared.keeper.ring(),
    }
}

/// Lets the keeper store.
pub(super) fn store_there(shared: &Shared) {
    shared.keeper.ring();
}

/// Until something is due, or the source is over (`true`), and nobody stores.
fn wait(shared: &Shared) -> bool {
    loop {
        let now = shared.now();
        let desk = shared.desk();
        let (is_over, is_due) = (desk.is_over(), desk.to_store.is_due(now));
        let (is_here, settled_at) = (desk.to_store.outbox.is_some(), desk.to_store.settled_at);
        drop(desk);
        if is_here && (is_over || is_due) {
            return is_over;
        }
        // Who stores meanwhile rings if something is due then.
        let until = settled_at.filter(|_| !is_due);
        let _rung = wait_for_any(&[], &shared.keeper.signal, until, || {
            shared.keeper.was_rung().then_some(())
        });
    }
}

fn store(shared: &Shared, group: Group) {
    let Group {
        mut outbox,
        tasks,
        settled,
    } = group;
    let refusal = match catch(|| outbox.store(&tasks, &settled)) {
        Ok(Ok(())) => None,
        Ok(Err(OutboxError::Full { .. })) => Some(NotTaken::OutboxFull),
        Ok(Err(error)) => Some(NotTaken::Outbox(error.to_string())),
        Err(_) => Some(NotTaken::Outbox(String::from("it panicked"))),
    };
    if let Some(why) = &refusal {
        error!(%why, tasks = tasks.len(), "tasks could not be kept");
    }
    let now = shared.now();
    let mut effects = Effects::default();
    let mut desk = shared.desk();
    desk.to_store.outbox = Some(outbox);
    for id in tasks.iter().filter_map(|task| NonZeroU64::new(task.id)) {
        match &refusal {
            None => desk.kept(now, TaskId(id), &mut effects),
            Some(why) => desk.not_kept(TaskId(id), why, &mut effects),
        }
    }
    let is_awaited = desk.to_store.is_due(now) || desk.is_over();
    drop(desk);
    // What may be delivered now, what has a time, and who waits for room are the clerk's.
    shared.clerk.ring();
    if is_awaited {
        shared.keeper.ring();
    }
    run(effects);
}

/// Tasks and bytes of one store, at most: who sends alone does not wait for more.
const MOST_TASKS: usize = 1024;
const MOST_BYTES: usize = 8 << 20;
/// So many that are settled are stored without a task.
const MOST_SETTLED: usize = 1024;
/// After which they are, however few.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::confirmed::outbox::Kept;
    use crate::message::Message;
    use bytes::Bytes;

    struct Nowhere;

    impl Outbox for Nowhere {
        fn load(&mut self, fresh: [u8; 16]) -> Result<Kept, OutboxError> {
            Ok(Kept::nothing(fresh))
        }

        fn store(&mut self, _: &[KeptTask], _: &[u64]) -> Result<(), OutboxError> {
            Ok(())
        }
    }

    /// What who sends alone stores: tasks, and how many that are settled.
    fn sends_alone(to_store: &mut ToStore, id: u64) -> Option<(usize, usize)> {
        to_store.add(KeptTask {
            id,
            message: Message::from("x"),
            key: Bytes::new(),
            headers: Bytes::new(),
            order: None,
            starts_at: None,
            too_late_at: None,
        });
        let group = to_store.take_alone()?;
        to_store.outbox = Some(group.outbox);
        Some((group.tasks.len(), group.settled.len()))
    }

    #[test]
    fn who_sends_alone_stores_what_is_settled_as_well() {
        let mut to_store = ToStore::new(Some(Box::new(Nowhere)));
        let begin = Instant::now();
        assert!(to_store.settle(begin, 1));
        assert!(!to_store.settle(begin, 2));

        assert_eq!(sends_alone(&mut to_store, 10), Some((1, 2)));
        assert_eq!(sends_alone(&mut to_store, 11), Some((1, 0)));
    }

    #[test]
    fn the_keeper_is_told_of_the_first_that_is_settled_and_when_they_are_many() {
        let mut to_store = ToStore::new(Some(Box::new(Nowhere)));
        let begin = Instant::now();

        let told = (1..=MOST_SETTLED as u64).filter(|&id| to_store.settle(begin, id));

        assert_eq!(told.collect::<Vec<_>>(), [1, MOST_SETTLED as u64]);
    }

    #[test]
    fn while_somebody_stores_nobody_else_does() {
        let mut to_store = ToStore::new(Some(Box::new(Nowhere)));
        assert_eq!(sends_alone(&mut to_store, 1), Some((1, 0)));
        let stores = to_store.outbox.take();

        assert_eq!(sends_alone(&mut to_store, 2), None);
        assert!(to_store.take().is_none());

        to_store.outbox = stores;
        assert_eq!(to_store.take().map(|group| group.tasks.len()), Some(1));
    }
}

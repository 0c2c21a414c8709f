//! Who waits for what.
//!
//! A blocked thread and a pending future are the same thing: a waker in a line. A change wakes the first in line; who
//! goes without taking, or takes and leaves more behind, wakes the next.

use super::effects::Effects;
use crate::routing::Awaited;
use crate::sync::Parker;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How a waiting thread reaches the loop.
pub(crate) trait Drive: Send + Sync {
    /// The clock, for deadlines.
    fn now(&self) -> Instant;

    /// Whether this thread may wait here at all.
    fn may_wait(&self) -> Result<(), CannotWait>;

    /// Waits until the parker's waker is called (`true`) or the deadline is over (`false`): drives, if nobody else does. Fails
    /// at once if this thread may not.
    fn wait(&self, parker: &Parker, deadline: Option<Instant>) -> Result<bool, CannotWait>;

    /// A future waits from now on. It cannot drive, so others must not let it wait for long.
    fn future_waits(&self);

    /// It does not any more.
    fn future_is_over(&self);
}

/// While it lives, somebody waits for a loop and cannot drive it.
pub(crate) struct Waiting(Arc<dyn Drive>);

impl Waiting {
    pub(crate) fn at(drive: &Arc<dyn Drive>) -> Self {
        drive.future_waits();
        Waiting(Arc::clone(drive))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.future_is_over();
    }
}

/// Why a call that would wait must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CannotWait {
    /// This thread runs the event loop: nobody else would end the wait.
    OnDriver,
    /// The loop's thread is in another process.
    Forked,
}

/// The deadline of a call that waits at most `timeout`; `None` waits for ever.
pub(crate) fn deadline(drive: &dyn Drive, timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| drive.now().checked_add(timeout))
}

/// Waits for a future on this thread. `None`: the deadline came first.
pub(crate) fn block_on<F: Future + Unpin>(
    drive: &dyn Drive,
    mut future: F,
    deadline: Option<Instant>,
) -> Result<Option<F::Output>, CannotWait> {
    drive.may_wait()?;
    Parker::with(|parker, waker| {
        let mut context = std::task::Context::from_waker(waker);
        loop {
            parker.reset();
            match std::pin::Pin::new(&mut future).poll(&mut context) {
                std::task::Poll::Ready(value) => return Ok(Some(value)),
                std::task::Poll::Pending if drive.wait(parker, deadline)? => {}
                std::task::Poll::Pending => return Ok(None),
            }
        }
    })
}

/// A place in a line, in the order of arrival.
pub(crate) type Ticket = u64;

/// The lines of one socket.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    readable: Line,
    writable: Line,
    /// The lines of everything else, each in the order of its tickets: as one, because most are of a single waiter.
    others: BTreeMap<(Awaited, Ticket), Waker>,
    next_ticket: Ticket,
}

/// Wakers in the order of their tickets. A waiter that was woken is not in it.
#[derive(Debug, Default)]
struct Line(VecDeque<(Ticket, Waker)>);

impl Waiters {
    fn line(&mut self, awaited: Awaited) -> Option<&mut Line> {
        match awaited {
            Awaited::Readable => Some(&mut self.readable),
            Awaited::Writable => Some(&mut self.writable),
            _ => None,
        }
    }

    /// Stands in line, in the place of `ticket` if there is one. The waker replaces an earlier one.
    pub(crate) fn stand(
        &mut self,
        awaited: Awaited,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        effects: &mut Effects,
    ) {
        let mine = *ticket.get_or_insert_with(|| {
            self.next_ticket += 1;
            self.next_ticket
        });
        let standing = match self.line(awaited) {
            Some(line) => line.place(mine, waker),
            None => match self.others.entry((awaited, mine)) {
                Entry::Occupied(standing) => Some(standing.into_mut()),
                Entry::Vacant(place) => {
                    place.insert(waker.clone());
                    None
                }
            },
        };
        if let Some(old) = standing
            && !old.will_wake(waker)
        {
            effects.drop_waker(std::mem::replace(old, waker.clone()));
        }
    }

    /// Goes out of line. `false`: it was not there, because it had been woken.
    pub(crate) fn leave(&mut self, awaited: Awaited, ticket: Ticket, effects: &mut Effects) -> bool {
        let left = match self.line(awaited) {
            Some(line) => line.leave(ticket),
            None => self.others.remove(&(awaited, ticket)),
        };
        let was_there = left.is_some();
        if let Some(waker) = left {
            effects.drop_waker(waker);
        }
        was_there
    }

    /// Wakes the first in line, if there is one.
    pub(crate) fn wake_first(&mut self, awaited: Awaited, effects: &mut Effects) {
        let first = match self.line(awaited) {
            Some(line) => line.0.pop_front().map(|(_, waker)| waker),
            None => self.pop_other(awaited),
        };
        if let Some(waker) = first {
            effects.wake(waker);
        }
    }

    /// Wakes all that wait for this.
    pub(crate) fn wake_line(&mut self, awaited: Awaited, effects: &mut Effects) {
        if let Some(line) = self.line(awaited) {
            std::mem::take(line).wake(effects);
            return;
        }
        while let Some(waker) = self.pop_other(awaited) {
            effects.wake(waker);
        }
    }

    fn pop_other(&mut self, awaited: Awaited) -> Option<Waker> {
        let (&first, _) = self.others.range((awaited, 0)..=(awaited, Ticket::MAX)).next()?;
        self.others.remove(&first)
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Readable => self.readable.0.is_empty(),
            Awaited::Writable => self.writable.0.is_empty(),
            _ => self.is_empty_of_others(awaited),
        }
    }

    #[inline(never)]
    fn is_empty_of_others(&self, awaited: Awaited) -> bool {
        let mut line = self.others.range((awaited, 0)..=(awaited, Ticket::MAX));
        line.next().is_none()
    }

    /// Whether somebody waits for what a peer may send.
    pub(crate) fn want_messages(&self) -> bool {
        !self.readable.0.is_empty() || !self.others.is_empty()
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&mut self, effects: &mut Effects) {
        std::mem::take(&mut self.readable).wake(effects);
        std::mem::take(&mut self.writable).wake(effects);
        for waker in std::mem::take(&mut self.others).into_values() {
            effects.wake(waker);
        }
    }
}

impl Line {
    /// Stands in its place; gives the waker that stands there already.
    fn place(&mut self, ticket: Ticket, waker: &Waker) -> Option<&mut Waker> {
        match self.0.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            Ok(place) => self.0.get_mut(place).map(|(_, waker)| waker),
            Err(place) => {
                self.0.insert(place, (ticket, waker.clone()));
                None
            }
        }
    }

    fn wake(self, effects: &mut Effects) {
        self.0.into_iter().for_each(|(_, waker)| effects.wake(waker));
    }

    fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let place = self.0.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
        self.0.remove(place).map(|(_, waker)| waker)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter(AtomicUsize::new(0)));
        (Arc::clone(&counter), Waker::from(counter))
    }

    #[test]
    fn a_change_wakes_the_first_in_line_and_nobody_else() {
        let mut waiters = Waiters::default();
        let (first, first_waker) = counter();
        let (second, second_waker) = counter();
        let (mut a, mut b) = (None, None);
        let mut effects = Effects::default();
        waiters.stand(Awaited::Readable, &mut a, &first_waker, &mut effects);
        waiters.stand(Awaited::Readable, &mut b, &second_waker, &mut effects);

        waiters.wake_first(Awaited::Readable, &mut effects);
        effects.run();

        assert_eq!(first.0.load(Ordering::SeqCst), 1);
        assert_eq!(second.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn each_reply_has_a_line_of_its_own() {
        let all: Vec<_> = (0..4).map(|_| counter()).collect();
        let mut waiters = Waiters::default();
        let mut effects = Effects::default();
        for (id, (_, waker)) in [7, 7, 8, 6].into_iter().zip(&all) {
            waiters.stand(Awaited::Reply(id), &mut None, waker, &mut effects);
        }
        let woken = |effects: &mut Effects| {
            std::mem::take(effects).run();
            let counts = all.iter().map(|(counter, _)| counter.0.load(Ordering::SeqCst));
            counts.collect::<Vec<_>>()
        };

        waiters.wake_first(Awaited::Reply(7), &mut effects);
        assert_eq!(woken(&mut effects), [1, 0, 0, 0]);
        waiters.wake_line(Awaited::Reply(7), &mut effects);
        assert_eq!(woken(&mut effects), [1, 1, 0, 0]);
        waiters.wake_first(Awaited::Reply(7), &mut effects);
        assert_eq!(woken(&mut effects), [1, 1, 0, 0]);
        assert!(waiters.is_empty(Awaited::Reply(7)) && !waiters.is_empty(Awaited::Reply(8)));
        waiters.wake_all(&mut effects);
        assert_eq!(woken(&mut effects), [1, 1, 1, 1]);
    }

    #[test]
    fn who_was_woken_in_vain_gets_its_old_place_back() {
        let mut waiters = Waiters::default();
        let (first, first_waker) = counter();
        let (_, second_waker) = counter();
        let (mut a, mut b) = (None, None);
        let mut effects = Effects::default();
        waiters.stand(Awaited::Writable, &mut a, &first_waker, &mut effects);
        waiters.stand(Awaited::Writable, &mut b, &second_waker, &mut effects);
        waiters.wake_first(Awaited::Writable, &mut effects);

        waiters.stand(Awaited::Writable, &mut a, &first_waker, &mut effects);
        waiters.wake_first(Awaited::Writable, &mut effects);
        effects.run();

        assert_eq!(first.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn leaving_tells_whether_one_had_been_woken() {
        let mut waiters = Waiters::default();
        let (_, waker) = counter();
        let mut ticket = None;
        let mut effects = Effects::default();
        for awaited in [Awaited::Readable, Awaited::Reply(7)] {
            waiters.stand(awaited, &mut ticket, &waker, &mut effects);
            assert!(waiters.leave(awaited, ticket.unwrap(), &mut effects));
            assert!(!waiters.leave(awaited, ticket.unwrap(), &mut effects));
        }
        assert!(waiters.others.is_empty());
        effects.run();
    }
}

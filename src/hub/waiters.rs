//! Who waits for what.
//!
//! A blocked thread and a pending future are the same thing: a waker in a line. A change wakes the first in line; who
//! goes without taking, or takes and leaves more behind, wakes the next.

use super::effects::Effects;
use crate::routing::Awaited;
use crate::sync::Parker;
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
    others: BTreeMap<Awaited, Line>,
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
            _ => self.others.get_mut(&awaited),
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
        let line = match awaited {
            Awaited::Readable => &mut self.readable,
            Awaited::Writable => &mut self.writable,
            _ => self.others.entry(awaited).or_default(),
        };
        match line.0.binary_search_by_key(&mine, |(ticket, _)| *ticket) {
            Ok(place) => {
                if let Some((_, old)) = line.0.get_mut(place)
                    && !old.will_wake(waker)
                {
                    effects.drop_waker(std::mem::replace(old, waker.clone()));
                }
            }
            Err(place) => line.0.insert(place, (mine, waker.clone())),
        }
    }

    /// Goes out of line. `false`: it was not there, because it had been woken.
    pub(crate) fn leave(&mut self, awaited: Awaited, ticket: Ticket, effects: &mut Effects) -> bool {
        let Some(line) = self.line(awaited) else { return false };
        let Ok(place) = line.0.binary_search_by_key(&ticket, |(ticket, _)| *ticket) else {
            return false;
        };
        if let Some((_, waker)) = line.0.remove(place) {
            effects.drop_waker(waker);
        }
        self.forget_if_empty(awaited);
        true
    }

    /// Wakes the first in line, if there is one.
    pub(crate) fn wake_first(&mut self, awaited: Awaited, effects: &mut Effects) {
        let Some(line) = self.line(awaited) else { return };
        if let Some((_, waker)) = line.0.pop_front() {
            effects.wake(waker);
        }
        self.forget_if_empty(awaited);
    }

    /// Wakes all that wait for this.
    pub(crate) fn wake_line(&mut self, awaited: Awaited, effects: &mut Effects) {
        let Some(line) = self.line(awaited) else { return };
        for (_, waker) in std::mem::take(line).0 {
            effects.wake(waker);
        }
        self.forget_if_empty(awaited);
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Readable => self.readable.0.is_empty(),
            Awaited::Writable => self.writable.0.is_empty(),
            // None of these is left empty.
            _ => !self.others.contains_key(&awaited),
        }
    }

    /// Whether somebody waits for what a peer may send.
    pub(crate) fn want_messages(&self) -> bool {
        !self.readable.0.is_empty() || !self.others.is_empty()
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&mut self, effects: &mut Effects) {
        let others = std::mem::take(&mut self.others).into_values();
        let lines = [std::mem::take(&mut self.readable), std::mem::take(&mut self.writable)];
        for (_, waker) in lines.into_iter().chain(others).flat_map(|line| line.0) {
            effects.wake(waker);
        }
    }

    fn forget_if_empty(&mut self, awaited: Awaited) {
        if self.others.get(&awaited).is_some_and(|line| line.0.is_empty()) {
            self.others.remove(&awaited);
        }
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

//! Who is told of every change of what a socket is ready for: pollers, and descriptors.
//!
//! Who stands in a line is woken once, to take something. A watcher takes nothing and stays: it is woken whenever the
//! socket becomes ready for something, and whenever it is not any more. So a watcher that looks after each wake is never
//! wrong for long, and one that looks once it watches misses nothing.

use super::effects::Effects;
use super::waiters::{Drive, Ticket};
use super::{Hub, Phase, State};
use crate::routing::{Awaited, Pattern};
use crate::socket_type::SocketType;
use crate::sync::SpinMutexGuard;
use std::sync::Arc;
use std::task::Waker;

/// What a call would not have to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// All calls end at once.
    pub(crate) closed: bool,
}

/// A socket of any type, as who watches it sees it.
pub(crate) trait Watched: Send + Sync {
    fn socket_type(&self) -> SocketType;

    /// What it is ready for. Who asks in vain for a message is taken for one who waits for it.
    fn readiness(&self) -> Readiness;

    /// From now on this is woken after each change.
    fn watch(&self, waker: Waker) -> Ticket;

    /// Not any more.
    fn unwatch(&self, ticket: Ticket);

    fn drive(&self) -> &Arc<dyn Drive>;
}

/// The watchers of one socket.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    /// As many as pollers and descriptors were made for the socket, in the order in which they came.
    watching: Vec<(Ticket, Waker)>,
    next_ticket: Ticket,
    /// What they were told last; means nothing while there is none.
    told: Readiness,
}

impl Watchers {
    /// A socket that nobody watches pays for this comparison, and for nothing else.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.watching.is_empty()
    }
}

impl<P: Pattern> State<P> {
    fn readiness(&self) -> Readiness {
        if !matches!(self.phase, Phase::Open) {
            return Readiness {
                closed: true,
                ..Readiness::default()
            };
        }
        Readiness {
            readable: self.pattern.is_ready(Awaited::Readable),
            writable: self.pattern.is_ready(Awaited::Writable),
            closed: false,
        }
    }

    /// Wakes all watchers, if the step has changed what they were told last.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_watchers(&mut self, effects: &mut Effects) {
        let now = self.readiness();
        if std::mem::replace(&mut self.watchers.told, now) != now {
            for (_, waker) in &self.watchers.watching {
                effects.wake(waker.clone());
            }
        }
    }
}

impl<P: Pattern> Hub<P> {
    /// The state, once what peers had offered is here.
    pub(super) fn fetched(&self) -> SpinMutexGuard<'_, State<P>> {
        loop {
            let mut state = self.state.lock();
            let mut effects = Effects::default();
            if !state.fetch(&mut effects) {
                return state;
            }
            drop(state);
            effects.run();
        }
    }
}

#[cfg(any(test, fuzzing))]
impl<P: Pattern> Hub<P> {
    /// Whether its watchers, if it has any, know what it is ready for.
    pub(crate) fn has_told_all(&self) -> bool {
        let state = self.state.lock();
        state.watchers.is_empty() || state.watchers.told == state.readiness()
    }
}

impl<P: Pattern> Watched for Hub<P> {
    fn socket_type(&self) -> SocketType {
        P::TYPE
    }

    fn readiness(&self) -> Readiness {
        let mut state = self.fetched();
        let readiness = state.readiness();
        if !readiness.readable {
            state.tempo.awaits();
        }
        readiness
    }

    fn watch(&self, waker: Waker) -> Ticket {
        let mut state = self.fetched();
        if state.watchers.is_empty() {
            state.watchers.told = state.readiness();
        }
        let watchers = &mut state.watchers;
        watchers.next_ticket += 1;
        watchers.watching.push((watchers.next_ticket, waker));
        watchers.next_ticket
    }

    fn unwatch(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        let watching = &mut state.watchers.watching;
        let place = watching.iter().position(|(watcher, _)| *watcher == ticket);
        let left = place.map(|place| watching.remove(place));
        drop(state);
        let mut effects = Effects::default();
        if let Some((_, waker)) = left {
            effects.drop_waker(waker);
        }
        effects.run();
    }

    fn drive(&self) -> &Arc<dyn Drive> {
        &self.drive
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::options::Options;
    use crate::socket::pair::PairPattern;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Counter {
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::SeqCst)
        }
    }

    fn pair(context: &Context) -> Arc<Hub<PairPattern>> {
        let options = Options::default().send_mark(2).recv_mark(1);
        context.core().open(PairPattern::new(&options), options)
    }

    #[test]
    fn each_change_wakes_every_watcher_and_nothing_else_does() {
        let context = Context::new().unwrap();
        let (one, other) = (pair(&context), pair(&context));
        let counters: [Arc<Counter>; 2] = Default::default();
        let tickets = counters.each_ref().map(|counter| one.watch(Arc::clone(counter).into()));
        let woken = || counters.each_ref().map(|counter| counter.take());
        let send = |hub: &Hub<PairPattern>| crate::sim::laws::send(hub, "hello");
        let recv = |hub: &Hub<PairPattern>| crate::sim::laws::recv(hub).is_some();
        let at: crate::Endpoint = "inproc://watched".parse().unwrap();

        context.core().bind(&other, at.clone()).unwrap();
        assert_eq!(woken(), [0, 0]);
        context.core().connect(&one, at).unwrap();
        assert_eq!(woken(), [1, 1], "it became writable");
        assert!(send(&one), "the other takes it");
        assert!(send(&one));
        assert_eq!(woken(), [0, 0], "there is room for one more");
        assert!(send(&one));
        assert_eq!(woken(), [1, 1], "it is at its mark");
        assert!(!send(&one));
        assert_eq!(woken(), [0, 0]);
        assert!(recv(&other));
        assert_eq!(woken(), [1, 1], "there is room again");
        assert!(send(&other));
        assert_eq!(woken(), [1, 1], "it became readable");
        one.unwatch(tickets[0]);
        assert!(recv(&one));
        assert_eq!(woken(), [0, 1], "nothing is left to read");
        assert!(!recv(&one));
        assert_eq!(woken(), [0, 0]);
        let station: Arc<dyn crate::hub::Station> = one.clone();
        context.core().close(&station, std::time::Duration::ZERO);
        assert_eq!(woken(), [0, 1], "it is closed");
    }
}

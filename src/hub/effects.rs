//! What a step wants done once no lock is held: wakes, flushes, drops.

use super::monitor::Feeds;
use super::{Link, Pace};
use crate::failure::Failure;
use crate::monitor::Event;
use crate::routing::Dropped;
use crate::sync::catch;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;
use tracing::error;

/// What a step wants done outside; [`Effects::run`] does it.
#[derive(Default)]
#[must_use = "wakes that are not run are lost"]
pub(crate) struct Effects {
    /// Most steps want nothing, and pay for looking at one word.
    wanted: Option<Wanted>,
    clock: Clock,
}

/// What time it is in a piece of work.
#[derive(Default)]
enum Clock {
    /// Each step that has to know asks.
    #[default]
    Running,
    /// As the hub says that gives first, and has looked a moment ago.
    Recent,
    Stopped(Instant),
}

#[derive(Default)]
struct Wanted {
    wakes: Few<Waker>,
    links: Few<(Arc<dyn Link>, Ask)>,
    dropped: Few<Dropped>,
    wakers: Few<Waker>,
    events: Few<(Arc<Feeds>, Event)>,
}

/// What is asked of a link.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// There is something to take.
    Flush(Pace),
    /// All that may be queued is, but for one message at most.
    Full,
    /// There is room again.
    Resume,
    /// End it.
    Sever(Failure),
    /// End it unless it gives a sign of life.
    Challenge,
}

impl Effects {
    /// Of work that a hub has just asked for, having looked at the clock: looking again at each step would cost more than
    /// the steps do, where no system call is made.
    pub(crate) fn recent() -> Self {
        Effects {
            clock: Clock::Recent,
            ..Effects::default()
        }
    }

    /// What the hub that gives first knows is what time it is, if that is recent.
    #[inline]
    pub(crate) fn look(&mut self, known: Option<Instant>) {
        if let (Clock::Recent, Some(now)) = (&self.clock, known) {
            self.clock = Clock::Stopped(now);
        }
    }

    /// What time it is.
    #[inline]
    pub(crate) fn now(&mut self, ask: impl FnOnce() -> Instant) -> Instant {
        match self.clock {
            Clock::Running => ask(),
            Clock::Stopped(now) => now,
            Clock::Recent => {
                let now = ask();
                self.clock = Clock::Stopped(now);
                now
            }
        }
    }

    fn wanted(&mut self) -> &mut Wanted {
        self.wanted.get_or_insert_default()
    }

    pub(crate) fn wake(&mut self, waker: Waker) {
        self.wanted().wakes.push(waker);
    }

    pub(crate) fn ask(&mut self, link: Arc<dyn Link>, ask: Ask) {
        self.wanted().links.push((link, ask));
    }

    pub(crate) fn drop_later(&mut self, dropped: Dropped) {
        if !dropped.is_empty() {
            self.wanted().dropped.push(dropped);
        }
    }

    pub(crate) fn drop_waker(&mut self, waker: Waker) {
        self.wanted().wakers.push(waker);
    }

    pub(crate) fn tell(&mut self, feeds: &Arc<Feeds>, event: Event) {
        self.wanted().events.push((Arc::clone(feeds), event));
    }

    /// Does it all. The caller holds no lock.
    #[inline]
    pub(crate) fn run(self) {
        if let Some(wanted) = self.wanted {
            wanted.run();
        }
    }
}

impl Wanted {
    #[inline(never)]
    fn run(self) {
        self.wakes.each(wake);
        self.events.each(|(feeds, event)| feeds.tell(&event));
        self.links.each(|(link, ask)| match ask {
            Ask::Flush(pace) => link.flush(pace),
            Ask::Full => link.full(),
            Ask::Resume => link.resume(),
            Ask::Sever(failure) => link.sever(failure),
            Ask::Challenge => link.challenge(),
        });
        self.dropped.each(guarded);
        self.wakers.each(guarded);
    }
}

/// A waker is the application's code: if it panics, the loop goes on.
fn wake(waker: Waker) {
    if catch(|| waker.wake()).is_err() {
        error!("a waker panicked");
    }
}

fn guarded<T>(value: T) {
    if catch(|| drop(value)).is_err() {
        error!("a value that was given away panicked when it was dropped");
    }
}

/// A list of which the first needs no memory: most steps have one effect or none.
struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Few<T> {
    fn push(&mut self, value: T) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.rest.push(value);
        }
    }

    fn each(self, mut act: impl FnMut(T)) {
        if let Some(first) = self.first {
            act(first);
            self.rest.into_iter().for_each(act);
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few {
            first: None,
            rest: Vec::new(),
        }
    }
}

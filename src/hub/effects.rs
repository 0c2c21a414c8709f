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

/// What a step wants done outside; [`Effects::run`] does it. Most steps want nothing, and of the others most want one thing,
/// which needs no memory.
#[derive(Default)]
#[must_use = "wakes that are not run are lost"]
pub(crate) struct Effects {
    wake: Option<Waker>,
    link: Option<(Arc<dyn Link>, Ask)>,
    more: Option<Box<More>>,
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

/// What is wanted beyond the first of a kind, or is rarely wanted.
#[derive(Default)]
struct More {
    wakes: Vec<Waker>,
    links: Vec<(Arc<dyn Link>, Ask)>,
    dropped: Vec<Dropped>,
    wakers: Vec<Waker>,
    events: Vec<(Arc<Feeds>, Event)>,
}

/// What is asked of a link.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// There is something to take; and what time it is, if somebody looked just now.
    Flush(Pace, Option<Instant>),
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

    /// Of work that begins now, and knows no other time until a call to the system says so.
    pub(crate) fn at(now: Instant) -> Self {
        Effects {
            clock: Clock::Stopped(now),
            ..Effects::default()
        }
    }

    /// It is later: such a call has come back.
    #[inline]
    pub(crate) fn it_is(&mut self, now: Instant) {
        self.clock = Clock::Stopped(now);
        if let Some((_, Ask::Flush(_, looked))) = &mut self.link {
            *looked = None;
        }
    }

    /// This time, if somebody looked for this step.
    #[inline]
    pub(crate) fn just_now(&self, looked: Instant) -> Option<Instant> {
        matches!(self.clock, Clock::Running).then_some(looked)
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

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    pub(crate) fn wake(&mut self, waker: Waker) {
        match &self.wake {
            None => self.wake = Some(waker),
            Some(_) => self.more().wakes.push(waker),
        }
    }

    pub(crate) fn ask(&mut self, link: Arc<dyn Link>, ask: Ask) {
        match &self.link {
            None => self.link = Some((link, ask)),
            Some(_) => self.more().links.push((link, ask)),
        }
    }

    pub(crate) fn drop_later(&mut self, dropped: Dropped) {
        if !dropped.is_empty() {
            self.more().dropped.push(dropped);
        }
    }

    pub(crate) fn drop_waker(&mut self, waker: Waker) {
        self.more().wakers.push(waker);
    }

    pub(crate) fn tell(&mut self, feeds: &Arc<Feeds>, event: Event) {
        self.more().events.push((Arc::clone(feeds), event));
    }

    /// Does it all. The caller holds no lock.
    #[inline]
    pub(crate) fn run(mut self) {
        if self.wake.is_some() || self.link.is_some() || self.more.is_some() {
            self.run_all();
        }
    }

    #[inline(never)]
    fn run_all(&mut self) {
        let mut more = self.more.take();
        // Nothing has been done since somebody looked, be it a call to the system or the application's code.
        let is_still_now = self.wake.is_none() && more.is_none();
        if let Some(waker) = self.wake.take() {
            wake(waker);
        }
        if let Some(more) = &mut more {
            more.tell();
        }
        if let Some((link, ask)) = self.link.take() {
            put(&*link, ask, is_still_now);
        }
        if let Some(more) = more {
            more.put();
        }
    }
}

impl More {
    #[inline(never)]
    fn tell(&mut self) {
        self.wakes.drain(..).for_each(wake);
        self.events.drain(..).for_each(|(feeds, event)| feeds.tell(&event));
    }

    #[inline(never)]
    fn put(self) {
        self.links.into_iter().for_each(|(link, ask)| put(&*link, ask, false));
        self.dropped.into_iter().for_each(guarded);
        self.wakers.into_iter().for_each(guarded);
    }
}

fn put(link: &dyn Link, ask: Ask, is_still_now: bool) {
    match ask {
        Ask::Flush(pace, now) => link.flush(pace, now.filter(|_| is_still_now)),
        Ask::Full => link.full(),
        Ask::Resume => link.resume(),
        Ask::Sever(failure) => link.sever(failure),
        Ask::Challenge => link.challenge(),
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::task::Wake;

    /// What was done, in its order; of a flush also whether the time was told.
    #[derive(Default)]
    struct Done(Mutex<Vec<(&'static str, bool)>>);

    impl Done {
        fn take(&self) -> Vec<(&'static str, bool)> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Wake for Done {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().push(("wake", false));
        }
    }

    impl Link for Done {
        fn flush(&self, _: Pace, now: Option<Instant>) {
            self.0.lock().unwrap().push(("flush", now.is_some()));
        }

        fn resume(&self) {
            self.0.lock().unwrap().push(("resume", false));
        }

        fn sever(&self, _: Failure) {}

        fn challenge(&self) {}
    }

    #[test]
    fn who_waits_is_woken_before_links_are_asked_in_their_order() {
        let done = Arc::new(Done::default());
        let mut effects = Effects::default();
        effects.ask(done.clone(), Ask::Resume);
        effects.ask(done.clone(), Ask::Flush(Pace::Stream, None));
        effects.wake(done.clone().into());
        effects.wake(done.clone().into());

        effects.run();

        let names: Vec<_> = done.take().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["wake", "wake", "resume", "flush"]);
    }

    #[test]
    fn a_link_is_told_the_time_only_if_nothing_was_done_since_somebody_looked() {
        let done = Arc::new(Done::default());
        let now = Instant::now();
        let flush = |effects: &mut Effects| {
            let looked = effects.now(|| now);
            let just_now = effects.just_now(looked);
            effects.ask(done.clone(), Ask::Flush(Pace::Quiet, just_now));
        };
        let told = |effects: Effects| {
            effects.run();
            done.take()
                .into_iter()
                .filter(|(name, _)| *name == "flush")
                .map(|(_, told)| told)
                .collect::<Vec<_>>()
        };

        let mut two = Effects::default();
        flush(&mut two);
        flush(&mut two);
        assert_eq!(told(two), [false, false], "one of two may take long");

        let mut one = Effects::default();
        flush(&mut one);
        assert_eq!(told(one), [true]);

        let mut of_a_turn = Effects::at(now);
        flush(&mut of_a_turn);
        assert_eq!(told(of_a_turn), [false]);

        let mut written = Effects::default();
        flush(&mut written);
        written.it_is(now);
        assert_eq!(told(written), [false]);

        let mut woken = Effects::default();
        flush(&mut woken);
        woken.wake(done.clone().into());
        assert_eq!(told(woken), [false]);
    }
}

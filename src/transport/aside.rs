//! Runs what an application wrote, beside the loop: one after the other, on a thread of its own.
//!
//! It may take its time. Nobody ever waits for the thread; it ends once nobody can give it more, and all that it was given is
//! done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The giving end. Its thread is started when there is something to do.
#[derive(Default)]
pub(crate) struct Aside {
    jobs: Option<SyncSender<Job>>,
}

impl Aside {
    /// `false`: too many jobs wait, or there can be no thread; it is dropped.
    pub(crate) fn run(&mut self, job: Job) -> bool {
        let Some(jobs) = self.jobs.take().or_else(start) else {
            return false;
        };
        let refused = jobs.try_send(job);
        // A thread that is gone is replaced the next time.
        self.jobs = Some(jobs).filter(|_| !matches!(refused, Err(TrySendError::Disconnected(_))));
        refused.is_ok()
    }
}

fn start() -> Option<SyncSender<Job>> {
    let (jobs, taken) = sync_channel(MOST);
    let work = move || work(&taken);
    let thread = thread::Builder::new().name("peermq-aside".to_owned()).spawn(work);
    thread.is_ok().then_some(jobs)
}

fn work(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        // A panic is told by the hook; the next job is none the worse.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Jobs that wait at most.
const MOST: usize = 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn jobs_run_in_their_order_and_a_panic_is_its_own_affair() {
        let (told, hears) = channel();
        let mut aside = Aside::default();
        for n in 0..10 {
            let told = told.clone();
            assert!(aside.run(Box::new(move || {
                assert_ne!(n, 3, "on purpose");
                told.send((n, thread::current().id())).unwrap();
            })));
        }
        drop(told);

        let heard: Vec<_> = hears.iter().collect();

        let order: Vec<_> = heard.iter().map(|(n, _)| *n).collect();
        assert_eq!(order, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
        assert!(
            heard
                .iter()
                .all(|(_, thread)| *thread == heard[0].1 && *thread != thread::current().id())
        );
    }

    #[test]
    fn what_waits_is_bounded_and_goes_with_the_giving_end() {
        let (release, held) = channel::<()>();
        let mut aside = Aside::default();
        assert!(aside.run(Box::new(move || held.recv().unwrap_or_default())));
        let (told, hears) = channel::<usize>();
        let mut taken = 0;
        while {
            let told = told.clone();
            aside.run(Box::new(move || told.send(1).unwrap()))
        } {
            taken += 1;
        }
        // The first may wait there, too, for the thread to begin.
        assert!((MOST - 1..=MOST).contains(&taken), "{taken}");

        drop((aside, told, release));

        assert_eq!(hears.iter().count(), taken, "what was taken is run");
    }
}

//! What stands in under the model checker: loom's locks, atomics and thread locals, and a sleep that only a wake ends.
//!
//! A sleep with a limit goes on like one without, until the model says that [`time passes`](let_time_pass): so a wake that
//! was lost shows as a deadlock, and is not mended by a timeout that comes a moment later.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use loom::sync::{MutexGuard, MutexGuard as SpinMutexGuard};

use loom::sync::{Mutex, Notify};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A thread, as a place to sleep that others can end the sleep of.
#[derive(Clone, Default)]
pub(crate) struct Thread(Arc<Notify>);

impl Thread {
    pub(crate) fn unpark(&self) {
        self.0.notify();
    }

    /// A wake that came before is kept, as for any thread. May return early, as any sleep.
    pub(crate) fn sleep(&self, limit: Option<Duration>) {
        if limit.is_none() {
            return self.0.wait();
        }
        let mut time = time();
        if time.passes {
            drop(time);
            return loom::thread::yield_now();
        }
        time.sleepers.push(self.clone());
        drop(time);
        self.0.wait();
        self::time()
            .sleepers
            .retain(|sleeper| !Arc::ptr_eq(&sleeper.0, &self.0));
    }
}

pub(crate) fn current() -> Thread {
    MINE.with(Clone::clone)
}

pub(crate) fn park(limit: Option<Duration>) {
    current().sleep(limit);
}

/// From now on what sleeps with a limit does not.
#[cfg(test)]
pub(crate) fn let_time_pass() {
    let mut time = time();
    time.passes = true;
    let sleepers = std::mem::take(&mut time.sleepers);
    drop(time);
    sleepers.iter().for_each(Thread::unpark);
}

/// As the system's, also with an initial value that is constant.
macro_rules! per_thread {
    (static $name:ident: $type:ty = const { $value:expr };) => {
        loom::thread_local! { static $name: $type = $value; }
    };
    (static $name:ident: $type:ty = $value:expr;) => {
        loom::thread_local! { static $name: $type = $value; }
    };
}
pub(crate) use per_thread;

/// Locks, at once: a thread that looks often sees what one sees that looks once.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A panic is the model's verdict, and has to come out.
pub(crate) fn catch<R>(act: impl FnOnce() -> R) -> std::thread::Result<R> {
    Ok(act())
}

#[derive(Default)]
struct Time {
    passes: bool,
    sleepers: Vec<Thread>,
}

fn time() -> MutexGuard<'static, Time> {
    TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

per_thread! {
    static MINE: Thread = Thread::default();
}

loom::lazy_static! {
    static ref TIME: Mutex<Time> = Mutex::default();
}

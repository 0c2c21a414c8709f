//! Locks, counters and sleeping threads, in one place so that a model checker can stand in for all of them.
//!
//! A lock here cannot be poisoned: the values behind our locks are whole between any two statements, and a panic in one
//! thread must not take the others with it.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// A mutex that shrugs poison off.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a blocked thread sleeps: its `Waker` is what a pending future would have given.
///
/// A wake that comes before the sleep is kept, so "register, test again, park" loses nothing.
#[derive(Debug)]
pub(crate) struct Parker {
    woken: AtomicBool,
    thread: Thread,
}

impl Parker {
    /// The calling thread's own parker and its waker.
    pub(crate) fn with<R>(f: impl FnOnce(&Parker, &Waker) -> R) -> R {
        thread_local! {
            static MINE: (Arc<Parker>, Waker) = Parker::pair();
        }
        // A thread that ends may have no locals any more, and still drop a context.
        let (parker, waker) = MINE.try_with(Clone::clone).unwrap_or_else(|_| Parker::pair());
        f(&parker, &waker)
    }

    fn pair() -> (Arc<Parker>, Waker) {
        let parker = Arc::new(Parker {
            woken: AtomicBool::new(false),
            thread: std::thread::current(),
        });
        (Arc::clone(&parker), Waker::from(parker))
    }

    /// Forgets a wake that came for an earlier wait.
    pub(crate) fn reset(&self) {
        self.woken.store(false, Ordering::Relaxed);
    }

    /// Consumes a wake, if one came.
    pub(crate) fn was_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }

    /// Sleeps for at most `limit` (`None`: until woken). May return early; ask [`Parker::was_woken`].
    pub(crate) fn park(&self, limit: Option<Duration>) {
        if self.woken.load(Ordering::Acquire) {
            return;
        }
        match limit {
            None => std::thread::park(),
            Some(limit) => std::thread::park_timeout(limit),
        }
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

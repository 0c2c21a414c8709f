//! Locks, counters and sleeping threads, in one place so that a model checker can stand in for all of them.
//!
//! A lock here cannot be poisoned: the values behind our locks are whole between any two statements, and a panic in one
//! thread must not take the others with it.

#[cfg(loom)]
pub(crate) mod model;
#[cfg(not(loom))]
mod spinning;
#[cfg(not(loom))]
mod system;

#[cfg(loom)]
pub(crate) use model::*;
#[cfg(not(loom))]
pub(crate) use spinning::*;
#[cfg(not(loom))]
pub(crate) use system::*;

#[cfg(loom)]
use loom::sync as primitive;
#[cfg(not(loom))]
use std::sync as primitive;

use std::cell::Cell;
use std::sync::{Arc, TryLockError, TryLockResult};
use std::task::{Wake, Waker};
use std::time::Duration;

/// The system's mutex, for what is held over calls. Shrugs poison off.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(primitive::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(primitive::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.0)
    }

    /// `None`: somebody holds it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        free(self.0.try_lock())
    }
}

/// What an attempt to lock gave, whatever was poisoned.
fn free<'a, T>(attempt: TryLockResult<MutexGuard<'a, T>>) -> Option<MutexGuard<'a, T>> {
    match attempt {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// In the model a lock is a lock.
#[cfg(loom)]
pub(crate) type SpinMutex<T> = Mutex<T>;

/// How a thread is reached that sleeps elsewhere than in its parker: in the event loop.
pub(crate) trait Ring: Send + Sync {
    fn ring(&self);
}

/// How a blocked thread sleeps: its `Waker` is what a pending future would have given.
///
/// A wake that comes before the sleep is kept, so "register, test again, park" loses nothing.
pub(crate) struct Parker {
    woken: AtomicBool,
    thread: Thread,
    /// While the thread drives: who ends its sleep.
    bell: SpinMutex<Option<Arc<dyn Ring>>>,
}

impl Parker {
    /// The calling thread's own parker and its waker. A wait inside a wait, in a waker or a drop of the application's, gets
    /// one of its own: it must not forget a wake that came for the outer one.
    pub(crate) fn with<R>(f: impl FnOnce(&Parker, &Waker) -> R) -> R {
        per_thread! {
            static MINE: Cell<Option<(Arc<Parker>, Waker)>> = const { Cell::new(None) };
        }
        // A thread that ends may have no locals any more, and still drop a context.
        let mine = MINE.try_with(Cell::take).ok().flatten();
        let (parker, waker) = mine.unwrap_or_else(Parker::pair);
        let result = f(&parker, &waker);
        let _is_ending = MINE.try_with(|mine| mine.set(Some((parker, waker))));
        result
    }

    fn pair() -> (Arc<Parker>, Waker) {
        let parker = Arc::new(Parker {
            woken: AtomicBool::new(false),
            thread: current(),
            bell: SpinMutex::new(None),
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

    /// Whether a wake came, which is left.
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    /// Sleeps for at most `limit` (`None`: until woken). May return early; ask [`Parker::was_woken`].
    pub(crate) fn park(&self, limit: Option<Duration>) {
        if !self.is_woken() {
            park(limit);
        }
    }

    /// As long as what it returns lives, a wake rings instead: the thread sleeps elsewhere. Ask [`Parker::was_woken`]
    /// once more before it does: an earlier wake did not ring.
    pub(crate) fn rung_by(&self, ring: Arc<dyn Ring>) -> Rung<'_> {
        *self.bell.lock() = Some(ring);
        Rung(self)
    }

    /// How many parkers this thread has woken so far.
    pub(crate) fn woken_here() -> u64 {
        WOKEN.with(Cell::get)
    }
}

/// While it lives, a wake rings.
pub(crate) struct Rung<'a>(&'a Parker);

impl Drop for Rung<'_> {
    fn drop(&mut self) {
        let ring = self.0.bell.lock().take();
        drop(ring);
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.woken.swap(true, Ordering::Release) {
            return;
        }
        WOKEN.with(|woken| woken.set(woken.get() + 1));
        let bell = self.bell.lock().clone();
        match bell {
            Some(bell) => bell.ring(),
            None => self.thread.unpark(),
        }
    }
}

per_thread! {
    static WOKEN: Cell<u64> = const { Cell::new(0) };
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_for_a_breath_and_one_that_is_held_for_long_let_one_in_at_a_time() {
        let (lock, others) = (SpinMutex::new(0), 3);
        std::thread::scope(|scope| {
            let held = lock.lock();
            for _ in 0..others {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let mut count = lock.lock();
                        let seen = *count;
                        *count = seen + 1;
                    }
                });
            }
            // Longer than anybody spins.
            (0..100_000).for_each(|_| std::hint::spin_loop());
            assert_eq!(*held, 0);
            drop(held);
        });
        assert_eq!(*lock.lock(), others * 10_000);
    }

    #[test]
    fn a_wait_inside_a_wait_forgets_no_wake_of_the_outer_one() {
        Parker::with(|outer, waker| {
            waker.wake_by_ref();

            Parker::with(|inner, _| {
                assert!(!inner.was_woken());
                inner.reset();
            });

            assert!(outer.was_woken());
        });
    }
}

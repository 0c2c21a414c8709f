//! What ships: the system's own.

pub(crate) use spin::mutex::SpinMutexGuard;
pub(crate) use std::sync::MutexGuard;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::thread::{Thread, current};
pub(crate) use std::thread_local as per_thread;

use spin::mutex::SpinMutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Sleeps until the thread is unparked, or for so long; may return early.
pub(crate) fn park(limit: Option<Duration>) {
    match limit {
        None => std::thread::park(),
        Some(limit) => std::thread::park_timeout(limit),
    }
}

#[inline(always)]
pub(super) fn lock_spinning<T>(mutex: &SpinMutex<T>) -> SpinMutexGuard<'_, T> {
    mutex.try_lock().unwrap_or_else(|| lock_held(mutex))
}

pub(super) fn try_lock_spinning<T>(mutex: &SpinMutex<T>) -> Option<SpinMutexGuard<'_, T>> {
    mutex.try_lock()
}

/// Somebody holds it: for a breath, most of the time; who packs a stream of short messages does half of the time. But a
/// thread may be kept from running while it holds it, and then needs our core, or time.
#[cold]
#[inline(never)]
fn lock_held<T>(mutex: &SpinMutex<T>) -> SpinMutexGuard<'_, T> {
    for turns in SPINS {
        (0..turns).for_each(|_| std::hint::spin_loop());
        if let Some(guard) = mutex.try_lock() {
            return guard;
        }
    }
    for _ in 0..YIELDS {
        std::thread::yield_now();
        if let Some(guard) = mutex.try_lock() {
            return guard;
        }
    }
    loop {
        std::thread::sleep(PAUSE);
        if let Some(guard) = mutex.try_lock() {
            return guard;
        }
    }
}

/// How long is spun before each look whether it is free, in turns: ten microseconds together. (In four, it was not free in
/// time three times as often where one thread streams to another over inproc, and 1 KiB took a sixth longer.)
const SPINS: [u32; 28] = [
    1, 2, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
];

/// How often the core is left to others, before it is left to those, too, that the system ranks behind us.
const YIELDS: u32 = 8;
const PAUSE: Duration = Duration::from_micros(50);

/// Does what is not ours to trust. `Err`: it panicked.
pub(crate) fn catch<R>(act: impl FnOnce() -> R) -> std::thread::Result<R> {
    catch_unwind(AssertUnwindSafe(act))
}

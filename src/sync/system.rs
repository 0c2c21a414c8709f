//! What ships: the system's own.

pub(crate) use std::sync::MutexGuard;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::thread::{Thread, current};
pub(crate) use std::thread_local as per_thread;

use super::free;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Sleeps until the thread is unparked, or for so long; may return early.
pub(crate) fn park(limit: Option<Duration>) {
    match limit {
        None => std::thread::park(),
        Some(limit) => std::thread::park_timeout(limit),
    }
}

/// Locks.
#[inline(always)]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    free(mutex.try_lock()).unwrap_or_else(|| lock_held(mutex))
}

/// Somebody holds it: for a breath, most of the time. The system's lock would be marked as waited for then, and each mark
/// costs two system calls even if nobody sleeps; who packs a stream of short messages holds its lock half of the time.
#[cold]
#[inline(never)]
fn lock_held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    for turns in SPINS {
        (0..turns).for_each(|_| std::hint::spin_loop());
        if let Some(guard) = free(mutex.try_lock()) {
            return guard;
        }
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long is spun before each look whether it is free, in turns: ten microseconds together. (In four, the system's lock
/// was taken three times as often where one thread streams to another over inproc, and 1 KiB took a sixth longer.)
const SPINS: [u32; 28] = [
    1, 2, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
];

/// Does what is not ours to trust. `Err`: it panicked.
pub(crate) fn catch<R>(act: impl FnOnce() -> R) -> std::thread::Result<R> {
    catch_unwind(AssertUnwindSafe(act))
}

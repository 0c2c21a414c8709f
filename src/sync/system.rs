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
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The system's lock would be marked as waited for at once, and each mark costs two system calls even if nobody sleeps.
    free(mutex.try_lock())
        .or_else(|| spin(|| free(mutex.try_lock())))
        .unwrap_or_else(|| mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Looks for it for a moment.
#[cold]
pub(super) fn spin<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    SPINS.iter().find_map(|turns| {
        (0..*turns).for_each(|_| std::hint::spin_loop());
        look()
    })
}

/// How long is spun before each look whether it is free, in turns: ten microseconds together. (In four, it was not free in
/// time three times as often where one thread streams to another over inproc, and 1 KiB took a sixth longer.)
const SPINS: [u32; 28] = [
    1, 2, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
];

/// Does what is not ours to trust. `Err`: it panicked.
pub(crate) fn catch<R>(act: impl FnOnce() -> R) -> std::thread::Result<R> {
    catch_unwind(AssertUnwindSafe(act))
}

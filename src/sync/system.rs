//! What ships: the system's own.

pub(crate) use std::sync::MutexGuard;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::thread::{Thread, current};
pub(crate) use std::thread_local as per_thread;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Sleeps until the thread is unparked, or for so long; may return early.
pub(crate) fn park(limit: Option<Duration>) {
    match limit {
        None => std::thread::park(),
        Some(limit) => std::thread::park_timeout(limit),
    }
}

/// Lets so many turns of the processor pass.
pub(crate) fn spin(turns: u32) {
    (0..turns).for_each(|_| std::hint::spin_loop());
}

/// Does what is not ours to trust. `Err`: it panicked.
pub(crate) fn catch<R>(act: impl FnOnce() -> R) -> std::thread::Result<R> {
    catch_unwind(AssertUnwindSafe(act))
}

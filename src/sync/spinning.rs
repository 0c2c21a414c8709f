//! A mutex for what is held for a breath: over no call to the system, so that who waits looks again, and soon has it.
//!
//! It is given back by a plain write. The system's is given back by an exchange, to learn whether anybody sleeps, and that
//! is a third of what it takes to send a message of 16 bytes, or to receive one. It is not fair, on purpose: where who waits
//! went before who sends a stream of short messages, each took what had been gathered since, and there was half as much.

pub(crate) use spin::mutex::SpinMutexGuard;

use super::system::spin;
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct SpinMutex<T>(spin::mutex::SpinMutex<T>);

impl<T> SpinMutex<T> {
    pub(crate) fn new(value: T) -> Self {
        SpinMutex(spin::mutex::SpinMutex::new(value))
    }

    #[inline(always)]
    pub(crate) fn lock(&self) -> SpinMutexGuard<'_, T> {
        self.0.try_lock().unwrap_or_else(|| self.wait())
    }

    /// `None`: somebody holds it.
    pub(crate) fn try_lock(&self) -> Option<SpinMutexGuard<'_, T>> {
        self.0.try_lock()
    }

    /// Who holds it may be kept from running meanwhile, and then needs our core, or time.
    #[cold]
    #[inline(never)]
    fn wait(&self) -> SpinMutexGuard<'_, T> {
        let yielded = || {
            std::thread::yield_now();
            self.0.try_lock()
        };
        let soon = spin(|| self.0.try_lock()).or_else(|| (0..YIELDS).find_map(|_| yielded()));
        soon.unwrap_or_else(|| {
            loop {
                std::thread::sleep(PAUSE);
                if let Some(guard) = spin(|| self.0.try_lock()) {
                    return guard;
                }
            }
        })
    }
}

/// How often the core is left to others, before it is left to those, too, that the system ranks behind us.
const YIELDS: u32 = 8;
const PAUSE: Duration = Duration::from_micros(50);

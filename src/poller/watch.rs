//! A socket that is watched, and how its changes reach the one thread that waits for several.

use crate::hub::{Readiness, Watched};
use crate::sync::{AtomicBool, Mutex, Ordering};
use std::sync::Arc;
use std::task::{Wake, Waker};

/// Wakes who waits for any of several sockets.
#[derive(Default)]
pub(crate) struct Signal {
    /// Whoever waits now: one thread at most.
    waiting: Mutex<Option<Waker>>,
}

impl Signal {
    /// As long as what it returns lives, each change wakes this. Look at what is awaited after, not before.
    pub(crate) fn arm(&self, waker: &Waker) -> Armed<'_> {
        let before = self.waiting.lock().replace(waker.clone());
        drop(before);
        Armed(self)
    }

    pub(crate) fn give(&self) {
        let waiting = self.waiting.lock().clone();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// While it lives, somebody waits.
pub(crate) struct Armed<'a>(&'a Signal);

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        let waker = self.0.waiting.lock().take();
        drop(waker);
    }
}

/// A socket that is watched until this is dropped.
pub(crate) struct Watch {
    pub(crate) socket: Arc<dyn Watched>,
    ticket: u64,
    change: Arc<Change>,
    /// As it was when it was looked at last.
    ready: Readiness,
}

/// Whether a socket has changed since it was looked at.
struct Change {
    is_new: AtomicBool,
    signal: Arc<Signal>,
}

impl Watch {
    pub(crate) fn new(socket: Arc<dyn Watched>, signal: &Arc<Signal>) -> Self {
        let change = Arc::new(Change {
            is_new: AtomicBool::new(true),
            signal: Arc::clone(signal),
        });
        Watch {
            ticket: socket.watch(Waker::from(Arc::clone(&change))),
            socket,
            change,
            ready: Readiness::default(),
        }
    }

    /// What the socket is ready for now. Takes its lock only if something has changed.
    pub(crate) fn look(&mut self) -> Readiness {
        if self.change.is_new.swap(false, Ordering::AcqRel) {
            self.ready = self.socket.readiness();
        }
        self.ready
    }

    pub(crate) fn is_of(&self, socket: &Arc<dyn Watched>) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.socket), Arc::as_ptr(socket))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.socket.unwatch(self.ticket);
    }
}

impl Wake for Change {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_new.store(true, Ordering::Release);
        self.signal.give();
    }
}

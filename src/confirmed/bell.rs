//! How a thread of ours is woken that waits for sockets, and for what others want of it.

use crate::poller::Signal;
use crate::sync::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::Wake;

/// Rung by who has something for the thread; many rings before it looks are one.
#[derive(Default)]
pub(super) struct Bell {
    is_rung: AtomicBool,
    /// What the thread waits with.
    pub(super) signal: Arc<Signal>,
}

impl Bell {
    pub(super) fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            self.signal.give();
        }
    }

    /// Whether it was rung since.
    pub(super) fn was_rung(&self) -> bool {
        self.is_rung.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_rung(&self) -> bool {
        self.is_rung.load(Ordering::Acquire)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

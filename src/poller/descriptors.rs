//! Descriptors that are not ours, beside sockets: a poll of its own, in which the waiting thread sleeps.
//!
//! The kernel is asked for edges, as mio does, and a descriptor that was reported is registered anew before the next
//! sleep: then it is reported again while it is ready, as with `poll(2)`.

use super::Interest;
use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Events, Poll, Token};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) token: usize,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) closed: bool,
}

/// A descriptor that is waited for, and stays open until this is dropped.
pub(super) struct Descriptor<'fd> {
    pub(super) fd: BorrowedFd<'fd>,
    pub(super) is_known: bool,
    /// It was reported, or what is waited for has changed: before the next sleep it is registered anew.
    pub(super) is_stale: bool,
}

/// A poll of its own.
pub(super) struct OwnPoll {
    poll: Poll,
    events: Events,
    waker: Waker,
}

/// Ends the sleep in a poll.
struct Bell(mio::Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Err(error) = self.0.wake() {
            tracing::error!(%error, "a poller cannot be woken");
        }
    }
}

impl OwnPoll {
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = Bell(mio::Waker::new(poll.registry(), DOORBELL)?);
        Ok(OwnPoll {
            poll,
            events: Events::with_capacity(EVENTS),
            waker: Waker::from(Arc::new(bell)),
        })
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Lets it be reported once more, if it is ready now or when it becomes so.
    pub(super) fn arm(&self, descriptor: &mut Descriptor<'_>, token: usize, interest: Interest) -> io::Result<()> {
        let raw = descriptor.fd.as_raw_fd();
        let (mut source, token, interest) = (SourceFd(&raw), Token(token), kernel(interest));
        if descriptor.is_known {
            source.reregister(self.poll.registry(), token, interest)?;
        } else {
            source.register(self.poll.registry(), token, interest)?;
        }
        descriptor.is_known = true;
        descriptor.is_stale = false;
        Ok(())
    }

    pub(super) fn forget(&self, descriptor: &Descriptor<'_>) -> io::Result<()> {
        SourceFd(&descriptor.fd.as_raw_fd()).deregister(self.poll.registry())
    }

    /// Sleeps until something is reported, the waker is woken, or the time is over; may return early.
    pub(super) fn sleep(&mut self, limit: Option<Duration>) -> io::Result<impl Iterator<Item = Reported> + '_> {
        match self.poll.poll(&mut self.events, whole_millis(limit)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => return Err(error),
        }
        let theirs = self.events.iter().filter(|event| event.token() != DOORBELL);
        Ok(theirs.map(|event| Reported {
            token: event.token().0,
            readable: event.is_readable() || event.is_read_closed() || event.is_error(),
            writable: event.is_writable() || event.is_write_closed() || event.is_error(),
            closed: event.is_read_closed() || event.is_write_closed() || event.is_error(),
        }))
    }
}

/// The kernel's timer counts whole milliseconds, and mio rounds up: what is left beyond them is slept elsewhere, in pieces
/// so short that what is reported meanwhile hardly waits.
fn whole_millis(limit: Option<Duration>) -> Option<Duration> {
    let limit = limit?;
    let whole = limit - Duration::from_nanos(u64::from(limit.subsec_nanos() % 1_000_000));
    if whole.is_zero() && !limit.is_zero() {
        crate::sync::park(Some(limit.min(PIECE)));
    }
    Some(whole)
}

fn kernel(interest: Interest) -> mio::Interest {
    match interest {
        Interest::Readable => mio::Interest::READABLE,
        Interest::Writable => mio::Interest::WRITABLE,
        Interest::Both => mio::Interest::READABLE | mio::Interest::WRITABLE,
    }
}

/// The token that no descriptor has.
const DOORBELL: Token = Token(usize::MAX);
/// Events taken by one sleep; what is left is reported by the next.
const EVENTS: usize = 256;
const PIECE: Duration = Duration::from_micros(50);

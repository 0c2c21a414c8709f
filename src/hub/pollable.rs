//! A socket's readiness as a descriptor, for those who have an event loop of their own.
//!
//! One byte lies in a pair of sockets while the socket is ready. Each change is told by a wake, outside all locks; of the
//! threads that are told at once one looks and writes or reads the byte, and looks again if there was more.

use super::Hub;
use super::waiters::{Drive, Waiting};
use super::watchers::{Readiness, Watched};
use crate::routing::Pattern;
use crate::socket_type::SocketType;
use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use tracing::error;

/// A descriptor that is readable while its socket is ready: for `poll`, `epoll`, `kqueue`, and the loops built on them.
///
/// Ready means that there is a message to receive; for types that only send (`Push`, `Pub`, `Req` and the like) that
/// there is room for one; for any type that it is closed. It is the level that counts, so a loop that asks for edges has
/// to take messages until `WouldBlock`. Only ask whether it is readable, never read it. It may say so for a moment after
/// another thread took the last message: use the verbs with `try_` after it.
///
/// Clones are one descriptor, open until the socket and all of them are gone. Two descriptors a socket, made at the first
/// [`pollable`](crate::Pull::pollable); from then on each time that the socket becomes ready, and each time that it is
/// not any more, costs a system call. A [`Poller`](crate::Poller) needs none.
///
/// ```
/// use peermq::{Context, Interest, Poller, Pull, Push};
/// use std::os::fd::AsFd;
///
/// let context = Context::new()?;
/// let (pull, push) = (Pull::new(&context), Push::new(&context));
/// push.connect(pull.bind("inproc://work")?)?;
/// let pollable = pull.pollable()?;
///
/// let mut any_loop = Poller::new();
/// any_loop.add_fd(&pollable, Interest::Readable)?;
/// push.send("hello")?;
/// assert!(any_loop.wait(None)?[0].readable);
/// assert_eq!(pull.try_recv()?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pollable(Arc<Level>);

struct Level {
    socket: Weak<dyn Watched>,
    counts: fn(Readiness) -> bool,
    /// Changes that nobody has looked at. Whoever finds none there looks, until there are none again.
    changes: AtomicUsize,
    /// The byte is there. Written only by who looks.
    is_up: AtomicBool,
    theirs: UnixStream,
    ours: UnixStream,
    /// Whoever has the descriptor waits in a loop of its own.
    _waiting: Waiting,
}

impl Level {
    fn new(socket: Weak<dyn Watched>, socket_type: SocketType, drive: &Arc<dyn Drive>) -> io::Result<Self> {
        let (theirs, ours) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        Ok(Level {
            socket,
            counts: if only_sends(socket_type) {
                |readiness| readiness.writable || readiness.closed
            } else {
                |readiness| readiness.readable || readiness.closed
            },
            changes: AtomicUsize::new(0),
            is_up: AtomicBool::new(false),
            theirs,
            ours,
            _waiting: Waiting::at(drive),
        })
    }

    /// Puts the byte there or takes it away. The caller holds no lock.
    fn settle(&self) {
        let mut seen = 1;
        if self.changes.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        loop {
            let socket = self.socket.upgrade();
            let should_be_up = socket.is_none_or(|socket| (self.counts)(socket.readiness()));
            if self.is_up.swap(should_be_up, Ordering::AcqRel) != should_be_up {
                let done = match should_be_up {
                    true => (&self.ours).write(&[1]),
                    false => (&self.theirs).read(&mut [0]),
                };
                if let Err(error) = done {
                    error!(%error, "a pollable descriptor cannot be set");
                }
            }
            match self
                .changes
                .compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(more) => seen = more,
            }
        }
    }
}

impl Wake for Level {
    fn wake(self: Arc<Self>) {
        self.settle();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.settle();
    }
}

impl<P: Pattern> Hub<P> {
    /// The socket's descriptor, made if there is none.
    pub(crate) fn pollable(self: &Arc<Self>) -> io::Result<Pollable> {
        if let Some(pollable) = &*self.pollable.lock() {
            return Ok(pollable.clone());
        }
        let socket: Arc<dyn Watched> = self.clone();
        let level = Arc::new(Level::new(Arc::downgrade(&socket), P::TYPE, &self.drive)?);
        let ticket = self.watch(Waker::from(Arc::clone(&level)));
        level.settle();
        let mut place = self.pollable.lock();
        if let Some(first) = &*place {
            let first = first.clone();
            drop(place);
            self.unwatch(ticket);
            return Ok(first);
        }
        let pollable = Pollable(level);
        *place = Some(pollable.clone());
        Ok(pollable)
    }
}

impl AsFd for Pollable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.theirs.as_fd()
    }
}

impl AsRawFd for Pollable {
    fn as_raw_fd(&self) -> RawFd {
        self.0.theirs.as_raw_fd()
    }
}

impl std::fmt::Debug for Pollable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pollable").field("fd", &self.as_raw_fd()).finish()
    }
}

/// Types that have nothing to receive, or not by a call that could be tried.
fn only_sends(socket_type: SocketType) -> bool {
    use SocketType::{Pub, Push, Radio, Req, Scatter};
    matches!(socket_type, Push | Pub | Radio | Scatter | Req)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::hub::waiters::Ticket;
    use crate::sync::Parker;
    use std::sync::OnceLock;

    /// Counts who waits.
    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl Drive for Counts {
        fn now(&self) -> std::time::Instant {
            unreachable!("nobody asks")
        }

        fn may_wait(&self) -> Result<(), crate::hub::CannotWait> {
            Ok(())
        }

        fn wait(&self, _: &Parker, _: Option<std::time::Instant>) -> Result<bool, crate::hub::CannotWait> {
            unreachable!("nobody waits here")
        }

        fn future_waits(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn future_is_over(&self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Becomes ready, or stops being so, right after it was looked at.
    struct Fickle {
        level: OnceLock<Arc<Level>>,
        looks: AtomicUsize,
        first: bool,
    }

    impl Watched for Fickle {
        fn socket_type(&self) -> SocketType {
            SocketType::Pull
        }

        fn readiness(&self) -> Readiness {
            let is_first = self.looks.fetch_add(1, Ordering::SeqCst) == 0;
            if is_first {
                // As if another thread had changed it and was told so.
                self.level.get().unwrap().settle();
            }
            Readiness {
                readable: is_first == self.first,
                ..Readiness::default()
            }
        }

        fn watch(&self, _waker: Waker) -> Ticket {
            unreachable!("it is told by hand")
        }

        fn unwatch(&self, _ticket: Ticket) {}

        fn drive(&self) -> &Arc<dyn Drive> {
            unreachable!("nobody waits")
        }
    }

    #[test]
    fn a_change_while_another_is_looked_at_is_looked_at_too() {
        for first in [false, true] {
            let fickle = Arc::new(Fickle {
                level: OnceLock::new(),
                looks: AtomicUsize::new(0),
                first,
            });
            let socket: Arc<dyn Watched> = fickle.clone();
            let counts = Arc::new(Counts::default());
            let drive: Arc<dyn Drive> = counts.clone();
            let level = Arc::new(Level::new(Arc::downgrade(&socket), SocketType::Pull, &drive).unwrap());
            assert_eq!(counts.0.load(Ordering::SeqCst), 1);
            assert!(fickle.level.set(Arc::clone(&level)).is_ok());

            level.settle();

            assert_eq!(level.is_up.load(Ordering::SeqCst), !first);
            let byte = (&level.theirs).read(&mut [0; 2]);
            assert_eq!(byte.ok(), (!first).then_some(1));
            assert_eq!(level.changes.load(Ordering::SeqCst), 0);
        }
    }
}

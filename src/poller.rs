//! Waits for several sockets and descriptors at once, from one thread.
//!
//! A socket that is watched tells each change of what it is ready for; who waits looks, and sleeps until the next one.
//! With sockets alone it drives the loop of the first one's context, as every waiting call does. Only with descriptors
//! it sleeps in a poll of its own.

mod descriptors;
mod watch;

use crate::engine::seat::is_driving;
use crate::hub::{CannotWait, Drive, Readiness, Waiting};
use crate::socket::AnySocket;
use crate::sync::Parker;
use crate::transport::real::now;
use descriptors::{Descriptor, OwnPoll, Reported};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
pub(crate) use watch::{Signal, Watch};

/// Waits for several sockets, of any types and contexts, and for descriptors, from one thread.
///
/// What is added stays until it is removed. [`wait`](Poller::wait) tells what is ready *now*, each time anew, until it is
/// taken or used up. Other threads may use the same sockets and be faster, so use the verbs with `try_` after it. A
/// socket is readable if there is a message to receive, and writable if a message would find room; a type that cannot
/// receive is never readable, and one that cannot send never writable. For a `Req` that is room for a request; its
/// replies are waited for by the calls that ask. A `Rep` may drop what it was readable for, as `Malformed`, and others what
/// they would not hand over either (`NotSubscribed`). Whether a message finds room may depend on it: a socket that names
/// its peers is writable while there is one, and a publisher under [`AtMark::Block`](crate::AtMark::Block) until a message
/// was refused, and again once those who kept it have room.
///
/// With sockets alone, who waits drives the loop if nobody else does: of the context of the socket that was added first.
/// With descriptors it sleeps in the kernel, and is woken.
///
/// ```
/// use peermq::{Context, Interest, Poller, Pull, Push};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let (news, work) = (Pull::new(&context), Pull::new(&context));
/// let push = Push::new(&context);
/// push.connect(work.bind("inproc://work")?)?;
///
/// let mut poller = Poller::new();
/// let from_news = poller.add(&news, Interest::Readable)?;
/// let from_work = poller.add(&work, Interest::Readable)?;
/// assert!(poller.wait(Some(Duration::from_millis(1)))?.is_empty()); // nothing in time
///
/// push.send("hello")?;
/// for ready in poller.wait(None)? {
///     assert_ne!(ready.key, from_news);
///     assert_eq!(ready.key, from_work);
///     assert_eq!(work.try_recv()?, "hello");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Poller<'fd> {
    /// By key: in the order in which they were added.
    entries: BTreeMap<usize, Entry<'fd>>,
    next_key: usize,
    signal: Arc<Signal>,
    /// Made for the first descriptor.
    own: Option<OwnPoll>,
}

struct Entry<'fd> {
    interest: Interest,
    target: Target<'fd>,
}

enum Target<'fd> {
    Socket(Watch),
    Descriptor(Descriptor<'fd>),
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Something to receive.
    Readable,
    /// Room to send.
    Writable,
    /// Either.
    Both,
}

/// Names what was added to a [`Poller`]. Of one poller, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(usize);

/// Says what is ready, of what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// What [`Poller::add`] returned for it.
    pub key: Key,
    /// A call to receive would not wait.
    pub readable: bool,
    /// A call to send would not wait.
    pub writable: bool,
    /// The socket is closed: all calls fail, and it is told each time until it is removed. Of a descriptor: an end of
    /// stream or an error; reading or writing tells which.
    pub closed: bool,
}

/// Why a [`Poller`] did not do it. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// This socket or descriptor was added before: change what is waited for with [`Poller::modify`].
    #[error("it was added before, as {0:?}")]
    Duplicate(Key),
    /// Nothing has this key: it was removed, or is of another poller.
    #[error("nothing was added as {0:?}, or it was removed")]
    Unknown(Key),
    /// Nothing was added, and the wait has no limit.
    #[error("there is nothing to wait for")]
    Nothing,
    /// Nothing is ready, and the call was made on the thread that runs the event loop (from a `Waker`).
    #[error("the call would wait on the thread that runs the event loop")]
    WouldDeadlock,
    /// The process was forked after a context was made.
    #[error("the context belongs to the process that was forked")]
    Forked,
    /// The system refused: it has no descriptor to spare, or cannot wait for this one (a plain file).
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The same error, with what it is about.
fn not_polled(fd: BorrowedFd<'_>, error: &io::Error) -> io::Error {
    let number = fd.as_raw_fd();
    let text = match error.kind() {
        // So says epoll.
        ErrorKind::PermissionDenied => {
            format!("descriptor {number} is a plain file or a folder, which cannot be waited for: it is always ready")
        }
        _ => format!("descriptor {number} cannot be waited for: {error}"),
    };
    io::Error::new(error.kind(), text)
}

impl<'fd> Poller<'fd> {
    /// Makes a poller that waits for nothing yet.
    pub fn new() -> Self {
        Poller::default()
    }

    /// Waits for this socket too, from the next [`wait`](Poller::wait) on. It may be of any context, and in several
    /// pollers.
    ///
    /// A socket that is dropped is told as closed. Refused as `Duplicate` if it is in this poller already.
    pub fn add(&mut self, socket: &impl AnySocket, interest: Interest) -> Result<Key, PollError> {
        let socket = socket.watched();
        for (&key, entry) in &self.entries {
            if matches!(&entry.target, Target::Socket(watch) if watch.is_of(&socket)) {
                return Err(PollError::Duplicate(Key(key)));
            }
        }
        let watch = Watch::new(socket, &self.signal);
        Ok(self.insert(interest, Target::Socket(watch)))
    }

    /// Waits for this descriptor too: a socket of the system's, a pipe, a timer. It stays the caller's, who must not
    /// close it before the poller is dropped; reading and writing are the caller's, too.
    ///
    /// Refused as `Duplicate` if it is in this poller already, and as `Io` if the system has no descriptor to spare, or
    /// cannot wait for this one.
    pub fn add_fd(&mut self, descriptor: &'fd impl AsFd, interest: Interest) -> Result<Key, PollError> {
        let fd = descriptor.as_fd();
        for (&key, entry) in &self.entries {
            if matches!(&entry.target, Target::Descriptor(known) if known.fd.as_raw_fd() == fd.as_raw_fd()) {
                return Err(PollError::Duplicate(Key(key)));
            }
        }
        let own = match &mut self.own {
            Some(own) => own,
            none => none.insert(OwnPoll::new()?),
        };
        let mut descriptor = Descriptor {
            fd,
            is_known: false,
            is_stale: false,
        };
        own.arm(&mut descriptor, self.next_key, interest)
            .map_err(|error| not_polled(fd, &error))?;
        Ok(self.insert(interest, Target::Descriptor(descriptor)))
    }

    /// Changes what is waited for, from the next [`wait`](Poller::wait) on. `Unknown`: nothing has this key.
    pub fn modify(&mut self, key: Key, interest: Interest) -> Result<(), PollError> {
        let entry = self.entries.get_mut(&key.0).ok_or(PollError::Unknown(key))?;
        entry.interest = interest;
        if let Target::Descriptor(descriptor) = &mut entry.target {
            descriptor.is_stale = true;
        }
        Ok(())
    }

    /// Waits for it no more. `Unknown`: nothing has this key.
    pub fn remove(&mut self, key: Key) -> Result<(), PollError> {
        let entry = self.entries.remove(&key.0).ok_or(PollError::Unknown(key))?;
        if let (Target::Descriptor(descriptor), Some(own)) = (&entry.target, &self.own) {
            own.forget(descriptor)?;
        }
        Ok(())
    }

    /// Returns how many sockets and descriptors are waited for.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Waits until something is ready, at most this long (`None`: without a limit), and tells all that is ready now, in
    /// the order in which it was added. Empty: nothing was in time.
    ///
    /// Zero does not wait; times under a millisecond are kept. Closed sockets are told each time. Fails with `Nothing`
    /// if nothing was added and there is no limit, and with `WouldDeadlock` if it would have to wait on the thread that
    /// runs the event loop.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Vec<Ready>, PollError> {
        if self.is_empty() && timeout.is_none() {
            return Err(PollError::Nothing);
        }
        let deadline = timeout.and_then(|timeout| now().checked_add(timeout));
        let has_descriptors = self.entries.values().any(|entry| entry.watch().is_none());
        if !has_descriptors {
            let ready = self.look(&[]);
            if !ready.is_empty() || timeout.is_some_and(|timeout| timeout.is_zero()) {
                return Ok(ready);
            }
        }
        let drives = drives(self.entries.values().filter_map(Entry::watch));
        for drive in &drives {
            match drive.may_wait() {
                Err(CannotWait::OnDriver) | Ok(()) => {}
                Err(CannotWait::Forked) => return Err(PollError::Forked),
            }
        }
        if has_descriptors {
            self.sleep(&drives, deadline)
        } else if is_driving() {
            Err(PollError::WouldDeadlock)
        } else {
            Ok(self.drive(&drives, deadline))
        }
    }

    fn insert(&mut self, interest: Interest, target: Target<'fd>) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        self.entries.insert(key, Entry { interest, target });
        Key(key)
    }

    /// What is ready now, of the sockets and of the descriptors that were reported.
    fn look(&mut self, reported: &[Reported]) -> Vec<Ready> {
        let mut all = Vec::new();
        for (&key, entry) in &mut self.entries {
            let found = match &mut entry.target {
                Target::Socket(watch) => watch.look(),
                Target::Descriptor(descriptor) => match reported.iter().find(|reported| reported.token == key) {
                    None => continue,
                    Some(reported) => {
                        descriptor.is_stale = true;
                        Readiness {
                            readable: reported.readable,
                            writable: reported.writable,
                            closed: reported.closed,
                        }
                    }
                },
            };
            let ready = Ready {
                key: Key(key),
                readable: found.readable && entry.interest != Interest::Writable,
                writable: found.writable && entry.interest != Interest::Readable,
                closed: found.closed,
            };
            if ready.readable || ready.writable || ready.closed {
                all.push(ready);
            }
        }
        all
    }

    /// Waits for sockets alone.
    fn drive(&mut self, drives: &[Arc<dyn Drive>], deadline: Option<Instant>) -> Vec<Ready> {
        let signal = Arc::clone(&self.signal);
        wait_for_any(drives, &signal, deadline, || {
            let ready = self.look(&[]);
            (!ready.is_empty()).then_some(ready)
        })
        .unwrap_or_default()
    }

    /// Waits in the kernel.
    fn sleep(&mut self, drives: &[Arc<dyn Drive>], deadline: Option<Instant>) -> Result<Vec<Ready>, PollError> {
        let Some(mut own) = self.own.take() else {
            return Ok(Vec::new());
        };
        let result = self.sleep_in(&mut own, drives, deadline);
        self.own = Some(own);
        result
    }

    fn sleep_in(
        &mut self,
        own: &mut OwnPoll,
        drives: &[Arc<dyn Drive>],
        deadline: Option<Instant>,
    ) -> Result<Vec<Ready>, PollError> {
        for (&key, entry) in &mut self.entries {
            if let Target::Descriptor(descriptor) = &mut entry.target
                && descriptor.is_stale
            {
                own.arm(descriptor, key, entry.interest)?;
            }
        }
        let _waiting: Vec<_> = drives.iter().map(Waiting::at).collect();
        let signal = Arc::clone(&self.signal);
        let _armed = signal.arm(&own.waker());
        // First what is ready without a wait: of the sockets and of the descriptors together.
        let mut limit = Some(Duration::ZERO);
        loop {
            let reported: Vec<_> = own.sleep(limit)?.collect();
            let ready = self.look(&reported);
            if !ready.is_empty() {
                return Ok(ready);
            }
            limit = deadline.map(|deadline| deadline.saturating_duration_since(now()));
            if limit == Some(Duration::ZERO) {
                return Ok(ready);
            }
            if is_driving() {
                return Err(PollError::WouldDeadlock);
            }
        }
    }
}

impl std::fmt::Debug for Poller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.entries.keys().map(|&key| Key(key));
        f.debug_struct("Poller")
            .field("keys", &keys.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Entry<'_> {
    fn watch(&self) -> Option<&Watch> {
        match &self.target {
            Target::Socket(watch) => Some(watch),
            Target::Descriptor(_) => None,
        }
    }
}

/// The contexts of these sockets, each once, in the order in which they come.
pub(crate) fn drives<'w>(watches: impl Iterator<Item = &'w Watch>) -> Vec<Arc<dyn Drive>> {
    let mut drives: Vec<Arc<dyn Drive>> = Vec::new();
    for watch in watches {
        let drive = watch.socket.drive();
        if !drives.iter().any(|known| Arc::ptr_eq(known, drive)) {
            drives.push(Arc::clone(drive));
        }
    }
    drives
}

/// Waits until there is something among the sockets that give this signal: drives the first context's loop if nobody
/// else does, and is woken by the others. `None`: the deadline came first. The caller may wait.
pub(crate) fn wait_for_any<R>(
    drives: &[Arc<dyn Drive>],
    signal: &Signal,
    deadline: Option<Instant>,
    mut look: impl FnMut() -> Option<R>,
) -> Option<R> {
    let (first, others) = match drives.split_first() {
        Some((first, others)) => (Some(first), others),
        None => (None, drives),
    };
    let _waiting: Vec<_> = others.iter().map(Waiting::at).collect();
    Parker::with(|parker, waker| {
        loop {
            parker.reset();
            let _armed = signal.arm(waker);
            if let Some(found) = look() {
                return Some(found);
            }
            let is_woken = first.and_then(|drive| drive.wait(parker, deadline).ok());
            let is_woken = is_woken.unwrap_or_else(|| {
                // There is no loop, or it is another process's.
                let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
                parker.park(left);
                left != Some(Duration::ZERO)
            });
            if !is_woken {
                return look();
            }
        }
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_change_right_after_a_look_ends_the_wait() {
        let context = crate::Context::new().unwrap();
        let pull = crate::Pull::new(&context);
        let drive = crate::socket::Sealed::watched(&pull).drive().clone();
        for drives in [&[][..], &[drive][..]] {
            let signal = Signal::default();
            let deadline = now() + Duration::from_secs(20);
            let mut looks = 0;
            let found = wait_for_any(drives, &signal, Some(deadline), || {
                looks += 1;
                if looks == 1 {
                    signal.give();
                    return None;
                }
                Some(())
            });
            assert_eq!((found, looks), (Some(()), 2));
            assert!(now() < deadline, "it looked again only at the deadline");
        }
    }

    #[test]
    fn who_must_not_drive_sleeps_until_the_deadline_and_does_not_look_in_a_circle() {
        let context = crate::Context::new().unwrap();
        let pull = crate::Pull::new(&context);
        let drive = crate::socket::Sealed::watched(&pull).drive().clone();
        let _driving = crate::engine::seat::drive_here();
        let deadline = now() + Duration::from_millis(20);

        let found = wait_for_any(&[drive], &Signal::default(), Some(deadline), || None::<()>);

        assert!(found.is_none() && now() >= deadline);
    }
}

//! The joint between a connection and a peer.
//!
//! Two sides, each with a lock of its own, held over its own write or read and no other call: the write side takes
//! batches from the station and gives them to the kernel, the read side takes bytes from the kernel and gives whole
//! messages to the station. Lock order: read side, write side, hub.

mod reading;
mod unframed;
mod writing;

pub(super) use reading::{Filled, Found};
pub(super) use writing::Flushed;

use super::notes::Note;
use super::seat::Seat;
use crate::batch::Copies;
use crate::failure::Failure;
use crate::hub::{Drive, Effects, Lent, Link, Origin, Pace, QUIET, Station};
use crate::socket_type::SocketType;
use crate::sync::{AtomicBool, Mutex, Ordering, per_thread};
use crate::transport::{Net, Stream};
use crate::wire::{Connection, Form, Fresh, Side};
use reading::Reading;
use std::cell::Cell;
use std::sync::{Arc, Weak};
use std::time::Instant;
use writing::Writing;

/// One connection, from the attempt to reach the peer until its end.
pub(crate) struct Session<N: Net> {
    pub(crate) token: usize,
    pub(crate) stream: N::Stream,
    station: Arc<dyn Station>,
    seat: Arc<Seat<N>>,
    write: Mutex<Writing>,
    read: Mutex<Reading>,
    /// The kernel took no more: the next writable event flushes. Set before the write is tried once more, because an
    /// edge that comes between a refused write and this mark would be lost.
    blocked: AtomicBool,
    /// Our side of the stream is shut: set under the write side's lock, and asked for without it after each read.
    is_shut: AtomicBool,
    /// The peer's end of stream was seen: a short read says nothing any more, only the end does.
    is_hung_up: AtomicBool,
}

impl<N: Net> Session<N> {
    pub(crate) fn new(
        token: usize,
        stream: N::Stream,
        station: Arc<dyn Station>,
        seat: Arc<Seat<N>>,
        origin: Origin,
        fresh: Fresh,
    ) -> Arc<Self> {
        let side = match origin {
            Origin::Dialed(_) => Side::Dialed,
            Origin::Accepted(_) => Side::Accepted,
        };
        let form = match station.local().socket_type {
            _ if stream.is_datagrams() => Form::Datagrams,
            SocketType::Stream => Form::Raw,
            _ => Form::Framed,
        };
        let connection = Connection::new(Arc::clone(station.local()), side, form, fresh);
        Arc::new(Session {
            token,
            stream,
            station,
            seat,
            write: Mutex::new(Writing::new(matches!(side, Side::Accepted), form)),
            read: Mutex::new(Reading::new(connection, origin)),
            blocked: AtomicBool::new(false),
            is_shut: AtomicBool::new(false),
            is_hung_up: AtomicBool::new(false),
        })
    }

    /// The peer's end, or an error, was reported.
    pub(crate) fn hang_up(&self) {
        self.is_hung_up.store(true, Ordering::Release);
    }

    pub(crate) fn is_hung_up(&self) -> bool {
        self.is_hung_up.load(Ordering::Acquire)
    }

    /// Whether a flush waited for the event that came now.
    pub(crate) fn take_blocked(&self) -> bool {
        self.blocked.swap(false, Ordering::SeqCst)
    }
}

/// How a hub reaches its peer's session. Holds it weakly: a session that is over is not kept by its hub.
struct SessionLink<N: Net> {
    session: Weak<Session<N>>,
}

impl<N: Net> Link for SessionLink<N> {
    fn flush(&self, pace: Pace, now: Option<Instant>) {
        let Some(session) = self.session.upgrade() else { return };
        let seat = Arc::clone(&session.seat);
        // A forked child would write between its parent's bytes.
        if pace != Pace::Stream
            && let now = now.unwrap_or_else(|| seat.now())
            && is_direct(pace, now)
            && !seat.is_forked_at(now)
        {
            let mut effects = Effects::default();
            let is_done = session.flush_directly(&mut effects);
            let now = effects.now(|| seat.now());
            // A write may take longer than what makes one ask again; and the application's code is yet to run.
            seat.still_not_forked(now);
            wrote_directly(pace, now);
            effects.run();
            if is_done {
                return;
            }
        }
        seat.note_flush(session);
    }

    fn lend(&self, frame: &[u8], copies: &Copies, may_look: bool) -> Lent {
        let Some(session) = self.session.upgrade() else {
            return Lent::Refused;
        };
        let seat = Arc::clone(&session.seat);
        if seat.is_forked_at(seat.now()) {
            return Lent::Refused;
        }
        let mut effects = Effects::default();
        let (lent, leaves_more) = session.lend(frame, copies, may_look, &mut effects);
        seat.still_not_forked(seat.now());
        effects.run();
        if leaves_more {
            seat.note_flush(session);
        }
        lent
    }

    fn resume(&self) {
        self.note(Note::Resume);
    }

    fn sever(&self, failure: Failure) {
        self.note(|session| Note::Sever(session, failure));
    }

    fn challenge(&self) {
        self.note(Note::Challenge);
    }
}

/// Whether who sends writes itself. A thread that sends through several sockets in turn finds each of them quiet, because it
/// wrote to the others meanwhile: after a few direct writes without a pause, what it sends is a stream. (Four sockets in turn:
/// 0.2 million messages a second, each with a system call, where two had 14.)
fn is_direct(pace: Pace, now: Instant) -> bool {
    match pace {
        Pace::Awaited => true,
        Pace::Stream => false,
        Pace::Quiet => WRITTEN.with(|written| {
            let last = written
                .get()
                .filter(|(last, _)| now.saturating_duration_since(*last) < QUIET);
            let in_a_row = last.map_or(0, |(_, in_a_row)| in_a_row);
            written.set(Some((now, in_a_row.saturating_add(1))));
            in_a_row < FEW
        }),
    }
}

/// This thread has written directly, until now.
fn wrote_directly(pace: Pace, now: Instant) {
    WRITTEN.with(|written| {
        // Who has waited for an answer has paused.
        let in_a_row = written
            .get()
            .filter(|_| pace == Pace::Quiet)
            .map(|(_, in_a_row)| in_a_row);
        written.set(in_a_row.map(|in_a_row| (now, in_a_row)));
    });
}

// When this thread last wrote what it found quiet, and how often in a row.
per_thread! {
    static WRITTEN: Cell<Option<(Instant, u32)>> = const { Cell::new(None) };
}

/// So many direct writes without a pause are a stream.
const FEW: u32 = 16;

impl<N: Net> SessionLink<N> {
    fn new(session: &Arc<Session<N>>) -> Self {
        SessionLink {
            session: Arc::downgrade(session),
        }
    }

    fn note(&self, note: impl FnOnce(Arc<Session<N>>) -> Note<N>) {
        if let Some(session) = self.session.upgrade() {
            let seat = Arc::clone(&session.seat);
            let _is_live = seat.note(note(session));
        }
    }
}

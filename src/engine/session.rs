//! The joint between a connection and a peer.
//!
//! Two sides, each with a lock of its own, held over its own write or read and no other call: the write side takes
//! batches from the station and gives them to the kernel, the read side takes bytes from the kernel and gives whole
//! messages to the station. Lock order: read side, write side, hub.

use super::notes::Note;
use super::seat::Seat;
use crate::batch::{Batch, Buffers, Run, Tally};
use crate::failure::{Failure, Stage};
use crate::hub::{Effects, Link, Origin, Pace, Station};
use crate::routing::{Dropped, PeerId, Room};
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::transport::{Net, Stream};
use crate::wire::{Connection, Credit, Side, Step};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Weak};

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
    /// The peer's end of stream was seen: a short read says nothing any more, only the end does.
    is_hung_up: AtomicBool,
}

struct Writing {
    /// The stream is connected.
    is_open: bool,
    /// Greeting, READY, ERROR, or one PONG: before the next batch. At most these; a PONG that waits is replaced.
    control: VecDeque<Bytes>,
    control_written: usize,
    /// Who collects, from READY on.
    peer: Option<PeerId>,
    batch: Option<Batch>,
    /// Bytes of `batch` that are written.
    written: usize,
    /// What was wholly written since the last collect.
    done: Tally,
    spent: Vec<u8>,
    messages: u64,
    /// Once nothing is queued, our side of the stream is shut.
    is_ending: bool,
    is_shut: bool,
    /// Writing failed. Whoever met it need not be who ends the session.
    failure: Option<Failure>,
}

struct Reading {
    connection: Connection,
    origin: Origin,
    peer: Option<PeerId>,
    room: Room,
    /// What one read brought beyond the room there was; nothing is read while it is not empty.
    held: BytesMut,
    /// Emptied by each delivery; kept for its memory.
    run: Run,
    /// What comes is thrown away: our side is shut.
    is_discarding: bool,
    /// Commands that the connection ignored, as far as the station knows.
    ignored: u64,
}

/// How far a flush came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left to write, or the kernel takes no more and an event will say when it does.
    Done,
    /// There is more, and the budget is used up.
    More,
}

/// How far a fill came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Nothing is left to read; an event will come.
    Done,
    /// There is more, and the budget is used up.
    More,
    /// There is no room; a resume will come.
    Paused,
    /// The stream is over.
    End(Failure),
}

/// What a fill found besides messages.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The peer is ready: messages may flow both ways.
    pub(crate) is_ready: bool,
    /// Something is to be flushed.
    pub(crate) has_output: bool,
}

impl<N: Net> Session<N> {
    pub(crate) fn new(
        token: usize,
        stream: N::Stream,
        station: Arc<dyn Station>,
        seat: Arc<Seat<N>>,
        origin: Origin,
    ) -> Arc<Self> {
        let side = match origin {
            Origin::Dialed(_) => Side::Dialed,
            Origin::Accepted(_) => Side::Accepted,
        };
        let connection = Connection::new(Arc::clone(station.local()), side);
        Arc::new(Session {
            token,
            stream,
            station,
            seat,
            write: Mutex::new(Writing {
                is_open: matches!(side, Side::Accepted),
                control: VecDeque::new(),
                control_written: 0,
                peer: None,
                batch: None,
                written: 0,
                done: Tally::default(),
                spent: Vec::new(),
                messages: 0,
                is_ending: false,
                is_shut: false,
                failure: None,
            }),
            read: Mutex::new(Reading {
                connection,
                origin,
                peer: None,
                room: Room::default(),
                held: BytesMut::new(),
                run: Run::default(),
                is_discarding: false,
                ignored: 0,
            }),
            blocked: AtomicBool::new(false),
            is_hung_up: AtomicBool::new(false),
        })
    }

    /// The stream is connected: the greeting may go.
    pub(crate) fn open(&self) {
        self.write.lock().is_open = true;
    }

    /// Queues what the connection has to say by itself.
    pub(crate) fn transmit(&self) {
        self.transmit_of(&mut self.read.lock().connection);
    }

    fn transmit_of(&self, connection: &mut Connection) -> bool {
        let mut has_output = false;
        while let Some(bytes) = connection.poll_transmit() {
            let mut write = self.write.lock();
            if write.control.len() >= CONTROL {
                // A PONG that waits behind others is replaced: a peer that never reads cannot make them pile up.
                write.control.pop_back();
            }
            write.control.push_back(bytes);
            has_output = true;
        }
        has_output
    }

    pub(crate) fn stage(&self) -> Stage {
        self.read.lock().connection.stage()
    }

    pub(crate) fn peer(&self) -> Option<PeerId> {
        self.write.lock().peer
    }

    /// Messages wholly written to this connection.
    pub(crate) fn messages_written(&self) -> u64 {
        self.write.lock().messages
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.write.lock().is_shut
    }

    /// Ends our side once nothing is queued: flush next.
    pub(crate) fn end_when_flushed(&self) {
        self.write.lock().is_ending = true;
    }

    /// The peer's end, or an error, was reported.
    pub(crate) fn hang_up(&self) {
        self.is_hung_up.store(true, Ordering::Release);
    }

    /// Whether a flush waited for the event that came now.
    pub(crate) fn take_blocked(&self) -> bool {
        self.blocked.swap(false, Ordering::SeqCst)
    }

    /// What was wholly written and not told to the station yet.
    pub(crate) fn take_done(&self) -> Tally {
        std::mem::take(&mut self.write.lock().done)
    }

    /// The batch that is not wholly written, and how far it is. The session writes nothing after this.
    pub(crate) fn take_unwritten(&self) -> Option<(Batch, usize)> {
        let mut write = self.write.lock();
        write.is_open = false;
        write.control.clear();
        let written = write.written;
        write.batch.take().map(|batch| (batch, written))
    }

    // -- the way out

    /// Gives the kernel what there is, as long as it takes it and the budget lasts.
    pub(crate) fn flush(&self, effects: &mut Effects) -> Result<Flushed, Failure> {
        let mut write = self.write.lock();
        self.flush_until(&mut write, effects, |written, _| written >= WRITE_BUDGET)
    }

    /// The same until little is left: what follows a small write is smaller still, unless it is let grow for a moment.
    pub(crate) fn flush_large(&self, effects: &mut Effects) -> Result<Flushed, Failure> {
        let mut write = self.write.lock();
        self.flush_until(&mut write, effects, |_, last| last < SMALL_WRITE)
    }

    /// The same by a sender that found everything quiet: what it just queued, and only if nobody else writes. `false`:
    /// somebody has to look at it.
    fn flush_directly(&self, effects: &mut Effects) -> bool {
        let Some(mut write) = self.write.try_lock() else {
            return false;
        };
        if write.is_ending {
            return false;
        }
        let mut writes = 0;
        let flushed = self.flush_until(&mut write, effects, |_, _| {
            writes += 1;
            writes > 1
        });
        flushed == Ok(Flushed::Done)
    }

    /// Writes until nothing is left, or the kernel takes no more, or `is_enough` of the bytes in all and in the last write.
    fn flush_until(
        &self,
        write: &mut Writing,
        effects: &mut Effects,
        mut is_enough: impl FnMut(usize, usize) -> bool,
    ) -> Result<Flushed, Failure> {
        if !write.is_open {
            return Ok(Flushed::Done);
        }
        if let Some(failure) = &write.failure {
            return Err(failure.clone());
        }
        let mut written = 0;
        loop {
            match self.write_some(write, effects) {
                Ok(0) => return Ok(Flushed::Done),
                Ok(n) => {
                    written += n;
                    if is_enough(written, n) {
                        return Ok(Flushed::More);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.blocked.swap(true, Ordering::SeqCst) {
                        return Ok(Flushed::Done);
                    }
                    // The mark is set: once more, in case room came before it.
                }
                Err(error) => {
                    let failure = Failure::io(&error);
                    write.failure = Some(failure.clone());
                    return Err(failure);
                }
            }
        }
    }

    /// One write. 0: there is nothing to write.
    fn write_some(&self, write: &mut Writing, effects: &mut Effects) -> io::Result<usize> {
        if write.batch.is_none() {
            if let Some(control) = write.control.front() {
                let rest = control.get(write.control_written..).unwrap_or_default();
                let n = self.stream.write_vectored(&[IoSlice::new(rest)])?;
                if n == 0 {
                    return Err(ErrorKind::WriteZero.into());
                }
                if n == rest.len() {
                    write.control.pop_front();
                    write.control_written = 0;
                } else {
                    write.control_written += n;
                }
                return Ok(n);
            }
            if !self.collect(write, effects) {
                return Ok(0);
            }
        }
        let Some(batch) = &write.batch else { return Ok(0) };
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = batch.slices(write.written, &mut slices);
        let n = self.stream.write_vectored(slices.get(..filled).unwrap_or_default())?;
        if n == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        write.written += n;
        if write.written >= batch.wire_len()
            && let Some(batch) = write.batch.take()
        {
            write.done = batch.tally();
            write.messages += write.done.messages as u64;
            write.written = 0;
            let (buffer, bodies) = batch.into_parts();
            write.spent = buffer;
            if !bodies.is_empty() {
                effects.drop_later(Dropped::bodies(bodies));
            }
        }
        Ok(n)
    }

    /// Takes the next batch. Called only under the write side's lock: that keeps order.
    fn collect(&self, write: &mut Writing, effects: &mut Effects) -> bool {
        if let Some(peer) = write.peer {
            let done = std::mem::take(&mut write.done);
            let spent = std::mem::take(&mut write.spent);
            write.batch = self.station.collect(peer, done, spent, effects);
        }
        if write.batch.is_none() && write.is_ending && !write.is_shut {
            write.is_shut = true;
            // It fails only on a stream that is gone already; the read side will say so.
            let _gone = self.stream.shutdown_write();
        }
        write.batch.is_some()
    }

    // -- the way in

    /// Takes from the kernel what there is, as long as there is room for it and the budget lasts.
    pub(crate) fn fill(self: &Arc<Self>, buffers: &mut Buffers, effects: &mut Effects, found: &mut Found) -> Filled {
        let mut read = self.read.lock();
        let mut budget = READ_BUDGET;
        loop {
            if !read.held.is_empty() {
                let mut held = std::mem::take(&mut read.held);
                match self.take_in(&mut read, &mut held, buffers, effects, found) {
                    Err(failure) => return Filled::End(failure),
                    Ok(true) => {}
                    Ok(false) => {
                        read.held = held;
                        return Filled::Paused;
                    }
                }
            }
            let (asked, result) = self.read_some(&mut read, buffers, effects, found);
            match result {
                Err(failure) => return Filled::End(failure),
                Ok(Read::Bytes(n)) => {
                    if n < asked && !self.is_hung_up.load(Ordering::Acquire) && read.held.is_empty() {
                        return Filled::Done;
                    }
                    budget = budget.saturating_sub(n.max(1));
                    if budget == 0 {
                        return Filled::More;
                    }
                }
                Ok(Read::Nothing) => return Filled::Done,
            }
        }
    }

    /// One read, and what it brought.
    fn read_some(
        self: &Arc<Self>,
        read: &mut Reading,
        buffers: &mut Buffers,
        effects: &mut Effects,
        found: &mut Found,
    ) -> (usize, Result<Read, Failure>) {
        let body = read.connection.body_wanted();
        let is_body = body.is_some();
        let room = body.unwrap_or_else(|| buffers.chunk());
        let asked = room.len();
        let n = match received(self.stream.read(room)) {
            Ok(Some(n)) => n,
            Ok(None) => return (asked, Ok(Read::Nothing)),
            Err(failure) => return (asked, Err(self.over(read, failure))),
        };
        let mut input = if is_body {
            let Reading { connection, run, .. } = read;
            let behind = connection.handle_body(n, buffers, run);
            self.deliver(read, effects);
            match behind {
                Ok(behind) => behind,
                Err(failure) => return (asked, Err(failure)),
            }
        } else {
            buffers.chunk().split_to(n)
        };
        if read.is_discarding {
            return (asked, Ok(Read::Bytes(n)));
        }
        let result = self
            .take_in(read, &mut input, buffers, effects, found)
            .map(|is_used_up| {
                if !is_used_up {
                    read.held = input;
                }
                Read::Bytes(n)
            });
        (asked, result)
    }

    /// The end of the stream, as the connection sees it.
    fn over(&self, read: &Reading, failure: Failure) -> Failure {
        match failure {
            Failure::ClosedByPeer if !read.is_discarding => read.connection.handle_end(),
            other => other,
        }
    }

    /// Walks what came, as far as there is room. `false`: there is none, and some input is left.
    fn take_in(
        self: &Arc<Self>,
        read: &mut Reading,
        input: &mut BytesMut,
        buffers: &mut Buffers,
        effects: &mut Effects,
        found: &mut Found,
    ) -> Result<bool, Failure> {
        loop {
            let credit = Credit {
                messages: read.room.messages,
                bytes: read.room.bytes,
            };
            let Reading { connection, run, .. } = read;
            let step = connection.handle_received(input, credit, buffers, run);
            self.deliver(read, effects);
            found.has_output |= self.transmit_of(&mut read.connection);
            self.count_ignored(read);
            match step? {
                Step::More => return Ok(true),
                Step::Ready(facts) => {
                    let link = Arc::new(SessionLink {
                        session: Arc::downgrade(self),
                    });
                    match self.station.ready(read.origin.clone(), &facts, link, effects) {
                        Ok(peer) => {
                            read.peer = Some(peer);
                            read.room = self.station.room(peer);
                            read.connection.accept();
                            self.write.lock().peer = Some(peer);
                            self.transmit_of(&mut read.connection);
                            found.is_ready = true;
                            found.has_output = true;
                        }
                        Err(why) => {
                            read.connection.refuse(None);
                            return Err(Failure::Refused { why });
                        }
                    }
                }
                Step::Paused => {
                    if let Some(peer) = read.peer {
                        read.room = self.station.room(peer);
                    }
                    if read.room.messages == 0 {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn count_ignored(&self, read: &mut Reading) {
        let ignored = read.connection.unknown_commands();
        if let Some(peer) = read.peer
            && ignored > read.ignored
        {
            self.station.ignored(peer, ignored - read.ignored);
            read.ignored = ignored;
        }
    }

    fn deliver(&self, read: &mut Reading, effects: &mut Effects) {
        if read.run.is_empty() {
            return;
        }
        if let Some(peer) = read.peer {
            read.room = self.station.deliver(peer, &mut read.run, effects);
        }
        read.run.clear();
    }

    /// From now on what comes is thrown away.
    pub(crate) fn discard_input(&self) {
        let mut read = self.read.lock();
        read.is_discarding = true;
        read.held = BytesMut::new();
    }
}

/// What one read brought.
enum Read {
    Bytes(usize),
    Nothing,
}

/// Bytes read, `None` if there are none yet, or why the stream is over.
fn received(result: io::Result<usize>) -> Result<Option<usize>, Failure> {
    match result {
        Ok(0) => Err(Failure::ClosedByPeer),
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(Failure::io(&error)),
    }
}

/// How a hub reaches its peer's session. Holds it weakly: a session that is over is not kept by its hub.
struct SessionLink<N: Net> {
    session: Weak<Session<N>>,
}

impl<N: Net> Link for SessionLink<N> {
    fn flush(&self, pace: Pace) {
        let Some(session) = self.session.upgrade() else { return };
        if pace == Pace::Quiet {
            let mut effects = Effects::default();
            let is_done = session.flush_directly(&mut effects);
            effects.run();
            if is_done {
                return;
            }
        }
        let seat = Arc::clone(&session.seat);
        seat.note_flush(session);
    }

    fn resume(&self) {
        self.note(Note::Resume);
    }

    fn sever(&self, failure: Failure) {
        self.note(|session| Note::Sever(session, failure));
    }
}

impl<N: Net> SessionLink<N> {
    fn note(&self, note: impl FnOnce(Arc<Session<N>>) -> Note<N>) {
        if let Some(session) = self.session.upgrade() {
            let seat = Arc::clone(&session.seat);
            let _is_live = seat.note(note(session));
        }
    }
}

/// Bytes that one session may write or read before others have their turn.
const WRITE_BUDGET: usize = 1024 * 1024;
const READ_BUDGET: usize = 256 * 1024;
/// A write of fewer bytes than this costs more than its bytes do.
const SMALL_WRITE: usize = 16 * 1024;
/// A greeting, READY, ERROR and one PONG.
const CONTROL: usize = 4;
/// Pieces of one gather write.
const SLICES: usize = 64;

//! The way out of a session: takes batches from the station and gives them to the kernel.
//!
//! Control frames go before the next batch. What was wholly written is told with the next collect.

mod forms;
mod lending;
mod sealing;

pub(super) use forms::DATAGRAM_COST;

use super::Session;
use super::unframed::Unframed;
use crate::batch::{Batch, Tally};
use crate::failure::Failure;
use crate::hub::{Collected, Drive, Effects};
use crate::routing::{Dropped, PeerId};
use crate::sync::Ordering;
use crate::transport::{Net, Stream};
use crate::wire::sealing::Sealer;
use crate::wire::{Form, Ping, Pong, Said, put_notice};
use bytes::{Buf, Bytes};
use sealing::Sealing;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

/// What the write side's lock guards.
pub(super) struct Writing {
    /// The stream is connected.
    is_open: bool,
    /// What the connection says by itself: before the next batch. A greeting, READY and ERROR, and at most one of each
    /// other kind, which a newer one replaces: a peer that never reads cannot make them pile up.
    control: VecDeque<(Said, Bytes)>,
    control_written: usize,
    /// Who collects, from READY on.
    peer: Option<PeerId>,
    /// What version of ZMTP the peer speaks.
    version: (u8, u8),
    /// Notices that are to go before the next batch, as bytes: at most one part of them.
    notices: Bytes,
    /// But for framed ones, batches are taken apart to be written.
    form: Form,
    unframed: Unframed,
    /// Under CURVE, from READY on. What is begun of it belongs to `batch` if there is one.
    sealing: Option<Box<Sealing>>,
    batch: Option<Batch>,
    /// Bytes of `batch` that are written.
    written: usize,
    /// What was wholly written since the last collect.
    done: Tally,
    spent: Vec<u8>,
    /// Messages wholly written.
    messages: u64,
    /// How many of them were, before the PING that is out.
    before_ping: Option<u64>,
    /// How many of them the peer has, as far as an answered PING says.
    arrived: u64,
    /// Once nothing is queued, our side of the stream is shut.
    is_ending: bool,
    /// An event is to tell of room: asked for once a write was refused, and while a dialed stream was on its way.
    awaits_room: bool,
    /// Senders that looked for room in vain in a row, or did without a look because of that.
    vain_looks: u32,
    /// Writing failed. Whoever met it need not be who ends the session.
    failure: Option<Box<Failure>>,
}

impl Writing {
    pub(super) fn new(is_open: bool, form: Form) -> Self {
        Writing {
            is_open,
            control: VecDeque::new(),
            control_written: 0,
            peer: None,
            version: (3, 1),
            notices: Bytes::new(),
            form,
            unframed: Unframed::default(),
            sealing: None,
            batch: None,
            written: 0,
            done: Tally::default(),
            spent: Vec::new(),
            messages: 0,
            before_ping: None,
            arrived: 0,
            is_ending: false,
            awaits_room: !is_open,
            vain_looks: 0,
            failure: None,
        }
    }
}

impl Writing {
    /// Whether nothing is left of what was taken to be written.
    fn is_written_out(&self) -> bool {
        !self.has_batch() && self.control.is_empty() && self.notices.is_empty()
    }

    fn has_batch(&self) -> bool {
        self.batch.is_some() || !self.unframed.is_empty()
    }

    /// Whoever flushes next is told, too: it may be the one who can end the session.
    fn failed(&mut self, error: &io::Error) -> Failure {
        let failure = Failure::io(error);
        self.failure = Some(Box::new(failure.clone()));
        failure
    }
}

/// How far a flush came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left to write, or the kernel takes no more and an event will say when it does.
    Done,
    /// There is more, and the budget is used up.
    More,
    /// There may be more, and it is little.
    Little,
}

impl<N: Net> Session<N> {
    /// The stream is connected: the greeting may go.
    pub(crate) fn open(&self) {
        self.write.lock().is_open = true;
    }

    /// What the connection says by itself goes before the next batch.
    pub(super) fn push_control(&self, said: Said, bytes: Bytes) {
        let mut write = self.write.lock();
        if self.is_shut() {
            // A PONG behind our end would break a stream that ends in good order.
            return;
        }
        let is_sealed = write.sealing.as_ref().is_some_and(|sealing| sealing.is_begun());
        let begun = usize::from(write.control_written > 0 || is_sealed);
        let mut waiting = write.control.iter_mut().skip(begun);
        match waiting.find(|(kind, _)| *kind == said && said != Said::Handshake) {
            Some((_, waiting)) => *waiting = bytes,
            None => write.control.push_back((said, bytes)),
        }
    }

    /// From now on batches of this peer are collected, behind the message that goes before all others, if there is one; and
    /// sealed, if there is what to seal them with.
    pub(super) fn collect_of(&self, peer: PeerId, version: (u8, u8), sealer: Option<Sealer>) {
        let mut write = self.write.lock();
        write.sealing = sealer.map(|sealer| Box::new(Sealing::new(sealer)));
        write.peer = Some(peer);
        write.version = version;
        if let Some(hello) = &self.station.options().in_band.hello {
            write
                .control
                .push_back((Said::Hello, Batch::of(hello.clone()).to_bytes()));
        }
    }

    /// Asks the peer for a sign of life: flush next.
    pub(crate) fn ping(&self, ping: Ping) {
        self.push_control(Said::Ping, ping.to_bytes());
    }

    /// Tells it that we live.
    pub(crate) fn tell(&self) {
        self.push_control(Said::Pong, Pong::default().to_bytes());
    }

    /// The PING that is out was answered: what was written before it has arrived.
    pub(crate) fn was_answered(&self) {
        let mut write = self.write.lock();
        if let Some(before) = write.before_ping.take() {
            write.arrived = before;
        }
    }

    /// Whether the peer's version of ZMTP has PING: before 3.1 it may be ignored, and silence means nothing.
    pub(crate) fn is_pingable(&self) -> bool {
        (3, 1) <= self.write.lock().version
    }

    pub(crate) fn peer(&self) -> Option<PeerId> {
        self.write.lock().peer
    }

    /// Messages wholly written to this connection since the last PING that was answered.
    pub(crate) fn unanswered(&self) -> u64 {
        let write = self.write.lock();
        write.messages.saturating_sub(write.arrived)
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::Acquire)
    }

    /// Ends our side once nothing is queued: flush next.
    pub(crate) fn end_when_flushed(&self) {
        self.write.lock().is_ending = true;
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
        write.notices.clear();
        if write.form != Form::Framed {
            return write.unframed.take().map(|batch| (batch, 0));
        }
        let sealed = write.sealing.take().map_or(0, |sealing| sealing.written());
        let written = write.written + sealed;
        write.batch.take().map(|batch| (batch, written))
    }

    /// Gives the kernel what there is, as long as it takes it and the budget lasts.
    pub(crate) fn flush(&self, effects: &mut Effects) -> Result<Flushed, Failure> {
        self.flush_some(&mut self.write.lock(), effects)
    }

    fn flush_some(&self, write: &mut Writing, effects: &mut Effects) -> Result<Flushed, Failure> {
        let mut written = 0;
        self.flush_until(write, effects, |n| {
            written += n;
            written >= WRITE_BUDGET
        })
    }

    /// One write. What follows a small one is smaller still, unless it is let grow for a moment.
    pub(crate) fn flush_once(&self, effects: &mut Effects) -> Result<Flushed, Failure> {
        let mut written = 0;
        let flushed = self.flush_until(&mut self.write.lock(), effects, |n| {
            written = n;
            true
        })?;
        Ok(match flushed {
            Flushed::More if written < SMALL_WRITE => Flushed::Little,
            other => other,
        })
    }

    /// One write, of what a sender just queued that found everything quiet; only if nobody else writes. `false`: somebody has
    /// to look at the rest, or at why it failed.
    pub(super) fn flush_directly(&self, effects: &mut Effects) -> bool {
        let Some(mut write) = self.write.try_lock() else {
            return false;
        };
        if !write.is_open {
            return true;
        }
        if write.is_ending || write.failure.is_some() {
            return false;
        }
        match self.write_some(&mut write, effects) {
            Ok(0) => !write.is_ending,
            Ok(_) => {
                // What is sent a moment after it is not quiet: with several peers it takes longer than that.
                self.written_out(&mut write, effects);
                write.is_written_out() && !self.collect(&mut write, effects) && !write.is_ending
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => {
                write.failed(&error);
                false
            }
        }
    }

    /// Writes until nothing is left, or the kernel takes no more, or the bytes of the last write were enough.
    fn flush_until(
        &self,
        write: &mut Writing,
        effects: &mut Effects,
        mut is_enough: impl FnMut(usize) -> bool,
    ) -> Result<Flushed, Failure> {
        if !write.is_open {
            return Ok(Flushed::Done);
        }
        if let Some(failure) = &write.failure {
            return Err(Failure::clone(failure));
        }
        let mut has_written = false;
        loop {
            match self.write_some(write, effects) {
                Ok(0) => {
                    if std::mem::take(&mut write.awaits_room) {
                        let asked = self.stream.need_no_room();
                        asked.map_err(|error| write.failed(&error))?;
                    }
                    break;
                }
                Ok(n) if is_enough(n) => {
                    // The next collect may be a while: who waits for room is told now.
                    self.written_out(write, effects);
                    return Ok(Flushed::More);
                }
                Ok(_) => has_written = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let is_marked = self.blocked.swap(true, Ordering::SeqCst);
                    if !std::mem::replace(&mut write.awaits_room, true) {
                        let asked = self.stream.await_room();
                        asked.map_err(|error| write.failed(&error))?;
                    } else if is_marked {
                        break;
                    }
                    // The mark is set: once more, in case room came before it.
                }
                Err(error) => return Err(write.failed(&error)),
            }
        }
        if has_written {
            self.written_out(write, effects);
        }
        Ok(Flushed::Done)
    }

    fn written_out(&self, write: &mut Writing, effects: &mut Effects) {
        if let Some(peer) = write.peer {
            self.station.written_out(peer, std::mem::take(&mut write.done), effects);
        }
    }

    /// One write. 0: there is nothing to write.
    fn write_some(&self, write: &mut Writing, effects: &mut Effects) -> io::Result<usize> {
        match write.form {
            Form::Raw if write.control.is_empty() => return self.write_unframed(write, effects),
            Form::Datagrams => return self.write_datagram(write, effects),
            Form::Raw | Form::Framed => {}
        }
        if write.batch.is_none() {
            if write.notices.is_empty()
                && let Some((said, control)) = write.control.front()
            {
                let rest = control.get(write.control_written..).unwrap_or_default();
                // What the handshake says is sealed by itself, where it is.
                let sealing = write.sealing.as_mut().filter(|_| *said != Said::Handshake);
                let n = self.give_sealed(sealing, &[IoSlice::new(rest)])?;
                if n == rest.len() {
                    match write.control.pop_front() {
                        Some((Said::Ping, _)) => {
                            write.before_ping.get_or_insert(write.messages);
                        }
                        Some((Said::Hello, _)) => {
                            write.messages += 1;
                            if let (Some(peer), Some(hello)) = (write.peer, &self.station.options().in_band.hello) {
                                self.station.greeted(peer, hello.frame_count(), hello.byte_count());
                            }
                        }
                        _ => {}
                    }
                    write.control_written = 0;
                    if write.control.is_empty() {
                        // Its memory too: most connections have nothing more to say by themselves for long.
                        write.control = VecDeque::new();
                    }
                } else {
                    write.control_written += n;
                }
                return Ok(n);
            }
            if write.notices.is_empty() && !self.collect(write, effects) {
                return Ok(0);
            }
            if !write.notices.is_empty() {
                let n = self.give_sealed(write.sealing.as_mut(), &[IoSlice::new(&write.notices)])?;
                write.notices.advance(n);
                return Ok(n);
            }
        }
        let Some(batch) = &write.batch else { return Ok(0) };
        // Most batches are one piece: the places for many are filled in only for one that needs them.
        let sealing = write.sealing.as_mut();
        let n = match batch.one_piece() {
            Some(all) => {
                let rest = all.get(write.written..).unwrap_or_default();
                self.give_sealed(sealing, &[IoSlice::new(rest)])?
            }
            None => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = batch.slices(write.written, &mut slices);
                self.give_sealed(sealing, slices.get(..filled).unwrap_or_default())?
            }
        };
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

    /// Writes these, or what they are sealed. Gives how many of their bytes are done.
    fn give_sealed(&self, sealing: Option<&mut Box<Sealing>>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match sealing {
            None => self.give(slices),
            Some(sealing) => sealing.give(slices, |sealed| self.give(sealed)),
        }
    }

    /// A write that takes nothing, and is no error, would be tried for ever.
    fn give(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.stream.write_vectored(slices)? {
            0 => Err(ErrorKind::WriteZero.into()),
            n => Ok(n),
        }
    }

    /// Takes the next batch. Called only under the write side's lock: that keeps order.
    fn collect(&self, write: &mut Writing, effects: &mut Effects) -> bool {
        if let Some(peer) = write.peer {
            let done = std::mem::take(&mut write.done);
            let spent = std::mem::take(&mut write.spent);
            if done.messages > 0 {
                // A write lies between.
                effects.it_is(self.seat.now());
            }
            match self.station.collect(peer, done, spent, effects) {
                Collected::Nothing => {}
                Collected::Batch(batch) if write.form != Form::Framed => write.unframed = Unframed::new(batch),
                Collected::Batch(batch) => write.batch = Some(batch),
                Collected::Notices(notices) => {
                    let mut bytes = Vec::new();
                    for notice in &notices {
                        put_notice(&mut bytes, notice, write.version);
                    }
                    write.notices = bytes.into();
                    return true;
                }
            }
        }
        if !write.has_batch() && write.is_ending && !self.is_shut.swap(true, Ordering::AcqRel) {
            // It fails only on a stream that is gone already; the read side will say so.
            let _gone = self.stream.shutdown_write();
        }
        write.has_batch()
    }
}

/// Bytes that one session may write before others have their turn.
const WRITE_BUDGET: usize = 1024 * 1024;
/// A write of fewer bytes than this costs more than its bytes do.
const SMALL_WRITE: usize = 16 * 1024;
/// Pieces of one gather write.
const SLICES: usize = 64;

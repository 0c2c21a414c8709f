//! The way in of a session: takes bytes from the kernel and gives whole messages to the station.
//!
//! Reads as long as there is room for what comes. What one read brought beyond it is held, and nothing is read until
//! there is room again.

use super::super::life::Signs;
use super::writing::DATAGRAM_COST;
use super::{Session, SessionLink};
use crate::batch::buffers::CHUNK;
use crate::batch::frame::MAX_HEADER;
use crate::batch::{Buffers, Run};
use crate::failure::{Failure, Stage};
use crate::hub::{Effects, Origin};
use crate::notice::Notice;
use crate::routing::{PeerId, Room};
use crate::security::{Asked, Credentials, Judgement, Verdict};
use crate::sync::Ordering;
use crate::transport::socks5::Socks5;
use crate::transport::{Net, Stream};
use crate::wire::{AT_ONCE, Connection, Credit, Heard, Pulse, Said, Step};
use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// What the read side's lock guards.
pub(super) struct Reading {
    /// Who is spoken to before the peer is.
    proxy: Option<Box<Socks5>>,
    connection: Connection,
    origin: Origin,
    peer: Option<PeerId>,
    room: Room,
    /// Bytes of a message on the wire: a guess, by the last that came.
    message_len: usize,
    /// What one read brought beyond the room there was, or what others' turn came before; nothing is read while it is not
    /// empty.
    held: Bytes,
    /// A notice has used up the room, with or without input behind it: nothing is looked at until there is some again. (A
    /// command would be handled whatever the credit is.)
    is_full: bool,
    /// What comes is thrown away: our side is shut.
    is_discarding: bool,
    /// Commands that the connection ignored, as far as the station knows.
    ignored: u64,
    signs: Signs,
}

impl Reading {
    pub(super) fn new(connection: Connection, origin: Origin) -> Self {
        Reading {
            proxy: None,
            connection,
            origin,
            peer: None,
            room: Room::default(),
            message_len: CHUNK,
            held: Bytes::new(),
            is_full: false,
            is_discarding: false,
            ignored: 0,
            signs: Signs::default(),
        }
    }
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
#[derive(Default)]
pub(crate) struct Found {
    /// Bytes came.
    pub(crate) has_read: bool,
    /// The proxy has connected us: the peer speaks.
    pub(crate) is_through: bool,
    /// The peer is ready, and its heart beats so: messages may flow both ways.
    pub(crate) ready: Option<Pulse>,
    /// What it says of its heart.
    pub(crate) heard: Heard,
    /// Something is to be flushed.
    pub(crate) has_output: bool,
    /// Who is to be asked about the peer, and what it has shown: nothing goes on until [`Session::judged`].
    pub(crate) claim: Option<(Arc<Asked>, Credentials)>,
    /// It has shown a wrong password, and why that will not do: the same.
    pub(crate) denied: Option<String>,
}

impl<N: Net> Session<N> {
    /// The stream leads to a proxy, which is to connect us.
    pub(crate) fn go_through(&self, proxy: Socks5) {
        self.read.lock().proxy = Some(Box::new(proxy));
    }

    /// Whether the proxy has not connected us yet.
    pub(crate) fn is_at_proxy(&self) -> bool {
        self.read.lock().proxy.is_some()
    }

    /// Queues what is to be said to the proxy, or what the connection has to say by itself.
    pub(crate) fn transmit(&self) {
        self.transmit_of(&mut self.read.lock());
    }

    fn transmit_of(&self, read: &mut Reading) -> bool {
        let mut has_output = false;
        if let Some(proxy) = &mut read.proxy {
            while let Some(bytes) = proxy.poll_transmit() {
                self.push_control(Said::Handshake, bytes);
                has_output = true;
            }
            return has_output;
        }
        while let Some((said, bytes)) = read.connection.poll_transmit() {
            self.push_control(said, bytes);
            has_output = true;
        }
        has_output
    }

    /// What was heard of the peer.
    pub(crate) fn signs(&self) -> Signs {
        self.read.lock().signs
    }

    pub(crate) fn stage(&self) -> Stage {
        self.read.lock().connection.stage()
    }

    /// Takes from the kernel what there is, as long as there is room for it and the budget lasts.
    pub(crate) fn fill(self: &Arc<Self>, buffers: &mut Buffers, effects: &mut Effects, found: &mut Found) -> Filled {
        let mut read = self.read.lock();
        let filled = self.fill_of(&mut read, buffers, effects, found);
        found.heard = read.connection.take_heard();
        filled
    }

    fn fill_of(
        self: &Arc<Self>,
        read: &mut Reading,
        buffers: &mut Buffers,
        effects: &mut Effects,
        found: &mut Found,
    ) -> Filled {
        let mut budget = READ_BUDGET;
        if let Some(peer) = read.peer
            && !read.is_full
        {
            // What was received since the last look left room: what is there may fit one read.
            read.room = self.station.room(peer);
        }
        if read.proxy.is_none() && read.connection.is_ready_unasked() {
            let begun = self.take_in(read, &mut Bytes::new(), buffers, effects, found);
            if let Err(failure) = begun {
                return Filled::End(failure);
            }
        }
        loop {
            if read.is_full && !self.has_room_again(read) {
                read.signs.is_paused = true;
                return Filled::Paused;
            }
            if !read.held.is_empty() {
                let mut held = std::mem::take(&mut read.held);
                let taken = self.take_in(read, &mut held, buffers, effects, found);
                read.held = rest_of(held);
                match taken {
                    Err(failure) => return Filled::End(failure),
                    Ok(TakenIn::All) => {}
                    Ok(TakenIn::Enough) => return Filled::More,
                    Ok(TakenIn::NoRoom) => {
                        read.signs.is_paused = true;
                        return Filled::Paused;
                    }
                }
            }
            if std::mem::take(&mut read.signs.is_paused) {
                // What it sent meanwhile was not looked at: its silence begins now.
                read.signs.count += 1;
            }
            let commands = read.connection.commands();
            let (asked, result) = self.read_some(read, buffers, effects, found);
            let commands = read.connection.commands().saturating_sub(commands);
            budget = budget.saturating_sub(commands.saturating_mul(COMMAND_COST) as usize);
            match result {
                Err(failure) => return Filled::End(failure),
                Ok(Read::Bytes(n)) => {
                    let is_datagrams = self.stream.is_datagrams();
                    // The end of a datagram says nothing of the next.
                    let is_all = n < asked && !is_datagrams && !self.is_hung_up.load(Ordering::Acquire);
                    if is_all && read.held.is_empty() && !read.is_full {
                        return Filled::Done;
                    }
                    let least = if is_datagrams { DATAGRAM_COST } else { 1 };
                    budget = budget.saturating_sub(n.max(least));
                    if budget == 0 {
                        return Filled::More;
                    }
                }
                Ok(Read::Nothing) => return Filled::Done,
            }
        }
    }

    /// Whether a peer whose notice used up the room may go on; if not, a resume will come.
    fn has_room_again(&self, read: &mut Reading) -> bool {
        if let Some(peer) = read.peer
            && !read.is_discarding
        {
            read.room = self.station.room(peer);
            read.is_full = read.room.messages == 0;
        } else {
            read.is_full = false;
        }
        !read.is_full
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
        let is_datagrams = self.stream.is_datagrams();
        let wanted = match is_datagrams {
            // None is to be cut short.
            true => CHUNK,
            false => read.room.messages.saturating_mul(read.message_len).max(LEAST_READ),
        };
        let room = match body {
            Some(body) => body,
            None => {
                let room = buffers.chunks(wanted).room();
                let wanted = wanted.min(room.len());
                room.get_mut(..wanted).unwrap_or_default()
            }
        };
        let asked = room.len();
        let n = match received(self.stream.read(room)) {
            Ok(Some(n)) => {
                read.signs.count += 1;
                found.has_read = true;
                n
            }
            Ok(None) => return (asked, Ok(Read::Nothing)),
            Err(failure) => return (asked, Err(self.over(read, failure))),
        };
        let mut input = if is_body {
            let mut run = Run::default();
            let behind = read.connection.handle_body(n, buffers, &mut run);
            self.deliver(read, run, effects);
            match behind {
                Ok(behind) => behind,
                Err(failure) => return (asked, Err(failure)),
            }
        } else if is_datagrams {
            // Not taken: each is small beside the chunk, and may have come from anybody.
            Bytes::copy_from_slice(buffers.chunks(wanted).room().get(..n).unwrap_or_default())
        } else {
            buffers.chunks(wanted).take(n)
        };
        if read.is_discarding {
            return (asked, Ok(Read::Bytes(n)));
        }
        let result = self.take_in(read, &mut input, buffers, effects, found).map(|_| {
            read.held = rest_of(input);
            Read::Bytes(n)
        });
        (asked, result)
    }

    /// The end of the stream, as the connection sees it.
    fn over(&self, read: &Reading, failure: Failure) -> Failure {
        match failure {
            Failure::ClosedByPeer if read.proxy.is_some() => Failure::CutShort {
                what: "what the SOCKS5 proxy says",
            },
            Failure::ClosedByPeer if !read.is_discarding => read.connection.handle_end(),
            other => other,
        }
    }

    /// Walks what came, as far as there is room and others need not wait for long.
    fn take_in(
        self: &Arc<Self>,
        read: &mut Reading,
        input: &mut Bytes,
        buffers: &mut Buffers,
        effects: &mut Effects,
        found: &mut Found,
    ) -> Result<TakenIn, Failure> {
        if let Some(proxy) = &mut read.proxy {
            let is_through = proxy.handle_received(input)?;
            found.has_output |= self.transmit_of(read);
            if !is_through {
                return Ok(TakenIn::All);
            }
            read.proxy = None;
            found.is_through = true;
            found.has_output |= self.transmit_of(read);
        }
        let enough = read.connection.commands().saturating_add(AT_ONCE);
        loop {
            let credit = Credit {
                messages: read.room.messages,
                bytes: read.room.bytes,
            };
            let mut run = Run::default();
            let step = read.connection.handle_received(input, credit, buffers, &mut run);
            self.deliver(read, run, effects);
            found.has_output |= self.transmit_of(read);
            self.count_ignored(read);
            match step? {
                Step::More => return Ok(TakenIn::All),
                Step::Enough => return Ok(TakenIn::Enough),
                Step::Claim(credentials) => match self.station.local().role.judge(&credentials) {
                    Judgement::Admit(user) => {
                        read.connection.admit(user)?;
                        found.has_output |= self.transmit_of(read);
                    }
                    Judgement::Deny(why) if self.station.local().role.has_passwords() => {
                        found.denied = Some(why);
                        return Ok(TakenIn::NoRoom);
                    }
                    Judgement::Deny(why) => return Err(read.connection.deny(why)),
                    Judgement::Ask(authoriser) => {
                        found.claim = Some((authoriser, credentials));
                        return Ok(TakenIn::NoRoom);
                    }
                },
                Step::Ready(facts) => {
                    let link = Arc::new(SessionLink::new(self));
                    let (origin, credentials) = (read.origin.clone(), self.stream.credentials());
                    match self.station.ready(origin, credentials, &facts, link, effects) {
                        Ok(peer) => {
                            read.peer = Some(peer);
                            read.room = self.station.room(peer);
                            let sealer = read.connection.accept();
                            self.transmit_of(read);
                            self.collect_of(peer, facts.version, sealer);
                            found.ready = Some(facts.pulse());
                            found.has_output = true;
                        }
                        Err(why) => {
                            read.connection.refuse(None);
                            return Err(Failure::Refused { why });
                        }
                    }
                }
                Step::Notice(notice) => {
                    if let Some(peer) = read.peer {
                        let is_answer = matches!(notice, Notice::Answer(_));
                        read.room = self.station.notice(peer, notice, effects);
                        if read.room.messages == 0 && !is_answer {
                            // It may have become a message, and a resume follows when there is room again.
                            read.is_full = true;
                            return Ok(TakenIn::NoRoom);
                        }
                    }
                    if read.connection.commands() >= enough {
                        return Ok(TakenIn::Enough);
                    }
                }
                Step::Paused => {
                    if let Some(peer) = read.peer {
                        read.room = self.station.room(peer);
                    }
                    if read.room.messages == 0 {
                        return Ok(TakenIn::NoRoom);
                    }
                }
            }
        }
    }

    /// It is decided whether the peer may come in. An error ends the session; what is to be said before is queued.
    pub(crate) fn judged(&self, verdict: Verdict) -> Result<(), Failure> {
        let mut read = self.read.lock();
        if !read.connection.awaits_admission() {
            return Ok(());
        }
        match verdict {
            Verdict::Admit(user) => read.connection.admit(Some(user))?,
            Verdict::Deny(why) => return Err(read.connection.deny(why)),
            Verdict::NotNow(why) => return Err(read.connection.turn_away(why)),
            Verdict::Failed(why) => return Err(read.connection.fail(why)),
        }
        self.transmit_of(&mut read);
        Ok(())
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

    fn deliver(&self, read: &mut Reading, mut run: Run, effects: &mut Effects) {
        if let Some(peer) = read.peer
            && !run.is_empty()
        {
            read.message_len = MAX_HEADER + run.payload() / run.messages().max(1);
            read.room = self.station.deliver(peer, &mut run, effects);
        }
    }

    /// From now on what comes is thrown away.
    pub(crate) fn discard_input(&self) {
        let mut read = self.read.lock();
        read.is_discarding = true;
        read.held = Bytes::new();
    }
}

/// How far a walk of what came is.
#[derive(Debug, PartialEq, Eq)]
enum TakenIn {
    /// Nothing is left.
    All,
    /// There is no room, and some input may be left.
    NoRoom,
    /// Others are to have their turn, and some input may be left.
    Enough,
}

/// What one read brought.
enum Read {
    Bytes(usize),
    Nothing,
}

/// What is left of an input. Used up it would still keep its chunk.
fn rest_of(input: Bytes) -> Bytes {
    if input.is_empty() { Bytes::new() } else { input }
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

/// The least that is asked for in one read, or half of it behind small reads. The most is what there is room for: what is
/// beyond it would only wait here, in memory that gets cold. (Of 64 senders of 64 bytes, a receiver takes a third more so.)
const LEAST_READ: usize = 16 * 1024;
/// Bytes that one session may read before others have their turn.
const READ_BUDGET: usize = 256 * 1024;
/// Bytes of that budget that a command counts as: it takes as long as they do.
const COMMAND_COST: u64 = READ_BUDGET as u64 / AT_ONCE;

//! Two connections, and what carries bytes between them.

mod curve;
mod exhaustive;
mod frames;
mod handshakes;
mod hostile;
mod mechanisms;
mod misbehaving;
mod plain;
mod streams;
mod types;

use super::command::put_command;
use super::sealing::Sealer;
use super::{Connection, Credit, Facts, Form, Fresh, Local, Side, Step};
use crate::batch::buffers::{CHUNK, FIRST_BODY};
use crate::batch::frame::{MORE, put_header};
use crate::batch::{Buffers, Run};
use crate::failure::Failure;
use crate::message::Message;
use crate::notice::Notice;
use crate::options::Limits;
use crate::security::{Judgement, Role};
use crate::sim::chance::{Chance, with_seeds};
use crate::socket_type::SocketType;
use bytes::Bytes;
use std::sync::Arc;

pub(super) const LIMITS: Limits = Limits {
    message_bytes: 1 << 30,
    frames: 65_536,
    handshake_bytes: 16 << 10,
    metadata_bytes: 9 << 10,
    properties: 64,
};

/// Lengths of a frame at which something changes, if this is their limit.
const fn edges(limit: u64) -> [u64; 20] {
    [
        0,
        1,
        254,
        255,
        256,
        65_535,
        65_536,
        65_537,
        limit - 1,
        limit,
        limit + 1,
        limit + 34,
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX - 8,
        u64::MAX,
    ]
}

pub(super) const PLENTY: Credit = Credit {
    messages: usize::MAX,
    bytes: usize::MAX,
};

pub(super) fn local(socket_type: SocketType) -> Local {
    Local {
        socket_type,
        role: Role::default(),
        identity: None,
        limits: LIMITS,
        metadata: Vec::new(),
    }
}

/// A connection, and what a session keeps for it.
struct End {
    connection: Connection,
    buffers: Buffers,
    run: Run,
    /// What was read and not taken.
    rest: Bytes,
    facts: Option<Facts>,
    /// All that was heard, in bytes.
    heard: usize,
    /// What the peer told us beside messages.
    notices: Vec<Notice>,
    role: Role,
    /// Seals what is sent, if it is to be.
    sealer: Option<Sealer>,
}

impl End {
    fn new(local: Local, side: Side) -> Self {
        let role = local.role.clone();
        let mut fresh = Fresh::for_role(&role);
        if let Some(bytes) = fresh.as_mut() {
            // Not the same on both sides.
            bytes.fill(7 + u8::from(role.is_server()));
        }
        End {
            role,
            sealer: None,
            connection: Connection::new(Arc::new(local), side, Form::Framed, fresh),
            buffers: Buffers::default(),
            run: Run::default(),
            rest: Bytes::new(),
            facts: None,
            heard: 0,
            notices: Vec::new(),
        }
    }

    /// A connection that is ready for messages, under these limits.
    fn in_traffic(limits: Limits) -> Self {
        let mut pull = local(SocketType::Pull);
        pull.limits = limits;
        let (mut push, mut pull) = (
            End::new(local(SocketType::Push), Side::Dialed),
            End::new(pull, Side::Accepted),
        );
        pump(&mut push, &mut pull, usize::MAX).unwrap();
        pull.heard = 0;
        pull
    }

    /// These bytes were read; takes every peer that shows itself.
    fn hear(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.hear_on(bytes, PLENTY)
    }

    fn hear_on(&mut self, bytes: &[u8], credit: Credit) -> Result<(), Failure> {
        self.heard += bytes.len();
        self.read(bytes);
        loop {
            match self.step(credit)? {
                Step::More | Step::Paused => return Ok(()),
                Step::Enough => {}
                Step::Claim(credentials) => match self.role.judge(&credentials) {
                    Judgement::Admit(user) => self.connection.admit(user)?,
                    Judgement::Deny(why) => return Err(self.connection.deny(why)),
                    Judgement::Ask(_) => return Ok(()),
                },
                Step::Notice(notice) => self.notices.push(notice),
                Step::Ready(facts) => {
                    self.facts = Some(facts);
                    self.sealer = self.connection.accept();
                }
            }
        }
    }

    /// These bytes were read, and not looked at.
    fn read(&mut self, bytes: &[u8]) {
        self.rest = [&self.rest, bytes].concat().into();
    }

    /// The first of these bytes were read straight into the place of a large body, as many as fit there: how many, and
    /// what of them lies behind the body. `None`: no body is wanted.
    fn read_straight(&mut self, bytes: &[u8]) -> Option<(usize, Bytes)> {
        let room = self.connection.body_wanted()?;
        let n = room.len().min(bytes.len());
        assert!(n > 0);
        room[..n].copy_from_slice(&bytes[..n]);
        self.heard += n;
        let behind = self.connection.handle_body(n, &mut self.buffers, &mut self.run);
        Some((n, behind.unwrap()))
    }

    /// One call. That it comes forward, and holds no more than it may, is asserted for every test.
    fn step(&mut self, credit: Credit) -> Result<Step, Failure> {
        let before = self.rest.len();
        let needs_nothing = self.connection.is_ready_unasked();
        let step = self
            .connection
            .handle_received(&mut self.rest, credit, &mut self.buffers, &mut self.run);
        match &step {
            Ok(Step::More) => assert!(self.rest.is_empty()),
            Ok(Step::Paused) => assert!(!self.rest.is_empty()),
            Ok(Step::Ready(_)) if needs_nothing => {}
            Ok(Step::Claim(_) | Step::Ready(_) | Step::Notice(_) | Step::Enough) => assert!(self.rest.len() < before),
            Err(_) => {}
        }
        assert!(
            self.connection.held() <= 2 * FIRST_BODY + 2 * self.heard,
            "{}",
            self.connection.held()
        );
        step
    }

    /// All that it has to say.
    fn say(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some((_, bytes)) = self.connection.poll_transmit() {
            assert!(!bytes.is_empty());
            all.extend_from_slice(&bytes);
        }
        all
    }

    /// The messages that came.
    fn received(&mut self) -> Vec<Message> {
        let messages = std::iter::from_fn(|| self.run.pop()).collect();
        assert_eq!(self.run.weight(), 0, "counted as much as there was");
        messages
    }
}

/// Carries bytes between the two until both are silent, in pieces of this size.
fn pump(a: &mut End, b: &mut End, piece: usize) -> Result<(), Failure> {
    loop {
        let (from_a, from_b) = (a.say(), b.say());
        if from_a.is_empty() && from_b.is_empty() {
            return Ok(());
        }
        for bytes in from_a.chunks(piece) {
            b.hear(bytes)?;
        }
        for bytes in from_b.chunks(piece) {
            a.hear(bytes)?;
        }
    }
}

/// The messages in their framing.
fn wire(messages: &[Message]) -> Vec<u8> {
    let mut all = Vec::new();
    for message in messages {
        let last = message.frame_count() - 1;
        for (index, body) in message.frames().enumerate() {
            all.extend_from_slice(&frame(if index < last { MORE } else { 0 }, body));
        }
    }
    all
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_header(&mut out, flags, body.len());
    [&out, body].concat()
}

fn command(name: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_command(&mut out, name.as_bytes(), &[data]);
    out
}

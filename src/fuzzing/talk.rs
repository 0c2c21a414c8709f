//! A connection, and all that comes of what it is told: the same, however that is cut into pieces.

use crate::batch::buffers::FIRST_BODY;
use crate::batch::{Batch, Buffers, Run};
use crate::failure::{Failure, Stage};
use crate::message::Message;
use crate::notice::Notice;
use crate::security::{Judgement, Role};
use crate::sim::chance::Chance;
use crate::wire::{Connection, Credit, Facts, Form, Fresh, Local, Side, Step};
use bytes::Bytes;
use std::sync::Arc;

/// A connection, and what a session keeps for it.
pub(super) struct End {
    connection: Connection,
    buffers: Buffers,
    run: Run,
    /// What was read and not taken.
    rest: Bytes,
    role: Role,
    /// All that was heard, in bytes.
    heard: usize,
    /// Pieces and credit; `None`: all at once.
    chance: Option<Chance>,
    outcome: Outcome,
}

/// What has come of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) events: Vec<Event>,
    /// What it has said.
    pub(super) said: Vec<u8>,
    pub(super) failure: Option<Failure>,
    /// What it would be if the stream ended here.
    end: Option<Failure>,
    stage: Option<Stage>,
    commands: [u64; 2],
}

#[derive(Debug, PartialEq)]
pub(super) enum Event {
    Ready(Facts),
    Notice(Notice),
    Message(Message),
}

impl End {
    pub(super) fn new(local: Local, side: Side, form: Form, chance: Option<Chance>) -> Self {
        let role = local.role.clone();
        let mut fresh = Fresh::for_role(&role);
        if let Some(bytes) = fresh.as_mut() {
            bytes.fill(CHANCE_OF_KEYS);
        }
        End {
            role,
            connection: Connection::new(Arc::new(local), side, form, fresh),
            buffers: Buffers::default(),
            run: Run::default(),
            rest: Bytes::new(),
            heard: 0,
            chance,
            outcome: Outcome::default(),
        }
    }

    /// Whether it is over.
    pub(super) fn has_failed(&self) -> bool {
        self.outcome.failure.is_some()
    }

    pub(super) fn stage(&self) -> Stage {
        self.connection.stage()
    }

    /// These bytes were read.
    pub(super) fn hear(&mut self, mut bytes: &[u8]) {
        while !self.has_failed() {
            let most = match &mut self.chance {
                None => usize::MAX,
                Some(chance) => chance.one_of(&[1, 2, 9, 40, 300, 70_000]),
            };
            let taken = self.read(&bytes[..most.min(bytes.len())]);
            self.go_on();
            bytes = &bytes[taken..];
            if bytes.is_empty() {
                break;
            }
        }
    }

    /// Reads a piece, as much of it as there is room for: straight into the place of a large body, now and then. How much.
    fn read(&mut self, piece: &[u8]) -> usize {
        assert!(self.rest.is_empty(), "all was taken");
        let is_straight = self.chance.as_mut().is_some_and(|chance| chance.once_in(2));
        let room = self
            .connection
            .body_wanted()
            .filter(|_| is_straight && !piece.is_empty());
        let Some(room) = room else {
            self.heard += piece.len();
            self.rest = Bytes::copy_from_slice(piece);
            return piece.len();
        };
        let taken = room.len().min(piece.len());
        assert!(taken > 0, "room that is none");
        room[..taken].copy_from_slice(&piece[..taken]);
        self.heard += taken;
        let behind = self.connection.handle_body(taken, &mut self.buffers, &mut self.run);
        self.rest = behind.expect("a body was wanted");
        taken
    }

    /// Takes all of the rest, in as many steps as it needs.
    fn go_on(&mut self) {
        loop {
            let credit = Credit {
                messages: self.chance.as_mut().map_or(usize::MAX, |chance| chance.within(1..4)),
                bytes: usize::MAX,
            };
            let before = self.rest.len();
            let is_unasked = self.connection.is_ready_unasked();
            let step = self
                .connection
                .handle_received(&mut self.rest, credit, &mut self.buffers, &mut self.run);
            let held = self.connection.held();
            assert!(held <= 2 * FIRST_BODY + 2 * self.heard, "{held} bytes are held");
            assert!(self.run.payload() <= self.heard, "more is given than came");
            let messages = self.take_messages();
            let has_moved = self.rest.len() != before || messages > 0 || is_unasked;
            match step {
                Ok(Step::More) => {
                    assert!(self.rest.is_empty(), "what is left is forgotten");
                    return;
                }
                Ok(Step::Paused | Step::Enough) => assert!(has_moved, "it stands still"),
                Ok(Step::Claim(credentials)) => match self.role.judge(&credentials) {
                    Judgement::Admit(user) => {
                        if let Err(failure) = self.connection.admit(user) {
                            return self.fail(failure);
                        }
                    }
                    Judgement::Deny(why) => {
                        let failure = self.connection.deny(why);
                        return self.fail(failure);
                    }
                    Judgement::Ask(_) => panic!("nobody is asked"),
                },
                Ok(Step::Notice(notice)) => self.outcome.events.push(Event::Notice(notice)),
                Ok(Step::Ready(facts)) => {
                    self.outcome.events.push(Event::Ready(facts));
                    drop(self.connection.accept());
                }
                Err(failure) => return self.fail(failure),
            }
        }
    }

    fn fail(&mut self, failure: Failure) {
        assert_eq!(self.connection.held(), 0, "what has failed holds nothing");
        let again = self.connection.handle_received(
            &mut Bytes::from_static(b"\0\x01x"),
            PLENTY,
            &mut self.buffers,
            &mut self.run,
        );
        assert_eq!(again, Err(failure.clone()), "what has ended stays so");
        self.outcome.failure = Some(failure);
    }

    fn take_messages(&mut self) -> usize {
        let before = self.outcome.events.len();
        let messages = std::iter::from_fn(|| self.run.pop()).map(Event::Message);
        self.outcome.events.extend(messages);
        assert_eq!(self.run.weight(), 0, "counted as much as there was");
        self.outcome.events.len() - before
    }

    /// All that it has to say now.
    pub(super) fn say(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some((_, bytes)) = self.connection.poll_transmit() {
            assert!(!bytes.is_empty(), "it says nothing");
            all.extend_from_slice(&bytes);
        }
        self.outcome.said.extend_from_slice(&all);
        all
    }

    /// What has come of it. It is not told anything more.
    pub(super) fn outcome(mut self) -> Outcome {
        self.say();
        assert!(self.outcome.said.len() < 3_000, "it says no more than its words");
        Outcome {
            end: Some(self.connection.handle_end()),
            stage: Some(self.connection.stage()),
            commands: [self.connection.commands(), self.connection.unknown_commands()],
            ..self.outcome
        }
    }
}

impl Outcome {
    /// Whether the other is the same: but who a stranger may be is told by what came in one piece.
    pub(super) fn assert_same(&self, other: &Outcome) {
        let is_stranger = |failure: &Option<Failure>| {
            matches!(
                failure,
                Some(Failure::NotZmtp { .. } | Failure::OldVersion { major: 1 })
            )
        };
        if is_stranger(&self.failure) && is_stranger(&other.failure) {
            assert_eq!(self.events, other.events);
            return;
        }
        assert_eq!(self, other, "it depends on how it is cut");
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.events.iter().filter_map(|event| match event {
            Event::Message(message) => Some(message),
            Event::Ready(_) | Event::Notice(_) => None,
        })
    }
}

/// The messages in their framing.
pub(super) fn framed<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Bytes {
    let mut batch = Batch::default();
    for message in messages {
        batch.push(&[], &mut message.into());
    }
    batch.to_bytes()
}

/// What all keys of a connection are made of.
pub(super) const CHANCE_OF_KEYS: u8 = 8;

const PLENTY: Credit = Credit {
    messages: usize::MAX,
    bytes: usize::MAX,
};

//! What is awaited until traffic: the peer's greeting, then its READY.
//!
//! Each step consumes the state and gives the next; all that comes is counted against one limit. Whether our socket
//! has a place for the peer is not known here.

use super::greeting::{GREETING, PartialGreeting};
use super::mechanism::{Mechanism, null};
use super::partial::{PartialCommand, PartialHeader, check_flags};
use super::{Facts, Local, Side};
use crate::batch::frame::Header;
use crate::failure::{Failure, Stage};
use bytes::Bytes;

/// A handshake, named for what it awaits.
#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "states are named for what they await")]
pub(super) enum Handshake {
    ExpectGreeting(PartialGreeting),
    ExpectReadyHeader { version: (u8, u8), header: PartialHeader },
    ExpectReadyBody { version: (u8, u8), command: PartialCommand },
}

/// What a step leads to.
#[derive(Debug)]
pub(super) enum Next {
    /// All of the input was used up.
    Await(Handshake),
    /// Something awaited is in, and the next is.
    Step(Handshake),
    /// The peer's READY is in.
    Ready(Facts),
}

impl Handshake {
    pub(super) fn new() -> Self {
        Handshake::ExpectGreeting(PartialGreeting::new())
    }

    /// Takes what it needs of the input; what we have to say to it goes to `out`.
    pub(super) fn step(self, input: &mut Bytes, local: &Local, side: Side, out: &mut Vec<u8>) -> Result<Next, Failure> {
        match self {
            Handshake::ExpectGreeting(mut greeting) => {
                let Some(version) = greeting.fill(input, MECHANISM)? else {
                    return Ok(Next::Await(Handshake::ExpectGreeting(greeting)));
                };
                if side == Side::Dialed {
                    null::put_ready(out, local);
                }
                let header = PartialHeader::default();
                Ok(Next::Step(Handshake::ExpectReadyHeader { version, header }))
            }
            Handshake::ExpectReadyHeader { version, mut header } => {
                let Some(whole) = header.fill(input) else {
                    return Ok(Next::Await(Handshake::ExpectReadyHeader { version, header }));
                };
                let command = PartialCommand::new(command_len(&whole, local.limits.handshake_bytes)?);
                Ok(Next::Step(Handshake::ExpectReadyBody { version, command }))
            }
            Handshake::ExpectReadyBody { version, mut command } => {
                let Some(body) = command.fill(input) else {
                    return Ok(Next::Await(Handshake::ExpectReadyBody { version, command }));
                };
                null::ready(&body, version, local, out).map(Next::Ready)
            }
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self {
            Handshake::ExpectGreeting(_) => Stage::Greeting,
            Handshake::ExpectReadyHeader { .. } | Handshake::ExpectReadyBody { .. } => Stage::Ready,
        }
    }

    #[cfg(test)]
    /// Whether nothing is held of what is awaited.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Handshake::ExpectGreeting(greeting) => greeting.is_empty(),
            Handshake::ExpectReadyHeader { header, .. } => header.is_empty(),
            Handshake::ExpectReadyBody { .. } => false,
        }
    }

    /// Bytes that are held for what is not whole.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        match self {
            Handshake::ExpectGreeting(_) | Handshake::ExpectReadyHeader { .. } => 0,
            Handshake::ExpectReadyBody { command, .. } => command.held(),
        }
    }
}

/// The length of the command behind this header, if it is one, and within what is left of the handshake's limit.
fn command_len(header: &Header, limit: usize) -> Result<usize, Failure> {
    check_flags(header.flags)?;
    if !header.is_command() {
        return Err(Failure::Unexpected {
            name: "a message".to_owned(),
            awaited: "READY",
        });
    }
    let so_far = GREETING + header.len;
    match usize::try_from(header.body) {
        Ok(len) if len <= limit.saturating_sub(so_far) => Ok(len),
        _ => Err(Failure::TooLarge {
            what: "handshake bytes",
            limit: limit as u64,
            observed: header.body.saturating_add(so_far as u64),
        }),
    }
}

pub(super) const MECHANISM: Mechanism = Mechanism::Null;

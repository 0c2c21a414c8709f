//! What is awaited until traffic: the peer's greeting, then the commands of the mechanism that both have named.
//!
//! Each step consumes the state and gives the next; all that comes is counted against one limit. Whether a peer may come
//! in, and whether our socket has a place for it, is not known here.

use super::greeting::{GREETING, PartialGreeting};
use super::mechanism::{Accord, Admitted, Exchange, Mechanism, Reached};
use super::partial::{PartialCommand, PartialHeader, check_flags};
use super::{Facts, Fresh, Local, Side};
use crate::batch::frame::Header;
use crate::failure::{Failure, Stage};
use crate::limit::Limit;
use crate::security::Credentials;
use bytes::Bytes;

/// A handshake, named for what it awaits.
#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "states are named for what they await")]
pub(super) enum Handshake {
    ExpectGreeting(PartialGreeting, Fresh),
    ExpectHeader(PartialHeader, Begun),
    ExpectBody(PartialCommand, Begun),
    /// Whether the peer may come in.
    ExpectAdmission(Begun),
    /// Nothing: the peer has said what it is.
    ExpectNothing(Box<(Facts, Accord)>),
}

/// What is known once the greetings were exchanged.
#[derive(Debug)]
pub(super) struct Begun {
    version: (u8, u8),
    exchange: Exchange,
    /// Bytes that came, the command that is awaited included once its header is there.
    heard: usize,
}

/// What a step leads to.
#[derive(Debug)]
pub(super) enum Next {
    /// All of the input was used up.
    Await(Handshake),
    /// Something awaited is in, and the next is.
    Step(Handshake),
    /// The peer has said who it is.
    Claim(Credentials, Handshake),
    /// The peer has said what it is.
    Ready(Facts, Accord),
}

impl Handshake {
    pub(super) fn new(fresh: Fresh) -> Self {
        Handshake::ExpectGreeting(PartialGreeting::new(), fresh)
    }

    /// Takes what it needs of the input; what we have to say to it goes to `out`.
    pub(super) fn step(self, input: &mut Bytes, local: &Local, side: Side, out: &mut Vec<u8>) -> Result<Next, Failure> {
        match self {
            Handshake::ExpectGreeting(mut greeting, fresh) => {
                let Some(version) = greeting.fill(input, Mechanism::of(&local.role))? else {
                    return Ok(Next::Await(Handshake::ExpectGreeting(greeting, fresh)));
                };
                let begun = Begun {
                    version,
                    exchange: Exchange::begin(local, side, fresh, out)?,
                    heard: GREETING,
                };
                Ok(Next::Step(begun.expect_command()))
            }
            Handshake::ExpectHeader(mut header, mut begun) => {
                let Some(whole) = header.fill(input) else {
                    return Ok(Next::Await(Handshake::ExpectHeader(header, begun)));
                };
                let len = begun.command_len(&whole, local.limits.handshake_bytes)?;
                Ok(Next::Step(Handshake::ExpectBody(PartialCommand::new(len), begun)))
            }
            Handshake::ExpectBody(mut command, begun) => {
                let Some(body) = command.fill(input) else {
                    return Ok(Next::Await(Handshake::ExpectBody(command, begun)));
                };
                let reached = begun.exchange.handle(&body, begun.version, local, side, out)?;
                let go_on = |exchange| Begun { exchange, ..begun };
                Ok(match reached {
                    Reached::Await(exchange) => Next::Step(go_on(exchange).expect_command()),
                    Reached::Claim(credentials, exchange) => {
                        Next::Claim(credentials, Handshake::ExpectAdmission(go_on(exchange)))
                    }
                    Reached::Ready(facts, accord) => Next::Ready(facts, accord),
                })
            }
            Handshake::ExpectAdmission(begun) => Ok(Next::Await(Handshake::ExpectAdmission(begun))),
            Handshake::ExpectNothing(said) => {
                let (facts, accord) = *said;
                Ok(Next::Ready(facts, accord))
            }
        }
    }

    /// The peer may come in.
    pub(super) fn admit(self, local: &Local, side: Side, out: &mut Vec<u8>) -> Result<Self, Failure> {
        let Handshake::ExpectAdmission(begun) = self else {
            return Ok(self);
        };
        Ok(match begun.exchange.admit(begun.version, local, side, out)? {
            Admitted::Await(exchange) => Begun { exchange, ..begun }.expect_command(),
            Admitted::Ready(facts, accord) => Handshake::ExpectNothing(Box::new((facts, accord))),
        })
    }

    /// Whether the next step needs no input.
    pub(super) fn expects_nothing(&self) -> bool {
        matches!(self, Handshake::ExpectNothing(..))
    }

    /// Whether the next step is for those who decide who may come in.
    pub(super) fn awaits_admission(&self) -> bool {
        matches!(self, Handshake::ExpectAdmission(_))
    }

    pub(super) fn stage(&self) -> Stage {
        match self {
            Handshake::ExpectGreeting(..) => Stage::Greeting,
            Handshake::ExpectHeader(_, begun) | Handshake::ExpectBody(_, begun) => begun.exchange.stage(),
            Handshake::ExpectAdmission(_) => Stage::Security,
            Handshake::ExpectNothing(..) => Stage::Ready,
        }
    }

    #[cfg(test)]
    /// Whether nothing is held of what is awaited.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Handshake::ExpectGreeting(greeting, _) => greeting.is_empty(),
            Handshake::ExpectHeader(header, _) => header.is_empty(),
            Handshake::ExpectBody(..) => false,
            Handshake::ExpectAdmission(_) | Handshake::ExpectNothing(..) => true,
        }
    }

    /// Bytes that are held for what is not whole.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        match self {
            Handshake::ExpectBody(command, _) => command.held(),
            Handshake::ExpectGreeting(..)
            | Handshake::ExpectHeader(..)
            | Handshake::ExpectAdmission(_)
            | Handshake::ExpectNothing(..) => 0,
        }
    }
}

impl Begun {
    fn expect_command(self) -> Handshake {
        Handshake::ExpectHeader(PartialHeader::default(), self)
    }

    /// The length of the command behind this header, if it is one, and within what is left of the handshake's limit.
    fn command_len(&mut self, header: &Header, limit: usize) -> Result<usize, Failure> {
        check_flags(header.flags)?;
        if !header.is_command() {
            return Err(Failure::Unexpected {
                name: "a message".to_owned(),
                awaited: self.exchange.awaited(),
            });
        }
        let so_far = self.heard.saturating_add(header.len);
        match usize::try_from(header.body) {
            Ok(len) if len <= limit.saturating_sub(so_far) => {
                self.heard = so_far.saturating_add(len);
                Ok(len)
            }
            _ => Err(Failure::too_large(
                Limit::HandshakeBytes,
                limit as u64,
                header.body.saturating_add(so_far as u64),
            )),
        }
    }
}

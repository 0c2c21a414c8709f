//! ZMTP 3.1 as a value: bytes in, whole messages and bytes to answer out.
//!
//! A [`Connection`] is one handshake and one byte stream ([RFC 37](https://rfc.zeromq.org/spec/37/)). It knows no
//! socket, clock, lock, thread or chance, nor who gets a message: it is given what was read, and asked what to write.
//! No length that a peer announces is used before it is compared with its limit.

mod command;
mod connection;
mod datagram;
mod greeting;
mod handshake;
mod heartbeat;
mod inbox;
mod mechanism;
mod metadata;
mod notices;
mod partial;
mod raw;
pub(crate) mod sealing;
#[cfg(all(test, not(loom)))]
mod tests;
mod walk;

pub(crate) use connection::Connection;
pub(crate) use datagram::datagram;
pub(crate) use heartbeat::{Heard, Ping, Pong, Pulse};
pub(crate) use notices::put_notice;

use crate::batch::weight;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::keys::SecretKey;
use crate::notice::Notice;
use crate::options::{Limits, Options};
use crate::security::{Credentials, Role, User};
use crate::socket_type::SocketType;
use bytes::Bytes;
use zeroize::Zeroizing;

/// What our side says of itself, and what it lets a peer make us hold.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) socket_type: SocketType,
    pub(crate) role: Role,
    pub(crate) identity: Option<Identity>,
    pub(crate) limits: Limits,
    /// What else is said of us in READY. Names are those of properties, and all fits within what a peer takes.
    pub(crate) metadata: Vec<(String, Bytes)>,
}

impl Local {
    pub(crate) fn new(socket_type: SocketType, options: &Options) -> Self {
        Local {
            socket_type,
            role: options.security.role.clone(),
            identity: options.identity.clone(),
            limits: options.limits,
            metadata: [
                heartbeat::properties(options.heartbeat.timeout()),
                options.metadata.clone(),
            ]
            .concat(),
        }
    }
}

/// What the peer said of itself in READY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) socket_type: SocketType,
    pub(crate) identity: Option<Identity>,
    /// As its greeting says; a later major version is spoken to as 3.1.
    pub(crate) version: (u8, u8),
    /// The other properties, in the peer's order. Names are printable, values are whatever the peer sent.
    pub(crate) metadata: Vec<(String, Bytes)>,
    /// Whom those who let it in take it for.
    pub(crate) user: Option<User>,
}

impl Facts {
    /// Whether the peer says nothing of itself, and is told nothing but messages.
    pub(crate) fn is_wordless(&self) -> bool {
        self.version == (0, 0)
    }
}

/// Chance of one connection alone, of which its keys are made.
pub(crate) struct Fresh(Option<Box<Zeroizing<[u8; Fresh::LEN]>>>);

impl Fresh {
    /// A secret key, a key for the cookie, and two nonces.
    const LEN: usize = 32 + 32 + 2 * 16;

    /// Of a connection that needs no keys.
    pub(crate) const fn none() -> Self {
        Fresh(None)
    }

    /// What such a one needs: to be filled by [`Fresh::as_mut`].
    pub(crate) fn for_role(role: &Role) -> Self {
        Fresh(role.is_sealed().then(|| Box::new(Zeroizing::new([0; Fresh::LEN]))))
    }

    /// To be filled with chance that nobody can guess.
    pub(crate) fn as_mut(&mut self) -> Option<&mut [u8]> {
        self.0.as_mut().map(|bytes| &mut bytes[..])
    }

    /// The four of them; an error: there is no chance.
    fn take(self) -> Result<Keys, Failure> {
        let no_chance = || Failure::Io {
            kind: std::io::ErrorKind::Other,
            error: "the system gives no random bytes".to_owned(),
        };
        let bytes = self.0.ok_or_else(no_chance)?;
        let (secret, rest) = bytes.split_first_chunk().ok_or_else(no_chance)?;
        let (cookie, rest) = rest.split_first_chunk().ok_or_else(no_chance)?;
        let (first, second) = rest.split_first_chunk().ok_or_else(no_chance)?;
        Ok(Keys {
            secret: SecretKey::from_bytes(*secret),
            cookie: Zeroizing::new(*cookie),
            nonces: [*first, *second.first_chunk().ok_or_else(no_chance)?],
        })
    }
}

/// What it is made into.
struct Keys {
    secret: SecretKey,
    cookie: Zeroizing<[u8; 32]>,
    nonces: [[u8; 16]; 2],
}

impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fresh(..)")
    }
}

/// How messages are told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// By ZMTP, behind a handshake.
    Framed,
    /// Not at all: a stream of bytes.
    Raw,
    /// Each is a datagram.
    Datagrams,
}

/// Which side of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dialed,
    Accepted,
}

/// How much may be taken in before the receiver must be asked again: checked before a message, so that one message may
/// overshoot the bytes. Bytes are [`weight`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Credit {
    fn is_spent(self) -> bool {
        self.messages == 0 || self.bytes == 0
    }

    /// A message that was begun on earlier credit may find none left: it was allowed then.
    fn spend(&mut self, messages: usize, payload: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(weight(messages, payload));
    }
}

/// What a connection has to say by itself. Of all but the first only the newest need wait to go out: it makes the one
/// before it pointless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Greeting, READY or ERROR.
    Handshake,
    /// A message that goes before all others.
    Hello,
    /// Asks for a sign of life.
    Ping,
    /// Gives one.
    Pong,
    /// Answers a question ([`Notice::Ask`]).
    Answer,
}

/// Where [`Connection::handle_received`] stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// All input was used up, or kept as an unfinished piece: read again.
    More,
    /// The peer has said who it is: call `admit` or `deny`, now or later, then go on with what is left of the input.
    Claim(Credentials),
    /// The peer has said what it is: call `accept` or `refuse`, then go on with what is left of the input.
    Ready(Facts),
    /// The peer told us something, behind all messages that are in the run: go on with what is left of the input.
    Notice(Notice),
    /// Out of credit; what is left of the input stays with the caller.
    Paused,
    /// [`AT_ONCE`] commands were handled: go on with what is left of the input once others have had their turn.
    Enough,
}

/// Commands that are handled at once. A read may bring thirty times as many, and each takes as long as hundreds of bytes of
/// messages.
pub(crate) const AT_ONCE: u64 = 1024;

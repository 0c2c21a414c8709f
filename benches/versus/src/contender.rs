//! What a contender can do. One more: a file in `contenders/`, and a line in `contenders/mod.rs`.
//!
//! There are two kinds, those whose verbs block and those whose verbs are awaited. Their traits, and the loops of
//! `roles.rs`, are written once and stamped twice, so that who blocks pays nothing for who awaits.
//!
//! Marks are 1,000 messages where a library has marks. Messages are lent: who wants to own one copies it, and what is
//! received is looked at, but not copied. All failures panic, which ends the process and marks the figure as failed.

use std::sync::LazyLock;

/// The kinds of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Push,
    Pull,
    Pub,
    /// Subscribed to so many prefixes (see [`prefixes`]); if none, to everything.
    Sub(usize),
    Req,
    Rep,
    Dealer,
    Router,
    Pair,
}

impl Kind {
    pub fn read(word: &str) -> Self {
        match word {
            "push" => Kind::Push,
            "pull" => Kind::Pull,
            "pub" => Kind::Pub,
            "req" => Kind::Req,
            "rep" => Kind::Rep,
            "dealer" => Kind::Dealer,
            "router" => Kind::Router,
            "pair" => Kind::Pair,
            _ => {
                let count = word.strip_prefix("sub").and_then(|count| count.parse().ok());
                Kind::Sub(count.unwrap_or_else(|| panic!("{word}: no such socket")))
            }
        }
    }

    /// Whether messages flow one way: what a library can gather it may gather, while who asks waits for the answer.
    #[cfg_attr(
        not(any(feature = "omq", feature = "monocoque")),
        expect(dead_code, reason = "only they set options by it")
    )]
    pub fn is_stream(self) -> bool {
        matches!(self, Kind::Push | Kind::Pull | Kind::Pub | Kind::Sub(_))
    }
}

/// What a SUB of so many prefixes subscribes to: text, and those with which the bench itself says something last, so
/// that all have arrived once these have.
pub fn prefixes(count: usize) -> Vec<String> {
    let of = |byte: u8| String::from(char::from(byte));
    match count {
        0 => vec![String::new()],
        _ => (0..count).map(topic).chain([of(HELLO), of(END)]).collect(),
    }
}

/// One of 100,000 topics, all of one length.
pub fn topic(number: usize) -> String {
    format!("{}{number:05}", char::from(DATA))
}

/// The first byte of a message: "are you there?", payload, and "that was all".
pub const HELLO: u8 = b'h';
pub const DATA: u8 = b'd';
pub const END: u8 = b'e';

/// Which end of the connection a socket is.
#[derive(Clone, Debug)]
pub enum Place {
    /// `peers` will connect: of use to a library that must accept each.
    Bind {
        endpoint: String,
        peers: usize,
    },
    Connect {
        endpoint: String,
    },
}

impl Place {
    pub fn endpoint(&self) -> &str {
        let (Place::Bind { endpoint, .. } | Place::Connect { endpoint }) = self;
        endpoint
    }

    pub fn is_inproc(&self) -> bool {
        self.endpoint().starts_with("inproc:")
    }
}

/// Secret keys of who binds and of who connects, under CURVE.
pub const SERVER: [u8; 32] = [0x51; 32];
pub const CLIENT: [u8; 32] = [0x62; 32];

/// Their public halves, computed once: so do those who keep their keys.
pub static SERVER_PUBLIC: LazyLock<[u8; 32]> = LazyLock::new(|| public(SERVER));
pub static CLIENT_PUBLIC: LazyLock<[u8; 32]> = LazyLock::new(|| public(CLIENT));

fn public(secret: [u8; 32]) -> [u8; 32] {
    *peermq::SecretKey::from_bytes(secret).public().as_bytes()
}

/// The library has no such socket, or not over this transport: no row.
pub struct Cannot;

/// Who takes part: name, version, and what was set other than the defaults.
pub struct About {
    pub name: String,
    pub settings: &'static str,
}

impl About {
    pub fn new(name: &str, version: &str, settings: &'static str) -> Self {
        About {
            name: format!("{name} {version}"),
            settings,
        }
    }
}

macro_rules! kind_of_contender {
    ($module:ident, [$($async:tt)?], [$($await:tt)*]) => {
        pub mod $module {
            use super::{About, Cannot, Kind, Place};
            use crate::roles::$module::Role;

            pub trait Contender: 'static {
                /// Shared by the threads of a process, which meet in it over inproc.
                type Context: Clone + Send + 'static;

                fn about() -> About;
                fn context() -> Self::Context;
                /// Opens a socket and lets the role run with it. Calls `role.opened()` before it waits for peers.
                $($async)? fn open(context: Self::Context, kind: Kind, place: Place, role: Role) -> Result<(), Cannot>;

                /// As `open`, under CURVE: who binds is the server, and lets all in.
                $($async)? fn open_sealed(_: Self::Context, _: Kind, _: Place, _: Role) -> Result<(), Cannot> {
                    Err(Cannot)
                }

                /// Connects so many PUSHes at once, each a client under CURVE, returns when all of them are through the
                /// handshake, and closes them.
                $($async)? fn greet(_: &Self::Context, _endpoint: &str, _clients: usize) -> Result<(), Cannot> {
                    Err(Cannot)
                }
            }

            /// A socket has those of the verbs that its kind has.
            pub trait Socket {
                $($async)? fn send(&mut self, message: &[u8]) {
                    unreachable!("does not send {} bytes", message.len())
                }

                /// Sends these, one after the other.
                $($async)? fn send_all<'m>(&mut self, messages: impl Iterator<Item = &'m [u8]>) {
                    for message in messages {
                        self.send(message)$($await)*;
                    }
                }

                /// Writes what `send` has gathered in this very thread.
                $($async)? fn flush(&mut self) {}

                /// The next message's length and first byte.
                $($async)? fn recv(&mut self) -> (usize, u8) {
                    unreachable!("does not receive")
                }

                /// Sends, and waits for the answer, of which it tells the same.
                $($async)? fn ask(&mut self, message: &[u8]) -> (usize, u8) {
                    self.send(message)$($await)*;
                    self.flush()$($await)*;
                    self.recv()$($await)*
                }

                /// Sends back what comes next.
                $($async)? fn echo(&mut self) {
                    unreachable!("does not answer")
                }
            }
        }
    };
}

kind_of_contender!(blocking, [], []);
#[cfg(feature = "tokio")]
kind_of_contender!(awaiting, [async], [.await]);

/// The first frame's length and first byte.
pub fn seen(body: &[u8]) -> (usize, u8) {
    (body.len(), body[0])
}

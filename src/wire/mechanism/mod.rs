//! Which security mechanism a connection uses, and what its commands mean until traffic begins.
//!
//! Both greetings must name the same one. What it is about is an [`Exchange`]: a value that takes one command at a time, and
//! comes to an [`Accord`]. Each mechanism has a file; whether a peer may come in is decided elsewhere.

mod curve;
pub(super) mod null;
mod plain;

use super::command::Command;
use super::sealing::{Opener, Sealer};
use super::{Facts, Fresh, Local, Side};
use crate::cipher::BoxKey;
use crate::failure::{Failure, Stage, printable};
use crate::keys::KeyPair;
use crate::security::{Credentials, CurveClient, Role};
use null::Null;
use std::sync::Arc;

/// The name in both greetings, and who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mechanism {
    name: &'static str,
    is_server: bool,
}

impl Mechanism {
    pub(super) fn of(role: &Role) -> Self {
        Mechanism {
            name: role.mechanism(),
            is_server: role.is_server(),
        }
    }

    /// The name as it stands in a greeting, padded with zeros, and behind it whether we are the server.
    pub(super) fn field(self) -> [u8; FIELD + 1] {
        let mut field = [0; FIELD + 1];
        for (slot, byte) in field.iter_mut().zip(self.name.bytes()) {
            *slot = byte;
        }
        if let Some(as_server) = field.last_mut() {
            *as_server = u8::from(self.is_server);
        }
        field
    }

    /// Compares ours with the field of the peer's greeting. Of its role nothing is believed but that it is a server, too:
    /// libzmq says of none that it is.
    pub(super) fn check(self, theirs: &[u8; FIELD + 1]) -> Result<(), Failure> {
        let [name @ .., as_server] = theirs;
        let [ours @ .., _] = self.field();
        if *name != ours {
            let end = name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            return Err(Failure::MechanismMismatch {
                ours: self.name,
                theirs: printable(name.get(..end).unwrap_or_default()),
            });
        }
        if self.is_server && *as_server == 1 {
            return Err(Failure::MechanismMismatch {
                ours: self.name,
                theirs: format!("{}, and it is its server, too", self.name),
            });
        }
        Ok(())
    }
}

/// Bytes of a mechanism's name in a greeting; one more says whether the peer is its server.
pub(super) const FIELD: usize = 20;

/// The commands between the greetings and traffic.
#[derive(Debug)]
pub(super) enum Exchange {
    Null(null::Null),
    PlainClient(plain::Client),
    PlainServer(plain::Server),
    CurveClient(curve::Client, Arc<CurveClient>),
    CurveServer(curve::Server, Arc<KeyPair>),
}

/// What a command has led to.
#[derive(Debug)]
pub(super) enum Reached<E> {
    /// Another is awaited.
    Await(E),
    /// The peer has said who it is: it is to be admitted, or not.
    Claim(Credentials, E),
    /// It has said what it is: the next word is our socket's.
    Ready(Facts, Accord),
}

impl<E> Reached<E> {
    fn map<F>(self, wrap: impl FnOnce(E) -> F) -> Reached<F> {
        match self {
            Reached::Await(exchange) => Reached::Await(wrap(exchange)),
            Reached::Claim(credentials, exchange) => Reached::Claim(credentials, wrap(exchange)),
            Reached::Ready(facts, accord) => Reached::Ready(facts, accord),
        }
    }
}

/// What has come of letting a peer in.
#[derive(Debug)]
pub(super) enum Admitted<E> {
    /// A command is awaited.
    Await(E),
    /// It had said before what it is.
    Ready(Facts, Accord),
}

impl<E> Admitted<E> {
    fn map<F>(self, wrap: impl FnOnce(E) -> F) -> Admitted<F> {
        match self {
            Admitted::Await(exchange) => Admitted::Await(wrap(exchange)),
            Admitted::Ready(facts, accord) => Admitted::Ready(facts, accord),
        }
    }
}

/// What is left to be said once our socket takes the peer, and how traffic is sealed.
#[derive(Debug)]
pub(super) struct Accord {
    last: Last,
    seals: Option<Box<Seals>>,
}

#[derive(Debug)]
enum Last {
    Said,
    OwesReady,
    OwesSealedReady(Box<BoxKey>),
}

/// Both directions of sealed traffic.
#[derive(Debug)]
pub(super) struct Seals {
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
}

impl Accord {
    /// All is said.
    const SAID: Accord = Accord {
        last: Last::Said,
        seals: None,
    };
    const OWES_READY: Accord = Accord {
        last: Last::OwesReady,
        seals: None,
    };

    fn of_null(side: Side) -> Self {
        match side {
            Side::Dialed => Accord::SAID,
            Side::Accepted => Accord::OWES_READY,
        }
    }

    fn sealed(seals: Seals) -> Self {
        Accord {
            last: Last::Said,
            seals: Some(Box::new(seals)),
        }
    }

    fn owes_sealed_ready(key: BoxKey, seals: Seals) -> Self {
        Accord {
            last: Last::OwesSealedReady(Box::new(key)),
            ..Accord::sealed(seals)
        }
    }

    /// Our socket takes the peer.
    pub(super) fn conclude(self, local: &Local, out: &mut Vec<u8>) -> Option<Box<Seals>> {
        match self.last {
            Last::Said => {}
            Last::OwesReady => null::put_ready(out, local),
            Last::OwesSealedReady(key) => curve::put_ready(out, &key, local),
        }
        self.seals
    }
}

impl Exchange {
    /// Both greetings are in.
    pub(super) fn begin(local: &Local, side: Side, fresh: Fresh, out: &mut Vec<u8>) -> Result<Self, Failure> {
        Ok(match &local.role {
            Role::Null(_) => {
                if side == Side::Dialed {
                    null::put_ready(out, local);
                }
                Exchange::Null(Null::ExpectReady)
            }
            Role::PlainClient(login) => Exchange::PlainClient(plain::Client::begin(login, out)),
            Role::PlainServer(_) => Exchange::PlainServer(plain::Server::ExpectHello),
            Role::CurveClient(ours) => {
                let client = curve::Client::begin(ours, fresh, out)?;
                Exchange::CurveClient(client, Arc::clone(ours))
            }
            Role::CurveServer(ours, _) => Exchange::CurveServer(curve::Server::ExpectHello(fresh), Arc::clone(ours)),
        })
    }

    /// The body of a command; what is to be said to it goes to `out`.
    pub(super) fn handle(
        self,
        body: &[u8],
        version: (u8, u8),
        local: &Local,
        side: Side,
        out: &mut Vec<u8>,
    ) -> Result<Reached<Self>, Failure> {
        let command = match &self {
            Exchange::PlainClient(_) => plain::parse(body)?,
            _ => Command::parse(body)?,
        };
        match self {
            Exchange::Null(_) => {
                let facts = null::ready(&command, version, local, out)?;
                if local.role.asks_nothing() {
                    return Ok(Reached::Ready(facts, Accord::of_null(side)));
                }
                let exchange = Exchange::Null(Null::ExpectAdmission(Box::new(facts)));
                Ok(Reached::Claim(Credentials::Null, exchange))
            }
            Exchange::PlainClient(client) => {
                let reached = client.handle(&command, version, local, out)?;
                Ok(reached.map(Exchange::PlainClient))
            }
            Exchange::PlainServer(server) => {
                let reached = server.handle(&command, version, local, out)?;
                Ok(reached.map(Exchange::PlainServer))
            }
            Exchange::CurveClient(client, ours) => {
                let reached = client.handle(&command, version, local, &ours, out)?;
                Ok(reached.map(|client| Exchange::CurveClient(client, ours)))
            }
            Exchange::CurveServer(server, ours) => {
                let reached = server.handle(&command, &ours, out)?;
                Ok(reached.map(|server| Exchange::CurveServer(server, ours)))
            }
        }
    }

    /// Who claims to come in may.
    pub(super) fn admit(
        self,
        version: (u8, u8),
        local: &Local,
        side: Side,
        out: &mut Vec<u8>,
    ) -> Result<Admitted<Self>, Failure> {
        match self {
            Exchange::Null(Null::ExpectAdmission(facts)) => Ok(Admitted::Ready(*facts, Accord::of_null(side))),
            Exchange::PlainServer(server) => Ok(Admitted::Await(Exchange::PlainServer(server.admit(out)))),
            Exchange::CurveServer(server, ours) => {
                let admitted = server.admit(version, local, out)?;
                Ok(admitted.map(|server| Exchange::CurveServer(server, ours)))
            }
            asks_nobody @ (Exchange::Null(_) | Exchange::PlainClient(_) | Exchange::CurveClient(..)) => {
                Ok(Admitted::Await(asks_nobody))
            }
        }
    }

    /// What is awaited next, where a command comes.
    pub(super) fn awaited(&self) -> &'static str {
        match self {
            Exchange::Null(_) => "READY",
            Exchange::PlainClient(client) => client.awaited(),
            Exchange::PlainServer(server) => server.awaited(),
            Exchange::CurveClient(client, _) => client.awaited(),
            Exchange::CurveServer(server, _) => server.awaited(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self {
            Exchange::Null(_)
            | Exchange::PlainClient(plain::Client::ExpectReady)
            | Exchange::PlainServer(plain::Server::ExpectInitiate) => Stage::Ready,
            // A CURVE client hears only with READY whether it may come in.
            Exchange::PlainClient(_)
            | Exchange::PlainServer(_)
            | Exchange::CurveClient(..)
            | Exchange::CurveServer(..) => Stage::Security,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const NULL: Mechanism = Mechanism {
        name: "NULL",
        is_server: false,
    };

    #[test]
    fn only_our_own_name_with_its_padding_will_do() {
        assert_eq!(NULL.check(b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), Ok(()));
        let others: [(&[u8; FIELD + 1], &str); 4] = [
            (b"CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "CURVE"),
            (
                b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x\0",
                "NULL\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00x",
            ),
            (b"null\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "null"),
            (&[0; FIELD + 1], ""),
        ];
        for (field, shown) in others {
            let theirs = shown.to_owned();
            assert_eq!(
                NULL.check(field),
                Err(Failure::MechanismMismatch { ours: "NULL", theirs })
            );
        }
    }

    #[test]
    fn two_servers_are_told_apart_from_a_server_and_who_says_nothing() {
        let server = Mechanism {
            name: "PLAIN",
            is_server: true,
        };
        let client = Mechanism {
            is_server: false,
            ..server
        };
        assert!(server.check(&server.field()).is_err());
        assert_eq!(server.check(&client.field()), Ok(()));
        assert_eq!(client.check(&server.field()), Ok(()));
        assert_eq!(
            client.check(&client.field()),
            Ok(()),
            "it meets a HELLO where it awaits WELCOME"
        );
    }
}

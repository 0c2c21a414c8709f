//! PLAIN ([RFC 24](https://rfc.zeromq.org/spec/24/)): the client says a name and a password, in clear.
//!
//! ```text
//! client  HELLO(name, password)            INITIATE(metadata)
//! server                         WELCOME                       READY(metadata)
//! ```
//!
//! Whether they will do is asked between HELLO and WELCOME. Traffic is as with NULL.

use super::{Accord, Reached};
use crate::failure::Failure;
use crate::security::{Credentials, LONGEST, Login};
use crate::wire::Local;
use crate::wire::command::{
    Command, ERROR, HELLO, INITIATE, READY, WELCOME, malformed, put_command, put_short, split_short,
};
use crate::wire::metadata::{facts, heard_facts, put_metadata};
use zeroize::Zeroizing;

/// The client's side, named for what it awaits.
#[derive(Debug)]
pub(in crate::wire) enum Client {
    ExpectWelcome,
    ExpectReady,
}

/// The server's.
#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "states are named for what they await")]
pub(in crate::wire) enum Server {
    ExpectHello,
    ExpectAdmission,
    ExpectInitiate,
}

impl Client {
    pub(super) fn begin(login: &Login, out: &mut Vec<u8>) -> Self {
        let mut data = Zeroizing::new(Vec::with_capacity(2 * (1 + LONGEST)));
        put_short(&mut data, login.username.as_bytes());
        put_short(&mut data, login.password.as_bytes());
        put_command(out, HELLO, &[&data]);
        Client::ExpectWelcome
    }

    pub(super) fn handle(
        self,
        command: &Command<'_>,
        version: (u8, u8),
        local: &Local,
        out: &mut Vec<u8>,
    ) -> Result<Reached<Self>, Failure> {
        match (self, command.name) {
            (_, ERROR) => Err(command.refusal()),
            (Client::ExpectWelcome, WELCOME) if !command.data.is_empty() => {
                Err(malformed("WELCOME", "it has data, and PLAIN's has none"))
            }
            (Client::ExpectWelcome, WELCOME) => {
                let mut metadata = Vec::new();
                put_metadata(&mut metadata, local);
                put_command(out, INITIATE, &[&metadata]);
                Ok(Reached::Await(Client::ExpectReady))
            }
            (Client::ExpectReady, READY) => {
                facts(command.data, version, local).map(|facts| Reached::Ready(facts, Accord::SAID))
            }
            (client, _) => Err(command.unexpected(client.awaited())),
        }
    }

    pub(super) fn awaited(&self) -> &'static str {
        match self {
            Client::ExpectWelcome => "WELCOME",
            Client::ExpectReady => "READY",
        }
    }
}

impl Server {
    pub(super) fn handle(
        self,
        command: &Command<'_>,
        version: (u8, u8),
        local: &Local,
        out: &mut Vec<u8>,
    ) -> Result<Reached<Self>, Failure> {
        match (self, command.name) {
            (Server::ExpectHello, HELLO) => {
                let credentials = hello(command.data)?;
                Ok(Reached::Claim(credentials, Server::ExpectAdmission))
            }
            (Server::ExpectInitiate, INITIATE) => {
                heard_facts(command.data, version, local, out).map(|facts| Reached::Ready(facts, Accord::OWES_READY))
            }
            (server, _) => Err(command.unexpected(server.awaited())),
        }
    }

    pub(super) fn awaited(&self) -> &'static str {
        match self {
            Server::ExpectHello => "HELLO",
            Server::ExpectAdmission | Server::ExpectInitiate => "INITIATE",
        }
    }

    /// The client may come in.
    pub(super) fn admit(self, out: &mut Vec<u8>) -> Self {
        put_command(out, WELCOME, &[]);
        Server::ExpectInitiate
    }
}

/// A server's command. libzmq's ERROR has no length before its name, and no E: the compiler took it for the digits of an
/// escaped byte. (Its clients take ours, which is right, for a broken one, and stop as for theirs.)
pub(super) fn parse(body: &[u8]) -> Result<Command<'_>, Failure> {
    match body.strip_prefix(b"^RROR") {
        Some(data) => Ok(Command { name: ERROR, data }),
        None => Command::parse(body),
    }
}

fn hello(data: &[u8]) -> Result<Credentials, Failure> {
    let cut = || malformed("HELLO", "its name or password is cut short");
    let (username, rest) = split_short(data).ok_or_else(cut)?;
    let (password, rest) = split_short(rest).ok_or_else(cut)?;
    if !rest.is_empty() {
        return Err(malformed("HELLO", "there is more behind the password"));
    }
    Ok(Credentials::plain(username, password))
}

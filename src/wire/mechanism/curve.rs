//! CURVE ([RFC 26](https://rfc.zeromq.org/spec/26/)): each side proves that it holds its secret key, and all is sealed.
//!
//! Capitals are public keys, small letters the secret ones; C and S are the long-term pairs of client and server, C' and S'
//! those of this connection alone.
//!
//! ```text
//! client  HELLO(C', [zeros] C'->S)                      INITIATE(cookie, [C, [C', S] C->S', metadata] C'->S')
//! server                             WELCOME([S', cookie] S->C')                              READY([metadata] S'->C')
//! ```
//!
//! What is wrong with a box is told to our side alone: the peer gets no answer. Nonces of each side go up, in all that it
//! sends, and are looked at before a box is.

use super::{Accord, Admitted, Reached, Seals};
use crate::cipher::{BoxKey, TAG_BYTES, is_equal};
use crate::failure::Failure;
use crate::keys::{KeyPair, PublicKey, SecretKey};
use crate::security::{Credentials, CurveClient};
use crate::wire::command::{Command, ERROR, HELLO, INITIATE, READY, WELCOME, malformed, put_command};
use crate::wire::metadata::{facts, heard_facts, put_metadata};
use crate::wire::sealing::{Opener, Sealer};
use crate::wire::{Fresh, Keys, Local};
use zeroize::Zeroizing;

/// The client's side, named for what it awaits.
#[derive(Debug)]
pub(in crate::wire) enum Client {
    ExpectWelcome(Box<Hello>),
    ExpectReady(Box<BoxKey>),
}

/// What a client keeps until WELCOME.
pub(in crate::wire) struct Hello {
    transient: KeyPair,
    /// C' and S.
    key: BoxKey,
    vouch_nonce: [u8; 16],
}

/// The server's.
#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "states are named for what they await")]
pub(in crate::wire) enum Server {
    ExpectHello(Fresh),
    ExpectInitiate(Box<Welcome>),
    ExpectAdmission(Box<Initiate>),
}

/// What a server keeps until INITIATE.
pub(in crate::wire) struct Welcome {
    transient: SecretKey,
    client: PublicKey,
    cookie: [u8; COOKIE],
    /// The last nonce of the client.
    nonce: u64,
}

/// What it keeps until the client may come in.
pub(in crate::wire) struct Initiate {
    /// C' and S'.
    key: BoxKey,
    nonce: u64,
    metadata: Zeroizing<Vec<u8>>,
}

impl Client {
    pub(super) fn begin(ours: &CurveClient, fresh: Fresh, out: &mut Vec<u8>) -> Result<Self, Failure> {
        let Keys {
            secret,
            nonces: [vouch_nonce, _],
            ..
        } = fresh.take()?;
        let transient = KeyPair::from(secret);
        let key = BoxKey::agreed(&transient.secret, &ours.server)
            .ok_or_else(|| unopened("the server's key, which is none"))?;
        let mut signature = Vec::new();
        key.seal(&short(HELLO_NONCE, 1), &[0; 64], &mut signature);
        let public = transient.public.as_bytes();
        let data: [&[u8]; 5] = [&VERSION, &[0; 72], public, &1_u64.to_be_bytes(), &signature];
        put_command(out, HELLO, &data);
        Ok(Client::ExpectWelcome(Box::new(Hello {
            transient,
            key,
            vouch_nonce,
        })))
    }

    pub(super) fn handle(
        self,
        command: &Command<'_>,
        version: (u8, u8),
        local: &Local,
        client: &CurveClient,
        out: &mut Vec<u8>,
    ) -> Result<Reached<Self>, Failure> {
        match (self, command.name) {
            // Before WELCOME it may be anybody's.
            (Client::ExpectReady(_), ERROR) => Err(command.refusal()),
            (Client::ExpectWelcome(hello), WELCOME) => {
                let key = hello.welcomed(command.data, local, client, out)?;
                Ok(Reached::Await(Client::ExpectReady(Box::new(key))))
            }
            (Client::ExpectReady(key), READY) => {
                let (nonce, sealed) = split_nonce(command.data, None, "READY")?;
                let metadata = key
                    .open(&short(READY_NONCE, nonce), sealed)
                    .ok_or_else(|| unopened("READY"))?;
                let facts = facts(&metadata, version, local)?;
                let seals = Seals {
                    sealer: Sealer::new(key.messages(CLIENT_MESSAGE), 3),
                    opener: Opener::new(key.messages(SERVER_MESSAGE), nonce, local.limits),
                };
                Ok(Reached::Ready(facts, Accord::sealed(seals)))
            }
            (client, _) => Err(command.unexpected(client.awaited())),
        }
    }

    pub(super) fn awaited(&self) -> &'static str {
        match self {
            Client::ExpectWelcome(_) => "WELCOME",
            Client::ExpectReady(_) => "READY",
        }
    }
}

impl Hello {
    /// WELCOME is in: says INITIATE. Gives the key of this connection.
    fn welcomed(&self, data: &[u8], local: &Local, client: &CurveClient, out: &mut Vec<u8>) -> Result<BoxKey, Failure> {
        let CurveClient { ours, server: theirs } = client;
        let wrong_length = || malformed("WELCOME", "it has not 160 bytes");
        let (nonce, sealed) = data.split_first_chunk().ok_or_else(wrong_length)?;
        if sealed.len() != 32 + COOKIE + TAG_BYTES {
            return Err(wrong_length());
        }
        let welcome = self.key.open(&long(WELCOME_NONCE, nonce), sealed);
        let welcome = welcome.ok_or_else(|| unopened("WELCOME: the server's key is another"))?;
        let (server, cookie) = welcome.split_first_chunk().ok_or_else(wrong_length)?;
        let server = PublicKey::from_bytes(*server);
        let agreed = |secret| BoxKey::agreed(secret, &server).ok_or_else(|| unopened("WELCOME: its key is none"));
        let (key, vouching) = (agreed(&self.transient.secret)?, agreed(&ours.secret)?);

        let vouched = [*self.transient.public.as_bytes(), *theirs.as_bytes()].concat();
        let mut vouch = self.vouch_nonce.to_vec();
        vouching.seal(&long(VOUCH_NONCE, &self.vouch_nonce), &vouched, &mut vouch);
        let mut plain = Zeroizing::new([ours.public.as_bytes(), &vouch[..]].concat());
        put_metadata(&mut plain, local);
        let mut sealed = Vec::new();
        key.seal(&short(INITIATE_NONCE, 2), &plain, &mut sealed);
        put_command(out, INITIATE, &[cookie, &2_u64.to_be_bytes(), &sealed]);
        Ok(key)
    }
}

impl Server {
    pub(super) fn handle(
        self,
        command: &Command<'_>,
        ours: &KeyPair,
        out: &mut Vec<u8>,
    ) -> Result<Reached<Self>, Failure> {
        match (self, command.name) {
            (Server::ExpectHello(fresh), HELLO) => {
                let welcome = Welcome::answering(command.data, &ours.secret, fresh, out)?;
                Ok(Reached::Await(Server::ExpectInitiate(Box::new(welcome))))
            }
            (Server::ExpectInitiate(welcome), INITIATE) => {
                let (client, initiate) = welcome.initiated(command.data, ours)?;
                let claim = Credentials::Curve(client);
                Ok(Reached::Claim(claim, Server::ExpectAdmission(Box::new(initiate))))
            }
            (server, _) => Err(command.unexpected(server.awaited())),
        }
    }

    /// The client may come in; what it says of itself is looked at only now.
    pub(super) fn admit(self, version: (u8, u8), local: &Local, out: &mut Vec<u8>) -> Result<Admitted<Self>, Failure> {
        let Server::ExpectAdmission(initiate) = self else {
            return Ok(Admitted::Await(self));
        };
        let Initiate { key, nonce, metadata } = *initiate;
        let facts = heard_facts(&metadata, version, local, out)?;
        let seals = Seals {
            sealer: Sealer::new(key.messages(SERVER_MESSAGE), 2),
            opener: Opener::new(key.messages(CLIENT_MESSAGE), nonce, local.limits),
        };
        Ok(Admitted::Ready(facts, Accord::owes_sealed_ready(key, seals)))
    }

    pub(super) fn awaited(&self) -> &'static str {
        match self {
            Server::ExpectHello(_) => "HELLO",
            Server::ExpectInitiate(_) | Server::ExpectAdmission(_) => "INITIATE",
        }
    }
}

impl Welcome {
    /// HELLO is in: says WELCOME.
    fn answering(data: &[u8], ours: &SecretKey, fresh: Fresh, out: &mut Vec<u8>) -> Result<Self, Failure> {
        let wrong_length = || malformed("HELLO", "it has not 194 bytes");
        if data.len() != 2 + 72 + 32 + 8 + 64 + TAG_BYTES {
            return Err(wrong_length());
        }
        let (version, rest) = data.split_first_chunk().ok_or_else(wrong_length)?;
        if *version != VERSION {
            return Err(malformed("HELLO", "its version is not 1.0"));
        }
        let (padding, rest) = rest.split_first_chunk::<72>().ok_or_else(wrong_length)?;
        if *padding != [0; 72] {
            return Err(malformed("HELLO", "its padding is not zeros"));
        }
        let (client, rest) = rest.split_first_chunk().ok_or_else(wrong_length)?;
        let client = PublicKey::from_bytes(*client);
        let (nonce, signature) = split_nonce(rest, None, "HELLO")?;
        let key = BoxKey::agreed(ours, &client).ok_or_else(|| unopened("HELLO: its key is none"))?;
        let zeros = key.open(&short(HELLO_NONCE, nonce), signature);
        if !zeros.is_some_and(|zeros| is_equal(&zeros, &[0; 64])) {
            return Err(unopened("HELLO: the client knows another key of ours"));
        }

        let Keys {
            secret: transient,
            cookie: cookie_key,
            nonces: [cookie_nonce, welcome_nonce],
        } = fresh.take()?;
        let kept = Zeroizing::new([*client.as_bytes(), *transient.as_bytes()].concat());
        let mut sealed = cookie_nonce.to_vec();
        BoxKey::from_bytes(*cookie_key).seal(&long(COOKIE_NONCE, &cookie_nonce), &kept, &mut sealed);
        let mut cookie = [0; COOKIE];
        cookie.iter_mut().zip(&sealed).for_each(|(slot, byte)| *slot = *byte);

        let plain = [transient.public().as_bytes(), &cookie[..]].concat();
        let mut sealed = Vec::new();
        key.seal(&long(WELCOME_NONCE, &welcome_nonce), &plain, &mut sealed);
        put_command(out, WELCOME, &[&welcome_nonce, &sealed]);
        Ok(Welcome {
            transient,
            client,
            cookie,
            nonce,
        })
    }

    /// INITIATE is in. Gives the key whose secret half the client holds, and what is left to be looked at.
    fn initiated(&self, data: &[u8], ours: &KeyPair) -> Result<(PublicKey, Initiate), Failure> {
        let cut = || malformed("INITIATE", "it is cut short");
        let (cookie, rest) = data.split_first_chunk::<COOKIE>().ok_or_else(cut)?;
        // One for each connection, which remembers it: nobody else's will do.
        if !is_equal(cookie, &self.cookie) {
            return Err(unopened("the cookie in INITIATE"));
        }
        let (nonce, sealed) = split_nonce(rest, Some(self.nonce), "INITIATE")?;
        let agreed = |client| BoxKey::agreed(&self.transient, client);
        let key = agreed(&self.client).ok_or_else(|| unopened("INITIATE"))?;
        let plain = key.open(&short(INITIATE_NONCE, nonce), sealed);
        let plain = plain.ok_or_else(|| unopened("INITIATE"))?;
        let (client, rest) = plain.split_first_chunk().ok_or_else(cut)?;
        let client = PublicKey::from_bytes(*client);
        let (vouch, metadata) = rest.split_first_chunk::<VOUCH>().ok_or_else(cut)?;
        let (vouch_nonce, vouch) = vouch.split_first_chunk().ok_or_else(cut)?;
        let vouching = agreed(&client).ok_or_else(|| unopened("INITIATE: its key is none"))?;
        let vouched = vouching.open(&long(VOUCH_NONCE, vouch_nonce), vouch);
        let expected = [*self.client.as_bytes(), *ours.public.as_bytes()].concat();
        if !vouched.is_some_and(|vouched| is_equal(&vouched, &expected)) {
            return Err(unopened("the vouch in INITIATE"));
        }
        let metadata = Zeroizing::new(metadata.to_vec());
        Ok((client, Initiate { key, nonce, metadata }))
    }
}

/// Our READY, as a server.
pub(super) fn put_ready(out: &mut Vec<u8>, key: &BoxKey, local: &Local) {
    let (mut metadata, mut sealed) = (Vec::new(), Vec::new());
    put_metadata(&mut metadata, local);
    key.seal(&short(READY_NONCE, 1), &metadata, &mut sealed);
    put_command(out, READY, &[&1_u64.to_be_bytes(), &sealed]);
}

/// A nonce that is to be greater than the last, if there was one, and what follows it.
fn split_nonce<'a>(bytes: &'a [u8], last: Option<u64>, what: &'static str) -> Result<(u64, &'a [u8]), Failure> {
    let (nonce, rest) = bytes
        .split_first_chunk()
        .ok_or_else(|| malformed(what, "its nonce is cut short"))?;
    match u64::from_be_bytes(*nonce) {
        nonce if last < Some(nonce) => Ok((nonce, rest)),
        _ => Err(malformed(what, "its nonce was used before")),
    }
}

fn unopened(what: &'static str) -> Failure {
    Failure::Unopened { what }
}

/// A nonce of a name and a number.
fn short(name: &[u8; 16], number: u64) -> [u8; 24] {
    let mut nonce = [0; 24];
    let bytes = name.iter().copied().chain(number.to_be_bytes());
    nonce.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
    nonce
}

/// A nonce of a name and chance.
fn long(name: &[u8; 8], chance: &[u8; 16]) -> [u8; 24] {
    let mut nonce = [0; 24];
    let bytes = name.iter().chain(chance);
    nonce.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
    nonce
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hello")
    }
}

impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Welcome")
    }
}

impl std::fmt::Debug for Initiate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Initiate")
    }
}

const VERSION: [u8; 2] = [1, 0];

const HELLO_NONCE: &[u8; 16] = b"CurveZMQHELLO---";
const INITIATE_NONCE: &[u8; 16] = b"CurveZMQINITIATE";
const READY_NONCE: &[u8; 16] = b"CurveZMQREADY---";
const CLIENT_MESSAGE: &[u8; 16] = b"CurveZMQMESSAGEC";
const SERVER_MESSAGE: &[u8; 16] = b"CurveZMQMESSAGES";
const WELCOME_NONCE: &[u8; 8] = b"WELCOME-";
const COOKIE_NONCE: &[u8; 8] = b"COOKIE--";
const VOUCH_NONCE: &[u8; 8] = b"VOUCH---";

/// A nonce, and a box of two keys.
const COOKIE: usize = 16 + 64 + TAG_BYTES;
const VOUCH: usize = COOKIE;

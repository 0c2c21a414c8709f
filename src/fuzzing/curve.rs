//! CURVE, with keys that both sides' fuzzers know: what is in the boxes is the input's to say, so that it is looked at.

use super::input::Input;
use super::talk::{CHANCE_OF_KEYS, End, Event, Outcome};
use super::words::{command, frame, greeting, metadata, word};
use crate::batch::frame::COMMAND;
use crate::cipher::BoxKey;
use crate::keys::{PublicKey, SecretKey};
use crate::security::{Curve, Security};
use crate::sim::chance::Chance;
use crate::socket_type::SocketType;
use crate::wire::{Form, Local, Side};
use std::sync::OnceLock;

/// What comes behind a greeting, under CURVE: for a client and for a server.
pub fn curve(bytes: &[u8]) {
    of_curve(bytes);
}

pub(super) fn of_curve(bytes: &[u8]) -> Outcome {
    let mut input = Input::new(bytes);
    let is_server = input.flag();
    let (socket_type, peer) = input.types();
    let scene = Scene {
        local: Local {
            socket_type,
            role: if is_server { server() } else { client() }.role,
            identity: None,
            limits: input.limits(),
            metadata: Vec::new(),
        },
        side: if input.flag() { Side::Dialed } else { Side::Accepted },
        is_server,
        peer,
    };
    let is_cut = input.flag();
    let words = input.rest();
    let outcome = scene.play(words, None);
    if is_cut {
        outcome.assert_same(&scene.play(words, Some(Chance::new(words.len() as u64))));
    }
    outcome
}

struct Scene {
    local: Local,
    side: Side,
    /// The one that is told.
    is_server: bool,
    peer: SocketType,
}

impl Scene {
    fn play(&self, words: &[u8], chance: Option<Chance>) -> Outcome {
        let mut input = Input::new(words);
        let mut end = End::new(self.local.clone(), self.side, Form::Framed, chance);
        end.hear(&greeting("CURVE", !self.is_server));
        assert!(!end.has_failed(), "a good greeting is taken");
        let mut forger = Forger::new(self);
        let mut heard = 64;
        while !input.is_empty() && !end.has_failed() && heard < MOST {
            forger.listen(&end.say());
            let word = forger.word(&mut input);
            heard += word.len();
            end.hear(&word);
        }
        let outcome = end.outcome();
        let is_known = outcome.events.iter().any(|event| matches!(event, Event::Ready(_)));
        assert!(!is_known || forger.sealed > 1, "who has sealed nothing is not let in");
        outcome
    }
}

/// The other side, which has all keys.
struct Forger {
    is_client: bool,
    peer: SocketType,
    /// How many words of the handshake it has said.
    said: u32,
    /// How many boxes.
    sealed: u32,
    cookie: Vec<u8>,
    /// The last nonce that was used in traffic.
    nonce: u64,
    keys: &'static Keys,
}

impl Forger {
    fn new(scene: &Scene) -> Self {
        static OF_CLIENT: OnceLock<Keys> = OnceLock::new();
        static OF_SERVER: OnceLock<Keys> = OnceLock::new();
        Forger {
            is_client: scene.is_server,
            peer: scene.peer,
            said: 0,
            sealed: 0,
            cookie: vec![0; COOKIE],
            nonce: 0,
            keys: match scene.is_server {
                true => OF_CLIENT.get_or_init(Keys::of_client),
                false => OF_SERVER.get_or_init(Keys::of_server),
            },
        }
    }

    /// Takes the cookie out of a WELCOME.
    fn listen(&mut self, said: &[u8]) {
        let Some(at) = said.windows(8).position(|bytes| bytes == b"\x07WELCOME") else {
            return;
        };
        let data = &said[at + 8..];
        let (nonce, sealed) = data.split_at(16);
        let nonce = long(b"WELCOME-", nonce);
        let welcome = self.keys.hello.open(&nonce, &sealed[..32 + COOKIE + 16]);
        let welcome = welcome.expect("an honest WELCOME is opened");
        assert_eq!(&welcome[..32], public(CHANCE_OF_KEYS).as_bytes());
        self.cookie = welcome[32..].to_vec();
    }

    fn word(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let kind = input.byte();
        if kind % 16 == 15 {
            return word(input, self.peer);
        }
        // Half of the words are honest but for what is in them.
        let is_honest = kind & 16 == 0;
        let nonce = if kind & 32 == 0 { None } else { Some(input.number()) };
        let mut word = match (self.is_client, self.said) {
            (true, 0) => self.hello(input, is_honest, nonce),
            (true, 1) => self.initiate(input, is_honest, nonce),
            (false, 0) => self.welcome(input, is_honest),
            (false, 1) => self.ready(input, nonce),
            _ => self.message(input, nonce),
        };
        if kind & 64 != 0 {
            let at = input.below(word.len().max(1));
            if let Some(byte) = word.get_mut(at) {
                *byte ^= input.byte();
            }
        }
        word
    }

    fn hello(&mut self, input: &mut Input<'_>, is_honest: bool, nonce: Option<u64>) -> Vec<u8> {
        self.said += 1;
        let nonce = nonce.unwrap_or(1);
        let plain = if is_honest { &[0; 64][..] } else { input.bytes() };
        let signature = self.sealed(&self.keys.hello, &short(b"CurveZMQHELLO---", nonce), plain);
        let public = public(FORGER);
        let data: [&[u8]; 5] = [b"\x01\0", &[0; 72], public.as_bytes(), &nonce.to_be_bytes(), &signature];
        command(b"HELLO", &data.concat())
    }

    fn initiate(&mut self, input: &mut Input<'_>, is_honest: bool, nonce: Option<u64>) -> Vec<u8> {
        self.said += 1;
        let nonce = nonce.unwrap_or(2);
        self.nonce = nonce;
        let vouched = [*public(FORGER).as_bytes(), *public(SERVER).as_bytes()].concat();
        let vouch = self.sealed(&self.keys.vouch, &long(b"VOUCH---", &[3; 16]), &vouched);
        let said = self.said_of_itself(input);
        let plain = match is_honest {
            true => [&public(CLIENT).as_bytes()[..], &[3; 16], &vouch, &said].concat(),
            false => said,
        };
        let sealed = self.sealed(&self.keys.session, &short(b"CurveZMQINITIATE", nonce), &plain);
        command(b"INITIATE", &[&self.cookie[..], &nonce.to_be_bytes(), &sealed].concat())
    }

    fn welcome(&mut self, input: &mut Input<'_>, is_honest: bool) -> Vec<u8> {
        self.said += 1;
        let plain = match is_honest {
            true => [&public(FORGER).as_bytes()[..], &[5; COOKIE]].concat(),
            false => input.bytes().to_vec(),
        };
        let sealed = self.sealed(&self.keys.hello, &long(b"WELCOME-", &[4; 16]), &plain);
        command(b"WELCOME", &[&[4; 16][..], &sealed].concat())
    }

    fn ready(&mut self, input: &mut Input<'_>, nonce: Option<u64>) -> Vec<u8> {
        self.said += 1;
        let nonce = nonce.unwrap_or(1);
        self.nonce = nonce;
        let said = self.said_of_itself(input);
        let sealed = self.sealed(&self.keys.session, &short(b"CurveZMQREADY---", nonce), &said);
        command(b"READY", &[&nonce.to_be_bytes()[..], &sealed].concat())
    }

    /// A frame in a box, whose flags are whatever they are.
    fn message(&mut self, input: &mut Input<'_>, nonce: Option<u64>) -> Vec<u8> {
        self.nonce = nonce.unwrap_or(self.nonce.wrapping_add(1));
        let name = match self.is_client {
            true => b"CurveZMQMESSAGEC",
            false => b"CurveZMQMESSAGES",
        };
        let plain = match input.below(6) {
            0 => input.bytes().to_vec(),
            1 => [vec![input.byte()], vec![7; input.short().into()]].concat(),
            2 => [&b"\x02\x04PING"[..], input.bytes()].concat(),
            3 => [&b"\x02\x09SUBSCRIBE"[..], input.bytes()].concat(),
            _ => [&[input.byte() & 3][..], input.bytes()].concat(),
        };
        let sealed = self.sealed(&self.keys.session, &short(name, self.nonce), &plain);
        let body = [&b"\x07MESSAGE"[..], &self.nonce.to_be_bytes(), &sealed].concat();
        frame(if input.flag() { COMMAND } else { 0 }, &body)
    }

    /// What it is, and what the input has it say; or that alone.
    fn said_of_itself(&self, input: &mut Input<'_>) -> Vec<u8> {
        match input.flag() {
            true => input.bytes().to_vec(),
            false => [metadata(self.peer), input.bytes().to_vec()].concat(),
        }
    }

    fn sealed(&mut self, key: &BoxKey, nonce: &[u8; 24], plain: &[u8]) -> Vec<u8> {
        self.sealed += 1;
        let mut out = Vec::new();
        key.seal(nonce, plain, &mut out);
        out
    }
}

/// The keys that a forger and the one that it talks to agree on.
struct Keys {
    hello: BoxKey,
    session: BoxKey,
    vouch: BoxKey,
}

impl Keys {
    fn of_client() -> Keys {
        Keys {
            hello: agreed(FORGER, SERVER),
            session: agreed(FORGER, CHANCE_OF_KEYS),
            vouch: agreed(CLIENT, CHANCE_OF_KEYS),
        }
    }

    fn of_server() -> Keys {
        Keys {
            hello: agreed(SERVER, CHANCE_OF_KEYS),
            session: agreed(FORGER, CHANCE_OF_KEYS),
            vouch: agreed(SERVER, CHANCE_OF_KEYS),
        }
    }
}

/// The client that is let in.
pub(super) fn client() -> Security {
    static CACHE: OnceLock<Security> = OnceLock::new();
    let new = || Curve::client(secret(CLIENT), public(SERVER));
    CACHE.get_or_init(new).clone()
}

/// The server that lets it in.
pub(super) fn server() -> Security {
    static CACHE: OnceLock<Security> = OnceLock::new();
    let new = || Curve::server(secret(SERVER)).allow([public(CLIENT)]);
    CACHE.get_or_init(new).clone()
}

fn secret(byte: u8) -> SecretKey {
    SecretKey::from_bytes([byte; 32])
}

fn public(byte: u8) -> PublicKey {
    static ALL: [OnceLock<PublicKey>; 16] = [const { OnceLock::new() }; 16];
    *ALL[usize::from(byte)].get_or_init(|| secret(byte).public())
}

fn agreed(secret_of: u8, public_of: u8) -> BoxKey {
    BoxKey::agreed(&secret(secret_of), &public(public_of)).expect("keys of ours")
}

/// A nonce of a name and a number.
fn short(name: &[u8; 16], number: u64) -> [u8; 24] {
    let bytes = [&name[..], &number.to_be_bytes()].concat();
    bytes.try_into().expect("24 bytes")
}

/// A nonce of a name and chance.
fn long(name: &[u8; 8], chance: &[u8]) -> [u8; 24] {
    [&name[..], chance].concat().try_into().expect("24 bytes")
}

/// Whose secret keys consist of which byte. The forger's is for its connection alone.
const SERVER: u8 = 1;
const CLIENT: u8 = 2;
const FORGER: u8 = 9;

/// Bytes of a cookie.
const COOKIE: usize = 96;
/// More is said by repetition only.
const MOST: usize = 300_000;

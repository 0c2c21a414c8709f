//! Greetings, NULL and PLAIN, and the traffic behind them.

use super::input::Input;
use super::talk::{End, Outcome, framed};
use super::words::{command, greeting as greeting_of, metadata, property, word};
use crate::failure::Stage;
use crate::identity::Identity;
use crate::security::{Plain, Role, Security};
use crate::sim::chance::Chance;
use crate::socket_type::SocketType;
use crate::wire::{Form, Local, Side};

/// The first bytes of somebody who may be anybody, to one of each role.
pub fn greeting(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let security = input.one_of(&[
        Security::default as fn() -> Security,
        plain_client,
        plain_server,
        super::curve::client,
        super::curve::server,
    ])();
    let (socket_type, _) = input.types();
    let side = side(&mut input);
    let scene = Scene {
        local: local(&mut input, socket_type, security.role),
        side,
        before: Vec::new(),
    };
    let first = bytes_behind(&mut input);
    let outcome = scene.told(&first);
    if first.first().is_some_and(|&byte| byte != 0xFF) {
        assert!(outcome.failure.is_some(), "a stranger is known by its first byte");
    }
    assert_eq!(
        outcome.said.get(..10),
        Some(&b"\xFF\0\0\0\0\0\0\0\x01\x7F"[..]),
        "ours goes first"
    );
}

/// What comes behind a greeting, under NULL.
pub fn null(bytes: &[u8]) {
    of_null(bytes);
}

pub(super) fn of_null(bytes: &[u8]) -> Outcome {
    let mut input = Input::new(bytes);
    let (socket_type, peer) = input.types();
    let side = side(&mut input);
    let scene = Scene {
        local: local(&mut input, socket_type, Role::default()),
        side,
        before: greeting_of("NULL", false),
    };
    scene.told(&said(&mut input, peer))
}

/// The same under PLAIN, for a client and for a server.
pub fn plain(bytes: &[u8]) {
    of_plain(bytes);
}

pub(super) fn of_plain(bytes: &[u8]) -> Outcome {
    let mut input = Input::new(bytes);
    let (socket_type, peer) = input.types();
    let is_server = input.flag();
    let security = if is_server { plain_server() } else { plain_client() };
    let scene = Scene {
        local: local(&mut input, socket_type, security.role),
        side: side(&mut input),
        before: greeting_of("PLAIN", !is_server),
    };
    let said = said(&mut input, peer);
    let outcome = scene.told(&said);
    let has_said_it = said.windows(LOGIN.len()).any(|bytes| bytes == LOGIN);
    assert!(
        !is_server || outcome.events.is_empty() || has_said_it,
        "nobody comes in without the password"
    );
    outcome
}

/// What comes behind a handshake: messages and commands.
pub fn frames(bytes: &[u8]) {
    of_frames(bytes);
}

pub(super) fn of_frames(bytes: &[u8]) -> Outcome {
    let mut input = Input::new(bytes);
    let (socket_type, peer) = input.types();
    let scene = Scene {
        local: local(&mut input, socket_type, Role::default()),
        side: side(&mut input),
        before: [greeting_of("NULL", false), command(b"READY", &metadata(peer))].concat(),
    };
    let outcome = scene.told(&said(&mut input, peer));

    let all = framed(outcome.messages());
    let again = scene.hear(&all, None);
    assert!(again.failure.is_none(), "what was given is nothing to send");
    assert!(again.messages().eq(outcome.messages()), "what was given comes again");
    outcome
}

/// Who hears, and what it has heard already.
struct Scene {
    local: Local,
    side: Side,
    before: Vec<u8>,
}

impl Scene {
    /// Hears it at once and in pieces.
    fn told(&self, bytes: &[u8]) -> Outcome {
        let outcome = self.hear(bytes, None);
        let seed = bytes.iter().fold(0, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(*byte))
        });
        let in_pieces = self.hear(bytes, Some(Chance::new(seed)));
        outcome.assert_same(&in_pieces);
        outcome
    }

    fn hear(&self, bytes: &[u8], chance: Option<Chance>) -> Outcome {
        let mut end = End::new(self.local.clone(), self.side, Form::Framed, chance);
        end.hear(&[&self.before, bytes].concat());
        let is_greeted = self.before.len() < 64 || end.has_failed() || end.stage() != Stage::Greeting;
        assert!(is_greeted, "a good greeting is taken");
        end.outcome()
    }
}

/// Bytes as they are, or word by word.
fn said(input: &mut Input<'_>, peer: SocketType) -> Vec<u8> {
    if input.flag() {
        return input.rest().to_vec();
    }
    let mut all = Vec::new();
    while !input.is_empty() && all.len() < MOST {
        all.extend(match input.below(4) {
            0 => honest(input, peer),
            _ => word(input, peer),
        });
    }
    all
}

/// What somebody honest may say.
fn honest(input: &mut Input<'_>, peer: SocketType) -> Vec<u8> {
    let said = [metadata(peer), property("Identity", b"me")].concat();
    match input.below(4) {
        0 => command(b"HELLO", LOGIN),
        1 => command(b"WELCOME", b""),
        2 => command(b"INITIATE", &said),
        _ => command(b"READY", &said),
    }
}

/// A greeting whose parts the input may change, or anything.
fn bytes_behind(input: &mut Input<'_>) -> Vec<u8> {
    let mechanism = input.one_of(&["", "NULL", "PLAIN", "CURVE"]);
    if mechanism.is_empty() {
        return input.rest().to_vec();
    }
    let mut all = greeting_of(mechanism, input.flag());
    let changes = input.below(4);
    for _ in 0..changes {
        let at = input.below(all.len());
        all[at] = input.byte();
    }
    all.extend_from_slice(input.rest());
    all
}

fn local(input: &mut Input<'_>, socket_type: SocketType, role: Role) -> Local {
    Local {
        socket_type,
        role,
        identity: Identity::new("us").ok().filter(|_| socket_type.has_identity()),
        limits: input.limits(),
        metadata: Vec::new(),
    }
}

fn side(input: &mut Input<'_>) -> Side {
    if input.flag() { Side::Dialed } else { Side::Accepted }
}

fn plain_client() -> Security {
    Plain::client("name", "word")
}

fn plain_server() -> Security {
    Plain::server().allow([("name", "word")])
}

/// What a client says that is let in.
const LOGIN: &[u8] = b"\x04name\x04word";
/// More is said by repetition only.
const MOST: usize = 150_000;

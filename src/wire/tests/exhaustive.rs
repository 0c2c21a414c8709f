//! Every small change of what peers say, and millions of larger ones: no panic, no endless loop, no memory that was not
//! filled, nothing handed over that nobody sent; and a good peer gets through as before.
//!
//! All of it where it is compiled with optimisation, a part elsewhere. How many inputs there were is printed.

use super::*;
use crate::failure::Stage;
use crate::keys::SecretKey;
use crate::security::{Curve, Plain, Security};
use SocketType::{Dealer, Pull, Push, Router, Sub, XPub};
use std::cell::Cell;
use std::io::IoSlice;

/// Two sides that fit, and how far what one says is told to the other.
struct Scene {
    name: &'static str,
    dialed: fn() -> End,
    accepted: fn() -> End,
    /// What the dialing side says behind its handshake, in ZMTP's framing.
    then: fn() -> Vec<u8>,
    /// A handshake that costs a thousand times as much as another is changed in fewer ways.
    is_dear: bool,
}

fn end(socket_type: SocketType, security: Security, side: Side) -> End {
    let local = Local {
        role: security.role,
        identity: crate::identity::Identity::new("me").ok(),
        ..local(socket_type)
    };
    End::new(local, side)
}

fn secret(byte: u8) -> SecretKey {
    SecretKey::from_bytes([byte; 32])
}

const SCENES: [Scene; 5] = [
    Scene {
        name: "NULL, PUSH to PULL",
        dialed: || end(Push, Security::default(), Side::Dialed),
        accepted: || end(Pull, Security::default(), Side::Accepted),
        then: || {
            let frames = [
                frame(0, b"one"),
                frame(MORE, &[7; 300]),
                frame(MORE, b""),
                frame(0, b"end"),
            ];
            [frames.concat(), command("PING", b"\0\x05ctx")].concat()
        },
        is_dear: false,
    },
    Scene {
        name: "NULL, SUB to XPUB",
        dialed: || end(Sub, Security::default(), Side::Dialed),
        accepted: || end(XPub, Security::default(), Side::Accepted),
        then: || {
            [
                command("SUBSCRIBE", b"topic"),
                command("CANCEL", b"topic"),
                frame(0, b"\x01a"),
            ]
            .concat()
        },
        is_dear: false,
    },
    Scene {
        name: "PLAIN, the client dials",
        dialed: || end(Dealer, Plain::client("name", "word"), Side::Dialed),
        accepted: || end(Router, Plain::server().allow([("name", "word")]), Side::Accepted),
        then: || frame(0, b"hello"),
        is_dear: false,
    },
    Scene {
        name: "PLAIN, the server dials",
        dialed: || end(Dealer, Plain::server().allow([("name", "word")]), Side::Dialed),
        accepted: || end(Router, Plain::client("name", "word"), Side::Accepted),
        then: || frame(0, b"hello"),
        is_dear: false,
    },
    Scene {
        name: "CURVE",
        dialed: || end(Dealer, Curve::client(secret(2), secret(1).public()), Side::Dialed),
        accepted: || {
            end(
                Router,
                Curve::server(secret(1)).allow([secret(2).public()]),
                Side::Accepted,
            )
        },
        then: || [frame(MORE, b"hello"), frame(0, &[9; 40]), command("PING", b"\0\x05ctx")].concat(),
        is_dear: true,
    },
];

/// What each side says in all, word by word; the dialing side's last word is what it says in traffic.
fn words(scene: &Scene) -> [Vec<Vec<u8>>; 2] {
    let (mut a, mut b) = ((scene.dialed)(), (scene.accepted)());
    let mut said = [Vec::new(), Vec::new()];
    loop {
        let (from_a, from_b) = (a.say(), b.say());
        if from_a.is_empty() && from_b.is_empty() {
            break;
        }
        b.hear(&from_a).unwrap();
        a.hear(&from_b).unwrap();
        said[0].extend(Some(from_a).filter(|word| !word.is_empty()));
        said[1].extend(Some(from_b).filter(|word| !word.is_empty()));
    }
    let then = (scene.then)();
    let mut sealed = Vec::new();
    match &mut a.sealer {
        Some(sealer) => drop(sealer.seal(&[IoSlice::new(&then)], usize::MAX, &mut sealed)),
        None => sealed = then,
    }
    said[0].push(sealed);
    assert_eq!(
        (a.connection.stage(), b.connection.stage()),
        (Stage::Traffic, Stage::Traffic)
    );
    said
}

/// Who hears, and all that it may hear.
struct Listener<'a> {
    scene: &'a Scene,
    is_dialed: bool,
    words: Vec<Vec<u8>>,
    inputs: &'a Cell<u64>,
}

impl Listener<'_> {
    fn new_end(&self) -> End {
        if self.is_dialed {
            (self.scene.dialed)()
        } else {
            (self.scene.accepted)()
        }
    }

    /// Takes these bytes, at once or in two pieces: asserts what [`End::step`] asserts, and that it comes to an end.
    fn hear(&self, bytes: &[u8], cut: usize) -> End {
        self.inputs.set(self.inputs.get() + 1);
        let mut end = self.new_end();
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let heard = end.hear(first).and_then(|()| end.hear(second));
        if heard.is_err() {
            assert_eq!(end.connection.held(), 0, "a failure holds nothing");
            assert!(end.hear(b"\0\x01x").is_err(), "what has ended stays so");
        }
        assert!(end.say().len() < 2_000, "it says no more than its words");
        end
    }

    fn every_cut_and_byte(&self, stride: usize) {
        let all = self.words.concat();
        for at in (0..all.len()).step_by(if self.scene.is_dear { stride } else { 1 }) {
            self.hear(&all[..at], at / 2);
        }
        let changes = (0..all.len()).flat_map(|at| (1..=255).map(move |change| (at, change)));
        for (at, change) in changes.step_by(stride) {
            let mut changed = all.clone();
            changed[at] ^= change;
            self.hear(&changed, at);
        }
    }

    /// Words of this or another listener, in any order, and lengths at the borders.
    fn many_changes(&self, others: &[Vec<u8>], count: u64) {
        with_seeds(count, |seed| {
            let mut chance = Chance::new(seed);
            let mut bytes = Vec::new();
            for word in &self.words {
                match chance.within(0..12) {
                    0 => bytes.extend_from_slice(&others[chance.within(0..others.len())]),
                    1 => {}
                    2 => bytes.extend(word.repeat(2)),
                    _ => bytes.extend_from_slice(word),
                }
            }
            for _ in 0..chance.within(1..4) {
                let at = chance.within(0..bytes.len().max(1));
                match chance.within(0..6) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, chance.next() as u8),
                    2 => drop(bytes.splice(at..at, frame_of_any_length(&mut chance))),
                    3 => drop(bytes.drain(at..(at + chance.within(1..20)).min(bytes.len()))),
                    _ => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = [0, 1, 2, 4, 6, 7, 0x7F, 0x80, 0xFE, 0xFF][chance.within(0..10)];
                        }
                    }
                }
            }
            let cut = chance.within(0..bytes.len() + 1);
            self.hear(&bytes, cut);
        });
    }

    /// A good peer gets through, whatever others have said before to others.
    fn a_good_one(&self) {
        let end = self.hear(&self.words.concat(), usize::MAX);
        assert_eq!(end.connection.stage(), Stage::Traffic, "{}", self.scene.name);
    }
}

/// The header of a frame of a length at some border, and some of its body.
fn frame_of_any_length(chance: &mut Chance) -> Vec<u8> {
    let borders = edges(LIMITS.message_bytes);
    let flags = chance.within(0..16) as u8;
    let len: u64 = borders[chance.within(0..borders.len())];
    let mut bytes = if flags & 2 != 0 {
        [&[flags][..], &len.to_be_bytes()].concat()
    } else {
        vec![flags, len as u8]
    };
    let names: [&[u8]; 8] = [
        b"\x05READY",
        b"\x05HELLO",
        b"\x07WELCOME",
        b"\x08INITIATE",
        b"\x07MESSAGE",
        b"\x04PING",
        b"\x05ERROR",
        b"",
    ];
    bytes.extend_from_slice(names[chance.within(0..names.len())]);
    bytes.resize(bytes.len() + chance.within(0..300), chance.next() as u8);
    bytes
}

#[test]
fn no_change_of_what_peers_say_does_any_harm() {
    let inputs = Cell::new(0);
    let (stride, many) = if cfg!(debug_assertions) {
        (97, 300)
    } else {
        (1, 700_000)
    };
    let all: Vec<[Vec<Vec<u8>>; 2]> = SCENES.iter().map(words).collect();
    let others: Vec<Vec<u8>> = all.iter().flatten().flatten().cloned().collect();
    for (scene, said) in SCENES.iter().zip(all) {
        let [by_dialed, by_accepted] = said;
        for (is_dialed, words) in [(false, by_dialed), (true, by_accepted)] {
            let listener = Listener {
                scene,
                is_dialed,
                words,
                inputs: &inputs,
            };
            let (stride, many) = match scene.is_dear {
                true => (stride * 60, many / 700),
                false => (stride, many),
            };
            listener.every_cut_and_byte(stride);
            listener.many_changes(&others, many);
            listener.a_good_one();
        }
    }
    println!("{} inputs", inputs.get());
    assert!(cfg!(debug_assertions) || inputs.get() > 5_000_000, "{}", inputs.get());
}

/// Boxes of which one byte is another, or which come in another order: of those that nobody has computed anew, none is
/// opened. Without a handshake for each there is time for all.
#[test]
fn no_change_of_a_sealed_stream_is_taken_for_a_message() {
    let (stride, seeds) = if cfg!(debug_assertions) { (31, 20) } else { (1, 100) };
    let inputs = Cell::new(0_u64);
    with_seeds(seeds, |seed| {
        let mut chance = Chance::new(seed);
        let boxed = |sealer: &mut super::super::sealing::Sealer, body: &[u8]| {
            let mut out = Vec::new();
            sealer.seal(&[IoSlice::new(&frame(0, body))], usize::MAX, &mut out);
            out
        };
        let key = || crate::cipher::BoxKey::from_bytes([seed as u8; 32]).messages(b"CurveZMQMESSAGEC");
        let mut sealer = super::super::sealing::Sealer::new(key(), 7);
        let words: Vec<_> = (0..4)
            .map(|n| boxed(&mut sealer, &vec![n; chance.within(0..40)]))
            .collect();
        let all = words.concat();
        let first = words[0].len();
        for (at, change) in (first..all.len())
            .flat_map(|at| (1..=255).map(move |change| (at, change)))
            .step_by(stride)
        {
            inputs.set(inputs.get() + 1);
            let mut changed = all.clone();
            changed[at] ^= change;
            let mut opener = super::super::sealing::Opener::new(key(), 6, LIMITS);
            let opened = opener.open(changed.into(), &mut Buffers::default());
            // The flag of commands on the outside says nothing.
            let is_outer_flag = change == 4
                && words
                    .iter()
                    .scan(0, |end, word| Some(std::mem::replace(end, *end + word.len())))
                    .any(|begin| begin == at);
            let whole = (0..words.len()).scan(0, |end, n| {
                *end += words[n].len();
                Some(*end)
            });
            let untouched = whole.take_while(|end| *end <= at).count();
            let expected: usize = words
                .iter()
                .take(if is_outer_flag { 4 } else { untouched })
                .map(|word| word.len() - 33)
                .sum();
            assert_eq!(opened.len(), expected, "{at} {change}");
        }
    });
    println!("{} inputs", inputs.get());
}

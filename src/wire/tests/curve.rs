//! CURVE as RFC 26 has it: each command taken apart, and made, by hand.

mod refusals;

use super::mechanisms::{client, ends, in_sealed_traffic, pairs, secret, server, transcript, transcript_of, with};
use super::*;
use crate::cipher::BoxKey;
use crate::keys::{PublicKey, SecretKey};
use crate::security::Curve;
use SocketType::{Dealer, Router};

/// The secret keys of a connection between the two that fit: long-term ones, and what [`End::new`] makes of its chance.
struct Secrets {
    client: SecretKey,
    server: SecretKey,
    clients_transient: SecretKey,
    servers_transient: SecretKey,
}

fn secrets() -> Secrets {
    Secrets {
        client: secret(2),
        server: secret(1),
        clients_transient: secret(7),
        servers_transient: secret(8),
    }
}

/// That of the boxes between these two.
fn key(ours: &SecretKey, theirs: &SecretKey) -> BoxKey {
    BoxKey::agreed(ours, &theirs.public()).unwrap()
}

fn nonce(name: &[u8], rest: &[u8]) -> [u8; 24] {
    [name, rest].concat().try_into().unwrap()
}

fn open(key: &BoxKey, name: &[u8], rest: &[u8], sealed: &[u8]) -> Vec<u8> {
    key.open(&nonce(name, rest), sealed).expect("it opens").to_vec()
}

/// A short nonce, and the box that was sealed with it.
fn sealed(key: &BoxKey, name: &[u8], number: u64, plain: &[u8]) -> Vec<u8> {
    let number = number.to_be_bytes();
    let mut out = number.to_vec();
    key.seal(&nonce(name, &number), plain, &mut out);
    out
}

/// The body of a frame.
fn body(frame: &[u8]) -> &[u8] {
    &frame[if frame[0] & 2 == 0 { 2 } else { 9 }..]
}

/// What follows a command's name.
fn data<'a>(frame: &'a [u8], name: &str) -> &'a [u8] {
    let (found, data) = body(frame).split_at(1 + name.len());
    assert_eq!(found, [&[name.len() as u8], name.as_bytes()].concat());
    data
}

/// The nonce of a MESSAGE.
fn number_of(message: &[u8]) -> u64 {
    let nonce = data(message, "MESSAGE").first_chunk();
    u64::from_be_bytes(*nonce.unwrap())
}

/// A MESSAGE made by hand: its flags, and what it says.
fn message(key: &BoxKey, name: &[u8; 16], number: u64, flags: u8, text: &[u8]) -> Vec<u8> {
    let plain = [&[flags][..], text].concat();
    let data = sealed(key, name, number, &plain);
    frame(0, &[b"\x07MESSAGE", &data[..]].concat())
}

const DEALER: &[u8] = b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0";
const ROUTER: &[u8] = b"\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0";

// -- what each command is

#[test]
fn hello_has_these_fields() {
    let [from_client, _] = transcript(&pairs()[1]);
    let it = secrets();

    let hello = &from_client[1];

    assert_eq!(body(hello).len(), 200);
    let data = data(hello, "HELLO");
    assert_eq!(data[..2], [1, 0]);
    assert_eq!(data[2..74], [0; 72]);
    assert_eq!(data[74..106], *it.clients_transient.public().as_bytes());
    let (number, signature) = data[106..].split_at(8);
    assert_eq!(signature.len(), 80);
    let key = key(&it.server, &it.clients_transient);
    assert_eq!(open(&key, b"CurveZMQHELLO---", number, signature), [0; 64]);
}

#[test]
fn welcome_has_these_fields() {
    let [_, from_server] = transcript(&pairs()[1]);
    let it = secrets();

    let welcome = &from_server[1];

    assert_eq!(body(welcome).len(), 168);
    let (number, sealed) = data(welcome, "WELCOME").split_at(16);
    assert_eq!(sealed.len(), 144);
    let plain = open(&key(&it.clients_transient, &it.server), b"WELCOME-", number, sealed);
    let (public, cookie) = plain.split_at(32);
    assert_eq!(public, it.servers_transient.public().as_bytes());
    let (number, sealed) = cookie.split_at(16);
    // The key of the cookie, which the server makes up.
    let kept = open(&BoxKey::from_bytes([8; 32]), b"COOKIE--", number, sealed);
    let both = [
        *it.clients_transient.public().as_bytes(),
        *it.servers_transient.as_bytes(),
    ];
    assert_eq!(kept, both.concat());
}

/// What was sealed in INITIATE, from the client that has this transient key.
fn initiate_of(initiate: &[u8], clients_transient: &SecretKey) -> Vec<u8> {
    let (number, sealed) = data(initiate, "INITIATE")[96..].split_at(8);
    let key = key(clients_transient, &secrets().servers_transient);
    open(&key, b"CurveZMQINITIATE", number, sealed)
}

#[test]
fn initiate_has_these_fields() {
    let [from_client, from_server] = transcript(&pairs()[1]);
    let it = secrets();

    let initiate = &from_client[2];

    assert_eq!(body(initiate).len(), 257 + DEALER.len());
    let (number, sealed) = data(&from_server[1], "WELCOME").split_at(16);
    let welcome = open(&key(&it.clients_transient, &it.server), b"WELCOME-", number, sealed);
    assert_eq!(data(initiate, "INITIATE")[..96], welcome[32..], "the cookie as it came");
    let plain = initiate_of(initiate, &it.clients_transient);
    assert_eq!(plain[..32], *it.client.public().as_bytes());
    let (number, vouch) = plain[32..128].split_at(16);
    let vouched = open(&key(&it.servers_transient, &it.client), b"VOUCH---", number, vouch);
    let both = [it.clients_transient.public(), it.server.public()].map(|key| *key.as_bytes());
    assert_eq!(vouched, both.concat());
    assert_eq!(plain[128..], *DEALER);
}

#[test]
fn a_vouch_has_a_nonce_of_the_connections_own_chance() {
    for chance in [7, 9] {
        let (mut a, b) = ends(&pairs()[1]);
        let mut fresh = Fresh::for_role(&a.role);
        fresh.as_mut().unwrap().fill(chance);
        let local = Arc::new(with(Dealer, &client()));
        a.connection = Connection::new(local, Side::Dialed, Form::Framed, fresh);

        let [from_client, _] = transcript_of(a, b);

        let plain = initiate_of(&from_client[2], &secret(chance));
        assert_eq!(plain[32..48], [chance; 16]);
    }
}

#[test]
fn ready_has_these_fields() {
    let [_, from_server] = transcript(&pairs()[1]);
    let it = secrets();

    let ready = &from_server[2];

    assert_eq!(body(ready).len(), 30 + ROUTER.len());
    let (number, sealed) = data(ready, "READY").split_at(8);
    let key = key(&it.clients_transient, &it.servers_transient);
    assert_eq!(open(&key, b"CurveZMQREADY---", number, sealed), ROUTER);
}

#[test]
fn a_message_has_these_fields() {
    let (mut a, mut b) = in_sealed_traffic();
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    for (end, name) in [(&mut a, b"CurveZMQMESSAGEC"), (&mut b, b"CurveZMQMESSAGES")] {
        for (flags, text) in [(0, &b""[..]), (MORE, b"text")] {
            let message = end.sealed(&frame(flags, text));

            assert_eq!(message[0], 0, "the frame is none of a command");
            assert_eq!(body(&message).len(), 33 + text.len());
            let (number, sealed) = data(&message, "MESSAGE").split_at(8);
            assert_eq!(open(&key, name, number, sealed), [&[flags][..], text].concat());
        }
    }

    // With the flag on the outside it is the same.
    let (mut a, mut b) = in_sealed_traffic();
    let mut first = a.sealed(&frame(0, b"text"));
    first[0] = 4;
    b.hear(&first).unwrap();
    assert_eq!(b.received(), [Message::from("text")]);
}

//! CURVE as RFC 26 has it: each command taken apart, and made, by hand.

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

// -- nonces

#[test]
fn nonces_count_the_commands_of_each_side() {
    let [from_client, from_server] = transcript(&pairs()[1]);
    let at = |frame: &[u8], name, at: usize| {
        let nonce = data(frame, name)[at..].first_chunk();
        u64::from_be_bytes(*nonce.unwrap())
    };
    assert_eq!(at(&from_client[1], "HELLO", 106), 1);
    assert_eq!(at(&from_client[2], "INITIATE", 96), 2);
    assert_eq!(at(&from_server[2], "READY", 0), 1);

    let (mut a, mut b) = in_sealed_traffic();
    for number in 0..10 {
        assert_eq!(number_of(&a.sealed(&frame(0, b"x"))), 3 + number);
        assert_eq!(number_of(&b.sealed(&frame(0, b"x"))), 2 + number);
    }
}

#[test]
fn behind_the_last_nonce_nothing_is_sealed() {
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    for name in [b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES"] {
        let mut sealer = Sealer::new(key.messages(name), u64::MAX - 1);
        let plain = frame(0, b"x");
        let mut seal = || {
            let mut out = Vec::new();
            let taken = sealer.seal(&[std::io::IoSlice::new(&plain)], usize::MAX, &mut out);
            (taken, out)
        };

        let (last, message) = seal();
        assert_eq!((last, number_of(&message)), (Some(plain.len()), u64::MAX - 1));
        for _ in 0..2 {
            assert_eq!(seal(), (None, Vec::new()));
        }
    }
}

/// An INITIATE with this nonce, whose boxes are right.
fn initiate(from_client: &[Vec<u8>], number: u64) -> Vec<u8> {
    let it = secrets();
    let plain = initiate_of(&from_client[2], &it.clients_transient);
    let key = key(&it.clients_transient, &it.servers_transient);
    let cookie = &data(&from_client[2], "INITIATE")[..96];
    let sealed = sealed(&key, b"CurveZMQINITIATE", number, &plain);
    command("INITIATE", &[cookie, &sealed].concat())
}

#[test]
fn a_client_that_uses_a_nonce_again_is_left() {
    let [from_client, _] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    // That of HELLO was 1.
    for (number, is_new) in [(0, false), (1, false), (2, true), (1_000, true)] {
        let (_, mut server) = ends(&pairs()[1]);
        server.hear(&from_client[..2].concat()).unwrap();
        assert_eq!(server.hear(&initiate(&from_client, number)).is_ok(), is_new, "{number}");
        assert_eq!(server.facts.is_some(), is_new, "{number}");
    }
    for (numbers, received) in [(&[3, 4][..], 2), (&[2], 0), (&[1], 0), (&[3, 3], 1), (&[3, 4, 3], 2)] {
        let (_, mut server) = ends(&pairs()[1]);
        server.hear(&from_client.concat()).unwrap();
        let said = numbers
            .iter()
            .map(|&number| message(&key, b"CurveZMQMESSAGEC", number, 0, b"x"));
        let heard = server.hear(&said.collect::<Vec<_>>().concat());
        assert_eq!(heard.is_ok(), received == numbers.len(), "{numbers:?}");
        assert_eq!(server.received().len(), received, "{numbers:?}");
    }
}

#[test]
fn a_server_that_uses_a_nonce_again_is_left() {
    let [_, from_server] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    for (numbers, received) in [(&[2, 3][..], 2), (&[1], 0), (&[0], 0), (&[2, 2], 1), (&[2, 3, 2], 2)] {
        let (mut client, _) = ends(&pairs()[1]);
        client.hear(&from_server.concat()).unwrap();
        let said = numbers
            .iter()
            .map(|&number| message(&key, b"CurveZMQMESSAGES", number, 0, b"x"));
        let heard = client.hear(&said.collect::<Vec<_>>().concat());
        assert_eq!(heard.is_ok(), received == numbers.len(), "{numbers:?}");
        assert_eq!(client.received().len(), received, "{numbers:?}");
    }
}

/// Each side begins with what it likes.
#[test]
fn the_first_nonce_may_be_any() {
    let it = secrets();
    let [from_client, from_server] = transcript(&pairs()[1]);
    for first in [0, 1, 2, 1 << 40] {
        let (_, mut server) = ends(&pairs()[1]);
        server.hear(&from_client[0]).unwrap();
        let hello = Hello {
            nonce: first,
            ..Hello::right()
        };
        server.hear(&hello.said()).unwrap();
        server.hear(&initiate(&from_client, first + 1)).unwrap();

        let (mut client, _) = ends(&pairs()[1]);
        client.hear(&from_server[..2].concat()).unwrap();
        let key = key(&it.clients_transient, &it.servers_transient);
        let ready = command("READY", &sealed(&key, b"CurveZMQREADY---", first, ROUTER));
        client.hear(&ready).unwrap();

        for (end, name) in [(&mut client, b"CurveZMQMESSAGES"), (&mut server, b"CurveZMQMESSAGEC")] {
            let number = if end.role.is_server() { first + 2 } else { first + 1 };
            end.hear(&message(&key, name, number, 0, b"first")).unwrap();
            assert_eq!(end.received(), [Message::from("first")]);
        }
    }
}

// -- what is refused

/// A HELLO, of which one thing may be another.
struct Hello<'a> {
    version: [u8; 2],
    padding: [u8; 72],
    key: PublicKey,
    nonce: u64,
    text: &'a [u8],
    sealed_for: PublicKey,
}

impl Hello<'_> {
    fn right() -> Self {
        let it = secrets();
        Hello {
            version: [1, 0],
            padding: [0; 72],
            key: it.clients_transient.public(),
            nonce: 1,
            text: &[0; 64],
            sealed_for: it.server.public(),
        }
    }

    fn said(&self) -> Vec<u8> {
        let key = BoxKey::agreed(&secrets().clients_transient, &self.sealed_for).unwrap();
        let sealed = sealed(&key, b"CurveZMQHELLO---", self.nonce, self.text);
        let data = [&self.version[..], &self.padding, self.key.as_bytes(), &sealed];
        command("HELLO", &data.concat())
    }
}

#[test]
fn a_hello_of_other_fields_is_refused() {
    let heard = |hello: &Hello<'_>| {
        let (mut client, mut server) = ends(&pairs()[1]);
        server.hear(&client.say()).unwrap();
        server.say();
        let heard = server.hear(&hello.said());
        (heard.is_ok(), server.say().len())
    };
    assert_eq!(heard(&Hello::right()), (true, 2 + 168));

    let padding = |at: usize| {
        let mut padding = [0; 72];
        padding[at] = 1;
        Hello {
            padding,
            ..Hello::right()
        }
    };
    let version = |version| Hello {
        version,
        ..Hello::right()
    };
    let another = secret(99).public();
    let wrong = [
        version([1, 1]),
        version([2, 0]),
        version([0, 1]),
        padding(0),
        padding(71),
        Hello {
            key: another,
            ..Hello::right()
        },
        Hello {
            text: &[1; 64],
            ..Hello::right()
        },
        Hello {
            text: &[0; 63],
            ..Hello::right()
        },
        Hello {
            sealed_for: another,
            ..Hello::right()
        },
    ];
    for (n, hello) in wrong.iter().enumerate() {
        assert_eq!(heard(hello), (false, 0), "{n}");
    }
}

#[test]
fn who_is_not_let_in_hears_error_and_nothing_else() {
    let others = Curve::server(secret(1)).allow([secret(99).public()]);
    let mut server = End::new(with(Router, &others), Side::Accepted);
    let [from_client, _] = transcript(&pairs()[1]);
    server.hear(&from_client[..2].concat()).unwrap();
    server.say();

    let failure = server.hear(&from_client[2]).unwrap_err();

    assert!(matches!(failure, Failure::NotAdmitted { .. }), "{failure}");
    assert_eq!(server.say(), b"\x04\x0a\x05ERROR\x03400");
}

/// An ERROR is the server's.
#[test]
fn a_client_says_no_error() {
    let [_, from_server] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    for (metadata, is_right) in [
        (ROUTER, true),
        (b"\x0bSocket-Type\0\0\0\x03PUB", false),
        (b"\x0bSocket-Type\0\0\0\x07ROUTER", false),
        (b"", false),
    ] {
        let (mut client, _) = ends(&pairs()[1]);
        client.hear(&from_server[..2].concat()).unwrap();
        client.say();

        let ready = command("READY", &sealed(&key, b"CurveZMQREADY---", 1, metadata));
        assert_eq!(client.hear(&ready).is_ok(), is_right);

        assert_eq!(client.say(), b"");
    }
}

#[test]
fn behind_ready_the_client_takes_messages_and_nothing_else() {
    let [_, from_server] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    let first = message(&key, b"CurveZMQMESSAGES", 2, 0, b"first");
    let (mut client, _) = ends(&pairs()[1]);
    client.hear(&from_server[..2].concat()).unwrap();

    // At once.
    client.hear(&[&from_server[2][..], &first].concat()).unwrap();

    assert_eq!(client.received(), [Message::from("first")]);
    let others = [
        from_server[2].clone(),
        command("READY", &sealed(&key, b"CurveZMQREADY---", 2, ROUTER)),
        command("ERROR", b"\x03400"),
        frame(0, b"in clear"),
        message(&key, b"CurveZMQMESSAGEC", 2, 0, b"of a client"),
    ];
    for other in others {
        let (mut client, _) = ends(&pairs()[1]);
        client.hear(&from_server.concat()).unwrap();
        assert!(client.hear(&other).is_err(), "{}", other.escape_ascii());
        assert!(client.received().is_empty());
    }
}

#[test]
fn reserved_flags_in_a_box_are_refused() {
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    for bit in 0..8 {
        let (_, mut server) = in_sealed_traffic();
        let said = message(&key, b"CurveZMQMESSAGEC", 3, 1 << bit, b"\x04PING\0\0");

        let heard = server.hear(&said);

        match bit {
            0 | 1 => heard.unwrap(),
            _ => assert!(
                matches!(heard, Err(Failure::Malformed { what: "MESSAGE", .. })),
                "{bit}: {heard:?}"
            ),
        }
    }
}

#[test]
fn a_malformed_command_is_not_answered() {
    let [from_client, _] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    let changed = |word: &[u8]| {
        let mut changed = word.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        changed
    };
    let right = message(&key, b"CurveZMQMESSAGEC", 3, 0, b"x");
    let wrong = [
        (1, changed(&from_client[1])),
        (2, changed(&from_client[2])),
        (3, changed(&right)),
        (3, message(&key, b"CurveZMQMESSAGEC", 3, 0x80, b"x")),
        (3, message(&key, b"CurveZMQMESSAGEC", 2, 0, b"x")),
        (3, frame(0, b"\x07MESSAGE")),
        (3, frame(0, b"x")),
    ];
    for (behind, wrong) in wrong {
        let mut server = End::new(with(Router, &server()), Side::Accepted);
        server.hear(&from_client[..behind].concat()).unwrap();
        server.say();

        assert!(server.hear(&wrong).is_err(), "{}", wrong.escape_ascii());

        assert_eq!(server.say(), b"", "{}", wrong.escape_ascii());
    }
}

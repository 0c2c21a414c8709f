//! PLAIN as RFC 24 has it: each word, and what may stand where.

use super::mechanisms::{ends, pairs, transcript, with};
use super::*;
use crate::failure::METADATA;
use crate::security::Plain;
use SocketType::{Dealer, Router};

/// Of a client and a server that fit, before their first word.
fn fitting() -> (End, End) {
    ends(&pairs()[0])
}

#[test]
fn a_plain_handshake_is_said_byte_by_byte() {
    let [from_client, from_server] = transcript(&pairs()[0]);

    let words: [&[u8]; 2] = [
        b"\x04\x0e\x05HELLO\x02me\x04word",
        b"\x04\x2c\x08INITIATE\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0",
    ];
    assert_eq!(from_client[1..], words);
    let words: [&[u8]; 2] = [
        b"\x04\x08\x07WELCOME",
        b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0",
    ];
    assert_eq!(from_server[1..], words);
}

#[test]
fn a_plain_client_that_is_refused_hears_error_and_nothing_else() {
    let (mut client, _) = fitting();
    let others = Plain::server().allow([("me", "another")]);
    let mut server = End::new(with(Router, &others), Side::Accepted);
    client.hear(&server.say()).unwrap();

    let failure = server.hear(&client.say()).unwrap_err();

    assert!(matches!(failure, Failure::NotAdmitted { .. }), "{failure}");
    assert_eq!(server.say(), b"\x04\x0a\x05ERROR\x03400");
}

#[test]
fn a_plain_server_looks_at_what_initiate_says() {
    let [from_client, _] = transcript(&pairs()[0]);
    for metadata in [
        &b"\x0bSocket-Type\0\0\0\x03PUB"[..],
        b"\x0bSocket-Type\0\0\0\x07DEALER",
        b"",
    ] {
        let (_, mut server) = fitting();
        server.hear(&from_client[..2].concat()).unwrap();

        let failure = server.hear(&command("INITIATE", metadata)).unwrap_err();

        let is_of_metadata = matches!(failure, Failure::Malformed { what: METADATA, .. });
        assert!(
            is_of_metadata || matches!(failure, Failure::IncompatibleSocketType { .. }),
            "{failure}"
        );
        assert!(server.facts.is_none());
    }
}

#[test]
fn a_message_before_its_time_ends_a_plain_handshake() {
    let [from_client, _] = transcript(&pairs()[0]);
    for heard in 1..=from_client.len() {
        let (_, mut server) = fitting();
        server.hear(&from_client[..heard].concat()).unwrap();

        let is_in_time = server.hear(&frame(0, b"x")).is_ok();

        assert_eq!(is_in_time, heard == from_client.len(), "behind {heard} words");
        assert_eq!(server.received().len(), usize::from(is_in_time));
    }
}

#[test]
fn messages_right_behind_ready_are_taken_under_plain() {
    let (mut client, _) = fitting();
    let [_, from_server] = transcript(&pairs()[0]);
    client.hear(&from_server[..2].concat()).unwrap();

    client
        .hear(&[&from_server[2][..], &frame(0, b"first")].concat())
        .unwrap();

    assert_eq!(client.received(), [Message::from("first")]);
}

/// An ERROR is the server's.
#[test]
fn a_plain_client_says_no_error() {
    let [_, from_server] = transcript(&pairs()[0]);
    for metadata in [
        &b"\x0bSocket-Type\0\0\0\x03PUB"[..],
        b"\x0bSocket-Type\0\0\0\x07DEALER",
        b"",
    ] {
        let (mut client, _) = fitting();
        client.hear(&from_server[..2].concat()).unwrap();
        client.say();

        client.hear(&command("READY", metadata)).unwrap_err();

        assert_eq!(client.say(), b"");
    }
}

#[test]
fn a_plain_welcome_has_no_data() {
    let [_, from_server] = transcript(&pairs()[0]);
    let mut client = End::new(with(Dealer, &pairs()[0].1), Side::Dialed);
    client.hear(&from_server[0]).unwrap();

    let failure = client.hear(&command("WELCOME", b"\0")).unwrap_err();

    assert!(
        matches!(failure, Failure::Malformed { what: "WELCOME", .. }),
        "{failure}"
    );
}

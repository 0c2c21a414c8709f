//! How two sides come to traffic, and how they do not.

use super::*;
use crate::failure::{METADATA, Stage};
use crate::identity::Identity;
use crate::options::Options;
use SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub};

const ALL: [SocketType; 11] = [Req, Rep, Dealer, Router, Pub, XPub, Sub, XSub, Push, Pull, Pair];

fn ends(dialed: SocketType, accepted: SocketType) -> (End, End) {
    (
        End::new(local(dialed), Side::Dialed),
        End::new(local(accepted), Side::Accepted),
    )
}

/// What libzmq sends at once: greeting and READY with the properties of its socket type.
fn libzmq(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut greeting = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL".to_vec();
    greeting.resize(64, 0);
    let mut metadata = Vec::new();
    for (name, value) in properties {
        metadata.push(name.len() as u8);
        metadata.extend_from_slice(name.as_bytes());
        metadata.extend_from_slice(&(value.len() as u32).to_be_bytes());
        metadata.extend_from_slice(value);
    }
    [greeting, command("READY", &metadata)].concat()
}

/// `zeromq-semantics.md` 3.4, byte for byte.
#[test]
fn ready_is_the_one_of_libzmq() {
    let mut dealer = End::new(local(Dealer), Side::Dialed);
    let mut publisher = End::new(local(Pub), Side::Dialed);
    let other = libzmq(&[]);
    for end in [&mut dealer, &mut publisher] {
        end.say();
        end.hear(&other[..64]).unwrap();
    }

    assert_eq!(
        dealer.say(),
        b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0"
    );
    assert_eq!(publisher.say(), b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB");
}

/// RFC 37: "property = name value", "name = OCTET 1*255name-char", "value = 4OCTET *OCTET".
#[test]
fn what_an_application_says_stands_behind_what_the_library_says() {
    let options = Options::default().metadata("X-Zone", "north").metadata("X-b", "");
    let mut push = End::new(Local::new(Push, &options), Side::Dialed);
    push.say();
    push.hear(&libzmq(&[])[..64]).unwrap();

    let ours = concat!("peermq/", env!("CARGO_PKG_VERSION"));
    let expected = libzmq(&[
        ("Socket-Type", b"PUSH"),
        ("Implementation", ours.as_bytes()),
        ("Heartbeat-Timeout", b"10000"),
        ("X-Zone", b"north"),
        ("X-b", b""),
    ]);
    assert_eq!(push.say(), expected[64..]);
}

#[test]
fn an_identity_of_255_bytes_takes_the_long_form() {
    let mut dealer = local(Dealer);
    dealer.identity = Identity::new([b'i'; 255]).ok();
    let (mut dealer, mut router) = (End::new(dealer, Side::Dialed), End::new(local(Router), Side::Accepted));

    pump(&mut dealer, &mut router, usize::MAX).unwrap();

    assert_eq!(router.facts.unwrap().identity, Identity::new([b'i'; 255]).ok());
}

#[test]
fn all_compatible_types_come_to_traffic_in_pieces_of_any_size() {
    for (dialed, accepted) in ALL.iter().flat_map(|&a| ALL.map(|b| (a, b))) {
        if !dialed.speaks_with(accepted) {
            continue;
        }
        for piece in [1, 2, 3, 7, 10, 63, 64, 65, usize::MAX] {
            let (mut a, mut b) = ends(dialed, accepted);

            pump(&mut a, &mut b, piece).unwrap();

            for (end, theirs) in [(&a, accepted), (&b, dialed)] {
                assert_eq!(end.connection.stage(), Stage::Traffic);
                assert!(end.connection.is_idle());
                assert_eq!(
                    end.facts,
                    Some(Facts {
                        socket_type: theirs,
                        identity: None,
                        version: (3, 1),
                        metadata: vec![],
                        user: None,
                    })
                );
            }
        }
    }
}

#[test]
fn a_handshake_may_be_split_at_every_point() {
    let bytes = libzmq(&[("Socket-Type", b"REQ"), ("Identity", b"me"), ("X-a", b"1")]);
    for (side, cut) in [Side::Dialed, Side::Accepted]
        .iter()
        .flat_map(|side| (0..=bytes.len()).map(move |cut| (*side, cut)))
    {
        let mut end = End::new(local(Router), side);
        end.hear(&bytes[..cut]).unwrap();
        assert_eq!(
            end.connection.stage(),
            match cut {
                0..64 => Stage::Greeting,
                cut if cut < bytes.len() => Stage::Ready,
                _ => Stage::Traffic,
            }
        );
        assert_eq!(end.connection.is_idle(), [0, 64, bytes.len()].contains(&cut));

        end.hear(&bytes[cut..]).unwrap();

        let facts = end.facts.unwrap();
        assert_eq!(facts.identity, Identity::new("me").ok());
        assert_eq!(facts.metadata.len(), 1);
    }
}

#[test]
fn the_accepting_side_says_ready_only_as_an_answer() {
    let (mut a, mut b) = ends(Push, Pull);
    let (greeting_a, greeting_b) = (a.say(), b.say());
    assert_eq!((greeting_a.len(), greeting_b.len()), (64, 64), "both at once");

    b.hear(&greeting_a).unwrap();
    assert!(b.say().is_empty());
    a.hear(&greeting_b).unwrap();
    let ready = a.say();
    b.read(&ready);
    assert!(matches!(b.step(PLENTY), Ok(Step::Ready(_))));
    assert!(b.say().is_empty(), "not before it is accepted");
    b.connection.accept();

    assert!(b.say().starts_with(b"\x04\x1a\x05READY"));
}

#[test]
fn incompatible_types_are_told_with_an_error() {
    for (dialed, accepted) in ALL.iter().flat_map(|&a| ALL.map(|b| (a, b))) {
        if dialed.speaks_with(accepted) {
            continue;
        }
        let (mut a, mut b) = ends(dialed, accepted);
        a.hear(&b.say()).unwrap();

        let failure = b.hear(&a.say()).unwrap_err();

        let (ours, theirs) = (accepted, dialed.to_string());
        assert_eq!(failure, Failure::IncompatibleSocketType { ours, theirs });
        let reason = format!("a {accepted} socket does not speak with {dialed}");
        assert_eq!(a.hear(&b.say()), Err(Failure::RefusedByPeer { reason }));
        assert!(a.say().is_empty() && b.say().is_empty());
    }
}

#[test]
fn the_dialing_side_says_error_to_a_peer_that_was_quicker() {
    let mut a = End::new(local(Push), Side::Dialed);
    let failure = a.hear(&libzmq(&[("Socket-Type", b"PUB")])).unwrap_err();
    assert!(matches!(failure, Failure::IncompatibleSocketType { ours: Push, .. }));
    let said = a.say();
    assert!(said[64..].starts_with(b"\x04\x1a\x05READY"));
    assert!(said.ends_with(b"\x05ERROR\x25a PUSH socket does not speak with PUB"));
}

#[test]
fn bad_metadata_is_told_with_an_error() {
    let bad: [&[(&str, &[u8])]; 5] = [
        &[],
        &[("Socket-Type", b"DEALER"), ("socket-TYPE", b"DEALER")],
        &[("Socket-Type", b"DEALER"), ("Identity", b"\0forged")],
        &[("Socket-Type", b"DEALER"), ("Identity", &[b'x'; 256])],
        &[("Socket-Type", b"DEALER"), ("bad name", b"")],
    ];
    for properties in bad {
        let mut end = End::new(local(Router), Side::Accepted);
        let failure = end.hear(&libzmq(properties)).unwrap_err();
        assert!(matches!(failure, Failure::Malformed { what: METADATA, .. }));
        assert!(end.say()[64 + 2..].starts_with(b"\x05ERROR"), "no READY before it");
    }
}

#[test]
fn a_peer_is_refused_with_a_reason_or_without() {
    for (error, said) in [(None, &b""[..]), (Some("full"), b"\x04\x0b\x05ERROR\x04full")] {
        let mut end = End::new(local(Pair), Side::Accepted);
        end.say();
        end.read(&libzmq(&[("Socket-Type", b"PAIR")]));
        assert!(matches!(end.step(PLENTY), Ok(Step::Ready(_))));

        end.connection.refuse(error);

        assert_eq!(end.say(), said);
        assert!(matches!(end.step(PLENTY), Err(Failure::Refused { .. })));
        assert_eq!(end.connection.stage(), Stage::Ready);
    }
}

#[test]
fn a_long_reason_is_cut() {
    let mut end = End::new(local(Pair), Side::Accepted);
    end.say();
    end.read(&libzmq(&[("Socket-Type", b"PAIR")]));
    end.step(PLENTY).unwrap();

    end.connection.refuse(Some(&"x".repeat(300)));

    let mut other = End::new(local(Pair), Side::Dialed);
    other.hear(&libzmq(&[])[..64]).unwrap();
    let failure = other.hear(&end.say()).unwrap_err();
    let reason = "x".repeat(128);
    assert_eq!(failure, Failure::RefusedByPeer { reason });
}

#[test]
fn traffic_right_behind_ready_is_taken() {
    let bytes = [libzmq(&[("Socket-Type", b"PUSH")]), frame(0, b"first")].concat();
    let mut end = End::new(local(Pull), Side::Accepted);
    end.hear(&bytes).unwrap();
    assert_eq!(end.received(), [Message::from("first")]);
}

#[test]
fn what_follows_ready_stays_until_the_verdict() {
    let mut end = End::new(local(Pull), Side::Accepted);
    end.read(&libzmq(&[("Socket-Type", b"PUSH")]));
    end.read(&frame(0, b"first"));
    assert!(matches!(end.step(PLENTY), Ok(Step::Ready(_))));
    assert_eq!(end.step(PLENTY), Ok(Step::Paused));
    assert_eq!(end.rest, frame(0, b"first"));
}

/// Every command that there is, in both places that a command can come to.
#[test]
fn threat_11_commands_have_their_places() {
    let commands = [
        "READY",
        "ERROR",
        "PING",
        "PONG",
        "SUBSCRIBE",
        "CANCEL",
        "JOIN",
        "LEAVE",
        "HELLO",
        "WELCOME",
        "INITIATE",
        "MESSAGE",
        "ready",
        "X",
    ];
    for name in commands {
        let bytes = command(name, b"\x02ab");
        let mut early = End::new(local(Pull), Side::Accepted);
        early.hear(&libzmq(&[])[..64]).unwrap();
        let mut traffic = End::in_traffic(LIMITS);

        let (before, after) = (early.hear(&bytes), traffic.hear(&bytes));

        let unexpected = |awaited| {
            let name = name.to_owned();
            Err(Failure::Unexpected { name, awaited })
        };
        let refused = Err(Failure::RefusedByPeer { reason: "ab".into() });
        let unknown = traffic.connection.unknown_commands();
        match name {
            "READY" => {
                assert!(matches!(before, Err(Failure::Malformed { what: METADATA, .. })));
                assert_eq!(after, unexpected("messages"));
            }
            "ERROR" => assert_eq!((before, after), (refused.clone(), refused)),
            "PING" | "PONG" => assert_eq!((before, after, unknown), (unexpected("READY"), Ok(()), 0)),
            _ => assert_eq!((before, after, unknown), (unexpected("READY"), Ok(()), 1), "{name}"),
        }
    }
}

#[test]
fn messages_before_ready_are_unexpected() {
    for flags in [0, 1, 2, 3] {
        let mut end = End::new(local(Pull), Side::Accepted);
        end.hear(&libzmq(&[])[..64]).unwrap();
        let failure = end.hear(&[flags, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap_err();
        assert!(matches!(failure, Failure::Unexpected { awaited: "READY", .. }));
    }
}

#[test]
fn the_handshake_has_a_limit_that_is_compared_first() {
    let most = LIMITS.handshake_bytes - 64 - 9;
    for (len, fits) in [(most, true), (most + 1, false), (1 << 31, false), (usize::MAX, false)] {
        let mut end = End::new(local(Pull), Side::Accepted);
        end.hear(&libzmq(&[])[..64]).unwrap();
        let header = [&[6][..], &(len as u64).to_be_bytes()].concat();

        let result = end.hear(&header);

        assert_eq!(result.is_ok(), fits);
        assert!(fits || matches!(result, Err(Failure::TooLarge { limit: 16_384, .. })));
        assert_eq!(end.connection.held(), 0);
    }
}

#[test]
fn the_mechanism_must_be_ours() {
    let mut bytes = libzmq(&[]);
    bytes[12..17].copy_from_slice(b"CURVE");
    let mut end = End::new(local(Pull), Side::Accepted);
    let theirs = "CURVE".to_owned();
    assert_eq!(
        end.hear(&bytes),
        Err(Failure::MechanismMismatch { ours: "NULL", theirs })
    );
    assert_eq!(end.connection.stage(), Stage::Greeting);
    assert_eq!(end.say().len(), 64, "nothing but the greeting");
}

/// RFC 37: "a peer SHALL accept higher protocol versions as valid".
#[test]
fn threat_38_a_peer_of_version_4_is_spoken_to() {
    let mut bytes = libzmq(&[("Socket-Type", b"PUSH")]);
    bytes[10] = 4;
    bytes[11] = 2;
    let mut end = End::new(local(Pull), Side::Accepted);
    end.hear(&bytes).unwrap();
    assert_eq!(end.facts.unwrap().version, (4, 2));
}

#[test]
fn threat_30_the_end_of_a_stream_is_in_order_only_between_messages() {
    let handshake = libzmq(&[("Socket-Type", b"PUSH")]);
    let traffic = [
        frame(1, b"ab"),
        command("PING", b"\0\0"),
        frame(0, b"c"),
        command("PING", b"\0\0"),
        frame(0, &[7; 300]),
    ];
    let borders = [
        0,
        frame(1, b"ab").len() + command("PING", b"\0\0").len() + frame(0, b"c").len(),
        traffic[..4].concat().len(),
        traffic.concat().len(),
    ];
    let all = [&handshake[..], &traffic.concat()].concat();
    let mut end = End::new(local(Pull), Side::Accepted);
    for (at, byte) in all.iter().enumerate() {
        let failure = end.connection.handle_end();
        match at.checked_sub(handshake.len()) {
            None => assert_eq!(failure, Failure::CutShort { what: "the handshake" }),
            Some(at) if borders.contains(&at) => assert_eq!(failure, Failure::ClosedByPeer),
            Some(at) => assert!(matches!(failure, Failure::CutShort { .. }), "at {at}"),
        }
        end.hear(&[*byte]).unwrap();
    }
    assert_eq!(end.connection.handle_end(), Failure::ClosedByPeer);
}

#[test]
fn a_connection_that_failed_stays_its_failure() {
    let mut end = End::new(local(Pull), Side::Accepted);
    let failure = end.hear(b"GET / HTTP/1.1\r\n").unwrap_err();
    assert_eq!(end.hear(b"more"), Err(failure.clone()));
    assert_eq!(end.connection.handle_end(), failure);
    let mut run = Run::default();
    assert_eq!(
        end.connection.handle_body(1, &mut Buffers::default(), &mut run),
        Err(failure)
    );
    assert!(end.connection.body_wanted().is_none());
}

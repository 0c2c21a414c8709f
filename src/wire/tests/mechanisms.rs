//! PLAIN and CURVE: how two sides come to traffic, and all that a stranger may try before and in it.

use super::*;
use crate::cipher::BoxKey;
use crate::cipher::tests::low_orders;
use crate::failure::Stage;
use crate::keys::{PublicKey, SecretKey};
use crate::security::{Curve, Plain, Security};
use SocketType::{Dealer, Pull, Push, Router};
use std::io::IoSlice;

pub(super) fn with(socket_type: SocketType, security: &Security) -> Local {
    Local {
        role: security.role.clone(),
        ..local(socket_type)
    }
}

pub(super) fn secret(byte: u8) -> SecretKey {
    SecretKey::from_bytes([byte; 32])
}

pub(super) fn server() -> Security {
    Curve::server(secret(1)).allow([secret(2).public()])
}

pub(super) fn client() -> Security {
    Curve::client(secret(2), secret(1).public())
}

/// Server and client that fit, of each mechanism.
pub(super) fn pairs() -> [(Security, Security); 2] {
    [
        (Plain::server().allow([("me", "word")]), Plain::client("me", "word")),
        (server(), client()),
    ]
}

/// A dealer that is the client, and a router that is the server, before their first word.
pub(super) fn ends((server, client): &(Security, Security)) -> (End, End) {
    (
        End::new(with(Dealer, client), Side::Dialed),
        End::new(with(Router, server), Side::Accepted),
    )
}

/// All that each side says until both are silent, one word after the other.
pub(super) fn transcript(pair: &(Security, Security)) -> [Vec<Vec<u8>>; 2] {
    let (a, b) = ends(pair);
    transcript_of(a, b)
}

pub(super) fn transcript_of(mut a: End, mut b: End) -> [Vec<Vec<u8>>; 2] {
    let (mut from_a, mut from_b) = (Vec::new(), Vec::new());
    loop {
        let (said_a, said_b) = (a.say(), b.say());
        if said_a.is_empty() && said_b.is_empty() {
            return [from_a, from_b];
        }
        b.hear(&said_a).unwrap();
        a.hear(&said_b).unwrap();
        from_a.extend(Some(said_a).filter(|said| !said.is_empty()));
        from_b.extend(Some(said_b).filter(|said| !said.is_empty()));
    }
}

impl End {
    /// What these messages are on the wire, from this side.
    pub(super) fn sealed(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match &mut self.sealer {
            Some(sealer) => {
                let pieces = [IoSlice::new(plain)];
                assert_eq!(sealer.seal(&pieces, usize::MAX, &mut out), Some(plain.len()));
            }
            None => out.extend_from_slice(plain),
        }
        out
    }
}

pub(super) fn in_sealed_traffic() -> (End, End) {
    let (mut a, mut b) = ends(&(server(), client()));
    pump(&mut a, &mut b, usize::MAX).unwrap();
    (a, b)
}

#[test]
fn both_come_to_traffic_in_pieces_of_any_size() {
    for (pair, piece) in pairs()
        .iter()
        .flat_map(|pair| [1, 3, 64, 200, usize::MAX].map(|piece| (pair, piece)))
    {
        let (mut a, mut b) = ends(pair);

        pump(&mut a, &mut b, piece).unwrap();

        for (end, theirs) in [(&a, Router), (&b, Dealer)] {
            assert_eq!(end.connection.stage(), Stage::Traffic);
            assert!(end.connection.is_idle());
            assert_eq!(end.facts.as_ref().map(|facts| facts.socket_type), Some(theirs));
        }
        assert!(a.facts.unwrap().user.is_none() && b.facts.unwrap().user.is_some());
    }
}

/// `zeromq-semantics.md` 3.7: the sizes of libzmq.
#[test]
fn what_is_said_is_as_long_as_libzmqs() {
    let [from_client, from_server] = transcript(&pairs()[1]);
    let metadata = b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0".len();
    let sizes = |said: &[Vec<u8>]| said.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&from_client), [64, 2 + 200, 9 + 257 + metadata]);
    assert_eq!(sizes(&from_server), [64, 2 + 168, 2 + 30 + metadata]);
    assert_eq!(from_client[1][..10], *b"\x04\xc8\x05HELLO\x01\0");
    assert_eq!(from_client[0][12..33], *b"CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(from_server[0][12..33], *b"CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01");
}

#[test]
fn threat_11_every_command_in_every_state_but_its_own_ends_it() {
    let names: [&[u8]; 8] = [
        b"HELLO",
        b"WELCOME",
        b"INITIATE",
        b"READY",
        b"MESSAGE",
        b"PING",
        b"SUBSCRIBE",
        b"ERROR",
    ];
    for pair in &pairs() {
        let transcript = transcript(pair);
        for (who, said_by_other) in [(0, &transcript[1]), (1, &transcript[0])] {
            let new = || if who == 0 { ends(pair).0 } else { ends(pair).1 };
            for heard in 1..said_by_other.len() {
                let own = &said_by_other[heard];
                for name in names {
                    let mut end = new();
                    end.hear(&said_by_other[..heard].concat()).unwrap();
                    let wrong = command(std::str::from_utf8(name).unwrap(), b"\x03abc");
                    let failure = end.hear(&wrong).unwrap_err();
                    let is_refusal = matches!(failure, Failure::RefusedByPeer { .. });
                    // Before a CURVE server has proved who it is, its ERROR is anybody's.
                    let is_proved = heard > 1 || pair.0.role.mechanism() == "PLAIN";
                    assert_eq!(is_refusal, who == 0 && name == b"ERROR" && is_proved, "{failure}");
                    assert!(end.facts.is_none() && end.received().is_empty());
                    // What ended stays so.
                    assert!(end.hear(own).is_err());
                }
                // A message, the same again, and what comes two words later.
                let repeated = &said_by_other[heard - 1];
                for wrong in [frame(0, b"x"), repeated.clone()] {
                    let mut end = new();
                    end.hear(&said_by_other[..heard].concat()).unwrap();
                    assert!(end.hear(&wrong).is_err(), "{}", wrong.escape_ascii());
                }
            }
        }
    }
}

#[test]
fn threat_20_no_byte_of_a_curve_handshake_may_be_another() {
    let pair = &pairs()[1];
    let transcript = transcript(pair);
    for (who, said) in [(0, &transcript[1]), (1, &transcript[0])] {
        for (at, word) in said.iter().enumerate().skip(1) {
            for (place, change) in (0..word.len()).flat_map(|place| [1, 0x80].map(|change| (place, change))) {
                let mut changed = word.clone();
                changed[place] ^= change;
                let mut end = if who == 0 { ends(pair).0 } else { ends(pair).1 };
                end.hear(&said[..at].concat()).unwrap();
                let heard = end.hear(&changed);
                // Cut short by what it says of its length it may wait for more.
                assert!(end.facts.is_none(), "{who} {at} {place}");
                // Of a key the highest bit is not looked at (RFC 7748): the vouch is not for such a one.
                let is_masked = who == 1 && at == 1 && (place, change) == (2 + 111, 0x80);
                if is_masked {
                    assert!(end.hear(&said[at + 1]).is_err());
                }
                assert!(
                    is_masked || heard.is_err() || place < 9,
                    "{who} {at} {place}: {heard:?}"
                );
            }
        }
    }
}

#[test]
fn threat_20_words_of_another_length_are_refused() {
    let pair = &pairs()[1];
    let [from_client, from_server] = transcript(pair);
    for (who, said) in [(0, &from_server), (1, &from_client)] {
        for (at, word) in said.iter().enumerate().skip(1) {
            let header = if word[0] & 2 == 0 { 2 } else { 9 };
            let body = &word[header..];
            let name = usize::from(body[0]) + 1;
            for len in (name..body.len()).chain([body.len() + 1]) {
                let mut other = body.to_vec();
                other.resize(len, 0);
                let mut end = if who == 0 { ends(pair).0 } else { ends(pair).1 };
                end.hear(&said[..at].concat()).unwrap();
                assert!(end.hear(&frame(4, &other)).is_err(), "{who} {at} {len}");
            }
        }
    }
}

/// A cookie is of one connection: another's, from the same server, will not do.
#[test]
fn threat_20_a_cookie_of_another_connection() {
    let (mut other, _) = ends(&(server(), client()));
    let mut elsewhere = End::new(with(Router, &server()), Side::Accepted);
    // The other connection has other chance.
    let mut fresh = Fresh::for_role(&elsewhere.role);
    fresh.as_mut().unwrap().fill(99);
    elsewhere.connection = Connection::new(Arc::new(with(Router, &server())), Side::Accepted, Form::Framed, fresh);
    elsewhere.hear(&other.say()).unwrap();
    other.hear(&elsewhere.say()).unwrap();
    elsewhere.hear(&other.say()).unwrap();
    other.hear(&elsewhere.say()).unwrap();
    let initiate = other.say();

    let [from_client, _] = transcript(&pairs()[1]);
    let mut end = End::new(with(Router, &server()), Side::Accepted);
    end.hear(&from_client[..2].concat()).unwrap();
    let failure = end.hear(&initiate).unwrap_err();
    assert!(
        matches!(failure, Failure::Unopened { what } if what.contains("cookie")),
        "{failure}"
    );
}

#[test]
fn threat_22_keys_that_agree_on_nothing() {
    for point in low_orders() {
        let [from_client, _] = transcript(&pairs()[1]);
        let mut hello = from_client[1].clone();
        hello[2 + 80..2 + 112].copy_from_slice(&point);
        // Sealed as by one who knows that all agree on zeros.
        let mut end = End::new(with(Router, &server()), Side::Accepted);
        end.hear(&from_client[0]).unwrap();
        let failure = end.hear(&hello).unwrap_err();
        assert!(
            matches!(failure, Failure::Unopened { what } if what.contains("none")),
            "{failure}"
        );

        let mut end = End::new(
            with(Dealer, &Curve::client(secret(2), PublicKey::from_bytes(point))),
            Side::Dialed,
        );
        assert!(end.hear(&from_client[0]).is_err());
        assert!(BoxKey::agreed(&secret(2), &PublicKey::from_bytes(point)).is_none());
    }
}

/// A client that holds C', and vouches with a key that it does not hold.
#[test]
fn the_vouch_is_of_this_connection_and_of_this_server() {
    // The vouch of a client that took another server for ours: recorded there, and sent on to ours.
    let there = (
        Curve::server(secret(7)).allow_any(),
        Curve::client(secret(2), secret(7).public()),
    );
    let [said_there, _] = transcript(&there);
    let [said_here, _] = transcript(&pairs()[1]);
    let mut end = End::new(with(Router, &server()), Side::Accepted);
    end.hear(&said_here[..2].concat()).unwrap();
    assert!(end.hear(&said_there[2]).is_err());
}

#[test]
fn messages_are_sealed_and_opened_in_pieces_of_any_size() {
    with_seeds(40, |seed| {
        let mut chance = Chance::new(seed);
        let (mut a, mut b) = in_sealed_traffic();
        let mut all = Vec::new();
        for _ in 0..chance.within(1..30) {
            let frames = (0..chance.within(1..4)).map(|_| {
                let len = [0, 1, 30, 222, 223, 300, 5_000, 70_000][chance.within(0..8)];
                vec![chance.next() as u8; len]
            });
            all.push(Message::from_frames(frames.collect::<Vec<_>>()).unwrap());
        }
        let bytes = a.sealed(&super::wire(&all));
        let mut rest = &bytes[..];
        let mut got = Vec::new();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(chance.within(1..20_000).min(rest.len()));
            let credit = Credit {
                messages: chance.within(1..4),
                bytes: usize::MAX,
            };
            b.hear_on(piece, credit).unwrap();
            got.extend(b.received());
            // What is left over is opened already, and taken before more is read.
            while !b.rest.is_empty() {
                b.hear_on(b"", PLENTY).unwrap();
                got.extend(b.received());
            }
            rest = behind;
        }
        assert_eq!(got, all);
        assert!(b.connection.is_idle());
    });
}

#[test]
fn commands_in_boxes_are_commands() {
    let (mut a, mut b) = in_sealed_traffic();
    let said = a.sealed(&[command("PING", b"\0\x05ctx"), frame(0, b"x")].concat());
    b.hear(&said).unwrap();
    assert_eq!(b.received(), [Message::from("x")]);
    assert_eq!(b.connection.poll_transmit().unwrap().1, command("PONG", b"ctx"));
}

#[test]
fn threat_19_nonces_count() {
    let (mut a, mut b) = in_sealed_traffic();
    let (one, two, three) = (
        a.sealed(&frame(0, b"1")),
        a.sealed(&frame(0, b"2")),
        a.sealed(&frame(0, b"3")),
    );
    b.hear(&[&one[..], &two[..], &three[..]].concat()).unwrap();
    assert_eq!(
        b.received(),
        [Message::from("1"), Message::from("2"), Message::from("3")]
    );

    // Again, in another order, or with one taken out.
    for wrong in [[&one, &one], [&one, &three], [&two, &one]] {
        let (_, mut other) = in_sealed_traffic();
        let failure = other.hear(&wrong.map(|word| &word[..]).concat()).unwrap_err();
        assert!(
            matches!(failure, Failure::Malformed { what: "MESSAGE", .. }),
            "{failure}"
        );
        assert!(other.received().len() <= 1);
    }
    let mut last = a.sealed(&frame(0, b"4"));
    last[10..18].fill(0xFF);
    assert!(b.hear(&last).is_err(), "changed");
}

#[test]
fn threat_20_no_byte_of_a_message_may_be_another() {
    let (mut a, _) = in_sealed_traffic();
    let good = a.sealed(&frame(0, b"before"));
    let word = a.sealed(&frame(0, &[7; 40]));
    for (place, change) in (0..word.len()).flat_map(|place| [1, 2, 4, 0x80].map(|change| (place, change))) {
        let mut changed = word.clone();
        changed[place] ^= change;
        let (_, mut b) = in_sealed_traffic();
        let heard = b.hear(&[&good[..], &changed[..]].concat());
        // With the flag of commands on the outside it is the same; a longer one is not whole.
        let is_same = place == 0 && change == 4;
        let is_longer = place == 1 && changed[1] > word[1];
        assert_eq!(heard.is_err(), !is_same && !is_longer, "{place} {change}: {heard:?}");
        let received = b.received();
        assert_eq!(received.len(), 1 + usize::from(is_same), "what came before is given");
        assert_eq!(received[0], "before");
    }
}

#[test]
fn a_box_is_a_message_and_has_its_flags() {
    let (_, b) = in_sealed_traffic();
    drop(b);
    for wrong in [
        frame(0, b"x"),
        frame(0, &[b"\x07MESSAGE", &[0; 25][..]].concat()),
        frame(0, &[b"\x07MESSAGE", &[1; 24][..]].concat()),
        frame(0, &[b"\x07MASSAGE", &[9; 30][..]].concat()),
        frame(MORE, &[b"\x07MESSAGE", &[9; 30][..]].concat()),
        command("PING", b"\0\0"),
        command("ERROR", b"\x03400"),
        command("READY", &[9; 40]),
        b"\x08\x21".to_vec(),
    ] {
        let (_, mut b) = in_sealed_traffic();
        assert!(b.hear(&wrong).is_err(), "{}", wrong.escape_ascii());
        assert_eq!(b.connection.held(), 0, "a failure holds nothing");
    }
}

#[test]
fn threat_01_a_box_over_the_limit_is_refused_by_its_header() {
    let mut small = with(Pull, &server());
    small.limits.message_bytes = 100_000;
    let (mut a, mut b) = (
        End::new(with(Push, &client()), Side::Dialed),
        End::new(small, Side::Accepted),
    );
    pump(&mut a, &mut b, usize::MAX).unwrap();
    for len in [100_000 + 33 + 1, 1 << 40, u64::MAX] {
        let (mut a, mut b) = (
            End::new(with(Push, &client()), Side::Dialed),
            End::new(
                Local {
                    limits: Limits {
                        message_bytes: 100_000,
                        ..LIMITS
                    },
                    ..with(Pull, &server())
                },
                Side::Accepted,
            ),
        );
        pump(&mut a, &mut b, usize::MAX).unwrap();
        let failure = b.hear(&[&[2][..], &len.to_be_bytes()].concat()).unwrap_err();
        assert!(matches!(failure, Failure::TooLarge { limit: 100_000, .. }), "{failure}");
    }
    let whole = a.sealed(&frame(0, &vec![1; 100_000]));
    b.hear(&whole).unwrap();
    assert_eq!(b.received().len(), 1);
    let over = a.sealed(&[frame(MORE, &vec![1; 60_000]), frame(0, &vec![1; 40_001])].concat());
    assert!(
        matches!(b.hear(&over), Err(Failure::TooLarge { .. })),
        "all frames together"
    );
}

#[test]
fn the_end_of_the_stream_in_the_middle_of_a_box() {
    let (mut a, mut b) = in_sealed_traffic();
    let word = a.sealed(&frame(0, b"x"));
    assert_eq!(b.connection.handle_end(), Failure::ClosedByPeer);
    b.hear(&word[..word.len() - 1]).unwrap();
    assert_eq!(b.connection.handle_end(), Failure::CutShort { what: "a message" });
}

/// What libzmq's PLAIN servers send: see `plain::parse`.
#[test]
fn libzmqs_way_of_refusing_is_understood() {
    let pair = &pairs()[0];
    let (mut a, _) = ends(pair);
    a.hear(&transcript(pair)[1][0]).unwrap();
    let failure = a.hear(b"\x04\x09^RROR\x03400").unwrap_err();
    assert_eq!(failure, Failure::RefusedByPeer { reason: "400".into() });
}

#[test]
fn a_plain_hello_is_exact() {
    let server = Plain::server().allow_any();
    for wrong in [&b""[..], b"\0", b"\x01a\x02b", b"\x01a\x01bc", b"\xffa\x01b"] {
        let mut end = End::new(with(Router, &server), Side::Accepted);
        end.hear(&transcript(&pairs()[0])[0][0]).unwrap();
        let failure = end.hear(&command("HELLO", wrong)).unwrap_err();
        assert!(matches!(failure, Failure::Malformed { what: "HELLO", .. }), "{failure}");
    }
}

/// All that a handshake says counts against one limit.
#[test]
fn threat_12_a_handshake_of_many_words_has_one_limit() {
    let mut narrow = with(Router, &server());
    narrow.limits.handshake_bytes = 64 + 202 + 200;
    let mut end = End::new(narrow, Side::Accepted);
    let [from_client, _] = transcript(&pairs()[1]);
    end.hear(&from_client[..2].concat()).unwrap();
    let failure = end.hear(&from_client[2]).unwrap_err();
    assert!(
        matches!(
            failure,
            Failure::TooLarge {
                what: "handshake bytes",
                ..
            }
        ),
        "{failure}"
    );
}

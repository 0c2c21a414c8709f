//! Single frames at their edges, commands among them, and credit.

use super::*;
use crate::batch::frame::{COMMAND, LONG};

const EDGES: [u64; 20] = edges(LIMIT);
const LIMIT: u64 = 100_000;

fn header(flags: u8, len: u64, long: bool) -> Option<Vec<u8>> {
    if long {
        return Some([&[flags | LONG][..], &len.to_be_bytes()].concat());
    }
    Some(vec![flags, u8::try_from(len).ok()?])
}

/// A command's body that means nothing, of this many bytes.
fn unknown_command(len: usize) -> Vec<u8> {
    let mut body = b"\x01X".to_vec();
    body.resize(len, 0);
    body
}

#[test]
fn threat_01_lengths_at_every_edge_in_either_form() {
    let limits = Limits {
        message_bytes: LIMIT,
        ..LIMITS
    };
    for (len, long) in EDGES.iter().flat_map(|&len| [(len, false), (len, true)]) {
        for flags in [0, MORE, COMMAND] {
            let Some(header) = header(flags, len, long) else {
                continue;
            };
            let case = format!("{len} long: {long} flags: {flags}");
            let mut end = End::in_traffic(limits);
            let limit = if flags == COMMAND { 65_536 } else { LIMIT };

            let heard = end.hear(&header);

            if len > limit {
                let Err(Failure::TooLarge {
                    limit: named, observed, ..
                }) = heard
                else {
                    panic!("{case}: {heard:?}");
                };
                assert_eq!((named, observed), (limit, len), "{case}");
                assert_eq!(end.connection.held(), 0, "{case}");
                continue;
            }
            if (flags, len) == (COMMAND, 0) {
                assert!(
                    matches!(heard, Err(Failure::Malformed { what: "command", .. })),
                    "{case}"
                );
                continue;
            }
            heard.unwrap();
            assert!(end.connection.held() <= FIRST_BODY + 32, "{case}");
            if flags == COMMAND {
                let end_of_name = end.hear(&unknown_command(len as usize)[..len as usize]);
                assert_eq!(end_of_name.is_ok(), len > 1, "{case}");
                assert_eq!(end.connection.unknown_commands(), u64::from(len > 1));
                continue;
            }
            end.hear(&vec![7; len as usize]).unwrap();
            if flags == MORE {
                assert!(end.received().is_empty());
                end.hear(&frame(0, b"")).unwrap();
            }
            let received = end.received();
            assert_eq!(received.len(), 1, "{case}");
            assert_eq!(received[0].first(), vec![7; len as usize], "{case}");
            assert!(end.connection.is_idle());
        }
    }
}

#[test]
fn threat_01_a_length_with_the_top_bit_is_too_large_under_any_limit() {
    let limits = Limits {
        message_bytes: u64::MAX,
        ..LIMITS
    };
    for len in [1 << 63, u64::MAX - 8, u64::MAX] {
        let heard = End::in_traffic(limits).hear(&header(0, len, true).unwrap());
        assert!(matches!(heard, Err(Failure::TooLarge { observed, .. }) if observed == len));
    }
    let mut end = End::in_traffic(limits);
    end.hear(&header(MORE, 10, true).unwrap()).unwrap();
    end.hear(&[0; 10]).unwrap();
    let heard = end.hear(&header(0, i64::MAX as u64 - 9, true).unwrap());
    assert!(matches!(heard, Err(Failure::TooLarge { .. })), "nor may a sum have it");
}

#[test]
fn threat_01_the_limit_is_of_all_frames_together() {
    let limits = Limits {
        message_bytes: 10,
        ..LIMITS
    };
    let fits = [frame(MORE, b"12345"), frame(0, b"67890"), frame(0, b"0123456789")].concat();
    let breaks = [frame(MORE, b"12345"), frame(0, b"678901")].concat();
    for piece in [1, 2, 3, usize::MAX] {
        let mut end = End::in_traffic(limits);
        fits.chunks(piece).for_each(|bytes| end.hear(bytes).unwrap());
        assert_eq!(end.received().len(), 2);

        let heard: Result<(), _> = breaks.chunks(piece).try_for_each(|bytes| end.hear(bytes));

        assert!(matches!(
            heard,
            Err(Failure::TooLarge {
                limit: 10,
                observed: 11,
                ..
            })
        ));
    }
}

#[test]
fn threat_03_the_number_of_frames_has_a_limit() {
    let limits = Limits { frames: 3, ..LIMITS };
    let message = |frames: usize| [frame(MORE, b"x").repeat(frames - 1), frame(0, b"x")].concat();
    for piece in [1, 5, usize::MAX] {
        let mut end = End::in_traffic(limits);
        message(3).chunks(piece).for_each(|bytes| end.hear(bytes).unwrap());
        assert_eq!(end.received().len(), 1);

        let heard: Result<(), _> = message(4).chunks(piece).try_for_each(|bytes| end.hear(bytes));

        assert!(matches!(
            heard,
            Err(Failure::TooLarge {
                limit: 3,
                observed: 4,
                ..
            })
        ));
    }
}

#[test]
fn threat_37_of_256_flags_six_are_taken() {
    for flags in 0..=255u8 {
        let body = b"\x01X_";
        let bytes = if flags & LONG == 0 {
            [&[flags, 3][..], body].concat()
        } else {
            [&[flags, 0, 0, 0, 0, 0, 0, 0, 3][..], body].concat()
        };
        let mut end = End::in_traffic(LIMITS);

        let heard = end.hear(&bytes);

        let good = [0, MORE, LONG, MORE | LONG, COMMAND, COMMAND | LONG].contains(&flags);
        assert_eq!(heard.is_ok(), good, "{flags}");
        assert!(good || matches!(heard, Err(Failure::Malformed { what: "frame", .. })));
    }
}

#[test]
fn messages_before_a_failure_are_delivered() {
    let mut end = End::in_traffic(LIMITS);
    assert!(
        end.hear(&[frame(0, b"a"), frame(0, b"b"), vec![0xFF; 9]].concat())
            .is_err()
    );
    assert_eq!(end.received(), [Message::from("a"), Message::from("b")]);
}

#[test]
fn commands_may_stand_between_the_frames_of_a_message() {
    let bytes = [
        frame(MORE, b"a"),
        command("PING", b"\0\0x"),
        frame(MORE, b""),
        command("X", b""),
        command("PONG", b"a context that is too long by far"),
        frame(0, b"c"),
    ]
    .concat();
    for cut in 0..bytes.len() {
        let mut end = End::in_traffic(LIMITS);
        end.hear(&bytes[..cut]).unwrap();
        end.hear(&bytes[cut..]).unwrap();
        assert_eq!(end.received(), [Message::from(["a", "", "c"])]);
        assert_eq!(end.say(), command("PONG", b"x"));
        assert_eq!(end.connection.unknown_commands(), 1);
    }
}

#[test]
fn threat_28_one_pong_waits_and_it_is_the_newest() {
    let mut end = End::in_traffic(LIMITS);
    for number in 0..100_u8 {
        end.hear(&command("PING", &[0, 9, number])).unwrap();
    }
    assert_eq!(end.say(), command("PONG", &[99]));
    assert_eq!(end.connection.poll_transmit(), None);
}

#[test]
fn a_sign_of_life_does_not_take_the_place_of_an_answer() {
    let mut end = End::in_traffic(LIMITS);
    for context in [&b"mq:?\0\0\0\x01"[..], b"mq:?\0\0\0\x02", b"a", b"b"] {
        end.hear(&command("PING", &[b"\0\0", context].concat())).unwrap();
    }
    let said = [command("PONG", b"mq:?\0\0\0\x02"), command("PONG", b"b")];
    assert_eq!(end.say(), said.concat());
}

#[test]
fn threat_28_a_ping_without_a_time_to_live_is_malformed() {
    let heard = End::in_traffic(LIMITS).hear(&command("PING", b"\0"));
    assert!(matches!(heard, Err(Failure::Malformed { what: "PING", .. })));
}

#[test]
fn credit_takes_exactly_that_many_messages() {
    let sent: Vec<Message> = ["a", "bb", "ccc", "dddd", "eeeee"].map(Message::from).to_vec();
    let bytes = wire(&sent);
    for messages in 0..=4 {
        let mut end = End::in_traffic(LIMITS);
        let credit = Credit { messages, ..PLENTY };

        end.hear_on(&bytes, credit).unwrap();

        assert_eq!(end.received(), sent[..messages]);
        assert_eq!(end.rest, wire(&sent[messages..]), "the rest stays");
        assert!(end.connection.is_idle());
        end.hear(b"").unwrap();
        assert_eq!(end.received(), sent[messages..]);
    }
    let mut end = End::in_traffic(LIMITS);
    end.hear_on(&bytes, Credit { messages: 5, ..PLENTY }).unwrap();
    assert!(
        end.rest.is_empty(),
        "five messages, credit for five: no more is held back"
    );
}

#[test]
fn bytes_of_credit_are_asked_before_a_message() {
    let bytes = wire(&vec![Message::from(vec![7; 36]); 5]);
    for (credit, messages) in [(0, 0), (1, 1), (100, 1), (101, 2), (200, 2), (201, 3)] {
        let mut end = End::in_traffic(LIMITS);
        let credit = Credit {
            bytes: credit,
            ..PLENTY
        };
        end.hear_on(&bytes, credit).unwrap();
        assert_eq!(end.received().len(), messages, "{credit:?}");
    }
}

#[test]
fn commands_need_no_credit() {
    let none = Credit { messages: 0, bytes: 0 };
    let mut end = End::in_traffic(LIMITS);
    let ping = command("PING", b"\0\0x");
    end.hear_on(&ping[..5], none).unwrap();
    end.hear_on(&[&ping[5..], &frame(0, b"later")].concat(), none).unwrap();
    assert_eq!(end.say(), command("PONG", b"x"));
    assert_eq!(end.rest, frame(0, b"later"));
    assert!(end.connection.is_idle());
}

#[test]
fn a_message_that_was_begun_is_finished_without_credit_and_counts_one() {
    let bytes = [
        frame(MORE, &[1; 300]),
        command("PING", b"\0\0"),
        frame(0, b"x"),
        frame(0, b"next"),
    ]
    .concat();
    let first = bytes.len() - frame(0, b"next").len();
    for cut in 1..first {
        for (messages, expected) in [(0, 1), (1, 1), (2, 2)] {
            let mut end = End::in_traffic(LIMITS);
            end.hear_on(&bytes[..cut], Credit { messages: 1, ..PLENTY }).unwrap();
            assert!(end.received().is_empty());

            end.hear_on(&bytes[cut..], Credit { messages, ..PLENTY }).unwrap();

            assert_eq!(end.received().len(), expected, "cut at {cut} with {messages}");
        }
    }
}

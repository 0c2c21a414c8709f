//! What a peer may try: no panic, no endless loop, no memory that it did not fill.

use super::*;

/// All that can be seen of how a connection took some bytes.
#[derive(Debug, PartialEq)]
struct Outcome {
    messages: Vec<Message>,
    failure: Failure,
    said: Vec<u8>,
    unknown: u64,
    facts: Option<Facts>,
}

fn outcome(mut end: End, pieces: &[&[u8]]) -> Outcome {
    let heard: Result<(), Failure> = pieces.iter().try_for_each(|piece| end.hear(piece));
    Outcome {
        failure: heard.err().unwrap_or_else(|| end.connection.handle_end()),
        messages: end.received(),
        said: end.say(),
        unknown: end.connection.unknown_commands(),
        facts: end.facts,
    }
}

/// Whole, and with the byte at `at` alone: the same comes of it.
fn same_in_any_pieces(new: impl Fn() -> End, bytes: &[u8], at: usize) -> Outcome {
    use Failure::{NotZmtp, OldVersion};
    let whole = outcome(new(), &[bytes]);
    let (before, after) = bytes.split_at(at);
    let (one, rest) = after.split_at(after.len().min(1));
    let mut pieces = outcome(new(), &[before, one, rest]);
    if let (NotZmtp { .. } | OldVersion { .. }, NotZmtp { .. } | OldVersion { .. }) = (&whole.failure, &pieces.failure)
    {
        // What a stranger looks like depends on how much of it came at once.
        pieces.failure = whole.failure.clone();
    }
    assert_eq!(pieces, whole, "at {at} of {}", bytes.escape_ascii());
    whole
}

fn every_truncation_and_change(new: impl Fn() -> End, bytes: &[u8]) {
    for at in 0..bytes.len() {
        same_in_any_pieces(&new, &bytes[..at], at / 2);
        for change in 1..=255 {
            let mut changed = bytes.to_vec();
            changed[at] ^= change;
            same_in_any_pieces(&new, &changed, at);
        }
    }
}

fn both_sides() -> [Side; 2] {
    [Side::Dialed, Side::Accepted]
}

#[test]
fn a_handshake_with_any_byte_changed_or_cut_anywhere() {
    for side in both_sides() {
        let mut dealer = local(SocketType::Dealer);
        dealer.identity = crate::identity::Identity::new("me").ok();
        let other = if side == Side::Dialed {
            Side::Accepted
        } else {
            Side::Dialed
        };
        let (mut a, mut b) = (End::new(dealer, other), End::new(local(SocketType::Router), side));
        // What the dealer says in all.
        let mut bytes = a.say();
        b.hear(&bytes).unwrap();
        a.hear(&b.say()).unwrap();
        a.rest.clear();
        bytes.extend(a.say());
        b.hear(&bytes[64..]).unwrap();
        a.hear(&b.say()).unwrap();
        bytes.extend(a.say());
        bytes.extend(frame(0, b"hi"));
        assert!(bytes.len() > 64 + 40, "greeting and READY");
        let new = || End::new(local(SocketType::Router), side);
        assert_eq!(same_in_any_pieces(new, &bytes, 70).messages, [Message::from("hi")]);

        every_truncation_and_change(new, &bytes);
    }
}

#[test]
fn messages_with_any_byte_changed_or_cut_anywhere() {
    let ten: [Vec<u8>; 10] = [
        frame(0, b""),
        frame(0, b"hello"),
        frame(0, &[7; 255]),
        frame(0, &[7; 256]),
        [frame(MORE, b"a"), frame(MORE, b""), frame(0, b"bc")].concat(),
        [frame(0, b"a"), command("PING", b"\0\x05ctx"), frame(0, b"b")].concat(),
        [
            frame(MORE, b"id"),
            frame(MORE, b""),
            command("PING", b"\0\0"),
            frame(0, &[9; 40]),
        ]
        .concat(),
        [&b"\x02\0\0\0\0\0\0\0\x03abc"[..], &frame(0, b"x")].concat(),
        [
            command("SUBSCRIBE", b"topic"),
            command("CANCEL", b"topic"),
            frame(0, b"x"),
        ]
        .concat(),
        frame(0, b"x").repeat(20),
    ];
    for bytes in ten {
        every_truncation_and_change(|| End::in_traffic(LIMITS), &bytes);
    }
}

#[test]
fn random_bytes() {
    with_seeds(2_000, |seed| {
        let mut chance = Chance::new(seed);
        let len = chance.within(0..400);
        // Mostly small bytes: those are flags and lengths that mean something.
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                if chance.once_in(4) {
                    chance.next() as u8
                } else {
                    chance.within(0..8) as u8
                }
            })
            .collect();
        let at = chance.within(0..len.max(1));
        same_in_any_pieces(|| End::in_traffic(LIMITS), &bytes, at);
    });
}

#[test]
fn threat_02_an_announced_gigabyte_costs_64_kib() {
    let mut end = End::in_traffic(LIMITS);
    end.hear(&[&[2][..], &(1_u64 << 30).to_be_bytes(), &[7]].concat())
        .unwrap();
    assert!(end.connection.held() <= FIRST_BODY + 64, "{}", end.connection.held());
    assert!(end.connection.body_wanted().unwrap().len() <= FIRST_BODY);
}

#[test]
fn an_announced_command_or_small_body_costs_what_came() {
    for flags in [2, 3, 6] {
        let mut end = End::in_traffic(LIMITS);
        end.hear(&[&[flags][..], &16_000_u64.to_be_bytes(), &[7]].concat())
            .unwrap();
        assert!(end.connection.held() <= 64, "{}", end.connection.held());
    }
}

/// Walked again at every byte, these would be ten thousand million headers.
#[test]
fn a_message_of_many_frames_that_comes_byte_by_byte_is_walked_once() {
    let frames = 65_536;
    let mut bytes = frame(MORE, b"x").repeat(frames - 1);
    bytes.extend(frame(0, b"x"));
    let mut end = End::in_traffic(LIMITS);
    for byte in &bytes {
        end.hear(&[*byte]).unwrap();
    }
    assert_eq!(end.received()[0].frame_count(), frames);
}

#[test]
fn threat_03_frames_that_never_end_meet_a_limit() {
    let mut end = End::in_traffic(LIMITS);
    let bytes = frame(MORE, b"").repeat(1_000);
    let failure = std::iter::repeat_with(|| end.hear(&bytes)).find_map(Result::err);
    assert!(matches!(failure, Some(Failure::TooLarge { limit: 65_536, .. })));
    assert_eq!(end.connection.held(), 0, "a failure holds nothing");
}

#[test]
fn a_message_of_many_medium_frames_is_not_copied_as_it_grows() {
    let body = vec![7; 16_000];
    let mut bytes = frame(MORE, &body).repeat(99);
    bytes.extend(frame(0, &body));
    let mut end = End::in_traffic(LIMITS);
    for piece in bytes.chunks(10_000) {
        end.hear(piece).unwrap();
        let held = end.connection.held();
        assert!(held <= end.heard + 4 * FIRST_BODY, "{held} for {}", end.heard);
    }
    assert_eq!(end.received()[0].frame_count(), 100);
}

/// T4: however short messages are, a limit in bytes is one of their number, too.
#[test]
fn threat_04_an_empty_message_weighs_64_bytes() {
    let mut end = End::in_traffic(LIMITS);
    let credit = Credit { bytes: 640, ..PLENTY };

    end.hear_on(&frame(0, b"").repeat(1_000), credit).unwrap();

    assert_eq!(end.received().len(), 10);
    assert_eq!(end.rest.len(), 2 * 990, "the rest stays where it is");
}

/// T36: nothing is ever unpacked, so nobody receives more than was sent.
#[test]
fn threat_36_what_is_received_is_no_more_than_what_came() {
    with_seeds(2_000, |seed| {
        let mut chance = Chance::new(seed);
        let bytes: Vec<u8> = (0..chance.within(0..400))
            .map(|_| match chance.once_in(4) {
                true => chance.next() as u8,
                false => chance.within(0..8) as u8,
            })
            .collect();
        let mut end = End::in_traffic(LIMITS);
        let _any = end.hear(&bytes);
        let received: usize = end.received().iter().map(Message::byte_count).sum();
        assert!(received <= bytes.len(), "{received} of {}", bytes.len());
    });
    // A mebibyte of zeros, as others would pack it: the beginnings of gzip, zlib, zstd and lz4.
    let packed: [&[u8]; 4] = [
        b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xed\xc1\x01\r\0\0\0\xc2\xa0\xf7Om\x0e7",
        b"\x78\xda\xed\xc1\x01\r\0\0\0\xc2\xa0\xf7Om\x0e7",
        b"\x28\xb5\x2f\xfd\xa4\0\0\x10\0T\0\0\x10\0\0\x01\0\xfb\xff9\xc0\x02",
        b"\x04\x22\x4d\x18\x64\x40\xa7\x1f\0\0\0\x1f\0\x01\0\xff\xff\xff",
    ];
    for packed in packed {
        let mut end = End::in_traffic(LIMITS);
        end.hear(&frame(0, packed)).unwrap();
        assert_eq!(end.received(), [Message::from(packed)]);
    }
}

//! Many messages in pieces of every kind: what was sent is what comes, in its order.

use super::mechanisms::{client, ends, server};
use super::*;
use crate::batch::frame::Header;
use crate::wire::AT_ONCE;
use crate::wire::inbox::OWN_BUFFER;

/// A frame's bytes: no two frames of a stream look alike.
fn body(chance: &mut Chance) -> Vec<u8> {
    let len = match chance.within(0..20) {
        0..10 => chance.within(0..80),
        10..16 => chance.one_of(&[0, 1, 254, 255, 256, 1_000]),
        16..19 => chance.within(0..9_000),
        _ => chance.one_of(&[OWN_BUFFER - 1, OWN_BUFFER, CHUNK - 1, CHUNK, CHUNK + 1, 200_000]),
    };
    let first = chance.next();
    (0..len).map(|at| (first as usize + at * 7) as u8).collect()
}

fn message(chance: &mut Chance) -> Message {
    let frames = if chance.once_in(3) { chance.within(1..7) } else { 1 };
    Message::from_frames((0..frames).map(|_| body(chance))).unwrap()
}

/// A stream of messages with PINGs between frames, and the contexts of those.
fn stream(chance: &mut Chance) -> (Vec<u8>, Vec<Message>, u8) {
    let mut bytes = Vec::new();
    let mut messages = Vec::new();
    let mut pings = 0;
    for _ in 0..chance.within(1..41) {
        let message = message(chance);
        let mut left = message.frame_count();
        for body in message.frames() {
            left -= 1;
            if chance.once_in(6) {
                pings += 1;
                bytes.extend_from_slice(&command("PING", &[0, 0, pings]));
            }
            bytes.extend_from_slice(&frame(if left > 0 { MORE } else { 0 }, body));
        }
        messages.push(message);
    }
    (bytes, messages, pings)
}

/// Hears a stream as a session would: what was not taken first, then a body or a chunk.
fn hear_in_pieces(end: &mut End, mut bytes: &[u8], chance: &mut Chance, mut got: impl FnMut(&mut End, Credit)) {
    let sizes = chance.one_of(&[1, 3, 64, 1_000, 20_000, CHUNK]);
    let straight = chance.once_in(2);
    while !bytes.is_empty() || !end.rest.is_empty() {
        let credit = Credit {
            messages: chance.within(0..5),
            bytes: chance.one_of(&[0, 1, 100, 100_000, usize::MAX]),
        };
        let piece = if end.rest.is_empty() {
            chance.within(1..sizes + 1)
        } else {
            0
        }
        .min(bytes.len());
        let rest = bytes;
        let (now, later) = bytes.split_at(piece);
        bytes = later;
        let is_straight = straight && end.rest.is_empty() && !now.is_empty();
        match is_straight.then(|| end.read_straight(now)).flatten() {
            Some((n, behind)) => {
                got(end, Credit { messages: 1, bytes: 1 });
                end.heard -= behind.len();
                bytes = rest.get(n..).unwrap_or_default();
                end.hear_on(&behind, credit).unwrap();
            }
            None => end.hear_on(now, credit).unwrap(),
        }
        got(
            end,
            Credit {
                // One that was begun on earlier credit may be added.
                messages: credit.messages.max(1),
                ..credit
            },
        );
    }
}

/// One that hears what the other seals.
fn sealed_in_traffic() -> (End, End) {
    let (mut a, mut b) = ends(&(server(), client()));
    pump(&mut a, &mut b, usize::MAX).unwrap();
    b.heard = 0;
    (a, b)
}

#[test]
fn what_was_sent_is_what_comes_in_any_pieces_on_any_credit() {
    with_seeds(120, |seed| {
        let mut chance = Chance::new(seed);
        let (bytes, messages, pings) = stream(&mut chance);
        let (bytes, mut end) = match chance.once_in(4) {
            false => (bytes, End::in_traffic(LIMITS)),
            true => {
                let (mut peer, end) = sealed_in_traffic();
                (peer.sealed(&bytes), end)
            }
        };
        let mut received = Vec::new();

        hear_in_pieces(&mut end, &bytes, &mut chance, |end, credit| {
            assert!(end.run.messages() <= credit.messages);
            received.extend(end.received());
        });

        assert!(received == messages);
        assert!(end.connection.is_idle() && end.connection.held() == 0);
        let pong = if pings == 0 { vec![] } else { command("PONG", &[pings]) };
        assert_eq!(end.say(), pong);
    });
}

#[test]
fn a_large_body_comes_through_input_or_straight_into_its_place() {
    for size in [OWN_BUFFER - 1, OWN_BUFFER, CHUNK, CHUNK + 1, 1 << 20] {
        let sent = vec![
            Message::from("before"),
            Message::from([vec![1; 10], vec![2; size], vec![], vec![3; size], vec![4; 5]]),
            Message::from(vec![5; size]),
            Message::from("after"),
        ];
        let bytes = wire(&sent);
        let mut through_input = End::in_traffic(LIMITS);
        for piece in bytes.chunks(50_000) {
            through_input.hear(piece).unwrap();
        }
        assert!(through_input.received() == sent);

        let mut straight = End::in_traffic(LIMITS);
        let mut rest = &bytes[..];
        let mut bodies = 0;
        while !rest.is_empty() {
            if let Some((n, behind)) = straight.read_straight(rest) {
                straight.hear(&behind).unwrap();
                rest = &rest[n..];
                bodies += 1;
            } else {
                let n = rest.len().min(10_000);
                straight.hear(&rest[..n]).unwrap();
                rest = &rest[n..];
            }
        }
        assert!(straight.received() == sent);
        assert_eq!(bodies > 0, size >= OWN_BUFFER);
    }
}

#[test]
fn large_bodies_in_a_row_are_one_read_each_into_the_memory_of_the_first() {
    let (size, messages) = (50_000, 5);
    let bytes = frame(0, &vec![7; size]).repeat(messages);
    let mut end = End::in_traffic(LIMITS);
    end.hear(&bytes[..9]).unwrap();
    let mut rest = &bytes[9..];
    let (mut places, mut others) = (Vec::new(), Vec::new());
    for _ in 0..messages {
        let (n, behind) = end.read_straight(rest).unwrap();
        rest = &rest[n..];
        let message = end.run.pop().unwrap();
        assert!(message == vec![7; size]);
        places.push(message.first().as_ptr());
        drop(message);
        // Takes the place of a body that nobody remembers.
        others.push(vec![0_u8; size]);
        end.hear(&behind).unwrap();
    }
    assert!(rest.is_empty() && end.connection.is_idle());
    assert_eq!(places, vec![places[0]; messages]);
}

/// Each is opened where it was read to, and handed on without a copy; the next has its place before that.
#[test]
fn large_sealed_bodies_in_a_row_are_one_read_each_into_the_memory_of_the_last_but_one() {
    let (size, messages) = (50_000, 5);
    let (mut peer, mut end) = sealed_in_traffic();
    let bytes = peer.sealed(&frame(0, &vec![7; size]).repeat(messages));
    end.hear(&bytes[..9]).unwrap();
    let mut rest = &bytes[9..];
    let (mut places, mut others) = (Vec::new(), Vec::new());
    for _ in 0..messages {
        let (n, opened) = end.read_straight(rest).unwrap();
        rest = &rest[n..];
        let place = opened.as_ptr();
        end.rest = opened;
        end.step(PLENTY).unwrap();
        let message = end.run.pop().unwrap();
        assert!(message == vec![7; size]);
        assert_eq!(message.first().as_ptr(), place.wrapping_add(9));
        places.push(place);
        drop(message);
        others.push(vec![0_u8; size]);
    }
    assert!(rest.is_empty() && end.connection.is_idle());
    assert_eq!(places[2..], places[..messages - 2]);
}

#[test]
fn a_large_sealed_body_that_was_changed_is_not_opened() {
    let (mut peer, mut end) = sealed_in_traffic();
    let good = peer.sealed(&frame(0, b"good"));
    let large = peer.sealed(&frame(0, &vec![7; 50_000]));
    for at in [9 + 7, 9 + 15, 9 + 16, 9 + 32, 30_000, large.len() - 1] {
        let (mut changed, mut end) = (large.clone(), sealed_in_traffic().1);
        changed[at] ^= 1;
        end.hear(&good).unwrap();
        end.hear(&changed[..9]).unwrap();

        let (n, opened) = end.read_straight(&changed[9..]).unwrap();

        assert_eq!((n, opened.len()), (changed.len() - 9, 0));
        let failure = end.hear(&good).unwrap_err();
        let why = failure.to_string();
        assert!(why.contains("MESSAGE") || why.contains("Unopened"), "{at}: {why}");
        assert!(end.received() == [Message::from("good")]);
        assert_eq!(end.connection.held(), 0);
    }

    end.hear(&[&good[..], &large, &good].concat()).unwrap_err();
    assert!(end.received() == [Message::from("good"), Message::from(vec![7; 50_000])]);
}

/// Where each of these frames ends.
fn ends_of_frames(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![0];
    while let Some(header) = bytes.get(ends[ends.len() - 1]..).and_then(Header::parse) {
        ends.push(ends[ends.len() - 1] + header.len + header.body as usize);
    }
    ends
}

/// Changes a byte, or takes out, repeats or exchanges whole frames.
fn forge(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let ends = ends_of_frames(bytes);
    let at = chance.within(0..ends.len() - 1);
    let (before, one) = (&bytes[..ends[at]], &bytes[ends[at]..ends[at + 1]]);
    let behind = &bytes[ends[at + 1]..];
    match chance.within(0..5) {
        0 => [before, behind].concat(),
        1 => [before, one, one, behind].concat(),
        2 => match ends.get(at + 2) {
            Some(&end) => [before, &bytes[ends[at + 1]..end], one, &bytes[end..]].concat(),
            None => [before, one, before].concat(),
        },
        kind => {
            let mut forged = bytes.to_vec();
            let head = (ends[at] + 45).min(ends[at + 1]);
            let place = match kind {
                3 => chance.within(ends[at]..head),
                _ => chance.within(ends[at]..ends[at + 1]),
            };
            forged[place] ^= 1 << chance.within(0..8);
            forged
        }
    }
}

/// Nothing else comes, and nothing twice, whatever somebody on the way does, and wherever the reads end.
#[test]
fn of_a_sealed_stream_that_was_forged_comes_what_stands_before() {
    with_seeds(60, |seed| {
        let mut chance = Chance::new(seed);
        let (bytes, messages, _) = stream(&mut chance);
        let (mut peer, mut end) = sealed_in_traffic();
        let forged = forge(&peer.sealed(&bytes), &mut chance);
        let sizes = chance.one_of(&[64, 1_000, 20_000, CHUNK]);
        let (mut rest, mut received) = (&forged[..], Vec::new());
        let credit = Credit {
            messages: chance.within(1..5),
            bytes: chance.one_of(&[1, 100, usize::MAX]),
        };
        loop {
            if rest.is_empty() && end.rest.is_empty() {
                break;
            }
            let straight = match end.rest.is_empty() && chance.once_in(2) {
                true => end.read_straight(rest),
                false => None,
            };
            let heard = match straight {
                Some((n, behind)) => {
                    rest = &rest[n..];
                    end.heard -= behind.len();
                    end.hear_on(&behind, credit)
                }
                None => {
                    let n = match end.rest.is_empty() {
                        true => chance.within(1..sizes + 1).min(rest.len()),
                        false => 0,
                    };
                    let (now, later) = rest.split_at(n);
                    rest = later;
                    end.hear_on(now, credit)
                }
            };
            received.extend(end.received());
            if heard.is_err() {
                break;
            }
        }
        assert!(received.len() <= messages.len() && received == messages[..received.len()]);
    });
}

#[test]
fn small_messages_behind_a_large_body_are_heard_with_it_and_do_not_hold_it() {
    let sent = [Message::from(vec![7; 50_000]), Message::from("abc"), Message::from("d")];
    let bytes = wire(&sent);
    let mut end = End::in_traffic(LIMITS);
    end.hear(&bytes[..9]).unwrap();

    let (n, behind) = end.read_straight(&bytes[9..]).unwrap();
    end.hear_on(&behind, Credit { messages: 1, bytes: 1 }).unwrap();

    assert_eq!((n, end.run.messages()), (50_000 + behind.len(), 2));
    end.hear_on(&bytes[9 + n..], PLENTY).unwrap();
    assert!(end.received() == sent);
}

#[test]
fn messages_that_lie_in_the_input_are_not_copied_and_a_cut_one_does_not_hold_its_chunk() {
    let mut end = End::in_traffic(LIMITS);
    let bytes = [frame(0, &[1; 20_000]), frame(0, &[2; 16_000])].concat();
    let chunk = end.buffers.chunks(CHUNK).room();
    let place = chunk.as_ptr();
    chunk[..25_000].copy_from_slice(&bytes[..25_000]);
    let mut input = end.buffers.chunks(CHUNK).take(25_000);

    let step = end
        .connection
        .handle_received(&mut input, PLENTY, &mut end.buffers, &mut end.run);

    assert_eq!(step, Ok(Step::More));
    let held = 25_000 - 20_009;
    assert!(
        (held..held + 16).contains(&end.connection.held()),
        "exactly what came: {}",
        end.connection.held()
    );
    let first = end.run.pop().unwrap();
    assert_eq!(first.first().as_ptr(), place.wrapping_add(9));
    drop((first, input));
    // Others use up the rest of it.
    drop(end.buffers.chunks(CHUNK).take(CHUNK - 25_000));
    assert_eq!(
        end.buffers.chunks(CHUNK).room().as_ptr(),
        place,
        "filled again, the cut message notwithstanding"
    );
    end.hear(&bytes[25_000..]).unwrap();
    assert!(end.received() == [Message::from(vec![2; 16_000])]);
}

#[test]
fn a_few_bytes_beside_long_commands_do_not_hold_their_chunk() {
    let mut end = End::in_traffic(LIMITS);
    let mut command = vec![4 | 2, 0, 0, 0, 0, 0, 0, 0xEA, 0x60, 4];
    command.extend(b"WHAT");
    command.resize(9 + 60_000, 0);
    let bytes = [frame(0, &[1; 100]), command, frame(0, &[2; 100])].concat();
    let chunk = end.buffers.chunks(CHUNK).room();
    let place = chunk.as_ptr();
    chunk[..bytes.len()].copy_from_slice(&bytes);
    let mut input = end.buffers.chunks(CHUNK).take(bytes.len());

    end.connection
        .handle_received(&mut input, PLENTY, &mut end.buffers, &mut end.run)
        .unwrap();

    drop(input);
    drop(end.buffers.chunks(CHUNK).take(CHUNK - bytes.len()));
    assert_eq!(
        end.buffers.chunks(CHUNK).room().as_ptr(),
        place,
        "filled again, though both are unread"
    );
    assert!(end.received() == [Message::from(vec![1; 100]), Message::from(vec![2; 100])]);
}

/// A read of 256 KiB may bring thirty thousand of them.
#[test]
fn of_many_commands_some_are_handled_at_once() {
    let mut end = End::in_traffic(LIMITS);
    let pings: Vec<u8> = (0..3_000u32)
        .flat_map(|n| [b"\x04\x0b\x04PING\0\0", &n.to_be_bytes()[..]].concat())
        .collect();
    let ping = pings.len() / 3_000;
    end.read(&[pings, frame(0, b"behind")].concat());
    end.heard += 3_000 * ping;

    for _ in 0..2 {
        let before = end.rest.len();
        assert_eq!(end.step(PLENTY), Ok(Step::Enough));
        assert_eq!(before - end.rest.len(), AT_ONCE as usize * ping);
    }
    assert_eq!(end.step(PLENTY), Ok(Step::More));

    assert_eq!(end.connection.commands(), 3_000);
    assert!(end.received() == [Message::from("behind")]);
}

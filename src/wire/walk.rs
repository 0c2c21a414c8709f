//! The walk over input that holds many whole messages.
//!
//! Looks at headers only, and never twice at the same one. What is not plainly a whole frame of a message within the
//! limits (a command, a frame that is cut, anything wrong) is where the walk stops, and somebody else's to look at.

use super::Credit;
use super::partial::check_flags;
use crate::batch::frame::{COMMAND, Header};
use crate::failure::Failure;
use crate::limit::Limit;
use crate::options::Limits;

/// What was walked of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) frames: usize,
    /// Bytes of the bodies.
    pub(super) payload: usize,
}

impl Seen {
    /// This message with one more frame, if the limits allow a frame with this header.
    pub(super) fn with(self, header: &Header, limits: &Limits) -> Result<Seen, Failure> {
        check_flags(header.flags)?;
        if self.frames >= limits.frames {
            return Err(Failure::too_large(
                Limit::Frames,
                limits.frames as u64,
                self.frames as u64 + 1,
            ));
        }
        let limit = limits.message_bytes.min(ADDRESSABLE);
        let so_far = self.payload as u64;
        match usize::try_from(header.body) {
            Ok(body) if header.body <= limit.saturating_sub(so_far) => Ok(Seen {
                frames: self.frames + 1,
                payload: self.payload + body,
            }),
            _ => Err(Failure::too_large(
                Limit::MessageSize,
                limit,
                so_far.saturating_add(header.body),
            )),
        }
    }
}

/// How far a walk came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Walk {
    /// Up to here the input holds whole messages; the first may be the rest of one that was begun earlier.
    pub(super) whole: usize,
    pub(super) messages: usize,
    /// Bytes of their bodies, of the one begun earlier all.
    pub(super) payload: usize,
    /// Up to here it holds whole frames: those behind `whole` belong to a message that is not.
    pub(super) frames: usize,
    /// That message.
    pub(super) seen: Option<Seen>,
    pub(super) stop: Stop,
}

/// Why a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The input is used up.
    End,
    /// A message follows, and there is no credit for it.
    NoCredit,
    /// A frame follows that is to be looked at more closely.
    Frame,
}

/// Walks from a border of two frames on; `begun` is the message that the border lies in.
pub(super) fn walk(input: &[u8], begun: Option<Seen>, credit: Credit, limits: &Limits) -> Walk {
    let shortest_limit = u8::try_from(limits.message_bytes).unwrap_or(u8::MAX);
    let mut left = credit;
    let mut rest = input;
    let mut seen = begun;
    let mut walked = Walk {
        whole: 0,
        messages: 0,
        payload: 0,
        frames: 0,
        seen: None,
        stop: Stop::End,
    };
    loop {
        if seen.is_none() {
            // The many: one short frame each.
            while !left.is_spent()
                && let [0, len, tail @ ..] = rest
                && *len <= shortest_limit
                && let Some(next) = tail.get(usize::from(*len)..)
            {
                left.spend(1, usize::from(*len));
                walked.messages += 1;
                walked.payload += usize::from(*len);
                rest = next;
            }
            walked.whole = input.len() - rest.len();
            walked.frames = walked.whole;
            walked.stop = match rest.first() {
                None => Stop::End,
                Some(flags) if flags & COMMAND != 0 => Stop::Frame,
                Some(_) if left.is_spent() => Stop::NoCredit,
                Some(_) => Stop::Frame,
            };
            if walked.stop != Stop::Frame {
                return walked;
            }
        }
        match walk_message(rest, seen.take().unwrap_or_default(), limits) {
            (after, seen, Border::Message) => {
                left.spend(1, seen.payload);
                walked.messages += 1;
                walked.payload += seen.payload;
                rest = after;
            }
            (after, seen, Border::Frame) => {
                walked.frames = input.len() - after.len();
                walked.seen = (seen.frames > 0).then_some(seen);
                walked.stop = if after.is_empty() { Stop::End } else { Stop::Frame };
                return walked;
            }
        }
    }
}

/// Which border a walk over one message came to.
enum Border {
    Message,
    Frame,
}

/// Walks over the frames of one message, of which `seen` was walked before.
fn walk_message<'a>(mut rest: &'a [u8], mut seen: Seen, limits: &Limits) -> (&'a [u8], Seen, Border) {
    loop {
        let next = Header::parse(rest)
            .filter(|header| !header.is_command())
            .and_then(|header| {
                let with = seen.with(&header, limits).ok()?;
                let after = rest.get(header.len..)?.get(with.payload - seen.payload..)?;
                Some((header, with, after))
            });
        let Some((header, with, after)) = next else {
            return (rest, seen, Border::Frame);
        };
        (seen, rest) = (with, after);
        if !header.has_more() {
            return (rest, seen, Border::Message);
        }
    }
}

/// What one body can be at all; the top bit of a length is reserved.
const ADDRESSABLE: u64 = isize::MAX as u64;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::wire::tests::{LIMITS, PLENTY};

    const TWO: &[u8] = b"\0\x03abc\x01\x01x\0\x02yz";

    #[test]
    fn whole_messages_are_counted() {
        let walked = walk(TWO, None, PLENTY, &LIMITS);
        assert_eq!((walked.whole, walked.messages, walked.payload), (TWO.len(), 2, 6));
        assert_eq!((walked.stop, walked.seen), (Stop::End, None));
    }

    #[test]
    fn a_walk_ends_at_a_border_and_is_taken_up_there() {
        for cut in 0..TWO.len() {
            let first = walk(&TWO[..cut], None, PLENTY, &LIMITS);
            assert!(first.whole <= first.frames && first.frames <= cut);
            assert_eq!(first.stop == Stop::End, first.frames == cut);

            let second = walk(&TWO[first.frames..], first.seen, PLENTY, &LIMITS);

            assert_eq!(first.messages + second.messages, 2, "{cut}");
            assert_eq!(first.payload + second.payload, 6);
        }
    }

    #[test]
    fn credit_is_asked_before_a_message_and_not_within_one() {
        let credit = |messages, bytes| Credit { messages, bytes };
        for (credit, messages, stop) in [
            (credit(0, 1), 0, Stop::NoCredit),
            (credit(1, 0), 0, Stop::NoCredit),
            (credit(1, 1), 1, Stop::NoCredit),
            (credit(2, 67), 1, Stop::NoCredit),
            (credit(2, 68), 2, Stop::End),
        ] {
            let walked = walk(TWO, None, credit, &LIMITS);
            assert_eq!((walked.messages, walked.stop), (messages, stop));
        }
        let begun = walk(&TWO[5..8], None, PLENTY, &LIMITS).seen;
        let rest = walk(&TWO[8..], begun, credit(0, 0), &LIMITS);
        assert_eq!((rest.messages, rest.payload, rest.stop), (1, 3, Stop::End));
    }

    #[test]
    fn a_command_ends_the_walk_without_credit_too() {
        let walked = walk(b"\x04\x05\x04PONG", None, Credit { messages: 0, bytes: 0 }, &LIMITS);
        assert_eq!((walked.whole, walked.stop), (0, Stop::Frame));
    }

    #[test]
    fn limits_end_the_walk_before_the_frame_that_breaks_them() {
        let small = Limits {
            message_bytes: 2,
            frames: 1,
            ..LIMITS
        };
        assert_eq!(walk(b"\0\x02ab\0\x03abc", None, PLENTY, &small).whole, 4);
        let two_frames = walk(b"\x01\0\0\0", None, PLENTY, &small);
        assert_eq!((two_frames.frames, two_frames.stop), (2, Stop::Frame));
        assert!(
            two_frames
                .seen
                .unwrap()
                .with(
                    &Header {
                        flags: 0,
                        len: 2,
                        body: 0
                    },
                    &small
                )
                .is_err()
        );
    }
}

//! Where a stream of frames becomes whole messages and commands.
//!
//! Whole messages that lie in the input are split off in one go, without copying; of a message that the input ends in,
//! what came is copied, so that the chunk it came in is free again. What is kept grows with what has come. A run only
//! ever gets whole messages; what commands mean is not known here.

use super::partial::{LargeBody, PartialCommand, PartialHeader, check_flags};
use super::walk::{Seen, Stop, walk};
use super::{Credit, Local};
use crate::batch::buffers::FEW;
use crate::batch::frame::{Header, MORE, header_len, put_header};
use crate::batch::{Buffers, Run};
use crate::failure::Failure;
use crate::limit::Limit;
use bytes::{Buf, Bytes};
use std::sync::Arc;

/// The receiving end of a connection in traffic. It owns no memory at a border of two messages.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Which limits there are.
    local: Arc<Local>,
    /// The message that we are in the middle of: from its first whole header to its end.
    begun: Option<Begun>,
    /// The frame that we are in the middle of, be it a message's or a command.
    cut: Cut,
}

/// What stopped [`Inbox::take`].
#[derive(Debug)]
pub(super) enum Taken {
    /// All of the input was used up.
    All,
    /// A message follows, and there is no credit for it.
    NoCredit,
    /// The body of a command; more input may follow it.
    Command(Bytes),
}

/// Invariant: in `Body` and `Large` there is a message begun, and the frame is counted in it.
#[derive(Debug)]
enum Cut {
    /// At a border of two frames.
    None,
    Header(PartialHeader),
    /// A body that is kept with the small frames; `left` bytes of it are still to come.
    Body {
        left: usize,
        more: bool,
    },
    /// A body from [`OWN_BUFFER`] on.
    Large {
        body: LargeBody,
        more: bool,
    },
    Command(PartialCommand),
}

impl Inbox {
    pub(super) fn new(local: Arc<Local>) -> Self {
        Inbox {
            local,
            begun: None,
            cut: Cut::None,
        }
    }

    /// Takes of the input up to the next command; messages go to `run` and are taken off `left`.
    pub(super) fn take(
        &mut self,
        input: &mut Bytes,
        left: &mut Credit,
        buffers: &mut Buffers,
        run: &mut Run,
    ) -> Result<Taken, Failure> {
        loop {
            match &mut self.cut {
                Cut::None => match self.walk(input, left, run) {
                    Stop::End => return Ok(Taken::All),
                    Stop::NoCredit => return Ok(Taken::NoCredit),
                    Stop::Frame => self.cut = Cut::Header(PartialHeader::default()),
                },
                Cut::Header(header) => {
                    let Some(header) = header.fill(input) else {
                        return Ok(Taken::All);
                    };
                    self.cut = self.open_frame(header, input.len(), buffers)?;
                }
                Cut::Body { left: missing, more } => {
                    let more = *more;
                    let taken = input.split_to((*missing).min(input.len()));
                    *missing -= taken.len();
                    let whole = *missing == 0;
                    let frames = &mut self.begun.get_or_insert_default().frames;
                    if whole && !more {
                        frames.reserve_exact(taken.len());
                    }
                    frames.extend_from_slice(&taken);
                    if !whole {
                        return Ok(Taken::All);
                    }
                    self.close_frame(more, left, run);
                }
                Cut::Large { body, .. } => {
                    body.fill(input);
                    if !self.close_large(left, buffers, run) {
                        return Ok(Taken::All);
                    }
                }
                Cut::Command(command) => {
                    let Some(body) = command.fill(input) else {
                        return Ok(Taken::All);
                    };
                    self.cut = Cut::None;
                    return Ok(Taken::Command(body));
                }
            }
        }
    }

    /// Where the rest of a large body goes, if we are in the middle of one.
    pub(super) fn body_wanted(&mut self) -> Option<&mut [u8]> {
        match &mut self.cut {
            Cut::Large { body, .. } => Some(body.room()),
            _ => None,
        }
    }

    /// `n` bytes were put there. Gives what lies behind the body: the next input.
    pub(super) fn handle_body(&mut self, n: usize, buffers: &mut Buffers, run: &mut Run) -> Bytes {
        let Cut::Large { body, .. } = &mut self.cut else {
            return Bytes::new();
        };
        let behind = body.handle_filled(n);
        // The credit for this message was looked at when it was begun.
        let mut spent = Credit { messages: 0, bytes: 0 };
        self.close_large(&mut spent, buffers, run);
        behind
    }

    /// What the stream would be cut in if it ended here; `None` at a border of two messages.
    pub(super) fn in_the_middle_of(&self) -> Option<&'static str> {
        match (&self.begun, &self.cut) {
            (None, Cut::None) => None,
            (None, Cut::Command(_)) => Some("a command"),
            (None, Cut::Header(_)) => Some("a frame header"),
            _ => Some("a message"),
        }
    }

    /// Bytes that are held for what is not whole.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        let cut = match &self.cut {
            Cut::Large { body, .. } => body.held(),
            Cut::Command(command) => command.held(),
            Cut::None | Cut::Header(_) | Cut::Body { .. } => 0,
        };
        let begun = self.begun.as_ref();
        cut + begun.map_or(0, |begun| {
            begun.frames.capacity() + begun.parts.iter().map(Bytes::len).sum::<usize>()
        })
    }

    /// Splits off the whole messages at the front, and keeps a copy of whole frames behind them.
    fn walk(&mut self, input: &mut Bytes, left: &mut Credit, run: &mut Run) -> Stop {
        let begun = self.begun.as_ref().map(|begun| begun.seen);
        let walked = walk(input, begun, *left, &self.local.limits);
        if walked.messages > 0 {
            if let Some(begun) = self.begun.take() {
                begun.push_to(run);
            }
            run.push_part(match input.get(..walked.whole) {
                // Split off, a few bytes between commands would keep the chunk that they came in.
                Some(few) if few.len() < FEW => {
                    let few = Bytes::copy_from_slice(few);
                    input.advance(few.len());
                    few
                }
                _ => input.split_to(walked.whole),
            });
            run.count(walked.messages, walked.payload);
            left.spend(walked.messages, walked.payload);
        }
        let kept = walked.frames - walked.whole;
        if kept > 0 {
            let begun = self.begun.get_or_insert_default();
            begun.frames.extend_from_slice(input.get(..kept).unwrap_or_default());
            begun.seen = walked.seen.unwrap_or_default();
            begun.part_if_long();
            input.advance(kept);
        }
        walked.stop
    }

    /// What follows a header of which the next `came` bytes at most are there already.
    fn open_frame(&mut self, header: Header, came: usize, buffers: &mut Buffers) -> Result<Cut, Failure> {
        check_flags(header.flags)?;
        if header.is_command() {
            return match usize::try_from(header.body) {
                Ok(total) if total <= COMMAND_BYTES => Ok(Cut::Command(PartialCommand::new(total))),
                _ => Err(Failure::too_large(Limit::Command, COMMAND_BYTES as u64, header.body)),
            };
        }
        let before = self.begun.as_ref().map(|begun| begun.seen).unwrap_or_default();
        let seen = before.with(&header, &self.local.limits)?;
        let body = seen.payload - before.payload;
        let more = header.has_more();
        let begun = self.begun.get_or_insert_default();
        begun.seen = seen;
        if body >= OWN_BUFFER {
            put_header(&mut begun.frames, header.flags & MORE, body);
            begun.part();
            return Ok(Cut::Large {
                body: LargeBody::new(body, buffers),
                more,
            });
        }
        if begun.frames.is_empty() {
            begun.frames.reserve_exact(header_len(body) + body.min(came));
        }
        put_header(&mut begun.frames, header.flags & MORE, body);
        Ok(Cut::Body { left: body, more })
    }

    /// A frame of the message that was begun is whole, and with the last one the message.
    fn close_frame(&mut self, more: bool, left: &mut Credit, run: &mut Run) {
        self.cut = Cut::None;
        if more {
            if let Some(begun) = &mut self.begun {
                begun.part_if_long();
            }
        } else if let Some(begun) = self.begun.take() {
            let payload = begun.seen.payload;
            begun.push_to(run);
            run.count(1, payload);
            left.spend(1, payload);
        }
    }

    /// Goes on behind a large body if it is whole.
    fn close_large(&mut self, left: &mut Credit, buffers: &mut Buffers, run: &mut Run) -> bool {
        match std::mem::replace(&mut self.cut, Cut::None) {
            Cut::Large { body, more } if body.is_whole() => {
                self.begun.get_or_insert_default().parts.push(body.into_bytes(buffers));
                self.close_frame(more, left, run);
                true
            }
            unfinished => {
                self.cut = unfinished;
                false
            }
        }
    }
}

/// A message that is not whole.
#[derive(Debug, Default)]
struct Begun {
    /// Each begins and ends at the border of a header or a body.
    parts: Vec<Bytes>,
    /// What follows them: headers and small bodies; at most [`PART`] at a border of two frames.
    frames: Vec<u8>,
    /// All of its frames whose header is whole.
    seen: Seen,
}

impl Begun {
    /// Ends the part, so that a message of many frames is not copied again and again as it grows.
    fn part_if_long(&mut self) {
        if self.frames.len() >= PART {
            self.part();
        }
    }

    fn part(&mut self) {
        // Exact: what doubling reserved too much would be kept for as long as the message.
        let frames = std::mem::take(&mut self.frames).into_boxed_slice();
        self.parts.push(Bytes::from(frames));
    }

    fn push_to(mut self, run: &mut Run) {
        self.part();
        for part in self.parts {
            run.push_part(part);
        }
    }
}

/// A body from this size on has a buffer of its own. Of shorter ones a read brings several, and only the last is cut and
/// copied; from here on that costs more than a read for each: a receiver of 16 KiB bodies spends 6.4 us on one, not 8.8,
/// and of 32 KiB 11.6, not 21.
pub(super) const OWN_BUFFER: usize = 16 * 1024;
/// From this many bytes on, what is copied of a message is a part of its own.
const PART: usize = 64 * 1024;
/// Most bytes of a command's body; in traffic a subscription is the longest that there is.
pub(super) const COMMAND_BYTES: usize = 64 * 1024;

//! Whole messages as they came, waiting to be received.
//!
//! Invariant: a frame header is never split between two parts, and neither is a body; the two may lie in different
//! parts. Whoever pushes parts has walked the headers, so a run is well formed by construction.

use super::frame::Header;
use super::{Batch, Tally};
use crate::message::{Message, SMALL};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// Whole messages in ZMTP framing, oldest first, without commands.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// What is popped from; empty only if `rest` is.
    front: Bytes,
    rest: VecDeque<Bytes>,
    messages: usize,
    /// Bytes of all bodies together.
    payload: usize,
}

impl Run {
    /// Whole messages that are still here.
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// What the messages weigh against a mark: their bodies, and 64 for each.
    pub(crate) fn weight(&self) -> usize {
        weight(self.messages, self.payload)
    }

    /// Bytes of all bodies.
    pub(crate) fn payload(&self) -> usize {
        self.payload
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Adds bytes that begin and end at the border of a header or a body; [`Run::count`] tells what they hold.
    pub(crate) fn push_part(&mut self, part: Bytes) {
        if self.front.is_empty() {
            self.front = part;
        } else if !part.is_empty() {
            self.rest.push_back(part);
        }
    }

    /// Counts messages that are now whole.
    pub(crate) fn count(&mut self, messages: usize, payload: usize) {
        self.messages += messages;
        self.payload += payload;
    }

    /// Moves all of `other` to the end of this one.
    pub(crate) fn append(&mut self, other: &mut Run) {
        self.push_part(std::mem::take(&mut other.front));
        self.rest.append(&mut other.rest);
        self.count(other.messages, other.payload);
        (other.messages, other.payload) = (0, 0);
    }

    /// Takes the oldest message.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let mut message = Message::empty();
        self.pop_into(&mut message).map(|_| message)
    }

    /// Takes the oldest message, and says how many bytes its bodies have. Written where it is wanted: a message is 72
    /// bytes, and costs something wherever it is moved.
    #[inline(always)]
    pub(crate) fn pop_into(&mut self, message: &mut Message) -> Option<usize> {
        if self.messages == 0 {
            return None;
        }
        let header = Header::parse(&self.front)?;
        let payload = if header.has_more() {
            self.pop_several(message)?
        } else {
            self.pop_body(&header, |part, len| {
                if len <= SMALL {
                    message.become_small(part, len);
                    part.advance(len);
                } else {
                    *message = Message::one(part.split_to(len));
                }
            })?
        };
        self.messages -= 1;
        self.payload = self.payload.saturating_sub(payload);
        if self.messages == 0 {
            // Nothing of a chunk is kept by an empty run.
            self.front = Bytes::new();
            self.rest.clear();
        }
        Some(payload)
    }

    /// Takes the oldest message, if it is one frame and not the last of its part; most are.
    #[inline(always)]
    pub(crate) fn pop_next(&mut self, message: &mut Message) -> Option<usize> {
        let header = Header::parse(&self.front)?;
        let len = usize::try_from(header.body).ok()?;
        let body = self.front.get(header.len..)?;
        if header.has_more() || body.len() <= len {
            return None;
        }
        if len <= SMALL {
            message.become_small(body, len);
            self.front.advance(header.len + len);
        } else {
            self.front.advance(header.len);
            *message = Message::one(self.front.split_to(len));
        }
        self.messages = self.messages.saturating_sub(1);
        self.payload = self.payload.saturating_sub(len);
        Some(len)
    }

    /// Takes the oldest messages, at most so many, as long as each is one frame and not at the end of its part; most are.
    /// Says how many, and how many bytes their bodies have.
    ///
    /// Each is made where it is to lie, and the part is cut once for all of them.
    pub(crate) fn pop_many(&mut self, into: &mut Vec<Message>, most: usize) -> Tally {
        let (mut taken, mut at) = (Tally::default(), 0);
        let part = &self.front[..];
        into.reserve(most);
        while taken.messages < most
            && let Some(rest) = part.get(at..)
            && let Some(header) = Header::parse(rest)
            && !header.has_more()
            && let Some(body) = rest.get(header.len..)
            && let Some(chunk) = body.first_chunk::<SMALL>()
            && (body.len() as u64) > header.body
        {
            let len = header.body as usize;
            let begin = at + header.len;
            at = begin + len;
            match Message::small_front(chunk, len) {
                Some(message) => into.push(message),
                None => into.push(Message::one(self.front.slice(begin..at))),
            }
            taken.add(1, len);
        }
        self.front.advance(at);
        self.messages = self.messages.saturating_sub(taken.messages);
        self.payload = self.payload.saturating_sub(taken.payload);
        taken
    }

    /// Takes a message of several frames, and says how many bytes they have.
    #[inline(never)]
    fn pop_several(&mut self, message: &mut Message) -> Option<usize> {
        let mut frames = Vec::with_capacity(USUAL);
        let mut payload = 0;
        loop {
            let header = Header::parse(&self.front)?;
            payload += self.pop_body(&header, |part, len| frames.push(part.split_to(len)))?;
            if !header.has_more() {
                *message = Message::many(frames);
                return Some(payload);
            }
        }
    }

    /// Takes messages off the front, without copying them: as many, and no more once they weigh as much.
    pub(crate) fn split_front(&mut self, messages: usize, bytes: usize) -> Run {
        if self.messages <= messages && self.weight() <= bytes {
            return std::mem::take(self);
        }
        let (mut border, mut tally) = (Border { part: 0, at: 0 }, Tally::default());
        while tally.messages < messages && tally.weight() < bytes {
            let Some((next, payload)) = self.skip_message(border) else {
                break;
            };
            tally.add(1, payload);
            border = next;
        }
        let mut split = Run::default();
        for _ in 0..border.part {
            split.push_part(self.take_part());
        }
        split.push_part(self.front.split_to(border.at));
        split.count(tally.messages, tally.payload);
        self.messages -= tally.messages;
        self.payload = self.payload.saturating_sub(tally.payload);
        split
    }

    /// Whether a message has several frames.
    pub(crate) fn has_several_frames(&self) -> bool {
        let mut border = Border { part: 0, at: 0 };
        while let Some((next, header)) = self.skip_frame(border) {
            if header.has_more() {
                return true;
            }
            border = next;
        }
        false
    }

    /// The border behind the message that begins at this one, and the bytes of its bodies.
    fn skip_message(&self, mut border: Border) -> Option<(Border, usize)> {
        let mut payload = 0;
        loop {
            let (next, header) = self.skip_frame(border)?;
            payload += usize::try_from(header.body).ok()?;
            if !header.has_more() {
                return Some((next, payload));
            }
            border = next;
        }
    }

    /// The border behind the frame that begins at this one, and its header.
    fn skip_frame(&self, mut border: Border) -> Option<(Border, Header)> {
        let header = Header::parse(self.part(border.part)?.get(border.at..)?)?;
        let body = usize::try_from(header.body).ok()?;
        for len in [header.len, body].into_iter().filter(|&len| len > 0) {
            border.at += len;
            if border.at >= self.part(border.part).map_or(0, Bytes::len) {
                border = Border {
                    part: border.part + 1,
                    at: 0,
                };
            }
        }
        Some((border, header))
    }

    /// Packs it again, to be written.
    pub(crate) fn into_batch(mut self) -> Batch {
        let mut batch = Batch::default();
        while let Some(message) = self.pop() {
            batch.push(&[], &mut message.into());
        }
        batch
    }

    /// Takes the frame of which this is the header, and says how long its body is; `take` gets what lies in memory from the body
    /// on, and takes as many bytes off as that has.
    #[inline(always)]
    fn pop_body(&mut self, header: &Header, take: impl FnOnce(&mut Bytes, usize)) -> Option<usize> {
        let len = usize::try_from(header.body).ok()?;
        self.front.advance(header.len);
        if self.front.is_empty() {
            // The body is the next part, or there is none.
            self.take_part();
        }
        if self.front.len() < len {
            return None;
        }
        take(&mut self.front, len);
        if self.front.is_empty() {
            self.take_part();
        }
        Some(len)
    }

    /// Takes what is left of the front part.
    fn take_part(&mut self) -> Bytes {
        std::mem::replace(&mut self.front, self.rest.pop_front().unwrap_or_default())
    }

    fn part(&self, index: usize) -> Option<&Bytes> {
        match index.checked_sub(1) {
            None => Some(&self.front),
            Some(index) => self.rest.get(index),
        }
    }
}

/// A place between two headers or bodies.
#[derive(Debug, Clone, Copy)]
struct Border {
    part: usize,
    at: usize,
}

/// What messages weigh against a byte mark: 64 a message stand for the memory that even an empty one costs.
pub(crate) const fn weight(messages: usize, payload: usize) -> usize {
    payload.saturating_add(messages.saturating_mul(MESSAGE_WEIGHT))
}

const MESSAGE_WEIGHT: usize = 64;
/// Most messages of several frames have no more: an id, an address, the empty frame, a body.
const USUAL: usize = 4;

//! Whole messages as they came, waiting to be received.
//!
//! Invariant: a frame header is never split between two parts, and neither is a body; the two may lie in different
//! parts. Whoever pushes parts has walked the headers, so a run is well formed by construction.

use super::frame::Header;
use super::{Batch, Tally};
use crate::message::{Message, SMALL};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;

/// Whole messages in ZMTP framing, oldest first, without commands.
#[derive(Debug, Default)]
pub(crate) struct Run {
    parts: VecDeque<Bytes>,
    /// How far the first part has been popped.
    at: usize,
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
        if !part.is_empty() {
            self.parts.push_back(part);
        }
    }

    /// Counts messages that are now whole.
    pub(crate) fn count(&mut self, messages: usize, payload: usize) {
        self.messages += messages;
        self.payload += payload;
    }

    /// Moves all of `other` to the end of this one.
    pub(crate) fn append(&mut self, other: &mut Run) {
        if other.at > 0
            && let Some(first) = other.parts.front_mut()
        {
            let _gone = first.split_to(other.at);
        }
        other.at = 0;
        self.parts.append(&mut other.parts);
        self.count(other.messages, other.payload);
        (other.messages, other.payload) = (0, 0);
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) {
        *self = Run::default();
    }

    /// Takes the oldest message.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let mut message = Message::empty();
        self.pop_into(&mut message).map(|_| message)
    }

    /// Takes the oldest message, and says how many bytes its bodies have. Written where it is wanted: a message is 80
    /// bytes, and costs something wherever it is moved.
    #[inline(always)]
    pub(crate) fn pop_into(&mut self, message: &mut Message) -> Option<usize> {
        if self.messages == 0 {
            return None;
        }
        let header = self.pop_frame(|from, part, range| {
            if range.len() <= SMALL {
                message.become_small(from, range.len());
            } else {
                *message = Message::one(part.slice(range));
            }
        })?;
        let mut payload = header.body as usize;
        if header.has_more() {
            payload += self.pop_more(message)?;
        }
        self.messages -= 1;
        self.payload = self.payload.saturating_sub(payload);
        if self.messages == 0 {
            // Nothing of a chunk is kept by an empty run.
            self.parts.clear();
            self.at = 0;
        }
        Some(payload)
    }

    /// Takes the other frames of a message, and says how many bytes they have.
    #[inline(never)]
    fn pop_more(&mut self, message: &mut Message) -> Option<usize> {
        let mut frames = std::mem::replace(message, Message::empty()).into_frames();
        let mut payload = 0;
        loop {
            let header = self.pop_frame(|_, part, range| frames.push(part.slice(range)))?;
            payload += header.body as usize;
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
        let (mut border, mut front) = (Border { part: 0, at: self.at }, Tally::default());
        while front.messages < messages && front.weight() < bytes {
            let Some((next, payload)) = self.skip_message(border) else {
                break;
            };
            front.add(1, payload);
            border = next;
        }
        let mut parts: VecDeque<_> = self.parts.drain(..border.part).collect();
        let at = std::mem::take(&mut self.at);
        if let Some(part) = self.parts.front_mut().filter(|_| border.at > 0) {
            parts.push_back(part.split_to(border.at));
        }
        self.messages -= front.messages;
        self.payload = self.payload.saturating_sub(front.payload);
        Run {
            parts,
            at,
            messages: front.messages,
            payload: front.payload,
        }
    }

    /// Whether a message has several frames.
    pub(crate) fn has_several_frames(&self) -> bool {
        let mut border = Border { part: 0, at: self.at };
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
        let header = Header::parse(self.parts.get(border.part)?.get(border.at..)?)?;
        let body = usize::try_from(header.body).ok()?;
        for len in [header.len, body].into_iter().filter(|&len| len > 0) {
            border.at += len;
            if border.at >= self.parts.get(border.part).map_or(0, Bytes::len) {
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

    /// Takes one frame; `take` gets what lies in memory from its body on, and the part and range that the body is.
    #[inline(always)]
    fn pop_frame(&mut self, take: impl FnOnce(&[u8], &Bytes, Range<usize>)) -> Option<Header> {
        let part = self.parts.front()?;
        let header = Header::parse(part.get(self.at..)?)?;
        let len = usize::try_from(header.body).ok()?;
        let mut start = self.at.checked_add(header.len)?;
        if start == part.len() && len > 0 {
            // The body is the next part.
            self.parts.pop_front();
            start = 0;
        }
        let part = self.parts.front()?;
        let end = start.checked_add(len).filter(|&end| end <= part.len())?;
        take(part.get(start..)?, part, start..end);
        self.at = end;
        if end == part.len() {
            self.parts.pop_front();
            self.at = 0;
        }
        Some(header)
    }
}

/// A place between two headers or bodies.
#[derive(Debug, Clone, Copy)]
struct Border {
    part: usize,
    at: usize,
}

/// What messages weigh against a byte mark: 64 a message stand for the memory that even an empty one costs.
pub(crate) fn weight(messages: usize, payload: usize) -> usize {
    payload.saturating_add(messages.saturating_mul(MESSAGE_WEIGHT))
}

const MESSAGE_WEIGHT: usize = 64;

//! How many messages, and how large.

use super::weight;
use crate::message::Message;

/// A number of messages, and the bytes of their bodies.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) messages: usize,
    pub(crate) payload: usize,
}

impl Tally {
    pub(crate) fn of(messages: &[Message]) -> Self {
        Tally {
            messages: messages.len(),
            payload: messages.iter().map(Message::byte_count).sum(),
        }
    }

    pub(crate) fn add(&mut self, messages: usize, payload: usize) {
        self.messages += messages;
        self.payload += payload;
    }

    pub(crate) fn sub(&mut self, other: Tally) {
        debug_assert!(other.messages <= self.messages && other.payload <= self.payload);
        self.messages = self.messages.saturating_sub(other.messages);
        self.payload = self.payload.saturating_sub(other.payload);
    }

    pub(crate) fn weight(self) -> usize {
        weight(self.messages, self.payload)
    }
}

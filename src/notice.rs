//! What a socket tells its peers apart from messages, without wire syntax.
//!
//! Wire writes and reads these as commands; routing gives them a meaning. They are state, not messages: none is ever
//! dropped for want of room, and none counts against a mark.

use bytes::Bytes;

/// Most bytes of a topic or group: a command that carries one is within what peers take.
pub(crate) const MOST_TOPIC: usize = 60_000;

/// What a peer wants from now on, or asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Messages whose first frame begins with this.
    Subscribe(Bytes),
    /// No more of them.
    Cancel(Bytes),
    /// Messages to this group.
    Join(Bytes),
    /// No more of them.
    Leave(Bytes),
    /// An answer, once all that was said before is known.
    Ask(u32),
    /// That answer.
    Answer(u32),
}

impl Notice {
    /// About how many bytes it takes on the wire.
    pub(crate) fn size(&self) -> usize {
        match self {
            Notice::Subscribe(topic) | Notice::Cancel(topic) => 20 + topic.len(),
            Notice::Join(group) | Notice::Leave(group) => 20 + group.len(),
            Notice::Ask(_) | Notice::Answer(_) => 20,
        }
    }
}

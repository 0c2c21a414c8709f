//! What a step of routing wants done outside, as plain values: routing knows no links and no wakers.

use super::peer::PeerId;
use crate::message::Message;

/// What a waiting call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Awaited {
    /// A message to receive.
    Readable,
    /// Room with some peer.
    Writable,
    /// The reply to this request.
    Reply(u32),
    /// The end of the last peer of a socket that closes.
    Detached,
}

/// What the steps since the last look want done. The vectors keep their memory from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// Peers whose queue is not empty any more.
    pub(crate) flush: Vec<PeerId>,
    /// Peers whose connection may read again.
    pub(crate) resume: Vec<PeerId>,
    /// Peers that have room again.
    pub(crate) room: Vec<PeerId>,
    /// Peers that are gone.
    pub(crate) forget: Vec<PeerId>,
    /// Messages that nobody will have: dropped where no lock is held, since they may be the application's own memory.
    pub(crate) trash: Vec<Message>,
    /// What became ready.
    pub(crate) ready: Vec<Awaited>,
}

impl Wants {
    /// Something became ready that a call may wait for.
    pub(crate) fn ready(&mut self, awaited: Awaited) {
        self.ready.push(awaited);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flush.is_empty()
            && self.resume.is_empty()
            && self.room.is_empty()
            && self.forget.is_empty()
            && self.trash.is_empty()
            && self.ready.is_empty()
    }
}

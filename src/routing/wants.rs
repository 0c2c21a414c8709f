//! What a step of routing wants done outside, as plain values: routing knows no links and no wakers.

use super::peer::PeerId;
use crate::failure::Failure;
use crate::message::Message;
use crate::monitor::Event;

/// What a waiting call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Awaited {
    /// A message to receive.
    Readable,
    /// Room with some peer.
    Writable,
    /// Room with this peer, or its end.
    WritablePeer(PeerId),
    /// The reply to this request.
    Reply(u32),
    /// A change of who subscribes to what.
    Subscribers,
    /// The end of the last peer of a socket that closes.
    Detached,
}

/// One thing that a step wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Want {
    /// The peer's queue is not empty any more.
    Flush(PeerId),
    /// The peer's queue is full now, or with one message more. Before it is found full: from then on it would take nothing
    /// more until it is at its low mark.
    Full(PeerId),
    /// The peer's connection may read again.
    Resume(PeerId),
    /// The peer has room again.
    Room(PeerId),
    /// Something of the peer is timed from or to this moment: [`Peers::time`](super::Peers::time).
    Time(PeerId),
    /// The peer is gone.
    Forget(PeerId),
    /// What a peer that is gone had left unread is received, or more may be: who was turned away may find a place.
    Admit,
    /// A message that nobody will have is dropped where no lock is held: it may be the application's own memory.
    Drop(Message),
    /// Something became ready that a call may wait for.
    Ready(Awaited),
    /// Something changed that each of those who wait for it looks at for itself.
    ReadyAll(Awaited),
    /// The peer's connection is to end.
    Sever(PeerId, Failure),
    /// The peer's connection is to give a sign of life soon, or end.
    Challenge(PeerId),
    /// Something happened that the monitors are told.
    Tell(Event),
}

/// What the steps since the last look want done, in their order. Most want nothing, and looking costs one comparison.
pub(crate) type Wants = Vec<Want>;

/// Bytes of a topic that are kept, or told, for people.
pub(super) const TOLD: usize = 128;

//! GATHER: messages of all peers, in turn ([RFC 49](https://rfc.zeromq.org/spec/49/)).

use super::Socket;
use super::kind::GatherKind;
use super::pull::Fair;
use super::verbs::{constructors, recv_message_verbs, socket_verbs};

/// Receives messages of one frame of [`Scatter`](crate::Scatter) sockets, of each in turn
/// ([RFC 49](https://rfc.zeromq.org/spec/49/)).
///
/// A [`Pull`](crate::Pull) of messages of one frame: what has several is dropped and counted as `Malformed`. See
/// [`Scatter`](crate::Scatter) for an example.
pub struct Gather {
    socket: Socket<GatherPattern>,
}

constructors!(Gather, GatherPattern::new);
socket_verbs!(Gather);
recv_message_verbs!(Gather);

pub(crate) type GatherPattern = Fair<GatherKind>;

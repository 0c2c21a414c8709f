//! GATHER: messages of all peers, in turn ([RFC 49](https://rfc.zeromq.org/spec/49/)).

use super::kind::GatherKind;
use super::pull::Fair;
use super::verbs::{constructors, recv_from_verbs, recv_verbs, socket_verbs};
use super::{Patience, Socket};
use crate::error::RecvError;
use crate::message::Message;

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
recv_verbs!(Gather, Message);
recv_from_verbs!(Gather, Message, Socket::message);

impl Gather {
    fn recv_with(&self, patience: Patience) -> Result<Message, RecvError> {
        self.socket.recv(patience)
    }

    /// Receives a message, as a future of no runtime's own. Dropped before it is ready, it has taken nothing.
    pub fn recv_async(&self) -> impl Future<Output = Result<Message, RecvError>> + Send + '_ {
        self.socket.recv_async()
    }
}

pub(crate) type GatherPattern = Fair<GatherKind>;

//! CLIENT: each message to one of the servers with room, in turn ([RFC 47](https://rfc.zeromq.org/spec/47/)).

use super::dealer::BothWays;
use super::kind::ClientKind;
use super::verbs::{constructors, recv_from_verbs, recv_verbs, send_verbs, socket_verbs};
use super::{Patience, Socket};
use crate::error::RecvError;
use crate::message::Message;

/// Exchanges messages of one frame with [`Server`](crate::Server) sockets, with no order between sending and receiving
/// ([RFC 47](https://rfc.zeromq.org/spec/47/)).
///
/// A [`Dealer`](crate::Dealer) of messages of one frame: what has several is an error, `SeveralFrames`, that gives it back;
/// what comes with several is dropped and counted as `Malformed`. See [`Server`](crate::Server) for an example.
pub struct Client {
    socket: Socket<ClientPattern>,
}

constructors!(Client, ClientPattern::new);
socket_verbs!(Client);
send_verbs!(Client);
recv_verbs!(Client, Message);
recv_from_verbs!(Client, Message, Socket::message);

impl Client {
    fn recv_with(&self, patience: Patience) -> Result<Message, RecvError> {
        self.socket.recv(patience)
    }

    /// Receives a message, as a future of no runtime's own. Dropped before it is ready, it has taken nothing.
    pub fn recv_async(&self) -> impl Future<Output = Result<Message, RecvError>> + Send + '_ {
        self.socket.recv_async()
    }
}

pub(crate) type ClientPattern = BothWays<ClientKind>;

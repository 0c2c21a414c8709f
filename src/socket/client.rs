//! CLIENT: each message to one of the servers with room, in turn ([RFC 47](https://rfc.zeromq.org/spec/47/)).

use super::Socket;
use super::dealer::BothWays;
use super::kind::ClientKind;
use super::verbs::{constructors, recv_message_verbs, send_verbs, socket_verbs};

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
recv_message_verbs!(Client);

pub(crate) type ClientPattern = BothWays<ClientKind>;

//! SERVER: each message of one frame to the client that it is addressed to by number
//! ([RFC 47](https://rfc.zeromq.org/spec/47/)).

use super::Socket;
use super::numbered::{ByNumber, NumberedPattern};
use super::verbs::{constructors, recv_from_verbs, recv_step_verbs, send_to_verbs, socket_verbs};
use crate::message::Message;
use crate::options::Options;
use crate::routing_id::RoutingId;
use crate::socket_type::SocketType;
use crate::transport::real::chance;

/// Exchanges messages of one frame with any number of [`Client`](crate::Client) sockets, each addressed by a
/// [`RoutingId`] ([RFC 47](https://rfc.zeromq.org/spec/47/)).
///
/// This socket makes up the number of each client, and `recv` gives it with each message. A client that came to us has
/// another number when it comes again, and what waits for it is dropped as `PeerLost` when it goes.
///
/// `send_to` never waits: who is not there is `UnknownPeer`, and who is at its mark is `PeerFull`. A message of several
/// frames is `SeveralFrames`; one that comes is dropped as `Malformed`.
///
/// ```
/// use peermq::{Client, Context, NotSent, Server};
///
/// let context = Context::new()?;
/// let (server, client) = (Server::new(&context), Client::new(&context));
/// client.connect(server.bind("inproc://service")?)?;
/// client.send("a question")?;
/// client.send("another")?; // it need not wait for an answer
///
/// let (who, question) = server.recv()?;
/// assert_eq!(question, "a question");
/// server.send_to(&who, "an answer")?;
/// assert_eq!(client.recv()?, "an answer");
/// assert_eq!(server.send_to(&who, ["two", "frames"]).unwrap_err().reason, NotSent::SeveralFrames);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    socket: Socket<ServerPattern>,
}

constructors!(Server, |options: &Options| ServerPattern::new(options, chance()));
socket_verbs!(Server);
recv_step_verbs!(Server, (RoutingId, Message), ServerPattern::next);
recv_from_verbs!(Server, (RoutingId, Message), ServerPattern::next);
send_to_verbs!(Server, RoutingId);

pub(crate) type ServerPattern = NumberedPattern<ServerType>;

/// SERVER, as one of those that address by number.
pub(crate) struct ServerType;

impl ByNumber for ServerType {
    const TYPE: SocketType = SocketType::Server;
}

impl Server {}

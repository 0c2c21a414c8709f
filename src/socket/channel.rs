//! CHANNEL: one peer, both ways ([RFC 52](https://rfc.zeromq.org/spec/52/)).

use super::kind::ChannelKind;
use super::pair::Exclusive;
use super::verbs::{constructors, recv_from_verbs, recv_verbs, send_verbs, socket_verbs};
use super::{Patience, Socket};
use crate::error::RecvError;
use crate::message::Message;

/// Exchanges messages of one frame with exactly one other `Channel` ([RFC 52](https://rfc.zeromq.org/spec/52/)).
///
/// A [`Pair`](crate::Pair) of messages of one frame: what has several is an error, `SeveralFrames`, that gives it back; what
/// comes with several is dropped and counted as `Malformed`.
///
/// ```
/// use peermq::{Channel, Context};
///
/// let context = Context::new()?;
/// let (one, other) = (Channel::new(&context), Channel::new(&context));
/// one.connect(other.bind("inproc://channel")?)?;
/// one.send("ping")?;
/// assert_eq!(other.recv()?, "ping");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Channel {
    socket: Socket<ChannelPattern>,
}

constructors!(Channel, ChannelPattern::new);
socket_verbs!(Channel);
send_verbs!(Channel);
recv_verbs!(Channel, Message);
recv_from_verbs!(Channel, Message, Socket::message);

impl Channel {
    fn recv_with(&self, patience: Patience) -> Result<Message, RecvError> {
        self.socket.recv(patience)
    }

    /// Receives a message, as a future of no runtime's own. Dropped before it is ready, it has taken nothing.
    pub fn recv_async(&self) -> impl Future<Output = Result<Message, RecvError>> + Send + '_ {
        self.socket.recv_async()
    }
}

pub(crate) type ChannelPattern = Exclusive<ChannelKind>;

//! CHANNEL: one peer, both ways ([RFC 52](https://rfc.zeromq.org/spec/52/)).

use super::Socket;
use super::kind::ChannelKind;
use super::pair::Exclusive;
use super::verbs::{constructors, recv_message_verbs, send_verbs, socket_verbs};

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
recv_message_verbs!(Channel);

pub(crate) type ChannelPattern = Exclusive<ChannelKind>;

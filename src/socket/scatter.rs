//! SCATTER: each message to one of the peers with room, in turn ([RFC 49](https://rfc.zeromq.org/spec/49/)).

use super::Socket;
use super::kind::ScatterKind;
use super::push::Balanced;
use super::verbs::{constructors, send_verbs, socket_verbs};

/// Sends messages of one frame to [`Gather`](crate::Gather) sockets, each to one of them, in turn
/// ([RFC 49](https://rfc.zeromq.org/spec/49/)).
///
/// A [`Push`](crate::Push) of messages of one frame: what has several is an error, `SeveralFrames`, that gives it back.
///
/// ```
/// use peermq::{Context, Gather, NotSent, Scatter};
///
/// let context = Context::new()?;
/// let (scatter, gather) = (Scatter::new(&context), Gather::new(&context));
/// scatter.connect(gather.bind("inproc://work")?)?;
/// scatter.send("one frame")?;
/// assert_eq!(gather.recv()?, "one frame");
/// assert_eq!(scatter.send(["two", "frames"]).unwrap_err().reason, NotSent::SeveralFrames);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Scatter {
    socket: Socket<ScatterPattern>,
}

constructors!(Scatter, ScatterPattern::new);
socket_verbs!(Scatter);
send_verbs!(Scatter);

pub(crate) type ScatterPattern = Balanced<ScatterKind>;

//! PULL: the messages of all peers, in turn ([RFC 30](https://rfc.zeromq.org/spec/30/)).

use super::Socket;
use super::kind::{Kind, PullKind};
use super::verbs::{constructors, recv_message_verbs, socket_verbs};
use crate::batch::Run;
use crate::message::Message;
use crate::options::Options;
use crate::routing::{Awaited, FairQueue, Pattern, PeerId, Peers, Receives};
use crate::socket_type::SocketType;
use std::marker::PhantomData;

/// Receives the messages of [`Push`](crate::Push) sockets, one of each in turn
/// ([RFC 30](https://rfc.zeromq.org/spec/30/)).
///
/// A peer that floods delays the others by one message each. At the mark of a peer, reading from it pauses, and so in
/// the end does its sender. What a peer sent before it went is still received.
///
/// ```
/// use peermq::{Context, Pull, Push, RecvError};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let (pull, push) = (Pull::new(&context), Push::new(&context));
/// push.connect(pull.bind("tcp://127.0.0.1:0")?)?;
/// push.send("hello")?;
/// assert_eq!(pull.recv()?, "hello");
/// assert_eq!(pull.recv_timeout(Duration::from_millis(1)), Err(RecvError::TimedOut));
///
/// push.send_many(["by", "one", "call"])?;
/// let mut messages = Vec::new();
/// while messages.len() < 3 {
///     pull.recv_many(&mut messages, 100)?; // what is here, and at least one
/// }
/// assert_eq!(messages, ["by", "one", "call"]);
/// assert_eq!(pull.try_recv_many(&mut messages, 100), Err(RecvError::WouldBlock));
/// assert_eq!(messages.len(), 3); // nothing is appended of an error
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pull {
    socket: Socket<PullPattern>,
}

constructors!(Pull, PullPattern::new);
socket_verbs!(Pull);
recv_message_verbs!(Pull);

pub(crate) type PullPattern = Fair<PullKind>;

pub(crate) struct Fair<K> {
    kind: PhantomData<K>,
    pub(crate) queue: FairQueue,
}

impl<K: Kind> Fair<K> {
    pub(crate) fn new(_options: &Options) -> Self {
        Fair {
            kind: PhantomData,
            queue: FairQueue::default(),
        }
    }
}

impl<K: Kind> Pattern for Fair<K> {
    const TYPE: SocketType = K::TYPE;
    const ONE_FRAME: bool = K::ONE_FRAME;

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        self.queue.deliver::<Self>(peers, id, run);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        if !peers.has_incoming(id) {
            self.queue.remove(id);
        }
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        awaited == Awaited::Readable && self.queue.has_messages()
    }
}

impl<K: Kind> Receives for Fair<K> {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> bool {
        self.queue.recv(peers, into).is_some()
    }

    fn recv_many(&mut self, peers: &mut Peers, into: &mut Vec<Message>, limit: usize) -> usize {
        self.queue.recv_many(peers, into, limit)
    }
}

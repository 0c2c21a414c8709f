//! REP: requests of all peers, in turn, each with its way back ([RFC 28](https://rfc.zeromq.org/spec/28/)).

use super::verbs::{constructors, recv_verbs, socket_verbs};
use super::{Patience, Socket, given_back};
use crate::batch::Run;
use crate::error::{NotSent, RecvError, SendError};
use crate::hub::{Closed, Hub};
use crate::message::{Message, Outgoing, SMALL};
use crate::options::Options;
use crate::peer_info::PeerInfo;
use crate::routing::{Awaited, Dropped, FairQueue, Pattern, PeerId, PeerKind, Peers, Placed, Unwritten, Want};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

/// Receives requests of [`Req`](crate::Req) sockets, of each in turn, and replies to them
/// ([RFC 28](https://rfc.zeromq.org/spec/28/)).
///
/// Each [`Request`] owns its way back, so one socket can be served by many threads, and replies may go in any order.
/// What is no request (it has no empty frame, or nothing behind it) is dropped as `Malformed`.
///
/// ```no_run
/// let context = peermq::Context::new()?;
/// let rep = peermq::Rep::new(&context);
/// rep.bind("tcp://127.0.0.1:5555")?;
/// loop {
///     let request = rep.recv()?;
///     if let Err(error) = request.reply("world") {
///         println!("{error}"); // the client is gone, or does not read its replies
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Rep {
    socket: Socket<RepPattern>,
}

constructors!(Rep, RepPattern::new);
socket_verbs!(Rep);
recv_verbs!(Rep, Request);

impl Rep {
    fn recv_with(&self, patience: Patience) -> Result<Request, RecvError> {
        self.socket
            .take(patience, RepPattern::recv)
            .map(|asked| self.own(asked))
    }

    /// Receives a request, as a future of no runtime's own. Dropped before it is ready, it has taken nothing.
    pub async fn recv_async(&self) -> Result<Request, RecvError> {
        let asked = self.socket.take_async(RepPattern::recv).await?;
        Ok(self.own(asked))
    }

    fn own(&self, asked: Asked) -> Request {
        Request {
            hub: Arc::clone(&self.socket.hub),
            asked,
            is_answered: false,
        }
    }
}

/// A request, and its way back. Dropped without a reply, it is counted as `Unanswered`, and its client waits on.
///
/// It may outlive its [`Rep`]; then its reply fails with `Closed`.
pub struct Request {
    hub: Arc<Hub<RepPattern>>,
    asked: Asked,
    is_answered: bool,
}

impl Request {
    /// Returns what was asked.
    pub fn message(&self) -> &Message {
        &self.asked.body
    }

    /// Returns who asked.
    pub fn peer(&self) -> &PeerInfo {
        &self.asked.info
    }

    /// Replies. Never waits: a client that is gone or at its mark is an error, `PeerGone` or `PeerFull`, that gives the
    /// message back and is counted ([RFC 28](https://rfc.zeromq.org/spec/28/)).
    ///
    /// `Ok` means that it is queued for the client. A client that has come back by another connection is another
    /// client: its old requests are `PeerGone`.
    pub fn reply<'m>(mut self, message: impl Into<Outgoing<'m>>) -> Result<(), SendError> {
        let mut message = message.into();
        message.copy_large_lent(Bytes::copy_from_slice);
        self.is_answered = true;
        let (hub, asked) = (&self.hub, &self.asked);
        let sent = hub.attempt(Awaited::Writable, |_, peers| Some(asked.reply(peers, &mut message)));
        let sent = match sent {
            Poll::Ready(Ok(sent)) => sent,
            Poll::Ready(Err(Closed)) | Poll::Pending => Err(NotSent::Closed),
        };
        sent.map_err(|reason| given_back(reason, message))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.is_answered {
            let (peer, size) = (self.asked.peer, self.asked.size);
            self.hub
                .act(|_, peers| peers.dropped_after_pop(peer, size, DropReason::Unanswered));
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("message", self.message())
            .finish_non_exhaustive()
    }
}

/// A request as it was received.
pub(crate) struct Asked {
    peer: PeerId,
    /// Which connection of the peer it came by; `None`: one that is over.
    connection: Option<u64>,
    /// The frames up to the empty one, with it: they go in front of the reply.
    envelope: Vec<Bytes>,
    pub(crate) body: Message,
    /// Bytes of the whole message.
    size: usize,
    info: Arc<PeerInfo>,
}

impl Asked {
    pub(crate) fn reply(&self, peers: &mut Peers, message: &mut Outgoing<'_>) -> Result<(), NotSent> {
        let is_same = self.connection.is_some() && peers.connection(self.peer) == self.connection;
        let (reason, why) = if !is_same {
            (NotSent::PeerGone, DropReason::PeerGone)
        } else {
            let (mut few, mut many) = ([&[][..]; FEW], Vec::new());
            let envelope = match few.get_mut(..self.envelope.len()) {
                Some(few) => few,
                None => {
                    many.resize(self.envelope.len(), &[][..]);
                    &mut many[..]
                }
            };
            for (lent, frame) in envelope.iter_mut().zip(&self.envelope) {
                *lent = frame;
            }
            if peers.enqueue(self.peer, envelope, message) != Placed::Refused {
                return Ok(());
            }
            (NotSent::PeerFull, DropReason::PeerFull)
        };
        peers.refuse(self.peer, message.byte_count(), why);
        Err(reason)
    }
}

#[derive(Default)]
pub(crate) struct RepPattern {
    queue: FairQueue,
    /// Unread requests that came by a connection that is over, by peer: the oldest ones of it. At most one a dialed peer.
    orphans: BTreeMap<PeerId, usize>,
}

impl RepPattern {
    pub(crate) fn new(_options: &Options) -> Self {
        RepPattern::default()
    }

    pub(crate) fn recv(&mut self, peers: &mut Peers) -> Option<Asked> {
        loop {
            let mut message = Message::empty();
            let queue = &mut self.queue;
            let (peer, info) = peers.witness(|peers| queue.recv(peers, &mut message))?;
            let connection = match self.orphans.get_mut(&peer) {
                Some(orphans) => {
                    *orphans -= 1;
                    if *orphans == 0 {
                        self.orphans.remove(&peer);
                    }
                    None
                }
                None => peers.connection(peer),
            };
            let size = message.byte_count();
            let mut envelope = message.into_frames();
            let body = match envelope.iter().position(Bytes::is_empty) {
                Some(border) if border + 1 < envelope.len() => {
                    let body = Message::split_off(&mut envelope, border + 1);
                    // Shared, an id of four bytes would keep the chunk that it came in for as long as the request is kept.
                    let short = envelope.iter_mut().filter(|frame| frame.len() <= SMALL);
                    short.for_each(|frame| *frame = Bytes::copy_from_slice(frame));
                    body
                }
                _ => {
                    peers.drop_popped(peer, Message::many(envelope), DropReason::Malformed);
                    continue;
                }
            };
            return Some(Asked {
                peer,
                connection,
                envelope,
                body,
                size,
                info,
            });
        }
    }
}

impl Pattern for RepPattern {
    const TYPE: SocketType = SocketType::Rep;

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        peers.deliver(id, run);
        self.queue.enter(id);
        peers.wants.push(Want::Ready(Awaited::Readable));
    }

    /// Replies belong to the connection that their requests came by: what was not written is dropped.
    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        let unread = peers.unread(id);
        if unread > 0 && peers.kind(id) == Some(PeerKind::Dialed) {
            self.orphans.insert(id, unread);
        }
        peers.drop_queue(id, unwritten, why)
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        if !peers.has_incoming(id) {
            self.queue.remove(id);
            self.orphans.remove(&id);
        }
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        awaited == Awaited::Readable && self.queue.has_messages()
    }
}

/// Frames of an envelope that need no list of their own: an id, the address that a ROUTER on the way has put before it, the
/// empty frame, and one more.
const FEW: usize = 4;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::Mark;
    use crate::peer_info::PeerInfo;

    #[test]
    fn a_request_that_is_kept_keeps_nothing_of_what_it_came_in() {
        let mark = Mark {
            messages: 10,
            bytes: 10_000,
        };
        let (mut peers, mut rep) = (Peers::new(mark, mark), RepPattern::default());
        let id = peers.attach(PeerKind::Accepted, "somewhere");
        peers.introduce(id, |at| {
            PeerInfo::new(at, None, SocketType::Req, None, (3, 1), Vec::new(), None)
        });
        let chunk = Bytes::from(b"\x01\x04here\x01\x00\x00\x04work".to_vec());
        let mut run = Run::default();
        run.push_part(chunk.clone());
        run.count(1, 8);
        rep.deliver(&mut peers, id, &mut run);

        let asked = rep.recv(&mut peers).unwrap();

        assert_eq!(
            (&asked.envelope[..], &asked.body),
            (&[Bytes::from("here"), Bytes::new()][..], &Message::from("work"))
        );
        assert!(chunk.is_unique());
    }
}

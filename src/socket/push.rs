//! PUSH: each message to one of the peers with room, in turn ([RFC 30](https://rfc.zeromq.org/spec/30/)).

use super::Socket;
use super::kind::{Kind, PushKind};
use super::verbs::{constructors, send_verbs, socket_verbs};
use crate::batch::Run;
use crate::message::Outgoing;
use crate::options::Options;
use crate::routing::{
    Awaited, Dropped, LoadBalance, Lot, Pattern, PeerId, PeerKind, Peers, Sends, Unwritten, discard_all,
};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use std::marker::PhantomData;

/// Sends messages to [`Pull`](crate::Pull) sockets, each to one of them, in turn
/// ([RFC 30](https://rfc.zeromq.org/spec/30/)).
///
/// A peer at its mark is skipped; when all are, `send` waits. Nothing is dropped while its peer lives. What was queued
/// for a peer that was connected to waits for it to come back; what was queued for one that came to us is dropped and
/// counted when it goes, or moves to the next with
/// [`requeue_unwritten`](crate::Options::requeue_unwritten). Messages that come are dropped as `WrongDirection`, and who
/// sends more than 1,000 of them by one connection is disconnected.
///
/// ```
/// use peermq::{Context, NotSent, Options, Pull, Push};
///
/// let context = Context::new()?;
/// let push = Push::with_options(&context, Options::default().send_mark(1))?;
/// push.connect("inproc://work")?;
/// push.send("hello")?; // waits in the queue for whoever binds
/// assert_eq!(push.try_send("again").unwrap_err().reason, NotSent::WouldBlock);
///
/// let pull = Pull::new(&context);
/// pull.bind("inproc://work")?;
/// assert_eq!(pull.recv()?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Push {
    socket: Socket<PushPattern>,
}

constructors!(Push, PushPattern::new);
socket_verbs!(Push);
send_verbs!(Push);

pub(crate) type PushPattern = Balanced<PushKind>;

pub(crate) struct Balanced<K> {
    kind: PhantomData<K>,
    out: LoadBalance,
    requeue: bool,
}

impl<K: Kind> Balanced<K> {
    pub(crate) fn new(options: &Options) -> Self {
        Balanced {
            kind: PhantomData,
            out: LoadBalance::new(options.connected_first),
            requeue: options.requeue_unwritten,
        }
    }
}

impl<K: Kind> Pattern for Balanced<K> {
    const TYPE: SocketType = K::TYPE;
    const ONE_FRAME: bool = K::ONE_FRAME;

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        self.has_room(peers, id);
    }

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.has_room(peers, id);
    }

    fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.enter(peers, id);
        self.out.settle(peers, |_, _, _| {});
    }

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        discard_all(peers, id, run);
    }

    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        match peers.kind(id) {
            Some(PeerKind::Dialed) => {
                peers.put_back(id, unwritten);
                self.has_room(peers, id);
                Dropped::default()
            }
            _ => {
                // It does not come back: nothing new goes to it in the moment before it is detached.
                self.out.remove(id);
                if !self.requeue {
                    return peers.drop_queue(id, unwritten, why);
                }
                for message in peers.take_back(id, unwritten) {
                    self.out.adopt(message, 0, None);
                }
                self.out.settle(peers, |_, _, _| {});
                Dropped::default()
            }
        }
    }

    fn leaving(&mut self, _peers: &mut Peers, id: PeerId) {
        self.out.remove(id);
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId) {
        self.out.remove(id);
    }

    fn next_peer(&self) -> Option<PeerId> {
        self.out.next()
    }

    fn lend(&mut self, peers: &mut Peers, id: PeerId, payload: usize) -> bool {
        self.out.lend(peers, id, payload)
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        awaited == Awaited::Writable && self.out.has_room()
    }

    fn abandon(&mut self, peers: &mut Peers) -> Dropped {
        self.out.abandon(peers)
    }
}

impl<K: Kind> Sends for Balanced<K> {
    fn send(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> bool {
        self.out.send(peers, &[], message).is_some()
    }

    fn send_many(&mut self, peers: &mut Peers, lot: &mut Lot<'_>) -> usize {
        self.out.send_many(peers, lot)
    }
}

//! PAIR: one peer, both ways ([RFC 31](https://rfc.zeromq.org/spec/31/)).

use super::Socket;
use super::kind::{Kind, PairKind};
use super::verbs::{constructors, recv_message_verbs, send_verbs, socket_verbs};
use crate::batch::Run;
use crate::message::{Message, Outgoing};
use crate::options::Options;
use crate::routing::{
    Awaited, Comer, FairQueue, LoadBalance, Lot, NoPlace, Pattern, PeerId, Peers, Receives, Sends, Want,
};
use crate::socket_type::SocketType;
use std::marker::PhantomData;

/// Exchanges messages with exactly one other `Pair` ([RFC 31](https://rfc.zeromq.org/spec/31/)).
///
/// While it has a peer, others are turned away, and get in once the place is free: the monitors of both sides are told
/// `HandshakeFailed`, on this side because of [`Failure::Refused`](crate::Failure::Refused). At the peer's mark `send`
/// waits. What waits for a peer that was connected to is kept until it is back; what waits for one that came to us is
/// dropped and counted as `PeerLost` when it goes.
///
/// ```
/// use peermq::{Context, Pair};
///
/// let context = Context::new()?;
/// let (one, other) = (Pair::new(&context), Pair::new(&context));
/// one.bind("inproc://pair")?;
/// other.connect("inproc://pair")?;
/// one.send("ping")?;
/// assert_eq!(other.recv()?, "ping");
/// other.send("pong")?;
/// assert_eq!(one.recv()?, "pong");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pair {
    socket: Socket<PairPattern>,
}

constructors!(Pair, PairPattern::new);
socket_verbs!(Pair);
send_verbs!(Pair);
recv_message_verbs!(Pair);

pub(crate) type PairPattern = Exclusive<PairKind>;

pub(crate) struct Exclusive<K> {
    kind: PhantomData<K>,
    /// The peer; a dialed one from `connect` on.
    only: Option<PeerId>,
    /// Dialed peers beyond the first, oldest first, as many as `connect` was called for: the next one takes over when the
    /// peer goes.
    others: Vec<PeerId>,
    out: LoadBalance,
    /// What a peer that is gone left unread is received before what its successor sends.
    pub(crate) queue: FairQueue,
}

impl<K: Kind> Exclusive<K> {
    pub(crate) fn new(options: &Options) -> Self {
        Exclusive {
            kind: PhantomData,
            only: None,
            others: Vec::new(),
            out: LoadBalance::new(options.connected_first),
            queue: FairQueue::default(),
        }
    }
}

impl<K: Kind> Pattern for Exclusive<K> {
    const TYPE: SocketType = K::TYPE;
    const ONE_FRAME: bool = K::ONE_FRAME;

    fn admit(&self, _peers: &Peers, dialed: Option<PeerId>, _comer: Comer<'_>) -> Result<(), NoPlace> {
        if self.only.is_none() || self.only == dialed {
            Ok(())
        } else {
            Err(NoPlace {
                why: "it has a peer already",
                holder: None,
            })
        }
    }

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        if self.only.is_some() {
            self.others.push(id);
            return;
        }
        self.only = Some(id);
        self.out.enter(peers, id);
    }

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.enter(peers, id);
    }

    fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.enter(peers, id);
    }

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        self.queue.deliver::<Self>(peers, id, run);
    }

    fn leaving(&mut self, _peers: &mut Peers, id: PeerId) {
        self.out.remove(id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.remove(id);
        self.others.retain(|&other| other != id);
        if !peers.has_incoming(id) {
            self.queue.remove(id);
        }
        if self.only == Some(id) {
            self.only = None;
            if !self.others.is_empty() {
                let next = self.others.remove(0);
                self.only = Some(next);
                self.out.enter(peers, next);
                peers.wants.push(Want::Ready(Awaited::Writable));
            }
        }
    }

    fn next_peer(&self) -> Option<PeerId> {
        self.out.next()
    }

    fn lend(&mut self, peers: &mut Peers, id: PeerId, payload: usize) -> bool {
        self.out.lend(peers, id, payload)
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Readable => self.queue.has_messages(),
            Awaited::Writable => self.out.has_room(),
            _ => false,
        }
    }
}

impl<K: Kind> Sends for Exclusive<K> {
    fn send(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> bool {
        self.out.send(peers, &[], message).is_some()
    }

    fn send_many(&mut self, peers: &mut Peers, lot: &mut Lot<'_>) -> usize {
        self.out.send_many(peers, lot)
    }
}

impl<K: Kind> Receives for Exclusive<K> {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> bool {
        self.queue.recv(peers, into).is_some()
    }

    fn recv_many(&mut self, peers: &mut Peers, into: &mut Vec<Message>, limit: usize) -> usize {
        self.queue.recv_many(peers, into, limit)
    }
}

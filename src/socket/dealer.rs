//! DEALER: each message to one of the peers with room, in turn, and those of all peers, in turn
//! ([RFC 28](https://rfc.zeromq.org/spec/28/)).

use super::Socket;
use super::kind::{DealerKind, Kind};
use super::verbs::{constructors, recv_message_verbs, send_verbs, socket_verbs};
use crate::batch::Run;
use crate::message::{Message, Outgoing};
use crate::options::Options;
use crate::routing::{Awaited, FairQueue, LoadBalance, Lot, Pattern, PeerId, Peers, Receives, Sends};
use crate::socket_type::SocketType;
use std::marker::PhantomData;

/// Exchanges messages with any number of [`Rep`](crate::Rep), `Dealer` and ROUTER sockets, with no order between
/// sending and receiving ([RFC 28](https://rfc.zeromq.org/spec/28/)).
///
/// Each message goes to one peer, in turn; a peer at its mark is skipped, and when all are, `send` waits. What comes is
/// received of each peer in turn. What is queued for a peer that was connected to waits for it to come back; what is
/// queued for one that came to us is dropped and counted as `PeerLost` when it goes.
///
/// Frames go as they are: one who speaks to a `Rep` puts an empty frame in front of the question, and finds one in front
/// of the answer.
///
/// ```
/// use peermq::{Context, Dealer, NotSent, Rep};
///
/// let context = Context::new()?;
/// let dealer = Dealer::new(&context);
/// assert_eq!(dealer.try_send("to nobody").unwrap_err().reason, NotSent::WouldBlock);
///
/// let rep = Rep::new(&context);
/// dealer.connect(rep.bind("inproc://questions")?)?;
/// dealer.send(["", "first"])?;
/// dealer.send(["", "second"])?; // it need not wait for an answer
/// rep.recv()?.reply("1st")?;
/// rep.recv()?.reply("2nd")?;
/// assert_eq!(dealer.recv()?.frame(1), Some(&b"1st"[..]));
/// assert_eq!(dealer.recv()?.frame(1), Some(&b"2nd"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Dealer {
    socket: Socket<DealerPattern>,
}

constructors!(Dealer, DealerPattern::new);
socket_verbs!(Dealer);
send_verbs!(Dealer);
recv_message_verbs!(Dealer);

pub(crate) type DealerPattern = BothWays<DealerKind>;

pub(crate) struct BothWays<K> {
    kind: PhantomData<K>,
    out: LoadBalance,
    pub(crate) queue: FairQueue,
    probe: bool,
}

impl<K: Kind> BothWays<K> {
    pub(crate) fn new(options: &Options) -> Self {
        BothWays {
            kind: PhantomData,
            out: LoadBalance::new(options.connected_first),
            queue: FairQueue::default(),
            probe: options.probe,
        }
    }
}

impl<K: Kind> Pattern for BothWays<K> {
    const TYPE: SocketType = K::TYPE;
    const ONE_FRAME: bool = K::ONE_FRAME;

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.enter(peers, id);
    }

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        if self.probe {
            peers.probe(id);
        }
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
        if !peers.has_incoming(id) {
            self.queue.remove(id);
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

impl<K: Kind> Sends for BothWays<K> {
    fn send(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> bool {
        self.out.send(peers, &[], message).is_some()
    }

    fn send_many(&mut self, peers: &mut Peers, lot: &mut Lot<'_>) -> usize {
        self.out.send_many(peers, lot)
    }
}

impl<K: Kind> Receives for BothWays<K> {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> bool {
        self.queue.recv(peers, into).is_some()
    }

    fn recv_many(&mut self, peers: &mut Peers, into: &mut Vec<Message>, limit: usize) -> usize {
        self.queue.recv_many(peers, into, limit)
    }
}

//! What those types do with messages that address their peers by number: PEER and SERVER.

use crate::batch::Run;
use crate::chance::SplitMix64;
use crate::message::{Message, Outgoing};
use crate::options::Options;
use crate::routing::{Addressed, Awaited, FairQueue, Identities, NameKind, NoRoute, Pattern, PeerId, PeerKind, Peers};
use crate::routing_id::RoutingId;
use crate::socket_type::SocketType;
use std::marker::PhantomData;

/// Which type it is.
pub(crate) trait ByNumber: Send + 'static {
    const TYPE: SocketType;
}

/// Each message to the peer of that number, and those of all peers, in turn. A peer has its number from when it has a
/// queue until it goes: a dialed one over all its connections.
pub(crate) struct NumberedPattern<T> {
    numbers: Identities<RoutingId>,
    queue: FairQueue,
    kind: PhantomData<T>,
}

impl<T: ByNumber> NumberedPattern<T> {
    /// The seed decides the numbers.
    pub(crate) fn new(_options: &Options, seed: u64) -> Self {
        NumberedPattern {
            numbers: Identities::new(SplitMix64::new(seed)),
            queue: FairQueue::default(),
            kind: PhantomData,
        }
    }

    /// The next message, and whose it is.
    pub(crate) fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> Option<RoutingId> {
        let id = self.queue.recv(peers, into)?;
        let sender = self.numbers.sender(id);
        debug_assert!(sender.is_some(), "who is attached has a number");
        if peers.kind(id).is_none() {
            self.numbers.forget(id);
        }
        sender
    }

    pub(crate) fn next(&mut self, peers: &mut Peers) -> Option<(RoutingId, Message)> {
        let mut message = Message::empty();
        let sender = self.recv(peers, &mut message)?;
        Some((sender, message))
    }

    /// A dialed peer, and its number.
    pub(crate) fn attach(&mut self, peers: &mut Peers, endpoint: String) -> (PeerId, RoutingId) {
        let id = peers.attach(PeerKind::Dialed, endpoint);
        (id, self.number(peers, id))
    }

    fn number(&mut self, peers: &Peers, id: PeerId) -> RoutingId {
        let number = self.numbers.make_up();
        self.numbers.name(peers, id, number, NameKind::MadeUp);
        self.numbers.route(id);
        number
    }
}

impl<T: ByNumber> Pattern for NumberedPattern<T> {
    const TYPE: SocketType = T::TYPE;
    const ONE_FRAME: bool = true;

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        if self.numbers.name_of(id).is_none() {
            self.number(peers, id);
        }
    }

    fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        self.numbers.has_room(peers, id);
    }

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        self.queue.deliver::<Self>(peers, id, run);
    }

    fn leaving(&mut self, peers: &mut Peers, id: PeerId) {
        self.numbers.unroute(peers, id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.numbers.unroute(peers, id);
        if !peers.has_incoming(id) {
            self.queue.remove(id);
            self.numbers.forget(id);
        }
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Readable => self.queue.has_messages(),
            Awaited::Writable => !self.numbers.is_empty(),
            Awaited::WritablePeer(id) => self.numbers.has_news_of(id),
            _ => false,
        }
    }
}

impl<T: ByNumber> Addressed for NumberedPattern<T> {
    type Name = RoutingId;

    fn send_to(&mut self, peers: &mut Peers, to: &RoutingId, message: &mut Outgoing<'_>) -> Result<(), NoRoute> {
        self.numbers.send(peers, to, message)
    }

    fn has_room_at(&self, peers: &mut Peers, to: &RoutingId) -> bool {
        self.numbers.holder(to).is_some_and(|id| peers.wants_room(id))
    }
}

//! What SUB, XSUB and DISH do alike: they tell their peers what they want, and receive from all in turn what is theirs.

use crate::batch::{Batch, Run};
use crate::explain::Topics;
use crate::message::Message;
use crate::notice::Notice;
use crate::options::Options;
use crate::routing::{
    Awaited, Dropped, FairQueue, Interests, Pattern, PeerId, Peers, Receives, Unwritten, Want, Words, keep_or_drop,
};
use crate::socket_type::SocketType;
use crate::stats::DropReason;

/// One of them: how it says what it wants, and which of the messages that come are for it.
pub(crate) trait Wish: Send + 'static {
    const TYPE: SocketType;
    const WORDS: Words;
    /// Whether it sends too, to whoever is there.
    const SENDS: bool = false;

    fn new(options: &Options) -> Self;

    /// Why a message is not for it.
    fn refusal(&self, interests: &Interests, message: &Message) -> Option<DropReason>;

    /// A peer's connection is ready.
    fn connected(&mut self, _id: PeerId) {}

    /// It is over, or takes no more messages.
    fn gone(&mut self, _id: PeerId) {}
}

/// The pattern of such a type.
pub(crate) struct Subscribing<W> {
    pub(super) interests: Interests,
    queue: FairQueue,
    pub(super) wish: W,
}

impl<W: Wish> Subscribing<W> {
    pub(crate) fn new(options: &Options) -> Self {
        Subscribing {
            interests: Interests::new(W::WORDS),
            queue: FairQueue::default(),
            wish: W::new(options),
        }
    }

    pub(crate) fn interests(&mut self) -> &mut Interests {
        &mut self.interests
    }

    /// Drops what is not for us of messages that anybody may have sent, to anybody: it is not to take the room of what is.
    fn sift(&self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        let mut wanted = Batch::default();
        while let Some(message) = run.pop() {
            match self.wish.refusal(&self.interests, &message) {
                Some(why) => peers.discard(id, 1, message.byte_count(), why),
                None => drop(wanted.push(&[], &mut message.into())),
            }
        }
        *run = wanted.into_run();
    }
}

impl<W: Wish> Pattern for Subscribing<W> {
    const TYPE: SocketType = W::TYPE;

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.interests.connected(peers, id);
        self.wish.connected(id);
    }

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        if peers.is_wordless(id) {
            self.sift(peers, id, run);
            if run.is_empty() {
                return;
            }
        }
        peers.deliver(id, run);
        self.queue.enter(id);
        peers.wants.push(Want::Ready(Awaited::Readable));
    }

    fn notice(&mut self, peers: &mut Peers, id: PeerId, notice: Notice) {
        self.interests.notice(peers, id, &notice);
    }

    fn notices(&mut self, peers: &mut Peers, id: PeerId, bytes: usize) -> Vec<Notice> {
        self.interests.notices(peers, id, bytes)
    }

    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        self.wish.gone(id);
        self.interests.disconnected(peers, id);
        keep_or_drop(peers, id, unwritten, why)
    }

    fn leaving(&mut self, _peers: &mut Peers, id: PeerId) {
        self.wish.gone(id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.wish.gone(id);
        self.interests.disconnected(peers, id);
        if !peers.has_incoming(id) {
            self.queue.remove(id);
        }
    }

    fn topics(&self) -> Option<Topics> {
        Some(Topics {
            count: self.interests.len(),
            unmatched: None,
        })
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Readable => self.queue.has_messages(),
            Awaited::Writable => W::SENDS,
            _ => false,
        }
    }
}

impl<W: Wish> Receives for Subscribing<W> {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> bool {
        while let Some(id) = self.queue.recv(peers, into) {
            let Some(why) = self.wish.refusal(&self.interests, into) else {
                return true;
            };
            let unwanted = std::mem::replace(into, Message::empty());
            peers.drop_popped(id, unwanted, why);
        }
        false
    }
}

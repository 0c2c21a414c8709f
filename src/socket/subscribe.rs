//! SUB: messages that begin with what it has subscribed to ([RFC 29](https://rfc.zeromq.org/spec/29/)).

use super::Socket;
use super::verbs::{constructors, recv_message_verbs, socket_verbs, subscriber_verbs};
use crate::batch::Run;
use crate::explain::Topics;
use crate::message::Message;
use crate::notice::Notice;
use crate::options::Options;
use crate::routing::{
    Awaited, Dropped, FairQueue, Interests, Pattern, PeerId, Peers, Receives, Unwritten, Want, Words, keep_or_drop,
};
use crate::socket_type::SocketType;
use crate::stats::DropReason;

/// Receives messages of [`Pub`](crate::Pub) and [`XPub`](crate::XPub) sockets whose first frame begins with one of its
/// subscriptions ([RFC 29](https://rfc.zeromq.org/spec/29/)).
///
/// Without a subscription it receives nothing. Subscriptions are counted, never lost, and told in full to each publisher
/// whenever a connection to it is ready, before anything else. What comes and matches none of them (any more) is dropped
/// and counted as `NotSubscribed` when its turn to be received comes.
///
/// ```
/// use peermq::{Context, Pub, Sub};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let (publisher, sub) = (Pub::new(&context), Sub::new(&context));
/// sub.connect(publisher.bind("inproc://news")?)?;
/// sub.subscribe_confirmed("sports", Duration::from_secs(5))?; // the publisher knows
/// publisher.send(["sports", "a goal"])?;
/// assert_eq!(sub.recv()?.frame(1), Some(&b"a goal"[..]));
///
/// assert!(sub.unsubscribe("sports")?);
/// assert!(!sub.unsubscribe("sports")?); // it was not subscribed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sub {
    socket: Socket<SubPattern>,
}

constructors!(Sub, SubPattern::new);
socket_verbs!(Sub);
recv_message_verbs!(Sub);
subscriber_verbs!(Sub);

pub(crate) struct SubPattern {
    interests: Interests,
    queue: FairQueue,
    /// Takes what matches none of the subscriptions instead.
    is_inverted: bool,
}

impl SubPattern {
    pub(crate) fn new(options: &Options) -> Self {
        SubPattern {
            interests: Interests::new(Words::Subscribe),
            queue: FairQueue::default(),
            is_inverted: options.publishing.invert_matching,
        }
    }

    pub(crate) fn interests(&mut self) -> &mut Interests {
        &mut self.interests
    }
}

impl Pattern for SubPattern {
    const TYPE: SocketType = SocketType::Sub;

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.interests.connected(peers, id);
    }

    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
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
        self.interests.disconnected(peers, id);
        keep_or_drop(peers, id, unwritten, why)
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
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
        awaited == Awaited::Readable && self.queue.has_messages()
    }
}

impl Receives for SubPattern {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> bool {
        while let Some(id) = self.queue.recv(peers, into) {
            if self.interests.has_prefix_of(into.first()) != self.is_inverted {
                return true;
            }
            let unwanted = std::mem::replace(into, Message::empty());
            peers.drop_popped(id, unwanted, DropReason::NotSubscribed);
        }
        false
    }
}

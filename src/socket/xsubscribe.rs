//! XSUB: subscribes like SUB, and speaks upstream ([RFC 29](https://rfc.zeromq.org/spec/29/)).

use super::Socket;
use super::publish::subscription;
use super::verbs::{constructors, publish_verbs, recv_message_verbs, socket_verbs, subscriber_verbs};
use crate::batch::Run;
use crate::explain::Topics;
use crate::message::{Message, Outgoing};
use crate::notice::Notice;
use crate::options::Options;
use crate::routing::{
    Awaited, Dropped, FairQueue, Interests, Pattern, PeerId, Peers, Placed, Receives, Sends, Unwritten, Want, Words,
    keep_or_drop,
};
use crate::socket_type::SocketType;
use crate::stats::DropReason;

/// Receives all that [`Pub`](crate::Pub) and [`XPub`](crate::XPub) sockets send it, and sends messages to the `XPub` ones:
/// the end of a proxy that faces the publishers ([RFC 29](https://rfc.zeromq.org/spec/29/)).
///
/// It subscribes by `subscribe`, or by sending a message of one frame, 1 and the topic (0 and the topic ends it), as
/// libzmq's applications do. Any other message goes to every publisher that is there; one at its mark misses it, counted
/// as `PeerFull`. What comes is not filtered again: what a publisher sent before it knew of an end is received.
///
/// ```
/// use peermq::{Context, Upstream, XPub, XSub};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let (publisher, sub) = (XPub::new(&context), XSub::new(&context));
/// sub.connect(publisher.bind("inproc://talk")?)?;
/// sub.subscribe_confirmed("", Duration::from_secs(5))?;
/// assert!(matches!(publisher.recv()?, Upstream::Subscribe { .. }));
/// sub.send("may I ask?")?;
/// assert_eq!(publisher.recv()?.into_message(), "may I ask?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct XSub {
    socket: Socket<XSubPattern>,
}

constructors!(XSub, XSubPattern::new);
socket_verbs!(XSub);
publish_verbs!(XSub);
recv_message_verbs!(XSub);
subscriber_verbs!(XSub);

pub(crate) struct XSubPattern {
    interests: Interests,
    queue: FairQueue,
    /// Publishers whose connection is ready.
    up: Vec<PeerId>,
}

impl XSubPattern {
    pub(crate) fn new(_options: &Options) -> Self {
        XSubPattern {
            interests: Interests::new(Words::Subscribe),
            queue: FairQueue::default(),
            up: Vec::new(),
        }
    }

    pub(crate) fn interests(&mut self) -> &mut Interests {
        &mut self.interests
    }
}

impl Pattern for XSubPattern {
    const TYPE: SocketType = SocketType::XSub;

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.interests.connected(peers, id);
        self.up.push(id);
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
        self.up.retain(|&other| other != id);
        self.interests.disconnected(peers, id);
        keep_or_drop(peers, id, unwritten, why)
    }

    fn leaving(&mut self, _peers: &mut Peers, id: PeerId) {
        self.up.retain(|&other| other != id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.up.retain(|&other| other != id);
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
            Awaited::Writable => true,
            _ => false,
        }
    }
}

impl Sends for XSubPattern {
    fn send(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> bool {
        let first = message.first();
        if matches!(first.first(), Some(0 | 1)) {
            let whole = message.share(&[]);
            if let Some((is_new, topic)) = subscription(&whole) {
                match is_new {
                    true => self.interests.add(peers, topic),
                    false => drop(self.interests.remove(peers, topic)),
                }
                return true;
            }
        }
        for &id in &self.up {
            if peers.enqueue(id, &[], message) == Placed::Refused {
                peers.refuse(id, message.byte_count(), DropReason::PeerFull);
            }
        }
        if self.up.is_empty() {
            peers.drop_unsent(message.byte_count(), DropReason::NoSubscriber);
        }
        true
    }
}

impl Receives for XSubPattern {
    #[inline(always)]
    fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> bool {
        self.queue.recv(peers, into).is_some()
    }
}

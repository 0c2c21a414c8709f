//! XSUB: subscribes like SUB, and speaks upstream ([RFC 29](https://rfc.zeromq.org/spec/29/)).

use super::Socket;
use super::publish::subscription;
use super::subscribing::{Subscribing, Wish};
use super::verbs::{constructors, publish_verbs, recv_message_verbs, socket_verbs, subscriber_verbs};
use crate::message::{Message, Outgoing};
use crate::options::Options;
use crate::routing::{Interests, PeerId, Peers, Placed, Sends, Words};
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

pub(crate) type XSubPattern = Subscribing<Everything>;

/// What XSUB wants: all that comes.
pub(crate) struct Everything {
    /// Publishers whose connection is ready.
    up: Vec<PeerId>,
}

impl Wish for Everything {
    const TYPE: SocketType = SocketType::XSub;
    const WORDS: Words = Words::Subscribe;
    const SENDS: bool = true;

    fn new(_options: &Options) -> Self {
        Everything { up: Vec::new() }
    }

    fn refusal(&self, _interests: &Interests, _message: &Message) -> Option<DropReason> {
        None
    }

    fn connected(&mut self, id: PeerId) {
        self.up.push(id);
    }

    fn gone(&mut self, id: PeerId) {
        self.up.retain(|&other| other != id);
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
        for &id in &self.wish.up {
            if peers.enqueue(id, &[], message) == Placed::Refused {
                peers.refuse(id, message.byte_count(), DropReason::PeerFull);
            }
        }
        if self.wish.up.is_empty() {
            peers.drop_unsent(message.byte_count(), DropReason::NoSubscriber);
        }
        true
    }
}

//! XPUB: like PUB, and its application sees who subscribes to what ([RFC 29](https://rfc.zeromq.org/spec/29/)).

use super::publish::subscription;
use super::verbs::{constructors, publish_verbs, publisher_verbs, recv_verbs, socket_verbs};
use super::{Patience, Socket, given_back};
use crate::batch::{Batch, Run};
use crate::error::{NotSent, RecvError, SendError};
use crate::explain::Topics;
use crate::hub::{Closed, Hub};
use crate::message::{Message, Outgoing};
use crate::notice::Notice;
use crate::options::{Options, Verbosity};
use crate::peer_info::PeerInfo;
use crate::routing::{
    Awaited, Change, Dropped, FairQueue, FanOut, Matching, Pattern, PeerId, Peers, Placed, Receives, Sends, Unwritten,
    Want, keep_or_drop,
};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use crate::transport::real::chance;
use bytes::Bytes;
use std::sync::Arc;
use std::task::Poll;

/// Publishes like a [`Pub`](crate::Pub), and receives what its subscribers say: subscriptions, their ends, and messages
/// of [`XSub`](crate::XSub) sockets ([RFC 29](https://rfc.zeromq.org/spec/29/)).
///
/// Which subscriptions it hands over is for [`verbosity`](crate::Options::verbosity) to say; those that a lost peer had
/// end with it. They wait in the peer's queue like messages and count against its mark: an application that does not
/// receive them stops reading from that peer in the end.
///
/// ```
/// use peermq::{Context, Sub, Upstream, XPub};
///
/// let context = Context::new()?;
/// let (publisher, sub) = (XPub::new(&context), Sub::new(&context));
/// sub.connect(publisher.bind("inproc://weather")?)?;
/// sub.subscribe("weather")?;
/// let Upstream::Subscribe { topic, from } = publisher.recv()? else { panic!() };
/// assert_eq!(topic, "weather");
/// from.send("weather: yesterday it rained")?; // to this subscriber alone
/// publisher.send("weather: sunny")?;
/// assert_eq!(sub.recv()?, "weather: yesterday it rained");
/// assert_eq!(sub.recv()?, "weather: sunny");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct XPub {
    socket: Socket<XPubPattern>,
}

constructors!(XPub, |options: &Options| XPubPattern::new(options, chance()));
socket_verbs!(XPub);
publish_verbs!(XPub);
publisher_verbs!(XPub);
recv_verbs!(XPub, Upstream);

/// What a subscriber says.
#[derive(Debug)]
#[non_exhaustive]
pub enum Upstream {
    /// It wants what begins with this.
    Subscribe {
        /// The prefix.
        topic: Bytes,
        /// Whose subscription it is.
        from: Subscriber,
    },
    /// It does not any more, or is gone.
    Cancel {
        /// The prefix.
        topic: Bytes,
        /// Whose subscription it was.
        from: Subscriber,
    },
    /// A message of an XSUB.
    Message {
        /// What it sent.
        message: Message,
        /// Who sent it.
        from: Subscriber,
    },
}

impl Upstream {
    /// Returns it as libzmq's applications see it: a subscription is a message of 1 and the topic, its end one of 0 and the
    /// topic.
    pub fn into_message(self) -> Message {
        match self {
            Upstream::Subscribe { topic, .. } => Message::from([&[1], &topic[..]].concat()),
            Upstream::Cancel { topic, .. } => Message::from([&[0], &topic[..]].concat()),
            Upstream::Message { message, .. } => message,
        }
    }
}

/// One subscriber of an [`XPub`]. May outlive it; then its verbs fail with `Closed`.
#[derive(Clone)]
pub struct Subscriber {
    hub: Arc<Hub<XPubPattern>>,
    peer: PeerId,
}

impl Subscriber {
    /// Subscribes it to a topic, in the name of the publisher: also to one that it did not ask for. Gives whether it is
    /// still there. For a socket that is [`manual`](crate::Options::manual), this is the only way in.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) -> bool {
        let (peer, topic) = (self.peer, topic.as_ref());
        self.hub.act(|pattern, peers| {
            let is_up = peers.connection(peer).is_some();
            if is_up {
                pattern.fan.subscribe(peers, peer, topic);
            }
            is_up
        })
    }

    /// Ends a subscription of it, in the name of the publisher. Gives whether there was one.
    pub fn cancel(&self, topic: impl AsRef<[u8]>) -> bool {
        let (peer, topic) = (self.peer, topic.as_ref());
        self.hub
            .act(|pattern, peers| pattern.fan.cancel(peers, peer, topic) != Change::Nothing)
    }

    /// Returns who it is; `None` once it is gone.
    pub fn peer(&self) -> Option<Arc<PeerInfo>> {
        self.hub.act(|_, peers| peers.info(self.peer))
    }

    /// Sends a message to it alone, whatever it has subscribed to. Never waits: one that is gone or at its mark is an
    /// error, `PeerGone` or `PeerFull`, that gives the message back. (A [`Sub`](crate::Sub) drops what matches none of its
    /// subscriptions.)
    pub fn send<'m>(&self, message: impl Into<Outgoing<'m>>) -> Result<(), SendError> {
        let mut message = message.into();
        message.copy_large_lent(Bytes::copy_from_slice);
        let peer = self.peer;
        let sent = self.hub.attempt(Awaited::Writable, |_, peers| {
            Some(match peers.connection(peer) {
                None => Err(NotSent::PeerGone),
                Some(_) if peers.enqueue(peer, &[], &mut message) == Placed::Refused => Err(NotSent::PeerFull),
                Some(_) => Ok(()),
            })
        });
        let sent = match sent {
            Poll::Ready(Ok(sent)) => sent,
            Poll::Ready(Err(Closed)) | Poll::Pending => Err(NotSent::Closed),
        };
        sent.map_err(|reason| given_back(reason, message))
    }
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriber").finish_non_exhaustive()
    }
}

impl XPub {
    fn recv_with(&self, patience: Patience) -> Result<Upstream, RecvError> {
        self.socket
            .take(patience, XPubPattern::next)
            .map(|(peer, message)| self.own(peer, message))
    }

    /// Receives what a subscriber says, as a future of no runtime's own. Dropped before it is ready, it has taken nothing.
    pub async fn recv_async(&self) -> Result<Upstream, RecvError> {
        let (peer, message) = self.socket.take_async(XPubPattern::next).await?;
        Ok(self.own(peer, message))
    }

    fn own(&self, peer: PeerId, message: Message) -> Upstream {
        let from = Subscriber {
            hub: Arc::clone(&self.socket.hub),
            peer,
        };
        match subscription(&message) {
            Some((is_new, topic)) => {
                let topic = Bytes::copy_from_slice(topic);
                match is_new {
                    true => Upstream::Subscribe { topic, from },
                    false => Upstream::Cancel { topic, from },
                }
            }
            None => Upstream::Message { message, from },
        }
    }
}

pub(crate) struct XPubPattern {
    fan: FanOut,
    queue: FairQueue,
    verbosity: Verbosity,
    /// What peers asked for, if the application decides what they get.
    asked: Option<FanOut>,
    welcome: Option<Message>,
}

impl XPubPattern {
    pub(crate) fn new(options: &Options, key: u64) -> Self {
        let fan = || FanOut::new(Matching::Prefix, &options.publishing, key);
        XPubPattern {
            fan: fan(),
            queue: FairQueue::default(),
            verbosity: options.publishing.verbosity,
            asked: options.publishing.manual.then(fan),
            welcome: options.publishing.welcome.clone(),
        }
    }

    pub(crate) fn fan(&mut self) -> &mut FanOut {
        &mut self.fan
    }

    fn next(&mut self, peers: &mut Peers) -> Option<(PeerId, Message)> {
        let mut message = Message::empty();
        self.queue.recv(peers, &mut message).map(|peer| (peer, message))
    }

    /// A peer asks for a topic, or does not want it any more. An error: it does not get it, and why.
    fn heard(&mut self, peers: &mut Peers, id: PeerId, is_new: bool, topic: &[u8]) -> Result<(), DropReason> {
        let is_manual = self.asked.is_some();
        let fan = self.asked.as_mut().unwrap_or(&mut self.fan);
        let change = match is_new {
            true => fan.ask(peers, id, topic)?,
            false => fan.cancel(peers, id, topic),
        };
        let is_told = match (self.verbosity, is_new) {
            (Verbosity::All, true) | (Verbosity::Subscriptions, true) => true,
            (Verbosity::All, false) => change != Change::Nothing,
            // What never began does not end: it may have been refused.
            _ if is_manual => is_new || change != Change::Nothing,
            _ => change == Change::Socket,
        };
        if is_told {
            self.tell(peers, id, is_new, topic);
        }
        Ok(())
    }

    /// Hands a subscription to the application: like a message of the peer, in its order.
    fn tell(&mut self, peers: &mut Peers, id: PeerId, is_new: bool, topic: &[u8]) {
        let mut batch = Batch::default();
        say(&mut batch, is_new, topic);
        self.receive(peers, id, &mut batch.into_run());
    }

    fn receive(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        peers.deliver(id, run);
        self.queue.enter(id);
        peers.wants.push(Want::Ready(Awaited::Readable));
    }

    /// All that a peer had subscribed to ends with it: told in one go, for it may be a million topics.
    fn end(&mut self, peers: &mut Peers, id: PeerId) {
        let (is_manual, verbosity) = (self.asked.is_some(), self.verbosity);
        let mut ended = Batch::default();
        let mut note = |topic: &[u8], change| {
            if is_manual || verbosity == Verbosity::All || change == Change::Socket {
                say(&mut ended, false, topic);
            }
        };
        match &mut self.asked {
            Some(asked) => {
                asked.remove(peers, id, &mut note);
                self.fan.remove(peers, id, |_, _| {});
            }
            None => self.fan.remove(peers, id, &mut note),
        }
        if !ended.is_empty() {
            self.receive(peers, id, &mut ended.into_run());
        }
    }
}

/// Packs a subscription, or the end of one, as the message that it is handed over as.
fn say(batch: &mut Batch, is_new: bool, topic: &[u8]) {
    batch.push(&[], &mut [&[u8::from(is_new)], topic].concat().into());
}

impl Pattern for XPubPattern {
    const TYPE: SocketType = SocketType::XPub;

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.fan.connected(peers, id, self.welcome.as_ref());
        if let Some(asked) = &mut self.asked {
            asked.connected(peers, id, None);
        }
    }

    fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        self.fan.has_room(peers, id);
    }

    /// Subscriptions of peers that speak ZMTP 3.0 are messages; what is none is for the application.
    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        while let Some(message) = run.pop() {
            match subscription(&message) {
                Some((is_new, topic)) => match self.heard(peers, id, is_new, topic) {
                    Ok(()) => peers.hand_over(id, message.byte_count()),
                    Err(why) => {
                        peers.discard(id, 1, message.byte_count(), why);
                        peers.drop_later(message);
                    }
                },
                None => {
                    let mut batch = Batch::default();
                    batch.push(&[], &mut message.into());
                    self.receive(peers, id, &mut batch.into_run());
                }
            }
        }
    }

    fn notice(&mut self, peers: &mut Peers, id: PeerId, notice: Notice) {
        let is_heard = match notice {
            Notice::Subscribe(topic) => self.heard(peers, id, true, &topic).is_ok(),
            Notice::Cancel(topic) => self.heard(peers, id, false, &topic).is_ok(),
            _ => false,
        };
        if !is_heard {
            peers.ignored(id, 1);
        }
    }

    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        self.end(peers, id);
        keep_or_drop(peers, id, unwritten, why)
    }

    fn leaving(&mut self, peers: &mut Peers, id: PeerId) {
        self.end(peers, id);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.end(peers, id);
        if !peers.has_incoming(id) {
            self.queue.remove(id);
        }
    }

    fn topics(&self) -> Option<Topics> {
        self.fan.explain()
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Readable => self.queue.has_messages(),
            Awaited::Writable => self.fan.is_writable(),
            _ => false,
        }
    }
}

impl Sends for XPubPattern {
    fn send(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> bool {
        self.fan.send(peers, None, message)
    }
}

impl Receives for XPubPattern {
    fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> bool {
        self.queue.recv(peers, into).is_some()
    }

    fn recv_many(&mut self, peers: &mut Peers, into: &mut Vec<Message>, limit: usize) -> usize {
        self.queue.recv_many(peers, into, limit)
    }
}

//! DISH: messages to the groups that it has joined ([RFC 48](https://rfc.zeromq.org/spec/48/)).

use super::Socket;
use super::radio::group;
use super::verbs::{constructors, recv_from_verbs, recv_step_verbs, socket_verbs};
use crate::batch::{Batch, Run};
use crate::error::SubscribeError;
use crate::explain::Topics;
use crate::message::Message;
use crate::notice::Notice;
use crate::options::Options;
use crate::routing::{
    Awaited, Dropped, FairQueue, Interests, Pattern, PeerId, Peers, Unwritten, Want, Words, keep_or_drop,
};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use bytes::Bytes;
use std::time::Duration;

/// Receives messages that [`Radio`](crate::Radio) sockets send to the groups that it has joined, with the group's name
/// ([RFC 48](https://rfc.zeromq.org/spec/48/)).
///
/// What comes for another group is dropped and counted as `NotSubscribed`, what has not exactly a group and a body as
/// `Malformed`. See [`Radio`](crate::Radio) for an example.
///
/// # Datagrams
///
/// Over `udp` it binds: to an address of its own, or to a multicast group, which it joins in the network, and which any
/// number of sockets on one machine can bind. It takes what anybody sends there; what is for a group that it has not joined,
/// or malformed, is dropped when it comes, and takes no room. At the receive mark it reads no more, and the system drops
/// what comes then, uncounted. All senders are one peer, which is there from `bind` until `unbind`; it is told nothing, and
/// [`join_confirmed`](Dish::join_confirmed) does not ask it. A body over
/// [`max_message_size`](crate::Options::max_message_size) is `Malformed`.
pub struct Dish {
    socket: Socket<DishPattern>,
}

constructors!(Dish, DishPattern::new);
socket_verbs!(Dish);
recv_step_verbs!(Dish, (Bytes, Message), DishPattern::next);
recv_from_verbs!(Dish, (Bytes, Message), DishPattern::next);

impl Dish {
    /// Joins a group, also at radios that come later. At most 255 bytes. Joining twice changes nothing.
    pub fn join(&self, name: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        let name = group(name.as_ref())?;
        self.socket.if_open(|pattern, peers| pattern.join(peers, name))
    }

    /// Leaves a group. Gives whether it had joined it.
    pub fn leave(&self, name: impl AsRef<[u8]>) -> Result<bool, SubscribeError> {
        self.socket
            .if_open(|pattern, peers| pattern.leave(peers, name.as_ref()))
    }

    /// Joins a group, and waits until every radio has taken it, at most this long; as
    /// [`Sub::subscribe_confirmed`](crate::Sub::subscribe_confirmed). Over `udp` nobody is asked, nor counted.
    pub fn join_confirmed(&self, name: impl AsRef<[u8]>, timeout: Duration) -> Result<usize, SubscribeError> {
        self.join(name)?;
        let question = self.socket.if_open(|pattern, peers| pattern.interests.ask(peers))?;
        let answered = self.socket.wait_for(Some(timeout), |pattern, peers| {
            pattern.interests.answered(peers, question)
        });
        Ok(answered?)
    }
}

pub(crate) struct DishPattern {
    interests: Interests,
    queue: FairQueue,
}

impl DishPattern {
    pub(crate) fn new(_options: &Options) -> Self {
        DishPattern {
            interests: Interests::new(Words::Join),
            queue: FairQueue::default(),
        }
    }

    /// Once for all: who joins twice is a member once.
    pub(crate) fn join(&mut self, peers: &mut Peers, group: &[u8]) {
        if self.interests.count(group) == 0 {
            self.interests.add(peers, group);
        }
    }

    pub(crate) fn leave(&mut self, peers: &mut Peers, group: &[u8]) -> bool {
        self.interests.remove(peers, group)
    }

    pub(crate) fn next(&mut self, peers: &mut Peers) -> Option<(Bytes, Message)> {
        loop {
            let mut message = Message::empty();
            let id = self.queue.recv(peers, &mut message)?;
            match self.refusal(&message) {
                Some(why) => peers.drop_popped(id, message, why),
                None => {
                    let mut frames = message.into_frames();
                    let body = frames.pop().map_or_else(Message::empty, Message::from);
                    return Some((frames.pop().unwrap_or_default(), body));
                }
            }
        }
    }

    /// Why a message is not for us.
    fn refusal(&self, message: &Message) -> Option<DropReason> {
        match message.frame_count() {
            2 if self.interests.count(message.first()) > 0 => None,
            2 => Some(DropReason::NotSubscribed),
            _ => Some(DropReason::Malformed),
        }
    }

    /// Drops what is not for us of messages that anybody may have sent, to anybody: it is not to take the room of what is.
    fn sift(&self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        let mut wanted = Batch::default();
        while let Some(message) = run.pop() {
            match self.refusal(&message) {
                Some(why) => peers.discard(id, 1, message.byte_count(), why),
                None => drop(wanted.push(&[], &mut message.into())),
            }
        }
        *run = wanted.into_run();
    }
}

impl Pattern for DishPattern {
    const TYPE: SocketType = SocketType::Dish;

    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        self.interests.connected(peers, id);
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

//! DISH: messages to the groups that it has joined ([RFC 48](https://rfc.zeromq.org/spec/48/)).

use super::Socket;
use super::radio::group;
use super::subscribing::{Subscribing, Wish};
use super::verbs::{constructors, recv_from_verbs, recv_step_verbs, socket_verbs};
use crate::error::SubscribeError;
use crate::message::Message;
use crate::options::Options;
use crate::routing::{Interests, Peers, Receives, Words};
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

pub(crate) type DishPattern = Subscribing<Groups>;

/// What DISH wants: messages of two frames, to a group that it has joined.
pub(crate) struct Groups;

impl Wish for Groups {
    const TYPE: SocketType = SocketType::Dish;
    const WORDS: Words = Words::Join;

    fn new(_options: &Options) -> Self {
        Groups
    }

    fn refusal(&self, interests: &Interests, message: &Message) -> Option<DropReason> {
        match message.frame_count() {
            2 if interests.count(message.first()) > 0 => None,
            2 => Some(DropReason::NotSubscribed),
            _ => Some(DropReason::Malformed),
        }
    }
}

impl DishPattern {
    /// Once for all: who joins twice is a member once.
    pub(crate) fn join(&mut self, peers: &mut Peers, group: &[u8]) {
        if self.interests.count(group) == 0 {
            self.interests.add(peers, group);
        }
    }

    pub(crate) fn leave(&mut self, peers: &mut Peers, group: &[u8]) -> bool {
        self.interests.remove(peers, group)
    }

    /// The next message, and its group.
    pub(crate) fn next(&mut self, peers: &mut Peers) -> Option<(Bytes, Message)> {
        let mut message = Message::empty();
        if !self.recv(peers, &mut message) {
            return None;
        }
        let mut frames = message.into_frames();
        let body = frames.pop().map_or_else(Message::empty, Message::from);
        Some((frames.pop().unwrap_or_default(), body))
    }
}

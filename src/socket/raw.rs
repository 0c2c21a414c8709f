//! Messages as they are passed on without a look at what they are: the form that a proxy moves.
//!
//! What a type hands over beside the frames stands in front of them: the identity of a ROUTER's or STREAM's peer, its
//! number in four bytes of another's, the group of a RADIO's message. A subscription is a message of 1 and the topic, as in libzmq.

use super::channel::Channel;
use super::client::Client;
use super::dealer::Dealer;
use super::dish::Dish;
use super::gather::Gather;
use super::pair::Pair;
use super::peer::Peer;
use super::publish::Pub;
use super::pull::Pull;
use super::push::Push;
use super::radio::Radio;
use super::router::Router;
use super::scatter::Scatter;
use super::server::Server;
use super::stream::Stream;
use super::subscribe::Sub;
use super::xpublish::{Upstream, XPub};
use super::xsubscribe::XSub;
use super::{AnySocket, Sealed};
use crate::error::{NotSent, RecvError, SendError};
use crate::identity::Identity;
use crate::message::Message;
use crate::routing_id::RoutingId;
use crate::socket_type::SocketType;
use bytes::Bytes;

/// A socket that a [`Proxy`](crate::Proxy) can pass messages from, to, or both. All are but `Req` and `Rep`, whose
/// messages belong to one call: `Dealer` and `Router` stand in for them.
#[expect(private_bounds, reason = "nobody else's types are sockets")]
pub trait Relay: AnySocket + Raw {}

pub(crate) trait Raw: Sealed {
    fn socket_type(&self) -> SocketType {
        self.watched().socket_type()
    }

    /// Which ways it goes.
    fn ways(&self) -> Ways;

    /// Receives a message in its raw form, if one is here.
    fn try_recv_raw(&self) -> Result<Message, RecvError>;

    /// Sends a message in its raw form, if there is room. `WouldBlock` gives it back, and the socket is not ready to send
    /// until it is worth another try; for any other reason it never is.
    fn try_send_raw(&self, message: Message) -> Result<(), SendError>;
}

/// Which ways messages go through a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ways {
    pub(crate) gives: bool,
    pub(crate) takes: Takes,
}

/// Whether a socket takes messages to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    /// While it is ready to send.
    WithRoom,
    /// Each is for one peer, and whether that one has room is known only with the message: it is never waited for.
    Addressed,
}

/// A type whose messages are raw as they are.
macro_rules! raw_as_it_is {
    ($Type:ident gives) => {
        raw_as_it_is!($Type, true, Takes::Nothing, recv, nothing_to_send);
    };
    ($Type:ident takes) => {
        raw_as_it_is!($Type, false, Takes::WithRoom, nothing_to_recv, send);
    };
    ($Type:ident both) => {
        raw_as_it_is!($Type, true, Takes::WithRoom, recv, send);
    };
    ($Type:ident, $gives:expr, $takes:expr, $recv:ident, $send:ident) => {
        impl Relay for $Type {}

        impl Raw for $Type {
            fn ways(&self) -> Ways {
                Ways {
                    gives: $gives,
                    takes: $takes,
                }
            }

            fn try_recv_raw(&self) -> Result<Message, RecvError> {
                raw_as_it_is!(@$recv self)
            }

            fn try_send_raw(&self, message: Message) -> Result<(), SendError> {
                raw_as_it_is!(@$send self message)
            }
        }
    };
    (@recv $self:ident) => { $self.try_recv() };
    (@send $self:ident $message:ident) => { $self.try_send($message) };
    (@nothing_to_recv $self:ident) => { Err(RecvError::WouldBlock) };
    (@nothing_to_send $self:ident $message:ident) => { Err(given_back(NotSent::WouldBlock, $message)) };
}

raw_as_it_is!(Push takes);
raw_as_it_is!(Pull gives);
raw_as_it_is!(Pair both);
raw_as_it_is!(Dealer both);
raw_as_it_is!(Channel both);
raw_as_it_is!(Client both);
raw_as_it_is!(Scatter takes);
raw_as_it_is!(Gather gives);
raw_as_it_is!(Pub takes);
raw_as_it_is!(Sub gives);
raw_as_it_is!(XSub both);

/// A type whose raw messages have one frame more, in front.
macro_rules! raw_with_one_more {
    ($Type:ident, $gives:expr, $takes:expr, $recv:expr, $send:expr) => {
        impl Relay for $Type {}

        impl Raw for $Type {
            fn ways(&self) -> Ways {
                Ways {
                    gives: $gives,
                    takes: $takes,
                }
            }

            fn try_recv_raw(&self) -> Result<Message, RecvError> {
                $recv(self)
            }

            fn try_send_raw(&self, message: Message) -> Result<(), SendError> {
                $send(self, message)
            }
        }
    };
}

raw_with_one_more!(
    XPub,
    true,
    Takes::WithRoom,
    |socket: &XPub| socket.try_recv().map(Upstream::into_message),
    |socket: &XPub, message: Message| socket.try_send(message)
);
/// A type that addresses its peers by identity.
macro_rules! raw_by_identity {
    ($Type:ident) => {
        raw_with_one_more!(
            $Type,
            true,
            Takes::Addressed,
            |socket: &$Type| socket
                .try_recv()
                .map(|(from, message)| in_front(Bytes::copy_from_slice(from.as_bytes()), message)),
            |socket: &$Type, message| with_first(message, |first, message| match Identity::from_received(first) {
                Ok(to) => socket.send_to(&to, message),
                Err(_) => Err(given_back(NotSent::UnknownPeer, message)),
            })
        );
    };
}

raw_by_identity!(Router);
raw_by_identity!(Stream);
/// A type that addresses its peers by number.
macro_rules! raw_by_number {
    ($Type:ident) => {
        raw_with_one_more!(
            $Type,
            true,
            Takes::Addressed,
            |socket: &$Type| socket
                .try_recv()
                .map(|(from, message)| in_front(number(from), message)),
            |socket: &$Type, message| with_first(message, |first, message| match numbered(first) {
                Some(to) => socket.send_to(&to, message),
                None => Err(given_back(NotSent::UnknownPeer, message)),
            })
        );
    };
}

raw_by_number!(Server);
raw_by_number!(Peer);
raw_with_one_more!(
    Dish,
    true,
    Takes::Nothing,
    |socket: &Dish| socket.try_recv().map(|(group, message)| in_front(group, message)),
    |_: &Dish, message| Err(given_back(NotSent::WouldBlock, message))
);
raw_with_one_more!(
    Radio,
    false,
    Takes::WithRoom,
    |_: &Radio| Err(RecvError::WouldBlock),
    |socket: &Radio, message| with_first(message, |first, message| socket.try_send(first, message))
);

/// The number of a peer as a frame.
fn number(id: RoutingId) -> Bytes {
    Bytes::copy_from_slice(&id.get().to_be_bytes())
}

fn numbered(frame: &[u8]) -> Option<RoutingId> {
    frame
        .try_into()
        .ok()
        .and_then(|bytes| RoutingId::new(u32::from_be_bytes(bytes)))
}

/// A message with one more frame in front.
fn in_front(first: Bytes, message: Message) -> Message {
    let mut frames = vec![first];
    frames.extend(message.into_frames());
    Message::many(frames)
}

/// Sends a message without its first frame, which says where to. Gives it back with it. A message of that frame alone is
/// for nobody.
fn with_first(message: Message, send: impl FnOnce(&Bytes, Message) -> Result<(), SendError>) -> Result<(), SendError> {
    if message.frame_count() < 2 {
        return Err(given_back(NotSent::UnknownPeer, message));
    }
    let mut frames = message.into_frames();
    let first = frames.remove(0);
    send(&first, Message::many(frames)).map_err(|error| SendError {
        message: error.message.map(|message| in_front(first, message)),
        ..error
    })
}

fn given_back(reason: NotSent, message: Message) -> SendError {
    SendError {
        reason,
        message: Some(message),
    }
}

//! Messages as they are passed on without a look at what they are: the form that a proxy moves.
//!
//! What a type hands over beside the frames stands in front of them: the identity of a ROUTER's peer is the first frame, and
//! a subscription is a message of 1 and the topic, as in libzmq.

use super::dealer::Dealer;
use super::pair::Pair;
use super::publish::Pub;
use super::pull::Pull;
use super::push::Push;
use super::subscribe::Sub;
use super::xpublish::{Upstream, XPub};
use super::xsubscribe::XSub;
use super::{AnySocket, Sealed};
use crate::error::{NotSent, RecvError, SendError};
use crate::message::Message;
use crate::socket_type::SocketType;

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
    #[allow(dead_code, reason = "used by the socket types that come next")]
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
raw_as_it_is!(Pub takes);
raw_as_it_is!(Sub gives);
raw_as_it_is!(XSub both);

impl Relay for XPub {}

impl Raw for XPub {
    fn ways(&self) -> Ways {
        Ways {
            gives: true,
            takes: Takes::WithRoom,
        }
    }

    fn try_recv_raw(&self) -> Result<Message, RecvError> {
        self.try_recv().map(Upstream::into_message)
    }

    fn try_send_raw(&self, message: Message) -> Result<(), SendError> {
        self.try_send(message)
    }
}

fn given_back(reason: NotSent, message: Message) -> SendError {
    SendError {
        reason,
        message: Some(message),
    }
}

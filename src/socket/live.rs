//! What can be changed of a socket that exists.

use super::Sealed;
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
use super::reply::Rep;
use super::request::Req;
use super::router::Router;
use super::scatter::Scatter;
use super::server::Server;
use super::stream::Stream;
use super::subscribe::Sub;
use super::xpublish::XPub;
use super::xsubscribe::XSub;
use crate::options::InvalidOptions;

/// A type with a queue of messages to each peer.
macro_rules! send_marks {
    ($($Type:ident)*) => {$(
        impl $Type {
            /// Changes how many messages wait for each peer before it counts as full, from now on, for the peers of now
            /// and those that come: [`Options::send_mark`](crate::Options::send_mark). At least 1, else nothing changes; [`usize::MAX`] is no limit.
            ///
            /// Higher: a peer that was full has room at once, and who waits for it goes on. Lower than what is queued: the
            /// peer stays full until half of the new mark is left; nothing is dropped. Never waits. After `close` it does
            /// nothing.
            pub fn set_send_mark(&self, messages: usize) -> Result<(), InvalidOptions> {
                let messages = at_least_1("send_mark", messages)?;
                self.set_marks(|send, _| send.messages = messages);
                Ok(())
            }

            /// Changes how many bytes wait for each peer before it counts as full, as
            /// [`set_send_mark`](Self::set_send_mark) does for messages:
            /// [`Options::send_mark_bytes`](crate::Options::send_mark_bytes).
            pub fn set_send_mark_bytes(&self, bytes: usize) -> Result<(), InvalidOptions> {
                let bytes = at_least_1("send_mark_bytes", bytes)?;
                self.set_marks(|send, _| send.bytes = bytes);
                Ok(())
            }
        }
    )*};
}

/// A type with a queue of messages from each peer.
macro_rules! recv_marks {
    ($($Type:ident)*) => {$(
        impl $Type {
            /// Changes how many messages of each peer wait to be received before reading from it pauses, from now on, for
            /// the peers of now and those that come: [`Options::recv_mark`](crate::Options::recv_mark). At least 1, else
            /// nothing changes; [`usize::MAX`] is no limit.
            ///
            /// Higher: reading that paused goes on at once. Lower than what is queued: it pauses until half of the new mark
            /// is left; nothing is dropped. Never waits. After `close` it does nothing.
            pub fn set_recv_mark(&self, messages: usize) -> Result<(), InvalidOptions> {
                let messages = at_least_1("recv_mark", messages)?;
                self.set_marks(|_, recv| recv.messages = messages);
                Ok(())
            }

            /// Changes how many bytes of each peer wait to be received before reading from it pauses, as
            /// [`set_recv_mark`](Self::set_recv_mark) does for messages:
            /// [`Options::recv_mark_bytes`](crate::Options::recv_mark_bytes).
            pub fn set_recv_mark_bytes(&self, bytes: usize) -> Result<(), InvalidOptions> {
                let bytes = at_least_1("recv_mark_bytes", bytes)?;
                self.set_marks(|_, recv| recv.bytes = bytes);
                Ok(())
            }
        }
    )*};
}

send_marks!(Req Rep Dealer Router Pub XPub XSub Push Pair Radio Stream Server Client Scatter Peer Channel);
recv_marks!(Rep Dealer Router XPub Sub XSub Pull Pair Dish Stream Server Client Gather Peer Channel);

fn at_least_1(option: &'static str, value: usize) -> Result<usize, InvalidOptions> {
    match value {
        0 => Err(InvalidOptions::Zero { option }),
        _ => Ok(value),
    }
}

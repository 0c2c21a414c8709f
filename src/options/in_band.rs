//! Messages that tell of connections, among the others.

use super::Options;
use crate::message::Message;

impl Options {
    /// Sets what each peer is sent on each new connection, before any other message. Default: nothing. ROUTER, SERVER,
    /// PEER, DEALER and CLIENT (`ZMQ_HELLO_MSG`).
    ///
    /// It is above the mark, and counted as accepted and written once it is; over a connection that ends before, it was
    /// neither. The peer cannot tell it from other messages: agree on what it looks like. SERVER, PEER and CLIENT take
    /// only single frames.
    pub fn hello_message(mut self, message: impl Into<Message>) -> Self {
        self.in_band.hello = Some(message.into());
        self.note("hello_message")
    }

    /// Sets what this socket receives, as if it came from the peer, when the connection of a peer that came to it is
    /// lost, behind all that the peer sent. Default: nothing. ROUTER, SERVER and PEER (`ZMQ_DISCONNECT_MSG`).
    ///
    /// Not when this side ends the connection. It is counted as arrived, and above the receive mark. What the peer itself
    /// sends may look the same.
    pub fn disconnect_message(mut self, message: impl Into<Message>) -> Self {
        self.in_band.disconnect = Some(message.into());
        self.note("disconnect_message")
    }

    /// Sets what this socket receives, as if it came from the peer, when its connection to one that it connected to is
    /// lost and will be made again. Default: nothing. DEALER, CLIENT and PEER (`ZMQ_HICCUP_MSG`).
    ///
    /// Not when this side ends the connection. It is counted as arrived, and one stands above the receive mark; while it is
    /// unread, the next are dropped and counted as `Unnoticed`.
    pub fn hiccup_message(mut self, message: impl Into<Message>) -> Self {
        self.in_band.hiccup = Some(message.into());
        self.note("hiccup_message")
    }
}

/// Messages of no application's sending. Each is made once, and small.
#[derive(Debug, Clone, Default)]
pub(crate) struct InBand {
    pub(crate) hello: Option<Message>,
    pub(crate) disconnect: Option<Message>,
    pub(crate) hiccup: Option<Message>,
}

//! How much may wait, and for how long.

use super::Options;
use std::time::Duration;

impl Options {
    /// Sets how many messages wait for each peer before it counts as full. Default 1,000; at least 1.
    ///
    /// All count that are not wholly written, those too that are being written. A full peer is wanted again at half the
    /// mark. Over inproc the other side's [`recv_mark`](Options::recv_mark) comes on top once both are connected.
    ///
    /// Larger: a slow peer is noticed later, and its messages are older and take more memory. Smaller: a short pause of
    /// the peer stops the sender sooner, and fewer messages share a system call.
    pub fn send_mark(mut self, messages: usize) -> Self {
        self.send_mark.messages = self.mark_of(messages);
        self.note("send_mark")
    }

    /// Sets both [`send_mark`](Options::send_mark) and [`recv_mark`](Options::recv_mark), of which a socket uses those
    /// that its type has: the options of both ends of a pipeline can be the same. At least 1.
    pub fn mark(mut self, messages: usize) -> Self {
        self.send_mark.messages = self.mark_of(messages);
        self.recv_mark.messages = self.mark_of(messages);
        self
    }

    /// Sets how many bytes wait for each peer before it counts as full: payload, and 64 for each message.
    /// Default 256 MiB; at least 1.
    ///
    /// Asked before a message and not about it, so that a lone message of any size always fits, and one may overshoot.
    ///
    /// Larger: a slow peer that is sent large messages takes more memory. Smaller: it stops the sender sooner; below
    /// the size of a message, they go one by one.
    pub fn send_mark_bytes(mut self, bytes: usize) -> Self {
        self.send_mark.bytes = bytes;
        self.note("send_mark_bytes")
    }

    /// Sets how many messages of each peer wait to be received before reading from it pauses.
    /// Default 1,000; at least 1.
    ///
    /// Reading goes on at half the mark. While it pauses, one read more (at most 256 KiB, or the rest of one message)
    /// may be held beside the queue; then the kernel's buffers fill, and the peer's sender waits.
    ///
    /// Larger: more memory for each peer that is faster than the receiver, and older messages. Smaller: peers are
    /// paused and resumed more often.
    pub fn recv_mark(mut self, messages: usize) -> Self {
        self.recv_mark.messages = self.mark_of(messages);
        self.note("recv_mark")
    }

    /// Sets how many bytes of each peer wait to be received before reading from it pauses: payload, and 64 for each
    /// message. Default 256 MiB; at least 1.
    ///
    /// The last message may overshoot, by at most [`max_message_size`](Options::max_message_size). Messages that came with
    /// others lie in chunks that they share with them: a peer that means harm can make what waits keep up to sixteen times as
    /// much memory, 256 KiB for each message at most.
    ///
    /// What peers left unread that came to this socket and are gone is received too. All of them together may leave as
    /// much, each weighing 4 KiB and its [metadata](crate::PeerInfo::metadata) more; until some of it is received, nobody new
    /// is let in ([`Failure::Refused`](crate::Failure::Refused); who dials tries again).
    ///
    /// Larger: a peer that sends large messages to a slow receiver takes more memory. Smaller: it is paused and resumed
    /// more often.
    pub fn recv_mark_bytes(mut self, bytes: usize) -> Self {
        self.recv_mark.bytes = bytes;
        self.note("recv_mark_bytes")
    }

    /// Sets how long `close`, `disconnect`, `unbind_and_close` and the end of the context go on sending what was
    /// accepted. Default 5 s.
    ///
    /// What is not written by then is dropped and counted as [`DropReason::Linger`](crate::DropReason::Linger). A peer that
    /// is down is meanwhile tried every half second at least, whatever [`reconnect`](Options::reconnect) says.
    ///
    /// Longer: `close` and the end of the context may take that long when a peer is gone or does not read. Shorter:
    /// less time for a slow peer, or for one that is not there yet. Zero: what is not written at that moment is
    /// dropped. [`Duration::MAX`]: they wait for ever.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets how many events a [`Monitor`](crate::Monitor) that nobody reads keeps; further ones are dropped and
    /// counted. Default 1,024; at least 1.
    ///
    /// A flood of one kind of failed handshakes takes 50 of them, and then one a second
    /// ([`Event::HandshakeFailed`](crate::Event::HandshakeFailed)).
    ///
    /// Larger: more memory for each monitor that is not read. Smaller: a burst of connections is told in part.
    pub fn monitor_events(mut self, events: usize) -> Self {
        self.monitor_events = events;
        self
    }
}

//! What a context counts: its sockets, and its event loop.

use super::{Flow, SocketStats};
use crate::socket_type::SocketType;

/// Counts what the sockets of a context and its event loop have done. A copy; each socket's part is true at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ContextStats {
    /// The sockets that are open, still closing, or closed and not dropped yet, in the order in which they were made.
    pub sockets: Vec<SocketEntry>,
    /// The event loop; `None` if it is gone, or was asked on its own thread (from a `Waker`), or in a forked child.
    pub event_loop: Option<LoopStats>,
}

/// One socket of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketEntry {
    /// Which it is: sockets of a context are counted from 0, and a number is not used again.
    pub number: u64,
    /// Its type.
    pub socket_type: SocketType,
    /// What it has counted.
    pub stats: SocketStats,
}

/// Counts what an event loop has done, and what it has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LoopStats {
    /// Turns that were taken, by the loop's own thread and by those that wait.
    pub turns: u64,
    /// What other threads have asked of it: to connect, to read on, to end something. Not flushes, which any thread does.
    pub notes: u64,
    /// Endpoints of its own that it takes connections at; each has a descriptor. Not those of inproc.
    pub listeners: usize,
    /// Endpoints that it connects to, or stays connected to. Not those of inproc.
    pub dialers: usize,
    /// Connections by how far they are; each has a descriptor.
    pub connections: Connections,
}

/// Connections by how far they are. Those of inproc are none: they need no loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Connections {
    /// On their way to the address, or through a proxy.
    pub connecting: usize,
    /// Open, and not ready on both sides yet.
    pub handshaking: usize,
    /// Ready for messages.
    pub ready: usize,
    /// Writing what is left, and waiting for the peer's end.
    pub ending: usize,
}

impl Connections {
    /// Returns how many there are.
    pub fn total(&self) -> usize {
        self.connecting + self.handshaking + self.ready + self.ending
    }
}

impl ContextStats {
    /// Returns what the queues of all sockets hold now, as their byte marks count it: bytes of frames' bodies, and 64 for
    /// each message.
    pub fn queued_weight(&self) -> u64 {
        let weight = |flow: &Flow| flow.queued_bytes + 64 * flow.queued;
        let sockets = self.sockets.iter().map(|socket| &socket.stats);
        sockets.map(|stats| weight(&stats.out) + weight(&stats.incoming)).sum()
    }
}

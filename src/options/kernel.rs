//! What the system is told about each connection.

use super::{Keepalive, Options};
use std::time::Duration;

impl Options {
    /// Sets TCP keepalive: silence until the first probe, time between probes, and how many probes go unanswered before
    /// the connection ends. Default 10 s, 5 s, 4: a peer that vanished without a word is given up after 30 s.
    ///
    /// Times are rounded up to whole seconds, 1 to 32,767; probes are 1 to 127.
    ///
    /// Longer: what is sent to such a peer waits longer, and a socket that only receives notices later. Shorter: more
    /// packets on idle connections, and a network that is down for a moment ends them.
    pub fn keepalive(mut self, idle: Duration, interval: Duration, probes: u32) -> Self {
        self.transport.keepalive = Some(Keepalive { idle, interval, probes });
        self
    }

    /// Switches TCP keepalive off. By default it is on.
    ///
    /// Off, a peer that vanished without a word is noticed only when something is sent to it; a socket that only
    /// receives keeps its connection for ever.
    pub fn no_keepalive(mut self) -> Self {
        self.transport.keepalive = None;
        self
    }

    /// Sets how many connections may wait in the system to be accepted. Default 1,024; the system may allow fewer
    /// (Linux: `net.core.somaxconn`).
    ///
    /// Larger: more half-open connections of strangers. Smaller: of many peers that come at once, some have to try
    /// again.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.transport.backlog = connections;
        self
    }

    /// Sets whether listeners on `[::]` take IPv6 only. Default no: they take IPv4 too.
    ///
    /// Yes: IPv4 peers need a listener of their own, which can have the same port. No: nobody else can have the port
    /// for IPv4.
    pub fn ipv6_only(mut self, yes: bool) -> Self {
        self.transport.ipv6_only = yes;
        self
    }

    /// Sets the kernel's send buffer of each connection, in bytes. Default: the system's choice, which on Linux grows
    /// with the connection.
    ///
    /// Larger: more of what was written can be lost with a connection, and a slow peer is noticed later. Smaller: each
    /// round trip carries less. Set at all, it does not grow any more; the system may double or cap it.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.transport.send_buffer = Some(bytes);
        self
    }

    /// Sets the kernel's receive buffer of each connection, in bytes. Default: the system's choice, which on Linux
    /// grows with the connection.
    ///
    /// Larger: more unread memory for each peer beyond [`recv_mark`](Options::recv_mark). Smaller: each round trip
    /// carries less. Set at all, it does not grow any more; the system may double or cap it.
    pub fn recv_buffer(mut self, bytes: usize) -> Self {
        self.transport.recv_buffer = Some(bytes);
        self
    }
}

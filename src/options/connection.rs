//! What a connection may take and cost: limits, times, and how it comes back.

use super::{Options, Reconnect};
use std::time::Duration;

/// After what a dialer does not try again, whatever the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StopDialing {
    /// Any failed attempt, and any lost connection.
    pub(crate) always: bool,
    /// An attempt whose last address had nobody there.
    pub(crate) when_refused: bool,
    /// A connection that ended before it was ready.
    pub(crate) when_handshake_fails: bool,
}

impl Options {
    /// Sets the largest message that is received, all frames together, in bytes. Default 1 GiB.
    ///
    /// A peer that announces more is disconnected before anything is reserved for it
    /// ([`Failure::TooLarge`](crate::Failure::TooLarge)). What is sent has no limit.
    ///
    /// Larger: one message of one peer may take that much memory. Smaller: peers that send more are disconnected, and a
    /// dialer that does so comes back, after waits that grow, and is disconnected again.
    pub fn max_message_size(mut self, bytes: u64) -> Self {
        self.limits.message_bytes = bytes;
        self
    }

    /// Sets the largest number of frames in a message that is received. Default 65,536; at least 1.
    ///
    /// A peer that sends more is disconnected. Each frame takes some tens of bytes beside its payload.
    ///
    /// Larger: a message of many empty frames takes memory that no limit of bytes sees. Smaller: peers that send more
    /// are disconnected.
    pub fn max_frames(mut self, frames: usize) -> Self {
        self.limits.frames = frames;
        self
    }

    /// Sets how many bytes a peer may send until its handshake is complete. Default 16 KiB; at least 512, which hold a
    /// greeting and a READY with an identity of 255 bytes.
    ///
    /// Larger: strangers may make us hold more for each connection. Smaller: peers that say much of themselves in READY
    /// are refused.
    pub fn max_handshake_bytes(mut self, bytes: usize) -> Self {
        self.limits.handshake_bytes = bytes;
        self
    }

    /// Sets how many bytes a peer may say of itself: the properties of its READY, each with its name and five bytes more.
    /// Default 9 KiB: 8 KiB of [`metadata`](Options::metadata), and what the protocol itself has to say; at least 512.
    ///
    /// It is part of what [`max_handshake_bytes`](Options::max_handshake_bytes) allows. What a peer says is kept as long as
    /// its connection lasts, and longer where messages are left that came by it.
    ///
    /// Larger: each peer may make us keep more. Smaller: peers that say much of themselves are refused, for good
    /// ([`Failure::TooLarge`](crate::Failure::TooLarge)).
    pub fn max_metadata_bytes(mut self, bytes: usize) -> Self {
        self.limits.metadata_bytes = bytes;
        self
    }

    /// Sets how many properties a peer may have in its READY, its type and identity among them. Default 64; at least 4,
    /// which are those of a peer of this library without [`metadata`](Options::metadata).
    ///
    /// Larger: each peer may make us keep more small pieces. Smaller: peers that say much of themselves are refused, for
    /// good ([`Failure::TooLarge`](crate::Failure::TooLarge)).
    pub fn max_properties(mut self, properties: usize) -> Self {
        self.limits.properties = properties;
        self
    }

    /// Sets how long a connection may take from the moment it is open until both sides are ready. Default 30 s.
    ///
    /// Longer: silent strangers hold a connection longer. Shorter: peers on slow links, or that are busy, never get in.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// Sets how long one attempt to reach one address may take. Default 30 s; the system may give up before.
    ///
    /// Longer: an address that swallows what is sent to it keeps the next one of its name waiting longer. Shorter:
    /// peers that are far away, or whose backlog is full, are never reached.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets the shortest and the longest wait between two attempts to connect. Default 100 ms and 5 s. A longest below
    /// the shortest is raised to it.
    ///
    /// The wait doubles from the first to the second, each varied by up to a quarter so that many peers do not come
    /// back in step. It starts over once a connection has been ready for as long as the longest wait, or for a minute:
    /// a peer that cuts each connection soon (it is told more than a limit of its own allows, or another has our identity
    /// and takes it back) is not asked without a pause. libzmq starts over with each connection. While `close` or
    /// `disconnect` has something left for the peer, a wait is half a second at most ([`linger`](Options::linger)).
    ///
    /// Shorter: more attempts, each some system calls and two events, at a peer that is down; with zero without a
    /// pause. Longer: a peer that is back waits longer to be found.
    pub fn reconnect(mut self, min: Duration, max: Duration) -> Self {
        self.reconnect = Reconnect { min, max: max.max(min) };
        self
    }

    /// Sets how long to wait before a peer that refused us for good is tried again. Default: it is not tried again, and
    /// [`Event::GaveUp`](crate::Event::GaveUp) says so.
    ///
    /// For good is what does not change by waiting: other socket types, another mechanism, an ERROR of the peer.
    ///
    /// Set: a peer that was set up wrongly is found once it is set up anew. Shorter: more attempts in vain until then.
    /// Not set: only a new `connect` finds it, and what is queued for it waits until `disconnect` or `close`; requests of a
    /// [`Req`](crate::Req) go to other peers.
    pub fn retry_refused(mut self, interval: Duration) -> Self {
        self.retry_refused = Some(interval);
        self
    }

    /// Lets a dialer stop after its first failed attempt, or when its connection is lost. Default: it tries again, after
    /// the waits of [`reconnect`](Options::reconnect).
    ///
    /// All addresses of a name make one attempt. [`Event::GaveUp`](crate::Event::GaveUp) tells the end; the peer goes,
    /// and what was queued for it is dropped and counted as [`DropReason::PeerLost`](crate::DropReason::PeerLost); requests
    /// of a [`Req`](crate::Req) go to other peers, or wait for one. Another `connect` tries again. Over inproc nothing is tried again in any case.
    ///
    /// Set: a peer that restarts is not found again. Not set: a peer that is gone for good is looked for until
    /// `disconnect` or `close`.
    pub fn no_reconnect(mut self) -> Self {
        self.stop_dialing.always = true;
        self
    }

    /// Sets whether a dialer stops when nobody is there: when the last address that it tried refused the connection.
    /// Default no. It ends as with [`no_reconnect`](Options::no_reconnect).
    ///
    /// Yes: a peer that starts later than this socket, or restarts, is not found. No: an address at which nobody will
    /// ever be is tried for ever.
    pub fn stop_when_refused(mut self, yes: bool) -> Self {
        self.stop_dialing.when_refused = yes;
        self
    }

    /// Sets whether a dialer stops when a connection ends before it is ready. Default: only if trying again cannot help,
    /// and [`retry_refused`](Options::retry_refused) does not say otherwise. It ends as with
    /// [`no_reconnect`](Options::no_reconnect).
    ///
    /// Yes: a peer that was taken (PAIR), or went down in that moment, is not found again. No: something that is no
    /// ZeroMQ socket is connected to again and again.
    pub fn stop_when_handshake_fails(mut self, yes: bool) -> Self {
        self.stop_dialing.when_handshake_fails = yes;
        self
    }
}

//! What can be set about a socket, once, before it exists.
//!
//! Every setter says its unit, its default, and what becomes worse in each direction.

use crate::identity::Identity;
use std::time::Duration;

/// The settings of a socket; fixed once the socket exists.
///
/// ```
/// use peermq::Options;
/// use std::time::Duration;
/// let options = Options::default().send_mark(10_000).linger(Duration::from_secs(1));
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) send_mark: Mark,
    pub(crate) recv_mark: Mark,
    pub(crate) linger: Duration,
    pub(crate) identity: Option<Identity>,
    pub(crate) limits: Limits,
    pub(crate) handshake_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) reconnect: Reconnect,
    pub(crate) retry_refused: Option<Duration>,
    pub(crate) connected_first: bool,
    pub(crate) requeue_unwritten: bool,
    pub(crate) correlate: bool,
    pub(crate) transport: TransportOptions,
    pub(crate) monitor_events: usize,
}

/// A queue is full when it holds this many messages or bytes, and wanted again at half of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// What a peer may make us hold. Compared before anything is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) message_bytes: u64,
    pub(crate) frames: usize,
    pub(crate) handshake_bytes: usize,
}

/// How long a dialer waits between two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reconnect {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// What the transports are told about each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransportOptions {
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) backlog: u32,
    pub(crate) ipv6_only: bool,
    pub(crate) send_buffer: Option<usize>,
    pub(crate) recv_buffer: Option<usize>,
}

/// TCP keepalive: silence until the first probe, time between probes, probes until the peer is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) probes: u32,
}

impl Default for Options {
    fn default() -> Self {
        let mark = Mark {
            messages: 1_000,
            bytes: 256 << 20,
        };
        Options {
            send_mark: mark,
            recv_mark: mark,
            linger: Duration::from_secs(5),
            identity: None,
            limits: Limits {
                message_bytes: 1 << 30,
                frames: 65_536,
                handshake_bytes: 16 << 10,
            },
            handshake_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            reconnect: Reconnect {
                min: Duration::from_millis(100),
                max: Duration::from_secs(5),
            },
            retry_refused: None,
            connected_first: false,
            requeue_unwritten: false,
            correlate: true,
            transport: TransportOptions {
                keepalive: Some(Keepalive {
                    idle: Duration::from_secs(10),
                    interval: Duration::from_secs(5),
                    probes: 4,
                }),
                backlog: 1_024,
                ipv6_only: false,
                send_buffer: None,
                recv_buffer: None,
            },
            monitor_events: 1_024,
        }
    }
}

impl Options {
    /// Sets how many messages wait for each peer before it counts as full. Default 1,000; at least 1.
    ///
    /// Larger: a slow peer is noticed later, its messages are older and take more memory. Smaller: a short pause of
    /// the peer stops the sender sooner. The peer is wanted again at half the mark.
    pub fn send_mark(mut self, messages: usize) -> Self {
        self.send_mark.messages = messages;
        self
    }

    /// Sets how many bytes wait for each peer before it counts as full: payload, and 64 for each message. Default
    /// 256 MiB; at least 1. Asked before a message, so that one message of any size always fits.
    pub fn send_mark_bytes(mut self, bytes: usize) -> Self {
        self.send_mark.bytes = bytes;
        self
    }

    /// Sets how many messages of each peer wait to be received before reading from it pauses. Default 1,000; at
    /// least 1.
    ///
    /// Larger: more memory for each peer that is faster than the receiver. Smaller: peers are paused and resumed more
    /// often.
    pub fn recv_mark(mut self, messages: usize) -> Self {
        self.recv_mark.messages = messages;
        self
    }

    /// Sets how many bytes of each peer wait to be received before reading from it pauses. Default 256 MiB; at
    /// least 1.
    pub fn recv_mark_bytes(mut self, bytes: usize) -> Self {
        self.recv_mark.bytes = bytes;
        self
    }

    /// Sets how long a closed socket goes on sending what it has accepted. Default 5 s.
    ///
    /// Longer: `close` and the end of the context may take that long when a peer is gone. Zero: what is not written at
    /// the moment of closing is dropped and counted. [`Duration::MAX`] waits for ever.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets the name under which peers that address by identity know this socket. Default: none; sent by REQ, DEALER
    /// and ROUTER.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sets the largest message that is received, all frames together, in bytes. Default 1 GiB.
    ///
    /// A peer that announces more is disconnected before anything is reserved for it.
    pub fn max_message_size(mut self, bytes: u64) -> Self {
        self.limits.message_bytes = bytes;
        self
    }

    /// Sets the largest number of frames in a message that is received. Default 65,536.
    pub fn max_frames(mut self, frames: usize) -> Self {
        self.limits.frames = frames;
        self
    }

    /// Sets how many bytes a peer may send until its handshake is complete. Default 16 KiB.
    pub fn max_handshake_bytes(mut self, bytes: usize) -> Self {
        self.limits.handshake_bytes = bytes;
        self
    }

    /// Sets how long a connection may take from its first byte until both sides are ready. Default 30 s.
    ///
    /// Longer: silent strangers hold a connection longer. Shorter: peers on slow links never get in.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// Sets how long one attempt to reach an address may take. Default 30 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets the shortest and the longest wait between two attempts to connect. Default 100 ms and 5 s.
    ///
    /// The wait doubles from the first to the second, each varied by up to a quarter so that many peers do not come back
    /// in step, and starts over once a connection has been ready.
    pub fn reconnect(mut self, min: Duration, max: Duration) -> Self {
        self.reconnect = Reconnect { min, max: max.max(min) };
        self
    }

    /// Sets how long to wait before a peer that refused us for good is tried again. Default: it is not tried again.
    pub fn retry_refused(mut self, interval: Duration) -> Self {
        self.retry_refused = Some(interval);
        self
    }

    /// Sets whether peers that are down are passed over while a connected one has room. Default no: a peer that was
    /// connected to takes its turn from `connect` on, and its messages wait for it.
    pub fn connected_first(mut self, yes: bool) -> Self {
        self.connected_first = yes;
        self
    }

    /// Sets whether messages that an accepted peer left unwritten go to the next peer. Default no: they are dropped
    /// and counted as `PeerLost`.
    pub fn requeue_unwritten(mut self, yes: bool) -> Self {
        self.requeue_unwritten = yes;
        self
    }

    /// Sets whether requests carry an id that their replies must carry too. Default yes; REQ only.
    ///
    /// libzmq's REP and ours echo it. Without it there is one request outstanding at a time, other threads wait for
    /// their turn, and a late reply cannot be told from an awaited one if it comes from the same peer.
    pub fn correlate(mut self, yes: bool) -> Self {
        self.correlate = yes;
        self
    }

    /// Sets TCP keepalive: silence until the first probe, time between probes, and how many probes go unanswered before
    /// the connection ends. Default 10 s, 5 s, 4.
    pub fn keepalive(mut self, idle: Duration, interval: Duration, probes: u32) -> Self {
        self.transport.keepalive = Some(Keepalive { idle, interval, probes });
        self
    }

    /// Switches TCP keepalive off: a peer that vanished without a word is noticed only when something is sent to it.
    pub fn no_keepalive(mut self) -> Self {
        self.transport.keepalive = None;
        self
    }

    /// Sets how many connections may wait in the system to be accepted. Default 1,024.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.transport.backlog = connections;
        self
    }

    /// Sets whether listeners on `[::]` take IPv6 only. Default no: they take IPv4 too.
    pub fn ipv6_only(mut self, yes: bool) -> Self {
        self.transport.ipv6_only = yes;
        self
    }

    /// Sets the kernel's send buffer, in bytes. Default: the system's.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.transport.send_buffer = Some(bytes);
        self
    }

    /// Sets the kernel's receive buffer, in bytes. Default: the system's.
    pub fn recv_buffer(mut self, bytes: usize) -> Self {
        self.transport.recv_buffer = Some(bytes);
        self
    }

    /// Sets how many events a monitor that nobody reads keeps; further ones are dropped and counted. Default 1,024.
    pub fn monitor_events(mut self, events: usize) -> Self {
        self.monitor_events = events;
        self
    }

    /// What is wrong with these options, if anything is.
    pub(crate) fn check(&self) -> Result<(), InvalidOptions> {
        let numbers = [
            ("send_mark", self.send_mark.messages),
            ("send_mark_bytes", self.send_mark.bytes),
            ("recv_mark", self.recv_mark.messages),
            ("recv_mark_bytes", self.recv_mark.bytes),
            ("max_frames", self.limits.frames),
            ("monitor_events", self.monitor_events),
        ];
        for (option, value) in numbers {
            if value == 0 {
                return Err(InvalidOptions::Zero { option });
            }
        }
        if self.limits.handshake_bytes < SMALLEST_HANDSHAKE {
            return Err(InvalidOptions::TooSmall {
                option: "max_handshake_bytes",
                least: SMALLEST_HANDSHAKE,
            });
        }
        Ok(())
    }
}

/// Why a socket cannot be made with these [`Options`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// An option that must be at least 1 is 0.
    #[error("{option} must be at least 1")]
    Zero {
        /// Which.
        option: &'static str,
    },
    /// An option is too small to work with.
    #[error("{option} must be at least {least}")]
    TooSmall {
        /// Which.
        option: &'static str,
        /// The least that works.
        least: usize,
    },
}

/// A greeting and a READY with an identity of 255 bytes.
const SMALLEST_HANDSHAKE: usize = 512;

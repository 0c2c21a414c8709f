//! What can be set about a socket, once, before it exists.
//!
//! Every setter says its unit, its default, and what becomes worse in each direction.

use crate::identity::Identity;
use std::time::Duration;

/// The settings of a socket; fixed once the socket exists.
///
/// They are checked when the socket is made ([`InvalidOptions`]). Times may be [`Duration::MAX`], which is for ever.
/// Marks may be [`usize::MAX`], which is no limit; libzmq's 0 for that is refused.
///
/// ```
/// use peermq::{Context, InvalidOptions, Options, Push};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let options = Options::default().send_mark(10_000).linger(Duration::from_secs(1));
/// let push = Push::with_options(&context, options)?;
///
/// let senseless = Options::default().send_mark(0);
/// let refused = Push::with_options(&context, senseless).unwrap_err();
/// assert_eq!(refused, InvalidOptions::Zero { option: "send_mark" });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What libzmq's users look for:
///
/// | libzmq | here |
/// |---|---|
/// | `ZMQ_SNDHWM`, `ZMQ_RCVHWM` | [`send_mark`](Options::send_mark), [`recv_mark`](Options::recv_mark), and the same in bytes |
/// | `ZMQ_LINGER` | [`linger`](Options::linger) |
/// | `ZMQ_SNDTIMEO`, `ZMQ_RCVTIMEO`, `ZMQ_DONTWAIT` | no options: the verbs with `_timeout`, those with `try_` |
/// | `ZMQ_MAXMSGSIZE` | [`max_message_size`](Options::max_message_size) |
/// | `ZMQ_RECONNECT_IVL`, `ZMQ_RECONNECT_IVL_MAX` | [`reconnect`](Options::reconnect) |
/// | `ZMQ_CONNECT_TIMEOUT`, `ZMQ_HANDSHAKE_IVL` | [`connect_timeout`](Options::connect_timeout), [`handshake_timeout`](Options::handshake_timeout) |
/// | `ZMQ_IMMEDIATE` | [`connected_first`](Options::connected_first), nearly: it queues for a peer that is down if no other has room |
/// | `ZMQ_ROUTING_ID` | [`identity`](Options::identity) |
/// | `ZMQ_REQ_CORRELATE` | [`correlate`](Options::correlate) |
/// | `ZMQ_REQ_RELAXED` | no option: a request that timed out does not stop the next |
/// | `ZMQ_TCP_KEEPALIVE` and its kin | [`keepalive`](Options::keepalive), [`no_keepalive`](Options::no_keepalive) |
/// | `ZMQ_BACKLOG`, `ZMQ_SNDBUF`, `ZMQ_RCVBUF` | [`backlog`](Options::backlog), [`send_buffer`](Options::send_buffer), [`recv_buffer`](Options::recv_buffer) |
/// | `ZMQ_IPV6` | no option: IPv6 is always on; see [`ipv6_only`](Options::ipv6_only) |
/// | `ZMQ_LAST_ENDPOINT` | what `bind` returns |
/// | `ZMQ_HEARTBEAT_IVL` | none: PINGs are answered, not sent |
/// | `ZMQ_CONFLATE`, CURVE, PLAIN | none |
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
    /// All count that are not wholly written, those too that are being written. A full peer is wanted again at half the
    /// mark. Over inproc the other side's [`recv_mark`](Options::recv_mark) comes on top once both are connected.
    ///
    /// Larger: a slow peer is noticed later, and its messages are older and take more memory. Smaller: a short pause of
    /// the peer stops the sender sooner, and fewer messages share a system call.
    pub fn send_mark(mut self, messages: usize) -> Self {
        self.send_mark.messages = messages;
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
        self
    }

    /// Sets how many messages of each peer wait to be received before reading from it pauses.
    /// Default 1,000; at least 1.
    ///
    /// Reading goes on at half the mark. While it pauses, one read more (at most 64 KiB, or the rest of one message)
    /// may be held beside the queue; then the kernel's buffers fill, and the peer's sender waits.
    ///
    /// Larger: more memory for each peer that is faster than the receiver, and older messages. Smaller: peers are
    /// paused and resumed more often.
    pub fn recv_mark(mut self, messages: usize) -> Self {
        self.recv_mark.messages = messages;
        self
    }

    /// Sets how many bytes of each peer wait to be received before reading from it pauses: payload, and 64 for each
    /// message. Default 256 MiB; at least 1.
    ///
    /// The last message may overshoot, by at most [`max_message_size`](Options::max_message_size).
    ///
    /// Larger: a peer that sends large messages to a slow receiver takes more memory. Smaller: it is paused and resumed
    /// more often.
    pub fn recv_mark_bytes(mut self, bytes: usize) -> Self {
        self.recv_mark.bytes = bytes;
        self
    }

    /// Sets how long `close`, `disconnect`, `unbind_and_close` and the end of the context go on sending what was
    /// accepted. Default 5 s.
    ///
    /// What is not written by then is dropped and counted as [`DropReason::Linger`](crate::DropReason::Linger).
    ///
    /// Longer: `close` and the end of the context may take that long when a peer is gone or does not read. Shorter:
    /// less time for a slow peer, or for one that is not there yet. Zero: what is not written at that moment is
    /// dropped. [`Duration::MAX`]: they wait for ever.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets the name under which peers that address by identity (ROUTER) know this socket. Default: none, and they make
    /// one up for each connection. Sent by REQ, DEALER and ROUTER.
    ///
    /// With one, a peer knows this socket again when it comes back, and two sockets that share one are in each other's
    /// way. Without, what the peer keeps of a connection ends with it
    /// ([RFC 28](https://rfc.zeromq.org/spec/28/)).
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sets the largest message that is received, all frames together, in bytes. Default 1 GiB.
    ///
    /// A peer that announces more is disconnected before anything is reserved for it
    /// ([`Failure::TooLarge`](crate::Failure::TooLarge)). What is sent has no limit.
    ///
    /// Larger: one message of one peer may take that much memory. Smaller: peers that send more are disconnected, and a
    /// dialer that does so comes back and is disconnected again.
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
    /// back in step, and starts over once a connection has been ready.
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
    /// Not set: only a new `connect` finds it, and what is queued for it waits until `disconnect` or `close`.
    pub fn retry_refused(mut self, interval: Duration) -> Self {
        self.retry_refused = Some(interval);
        self
    }

    /// Sets whether peers that are down are passed over while a connected one has room. Default no: a peer that was
    /// connected to takes its turn from `connect` on, and its messages wait for it
    /// ([RFC 30](https://rfc.zeromq.org/spec/30/)).
    ///
    /// Yes: a peer that comes back finds less waiting for it, and those that are there do its work. No: with one of two
    /// peers down, every second message waits for it until its queue is full.
    pub fn connected_first(mut self, yes: bool) -> Self {
        self.connected_first = yes;
        self
    }

    /// Sets whether messages that an accepted peer left unwritten go to the next peer. Default no: they are dropped and
    /// counted as [`DropReason::PeerLost`](crate::DropReason::PeerLost). PUSH only: REQ always does so.
    ///
    /// Yes: they come behind what the next peer has queued, so the order of the whole is lost; while no peer has room
    /// for them, `send` waits. No: what waits for a peer goes with it.
    pub fn requeue_unwritten(mut self, yes: bool) -> Self {
        self.requeue_unwritten = yes;
        self
    }

    /// Sets whether requests carry an id that their replies must carry too. Default yes; REQ only.
    ///
    /// The id is a frame of 4 bytes in front of the empty one. libzmq's REP and ours echo it; a ROUTER must send back
    /// all frames up to the empty one ([RFC 28](https://rfc.zeromq.org/spec/28/)).
    ///
    /// Yes: a ROUTER that expects the empty frame first does not find it there. No: one request is outstanding at a
    /// time, other threads wait for their turn, and a late reply cannot be told from an awaited one if it comes from
    /// the same peer.
    pub fn correlate(mut self, yes: bool) -> Self {
        self.correlate = yes;
        self
    }

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

    /// Sets how many events a [`Monitor`](crate::Monitor) that nobody reads keeps; further ones are dropped and
    /// counted. Default 1,024; at least 1.
    ///
    /// Larger: more memory for each monitor that is not read. Smaller: a burst of connections is told in part.
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

/// Why a socket cannot be made with these [`Options`]. Nothing was made; the numbers are the caller's to change.
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

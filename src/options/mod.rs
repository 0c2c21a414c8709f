//! What can be set about a socket, or a context, once, before it exists.
//!
//! Every setter says its unit, its default, and what becomes worse in each direction. The setters stand in files of
//! their own, by what they are about; which socket types an option is for is said in `checks::SPECIAL`.

mod checks;
mod compat;
mod connection;
mod context;
mod hardened;
mod heartbeat;
mod in_band;
mod kernel;
mod metadata;
mod pattern;
mod publishing;
mod queues;
mod security;
mod strangers;

pub use checks::InvalidOptions;
pub(crate) use connection::StopDialing;
pub use context::ContextOptions;
pub(crate) use kernel::{Credentials, Keepalive, TransportOptions};

use crate::identity::Identity;
use crate::message::Message;
use crate::security::Security;
use bytes::Bytes;
pub(crate) use heartbeat::Heartbeat;
use in_band::InBand;
use std::time::Duration;

/// The settings of a socket; fixed once the socket exists.
///
/// They are checked when the socket is made ([`InvalidOptions`]). Times may be [`Duration::MAX`], which is for ever.
/// Marks may be [`usize::MAX`], which is no limit; libzmq's 0 for that is refused, but for
/// [`Options::libzmq_compat`], which has libzmq's defaults. For sockets that strangers can reach there is
/// [`Options::hardened`].
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
/// | `ZMQ_RECONNECT_IVL`, `ZMQ_RECONNECT_IVL_MAX` | [`reconnect`](Options::reconnect); for -1 [`no_reconnect`](Options::no_reconnect) |
/// | `ZMQ_RECONNECT_STOP` | [`stop_when_refused`](Options::stop_when_refused), [`stop_when_handshake_fails`](Options::stop_when_handshake_fails); `disconnect` always stops |
/// | `ZMQ_CONNECT_TIMEOUT`, `ZMQ_HANDSHAKE_IVL` | [`connect_timeout`](Options::connect_timeout), [`handshake_timeout`](Options::handshake_timeout) |
/// | `ZMQ_IMMEDIATE` | [`connected_first`](Options::connected_first), nearly: it queues for a peer that is down if no other has room |
/// | `ZMQ_ROUTING_ID` | [`identity`](Options::identity) |
/// | `ZMQ_ROUTER_MANDATORY` | always on, unless [`drop_unroutable`](Options::drop_unroutable) |
/// | `ZMQ_ROUTER_HANDOVER` | [`handover`](Options::handover) |
/// | `ZMQ_ROUTER_NOTIFY` | [`router_notify`](Options::router_notify) |
/// | `ZMQ_CONNECT_ROUTING_ID` | no option: [`Router::connect_as`](crate::Router::connect_as) |
/// | `ZMQ_PROBE_ROUTER` | [`probe`](Options::probe) |
/// | `ZMQ_STREAM_NOTIFY` | [`stream_notify`](Options::stream_notify) |
/// | `ZMQ_REQ_CORRELATE` | [`correlate`](Options::correlate) |
/// | `ZMQ_REQ_RELAXED` | [`relaxed`](Options::relaxed); with ids many requests may wait anyway |
/// | `ZMQ_TCP_KEEPALIVE` and its kin | [`keepalive`](Options::keepalive), [`no_keepalive`](Options::no_keepalive) |
/// | `ZMQ_TOS`, `ZMQ_PRIORITY` | [`tos`](Options::tos), [`priority`](Options::priority) |
/// | `ZMQ_TCP_MAXRT` | [`tcp_user_timeout`](Options::tcp_user_timeout) |
/// | `ZMQ_MULTICAST_HOPS`, `ZMQ_MULTICAST_LOOP` | [`multicast_hops`](Options::multicast_hops), [`multicast_loop`](Options::multicast_loop) |
/// | `ZMQ_BINDTODEVICE`, `ZMQ_BUSY_POLL` | [`bind_to_device`](Options::bind_to_device), [`busy_poll`](Options::busy_poll) |
/// | `ZMQ_SOCKS_PROXY`, `ZMQ_SOCKS_USERNAME`, `ZMQ_SOCKS_PASSWORD` | [`socks5`](Options::socks5) |
/// | `ZMQ_BACKLOG`, `ZMQ_SNDBUF`, `ZMQ_RCVBUF` | [`backlog`](Options::backlog), [`send_buffer`](Options::send_buffer), [`recv_buffer`](Options::recv_buffer) |
/// | `ZMQ_IPV6` | no option: IPv6 is always on; see [`ipv6_only`](Options::ipv6_only) |
/// | `ZMQ_USE_FD` | no option: `bind_listener`, for what [`OpenListener`](crate::OpenListener) can be made of |
/// | `ZMQ_LAST_ENDPOINT` | what `bind` returns |
/// | `ZMQ_CONFLATE` | [`conflate`](Options::conflate), and [`conflate_by_topic`](Options::conflate_by_topic) |
/// | `ZMQ_SUBSCRIBE`, `ZMQ_UNSUBSCRIBE` | the verbs `subscribe` and `unsubscribe` |
/// | `ZMQ_XPUB_NODROP` | [`at_mark`](Options::at_mark) with [`AtMark::Block`] |
/// | `ZMQ_XPUB_VERBOSE`, `ZMQ_XPUB_VERBOSER` | [`verbosity`](Options::verbosity) |
/// | `ZMQ_XPUB_MANUAL`, `ZMQ_XPUB_MANUAL_LAST_VALUE` | [`manual`](Options::manual), and [`Subscriber::send`](crate::Subscriber::send) |
/// | `ZMQ_XPUB_WELCOME_MSG` | [`welcome_message`](Options::welcome_message) |
/// | none | [`max_subscription_bytes`](Options::max_subscription_bytes), [`max_topic_len`](Options::max_topic_len) |
/// | none | [`max_handshake_bytes`](Options::max_handshake_bytes), [`max_metadata_bytes`](Options::max_metadata_bytes), [`max_properties`](Options::max_properties) |
/// | `ZMQ_INVERT_MATCHING` | [`invert_matching`](Options::invert_matching) |
/// | `ZMQ_HEARTBEAT_IVL`, `ZMQ_HEARTBEAT_TIMEOUT`, `ZMQ_HEARTBEAT_TTL` | [`heartbeat`](Options::heartbeat), [`heartbeat_timeout`](Options::heartbeat_timeout), [`heartbeat_ttl`](Options::heartbeat_ttl) |
/// | `ZMQ_METADATA`, `zmq_msg_gets` | [`metadata`](Options::metadata), `recv_from` and [`PeerInfo`](crate::PeerInfo) |
/// | `ZMQ_HELLO_MSG`, `ZMQ_DISCONNECT_MSG`, `ZMQ_HICCUP_MSG` | [`hello_message`](Options::hello_message), [`disconnect_message`](Options::disconnect_message), [`hiccup_message`](Options::hiccup_message) |
/// | `ZMQ_IPC_FILTER_PID`, `ZMQ_IPC_FILTER_UID`, `ZMQ_IPC_FILTER_GID` | none: an ipc file is for its owner alone |
/// | `ZMQ_FD`, `ZMQ_EVENTS` | no options: [`Poller`](crate::Poller), the verb `pollable` |
/// | `ZMQ_RCVMORE`, `ZMQ_SNDMORE` | none: a [`Message`](crate::Message) has all of its frames |
/// | `ZMQ_TYPE` | none: each type of socket is a type; that of a peer is in [`PeerInfo`](crate::PeerInfo) |
/// | `ZMQ_IO_THREADS`, `ZMQ_AFFINITY` | none: a [`Context`](crate::Context) has one loop; sockets of several contexts share none |
/// | none | [`max_pending_handshakes`](Options::max_pending_handshakes), [`accept_rate`](Options::accept_rate), [`fd_reserve`](Options::fd_reserve) |
/// | none (a handler of `ZMQ_ZAP_DOMAIN` can count) | [`max_peers`](Options::max_peers), [`max_peers_per_address`](Options::max_peers_per_address) |
/// | none | [`allow_insecure_bind`](Options::allow_insecure_bind) |
/// | `ZMQ_MAX_SOCKETS` | none: as many as there are descriptors for |
/// | `ZMQ_BLOCKY` | none: [`linger`](Options::linger) has a limit unless it is [`Duration::MAX`] |
/// | `ZMQ_PLAIN_SERVER`, `ZMQ_PLAIN_USERNAME`, `ZMQ_PLAIN_PASSWORD` | [`security`](Options::security) with [`Plain`](crate::Plain) |
/// | `ZMQ_TCP_ACCEPT_FILTER` (not in newer ones) | [`security`](Options::security) with [`Null::allow_from`](crate::Null::allow_from) |
/// | `ZMQ_ZAP_DOMAIN` | an authoriser that is a [`Zap`](crate::Zap), with a [`domain`](crate::ZapBuilder::domain) |
/// | `ZMQ_CURVE_SERVER`, `ZMQ_CURVE_PUBLICKEY`, `ZMQ_CURVE_SECRETKEY`, `ZMQ_CURVE_SERVERKEY` | [`security`](Options::security) with [`Curve`](crate::Curve) |
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
    pub(crate) stop_dialing: StopDialing,
    pub(crate) security: Security,
    pub(crate) strangers: Strangers,
    pub(crate) insecure_bind: InsecureBind,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) in_band: InBand,
    /// Each name once; names and sizes are checked when the socket is made.
    pub(crate) metadata: Vec<(String, Bytes)>,
    pub(crate) connected_first: bool,
    pub(crate) requeue_unwritten: bool,
    pub(crate) correlate: bool,
    pub(crate) stream_notify: bool,
    pub(crate) relaxed: bool,
    pub(crate) retry: Option<Retry>,
    pub(crate) drop_unroutable: bool,
    pub(crate) handover: bool,
    pub(crate) probe: bool,
    pub(crate) router_notify: Notify,
    pub(crate) transport: TransportOptions,
    pub(crate) monitor_events: usize,
    pub(crate) publishing: Publishing,
    pub(crate) conflate: Option<Conflate>,
    /// Only with libzmq's defaults: `unbind` ends what came by the endpoint, a mark of 0 is none.
    pub(crate) unbind_ends_connections: bool,
    zero_is_no_limit: bool,
    /// Which of the options in `checks::SPECIAL` were set.
    set: Vec<&'static str>,
}

/// A queue is full when it holds this many messages or bytes, and wanted again at half of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// What becomes of a message whose subscriber is at its mark. What is dropped is counted, for that subscriber, as
/// [`SubscriberFull`](crate::DropReason::SubscriberFull), and [`Event::SubscriberFull`](crate::Event::SubscriberFull) says
/// when that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AtMark {
    /// The new message is dropped: a subscriber that is late gets the older ones.
    #[default]
    DropNewest,
    /// The oldest message that is not on its way yet is dropped for the new one: a subscriber that is late jumps ahead.
    /// If all are on their way, the new one is dropped. At a mark of bytes as many go as make room for it.
    DropOldest,
    /// The subscriber is disconnected ([`Failure::SlowSubscriber`](crate::Failure::SlowSubscriber)), and what is queued for
    /// it is dropped as `PeerLost`. It may come back.
    Disconnect,
    /// `send` waits until all subscribers that match have room, and `try_send` says `WouldBlock`: one that does not read
    /// delays all (`ZMQ_XPUB_NODROP`).
    Block,
}

/// Which subscriptions, and ends of them, an XPUB hands to its application.
///
/// A peer may subscribe to a topic several times, and tells the end once. So only of `Changes` is there one end for each
/// beginning: whoever counts what is handed over, as an [`XSub`](crate::XSub) counts what it is to subscribe to, counts too
/// many with the other two. A [`forwarder`](crate::forwarder) is such a one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verbosity {
    /// Those that change something for the socket: the first to a topic, and the end of the last.
    #[default]
    Changes,
    /// All subscriptions, and the end of the last to a topic (`ZMQ_XPUB_VERBOSE`).
    Subscriptions,
    /// All subscriptions and all their ends (`ZMQ_XPUB_VERBOSER`).
    All,
}

/// What only sockets that publish have.
#[derive(Debug, Clone)]
pub(crate) struct Publishing {
    pub(crate) at_mark: AtMark,
    /// Bytes of a topic that a peer asks for.
    pub(crate) longest_topic: usize,
    /// What the subscriptions that one peer asks for may weigh, in bytes.
    pub(crate) most_asked: usize,
    pub(crate) invert_matching: bool,
    /// Of how many topics.
    pub(crate) last_values: Option<usize>,
    pub(crate) verbosity: Verbosity,
    pub(crate) manual: bool,
    pub(crate) welcome: Option<Message>,
}

impl Default for Publishing {
    fn default() -> Self {
        Publishing {
            at_mark: AtMark::default(),
            longest_topic: 64 << 10,
            most_asked: 16 << 20,
            invert_matching: false,
            last_values: None,
            verbosity: Verbosity::default(),
            manual: false,
            welcome: None,
        }
    }
}

/// How a request without a reply is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    /// After so long.
    pub(crate) after: Duration,
    /// At most so many times.
    pub(crate) times: u32,
}

/// Which messages a queue keeps that keeps only the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflate {
    /// The newest of all.
    All,
    /// The newest of each topic, of at most so many topics.
    ByTopic { topics: usize },
}

impl Conflate {
    /// How many messages a queue holds at most.
    pub(crate) fn limit(self) -> usize {
        match self {
            Conflate::All => 1,
            Conflate::ByTopic { topics } => topics,
        }
    }
}

/// What a peer may make us hold. Compared before anything is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) message_bytes: u64,
    pub(crate) frames: usize,
    pub(crate) handshake_bytes: usize,
    /// Of READY, once it is in.
    pub(crate) metadata_bytes: usize,
    pub(crate) properties: usize,
}

/// How many may come, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strangers {
    /// Of each listener.
    pub(crate) pending_handshakes: usize,
    pub(crate) peers: usize,
    pub(crate) peers_per_address: usize,
    /// Descriptors that are left to others.
    pub(crate) fd_reserve: usize,
    /// Of each listener; `None`: as fast as they come.
    pub(crate) accept_rate: Option<AcceptRate>,
}

/// How many connections are taken in a second, and at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AcceptRate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl Default for Strangers {
    fn default() -> Self {
        Strangers {
            pending_handshakes: 1_024,
            peers: usize::MAX,
            peers_per_address: usize::MAX,
            fd_reserve: 32,
            accept_rate: None,
        }
    }
}

/// Whether a bind to where others come by needs a mechanism that seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum InsecureBind {
    #[default]
    Warn,
    Allow,
    Refuse,
}

/// Which changes of its peers a ROUTER tells in band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Notify {
    pub(crate) connects: bool,
    pub(crate) disconnects: bool,
}

/// How long a dialer waits between two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reconnect {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
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
                metadata_bytes: 9 << 10,
                properties: 64,
            },
            handshake_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            reconnect: Reconnect {
                min: Duration::from_millis(100),
                max: Duration::from_secs(5),
            },
            retry_refused: None,
            stop_dialing: StopDialing::default(),
            security: Security::default(),
            strangers: Strangers::default(),
            insecure_bind: InsecureBind::default(),
            heartbeat: Heartbeat::default(),
            in_band: InBand::default(),
            metadata: Vec::new(),
            connected_first: false,
            requeue_unwritten: false,
            correlate: true,
            stream_notify: true,
            relaxed: false,
            retry: None,
            drop_unroutable: false,
            handover: false,
            probe: false,
            router_notify: Notify::default(),
            transport: TransportOptions::default(),
            monitor_events: 1_024,
            publishing: Publishing::default(),
            conflate: None,
            unbind_ends_connections: false,
            zero_is_no_limit: false,
            set: Vec::new(),
        }
    }
}

//! What the system is told about each connection.

use super::{InvalidOptions, Options};
use crate::endpoint::{Endpoint, InvalidEndpoint};
use std::fmt;
use std::time::Duration;

/// What the transports are told about each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransportOptions {
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) backlog: u32,
    pub(crate) ipv6_only: bool,
    pub(crate) send_buffer: Option<usize>,
    pub(crate) recv_buffer: Option<usize>,
    pub(crate) tos: Option<u8>,
    pub(crate) priority: Option<u32>,
    pub(crate) busy_poll: Option<Duration>,
    /// The name of a network interface.
    pub(crate) device: Option<String>,
    pub(crate) socks5: Option<Proxy>,
    pub(crate) multicast_hops: u8,
    pub(crate) multicast_loop: bool,
}

/// A SOCKS5 proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Where it is, by `tcp`; or what is wrong with what was given.
    pub(crate) endpoint: Result<Endpoint, InvalidEndpoint>,
    pub(crate) credentials: Option<Credentials>,
}

/// Who we are to a proxy; each has 1 to 255 bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// Without the password: options are written into logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// TCP keepalive: silence until the first probe, time between probes, probes until the peer is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) probes: u32,
}

impl Default for TransportOptions {
    fn default() -> Self {
        TransportOptions {
            keepalive: Some(Keepalive {
                idle: Duration::from_secs(10),
                interval: Duration::from_secs(5),
                probes: 4,
            }),
            user_timeout: None,
            backlog: 4_096,
            ipv6_only: false,
            send_buffer: None,
            recv_buffer: None,
            tos: None,
            priority: None,
            busy_poll: None,
            device: None,
            socks5: None,
            multicast_hops: 1,
            multicast_loop: true,
        }
    }
}

impl TransportOptions {
    pub(super) fn check(&self) -> Result<(), InvalidOptions> {
        if let Some(device) = &self.device
            && (device.is_empty() || device.len() > MAX_DEVICE || device.contains(['/', '\0']))
        {
            return Err(InvalidOptions::Malformed {
                option: "bind_to_device",
                why: "the name of an interface has 1 to 15 bytes, without / and NUL",
            });
        }
        let Some(proxy) = &self.socks5 else { return Ok(()) };
        let malformed = |why| InvalidOptions::Malformed { option: "socks5", why };
        match &proxy.endpoint {
            Ok(at) if at.transport() == "tcp" && at.check_connect().is_ok() => {}
            _ => return Err(malformed("a proxy is at host:port")),
        }
        match &proxy.credentials {
            Some(Credentials { name, password })
                if !(1..=255).contains(&name.len()) || !(1..=255).contains(&password.len()) =>
            {
                Err(malformed("a name and a password have 1 to 255 bytes each"))
            }
            _ => Ok(()),
        }
    }
}

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

    /// Sets how many connections may wait in the system to be accepted. Default 4,096; the system may allow fewer
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

    /// Sets the type of service of TCP and UDP packets (IPv4's TOS, IPv6's traffic class), for both directions of a connection
    /// only if both sides set it. Default: the system's, 0.
    ///
    /// The upper six bits are the class (DSCP, [RFC 2474](https://www.rfc-editor.org/rfc/rfc2474)); the system keeps the
    /// lower two for itself. Does nothing over ipc and inproc.
    ///
    /// A class that the network knows: routers treat these packets as it says. One that it does not know: they may drop
    /// or clear it, and nobody tells.
    pub fn tos(mut self, tos: u8) -> Self {
        self.transport.tos = Some(tos);
        self
    }

    /// Sets the priority of TCP and UDP packets in this machine's queues (`SO_PRIORITY`). Default: the system's, which follows
    /// from [`tos`](Options::tos). Linux only: elsewhere `bind` and attempts to connect fail.
    ///
    /// 0 to 6; higher ones need the capability `CAP_NET_ADMIN`, without which `bind` and attempts to connect fail too.
    ///
    /// Higher: packets go out before others of this machine, if its queueing discipline looks at it. Lower: behind them.
    pub fn priority(mut self, priority: u32) -> Self {
        self.transport.priority = Some(priority);
        self
    }

    /// Sets how long what was written to a TCP connection may go unacknowledged before the system ends it
    /// (`TCP_USER_TIMEOUT`). Default: the system's choice, a quarter of an hour or so. In milliseconds, rounded down, at
    /// least one. Linux only: elsewhere `bind` and attempts to connect fail.
    ///
    /// It also takes the place of the number of probes of [`keepalive`](Options::keepalive). The connection ends with
    /// [`Failure::Io`](crate::Failure::Io), `TimedOut`.
    ///
    /// Longer: what is sent to a peer that vanished waits longer, and is lost later. Shorter: a network that is down for
    /// a moment ends connections.
    pub fn tcp_user_timeout(mut self, limit: Duration) -> Self {
        self.transport.user_timeout = Some(limit);
        self
    }

    /// Sets the network interface (`eth0`) that TCP and UDP packets leave and come in by. Default: any. Its name has 1 to 15
    /// bytes. Linux only: elsewhere `bind` and attempts to connect fail.
    ///
    /// Binding to `tcp://eth0:5555` is something else: it takes what is sent to that interface's address, whichever way it
    /// comes. Without such an interface `bind` and attempts to connect fail; some systems ask for the capability
    /// `CAP_NET_RAW`.
    ///
    /// Set: peers that come by another interface are refused, also those of this machine, which come by `lo`. Not set:
    /// the system's routes decide.
    pub fn bind_to_device(mut self, interface: impl Into<String>) -> Self {
        self.transport.device = Some(interface.into());
        self
    }

    /// Sets how long the system polls the network device for a TCP or UDP socket on which nothing has come
    /// (`SO_BUSY_POLL`). Default: the system's choice (`net.core.busy_read`). In microseconds, rounded down. Linux only:
    /// elsewhere `bind` and attempts to connect fail.
    ///
    /// More than the system's choice needs the capability `CAP_NET_ADMIN`, without which `bind` and attempts to connect
    /// fail. Not every device can be polled.
    ///
    /// Longer: takes a core while nothing comes. Shorter: each packet waits for the device's interrupt.
    pub fn busy_poll(mut self, time: Duration) -> Self {
        self.transport.busy_poll = Some(time);
        self
    }

    /// Sets how many networks a datagram to a multicast group may pass (its time to live). Default 1: the local network
    /// only. 0: this machine only. For [`Radio`](crate::Radio), over udp.
    ///
    /// More: routers that know of the group pass it on, and all that have joined it there get a copy. Fewer: those beyond
    /// get nothing, and nobody is told.
    pub fn multicast_hops(mut self, hops: u8) -> Self {
        self.transport.multicast_hops = hops;
        self.note("multicast_hops")
    }

    /// Sets whether datagrams to a multicast group also go to who has bound it on this machine. Default yes. For
    /// [`Radio`](crate::Radio), over udp.
    ///
    /// Yes: each costs a copy here. No: [`Dish`](crate::Dish) sockets of this machine get nothing, and nobody is told; but by
    /// the loopback interface it comes back whatever is set.
    pub fn multicast_loop(mut self, yes: bool) -> Self {
        self.transport.multicast_loop = yes;
        self.note("multicast_loop")
    }

    /// Sets the SOCKS5 proxy ([RFC 1928](https://www.rfc-editor.org/rfc/rfc1928)) that TCP connections are made through,
    /// as `host:port`, and the name and password to give if it asks for them
    /// ([RFC 1929](https://www.rfc-editor.org/rfc/rfc1929)), 1 to 255 bytes each. Default: none. Does nothing to `bind`,
    /// ipc and inproc.
    ///
    /// The name of the peer's host is given to the proxy, and not looked up here; that of the proxy is, for each attempt.
    /// A source in the endpoint is where the connection to the proxy comes from. Reaching the proxy, and being connected
    /// by it, has to be done within [`connect_timeout`](Options::connect_timeout). What goes wrong is told as
    /// [`Event::ConnectFailed`](crate::Event::ConnectFailed) with [`Failure::Proxy`](crate::Failure::Proxy), and tried
    /// again.
    ///
    /// With a name and password: the proxy, and who listens on the way to it, reads them. Without: a proxy that asks
    /// refuses.
    pub fn socks5(mut self, proxy: &str, credentials: Option<(&str, &str)>) -> Self {
        let credentials = credentials.map(|(name, password)| Credentials {
            name: name.to_owned(),
            password: password.to_owned(),
        });
        self.transport.socks5 = Some(Proxy {
            endpoint: format!("tcp://{proxy}").parse(),
            credentials,
        });
        self
    }
}

/// IFNAMSIZ, less the NUL.
const MAX_DEVICE: usize = 15;

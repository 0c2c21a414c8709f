//! Where a socket is reached: `tcp://`, `ipc://`, `inproc://` and `udp://` addresses as values.
//!
//! What is written is checked here, once, and an error says what was probably meant. Knows nothing of sockets, and
//! looks no name up: whether somebody is there shows only when it is bound or connected to.

mod parse;

use crate::socket_type::SocketType;
use parse::Wrong;
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::str::FromStr;

/// An address to bind or to connect to.
///
/// | written | means |
/// |---|---|
/// | `tcp://host:port` | a name or an IPv4 address; a name is looked up again for each attempt to connect |
/// | `tcp://[::1]:port`, `tcp://[fe80::1%eth0]:port` | an IPv6 address, with its interface, by name or index, if it needs one |
/// | `tcp://eth0:port` | the first IPv4 address that this network interface has now, or its first IPv6 address if it has no other; to bind only, Linux only |
/// | `tcp://*:port` | every IPv4 address of this machine; to bind only. `tcp://[::]:port` is IPv6, and IPv4 with it |
/// | `tcp://host:*`, `tcp://host:0` | any free port; to bind only, which says the port that it got |
/// | `tcp://source:port;host:port` | connects from that numeric address; port `*`, `0` or none is any |
/// | `ipc:///path`, `ipc://path` | a Unix socket in the file system |
/// | `ipc://*` | a Unix socket in a new directory of its own, which goes with it; to bind only, which says its path |
/// | `ipc://@name` | a Unix socket in Linux's abstract namespace: no file, and no permissions |
/// | `inproc://name` | another socket of the same context; 1 to 256 bytes |
/// | `udp://host:port` | datagrams, from [`Radio`](crate::Radio) that connects to [`Dish`](crate::Dish) that binds; hosts and ports as `tcp` |
/// | `udp://239.1.2.3:port`, `udp://[ff02::1%eth0]:port` | all that have bound this multicast group; the system chooses the interface if none is given |
/// | `udp://address;239.1.2.3:port` | that group by the interface that has this numeric IPv4 address |
///
/// A name that an interface and a host both have is the interface's to bind and the host's to connect to. To take what comes
/// by one interface only, bind `tcp://*:5555` with [`bind_to_device`](crate::Options::bind_to_device).
///
/// It is printed as it was written, but numbers in their usual form and `*` for a port as `0`; what is printed reads
/// back as the same endpoint.
///
/// ```
/// use peermq::Endpoint;
/// let endpoint: Endpoint = "tcp://127.0.0.1:5555".parse()?;
/// assert_eq!(endpoint.to_string(), "tcp://127.0.0.1:5555");
/// assert_eq!(endpoint.port(), Some(5555));
///
/// let error = Endpoint::try_from("localhost:5555").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "localhost:5555: the transport is missing (did you mean tcp://localhost:5555?)",
/// );
/// # Ok::<(), peermq::InvalidEndpoint>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(Kind);

/// What an endpoint is, by transport.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Tcp(Tcp),
    Ipc(IpcPath),
    /// 1 to 256 bytes.
    Inproc(String),
    /// Where datagrams go, and where from; the source of a multicast group is the address of an interface, also to bind.
    Udp(Tcp),
}

/// A host and a port, and where from: as UDP has them too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tcp {
    pub(crate) host: Host,
    /// 0: any free one.
    pub(crate) port: u16,
    /// The local address to connect from; port 0: any. Of the host's family if the host is numeric.
    pub(crate) source: Option<SocketAddr>,
}

/// The host of a [`Tcp`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// `*`: every IPv4 address of this machine.
    Any,
    V4(Ipv4Addr),
    V6 {
        ip: Ipv6Addr,
        /// The index of the interface; 0: none was given.
        scope: u32,
    },
    /// To be looked up, of a host or, to bind, of an interface. Printable ASCII, and no number; or an IPv6 address with the
    /// name of its interface.
    Name(String),
}

/// The name of a Unix socket: not empty, without NUL, and short enough for the system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum IpcPath {
    File(PathBuf),
    /// Any that nobody has.
    Fresh,
    /// Without the `@`. Linux only.
    Abstract(Vec<u8>),
}

/// Why some text is no [`Endpoint`], or why an endpoint is not one to bind or to connect to. Shown, it says what was
/// given, what is wrong with it, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}{}", printable(.text), hint(.meant))]
pub struct InvalidEndpoint {
    text: String,
    why: String,
    meant: Option<String>,
}

impl Endpoint {
    pub(crate) fn tcp(address: SocketAddr) -> Endpoint {
        Endpoint(Kind::Tcp(Tcp::numeric(address)))
    }

    /// With the address of an interface, if the group is joined by one.
    pub(crate) fn udp(address: SocketAddr, interface: Option<SocketAddr>) -> Endpoint {
        let source = interface;
        Endpoint(Kind::Udp(Tcp {
            source,
            ..Tcp::numeric(address)
        }))
    }

    pub(crate) fn ipc(path: IpcPath) -> Endpoint {
        Endpoint(Kind::Ipc(path))
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0
    }

    /// Returns the transport: `tcp`, `ipc`, `inproc` or `udp`.
    pub fn transport(&self) -> &'static str {
        match self.0 {
            Kind::Tcp(_) => TCP,
            Kind::Ipc(_) => IPC,
            Kind::Inproc(_) => INPROC,
            Kind::Udp(_) => UDP,
        }
    }

    /// Returns the port of a `tcp` or `udp` endpoint; 0 is any free one. `None` for the other transports.
    pub fn port(&self) -> Option<u16> {
        match &self.0 {
            Kind::Tcp(at) | Kind::Udp(at) => Some(at.port),
            Kind::Ipc(_) | Kind::Inproc(_) => None,
        }
    }

    /// Whether this is something to bind.
    pub(crate) fn check_bind(&self) -> Result<(), InvalidEndpoint> {
        let (at, why) = match &self.0 {
            Kind::Tcp(at) => (at, "a source is for connecting, not for binding"),
            Kind::Udp(at) if !at.is_multicast() || at.source.is_some_and(|source| source.port() > 0) => (
                at,
                "to bind, what stands before the ; is the interface of a multicast group, without a port",
            ),
            Kind::Udp(_) | Kind::Ipc(_) | Kind::Inproc(_) => return Ok(()),
        };
        if at.source.is_none() {
            return Ok(());
        }
        let meant = Tcp {
            source: None,
            ..at.clone()
        };
        let meant = match self.0 {
            Kind::Udp(_) => Kind::Udp(meant),
            _ => Kind::Tcp(meant),
        };
        let wrong = Wrong::because(why).meaning(Endpoint(meant).to_string());
        Err(wrong.of(&self.to_string()))
    }

    /// Whether a socket of this type binds to it, or connects to it if `connects`.
    pub(crate) fn check_type(&self, socket_type: SocketType, connects: bool) -> Result<(), InvalidEndpoint> {
        let why = match (&self.0, socket_type) {
            (Kind::Inproc(_), SocketType::Stream) => "a STREAM socket speaks tcp and ipc",
            (Kind::Udp(_), SocketType::Radio) if connects => return Ok(()),
            (Kind::Udp(_), SocketType::Dish) if !connects => return Ok(()),
            (Kind::Udp(_), SocketType::Radio) => "over udp a RADIO socket connects, and DISH binds",
            (Kind::Udp(_), SocketType::Dish) => "over udp a DISH socket binds, and RADIO connects",
            (Kind::Udp(_), _) => "only RADIO and DISH speak udp",
            _ => return Ok(()),
        };
        Err(Wrong::because(why).of(&self.to_string()))
    }

    /// Whether all that comes and goes here is as its mechanism has it. Datagrams have none: what a socket asks of its peers
    /// they cannot give.
    pub(crate) fn check_secure(&self, asks_nothing: bool) -> Result<(), InvalidEndpoint> {
        match self.0 {
            Kind::Udp(_) if !asks_nothing => Err(Wrong::because(
                "datagrams are neither sealed nor asked for: udp has no security",
            )
            .of(&self.to_string())),
            _ => Ok(()),
        }
    }

    /// Whether this is something to connect to.
    pub(crate) fn check_connect(&self) -> Result<(), InvalidEndpoint> {
        let at = match &self.0 {
            Kind::Tcp(at) | Kind::Udp(at) => at,
            Kind::Ipc(IpcPath::Fresh) => {
                let wrong = Wrong::because("path * is for binding; connecting needs to know which");
                return Err(wrong.of(&self.to_string()));
            }
            Kind::Ipc(_) | Kind::Inproc(_) => return Ok(()),
        };
        let wrong = if at.host == Host::Any {
            let wrong = Wrong::because("host * is for binding; connecting needs to know which");
            match at.port {
                0 => wrong,
                port => wrong.meaning(format!("{}://127.0.0.1:{port}", self.transport())),
            }
        } else if at.port == 0 {
            Wrong::because("port 0 (or *) is for binding; connecting needs to know which")
        } else if matches!(&at.host, Host::Name(name) if parse::is_numbered_interface(name)) {
            Wrong::because("the name of an interface is for binding; connecting needs a host")
        } else {
            return Ok(());
        };
        Err(wrong.of(&self.to_string()))
    }
}

impl Tcp {
    fn numeric(address: SocketAddr) -> Tcp {
        let host = match address {
            SocketAddr::V4(address) => Host::V4(*address.ip()),
            SocketAddr::V6(address) => Host::V6 {
                ip: *address.ip(),
                scope: address.scope_id(),
            },
        };
        Tcp {
            host,
            port: address.port(),
            source: None,
        }
    }

    /// Whether the host is, by its number, all that have joined it.
    fn is_multicast(&self) -> bool {
        self.address().is_some_and(|address| address.ip().is_multicast())
    }

    /// The address, unless it has to be looked up or is `*`.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::V4(ip) => Some((ip, self.port).into()),
            Host::V6 { ip, scope } => Some(SocketAddrV6::new(ip, self.port, 0, scope).into()),
            Host::Any | Host::Name(_) => None,
        }
    }
}

impl InvalidEndpoint {
    /// Returns what was given, as it was.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns what was probably meant, if that can be guessed.
    pub fn meant(&self) -> Option<&str> {
        self.meant.as_deref()
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        parse::parse(text).map(Endpoint).map_err(|wrong| wrong.of(text))
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: &str) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl TryFrom<&String> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: &String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl From<&Endpoint> for Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        endpoint.clone()
    }
}

/// So that what takes an endpoint or its text has one error for both.
impl From<Infallible> for InvalidEndpoint {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.transport())?;
        match &self.0 {
            Kind::Tcp(Tcp { host, port, source }) | Kind::Udp(Tcp { host, port, source }) => {
                match source {
                    // Of an interface there is no port; it is named by an IPv4 address.
                    Some(source) if source.port() == 0 && source.is_ipv4() && matches!(self.0, Kind::Udp(_)) => {
                        write!(f, "{};", source.ip())?;
                    }
                    Some(source) => write!(f, "{source};")?,
                    None => {}
                }
                match host {
                    Host::Any => write!(f, "*:{port}"),
                    Host::V4(ip) => write!(f, "{ip}:{port}"),
                    Host::V6 { ip, scope } => SocketAddrV6::new(*ip, *port, 0, *scope).fmt(f),
                    Host::Name(name) if name.contains('%') => write!(f, "[{name}]:{port}"),
                    Host::Name(name) => write!(f, "{name}:{port}"),
                }
            }
            Kind::Ipc(IpcPath::File(path)) => path.display().fmt(f),
            Kind::Ipc(IpcPath::Fresh) => f.write_str("*"),
            Kind::Ipc(IpcPath::Abstract(name)) => write!(f, "@{}", String::from_utf8_lossy(name)),
            Kind::Inproc(name) => f.write_str(name),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", printable(&self.to_string()))
    }
}

/// Control characters escaped, so that nothing writes into a log; quotes for what could not be seen.
fn printable(text: &str) -> String {
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

fn hint(meant: &Option<String>) -> String {
    match meant {
        Some(meant) => format!(" (did you mean {}?)", printable(meant)),
        None => String::new(),
    }
}

const TCP: &str = "tcp";
const IPC: &str = "ipc";
const INPROC: &str = "inproc";
const UDP: &str = "udp";

#[cfg(all(test, not(loom)))]
mod tests;

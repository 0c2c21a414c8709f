//! From text to an endpoint, or to what is wrong with it and what was probably meant.

use super::{Host, INPROC, IPC, InvalidEndpoint, IpcPath, Kind, TCP, Tcp, UDP};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

pub(super) fn parse(text: &str) -> Result<Kind, Wrong> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Wrong::because("nothing is there, where tcp://127.0.0.1:5555 might be"));
    }
    if trimmed != text {
        return Err(Wrong::because("it begins or ends with a space").meaning(trimmed.to_owned()));
    }
    let Some((transport, rest)) = text.split_once("://") else {
        return Err(without_transport(text));
    };
    match transport {
        TCP => parse_tcp(rest).map(Kind::Tcp),
        UDP => parse_udp(rest).map(Kind::Udp),
        IPC => parse_ipc(rest).map(Kind::Ipc),
        INPROC => parse_inproc(rest).map(Kind::Inproc),
        _ => Err(unknown_transport(transport, rest)),
    }
}

fn without_transport(text: &str) -> Wrong {
    for transport in TRANSPORTS {
        let rest = text.strip_prefix(transport).and_then(|rest| rest.strip_prefix(':'));
        if let Some(rest) = rest {
            let rest = match transport {
                IPC => rest,
                _ => rest.trim_start_matches('/'),
            };
            return Wrong::because(format!(":// is missing behind {transport}"))
                .meaning(format!("{transport}://{rest}"));
        }
    }
    let wrong = Wrong::because("the transport is missing");
    if text.starts_with(['/', '.', '@']) {
        wrong.meaning(format!("ipc://{text}"))
    } else if is_number(text) {
        wrong.meaning(format!("tcp://*:{text}"))
    } else if text.contains(':') {
        wrong.meaning(format!("tcp://{text}"))
    } else {
        wrong.meaning(format!("inproc://{text}"))
    }
}

fn unknown_transport(transport: &str, rest: &str) -> Wrong {
    let lower = transport.to_ascii_lowercase();
    if TRANSPORTS.contains(&lower.as_str()) {
        return Wrong::because("the transport is written in lower case").meaning(format!("{lower}://{rest}"));
    }
    let meant = match lower.as_str() {
        "unix" => Some(IPC),
        _ => TRANSPORTS.into_iter().find(|known| one_slip_apart(known, &lower)),
    };
    match meant {
        Some(known) => Wrong::because(format!("unknown transport {transport:?}")).meaning(known.to_owned()),
        None => {
            let why = format!("unknown transport {transport:?}; there are tcp, ipc, inproc and udp");
            Wrong::because(why)
        }
    }
}

/// Whether one letter too many, too few or wrong, or two that changed places, make one of the other.
fn one_slip_apart(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b)
        && x == y
    {
        (a, b) = (rest_a, rest_b);
    }
    while let ([rest_a @ .., x], [rest_b @ .., y]) = (a, b)
        && x == y
    {
        (a, b) = (rest_a, rest_b);
    }
    match (a, b) {
        ([], [_]) | ([_], []) | ([_], [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

fn parse_tcp(rest: &str) -> Result<Tcp, Wrong> {
    if let Some((before, _)) = rest.split_once('/') {
        return Err(Wrong::because("a tcp address has no path").meaning(format!("tcp://{before}")));
    }
    let Some((source, target)) = rest.split_once(';') else {
        let (host, port) = parse_host_port(rest)?;
        let source = None;
        return Ok(Tcp { host, port, source });
    };

    let (host, port) = parse_host_port(target)?;
    let from = parse_source(source)?;
    let source = Some(from);
    let tcp = Tcp { host, port, source };
    if tcp.address().is_some_and(|target| target.is_ipv4() != from.is_ipv4()) {
        return Err(Wrong::because("one of source and target is IPv4, the other IPv6"));
    }
    Ok(tcp)
}

fn parse_udp(rest: &str) -> Result<Tcp, Wrong> {
    let at = parse_tcp(rest).map_err(|wrong| wrong.said_of_udp())?;
    if at.source.is_some_and(|source| source.is_ipv6()) && matches!(at.host, Host::V6 { ip, .. } if ip.is_multicast()) {
        let why = "the interface of an IPv6 group is written behind its address, as in [ff02::1%eth0]";
        return Err(Wrong::because(why));
    }
    Ok(at)
}

fn parse_source(text: &str) -> Result<SocketAddr, Wrong> {
    let is_without_port = text.ends_with(']') || text.parse::<Ipv4Addr>().is_ok();
    let with_port = match is_without_port {
        true => &format!("{text}:0"),
        false => text,
    };
    let numeric = parse_host_port(with_port).ok().and_then(|(host, port)| {
        let source = None;
        Tcp { host, port, source }.address()
    });
    numeric.ok_or_else(|| Wrong::because("the source, before the ;, is not a numeric address with a port"))
}

fn parse_host_port(text: &str) -> Result<(Host, u16), Wrong> {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((inner, after)) = rest.split_once(']') else {
            return Err(Wrong::because("an IPv6 address begins with [ and does not end with ]"));
        };
        let host = parse_v6(inner, after)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, parse_port(port)?)),
            None => Err(without_port(text)),
        };
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(without_port(text));
    };
    if is_bare_v6(host) || is_bare_v6(text) {
        let wrong = Wrong::because("an IPv6 address is written in brackets");
        return Err(wrong.meaning(format!("tcp://[{host}]:{port}")));
    }
    let port_number = parse_port(port)?;
    match host {
        "" => Err(Wrong::because("the host is missing").meaning(format!("tcp://*:{port}"))),
        "*" => Ok((Host::Any, port_number)),
        _ => Ok((parse_host(host)?, port_number)),
    }
}

fn is_bare_v6(text: &str) -> bool {
    let ip = text.split_once('%').map_or(text, |(ip, _)| ip);
    ip.parse::<Ipv6Addr>().is_ok()
}

fn without_port(text: &str) -> Wrong {
    match text.strip_prefix('*').unwrap_or(text) {
        "" if text.is_empty() => Wrong::because("the host and the port are missing: tcp://host:port"),
        port if is_number(port) => Wrong::because(NO_PORT).meaning(format!("tcp://*:{port}")),
        _ => Wrong::because(NO_PORT),
    }
}

/// The inside of brackets; `after` is for the hint.
fn parse_v6(inner: &str, after: &str) -> Result<Host, Wrong> {
    if let Ok(address) = format!("[{inner}]:0").parse::<SocketAddrV6>() {
        return Ok(Host::V6 {
            ip: *address.ip(),
            scope: address.scope_id(),
        });
    }
    let (ip, interface) = inner.split_once('%').unwrap_or((inner, ""));
    match ip.parse() {
        // What the interface's number is now is for the resolver to know.
        Ok(IpAddr::V6(ip)) if is_interface(interface) => Ok(Host::Name(format!("{ip}%{interface}"))),
        Ok(IpAddr::V6(_)) => Err(Wrong::because(
            "the scope, after the %, is neither the name nor the number of an interface (`ip link` shows them)",
        )),
        Ok(IpAddr::V4(_)) => {
            Err(Wrong::because("brackets are for IPv6 addresses").meaning(format!("tcp://{ip}{after}")))
        }
        Err(_) => Err(Wrong::because(format!("{inner:?} is not an IPv6 address"))),
    }
}

/// Whether it can be the name of a network interface.
fn is_interface(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@');
    (1..=MAX_INTERFACE).contains(&text.len()) && text.bytes().all(allowed) && !is_number(text)
}

/// Whether it can be the name of an interface, as that of a virtual network (`eth0.100`), and cannot be that of a host: its
/// last part is a number. What the system's resolver takes for an address begins with a digit, also where it is hexadecimal.
pub(super) fn is_numbered_interface(text: &str) -> bool {
    let is_numbered = text.rsplit_once('.').is_some_and(|(_, last)| is_number(last));
    is_numbered && text.starts_with(|first: char| first.is_ascii_alphabetic()) && is_interface(text)
}

fn parse_host(text: &str) -> Result<Host, Wrong> {
    if let Ok(ip) = text.parse() {
        return Ok(Host::V4(ip));
    }
    if text.len() > MAX_NAME {
        let why = format!("a host name has at most {MAX_NAME} bytes, not {}", text.len());
        return Err(Wrong::because(why));
    }
    // No top-level domain is a number, but the system's resolver takes "1.2.3" for 1.2.0.3.
    let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next();
    if last.is_some_and(is_number) && !is_numbered_interface(text) {
        return Err(Wrong::because(format!("{text:?} is not an IPv4 address")));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.chars().all(allowed) {
        let why = format!("{text:?} is not a host name: only letters, digits, - and . make one");
        return Err(Wrong::because(why));
    }
    Ok(Host::Name(text.to_owned()))
}

fn parse_port(text: &str) -> Result<u16, Wrong> {
    if text == "*" {
        return Ok(0);
    }
    match text.parse() {
        Ok(port) if is_number(text) => Ok(port),
        _ if text.is_empty() => Err(Wrong::because(NO_PORT)),
        _ if is_number(text) => Err(Wrong::because(format!("port {text} is over {}", u16::MAX))),
        _ => Err(Wrong::because(format!("{text:?} is not a port"))),
    }
}

fn parse_ipc(text: &str) -> Result<IpcPath, Wrong> {
    match text.strip_prefix('@') {
        Some(_) if !LINUX => Err(Wrong::because("names with @ exist on Linux only")),
        Some(name) => Ok(IpcPath::Abstract(check_path("name", name)?.into())),
        None if text == "*" => Ok(IpcPath::Fresh),
        None if text.ends_with('/') => Err(Wrong::because("the path ends with /: that names a directory")),
        None => Ok(IpcPath::File(check_path("path", text)?.into())),
    }
}

fn check_path<'a>(what: &str, text: &'a str) -> Result<&'a str, Wrong> {
    if text.is_empty() {
        return Err(Wrong::because(format!("the {what} is missing")));
    }
    if text.contains('\0') {
        return Err(Wrong::because(format!("the {what} contains a NUL")));
    }
    let length = text.len();
    if length > MAX_PATH {
        let why = format!("the {what} has {length} bytes, the system's limit is {MAX_PATH}");
        return Err(Wrong::because(why));
    }
    Ok(text)
}

fn parse_inproc(name: &str) -> Result<String, Wrong> {
    match name.len() {
        0 => Err(Wrong::because("the name is missing")),
        1..=MAX_INPROC => Ok(name.to_owned()),
        length => {
            let why = format!("the name has {length} bytes, the limit is {MAX_INPROC}");
            Err(Wrong::because(why))
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is wrong with a text, and a text that may have been meant instead.
pub(super) struct Wrong {
    why: String,
    meant: Option<String>,
}

impl Wrong {
    pub(super) fn because(why: impl Into<String>) -> Self {
        Wrong {
            why: why.into(),
            meant: None,
        }
    }

    pub(super) fn meaning(mut self, meant: String) -> Self {
        self.meant = Some(meant);
        self
    }

    /// What is wrong with a host and a port is so over UDP too.
    fn said_of_udp(self) -> Self {
        let said = |text: String| {
            text.replace("tcp://", "udp://")
                .replace("a tcp address", "a udp address")
        };
        Wrong {
            why: said(self.why),
            meant: self.meant.map(said),
        }
    }

    /// A guess is given away only if it would have been accepted, or is no endpoint but a word of one.
    pub(super) fn of(self, text: &str) -> InvalidEndpoint {
        let Wrong { why, meant } = self;
        InvalidEndpoint {
            text: text.to_owned(),
            why,
            meant: meant.filter(|meant| TRANSPORTS.contains(&meant.as_str()) || parse(meant).is_ok()),
        }
    }
}

const TRANSPORTS: [&str; 4] = [TCP, IPC, INPROC, UDP];

/// RFC 1035, in the form in which names are written.
const MAX_NAME: usize = 253;

/// Linux' limit.
const MAX_INTERFACE: usize = 15;

const NO_PORT: &str = "the port is missing: tcp://host:port";

const LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// `sockaddr_un` has room for one byte more, which ends a path or begins an abstract name.
const MAX_PATH: usize = if LINUX { 107 } else { 103 };

const MAX_INPROC: usize = 256;

#[cfg(all(test, not(loom)))]
mod tests;

//! TCP: sockets made as the options say.
//!
//! Small messages must not wait for an acknowledgement, so Nagle's algorithm is off everywhere.

use super::names;
use crate::endpoint::{Endpoint, Host, Tcp};
use crate::options::{Keepalive, TransportOptions};
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Begins to connect.
pub(crate) fn connect(to: SocketAddr, from: Option<SocketAddr>, options: &TransportOptions) -> io::Result<TcpStream> {
    let socket = new_socket(to, options)?;
    prepare(&socket, options)?;
    if let Some(from) = from {
        if from.is_ipv4() != to.is_ipv4() {
            let why = format!("{from} and {to}: one is IPv4, the other IPv6");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        // A port that is given may still belong to the connection that was lost a moment ago.
        socket.set_reuse_address(true)?;
        socket.bind(&from.into())?;
    }

    // With no time at all this only begins, and TimedOut without a number of the system's says that it has begun: the
    // standard library has no name for EINPROGRESS yet.
    match socket.connect_timeout(&to.into(), Duration::ZERO) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() => {}
        Err(error) => return Err(error),
    }
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

/// Listens at the first address of the host that can be bound. May look a name up, and so block.
pub(crate) fn listen(at: &Tcp, options: &TransportOptions) -> io::Result<TcpListener> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses(at)? {
        match listen_at(address, options) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Takes one waiting connection. `ConnectionAborted` if it was gone already: the next may be well.
pub(crate) fn accept(listener: &TcpListener, options: &TransportOptions) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, from) = listener.accept()?;
    prepare(&SockRef::from(&stream), options)
        .map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
    Ok((stream, from))
}

/// An address for people; that of an IPv4 peer of an IPv6 listener as IPv4.
pub(crate) fn text(address: SocketAddr) -> String {
    let ip = address.ip();
    match ip.to_canonical() {
        canonical if canonical == ip => Endpoint::tcp(address).to_string(),
        canonical => Endpoint::tcp((canonical, address.port()).into()).to_string(),
    }
}

fn addresses(at: &Tcp) -> io::Result<Vec<SocketAddr>> {
    let Host::Name(name) = &at.host else {
        let any = (Ipv4Addr::UNSPECIFIED, at.port).into();
        return Ok(vec![at.address().unwrap_or(any)]);
    };
    let mut addresses = names::look_up(name, at.port).map_err(io::Error::other)?;
    // libzmq, which knows only IPv4 unless told otherwise, looks for `localhost` there.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}

fn listen_at(address: SocketAddr, options: &TransportOptions) -> io::Result<TcpListener> {
    let socket = new_socket(address, options)?;
    // Connections of a listener that has gone do not keep the next one from its port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(options.ipv6_only)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog(options))?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Buffers are set before anything else: the announced window depends on them, and accepted sockets inherit them.
fn new_socket(address: SocketAddr, options: &TransportOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    set_buffers(&socket, options)?;
    Ok(socket)
}

fn prepare(socket: &Socket, options: &TransportOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if let Some(keepalive) = options.keepalive {
        socket.set_tcp_keepalive(&parameters(keepalive))?;
    }
    Ok(())
}

/// In the range that Linux takes: whole seconds, at least one.
fn parameters(keepalive: Keepalive) -> TcpKeepalive {
    let seconds = |time: Duration| {
        let up = u64::from(time.subsec_nanos() > 0);
        Duration::from_secs(time.as_secs().saturating_add(up).clamp(1, MAX_KEEPALIVE_SECONDS))
    };
    let parameters = TcpKeepalive::new().with_time(seconds(keepalive.idle));
    #[cfg(any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
    ))]
    let parameters = parameters
        .with_interval(seconds(keepalive.interval))
        .with_retries(keepalive.probes.clamp(1, MAX_KEEPALIVE_PROBES));
    parameters
}

/// For all transports.
pub(super) fn set_buffers(socket: &Socket, options: &TransportOptions) -> io::Result<()> {
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes.min(MAX_BUFFER))?;
    }
    if let Some(bytes) = options.recv_buffer {
        socket.set_recv_buffer_size(bytes.min(MAX_BUFFER))?;
    }
    Ok(())
}

/// For all transports.
pub(super) fn backlog(options: &TransportOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

/// What the system's interface can carry; the system itself takes less.
const MAX_BUFFER: usize = i32::MAX as usize;

/// Linux' limits.
const MAX_KEEPALIVE_SECONDS: u64 = 32_767;
const MAX_KEEPALIVE_PROBES: u32 = 127;

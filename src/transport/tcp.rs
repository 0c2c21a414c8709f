//! TCP: sockets made as the options say.

use super::settings::{backlog, set_buffers, set_device, set_network, set_stream};
use super::{interfaces, names};
use crate::endpoint::{Endpoint, Host, Tcp};
use crate::options::TransportOptions;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Begins to connect.
pub(crate) fn connect(to: SocketAddr, from: Option<SocketAddr>, options: &TransportOptions) -> io::Result<TcpStream> {
    let socket = new_socket(to, options)?;
    set_stream(&socket, options)?;
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

/// A socket that listens.
pub(crate) struct Listener {
    pub(super) socket: TcpListener,
    /// Whether it is set as the streams that come by it are to be, which inherit that.
    is_set: bool,
}

/// One that somebody else has opened, and may share with others: it stays as it is, and what came before waits in it.
pub(crate) fn adopt(listener: std::net::TcpListener) -> Listener {
    Listener {
        socket: TcpListener::from_std(listener),
        is_set: false,
    }
}

/// Listens at the first address of the host that can be bound. May look a name up, and so block.
pub(crate) fn listen(at: &Tcp, options: &TransportOptions) -> io::Result<Listener> {
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
pub(crate) fn accept(listener: &Listener, options: &TransportOptions) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, from) = listener.socket.accept()?;
    let socket = SockRef::from(&stream);
    set_network(&socket, from.is_ipv6(), options)
        .and_then(|()| match listener.is_set {
            true => Ok(()),
            false => set_stream(&socket, options),
        })
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

/// Where a host can be bound; a name is that of an interface before it is that of a host, as in libzmq. May look a name up,
/// and so block.
pub(super) fn addresses(at: &Tcp) -> io::Result<Vec<SocketAddr>> {
    let Host::Name(name) = &at.host else {
        let any = (Ipv4Addr::UNSPECIFIED, at.port).into();
        return Ok(vec![at.address().unwrap_or(any)]);
    };
    if let Some(address) = interfaces::address(name, at.port)? {
        return Ok(vec![address]);
    }
    let mut addresses = names::look_up(name, at.port).map_err(|error| {
        let why = format!("no interface (Linux only) and no host has this name: {error}");
        io::Error::other(why)
    })?;
    // libzmq, which knows only IPv4 unless told otherwise, looks for `localhost` there.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}

fn listen_at(address: SocketAddr, options: &TransportOptions) -> io::Result<Listener> {
    let socket = new_socket(address, options)?;
    // Connections of a listener that has gone do not keep the next one from its port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(options.ipv6_only)?;
    }
    // Once here, rather than by half a dozen system calls for each stream. Before it listens: the first may come at once.
    let is_set = cfg!(any(target_os = "linux", target_os = "android"));
    if is_set {
        set_stream(&socket, options)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog(options))?;
    socket.set_nonblocking(true)?;
    Ok(Listener {
        socket: TcpListener::from_std(socket.into()),
        is_set,
    })
}

fn new_socket(address: SocketAddr, options: &TransportOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    set_buffers(&socket, options)?;
    set_network(&socket, address.is_ipv6(), options)?;
    set_device(&socket, options)?;
    Ok(socket)
}

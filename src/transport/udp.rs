//! UDP: sockets of which each write is one datagram, and each read.
//!
//! One that sends is connected, to an address or to a multicast group; one that receives is bound, and takes what
//! anybody sends there. Nothing here says that a peer is there, or that a datagram has reached one.

use super::settings::{set_buffers, set_device, set_network};
use super::tcp;
use crate::endpoint::{Endpoint, Tcp};
use crate::options::TransportOptions;
use mio::net::UdpSocket;
use socket2::{Domain, SockRef, Socket, Type};
use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use tracing::debug;

/// A socket that sends, or receives.
pub(crate) struct Datagrams {
    pub(super) socket: UdpSocket,
    sends: bool,
    /// Where it sends to, or receives at.
    pub(super) text: String,
}

/// A socket that is bound, until it is taken.
pub(crate) struct Bound {
    pub(super) waiting: Cell<Option<Datagrams>>,
}

/// A socket that sends to this address, from that one. Nothing is sent yet.
pub(super) fn connect(to: SocketAddr, from: Option<SocketAddr>, options: &TransportOptions) -> io::Result<Datagrams> {
    let socket = new_socket(to, options)?;
    if to.ip().is_multicast() {
        set_multicast(&socket, to, from, options)?;
    }
    if let Some(from) = from {
        if from.is_ipv4() != to.is_ipv4() {
            let why = format!("{from} and {to}: one is IPv4, the other IPv6");
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        socket.bind(&from.into())?;
    }
    socket.connect(&to.into())?;
    Ok(Datagrams {
        socket: UdpSocket::from_std(socket.into()),
        sends: true,
        text: Endpoint::udp(to, None).to_string(),
    })
}

/// A socket that receives at the first address of the host that can be bound, and where that is. May look a name up, and so
/// block.
pub(super) fn bind(at: &Tcp, options: &TransportOptions) -> io::Result<(Bound, Endpoint)> {
    let mut failure = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in tcp::addresses(at)? {
        match bind_at(address, at.source, options) {
            Ok(socket) => {
                let endpoint = Endpoint::udp(socket.local_addr()?, at.source);
                let socket = Datagrams {
                    socket,
                    sends: false,
                    text: endpoint.to_string(),
                };
                let waiting = Cell::new(Some(socket));
                return Ok((Bound { waiting }, endpoint));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Datagrams {
    /// One datagram. One that only sends reads nothing.
    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        if self.sends {
            return Err(ErrorKind::WouldBlock.into());
        }
        again(|| match self.socket.recv(into) {
            Ok(0) => {
                // No bytes would be an end. This is what is as malformed: the length of a group, and no group.
                if let Some(first) = into.first_mut() {
                    *first = u8::MAX;
                }
                Ok(1)
            }
            read => read,
        })
    }

    /// One datagram, which goes as a whole or not at all: `FileTooLarge` if none is that large.
    pub(super) fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let send = || SockRef::from(&self.socket).send_vectored(from);
        again(|| self.socket.try_io(send)).map_err(|error| match error.raw_os_error() {
            Some(EMSGSIZE) => io::Error::new(ErrorKind::FileTooLarge, error),
            _ => error,
        })
    }
}

/// Again after an error that is none of this datagram: the network says so of an earlier one, once, and that one was lost
/// on its way as any may be.
fn again(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match call() {
            Err(error) if left > 0 && is_of_another(&error) => debug!(%error, "a datagram was lost"),
            done => return done,
        }
    }
}

fn is_of_another(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::Interrupted
    )
}

fn bind_at(address: SocketAddr, interface: Option<SocketAddr>, options: &TransportOptions) -> io::Result<UdpSocket> {
    let socket = new_socket(address, options)?;
    if address.ip().is_multicast() {
        // Each of many on this machine has its own copy. Of an address that is no group only one would have any.
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(options.ipv6_only)?;
    }
    // To the group itself: what is sent to others, by the same port, is not for this socket.
    socket.bind(&address.into())?;
    match (address, interface.map(|interface| interface.ip())) {
        (SocketAddr::V4(at), Some(IpAddr::V4(interface))) if at.ip().is_multicast() => {
            socket.join_multicast_v4(at.ip(), &interface)?;
        }
        (SocketAddr::V4(at), _) if at.ip().is_multicast() => {
            socket.join_multicast_v4(at.ip(), &std::net::Ipv4Addr::UNSPECIFIED)?;
        }
        (SocketAddr::V6(at), _) if at.ip().is_multicast() => socket.join_multicast_v6(at.ip(), at.scope_id())?,
        _ => {}
    }
    Ok(UdpSocket::from_std(socket.into()))
}

fn set_multicast(
    socket: &Socket,
    to: SocketAddr,
    from: Option<SocketAddr>,
    options: &TransportOptions,
) -> io::Result<()> {
    match to {
        SocketAddr::V4(_) => {
            socket.set_multicast_loop_v4(options.multicast_loop)?;
            socket.set_multicast_ttl_v4(options.multicast_hops.into())?;
            if let Some(IpAddr::V4(interface)) = from.map(|from| from.ip()) {
                socket.set_multicast_if_v4(&interface)?;
            }
        }
        SocketAddr::V6(to) => {
            socket.set_multicast_loop_v6(options.multicast_loop)?;
            socket.set_multicast_hops_v6(options.multicast_hops.into())?;
            if to.scope_id() > 0 {
                socket.set_multicast_if_v6(to.scope_id())?;
            }
        }
    }
    Ok(())
}

fn new_socket(address: SocketAddr, options: &TransportOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    set_buffers(&socket, options)?;
    set_network(&socket, address.is_ipv6(), options)?;
    set_device(&socket, options)?;
    Ok(socket)
}

/// What the network says of earlier datagrams is said once each; more than this is trouble of ours.
const TRIES: u32 = 8;

#[cfg(any(target_os = "linux", target_os = "android"))]
const EMSGSIZE: i32 = 90;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const EMSGSIZE: i32 = 40;

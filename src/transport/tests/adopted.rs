//! Listeners that somebody else has opened.

use super::{World, address};
use crate::endpoint::Endpoint;
use crate::transport::real::{RealListener, adopt};
use crate::transport::{Net, OpenListener};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

/// Somebody who connects is accepted.
fn takes_connections(listener: impl Into<OpenListener>) -> Endpoint {
    let mut world = World::new();
    let (mut listener, endpoint): (RealListener, _) = adopt(listener.into()).unwrap();
    world.net.listen(&mut listener, 0).unwrap();
    let (near, reached) = world.connect(&address(&endpoint)).unwrap();
    let (far, _) = world.accept(&listener);
    assert_eq!(reached.remote, endpoint.to_string());
    world.send(&near, b"hello");
    assert_eq!(world.receive(&far, 5), b"hello");
    endpoint
}

fn path() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("peermq-adopted-{}", std::process::id()))
}

#[test]
fn a_tcp_listener_is_adopted_as_it_is_or_as_a_descriptor() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    assert_eq!(takes_connections(listener).to_string(), endpoint);

    let listener = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    takes_connections(OpenListener::try_from(listener).unwrap());
}

#[test]
fn a_unix_listener_is_adopted_and_its_file_stays() {
    let listener = UnixListener::bind(path()).unwrap();

    let endpoint = takes_connections(OpenListener::try_from(OwnedFd::from(listener)).unwrap());

    assert_eq!(endpoint.to_string(), format!("ipc://{}", path().display()));
    assert!(path().exists());
    std::fs::remove_file(path()).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_listener_is_adopted() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("peermq-adopted-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();

    let endpoint = takes_connections(UnixListener::bind_addr(&address).unwrap());

    assert_eq!(endpoint.to_string(), format!("ipc://@{name}"));
}

#[cfg(target_os = "linux")]
#[test]
fn what_does_not_listen_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    for descriptor in [
        OwnedFd::from(stream),
        OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap()),
        OwnedFd::from(UnixStream::pair().unwrap().0),
        OwnedFd::from(std::os::unix::net::UnixDatagram::unbound().unwrap()),
    ] {
        let refused = OpenListener::try_from(descriptor).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert_eq!(refused.to_string(), "this socket does not listen");
    }
    let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    assert!(OpenListener::try_from(file).is_err());
}

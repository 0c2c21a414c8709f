//! The addresses of this machine's network interfaces, by an interface's name: to bind to.
//!
//! Linux only; elsewhere no name is one. Nothing here waits: the kernel is asked, and no other machine.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// The first IPv4 address that an interface has now, or its first IPv6 address if it has no other. `None`: there is no
/// such interface.
pub(super) fn address(name: &str, port: u16) -> io::Result<Option<SocketAddr>> {
    let mut found = first(name, system::list())?;
    if let Some(address) = &mut found {
        address.set_port(port);
    }
    Ok(found)
}

/// Only the first: of two, one that is in use would let the other be bound unasked.
fn first(name: &str, all: impl IntoIterator<Item = Interface>) -> io::Result<Option<SocketAddr>> {
    let mine: Vec<_> = all.into_iter().filter(|it| it.name == name).collect();
    let first = mine
        .iter()
        .filter_map(|it| it.address)
        .min_by_key(|address| address.is_ipv6());
    if first.is_none() && !mine.is_empty() {
        let why = "this interface has no address";
        return Err(io::Error::new(ErrorKind::AddrNotAvailable, why));
    }
    Ok(first)
}

/// An interface with one of its addresses, or with something that is none of IP's.
struct Interface {
    name: String,
    address: Option<SocketAddr>,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use super::Interface;
    use nix::ifaddrs::getifaddrs;
    use nix::sys::socket::SockaddrStorage;
    use std::net::SocketAddr;

    /// In the kernel's order. None if it does not tell: a process that may make TCP sockets only can still look names up.
    pub(super) fn list() -> impl Iterator<Item = Interface> {
        let all = getifaddrs().inspect_err(|error| tracing::debug!(%error, "the interfaces are not known"));
        all.into_iter().flatten().map(|it| Interface {
            address: it.address.as_ref().and_then(of_ip),
            name: it.interface_name,
        })
    }

    fn of_ip(address: &SockaddrStorage) -> Option<SocketAddr> {
        let v4 = address.as_sockaddr_in().map(|&v4| v4.into());
        v4.or_else(|| address.as_sockaddr_in6().map(|&v6| v6.into()))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use super::Interface;

    pub(super) fn list() -> [Interface; 0] {
        []
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// As the kernel lists them: each interface by itself, then IPv4, then IPv6.
    fn all() -> Vec<Interface> {
        let table = [
            ("lo", ""),
            ("eth0", ""),
            ("tun0", ""),
            ("sit0", ""),
            ("lo", "127.0.0.1:0"),
            ("eth0", "[fe80::1%2]:0"),
            ("eth0", "192.0.2.7:0"),
            ("eth0", "192.0.2.8:0"),
            ("tun0", "[2001:db8::1]:0"),
            ("tun0", "[fe80::2%3]:0"),
        ];
        let interface = |(name, address): (&str, &str)| Interface {
            name: name.to_owned(),
            address: address.parse().ok(),
        };
        table.map(interface).into()
    }

    #[test]
    fn an_interface_stands_for_its_first_ipv4_address_or_else_its_first_ipv6_address() {
        let table = [
            ("lo", Some("127.0.0.1:0")),
            ("eth0", Some("192.0.2.7:0")),
            ("tun0", Some("[2001:db8::1]:0")),
            ("eth", None),
            ("eth01", None),
            ("ETH0", None),
            ("localhost", None),
        ];
        for (name, expected) in table {
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(first(name, all()).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn an_address_that_needs_its_interface_says_which() {
        let linked = all().into_iter().filter(|it| {
            let address = it.address.map(|address| address.to_string());
            address.is_none_or(|address| address.starts_with("[fe80"))
        });

        let found = first("eth0", linked).unwrap();

        assert_eq!(found, Some("[fe80::1%2]:0".parse().unwrap()));
    }

    #[test]
    fn an_interface_without_an_address_is_no_host_either() {
        let error = first("sit0", all()).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert_eq!(error.to_string(), "this interface has no address");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_knows_its_interfaces() {
        let found = address("lo", 7).unwrap().unwrap();

        assert_eq!(found, "127.0.0.1:7".parse().unwrap());
        assert_eq!(address("no-such-0", 7).unwrap(), None);
    }
}

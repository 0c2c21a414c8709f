//! Sockets that carry datagrams.

use super::*;
use crate::options::Options;
use std::net::UdpSocket;

fn udp(text: &str) -> Endpoint {
    text.parse().unwrap()
}

#[test]
fn a_bound_socket_is_given_once_and_reads_one_datagram_at_a_time() {
    let mut world = World::new();
    let (listener, bound) = world.bind("udp://127.0.0.1:0");
    let (near, reached) = world.connect(&address(&bound)).unwrap();
    let (far, from) = world.accept(&listener);
    assert_eq!((reached.remote, from), (bound.to_string(), bound.to_string()));
    let again = world.net.accept(&listener, &world.options, 9).map(drop);
    assert_eq!(again.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(near.is_datagrams() && far.is_datagrams());
    for socket in [&near, &far] {
        assert_eq!(socket.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    assert_eq!(
        near.write_vectored(&[&b"ab"[..], b"", b"c"].map(IoSlice::new)).unwrap(),
        3
    );
    assert_eq!(near.write_vectored(&[IoSlice::new(b"d")]).unwrap(), 1);
    let mut room = [0; 100];
    let mut read = || loop {
        match far.read(&mut room) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            read => return room[..read.unwrap()].to_vec(),
        }
    };
    assert_eq!((read(), read()), (b"abc".to_vec(), b"d".to_vec()));
}

#[test]
fn no_datagram_is_an_end_and_none_is_cut() {
    let mut world = World::new();
    let (listener, bound) = world.bind("udp://127.0.0.1:0");
    let (near, _) = world.connect(&address(&bound)).unwrap();
    let (far, _) = world.accept(&listener);
    near.shutdown_write().unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"", bound.to_string().replace("udp://", "")).unwrap();
    let mut room = [0; 2];
    let read = loop {
        match far.read(&mut room) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            read => break read.unwrap(),
        }
    };
    assert_eq!(room[..read], [255], "it announces what is not there");

    for size in [65_508, 1 << 20] {
        let error = near.write_vectored(&[IoSlice::new(&vec![0; size])]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }
    assert_eq!(near.write_vectored(&[IoSlice::new(&vec![0; 65_507])]).unwrap(), 65_507);
}

#[test]
fn multicast_is_set_as_asked() {
    for (options, hops, is_looped) in [
        (Options::default(), 1, true),
        (Options::default().multicast_hops(7).multicast_loop(false), 7, false),
    ] {
        let mut world = World::new();
        world.options = options.transport;
        let Ok((socket, _)) = world.connect(&address(&udp("udp://127.0.0.1;239.255.3.4:9"))) else {
            return eprintln!("skipped: no multicast here");
        };
        let RealStream::Udp(datagrams) = &socket else {
            panic!("it is no datagram socket")
        };
        let socket = SockRef::from(&datagrams.socket);
        assert_eq!(socket.multicast_ttl_v4().unwrap(), hops);
        assert_eq!(socket.multicast_loop_v4().unwrap(), is_looped);
        assert_eq!(socket.multicast_if_v4().unwrap(), std::net::Ipv4Addr::LOCALHOST);
        assert!(socket.nonblocking().unwrap());
    }
}

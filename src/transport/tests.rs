//! The rules of [`Net`] and [`Stream`], asked of real sockets on this machine; the same for each transport.

mod adopted;
mod settings;
mod udp;

use super::real::{RealListener, RealNet, RealStream, bind};
use super::{Address, Net, Reached, Stream};
use crate::endpoint::{Endpoint, Kind};
use crate::options::{Options, TransportOptions};
use crate::peer_info::PeerCredentials;
use mio::{Events, Poll, Token};
use socket2::SockRef;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One poll with both ends in it.
struct World {
    poll: Poll,
    events: Events,
    net: RealNet,
    options: TransportOptions,
    deadline: Instant,
}

impl World {
    fn new() -> Self {
        let poll = Poll::new().unwrap();
        World {
            net: RealNet::new(poll.registry().try_clone().unwrap()),
            poll,
            events: Events::with_capacity(16),
            options: Options::default().transport,
            deadline: Instant::now() + Duration::from_secs(60),
        }
    }

    /// Tries again after each event.
    fn until<T>(&mut self, mut attempt: impl FnMut(&mut RealNet) -> io::Result<Option<T>>) -> io::Result<T> {
        loop {
            match attempt(&mut self.net) {
                Ok(Some(done)) => return Ok(done),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain");
            self.poll.poll(&mut self.events, Some(left)).unwrap();
        }
    }

    fn bind(&mut self, endpoint: &str) -> (RealListener, Endpoint) {
        let (mut listener, bound) = bind(&endpoint.parse().unwrap(), &self.options).unwrap();
        self.net.listen(&mut listener, 0).unwrap();
        (listener, bound)
    }

    fn connect(&mut self, address: &Address) -> io::Result<(RealStream, Reached)> {
        let stream = self.net.connect(address, &self.options, 1)?;
        let reached = self.until(|_| stream.connected())?;
        Ok((stream, reached))
    }

    fn accept(&mut self, listener: &RealListener) -> (RealStream, String) {
        let options = self.options.clone();
        self.until(|net| net.accept(listener, &options, 2).map(Some)).unwrap()
    }

    fn send(&mut self, stream: &RealStream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // More slices than the system takes, and an empty one.
            let slices: Vec<_> = bytes.chunks(3).map(IoSlice::new).collect();
            let written = self.until(|_| {
                stream.write_vectored(&slices).map(Some).or_else(|refused| {
                    stream.await_room()?;
                    Err(refused)
                })
            });
            let written = written.unwrap();
            bytes = &bytes[written..];
        }
    }

    /// Whether an event has come that says so, of the stream with this token.
    fn is_told_of_room(&mut self, token: usize) -> bool {
        self.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
        let mut events = self.events.iter();
        events.any(|event| event.token() == Token(token) && event.is_writable())
    }

    fn receive(&mut self, stream: &RealStream, bytes: usize) -> Vec<u8> {
        let mut received = vec![0; bytes];
        let mut filled = 0;
        while filled < bytes {
            let into = &mut received[filled..];
            match self.until(|_| stream.read(into).map(Some)).unwrap() {
                0 => panic!("end of stream after {filled} bytes"),
                read => filled += read,
            }
        }
        received
    }
}

fn address(endpoint: &Endpoint) -> Address {
    match endpoint.kind() {
        Kind::Tcp(tcp) => Address::Tcp {
            to: tcp.address().unwrap(),
            from: None,
        },
        Kind::Ipc(path) => Address::Ipc(path.clone()),
        Kind::Udp(at) => Address::Udp {
            to: at.address().unwrap(),
            from: at.source,
        },
        Kind::Inproc(_) => panic!("{endpoint}"),
    }
}

fn socket_addr(endpoint: &Endpoint) -> SocketAddr {
    let Kind::Tcp(tcp) = endpoint.kind() else {
        panic!("{endpoint}")
    };
    tcp.address().unwrap()
}

/// Asked of the sockets themselves: a test of one that blocks would not fail, but hang.
fn assert_never_waits(listener: &RealListener, streams: [&RealStream; 2]) {
    let listener = match listener {
        RealListener::Tcp(listener) => SockRef::from(&listener.socket),
        RealListener::Unix(listener) => SockRef::from(&listener.socket),
        RealListener::Udp(_) => panic!("it does not listen"),
    };
    assert!(listener.nonblocking().unwrap());
    for stream in streams {
        let socket = match stream {
            RealStream::Tcp(stream) => SockRef::from(stream),
            RealStream::Unix { stream, .. } => SockRef::from(stream),
            RealStream::Udp(datagrams) => SockRef::from(&datagrams.socket),
        };
        assert!(socket.nonblocking().unwrap());
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

fn has_v6() -> bool {
    let found = std::net::TcpListener::bind("[::1]:0");
    if let Err(error) = &found {
        eprintln!("skipped: no IPv6 here: {error}");
    }
    found.is_ok()
}

/// Bytes go both ways, and the end of the stream comes behind them.
fn echo(endpoint: &str) {
    let mut world = World::new();
    let (listener, bound) = world.bind(endpoint);
    let (near, reached) = world.connect(&address(&bound)).unwrap();
    let (far, from) = world.accept(&listener);
    let sent: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();

    assert_eq!(reached.remote, bound.to_string());
    assert!(!reached.itself);
    assert_eq!(from.split(':').next(), endpoint.split(':').next());
    assert_never_waits(&listener, [&near, &far]);
    world.send(&near, &sent);
    near.shutdown_write().unwrap();
    let received = world.receive(&far, sent.len());
    assert_eq!(received, sent);
    assert_eq!(world.until(|_| far.read(&mut [0]).map(Some)).unwrap(), 0);
    world.send(&far, &received);
    assert_eq!(world.receive(&near, sent.len()), sent);
}

#[test]
fn bytes_go_both_ways_over_ipv4() {
    echo("tcp://127.0.0.1:0");
}

#[test]
fn bytes_go_both_ways_over_ipv6() {
    if has_v6() {
        echo("tcp://[::1]:0");
    }
}

#[test]
fn bytes_go_both_ways_over_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("peermq-real-{}", std::process::id()));
    echo(&format!("ipc://{}", path.display()));
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn bytes_go_both_ways_over_an_abstract_name() {
    echo(&format!("ipc://@peermq-real-{}", std::process::id()));
}

#[test]
fn only_over_a_unix_socket_the_system_says_who_is_there() {
    for (endpoint, is_told) in [
        ("ipc://*", cfg!(any(target_os = "linux", target_os = "android"))),
        ("tcp://127.0.0.1:0", false),
        ("udp://127.0.0.1:0", false),
    ] {
        let mut world = World::new();
        let (listener, bound) = world.bind(endpoint);
        let (near, _) = world.connect(&address(&bound)).unwrap();
        let (far, _) = world.accept(&listener);

        for stream in [near, far] {
            let told = stream.credentials();

            let process = told.and_then(PeerCredentials::process_id);
            assert_eq!(process, is_told.then(std::process::id), "{endpoint}");
            assert_eq!(told.is_some(), is_told, "{endpoint}");
        }
    }
}

/// A Unix socket would tell of it whenever the peer has read: to a thread that waits for the answer.
#[test]
fn who_does_not_await_room_is_not_told_of_it() {
    let mut world = World::new();
    let (listener, bound) = world.bind("ipc://*");
    let (near, _) = world.connect(&address(&bound)).unwrap();
    let (far, _) = world.accept(&listener);
    near.need_no_room().unwrap();
    while world.is_told_of_room(1) {}

    for (stream, peer, token) in [(&near, &far, 1), (&far, &near, 2)] {
        world.send(stream, b"ping");
        assert_eq!(world.receive(peer, 4), b"ping");
        assert!(!world.is_told_of_room(token));

        let mut sent = 0;
        while let Ok(n) = stream.write_vectored(&[IoSlice::new(&[0; 10_000])]) {
            sent += n;
        }
        stream.await_room().unwrap();
        assert!(!world.is_told_of_room(token));
        world.receive(peer, sent);
        assert!(world.is_told_of_room(token));

        // Also what was there before it was awaited.
        stream.need_no_room().unwrap();
        stream.await_room().unwrap();
        assert!(world.is_told_of_room(token));
        stream.need_no_room().unwrap();
    }
}

#[test]
fn nobody_there_is_an_error_of_the_attempt() {
    let mut world = World::new();
    let (listener, bound) = world.bind("tcp://127.0.0.1:0");
    drop(listener);

    let error = world.connect(&address(&bound)).err().unwrap();

    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// Linux drops what wants to connect while the queue is full, so that it stays on its way.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_on_its_way_has_reached_nobody() {
    let mut world = World::new();
    world.options.backlog = 0;
    let (_listener, bound) = world.bind("tcp://127.0.0.1:0");
    let _waiting = world.connect(&address(&bound)).unwrap();

    let stream = world.net.connect(&address(&bound), &world.options, 1).unwrap();

    assert_eq!(stream.connected().unwrap(), None);
    assert_eq!(stream.connected().unwrap(), None);
}

#[test]
fn threat_32_a_socket_that_is_connected_to_itself_says_so() {
    let mut world = World::new();
    let (listener, bound) = world.bind("tcp://127.0.0.1:0");
    let to = socket_addr(&bound);
    drop(listener);

    let (_stream, reached) = world.connect(&Address::Tcp { to, from: Some(to) }).unwrap();

    assert!(reached.itself);
    assert_eq!(reached.remote, bound.to_string());
}

#[cfg(target_os = "linux")]
#[test]
fn a_source_is_where_the_connection_comes_from() {
    let mut world = World::new();
    let (listener, bound) = world.bind("tcp://127.0.0.1:0");
    let to = socket_addr(&bound);
    let from = Some("127.0.0.2:0".parse().unwrap());

    let (stream, _) = world.connect(&Address::Tcp { to, from }).unwrap();
    let (_far, from) = world.accept(&listener);

    let RealStream::Tcp(stream) = stream else {
        panic!("not TCP")
    };
    let local = stream.local_addr().unwrap();
    assert_eq!(local.ip().to_string(), "127.0.0.2");
    assert_eq!(from, format!("tcp://{local}"));
}

#[test]
fn source_and_target_are_of_one_family() {
    let mut world = World::new();
    let to = "127.0.0.1:1".parse().unwrap();
    let from = Some("[::1]:0".parse().unwrap());

    let error = world.connect(&Address::Tcp { to, from }).err().unwrap();

    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "[::1]:0 and 127.0.0.1:1: one is IPv4, the other IPv6"
    );
}

#[test]
fn both_ends_are_set_as_the_options_say() {
    for keepalive in [true, false] {
        let mut world = World::new();
        let options = Options::default().send_buffer(50_000).recv_buffer(60_000);
        let options = match keepalive {
            true => options.keepalive(Duration::from_millis(7_001), Duration::ZERO, 1_000),
            false => options.no_keepalive(),
        };
        world.options = options.transport;
        let (listener, bound) = world.bind("tcp://127.0.0.1:0");
        let (near, _) = world.connect(&address(&bound)).unwrap();
        let (far, _) = world.accept(&listener);

        for stream in [&near, &far] {
            let RealStream::Tcp(stream) = stream else {
                panic!("not TCP")
            };
            let socket = SockRef::from(stream);
            assert!(socket.tcp_nodelay().unwrap());
            assert_eq!(socket.keepalive().unwrap(), keepalive);
            #[cfg(target_os = "linux")]
            if keepalive {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(8));
                assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(1));
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), 127);
            }
            // Linux doubles what is asked for.
            #[cfg(target_os = "linux")]
            assert_eq!(socket.send_buffer_size().unwrap(), 100_000);
            #[cfg(target_os = "linux")]
            assert_eq!(socket.recv_buffer_size().unwrap(), 120_000);
        }
    }
}

/// zmq_tcp(7): "The non-portable interface name as defined by the operating system."
#[cfg(target_os = "linux")]
#[test]
fn an_interface_is_bound_at_its_address() {
    for (endpoint, start) in [("tcp://lo:0", "tcp://127.0.0.1:"), ("udp://lo:*", "udp://127.0.0.1:")] {
        let mut world = World::new();
        let (listener, bound) = world.bind(endpoint);

        let (_near, reached) = world.connect(&address(&bound)).unwrap();
        world.accept(&listener);

        assert!(bound.to_string().starts_with(start), "{bound}");
        assert_eq!(reached.remote, bound.to_string());
    }
}

/// RFC 6761: "invalid" is no host.
#[test]
fn what_is_no_interface_and_no_host_cannot_be_bound() {
    let options = Options::default().transport;
    for endpoint in ["tcp://name.invalid:0", "udp://name.invalid:0"] {
        let error = bind(&endpoint.parse().unwrap(), &options).err().unwrap();

        let start = "no interface (Linux only) and no host has this name: ";
        assert!(error.to_string().starts_with(start), "{error}");
    }
}

#[test]
fn what_is_bound_is_said_in_numbers() {
    let options = Options::default().transport;
    for (endpoint, start) in [
        ("tcp://*:*", "tcp://0.0.0.0:"),
        ("tcp://localhost:0", "tcp://127.0.0.1:"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:"),
        ("tcp://*:0", "tcp://0.0.0.0:"),
    ] {
        let (_listener, bound) = bind(&endpoint.parse().unwrap(), &options).unwrap();

        assert!(bound.to_string().starts_with(start), "{bound}");
        assert_ne!(bound.port(), Some(0));
    }
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let options = Options::default().transport;
    let (_listener, bound) = bind(&"tcp://127.0.0.1:0".parse().unwrap(), &options).unwrap();

    let error = bind(&bound, &options).err().unwrap();

    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn what_is_not_to_bind_is_an_error() {
    let options = Options::default().transport;
    for endpoint in ["inproc://x", "tcp://127.0.0.1:0;127.0.0.1:1"] {
        let error = bind(&endpoint.parse().unwrap(), &options).err().unwrap();

        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(bind(&"tcp://name.invalid:0".parse().unwrap(), &options).is_err());
}

#[test]
fn all_of_ipv6_takes_ipv4_too_unless_told_otherwise() {
    if !has_v6() {
        return;
    }
    for v6_only in [false, true] {
        let mut world = World::new();
        world.options.ipv6_only = v6_only;
        let (listener, bound) = world.bind("tcp://[::]:0");
        let to = SocketAddr::from(([127, 0, 0, 1], bound.port().unwrap()));

        let connection = world.connect(&Address::Tcp { to, from: None });

        assert_eq!(connection.is_err(), v6_only);
        if !v6_only {
            let (_stream, from) = world.accept(&listener);
            assert!(from.starts_with("tcp://127.0.0.1:"), "{from}");
        }
    }
}

#[test]
fn a_listener_that_is_not_listened_to_says_nothing() {
    let mut world = World::new();
    let (mut listener, bound) = world.bind("tcp://127.0.0.1:0");
    world.net.unlisten(&mut listener);

    let (_stream, _) = world.connect(&address(&bound)).unwrap();

    world.poll.poll(&mut world.events, Some(Duration::ZERO)).unwrap();
    assert!(world.events.iter().all(|event| event.token() != Token(0)));
    world.net.listen(&mut listener, 0).unwrap();
    world.accept(&listener);
}

#[test]
fn writing_to_who_has_closed_is_an_error() {
    let mut world = World::new();
    let (listener, bound) = world.bind("tcp://127.0.0.1:0");
    let (near, _) = world.connect(&address(&bound)).unwrap();
    drop(world.accept(&listener));

    let error = loop {
        match world.until(|_| near.write_vectored(&[IoSlice::new(b"x")]).map(Some)) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };

    assert!(
        matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "{error}"
    );
}

#[test]
fn a_name_is_looked_up_elsewhere() {
    let mut world = World::new();
    let (sender, answers) = std::sync::mpsc::channel();

    let answer = move |resolved| sender.send(resolved).unwrap();
    world.net.resolve("localhost", 5, Box::new(answer));

    let resolved = answers.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
    assert!(
        resolved.contains(&SocketAddr::from(([127, 0, 0, 1], 5))),
        "{resolved:?}"
    );
}

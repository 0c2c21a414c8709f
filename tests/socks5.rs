//! Dialing through a SOCKS5 proxy, and what becomes of it if the proxy does not do its part.

mod common;

use common::{LONG, hello, wait_connected, wait_for, wait_until};
use peermq::{Context, Event, Failure, InvalidOptions, Options, Pull, Push, Rep, Req};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the proxy asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    Credentials,
}

fn read(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).unwrap();
    read
}

/// One at a time: each is a packet of its own.
fn write_slowly(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_nodelay(true).unwrap();
    for byte in bytes {
        stream.write_all(&[*byte]).unwrap();
    }
}

/// The client's part until it has said where to: gives that as it was said.
fn take_request(stream: &mut TcpStream, asks: Asks) -> Vec<u8> {
    let methods = read(stream, 2)[1];
    let methods = read(stream, methods.into());
    match asks {
        Asks::Nothing => {
            assert!(methods.contains(&0));
            write_slowly(stream, &[5, 0]);
        }
        Asks::Credentials => {
            assert!(methods.contains(&2));
            write_slowly(stream, &[5, 2]);
            let name = read(stream, 2)[1];
            let name = read(stream, name.into());
            let password = read(stream, 1)[0];
            let password = read(stream, password.into());
            let is_known = (&name[..], &password[..]) == (b"me", b"secret");
            write_slowly(stream, &[1, u8::from(!is_known)]);
            if !is_known {
                return Vec::new();
            }
        }
    }
    let head = read(stream, 4);
    assert_eq!(head[..3], [5, 1, 0]);
    let length = match head[3] {
        1 => 4,
        4 => 16,
        3 => read(stream, 1)[0].into(),
        other => panic!("address of type {other}"),
    };
    read(stream, length + 2)
}

/// A proxy that connects one client to this port, whatever it asks for, and says what that was.
fn proxy(asks: Asks, port: u16) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let request = take_request(&mut client, asks);
        let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write_slowly(&mut client, &[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]);
        let (mut from, mut to) = (client.try_clone().unwrap(), peer.try_clone().unwrap());
        let up = thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(&mut peer, &mut client);
        let _ = client.shutdown(Shutdown::Write);
        up.join().unwrap();
        request
    });
    (at, thread)
}

/// A proxy that does this with its first client, and has no other.
fn proxy_that(does: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    thread::spawn(move || does(listener.accept().unwrap().0));
    at
}

/// Why the first attempt through this proxy failed.
fn failure(options: Options) -> Failure {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, options).unwrap();
    let monitor = push.monitor();
    push.connect("tcp://peer.invalid:5555").unwrap();
    let event = wait_for!(monitor, ConnectFailed);
    let Event::ConnectFailed { failure, .. } = event else {
        unreachable!("it was waited for")
    };
    assert!(matches!(monitor.recv_timeout(LONG).unwrap(), Event::RetryingIn { .. }));
    failure
}

#[test]
fn the_name_is_given_to_the_proxy_and_messages_go_both_ways() {
    let context = Context::new().unwrap();
    for (asks, credentials) in [
        (Asks::Nothing, None),
        (Asks::Nothing, Some(("me", "secret"))),
        (Asks::Credentials, Some(("me", "secret"))),
    ] {
        let rep = Rep::new(&context);
        let bound = rep.bind("tcp://127.0.0.1:*").unwrap();
        let (at, request) = proxy(asks, bound.port().unwrap());
        let req = Req::with_options(&context, Options::default().socks5(&at, credentials)).unwrap();
        let monitor = req.monitor();

        req.connect("tcp://peer.invalid:5555").unwrap();
        wait_connected(&monitor);
        let asking = thread::spawn(move || {
            let reply = req.request(vec![7; 100_000]).unwrap();
            req.close().unwrap();
            reply
        });
        let question = rep.recv_timeout(LONG).unwrap();
        let size = question.message().byte_count();
        question.reply(format!("{size}")).unwrap();

        assert_eq!(asking.join().unwrap(), "100000");
        rep.close().unwrap();
        assert_eq!(request.join().unwrap(), b"peer.invalid\x15\xB3");
    }
}

#[test]
fn a_number_is_given_as_a_number() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let bound = pull.bind("tcp://127.0.0.1:*").unwrap();
    let (at, request) = proxy(Asks::Nothing, bound.port().unwrap());
    let push = Push::with_options(&context, Options::default().socks5(&at, None)).unwrap();

    push.connect("tcp://192.0.2.1:258").unwrap();
    push.send("waits for the proxy").unwrap();

    assert_eq!(pull.recv_timeout(LONG).unwrap(), "waits for the proxy");
    push.close().unwrap();
    pull.close().unwrap();
    assert_eq!(request.join().unwrap(), [192, 0, 2, 1, 1, 2]);
}

/// The peer may speak as soon as it is connected, in the same packet as the proxy's last word.
#[test]
fn what_comes_behind_the_proxys_reply_is_the_peers() {
    let context = Context::new().unwrap();
    let at = proxy_that(|mut client| {
        take_request(&mut client, Asks::Nothing);
        let reply = [&[5, 0, 0, 3, 1, b'n', 0, 0][..], &hello("PULL")].concat();
        client.write_all(&reply).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    });
    let push = Push::with_options(&context, Options::default().socks5(&at, None)).unwrap();
    let monitor = push.monitor();

    push.connect("tcp://peer.invalid:5555").unwrap();

    let event = wait_for!(monitor, Connected);
    assert!(matches!(event, Event::Connected { peer, .. } if peer == "tcp://peer.invalid:5555"));
}

#[test]
fn a_proxy_that_refuses_says_why() {
    for (code, why) in [
        (1, "general failure"),
        (4, "host unreachable"),
        (5, "connection refused"),
    ] {
        let at = proxy_that(move |mut client| {
            take_request(&mut client, Asks::Nothing);
            client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        });

        let failure = failure(Options::default().socks5(&at, None));

        assert_eq!(failure, Failure::Proxy { why });
    }
}

#[test]
fn credentials_that_are_wrong_or_missing_are_refused() {
    let asks = |mut client: TcpStream| drop(take_request(&mut client, Asks::Credentials));
    let wrong = failure(Options::default().socks5(&proxy_that(asks), Some(("me", "guessed"))));
    let why = "it does not take this name and password";
    assert_eq!(wrong, Failure::Proxy { why });

    let at = proxy_that(|mut client| {
        assert_eq!(read(&mut client, 3), [5, 1, 0]);
        client.write_all(&[5, 0xFF]).unwrap();
    });
    let why = "it wants to know who we are";
    assert_eq!(failure(Options::default().socks5(&at, None)), Failure::Proxy { why });
}

#[test]
fn what_is_no_proxy_is_told_from_one() {
    let at = proxy_that(|mut client| {
        read(&mut client, 3);
        client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let found = failure(Options::default().socks5(&at, None));
    assert!(
        matches!(
            found,
            Failure::Malformed {
                what: "reply of the SOCKS5 proxy",
                ..
            }
        ),
        "{found}"
    );

    let at = proxy_that(|mut client| drop(read(&mut client, 3)));
    let found = failure(Options::default().socks5(&at, None));
    assert!(matches!(found, Failure::CutShort { .. }), "{found}");
}

#[test]
fn a_proxy_that_says_nothing_takes_no_longer_than_connecting_may() {
    let limit = Duration::from_millis(50);
    let at = proxy_that(|mut client| {
        let _ = client.read_to_end(&mut Vec::new());
    });
    let found = failure(Options::default().socks5(&at, None).connect_timeout(limit));
    assert_eq!(
        found,
        Failure::TimedOut {
            what: "connecting",
            limit
        }
    );
}

#[test]
fn where_no_proxy_is_there_is_nobody() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    drop(taken);
    let found = failure(Options::default().socks5(&at, None));
    assert!(
        matches!(
            found,
            Failure::Io {
                kind: std::io::ErrorKind::ConnectionRefused,
                ..
            }
        ),
        "{found}"
    );

    let found = failure(Options::default().socks5("proxy.invalid:1080", None));
    assert!(
        matches!(&found, Failure::Unresolved { host, .. } if host == "tcp://proxy.invalid:1080"),
        "{found}"
    );
}

#[test]
fn a_dialer_can_stop_when_the_proxy_finds_nobody() {
    let context = Context::new().unwrap();
    let at = proxy_that(|mut client| {
        take_request(&mut client, Asks::Nothing);
        client.write_all(&[5, 5]).unwrap();
    });
    let options = Options::default().socks5(&at, None).stop_when_refused(true);
    let push = Push::with_options(&context, options).unwrap();
    let monitor = push.monitor();

    push.connect("tcp://peer.invalid:5555").unwrap();

    wait_until(&monitor, "the end", |event| matches!(event, Event::GaveUp { .. }));
}

#[test]
fn only_tcp_goes_through_it() {
    let context = Context::new().unwrap();
    let options = || Options::default().socks5("proxy.invalid:1080", None);
    let (push, pull) = (
        Push::with_options(&context, options()).unwrap(),
        Pull::with_options(&context, options()).unwrap(),
    );
    for endpoint in ["ipc://*", "inproc://no-proxy"] {
        push.connect(pull.bind(endpoint).unwrap()).unwrap();
        push.send("direct").unwrap();
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "direct");
    }
}

#[test]
fn a_proxy_that_cannot_be_is_refused_at_once() {
    let context = Context::new().unwrap();
    let long = "x".repeat(256);
    for (at, credentials) in [
        ("", None),
        ("proxy", None),
        ("proxy:0", None),
        ("*:1080", None),
        ("socks5://proxy:1080", None),
        ("proxy:1080", Some(("", "secret"))),
        ("proxy:1080", Some(("me", ""))),
        ("proxy:1080", Some((&long, "secret"))),
        ("proxy:1080", Some(("me", &long))),
    ] {
        let refused = Push::with_options(&context, Options::default().socks5(at, credentials)).unwrap_err();
        assert!(
            matches!(refused, InvalidOptions::Malformed { option: "socks5", .. }),
            "{at}"
        );
    }
    let shown = format!("{:?}", Options::default().socks5("proxy:1080", Some(("me", "secret"))));
    assert!(!shown.contains("secret"));
}

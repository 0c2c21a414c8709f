//! libzmq's tests of NULL, PLAIN and CURVE, by their names there: test_security_null, test_security_no_zap_handler,
//! test_security_plain and test_security_curve. Those with a client that breaks CURVE's rules are unit tests of `wire`; those
//! of ZAP are in `zap.rs`.

mod common;

use common::{LONG, address, wait_for, wait_until};
use peermq::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn quick(security: Security) -> Options {
    let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50));
    // What does not arrive is not waited for.
    quick.linger(Duration::ZERO).security(security)
}

/// A socket that listens, and one that connects to it.
struct Two {
    server: Dealer,
    client: Dealer,
    at_server: Monitor,
    at_client: Monitor,
}

fn meet(context: &Context, server: Security, client: Security) -> Two {
    let server = Dealer::with_options(context, quick(server)).unwrap();
    let client = Dealer::with_options(context, quick(client)).unwrap();
    let (at_server, at_client) = (server.monitor(), client.monitor());
    client.connect(server.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    Two {
        server,
        client,
        at_server,
        at_client,
    }
}

impl Two {
    /// Messages go to and fro, and nobody tells of any failure.
    #[track_caller]
    fn bounce(&self) {
        for (from, to) in [(&self.client, &self.server), (&self.server, &self.client)] {
            from.send_timeout(["12345678ABCDEFGH12345678abcdefgh", "more"], LONG)
                .unwrap();
            let message = to.recv_timeout(LONG).unwrap();
            assert_eq!(message, Message::from(["12345678ABCDEFGH12345678abcdefgh", "more"]));
        }
        for monitor in [&self.at_server, &self.at_client] {
            let told: Vec<_> = monitor.try_iter().collect();
            let is_good = |event: &Event| matches!(event, Event::Listening { .. } | Event::Connected { .. });
            assert!(told.iter().all(is_good), "{told:?}");
        }
    }

    /// Nothing gets through: gives why, as the server sees it.
    #[track_caller]
    fn bounce_fails(&self) -> Failure {
        self.client.send("sneaky").unwrap();
        let Event::HandshakeFailed { failure, .. } = wait_for!(self.at_server, HandshakeFailed) else {
            unreachable!("it was waited for")
        };
        wait_until(&self.at_client, "its end, or its next try", |event| {
            matches!(event, Event::GaveUp { .. } | Event::RetryingIn { .. })
        });
        assert!(self.server.try_recv().is_err() && self.server.stats().peers.is_empty());
        failure
    }
}

/// A handler that lets in those of this domain.
fn handler(context: &Context, domain: &'static [u8]) {
    let handler = Rep::new(context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    std::thread::spawn(move || {
        while let Ok(request) = handler.recv() {
            let asked: Vec<Vec<u8>> = request.message().frames().map(<[u8]>::to_vec).collect();
            let status: &[u8] = if asked[2] == domain { b"200" } else { b"400" };
            let _ = request.reply([&asked[0][..], &asked[1], status, b"", b"anonymous", b""]);
        }
    });
}

fn zap(context: &Context, domain: &str) -> Zap {
    let zap = Zap::new(context).domain(domain).timeout(Duration::from_millis(100));
    zap.connect().unwrap()
}

/// Who speaks ZMTP 1.0, and has a message right behind it, is not received from: whatever the mechanism.
fn sneaky(server: Security) {
    let context = Context::new().unwrap();
    let server = Dealer::with_options(&context, quick(server)).unwrap();
    let monitor = server.monitor();
    let here = server.bind("tcp://127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(address(&here)).unwrap();
    stream.write_all(b"\x01\x00\x08\x00sneaky\0").unwrap();

    let Event::HandshakeFailed { failure, .. } = wait_for!(monitor, HandshakeFailed) else {
        unreachable!("it was waited for")
    };

    assert_eq!(failure, Failure::OldVersion { major: 1 });
    let _end = stream.read_to_end(&mut Vec::new());
    assert!(server.try_recv().is_err());
}

// -- test_security_null

/// A handler is there, and nobody was told to ask it.
#[test]
fn t39_no_domain() {
    let context = Context::new().unwrap();
    handler(&context, b"none is right");
    meet(&context, Security::default(), Security::default()).bounce();
}

#[test]
fn t39_wrong_domain_fails() {
    let context = Context::new().unwrap();
    handler(&context, b"TEST");
    let server = Null::ask(zap(&context, "WRONG"));
    let failure = meet(&context, server, Security::default()).bounce_fails();
    assert!(matches!(failure, Failure::NotAdmitted { .. }), "{failure}");
}

#[test]
fn t39_success() {
    let context = Context::new().unwrap();
    handler(&context, b"TEST");
    let server = Null::ask(zap(&context, "TEST"));
    meet(&context, server, Security::default()).bounce();
}

#[test]
fn t39_vanilla_socket() {
    let context = Context::new().unwrap();
    sneaky(Null::ask(zap(&context, "WRONG")));
}

// -- test_security_no_zap_handler

/// Where nobody is to be asked, nobody has to be there.
#[test]
fn t39_no_zap_handler() {
    let context = Context::new().unwrap();
    meet(&context, Security::default(), Security::default()).bounce();
}

#[test]
fn t39_no_zap_handler_enforce_domain() {
    let context = Context::new().unwrap();
    let server = Null::ask(zap(&context, "TEST"));
    let failure = meet(&context, server, Security::default()).bounce_fails();
    assert!(failure.to_string().contains("no ZAP handler has answered"), "{failure}");
}

// -- test_security_plain

fn plain_server() -> Security {
    Plain::server().allow([("admin", "password")])
}

#[test]
fn t39_plain_success() {
    let context = Context::new().unwrap();
    meet(&context, plain_server(), Plain::client("admin", "password")).bounce();
}

#[test]
fn t39_plain_client_as_server_fails() {
    let context = Context::new().unwrap();
    let failure = meet(&context, plain_server(), plain_server()).bounce_fails();
    assert!(matches!(failure, Failure::MechanismMismatch { .. }), "{failure}");
}

#[test]
fn t39_plain_wrong_credentials_fails() {
    let context = Context::new().unwrap();
    let client = Plain::client("wronguser", "wrongpass");
    let failure = meet(&context, plain_server(), client).bounce_fails();
    assert!(failure.to_string().contains("wronguser"), "{failure}");
}

#[test]
fn t39_plain_vanilla_socket() {
    sneaky(plain_server());
}

// -- test_security_curve

fn secret(byte: u8) -> SecretKey {
    SecretKey::from_bytes([byte; 32])
}

fn curve_server() -> Security {
    Curve::server(secret(1)).allow([secret(2).public()])
}

#[test]
fn t40_curve_security_with_valid_credentials() {
    let context = Context::new().unwrap();
    meet(&context, curve_server(), Curve::client(secret(2), secret(1).public())).bounce();
}

/// It has keys, which are no others', and nobody knows it.
#[test]
fn t40_curve_security_with_bogus_client_credentials() {
    let context = Context::new().unwrap();
    let client = Curve::client(SecretKey::generate().unwrap(), secret(1).public());
    let failure = meet(&context, curve_server(), client).bounce_fails();
    assert!(matches!(failure, Failure::NotAdmitted { .. }), "{failure}");
}

#[test]
fn t40_curve_security_with_null_client_credentials() {
    let context = Context::new().unwrap();
    let failure = meet(&context, curve_server(), Security::default()).bounce_fails();
    assert!(matches!(failure, Failure::MechanismMismatch { .. }), "{failure}");
}

#[test]
fn t40_curve_security_with_plain_client_credentials() {
    let context = Context::new().unwrap();
    let failure = meet(&context, curve_server(), Plain::client("admin", "password")).bounce_fails();
    assert!(matches!(failure, Failure::MechanismMismatch { .. }), "{failure}");
}

#[test]
fn t40_curve_security_unauthenticated_message() {
    sneaky(curve_server());
}

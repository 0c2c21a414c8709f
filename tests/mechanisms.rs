//! libzmq's tests of NULL, PLAIN and CURVE, by their names there: test_security_null, test_security_no_zap_handler,
//! test_security_plain, test_security_curve and test_security_zap. Those with a client that breaks CURVE's rules are unit tests
//! of `wire`; more of ZAP is in `zap.rs`.

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
        self.is_refused().0
    }

    /// The same, and what the client does then.
    #[track_caller]
    fn is_refused(&self) -> (Failure, Event) {
        self.client.send("sneaky").unwrap();
        let Event::HandshakeFailed { failure, .. } = wait_for!(self.at_server, HandshakeFailed) else {
            unreachable!("it was waited for")
        };
        let end = wait_until(&self.at_client, "its end, or its next try", |event| {
            matches!(event, Event::GaveUp { .. } | Event::RetryingIn { .. })
        });
        assert!(self.server.try_recv().is_err() && self.server.stats().peers.is_empty());
        (failure, end)
    }
}

/// A handler that answers so.
fn answering(context: &Context, answer: impl Fn(&[&[u8]]) -> Vec<Vec<u8>> + Send + 'static) {
    let handler = Rep::new(context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    std::thread::spawn(move || {
        while let Ok(request) = handler.recv() {
            let reply = answer(&request.message().frames().collect::<Vec<_>>());
            let _ = request.reply(Message::from_frames(reply).unwrap());
        }
    });
}

/// A right answer, with one frame changed.
fn changed(question: &[&[u8]], at: usize, frame: &[u8]) -> Vec<Vec<u8>> {
    let mut reply = [question[0], question[1], b"200", b"OK", b"user", b""].map(<[u8]>::to_vec);
    reply[at] = frame.to_vec();
    reply.into()
}

/// A handler that lets in those of this domain.
fn handler(context: &Context, domain: &'static [u8]) {
    answering(context, move |question| match question[2] == domain {
        true => changed(question, 2, b"200"),
        false => changed(question, 2, b"400"),
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

// -- libzmq's test_security_zap

/// Stamps tests over the mechanisms.
macro_rules! mechanism_suite {
    ($($test:ident),* $(,)?) => {
        mod null { $(#[test] fn $test() { super::$test(0) })* }
        mod plain { $(#[test] fn $test() { super::$test(1) })* }
        mod curve { $(#[test] fn $test() { super::$test(2) })* }
    };
}

mechanism_suite!(
    t41_zap_protocol_error_wrong_version,
    t41_zap_protocol_error_wrong_request_id,
    t41_zap_protocol_error_wrong_status_invalid,
    t41_zap_protocol_error_too_many_parts,
    t41_zap_wrong_status_temporary_failure,
    t41_zap_wrong_status_internal_error,
    t41_zap_unsuccessful_no_handler_started,
    t41_zap_unsuccessful_disconnect,
    t41_zap_unsuccessful_do_not_recv,
    t41_zap_unsuccessful_do_not_send,
);

/// Whether who was not let in comes again.
#[derive(PartialEq)]
enum Then {
    TriesAgain,
    GivesUp,
}

/// Nobody gets in; the server is told this, and the client does that.
fn nobody_gets_in(context: &Context, which: usize, timeout: Duration, told: &str, then: Then) {
    let zap = Zap::new(context).timeout(timeout).connect().unwrap();
    let (server, client) = match which {
        0 => (Null::ask(zap), Security::default()),
        1 => (Plain::server().ask(zap), Plain::client("admin", "secret")),
        _ => (
            Curve::server(secret(1)).ask(zap),
            Curve::client(secret(2), secret(1).public()),
        ),
    };
    let two = meet(context, server, client);

    let (failure, end) = two.is_refused();

    assert!(matches!(failure, Failure::NotAdmitted { .. }), "{failure}");
    assert!(failure.to_string().contains(told), "{failure}");
    assert_eq!(matches!(end, Event::GaveUp { .. }), then == Then::GivesUp, "{end}");
}

/// The same with a handler that answers so.
fn with_answer(which: usize, answer: fn(&[&[u8]]) -> Vec<Vec<u8>>, told: &str, then: Then) {
    let context = Context::new().unwrap();
    answering(&context, answer);
    let timeout = if told == SILENCE { SOON } else { LONG };
    nobody_gets_in(&context, which, timeout, told, then);
}

const SILENCE: &str = "no ZAP handler has answered";
const SOON: Duration = Duration::from_millis(50);

fn t41_zap_protocol_error_wrong_version(which: usize) {
    with_answer(
        which,
        |question| changed(question, 0, b"1.1"),
        "its version",
        Then::GivesUp,
    );
}

/// It is an answer to another question, which may still be answered.
fn t41_zap_protocol_error_wrong_request_id(which: usize) {
    let other = |question: &[&[u8]]| changed(question, 1, b"\0\0\0\0\0\0\xff\xff");
    with_answer(which, other, SILENCE, Then::TriesAgain);
}

fn t41_zap_protocol_error_wrong_status_invalid(which: usize) {
    with_answer(
        which,
        |question| changed(question, 2, b"Zap!"),
        "its status",
        Then::GivesUp,
    );
}

fn t41_zap_protocol_error_too_many_parts(which: usize) {
    let answer = |question: &[&[u8]]| [changed(question, 2, b"200"), vec![b"more".to_vec()]].concat();
    with_answer(which, answer, "seven frames", Then::GivesUp);
}

fn t41_zap_wrong_status_temporary_failure(which: usize) {
    with_answer(
        which,
        |question| changed(question, 2, b"300"),
        "handler says",
        Then::TriesAgain,
    );
}

fn t41_zap_wrong_status_internal_error(which: usize) {
    with_answer(
        which,
        |question| changed(question, 2, b"500"),
        "handler says",
        Then::GivesUp,
    );
}

fn t41_zap_unsuccessful_no_handler_started(which: usize) {
    nobody_gets_in(&Context::new().unwrap(), which, SOON, SILENCE, Then::TriesAgain);
}

fn t41_zap_unsuccessful_disconnect(which: usize) {
    let context = Context::new().unwrap();
    let handler = Rep::new(&context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    let goes = std::thread::spawn(move || {
        let _question = handler.recv_timeout(LONG).unwrap();
        handler.close().unwrap();
    });
    nobody_gets_in(&context, which, SOON, SILENCE, Then::TriesAgain);
    goes.join().unwrap();
}

fn t41_zap_unsuccessful_do_not_recv(which: usize) {
    let context = Context::new().unwrap();
    let handler = Rep::new(&context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    nobody_gets_in(&context, which, SOON, SILENCE, Then::TriesAgain);
    assert!(handler.try_recv().is_ok(), "it was asked");
}

fn t41_zap_unsuccessful_do_not_send(which: usize) {
    let context = Context::new().unwrap();
    let handler = Rep::new(&context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    let holds = std::thread::spawn(move || (handler.recv_timeout(LONG).unwrap(), handler));
    nobody_gets_in(&context, which, SOON, SILENCE, Then::TriesAgain);
    drop(holds.join().unwrap());
}

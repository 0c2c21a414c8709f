//! With libzmq's defaults a socket does as libzmq does, and without them as ours.

mod common;

use common::{LONG, hello, wait_connected, wait_for};
use peermq::{Context, DropReason, Identity, NotSent, Options, Pull, Push, Req, Router};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

fn compat() -> Options {
    Options::libzmq_compat().linger(Duration::ZERO)
}

#[test]
fn unbind_ends_what_came_by_the_endpoint() {
    let context = Context::new().unwrap();
    for (options, ends) in [(compat(), true), (Options::default(), false)] {
        let (pull, push) = (Pull::with_options(&context, options).unwrap(), Push::new(&context));
        let monitor = push.monitor();
        let here = pull.bind("tcp://127.0.0.1:0").unwrap();
        push.connect(here.clone()).unwrap();
        wait_connected(&monitor);
        pull.unbind(here).unwrap();
        if ends {
            wait_for!(monitor, Disconnected);
        } else {
            push.send("still there").unwrap();
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "still there");
        }
    }
}

#[test]
fn unbind_keeps_what_came_over_inproc() {
    let context = Context::new().unwrap();
    let (pull, push) = (Pull::with_options(&context, compat()).unwrap(), Push::new(&context));
    let here = pull.bind("inproc://compat").unwrap();
    push.connect(here.clone()).unwrap();
    pull.unbind(here).unwrap();

    push.send("still there").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "still there");
}

/// What a REQ sends behind its handshake: with an id or without.
#[test]
fn a_request_carries_no_id() {
    let context = Context::new().unwrap();
    for (options, expected) in [
        (compat(), &b"\x01\x00\x00\x05hello"[..]),
        (Options::default().linger(Duration::ZERO), b"\x01\x04"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let req = Req::with_options(&context, options).unwrap();
        req.connect(format!("tcp://{}", listener.local_addr().unwrap()))
            .unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&hello("REP")).unwrap();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout("hello", LONG));
            let mut head = [0; 66];
            stream.read_exact(&mut head).unwrap();
            let mut ready = vec![0; usize::from(head[65])];
            stream.read_exact(&mut ready).unwrap();
            let mut request = vec![0; expected.len()];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(request, expected);
            req.close().unwrap();
            assert!(asking.join().unwrap().is_err());
        });
    }
}

#[test]
fn a_router_drops_what_goes_to_nobody_and_counts_it() {
    let context = Context::new().unwrap();
    let nobody = Identity::new("nobody").unwrap();
    let router = Router::with_options(&context, compat()).unwrap();
    router.send_to(&nobody, "in vain").unwrap();
    let dropped = router.stats().out.dropped;
    assert_eq!((dropped.total(), dropped.of(DropReason::Unroutable)), (1, 1));

    let router = Router::new(&context);
    let refused = router.send_to(&nobody, "given back").unwrap_err();
    assert_eq!(refused.reason, NotSent::UnknownPeer);
}

#[test]
fn marks_are_a_thousand_messages_of_any_size_and_zero_is_none() {
    let context = Context::new().unwrap();
    let accepted = |options: Options, size: usize| {
        let push = Push::with_options(&context, options).unwrap();
        push.connect("inproc://nobody").unwrap();
        let message = bytes_of(size);
        (0..3_000)
            .take_while(|_| push.try_send(message.clone()).is_ok())
            .count()
    };
    assert_eq!(accepted(compat(), 1), 1_000);
    assert_eq!(
        accepted(compat(), 1 << 20),
        1_000,
        "shared, so that they take no gigabyte"
    );
    let ours = Options::default().linger(Duration::ZERO);
    assert!(accepted(ours, 1 << 20) < 300, "ours count bytes, too");
    assert_eq!(accepted(compat().send_mark(0), 1), 3_000);
}

fn bytes_of(size: usize) -> peermq::Message {
    vec![7; size].into()
}

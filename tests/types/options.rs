//! An option that a type cannot use is an error, by its name, when a socket is made; and who tells its identity.

use crate::brief;
use crate::common::{LONG, hello, ready_of_ours, ready_with};
use crate::every::{ALL, facts, open};
use crate::kind::Facts;
use peermq::SocketType::*;
use peermq::{AtMark, Context, Identity, InvalidOptions, Options, SocketType, Verbosity};
use std::io::{Read, Write};
use std::net::TcpListener;

/// Name, setter, and whose it is.
type Row = (&'static str, fn(Options) -> Options, fn(Facts) -> bool);

const TABLE: &[Row] = &[
    ("send_mark", |o| o.send_mark(3), |it| has_queues_out(it)),
    ("send_mark_bytes", |o| o.send_mark_bytes(3), |it| has_queues_out(it)),
    ("recv_mark", |o| o.recv_mark(3), |it| it.receives),
    ("recv_mark_bytes", |o| o.recv_mark_bytes(3), |it| it.receives),
    ("identity", |o| o.identity(me()), |it| has_identity(it.socket_type)),
    (
        "connected_first",
        |o| o.connected_first(true),
        |it| matches!(it.socket_type, Push | Req | Dealer | Pair | Client | Scatter | Channel),
    ),
    (
        "requeue_unwritten",
        |o| o.requeue_unwritten(true),
        |it| matches!(it.socket_type, Push | Scatter),
    ),
    ("correlate", |o| o.correlate(false), |it| it.socket_type == Req),
    ("relaxed", |o| o.relaxed(true), |it| it.socket_type == Req),
    ("retry", |o| o.retry(LONG, 3), |it| it.socket_type == Req),
    (
        "stream_notify",
        |o| o.stream_notify(false),
        |it| it.socket_type == Stream,
    ),
    (
        "at_mark",
        |o| o.at_mark(AtMark::Block),
        |it| matches!(it.socket_type, Pub | XPub | Radio),
    ),
    (
        "invert_matching",
        |o| o.invert_matching(true),
        |it| matches!(it.socket_type, Pub | XPub | Sub),
    ),
    (
        "last_values",
        |o| o.last_values(3),
        |it| matches!(it.socket_type, Pub | XPub),
    ),
    (
        "verbosity",
        |o| o.verbosity(Verbosity::All),
        |it| it.socket_type == XPub,
    ),
    ("manual", |o| o.manual(true), |it| it.socket_type == XPub),
    (
        "welcome_message",
        |o| o.welcome_message("welcome"),
        |it| it.socket_type == XPub,
    ),
    (
        "conflate",
        |o| o.conflate(),
        |it| matches!(it.socket_type, Push | Pull | Dealer | Pub | Sub),
    ),
    (
        "conflate_by_topic",
        |o| o.conflate_by_topic(3),
        |it| matches!(it.socket_type, Pub | XPub | Sub | XSub),
    ),
    (
        "drop_unroutable",
        |o| o.drop_unroutable(true),
        |it| it.socket_type == Router,
    ),
    ("handover", |o| o.handover(true), |it| it.socket_type == Router),
    ("probe", |o| o.probe(true), |it| has_identity(it.socket_type)),
    (
        "router_notify",
        |o| o.router_notify(true, true),
        |it| it.socket_type == Router,
    ),
    (
        "max_subscription_bytes",
        |o| o.max_subscription_bytes(3),
        |it| matches!(it.socket_type, Pub | XPub | Radio),
    ),
    ("multicast_hops", |o| o.multicast_hops(3), |it| it.socket_type == Radio),
    (
        "multicast_loop",
        |o| o.multicast_loop(false),
        |it| it.socket_type == Radio,
    ),
    ("heartbeat", |o| o.heartbeat(LONG), |it| it.socket_type != Stream),
    (
        "heartbeat_timeout",
        |o| o.heartbeat_timeout(LONG),
        |it| it.socket_type != Stream,
    ),
    (
        "heartbeat_ttl",
        |o| o.heartbeat_ttl(LONG),
        |it| it.socket_type != Stream,
    ),
    (
        "metadata",
        |o| o.metadata("X-Zone", "north"),
        |it| it.socket_type != Stream,
    ),
];

/// A REP has no verb to send by itself, but queues of replies.
fn has_queues_out(it: Facts) -> bool {
    it.sends != crate::kind::Sends::Never || it.socket_type == Rep
}

fn has_identity(socket_type: SocketType) -> bool {
    matches!(socket_type, Req | Dealer | Router)
}

fn me() -> Identity {
    Identity::new("me").unwrap()
}

pub(crate) fn what_it_cannot_use(_transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    let socket_type = it.socket_type;
    for &(option, set, is_its) in TABLE {
        let made = open(socket_type, &context, set(brief())).map(drop);
        let expected = match is_its(it) {
            true => Ok(()),
            false => Err(InvalidOptions::NotForType { option, socket_type }),
        };
        assert_eq!(made, expected, "{option}");
    }
    let senseless = open(socket_type, &context, brief().max_frames(0)).map(drop);
    assert_eq!(senseless, Err(InvalidOptions::Zero { option: "max_frames" }));
}

/// RFC 37: a REQ, DEALER or ROUTER "MAY" tell its identity; the others have none to tell.
#[test]
fn who_is_addressed_by_an_identity_tells_it_and_nobody_else_does() {
    let context = Context::new().unwrap();
    for &socket_type in ALL.iter().filter(|&&socket_type| socket_type != Stream) {
        let name = socket_type.as_str();
        let ours = [
            ("Socket-Type", name),
            ("Implementation", concat!("peermq/", env!("CARGO_PKG_VERSION"))),
            ("Heartbeat-Timeout", "10000"),
        ];
        let (options, ready) = match has_identity(socket_type) {
            true => (
                brief().identity(me()),
                ready_with(&[ours[0], ("Identity", "me"), ours[1], ours[2]]),
            ),
            false => (brief(), ready_of_ours(name)),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = open(socket_type, &context, options).unwrap();
        socket
            .connect(&format!("tcp://{}", listener.local_addr().unwrap()))
            .unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(&hello(facts(socket_type).partner.as_str())).unwrap();

        let mut said = vec![0; 64 + ready.len()];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(said[64..], ready, "{name}");
    }
}

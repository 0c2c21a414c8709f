//! A ZAP handler of pyzmq's, asked by our `Zap` over a wire, and by libzmq's servers in its own process: what it says of one
//! that comes is the same to both.

use crate::common::wait_until;
use crate::peer::{LIMIT, Peer, with_peer};
use crate::security::{client_key, quick, server_key, their_curve_client, their_curve_server, they_admit};
use crate::ways::{Place, they_bind, unique};
use peermq::*;

/// What became of one that came.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// As this user.
    Admitted(String),
    /// For this reason.
    Refused(String),
}

/// A server of ours that asks, and theirs, which asks the same.
struct Server {
    ours: fn(Zap) -> Security,
    theirs: fn() -> String,
}

const NULL: Server = Server {
    ours: Null::ask,
    // Theirs asks only if it has a domain.
    theirs: || "ZAP_DOMAIN=tests".to_owned(),
};
const PLAIN: Server = Server {
    ours: |zap| Plain::server().ask(zap),
    theirs: || "PLAIN_SERVER=1".to_owned(),
};
const CURVE: Server = Server {
    ours: |zap| Curve::server(server_key()).ask(zap),
    theirs: their_curve_server,
};

fn admitted(user: impl ToString) -> Outcome {
    Outcome::Admitted(user.to_string())
}

fn refused() -> Outcome {
    Outcome::Refused("400".to_owned())
}

/// A socket of ours that dials there with something to say, and why it gave up; `None`: it is connected.
fn dial(context: &Context, client: Security, there: &str) -> (Push, Option<String>) {
    let push = Push::with_options(context, quick(client)).unwrap();
    let monitor = push.monitor();
    push.connect(there).unwrap();
    push.send_timeout("any", LIMIT).unwrap();
    let is_over = |event: &Event| matches!(event, Event::Connected { .. } | Event::GaveUp { .. });
    let refusal = match wait_until(&monitor, "an outcome", is_over) {
        Event::GaveUp {
            failure: Failure::RefusedByPeer { reason },
            ..
        } => Some(reason),
        Event::GaveUp { failure, .. } => panic!("{failure}"),
        _ => None,
    };
    (push, refusal)
}

/// A server of ours that asks there, and where it is bound.
fn ours(context: &Context, server: &Server, handler: &str) -> (Pull, String) {
    // Of theirs, only the one with NULL has a domain.
    let domain = (server.theirs)();
    let domain = domain.strip_prefix("ZAP_DOMAIN=").unwrap_or_default();
    let zap = Zap::new(context).endpoint(handler).domain(domain).timeout(LIMIT);
    let security = (server.ours)(zap.connect().unwrap());
    let pull = Pull::with_options(context, quick(security)).unwrap();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap().to_string();
    (pull, here)
}

fn received_from(pull: &Pull) -> Outcome {
    let (_, peer) = pull.recv_from_timeout(LIMIT).unwrap();
    admitted(peer.user().unwrap().id())
}

fn at_ours(server: &Server, handler: &str, client: Security) -> Outcome {
    let context = Context::new().unwrap();
    let (pull, here) = ours(&context, server, handler);
    let (_push, refusal) = dial(&context, client, &here);
    refusal.map_or_else(|| received_from(&pull), Outcome::Refused)
}

fn at_theirs(peer: &mut Peer, server: &Server, client: Security) -> Outcome {
    let context = Context::new().unwrap();
    let (name, there) = they_bind(peer, format_args!("PULL {}", (server.theirs)()), &Place::new("tcp"));
    let (_push, refusal) = dial(&context, client, &there);
    let outcome = refusal.map_or_else(
        || admitted(peer.ask(format_args!("property {name} User-Id"))),
        Outcome::Refused,
    );
    peer.ask(format_args!("close {name}"));
    outcome
}

#[test]
fn zap_asks_a_handler_of_theirs_over_a_wire() {
    let known = || Curve::client(client_key(), server_key().public());
    let stranger = || Curve::client(SecretKey::from_bytes([9; 32]), server_key().public());
    let word = |word: &str| Plain::client("admin", word);
    with_peer(|peer| {
        they_admit(peer, &client_key().public().to_string());
        for transport in ["tcp", "ipc"] {
            let handler = peer.ask(format_args!("handler {transport}"));
            for is_shut_out in [false, true] {
                peer.ask(format_args!("shut_out {}", if is_shut_out { "127.0.0.1" } else { "" }));
                let cases = [
                    ("NULL", NULL, Security::default(), admitted("anonymous")),
                    ("PLAIN", PLAIN, word("secret"), admitted("admin")),
                    ("PLAIN, wrong", PLAIN, word("secre"), refused()),
                    ("CURVE", CURVE, known(), admitted(client_key().public())),
                    ("CURVE, another", CURVE, stranger(), refused()),
                ];
                for (about, server, client, outcome) in cases {
                    peer.about = format!("{about}, shut out: {is_shut_out}, handler over {transport}");
                    let expected = if is_shut_out { refused() } else { outcome };
                    assert_eq!(at_ours(&server, &handler, client.clone()), expected, "{}", peer.about);
                    assert_eq!(at_theirs(peer, &server, client), expected, "{}", peer.about);
                }
            }
            peer.ask("shut_out");
        }
        they_admit(peer, "*");
    });
}

/// What their clients make of the same; of PLAIN's ERROR nothing, since their own lacks a letter.
#[test]
fn clients_of_theirs_are_let_in_and_refused_by_it() {
    let plain = |word: &str| format!("PLAIN_USERNAME=admin PLAIN_PASSWORD={word}");
    with_peer(|peer| {
        they_admit(peer, &client_key().public().to_string());
        let handler = peer.ask("handler tcp");
        for is_shut_out in [false, true] {
            peer.ask(format_args!("shut_out {}", if is_shut_out { "127.0.0.1" } else { "" }));
            let cases = [
                (NULL, String::new(), "anonymous", "AUTH"),
                (PLAIN, plain("secret"), "admin", "PROTOCOL"),
                (PLAIN, plain("secre"), "", "PROTOCOL"),
                (CURVE, their_curve_client(), &client_key().public().to_string(), "AUTH"),
            ];
            for (server, client, user, refusal) in cases {
                peer.about = format!("{client}, shut out: {is_shut_out}");
                let context = Context::new().unwrap();
                let (pull, here) = ours(&context, &server, &handler);
                let name = unique();
                peer.ask(format_args!("open {name} PUSH {client}"));
                peer.ask(format_args!("watch {name}"));
                peer.ask(format_args!("connect {name} {here}"));
                if is_shut_out || user.is_empty() {
                    peer.ask(format_args!("await {name} HANDSHAKE_FAILED_{refusal}"));
                } else {
                    peer.say(&name, &["any"]);
                    assert_eq!(received_from(&pull), admitted(user));
                }
                peer.ask(format_args!("close {name}"));
            }
        }
        peer.ask("shut_out");
        they_admit(peer, "*");
    });
}

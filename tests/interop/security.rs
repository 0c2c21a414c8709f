//! PLAIN and CURVE with libzmq: either side the server, and those who do not fit.

use crate::common::wait_for;
use crate::peer::{LIMIT, Peer, with_peer};
use crate::ways::{Place, they_bind, they_connect};
use peermq::*;
use std::time::Duration;

/// How two sockets are secured.
pub(crate) struct Pairing {
    pub(crate) name: &'static str,
    pub(crate) ours: fn() -> Security,
    /// Options of theirs.
    pub(crate) theirs: fn() -> String,
}

pub(crate) fn server_key() -> SecretKey {
    SecretKey::from_bytes([5; 32])
}

pub(crate) fn client_key() -> SecretKey {
    SecretKey::from_bytes([6; 32])
}

fn pair(secret: &SecretKey) -> String {
    format!(
        "CURVE_PUBLICKEY={} CURVE_SECRETKEY={}",
        secret.public(),
        secret.expose_z85()
    )
}

pub(crate) fn their_curve_server() -> String {
    format!("CURVE_SERVER=1 {}", pair(&server_key()))
}

pub(crate) fn their_curve_client() -> String {
    format!("CURVE_SERVERKEY={} {}", server_key().public(), pair(&client_key()))
}

const THEIR_PLAIN_CLIENT: &str = "PLAIN_USERNAME=admin PLAIN_PASSWORD=secret";

/// All that fit.
pub(crate) const PAIRINGS: [Pairing; 5] = [
    Pairing {
        name: "NULL",
        ours: Security::default,
        theirs: String::new,
    },
    Pairing {
        name: "PLAIN, we serve",
        ours: || Plain::server().allow([("admin", "secret")]),
        theirs: || THEIR_PLAIN_CLIENT.to_owned(),
    },
    Pairing {
        name: "PLAIN, they serve",
        ours: || Plain::client("admin", "secret"),
        theirs: || "PLAIN_SERVER=1".to_owned(),
    },
    Pairing {
        name: "CURVE, we serve",
        ours: || Curve::server(server_key()).allow([client_key().public()]),
        theirs: their_curve_client,
    },
    Pairing {
        name: "CURVE, they serve",
        ours: || Curve::client(client_key(), server_key().public()),
        theirs: their_curve_server,
    },
];

/// What their servers admit from now on: one name, and these keys (`*`: any).
pub(crate) fn they_admit(peer: &mut Peer, keys: &str) {
    peer.ask(format_args!("admit admin secret {keys}"));
}

pub(crate) fn quick(security: Security) -> Options {
    Options::default()
        .reconnect(Duration::from_millis(10), Duration::from_millis(50))
        .handshake_timeout(LIMIT)
        .security(security)
}

/// Their authenticator refuses: we are told, and do not try again.
#[test]
fn we_are_not_admitted() {
    with_peer(|peer| {
        they_admit(peer, &client_key().public().to_string());
        let cases = [
            ("PLAIN_SERVER=1".to_owned(), Plain::client("admin", "wrong")),
            ("PLAIN_SERVER=1".to_owned(), Plain::client("nobody", "secret")),
            (
                their_curve_server(),
                Curve::client(SecretKey::from_bytes([9; 32]), server_key().public()),
            ),
        ];
        for (theirs, ours) in cases {
            peer.about = format!("{theirs}, {ours:?}");
            let (name, there) = they_bind(peer, format_args!("PULL {theirs}"), &Place::new("tcp"));
            let context = Context::new().unwrap();
            let push = Push::with_options(&context, quick(ours)).unwrap();
            let monitor = push.monitor();
            push.connect(there.as_str()).unwrap();
            let Event::GaveUp { failure, .. } = wait_for!(monitor, GaveUp) else {
                unreachable!("it was waited for")
            };
            assert_eq!(failure, Failure::RefusedByPeer { reason: "400".into() });
            peer.ask(format_args!("close {name}"));
        }
        they_admit(peer, "*");
    });
}

/// We refuse: libzmq knows it, and stops. Of PLAIN it takes our ERROR for a broken one: its own lacks a letter.
#[test]
fn they_are_not_admitted() {
    with_peer(|peer| {
        let cases = [
            (
                Plain::server().allow([("admin", "other")]),
                THEIR_PLAIN_CLIENT.to_owned(),
                "HANDSHAKE_FAILED_PROTOCOL",
            ),
            (
                Curve::server(server_key()).allow([SecretKey::from_bytes([9; 32]).public()]),
                their_curve_client(),
                "HANDSHAKE_FAILED_AUTH",
            ),
        ];
        for (ours, theirs, event) in cases {
            peer.about = format!("{ours:?}, {theirs}");
            let context = Context::new().unwrap();
            let pull = Pull::with_options(&context, quick(ours)).unwrap();
            let monitor = pull.monitor();
            let here = pull.bind("tcp://127.0.0.1:0").unwrap();
            let name = crate::ways::unique();
            peer.ask(format_args!("open {name} PUSH {theirs}"));
            peer.ask(format_args!("watch {name}"));
            peer.ask(format_args!("connect {name} {here}"));
            peer.ask(format_args!("await {name} {event}"));
            let Event::HandshakeFailed { failure, .. } = wait_for!(monitor, HandshakeFailed) else {
                unreachable!("it was waited for")
            };
            assert!(matches!(failure, Failure::NotAdmitted { .. }), "{failure}");
            peer.ask(format_args!("close {name}"));
        }
    });
}

/// Who knows another key of the server gets no answer from it, whichever of the two it is.
#[test]
fn a_wrong_key_of_the_server() {
    with_peer(|peer| {
        they_admit(peer, "*");
        let context = Context::new().unwrap();
        let wrong = SecretKey::from_bytes([9; 32]).public();
        let (name, there) = they_bind(peer, format_args!("PULL {}", their_curve_server()), &Place::new("tcp"));
        let push = Push::with_options(&context, quick(Curve::client(client_key(), wrong))).unwrap();
        let monitor = push.monitor();
        push.connect(there.as_str()).unwrap();
        wait_for!(monitor, HandshakeFailed);
        wait_for!(monitor, RetryingIn);
        peer.ask(format_args!("close {name}"));

        let pull = Pull::with_options(&context, quick(Curve::server(server_key()).allow_any())).unwrap();
        let monitor = pull.monitor();
        let here = pull.bind("tcp://127.0.0.1:0").unwrap();
        let theirs = format!("PUSH CURVE_SERVERKEY={wrong} {}", pair(&client_key()));
        let name = they_connect(peer, theirs, here);
        let Event::HandshakeFailed { failure, .. } = wait_for!(monitor, HandshakeFailed) else {
            unreachable!("it was waited for")
        };
        assert!(matches!(failure, Failure::Unopened { .. }), "{failure}");
        peer.ask(format_args!("close {name}"));
    });
}

/// Nobody gets in by another mechanism.
#[test]
fn mechanisms_that_do_not_fit() {
    with_peer(|peer| {
        they_admit(peer, "*");
        for (at, ours) in PAIRINGS.iter().enumerate() {
            for (other, theirs) in PAIRINGS.iter().enumerate() {
                // Of two that are both clients, or both servers, each waits for the other.
                if at == other || at.max(1).div_ceil(2) == other.max(1).div_ceil(2) {
                    continue;
                }
                peer.about = format!("our {}, their {}", ours.name, theirs.name);
                let context = Context::new().unwrap();
                let pull = Pull::with_options(&context, quick((ours.ours)())).unwrap();
                let monitor = pull.monitor();
                let here = pull.bind("tcp://127.0.0.1:0").unwrap();
                let name = they_connect(peer, format_args!("PUSH {}", (theirs.theirs)()), here);
                wait_for!(monitor, HandshakeFailed);
                peer.ask(format_args!("close {name}"));
            }
        }
    });
}

/// What their authenticator takes us for, on our messages; what we take them for, on theirs.
#[test]
fn who_it_is() {
    with_peer(|peer| {
        they_admit(peer, "*");
        let context = Context::new().unwrap();
        let key = client_key().public().to_string();
        for (theirs, ours, user) in [
            ("PLAIN_SERVER=1".to_owned(), Plain::client("admin", "secret"), "admin"),
            (
                their_curve_server(),
                Curve::client(client_key(), server_key().public()),
                key.as_str(),
            ),
        ] {
            peer.about = format!("our {ours:?}");
            let (name, there) = they_bind(peer, format_args!("PULL {theirs}"), &Place::new("tcp"));
            let push = Push::with_options(&context, quick(ours)).unwrap();
            push.connect(there.as_str()).unwrap();
            push.send_timeout("any", LIMIT).unwrap();
            assert_eq!(peer.ask(format_args!("property {name} User-Id")), user);
            peer.ask(format_args!("close {name}"));
        }
        let large: Vec<u8> = (0..1 << 20).map(|at| (at * 7) as u8).collect();
        let server = Curve::server(server_key()).allow_any();
        let pull = Pull::with_options(&context, quick(server)).unwrap();
        let here = pull.bind("tcp://127.0.0.1:0").unwrap();
        let name = they_connect(peer, format_args!("PUSH {}", their_curve_client()), here);
        peer.say(&name, &[&large[..]]);
        assert_eq!(pull.recv_timeout(LIMIT).unwrap(), Message::from(large));
        peer.say(&name, &["any"]);
        assert_eq!(
            pull.recv_from_timeout(LIMIT).unwrap().1.user().map(User::id),
            Some(key.as_str())
        );
        peer.ask(format_args!("close {name}"));
    });
}

/// Heartbeats go in boxes, too: both sides stay, beating fast.
#[test]
fn heartbeats_in_boxes() {
    with_peer(|peer| {
        they_admit(peer, "*");
        let context = Context::new().unwrap();
        let theirs = format!(
            "DEALER HEARTBEAT_IVL=20 HEARTBEAT_TIMEOUT=2000 {}",
            their_curve_client()
        );
        let options = quick(Curve::server(server_key()).allow_any()).heartbeat(Duration::from_millis(20));
        let dealer = Dealer::with_options(&context, options).unwrap();
        let monitor = dealer.monitor();
        let here = dealer.bind("tcp://127.0.0.1:0").unwrap();
        let name = they_connect(peer, theirs, here);
        crate::common::wait_connected(&monitor);
        crate::common::until("an answered heartbeat", || {
            dealer
                .stats()
                .peers
                .first()
                .is_some_and(|peer| peer.round_trip.is_some())
        });
        peer.say(&name, &["still here"]);
        assert_eq!(dealer.recv_timeout(LIMIT).unwrap(), "still here");
        assert!(
            !std::iter::from_fn(|| monitor.try_recv().ok()).any(|event| matches!(event, Event::Disconnected { .. }))
        );
        peer.ask(format_args!("close {name}"));
    });
}

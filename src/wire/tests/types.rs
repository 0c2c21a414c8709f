//! Which types speak with which, as the RFCs list them, and not as the library says.

use super::*;
use crate::failure::Stage;

/// RFC 37, "Socket Type Compatibility", RFCs 41 (client-server), 48 (radio-dish), 49 (scatter-gather), 51 (peer-to-peer)
/// and 52 (channel). STREAM has no ZMTP.
const TABLE: [(&str, &[&str]); 19] = [
    ("REQ", &["REP", "ROUTER"]),
    ("REP", &["REQ", "DEALER"]),
    ("DEALER", &["REP", "DEALER", "ROUTER"]),
    ("ROUTER", &["REQ", "DEALER", "ROUTER"]),
    ("PUB", &["SUB", "XSUB"]),
    ("XPUB", &["SUB", "XSUB"]),
    ("SUB", &["PUB", "XPUB"]),
    ("XSUB", &["PUB", "XPUB"]),
    ("PUSH", &["PULL"]),
    ("PULL", &["PUSH"]),
    ("PAIR", &["PAIR"]),
    ("SERVER", &["CLIENT"]),
    ("CLIENT", &["SERVER"]),
    ("RADIO", &["DISH"]),
    ("DISH", &["RADIO"]),
    ("SCATTER", &["GATHER"]),
    ("GATHER", &["SCATTER"]),
    ("PEER", &["PEER"]),
    ("CHANNEL", &["CHANNEL"]),
];

fn end(name: &str, side: Side) -> End {
    let socket_type = SocketType::from_name(name.as_bytes()).expect(name);
    End::new(local(socket_type), side)
}

/// RFC 37: "A peer SHALL check that the other peer is using a compatible socket type." Both sides know why, and neither
/// tries again: no storm of connections follows.
#[test]
fn threat_13_each_of_361_pairs_comes_to_traffic_or_to_an_error_that_says_why() {
    for (dialed, partners) in TABLE {
        for (accepted, _) in TABLE {
            let (mut a, mut b) = (end(dialed, Side::Dialed), end(accepted, Side::Accepted));
            let pumped = pump(&mut a, &mut b, usize::MAX);
            if partners.contains(&accepted) {
                pumped.unwrap();
                let stages = (a.connection.stage(), b.connection.stage());
                assert_eq!(stages, (Stage::Traffic, Stage::Traffic), "{dialed} to {accepted}");
                continue;
            }
            let failure = pumped.expect_err(dialed);
            let reason = format!("a {accepted} socket does not speak with {dialed}");
            assert_eq!(failure.to_string(), reason, "what the accepting side says");
            let heard = a.hear(&b.say()).expect_err(accepted);
            assert_eq!(heard, Failure::RefusedByPeer { reason }, "what the dialing side hears");
            assert!(failure.is_final() && heard.is_final());
            assert!(a.say().is_empty() && b.say().is_empty(), "nothing more is said");
        }
    }
}

#[test]
fn nobody_speaks_with_a_peer_that_says_it_is_a_stream() {
    for (name, _) in TABLE {
        let (mut it, mut greeter) = (end(name, Side::Accepted), end("PAIR", Side::Dialed));
        it.hear(&greeter.say()).unwrap();
        let heard = it.hear(&command("READY", b"\x0bSocket-Type\0\0\0\x06STREAM"));
        assert!(
            matches!(heard, Err(Failure::IncompatibleSocketType { .. })),
            "{heard:?}"
        );
    }
}

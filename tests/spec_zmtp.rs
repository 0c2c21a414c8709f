//! RFC 37 and 23: greeting and handshake, byte by byte against our sockets. What comes behind them: `spec_frames.rs`.

mod common;
#[path = "spec/raw.rs"]
mod raw;

use common::{Chance, LONG, hello, until, wait_connected, wait_for};
use peermq::{Context, Event, Failure, Identity, Monitor, Options, Pull, Push, Router, Stage};
use raw::{COMMAND, Raw, command};
use std::net::TcpListener;
use std::time::Duration;

/// Ours, whatever the peer says.
const GREETING: &[u8; 64] = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const NULL: &[u8] = b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A PULL that listens, and what happens to it.
fn listening(context: &Context) -> (Pull, Monitor, peermq::Endpoint) {
    let pull = Pull::new(context);
    let monitor = pull.monitor();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    (pull, monitor, here)
}

/// A PUSH that dials, and the peer that it reaches.
fn dialing(context: &Context) -> (Push, Monitor, TcpListener) {
    let options = Options::default().reconnect(Duration::from_millis(1), Duration::from_millis(5));
    let push = Push::with_options(context, options).unwrap();
    let monitor = push.monitor();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    push.connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    (push, monitor, listener)
}

fn greeting(major: u8, minor: u8, mechanism: &[u8]) -> Vec<u8> {
    let mut bytes = GREETING.to_vec();
    (bytes[10], bytes[11]) = (major, minor);
    bytes[12..32].copy_from_slice(mechanism);
    bytes
}

fn ready(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, value) in properties {
        data.push(name.len() as u8);
        data.extend_from_slice(name.as_bytes());
        data.extend((value.len() as u32).to_be_bytes());
        data.extend_from_slice(value);
    }
    command("READY", &data)
}

/// Says this to a new PULL, and gives what became of it: `None` if the connection is ready.
fn verdict(context: &Context, said: &[u8]) -> (Option<(Stage, Failure)>, Raw) {
    let (_pull, monitor, here) = listening(context);
    let mut peer = Raw::dial(&here);
    peer.say(said);
    assert_eq!(peer.hear(64), GREETING);
    // Who refuses waits a moment for the other side's end.
    peer.finish();
    loop {
        match monitor.recv_timeout(LONG).unwrap() {
            Event::Connected { .. } => return (None, peer),
            Event::HandshakeFailed { stage, failure, .. } => return (Some((stage, failure)), peer),
            _ => {}
        }
    }
}

/// RFC 37: "the peer SHALL send its entire greeting (64 octets) and SHALL expect a matching 64 octet greeting", and "When a
/// peer uses the NULL security mechanism, the as-server field MUST be zero."
#[test]
fn a_greeting_is_sent_whole_before_the_peer_says_a_word() {
    let context = Context::new().unwrap();
    let (pull, _monitor, here) = listening(&context);
    let mut peer = Raw::dial(&here);
    assert_eq!(peer.hear(64), GREETING);
    let said = [hello("PUSH"), b"\0\x02hi".to_vec()].concat();
    for byte in said {
        peer.say(&[byte]);
    }
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi");

    let (_push, _monitor, listener) = dialing(&context);
    assert_eq!(Raw::accept(&listener).hear(64), GREETING);
}

/// RFC 37: "A peer SHALL NOT assign any significance to the padding field and MUST NOT validate this nor interpret it in any
/// way whatsoever." And under NULL "the as-server field SHALL have no significance".
#[test]
fn padding_as_server_and_filler_mean_nothing() {
    let seed = 37;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let context = Context::new().unwrap();
    for round in 0..20 {
        let mut said = hello("PUSH");
        let random = |byte: &mut u8, chance: &mut Chance| *byte = chance.next() as u8;
        said[1..9].iter_mut().for_each(|byte| random(byte, &mut chance));
        said[32] = round & 1;
        said[33..64].iter_mut().for_each(|byte| random(byte, &mut chance));
        let (failed, _peer) = verdict(&context, &said);
        assert_eq!(failed, None, "{}", said.escape_ascii());
    }
}

/// RFC 37: "A peer MUST accept higher protocol versions as valid", and "SHALL always use its own protocol (including framing)
/// when talking to an equal or higher protocol peer." RFC 23: "a ZMTP peer MUST accept protocol versions greater or equal to
/// 3.0."
#[test]
fn higher_versions_are_spoken_to_in_ours() {
    let context = Context::new().unwrap();
    for (major, minor) in [(3, 0), (3, 1), (3, 2), (3, 255), (4, 0), (255, 255)] {
        let (pull, _monitor, here) = listening(&context);
        let mut peer = Raw::dial(&here);
        peer.say(&greeting(major, minor, NULL));
        peer.say(&ready(&[("Socket-Type", b"PUSH")]));
        peer.say(b"\0\x02hi");
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi", "{major}.{minor}");
        assert_eq!(peer.hear(64), GREETING);
        assert_eq!(peer.frame().0, COMMAND);
    }
}

/// RFC 37: "If a peer cannot downgrade its protocol to match its peer, it MUST close the connection", and "An implementation
/// MUST guard against downgrade attacks, which may take the form of crafting a ZMTP 1.0 or 2.0 protocol header, or asking for
/// a less secure mechanism than the application has requested." Ours speaks to none of them, under any mechanism.
#[test]
fn older_versions_are_left() {
    let context = Context::new().unwrap();
    let version_1: &[u8] = b"\x01\0";
    let version_1_with_a_name = b"\x05\0name";
    let version_1_with_a_long_one = [&[0xFF][..], &300u64.to_be_bytes(), &[0]].concat();
    let versions = [0, 1, 2].map(|major| greeting(major, 0, NULL));
    let old: [&[u8]; 3] = [version_1, version_1_with_a_name, &version_1_with_a_long_one];
    for said in old.into_iter().chain(versions.iter().map(|bytes| &bytes[..])) {
        let (failed, mut peer) = verdict(&context, said);
        let (stage, failure) = failed.unwrap();
        assert!(matches!(failure, Failure::OldVersion { .. }), "{failure}");
        assert_eq!(stage, Stage::Greeting);
        assert!(peer.ends());
    }
}

/// RFC 37: "If the mechanism that the peer received does not exactly match the mechanism it sent, it MUST close the
/// connection", but first: "A peer that reads a full greeting, including mechanism, MUST also send a full greeting including
/// mechanism."
#[test]
fn another_mechanism_is_left() {
    let context = Context::new().unwrap();
    let names: [&[u8]; 7] = [b"PLAIN", b"CURVE", b"GSSAPI", b"null", b"NULLX", b"NUL", b""];
    let mut fields: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
    fields.push(b"NULL\0X".to_vec());
    for mut field in fields {
        field.resize(20, 0);
        let (failed, mut peer) = verdict(&context, &greeting(3, 1, &field));
        let (stage, failure) = failed.unwrap();
        assert!(matches!(failure, Failure::MechanismMismatch { .. }), "{failure}");
        assert_eq!(stage, Stage::Greeting);
        assert!(peer.ends(), "nothing behind the greeting");
    }
}

/// RFC 37: "The peer SHALL treat an incoming ERROR command as fatal, and act by closing the connection, and not re-connecting
/// using the same security credentials."
#[test]
fn threat_39_an_error_is_fatal() {
    let context = Context::new().unwrap();
    let (_push, monitor, listener) = dialing(&context);
    let mut peer = Raw::accept(&listener);
    peer.say(GREETING);
    peer.say(&command("ERROR", b"\x05go\naway"));
    peer.finish();

    let Event::GaveUp { failure, .. } = wait_for!(monitor, GaveUp) else {
        unreachable!("it was waited for")
    };

    assert_eq!(
        failure,
        Failure::RefusedByPeer {
            reason: r"go\naway"[..6].into()
        }
    );
    peer.hear_the_rest();
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody comes again");
}

/// RFC 37: "The peer SHALL treat an unexpected connection close as a temporary error, and SHOULD reconnect", and "All sockets
/// SHALL establish connections opportunistically, that is: they connect to an endpoint asynchronously".
#[test]
fn a_connection_that_ends_is_made_again() {
    let context = Context::new().unwrap();
    let (push, monitor, listener) = dialing(&context);
    drop(Raw::accept(&listener));
    let mut in_the_greeting = Raw::accept(&listener);
    in_the_greeting.say(&GREETING[..20]);
    drop(in_the_greeting);
    drop(Raw::accept(&listener).greet("PULL"));
    wait_for!(monitor, Disconnected);
    push.send("still here").unwrap();
    assert_eq!(Raw::accept(&listener).greet("PULL").message(), [b"still here"]);
}

/// RFC 37: "The peer that binds SHALL be the server, and connecting peer SHALL be the client", "the client SHALL send a READY
/// command and then wait for a READY command in reply", and the server: "If there is no error, it MUST send a READY command
/// in reply." (RFC 23 has both say it at once: "each peer MUST send its READY command before attempting to receive a READY
/// from the other peer." Ours, which binds, waits: so it answers with ERROR where it has to, as 3.1 has it.)
#[test]
fn who_connects_says_ready_first_and_who_binds_answers() {
    let context = Context::new().unwrap();
    let (push, _monitor, listener) = dialing(&context);
    push.send("not before you are ready").unwrap();
    let mut server = Raw::accept(&listener);
    server.say(GREETING);
    server.hear(64);
    let (flags, ready) = server.frame();
    assert_eq!((flags, &ready[..6]), (COMMAND, &b"\x05READY"[..]));
    assert_eq!(push.stats().out.passed, 0, "it waits for the reply");
    server.say(&hello("PULL")[64..]);
    assert_eq!(server.message(), [b"not before you are ready"]);

    let (_pull, _monitor, here) = listening(&context);
    for (theirs, answer) in [("PUSH", &b"\x05READY"[..]), ("PULL", b"\x05ERROR")] {
        let mut client = Raw::dial(&here);
        client.say(&hello(theirs));
        client.hear(64);
        let (flags, first) = client.frame();
        assert_eq!((flags, &first[..6]), (COMMAND, answer), "and nothing before it");
    }
}

/// RFC 37: "traffic" follows "handshake": a message or another command in READY's place ends the connection.
#[test]
fn traffic_before_ready_is_refused() {
    let context = Context::new().unwrap();
    let early: [&[u8]; 4] = [
        b"\0\x02hi",
        &[&[2][..], &300u64.to_be_bytes()].concat(),
        &command("PING", b"\0\0"),
        &command("SUBSCRIBE", b""),
    ];
    for said in early {
        let (failed, mut peer) = verdict(&context, &[GREETING, said].concat());
        let (stage, failure) = failed.unwrap();
        assert!(matches!(failure, Failure::Unexpected { .. }), "{failure}");
        assert_eq!(stage, Stage::Ready);
        assert!(peer.ends());
    }
}

/// RFC 37: "The name SHALL be 1 to 255 characters." "The value SHALL be 0 to 2,147,483,647 (2^31-1 or INT32_MAX in C/C++)
/// octets of opaque binary data." "The value size field SHALL be four octets, in network byte order."
#[test]
fn properties_have_names_and_values_of_these_sizes() {
    let context = Context::new().unwrap();
    let long = "N".repeat(255);
    let good: [&[(&str, &[u8])]; 4] = [
        &[("Socket-Type", b"PUSH"), ("N", b"")],
        &[(&long, b"v"), ("Socket-Type", b"PUSH")],
        &[("Socket-Type", b"PUSH"), ("Big", &[0xFF; 9_000])],
        &[("X-Thing", b"\0\x01"), ("a.b+c_d-1", b""), ("Socket-Type", b"PUSH")],
    ];
    for properties in good {
        let (failed, _peer) = verdict(&context, &[GREETING, &ready(properties)[..]].concat());
        assert_eq!(failed, None, "{properties:?}");
    }
    let with = |tail: &[u8]| command("READY", &[b"\x0BSocket-Type\0\0\0\x04PUSH", tail].concat());
    let bad: [&[u8]; 6] = [
        b"\0\0\0\0\0",
        b"\x01N\0\0\x01",
        b"\x01N\0\0\0\x02v",
        b"\x01N\xFF\xFF\xFF\xFFv",
        b"\x05N",
        b"\x01 \0\0\0\0",
    ];
    for tail in bad {
        let (failed, mut peer) = verdict(&context, &[GREETING, &with(tail)[..]].concat());
        let (_, failure) = failed.unwrap();
        assert!(
            matches!(failure, Failure::Malformed { what: "metadata", .. }),
            "{failure}"
        );
        let (flags, error) = peer.frame();
        assert_eq!((flags, &error[..6]), (COMMAND, &b"\x05ERROR"[..]));
    }
}

/// RFC 37: "Metadata names SHALL be case-insensitive."
#[test]
fn names_of_properties_may_be_in_any_case() {
    let context = Context::new().unwrap();
    for name in ["Socket-Type", "socket-type", "SOCKET-TYPE", "sOCKET-tYPE"] {
        let (failed, _peer) = verdict(&context, &[GREETING, &ready(&[(name, b"PUSH")])[..]].concat());
        assert_eq!(failed, None, "{name}");
    }
    let router = Router::new(&context);
    let mut peer = Raw::dial(&router.bind("tcp://127.0.0.1:0").unwrap());
    peer.say(&[GREETING, &ready(&[("sOcKeT-tYpE", b"DEALER"), ("IDENTITY", b"me")])[..]].concat());
    peer.send(&[b"hi"]);
    assert_eq!(router.recv_timeout(LONG).unwrap().0, Identity::new("me").unwrap());
}

/// RFC 37: "Metadata names starting with "X-" SHALL be reserved for application use": an application may say nothing else of
/// itself, and nothing of ours begins so.
#[test]
fn names_that_begin_with_x_are_the_applications() {
    let context = Context::new().unwrap();
    for (options, said) in [
        (Options::default(), 0),
        (Options::default().metadata("X-Zone", "north"), 1),
    ] {
        let pull = Pull::with_options(&context, options).unwrap();
        let mut peer = Raw::dial(&pull.bind("tcp://127.0.0.1:0").unwrap());
        peer.say(&hello("PUSH"));
        peer.hear(64);
        let (_, ready) = peer.frame();
        let beginnings = ready.windows(3).filter(|bytes| bytes[0] < 0x20 && bytes[1..] == *b"X-");
        assert_eq!(beginnings.count(), said, "{}", ready.escape_ascii());
        assert_eq!(ready.ends_with(b"\x06X-Zone\0\0\0\x05north"), said == 1);
    }
    assert!(Pull::with_options(&context, Options::default().metadata("Zone", "north")).is_err());
}

/// RFC 37: "The implementation SHALL accept all resource requests". Ours has no resources, and takes every peer for its
/// socket's.
#[test]
fn a_peer_that_asks_for_a_resource_is_let_in() {
    let context = Context::new().unwrap();
    let (pull, _monitor, here) = listening(&context);
    let mut peer = Raw::dial(&here);
    let properties: [(&str, &[u8]); 2] = [("Socket-Type", b"PUSH"), ("Resource", b"system/name-service/test")];
    peer.say(&[GREETING, &ready(&properties)[..]].concat());
    peer.send(&[b"hi"]);
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi");
}

/// RFC 37: "The Identity SHALL match this grammar: identity = 0*255OCTET", and "The first octet of the Identity SHALL NOT be
/// zero".
#[test]
fn threat_14_an_identity_is_of_255_bytes_at_most_and_does_not_begin_with_a_zero() {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let monitor = router.monitor();
    let here = router.bind("tcp://127.0.0.1:0").unwrap();
    let come = |identity: &[u8]| {
        let mut peer = Raw::dial(&here);
        let properties: [(&str, &[u8]); 2] = [("Socket-Type", b"DEALER"), ("Identity", identity)];
        peer.say(&[GREETING, &ready(&properties)[..]].concat());
        peer
    };
    let good: [&[u8]; 4] = [b"", b"a", b"\xFF\0\x01", &[b'i'; 255]];
    for identity in good {
        let mut peer = come(identity);
        wait_connected(&monitor);
        peer.send(&[b"hi"]);
        let (sender, _) = router.recv_timeout(LONG).unwrap();
        assert!(sender.as_bytes() == identity || identity.is_empty() && sender.is_made_up());
        drop(peer);
        wait_for!(monitor, Disconnected);
        until("its end", || router.stats().peers.is_empty());
    }
    let bad: [&[u8]; 3] = [b"\0", b"\0abcd", &[b'i'; 256]];
    for identity in bad {
        let mut peer = come(identity);
        peer.finish();
        wait_for!(monitor, HandshakeFailed);
        peer.hear(64);
        assert!(peer.frame().1.starts_with(b"\x05ERROR"));
    }
    assert!(Identity::new([b'i'; 256]).is_err() && Identity::new("\0").is_err());
}

/// RFC 37: of others than REQ, DEALER and ROUTER "the Identity property shall be ignored."
#[test]
fn the_identity_of_other_types_is_ignored() {
    let context = Context::new().unwrap();
    let (pull, monitor, here) = listening(&context);
    let identities: [&[u8]; 4] = [b"same", b"same", b"\0reserved", &[b'i'; 300]];
    let peers = identities.map(|identity| {
        let mut peer = Raw::dial(&here);
        let properties: [(&str, &[u8]); 2] = [("Identity", identity), ("Socket-Type", b"PUSH")];
        peer.say(&[GREETING, &ready(&properties)[..]].concat());
        wait_connected(&monitor);
        peer
    });
    for mut peer in peers {
        peer.send(&[b"hi"]);
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi");
    }
}

//! One side follows PLAIN or CURVE to a word, and then says another: libzmq's tests of that, and servers that would take of
//! their clients what clients may not take of them.

use super::mechanisms::{pairs, secret, transcript, with};
use super::*;
use crate::failure::Stage;
use crate::keys::{KeyPair, PublicKey, SecretKey};
use crate::security::{Curve, CurveClient, Plain, Security};
use SocketType::{Pull, Push, Router};

/// What becomes of a CURVE server that has heard so many words of a client's as they should be, and then the next, changed.
fn after(words: usize, change: impl FnOnce(&mut Vec<u8>)) -> (Failure, End) {
    let pair = &pairs()[1];
    let [mut said, _] = transcript(pair);
    let mut end = End::new(with(Router, &pair.0), Side::Accepted);
    end.hear(&said[..words].concat()).unwrap();
    end.say();
    change(&mut said[words]);
    let failure = end.hear(&said[words]).unwrap_err();
    assert_eq!(end.connection.stage(), Stage::Security);
    assert!(end.facts.is_none() && end.say().is_empty(), "it is not answered");
    (failure, end)
}

/// Nothing but its name.
fn shortened(word: &mut Vec<u8>, name: &str) {
    *word = command(name, b"");
}

const HELLO: usize = 1;
const INITIATE: usize = 2;
/// Where the name begins, behind the frame's header and the name's length: HELLO's header is short, INITIATE's is long.
const NAME: [usize; 3] = [0, 3, 10];

#[test]
fn t40_curve_security_invalid_hello_wrong_length() {
    let (failure, _) = after(HELLO, |hello| shortened(hello, "HELLO"));
    assert!(matches!(failure, Failure::Malformed { what: "HELLO", .. }), "{failure}");
}

#[test]
fn t40_curve_security_invalid_hello_command_name() {
    let (failure, _) = after(HELLO, |hello| hello[NAME[HELLO] + 4] = b'X');
    assert_eq!(failure.to_string(), "unexpected HELLX while waiting for HELLO");
}

#[test]
fn t40_curve_security_invalid_hello_version() {
    let (failure, _) = after(HELLO, |hello| hello[NAME[HELLO] + 5] = 2);
    assert_eq!(failure.to_string(), "malformed HELLO: its version is not 1.0");
}

#[test]
fn t40_curve_security_invalid_initiate_wrong_length() {
    let (failure, _) = after(INITIATE, |initiate| shortened(initiate, "INITIATE"));
    assert!(
        matches!(failure, Failure::Malformed { what: "INITIATE", .. }),
        "{failure}"
    );
}

#[test]
fn t40_curve_security_invalid_initiate_command_name() {
    let (failure, _) = after(INITIATE, |initiate| initiate[NAME[INITIATE] + 4] = b'X');
    assert_eq!(failure.to_string(), "unexpected INITXATE while waiting for INITIATE");
}

#[test]
fn t40_curve_security_invalid_initiate_command_encrypted_cookie() {
    let (failure, _) = after(INITIATE, |initiate| initiate[NAME[INITIATE] + 8 + 20] ^= 1);
    assert_eq!(failure.to_string(), "cannot open the cookie in INITIATE");
}

#[test]
fn t40_curve_security_invalid_initiate_command_encrypted_content() {
    let (failure, mut end) = after(INITIATE, |initiate| initiate[NAME[INITIATE] + 8 + 96 + 8 + 40] ^= 1);
    assert_eq!(failure, Failure::Unopened { what: "INITIATE" });

    let [said, _] = transcript(&pairs()[1]);
    assert!(end.hear(&said[INITIATE]).is_err(), "the right one comes too late");
}

/// A client whose keys are these, of a server whose key is that, meets the server of all tests here: what ends it, for either.
fn with_keys(keys: KeyPair, server: PublicKey) -> Failure {
    let client = Local {
        role: Role::CurveClient(Arc::new(CurveClient { ours: keys, server })),
        ..local(SocketType::Dealer)
    };
    let mut end = End::new(with(Router, &pairs()[1].0), Side::Accepted);
    let mut client = End::new(client, Side::Dialed);
    let failure = pump(&mut client, &mut end, usize::MAX).unwrap_err();
    assert!(end.facts.is_none() && client.facts.is_none());
    failure
}

const NO_KEY: [u8; 32] = [0; 32];

#[test]
fn t40_null_server_key() {
    let failure = with_keys(secret(2).into(), PublicKey::from_bytes(NO_KEY));
    assert_eq!(failure.to_string(), "cannot open the server's key, which is none");
}

#[test]
fn t40_null_client_public_key() {
    let keys = KeyPair {
        secret: secret(2),
        public: PublicKey::from_bytes(NO_KEY),
    };
    let failure = with_keys(keys, secret(1).public());
    assert_eq!(failure.to_string(), "cannot open INITIATE: its key is none");
}

#[test]
fn t40_null_client_secret_key() {
    let keys = KeyPair {
        secret: SecretKey::from_bytes(NO_KEY),
        public: secret(2).public(),
    };
    let failure = with_keys(keys, secret(1).public());
    assert_eq!(failure.to_string(), "cannot open the vouch in INITIATE");
}

/// T39: a server may make its clients hold and do no more than the other way round.
#[test]
fn threat_39_a_server_is_held_to_the_limits_that_its_clients_are_held_to() {
    let sides: [(Security, Security); 3] = [
        (Security::default(), Security::default()),
        (Plain::server().allow_any(), Plain::client("me", "word")),
        (
            Curve::server(secret(1)).allow_any(),
            Curve::client(secret(2), secret(1).public()),
        ),
    ];
    for (server, client) in sides {
        let greeting = End::new(with(Pull, &server), Side::Accepted).say();
        let begun = || {
            let mut end = End::new(with(Push, &client), Side::Dialed);
            end.hear(&greeting).unwrap();
            end.say();
            end
        };
        for len in [LIMITS.handshake_bytes as u64, 1 << 40, u64::MAX] {
            let mut end = begun();
            let heard = end.hear(&[&[6][..], &len.to_be_bytes()].concat());
            assert!(
                matches!(
                    heard,
                    Err(Failure::TooLarge {
                        what: "handshake bytes",
                        ..
                    })
                ),
                "{heard:?}"
            );
            assert_eq!(end.connection.held(), 0);
        }
        // It is over with the first; thousands more change nothing.
        let mut end = begun();
        let failure = end.hear(&command("ERROR", b"\x03no!")).unwrap_err();
        for _ in 0..1_000 {
            assert_eq!(end.hear(&command("ERROR", b"\x03go!")), Err(failure.clone()));
        }
        assert!(end.say().is_empty() && end.connection.held() == 0);
    }
    let mut end = End::new(local(Push), Side::Dialed);
    let mut properties = b"\x0bSocket-Type\0\0\0\x04PULL".to_vec();
    properties.extend(b"\x01a\0\0\0\0".repeat(64));
    end.hear(&End::new(local(Pull), Side::Accepted).say()).unwrap();
    let heard = end.hear(&command("READY", &properties));
    assert!(
        matches!(heard, Err(Failure::TooLarge { what: "properties", .. })),
        "{heard:?}"
    );
}

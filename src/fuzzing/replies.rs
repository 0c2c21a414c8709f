//! What is answered to questions of ours: by a ZAP handler, and by a SOCKS5 proxy.

use super::input::Input;
use crate::endpoint::{Endpoint, Kind};
use crate::options::Credentials;
use crate::security::Verdict;
use crate::sim::chance::Chance;
use crate::transport::socks5::{LONGEST_REPLY, Socks5};
use crate::zap;
use bytes::Bytes;

/// The frames of a reply of a ZAP handler.
pub fn zap(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut frames: Vec<&[u8]> = vec![b"", b"1.0", b"12345678", b"200", b"OK", b"me", b""];
    match input.below(8) {
        0 => {
            let count = input.below(10);
            frames = (0..count).map(|_| input.bytes()).collect();
        }
        at => frames[at - 1] = input.rest(),
    }
    match zap::verdict(&frames) {
        Err(wrong) => assert!(!wrong.is_empty()),
        Ok(verdict) => {
            let &[b"", b"1.0", _, status, text, user, metadata] = &frames[..] else {
                panic!("it has not the form of a reply");
            };
            match verdict {
                Verdict::Admit(admitted) => {
                    assert_eq!(status, b"200");
                    assert_eq!(admitted.id().as_bytes(), user);
                    check_properties(&admitted, metadata);
                }
                Verdict::NotNow(why) => assert!(status == b"300" && is_shown(&why, text)),
                Verdict::Deny(why) => assert!(status == b"400" && is_shown(&why, text)),
                Verdict::Failed(why) => assert!(status == b"500" && is_shown(&why, text)),
            }
        }
    }
}

/// All that is said of a user is known of it.
fn check_properties(user: &crate::security::User, mut metadata: &[u8]) {
    let mut seen = Vec::new();
    while let Some((&len, rest)) = metadata.split_first() {
        let (name, rest) = rest.split_at(len.into());
        let (len, rest) = rest.split_first_chunk().expect("it was whole");
        let (value, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        let name = std::str::from_utf8(name).expect("it was text").to_ascii_lowercase();
        if !seen.contains(&name) {
            assert_eq!(user.property(&name), Some(value), "the first of a name counts");
            seen.push(name);
        }
        metadata = rest;
    }
}

/// What somebody else has said is shown without anything that a log would obey.
fn is_shown(why: &str, text: &[u8]) -> bool {
    why.is_ascii() && !why.contains(|c: char| c.is_ascii_control()) && why.len() <= 4 * text.len() + 100
}

/// What a proxy says, and behind it the peer.
pub fn socks5(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let target = input.one_of(&["tcp://name.test:5555", "tcp://1.2.3.4:1", "tcp://[::1]:258"]);
    let has_credentials = input.flag();
    let seed = input.byte();
    let said = input.rest();
    let at_once = through(target, has_credentials, said, None);
    let in_pieces = through(target, has_credentials, said, Some(Chance::new(seed.into())));
    assert_eq!(at_once, in_pieces, "it depends on how it is cut");
}

/// Whether it led through, what was said, and what was left to the peer.
type Passage = (Result<bool, String>, Vec<u8>, usize);

fn through(target: &str, has_credentials: bool, mut said: &[u8], mut chance: Option<Chance>) -> Passage {
    let endpoint: Endpoint = target.parse().expect("an endpoint");
    let Kind::Tcp(tcp) = endpoint.kind() else {
        panic!("it is tcp");
    };
    let credentials = Credentials {
        name: "me".to_owned(),
        password: "secret".to_owned(),
    };
    let mut socks = Socks5::new(tcp.clone(), Some(credentials).filter(|_| has_credentials));
    let mut answers = Vec::new();
    let mut result = Ok(false);
    while result == Ok(false) {
        answers.extend(socks.poll_transmit().unwrap_or_default());
        if said.is_empty() {
            break;
        }
        let most = chance.as_mut().map_or(usize::MAX, |chance| chance.within(1..5));
        let piece = &said[..most.min(said.len())];
        let mut left = Bytes::copy_from_slice(piece);
        result = socks.handle_received(&mut left).map_err(|failure| failure.to_string());
        assert!(result != Ok(false) || left.is_empty(), "what is left is forgotten");
        assert!(socks.held() <= LONGEST_REPLY);
        said = &said[piece.len() - left.len()..];
    }
    answers.extend(socks.poll_transmit().unwrap_or_default());
    assert!(answers.len() < 700, "it says no more than its words");
    let left = if result == Ok(true) { said.len() } else { 0 };
    (result, answers, left)
}

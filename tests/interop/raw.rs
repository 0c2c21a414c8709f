//! STREAM on either side: bytes, and what the others say on the wire.

use crate::common::{hello, ready};
use crate::peer::{LIMIT, Peer, told, with_peer};
use crate::ways::{Place, they_bind, they_connect};
use peermq::*;
use std::time::{Duration, Instant};

/// RFC 37's greeting with NULL, in both directions, and what a PUSH says then, byte by byte.
#[test]
fn a_stream_speaks_zmtp_by_hand() {
    with_peer(|peer| {
        let context = Context::new().unwrap();
        let pull = Pull::new(&context);
        let here = pull.bind("tcp://127.0.0.1:0").unwrap();
        let name = they_connect(peer, "STREAM", &here);
        let mut heard = Heard::new(peer, &name);
        let theirs = heard.bytes(peer, 64);
        // The eight bytes between the first and the tenth mean nothing.
        assert_eq!((theirs[0], &theirs[9..]), (0xFF, &greeting()[9..]));

        let id = heard.id.clone();
        peer.ask(format_args!("say {name} {id},{}", told(&[greeting()])));
        peer.ask(format_args!("say {name} {id},{}", told(&[ready("PUSH")])));
        let answer = heard.bytes(peer, 2);
        assert_eq!(answer[0], 4, "a short command");
        let answer = heard.bytes(peer, usize::from(answer[1]));
        assert!(
            answer.starts_with(b"\x05READY\x0BSocket-Type\0\0\0\x04PULL"),
            "{answer:?}"
        );

        peer.ask(format_args!("say {name} {id},{}", told(&[b"\x01\x01a\x00\x02bc"])));
        assert_eq!(pull.recv_timeout(LIMIT).unwrap(), Message::from(["a", "bc"]));
        // An empty message of a STREAM closes, when its application calls it once more behind what its I/O thread has made of
        // that; which may take longer than the way to the first such call.
        let monitor = pull.monitor();
        peer.ask(format_args!("say {name} {id},-"));
        let deadline = Instant::now() + LIMIT;
        while !matches!(
            monitor.recv_timeout(Duration::from_millis(10)),
            Ok(Event::Disconnected { .. })
        ) {
            assert!(Instant::now() < deadline, "it is not closed");
            peer.ask(format_args!("look {name}"));
        }
        peer.ask(format_args!("close {name}"));
    });
}

/// A STREAM of ours speaks ZMTP by hand to a PULL of theirs, which takes it for a PUSH.
#[test]
fn a_stream_of_ours_speaks_zmtp_by_hand() {
    with_peer(|peer| {
        let context = Context::new().unwrap();
        let (name, there) = they_bind(peer, "PULL", &Place::new("tcp"));
        let stream = Stream::new(&context);
        let id = stream.connect(there.as_str()).unwrap();
        assert_eq!(stream.recv_timeout(LIMIT).unwrap(), (id.clone(), "".into()));
        stream.send_to(&id, greeting()).unwrap();
        let mut left = Vec::new();
        let theirs = heard(&stream, &mut left, 64);
        assert_eq!((theirs[0], &theirs[9..]), (0xFF, &greeting()[9..]));
        stream.send_to(&id, ready("PUSH")).unwrap();
        let answer = heard(&stream, &mut left, 2);
        let answer = heard(&stream, &mut left, usize::from(answer[1]));
        assert!(
            answer.starts_with(b"\x05READY\x0BSocket-Type\0\0\0\x04PULL"),
            "{answer:?}"
        );
        stream.send_to(&id, &b"\x01\x01a\x00\x02bc"[..]).unwrap();
        peer.expect(&name, &["a", "bc"]);
        peer.ask(format_args!("close {name}"));
        assert_eq!(stream.recv_timeout(LIMIT).unwrap(), (id, "".into()), "it is over");
    });
}

/// Bytes both ways between a STREAM of each side, and either end of it.
#[test]
fn two_streams() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    for we_end in [true, false] {
        with_peer(|peer| {
            let context = Context::new().unwrap();
            let stream = Stream::new(&context);
            let here = stream.bind("tcp://127.0.0.1:0").unwrap();
            let name = they_connect(peer, "STREAM", &here);
            let mut theirs = Heard::new(peer, &name);
            let (id, begins) = stream.recv_timeout(LIMIT).unwrap();
            assert_eq!(begins, "");
            peer.ask(format_args!("say {name} {},{}", theirs.id, told(&[&bytes])));
            assert_eq!(heard(&stream, &mut Vec::new(), bytes.len()), bytes);
            stream.send_to(&id, &*bytes).unwrap();
            assert_eq!(theirs.bytes(peer, bytes.len()), bytes);
            if we_end {
                stream.send_to(&id, "").unwrap();
                assert_eq!(Heard::next(peer, &name), (theirs.id.clone(), Vec::new()));
            } else {
                peer.ask(format_args!("close {name}"));
                assert_eq!(stream.recv_timeout(LIMIT).unwrap(), (id, "".into()));
            }
        });
    }
}

/// The next bytes of our STREAM's only peer. What came beyond them is left.
fn heard(stream: &Stream, left: &mut Vec<u8>, count: usize) -> Vec<u8> {
    while left.len() < count {
        left.extend_from_slice(stream.recv_timeout(LIMIT).unwrap().1.first());
    }
    left.drain(..count).collect()
}

/// With NULL.
fn greeting() -> Vec<u8> {
    hello("PUSH")[..64].to_vec()
}

/// What a STREAM has received and nobody has looked at.
struct Heard {
    name: String,
    id: String,
    bytes: Vec<u8>,
}

impl Heard {
    /// It is told of its connection by an empty message.
    fn new(peer: &mut Peer, name: &str) -> Self {
        let (id, nothing) = Heard::next(peer, name);
        assert!(nothing.is_empty());
        Heard {
            name: name.to_owned(),
            id,
            bytes: Vec::new(),
        }
    }

    fn next(peer: &mut Peer, name: &str) -> (String, Vec<u8>) {
        let frames = peer.ask(format_args!("hear {name}"));
        let (id, bytes) = frames.split_once(',').unwrap();
        let digits = bytes.trim_start_matches('-').as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        (id.to_owned(), digits.chunks(2).map(byte).collect())
    }

    fn bytes(&mut self, peer: &mut Peer, count: usize) -> Vec<u8> {
        while self.bytes.len() < count {
            self.bytes.extend(Heard::next(peer, &self.name).1);
        }
        self.bytes.drain(..count).collect()
    }
}

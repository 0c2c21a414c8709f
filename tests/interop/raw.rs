//! What goes over the wire, seen by a STREAM of theirs.

use crate::peer::{LIMIT, Peer, told, with_peer};
use crate::ways::they_connect;
use peermq::*;

/// RFC 37's greeting with NULL, in both directions, and what a PUSH says then, byte by byte.
#[test]
fn a_stream_speaks_zmtp_by_hand() {
    with_peer(|peer| {
        let context = Context::new().unwrap();
        let pull = Pull::new(&context);
        let here = pull.bind("tcp://127.0.0.1:0").unwrap();
        let name = they_connect(peer, "STREAM", &here);
        let greeting = [&b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\x01NULL"[..], &[0; 48]].concat();
        let mut heard = Heard::new(peer, &name);
        let theirs = heard.bytes(peer, 64);
        // The eight bytes between the first and the tenth mean nothing.
        assert_eq!((theirs[0], &theirs[9..]), (0xFF, &greeting[9..]));

        let id = heard.id.clone();
        peer.ask(format_args!("say {name} {id},{}", told(&[&greeting])));
        peer.ask(format_args!(
            "say {name} {id},{}",
            told(&[crate::common::ready("PUSH")])
        ));
        let ready = heard.bytes(peer, 2);
        assert_eq!(ready[0], 4, "a short command");
        let ready = heard.bytes(peer, usize::from(ready[1]));
        assert!(
            ready.starts_with(b"\x05READY\x0BSocket-Type\0\0\0\x04PULL"),
            "{ready:?}"
        );

        peer.ask(format_args!("say {name} {id},{}", told(&[b"\x01\x01a\x00\x02bc"])));
        assert_eq!(pull.recv_timeout(LIMIT).unwrap(), Message::from(["a", "bc"]));
        // An empty message of a STREAM closes, when its application calls it once more.
        let monitor = pull.monitor();
        peer.ask(format_args!("say {name} {id},-"));
        peer.ask(format_args!("look {name}"));
        crate::common::wait_for!(monitor, Disconnected);
        peer.ask(format_args!("close {name}"));
    });
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

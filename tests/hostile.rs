//! A peer whose every byte, its order and its time are somebody else's: what it may take of a socket, and what not.

mod common;

use common::*;
use peermq::*;
use std::io::Write;
use std::net::TcpStream;

/// A peer of this type, its handshake said, and nothing of ours read.
fn stranger(endpoint: &Endpoint, socket_type: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address(endpoint)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&hello(socket_type)).unwrap();
    stream
}

fn command(name: &str, data: &[u8]) -> Vec<u8> {
    let len = u8::try_from(1 + name.len() + data.len()).unwrap();
    [&[4, len, name.len() as u8], name.as_bytes(), data].concat()
}

/// Each command comes with a read of its own: nothing is left over that would have to wait for room.
#[test]
fn subscriptions_that_come_one_by_one_do_not_pass_the_mark_of_an_xpub() {
    const MARK: u64 = 4;
    let context = Context::new().unwrap();
    let options = Options::default().recv_mark(MARK as usize).verbosity(Verbosity::All);
    let publisher = XPub::with_options(&context, options).unwrap();
    let mut stream = stranger(&publisher.bind("tcp://127.0.0.1:0").unwrap(), "SUB");
    let arrived = || publisher.stats().incoming.taken;

    for n in 1..=MARK {
        stream.write_all(&command("SUBSCRIBE", &[n as u8])).unwrap();
        until("one more", || arrived() == n);
    }
    // Others are served by the same loop after what was written here before.
    let pull = Pull::new(&context);
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    let mut other = stranger(&endpoint, "PUSH");
    for n in MARK + 1..=50 {
        stream.write_all(&command("SUBSCRIBE", &[n as u8])).unwrap();
        for _ in 0..2 {
            other.write_all(b"\0\x02hi").unwrap();
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi");
        }
    }

    assert!(arrived() <= MARK, "{} are queued, the mark is {MARK}", arrived());
    for n in 1..=50 {
        let Upstream::Subscribe { topic, .. } = publisher.recv_timeout(LONG).unwrap() else {
            panic!("it only subscribes")
        };
        assert_eq!(topic[..], [n]);
    }
}

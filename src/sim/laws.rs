//! What has to hold after every step, and how messages of the tests are numbered.

use crate::hub::Hub;
use crate::keys::SecretKey;
use crate::message::Message;
use crate::options::Options;
use crate::routing::{Awaited, Pattern, PeerId, Peers, Receives, Sends};
use crate::security::{Curve, Plain, Security};
use crate::socket_type::SocketType;
use crate::stats::SocketStats;
use std::collections::{BTreeMap, BTreeSet};
use std::task::Poll;
use std::time::Duration;

use super::chance::Chance;

/// The law of conservation, in total and for each peer, and the marks.
pub(crate) fn check<P: Pattern>(hub: &Hub<P>) -> SocketStats {
    assert!(hub.has_told_all(), "a watcher was not told: {:#?}", hub.stats());
    let stats = hub.stats();
    let options = hub.options();
    for (out, incoming) in [(&stats.out, &stats.incoming)]
        .into_iter()
        .chain(stats.peers.iter().map(|peer| (&peer.out, &peer.incoming)))
    {
        assert!(out.is_conserved(), "out: {stats:#?}");
        assert!(incoming.is_conserved(), "in: {stats:#?}");
        for flow in [out, incoming] {
            assert!(flow.frames >= flow.passed, "a message has a frame: {flow:#?}");
        }
    }
    // Where bytes are received, the end of a connection is told beside the mark.
    let end = u64::from(P::TYPE == SocketType::Stream);
    for peer in &stats.peers {
        for flow in [&peer.out, &peer.incoming] {
            assert!(flow.queued <= flow.queued_peak, "{flow:#?}");
            assert!(flow.queued_bytes <= flow.queued_peak_bytes, "{flow:#?}");
        }
        assert!(
            peer.out.queued <= options.send_mark.messages as u64,
            "send mark: {peer:#?}"
        );
        assert!(
            peer.incoming.queued <= options.recv_mark.messages as u64 + end,
            "recv mark: {peer:#?}"
        );
    }
    stats
}

/// The law of conservation alone.
pub(crate) fn conserved<P: Pattern>(hub: &Hub<P>) {
    let stats = hub.stats();
    let peers = stats.peers.iter().map(|peer| (&peer.out, &peer.incoming));
    for (out, incoming) in peers.chain([(&stats.out, &stats.incoming)]) {
        assert!(out.is_conserved() && incoming.is_conserved(), "{stats:#?}");
    }
}

/// Small marks, short times.
pub(super) fn small(chance: &mut Chance) -> Options {
    Options::default()
        .send_mark(chance.within(1..9))
        .recv_mark(chance.within(1..9))
        .linger(Duration::from_millis(chance.within(0..2000) as u64))
        .connect_timeout(Duration::from_millis(500))
        .handshake_timeout(Duration::from_secs(1))
        .reconnect(Duration::from_millis(10), Duration::from_millis(200))
}

/// What the sockets of the one side of a world have, and those of the other: two of nine seeds something that is secret.
pub(crate) fn security(seed: u64) -> [Security; 2] {
    let mut both = match seed % 9 {
        2 => [Plain::server().allow([("me", "word")]), Plain::client("me", "word")],
        5 => curve(),
        _ => [Security::default(), Security::default()],
    };
    if seed % 18 > 8 {
        both.reverse();
    }
    both
}

/// A CURVE server and its client.
pub(crate) fn curve() -> [Security; 2] {
    let secret = |byte| SecretKey::from_bytes([byte; 32]);
    [
        Curve::server(secret(1)).allow([secret(2).public()]),
        Curve::client(secret(2), secret(1).public()),
    ]
}

/// Sends if there is room.
pub(crate) fn send<P: Sends>(hub: &Hub<P>, message: impl Into<Message>) -> bool {
    let mut message = message.into().into();
    let sent = hub.attempt(Awaited::Writable, |pattern, peers| {
        pattern.send(peers, &mut message).then_some(())
    });
    matches!(sent, Poll::Ready(Ok(())))
}

/// Receives if there is something.
pub(crate) fn recv<P: Receives>(hub: &Hub<P>) -> Option<Message> {
    let mut message = Message::empty();
    let step = |pattern: &mut P, peers: &mut Peers| pattern.recv(peers, &mut message).then_some(());
    matches!(hub.attempt(Awaited::Readable, step), Poll::Ready(Ok(()))).then_some(message)
}

/// A message that says whose it is, which it is, and what it should look like.
pub(super) fn numbered(sender: usize, number: u32, size: usize) -> Message {
    let head = [&[sender as u8][..], &number.to_be_bytes()].concat();
    let tail = vec![number as u8; size];
    if number.is_multiple_of(3) {
        return Message::from([head, tail]);
    }
    Message::from([head, tail].concat())
}

/// The same for a socket of this pattern, whose messages may have one frame only.
pub(super) fn numbered_for<P: Pattern>(sender: usize, number: u32, size: usize) -> Message {
    let message = numbered(sender, number, size);
    match P::ONE_FRAME {
        true => Message::from(message.frames().collect::<Vec<_>>().concat()),
        false => message,
    }
}

/// Whose a numbered message is, and which; nothing of it is torn.
pub(super) fn read(message: &Message) -> (usize, u32) {
    let bytes = message.frames().collect::<Vec<_>>().concat();
    let number = u32::from_be_bytes(bytes[1..5].try_into().expect("four bytes"));
    assert!(bytes[5..].iter().all(|&byte| byte == number as u8), "torn: {message:?}");
    (usize::from(bytes[0]), number)
}

/// Who received what: nothing twice, and of one connection in the order in which it was sent.
#[derive(Default)]
pub(super) struct Ledger {
    /// Messages have one frame.
    one_frame: bool,
    seen: BTreeSet<(usize, u32)>,
    last: BTreeMap<(usize, PeerId, usize), u32>,
}

impl Ledger {
    /// Of messages to sockets of this pattern.
    pub(super) fn of<P: Pattern>() -> Self {
        Ledger {
            one_frame: P::ONE_FRAME,
            ..Ledger::default()
        }
    }

    pub(super) fn note(&mut self, receiver: usize, peer: PeerId, message: &Message) {
        let bytes = message.frames().collect::<Vec<_>>().concat();
        let sender = usize::from(bytes[0]);
        let number = u32::from_be_bytes(bytes[1..5].try_into().expect("four bytes"));
        assert!(bytes[5..].iter().all(|&byte| byte == number as u8), "torn: {message:?}");
        assert_eq!(
            message.frame_count(),
            if number.is_multiple_of(3) && !self.one_frame {
                2
            } else {
                1
            },
            "torn: {message:?}"
        );
        assert!(self.seen.insert((sender, number)), "{sender}:{number} came twice");
        if let Some(before) = self.last.insert((receiver, peer, sender), number) {
            assert!(before < number, "{sender}:{number} came after {before}");
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.seen.len() as u64
    }

    pub(super) fn has(&self, sender: usize, number: u32) -> bool {
        self.seen.contains(&(sender, number))
    }
}

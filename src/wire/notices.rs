//! SUBSCRIBE, CANCEL, JOIN and LEAVE: what a peer wants, as commands; to peers of ZMTP 3.0 as messages.
//!
//! A question that waits for its answer is a PING with a context of our own, which comes back in a PONG
//! ([RFC 37](https://rfc.zeromq.org/spec/37/)).

use super::command::{Command, PING, PONG, put_command};
use crate::batch::frame::put_header;
use crate::notice::Notice;
use crate::socket_type::SocketType;
use bytes::Bytes;

/// Writes a notice as a peer of this version understands it.
pub(crate) fn put_notice(out: &mut Vec<u8>, notice: &Notice, version: (u8, u8)) {
    // Before 3.1 a subscription is a message that begins with 1, and its end one that begins with 0.
    let is_old = version < (3, 1);
    let mut put_old = |first: u8, topic: &[u8]| {
        put_header(out, 0, 1 + topic.len());
        out.push(first);
        out.extend_from_slice(topic);
    };
    match notice {
        Notice::Subscribe(topic) if is_old => put_old(1, topic),
        Notice::Cancel(topic) if is_old => put_old(0, topic),
        Notice::Subscribe(topic) => put_command(out, SUBSCRIBE, &[topic]),
        Notice::Cancel(topic) => put_command(out, CANCEL, &[topic]),
        Notice::Join(group) => put_command(out, JOIN, &[group]),
        Notice::Leave(group) => put_command(out, LEAVE, &[group]),
        Notice::Ask(number) => put_command(out, PING, &[&[0, 0], QUESTION, &number.to_be_bytes()]),
        Notice::Answer(number) => put_command(out, PONG, &[QUESTION, &number.to_be_bytes()]),
    }
}

/// What a command of the peer tells a socket of this type; `None`: nothing.
pub(super) fn notice(command: &Command<'_>, ours: SocketType) -> Option<Notice> {
    // A copy: split off, it would keep the chunk that it came in for as long as it is remembered.
    let said = || Bytes::copy_from_slice(command.data);
    match ours {
        SocketType::Pub | SocketType::XPub => match command.name {
            SUBSCRIBE => Some(Notice::Subscribe(said())),
            CANCEL => Some(Notice::Cancel(said())),
            _ => None,
        },
        SocketType::Radio => match command.name {
            JOIN => Some(Notice::Join(said())),
            LEAVE => Some(Notice::Leave(said())),
            _ => None,
        },
        _ => None,
    }
}

/// The answer that a PONG is, if it is one.
pub(super) fn answer(pong: &Command<'_>) -> Option<Notice> {
    let number = pong.data.strip_prefix(QUESTION)?;
    Some(Notice::Answer(u32::from_be_bytes(number.try_into().ok()?)))
}

pub(super) const SUBSCRIBE: &[u8] = b"SUBSCRIBE";
pub(super) const CANCEL: &[u8] = b"CANCEL";
const JOIN: &[u8] = b"JOIN";
const LEAVE: &[u8] = b"LEAVE";
/// What the context of a PING begins with that asks for an answer: eight bytes with the number.
pub(super) const QUESTION: &[u8] = b"mq:?";

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn wire(notice: Notice, version: (u8, u8)) -> Vec<u8> {
        let mut out = Vec::new();
        put_notice(&mut out, &notice, version);
        out
    }

    /// T36: the bytes that libzmq's test_mock_pub_sub expects, in both forms.
    #[test]
    fn t36_subscriptions_are_commands_since_3_1_and_messages_before() {
        let topic = || Bytes::from_static(b"A");
        assert_eq!(wire(Notice::Subscribe(topic()), (3, 1)), b"\x04\x0b\x09SUBSCRIBEA");
        assert_eq!(wire(Notice::Cancel(topic()), (3, 1)), b"\x04\x08\x06CANCELA");
        assert_eq!(wire(Notice::Subscribe(topic()), (3, 0)), b"\0\x02\x01A");
        assert_eq!(wire(Notice::Cancel(topic()), (3, 0)), b"\0\x02\0A");
        assert_eq!(wire(Notice::Join(topic()), (3, 1)), b"\x04\x06\x04JOINA");
        assert_eq!(wire(Notice::Leave(topic()), (3, 1)), b"\x04\x07\x05LEAVEA");
    }

    /// T35: SUBSCRIBE takes ten bytes of the body, so its length changes form at topics of 245 and 246 bytes.
    #[test]
    fn t35_a_long_topic_takes_a_long_header() {
        let topic = |len| Bytes::from(vec![b'x'; len]);
        assert_eq!(wire(Notice::Subscribe(topic(245)), (3, 1))[..2], [0x04, 255]);
        assert_eq!(
            wire(Notice::Subscribe(topic(246)), (3, 1))[..9],
            [0x06, 0, 0, 0, 0, 0, 0, 1, 0]
        );
        assert_eq!(wire(Notice::Subscribe(topic(254)), (3, 0))[..2], [0x00, 255]);
        assert_eq!(
            wire(Notice::Subscribe(topic(255)), (3, 0))[..9],
            [0x02, 0, 0, 0, 0, 0, 0, 1, 0]
        );
    }
}

//! Datagrams instead of a stream: each is one message to a group, and nothing else is ever said.
//!
//! One byte says how long the group's name is, then come the name and the body, as libzmq has it. Who sends is not known,
//! and may be anybody: what is malformed is a message of one frame, which nobody takes, and ends nothing.

use super::{Credit, Facts, Step};
use crate::batch::Run;
use crate::batch::frame::{MORE, put_header};
use crate::message::Message;
use crate::options::Limits;
use crate::socket_type::SocketType;
use bytes::Bytes;
use std::io::IoSlice;

impl Facts {
    /// What is known of whoever sends datagrams to us, or gets ours.
    pub(super) fn of_datagrams(local: SocketType) -> Facts {
        Facts {
            socket_type: match local {
                SocketType::Radio => SocketType::Dish,
                _ => SocketType::Radio,
            },
            ..Facts::raw()
        }
    }
}

/// A message as a datagram, of which `length` is the beginning. `None` if it is not a group and a body.
pub(crate) fn datagram<'a>(message: &'a Message, length: &'a mut u8) -> Option<[IoSlice<'a>; 3]> {
    let mut frames = message.frames();
    let (Some(group), Some(body), None) = (frames.next(), frames.next(), frames.next()) else {
        return None;
    };
    *length = u8::try_from(group.len()).ok()?;
    Some([std::slice::from_ref(&*length), group, body].map(IoSlice::new))
}

/// Makes a message of the datagram that came, if there is credit for one.
pub(super) fn take(input: &mut Bytes, credit: Credit, limits: &Limits, run: &mut Run) -> Step {
    if input.is_empty() {
        return Step::More;
    }
    if credit.is_spent() {
        return Step::Paused;
    }
    let came = std::mem::take(input);
    match parse(&came) {
        Some((group, body)) if body.len() as u64 <= limits.message_bytes => {
            let mut front = Vec::with_capacity(group.len() + FRONT);
            put_header(&mut front, MORE, group.len());
            front.extend_from_slice(&group);
            put_header(&mut front, 0, body.len());
            run.push_part(front.into());
            run.count(1, group.len() + body.len());
            run.push_part(body);
        }
        _ => {
            let mut nothing = Vec::new();
            put_header(&mut nothing, 0, 0);
            run.push_part(nothing.into());
            run.count(1, 0);
        }
    }
    Step::More
}

/// The group and the body, without copying them.
fn parse(datagram: &Bytes) -> Option<(Bytes, Bytes)> {
    let (&length, rest) = datagram.split_first()?;
    let (group, body) = rest.split_at_checked(length.into())?;
    Some((datagram.slice_ref(group), datagram.slice_ref(body)))
}

/// Two headers.
const FRONT: usize = 2 + 9;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::Options;

    const PLENTY: Credit = Credit {
        messages: 9,
        bytes: 1 << 30,
    };

    fn taken(datagram: &[u8], message_bytes: u64) -> Message {
        let limits = Options::default().max_message_size(message_bytes).limits;
        let (mut input, mut run) = (Bytes::copy_from_slice(datagram), Run::default());
        assert_eq!(take(&mut input, PLENTY, &limits, &mut run), Step::More);
        assert!(input.is_empty());
        let size = run.payload();
        let message = run.pop().unwrap();
        assert_eq!((message.byte_count(), run.pop()), (size, None));
        message
    }

    fn put(message: &Message) -> Option<Vec<u8>> {
        let mut length = 0;
        let slices = datagram(message, &mut length)?;
        Some(slices.iter().flat_map(|slice| slice.to_vec()).collect())
    }

    #[test]
    fn a_datagram_is_the_length_of_the_group_the_group_and_the_body() {
        let message = Message::from(["TV", "Friends"]);
        assert_eq!(put(&message).unwrap(), b"\x02TVFriends");
        assert_eq!(taken(b"\x02TVFriends", 100), message);
    }

    #[test]
    fn groups_and_bodies_of_any_size_come_as_they_went() {
        for group in [0, 1, 64, 65, 254, 255] {
            for body in [0, 1, 64, 65, 255, 256, 8_192, 65_000] {
                let message = Message::from([vec![7; group], vec![9; body]]);
                assert_eq!(taken(&put(&message).unwrap(), 1 << 20), message);
            }
        }
    }

    #[test]
    fn what_is_no_group_and_body_is_no_datagram() {
        for message in [
            Message::from("one"),
            Message::from(["one", "two", "three"]),
            Message::from([vec![7; 256], vec![]]),
        ] {
            assert_eq!(put(&message), None);
        }
    }

    #[test]
    fn a_malformed_datagram_is_a_message_of_one_frame() {
        for datagram in [&b"\x01"[..], b"\xFF", b"\x05four", b"\xFF\0\0\0", b"\x01aBODY"] {
            assert_eq!(taken(datagram, 3), Message::from(""), "{datagram:?}");
        }
        assert_eq!(taken(b"\0", 3), Message::from(["", ""]), "a group may have no name");
        assert_eq!(taken(b"\x01aBOD", 3), Message::from(["a", "BOD"]));
    }

    #[test]
    fn without_credit_a_datagram_stays() {
        let limits = Options::default().limits;
        for (messages, bytes) in [(0, 1), (1, 0)] {
            let (mut input, mut run) = (Bytes::from(&b"\x01ab"[..]), Run::default());
            let step = take(&mut input, Credit { messages, bytes }, &limits, &mut run);
            assert_eq!((step, &input[..], run.messages()), (Step::Paused, &b"\x01ab"[..], 0));
        }
    }
}

//! Datagrams, and a stream that is not framed: bytes that may be anybody's, and are messages at once.

use super::input::Input;
use super::talk::End;
use crate::message::Message;
use crate::options::Limits;
use crate::security::Role;
use crate::socket_type::SocketType;
use crate::wire::{Form, Local, Side, datagram};

/// What comes to a DISH by udp, or to a STREAM.
pub fn datagrams(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_stream = input.below(4) == 3;
    let limits = input.limits();
    if is_stream {
        stream(input.rest(), limits);
        return;
    }
    let mut end = end(SocketType::Dish, Form::Datagrams, limits);
    let mut came: Vec<&[u8]> = Vec::new();
    while !input.is_empty() {
        came.push(input.bytes());
    }
    came.iter().for_each(|came| end.hear(came));
    let outcome = end.outcome();
    assert!(outcome.failure.is_none() && outcome.said.is_empty(), "{outcome:?}");
    came.retain(|came| !came.is_empty());
    assert_eq!(outcome.messages().count(), came.len(), "each is one message");
    for (message, came) in outcome.messages().zip(came) {
        match put(message) {
            Some(again) => assert_eq!(again, came, "what was taken goes as it came"),
            None => assert!(!is_well_formed(came, limits), "a good one is taken"),
        }
    }
}

fn put(message: &Message) -> Option<Vec<u8>> {
    let mut length = 0;
    let slices = datagram(message, &mut length)?;
    Some(slices.iter().flat_map(|slice| slice.to_vec()).collect())
}

fn is_well_formed(came: &[u8], limits: Limits) -> bool {
    let group = usize::from(came[0]);
    let body = came.len().checked_sub(1 + group);
    body.is_some_and(|body| body as u64 <= limits.message_bytes)
}

/// All that comes is given, in its order.
fn stream(bytes: &[u8], limits: Limits) {
    let mut end = end(SocketType::Stream, Form::Raw, limits);
    bytes.chunks(50).for_each(|piece| end.hear(piece));
    let outcome = end.outcome();
    assert!(outcome.failure.is_none(), "{outcome:?}");
    let mut given = Vec::new();
    for message in outcome.messages() {
        assert_eq!(message.frame_count(), 1);
        assert!(message.byte_count() as u64 <= limits.message_bytes);
        given.extend_from_slice(message.first());
    }
    assert_eq!(given, bytes);
}

fn end(socket_type: SocketType, form: Form, limits: Limits) -> End {
    let local = Local {
        socket_type,
        role: Role::default(),
        identity: None,
        limits,
        metadata: Vec::new(),
    };
    let mut end = End::new(local, Side::Accepted, form, None);
    // Ready before a word.
    end.hear(b"");
    end
}

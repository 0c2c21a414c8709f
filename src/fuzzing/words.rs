//! Frames and commands of what the input says, so that not each byte of a header has to be found.

use super::input::Input;
use crate::batch::frame::{COMMAND, MORE, put_header};
use crate::socket_type::SocketType;

/// A frame.
pub(super) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_header(&mut out, flags, body.len());
    out.extend_from_slice(body);
    out
}

/// The frame of a command.
pub(super) fn command(name: &[u8], data: &[u8]) -> Vec<u8> {
    let name_len = u8::try_from(name.len()).expect("a name of ours");
    frame(COMMAND, &[&[name_len][..], name, data].concat())
}

/// The greeting of somebody who has this mechanism.
pub(super) fn greeting(mechanism: &str, is_server: bool) -> Vec<u8> {
    let mut out = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\x01".to_vec();
    out.extend_from_slice(mechanism.as_bytes());
    out.resize(32, 0);
    out.push(u8::from(is_server));
    out.resize(64, 0);
    out
}

/// What a socket of this type says of itself.
pub(super) fn metadata(socket_type: SocketType) -> Vec<u8> {
    property("Socket-Type", socket_type.as_str().as_bytes())
}

pub(super) fn property(name: &str, value: &[u8]) -> Vec<u8> {
    let name_len = u8::try_from(name.len()).expect("a name of ours");
    let value_len = u32::try_from(value.len()).expect("a value of ours");
    [&[name_len][..], name.as_bytes(), &value_len.to_be_bytes(), value].concat()
}

/// The next word: a frame, a command by its name, or bytes as they are.
pub(super) fn word(input: &mut Input<'_>, peer: SocketType) -> Vec<u8> {
    match input.below(8) {
        0 => input.bytes().to_vec(),
        1 => frame(0, input.bytes()),
        2 => frame(MORE, input.bytes()),
        3 => frame(input.byte() & !2, input.bytes()),
        4 => command(b"READY", &[metadata(peer), input.bytes().to_vec()].concat()),
        5 => command(input.bytes().get(..20).unwrap_or_default(), input.bytes()),
        // Too large for a chunk, now and then.
        6 => frame(input.byte() & !2, &vec![input.byte(); 2 * usize::from(input.short())]),
        _ => command(input.one_of(&NAMES), input.bytes()),
    }
}

const NAMES: [&[u8]; 13] = [
    b"READY",
    b"HELLO",
    b"WELCOME",
    b"INITIATE",
    b"ERROR",
    b"PING",
    b"PONG",
    b"SUBSCRIBE",
    b"CANCEL",
    b"JOIN",
    b"LEAVE",
    b"MESSAGE",
    b"",
];

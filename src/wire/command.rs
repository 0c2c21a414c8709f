//! A command: a name, and data that the name gives a meaning to.
//!
//! Takes bodies apart and puts whole frames together; what a command does is not known here.

use crate::batch::frame::{COMMAND, put_header};
use crate::failure::{Failure, printable};

pub(super) const HELLO: &[u8] = b"HELLO";
pub(super) const WELCOME: &[u8] = b"WELCOME";
pub(super) const INITIATE: &[u8] = b"INITIATE";
pub(super) const READY: &[u8] = b"READY";
pub(super) const ERROR: &[u8] = b"ERROR";
pub(super) const PING: &[u8] = b"PING";
pub(super) const PONG: &[u8] = b"PONG";

/// A command as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Command<'a> {
    pub(super) name: &'a [u8],
    pub(super) data: &'a [u8],
}

impl<'a> Command<'a> {
    /// The command in the body of a command frame.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        match split_short(body) {
            None => Err(malformed("command", "its name is longer than its body")),
            Some(([], _)) => Err(malformed("command", "it has no name")),
            Some((name, data)) => Ok(Command { name, data }),
        }
    }

    /// Where it has no place.
    pub(super) fn unexpected(&self, awaited: &'static str) -> Failure {
        Failure::Unexpected {
            name: printable(self.name),
            awaited,
        }
    }

    /// What an ERROR means to us: its data is a reason behind one byte of length.
    pub(super) fn refusal(&self) -> Failure {
        match split_short(self.data) {
            None => malformed("ERROR", "its reason is longer than its body"),
            Some((reason, _)) => Failure::RefusedByPeer {
                reason: printable(reason),
            },
        }
    }
}

/// Writes a whole command frame; the pieces of `data` follow one another.
pub(super) fn put_command(out: &mut Vec<u8>, name: &[u8], data: &[&[u8]]) {
    let data_len: usize = data.iter().map(|piece| piece.len()).sum();
    put_header(out, COMMAND, 1 + name.len() + data_len);
    put_short(out, name);
    for piece in data {
        out.extend_from_slice(piece);
    }
}

/// Writes up to 255 bytes behind one byte of their length; what is longer is cut.
pub(super) fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    out.push(len);
    out.extend(bytes.iter().take(usize::from(len)));
}

/// Splits what stands behind one byte of length from what follows; `None` if it is cut short.
pub(super) fn split_short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(len))
}

pub(super) fn malformed(what: &'static str, why: &'static str) -> Failure {
    Failure::Malformed { what, why }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_what_is_parsed() {
        for len in [0, 1, 248, 249, 250, 251, 70_000] {
            let data = vec![7; len];
            let mut out = Vec::new();
            put_command(&mut out, PING, &[&data[..len / 2], &data[len / 2..]]);

            let header = crate::batch::frame::Header::parse(&out).unwrap();
            let body = &out[header.len..];

            assert!(header.is_command() && header.body == body.len() as u64);
            assert_eq!(
                Command::parse(body),
                Ok(Command {
                    name: PING,
                    data: &data
                })
            );
        }
    }

    #[test]
    fn a_name_has_a_length_that_fits() {
        for body in [&b""[..], b"\0", b"\0PING", b"\x05PING", b"\xffPING"] {
            assert!(matches!(
                Command::parse(body),
                Err(Failure::Malformed { what: "command", .. })
            ));
        }
        assert_eq!(Command::parse(b"\x04PING").unwrap().data, b"");
    }

    #[test]
    fn a_reason_is_escaped_and_must_fit() {
        let refusal = |data| Command { name: ERROR, data }.refusal();
        assert_eq!(
            refusal(b"\x03a\n\x1bmore"),
            Failure::RefusedByPeer {
                reason: "a\\n\\x1b".into()
            }
        );
        assert!(matches!(refusal(b""), Failure::Malformed { what: "ERROR", .. }));
        assert!(matches!(refusal(b"\x04abc"), Failure::Malformed { what: "ERROR", .. }));
    }

    #[test]
    fn what_is_too_long_for_its_length_byte_is_cut() {
        let mut out = Vec::new();
        put_short(&mut out, &[b'x'; 300]);
        assert_eq!(split_short(&out), Some((&[b'x'; 255][..], &b""[..])));
    }
}

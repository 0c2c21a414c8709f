//! PING and PONG: whoever is asked for a sign of life gives one.
//!
//! When to ask, and how long to wait, is for whoever has a clock.

use super::command::{PONG, malformed, put_command};
use crate::failure::Failure;
use bytes::Bytes;

/// The PONG that answers a PING: its context goes back, cut at 16 bytes as libzmq cuts it. A value until it is sent: of many
/// PINGs that come at once only the last is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pong {
    context: [u8; CONTEXT],
    len: usize,
}

impl Pong {
    /// Answers what a PING says.
    pub(super) fn to(ping: &[u8]) -> Result<Pong, Failure> {
        let Some(said) = ping.get(TIME_TO_LIVE..) else {
            return Err(malformed("PING", "its time to live is cut short"));
        };
        let mut context = [0; CONTEXT];
        let len = said.len().min(CONTEXT);
        for (place, byte) in context.iter_mut().zip(said) {
            *place = *byte;
        }
        Ok(Pong { context, len })
    }

    pub(super) fn to_bytes(self) -> Bytes {
        let context = self.context.get(..self.len).unwrap_or_default();
        let mut out = Vec::with_capacity(2 + 1 + PONG.len() + context.len());
        put_command(&mut out, PONG, &[context]);
        out.into()
    }
}

/// Bytes of the time to live in a PING.
const TIME_TO_LIVE: usize = 2;
/// Most bytes of a context.
const CONTEXT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn pong(ping: &[u8]) -> Bytes {
        Pong::to(ping).unwrap().to_bytes()
    }

    /// RFC 37: "the PONG ... SHALL contain the ping-context of the corresponding PING".
    #[test]
    fn the_context_is_echoed_and_cut_at_16_bytes() {
        assert_eq!(&pong(b"\0\x64")[..], b"\x04\x05\x04PONG");
        assert_eq!(&pong(b"\0\0ctx")[..], b"\x04\x08\x04PONGctx");
        let sixteen = &b"\x04\x15\x04PONG0123456789abcdef"[..];
        assert_eq!(&pong(b"\0\x000123456789abcdef")[..], sixteen);
        assert_eq!(&pong(b"\0\x000123456789abcdefg")[..], sixteen);
    }

    #[test]
    fn a_ping_has_a_time_to_live() {
        assert!(Pong::to(b"").is_err());
        assert!(Pong::to(b"\0").is_err());
    }
}

//! PING and PONG: whoever is asked for a sign of life gives one.
//!
//! When to ask, and how long to wait, is for whoever has a clock.

use super::command::{PING, PONG, malformed, put_command};
use super::notices::QUESTION;
use crate::failure::Failure;
use bytes::Bytes;

/// Asks for a sign of life. Its context says that it is ours, and which: the PONG brings it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ping {
    /// How long the peer may hear nothing of us before it may give us up, in tenths of a second; 0: as long as it likes.
    pub(crate) time_to_live: u16,
    pub(crate) number: u32,
}

impl Ping {
    pub(crate) fn to_bytes(self) -> Bytes {
        let mut out = Vec::with_capacity(2 + 1 + PING.len() + TIME_TO_LIVE + 8);
        let number = self.number.to_be_bytes();
        put_command(&mut out, PING, &[&self.time_to_live.to_be_bytes(), BEAT, &number]);
        out.into()
    }
}

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

    /// Whether the PING was a question, and not about a sign of life.
    pub(super) fn is_answer(&self) -> bool {
        self.context.starts_with(QUESTION)
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
/// What the context of our own PINGs begins with; their number follows.
const BEAT: &[u8] = b"mq:.";
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

    /// RFC 37: "ping = command-size %d4 "PING" ping-ttl ping-context", "ping-ttl = 2OCTET", in tenths of a second.
    #[test]
    fn a_ping_says_how_long_it_counts_and_which_it_is() {
        let ping = Ping {
            time_to_live: 0x0102,
            number: 7,
        };
        assert_eq!(&ping.to_bytes()[..], b"\x04\x0f\x04PING\x01\x02mq:.\0\0\0\x07");
        assert_eq!(&pong(&ping.to_bytes()[7..])[..], b"\x04\x0d\x04PONGmq:.\0\0\0\x07");
    }

    #[test]
    fn a_ping_has_a_time_to_live() {
        assert!(Pong::to(b"").is_err());
        assert!(Pong::to(b"\0").is_err());
    }
}

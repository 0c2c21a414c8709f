//! PING and PONG: whoever is asked for a sign of life gives one.
//!
//! When to ask, and how long to wait, is for whoever has a clock.

use super::Facts;
use super::command::{PING, PONG, malformed, put_command};
use super::notices::QUESTION;
use crate::failure::Failure;
use bytes::Bytes;
use std::time::Duration;

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

/// What was heard of the peer's heart since it was asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Heard {
    /// It wants to be given up if nothing more is heard of it for so long.
    pub(crate) time_to_live: Option<Duration>,
    /// It answered our PING of this number.
    pub(crate) answered: Option<u32>,
}

/// How a peer's heart beats, as its READY says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pulse {
    /// It gives signs of life also while it does not read.
    pub(crate) beats: bool,
    /// How long after a PING it waits for any sign of ours.
    pub(crate) patience: Option<Duration>,
}

impl Facts {
    pub(crate) fn pulse(&self) -> Pulse {
        let find = |name| {
            let mut properties = self.metadata.iter();
            properties.find_map(|(it, value)| it.eq_ignore_ascii_case(name).then_some(&value[..]))
        };
        let millis = |value| std::str::from_utf8(value).ok()?.parse::<u32>().ok();
        Pulse {
            beats: find(IMPLEMENTATION).is_some_and(|value| value.starts_with(OURS.as_bytes())),
            patience: find(PATIENCE)
                .and_then(millis)
                .map(|millis| Duration::from_millis(millis.into())),
        }
    }
}

/// What we say of our own: who we are, and how long we wait for a sign of life, in milliseconds.
pub(super) fn properties(patience: Option<Duration>) -> Vec<(String, Bytes)> {
    let ours = format!("{OURS}{}", env!("CARGO_PKG_VERSION"));
    let mut properties = vec![(IMPLEMENTATION.to_owned(), Bytes::from(ours))];
    if let Some(patience) = patience {
        let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        properties.push((PATIENCE.to_owned(), Bytes::from(millis.to_string())));
    }
    properties
}

/// How long the peer that sent this PING may be silent from now on; `None`: as long as it likes.
pub(super) fn time_to_live(ping: &[u8]) -> Option<Duration> {
    let deciseconds = u16::from_be_bytes(*ping.first_chunk()?);
    // In 16 bits it would be over after 65 seconds.
    let millis = 100 * u32::from(deciseconds);
    (millis > 0).then(|| Duration::from_millis(millis.into()))
}

/// Which of our PINGs this PONG answers.
pub(super) fn answered(pong: &[u8]) -> Option<u32> {
    let number = pong.strip_prefix(BEAT)?;
    Some(u32::from_be_bytes(number.try_into().ok()?))
}

/// The PONG that answers a PING: its context goes back, cut at 16 bytes as libzmq cuts it. A value until it is sent: of many
/// PINGs that come at once only the last is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pong {
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

    pub(crate) fn to_bytes(self) -> Bytes {
        let context = self.context.get(..self.len).unwrap_or_default();
        let mut out = Vec::with_capacity(2 + 1 + PONG.len() + context.len());
        put_command(&mut out, PONG, &[context]);
        out.into()
    }
}

/// The property that says which library speaks, and its value up to the version, if it is this one.
const IMPLEMENTATION: &str = "Implementation";
const OURS: &str = "peermq/";
/// The property that says how long after a PING any sign of life is waited for. A peer that does not read gives one
/// several times within it.
const PATIENCE: &str = "Heartbeat-Timeout";
/// Bytes of the time to live in a PING.
const TIME_TO_LIVE: usize = 2;
/// What the context of our own PINGs begins with; their number follows.
const BEAT: &[u8] = b"mq:.";
/// Most bytes of a context.
const CONTEXT: usize = 16;

#[cfg(all(test, not(loom)))]
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

    /// T38: the time to live has 16 bits of tenths of a second, and 6,553.5 s is not 65 of them.
    #[test]
    fn t38_a_time_to_live_is_in_tenths_of_a_second() {
        let millis = |ping| time_to_live(ping).map(|time| time.as_millis());
        assert_eq!(
            [millis(b"\0\0"), millis(b"\0\x01x"), millis(b"\xff\xff")],
            [None, Some(100), Some(6_553_500)]
        );
        assert_eq!(millis(b"\x02\x90"), Some(65_600));
    }

    #[test]
    fn threat_28_only_a_pong_to_a_ping_of_ours_answers_it() {
        assert_eq!(answered(b"mq:.\0\0\x01\x02"), Some(258));
        for other in [
            &b""[..],
            b"mq:.",
            b"mq:.\0\0\x01",
            b"mq:.\0\0\x01\x02\0",
            b"mq:?\0\0\0\x01",
        ] {
            assert_eq!(answered(other), None);
        }
    }

    #[test]
    fn what_we_say_of_our_heart_is_what_a_peer_understands() {
        let facts = |metadata| Facts {
            socket_type: crate::SocketType::Pull,
            identity: None,
            version: (3, 1),
            metadata,
            user: None,
        };
        let pulse = |beats, patience: Option<u64>| Pulse {
            beats,
            patience: patience.map(Duration::from_millis),
        };
        let patience = Duration::from_secs(10);
        assert_eq!(facts(properties(Some(patience))).pulse(), pulse(true, Some(10_000)));
        assert_eq!(facts(properties(None)).pulse(), pulse(true, None));
        let forever = facts(properties(Some(Duration::MAX))).pulse();
        assert_eq!(forever, pulse(true, Some(u32::MAX.into())));
        let other = |name: &str, value: &'static str| facts(vec![(name.to_owned(), Bytes::from(value))]).pulse();
        assert_eq!(other("Implementation", "another/1"), pulse(false, None));
        assert_eq!(other("implementation", "peermq/9"), pulse(true, None));
        assert_eq!(other("Heartbeat-Timeout", "soon"), pulse(false, None));
    }

    #[test]
    fn a_ping_has_a_time_to_live() {
        assert!(Pong::to(b"").is_err());
        assert!(Pong::to(b"\0").is_err());
    }
}

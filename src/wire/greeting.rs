//! The first 64 bytes of each side: that it speaks ZMTP, in which version, under which mechanism.
//!
//! A stranger is refused at its first wrong byte, and told apart by a few well-known beginnings. Of the mechanism's
//! name all is awaited, so that it can be told. Padding and filler are not looked at.

use super::mechanism::Mechanism;
use crate::failure::Failure;
use bytes::{Buf, Bytes};

/// Our greeting: version 3.1, our mechanism, and whether we are its server.
pub(super) fn greeting(mechanism: Mechanism) -> Vec<u8> {
    let mut out = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
    out.extend_from_slice(&mechanism.field());
    out.resize(GREETING, 0);
    out
}

/// The peer's greeting, as far as it came. What came so far is right.
#[derive(Debug)]
pub(super) struct PartialGreeting {
    bytes: [u8; GREETING],
    len: usize,
}

impl PartialGreeting {
    pub(super) fn new() -> Self {
        PartialGreeting {
            bytes: [0; GREETING],
            len: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes what it needs of the input; gives the peer's version once all is there.
    pub(super) fn fill(&mut self, input: &mut Bytes, ours: Mechanism) -> Result<Option<(u8, u8)>, Failure> {
        let free = self.bytes.get_mut(self.len..).unwrap_or_default();
        let taken = free.len().min(input.len());
        for (slot, byte) in free.iter_mut().zip(input.iter()) {
            *slot = *byte;
        }
        input.advance(taken);
        self.len += taken;
        check(self.bytes.get(..self.len).unwrap_or_default(), ours)?;
        match self.bytes {
            [_, _, _, _, _, _, _, _, _, _, major, minor, ..] if self.len == GREETING => Ok(Some((major, minor))),
            _ => Ok(None),
        }
    }
}

/// Whether a greeting may begin like this.
fn check(seen: &[u8], ours: Mechanism) -> Result<(), Failure> {
    if seen.first().is_some_and(|&first| first != 0xFF) {
        return Err(stranger(seen));
    }
    // An even byte here is the flags of a ZMTP 1.0 identity with a long length.
    if seen.get(SIGNATURE_END).is_some_and(|end| end & 1 == 0) {
        return Err(Failure::OldVersion { major: 1 });
    }
    match seen.get(MAJOR) {
        // Up to 2.0 this was a revision: 0 meant ZMTP 1.0, and 1 meant 2.0.
        Some(0) => return Err(Failure::OldVersion { major: 1 }),
        Some(1 | 2) => return Err(Failure::OldVersion { major: 2 }),
        _ => {}
    }
    match seen.get(MECHANISM..).and_then(<[u8]>::first_chunk) {
        Some(theirs) => ours.check(theirs),
        None => Ok(()),
    }
}

/// Who that may be whose first byte is not ours. Only as good as what came in one piece.
fn stranger(seen: &[u8]) -> Failure {
    // ZMTP 1.0 had no greeting: the length of an identity frame, its flags, the identity.
    if matches!(seen, [1] | [1..=255, 0, ..]) {
        return Failure::OldVersion { major: 1 };
    }
    let known = BEGINNINGS
        .iter()
        .find(|(beginning, _)| seen.starts_with(beginning) || beginning.starts_with(seen));
    let looks_like = match known {
        Some((_, name)) => name,
        None if seen.iter().all(|&byte| byte == 0) => "zeros",
        None => "something else",
    };
    Failure::NotZmtp { looks_like }
}

/// Bytes of a greeting.
pub(super) const GREETING: usize = 64;
const SIGNATURE_END: usize = 9;
const MAJOR: usize = 10;
const MECHANISM: usize = 12;

/// How other protocols begin, from either of their sides.
const BEGINNINGS: [(&[u8], &str); 23] = [
    (b"GET ", HTTP),
    (b"POST ", HTTP),
    (b"PUT ", HTTP),
    (b"PATCH ", HTTP),
    (b"HEAD ", HTTP),
    (b"DELETE ", HTTP),
    (b"OPTIONS ", HTTP),
    (b"CONNECT ", HTTP),
    (b"TRACE ", HTTP),
    (b"PRI * HTTP/2", HTTP),
    (b"HTTP/", HTTP),
    (b"\x16\x03", TLS),
    (b"\x15\x03", TLS),
    (b"SSH-", "an SSH banner"),
    (b"*", REDIS),
    (b"$", REDIS),
    (b"+", REDIS),
    (b"-", REDIS),
    (b":", REDIS),
    (b"PING\r", REDIS),
    (b"\x05", SOCKS),
    (b"\x04\x01", SOCKS),
    (b"\x04\x02", SOCKS),
];
const HTTP: &str = "HTTP";
const TLS: &str = "TLS";
const REDIS: &str = "RESP, as Redis does";
const SOCKS: &str = "SOCKS";

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use crate::security::{Curve, Plain, Role};

    fn fill(bytes: &[u8]) -> Result<Option<(u8, u8)>, Failure> {
        fill_as(&Role::default(), bytes)
    }

    fn fill_as(ours: &Role, bytes: &[u8]) -> Result<Option<(u8, u8)>, Failure> {
        PartialGreeting::new().fill(&mut Bytes::copy_from_slice(bytes), Mechanism::of(ours))
    }

    #[test]
    fn ours_is_the_one_of_libzmq() {
        let mut golden = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL".to_vec();
        golden.resize(64, 0);
        assert_eq!(greeting(Mechanism::of(&Role::default())), golden);
    }

    #[test]
    fn what_may_be_anything_is_not_looked_at() {
        let mut bytes = greeting(Mechanism::of(&Role::default()));
        for at in (1..9).chain(11..12).chain(32..64) {
            bytes[at] = 0xA5;
        }
        bytes[9] = 1;
        assert_eq!(fill(&bytes), Ok(Some((3, 0xA5))));
    }

    #[test]
    fn half_a_greeting_is_not_an_error() {
        let bytes = greeting(Mechanism::of(&Role::default()));
        for cut in 0..64 {
            assert_eq!(fill(&bytes[..cut]), Ok(None));
        }
    }

    /// RFC 37: "a peer SHALL accept higher protocol versions as valid".
    #[test]
    fn higher_versions_are_taken_and_older_ones_are_named() {
        let mut bytes = greeting(Mechanism::of(&Role::default()));
        for major in 0..=255 {
            bytes[10] = major;
            let expected = match major {
                0 => Err(Failure::OldVersion { major: 1 }),
                1 | 2 => Err(Failure::OldVersion { major: 2 }),
                _ => Ok(Some((major, 1))),
            };
            assert_eq!(fill(&bytes), expected);
            assert_eq!(
                fill(&bytes[..11]).is_err(),
                expected.is_err(),
                "told at the version's byte"
            );
        }
    }

    /// T9: no socket speaks an older version, whatever its mechanism.
    #[test]
    fn threat_09_legacy_headers_are_told_from_strangers() {
        let legacy: [&[u8]; 10] = [
            b"\x01",
            b"\x01\0",
            b"\x01\0\x05\0hello",
            b"\x02\0a",
            b"\x06\0hello",
            b"\xfe\0",
            b"\xff\0\0\0\0\0\0\x01\x00\0",
            b"\xff\0\0\0\0\0\0\x01\x00\0identity",
            b"\xff\0\0\0\0\0\0\0\x01\x7f\0",
            b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0",
        ];
        let secret = || SecretKey::from_bytes([1; 32]);
        let roles = [
            Role::default(),
            Plain::server().allow_any().role,
            Plain::client("me", "word").role,
            Curve::server(secret()).allow_any().role,
            Curve::client(secret(), secret().public()).role,
        ];
        for (header, ours) in legacy
            .iter()
            .flat_map(|header| roles.iter().map(move |ours| (header, ours)))
        {
            assert!(
                matches!(fill_as(ours, header), Err(Failure::OldVersion { .. })),
                "{ours:?} {}",
                header.escape_ascii()
            );
        }
    }

    /// T7.
    #[test]
    fn threat_07_strangers_are_told_apart() {
        let banners: [(&[u8], &str); 16] = [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP"),
            (b"POST /x HTTP/1.1\r\n", "HTTP"),
            (b"HTTP/1.1 400 Bad Request\r\n", "HTTP"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP"),
            (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "TLS"),
            (b"\x15\x03\x03\0\x02\x02\x32", "TLS"),
            (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH banner"),
            (b"*1\r\n$4\r\nPING\r\n", REDIS),
            (b"-ERR unknown command\r\n", REDIS),
            (b"\x05\x01\0", "SOCKS"),
            (b"\x04\x01\0\x50\x7f\0\0\x01\0", "SOCKS"),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", "zeros"),
            (b"220 mail ESMTP\r\n", "something else"),
            (b"AMQP\0\0\x09\x01", "something else"),
            (b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0", "something else"),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", "something else"),
        ];
        for (banner, looks_like) in banners {
            assert_eq!(fill(banner), Err(Failure::NotZmtp { looks_like }));
            assert!(fill(&banner[..1]).is_err(), "the first byte is enough");
        }
    }
}

//! The ZMTP frame header, in and out.
//!
//! A length is only ever compared here, never added to or reserved
//! ([RFC 37](https://rfc.zeromq.org/spec/37/), "Framing").

use bytes::BufMut;

/// More frames of this message follow.
pub(crate) const MORE: u8 = 0b001;
/// The length takes eight bytes.
pub(crate) const LONG: u8 = 0b010;
/// The frame is a command.
pub(crate) const COMMAND: u8 = 0b100;

/// The header of a body of up to [`SHORT`] bytes: flags and a byte of length.
pub(crate) const SHORT_HEADER: usize = 2;
/// The longest body with a short header.
pub(crate) const SHORT: usize = 255;
/// The longest header: flags and eight bytes of length.
pub(crate) const MAX_HEADER: usize = 9;

/// A frame header as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) flags: u8,
    /// Bytes of the header itself: 2 or 9.
    pub(crate) len: usize,
    /// Bytes of the body, as the peer announced them: compare before use.
    pub(crate) body: u64,
}

impl Header {
    /// The header at the front of `bytes`; `None` while it is not whole.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Header> {
        match *bytes {
            [flags, body, ..] if flags & LONG == 0 => Some(Header {
                flags,
                len: SHORT_HEADER,
                body: u64::from(body),
            }),
            [flags, a, b, c, d, e, f, g, h, ..] if flags & LONG != 0 => Some(Header {
                flags,
                len: MAX_HEADER,
                body: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            }),
            _ => None,
        }
    }

    pub(crate) fn has_more(&self) -> bool {
        self.flags & MORE != 0
    }

    pub(crate) fn is_command(&self) -> bool {
        self.flags & COMMAND != 0
    }
}

/// Writes the header of a body of `len` bytes, short where it fits, to where there is room for [`header_len`].
#[inline]
pub(crate) fn put_header(out: &mut impl BufMut, flags: u8, len: usize) {
    match u8::try_from(len) {
        Ok(short) => out.put_slice(&[flags, short]),
        Err(_) => {
            let [a, b, c, d, e, f, g, h] = (len as u64).to_be_bytes();
            out.put_slice(&[flags | LONG, a, b, c, d, e, f, g, h]);
        }
    }
}

/// Bytes that the header of a body of `len` bytes takes.
pub(crate) fn header_len(len: usize) -> usize {
    if len > SHORT { MAX_HEADER } else { SHORT_HEADER }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip_at_every_edge() {
        for len in [0usize, 1, 254, 255, 256, 65_535, 65_536, u32::MAX as usize] {
            let mut out = Vec::new();
            put_header(&mut out, MORE, len);
            assert_eq!(out.len(), header_len(len));
            let header = Header::parse(&out).unwrap();
            assert_eq!((header.body, header.len), (len as u64, out.len()));
            assert!(header.has_more() && !header.is_command());
            for cut in 0..out.len() {
                assert_eq!(Header::parse(&out[..cut]), None);
            }
        }
    }
}

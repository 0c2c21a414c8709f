//! What a socket says of itself, for the applications of its peers.

use super::{InvalidOptions, Options};
use bytes::Bytes;

impl Options {
    /// Says something of this socket to every peer, in the handshake, under a name that begins with `X-`
    /// ([RFC 37](https://rfc.zeromq.org/spec/37/)). Default: nothing. Under the same name again, the later value counts. All
    /// types but STREAM.
    ///
    /// The peers' applications find it in [`PeerInfo::property`](crate::PeerInfo::property), libzmq's with
    /// `zmq_msg_gets`. Names are letters, digits, `-`, `_`, `.` and `+`, 255 bytes at most; values are any bytes. At most
    /// 32 of them, and 8 KiB in all, which fits in what peers take
    /// ([`max_handshake_bytes`](Options::max_handshake_bytes)).
    ///
    /// More: every connection begins with so many bytes more, and the peer keeps them as long as it lasts. Nothing is
    /// proved by it.
    pub fn metadata(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        let name = name.into();
        self.metadata.retain(|(it, _)| !it.eq_ignore_ascii_case(&name));
        self.metadata.push((name, Bytes::copy_from_slice(value.as_ref())));
        self.note("metadata")
    }

    pub(super) fn check_metadata(&self) -> Result<(), InvalidOptions> {
        let option = "metadata";
        let malformed = |why| InvalidOptions::Malformed { option, why };
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        for (name, _) in &self.metadata {
            if !name.starts_with("X-") || name.len() < 3 {
                return Err(malformed("a name begins with X-, and goes on"));
            }
            if name.len() > 255 {
                return Err(malformed("a name has 255 bytes at most"));
            }
            if !name.bytes().all(is_name_byte) {
                return Err(malformed("a name has characters that names do not have"));
            }
        }
        if self.metadata.len() > PROPERTIES {
            return Err(malformed("there are more than 32 properties"));
        }
        let size = |(name, value): &(String, Bytes)| 5_usize.saturating_add(name.len()).saturating_add(value.len());
        let bytes = self.metadata.iter().map(size).fold(0, usize::saturating_add);
        match bytes <= BYTES {
            true => Ok(()),
            false => Err(InvalidOptions::TooLarge { option, most: BYTES }),
        }
    }
}

const PROPERTIES: usize = 32;
/// Of all properties, with five bytes of lengths each.
const BYTES: usize = 8 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::socket_type::SocketType::Push;

    fn refused(options: Options) -> Option<String> {
        options.check(Push).err().map(|refused| refused.to_string())
    }

    /// T38 `test_app_meta`: a name is "X-" and something.
    #[test]
    fn what_is_no_name_is_refused() {
        for good in ["X-a", "X-Zone_1.b+c", &format!("X-{}", "x".repeat(253))] {
            assert_eq!(refused(Options::default().metadata(good, "")), None);
        }
        for bad in [
            "",
            "X-",
            "a",
            "x-a",
            "Identity",
            "X-a b",
            "X-\u{e4}",
            "X-a\n",
            &format!("X-{}", "x".repeat(254)),
        ] {
            let why = refused(Options::default().metadata(bad, "")).expect(bad);
            assert!(why.starts_with("metadata: "), "{why}");
        }
    }

    #[test]
    fn there_is_a_limit_to_their_number_and_their_size() {
        let many = |count: usize| (0..count).fold(Options::default(), |all, n| all.metadata(format!("X-{n}"), "1"));
        assert_eq!((refused(many(32)), refused(many(33)).is_some()), (None, true));
        let large = |bytes| Options::default().metadata("X-a", vec![7; bytes]);
        assert_eq!(refused(large(8 * 1024 - 8)), None);
        let why = refused(large(8 * 1024 - 7)).unwrap();
        assert_eq!(why, "metadata must be at most 8192 bytes");
    }

    #[test]
    fn under_the_same_name_the_later_value_counts() {
        let options = Options::default()
            .metadata("X-a", "1")
            .metadata("X-b", "2")
            .metadata("X-A", "3");
        let all: Vec<_> = options
            .metadata
            .iter()
            .map(|(name, value)| (&name[..], &value[..]))
            .collect();
        assert_eq!(all, [("X-b", &b"2"[..]), ("X-A", b"3")]);
    }
}

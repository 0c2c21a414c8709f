//! The name by which a socket may be known to its peers: 1 to 255 bytes, by construction.

use bytes::Bytes;
use std::fmt;

/// A socket's name as its peers see it: 1 to 255 bytes, the first not zero.
///
/// A first byte of zero is reserved for identities that a ROUTER makes up itself
/// ([RFC 28](https://rfc.zeromq.org/spec/28/)).
///
/// ```
/// use peermq::Identity;
/// assert_eq!(Identity::new("worker-7")?.to_string(), "worker-7");
/// assert!(Identity::new("").is_err());
/// # Ok::<(), peermq::InvalidIdentity>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(Bytes);

/// Why some bytes are no [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIdentity {
    /// It has no bytes.
    #[error("an identity has at least 1 byte")]
    Empty,
    /// It has more than 255 bytes.
    #[error("an identity has at most 255 bytes, not {0}")]
    TooLong(usize),
    /// Its first byte is zero, which is reserved for identities made up by a ROUTER.
    #[error("an identity that begins with a zero byte is reserved")]
    Reserved,
}

impl Identity {
    /// Makes an identity of 1 to 255 bytes of which the first is not zero.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidIdentity> {
        let bytes = bytes.as_ref();
        match bytes.first() {
            None => Err(InvalidIdentity::Empty),
            Some(_) if bytes.len() > MAX_BYTES => Err(InvalidIdentity::TooLong(bytes.len())),
            Some(0) => Err(InvalidIdentity::Reserved),
            Some(_) => Ok(Identity(Bytes::copy_from_slice(bytes))),
        }
    }

    /// Returns the bytes, as they go over the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Identity {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes that are not printable ASCII are escaped, so that no peer writes into our logs.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

const MAX_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_an_identity() {
        assert_eq!(Identity::new(""), Err(InvalidIdentity::Empty));
        assert_eq!(Identity::new([0, 1]), Err(InvalidIdentity::Reserved));
        assert!(Identity::new([7; 255]).is_ok());
        assert_eq!(Identity::new([7; 256]), Err(InvalidIdentity::TooLong(256)));
    }

    #[test]
    fn an_identity_cannot_write_into_a_log() {
        assert_eq!(Identity::new("a\n\u{1b}").unwrap().to_string(), "a\\n\\x1b");
    }
}

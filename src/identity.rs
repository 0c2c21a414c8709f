//! The name by which a socket is known to its peers: 1 to 255 bytes, by construction.
//!
//! A socket calls itself what it likes, but not by a name that begins with a zero byte: those are made up by who knows
//! a peer that has no name of its own.

use bytes::Bytes;
use std::fmt;

/// A socket's name as its peers see it: 1 to 255 bytes.
///
/// A socket may call itself by a name of its own ([`Identity::new`]), which does not begin with a zero byte. A ROUTER
/// makes up one for each peer that has none: a zero byte and four bytes of chance
/// ([RFC 28](https://rfc.zeromq.org/spec/28/)). Both can be stored, and come back from [`Identity::from_received`].
///
/// ```
/// use peermq::Identity;
/// assert_eq!(Identity::new("worker-7")?.to_string(), "worker-7");
/// assert!(Identity::new("").is_err());
///
/// let stored = [0, 0x5a, 0x17, 0xee, 0x01]; // one that a ROUTER made up
/// assert!(Identity::new(stored).is_err());
/// assert!(Identity::from_received(stored)?.is_made_up());
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
    /// Makes an identity of 1 to 255 bytes of which the first is not zero: one that a socket may call itself by.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidIdentity> {
        let bytes = bytes.as_ref();
        match bytes.first() {
            None => Err(InvalidIdentity::Empty),
            Some(_) if bytes.len() > MAX_BYTES => Err(InvalidIdentity::TooLong(bytes.len())),
            Some(0) => Err(InvalidIdentity::Reserved),
            Some(_) => Ok(Identity(Bytes::copy_from_slice(bytes))),
        }
    }

    /// Makes an identity that was received, from the bytes that were stored of it: like [`Identity::new`], or one that a
    /// ROUTER made up, a zero byte and four more.
    ///
    /// One that was made up means something to the socket that made it up only, and as long as that peer is there.
    pub fn from_received(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidIdentity> {
        match bytes.as_ref() {
            [0, number @ ..] => match number.try_into() {
                Ok(number) => Ok(Identity::made_up(u32::from_be_bytes(number))),
                Err(_) => Err(InvalidIdentity::Reserved),
            },
            bytes => Identity::new(bytes),
        }
    }

    /// The identity with this number, of a peer that has none of its own.
    pub(crate) fn made_up(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        Identity(Bytes::copy_from_slice(&[0, a, b, c, d]))
    }

    /// Returns whether a ROUTER made it up, for a peer that has none of its own.
    pub fn is_made_up(&self) -> bool {
        self.0.first() == Some(&0)
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

#[cfg(all(test, not(loom)))]
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
    fn what_was_made_up_is_received_and_not_chosen() {
        let made_up = Identity::made_up(0x0102_0304);
        assert_eq!(made_up.as_bytes(), [0, 1, 2, 3, 4]);
        assert!(made_up.is_made_up());
        assert_eq!(Identity::from_received(made_up.as_bytes()), Ok(made_up.clone()));
        assert_eq!(Identity::new(made_up.as_bytes()), Err(InvalidIdentity::Reserved));
        for reserved in [&[0][..], &[0; 4], &[0; 6], &[0; 255]] {
            assert_eq!(Identity::from_received(reserved), Err(InvalidIdentity::Reserved));
        }
        assert_eq!(Identity::from_received("chosen"), Identity::new("chosen"));
        assert_eq!(Identity::from_received(""), Err(InvalidIdentity::Empty));
        assert_eq!(Identity::from_received([7; 256]), Err(InvalidIdentity::TooLong(256)));
    }

    #[test]
    fn an_identity_cannot_write_into_a_log() {
        assert_eq!(Identity::new("a\n\u{1b}").unwrap().to_string(), "a\\n\\x1b");
    }
}

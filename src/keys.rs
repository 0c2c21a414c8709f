//! Who somebody is under CURVE: a public key that others may know, and a secret one that nobody else does.
//!
//! Values, and their texts and files. Agrees nothing and seals nothing: that is `cipher`'s.

mod certificate;
mod z85;

pub use certificate::{Certificate, CertificateError, IfExists, InvalidMetadata};
use std::fmt;
use std::io;
use std::str::FromStr;
use zeroize::{Zeroize, Zeroizing};

/// The public half of a key pair, by which a CURVE peer is known (32 bytes, a point of Curve25519,
/// [RFC 26](https://rfc.zeromq.org/spec/26/)).
///
/// Its text is Z85, 40 characters ([RFC 32](https://rfc.zeromq.org/spec/32/)), as libzmq, czmq and pyzmq write it. Any 32
/// bytes are one; that one is of no use (a point of low order) shows when a connection is tried, which is refused.
///
/// ```
/// use peermq::PublicKey;
///
/// let key: PublicKey = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID".parse()?;
/// assert_eq!(key.to_string(), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
/// assert_eq!(PublicKey::from_bytes(*key.as_bytes()), key);
///
/// let error = "Yne@$w-vo<fVvi]a".parse::<PublicKey>().unwrap_err();
/// assert_eq!(error.to_string(), "a key has 40 characters, not 16");
/// # Ok::<(), peermq::InvalidKey>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// The secret half of a key pair (32 bytes, a scalar of X25519, [RFC 7748](https://www.rfc-editor.org/rfc/rfc7748)).
///
/// It cannot be cloned, compared or printed, and is overwritten when it is dropped; only
/// [`expose_z85`](SecretKey::expose_z85) shows it. That is all that is promised: moves may leave copies on a stack, and the
/// system may write memory to disk.
///
/// ```
/// use peermq::SecretKey;
///
/// let secret = SecretKey::generate()?;
/// println!("known as {}", secret.public());
///
/// let stored = secret.expose_z85().to_string();
/// let again: SecretKey = stored.parse()?;
/// assert_eq!(again.public(), secret.public());
/// assert_eq!(format!("{secret:?}"), "SecretKey(..)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SecretKey(Zeroizing<[u8; 32]>);

/// Both halves, for those who need the public one often: computing it costs a third of what an agreement does.
#[derive(Debug)]
pub(crate) struct KeyPair {
    pub(crate) secret: SecretKey,
    pub(crate) public: PublicKey,
}

/// A secret key in Z85, to be written where it is kept. Overwritten when it is dropped; a copy that is made of it is not.
pub struct SecretText([u8; z85::CHARACTERS]);

/// Why some text is no [`PublicKey`] or [`SecretKey`].
///
/// It holds nothing of a key: a byte that is named here is one that no key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// It has not 40 characters, but as many bytes as this.
    #[error("a key has 40 characters, not {0}")]
    Length(usize),
    /// It has a byte that is no digit of Z85.
    #[error("character {position} of the key is {}, which Z85 has not", .byte.escape_ascii())]
    Character {
        /// Which one, counted from 1.
        position: usize,
        /// What stands there.
        byte: u8,
    },
    /// Five of its characters are a number over 2³² − 1, which no four bytes are.
    #[error("characters {position} to {} of the key are a number over 32 bits", position + 4)]
    TooLarge {
        /// The first of the five, counted from 1.
        position: usize,
    },
}

/// Why no key was made: the system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no key was made, for the system gives no random bytes: {0}")]
pub struct KeyError(io::Error);

impl PublicKey {
    /// Makes a public key of its 32 bytes. Any are one.
    pub const fn from_bytes(bytes: [u8; 32]) -> PublicKey {
        PublicKey(bytes)
    }

    /// Returns the bytes, as they go over the wire.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// As Z85.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; z85::CHARACTERS];
        z85::encode(&self.0, &mut text);
        f.pad(str::from_utf8(&text).unwrap_or_default())
    }
}

/// As Z85.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// From Z85.
impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut key = [0; 32];
        z85::decode(text.as_bytes(), &mut key)?;
        Ok(PublicKey(key))
    }
}

impl SecretKey {
    /// Makes a new secret key of the system's random bytes.
    ///
    /// # Errors
    ///
    /// The system gives none. Where it has a generator that is to be filled first, early after a start, this waits.
    pub fn generate() -> Result<SecretKey, KeyError> {
        let mut key = SecretKey(Zeroizing::default());
        getrandom::fill(&mut *key.0).map_err(|error| KeyError(error.into()))?;
        Ok(key)
    }

    /// Makes a secret key of its 32 bytes. Any are one; those that were given are not overwritten.
    pub fn from_bytes(bytes: [u8; 32]) -> SecretKey {
        SecretKey(Zeroizing::new(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key in Z85, to be written where it is kept. The only way to see it.
    pub fn expose_z85(&self) -> SecretText {
        let mut text = SecretText([0; z85::CHARACTERS]);
        z85::encode(&self.0, &mut text.0);
        text
    }

    /// Computes the public half.
    pub fn public(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(*self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }
}

impl From<SecretKey> for KeyPair {
    fn from(secret: SecretKey) -> Self {
        KeyPair {
            public: secret.public(),
            secret,
        }
    }
}

/// Shows nothing of it.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// From Z85. What was given is not overwritten.
impl FromStr for SecretKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut key = SecretKey(Zeroizing::default());
        z85::decode(text.as_bytes(), &mut key.0)?;
        Ok(key)
    }
}

impl SecretText {
    /// Returns the 40 characters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl AsRef<str> for SecretText {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Shows nothing of it.
impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::error::Error;

    /// RFC 7748, section 6.1.
    #[test]
    fn the_public_half() {
        let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
        let public = |secret| *SecretKey::from_bytes(from_hex(secret)).public().as_bytes();

        assert_eq!(
            public(alice),
            from_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        );
        assert_eq!(
            public(bob),
            from_hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        );
    }

    /// The keys of the examples in libzmq's manual.
    #[test]
    fn a_pair_of_libzmq() -> Result<(), Box<dyn Error>> {
        let secret: SecretKey = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs".parse()?;

        assert_eq!(secret.public().to_string(), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
        assert_eq!(secret.expose_z85().as_str(), "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs");
        Ok(())
    }

    #[test]
    fn no_two_keys_are_alike() -> Result<(), KeyError> {
        let (one, two) = (SecretKey::generate()?, SecretKey::generate()?);

        assert_ne!(one.as_bytes(), two.as_bytes());
        assert_ne!(one.public(), two.public());
        Ok(())
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = SecretKey::from_bytes([0xff; 32]);

        assert_eq!(format!("{secret:?} {secret:#?}"), "SecretKey(..) SecretKey(..)");
        assert_eq!(format!("{:?}", secret.expose_z85()), "SecretText(..)");
    }

    #[test]
    fn an_error_says_what_is_wrong_and_where() {
        let why = |text: &str| {
            let wrong = text.parse::<SecretKey>().unwrap_err();
            assert_eq!(text.parse::<PublicKey>(), Err(wrong));
            wrong.to_string()
        };
        let key = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

        assert_eq!(why(&key[..39]), "a key has 40 characters, not 39");
        assert_eq!(
            why(&key.replace("W!", "W\n")),
            "character 10 of the key is \\n, which Z85 has not"
        );
        assert_eq!(
            why(&key.replace("D:)Q[", "#:)Q[")),
            "characters 1 to 5 of the key are a number over 32 bits"
        );
        assert_eq!(
            why(&key.replace("A}", "é")), // of two bytes
            "character 21 of the key is \\xc3, which Z85 has not"
        );
    }

    fn from_hex(hex: &str) -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }
}

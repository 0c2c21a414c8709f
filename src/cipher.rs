//! All cryptography: NaCl's box and secretbox (X25519, XSalsa20, Poly1305), as CURVE has them
//! ([RFC 26](https://rfc.zeromq.org/spec/26/)), and the system's random bytes.
//!
//! Knows keys, nonces and bytes; nothing of commands, nor of who is allowed what. A nonce must never be used twice with one
//! key: who seals counts.
//!
//! How keys are agreed and texts sealed is written twice, in `careful` and, for the feature `dryoc`, in `dryoc`: the same
//! bytes come of both, and tests have both at once.

#[cfg(any(test, not(feature = "dryoc")))]
mod careful;
#[cfg(any(test, feature = "dryoc"))]
mod dryoc;

#[cfg(not(feature = "dryoc"))]
use self::careful as backend;
#[cfg(feature = "dryoc")]
use self::dryoc as backend;

pub(crate) use self::backend::MessageKey;

use crate::keys::{PublicKey, SecretKey};
#[cfg(any(test, not(feature = "dryoc"), feature = "outbox"))]
use poly1305::{
    Poly1305,
    universal_hash::{KeyInit, UniversalHash},
};
use std::io;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The key of the boxes between two key pairs, which both sides compute alike; or one that is made up. Overwritten when it
/// is dropped.
pub(crate) struct BoxKey(Zeroizing<[u8; 32]>);

/// Shows nothing of it.
impl std::fmt::Debug for BoxKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoxKey(..)")
    }
}

impl BoxKey {
    /// What both sides agree on: X25519, then HSalsa20. `None` if what comes out is all zeros: their key is a point of low
    /// order, by which anybody would know the shared secret.
    pub(crate) fn agreed(secret: &SecretKey, public: &PublicKey) -> Option<BoxKey> {
        backend::agreed(secret.as_bytes(), public.as_bytes()).map(BoxKey)
    }

    /// A key that is made up, for a secretbox.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> BoxKey {
        BoxKey(Zeroizing::new(bytes))
    }

    /// Appends the tag, [`TAG_BYTES`] of it, and then the sealed text.
    pub(crate) fn seal(&self, nonce: &[u8; 24], plain: &[u8], out: &mut Vec<u8>) {
        let (messages, counter) = self.by_nonce(nonce);
        let start = out.len();
        out.reserve(TAG_BYTES + plain.len());
        out.extend_from_slice(&[0; TAG_BYTES]);
        out.extend_from_slice(plain);
        if let Some((tag, body)) = out.get_mut(start..).and_then(<[u8]>::split_first_chunk_mut) {
            *tag = messages.seal_in_place(counter, body);
        }
    }

    /// Opens a tag and a sealed text. `None` if they were not sealed with this key and this nonce; then nothing was decrypted.
    pub(crate) fn open(&self, nonce: &[u8; 24], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (messages, counter) = self.by_nonce(nonce);
        let (tag, body) = sealed.split_first_chunk()?;
        let mut body = Zeroizing::new(body.to_vec());
        messages.open_in_place(counter, tag, &mut body).then_some(body)
    }

    /// The key for nonces that all begin with these bytes.
    pub(crate) fn messages(&self, nonce_prefix: &[u8; 16]) -> MessageKey {
        MessageKey::new(&self.0, nonce_prefix)
    }

    fn by_nonce(&self, nonce: &[u8; 24]) -> (MessageKey, u64) {
        let [prefix @ .., a, b, c, d, e, f, g, h] = nonce;
        (
            self.messages(prefix),
            u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
        )
    }
}

/// Poly1305 of a text: who does not have the key cannot tell it, and it differs once the text does. A key is for one text.
#[cfg(any(test, not(feature = "dryoc"), feature = "outbox"))]
pub(crate) fn tag(key: &[u8; 32], text: &[u8]) -> [u8; TAG_BYTES] {
    let mut authenticator = Poly1305::new(key.into());
    // Whole blocks at once, for that is the fast way.
    let (blocks, rest) = poly1305::Block::slice_as_chunks(text);
    authenticator.update(blocks);
    authenticator.compute_unpadded(rest).into()
}

/// Fills it with the system's random bytes.
pub(crate) fn random(into: &mut [u8]) -> io::Result<()> {
    getrandom::fill(into).map_err(io::Error::from)
}

/// Whether they are equal, in a time that depends on their lengths only.
#[must_use]
pub(crate) fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// What sealing adds.
pub(crate) const TAG_BYTES: usize = 16;

#[cfg(all(test, not(loom)))]
pub(crate) mod tests;

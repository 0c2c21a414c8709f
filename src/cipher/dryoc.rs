//! The fast one: dryoc's box, which has the processor's vector instructions.

use super::TAG_BYTES;
use ::dryoc::classic::crypto_box::{
    crypto_box_beforenm, crypto_box_detached_afternm_inplace, crypto_box_open_detached_afternm_inplace,
};
use zeroize::Zeroizing;

/// X25519, then HSalsa20. `None` if what both have is all zeros.
pub(super) fn agreed(secret: &[u8; 32], public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    crypto_box_beforenm(public, secret).map(Zeroizing::new).ok()
}

/// The key of the messages of one direction, whose nonces differ in a counter only. Overwritten when it is dropped.
///
/// Of dryoc only XSalsa20 is public, whole: what it makes of key and nonce's beginning is made again for each message.
pub(crate) struct MessageKey {
    key: Zeroizing<[u8; 32]>,
    nonce_prefix: [u8; 16],
}

impl MessageKey {
    pub(super) fn new(key: &[u8; 32], nonce_prefix: &[u8; 16]) -> Self {
        MessageKey {
            key: Zeroizing::new(*key),
            nonce_prefix: *nonce_prefix,
        }
    }

    /// Seals the body where it stands, and returns the tag. The nonce ends with the counter, big-endian.
    pub(crate) fn seal_in_place(&self, counter: u64, body: &mut [u8]) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        crypto_box_detached_afternm_inplace(body, &mut tag, &self.nonce(counter), &self.key);
        tag
    }

    /// Opens the body where it stands. False, with the body as it was, if it was not sealed so.
    #[must_use]
    pub(crate) fn open_in_place(&self, counter: u64, tag: &[u8; TAG_BYTES], body: &mut [u8]) -> bool {
        crypto_box_open_detached_afternm_inplace(body, tag, &self.nonce(counter), &self.key).is_ok()
    }

    fn nonce(&self, counter: u64) -> [u8; 24] {
        let mut nonce = [0; 24];
        let bytes = self.nonce_prefix.into_iter().chain(counter.to_be_bytes());
        nonce.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
        nonce
    }
}

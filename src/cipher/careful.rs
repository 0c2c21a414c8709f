//! The default: X25519, Salsa20 and Poly1305 from those who write each for everybody, put together here.

use super::{TAG_BYTES, is_equal, tag};
use salsa20::Salsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher, consts::U10};
use zeroize::Zeroizing;

/// X25519, then HSalsa20. `None` if what both have is all zeros.
pub(super) fn agreed(secret: &[u8; 32], public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let secret = x25519_dalek::StaticSecret::from(*secret);
    let shared = secret.diffie_hellman(&(*public).into());
    let is_sound = shared.was_contributory();
    is_sound.then(|| hsalsa20(shared.as_bytes(), &[0; 16]))
}

/// The key of the messages of one direction, whose nonces differ in a counter only. Overwritten when it is dropped.
///
/// What XSalsa20 makes of key and nonce's beginning: what it does with the counter is Salsa20.
pub(crate) struct MessageKey(Zeroizing<[u8; 32]>);

impl MessageKey {
    pub(super) fn new(key: &[u8; 32], nonce_prefix: &[u8; 16]) -> Self {
        MessageKey(hsalsa20(key, nonce_prefix))
    }

    /// Seals the body where it stands, and returns the tag. The nonce ends with the counter, big-endian.
    pub(crate) fn seal_in_place(&self, counter: u64, body: &mut [u8]) -> [u8; TAG_BYTES] {
        let (mut stream, key) = self.begin(counter);
        stream.apply(body);
        tag(&key, body)
    }

    /// Opens the body where it stands. False, with the body as it was, if it was not sealed so.
    #[must_use]
    pub(crate) fn open_in_place(&self, counter: u64, told: &[u8; TAG_BYTES], body: &mut [u8]) -> bool {
        let (mut stream, key) = self.begin(counter);
        let is_genuine = is_equal(&tag(&key, body), told);
        if is_genuine {
            stream.apply(body);
        }
        is_genuine
    }

    /// The first 32 bytes of the stream are the authenticator's key; the text takes what follows.
    fn begin(&self, counter: u64) -> (Stream, Zeroizing<[u8; 32]>) {
        let mut stream = Stream::new(&self.0, counter);
        let mut key = Zeroizing::new([0; 32]);
        stream.apply(&mut *key);
        (stream, key)
    }
}

/// Salsa20's stream, from where it was left.
pub(super) struct Stream(Salsa20);

impl Stream {
    pub(super) fn new(key: &[u8; 32], counter: u64) -> Self {
        Stream(Salsa20::new(key.into(), &counter.to_be_bytes().into()))
    }

    pub(super) fn apply(&mut self, text: &mut [u8]) {
        // Panics behind 2^64 blocks, which is more than memory holds.
        self.0.apply_keystream(text);
    }
}

pub(super) fn hsalsa20(key: &[u8; 32], input: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(salsa20::hsalsa::<U10>(key.into(), input.into()).into())
}

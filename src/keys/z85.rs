//! A key as text: 32 bytes are 40 characters, and back ([RFC 32](https://rfc.zeromq.org/spec/32/), Z85).
//!
//! Fixed lengths and no heap, so that who encodes a secret knows where it is. Each digit is looked for in the whole
//! alphabet: no secret decides which memory is read.

use super::InvalidKey;

/// How many characters a key has.
pub(super) const CHARACTERS: usize = 40;

/// Writes the key's 40 characters, all of them ASCII.
pub(super) fn encode(key: &[u8; 32], text: &mut [u8; CHARACTERS]) {
    let (words, _) = key.as_chunks::<4>();
    let (chunks, _) = text.as_chunks_mut::<5>();
    for (word, chunk) in words.iter().zip(chunks) {
        let mut number = u32::from_be_bytes(*word);
        for character in chunk.iter_mut().rev() {
            *character = character_of(number % 85);
            number /= 85;
        }
    }
}

/// Reads a key from its 40 characters. After an error the key holds nothing of use.
pub(super) fn decode(text: &[u8], key: &mut [u8; 32]) -> Result<(), InvalidKey> {
    if text.len() != CHARACTERS {
        return Err(InvalidKey::Length(text.len()));
    }
    let (chunks, _) = text.as_chunks::<5>();
    let (words, _) = key.as_chunks_mut::<4>();
    for (at, (chunk, word)) in chunks.iter().zip(words).enumerate() {
        let mut number = 0_u64; // 85^5 fits well
        for (within, &byte) in chunk.iter().enumerate() {
            let position = 5 * at + within + 1;
            let digit = digit_of(byte).ok_or(InvalidKey::Character { position, byte })?;
            number = 85 * number + u64::from(digit);
        }
        let number = u32::try_from(number).map_err(|_| InvalidKey::TooLarge { position: 5 * at + 1 })?;
        *word = number.to_be_bytes();
    }
    Ok(())
}

fn character_of(digit: u32) -> u8 {
    let of_all = ALPHABET.iter().zip(0_u32..);
    of_all.fold(
        0,
        |found, (&character, its)| if its == digit { character } else { found },
    )
}

fn digit_of(byte: u8) -> Option<u32> {
    let of_all = ALPHABET.iter().zip(0_u32..);
    let digit = of_all.fold(
        NONE,
        |found, (&character, its)| if character == byte { its } else { found },
    );
    (digit != NONE).then_some(digit)
}

const NONE: u32 = u32::MAX;

const ALPHABET: &[u8; 85] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sim::chance::{Chance, with_seeds};

    fn encoded(key: &[u8; 32]) -> [u8; CHARACTERS] {
        let mut text = [0; CHARACTERS];
        encode(key, &mut text);
        text
    }

    fn decoded(text: &[u8]) -> Result<[u8; 32], InvalidKey> {
        let mut key = [0; 32];
        decode(text, &mut key).map(|()| key)
    }

    /// RFC 32: "a frame containing these 8 bytes SHALL encode as the following 10 characters".
    #[test]
    fn hello_world() {
        let hello = [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b];
        let key: [u8; 32] = std::array::from_fn(|at| hello[at % 8]);
        let text = b"HelloWorldHelloWorldHelloWorldHelloWorld";

        assert_eq!(encoded(&key), *text);
        assert_eq!(decoded(text), Ok(key));
    }

    /// The key of libzmq's manual (zmq_curve), as bytes and as text.
    #[test]
    fn the_keys_of_the_manual() {
        let key = [
            0xbb, 0x88, 0x47, 0x1d, 0x65, 0xe2, 0x65, 0x9b, 0x30, 0xc5, 0x5a, 0x53, 0x21, 0xce, 0xbb, 0x5a, 0xab, 0x2b,
            0x70, 0xa3, 0x98, 0x64, 0x5c, 0x26, 0xdc, 0xa2, 0xb2, 0xfc, 0xb4, 0x3f, 0xc5, 0x18,
        ];
        let text = b"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";

        assert_eq!(encoded(&key), *text);
        assert_eq!(decoded(text), Ok(key));
    }

    #[test]
    fn the_edges_of_a_number() {
        assert_eq!(encoded(&[0; 32]), [b'0'; 40]);
        assert_eq!(encoded(&[0xff; 32]), *b"%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0");
        for chunk in 0..8 {
            let mut text = [b'0'; 40];
            text[5 * chunk..5 * chunk + 5].copy_from_slice(b"%nSc0");
            assert!(decoded(&text).is_ok());
            for over in [b"%nSc1", b"%nSd0", b"$0000", b"#####"] {
                text[5 * chunk..5 * chunk + 5].copy_from_slice(over);
                let position = 5 * chunk + 1;
                assert_eq!(decoded(&text), Err(InvalidKey::TooLarge { position }));
            }
        }
    }

    #[test]
    fn every_byte_at_every_position() {
        for at in 0..40 {
            for byte in 0..=255 {
                let mut text = [b'0'; 40];
                text[at] = byte;
                let position = at + 1;
                match ALPHABET.iter().position(|&character| character == byte) {
                    None => assert_eq!(decoded(&text), Err(InvalidKey::Character { position, byte })),
                    // 83 * 85^4 is over 2^32.
                    Some(83..) if at % 5 == 0 => assert_eq!(decoded(&text), Err(InvalidKey::TooLarge { position })),
                    Some(digit) => {
                        let key = decoded(&text).unwrap();
                        let word = u32::from_be_bytes(key[at / 5 * 4..][..4].try_into().unwrap());
                        assert_eq!(u64::from(word), digit as u64 * 85_u64.pow(4 - at as u32 % 5));
                        assert_eq!(encoded(&key), text);
                    }
                }
            }
        }
    }

    #[test]
    fn every_length_but_one_is_refused() {
        for length in (0..40).chain(41..100) {
            assert_eq!(decoded(&vec![b'0'; length]), Err(InvalidKey::Length(length)));
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        with_seeds(1000, |seed| {
            let mut chance = Chance::new(seed);
            let key: [u8; 32] = std::array::from_fn(|_| chance.next() as u8);

            assert_eq!(decoded(&encoded(&key)), Ok(key));
        });
    }
}

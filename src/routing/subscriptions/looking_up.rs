//! How topics are looked up: the hash of what begins a message, for each length, and a filter before the table.

use std::hash::Hasher;

/// The hash of what begins some bytes, for one length after the other.
pub(super) struct Hashing {
    /// Of the whole words so far.
    state: u64,
    /// Where the next word begins.
    at: usize,
}

impl Hashing {
    pub(super) fn new(key: u64) -> Self {
        Hashing { state: key, at: 0 }
    }

    /// Of the first `len` bytes: at least as many as the last time, and at most as many as there are.
    #[inline(always)]
    pub(super) fn up_to(&mut self, bytes: &[u8], len: usize) -> u64 {
        while self.at + WORD <= len {
            self.state = step(self.state, word_at(bytes, self.at));
            self.at += WORD;
        }
        // Fewer than eight bytes, so that the highest one has room for how many.
        let more = len - self.at;
        let mask = (1 << (8 * more)) - 1;
        step(
            self.state,
            (word_at(bytes, self.at) & mask) | ((more as u64) << (8 * (WORD - 1))),
        )
    }
}

/// Eight bytes from here, or as many as there are, and zeros.
#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte)),
    }
}

/// The hash of one more word: a product of 128 bits, folded. The first value is secret, so nobody can tell which topics
/// meet; those that do are told apart by their bytes.
#[inline(always)]
fn step(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(MULTIPLIER);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Bytes of a word.
const WORD: usize = 8;

/// Odd, with as many ones as zeros: Knuth's for 64 bits ("The Art of Computer Programming", 3.3.4).
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// Which hashes the table may have: a bit for each, of eight or more. Most looks that find nothing end here.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// As many as a power of two says, so that a hash is masked to its place.
    pub(super) bits: Vec<u64>,
    /// How many were added, those that have left the table since included.
    added: usize,
}

impl Filter {
    /// With room for as many again.
    pub(super) fn of(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let words = (hashes.len() / 4).next_power_of_two();
        let mut filter = Filter {
            bits: vec![0; words],
            added: 0,
        };
        for hash in hashes {
            filter.add(hash);
        }
        filter
    }

    /// `false`: too many were. It is to be made anew.
    pub(super) fn add(&mut self, hash: u64) -> bool {
        let place = self.place(hash);
        if let Some(word) = self.bits.get_mut(place) {
            *word |= 1 << (hash % 64);
        }
        self.added += 1;
        self.added <= 8 * self.bits.len()
    }

    #[inline(always)]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let word = self.bits.get(self.place(hash));
        word.is_some_and(|word| word & (1 << (hash % 64)) != 0)
    }

    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        (hash >> 6) as usize & self.bits.len().wrapping_sub(1)
    }
}

/// Hashes what is a hash already.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _bytes: &[u8]) {
        debug_assert!(false, "only hashes are looked up");
    }
}

//! Messages that both sides compute.

use peermq::Message;
use std::fmt::Display;
use std::ops::Range;
use std::sync::LazyLock;

/// Around what has another form on the wire, another place in memory, or does not fit libzmq's buffers.
const SIZES: [usize; 10] = [0, 1, 33, 34, 255, 256, 8191, 8192, 8193, 1 << 20];
const FRAMES: [usize; 2] = [1, 3];

static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |i: u32| (i.wrapping_mul(7) + (i >> 8) * 13 + (i >> 16) * 29) as u8;
    (0..(1 << 20) + (1 << 16)).map(byte).collect()
});

pub(crate) struct Shape {
    pub(crate) seed: usize,
    pub(crate) frames: usize,
    pub(crate) size: usize,
}

pub(crate) fn shapes() -> impl Iterator<Item = Shape> {
    let kinds = FRAMES.into_iter().flat_map(|frames| SIZES.map(|size| (frames, size)));
    kinds
        .enumerate()
        .map(|(seed, (frames, size))| Shape { seed, frames, size })
}

/// One frame each, all of one size.
pub(crate) fn plain(seeds: Range<usize>, size: usize) -> impl Iterator<Item = Shape> {
    seeds.map(move |seed| Shape { seed, frames: 1, size })
}

impl Shape {
    fn frame(&self, index: usize) -> &'static [u8] {
        let start = (self.seed * 131 + index * 31) & 0xFFFF;
        &PATTERN[start..start + self.size]
    }

    /// Lends the frames, with these in front.
    pub(crate) fn lend<T>(&self, front: &[&[u8]], send: impl FnOnce(&[&[u8]]) -> T) -> T {
        let body = (0..self.frames).map(|index| self.frame(index));
        let frames: Vec<&[u8]> = front.iter().copied().chain(body).collect();
        send(&frames)
    }

    /// That a message is these frames, and then this.
    pub(crate) fn check(&self, front: &[&[u8]], message: &Message) {
        assert_eq!(message.frame_count(), front.len() + self.frames, "frames of {self}");
        let mut frames = message.frames();
        for (index, expected) in front.iter().enumerate() {
            assert_eq!(frames.next(), Some(*expected), "frame {index} in front of {self}");
        }
        for (index, frame) in frames.enumerate() {
            assert_eq!(frame.len(), self.size, "bytes of frame {index} of {self}");
            assert!(frame == self.frame(index), "frame {index} of {self} has other bytes");
        }
    }
}

/// As the peer is told it: seed, frames, size.
impl Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.seed, self.frames, self.size)
    }
}

/// The first bytes of what both sides compute.
pub(crate) fn window(size: usize) -> &'static [u8] {
    &PATTERN[..size]
}

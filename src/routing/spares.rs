//! Packing buffers of one socket, kept for their memory.

/// Packing buffers that nobody packs into now; at most [`SPARES`], then they are freed.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<Vec<u8>>);

impl Spares {
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    pub(super) fn give(&mut self, spent: Vec<u8>) {
        if spent.capacity() > 0 && spent.capacity() <= LARGEST_SPARE && self.0.len() < SPARES {
            self.0.push(spent);
        }
    }
}

/// Packing buffers kept for reuse, by socket: at most 16 MiB, enough for a thousand packed messages of the largest size.
const SPARES: usize = 64;
/// What the batches of a stream grow to.
pub(crate) const LARGEST_SPARE: usize = 256 * 1024;

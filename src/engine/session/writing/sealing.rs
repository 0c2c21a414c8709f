//! The way out under CURVE: what is to be written is sealed first, a group of frames at a time.
//!
//! Once sealed, a group is written before anything else: its nonces are used. What it was stays where it is until the
//! last box of the group is written.

use crate::wire::sealing::{Sealer, plain_of};
use std::io::{self, IoSlice};

/// What is sealed and not wholly written.
pub(super) struct Sealing {
    sealer: Sealer,
    sealed: Vec<u8>,
    /// Bytes of it that are written.
    written: usize,
    /// How many bytes it was before.
    covers: usize,
}

impl Sealing {
    pub(super) fn new(sealer: Sealer) -> Self {
        Sealing {
            sealer,
            sealed: Vec::new(),
            written: 0,
            covers: 0,
        }
    }

    /// Whether a group is begun: what it was may not change.
    pub(super) fn is_begun(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Of what the group was, how many bytes are wholly written: whole frames.
    pub(super) fn written(&self) -> usize {
        plain_of(&self.sealed, self.written)
    }

    /// Seals and writes a group from the front of these. Gives how many bytes of them it was, once the last is written.
    pub(super) fn give(
        &mut self,
        pieces: &[IoSlice<'_>],
        write: impl Fn(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.sealed.is_empty() {
            let covers = self.sealer.seal(pieces, GROUP, &mut self.sealed);
            self.covers = covers.ok_or_else(|| io::Error::other("no nonce is left to seal with"))?;
        }
        while let rest = self.sealed.get(self.written..).unwrap_or_default()
            && !rest.is_empty()
        {
            self.written += write(&[IoSlice::new(rest)])?;
        }
        self.written = 0;
        // Its memory too: an idle connection has none.
        self.sealed = Vec::new();
        Ok(self.covers)
    }
}

/// About how many bytes of boxes are a group: enough that writing them costs little beside sealing them.
const GROUP: usize = 64 * 1024;

//! The way out under CURVE: what is to be written is sealed first, a group of frames at a time.
//!
//! Once sealed, a group is written before anything else: its nonces are used. What it was stays where it is until the
//! last box of the group is written.

use crate::wire::sealing::{Sealer, plain_of};
use std::io::{self, IoSlice};

/// What seals, and what is sealed and not wholly written.
pub(super) struct Sealing {
    sealer: Sealer,
    begun: Option<Group>,
}

struct Group {
    boxes: Vec<u8>,
    /// Bytes of them that are written.
    written: usize,
    /// How many bytes it was before.
    covers: usize,
}

impl Sealing {
    pub(super) fn new(sealer: Sealer) -> Self {
        Sealing { sealer, begun: None }
    }

    /// Whether a group is begun: what it was may not change.
    pub(super) fn is_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Of what the group was, how many bytes are wholly written: whole frames.
    pub(super) fn written(&self) -> usize {
        let group = self.begun.as_ref();
        group.map_or(0, |group| plain_of(&group.boxes, group.written))
    }

    /// Seals and writes a group from the front of these. Gives how many bytes of them it was, once the last is written.
    pub(super) fn give(
        &mut self,
        pieces: &[IoSlice<'_>],
        write: impl Fn(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let group = match &mut self.begun {
            Some(group) => group,
            None => self.begun.insert(seal(&mut self.sealer, pieces)?),
        };
        while let rest = group.boxes.get(group.written..).unwrap_or_default()
            && !rest.is_empty()
        {
            group.written += write(&[IoSlice::new(rest)])?;
        }
        let covers = group.covers;
        // Its memory too: an idle connection has none.
        self.begun = None;
        Ok(covers)
    }
}

fn seal(sealer: &mut Sealer, pieces: &[IoSlice<'_>]) -> io::Result<Group> {
    let mut boxes = Vec::new();
    let covers = sealer.seal(pieces, GROUP, &mut boxes);
    let covers = covers.ok_or_else(|| io::Error::other("no nonce is left to seal with"))?;
    Ok(Group {
        boxes,
        written: 0,
        covers,
    })
}

/// About how many bytes of boxes are a group: enough that writing them costs little beside sealing them.
const GROUP: usize = 64 * 1024;

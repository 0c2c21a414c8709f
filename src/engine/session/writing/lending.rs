//! Messages that are written from where their sender has them, with no copy between.

use super::{Flushed, WRITE_BUDGET, Writing};
use crate::batch::frame::put_header;
use crate::batch::{Batch, Copies};
use crate::engine::session::Session;
use crate::hub::Effects;
use crate::message::Message;
use crate::transport::Net;
use crate::wire::Form;
use std::io::IoSlice;

/// What became of a frame that was lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::session) struct Lent {
    /// It is written, or what is left of it is to be. If not, nothing has happened to it.
    pub(in crate::engine::session) is_taken: bool,
    /// Somebody is to flush.
    pub(in crate::engine::session) leaves_more: bool,
}

impl<N: Net> Session<N> {
    /// Writes a message of this one frame, behind what is queued, if nobody else writes and the kernel takes all before it. It is
    /// copied only if the kernel does not take all of it.
    pub(in crate::engine::session) fn lend(&self, frame: &[u8], copies: &Copies, effects: &mut Effects) -> Lent {
        let refused = |leaves_more| Lent {
            is_taken: false,
            leaves_more,
        };
        let Some(mut write) = self.write.try_lock() else {
            return refused(false);
        };
        let (Some(peer), Form::Framed) = (write.peer, write.form) else {
            return refused(false);
        };
        if self.flush_some(&mut write, effects) {
            return refused(true);
        }
        let is_free = write.is_open && !write.is_ending && write.is_written_out();
        if !is_free || !self.station.lend(peer, frame.len(), effects) {
            return refused(false);
        }
        self.write_lent(&mut write, frame, copies);
        self.written_out(&mut write, effects);
        Lent {
            is_taken: true,
            leaves_more: self.flush_some(&mut write, effects),
        }
    }

    /// Writes as much of it as the kernel takes; the rest is the batch that is being written.
    fn write_lent(&self, write: &mut Writing, frame: &[u8], copies: &Copies) {
        let mut packed = std::mem::take(&mut write.spent);
        packed.clear();
        put_header(&mut packed, 0, frame.len());
        let (mut header, mut body) = (&packed[..], frame);
        // Why it takes no more is met again by who writes the rest.
        while !(header.is_empty() && body.is_empty())
            && let Ok(n) = self.give(&[IoSlice::new(header), IoSlice::new(body)])
        {
            let of_header = n.min(header.len());
            header = header.get(of_header..).unwrap_or_default();
            body = body.get(n - of_header..).unwrap_or_default();
        }
        let left = header.len() + body.len();
        if left == 0 {
            write.done.add(1, frame.len());
            write.messages += 1;
            write.spent = packed;
            return;
        }
        let written = packed.len() + frame.len() - left;
        let mut batch = Batch::with_buffer(packed);
        batch.push(&[], &mut Message::one(copies.copy(frame)).into());
        write.batch = Some(batch);
        write.written = written;
    }

    /// Whether somebody else has to go on with it.
    fn flush_some(&self, write: &mut Writing, effects: &mut Effects) -> bool {
        let mut written = 0;
        let flushed = self.flush_until(write, effects, |n| {
            written += n;
            written >= WRITE_BUDGET
        });
        !matches!(flushed, Ok(Flushed::Done))
    }
}

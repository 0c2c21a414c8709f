//! The way out of what is not framed: raw streams, and datagrams.

use super::{SLICES, Writing};
use crate::batch::Tally;
use crate::engine::session::Session;
use crate::engine::session::unframed::asks_to_end;
use crate::hub::Effects;
use crate::message::Message;
use crate::routing::Dropped;
use crate::stats::DropReason;
use crate::transport::Net;
use crate::wire::datagram;
use std::io::{self, ErrorKind, IoSlice};

impl<N: Net> Session<N> {
    /// One write of a raw stream. 0: there is nothing to write.
    pub(super) fn write_unframed(&self, write: &mut Writing, effects: &mut Effects) -> io::Result<usize> {
        loop {
            // Messages without bytes need no write.
            Self::advance(write, 0, effects);
            if !write.unframed.is_empty() {
                break;
            }
            if !self.collect(write, effects) {
                return Ok(0);
            }
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = write.unframed.slices(&mut slices);
        let n = self.give(slices.get(..filled).unwrap_or_default())?;
        Self::advance(write, n, effects);
        Ok(n)
    }

    /// Writes one datagram, and says how much of the budget that is. 0: there is nothing to write.
    ///
    /// What none can carry is dropped: another try would end the same.
    pub(super) fn write_datagram(&self, write: &mut Writing, effects: &mut Effects) -> io::Result<usize> {
        loop {
            if write.unframed.is_empty() && !self.collect(write, effects) {
                return Ok(0);
            }
            let Some(message) = write.unframed.first() else {
                return Ok(0);
            };
            let mut length = 0;
            let result = match datagram(message, &mut length) {
                Some(slices) => self.give(&slices),
                None => Err(ErrorKind::FileTooLarge.into()),
            };
            let is_refused = match result {
                Ok(_) => false,
                Err(error) if error.kind() == ErrorKind::FileTooLarge => true,
                Err(error) => return Err(error),
            };
            let done: Vec<Message> = write.unframed.pop().into_iter().collect();
            let tally = Tally::of(&done);
            effects.drop_later(Dropped::messages(done));
            if !is_refused {
                write.done.add(tally.messages, tally.payload);
                write.messages += tally.messages as u64;
                return Ok(tally.payload.max(DATAGRAM_COST));
            }
            if let Some(peer) = write.peer {
                self.station.refused(peer, tally, DropReason::TooLarge, effects);
            }
        }
    }

    /// So many bytes of a raw stream were written. Behind a message without bytes it ends.
    fn advance(write: &mut Writing, n: usize, effects: &mut Effects) {
        let done = write.unframed.advance(n);
        if done.is_empty() {
            return;
        }
        write.is_ending |= asks_to_end(&done);
        let tally = Tally::of(&done);
        write.done.add(tally.messages, tally.payload);
        write.messages += tally.messages as u64;
        effects.drop_later(Dropped::messages(done));
    }
}

/// Bytes of the budget that a datagram counts as, however small: it is a system call.
pub(in crate::engine::session) const DATAGRAM_COST: usize = 1024;

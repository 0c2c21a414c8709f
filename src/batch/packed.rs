//! Frames of the application's, packed before it is known where they go.
//!
//! To read them and to put each behind its header takes no lock: under one, many are a single copy.

use super::Tally;
use super::frame::{Header, LONG, MAX_HEADER, SHORT_HEADER, header_len};
use crate::sync::per_thread;
use std::cell::Cell;

/// Messages of one frame each, oldest first, packed as they go over the wire.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// Those that are here lie in `begin..end`; the rest is room for more. Who packs them stops at some KiB, with no lock held.
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
    tally: Tally,
}

impl Packed {
    /// The longest frame that is packed: of a longer one a second copy costs more than a look at the limits of its queue.
    /// Measured: at 256 bytes it saves a third of a send, at 512 nothing, and at 1 KiB it costs as much as the send.
    pub(crate) const LONGEST: usize = 256;

    pub(crate) fn messages(&self) -> usize {
        self.tally.messages
    }

    /// Bytes on the wire.
    pub(crate) fn wire_len(&self) -> usize {
        self.end - self.begin
    }

    /// Packs one more. `false`: it is too long.
    #[inline(always)]
    pub(crate) fn push(&mut self, frame: &[u8]) -> bool {
        if frame.len() > Self::LONGEST {
            return false;
        }
        if self.bytes.len() - self.end < MAX_HEADER + Self::LONGEST {
            self.make_room();
        }
        let end = self.end + header_len(frame.len()) + frame.len();
        if let Some(place) = self.bytes.get_mut(self.end..end) {
            match u8::try_from(frame.len()) {
                Ok(short) => put_short(place, short, frame),
                Err(_) => put_long(place, frame),
            }
        }
        self.end = end;
        self.tally.add(1, frame.len());
        true
    }

    /// More room, or that of the last that ended here.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        if self.bytes.len() - self.end < MAX_HEADER + Self::LONGEST {
            let len = self.bytes.len().saturating_mul(4).max(FIRST_ROOM);
            self.bytes.resize(len, 0);
        }
    }

    /// The body of the oldest.
    pub(crate) fn front(&self) -> Option<&[u8]> {
        self.body_at(self.begin)
    }

    fn body_at(&self, at: usize) -> Option<&[u8]> {
        let rest = self.bytes.get(at..self.end)?;
        let header = Header::parse(rest)?;
        let end = usize::try_from(header.body).ok()?.checked_add(header.len)?;
        rest.get(header.len..end)
    }

    /// Takes the oldest, at most so many messages and bytes on the wire: packed, and what they are.
    pub(crate) fn take(&mut self, most: usize, bytes: usize) -> (&[u8], Tally) {
        let begin = self.begin;
        let mut taken = Tally::default();
        if self.tally.messages <= most && self.wire_len() <= bytes {
            taken = self.tally;
            self.begin = self.end;
        } else {
            while taken.messages < most
                && let Some(len) = self.front().map(<[u8]>::len)
                && self.begin + header_len(len) + len - begin <= bytes
            {
                self.begin += header_len(len) + len;
                taken.add(1, len);
            }
        }
        self.tally.sub(taken);
        let end = self.begin;
        if self.tally.messages == 0 {
            // There is as much room again: what is packed in many lots needs that of one.
            (self.begin, self.end) = (0, 0);
        }
        (self.bytes.get(begin..end).unwrap_or_default(), taken)
    }
}

// The room of the last that ended on this thread: to make it anew for each lot takes as long as to fill it.
per_thread! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Drop for Packed {
    fn drop(&mut self) {
        if (1..=LARGEST_SPARE).contains(&self.bytes.len()) {
            let bytes = std::mem::take(&mut self.bytes);
            let _is_ending = SPARE.try_with(|spare| spare.set(bytes));
        }
    }
}

#[inline(always)]
fn put_short(place: &mut [u8], len: u8, frame: &[u8]) {
    let Some((header, body)) = place.split_first_chunk_mut::<SHORT_HEADER>() else {
        return;
    };
    *header = [0, len];
    // By moves of a constant size, which may overlap: a copy of any length is a call, which takes longer than its moves.
    match len {
        8..=16 => copy_ends::<8>(body, frame),
        17..=32 => copy_ends::<16>(body, frame),
        33..=64 => copy_ends::<32>(body, frame),
        _ => body.copy_from_slice(frame),
    }
}

/// Copies the first `N` bytes and the last `N`: all, of at most twice as many.
#[inline(always)]
fn copy_ends<const N: usize>(place: &mut [u8], frame: &[u8]) {
    if let (Some(to), Some(from)) = (place.first_chunk_mut::<N>(), frame.first_chunk()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (place.last_chunk_mut::<N>(), frame.last_chunk()) {
        *to = *from;
    }
}

fn put_long(place: &mut [u8], frame: &[u8]) {
    if let Some((header, body)) = place.split_first_chunk_mut::<MAX_HEADER>() {
        let [a, b, c, d, e, f, g, h] = (frame.len() as u64).to_be_bytes();
        *header = [LONG, a, b, c, d, e, f, g, h];
        body.copy_from_slice(frame);
    }
}

/// What there is room for at first.
const FIRST_ROOM: usize = 4 * 1024;
/// More is not kept.
const LARGEST_SPARE: usize = 64 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::message::Message;

    #[test]
    fn many_lots_need_the_room_of_one() {
        for _call in 0..2 {
            let mut packed = Packed::default();
            for lot in 0..2_000 {
                (0..200).for_each(|_| assert!(packed.push(&[7; 64])));

                let (taken, tally) = packed.take(usize::MAX, usize::MAX);

                assert_eq!((taken.len(), tally.messages), (200 * 66, 200));
                assert!(
                    packed.bytes.len() <= 16 * 1024,
                    "lot {lot}: {} bytes",
                    packed.bytes.len()
                );
            }
        }
    }

    #[test]
    fn what_needed_much_room_leaves_none_of_it_behind() {
        for (lots, is_kept) in [(1, true), (100, false)] {
            let mut packed = Packed::default();
            (0..lots * 200).for_each(|_| assert!(packed.push(&[7; 64])));
            drop(packed);

            let mut next = Packed::default();
            next.push(&[7; 64]);

            assert_eq!(next.bytes.len() > FIRST_ROOM, is_kept, "{lots} lots");
            std::mem::take(&mut next.bytes);
        }
    }

    #[test]
    fn frames_of_every_length_are_packed_and_taken_by_any_number() {
        let bytes: Vec<u8> = (0..=Packed::LONGEST).map(|at| at as u8).collect();
        for (most, most_bytes) in [
            (1, usize::MAX),
            (3, 2000),
            (50, 1500),
            (usize::MAX, 9999),
            (usize::MAX, usize::MAX),
        ] {
            let mut packed = Packed::default();
            for _twice in 0..2 {
                for len in 0..=Packed::LONGEST {
                    assert!(packed.push(&bytes[..len]));
                }
                assert!(!packed.push(&[0; Packed::LONGEST + 1]));
                assert_eq!(packed.messages(), Packed::LONGEST + 1);

                let mut batch = Batch::default();
                while packed.messages() > 0 {
                    assert_eq!(packed.front(), Some(&bytes[..batch.messages()]));
                    let (taken, tally) = packed.take(most, most_bytes);
                    assert!((1..=most).contains(&tally.messages) && taken.len() <= most_bytes);
                    batch.push_packed(taken);
                    batch.count(tally);
                }

                assert_eq!((packed.front(), packed.wire_len()), (None, 0));
                let mut run = batch.into_run();
                for len in 0..=Packed::LONGEST {
                    assert_eq!(run.pop(), Some(Message::from(&bytes[..len])));
                }
                assert!(run.is_empty() && run.payload() == 0);
            }
        }
    }
}

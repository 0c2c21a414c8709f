//! The unit that travels: whole messages packed back to back in their ZMTP framing.
//!
//! A [`Batch`] is being packed or written; a [`Run`] came and is being received. Small frames are copied, so that a
//! thousand messages are one contiguous piece for the kernel; large ones are kept by reference, and so is what many share.

pub(crate) mod buffers;
mod chunks;
mod copies;
pub(crate) mod frame;
mod packed;
pub(crate) mod run;
mod tally;

pub(crate) use buffers::Buffers;
pub(crate) use copies::Copies;
pub(crate) use packed::Packed;
pub(crate) use run::{Run, weight};
pub(crate) use tally::Tally;

use crate::message::{LENT_PACKED, Message, Outgoing, Piece, Source};
use bytes::Bytes;
use frame::{MORE, SHORT, header_len, put_header};
use std::io::IoSlice;

/// Whole messages, packed to be written.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Headers and small bodies, back to back.
    packed: Vec<u8>,
    /// What is not copied, in its order: bodies, and whole messages that many share.
    large: Vec<Large>,
    messages: usize,
    payload: usize,
    /// Bytes in `large` together.
    large_bytes: usize,
}

#[derive(Debug)]
struct Large {
    /// It stands after this many bytes of `packed`.
    after: usize,
    /// Bytes of the batch before it: `after` and all that stands before it by reference.
    before: usize,
    body: Bytes,
}

impl Batch {
    /// A batch that packs into `buffer`, whose contents are dropped.
    pub(crate) fn with_buffer(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Batch {
            packed: buffer,
            ..Batch::default()
        }
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Bytes on the wire, headers included.
    pub(crate) fn wire_len(&self) -> usize {
        self.packed.len() + self.large_bytes
    }

    /// Packs a message to the end, behind the frames of `envelope`. Returns its payload, envelope included.
    ///
    /// What was given away is left to the caller to drop: it may be the application's own kind of memory, and the
    /// caller may hold a lock.
    #[inline(always)]
    pub(crate) fn push(&mut self, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> usize {
        let before = self.payload;
        for frame in envelope {
            self.push_frame(MORE, Piece::Lent(frame));
        }
        message.share_large_vec(BY_REFERENCE);
        match &message.0 {
            Source::Lent(frame) => self.push_frame(0, Piece::Lent(frame)),
            Source::LentFrames(frames) => {
                let last = frames.len().saturating_sub(1);
                for (index, frame) in frames.iter().enumerate() {
                    self.push_frame(if index < last { MORE } else { 0 }, Piece::Lent(frame));
                }
                if frames.is_empty() {
                    self.push_frame(0, Piece::Lent(&[]));
                }
            }
            Source::Vec(frame) => self.push_frame(0, Piece::Lent(frame)),
            Source::LentMessage(message) => self.push_message(message),
            Source::Copied(message) | Source::Message(message) => self.push_message(message),
        }
        self.messages += 1;
        self.payload - before
    }

    /// Packs a message of one frame to the end, by copying it. Whoever asks knows that there is room for it
    /// ([`Batch::room`]).
    #[inline(always)]
    pub(crate) fn push_lent(&mut self, frame: &[u8]) {
        match frame.len() {
            8..=16 => self.push_ends::<8>(frame),
            17..=32 => self.push_ends::<16>(frame),
            33..=64 => self.push_ends::<32>(frame),
            65..=128 => self.push_ends::<64>(frame),
            len => {
                put_header(&mut self.packed, 0, len);
                self.packed.extend_from_slice(frame);
            }
        }
        self.messages += 1;
        self.payload += frame.len();
    }

    /// Packs a frame by its first `N` bytes and its last `N`, which may overlap: a copy of a constant size is a few moves, and one
    /// of any other a call, which takes longer.
    #[inline(always)]
    fn push_ends<const N: usize>(&mut self, frame: &[u8]) {
        debug_assert!((N..=2 * N).contains(&frame.len()) && frame.len() <= SHORT);
        if let (Some(first), Some(last)) = (frame.first_chunk::<N>(), frame.last_chunk::<N>()) {
            self.packed.extend_from_slice(&[0, frame.len() as u8]);
            let behind_first = self.packed.len() + frame.len() - N;
            self.packed.extend_from_slice(first);
            self.packed.truncate(behind_first);
            self.packed.extend_from_slice(last);
        }
    }

    /// Adds whole messages to the end that are packed already; [`Batch::count`] tells how many.
    #[inline]
    pub(crate) fn push_packed(&mut self, packed: &[u8]) {
        self.reserve(packed.len());
        self.packed.extend_from_slice(packed);
    }

    /// The same, by reference.
    pub(crate) fn push_shared(&mut self, packed: Bytes) {
        let len = packed.len();
        self.large.push(Large {
            after: self.packed.len(),
            before: self.wire_len(),
            body: packed,
        });
        self.large_bytes += len;
    }

    /// Counts messages that were added packed.
    pub(crate) fn count(&mut self, tally: Tally) {
        self.messages += tally.messages;
        self.payload += tally.payload;
    }

    /// How many bytes find room in its buffer as it is, before it has so many on the wire.
    pub(crate) fn room(&self, bytes: usize) -> usize {
        let until_bytes = bytes.saturating_sub(self.wire_len());
        until_bytes.min(self.packed.capacity() - self.packed.len())
    }

    fn push_message(&mut self, message: &Message) {
        let mut left = message.frame_count();
        message.for_each_frame(|piece| {
            left -= 1;
            self.push_frame(if left > 0 { MORE } else { 0 }, piece);
        });
    }

    #[inline(always)]
    fn push_frame(&mut self, flags: u8, piece: Piece<'_>) {
        let slice = piece.as_slice();
        let len = slice.len();
        self.payload += len;
        let by_reference = match piece {
            Piece::Lent(_) => len > LENT_PACKED,
            Piece::Owned(_) => len >= BY_REFERENCE,
        };
        if by_reference {
            self.reserve(header_len(len));
            put_header(&mut self.packed, flags, len);
            let body = match piece {
                Piece::Lent(slice) => Bytes::copy_from_slice(slice),
                Piece::Owned(bytes) => bytes.clone(),
            };
            self.large.push(Large {
                after: self.packed.len(),
                before: self.wire_len(),
                body,
            });
            self.large_bytes += len;
        } else {
            self.reserve(header_len(len) + len);
            put_header(&mut self.packed, flags, len);
            self.packed.extend_from_slice(slice);
        }
    }

    /// Buffers start small and double, so that an idle peer costs little and a busy one soon stops growing. Their sizes are
    /// powers of two, whatever the messages', so that one which was filled once fits the next time.
    fn reserve(&mut self, more: usize) {
        let len = self.packed.len();
        if self.packed.capacity() - len < more {
            let size = len.saturating_add(more).max(FIRST_BUFFER);
            let size = size.checked_next_power_of_two().unwrap_or(size);
            self.packed.reserve_exact(size - len);
        }
    }

    /// All of its bytes, if nothing went by reference.
    pub(crate) fn one_piece(&self) -> Option<&[u8]> {
        self.large.is_empty().then_some(&self.packed)
    }

    /// The bytes from `written` on, as many slices as `out` holds. Returns how many were filled in.
    pub(crate) fn slices<'a>(&'a self, written: usize, out: &mut [IoSlice<'a>]) -> usize {
        // The first large body that is not wholly written.
        let mut index = self
            .large
            .partition_point(|large| large.before + large.body.len() <= written);
        let mut at = written;
        let mut filled = 0;
        for slot in out {
            let next = self.large.get(index);
            let large_before = index
                .checked_sub(1)
                .and_then(|last| self.large.get(last))
                .map_or(0, |last| last.before + last.body.len() - last.after);
            let (slice, is_large) = match next {
                Some(large) if at >= large.before => (large.body.get(at - large.before..), true),
                Some(large) => (self.packed.get(at - large_before..large.after), false),
                None => (self.packed.get(at - large_before..), false),
            };
            let Some(slice) = slice else { break };
            if slice.is_empty() {
                break;
            }
            *slot = IoSlice::new(slice);
            filled += 1;
            at += slice.len();
            index += usize::from(is_large);
        }
        filled
    }

    /// One message alone.
    pub(crate) fn of(message: Message) -> Self {
        let mut batch = Batch::default();
        batch.push(&[], &mut message.into());
        batch
    }

    /// Turns what was packed into what can be received, without copying it.
    pub(crate) fn into_run(self) -> Run {
        self.into_run_in(Bytes::from)
    }

    /// The same, with what it was packed into made bytes that can be shared like this.
    pub(crate) fn into_run_in(self, share: impl FnOnce(Vec<u8>) -> Bytes) -> Run {
        let mut run = Run::default();
        let packed = share(self.packed);
        let mut from = 0;
        for large in self.large {
            run.push_part(packed.slice(from..large.after));
            run.push_part(large.body);
            from = large.after;
        }
        run.push_part(packed.slice(from..));
        run.count(self.messages, self.payload);
        run
    }

    /// Splits behind the last message whose last byte is among the first `written`: what was written, and the rest, both
    /// oldest first, the cut message whole. Nothing is dropped here: the caller may hold a lock.
    pub(crate) fn split_unwritten(self, written: usize) -> (Vec<Message>, Vec<Message>) {
        let (mut done, mut rest) = (Vec::new(), Vec::new());
        let mut end = 0;
        let mut run = self.into_run();
        while let Some(message) = run.pop() {
            let wire: usize = message
                .frames()
                .map(|frame| header_len(frame.len()) + frame.len())
                .sum();
            end += wire;
            if end <= written { &mut done } else { &mut rest }.push(message);
        }
        (done, rest)
    }

    /// A copy of all of it, as it goes over the wire.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut all = Vec::with_capacity(self.wire_len());
        while all.len() < self.wire_len() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.slices(all.len(), &mut slices);
            slices
                .iter()
                .take(filled)
                .for_each(|slice| all.extend_from_slice(slice));
        }
        all.into()
    }

    /// Takes it apart: the buffer, to be packed into again, and what went by reference, to be dropped where
    /// no lock is held.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<Bytes>) {
        let large = match self.large.is_empty() {
            // Most have none.
            true => Vec::new(),
            false => self.large.into_iter().map(|large| large.body).collect(),
        };
        (self.packed, large)
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally {
            messages: self.messages,
            payload: self.payload,
        }
    }
}

/// An owned body from this size on goes by reference: a reference count then costs less than the copy.
pub(crate) const BY_REFERENCE: usize = 4 * 1024;
/// The first size of a packing buffer.
const FIRST_BUFFER: usize = 512;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn wire(batch: &Batch, written: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut at = written;
        loop {
            // Few slots, so that the walk must be taken up again.
            let mut slots = [IoSlice::new(&[]); 2];
            let filled = batch.slices(at, &mut slots);
            if filled == 0 {
                return all;
            }
            for slot in &slots[..filled] {
                all.extend_from_slice(slot);
                at += slot.len();
            }
        }
    }

    fn messages() -> Vec<Message> {
        let sizes = [0, 1, 64, 65, 255, 256, 4095, 4096, 70_000];
        let mut all: Vec<_> = sizes
            .iter()
            .map(|&size| Message::from(vec![size as u8; size]))
            .collect();
        all.push(Message::from([vec![1; 5000], vec![], vec![2; 3], vec![3; 9000]]));
        all.extend(shared().into_iter().flatten());
        all.push(Message::from("last"));
        all
    }

    /// What many have, in pieces.
    fn shared() -> [Vec<Message>; 2] {
        let first = [Message::from(vec![4; 300]), Message::from(["a", ""])];
        let second = [Message::from(""), Message::from(vec![5; 10])];
        [first.into(), second.into()]
    }

    fn packed() -> Batch {
        let mut batch = Batch::default();
        let (mut alone, shared) = (messages(), shared());
        let last = alone.pop().expect("a message");
        alone.truncate(alone.len() - shared.concat().len());
        for message in alone {
            batch.push(&[], &mut message.into());
        }
        for piece in shared {
            let mut packed = Batch::default();
            for message in piece {
                packed.push(&[], &mut message.into());
            }
            batch.push_shared(packed.to_bytes());
            batch.count(packed.tally());
        }
        batch.push(&[], &mut last.into());
        batch
    }

    #[test]
    fn what_was_packed_is_what_is_popped() {
        let mut run = packed().into_run();
        assert_eq!(run.messages(), messages().len());
        for message in messages() {
            assert_eq!(run.pop(), Some(message));
        }
        assert_eq!((run.pop(), run.weight()), (None, 0));
    }

    #[test]
    fn a_run_is_split_between_any_two_messages_without_copying() {
        let all = messages();
        for popped in 0..all.len() {
            for taken in 1..=all.len() - popped {
                let mut run = packed().into_run();
                (0..popped).for_each(|_| drop(run.pop()));
                let weighed = all[popped..popped + taken].iter().map(Message::byte_count).sum();

                let mut front = run.split_front(taken, usize::MAX);

                assert_eq!(front.weight(), weight(taken, weighed));
                let both = |run: &mut Run| std::iter::from_fn(|| run.pop()).collect::<Vec<_>>();
                assert_eq!(both(&mut front), all[popped..popped + taken]);
                assert_eq!(both(&mut run), all[popped + taken..]);
                assert!(run.is_empty() && front.is_empty());
            }
        }
        let mut run = packed().into_run();
        assert_eq!(run.split_front(usize::MAX, 1).messages(), 1, "asked before a message");
        assert_eq!(run.split_front(usize::MAX, 200).messages(), 3);
    }

    #[test]
    fn slices_can_be_taken_up_at_every_byte() {
        let batch = packed();
        let all = wire(&batch, 0);
        assert_eq!(all.len(), batch.wire_len());
        for at in (0..all.len()).step_by(97).chain([1, 2, all.len() - 1, all.len()]) {
            assert_eq!(wire(&batch, at), all[at..], "from {at}");
        }
    }

    #[test]
    fn a_lent_slice_is_packed_up_to_the_limit_and_then_copied_once() {
        let big = vec![9; LENT_PACKED + 1];
        let mut batch = Batch::default();
        batch.push(&[], &mut (&big[..LENT_PACKED]).into());
        assert_eq!(batch.one_piece(), Some(&wire(&batch, 0)[..]));
        batch.push(&[], &mut (&big[..]).into());
        assert_eq!(batch.large.len(), 1);
        assert_eq!(batch.one_piece(), None);

        let mut copied = (&big[..]).into();
        Outgoing::copy_large_lent(&mut copied, Bytes::copy_from_slice);
        batch.push(&[], &mut copied);

        let Source::Copied(copy) = &copied.0 else {
            unreachable!("it is large")
        };
        assert_eq!(batch.large[1].body.as_ptr(), copy.first().as_ptr());
    }

    #[test]
    fn a_lent_frame_of_any_length_is_packed_as_any_other_is() {
        let bytes: Vec<u8> = (0..300).map(|byte| byte as u8).collect();
        for len in 0..=bytes.len() {
            let (mut one, mut other) = (Batch::default(), Batch::default());
            for frame in [&bytes[..len], &bytes[bytes.len() - len..]] {
                one.push_lent(frame);
                other.push(&[], &mut frame.into());
            }
            assert_eq!(wire(&one, 0), wire(&other, 0), "{len} bytes");
            assert_eq!(one.tally(), other.tally());
        }
    }

    #[test]
    fn an_envelope_goes_in_front() {
        let mut batch = Batch::default();
        batch.push(&[b"id", b""], &mut "body".into());
        assert_eq!(batch.into_run().pop(), Some(Message::from(["id", "", "body"])));
    }

    #[test]
    fn a_cut_message_is_given_back_whole() {
        let total = packed().wire_len();
        for written in (0..total).step_by(211).chain([1, 2, 3, total - 1, total]) {
            let (done, rest) = packed().split_unwritten(written);
            assert_eq!([done, rest.clone()].concat(), messages());
            assert_eq!(rest.is_empty(), written == total);
        }
    }

    #[test]
    fn a_weight_is_the_payload_and_64_a_message() {
        let mut batch = Batch::default();
        batch.push(&[], &mut "abc".into());
        batch.push(&[], &mut "".into());
        assert_eq!(batch.tally().weight(), 3 + 2 * 64);
    }
}

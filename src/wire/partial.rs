//! Pieces that the input ended in: a header, a command, a large body, as far as they came.
//!
//! Each takes of the input what it still needs, and no more. Memory follows what has come, not what was announced.

use super::command::malformed;
use crate::batch::Buffers;
use crate::batch::buffers::Loan;
use crate::batch::frame::{COMMAND, Header, LONG, MAX_HEADER, MORE};
use crate::failure::Failure;
use bytes::{Buf, Bytes, BytesMut};

/// A frame header.
#[derive(Debug, Default)]
pub(super) struct PartialHeader {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

impl PartialHeader {
    /// Takes what it needs of the input; gives the header once it is whole.
    pub(super) fn fill(&mut self, input: &mut Bytes) -> Option<Header> {
        loop {
            let header = Header::parse(self.bytes.get(..self.len)?);
            if header.is_some() {
                return header;
            }
            let (slot, byte) = (self.bytes.get_mut(self.len)?, *input.first()?);
            *slot = byte;
            self.len += 1;
            input.advance(1);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Refuses flags that the RFC does not know, and commands of several frames.
pub(super) fn check_flags(flags: u8) -> Result<(), Failure> {
    if flags & !(MORE | LONG | COMMAND) != 0 {
        return Err(malformed("frame", "reserved flags are set"));
    }
    if flags & (COMMAND | MORE) == COMMAND | MORE {
        return Err(malformed("frame", "a command says that more follows"));
    }
    Ok(())
}

/// The body of a command.
#[derive(Debug)]
pub(super) struct PartialCommand {
    body: BytesMut,
    /// Bytes of the whole body; at most its limit.
    total: usize,
}

impl PartialCommand {
    /// A command whose announced length was compared with its limit.
    pub(super) fn new(total: usize) -> Self {
        PartialCommand {
            body: BytesMut::new(),
            total,
        }
    }

    /// Takes what it needs of the input; gives the body once it is whole.
    pub(super) fn fill(&mut self, input: &mut Bytes) -> Option<Bytes> {
        if self.body.is_empty() && input.len() >= self.total {
            return Some(input.split_to(self.total));
        }
        let missing = self.total.saturating_sub(self.body.len());
        let taken = input.split_to(missing.min(input.len()));
        self.body.extend_from_slice(&taken);
        (self.body.len() == self.total).then(|| std::mem::take(&mut self.body).freeze())
    }

    /// Bytes that are held for it.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        self.body.capacity()
    }
}

/// A large body: it is read straight into its place, and with it the header that follows, so that the next large body
/// is read straight into its place too.
#[derive(Debug)]
pub(super) struct LargeBody {
    /// Invariant: at least `filled` bytes, at most `total` and [`MAX_HEADER`].
    buffer: BytesMut,
    filled: usize,
    total: usize,
    /// Of the buffer, if it was filled before.
    _loan: Option<Loan>,
}

impl LargeBody {
    /// A body whose announced length was compared with its limit.
    pub(super) fn new(total: usize, buffers: &mut Buffers) -> Self {
        let (buffer, loan) = buffers.body(total.saturating_add(MAX_HEADER));
        LargeBody {
            buffer,
            filled: 0,
            total,
            _loan: loan,
        }
    }

    /// Where its next bytes go, and what follows it; grown only when it is full. Never empty until the body is whole.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.filled == self.buffer.len() {
            Buffers::grow(&mut self.buffer, self.total.saturating_add(MAX_HEADER));
        }
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Takes what it needs of the input.
    pub(super) fn fill(&mut self, input: &mut Bytes) {
        while !input.is_empty() && !self.is_whole() {
            let missing = self.total - self.filled;
            let room = self.room();
            let taken = room.len().min(missing).min(input.len());
            if let (Some(place), Some(bytes)) = (room.get_mut(..taken), input.get(..taken)) {
                place.copy_from_slice(bytes);
            }
            input.advance(taken);
            self.filled += taken;
        }
    }

    /// `n` bytes were put into its room. Gives what lies behind the body.
    pub(super) fn handle_filled(&mut self, n: usize) -> Bytes {
        let room = self.buffer.len() - self.filled;
        debug_assert!(n <= room, "more was read than there is room for");
        let end = self.filled + n.min(room);
        self.filled = end.min(self.total);
        Bytes::copy_from_slice(self.buffer.get(self.filled..end).unwrap_or_default())
    }

    /// As much of it as its memory holds: all of it, once it is whole.
    pub(super) fn body_mut(&mut self) -> &mut [u8] {
        let len = self.total.min(self.buffer.len());
        self.buffer.get_mut(..len).unwrap_or_default()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.filled == self.total
    }

    /// The whole body; its memory is remembered, to be filled again.
    pub(super) fn into_bytes(mut self, buffers: &mut Buffers) -> Bytes {
        self.buffer.truncate(self.total);
        buffers.hand_on(self.buffer)
    }

    /// Bytes that are held for it.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        self.buffer.capacity()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::batch::buffers::FIRST_BODY;

    #[test]
    fn a_header_takes_only_its_own_bytes() {
        for (bytes, len) in [(&b"\x01\x05hello"[..], 2), (b"\x02\0\0\0\0\0\0\0\x05hello", 9)] {
            let expected = Header::parse(bytes);
            for cut in 0..len {
                let mut partial = PartialHeader::default();
                assert_eq!(partial.fill(&mut Bytes::from(&bytes[..cut])), None);

                let mut rest = Bytes::from(&bytes[cut..]);
                assert_eq!(partial.fill(&mut rest), expected);

                assert_eq!(&rest[..], b"hello");
            }
        }
    }

    #[test]
    fn of_256_flags_six_are_good() {
        let good: Vec<u8> = (0..=255).filter(|&flags| check_flags(flags).is_ok()).collect();
        assert_eq!(good, [0, MORE, LONG, MORE | LONG, COMMAND, COMMAND | LONG]);
    }

    #[test]
    fn a_command_that_lies_in_the_input_is_not_copied() {
        let mut input = Bytes::from(&b"\x04PINGrest"[..]);
        let at = input.as_ptr();
        let body = PartialCommand::new(5).fill(&mut input).unwrap();
        assert_eq!((body.as_ptr(), &input[..]), (at, &b"rest"[..]));
    }

    #[test]
    fn a_large_body_grows_only_when_it_is_full() {
        let total = 1_000_000;
        let mut body = LargeBody::new(total, &mut Buffers::default());
        let mut came = 0;
        while !body.is_whole() {
            assert!(body.held() <= (2 * came).max(FIRST_BODY));
            let room = body.room();
            assert!(!room.is_empty());
            let n = room.len().min(10_007).min(total - came);
            room[..n].fill(7);
            assert!(body.handle_filled(n).is_empty());
            came += n;
        }
        assert_eq!(body.into_bytes(&mut Buffers::default()), vec![7; total]);
    }
}

//! Short frames of the application's, packed before it is known where they go.
//!
//! To read them and to put each behind its header takes no lock: under one, many are a single copy.

use super::Tally;
use super::frame::{SHORT, SHORT_HEADER};

/// Messages of one short frame each, oldest first, packed as they go over the wire.
#[derive(Debug, Default)]
pub(crate) struct Shorts {
    /// Those that are here lie in `begin..end`; the rest is room for more.
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
    messages: usize,
}

impl Shorts {
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// Packs one more. `false`: it is not short.
    #[inline(always)]
    pub(crate) fn push(&mut self, frame: &[u8]) -> bool {
        let Ok(len) = u8::try_from(frame.len()) else {
            return false;
        };
        if self.bytes.len() - self.end < SHORT_HEADER + SHORT {
            self.make_room();
        }
        let end = self.end + SHORT_HEADER + frame.len();
        if let Some([flags, length, body @ ..]) = self.bytes.get_mut(self.end..end) {
            (*flags, *length) = (0, len);
            copy_short(body, frame);
        }
        self.end = end;
        self.messages += 1;
        true
    }

    /// Where all were taken there is as much room again; until then it grows.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) {
        if self.messages == 0 {
            (self.begin, self.end) = (0, 0);
        }
        if self.bytes.len() - self.end < SHORT_HEADER + SHORT {
            let len = self.bytes.len().saturating_mul(4).max(FIRST_ROOM);
            self.bytes.resize(len, 0);
        }
    }

    /// The body of the oldest.
    pub(crate) fn front(&self) -> Option<&[u8]> {
        let [_, len, rest @ ..] = self.bytes.get(self.begin..self.end)? else {
            return None;
        };
        rest.get(..usize::from(*len))
    }

    /// Takes the oldest, at most so many: packed, and what they are.
    pub(crate) fn take(&mut self, most: usize) -> (&[u8], Tally) {
        let begin = self.begin;
        let messages = most.min(self.messages);
        if messages == self.messages {
            self.begin = self.end;
        } else {
            for _ in 0..messages {
                self.begin += SHORT_HEADER + self.front().map_or(0, <[u8]>::len);
            }
        }
        self.messages -= messages;
        let packed = self.bytes.get(begin..self.begin).unwrap_or_default();
        let payload = packed.len() - messages * SHORT_HEADER;
        (packed, Tally { messages, payload })
    }
}

/// Copies so few bytes by moves of a constant size, which may overlap: of any length a copy is a call, which takes longer than
/// its moves.
#[inline(always)]
fn copy_short(place: &mut [u8], frame: &[u8]) {
    match frame.len() {
        8..=16 => copy_ends::<8>(place, frame),
        17..=32 => copy_ends::<16>(place, frame),
        33..=64 => copy_ends::<32>(place, frame),
        _ => place.copy_from_slice(frame),
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

/// What there is room for at first.
const FIRST_ROOM: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::message::Message;

    #[test]
    fn frames_of_every_short_length_are_packed_and_taken_by_any_number() {
        let bytes: Vec<u8> = (0..=SHORT as u8).collect();
        for most in [1, 2, 3, 50, 255, 256, usize::MAX] {
            let mut shorts = Shorts::default();
            for _twice in 0..2 {
                for len in 0..=SHORT {
                    assert!(shorts.push(&bytes[..len]));
                }
                assert!(!shorts.push(&[0; SHORT + 1]));
                assert_eq!(shorts.messages(), SHORT + 1);

                let mut batch = Batch::default();
                while shorts.messages() > 0 {
                    assert_eq!(shorts.front(), Some(&bytes[..batch.messages()]));
                    let (packed, tally) = shorts.take(most);
                    batch.push_packed(packed, tally);
                }

                assert_eq!(shorts.front(), None);
                assert_eq!(batch.tally().payload, (0..=SHORT).sum::<usize>());
                let mut run = batch.into_run();
                for len in 0..=SHORT {
                    assert_eq!(run.pop(), Some(Message::from(&bytes[..len])));
                }
                assert!(run.is_empty() && run.payload() == 0);
            }
        }
    }
}

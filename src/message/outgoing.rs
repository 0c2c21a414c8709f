//! What a `send` takes, lent or given, before it is packed.

use super::{Frame, Message, SMALL};
use bytes::Bytes;

/// What a `send` takes: a message, or what becomes one.
///
/// What is lent (`&str`, `&[u8]`, `&[&[u8]]`) is copied straight to where it leaves from: nothing is allocated for it
/// up to 16 KiB a frame, and a larger one is copied once into memory of its own. A single slice of 32 KiB to 8 MiB is not
/// copied at all where it can go at once: from a type that sends to whichever peer is next, over TCP or IPC, and if the
/// kernel takes what is queued before it and all of it. What is given (`Vec<u8>`, `String`,
/// `Bytes`, [`Message`], arrays of frames) comes back in the error if it could not be sent. Its frames, and those of a
/// lent [`Message`], go by reference from 4 KiB on.
#[derive(Debug)]
pub struct Outgoing<'a>(pub(crate) Source<'a>);

#[derive(Debug)]
pub(crate) enum Source<'a> {
    Lent(&'a [u8]),
    LentFrames(&'a [&'a [u8]]),
    LentMessage(&'a Message),
    /// Our copy of what was lent.
    Copied(Message),
    Vec(Vec<u8>),
    Message(Message),
}

impl Outgoing<'_> {
    /// What was given away, as a message; `None` if it was only lent.
    pub(crate) fn give_back(self) -> Option<Message> {
        match self.0 {
            Source::Lent(_) | Source::LentFrames(_) | Source::LentMessage(_) | Source::Copied(_) => None,
            Source::Vec(bytes) => Some(Message::from(bytes)),
            Source::Message(message) => Some(message),
        }
    }

    /// Turns an owned vector of at least `least` bytes into a frame that can be shared.
    pub(crate) fn share_large_vec(&mut self, least: usize) {
        if let Source::Vec(bytes) = &mut self.0
            && bytes.len() >= least
        {
            self.0 = Source::Message(Message::from(std::mem::take(bytes)));
        }
    }

    /// Whether a frame was lent that is too large to be copied under a lock.
    #[inline]
    pub(crate) fn is_large_lent(&self) -> bool {
        match &self.0 {
            Source::Lent(frame) => frame.len() > LENT_PACKED,
            Source::LentFrames(frames) => frames.iter().any(|frame| frame.len() > LENT_PACKED),
            Source::LentMessage(_) | Source::Copied(_) | Source::Vec(_) | Source::Message(_) => false,
        }
    }

    /// The only frame, if it was lent and is worth a system call of its own.
    #[inline]
    pub(crate) fn long_lent(&self) -> Option<&[u8]> {
        match self.0 {
            Source::Lent(frame) if (WRITTEN_ALONE..=MOST_WRITTEN_ALONE).contains(&frame.len()) => Some(frame),
            _ => None,
        }
    }

    pub(crate) fn is_copy(&self) -> bool {
        matches!(self.0, Source::Copied(_))
    }

    /// Copies what was lent to memory of our own, if it is large: before a lock is taken.
    #[inline(always)]
    pub(crate) fn copy_large_lent(&mut self, copy: impl Fn(&[u8]) -> Bytes) {
        if self.is_large_lent() {
            self.copy_lent(copy);
        }
    }

    #[inline(never)]
    fn copy_lent(&mut self, copy: impl Fn(&[u8]) -> Bytes) {
        self.0 = Source::Copied(match &self.0 {
            Source::Lent(frame) => Message::one(copy(frame)),
            Source::LentFrames(frames) => Message::many(frames.iter().map(|frame| copy(frame)).collect()),
            _ => return,
        });
    }

    /// The only frame, if it was lent and is packed where it leaves from.
    #[inline(always)]
    pub(crate) fn packed_lent(&self) -> Option<&[u8]> {
        match self.0 {
            Source::Lent(frame) if frame.len() <= LENT_PACKED => Some(frame),
            _ => None,
        }
    }

    /// The bytes of the first frame.
    #[inline]
    pub(crate) fn first(&self) -> &[u8] {
        match &self.0 {
            Source::Lent(frame) => frame,
            Source::LentFrames(frames) => frames.first().copied().unwrap_or_default(),
            Source::LentMessage(message) => message.first(),
            Source::Copied(message) | Source::Message(message) => message.first(),
            Source::Vec(frame) => frame,
        }
    }

    #[inline]
    pub(crate) fn has_several_frames(&self) -> bool {
        match &self.0 {
            Source::Lent(_) | Source::Vec(_) => false,
            Source::LentFrames(frames) => frames.len() > 1,
            Source::LentMessage(message) => message.frame_count() > 1,
            Source::Copied(message) | Source::Message(message) => message.frame_count() > 1,
        }
    }

    pub(crate) fn frame_count(&self) -> usize {
        match &self.0 {
            Source::Lent(_) | Source::Vec(_) => 1,
            Source::LentFrames(frames) => frames.len().max(1),
            Source::LentMessage(message) => message.frame_count(),
            Source::Copied(message) | Source::Message(message) => message.frame_count(),
        }
    }

    /// A message of its own, behind the frames of `envelope`. What is owned is shared, not copied.
    pub(crate) fn share(&mut self, envelope: &[&[u8]]) -> Message {
        self.share_large_vec(SMALL + 1);
        let message = match &self.0 {
            Source::Lent(frame) => Message::small(frame),
            Source::LentFrames(frames) => {
                Message::many(frames.iter().map(|frame| Bytes::copy_from_slice(frame)).collect())
            }
            Source::LentMessage(message) => (*message).clone(),
            Source::Copied(message) | Source::Message(message) => message.clone(),
            Source::Vec(frame) => Message::small(frame),
        };
        if envelope.is_empty() {
            return message;
        }
        let mut frames: Vec<_> = envelope.iter().map(|frame| Bytes::copy_from_slice(frame)).collect();
        frames.extend(message.into_frames());
        Message::many(frames)
    }

    pub(crate) fn byte_count(&self) -> usize {
        match &self.0 {
            Source::Lent(slice) => slice.len(),
            Source::LentFrames(frames) => frames.iter().map(|frame| frame.len()).sum(),
            Source::LentMessage(message) => message.byte_count(),
            Source::Copied(message) => message.byte_count(),
            Source::Vec(bytes) => bytes.len(),
            Source::Message(message) => message.byte_count(),
        }
    }
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    fn from(frame: &'a [u8]) -> Self {
        Outgoing(Source::Lent(frame))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outgoing<'a> {
    fn from(frame: &'a [u8; N]) -> Self {
        Outgoing(Source::Lent(frame))
    }
}

impl<'a> From<&'a str> for Outgoing<'a> {
    fn from(frame: &'a str) -> Self {
        Outgoing(Source::Lent(frame.as_bytes()))
    }
}

impl<'a> From<&'a String> for Outgoing<'a> {
    fn from(frame: &'a String) -> Self {
        Outgoing(Source::Lent(frame.as_bytes()))
    }
}

impl<'a> From<&'a Vec<u8>> for Outgoing<'a> {
    fn from(frame: &'a Vec<u8>) -> Self {
        Outgoing(Source::Lent(frame))
    }
}

/// Several lent frames; an empty slice is one empty frame.
impl<'a> From<&'a [&'a [u8]]> for Outgoing<'a> {
    fn from(frames: &'a [&'a [u8]]) -> Self {
        Outgoing(Source::LentFrames(frames))
    }
}

impl<'a> From<&'a Message> for Outgoing<'a> {
    fn from(message: &'a Message) -> Self {
        Outgoing(Source::LentMessage(message))
    }
}

impl From<Vec<u8>> for Outgoing<'_> {
    fn from(frame: Vec<u8>) -> Self {
        Outgoing(Source::Vec(frame))
    }
}

impl From<String> for Outgoing<'_> {
    fn from(frame: String) -> Self {
        Outgoing(Source::Vec(frame.into_bytes()))
    }
}

impl From<Bytes> for Outgoing<'_> {
    fn from(frame: Bytes) -> Self {
        Outgoing(Source::Message(Message::from(frame)))
    }
}

impl From<Message> for Outgoing<'_> {
    fn from(message: Message) -> Self {
        Outgoing(Source::Message(message))
    }
}

impl<F: Frame, const N: usize> From<[F; N]> for Outgoing<'_> {
    fn from(frames: [F; N]) -> Self {
        Outgoing(Source::Message(Message::from(frames)))
    }
}

/// A lent frame up to this size is packed, and that under the hub's lock; a larger one is copied before, to memory of its
/// own. The loop wants that lock for its next batch: when 1 MiB was copied under it, the sender and its loop took turns,
/// and together had one core busy (1,630 messages a second; 2,690 without).
pub(crate) const LENT_PACKED: usize = 16 * 1024;

/// A lent frame from this size on is written from where it lies, if nothing is queued before it. Measured on two cores:
/// 41,000 messages of 64 KiB a second, where 24,000 were copied; as many of 16 KiB as with copying, and of 8 KiB less than
/// half.
const WRITTEN_ALONE: usize = 32 * 1024;
/// Up to this size: while it is written, the loop may have to wait for who writes it.
const MOST_WRITTEN_ALONE: usize = 8 * 1024 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_is_not_given_back() {
        assert!(Outgoing::from("lent").give_back().is_none());
        assert_eq!(Outgoing::from(vec![1, 2]).give_back().unwrap(), [1, 2]);
    }

    #[test]
    fn a_large_frame_that_was_lent_is_copied_and_not_given_back() {
        let large = vec![9; LENT_PACKED + 1];
        let frames: [&[u8]; 3] = [b"a", &large, b"c"];
        for (mut message, expected) in [
            (Outgoing::from(&large), Message::from(&large[..])),
            (Outgoing::from(&frames[..]), Message::from(frames)),
        ] {
            message.copy_large_lent(Bytes::copy_from_slice);
            assert!(matches!(&message.0, Source::Copied(copy) if *copy == expected));
            assert!(message.give_back().is_none());
        }
        let mut packed = Outgoing::from(&large[..LENT_PACKED]);
        packed.copy_large_lent(Bytes::copy_from_slice);
        assert!(matches!(packed.0, Source::Lent(_)));
    }
}

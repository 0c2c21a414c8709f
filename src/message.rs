//! What an application sends: one to n frames that travel together or not at all.
//!
//! A [`Message`] is a value: cheap to clone, never changed once it is shared. [`Outgoing`] is what a `send` takes: a
//! message, or something that becomes one only once a peer was found for it.

use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// One to n frames that travel together or not at all ([RFC 37](https://rfc.zeromq.org/spec/37/)).
///
/// Cheap to clone, and never changed once it is shared. A single frame of up to 64 bytes lies in the message itself;
/// larger frames share the memory that they were received into with their neighbours, so a small message kept for long
/// may keep a chunk of 256 KiB: [`Message::detach`] copies it out.
///
/// ```
/// use peermq::Message;
/// let message = Message::from(["to", "", "hello"]);
/// assert_eq!(message.frame_count(), 3);
/// assert_eq!(message.frame(2), Some(&b"hello"[..]));
/// assert_eq!(message.frame(3), None);
/// assert_ne!(message, "hello"); // not this one frame alone
/// ```
#[derive(Clone)]
pub struct Message(Repr);

/// Invariant: `Small` and `One` are exactly one frame; `Many` is never empty.
#[derive(Clone)]
enum Repr {
    Small { len: u64, bytes: Inline },
    One(Bytes),
    Many(Arc<Vec<Bytes>>),
}

/// Bytes behind the length may be anything. Aligned, so that moves of a message are moves of whole words.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Inline([u8; SMALL]);

/// Says that an iterator had no frame, and a message has at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message has at least 1 frame")]
pub struct NoFrames;

impl Message {
    /// Makes a message of one frame with no bytes.
    pub const fn empty() -> Self {
        Message(Repr::Small {
            len: 0,
            bytes: Inline([0; SMALL]),
        })
    }

    /// Makes a message of the frames of an iterator, in its order. An iterator without a frame is refused.
    pub fn from_frames<F: Frame>(frames: impl IntoIterator<Item = F>) -> Result<Self, NoFrames> {
        let mut frames = frames.into_iter();
        let first = frames.next().ok_or(NoFrames)?;
        let Some(second) = frames.next() else {
            return Ok(Message::one(first.into_frame()));
        };
        let mut all = vec![first.into_frame(), second.into_frame()];
        all.extend(frames.map(Frame::into_frame));
        Ok(Message(Repr::Many(Arc::new(all))))
    }

    /// Adds one more frame at the end.
    pub fn and(self, frame: impl Frame) -> Self {
        let mut frames = self.into_frames();
        frames.push(frame.into_frame());
        Message(Repr::Many(Arc::new(frames)))
    }

    /// Returns how many frames there are: at least one.
    pub fn frame_count(&self) -> usize {
        match &self.0 {
            Repr::Small { .. } | Repr::One(_) => 1,
            Repr::Many(frames) => frames.len(),
        }
    }

    /// Whether it holds its bytes in itself: nobody's memory is let go with it.
    pub(crate) fn is_small(&self) -> bool {
        matches!(self.0, Repr::Small { .. })
    }

    /// Returns the bytes of all frames together, without any framing.
    pub fn byte_count(&self) -> usize {
        self.frames().map(<[u8]>::len).sum()
    }

    /// Returns the bytes of the first frame: of the whole message, if it has only one.
    pub fn first(&self) -> &[u8] {
        match &self.0 {
            Repr::Small { len, bytes } => bytes.0.get(..*len as usize).unwrap_or_default(),
            Repr::One(frame) => frame,
            Repr::Many(frames) => frames.first().map_or(&[], |frame| frame),
        }
    }

    /// Returns the bytes of one frame, counted from 0; `None` behind the last.
    pub fn frame(&self, index: usize) -> Option<&[u8]> {
        match (&self.0, index) {
            (Repr::Many(frames), _) => frames.get(index).map(|frame| &frame[..]),
            (_, 0) => Some(self.first()),
            _ => None,
        }
    }

    /// Returns the frames in their order.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.frame_count()).filter_map(|index| self.frame(index))
    }

    /// Returns the frames in their order, each as a value of its own. Frames over 64 bytes are shared, not copied.
    pub fn into_frames(self) -> Vec<Bytes> {
        match self.0 {
            Repr::Small { .. } => vec![Bytes::copy_from_slice(self.first())],
            Repr::One(frame) => vec![frame],
            Repr::Many(frames) => Arc::unwrap_or_clone(frames),
        }
    }

    /// Returns the first frame as text, or where it is not UTF-8.
    pub fn to_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(self.first())
    }

    /// Returns a copy that shares memory with nothing. Worth it for a small message that is kept for long.
    pub fn detach(&self) -> Self {
        match &self.0 {
            Repr::Small { .. } => self.clone(),
            Repr::One(frame) => Message(Repr::One(Bytes::copy_from_slice(frame))),
            Repr::Many(frames) => {
                let copies = frames.iter().map(|frame| Bytes::copy_from_slice(frame));
                Message(Repr::Many(Arc::new(copies.collect())))
            }
        }
    }

    /// One frame that was received: copied if it is small, so that it pins nothing.
    #[inline]
    pub(crate) fn one(frame: Bytes) -> Self {
        if frame.len() <= SMALL {
            Message::small(&frame)
        } else {
            Message(Repr::One(frame))
        }
    }

    /// Becomes one small frame: the first `len` bytes of what follows its header.
    ///
    /// In place, and where there is enough to copy by the constant size: four moves. A copy of `len` bytes is a call,
    /// and the next read of what it wrote stalls; together that was a third of the time of a receive.
    #[inline(always)]
    pub(crate) fn become_small(&mut self, bytes: &[u8], frame_len: usize) {
        if !matches!(self.0, Repr::Small { .. }) {
            *self = Message::empty();
        }
        let Repr::Small { len, bytes: place } = &mut self.0 else {
            return;
        };
        if let Some(chunk) = bytes.first_chunk() {
            place.0 = *chunk;
            *len = frame_len as u64;
        } else if let (Some(place), Some(frame)) = (place.0.get_mut(..frame_len), bytes.get(..frame_len)) {
            place.copy_from_slice(frame);
            *len = frame_len as u64;
        }
    }

    /// One frame of at most [`SMALL`] bytes; a longer one is copied to memory of its own.
    #[inline]
    pub(crate) fn small(frame: &[u8]) -> Self {
        let mut bytes = Inline([0; SMALL]);
        match bytes.0.get_mut(..frame.len()) {
            Some(place) => {
                place.copy_from_slice(frame);
                let len = frame.len() as u64;
                Message(Repr::Small { len, bytes })
            }
            None => Message(Repr::One(Bytes::copy_from_slice(frame))),
        }
    }

    /// Several frames; none at all is one empty frame.
    pub(crate) fn many(mut frames: Vec<Bytes>) -> Self {
        match frames.len() {
            0 => Message::empty(),
            1 => Message::one(frames.remove(0)),
            _ => Message(Repr::Many(Arc::new(frames))),
        }
    }

    /// The frames as they lie, for who packs them: small ones lent, large ones to be shared.
    pub(crate) fn for_each_frame(&self, mut each: impl FnMut(Piece<'_>)) {
        match &self.0 {
            Repr::Small { .. } => each(Piece::Lent(self.first())),
            Repr::One(frame) => each(Piece::Owned(frame)),
            Repr::Many(frames) => frames.iter().for_each(|frame| each(Piece::Owned(frame))),
        }
    }
}

/// A frame for whoever packs it: borrowed from the caller, or ours to share.
#[derive(Clone, Copy)]
pub(crate) enum Piece<'a> {
    Lent(&'a [u8]),
    Owned(&'a Bytes),
}

impl Piece<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Piece::Lent(slice) => slice,
            Piece::Owned(bytes) => bytes,
        }
    }
}

/// What can be one frame of a message. Of any size that memory holds; peers have limits of their own for what they
/// receive (ours: [`Options::max_message_size`](crate::Options::max_message_size)).
pub trait Frame {
    /// Returns the frame's bytes; what is owned is moved, what is borrowed is copied.
    fn into_frame(self) -> Bytes;
}

impl Frame for Bytes {
    fn into_frame(self) -> Bytes {
        self
    }
}

impl Frame for Vec<u8> {
    fn into_frame(self) -> Bytes {
        Bytes::from(self)
    }
}

impl Frame for String {
    fn into_frame(self) -> Bytes {
        Bytes::from(self)
    }
}

impl Frame for &str {
    fn into_frame(self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }
}

impl Frame for &[u8] {
    fn into_frame(self) -> Bytes {
        Bytes::copy_from_slice(self)
    }
}

impl<const N: usize> Frame for &[u8; N] {
    fn into_frame(self) -> Bytes {
        Bytes::copy_from_slice(self)
    }
}

impl From<&[u8]> for Message {
    fn from(frame: &[u8]) -> Self {
        Message::small(frame)
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(frame: &[u8; N]) -> Self {
        Message::small(frame)
    }
}

impl From<&str> for Message {
    fn from(frame: &str) -> Self {
        Message::small(frame.as_bytes())
    }
}

impl From<Vec<u8>> for Message {
    fn from(frame: Vec<u8>) -> Self {
        if frame.len() <= SMALL {
            Message::small(&frame)
        } else {
            Message(Repr::One(Bytes::from(frame)))
        }
    }
}

impl From<String> for Message {
    fn from(frame: String) -> Self {
        Message::from(frame.into_bytes())
    }
}

impl From<Bytes> for Message {
    fn from(frame: Bytes) -> Self {
        Message::one(frame)
    }
}

/// An array of frames; an empty array does not compile.
impl<F: Frame, const N: usize> From<[F; N]> for Message {
    fn from(frames: [F; N]) -> Self {
        const { assert!(N > 0, "a message has at least 1 frame") };
        Message::many(frames.into_iter().map(Frame::into_frame).collect())
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.frame_count() == other.frame_count() && self.frames().eq(other.frames())
    }
}

impl Eq for Message {}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Message {
    /// Whether the message is this one frame.
    fn eq(&self, frame: &T) -> bool {
        self.frame_count() == 1 && self.first() == frame.as_ref()
    }
}

/// Shows at most 64 bytes of each of at most 8 frames, escaped.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for frame in self.frames().take(8) {
            let shown = frame.get(..64).unwrap_or(frame);
            let more = if shown.len() < frame.len() { ".." } else { "" };
            list.entry(&format_args!("b\"{}{more}\"", shown.escape_ascii()));
        }
        if self.frame_count() > 8 {
            list.entry(&format_args!(".. {} frames", self.frame_count()));
        }
        list.finish()
    }
}

/// What a `send` takes: a message, or what becomes one.
///
/// What is lent (`&str`, `&[u8]`, `&[&[u8]]`) is copied straight to where it leaves from: nothing is allocated for it
/// up to 16 KiB a frame, and a larger one is copied once into memory of its own. What is given (`Vec<u8>`, `String`,
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

    pub(crate) fn is_copy(&self) -> bool {
        matches!(self.0, Source::Copied(_))
    }

    /// Copies what was lent to memory of our own, if it is large: before a lock is taken.
    #[inline]
    pub(crate) fn copy_large_lent(&mut self, copy: impl Fn(&[u8]) -> Bytes) {
        if self.is_large_lent() {
            self.0 = Source::Copied(match &self.0 {
                Source::Lent(frame) => Message::one(copy(frame)),
                Source::LentFrames(frames) => Message::many(frames.iter().map(|frame| copy(frame)).collect()),
                _ => return,
            });
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

/// The largest frame that a message holds in itself.
pub(crate) const SMALL: usize = 64;
/// A lent frame up to this size is packed, and that under the hub's lock; a larger one is copied before, to memory of its
/// own. The loop wants that lock for its next batch: when 1 MiB was copied under it, the sender and its loop took turns,
/// and together had one core busy (1,630 messages a second; 2,690 without).
pub(crate) const LENT_PACKED: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_gives_the_same_message() {
        let expected = Message::from("hello");
        assert_eq!(Message::from(&b"hello"[..]), expected);
        assert_eq!(Message::from(b"hello"), expected);
        assert_eq!(Message::from(b"hello".to_vec()), expected);
        assert_eq!(Message::from(String::from("hello")), expected);
        assert_eq!(Message::from(Bytes::from_static(b"hello")), expected);
        assert_eq!(Message::from(["hello"]), expected);
        assert_eq!(Message::from_frames(["hello"]), Ok(expected.clone()));
        assert_eq!(expected, "hello");
    }

    #[test]
    fn an_iterator_without_frames_is_refused() {
        assert_eq!(Message::from_frames::<&str>([]), Err(NoFrames));
    }

    #[test]
    fn frames_keep_their_order_and_their_borders() {
        let message = Message::from(["a", "", "bc"]).and("d");
        assert_eq!(message.frames().collect::<Vec<_>>(), [&b"a"[..], b"", b"bc", b"d"]);
        assert_eq!(message.byte_count(), 4);
        assert_ne!(message, Message::from(["a", "", "b", "cd"]));
        assert_ne!(Message::from(["a", "b"]), "a");
    }

    #[test]
    fn a_message_is_its_small_frame_and_two_words() {
        assert_eq!(size_of::<Message>(), SMALL + 16);
    }

    #[test]
    fn the_edges_of_a_small_message() {
        for size in [0, 1, 63, 64, 65, 300] {
            let bytes = vec![7; size];
            let message = Message::from(bytes.clone());
            assert_eq!(message.first(), &bytes[..]);
            assert_eq!(message.detach(), message);
            assert_eq!(message.into_frames(), [bytes]);
        }
    }

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

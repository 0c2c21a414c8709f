//! What an application sends: one to n frames that travel together or not at all.
//!
//! A [`Message`] is a value: cheap to clone, never changed once it is shared. [`Outgoing`] is what a `send` takes: a
//! message, or something that becomes one only once a peer was found for it.

mod inline;
mod outgoing;

pub(crate) use inline::SMALL;
pub use outgoing::Outgoing;
pub(crate) use outgoing::{LENT_PACKED, Source};

use bytes::Bytes;
use inline::Inline;
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
    Small(Inline),
    One(Bytes),
    Many(Arc<Vec<Bytes>>),
}

/// Says that an iterator had no frame, and a message has at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message has at least 1 frame")]
pub struct NoFrames;

impl Message {
    /// Makes a message of one frame with no bytes.
    pub const fn empty() -> Self {
        Message(Repr::Small(Inline::EMPTY))
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
            Repr::Small(_) | Repr::One(_) => 1,
            Repr::Many(frames) => frames.len(),
        }
    }

    /// Whether it holds its bytes in itself: nobody's memory is let go with it.
    pub(crate) fn is_small(&self) -> bool {
        matches!(self.0, Repr::Small(_))
    }

    /// Returns the bytes of all frames together, without any framing.
    pub fn byte_count(&self) -> usize {
        self.frames().map(<[u8]>::len).sum()
    }

    /// Returns the bytes of the first frame: of the whole message, if it has only one.
    pub fn first(&self) -> &[u8] {
        match &self.0 {
            Repr::Small(frame) => frame.as_slice(),
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
            Repr::Small(_) => vec![Bytes::copy_from_slice(self.first())],
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
            Repr::Small(_) => self.clone(),
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
    #[inline(always)]
    pub(crate) fn become_small(&mut self, bytes: &[u8], len: usize) {
        if !matches!(self.0, Repr::Small(_)) {
            *self = Message::empty();
        }
        if let Repr::Small(frame) = &mut self.0 {
            frame.become_front(bytes, len);
        }
    }

    /// One small frame: the first `len` of these bytes. `None`: it would be longer.
    #[inline(always)]
    pub(crate) fn small_front(bytes: &[u8; SMALL], len: usize) -> Option<Self> {
        Inline::front(bytes, len).map(|frame| Message(Repr::Small(frame)))
    }

    /// One frame of at most [`SMALL`] bytes; a longer one is copied to memory of its own.
    #[inline]
    pub(crate) fn small(frame: &[u8]) -> Self {
        Message(match Inline::new(frame) {
            Some(inline) => Repr::Small(inline),
            None => Repr::One(Bytes::copy_from_slice(frame)),
        })
    }

    /// Several frames; none at all is one empty frame.
    pub(crate) fn many(mut frames: Vec<Bytes>) -> Self {
        match frames.len() {
            0 => Message::empty(),
            1 => Message::one(frames.remove(0)),
            _ => Message(Repr::Many(Arc::new(frames))),
        }
    }

    /// The frames from this one on, taken off the others.
    pub(crate) fn split_off(frames: &mut Vec<Bytes>, at: usize) -> Self {
        match frames.len().checked_sub(at) {
            Some(1) => frames.pop().map_or_else(Message::empty, Message::one),
            Some(_) => Message::many(frames.split_off(at)),
            None => Message::empty(),
        }
    }

    /// The frames as they lie, for who packs them: small ones lent, large ones to be shared.
    pub(crate) fn for_each_frame(&self, mut each: impl FnMut(Piece<'_>)) {
        match &self.0 {
            Repr::Small(_) => each(Piece::Lent(self.first())),
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

#[cfg(all(test, not(loom)))]
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
    fn the_edges_of_a_small_message() {
        for size in [0, 1, 63, 64, 65, 300] {
            let bytes = vec![7; size];
            let message = Message::from(bytes.clone());
            assert_eq!(message.first(), &bytes[..]);
            assert_eq!(message.detach(), message);
            assert_eq!(message.into_frames(), [bytes]);
        }
    }
}

//! MESSAGE: a frame in a box, in traffic under CURVE.
//!
//! Batches are sealed frame by frame on their way out, and on their way in become again what they were: ZMTP's framing, in
//! which messages, commands and limits are looked for as they are without CURVE.

use super::command::malformed;
use super::inbox::{COMMAND_BYTES, OWN_BUFFER};
use super::partial::{LargeBody, check_flags};
use crate::batch::Buffers;
use crate::batch::frame::{COMMAND, Header, MAX_HEADER, MORE, header_len, put_header};
use crate::cipher::{MessageKey, TAG_BYTES};
use crate::failure::Failure;
use crate::limit::Limit;
use crate::options::Limits;
use bytes::{Buf, Bytes, BytesMut};
use std::io::IoSlice;
use std::ops::Range;

/// Seals what goes out of one connection.
pub(crate) struct Sealer {
    key: MessageKey,
    nonce: u64,
}

/// Opens what comes in.
pub(super) struct Opener {
    key: MessageKey,
    /// The last one. Invariant: each is one more than the one before.
    nonce: u64,
    limits: Limits,
    /// A frame that is not whole, from its header on.
    sealed: BytesMut,
    /// Instead of it, the body of one that is large: it is read straight into its place, and opened there.
    large: Option<LargeBody>,
    /// What is wrong behind what was given: told once that is used up.
    failure: Option<Failure>,
}

impl Sealer {
    pub(super) fn new(key: MessageKey, nonce: u64) -> Self {
        Sealer { key, nonce }
    }

    /// Seals whole frames from the front of what is to be written, at least one, until there are about `enough` bytes of
    /// boxes. Gives how many bytes were sealed; `None`: no nonce is left.
    pub(crate) fn seal(&mut self, pieces: &[IoSlice<'_>], enough: usize, out: &mut Vec<u8>) -> Option<usize> {
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        // At once for one frame, and for a whole group; in between it grows.
        out.reserve(bytes.min(enough) + MAX_HEADER + OVERHEAD);
        let mut all = Pieces { pieces, at: 0 };
        let mut taken = 0;
        while out.len() < enough
            && let Some(header) = all.header()
            && let Ok(body) = usize::try_from(header.body)
            && all.has(header.len + body)
        {
            self.seal_one(header, body, &mut all, out)?;
            taken += header.len + body;
        }
        Some(taken)
    }

    fn seal_one(&mut self, header: Header, body: usize, all: &mut Pieces<'_>, out: &mut Vec<u8>) -> Option<()> {
        let nonce = self.nonce;
        self.nonce = nonce.checked_add(1)?;
        put_header(out, 0, OVERHEAD + body);
        out.extend_from_slice(NAME);
        out.extend_from_slice(&nonce.to_be_bytes());
        let tag_at = out.len();
        out.extend_from_slice(&[0; TAG_BYTES]);
        let plain_at = out.len();
        out.push((header.flags & MORE) | if header.is_command() { INNER_COMMAND } else { 0 });
        all.skip(header.len);
        all.copy(body, out);
        let tag = self.key.seal_in_place(nonce, out.get_mut(plain_at..)?);
        out.get_mut(tag_at..plain_at)?.copy_from_slice(&tag);
        Some(())
    }
}

/// Of frames that were sealed and of which the first `written` bytes are written: how many bytes they had before, those
/// that are wholly written.
pub(crate) fn plain_of(sealed: &[u8], written: usize) -> usize {
    let (mut at, mut plain) = (0, 0);
    while let Some(header) = sealed.get(at..).and_then(Header::parse)
        && let Ok(body) = usize::try_from(header.body)
        && at + header.len + body <= written
    {
        at += header.len + body;
        let body = body.saturating_sub(OVERHEAD);
        plain += header_len(body) + body;
    }
    plain
}

impl Opener {
    pub(super) fn new(key: MessageKey, nonce: u64, limits: Limits) -> Self {
        Opener {
            key,
            nonce,
            limits,
            sealed: BytesMut::new(),
            large: None,
            failure: None,
        }
    }

    /// What these bytes were before they were sealed: whole frames. What is wrong with one is told by
    /// [`Opener::take_failure`].
    pub(super) fn open(&mut self, mut input: Bytes, buffers: &mut Buffers) -> Bytes {
        let Some(large) = &mut self.large else {
            return self.open_all(&input, buffers);
        };
        large.fill(&mut input);
        let first = self.open_large(buffers);
        if input.is_empty() {
            return first;
        }
        let others = self.open_all(&input, buffers);
        Bytes::from([first, others].concat())
    }

    /// Where the rest of a large frame, and a header behind it, is to be read into.
    pub(super) fn body_wanted(&mut self) -> Option<&mut [u8]> {
        self.large.as_mut().map(LargeBody::room)
    }

    /// `n` bytes were read there. Gives what they were, like [`Opener::open`].
    pub(super) fn handle_body(&mut self, n: usize, buffers: &mut Buffers) -> Bytes {
        let behind = self.large.as_mut().map(|large| large.handle_filled(n));
        let opened = self.open_large(buffers);
        // A header, or less.
        let others = self.open_all(&behind.unwrap_or_default(), buffers);
        debug_assert!(others.is_empty(), "what is so short is no box");
        opened
    }

    /// Opens the large frame, if it is whole.
    fn open_large(&mut self, buffers: &mut Buffers) -> Bytes {
        let Some(mut large) = self.large.take_if(|large| large.is_whole()) else {
            return Bytes::new();
        };
        match self.open_body(large.body_mut()) {
            Ok(flags) => {
                let len = large.body_mut().len() - OVERHEAD;
                let start = OVERHEAD - header_len(len);
                if let Some(mut place) = large.body_mut().get_mut(start..) {
                    put_header(&mut place, flags, len);
                }
                let mut opened = large.into_bytes(buffers);
                opened.advance(start);
                opened
            }
            Err(failure) => {
                self.failure = Some(failure);
                Bytes::new()
            }
        }
    }

    /// If what is not whole is a large frame, it gets its place.
    fn begin_large(&mut self, buffers: &mut Buffers) {
        let Some(header) = Header::parse(&self.sealed).filter(|_| self.failure.is_none()) else {
            return;
        };
        match self.check(&header) {
            Ok(body) if body >= OWN_BUFFER => {
                let mut came = std::mem::take(&mut self.sealed).freeze();
                came.advance(header.len);
                let mut large = LargeBody::new(body, buffers);
                large.fill(&mut came);
                self.large = Some(large);
            }
            Ok(_) => {}
            Err(failure) => self.failure = Some(failure),
        }
    }

    fn open_all(&mut self, input: &[u8], buffers: &mut Buffers) -> Bytes {
        if self.failure.is_some() {
            return Bytes::new();
        }
        self.make_room(input.len());
        self.sealed.extend_from_slice(input);
        // Opened, a frame is shorter: what is opened never meets what is not. The first stays where it is, and others move up
        // to it: of large ones there is one at a time.
        let (mut from, mut opened) = (0, None::<Range<usize>>);
        loop {
            match self.open_one(from, opened.as_ref().map(|opened| opened.end)) {
                Ok(Some((read, frame))) => {
                    let start = opened.map_or(frame.start, |opened| opened.start);
                    (from, opened) = (read, Some(start..frame.end));
                }
                Ok(None) => break,
                Err(failure) => {
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        let opened = opened.map_or_else(Bytes::new, |Range { start, end }| {
            let rest = self.sealed.get(from..).unwrap_or_default();
            let rest = BytesMut::from(rest);
            let mut opened = std::mem::replace(&mut self.sealed, rest);
            opened.truncate(end);
            opened.advance(start);
            opened.freeze()
        });
        self.begin_large(buffers);
        opened
    }

    /// Room for so many bytes more: for no more than what came again, and not beyond the end of the frame that is begun.
    fn make_room(&mut self, more: usize) {
        let (came, wanted) = (self.sealed.len(), self.sealed.len().saturating_add(more));
        if self.sealed.capacity() >= wanted {
            return;
        }
        let header = Header::parse(&self.sealed);
        let end = header.map_or(0, |header| (header.len as u64).saturating_add(header.body));
        let end = usize::try_from(end).unwrap_or(usize::MAX).max(wanted);
        let mut larger = BytesMut::with_capacity(came.saturating_mul(2).clamp(wanted, end));
        larger.extend_from_slice(&self.sealed);
        self.sealed = larger;
    }

    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        let failure = self.failure.take();
        if failure.is_some() {
            self.sealed = BytesMut::new();
            self.large = None;
        }
        failure
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.large.is_none()
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        self.sealed.capacity() + self.large.as_ref().map_or(0, LargeBody::held)
    }

    /// Whether a frame may begin so; gives how long its body is.
    fn check(&self, header: &Header) -> Result<usize, Failure> {
        check_flags(header.flags)?;
        if header.has_more() {
            return Err(malformed("MESSAGE", "it says that more follows"));
        }
        // The limit is one of whole messages; for one frame it stands before anything is kept.
        let most = self
            .limits
            .message_bytes
            .max(COMMAND_BYTES as u64)
            .saturating_add(OVERHEAD as u64);
        let too_large = || {
            let observed = header.body.saturating_sub(OVERHEAD as u64);
            Failure::too_large(Limit::MessageSize, self.limits.message_bytes, observed)
        };
        match usize::try_from(header.body) {
            Ok(body) if header.body <= most => Ok(body),
            _ => Err(too_large()),
        }
    }

    /// Opens a frame's body where it lies: behind what is added to it, which it still has in front. Gives its flags.
    fn open_body(&mut self, body: &mut [u8]) -> Result<u8, Failure> {
        let short = || malformed("MESSAGE", "it is too short");
        let (name, rest) = body.split_first_chunk_mut::<8>().ok_or_else(short)?;
        if name != NAME {
            return Err(malformed("MESSAGE", "it is none"));
        }
        let (nonce, rest) = rest.split_first_chunk_mut().ok_or_else(short)?;
        let (tag, plain) = rest.split_first_chunk_mut().ok_or_else(short)?;
        let nonce = u64::from_be_bytes(*nonce);
        // All senders count: where one is missing, somebody has taken a frame out.
        match self.nonce.checked_add(1) {
            Some(next) if nonce == next => {}
            Some(next) if nonce > next => return Err(malformed("MESSAGE", "one before it is missing")),
            _ => return Err(malformed("MESSAGE", "its nonce was used before")),
        }
        if plain.is_empty() {
            return Err(short());
        }
        if !self.key.open_in_place(nonce, tag, plain) {
            return Err(Failure::Unopened { what: "MESSAGE" });
        }
        self.nonce = nonce;
        let inner = plain.first().copied().unwrap_or_default();
        if inner & !(MORE | INNER_COMMAND) != 0 {
            return Err(malformed("MESSAGE", "reserved flags are set"));
        }
        Ok((inner & MORE) | if inner & INNER_COMMAND != 0 { COMMAND } else { 0 })
    }

    /// Opens the frame at `from`, and puts what it was to `to`, or leaves it where it is. Gives where the frame ends, and
    /// where what it was lies; `None`: it is not whole.
    fn open_one(&mut self, from: usize, to: Option<usize>) -> Result<Option<(usize, Range<usize>)>, Failure> {
        let Some(header) = self.sealed.get(from..).and_then(Header::parse) else {
            return Ok(None);
        };
        let body = self.check(&header)?;
        let begin = from + header.len;
        let mut sealed = std::mem::take(&mut self.sealed);
        let flags = match sealed.get_mut(begin..).and_then(|rest| rest.get_mut(..body)) {
            Some(frame) => self.open_body(frame).map(Some),
            None => Ok(None),
        };
        self.sealed = sealed;
        let Some(flags) = flags? else {
            return Ok(None);
        };
        let end = begin + body;
        let len = body - OVERHEAD;
        let head_len = header_len(len);
        let to = to.unwrap_or(end - len - head_len);
        if let Some(mut place) = self.sealed.get_mut(to..to + head_len) {
            put_header(&mut place, flags, len);
        }
        self.sealed.copy_within(end - len..end, to + head_len);
        Ok(Some((end, to..to + head_len + len)))
    }
}

/// Pieces of framed messages, read as one.
struct Pieces<'a> {
    pieces: &'a [IoSlice<'a>],
    /// How much of the first is read.
    at: usize,
}

impl<'a> Pieces<'a> {
    /// The header that is next; none lies in two pieces.
    fn header(&mut self) -> Option<Header> {
        self.next_piece().and_then(Header::parse)
    }

    fn next_piece(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.pieces.first()?.get(self.at..).unwrap_or_default();
            if !rest.is_empty() {
                return Some(rest);
            }
            self.pieces = self.pieces.get(1..)?;
            self.at = 0;
        }
    }

    fn has(&self, bytes: usize) -> bool {
        let mut left = bytes.saturating_add(self.at);
        self.pieces.iter().any(|piece| {
            left = left.saturating_sub(piece.len());
            left == 0
        })
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn copy(&mut self, bytes: usize, out: &mut Vec<u8>) {
        let mut left = bytes;
        while left > 0
            && let Some(piece) = self.next_piece()
        {
            let taken = piece.get(..left.min(piece.len())).unwrap_or_default();
            out.extend_from_slice(taken);
            self.at += taken.len();
            left -= taken.len();
        }
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener(.., {} bytes)", self.sealed.len())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// How a MESSAGE begins.
const NAME: &[u8; 8] = b"\x07MESSAGE";
/// What a box adds to a frame's body: name, nonce, tag and flags.
const OVERHEAD: usize = 8 + 8 + TAG_BYTES + 1;
/// In a box the flag of commands is another.
const INNER_COMMAND: u8 = 2;

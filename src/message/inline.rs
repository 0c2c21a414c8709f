//! A small frame that lies in its message.
//!
//! A message is moved soon after it was written, and a processor waits where it reads in one piece what was written in
//! two that have not reached its cache yet. So the length is one word, which also says what kind of message it is: the
//! compiler puts the other kinds where no length can be. (Kind and length beside each other, each a word, cost a fifth
//! of a receive.)

/// The longest frame that lies in its message.
pub(crate) const SMALL: usize = 64;

/// Up to [`SMALL`] bytes; those behind the length may be anything.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Inline {
    bytes: Words,
    len: Len,
}

/// Aligned, so that moves are moves of whole words.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Words([u8; SMALL]);

impl Inline {
    pub(super) const EMPTY: Inline = Inline {
        bytes: Words([0; SMALL]),
        len: Len::L0,
    };

    /// `None`: it is longer than [`SMALL`].
    #[inline]
    pub(super) fn new(frame: &[u8]) -> Option<Self> {
        let mut inline = Inline::EMPTY;
        inline.len = *Len::ALL.get(frame.len())?;
        inline.bytes.0.get_mut(..frame.len())?.copy_from_slice(frame);
        Some(inline)
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.0.get(..self.len as usize).unwrap_or_default()
    }

    /// The first `len` of these bytes. `None`: there are not as many.
    #[inline(always)]
    pub(super) fn front(bytes: &[u8; SMALL], len: usize) -> Option<Self> {
        let &len = Len::ALL.get(len)?;
        let bytes = Words(*bytes);
        Some(Inline { bytes, len })
    }

    /// Becomes the first `len` bytes of what lies in memory from there on. Longer than [`SMALL`], or than that: nothing
    /// happens.
    ///
    /// In place, and where there is enough to copy by the constant size: four moves. A copy of `len` bytes is a call,
    /// and the next read of what it wrote stalls; together that was a third of the time of a receive.
    #[inline(always)]
    pub(super) fn become_front(&mut self, bytes: &[u8], len: usize) {
        let Some(&name) = Len::ALL.get(len) else { return };
        if let Some(chunk) = bytes.first_chunk() {
            self.bytes.0 = *chunk;
            self.len = name;
        } else if let (Some(place), Some(frame)) = (self.bytes.0.get_mut(..len), bytes.get(..len)) {
            place.copy_from_slice(frame);
            self.len = name;
        }
    }
}

macro_rules! lengths {
    ($($name:ident)*) => {
        /// A length, of a word that can be nothing else.
        #[derive(Clone, Copy)]
        #[repr(u64)]
        enum Len { $($name),* }

        impl Len {
            const ALL: [Len; SMALL + 1] = [$(Len::$name),*];
        }
    };
}

lengths!(
    L0 L1 L2 L3 L4 L5 L6 L7 L8 L9 L10 L11 L12 L13 L14 L15 L16 L17 L18 L19 L20 L21 L22 L23 L24 L25 L26 L27 L28 L29 L30 L31
    L32 L33 L34 L35 L36 L37 L38 L39 L40 L41 L42 L43 L44 L45 L46 L47 L48 L49 L50 L51 L52 L53 L54 L55 L56 L57 L58 L59 L60
    L61 L62 L63 L64
);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_length_up_to_the_longest_is_kept() {
        let bytes: Vec<u8> = (0..=200).collect();
        for len in 0..=SMALL {
            assert_eq!(
                Inline::new(&bytes[..len]).map(|inline| inline.as_slice().to_vec()),
                Some(bytes[..len].to_vec())
            );
            for behind in [0, 1, 100] {
                let mut inline = Inline::new(b"before").unwrap();
                inline.become_front(&bytes[..len + behind], len);
                assert_eq!(inline.as_slice(), &bytes[..len]);
            }
        }
        assert!(Inline::new(&bytes[..=SMALL]).is_none());
    }

    #[test]
    fn what_kind_of_message_it_is_takes_no_room() {
        assert_eq!(size_of::<crate::Message>(), SMALL + 8);
        assert_eq!(size_of::<Result<crate::Message, crate::RecvError>>(), SMALL + 8);
    }
}

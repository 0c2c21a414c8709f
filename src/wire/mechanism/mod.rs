//! Which security mechanism a connection uses: both greetings must name the same one.
//!
//! Each mechanism has a file, which says what its commands mean until traffic begins. So far there is NULL.

pub(super) mod null;

use crate::failure::{Failure, printable};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Null,
}

impl Mechanism {
    pub(super) fn name(self) -> &'static str {
        match self {
            Mechanism::Null => "NULL",
        }
    }

    /// The name as it stands in a greeting: padded with zeros.
    pub(super) fn field(self) -> [u8; FIELD] {
        let mut field = [0; FIELD];
        for (slot, byte) in field.iter_mut().zip(self.name().bytes()) {
            *slot = byte;
        }
        field
    }

    /// Compares ours with the field of the peer's greeting.
    pub(super) fn check(self, theirs: &[u8]) -> Result<(), Failure> {
        if theirs == self.field() {
            return Ok(());
        }
        let end = theirs.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        Err(Failure::MechanismMismatch {
            ours: self.name(),
            theirs: printable(theirs.get(..end).unwrap_or_default()),
        })
    }
}

/// Bytes of a mechanism's name in a greeting.
pub(super) const FIELD: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_name_with_its_padding_will_do() {
        assert_eq!(Mechanism::Null.check(b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), Ok(()));
        let others: [(&[u8; FIELD], &str); 4] = [
            (b"CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "CURVE"),
            (
                b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x",
                "NULL\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00x",
            ),
            (b"null\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "null"),
            (&[0; FIELD], ""),
        ];
        for (field, shown) in others {
            let theirs = shown.to_owned();
            assert_eq!(
                Mechanism::Null.check(field),
                Err(Failure::MechanismMismatch { ours: "NULL", theirs })
            );
        }
    }
}

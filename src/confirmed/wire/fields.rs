//! The fields of a head, read one after the other: each length is compared before it is used.

use super::{LONGEST_MS, MOST_IDS, Malformed, TaskId};
use bytes::Bytes;
use std::num::NonZeroU64;

/// What has not been read yet.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(octets: &'a [u8]) -> Self {
        Fields(octets)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn octet(&mut self) -> Result<u8, Malformed> {
        self.take().map(|[octet]| octet)
    }

    pub(super) fn number_to(&mut self, most: u32, over: &'static str) -> Result<u32, Malformed> {
        let number = u32::from_be_bytes(self.take()?);
        if number > most {
            return Err(Malformed::Form(over));
        }
        Ok(number)
    }

    pub(super) fn lease(&mut self) -> Result<u32, Malformed> {
        match self.number_to(LONGEST_MS, "its lease is over a day")? {
            0 => Err(Malformed::Form("its lease is 0")),
            lease => Ok(lease),
        }
    }

    pub(super) fn id(&mut self) -> Result<TaskId, Malformed> {
        let id = NonZeroU64::new(u64::from_be_bytes(self.take()?));
        id.map(TaskId).ok_or(Malformed::Form("an id is 0"))
    }

    pub(super) fn ids(&mut self) -> Result<Vec<TaskId>, Malformed> {
        let count = usize::from(u16::from_be_bytes(self.take()?));
        if count > MOST_IDS {
            return Err(Malformed::Form("it has over 1,024 ids"));
        }
        // Ids are the last field: nothing is taken for them that is not there.
        if self.0.len() != count * ID_LEN {
            return Err(Malformed::Form("its ids are not as many as it says"));
        }
        (0..count).map(|_| self.id()).collect()
    }

    fn octets(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (field, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(field)
    }

    pub(super) fn text(&mut self, length: usize, longest: usize, over: &'static str) -> Result<Bytes, Malformed> {
        if length > longest {
            return Err(Malformed::Form(over));
        }
        self.octets(length).map(Bytes::copy_from_slice)
    }

    pub(super) fn reason(&mut self) -> Result<String, Malformed> {
        let length = usize::from(self.octet()?);
        let reason = std::str::from_utf8(self.octets(length)?);
        reason
            .map(str::to_owned)
            .map_err(|_| Malformed::Form("its reason is not text"))
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        if !self.0.is_empty() {
            return Err(Malformed::Form("it goes on behind its last field"));
        }
        Ok(())
    }
}

const ID_LEN: usize = 8;
const CUT: Malformed = Malformed::Form("it is cut short");

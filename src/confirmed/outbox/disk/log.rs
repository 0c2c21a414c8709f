//! The log: what was stored of late, in front of the store.
//!
//! For each of its transactions the store writes pages of a tree, many more octets than a small group has. So a small group goes
//! here first, behind those before it: one write over octets that the file has already, which is the least that a disk takes.
//! What has gathered becomes rows in one transaction, and with it the log begins a new *round* from its first octet.
//!
//! ```text
//! log   = *entry              each from a multiple of 4,096 octets on, so that none is in danger while the next is written
//! entry = tag(16) length(4) count(4) *settled(8) *record        length: octets of records; count: ids that are settled
//! ```
//!
//! Big-endian. The tag is Poly1305 of what stands behind it, with a key of a secret of the outbox, the round and the place: an
//! entry that is cut, of another round or only looks like one is none, and ends the log. Tasks may be of strangers, and what they
//! bring may look like one.

use super::medium::Medium;
use super::record::{self, Unreadable};
use crate::cipher::{TAG_BYTES, tag};
use std::io::{self, ErrorKind};

/// Where small groups are written to.
pub(super) struct Log {
    medium: Medium,
    /// The outbox's own, chosen by chance.
    secret: [u8; 16],
    round: u64,
    /// Where the next entry goes. `None`: nowhere before it begins anew, as it is not known what stands there.
    end: Option<u64>,
    /// The entry that is being written; at most as large as the log.
    entry: Vec<u8>,
}

impl Log {
    /// The log as it was found. It begins anew before it takes an entry.
    pub(super) fn found(medium: &Medium, secret: [u8; 16], round: u64) -> Self {
        Log {
            medium: medium.clone(),
            secret,
            round,
            end: None,
            entry: Vec::new(),
        }
    }

    pub(super) fn next_round(&self) -> u64 {
        self.round.wrapping_add(1)
    }

    /// Begins a round, which the store knows of: it has all that was here.
    pub(super) fn begin(&mut self, round: u64) {
        self.round = round;
        self.end = Some(0);
    }

    /// Whether it is known what stands in it.
    pub(super) fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Whether a group of so many octets and ids goes here. Of larger ones the store writes little more than they have.
    pub(super) fn takes(&self, octets: usize, settled: usize) -> bool {
        let len = HEAD_LEN as u64 + (settled * ID_LEN) as u64 + octets as u64;
        let has_room = |end: u64| len <= self.medium.log_len().saturating_sub(end);
        len <= self.medium.log_len() / SHARE && self.end.is_some_and(has_room)
    }

    /// Writes a group behind those before it, and syncs. After an error it takes nothing more before it begins anew.
    pub(super) fn append<'a>(&mut self, settled: &[u64], records: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let Some(at) = self.end.take() else {
            return Err(io::Error::other("the log has no known end"));
        };
        let mut entry = std::mem::take(&mut self.entry);
        entry.clear();
        entry.resize(HEAD_LEN, 0);
        settled.iter().for_each(|id| entry.extend_from_slice(&id.to_be_bytes()));
        records.for_each(|record| entry.extend_from_slice(record));
        let length = entry.len() - HEAD_LEN - settled.len() * ID_LEN;
        if let Some((_, rest)) = entry.split_first_chunk_mut::<TAG_BYTES>()
            && let Some((fields, _)) = rest.split_first_chunk_mut::<8>()
        {
            *fields = ((length as u64) << 32 | settled.len() as u64).to_be_bytes();
        }
        let tag = self.tag(self.round, at, entry.get(TAG_BYTES..).unwrap_or_default());
        if let Some(place) = entry.first_chunk_mut() {
            *place = tag;
        }
        self.medium.write_log(at, &entry)?;
        self.end = Some((at + entry.len() as u64).next_multiple_of(BLOCK));
        self.entry = entry;
        Ok(())
    }

    /// Reads its entries, oldest first.
    ///
    /// Fails if there are entries behind one that is not whole, one that is and cannot be read, or one of the next round.
    pub(super) fn read(&self) -> io::Result<Vec<Entry>> {
        let mut octets = vec![0; self.medium.log_len() as usize];
        self.medium.read_log(&mut octets)?;
        // A round begins when the store has the one before.
        if self.entry(&octets, self.next_round(), 0).is_some() {
            return Err(damaged("its store has lost what came before its log"));
        }
        let mut entries = Vec::new();
        let mut at = 0;
        while let Some(entry) = self.entry(&octets, self.round, at) {
            entries.push(entry.read().map_err(damaged)?);
            at = (at + entry.len()).next_multiple_of(BLOCK as usize);
        }
        let mut behind = (at..octets.len()).step_by(BLOCK as usize);
        match behind.any(|at| self.entry(&octets, self.round, at).is_some()) {
            true => Err(damaged("its log has lost what is not its end")),
            false => Ok(entries),
        }
    }

    /// The entry of a round that stands there, if one does.
    fn entry<'a>(&self, octets: &'a [u8], round: u64, at: usize) -> Option<Whole<'a>> {
        let (tag, rest) = octets.get(at..)?.split_first_chunk::<TAG_BYTES>()?;
        let (&[length @ .., a, b, c, d], body) = rest.split_first_chunk::<8>()?;
        let (length, count) = (u32::from_be_bytes(length), u32::from_be_bytes([a, b, c, d]));
        let settled_len = usize::try_from(count).ok()?.checked_mul(ID_LEN)?;
        let (settled, body) = body.split_at_checked(settled_len)?;
        let records = body.get(..usize::try_from(length).ok()?)?;
        let tagged = rest.get(..8 + settled.len() + records.len())?;
        (self.tag(round, at as u64, tagged) == *tag).then_some(Whole { settled, records })
    }

    fn tag(&self, round: u64, at: u64, text: &[u8]) -> [u8; TAG_BYTES] {
        let fields = self
            .secret
            .into_iter()
            .chain(round.to_be_bytes())
            .chain(at.to_be_bytes());
        let mut key = [0; 32];
        key.iter_mut().zip(fields).for_each(|(octet, field)| *octet = field);
        tag(&key, text)
    }
}

/// What was stored together.
pub(super) struct Entry {
    /// Ids of tasks that came before it, or with it.
    pub(super) settled: Vec<u64>,
    /// By the ids of their tasks.
    pub(super) records: Vec<(u64, Box<[u8]>)>,
}

/// An entry as octets, with the tag that is right.
struct Whole<'a> {
    settled: &'a [u8],
    records: &'a [u8],
}

impl Whole<'_> {
    fn len(&self) -> usize {
        HEAD_LEN + self.settled.len() + self.records.len()
    }

    fn read(&self) -> Result<Entry, Unreadable> {
        let settled = self.settled.as_chunks().0.iter().copied().map(u64::from_be_bytes);
        let mut records = Vec::new();
        let mut bad = Ok(());
        record::read_all(self.records, |read| match read {
            Ok(record) => records.push((record.id, Box::from(record.octets))),
            Err(why) => bad = Err(why),
        });
        let settled = settled.collect();
        bad.map(|()| Entry { settled, records })
    }
}

fn damaged(why: Unreadable) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// How large the log of an outbox is, in octets: with another, its file has another version. With a quarter of it a group of 256
/// tasks of 1 KiB was stored in the time of two syncs, the store's, and not of one.
pub(super) const LEN: u64 = 4 << 20;
/// One entry has at most this part of it.
const SHARE: u64 = 4;
/// What a disk writes as a whole, or spoils as a whole.
const BLOCK: u64 = 4096;
pub(super) const HEAD_LEN: usize = TAG_BYTES + 4 + 4;
const ID_LEN: usize = 8;

//! Which rows the store has, and what of them is not settled.
//!
//! A row has the tasks of a run of ids, from its key on. Beside it the store has the *left* of a row that is settled in part: a
//! bit for each id. When none is left the row goes; one of which little is left is written anew, shorter, once what is settled
//! fills more of the file than what is not.

use std::collections::BTreeMap;
use std::ops::Bound;

/// All rows, by their key.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// One for each row of the store: for at most as many tasks as the source keeps, but for those that cannot be read.
    rows: BTreeMap<u64, Row>,
    /// Octets of rows.
    octets: u64,
    /// About as many of them are of tasks that are settled.
    settled_octets: u64,
    /// Where to look next for a row to be written anew.
    swept_to: u64,
}

/// What is known of a row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// A bit for each id from the key on: whether it is there and not settled. At most [`MOST_IDS`].
    left: Box<[u64]>,
    /// How many such bits there are.
    left_count: u32,
    /// How many tasks the row has, at least 1.
    count: u32,
    octets: u64,
    /// Something in it cannot be read: it stays as it is.
    is_spoilt: bool,
}

impl Row {
    /// A row with these ids, all of which are at most [`MOST_IDS`] from the key.
    pub(super) fn new(key: u64, ids: impl Iterator<Item = u64>, octets: usize) -> Self {
        let mut left = vec![0_u64; MOST_IDS as usize / 64];
        let mut count = 0;
        let mut words = 0;
        for id in ids {
            let at = id.saturating_sub(key);
            if let Some(word) = left.get_mut((at / 64) as usize) {
                *word |= 1 << (at % 64);
                count += 1;
                words = (at / 64) as usize + 1;
            }
        }
        left.truncate(words);
        Row {
            left: left.into(),
            left_count: count,
            count: count.max(1),
            octets: octets as u64,
            is_spoilt: false,
        }
    }

    /// It has something that cannot be read.
    pub(super) fn spoil(&mut self) {
        self.is_spoilt = true;
    }

    /// Takes only what is left by these octets.
    pub(super) fn keep(&mut self, left: &[u8]) {
        let words = left.chunks_exact(8).filter_map(|word| word.try_into().ok());
        let words = words.map(u64::from_be_bytes).chain(std::iter::repeat(0));
        for (mine, theirs) in self.left.iter_mut().zip(words) {
            *mine &= theirs;
        }
        self.left_count = self.left.iter().map(|word| word.count_ones()).sum();
    }

    /// What is left, as `keep` reads it.
    pub(super) fn left(&self) -> Vec<u8> {
        self.left.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Whether this id is there and not settled.
    pub(super) fn has(&self, key: u64, id: u64) -> bool {
        let at = id.saturating_sub(key);
        self.left
            .get((at / 64) as usize)
            .is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    pub(super) fn is_over(&self) -> bool {
        self.left_count == 0 && !self.is_spoilt
    }

    pub(super) fn is_spoilt(&self) -> bool {
        self.is_spoilt
    }

    fn settled_octets(&self) -> u64 {
        self.octets * u64::from(self.count - self.left_count.min(self.count)) / u64::from(self.count)
    }
}

impl Rows {
    pub(super) fn get(&self, key: u64) -> Option<&Row> {
        self.rows.get(&key)
    }

    pub(super) fn insert(&mut self, key: u64, row: Row) {
        self.remove(key);
        self.octets += row.octets;
        self.settled_octets += row.settled_octets();
        self.rows.insert(key, row);
    }

    pub(super) fn remove(&mut self, key: u64) {
        if let Some(row) = self.rows.remove(&key) {
            self.octets -= row.octets;
            self.settled_octets -= row.settled_octets();
        }
    }

    /// Whether a task is here, and not settled.
    pub(super) fn has(&self, id: u64) -> bool {
        let row = self.rows.range(..=id).next_back();
        row.is_some_and(|(&key, row)| row.has(key, id))
    }

    /// The keys above this one.
    pub(super) fn above(&self, key: u64) -> impl Iterator<Item = u64> {
        let range = (Bound::Excluded(key), Bound::Unbounded);
        self.rows.range(range).map(|(&key, _)| key)
    }

    /// Settles a task. Returns the key of its row, or `None` if it was settled before, or is not here.
    pub(super) fn settle(&mut self, id: u64) -> Option<u64> {
        let (&key, row) = self.rows.range_mut(..=id).next_back()?;
        let at = id - key;
        let word = row.left.get_mut((at / 64) as usize)?;
        let bit = 1 << (at % 64);
        if *word & bit == 0 {
            return None;
        }
        *word &= !bit;
        let before = row.settled_octets();
        row.left_count -= 1;
        self.settled_octets = self.settled_octets - before + row.settled_octets();
        Some(key)
    }

    /// Rows to be written anew, of those of which less than half is left, if they are worth it: of little more octets than were
    /// `written`. That is enough, as a row that loses half whenever it is written anew is in all no more than it was at first.
    pub(super) fn sweep(&mut self, slack: u64, written: u64) -> Vec<u64> {
        let left = self.octets - self.settled_octets;
        if self.settled_octets <= left.saturating_add(slack) {
            return Vec::new();
        }
        let most = written + MORE_SWEPT;
        let mut octets = 0;
        let mut looked_at = 0;
        let mut keys = Vec::new();
        let mut next = 0;
        for (&key, row) in self.rows.range(self.swept_to..) {
            if octets >= most || looked_at >= most {
                next = key;
                break;
            }
            looked_at += LOOK;
            if !row.is_spoilt && row.left_count > 0 && row.settled_octets() > row.octets / 2 {
                octets += row.octets - row.settled_octets();
                keys.push(key);
            }
        }
        self.swept_to = next;
        keys
    }
}

/// Ids from the first of a row to its last.
pub(super) const MOST_IDS: u64 = 1024;
/// Octets that are written anew with one group, beyond as many as it has.
const MORE_SWEPT: u64 = 256 << 10;
/// To look at a row is worth as much as to write so many.
const LOOK: u64 = 4096;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::chance::SplitMix64;

    #[test]
    fn a_row_goes_when_none_of_it_is_left() {
        let mut rows = Rows::default();
        rows.insert(10, Row::new(10, [10, 12, 73, 74].into_iter(), 400));
        rows.insert(90, Row::new(90, [90].into_iter(), 100));

        for (id, expected) in [
            (9, None),
            (10, Some(10)),
            (10, None),
            (11, None),
            (74, Some(10)),
            (12, Some(10)),
        ] {
            assert_eq!(rows.settle(id), expected, "{id}");
        }

        assert_eq!((rows.octets, rows.settled_octets), (500, 300));
        assert!(!rows.get(10).unwrap().is_over());
        assert_eq!(rows.settle(73), Some(10));
        assert!(rows.get(10).unwrap().is_over());
        rows.remove(10);
        assert_eq!((rows.octets, rows.settled_octets), (100, 0));
        assert_eq!((rows.has(90), rows.has(73), rows.has(89)), (true, false, false));
        assert_eq!(rows.settle(u64::MAX), None);
    }

    #[test]
    fn what_is_left_is_read_as_it_was_written() {
        let ids = || [5, 6, 70, 5 + MOST_IDS - 1].into_iter();
        let mut row = Row::new(5, ids(), 4);
        let mut rows = Rows::default();
        rows.insert(5, row.clone());
        assert_eq!(rows.settle(70), Some(5));
        assert_eq!(rows.settle(5), Some(5));

        row.keep(&rows.get(5).unwrap().left());

        assert_eq!(ids().filter(|&id| row.has(5, id)).collect::<Vec<_>>(), [6, 1028]);
        assert_eq!(row.left_count, 2);
        // Half a word, or none at all: nothing is left that is not said to be.
        row.keep(&[0xff; 7]);
        assert_eq!(row.left_count, 0);
    }

    #[test]
    fn what_is_far_from_its_key_has_no_place_in_a_row() {
        let row = Row::new(5, [5, 5 + MOST_IDS, u64::MAX].into_iter(), 4);
        assert_eq!((row.left_count, row.has(5, u64::MAX)), (1, false));
    }

    #[test]
    fn rows_are_swept_when_more_is_settled_than_left_and_all_have_their_turn() {
        let mut rows = Rows::default();
        for key in (0..200).map(|n| 1 + n * 10) {
            rows.insert(key, Row::new(key, key..key + 10, 1000));
        }
        for key in (0..200).map(|n| 1 + n * 10) {
            for id in key..key + 8 {
                rows.settle(id);
            }
        }
        assert_eq!(rows.sweep(1 << 20, 0), [], "there is room to spare");

        let mut swept = Vec::new();
        for _ in 0..200 {
            for key in rows.sweep(0, 0) {
                swept.push(key);
                rows.insert(key, Row::new(key, key + 8..key + 10, 200));
            }
        }

        assert!(rows.settled_octets <= rows.octets / 2);
        assert!(swept.len() > 100);
        swept.sort_unstable();
        swept.dedup();
        assert!(swept.len() > 100, "no row twice");
    }

    /// Half of the tasks are settled at once, the others long after, in any order: most rows are cut several times.
    #[test]
    fn what_is_settled_is_never_much_more_than_what_is_left_however_many_rows_come_at_once() {
        let seed = 7;
        let mut chance = SplitMix64::new(seed);
        for (rows_at_once, times) in [(1, 400), (16, 200), (64, 100)] {
            let mut rows = Rows::default();
            let mut ends: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
            let mut last = 0;
            for time in 0..times {
                ends.remove(&time).unwrap_or_default().into_iter().for_each(|id| {
                    let key = rows.settle(id).unwrap();
                    if rows.get(key).unwrap().is_over() {
                        rows.remove(key);
                    }
                });
                for _ in 0..rows_at_once {
                    let ids = last + 1..last + 65;
                    last += 64;
                    rows.insert(ids.start, Row::new(ids.start, ids.clone(), 65_000));
                    for id in ids {
                        let is_long = chance.next().is_multiple_of(2);
                        let more = if is_long { chance.next() % 50 } else { 0 };
                        ends.entry(time + 1 + more).or_default().push(id);
                    }
                }
                for key in rows.sweep(0, rows_at_once * 65_000) {
                    let row = rows.get(key).unwrap();
                    let ids: Vec<u64> = (key..key + 64).filter(|&id| row.has(key, id)).collect();
                    let octets = ids.len() * 1015;
                    rows.insert(key, Row::new(key, ids.into_iter(), octets));
                }
                let left = rows.octets - rows.settled_octets;
                assert!(
                    rows.settled_octets <= left + left / 4,
                    "{rows_at_once} at time {time} of seed {seed}: {} of {} are settled",
                    rows.settled_octets,
                    rows.octets
                );
            }
        }
    }
}

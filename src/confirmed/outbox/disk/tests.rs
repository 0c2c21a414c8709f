//! What an outbox on disk promises: by hand, and after a crash at every step.

mod crash;
mod files;
mod full;
mod kill;
mod log;
mod memory;
mod records;
mod script;

use super::medium::Medium;
use super::ready::{MOST_ROW_OCTETS, Recent, SLACK, take_row};
use super::{DiskOutbox, Survives, record};
use crate::confirmed::outbox::{Finding, Kept, KeptTask, Outbox, OutboxError};
use crate::message::Message;
use bytes::Bytes;
use memory::Memory;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use std::time::SystemTime;

/// An outbox in memory.
fn on(memory: &Memory) -> DiskOutbox {
    DiskOutbox::on(Path::new("memory"), medium(memory)).expect("an outbox")
}

fn new_memory() -> Memory {
    let memory = Memory::default();
    super::tables::create(&medium(&memory), SECRET).expect("room");
    memory
}

fn medium(memory: &Memory) -> Medium {
    Medium::new(memory.clone(), LOG_LEN as u64)
}

fn task(id: u64, size: usize) -> KeptTask {
    KeptTask {
        id,
        message: Message::from(vec![id as u8; size]),
        key: Bytes::new(),
        headers: Bytes::new(),
        order: None,
        starts_at: None,
        too_late_at: None,
    }
}

fn tasks(ids: impl Iterator<Item = u64>, size: usize) -> Vec<KeptTask> {
    ids.map(|id| task(id, size)).collect()
}

fn ids(kept: &Kept) -> Vec<u64> {
    kept.tasks.iter().map(|task| task.id).collect()
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let path = std::env::temp_dir().join(format!("peermq-outbox-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("tasks")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const FRESH: [u8; 16] = [7; 16];
const SECRET: [u8; 16] = [5; 16];
/// Little, so that it is often full: four entries, if they are as large as one may be.
const LOG_LEN: usize = 4 * 4096;

#[test]
fn what_is_not_settled_comes_back_in_order_with_all_that_it_has() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    assert_eq!(outbox.load(FRESH).unwrap(), Kept::nothing(FRESH));
    let mut all = tasks(1..=5, 100);
    all[1].message = Message::from(["to", "", "several"]);
    all[2].key = Bytes::from_static(b"a key");
    all[3].headers = Bytes::from_static(b"headers");
    all[3].order = Some(Bytes::from_static(b"order"));
    all[4].starts_at = Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123));
    all[4].too_late_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000));

    outbox.store(&all[..2], &[]).unwrap();
    outbox.store(&all[2..], &[1, 77]).unwrap();
    drop(outbox);

    let kept = on(&memory).load([9; 16]).unwrap();
    assert_eq!(kept.source, FRESH);
    assert_eq!(kept.tasks, all[1..]);
    assert_eq!((kept.highest, kept.findings), (5, vec![]));
}

#[test]
fn no_id_is_given_again_though_all_are_settled() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    outbox.store(&tasks(1..=2000, 3), &[]).unwrap();
    outbox.store(&[], &(1..=2000).collect::<Vec<_>>()).unwrap();
    drop(outbox);

    let mut outbox = on(&memory);
    let kept = outbox.load(FRESH).unwrap();
    assert_eq!((kept.tasks.len(), kept.highest), (0, 2000));
    assert!(matches!(
        outbox.store(&[task(2000, 1)], &[]),
        Err(OutboxError::OutOfOrder {
            id: 2000,
            highest: 2000
        })
    ));
    outbox.store(&[task(2001, 1)], &[]).unwrap();
}

#[test]
fn a_group_out_of_order_is_refused_and_the_next_is_not() {
    let mut outbox = on(&new_memory());
    // Nothing is loaded: it looks for itself what there is.
    assert!(matches!(
        outbox.store(&[task(5, 1), task(5, 1)], &[]),
        Err(OutboxError::OutOfOrder { id: 5, highest: 5 })
    ));
    assert!(matches!(
        outbox.store(&[task(0, 1)], &[]),
        Err(OutboxError::OutOfOrder { .. })
    ));
    let mut long = task(1, 1);
    long.key = Bytes::from(vec![0; 256]);
    assert!(matches!(
        outbox.store(&[long], &[]),
        Err(OutboxError::TooLarge {
            observed: 256,
            limit: 255,
            ..
        })
    ));
    outbox.store(&[task(5, 1)], &[]).unwrap();
    assert_eq!(ids(&outbox.load(FRESH).unwrap()), [5]);
}

#[test]
fn a_group_is_cut_into_rows_that_fill_their_pages() {
    let cut = |tasks: &[KeptTask]| -> Vec<usize> {
        let mut recent: Recent = tasks.iter().map(|task| (task.id, record::of(task))).collect();
        std::iter::from_fn(|| take_row(&mut recent).map(|(ids, _)| ids.len())).collect()
    };
    let empty_len = record::len(&task(1, 0)).unwrap();
    let fits = MOST_ROW_OCTETS - 1 - empty_len;
    assert_eq!(cut(&[]), [0; 0]);
    assert_eq!(cut(&tasks(1..=3, fits)), [1, 1, 1]);
    assert_eq!(cut(&tasks(1..=3, 10_000_000)), [1, 1, 1]);
    assert_eq!(cut(&[task(1, fits - empty_len), task(2, 0), task(3, 0)]), [2, 1]);
    assert_eq!(cut(&tasks(1..=1025, 0)), [1024, 1]);
    assert_eq!(
        cut(&[task(1, 0), task(1024, 0), task(1025, 0), task(u64::MAX, 0)]),
        [2, 1, 1]
    );
}

#[test]
fn rows_of_which_little_is_left_are_written_anew() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    // Of each row the first task stays; so much is settled that it pays.
    let rows = SLACK / 64_000 * 2;
    for row in 0..rows {
        let group = tasks(1 + row * 10..11 + row * 10, 6_000);
        let settled: Vec<u64> = (row.saturating_sub(1) * 10 + 2..row * 10 + 1).collect();
        outbox.store(&group, &settled).unwrap();
    }
    outbox
        .store(&[], &(rows * 10 - 8..=rows * 10).collect::<Vec<_>>())
        .unwrap();
    drop(outbox);

    // Whose rows were all left whole has more.
    assert!(memory.len() < 32 << 20, "{}", memory.len());
    let kept = on(&memory).load(FRESH).unwrap();
    assert_eq!(ids(&kept), (0..rows).map(|row| 1 + row * 10).collect::<Vec<_>>());
    assert!(kept.tasks.iter().all(|kept| *kept == task(kept.id, 6_000)));
    assert_eq!(kept.highest, rows * 10);
}

#[test]
fn who_did_not_close_it_is_found_out() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    outbox.store(&tasks(1..=3, 10), &[]).unwrap();
    let crashed = memory.copy();
    drop(outbox);

    assert_eq!(on(&memory).load(FRESH).unwrap().findings, []);
    let mut outbox = on(&crashed);
    let kept = outbox.load(FRESH).unwrap();
    assert_eq!((ids(&kept), kept.findings), (vec![1, 2, 3], vec![Finding::NotClosed]));
    drop(outbox);
    assert_eq!(on(&crashed).load(FRESH).unwrap().findings, []);
}

#[test]
fn what_cannot_be_read_is_passed_over_told_and_left() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    outbox.store(&tasks(1..=3, 10), &[]).unwrap();
    outbox.store(&tasks(4..=6, 10), &[]).unwrap();
    drop(outbox);
    let db = super::tables::open(&medium(&memory)).unwrap();
    let transaction = db.begin_write().unwrap();
    {
        let mut table = transaction.open_table(super::tables::TASKS).unwrap();
        let mut row = redb::ReadableTable::get(&table, 1).unwrap().unwrap().value().to_vec();
        // The flags of its second task.
        let at = 1 + record::len(&task(1, 10)).unwrap() + 4 + 8;
        row[at] = 0x80;
        table.insert(1, row.as_slice()).unwrap();
        table.insert(1000, [9, 9].as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(db);

    for _ in 0..2 {
        let mut outbox = on(&memory);
        let kept = outbox.load(FRESH).unwrap();
        assert_eq!(
            kept.findings,
            [
                Finding::Unreadable {
                    first: 1,
                    why: "it has flags that are unknown"
                },
                Finding::Unreadable {
                    first: 1000,
                    why: "its row is of another version"
                },
            ]
        );
        // The rows behind it are as good as before.
        assert_eq!(ids(&kept), [1, 3, 4, 5, 6]);
        assert_eq!(kept.highest, 1000 + 1023);
    }
}

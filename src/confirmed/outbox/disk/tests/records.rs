//! Records: what is written is read, and nothing else is.

use super::super::record::{self, Unreadable, VERSION};
use super::script::any_task;
use super::{KeptTask, OutboxError, task};
use crate::chance::SplitMix64;
use crate::message::Message;
use bytes::Bytes;
use std::time::{Duration, SystemTime};

fn write(tasks: &[KeptTask]) -> Vec<u8> {
    let mut row = vec![VERSION];
    for task in tasks {
        let octets = record::of(task);
        assert_eq!(octets.len(), record::len(task).unwrap());
        row.extend_from_slice(&octets);
    }
    row
}

fn read(row: &[u8]) -> Vec<Result<KeptTask, Unreadable>> {
    let mut found = Vec::new();
    record::read(row, |record| found.push(record.and_then(|record| record.task())));
    found
}

fn any_row(seed: u64) -> (Vec<KeptTask>, Vec<u8>) {
    let mut chance = SplitMix64::new(seed);
    let mut below = |limit: u64| chance.next() % limit;
    let mut tasks = Vec::new();
    for id in 1..=1 + below(6) {
        let size = below(300) as usize;
        let mut task = any_task(id, size, &mut below);
        let mut time = |chance| {
            let since = Duration::from_nanos(below(u64::MAX));
            (below(chance) == 0)
                .then(|| SystemTime::UNIX_EPOCH.checked_add(since))
                .flatten()
        };
        task.starts_at = time(2);
        task.too_late_at = time(3);
        tasks.push(task);
    }
    let row = write(&tasks);
    (tasks, row)
}

#[test]
fn what_is_written_is_read() {
    for seed in 0..500 {
        let (tasks, row) = any_row(seed);
        assert_eq!(read(&row), tasks.into_iter().map(Ok).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn what_is_cut_says_so_behind_what_is_whole() {
    for seed in 0..20 {
        let (tasks, row) = any_row(seed);
        for length in 0..row.len() {
            let found = read(&row[..length]);
            let whole = found.iter().take_while(|read| read.is_ok()).count();
            assert!(
                found
                    .iter()
                    .zip(&tasks)
                    .take(whole)
                    .all(|(read, task)| read.as_ref() == Ok(task)),
                "seed {seed}"
            );
            // Between two records a row may end.
            let is_border = length > 1 && write(&tasks[..whole]).len() == length;
            assert_eq!(
                found.len() - whole,
                usize::from(!is_border),
                "seed {seed} length {length}"
            );
        }
    }
}

/// Changed octets are either read as something else or told; what is read is written as it was read.
#[test]
fn what_is_changed_is_told_or_read_as_it_stands() {
    for seed in 0..60 {
        let (_, row) = any_row(seed);
        let mut chance = SplitMix64::new(seed);
        for _ in 0..400 {
            let mut changed = row.clone();
            for _ in 0..1 + chance.next() % 3 {
                let at = chance.next() as usize % changed.len();
                changed[at] = [0, 1, 0x7f, 0xff, chance.next() as u8][chance.next() as usize % 5];
            }
            let found = read(&changed);
            if let Ok(tasks) = found.into_iter().collect::<Result<Vec<_>, _>>() {
                assert_eq!(write(&tasks), changed, "seed {seed}");
            }
        }
    }
}

#[test]
fn lengths_that_lie_take_no_memory() {
    let (_, good) = (0, write(&[task(1, 3)]));
    let with = |at: usize, number: u32| {
        let mut row = good.clone();
        row[at..at + 4].copy_from_slice(&number.to_be_bytes());
        read(&row)
    };
    let count_at = good.len() - 3 - 8;
    assert_eq!(with(1, u32::MAX), [Err("it is cut short")]);
    // What stands behind is taken for records, which it is not.
    assert!(with(1, 0).iter().all(|read| *read == Err("it is cut short")));
    assert_eq!(with(count_at, u32::MAX), [Err("it is cut short")]);
    assert_eq!(with(count_at, 0), [Err("it has no frames")]);
    assert_eq!(with(count_at + 4, u32::MAX), [Err("it is cut short")]);
    assert_eq!(with(count_at + 4, 2), [Err("it goes on behind its last frame")]);
    assert_eq!(read(&[]), [Err("its row is empty")]);
    assert_eq!(read(&[VERSION]), [Err("its row is empty")]);
    assert_eq!(read(&[VERSION + 1, 0]), [Err("its row is of another version")]);
}

#[test]
fn what_is_too_large_is_named() {
    let refused = |change: fn(&mut KeptTask)| {
        let mut task = task(1, 1);
        change(&mut task);
        match record::len(&task) {
            Err(OutboxError::TooLarge { what, observed, limit }) => format!("{observed} {what} over {limit}"),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(
        refused(|task| task.key = vec![0; 256].into()),
        "256 bytes of a key over 255"
    );
    assert_eq!(
        refused(|task| task.order = Some(vec![0; 300].into())),
        "300 bytes of an ordering key over 255"
    );
    assert_eq!(
        refused(|task| task.headers = vec![0; 65_536].into()),
        "65536 bytes of headers over 65535"
    );
    let shared = Bytes::from(vec![0; 1 << 20]);
    let frames = std::iter::repeat_n(shared, 1025);
    let mut large = task(1, 1);
    large.message = Message::from_frames(frames).unwrap();
    assert!(matches!(
        record::len(&large),
        Err(OutboxError::TooLarge {
            what: "bytes of a task",
            ..
        })
    ));
}

#[test]
fn times_that_do_not_fit_become_the_first_or_the_last() {
    let with = |time| {
        let mut task = task(1, 1);
        task.starts_at = Some(time);
        let read = read(&write(&[task])).remove(0).unwrap();
        read.starts_at.unwrap()
    };
    let epoch = SystemTime::UNIX_EPOCH;
    assert_eq!(with(epoch - Duration::from_secs(1)), epoch);
    assert_eq!(
        with(epoch + Duration::from_secs(1 << 40)),
        epoch + Duration::from_nanos(u64::MAX)
    );
}

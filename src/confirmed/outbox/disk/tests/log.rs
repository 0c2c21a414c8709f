//! The log: what it costs, and what of it counts.

use super::super::log::HEAD_LEN;
use super::super::rows::MOST_IDS;
use super::super::tables;
use super::memory::Step;
use super::{
    DiskOutbox, FRESH, KeptTask, LOG_LEN, Medium, Memory, Outbox, OutboxError, Path, ids, new_memory, on, record, task,
    tasks,
};

/// What was done to the disk since it was asked last.
fn steps(memory: &Memory) -> Vec<Step> {
    let steps = memory.steps();
    memory.record();
    steps
}

fn is_of_the_log(step: &Step) -> bool {
    matches!(step, Step::Write { at, .. } if *at < LOG_LEN)
}

#[test]
fn a_small_group_is_one_write_and_one_sync_until_the_log_is_full() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    memory.record();
    for next in (0..8).map(|group| 1 + group * 3) {
        outbox.store(&tasks(next..next + 3, 1000), &[]).unwrap();

        let steps = steps(&memory);
        // Each takes one of its four blocks.
        match (next - 1) / 3 % 5 {
            4 => assert!(steps.len() > 2 && !steps.iter().any(is_of_the_log), "{next}: {steps:?}"),
            _ => assert!(
                is_of_the_log(&steps[0]) && steps[1..] == [Step::Sync],
                "{next}: {steps:?}"
            ),
        }
    }
    // Nor are they lost.
    assert_eq!(
        ids(&on(&memory.copy()).load(FRESH).unwrap()),
        (1..=24).collect::<Vec<_>>()
    );
}

/// Of what is not known nothing is written.
#[test]
fn what_is_settled_goes_to_the_log_once() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    // The first are in the store, the others in the log.
    outbox.store(&tasks(1..=20, 1000), &[]).unwrap();
    outbox.store(&tasks(21..=23, 1000), &[]).unwrap();
    memory.record();

    outbox.store(&[], &[2, 2, 22, 77]).unwrap();
    let first = steps(&memory);
    outbox.store(&[], &[2, 22, 77]).unwrap();

    assert!(is_of_the_log(&first[0]) && first[1..] == [Step::Sync], "{first:?}");
    assert_eq!(steps(&memory), []);
    let expected: Vec<u64> = (1..=23).filter(|id| ![2, 22].contains(id)).collect();
    assert_eq!(ids(&on(&memory.copy()).load(FRESH).unwrap()), expected);
    drop(outbox);
    assert_eq!(ids(&on(&memory).load(FRESH).unwrap()), expected);
}

/// However little room it takes in the log.
#[test]
fn what_is_settled_of_many_rows_is_written_before_it_is_more() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    // So far apart that each has a row.
    let all: Vec<u64> = (1..=1500).map(|row| row * MOST_IDS).collect();
    outbox.store(&tasks(all.iter().copied(), 1), &[]).unwrap();
    memory.record();

    for (settled, is_to_log) in all.chunks(450).zip([true, true, true, false]) {
        outbox.store(&[], settled).unwrap();

        let steps = steps(&memory);
        assert_eq!(is_of_the_log(&steps[0]), is_to_log, "{}", steps.len());
    }
    assert_eq!(ids(&on(&memory.copy()).load(FRESH).unwrap()), [0; 0]);
}

/// What is cut off is the end only: an entry that others follow was once whole.
#[test]
fn a_log_that_was_changed_is_damaged_unless_it_is_its_end() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    for id in 1..=3 {
        outbox.store(&tasks(id..=id, 10), &[]).unwrap();
    }

    let entry_len = HEAD_LEN + record::len(&task(1, 10)).unwrap();
    for (block, expected) in [(0, None), (1, None), (2, Some(vec![1, 2])), (3, Some(vec![1, 2, 3]))] {
        for at in 0..entry_len + 2 {
            let mut octets = memory.octets();
            octets[block * 4096 + at] ^= 1;
            // What stands behind an entry is nobody's.
            let expected = if at < entry_len {
                &expected
            } else {
                &Some(vec![1, 2, 3])
            };

            let kept = on(&Memory::of(octets)).load(FRESH);

            match (&kept, expected) {
                (Err(OutboxError::Damaged { .. }), None) => {}
                (Ok(kept), Some(expected)) => assert_eq!(ids(kept), *expected, "octet {at} of block {block}"),
                _ => panic!("octet {at} of block {block}: {kept:?}"),
            }
        }
    }
}

/// Tasks may be of strangers.
#[test]
fn a_task_that_looks_like_an_entry_is_none() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    outbox.store(&tasks(1..=1, 10), &[]).unwrap();
    let entry = memory.octets()[..100].to_vec();
    drop(outbox);
    let mut octets = memory.octets();

    // At each place, in a round that is over or was never.
    for block in 0..4 {
        octets[block * 4096..block * 4096 + 100].copy_from_slice(&entry);
    }

    assert_eq!(ids(&on(&Memory::of(octets)).load(FRESH).unwrap()), [1]);
}

/// What its source is called is no secret, and how many rounds there were can be guessed.
#[test]
fn a_task_of_who_knows_the_source_is_no_entry_either() {
    let begin = |secret, first: KeptTask| {
        let memory = Memory::default();
        let medium = Medium::new(memory.clone(), 16 * 4096);
        tables::create(&medium, [secret; 16]).unwrap();
        let mut outbox = DiskOutbox::on(Path::new("memory"), medium).unwrap();
        outbox.load(FRESH).unwrap();
        outbox.store(&[first], &[]).unwrap();
        // Another round.
        outbox.store(&tasks(2..=2, 100_000), &[]).unwrap();
        outbox.store(&tasks(3..=3, 10), &[]).unwrap();
        (memory, outbox)
    };
    // Entries as they are in an outbox of the same source.
    let (memory, mut outbox) = begin(1, task(1, 10));
    outbox.store(&tasks(99..=99, 10), &[1]).unwrap();
    let entries = memory.octets()[4096..8192].to_vec();
    let mut imitation = task(1, 0);
    let before = HEAD_LEN + record::len(&imitation).unwrap();
    let octets = [vec![0; 4096 - before], entries].concat();
    imitation.message = octets.into();

    let (memory, _outbox) = begin(2, imitation);

    let crashed = Medium::new(memory.copy(), 16 * 4096);
    let kept = DiskOutbox::on(Path::new("memory"), crashed)
        .unwrap()
        .load(FRESH)
        .unwrap();
    assert_eq!(ids(&kept), [1, 2, 3]);
}

/// A store that cannot read its last transaction takes the one before.
#[test]
fn a_store_that_is_older_than_the_log_is_damaged() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    let before = memory.octets();
    outbox.store(&tasks(1..=1, 5000), &[]).unwrap();
    outbox.store(&tasks(2..=2, 10), &[]).unwrap();
    let mut octets = memory.octets();

    octets.truncate(LOG_LEN);
    octets.extend_from_slice(&before[LOG_LEN..]);

    let kept = on(&Memory::of(octets)).load(FRESH);
    assert!(matches!(kept, Err(OutboxError::Damaged { .. })), "{kept:?}");
}

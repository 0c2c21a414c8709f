//! A disk that is full, or fails, and then is not and does not.

use super::script::script;
use super::{FRESH, KeptTask, Outbox, OutboxError, ids, new_memory, on, task, tasks};
use crate::chance::SplitMix64;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_full_disk_refuses_a_group_and_takes_the_next_when_there_is_room() {
    for room in (0..200).map(|blocks| blocks * 4096) {
        let memory = new_memory();
        let mut outbox = on(&memory);
        outbox.load(FRESH).unwrap();
        outbox.store(&tasks(1..=20, 1000), &[]).unwrap();
        memory.room(Some(room));
        let mut next = 21;
        let mut stored: Vec<u64> = (1..=20).collect();

        let error = loop {
            let group: Vec<u64> = (next..next + 20).collect();
            next += 20;
            match outbox.store(&tasks(group.iter().copied(), 1000), &[]) {
                Ok(()) => stored.extend(group),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, OutboxError::Full { .. }), "{error}");
        // As long as it is, each is refused; what is settled meanwhile is remembered.
        let again = outbox.store(&tasks(next..next + 20, 1000), &[1, 2]);
        assert!(matches!(again, Err(OutboxError::Full { .. })), "{again:?}");
        let crashed = memory.copy();
        memory.room(None);
        // Numbers that were not stored may come again.
        next -= 20;
        outbox.store(&tasks(next..next + 20, 500), &[3]).unwrap();
        drop(outbox);

        stored.extend(next..next + 20);
        let kept = on(&memory).load(FRESH).unwrap();
        assert_eq!(ids(&kept), stored[3..], "room for {room}");
        assert!(
            kept.tasks
                .iter()
                .rev()
                .take(20)
                .all(|task| task.message.byte_count() == 500)
        );
        // And who crashes while it is full has all that was stored.
        let kept = on(&crashed).load(FRESH).unwrap();
        let found = ids(&kept);
        assert!(stored[2..stored.len() - 20].iter().all(|id| found.contains(id)));
        assert!(found.is_sorted());
    }
}

#[test]
fn what_is_settled_makes_room_on_a_full_disk() {
    let memory = new_memory();
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    memory.room(Some(1 << 20));
    let mut highest = 0;
    while outbox.store(&tasks(highest + 1..=highest + 20, 1000), &[]).is_ok() {
        highest += 20;
    }

    let all: Vec<u64> = (1..=highest).collect();
    let mut refused = 0;
    while let Err(error) = outbox.store(&[], &all) {
        assert!(matches!(error, OutboxError::Full { .. }), "{error}");
        refused += 1;
        assert!(refused < 10, "it never gets out of it");
    }

    outbox.store(&tasks(highest + 1..=highest + 20, 1000), &[]).unwrap();
    assert_eq!(
        ids(&outbox.load(FRESH).unwrap()),
        (highest + 1..=highest + 20).collect::<Vec<_>>()
    );
}

/// Each step of the disk fails once: the call that it was in says so, and nothing else is lost.
#[test]
fn any_step_may_fail_once() {
    let seed = 5;
    let script = script(seed, 25);
    for step in 0.. {
        let memory = new_memory();
        let mut outbox = on(&memory);
        outbox.load(FRESH).unwrap();
        memory.fail_in(Some(step));
        let mut expected = Vec::new();
        let mut is_settled: BTreeSet<u64> = BTreeSet::new();
        let mut failures = 0;
        for call in &script {
            is_settled.extend(&call.settled);
            match outbox.store(&call.accepted, &call.settled) {
                Ok(()) => expected.extend(call.accepted.iter().cloned()),
                Err(error) => {
                    assert!(matches!(error, OutboxError::Io { .. }), "{error}");
                    failures += 1;
                }
            }
        }
        expected.retain(|task| !is_settled.contains(&task.id));
        let has_failed = memory.has_failed();
        memory.fail_in(None);
        drop(outbox);

        assert!(failures <= 1, "step {step} of seed {seed} fails {failures} calls");
        assert_eq!(
            on(&memory).load(FRESH).unwrap().tasks,
            expected,
            "step {step} of seed {seed}"
        );
        if !has_failed {
            assert!(step > 100);
            return;
        }
        assert_eq!(failures, 1, "step {step} of seed {seed}");
    }
}

/// Its sender has it back, and may have given it to somebody else by then. In the log as in the store.
#[test]
fn what_was_refused_last_is_not_there_when_the_outbox_was_closed() {
    for (size, steps) in [(100, 2), (5000, 4)] {
        for step in 0.. {
            let memory = new_memory();
            let mut outbox = on(&memory);
            outbox.load(FRESH).unwrap();
            memory.fail_in(Some(step));
            let is_stored = outbox.store(&tasks(1..=3, size), &[]).is_ok();
            let has_failed = memory.has_failed();
            memory.fail_in(None);
            drop(outbox);

            let kept = on(&memory).load(FRESH).unwrap();
            let expected = if is_stored { tasks(1..=3, size) } else { vec![] };
            assert_eq!((kept.tasks, kept.findings), (expected, vec![]), "step {step}");
            if !has_failed {
                assert!(step >= steps, "{step}");
                break;
            }
        }
    }
}

/// Of what a call that failed has settled only what was there before it is owed.
#[test]
fn a_number_that_comes_again_was_not_settled_by_the_call_that_failed() {
    for size in [100, 5000] {
        let memory = new_memory();
        let mut outbox = on(&memory);
        outbox.load(FRESH).unwrap();
        memory.fail_in(Some(0));
        outbox.store(&tasks(1..=3, size), &[2, 4]).unwrap_err();

        outbox.store(&tasks(1..=3, 10), &[]).unwrap();
        outbox.store(&tasks(4..=4, 10), &[]).unwrap();

        assert_eq!(ids(&outbox.load(FRESH).unwrap()), [1, 2, 3, 4]);
    }
}

#[test]
fn what_was_refused_is_not_there_once_a_call_has_returned_though_that_had_nothing_to_store() {
    for size in [100, 5000] {
        for step in 0.. {
            let memory = new_memory();
            let mut outbox = on(&memory);
            outbox.load(FRESH).unwrap();
            memory.fail_in(Some(step));
            if outbox.store(&tasks(1..=3, size), &[]).is_ok() {
                assert!(step > 1);
                break;
            }

            outbox.store(&[], &[77]).unwrap();

            assert_eq!(ids(&on(&memory.copy()).load(FRESH).unwrap()), [0; 0], "step {step}");
        }
    }
}

/// Again and again, with numbers that come again, and crashes and closing between.
#[test]
fn whatever_fails_nothing_is_lost_that_was_stored_and_nothing_found_that_was_not() {
    for seed in 0..SEEDS {
        let mut chance = SplitMix64::new(seed);
        let mut below = |limit: u64| chance.next() % limit;
        let mut memory = new_memory();
        let mut outbox = on(&memory);
        outbox.load(FRESH).unwrap();
        let mut kept: BTreeMap<u64, KeptTask> = BTreeMap::new();
        let mut highest = 0;
        // Of calls that failed since one that did not.
        let mut refused: Vec<KeptTask> = Vec::new();
        let mut owed: BTreeSet<u64> = BTreeSet::new();
        for call in 0..60_u64 {
            if below(3) == 0 {
                memory.fail_in(Some(below(12) as usize));
            }
            let mut last = highest;
            let mut accepted = Vec::new();
            for _ in 0..[0, 1, 1, 2, 5][below(5) as usize] {
                last += 1 + below(20) / 18;
                let mut task = task(last, [10, 300, 5000][below(3).min(below(3)) as usize]);
                task.key = Bytes::copy_from_slice(&call.to_be_bytes());
                accepted.push(task);
            }
            let settled: Vec<u64> = (0..below(8)).map(|_| below(last + 5)).collect();

            match outbox.store(&accepted, &settled) {
                Ok(()) => {
                    highest = last;
                    kept.extend(accepted.into_iter().map(|task| (task.id, task)));
                    kept.retain(|id, _| !owed.contains(id) && !settled.contains(id));
                    owed.clear();
                    refused.clear();
                }
                Err(_) => {
                    owed.extend(settled.into_iter().filter(|id| kept.contains_key(id)));
                    refused.extend(accepted);
                }
            }

            let what = format!("call {call} of seed {seed}");
            match below(8) {
                0 => {
                    memory.fail_in(None);
                    drop(outbox);
                    kept.retain(|id, _| !owed.contains(id));
                    refused.clear();
                }
                1 => memory = memory.copy(),
                _ => continue,
            }
            outbox = on(&memory);
            let found = outbox.load(FRESH).unwrap();
            let is_expected = |task: &KeptTask| kept.get(&task.id) == Some(task) || refused.contains(task);
            assert!(found.tasks.iter().all(is_expected), "{what}: {found:?}");
            let found_ids = ids(&found);
            assert!(found_ids.is_sorted_by(|a, b| a < b), "{what}: {found_ids:?}");
            let is_lost = |id: &&u64| !found_ids.contains(id) && !owed.contains(id);
            assert_eq!(kept.keys().find(is_lost), None, "{what}: {found_ids:?}");
            assert!(
                found.highest >= highest && (!refused.is_empty() || found.highest == highest),
                "{what}"
            );
            kept = found.tasks.into_iter().map(|task| (task.id, task)).collect();
            highest = found.highest;
            owed.clear();
            refused.clear();
        }
    }
}

const SEEDS: u64 = 50;

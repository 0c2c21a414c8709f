//! Crashes: after each step, and in the middle of it.
//!
//! After a crash the outbox opens, and keeps what it kept after the last call that returned, or after the one that was at work:
//! nothing between, nothing else.

use super::memory::Step;
use super::script::{Call, play, script};
use super::{FRESH, Memory, Outbox, new_memory, on, task};
use crate::chance::SplitMix64;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What is on the disk is kept after call `returned`, or the next.
fn check(image: Vec<u8>, script: &[Call], returned: usize, what: &dyn std::fmt::Debug) {
    let memory = Memory::of(image);
    let mut outbox = on(&memory);
    let kept = outbox.load(FRESH).expect("what can be loaded");
    let is = |call: &Call| kept.tasks == call.kept && kept.highest == call.highest;
    let now = script.get(returned);
    let next = script.get(returned + 1);
    assert!(
        now.is_some_and(is) || next.is_some_and(is),
        "{what:?}: {} tasks, highest {} after call {returned}",
        kept.tasks.len(),
        kept.highest
    );
    assert_eq!(kept.source, FRESH);
}

/// It goes on after a crash.
fn check_next(image: Vec<u8>) {
    let memory = Memory::of(image);
    let mut outbox = on(&memory);
    let mut expected = outbox.load(FRESH).unwrap();
    let next = [task(expected.highest + 1, 50), task(expected.highest + 2, 5000)];
    let first = expected.tasks.first().map(|task| task.id);
    outbox.store(&next, first.as_slice()).unwrap();
    outbox.store(&[], &[next[1].id]).unwrap();
    drop(outbox);

    let kept = on(&memory).load(FRESH).unwrap();
    expected.tasks.push(next[0].clone());
    expected.tasks.retain(|task| Some(task.id) != first);
    assert_eq!((kept.tasks, kept.highest), (expected.tasks, next[1].id));
}

/// The process ends: of the steps of this range, and where in each `cuts` says, only those before are done.
fn process_crashes(
    begin: &[u8],
    script: &[Call],
    steps: &[Step],
    range: Range<usize>,
    mut cuts: impl FnMut(&[u8], &[u8]) -> Vec<usize>,
) -> usize {
    let mut image = begin.to_vec();
    let mut returned = 0;
    let mut count = 0;
    for (number, step) in steps.iter().enumerate() {
        if range.contains(&number) {
            check(image.clone(), script, returned, &number);
            count += 1;
            if let Step::Write { at, octets } = step {
                for cut in cuts(image.get(*at..).unwrap_or_default(), octets) {
                    let mut torn = image.clone();
                    step.replay(&mut torn, cut);
                    check(torn, script, returned, &(number, cut));
                    count += 1;
                }
            }
            if number % 50 == 0 {
                check_next(image.clone());
            }
        }
        step.replay(&mut image, usize::MAX);
        if let Step::Returned(call) = step {
            returned = *call;
        }
    }
    count
}

/// The machine ends: of what was not synced, a part that a seed decides is not there, by sectors.
fn power_losses(begin: &[u8], script: &[Call], steps: &[Step], seed: u64, times: usize) -> usize {
    let mut chance = SplitMix64::new(seed);
    let mut synced = begin.to_vec();
    let mut unsynced: Vec<&Step> = Vec::new();
    let mut returned = 0;
    let mut count = 0;
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Sync => {
                unsynced.drain(..).for_each(|step| step.replay(&mut synced, usize::MAX));
            }
            Step::Returned(call) => returned = *call,
            step => unsynced.push(step),
        }
        for time in 0..times {
            let mut image = synced.clone();
            let missing = [2, 4, 16][time % 3];
            for step in &unsynced {
                lose(step, &mut image, missing, &mut chance);
            }
            check(image, script, returned, &(number, time, seed));
            count += 1;
        }
    }
    count
}

/// Does a step, but for one of so many of its sectors; the order of what is done stays as it was.
fn lose(step: &Step, image: &mut Vec<u8>, missing: u64, chance: &mut SplitMix64) {
    match step {
        Step::Write { at, octets } if chance.next() % missing != 0 => {
            for (number, sector) in octets.chunks(512).enumerate() {
                if chance.next() % missing != 0 {
                    let sector = Step::Write {
                        at: at + number * 512,
                        octets: sector.to_vec(),
                    };
                    sector.replay(image, usize::MAX);
                }
            }
        }
        Step::Length(_) if chance.next() % missing != 0 => step.replay(image, usize::MAX),
        _ => {}
    }
}

/// What was done to the disk by 300 calls, beginning with this.
fn life(seed: u64, calls: usize) -> (Vec<u8>, Vec<Call>, Vec<Step>) {
    let memory = new_memory();
    let script = script(seed, calls);
    drop({
        let mut outbox = on(&memory);
        outbox.load(FRESH).unwrap();
    });
    let mut outbox = on(&memory);
    outbox.load(FRESH).unwrap();
    let begin = memory.octets();
    drop(outbox);
    let memory = Memory::of(begin.clone());
    let steps = play(&memory, &script);
    (begin, script, steps)
}

const SEED: u64 = 11;

#[test]
fn a_process_that_crashes_loses_nothing_that_was_stored() {
    let (begin, script, steps) = life(SEED, 300);
    let mut chance = SplitMix64::new(SEED);
    let count = process_crashes(&begin, &script, &steps, 0..steps.len(), |_, octets| {
        vec![chance.next() as usize % octets.len()]
    });
    println!("{count} crashes in {} steps, seed {SEED}", steps.len());
}

#[test]
fn a_machine_that_crashes_loses_nothing_that_was_stored() {
    let (begin, script, steps) = life(SEED + 1, 300);
    let count = power_losses(&begin, &script, &steps, SEED, 1);
    println!("{count} crashes in {} steps, seed {SEED}", steps.len());
}

/// Cut at every octet that makes a difference. Takes half an hour without optimisation.
#[test]
#[ignore = "takes minutes"]
fn a_process_that_crashes_at_any_octet_loses_nothing_that_was_stored() {
    let (begin, script, steps) = life(SEED, 300);
    let next = AtomicUsize::new(0);
    let count = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |number| number.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let from = next.fetch_add(100, Relaxed);
                    if from >= steps.len() {
                        return;
                    }
                    let crashes = process_crashes(&begin, &script, &steps, from..from + 100, |before, octets| {
                        let differs = |&at: &usize| before.get(at) != octets.get(at);
                        (0..octets.len()).filter(differs).map(|at| at + 1).collect()
                    });
                    println!("from step {from}: {crashes}");
                    count.fetch_add(crashes, Relaxed);
                }
            });
        }
    });
    println!("{count:?} crashes in {} steps, seed {SEED}", steps.len());
}

#[test]
#[ignore = "takes minutes"]
fn machines_that_crash_lose_nothing_that_was_stored() {
    let mut count = 0;
    for seed in 0..40 {
        let (begin, script, steps) = life(seed, 300);
        count += power_losses(&begin, &script, &steps, seed, 6);
    }
    println!("{count} crashes");
}

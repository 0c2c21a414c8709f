//! Crashes: after each step, and in the middle of it.
//!
//! After a crash the outbox opens, and keeps what it kept after the last call that returned, or after the one that was at work:
//! nothing between, nothing else.

use super::super::ready::Ready;
use super::super::tables;
use super::memory::Step;
use super::script::{Call, play, script};
use super::{FRESH, LOG_LEN, Memory, Outbox, medium, on, task};
use crate::chance::SplitMix64;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What is on the disk is what was kept after call `returned`, or the next.
fn check(disk: &Memory, script: &[Call], returned: usize, what: &dyn Debug) {
    if let Err(why) = outcome(disk, script, returned) {
        panic!("{what:?}, after call {returned}: {why}");
    }
}

fn outcome(disk: &Memory, script: &[Call], returned: usize) -> Result<(), String> {
    let medium = medium(disk);
    let db = tables::open(&medium).map_err(|error| error.to_string())?;
    let mut kept = Vec::new();
    let read = Ready::read(&medium, db, None, |task| kept.push(task));
    let (ready, facts) = read.map_err(|error| error.to_string())?;
    kept.retain(|task| ready.has(task.id));
    for task in ready.recent() {
        kept.push(task?);
    }
    let is = |call: &Call| kept == call.kept && facts.highest == call.highest;
    if facts.source != Some(FRESH) || !facts.is_open || !facts.findings.is_empty() {
        return Err(format!("{facts:?}"));
    }
    match script.iter().skip(returned).take(2).any(is) {
        true => Ok(()),
        false => Err(format!("{} tasks, highest {}", kept.len(), facts.highest)),
    }
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

/// The process ends: before each step of this range, and in each of its writes behind octets of which `choose` takes some.
/// Returns how many such ends there are.
fn process_crashes(
    begin: &[u8],
    script: &[Call],
    steps: &[Step],
    range: Range<usize>,
    mut choose: impl FnMut(usize, &mut Vec<usize>),
) -> usize {
    let mut image = begin.to_vec();
    let mut returned = 0;
    let mut count = 0;
    for (number, step) in steps.iter().enumerate().take(range.end) {
        if range.contains(&number) {
            let disk = Memory::of(image.clone());
            if let Step::Write { at, octets } = step {
                disk.watch(*at..at + octets.len());
            }
            check(&disk, script, returned, &number);
            count += 1;
            if let Step::Write { at, octets } = step {
                let before = &image[*at..at + octets.len()];
                let cuts = (1..octets.len()).filter(|&cut| before[cut - 1] != octets[cut - 1]);
                let mut cuts: Vec<usize> = cuts.collect();
                choose(*at, &mut cuts);
                count += cuts.len();
                if !disk.was_read() {
                    // What does not look there finds the same whatever stands there, so one of them is enough.
                    cuts.truncate(1);
                }
                for cut in cuts {
                    let mut torn = image.clone();
                    step.replay(&mut torn, cut);
                    check(&Memory::of(torn), script, returned, &(number, cut));
                }
            }
            if number.is_multiple_of(50) {
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
fn power_losses(begin: &[u8], script: &[Call], steps: &[Step], seed: u64, times: usize) -> (usize, Vec<String>) {
    let mut chance = SplitMix64::new(seed);
    let mut synced = begin.to_vec();
    let mut unsynced: Vec<&Step> = Vec::new();
    let mut returned = 0;
    let mut count = 0;
    let mut losses = Vec::new();
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
            if let Err(why) = outcome(&Memory::of(image), script, returned) {
                losses.push(format!("step {number} of seed {seed}, after call {returned}: {why}"));
            }
            count += 1;
        }
    }
    (count, losses)
}

/// Does a step, but for one of so many of its sectors; the order of what is done stays as it was.
fn lose(step: &Step, image: &mut Vec<u8>, missing: u64, chance: &mut SplitMix64) {
    match step {
        Step::Write { at, octets } if !chance.next().is_multiple_of(missing) => {
            for (number, sector) in octets.chunks(512).enumerate() {
                if !chance.next().is_multiple_of(missing) {
                    let sector = Step::Write {
                        at: at + number * 512,
                        octets: sector.to_vec(),
                    };
                    sector.replay(image, usize::MAX);
                }
            }
        }
        Step::Length(_) if !chance.next().is_multiple_of(missing) => step.replay(image, usize::MAX),
        _ => {}
    }
}

/// A life, and what it did to the disk, which was like this before.
fn life(seed: u64) -> (Vec<u8>, Vec<Call>, Vec<Step>) {
    let script = script(seed, 300);
    let (begin, steps) = play(&script);
    (begin, script, steps)
}

#[test]
fn a_process_that_crashes_loses_nothing_that_was_stored() {
    let (begin, script, steps) = life(SEED);
    let mut chance = SplitMix64::new(SEED);
    let count = process_crashes(&begin, &script, &steps, 0..steps.len(), |at, cuts| {
        // More in the log, and in the store's head, which says what of the rest is there.
        let share = if at <= LOG_LEN { 16 } else { 2048 };
        cuts.retain(|_| chance.next().is_multiple_of(share));
    });
    println!("{count} crashes in {} steps, seed {SEED}", steps.len());
}

#[test]
fn a_machine_that_crashes_loses_nothing_that_was_stored() {
    let (begin, script, steps) = life(SEED + 1);
    let (count, losses) = power_losses(&begin, &script, &steps, SEED, 1);
    println!("{count} crashes in {} steps, seed {SEED}", steps.len());
    assert_eq!(losses, [""; 0]);
}

/// What [`Survives::ProcessCrash`](super::Survives) says of the end of the machine. And crashes are found out here at all.
#[test]
fn without_syncs_a_machine_that_crashes_may_lose_what_was_stored() {
    let (begin, script, mut steps) = life(SEED + 2);
    steps.retain(|step| *step != Step::Sync);
    steps.truncate(300);

    let (count, losses) = power_losses(&begin, &script, &steps, SEED, 1);

    println!("{} losses in {count} crashes, seed {SEED}", losses.len());
    assert!(losses.iter().any(|why| why.contains("corrupted")));
}

#[test]
#[ignore = "takes minutes"]
fn a_process_that_crashes_at_any_octet_loses_nothing_that_was_stored() {
    let (begin, script, steps) = life(SEED);
    let next = AtomicUsize::new(0);
    let count = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |number| number.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let from = next.fetch_add(20, Relaxed)
                    && from < steps.len()
                {
                    let crashes = process_crashes(&begin, &script, &steps, from..from + 20, |_, _| {});
                    count.fetch_add(crashes, Relaxed);
                    println!(
                        "{count:?} crashes in {} of {} steps, seed {SEED}",
                        from + 20,
                        steps.len()
                    );
                }
            });
        }
    });
}

#[test]
#[ignore = "takes minutes"]
fn machines_that_crash_lose_nothing_that_was_stored() {
    let mut crashes = 0;
    for seed in 0..20 {
        let (begin, script, steps) = life(seed);
        let (count, losses) = power_losses(&begin, &script, &steps, seed, 3);
        assert_eq!(losses, [""; 0]);
        crashes += count;
        println!("{crashes} crashes, seed {seed}");
    }
}

const SEED: u64 = 11;

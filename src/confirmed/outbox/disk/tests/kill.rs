//! Processes that are killed: what they had said to be stored is there.

use super::{DiskOutbox, FRESH, Folder, Outbox, Survives, ids, tasks};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// The process that is killed: stores and settles, and says what of it has returned.
#[test]
#[ignore = "a process of the test below"]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let survives = match std::env::var_os(POWER) {
        Some(_) => Survives::PowerLoss,
        None => Survives::ProcessCrash,
    };
    let mut outbox = DiskOutbox::open(path, survives).unwrap();
    let kept = outbox.load(FRESH).unwrap();
    let mut here: BTreeSet<u64> = ids(&kept).into_iter().collect();
    let mut next = kept.highest + 1;
    for round in 1.. {
        let group = tasks(next..next + 1 + round % 40, 700);
        let settled: Vec<u64> = here.iter().copied().step_by(2).take(30).collect();
        println!("{SETTLES}{settled:?}");
        std::io::stdout().flush().unwrap();
        outbox.store(&group, &settled).unwrap();
        println!("{STORED}{:?}", group.iter().map(|task| task.id).collect::<Vec<_>>());
        std::io::stdout().flush().unwrap();
        next += group.len() as u64;
        here.extend(group.iter().map(|task| task.id));
        here.retain(|id| !settled.contains(id));
    }
}

#[test]
fn what_a_killed_process_had_stored_is_there() {
    let folder = Folder::new();
    let mut stored: BTreeSet<u64> = BTreeSet::new();
    let mut settled: BTreeSet<u64> = BTreeSet::new();
    let mut was_found: BTreeSet<u64> = BTreeSet::new();
    for kill in 0..20_usize {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "confirmed::outbox::disk::tests::kill::child";
        command.args(["--exact", name, "--ignored", "--nocapture"]);
        command.env(PATH, folder.file()).stdout(Stdio::piped());
        if kill % 2 == 0 {
            command.env(POWER, "1");
        }
        let mut child = command.spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let mut rounds = 0;
        for line in BufReader::new(output).lines() {
            let line = line.unwrap();
            // What was being said when it was killed is cut.
            let read = |prefix: &str| {
                let list = line.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')?;
                list.split(", ")
                    .filter(|id| !id.is_empty())
                    .map(|id| id.parse().ok())
                    .collect::<Option<Vec<u64>>>()
            };
            settled.extend(read(SETTLES).unwrap_or_default());
            if let Some(ids) = read(STORED) {
                stored.extend(ids);
                rounds += 1;
            }
            if rounds == 3 + kill * 2 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(rounds >= 3 + kill * 2, "kill {kill}: it has ended by itself");

        let mut outbox = DiskOutbox::open(folder.file(), Survives::PowerLoss).unwrap();
        let kept = outbox.load([0; 16]).unwrap();
        let found = ids(&kept);
        assert_eq!(kept.source, FRESH);
        assert!(found.is_sorted_by(|a, b| a < b));
        let here: BTreeSet<u64> = found.iter().copied().collect();
        let missing: Vec<_> = stored
            .iter()
            .filter(|id| !settled.contains(id) && !here.contains(id))
            .collect();
        assert!(missing.is_empty(), "kill {kill}: {missing:?} of {}", stored.len());
        assert!(stored.last().is_some_and(|&last| last <= kept.highest));
        assert!(kept.tasks.iter().all(|task| *task == super::task(task.id, 700)));
        was_found.extend(here);
        // What was stored and not said counts from now on.
        stored.extend(found);
    }
    assert!(was_found.len() > 100, "{}", was_found.len());
}

const PATH: &str = "PEERMQ_TEST_OUTBOX";
const POWER: &str = "PEERMQ_TEST_OUTBOX_POWER";
const SETTLES: &str = "settles ";
const STORED: &str = "stored ";

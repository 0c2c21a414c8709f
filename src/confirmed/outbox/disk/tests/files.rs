//! Files: who may open them, and what is no outbox.

use super::super::log;
use super::{DiskOutbox, FRESH, Folder, Outbox, OutboxError, Survives, ids, tasks};
use crate::chance::SplitMix64;
use std::fs;

fn stored(folder: &Folder, survives: Survives) {
    let mut outbox = DiskOutbox::open(folder.file(), survives).unwrap();
    outbox.load(FRESH).unwrap();
    outbox.store(&tasks(1..=100, 1000), &[]).unwrap();
    outbox.store(&tasks(101..=200, 10), &[5, 150]).unwrap();
}

#[test]
fn a_file_is_made_and_opened_again() {
    for survives in [Survives::ProcessCrash, Survives::PowerLoss] {
        let folder = Folder::new();
        stored(&folder, survives);

        let kept = DiskOutbox::open(folder.file(), survives)
            .unwrap()
            .load([8; 16])
            .unwrap();
        let expected: Vec<u64> = (1..=200).filter(|id| ![5, 150].contains(id)).collect();
        assert_eq!(ids(&kept), expected);
        assert_eq!((kept.source, kept.findings), (FRESH, vec![]));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing else is left");
    }
}

#[test]
fn a_file_that_is_open_is_not_opened_again_until_it_is_closed() {
    let folder = Folder::new();
    let outbox = DiskOutbox::open(folder.file(), Survives::PowerLoss).unwrap();

    let error = DiskOutbox::open(folder.file(), Survives::PowerLoss).unwrap_err();
    assert!(
        matches!(&error, OutboxError::InUse { path } if *path == folder.file()),
        "{error}"
    );
    drop(outbox);
    DiskOutbox::open(folder.file(), Survives::PowerLoss).unwrap();
}

/// Who makes a file has it before it has its name.
#[test]
fn a_file_that_is_being_made_is_in_use_and_one_that_was_left_unmade_is_made_anew() {
    let folder = Folder::new();
    let unnamed = folder.0.join("tasks.new");
    let other = fs::File::create(&unnamed).unwrap();
    other.lock().unwrap();
    let error = DiskOutbox::open(folder.file(), Survives::PowerLoss).unwrap_err();
    assert!(matches!(error, OutboxError::InUse { .. }), "{error}");
    drop(other);
    fs::write(&unnamed, [1; 10_000]).unwrap();

    stored(&folder, Survives::PowerLoss);

    assert!(!unnamed.exists());
}

#[test]
fn what_is_no_outbox_stays_as_it_is() {
    let folder = Folder::new();
    stored(&folder, Survives::ProcessCrash);
    let good = fs::read(folder.file()).unwrap();
    let mut later = good.clone();
    later[19] = 2;
    let foreign = folder.0.join("foreign");
    drop(redb::Database::create(&foreign).unwrap());
    let cases: [(&str, Vec<u8>); 6] = [
        ("no outbox", vec![]),
        ("no outbox", b"a letter".to_vec()),
        ("no outbox", good[..4095].to_vec()),
        ("no outbox", fs::read(&foreign).unwrap()),
        ("later than 1", later),
        ("damaged", good[..4096].to_vec()),
    ];
    for (expected, octets) in cases {
        fs::write(folder.file(), &octets).unwrap();

        let error = DiskOutbox::open(folder.file(), Survives::PowerLoss)
            .unwrap_err()
            .to_string();

        assert!(error.contains(expected), "{error}");
        assert!(error.contains(&*folder.file().to_string_lossy()), "{error}");
        assert!(fs::read(folder.file()).unwrap() == octets, "{error}");
    }
    let error = DiskOutbox::open(&folder.0, Survives::PowerLoss).unwrap_err();
    assert!(matches!(error, OutboxError::Io { .. }), "{error}");
}

/// Octets that change, or an end that is missing, are an error, or make no difference.
#[test]
fn what_was_changed_by_others_is_an_error_and_no_panic() {
    let folder = Folder::new();
    stored(&folder, Survives::ProcessCrash);
    let good = fs::read(folder.file()).unwrap();
    let expected = DiskOutbox::open(folder.file(), Survives::ProcessCrash)
        .unwrap()
        .load(FRESH)
        .unwrap();
    let seed = 3;
    let mut chance = SplitMix64::new(seed);
    let mut errors = 0;
    for round in 0..400 {
        let mut octets = good.clone();
        if round % 10 == 0 {
            octets.truncate(4097 + chance.next() as usize % (good.len() - 4097));
        } else {
            for _ in 0..1 + chance.next() % 3 {
                // Half of them in the store's own head.
                let store = 4096 + log::LEN as usize;
                let range = match chance.next().is_multiple_of(2) {
                    true => store..store + 320,
                    false => 4096..good.len(),
                };
                octets[range.start + chance.next() as usize % range.len()] ^= 1 << (chance.next() % 8);
            }
        }
        fs::write(folder.file(), &octets).unwrap();
        let kept = DiskOutbox::open(folder.file(), Survives::ProcessCrash).and_then(|mut outbox| outbox.load(FRESH));
        match kept {
            Ok(kept) => assert_eq!(kept.tasks, expected.tasks, "round {round} of seed {seed}"),
            Err(OutboxError::Damaged { path, .. }) => {
                assert_eq!(path, folder.file());
                errors += 1;
            }
            Err(error) => panic!("round {round} of seed {seed}: {error}"),
        }
    }
    assert!(errors > 50, "{errors}");
}

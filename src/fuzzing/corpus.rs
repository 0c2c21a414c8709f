//! All that is kept of what fuzzers found, told again without one; and what they begin with.
//!
//! `PEERMQ_WRITE_CORPUS=1 cargo test --lib fuzzing::corpus` writes the beginnings into `fuzz/corpus`.

use super::TARGETS;
use super::calls::received;
use super::curve::of_curve;
use super::handshakes::{of_frames, of_null, of_plain};
use super::seeds::seeds;
use super::talk::Outcome;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// The names of what is in a folder, without their extension.
fn names(of: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder(of)).expect("a folder").flatten();
    let stem = |entry: fs::DirEntry| entry.path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
    entries.filter_map(stem).collect()
}

/// Dropped only by a panic: names the file that led to it.
struct Printed<'a>(&'a str, PathBuf);

impl Drop for Printed<'_> {
    fn drop(&mut self) {
        eprintln!("failed at {}: {}", self.0, self.1.display());
    }
}

#[test]
fn all_that_is_kept_holds() {
    if !folder("fuzz_targets").exists() {
        // What is published has none.
        return;
    }
    write_seeds();
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("corpus"), targets, "a folder for each target");
    assert_eq!(names("fuzz_targets"), targets, "a fuzzer for each target");
    for (name, target) in TARGETS {
        let mut files: Vec<PathBuf> = fs::read_dir(folder("corpus").join(name))
            .expect("its folder")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        files.sort();
        for file in files {
            let bytes = fs::read(&file).expect("a file");
            let printed = Printed(name, file);
            target(&bytes);
            std::mem::forget(printed);
        }
    }
}

/// What a fuzzer begins with holds too, whether or not it is kept.
#[test]
fn beginnings_hold() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} begins with nothing");
        for (_, bytes) in seeds {
            target(&bytes);
        }
    }
}

/// Else fuzzers would look for a door for long.
#[test]
fn beginnings_lead_into_traffic() {
    let scenes = [
        ("frames", of_frames as fn(&[u8]) -> Outcome, 4),
        ("null", of_null, 1),
        ("plain", of_plain, 2),
        ("curve", of_curve, 2),
    ];
    for (name, told, at_least) in scenes {
        let outcomes = seeds(name).into_iter().map(|(_, bytes)| told(&bytes));
        let with_messages = outcomes.filter(|outcome| outcome.messages().count() > 0).count();
        assert!(with_messages >= at_least, "{name}: {with_messages}");
    }
    for (name, bytes) in seeds("calls") {
        assert!(received(&bytes) > 0, "in {name} nothing comes");
    }
}

#[test]
fn no_bytes_at_all_and_many_alike_hold() {
    for (_, target) in TARGETS {
        for byte in [0, 1, 7, 0x7F, 0xFF] {
            (0..40).for_each(|len| target(&vec![byte; len]));
            target(&vec![byte; 1_000]);
        }
    }
}

fn write_seeds() {
    if std::env::var_os("PEERMQ_WRITE_CORPUS").is_none() {
        return;
    }
    for (name, _) in TARGETS {
        let folder = folder("corpus").join(name);
        fs::create_dir_all(&folder).expect("a folder");
        for (what, bytes) in seeds(name) {
            fs::write(folder.join(what), bytes).expect("a file");
        }
    }
}

//! What it costs to keep tasks on disk: groups of tasks of 1 KiB, of which 10,000 are kept and the oldest settled as new ones
//! come; beside them, in turn, the limit: so many octets written over those of a file that is there, and synced.
//!
//! `cargo bench --features outbox --bench outbox`, with `--folder` for the disk that is meant.

#[path = "support/mod.rs"]
mod support;

use bytes::Bytes;
use hdrhistogram::Histogram;
use peermq::Message;
use peermq::confirmed::{DiskOutbox, KeptTask, Outbox, Survives};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::Args;

const TASK: usize = 1024;
const KEPT: u64 = 10_000;
const GROUPS: [u64; 5] = [1, 16, 64, 256, 1024];
/// The file that is written over; as large as an outbox becomes with so many tasks.
const RAW: u64 = 32 << 20;

fn main() {
    let args = Args::read();
    let duration = args.duration();
    let folder = args.value("--folder").unwrap_or(env!("CARGO_TARGET_TMPDIR"));
    let folder = PathBuf::from(folder).join("outbox_bench");
    fs::create_dir_all(&folder).expect("a folder");
    println!(
        "{:<16} {:>6} {:>9} {:>9} {:>12} {:>14}",
        "", "group", "p50 us", "p99 us", "tasks/s", "octets/octet"
    );
    let mut rows = Vec::new();
    for group in GROUPS {
        let mut raw = Raw::new(&folder);
        let mut power = Kept::new(&folder, Survives::PowerLoss);
        let mut process = Kept::new(&folder, Survives::ProcessCrash);
        let mut figures = [(); 3].map(|()| Figures::new());
        let begin = Instant::now();
        // In turn, so that a slow moment of the disk is everybody's.
        while begin.elapsed() < duration * 3 {
            figures[0].add(group, || raw.write(group));
            figures[1].add(group, || power.store(group));
            figures[2].add(group, || process.store(group));
        }
        for (name, figures) in ["written, synced", "power loss", "process crash"].iter().zip(&figures) {
            rows.push(figures.tell(name, group));
        }
    }
    fs::remove_dir_all(&folder).expect("its files");
    support::write_json(&args, "outbox", &rows);
}

/// An outbox with tasks in it.
struct Kept {
    outbox: DiskOutbox,
    kept: Range<u64>,
    body: Bytes,
}

impl Kept {
    fn new(folder: &Path, survives: Survives) -> Self {
        let path = folder.join(format!("{survives:?}"));
        let _none = fs::remove_file(&path);
        let mut outbox = DiskOutbox::open(path, survives).expect("an outbox");
        outbox.load([7; 16]).expect("nothing in it");
        let mut kept = Kept {
            outbox,
            kept: 1..1,
            body: Bytes::from(vec![7; TASK]),
        };
        while kept.kept.end <= KEPT {
            kept.put(1_000, 0);
        }
        kept
    }

    /// As many are settled with it.
    fn store(&mut self, group: u64) {
        self.put(group, group);
    }

    fn put(&mut self, accepted: u64, settled: u64) {
        let Range { start, end } = self.kept;
        let task = |id| KeptTask {
            id,
            message: Message::from(self.body.clone()),
            key: Bytes::new(),
            headers: Bytes::new(),
            order: None,
            starts_at: None,
            too_late_at: None,
        };
        let tasks: Vec<_> = (end..end + accepted).map(task).collect();
        let over: Vec<_> = (start..start + settled).collect();
        self.outbox.store(&tasks, &over).expect("room on the disk");
        self.kept = start + settled..end + accepted;
    }
}

/// A file that is written over from its begin to its end, again and again.
struct Raw {
    file: File,
    at: u64,
    octets: Vec<u8>,
}

impl Raw {
    fn new(folder: &Path) -> Self {
        let options = || {
            File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .open(folder.join("raw"))
        };
        let file = options().expect("a file");
        file.write_all_at(&vec![1; RAW as usize], 0).expect("room on the disk");
        file.sync_all().expect("a disk");
        Raw {
            file,
            at: 0,
            octets: vec![7; TASK * GROUPS[4] as usize],
        }
    }

    fn write(&mut self, group: u64) {
        let octets = &self.octets[..TASK * group as usize];
        if self.at + octets.len() as u64 > RAW {
            self.at = 0;
        }
        self.file.write_all_at(octets, self.at).expect("a file");
        self.file.sync_data().expect("a disk");
        self.at += octets.len() as u64;
    }
}

struct Figures {
    ns: Histogram<u64>,
    total: Duration,
    tasks: u64,
    written: u64,
}

impl Figures {
    fn new() -> Self {
        Figures {
            ns: Histogram::new(3).expect("three digits"),
            total: Duration::ZERO,
            tasks: 0,
            written: 0,
        }
    }

    fn add(&mut self, group: u64, mut store: impl FnMut()) {
        let before = written();
        let begin = Instant::now();
        store();
        let elapsed = begin.elapsed();
        self.written += written() - before;
        self.ns.record(elapsed.as_nanos() as u64).expect("less than for ever");
        self.total += elapsed;
        self.tasks += group;
    }

    fn tell(&self, name: &str, group: u64) -> String {
        let us = |quantile| self.ns.value_at_quantile(quantile) as f64 / 1e3;
        let rate = self.tasks as f64 / self.total.as_secs_f64();
        let times = self.written as f64 / (self.tasks as f64 * TASK as f64);
        println!(
            "{name:<16} {group:>6} {:>9.0} {:>9.0} {rate:>12.0} {times:>14.1}",
            us(0.5),
            us(0.99)
        );
        support::json_object(&[
            ("name", format!("\"{name}\"")),
            ("group", group.to_string()),
            ("p50_us", format!("{:.1}", us(0.5))),
            ("p99_us", format!("{:.1}", us(0.99))),
            ("tasks_per_second", format!("{rate:.0}")),
            ("written_per_octet", format!("{times:.2}")),
        ])
    }
}

/// Octets that this process has given to the kernel to be written (Linux; 0 elsewhere).
fn written() -> u64 {
    let told = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

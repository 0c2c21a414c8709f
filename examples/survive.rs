//! Kills workers, and the source, with SIGKILL at random, and counts what was lost: nothing.
//!
//! A source and some workers are processes of their own. Who sends a task notes that it was accepted once `send` has returned;
//! who does one notes that before it acknowledges it. When all is settled, whatever was accepted must have been done, or be a
//! dead letter; and what was done twice must have been marked as a redelivery each time but the first.
//!
//! The source is killed too if it has an outbox: with the feature `outbox`.

use peermq::Context;
use peermq::confirmed::{Seen, Source, Task, Worker};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const HELP: &str = "\
Kills workers and the source of confirmed tasks with SIGKILL at random, and counts what was lost.

  survive [--seconds S] [--tasks N] [--kills K] [--workers W] [--seed X]

  --seconds S   over which the kills are spread; default 60
  --tasks N     how many are sent; default 100000
  --kills K     how many processes are killed; default 200
  --workers W   how many there are; default 3
  --seed X      decides who is killed, and when; default: another one each time
  --help        this text

Through cargo: cargo run --release --features outbox --example survive
Without the feature the source is not killed: what it has would be gone.
";

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Tasks that one worker may have.
const PREFETCH: u32 = 64;
/// Threads that send: they share what is stored at once.
const SENDERS: usize = 64;
/// How many settled tasks an outbox may not have been told of when its source is killed.
const NOT_STORED: u64 = 2 * 1024;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("survive: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Outcome {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["source", folder, tasks] => source(Path::new(folder), tasks.parse()?),
        ["worker", folder, seed] => worker(Path::new(folder), seed.parse()?),
        words if words.contains(&"--help") => {
            print!("{HELP}");
            Ok(())
        }
        words => all(words),
    }
}

// -- the source

/// Sends tasks that are numbers, on from where the one before it was killed, and ends once all are settled.
fn source(folder: &Path, tasks: u64) -> Outcome {
    let context = Context::new()?;
    let builder = Source::builder(&context)
        .bind(endpoint(folder))?
        .backlog(10_000, 1 << 30)
        .max_losses(None)
        .dead_letters_to_file(folder.join("dead"))?;
    #[cfg(feature = "outbox")]
    let builder = builder.outbox(folder.join("outbox"))?;
    let source = builder.build()?;

    // What is noted before it is sent is not sent by the next one, whether it was accepted or not.
    let first = numbers(&folder.join("tried"))?.last().map_or(0, |last| last + 1);
    let next = AtomicU64::new(first);
    let tried = Mutex::new(append(&folder.join("tried"))?);
    let accepted = append(&folder.join("accepted"))?;
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                scope.spawn(|| -> Outcome {
                    loop {
                        let number = {
                            let mut tried = tried.lock().map_err(|_| "a sender panicked")?;
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= tasks {
                                return Ok(());
                            }
                            note(&mut *tried, &format!("{number}"))?;
                            number
                        };
                        let text = number.to_string();
                        let _receipt = source.send(Task::new(text.clone()).key(&text))?;
                        note(&mut &accepted, &text)?;
                    }
                })
            })
            .collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().map_err(|_| "a sender panicked")?)
    })?;
    let report = source.close(Duration::from_secs(120))?;
    match report.unsettled {
        0 => Ok(()),
        left => Err(format!("{left} tasks are not settled").into()),
    }
}

// -- a worker

/// Notes each task and acknowledges it; says of some that it cannot do them, now or ever.
fn worker(folder: &Path, seed: u64) -> Outcome {
    let context = Context::new()?;
    let worker = Worker::builder(&context)
        .connect(endpoint(folder))?
        .prefetch(PREFETCH)
        .seen(Done {
            folder: folder.join("done"),
            skipped: append(&folder.join("skipped"))?,
        })
        .build()?;
    let mut processed = append(&folder.join("processed"))?;
    let mut chance = Chance(seed);
    while let Some(task) = worker.recv()? {
        let number = task.message().to_str()?.to_owned();
        match chance.below(1_000) {
            0 => task.reject("it is never to be")?,
            1..=9 => task.retry_after(Duration::from_millis(1), "not now")?,
            _ => {
                let mark = if task.is_redelivered() { "again" } else { "first" };
                note(&mut processed, &format!("{number} {mark}"))?;
                task.ack()?;
            }
        }
    }
    Ok(())
}

/// Which tasks are done, for all workers: an empty file for each.
struct Done {
    folder: PathBuf,
    skipped: File,
}

impl Seen for Done {
    fn was_done(&self, key: &[u8]) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let key = std::str::from_utf8(key)?;
        let was_done = self.folder.join(key).exists();
        if was_done {
            note(&mut &self.skipped, key)?;
        }
        Ok(was_done)
    }

    fn done(&self, key: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        File::create(self.folder.join(std::str::from_utf8(key)?))?;
        Ok(())
    }
}

// -- who kills

fn all(words: &[&str]) -> Outcome {
    let seconds = option(words, "--seconds", 60)?;
    let tasks = option(words, "--tasks", 100_000)?;
    let kills = option(words, "--kills", 200)?;
    let workers = usize::try_from(option(words, "--workers", 3)?)?.max(1);
    let seed = option(words, "--seed", u64::from(process::id()) ^ fresh())?;
    let kills_source = cfg!(feature = "outbox");
    println!(
        "{tasks} tasks, {workers} workers, {kills} kills in {seconds} s{}, seed {seed}",
        if kills_source { ", the source's among them" } else { "" }
    );

    let folder = std::env::temp_dir().join(format!("peermq-survive-{}", process::id()));
    fs::create_dir_all(folder.join("done"))?;
    let mut chance = Chance(seed);
    let mut cast = Cast::new(&folder, tasks);
    cast.start_source()?;
    for _ in 0..workers {
        cast.start_worker(&mut chance)?;
    }
    let begin = Instant::now();
    let (mut killed_workers, mut killed_sources) = (0, 0);
    for kill in 1..=kills {
        // The first in the middle of the first part, and so on: some sooner, some later.
        let at = Duration::from_secs(seconds).mul_f64((kill as f64 - chance.part()) / kills as f64);
        thread::sleep(at.saturating_sub(begin.elapsed()));
        if kills_source && chance.below(10) == 0 {
            killed_sources += u64::from(cast.kill_source()?);
        } else {
            cast.kill_worker(&mut chance)?;
            killed_workers += 1;
        }
    }
    cast.await_source()?;
    let workers = workers as u64;
    drop(cast);

    let counted = count(&folder)?;
    println!(
        "{} accepted, {} processed, {} dead, {} lost, {} done twice, {} duplicates skipped; \
         {killed_workers} workers and {killed_sources} sources were killed, in {:.0} s",
        counted.accepted,
        counted.processed,
        counted.dead,
        counted.lost.len(),
        counted.twice,
        counted.skipped,
        begin.elapsed().as_secs_f64(),
    );
    let most = killed_workers * u64::from(PREFETCH) + killed_sources * (workers * u64::from(PREFETCH) + NOT_STORED);
    if !counted.lost.is_empty() {
        return Err(format!("lost: {:?}", counted.lost).into());
    }
    if let Some((number, firsts)) = counted.unmarked {
        return Err(format!("task {number} came {firsts} times without a mark").into());
    }
    if counted.twice > most {
        return Err(format!("{} were done twice, and {most} at most were at work", counted.twice).into());
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// The processes. They are killed when this is dropped.
struct Cast<'a> {
    folder: &'a Path,
    tasks: u64,
    source: Option<Child>,
    workers: Vec<Child>,
}

impl<'a> Cast<'a> {
    fn new(folder: &'a Path, tasks: u64) -> Self {
        Cast {
            folder,
            tasks,
            source: None,
            workers: Vec::new(),
        }
    }

    fn start(&self, role: &str, number: u64) -> io::Result<Child> {
        Command::new(std::env::current_exe()?)
            .arg(role)
            .arg(self.folder)
            .arg(number.to_string())
            .spawn()
    }

    fn start_source(&mut self) -> io::Result<()> {
        self.source = Some(self.start("source", self.tasks)?);
        Ok(())
    }

    fn start_worker(&mut self, chance: &mut Chance) -> io::Result<()> {
        let worker = self.start("worker", chance.next())?;
        self.workers.push(worker);
        Ok(())
    }

    fn kill_worker(&mut self, chance: &mut Chance) -> io::Result<()> {
        let index = chance.below(self.workers.len() as u64) as usize;
        let mut worker = self.workers.swap_remove(index);
        let killed = worker.kill();
        worker.wait()?;
        killed?;
        self.start_worker(chance)
    }

    /// `false`: it had nothing to do any more.
    fn kill_source(&mut self) -> Outcome<bool> {
        let Some(source) = &mut self.source else {
            return Ok(false);
        };
        if let Some(status) = source.try_wait()? {
            return if status.success() {
                Ok(false)
            } else {
                Err(format!("the source: {status}").into())
            };
        }
        source.kill()?;
        source.wait()?;
        self.start_source()?;
        Ok(true)
    }

    /// Until all is settled.
    fn await_source(&mut self) -> Outcome {
        let Some(mut source) = self.source.take() else {
            return Ok(());
        };
        let status = source.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the source: {status}").into())
        }
    }
}

impl Drop for Cast<'_> {
    fn drop(&mut self) {
        for mut child in self.workers.drain(..).chain(self.source.take()) {
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

/// What the notes say.
struct Counted {
    accepted: usize,
    processed: usize,
    dead: usize,
    lost: Vec<u64>,
    twice: u64,
    skipped: usize,
    /// A task that was processed more than once without a mark.
    unmarked: Option<(u64, u64)>,
}

fn count(folder: &Path) -> Outcome<Counted> {
    let accepted: BTreeSet<u64> = numbers(&folder.join("accepted"))?.into_iter().collect();
    let mut firsts = BTreeMap::<u64, u64>::new();
    let mut lines = 0;
    for line in text(&folder.join("processed"))?.lines() {
        // The last line of a process that was killed may be cut.
        if let Some((number, mark)) = line.split_once(' ')
            && let Ok(number) = number.parse()
            && ["first", "again"].contains(&mark)
        {
            lines += 1;
            *firsts.entry(number).or_default() += u64::from(mark == "first");
        }
    }
    let mut dead = BTreeSet::<u64>::new();
    for letter in text(&folder.join("dead"))?.lines() {
        if let Some((_, key)) = letter.split_once("\"key\":\"")
            && let Some((key, _)) = key.split_once('"')
        {
            dead.insert(unhex(key)?.parse()?);
        }
    }
    let is_lost = |number: &&u64| !firsts.contains_key(*number) && !dead.contains(*number);
    Ok(Counted {
        lost: accepted.iter().filter(is_lost).copied().collect(),
        accepted: accepted.len(),
        processed: firsts.len(),
        dead: dead.len(),
        twice: lines - firsts.len() as u64,
        skipped: text(&folder.join("skipped"))?.lines().count(),
        unmarked: firsts
            .iter()
            .find(|(_, firsts)| **firsts > 1)
            .map(|(&number, &firsts)| (number, firsts)),
    })
}

// -- small things

fn endpoint(folder: &Path) -> String {
    format!("ipc://{}/source", folder.display())
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// One write: a line is there as a whole, or not at all.
fn note(file: &mut impl Write, line: &str) -> io::Result<()> {
    file.write_all(format!("{line}\n").as_bytes())
}

fn text(path: &Path) -> io::Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn numbers(path: &Path) -> io::Result<Vec<u64>> {
    Ok(text(path)?.lines().filter_map(|line| line.parse().ok()).collect())
}

fn unhex(text: &str) -> Outcome<String> {
    let bytes: Result<Vec<u8>, _> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16))
        .collect();
    Ok(String::from_utf8(bytes?)?)
}

fn option(words: &[&str], name: &str, default: u64) -> Outcome<u64> {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if let Some(unknown) = words
        .iter()
        .step_by(2)
        .find(|word| !["--seconds", "--tasks", "--kills", "--workers", "--seed"].contains(*word))
        && !IS_TOLD.swap(true, Ordering::Relaxed)
    {
        return Err(format!("there is no option {unknown}; see survive --help").into());
    }
    match words.iter().position(|word| *word == name) {
        None => Ok(default),
        Some(place) => {
            let value = words.get(place + 1).ok_or(format!("{name} needs a number"))?;
            value
                .parse()
                .map_err(|_| format!("{name} needs a number, not {value}").into())
        }
    }
}

/// A number that is another one each time.
fn fresh() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(())
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// From 0 up to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

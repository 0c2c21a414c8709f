//! Counts the words of a folder with a ventilator, workers and a sink: separate processes, joined by PUSH and PULL.
//!
//! The ventilator feeds chunks of lines, workers count their words, the sink adds them up. Every message says how many
//! chunks there are in all, so that the sink knows when it has seen the last one. Without a role, this starts all six
//! processes and compares what the sink says with a count of the same texts that was made without any messages.

use peermq::{Context, Event, Message, Options, Pull, Push, RecvError};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdout, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const HELP: &str = "\
Counts the words of a folder with a ventilator, workers and a sink, each a process of its own.

  pipeline [--input DIR] [--transport tcp|ipc] [--workers N]    all of them, on this machine, and a check
  pipeline ventilator --bind ENDPOINT [--input DIR] [--workers N]
                                        feeds once N workers are connected (default 1)
  pipeline worker --from ENDPOINT --to ENDPOINT [--name NAME]
                                        counts until nothing has come for as long as --patience says
  pipeline sink --bind ENDPOINT

  --input DIR         every text file below it, but target and .git; default: the sources of peermq
  --transport NAME    tcp (default) or ipc
  --patience SECONDS  how long a role waits for the others before it gives up; default 60
  --help              this text

Through cargo: cargo run --release --example pipeline -- sink --bind ENDPOINT

For example, on three machines:
  pipeline sink --bind 'tcp://*:5558'
  pipeline worker --from tcp://first:5557 --to tcp://third:5558
  pipeline ventilator --bind 'tcp://*:5557' --input DIR
";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            eprintln!("pipeline: {error}; see pipeline --help");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("pipeline: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut words: Vec<String>) -> Outcome {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let has_role = words.first().is_some_and(|word| !word.starts_with("--"));
    let role = if has_role { words.remove(0) } else { String::from("all") };
    match role.as_str() {
        "all" => all(&Args::parse(
            words,
            &["--input", "--transport", "--workers", "--patience"],
        )?),
        "ventilator" => ventilator(&Args::parse(words, &["--bind", "--input", "--workers", "--patience"])?),
        "worker" => worker(&Args::parse(words, &["--from", "--to", "--name", "--patience"])?),
        "sink" => sink(&Args::parse(words, &["--bind", "--patience"])?),
        other => Err(Usage::because(format!(
            "there is no role {other}: it is ventilator, worker or sink"
        ))),
    }
}

/// Sends every chunk of every text, once there are workers to share them.
fn ventilator(args: &Args) -> Outcome {
    let patience = args.patience()?;
    let workers = args.workers(1)?;
    let input = args.input()?;
    let texts = texts_below(&input)?;
    let chunks = chunks_of(&texts);
    if chunks.is_empty() {
        return Err(format!("there is no text below {}", input.display()).into());
    }
    let context = Context::new()?;
    // A small mark: who works faster gets more, because nobody hoards.
    let push = Push::with_options(&context, Options::default().send_mark(16).linger(patience))?;
    let monitor = push.monitor();
    announce(push.bind(args.endpoint("--bind")?)?);
    args.tie_to_parent(&context);

    let mut connected = 0;
    while connected < workers {
        match monitor.recv_timeout(patience) {
            Ok(Event::Connected { .. }) => connected += 1,
            Ok(Event::Disconnected { .. }) => connected -= 1,
            Ok(_) => {}
            Err(error) => return Err(format!("{connected} of {workers} workers are connected: {error}").into()),
        }
    }

    let total = chunks.len().to_string();
    for chunk in &chunks {
        push.send_timeout([total.as_str(), chunk.file.as_str(), chunk.lines.as_str()], patience)?;
    }
    let report = push.close()?;
    if report.dropped() > 0 {
        return Err(format!("{} of {total} chunks were not sent: {report:?}", report.dropped()).into());
    }
    if args.is_child {
        // Of the very texts that were sent: the files may have changed since.
        let mut expected = Counts::new();
        texts.iter().for_each(|(_, text)| count_words(text, &mut expected));
        print!("{}", to_lines(&expected));
    }
    Ok(())
}

/// Counts the words of each chunk, until nobody has any for it.
fn worker(args: &Args) -> Outcome {
    let patience = args.patience()?;
    let name = args
        .get("--name")
        .map_or_else(|| format!("worker-{}", process::id()), String::from);
    let context = Context::new()?;
    let pull = Pull::with_options(&context, Options::default().recv_mark(16))?;
    let push = Push::new(&context);
    push.connect(args.endpoint("--to")?)?;
    pull.connect(args.endpoint("--from")?)?;
    args.tie_to_parent(&context);

    let mut chunks = 0_u64;
    loop {
        let task = match pull.recv_timeout(patience) {
            Ok(task) => task,
            Err(RecvError::Closed) => return Ok(()),
            Err(error @ RecvError::TimedOut) if chunks == 0 => return Err(format!("no chunk came: {error}").into()),
            Err(RecvError::TimedOut) => {
                eprintln!(
                    "{name}: {chunks} chunks counted; no more came in {} s",
                    patience.as_secs()
                );
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let mut counts = Counts::new();
        count_words(text(&task, 2)?, &mut counts);
        push.send_timeout([name.as_str(), text(&task, 0)?, &to_lines(&counts)], patience)?;
        chunks += 1;
    }
}

/// Adds up what the workers counted, and says it once it has heard of every chunk.
fn sink(args: &Args) -> Outcome {
    let patience = args.patience()?;
    let context = Context::new()?;
    let pull = Pull::new(&context);
    announce(pull.bind(args.endpoint("--bind")?)?);
    args.tie_to_parent(&context);

    let mut totals = Totals::default();
    let mut bar = Bar::default();
    let mut started = None;
    loop {
        let result = pull
            .recv_timeout(patience)
            .map_err(|error| format!("{} chunks came, and then: {error}", totals.chunks))?;
        let started = *started.get_or_insert_with(Instant::now);
        let total = text(&result, 1)?.parse()?;
        totals.chunks += 1;
        *totals.shares.entry(text(&result, 0)?.to_string()).or_default() += 1;
        add_lines(text(&result, 2)?, &mut totals.words)?;
        bar.draw(totals.chunks, total);
        if totals.chunks == total {
            totals.seconds = started.elapsed().as_secs_f64();
            break;
        }
    }
    if args.is_child {
        print!("{}", totals.to_text());
    } else {
        totals.show();
    }
    Ok(())
}

/// Starts every role as a process, and compares the sink's totals with the ventilator's own count.
fn all(args: &Args) -> Outcome {
    let input = args.input()?;
    let workers = args.workers(4)?;
    let patience = args.patience()?.as_secs().to_string();
    let place = Place::new(args.get("--transport").unwrap_or("tcp"))?;
    let common = ["--patience", &patience];

    let mut sink = Role::start("sink", &["--bind", &place.endpoint("sink")], &common)?;
    let to = sink.announced()?;
    let feed = ["--bind", &place.endpoint("feed"), "--workers", &workers.to_string()];
    let mut ventilator = Role::start(
        "ventilator",
        &feed,
        &[&common[..], &["--input", path_text(&input)?]].concat(),
    )?;
    let from = ventilator.announced()?;
    let mut helpers = Vec::new();
    for number in 1..=workers {
        let name = format!("worker-{number}");
        helpers.push(Role::start(
            "worker",
            &["--from", &from, "--to", &to, "--name", &name],
            &common,
        )?);
    }

    let mut expected = Counts::new();
    add_lines(&ventilator.rest()?, &mut expected)?;
    ventilator.finish()?;
    let totals = Totals::from_text(&sink.rest()?)?;
    sink.finish()?;
    for helper in helpers {
        helper.finish()?;
    }

    totals.show();
    if totals.words != expected {
        let wrong = expected
            .iter()
            .filter(|(word, count)| totals.words.get(*word) != Some(count))
            .count();
        return Err(format!("the totals differ from a count without messages, in {wrong} words or more").into());
    }
    println!("check: the totals equal a count made without messages");
    Ok(())
}

type Counts = BTreeMap<String, u64>;

/// A few lines of a file: one message.
struct Chunk {
    file: String,
    lines: String,
}

fn chunks_of(texts: &[(PathBuf, String)]) -> Vec<Chunk> {
    const LINES: usize = 10;
    let mut chunks = Vec::new();
    for (path, text) in texts {
        let file = path.display().to_string();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let parts = lines.chunks(LINES).map(|part| Chunk {
            file: file.clone(),
            lines: part.concat(),
        });
        chunks.extend(parts);
    }
    chunks
}

/// Every file below a folder that can be read and is UTF-8, in the order of their names.
fn texts_below(folder: &Path) -> Outcome<Vec<(PathBuf, String)>> {
    let mut texts = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            if kind.is_dir() && name != "target" && name != ".git" {
                folders.push(entry.path());
            } else if kind.is_file() {
                let text = fs::read_to_string(entry.path()).ok();
                texts.extend(text.map(|text| (entry.path(), text)));
            }
        }
    }
    texts.sort();
    Ok(texts)
}

fn count_words(text: &str, counts: &mut Counts) {
    for word in text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
}

fn to_lines(counts: &Counts) -> String {
    counts.iter().fold(String::new(), |mut lines, (word, count)| {
        let _ = writeln!(lines, "{word} {count}");
        lines
    })
}

fn add_lines(lines: &str, counts: &mut Counts) -> Outcome {
    for line in lines.lines() {
        let (word, count) = line.rsplit_once(' ').ok_or_else(|| format!("no count in {line:?}"))?;
        *counts.entry(word.to_string()).or_default() += count.parse::<u64>()?;
    }
    Ok(())
}

/// One frame of a message, as text.
fn text(message: &Message, frame: usize) -> Outcome<&str> {
    let bytes = message
        .frame(frame)
        .ok_or_else(|| format!("{message:?} has no frame {frame}"))?;
    Ok(std::str::from_utf8(bytes)?)
}

/// What the sink knows in the end.
#[derive(Default)]
struct Totals {
    chunks: u64,
    /// From the first result to the last.
    seconds: f64,
    /// Chunks, by worker.
    shares: Counts,
    words: Counts,
}

impl Totals {
    fn to_text(&self) -> String {
        let numbers = format!("{} {}", self.chunks, self.seconds);
        format!("{numbers}\n{}\n{}", to_lines(&self.shares), to_lines(&self.words))
    }

    fn from_text(text: &str) -> Outcome<Totals> {
        let (numbers, lists) = text.split_once('\n').ok_or("the sink said nothing")?;
        let (chunks, seconds) = numbers.split_once(' ').ok_or("the sink named no time")?;
        let (shares, words) = lists.split_once("\n\n").ok_or("the sink named no words")?;
        let mut totals = Totals {
            chunks: chunks.parse()?,
            seconds: seconds.parse()?,
            ..Totals::default()
        };
        add_lines(shares, &mut totals.shares)?;
        add_lines(words, &mut totals.words)?;
        Ok(totals)
    }

    fn show(&self) {
        let mut top: Vec<(&String, &u64)> = self.words.iter().collect();
        top.sort_by_key(|&(word, count)| (std::cmp::Reverse(count), word));
        println!(
            "{} words, {} different; the most frequent:",
            self.words.values().sum::<u64>(),
            self.words.len()
        );
        for (word, count) in top.into_iter().take(10) {
            println!("{count:>9}  {word}");
        }
        // Each chunk is a message to a worker and one from it.
        let messages = 2 * self.chunks;
        let rate = messages as f64 / self.seconds.max(1e-9);
        println!(
            "{messages} messages in {:.3} s: {rate:.0} messages per second",
            self.seconds
        );
        for (worker, chunks) in &self.shares {
            println!(
                "{worker}: {chunks} chunks, {:.1} %",
                100.0 * *chunks as f64 / self.chunks as f64
            );
        }
    }
}

/// A progress bar on stderr, drawn again whenever a percent is full.
#[derive(Default)]
struct Bar {
    shown: Option<u64>,
}

impl Bar {
    fn draw(&mut self, done: u64, total: u64) {
        let percent = 100 * done / total.max(1);
        if self.shown.replace(percent) == Some(percent) && done < total {
            return;
        }
        let full = "#".repeat(usize::try_from(percent / 4).unwrap_or(25));
        let end = if done < total { "" } else { "\n" };
        eprint!("\r[{full:<25}] {percent:>3} % of {total} chunks{end}");
    }
}

/// A role that this process has started. It ends with this value at the latest.
struct Role {
    name: &'static str,
    process: process::Child,
    output: BufReader<ChildStdout>,
}

impl Role {
    fn start(name: &'static str, own: &[&str], common: &[&str]) -> Outcome<Role> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(name).args(own).args(common).arg(CHILD);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().ok_or("a child without output")?);
        Ok(Role { name, process, output })
    }

    /// The endpoint that it has bound: its first line.
    fn announced(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let endpoint = line.trim_end().strip_prefix(LISTENING);
        Ok(endpoint
            .ok_or_else(|| format!("the {} did not start", self.name))?
            .to_string())
    }

    /// All that it says until it ends.
    fn rest(&mut self) -> Outcome<String> {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest)?;
        Ok(rest)
    }

    /// Waits for its end; closing its input tells a worker that there is nothing left to do.
    fn finish(mut self) -> Outcome {
        if self.name == "worker" {
            drop(self.process.stdin.take());
        }
        // `wait` alone would close the input of those that are not done yet.
        self.rest()?;
        let status = self.process.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the {} ended with {status}", self.name).into())
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the roles of one run meet.
enum Place {
    Tcp,
    /// A folder for the sockets, removed in the end.
    Ipc(PathBuf),
}

impl Place {
    fn new(transport: &str) -> Outcome<Place> {
        match transport {
            "tcp" => Ok(Place::Tcp),
            "ipc" => {
                let folder = std::env::temp_dir().join(format!("peermq-pipeline-{}", process::id()));
                fs::create_dir_all(&folder)?;
                Ok(Place::Ipc(folder))
            }
            other => Err(Usage::because(format!("--transport {other}: it is tcp or ipc"))),
        }
    }

    fn endpoint(&self, name: &str) -> String {
        match self {
            Place::Tcp => String::from("tcp://127.0.0.1:0"),
            Place::Ipc(folder) => format!("ipc://{}", folder.join(name).display()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Place::Ipc(folder) = self {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn announce(endpoint: peermq::Endpoint) {
    println!("{LISTENING}{endpoint}");
    let _ = io::stdout().flush();
}

/// The options behind a role.
struct Args {
    values: BTreeMap<String, String>,
    is_child: bool,
}

impl Args {
    fn parse(words: Vec<String>, known: &[&str]) -> Outcome<Args> {
        let mut args = Args {
            values: BTreeMap::new(),
            is_child: false,
        };
        let mut words = words.into_iter();
        while let Some(name) = words.next() {
            if name == CHILD {
                args.is_child = true;
                continue;
            }
            if !known.contains(&name.as_str()) {
                return Err(Usage::because(format!("there is no option {name} here")));
            }
            let value = words
                .next()
                .ok_or_else(|| Usage::because(format!("{name} needs a value")))?;
            args.values.insert(name, value);
        }
        Ok(args)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn endpoint(&self, name: &str) -> Outcome<peermq::Endpoint> {
        let text = self
            .get(name)
            .ok_or_else(|| Usage::because(format!("{name} ENDPOINT is missing")))?;
        text.parse().map_err(|error| Usage::because(format!("{name} {error}")))
    }

    fn input(&self) -> Outcome<PathBuf> {
        let folder = PathBuf::from(self.get("--input").unwrap_or(env!("CARGO_MANIFEST_DIR")));
        if folder.is_dir() {
            Ok(folder)
        } else {
            Err(Usage::because(format!("{} is no folder", folder.display())))
        }
    }

    fn workers(&self, default: u64) -> Outcome<u64> {
        self.number("--workers", default)
    }

    fn patience(&self) -> Outcome<Duration> {
        Ok(Duration::from_secs(self.number("--patience", 60)?))
    }

    fn number(&self, name: &str, default: u64) -> Outcome<u64> {
        match self.get(name).map(|text| (text, text.parse())) {
            None => Ok(default),
            Some((_, Ok(number))) if 0 < number => Ok(number),
            Some((text, _)) => Err(Usage::because(format!("{name} {text}: not a number above 0"))),
        }
    }

    /// A child ends when its parent closes its input, or is no more: a shutdown of the context wakes every call.
    fn tie_to_parent(&self, context: &Context) {
        if self.is_child {
            let context = context.clone();
            thread::spawn(move || {
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                context.shutdown();
            });
        }
    }
}

/// The caller's mistake: exit code 2.
#[derive(Debug)]
struct Usage(String);

impl Usage {
    fn because(why: String) -> Box<dyn Error> {
        Box::new(Usage(why))
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

fn path_text(path: &Path) -> Outcome<&str> {
    path.to_str()
        .ok_or_else(|| Usage::because(format!("{} is not UTF-8", path.display())))
}

/// Started by this program itself: tied to its parent, and talks to it.
const CHILD: &str = "--child";
const LISTENING: &str = "listening on ";

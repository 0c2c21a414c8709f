//! Processes and their roles: how they are started, spoken with, watched and ended.
//!
//! A process plays one role, or several in a thread each (inproc). The bench tells a role a word by a line of its
//! process's input, the role tells words and numbers by lines of its output; both begin with the role's number. Every
//! wait has a limit, and a process is killed when it is no longer needed.

use crate::roles::Spec;
use crate::support::this_program;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Where a role hears and tells.
#[derive(Clone)]
pub struct Port {
    role: usize,
    heard: Arc<Mutex<Receiver<String>>>,
    opened: Arc<AtomicBool>,
}

impl Port {
    pub fn say(&self, words: impl Display) {
        println!("{} {words}", self.role);
    }

    pub fn say_once(&self, words: impl Display) {
        if !self.opened.swap(true, Ordering::Relaxed) {
            self.say(words);
        }
    }

    /// Whether a word has come since.
    pub fn told(&self) -> bool {
        self.heard.lock().expect("one at a time").try_recv().is_ok()
    }

    pub fn wait(&self) {
        let _ = self.heard.lock().expect("one at a time").recv();
    }
}

/// This process's part: the roles run in a thread each, and the process ends with its input. Roles' words are parted by
/// `--`.
pub fn play(words: &[String], run: impl Fn(Spec, Port)) {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        std::process::exit(1);
    }));
    let mut roles = Vec::new();
    for (role, words) in words.split(|word| word == "--").enumerate() {
        let (tell, heard) = channel();
        let port = Port {
            role,
            heard: Arc::new(Mutex::new(heard)),
            opened: Arc::default(),
        };
        run(Spec::read(words), port);
        roles.push(tell);
    }
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let (role, word) = line.split_once(' ').expect("a role and a word");
        let role: usize = role.parse().expect("a role");
        let _ = roles[role].send(String::from(word));
    }
    std::process::exit(0);
}

/// Why there is no figure.
#[derive(Debug)]
pub enum Failure {
    Cannot,
    Failed(String),
}

struct Process {
    child: Child,
    input: Mutex<ChildStdin>,
    complaint: Arc<Mutex<String>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A role of a process, as the bench sees it.
pub struct Actor {
    process: Rc<Process>,
    role: usize,
    lines: Receiver<String>,
    deadline: Instant,
}

/// This program again, with a role for each of `roles`.
pub fn start(core: Option<usize>, contender: &str, roles: &[String], deadline: Instant) -> Vec<Actor> {
    let mut command = this_program(core);
    command.args(["--role", contender]).args(roles.join(" -- ").split(' '));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("another process");
    let complaint = Arc::<Mutex<String>>::default();
    let (mut tell, mut lines) = (Vec::new(), Vec::new());
    for _ in roles {
        let (sender, receiver) = channel();
        tell.push(sender);
        lines.push(receiver);
    }
    let output = BufReader::new(child.stdout.take().expect("its output"));
    std::thread::spawn(move || distribute(output, &tell));
    let errors = BufReader::new(child.stderr.take().expect("its errors"));
    let last = complaint.clone();
    std::thread::spawn(move || {
        for line in errors
            .lines()
            .map_while(Result::ok)
            .filter(|line| !line.trim().is_empty())
        {
            *last.lock().expect("one at a time") = line;
        }
    });
    let input = Mutex::new(child.stdin.take().expect("its input"));
    let process = Rc::new(Process {
        child,
        input,
        complaint,
    });
    let actor = |(role, lines)| Actor {
        process: process.clone(),
        role,
        lines,
        deadline,
    };
    lines.into_iter().enumerate().map(actor).collect()
}

fn distribute(output: impl BufRead, roles: &[Sender<String>]) {
    for line in output.lines().map_while(Result::ok) {
        let Some((role, words)) = line.split_once(' ') else {
            continue;
        };
        if let Some(role) = role.parse().ok().and_then(|role: usize| roles.get(role)) {
            let _ = role.send(String::from(words));
        }
    }
}

impl Actor {
    pub fn tell(&self, word: &str) {
        let mut input = self.process.input.lock().expect("one at a time");
        let _ = writeln!(input, "{} {word}", self.role);
    }

    /// The next line, which must come in time.
    pub fn line(&self) -> Result<String, Failure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) if line == "cannot" => Err(Failure::Cannot),
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(Failure::Failed(String::from("out of time"))),
            Err(RecvTimeoutError::Disconnected) => {
                // What it complained about may be read a moment after its output ended.
                std::thread::sleep(std::time::Duration::from_millis(50));
                let complaint = self.process.complaint.lock().expect("one at a time").clone();
                Err(Failure::Failed(if complaint.is_empty() {
                    String::from("ended")
                } else {
                    complaint
                }))
            }
        }
    }

    pub fn expect(&self, word: &str) -> Result<(), Failure> {
        let line = self.line()?;
        assert_eq!(line, word, "what a role says");
        Ok(())
    }

    pub fn numbers<const N: usize>(&self) -> Result<[f64; N], Failure> {
        let line = self.line()?;
        let mut numbers = line.split(' ').map(|word| word.parse().expect("a number"));
        Ok(std::array::from_fn(|_| numbers.next().expect("as many numbers")))
    }
}

/// What processes have used since they began.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// On a processor, user and system.
    pub cpu_ns: f64,
    /// Times that a thread gave up the processor by itself.
    pub sleeps: f64,
    pub resident_bytes: f64,
}

impl Usage {
    /// Of the processes of these actors, each counted once, all threads that live (Linux).
    pub fn of<'a>(actors: impl IntoIterator<Item = &'a Actor>) -> Self {
        let mut usage = Usage::default();
        for process in processes_of(actors) {
            usage.resident_bytes += 1024.0 * status(&format!("/proc/{process}/status"), "VmRSS:");
            for thread in std::fs::read_dir(format!("/proc/{process}/task"))
                .into_iter()
                .flatten()
                .flatten()
            {
                let path = thread.path().display().to_string();
                usage.sleeps += status(&format!("{path}/status"), "voluntary_ctxt_switches:");
                let times = std::fs::read_to_string(format!("{path}/schedstat")).unwrap_or_default();
                usage.cpu_ns += times.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
            }
        }
        usage
    }

    pub fn since(self, before: Usage) -> Self {
        Usage {
            cpu_ns: self.cpu_ns - before.cpu_ns,
            sleeps: self.sleeps - before.sleeps,
            resident_bytes: self.resident_bytes - before.resident_bytes,
        }
    }
}

/// Each once.
pub fn processes_of<'a>(actors: impl IntoIterator<Item = &'a Actor>) -> Vec<u32> {
    let mut processes: Vec<u32> = actors.into_iter().map(|actor| actor.process.child.id()).collect();
    processes.sort_unstable();
    processes.dedup();
    processes
}

/// The number of a line of a status file.
fn status(file: &str, field: &str) -> f64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

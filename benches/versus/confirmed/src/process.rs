//! Processes: how parts are started, spoken with and ended, and what processes use.

use crate::plan::Part;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A process that plays a part. Dropped, it is killed.
pub struct Member {
    child: Child,
    lines: Receiver<String>,
    deadline: Instant,
}

impl Member {
    pub fn start(part: &Part, deadline: Instant) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let mut child = Command::new(program)
            .arg("--role")
            .args(part.to_words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("another process");
        let (tell, lines) = channel();
        let output = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Member { child, lines, deadline }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn go(&mut self) {
        let input = self.child.stdin.as_mut().expect("its input");
        let _ = writeln!(input, "go");
    }

    /// The rest of the next line, which has to begin with this word.
    pub fn hear(&self, word: &str) -> Result<String, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let line = self.lines.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no `{word}` in time"),
            RecvTimeoutError::Disconnected => format!("ended before it said `{word}`"),
        })?;
        let rest = line
            .strip_prefix(word)
            .ok_or_else(|| format!("`{line}` instead of `{word}`"))?;
        Ok(rest.trim().to_owned())
    }

    pub fn numbers(&self, word: &str) -> Result<Vec<f64>, String> {
        let text = self.hear(word)?;
        text.split(' ')
            .map(|number| number.parse().map_err(|_| format!("`{number}` is no number")))
            .collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A part that panics in any thread ends, and so does one whose bench has ended.
pub fn end_with_parent() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        std::process::exit(1);
    }));
    let parent = std::os::unix::process::parent_id();
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(Duration::from_secs(1));
        }
        std::process::exit(1);
    });
}

/// What a process and those below it have used: all its threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Processor time in microseconds, to the ten milliseconds.
    pub cpu_us: f64,
    /// Memory that is resident now.
    pub resident_mib: f64,
}

pub fn usage(pid: u32) -> Usage {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let stat = read("stat");
    // After the name, which may have anything in it: utime, stime and those of children that have ended are fields 14 to 17.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: f64 = fields
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    let resident = read("status").lines().find_map(|line| {
        let text = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
        text.parse::<f64>().ok()
    });
    let mut all = Usage {
        cpu_us: ticks * 1e6 / TICKS_PER_SECOND,
        resident_mib: resident.unwrap_or(0.0) / 1024.0,
    };
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    for thread in threads {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            let Usage { cpu_us, resident_mib } = usage(child);
            all.cpu_us += cpu_us;
            all.resident_mib += resident_mib;
        }
    }
    all
}

/// Of Linux, whatever its kernel's own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

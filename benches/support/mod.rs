//! What the benches share: their arguments, their processes, their figures.
#![allow(dead_code)] // each bench uses a part

pub(crate) mod calls;
pub(crate) mod svg;

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Arguments as `--name value` or `--name`. `--bench`, which cargo passes, asks for the full length.
pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn read() -> Self {
        Args(std::env::args().skip(1).collect())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|arg| arg == name)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|arg| arg == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    pub(crate) fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        let value = self.value(name)?;
        Some(value.parse().unwrap_or_else(|_| panic!("{name} {value}: not a number")))
    }

    /// How long each figure is measured: `--seconds`, or short without `--bench` (as `cargo test --benches` runs it).
    pub(crate) fn duration(&self) -> Duration {
        let default = if self.has("--bench") { 2.0 } else { 0.1 };
        Duration::from_secs_f64(self.number("--seconds").unwrap_or(default))
    }
}

/// This program again. `core` pins it through `taskset`.
pub(crate) fn this_program(core: Option<usize>) -> Command {
    let program = std::env::current_exe().expect("the path of this program");
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// This program again, in another role; its lines are read.
pub(crate) struct Role {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Role {
    pub(crate) fn start(core: Option<usize>, args: &[&str]) -> Self {
        let mut child = this_program(core)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the other process");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Role { child, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A line of its input.
    pub(crate) fn tell(&mut self, word: &str) {
        let input = self.child.stdin.as_mut().expect("its input");
        writeln!(input, "{word}").expect("a process that listens");
    }

    pub(crate) fn line(&mut self) -> String {
        self.lines
            .next()
            .expect("a line of the other process")
            .expect("its output")
    }

    pub(crate) fn numbers<const N: usize>(&mut self) -> [f64; N] {
        let line = self.line();
        let mut numbers = line.split(' ').map(|word| word.parse().expect("a number"));
        std::array::from_fn(|_| numbers.next().expect("as many numbers"))
    }

    /// Waits until it has ended, and well.
    pub(crate) fn end(mut self) {
        assert!(self.child.wait().expect("its end").success());
    }
}

/// One that has given its figures has no more to do.
impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The core to pin to: the last one, if `taskset` is here.
pub(crate) fn core_to_pin() -> Option<usize> {
    let found = Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("no taskset here: nothing is pinned");
        return None;
    }
    std::thread::available_parallelism().ok().map(|cores| cores.get() - 1)
}

/// Time that those threads of this process which live have run on a processor, user and system, in nanoseconds (Linux).
pub(crate) fn cpu_ns() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let used = threads.filter_map(|thread| {
        let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split(' ').next()?.parse::<u64>().ok()
    });
    used.sum()
}

pub(crate) fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}

/// One line of figures as a JSON object.
pub(crate) fn json_object(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}"))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

pub(crate) fn write_json(args: &Args, bench: &str, rows: &[String]) {
    if let Some(file) = args.value("--json") {
        let rows = rows.join(",\n    ");
        let text = format!("{{\n  \"bench\": \"{bench}\",\n  \"results\": [\n    {rows}\n  ]\n}}\n");
        std::fs::write(file, text).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

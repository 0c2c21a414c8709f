//! How many system calls other processes make: as perf counts them, where it is there and may.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

pub(crate) struct CallCount {
    perf: Child,
}

impl CallCount {
    /// Counts those of all threads of these processes, from now on. `None`: nobody here can.
    pub(crate) fn begin(processes: &[u32]) -> Option<Self> {
        let processes: Vec<_> = processes.iter().map(u32::to_string).collect();
        // It counts as long as the command lives that it starts. That is one which answers: so it counts already.
        let mut perf = Command::new("perf")
            .args(["stat", "-x,", "-e", "raw_syscalls:sys_enter"])
            .args(["-p", &processes.join(","), "--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut answer = String::new();
        let _ = writeln!(perf.stdin.as_mut()?, "do you count?");
        let _ = BufReader::new(perf.stdout.take()?).read_line(&mut answer);
        if answer.is_empty() {
            let _ = perf.wait();
            return None;
        }
        Some(CallCount { perf })
    }

    /// How many there were.
    pub(crate) fn end(self) -> Option<f64> {
        let output = self.perf.wait_with_output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.contains("sys_enter"))?;
        line.split(',').next()?.parse().ok()
    }
}

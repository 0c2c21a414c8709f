//! The Python process, and how it is spoken to.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// The longest wait for a message.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// The peer's own waits end after `LIMIT`, and it is to tell so itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

pub(crate) struct Peer {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<String>,
    pub(crate) about: String,
}

/// The tests take turns with one process; one that failed in the middle leaves none behind.
pub(crate) fn with_peer(run: impl FnOnce(&mut Peer)) {
    static PEER: Mutex<Option<Peer>> = Mutex::new(None);
    let mut place = PEER.lock().unwrap_or_else(PoisonError::into_inner);
    let mut peer = match place.take().map_or_else(Peer::start, Ok) {
        Ok(peer) => peer,
        Err(why) if std::env::var("PEERMQ_INTEROP").is_ok_and(|value| value == "required") => panic!("{why}"),
        Err(why) => return skip(&why),
    };
    run(&mut peer);
    *place = Some(peer);
}

/// The same for a program of its own: gives the Python that runs it.
pub(crate) fn with_python(run: impl FnOnce(&Path)) {
    match python() {
        Ok(python) => run(&python),
        Err(why) if std::env::var("PEERMQ_INTEROP").is_ok_and(|value| value == "required") => panic!("{why}"),
        Err(why) => skip(&why),
    }
}

/// One with pyzmq.
fn python() -> Result<PathBuf, String> {
    let python = std::env::var_os("PEERMQ_PYTHON").map_or_else(default_python, PathBuf::from);
    let found = Command::new(&python)
        .args(["-c", "import zmq"])
        .stderr(Stdio::null())
        .status();
    if found.is_ok_and(|status| status.success()) {
        return Ok(python);
    }
    Err(format!(
        "no Python with pyzmq was found, {} is none (PEERMQ_PYTHON names one)",
        python.display()
    ))
}

/// Once for all tests, and not by a macro: what those print is shown of tests that fail only, and a skipped one would look
/// like one that has passed.
fn skip(why: &str) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        let _written = writeln!(std::io::stderr(), "interop: skipped, {why}");
    });
}

impl Peer {
    fn start() -> Result<Self, String> {
        let python = python()?;
        let mut child = Command::new(&python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/peer.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", python.display()))?;
        let orders = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, answers) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let about = String::from("start");
        let mut peer = Peer {
            child,
            orders,
            answers,
            about,
        };
        println!("{}", peer.answer());
        Ok(peer)
    }

    /// An order whose answer is read later.
    pub(crate) fn tell(&mut self, order: impl Display) {
        writeln!(self.orders, "{order}").expect("the Python process takes orders");
    }

    /// An order and its answer.
    pub(crate) fn ask(&mut self, order: impl Display) -> String {
        self.tell(order);
        self.answer()
    }

    /// Their socket sends these frames.
    pub(crate) fn say(&mut self, name: &str, frames: &[impl AsRef<[u8]>]) {
        self.ask(format_args!("say {name} {}", told(frames)));
    }

    /// Their socket receives these frames.
    pub(crate) fn expect(&mut self, name: &str, frames: &[impl AsRef<[u8]>]) {
        assert_eq!(self.ask(format_args!("hear {name}")), told(frames));
    }

    pub(crate) fn all_ok(&mut self, orders: usize) {
        (0..orders).for_each(|_| drop(self.answer()));
    }

    pub(crate) fn answer(&mut self) -> String {
        let about = &self.about;
        match self.answers.recv_timeout(ANSWER_LIMIT) {
            Ok(line) => match line.strip_prefix("ok") {
                Some(answer) => answer.trim().to_owned(),
                None => panic!("{about}: {line}"),
            },
            Err(error) => panic!("{about}: no answer from Python: {error}"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn default_python() -> PathBuf {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if venv.exists() { venv } else { PathBuf::from("python3") }
}

/// Frames as the peer is told them.
pub(crate) fn told(frames: &[impl AsRef<[u8]>]) -> String {
    match frames {
        [] => String::from("."),
        frames => frames.iter().map(told_frame).collect::<Vec<_>>().join(","),
    }
}

fn told_frame(frame: &impl AsRef<[u8]>) -> String {
    match frame.as_ref() {
        [] => String::from("-"),
        bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

//! Dead letters: tasks that nobody is asked to do any more, and where they go.

use super::ledger::{self, Death};
use crate::message::Message;
use crate::socket::push::Push;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A task that nobody is asked to do any more, with all that is known of why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its number at its source.
    pub id: u64,
    /// What was to be done.
    pub message: Message,
    /// What it was known by; empty: nothing.
    pub key: Vec<u8>,
    /// What workers were told of it beside the message.
    pub headers: Vec<u8>,
    /// Its ordering key, if it had one.
    pub ordering_key: Option<Vec<u8>>,
    /// Why it is dead.
    pub why: Death,
    /// How often it was delivered, since its source was started; what was returned does not count.
    pub attempts: u16,
    /// How many of these ended without a word: a connection that broke, a worker that was silent, a lease that was over.
    pub losses: u16,
    /// What was said by workers that could not do it, oldest first: the last sixteen.
    pub failures: Vec<FailedAttempt>,
    /// When it was taken on; after a restart with an outbox, when that was.
    pub accepted_at: SystemTime,
    /// When it died.
    pub died_at: SystemTime,
}

/// What a worker said that could not do a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// When.
    pub at: SystemTime,
    /// Why: text of the worker's, at most 255 bytes.
    pub reason: String,
}

impl DeadLetter {
    pub(super) fn new(id: u64, dead: ledger::Dead, accepted_at: Instant, now: (Instant, SystemTime)) -> Self {
        let (now, wall) = now;
        let at = |at: Instant| wall.checked_sub(now.saturating_duration_since(at)).unwrap_or(wall);
        let failures = dead.failures.into_iter().map(|failed| FailedAttempt {
            at: at(failed.at),
            reason: failed.reason,
        });
        DeadLetter {
            id,
            failures: failures.collect(),
            message: dead.task.message,
            key: dead.task.key.to_vec(),
            headers: dead.task.headers.to_vec(),
            ordering_key: dead.task.order.map(|order| order.to_vec()),
            why: dead.why,
            attempts: dead.attempts,
            losses: dead.losses,
            accepted_at: at(accepted_at),
            died_at: wall,
        }
    }

    /// Returns it as one line of JSON, without a line feed. Times are milliseconds since 1970, bytes are in hexadecimal.
    ///
    /// ```text
    /// {"id":7,"why":"failed","reason":"no such file","attempts":5,"losses":0,"accepted_ms":1,"died_ms":2,
    ///  "key":"6f","headers":"","ordering_key":null,"failures":[{"at_ms":1,"reason":"no such file"}],"frames":["72"]}
    /// ```
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        let (why, reason) = match &self.why {
            Death::Failed { reason } => ("failed", Some(reason)),
            Death::Rejected { reason } => ("rejected", Some(reason)),
            Death::TooLate => ("too late", None),
            Death::Lost => ("lost", None),
        };
        let ordering_key = self.ordering_key.as_ref().map(|key| format!("\"{}\"", hex(key)));
        let failures = self.failures.iter().map(|failed| {
            let reason = json_text(&failed.reason);
            format!("{{\"at_ms\":{},\"reason\":{reason}}}", since_1970(failed.at))
        });
        let frames = self.message.frames().map(|frame| format!("\"{}\"", hex(frame)));
        // Writing to a string does not fail.
        let _infallible = write!(
            text,
            "{{\"id\":{},\"why\":\"{why}\",\"reason\":{},\"attempts\":{},\"losses\":{},\"accepted_ms\":{},\"died_ms\":{},\
             \"key\":\"{}\",\"headers\":\"{}\",\"ordering_key\":{},\"failures\":[{}],\"frames\":[{}]}}",
            self.id,
            reason.map_or_else(|| String::from("null"), |reason| json_text(reason)),
            self.attempts,
            self.losses,
            since_1970(self.accepted_at),
            since_1970(self.died_at),
            hex(&self.key),
            hex(&self.headers),
            ordering_key.unwrap_or_else(|| String::from("null")),
            failures.collect::<Vec<_>>().join(","),
            frames.collect::<Vec<_>>().join(","),
        );
        text
    }
}

/// Why a dead letter was not taken.
pub(super) type NotSunk = Box<dyn Error + Send + Sync>;

/// Where dead letters go. Called on the source's own thread, while no lock is held.
pub(super) type Sink = Box<dyn FnMut(DeadLetter) -> Result<(), NotSunk> + Send>;

/// Appends each as a line of JSON, and syncs it: an outbox forgets the task after that.
pub(super) fn to_file(path: &Path) -> io::Result<Sink> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    // Who wrote to it before may have ended in the middle of a line.
    let mut is_whole = !file.metadata()?.is_file() || ends_a_line(path).unwrap_or(true);
    Ok(Box::new(move |letter| {
        let mut line = letter.to_json();
        line.push('\n');
        if !is_whole {
            // A line that was cut ends here.
            line.insert(0, '\n');
        }
        is_whole = false;
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        is_whole = true;
        Ok(())
    }))
}

/// Whether nothing stands behind the last line of a file.
fn ends_a_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut last = *b"\n";
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok(last == *b"\n")
}

/// Sends each: a frame of JSON, and then the frames of the task. Never waits.
pub(super) fn to_socket(socket: Push) -> Sink {
    Box::new(move |letter| {
        let json = letter.to_json();
        let frames = std::iter::once(json.into_bytes().into()).chain(letter.message.into_frames());
        Ok(socket.try_send(Message::from_frames(frames)?)?)
    })
}

fn since_1970(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

/// A JSON string: what must be is escaped.
fn json_text(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for char in text.chars() {
        match char {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            char if char.is_control() => {
                let _infallible = write!(json, "\\u{:04x}", u32::from(char));
            }
            char => json.push(char),
        }
    }
    json.push('"');
    json
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn letter() -> DeadLetter {
        let at = UNIX_EPOCH + Duration::from_millis(1_500);
        DeadLetter {
            id: 7,
            message: Message::from(["re", "q"]),
            key: b"k\0".to_vec(),
            headers: Vec::new(),
            ordering_key: None,
            why: Death::Failed {
                reason: String::from("no \"such\"\n\\file"),
            },
            attempts: 5,
            losses: 1,
            failures: vec![FailedAttempt {
                at,
                reason: String::from("ü"),
            }],
            accepted_at: UNIX_EPOCH,
            died_at: at,
        }
    }

    #[test]
    fn a_letter_is_a_line_of_json() {
        assert_eq!(
            letter().to_json(),
            "{\"id\":7,\"why\":\"failed\",\"reason\":\"no \\\"such\\\"\\u000a\\\\file\",\"attempts\":5,\"losses\":1,\
             \"accepted_ms\":0,\"died_ms\":1500,\"key\":\"6b00\",\"headers\":\"\",\"ordering_key\":null,\
             \"failures\":[{\"at_ms\":1500,\"reason\":\"ü\"}],\"frames\":[\"7265\",\"71\"]}"
        );
    }

    #[test]
    fn a_letter_has_a_line_of_its_own_though_the_one_before_was_cut() {
        let path = std::env::temp_dir().join(format!("peermq-letters-{}", std::process::id()));
        std::fs::write(&path, "{\"id\":1}\n{\"id\":2,\"why").unwrap();

        for _ in 0..2 {
            to_file(&path).unwrap()(letter()).unwrap();
        }

        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let letter = letter().to_json();
        assert_eq!(lines, ["{\"id\":1}", "{\"id\":2,\"why", &letter, &letter]);
    }

    #[test]
    fn times_of_failures_are_those_of_the_wall_clock() {
        let now = Instant::now();
        let wall = UNIX_EPOCH + Duration::from_secs(100);
        let dead = ledger::Dead {
            why: Death::Lost,
            task: ledger::Task::new(Message::from("x")),
            attempts: 2,
            losses: 2,
            failures: vec![ledger::Failed {
                at: now - Duration::from_secs(3),
                reason: String::from("busy"),
            }],
        };

        let letter = DeadLetter::new(1, dead, now - Duration::from_secs(10), (now, wall));

        assert_eq!(letter.accepted_at, UNIX_EPOCH + Duration::from_secs(90));
        assert_eq!(letter.failures[0].at, UNIX_EPOCH + Duration::from_secs(97));
        assert_eq!((letter.died_at, letter.why), (wall, Death::Lost));
    }
}

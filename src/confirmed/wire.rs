//! What sources and workers say to each other: heads, in and out.
//!
//! A head is the first frame of a message; what stands behind that of a TASK is the task. Every length is compared before it
//! is used, and nothing may be left behind the last field: what is read says the same octets again when it is written.

mod fields;

use bytes::Bytes;
use fields::Fields;
use std::fmt;
use std::num::NonZeroU64;

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FromWorker {
    /// It is here, takes so many tasks, and has done these.
    Hello {
        session: Session,
        /// The source it knows, [`SourceId::NONE`] if none.
        source: SourceId,
        credit: u32,
        done: Vec<TaskId>,
    },
    /// It takes so many more.
    Credit { more: u32 },
    /// These are done.
    Done { ids: Vec<TaskId> },
    /// This one was not done.
    Failed {
        id: TaskId,
        kind: FailureKind,
        /// To wait before it is tried again; 0: as the source likes.
        after_ms: u32,
        /// For people.
        reason: String,
    },
    /// It needs so long from now on.
    Extend { id: TaskId, lease_ms: u32 },
    /// These were not begun, and are not going to be.
    Return { ids: Vec<TaskId> },
    /// It lives.
    Beat,
    /// It takes nothing more and has nothing more to say.
    Bye,
}

/// What a source says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FromSource {
    /// It has heard HELLO.
    Welcome {
        source: SourceId,
        lease_ms: u32,
        /// A worker that says nothing for so long is taken to be lost; 0: it is not.
        silence_ms: u32,
    },
    /// Do this.
    Task(TaskHead),
    /// Nobody wants these done any more.
    Cancel { ids: Vec<TaskId> },
    /// No more tasks come.
    Bye,
    /// It does not know who this is: say HELLO.
    Who,
}

/// What a source says of a task in front of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TaskHead {
    pub(crate) id: TaskId,
    /// Which delivery this is, from 1; those that were returned do not count.
    pub(crate) attempt: u16,
    /// It may have been delivered before.
    pub(crate) is_again: bool,
    pub(crate) lease_ms: u32,
    /// Until nobody wants it done any more; 0: there is no limit.
    pub(crate) left_ms: u64,
    /// What it is known by, whoever does it.
    pub(crate) key: Bytes,
    /// What the application says of it.
    pub(crate) headers: Bytes,
}

/// A task of a source: a number that the source never gives again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId(pub(crate) NonZeroU64);

/// A worker, from its start to its end: chosen by chance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Session(pub(crate) [u8; 16]);

/// A source and all that it has kept: chosen by chance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SourceId(pub(crate) [u8; 16]);

impl SourceId {
    /// What a worker says that knows no source yet.
    pub(crate) const NONE: SourceId = SourceId([0; 16]);
}

/// Whether what has failed may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FailureKind {
    /// It may.
    Retry,
    /// It is never to be: the task is wrong.
    Reject,
}

/// Why a head was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// HELLO or WELCOME of another version: its sender is told ours.
    #[error("it is of version {0}")]
    OtherVersion(u8),
    /// It is none of ours.
    #[error("{0}")]
    Form(&'static str),
}

impl FromWorker {
    /// What the octets say.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        let (command, mut fields) = open(octets, HELLO)?;
        let said = match command {
            HELLO => FromWorker::Hello {
                session: Session(fields.take()?),
                source: SourceId(fields.take()?),
                credit: fields.number_to(MOST_CREDIT, "its credit is over 65,536")?,
                done: fields.ids()?,
            },
            CREDIT => FromWorker::Credit {
                more: fields.number_to(MOST_CREDIT, "its credit is over 65,536")?,
            },
            DONE => FromWorker::Done { ids: fields.ids()? },
            FAILED => FromWorker::Failed {
                id: fields.id()?,
                kind: match fields.octet()? {
                    0 => FailureKind::Retry,
                    1 => FailureKind::Reject,
                    _ => return Err(Malformed::Form("its kind of failure is unknown")),
                },
                after_ms: fields.number_to(LONGEST_MS, "it waits for over a day")?,
                reason: fields.reason()?,
            },
            EXTEND => FromWorker::Extend {
                id: fields.id()?,
                lease_ms: fields.lease()?,
            },
            RETURN => FromWorker::Return { ids: fields.ids()? },
            BEAT => FromWorker::Beat,
            WORKER_BYE => FromWorker::Bye,
            _ => return Err(Malformed::Form("no worker says such a command")),
        };
        fields.end().map(|()| said)
    }

    /// Writes it behind what is there.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            FromWorker::Hello {
                session,
                source,
                credit,
                done,
            } => {
                put_command(out, HELLO);
                out.extend_from_slice(&session.0);
                out.extend_from_slice(&source.0);
                out.extend_from_slice(&credit.to_be_bytes());
                put_ids(out, done);
            }
            FromWorker::Credit { more } => {
                put_command(out, CREDIT);
                out.extend_from_slice(&more.to_be_bytes());
            }
            FromWorker::Done { ids } => {
                put_command(out, DONE);
                put_ids(out, ids);
            }
            FromWorker::Failed {
                id,
                kind,
                after_ms,
                reason,
            } => {
                put_command(out, FAILED);
                put_id(out, *id);
                out.push(match kind {
                    FailureKind::Retry => 0,
                    FailureKind::Reject => 1,
                });
                out.extend_from_slice(&after_ms.to_be_bytes());
                debug_assert!(reason.len() <= LONGEST_REASON);
                out.push(reason.len() as u8);
                out.extend_from_slice(reason.as_bytes());
            }
            FromWorker::Extend { id, lease_ms } => {
                put_command(out, EXTEND);
                put_id(out, *id);
                out.extend_from_slice(&lease_ms.to_be_bytes());
            }
            FromWorker::Return { ids } => {
                put_command(out, RETURN);
                put_ids(out, ids);
            }
            FromWorker::Beat => put_command(out, BEAT),
            FromWorker::Bye => put_command(out, WORKER_BYE),
        }
    }
}

impl FromSource {
    /// What the octets say.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        let (command, mut fields) = open(octets, WELCOME)?;
        let said = match command {
            WELCOME => FromSource::Welcome {
                source: SourceId(fields.take()?),
                lease_ms: fields.lease()?,
                silence_ms: fields.number_to(LONGEST_MS, "its silence is over a day")?,
            },
            TASK => FromSource::Task(TaskHead {
                id: fields.id()?,
                attempt: match u16::from_be_bytes(fields.take()?) {
                    0 => return Err(Malformed::Form("its attempt is 0")),
                    attempt => attempt,
                },
                is_again: match fields.octet()? {
                    0 => false,
                    AGAIN => true,
                    _ => return Err(Malformed::Form("it has flags that are unknown")),
                },
                lease_ms: fields.lease()?,
                left_ms: u64::from_be_bytes(fields.take()?),
                key: {
                    let length = usize::from(fields.octet()?);
                    fields.text(length, LONGEST_KEY, "its key is over 64 octets")?
                },
                headers: {
                    let length = usize::from(u16::from_be_bytes(fields.take()?));
                    fields.text(length, LONGEST_HEADERS, "its headers are over 1,024 octets")?
                },
            }),
            CANCEL => FromSource::Cancel { ids: fields.ids()? },
            SOURCE_BYE => FromSource::Bye,
            WHO => FromSource::Who,
            _ => return Err(Malformed::Form("no source says such a command")),
        };
        fields.end().map(|()| said)
    }

    /// Writes it behind what is there.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            FromSource::Welcome {
                source,
                lease_ms,
                silence_ms,
            } => {
                put_command(out, WELCOME);
                out.extend_from_slice(&source.0);
                out.extend_from_slice(&lease_ms.to_be_bytes());
                out.extend_from_slice(&silence_ms.to_be_bytes());
            }
            FromSource::Task(task) => {
                put_command(out, TASK);
                put_id(out, task.id);
                out.extend_from_slice(&task.attempt.to_be_bytes());
                out.push(if task.is_again { AGAIN } else { 0 });
                out.extend_from_slice(&task.lease_ms.to_be_bytes());
                out.extend_from_slice(&task.left_ms.to_be_bytes());
                debug_assert!(task.key.len() <= LONGEST_KEY && task.headers.len() <= LONGEST_HEADERS);
                out.push(task.key.len() as u8);
                out.extend_from_slice(&task.key);
                out.extend_from_slice(&(task.headers.len() as u16).to_be_bytes());
                out.extend_from_slice(&task.headers);
            }
            FromSource::Cancel { ids } => {
                put_command(out, CANCEL);
                put_ids(out, ids);
            }
            FromSource::Bye => put_command(out, SOURCE_BYE),
            FromSource::Who => put_command(out, WHO),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The command, and its fields. `first` is what the sender says first, in every version.
fn open(octets: &[u8], first: u8) -> Result<(u8, Fields<'_>), Malformed> {
    let rest = octets
        .strip_prefix(NAME)
        .ok_or(Malformed::Form("it does not begin with CD"))?;
    let mut fields = Fields::of(rest);
    let version = fields.octet()?;
    let command = fields.octet()?;
    match version {
        VERSION => Ok((command, fields)),
        version if command == first => Err(Malformed::OtherVersion(version)),
        _ => Err(Malformed::Form("it is of another version")),
    }
}

fn put_command(out: &mut Vec<u8>, command: u8) {
    out.extend_from_slice(NAME);
    out.extend_from_slice(&[VERSION, command]);
}

fn put_id(out: &mut Vec<u8>, id: TaskId) {
    out.extend_from_slice(&id.0.get().to_be_bytes());
}

fn put_ids(out: &mut Vec<u8>, ids: &[TaskId]) {
    debug_assert!(ids.len() <= MOST_IDS);
    out.extend_from_slice(&(ids.len() as u16).to_be_bytes());
    for &id in ids {
        put_id(out, id);
    }
}

const NAME: &[u8] = b"CD";
const VERSION: u8 = 1;

const HELLO: u8 = 0x01;
const CREDIT: u8 = 0x02;
const DONE: u8 = 0x03;
const FAILED: u8 = 0x04;
const EXTEND: u8 = 0x05;
const RETURN: u8 = 0x06;
const BEAT: u8 = 0x07;
const WORKER_BYE: u8 = 0x08;
const WELCOME: u8 = 0x81;
const TASK: u8 = 0x82;
const CANCEL: u8 = 0x83;
const SOURCE_BYE: u8 = 0x84;
const WHO: u8 = 0x85;

/// The flag of a task that may have been delivered before.
const AGAIN: u8 = 1;

/// Ids in one head.
pub(crate) const MOST_IDS: usize = 1024;
/// Deliveries that a worker may have and be granted together.
pub(crate) const MOST_CREDIT: u32 = 65_536;
/// A day: the longest time that anybody says, but for `left`.
pub(crate) const LONGEST_MS: u32 = 86_400_000;
/// Octets of a reason.
pub(crate) const LONGEST_REASON: usize = 255;
/// Octets of a key.
pub(crate) const LONGEST_KEY: usize = 64;
/// Octets of headers.
pub(crate) const LONGEST_HEADERS: usize = 1024;

#[cfg(all(test, not(loom)))]
mod tests;

//! Tasks as octets: what stands in a row of the store, and in the log.
//!
//! ```text
//! row    = version(1) 1*record
//! record = length(4) body                 length: octets of the body
//! body   = id(8) flags(1) [starts(8)] [too-late(8)] [length(1) order] length(1) key length(2) headers count(4) 1*frame
//! frame  = length(4) octets
//! ```
//!
//! Big-endian; times in nanoseconds since 1970; flags: 1 starts, 2 too late, 4 order. Every length is compared before it is
//! used. The store has a checksum over each row, and the log one over each entry, so none stands here.

use crate::confirmed::outbox::{KeptTask, OutboxError};
use crate::message::Message;
use bytes::Bytes;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What cannot be read, and why.
pub(super) type Unreadable = &'static str;

/// Writes a task.
pub(super) fn of(task: &KeptTask) -> Box<[u8]> {
    let length = body_len(task);
    let mut out = Vec::with_capacity(LENGTH_LEN + length);
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out.extend_from_slice(&task.id.to_be_bytes());
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    out.push(
        flag(task.starts_at.is_some(), STARTS)
            | flag(task.too_late_at.is_some(), TOO_LATE)
            | flag(task.order.is_some(), ORDER),
    );
    for time in [task.starts_at, task.too_late_at].into_iter().flatten() {
        out.extend_from_slice(&nanos(time).to_be_bytes());
    }
    for text in [task.order.as_ref(), Some(&task.key)].into_iter().flatten() {
        out.push(text.len() as u8);
        out.extend_from_slice(text);
    }
    out.extend_from_slice(&(task.headers.len() as u16).to_be_bytes());
    out.extend_from_slice(&task.headers);
    out.extend_from_slice(&(task.message.frame_count() as u32).to_be_bytes());
    for frame in task.message.frames() {
        out.extend_from_slice(&(frame.len() as u32).to_be_bytes());
        out.extend_from_slice(frame);
    }
    out.into_boxed_slice()
}

/// How many octets `of` writes, or what of the task is larger than a record says.
pub(super) fn len(task: &KeptTask) -> Result<usize, OutboxError> {
    let check = |what, observed, limit| match observed > limit {
        true => Err(OutboxError::TooLarge { what, observed, limit }),
        false => Ok(()),
    };
    check("bytes of a key", task.key.len(), MOST_KEY)?;
    check("bytes of an ordering key", order_len(task), MOST_KEY)?;
    check("bytes of headers", task.headers.len(), MOST_HEADERS)?;
    // Both, so that the sum below is in no danger.
    check("bytes of a task", task.message.byte_count(), MOST_BODY)?;
    check("frames of a task", task.message.frame_count(), MOST_BODY)?;
    let length = body_len(task);
    check("bytes of a task and its frames' lengths", length, MOST_BODY)?;
    Ok(LENGTH_LEN + length)
}

/// Reads the records of a row.
pub(super) fn read<'a>(row: &'a [u8], mut each: impl FnMut(Result<Record<'a>, Unreadable>)) {
    match row.split_first() {
        Some((&VERSION, rest)) if !rest.is_empty() => read_all(rest, each),
        Some((&VERSION, _)) | None => each(Err("its row is empty")),
        Some(_) => each(Err("its row is of another version")),
    }
}

/// Reads records. One that is not understood is told as such, and passed over if its length is there.
pub(super) fn read_all<'a>(mut rest: &'a [u8], mut each: impl FnMut(Result<Record<'a>, Unreadable>)) {
    while !rest.is_empty() {
        let whole = rest;
        let mut fields = Fields(rest);
        let body = fields.take().map(u32::from_be_bytes);
        let body = body.and_then(|length| fields.octets(length as usize));
        match body {
            Ok(body) => {
                rest = fields.0;
                let octets = whole.get(..LENGTH_LEN + body.len()).unwrap_or(whole);
                each(Fields(body).id().map(|id| Record { id, octets, body }));
            }
            Err(why) => return each(Err(why)),
        }
    }
}

/// Reads one record.
pub(super) fn task(octets: &[u8]) -> Result<KeptTask, Unreadable> {
    let mut task = Err(CUT);
    read_all(octets, |record| task = record.and_then(|record| record.task()));
    task
}

/// A task in a row, its id known, the rest not looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) id: u64,
    /// All of it, as it stands in a row.
    pub(super) octets: &'a [u8],
    body: &'a [u8],
}

impl Record<'_> {
    /// Reads the rest. The task has memory of its own.
    pub(super) fn task(&self) -> Result<KeptTask, Unreadable> {
        let mut fields = Fields(self.body);
        let id = fields.id()?;
        let [flags] = fields.take()?;
        if flags & !(STARTS | TOO_LATE | ORDER) != 0 {
            return Err("it has flags that are unknown");
        }
        let starts_at = (flags & STARTS != 0).then(|| fields.time()).transpose()?;
        let too_late_at = (flags & TOO_LATE != 0).then(|| fields.time()).transpose()?;
        let order = (flags & ORDER != 0).then(|| fields.text()).transpose()?;
        let key = fields.text()?;
        let headers = usize::from(u16::from_be_bytes(fields.take()?));
        let headers = fields.octets(headers).map(Bytes::copy_from_slice)?;
        let message = fields.message()?;
        if !fields.0.is_empty() {
            return Err("it goes on behind its last frame");
        }
        Ok(KeptTask {
            id,
            message,
            key,
            headers,
            order,
            starts_at,
            too_late_at,
        })
    }
}

/// What has not been read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (field, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*field)
    }

    fn octets(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (field, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(field)
    }

    fn id(&mut self) -> Result<u64, Unreadable> {
        match u64::from_be_bytes(self.take()?) {
            0 => Err("its id is 0"),
            id => Ok(id),
        }
    }

    fn time(&mut self) -> Result<SystemTime, Unreadable> {
        let nanos = u64::from_be_bytes(self.take()?);
        let time = UNIX_EPOCH.checked_add(Duration::from_nanos(nanos));
        time.ok_or("its time is beyond the clock")
    }

    fn text(&mut self) -> Result<Bytes, Unreadable> {
        let [length] = self.take()?;
        self.octets(usize::from(length)).map(Bytes::copy_from_slice)
    }

    fn message(&mut self) -> Result<Message, Unreadable> {
        let count = u32::from_be_bytes(self.take()?) as usize;
        // Each has a length at least: nothing is taken for frames that are not there.
        if count > self.0.len() / LENGTH_LEN {
            return Err(CUT);
        }
        let mut frame = || {
            let length = u32::from_be_bytes(self.take()?) as usize;
            self.octets(length).map(Bytes::copy_from_slice)
        };
        match count {
            0 => Err("it has no frames"),
            1 => frame().map(Message::from),
            _ => (0..count).map(|_| frame()).collect::<Result<_, _>>().map(Message::many),
        }
    }
}

/// At most [`MOST_BODY`] and some for what `len` has let pass.
fn body_len(task: &KeptTask) -> usize {
    let times = usize::from(task.starts_at.is_some()) + usize::from(task.too_late_at.is_some());
    let order = task.order.as_ref().map_or(0, |order| 1 + order.len());
    let frames = task.message.frame_count() * LENGTH_LEN + task.message.byte_count();
    8 + 1 + times * 8 + order + 1 + task.key.len() + 2 + task.headers.len() + 4 + frames
}

fn order_len(task: &KeptTask) -> usize {
    task.order.as_ref().map_or(0, Bytes::len)
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A row's version.
pub(super) const VERSION: u8 = 1;
const STARTS: u8 = 1;
const TOO_LATE: u8 = 2;
const ORDER: u8 = 4;
const LENGTH_LEN: usize = 4;
const MOST_KEY: usize = u8::MAX as usize;
const MOST_HEADERS: usize = u16::MAX as usize;
/// Octets of a task: a row of one such is well below what the store takes, 3 GiB.
const MOST_BODY: usize = 1 << 30;
const CUT: Unreadable = "it is cut short";

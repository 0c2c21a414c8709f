//! A disk in memory: it remembers each step, and has as much room as it is told.

use redb::StorageBackend;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    octets: Vec<u8>,
    /// What was done to it, if that is remembered.
    steps: Option<Vec<Step>>,
    /// Blocks that were written to, and how many there may be, if there is an end to them.
    blocks: BTreeSet<usize>,
    room: Option<usize>,
    /// Steps until one fails.
    fails_in: Option<usize>,
    /// Where it is told whether it was read.
    watched: Range<usize>,
    was_read: bool,
}

/// What was done to a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Write {
        at: usize,
        octets: Vec<u8>,
    },
    Length(usize),
    Sync,
    /// So many calls have returned.
    Returned(usize),
}

impl Memory {
    pub(super) fn of(octets: Vec<u8>) -> Self {
        let memory = Memory::default();
        memory.state().octets = octets;
        memory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody has panicked")
    }

    pub(super) fn octets(&self) -> Vec<u8> {
        self.state().octets.clone()
    }

    /// As it is, without what may happen to it.
    pub(super) fn copy(&self) -> Self {
        Memory::of(self.octets())
    }

    pub(super) fn len(&self) -> usize {
        self.state().octets.len()
    }

    pub(super) fn record(&self) {
        self.state().steps = Some(Vec::new());
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        self.state().steps.take().unwrap_or_default()
    }

    pub(super) fn mark(&self, step: Step) {
        if let Some(steps) = &mut self.state().steps {
            steps.push(step);
        }
    }

    /// It has so many octets of room for what was never written; `None`: as many as there are.
    pub(super) fn room(&self, octets: Option<usize>) {
        let mut state = self.state();
        let used = state.blocks.len();
        state.room = octets.map(|octets| used + octets / BLOCK);
    }

    /// The step after so many fails, once.
    pub(super) fn fail_in(&self, steps: Option<usize>) {
        self.state().fails_in = steps;
    }

    /// From now on it remembers whether any of these octets is read.
    pub(super) fn watch(&self, octets: Range<usize>) {
        self.state().watched = octets;
    }

    pub(super) fn was_read(&self) -> bool {
        self.state().was_read
    }

    /// Whether it has failed since.
    pub(super) fn has_failed(&self) -> bool {
        self.state().fails_in.is_none()
    }
}

impl State {
    fn step(&mut self, step: impl FnOnce() -> Step) -> io::Result<()> {
        if let Some(left) = &mut self.fails_in {
            if *left == 0 {
                self.fails_in = None;
                return Err(io::Error::other("as it was told"));
            }
            *left -= 1;
        }
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
        Ok(())
    }
}

impl Step {
    /// Does it, but for what is behind so many octets.
    pub(super) fn replay(&self, image: &mut Vec<u8>, most: usize) {
        match self {
            Step::Write { at, octets } => {
                let octets = &octets[..most.min(octets.len())];
                if image.len() < at + octets.len() {
                    image.resize(at + octets.len(), 0);
                }
                image[*at..at + octets.len()].copy_from_slice(octets);
            }
            Step::Length(length) => image.resize(*length, 0),
            Step::Sync | Step::Returned(_) => {}
        }
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().octets.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        let (at, end) = (offset as usize, offset as usize + out.len());
        state.was_read |= at < state.watched.end && state.watched.start < end;
        let from = state.octets.get(at..end);
        out.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        let len = len as usize;
        state.step(|| Step::Length(len))?;
        state.octets.resize(len, 0);
        state.blocks.retain(|&block| block < len.div_ceil(BLOCK));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state().step(|| Step::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let at = offset as usize;
        state.step(|| Step::Write {
            at,
            octets: data.to_vec(),
        })?;
        for (number, part) in data.chunks(BLOCK).enumerate() {
            let at = at + number * BLOCK;
            state.blocks.insert(at / BLOCK);
            if state.room.is_some_and(|room| state.blocks.len() > room) {
                state.blocks.remove(&(at / BLOCK));
                return Err(ErrorKind::StorageFull.into());
            }
            let end = at + part.len();
            let into = state.octets.get_mut(at..end);
            into.ok_or(ErrorKind::UnexpectedEof)?.copy_from_slice(part);
        }
        Ok(())
    }
}

const BLOCK: usize = 4096;

//! The file below the log and the store: found or made, locked, and with a head of our own in front of both.
//!
//! The head tells what the file is, so that nothing else is touched: `%x89 "peermq outbox" %x0A %x1A version(4)`, big-endian,
//! zeros up to 4,096 octets. Behind it stands the log, and what the store writes. The file is made under another name, and has
//! its own once it is whole. The lock is on the file, and ends with the process.

use super::{Survives, log, tables};
use crate::cipher;
use crate::confirmed::outbox::OutboxError;
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What log and store write to; it stays there, and locked, when the store is closed and opened anew. As a backend it is the
/// store's part.
#[derive(Debug, Clone)]
pub(super) struct Medium {
    octets: Arc<dyn StorageBackend>,
    /// So many octets are the log's, and those behind them the store's.
    log_len: u64,
}

/// Opens a file, or makes it.
pub(super) fn open(path: &Path, survives: Survives) -> Result<Medium, OutboxError> {
    let told = |error| tables::explain_io(path, error);
    let options = || {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        options
    };
    let mut file = match options().open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let unnamed = unnamed(path);
            let file = options().create(true).truncate(false).open(&unnamed).map_err(told)?;
            lock(&file, path)?;
            if !path.try_exists().map_err(told)? {
                return make(file, &unnamed, path, survives);
            }
            // Somebody else was faster.
            options().open(path).map_err(told)?
        }
        file => file.map_err(told)?,
    };
    lock(&file, path)?;
    check_head(&mut file, path)?;
    HeadedFile::medium(file, survives).map_err(told)
}

impl Medium {
    pub(super) fn new(octets: impl StorageBackend, log_len: u64) -> Self {
        let octets = Arc::new(octets);
        Medium { octets, log_len }
    }

    /// Makes room for the log. All of it is written, so that the disk has a place for each octet.
    pub(super) fn make_log(&self) -> io::Result<()> {
        self.octets.set_len(self.log_len)?;
        self.octets.write(0, &vec![0; self.log_len as usize])
    }

    pub(super) fn log_len(&self) -> u64 {
        self.log_len
    }

    /// Reads the log, all of it.
    pub(super) fn read_log(&self, out: &mut [u8]) -> io::Result<()> {
        self.octets.read(0, out)
    }

    /// Writes in the log, and syncs.
    pub(super) fn write_log(&self, at: u64, octets: &[u8]) -> io::Result<()> {
        self.octets.write(at, octets)?;
        self.octets.sync_data()
    }
}

/// Makes an outbox in a file that is locked and not at `path` yet.
fn make(mut file: File, unnamed: &Path, path: &Path, survives: Survives) -> Result<Medium, OutboxError> {
    let told = |error| tables::explain_io(path, error);
    let begin = |file: &mut File| {
        file.set_len(0)?;
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_be_bytes());
        head.resize(HEAD_LEN as usize, 0);
        file.write_all(&head)
    };
    begin(&mut file).map_err(told)?;
    let whole = file.try_clone().map_err(told)?;
    let medium = HeadedFile::medium(file, survives).map_err(told)?;
    let mut secret = [0; 16];
    cipher::random(&mut secret).map_err(told)?;
    tables::create(&medium, secret).map_err(|error| tables::explain(path, error))?;
    let name = || {
        whole.sync_all()?;
        fs::rename(unnamed, path)?;
        sync_folder(path)
    };
    name().map_err(told)?;
    Ok(medium)
}

/// Fails if another has it.
fn lock(file: &File, path: &Path) -> Result<(), OutboxError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OutboxError::InUse {
            path: path.to_path_buf(),
        },
        TryLockError::Error(error) => tables::explain_io(path, error),
    })
}

/// Whether it is an outbox, of the version that is known here.
fn check_head(file: &mut File, path: &Path) -> Result<(), OutboxError> {
    let path = path.to_path_buf();
    let mut head = Vec::new();
    if let Err(error) = file.take(HEAD_LEN).read_to_end(&mut head) {
        return Err(tables::explain_io(&path, error));
    }
    let version = head.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk());
    match version.map(|&version| u32::from_be_bytes(version)) {
        Some(VERSION) if head.len() as u64 == HEAD_LEN => Ok(()),
        Some(version) if version > VERSION => Err(OutboxError::LaterVersion {
            path,
            version,
            known: VERSION,
        }),
        _ => Err(OutboxError::NotAnOutbox { path }),
    }
}

/// Where it is made.
fn unnamed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".new");
    PathBuf::from(name)
}

/// So that the name is there after the machine has ended.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// A file with a head in front of what others see.
#[derive(Debug)]
struct HeadedFile {
    file: FileBackend,
    survives: Survives,
}

impl HeadedFile {
    fn medium(file: File, survives: Survives) -> io::Result<Medium> {
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Medium::new(HeadedFile { file, survives }, log::LEN))
    }
}

impl StorageBackend for HeadedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len().map(|len| len.saturating_sub(HEAD_LEN))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset.saturating_add(HEAD_LEN), out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len.saturating_add(HEAD_LEN))
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.survives {
            // The kernel has it, and a process cannot end between two of its writes such that the later one is there alone.
            Survives::ProcessCrash => Ok(()),
            Survives::PowerLoss => self.file.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset.saturating_add(HEAD_LEN), data)
    }
}

/// The store's own locks are none: the file is locked for as long as it is open. Nor is it closed with the store.
impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        self.octets.len().map(|len| len.saturating_sub(self.log_len))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.octets.read(offset.saturating_add(self.log_len), out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.octets.set_len(len.saturating_add(self.log_len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.octets.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.octets.write(offset.saturating_add(self.log_len), data)
    }
}

const MAGIC: &[u8] = b"\x89peermq outbox\n\x1a";
/// Of the file's form.
const VERSION: u32 = 1;
const HEAD_LEN: u64 = 4096;

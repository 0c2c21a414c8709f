//! IPC: Unix sockets, by path or by Linux' abstract names.
//!
//! The file of a socket outlives a process that did not end well. [`listen`] takes the place of such a file, but never
//! that of a listener which is alive or of anything that is no socket, and only its owner may connect.

use super::real::chance;
use super::settings::{backlog, set_buffers};
use crate::endpoint::{Endpoint, IpcPath};
use crate::options::TransportOptions;
use crate::peer_info::PeerCredentials;
use mio::net::{UnixListener, UnixStream};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::num::NonZeroU32;
#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

/// Connects: over IPC that is done, or has failed, at once. `ResourceBusy` if too many wait at the listener.
pub(crate) fn connect(path: &IpcPath, options: &TransportOptions) -> io::Result<UnixStream> {
    let stream = UnixStream::connect_addr(&address(path)?).map_err(|error| match error.kind() {
        // No event would follow: a Unix socket is connected or it is not.
        ErrorKind::WouldBlock => io::Error::new(ErrorKind::ResourceBusy, "too many connections wait to be accepted"),
        _ => error,
    })?;
    set_buffers(&SockRef::from(&stream), options)?;
    Ok(stream)
}

/// A listener; its file goes with it.
pub(crate) struct Listener {
    // Above `socket`, so that the file goes first: while the socket is open, its inode's number is nobody else's.
    _file: Option<OwnFile>,
    _directory: Option<OwnDirectory>,
    pub(crate) socket: UnixListener,
    /// Where it listens; never [`IpcPath::Fresh`].
    pub(crate) at: IpcPath,
    /// Where it listens, for people. Those who connect have no name of their own.
    pub(crate) text: String,
}

/// Listens. May wait for some milliseconds to be sure that a file is stale.
pub(crate) fn listen(path: &IpcPath, options: &TransportOptions) -> io::Result<Listener> {
    let (directory, at) = match path {
        IpcPath::Fresh => {
            let directory = OwnDirectory::new(&std::env::temp_dir())?;
            let path = directory.path.join("socket");
            (Some(directory), IpcPath::File(path))
        }
        path => (None, path.clone()),
    };
    let (file, socket) = match &at {
        IpcPath::File(path) => {
            let (file, socket) = listen_at(path, options)?;
            (Some(file), socket)
        }
        IpcPath::Abstract(_) | IpcPath::Fresh => {
            let socket = std::os::unix::net::UnixListener::bind_addr(&address(&at)?)?;
            socket.set_nonblocking(true)?;
            // Again: the standard library chose the backlog.
            SockRef::from(&socket).listen(backlog(options))?;
            (None, UnixListener::from_std(socket))
        }
    };
    Ok(Listener {
        _file: file,
        _directory: directory,
        socket,
        text: Endpoint::ipc(at.clone()).to_string(),
        at,
    })
}

/// A listener that somebody else has opened; its file is not ours.
pub(crate) fn adopt(socket: std::os::unix::net::UnixListener, at: IpcPath) -> Listener {
    Listener {
        _file: None,
        _directory: None,
        socket: UnixListener::from_std(socket),
        text: Endpoint::ipc(at.clone()).to_string(),
        at,
    }
}

/// Takes one waiting connection. `ConnectionAborted` if it was gone already: the next may be well.
pub(crate) fn accept(listener: &Listener, options: &TransportOptions) -> io::Result<UnixStream> {
    let (stream, _) = listener.socket.accept()?;
    set_buffers(&SockRef::from(&stream), options)
        .map_err(|error| io::Error::new(ErrorKind::ConnectionAborted, error))?;
    Ok(stream)
}

/// Who is at the other end of a connection: who called `connect`, or `listen`. Nothing on systems that do not tell.
pub(super) fn credentials(stream: &UnixStream) -> Option<PeerCredentials> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use nix::sys::socket::{getsockopt, sockopt};
        let told = getsockopt(stream, sockopt::PeerCredentials).ok()?;
        Some(PeerCredentials::new(process(told.pid()), told.uid(), told.gid()))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = stream;
        None
    }
}

/// The kernel says 0 of a process that has no number where this one lives.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn process(told: i32) -> Option<NonZeroU32> {
    u32::try_from(told).ok().and_then(NonZeroU32::new)
}

fn address(path: &IpcPath) -> io::Result<SocketAddr> {
    match path {
        IpcPath::File(path) => SocketAddr::from_pathname(path),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        IpcPath::Abstract(name) => SocketAddr::from_abstract_name(name),
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        IpcPath::Abstract(_) => Err(ErrorKind::Unsupported.into()),
        // Not a place, but the wish for one.
        IpcPath::Fresh => Err(ErrorKind::InvalidInput.into()),
    }
}

fn listen_at(path: &Path, options: &TransportOptions) -> io::Result<(OwnFile, UnixListener)> {
    remove_stale(path, || thread::sleep(MOMENT))?;
    let absolute = std::path::absolute(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // From here on a failure takes the file away again.
    let file = OwnFile::just_bound(absolute)?;
    // Nobody can connect before `listen`, so nobody gets in while the permissions are still the umask's.
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    socket.listen(backlog(options))?;
    Ok((file, UnixListener::from_std(socket.into())))
}

/// Removes what a dead listener left at `path`.
///
/// Another process may be between its `bind` and its `listen`, where it looks dead, or may be about to remove the same
/// stale file. So one refusal is not enough: after a moment the very same file must refuse again.
fn remove_stale(path: &Path, wait: impl FnOnce()) -> io::Result<()> {
    let Some(found) = look(path)? else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "what stands there is not a socket",
        ));
    }
    if !refuses(path)? {
        return Ok(());
    }
    wait();
    if !refuses(path)? {
        return Ok(());
    }
    if look(path)?.is_some_and(|now| is_same(&found, &now)) {
        fs::remove_file(path)?;
        tracing::debug!(path = %path.display(), "removed the socket of a listener that is gone");
    }
    Ok(())
}

/// Whether nobody accepts at this socket; `false` if it is gone, an error if somebody does.
fn refuses(path: &Path) -> io::Result<bool> {
    let alive = "somebody listens there";
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, alive)),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => Ok(true),
            ErrorKind::NotFound => Ok(false),
            // Its queue is full.
            ErrorKind::WouldBlock => Err(io::Error::new(ErrorKind::AddrInUse, alive)),
            kind => {
                let why = format!("whether somebody listens there cannot be told: {error}");
                Err(io::Error::new(kind, why))
            }
        },
    }
}

/// What stands at `path` itself: where a symbolic link leads is not ours to replace.
fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A new file may get the inode number of the one before it, but not its time too.
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    let identity = |file: &Metadata| (file.dev(), file.ino(), file.ctime(), file.ctime_nsec());
    identity(a) == identity(b)
}

/// The file of a listener, removed when this is dropped, unless by then another stands there.
#[derive(Debug)]
struct OwnFile {
    /// Absolute: the working directory may change.
    path: PathBuf,
    device: u64,
    inode: u64,
    /// In a child that was forked off, a drop must not take the file from its parent.
    process: u32,
}

impl OwnFile {
    fn just_bound(path: PathBuf) -> io::Result<Self> {
        let found = fs::symlink_metadata(&path)?;
        Ok(OwnFile {
            path,
            device: found.dev(),
            inode: found.ino(),
            process: process::id(),
        })
    }

    fn is_there(&self) -> bool {
        let found = fs::symlink_metadata(&self.path);
        found.is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.process == process::id() && self.is_there() {
            // Whoever made the path impossible to remove knows why.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A new directory, for nobody else, removed when this is dropped, if nothing is left in it.
#[derive(Debug)]
struct OwnDirectory {
    path: PathBuf,
    /// In a child that was forked off, a drop must not take it from its parent.
    process: u32,
}

impl OwnDirectory {
    fn new(below: &Path) -> io::Result<Self> {
        let mut result = Err(ErrorKind::AlreadyExists.into());
        for _ in 0..NAMES {
            let path = below.join(format!("peermq-{:016x}", chance()));
            result = fs::DirBuilder::new()
                .mode(OWNERS_DIRECTORY)
                .create(&path)
                .map(|()| OwnDirectory {
                    path,
                    process: process::id(),
                });
            match &result {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                _ => break,
            }
        }
        result
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        if self.process == process::id() {
            // What others put there is theirs.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

const OWNER_ONLY: u32 = 0o600;
const OWNERS_DIRECTORY: u32 = 0o700;

/// Names that are tried; one of 2^64 is taken as good as never.
const NAMES: usize = 8;

/// Much longer than `bind` to `listen` takes, and too short to be noticed.
const MOMENT: Duration = Duration::from_millis(10);

#[cfg(all(test, not(loom)))]
mod tests;

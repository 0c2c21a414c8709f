//! Listeners that somebody else has opened.

use crate::endpoint::{Endpoint, IpcPath};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

/// A socket that listens already, for `bind_listener`: opened by this program before it gave up its rights, or by who has
/// started it (systemd's socket activation).
///
/// It is made from the standard library's listeners, and from an [`OwnedFd`] that turns out to be one. Descriptors that
/// come by number (`LISTEN_FDS`) have to be made one of these first, which the standard library calls unsafe: the crate
/// `listenfd` does it, and knows whether they are meant for this process.
///
/// ```
/// use peermq::{Context, OpenListener, Pull, Push};
/// use std::net::TcpListener;
/// use std::os::fd::OwnedFd;
///
/// let context = Context::new()?;
/// let (pull, push) = (Pull::new(&context), Push::new(&context));
/// let opened = TcpListener::bind("127.0.0.1:0")?;
/// push.connect(pull.bind_listener(opened)?)?;
/// push.send("hello")?;
/// assert_eq!(pull.recv()?, "hello");
///
/// let inherited = OwnedFd::from(TcpListener::bind("127.0.0.1:0")?);
/// pull.bind_listener(OpenListener::try_from(inherited)?)?;
///
/// let something = OwnedFd::from(std::fs::File::open("/dev/null")?);
/// assert!(OpenListener::try_from(something).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OpenListener(pub(super) Opened);

#[derive(Debug)]
pub(super) enum Opened {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl From<TcpListener> for OpenListener {
    fn from(listener: TcpListener) -> Self {
        OpenListener(Opened::Tcp(listener))
    }
}

impl From<UnixListener> for OpenListener {
    fn from(listener: UnixListener) -> Self {
        OpenListener(Opened::Unix(listener))
    }
}

/// Fails if the descriptor is no stream socket of TCP or the Unix kind, or does not listen.
impl TryFrom<OwnedFd> for OpenListener {
    type Error = io::Error;

    fn try_from(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(descriptor);
        let domain = socket.local_addr()?.domain();
        if socket.r#type()? != Type::STREAM || !listens(&socket)? {
            return Err(io::Error::new(ErrorKind::InvalidInput, "this socket does not listen"));
        }
        match domain {
            Domain::IPV4 | Domain::IPV6 => Ok(TcpListener::from(socket).into()),
            Domain::UNIX => Ok(UnixListener::from(OwnedFd::from(socket)).into()),
            _ => Err(io::Error::new(
                ErrorKind::InvalidInput,
                "this is neither a TCP nor a Unix socket",
            )),
        }
    }
}

impl OpenListener {
    /// Where it listens, and that it never waits from now on.
    pub(super) fn prepare(&self) -> io::Result<Endpoint> {
        match &self.0 {
            Opened::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Ok(Endpoint::tcp(listener.local_addr()?))
            }
            Opened::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let address = SockRef::from(listener).local_addr()?;
                path(&address).map(Endpoint::ipc)
            }
        }
    }
}

fn path(address: &SockAddr) -> io::Result<IpcPath> {
    if let Some(path) = address.as_pathname() {
        return Ok(IpcPath::File(path.to_owned()));
    }
    match address.as_abstract_namespace() {
        Some(name) => Ok(IpcPath::Abstract(name.to_owned())),
        None => Err(io::Error::new(ErrorKind::InvalidInput, "this socket has no address")),
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn listens(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// Accepting will tell.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn listens(_: &Socket) -> io::Result<bool> {
    Ok(true)
}

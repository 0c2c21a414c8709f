//! The real world: sockets that report to a mio poll.
//!
//! mio is edge-triggered: an event comes once, and again only after the socket has answered `WouldBlock`.

use super::aside::{Aside, Job};
use super::names::{Answer, Resolver, look_up};
use super::open::{OpenListener, Opened};
use super::{Address, Net, Reached, Stream, ipc, tcp, udp};
use crate::chance::SplitMix64;
use crate::cipher::random;
use crate::endpoint::{Endpoint, Kind};
use crate::options::TransportOptions;
use crate::peer_info::PeerCredentials;
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Listens at an endpoint, and says at which one really: with a numeric address and the port that it got.
///
/// For the application's thread: a name is looked up here, of an interface or a host, and what stands in the way of an `ipc`
/// socket is looked at.
pub(crate) fn bind(endpoint: &Endpoint, options: &TransportOptions) -> io::Result<(RealListener, Endpoint)> {
    endpoint.check_bind().map_err(invalid)?;
    match endpoint.kind() {
        Kind::Tcp(at) => {
            let listener = tcp::listen(at, options)?;
            let bound = Endpoint::tcp(listener.socket.local_addr()?);
            Ok((RealListener::Tcp(listener), bound))
        }
        Kind::Ipc(path) => {
            let listener = ipc::listen(path, options)?;
            let bound = Endpoint::ipc(listener.at.clone());
            Ok((RealListener::Unix(listener), bound))
        }
        Kind::Inproc(_) => Err(invalid("inproc needs no transport")),
        Kind::Udp(at) => {
            let (socket, bound) = udp::bind(at, options)?;
            Ok((RealListener::Udp(socket), bound))
        }
    }
}

/// Takes a listener that somebody else has opened, and says where it listens.
pub(crate) fn adopt(listener: OpenListener) -> io::Result<(RealListener, Endpoint)> {
    let endpoint = listener.prepare()?;
    let listener = match (listener.0, endpoint.kind()) {
        (Opened::Unix(socket), Kind::Ipc(at)) => RealListener::Unix(ipc::adopt(socket, at.clone())),
        (Opened::Tcp(socket), Kind::Tcp(_)) => RealListener::Tcp(tcp::adopt(socket)),
        _ => return Err(invalid("its address is of another kind")),
    };
    Ok((listener, endpoint))
}

/// A number that the real world chooses: another one each time.
pub(crate) fn chance() -> u64 {
    // Each `RandomState` has other keys, and so has another hash of nothing.
    RandomState::new().hash_one(())
}

/// The clock, for who has no context's.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The wall's clock: what is said to people and to other processes, and never waited for.
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// The world behind a mio poll.
pub(crate) struct RealNet {
    registry: Arc<Registry>,
    resolver: Resolver,
    chance: SplitMix64,
    aside: Aside,
}

impl RealNet {
    pub(crate) fn new(registry: Registry) -> Self {
        RealNet {
            registry: Arc::new(registry),
            resolver: Resolver::new(look_up),
            chance: SplitMix64::new(chance()),
            aside: Aside::default(),
        }
    }

    fn reports(&self, token: usize) -> Reports {
        Reports {
            registry: Arc::clone(&self.registry),
            token,
        }
    }

    fn register(&self, source: &mut dyn Source, token: usize, interest: Interest) -> io::Result<()> {
        self.registry.register(source, Token(token), interest)
    }
}

impl Net for RealNet {
    type Stream = RealStream;
    type Listener = RealListener;

    fn now(&self) -> Instant {
        now()
    }

    fn chance(&mut self) -> u64 {
        self.chance.next()
    }

    fn secret(&mut self, into: &mut [u8]) -> io::Result<()> {
        random(into)
    }

    fn run_aside(&mut self, job: Job) -> bool {
        self.aside.run(job)
    }

    fn resolve(&mut self, host: &str, port: u16, answer: Answer) {
        self.resolver.resolve(host, port, answer);
    }

    fn connect(&mut self, address: &Address, options: &TransportOptions, token: usize) -> io::Result<RealStream> {
        let mut stream = match address {
            Address::Tcp { to, from } => RealStream::Tcp(tcp::connect(*to, *from, options)?),
            Address::Ipc(path) => {
                let remote = Endpoint::ipc(path.clone()).to_string();
                RealStream::unix(ipc::connect(path, options)?, remote, self.reports(token))
            }
            Address::Udp { to, from } => RealStream::Udp(Box::new(udp::connect(*to, *from, options)?)),
        };
        self.register(stream.source(), token, BOTH)?;
        Ok(stream)
    }

    fn listen(&mut self, listener: &mut RealListener, token: usize) -> io::Result<()> {
        match listener.source() {
            Some(source) => self.register(source, token, Interest::READABLE),
            None => Ok(()),
        }
    }

    fn unlisten(&mut self, listener: &mut RealListener) {
        // It fails only for a listener that was never registered, and then there is nothing to stop.
        let _ = listener.source().map(|source| self.registry.deregister(source));
    }

    fn accept(
        &mut self,
        listener: &RealListener,
        options: &TransportOptions,
        token: usize,
    ) -> io::Result<(RealStream, String)> {
        let (mut stream, from) = match listener {
            RealListener::Tcp(listener) => {
                let (stream, from) = uninterrupted(|| tcp::accept(listener, options))?;
                (RealStream::Tcp(stream), tcp::text(from))
            }
            RealListener::Unix(listener) => {
                let stream = uninterrupted(|| ipc::accept(listener, options))?;
                let text = listener.text.clone();
                (RealStream::unix(stream, text.clone(), self.reports(token)), text)
            }
            RealListener::Udp(bound) => {
                let socket = bound.waiting.take().ok_or(ErrorKind::WouldBlock)?;
                let text = socket.text.clone();
                (RealStream::Udp(Box::new(socket)), text)
            }
        };
        let interest = match stream {
            RealStream::Unix { .. } => Interest::READABLE,
            RealStream::Tcp(_) | RealStream::Udp(_) => BOTH,
        };
        self.register(stream.source(), token, interest)?;
        Ok((stream, from))
    }
}

/// A socket that listens; an `ipc` one takes its file with it.
pub(crate) enum RealListener {
    Tcp(tcp::Listener),
    Unix(ipc::Listener),
    /// Nobody connects to it: it gives its one socket, at once.
    Udp(udp::Bound),
}

impl RealListener {
    /// What reports connections.
    fn source(&mut self) -> Option<&mut dyn Source> {
        match self {
            RealListener::Tcp(listener) => Some(&mut listener.socket),
            RealListener::Unix(listener) => Some(&mut listener.socket),
            RealListener::Udp(_) => None,
        }
    }
}

/// Under which token the poll reports a Unix socket. It would tell of room whenever the peer has read, however much room there
/// is: a thread that waits for an answer would be woken twice. So it is asked to only while there is none.
pub(crate) struct Reports {
    registry: Arc<Registry>,
    token: usize,
}

impl Reports {
    fn change(&self, stream: &UnixStream, interest: Interest) -> io::Result<()> {
        let mut source = SourceFd(&stream.as_raw_fd());
        self.registry.reregister(&mut source, Token(self.token), interest)
    }
}

/// A socket that is connected, or on its way.
pub(crate) enum RealStream {
    Tcp(TcpStream),
    Unix {
        stream: UnixStream,
        /// Boxed, as datagrams are: both are larger than a TCP stream, of which there are many.
        more: Box<OfUnix>,
    },
    Udp(Box<udp::Datagrams>),
}

/// What is to be known of a Unix socket.
pub(crate) struct OfUnix {
    /// The endpoint, since the peer has no name of its own.
    remote: String,
    credentials: Option<PeerCredentials>,
    reports: Reports,
}

impl RealStream {
    /// It is connected.
    fn unix(stream: UnixStream, remote: String, reports: Reports) -> Self {
        let credentials = ipc::credentials(&stream);
        let more = OfUnix {
            remote,
            credentials,
            reports,
        };
        RealStream::Unix {
            stream,
            more: Box::new(more),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            RealStream::Tcp(stream) => stream,
            RealStream::Unix { stream, .. } => stream,
            RealStream::Udp(datagrams) => &mut datagrams.socket,
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            RealStream::Tcp(stream) => stream.into(),
            RealStream::Unix { stream, .. } => stream.into(),
            RealStream::Udp(datagrams) => (&datagrams.socket).into(),
        }
    }
}

impl Stream for RealStream {
    fn is_datagrams(&self) -> bool {
        matches!(self, RealStream::Udp(_))
    }

    fn credentials(&self) -> Option<PeerCredentials> {
        match self {
            RealStream::Unix { more, .. } => more.credentials,
            RealStream::Tcp(_) | RealStream::Udp(_) => None,
        }
    }

    /// The lowest number that is free is given to each: all below this stream's are taken.
    fn descriptors_left(&self) -> Option<usize> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use nix::sys::resource::{Resource, getrlimit};
            let (most, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
            let own = u64::try_from(self.socket().as_raw_fd()).ok()?;
            usize::try_from(most.saturating_sub(own.saturating_add(1))).ok()
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        None
    }

    fn await_room(&self) -> io::Result<()> {
        match self {
            RealStream::Unix { stream, more } => more.reports.change(stream, BOTH),
            RealStream::Tcp(_) | RealStream::Udp(_) => Ok(()),
        }
    }

    fn need_no_room(&self) -> io::Result<()> {
        match self {
            RealStream::Unix { stream, more } => more.reports.change(stream, Interest::READABLE),
            RealStream::Tcp(_) | RealStream::Udp(_) => Ok(()),
        }
    }

    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| match self {
            RealStream::Tcp(stream) => (&*stream).read(into),
            RealStream::Unix { stream, .. } => (&*stream).read(into),
            RealStream::Udp(datagrams) => datagrams.read(into),
        })
    }

    fn write_vectored(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let from = from.get(..MAX_SLICES).unwrap_or(from);
        // The standard library would take `writev`, which has no flags: where SIGPIPE is not ignored, a peer that has
        // closed would end the process.
        let write = || match from {
            // One piece costs less without a list of them.
            [all] => self.socket().send_with_flags(all, NO_SIGNAL),
            _ => self.socket().send_vectored_with_flags(from, NO_SIGNAL),
        };
        uninterrupted(|| match self {
            RealStream::Tcp(stream) => stream.try_io(write),
            RealStream::Unix { stream, .. } => stream.try_io(write),
            RealStream::Udp(datagrams) => datagrams.write(from),
        })
    }

    fn shutdown_write(&self) -> io::Result<()> {
        match self {
            RealStream::Udp(_) => Ok(()),
            _ => self.socket().shutdown(Shutdown::Write),
        }
    }

    fn connected(&self) -> io::Result<Option<Reached>> {
        if let RealStream::Udp(datagrams) = self {
            let remote = datagrams.text.clone();
            return Ok(Some(Reached { remote, itself: false }));
        }
        if let Some(error) = self.socket().take_error()? {
            return Err(error);
        }
        let reached = match self {
            RealStream::Tcp(stream) => stream.peer_addr().and_then(|remote| {
                Ok(Reached {
                    remote: tcp::text(remote),
                    itself: stream.local_addr()? == remote,
                })
            }),
            RealStream::Unix { stream, more } => stream.peer_addr().map(|_| Reached {
                remote: more.remote.clone(),
                itself: false,
            }),
            RealStream::Udp(_) => return Ok(None),
        };
        match reached {
            Ok(reached) => Ok(Some(reached)),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Again, as long as a signal comes in between.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, why)
}

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// IOV_MAX of every system we know; more would be refused.
const MAX_SLICES: usize = 1_024;

/// MSG_NOSIGNAL. Apple's sockets are made so from the start; elsewhere the process ignores SIGPIPE, as Rust's do.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_SIGNAL: i32 = 0x4000;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_SIGNAL: i32 = 0;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_two_worlds_have_the_same_chance() {
        let net = || RealNet::new(mio::Poll::new().unwrap().registry().try_clone().unwrap());
        assert_ne!(net().chance(), net().chance());
    }
}

//! Bytes to and from the world.
//!
//! [`Net`] is all that the engine knows of it: the real one is mio and socket2, the simulated one is a value under a
//! virtual clock. Nothing here knows of messages.

mod aside;
mod interfaces;
pub(crate) mod ipc;
mod names;
mod open;
pub(crate) mod real;
mod settings;
pub(crate) mod socks5;
pub(crate) mod tcp;
#[cfg(all(test, not(loom)))]
mod tests;
pub(crate) mod udp;

pub use open::OpenListener;

use crate::endpoint::IpcPath;
use crate::options::TransportOptions;
use crate::peer_info::PeerCredentials;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Instant;

/// Where one connection goes: an endpoint whose name was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp {
        to: SocketAddr,
        /// The local address to connect from; port 0: any.
        from: Option<SocketAddr>,
    },
    Ipc(IpcPath),
    /// Datagrams; port 0 of the source: any.
    Udp {
        to: SocketAddr,
        from: Option<SocketAddr>,
    },
}

/// What came of looking a name up, in the resolver's order; never empty if it is `Ok`.
pub(crate) type Resolved = Result<Vec<SocketAddr>, String>;

/// The world as the engine sees it. Nothing here waits.
pub(crate) trait Net: Send + 'static {
    type Stream: Stream;
    type Listener: Send + 'static;

    /// The only clock.
    fn now(&self) -> Instant;

    /// The only chance: seeded.
    fn chance(&mut self) -> u64;

    /// Chance that nobody can guess: for keys. An error: there is none.
    fn secret(&mut self, into: &mut [u8]) -> io::Result<()>;

    /// Runs what an application wrote, elsewhere, after what was given before it. `false`: too much waits.
    fn run_aside(&mut self, job: Box<dyn FnOnce() + Send>) -> bool;

    /// Begins to look up a name, elsewhere; `answer` is called once, on any thread, or dropped with this.
    ///
    /// Only names: a numeric host is its own answer. Where there are many, they wait for each other.
    fn resolve(&mut self, host: &str, port: u16, answer: Box<dyn FnOnce(Resolved) + Send>);

    /// Begins to connect. A writable event with this token says that [`Stream::connected`] knows more.
    ///
    /// An error says that this attempt is over; it is never `WouldBlock`.
    fn connect(&mut self, address: &Address, options: &TransportOptions, token: usize) -> io::Result<Self::Stream>;

    /// Begins to report connections that wait at a listener, under this token.
    fn listen(&mut self, listener: &mut Self::Listener, token: usize) -> io::Result<()>;

    /// Stops reporting; the listener is dropped next.
    fn unlisten(&mut self, listener: &mut Self::Listener);

    /// Takes one waiting connection, reported from now on under `token`, and where it came from.
    ///
    /// `WouldBlock`: none waits, an event will come. `ConnectionAborted`: that one had gone, and others may wait.
    /// Anything else (no descriptors, no memory) is trouble of ours: no event will tell of those that go on waiting.
    fn accept(
        &mut self,
        listener: &Self::Listener,
        options: &TransportOptions,
        token: usize,
    ) -> io::Result<(Self::Stream, String)>;
}

/// A byte stream, or datagrams; never waits: `WouldBlock` says that an event will come.
pub(crate) trait Stream: Send + Sync + 'static {
    /// Whether each write is one datagram, and each read. One goes as a whole or not at all; `FileTooLarge` says that none
    /// is that large. There is no end of stream: neither can it be told, nor does it come.
    fn is_datagrams(&self) -> bool {
        false
    }

    /// Which process the system says is at the other end, once connected. Remembered: it is asked for while locks are held.
    fn credentials(&self) -> Option<PeerCredentials> {
        None
    }

    /// How many more descriptors the process may open, about; `None` where nobody knows.
    fn descriptors_left(&self) -> Option<usize> {
        None
    }

    /// A write was refused: an event is to tell of room. May have been called before.
    fn await_room(&self) -> io::Result<()> {
        Ok(())
    }

    /// All was written. Until [`Stream::await_room`] no event needs to tell of room: of some streams one comes, and wakes
    /// who sleeps, whenever the peer has read something.
    fn need_no_room(&self) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, into: &mut [u8]) -> io::Result<usize>;
    fn write_vectored(&self, from: &[IoSlice<'_>]) -> io::Result<usize>;
    /// After this the peer reads an end of stream behind what was written.
    fn shutdown_write(&self) -> io::Result<()>;
    /// After a writable event: where the connection reached, `None` while it is still on its way, or why it failed.
    fn connected(&self) -> io::Result<Option<Reached>>;
}

/// A connection that came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The peer's address, for people.
    pub(crate) remote: String,
    /// The kernel connected the socket to itself (an ephemeral port that equals the target).
    pub(crate) itself: bool,
}

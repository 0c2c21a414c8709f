//! What a socket counts: plain numbers, by peer and in total.
//!
//! One law holds at every moment, in messages: out, accepted = written + dropped + queued; in, arrived = received +
//! dropped + queued.

use std::fmt;

/// Why a message was dropped. Nothing is dropped without one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DropReason {
    /// Its peer was lost before it was written, and nobody else was to have it.
    PeerLost,
    /// It was not written before the linger time of `close`, `disconnect` or `unbind_and_close` was over, or its peer had
    /// been given up before.
    Linger,
    /// It was unread when its socket was closed.
    Closed,
    /// Its envelope was not formed as its socket type wants it.
    Malformed,
    /// It is a reply that nobody waits for any more, or from a peer that was not asked.
    StaleReply,
    /// It is a request that was dropped without a reply.
    Unanswered,
    /// It is a reply whose client is gone.
    PeerGone,
    /// It is a reply whose client was at its mark.
    PeerFull,
    /// It came to a socket that only sends.
    WrongDirection,
    /// It was queued for a peer that came back under another identity: a new peer.
    IdentityChanged,
}

impl DropReason {
    /// All of them.
    pub const ALL: [DropReason; REASONS] = [
        DropReason::PeerLost,
        DropReason::Linger,
        DropReason::Closed,
        DropReason::Malformed,
        DropReason::StaleReply,
        DropReason::Unanswered,
        DropReason::PeerGone,
        DropReason::PeerFull,
        DropReason::WrongDirection,
        DropReason::IdentityChanged,
    ];
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

const REASONS: usize = 10;

/// Messages that were dropped, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Drops([u64; REASONS]);

impl Drops {
    /// Messages dropped for this reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Messages dropped for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons for which something was dropped, with how much.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL
            .into_iter()
            .map(|reason| (reason, self.of(reason)))
            .filter(|&(_, count)| count > 0)
    }

    pub(crate) fn add(&mut self, reason: DropReason, messages: u64) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count += messages;
        }
    }

    pub(crate) fn merge(&mut self, other: &Drops) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

impl fmt::Debug for Drops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// One direction of a peer or a socket. Bytes are those of the frames' bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Flow {
    /// Messages taken on: out, accepted from the application; in, arrived from the peer.
    pub taken: u64,
    /// Their bytes.
    pub taken_bytes: u64,
    /// Messages passed on: out, written to the kernel (inproc: to the other socket); in, received by the application.
    pub passed: u64,
    /// Their bytes.
    pub passed_bytes: u64,
    /// Messages dropped.
    pub dropped: Drops,
    /// Messages here now: waiting, or being written.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
}

impl Flow {
    /// Whether the law holds: what was taken on is passed on, dropped, or here.
    pub fn is_conserved(&self) -> bool {
        self.taken == self.passed + self.dropped.total() + self.queued
    }

    pub(crate) fn merge(&mut self, other: &Flow) {
        self.taken += other.taken;
        self.taken_bytes += other.taken_bytes;
        self.passed += other.passed;
        self.passed_bytes += other.passed_bytes;
        self.dropped.merge(&other.dropped);
        self.queued += other.queued;
        self.queued_bytes += other.queued_bytes;
    }
}

/// What one peer has sent, been sent, and holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PeerStats {
    /// Where it is: the endpoint that was connected to, or the address that it came from.
    pub endpoint: String,
    /// Whether a connection to it is ready now.
    pub is_connected: bool,
    /// From this socket to the peer.
    pub out: Flow,
    /// From the peer to this socket.
    pub incoming: Flow,
    /// Connections that became ready after the first one.
    pub reconnects: u64,
    /// Why the last connection ended or did not come about, if one did.
    pub last_error: Option<String>,
    /// Commands of it that mean nothing to this socket, and were ignored.
    pub ignored_commands: u64,
}

/// What a socket has done: in total, and for each peer that it has now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SocketStats {
    /// To all peers that ever were.
    pub out: Flow,
    /// From all peers that ever were.
    pub incoming: Flow,
    /// Connections that became ready again, of all peers that ever were.
    pub reconnects: u64,
    /// Commands that mean nothing to this socket, and were ignored, of all peers that ever were.
    pub ignored_commands: u64,
    /// The peers of now.
    pub peers: Vec<PeerStats>,
}

/// What became of a socket's messages after it was closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CloseReport {
    /// The peers that it had at that moment.
    pub peers: Vec<PeerReport>,
    /// Messages that were dropped without a peer, by reason.
    pub without_peer: Drops,
}

/// What became of the messages to one peer of a socket that was closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PeerReport {
    /// Where it is: the endpoint that was connected to, or the address that it came from.
    pub endpoint: String,
    /// It ended its side after it had read ours to the end: all that was written reached its process.
    pub confirmed: bool,
    /// Messages written to it since it was a peer.
    pub written: u64,
    /// Messages to it that were dropped, by reason.
    pub dropped: Drops,
}

impl CloseReport {
    /// Whether every peer has read everything that was accepted for it.
    pub fn is_confirmed(&self) -> bool {
        self.dropped() == 0 && self.peers.iter().all(|peer| peer.confirmed)
    }

    /// Messages written, to all peers.
    pub fn written(&self) -> u64 {
        self.peers.iter().map(|peer| peer.written).sum()
    }

    /// Outgoing messages dropped, of all peers and without one.
    pub fn dropped(&self) -> u64 {
        self.without_peer.total() + self.peers.iter().map(|peer| peer.dropped.total()).sum::<u64>()
    }
}

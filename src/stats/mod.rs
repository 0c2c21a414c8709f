//! What a socket counts: plain numbers, by peer and in total.
//!
//! One law holds at every moment, in messages: out, accepted = written + dropped + queued; in, arrived = received +
//! dropped + queued.

mod context;
mod exposition;
mod histogram;
mod meter;
mod prometheus;
mod turned_away;

pub use context::{Connections, ContextStats, LoopStats, SocketEntry};
pub(crate) use exposition::Text;
pub use histogram::Histogram;
pub(crate) use meter::Meter;
pub use meter::{Rate, Throughput};
pub use turned_away::TurnedAway;

use crate::identity::Identity;
use crate::socket_type::SocketType;
use std::fmt;
use std::time::Duration;

/// Why a message was dropped. Nothing is dropped without one of these.
///
/// Outgoing messages are dropped as `PeerLost`, `Linger`, `PeerGone`, `PeerFull`, `Unroutable`, `Abandoned`,
/// `IdentityChanged` or `Replaced`, incoming ones for the other reasons, and as `Replaced` too. More reasons may come with
/// more socket types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DropReason {
    /// Its peer was lost before it was written, and nobody else was to have it: an accepted peer's connection ended, or
    /// a REP's. What waits for a peer that was connected to is kept.
    PeerLost,
    /// It was not written before the linger time of `close`, `disconnect`, `unbind_and_close` or of the context's end
    /// was over, or its peer had been given up before.
    Linger,
    /// It was unread when its socket was closed, or came after that; or it came after its raw stream was to end.
    Closed,
    /// Its envelope was not formed as its socket type wants it ([RFC 28](https://rfc.zeromq.org/spec/28/)).
    Malformed,
    /// It is a reply that nobody waits for any more, or of a peer that was not asked.
    StaleReply,
    /// It is a request that the application received and dropped without a reply.
    Unanswered,
    /// It is a reply whose client is gone; `reply` said so.
    PeerGone,
    /// It is a reply whose client was at its mark; `reply` said so. Or its peer was at its mark, and the socket drops
    /// such messages ([`Options::drop_unroutable`](crate::Options::drop_unroutable)).
    PeerFull,
    /// It came to a socket that only sends.
    WrongDirection,
    /// It was queued for a peer that came back under another identity: a new peer.
    IdentityChanged,
    /// It was a request that nobody waited for any more, and it was not on its way yet.
    Abandoned,
    /// It was published, and nobody had subscribed to its topic.
    NoSubscriber,
    /// It was published, and the subscriber was at its mark: see [`AtMark`](crate::AtMark).
    SubscriberFull,
    /// A newer one took its place: see [`Options::conflate`](crate::Options::conflate).
    Conflated,
    /// It came, and no subscription of this socket matches it (any more).
    NotSubscribed,
    /// It belonged to a connection whose place another one of the same identity took
    /// ([`Options::handover`](crate::Options::handover)): it was queued for it, or came after that.
    Replaced,
    /// It was for an identity that no peer has, and the socket drops such messages
    /// ([`Options::drop_unroutable`](crate::Options::drop_unroutable)).
    Unroutable,
    /// It would have told that a peer came or went ([`Options::router_notify`](crate::Options::router_notify),
    /// [`hiccup_message`](crate::Options::hiccup_message)), and too many such were unread.
    Unnoticed,
    /// It does not fit in a datagram (`udp`).
    TooLarge,
    /// It was a subscription, and longer than it may be, or its peer had as many as it may have: see
    /// [`Options::max_topic_len`](crate::Options::max_topic_len) and
    /// [`max_subscription_bytes`](crate::Options::max_subscription_bytes).
    Oversubscribed,
    /// It was a subscription to a topic that its peer may not have
    /// ([`User::limit_topics`](crate::User::limit_topics)).
    NotAuthorised,
}

impl DropReason {
    /// All of them, in the order in which they are shown.
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
        DropReason::Abandoned,
        DropReason::NoSubscriber,
        DropReason::SubscriberFull,
        DropReason::Conflated,
        DropReason::NotSubscribed,
        DropReason::Replaced,
        DropReason::Unroutable,
        DropReason::Unnoticed,
        DropReason::TooLarge,
        DropReason::Oversubscribed,
        DropReason::NotAuthorised,
    ];
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

const REASONS: usize = 21;

/// Messages that were dropped, by reason. Counts only grow.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Drops([u64; REASONS]);

impl Drops {
    /// Returns how many messages were dropped for this reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Returns how many messages were dropped for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the reasons for which something was dropped, with how much.
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

/// Counts one direction of a peer or a socket, from its beginning. Bytes are those of the frames' bodies, envelopes
/// included, framing not.
///
/// At every moment `taken` is `passed`, `dropped` and `queued` together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Flow {
    /// Messages taken on: out, accepted from the application; in, arrived from the peer.
    pub taken: u64,
    /// Their bytes.
    pub taken_bytes: u64,
    /// Messages passed on: out, their last byte was written to the kernel (inproc: they are in the other socket), which
    /// is no promise that the peer has them; in, received by the application.
    pub passed: u64,
    /// Their bytes.
    pub passed_bytes: u64,
    /// Frames, envelopes included: out, of the messages that were queued; in, of those that were taken out of the queue.
    pub frames: u64,
    /// Messages dropped.
    pub dropped: Drops,
    /// Messages here now: waiting, or being written.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// The most messages that one peer's queue has held at once.
    pub queued_peak: u64,
    /// The most bytes that one peer's queue has held at once.
    pub queued_peak_bytes: u64,
    /// Queues that are full now: of a peer, 0 or 1.
    pub full_now: u64,
    /// How long queues have been full, of all peers together: from the mark until half of it. Out: nothing was taken on
    /// for that peer. In: nothing was read from it.
    pub full_for: Duration,
}

impl Flow {
    /// Returns whether the law holds: what was taken on is passed on, dropped, or here. It does, unless this library
    /// has an error; tests check it.
    pub fn is_conserved(&self) -> bool {
        self.taken == self.passed + self.dropped.total() + self.queued
    }

    pub(crate) fn merge(&mut self, other: &Flow) {
        self.taken += other.taken;
        self.taken_bytes += other.taken_bytes;
        self.passed += other.passed;
        self.passed_bytes += other.passed_bytes;
        self.frames += other.frames;
        self.dropped.merge(&other.dropped);
        self.queued += other.queued;
        self.queued_bytes += other.queued_bytes;
        self.queued_peak = self.queued_peak.max(other.queued_peak);
        self.queued_peak_bytes = self.queued_peak_bytes.max(other.queued_peak_bytes);
        self.full_now += other.full_now;
        self.full_for = self.full_for.saturating_add(other.full_for);
    }
}

/// Counts what one peer has sent, been sent, and holds.
///
/// A peer that was connected to is one peer over all its connections; one that came to us is a new peer each time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PeerStats {
    /// Which it is: no other peer of this socket ever has this number.
    pub number: u64,
    /// Where it is: the endpoint that was connected to, or the address that it came from.
    pub endpoint: String,
    /// Whether a connection to it is ready for messages now.
    pub is_connected: bool,
    /// Whether this socket connected to it; else it came to us.
    pub is_dialed: bool,
    /// Its socket type, once it was ready.
    pub socket_type: Option<SocketType>,
    /// The identity that it gave itself, if it did.
    pub identity: Option<Identity>,
    /// From this socket to the peer.
    pub out: Flow,
    /// From the peer to this socket.
    pub incoming: Flow,
    /// How long messages to it waited here until their last byte was written, of some: one is timed
    /// at a time, so of a stream about one in a batch.
    pub out_residence: Histogram,
    /// How long messages from it waited here until they were received, of some: one is timed at a time. They came when the loop
    /// began to look at what was there.
    pub incoming_residence: Histogram,
    /// What is written to it in a second.
    pub out_rate: Throughput,
    /// What comes from it in a second.
    pub incoming_rate: Throughput,
    /// Connections that became ready after the first one.
    pub reconnects: u64,
    /// Why the last connection ended or the last attempt failed, for people; `None` if nothing has failed yet.
    pub last_error: Option<String>,
    /// How long the last PING took to be answered, what waited to be written before it included; `None` until one was,
    /// and over inproc. See [`Options::heartbeat`](crate::Options::heartbeat).
    pub round_trip: Option<Duration>,
    /// Commands of it that mean nothing to this socket, or ask for what it does not get, and were ignored.
    pub ignored_commands: u64,
    /// Its subscriptions to topics that it may not have ([`User::limit_topics`](crate::User::limit_topics)).
    pub refused_subscriptions: u64,
}

/// Counts what a socket has done: in total, and for each peer that it has now. A copy, true at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SocketStats {
    /// To all peers that ever were.
    pub out: Flow,
    /// From all peers that ever were.
    pub incoming: Flow,
    /// How long messages waited here until their last byte was written, of some: of each peer one is
    /// timed at a time, so of a stream about one in a batch.
    pub out_residence: Histogram,
    /// How long messages waited here until they were received, of some: of each peer one is timed at a time.
    pub incoming_residence: Histogram,
    /// What is written in a second.
    pub out_rate: Throughput,
    /// What comes in a second.
    pub incoming_rate: Throughput,
    /// Connections that became ready again, of all peers that ever were.
    pub reconnects: u64,
    /// Commands that mean nothing to this socket, or ask for what their peer does not get, and were ignored, of all peers
    /// that ever were.
    pub ignored_commands: u64,
    /// Subscriptions to topics that their peers may not have, of all peers that ever were.
    pub refused_subscriptions: u64,
    /// Requests that were sent again ([`Options::retry`](crate::Options::retry)), each time counted.
    pub retried_requests: u64,
    /// Connections that came to this socket, and ended before they were ready: all of them, whether they were told
    /// ([`Event::HandshakeFailed`](crate::Event::HandshakeFailed)) or not.
    pub failed_handshakes: u64,
    /// Of those, how many were not told.
    pub untold_handshakes: u64,
    /// Connections that were turned away, or ended, because they went over a limit; by limit. Not those of inproc.
    pub turned_away: TurnedAway,
    /// Topics whose newest message is not kept any more, because there was no place for more
    /// ([`Options::last_values`](crate::Options::last_values)).
    pub forgotten_topics: u64,
    /// The peers of now: those that were connected to, whether they are there or not, and those that came and are
    /// there.
    pub peers: Vec<PeerStats>,
}

/// Says what became of all messages that a socket had taken on, once it was closed: each was written or dropped.
///
/// ```
/// use peermq::{Context, DropReason, Options, Push};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let push = Push::with_options(&context, Options::default().linger(Duration::ZERO))?;
/// push.connect("inproc://nobody")?;
/// push.send("in vain")?;
///
/// let report = push.close()?;
/// assert!(!report.is_confirmed());
/// assert_eq!(report.peers[0].dropped.of(DropReason::Linger), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CloseReport {
    /// The peers that it had when it was closed.
    pub peers: Vec<PeerReport>,
    /// Messages written to peers that had gone before. Whether they arrived is not known.
    pub gone_written: u64,
    /// Messages dropped of peers that had gone before, by reason.
    pub gone_dropped: Drops,
    /// Messages that had lost their peer and found no other, by reason.
    pub without_peer: Drops,
}

/// Says what became of the messages to one peer of a socket that was closed. Counted from when it became a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PeerReport {
    /// Where it is: the endpoint that was connected to, or the address that it came from.
    pub endpoint: String,
    /// It ended its side after it had read ours to the end: all that the last connection wrote reached its process, though
    /// not necessarily its application. Of what earlier connections wrote it says nothing: see
    /// [`Event::Disconnected`](crate::Event::Disconnected).
    pub confirmed: bool,
    /// Messages written to it since it was a peer, by all connections.
    pub written: u64,
    /// Messages to it that were dropped, by reason.
    pub dropped: Drops,
}

impl CloseReport {
    /// Returns whether no message was dropped in all of the socket's life, and each peer that it had when it was closed is
    /// [`confirmed`](PeerReport::confirmed). With no such peer there is nothing to confirm.
    pub fn is_confirmed(&self) -> bool {
        self.dropped() == 0 && self.peers.iter().all(|peer| peer.confirmed)
    }

    /// Returns how many messages were written in all of the socket's life.
    pub fn written(&self) -> u64 {
        self.gone_written + self.peers.iter().map(|peer| peer.written).sum::<u64>()
    }

    /// Returns how many messages were taken on and dropped in all of the socket's life.
    pub fn dropped(&self) -> u64 {
        let of_peers: u64 = self.peers.iter().map(|peer| peer.dropped.total()).sum();
        self.gone_dropped.total() + self.without_peer.total() + of_peers
    }
}

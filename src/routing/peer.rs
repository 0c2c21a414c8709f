//! One peer as routing sees it: who it is, whether it is there, and its two queues.

use super::incoming::IncomingQueue;
use super::stage::{Stage, Staged};
use super::timing::Timing;
use crate::identity::Identity;
use crate::peer_info::PeerInfo;
use crate::socket_type::SocketType;
use crate::stats::PeerStats;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The other end as routing sees it; never the same for two peers of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PeerId {
    pub(super) index: usize,
    pub(super) generation: u64,
}

impl PeerId {
    pub(crate) fn index(self) -> usize {
        self.index
    }
}

/// Whether a peer outlives its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerKind {
    /// We connected to it: it has a queue from then on, and keeps it from one connection to the next.
    Dialed,
    /// It came to a listener: it begins with READY and ends with its connection.
    Accepted,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) generation: u64,
    pub(super) kind: PeerKind,
    pub(super) endpoint: Arc<str>,
    pub(super) is_up: bool,
    /// Connections that became ready.
    pub(super) connections: u64,
    /// Under what name it was ready last.
    pub(super) identity: Option<Identity>,
    /// As what it was ready last.
    pub(super) socket_type: Option<SocketType>,
    /// Who it is, by its last connection.
    pub(super) info: Option<Arc<PeerInfo>>,
    /// Who it was by earlier ones, oldest first, with how many unread messages came by each: all of them are older than the
    /// others. None without such a message, so there are at most as many as the mark of what is unread.
    pub(super) earlier: VecDeque<(usize, Arc<PeerInfo>)>,
    /// It says nothing of itself, and is told nothing but messages.
    pub(super) is_wordless: bool,
    pub(super) last_error: Option<Box<str>>,
    /// How long the last PING of this connection took to be answered.
    pub(super) round_trip: Option<Duration>,
    /// Commands of it that mean nothing to us.
    pub(super) ignored: u64,
    /// Subscriptions of it to topics that it may not have.
    pub(super) refused: u64,
    /// Messages of this connection that came to a socket that only sends.
    pub(super) astray: u64,
    pub(super) out: Staged,
    pub(super) incoming: IncomingQueue,
    /// It takes no more messages; what is queued still goes.
    pub(super) is_leaving: bool,
    /// It is to be told something before its next message.
    pub(super) owes_notices: bool,
    /// The connection of an accepted peer is over; the peer goes once nothing of it is unread.
    pub(super) is_over: bool,
    /// What it left unread weighed when its connection was over.
    pub(super) left_behind: usize,
}

impl Peer {
    /// A new one, with two empty queues.
    pub(super) fn new(generation: u64, kind: PeerKind, endpoint: Arc<str>) -> Self {
        Peer {
            generation,
            kind,
            endpoint,
            is_up: false,
            connections: 0,
            identity: None,
            socket_type: None,
            info: None,
            earlier: VecDeque::new(),
            is_wordless: false,
            last_error: None,
            round_trip: None,
            ignored: 0,
            refused: 0,
            astray: 0,
            out: Staged::new(),
            incoming: IncomingQueue::default(),
            is_leaving: false,
            owes_notices: false,
            is_over: false,
            left_behind: 0,
        }
    }

    /// Whose the message is that was popped just now.
    pub(super) fn sender_of_popped(&mut self) -> Option<Arc<PeerInfo>> {
        let Some((unread, info)) = self.earlier.front_mut() else {
            return self.info.clone();
        };
        *unread -= 1;
        if *unread > 0 {
            return Some(Arc::clone(info));
        }
        self.earlier.pop_front().map(|(_, info)| info)
    }

    pub(super) fn stats(&mut self, stage: &mut Stage, now: Option<Instant>) -> PeerStats {
        let queue = self.out.reach(stage);
        let (out, incoming) = (queue.timing(), self.incoming.timing());
        let rate = |timing: &Timing| now.map(|now| timing.meter.at(now)).unwrap_or_default();
        PeerStats {
            number: self.generation,
            endpoint: self.endpoint.to_string(),
            is_connected: self.is_up,
            is_dialed: self.kind == PeerKind::Dialed,
            socket_type: self.socket_type,
            identity: self.identity.clone(),
            out: queue.stats(now),
            incoming: self.incoming.stats(now),
            out_residence: out.residence.clone(),
            incoming_residence: incoming.residence.clone(),
            out_rate: rate(out),
            incoming_rate: rate(incoming),
            reconnects: self.connections.saturating_sub(1),
            last_error: self.last_error.as_deref().map(str::to_owned),
            round_trip: self.round_trip,
            ignored_commands: self.ignored,
            refused_subscriptions: self.refused,
        }
    }
}

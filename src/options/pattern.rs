//! What only some socket types have. Each setter notes its name: a type that cannot use it refuses it when it is made.

use super::{Notify, Options, Retry};
use crate::identity::Identity;
use std::time::Duration;

impl Options {
    /// Sets the name under which peers that address by identity (ROUTER) know this socket. Default: none, and they make
    /// one up for each connection. Sent by REQ, DEALER and ROUTER.
    ///
    /// With one, a peer knows this socket again when it comes back, and two sockets that share one are in each other's
    /// way. Without, what the peer keeps of a connection ends with it
    /// ([RFC 28](https://rfc.zeromq.org/spec/28/)).
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self.note("identity")
    }

    /// Sets whether peers that are down are passed over while a connected one has room. Default no: a peer that was
    /// connected to takes its turn from `connect` on, and its messages wait for it
    /// ([RFC 30](https://rfc.zeromq.org/spec/30/)).
    ///
    /// Yes: a peer that comes back finds less waiting for it, and those that are there do its work. No: with one of two
    /// peers down, every second message waits for it until its queue is full.
    pub fn connected_first(mut self, yes: bool) -> Self {
        self.connected_first = yes;
        self.note("connected_first")
    }

    /// Sets whether messages that an accepted peer left unwritten go to the next peer. Default no: they are dropped and
    /// counted as [`DropReason::PeerLost`](crate::DropReason::PeerLost). PUSH and SCATTER: REQ always does so.
    ///
    /// Yes: they come behind what the next peer has queued, so the order of the whole is lost; while no peer has room
    /// for them, `send` waits. No: what waits for a peer goes with it.
    pub fn requeue_unwritten(mut self, yes: bool) -> Self {
        self.requeue_unwritten = yes;
        self.note("requeue_unwritten")
    }

    /// Sets whether requests carry an id that their replies must carry too. Default yes; REQ only.
    ///
    /// The id is a frame of 4 bytes in front of the empty one. libzmq's REP and ours echo it; a ROUTER must send back
    /// all frames up to the empty one ([RFC 28](https://rfc.zeromq.org/spec/28/)).
    ///
    /// Yes: a ROUTER that expects the empty frame first does not find it there. No: one request is outstanding at a
    /// time, other threads wait for their turn, and a late reply cannot be told from an awaited one if it comes from
    /// the same peer.
    pub fn correlate(mut self, yes: bool) -> Self {
        self.correlate = yes;
        self.note("correlate")
    }

    /// Sets whether a request takes the place of one that waits for its reply. Default no: it waits until that has its reply.
    /// REQ only, and only together with [`correlate(false)`](Options::correlate): with ids each has a place of its own.
    ///
    /// Yes: whoever asked before gets [`RequestError::Abandoned`](crate::RequestError::Abandoned), and its request is taken
    /// back if it is not on its way yet, as that of any caller who waits no more. A late reply to it that
    /// comes from the peer which is asked now is taken for the new one's (`ZMQ_REQ_RELAXED`, of which libzmq says the same).
    pub fn relaxed(mut self, yes: bool) -> Self {
        self.relaxed = yes;
        self.note("relaxed")
    }

    /// Declares that requests may be served more than once, and lets them be sent again: when no reply has come after this
    /// time, and when the peer is lost that had it; to the next peer in turn, if there is another, so many times at most.
    /// At least 1 ms. Default: not at all. REQ only, with [`correlate`](Options::correlate).
    ///
    /// The first reply to any of its copies counts; later ones are dropped as
    /// [`StaleReply`](crate::DropReason::StaleReply). The time limit of `request_timeout` is the same as without. Retried
    /// requests are counted in [`SocketStats::retried_requests`](crate::SocketStats::retried_requests), and a copy of the
    /// request is kept until it has its reply.
    ///
    /// Shorter: servers that are slow get the same request twice. Longer: a server that is gone without a word, or hangs,
    /// is waited for longer. More times: a request that kills servers kills more of them.
    pub fn retry(mut self, after: Duration, times: u32) -> Self {
        self.retry = Some(Retry { after, times });
        self.note("retry")
    }

    /// Sets whether a ROUTER drops what it cannot send, and says nothing. Default no: `send_to` gives it back with the
    /// reason, `UnknownPeer` or `PeerFull`.
    ///
    /// Calls that wait for a peer's room go on to do so, and give back what had none in time.
    ///
    /// Yes: `send_to` succeeds, and the message is counted as
    /// [`DropReason::Unroutable`](crate::DropReason::Unroutable) or [`DropReason::PeerFull`](crate::DropReason::PeerFull)
    /// ([RFC 28](https://rfc.zeromq.org/spec/28/), and libzmq without `ZMQ_ROUTER_MANDATORY`): who does not look at the
    /// statistics does not know. No: each sender has to decide what becomes of what cannot be sent.
    pub fn drop_unroutable(mut self, yes: bool) -> Self {
        self.drop_unroutable = yes;
        self.note("drop_unroutable")
    }

    /// Sets whether a peer that comes under the identity of another takes its place. Default no: it is turned away and
    /// tries again, and the other one has a second to prove that it is alive.
    ///
    /// Yes: a client that lost its network is back at once. What its old connection had brought is received first, under
    /// the same identity; what was queued for it is dropped as [`DropReason::Replaced`](crate::DropReason::Replaced), and
    /// the connection ends with [`Failure::Replaced`](crate::Failure::Replaced). Only the same
    /// [user](crate::PeerInfo::user) can take a place: with CURVE who holds the same key, with PLAIN who has the same name.
    /// With NULL there are no users, and whoever can connect can take any; two clients that share one take it from each
    /// other for as long as both are there. A peer that this socket itself is connected to keeps its place. No: a client
    /// whose old connection is not known to be dead yet has to come back a second time.
    pub fn handover(mut self, yes: bool) -> Self {
        self.handover = yes;
        self.note("handover")
    }

    /// Sets whether an empty message is sent on each connection that becomes ready, dialed or accepted. Default no. REQ,
    /// DEALER and ROUTER only.
    ///
    /// A ROUTER receives it, and so knows of the peer before the peer has anything to say. It counts as a message in the
    /// statistics and against the mark; where the queue is full already there is none: what waits there tells as much.
    ///
    /// Yes: an application at the other end that takes every message for a real one is surprised; REQ and REP drop it as
    /// [`DropReason::Malformed`](crate::DropReason::Malformed). No: a ROUTER can speak first only to peers that it is
    /// told of in another way ([`router_notify`](Options::router_notify), [`connect_as`](crate::Router::connect_as)).
    pub fn probe(mut self, yes: bool) -> Self {
        self.probe = yes;
        self.note("probe")
    }

    /// Sets whether a ROUTER receives, as an empty message, that a peer's connection became ready, and that it ended.
    /// Default neither. A handshake that fails is not told.
    ///
    /// The first comes before all messages of the connection, the second behind them (behind those that are unread when
    /// a peer that this socket connected to is back already, it comes too early). As many as
    /// [`recv_mark`](Options::recv_mark) wait to be received; the next ones are dropped and counted as
    /// [`DropReason::Unnoticed`](crate::DropReason::Unnoticed). A connection that came and went without a message, while an
    /// earlier one of the same identity was unread, is not told. Empty messages of the peers themselves look the same.
    ///
    /// Yes: `recv` gives more than what peers send. No: only a [`Monitor`](crate::Monitor) tells, apart from the
    /// messages and without the identity.
    pub fn router_notify(mut self, connects: bool, disconnects: bool) -> Self {
        self.router_notify = Notify { connects, disconnects };
        self.note("router_notify")
    }

    /// Sets whether a STREAM socket receives a message without bytes when a connection begins, and another when it ends.
    /// Default yes; STREAM only.
    ///
    /// They are received in order with what comes from the peer, and count against [`recv_mark`](Options::recv_mark), but
    /// that the end may be one more. An end that this side asked for is not told. A peer that was connected to, and of
    /// which as much as the mark is unread, is not connected again until some of it is received.
    ///
    /// Yes: an application that only wants bytes has to pass them over. No: who comes is known only once it says
    /// something, and who goes not at all but from a [`Monitor`](crate::Monitor).
    pub fn stream_notify(mut self, yes: bool) -> Self {
        self.stream_notify = yes;
        self.note("stream_notify")
    }
}

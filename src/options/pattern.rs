//! What only some socket types have. Each setter notes its name: a type that cannot use it refuses it when it is made.

use super::Options;
use crate::identity::Identity;

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
    /// counted as [`DropReason::PeerLost`](crate::DropReason::PeerLost). PUSH only: REQ always does so.
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
}

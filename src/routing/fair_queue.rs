//! Which peer is received from next.
//!
//! Round robin over the peers that have messages, one whole message a turn: a peer that floods us delays the others by
//! one message each ([RFC 30](https://rfc.zeromq.org/spec/30/), "fair-queuing").

use super::peer::PeerId;
use super::peers::Peers;
use super::turn::Turn;
use crate::message::Message;

/// Incoming messages of all peers, in turn.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    turn: Turn,
}

impl FairQueue {
    /// A peer has messages.
    pub(crate) fn enter(&mut self, id: PeerId) {
        self.turn.enter(id);
    }

    /// A peer is gone, and what it left unread with it.
    pub(crate) fn remove(&mut self, id: PeerId) {
        self.turn.remove(id);
    }

    /// The oldest message of the next peer that has one.
    #[inline(always)]
    pub(crate) fn recv(&mut self, peers: &mut Peers) -> Option<(PeerId, Message)> {
        while let Some(id) = self.turn.front() {
            let Some(popped) = peers.pop(id) else {
                self.turn.rest();
                continue;
            };
            if popped.is_last {
                self.turn.rest();
                peers.forget_if_over(id);
            } else {
                self.turn.pass();
            }
            return Some((id, popped.message));
        }
        None
    }

    pub(crate) fn has_messages(&self) -> bool {
        !self.turn.is_empty()
    }
}

//! Which peer is received from next.
//!
//! Round robin over the peers that have messages, one whole message a turn: a peer that floods us delays the others by
//! one message each ([RFC 30](https://rfc.zeromq.org/spec/30/), "fair-queuing").

use super::incoming::Popped;
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

    /// Takes the oldest message of the next peer that has one, and says whose it is.
    #[inline(always)]
    pub(crate) fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> Option<PeerId> {
        while let Some(id) = self.turn.front() {
            match peers.pop(id, into) {
                Some(Popped::More) => self.turn.pass(),
                Some(Popped::Last) => {
                    self.turn.rest();
                    peers.forget_if_over(id);
                }
                None => {
                    self.turn.rest();
                    continue;
                }
            }
            return Some(id);
        }
        None
    }

    pub(crate) fn has_messages(&self) -> bool {
        !self.turn.is_empty()
    }
}

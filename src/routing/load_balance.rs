//! Which peer takes the next message.
//!
//! Round robin over the peers that have room; a peer at its mark leaves the turn and comes back at its low mark. Nothing is
//! ever dropped here ([RFC 30](https://rfc.zeromq.org/spec/30/)).

use super::dropped::Dropped;
use super::outgoing::Placed;
use super::peer::PeerId;
use super::peers::Peers;
use super::turn::Turn;
use super::wants::Want;
use super::{Lot, pack_many};
use crate::batch::Tally;
use crate::message::{Message, Outgoing};
use crate::stats::DropReason;
use std::collections::VecDeque;

/// Outgoing messages to the peers with room, in turn.
#[derive(Debug, Default)]
pub(crate) struct LoadBalance {
    turn: Turn,
    /// Peers that are down and are to be passed over while one in `turn` has room.
    last: Turn,
    connected_first: bool,
    /// Messages without a peer, oldest first: they go before any other, and nothing is accepted while there are any. At most
    /// what lost peers had queued, and one of each request that is sent again.
    adrift: VecDeque<Adrift>,
}

/// A message without a peer.
#[derive(Debug)]
struct Adrift {
    message: Message,
    /// What its owner knows it by.
    of: u32,
    /// Whom it does not go to if there is another.
    but: Option<PeerId>,
}

impl LoadBalance {
    pub(crate) fn new(connected_first: bool) -> Self {
        LoadBalance {
            connected_first,
            ..LoadBalance::default()
        }
    }

    /// A peer has a queue, or room in it again, or its connection came or went.
    pub(crate) fn enter(&mut self, peers: &mut Peers, id: PeerId) {
        let Some(is_up) = peers.is_up(id) else { return };
        let down = self.connected_first && !is_up;
        let (into, from) = if down {
            (&mut self.last, &mut self.turn)
        } else {
            (&mut self.turn, &mut self.last)
        };
        if self.connected_first {
            from.remove(id);
        }
        if peers.wants_room(id) {
            into.enter(id);
        }
    }

    /// A peer is gone.
    pub(crate) fn remove(&mut self, id: PeerId) {
        self.turn.remove(id);
        self.last.remove(id);
    }

    /// Packs the message for the next peer with room. `None`: no peer has, and nothing has happened.
    #[inline(always)]
    pub(crate) fn send(&mut self, peers: &mut Peers, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> Option<PeerId> {
        if !self.adrift.is_empty() {
            return None;
        }
        self.place(peers, envelope, message)
    }

    /// Packs messages as so many calls of [`LoadBalance::send`] would, within the limits of [`pack_many`], and says how many.
    pub(crate) fn send_many(&mut self, peers: &mut Peers, lot: &mut Lot<'_>) -> usize {
        pack_many(peers, lot, |peers, lot, most| {
            // Whose turn it is alone takes as many in a row.
            let alone = self.turn.alone().filter(|_| self.adrift.is_empty());
            let in_a_row = alone.map_or_else(Tally::default, |id| peers.enqueue_packed(id, lot.packed(), most));
            if in_a_row.messages > 0 {
                return in_a_row;
            }
            lot.pack_next(|message| self.send(peers, &[], message).is_some())
        })
    }

    /// Who gets the next message.
    pub(crate) fn next(&self) -> Option<PeerId> {
        let first = self.turn.front().or_else(|| self.last.front());
        first.filter(|_| self.adrift.is_empty())
    }

    /// Takes on a message of so many bytes for the peer that is next, if it still is and nothing is queued for it; the caller
    /// writes it. `false`: nothing has happened.
    pub(crate) fn lend(&mut self, peers: &mut Peers, id: PeerId, payload: usize) -> bool {
        if self.next() != Some(id) {
            return false;
        }
        let turn = match self.turn.is_empty() {
            false => &mut self.turn,
            true => &mut self.last,
        };
        match peers.lend(id, payload) {
            Placed::WithRoom => turn.pass(),
            Placed::Last => turn.rest(),
            Placed::Refused => return false,
        }
        true
    }

    /// Takes a message that lost its peer, or never had one; [`LoadBalance::settle`] finds it another than this one, if
    /// there is another with room.
    pub(crate) fn adopt(&mut self, message: Message, of: u32, but: Option<PeerId>) {
        self.adrift.push_back(Adrift { message, of, but });
    }

    /// Sends what is adrift to the peers with room, and says which took what.
    pub(crate) fn settle(&mut self, peers: &mut Peers, mut placed: impl FnMut(&mut Peers, PeerId, u32)) {
        while let Some(adrift) = self.adrift.pop_front() {
            match self.place_elsewhere(peers, &adrift) {
                Some(id) => {
                    peers.settled(&adrift.message);
                    placed(peers, id, adrift.of);
                }
                None => {
                    self.adrift.push_front(adrift);
                    return;
                }
            }
        }
    }

    fn place_elsewhere(&mut self, peers: &mut Peers, adrift: &Adrift) -> Option<PeerId> {
        let mut message = Outgoing::from(&adrift.message);
        let Some(but) = adrift.but else {
            return self.place(peers, &[], &mut message);
        };
        // Only if it stood there: one that is about to go does not.
        let (stood, stood_last) = (self.turn.remove(but), self.last.remove(but));
        let elsewhere = self.place(peers, &[], &mut message);
        if stood {
            self.turn.enter(but);
        }
        if stood_last {
            self.last.enter(but);
        }
        elsewhere.or_else(|| self.place(peers, &[], &mut message))
    }

    /// Drops and counts what is adrift and known by this. `false`: nothing is.
    pub(crate) fn forsake(&mut self, peers: &mut Peers, of: u32, why: DropReason) -> bool {
        let Some(at) = self.adrift.iter().position(|adrift| adrift.of == of) else {
            return false;
        };
        if let Some(Adrift { message, .. }) = self.adrift.remove(at) {
            peers.drop_adrift(&message, why);
            peers.wants.push(Want::Drop(message));
        }
        true
    }

    /// Nobody will take what is adrift any more.
    pub(crate) fn abandon(&mut self, peers: &mut Peers) -> Dropped {
        let messages: Vec<_> = self.adrift.drain(..).map(|adrift| adrift.message).collect();
        for message in &messages {
            peers.drop_adrift(message, DropReason::Linger);
        }
        Dropped::messages(messages)
    }

    #[inline(always)]
    fn place(&mut self, peers: &mut Peers, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> Option<PeerId> {
        for turn in [&mut self.turn, &mut self.last] {
            while let Some(id) = turn.front() {
                match peers.enqueue(id, envelope, message) {
                    Placed::WithRoom => turn.pass(),
                    Placed::Last => turn.rest(),
                    Placed::Refused => {
                        turn.rest();
                        continue;
                    }
                }
                return Some(id);
            }
        }
        None
    }

    /// Whether a message would find a peer.
    pub(crate) fn has_room(&self) -> bool {
        self.adrift.is_empty() && !(self.turn.is_empty() && self.last.is_empty())
    }
}

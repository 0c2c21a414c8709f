//! Who gets which message: no wire syntax, no sockets, no clocks, no locks.
//!
//! | type | sends to | receives from | at every mark |
//! |---|---|---|---|
//! | PUSH, SCATTER | the peers with room, in turn | nobody | `send` waits |
//! | PULL, GATHER | nobody | all peers, in turn | reading pauses |
//! | REQ | the peers with room, in turn | the peer that was asked | `request` waits |
//! | REP | the peer that asked | all peers, in turn | `reply` is an error |
//! | DEALER, CLIENT | the peers with room, in turn | all peers, in turn | `send` waits |
//! | ROUTER, SERVER, PEER | the peer that is named | all peers, in turn | `send_to` is an error |
//! | PUB, XPUB | all whose subscriptions match | XPUB: subscriptions, in turn | drops for that peer, or as `AtMark` says |
//! | SUB, XSUB | XSUB: all | all peers, in turn | reading pauses; XSUB drops for that peer |
//! | RADIO | all that have joined the group | nobody | drops for that peer, or as `AtMark` says |
//! | DISH | nobody | all peers, in turn | reading pauses |
//! | PAIR, CHANNEL | its one peer | its one peer | `send` waits |
//! | STREAM | the peer that is named | all peers, in turn | `send_to` is an error |
//!
//! Who receives pauses at its own mark, whatever else stands here. The types of SCATTER, GATHER, CLIENT, SERVER, PEER, RADIO,
//! DISH and CHANNEL have messages of one frame. Which policies a type is made of, its file in `socket/` says:
//!
//! | policy | what it decides |
//! |---|---|
//! | [`LoadBalance`] | the next peer with room; none: who sends waits |
//! | [`FairQueue`] | the next peer that something has come of |
//! | [`FanOut`] | all that have subscribed, or joined; what becomes of those at their marks; the last values |
//! | [`Interests`] | what this side has subscribed to, and which publisher knows of it |
//! | [`Identities`] | which peer has which name, and who gets a name that is in use |
//! | [`Succession`] | who comes after whom under one name: what the one left unread is received first |

mod conflation;
mod counts;
mod dropped;
mod fair_queue;
mod fan_out;
mod identities;
mod incoming;
mod interests;
mod last_values;
mod load_balance;
mod lot;
#[cfg(test)]
mod model;
mod outgoing;
mod peer;
mod peers;
mod pool;
mod spares;
mod stage;
mod subscriptions;
mod succession;
mod timing;
mod turn;
mod wants;

pub(crate) use dropped::Dropped;
pub(crate) use fair_queue::FairQueue;
pub(crate) use fan_out::{FanOut, Matching};
pub(crate) use identities::{Identities, NameKind, NoRoute};
pub(crate) use incoming::Room;
pub(crate) use interests::{Interests, Words};
pub(crate) use load_balance::LoadBalance;
pub(crate) use lot::{Lot, MOST_OTHERS};
pub(crate) use outgoing::{Placed, Unwritten};
pub(crate) use peer::{PeerId, PeerKind};
pub(crate) use peers::Peers;
pub(crate) use pool::Pool;
pub(crate) use spares::LARGEST_SPARE;
pub(crate) use subscriptions::Change;
pub(crate) use succession::Succession;
pub(crate) use turn::Turn;
pub(crate) use wants::{Awaited, Want};

use crate::batch::{Packed, Run, Tally, weight};
use crate::explain::Topics;
use crate::identity::Identity;
use crate::message::{Message, Outgoing};
use crate::notice::Notice;
use crate::security::User;
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use std::time::Instant;

/// Who comes, and is no peer yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Comer<'a> {
    /// What it calls itself.
    pub(crate) identity: Option<&'a Identity>,
    /// Whom it was taken for.
    pub(crate) user: Option<&'a User>,
}

/// What a socket type does with messages.
///
/// Every step is a plain call with `&mut`; what it wants done outside it leaves in [`Peers::wants`].
pub(crate) trait Pattern: Send + 'static {
    const TYPE: SocketType;
    /// Whether its messages have one frame: what has several is refused on the way out, and dropped as `Malformed` on the way
    /// in.
    const ONE_FRAME: bool = false;

    /// Whether who comes has a place here now: a dialed peer, or a new one. What is refused may be let in later.
    fn admit(&self, _peers: &Peers, _dialed: Option<PeerId>, _comer: Comer<'_>) -> Result<(), NoPlace> {
        Ok(())
    }

    /// A peer has a queue: a dialed one from `connect` on, an accepted one from READY on.
    fn attached(&mut self, peers: &mut Peers, id: PeerId);

    /// Its connection is ready.
    fn connected(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// It fell to its low mark after it was found full, or a connection that ended may have left room.
    fn has_room(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// Whole messages came from it. What is left in `run` is dropped by the caller.
    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run);

    /// It tells us something, behind all messages that came before.
    fn notice(&mut self, peers: &mut Peers, id: PeerId, _notice: Notice) {
        peers.ignored(id, 1);
    }

    /// What it is to be told before its next message, after [`Peers::owe_notices`]: a part, of about so many bytes. If
    /// there is more, it is owed again.
    fn notices(&mut self, _peers: &mut Peers, _id: PeerId, _bytes: usize) -> Vec<Notice> {
        Vec::new()
    }

    /// Its connection ended; `unwritten` was not wholly written. A dialed peer keeps it, and all that is queued; what
    /// nobody is to have is dropped for the reason `why`.
    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        match peers.kind(id) {
            Some(PeerKind::Dialed) => {
                peers.put_back(id, unwritten);
                self.has_room(peers, id);
                Dropped::default()
            }
            _ => {
                // Nothing new goes to it in the moment before it is detached.
                self.leaving(peers, id);
                peers.drop_queue(id, unwritten, why)
            }
        }
    }

    /// What was subscribed to, if the type has subscriptions.
    fn topics(&self) -> Option<Topics> {
        None
    }

    /// It takes no more messages: what is queued for it still goes, and nothing is to be enqueued.
    fn leaving(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// It is down, and nobody tries to reach it any more: what is queued for it waits in vain, or is dropped next.
    fn given_up(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// It is gone.
    fn detached(&mut self, peers: &mut Peers, id: PeerId);

    /// Who gets the next message, where one peer does.
    fn next_peer(&self) -> Option<PeerId> {
        None
    }

    /// Takes on a message of so many bytes for the peer that is next, if nothing is queued for it; the caller writes it.
    /// `false`: nothing has happened.
    fn lend(&mut self, _peers: &mut Peers, _id: PeerId, _payload: usize) -> bool {
        false
    }

    /// Whether a call that waits for this would find it.
    fn is_ready(&self, awaited: Awaited) -> bool;

    /// The time has come that the pattern asked to be called at. Gives when it wants to be called next.
    fn on_alarm(&mut self, _peers: &mut Peers, _now: Instant) -> Option<Instant> {
        None
    }

    /// The socket closes, and no peer is left: drops and counts messages that have no peer.
    fn abandon(&mut self, _peers: &mut Peers) -> Dropped {
        Dropped::default()
    }
}

/// Why a peer has no place now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPlace {
    pub(crate) why: &'static str,
    /// Who has the place, and is to prove that it is alive.
    pub(crate) holder: Option<PeerId>,
}

/// A pattern that takes messages for whichever peer is next.
pub(crate) trait Sends: Pattern {
    /// Packs the message for a peer. `false`: none has room, and nothing has happened.
    fn send(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> bool;

    /// Packs messages in their order, as [`pack_many`] does, and says how many.
    fn send_many(&mut self, peers: &mut Peers, lot: &mut Lot<'_>) -> usize {
        pack_many(peers, lot, |peers, lot, _| {
            lot.pack_next(|message| self.send(peers, message))
        })
    }
}

/// A pattern that takes messages for the peer that they are addressed to.
pub(crate) trait Addressed: Pattern {
    /// What peers are addressed by.
    type Name;

    /// Packs the message for this peer. If it goes nowhere, nothing has happened.
    fn send_to(&mut self, peers: &mut Peers, to: &Self::Name, message: &mut Outgoing<'_>) -> Result<(), NoRoute>;

    /// Whether a message to this peer would be taken now.
    fn has_room_at(&self, peers: &mut Peers, to: &Self::Name) -> bool;

    /// What goes nowhere is not the sender's to know of: counts it as dropped. `false`: it is, and nothing has happened.
    fn drop_instead(&mut self, _peers: &mut Peers, _why: NoRoute, _payload: usize) -> bool {
        false
    }
}

/// A pattern that gives messages of whichever peer is next.
pub(crate) trait Receives: Pattern {
    /// Takes the next message into this place. `false`: there is none, and nothing has happened.
    fn recv(&mut self, peers: &mut Peers, into: &mut Message) -> bool;

    /// Takes the next messages, at most so many, behind those that are there, and says how many.
    fn recv_many(&mut self, peers: &mut Peers, into: &mut Vec<Message>, limit: usize) -> usize {
        let next = |_: &usize| push_next(into, |place| self.recv(peers, place));
        (0..limit).take_while(next).count()
    }
}

/// Lets this put a message behind the others, where it is to lie. `false`: there is none.
#[inline(always)]
fn push_next(into: &mut Vec<Message>, recv: impl FnOnce(&mut Message) -> bool) -> bool {
    into.push(Message::empty());
    let has_come = into.last_mut().is_some_and(recv);
    if !has_come {
        into.pop();
    }
    has_come
}

/// Packs messages in their order by steps, each of so many at most, until one takes nothing, and at most half a mark of them:
/// what is packed can then be on its way before the next would meet a full queue, as if they had been sent one by one. Says
/// how many.
#[inline(always)]
pub(crate) fn pack_many(
    peers: &mut Peers,
    lot: &mut Lot<'_>,
    mut pack: impl FnMut(&mut Peers, &mut Lot<'_>, usize) -> Tally,
) -> usize {
    let (most, most_bytes) = peers.half_a_mark();
    let mut packed = Tally::default();
    while packed.messages < most && packed.weight() <= most_bytes {
        // Only the last of so many may pass the limit, as a single one may.
        let within = 1 + (most_bytes - packed.weight()) / weight(1, Packed::LONGEST);
        let more = pack(peers, lot, within.min(most - packed.messages));
        if more.messages == 0 {
            break;
        }
        packed.add(more.messages, more.payload);
    }
    packed.messages
}

/// What becomes of the queue to a peer whose connection ended: a dialed one keeps it, `unwritten` in front; of another it
/// is dropped.
pub(crate) fn keep_or_drop(peers: &mut Peers, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
    match peers.kind(id) {
        Some(PeerKind::Dialed) => {
            peers.put_back(id, unwritten);
            Dropped::default()
        }
        _ => peers.drop_queue(id, unwritten, why),
    }
}

/// What a socket that only sends does with what comes: it counts and drops it.
pub(crate) fn discard_all(peers: &mut Peers, id: PeerId, run: &Run) {
    peers.astray(id, run.messages(), run.payload());
}

//! A hub as the engine sees it.
//!
//! Whoever calls holds at most the lock of the session that it speaks for. Nothing here waits; what is wanted outside is
//! added to the `effects` that the caller runs once it holds no lock.

use super::{Effects, Link};
use crate::batch::{Batch, Run, Tally};
use crate::failure::Failure;
use crate::limit::Limit;
use crate::monitor::Event;
use crate::notice::Notice;
use crate::options::Options;
use crate::peer_info::PeerCredentials;
use crate::routing::{PeerId, Room};
use crate::stats::DropReason;
use crate::wire::{Facts, Local};
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// A hub as the engine sees it.
pub(crate) trait Station: Send + Sync {
    /// Which socket of the context it is.
    fn key(&self) -> u64;

    /// What goes into our READY, and the limits of what comes.
    fn local(&self) -> &Arc<Local>;

    fn options(&self) -> &Arc<Options>;

    /// How long what is queued is still sent once this side ends it, as it was set last.
    fn linger(&self) -> Duration;

    /// The peer's READY is in, and what the system knows of who sent it. Decides whether it has a place here; from now on
    /// it collects and delivers.
    fn ready(
        &self,
        origin: Origin,
        credentials: Option<PeerCredentials>,
        facts: &Facts,
        link: Arc<dyn Link>,
        effects: &mut Effects,
    ) -> Result<PeerId, &'static str>;

    /// Takes off what was wholly written, and gives what is next to be written. Nothing: a flush follows when there is
    /// something.
    fn collect(&self, id: PeerId, written: Tally, spent: Vec<u8>, effects: &mut Effects) -> Collected;

    /// A message of so many bytes is to be written without having been queued: whether this peer is next, and nothing is
    /// queued for it. From then on it counts as collected.
    fn lend(&self, id: PeerId, payload: usize, effects: &mut Effects) -> bool;

    /// Bytes were written out, and with them so many whole messages since the last collect: a moment after it is not quiet.
    fn written_out(&self, id: PeerId, written: Tally, effects: &mut Effects);

    /// Takes off a part of the batch that was collected.
    fn moved(&self, id: PeerId, moved: Tally, effects: &mut Effects);

    /// Takes off a part of the batch that was collected, which cannot be written and is dropped.
    fn refused(&self, id: PeerId, refused: Tally, why: DropReason, effects: &mut Effects);

    /// The peer has something. `true`: nobody waits for it, and whoever looks for it will resume the peer. `false`: it is to
    /// be delivered.
    fn offer(&self, id: PeerId) -> bool;

    /// How much may be delivered. Nothing: a resume follows.
    fn room(&self, id: PeerId) -> Room;

    /// Takes whole messages, all of them, and tells how much more may come.
    fn deliver(&self, id: PeerId, run: &mut Run, effects: &mut Effects) -> Room;

    /// The peer tells us something, behind all that was delivered; tells how much more may come.
    fn notice(&self, id: PeerId, notice: Notice, effects: &mut Effects) -> Room;

    /// A message of so many frames and bytes was wholly written to the peer that nobody had sent: it is counted.
    fn greeted(&self, id: PeerId, frames: usize, payload: usize);

    /// A PING was answered after so long.
    fn round_trip(&self, id: PeerId, took: Duration);

    /// The time has come that was asked for. Gives when it is to come next.
    fn on_alarm(&self, now: Instant, effects: &mut Effects) -> Option<Instant>;

    /// So many commands came that mean nothing to us.
    fn ignored(&self, id: PeerId, commands: u64);

    /// The connection ended, with so many bytes of this batch written. A dialed peer stays.
    fn lost(&self, id: PeerId, batch: Option<(Batch, usize)>, failure: &Failure, effects: &mut Effects);

    /// An attempt to reach a dialed peer failed.
    fn failed(&self, id: PeerId, failure: &Failure);

    /// Somebody found no place here, and is to be resumed once one is free.
    fn await_vacancy(&self, waiting: Arc<dyn Link>);

    /// Who is to be resumed now that a peer is gone; once.
    fn take_vacancy(&self) -> Option<Arc<dyn Link>>;

    /// The peer is on its way out: it takes no more messages, and what is queued for it is still collected.
    fn retire(&self, id: PeerId, effects: &mut Effects);

    /// A dialed peer is not tried again, and stays with what is queued for it.
    fn given_up(&self, id: PeerId, effects: &mut Effects);

    /// A dialed peer is not tried again, though nobody ended it: what is queued for it, and goes to nobody else, is dropped,
    /// as that of a lost one. It is detached next.
    fn abandon(&self, id: PeerId, effects: &mut Effects);

    /// The peer is gone for good, after [`Station::lost`] if it was ready. What is still queued is dropped.
    fn detach(&self, id: PeerId, is_confirmed: bool, effects: &mut Effects);

    /// Whether the peer is on its way out.
    fn is_leaving(&self, id: PeerId) -> bool;

    /// Messages that wait to go to the peer, or are being written.
    fn outgoing(&self, id: PeerId) -> usize;

    /// Bytes of them.
    fn outgoing_bytes(&self, id: PeerId) -> usize;

    /// Whether the socket is closing or closed.
    fn is_closing(&self) -> bool;

    /// Whether it closes, and the engine had nothing more of it.
    fn is_engine_done(&self) -> bool;

    /// Whether nothing is left of it.
    fn is_closed(&self) -> bool;

    /// The socket closes: calls end, what is unread is dropped. `false`: it had begun already.
    fn begin_close(&self, effects: &mut Effects) -> bool;

    /// The engine has nothing of this socket any more.
    fn engine_done(&self, effects: &mut Effects);

    /// The loop goes: ends all links, those too that the engine does not know.
    fn expire(&self, effects: &mut Effects);

    fn tell(&self, event: Event);

    /// A connection went over a limit, and is turned away, or ends.
    fn over_limit(&self, limit: Limit);

    /// A connection that had come ended before it was ready, and was told, or not.
    fn handshake_failed(&self, is_told: bool);
}

/// What is next to be written to a peer.
#[derive(Debug)]
pub(crate) enum Collected {
    Nothing,
    /// To be told before any message.
    Notices(Vec<Notice>),
    Batch(Batch),
}

/// Which peer a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// One that was dialed.
    Dialed(PeerId),
    /// A new one, from this address.
    Accepted(Arc<str>),
}

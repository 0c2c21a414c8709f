//! Two sockets that are linked: moves what one has queued into the other.
//!
//! Whoever calls moves one way, one pass, under the link's lock; it holds one hub's lock at a time. A side that wants the
//! link to end is emptied first.
//!
//! A stream is not moved message by message: who sends only offers what it has queued, if nobody waits for it. Whoever then
//! looks for a message fetches all of it, or who sends moves it once the queue is full. Neither makes a system call.

use super::After;
use super::names::Names;
use super::way::Way;
use crate::batch::{Batch, Tally};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::hub::{Collected, Effects, Link, Origin, Pace, Station};
use crate::monitor::Event;
use crate::notice::Notice;
use crate::routing::{Dropped, PeerId};
use crate::socket_type::SocketType::{Dish, Sub, XSub};
use crate::sync::Mutex;
use crate::wire::Facts;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// A dialing socket's end.
#[derive(Clone)]
pub(super) struct End {
    pub(super) station: Arc<dyn Station>,
    pub(super) peer: PeerId,
    pub(super) endpoint: Endpoint,
    /// It is to go, and stays for what is queued.
    pub(super) is_leaving: bool,
    /// Why it was not linked, if somebody has bound the name.
    pub(super) failure: Option<Failure>,
}

impl End {
    pub(super) fn is(&self, key: u64, peer: PeerId) -> bool {
        self.station.key() == key && self.peer == peer
    }

    /// It is to go while it waits for the name: now, if nothing is queued for it. Gives whether it stays for what is.
    pub(super) fn begin_leaving(&mut self, after: &mut After) -> bool {
        self.is_leaving = true;
        self.station.retire(self.peer, &mut after.effects);
        let stays = self.station.outgoing(self.peer) > 0;
        if !stays {
            after.detach(&self.station, self.peer, false);
        }
        stays
    }
}

/// Two sockets that are linked.
pub(super) struct Pairing {
    names: Weak<Names>,
    pub(super) name: String,
    dialer: End,
    binder: Arc<dyn Station>,
    state: Mutex<Moving>,
}

#[derive(Default)]
struct Moving {
    accepted: Option<PeerId>,
    from_dialer: Way,
    from_binder: Way,
    is_over: bool,
}

impl Moving {
    fn way(&mut self, from: Side) -> &mut Way {
        match from {
            Side::Dialer => &mut self.from_dialer,
            Side::Binder => &mut self.from_binder,
        }
    }
}

/// A stream of messages larger than this is moved one by one: gathered, they lie in memory that no cache holds any more, and
/// that costs more than the locks. (Of 32 KiB: 240 thousand a second, and 210 thousand if they are left; of 8 KiB 340 thousand,
/// and 770 thousand if they are left.)
const LARGE: usize = 8 * 1024;

/// A socket's own end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Dialer,
    Binder,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::Dialer => Side::Binder,
            Side::Binder => Side::Dialer,
        }
    }
}

impl Pairing {
    /// Links two sockets, if their types speak with each other and both have a place.
    pub(super) fn join(
        names: &Arc<Names>,
        name: &str,
        dialer: &End,
        binder: &Arc<dyn Station>,
        effects: &mut Effects,
    ) -> Result<Arc<Self>, Failure> {
        let (ours, theirs) = (dialer.station.local().socket_type, binder.local().socket_type);
        if !ours.speaks_with(theirs) {
            let theirs = theirs.to_string();
            return Err(Failure::IncompatibleSocketType { ours, theirs });
        }
        let pairing = Arc::new(Pairing {
            names: Arc::downgrade(names),
            name: name.to_owned(),
            dialer: dialer.clone(),
            binder: Arc::clone(binder),
            state: Mutex::default(),
        });
        let refused = |why| Failure::Refused { why };
        let from = Origin::Accepted(dialer.endpoint.to_string().into());
        // It is this process: there is nobody to ask the system for.
        let credentials = None;
        let accepted = binder
            .ready(
                from,
                credentials,
                &facts(&dialer.station),
                pairing.half(Side::Binder),
                effects,
            )
            .map_err(refused)?;
        pairing.state.lock().accepted = Some(accepted);
        pairing.state.lock().from_dialer.is_ending = dialer.is_leaving;
        let dialed = Origin::Dialed(dialer.peer);
        let answer = dialer
            .station
            .ready(dialed, credentials, &facts(binder), pairing.half(Side::Dialer), effects);
        if let Err(why) = answer {
            pairing.state.lock().is_over = true;
            binder.detach(accepted, false, effects);
            return Err(refused(why));
        }
        greet((&dialer.station, dialer.peer), (binder, accepted), effects);
        greet((binder, accepted), (&dialer.station, dialer.peer), effects);
        Ok(pairing)
    }

    /// The first moves, of what waits at either end. Gives the side that wants the link to end, if it can end now.
    pub(super) fn begin(&self) -> Option<Side> {
        let ended = [Side::Dialer, Side::Binder].map(|side| self.pass_on(side, Effects::default()).then_some(side));
        ended.into_iter().flatten().next()
    }

    fn half(self: &Arc<Self>, side: Side) -> Arc<dyn Link> {
        let pairing = Arc::clone(self);
        Arc::new(Half { pairing, side })
    }

    pub(super) fn station(&self, side: Side) -> &Arc<dyn Station> {
        match side {
            Side::Dialer => &self.dialer.station,
            Side::Binder => &self.binder,
        }
    }

    /// As the dialing side calls it.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.dialer.endpoint
    }

    fn peer(&self, side: Side, state: &Moving) -> Option<PeerId> {
        match side {
            Side::Dialer => Some(self.dialer.peer),
            Side::Binder => state.accepted,
        }
    }

    /// On which side this peer of this socket is.
    pub(super) fn side_of(&self, key: u64, peer: PeerId) -> Option<Side> {
        let state = self.state.lock();
        [Side::Dialer, Side::Binder]
            .into_iter()
            .find(|&side| self.station(side).key() == key && self.peer(side, &state) == Some(peer))
    }

    /// The peer of a side, unless the link is over.
    pub(super) fn peer_left(&self, side: Side) -> Option<PeerId> {
        let state = self.state.lock();
        self.peer(side, &state).filter(|_| !state.is_over)
    }

    /// Which of the two sockets have turned somebody away before the link ended.
    pub(super) fn vacated(&self) -> Vec<u64> {
        let stations = [&self.dialer.station, &self.binder];
        let vacated = stations.into_iter().filter(|station| station.take_vacancy().is_some());
        vacated.map(|station| station.key()).collect()
    }

    /// Leaves what one side has queued to the other to fetch, if nobody waits for it there: of a stream that would be moved
    /// message by message, each with four locks. What is to be known before messages are sent is told at once.
    fn offer_from(&self, from: Side) -> bool {
        let state = self.state.lock();
        let giving = self.station(from);
        let (Some(giver), Some(taker)) = (self.peer(from, &state), self.peer(from.other(), &state)) else {
            return false;
        };
        let tells = matches!(giving.local().socket_type, Sub | XSub | Dish);
        let is_large = giving.outgoing_bytes(giver) > LARGE;
        !state.is_over && !tells && !is_large && self.station(from.other()).offer(taker)
    }

    /// Moves what one side has queued into the other, as far as there is room; the last of a side that wants the link to
    /// end ends it.
    pub(super) fn move_from(self: &Arc<Self>, from: Side) {
        self.move_with(from, Effects::default());
    }

    /// Moves as much, with what is known of the time.
    fn move_with(self: &Arc<Self>, from: Side, effects: Effects) {
        if self.pass_on(from, effects) {
            self.end(from, true, Failure::ClosedHere);
        }
    }

    /// Moves as much; gives whether the link is to end now.
    fn pass_on(&self, from: Side, mut effects: Effects) -> bool {
        let mut state = self.state.lock();
        self.pass(&mut state, from, &mut effects);
        let is_finished = !state.is_over
            && state.way(from).is_ending
            && self
                .peer(from, &state)
                .is_some_and(|peer| self.station(from).outgoing(peer) == 0);
        drop(state);
        effects.run();
        is_finished
    }

    fn pass(&self, state: &mut Moving, from: Side, effects: &mut Effects) {
        let (Some(giver), Some(taker)) = (self.peer(from, state), self.peer(from.other(), state)) else {
            return;
        };
        if state.is_over {
            return;
        }
        let (giving, taking) = (self.station(from), self.station(from.other()));
        let way = state.way(from);
        let (mut moved, mut spent) = (Tally::default(), Vec::new());
        loop {
            if way.pending.is_empty() && way.notices.is_empty() {
                match giving.collect(giver, std::mem::take(&mut moved), std::mem::take(&mut spent), effects) {
                    Collected::Batch(batch) => spent = way.take_over(batch),
                    Collected::Notices(notices) => way.notices = notices.into(),
                    Collected::Nothing => {
                        way.rest();
                        return;
                    }
                }
            }
            let room = taking.room(taker);
            if room.messages == 0 {
                giving.moved(giver, moved, effects);
                return;
            }
            match way.notices.pop_front() {
                Some(Notice::Ask(number)) => {
                    // All that was said before is known there: this side may as well say so itself.
                    giving.notice(giver, Notice::Answer(number), effects);
                    continue;
                }
                Some(notice) => {
                    taking.notice(taker, notice, effects);
                    continue;
                }
                None => {}
            }
            let mut part = way.pending.split_front(room.messages, room.bytes);
            moved.add(part.messages(), part.payload());
            taking.deliver(taker, &mut part, effects);
            if !part.is_empty() {
                effects.drop_later(Dropped::run(part));
            }
            if !way.pending.is_empty() {
                giving.moved(giver, std::mem::take(&mut moved), effects);
            }
        }
    }

    // -- the end

    /// A side wants the link to end: nothing new comes in there, and [`Pairing::move_from`] ends it once nothing is left.
    /// `false`: it has said so before, or the link is over.
    pub(super) fn begin_end(&self, side: Side, after: &mut After) -> bool {
        let mut state = self.state.lock();
        if state.is_over || std::mem::replace(&mut state.way(side).is_ending, true) {
            return false;
        }
        if let Some(peer) = self.peer(side, &state) {
            self.station(side).retire(peer, &mut after.effects);
        }
        true
    }

    fn end(self: &Arc<Self>, by: Side, is_confirmed: bool, failure: Failure) {
        if let Some(names) = self.names.upgrade() {
            names.end(self, by, is_confirmed, failure);
            return;
        }
        let mut after = After::default();
        if let Some(end) = self.take_apart(by, is_confirmed, &failure, &mut after) {
            after.detach(&end.station, end.peer, false);
        }
        after.run();
    }

    /// Ends the link, once: what did not move is the dialed peer's again, or is dropped. Gives a dialed peer that stays.
    pub(super) fn take_apart(&self, by: Side, is_confirmed: bool, failure: &Failure, after: &mut After) -> Option<End> {
        let over = Moving {
            is_over: true,
            ..Moving::default()
        };
        let state = std::mem::replace(&mut *self.state.lock(), over);
        if state.is_over {
            return None;
        }
        let is_leaving = state.from_dialer.is_ending;
        let mut stays = None;
        let mut unmoved = [
            (Side::Dialer, Some(self.dialer.peer), state.from_dialer.pending),
            (Side::Binder, state.accepted, state.from_binder.pending),
        ];
        if by == Side::Binder {
            unmoved.reverse();
        }
        for (side, peer, pending) in unmoved {
            let Some(peer) = peer else { continue };
            let station = self.station(side);
            let failure = if side == by {
                failure.clone()
            } else {
                Failure::ClosedByPeer
            };
            station.lost(peer, Some((pending.into_batch(), 0)), &failure, &mut after.effects);
            let event = Event::Disconnected {
                endpoint: self.dialer.endpoint.clone(),
                peer: self.dialer.endpoint.to_string(),
                failure,
                unanswered: 0,
            };
            after.tell(station, event);
            let is_left = side == Side::Dialer && by == Side::Binder;
            if is_left && (!is_leaving || station.outgoing(peer) > 0) {
                stays = Some(End {
                    is_leaving,
                    ..self.dialer.clone()
                });
            } else {
                after.detach(station, peer, is_confirmed && side == by);
            }
        }
        stays
    }
}

/// A link as one side's hub holds it.
struct Half {
    pairing: Arc<Pairing>,
    side: Side,
}

impl Link for Half {
    fn flush(&self, pace: Pace, _now: Option<Instant>) {
        if pace != Pace::Stream || !self.pairing.offer_from(self.side) {
            self.pairing.move_with(self.side, Effects::recent());
        }
    }

    fn full(&self) {
        self.pairing.move_with(self.side, Effects::recent());
    }

    fn resume(&self) {
        self.pairing.move_from(self.side.other());
    }

    fn sever(&self, failure: Failure) {
        self.pairing.end(self.side, false, failure);
    }

    fn challenge(&self) {}
}

/// The message that one side sends before all others, if there is one.
fn greet(from: (&Arc<dyn Station>, PeerId), to: (&Arc<dyn Station>, PeerId), effects: &mut Effects) {
    if let Some(hello) = &from.0.options().in_band.hello {
        let mut run = Batch::of(hello.clone()).into_run();
        to.0.deliver(to.1, &mut run, effects);
        from.0.greeted(from.1, hello.frame_count(), hello.byte_count());
    }
}

fn facts(station: &Arc<dyn Station>) -> Facts {
    let local = station.local();
    Facts {
        socket_type: local.socket_type,
        identity: local.identity.clone(),
        version: (3, 1),
        metadata: local.metadata.clone(),
        user: None,
    }
}

//! What a REQ does with messages: which request went where, and whose the replies are.

use super::asked::{Again, Asked, Copy, Outcome};
use crate::batch::Run;
use crate::message::{Message, Outgoing};
use crate::options::{Options, Retry};
use crate::routing::{Awaited, Dropped, LoadBalance, Pattern, PeerId, PeerKind, Peers, Unwritten, Want};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

pub(crate) struct ReqPattern {
    out: LoadBalance,
    correlate: bool,
    relaxed: bool,
    retry: Option<Retry>,
    /// When the loop looks for requests that are to be sent again; `None`: it does not. Not later than the first of `due`.
    alarm: Option<Instant>,
    probe: bool,
    next_id: u32,
    /// Requests whose callers wait, by id: one a caller.
    asked: BTreeMap<u32, Box<Asked>>,
    /// When which of them is looked after next: one entry for each that may be sent again, from when its caller waits.
    due: BTreeSet<(Instant, u32)>,
}

impl ReqPattern {
    /// `first_id` is chosen by chance, so that a reply to an earlier socket is not taken for one to this.
    pub(crate) fn new(options: &Options, first_id: u32) -> Self {
        ReqPattern {
            out: LoadBalance::new(options.connected_first),
            correlate: options.correlate,
            relaxed: options.relaxed,
            retry: options.retry,
            alarm: None,
            probe: options.probe,
            next_id: first_id,
            asked: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// Sends a request to the next peer with room, and remembers it.
    pub(crate) fn ask(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> Option<u32> {
        if !self.out.has_room() || !self.is_free() {
            return None;
        }
        while self.asked.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        let bytes = id.to_be_bytes();
        let envelope: &[&[u8]] = if self.correlate { &[&bytes, b""] } else { &[b""] };
        let (peer, again) = match self.retry {
            None => (self.out.send(peers, envelope, message)?, None),
            Some(retry) => {
                let whole = message.share(envelope);
                let peer = self.out.send(peers, &[], &mut Outgoing::from(&whole))?;
                (peer, Some(Again::new(whole, retry)))
            }
        };
        if !self.correlate {
            self.abandon_pending(peers);
        }
        self.next_id = id.wrapping_add(1);
        let place = peers.accepted(peer);
        let asked = Asked::new(Copy { peer, place }, again);
        self.asked.insert(id, Box::new(asked));
        Some(id)
    }

    /// A request was sent just now: gives when the loop is to look whether it has its reply, unless it looks before.
    pub(crate) fn begin_waiting(&mut self, id: u32, now: Instant) -> Option<Instant> {
        self.schedule(id, now);
        let &(due, _) = self.due.first()?;
        if self.alarm.is_some_and(|alarm| alarm <= due) {
            return None;
        }
        self.alarm = Some(due);
        self.alarm
    }

    /// What became of a request, once: it is over then.
    pub(crate) fn take(&mut self, peers: &mut Peers, id: u32) -> Option<Outcome> {
        match self.asked.get(&id) {
            Some(asked) if asked.outcome.is_none() => None,
            Some(_) => self.forget(peers, id),
            None => Some(Outcome::PeerLost),
        }
    }

    /// Its caller waits no more. What is not on its way of it is taken back.
    pub(crate) fn forget(&mut self, peers: &mut Peers, id: u32) -> Option<Outcome> {
        let mut asked = self.asked.remove(&id)?;
        unschedule(&mut self.due, &mut asked, id);
        if asked.is_adrift && self.out.forsake(peers, id, DropReason::Abandoned) {
            peers.wants.push(Want::Ready(Awaited::Writable));
        }
        self.drop_unsent(peers, asked.give_up());
        if !self.correlate {
            peers.wants.push(Want::Ready(Awaited::Writable));
        }
        asked.outcome
    }

    /// Whether a request may be sent as far as the others are concerned.
    fn is_free(&self) -> bool {
        self.correlate || self.relaxed || self.asked.is_empty()
    }

    /// Without ids the reply is to the one that waits for it.
    fn pending(&self) -> Option<u32> {
        let mut pending = self.asked.iter().filter(|(_, asked)| asked.outcome.is_none());
        pending.next().map(|(&id, _)| id)
    }

    fn abandon_pending(&mut self, peers: &mut Peers) {
        if let Some(id) = self.pending()
            && let Some(asked) = self.asked.get_mut(&id)
        {
            asked.outcome = Some(Outcome::Abandoned);
            peers.wants.push(Want::Ready(Awaited::Reply(id)));
            let copies = asked.give_up();
            self.drop_unsent(peers, copies);
        }
    }

    /// Drops what is not on its way of a request that nobody waits for.
    fn drop_unsent(&mut self, peers: &mut Peers, copies: impl Iterator<Item = Copy>) {
        for Copy { peer, place } in copies {
            if let Some(left) = peers.drop_at(peer, place, DropReason::Abandoned) {
                for other in self.asked.values_mut() {
                    other.shift(peer, left, place);
                }
            }
        }
    }

    // -- where they are

    /// Sends what has no peer to those with room.
    fn settle(&mut self, peers: &mut Peers) {
        let asked = &mut self.asked;
        let mut settled = Vec::new();
        self.out.settle(peers, |peers, peer, id| {
            let place = peers.accepted(peer);
            if let Some(asked) = asked.get_mut(&id) {
                asked.placed(Copy { peer, place });
                settled.push(id);
            }
        });
        let Some(now) = peers.now() else { return };
        for id in settled {
            self.schedule(id, now);
        }
    }

    /// Takes all that this peer was not given: those requests have no peer until they are settled. What nobody waits for
    /// goes nowhere.
    fn take_back(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten) {
        self.out.remove(id);
        let first = peers.left(id) + 1;
        let mut owners = BTreeMap::new();
        for (&request, asked) in &mut self.asked {
            owners.extend(asked.take_back(id, first).into_iter().map(|place| (place, request)));
        }
        for (place, message) in (first..).zip(peers.take_back(id, unwritten)) {
            let owner = owners.get(&place).copied();
            let asked = owner.and_then(|request| Some((request, self.asked.get_mut(&request)?)));
            match asked {
                Some((request, asked)) if asked.outcome.is_none() && !asked.is_adrift => {
                    asked.is_adrift = true;
                    self.out.adopt(message, request, None);
                }
                _ => {
                    let why = match is_request(&message) {
                        true => DropReason::Abandoned,
                        false => DropReason::PeerLost,
                    };
                    peers.drop_adrift(&message, why);
                    peers.wants.push(Want::Drop(message));
                }
            }
        }
    }

    /// Requests to this peer that it cannot answer any more: each is sent again, if it may be, or is lost.
    fn lose(&mut self, peers: &mut Peers, id: PeerId, is_lost: impl Fn(u64) -> bool) {
        let mut again = Vec::new();
        for (&request, asked) in &mut self.asked {
            if !asked.is_with(id) {
                continue;
            }
            let was_latest = asked.lose(id, &is_lost);
            if asked.outcome.is_some() {
                continue;
            }
            if was_latest && !asked.is_adrift && asked.again.as_ref().is_some_and(|again| again.left > 0) {
                again.push(request);
            } else if asked.is_hopeless() {
                asked.outcome = Some(Outcome::PeerLost);
                peers.wants.push(Want::Ready(Awaited::Reply(request)));
            }
        }
        for request in again {
            self.send_again(peers, request, Some(id));
        }
    }

    // -- once more

    /// Makes another copy, for somebody else than this peer if there is one; [`ReqPattern::settle`] sends it.
    fn send_again(&mut self, peers: &mut Peers, id: u32, but: Option<PeerId>) {
        if let Some(asked) = self.asked.get_mut(&id)
            && !asked.is_adrift
            && let Some(again) = asked.again.as_mut().filter(|again| again.left > 0)
        {
            again.left -= 1;
            asked.is_adrift = true;
            peers.retried();
            peers.set_adrift(&again.message);
            self.out.adopt(again.message.clone(), id, but);
        }
    }

    /// The time until it is sent again begins now, if it may be.
    fn schedule(&mut self, id: u32, now: Instant) {
        let Some(asked) = self.asked.get_mut(&id) else { return };
        unschedule(&mut self.due, asked, id);
        if let Some(again) = asked.again.as_mut().filter(|again| again.left > 0)
            && let Some(due) = now.checked_add(again.retry.after)
        {
            again.due = Some(due);
            self.due.insert((due, id));
        }
    }
}

fn unschedule(all: &mut BTreeSet<(Instant, u32)>, asked: &mut Asked, id: u32) {
    if let Some(due) = asked.again.as_mut().and_then(|again| again.due.take()) {
        all.remove(&(due, id));
    }
}

impl Pattern for ReqPattern {
    const TYPE: SocketType = SocketType::Req;

    fn attached(&mut self, peers: &mut Peers, id: PeerId) {
        self.has_room(peers, id);
    }

    fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        // What was dropped because another peer came back in its place is lost.
        let left = peers.left(id);
        self.lose(peers, id, |place| place <= left);
        // What waits for a peer that was lost need not wait any more.
        let lost: Vec<_> = peers.ids().into_iter().filter(|&other| peers.was_lost(other)).collect();
        for &other in &lost {
            self.take_back(peers, other, Unwritten::new());
        }
        if self.probe {
            peers.probe(id);
        }
        self.has_room(peers, id);
        for other in lost {
            self.has_room(peers, other);
        }
    }

    fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.enter(peers, id);
        self.settle(peers);
    }

    /// Each reply goes to its request; what is awaited by nobody is dropped and counted.
    fn deliver(&mut self, peers: &mut Peers, id: PeerId, run: &mut Run) {
        while let Some(message) = run.pop() {
            let size = message.byte_count();
            let is_reply = |asked: &&mut Box<Asked>| asked.outcome.is_none() && asked.is_with(id);
            let why = match envelope(&message, self.correlate) {
                None => DropReason::Malformed,
                Some((said, skip)) => {
                    let request = said.or_else(|| self.pending());
                    let asked = request.and_then(|request| Some((request, self.asked.get_mut(&request)?)));
                    if let Some((request, asked)) = asked.filter(|(_, asked)| is_reply(asked)) {
                        peers.more_frames(id, message.frame_count() - 1);
                        let body = Message::split_off(&mut message.into_frames(), skip);
                        asked.outcome = Some(Outcome::Replied(body));
                        peers.hand_over(id, size);
                        peers.wants.push(Want::Ready(Awaited::Reply(request)));
                        continue;
                    }
                    DropReason::StaleReply
                }
            };
            peers.discard(id, 1, size, why);
            peers.wants.push(Want::Drop(message));
        }
    }

    /// What was written is lost with the peer; what was not goes to the next, now or when one comes, and back to a
    /// dialed one only if there is no other.
    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, _why: DropReason) -> Dropped {
        self.out.remove(id);
        let left = peers.left(id);
        self.lose(peers, id, |place| place <= left);
        self.take_back(peers, id, unwritten);
        self.settle(peers);
        if peers.kind(id) == Some(PeerKind::Dialed) {
            self.has_room(peers, id);
        }
        Dropped::default()
    }

    fn leaving(&mut self, _peers: &mut Peers, id: PeerId) {
        self.out.remove(id);
    }

    /// What waits for it goes to the next, as that of a lost one, and nothing more to it.
    fn given_up(&mut self, peers: &mut Peers, id: PeerId) {
        peers.retire(id);
        self.take_back(peers, id, Unwritten::new());
        self.settle(peers);
    }

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.remove(id);
        self.lose(peers, id, |_| true);
        self.settle(peers);
    }

    /// Sends what has waited long enough for its reply again.
    fn on_alarm(&mut self, peers: &mut Peers, now: Instant) -> Option<Instant> {
        peers.clock(now);
        while let Some(&(due, id)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            if let Some(asked) = self.asked.get(&id).filter(|asked| asked.outcome.is_none()) {
                let latest = asked.latest();
                self.send_again(peers, id, latest);
                self.schedule(id, now);
            }
        }
        self.settle(peers);
        self.alarm = self.due.first().map(|&(due, _)| due);
        self.alarm
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Writable => self.out.has_room() && self.is_free(),
            Awaited::Reply(id) => self.asked.get(&id).is_none_or(|asked| asked.outcome.is_some()),
            _ => false,
        }
    }

    fn abandon(&mut self, peers: &mut Peers) -> Dropped {
        self.out.abandon(peers)
    }
}

/// The id that a reply carries, and where its body begins. `None`: it is none.
fn envelope(message: &Message, has_id: bool) -> Option<(Option<u32>, usize)> {
    let (id, skip) = match has_id {
        true => (Some(u32::from_be_bytes(message.first().try_into().ok()?)), 2),
        false => (None, 1),
    };
    let is_whole = message.frame(skip - 1)?.is_empty() && message.frame_count() > skip;
    is_whole.then_some((id, skip))
}

/// A request has an envelope and a body; a probe is for one connection, and nobody waits for its reply.
fn is_request(message: &Message) -> bool {
    message.frame_count() > 1
}

#[cfg(all(test, not(loom)))]
mod tests;

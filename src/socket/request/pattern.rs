//! What REQ does with messages: which request went to whom, and what became of it.

use crate::batch::Run;
use crate::error::RequestError;
use crate::message::{Message, Outgoing};
use crate::options::{Options, Retry};
use crate::routing::{Awaited, Dropped, LoadBalance, Pattern, PeerId, PeerKind, Peers, Unwritten, Want};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use std::collections::BTreeMap;
use std::time::Instant;

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Replied(Message),
    PeerLost,
    /// A later request took its place.
    Abandoned,
}

impl From<Outcome> for Result<Message, RequestError> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Replied(message) => Ok(message),
            Outcome::PeerLost => Err(RequestError::PeerLost),
            Outcome::Abandoned => Err(RequestError::Abandoned),
        }
    }
}

pub(crate) struct ReqPattern {
    out: LoadBalance,
    correlate: bool,
    /// A new request takes the place of one that waits, where only one can.
    is_relaxed: bool,
    retry: Option<Retry>,
    /// When the loop looks for requests that are to be sent again; `None`: it does not.
    alarm: Option<Instant>,
    probe: bool,
    next_id: u32,
    /// Requests whose callers wait, by id: one a caller.
    asked: BTreeMap<u32, Asked>,
}

/// A request whose caller waits.
struct Asked {
    /// Whoever was asked, and can still answer: one, or with retry as many as were.
    copies: Vec<Sent>,
    outcome: Option<Outcome>,
    /// How it is sent again.
    again: Option<Again>,
}

/// One time that a request was sent.
struct Sent {
    /// `None`: it has no peer now.
    peer: Option<PeerId>,
    /// Which of the messages to that peer it is, counted from 1.
    place: u64,
}

/// What it takes to send a request again.
struct Again {
    /// With its envelope.
    message: Message,
    /// How many times more.
    left: u32,
    /// When, if no reply comes before.
    due: Option<Instant>,
}

impl Asked {
    fn is_open(&self) -> bool {
        self.outcome.is_none()
    }
}

impl ReqPattern {
    /// `first_id` is chosen by chance, so that a reply to an earlier socket is not taken for one to this.
    pub(crate) fn new(options: &Options, first_id: u32) -> Self {
        ReqPattern {
            out: LoadBalance::new(options.connected_first),
            correlate: options.correlate,
            is_relaxed: options.relaxed,
            retry: options.retry,
            alarm: None,
            probe: options.probe,
            next_id: first_id,
            asked: BTreeMap::new(),
        }
    }

    /// Sends a request to the next peer with room, and remembers it.
    pub(crate) fn ask(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> Option<u32> {
        if !self.correlate && !self.is_relaxed && self.asked.values().any(Asked::is_open) {
            return None;
        }
        while self.asked.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        let bytes = id.to_be_bytes();
        let envelope: &[&[u8]] = if self.correlate { &[&bytes, b""] } else { &[b""] };
        let peer = self.out.send(peers, envelope, message)?;
        self.next_id = id.wrapping_add(1);
        if !self.correlate {
            self.abandon_all(peers);
        }
        let copy = Sent {
            peer: Some(peer),
            place: peers.accepted(peer),
        };
        let asked = Asked {
            copies: vec![copy],
            outcome: None,
            again: self.retry.map(|retry| Again {
                message: message.share(envelope),
                left: retry.times,
                due: None,
            }),
        };
        self.asked.insert(id, asked);
        Some(id)
    }

    /// A request was sent just now: gives when the loop is to look whether it has its reply, unless it looks before.
    pub(crate) fn begin_waiting(&mut self, id: u32, now: Instant) -> Option<Instant> {
        let due = now.checked_add(self.retry?.after)?;
        self.asked.get_mut(&id)?.again.as_mut()?.due = Some(due);
        if self.alarm.is_some_and(|alarm| alarm <= due) {
            return None;
        }
        self.alarm = Some(due);
        self.alarm
    }

    /// Those that wait give way to a new one.
    fn abandon_all(&mut self, peers: &mut Peers) {
        for (&id, asked) in self.asked.iter_mut().filter(|(_, asked)| asked.is_open()) {
            asked.outcome = Some(Outcome::Abandoned);
            peers.wants.push(Want::Ready(Awaited::Reply(id)));
        }
    }

    /// Sends a request again, if it may be: to the next peer that has room, now or once there is one.
    fn send_again(out: &mut LoadBalance, asked: &mut Asked, peers: &mut Peers) -> bool {
        let Some(again) = asked.again.as_mut().filter(|again| again.left > 0) else {
            return false;
        };
        again.left -= 1;
        peers.retried();
        asked.copies.push(Sent { peer: None, place: 0 });
        peers.set_adrift(&again.message);
        out.adopt(vec![again.message.clone()]);
        true
    }

    pub(crate) fn take(&mut self, id: u32) -> Option<Outcome> {
        match self.asked.get_mut(&id) {
            Some(asked) => asked.outcome.take(),
            None => Some(Outcome::PeerLost),
        }
    }

    pub(crate) fn forget(&mut self, peers: &mut Peers, id: u32) -> Option<Outcome> {
        let asked = self.asked.remove(&id);
        if !self.correlate {
            peers.wants.push(Want::Ready(Awaited::Writable));
        }
        asked.and_then(|asked| asked.outcome)
    }

    /// The request that a message belongs to, and its place among the frames.
    fn id_of(&self, message: &Message) -> Option<(u32, usize)> {
        if !self.correlate {
            let (&id, _) = self.asked.iter().find(|(_, asked)| asked.is_open())?;
            return message.first().is_empty().then_some((id, 1));
        }
        let id = u32::from_be_bytes(message.first().try_into().ok()?);
        (message.frame(1)?.is_empty()).then_some((id, 2))
    }

    fn settle(&mut self, peers: &mut Peers) {
        let mut placed = Vec::new();
        self.out.settle(peers, |peers, peer, message| {
            placed.push((peer, peers.accepted(peer), message.clone()))
        });
        for (peer, place, message) in placed {
            if let Some((id, _)) = self.id_of(&message)
                && let Some(asked) = self.asked.get_mut(&id)
                && let Some(copy) = asked.copies.iter_mut().find(|copy| copy.peer.is_none())
            {
                copy.peer = Some(peer);
                copy.place = place;
            }
        }
    }

    /// Takes all that this peer was not given: those requests have no peer until they are settled.
    fn take_back(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten) {
        self.out.remove(id);
        let (requests, probes) = peers.take_back(id, unwritten).into_iter().partition(is_request);
        self.out.adopt(requests);
        for probe in probes as Vec<Message> {
            peers.drop_adrift(&probe, DropReason::PeerLost);
        }
        for asked in self.asked.values_mut().filter(|asked| asked.is_open()) {
            for copy in asked.copies.iter_mut().filter(|copy| copy.peer == Some(id)) {
                copy.peer = None;
            }
        }
    }

    /// Requests to this peer that it cannot answer any more.
    fn lose(&mut self, peers: &mut Peers, id: PeerId, is_lost: impl Fn(&Sent) -> bool) {
        for (&request, asked) in self.asked.iter_mut().filter(|(_, asked)| asked.is_open()) {
            let before = asked.copies.len();
            asked.copies.retain(|copy| copy.peer != Some(id) || !is_lost(copy));
            let has_lost_all = asked.copies.len() < before && asked.copies.is_empty();
            if has_lost_all && !Self::send_again(&mut self.out, asked, peers) {
                asked.outcome = Some(Outcome::PeerLost);
                peers.wants.push(Want::Ready(Awaited::Reply(request)));
            }
        }
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
        self.lose(peers, id, |copy| copy.place <= left);
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
            let Some((request, skip)) = self.id_of(&message) else {
                peers.discard(id, 1, size, DropReason::Malformed);
                peers.wants.push(Want::Drop(message));
                continue;
            };
            match self.asked.get_mut(&request) {
                Some(asked)
                    if asked.is_open()
                        && asked.copies.iter().any(|copy| copy.peer == Some(id))
                        && message.frame_count() > skip =>
                {
                    peers.more_frames(id, message.frame_count() - 1);
                    let body = message.into_frames().split_off(skip);
                    asked.outcome = Some(Outcome::Replied(Message::many(body)));
                    peers.hand_over(id, size);
                    peers.wants.push(Want::Ready(Awaited::Reply(request)));
                }
                _ => {
                    peers.discard(id, 1, size, DropReason::StaleReply);
                    peers.wants.push(Want::Drop(message));
                }
            }
        }
    }

    /// What was written is lost with the peer; what was not goes to the next, now or when one comes, and back to a
    /// dialed one only if there is no other.
    fn disconnected(&mut self, peers: &mut Peers, id: PeerId, unwritten: Unwritten, _why: DropReason) -> Dropped {
        let left = peers.left(id);
        self.lose(peers, id, |copy| copy.place <= left);
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

    fn detached(&mut self, peers: &mut Peers, id: PeerId) {
        self.out.remove(id);
        self.lose(peers, id, |_| true);
        self.settle(peers);
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Writable => {
                let is_free = self.correlate || self.is_relaxed || !self.asked.values().any(Asked::is_open);
                is_free && self.out.has_room()
            }
            Awaited::Reply(id) => self.asked.get(&id).is_none_or(|asked| asked.outcome.is_some()),
            _ => false,
        }
    }

    /// Sends what has waited long enough for its reply again.
    fn on_alarm(&mut self, peers: &mut Peers, now: Instant) -> Option<Instant> {
        let after = self.retry?.after;
        let mut next: Option<Instant> = None;
        for asked in self.asked.values_mut().filter(|asked| asked.is_open()) {
            let Some(due) = asked.again.as_ref().and_then(|again| again.due) else {
                continue;
            };
            if due <= now {
                Self::send_again(&mut self.out, asked, peers);
            }
            if let Some(again) = &mut asked.again {
                if due <= now {
                    again.due = now.checked_add(after).filter(|_| again.left > 0);
                }
                next = again
                    .due
                    .map_or(next, |due| Some(next.map_or(due, |next| next.min(due))));
            }
        }
        self.settle(peers);
        self.alarm = next;
        next
    }

    fn abandon(&mut self, peers: &mut Peers) -> Dropped {
        self.out.abandon(peers)
    }
}

/// A request has an envelope and a body; a probe is for one connection, and nobody waits for its reply.
fn is_request(message: &Message) -> bool {
    message.frame_count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Tally;
    use crate::options::Mark;

    fn accepted(pattern: &mut ReqPattern, peers: &mut Peers) -> PeerId {
        let id = peers.attach(PeerKind::Accepted, "from somewhere".into());
        pattern.attached(peers, id);
        drop(peers.connected(id, None));
        pattern.connected(peers, id);
        id
    }

    #[test]
    fn a_probe_goes_with_its_peer_and_is_taken_for_no_request() {
        let mark = Mark {
            messages: 8,
            bytes: 1 << 20,
        };
        let mut peers = Peers::new(mark, mark);
        let mut pattern = ReqPattern::new(&Options::default().correlate(false).probe(true), 7);
        let first = accepted(&mut pattern, &mut peers);
        let asked = pattern.ask(&mut peers, &mut "question".into()).unwrap();
        assert_eq!(peers.outgoing(first), 2, "the probe is before the request");

        let (unwritten, _) = peers.disconnected(first, None, "lost".into());
        drop(pattern.disconnected(&mut peers, first, unwritten, DropReason::PeerLost));
        pattern.detached(&mut peers, first);
        peers.detach(first);
        assert!(peers.stats().out.is_conserved());
        assert_eq!(peers.stats().out.dropped.of(DropReason::PeerLost), 1);

        let second = accepted(&mut pattern, &mut peers);
        assert_eq!(peers.outgoing(second), 2, "its own probe, and the request");
        assert!(pattern.take(asked).is_none(), "it is neither answered nor lost");
    }

    #[test]
    fn a_request_that_was_not_written_outlives_its_peer_until_the_next_one_comes() {
        let mark = Mark {
            messages: 8,
            bytes: 1 << 20,
        };
        let mut peers = Peers::new(mark, mark);
        let mut pattern = ReqPattern::new(&Options::default(), 7);
        let first = accepted(&mut pattern, &mut peers);
        let asked = pattern.ask(&mut peers, &mut "question".into()).unwrap();

        let (unwritten, _) = peers.disconnected(first, None, "lost".into());
        drop(pattern.disconnected(&mut peers, first, unwritten, DropReason::PeerLost));
        pattern.detached(&mut peers, first);
        peers.detach(first);

        assert!(pattern.take(asked).is_none(), "it is neither answered nor lost");
        let second = accepted(&mut pattern, &mut peers);
        let batch = peers.collect(second, Tally::default(), Vec::new()).unwrap();
        let mut run = batch.into_run();
        pattern.deliver(&mut peers, second, &mut run);
        assert!(matches!(pattern.take(asked), Some(Outcome::Replied(message)) if message == "question"));
        assert!(peers.stats().out.is_conserved());
    }
}

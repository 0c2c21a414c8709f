//! REQ: requests to the peers with room, in turn, and the reply of the one that was asked
//! ([RFC 28](https://rfc.zeromq.org/spec/28/)).

use super::verbs::{constructors, socket_verbs};
use super::{Patience, Socket, not_sent};
use crate::batch::Run;
use crate::error::{NotSent, RequestError, SendError};
use crate::hub::{Closed, Hub, Stop, deadline};
use crate::message::{Message, Outgoing};
use crate::options::Options;
use crate::routing::{Awaited, Dropped, LoadBalance, Pattern, PeerId, PeerKind, Peers, Unwritten, Want};
use crate::socket_type::SocketType;
use crate::stats::DropReason;
use crate::transport::real::chance;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Sends requests to [`Rep`](crate::Rep) sockets, each to one of them in turn, and waits for their replies
/// ([RFC 28](https://rfc.zeromq.org/spec/28/)).
///
/// May be called from several threads at once: each request carries an id in its envelope that its reply carries too
/// (libzmq's REP and ours echo it), so each caller gets its own reply. A reply counts only if it comes from the peer
/// that was asked; one that comes too late is dropped as `StaleReply`. If the peer is lost after the request was
/// written, the call fails with `PeerLost`; if it was not written yet, it goes to the next peer.
///
/// ```
/// use peermq::{Context, Rep, Req, RequestError};
/// use std::time::Duration;
///
/// let context = Context::new()?;
/// let (req, rep) = (Req::new(&context), Rep::new(&context));
/// req.connect(rep.bind("inproc://questions")?)?;
/// let unheard = req.request_timeout("hello?", Duration::from_millis(1)).unwrap_err();
/// assert!(matches!(unheard, RequestError::TimedOut));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Req {
    socket: Socket<ReqPattern>,
}

constructors!(Req, |options: &Options| ReqPattern::new(options, chance() as u32));
socket_verbs!(Req);

impl Req {
    /// Sends a request and waits for its reply, without a limit; also while no peer has room, or there is none.
    ///
    /// Who waits drives the loop if nobody else does. Fails with `PeerLost` if the peer that has it goes, with `Closed`
    /// once the socket is closed, and with `NotSent` if it was not sent at all, which gives back what was given away.
    pub fn request<'m>(&self, message: impl Into<Outgoing<'m>>) -> Result<Message, RequestError> {
        self.ask(message.into(), Patience::Limit(None))
    }

    /// Sends a request and waits for its reply, both together at most this long.
    ///
    /// Fails with `NotSent` (`TimedOut`) if no peer had room in time, with `TimedOut` if it was queued for one and no reply
    /// came, and like [`request`](Req::request). A peer that was connected to has room although nobody is there yet: such a
    /// request is not taken back, and is sent once somebody is.
    pub fn request_timeout<'m>(
        &self,
        message: impl Into<Outgoing<'m>>,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        self.ask(message.into(), Patience::Limit(Some(timeout)))
    }

    /// Sends a request and waits for its reply, as a future of no runtime's own. Dropped before it is ready, it forgets
    /// the request: it may be served all the same, and a reply that comes is dropped as `StaleReply`.
    pub async fn request_async<'m>(&self, message: impl Into<Outgoing<'m>>) -> Result<Message, RequestError> {
        let mut message = message.into();
        let hub = &self.socket.hub;
        message.copy_large_lent(|frame| self.socket.core.copies.copy(frame));
        let step = |pattern: &mut ReqPattern, peers: &mut Peers| pattern.ask(peers, &mut message);
        let asked = hub.pending(Awaited::Writable, step).await;
        let asked = match asked {
            Ok(id) => Asking { hub, id },
            Err(Closed) => return Err(refused(NotSent::Closed, message)),
        };
        let id = asked.id;
        match hub
            .pending(Awaited::Reply(id), move |pattern, _| pattern.take(id))
            .await
        {
            Ok(outcome) => outcome.into(),
            Err(Closed) => Err(RequestError::Closed),
        }
    }

    fn ask(&self, mut message: Outgoing<'_>, patience: Patience) -> Result<Message, RequestError> {
        let hub = &self.socket.hub;
        let until = match patience {
            Patience::None => return Err(refused(NotSent::WouldBlock, message)),
            Patience::Limit(limit) => deadline(&**hub.drive(), limit),
        };
        if let Err(why) = hub.drive().may_wait() {
            return Err(refused(not_sent(Stop::CannotWait(why)), message));
        }
        message.copy_large_lent(|frame| self.socket.core.copies.copy(frame));
        let mut step = |pattern: &mut ReqPattern, peers: &mut Peers| pattern.ask(peers, &mut message);
        let id = match hub.attempt(Awaited::Writable, &mut step) {
            Poll::Ready(Ok(id)) => id,
            Poll::Ready(Err(Closed)) => return Err(refused(NotSent::Closed, message)),
            Poll::Pending => match hub.wait(Awaited::Writable, until, &mut step) {
                Ok(id) => id,
                Err(stop) => return Err(refused(not_sent(stop), message)),
            },
        };
        let asked = Asking { hub, id };
        match hub.wait(Awaited::Reply(id), until, |pattern, _| pattern.take(asked.id)) {
            Ok(outcome) => outcome.into(),
            Err(Stop::TimedOut) => Err(RequestError::TimedOut),
            Err(_) => Err(RequestError::Closed),
        }
    }
}

fn refused(reason: NotSent, message: Outgoing<'_>) -> RequestError {
    RequestError::NotSent(SendError {
        reason,
        message: message.give_back(),
    })
}

/// A request that was sent; forgotten when nobody waits for its reply any more.
struct Asking<'a> {
    hub: &'a Arc<Hub<ReqPattern>>,
    id: u32,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let id = self.id;
        let forgotten = self.hub.act(|pattern, peers| pattern.forget(peers, id));
        drop(forgotten);
    }
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Replied(Message),
    PeerLost,
}

impl From<Outcome> for Result<Message, RequestError> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Replied(message) => Ok(message),
            Outcome::PeerLost => Err(RequestError::PeerLost),
        }
    }
}

pub(crate) struct ReqPattern {
    out: LoadBalance,
    correlate: bool,
    probe: bool,
    next_id: u32,
    /// Requests whose callers wait, by id: one a caller.
    asked: BTreeMap<u32, Asked>,
}

/// A request whose caller waits.
struct Asked {
    /// `None`: it has no peer now.
    peer: Option<PeerId>,
    /// Which of the messages to that peer it is, counted from 1.
    place: u64,
    outcome: Option<Outcome>,
}

impl ReqPattern {
    /// `first_id` is chosen by chance, so that a reply to an earlier socket is not taken for one to this.
    pub(crate) fn new(options: &Options, first_id: u32) -> Self {
        ReqPattern {
            out: LoadBalance::new(options.connected_first),
            correlate: options.correlate,
            probe: options.probe,
            next_id: first_id,
            asked: BTreeMap::new(),
        }
    }

    /// Sends a request to the next peer with room, and remembers it.
    pub(crate) fn ask(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) -> Option<u32> {
        if !self.correlate && !self.asked.is_empty() {
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
        let asked = Asked {
            peer: Some(peer),
            place: peers.accepted(peer),
            outcome: None,
        };
        self.asked.insert(id, asked);
        Some(id)
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
            let (&id, _) = self.asked.first_key_value()?;
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
            {
                asked.peer = Some(peer);
                asked.place = place;
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
        for asked in self.asked.values_mut() {
            if asked.peer == Some(id) && asked.outcome.is_none() {
                asked.peer = None;
            }
        }
    }

    /// Requests to this peer that it cannot answer any more.
    fn lose(&mut self, peers: &mut Peers, id: PeerId, is_lost: impl Fn(&Asked) -> bool) {
        for (&request, asked) in &mut self.asked {
            if asked.peer == Some(id) && asked.outcome.is_none() && is_lost(asked) {
                asked.outcome = Some(Outcome::PeerLost);
                asked.peer = None;
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
        self.lose(peers, id, |asked| asked.place <= left);
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
                Some(asked) if asked.peer == Some(id) && asked.outcome.is_none() && message.frame_count() > skip => {
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
        self.lose(peers, id, |asked| asked.place <= left);
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
    }

    fn is_ready(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Writable => self.out.has_room() && (self.correlate || self.asked.is_empty()),
            Awaited::Reply(id) => self.asked.get(&id).is_none_or(|asked| asked.outcome.is_some()),
            _ => false,
        }
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

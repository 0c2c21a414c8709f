//! The peers of one socket, each with two queues and their marks.
//!
//! A mark counts all that is queued, also what a connection is writing. A peer at its mark is full, and wanted again at
//! half of it. Every message is in one place and in one count: what was taken on is passed on, dropped, or here.

use super::wants::Wants;
use crate::batch::{Batch, Run, Tally};
use crate::identity::Identity;
use crate::message::{Message, Outgoing};
use crate::options::Mark;
use crate::stats::{DropReason, Flow, PeerStats, SocketStats};
use bytes::Bytes;
use slab::Slab;
use std::collections::VecDeque;

/// The other end as routing sees it; never the same for two peers of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PeerId {
    index: usize,
    generation: u64,
}

impl PeerId {
    pub(crate) fn index(self) -> usize {
        self.index
    }
}

/// Whether a peer outlives its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerKind {
    /// We connected to it: it has a queue from then on, and keeps it from one connection to the next.
    Dialed,
    /// It came to a listener: it begins with READY and ends with its connection.
    Accepted,
}

/// How much may still be taken in from a peer. Both zero: nothing, and its link is resumed at the low mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// The oldest message of a peer, and whether it has no other.
#[derive(Debug)]
pub(crate) struct Popped {
    pub(crate) message: Message,
    pub(crate) is_last: bool,
}

/// What became of a message that was to go to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is queued, and another would be too.
    WithRoom,
    /// It is queued, and the peer is at its mark now.
    Last,
    /// The peer is at its mark, or gone; nothing has happened.
    Refused,
}

/// What was left of a connection's batch when it ended: the messages whose last byte was not written, oldest first.
pub(crate) type Unwritten = Vec<Message>;

#[derive(Debug)]
struct Peer {
    generation: u64,
    kind: PeerKind,
    endpoint: String,
    is_up: bool,
    /// Connections that became ready.
    connections: u64,
    /// Under what name it was ready last.
    identity: Option<Identity>,
    last_error: Option<String>,
    /// Commands of it that mean nothing to us.
    ignored: u64,

    /// To the peer, youngest messages: what the next send is packed into. At the mark the peer leaves its socket's turn;
    /// nothing is dropped.
    open: Batch,
    /// To the peer, before `open`, oldest first. Counts against the same mark.
    closed: VecDeque<Batch>,
    /// What `open` and `closed` hold.
    queued: Tally,
    /// What a connection has collected and not wholly written. Counts against the same mark.
    writing: Tally,
    /// Somebody is answerable for what is queued: a note, a flush at work, or the next writable event.
    /// Invariant: something is queued, or being written, on a peer that is up only if it is busy.
    is_busy: bool,
    /// It was found full: whoever makes it fall to the low mark says so.
    awaits_room: bool,
    out: Flow,

    /// From the peer, oldest first. At the mark its connection stops reading; nothing is dropped.
    incoming: Run,
    /// Its connection stopped reading: whoever makes the queue fall to the low mark resumes it.
    is_starved: bool,
    arrived: Flow,
    /// The connection of an accepted peer is over; the peer goes once nothing of it is unread.
    is_over: bool,
}

/// The peers of one socket.
#[derive(Debug)]
pub(crate) struct Peers {
    slots: Slab<Peer>,
    next_generation: u64,
    send_mark: Mark,
    recv_mark: Mark,
    /// Packing buffers that nobody packs into now; at most [`SPARES`], then they are freed.
    spares: Vec<Vec<u8>>,
    /// What peers that are gone have counted, and what was dropped without one.
    gone: SocketStats,
    /// Messages that lost their peer and have no other yet. They are held by the pattern.
    adrift: Tally,
    /// What the steps since the last look want done.
    pub(crate) wants: Wants,
}

impl Peers {
    pub(crate) fn new(send_mark: Mark, recv_mark: Mark) -> Self {
        Peers {
            slots: Slab::new(),
            next_generation: 0,
            send_mark,
            recv_mark,
            spares: Vec::new(),
            gone: SocketStats::default(),
            adrift: Tally::default(),
            wants: Wants::default(),
        }
    }

    fn get(&self, id: PeerId) -> Option<&Peer> {
        self.slots.get(id.index).filter(|peer| peer.generation == id.generation)
    }

    fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)
    }

    // -- coming and going

    /// A new peer, with two empty queues.
    pub(crate) fn attach(&mut self, kind: PeerKind, endpoint: String) -> PeerId {
        let generation = self.next_generation;
        self.next_generation += 1;
        let index = self.slots.insert(Peer {
            generation,
            kind,
            endpoint,
            is_up: false,
            connections: 0,
            identity: None,
            last_error: None,
            ignored: 0,
            open: Batch::default(),
            closed: VecDeque::new(),
            queued: Tally::default(),
            writing: Tally::default(),
            is_busy: true,
            awaits_room: false,
            out: Flow::default(),
            incoming: Run::default(),
            is_starved: false,
            arrived: Flow::default(),
            is_over: false,
        });
        PeerId { index, generation }
    }

    /// Its connection is ready, and will collect. Whoever comes back under another identity is a new peer: what was
    /// queued for the old one is dropped and counted.
    pub(crate) fn connected(&mut self, id: PeerId, identity: Option<Identity>) -> Dropped {
        let Some(peer) = self.get_mut(id) else {
            return Dropped::default();
        };
        let is_other = peer.connections > 0 && peer.identity != identity;
        peer.identity = identity;
        peer.is_up = true;
        peer.is_busy = true;
        peer.connections += 1;
        if is_other {
            let dropped = self.drop_queue(id, Unwritten::new(), DropReason::IdentityChanged);
            self.note_room(id);
            return dropped;
        }
        Dropped::default()
    }

    /// Its connection ended, with `unwritten` bytes of this batch written: what was not wholly written, in order, is
    /// the caller's to put back, move or drop.
    pub(crate) fn disconnected(&mut self, id: PeerId, batch: Option<(Batch, usize)>, why: String) -> Unwritten {
        let Some(peer) = self.get_mut(id) else {
            return Unwritten::new();
        };
        peer.is_up = false;
        peer.is_busy = true;
        peer.is_starved = false;
        peer.last_error = Some(why);
        peer.writing = Tally::default();
        let Some((batch, written)) = batch else {
            return Unwritten::new();
        };
        let (done, rest) = batch.split_unwritten(written);
        pass(&mut peer.out, done);
        for message in &rest {
            peer.queued.add(1, message.byte_count());
        }
        rest
    }

    /// An attempt to reach it failed.
    pub(crate) fn failed(&mut self, id: PeerId, why: String) {
        if let Some(peer) = self.get_mut(id) {
            peer.last_error = Some(why);
        }
    }

    /// Puts back what [`Peers::disconnected`] gave, in front of everything.
    pub(crate) fn put_back(&mut self, id: PeerId, unwritten: Unwritten) {
        let Some(peer) = self.get_mut(id) else { return };
        let mut batch = Batch::default();
        for message in unwritten {
            batch.push(&[], &mut message.into());
        }
        if !batch.is_empty() {
            peer.closed.push_front(batch);
        }
    }

    /// Takes everything out of the queue to a peer that is down, `unwritten` first, to be sent elsewhere. It counts as
    /// adrift until then.
    pub(crate) fn take_back(&mut self, id: PeerId, unwritten: Unwritten) -> Vec<Message> {
        let Some(peer) = self.get_mut(id) else {
            return Vec::new();
        };
        let mut all = unwritten;
        let open = std::mem::take(&mut peer.open);
        for batch in peer.closed.drain(..).chain([open]) {
            let mut run = batch.into_run();
            while let Some(message) = run.pop() {
                all.push(message);
            }
        }
        let queued = std::mem::take(&mut peer.queued);
        peer.out.taken -= queued.messages as u64;
        peer.out.taken_bytes -= queued.payload as u64;
        self.adrift.add(queued.messages, queued.payload);
        all
    }

    /// A message that was adrift has a peer again, or is dropped.
    pub(crate) fn settled(&mut self, message: &Message) {
        self.adrift.sub(Tally {
            messages: 1,
            payload: message.byte_count(),
        });
    }

    /// A message that is adrift finds no peer any more.
    pub(crate) fn drop_adrift(&mut self, message: &Message, why: DropReason) {
        self.settled(message);
        let out = &mut self.gone.out;
        out.taken += 1;
        out.taken_bytes += message.byte_count() as u64;
        out.dropped.add(why, 1);
    }

    /// Drops and counts all that waits to go to a peer whose connection is over, `unwritten` included. What is returned
    /// is to be dropped where no lock is held.
    #[must_use]
    pub(crate) fn drop_queue(&mut self, id: PeerId, unwritten: Unwritten, why: DropReason) -> Dropped {
        let Some(peer) = self.get_mut(id) else {
            return Dropped::default();
        };
        let queued = std::mem::take(&mut peer.queued);
        peer.out.dropped.add(why, queued.messages as u64);
        let mut batches: Vec<_> = peer.closed.drain(..).collect();
        batches.push(std::mem::take(&mut peer.open));
        Dropped {
            messages: unwritten,
            batches,
            runs: Vec::new(),
        }
    }

    /// Drops and counts what is unread of a peer.
    #[must_use]
    pub(crate) fn drop_incoming(&mut self, id: PeerId, why: DropReason) -> Dropped {
        let Some(peer) = self.get_mut(id) else {
            return Dropped::default();
        };
        let run = std::mem::take(&mut peer.incoming);
        peer.arrived.dropped.add(why, run.messages() as u64);
        if std::mem::take(&mut peer.is_starved) {
            self.wants.resume.push(id);
        }
        Dropped {
            runs: vec![run],
            ..Dropped::default()
        }
    }

    /// Its last connection is over: it goes now, or once nothing of it is unread. Its outgoing queue is empty by now.
    pub(crate) fn detach(&mut self, id: PeerId) {
        if let Some(peer) = self.get_mut(id) {
            debug_assert_eq!(peer.queued.messages, 0, "a peer goes with an empty queue");
            peer.is_up = false;
            peer.is_over = true;
            self.forget_if_over(id);
        }
    }

    /// Forgets a peer that is over and has nothing unread.
    pub(crate) fn forget_if_over(&mut self, id: PeerId) {
        if self
            .get(id)
            .is_some_and(|peer| peer.is_over && peer.incoming.is_empty())
        {
            let peer = self.slots.remove(id.index);
            self.gone.out.merge(&peer.out);
            self.gone.incoming.merge(&peer.arrived);
            self.gone.ignored_commands += peer.ignored;
            self.gone.reconnects += peer.connections.saturating_sub(1);
            self.wants.forget.push(id);
        }
    }

    // -- asking

    pub(crate) fn kind(&self, id: PeerId) -> Option<PeerKind> {
        self.get(id).map(|peer| peer.kind)
    }

    /// Whether a connection to it is ready; `None`: it is gone.
    pub(crate) fn is_up(&self, id: PeerId) -> Option<bool> {
        self.get(id).map(|peer| peer.is_up)
    }

    /// Whether it had a connection, and has none now.
    pub(crate) fn was_lost(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| !peer.is_up && peer.connections > 0)
    }

    /// Which of its connections is ready now, counted from 1; `None` while none is.
    pub(crate) fn connection(&self, id: PeerId) -> Option<u64> {
        self.get(id).filter(|peer| peer.is_up).map(|peer| peer.connections)
    }

    /// Peers that are attached and whose last connection is not over.
    pub(crate) fn count(&self) -> usize {
        self.slots.iter().filter(|(_, peer)| !peer.is_over).count()
    }

    /// All of them, also those with something unread whose connection is over.
    pub(crate) fn ids(&self) -> Vec<PeerId> {
        self.slots
            .iter()
            .map(|(index, peer)| PeerId {
                index,
                generation: peer.generation,
            })
            .collect()
    }

    /// Messages that wait to go to it, or are being written.
    pub(crate) fn outgoing(&self, id: PeerId) -> usize {
        self.get(id)
            .map_or(0, |peer| peer.queued.messages + peer.writing.messages)
    }

    /// Messages that were taken on for it since it exists.
    pub(crate) fn accepted(&self, id: PeerId) -> u64 {
        self.get(id).map_or(0, |peer| peer.out.taken)
    }

    /// Of the messages that were taken on, how many have left the queue: written or dropped.
    pub(crate) fn left(&self, id: PeerId) -> u64 {
        self.get(id)
            .map_or(0, |peer| peer.out.passed + peer.out.dropped.total())
    }

    /// Unread messages of it.
    pub(crate) fn unread(&self, id: PeerId) -> usize {
        self.get(id).map_or(0, |peer| peer.incoming.messages())
    }

    /// Messages that were wholly written to it since it exists.
    pub(crate) fn written(&self, id: PeerId) -> u64 {
        self.get(id).map_or(0, |peer| peer.out.passed)
    }

    pub(crate) fn has_incoming(&self, id: PeerId) -> bool {
        self.get(id).is_some_and(|peer| !peer.incoming.is_empty())
    }

    /// Whether it has room for a message: asked before a message, never about it, so that a lone big one always fits.
    /// If not, [`Pattern::has_room`](super::Pattern::has_room) follows at the low mark.
    pub(crate) fn wants_room(&mut self, id: PeerId) -> bool {
        let mark = self.send_mark;
        self.get_mut(id).is_some_and(|peer| peer.has_room(mark))
    }

    // -- the way out

    /// Packs a message to the end of the peer's queue, if there is room.
    #[inline]
    pub(crate) fn enqueue(&mut self, id: PeerId, envelope: &[&[u8]], message: &mut Outgoing<'_>) -> Placed {
        let mark = self.send_mark;
        let Some(peer) = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)
        else {
            return Placed::Refused;
        };
        if !peer.has_room(mark) {
            return Placed::Refused;
        }
        if peer.open.messages() >= half(mark.messages) || peer.open.wire_len() >= BATCH_BYTES {
            peer.closed.push_back(std::mem::take(&mut peer.open));
        }
        if peer.open.is_empty() {
            peer.open = Batch::with_buffer(self.spares.pop().unwrap_or_default());
        }
        let payload = peer.open.push(envelope, message);
        peer.queued.add(1, payload);
        peer.out.taken += 1;
        peer.out.taken_bytes += payload as u64;
        if !peer.is_busy {
            peer.is_busy = true;
            self.wants.flush.push(id);
        }
        if peer.has_room(mark) {
            Placed::WithRoom
        } else {
            Placed::Last
        }
    }

    /// Takes off what was wholly written, then gives the oldest batch: at most half a mark of messages, at least one.
    /// `None`: nothing is queued, and whoever makes it not so flushes.
    pub(crate) fn collect(&mut self, id: PeerId, written: Tally, spent: Vec<u8>) -> Option<Batch> {
        self.recycle(spent);
        let mark = self.send_mark;
        let peer = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)?;
        pass(&mut peer.out, written);
        peer.writing.sub(written);
        if peer.has_fallen_to_low(mark) {
            self.wants.room.push(id);
        }
        debug_assert_eq!(
            peer.writing.messages, 0,
            "a batch is collected once the last one is written"
        );
        let next = match peer.closed.pop_front() {
            Some(batch) => batch,
            None => std::mem::take(&mut peer.open),
        };
        if next.is_empty() {
            peer.is_busy = false;
            self.recycle(next.into_parts().0);
            return None;
        }
        peer.queued.sub(next.tally());
        peer.writing = next.tally();
        Some(next)
    }

    /// Takes off what another socket took out of the batch that was collected, when there is more of it.
    pub(crate) fn moved(&mut self, id: PeerId, moved: Tally) {
        let Some(peer) = self.get_mut(id) else { return };
        pass(&mut peer.out, moved);
        peer.writing.sub(moved);
        self.note_room(id);
    }

    fn note_room(&mut self, id: PeerId) {
        let mark = self.send_mark;
        if self.get_mut(id).is_some_and(|peer| peer.has_fallen_to_low(mark)) {
            self.wants.room.push(id);
        }
    }

    fn recycle(&mut self, spent: Vec<u8>) {
        if spent.capacity() > 0 && spent.capacity() <= LARGEST_SPARE && self.spares.len() < SPARES {
            self.spares.push(spent);
        }
    }

    // -- the way in

    /// How much may be taken in from it. If nothing may, its link is resumed at the low mark.
    pub(crate) fn room(&mut self, id: PeerId) -> Room {
        let mark = self.recv_mark;
        let Some(peer) = self.get_mut(id) else {
            return Room::default();
        };
        let room = Room {
            messages: mark.messages.saturating_sub(peer.incoming.messages()),
            bytes: mark.bytes.saturating_sub(peer.incoming.weight()),
        };
        if room.messages == 0 || room.bytes == 0 {
            peer.is_starved = true;
            return Room::default();
        }
        room
    }

    /// Appends whole messages to what is to be received from it.
    pub(crate) fn deliver(&mut self, id: PeerId, run: &mut Run) {
        if let Some(peer) = self.get_mut(id) {
            arrive(&mut peer.arrived, run.messages(), run.payload());
            peer.incoming.append(run);
        }
    }

    /// Counts commands that came and mean nothing to us.
    pub(crate) fn ignored(&mut self, id: PeerId, commands: u64) {
        if let Some(peer) = self.get_mut(id) {
            peer.ignored += commands;
        }
    }

    /// Counts messages that came and are not for anybody.
    pub(crate) fn discard(&mut self, id: PeerId, messages: usize, payload: usize, why: DropReason) {
        if let Some(peer) = self.get_mut(id) {
            arrive(&mut peer.arrived, messages, payload);
            peer.arrived.dropped.add(why, messages as u64);
        }
    }

    /// Counts a message that came and was handed to the application without waiting in a queue.
    pub(crate) fn hand_over(&mut self, id: PeerId, payload: usize) {
        if let Some(peer) = self.get_mut(id) {
            arrive(&mut peer.arrived, 1, payload);
            receive(&mut peer.arrived, payload);
        }
    }

    /// Takes the oldest unread message of a peer.
    #[inline(always)]
    pub(crate) fn pop(&mut self, id: PeerId) -> Option<Popped> {
        let mark = self.recv_mark;
        let peer = self
            .slots
            .get_mut(id.index)
            .filter(|peer| peer.generation == id.generation)?;
        let (message, payload) = peer.incoming.pop_counted()?;
        receive(&mut peer.arrived, payload);
        if peer.is_starved && peer.incoming.messages() <= mark.messages / 2 && peer.incoming.weight() <= mark.bytes / 2
        {
            peer.is_starved = false;
            self.wants.resume.push(id);
        }
        Some(Popped {
            message,
            is_last: peer.incoming.is_empty(),
        })
    }

    /// Counts a message that was popped as dropped, not received.
    pub(crate) fn dropped_after_pop(&mut self, id: PeerId, payload: usize, why: DropReason) {
        let flow = match self.get_mut(id) {
            Some(peer) => &mut peer.arrived,
            None => &mut self.gone.incoming,
        };
        flow.passed -= 1;
        flow.passed_bytes -= payload as u64;
        flow.dropped.add(why, 1);
    }

    /// Counts a message that was taken on and dropped at once, for a peer that may be gone.
    pub(crate) fn refuse(&mut self, id: PeerId, payload: usize, why: DropReason) {
        let flow = match self.get_mut(id) {
            Some(peer) => &mut peer.out,
            None => &mut self.gone.out,
        };
        flow.taken += 1;
        flow.taken_bytes += payload as u64;
        flow.dropped.add(why, 1);
    }

    // -- counting

    pub(crate) fn stats(&self) -> SocketStats {
        let mut stats = self.gone.clone();
        for (_, peer) in &self.slots {
            let one = peer.stats();
            stats.out.merge(&one.out);
            stats.incoming.merge(&one.incoming);
            stats.reconnects += one.reconnects;
            stats.ignored_commands += one.ignored_commands;
            if !peer.is_over {
                stats.peers.push(one);
            }
        }
        stats.out.taken += self.adrift.messages as u64;
        stats.out.taken_bytes += self.adrift.payload as u64;
        stats.out.queued += self.adrift.messages as u64;
        stats.out.queued_bytes += self.adrift.payload as u64;
        stats
    }

    pub(crate) fn peer_stats(&self, id: PeerId) -> Option<PeerStats> {
        self.get(id).map(Peer::stats)
    }
}

impl Peer {
    /// All that counts against the mark.
    fn held(&self) -> Tally {
        Tally {
            messages: self.queued.messages + self.writing.messages,
            payload: self.queued.payload + self.writing.payload,
        }
    }

    /// Whether it is below its mark. If not, its low mark is waited for.
    fn has_room(&mut self, mark: Mark) -> bool {
        let held = self.held();
        self.awaits_room = held.messages >= mark.messages || held.weight() >= mark.bytes;
        !self.awaits_room
    }

    /// Whether it was found full and is at its low mark now; says so once.
    fn has_fallen_to_low(&mut self, mark: Mark) -> bool {
        let held = self.held();
        let has = self.awaits_room && held.messages <= mark.messages / 2 && held.weight() <= mark.bytes / 2;
        self.awaits_room &= !has;
        has
    }

    fn stats(&self) -> PeerStats {
        let held = self.held();
        PeerStats {
            endpoint: self.endpoint.clone(),
            is_connected: self.is_up,
            out: Flow {
                queued: held.messages as u64,
                queued_bytes: held.payload as u64,
                ..self.out
            },
            incoming: Flow {
                queued: self.incoming.messages() as u64,
                queued_bytes: self.incoming.payload() as u64,
                ..self.arrived
            },
            reconnects: self.connections.saturating_sub(1),
            last_error: self.last_error.clone(),
            ignored_commands: self.ignored,
        }
    }
}

/// What is to be dropped where no lock is held: it may be the application's own kind of memory.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    messages: Vec<Message>,
    batches: Vec<Batch>,
    runs: Vec<Run>,
}

impl Dropped {
    pub(crate) fn messages(messages: Vec<Message>) -> Self {
        Dropped {
            messages,
            ..Dropped::default()
        }
    }

    pub(crate) fn run(run: Run) -> Self {
        Dropped {
            runs: vec![run],
            ..Dropped::default()
        }
    }

    pub(crate) fn bodies(bodies: Vec<Bytes>) -> Self {
        Dropped::messages(bodies.into_iter().map(Message::from).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.batches.is_empty() && self.runs.is_empty()
    }

    pub(crate) fn merge(&mut self, mut other: Dropped) {
        self.messages.append(&mut other.messages);
        self.batches.append(&mut other.batches);
        self.runs.append(&mut other.runs);
    }
}

fn pass(flow: &mut Flow, written: Tally) {
    flow.passed += written.messages as u64;
    flow.passed_bytes += written.payload as u64;
}

fn arrive(flow: &mut Flow, messages: usize, payload: usize) {
    flow.taken += messages as u64;
    flow.taken_bytes += payload as u64;
}

fn receive(flow: &mut Flow, payload: usize) {
    flow.passed += 1;
    flow.passed_bytes += payload as u64;
}

/// A batch holds at most half a mark, so that packing and writing overlap.
fn half(mark: usize) -> usize {
    (mark / 2).max(1)
}

/// Nor does it grow once it has this many bytes: more at once only falls out of the processor's cache.
const BATCH_BYTES: usize = 64 * 1024;
/// Packing buffers kept for reuse, by socket: at most 8 MiB.
const SPARES: usize = 64;
const LARGEST_SPARE: usize = 128 * 1024;

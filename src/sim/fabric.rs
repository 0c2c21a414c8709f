//! The network between the nodes of a world: ordered byte pipes, in memory, moved by whoever steps the world.
//!
//! It behaves as Linux does where the engine can tell. Bytes that were written are in flight first and arrive in pieces;
//! a read takes all that has arrived; each arrival is an edge, and room to write is one only after a write was refused, and
//! only to who has asked to be told of it, as of a Unix socket.
//! A close with unread bytes resets. An error is told once; after it reads end and writes break.

use super::chance::Chance;
use crate::engine::Readiness;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Index of one end of a connection; the other end is `end ^ 1`, even ones have dialed.
pub(crate) type EndId = usize;

/// The network, its clock and its chance.
pub(crate) struct Fabric {
    pub(crate) now: Instant,
    pub(crate) chance: Chance,
    /// Bytes that a kernel holds in one direction, in flight and arrived together.
    capacity: usize,
    /// The largest piece that arrives at once.
    pub(crate) piece: usize,
    /// Writes take a part of what would fit.
    pub(crate) has_partial_writes: bool,
    pub(crate) has_faults: bool,
    /// Connections go nowhere: neither reached nor refused.
    pub(crate) is_dark: bool,
    /// What is written arrives nowhere, and nobody is told.
    pub(crate) is_unplugged: bool,
    pub(crate) names: BTreeMap<String, Vec<SocketAddr>>,
    pub(crate) events: Vec<BTreeMap<usize, Readiness>>,
    /// Attempts to connect so far, and when.
    pub(crate) attempts: Vec<Instant>,
    listeners: BTreeMap<SocketAddr, Listening>,
    ends: BTreeMap<EndId, End>,
    next_end: EndId,
}

struct Listening {
    node: usize,
    token: usize,
    waiting: VecDeque<EndId>,
}

struct End {
    node: usize,
    /// `None`: not accepted yet.
    token: Option<usize>,
    address: SocketAddr,
    state: State,
    /// Bytes towards this end.
    in_flight: VecDeque<u8>,
    arrived: VecDeque<u8>,
    /// The other end writes no more: behind what is in flight.
    is_ending: bool,
    has_ended: bool,
    /// Its side is shut.
    is_shut: bool,
    error: Option<ErrorKind>,
    is_broken: bool,
    is_dropped: bool,
    awaits_space: bool,
    /// Its node is told of room to write.
    is_told_of_room: bool,
    stalled_until: Option<Instant>,
    /// After so many bytes more are written here, the connection is reset.
    cut: Option<Cut>,
}

/// A reset that waits for its byte.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) after: usize,
    /// What was written before it still arrives.
    pub(crate) arrives: bool,
}

#[derive(PartialEq, Eq)]
enum State {
    Connecting,
    Open,
}

impl Fabric {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        Fabric {
            now: Instant::now(),
            chance: Chance::new(seed),
            capacity: 64 * 1024,
            piece: usize::MAX,
            has_partial_writes: false,
            has_faults: false,
            is_dark: false,
            is_unplugged: false,
            names: BTreeMap::new(),
            events: (0..nodes).map(|_| BTreeMap::new()).collect(),
            attempts: Vec::new(),
            listeners: BTreeMap::new(),
            ends: BTreeMap::new(),
            next_end: 0,
        }
    }

    /// Streams that somebody still holds.
    pub(crate) fn open_ends(&self) -> usize {
        self.ends.values().filter(|end| !end.is_dropped).count()
    }

    /// Zero: the kernel takes nothing. More than before is an edge for those that were refused.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        for id in self.ids() {
            self.offer_space(id);
        }
    }

    fn ids(&self) -> Vec<EndId> {
        self.ends.keys().copied().collect()
    }

    fn event(&mut self, id: EndId, readiness: Readiness) {
        if let Some(end) = self.ends.get(&id)
            && let (false, Some(token)) = (end.is_dropped, end.token)
        {
            self.event_at(end.node, token, readiness);
        }
    }

    fn event_at(&mut self, node: usize, token: usize, readiness: Readiness) {
        let seen = self.events[node].entry(token).or_default();
        seen.readable |= readiness.readable;
        seen.writable |= readiness.writable;
        seen.hung_up |= readiness.hung_up;
    }

    // -- listeners

    pub(crate) fn listen(&mut self, node: usize, address: SocketAddr, token: usize) {
        let waiting = VecDeque::new();
        self.listeners.insert(address, Listening { node, token, waiting });
    }

    pub(crate) fn unlisten(&mut self, address: SocketAddr) {
        if let Some(listening) = self.listeners.remove(&address) {
            for id in listening.waiting {
                self.reset(id, false);
                self.drop_end(id);
            }
        }
    }

    pub(crate) fn accept(&mut self, address: SocketAddr, token: usize) -> io::Result<EndId> {
        let listening = self.listeners.get_mut(&address).ok_or(ErrorKind::NotFound)?;
        let id = listening.waiting.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let end = self.ends.get_mut(&id).ok_or(ErrorKind::ConnectionAborted)?;
        if end.error.is_some() {
            self.drop_end(id);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        end.token = Some(token);
        let readiness = Readiness {
            readable: !end.arrived.is_empty(),
            writable: true,
            hung_up: end.has_ended,
        };
        self.event(id, readiness);
        Ok(id)
    }

    // -- streams

    pub(crate) fn connect(&mut self, node: usize, address: SocketAddr, token: usize) -> EndId {
        let id = self.next_end;
        self.next_end += 2;
        self.attempts.push(self.now);
        let stalled_until = match self.has_faults && self.chance.once_in(12) {
            true => Some(self.now + Duration::from_millis(self.chance.within(0..2000) as u64)),
            false => None,
        };
        for (id, token) in [(id, Some(token)), (id + 1, None)] {
            let end = End {
                node,
                token,
                address,
                state: State::Connecting,
                in_flight: VecDeque::new(),
                arrived: VecDeque::new(),
                is_ending: false,
                has_ended: false,
                is_shut: false,
                error: None,
                is_broken: false,
                is_dropped: token.is_none(),
                awaits_space: false,
                // One that dials hears of it that it is open.
                is_told_of_room: token.is_some(),
                stalled_until,
                cut: None,
            };
            self.ends.insert(id, end);
        }
        id
    }

    /// The dialed end: reached, on its way, or failed.
    pub(crate) fn connected(&mut self, id: EndId) -> io::Result<bool> {
        let Some(end) = self.ends.get_mut(&id) else {
            return Ok(false);
        };
        match end.error.take() {
            Some(kind) => Err(kind.into()),
            None => Ok(end.state == State::Open),
        }
    }

    pub(crate) fn read(&mut self, id: EndId, into: &mut [u8]) -> io::Result<usize> {
        let Some(end) = self.ends.get_mut(&id) else {
            return Ok(0);
        };
        if end.arrived.is_empty() {
            return match end.error.take() {
                Some(kind) => Err(kind.into()),
                None if end.has_ended || end.is_broken => Ok(0),
                None => Err(ErrorKind::WouldBlock.into()),
            };
        }
        let n = into.len().min(end.arrived.len());
        for (to, from) in into.iter_mut().zip(end.arrived.drain(..n)) {
            *to = from;
        }
        self.offer_space(id ^ 1);
        Ok(n)
    }

    pub(crate) fn write(&mut self, id: EndId, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let asked: usize = from.iter().map(|slice| slice.len()).sum();
        assert!(asked > 0, "an empty write");
        let free = self.free(id);
        let Some(end) = self.ends.get_mut(&id) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        if let Some(kind) = end.error.take() {
            return Err(kind.into());
        }
        if end.is_broken || end.is_shut {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let mut n = asked.min(free).min(end.cut.map_or(usize::MAX, |cut| cut.after));
        if n == 0 {
            end.awaits_space = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.has_partial_writes {
            n = self.chance.within(1..n + 1);
        }
        let cut = end.cut.as_mut().map(|cut| {
            cut.after -= n;
            *cut
        });
        if let Some(other) = self.ends.get_mut(&(id ^ 1)) {
            let bytes = from.iter().flat_map(|slice| slice.iter().copied());
            other.in_flight.extend(bytes.take(n));
        }
        if let Some(Cut { after: 0, arrives }) = cut {
            self.reset(id, arrives);
        }
        Ok(n)
    }

    /// From now on its node is told of room, or is not; a system that is short of memory may refuse that.
    pub(crate) fn tell_of_room(&mut self, id: EndId, is_told: bool) -> io::Result<()> {
        if self.has_faults && self.chance.once_in(12) {
            return Err(ErrorKind::OutOfMemory.into());
        }
        let Some(end) = self.ends.get_mut(&id) else {
            return Ok(());
        };
        end.is_told_of_room = is_told;
        if let (false, Some(token)) = (is_told, end.token)
            && let Some(seen) = self.events[end.node].get_mut(&token)
        {
            seen.writable = false;
        }
        self.offer_space(id);
        Ok(())
    }

    pub(crate) fn shutdown_write(&mut self, id: EndId) -> io::Result<()> {
        if let Some(end) = self.ends.get_mut(&id) {
            if end.is_broken {
                return Err(ErrorKind::NotConnected.into());
            }
            end.is_shut = true;
        }
        if let Some(other) = self.ends.get_mut(&(id ^ 1)) {
            other.is_ending = true;
        }
        Ok(())
    }

    /// A close: with unread bytes it resets, and what this end had in flight is thrown away.
    pub(crate) fn drop_end(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        end.is_dropped = true;
        let is_rude = !end.arrived.is_empty();
        if is_rude {
            self.reset(id, false);
        } else if let Some(other) = self.ends.get_mut(&(id ^ 1)) {
            other.is_ending = true;
        }
        if self.ends.get(&(id ^ 1)).is_none_or(|other| other.is_dropped) {
            self.ends.remove(&id);
            self.ends.remove(&(id ^ 1));
        }
    }

    fn free(&self, id: EndId) -> usize {
        let used = self
            .ends
            .get(&(id ^ 1))
            .map_or(0, |other| other.in_flight.len() + other.arrived.len());
        self.capacity.saturating_sub(used)
    }

    fn offer_space(&mut self, id: EndId) {
        let has_space = self.free(id) > 0;
        if let Some(end) = self.ends.get_mut(&id)
            && end.awaits_space
            && end.is_told_of_room
            && has_space
        {
            end.awaits_space = false;
            self.event(id, ROOM);
        }
    }

    // -- what the world does to them

    /// The connection of this end breaks: nothing that it wrote arrives any more, unless `arrives`.
    pub(crate) fn reset(&mut self, id: EndId, arrives: bool) {
        for id in [id, id ^ 1] {
            let keeps_arrived = self.chance.once_in(2);
            let Some(end) = self.ends.get_mut(&id) else { continue };
            let in_flight = std::mem::take(&mut end.in_flight);
            if arrives {
                end.arrived.extend(in_flight);
            } else if !keeps_arrived {
                end.arrived.clear();
            }
            if !end.is_broken {
                end.is_broken = true;
                end.error = Some(ErrorKind::ConnectionReset);
            }
            self.event(id, ALL);
        }
    }

    /// The dialed ends that are open and held.
    pub(crate) fn dialed(&self) -> Vec<EndId> {
        let is_open = |end: &End| end.state == State::Open && !end.is_dropped && !end.is_broken;
        self.ends
            .iter()
            .filter(|&(id, end)| id % 2 == 0 && is_open(end))
            .map(|(&id, _)| id)
            .collect()
    }

    pub(crate) fn cut(&mut self, id: EndId, cut: Cut) {
        if cut.after == 0 {
            self.reset(id, cut.arrives);
        } else if let Some(end) = self.ends.get_mut(&id) {
            end.cut = Some(cut);
        }
    }

    /// One fault, now and then.
    pub(crate) fn misbehave(&mut self) {
        if !self.has_faults || !self.chance.once_in(24) || self.ends.is_empty() {
            return;
        }
        let ids = self.ids();
        let id = ids[self.chance.within(0..ids.len())];
        match self.chance.within(0..8) {
            0 | 1 => {
                let is_open = self.ends.get(&id).is_some_and(|end| end.state == State::Open);
                if is_open {
                    let arrives = self.chance.once_in(2);
                    self.reset(id, arrives);
                }
            }
            2..=4 => {
                let until = self.now + Duration::from_millis(self.chance.within(1..300) as u64);
                if let Some(end) = self.ends.get_mut(&id) {
                    end.stalled_until = Some(until);
                }
            }
            _ => {
                // The system may report what is not so.
                if self.ends.get(&id).is_some_and(|end| end.state == State::Open) {
                    self.event(id, Readiness { hung_up: false, ..ALL });
                }
            }
        }
    }

    /// Ends towards which something can move now.
    pub(crate) fn moves(&self) -> Vec<EndId> {
        let can_move = |(id, end): (&EndId, &End)| {
            let is_free = end
                .stalled_until
                .is_none_or(|until| until <= self.now || !self.has_faults);
            let moves = match end.state {
                State::Connecting => id % 2 == 0 && !end.is_dropped && end.error.is_none() && !self.is_dark,
                State::Open => !self.is_unplugged && (!end.in_flight.is_empty() || end.is_ending && !end.has_ended),
            };
            (is_free && moves).then_some(*id)
        };
        self.ends.iter().filter_map(can_move).collect()
    }

    /// When a stall is over next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let stalls = self.ends.values().filter_map(|end| end.stalled_until);
        stalls.filter(|&until| self.has_faults && until > self.now).min()
    }

    /// Moves something towards this end.
    pub(crate) fn advance(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        if end.state == State::Connecting {
            self.establish(id);
            return;
        }
        if end.is_dropped && !end.in_flight.is_empty() {
            // Nobody is there to take it.
            self.reset(id, false);
            return;
        }
        let limit = end.in_flight.len().min(self.piece);
        let n = if limit > 1 {
            self.chance.within(1..limit + 1)
        } else {
            limit
        };
        end.arrived.extend(end.in_flight.drain(..n));
        let ends_now = end.in_flight.is_empty() && end.is_ending && (n == 0 || self.chance.once_in(2));
        end.has_ended |= ends_now;
        self.event(
            id,
            Readiness {
                readable: true,
                writable: false,
                hung_up: ends_now,
            },
        );
    }

    fn establish(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        let is_refused = self.has_faults && self.chance.once_in(12);
        let found = self.listeners.get_mut(&end.address).filter(|_| !is_refused);
        let Some(listening) = found else {
            end.error = Some(ErrorKind::ConnectionRefused);
            self.event(id, ALL);
            return;
        };
        end.state = State::Open;
        listening.waiting.push_back(id ^ 1);
        let (node, token) = (listening.node, listening.token);
        if let Some(other) = self.ends.get_mut(&(id ^ 1)) {
            other.state = State::Open;
            other.is_dropped = false;
            other.node = node;
        }
        self.event(id, ROOM);
        let come = Readiness {
            readable: true,
            ..Readiness::default()
        };
        self.event_at(node, token, come);
    }
}

const ROOM: Readiness = Readiness {
    readable: false,
    writable: true,
    hung_up: false,
};
const ALL: Readiness = Readiness {
    readable: true,
    writable: true,
    hung_up: true,
};

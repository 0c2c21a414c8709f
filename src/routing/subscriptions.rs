//! Who wants messages that begin with what.
//!
//! A table from each topic to those who subscribed to it, and how many topics there are of each length. A message is
//! looked up once for each length that there is, up to its own, and hashed once, eight bytes at a time: the cost grows
//! with the length of what is published, not with the number of subscriptions. (libzmq walks a trie with a node for each
//! byte; one that loses its peer it walks as a whole.) Each peer has a list of its topics, so that its end costs as much as
//! it had subscribed to.

mod looking_up;

use super::peer::PeerId;
use looking_up::{AsItIs, Filter, Hashing};
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;

/// The subscriptions of all peers of a socket.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    topics: Slab<Topic>,
    /// By the topic's hash: the first of those that have it; the others are linked from there. Looked up only: its order
    /// is never seen.
    by_hash: HashMap<u64, usize, BuildHasherDefault<AsItIs>>,
    filter: Filter,
    /// How many topics there are of each length, in order of the lengths.
    lengths: Vec<(usize, usize)>,
    /// The topics of each peer. Its connection's end takes them all.
    by_peer: BTreeMap<PeerId, Own>,
    /// Chosen by chance, so that a stranger cannot choose topics that meet in one place.
    key: u64,
}

/// What one peer has subscribed to.
#[derive(Debug, Default)]
struct Own {
    topics: BTreeSet<u32>,
    /// What they weigh together; see [`weight`].
    weight: usize,
}

/// A topic that somebody subscribed to.
#[derive(Debug)]
struct Topic {
    bytes: Box<[u8]>,
    hash: u64,
    /// The next of the same hash.
    next: Option<usize>,
    holders: Holders,
}

/// Which topic: the same one as before, if nobody has come or gone since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicId(usize);

/// Who subscribed to one topic. Most have one.
#[derive(Debug)]
enum Holders {
    One(PeerId),
    /// In order, so that a thousand of them are found by halving.
    Many(Vec<PeerId>),
}

/// What a subscription or its end has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// For the peer, and for the socket: the first of its topic came, or the last went.
    Socket,
    /// For the peer only: others have the same.
    Peer,
    /// Nothing: the peer had it, or had it not.
    Nothing,
}

impl Subscriptions {
    /// `key` is chosen by chance.
    pub(crate) fn new(key: u64) -> Self {
        Subscriptions {
            topics: Slab::new(),
            by_hash: HashMap::default(),
            filter: Filter::default(),
            lengths: Vec::new(),
            by_peer: BTreeMap::new(),
            key,
        }
    }

    /// A peer wants what begins with this.
    pub(crate) fn add(&mut self, id: PeerId, bytes: &[u8]) -> Change {
        let hash = Hashing::new(self.key).up_to(bytes, bytes.len());
        let first = self.by_hash.get(&hash).copied();
        let (index, change) = match self.find(first, bytes) {
            Some(index) => match self.topics.get_mut(index) {
                Some(topic) => match topic.holders.add(id) {
                    true => (index, Change::Peer),
                    false => return Change::Nothing,
                },
                None => return Change::Nothing,
            },
            None => {
                let index = self.topics.insert(Topic {
                    bytes: bytes.into(),
                    hash,
                    next: first,
                    holders: Holders::One(id),
                });
                self.by_hash.insert(hash, index);
                if !self.filter.add(hash) {
                    self.filter = Filter::of(self.topics.iter().map(|(_, topic)| topic.hash));
                }
                match self.lengths.binary_search_by_key(&bytes.len(), |&(len, _)| len) {
                    Ok(place) => {
                        if let Some((_, count)) = self.lengths.get_mut(place) {
                            *count += 1;
                        }
                    }
                    Err(place) => self.lengths.insert(place, (bytes.len(), 1)),
                }
                (index, Change::Socket)
            }
        };
        // Slots of a slab that would not fit in 32 bits would take more memory than there is.
        if let Ok(index) = u32::try_from(index) {
            let own = self.by_peer.entry(id).or_default();
            own.topics.insert(index);
            own.weight += weight(bytes);
        }
        change
    }

    /// A peer does not want what begins with this any more.
    pub(crate) fn remove(&mut self, id: PeerId, bytes: &[u8]) -> Change {
        let hash = Hashing::new(self.key).up_to(bytes, bytes.len());
        let Some(index) = self.find(self.by_hash.get(&hash).copied(), bytes) else {
            return Change::Nothing;
        };
        let Ok(short) = u32::try_from(index) else {
            return Change::Nothing;
        };
        let Some(own) = self.by_peer.get_mut(&id).filter(|own| own.topics.contains(&short)) else {
            return Change::Nothing;
        };
        own.topics.remove(&short);
        own.weight -= weight(bytes);
        if own.topics.is_empty() {
            self.by_peer.remove(&id);
        }
        match self.let_go(id, index) {
            Some(_) => Change::Socket,
            None => Change::Peer,
        }
    }

    /// A peer is gone: all that it wanted goes. Calls for each topic, with what its end has changed.
    pub(crate) fn remove_all(&mut self, id: PeerId, mut each: impl FnMut(&[u8], Change)) {
        let own = self.by_peer.remove(&id).unwrap_or_default();
        for index in own.topics.into_iter().map(|index| index as usize) {
            match self.let_go(id, index) {
                Some(topic) => each(&topic, Change::Socket),
                None => {
                    if let Some(topic) = self.topics.get(index) {
                        each(&topic.bytes, Change::Peer);
                    }
                }
            }
        }
    }

    /// Calls for each topic that a message which begins so matches. Returns how many times it had to look.
    #[inline]
    pub(crate) fn matching(&self, bytes: &[u8], mut each: impl FnMut(TopicId)) -> usize {
        let (mut hashing, mut looks) = (Hashing::new(self.key), 0);
        for &(len, _) in &self.lengths {
            let Some(prefix) = bytes.get(..len) else { break };
            let hash = hashing.up_to(bytes, len);
            looks += 1;
            if !self.filter.may_have(hash) {
                continue;
            }
            if let Some(index) = self.find(self.by_hash.get(&hash).copied(), prefix) {
                each(TopicId(index));
            }
        }
        looks
    }

    /// Whether any message matches what every other does: all who have subscribed want everything.
    #[inline]
    pub(crate) fn match_alike(&self) -> bool {
        matches!(self.lengths[..], [] | [(0, _)])
    }

    /// The topic that is exactly this.
    #[inline]
    pub(crate) fn exactly(&self, bytes: &[u8]) -> Option<TopicId> {
        let hash = Hashing::new(self.key).up_to(bytes, bytes.len());
        self.find(self.by_hash.get(&hash).copied(), bytes).map(TopicId)
    }

    /// Who has subscribed to a topic.
    pub(crate) fn holders(&self, TopicId(index): TopicId) -> &[PeerId] {
        self.topics.get(index).map_or(&[], |topic| topic.holders.as_slice())
    }

    /// How many topics there are; two peers with the same have one.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    /// What a peer's subscriptions weigh, with one more to this topic: the bytes of each, and about what it takes to keep
    /// it. Nothing that the peer has already weighs twice.
    pub(crate) fn weight_with(&self, id: PeerId, bytes: &[u8]) -> usize {
        let Some(own) = self.by_peer.get(&id) else {
            return weight(bytes);
        };
        let hash = Hashing::new(self.key).up_to(bytes, bytes.len());
        let index = self.find(self.by_hash.get(&hash).copied(), bytes);
        let index = index.and_then(|index| u32::try_from(index).ok());
        match index.is_some_and(|index| own.topics.contains(&index)) {
            true => own.weight,
            false => own.weight.saturating_add(weight(bytes)),
        }
    }

    /// How many topics a peer has subscribed to.
    #[cfg(test)]
    pub(crate) fn of(&self, id: PeerId) -> usize {
        self.by_peer.get(&id).map_or(0, |own| own.topics.len())
    }

    fn find(&self, first: Option<usize>, bytes: &[u8]) -> Option<usize> {
        let mut next = first;
        while let Some(index) = next {
            let topic = self.topics.get(index)?;
            // Nothing is not compared: it may lie where there is no memory, and a masked load from there takes as long as
            // all the rest of a publish.
            if topic.bytes.len() == bytes.len() && (bytes.is_empty() || *topic.bytes == *bytes) {
                return Some(index);
            }
            next = topic.next;
        }
        None
    }

    /// One that had a topic does not any more. If it was the last, the topic goes, and is given back.
    fn let_go(&mut self, id: PeerId, index: usize) -> Option<Box<[u8]>> {
        if self.topics.get_mut(index)?.holders.remove(id) {
            return None;
        }
        let gone = self.topics.remove(index);
        if self.by_hash.get(&gone.hash) == Some(&index) {
            match gone.next {
                Some(next) => self.by_hash.insert(gone.hash, next),
                None => self.by_hash.remove(&gone.hash),
            };
        } else {
            let mut at = self.by_hash.get(&gone.hash).copied();
            while let Some(other) = at.and_then(|at| self.topics.get_mut(at)) {
                if other.next == Some(index) {
                    other.next = gone.next;
                    break;
                }
                at = other.next;
            }
        }
        if let Ok(place) = self.lengths.binary_search_by_key(&gone.bytes.len(), |&(len, _)| len)
            && let Some((_, count)) = self.lengths.get_mut(place)
        {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(place);
            }
        }
        Some(gone.bytes)
    }
}

impl Holders {
    fn as_slice(&self) -> &[PeerId] {
        match self {
            Holders::One(id) => std::slice::from_ref(id),
            Holders::Many(ids) => ids,
        }
    }

    /// `false`: it was there.
    fn add(&mut self, id: PeerId) -> bool {
        match self {
            Holders::One(one) if *one == id => false,
            Holders::One(one) => {
                *self = Holders::Many(vec![id.min(*one), id.max(*one)]);
                true
            }
            Holders::Many(ids) => match ids.binary_search(&id) {
                Ok(_) => false,
                Err(place) => {
                    ids.insert(place, id);
                    true
                }
            },
        }
    }

    /// `false`: nobody is left.
    fn remove(&mut self, id: PeerId) -> bool {
        match self {
            Holders::One(one) => *one != id,
            Holders::Many(ids) => {
                if let Ok(place) = ids.binary_search(&id) {
                    ids.remove(place);
                }
                if let [one] = ids[..] {
                    *self = Holders::One(one);
                }
                true
            }
        }
    }
}

/// What a subscription to this topic costs us, about.
fn weight(topic: &[u8]) -> usize {
    topic.len().saturating_add(KEPT)
}

/// Bytes that a subscription takes besides its topic's: its place in each of the tables, rounded up.
const KEPT: usize = 128;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sim::chance::{Chance, with_seeds};

    fn peer(index: usize) -> PeerId {
        PeerId {
            index,
            generation: index as u64,
        }
    }

    fn wanting(subscriptions: &Subscriptions, topic: &[u8]) -> BTreeSet<PeerId> {
        let mut all = BTreeSet::new();
        subscriptions.matching(topic, |topic| all.extend(subscriptions.holders(topic)));
        all
    }

    /// A few that begin one another, on both sides of the borders of words.
    fn topic(chance: &mut Chance) -> Vec<u8> {
        let alike = [0, 0, 5, 13][chance.within(0..4)];
        let mut topic = vec![2; alike];
        topic.extend((0..chance.within(0..6)).map(|_| chance.within(0..3) as u8));
        topic
    }

    /// RFC 29: "MUST match the message if the subscription is a prefix of it."
    #[test]
    fn prefixes_are_found_as_a_naive_list_finds_them() {
        with_seeds(300, |seed| {
            let mut chance = Chance::new(seed);
            let mut subscriptions = Subscriptions::new(seed);
            let mut naive: BTreeSet<(PeerId, Vec<u8>)> = BTreeSet::new();
            for _ in 0..200 {
                let (id, topic) = (peer(chance.within(0..4)), topic(&mut chance));
                let others = |naive: &BTreeSet<(PeerId, Vec<u8>)>| naive.iter().any(|(_, other)| *other == topic);
                match chance.within(0..9) {
                    0..=4 => {
                        let had_others = others(&naive);
                        let expected = match (naive.insert((id, topic.clone())), had_others) {
                            (false, _) => Change::Nothing,
                            (true, true) => Change::Peer,
                            (true, false) => Change::Socket,
                        };
                        assert_eq!(subscriptions.add(id, &topic), expected);
                    }
                    5..=7 => {
                        let expected = match (naive.remove(&(id, topic.clone())), others(&naive)) {
                            (false, _) => Change::Nothing,
                            (true, true) => Change::Peer,
                            (true, false) => Change::Socket,
                        };
                        assert_eq!(subscriptions.remove(id, &topic), expected);
                    }
                    _ => {
                        naive.retain(|(other, _)| *other != id);
                        subscriptions.remove_all(id, |topic, change| {
                            let is_held = naive.iter().any(|(_, other)| *other == topic);
                            assert_eq!(is_held, change == Change::Peer);
                        });
                    }
                }
                let published: Vec<u8> = [topic, vec![1]].concat();
                let expected = naive.iter().filter(|(_, topic)| published.starts_with(topic));
                assert_eq!(
                    wanting(&subscriptions, &published),
                    expected.map(|(id, _)| *id).collect()
                );
                let distinct: BTreeSet<_> = naive.iter().map(|(_, topic)| topic).collect();
                assert_eq!(subscriptions.len(), distinct.len());
                assert_eq!(
                    subscriptions.of(id),
                    naive.iter().filter(|(other, _)| *other == id).count()
                );
            }
        });
    }

    #[test]
    fn a_publish_looks_once_for_each_length_whatever_the_number_of_subscriptions() {
        let mut looks = Vec::new();
        for count in [10, 10_000] {
            let mut subscriptions = Subscriptions::new(7);
            for n in 0..count {
                subscriptions.add(peer(n % 8), format!("topic.{n:06}").as_bytes());
            }
            for published in ["topic.000007 and more", "topic.", "else"] {
                looks.push(subscriptions.matching(published.as_bytes(), |_| {}));
            }
        }
        assert_eq!(looks, [1, 0, 0, 1, 0, 0]);

        let mut nested = Subscriptions::new(7);
        for len in 0..1_000 {
            nested.add(peer(0), &vec![b'x'; len]);
        }
        for len in [0, 1, 20, 999] {
            assert_eq!(nested.matching(&vec![b'x'; len], |_| {}), len + 1);
        }
    }

    #[test]
    fn the_filter_holds_what_comes_and_forgets_what_goes() {
        let mut subscriptions = Subscriptions::new(7);
        for n in 0..1_000_u32 {
            subscriptions.add(peer(0), &n.to_le_bytes());
            if n >= 10 {
                subscriptions.remove(peer(0), &(n - 10).to_le_bytes());
            }
            assert_eq!(wanting(&subscriptions, &n.to_le_bytes()).len(), 1);
        }
        assert!(subscriptions.filter.bits.len() <= 8, "ten at a time");

        for n in 1_000..3_000_u32 {
            subscriptions.add(peer(0), &n.to_le_bytes());
        }
        let topics = subscriptions.topics.iter();
        assert!(
            topics
                .clone()
                .all(|(_, topic)| subscriptions.filter.may_have(topic.hash))
        );
        let set: u32 = subscriptions.filter.bits.iter().map(|word| word.count_ones()).sum();
        assert!(set as usize * 7 < subscriptions.filter.bits.len() * 64, "{set}");
    }

    #[test]
    fn topics_of_one_hash_are_told_apart() {
        let mut subscriptions = Subscriptions::new(7);
        for name in [&b"one"[..], b"two", b"six"] {
            let index = subscriptions.topics.insert(Topic {
                bytes: name.into(),
                hash: 1,
                next: subscriptions.by_hash.get(&1).copied(),
                holders: Holders::One(peer(3)),
            });
            subscriptions.by_hash.insert(1, index);
            subscriptions.filter.add(1);
            subscriptions.lengths = vec![(3, index + 1)];
        }
        let first = subscriptions.by_hash.get(&1).copied();
        let find = |subscriptions: &Subscriptions, name: &[u8]| {
            subscriptions.find(subscriptions.by_hash.get(&1).copied(), name)
        };
        assert_eq!(subscriptions.find(first, b"two"), Some(1));

        assert_eq!(subscriptions.let_go(peer(3), 1).as_deref(), Some(&b"two"[..]));
        assert_eq!(find(&subscriptions, b"two"), None);
        assert_eq!(find(&subscriptions, b"one"), Some(0));
        assert_eq!(subscriptions.let_go(peer(3), 2).as_deref(), Some(&b"six"[..]));
        assert_eq!(find(&subscriptions, b"one"), Some(0));
    }
}

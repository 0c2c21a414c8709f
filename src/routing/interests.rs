//! What a socket wants of its peers, and what each of them has been told of it.
//!
//! Wishes are counted: what was wanted twice is given up twice. They are state, not messages: a new connection is told
//! all of them, in order, a part at a time; an old one only what has changed. What waits to be told is never more than
//! the peer knows and we want together.

use super::peer::PeerId;
use super::peers::Peers;
use super::wants::{Awaited, Want};
use crate::notice::Notice;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;

/// What is wanted, and who knows.
#[derive(Debug)]
pub(crate) struct Interests {
    /// How many times each was asked for.
    wanted: BTreeMap<Box<[u8]>, u32>,
    /// Peers whose connection is ready.
    told: BTreeMap<PeerId, Telling>,
    /// The last question that was asked: new connections are asked it too.
    question: Option<u32>,
    words: Words,
}

/// How a wish and its end are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// By prefix: SUBSCRIBE and CANCEL.
    Subscribe,
    /// By name: JOIN and LEAVE.
    Join,
}

/// What one peer is still to be told.
#[derive(Debug)]
struct Telling {
    /// A new connection is told all in order, and is so far; `None`: it has been.
    replayed: Option<Bound<Box<[u8]>>>,
    /// What has changed since, of those that it was told. At most what it knows and what is wanted.
    changes: BTreeMap<Box<[u8]>, Change>,
    /// It is to say when it knows all that.
    question: Option<u32>,
    /// It has said so, and is to say it once more.
    again: Option<u32>,
    /// The last question that it has answered twice.
    answered: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The peer does not know it, and is to.
    Add,
    /// The peer knows it, and is told again: it may count.
    Again,
    /// The peer knows it, and is to forget it.
    Remove,
}

impl Interests {
    pub(crate) fn new(words: Words) -> Self {
        Interests {
            wanted: BTreeMap::new(),
            told: BTreeMap::new(),
            question: None,
            words,
        }
    }

    /// Wants this once more.
    pub(crate) fn add(&mut self, peers: &mut Peers, what: &[u8]) {
        let count = self.wanted.entry(what.into()).or_default();
        *count = count.saturating_add(1);
        let is_new = *count == 1;
        self.change(peers, what, |before| match (before, is_new) {
            (None, true) => Some(Change::Add),
            // It has not heard yet that this was given up.
            (Some(Change::Remove), _) => None,
            (None, false) => Some(Change::Again),
            (before, _) => before,
        });
    }

    /// Wants this once less. `false`: it was not wanted.
    pub(crate) fn remove(&mut self, peers: &mut Peers, what: &[u8]) -> bool {
        let Some(count) = self.wanted.get_mut(what) else {
            return false;
        };
        *count -= 1;
        if *count > 0 {
            return true;
        }
        self.wanted.remove(what);
        self.change(peers, what, |before| match before {
            // It has never heard of it.
            Some(Change::Add) => None,
            _ => Some(Change::Remove),
        });
        true
    }

    /// How often this is wanted.
    pub(crate) fn count(&self, what: &[u8]) -> u32 {
        self.wanted.get(what).copied().unwrap_or(0)
    }

    /// How many different ones are wanted.
    pub(crate) fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Whether one of them is a prefix of this. Looks at most once for each byte of it.
    #[inline]
    pub(crate) fn has_prefix_of(&self, bytes: &[u8]) -> bool {
        // The empty one is everything, and comes first. (It is not compared with anything: see `Subscriptions`.)
        if self.wanted.first_key_value().is_some_and(|(first, _)| first.is_empty()) {
            return true;
        }
        let mut rest = bytes;
        loop {
            // The last one that does not come after it: a prefix of it, or as far as a prefix can go.
            let below = (Bound::Unbounded, Bound::Included(rest));
            let Some((last, _)) = self.wanted.range::<[u8], _>(below).next_back() else {
                return false;
            };
            if rest.starts_with(last) {
                return true;
            }
            let common = rest.iter().zip(last.iter()).take_while(|(a, b)| a == b).count();
            match rest.get(..common) {
                Some(shorter) if shorter.len() < rest.len() => rest = shorter,
                _ => return false,
            }
        }
    }

    /// A connection is ready, and knows nothing. A peer without words is told nothing.
    pub(crate) fn connected(&mut self, peers: &mut Peers, id: PeerId) {
        if peers.is_wordless(id) {
            return;
        }
        self.told.insert(
            id,
            Telling {
                replayed: Some(Bound::Unbounded),
                changes: BTreeMap::new(),
                question: self.question,
                again: None,
                answered: None,
            },
        );
        if !self.wanted.is_empty() || self.question.is_some() {
            peers.owe_notices(id);
        }
    }

    /// It is over.
    pub(crate) fn disconnected(&mut self, peers: &mut Peers, id: PeerId) {
        self.told.remove(&id);
        // Who waits for its answer waits for one less.
        peers.wants.push(Want::ReadyAll(Awaited::Subscribers));
    }

    /// Asks all peers to say when they know all that is wanted now.
    ///
    /// Each is asked twice, the second time under the next number: libzmq answers before it hands on what it has read
    /// together with the question, but not before what it has read earlier.
    pub(crate) fn ask(&mut self, peers: &mut Peers) -> u32 {
        let question = self.question.map_or(0, |last| last.wrapping_add(2));
        self.question = Some(question);
        for (&id, telling) in &mut self.told {
            telling.question = Some(question);
            peers.owe_notices(id);
        }
        question
    }

    /// A peer tells us something: what matters here is an answer.
    pub(crate) fn notice(&mut self, peers: &mut Peers, id: PeerId, notice: &Notice) {
        match (notice, self.told.get_mut(&id)) {
            // A newer question is on its way: its answer is one to this, too. Asked once more, this would come behind that, and
            // of two PINGs that are read together only the last is answered.
            (Notice::Answer(first), Some(_)) if first % 2 == 0 && Some(*first) != self.question => {}
            (Notice::Answer(first), Some(telling)) if first % 2 == 0 => {
                telling.again = telling.again.max(Some(first + 1));
                peers.owe_notices(id);
            }
            (Notice::Answer(second), Some(telling)) => {
                telling.answered = telling.answered.max(Some(second - 1));
                peers.wants.push(Want::ReadyAll(Awaited::Subscribers));
            }
            _ => peers.ignored(id, 1),
        }
    }

    /// How many peers there are that can be asked, if all of them have answered this question, and there is one.
    pub(crate) fn answered(&self, peers: &Peers, question: u32) -> Option<usize> {
        let has = |telling: &&Telling| telling.answered >= Some(question);
        let answered = self.told.values().filter(has).count();
        (answered > 0 && answered >= peers.count_with_words()).then_some(answered)
    }

    /// What a peer is to be told next: about so many bytes.
    pub(crate) fn notices(&mut self, peers: &mut Peers, id: PeerId, bytes: usize) -> Vec<Notice> {
        let Some(telling) = self.told.get_mut(&id) else {
            return Vec::new();
        };
        let (mut notices, mut size) = (Vec::new(), 0);
        let mut say = |notice: Notice| {
            size += notice.size();
            notices.push(notice);
            size < bytes
        };
        if let Some(from) = telling.replayed.take() {
            let rest = (from.as_ref().map(|from| &**from), Bound::Unbounded);
            for what in self.wanted.range::<[u8], _>(rest).map(|(what, _)| what) {
                if !say(self.words.want(what)) {
                    telling.replayed = Some(Bound::Excluded(what.clone()));
                    break;
                }
            }
        }
        while telling.replayed.is_none()
            && let Some((what, change)) = telling.changes.pop_first()
        {
            let notice = match change {
                Change::Add | Change::Again => self.words.want(&what),
                Change::Remove => self.words.give_up(&what),
            };
            if !say(notice) {
                break;
            }
        }
        if telling.replayed.is_none() && telling.changes.is_empty() {
            let questions = [telling.again.take(), telling.question.take()];
            notices.extend(questions.into_iter().flatten().map(Notice::Ask));
        }
        if telling.has_more() {
            peers.owe_notices(id);
        }
        notices
    }

    /// Notes a change for all who have been told of this one, or would have been.
    fn change(&mut self, peers: &mut Peers, what: &[u8], change: impl Fn(Option<Change>) -> Option<Change>) {
        for (&id, telling) in &mut self.told {
            let is_ahead = match &telling.replayed {
                None => false,
                Some(Bound::Unbounded) => true,
                Some(Bound::Included(at) | Bound::Excluded(at)) => *what > **at,
            };
            if !is_ahead {
                match change(telling.changes.remove(what)) {
                    Some(change) => drop(telling.changes.insert(what.into(), change)),
                    None => continue,
                }
            }
            peers.owe_notices(id);
        }
    }
}

impl Telling {
    fn has_more(&self) -> bool {
        let is_asked = self.question.is_some() || self.again.is_some();
        self.replayed.is_some() || !self.changes.is_empty() || is_asked
    }
}

impl Words {
    fn want(self, what: &[u8]) -> Notice {
        let what = Bytes::copy_from_slice(what);
        match self {
            Words::Subscribe => Notice::Subscribe(what),
            Words::Join => Notice::Join(what),
        }
    }

    fn give_up(self, what: &[u8]) -> Notice {
        let what = Bytes::copy_from_slice(what);
        match self {
            Words::Subscribe => Notice::Cancel(what),
            Words::Join => Notice::Leave(what),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::options::Mark;
    use crate::routing::PeerKind;
    use crate::sim::chance::{Chance, with_seeds};
    use std::collections::BTreeSet;

    const MARK: Mark = Mark {
        messages: 8,
        bytes: 1 << 20,
    };

    fn connected(interests: &mut Interests, peers: &mut Peers, id: PeerId) {
        drop(peers.connected(id, None));
        interests.connected(peers, id);
    }

    /// Does to what a peer knows what it is told; tells whether it was asked.
    fn tell(known: &mut BTreeSet<Vec<u8>>, notices: Vec<Notice>) -> Option<u32> {
        let mut asked = None;
        for notice in notices {
            assert_eq!(asked, None, "a question comes last");
            match notice {
                Notice::Subscribe(topic) => drop(known.insert(topic.to_vec())),
                Notice::Cancel(topic) => assert!(known.remove(&topic[..]), "it knew that"),
                Notice::Ask(question) => asked = Some(question),
                other => panic!("{other:?}"),
            }
        }
        asked
    }

    fn topic(chance: &mut Chance) -> Vec<u8> {
        (0..chance.within(0..4)).map(|_| chance.within(0..3) as u8).collect()
    }

    #[test]
    fn a_question_is_not_asked_once_more_behind_a_newer_one() {
        let mut peers = Peers::new(MARK, MARK);
        let mut interests = Interests::new(Words::Subscribe);
        let id = peers.attach(PeerKind::Dialed, "there");
        connected(&mut interests, &mut peers, id);
        let asked = |interests: &mut Interests, peers: &mut Peers| interests.notices(peers, id, 100);
        let old = interests.ask(&mut peers);
        assert_eq!(asked(&mut interests, &mut peers), [Notice::Ask(old)]);
        let new = interests.ask(&mut peers);
        assert_eq!(asked(&mut interests, &mut peers), [Notice::Ask(new)]);

        interests.notice(&mut peers, id, &Notice::Answer(old));

        assert_eq!(asked(&mut interests, &mut peers), []);
        interests.notice(&mut peers, id, &Notice::Answer(new));
        assert_eq!(asked(&mut interests, &mut peers), [Notice::Ask(new + 1)]);
        interests.notice(&mut peers, id, &Notice::Answer(new + 1));
        assert_eq!(
            (interests.answered(&peers, old), interests.answered(&peers, new)),
            (Some(1), Some(1))
        );
    }

    #[test]
    fn whatever_changes_in_whatever_parts_it_is_told_a_peer_knows_what_is_wanted() {
        with_seeds(300, |seed| {
            let mut chance = Chance::new(seed);
            let mut peers = Peers::new(MARK, MARK);
            let mut interests = Interests::new(Words::Subscribe);
            let id = peers.attach(PeerKind::Dialed, "there");
            let mut known = BTreeSet::new();
            let mut naive: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
            let mut is_up = false;
            for _ in 0..200 {
                let topic = topic(&mut chance);
                match chance.within(0..10) {
                    0..=2 => {
                        *naive.entry(topic.clone()).or_default() += 1;
                        interests.add(&mut peers, &topic);
                    }
                    3..=5 => {
                        let count = naive.get(&topic).copied().unwrap_or(0);
                        assert_eq!(interests.remove(&mut peers, &topic), count > 0);
                        match count {
                            0 => {}
                            1 => drop(naive.remove(&topic)),
                            _ => drop(naive.insert(topic, count - 1)),
                        }
                    }
                    6 if is_up => {
                        is_up = false;
                        known.clear();
                        peers.disconnected(id, None, String::new());
                        interests.disconnected(&mut peers, id);
                    }
                    6 => {
                        is_up = true;
                        connected(&mut interests, &mut peers, id);
                    }
                    _ if is_up && peers.take_owed(id) => {
                        tell(&mut known, interests.notices(&mut peers, id, 50));
                    }
                    _ => {}
                }
                let probe = [&topic_of(&naive, &mut chance)[..], b"x"].concat();
                let has = naive.keys().any(|topic| probe.starts_with(topic));
                assert_eq!(interests.has_prefix_of(&probe), has, "{probe:?} of {naive:?}");
            }
            if !is_up {
                connected(&mut interests, &mut peers, id);
            }
            let question = interests.ask(&mut peers);
            let mut asked = None;
            while asked.is_none() {
                assert!(peers.take_owed(id), "there is something to tell");
                asked = tell(&mut known, interests.notices(&mut peers, id, 50));
            }
            assert_eq!(asked, Some(question));
            assert!(known.iter().eq(naive.keys()), "{known:?} of {naive:?}");
            interests.notice(&mut peers, id, &Notice::Answer(question));
            assert_eq!(interests.answered(&peers, question), None, "it is asked twice");
            assert!(peers.take_owed(id), "there is something to tell");
            let again = tell(&mut known, interests.notices(&mut peers, id, 50));
            assert_eq!(again, Some(question + 1));
            interests.notice(&mut peers, id, &Notice::Answer(question + 1));
            assert_eq!(interests.answered(&peers, question), Some(1));
            assert!(!peers.take_owed(id), "nothing is left to tell");
        });
    }

    fn topic_of(naive: &BTreeMap<Vec<u8>, u32>, chance: &mut Chance) -> Vec<u8> {
        let known = naive.keys().nth(chance.within(0..naive.len().max(1))).cloned();
        match chance.once_in(2) {
            true => known.unwrap_or_default(),
            false => topic(chance),
        }
    }
}

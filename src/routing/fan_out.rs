//! A message to everybody who wants it.
//!
//! Who wants it is looked up once; then each gets a copy in its own queue, or many get it at once, as
//! [`Peers::off_stage`] says. A subscriber at its mark delays nobody, unless that was asked for: what it misses is dropped
//! and counted as its own, and the monitors are told when that begins and ends
//! ([RFC 29](https://rfc.zeromq.org/spec/29/): "SHALL silently drop"; here it is not silent).

use super::last_values::LastValues;
use super::outgoing::Placed;
use super::peer::PeerId;
use super::peers::Peers;
use super::subscriptions::{Change, Subscriptions, TopicId};
use super::wants::{Awaited, TOLD, Want};
use crate::batch::buffers::to_keep;
use crate::explain::Topics;
use crate::failure::Failure;
use crate::limit::Limit;
use crate::message::{Message, Outgoing};
use crate::monitor::Event;
use crate::options::{AtMark, Publishing};
use crate::stats::DropReason;
use std::collections::{BTreeMap, BTreeSet};

/// Outgoing messages to all subscribers that match.
#[derive(Debug)]
pub(crate) struct FanOut {
    subscriptions: Subscriptions,
    matching: Matching,
    at_mark: AtMark,
    is_inverted: bool,
    /// Peers whose connection is ready and that take messages, by index.
    up: Vec<Option<PeerId>>,
    /// Those that say nothing, and so get everything.
    wordless: Vec<PeerId>,
    /// By index: the last choice that this peer was among. One that matches by several of its topics is chosen once.
    chosen_in: Vec<u64>,
    choice: u64,
    /// Who was chosen, for which topics. They are chosen again as long as nobody comes, goes, or changes what it wants.
    chosen: Vec<PeerId>,
    chosen_for: Vec<TopicId>,
    /// One has, since then.
    is_stale: bool,
    /// Which topics match now. Kept for its memory.
    topics: Vec<TopicId>,
    /// What was published last, if nobody wanted it: its beginning. Kept for its memory.
    unmatched: Option<Vec<u8>>,
    /// Subscribers at their marks, and how many messages each has missed since then.
    missing: BTreeMap<PeerId, u64>,
    values: Option<LastValues>,
    /// Subscribers that wait for the newest messages of these topics: until they are at their low mark. At most what they
    /// have subscribed to.
    snapshots: BTreeMap<PeerId, BTreeSet<Box<[u8]>>>,
    /// Bytes of a topic that a peer asks for. Over the limit its connection ends.
    longest: usize,
    /// What the subscriptions that a peer asks for may weigh. At the limit its connection ends.
    most_asked: usize,
    /// Whose connections are to end for that. They have no more subscriptions.
    over: BTreeSet<PeerId>,
}

/// How a subscription is compared with what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matching {
    /// It begins what is published.
    Prefix,
    /// It is what is published to.
    Exact,
}

impl FanOut {
    /// `key` is chosen by chance.
    pub(crate) fn new(matching: Matching, options: &Publishing, key: u64) -> Self {
        FanOut {
            subscriptions: Subscriptions::new(key),
            matching,
            at_mark: options.at_mark,
            is_inverted: options.invert_matching,
            up: Vec::new(),
            wordless: Vec::new(),
            chosen_in: Vec::new(),
            choice: 0,
            chosen: Vec::new(),
            chosen_for: Vec::new(),
            is_stale: true,
            topics: Vec::new(),
            unmatched: None,
            missing: BTreeMap::new(),
            values: options.last_values.map(LastValues::new),
            snapshots: BTreeMap::new(),
            longest: options.longest_topic,
            most_asked: options.most_asked,
            over: BTreeSet::new(),
        }
    }

    // -- subscribers

    /// A connection is ready. It has subscribed to nothing yet; one that cannot gets everything.
    pub(crate) fn connected(&mut self, peers: &mut Peers, id: PeerId, welcome: Option<&Message>) {
        self.is_stale = true;
        if peers.is_wordless(id) {
            self.wordless.push(id);
            return;
        }
        let index = id.index();
        if self.up.len() <= index {
            self.up.resize(index + 1, None);
            self.chosen_in.resize(index + 1, 0);
        }
        if let Some(place) = self.up.get_mut(index) {
            *place = Some(id);
        }
        if let Some(welcome) = welcome {
            peers.force(id, &[], &mut Outgoing::from(welcome));
        }
    }

    /// A peer takes no more messages. Calls for each of its topics, with what its end has changed.
    pub(crate) fn remove(&mut self, peers: &mut Peers, id: PeerId, each: impl FnMut(&[u8], Change)) {
        self.is_stale = true;
        if let Some(place) = self.up.get_mut(id.index())
            && *place == Some(id)
        {
            *place = None;
        }
        self.wordless.retain(|&other| other != id);
        self.snapshots.remove(&id);
        self.over.remove(&id);
        if self.missing.remove(&id).is_some() {
            peers.wants.push(Want::ReadyAll(Awaited::Writable));
        }
        self.subscriptions.remove_all(id, each);
        peers.wants.push(Want::ReadyAll(Awaited::Subscribers));
    }

    /// A peer asks for this. It does not get it if it may not have it; nor over its limit, where it is to end.
    pub(crate) fn ask(&mut self, peers: &mut Peers, id: PeerId, topic: &[u8]) -> Result<Change, DropReason> {
        if self.over.contains(&id) {
            return Err(DropReason::Oversubscribed);
        }
        if topic.len() > self.longest {
            return self.refuse(peers, id, (Limit::TopicLen, self.longest, topic.len()));
        }
        let weight = self.subscriptions.weight_with(id, topic);
        if weight > self.most_asked {
            return self.refuse(peers, id, (Limit::SubscriptionBytes, self.most_asked, weight));
        }
        if !peers.may_subscribe(id, topic) {
            return Err(DropReason::NotAuthorised);
        }
        Ok(self.subscribe(peers, id, topic))
    }

    fn refuse(&mut self, peers: &mut Peers, id: PeerId, why: (Limit, usize, usize)) -> Result<Change, DropReason> {
        self.over.insert(id);
        let (what, limit, observed) = why;
        let [limit, observed] = [limit, observed].map(|it| u64::try_from(it).unwrap_or(u64::MAX));
        peers
            .wants
            .push(Want::Sever(id, Failure::too_large(what, limit, observed)));
        Err(DropReason::Oversubscribed)
    }

    /// A peer gets this from now on.
    pub(crate) fn subscribe(&mut self, peers: &mut Peers, id: PeerId, topic: &[u8]) -> Change {
        self.is_stale = true;
        let change = self.subscriptions.add(id, topic);
        if change != Change::Nothing {
            self.wants_otherwise(peers, id);
            peers.wants.push(Want::ReadyAll(Awaited::Subscribers));
            if self.values.is_some() {
                self.snapshots.entry(id).or_default().insert(topic.into());
                self.send_snapshots(peers, id);
            }
        }
        change
    }

    /// A peer does not want this any more.
    pub(crate) fn cancel(&mut self, peers: &mut Peers, id: PeerId, topic: &[u8]) -> Change {
        self.is_stale = true;
        if let Some(waiting) = self.snapshots.get_mut(&id) {
            waiting.remove(topic);
        }
        self.wants_otherwise(peers, id);
        peers.wants.push(Want::ReadyAll(Awaited::Subscribers));
        self.subscriptions.remove(id, topic)
    }

    /// What a peer wants has changed. Whoever waits for its room may not have to: it may want that message no more.
    fn wants_otherwise(&mut self, peers: &mut Peers, id: PeerId) {
        if self.at_mark == AtMark::Block && self.missing.remove(&id).is_some() {
            peers.wants.push(Want::ReadyAll(Awaited::Writable));
        }
    }

    /// A peer has fallen to its low mark.
    pub(crate) fn has_room(&mut self, peers: &mut Peers, id: PeerId) {
        if let Some(missed) = self.missing.remove(&id) {
            if missed > 0 {
                let peer = peers.endpoint(id).unwrap_or_default().to_owned();
                peers
                    .wants
                    .push(Want::Tell(Event::SubscriberRecovered { peer, missed }));
            }
            peers.wants.push(Want::ReadyAll(Awaited::Writable));
        }
        self.send_snapshots(peers, id);
    }

    // -- publishing

    /// Packs a message for all that want it. `false`: one of them has no room, and is to be waited for; nothing has happened.
    pub(crate) fn send(&mut self, peers: &mut Peers, group: Option<&[u8]>, message: &mut Outgoing<'_>) -> bool {
        self.choose(group.unwrap_or_else(|| message.first()));
        let chosen = std::mem::take(&mut self.chosen);
        let envelope = group.as_slice();
        let off_stage = peers.off_stage(&chosen, self.choice, envelope, message);
        let others = off_stage.as_deref().unwrap_or(&chosen);
        let has_room = self.at_mark != AtMark::Block || self.all_have_room(peers, others);
        if has_room {
            for &id in others {
                if peers.enqueue(id, envelope, message) == Placed::Refused {
                    self.at_mark(peers, id, envelope, message);
                }
            }
            if let Some(others) = off_stage {
                peers.stage(others, envelope, message);
            }
            if chosen.is_empty() {
                let topic = group.unwrap_or_else(|| message.first());
                let unmatched = self.unmatched.get_or_insert_default();
                unmatched.clear();
                unmatched.extend_from_slice(topic.get(..TOLD).unwrap_or(topic));
                peers.drop_unsent(message.byte_count(), DropReason::NoSubscriber);
            }
            self.keep(peers, message);
        } else if let Some(others) = off_stage {
            peers.stay_off_stage(others);
        }
        self.chosen = chosen;
        has_room
    }

    /// How many peers want a message of this topic.
    pub(crate) fn subscribers(&mut self, topic: &[u8]) -> usize {
        self.choose(topic);
        self.chosen.len() - self.wordless.len()
    }

    /// How many topics there are subscriptions to.
    pub(crate) fn topics(&self) -> usize {
        self.subscriptions.len()
    }

    /// What was subscribed to, and what was published in vain. `None` if there are peers that get everything.
    pub(crate) fn explain(&self) -> Option<Topics> {
        if !self.wordless.is_empty() {
            return None;
        }
        let is_in_vain = |topic: &&Vec<u8>| {
            let mut count = 0;
            match self.matching {
                Matching::Prefix => drop(self.subscriptions.matching(topic, |_| count += 1)),
                Matching::Exact => count = self.subscriptions.exactly(topic).iter().count(),
            }
            count == 0 && !self.is_inverted
        };
        Some(Topics {
            count: self.subscriptions.len(),
            unmatched: self.unmatched.as_ref().filter(is_in_vain).cloned(),
        })
    }

    /// Whether a message might find all its subscribers with room.
    pub(crate) fn is_writable(&self) -> bool {
        self.at_mark != AtMark::Block || self.missing.is_empty()
    }

    /// Looks up who gets a message of this topic.
    #[inline]
    fn choose(&mut self, topic: &[u8]) {
        if !self.is_stale && self.matching == Matching::Prefix && self.subscriptions.match_alike() {
            return;
        }
        self.topics.clear();
        match self.matching {
            Matching::Prefix => drop(self.subscriptions.matching(topic, |topic| self.topics.push(topic))),
            Matching::Exact => self.topics.extend(self.subscriptions.exactly(topic)),
        }
        if self.is_stale || self.topics != self.chosen_for {
            self.choose_anew();
        }
    }

    #[inline(never)]
    fn choose_anew(&mut self) {
        self.is_stale = false;
        std::mem::swap(&mut self.topics, &mut self.chosen_for);
        self.choice += 1;
        self.chosen.clear();
        let FanOut {
            up, chosen_in, choice, ..
        } = self;
        for &id in self
            .chosen_for
            .iter()
            .flat_map(|&topic| self.subscriptions.holders(topic))
        {
            if let (Some(&Some(is_up)), Some(last)) = (up.get(id.index()), chosen_in.get_mut(id.index()))
                && is_up == id
                && *last != *choice
            {
                *last = *choice;
                if !self.is_inverted {
                    self.chosen.push(id);
                }
            }
        }
        if self.is_inverted {
            let others = up.iter().zip(chosen_in.iter());
            let others = others.filter(|(_, last)| **last != *choice);
            self.chosen.extend(others.filter_map(|(id, _)| *id));
        }
        self.chosen.extend_from_slice(&self.wordless);
    }

    fn all_have_room(&mut self, peers: &mut Peers, chosen: &[PeerId]) -> bool {
        let mut all = true;
        for &id in chosen {
            if !peers.wants_room(id) {
                self.missing.entry(id).or_default();
                all = false;
            }
        }
        all
    }

    /// A subscriber has no room for this message.
    #[inline(never)]
    fn at_mark(&mut self, peers: &mut Peers, id: PeerId, envelope: &[&[u8]], message: &mut Outgoing<'_>) {
        if self.at_mark == AtMark::Block {
            // It had, when all were looked at: what is shared with it has gone to others since.
            peers.force(id, envelope, message);
            return;
        }
        let missed = self.missing.entry(id).or_default();
        *missed += 1;
        if *missed == 1 {
            let peer = peers.endpoint(id).unwrap_or_default().to_owned();
            peers.wants.push(Want::Tell(Event::SubscriberFull { peer }));
        }
        if self.at_mark == AtMark::DropOldest && make_room(peers, id) {
            peers.force(id, envelope, message);
            return;
        }
        let payload = message.byte_count() + envelope.iter().map(|frame| frame.len()).sum::<usize>();
        peers.refuse(id, payload, DropReason::SubscriberFull);
        if self.at_mark == AtMark::Disconnect && *missed == 1 {
            peers.wants.push(Want::Sever(id, Failure::SlowSubscriber));
        }
    }

    // -- newest messages

    /// Keeps a message for subscribers that come later.
    #[inline]
    fn keep(&mut self, peers: &mut Peers, message: &mut Outgoing<'_>) {
        let Some(values) = &mut self.values else { return };
        if let Some((left, was_another)) = values.put(to_keep(&message.share(&[]))) {
            if was_another {
                peers.forgot_topic();
            }
            peers.wants.push(Want::Drop(left));
        }
    }

    /// Sends the newest messages that a subscriber waits for, if it has room for them: whole, above its mark. Each once,
    /// however many of the topics it matches: so the limit of what is kept is one for what is sent.
    fn send_snapshots(&mut self, peers: &mut Peers, id: PeerId) {
        if !self.snapshots.contains_key(&id) || !peers.awaits_low(id) {
            return;
        }
        let (Some(topics), Some(values)) = (self.snapshots.remove(&id), &self.values) else {
            return;
        };
        let mut last: Option<&[u8]> = None;
        for topic in &topics {
            // In their order a topic comes right before all that begin with it: those messages are among its own.
            if last.is_some_and(|last| topic.starts_with(last)) {
                continue;
            }
            last = Some(topic);
            for message in values.beginning_with(topic) {
                peers.force(id, &[], &mut Outgoing::from(message));
            }
        }
    }
}

/// Drops the oldest messages until there is room for another, or all that are left are on their way. At a mark of bytes it
/// may take several small ones for a large one. `false`: none was dropped.
fn make_room(peers: &mut Peers, id: PeerId) -> bool {
    let mut has_dropped = false;
    while peers.is_at_mark(id) && peers.drop_oldest(id, DropReason::SubscriberFull) {
        has_dropped = true;
    }
    has_dropped
}

#[cfg(test)]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;

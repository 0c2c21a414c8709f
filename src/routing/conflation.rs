//! A queue that keeps the newest message only: of all, or of each topic.
//!
//! Whole messages, of any number of frames; a topic is a message's first frame. With topics the queue has a limit: the
//! one that was published least recently leaves first. What leaves without being sent is the caller's to count and drop.

use crate::message::Message;
use crate::options::Conflate;
use bytes::Bytes;
use std::collections::BTreeMap;

/// The newest message of each topic, the one that changed least recently first.
#[derive(Debug)]
pub(super) struct Conflation {
    kind: Conflate,
    /// By topic: when it changed. Without topics there is one, the empty one. At the limit the oldest leaves.
    topics: BTreeMap<Bytes, u64>,
    /// By when it changed.
    messages: BTreeMap<u64, (Bytes, Message)>,
    next: u64,
}

impl Conflation {
    pub(super) fn new(kind: Conflate) -> Self {
        Conflation {
            kind,
            topics: BTreeMap::new(),
            messages: BTreeMap::new(),
            next: 0,
        }
    }

    /// Adds the newest message. Gives what it replaces, or what leaves for it.
    pub(super) fn put(&mut self, message: Message) -> Option<Message> {
        let topic = self.topic(&message);
        let replaced = match self.topics.get(&topic) {
            Some(when) => self.messages.remove(when),
            None if self.topics.len() >= self.kind.limit() => self.pop_entry(),
            None => None,
        };
        self.topics.insert(topic.clone(), self.next);
        self.messages.insert(self.next, (topic, message));
        self.next += 1;
        replaced.map(|(_, message)| message)
    }

    /// Adds a message that is older than all that are here. Gives it back if there is a newer one.
    pub(super) fn put_back(&mut self, message: Message) -> Option<Message> {
        let topic = self.topic(&message);
        if self.topics.contains_key(&topic) || self.topics.len() >= self.kind.limit() {
            return Some(message);
        }
        // Which of those that come back is the oldest does not matter any more.
        self.topics.insert(topic.clone(), self.next);
        self.messages.insert(self.next, (topic, message));
        self.next += 1;
        None
    }

    /// Takes the message that waits longest.
    pub(super) fn pop(&mut self) -> Option<Message> {
        self.pop_entry().map(|(_, message)| message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn pop_entry(&mut self) -> Option<(Bytes, Message)> {
        let (_, entry) = self.messages.pop_first()?;
        self.topics.remove(&entry.0);
        Some(entry)
    }

    fn topic(&self, message: &Message) -> Bytes {
        match self.kind {
            Conflate::All => Bytes::new(),
            Conflate::ByTopic { .. } => Bytes::copy_from_slice(message.first()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn drain(conflation: &mut Conflation) -> Vec<Message> {
        std::iter::from_fn(|| conflation.pop()).collect()
    }

    #[test]
    fn the_newest_message_is_kept_whole() {
        let mut last = Conflation::new(Conflate::All);
        assert_eq!(last.put("a".into()), None);
        assert_eq!(last.put(["b", "c"].into()), Some("a".into()));
        assert_eq!(drain(&mut last), [Message::from(["b", "c"])]);
        assert!(last.is_empty());
    }

    #[test]
    fn the_newest_of_each_topic_is_kept_and_the_least_recent_leaves_at_the_limit() {
        let mut last = Conflation::new(Conflate::ByTopic { topics: 2 });
        assert_eq!(last.put(["a", "1"].into()), None);
        assert_eq!(last.put(["b", "1"].into()), None);
        assert_eq!(last.put(["a", "2"].into()), Some(["a", "1"].into()));
        assert_eq!(last.put(["c", "1"].into()), Some(["b", "1"].into()));
        assert_eq!(drain(&mut last), [Message::from(["a", "2"]), ["c", "1"].into()]);
    }

    #[test]
    fn what_comes_back_gives_way_to_what_is_newer() {
        let mut last = Conflation::new(Conflate::ByTopic { topics: 2 });
        last.put(["a", "2"].into());
        assert_eq!(last.put_back(["a", "1"].into()), Some(["a", "1"].into()));
        assert_eq!(last.put_back(["b", "1"].into()), None);
        assert_eq!(drain(&mut last).len(), 2);
    }
}

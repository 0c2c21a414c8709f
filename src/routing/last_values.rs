//! The newest message of each topic, for subscribers that come later.
//!
//! A topic is a message's first frame. At the limit the topic that was published least recently leaves, and is counted.

use crate::message::Message;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The newest message of each topic.
#[derive(Debug)]
pub(super) struct LastValues {
    /// At most `limit`; then the one that was published least recently leaves.
    by_topic: BTreeMap<Bytes, (u64, Message)>,
    /// Topics by when they were published.
    by_age: BTreeMap<u64, Bytes>,
    limit: usize,
    next: u64,
}

impl LastValues {
    pub(super) fn new(limit: usize) -> Self {
        LastValues {
            by_topic: BTreeMap::new(),
            by_age: BTreeMap::new(),
            limit,
            next: 0,
        }
    }

    /// Keeps this one. Gives what it replaces, or what leaves for it, to be dropped where no lock is held, and whether it
    /// was another topic's.
    pub(super) fn put(&mut self, message: Message) -> Option<(Message, bool)> {
        let topic = Bytes::copy_from_slice(message.first());
        let age = self.next;
        self.next += 1;
        self.by_age.insert(age, topic.clone());
        if let Some((before, old)) = self.by_topic.insert(topic, (age, message)) {
            self.by_age.remove(&before);
            return Some((old, false));
        }
        if self.by_topic.len() <= self.limit {
            return None;
        }
        let (_, oldest) = self.by_age.pop_first()?;
        self.by_topic.remove(&oldest).map(|(_, message)| (message, true))
    }

    /// Those whose topic begins so, in the order of their topics.
    pub(super) fn beginning_with(&self, prefix: &[u8]) -> impl Iterator<Item = &Message> {
        self.by_topic
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(topic, _)| topic.starts_with(prefix))
            .map(|(_, (_, message))| message)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_topic_is_found_by_its_beginning() {
        let mut values = LastValues::new(3);
        for message in [["a.1", "old"], ["b", "x"], ["a.2", "y"], ["a.1", "new"]] {
            values.put(message.into());
        }
        let found: Vec<_> = values.beginning_with(b"a.").cloned().collect();
        assert_eq!(found, [Message::from(["a.1", "new"]), ["a.2", "y"].into()]);
        assert_eq!(values.beginning_with(b"").count(), 3);
        assert_eq!(values.beginning_with(b"c").count(), 0);

        let (left, was_another) = values.put(["c", "z"].into()).expect("one is over the limit");

        assert!(was_another);
        assert_eq!(left, Message::from(["b", "x"]));
    }
}

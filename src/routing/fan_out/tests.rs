use super::*;
use crate::batch::Tally;
use crate::batch::buffers::FEW;
use crate::options::Mark;
use crate::routing::{PeerKind, Pool};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

fn world(matching: Matching, options: Publishing, mark: Mark) -> (FanOut, Peers, PeerId) {
    let (mut fan, mut peers) = (FanOut::new(matching, &options, 7), Peers::new(mark, mark));
    let id = peers.attach(PeerKind::Accepted, "subscriber");
    drop(peers.connected(id, None));
    fan.connected(&mut peers, id, None);
    (fan, peers, id)
}

fn wakes_senders(peers: &mut Peers) -> bool {
    std::mem::take(&mut peers.wants).contains(&Want::ReadyAll(Awaited::Writable))
}

/// It does not read, so its room may never come.
#[test]
fn a_subscriber_that_gives_its_topic_up_is_waited_for_no_more() {
    for is_inverted in [false, true] {
        let options = Publishing {
            at_mark: AtMark::Block,
            invert_matching: is_inverted,
            ..Publishing::default()
        };
        let mark = Mark {
            messages: 1,
            bytes: 1 << 20,
        };
        let (mut fan, mut peers, id) = world(Matching::Prefix, options, mark);
        if !is_inverted {
            fan.subscribe(&mut peers, id, b"a");
        }
        assert!(fan.send(&mut peers, None, &mut "a".into()));
        assert!(!fan.send(&mut peers, None, &mut "a".into()), "it is at its mark");
        assert!(!fan.is_writable());
        peers.wants.clear();

        match is_inverted {
            false => fan.cancel(&mut peers, id, b"a"),
            true => fan.subscribe(&mut peers, id, b"a"),
        };

        assert!(wakes_senders(&mut peers), "inverted: {is_inverted}");
        assert!(fan.is_writable());
        assert!(fan.send(&mut peers, None, &mut "a".into()), "nobody wants it");
        assert_eq!(peers.stats().out.dropped.of(DropReason::NoSubscriber), 1);
    }
}

/// Nothing is looked up where all who subscribed want everything: not for those either who want what nobody subscribed to.
#[test]
fn who_wants_everything_gets_it_until_that_changes() {
    let mark = Mark {
        messages: 100,
        bytes: 1 << 20,
    };
    for invert_matching in [false, true] {
        let options = Publishing {
            invert_matching,
            ..Publishing::default()
        };
        let (mut fan, mut peers, all) = world(Matching::Prefix, options, mark);
        let some = peers.attach(PeerKind::Accepted, "some");
        drop(peers.connected(some, None));
        fan.connected(&mut peers, some, None);
        let mut got = [0, 0];
        let mut is_got_by = |fan: &mut FanOut, peers: &mut Peers, topic: &str| {
            assert!(fan.send(peers, None, &mut topic.into()));
            let now = [all, some].map(|id| peers.outgoing(id));
            let more = [now[0] - got[0], now[1] - got[1]];
            got = now;
            more.map(|more| (more == 1) != invert_matching)
        };
        fan.subscribe(&mut peers, all, b"");
        for topic in ["a", "b", ""] {
            assert_eq!(is_got_by(&mut fan, &mut peers, topic), [true, false], "{topic}");
        }

        fan.subscribe(&mut peers, some, b"a");
        for (topic, some) in [("a", true), ("b", false), ("ab", true), ("", false)] {
            assert_eq!(is_got_by(&mut fan, &mut peers, topic), [true, some], "{topic}");
        }

        fan.cancel(&mut peers, some, b"a");
        fan.cancel(&mut peers, all, b"");
        for topic in ["a", "b"] {
            assert_eq!(is_got_by(&mut fan, &mut peers, topic), [false, false], "{topic}");
        }
    }
}

/// What a mark of bytes promises: one message may overshoot it, not as many as there were small ones before.
#[test]
fn large_messages_in_the_place_of_small_ones_keep_to_the_mark_of_bytes() {
    let options = Publishing {
        at_mark: AtMark::DropOldest,
        ..Publishing::default()
    };
    let mark = Mark {
        messages: 1_000,
        bytes: 20_000,
    };
    let (mut fan, mut peers, id) = world(Matching::Prefix, options, mark);
    fan.subscribe(&mut peers, id, b"");
    for size in std::iter::repeat_n(10, 300).chain(std::iter::repeat_n(10_000, 100)) {
        assert!(fan.send(&mut peers, None, &mut vec![7; size].into()));
        let out = peers.stats().out;
        assert!(
            out.queued_bytes < 20_000 + 10_000,
            "{} bytes of {} messages",
            out.queued_bytes,
            out.queued
        );
        assert!(out.is_conserved());
    }
    assert_eq!(peers.outgoing(id), 2, "the newest");
    peers.wants.clear();

    let batch = peers.collect(id, Default::default(), Vec::new()).unwrap();
    peers.moved(id, batch.tally());
    while let Some(batch) = peers.collect(id, Default::default(), Vec::new()) {
        peers.moved(id, batch.tally());
    }
    assert!(peers.wants.contains(&Want::Room(id)), "it has recovered");
}

#[test]
fn of_topics_that_waited_together_each_newest_message_is_sent_once() {
    let mark = Mark {
        messages: 2,
        bytes: 1_000,
    };
    let options = Publishing {
        last_values: Some(9),
        ..Publishing::default()
    };
    let (mut fan, mut peers, id) = world(Matching::Prefix, options, mark);
    let send = |fan: &mut FanOut, peers: &mut Peers, message: &'static str| {
        assert!(fan.send(peers, None, &mut message.into()));
    };
    for kept in ["aaa.1", "aab.2", "b.3"] {
        send(&mut fan, &mut peers, kept);
    }
    fan.subscribe(&mut peers, id, b"full");
    for message in ["full", "full up"] {
        send(&mut fan, &mut peers, message);
    }
    assert_eq!(peers.outgoing(id), 2, "the mark");

    for topic in ["a", "aa", "aaa", "aab", "aab.2", "c", "b", "b."] {
        fan.subscribe(&mut peers, id, topic.as_bytes());
    }
    fan.cancel(&mut peers, id, b"b");
    while peers.drop_oldest(id, DropReason::SubscriberFull) {}
    fan.has_room(&mut peers, id);

    assert_eq!(peers.outgoing(id), 3);
}

/// A received one that is passed on may lie in a chunk with thousands of others.
#[test]
fn last_values_keep_no_memory_of_others_for_a_few_bytes() {
    struct Chunk {
        _alive: Arc<()>,
    }
    impl AsRef<[u8]> for Chunk {
        fn as_ref(&self) -> &[u8] {
            &[7; 20_000]
        }
    }
    let mark = Mark {
        messages: 1,
        bytes: 1_000,
    };
    let options = Publishing {
        last_values: Some(9),
        ..Publishing::default()
    };
    let (mut fan, mut peers, _) = world(Matching::Prefix, options, mark);
    let chunk = Arc::new(());
    let part = |range: Range<usize>| {
        Bytes::from_owner(Chunk {
            _alive: Arc::clone(&chunk),
        })
        .slice(range)
    };

    fan.send(
        &mut peers,
        None,
        &mut Message::from([part(0..70), part(70..200)]).into(),
    );
    assert_eq!(Arc::strong_count(&chunk), 1);

    fan.send(&mut peers, None, &mut Message::from(part(0..FEW)).into());
    assert_eq!(Arc::strong_count(&chunk), 2, "shared: it is worth it");
}

/// A world whose queues share so much, with as many subscribers to everything.
fn shared(options: Publishing, bytes: usize, subscribers: usize) -> (FanOut, Peers, Vec<PeerId>) {
    let (mut fan, mut peers) = (FanOut::new(Matching::Prefix, &options, 7), Peers::new(NONE, NONE));
    peers.share(Arc::new(Pool::new(bytes)));
    let all = (0..subscribers).map(|_| {
        let id = peers.attach(PeerKind::Accepted, "subscriber");
        drop(peers.connected(id, None));
        fan.connected(&mut peers, id, None);
        fan.subscribe(&mut peers, id, b"");
        id
    });
    let all = all.collect();
    peers.wants.clear();
    (fan, peers, all)
}

const NONE: Mark = Mark {
    messages: usize::MAX,
    bytes: usize::MAX,
};

/// Who waits for all of them waits so that nothing is dropped.
#[test]
fn what_all_have_room_for_goes_to_all_though_the_first_takes_the_room_of_the_last() {
    let options = Publishing {
        at_mark: AtMark::Block,
        ..Publishing::default()
    };
    for bytes in (100..8_000).step_by(100) {
        let (mut fan, mut peers, all) = shared(options.clone(), bytes, 3);
        let mut sent = 0;

        while fan.send(&mut peers, None, &mut vec![7; 500].into()) {
            sent += 1;
        }

        assert!(all.iter().all(|&id| peers.outgoing(id) == sent), "{sent} of {bytes}");
        assert_eq!(peers.stats().out.dropped.total(), 0, "{bytes}");
        assert!(!fan.is_writable());
        peers.wants.clear();
    }
}

/// Though what is on its way is too much already.
#[test]
fn what_replaces_the_oldest_is_taken_on_whatever_is_shared() {
    let options = Publishing {
        at_mark: AtMark::DropOldest,
        ..Publishing::default()
    };
    let (mut fan, mut peers, all) = shared(options, 2_000, 1);
    let other = peers.attach(PeerKind::Accepted, "other");
    assert!(fan.send(&mut peers, None, &mut "on its way".into()));
    drop(peers.collect(all[0], Tally::default(), Vec::new()));
    assert!(fan.send(&mut peers, None, &mut "old".into()));
    peers.enqueue(other, &[], &mut vec![7; 5_000].into());

    assert!(fan.send(&mut peers, None, &mut "new".into()));

    assert_eq!(peers.outgoing(all[0]), 2);
    assert_eq!(peers.stats().out.taken, 4);
    peers.wants.clear();
}

#[test]
fn the_newest_messages_of_all_topics_go_whole_whatever_is_shared() {
    const TOPICS: usize = 20;
    let options = Publishing {
        last_values: Some(TOPICS),
        ..Publishing::default()
    };
    let (mut fan, mut peers, _) = shared(options, 4_000, 0);
    for topic in 0..TOPICS {
        let message = Message::from([format!("topic {topic}").into_bytes(), vec![7; 500]]);
        assert!(fan.send(&mut peers, None, &mut message.into()));
    }
    let late = peers.attach(PeerKind::Accepted, "late");
    drop(peers.connected(late, None));
    fan.connected(&mut peers, late, Some(&Message::from(vec![7; 5_000])));
    assert_eq!(peers.outgoing(late), 1, "the welcome");
    drop(peers.collect(late, Tally::default(), Vec::new()));
    let welcome = peers.stats().out;
    peers.moved(
        late,
        Tally {
            messages: 1,
            payload: 5_000,
        },
    );
    assert_eq!(welcome.taken, TOPICS as u64 + 1);

    fan.subscribe(&mut peers, late, b"");

    assert_eq!(peers.outgoing(late), TOPICS);
    peers.wants.clear();
}

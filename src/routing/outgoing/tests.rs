use super::*;
use crate::batch::buffers::FEW;
use crate::message::LENT_PACKED;
use crate::options::Conflate;
use crate::sim::chance::{Chance, with_seeds};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const MARK: Mark = Mark {
    messages: 8,
    bytes: 1 << 30,
};

/// The application's own memory, large enough to go by reference.
struct Theirs(Arc<AtomicUsize>);

impl AsRef<[u8]> for Theirs {
    fn as_ref(&self) -> &[u8] {
        &[7; 20_000]
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn what_cannot_be_written_is_dropped_and_leaves_room() {
    let mark = Mark { messages: 2, ..MARK };
    let (mut queue, mut spares) = (OutgoingQueue::new(), Spares::default());
    let mut put = |queue: &mut OutgoingQueue| queue.enqueue(mark, &mut spares, &[b"group"], &mut "body".into());
    assert_eq!(put(&mut queue), Placed::WithRoom);
    assert_eq!(put(&mut queue), Placed::Last);
    assert_eq!(put(&mut queue), Placed::Refused);
    let first = queue.collect(&mut Spares::default(), drop).unwrap().tally();
    assert_eq!((first.messages, first.payload), (2, 18));

    queue.refused(first, DropReason::TooLarge);

    let flow = queue.stats(None);
    assert_eq!(
        (flow.dropped.of(DropReason::TooLarge), flow.queued, flow.passed),
        (2, 0, 0)
    );
    assert!(flow.is_conserved() && queue.has_fallen_to_low(mark));
    assert!(queue.collect(&mut Spares::default(), drop).is_none());
}

/// How many messages of this size, lent or given away, each batch holds.
fn batches(mark: usize, size: usize, count: usize, is_lent: bool) -> Vec<usize> {
    let mark = Mark {
        messages: mark,
        bytes: usize::MAX,
    };
    let (mut queue, mut spares) = (OutgoingQueue::new(), Spares::default());
    let body = vec![7; size];
    for _ in 0..count {
        let mut message = match is_lent {
            true => Outgoing::from(&body),
            false => Outgoing::from(body.clone()),
        };
        assert_ne!(queue.enqueue(mark, &mut spares, &[], &mut message), Placed::Refused);
    }
    let next = |queue: &mut OutgoingQueue, spares: &mut Spares| {
        let batch = queue.collect(spares, drop)?;
        queue.written(batch.tally(), None);
        assert!(batch.messages() == 1 || batch.wire_len() < 256 * 1024 + size);
        Some(batch.messages())
    };
    std::iter::from_fn(|| next(&mut queue, &mut spares)).collect()
}

#[test]
fn a_batch_is_half_a_mark_and_no_more_once_a_quarter_of_a_mebibyte_is_reached() {
    assert_eq!(batches(1, 10, 1, true), [1]);
    assert_eq!(batches(9, 20_000, 9, true), [4, 4, 1]);
    assert_eq!(
        batches(9, 10, 9, true),
        [9],
        "a write for half of so little would cost more"
    );
    assert_eq!(
        batches(100, 1_000, 100, true),
        [74, 26],
        "half a mark, unless that is small"
    );
    for is_lent in [true, false] {
        for (size, most) in [(1_000, 244), (10_000, 25), (100_000, 3), (1 << 20, 1)] {
            assert_eq!(
                batches(1_000, size, 2 * most, is_lent),
                [most, most],
                "{size} lent: {is_lent}"
            );
        }
    }
}

/// Two queues are sent the same; in one, what needs no look at the limits goes without.
#[test]
fn what_is_packed_without_a_look_at_the_limits_is_packed_as_with_one() {
    let sizes = [0, 1, 64, 255, 256, 1_000, LENT_PACKED, LENT_PACKED + 1];
    let bodies = sizes.map(|size| vec![7; size]);
    with_seeds(200, |seed| {
        let mut chance = Chance::new(seed);
        let mark = Mark {
            messages: chance.one_of(&[1, 2, 3, 10, 100, 1_000]),
            bytes: chance.one_of(&[100, 5_000, 300_000, usize::MAX]),
        };
        let few = chance.within(1..sizes.len() + 1);
        let [mut quick, mut slow] = [(); 2].map(|()| (OutgoingQueue::new(), Spares::default()));
        let mut without_a_look = 0;
        for _ in 0..3_000 {
            if chance.once_in(mark.messages as u64 / 2 + 1) {
                let collected = [&mut quick, &mut slow].map(|(queue, spares)| {
                    let batch = queue.collect(spares, drop)?;
                    queue.written(batch.tally(), None);
                    let bytes = batch.to_bytes();
                    spares.give(batch.into_parts().0);
                    Some(bytes)
                });
                assert!(collected[0] == collected[1], "seed {seed}");
            }
            let body = &bodies[chance.within(0..few)];

            let is_quick = quick.0.enqueue_lent(&body.into());
            let placed = match is_quick {
                true => Placed::WithRoom,
                false => quick.0.enqueue(mark, &mut quick.1, &[], &mut body.into()),
            };
            without_a_look += usize::from(is_quick);

            assert_eq!(
                placed,
                slow.0.enqueue(mark, &mut slow.1, &[], &mut body.into()),
                "seed {seed}"
            );
            assert_eq!(quick.0.held(), slow.0.held(), "seed {seed}");
        }
        let is_wide = mark.messages >= 100 && mark.bytes == usize::MAX && few < sizes.len() - 1;
        assert!(!is_wide || without_a_look > 1_000, "seed {seed}: {without_a_look}");
    });
}

#[test]
fn a_message_is_taken_out_by_its_place_and_those_around_it_keep_their_order() {
    for place in 1..=8 {
        let (mut queue, mut spares) = (OutgoingQueue::new(), Spares::default());
        for number in 1..=8u8 {
            queue.enqueue(MARK, &mut spares, &[], &mut Outgoing::from(vec![number; 1 << number]));
        }
        queue.drop_oldest(DropReason::Conflated);
        let first = queue.collect(&mut spares, drop).unwrap();
        let taken = 1 + first.messages() as u64;

        let dropped = queue.drop_at(place, MARK, &mut spares, DropReason::Abandoned);

        assert_eq!(dropped.is_some(), place > taken, "the others are gone, or on their way");
        assert!(dropped.is_none_or(|(left, message)| left == 1 && message.first()[0] == place as u8));
        queue.written(first.tally(), None);
        let mut numbers = Vec::new();
        while let Some(batch) = queue.collect(&mut spares, drop) {
            queue.written(batch.tally(), None);
            let mut run = batch.into_run();
            numbers.extend(std::iter::from_fn(|| run.pop()).map(|message| u64::from(message.first()[0])));
        }
        let expected: Vec<u64> = (taken + 1..=8).filter(|&number| number != place).collect();
        assert_eq!(numbers, expected);
        assert!(queue.stats(None).is_conserved());
        assert_eq!(queue.held().messages, 0);
    }
}

/// A few bytes may lie in a chunk of many, and the next message may be long in coming.
#[test]
fn what_only_the_newest_is_kept_of_keeps_no_memory_of_others_for_a_few_bytes() {
    for (size, is_kept) in [(1_000, false), (FEW - 1, false), (FEW, true)] {
        let dropped = Arc::new(AtomicUsize::new(0));
        let is_dropped = || dropped.load(Ordering::SeqCst) == 1;
        let (mut queue, mut spares, mut later) = (OutgoingQueue::new(), Spares::default(), Vec::new());
        queue.conflate(Conflate::All);
        let theirs = Message::from(Bytes::from_owner(Theirs(Arc::clone(&dropped))).slice(..size));

        queue.replace(&theirs);

        drop(theirs);
        assert_eq!(is_dropped(), !is_kept, "{size} bytes are queued");
        let batch = queue.collect(&mut spares, |message| later.push(message));
        assert_eq!(is_dropped(), !is_kept, "not where a lock is held");
        assert_eq!(batch.map(|batch| batch.into_run().payload()), Some(size));
        drop(later);
        assert!(is_dropped());
    }
}

#[test]
fn what_was_written_before_a_cut_is_not_dropped_where_a_lock_is_held() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mut queue, mut spares) = (OutgoingQueue::new(), Spares::default());
    for _ in 0..3 {
        let message = Message::from(Bytes::from_owner(Theirs(Arc::clone(&dropped))));
        queue.enqueue(MARK, &mut spares, &[], &mut message.into());
    }
    let batch = queue.collect(&mut spares, drop).expect("three are queued");

    let (unwritten, written) = queue.cut_off(Some((batch, 50_000)), None);

    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(written);
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    assert_eq!(
        (unwritten.len(), queue.counts().passed, queue.held().messages),
        (1, 2, 1)
    );
}

//! Marks are exact: not one message more, not one less.

use crate::hub::Hub;
use crate::options::Options;
use crate::sim::World;
use crate::sim::laws::{check, numbered, recv, send};
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use std::sync::Arc;
use std::time::Duration;

fn connected(send_mark: usize, recv_mark: usize) -> (World, Arc<Hub<PushPattern>>, Arc<Hub<PullPattern>>) {
    let mut world = World::new(1, 2);
    let options = Options::default().send_mark(send_mark).recv_mark(recv_mark);
    let push = world.open(0, PushPattern::new, options.clone());
    let pull = world.open(1, PullPattern::new, options);
    world.listen(1, &pull, 1);
    world.settle();
    world.dial(0, &push, 1);
    world.settle();
    assert!(check(&push).peers[0].is_connected);
    (world, push, pull)
}

/// Sends until it is refused.
fn fill(world: &mut World, push: &Hub<PushPattern>, limit: u32) -> u32 {
    for number in 0..limit {
        if !send(push, numbered(0, number, 3)) {
            return number;
        }
        if number.is_multiple_of(2) {
            world.settle();
        }
        check(push);
    }
    limit
}

#[test]
fn a_peer_whose_kernel_takes_nothing_accepts_exactly_the_mark() {
    for mark in [1, 2, 3, 1000] {
        let (mut world, push, pull) = connected(mark, 1000);
        world.fabric().set_capacity(0);
        let accepted = fill(&mut world, &push, 5000);
        assert_eq!(accepted as usize, mark);
        world.run_for(Duration::from_secs(60));
        assert!(!send(&*push, "one more"));
        let out = check(&push).out;
        assert_eq!((out.queued as usize, out.passed, out.dropped.total()), (mark, 0, 0));

        // The kernel takes bytes again: all of it arrives, and there is room.
        world.fabric().set_capacity(7);
        world.settle();
        assert_eq!(check(&pull).incoming.queued as usize, mark);
        assert!(send(&*push, "one more"));
    }
}

#[test]
fn a_peer_that_was_never_reached_accepts_exactly_the_mark() {
    for mark in [1, 2, 3, 1000] {
        let mut world = World::new(1, 1);
        let push = world.open(0, PushPattern::new, Options::default().send_mark(mark));
        world.dial(0, &push, 9);
        assert_eq!(fill(&mut world, &push, 5000) as usize, mark);
        world.run_for(Duration::from_secs(60));
        assert_eq!(check(&push).out.queued as usize, mark);
    }
}

#[test]
fn one_read_that_brings_more_than_the_mark_leaves_exactly_the_mark_in_the_hub() {
    for mark in [1, 2, 3] {
        let (mut world, push, pull) = connected(1000, mark);
        for number in 0..50 {
            assert!(send(&*push, numbered(0, number, 3)));
        }
        world.settle();
        assert_eq!(check(&push).out.passed, 50, "the kernel took all");
        for number in 0..50u32 {
            let left = 50 - number as usize;
            let unread = check(&pull).incoming.queued as usize;
            assert!(unread <= mark.min(left), "{unread} of {left} at mark {mark}");
            assert!(number > 0 || unread == mark);
            let message = recv(&*pull).expect("there is one");
            assert_eq!(message.frames().next().expect("a frame")[1..5], number.to_be_bytes());
            world.settle();
        }
        assert!(recv(&*pull).is_none());
    }
}

#[test]
fn the_end_of_a_stream_while_reading_pauses_loses_nothing_of_what_came() {
    for mark in [1, 2, 3, 8] {
        let (mut world, push, pull) = connected(1000, mark);
        for number in 0..50 {
            assert!(send(&*push, numbered(0, number, 3)));
        }
        world.close(0, push.clone());
        world.run_for(Duration::from_secs(60));
        let mut received = 0;
        while let Some(message) = recv(&*pull) {
            assert_eq!(
                message.frames().next().expect("a frame")[1..5],
                (received as u32).to_be_bytes()
            );
            received += 1;
            world.settle();
        }
        // The sender's linger time is long over: its kernel may have been reset, but one read is always here.
        assert_eq!(received, 50, "at mark {mark}");
        assert!(push.report().is_some());
    }
}

#[test]
fn a_receiver_that_never_reads_stops_its_sender_at_both_marks_and_the_kernel() {
    let (mut world, push, pull) = connected(10, 10);
    world.fabric().set_capacity(100);
    let accepted = fill(&mut world, &push, 5000);
    world.run_for(Duration::from_secs(60));
    let (out, incoming) = (check(&push).out, check(&pull).incoming);
    assert_eq!((out.queued, incoming.queued), (10, 10));
    assert!(accepted < 100, "{accepted} went into a hundred bytes");
}

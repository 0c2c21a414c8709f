//! What sockets say of times, peaks and rates is so, by the virtual clock.

use crate::hub::Hub;
use crate::options::Options;
use crate::sim::World;
use crate::sim::laws::{check, numbered, recv, send};
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use crate::stats::Throughput;
use std::sync::Arc;
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn connected(send_mark: usize, recv_mark: usize) -> (World, Arc<Hub<PushPattern>>, Arc<Hub<PullPattern>>) {
    let mut world = World::new(5, 2);
    let push = world.open(0, PushPattern::new, Options::default().send_mark(send_mark));
    let pull = world.open(1, PullPattern::new, Options::default().recv_mark(recv_mark));
    world.listen(1, &pull, 1);
    world.dial(0, &push, 1);
    assert!(world.run_until(ms(5_000), || push.stats().peers[0].is_connected));
    (world, push, pull)
}

#[test]
fn a_queue_is_full_from_its_mark_until_half_of_it() {
    let (mut world, push, pull) = connected(4, 100);
    world.fabric().set_capacity(0);
    for number in 0..3 {
        assert!(send(&*push, numbered(0, number, 3)));
    }
    world.run_for(ms(1_000));
    assert_eq!(check(&push).out.full_for, ms(0));

    assert!(send(&*push, numbered(0, 3, 3)));
    world.run_for(ms(700));
    assert!(!send(&*push, "refused"));
    world.run_for(ms(50));

    assert_eq!(check(&push).peers[0].out.full_for, ms(750), "while it lasts");
    world.fabric().set_capacity(1_000);
    world.settle();
    world.run_for(ms(2_000));
    let out = check(&push).out;
    assert_eq!((out.full_for, out.queued, out.queued_peak), (ms(750), 0, 4));
    // A byte more than the number and its padding is what each message has.
    assert_eq!(out.queued_peak_bytes, out.taken_bytes);
    assert_eq!(check(&pull).incoming.queued_peak, 4);
}

#[test]
fn a_peer_that_was_never_there_is_full_until_it_goes_and_is_remembered() {
    let mut world = World::new(1, 1);
    let options = Options::default().send_mark(1).linger(ms(300));
    let push = world.open(0, PushPattern::new, options);
    world.dial(0, &push, 9);
    assert!(send(&*push, "waits"));
    world.run_for(ms(5_000));
    world.close(0, push.clone());
    world.run_for(ms(300));
    assert!(push.report().is_some());
    world.run_for(ms(60_000));

    let stats = check(&push);
    assert!(stats.peers.is_empty());
    assert_eq!((stats.out.full_for, stats.out.queued_peak), (ms(5_300), 1));
}

#[test]
fn reading_is_paused_from_the_mark_until_half_of_it() {
    let (mut world, push, pull) = connected(100, 4);
    for number in 0..4 {
        assert!(send(&*push, numbered(0, number, 3)));
    }
    world.run_for(ms(400));
    assert_eq!(check(&pull).incoming.full_for, ms(400));
    recv(&*pull).expect("one is here");
    world.run_for(ms(100));
    recv(&*pull).expect("one is here");
    world.run_for(ms(9_000));

    let incoming = check(&pull).incoming;
    assert_eq!((incoming.full_for, incoming.queued_peak), (ms(500), 4));
}

#[test]
fn what_waits_is_timed_on_both_sides_one_at_a_time() {
    let (mut world, push, pull) = connected(100, 100);
    world.fabric().set_capacity(0);
    for number in 0..10 {
        assert!(send(&*push, numbered(0, number, 3)));
    }
    world.run_for(ms(3_000));
    assert_eq!(check(&push).out_residence.count(), 0, "the first still waits");
    world.fabric().set_capacity(100_000);
    world.settle();
    world.run_for(ms(200));
    while recv(&*pull).is_some() {}

    let (out, incoming) = (check(&push).out_residence, check(&pull).incoming_residence);
    assert_eq!((out.count(), incoming.count()), (1, 1));
    assert_eq!(out.sum(), ms(3_000));
    assert_eq!(incoming.sum(), ms(200));

    // The next ones are timed again, and not as if they had come with those before.
    world.run_for(ms(60_000));
    for number in 10..20 {
        assert!(send(&*push, numbered(0, number, 3)));
        world.run_for(ms(20));
        recv(&*pull).expect("it came");
    }
    let (out, incoming) = (check(&push).out_residence, check(&pull).incoming_residence);
    assert!(out.count() > 4 && incoming.count() > 4, "{out} {incoming}");
    assert!(out.sum() < ms(3_010), "{out:?}");
    assert_eq!(incoming.sum(), ms(200) + ms(20) * (incoming.count() as u32 - 1));
}

#[test]
fn rates_are_right_whether_somebody_asks_or_not() {
    let (mut world, push, pull) = connected(1_000, 1_000);
    let per_second = |rates: Throughput| [rates.second.messages, rates.ten_seconds.messages, rates.minute.messages];
    // Ten messages every tenth of a second, for two minutes, and nobody asks.
    for number in 0..12_000 {
        assert!(send(&*push, numbered(0, number, 3)));
        if number % 10 == 9 {
            world.run_for(ms(100));
            while recv(&*pull).is_some() {}
        }
    }
    let (sent, received) = (push.stats(), pull.stats());
    for rates in [
        sent.out_rate,
        sent.peers[0].out_rate,
        received.incoming_rate,
        received.peers[0].incoming_rate,
    ] {
        for rate in per_second(rates) {
            assert!((88..=112).contains(&rate), "{rates:?}");
        }
    }
    assert_eq!(per_second(sent.incoming_rate), [0; 3]);

    world.run_for(ms(2_000));
    assert_eq!(push.stats().out_rate.second.messages, 0);
    world.run_for(ms(120_000));
    assert_eq!(per_second(push.stats().out_rate), [0; 3]);
    assert_eq!(per_second(pull.stats().peers[0].incoming_rate), [0; 3]);
}

#[test]
fn frames_are_counted_where_the_application_gives_and_takes() {
    let (mut world, push, pull) = connected(100, 100);
    assert!(send(&*push, "one"));
    assert!(send(&*push, ["one", "two", "three"]));
    assert!(send(&*push, ["", ""]));
    world.settle();
    assert_eq!((check(&push).out.frames, check(&pull).incoming.frames), (6, 0));

    let taken = [1, 4, 6].map(|sum| {
        recv(&*pull).expect("one of three");
        check(&pull).incoming.frames == sum
    });
    assert_eq!(taken, [true; 3]);
}

//! What takes time takes exactly the time that its option says, by the virtual clock.

use super::life::ended;
use crate::failure::Failure;
use crate::hub::Station;
use crate::monitor::Event;
use crate::options::Options;
use crate::sim::World;
use crate::sim::laws::{check, recv, send};
use crate::socket::pair::PairPattern;
use crate::socket::publish::PubPattern;
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use crate::socket::subscribe::SubPattern;
use std::time::{Duration, Instant};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn events(monitor: &crate::hub::Monitor) -> Vec<Event> {
    std::iter::from_fn(|| monitor.try_recv().ok()).collect()
}

#[test]
fn a_handshake_that_goes_nowhere_ends_at_its_deadline_on_both_sides() {
    let mut world = World::new(1, 2);
    let options = Options::default().handshake_timeout(ms(700));
    let push = world.open(0, PushPattern::new, options.clone().reconnect(ms(60_000), ms(60_000)));
    let pull = world.open(1, PullPattern::new, options);
    world.listen(1, &pull, 1);
    world.fabric().set_capacity(0);
    world.settle();
    let (mine, theirs) = (push.monitor(), pull.monitor());
    world.dial(0, &push, 1);
    world.run_for(ms(699));
    let is_failed = |event: &Event| matches!(event, Event::HandshakeFailed { .. });
    assert!(!events(&mine).iter().chain(&events(&theirs)).any(is_failed));
    world.run_for(ms(1));
    for monitor in [mine, theirs] {
        let failed = events(&monitor).into_iter().find(is_failed).expect("it is over");
        let Event::HandshakeFailed { failure, .. } = failed else {
            unreachable!()
        };
        let is_expected = matches!(failure, Failure::TimedOut { .. } | Failure::CutShort { .. });
        assert!(is_expected, "{failure}");
    }
}

#[test]
fn an_attempt_that_nobody_answers_ends_at_its_deadline() {
    let mut world = World::new(1, 1);
    let options = Options::default().connect_timeout(ms(300)).reconnect(ms(100), ms(100));
    let push = world.open(0, PushPattern::new, options);
    world.fabric().is_dark = true;
    world.dial(0, &push, 1);
    world.run_for(ms(10_000));
    let times = world.fabric().attempts.clone();
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!((ms(375)..=ms(425)).contains(&gap), "{gap:?} between two attempts");
    }
    assert!(times.len() > 20);
}

/// The waits between these attempts, from 100 ms to 1600 ms.
fn they_double(attempts: &[Instant]) {
    for (n, pair) in attempts.windows(2).enumerate() {
        let wait = ms(100 << n.min(4));
        let gap = pair[1] - pair[0];
        assert!(
            gap >= wait - wait / 4 && gap <= wait + wait / 4,
            "{gap:?} instead of {wait:?}"
        );
    }
}

#[test]
fn waits_between_attempts_double_up_to_the_longest_and_start_over_after_a_long_connection() {
    let mut world = World::new(7, 2);
    let options = Options::default().reconnect(ms(100), ms(1600));
    let push = world.open(0, PushPattern::new, options);
    let pull = world.open(1, PullPattern::new, Options::default());
    world.dial(0, &push, 1);
    world.run_for(ms(20_000));
    let times = std::mem::take(&mut world.fabric().attempts);
    they_double(&times);

    world.listen(1, &pull, 1);
    assert!(world.run_until(ms(3000), || push.stats().peers[0].is_connected));
    world.run_for(ms(1600));
    world.fabric().attempts.clear();
    let broken = world.now();
    let end = world.fabric().dialed()[0];
    world.fabric().reset(end, false);
    assert!(world.run_until(ms(3000), || push.stats().reconnects == 1));
    let gap = world.fabric().attempts[0] - broken;
    assert!((ms(75)..=ms(125)).contains(&gap), "{gap:?}");
}

/// What it has subscribed to is over the publisher's limit, which is told only by the end: no attempt can help.
#[test]
fn a_subscriber_that_is_cut_each_time_it_is_ready_comes_back_after_waits_that_grow() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut world = World::new(seed, 2);
        let limited = Options::default().max_subscription_bytes(1_000);
        let publisher = world.open(0, |options| PubPattern::new(options, seed), limited);
        let options = Options::default().reconnect(ms(100), ms(1600));
        let sub = world.open(1, SubPattern::new, options);
        sub.act(|pattern, peers| (0..20_u8).for_each(|n| pattern.interests().add(peers, &[n])));
        let monitor = publisher.monitor();
        world.listen(0, &publisher, 1);
        world.settle();
        world.dial(1, &sub, 1);
        world.run_for(ms(20_000));

        assert!(matches!(ended(&monitor), Some(Failure::TooLarge { .. })));
        let times = std::mem::take(&mut world.fabric().attempts);
        they_double(&times);
        assert!(times.len() > 10, "it does not give up");

        // It wants less: the next connection lasts, and who breaks that one is soon asked again.
        sub.act(|pattern, peers| (0..20_u8).for_each(|n| assert!(pattern.interests().remove(peers, &[n]))));
        assert!(world.run_until(ms(3000), || sub.stats().peers[0].is_connected));
        world.run_for(ms(1600));
        assert!(sub.stats().peers[0].is_connected);
        world.fabric().attempts.clear();
        let broken = world.now();
        let end = world.fabric().dialed()[0];
        world.fabric().reset(end, false);
        world.run_for(ms(1000));
        let gap = world.fabric().attempts[0] - broken;
        assert!((ms(75)..=ms(125)).contains(&gap), "{gap:?}");
        check(&publisher);
        check(&sub);
    }
}

#[test]
fn a_peer_that_is_never_reached_holds_a_close_until_its_linger_time_is_over_and_no_longer() {
    for is_dark in [false, true] {
        let mut world = World::new(3, 1);
        let push = world.open(0, PushPattern::new, Options::default().linger(ms(900)));
        world.fabric().is_dark = is_dark;
        world.dial(0, &push, 1);
        assert!(send(&*push, "left"));
        world.run_for(ms(500));
        world.close(0, push.clone());
        world.run_for(ms(899));
        assert!(push.report().is_none());
        world.run_for(ms(1));
        let report = push.report().expect("the time is over");
        assert_eq!((report.dropped(), report.is_confirmed()), (1, false));
        check(&push);
        world.run_for(ms(60_000));
        assert_eq!(world.fabric().open_ends(), 0);
    }
}

#[test]
fn a_peer_with_nothing_queued_holds_no_close() {
    let mut world = World::new(3, 1);
    let push = world.open(0, PushPattern::new, Options::default());
    world.dial(0, &push, 1);
    world.run_for(ms(500));
    world.close(0, push.clone());
    world.settle();
    assert!(push.report().is_some());
}

#[test]
fn a_dialer_that_ends_while_one_of_several_addresses_is_tried_tries_no_other() {
    let mut world = World::new(3, 1);
    let push = world.open(0, PushPattern::new, Options::default().linger(ms(900)));
    {
        let mut fabric = world.fabric();
        fabric.is_dark = true;
        let addresses = vec![([127, 0, 0, 1], 1).into(), ([127, 0, 0, 2], 1).into()];
        fabric.names.insert("two".into(), addresses);
    }
    world.dial_to(0, &push, "tcp://two:1".parse().expect("an endpoint"));
    assert!(send(&*push, "left"));
    world.settle();
    world.close(0, push.clone());
    world.run_for(ms(900));
    assert_eq!(push.report().expect("the time is over").dropped(), 1);
    assert_eq!(world.fabric().attempts.len(), 1);
    assert_eq!(world.fabric().open_ends(), 0);
}

#[test]
fn a_closing_socket_reaches_its_peer_and_writes_what_waited() {
    let mut world = World::new(5, 2);
    let push = world.open(0, PushPattern::new, Options::default().linger(ms(2000)));
    let pull = world.open(1, PullPattern::new, Options::default());
    world.dial(0, &push, 1);
    for _ in 0..10 {
        assert!(send(&*push, "late"));
    }
    world.run_for(ms(50));
    world.close(0, push.clone());
    world.listen(1, &pull, 1);
    world.run_for(ms(1999));
    let report = push.report().expect("all is written");
    assert!(report.is_confirmed(), "{report:#?}");
    assert_eq!(std::iter::from_fn(|| recv(&*pull)).count(), 10);
}

#[test]
fn a_second_pair_is_turned_away_and_gets_in_once_the_first_has_gone() {
    let mut world = World::new(2, 3);
    let open = |world: &mut World, node| world.open(node, PairPattern::new, Options::default());
    let (here, first, second) = (open(&mut world, 0), open(&mut world, 1), open(&mut world, 2));
    world.listen(0, &here, 1);
    world.settle();
    world.dial(1, &first, 1);
    world.settle();
    world.dial(2, &second, 1);
    assert!(send(&*second, "let me in"));
    world.run_for(ms(30_000));
    assert_eq!(check(&here).incoming.taken, 0);
    let closing: std::sync::Arc<dyn Station> = first.clone();
    world.close(1, closing);
    assert!(world.run_until(ms(10_000), || here.stats().incoming.taken == 1));
    assert_eq!(recv(&*here).expect("it came").first(), b"let me in");
}

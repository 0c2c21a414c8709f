//! Who is still there, and who is not, by the virtual clock.

use crate::failure::Failure;
use crate::hub::{Hub, Monitor};
use crate::monitor::Event;
use crate::options::Options;
use crate::routing::{Pattern, Want};
use crate::sim::World;
use crate::sim::laws::{check, recv, send};
use crate::socket::pair::PairPattern;
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use std::sync::Arc;
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Why a connection ended, if one did.
pub(super) fn ended(monitor: &Monitor) -> Option<Failure> {
    parted(monitor).map(|(failure, _)| failure)
}

/// The same, and how many messages it may have lost.
fn parted(monitor: &Monitor) -> Option<(Failure, u64)> {
    std::iter::from_fn(|| monitor.try_recv().ok()).find_map(|event| match event {
        Event::Disconnected {
            failure, unanswered, ..
        } => Some((failure, unanswered)),
        _ => None,
    })
}

fn challenge_all<P: Pattern>(hub: &Hub<P>) {
    hub.act(|_, peers| {
        for id in peers.ids() {
            peers.wants.push(Want::Challenge(id));
        }
    });
}

/// Two sockets that are connected.
fn two<A: Pattern, B: Pattern>(
    world: &mut World,
    a: fn(&Options) -> A,
    options_a: &Options,
    b: fn(&Options) -> B,
    options_b: &Options,
) -> (Arc<Hub<A>>, Arc<Hub<B>>) {
    let a = world.open(0, a, options_a.clone());
    let b = world.open(1, b, options_b.clone());
    world.listen(1, &b, 1);
    world.settle();
    world.dial(0, &a, 1);
    world.settle();
    assert!(a.stats().peers[0].is_connected && b.stats().peers[0].is_connected);
    (a, b)
}

#[test]
fn a_challenged_peer_that_lives_stays_and_one_that_vanished_ends_within_a_second() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut world = World::new(seed, 2);
        let options = Options::default();
        let (a, b) = two(&mut world, PairPattern::new, &options, PairPattern::new, &options);
        let monitor = a.monitor();
        challenge_all(&*a);
        challenge_all(&*a);
        world.run_for(ms(3_000));
        assert_eq!(ended(&monitor), None);
        assert!(send(&*a, "here") && send(&*b, "here too"));
        world.settle();
        assert!(recv(&*a).is_some() && recv(&*b).is_some());

        world.fabric().is_unplugged = true;
        challenge_all(&*a);
        world.run_for(ms(999));
        assert_eq!(ended(&monitor), None);
        world.run_for(ms(1));
        let failure = Failure::TimedOut {
            what: "a sign of life",
            limit: ms(1_000),
        };
        assert_eq!(ended(&monitor), Some(failure));
        check(&a);
    }
}

#[test]
fn who_does_not_read_does_not_judge() {
    let mut world = World::new(5, 2);
    let paused = Options::default().recv_mark(1).no_heartbeat();
    let (push, pull) = two(
        &mut world,
        PushPattern::new,
        &Options::default().no_heartbeat(),
        PullPattern::new,
        &paused,
    );
    for n in 0..5 {
        assert!(send(&*push, n.to_string()));
    }
    world.settle();
    let monitor = pull.monitor();
    world.fabric().is_unplugged = true;
    challenge_all(&*pull);
    world.run_for(ms(10_000));
    assert_eq!(ended(&monitor), None, "what it may have sent is not looked at");

    while recv(&*pull).is_some() {
        world.settle();
    }
    world.run_for(ms(2_000));
    assert_eq!(ended(&monitor), None, "its silence begins when we read again");
    challenge_all(&*pull);
    world.run_for(ms(1_000));
    assert!(matches!(ended(&monitor), Some(Failure::TimedOut { .. })));
    assert_eq!(check(&pull).incoming.passed, 5);
}

/// Two sockets with different hearts: what one waits for, the other has to know.
fn hearts() -> [Options; 4] {
    [
        Options::default(),
        Options::default().heartbeat(ms(300)),
        Options::default().heartbeat(ms(20)).heartbeat_timeout(ms(40)),
        Options::default().no_heartbeat(),
    ]
}

#[test]
fn an_idle_pair_that_lives_is_not_parted_whatever_its_hearts_do() {
    for (n, (one, other)) in hearts()
        .iter()
        .flat_map(|a| hearts().map(|b| (a.clone(), b)))
        .enumerate()
    {
        println!("seed {n}");
        let mut world = World::new(n as u64, 2);
        let (a, b) = two(&mut world, PairPattern::new, &one, PairPattern::new, &other);
        let (mine, theirs) = (a.monitor(), b.monitor());
        world.run_for(ms(60_000));
        assert_eq!((ended(&mine), ended(&theirs)), (None, None));
        let beats = one.heartbeat.timeout().is_some();
        assert_eq!(a.stats().peers[0].round_trip.is_some(), beats);
    }
}

/// What it says while it does not read are the bytes that count as life: PONGs it cannot give.
#[test]
fn a_receiver_that_does_not_read_is_not_parted_and_then_gets_everything() {
    for (n, (one, other)) in hearts()
        .iter()
        .flat_map(|a| hearts().map(|b| (a.clone(), b)))
        .enumerate()
    {
        println!("seed {n}");
        let mut world = World::new(n as u64, 2);
        world.fabric().set_capacity(200);
        let (push, pull) = two(
            &mut world,
            PushPattern::new,
            &one,
            PullPattern::new,
            &other.recv_mark(1),
        );
        let (mine, theirs) = (push.monitor(), pull.monitor());
        let mut sent = 0;
        while send(&*push, format!("{sent:050}")) {
            sent += 1;
            world.settle();
        }
        world.run_for(ms(60_000));
        assert_eq!((ended(&mine), ended(&theirs)), (None, None));
        for n in 0..sent {
            assert!(world.run_until(ms(1_000), || check(&pull).incoming.queued > 0));
            assert_eq!(recv(&*pull).expect("it came").first(), format!("{n:050}").as_bytes());
        }
        check(&push);
    }
}

#[test]
fn a_peer_that_vanished_is_noticed_after_an_interval_and_the_timeout_at_the_latest() {
    for (options, limit, latest) in [
        (Options::default(), 10_000, 15_000),
        (Options::default().heartbeat(ms(300)), 600, 900),
        (Options::default().heartbeat_timeout(ms(1_000)), 1_000, 6_000),
    ] {
        let mut world = World::new(limit, 2);
        let (push, _pull) = two(
            &mut world,
            PushPattern::new,
            &options,
            PullPattern::new,
            &Options::default(),
        );
        let monitor = push.monitor();
        world.run_for(ms(limit / 3));
        for _ in 0..7 {
            assert!(send(&*push, "arrives"));
        }
        world.run_for(ms(latest));
        assert_eq!(ended(&monitor), None);

        world.fabric().is_unplugged = true;
        for _ in 0..3 {
            assert!(send(&*push, "does not"));
        }
        world.run_for(ms(latest));
        let (failure, unanswered) = parted(&monitor).expect("it is noticed");
        let (what, limit) = ("a sign of life", ms(limit));
        assert_eq!((failure, unanswered), (Failure::TimedOut { what, limit }, 3));
        assert_eq!(check(&push).out.passed, 10);
    }
}

#[test]
fn a_peer_without_a_heart_is_kept_and_all_that_was_written_may_be_lost() {
    let mut world = World::new(1, 2);
    let off = Options::default().no_heartbeat();
    let (push, _pull) = two(&mut world, PushPattern::new, &off, PullPattern::new, &off);
    let monitor = push.monitor();
    for _ in 0..7 {
        assert!(send(&*push, "arrives"));
    }
    world.run_for(ms(60_000));
    world.fabric().is_unplugged = true;
    world.run_for(ms(3_600_000));
    assert_eq!(ended(&monitor), None);
    challenge_all(&*push);
    world.run_for(ms(1_000));
    assert_eq!(parted(&monitor).expect("it ended").1, 7);
}

/// Of a TTL alone: the one who says it need not be asked.
#[test]
fn who_wants_to_be_given_up_when_it_is_silent_is() {
    let mut world = World::new(1, 2);
    let beats = Options::default().heartbeat(ms(1_000)).heartbeat_ttl(ms(1_500));
    let (push, pull) = two(
        &mut world,
        PushPattern::new,
        &beats,
        PullPattern::new,
        &Options::default().no_heartbeat(),
    );
    let monitor = pull.monitor();
    world.run_for(ms(60_000));
    assert_eq!(ended(&monitor), None);
    assert!(push.stats().peers[0].is_connected);
    world.fabric().is_unplugged = true;
    world.run_for(ms(1_500));
    let (what, limit) = ("a sign of life", ms(1_500));
    assert_eq!(ended(&monitor), Some(Failure::TimedOut { what, limit }));
}

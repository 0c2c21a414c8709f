//! Who is still there, and who is not, by the virtual clock.

use super::World;
use super::laws::{check, recv, send};
use crate::failure::Failure;
use crate::hub::{Hub, Monitor};
use crate::monitor::Event;
use crate::options::Options;
use crate::routing::{Pattern, Want};
use crate::socket::pair::PairPattern;
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use std::sync::Arc;
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Why a connection ended, if one did.
fn ended(monitor: &Monitor) -> Option<Failure> {
    std::iter::from_fn(|| monitor.try_recv().ok()).find_map(|event| match event {
        Event::Disconnected { failure, .. } => Some(failure),
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

fn a_pair(world: &mut World, options: Options) -> (Arc<Hub<PairPattern>>, Arc<Hub<PairPattern>>) {
    let a = world.open(0, PairPattern::new, options.clone());
    let b = world.open(1, PairPattern::new, options);
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
        let (a, b) = a_pair(&mut world, Options::default());
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
    let push = world.open(0, PushPattern::new, Options::default());
    let pull = world.open(1, PullPattern::new, Options::default().recv_mark(1));
    world.listen(1, &pull, 1);
    world.settle();
    world.dial(0, &push, 1);
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

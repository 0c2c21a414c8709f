//! How many come and how fast, by the virtual clock.

use crate::failure::Failure;
use crate::hub::Monitor;
use crate::limit::Limit;
use crate::monitor::Event;
use crate::options::Options;
use crate::security::{Claim, Plain, Security, Verdict};
use crate::sim::World;
use crate::sim::laws::check;
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use std::io::IoSlice;
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_listener_takes_as_many_as_its_rate_says_and_turns_nobody_away() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut world = World::new(seed, 2);
        let options = Options::default().accept_rate(10, 3);
        let pull = world.open(1, PullPattern::new, options);
        world.listen(1, &pull, 1);
        world.settle();
        for _ in 0..10 {
            let push = world.open(0, PushPattern::new, Options::default());
            world.dial(0, &push, 1);
        }
        let here = || pull.stats().peers.len();

        world.run_for(ms(90));
        assert_eq!(here(), 3, "all of the burst");
        for so_far in 4..=10 {
            world.run_for(ms(100));
            assert_eq!(here(), so_far);
        }
        world.run_for(ms(10_000));
        let stats = check(&pull);
        assert_eq!((stats.peers.len(), stats.failed_handshakes), (10, 0));
    }
}

/// T6: at each moment at most so many are in their handshake, and each who speaks gets in.
#[test]
fn threat_06_a_crowd_that_says_nothing_keeps_nobody_out() {
    for seed in 0..10 {
        println!("seed {seed}");
        let mut world = World::new(seed, 3);
        let pull = world.open(1, PullPattern::new, Options::default().max_pending_handshakes(40));
        world.listen(1, &pull, 1);
        world.settle();
        for n in 0..300 {
            // An engine that knows nothing of it, and so never says a word.
            world
                .fabric()
                .connect(2, ([127, 0, 0, 1], 1).into(), usize::MAX - 1 - n);
        }
        world.run_for(ms(100));
        let away = || pull.stats().turned_away.by(Limit::PendingHandshakes);
        assert_eq!(away(), 260);
        let honest: Vec<_> = (0..10)
            .map(|_| {
                let push = world.open(0, PushPattern::new, Options::default());
                world.dial(0, &push, 1);
                push
            })
            .collect();

        let all_in = || honest.iter().all(|push| push.stats().peers[0].is_connected);
        assert!(world.run_until(ms(20_000), all_in));

        check(&pull);
        assert!((261..=270).contains(&away()), "{}", away());
    }
}

/// Two servers that know one password: one looks it up, and one asks.
fn servers() -> [Security; 2] {
    let decide = |claim: &Claim| match claim.has_password("right") {
        true => Verdict::Admit(crate::security::User::new("ann")),
        false => Verdict::deny("who is that?"),
    };
    [Plain::server().allow([("ann", "right")]), Plain::server().ask(decide)]
}

fn client(password: impl Into<String>) -> Options {
    // Once: nobody comes again while this is looked at.
    let once = Options::default().reconnect(ms(60_000), ms(60_000));
    once.security(Plain::client("ann", password))
}

/// Why connections failed, as far as that is told.
fn failures(monitor: &Monitor) -> Vec<Failure> {
    let events = std::iter::from_fn(|| monitor.try_recv().ok());
    let failed = events.filter_map(|event| match event {
        Event::HandshakeFailed { failure, .. } => Some(failure),
        _ => None,
    });
    failed.collect()
}

/// T25: each guess takes a tenth of a second, and meanwhile a place among those that are in their handshake, and nothing of
/// anybody else's time.
#[test]
fn threat_25_who_guesses_waits_and_holds_nobody_up() {
    for (seed, server) in (0..10).flat_map(|seed| servers().map(|server| (seed, server))) {
        println!("seed {seed}");
        let mut world = World::new(seed, 3);
        let options = Options::default().security(server).max_pending_handshakes(25);
        let pull = world.open(1, PullPattern::new, options);
        let monitor = pull.monitor();
        world.listen(1, &pull, 1);
        world.settle();
        let guessing: Vec<_> = (0..30)
            .map(|n| {
                let push = world.open(0, PushPattern::new, client(format!("guess {n}")));
                world.dial(0, &push, 1);
                push
            })
            .collect();
        world.settle();
        let honest = world.open(2, PushPattern::new, client("right"));
        world.dial(2, &honest, 1);

        world.run_for(ms(99));
        assert!(honest.stats().peers[0].is_connected);
        let failed = check(&pull).failed_handshakes;
        assert_eq!(failed, 6, "the oldest go for the newest");

        world.run_for(ms(1));
        world.settle();
        assert_eq!(check(&pull).failed_handshakes, 30);
        let told = failures(&monitor);
        assert_eq!(told.len(), 30);
        // Five may have had to go before they had said a word; of the others it is known what they said.
        let is_known = |failure: &Failure| matches!(failure, Failure::NotAdmitted { .. });
        assert!(told[5..].iter().all(is_known), "{told:?}");
        drop(guessing);
    }
}

/// T25: who does not wait for the answer is told of all the same.
#[test]
fn threat_25_a_guess_is_told_though_the_guesser_is_gone() {
    for (seed, server) in (0..10).flat_map(|seed| servers().map(|server| (seed, server))) {
        println!("seed {seed}");
        let mut world = World::new(seed, 2);
        let pull = world.open(1, PullPattern::new, Options::default().security(server));
        let monitor = pull.monitor();
        world.listen(1, &pull, 1);
        world.settle();
        let push = world.open(0, PushPattern::new, client("wrong"));
        world.dial(0, &push, 1);
        world.run_for(ms(50));
        assert_eq!(failures(&monitor), []);

        world.close(0, push);
        world.run_for(ms(1));

        let told = failures(&monitor);
        assert!(matches!(told[..], [Failure::NotAdmitted { .. }]), "{told:?}");
        assert_eq!(world.fabric().open_ends(), 0);
    }
}

/// T5: who says a byte now and then has no more time than who says nothing.
#[test]
fn threat_05_a_greeting_byte_by_byte_does_not_put_off_its_end() {
    let mut world = World::new(1, 3);
    let options = Options::default().handshake_timeout(ms(3_000));
    let pull = world.open(1, PullPattern::new, options);
    let monitor = pull.monitor();
    world.listen(1, &pull, 1);
    world.settle();
    let nobody = usize::MAX - 1;
    let stranger = world.fabric().connect(2, ([127, 0, 0, 1], 1).into(), nobody);
    world.settle();

    let mut greeting = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL".to_vec();
    greeting.resize(30, 0);
    for byte in greeting {
        assert_eq!(failures(&monitor), []);
        world.fabric().write(stranger, &[IoSlice::new(&[byte])]).unwrap();
        world.run_for(ms(100));
    }

    let limit = ms(3_000);
    let what = "the handshake";
    assert_eq!(failures(&monitor), [Failure::TimedOut { what, limit }]);
}

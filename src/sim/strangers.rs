//! How many come and how fast, by the virtual clock.

use super::World;
use super::laws::check;
use crate::limit::Limit;
use crate::options::Options;
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
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

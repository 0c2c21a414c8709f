//! How connections end: in good order, and while somebody waits for room.

use crate::engine::seat::Work;
use crate::hub::Effects;
use crate::options::Options;
use crate::routing::{Awaited, Pattern, Peers, Sends, Want};
use crate::sim::World;
use crate::sim::fabric::Cut;
use crate::sim::laws::{check, recv, send};
use crate::socket::pair::PairPattern;
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use std::io::IoSlice;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// Whoever flushed last shut our side; a PING that is read before what follows is discarded cannot be answered.
#[test]
fn a_ping_that_comes_right_after_our_end_does_not_undo_it() {
    let mut world = World::new(1, 2);
    let push = world.open(0, PushPattern::new, Options::default());
    let pull = world.open(1, PullPattern::new, Options::default());
    world.listen(1, &pull, 1);
    world.settle();
    let peer = world.dial(0, &push, 1);
    world.settle();
    world.fabric().set_capacity(0);
    assert!(send(&*push, "the last"));
    world.close(0, push.clone());
    world.settle();

    // The kernel takes it again, and the keeper is the first to look: it has not told yet that our side is shut.
    world.fabric().set_capacity(100);
    push.act(|_, peers| peers.wants.push(Want::Flush(peer)));
    let mut work = Work::default();
    world.nodes[0].seat.before_poll(false, &mut work);
    let session = work.flushes.pop_front().expect("it was noted");
    let mut effects = Effects::default();
    while !session.is_shut() {
        session.flush_once(&mut effects).expect("it is written");
    }
    effects.run();
    let dialed = world.fabric().dialed()[0];
    let ping = b"\x04\x07\x04PING\0\0";
    world
        .fabric()
        .write(dialed ^ 1, &[IoSlice::new(ping)])
        .expect("there is room");
    world.run_for(Duration::from_secs(1));

    let report = push.report().expect("it is over");
    assert!(report.is_confirmed(), "{report:?}");
    assert_eq!(check(&pull).incoming.taken, 1);
}

/// The waits double up to 5 s, which is all the time that is left; one of those is planned already when a socket closes late.
#[test]
fn a_peer_that_comes_just_within_the_linger_time_gets_what_was_sent_to_it() {
    for (seed, open_for, last) in (0..20).flat_map(|seed| {
        [0, 700, 30_000].map(|open_for| {
            (
                seed,
                Duration::from_millis(open_for),
                ["close", "disconnect"][seed as usize % 2],
            )
        })
    }) {
        println!("seed {seed}, {last} after {open_for:?}");
        let mut world = World::new(seed, 2);
        let push = world.open(0, PushPattern::new, Options::default());
        let pull = world.open(1, PullPattern::new, Options::default());
        world.dial(0, &push, 1);
        assert!(send(&*push, "hello"));
        world.run_for(open_for);
        match last {
            "close" => drop(world.close(0, push.clone())),
            _ => world.disconnect(0, &push, 1),
        }
        world.run_for(Duration::from_millis(4_500));
        assert_eq!(push.stats().out.dropped.total(), 0);

        world.listen(1, &pull, 1);
        world.run_for(Duration::from_millis(500));

        assert_eq!(recv(&*pull).expect("it came in time"), "hello");
        let out = check(&push).out;
        assert_eq!((out.passed, out.dropped.total()), (1, 0));
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Five messages fill the queue, and go as two, two and one. The third is the last that is wholly written: two are left,
/// which is the low mark.
#[test]
fn a_sender_goes_on_in_the_room_that_a_lost_connection_leaves() {
    goes_on_in_the_room_that_is_left(PushPattern::new, PullPattern::new);
    goes_on_in_the_room_that_is_left(PairPattern::new, PairPattern::new);
}

fn goes_on_in_the_room_that_is_left<A: Sends, B: Pattern>(a: fn(&Options) -> A, b: fn(&Options) -> B) {
    let mut world = World::new(1, 2);
    let push = world.open(0, a, Options::default().send_mark(5));
    let pull = world.open(1, b, Options::default());
    world.dial(0, &push, 1);
    (0..5).for_each(|_| assert!(send(&*push, "0123456789")));
    world.listen(1, &pull, 1);
    while pull.stats().peers.is_empty() {
        world.step_or_sleep();
    }
    world.fabric().set_capacity(0);
    world.settle();
    assert!(check(&push).peers[0].is_connected);
    let mut message = "one more".into();
    let step = |pattern: &mut A, peers: &mut Peers| pattern.send(peers, &mut message).then_some(());
    let mut waiting = pin!(push.pending(Awaited::Writable, step));
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    assert!(waiting.as_mut().poll(&mut context).is_pending());

    // Three messages, and a part of the fourth; and nobody is found again.
    let dialed = world.fabric().dialed()[0];
    let after = 3 * 12 + 5;
    world.fabric().cut(dialed, Cut { after, arrives: true });
    world.fabric().is_dark = true;
    world.fabric().set_capacity(100);
    world.settle();

    let out = check(&push).out;
    assert_eq!((out.passed, out.queued), (3, 2));
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(waiting.as_mut().poll(&mut context).is_ready());
}

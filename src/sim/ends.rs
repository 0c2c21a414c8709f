//! How a connection ends that both sides end in good order.

use super::World;
use super::laws::{check, send};
use crate::engine::seat::Work;
use crate::hub::Effects;
use crate::options::Options;
use crate::routing::Want;
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use std::io::IoSlice;
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

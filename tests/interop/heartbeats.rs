//! Signs of life, asked for by either side.

use crate::common::{until, wait_for};
use crate::peer::{LIMIT, with_peer};
use crate::shapes::{plain, shapes};
use crate::ways::{Place, for_each_way, they_bind};
use peermq::{Context, Options, Pair, Pull, Push};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// T38 `test_heartbeat_notimeout`: both sides ask, and an idle pair that lives is not parted. libzmq echoes our context.
#[test]
fn hearts_beat_on_both_sides() {
    for_each_way("PAIR HEARTBEAT_IVL=50 HEARTBEAT_TIMEOUT=1000", |peer, way| {
        let options = Options::default().heartbeat(50 * MS).heartbeat_timeout(1_000 * MS);
        let pair = Pair::with_options(&way.context, options).unwrap();
        let monitor = pair.monitor();
        way.link(peer, &pair);
        wait_for!(monitor, Connected);
        until("a PING was answered", || pair.stats().peers[0].round_trip.is_some());
        let parted = monitor.recv_timeout(1_200 * MS);
        assert!(parted.is_err(), "{parted:?}");
        for shape in shapes() {
            peer.tell(format_args!("echo {} . {shape}", way.name));
            shape.lend(&[], |frames| pair.send_timeout(frames, LIMIT).unwrap());
            shape.check(&[], &pair.recv_timeout(LIMIT).unwrap());
            peer.all_ok(1);
        }
    });
}

/// libzmq counts silence also towards a peer that has no room for what it sends: ours says that it lives all the same.
#[test]
fn libzmq_does_not_part_from_a_receiver_of_ours_that_does_not_read() {
    for_each_way("PUSH HEARTBEAT_IVL=100 HEARTBEAT_TIMEOUT=600", |peer, way| {
        let options = Options::default().heartbeat(100 * MS).recv_mark(1);
        let pull = Pull::with_options(&way.context, options).unwrap();
        let monitor = pull.monitor();
        way.link(peer, &pull);
        wait_for!(monitor, Connected);
        let shapes = || plain(0..40, 1 << 19);
        for shape in shapes() {
            peer.ask(format_args!("send {} . {shape}", way.name));
        }
        let parted = monitor.recv_timeout(1_500 * MS);
        assert!(parted.is_err(), "{parted:?}");
        for shape in shapes() {
            shape.check(&[], &pull.recv_timeout(LIMIT).unwrap());
        }
    });
}

/// A PING by default would part from it: it does not answer while it does not read. Waits for ten of our default
/// intervals, while others use the process.
#[test]
fn a_libzmq_receiver_that_does_not_read_is_not_parted_from_and_then_gets_everything() {
    let (context, count, mut their_name) = (Context::new().unwrap(), 200, None);
    let push = Push::new(&context);
    let monitor = push.monitor();
    let shapes = || plain(0..count, 1 << 17);
    with_peer(|peer| {
        let (name, endpoint) = they_bind(peer, "PULL RCVHWM=1", &Place::new("tcp"));
        their_name = Some(name);
        push.connect(endpoint.as_str()).unwrap();
        wait_for!(monitor, Connected);
        for shape in shapes() {
            shape.lend(&[], |frames| push.send_timeout(frames, LIMIT).unwrap());
        }
    });
    let Some(name) = their_name else { return };
    let parted = monitor.recv_timeout(50_000 * MS);
    assert!(parted.is_err(), "{parted:?}");
    assert!(push.stats().out.queued > 0, "it was really stopped");
    with_peer(|peer| {
        for shape in shapes() {
            peer.ask(format_args!("recv {name} . {shape}"));
        }
        peer.ask(format_args!("close {name}"));
    });
}

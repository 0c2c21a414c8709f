//! What the end of one connection promises, while its socket goes on: `disconnect`, `unbind` and `unbind_and_close`.

mod common;

use common::{LONG, endpoint, unused, wait_connected, wait_for};
use peermq::{Context, DropReason, Flow, Options, Pull, Push};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[test]
fn a_peer_that_is_on_its_way_out_takes_no_new_messages() {
    for transport in ["tcp", "ipc", "inproc"] {
        let nobody = match transport {
            "tcp" => "tcp://127.0.0.1:1".into(),
            _ => endpoint(transport),
        };
        let context = Context::new().unwrap();
        let push = Push::with_options(&context, Options::default().linger(Duration::from_millis(500))).unwrap();
        push.connect(&nobody).unwrap();
        push.send("waits for the one that is not there").unwrap();
        let pull = Pull::new(&context);
        let monitor = push.monitor();
        push.connect(pull.bind(endpoint(transport)).unwrap()).unwrap();
        wait_connected(&monitor);

        push.disconnect(&nobody).unwrap();

        for number in 0..10 {
            push.send(number.to_string()).unwrap();
            assert_eq!(
                pull.recv_timeout(LONG).unwrap(),
                number.to_string().as_str(),
                "{transport}"
            );
        }
    }
}

/// How the end of a link is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Disconnect,
    UnbindAndClose,
}

/// Over inproc, with five messages for a reader that has room for one; the socket that sends has been told to end the link.
fn ended_with_a_queue(context: &Context, how: Ending, linger: Duration) -> (Push, peermq::Monitor, Pull, String) {
    let push = Push::with_options(context, Options::default().send_mark(10).linger(linger)).unwrap();
    let pull = Pull::with_options(context, Options::default().recv_mark(1)).unwrap();
    let monitor = push.monitor();
    let name = endpoint("inproc");
    match how {
        Ending::Disconnect => {
            pull.bind(&name).unwrap();
            push.connect(&name).unwrap();
        }
        Ending::UnbindAndClose => {
            push.bind(&name).unwrap();
            pull.connect(&name).unwrap();
        }
    }
    for number in 0..5 {
        push.send(number.to_string()).unwrap();
    }
    match how {
        Ending::Disconnect => push.disconnect(&name).unwrap(),
        Ending::UnbindAndClose => push.unbind_and_close(&name).unwrap(),
    }
    (push, monitor, pull, name)
}

#[test]
fn an_inproc_link_that_is_to_end_moves_what_is_queued_first() {
    for how in [Ending::Disconnect, Ending::UnbindAndClose] {
        let context = Context::new().unwrap();

        let (push, monitor, pull, name) = ended_with_a_queue(&context, how, LONG);

        let refused = push.try_send("too late").unwrap_err();
        assert_eq!(refused.reason, peermq::NotSent::WouldBlock, "{how:?}");
        assert!(push.disconnect(&name).is_err(), "it is ending already");
        for number in 0..5 {
            assert_eq!(pull.recv_timeout(LONG).unwrap(), number.to_string().as_str(), "{how:?}");
        }
        wait_for!(monitor, Disconnected);
        let out = push.stats().out;
        assert_eq!((out.passed, out.dropped.total(), out.queued), (5, 0, 0), "{how:?}");
        if how == Ending::UnbindAndClose {
            // The one that dialed waits for the name again.
            push.bind(&name).unwrap();
            push.send("again").unwrap();
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "again");
        }
    }
}

#[test]
fn an_inproc_link_lingers_no_longer_than_it_may() {
    for how in [Ending::Disconnect, Ending::UnbindAndClose] {
        for linger in [Duration::ZERO, Duration::from_millis(20)] {
            let context = Context::new().unwrap();

            let (push, monitor, pull, _) = ended_with_a_queue(&context, how, linger);

            wait_for!(monitor, Disconnected);
            push.close().unwrap();
            let out = push.stats().out;
            assert!(out.is_conserved(), "{how:?} {out:?}");
            assert_eq!((out.passed, out.dropped.total()), (1, 4), "{how:?} {linger:?}");
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "0");
            assert_eq!(pull.try_recv(), Err(peermq::RecvError::WouldBlock));
        }
    }
}

#[test]
fn what_waits_for_a_name_lingers_too() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().linger(LONG)).unwrap();
    let monitor = push.monitor();
    let name = endpoint("inproc");
    push.connect(&name).unwrap();
    push.send("one").unwrap();
    push.send("two").unwrap();

    push.disconnect(&name).unwrap();

    assert!(push.disconnect(&name).is_err(), "it is ending already");
    assert!(push.try_send("too late").is_err());
    let pull = Pull::new(&context);
    pull.bind(&name).unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "one");
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "two");
    wait_for!(monitor, Disconnected);
    assert_eq!(push.stats().peers.len(), 0);
}

#[test]
fn a_link_that_is_lost_while_it_lingers_is_found_again() {
    let context = Context::new().unwrap();
    let (push, monitor, first, name) = ended_with_a_queue(&context, Ending::Disconnect, LONG);

    first.unbind_and_close(&name).unwrap();
    wait_for!(monitor, Disconnected);
    assert_eq!(first.recv_timeout(LONG).unwrap(), "0");
    let second = Pull::new(&context);
    second.bind(&name).unwrap();

    for number in 1..5 {
        assert_eq!(second.recv_timeout(LONG).unwrap(), number.to_string().as_str());
    }
    wait_for!(monitor, Disconnected);
    let out = push.stats().out;
    assert_eq!((out.passed, out.dropped.total(), out.queued), (5, 0, 0));
}

#[test]
fn who_binds_a_name_later_does_not_end_the_links_of_who_had_it() {
    let context = Context::new().unwrap();
    let (push, first, second) = (Push::new(&context), Pull::new(&context), Pull::new(&context));
    let name = endpoint("inproc");
    first.bind(&name).unwrap();
    push.connect(&name).unwrap();
    first.unbind(&name).unwrap();
    second.bind(&name).unwrap();

    second.unbind_and_close(&name).unwrap();

    push.send("still here").unwrap();
    assert_eq!(first.recv_timeout(LONG).unwrap(), "still here");
}

#[test]
fn what_waits_for_an_endpoint_that_is_given_up_is_dropped_when_its_linger_time_is_over() {
    for transport in ["tcp", "ipc", "inproc"] {
        for linger in [Duration::ZERO, Duration::from_millis(20)] {
            let context = Context::new().unwrap();
            let push = Push::with_options(&context, Options::default().linger(linger)).unwrap();
            let there = unused(transport);
            push.connect(&there).unwrap();
            push.send("for nobody").unwrap();

            push.disconnect(&there).unwrap();

            let out = when_nothing_is_queued(&push);
            assert_eq!(out.dropped.of(DropReason::Linger), 1, "{transport} {linger:?} {out:?}");
        }
    }
}

fn when_nothing_is_queued(push: &Push) -> Flow {
    loop {
        let out = push.stats().out;
        if out.queued == 0 {
            return out;
        }
        std::thread::yield_now();
    }
}

const TO_A_SLOW_READER: u64 = 100;

/// A socket that has sent so much to a reader that takes nothing, and the endpoint that is between them.
fn before_a_slow_reader(context: &Context, transport: &str, how: Ending, linger: Duration) -> (Push, Pull, String) {
    let small = Options::default().send_buffer(4096).recv_buffer(4096);
    let push = Push::with_options(context, small.clone().linger(linger)).unwrap();
    let pull = Pull::with_options(context, small.recv_mark(1)).unwrap();
    let monitor = push.monitor();
    let here = match how {
        Ending::Disconnect => pull.bind(endpoint(transport)).unwrap(),
        Ending::UnbindAndClose => push.bind(endpoint(transport)).unwrap(),
    };
    match how {
        Ending::Disconnect => push.connect(&here).unwrap(),
        Ending::UnbindAndClose => pull.connect(&here).unwrap(),
    }
    wait_connected(&monitor);
    for _ in 0..TO_A_SLOW_READER {
        push.send(&[7; 64 * 1024]).unwrap();
    }
    (push, pull, here.to_string())
}

#[test]
fn what_a_slow_reader_has_not_taken_is_dropped_when_its_linger_time_is_over() {
    for transport in ["tcp", "ipc", "inproc"] {
        for how in [Ending::Disconnect, Ending::UnbindAndClose] {
            for linger in [Duration::ZERO, Duration::from_millis(20)] {
                for is_closed in [false, true] {
                    let context = Context::new().unwrap();
                    let (push, _pull, here) = before_a_slow_reader(&context, transport, how, linger);

                    match how {
                        _ if is_closed => drop(push.close().unwrap()),
                        Ending::Disconnect => push.disconnect(&here).unwrap(),
                        Ending::UnbindAndClose => push.unbind_and_close(&here).unwrap(),
                    }

                    let out = when_nothing_is_queued(&push);
                    let dropped = out.dropped.of(DropReason::Linger);
                    let case = format!("{transport} {how:?} {linger:?} {is_closed} {out:?}");
                    assert!(dropped > 0, "{case}");
                    assert_eq!(out.passed + dropped, TO_A_SLOW_READER, "{case}");
                }
            }
        }
    }
}

#[test]
fn what_a_reader_that_goes_has_not_taken_is_not_counted_as_too_late() {
    for transport in ["tcp", "ipc"] {
        let context = Context::new().unwrap();
        let (push, pull, here) = before_a_slow_reader(&context, transport, Ending::UnbindAndClose, LONG);
        push.unbind_and_close(&here).unwrap();

        drop(pull);

        let out = when_nothing_is_queued(&push);
        let dropped = out.dropped.of(DropReason::PeerLost);
        assert!(dropped > 0, "{transport} {out:?}");
        assert_eq!(out.passed + dropped, TO_A_SLOW_READER, "{transport} {out:?}");
    }
}

#[test]
fn nothing_is_lost_when_a_connection_is_ended_in_the_middle_of_a_flood() {
    const ALL: u64 = 20_000;
    for transport in ["tcp", "ipc", "inproc"] {
        let context = Context::new().unwrap();
        let few = Options::default().mark(8).linger(LONG);
        let push = Push::with_options(&context, few.clone()).unwrap();
        let monitor = push.monitor();
        let pulls = [(); 2].map(|()| Pull::with_options(&context, few.clone()).unwrap());
        let [first, _] = [0, 1].map(|at| {
            let here = push.bind(endpoint(transport)).unwrap();
            pulls[at].connect(&here).unwrap();
            wait_connected(&monitor);
            here
        });
        let got = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..ALL).for_each(|_| push.send("one of many").unwrap()));
            for pull in &pulls {
                scope.spawn(|| {
                    let mut patience = 200;
                    while got.load(Ordering::SeqCst) < ALL {
                        match pull.recv_timeout(Duration::from_millis(50)) {
                            Ok(_) => drop(got.fetch_add(1, Ordering::SeqCst)),
                            Err(_) if patience > 0 => patience -= 1,
                            Err(_) => panic!("{transport}: {got:?} of {ALL}"),
                        }
                    }
                });
            }
            while got.load(Ordering::SeqCst) < ALL / 4 {
                std::thread::yield_now();
            }
            push.unbind_and_close(&first).unwrap();
        });
        push.close().unwrap();
        let out = push.stats().out;
        assert_eq!((out.passed, out.dropped.total()), (ALL, 0), "{transport}");
    }
}

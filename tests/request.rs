//! REQ and REP over real sockets: the same tests over every transport.

mod common;

use common::{LONG, endpoint, transport_suite, wait_connected, wait_for};
use peermq::{Context, DropReason, NotSent, Options, Rep, Req, RequestError};
use std::thread;
use std::time::Duration;

fn linked(context: &Context, transport: &str) -> (Req, Rep) {
    linked_with(context, transport, Options::default())
}

fn linked_with(context: &Context, transport: &str, options: Options) -> (Req, Rep) {
    let rep = Rep::new(context);
    let req = Req::with_options(context, options).unwrap();
    let monitor = req.monitor();
    req.connect(rep.bind(endpoint(transport)).unwrap()).unwrap();
    wait_connected(&monitor);
    (req, rep)
}

fn serve(rep: &Rep, requests: usize) {
    for _ in 0..requests {
        let request = rep.recv_timeout(LONG).unwrap();
        let answer = request.message().clone();
        request.reply(answer).unwrap();
    }
}

/// Many threads on one REQ, four on one REP: each caller gets its own reply.
fn each_caller_gets_its_own_reply(transport: &str) {
    let context = Context::new().unwrap();
    let (req, rep) = linked(&context, transport);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| serve(&rep, 400));
        }
        for caller in 0..8u32 {
            let req = &req;
            scope.spawn(move || {
                for number in 0..200u32 {
                    let body = [caller.to_le_bytes(), number.to_le_bytes()].concat();
                    assert_eq!(req.request_timeout(&body, LONG).unwrap(), body);
                }
            });
        }
    });
    let stats = req.stats();
    assert!(stats.out.is_conserved() && stats.incoming.is_conserved());
    assert_eq!(stats.incoming.passed, 1600);
}

fn one_at_a_time_without_correlation(transport: &str) {
    let context = Context::new().unwrap();
    let (req, rep) = linked_with(&context, transport, Options::default().correlate(false));
    thread::scope(|scope| {
        scope.spawn(|| serve(&rep, 400));
        for caller in 0..4u32 {
            let req = &req;
            scope.spawn(move || {
                for number in 0..100u32 {
                    let body = [caller.to_le_bytes(), number.to_le_bytes()].concat();
                    assert_eq!(req.request_timeout(&body, LONG).unwrap(), body);
                }
            });
        }
    });
}

fn a_late_reply_is_dropped_and_counted(transport: &str) {
    let context = Context::new().unwrap();
    let (req, rep) = linked(&context, transport);
    let error = req.request_timeout("slow", Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, RequestError::TimedOut), "{error:?}");
    let late = rep.recv_timeout(LONG).unwrap();
    late.reply("too late").unwrap();

    thread::scope(|scope| {
        scope.spawn(|| serve(&rep, 1));
        assert_eq!(req.request_timeout("next", LONG).unwrap(), "next");
    });
    assert_eq!(req.stats().incoming.dropped.of(DropReason::StaleReply), 1);
}

fn a_request_outlives_its_socket_only_to_fail(transport: &str) {
    let context = Context::new().unwrap();
    let (req, rep) = linked(&context, transport);
    thread::scope(|scope| {
        let caller = scope.spawn(|| req.request_timeout("hello", LONG));
        let request = rep.recv_timeout(LONG).unwrap();
        rep.close().unwrap();
        let error = request.reply(vec![1]).unwrap_err();
        assert_eq!(
            (error.reason, error.message.unwrap()),
            (NotSent::Closed, vec![1].into())
        );
        let lost = caller.join().unwrap().unwrap_err();
        assert!(matches!(lost, RequestError::PeerLost), "{lost:?}");
    });
}

fn a_reply_to_a_client_that_is_gone_comes_back(transport: &str) {
    let context = Context::new().unwrap();
    let (req, rep) = linked(&context, transport);
    let monitor = rep.monitor();
    let request = std::thread::scope(|scope| {
        scope.spawn(|| req.request_timeout("bye", LONG));
        let request = rep.recv_timeout(LONG).unwrap();
        req.close().unwrap();
        request
    });
    wait_for!(monitor, Disconnected);
    let error = request.reply(String::from("nobody")).unwrap_err();
    assert_eq!(error.reason, NotSent::PeerGone);
    assert_eq!(error.message.unwrap(), "nobody");
    assert_eq!(rep.stats().out.dropped.of(DropReason::PeerGone), 1);
}

fn an_unanswered_request_is_counted(transport: &str) {
    let context = Context::new().unwrap();
    let (req, rep) = linked(&context, transport);
    std::thread::scope(|scope| {
        scope.spawn(|| req.request_timeout("anyone?", LONG));
        drop(rep.recv_timeout(LONG).unwrap());
        req.close().unwrap();
    });
    let incoming = rep.stats().incoming;
    assert_eq!(incoming.dropped.of(DropReason::Unanswered), 1);
    assert!(incoming.is_conserved());
}

transport_suite!(
    each_caller_gets_its_own_reply,
    one_at_a_time_without_correlation,
    a_late_reply_is_dropped_and_counted,
    a_request_outlives_its_socket_only_to_fail,
    a_reply_to_a_client_that_is_gone_comes_back,
    an_unanswered_request_is_counted,
);

#[test]
fn requests_go_round_and_a_lost_servers_unwritten_ones_go_to_the_next() {
    let context = Context::new().unwrap();
    let req = Req::new(&context);
    let reps: Vec<Rep> = (0..5).map(|_| Rep::new(&context)).collect();
    for rep in &reps {
        req.connect(rep.bind(endpoint("inproc")).unwrap()).unwrap();
    }
    thread::scope(|scope| {
        for rep in &reps {
            scope.spawn(|| serve(rep, 1));
        }
        for number in 0..5u8 {
            assert_eq!(req.request_timeout(&[number], LONG).unwrap(), [number]);
        }
    });
}

#[test]
fn a_pair_takes_one_peer_and_turns_the_next_away() {
    for transport in ["tcp", "ipc", "inproc"] {
        let context = Context::new().unwrap();
        let first = peermq::Pair::new(&context);
        let refusing = first.monitor();
        let here = first.bind(endpoint(transport)).unwrap();
        let second = peermq::Pair::new(&context);
        let monitor = second.monitor();
        second.connect(&here).unwrap();
        wait_connected(&monitor);
        second.send("one way").unwrap();
        assert_eq!(first.recv_timeout(LONG).unwrap(), "one way");
        first.send("and back").unwrap();
        assert_eq!(second.recv_timeout(LONG).unwrap(), "and back");

        let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(20));
        let third = peermq::Pair::with_options(&context, quick).unwrap();
        let turned_away = third.monitor();
        third.connect(&here).unwrap();
        wait_for!(turned_away, HandshakeFailed);
        wait_for!(refusing, HandshakeFailed);
        second.close().unwrap();
        wait_connected(&turned_away);
        third.send("my turn").unwrap();
        assert_eq!(first.recv_timeout(LONG).unwrap(), "my turn");
    }
}

/// Who was turned away over inproc is not heard again by itself: whatever frees the place lets it in.
#[test]
fn a_pair_that_was_turned_away_over_inproc_gets_the_place_that_another_transport_leaves() {
    for transport in ["tcp", "ipc", "inproc"] {
        let context = Context::new().unwrap();
        let pair = peermq::Pair::new(&context);
        let here = pair.bind(endpoint(transport)).unwrap();
        let other_name = pair.bind(endpoint("inproc")).unwrap();
        let first = peermq::Pair::new(&context);
        let monitor = first.monitor();
        first.connect(&here).unwrap();
        wait_connected(&monitor);
        let second = peermq::Pair::new(&context);
        let turned_away = second.monitor();
        second.connect(&other_name).unwrap();
        wait_for!(turned_away, HandshakeFailed);

        first.close().unwrap();

        wait_connected(&turned_away);
        second.send("my turn").unwrap();
        assert_eq!(pair.recv_timeout(LONG).unwrap(), "my turn");
    }
}

/// A PAIR that dials twice keeps the first peer; the second one gets its turn once the first is gone.
#[test]
fn a_pair_that_dials_two_takes_the_second_when_it_leaves_the_first() {
    let context = Context::new().unwrap();
    let pair = peermq::Pair::new(&context);
    let monitor = pair.monitor();
    let nobody = common::unused("inproc");
    pair.connect(&*nobody).unwrap();
    let other = peermq::Pair::new(&context);
    let here = other.bind(endpoint("inproc")).unwrap();
    pair.connect(&here).unwrap();
    wait_for!(monitor, HandshakeFailed);

    pair.disconnect(&*nobody).unwrap();

    wait_connected(&monitor);
    pair.send("you then").unwrap();
    assert_eq!(other.recv_timeout(LONG).unwrap(), "you then");
}

#[test]
fn what_waits_for_a_lost_server_goes_to_one_that_comes() {
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(10));
    let req = Req::with_options(&context, quick).unwrap();
    let monitor = req.monitor();
    let lost = Rep::new(&context);
    req.connect(lost.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    wait_connected(&monitor);
    lost.close().unwrap();
    wait_for!(monitor, Disconnected);
    thread::scope(|scope| {
        let caller = scope.spawn(|| req.request_timeout("anybody?", LONG).unwrap());
        while req.stats().out.queued == 0 {
            thread::yield_now();
        }
        let rep = Rep::new(&context);
        req.connect(rep.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        serve(&rep, 1);
        assert_eq!(caller.join().unwrap(), "anybody?");
    });
}

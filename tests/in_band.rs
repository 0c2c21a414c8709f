//! Messages that tell of connections, among the others: libzmq's `test_hello_msg`, `test_disconnect_msg` and
//! `test_hiccup_msg`.

mod common;

use common::{LONG, endpoint, transport_suite, unused, wait_connected, wait_for};
use peermq::{Context, Dealer, DropReason, InvalidOptions, Options, Push, Router, SocketStats};
use std::time::Duration;

transport_suite!(
    the_hello_goes_before_all_other_messages_on_each_new_connection,
    a_lost_peer_that_came_is_told_behind_all_that_it_sent,
    a_lost_connection_that_will_be_made_again_is_told_once,
    hiccups_that_nobody_reads_stay_at_the_mark_but_for_one,
    who_ends_a_connection_is_not_told_of_it,
);

fn check(stats: &SocketStats) {
    assert!(stats.out.is_conserved() && stats.incoming.is_conserved(), "{stats:#?}");
}

fn quick() -> Options {
    Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(20))
}

fn the_hello_goes_before_all_other_messages_on_each_new_connection(transport: &str) {
    let context = Context::new().unwrap();
    let dealer = Dealer::with_options(&context, quick().hello_message(["hello", "I am"])).unwrap();
    let here = unused(transport);
    dealer.connect(&here).unwrap();
    dealer.send("first").unwrap();
    for life in 1..=3 {
        let router = Router::with_options(&context, Options::default().hello_message("welcome")).unwrap();
        router.bind(&here).unwrap();
        let (from, hello) = router.recv_timeout(LONG).unwrap();
        assert_eq!(hello, peermq::Message::from(["hello", "I am"]));
        assert_eq!(router.recv_timeout(LONG).unwrap().1, "first");
        router.send_to(&from, "second").unwrap();
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), "welcome");
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), "second");
        assert_eq!(dealer.stats().out.passed, 2 * life);
        let monitor = dealer.monitor();
        router.close().unwrap();
        check(&router.stats());
        wait_for!(monitor, Disconnected);
        dealer.send("first").unwrap();
    }
    let stats = dealer.stats();
    check(&stats);
    assert_eq!((stats.out.queued, stats.incoming.passed), (1, 6));
}

fn a_lost_peer_that_came_is_told_behind_all_that_it_sent(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::with_options(&context, Options::default().disconnect_message("gone")).unwrap();
    let dealer = Dealer::new(&context);
    dealer.connect(router.bind(endpoint(transport)).unwrap()).unwrap();
    for n in 0..10 {
        dealer.send(n.to_string()).unwrap();
    }
    dealer.close().unwrap();
    let (from, first) = router.recv_timeout(LONG).unwrap();
    assert_eq!(first, "0");
    for expected in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "gone"] {
        assert_eq!(router.recv_timeout(LONG).unwrap(), (from.clone(), expected.into()));
    }
    let stats = router.stats();
    check(&stats);
    assert_eq!(stats.incoming.passed, 11);
}

fn a_lost_connection_that_will_be_made_again_is_told_once(transport: &str) {
    let context = Context::new().unwrap();
    let dealer = Dealer::with_options(&context, quick().hiccup_message("hiccup")).unwrap();
    let monitor = dealer.monitor();
    let here = unused(transport);
    dealer.connect(&here).unwrap();
    for _ in 0..3 {
        let router = Router::new(&context);
        router.bind(&here).unwrap();
        wait_connected(&monitor);
        assert!(dealer.try_recv().is_err(), "an attempt that fails is none");
        router.close().unwrap();
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), "hiccup");
    }
    assert!(dealer.try_recv().is_err());
    check(&dealer.stats());
}

fn hiccups_that_nobody_reads_stay_at_the_mark_but_for_one(transport: &str) {
    let context = Context::new().unwrap();
    let options = quick().hiccup_message("hiccup").recv_mark(2);
    let dealer = Dealer::with_options(&context, options).unwrap();
    let monitor = dealer.monitor();
    let here = unused(transport);
    dealer.connect(&here).unwrap();
    for _ in 0..6 {
        let router = Router::new(&context);
        router.bind(&here).unwrap();
        wait_connected(&monitor);
        router.close().unwrap();
        wait_for!(monitor, Disconnected);
    }

    let incoming = dealer.stats().incoming;
    assert_eq!((incoming.taken, incoming.queued), (6, 3));
    assert_eq!(incoming.dropped.of(DropReason::Unnoticed), 3);
    for _ in 0..3 {
        assert_eq!(dealer.try_recv().unwrap(), "hiccup");
    }
    assert!(dealer.try_recv().is_err());
    check(&dealer.stats());
}

fn who_ends_a_connection_is_not_told_of_it(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::with_options(&context, Options::default().disconnect_message("gone")).unwrap();
    let dealer = Dealer::with_options(&context, Options::default().hiccup_message("hiccup")).unwrap();
    let monitor = dealer.monitor();
    let here = router.bind(endpoint(transport)).unwrap();
    dealer.connect(&here).unwrap();
    wait_connected(&monitor);
    dealer.disconnect(&here).unwrap();
    wait_for!(monitor, Disconnected);
    assert_eq!(router.recv_timeout(LONG).unwrap().1, "gone");
    assert!(dealer.try_recv().is_err());
    check(&router.stats());
}

#[test]
fn types_that_cannot_use_them_refuse_them() {
    let context = Context::new().unwrap();
    let set: [fn(Options) -> Options; 3] = [
        |options| options.hello_message("x"),
        |options| options.disconnect_message("x"),
        |options| options.hiccup_message("x"),
    ];
    for set in set {
        let refused = Push::with_options(&context, set(Options::default())).unwrap_err();
        assert!(matches!(refused, InvalidOptions::NotForType { .. }), "{refused}");
    }
    assert!(Router::with_options(&context, Options::default().hiccup_message("x")).is_err());
    assert!(Dealer::with_options(&context, Options::default().disconnect_message("x")).is_err());
}

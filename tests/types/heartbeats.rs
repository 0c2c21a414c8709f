//! libzmq's test_heartbeats, for each pair of types that it has.

use crate::common::{until, wait_connected, wait_for};
use crate::every::open;
use crate::kind::Kind;
use peermq::{Context, Curve, Event, Failure, Monitor, Options, RecvError, SecretKey, SocketType};
use std::time::Duration;

/// Stamps tests over the pairs, a client first.
macro_rules! pair_suite {
    ($($test:ident),* $(,)?) => {
        pair_suite!(@ [$($test),*],
            dealer_router Dealer Router, req_rep Req Rep, pull_push Pull Push, sub_pub Sub Pub, pair_pair Pair Pair,
            gather_scatter Gather Scatter, client_server Client Server);
    };
    (@ $tests:tt, $($name:ident $Client:ident $Server:ident),*) => {
        $(mod $name { pair_suite!(@ $tests $Client $Server); })*
    };
    (@ [$($test:ident),*] $Client:ident $Server:ident) => {
        $(#[test]
        fn $test() {
            super::$test(peermq::SocketType::$Client, peermq::SocketType::$Server);
        })*
    };
}

pair_suite!(
    t38_heartbeat_ttl,
    t38_heartbeat_notimeout,
    t38_heartbeat_notimeout_with_curve,
);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A client that has connected to a server; what happens to the latter.
fn meet(context: &Context, [client, server]: [SocketType; 2], options: [Options; 2]) -> ([Box<dyn Kind>; 2], Monitor) {
    let [mine, theirs] = options;
    let client = open(client, context, mine).unwrap();
    let server = open(server, context, theirs).unwrap();
    let monitor = server.monitor();
    let here = server.bind("tcp://127.0.0.1:0").unwrap();
    client.connect(&here.to_string()).unwrap();
    wait_connected(&monitor);
    ([client, server], monitor)
}

/// A client that asks to be given up sooner than it says something again is given up, by a server that does not beat.
fn t38_heartbeat_ttl(client: SocketType, server: SocketType) {
    let context = Context::new().unwrap();
    let asks = Options::default().heartbeat(ms(250)).heartbeat_ttl(ms(100));
    let silent = Options::default().no_heartbeat();
    let (_sockets, monitor) = meet(&context, [client, server], [asks, silent]);

    let Event::Disconnected { failure, .. } = wait_for!(monitor, Disconnected) else {
        unreachable!("it was waited for")
    };

    let (what, limit) = ("a sign of life", ms(100));
    assert_eq!(failure, Failure::TimedOut { what, limit });
}

fn t38_heartbeat_notimeout(client: SocketType, server: SocketType) {
    stays([client, server], Options::default(), Options::default());
}

fn t38_heartbeat_notimeout_with_curve(client: SocketType, server: SocketType) {
    let secret = |byte| SecretKey::from_bytes([byte; 32]);
    let security = [
        Curve::client(secret(2), secret(1).public()),
        Curve::server(secret(1)).allow([secret(2).public()]),
    ];
    let [mine, theirs] = security.map(|security| Options::default().security(security));
    stays([client, server], mine, theirs);
}

/// Who is asked again and again, and answers, is not parted from; though it says nothing else. (The machine may be busy: the
/// timeout is twenty intervals.)
fn stays(types: [SocketType; 2], mine: Options, theirs: Options) {
    let context = Context::new().unwrap();
    let theirs = theirs.heartbeat(ms(30)).heartbeat_timeout(ms(600));
    let ([_client, server], monitor) = meet(&context, types, [mine, theirs]);
    until("it was answered", || server.stats().peers[0].round_trip.is_some());

    assert_eq!(monitor.recv_timeout(ms(800)), Err(RecvError::TimedOut));
}

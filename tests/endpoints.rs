//! Endpoints as libzmq's users write them, and dialers that stop. What comes from libzmq's tests carries its number.

mod common;

use common::{LONG, unused, wait_connected, wait_for};
use peermq::{
    BindError, ConnectError, Context, DropReason, Endpoint, EndpointError, Event, Failure, Fault, NotSent,
    OpenListener, Options, Pull, Push,
};
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

/// A sender and a receiver that are connected over this endpoint, and where they met.
fn connected(context: &Context, endpoint: &str) -> (Push, Pull, Endpoint) {
    let (push, pull) = (Push::new(context), Pull::new(context));
    let monitor = push.monitor();
    let bound = pull.bind(endpoint).unwrap();
    push.connect(&bound).unwrap();
    wait_connected(&monitor);
    (push, pull, bound)
}

fn passes(push: &Push, pull: &Pull) {
    push.send("passes").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "passes");
}

#[test]
fn t22_after_unbind_and_disconnect_there_is_nobody_to_send_to() {
    let context = Context::new().unwrap();
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*"] {
        let (push, pull, bound) = connected(&context, endpoint);
        passes(&push, &pull);

        // The wish is not the endpoint.
        let wish = pull.unbind(endpoint).unwrap_err();
        assert!(matches!(wish, EndpointError::Unknown(_)), "{wish}");
        push.disconnect(&bound).unwrap();
        pull.unbind(&bound).unwrap();

        assert_eq!(push.try_send("to nobody").unwrap_err().reason, NotSent::WouldBlock);
        assert!(matches!(pull.unbind(&bound), Err(EndpointError::Unknown(_))));
        assert!(matches!(push.disconnect(&bound), Err(EndpointError::Unknown(_))));
    }
}

#[test]
fn t23_what_is_bound_is_said_and_can_be_unbound_by_that() {
    let context = Context::new().unwrap();
    let has_v6 = TcpListener::bind("[::1]:0").is_ok();
    for (wish, start) in [
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:"),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:"),
        ("tcp://*:*", "tcp://0.0.0.0:"),
        ("tcp://*:0", "tcp://0.0.0.0:"),
        ("tcp://localhost:*", "tcp://127.0.0.1:"),
        #[cfg(target_os = "linux")]
        ("tcp://lo:0", "tcp://127.0.0.1:"),
        ("tcp://[::1]:*", "tcp://[::1]:"),
        ("tcp://[::]:*", "tcp://[::]:"),
        ("ipc://*", "ipc:///"),
    ] {
        if wish.contains("[::") && !has_v6 {
            eprintln!("skipped: no IPv6 here");
            continue;
        }
        let pull = Pull::new(&context);
        let (one, other) = (pull.bind(wish).unwrap(), pull.bind(wish).unwrap());

        assert!(one.to_string().starts_with(start), "{one}");
        assert_ne!(one, other);
        assert_ne!(one.port(), Some(0));
        pull.unbind(&one).unwrap();
        pull.unbind(&other).unwrap();
        assert_eq!(
            pull.bind(&one).is_ok(),
            one.transport() == "tcp",
            "its directory is gone"
        );
    }
}

#[test]
fn t24_an_ipc_path_is_free_again_once_it_is_unbound() {
    let context = Context::new().unwrap();
    let path = common::endpoint("ipc");
    for _ in 0..2 {
        let (push, pull, bound) = connected(&context, &path);
        passes(&push, &pull);
        pull.unbind(&bound).unwrap();
    }
}

#[test]
fn t24_a_fresh_ipc_path_is_a_socket_that_others_find_by_what_bind_said() {
    let context = Context::new().unwrap();
    let (push, pull, bound) = connected(&context, "ipc://*");
    let text = bound.to_string();
    let path = std::path::PathBuf::from(text.strip_prefix("ipc://").unwrap());

    passes(&push, &pull);
    assert!(path.exists());
    assert_eq!(text.parse::<Endpoint>().unwrap(), bound);
    pull.close().unwrap();

    assert!(!path.parent().unwrap().exists());
    let wish = push.connect("ipc://*").unwrap_err();
    assert!(matches!(wish, ConnectError::Endpoint(_)), "{wish}");
}

#[cfg(target_os = "linux")]
#[test]
fn t24_an_abstract_name_is_a_socket_without_a_file() {
    let context = Context::new().unwrap();
    let name = format!("ipc://@peermq-t24-{}", std::process::id());

    let (push, pull, bound) = connected(&context, &name);
    passes(&push, &pull);

    assert_eq!(bound.to_string(), name);
    let empty = Pull::new(&context).bind("ipc://@").unwrap_err();
    assert!(matches!(empty, BindError::Endpoint(_)), "{empty}");
}

fn no_reconnect_stays_away_until_connect_is_called_again(endpoint: &str) {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().no_reconnect()).unwrap();
    let monitor = push.monitor();
    let pull = Pull::new(&context);
    let bound = pull.bind(endpoint).unwrap();
    push.connect(&bound).unwrap();
    wait_connected(&monitor);
    passes(&push, &pull);

    pull.unbind_and_close(&bound).unwrap();
    wait_for!(monitor, Disconnected);
    let Event::GaveUp { endpoint, .. } = monitor.recv_timeout(LONG).unwrap() else {
        panic!("it did not give up at once")
    };
    assert_eq!(endpoint, bound);
    assert_eq!(push.try_send("to nobody").unwrap_err().reason, NotSent::WouldBlock);
    assert!(matches!(push.disconnect(&bound), Err(EndpointError::Unknown(_))));

    // What ipc://* made is gone with its listener.
    let bound = match endpoint.transport() {
        "ipc" => pull.bind(common::endpoint("ipc")).unwrap(),
        _ => pull.bind(&bound).unwrap(),
    };
    push.connect(&bound).unwrap();
    wait_connected(&monitor);
    passes(&push, &pull);
}

#[test]
fn t25_without_reconnect_a_lost_peer_stays_away_over_ipc() {
    no_reconnect_stays_away_until_connect_is_called_again("ipc://*");
}

#[test]
fn t25_without_reconnect_a_lost_peer_stays_away_over_ipv4() {
    no_reconnect_stays_away_until_connect_is_called_again("tcp://127.0.0.1:*");
}

#[test]
fn t25_without_reconnect_a_lost_peer_stays_away_over_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: no IPv6 here");
        return;
    }
    no_reconnect_stays_away_until_connect_is_called_again("tcp://[::1]:*");
}

#[test]
fn t26_refused_retried_connected_lost_and_retried_is_the_order_of_events() {
    let context = Context::new().unwrap();
    let wait = Duration::from_millis(20);
    let push = Push::with_options(&context, Options::default().reconnect(wait, wait)).unwrap();
    let monitor = push.monitor();
    let endpoint = unused("tcp");
    let next = || monitor.recv_timeout(LONG).unwrap();

    push.connect(&endpoint).unwrap();
    for _ in 0..2 {
        assert!(matches!(next(), Event::ConnectFailed { .. }));
        assert!(matches!(next(), Event::RetryingIn { .. }));
    }
    let pull = Pull::new(&context);
    pull.bind(&endpoint).unwrap();
    loop {
        match next() {
            Event::Connected { .. } => break,
            Event::ConnectFailed { .. } | Event::RetryingIn { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    drop(pull);

    assert!(matches!(next(), Event::Disconnected { .. }));
    assert!(matches!(next(), Event::RetryingIn { .. }));
}

/// What was queued for a peer that nobody looks for any more is dropped and counted, and the law holds.
#[test]
fn t26_a_dialer_that_stops_when_refused_drops_what_waited() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().stop_when_refused(true)).unwrap();
    let monitor = push.monitor();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", taken.local_addr().unwrap());
    push.connect(&endpoint).unwrap();
    let (mut stream, _) = taken.accept().unwrap();
    push.send("waits").unwrap();
    // It was reached, so its end is no refusal: it is tried again, and then nobody is there.
    stream.read_exact(&mut [0; 10]).unwrap();
    drop((stream, taken));

    wait_for!(monitor, HandshakeFailed);
    wait_for!(monitor, GaveUp);

    let out = push.stats().out;
    assert_eq!((out.taken, out.queued), (1, 0));
    assert_eq!(out.dropped.of(DropReason::PeerLost), 1);
    assert!(push.stats().peers.is_empty());
    assert_eq!(push.close().unwrap().gone_dropped.of(DropReason::PeerLost), 1);
}

#[test]
fn t26_a_dialer_can_stop_when_the_handshake_fails() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().stop_when_handshake_fails(true)).unwrap();
    let monitor = push.monitor();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    push.connect(format!("tcp://{}", stranger.local_addr().unwrap()))
        .unwrap();

    drop(stranger.accept().unwrap());

    assert!(matches!(
        monitor.recv_timeout(LONG).unwrap(),
        Event::HandshakeFailed { .. }
    ));
    assert!(matches!(monitor.recv_timeout(LONG).unwrap(), Event::GaveUp { .. }));
}

/// test_bind_src_address: these are taken, whoever answers.
#[test]
fn a_source_is_an_address_with_or_without_a_port() {
    let context = Context::new().unwrap();
    for source in ["127.0.0.1:0", "127.0.0.1:*", "127.0.0.1"] {
        let (push, pull) = (Push::new(&context), Pull::new(&context));
        let monitor = push.monitor();
        let bound = pull.bind("tcp://127.0.0.1:*").unwrap().port().unwrap();
        let endpoint = format!("tcp://{source};localhost:{bound}");

        push.connect(&endpoint).unwrap();
        wait_connected(&monitor);

        passes(&push, &pull);
        push.disconnect(&endpoint).unwrap();
    }
}

/// T32: a port that the system gives to who connects may be the one that it connects to.
#[test]
fn threat_32_who_reaches_himself_is_told_and_tries_again() {
    let context = Context::new().unwrap();
    let push = Push::new(&context);
    let monitor = push.monitor();
    let nobody = unused("tcp");
    let to = nobody.trim_start_matches("tcp://");

    push.connect(format!("tcp://{to};{to}")).unwrap();

    let Event::ConnectFailed { failure, .. } = wait_for!(monitor, ConnectFailed) else {
        unreachable!("it was waited for")
    };
    assert_eq!(failure, Failure::ConnectedToItself);
    assert_eq!(failure.fault(), Fault::Ours);
    wait_for!(monitor, RetryingIn);
}

/// test_connect_resolve.
#[test]
fn t23_what_can_be_looked_up_is_taken_and_the_rest_refused() {
    let context = Context::new().unwrap();
    let push = Push::new(&context);
    for fine in [
        "tcp://localhost:1234",
        "tcp://in-val-id.invalid:1234",
        "tcp://[::1]:1234",
    ] {
        push.connect(fine).unwrap();
    }
    for wrong in [
        "tcp://localhost:invalid",
        "tcp://localhost:",
        "tcp://in val id:1234",
        "tcp://",
        "invalid://localhost:1234",
        "tcp://*:1234",
        "tcp://localhost:*",
        "tcp://h;localhost:1234",
    ] {
        let refused = push.connect(wrong).unwrap_err();
        assert!(matches!(refused, ConnectError::Endpoint(_)), "{wrong}: {refused}");
    }
}

/// An attempt over ipc fails at once, so that the next one is due in the same moment.
#[test]
fn attempts_without_a_pause_leave_the_loop_to_others() {
    let context = Context::new().unwrap();
    let hasty = Options::default().reconnect(Duration::ZERO, Duration::ZERO);
    let push = Push::with_options(&context, hasty).unwrap();
    let pull = Pull::new(&context);
    let nobody = common::endpoint("ipc");

    push.connect(&nobody).unwrap();
    push.send("early").unwrap();

    let other = Push::new(&context);
    other.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    other.send("others go on").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "others go on");
    pull.bind(&nobody).unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "early");
}

/// test_use_fd, over each kind of listener: who connected before the socket was there is served too.
#[test]
fn a_listener_that_was_open_before_is_taken_over() {
    let context = Context::new().unwrap();
    let path = common::endpoint("ipc");
    let file = path.strip_prefix("ipc://").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("tcp://{}", tcp.local_addr().unwrap());
    let ipc = UnixListener::bind(file).unwrap();
    for (listener, at) in [(OpenListener::from(tcp), at), (OpenListener::from(ipc), path.clone())] {
        let (push, pull) = (Push::new(&context), Pull::new(&context));
        push.connect(&at).unwrap();
        push.send("waits").unwrap();

        let bound = pull.bind_listener(listener).unwrap();

        assert_eq!(bound.to_string(), at);
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "waits");
        passes(&push, &pull);
        pull.unbind(&bound).unwrap();
        assert!(matches!(pull.unbind(&bound), Err(EndpointError::Unknown(_))));
        pull.close().unwrap();
        let late = pull.bind_listener(TcpListener::bind("127.0.0.1:0").unwrap());
        assert!(matches!(late, Err(BindError::Closed)));
    }
    assert!(std::path::Path::new(file).exists(), "it was not ours");
    std::fs::remove_file(file).unwrap();
}

/// As systemd does it: a descriptor of another process, here a child that finds it as its standard input.
#[test]
fn a_listener_is_inherited_by_another_process() {
    const INHERITED: &str = "PEERMQ_TEST_INHERITED";
    let context = Context::new().unwrap();
    if std::env::var_os(INHERITED).is_some() {
        let inherited = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        let pull = Pull::new(&context);
        pull.bind_listener(OpenListener::try_from(inherited).unwrap()).unwrap();
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "to the child");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let push = Push::new(&context);
    push.connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    push.send("to the child").unwrap();

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_listener_is_inherited_by_another_process"])
        .env(INHERITED, "1")
        .stdin(OwnedFd::from(listener))
        .spawn()
        .unwrap();

    assert!(child.wait().unwrap().success());
}

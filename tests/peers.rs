//! Whose a message is, and what peers say of themselves.

mod common;

use common::{LONG, address, endpoint, hello, ready_with, transport_suite, until, unused, wait_connected, wait_for};
use peermq::{Context, Dish, Identity, InvalidOptions, Options, Pair, PeerInfo, Pull, Push, Radio, Rep, Req};
use peermq::{Dealer, Router, SocketType, Sub, Upstream, XPub};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

transport_suite!(
    both_sides_know_what_the_other_says_of_itself,
    a_request_knows_who_asked,
    what_came_by_an_earlier_connection_is_still_known_as_of_that_one,
    publishers_and_groups_are_known,
    a_router_knows_who_has_an_identity,
    both_sides_know_the_process_of_the_other_over_ipc_only,
);

fn who(name: &str) -> Options {
    Options::default().metadata("X-Who", name)
}

fn name_of(peer: &PeerInfo) -> &str {
    std::str::from_utf8(peer.property("x-who").expect("it has a name")).unwrap()
}

fn both_sides_know_what_the_other_says_of_itself(transport: &str) {
    let context = Context::new().unwrap();
    let a = Pair::with_options(&context, who("a").metadata("X-Empty", "")).unwrap();
    let b = Pair::with_options(&context, who("b")).unwrap();
    let (mine, theirs) = (a.monitor(), b.monitor());
    assert!(a.peers().is_empty());
    let here = b.bind(endpoint(transport)).unwrap();
    a.connect(&here).unwrap();
    wait_connected(&mine);
    wait_connected(&theirs);
    for (from, to, name) in [(&a, &b, "a"), (&b, &a, "b")] {
        for _ in 0..4 {
            from.send("hi").unwrap();
        }
        let async_forms = [
            to.recv_from_timeout(LONG),
            to.recv_from(),
            block_on(to.recv_from_async()),
        ];
        for (message, peer) in async_forms.into_iter().map(Result::unwrap) {
            assert_eq!(message, "hi");
            assert_eq!((name_of(&peer), peer.socket_type()), (name, SocketType::Pair));
            assert_eq!((peer.version(), peer.identity()), ((3, 1), None));
            assert!(peer.property("Implementation").unwrap().starts_with(b"peermq/"));
            assert_eq!(to.peers(), [Arc::clone(&peer)]);
        }
        until("the fourth is here", || to.stats().incoming.queued == 1);
        to.try_recv_from().unwrap();
        assert!(to.try_recv_from().is_err());
    }
    assert_eq!(a.peers()[0].address(), here.to_string());
    assert_eq!(b.peers()[0].property("X-Empty"), Some(&b""[..]));
    let address = b.peers()[0].address().to_owned();
    assert_eq!(address, b.stats().peers[0].endpoint);
    a.close().unwrap();
    wait_for!(theirs, Disconnected);
    until("it is gone", || b.peers().is_empty());
}

fn a_request_knows_who_asked(transport: &str) {
    let context = Context::new().unwrap();
    let rep = Rep::new(&context);
    let here = rep.bind(endpoint(transport)).unwrap();
    let identity = Identity::new("me").unwrap();
    let clients = ["a", "b"].map(|name| {
        let req = Req::with_options(&context, who(name).identity(identity.clone())).unwrap();
        req.connect(&here).unwrap();
        req
    });
    std::thread::scope(|scope| {
        for (client, name) in clients.iter().zip(["a", "b"]) {
            scope.spawn(move || assert_eq!(client.request_timeout(name, LONG).unwrap(), "yes"));
        }
        for _ in 0..2 {
            let request = rep.recv_timeout(LONG).unwrap();
            assert_eq!(*request.message(), name_of(request.peer()));
            assert_eq!(request.peer().identity(), Some(&identity));
            request.reply("yes").unwrap();
        }
    });
    assert_eq!(rep.peers().len(), 2);
}

fn what_came_by_an_earlier_connection_is_still_known_as_of_that_one(transport: &str) {
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(20));
    let pull = Pull::with_options(&context, quick).unwrap();
    let monitor = pull.monitor();
    let here = unused(transport);
    pull.connect(&here).unwrap();
    let mut sent = 0;
    for (name, count) in [("a", 3), ("b", 0), ("c", 2), ("d", 1)] {
        let push = Push::with_options(&context, who(name)).unwrap();
        push.bind(&here).unwrap();
        wait_for!(monitor, Connected);
        for _ in 0..count {
            push.send(name).unwrap();
        }
        sent += count;
        until("all have come", || pull.stats().incoming.queued == sent);
        push.close().unwrap();
        wait_for!(monitor, Disconnected);
    }
    for name in ["a", "a", "a", "c", "c", "d"] {
        let (message, peer) = pull.recv_from_timeout(LONG).unwrap();
        assert_eq!((message, name_of(&peer)), (name.into(), name));
    }
}

fn a_router_knows_who_has_an_identity(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let dealer = Dealer::with_options(&context, who("a")).unwrap();
    dealer.connect(router.bind(endpoint(transport)).unwrap()).unwrap();
    dealer.send("hi").unwrap();
    let (from, _) = router.recv_timeout(LONG).unwrap();
    assert_eq!(name_of(&router.peer(&from).unwrap()), "a");
    assert_eq!(router.peer(&Identity::new("nobody").unwrap()), None);
    router.send_to(&from, "hi back").unwrap();
    assert_eq!(
        dealer.recv_from_timeout(LONG).unwrap().1.socket_type(),
        SocketType::Router
    );
}

fn publishers_and_groups_are_known(transport: &str) {
    let context = Context::new().unwrap();
    let xpub = XPub::with_options(&context, who("publisher")).unwrap();
    let sub = Sub::with_options(&context, who("subscriber")).unwrap();
    sub.subscribe("").unwrap();
    sub.connect(xpub.bind(endpoint(transport)).unwrap()).unwrap();
    let Upstream::Subscribe { from, .. } = xpub.recv_timeout(LONG).unwrap() else {
        panic!("it subscribes")
    };
    assert_eq!(name_of(&from.peer().unwrap()), "subscriber");
    xpub.send("news").unwrap();
    assert_eq!(name_of(&sub.recv_from_timeout(LONG).unwrap().1), "publisher");

    let radio = Radio::with_options(&context, who("radio")).unwrap();
    let dish = Dish::new(&context);
    dish.join("group").unwrap();
    dish.connect(radio.bind(endpoint(transport)).unwrap()).unwrap();
    radio.wait_for_members("group", 1, LONG).unwrap();
    radio.send("group", "news").unwrap();
    let ((group, message), peer) = dish.recv_from_timeout(LONG).unwrap();
    assert_eq!(
        (&group[..], message, name_of(&peer)),
        (&b"group"[..], "news".into(), "radio")
    );
}

fn both_sides_know_the_process_of_the_other_over_ipc_only(transport: &str) {
    let context = Context::new().unwrap();
    let (a, b) = (Pair::new(&context), Pair::new(&context));
    a.connect(b.bind(endpoint(transport)).unwrap()).unwrap();
    for (from, to) in [(&a, &b), (&b, &a)] {
        from.send("hi").unwrap();
        let credentials = to.recv_from_timeout(LONG).unwrap().1.credentials();

        if transport == "ipc" && cfg!(any(target_os = "linux", target_os = "android")) {
            let credentials = credentials.unwrap();
            let ours = std::fs::metadata("/proc/self").unwrap();
            assert_eq!(credentials.process_id(), Some(std::process::id()));
            assert_eq!(
                (credentials.user_id(), credentials.group_id()),
                (ours.uid(), ours.gid())
            );
        } else {
            assert_eq!(credentials, None);
        }
    }
}

/// Not a test of its own: the other process of the next one.
#[test]
fn child_that_sends() {
    let Ok(endpoint) = std::env::var("PEERMQ_TEST_SENDER") else {
        return;
    };
    let context = Context::new().unwrap();
    let push = Push::new(&context);
    push.connect(endpoint).unwrap();
    push.send("hi").unwrap();
    push.close().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_peer_of_another_process_is_known_by_its_number_even_once_it_has_ended() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let here = pull.bind("ipc://*").unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_sends"])
        .env("PEERMQ_TEST_SENDER", here.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());

    let (_, peer) = pull.recv_from_timeout(LONG).unwrap();

    assert_eq!(peer.credentials().unwrap().process_id(), Some(child.id()));
}

/// A peer may say anything of itself, within the limit of the handshake.
#[test]
fn threat_35_what_a_stranger_says_of_itself_is_kept_as_it_is() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let mut stream = TcpStream::connect(address(&pull.bind("tcp://127.0.0.1:0").unwrap())).unwrap();
    let properties = [
        ("Socket-Type", "PUSH"),
        ("Other", "\0\n"),
        ("X-a", "1"),
        ("x-A", "2"),
        ("Identity", "it"),
    ];
    stream.write_all(&hello("PUSH")[..64]).unwrap();
    stream.write_all(&ready_with(&properties)).unwrap();
    wait_connected(&monitor);
    let peer = &pull.peers()[0];
    let all: Vec<_> = peer.metadata().collect();
    assert_eq!(all, [("Other", &b"\0\n"[..]), ("X-a", b"1"), ("x-A", b"2")]);
    assert_eq!(peer.property("X-A"), Some(&b"1"[..]));
    assert_eq!(peer.address(), format!("tcp://{}", stream.local_addr().unwrap()));
    assert_eq!(peer.identity(), None, "a PUSH is not addressed by one");
}

#[test]
fn metadata_that_is_none_is_refused_by_its_name() {
    let context = Context::new().unwrap();
    let refused = Push::with_options(&context, Options::default().metadata("Zone", "north")).unwrap_err();
    assert!(matches!(refused, InvalidOptions::Malformed { option: "metadata", .. }));
    let large = Options::default().metadata("X-a", vec![0; 9_000]);
    let option = "metadata";
    assert_eq!(
        Push::with_options(&context, large).unwrap_err(),
        InvalidOptions::TooLarge { option, most: 8_192 }
    );
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

//! ROUTER over real sockets: the same tests over every transport. Names with a number are tests of libzmq.

mod common;

use common::{LONG, endpoint, hello, transport_suite, until, wait_connected, wait_for, wait_until};
use peermq::{
    ConnectError, Context, Dealer, DropReason, Event, Failure, Identity, InvalidOptions, Message, NotSent, Options,
    Pull, RecvError, Rep, Req, Router,
};
use std::collections::BTreeSet;
use std::io::Write;
use std::thread;
use std::time::Duration;

fn name(text: &str) -> Identity {
    Identity::new(text).unwrap()
}

fn named(text: &str) -> Options {
    Options::default()
        .identity(name(text))
        .reconnect(Duration::from_millis(10), Duration::from_millis(50))
}

fn dealer(context: &Context, text: &str, to: &peermq::Endpoint) -> Dealer {
    let dealer = Dealer::with_options(context, named(text)).unwrap();
    dealer.connect(to).unwrap();
    dealer
}

fn recv(router: &Router) -> (Identity, Message) {
    router.recv_timeout(LONG).unwrap()
}

/// Waits until an identity can be sent to: its sender's first message may be all that tells.
fn meet(router: &Router, dealer: &Dealer) -> Identity {
    dealer.send("hello").unwrap();
    let (identity, message) = recv(router);
    assert_eq!(message, "hello");
    identity
}

fn is_conserved(router: &Router) -> bool {
    let stats = router.stats();
    stats.out.is_conserved() && stats.incoming.is_conserved()
}

/// RFC 28: a ROUTER "SHALL receive incoming messages from its peers using a fair-queuing strategy", and "SHALL prefix each
/// incoming message with ... the identity of the originating double queue".
fn t05_fair_queue_in(transport: &str) {
    const PEERS: usize = 5;
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let here = router.bind(endpoint(transport)).unwrap();
    let dealers: Vec<_> = (0..PEERS)
        .map(|n| dealer(&context, &format!("dealer-{n}"), &here))
        .collect();
    for dealer in &dealers {
        dealer.send(["M", "one"]).unwrap();
        dealer.send(["M", "two"]).unwrap();
    }
    until("two of each", || router.stats().incoming.queued == 2 * PEERS as u64);

    for what in ["one", "two"] {
        let mut senders = BTreeSet::new();
        for _ in 0..PEERS {
            let (sender, message) = recv(&router);
            assert_eq!(message, Message::from(["M", what]));
            assert!(sender.to_string().starts_with("dealer-"));
            senders.insert(sender);
        }
        assert_eq!(senders.len(), PEERS, "one of each");
    }
}

/// A device forwards frames as they are, and the envelopes lead back.
fn t08_reqrep_device(transport: &str) {
    let context = Context::new().unwrap();
    let (front, back) = (Router::new(&context), Dealer::new(&context));
    let req = Req::new(&context);
    req.connect(front.bind(endpoint(transport)).unwrap()).unwrap();
    let rep = Rep::new(&context);
    rep.connect(back.bind(endpoint(transport)).unwrap()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let request = rep.recv_timeout(LONG).unwrap();
            assert_eq!(*request.message(), Message::from(["ABC", "DEF"]));
            request.reply(["GHI", "JKL"]).unwrap();
        });
        scope.spawn(|| {
            let (client, request) = recv(&front);
            let mut frames = vec![bytes::Bytes::copy_from_slice(client.as_bytes())];
            frames.extend(request.into_frames());
            back.send(Message::from_frames(frames).unwrap()).unwrap();

            let mut frames = back.recv_timeout(LONG).unwrap().into_frames();
            let client = Identity::from_received(frames.remove(0)).unwrap();
            front.send_to(&client, Message::from_frames(frames).unwrap()).unwrap();
        });
        let reply = req.request_timeout(["ABC", "DEF"], LONG).unwrap();
        assert_eq!(reply, Message::from(["GHI", "JKL"]));
    });
}

/// RFC 28, of a peer without an identity: made up, and good for as long as the peer is there.
fn a_peer_without_an_identity_is_answered_under_one_that_is_made_up(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let here = router.bind(endpoint(transport)).unwrap();
    let dealers: Vec<_> = (0..10u8)
        .map(|n| {
            let dealer = Dealer::new(&context);
            dealer.connect(&here).unwrap();
            dealer.send(&[n]).unwrap();
            dealer
        })
        .collect();
    for _ in &dealers {
        let (sender, message) = recv(&router);
        assert!(sender.is_made_up());
        let stored = sender.as_bytes().to_vec();
        assert_eq!(stored.len(), 5);
        let again = Identity::from_received(stored).unwrap();
        router.send_to(&again, message).unwrap();
    }
    for (n, dealer) in dealers.iter().enumerate() {
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), [n as u8]);
    }
    assert_eq!(router.identities().len(), 10);
}

/// RFC 28: the envelope of a REQ is everything up to the empty frame; who replies sends it back.
fn a_request_comes_with_its_envelope(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let here = router.bind(endpoint(transport)).unwrap();
    let req = Req::with_options(&context, Options::default().correlate(false)).unwrap();
    req.connect(&here).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (client, message) = recv(&router);
            assert_eq!(message, Message::from(["", "ABC", "DEF"]));
            router.send_to(&client, ["", "GHI"]).unwrap();
        });
        assert_eq!(req.request_timeout(["ABC", "DEF"], LONG).unwrap(), "GHI");
    });
}

/// Without handover: who has an identity keeps it, and the next one gets in once that one is gone.
fn t12_router_handover_without(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let monitor = router.monitor();
    let here = router.bind(endpoint(transport)).unwrap();
    let first = dealer(&context, "X", &here);
    meet(&router, &first);

    let second = dealer(&context, "X", &here);
    second.send("from the second").unwrap();
    let refused = wait_until(&monitor, "HandshakeFailed", |event| {
        matches!(event, Event::HandshakeFailed { .. })
    });
    let Event::HandshakeFailed { failure, .. } = refused else {
        unreachable!("waited for it")
    };
    assert_eq!(
        failure,
        Failure::Refused {
            why: "its identity is in use"
        }
    );
    router.send_to(&name("X"), "to the first").unwrap();
    assert_eq!(first.recv_timeout(LONG).unwrap(), "to the first");
    assert_eq!(second.try_recv(), Err(RecvError::WouldBlock));

    first.close().unwrap();
    assert_eq!(recv(&router).1, "from the second");
    router.send_to(&name("X"), "to the second").unwrap();
    assert_eq!(second.recv_timeout(LONG).unwrap(), "to the second");
    assert!(is_conserved(&router));
}

/// With handover: the next one takes the place. What the first had sent is received before, under the same identity; what
/// waits for it is dropped.
fn t12_router_handover_with(transport: &str) {
    let context = Context::new().unwrap();
    let options = Options::default().handover(true);
    let router = Router::with_options(&context, options).unwrap();
    let monitor = router.monitor();
    let here = router.bind(endpoint(transport)).unwrap();
    let lost = Options::default()
        .identity(name("X"))
        .recv_mark(1)
        // It does not come back to take its place again.
        .reconnect(Duration::MAX, Duration::MAX);
    let first = Dealer::with_options(&context, lost).unwrap();
    first.connect(&here).unwrap();
    meet(&router, &first);
    (0..3u8).for_each(|n| first.send(&[n]).unwrap());
    until("three", || router.stats().incoming.queued == 3);
    // More than a kernel takes, so that something is left to be dropped.
    (0..500).for_each(|_| router.send_to(&name("X"), vec![0; 100_000]).unwrap());

    let second = dealer(&context, "X", &here);
    second.send("from the second").unwrap();
    let ended = wait_for!(monitor, Disconnected);

    assert!(
        matches!(
            &ended,
            Event::Disconnected {
                failure: Failure::Replaced,
                ..
            }
        ),
        "{ended:?}"
    );
    until("its queue to be dropped", || {
        router.stats().out.dropped.of(DropReason::Replaced) > 0
    });
    until("the second's", || router.stats().incoming.queued == 4);
    for n in 0..3u8 {
        let (sender, message) = recv(&router);
        assert_eq!((sender, message), (name("X"), Message::from(&[n])));
    }
    assert_eq!(recv(&router), (name("X"), Message::from("from the second")));
    router.send_to(&name("X"), "to the second").unwrap();
    assert_eq!(second.recv_timeout(LONG).unwrap(), "to the second");
    assert!(is_conserved(&router));
    assert_eq!(router.identities(), [name("X")]);
}

/// RFC 28: "SHALL ... drop the message, or return a suitable error": an error here, silence on demand.
fn t13_router_mandatory_basic(transport: &str) {
    let context = Context::new().unwrap();
    for drops in [false, true] {
        let options = Options::default().drop_unroutable(drops).send_mark(1);
        let router = Router::with_options(&context, options).unwrap();
        let here = router.bind(endpoint(transport)).unwrap();
        let sent = router.send_to(&name("UNKNOWN"), vec![7; 3]);
        if drops {
            sent.unwrap();
            assert_eq!(router.stats().out.dropped.of(DropReason::Unroutable), 1);
        } else {
            let given = sent.unwrap_err();
            assert_eq!(given.reason, NotSent::UnknownPeer);
            assert_eq!(given.message.unwrap(), [7; 3], "what was given away comes back");
            assert_eq!(router.stats().out.taken, 0, "it was not accepted");
        }
        assert_eq!(router.peer_state(&name("X")), None);
        let dealer = dealer(&context, "X", &here);
        meet(&router, &dealer);
        assert!(router.peer_state(&name("X")).unwrap().is_writable);
        router.send_to(&name("X"), "hello").unwrap();
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), "hello");
        dealer.send("a").unwrap();
        until("a message", || router.peer_state(&name("X")).unwrap().is_readable);
        assert!(is_conserved(&router));
    }
}

/// A peer that does not read is full, which is not the same as gone, and stays so.
fn t14_router_mandatory_hwm(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::with_options(&context, Options::default().mark(1)).unwrap();
    let here = router.bind(endpoint(transport)).unwrap();
    let options = named("X").mark(1).recv_buffer(16 << 10).send_buffer(16 << 10);
    let dealer = Dealer::with_options(&context, options).unwrap();
    dealer.connect(&here).unwrap();
    meet(&router, &dealer);
    let body = vec![0; 4 << 20];
    let mut sent = 0;
    let refused = loop {
        match router.send_to_timeout(&name("X"), &body[..], Duration::from_millis(200)) {
            Ok(()) => sent += 1,
            Err(error) => break error.reason,
        }
        assert!(sent < 10, "somebody takes it all");
    };
    assert_eq!(refused, NotSent::TimedOut);
    assert_eq!(
        router.send_to(&name("X"), &body[..]).unwrap_err().reason,
        NotSent::PeerFull
    );
    assert_eq!(router.stats().out.taken, sent);

    for _ in 0..sent {
        assert_eq!(dealer.recv_timeout(LONG).unwrap().byte_count(), body.len());
    }
    router.send_to_timeout(&name("X"), "more", LONG).unwrap();
    assert_eq!(dealer.recv_timeout(LONG).unwrap(), "more");
}

/// A sender that waits for one peer's room is not woken by another's, gets it in the end, and is told when the peer goes.
fn who_waits_for_a_peer_is_told_of_its_room_and_of_its_end(transport: &str) {
    const COUNT: u32 = 3_000;
    let context = Context::new().unwrap();
    let router = Router::with_options(&context, Options::default().send_mark(2)).unwrap();
    let here = router.bind(endpoint(transport)).unwrap();
    let options = named("slow").recv_mark(2).linger(Duration::ZERO);
    let slow = Dealer::with_options(&context, options).unwrap();
    slow.connect(&here).unwrap();
    meet(&router, &slow);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COUNT {
                assert_eq!(slow.recv_timeout(LONG).unwrap(), number.to_le_bytes());
            }
        });
        for number in 0..COUNT {
            router
                .send_to_timeout(&name("slow"), &number.to_le_bytes(), LONG)
                .unwrap();
        }
    });
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let sent = router.send_to_timeout(&name("slow"), vec![0; 1 << 20], Duration::MAX);
                        if let Err(error) = sent {
                            break error.reason;
                        }
                    }
                })
            })
            .collect();
        // They wait once nothing moves any more; closing then wakes them all, and before that it does no harm.
        until("a full queue", || router.stats().out.queued == 2);
        slow.close().unwrap();
        for one in waiting {
            assert_eq!(one.join().unwrap(), NotSent::UnknownPeer);
        }
    });
    assert!(is_conserved(&router));
}

/// The future of a send waits for its peer alone, and dropped it has sent nothing.
fn a_future_waits_for_its_peers_room(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::with_options(&context, Options::default().send_mark(1)).unwrap();
    let here = router.bind(endpoint(transport)).unwrap();
    let dealer = Dealer::with_options(&context, named("X").recv_mark(1)).unwrap();
    dealer.connect(&here).unwrap();
    let identity = meet(&router, &dealer);
    let body = vec![1; 4 << 20];
    let mut sent = 0;
    while router
        .send_to_timeout(&identity, &body[..], Duration::from_millis(100))
        .is_ok()
    {
        sent += 1;
    }

    let dropped = common::poll_once(router.send_to_async(&identity, "dropped"));
    assert!(dropped.is_none(), "there is room");
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..sent {
                assert_eq!(dealer.recv_timeout(LONG).unwrap().byte_count(), body.len());
            }
            assert_eq!(dealer.recv_timeout(LONG).unwrap(), "kept");
        });
        common::block_on(router.send_to_async(&identity, "kept")).unwrap();
    });
    let (sender, message) = {
        dealer.send("back").unwrap();
        common::block_on(router.recv_async()).unwrap()
    };
    assert_eq!((sender, message), (identity, Message::from("back")));
    let nobody = name("nobody");
    let error = common::block_on(router.send_to_async(&nobody, "x")).unwrap_err();
    assert_eq!(error.reason, NotSent::UnknownPeer);
}

/// Two routers that know each other by names that they gave.
fn t15_connect_rid_named(transport: &str) {
    let context = Context::new().unwrap();
    let bound = Router::with_options(&context, named("X")).unwrap();
    let here = bound.bind(endpoint(transport)).unwrap();
    let connected = Router::with_options(&context, named("Y")).unwrap();
    connected.connect_as(&here, &name("Z")).unwrap();

    // It can be sent to at once, whatever it calls itself.
    connected.send_to(&name("Z"), "question").unwrap();
    assert_eq!(recv(&bound), (name("Y"), Message::from("question")));
    bound.send_to(&name("Y"), "answer").unwrap();
    assert_eq!(recv(&connected), (name("Z"), Message::from("answer")));
    assert_eq!(
        connected.send_to(&name("X"), "").unwrap_err().reason,
        NotSent::UnknownPeer
    );
    assert_eq!(connected.identities(), [name("Z")]);
}

/// A name that is taken is an error, where libzmq aborts the process; the name is free again once its peer is let go.
fn t15_connect_rid_twice_is_an_error(transport: &str) {
    let context = Context::new().unwrap();
    let (one, other) = (Router::new(&context), Router::new(&context));
    let here = one.bind(endpoint(transport)).unwrap();
    let there = other.bind(endpoint(transport)).unwrap();
    let router = Router::new(&context);
    router.connect_as(&here, &name("Z")).unwrap();

    let error = router.connect_as(&there, &name("Z")).unwrap_err();
    assert!(
        matches!(&error, ConnectError::IdentityInUse(taken) if *taken == name("Z")),
        "{error}"
    );

    router.disconnect(&here).unwrap();
    until("the name to be free", || router.connect_as(&there, &name("Z")).is_ok());
    router.send_to(&name("Z"), "hello").unwrap();
    assert_eq!(recv(&other).1, "hello");
}

/// Connecting to one while messages of another are received disturbs neither.
fn t15_connect_rid_while_receiving(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let here = router.bind(endpoint(transport)).unwrap();
    let dealer = dealer(&context, "D", &here);
    (0..100u8).for_each(|n| dealer.send([vec![n], vec![0; 100]]).unwrap());
    for n in 0..50u8 {
        assert_eq!(recv(&router).1.first(), [n]);
    }
    let other = Router::new(&context);
    let there = other.bind(endpoint(transport)).unwrap();
    router.connect_as(&there, &name("R")).unwrap();
    router.send_to(&name("R"), "hello").unwrap();
    let (back, message) = recv(&other);
    assert_eq!(message, "hello");
    other.send_to(&back, "answer").unwrap();
    let mut rest = 50..100u8;
    for _ in 0..51 {
        match recv(&router) {
            (sender, message) if sender == name("R") => assert_eq!(message, "answer"),
            (_, message) => assert_eq!(message.first(), [rest.next().unwrap()]),
        }
    }
    assert_eq!(rest.next(), None);
}

/// One who comes under a name that the application gave is turned away.
fn a_given_name_is_not_taken_by_who_comes(transport: &str) {
    let context = Context::new().unwrap();
    let options = Options::default().handover(true);
    let router = Router::with_options(&context, options).unwrap();
    let monitor = router.monitor();
    let here = router.bind(endpoint(transport)).unwrap();
    let far = Router::new(&context);
    router
        .connect_as(far.bind(endpoint(transport)).unwrap(), &name("X"))
        .unwrap();
    let _impostor = dealer(&context, "X", &here);
    wait_for!(monitor, HandshakeFailed);
    router.send_to(&name("X"), "secret").unwrap();
    assert_eq!(recv(&far).1, "secret");
}

/// BEHAVIOUR: one that comes back under another identity is another peer: what waited for the old one is dropped, what is
/// unread of it stays its own.
fn a_peer_that_comes_back_under_another_identity_is_another(transport: &str) {
    let context = Context::new().unwrap();
    let first = Dealer::with_options(&context, named("first")).unwrap();
    let here = first.bind(endpoint(transport)).unwrap();
    let options = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50));
    let router = Router::with_options(&context, options).unwrap();
    let monitor = router.monitor();
    router.connect(&here).unwrap();
    wait_connected(&monitor);
    first.send("one").unwrap();
    first.send("two").unwrap();
    until("two", || router.stats().incoming.queued == 2);
    assert_eq!(recv(&router), (name("first"), Message::from("one")));
    first.close().unwrap();
    wait_for!(monitor, Disconnected);
    // It is down, not gone: what it is sent waits for it.
    router.send_to(&name("first"), "for the first").unwrap();

    let second = Dealer::with_options(&context, named("second")).unwrap();
    second.bind(&here).unwrap();
    second.send("three").unwrap();
    until("the second", || router.identities() == [name("second")]);

    assert_eq!(router.stats().out.dropped.of(DropReason::IdentityChanged), 1);
    assert_eq!(
        router.send_to(&name("first"), "").unwrap_err().reason,
        NotSent::UnknownPeer
    );
    assert_eq!(recv(&router), (name("first"), Message::from("two")));
    assert_eq!(recv(&router), (name("second"), Message::from("three")));
    router.send_to(&name("second"), "for the second").unwrap();
    assert_eq!(second.recv_timeout(LONG).unwrap(), "for the second");
    assert!(is_conserved(&router));
}

/// And under the same identity it gets what waited.
fn a_peer_that_comes_back_under_its_identity_gets_what_waited(transport: &str) {
    let context = Context::new().unwrap();
    let first = Dealer::with_options(&context, named("it")).unwrap();
    let here = first.bind(endpoint(transport)).unwrap();
    let options = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50));
    let router = Router::with_options(&context, options).unwrap();
    let monitor = router.monitor();
    router.connect(&here).unwrap();
    wait_connected(&monitor);
    first.close().unwrap();
    wait_for!(monitor, Disconnected);
    (0..50u8).for_each(|n| router.send_to(&name("it"), &[n]).unwrap());

    let again = Dealer::with_options(&context, named("it")).unwrap();
    again.bind(&here).unwrap();

    for n in 0..50u8 {
        assert_eq!(again.recv_timeout(LONG).unwrap(), [n]);
    }
}

/// A hundred peers of contexts of their own, each reached under its name.
#[test]
fn each_of_a_hundred_peers_is_reached() {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let here = router.bind("tcp://127.0.0.1:0").unwrap();
    let contexts: Vec<_> = (0..5).map(|_| Context::new().unwrap()).collect();
    let dealers: Vec<_> = (0..100)
        .map(|n| dealer(&contexts[n % 5], &format!("dealer-{n}"), &here))
        .collect();
    dealers.iter().for_each(|dealer| dealer.send("hello").unwrap());
    dealers.iter().for_each(|_| drop(recv(&router)));
    for n in 0..100 {
        router
            .send_to(&name(&format!("dealer-{n}")), format!("to {n}"))
            .unwrap();
    }
    for (n, dealer) in dealers.iter().enumerate() {
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), format!("to {n}"));
    }
}

/// Each peer's coming and going is received in band: before its messages, and behind them.
fn notify_connect_and_disconnect(transport: &str) {
    for (connects, disconnects) in [(true, false), (false, true), (true, true)] {
        let context = Context::new().unwrap();
        let options = Options::default().router_notify(connects, disconnects);
        let router = Router::with_options(&context, options).unwrap();
        let monitor = router.monitor();
        let here = router.bind(endpoint(transport)).unwrap();
        let dealer = dealer(&context, "X", &here);
        wait_connected(&monitor);
        dealer.send("one").unwrap();
        dealer.send("two").unwrap();
        until("two", || router.stats().incoming.queued == 2);
        dealer.close().unwrap();
        wait_for!(monitor, Disconnected);
        until("its end", || router.stats().peers.is_empty());

        let empty = Message::empty();
        if connects {
            assert_eq!(recv(&router), (name("X"), empty.clone()));
        }
        assert_eq!(recv(&router), (name("X"), Message::from("one")));
        assert_eq!(recv(&router), (name("X"), Message::from("two")));
        if disconnects {
            assert_eq!(recv(&router), (name("X"), empty));
        }
        assert_eq!(router.try_recv(), Err(RecvError::WouldBlock));
        assert!(is_conserved(&router));
    }
}

/// A handshake that fails is no connection, and half a message no message.
#[test]
fn notify_tells_nothing_of_failed_handshakes_and_half_messages() {
    let context = Context::new().unwrap();
    let options = Options::default().router_notify(true, true);
    let router = Router::with_options(&context, options).unwrap();
    let monitor = router.monitor();
    let here = router.bind("tcp://127.0.0.1:0").unwrap();
    let mut stream = std::net::TcpStream::connect(common::address(&here)).unwrap();
    stream.write_all(&hello("PUB")).unwrap();
    wait_for!(monitor, HandshakeFailed);
    drop(stream);
    let mut stream = std::net::TcpStream::connect(common::address(&here)).unwrap();
    stream
        .write_all(&[hello("DEALER"), vec![1, 3, b'o', b'n', b'e']].concat())
        .unwrap();
    wait_connected(&monitor);
    drop(stream);
    wait_for!(monitor, Disconnected);

    let (came, empty) = recv(&router);
    assert!(came.is_made_up());
    assert_eq!(empty, Message::empty());
    assert_eq!(recv(&router), (came, Message::empty()));
    assert_eq!(router.try_recv(), Err(RecvError::WouldBlock));
}

/// What nobody receives does not pile up: it is counted.
#[test]
fn notices_that_nobody_receives_are_bounded_and_counted() {
    let context = Context::new().unwrap();
    let options = Options::default().router_notify(true, true).recv_mark(3);
    let router = Router::with_options(&context, options).unwrap();
    let here = router.bind("inproc://bounded-notices").unwrap();
    for n in 0..5 {
        drop(dealer(&context, &format!("dealer-{n}"), &here).close());
    }
    until("ten changes", || {
        router.stats().incoming.dropped.of(DropReason::Unnoticed) == 7
    });
    assert_eq!(recv(&router).0, name("dealer-0"));
    assert_eq!(recv(&router).0, name("dealer-0"));
    assert_eq!(recv(&router).0, name("dealer-1"));
    assert_eq!(router.try_recv(), Err(RecvError::WouldBlock));
    assert!(is_conserved(&router));
}

/// A probe tells who is there before the peer has anything to say.
fn t11_probe_router(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let here = router.bind(endpoint(transport)).unwrap();
    let other = Router::with_options(&context, named("router").probe(true)).unwrap();
    other.connect(&here).unwrap();
    assert_eq!(recv(&router), (name("router"), Message::empty()));
    let dealer = Dealer::with_options(&context, named("dealer").probe(true)).unwrap();
    dealer.connect(&here).unwrap();
    assert_eq!(recv(&router), (name("dealer"), Message::empty()));

    router.send_to(&name("dealer"), "Hello").unwrap();
    assert_eq!(dealer.recv_timeout(LONG).unwrap(), "Hello");
    router.send_to(&name("router"), "Hello").unwrap();
    assert_eq!(recv(&other).1, "Hello");
    assert_eq!((dealer.stats().out.taken, dealer.stats().out.passed), (1, 1));
}

/// Probes do not come between requests and their replies.
fn a_probe_is_no_request(transport: &str) {
    for correlate in [true, false] {
        let context = Context::new().unwrap();
        let rep = Rep::new(&context);
        let here = rep.bind(endpoint(transport)).unwrap();
        let req = Req::with_options(&context, named("req").probe(true).correlate(correlate)).unwrap();
        req.connect(&here).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..3 {
                    let request = rep.recv_timeout(LONG).unwrap();
                    let body = request.message().clone();
                    request.reply(body).unwrap();
                }
            });
            for n in 0..3u8 {
                assert_eq!(req.request_timeout(&[n], LONG).unwrap(), [n]);
            }
        });
        assert_eq!(rep.stats().incoming.dropped.of(DropReason::Malformed), 1);
    }
}

#[test]
fn options_of_a_router_are_refused_elsewhere_and_a_made_up_identity_everywhere() {
    let context = Context::new().unwrap();
    let not_for = |refused: InvalidOptions| matches!(refused, InvalidOptions::NotForType { .. });
    assert!(not_for(
        Dealer::with_options(&context, Options::default().handover(true)).unwrap_err()
    ));
    assert!(not_for(
        Pull::with_options(&context, Options::default().probe(true)).unwrap_err()
    ));
    let made_up = Identity::from_received([0, 1, 2, 3, 4]).unwrap();
    let refused = Dealer::with_options(&context, Options::default().identity(made_up)).unwrap_err();
    assert_eq!(refused, InvalidOptions::Reserved { option: "identity" });
}

#[test]
fn a_closed_router_gives_messages_back() {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    router.close().unwrap();
    let error = router.send_to(&name("X"), vec![1]).unwrap_err();
    assert_eq!(error.reason, NotSent::Closed);
    assert_eq!(error.message.unwrap(), [1]);
    assert_eq!(router.recv(), Err(RecvError::Closed));
    assert!(matches!(
        router.connect_as("inproc://x", &name("X")),
        Err(ConnectError::Closed)
    ));
}

transport_suite!(
    t05_fair_queue_in,
    t08_reqrep_device,
    a_peer_without_an_identity_is_answered_under_one_that_is_made_up,
    a_request_comes_with_its_envelope,
    t11_probe_router,
    a_probe_is_no_request,
    t12_router_handover_without,
    t12_router_handover_with,
    t13_router_mandatory_basic,
    t14_router_mandatory_hwm,
    who_waits_for_a_peer_is_told_of_its_room_and_of_its_end,
    a_future_waits_for_its_peers_room,
    t15_connect_rid_named,
    t15_connect_rid_twice_is_an_error,
    t15_connect_rid_while_receiving,
    a_given_name_is_not_taken_by_who_comes,
    a_peer_that_comes_back_under_another_identity_is_another,
    a_peer_that_comes_back_under_its_identity_gets_what_waited,
    notify_connect_and_disconnect,
);

//! Who is let in, who is not, and what each side is told of it.

mod common;

use common::{Chance, LONG, address, endpoint, wait_for, wait_until};
use peermq::*;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TRANSPORTS: [&str; 2] = ["tcp", "ipc"];

fn quick() -> Options {
    Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50))
}

fn key() -> SecretKey {
    SecretKey::generate().unwrap()
}

/// A server's options and a client's, that fit.
fn curve_pair() -> (Options, Options) {
    let (ours, theirs) = (key(), key());
    let (server, admitted) = (ours.public(), theirs.public());
    (
        quick().security(Curve::server(ours).allow([admitted])),
        quick().security(Curve::client(theirs, server)),
    )
}

fn plain_pair() -> (Options, Options) {
    (
        quick().security(Plain::server().allow([("admin", "secret"), ("other", "word")])),
        quick().security(Plain::client("admin", "secret")),
    )
}

fn both() -> [(&'static str, (Options, Options)); 2] {
    [("PLAIN", plain_pair()), ("CURVE", curve_pair())]
}

/// Messages of many shapes, the same for a seed.
fn messages(seed: u64) -> Vec<Message> {
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let sizes = [0, 1, 33, 64, 222, 223, 255, 256, 8_192, 65_535, 65_536, 300_000];
    let mut all: Vec<Message> = sizes
        .iter()
        .map(|&size| Message::from((0..size).map(|at| (at * 7) as u8).collect::<Vec<u8>>()))
        .collect();
    for _ in 0..40 {
        let frames = 1 + chance.below(5);
        let frames: Vec<Vec<u8>> = (0..frames)
            .map(|_| vec![chance.next() as u8; sizes[chance.below(9) as usize]])
            .collect();
        all.push(Message::from_frames(frames).unwrap());
    }
    all.push(Message::from(vec![9; 3 << 20]));
    all
}

#[test]
fn all_messages_arrive_as_they_were_both_ways() {
    for (transport, (mechanism, (server, client))) in TRANSPORTS.iter().flat_map(|it| both().map(|pair| (it, pair))) {
        println!("{mechanism} over {transport}");
        let context = Context::new().unwrap();
        let router = Router::with_options(&context, server).unwrap();
        let dealer = Dealer::with_options(&context, client).unwrap();
        dealer.connect(router.bind(endpoint(transport)).unwrap()).unwrap();
        let all = messages(7);

        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in &all {
                    let (peer, message) = router.recv_timeout(LONG).unwrap();
                    router.send_to_timeout(&peer, message, LONG).unwrap();
                }
            });
            scope.spawn(|| {
                for message in &all {
                    dealer.send_timeout(message.clone(), LONG).unwrap();
                }
            });
            for message in &all {
                assert_eq!(dealer.recv_timeout(LONG).unwrap(), *message);
            }
        });
    }
}

#[test]
fn who_it_is_stands_with_each_message() {
    let (ours, theirs) = (key(), key());
    let (server, admitted) = (ours.public(), theirs.public());
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, quick().security(Curve::server(ours).allow([admitted]))).unwrap();
    let push = Push::with_options(&context, quick().security(Curve::client(theirs, server))).unwrap();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    push.send("it is me").unwrap();

    let (_, peer) = pull.recv_from_timeout(LONG).unwrap();

    assert_eq!(peer.user().map(User::id), Some(admitted.to_string().as_str()));

    let (server, client) = plain_pair();
    let pull = Pull::with_options(&context, server).unwrap();
    let push = Push::with_options(&context, client).unwrap();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    push.send("me, too").unwrap();
    assert_eq!(
        pull.recv_from_timeout(LONG).unwrap().1.user().map(User::id),
        Some("admin")
    );
}

/// Which of the two binds says nothing of which is the server.
#[test]
fn a_client_may_bind_and_a_server_connect() {
    for (mechanism, (server, client)) in both() {
        println!("{mechanism}");
        let context = Context::new().unwrap();
        let push = Push::with_options(&context, client).unwrap();
        let pull = Pull::with_options(&context, server).unwrap();
        pull.connect(push.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        push.send_timeout("in", LONG).unwrap();
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "in");
    }
}

/// Who is refused knows it, and does not try again; who refuses knows why.
#[test]
fn who_is_not_admitted_is_refused_and_both_sides_are_told() {
    let stranger = key();
    let (ours, theirs) = (key(), key());
    let (server, admitted) = (ours.public(), theirs.public());
    let strangers = stranger.public().to_string();
    let cases = [
        (
            Curve::server(ours).allow([admitted]),
            Curve::client(stranger, server),
            strangers,
        ),
        (
            Plain::server().allow([("admin", "secret")]),
            Plain::client("admin", "secre"),
            "admin".to_owned(),
        ),
        (
            Plain::server().allow([("admin", "secret")]),
            Plain::client("nobody\x1b", ""),
            "nobody\\x1b".to_owned(),
        ),
        (
            Plain::server().allow([("admin", "secret")]),
            Plain::client("", "secret"),
            "\"\"".to_owned(),
        ),
    ];
    for (server, client, told) in cases {
        let context = Context::new().unwrap();
        let pull = Pull::with_options(&context, quick().security(server)).unwrap();
        let push = Push::with_options(&context, quick().security(client)).unwrap();
        let (at_server, at_client) = (pull.monitor(), push.monitor());
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();

        let Event::HandshakeFailed { failure, stage, .. } = wait_for!(at_server, HandshakeFailed) else {
            unreachable!("it was waited for")
        };
        assert_eq!(stage, Stage::Security);
        assert!(
            matches!(&failure, Failure::NotAdmitted { why } if why.contains(&told)),
            "{failure}"
        );
        assert_eq!(failure.fault(), Fault::Peer);
        let Event::GaveUp { failure, .. } = wait_for!(at_client, GaveUp) else {
            unreachable!("it was waited for")
        };
        assert_eq!(failure, Failure::RefusedByPeer { reason: "400".into() });
        assert!(push.explain().to_string().contains("400"));
        assert!(pull.explain().to_string().contains("not admitted"));
        assert!(pull.stats().peers.is_empty(), "nobody was let near the socket");
    }
}

/// A wrong key of the server's tells nobody anything: it answers nothing, and the client goes on trying.
#[test]
fn a_client_with_a_wrong_key_of_the_server_is_not_answered() {
    let (ours, theirs) = (key(), key());
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, quick().security(Curve::server(ours).allow_any())).unwrap();
    let wrong = quick().security(Curve::client(theirs, key().public()));
    let push = Push::with_options(&context, wrong).unwrap();
    let (at_server, at_client) = (pull.monitor(), push.monitor());
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();

    let Event::HandshakeFailed { failure, .. } = wait_for!(at_server, HandshakeFailed) else {
        unreachable!("it was waited for")
    };

    assert!(
        matches!(failure, Failure::Unopened { what } if what.contains("HELLO")),
        "{failure}"
    );
    wait_for!(at_client, RetryingIn);
}

/// Nobody of another mechanism gets in, whichever of the two.
#[test]
fn threat_10_mechanisms_that_differ() {
    let kinds = |n: usize| {
        let ours = SecretKey::from_bytes([3; 32]);
        let server = ours.public();
        match n {
            0 => Security::default(),
            1 => Plain::server().allow_any(),
            2 => Plain::client("a", "b"),
            3 => Curve::server(ours).allow_any(),
            _ => Curve::client(key(), server),
        }
    };
    let fits = [(0, 0), (1, 2), (2, 1), (3, 4), (4, 3)];
    for (at_listener, at_dialer) in (0..5).flat_map(|a| (0..5).map(move |b| (a, b))) {
        let context = Context::new().unwrap();
        let options = || quick().handshake_timeout(Duration::from_millis(300));
        let pull = Pull::with_options(&context, options().security(kinds(at_listener))).unwrap();
        let push = Push::with_options(&context, options().security(kinds(at_dialer))).unwrap();
        let monitor = pull.monitor();
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();

        let event = wait_until(&monitor, "an outcome", |event| {
            matches!(event, Event::Connected { .. } | Event::HandshakeFailed { .. })
        });

        let is_in = matches!(event, Event::Connected { .. });
        assert_eq!(is_in, fits.contains(&(at_listener, at_dialer)), "{event:?}");
    }
}

#[test]
fn subscriptions_and_heartbeats_are_sealed_like_messages() {
    let (server, client) = curve_pair();
    let context = Context::new().unwrap();
    let beat = Duration::from_millis(20);
    let publisher = Pub::with_options(&context, server.heartbeat(beat)).unwrap();
    let sub = Sub::with_options(&context, client.heartbeat(beat)).unwrap();
    let monitor = publisher.monitor();
    sub.connect(publisher.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    sub.subscribe_confirmed("a", LONG).unwrap();
    for n in 0..1_000 {
        publisher.send(["a", &n.to_string()]).unwrap();
        publisher.send(["b", &n.to_string()]).unwrap();
        let message = sub.recv_timeout(LONG).unwrap();
        assert_eq!(message, Message::from(["a", &n.to_string()]));
    }
    common::until("some heartbeats", || {
        let stats = publisher.stats();
        stats.peers.first().is_some_and(|peer| peer.round_trip.is_some())
    });
    assert!(
        monitor
            .try_recv()
            .is_ok_and(|event| !matches!(event, Event::Disconnected { .. }))
    );
}

/// With marks of 1, and a peer that is slow: nothing is lost or comes twice, whatever is cut where.
#[test]
fn a_sealed_stream_waits_for_room_like_any_other() {
    let (server, client) = curve_pair();
    let context = Context::new().unwrap();
    let small = |options: Options| options.send_buffer(4_096).recv_buffer(4_096);
    let pull = Pull::with_options(&context, small(server).recv_mark(2)).unwrap();
    let push = Push::with_options(&context, small(client).send_mark(2)).unwrap();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let all = messages(11);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            all.iter()
                .for_each(|message| push.send_timeout(message.clone(), LONG).unwrap())
        });
        for message in &all {
            assert_eq!(pull.recv_timeout(LONG).unwrap(), *message);
        }
    });
    assert!(pull.try_recv().is_err());
}

// -- authorisers

#[test]
fn an_authoriser_decides_and_names_the_user() {
    let claims = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&claims);
    let decide = move |claim: &Claim| {
        let name = String::from_utf8_lossy(claim.username().unwrap()).into_owned();
        seen.lock().unwrap().push((name.clone(), claim.address().to_owned()));
        match name.as_str() {
            "ann" if claim.has_password("a") => Verdict::Admit(User::new("Ann")),
            "panic" => panic!("on purpose"),
            "later" => Verdict::NotNow("later".into()),
            _ => Verdict::deny("who is that?"),
        }
    };
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, quick().security(Plain::server().ask(decide))).unwrap();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let push_as = |name: &str, password: &str| {
        let push = Push::with_options(&context, quick().security(Plain::client(name, password))).unwrap();
        let monitor = push.monitor();
        push.connect(here.clone()).unwrap();
        (push, monitor)
    };

    let (ann, _) = push_as("ann", "a");
    ann.send("hello").unwrap();
    let (_, peer) = pull.recv_from_timeout(LONG).unwrap();
    assert_eq!(peer.user().map(User::id), Some("Ann"));

    let (_bob, monitor) = push_as("bob", "a");
    wait_for!(monitor, GaveUp);
    for name in ["later", "panic"] {
        let (_late, monitor) = push_as(name, "");
        wait_for!(monitor, HandshakeFailed);
        wait_for!(monitor, RetryingIn);
    }
    let claims = claims.lock().unwrap();
    assert_eq!(claims[0].0, "ann");
    assert!(
        claims[0].1.starts_with("127.0.0.1:") || claims[0].1.contains("127.0.0.1"),
        "{claims:?}"
    );
}

/// While one is decided about, the others go on; who has gone meanwhile is forgotten.
#[test]
fn a_slow_authoriser_delays_only_those_it_is_asked_about() {
    let (server, admitted) = (key(), key());
    let (public, quick_key) = (server.public(), admitted.public());
    let (release, held) = channel::<()>();
    let (entered, enters) = channel::<()>();
    let (held, entered) = (Mutex::new(held), Mutex::new(entered));
    let decide = move |claim: &Claim| {
        if claim.key() != Some(quick_key) {
            entered.lock().unwrap().send(()).unwrap();
            let _ = held.lock().unwrap().recv_timeout(LONG);
        }
        Verdict::Admit(User::new("any"))
    };
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, quick().security(Curve::server(server).ask(decide))).unwrap();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let push = Push::with_options(&context, quick().security(Curve::client(admitted, public))).unwrap();
    push.connect(here.clone()).unwrap();
    push.send("one").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "one");

    let slow = Push::with_options(&context, quick().security(Curve::client(key(), public))).unwrap();
    slow.connect(here.clone()).unwrap();
    slow.send("two").unwrap();
    enters.recv_timeout(LONG).unwrap();
    let gone = Push::with_options(&context, quick().security(Curve::client(key(), public))).unwrap();
    gone.connect(here).unwrap();
    drop(gone);
    for n in 0..100 {
        push.send(n.to_string()).unwrap();
        assert_eq!(pull.recv_timeout(LONG).unwrap(), Message::from(n.to_string()));
    }

    release.send(()).unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "two");
}

// -- what is made of options

#[test]
fn a_name_or_password_that_plain_cannot_say_is_refused() {
    let context = Context::new().unwrap();
    let long = "x".repeat(256);
    for security in [Plain::client(long.clone(), "a"), Plain::client("a", long.clone())] {
        let refused = Push::with_options(&context, Options::default().security(security)).unwrap_err();
        assert!(
            matches!(refused, InvalidOptions::TooLarge { most: 255, .. }),
            "{refused}"
        );
    }
    let most = Plain::client("x".repeat(255), "y".repeat(255));
    Push::with_options(&context, Options::default().security(most)).unwrap();
    let stream = Stream::with_options(&context, Options::default().security(Plain::server().allow_any()));
    assert!(matches!(stream.unwrap_err(), InvalidOptions::NotForType { .. }));
}

/// What would go in clear, though it was to be secret, does not go.
#[test]
fn udp_is_refused_where_there_is_to_be_security() {
    let context = Context::new().unwrap();
    let (server, client) = curve_pair();
    let dish = Dish::with_options(&context, server).unwrap();
    let radio = Radio::with_options(&context, client).unwrap();
    let asks = quick().security(Null::ask(|_: &Claim| Verdict::deny("all")));
    let asking = Dish::with_options(&context, asks).unwrap();
    for refused in [
        dish.bind("udp://127.0.0.1:0").unwrap_err().to_string(),
        asking.bind("udp://127.0.0.1:0").unwrap_err().to_string(),
        radio.connect("udp://127.0.0.1:5555").unwrap_err().to_string(),
    ] {
        assert!(refused.contains("udp has no security"), "{refused}");
    }
    radio.connect(dish.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
}

#[test]
fn nothing_secret_is_shown() {
    let secret = SecretKey::from_bytes(*b"this key is to be seen by nobody");
    let z85 = secret.expose_z85().as_str().to_owned();
    let all = [
        format!(
            "{:?}",
            Options::default().security(Curve::client(secret, key().public()))
        ),
        format!("{:?}", Options::default().security(Plain::client("name", "hush"))),
        format!(
            "{:?}",
            Options::default().security(Plain::server().allow([("name", "hush")]))
        ),
    ];
    for shown in all {
        assert!(
            !shown.contains(&z85) && !shown.contains("hush") && !shown.contains("116, 104, 105"),
            "{shown}"
        );
    }
}

// -- a server against bytes

/// A server under CURVE, and the connection of one who knows nothing.
#[test]
fn threat_09_old_versions_do_not_get_around_a_mechanism() {
    let (server, _) = curve_pair();
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, server).unwrap();
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let greetings: [&[u8]; 5] = [
        b"\x01\x00",
        b"\xff\0\0\0\0\0\0\0\x01\x7f",
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x00\x08\0\0",
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\0\0",
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x00NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ];
    for greeting in greetings {
        let mut stream = TcpStream::connect(&here).unwrap();
        stream.write_all(greeting).unwrap();
        stream.write_all(b"\0\x05hello").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        wait_for!(monitor, HandshakeFailed);
        let mut rest = Vec::new();
        let _end = stream.read_to_end(&mut rest);
        assert!(pull.try_recv().is_err());
    }
}

/// Who says once more all that a client had said gets no further than the cookie, which is another.
#[test]
fn threat_19_what_was_recorded_cannot_be_replayed() {
    let (server, client) = curve_pair();
    let context = Context::new().unwrap();
    let (push, pull, here, [near, far]) = with_a_man_between(&context, server, client);
    let monitor = pull.monitor();
    let back = carry(far.try_clone().unwrap(), near.try_clone().unwrap());
    let forth = carry(near, far);
    push.send("once").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "once");
    push.close().unwrap();
    let said = forth.join().unwrap();
    let _answers = back.join().unwrap();
    assert!(said.windows(8).any(|bytes| bytes == b"\x07MESSAGE"));

    let mut again = TcpStream::connect(&here).unwrap();
    again.write_all(&said).unwrap();

    let Event::HandshakeFailed { failure, .. } = wait_for!(monitor, HandshakeFailed) else {
        unreachable!("it was waited for")
    };
    assert!(
        matches!(failure, Failure::Unopened { what } if what.contains("cookie")),
        "{failure}"
    );
    assert!(pull.try_recv().is_err());
}

/// A client that reaches its server by way of somebody, who has two streams: to the client and to the server, whose address
/// is given, too.
fn with_a_man_between(context: &Context, server: Options, client: Options) -> (Push, Pull, String, [TcpStream; 2]) {
    let pull = Pull::with_options(context, server).unwrap();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let push = Push::with_options(context, client).unwrap();
    push.connect(format!("tcp://{}", between.local_addr().unwrap()).as_str())
        .unwrap();
    let (near, _) = between.accept().unwrap();
    let far = TcpStream::connect(&here).unwrap();
    (push, pull, here, [near, far])
}

/// Carries all from one to the other, to its end. Gives what it was.
fn carry(mut from: TcpStream, mut to: TcpStream) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut all, mut chunk) = (Vec::new(), [0; 4_096]);
        while let Ok(n @ 1..) = from.read(&mut chunk)
            && to.write_all(&chunk[..n]).is_ok()
        {
            all.extend_from_slice(&chunk[..n]);
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
        all
    })
}

/// RFC 26: "The client SHALL generate a unique key pair for each connection it creates to a server", "The server SHALL
/// generate a new cookie for each WELCOME command it sends", and no long nonce of its is there twice.
#[test]
fn each_connection_has_keys_and_nonces_of_its_own() {
    const TIMES: usize = 8;
    let (server, client) = curve_pair();
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, server).unwrap();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let push = Push::with_options(&context, client).unwrap();
    push.connect(format!("tcp://{}", between.local_addr().unwrap()))
        .unwrap();
    let (mut keys, mut nonces, mut cookies) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());

    for n in 0..TIMES {
        let (near, _) = between.accept().unwrap();
        let far = TcpStream::connect(&here).unwrap();
        let back = carry(far.try_clone().unwrap(), near.try_clone().unwrap());
        let forth = carry(near.try_clone().unwrap(), far);
        push.send(n.to_string()).unwrap();
        assert_eq!(pull.recv_timeout(LONG).unwrap(), n.to_string().as_str());
        near.shutdown(std::net::Shutdown::Both).unwrap();
        let (said, answered) = (forth.join().unwrap(), back.join().unwrap());

        // Behind greeting, header and name: version and padding, the key; a nonce; and a cookie, which begins with its own.
        keys.insert(said[64 + 8 + 74..][..32].to_vec());
        nonces.insert(answered[64 + 2 + 8..][..16].to_vec());
        let cookie = &said[64 + 202 + 9 + 9..][..96];
        nonces.insert(cookie[..16].to_vec());
        cookies.insert(cookie.to_vec());
    }

    assert_eq!((keys.len(), nonces.len(), cookies.len()), (TIMES, 2 * TIMES, TIMES));
}

/// A man in the middle who takes a frame out of a message is found out.
#[test]
fn threat_19_no_frame_can_be_taken_out() {
    let (server, client) = curve_pair();
    let context = Context::new().unwrap();
    let (push, pull, _, [mut near, mut far]) = with_a_man_between(&context, server, client);
    let monitor = pull.monitor();
    carry(far.try_clone().unwrap(), near.try_clone().unwrap());
    std::thread::spawn(move || {
        // The greeting, HELLO and INITIATE, whose length is in its header; then the boxes of three frames.
        let mut pass = |len: usize, is_kept: bool| {
            let mut bytes = vec![0; len];
            near.read_exact(&mut bytes).unwrap();
            if is_kept {
                far.write_all(&bytes).unwrap();
            }
            bytes
        };
        pass(64, true);
        pass(2 + 200, true);
        let header = pass(9, true);
        pass(u64::from_be_bytes(*header.last_chunk().unwrap()) as usize, true);
        for frame in ["pay", "not", "mallory"] {
            pass(2 + 33 + frame.len(), frame != "not");
        }
        // Held open until the server has ended it.
        let _end = near.read(&mut [0]);
    });
    push.send(["pay", "not", "mallory"]).unwrap();

    let Event::Disconnected { failure, .. } = wait_for!(monitor, Disconnected) else {
        unreachable!("it was waited for")
    };

    assert!(
        matches!(failure, Failure::Malformed { what: "MESSAGE", .. }),
        "{failure}"
    );
    assert!(pull.try_recv().is_err());
}

/// The value of an application's that its authoriser holds is dropped where nobody waits, whoever drops the socket.
#[test]
fn an_authoriser_is_dropped_on_a_thread_of_its_own() {
    struct Told(std::sync::mpsc::Sender<Option<String>>);
    impl Drop for Told {
        fn drop(&mut self) {
            let name = std::thread::current().name().map(str::to_owned);
            self.0.send(name).unwrap();
            panic!("on purpose");
        }
    }
    let (told, hears) = channel();
    let held = Mutex::new(Told(told));
    let context = Context::new().unwrap();
    let decide = move |_: &Claim| {
        let _held = held.lock();
        Verdict::deny("nobody")
    };
    let pull = Pull::with_options(&context, quick().security(Plain::server().ask(decide))).unwrap();
    pull.bind("tcp://127.0.0.1:0").unwrap();

    drop(pull);

    assert_eq!(hears.recv_timeout(LONG).unwrap().as_deref(), Some("peermq-drop"));
    let (server, client) = curve_pair();
    let pull = Pull::with_options(&context, server).unwrap();
    let push = Push::with_options(&context, client).unwrap();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    push.send("it goes on").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "it goes on");
}

/// An answer can be kept, and given by anybody. Who has hung up meanwhile is gone at once, with its descriptor, and nobody is
/// asked about it any more.
#[test]
fn answers_may_come_later_and_too_late() {
    struct Keep(std::sync::mpsc::Sender<(Claim, Answer)>);
    impl Authoriser for Keep {
        fn authorise(&self, claim: Claim, answer: Answer) {
            self.0.send((claim, answer)).unwrap();
        }
    }
    let (kept, takes) = channel();
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, quick().security(Null::ask(Keep(kept)))).unwrap();
    let monitor = pull.monitor();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let (first, second) = (Push::new(&context), Push::new(&context));
    for push in [&first, &second] {
        push.connect(here.clone()).unwrap();
        push.send("in").unwrap();
    }
    let answers = [takes.recv_timeout(LONG).unwrap(), takes.recv_timeout(LONG).unwrap()];
    assert!(pull.try_recv().is_err() && answers.iter().all(|(claim, _)| claim.mechanism() == "NULL"));

    let later = std::thread::spawn(move || {
        for (number, (_, answer)) in answers.into_iter().enumerate() {
            answer.give(Verdict::Admit(User::new(number.to_string()).with("X-Role", "guest")));
        }
    });
    let mut users: Vec<String> = (0..2)
        .map(|_| {
            let (_, peer) = pull.recv_from_timeout(LONG).unwrap();
            let user = peer.user().unwrap();
            assert_eq!(user.property("x-role"), Some(&b"guest"[..]));
            user.id().to_owned()
        })
        .collect();
    users.sort();
    assert_eq!(users, ["0", "1"]);
    later.join().unwrap();

    let gone = Push::with_options(&context, quick().linger(Duration::ZERO)).unwrap();
    gone.connect(here).unwrap();
    let (_, answer) = takes.recv_timeout(LONG).unwrap();
    gone.close().unwrap();
    wait_for!(monitor, HandshakeFailed);
    answer.give(Verdict::Admit(User::new("nobody")));
    assert!(pull.try_recv().is_err());
}

/// What a client says of itself is looked at once it is let in; what will not do is told at once, however it was let in.
#[test]
fn a_type_that_does_not_fit_is_told_after_an_authoriser_too() {
    let (ours, theirs) = (key(), key());
    let server = ours.public();
    let context = Context::new().unwrap();
    let admit = |_: &Claim| Verdict::Admit(User::new("any"));
    let pull = Pull::with_options(&context, quick().security(Curve::server(ours).ask(admit))).unwrap();
    let dealer = Dealer::with_options(&context, quick().security(Curve::client(theirs, server))).unwrap();
    let (at_server, at_client) = (pull.monitor(), dealer.monitor());
    dealer.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();

    let Event::HandshakeFailed { failure, .. } = wait_for!(at_server, HandshakeFailed) else {
        unreachable!("it was waited for")
    };

    assert!(matches!(failure, Failure::IncompatibleSocketType { .. }), "{failure}");
    wait_for!(at_client, GaveUp);
}

/// T14: an identity is what a client says of itself. Who it is was proved: nobody else takes over what is its.
#[test]
fn threat_14_a_place_is_handed_over_to_the_same_user_only() {
    let [ours, ann, again, eve] = [1, 2, 2, 3].map(|byte| SecretKey::from_bytes([byte; 32]));
    let server = ours.public();
    let context = Context::new().unwrap();
    let options = quick().handover(true).security(Curve::server(ours).allow_any());
    let router = Router::with_options(&context, options).unwrap();
    let monitor = router.monitor();
    let here = router.bind("tcp://127.0.0.1:0").unwrap();
    let identity = Identity::new("desk").unwrap();
    let dealer = |secret: SecretKey, options: Options| {
        let options = options
            .identity(identity.clone())
            .security(Curve::client(secret, server));
        let dealer = Dealer::with_options(&context, options).unwrap();
        dealer.connect(&here).unwrap();
        dealer
    };
    let stays_away = Options::default().reconnect(Duration::MAX, Duration::MAX);
    let first = dealer(ann, stays_away);
    first.send("mine").unwrap();
    assert_eq!(router.recv_timeout(LONG).unwrap().1, "mine");

    let thief = dealer(eve, quick());
    let refused = wait_for!(monitor, HandshakeFailed).to_string();
    assert!(refused.contains("its identity is in use"), "{refused}");
    router.send_to(&identity, "still yours").unwrap();
    assert_eq!(first.recv_timeout(LONG).unwrap(), "still yours");
    drop(thief);

    let second = dealer(again, quick());
    second.send("from elsewhere").unwrap();
    assert_eq!(router.recv_timeout(LONG).unwrap().1, "from elsewhere");
    let lost = wait_until(&monitor, "the first is replaced", |event| {
        matches!(
            event,
            Event::Disconnected {
                failure: Failure::Replaced,
                ..
            }
        )
    });
    println!("{lost}");
}

//! What `explain` says in situations that people run into: the likely cause, and that it is told.

mod common;

use common::{LONG, address, endpoint, hello, transport_suite, unused, wait_connected, wait_for, wait_until};
use peermq::{
    Cause, Context, Doing, DropReason, Event, Explanation, Failure, Life, Options, Pub, Pull, Push, Rep, Stage, Sub,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Asks again and again until the cause is one of these: for what no event tells.
fn until(explain: impl Fn() -> Explanation, is_it: impl Fn(&Cause) -> bool) -> Explanation {
    let deadline = Instant::now() + LONG;
    loop {
        let explanation = explain();
        if explanation.causes.iter().any(&is_it) {
            return explanation;
        }
        assert!(Instant::now() < deadline, "{explanation}");
        std::thread::yield_now();
    }
}

fn impatient() -> Options {
    Options::default().linger(Duration::ZERO)
}

/// A server of something else: it reads a little, says this, and ends the connection.
fn stranger(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _read = stream.read(&mut [0; 64]);
            let _written = stream.write_all(says);
        }
    });
    here
}

#[test]
fn a_peer_that_speaks_http_is_named() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, impatient()).unwrap();
    let monitor = push.monitor();
    let there = stranger(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    push.connect(&*there).unwrap();
    wait_for!(monitor, HandshakeFailed);
    let explanation = until(|| push.explain(), |cause| matches!(cause, Cause::HandshakeFails { .. }));

    let text = explanation.to_string();
    assert!(text.contains("PUSH socket, open"), "{text}");
    assert!(
        text.contains(&format!(
            "- {there}: somebody is there, but at greeting: the peer speaks HTTP, not ZMTP"
        )),
        "{text}"
    );
    let endpoints = explanation.endpoints.unwrap();
    assert_eq!(endpoints[0].endpoint.to_string(), there);
    assert!(endpoints[0].attempts >= 1);
    let (stage, failure) = endpoints[0].last_failure.clone().unwrap();
    assert_eq!(
        (stage, failure),
        (Stage::Greeting, Failure::NotZmtp { looks_like: "HTTP" })
    );
}

#[test]
fn somebody_who_comes_and_speaks_http_is_named_too() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    assert_eq!(pull.explain().causes, [Cause::NobodyCame]);
    let mut browser = TcpStream::connect(address(&here)).unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    wait_for!(monitor, HandshakeFailed);

    let explanation = pull.explain();
    assert_eq!(
        explanation.causes,
        [Cause::Stranger {
            endpoint: here.clone(),
            failure: Failure::NotZmtp { looks_like: "HTTP" },
        }]
    );

    // A peer comes: the stranger is no cause any more.
    let push = Push::new(&context);
    push.connect(here).unwrap();
    wait_connected(&monitor);
    let explanation = pull.explain();
    assert!(explanation.causes.is_empty(), "{explanation}");
    assert!(explanation.to_string().contains("nothing looks wrong from here"));
    assert!(push.explain().causes.is_empty(), "{}", push.explain());
}

#[test]
fn a_peer_that_was_disconnected_for_its_own_fault_is_told_also_once_it_is_back() {
    let context = Context::new().unwrap();
    let small = || Options::default().max_message_size(1_000);
    for binds in [true, false] {
        let pull = Pull::with_options(&context, small()).unwrap();
        let push = Push::with_options(&context, impatient()).unwrap();
        let (ours, theirs) = (pull.monitor(), push.monitor());
        let there = if binds {
            let there = pull.bind("tcp://127.0.0.1:0").unwrap();
            push.connect(there.clone()).unwrap();
            there
        } else {
            let there = push.bind("tcp://127.0.0.1:0").unwrap();
            pull.connect(there.clone()).unwrap();
            there
        };
        wait_connected(&ours);
        wait_connected(&theirs);
        push.send(vec![0; 1_001]).unwrap();
        wait_for!(ours, Disconnected);
        wait_connected(&ours);

        let explanation = pull.explain();
        let failure = match &explanation.causes[..] {
            [Cause::Disconnected { endpoint, failure }] if *endpoint == there => failure,
            _ => panic!("{explanation}"),
        };
        assert!(matches!(failure, Failure::TooLarge { limit: 1_000, .. }), "{failure}");
        let text = explanation.to_string();
        assert!(text.contains("last failed at traffic: "), "{text}");
        assert!(
            text.contains(&format!(
                "- {there}: a peer was disconnected for what it did: {failure}"
            )),
            "{text}"
        );
    }
}

transport_suite!(
    a_wrong_type_is_told_once_and_for_all,
    nobody_there_is_told_with_what_waits,
    who_does_not_receive_is_told_on_both_sides,
);

fn a_wrong_type_is_told_once_and_for_all(transport: &str) {
    let context = Context::new().unwrap();
    let (push, rep) = (Push::with_options(&context, impatient()).unwrap(), Rep::new(&context));
    let monitor = push.monitor();
    let here = rep.bind(endpoint(transport)).unwrap();
    push.connect(here.clone()).unwrap();
    wait_for!(monitor, GaveUp);

    let explanation = push.explain();
    let [Cause::GaveUp { endpoint, failure }] = &explanation.causes[..] else {
        panic!("{explanation}")
    };
    assert_eq!(*endpoint, here);
    assert!(
        failure.to_string().contains("REP") && failure.to_string().contains("PUSH"),
        "{failure}"
    );
    assert_eq!(explanation.endpoints.unwrap()[0].doing, Doing::GaveUp);
}

fn nobody_there_is_told_with_what_waits(transport: &str) {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, impatient()).unwrap();
    let there = unused(transport);
    push.connect(&*there).unwrap();
    push.send("waits").unwrap();
    let explanation = until(
        || push.explain(),
        |cause| matches!(cause, Cause::NotReached { .. } | Cause::NotBound { .. }),
    );

    let waits = Cause::WaitsForPeer {
        endpoint: there.clone(),
        queued: 1,
    };
    assert_eq!(explanation.causes[1..], [waits]);
    let text = explanation.to_string();
    let told = match transport {
        "inproc" => format!("- nobody in this context has bound {there}"),
        _ => format!("- {there}: not reached in "),
    };
    assert!(text.contains(&told), "{text}");
    assert!(
        text.contains(&format!("- 1 message waits for {there}, which is not connected")),
        "{text}"
    );
}

fn who_does_not_receive_is_told_on_both_sides(transport: &str) {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, impatient().send_mark(2)).unwrap();
    let pull = Pull::with_options(&context, Options::default().recv_mark(2)).unwrap();
    push.connect(pull.bind(endpoint(transport)).unwrap()).unwrap();
    let mebibyte = vec![7; 1 << 20];
    // Into both queues, and the kernel.
    while push.send_timeout(&mebibyte, Duration::from_millis(200)).is_ok() {}

    let receiving = until(|| pull.explain(), |cause| matches!(cause, Cause::NotReceiving { .. }));
    assert_eq!(receiving.causes.len(), 1, "{receiving}");
    let sending = until(
        || push.explain(),
        |cause| matches!(cause, Cause::PeerFull { queued: 2, .. }),
    );
    assert_eq!(sending.causes.len(), 1, "{sending}");
    assert!(sending.stats.out.full_now == 1 && sending.stats.out.full_for > Duration::ZERO);

    while pull.recv_timeout(Duration::from_millis(200)).is_ok() {}
    assert!(
        pull.explain().causes.is_empty() && push.explain().causes.is_empty(),
        "{}",
        push.explain()
    );
}

#[test]
fn a_peer_that_says_nothing_is_awaited() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, impatient()).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    push.connect(format!("tcp://{}", silent.local_addr().unwrap())).unwrap();
    let _stream = silent.accept().unwrap();

    let awaits = |stage| move |cause: &Cause| matches!(cause, Cause::Awaited { stage: it, .. } if *it == stage);
    let explanation = until(|| push.explain(), awaits(Stage::Greeting));
    assert!(
        explanation
            .to_string()
            .contains("connected, but the peer has not sent its greeting yet"),
        "{explanation}"
    );
}

#[test]
fn a_peer_that_is_lost_or_gone_is_told() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, impatient()).unwrap();
    let monitor = push.monitor();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    push.connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&hello("PULL")).unwrap();
    wait_connected(&monitor);
    assert!(push.explain().causes.is_empty(), "{}", push.explain());
    drop((stream, listener));
    wait_for!(monitor, RetryingIn);

    let explanation = push.explain();
    assert!(
        matches!(explanation.causes[..], [Cause::Lost { .. } | Cause::NotReached { .. }]),
        "{explanation}"
    );
    assert!(matches!(
        explanation.endpoints.unwrap()[0].doing,
        Doing::Waiting(_) | Doing::Connecting
    ));
}

#[test]
fn what_nobody_subscribed_to_is_told_on_both_sides() {
    let context = Context::new().unwrap();
    let publisher = Pub::new(&context);
    let here = publisher.bind("tcp://127.0.0.1:0").unwrap();
    let monitor = publisher.monitor();
    let subscribers = [Sub::new(&context), Sub::new(&context)];
    for sub in &subscribers {
        sub.connect(here.clone()).unwrap();
        wait_connected(&monitor);
    }
    assert_eq!(publisher.explain().causes, [Cause::NoSubscription { peers: 2 }]);
    assert_eq!(subscribers[0].explain().causes, [Cause::NotSubscribed]);

    for sub in &subscribers {
        assert!(sub.subscribe_confirmed("x.", LONG).is_ok());
    }
    assert!(publisher.explain().causes.is_empty(), "{}", publisher.explain());
    publisher.send("a.b").unwrap();
    let text = publisher.explain().to_string();
    assert!(text.contains("- 2 subscribers, none matches a.b"), "{text}");
    assert!(text.contains("subscriptions: 1 topic\n"), "{text}");
    assert!(subscribers[0].explain().causes.is_empty());

    // Somebody subscribes: what was published in vain before is none of the causes any more, only counted.
    assert!(subscribers[1].subscribe_confirmed("a.", LONG).is_ok());
    let dropped = Cause::Dropped {
        out: true,
        reason: DropReason::NoSubscriber,
        messages: 1,
    };
    assert_eq!(publisher.explain().causes, [dropped]);
}

#[test]
fn a_closed_socket_says_so() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, impatient()).unwrap();
    assert_eq!(push.explain().causes, [Cause::NoEndpoint]);
    push.connect("inproc://nobody").unwrap();
    push.send("in vain").unwrap();
    push.close().unwrap();

    let explanation = push.explain();
    assert_eq!(explanation.life, Life::Closed);
    assert_eq!(explanation.causes[0], Cause::Closed);
    assert!(
        explanation
            .to_string()
            .contains("1 outgoing message was dropped as Linger"),
        "{explanation}"
    );

    context.shutdown();
    let explanation = push.explain();
    assert_eq!((explanation.life, explanation.endpoints), (Life::Closed, None));
}

/// What comes from a peer is text of a stranger.
#[test]
fn threat_26_what_a_peer_says_cannot_write_lines() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let monitor = pull.monitor();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(address(&here)).unwrap();
    stream.write_all(&hello("X\n- evil")).unwrap();
    wait_until(&monitor, "a refusal", |event| {
        matches!(event, Event::HandshakeFailed { .. })
    });

    let text = pull.explain().to_string();
    assert!(text.contains("evil") && !text.contains("\n- evil"), "{text}");
}

/// "Never waits on the loop's own thread": a waker asks.
#[test]
fn a_waker_may_ask_and_learns_what_can_be_known_there() {
    struct Asks(std::sync::Mutex<Option<Push>>, std::sync::mpsc::SyncSender<Explanation>);
    impl std::task::Wake for Asks {
        fn wake(self: std::sync::Arc<Self>) {
            if let Some(push) = self.0.lock().unwrap().take() {
                let _ = self.1.send(push.explain());
            }
        }
    }
    let context = Context::new().unwrap();
    let (pull, push) = (Pull::new(&context), Push::new(&context));
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let other = Push::with_options(&context, impatient()).unwrap();
    other.connect("inproc://nobody").unwrap();
    let (tell, told) = std::sync::mpsc::sync_channel(10);
    let waker = std::task::Waker::from(std::sync::Arc::new(Asks(Some(other).into(), tell)));
    let mut receiving = Box::pin(pull.recv_async());
    let pending = receiving.as_mut().poll(&mut std::task::Context::from_waker(&waker));
    assert!(pending.is_pending());
    push.connect(here).unwrap();
    push.send("wakes it").unwrap();

    let explanation = told.recv_timeout(LONG).unwrap();
    assert_eq!((explanation.endpoints, explanation.stats.peers.len()), (None, 1));
}

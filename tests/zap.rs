//! Who may come in is asked of a ZAP handler (RFC 27): what it may answer, and what it may not.

mod common;

use common::{LONG, wait_for};
use peermq::*;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// What a handler makes of a question.
type Answers = fn(&[&[u8]]) -> Option<Vec<Vec<u8>>>;

fn quick() -> Options {
    Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50))
}

/// A server that asks, and a client of it, of each mechanism.
fn pairs(context: &Context, timeout: Duration) -> [(&'static str, Options, Options); 3] {
    let zap = || Zap::new(context).domain("tests").timeout(timeout).connect().unwrap();
    let server = SecretKey::from_bytes([1; 32]);
    let client = Curve::client(SecretKey::from_bytes([2; 32]), server.public());
    [
        ("NULL", quick().security(Null::ask(zap())), quick()),
        (
            "PLAIN",
            quick().security(Plain::server().ask(zap())),
            quick().security(Plain::client("admin", "secret")),
        ),
        (
            "CURVE",
            quick().security(Curve::server(server).ask(zap())),
            quick().security(client),
        ),
    ]
}

/// A handler that answers all questions so, until its context ends.
fn answering(context: &Context, answer: impl Fn(&[&[u8]]) -> Option<Vec<Vec<u8>>> + Send + 'static) {
    let handler = Rep::new(context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    std::thread::spawn(move || {
        while let Ok(request) = handler.recv() {
            let frames: Vec<&[u8]> = request.message().frames().collect();
            let reply = answer(&frames);
            if let Some(reply) = reply {
                let _ = request.reply(Message::from_frames(reply).unwrap());
            }
        }
    });
}

/// A right answer, with one frame changed.
fn changed(question: &[&[u8]], at: usize, frame: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reply: Vec<Vec<u8>> = [question[0], question[1], b"200", b"OK", b"user", b""]
        .map(<[u8]>::to_vec)
        .into();
    reply[at] = frame.to_vec();
    Some(reply)
}

/// Two sockets of each mechanism meet under this handler.
fn for_each(
    timeout: Duration,
    answer: impl Fn(&[&[u8]]) -> Option<Vec<Vec<u8>>> + Send + Clone + 'static,
    meet: impl Fn(&str, &Pull, &Push, &Monitor, &Monitor),
) {
    for which in 0..3 {
        let context = Context::new().unwrap();
        answering(&context, answer.clone());
        let (mechanism, server, client) = pairs(&context, timeout).into_iter().nth(which).unwrap();
        println!("{mechanism}");
        let pull = Pull::with_options(&context, server).unwrap();
        let push = Push::with_options(&context, client).unwrap();
        let (at_server, at_client) = (pull.monitor(), push.monitor());
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        meet(mechanism, &pull, &push, &at_server, &at_client);
    }
}

fn refusal(monitor: &Monitor) -> String {
    let Event::HandshakeFailed { failure, .. } = wait_for!(monitor, HandshakeFailed) else {
        unreachable!("it was waited for")
    };
    assert!(matches!(failure, Failure::NotAdmitted { .. }), "{failure}");
    failure.to_string()
}

#[test]
fn t41_who_is_admitted_comes_in_as_the_user_that_the_handler_names() {
    let answer = |question: &[&[u8]]| {
        let (domain, host, mechanism) = (question[2], question[3], question[5]);
        assert_eq!(
            (question[0], domain, host),
            (&b"1.0"[..], &b"tests"[..], &b"127.0.0.1"[..])
        );
        match mechanism {
            b"NULL" => assert_eq!(question.len(), 6),
            b"PLAIN" => assert_eq!(question[6..], [&b"admin"[..], b"secret"]),
            _ => assert_eq!(question[6..], [SecretKey::from_bytes([2; 32]).public().as_bytes()]),
        }
        changed(question, 5, b"\x05Hello\0\0\0\x05World")
    };
    for_each(LONG, answer, |_, pull, push, _, _| {
        push.send("in").unwrap();
        let (_, peer) = pull.recv_from_timeout(LONG).unwrap();
        let user = peer.user().unwrap();
        assert_eq!((user.id(), user.property("Hello")), ("user", Some(&b"World"[..])));
    });
}

#[test]
fn t41_status_400_and_500_end_it_and_300_does_not() {
    for (status, is_final) in [("300", false), ("400", true), ("500", true)] {
        let answer = move |question: &[&[u8]]| {
            let mut reply = changed(question, 2, status.as_bytes())?;
            reply[3] = b"as it is told".to_vec();
            Some(reply)
        };
        for_each(LONG, answer, |_, _, _, at_server, at_client| {
            assert!(refusal(at_server).contains("as it is told"));
            if is_final {
                let Event::GaveUp { failure, .. } = wait_for!(at_client, GaveUp) else {
                    unreachable!("it was waited for")
                };
                assert_eq!(failure, Failure::RefusedByPeer { reason: status.into() });
            } else {
                wait_for!(at_client, RetryingIn);
            }
        });
    }
}

#[test]
fn t41_a_broken_reply_decides_nothing_and_is_told_as_500() {
    let broken: [Answers; 5] = [
        |question| changed(question, 0, b"1.1"),
        |question| changed(question, 2, b"600"),
        |question| changed(question, 4, &[b'x'; 256]),
        |question| changed(question, 5, b"\x05Hello\0\0"),
        |question| {
            let mut reply = changed(question, 2, b"200")?;
            reply.push(b"more".to_vec());
            Some(reply)
        },
    ];
    for answer in broken {
        for_each(LONG, answer, |_, _, _, at_server, at_client| {
            assert!(refusal(at_server).contains("broken ZAP reply"));
            wait_for!(at_client, GaveUp);
        });
    }
}

/// A reply to another question, silence, and nobody at all: whoever asks is turned away, and comes again.
#[test]
fn t41_without_an_answer_nobody_comes_in() {
    let silent: [Answers; 2] = [|_| None, |question| changed(question, 1, b"\0\0\0\0\0\0\xff\xff")];
    for answer in silent {
        for_each(Duration::from_millis(50), answer, |_, _, _, at_server, at_client| {
            assert!(refusal(at_server).contains("no ZAP handler has answered"));
            wait_for!(at_client, RetryingIn);
        });
    }
    let context = Context::new().unwrap();
    for (_, server, client) in pairs(&context, Duration::from_millis(50)) {
        let pull = Pull::with_options(&context, server).unwrap();
        let push = Push::with_options(&context, client).unwrap();
        let monitor = pull.monitor();
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        assert!(refusal(&monitor).contains("no ZAP handler has answered"));
    }
}

/// RFC 27: a handler that comes later is asked by those who come again.
#[test]
fn t41_a_handler_may_come_later() {
    let context = Context::new().unwrap();
    let [(_, server, client), ..] = pairs(&context, Duration::from_millis(50));
    let pull = Pull::with_options(&context, server).unwrap();
    let push = Push::with_options(&context, client).unwrap();
    let monitor = pull.monitor();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    refusal(&monitor);

    answering(&context, |question| changed(question, 2, b"200"));

    push.send("in").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "in");
}

/// Many are asked about at once, and answered in another order.
#[test]
fn threat_23_answers_are_for_those_who_were_asked_about() {
    let context = Context::new().unwrap();
    let handler = Router::new(&context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    let zap = Zap::new(&context).connect().unwrap();
    let pull = Pull::with_options(&context, quick().security(Plain::server().ask(zap))).unwrap();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let pushes: Vec<Push> = (0..20)
        .map(|n| {
            let security = Plain::client(format!("user {n}"), "any");
            let push = Push::with_options(&context, quick().security(security)).unwrap();
            push.connect(here.clone()).unwrap();
            push.send(format!("user {n}").as_str()).unwrap();
            push
        })
        .collect();
    let questions: Vec<_> = (0..20).map(|_| handler.recv_timeout(LONG).unwrap()).collect();
    for (id, question) in questions.iter().rev() {
        let asked: Vec<&[u8]> = question.frames().collect();
        let reply: [&[u8]; 7] = [asked[0], asked[1], asked[2], b"200", b"", asked[7], b""];
        handler.send_to(id, Message::from_frames(reply).unwrap()).unwrap();
    }

    for _ in 0..20 {
        let (message, peer) = pull.recv_from_timeout(LONG).unwrap();
        assert_eq!(message.to_str().ok(), peer.user().map(User::id));
    }
    drop(pushes);
}

/// RFC 27, "The request message SHALL consist of the following message frames", of each mechanism, as they are on the wire.
#[test]
fn a_question_has_these_frames() {
    let context = Context::new().unwrap();
    let handler = Router::new(&context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    let key = SecretKey::from_bytes([2; 32]).public();
    let shown: [&[&[u8]]; 3] = [
        &[b"NULL"],
        &[b"PLAIN", b"admin", b"secret"],
        &[b"CURVE", key.as_bytes()],
    ];
    let mut places = vec![("tcp://127.0.0.1:0", "127.0.0.1"), ("ipc://*", "")];
    if TcpListener::bind("[::1]:0").is_ok() {
        places.push(("tcp://[::1]:0", "::1"));
    }
    let mut numbers = Vec::new();
    for (place, address) in places {
        for ((_, server, client), shown) in pairs(&context, LONG).into_iter().zip(shown) {
            let pull = Pull::with_options(&context, server).unwrap();
            let push = Push::with_options(&context, client).unwrap();
            push.connect(pull.bind(place).unwrap()).unwrap();

            let (_, question) = handler.recv_timeout(LONG).unwrap();

            let frames: Vec<&[u8]> = question.frames().collect();
            assert_eq!(frames[..2], [&b""[..], b"1.0"]);
            numbers.push(frames[2].to_vec());
            assert_eq!(frames[3..6], [&b"tests"[..], address.as_bytes(), b""]);
            assert_eq!(&frames[6..], shown);
        }
    }
    assert!(numbers.iter().all(|number| number.len() == 8));

    // Who comes by IPv4 to a listener of both is asked about as such, as rules are written.
    let [(_, server, client), ..] = pairs(&context, LONG);
    let pull = Pull::with_options(&context, server).unwrap();
    if let Ok(here) = pull.bind("tcp://[::]:0") {
        let push = Push::with_options(&context, client).unwrap();
        push.connect(here.to_string().replace("[::]", "127.0.0.1")).unwrap();
        let (_, question) = handler.recv_timeout(LONG).unwrap();
        assert_eq!(question.frames().nth(4), Some(&b"127.0.0.1"[..]));
    }

    // Of no domain, unless it is told one.
    let zap = Zap::new(&context).connect().unwrap();
    let pull = Pull::with_options(&context, quick().security(Null::ask(zap))).unwrap();
    let push = Push::new(&context);
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let (_, question) = handler.recv_timeout(LONG).unwrap();
    assert_eq!(question.frames().nth(3), Some(&b""[..]));
}

/// RFC 27: "There SHALL be one handler in a process."
#[test]
fn there_is_one_handler_in_a_context() {
    let context = Context::new().unwrap();
    let (first, second) = (Rep::new(&context), Rep::new(&context));
    first.bind("inproc://zeromq.zap.01").unwrap();
    let refused = second.bind("inproc://zeromq.zap.01").unwrap_err();
    assert!(
        matches!(&refused, BindError::Io { error, .. } if error.kind() == std::io::ErrorKind::AddrInUse),
        "{refused}"
    );
}

/// RFC 27: "An authentication dialog SHALL consist of one request from a server to the handler, with one reply from the
/// handler back to the server."
#[test]
fn a_second_reply_is_nobodys() {
    let context = Context::new().unwrap();
    let handler = Router::new(&context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    let [_, (_, server, client), _] = pairs(&context, LONG);
    let pull = Pull::with_options(&context, server).unwrap();
    let here = pull.bind("tcp://127.0.0.1:0").unwrap();
    let reply = |id: &Identity, question: &Message, status: &[u8], user: &[u8]| {
        let asked: Vec<&[u8]> = question.frames().collect();
        let frames = [asked[0], asked[1], asked[2], status, b"", user, b""];
        handler.send_to(id, Message::from_frames(frames).unwrap()).unwrap();
    };
    let push = |name: &str| {
        let push = Push::with_options(&context, client.clone()).unwrap();
        push.connect(here.clone()).unwrap();
        push.send(name).unwrap();
        let (id, question) = handler.recv_timeout(LONG).unwrap();
        (push, id, question)
    };
    let (_first, id, question) = push("first");
    reply(&id, &question, b"200", b"one");
    for _ in 0..10 {
        reply(&id, &question, b"200", b"another");
        reply(&id, &question, b"400", b"");
    }
    let (_second, id, question) = push("second");
    reply(&id, &question, b"200", b"two");

    for (said, user) in [("first", "one"), ("second", "two")] {
        let (message, peer) = pull.recv_from_timeout(LONG).unwrap();
        assert_eq!((message.to_str(), peer.user().map(User::id)), (Ok(said), Some(user)));
    }
}

/// RFC 27: a handler that passes questions on, "including the first routing ID frame", to another, and that to one which
/// sends "the same envelope back with the reply".
#[test]
fn a_handler_may_be_a_proxy() {
    let context = Context::new().unwrap();
    let sockets = || (Router::new(&context), Dealer::new(&context));
    let ((near, onward), (far, last)) = (sockets(), sockets());
    near.bind("inproc://zeromq.zap.01").unwrap();
    onward.connect(far.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let there = last.bind("tcp://127.0.0.1:0").unwrap();
    let elsewhere = Context::new().unwrap();
    let handler = Rep::new(&elsewhere);
    handler.connect(there).unwrap();
    /// Ends what runs under them, also if the test fails.
    struct End<'a>([&'a Context; 2]);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.iter().for_each(|context| drop(context.shutdown()));
        }
    }
    std::thread::scope(|scope| {
        let _end = End([&context, &elsewhere]);
        for (front, back) in [(&near, &onward), (&far, &last)] {
            scope.spawn(move || queue(front, back));
        }
        scope.spawn(|| {
            while let Ok(request) = handler.recv() {
                let asked: Vec<&[u8]> = request.message().frames().collect();
                assert_eq!(
                    (asked[0], asked[2], asked.len() >= 6),
                    (&b"1.0"[..], &b"tests"[..], true)
                );
                let status: &[u8] = if asked[6..].contains(&&b"wrong"[..]) {
                    b"400"
                } else {
                    b"200"
                };
                let reply = [asked[0], asked[1], status, b"", asked[5], b""];
                let reply = Message::from_frames(reply).unwrap();
                request.reply(reply).unwrap();
            }
        });
        for (mechanism, server, client) in pairs(&context, LONG) {
            let pull = Pull::with_options(&context, server).unwrap();
            let push = Push::with_options(&context, client).unwrap();
            let here = pull.bind("tcp://127.0.0.1:0").unwrap();
            push.connect(here.clone()).unwrap();
            push.send("in").unwrap();
            let (_, peer) = pull.recv_from_timeout(LONG).unwrap();
            assert_eq!(peer.user().map(User::id), Some(mechanism));
            if mechanism == "PLAIN" {
                let other = quick().security(Plain::client("admin", "wrong"));
                let push = Push::with_options(&context, other).unwrap();
                let monitor = push.monitor();
                push.connect(here).unwrap();
                wait_for!(monitor, GaveUp);
            }
        }
    });
}

/// One of another process may go while it is asked, and come again.
#[test]
fn a_handler_elsewhere_may_come_again() {
    let context = Context::new().unwrap();
    let elsewhere = Context::new().unwrap();
    let handler = Rep::new(&elsewhere);
    let there = handler.bind("tcp://127.0.0.1:0").unwrap();
    let zap = Zap::new(&context)
        .endpoint(there.to_string())
        .timeout(Duration::from_millis(200));
    let server = Plain::server().ask(zap.connect().unwrap());
    let pull = Pull::with_options(&context, quick().security(server)).unwrap();
    let push = Push::with_options(&context, quick().security(Plain::client("admin", "secret"))).unwrap();
    let monitor = pull.monitor();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    push.send("in").unwrap();
    let _asked = handler.recv_timeout(LONG).unwrap();

    elsewhere.shutdown();
    assert!(refusal(&monitor).contains("no ZAP handler has answered"));
    let elsewhere = Context::new().unwrap();
    let handler = Rep::new(&elsewhere);
    handler.bind(there).unwrap();

    common::until("it is let in", || {
        // Those who had given up are asked about, too.
        if let Ok(request) = handler.recv_timeout(Duration::from_millis(10)) {
            let question: Vec<&[u8]> = request.message().frames().collect();
            let reply = Message::from_frames(changed(&question, 2, b"200").unwrap()).unwrap();
            let _late = request.reply(reply);
        }
        !pull.stats().peers.is_empty()
    });
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "in");
}

/// A context that ends leaves nobody waiting, whatever is being asked.
#[test]
fn a_context_ends_while_somebody_is_asked_about() {
    let context = Context::new().unwrap();
    let handler = Rep::new(&context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    let [_, (_, server, client), _] = pairs(&context, LONG);
    let pull = Pull::with_options(&context, server).unwrap();
    let push = Push::with_options(&context, client).unwrap();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let _request = handler.recv_timeout(LONG).unwrap();

    context.shutdown();

    assert_eq!(pull.recv_timeout(LONG).unwrap_err(), RecvError::Closed);
}

/// Who asks and goes does not pile up at a handler that says nothing.
#[test]
fn threat_23_questions_that_nobody_answers_are_bounded() {
    let context = Context::new().unwrap();
    let handler = Router::new(&context);
    handler.bind("inproc://zeromq.zap.01").unwrap();
    let zap = Zap::new(&context).timeout(LONG).connect().unwrap();
    let options = quick().security(Plain::server().ask(zap)).max_pending_handshakes(4);
    let pull = Pull::with_options(&context, options).unwrap();
    let monitor = pull.monitor();
    let here = common::address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let mut hello = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01PLAIN".to_vec();
    hello.resize(64, 0);
    hello.extend_from_slice(b"\x04\x08\x05HELLO\0\0");
    let mut asked = 0;

    // The handler takes each question, so that the socket's mark is none.
    for _ in 0..1_024 {
        let mut stranger = TcpStream::connect(&here).unwrap();
        stranger.write_all(&hello).unwrap();
        let _question = handler.recv_timeout(LONG).unwrap();
        asked += 1;
    }
    let mut one_more = TcpStream::connect(&here).unwrap();
    one_more.write_all(&hello).unwrap();

    common::wait_until(
        &monitor,
        "a refusal",
        |event| matches!(event, Event::HandshakeFailed { failure, .. } if failure.to_string().contains("1024 questions")),
    );
    assert_eq!((asked, handler.try_recv().is_err()), (1_024, true));
}

//! REQ and REP as libzmq's own tests have them, and requests that are sent again.

mod common;

use common::*;
use peermq::*;
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

transport_suite!(
    t01_req_round_robin_out,
    t02_req_message_format,
    t03_rep_fair_queue_in,
    t03_rep_envelope,
    t09_req_correlate,
    t10_req_relaxed_case_1_a_new_request_before_the_reply,
    t10_req_relaxed_case_2_a_late_reply_of_another_peer,
    t10_req_relaxed_case_3_the_turn_goes_on,
    t10_req_relaxed_case_4_requests_before_there_is_a_server,
    replies_without_an_envelope_are_dropped,
    only_the_peer_that_was_asked_is_listened_to,
    a_request_is_sent_again_to_the_next_when_no_reply_comes,
    a_request_is_sent_again_when_its_peer_is_lost,
    a_request_that_nobody_answers_ends_in_time,
    what_nobody_waits_for_any_more_is_taken_back,
);

fn rep(context: &Context, transport: &str) -> (Rep, Endpoint) {
    let rep = Rep::new(context);
    let at = rep.bind(endpoint(transport)).unwrap();
    (rep, at)
}

fn lockstep() -> Options {
    Options::default().correlate(false)
}

fn asking(req: &Arc<Req>, question: &'static str) -> thread::JoinHandle<Result<Message, RequestError>> {
    let req = Arc::clone(req);
    thread::spawn(move || req.request_timeout(question, LONG))
}

/// RFC 28: "SHALL distribute outgoing messages using a round-robin strategy".
fn t01_req_round_robin_out(transport: &str) {
    let context = Context::new().unwrap();
    let req = Arc::new(Req::new(&context));
    let reps = [(); 5].map(|()| {
        let (rep, at) = rep(&context, transport);
        req.connect(at).unwrap();
        rep
    });
    let asking = thread::spawn({
        let req = Arc::clone(&req);
        move || (0..5).for_each(|_| assert_eq!(req.request("ABC").unwrap(), "DEF"))
    });
    for rep in &reps {
        rep.recv_timeout(LONG).unwrap().reply("DEF").unwrap();
    }
    asking.join().unwrap();
    for rep in &reps {
        assert_eq!(rep.try_recv().unwrap_err(), RecvError::WouldBlock);
    }
}

/// RFC 28: "SHALL prepend ... an empty delimiter frame"; with ids there is one more in front.
fn t02_req_message_format(transport: &str) {
    for options in [lockstep(), Options::default()] {
        let context = Context::new().unwrap();
        let router = Router::new(&context);
        let req = Arc::new(Req::with_options(&context, options).unwrap());
        req.connect(router.bind(endpoint(transport)).unwrap()).unwrap();
        let waiting = thread::spawn({
            let req = Arc::clone(&req);
            move || req.request(["ABC", "DEF"]).unwrap()
        });
        let (who, request) = router.recv_timeout(LONG).unwrap();
        let mut frames = request.clone().into_frames();
        if frames.len() == 4 {
            assert_eq!(frames.remove(0).len(), 4, "the id");
        }
        assert_eq!(frames, ["", "ABC", "DEF"]);
        router.send_to(&who, request).unwrap();
        assert_eq!(waiting.join().unwrap(), Message::from(["ABC", "DEF"]));
    }
}

/// RFC 28: "SHALL receive incoming messages from its peers using a fair-queuing strategy".
fn t03_rep_fair_queue_in(transport: &str) {
    let context = Context::new().unwrap();
    let (rep, at) = rep(&context, transport);
    let reqs = [(); 5].map(|()| {
        let dealer = Dealer::new(&context);
        dealer.connect(at.clone()).unwrap();
        dealer.send(["", "A"]).unwrap();
        dealer.send(["", "B"]).unwrap();
        dealer
    });
    // All of both are here: one of each peer before the second of any.
    let wait = |count: u64| {
        while rep.stats().incoming.taken < count {
            thread::yield_now();
        }
    };
    wait(10);
    for question in ["A", "B"] {
        for _ in &reqs {
            let request = rep.recv_timeout(LONG).unwrap();
            assert_eq!(*request.message(), question);
            request.reply(question).unwrap();
        }
    }
    for dealer in &reqs {
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), Message::from(["", "A"]));
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), Message::from(["", "B"]));
    }
}

/// RFC 28: "SHALL ... reinstate the address envelope" of the request.
fn t03_rep_envelope(transport: &str) {
    let context = Context::new().unwrap();
    let (rep, at) = rep(&context, transport);
    let dealer = Dealer::new(&context);
    dealer.connect(at).unwrap();
    for envelope in [&["", "A"][..], &["X", "Y", "", "A"]] {
        dealer
            .send(Message::from_frames(envelope.iter().copied()).unwrap())
            .unwrap();
        let request = rep.recv_timeout(LONG).unwrap();
        assert_eq!(*request.message(), "A");
        request.reply("A").unwrap();
        let reply = dealer.recv_timeout(LONG).unwrap();
        assert_eq!(reply, Message::from_frames(envelope.iter().copied()).unwrap());
    }
}

/// Replies with another id, or none, are skipped.
fn t09_req_correlate(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let req = Arc::new(Req::new(&context));
    req.connect(router.bind(endpoint(transport)).unwrap()).unwrap();
    let waiting = asking(&req, "A");
    let (who, request) = router.recv_timeout(LONG).unwrap();
    let id = request.first().to_vec();
    let other = (u32::from_be_bytes(id[..].try_into().unwrap()) ^ 1).to_be_bytes();
    for bad in [
        Message::from([&other[..], b"", b"wrong id"]),
        Message::from([&b""[..], b"no id"]),
        Message::from(["nothing"]),
        Message::from([&id[..], b"no delimiter"]),
    ] {
        router.send_to(&who, bad).unwrap();
    }
    router.send_to(&who, [&id[..], b"", b"right"]).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), "right");
    assert_eq!(req.stats().incoming.dropped.total(), 4);
}

fn relaxed(context: &Context) -> Arc<Req> {
    Arc::new(Req::with_options(context, lockstep().relaxed(true)).unwrap())
}

fn t10_req_relaxed_case_1_a_new_request_before_the_reply(transport: &str) {
    let context = Context::new().unwrap();
    let (rep, at) = rep(&context, transport);
    let req = relaxed(&context);
    req.connect(at).unwrap();
    let first = asking(&req, "A");
    assert_eq!(*rep.recv_timeout(LONG).unwrap().message(), "A"); // and never answers
    let second = asking(&req, "B");
    assert!(matches!(first.join().unwrap(), Err(RequestError::Abandoned)));
    let request = rep.recv_timeout(LONG).unwrap();
    assert_eq!(*request.message(), "B");
    request.reply("C").unwrap();
    assert_eq!(second.join().unwrap().unwrap(), "C");
}

fn t10_req_relaxed_case_2_a_late_reply_of_another_peer(transport: &str) {
    let context = Context::new().unwrap();
    let req = relaxed(&context);
    let (one, at_one) = rep(&context, transport);
    let (two, at_two) = rep(&context, transport);
    req.connect(at_one).unwrap();
    req.connect(at_two).unwrap();
    let first = asking(&req, "A");
    let late = one.recv_timeout(LONG).unwrap();
    let second = asking(&req, "B");
    assert!(matches!(first.join().unwrap(), Err(RequestError::Abandoned)));
    let awaited = two.recv_timeout(LONG).unwrap();
    late.reply("late").unwrap();
    while req.stats().incoming.dropped.of(DropReason::StaleReply) == 0 {
        thread::yield_now();
    }
    awaited.reply("in time").unwrap();
    assert_eq!(second.join().unwrap().unwrap(), "in time");
}

fn t10_req_relaxed_case_3_the_turn_goes_on(transport: &str) {
    let context = Context::new().unwrap();
    let req = relaxed(&context);
    let reps = [(); 3].map(|()| {
        let (rep, at) = rep(&context, transport);
        req.connect(at).unwrap();
        rep
    });
    let mut waiting = Vec::new();
    for rep in &reps {
        waiting.push(asking(&req, "A"));
        rep.recv_timeout(LONG).unwrap();
    }
    waiting.push(asking(&req, "B"));
    let request = reps[0].recv_timeout(LONG).unwrap();
    assert_eq!(*request.message(), "B");
    request.reply("B").unwrap();
    let last = waiting.pop().unwrap();
    assert_eq!(last.join().unwrap().unwrap(), "B");
    for abandoned in waiting {
        assert!(matches!(abandoned.join().unwrap(), Err(RequestError::Abandoned)));
    }
}

fn t10_req_relaxed_case_4_requests_before_there_is_a_server(transport: &str) {
    let context = Context::new().unwrap();
    let req = relaxed(&context);
    let at = unused(transport);
    req.connect(&*at).unwrap();
    let mut waiting = Vec::new();
    for (n, question) in ["A", "B", "C"].into_iter().enumerate() {
        waiting.push(asking(&req, question));
        while req.stats().out.taken < n as u64 + 1 {
            thread::yield_now();
        }
    }
    let rep = Rep::new(&context);
    rep.bind(&*at).unwrap();
    // The others were taken back: they had not been on their way.
    let request = rep.recv_timeout(LONG).unwrap();
    assert_eq!(*request.message(), "C");
    request.reply("to the last").unwrap();
    assert_eq!(req.stats().out.dropped.of(DropReason::Abandoned), 2);
    assert_eq!(waiting.pop().unwrap().join().unwrap().unwrap(), "to the last");
    for abandoned in waiting {
        assert!(matches!(abandoned.join().unwrap(), Err(RequestError::Abandoned)));
    }
}

/// libzmq's test_invalid_rep.
fn replies_without_an_envelope_are_dropped(transport: &str) {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let req = Arc::new(Req::with_options(&context, lockstep()).unwrap());
    req.connect(router.bind(endpoint(transport)).unwrap()).unwrap();
    let waiting = asking(&req, "A");
    let (who, _) = router.recv_timeout(LONG).unwrap();
    router.send_to(&who, "b").unwrap();
    router.send_to(&who, ["", "a"]).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), "a");
    assert_eq!(req.stats().incoming.dropped.of(DropReason::Malformed), 1);
}

/// RFC 28: "SHALL accept an incoming message only from the last peer that it sent a request to."
fn only_the_peer_that_was_asked_is_listened_to(transport: &str) {
    let context = Context::new().unwrap();
    let req = Arc::new(Req::with_options(&context, lockstep()).unwrap());
    let routers = [(); 2].map(|()| {
        let options = Options::default().probe(true);
        let router = Router::with_options(&context, options).unwrap();
        req.connect(router.bind(endpoint(transport)).unwrap()).unwrap();
        router
    });
    let first = asking(&req, "A");
    let (who, _) = routers[0].recv_timeout(LONG).unwrap();
    routers[0].send_to(&who, ["", "1"]).unwrap();
    assert_eq!(first.join().unwrap().unwrap(), "1");
    let second = asking(&req, "B");
    let (other, _) = routers[1].recv_timeout(LONG).unwrap();
    let before = req.stats().incoming.dropped.of(DropReason::StaleReply);
    routers[0].send_to(&who, ["", "not asked"]).unwrap();
    while req.stats().incoming.dropped.of(DropReason::StaleReply) == before {
        thread::yield_now();
    }
    routers[1].send_to(&other, ["", "2"]).unwrap();
    assert_eq!(second.join().unwrap().unwrap(), "2");
}

fn patient(context: &Context, after: Duration, times: u32) -> Arc<Req> {
    Arc::new(Req::with_options(context, Options::default().retry(after, times)).unwrap())
}

fn a_request_is_sent_again_to_the_next_when_no_reply_comes(transport: &str) {
    let context = Context::new().unwrap();
    let req = patient(&context, Duration::from_millis(20), 100);
    let (deaf, at_deaf) = rep(&context, transport);
    let (good, at_good) = rep(&context, transport);
    req.connect(at_deaf).unwrap();
    req.connect(at_good).unwrap();
    for is_async in [false, true] {
        let waiting = thread::spawn({
            let req = Arc::clone(&req);
            move || match is_async {
                false => req.request("who is there?").unwrap(),
                true => block_on(req.request_async("who is there?")).unwrap(),
            }
        });
        let unheard = deaf.recv_timeout(LONG);
        good.recv_timeout(LONG).unwrap().reply("me").unwrap();
        assert_eq!(waiting.join().unwrap(), "me");
        drop(unheard);
        while let Ok(more) = deaf.try_recv() {
            drop(more);
        }
        // The next one begins with the one that hears, or with the other: all copies are gone by then.
        while let Ok(more) = good.try_recv() {
            let _stale = more.reply("again");
        }
    }
    assert!(req.stats().retried_requests >= 2);
    assert!(req.stats().out.is_conserved() && req.stats().incoming.is_conserved());
}

fn a_request_is_sent_again_when_its_peer_is_lost(transport: &str) {
    let context = Context::new().unwrap();
    let req = patient(&context, Duration::from_secs(600), 2);
    let (first, at_first) = rep(&context, transport);
    let (second, at_second) = rep(&context, transport);
    req.connect(at_first).unwrap();
    req.connect(at_second).unwrap();
    let waiting = asking(&req, "A");
    let request = first.recv_timeout(LONG).unwrap();

    drop((request, first));

    let request = second.recv_timeout(LONG).unwrap();
    assert_eq!(*request.message(), "A");
    request.reply("B").unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), "B");
    assert_eq!(req.stats().retried_requests, 1);
}

fn a_request_that_nobody_answers_ends_in_time(transport: &str) {
    let context = Context::new().unwrap();
    let req = patient(&context, Duration::from_millis(5), 3);
    let (deaf, at) = rep(&context, transport);
    req.connect(at).unwrap();
    let error = req.request_timeout("A", Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, RequestError::TimedOut));
    let mut heard = 0;
    while let Ok(request) = deaf.try_recv() {
        drop(request);
        heard += 1;
    }
    assert!((1..=4).contains(&heard), "once, and three times more: {heard}");
    drop(req.close());
}

/// Also with retry: neither a copy that waits for room nor one that waits for its peer is left behind.
fn what_nobody_waits_for_any_more_is_taken_back(transport: &str) {
    for options in [
        Options::default(),
        lockstep(),
        Options::default().retry(Duration::from_millis(1), 3).send_mark(1),
    ] {
        let context = Context::new().unwrap();
        let req = Arc::new(Req::with_options(&context, options).unwrap());
        let at = unused(transport);
        req.connect(&*at).unwrap();
        let error = req.request_timeout("A", Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, RequestError::TimedOut), "{error:?}");
        assert!(poll_once(req.request_async("B")).is_none());

        let out = req.stats().out;
        assert_eq!((out.queued, out.passed), (0, 0), "{out:?}");
        assert_eq!(out.dropped.of(DropReason::Abandoned), out.taken);
        assert!(out.taken >= 2 && out.is_conserved());

        let waiting = asking(&req, "C");
        let rep = Rep::new(&context);
        rep.bind(&*at).unwrap();
        let request = rep.recv_timeout(LONG).unwrap();
        assert_eq!(*request.message(), "C");
        request.reply("D").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), "D");
        let report = req.close().unwrap();
        let out = req.stats().out;
        assert_eq!((report.written(), report.dropped()), (out.passed, out.dropped.total()));
    }
}

#[test]
fn retry_needs_ids() {
    let context = Context::new().unwrap();
    let options = lockstep().retry(Duration::from_secs(1), 1);
    let error = Req::with_options(&context, options).unwrap_err();
    assert_eq!(error.to_string(), "retry does not go with correlate(false)");
}

/// The time would be over at once, again and again, whether there is somebody to send it to or not.
#[test]
fn retry_needs_a_while() {
    let context = Context::new().unwrap();
    for too_short in [Duration::ZERO, Duration::from_micros(999)] {
        let error = Req::with_options(&context, Options::default().retry(too_short, 2)).unwrap_err();
        assert_eq!(error.to_string(), "retry must be at least 1ms");
    }
}

/// Neither those that wait for a peer that is tried no more, nor those that come after, wait with it.
#[test]
fn requests_to_a_peer_that_is_given_up_go_to_the_others() {
    for (options, last_words) in [
        // Its connection ends, and there is no other.
        (Options::default().no_reconnect(), None),
        (Options::default().stop_when_handshake_fails(true), None),
        // It is no peer for a REQ.
        (Options::default(), Some(hello("PULL"))),
    ] {
        let context = Context::new().unwrap();
        let req = Arc::new(Req::with_options(&context, options).unwrap());
        let monitor = req.monitor();
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        req.connect(format!("tcp://{}", stranger.local_addr().unwrap()))
            .unwrap();
        let (mut stream, _) = stranger.accept().unwrap();
        let waiting: Vec<_> = (0..4).map(|_| asking(&req, "A")).collect();
        until("all are queued", || req.stats().out.queued == 4);

        // There is no other yet: they wait for it.
        if let Some(words) = last_words {
            stream.write_all(&words).unwrap();
        }
        let _end = stream.shutdown(Shutdown::Write);
        wait_for!(monitor, GaveUp);
        let (rep, at) = rep(&context, "tcp");
        req.connect(at).unwrap();

        for _ in 0..4 {
            rep.recv_timeout(LONG).unwrap().reply("B").unwrap();
        }
        for waiting in waiting {
            assert_eq!(waiting.join().unwrap().unwrap(), "B");
        }
        // One of two would find the other one's place in the turn.
        for _ in 0..2 {
            let waiting = asking(&req, "C");
            rep.recv_timeout(LONG).unwrap().reply("D").unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), "D");
        }
        let out = req.stats().out;
        assert_eq!((out.passed, out.dropped.total(), out.queued), (6, 0, 0), "{out:?}");
    }
}

#[test]
fn requests_to_a_peer_that_is_given_up_go_to_those_that_are_there() {
    let context = Context::new().unwrap();
    let req = Arc::new(Req::with_options(&context, Options::default().stop_when_refused(true)).unwrap());
    let monitor = req.monitor();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    req.connect(format!("tcp://{}", stranger.local_addr().unwrap()))
        .unwrap();
    let (stream, _) = stranger.accept().unwrap();
    let (rep, at) = rep(&context, "tcp");
    req.connect(at).unwrap();
    wait_connected(&monitor);
    let waiting: Vec<_> = (0..4).map(|_| asking(&req, "A")).collect();
    for _ in 0..2 {
        rep.recv_timeout(LONG).unwrap().reply("B").unwrap();
    }
    until("half of them are answered", || req.stats().incoming.taken == 2);

    // It was reached, so its end is no refusal: it is tried again, and then nobody is there.
    drop((stream, stranger));
    wait_for!(monitor, GaveUp);

    for _ in 0..2 {
        rep.recv_timeout(LONG).unwrap().reply("B").unwrap();
    }
    for waiting in waiting {
        assert_eq!(waiting.join().unwrap().unwrap(), "B");
    }
    assert_eq!(req.stats().peers.len(), 1);
    assert!(req.stats().out.is_conserved());
}

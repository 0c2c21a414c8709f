//! REQ of theirs with its options, against REP and ROUTER of ours.

use crate::peer::{LIMIT, told};
use crate::ways::for_each_way;
use peermq::*;
use std::time::Duration;

fn recv(rep: &Rep, what: &str) -> Request {
    let request = rep.recv_timeout(LIMIT).unwrap();
    assert_eq!(*request.message(), what);
    request
}

/// What they correlate by comes back through a REP.
#[test]
fn a_rep_answers_a_req_that_correlates() {
    for_each_way("REQ REQ_CORRELATE=1", |peer, way| {
        let rep = Rep::new(&way.context);
        way.link(peer, &rep);
        for body in ["one", "two"] {
            peer.say(&way.name, &[body]);
            recv(&rep, body).reply([body, "reply"]).unwrap();
            peer.expect(&way.name, &[body, "reply"]);
        }
    });
}

/// With both options a second request gives up the first, whose reply is dropped.
#[test]
fn a_req_that_is_relaxed_gives_up_its_request() {
    for_each_way("REQ REQ_CORRELATE=1 REQ_RELAXED=1", |peer, way| {
        let rep = Rep::new(&way.context);
        way.link(peer, &rep);
        peer.say(&way.name, &["one"]);
        let first = recv(&rep, "one");
        peer.say(&way.name, &["two"]);
        let second = recv(&rep, "two");
        first.reply("to the first").unwrap();
        second.reply("to the second").unwrap();
        peer.expect(&way.name, &["to the second"]);
        assert!(rep.stats().out.is_conserved());
    });
}

/// A ROUTER sees the id in front of the empty frame, and may answer in any order: the wrong one is skipped.
#[test]
fn a_router_answers_a_req_that_correlates() {
    for_each_way("REQ REQ_CORRELATE=1 REQ_RELAXED=1 ROUTING_ID=theirs", |peer, way| {
        let router = Router::new(&way.context);
        way.link(peer, &router);
        let requests = ["one", "two"].map(|body| {
            peer.say(&way.name, &[body]);
            let (from, message) = router.recv_timeout(LIMIT).unwrap();
            assert_eq!(from.as_bytes(), b"theirs");
            let frames = message.into_frames();
            assert_eq!((frames.len(), frames[0].len()), (3, 4), "{frames:?}");
            assert_eq!((&frames[1][..], &frames[2][..]), (&b""[..], body.as_bytes()));
            (from, frames[0].clone())
        });
        assert_ne!(requests[0].1, requests[1].1);
        for ((from, id), body) in requests.iter().zip(["to the first", "to the second"]) {
            router.send_to(from, [&id[..], b"", body.as_bytes()]).unwrap();
        }
        peer.expect(&way.name, &["to the second"]);
    });
}

/// Without the id a late reply cannot be told from an awaited one.
#[test]
fn a_router_answers_a_plain_req() {
    for_each_way("REQ ROUTING_ID=theirs", |peer, way| {
        let router = Router::new(&way.context);
        way.link(peer, &router);
        peer.say(&way.name, &["question"]);
        let (from, message) = router.recv_timeout(LIMIT).unwrap();
        assert_eq!(message, Message::from(["", "question"]));
        // What has no empty frame in front is no reply, and libzmq skips it.
        router.send_to(&from, ["", "answer", ""]).unwrap();
        assert_eq!(peer.ask(format_args!("hear {}", way.name)), told(&["answer", ""]));
    });
}

/// As libzmq's REQ does by default.
#[test]
fn a_req_that_does_not_correlate_says_what_theirs_would() {
    for_each_way("ROUTER", |peer, way| {
        let options = Options::libzmq_compat().identity(Identity::new("ours").unwrap());
        let req = Req::with_options(&way.context, options).unwrap();
        way.link(peer, &req);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout(["question", ""], LIMIT).unwrap());
            peer.expect(&way.name, &["ours", "", "question", ""]);
            peer.say(&way.name, &["ours", "", "answer"]);
            assert_eq!(asking.join().unwrap(), "answer");
        });
    });
}

/// Ours asks a ROUTER of theirs from many threads at once, which answers in the reverse order.
#[test]
fn many_threads_ask_their_router() {
    const THREADS: usize = 8;
    for_each_way("ROUTER", |peer, way| {
        let req = Req::new(&way.context);
        way.link(peer, &req);
        std::thread::scope(|scope| {
            for n in 0..THREADS {
                let req = &req;
                scope.spawn(move || {
                    let question = format!("question {n}");
                    assert_eq!(req.request_timeout(&*question, LIMIT).unwrap(), &*question);
                });
            }
            let mut asked: Vec<_> = (0..THREADS)
                .map(|_| peer.ask(format_args!("hear {}", way.name)))
                .collect();
            asked.reverse();
            for frames in asked {
                peer.ask(format_args!("say {} {frames}", way.name));
            }
        });
    });
}

/// A request that was read by who is gone is not sent again: it may have been served.
#[test]
fn a_request_goes_with_their_rep() {
    for_each_way("REP", |peer, way| {
        let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50));
        let req = Req::with_options(&way.context, quick).unwrap();
        let at = way.link(peer, &req);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout("and then it goes", LIMIT));
            peer.expect(&way.name, &["and then it goes"]);
            peer.ask(format_args!("close {}", way.name));
            assert!(matches!(asking.join().unwrap(), Err(RequestError::PeerLost)));
        });
        // The next one is answered by the next.
        peer.ask(format_args!("open {} REP", way.name));
        let verb = if way.we_bind { "connect" } else { "bind" };
        peer.ask(format_args!("{verb} {} {at}", way.name));
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout("again", LIMIT));
            peer.expect(&way.name, &["again"]);
            peer.say(&way.name, &["answer"]);
            assert_eq!(asking.join().unwrap().unwrap(), "answer");
        });
        assert!(req.stats().out.is_conserved());
    });
}

//! RFC 28: REQ and REP.

mod common;
#[path = "spec/raw.rs"]
mod raw;

use common::{LONG, endpoint, until, wait_connected, wait_for};
use peermq::{Context, Dealer, DropReason, Message, NotSent, Options, Rep, Req, RequestError};
use raw::{MORE, Raw};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

const TRANSPORTS: [&str; 2] = ["tcp", "inproc"];
const SOON: Duration = Duration::from_millis(30);

fn strict() -> Options {
    Options::default().correlate(false)
}

fn quick() -> Options {
    Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(20))
}

/// A REQ that is connected to so many peers made of bytes.
fn req_and_raw_reps<const N: usize>(context: &Context, options: Options) -> (Req, [Raw; N]) {
    let req = Req::with_options(context, options).unwrap();
    let monitor = req.monitor();
    let reps = [(); N].map(|()| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        req.connect(format!("tcp://{}", listener.local_addr().unwrap()))
            .unwrap();
        let rep = Raw::accept(&listener).greet("REP");
        wait_connected(&monitor);
        rep
    });
    (req, reps)
}

/// RFC 28: a REQ "SHALL send and then receive exactly one message at a time." Ours does so for each caller: requests of
/// other threads carry ids of their own. Without ids it does so as a whole.
#[test]
fn a_reply_is_awaited_before_the_next_request() {
    let context = Context::new().unwrap();
    let (req, [mut rep]) = req_and_raw_reps(&context, strict());
    thread::scope(|scope| {
        let first = scope.spawn(|| req.request_timeout("first", LONG).unwrap());
        assert_eq!(rep.message(), [&b""[..], b"first"]);

        let refused = req.request_timeout("second", SOON).unwrap_err();

        assert!(
            matches!(&refused, RequestError::NotSent(error) if error.reason == NotSent::TimedOut),
            "{refused:?}"
        );
        assert_eq!(req.stats().out.taken, 1);
        rep.send(&[b"", b"1st"]);
        assert_eq!(first.join().unwrap(), "1st");
        scope.spawn(|| assert_eq!(req.request_timeout("third", LONG).unwrap(), "3rd"));
        assert_eq!(rep.message(), [&b""[..], b"third"]);
        rep.send(&[b"", b"3rd"]);
    });
}

/// RFC 28: "SHALL prefix the outgoing message with an empty delimiter frame."
#[test]
fn the_delimiter_goes_before_the_message() {
    for (options, id) in [(strict(), 0), (Options::default(), 1)] {
        let context = Context::new().unwrap();
        let (req, [mut rep]) = req_and_raw_reps(&context, options);
        thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout(["ABC", "DEF"], LONG).unwrap());
            let envelope: Vec<_> = (0..id).map(|_| rep.frame()).collect();
            assert!(envelope.iter().all(|(flags, body)| (*flags, body.len()) == (MORE, 4)));

            assert_eq!(rep.hear(12), b"\x01\x00\x01\x03ABC\x00\x03DEF");

            let mut reply: Vec<&[u8]> = envelope.iter().map(|(_, body)| &body[..]).collect();
            reply.extend([&b""[..], b"", b"GHI"]);
            rep.send(&reply);
            assert_eq!(
                asking.join().unwrap(),
                Message::from(["", "GHI"]),
                "without its envelope"
            );
        });
    }
}

/// RFC 28: "SHALL route outgoing messages to connected peers using a round-robin strategy."
#[test]
fn requests_go_round() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let req = Req::new(&context);
        let monitor = req.monitor();
        let reps: Vec<Rep> = (0..5).map(|_| Rep::new(&context)).collect();
        for rep in &reps {
            req.connect(rep.bind(endpoint(transport)).unwrap()).unwrap();
            wait_connected(&monitor);
        }
        thread::scope(|scope| {
            for rep in &reps {
                scope.spawn(|| {
                    let request = rep.recv_timeout(LONG).unwrap();
                    assert_eq!(*request.message(), "ABC");
                    request.reply("DEF").unwrap();
                });
            }
            (0..5).for_each(|_| assert_eq!(req.request_timeout("ABC", LONG).unwrap(), "DEF"));
        });
        assert!(reps.iter().all(|rep| rep.stats().incoming.taken == 1));
    }
}

/// RFC 28: "SHALL block on sending, or return a suitable error, when it has no connected peers."
#[test]
fn block_on_send_no_peers() {
    let context = Context::new().unwrap();
    let req = Req::new(&context);
    let refused = req.request_timeout(vec![7], SOON).unwrap_err();
    let RequestError::NotSent(error) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (error.reason, error.message.unwrap()),
        (NotSent::TimedOut, vec![7].into())
    );
    assert_eq!(req.stats().out.taken, 0);
}

/// RFC 28: "SHALL NOT discard messages that it cannot send to a connected peer."
#[test]
fn a_request_waits_for_a_server_to_come() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let req = Req::new(&context);
        let monitor = req.monitor();
        let here = req.bind(endpoint(transport)).unwrap();
        thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout("anybody?", LONG).unwrap());
            wait_for!(monitor, NoPeer);
            let rep = Rep::new(&context);
            rep.connect(&here).unwrap();
            rep.recv_timeout(LONG).unwrap().reply("I am").unwrap();
            assert_eq!(asking.join().unwrap(), "I am");
        });
        assert_eq!(req.stats().out.dropped.total(), 0);
    }
}

/// RFC 28: "SHALL accept an incoming message only from the last peer that it sent a request to", and "SHALL discard
/// silently any messages received from other peers." (libzmq's suite has this test, and has switched it off.)
#[test]
fn only_listens_to_current_peer() {
    for options in [strict(), Options::default()] {
        let context = Context::new().unwrap();
        let (req, [mut asked, mut other]) = req_and_raw_reps(&context, options);
        thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout("to the first", LONG).unwrap());
            let mut reply = asked.message();
            reply.pop();
            let with = |body: &'static [u8]| {
                let frames = reply.iter().map(|frame| &frame[..]).chain([body]);
                frames.collect::<Vec<_>>()
            };

            other.send(&with(b"unasked"));
            until("the other's", || {
                req.stats().incoming.dropped.of(DropReason::StaleReply) == 1
            });
            asked.send(&with(b"asked"));

            assert_eq!(asking.join().unwrap(), "asked");
        });
        let incoming = req.stats().incoming;
        assert_eq!((incoming.passed, incoming.is_conserved()), (1, true));
    }
}

/// RFC 28: a REP "SHALL not filter or modify outgoing or incoming messages in any way."
#[test]
fn requests_and_replies_come_as_they_are() {
    let context = Context::new().unwrap();
    for transport in TRANSPORTS {
        let (req, rep) = (Req::new(&context), Rep::new(&context));
        req.connect(rep.bind(endpoint(transport)).unwrap()).unwrap();
        thread::scope(|scope| {
            for size in [0, 1, 255, 256, 70_000] {
                for sent in [
                    Message::from(vec![9; size]),
                    Message::from([vec![], vec![1; size], vec![]]),
                ] {
                    let asking = scope.spawn({
                        let (req, sent) = (&req, sent.clone());
                        move || req.request_timeout(&sent, LONG).unwrap()
                    });
                    let request = rep.recv_timeout(LONG).unwrap();
                    assert_eq!(*request.message(), sent);
                    request.reply(&sent).unwrap();
                    assert_eq!(asking.join().unwrap(), sent);
                }
            }
        });
    }
}

/// RFC 28: a REP "SHALL receive and then send exactly one message at a time", and "SHALL wait for a single reply message
/// from its calling application." Ours does so for each request: one reply, in any order, or none, which is counted.
#[test]
fn each_request_has_one_reply() {
    let context = Context::new().unwrap();
    let rep = Rep::new(&context);
    let mut client = Raw::dial(&rep.bind("tcp://127.0.0.1:0").unwrap()).greet("DEALER");
    for body in [b"one", b"two", b"end"] {
        client.send(&[b"", body]);
    }
    let [one, two, end] = [(), (), ()].map(|()| rep.recv_timeout(LONG).unwrap());
    assert_eq!(*one.message(), "one");
    assert_eq!(
        rep.stats().out.taken,
        0,
        "nothing is said before the application says it"
    );

    two.reply("2nd").unwrap();
    one.reply("1st").unwrap();
    drop(end);

    assert_eq!(client.message(), [&b""[..], b"2nd"]);
    assert_eq!(client.message(), [&b""[..], b"1st"]);
    let stats = rep.stats();
    assert_eq!(
        (stats.out.taken, stats.incoming.dropped.of(DropReason::Unanswered)),
        (2, 1)
    );
}

/// RFC 28: "An address envelope consisting of zero or more frames, each containing one identity. A delimiter, consisting of
/// an empty frame. One or more data frames": the envelope is kept, the rest passed on, and the reply goes behind it.
#[test]
fn the_envelope_goes_back_as_it_came() {
    let context = Context::new().unwrap();
    let rep = Rep::new(&context);
    let mut client = Raw::dial(&rep.bind("tcp://127.0.0.1:0").unwrap()).greet("DEALER");
    let far: Vec<Vec<u8>> = (0..20).map(|n| vec![n; 5]).collect();
    let far: Vec<&[u8]> = far.iter().map(|hop| &hop[..]).collect();
    let envelopes: [&[&[u8]]; 4] = [&[], &[b"X"], &[b"X", b"Y"], &far];
    for envelope in envelopes {
        client.send(&[envelope, &[&b""[..], b"A", b"", b"B"]].concat());

        let request = rep.recv_timeout(LONG).unwrap();

        assert_eq!(*request.message(), Message::from(["A", "", "B"]));
        request.reply(["", "C"]).unwrap();
        assert_eq!(client.message(), [envelope, &[&b""[..], b"", b"C"]].concat());
    }
    // What has no delimiter, or nothing behind it, is no request.
    client.send(&[b"X", b"Y"]);
    client.send(&[b"X", b""]);
    client.send(&[b"", b"a request"]);
    assert_eq!(*rep.recv_timeout(LONG).unwrap().message(), "a request");
    assert_eq!(rep.stats().incoming.dropped.of(DropReason::Malformed), 2);
}

/// RFC 28: "SHALL receive incoming messages from its peers using a fair-queuing strategy."
#[test]
fn clients_are_served_in_turn() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let rep = Rep::new(&context);
        let here = rep.bind(endpoint(transport)).unwrap();
        let clients: Vec<Dealer> = (0..5).map(|_| Dealer::new(&context)).collect();
        for (n, client) in (0..).zip(&clients) {
            client.connect(&here).unwrap();
            let times = if n == 0 { 50 } else { 2 };
            (0..times).for_each(|_| client.send([vec![], vec![n]]).unwrap());
        }
        until("all", || rep.stats().incoming.queued == 58);

        for round in 0..2 {
            let turn = (0..5).map(|_| rep.recv_timeout(LONG).unwrap().message().first()[0]);
            assert_eq!(
                turn.collect::<BTreeSet<u8>>(),
                (0..5).collect(),
                "one of each in round {round}"
            );
        }
    }
}

/// RFC 28: "SHALL deliver this message back to the originating peer."
#[test]
fn each_client_gets_its_own_replies() {
    let context = Context::new().unwrap();
    let rep = Rep::new(&context);
    let here = rep.bind("tcp://127.0.0.1:0").unwrap();
    let mut clients: Vec<Raw> = (0..5).map(|_| Raw::dial(&here).greet("REQ")).collect();
    for (n, client) in (0..).zip(&mut clients) {
        client.send(&[b"", &[n]]);
    }
    let mut requests: Vec<_> = clients.iter().map(|_| rep.recv_timeout(LONG).unwrap()).collect();
    requests.reverse();
    for request in requests {
        let same = request.message().clone();
        request.reply(same).unwrap();
    }
    for (n, client) in (0..).zip(&mut clients) {
        assert_eq!(client.message(), [vec![], vec![n]]);
    }
}

/// RFC 28: "SHALL silently discard the reply, or return an error, if the originating peer is no longer connected." Ours
/// gives the reply back, also to a client that came back by another connection.
#[test]
fn a_reply_to_who_is_not_connected_is_an_error() {
    let context = Context::new().unwrap();
    let rep = Rep::with_options(&context, quick()).unwrap();
    let monitor = rep.monitor();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rep.connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    let mut client = Raw::accept(&listener).greet("REQ");
    client.send(&[b"", b"and good bye"]);
    let request = rep.recv_timeout(LONG).unwrap();
    drop(client);
    wait_for!(monitor, Disconnected);
    let _again = Raw::accept(&listener).greet("REQ");
    wait_connected(&monitor);

    let error = request.reply(vec![1, 2]).unwrap_err();

    assert_eq!(
        (error.reason, error.message.unwrap()),
        (NotSent::PeerGone, vec![1, 2].into())
    );
    assert_eq!(rep.stats().out.dropped.of(DropReason::PeerGone), 1);
}

/// RFC 28: a REP "SHALL not block on sending."
#[test]
fn a_reply_to_who_does_not_read_is_an_error_at_once() {
    let context = Context::new().unwrap();
    let rep = Rep::with_options(&context, Options::default().send_mark(1)).unwrap();
    let client = Dealer::with_options(&context, Options::default().recv_mark(1)).unwrap();
    client.connect(rep.bind("inproc://slow").unwrap()).unwrap();
    (0..4).for_each(|_| client.send(["", "ask"]).unwrap());
    let reply = || {
        rep.recv_timeout(LONG)
            .unwrap()
            .reply("answer")
            .map_err(|error| error.reason)
    };

    // One in the client's queue, one in ours.
    assert_eq!([reply(), reply(), reply()], [Ok(()), Ok(()), Err(NotSent::PeerFull)]);

    assert_eq!(rep.stats().out.dropped.of(DropReason::PeerFull), 1);
    client.recv_timeout(LONG).unwrap();
    assert_eq!(reply(), Ok(()), "there is room again");
}

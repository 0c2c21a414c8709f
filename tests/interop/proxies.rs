//! A proxy of ours between two sockets of theirs, and one of theirs between two of ours.

use crate::ours::Ours;
use crate::peer::{LIMIT, Peer, told, with_peer};
use crate::shapes::shapes;
use crate::ways::{Place, TRANSPORTS, they_bind, they_connect, unique};
use peermq::*;

/// Runs a proxy of ours between these two, bound, while something is done with where they are.
fn between<F: Relay + Ours + Sync, B: Relay + Ours + Sync>(
    front: F,
    back: B,
    transport: &str,
    run: impl FnOnce(&str, &str),
) -> ProxyReport {
    let places = [Place::new(transport), Place::new(transport)];
    let (here, there) = (front.bind(&places[0].ours()), back.bind(&places[1].ours()));
    let proxy = Proxy::new(&front, &back);
    let handle = proxy.handle();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| proxy.run().unwrap());
        run(&here, &there);
        handle.stop();
        running.join().unwrap()
    })
}

#[test]
fn our_streamer_between_theirs() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let context = Context::new().unwrap();
            let report = between(Pull::new(&context), Push::new(&context), transport, |front, back| {
                let (push, pull) = (they_connect(peer, "PUSH", front), they_connect(peer, "PULL", back));
                for shape in shapes() {
                    peer.ask(format_args!("send {push} . {shape}"));
                    peer.ask(format_args!("recv {pull} . {shape}"));
                }
                close(peer, [push, pull]);
            });
            assert_eq!(report.stats.forward.passed, shapes().count() as u64);
        }
    });
}

#[test]
fn our_queue_between_theirs() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let context = Context::new().unwrap();
            let report = between(
                Router::new(&context),
                Dealer::new(&context),
                transport,
                |front, back| {
                    let (req, rep) = (they_connect(peer, "REQ", front), they_connect(peer, "REP", back));
                    for shape in shapes() {
                        peer.ask(format_args!("send {req} . {shape}"));
                        peer.ask(format_args!("echo {rep} . {shape}"));
                        peer.ask(format_args!("recv {req} . {shape}"));
                    }
                    close(peer, [req, rep]);
                },
            );
            let (there, back) = (report.stats.forward.passed, report.stats.backward.passed);
            assert_eq!((there, back), (shapes().count() as u64, shapes().count() as u64));
        }
    });
}

/// Subscriptions pass the other way: what their publisher is told is what their subscriber said.
#[test]
fn our_forwarder_between_theirs() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let context = Context::new().unwrap();
            between(XSub::new(&context), XPub::new(&context), transport, |front, back| {
                let publisher = they_connect(peer, "XPUB", front);
                let sub = they_connect(peer, "SUB SUBSCRIBE=a", back);
                peer.expect(&publisher, &["\x01a"]);
                peer.say(&publisher, &["not this"]);
                peer.say(&publisher, &["and this", "with two frames"]);
                peer.expect(&sub, &["and this", "with two frames"]);
                peer.ask(format_args!("set {sub} UNSUBSCRIBE=a SUBSCRIBE="));
                let mut changes = [(); 2].map(|()| peer.ask(format_args!("hear {publisher}")));
                changes.sort();
                assert_eq!(changes, [told(&[b"\0a"]), told(&[b"\x01"])]);
                for shape in shapes() {
                    peer.ask(format_args!("send {publisher} . {shape}"));
                    peer.ask(format_args!("recv {sub} . {shape}"));
                }
                peer.ask(format_args!("close {sub}"));
                peer.expect(&publisher, &[b"\0"]);
                peer.ask(format_args!("close {publisher}"));
            });
        }
    });
}

/// A PUB does not say when it knows: it publishes until something comes.
#[test]
fn our_forwarder_between_their_pub_and_sub() {
    with_peer(|peer| {
        let context = Context::new().unwrap();
        between(XSub::new(&context), XPub::new(&context), "tcp", |front, back| {
            let publisher = they_connect(peer, "PUB", front);
            let sub = they_connect(peer, "SUB SUBSCRIBE=a", back);
            let mut is_heard = || {
                peer.say(&publisher, &["a: hello"]);
                peer.ask(format_args!("hear_now {sub}")) == told(&["a: hello"])
            };
            while !is_heard() {}
            close(peer, [publisher, sub]);
        });
    });
}

fn close(peer: &mut Peer, names: [String; 2]) {
    for name in names {
        peer.ask(format_args!("close {name}"));
    }
}

/// Runs `zmq_proxy` between these two, bound, while something is done with where they are.
fn with_theirs(front: &str, back: &str, run: impl Fn(&Context, &str, &str)) {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, name) = (Context::new().unwrap(), unique());
            let places = [Place::new(transport), Place::new(transport)];
            let (front, here) = they_bind(peer, front, &places[0]);
            let (back, there) = they_bind(peer, back, &places[1]);
            peer.ask(format_args!("proxy {name} {front} {back}"));
            run(&context, &here, &there);
            peer.ask(format_args!("end_proxy {name}"));
        }
    });
}

#[test]
fn their_streamer_between_ours() {
    with_theirs("PULL", "PUSH", |context, front, back| {
        let (push, pull) = (Push::new(context), Pull::new(context));
        push.connect(front).unwrap();
        pull.connect(back).unwrap();
        for shape in shapes() {
            shape.lend(&[], |frames| push.send_timeout(frames, LIMIT).unwrap());
            shape.check(&[], &pull.recv_timeout(LIMIT).unwrap());
        }
    });
}

#[test]
fn their_queue_between_ours() {
    with_theirs("ROUTER", "DEALER", |context, front, back| {
        let (req, rep) = (Req::new(context), Rep::new(context));
        req.connect(front).unwrap();
        rep.connect(back).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| shapes().for_each(|shape| rep.echo(&|message| shape.check(&[], message))));
            for shape in shapes() {
                shape.check(
                    &[],
                    &shape.lend(&[], |frames| req.request_timeout(frames, LIMIT).unwrap()),
                );
            }
        });
    });
}

#[test]
fn their_forwarder_between_ours() {
    with_theirs("XSUB", "XPUB", |context, front, back| {
        let (publisher, sub) = (Pub::new(context), Sub::new(context));
        publisher.connect(front).unwrap();
        sub.connect(back).unwrap();
        sub.subscribe("a").unwrap();
        publisher.wait_for_subscribers("a", 1, LIMIT).unwrap();
        assert_eq!(publisher.subscribers("not this"), 0);
        publisher.send(["and this", "with two frames"]).unwrap();
        assert_eq!(
            sub.recv_timeout(LIMIT).unwrap(),
            Message::from(["and this", "with two frames"])
        );
        sub.subscribe("").unwrap();
        publisher.wait_for_subscribers("", 1, LIMIT).unwrap();
        for shape in shapes() {
            shape.lend(&[], |frames| publisher.send(frames).unwrap());
            shape.check(&[], &sub.recv_timeout(LIMIT).unwrap());
        }
    });
}

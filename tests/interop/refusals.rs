//! Peers that cannot be spoken with, and messages that are too large: who parts, and what it is told.

use crate::common::wait_for;
use crate::matrix::STANDARD;
use crate::ours::make;
use crate::peer::{LIMIT, with_peer};
use crate::ways::{Place, for_each_way, they_bind, they_connect};
use peermq::*;
use std::time::Duration;

fn quick() -> Options {
    Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50))
}

/// RFC 37: "A peer SHALL enforce this", that is, who may speak with whom. Whoever dialed stops.
#[test]
fn types_that_do_not_fit() {
    with_peer(|peer| {
        for ours in STANDARD {
            for theirs in STANDARD {
                if ours.speaks_with(theirs) {
                    continue;
                }
                peer.about = format!("our {ours}, their {theirs}");
                println!("{}", peer.about);
                let context = Context::new().unwrap();
                let socket = make(ours, &context, quick());
                let monitor = socket.watch();
                let (name, there) = they_bind(peer, theirs, &Place::new("tcp"));
                socket.connect(&there);
                let Event::GaveUp { failure, .. } = wait_for!(monitor, GaveUp) else {
                    unreachable!("it was waited for")
                };
                let expected = Failure::IncompatibleSocketType {
                    ours,
                    theirs: theirs.to_string(),
                };
                assert_eq!(failure, expected);
                peer.ask(format_args!("close {name}"));

                let socket = make(ours, &context, quick());
                let monitor = socket.watch();
                let here = socket.bind("tcp://127.0.0.1:0");
                let name = they_connect(peer, theirs, here);
                wait_for!(monitor, HandshakeFailed);
                peer.ask(format_args!("close {name}"));
            }
        }
    });
}

/// A libzmq that wants another mechanism closes before it has named its own: it cannot be told from one that goes down, and
/// is tried again.
#[test]
fn mechanisms_that_do_not_fit() {
    with_peer(|peer| {
        let context = Context::new().unwrap();
        let push = Push::with_options(&context, quick()).unwrap();
        let monitor = push.monitor();
        let (name, there) = they_bind(peer, "PULL PLAIN_SERVER=1", &Place::new("tcp"));
        push.connect(there.as_str()).unwrap();
        wait_for!(monitor, HandshakeFailed);
        wait_for!(monitor, RetryingIn);
        peer.ask(format_args!("close {name}"));

        let pull = Pull::new(&context);
        let monitor = pull.monitor();
        let here = pull.bind("tcp://127.0.0.1:0").unwrap();
        let name = they_connect(peer, "PUSH PLAIN_USERNAME=a PLAIN_PASSWORD=b", &here);
        wait_for!(monitor, HandshakeFailed);
        peer.ask(format_args!("close {name}"));
    });
}

/// Who is sent more than it takes ends the connection; the messages behind it come by the next one.
#[test]
fn messages_that_are_too_large() {
    for_each_way("PULL MAXMSGSIZE=1000 RECONNECT_IVL=10", |peer, way| {
        let push = Push::with_options(&way.context, quick()).unwrap();
        let monitor = push.monitor();
        way.link(peer, &push);
        push.send_timeout(vec![1; 1000], LIMIT).unwrap();
        peer.expect(&way.name, &[[1; 1000]]);
        push.send_timeout(vec![2; 1001], LIMIT).unwrap();
        wait_for!(monitor, Disconnected);
        // A libzmq that dialed does not come back after that.
        if !way.we_bind {
            push.send_timeout("small", LIMIT).unwrap();
            peer.expect(&way.name, &["small"]);
        }
    });
    for_each_way("PUSH RECONNECT_IVL=10", |peer, way| {
        let options = quick().max_message_size(1000);
        let pull = Pull::with_options(&way.context, options).unwrap();
        let monitor = pull.monitor();
        way.link(peer, &pull);
        peer.say(&way.name, &[[1; 1000]]);
        assert_eq!(pull.recv_timeout(LIMIT).unwrap().byte_count(), 1000);
        peer.say(&way.name, &[[2; 1001]]);
        let Event::Disconnected { failure, .. } = wait_for!(monitor, Disconnected) else {
            unreachable!("it was waited for")
        };
        assert!(matches!(failure, Failure::TooLarge { .. }), "{failure:?}");
        // Their queue outlives the connection where they made it, ours where we did.
        wait_for!(monitor, Connected);
        peer.tell(format_args!("say {} {}", way.name, crate::peer::told(&["small"])));
        assert_eq!(pull.recv_timeout(LIMIT).unwrap(), "small");
        peer.all_ok(1);
    });
}

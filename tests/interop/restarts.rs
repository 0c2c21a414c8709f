//! One side goes, and comes back.

use crate::common::wait_for;
use crate::peer::{LIMIT, with_peer};
use crate::shapes::plain;
use crate::ways::{Place, TRANSPORTS, they_bind, they_connect, wait_until_free};
use peermq::{Context, Pull, Push};

#[test]
fn we_may_connect_before_they_bind() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let place = Place::new(transport);
            let (name, endpoint) = they_bind(peer, "PULL", &place);
            peer.ask(format_args!("close {name}"));
            wait_until_free(&endpoint);

            let context = Context::new().unwrap();
            let push = Push::new(&context);
            let monitor = push.monitor();
            push.connect(endpoint.as_str()).unwrap();
            let shapes = || plain(0..10, 100);
            for shape in shapes() {
                shape.lend(&[], |frames| push.send_timeout(frames, LIMIT).unwrap());
            }
            wait_for!(monitor, RetryingIn);
            peer.ask(format_args!("open {name} PULL"));
            peer.ask(format_args!("bind {name} {endpoint}"));
            for shape in shapes() {
                peer.ask(format_args!("recv {name} . {shape}"));
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

#[test]
fn they_may_connect_before_we_bind() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let reserved = Pull::new(&context);
            let endpoint = reserved.bind(place.ours()).unwrap();
            reserved.close().unwrap();

            let name = they_connect(peer, "PUSH", &endpoint);
            let shapes = || plain(0..10, 100);
            for shape in shapes() {
                peer.ask(format_args!("send {name} . {shape}"));
            }
            let pull = Pull::new(&context);
            pull.bind(&endpoint).unwrap();
            for shape in shapes() {
                shape.check(&[], &pull.recv_timeout(LIMIT).unwrap());
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

#[test]
fn a_restarted_pull_is_found_again() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (context, place) = (Context::new().unwrap(), Place::new(transport));
            let push = Push::new(&context);
            let monitor = push.monitor();
            let (name, endpoint) = they_bind(peer, "PULL", &place);
            push.connect(endpoint.as_str()).unwrap();
            for life in 0..3 {
                let shapes = || plain(life * 10..life * 10 + 10, 1000);
                for shape in shapes() {
                    shape.lend(&[], |frames| push.send_timeout(frames, LIMIT).unwrap());
                }
                for shape in shapes() {
                    peer.ask(format_args!("recv {name} . {shape}"));
                }
                peer.ask(format_args!("close {name}"));
                // What is written to a dead connection before its end is known may be lost.
                wait_for!(monitor, Disconnected);
                peer.ask(format_args!("open {name} PULL"));
                peer.ask(format_args!("bind {name} {endpoint}"));
            }
            wait_for!(monitor, Connected);
            assert_eq!(push.stats().reconnects, 3, "{transport}: {:?}", push.stats());
            peer.ask(format_args!("close {name}"));
        }
    });
}

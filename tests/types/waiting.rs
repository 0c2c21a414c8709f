//! Calls that wait: how long, what ends them, and what is left of those that nobody waits for any more.

use crate::common::{LONG, endpoint, poll_once, until, unused};
use crate::every::{facts, open};
use crate::kind::{Facts, How, Kind, Said, Sends, wait};
use crate::readiness::{fill, narrow};
use crate::{Dials, assert_law, brief, join, meet, pass, ways};
use peermq::{AtMark, Context, Options};
use std::time::{Duration, Instant};

/// What keeps a call to send waiting, for as long as it is there.
pub(crate) fn full(context: &Context, transport: &str, it: Facts) -> Option<[Box<dyn Kind>; 2]> {
    match it.sends {
        Sends::Never | Sends::ToAllAtOnce => None,
        Sends::WithRoom | Sends::Asks => {
            let pair = [it.socket_type, it.partner].map(|socket_type| open(socket_type, context, brief()).unwrap());
            Some(pair)
        }
        Sends::ToAll => Some(stuck(context, transport, it, brief().at_mark(AtMark::Block))),
        Sends::To if it.queues_ahead() => {
            let pair = [
                open(it.socket_type, context, brief().send_mark(1)).unwrap(),
                open(it.partner, context, brief()).unwrap(),
            ];
            pair[0].connect(&unused(transport)).unwrap();
            assert!(pair[0].send(it.message("waits"), How::Now).is_done());
            Some(pair)
        }
        Sends::To => Some(stuck(context, transport, it, brief())),
    }
}

/// Connected, and the other one has no room.
fn stuck(context: &Context, transport: &str, it: Facts, options: Options) -> [Box<dyn Kind>; 2] {
    let pair = meet(context, transport, it, Dials::Other, narrow(options));
    fill(&*pair[0], &*pair[1], it);
    pair
}

/// Times under a millisecond are kept, and none ends too early.
pub(crate) fn times(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    let limits = [1, 100, 999, 1_000, 2_500].map(Duration::from_micros);
    if it.receives {
        let socket = open(it.socket_type, &context, brief()).unwrap();
        socket.bind(&endpoint(transport)).unwrap();
        for limit in limits {
            on_time(limit, || assert_eq!(socket.recv(How::Within(limit)), Said::TimedOut));
        }
        assert_eq!(socket.recv(How::Within(Duration::ZERO)), Said::TimedOut);
        assert_law(&[socket]);
    }
    if let Some(pair) = full(&context, transport, it) {
        for limit in limits {
            on_time(limit, || {
                assert_eq!(pair[0].send(it.message("late"), How::Within(limit)), Said::TimedOut);
            });
        }
        let zero = pair[0].send(it.message("late"), How::Within(Duration::ZERO));
        assert_eq!(zero, Said::TimedOut);
        assert_law(&pair);
    }
}

/// Never before the limit; and soon after it, on a machine that is not too busy for it every time.
#[track_caller]
fn on_time(limit: Duration, call: impl Fn()) {
    let best = (0..200)
        .map(|_| {
            let begin = Instant::now();
            call();
            begin.elapsed()
        })
        .inspect(|&took| assert!(took >= limit, "{took:?} of {limit:?}"))
        .find(|&took| took < limit + Duration::from_millis(1));
    assert!(best.is_some(), "it never ends within a millisecond of {limit:?}");
}

/// Its message is for the next one, and so is the wake-up, if it had one.
pub(crate) fn dropped_receive(transport: &str, it: Facts) {
    if !ways(it).contains(&[1, 0]) {
        return;
    }
    let context = Context::new().unwrap();
    let sockets = meet(&context, transport, it, Dials::Other, [brief(), brief()]);
    let [socket, other] = &sockets;
    let sender = facts(it.partner);
    let before = socket.stats().incoming.passed;
    for number in 0..20 {
        assert_eq!(poll_once(socket.recv_later()), None, "there is nothing");
        let message = sender.message(&number.to_string());
        // The first in line is told, and goes without taking.
        let mut first = socket.recv_later();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        let second = socket.recv_later();
        std::thread::scope(|scope| {
            let receiver = scope.spawn(|| wait(second));
            let asking = scope.spawn(|| other.send(message.clone(), How::Within(LONG)));
            if number % 2 == 0 {
                until("it is here, and the first is told", || {
                    let incoming = socket.stats().incoming;
                    incoming.queued > 0 || incoming.passed > before + number
                });
            }
            drop(first);
            assert_eq!(
                receiver.join().unwrap(),
                Said::Done(crate::arriving(&**other, &message))
            );
            assert!(asking.join().unwrap().is_done());
        });
    }
    assert_eq!(socket.stats().incoming.passed, before + 20);
    assert_law(&sockets);
}

pub(crate) fn dropped_send(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    let Some([socket, other]) = full(&context, transport, it) else {
        return;
    };
    let before = socket.stats().out.taken;
    for _ in 0..20 {
        assert_eq!(poll_once(socket.send_later(it.message("dropped"))), None);
    }
    assert_eq!(socket.stats().out.taken, before, "nothing was accepted");
    if matches!(it.sends, Sends::WithRoom | Sends::Asks) {
        join(&*socket, &*other, &endpoint(transport));
        let before = other.stats().incoming.taken;
        pass(&*socket, &*other, &it.message("the only one"));
        assert_eq!(other.stats().incoming.taken, before + 1);
    }
    assert_law(&[socket, other]);
}

/// Blocks all calls that can be, does something, and expects each of them to end with `Closed`.
fn blocked(transport: &str, it: Facts, end: impl Fn(&Context, &dyn Kind)) {
    let context = Context::new().unwrap();
    let mut sockets: Vec<Box<dyn Kind>> = Vec::new();
    if it.receives {
        let socket = open(it.socket_type, &context, brief()).unwrap();
        socket.bind(&endpoint(transport)).unwrap();
        std::thread::scope(|scope| {
            let calls = [How::Waiting, How::Within(LONG), How::Waiting].map(|how| {
                scope.spawn({
                    let socket = &socket;
                    move || socket.recv(how)
                })
            });
            let later = scope.spawn(|| wait(socket.recv_later()));
            // Whether they are there already or come too late, they end in the same way.
            assert_eq!(socket.recv(How::Within(Duration::from_millis(2))), Said::TimedOut);
            end(&context, &*socket);
            for call in calls.into_iter().chain([later]) {
                assert_eq!(call.join().unwrap(), Said::Closed);
            }
        });
        sockets.push(socket);
    }
    let context = Context::new().unwrap();
    if let Some(pair) = full(&context, transport, it) {
        let socket = &pair[0];
        std::thread::scope(|scope| {
            let calls = [How::Waiting, How::Within(LONG), How::Waiting]
                .map(|how| scope.spawn(move || socket.send(it.message("never"), how)));
            let later = scope.spawn(|| wait(socket.send_later(it.message("never"))));
            let late = socket.send(it.message("never"), How::Within(Duration::from_millis(2)));
            assert_eq!(late, Said::TimedOut);
            end(&context, &**socket);
            for call in calls.into_iter().chain([later]) {
                assert_eq!(call.join().unwrap(), Said::Closed);
            }
        });
        sockets.extend(pair);
    }
    if it.sends == Sends::Asks {
        unanswered(&context, transport, it, end);
    }
    assert_law(&sockets);
}

/// One who waits for a reply.
fn unanswered(_: &Context, transport: &str, it: Facts, end: impl Fn(&Context, &dyn Kind)) {
    let context = Context::new().unwrap();
    let [socket, other] = meet(&context, transport, it, Dials::It, [brief(), brief()]);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| socket.send(it.message("?"), How::Waiting));
        until("it has asked", || other.stats().incoming.queued == 1);
        end(&context, &*socket);
        assert_eq!(call.join().unwrap(), Said::Closed);
    });
    assert_law(&[socket, other]);
}

pub(crate) fn closed(transport: &str, it: Facts) {
    blocked(transport, it, |_, socket| drop(socket.close().unwrap()));
}

pub(crate) fn shut_down(transport: &str, it: Facts) {
    blocked(transport, it, |context, _| drop(context.shutdown()));
}

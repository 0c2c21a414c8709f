//! Many messages by one call: what is true of one is true of many.

use crate::common::{LONG, endpoint, poll_once};
use crate::every::{facts, open};
use crate::kind::{Facts, How, Said, Sends, wait};
use crate::waiting::full;
use crate::{Dials, assert_law, brief, meet, ways};
use peermq::{Context, Message, NotSent};
use std::time::Duration;

fn messages(it: Facts, count: usize) -> Vec<Message> {
    (0..count).map(|number| it.message(&number.to_string())).collect()
}

/// By every verb, each with more than are gathered at once, and where the other side has such verbs, received by each.
pub(crate) fn whole(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    let sockets = meet(&context, transport, it, Dials::Other, [brief(), brief()]);
    let both = [it, facts(it.partner)];
    for [from, to] in ways(it) {
        if !both[from].sends_many() {
            continue;
        }
        let (sender, receiver) = (&sockets[from], &sockets[to]);
        for (round, count) in [1, 2, 63, 64, 65, 200, 0].into_iter().enumerate() {
            let given = messages(both[from], count);
            let sent = match round % 3 {
                0 => sender.send_many(given.clone(), How::Waiting).unwrap(),
                1 => sender.send_many(given.clone(), How::Within(LONG)).unwrap(),
                _ if round == 2 => sender.send_many(given.clone(), How::Now).unwrap(),
                _ => wait(sender.send_many_later(given.clone())).done(),
            };
            assert_eq!(sent, count);
            let mut received = Vec::new();
            while received.len() < count {
                let before = received.len();
                let got = match (both[to].receives_many(), before % 4) {
                    (false, _) => {
                        received.push(receiver.recv(How::Within(LONG)).done());
                        1
                    }
                    (true, 0) => receiver.recv_many(&mut received, 70, How::Within(LONG)).done(),
                    (true, 1) => receiver.recv_many(&mut received, 70, How::Waiting).done(),
                    (true, 2) => wait(receiver.recv_many_later(&mut received, 70)).done(),
                    (true, _) => match receiver.recv_many(&mut received, 70, How::Now) {
                        Said::NotNow => 0,
                        said => said.done(),
                    },
                };
                assert_eq!(received.len(), before + got);
            }
            assert_eq!(received, given);
        }
    }
    assert_law(&sockets);
}

pub(crate) fn times(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    let mut into = vec![it.message("before")];
    if it.receives_many() {
        let socket = open(it.socket_type, &context, brief()).unwrap();
        socket.bind(&endpoint(transport)).unwrap();
        for limit in [0, 100, 2_500].map(Duration::from_micros) {
            let begin = std::time::Instant::now();
            assert_eq!(socket.recv_many(&mut into, 9, How::Within(limit)), Said::TimedOut);
            assert!(begin.elapsed() >= limit);
        }
        assert_eq!(socket.recv_many(&mut into, 9, How::Now), Said::NotNow);
        assert_eq!(socket.recv_many(&mut into, 0, How::Waiting), Said::Done(0));
        assert_eq!(into.len(), 1, "nothing was appended");
        assert_law(&[socket]);
    }
    if !it.sends_many() {
        return;
    }
    if let Some(pair) = full(&context, transport, it) {
        let given = messages(it, 5);
        for limit in [0, 100, 2_500].map(Duration::from_micros) {
            let begin = std::time::Instant::now();
            let error = pair[0].send_many(given.clone(), How::Within(limit)).unwrap_err();
            assert!(begin.elapsed() >= limit);
            assert_eq!((error.reason, error.sent), (NotSent::TimedOut, 0));
            assert_eq!(error.messages, given);
        }
        let error = pair[0].send_many(given.clone(), How::Now).unwrap_err();
        assert_eq!((error.reason, error.messages), (NotSent::WouldBlock, given));
        assert_law(&pair);
    }
}

pub(crate) fn dropped(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    if it.receives_many() && ways(it).contains(&[1, 0]) {
        let sockets = meet(&context, transport, it, Dials::Other, [brief(), brief()]);
        let mut into = Vec::new();
        for _ in 0..20 {
            assert_eq!(poll_once(sockets[0].recv_many_later(&mut into, 9)), None);
        }
        crate::pass(&*sockets[1], &*sockets[0], &facts(it.partner).message("still here"));
        assert!(into.is_empty());
        assert_law(&sockets);
    }
    if !it.sends_many() {
        return;
    }
    if let Some(pair) = full(&context, transport, it) {
        let before = pair[0].stats().out.taken;
        for _ in 0..20 {
            assert_eq!(poll_once(pair[0].send_many_later(messages(it, 5))), None);
        }
        assert_eq!(pair[0].stats().out.taken, before);
        assert_law(&pair);
    }
}

/// Also those that come too late.
pub(crate) fn closed(transport: &str, it: Facts) {
    let context = Context::new().unwrap();
    if it.receives_many() {
        let socket = open(it.socket_type, &context, brief()).unwrap();
        socket.bind(&endpoint(transport)).unwrap();
        std::thread::scope(|scope| {
            let calls = [How::Waiting, How::Within(LONG)].map(|how| {
                let socket = &socket;
                scope.spawn(move || {
                    let mut into = Vec::new();
                    (socket.recv_many(&mut into, 9, how), into)
                })
            });
            let later = scope.spawn(|| {
                let mut into = Vec::new();
                (wait(socket.recv_many_later(&mut into, 9)), into)
            });
            assert_eq!(socket.recv(How::Within(Duration::from_millis(2))), Said::TimedOut);
            socket.close().unwrap();
            for call in calls.into_iter().chain([later]) {
                assert_eq!(call.join().unwrap(), (Said::Closed, Vec::new()));
            }
        });
        assert_law(&[socket]);
    }
    if !it.sends_many() {
        return;
    }
    let given = messages(it, 70);
    let Some(pair) = full(&context, transport, it) else {
        assert_eq!(it.sends, Sends::ToAllAtOnce);
        return;
    };
    std::thread::scope(|scope| {
        let calls = [How::Waiting, How::Within(LONG)].map(|how| {
            let (socket, given) = (&pair[0], given.clone());
            scope.spawn(move || socket.send_many(given, how).unwrap_err())
        });
        let later = scope.spawn(|| wait(pair[0].send_many_later(given.clone())));
        let late = pair[0].send_many(given.clone(), How::Within(Duration::from_millis(2)));
        assert_eq!(late.unwrap_err().reason, NotSent::TimedOut);
        pair[0].close().unwrap();
        for call in calls {
            let error = call.join().unwrap();
            assert_eq!((error.reason, error.sent), (NotSent::Closed, 0));
            assert_eq!(error.messages, given[..64], "those that had been taken");
        }
        assert_eq!(later.join().unwrap(), Said::Closed);
    });
    assert_law(&pair);
}

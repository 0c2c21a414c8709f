//! PUSH and PULL over real sockets: the same tests over every transport.

mod common;

use common::{LONG, endpoint, linked, transport_suite, until, wait_for};
use peermq::{Context, Message, NotSent, Options, Pull, Push, RecvError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

fn messages_arrive_in_order_and_whole(transport: &str) {
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, transport, &Options::default());
    let sizes = [0, 1, 63, 64, 65, 255, 256, 4095, 4096, 65_535, 65_536, 70_000, 1 << 20];
    let sent: Vec<Message> = sizes
        .iter()
        .flat_map(|&size| {
            let body = vec![size as u8; size];
            [Message::from(body.clone()), Message::from([vec![], body, vec![7]])]
        })
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| sent.iter().for_each(|message| push.send(message).unwrap()));
        for message in &sent {
            assert_eq!(pull.recv_timeout(LONG).unwrap(), *message);
        }
    });
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
}

/// Ends the calls of the other threads of a scope if this one panics: the scope would wait for them.
struct EndsIfThisFails<'a>(&'a Context);

impl Drop for EndsIfThisFails<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.shutdown();
        }
    }
}

fn what_is_lent_may_be_changed_once_it_is_sent(transport: &str) {
    const EACH: u32 = 200;
    let context = Context::new().unwrap();
    let options = Options::default().mark(4).send_buffer(32 << 10).recv_buffer(32 << 10);
    let (push, pull) = linked(&context, transport, &options);
    let size = |number: u32| [40_000, 10, 70_000, 300_000][number as usize % 4];
    thread::scope(|scope| {
        let _ends = EndsIfThisFails(&context);
        for sender in 0..2_u8 {
            let push = &push;
            scope.spawn(move || {
                let mut body = vec![0; 300_000];
                for number in 0..EACH {
                    let lent = &mut body[..size(number)];
                    lent.fill(number as u8);
                    lent[..5].copy_from_slice(&[&[sender][..], &number.to_le_bytes()].concat());
                    match number % 3 {
                        0 => {
                            while let Err(error) = push.try_send(&*lent) {
                                assert_eq!(error.reason, NotSent::WouldBlock);
                            }
                        }
                        1 => assert_eq!(push.send_many([&*lent]).unwrap(), 1),
                        _ => push.send(&*lent).unwrap(),
                    }
                }
            });
        }
        let mut next = [0_u32; 2];
        for _ in 0..2 * EACH {
            let message = pull.recv_timeout(LONG).unwrap();
            let (head, rest) = message.first().split_at(5);
            let number = next[usize::from(head[0])];
            assert_eq!(
                (&head[1..], message.byte_count()),
                (&number.to_le_bytes()[..], size(number))
            );
            assert!(rest.iter().all(|&byte| byte == number as u8), "torn");
            next[usize::from(head[0])] += 1;
        }
        assert_eq!(next, [EACH; 2]);
    });
    until("all is counted as written", || push.stats().out.queued == 0);
    let out = push.stats().out;
    assert_eq!((out.taken, out.passed), (u64::from(2 * EACH), u64::from(2 * EACH)));
}

fn nothing_is_lost_or_doubled_through_tiny_marks(transport: &str) {
    const SENDERS: u64 = 8;
    const EACH: u64 = 12_500;
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, transport, &Options::default().mark(4));
    let served = AtomicU64::new(0);
    let left = AtomicU64::new(SENDERS * EACH);
    let totals = thread::scope(|scope| {
        for sender in 0..SENDERS {
            let push = &push;
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut body = [0; 16];
                    body[..8].copy_from_slice(&sender.to_le_bytes());
                    body[8..].copy_from_slice(&number.to_le_bytes());
                    push.send(&body).unwrap();
                }
            });
        }
        let receivers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = BTreeMap::new();
                    let mut count = 0;
                    while left.load(Ordering::SeqCst) > 0 {
                        let message = match pull.recv_timeout(Duration::from_millis(200)) {
                            Ok(message) => message,
                            Err(RecvError::TimedOut) => continue,
                            Err(error) => panic!("{error}"),
                        };
                        left.fetch_sub(1, Ordering::SeqCst);
                        count += 1;
                        let body = message.first();
                        let sender = u64::from_le_bytes(body[..8].try_into().unwrap());
                        let number = u64::from_le_bytes(body[8..].try_into().unwrap());
                        if let Some(before) = last.insert(sender, number) {
                            assert!(before < number, "each receiver sees each sender's numbers rise");
                        }
                    }
                    served.fetch_add(u64::from(count > 0), Ordering::SeqCst);
                    count
                })
            })
            .collect();
        receivers.into_iter().map(|one| one.join().unwrap()).sum::<u64>()
    });
    assert_eq!(totals, SENDERS * EACH);
    assert_eq!(served.load(Ordering::SeqCst), 8, "each of eight receivers was served");
    let (out, incoming) = (push.stats().out, pull.stats().incoming);
    assert!(out.is_conserved() && incoming.is_conserved(), "{out:?} {incoming:?}");
    assert_eq!(incoming.passed, SENDERS * EACH);
}

fn close_is_confirmed_when_all_was_read(transport: &str) {
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, transport, &Options::default());
    let sent = 5_000u32;
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..sent {
                assert_eq!(pull.recv_timeout(LONG).unwrap(), number.to_le_bytes());
            }
        });
        for number in 0..sent {
            push.send(&number.to_le_bytes()).unwrap();
        }
        let report = push.close().unwrap();
        assert!(report.is_confirmed(), "{report:?}");
        assert_eq!(report.written(), u64::from(sent));
        assert_eq!(push.close().unwrap(), report, "a second close says the same");
    });
    let error = push.send(vec![1, 2]).unwrap_err();
    assert_eq!(error.reason, NotSent::Closed);
    assert_eq!(error.message.unwrap(), [1, 2], "what was given away comes back");
}

fn start_order_does_not_matter(transport: &str) {
    if transport == "tcp" {
        return; // Its port is known only once it is bound: see `a_receiver_that_comes_later_gets_what_waited`.
    }
    let context = Context::new().unwrap();
    let endpoint = endpoint(transport);
    let push = Push::new(&context);
    push.connect(&endpoint).unwrap();
    push.send("early").unwrap();
    let pull = Pull::new(&context);
    pull.bind(&endpoint).unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "early");
}

fn a_closed_receiver_is_replaced_and_nothing_queued_is_lost(transport: &str) {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let here = pull.bind(endpoint(transport)).unwrap();
    let push = Push::with_options(
        &context,
        Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50)),
    )
    .unwrap();
    let monitor = push.monitor();
    push.connect(&here).unwrap();
    push.send("first").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "first");
    pull.close().unwrap();
    wait_for!(monitor, Disconnected);

    for number in 0..100u32 {
        push.send(&number.to_le_bytes()).unwrap();
    }
    let again = Pull::new(&context);
    again.bind(&here).unwrap();

    for number in 0..100u32 {
        assert_eq!(again.recv_timeout(LONG).unwrap(), number.to_le_bytes());
    }
    assert_eq!(push.stats().reconnects, 1);
}

fn what_was_accepted_right_before_close_is_sent(transport: &str) {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let here = pull.bind(endpoint(transport)).unwrap();
    for number in 0..200u32 {
        let push = Push::new(&context);
        push.connect(&here).unwrap();
        push.send(&number.to_le_bytes()).unwrap();
        if number % 2 == 0 {
            let report = push.close().unwrap();
            assert!(report.is_confirmed(), "{number}: {report:?}");
        } else {
            drop(push);
        }
        assert_eq!(pull.recv_timeout(LONG).unwrap(), number.to_le_bytes());
    }
}

fn closing_wakes_blocked_calls(transport: &str) {
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, transport, &Options::default().linger(Duration::ZERO).mark(1));
    while push.try_send(vec![0; 100_000]).is_ok()
        || push.send_timeout(vec![0; 100_000], Duration::from_millis(50)).is_ok()
    {}
    let quiet = Pull::new(&context);
    thread::scope(|scope| {
        let sender = scope.spawn(|| push.send("never").unwrap_err().reason);
        let receiver = scope.spawn(|| quiet.recv().unwrap_err());
        push.close().unwrap();
        quiet.close().unwrap();
        assert_eq!(sender.join().unwrap(), NotSent::Closed);
        assert_eq!(receiver.join().unwrap(), RecvError::Closed);
    });
    drop(pull);
}

fn dropped_receive_futures_lose_no_wake_up(transport: &str) {
    use std::task::{Context as TaskContext, Poll, Waker};
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, transport, &Options::default());
    const ROUNDS: u32 = 1_000;
    const FUTURES: u32 = 100;
    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut got = 0;
            while got < ROUNDS {
                pull.recv_timeout(LONG).unwrap();
                got += 1;
            }
        });
        let mut task = TaskContext::from_waker(Waker::noop());
        let mut stolen = 0;
        for _ in 0..ROUNDS {
            for number in 0..FUTURES {
                let mut future = std::pin::pin!(pull.recv_async());
                if number == FUTURES / 2 {
                    push.send("one").unwrap();
                }
                if let Poll::Ready(message) = future.as_mut().poll(&mut task) {
                    message.unwrap();
                    stolen += 1;
                }
            }
        }
        for _ in 0..stolen {
            push.send("instead").unwrap();
        }
        receiver.join().unwrap();
    });
}

transport_suite!(
    messages_arrive_in_order_and_whole,
    what_is_lent_may_be_changed_once_it_is_sent,
    nothing_is_lost_or_doubled_through_tiny_marks,
    close_is_confirmed_when_all_was_read,
    start_order_does_not_matter,
    a_closed_receiver_is_replaced_and_nothing_queued_is_lost,
    what_was_accepted_right_before_close_is_sent,
    closing_wakes_blocked_calls,
    dropped_receive_futures_lose_no_wake_up,
);

#[test]
fn inproc_marks_are_exact() {
    for mark in [1, 2, 3, 1000] {
        let context = Context::new().unwrap();
        let (push, pull) = linked(&context, "inproc", &Options::default().mark(mark));
        let mut accepted = 0;
        let refused = loop {
            match push.try_send(vec![1; 100]) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(accepted, 2 * mark, "send mark and receive mark");
        assert_eq!(refused.reason, NotSent::WouldBlock);
        assert_eq!(refused.message.unwrap().byte_count(), 100, "the message comes back");
        assert_eq!(pull.stats().incoming.queued, mark as u64);
        for _ in 0..accepted {
            pull.try_recv().unwrap();
        }
        assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
    }
}

#[test]
fn a_flood_of_one_peer_delays_the_others_by_one_turn() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let here = pull.bind("inproc://fair").unwrap();
    let pushes: Vec<Push> = (0..8).map(|_| Push::new(&context)).collect();
    for push in &pushes {
        push.connect(&here).unwrap();
    }
    for _ in 0..900 {
        pushes[0].send("flood").unwrap();
    }
    for (index, push) in pushes.iter().enumerate().skip(1) {
        push.send(&[index as u8]).unwrap();
    }
    let turn: Vec<Message> = (0..8).map(|_| pull.try_recv().unwrap()).collect();
    for index in 1..8u8 {
        assert!(
            turn.iter().any(|message| *message == [index]),
            "peer {index} is served within one turn"
        );
    }
}

#[test]
fn linger_bounds_the_end_of_a_context_whose_peer_never_came() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().linger(Duration::from_millis(50))).unwrap();
    push.connect("tcp://127.0.0.1:1").unwrap();
    push.send("for nobody").unwrap();
    let report = push.close().unwrap();
    assert_eq!(report.dropped(), 1);
    assert!(!report.is_confirmed());
}

#[test]
fn a_socket_of_a_wrong_type_is_told_and_the_dialer_gives_up() {
    for transport in ["tcp", "ipc", "inproc"] {
        let context = Context::new().unwrap();
        let first = Pull::new(&context);
        let theirs = first.monitor();
        let here = first.bind(endpoint(transport)).unwrap();
        let quick = Options::default().reconnect(Duration::from_millis(1), Duration::from_millis(1));
        let second = Pull::with_options(&context, quick).unwrap();
        let monitor = second.monitor();
        second.connect(&here).unwrap();
        let event = wait_for!(monitor, GaveUp);
        assert!(format!("{event:?}").contains("PULL"), "{event:?}");
        let event = wait_for!(theirs, HandshakeFailed);
        assert!(format!("{event:?}").contains("PULL"), "{event:?}");
        // A hundred attempts would fit in: none is made.
        for monitor in [monitor, theirs] {
            let more = monitor.recv_timeout(Duration::from_millis(100));
            assert!(more.is_err(), "{transport}: {more:?}");
        }
    }
}

#[test]
fn unbind_frees_the_port_and_keeps_its_connections() {
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, "tcp", &Options::default());
    let here = push.stats().peers[0].endpoint.clone();
    pull.unbind(&here).unwrap();
    std::net::TcpListener::bind(here.trim_start_matches("tcp://")).unwrap();
    push.send("still here").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "still here");
    assert!(pull.unbind(&here).is_err());
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let context = Context::new().unwrap();
    let error = Push::with_options(&context, Options::default().send_mark(0)).unwrap_err();
    assert_eq!(error.to_string(), "send_mark must be at least 1");
}

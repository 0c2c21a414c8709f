//! `send_many` and `recv_many` are so many calls of `send` and `recv`: in order, fair, and nothing lost, whatever ends them.

mod common;

use common::*;
use peermq::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

transport_suite!(
    what_is_sent_at_once_arrives_in_order_through_every_mark,
    peers_are_received_from_in_turn_as_by_single_calls,
    peers_are_sent_to_in_turn_as_by_single_calls,
    eight_threads_of_each_lose_nothing_and_double_nothing,
    closing_gives_back_what_is_not_sent,
    who_publishes_many_drops_no_more_than_who_publishes_one_by_one,
    the_newest_are_kept_of_many,
);

/// A sender with room for so many messages, and nobody who takes them.
fn with_room_for(context: &Context, messages: usize) -> Push {
    let options = Options::default().send_mark(messages).linger(Duration::ZERO);
    let push = Push::with_options(context, options).unwrap();
    push.connect(unused("inproc")).unwrap();
    push
}

fn numbers(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Message> + Send {
    numbers.map(|number| Message::from(number.to_le_bytes().to_vec()))
}

fn assert_law(stats: &[SocketStats]) {
    for stats in stats {
        assert!(stats.out.is_conserved() && stats.incoming.is_conserved(), "{stats:#?}");
    }
}

fn what_is_sent_at_once_arrives_in_order_through_every_mark(transport: &str) {
    let context = Context::new().unwrap();
    for mark in (1..=8).chain([100, 1_000]) {
        let (push, pull) = linked(&context, transport, &Options::default().mark(mark));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut sent = 0;
                for count in (0..=200).chain([1_000]) {
                    let batch = numbers(sent..sent + count);
                    let result = match count % 3 {
                        0 => push.send_many(batch),
                        1 => push.send_many_timeout(batch, LONG),
                        _ => block_on(push.send_many_async(batch)),
                    };
                    assert_eq!(result.unwrap(), count as usize);
                    sent += count;
                }
            });
            let (mut messages, mut chance) = (Vec::new(), Chance(mark as u64));
            let mut next = 0_u32;
            while next < 21_100 {
                let limit = 1 + chance.below(300) as usize;
                let count = match next % 3 {
                    0 => pull.recv_many(&mut messages, limit),
                    1 => pull.recv_many_timeout(&mut messages, limit, LONG),
                    _ => block_on(pull.recv_many_async(&mut messages, limit)),
                };
                let count = count.unwrap();
                assert_eq!(count, messages.len());
                assert!((1..=limit).contains(&count));
                for message in messages.drain(..) {
                    assert_eq!(message, next.to_le_bytes(), "mark {mark}");
                    next += 1;
                }
            }
        });
        assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
        assert_law(&[push.stats(), pull.stats()]);
    }
}

/// Three peers, of which one has sent much more than the others.
fn peers_are_received_from_in_turn_as_by_single_calls(transport: &str) {
    let received = |receive: &dyn Fn(&Pull) -> Vec<Message>| {
        let context = Context::new().unwrap();
        let pull = Pull::new(&context);
        let bound = pull.bind(endpoint(transport)).unwrap();
        let counts = [90, 10, 20];
        let pushes = counts.map(|_| {
            let push = Push::new(&context);
            push.connect(bound.clone()).unwrap();
            push
        });
        let mut total = 0;
        for (push, count) in pushes.iter().zip(counts) {
            // One after the other: the turn begins in this order.
            push.send_many((0..count).map(|_| [count as u8; 3].to_vec())).unwrap();
            total += count;
            until("all have come", || pull.stats().incoming.queued == total);
        }
        receive(&pull)
    };

    let singly = received(&|pull| (0..120).map(|_| pull.try_recv().unwrap()).collect());
    let by_sevens = received(&|pull| {
        let mut messages = Vec::new();
        while pull.try_recv_many(&mut messages, 7).is_ok() {}
        messages
    });
    let at_once = received(&|pull| {
        let mut messages = vec![Message::from("what was there before")];
        assert_eq!(pull.recv_many(&mut messages, usize::MAX), Ok(120));
        messages.split_off(1)
    });

    assert_eq!(by_sevens, singly);
    assert_eq!(at_once, singly);
    assert_eq!(singly[..6].iter().filter(|message| message.first()[0] == 90).count(), 2);
}

fn peers_are_sent_to_in_turn_as_by_single_calls(transport: &str) {
    let received = |send: &dyn Fn(&Push)| {
        let context = Context::new().unwrap();
        let push = Push::new(&context);
        let pulls = [(); 3].map(|()| Pull::new(&context));
        for pull in &pulls {
            let monitor = push.monitor();
            push.connect(pull.bind(endpoint(transport)).unwrap()).unwrap();
            wait_connected(&monitor);
        }
        send(&push);
        pulls.map(|pull| (0..100).map(|_| pull.recv_timeout(LONG).unwrap()).collect::<Vec<_>>())
    };

    let singly = received(&|push| numbers(0..300).for_each(|message| push.send(message).unwrap()));
    let at_once = received(&|push| assert_eq!(push.send_many(numbers(0..300)).unwrap(), 300));

    assert_eq!(at_once, singly);
}

fn eight_threads_of_each_lose_nothing_and_double_nothing(transport: &str) {
    const EACH: u64 = 12_500;
    let context = Context::new().unwrap();
    for mark in [1, 3, 8, 1_000] {
        let (push, pull) = linked(&context, transport, &Options::default().mark(mark));
        let left = AtomicU64::new(8 * EACH);
        let total: u64 = thread::scope(|scope| {
            for sender in 0..8_u64 {
                let push = &push;
                scope.spawn(move || {
                    let mut chance = Chance(sender);
                    let mut all = (0..EACH).map(|number| {
                        let bytes: Vec<u8> = [sender.to_le_bytes(), number.to_le_bytes()].concat();
                        bytes
                    });
                    let mut sent = 0;
                    while sent < EACH {
                        let some = all.by_ref().take(1 + chance.below(150) as usize);
                        let some: Vec<Vec<u8>> = some.collect();
                        sent += some.len() as u64;
                        // Lent, given, tried and sent again: all mixed.
                        match chance.below(4) {
                            0 => drop(push.send_many(&some).unwrap()),
                            1 => drop(block_on(push.send_many_async(some)).unwrap()),
                            2 => some.into_iter().for_each(|one| push.send(one).unwrap()),
                            _ => {
                                if let Err(error) = push.try_send_many(&some) {
                                    assert_eq!(error.reason, NotSent::WouldBlock);
                                    push.send_many(&some[error.sent..]).unwrap();
                                }
                            }
                        }
                    }
                });
            }
            let receivers: Vec<_> = (0..8)
                .map(|receiver| {
                    let (left, pull) = (&left, &pull);
                    scope.spawn(move || {
                        let mut chance = Chance(!receiver);
                        let (mut last, mut messages) = (BTreeMap::new(), Vec::new());
                        let mut total = 0;
                        while left.load(Ordering::SeqCst) > 0 {
                            let limit = 1 + chance.below(100) as usize;
                            let soon = Duration::from_millis(200);
                            match pull.recv_many_timeout(&mut messages, limit, soon) {
                                Ok(count) => assert_eq!(count, messages.len()),
                                Err(RecvError::TimedOut) => continue,
                                Err(error) => panic!("{error}"),
                            }
                            left.fetch_sub(messages.len() as u64, Ordering::SeqCst);
                            total += messages.len() as u64;
                            for message in messages.drain(..) {
                                let (sender, number) = message.first().split_at(8);
                                let number = u64::from_le_bytes(number.try_into().unwrap());
                                let before = last.insert(sender.to_vec(), number);
                                assert!(before.is_none_or(|before| before < number), "they rise");
                            }
                        }
                        total
                    })
                })
                .collect();
            receivers.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(total, 8 * EACH);
        assert_eq!(pull.stats().incoming.passed, total);
        assert_law(&[push.stats(), pull.stats()]);
    }
}

/// What was accepted and what came back are all that there was, each once.
fn closing_gives_back_what_is_not_sent(transport: &str) {
    let context = Context::new().unwrap();
    for (mark, kind) in [1, 2, 5, 64].into_iter().zip([0, 1, 0, 1]) {
        let options = Options::default().send_mark(mark).linger(Duration::ZERO);
        let push = Push::with_options(&context, options).unwrap();
        push.connect(unused(transport)).unwrap();
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut all = numbers(0..200);
                let error = match kind {
                    0 => push.send_many(&mut all).unwrap_err(),
                    _ => block_on(push.send_many_async(&mut all)).unwrap_err(),
                };
                (error, all.collect::<Vec<_>>())
            });
            until("it waits", || push.stats().out.queued == mark as u64);
            push.close().unwrap();
            let (error, rest) = sender.join().unwrap();
            assert_eq!((error.reason, error.sent), (NotSent::Closed, mark));
            let back: Vec<_> = error.messages.into_iter().chain(rest).collect();
            assert_eq!(back, numbers(mark as u32..200).collect::<Vec<_>>());
        });
        let stats = push.stats();
        assert_eq!((stats.out.taken, stats.out.dropped.total()), (mark as u64, mark as u64));
        assert_law(&[stats]);
        assert_eq!(push.send_many(numbers(0..9)).unwrap_err().messages.len(), 9);
        assert_eq!(push.send_many([""; 0]).unwrap(), 0, "there was nothing to refuse");
    }
}

/// A subscriber with room for eight of a hundred, and with one who reads for ever.
fn who_publishes_many_drops_no_more_than_who_publishes_one_by_one(transport: &str) {
    if transport != "inproc" {
        return; // What the kernel takes meanwhile is a matter of chance.
    }
    for mark in [1, 2, 3, 8] {
        let arrived = |publish: &dyn Fn(&Pub)| {
            let context = Context::new().unwrap();
            let publisher = Pub::with_options(&context, Options::default().send_mark(mark)).unwrap();
            let sub = Sub::with_options(&context, Options::default().recv_mark(60)).unwrap();
            sub.connect(publisher.bind(endpoint(transport)).unwrap()).unwrap();
            sub.subscribe_confirmed("", LONG).unwrap();
            publish(&publisher);
            let (stats, mut messages) = (publisher.stats(), Vec::new());
            assert_eq!(stats.out.taken, 100);
            assert_law(&[stats]);
            while sub.try_recv_many(&mut messages, usize::MAX).is_ok() {}
            messages
        };

        let singly = arrived(&|publisher| numbers(0..100).for_each(|message| publisher.send(message).unwrap()));
        let at_once = arrived(&|publisher| assert_eq!(publisher.send_many(numbers(0..100)).unwrap(), 100));

        assert_eq!(at_once, singly, "mark {mark}");
        assert_eq!(singly.len(), 60 + mark);
    }
}

fn the_newest_are_kept_of_many(transport: &str) {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().conflate()).unwrap();
    let pull = Pull::with_options(&context, Options::default().conflate()).unwrap();
    let there = unused(transport);
    push.connect(&there).unwrap();
    assert_eq!(push.send_many(numbers(0..200)).unwrap(), 200);
    pull.bind(&there).unwrap();
    let mut messages = Vec::new();
    assert_eq!(pull.recv_many_timeout(&mut messages, 10, LONG), Ok(1));
    assert_eq!(messages, numbers(199..200).collect::<Vec<_>>());
    assert_law(&[push.stats(), pull.stats()]);
}

#[test]
fn what_finds_no_room_is_told_and_comes_back() {
    let context = Context::new().unwrap();
    for mark in 1..=100 {
        let push = with_room_for(&context, mark);
        let mut given = numbers(0..300);
        let error = push.try_send_many(&mut given).unwrap_err();
        assert_eq!((error.reason, error.sent), (NotSent::WouldBlock, mark));
        assert!(error.messages.len() <= 64, "no more was taken ahead");
        let back: Vec<_> = error.messages.into_iter().chain(given).collect();
        assert_eq!(back, numbers(mark as u32..300).collect::<Vec<_>>());

        let late = push
            .send_many_timeout(["late"; 3], Duration::from_millis(1))
            .unwrap_err();
        assert_eq!((late.reason, late.sent), (NotSent::TimedOut, 0));
        assert!(late.messages.is_empty(), "it was lent");
        assert_eq!(push.stats().out.queued, mark as u64);
    }
    let nobody = Push::new(&context);
    let none = nobody.try_send_many(numbers(0..3)).unwrap_err();
    assert_eq!(
        (none.reason, none.sent, none.messages.len()),
        (NotSent::WouldBlock, 0, 3)
    );
}

#[test]
fn the_time_is_that_of_all_together() {
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, "inproc", &Options::default().mark(1));
    let begin = std::time::Instant::now();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Each message in time, and all together never.
            while !is_over.load(Ordering::SeqCst) {
                let _none = pull.recv_timeout(Duration::from_millis(1));
                thread::yield_now();
            }
        });
        let endless = std::iter::repeat_n("again", 1_000_000);
        let error = push.send_many_timeout(endless, Duration::from_millis(50)).unwrap_err();
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(error.reason, NotSent::TimedOut);
        assert!(error.sent > 0);
    });
    assert!(begin.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_limit_of_nothing_receives_nothing_and_does_not_wait() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let mut messages = Vec::new();
    assert_eq!(pull.recv_many(&mut messages, 0), Ok(0));
    assert_eq!(pull.try_recv_many(&mut messages, 0), Ok(0));
    assert_eq!(pull.recv_many_timeout(&mut messages, 0, LONG), Ok(0));
    assert_eq!(poll_once(pull.recv_many_async(&mut messages, 0)), Some(Ok(0)));
    pull.close().unwrap();
    assert_eq!(pull.recv_many(&mut messages, 0), Ok(0));
    assert_eq!(pull.recv_many(&mut messages, 1), Err(RecvError::Closed));
}

#[test]
fn dropped_futures_send_no_more_and_take_nothing() {
    let context = Context::new().unwrap();
    let lent: Vec<_> = numbers(0..10).collect();
    let push = with_room_for(&context, 3);
    let mut future = Box::pin(push.send_many_async(&lent));
    assert!(poll_once(&mut future).is_none());
    assert_eq!(push.stats().out.queued, 3);
    let pull = Pull::new(&context);
    drop(future);
    push.connect(pull.bind(endpoint("inproc")).unwrap()).unwrap();
    push.try_send("the next").unwrap();
    let mut messages = vec![Message::from("before")];
    assert_eq!(pull.recv_many_timeout(&mut messages, 9, LONG), Ok(1));
    assert_eq!(messages, ["before", "the next"], "nothing of what was dropped");

    assert!(poll_once(pull.recv_many_async(&mut messages, 9)).is_none());
    let (tell, told) = mpsc::channel();
    let waker = Waker::from(Arc::new(Told(tell)));
    let mut waiting = Box::pin(pull.recv_many_async(&mut messages, 9));
    assert!(
        pin!(&mut waiting)
            .poll(&mut std::task::Context::from_waker(&waker))
            .is_pending()
    );
    push.send_many(["one", "two"]).unwrap();
    told.recv_timeout(LONG).unwrap();
    // It was told, and goes without them.
    drop(waiting);
    assert_eq!(messages.len(), 2);
    until("both are here", || pull.stats().incoming.queued == 2);
    assert_eq!(pull.recv_many(&mut messages, 9), Ok(2));
    assert_law(&[push.stats(), pull.stats()]);
}

struct Told(mpsc::Sender<()>);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        let _gone = self.0.send(());
    }
}

/// One who takes a part lets the next in line have the rest.
#[test]
fn who_takes_a_part_wakes_the_next() {
    let context = Context::new().unwrap();
    for _ in 0..200 {
        let (push, pull) = linked(&context, "inproc", &Options::default());
        thread::scope(|scope| {
            let takers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut messages = Vec::new();
                        pull.recv_many_timeout(&mut messages, 2, LONG).unwrap()
                    })
                })
                .collect();
            push.send_many(["message"; 6]).unwrap();
            let total: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
            let mut rest = Vec::new();
            let left = pull.try_recv_many(&mut rest, 9).unwrap_or(0);
            assert_eq!(total + left, 6);
        });
    }
}

/// An iterator is the application's code, and no lock is held while it runs.
#[test]
fn an_iterator_may_use_the_socket_and_panic() {
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, "inproc", &Options::default());
    let asked = Cell::new(0);
    let curious = (0..200_u8).map(|number| {
        asked.set(asked.get() + 1);
        if number % 50 == 49 {
            push.send("from within").unwrap();
            assert!(push.stats().out.is_conserved());
        }
        vec![number]
    });
    assert_eq!(push.send_many(curious).unwrap(), 200);
    assert_eq!(asked.get(), 200);
    let mut messages = Vec::new();
    // Some may still be the sender's, to be fetched.
    while messages.len() < 204 {
        pull.recv_many(&mut messages, 1_000).unwrap();
    }

    let faulty = (0..200_u8).map(|number| match number {
        150 => panic!("an iterator that panics"),
        _ => vec![number],
    });
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| push.send_many(faulty)));
    assert!(panicked.is_err());
    push.send("after it").unwrap();
    messages.clear();
    let count = pull.recv_many(&mut messages, 1_000).unwrap();
    assert_eq!(count, 128 + 1, "what had been taken, and not sent, is gone with it");
    assert_eq!(messages[128], "after it");
    assert_law(&[push.stats(), pull.stats()]);
}

/// An iterator that ends is not asked again, whatever it would say.
#[test]
fn an_iterator_that_has_ended_has_ended() {
    let context = Context::new().unwrap();
    let push = with_room_for(&context, 1_000);
    let asked = Cell::new(0);
    let forgetful = std::iter::from_fn(|| {
        asked.set(asked.get() + 1);
        (asked.get() % 10 != 0).then_some("a message")
    });
    assert_eq!(push.try_send_many(forgetful).unwrap(), 9);
}

#[test]
fn large_frames_that_are_lent_are_copied_and_not_given_back() {
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, "tcp", &Options::default());
    let large: Vec<Vec<u8>> = (0..40).map(|n| vec![n; 20_000 + 30_000 * usize::from(n)]).collect();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            assert_eq!(push.send_many(&large).unwrap(), 40);
            assert_eq!(push.send_many(large.clone()).unwrap(), 40);
            let mut rest = &large[..];
            while let Err(error) = push.try_send_many(rest) {
                assert!(error.messages.is_empty());
                rest = &rest[error.sent..];
            }
        });
        let mut messages = Vec::new();
        while messages.len() < 120 {
            pull.recv_many_timeout(&mut messages, 120, LONG).unwrap();
        }
        for (message, expected) in messages.iter().zip(large.iter().cycle()) {
            assert_eq!(message, expected);
        }
        sender.join().unwrap();
    });
}

/// Those before are sent, and those behind come back with it.
#[test]
fn what_cannot_be_sent_stops_the_rest() {
    let context = Context::new().unwrap();
    let options = Options::default().send_mark(200).linger(Duration::ZERO);
    let scatter = Scatter::with_options(&context, options).unwrap();
    scatter.connect(unused("inproc")).unwrap();
    for place in [0, 1, 63, 64, 65, 99] {
        let before = scatter.stats().out.queued;
        let mut messages = (0..100).map(|number| match number == place {
            true => Message::from(["two", "frames"]),
            false => Message::from("one"),
        });
        let error = scatter.try_send_many(&mut messages).unwrap_err();
        let room = 200 - before as usize;
        if place <= room {
            assert_eq!((error.reason, error.sent), (NotSent::SeveralFrames, place));
            assert_eq!(error.messages, [Message::from(["two", "frames"])]);
            assert_eq!(messages.count(), 99 - place, "nothing was taken behind it");
        } else {
            assert_eq!((error.reason, error.sent), (NotSent::WouldBlock, room));
        }
    }
}

#[test]
fn who_drives_does_not_wait() {
    struct Asks {
        push: Push,
        pull: Pull,
        tell: mpsc::Sender<()>,
    }
    impl Wake for Asks {
        fn wake(self: Arc<Self>) {
            let error = self.push.send_many(numbers(0..5)).unwrap_err();
            assert_eq!((error.reason, error.sent), (NotSent::WouldDeadlock, 2));
            assert_eq!(error.messages, numbers(2..5).collect::<Vec<_>>());
            let nothing = self.pull.recv_many(&mut Vec::new(), 5);
            assert_eq!(nothing, Err(RecvError::WouldDeadlock));
            self.tell.send(()).unwrap();
        }
    }
    let (context, other) = (Context::new().unwrap(), Context::new().unwrap());
    let pull = Pull::new(&context);
    let push = Push::new(&other);
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let (tell, told) = mpsc::channel();
    let asks = Asks {
        push: with_room_for(&context, 2),
        pull: Pull::new(&context),
        tell,
    };
    let waker = Arc::new(asks).into();
    let mut messages = Vec::new();
    let mut future = pin!(pull.recv_many_async(&mut messages, 5));
    let mut task = std::task::Context::from_waker(&waker);
    assert!(future.as_mut().poll(&mut task).is_pending());
    push.send("wakes it").unwrap();
    told.recv_timeout(LONG).unwrap();
    assert!(future.as_mut().poll(&mut task).is_ready());
}

/// The members of a group, and who is in another.
#[test]
fn many_go_to_a_group() {
    let context = Context::new().unwrap();
    let (radio, dish) = (Radio::new(&context), Dish::new(&context));
    dish.join("weather").unwrap();
    dish.connect(radio.bind(endpoint("inproc")).unwrap()).unwrap();
    radio.wait_for_members("weather", 1, LONG).unwrap();

    assert_eq!(radio.send_many("sports", ["lost"; 3]).unwrap(), 3);
    assert_eq!(radio.send_many("weather", ["sun", "rain"]).unwrap(), 2);
    assert_eq!(radio.try_send_many("weather", ["snow"]).unwrap(), 1);
    assert_eq!(radio.send_many_timeout("weather", ["hail"], LONG).unwrap(), 1);
    assert_eq!(block_on(radio.send_many_async("weather", ["fog"])).unwrap(), 1);
    for expected in ["sun", "rain", "snow", "hail", "fog"] {
        assert_eq!(dish.recv_timeout(LONG).unwrap(), ("weather".into(), expected.into()));
    }
    let refused = radio.send_many([b'g'; 256], ["x".to_owned()]).unwrap_err();
    assert_eq!((refused.reason, refused.messages.len()), (NotSent::TooLong, 1));
    assert_law(&[radio.stats(), dish.stats()]);
}

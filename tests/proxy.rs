//! What stands between two sockets: everything passes, nothing is taken that cannot go on, and it can be steered.

mod common;

use common::{Chance, LONG, endpoint, transport_suite, until, unused};
use peermq::{
    AtMark, Client, Context, Dealer, Dish, Gather, Message, Options, Pair, Passage, Peer, Proxy, ProxyEnd, ProxyError,
    ProxyHandle, ProxyReport, Pub, Pull, Push, Radio, RecvError, Rep, Req, Router, Scatter, Server, Stream, Sub,
    Upstream, XPub, XSub, forwarder, proxy, queue, streamer,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

fn marked(mark: usize) -> Options {
    Options::default().mark(mark)
}

/// Runs a proxy beside what the test does, and gives its report; ends it also if the test fails.
fn beside(proxy: Proxy<'_>, test: impl FnOnce(&ProxyHandle)) -> ProxyReport {
    struct Stops(ProxyHandle);
    impl Drop for Stops {
        fn drop(&mut self) {
            self.0.stop();
        }
    }
    let stops = Stops(proxy.handle());
    thread::scope(|scope| {
        let running = scope.spawn(|| proxy.run().unwrap());
        let stops = stops;
        test(&stops.0);
        drop(stops);
        running.join().unwrap()
    })
}

/// What the law says of one way of a proxy that is over.
fn check(way: &Passage, left: usize) {
    assert_eq!(way.taken, way.passed + way.dropped + left as u64, "{way:?}");
}

transport_suite!(
    all_messages_pass_in_order_at_every_mark,
    nothing_is_taken_that_cannot_go_on,
    subscriptions_pass_one_way_and_news_the_other,
);

fn all_messages_pass_in_order_at_every_mark(transport: &str) {
    for mark in [1, 2, 3, 8, 100] {
        // The proxy between two contexts, and the ends in contexts of their own: nothing else wakes anybody.
        let contexts: Vec<Context> = (0..4).map(|_| Context::new().unwrap()).collect();
        let at = |n: usize| {
            if transport == "inproc" {
                &contexts[0]
            } else {
                &contexts[n]
            }
        };
        let push = Push::with_options(at(0), Options::default().send_mark(mark)).unwrap();
        let front = Pull::with_options(at(1), Options::default().recv_mark(mark)).unwrap();
        let back = Push::with_options(at(2), Options::default().send_mark(mark)).unwrap();
        let pull = Pull::with_options(at(3), Options::default().recv_mark(mark)).unwrap();
        push.connect(front.bind(&*endpoint(transport)).unwrap()).unwrap();
        back.connect(pull.bind(&*endpoint(transport)).unwrap()).unwrap();

        let report = beside(Proxy::new(&front, &back), |_| {
            thread::scope(|scope| {
                scope.spawn(|| (0..3_000_u32).for_each(|n| push.send([&n.to_le_bytes()[..], b"", b"more"]).unwrap()));
                for n in 0..3_000_u32 {
                    let message = pull.recv_timeout(LONG).unwrap();
                    let expected = [&n.to_le_bytes()[..], b"", b"more"];
                    assert_eq!(message.frames().collect::<Vec<_>>(), expected, "mark {mark}");
                }
            });
        });

        assert_eq!(report.end, ProxyEnd::Stopped);
        let way = report.stats.forward;
        assert_eq!((way.taken, way.passed, way.passed_bytes), (3_000, 3_000, 24_000));
        assert_eq!(report.stats.backward, Passage::default());
    }
}

/// Back-pressure goes through: what has no room at the back waits in front, and so in the end do the senders.
fn nothing_is_taken_that_cannot_go_on(transport: &str) {
    let context = Context::new().unwrap();
    for mark in [1, 2, 5] {
        let push = Push::with_options(&context, Options::default().send_mark(mark)).unwrap();
        let front = Pull::with_options(&context, Options::default().recv_mark(100)).unwrap();
        let back = Push::with_options(&context, Options::default().send_mark(mark)).unwrap();
        push.connect(front.bind(&*endpoint(transport)).unwrap()).unwrap();
        let later = unused(transport);
        let idle = Pull::new(&context);

        let report = beside(Proxy::new(&front, &back), |handle| {
            (0..20).for_each(|n: u8| push.send(&[n]).unwrap());
            until("all is here", || front.stats().incoming.taken == 20);
            assert_eq!(idle.recv_timeout(Duration::from_millis(10)), Err(RecvError::TimedOut));
            assert_eq!(handle.stats().forward.taken, 0, "there is no peer at the back");
            back.connect(&*later).unwrap();
            until("its queue is full", || handle.stats().forward.taken == mark as u64);
            assert_eq!(idle.recv_timeout(Duration::from_millis(10)), Err(RecvError::TimedOut));
            assert_eq!(front.stats().incoming.queued, 20 - mark as u64);
            assert_eq!(handle.stats().forward.passed, mark as u64);

            let pull = Pull::new(&context);
            pull.bind(&*later).unwrap();
            (0..20).for_each(|n: u8| assert_eq!(pull.recv_timeout(LONG).unwrap(), [n]));
        });

        assert_eq!((report.left_forward, report.stats.forward.passed), (None, 20));
    }
}

fn subscriptions_pass_one_way_and_news_the_other(transport: &str) {
    let context = Context::new().unwrap();
    let (front, back) = (XSub::new(&context), XPub::new(&context));
    let (publisher, sub) = (Pub::new(&context), Sub::new(&context));
    let monitor = front.monitor();
    publisher.connect(front.bind(&*endpoint(transport)).unwrap()).unwrap();
    common::wait_connected(&monitor);
    sub.connect(back.bind(&*endpoint(transport)).unwrap()).unwrap();

    let report = beside(Proxy::new(&front, &back), |_| {
        sub.subscribe("a").unwrap();
        assert_eq!(publisher.wait_for_subscribers("a", 1, LONG).unwrap(), 1);
        publisher.send("b: nobody wants it").unwrap();
        publisher.send(["a: news", "with more"]).unwrap();
        let message = sub.recv_timeout(LONG).unwrap();
        assert_eq!(message.frames().collect::<Vec<_>>(), [&b"a: news"[..], b"with more"]);
        sub.unsubscribe("a").unwrap();
        until("the end of it has come through", || publisher.subscribers("a") == 0);
    });

    assert_eq!(report.stats.forward.passed, 1, "what nobody wants does not come so far");
    assert_eq!(report.stats.backward.passed, 2);
}

#[test]
fn both_ways_go_on_at_every_mark_between_contexts_that_are_quiet_otherwise() {
    for mark in 1..=8 {
        let contexts: Vec<Context> = (0..3).map(|_| Context::new().unwrap()).collect();
        let pair = |n: usize| Pair::with_options(&contexts[n], marked(mark)).unwrap();
        let (a, front, back, b) = (pair(0), pair(1), pair(1), pair(2));
        a.connect(front.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        back.connect(b.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        let report = beside(Proxy::new(&front, &back), |_| {
            thread::scope(|scope| {
                for (mine, theirs) in [(&a, "from b"), (&b, "from a")] {
                    scope.spawn(move || {
                        (0..1_000)
                            .for_each(|_| mine.send(if theirs == "from b" { "from a" } else { "from b" }).unwrap())
                    });
                    scope.spawn(move || (0..1_000).for_each(|_| assert_eq!(mine.recv_timeout(LONG).unwrap(), theirs)));
                }
            });
            for _ in 0..200 {
                // One at a time: each goes through a proxy that has fallen asleep.
                a.send("ping").unwrap();
                assert_eq!(b.recv_timeout(LONG).unwrap(), "ping", "mark {mark}");
                b.send("pong").unwrap();
                assert_eq!(a.recv_timeout(LONG).unwrap(), "pong", "mark {mark}");
            }
        });
        for way in [report.stats.forward, report.stats.backward] {
            assert_eq!((way.taken, way.passed, way.dropped), (1_200, 1_200, 0));
        }
    }
}

#[test]
fn one_way_that_is_full_does_not_stop_the_other() {
    let context = Context::new().unwrap();
    let dealer = || Dealer::with_options(&context, marked(1)).unwrap();
    let (a, front, back, b) = (dealer(), dealer(), dealer(), dealer());
    a.connect(front.bind("inproc://front").unwrap()).unwrap();
    b.connect(back.bind("inproc://back").unwrap()).unwrap();
    beside(Proxy::new(&front, &back), |handle| {
        // Until nothing goes forward any more: nobody receives at b.
        until("the way is full", || {
            a.try_send("forward").is_err() && handle.stats().forward.passed == 2
        });
        for n in 0..50_u8 {
            b.send(&[n]).unwrap();
            assert_eq!(a.recv_timeout(LONG).unwrap(), [n]);
        }
        assert_eq!(handle.stats().forward.passed, 2, "one in each queue at the back");
    });
}

#[test]
fn a_flood_one_way_leaves_the_other_its_turns() {
    let context = Context::new().unwrap();
    let dealer = || Dealer::with_options(&context, marked(10_000)).unwrap();
    let (a, front, back, b) = (dealer(), dealer(), dealer(), dealer());
    a.connect(front.bind("inproc://flood").unwrap()).unwrap();
    b.connect(back.bind("inproc://drought").unwrap()).unwrap();
    let capture = Push::with_options(&context, Options::default().send_mark(10_000)).unwrap();
    let seen = Pull::with_options(&context, Options::default().recv_mark(10_000)).unwrap();
    capture.connect(seen.bind("inproc://order").unwrap()).unwrap();
    (0..5_000).for_each(|_| a.send("flood").unwrap());
    (0..2).for_each(|_| b.send("drop").unwrap());

    beside(Proxy::new(&front, &back).capture(&capture), |_| {
        let order: Vec<_> = (0..5_002).map(|_| seen.recv_timeout(LONG).unwrap()).collect();
        let first = order.iter().position(|message| *message == "drop");
        assert!(first.is_some_and(|first| first < 1_000), "it came at {first:?}");
    });
}

#[test]
fn the_same_socket_on_both_sides_is_sent_back_what_it_received() {
    let context = Context::new().unwrap();
    let (mirror, dealer) = (Dealer::new(&context), Dealer::new(&context));
    dealer.connect(mirror.bind("inproc://mirror").unwrap()).unwrap();
    let report = beside(Proxy::new(&mirror, &mirror), |_| {
        for n in 0..100_u8 {
            dealer.send(&[n]).unwrap();
            assert_eq!(dealer.recv_timeout(LONG).unwrap(), [n]);
        }
    });
    assert_eq!((report.stats.forward.passed, report.stats.backward.taken), (100, 0));
}

#[test]
fn a_proxy_is_paused_resumed_asked_and_stopped_from_another_thread() {
    let context = Context::new().unwrap();
    let (push, front) = (Push::new(&context), Pull::new(&context));
    let (back, pull) = (Push::new(&context), Pull::new(&context));
    push.connect(front.bind("inproc://in").unwrap()).unwrap();
    back.connect(pull.bind("inproc://out").unwrap()).unwrap();
    let proxy = Proxy::new(&front, &back);
    let outlives = proxy.handle();
    let report = beside(proxy, |handle| {
        push.send("first").unwrap();
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "first");
        for n in 1..50 {
            handle.pause();
            push.send("waits").unwrap();
            until("it waits in front", || front.stats().incoming.queued == 1);
            assert_eq!(pull.recv_timeout(Duration::from_millis(1)), Err(RecvError::TimedOut));
            assert_eq!(front.stats().incoming.queued, 1);
            until("it has said so", || handle.stats().forward.passed == n);
            handle.resume();
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "waits");
        }
        handle.pause();
        handle.stop();
        handle.resume();
    });
    assert_eq!(report.end, ProxyEnd::Stopped);
    assert_eq!(report.stats.forward.passed, 50);
    assert_eq!(report.stats.forward.passed_bytes, 5 * 50);
    assert_eq!(outlives.stats(), report.stats);
    outlives.pause();

    // A stop that came before is not forgotten.
    let proxy = Proxy::new(&front, &back);
    proxy.handle().stop();
    assert_eq!(proxy.run().unwrap().end, ProxyEnd::Stopped);
}

#[test]
fn the_end_of_either_socket_or_of_its_context_ends_it() {
    type Ends = fn(&Pull, &Push, &Context);
    let ends: [(Ends, Option<ProxyEnd>); 3] = [
        (|front, _, _| drop(front.close()), Some(ProxyEnd::FrontClosed)),
        (|_, back, _| drop(back.close()), Some(ProxyEnd::BackClosed)),
        (|_, _, context| drop(context.shutdown()), None),
    ];
    for (end, expected) in ends {
        let context = Context::new().unwrap();
        let (front, back) = (Pull::new(&context), Push::new(&context));
        thread::scope(|scope| {
            let running = scope.spawn(|| streamer(&front, &back).unwrap());
            end(&front, &back, &context);
            let report = running.join().unwrap();
            match expected {
                Some(expected) => assert_eq!(report.end, expected),
                // Both are closed, in no promised order.
                None => assert_ne!(report.end, ProxyEnd::Stopped),
            }
        });
        assert_ne!(
            proxy(&front, &back).unwrap().end,
            ProxyEnd::Stopped,
            "it is over before it begins"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_passes() {
    let context = Context::new().unwrap();
    let (push, pull, other) = (Push::new(&context), Pull::new(&context), Pull::new(&context));
    let error = proxy(&pull, &other).unwrap_err();
    assert!(matches!(error, ProxyError::NoWay { .. }));
    assert_eq!(error.to_string(), "nothing passes from PULL to PULL, nor back");
    assert!(matches!(proxy(&push, &push).unwrap_err(), ProxyError::NoWay { .. }));
    let error = Proxy::new(&pull, &push).capture(&other).run().unwrap_err();
    assert!(matches!(error, ProxyError::CannotCapture(_)));
    // The other way round it is a way, too.
    let proxy = Proxy::new(&push, &pull);
    proxy.handle().stop();
    proxy.run().unwrap();
}

#[test]
fn a_proxy_on_the_loops_own_thread_is_refused() {
    struct Runs(Mutex<mpsc::Sender<ProxyError>>, Pull, Push);
    impl Wake for Runs {
        fn wake(self: Arc<Self>) {
            let refused = streamer(&self.1, &self.2).unwrap_err();
            self.0.lock().unwrap().send(refused).unwrap();
        }
    }
    let context = Context::new().unwrap();
    let (pull, push) = (Pull::new(&context), Push::new(&context));
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let (tell, told) = mpsc::channel();
    let runs = Runs(Mutex::new(tell), Pull::new(&context), Push::new(&context));
    let waker = Waker::from(Arc::new(runs));
    let mut next = Box::pin(pull.recv_async());
    assert!(
        next.as_mut()
            .poll(&mut std::task::Context::from_waker(&waker))
            .is_pending()
    );
    push.send("from the loop").unwrap();
    assert_eq!(told.recv_timeout(LONG).unwrap(), ProxyError::WouldDeadlock);
}

#[test]
fn a_capture_gets_a_copy_of_each_message_while_it_has_room_and_slows_nobody() {
    let context = Context::new().unwrap();
    let (a, front, back, b) = (
        Pair::new(&context),
        Pair::new(&context),
        Pair::new(&context),
        Pair::new(&context),
    );
    a.connect(front.bind("inproc://a").unwrap()).unwrap();
    b.connect(back.bind("inproc://b").unwrap()).unwrap();
    let capture = Push::with_options(&context, Options::default().send_mark(3)).unwrap();
    let watcher = Pull::with_options(&context, Options::default().recv_mark(3)).unwrap();
    capture.connect(watcher.bind("inproc://capture").unwrap()).unwrap();

    let report = beside(Proxy::new(&front, &back).capture(&capture), |handle| {
        a.send(["a", "question"]).unwrap();
        assert_eq!(b.recv_timeout(LONG).unwrap().frame_count(), 2);
        b.send("an answer").unwrap();
        assert_eq!(a.recv_timeout(LONG).unwrap(), "an answer");
        assert_eq!(watcher.recv_timeout(LONG).unwrap().frame(1), Some(&b"question"[..]));
        assert_eq!(watcher.recv_timeout(LONG).unwrap(), "an answer");
        // Nobody takes the copies now: six find room, and the messages go on.
        for n in 0..100_u8 {
            a.send(&[n]).unwrap();
            assert_eq!(b.recv_timeout(LONG).unwrap(), [n]);
        }
        until("the last one was offered", || {
            let way = handle.stats().forward;
            way.captured + way.not_captured == 101
        });
        (0..6_u8).for_each(|n| assert_eq!(watcher.recv_timeout(LONG).unwrap(), [n]));
    });

    let (forward, backward) = (report.stats.forward, report.stats.backward);
    assert_eq!((forward.passed, forward.captured, forward.not_captured), (101, 7, 94));
    assert_eq!((backward.passed, backward.captured, backward.not_captured), (1, 1, 0));
}

#[test]
fn nothing_is_lost_when_others_use_the_same_sockets() {
    for seed in 1..=4 {
        println!("seed {seed}");
        let mut chance = Chance(seed);
        let context = Context::new().unwrap();
        let (mark, other) = (chance.below(3) as usize + 1, chance.below(3) as usize + 1);
        let push = Push::with_options(&context, Options::default().send_mark(mark)).unwrap();
        let front = Pull::with_options(&context, Options::default().recv_mark(mark)).unwrap();
        let back = Push::with_options(&context, Options::default().send_mark(other)).unwrap();
        let pull = Pull::with_options(&context, Options::default().recv_mark(other)).unwrap();
        push.connect(front.bind("inproc://shared-front").unwrap()).unwrap();
        back.connect(pull.bind("inproc://shared-back").unwrap()).unwrap();
        let stolen = AtomicU64::new(0);
        let report = beside(Proxy::new(&front, &back), |_| {
            thread::scope(|scope| {
                scope.spawn(|| (0..5_000).for_each(|_| push.send("through").unwrap()));
                // Room that the proxy saw is taken by others, and so are messages.
                scope.spawn(|| (0..5_000).for_each(|_| back.send("beside").unwrap()));
                scope.spawn(|| {
                    for _ in 0..500 {
                        if front.try_recv().is_ok() {
                            stolen.fetch_add(1, Ordering::SeqCst);
                        }
                        thread::yield_now();
                    }
                });
                let (mut beside, mut through) = (0, 0);
                until("each has come, or was stolen", || {
                    match pull.recv_timeout(Duration::from_millis(1)) {
                        Ok(message) if message == "beside" => beside += 1,
                        Ok(_) => through += 1,
                        Err(_) => {}
                    }
                    beside == 5_000 && through + stolen.load(Ordering::SeqCst) == 5_000
                });
            });
        });
        check(&report.stats.forward, usize::from(report.left_forward.is_some()));
        assert_eq!(report.stats.forward.passed + stolen.into_inner(), 5_000);
    }
}

#[test]
fn a_message_that_found_no_room_in_the_end_is_given_back() {
    let context = Context::new().unwrap();
    let (push, front) = (Push::new(&context), Pull::new(&context));
    push.connect(front.bind("inproc://given").unwrap()).unwrap();
    // Room with a subscriber is known only once a message was tried.
    let options = Options::default().send_mark(1).at_mark(AtMark::Block);
    let back = XPub::with_options(&context, options).unwrap();
    let sub = Sub::with_options(&context, Options::default().recv_mark(1)).unwrap();
    sub.connect(back.bind("inproc://slow").unwrap()).unwrap();
    sub.subscribe_confirmed("", LONG).unwrap();
    let report = beside(Proxy::new(&front, &back), |handle| {
        for n in 0..10_u8 {
            push.send(&[n]).unwrap();
        }
        until("the subscriber is full", || handle.stats().forward.taken == 3);
        assert_eq!(handle.stats().forward.passed, 2);
    });
    assert_eq!(
        report.left_forward.as_ref().map(|message| message.first()),
        Some(&[2][..])
    );
    check(&report.stats.forward, 1);
    assert_eq!(front.stats().incoming.queued, 7);
}

/// libzmq's test_proxy_hwm: a subscriber that does not read stops the publisher through the proxy, which still answers.
#[test]
fn a_slow_subscriber_stops_the_publisher_through_the_proxy_which_still_answers() {
    let context = Context::new().unwrap();
    let options = || Options::default().mark(10).at_mark(AtMark::Block);
    let publisher = XPub::with_options(&context, options()).unwrap();
    let front = XSub::with_options(&context, marked(10)).unwrap();
    let back = XPub::with_options(&context, options()).unwrap();
    let sub = Sub::with_options(&context, Options::default().recv_mark(10)).unwrap();
    publisher.connect(front.bind("inproc://hwm-front").unwrap()).unwrap();
    sub.connect(back.bind("inproc://hwm-back").unwrap()).unwrap();
    beside(Proxy::new(&front, &back), |handle| {
        sub.subscribe("").unwrap();
        publisher.wait_for_subscribers("", 1, LONG).unwrap();
        let mut sent = 0;
        // Two queues of ten behind the proxy, and one that it holds; two before it, of which the one that it takes from may
        // have a gap, because that is filled again only at half its mark.
        until("nothing goes on", || {
            let is_full = publisher.try_send(&[sent]).is_err();
            sent += u8::from(!is_full);
            is_full && handle.stats().forward.taken == 21
        });
        assert!((37..=41).contains(&sent), "{sent}");
        (0..sent).for_each(|n| assert_eq!(sub.recv_timeout(LONG).unwrap(), [n]));
        until("there is room again", || publisher.try_send("more").is_ok());
    });
}

/// A subscriber may say what it wants several times, and others the same; the end of the last of them is the topic's.
#[test]
fn a_topic_that_nobody_wants_any_more_is_given_up_at_the_publisher_however_often_it_was_asked_for() {
    let context = Context::new().unwrap();
    let (front, back) = (XSub::new(&context), XPub::new(&context));
    let publisher = Pub::new(&context);
    let subs = [(); 2].map(|()| Sub::new(&context));
    publisher.connect(front.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let at = back.bind("tcp://127.0.0.1:0").unwrap();
    beside(Proxy::new(&front, &back), |_| {
        for sub in &subs {
            sub.connect(&at).unwrap();
            for _ in 0..3 {
                sub.subscribe_confirmed("a", LONG).unwrap();
            }
        }
        publisher.wait_for_subscribers("a", 1, LONG).unwrap();
        drop(subs);
        until("the end of it has come through", || publisher.subscribers("a") == 0);
    });
}

/// libzmq's test_sub_forward: the same by hand.
#[test]
fn a_subscription_is_forwarded_by_hand() {
    let context = Context::new().unwrap();
    let (back, front) = (XPub::new(&context), XSub::new(&context));
    let (publisher, sub) = (Pub::new(&context), Sub::new(&context));
    publisher.connect(front.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    sub.connect(back.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    sub.subscribe("").unwrap();
    let said = back.recv_timeout(LONG).unwrap();
    assert!(matches!(&said, Upstream::Subscribe { topic, .. } if topic.is_empty()));
    front.send(said.into_message()).unwrap();
    publisher.wait_for_subscribers("", 1, LONG).unwrap();
    publisher.send("news").unwrap();
    back.send(front.recv_timeout(LONG).unwrap()).unwrap();
    assert_eq!(sub.recv_timeout(LONG).unwrap(), "news");
}

#[test]
fn a_forwarder_runs_until_it_is_closed() {
    let context = Context::new().unwrap();
    let (front, back) = (XSub::new(&context), XPub::new(&context));
    thread::scope(|scope| {
        let running = scope.spawn(|| forwarder(&front, &back).unwrap());
        back.close().unwrap();
        assert_eq!(running.join().unwrap().end, ProxyEnd::BackClosed);
    });
}

/// libzmq's test_proxy: clients in front, workers behind, each reply to who asked.
#[test]
fn a_queue_brings_each_request_to_one_worker_and_each_reply_to_who_asked() {
    for mark in [1, 2, 1_000] {
        let contexts: Vec<Context> = (0..3).map(|_| Context::new().unwrap()).collect();
        let front = Router::with_options(&contexts[1], marked(mark)).unwrap();
        let back = Dealer::with_options(&contexts[1], marked(mark)).unwrap();
        let (to_front, to_back) = (
            front.bind("tcp://127.0.0.1:0").unwrap(),
            back.bind("tcp://127.0.0.1:0").unwrap(),
        );
        let clients: Vec<Req> = (0..4).map(|_| Req::new(&contexts[0])).collect();
        let workers: Vec<Rep> = (0..3).map(|_| Rep::new(&contexts[2])).collect();
        clients
            .iter()
            .for_each(|client| client.connect(to_front.clone()).unwrap());
        workers
            .iter()
            .for_each(|worker| worker.connect(to_back.clone()).unwrap());

        let report = beside(Proxy::new(&front, &back), |_| {
            thread::scope(|scope| {
                for worker in &workers {
                    scope.spawn(|| {
                        while let Ok(request) = worker.recv() {
                            let answer = Message::from([&b"re: "[..], request.message().first()]);
                            request.reply(answer).unwrap();
                        }
                    });
                }
                thread::scope(|scope| {
                    for (n, client) in clients.iter().enumerate() {
                        scope.spawn(move || {
                            for i in 0..300 {
                                let question = format!("{n}: {i}");
                                let answer = client.request_timeout(&question, LONG).unwrap();
                                assert_eq!(answer.frame(1), Some(question.as_bytes()));
                            }
                        });
                    }
                });
                workers.iter().for_each(|worker| drop(worker.close()));
            });
        });

        for way in [report.stats.forward, report.stats.backward] {
            assert_eq!((way.taken, way.passed, way.dropped), (1_200, 1_200, 0), "mark {mark}");
        }
    }
}

#[test]
fn a_reply_whose_client_is_gone_is_dropped_and_counted() {
    let context = Context::new().unwrap();
    let (front, back) = (Router::new(&context), Dealer::new(&context));
    let (client, worker) = (Dealer::new(&context), Rep::new(&context));
    client.connect(front.bind("inproc://clients").unwrap()).unwrap();
    worker.connect(back.bind("inproc://workers").unwrap()).unwrap();
    let report = beside(Proxy::new(&front, &back), |handle| {
        client.send(["", "question"]).unwrap();
        let request = worker.recv_timeout(LONG).unwrap();
        client.close().unwrap();
        request.reply("too late").unwrap();
        until("it has come so far", || handle.stats().backward.dropped == 1);
    });
    check(&report.stats.backward, 0);
    let error = thread::scope(|scope| {
        let running = scope.spawn(|| queue(&front, &back).unwrap());
        front.close().unwrap();
        running.join().unwrap()
    });
    assert_eq!(error.end, ProxyEnd::FrontClosed);
}

/// libzmq's test_proxy_single_socket.
#[test]
fn one_router_on_both_sides_answers_each_peer_with_its_own_words() {
    let context = Context::new().unwrap();
    let mirror = Router::new(&context);
    let at = mirror.bind("tcp://127.0.0.1:0").unwrap();
    let clients: Vec<Req> = (0..3).map(|_| Req::new(&context)).collect();
    clients.iter().for_each(|client| client.connect(at.clone()).unwrap());
    beside(Proxy::new(&mirror, &mirror), |_| {
        for (n, client) in clients.iter().enumerate().cycle().take(60) {
            let question = [n as u8];
            assert_eq!(client.request_timeout(&question, LONG).unwrap(), question);
        }
    });
}

#[test]
fn a_peer_that_stands_on_both_sides_answers_each_with_its_own_words() {
    let context = Context::new().unwrap();
    let mirror = Peer::new(&context);
    mirror.bind("inproc://numbered").unwrap();
    let peers: Vec<_> = (0..3)
        .map(|_| {
            let peer = Peer::new(&context);
            let number = peer.connect("inproc://numbered").unwrap();
            (peer, number)
        })
        .collect();
    beside(Proxy::new(&mirror, &mirror), |_| {
        for (n, (peer, number)) in peers.iter().enumerate().cycle().take(30) {
            peer.send_to(number, &[n as u8]).unwrap();
            assert_eq!(peer.recv_timeout(LONG).unwrap(), (*number, Message::from(&[n as u8])));
        }
    });
}

#[test]
fn a_server_that_stands_on_both_sides_answers_each_client_with_its_own_words() {
    let context = Context::new().unwrap();
    let mirror = Server::new(&context);
    let at = mirror.bind("tcp://127.0.0.1:0").unwrap();
    let clients: Vec<Client> = (0..3).map(|_| Client::new(&context)).collect();
    clients.iter().for_each(|client| client.connect(at.clone()).unwrap());
    beside(Proxy::new(&mirror, &mirror), |_| {
        for (n, client) in clients.iter().enumerate().cycle().take(30) {
            client.send(&[n as u8]).unwrap();
            assert_eq!(client.recv_timeout(LONG).unwrap(), Message::from(&[n as u8]));
        }
    });
}

#[test]
fn strangers_of_a_stream_are_answered_by_workers_behind_a_dealer() {
    let context = Context::new().unwrap();
    let front = Stream::with_options(&context, Options::default().stream_notify(false)).unwrap();
    let back = Dealer::new(&context);
    let worker = Dealer::new(&context);
    let at = front.bind("tcp://127.0.0.1:0").unwrap();
    worker.connect(back.bind("inproc://web").unwrap()).unwrap();
    beside(Proxy::new(&front, &back), |_| {
        for _ in 0..3 {
            let mut stranger = TcpStream::connect(common::address(&at)).unwrap();
            stranger.write_all(b"GET /").unwrap();
            let request = worker.recv_timeout(LONG).unwrap();
            assert_eq!(request.frame(1), Some(&b"GET /"[..]));
            worker.send([request.first(), b"hello"]).unwrap();
            worker.send([request.first(), b""]).unwrap();
            let mut page = String::new();
            stranger.read_to_string(&mut page).unwrap();
            assert_eq!(page, "hello");
        }
    });
}

#[test]
fn what_the_other_side_would_never_take_is_dropped_and_counted() {
    let context = Context::new().unwrap();
    let (push, front) = (Push::new(&context), Pull::new(&context));
    let (back, gather) = (Scatter::new(&context), Gather::new(&context));
    push.connect(front.bind("inproc://any-frames").unwrap()).unwrap();
    back.connect(gather.bind("inproc://one-frame").unwrap()).unwrap();
    let report = beside(Proxy::new(&front, &back), |_| {
        push.send(["two", "frames"]).unwrap();
        push.send("one").unwrap();
        assert_eq!(gather.recv_timeout(LONG).unwrap(), "one");
    });
    let way = report.stats.forward;
    assert_eq!((way.taken, way.passed, way.dropped), (2, 1, 1));
}

#[test]
fn what_a_radio_says_to_a_group_goes_on_by_another() {
    let context = Context::new().unwrap();
    let (radio, front) = (Radio::new(&context), Dish::new(&context));
    let (back, dish) = (Radio::new(&context), Dish::new(&context));
    front.connect(radio.bind("inproc://near").unwrap()).unwrap();
    dish.connect(back.bind("inproc://far").unwrap()).unwrap();
    front.join_confirmed("weather", LONG).unwrap();
    dish.join_confirmed("weather", LONG).unwrap();
    beside(Proxy::new(&front, &back), |_| {
        radio.send("sports", "nobody hears it").unwrap();
        radio.send("weather", "sunny").unwrap();
        assert_eq!(dish.recv_timeout(LONG).unwrap(), ("weather".into(), "sunny".into()));
    });
}

#[test]
fn workers_behind_a_dealer_answer_clients_in_front_of_one() {
    // Without a ROUTER: one client, whose questions are spread over workers.
    let context = Context::new().unwrap();
    let (client, front, back) = (Pair::new(&context), Pair::new(&context), Dealer::new(&context));
    client.connect(front.bind("inproc://client").unwrap()).unwrap();
    back.bind("inproc://workers").unwrap();
    let workers: Vec<Rep> = (0..3).map(|_| Rep::new(&context)).collect();
    workers
        .iter()
        .for_each(|worker| worker.connect("inproc://workers").unwrap());
    beside(Proxy::new(&front, &back), |_| {
        for worker in workers.iter().cycle().take(30) {
            client.send(["", "question"]).unwrap();
            worker.recv_timeout(LONG).unwrap().reply("answer").unwrap();
            assert_eq!(client.recv_timeout(LONG).unwrap().frame(1), Some(&b"answer"[..]));
        }
    });
}

//! Who waits, drives: whoever runs the event loop, everybody is served, and nobody sleeps through what they wait for.
//!
//! Quiet contexts and tiny marks: the traffic of others would wake a sleeper that nobody woke, and hide it.

mod common;

use common::{Chance, LONG, address, hello, ready_of_ours, wait_connected, wait_for};
use peermq::{Context, ContextOptions, Message, NotSent, Options, Pair, Pub, Pull, Push, RecvError, Rep, Req, Sub};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Two sockets in contexts of their own, connected.
fn apart<A, B>(
    [first, second]: [&Options; 2],
    a: fn(&Context, Options) -> A,
    b: fn(&Context, Options) -> B,
    join: impl Fn(&A, &B),
) -> (Context, A, Context, B) {
    let (here, there) = (Context::new().unwrap(), Context::new().unwrap());
    let (a, b) = (a(&here, first.clone()), b(&there, second.clone()));
    join(&a, &b);
    (here, a, there, b)
}

fn push_and_pull(options: &Options) -> (Context, Push, Context, Pull) {
    push_and_pull_of([options, options])
}

fn push_and_pull_of(options: [&Options; 2]) -> (Context, Push, Context, Pull) {
    let push = |context: &Context, options| Push::with_options(context, options).unwrap();
    let pull = |context: &Context, options| Pull::with_options(context, options).unwrap();
    apart(options, push, pull, |push: &Push, pull: &Pull| {
        let monitor = push.monitor();
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        wait_connected(&monitor);
    })
}

/// Wakes through a channel: a future's waiter that is no thread of ours.
struct Told(mpsc::Sender<()>);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        let _gone = self.0.send(());
    }
}

fn told() -> (Waker, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::channel();
    (Waker::from(Arc::new(Told(tell))), told)
}

fn poll_once<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    pin!(future).poll(&mut std::task::Context::from_waker(waker))
}

#[test]
fn a_sender_at_its_mark_is_woken_by_whoever_makes_room() {
    for mark in 1..=8 {
        let options = Options::default().mark(mark);
        let (_here, push, _there, pull) = push_and_pull(&options);
        thread::scope(|scope| {
            scope.spawn(|| (0..20_000_u32).for_each(|n| push.send(&n.to_le_bytes()).unwrap()));
            for n in 0..20_000_u32 {
                assert_eq!(pull.recv_timeout(LONG).unwrap(), n.to_le_bytes(), "mark {mark}");
            }
        });
    }
}

#[test]
fn two_ends_that_wait_for_each_other_go_on_at_every_mark() {
    for mark in 1..=8 {
        let options = Options::default().mark(mark);
        let pair = |context: &Context, options| Pair::with_options(context, options).unwrap();
        let (_here, a, _there, b) = apart([&options; 2], pair, pair, |a: &Pair, b: &Pair| {
            a.connect(b.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        });
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    // More than the mark: whoever sends waits for who reads, and both do both.
                    (0..mark + 1).for_each(|_| a.send("ping").unwrap());
                    (0..mark + 1).for_each(|_| assert_eq!(a.recv_timeout(LONG).unwrap(), "pong"));
                }
            });
            for _ in 0..2_000 {
                (0..mark + 1).for_each(|_| assert_eq!(b.recv_timeout(LONG).unwrap(), "ping"));
                (0..mark + 1).for_each(|_| b.send("pong").unwrap());
            }
        });
    }
}

/// However long a thread looks before it sleeps, and if it never does: a ping-pong of threads and futures, and senders at
/// their marks.
#[test]
fn all_go_on_however_long_who_waits_looks_before_it_sleeps() {
    for spin in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(1)] {
        let context = || Context::with_options(ContextOptions::default().spin(spin)).unwrap();
        let (here, there) = (context(), context());
        let options = Options::default().mark(2);
        let (a, b) = (
            Pair::with_options(&here, options.clone()).unwrap(),
            Pair::with_options(&there, options).unwrap(),
        );
        a.connect(b.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    assert_eq!(b.recv_timeout(LONG).unwrap(), "ping");
                    b.send("pong").unwrap();
                }
            });
            for n in 0..2_000 {
                a.send("ping").unwrap();
                let pong = match n % 2 {
                    0 => a.recv_timeout(LONG).unwrap(),
                    _ => common::block_on(a.recv_async()).unwrap(),
                };
                assert_eq!(pong, "pong");
            }
        });
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2_000).for_each(|_| a.send_timeout("one of many", LONG).unwrap()));
            }
            (0..8_000).for_each(|_| assert_eq!(b.recv_timeout(LONG).unwrap(), "one of many"));
        });
        assert_eq!(
            a.recv_timeout(Duration::from_millis(2)).unwrap_err(),
            RecvError::TimedOut
        );
    }
}

/// A peer that says one thing after the other would wake the loop for each.
#[test]
fn while_peers_introduce_themselves_the_loop_looks_before_it_sleeps() {
    let turns = |context: &Context| context.stats().event_loop.unwrap().turns;
    let turns_of_500 = |spin| {
        let context = Context::with_options(ContextOptions::default().spin(spin)).unwrap();
        let pull = Pull::new(&context);
        let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
        let before = turns(&context);
        let _peers: Vec<_> = (0..500).map(|_| step_by_step("PUSH", "PULL", &here)).collect();
        turns(&context) - before
    };

    let (asleep, awake) = (turns_of_500(Duration::ZERO), turns_of_500(Duration::from_millis(1)));

    assert!(asleep < 5_000, "{asleep} turns");
    assert!(awake > 2 * asleep, "{awake} turns, and {asleep} without looking");
}

/// A peer of this type that waits for each answer.
fn step_by_step(ours: &str, theirs: &str, here: &str) -> TcpStream {
    let mut stream = TcpStream::connect(here).unwrap();
    let hello = hello(ours);
    let (greeting, ready) = hello.split_at(64);
    stream.write_all(greeting).unwrap();
    stream.read_exact(&mut [0; 64]).unwrap();
    stream.write_all(ready).unwrap();
    stream.read_exact(&mut vec![0; ready_of_ours(theirs).len()]).unwrap();
    stream
}

#[test]
fn one_who_drives_serves_the_others_of_its_context() {
    let there = Context::new().unwrap();
    let here = Context::new().unwrap();
    let pulls: Vec<Pull> = (0..4).map(|_| Pull::new(&here)).collect();
    let pushes: Vec<Push> = pulls
        .iter()
        .map(|pull| {
            let push = Push::new(&there);
            push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
            push
        })
        .collect();
    let (tell, told) = mpsc::channel();
    let seed = 11;
    let mut chance = Chance(seed);
    println!("seed {seed}");
    thread::scope(|scope| {
        for (n, pull) in pulls.iter().enumerate() {
            let tell = tell.clone();
            scope.spawn(move || {
                for _ in 0..500 {
                    assert_eq!(pull.recv_timeout(LONG).unwrap(), [n as u8]);
                    tell.send(n).unwrap();
                }
            });
        }
        let mut left = [500; 4];
        while left.iter().sum::<i32>() > 0 {
            let n = chance.below(4) as usize;
            if left[n] > 0 {
                left[n] -= 1;
                pushes[n].send([n as u8].as_slice()).unwrap();
                // One at a time: nothing else goes on that could wake who should be woken.
                assert_eq!(told.recv_timeout(LONG).unwrap(), n);
            }
        }
    });
}

#[test]
fn what_nobody_waits_for_is_read_while_another_drives_and_after_it_has_gone() {
    let (here, there) = (Context::new().unwrap(), Context::new().unwrap());
    let (awaited, other) = (Pull::new(&here), Pull::new(&here));
    let (to_awaited, to_other) = (Push::new(&there), Push::new(&there));
    to_awaited.connect(awaited.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    to_other.connect(other.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    thread::scope(|scope| {
        for is_last in [false, true] {
            let driver = scope.spawn(|| awaited.recv_timeout(LONG).unwrap());
            for _ in 0..200 {
                let mut next = Box::pin(other.recv_async());
                let (waker, told) = told();
                let first = poll_once(&mut next, &waker);
                to_other.send("unawaited").unwrap();
                if first.is_pending() {
                    told.recv_timeout(LONG).expect("the future is woken");
                    assert!(poll_once(&mut next, &waker).is_ready());
                }
            }
            to_awaited.send("awaited").unwrap();
            assert_eq!(driver.join().unwrap(), "awaited");
            if is_last {
                // Nobody drives now, and nobody comes back to.
                let mut next = Box::pin(other.recv_async());
                let (waker, told) = told();
                assert!(poll_once(&mut next, &waker).is_pending());
                to_other.send("late").unwrap();
                told.recv_timeout(LONG).expect("the future is woken");
            }
        }
    });
}

#[test]
fn who_sleeps_in_the_loop_hears_what_others_ask_of_it() {
    let here = Context::new().unwrap();
    let pull = Pull::new(&here);
    pull.bind("tcp://127.0.0.1:0").unwrap();
    thread::scope(|scope| {
        for _ in 0..50 {
            let driver = scope.spawn(|| pull.recv_timeout(LONG).unwrap());
            // A listener and a dialer that only the loop can start, and an answer that only it can give.
            let at = pull.bind("tcp://127.0.0.1:0").unwrap();
            let push = Push::new(&here);
            push.connect(at.clone()).unwrap();
            push.send("found").unwrap();
            assert_eq!(driver.join().unwrap(), "found");
            pull.unbind(at).unwrap();
        }
    });
}

#[test]
fn what_is_sent_while_another_thread_sleeps_in_the_loop_is_written() {
    let (here, push, _there, pull) = push_and_pull(&Options::default());
    let (awaited, idle) = (Pull::new(&here), Pull::new(&here));
    let waking = Push::new(&here);
    waking.connect(awaited.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    thread::scope(|scope| {
        let driver = scope.spawn(|| awaited.recv_timeout(LONG).unwrap());
        for _ in 0..100 {
            // Nothing goes on for so long that the loop's own thread has settled down, too.
            assert_eq!(idle.recv_timeout(Duration::from_millis(5)), Err(RecvError::TimedOut));
            // The first is written at once; the others are a stream.
            (0..20_u8).for_each(|n| push.send(&[n]).unwrap());
            (0..20_u8).for_each(|n| assert_eq!(pull.recv_timeout(LONG).unwrap(), [n]));
        }
        waking.send("enough").unwrap();
        assert_eq!(driver.join().unwrap(), "enough");
    });
}

#[test]
fn shutdown_ends_every_wait_and_the_drive() {
    for _ in 0..50 {
        let context = Context::new().unwrap();
        let pulls: Vec<Pull> = (0..3).map(|_| Pull::new(&context)).collect();
        for pull in &pulls {
            pull.bind("tcp://127.0.0.1:0").unwrap();
        }
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            for pull in &pulls {
                let tell = tell.clone();
                scope.spawn(move || {
                    tell.send(()).unwrap();
                    assert_eq!(pull.recv(), Err(RecvError::Closed));
                });
            }
            pulls.iter().for_each(|_| told.recv().unwrap());
            assert_eq!(context.shutdown().sockets.len(), 3);
        });
    }
}

#[test]
fn a_waker_that_panics_leaves_the_loop_usable() {
    struct Panics(mpsc::Sender<()>);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            self.0.send(()).unwrap();
            panic!("a waker of the test's");
        }
    }
    let (_here, push, _there, pull) = push_and_pull(&Options::default());
    for _ in 0..20 {
        let (tell, told) = mpsc::channel();
        let mut next = Box::pin(pull.recv_async());
        assert!(poll_once(&mut next, &Waker::from(Arc::new(Panics(tell)))).is_pending());
        thread::scope(|scope| {
            let driver = scope.spawn(|| pull.recv_timeout(LONG).unwrap());
            push.send("on").unwrap();
            told.recv_timeout(LONG).expect("the future is first in line");
            // It was woken and goes without taking: the next in line is woken.
            drop(next);
            assert_eq!(driver.join().unwrap(), "on");
        });
    }
}

#[test]
fn short_waits_are_honoured_and_served() {
    let (_here, push, _there, pull) = push_and_pull(&Options::default());
    for micros in [1, 10, 100, 999, 1_000, 1_001, 2_500] {
        let limit = Duration::from_micros(micros);
        let begin = Instant::now();
        assert_eq!(pull.recv_timeout(limit), Err(RecvError::TimedOut));
        assert!(begin.elapsed() >= limit, "{micros} us");
    }
    // Too short for the kernel's timer: these waits never drive, and all that comes is read for them.
    for _ in 0..200 {
        push.send("short").unwrap();
        let end = Instant::now() + LONG;
        while pull.recv_timeout(Duration::from_micros(300)).is_err() {
            assert!(Instant::now() < end, "nobody reads");
        }
    }
}

#[test]
fn an_end_of_stream_is_seen_behind_what_is_unread() {
    for mark in [1, 2, 8] {
        let (full, small) = (Options::default(), Options::default().recv_mark(mark));
        let (_here, push, _there, pull) = push_and_pull_of([&full, &small]);
        let monitor = pull.monitor();
        let other = Push::new(&_here);
        other.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        for n in 0..500_u32 {
            push.send(&n.to_le_bytes()).unwrap();
        }
        let closing = thread::spawn(move || push.close().unwrap());
        for n in 0..500_u32 {
            assert_eq!(pull.recv_timeout(LONG).unwrap(), n.to_le_bytes(), "mark {mark}");
        }
        assert!(closing.join().unwrap().is_confirmed());
        wait_for!(monitor, Disconnected);
    }
}

#[test]
fn many_clients_and_servers_of_two_contexts_all_get_their_answers() {
    let (here, there) = (Context::new().unwrap(), Context::new().unwrap());
    let rep = Rep::new(&there);
    let at = rep.bind("tcp://127.0.0.1:0").unwrap();
    let req = Req::new(&here);
    req.connect(at).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Ok(request) = rep.recv() {
                    let message = request.message().clone();
                    let _closed = request.reply(message);
                }
            });
        }
        let clients: Vec<_> = (0..3_u32)
            .map(|client| {
                let req = &req;
                scope.spawn(move || {
                    for n in 0..3_000_u32 {
                        let question = [client.to_le_bytes(), n.to_le_bytes()].concat();
                        assert_eq!(req.request_timeout(&question, LONG).unwrap(), question);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        rep.close().unwrap();
    });
}

/// Tells the others of a test that it is over, also if it failed.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_stream_that_never_pauses_does_not_keep_the_loop_from_what_else_there_is() {
    let (here, there) = (Context::new().unwrap(), Context::new().unwrap());
    let (stream, other) = (Push::new(&here), Pull::new(&here));
    let (reader, to_other) = (Pull::new(&there), Push::new(&there));
    stream.connect(reader.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    to_other.connect(other.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let (is_over, streamed) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let stops = Stops(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                reader.recv_timeout(LONG).unwrap();
                streamed.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _is_full = stream.try_send("one more");
            }
            stream.send("the last").unwrap();
        });
        for _ in 0..100 {
            // Who waited leaves the seat, and does not come back to it.
            to_other.send("awaited").unwrap();
            assert_eq!(other.recv_timeout(LONG).unwrap(), "awaited");
            let mut next = Box::pin(other.recv_async());
            let (waker, told) = told();
            assert!(poll_once(&mut next, &waker).is_pending());
            let before = streamed.load(Ordering::Relaxed);
            to_other.send("unawaited").unwrap();
            told.recv_timeout(LONG).expect("the future is woken");
            // Counted in messages of the stream, not in time: a busy machine slows both.
            let meanwhile = streamed.load(Ordering::Relaxed) - before;
            assert!(meanwhile < 5_000_000, "{meanwhile} messages of the stream came first");
            assert!(poll_once(&mut next, &waker).is_ready());
        }
        drop(stops);
    });
}

/// What is dropped unread makes room for what the peer still has, which comes within the call: there is nothing to wait for.
#[test]
fn who_may_not_wait_receives_what_its_own_call_fetches() {
    struct Asks(Sub, mpsc::Sender<Result<Message, RecvError>>);
    impl Wake for Asks {
        fn wake(self: Arc<Self>) {
            for _ in 0..2 {
                self.1.send(self.0.recv()).unwrap();
            }
        }
    }
    let context = Context::new().unwrap();
    let publisher = Pub::new(&context);
    publisher.bind("inproc://news").unwrap();
    let sub = Sub::with_options(&context, Options::default().recv_mark(1)).unwrap();
    for topic in ["unwanted", "wanted"] {
        sub.subscribe(topic).unwrap();
    }
    sub.connect("inproc://news").unwrap();
    for news in ["unwanted", "wanted"] {
        publisher.send(news).unwrap();
    }
    sub.unsubscribe("unwanted").unwrap();
    let pull = Pull::new(&context);
    let push = Push::new(&context);
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let (tell, told) = mpsc::channel();
    let waker = Arc::new(Asks(sub, tell)).into();
    let mut future = Box::pin(pull.recv_async());
    assert!(poll_once(&mut future, &waker).is_pending());

    push.send("wake it").unwrap();

    assert_eq!(told.recv_timeout(LONG).unwrap(), Ok("wanted".into()));
    assert_eq!(told.recv_timeout(LONG).unwrap(), Err(RecvError::WouldDeadlock));
}

#[test]
fn a_waker_that_panics_or_blocks_leaves_the_loop_usable() {
    struct Bad(Push, Context);
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            let error = self.0.send("would wait on the loop's own thread").unwrap_err();
            assert_eq!(error.reason, NotSent::WouldDeadlock);
            let _keep = &self.1;
            panic!("a waker that panics");
        }
    }
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let push = Push::new(&context);
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let waker = Arc::new(Bad(Push::new(&context), context.clone())).into();
    {
        let mut future = Box::pin(pull.recv_async());
        assert!(poll_once(&mut future, &waker).is_pending());
        push.send("one").unwrap();
        while pull.stats().incoming.queued == 0 {
            thread::yield_now();
        }
    }
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "one");
    push.send("two").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "two");
}

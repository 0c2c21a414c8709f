//! One thread waits for several sockets and descriptors, and is told what is ready now.
//!
//! Quiet contexts and tiny marks, as in `driving.rs`: the traffic of others would hide a wake that was lost.

mod common;

use common::{Chance, LONG, endpoint, transport_suite, until, unused, wait_connected};
use peermq::{
    Context, Dealer, Interest, NotSent, Options, Pair, PollError, Poller, Pull, Push, Ready, RecvError, Rep, Req,
};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

fn marked(context: &Context, mark: usize) -> (Push, Pull) {
    let push = Push::with_options(context, Options::default().send_mark(mark)).unwrap();
    let pull = Pull::with_options(context, Options::default().recv_mark(mark)).unwrap();
    (push, pull)
}

/// The one thing that is ready.
fn only(ready: Vec<Ready>) -> Ready {
    assert_eq!(ready.len(), 1, "{ready:?}");
    ready[0]
}

fn now(poller: &mut Poller<'_>) -> Vec<Ready> {
    poller.wait(Some(Duration::ZERO)).unwrap()
}

#[test]
fn what_was_added_is_not_added_twice_and_what_was_not_is_unknown() {
    let context = Context::new().unwrap();
    let (pull, (stream, _other)) = (Pull::new(&context), UnixStream::pair().unwrap());
    let mut poller = Poller::new();
    let key = poller.add(&pull, Interest::Readable).unwrap();
    let fd = poller.add_fd(&stream, Interest::Readable).unwrap();
    assert_eq!(poller.len(), 2);

    let twice = poller.add(&pull, Interest::Writable);
    assert!(matches!(twice, Err(PollError::Duplicate(first)) if first == key));
    let twice = poller.add_fd(&stream, Interest::Writable);
    assert!(matches!(twice, Err(PollError::Duplicate(first)) if first == fd));

    poller.remove(key).unwrap();
    poller.remove(fd).unwrap();
    assert!(matches!(poller.remove(key), Err(PollError::Unknown(unknown)) if unknown == key));
    assert!(matches!(poller.modify(fd, Interest::Both), Err(PollError::Unknown(_))));
    assert_ne!(
        poller.add(&pull, Interest::Readable).unwrap(),
        key,
        "keys are not given twice"
    );
    poller.add_fd(&stream, Interest::Readable).unwrap();
}

#[test]
fn nothing_at_all_is_waited_for_only_with_a_limit() {
    let mut poller = Poller::new();
    assert!(matches!(poller.wait(None), Err(PollError::Nothing)));
    let begin = Instant::now();
    assert!(poller.wait(Some(Duration::from_millis(5))).unwrap().is_empty());
    assert!(begin.elapsed() >= Duration::from_millis(5));
}

#[test]
fn a_plain_file_cannot_be_waited_for() {
    let file = std::fs::File::open("Cargo.toml").unwrap();
    let mut poller = Poller::new();
    let error = poller.add_fd(&file, Interest::Readable).unwrap_err();
    assert!(matches!(error, PollError::Io(_)));
    if cfg!(target_os = "linux") {
        let number = file.as_raw_fd();
        assert_eq!(
            error.to_string(),
            format!("descriptor {number} is a plain file or a folder, which cannot be waited for: it is always ready")
        );
    }
    assert!(poller.is_empty());
}

transport_suite!(
    a_socket_is_readable_until_its_last_message_is_taken,
    a_socket_is_writable_while_a_peer_has_room,
    what_closes_is_told_each_time,
);

fn a_socket_is_readable_until_its_last_message_is_taken(transport: &str) {
    let (here, there) = (Context::new().unwrap(), Context::new().unwrap());
    let there = if transport == "inproc" { &here } else { &there };
    let (push, pull) = (Push::new(there), Pull::new(&here));
    push.connect(pull.bind(&*endpoint(transport)).unwrap()).unwrap();
    let mut poller = Poller::new();
    let key = poller.add(&pull, Interest::Both).unwrap();
    for _ in 0..50 {
        assert_eq!(now(&mut poller), []);
        push.send("one").unwrap();
        push.send("two").unwrap();

        let ready = only(poller.wait(Some(LONG)).unwrap());
        assert_eq!(
            (ready.key, ready.readable, ready.writable, ready.closed),
            (key, true, false, false)
        );
        assert_eq!(pull.try_recv().unwrap(), "one");
        assert!(
            only(poller.wait(Some(LONG)).unwrap()).readable,
            "there is another, or there will be"
        );
        assert_eq!(pull.try_recv().unwrap(), "two");
    }
    assert_eq!(now(&mut poller), []);
    poller.modify(key, Interest::Writable).unwrap();
    push.send("nobody asks").unwrap();
    until("it has arrived", || pull.stats().incoming.queued == 1);
    assert_eq!(now(&mut poller), []);
    poller.modify(key, Interest::Readable).unwrap();
    assert!(only(now(&mut poller)).readable, "what was there before is told, too");
}

fn a_socket_is_writable_while_a_peer_has_room(transport: &str) {
    let context = Context::new().unwrap();
    for mark in 1..=8 {
        let (push, pull) = marked(&context, mark);
        let at = unused(transport);
        let mut poller = Poller::new();
        let key = poller.add(&push, Interest::Both).unwrap();
        assert_eq!(now(&mut poller), [], "there is no peer");
        push.connect(&*at).unwrap();
        for _ in 0..mark {
            let ready = only(now(&mut poller));
            assert_eq!((ready.key, ready.readable, ready.writable), (key, false, true));
            push.try_send("waits").unwrap();
        }
        assert_eq!(now(&mut poller), []);
        assert_eq!(push.try_send("no").unwrap_err().reason, NotSent::WouldBlock);

        pull.bind(&*at).unwrap();

        assert!(only(poller.wait(Some(LONG)).unwrap()).writable);
        push.try_send("there is room again").unwrap();
    }
}

fn what_closes_is_told_each_time(transport: &str) {
    let context = Context::new().unwrap();
    let (push, pull) = marked(&context, 1);
    push.connect(pull.bind(&*endpoint(transport)).unwrap()).unwrap();
    let mut poller = Poller::new();
    let key = poller.add(&pull, Interest::Readable).unwrap();
    assert_eq!(now(&mut poller), []);
    thread::scope(|scope| {
        scope.spawn(|| pull.close().unwrap());
        let ready = only(poller.wait(Some(LONG)).unwrap());
        assert_eq!((ready.key, ready.closed, ready.readable), (key, true, false));
    });
    drop(pull);
    assert!(only(poller.wait(None).unwrap()).closed, "also once it is gone");
    poller.remove(key).unwrap();
    poller.add(&push, Interest::Readable).unwrap();
    drop(context);
    assert!(only(poller.wait(Some(LONG)).unwrap()).closed, "its context is over");
}

#[test]
fn a_wait_tells_all_that_is_ready_in_the_order_in_which_it_was_added() {
    let (one, two) = (Context::new().unwrap(), Context::new().unwrap());
    let pairs: Vec<_> = [&one, &two, &one, &two].map(|context| marked(context, 10)).into();
    let mut poller = Poller::new();
    let keys: Vec<_> = pairs
        .iter()
        .map(|(_, pull)| poller.add(pull, Interest::Readable).unwrap())
        .collect();
    for (push, pull) in &pairs {
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    }
    for n in [3, 1, 2] {
        pairs[n].0.send("hello").unwrap();
        until("it has arrived", || pairs[n].1.stats().incoming.queued == 1);
    }
    let found: Vec<_> = poller.wait(Some(LONG)).unwrap().iter().map(|ready| ready.key).collect();
    assert_eq!(found, keys[1..]);
}

#[test]
fn descriptors_are_told_as_long_as_they_are_ready() {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let other = ours.try_clone().unwrap();
    let mut poller = Poller::new();
    let key = poller.add_fd(&other, Interest::Readable).unwrap();
    for _ in 0..3 {
        assert_eq!(now(&mut poller), []);
        theirs.write_all(b"ab").unwrap();
        for left in [2, 1] {
            for _ in 0..3 {
                let ready = only(poller.wait(Some(LONG)).unwrap());
                assert_eq!(
                    (ready.key, ready.readable, ready.closed),
                    (key, true, false),
                    "{left} left"
                );
            }
            ours.read_exact(&mut [0]).unwrap();
        }
    }
    poller.modify(key, Interest::Both).unwrap();
    let ready = only(poller.wait(None).unwrap());
    assert_eq!((ready.readable, ready.writable), (false, true));
    poller.modify(key, Interest::Readable).unwrap();
    assert_eq!(now(&mut poller), []);
    drop(theirs);
    for _ in 0..3 {
        let ready = only(poller.wait(None).unwrap());
        assert_eq!((ready.readable, ready.closed), (true, true));
    }
}

#[test]
fn sockets_and_descriptors_are_waited_for_together() {
    let (here, there) = (Context::new().unwrap(), Context::new().unwrap());
    let (push, pull) = (Push::new(&there), Pull::new(&here));
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let watched = ours.try_clone().unwrap();
    let mut poller = Poller::new();
    let socket = poller.add(&pull, Interest::Readable).unwrap();
    let fd = poller.add_fd(&watched, Interest::Readable).unwrap();
    let (tell, told) = mpsc::channel();
    let seed = 5;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    thread::scope(|scope| {
        scope.spawn(move || {
            for is_socket in told {
                if is_socket {
                    push.send("x").unwrap();
                } else {
                    theirs.write_all(b"x").unwrap();
                }
            }
        });
        for _ in 0..300 {
            let is_socket = chance.below(2) == 0;
            tell.send(is_socket).unwrap();
            // One at a time: nothing else goes on that could wake who should be woken.
            let ready = only(poller.wait(Some(LONG)).unwrap());
            assert_eq!(ready.key, if is_socket { socket } else { fd });
            if is_socket {
                assert_eq!(pull.try_recv().unwrap(), "x");
            } else {
                ours.read_exact(&mut [0]).unwrap();
            }
        }
        drop(tell);
    });
}

#[test]
fn short_waits_are_honoured_with_and_without_descriptors() {
    const TRIES: usize = 1000;
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let (stream, _other) = UnixStream::pair().unwrap();
    let mut poller = Poller::new();
    poller.add(&pull, Interest::Readable).unwrap();
    for has_descriptor in [false, true] {
        if has_descriptor {
            poller.add_fd(&stream, Interest::Readable).unwrap();
        }
        for micros in [0, 1, 10, 100, 999, 1_000, 1_001, 2_500] {
            let limit = Duration::from_micros(micros);
            // Once is enough: whoever is woken in time may still wait for a core, where other tests have them all.
            let mut waits = (0..TRIES).map(|_| {
                let begin = Instant::now();
                assert_eq!(poller.wait(Some(limit)).unwrap(), []);
                let took = begin.elapsed();
                assert!(took >= limit, "{micros} us took {took:?}");
                took
            });
            let soon = limit + Duration::from_micros(900);
            assert!(waits.any(|took| took < soon), "{micros} us took longer {TRIES} times");
        }
    }
    assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), []);
}

#[test]
fn who_waits_on_the_loops_own_thread_is_told_so() {
    type Found = Result<Vec<Ready>, PollError>;
    struct Waits(Mutex<(Poller<'static>, mpsc::Sender<[Found; 2]>)>);
    impl Wake for Waits {
        fn wake(self: Arc<Self>) {
            let (poller, found) = &mut *self.0.lock().unwrap();
            let all = [poller.wait(Some(Duration::ZERO)), poller.wait(None)];
            found.send(all).unwrap();
        }
    }
    let context = Context::new().unwrap();
    let (idle, pull, push) = (Pull::new(&context), Pull::new(&context), Push::new(&context));
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let stream: &'static (UnixStream, UnixStream) = Box::leak(Box::new(UnixStream::pair().unwrap()));
    for has_descriptor in [false, true] {
        let mut poller = Poller::new();
        poller.add(&idle, Interest::Readable).unwrap();
        if has_descriptor {
            poller.add_fd(&stream.0, Interest::Readable).unwrap();
        }
        let (tell, told) = mpsc::channel();
        let waker = Waker::from(Arc::new(Waits(Mutex::new((poller, tell)))));
        let mut next = Box::pin(pull.recv_async());
        let mut task = std::task::Context::from_waker(&waker);
        assert!(next.as_mut().poll(&mut task).is_pending());
        push.send("from the loop").unwrap();
        let [at_once, waiting] = told.recv_timeout(LONG).unwrap();
        assert_eq!(at_once.unwrap(), []);
        assert!(matches!(waiting, Err(PollError::WouldDeadlock)), "{waiting:?}");
        drop(next);
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "from the loop");
    }
}

#[test]
fn who_waits_by_a_poller_loses_no_wake_at_any_mark() {
    for mark in 1..=8 {
        for (contexts, has_descriptor) in [(1, false), (2, false), (2, true)] {
            let all: Vec<Context> = (0..4).map(|_| Context::new().unwrap()).collect();
            let pair = |n: usize| Pair::with_options(&all[n], Options::default().mark(mark)).unwrap();
            let (a, b) = (pair(0), pair(1));
            a.connect(b.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
            // Sockets on which nothing happens, of another context.
            let idle = Pull::new(&all[2]);
            let (stream, _other) = UnixStream::pair().unwrap();
            thread::scope(|scope| {
                for (mine, pair) in [&a, &b].into_iter().enumerate() {
                    let (idle, stream) = (&idle, &stream);
                    scope.spawn(move || {
                        let mut poller = Poller::new();
                        if contexts == 2 {
                            // First, so that it is not the other's loop that is driven.
                            poller.add(idle, Interest::Readable).unwrap();
                        }
                        if has_descriptor {
                            poller.add_fd(stream, Interest::Readable).unwrap();
                        }
                        let key = poller.add(pair, Interest::Both).unwrap();
                        let (mut sent, mut received) = (0_u32, 0_u32);
                        while sent < 2_000 || received < 2_000 {
                            let wants = if sent < 2_000 {
                                Interest::Both
                            } else {
                                Interest::Readable
                            };
                            poller.modify(key, wants).unwrap();
                            let ready = poller.wait(Some(LONG)).unwrap();
                            assert!(
                                !ready.is_empty(),
                                "{mine}, mark {mark}: {sent} sent, {received} received"
                            );
                            // All that there is: nobody will tell again.
                            while sent < 2_000 && pair.try_send(&sent.to_le_bytes()).is_ok() {
                                sent += 1;
                            }
                            while let Ok(message) = pair.try_recv() {
                                assert_eq!(message, received.to_le_bytes());
                                received += 1;
                            }
                        }
                    });
                }
            });
        }
    }
}

#[test]
fn several_pollers_of_one_socket_are_all_woken() {
    let context = Context::new().unwrap();
    let (push, pull) = marked(&context, 10);
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    for _ in 0..50 {
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let mut poller = Poller::new();
                    poller.add(&pull, Interest::Readable).unwrap();
                    scope.spawn(move || only(poller.wait(Some(LONG)).unwrap()).readable)
                })
                .collect();
            push.send("for whoever is first").unwrap();
            assert!(waiting.into_iter().all(|waiting| waiting.join().unwrap()));
        });
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "for whoever is first");
    }
}

#[test]
fn requests_and_replies_are_waited_for_too() {
    let context = Context::new().unwrap();
    let (req, rep, dealer) = (Req::new(&context), Rep::new(&context), Dealer::new(&context));
    let mut poller = Poller::new();
    let asking = poller.add(&req, Interest::Writable).unwrap();
    let asked = poller.add(&rep, Interest::Readable).unwrap();
    let answered = poller.add(&dealer, Interest::Readable).unwrap();
    assert_eq!(now(&mut poller), []);
    let at = rep.bind("tcp://127.0.0.1:0").unwrap();
    req.connect(at.clone()).unwrap();
    assert_eq!(only(now(&mut poller)).key, asking);
    poller.remove(asking).unwrap();
    dealer.connect(at).unwrap();
    dealer.send(["", "hello?"]).unwrap();
    assert_eq!(only(poller.wait(Some(LONG)).unwrap()).key, asked);
    rep.try_recv().unwrap().reply("hello!").unwrap();
    assert_eq!(only(poller.wait(Some(LONG)).unwrap()).key, answered);
    assert_eq!(dealer.try_recv().unwrap().frame(1), Some(&b"hello!"[..]));
}

/// Whether a descriptor is readable within this time, as a loop of somebody else's sees it.
fn is_readable(descriptor: &impl AsFd, within: Duration) -> bool {
    let mut poller = Poller::new();
    poller.add_fd(descriptor, Interest::Readable).unwrap();
    !poller.wait(Some(within)).unwrap().is_empty()
}

#[test]
fn a_descriptor_is_readable_while_its_socket_is() {
    let context = Context::new().unwrap();
    let (push, pull) = marked(&context, 10);
    push.connect(pull.bind("inproc://descriptor").unwrap()).unwrap();
    push.send("before").unwrap();
    let pollable = pull.pollable().unwrap();
    assert_eq!(
        pollable.as_raw_fd(),
        pull.pollable().unwrap().as_raw_fd(),
        "it is made once"
    );
    for _ in 0..50 {
        assert!(is_readable(&pollable, Duration::ZERO));
        push.send("more").unwrap();
        assert!(is_readable(&pollable, Duration::ZERO));
        pull.try_recv().unwrap();
        assert!(is_readable(&pollable, Duration::ZERO), "there is another");
        pull.try_recv().unwrap();
        assert!(!is_readable(&pollable, Duration::ZERO));
        assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
        assert!(!is_readable(&pollable, Duration::ZERO));
        push.send("again").unwrap();
    }
    pull.close().unwrap();
    assert!(is_readable(&pollable, Duration::ZERO), "it is closed");
    drop((pull, context));
    assert!(is_readable(&pollable, Duration::ZERO), "it is gone");
}

#[test]
fn a_descriptor_of_a_socket_that_only_sends_is_readable_while_there_is_room() {
    let context = Context::new().unwrap();
    let (push, pull) = marked(&context, 1);
    let pollable = push.pollable().unwrap();
    assert!(!is_readable(&pollable, Duration::ZERO), "nobody is there");
    push.connect(pull.bind("inproc://room").unwrap()).unwrap();
    for _ in 0..20 {
        assert!(is_readable(&pollable, Duration::ZERO));
        while push.try_send("more").is_ok() {}
        assert!(!is_readable(&pollable, Duration::ZERO));
        while pull.try_recv().is_ok() {}
    }
}

#[test]
fn a_loop_of_somebody_elses_loses_no_message_whatever_it_waits_with() {
    for mark in [1, 2, 8] {
        let (here, there) = (Context::new().unwrap(), Context::new().unwrap());
        let (push, pull) = (marked(&there, mark).0, marked(&here, mark).1);
        let monitor = push.monitor();
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        wait_connected(&monitor);
        let (readable, writable) = (pull.pollable().unwrap(), push.pollable().unwrap());
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut poller = Poller::new();
                poller.add_fd(&writable, Interest::Readable).unwrap();
                for n in 0..3_000_u32 {
                    while push.try_send(&n.to_le_bytes()).is_err() {
                        assert!(!poller.wait(Some(LONG)).unwrap().is_empty(), "mark {mark}: {n} sent");
                    }
                }
            });
            let mut poller = Poller::new();
            poller.add_fd(&readable, Interest::Readable).unwrap();
            for n in 0..3_000_u32 {
                let message = loop {
                    match pull.try_recv() {
                        Ok(message) => break message,
                        Err(_) => assert!(
                            !poller.wait(Some(LONG)).unwrap().is_empty(),
                            "mark {mark}: {n} received"
                        ),
                    }
                };
                assert_eq!(message, n.to_le_bytes());
            }
        });
    }
}

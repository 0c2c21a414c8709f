//! What is promised when a process dies, and when a socket closes while its reader is late.

mod common;

use common::{Chance, LONG, endpoint, hello, wait_connected, wait_for};
use peermq::{Context, DropReason, Event, Flow, Options, Pull, Push};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Not a test of its own: the receiving process of the tests below, which writes what it receives to its output.
#[test]
fn child_that_receives() {
    let Ok(endpoint) = std::env::var("PEERMQ_TEST_RECEIVER") else {
        return;
    };
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let here = pull.bind(&endpoint).unwrap();
    println!("\nat {here}");
    while let Ok(message) = pull.recv_timeout(LONG) {
        println!("got {}", message.to_str().unwrap());
    }
}

struct Receiver {
    child: Child,
    lines: mpsc::Receiver<String>,
    endpoint: String,
}

impl Receiver {
    fn start(endpoint: &str) -> Receiver {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_receives", "--nocapture", "--test-threads=1"])
            .env("PEERMQ_TEST_RECEIVER", endpoint)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let endpoint = loop {
            let line = output.next().unwrap().unwrap();
            if let Some(endpoint) = line.strip_prefix("at ") {
                break endpoint.to_owned();
            }
        };
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                if let Some(number) = line.strip_prefix("got ") {
                    let _gone = sender.send(number.to_owned());
                }
            }
        });
        Receiver { child, lines, endpoint }
    }

    fn next(&self) -> u64 {
        self.lines.recv_timeout(LONG).unwrap().parse().unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[test]
fn a_receiver_that_is_killed_and_restarted_gets_the_rest_in_order_and_nothing_twice() {
    let mut receiver = Receiver::start("tcp://127.0.0.1:0");
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(100));
    let push = Push::with_options(&context, quick).unwrap();
    let monitor = push.monitor();
    push.connect(&receiver.endpoint).unwrap();
    wait_connected(&monitor);

    let (mut before, mut sent) = (Vec::new(), 0u64);
    for _ in 0..2_000 {
        push.send(sent.to_string()).unwrap();
        sent += 1;
    }
    while before.len() < 500 {
        before.push(receiver.next());
    }
    receiver.child.kill().unwrap();
    receiver.child.wait().unwrap();
    let event = wait_for!(monitor, Disconnected);
    let Event::Disconnected { written, .. } = event else {
        unreachable!()
    };
    before.extend(receiver.lines.iter().map(|number| number.parse::<u64>().unwrap()));
    // The mark is 1,000: these wait for the receiver to come back.
    for _ in 0..200 {
        push.send(sent.to_string()).unwrap();
        sent += 1;
    }

    let endpoint = receiver.endpoint.clone();
    receiver = Receiver::start(&endpoint);

    let mut after = vec![receiver.next()];
    while *after.last().unwrap() != sent - 1 {
        after.push(receiver.next());
    }
    assert!(before.is_sorted() && after.is_sorted());
    let all: BTreeSet<u64> = before.iter().chain(&after).copied().collect();
    assert_eq!(all.len(), before.len() + after.len(), "nothing twice");
    assert_eq!(
        after.len() as u64,
        sent - written,
        "what was not written arrives, all of it"
    );
    assert!(before.len() as u64 <= written, "what is missing was written");
}

#[test]
fn a_receiver_that_comes_later_gets_what_waited() {
    // A port that is free now, and that nobody else asks for by number.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("tcp://127.0.0.1:{port}");
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(100));
    let push = Push::with_options(&context, quick).unwrap();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    push.send("7").unwrap();
    wait_for!(monitor, RetryingIn);
    let receiver = Receiver::start(&endpoint);
    assert_eq!(receiver.next(), 7);
}

fn read_frame(stream: &mut impl Read) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let len = if head[0] & 2 == 0 {
        usize::from(head[1])
    } else {
        let mut rest = [0; 7];
        stream.read_exact(&mut rest).unwrap();
        let mut len = [head[1]; 8];
        len[1..].copy_from_slice(&rest);
        u64::from_be_bytes(len) as usize
    };
    let mut body = vec![0; len];
    stream.read_exact(&mut body).unwrap();
    body
}

/// A reader that does not read, and PINGs meanwhile: a careless close would reset the connection and lose the queue.
#[test]
fn close_is_confirmed_by_a_reader_that_is_late_and_pings_meanwhile() {
    let seed = 7;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().send_mark(10_000).linger(LONG)).unwrap();
    push.connect(&endpoint).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&hello("PULL")).unwrap();
    for number in 0..10_000u32 {
        let mut body = vec![chance.next() as u8; 1024];
        body[..4].copy_from_slice(&number.to_be_bytes());
        push.send(body).unwrap();
    }
    let (all_is_queued, begin) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for _ in 0..50 {
            stream.write_all(b"\x04\x07\x04PING\x00\x00").unwrap();
        }
        begin.recv().unwrap();
        for _ in 0..50 {
            let _shut = stream.write_all(b"\x04\x07\x04PING\x00\x00");
        }
        let mut input = BufReader::new(stream);
        let mut greeting = [0; 64];
        input.read_exact(&mut greeting).unwrap();
        let mut next = 0;
        while next < 10_000 {
            let body = read_frame(&mut input);
            if body.len() == 1024 {
                assert_eq!(body[..4], u32::to_be_bytes(next));
                next += 1;
            }
        }
        let mut rest = Vec::new();
        input.read_to_end(&mut rest).unwrap();
    });
    all_is_queued.send(()).unwrap();
    let report = push.close().unwrap();
    reader.join().unwrap();
    assert!(report.is_confirmed(), "{report:?}");
    assert_eq!(report.written(), 10_000);
}

#[test]
fn the_last_handle_of_a_context_ends_its_sockets_and_reports() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().linger(Duration::from_millis(20))).unwrap();
    push.connect("tcp://127.0.0.1:1").unwrap();
    push.send("for nobody").unwrap();
    let report = context.shutdown();
    assert_eq!(report.sockets.len(), 1);
    assert_eq!(report.sockets[0].dropped(), 1);
    assert_eq!(context.shutdown().sockets.len(), 0);
    assert!(push.send("late").is_err());
    let late = Pull::new(&context);
    assert!(late.bind("tcp://127.0.0.1:0").is_err());
    late.close().unwrap();
}

#[test]
fn a_waker_that_panics_or_blocks_leaves_the_loop_usable() {
    struct Bad(Push, Context);
    impl std::task::Wake for Bad {
        fn wake(self: std::sync::Arc<Self>) {
            let error = self.0.send("would wait on the loop's own thread").unwrap_err();
            assert_eq!(error.reason, peermq::NotSent::WouldDeadlock);
            let _keep = &self.1;
            panic!("a waker that panics");
        }
    }
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    let push = Push::new(&context);
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    let waker = std::sync::Arc::new(Bad(Push::new(&context), context.clone())).into();
    {
        let mut future = std::pin::pin!(pull.recv_async());
        assert!(
            future
                .as_mut()
                .poll(&mut std::task::Context::from_waker(&waker))
                .is_pending()
        );
        push.send("one").unwrap();
        while pull.stats().incoming.queued == 0 {
            std::thread::yield_now();
        }
    }
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "one");
    push.send("two").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "two");
}

/// A batch that was wholly written, and not told as such when its connection ended, was in no count.
#[test]
fn the_law_holds_when_a_peer_goes_in_the_middle_of_a_flood() {
    let seed = 11;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let context = Context::new().unwrap();
    let quick = Options::default()
        .reconnect(Duration::from_millis(1), Duration::from_millis(2))
        .linger(Duration::ZERO);
    let push = Push::with_options(&context, quick).unwrap();
    push.connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| while push.send(&[7; 900]).is_ok() {});
        for _ in 0..60 {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&hello("PULL")).unwrap();
            let mut some = vec![0; 1 + chance.below(3_000_000) as usize];
            let _cut = stream.read_exact(&mut some);
            drop(stream);
            let stats = push.stats();
            assert!(stats.out.is_conserved(), "{:?}", stats.out);
        }
        push.close().unwrap();
    });
    let stats = push.stats();
    assert!(stats.out.is_conserved(), "{:?}", stats.out);
}

#[test]
fn a_monitor_of_a_closed_socket_says_so() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    pull.close().unwrap();
    assert_eq!(pull.monitor().recv(), Err(peermq::RecvError::Closed));
}

#[test]
fn sockets_that_close_while_their_context_ends_are_done_at_once() {
    for _ in 0..300 {
        let context = Context::new().unwrap();
        let other = context.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || other.shutdown());
            for _ in 0..3 {
                let pull = Pull::new(&context);
                let push = Push::with_options(&context, Options::default().linger(Duration::MAX)).unwrap();
                let _refused = push.connect("tcp://127.0.0.1:1");
                let _refused = pull.connect("inproc://nobody");
                pull.close().unwrap();
                push.close().unwrap();
            }
        });
    }
}

#[test]
fn a_context_may_end_with_its_thread() {
    thread_local! {
        static MINE: std::cell::RefCell<Option<(Context, Pull)>> = const { std::cell::RefCell::new(None) };
    }
    std::thread::spawn(|| {
        let context = Context::new().unwrap();
        let pull = Pull::new(&context);
        assert!(pull.recv_timeout(Duration::from_millis(1)).is_err());
        MINE.set(Some((context, pull)));
    })
    .join()
    .unwrap();
}

#[test]
fn a_peer_that_is_on_its_way_out_takes_no_new_messages() {
    for transport in ["tcp", "ipc", "inproc"] {
        let nobody = match transport {
            "tcp" => "tcp://127.0.0.1:1".into(),
            _ => endpoint(transport),
        };
        let context = Context::new().unwrap();
        let push = Push::with_options(&context, Options::default().linger(Duration::from_millis(500))).unwrap();
        push.connect(&nobody).unwrap();
        push.send("waits for the one that is not there").unwrap();
        let pull = Pull::new(&context);
        let monitor = push.monitor();
        push.connect(pull.bind(endpoint(transport)).unwrap()).unwrap();
        wait_connected(&monitor);

        push.disconnect(&nobody).unwrap();

        for number in 0..10 {
            push.send(number.to_string()).unwrap();
            assert_eq!(
                pull.recv_timeout(LONG).unwrap(),
                number.to_string().as_str(),
                "{transport}"
            );
        }
    }
}

/// How the end of a link is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Disconnect,
    UnbindAndClose,
}

/// Over inproc, with five messages for a reader that has room for one; the socket that sends has been told to end the link.
fn ended_with_a_queue(context: &Context, how: Ending, linger: Duration) -> (Push, peermq::Monitor, Pull, String) {
    let push = Push::with_options(context, Options::default().send_mark(10).linger(linger)).unwrap();
    let pull = Pull::with_options(context, Options::default().recv_mark(1)).unwrap();
    let monitor = push.monitor();
    let name = endpoint("inproc");
    match how {
        Ending::Disconnect => {
            pull.bind(&name).unwrap();
            push.connect(&name).unwrap();
        }
        Ending::UnbindAndClose => {
            push.bind(&name).unwrap();
            pull.connect(&name).unwrap();
        }
    }
    for number in 0..5 {
        push.send(number.to_string()).unwrap();
    }
    match how {
        Ending::Disconnect => push.disconnect(&name).unwrap(),
        Ending::UnbindAndClose => push.unbind_and_close(&name).unwrap(),
    }
    (push, monitor, pull, name)
}

#[test]
fn an_inproc_link_that_is_to_end_moves_what_is_queued_first() {
    for how in [Ending::Disconnect, Ending::UnbindAndClose] {
        let context = Context::new().unwrap();

        let (push, monitor, pull, name) = ended_with_a_queue(&context, how, LONG);

        let refused = push.try_send("too late").unwrap_err();
        assert_eq!(refused.reason, peermq::NotSent::WouldBlock, "{how:?}");
        assert!(push.disconnect(&name).is_err(), "it is ending already");
        for number in 0..5 {
            assert_eq!(pull.recv_timeout(LONG).unwrap(), number.to_string().as_str(), "{how:?}");
        }
        wait_for!(monitor, Disconnected);
        let out = push.stats().out;
        assert_eq!((out.passed, out.dropped.total(), out.queued), (5, 0, 0), "{how:?}");
        if how == Ending::UnbindAndClose {
            // The one that dialed waits for the name again.
            push.bind(&name).unwrap();
            push.send("again").unwrap();
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "again");
        }
    }
}

#[test]
fn an_inproc_link_lingers_no_longer_than_it_may() {
    for how in [Ending::Disconnect, Ending::UnbindAndClose] {
        for linger in [Duration::ZERO, Duration::from_millis(20)] {
            let context = Context::new().unwrap();

            let (push, monitor, pull, _) = ended_with_a_queue(&context, how, linger);

            wait_for!(monitor, Disconnected);
            push.close().unwrap();
            let out = push.stats().out;
            assert!(out.is_conserved(), "{how:?} {out:?}");
            assert_eq!((out.passed, out.dropped.total()), (1, 4), "{how:?} {linger:?}");
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "0");
            assert_eq!(pull.try_recv(), Err(peermq::RecvError::WouldBlock));
        }
    }
}

#[test]
fn what_waits_for_a_name_lingers_too() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().linger(LONG)).unwrap();
    let monitor = push.monitor();
    let name = endpoint("inproc");
    push.connect(&name).unwrap();
    push.send("one").unwrap();
    push.send("two").unwrap();

    push.disconnect(&name).unwrap();

    assert!(push.disconnect(&name).is_err(), "it is ending already");
    assert!(push.try_send("too late").is_err());
    let pull = Pull::new(&context);
    pull.bind(&name).unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "one");
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "two");
    wait_for!(monitor, Disconnected);
    assert_eq!(push.stats().peers.len(), 0);
}

/// An endpoint at which nobody is, and somebody can be later.
fn unused(transport: &str) -> String {
    match transport {
        "tcp" => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            format!("tcp://{}", listener.local_addr().unwrap())
        }
        _ => endpoint(transport),
    }
}

#[test]
fn what_waits_for_somebody_to_bind_outlives_its_socket() {
    for transport in ["tcp", "ipc", "inproc"] {
        let context = Context::new().unwrap();
        let quick = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(100));
        let push = Push::with_options(&context, quick.linger(LONG)).unwrap();
        let monitor = push.monitor();
        let there = unused(transport);
        push.connect(&there).unwrap();
        push.send("one").unwrap();
        push.send("two").unwrap();
        push.bind(endpoint(transport)).unwrap();

        let report = std::thread::scope(|scope| {
            let closing = scope.spawn(|| push.close().unwrap());
            // All that it would drop at once is dropped by now.
            wait_for!(monitor, Unbound);
            let pull = Pull::new(&context);
            pull.bind(&there).unwrap();
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "one", "{transport}");
            assert_eq!(pull.recv_timeout(LONG).unwrap(), "two", "{transport}");
            closing.join().unwrap()
        });

        assert!(report.is_confirmed(), "{transport}: {report:?}");
        assert_eq!(report.written(), 2, "{transport}");
        wait_for!(monitor, Disconnected);
    }
}

#[test]
fn what_waits_for_somebody_to_bind_waits_no_longer_than_it_may() {
    for transport in ["tcp", "ipc", "inproc"] {
        for linger in [Duration::ZERO, Duration::from_millis(20)] {
            let context = Context::new().unwrap();
            let push = Push::with_options(&context, Options::default().linger(linger)).unwrap();
            push.connect(unused(transport)).unwrap();
            push.send("for nobody").unwrap();

            let report = push.close().unwrap();

            assert_eq!(report.peers.len(), 1, "{transport} {linger:?}");
            assert_eq!(report.peers[0].dropped.of(DropReason::Linger), 1, "{report:?}");
        }
    }
}

#[test]
fn what_waits_for_an_endpoint_that_is_given_up_is_dropped_when_its_linger_time_is_over() {
    for transport in ["tcp", "ipc", "inproc"] {
        for linger in [Duration::ZERO, Duration::from_millis(20)] {
            let context = Context::new().unwrap();
            let push = Push::with_options(&context, Options::default().linger(linger)).unwrap();
            let there = unused(transport);
            push.connect(&there).unwrap();
            push.send("for nobody").unwrap();

            push.disconnect(&there).unwrap();

            let out = when_nothing_is_queued(&push);
            assert_eq!(out.dropped.of(DropReason::Linger), 1, "{transport} {linger:?} {out:?}");
        }
    }
}

/// A socket that has sent so much to a reader that takes nothing, and the endpoint that is between them.
fn before_a_slow_reader(context: &Context, transport: &str, how: Ending, linger: Duration) -> (Push, Pull, String) {
    let small = Options::default().send_buffer(4096).recv_buffer(4096);
    let push = Push::with_options(context, small.clone().linger(linger)).unwrap();
    let pull = Pull::with_options(context, small.recv_mark(1)).unwrap();
    let monitor = push.monitor();
    let here = match how {
        Ending::Disconnect => pull.bind(endpoint(transport)).unwrap(),
        Ending::UnbindAndClose => push.bind(endpoint(transport)).unwrap(),
    };
    match how {
        Ending::Disconnect => push.connect(&here).unwrap(),
        Ending::UnbindAndClose => pull.connect(&here).unwrap(),
    }
    wait_connected(&monitor);
    for _ in 0..TO_A_SLOW_READER {
        push.send(&[7; 64 * 1024]).unwrap();
    }
    (push, pull, here.to_string())
}

const TO_A_SLOW_READER: u64 = 100;

#[test]
fn what_a_slow_reader_has_not_taken_is_dropped_when_its_linger_time_is_over() {
    for transport in ["tcp", "ipc", "inproc"] {
        for how in [Ending::Disconnect, Ending::UnbindAndClose] {
            for linger in [Duration::ZERO, Duration::from_millis(20)] {
                for is_closed in [false, true] {
                    let context = Context::new().unwrap();
                    let (push, _pull, here) = before_a_slow_reader(&context, transport, how, linger);

                    match how {
                        _ if is_closed => drop(push.close().unwrap()),
                        Ending::Disconnect => push.disconnect(&here).unwrap(),
                        Ending::UnbindAndClose => push.unbind_and_close(&here).unwrap(),
                    }

                    let out = when_nothing_is_queued(&push);
                    let dropped = out.dropped.of(DropReason::Linger);
                    let case = format!("{transport} {how:?} {linger:?} {is_closed} {out:?}");
                    assert!(dropped > 0, "{case}");
                    assert_eq!(out.passed + dropped, TO_A_SLOW_READER, "{case}");
                }
            }
        }
    }
}

#[test]
fn what_a_reader_that_goes_has_not_taken_is_not_counted_as_too_late() {
    for transport in ["tcp", "ipc"] {
        let context = Context::new().unwrap();
        let (push, pull, here) = before_a_slow_reader(&context, transport, Ending::UnbindAndClose, LONG);
        push.unbind_and_close(&here).unwrap();

        drop(pull);

        let out = when_nothing_is_queued(&push);
        let dropped = out.dropped.of(DropReason::PeerLost);
        assert!(dropped > 0, "{transport} {out:?}");
        assert_eq!(out.passed + dropped, TO_A_SLOW_READER, "{transport} {out:?}");
    }
}

fn when_nothing_is_queued(push: &Push) -> Flow {
    loop {
        let out = push.stats().out;
        if out.queued == 0 {
            return out;
        }
        std::thread::yield_now();
    }
}

/// Whoever could bind the name closes too.
#[test]
fn nobody_waits_for_a_name_when_the_context_ends() {
    let context = Context::new().unwrap();
    let for_ever = Options::default().linger(Duration::MAX);
    let [open, closing] = [(); 2].map(|()| {
        let push = Push::with_options(&context, for_ever.clone()).unwrap();
        push.connect(endpoint("inproc")).unwrap();
        push.send("for nobody").unwrap();
        push
    });
    let monitor = closing.monitor();
    closing.bind(endpoint("inproc")).unwrap();
    std::thread::scope(|scope| {
        let close = scope.spawn(|| closing.close().unwrap());
        wait_for!(monitor, Unbound);

        let report = context.shutdown();

        assert_eq!(report.unfinished, 0);
        assert_eq!(close.join().unwrap().dropped(), 1);
    });
    assert_eq!(open.close().unwrap().dropped(), 1);
}

#[test]
fn a_link_that_is_lost_while_its_socket_closes_is_found_again() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().send_mark(4).linger(LONG)).unwrap();
    let monitor = push.monitor();
    let first = Pull::with_options(&context, Options::default().recv_mark(1)).unwrap();
    let name = endpoint("inproc");
    first.bind(&name).unwrap();
    push.connect(&name).unwrap();
    for number in 0..5 {
        push.send(number.to_string()).unwrap();
    }
    drop(push);

    first.unbind_and_close(&name).unwrap();
    wait_for!(monitor, Disconnected);
    assert_eq!(first.recv_timeout(LONG).unwrap(), "0");
    let second = Pull::new(&context);
    second.bind(&name).unwrap();

    for number in 1..5 {
        assert_eq!(second.recv_timeout(LONG).unwrap(), number.to_string().as_str());
    }
    wait_for!(monitor, Disconnected);
    assert_eq!(monitor.recv_timeout(LONG), Err(peermq::RecvError::Closed));
}

#[test]
fn a_link_that_is_lost_while_it_lingers_is_found_again() {
    let context = Context::new().unwrap();
    let (push, monitor, first, name) = ended_with_a_queue(&context, Ending::Disconnect, LONG);

    first.unbind_and_close(&name).unwrap();
    wait_for!(monitor, Disconnected);
    assert_eq!(first.recv_timeout(LONG).unwrap(), "0");
    let second = Pull::new(&context);
    second.bind(&name).unwrap();

    for number in 1..5 {
        assert_eq!(second.recv_timeout(LONG).unwrap(), number.to_string().as_str());
    }
    wait_for!(monitor, Disconnected);
    let out = push.stats().out;
    assert_eq!((out.passed, out.dropped.total(), out.queued), (5, 0, 0));
}

#[test]
fn who_binds_a_name_later_does_not_end_the_links_of_who_had_it() {
    let context = Context::new().unwrap();
    let (push, first, second) = (Push::new(&context), Pull::new(&context), Pull::new(&context));
    let name = endpoint("inproc");
    first.bind(&name).unwrap();
    push.connect(&name).unwrap();
    first.unbind(&name).unwrap();
    second.bind(&name).unwrap();

    second.unbind_and_close(&name).unwrap();

    push.send("still here").unwrap();
    assert_eq!(first.recv_timeout(LONG).unwrap(), "still here");
}

#[test]
fn nothing_is_lost_when_a_connection_is_ended_in_the_middle_of_a_flood() {
    const ALL: u64 = 20_000;
    for transport in ["tcp", "ipc", "inproc"] {
        let context = Context::new().unwrap();
        let few = Options::default().send_mark(8).recv_mark(8).linger(LONG);
        let push = Push::with_options(&context, few.clone()).unwrap();
        let monitor = push.monitor();
        let pulls = [(); 2].map(|()| Pull::with_options(&context, few.clone()).unwrap());
        let [first, _] = [0, 1].map(|at| {
            let here = push.bind(endpoint(transport)).unwrap();
            pulls[at].connect(&here).unwrap();
            wait_connected(&monitor);
            here
        });
        let got = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..ALL).for_each(|_| push.send("one of many").unwrap()));
            for pull in &pulls {
                scope.spawn(|| {
                    let mut patience = 200;
                    while got.load(Ordering::SeqCst) < ALL {
                        match pull.recv_timeout(Duration::from_millis(50)) {
                            Ok(_) => drop(got.fetch_add(1, Ordering::SeqCst)),
                            Err(_) if patience > 0 => patience -= 1,
                            Err(_) => panic!("{transport}: {got:?} of {ALL}"),
                        }
                    }
                });
            }
            while got.load(Ordering::SeqCst) < ALL / 4 {
                std::thread::yield_now();
            }
            push.unbind_and_close(&first).unwrap();
        });
        push.close().unwrap();
        let out = push.stats().out;
        assert_eq!((out.passed, out.dropped.total()), (ALL, 0), "{transport}");
    }
}

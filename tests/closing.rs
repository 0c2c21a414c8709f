//! What the end of a socket or of a context promises to what was accepted, and for how long.

mod common;

use common::{Chance, LONG, endpoint, hello, unused, wait_for};
use peermq::{Context, DropReason, Options, Pair, Pull, Push};
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

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
fn the_report_says_of_each_peer_what_became_of_its_messages() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().linger(Duration::from_millis(200))).unwrap();
    let monitor = push.monitor();
    let pull = Pull::new(&context);
    let reads = pull.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let never_comes = unused("tcp");
    push.connect(&reads).unwrap();
    push.connect(&never_comes).unwrap();
    let here = push.bind("tcp://127.0.0.1:0").unwrap().to_string();
    let mut stream = TcpStream::connect(here.trim_start_matches("tcp://")).unwrap();
    stream.write_all(&hello("PULL")).unwrap();
    let never_ends = format!("tcp://{}", stream.local_addr().unwrap());
    (0..2).for_each(|_| drop(wait_for!(monitor, Connected)));
    for number in 0..15 {
        push.send(number.to_string()).unwrap();
    }

    let report = push.close().unwrap();

    let said = |endpoint: &str| {
        let peer = report.peers.iter().find(|peer| peer.endpoint == endpoint);
        let peer = peer.unwrap_or_else(|| panic!("{endpoint} is not in {report:#?}"));
        (
            peer.confirmed,
            peer.written,
            peer.dropped.of(DropReason::Linger),
            peer.dropped.total(),
        )
    };
    assert_eq!(said(&reads), (true, 5, 0, 0));
    assert_eq!(said(&never_comes), (false, 0, 5, 5));
    assert_eq!(said(&never_ends), (false, 5, 0, 0));
    assert_eq!(report.peers.len(), 3);
    assert!(!report.is_confirmed());
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
        wait_for!(monitor, Listening);

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

/// Each end that was through let the next one in, on the stack of the one before.
#[test]
fn a_thousand_that_wait_for_one_place_take_it_in_turn() {
    let context = Context::new().unwrap();
    for n in 0..1_000_u32 {
        let one = Pair::with_options(&context, Options::default().linger(LONG)).unwrap();
        one.connect("inproc://one place").unwrap();
        one.send(&n.to_le_bytes()).unwrap();
    }
    let pair = Pair::new(&context);
    // As little as a thread of an application may have.
    let small = std::thread::Builder::new().stack_size(256 << 10);
    std::thread::scope(|scope| {
        let binding = small.spawn_scoped(scope, || pair.bind("inproc://one place").unwrap());
        binding.unwrap().join().unwrap();
    });
    for n in 0..1_000_u32 {
        assert_eq!(pair.recv_timeout(LONG).unwrap(), n.to_le_bytes());
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
fn a_monitor_of_a_closed_socket_says_so() {
    let context = Context::new().unwrap();
    let pull = Pull::new(&context);
    pull.close().unwrap();
    assert_eq!(pull.monitor().recv(), Err(peermq::RecvError::Closed));
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
fn a_report_tells_of_peers_that_had_gone_before() {
    let context = Context::new().unwrap();
    let push = Push::with_options(&context, Options::default().send_mark(20)).unwrap();
    let monitor = push.monitor();
    let here = push.bind("tcp://127.0.0.1:0").unwrap();
    let address = here.to_string();
    let mut stream = std::net::TcpStream::connect(address.strip_prefix("tcp://").unwrap()).unwrap();
    stream.write_all(&hello("PULL")).unwrap();
    wait_for!(monitor, Connected);
    // More than the kernel takes: some are still here when the reader goes.
    while push.try_send(vec![7; 1 << 20]).is_ok() {}
    drop(stream);
    wait_for!(monitor, Disconnected);
    // It is told before the peer is gone for good.
    while !push.stats().peers.is_empty() {
        std::thread::yield_now();
    }

    let report = push.close().unwrap();

    let out = push.stats().out;
    assert!(report.peers.is_empty() && !report.is_confirmed());
    assert!(report.gone_dropped.of(DropReason::PeerLost) > 0, "{report:?}");
    assert_eq!((report.gone_written, report.gone_dropped), (out.passed, out.dropped));
    assert_eq!(report.written() + report.dropped(), out.taken);
}

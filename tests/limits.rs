//! Limits for those who come: how many, from where, how fast and by which way; and what is told and counted of them.

mod common;

use common::*;
use peermq::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

fn pull(options: Options) -> (Context, Pull, Monitor, String) {
    let context = Context::new().unwrap();
    let pull = Pull::with_options(&context, options).unwrap();
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    (context, pull, monitor, here)
}

/// One that comes back at once.
fn push(context: &Context, here: &str) -> Push {
    let quick = Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(50));
    let push = Push::with_options(context, quick).unwrap();
    push.connect(format!("tcp://{here}")).unwrap();
    push
}

/// A connection from this loopback address.
fn from(host: [u8; 4], here: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((host, 0)).into()).unwrap();
    let to: SocketAddr = here.parse().unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// All that comes until the end, however that comes.
fn heard(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut said = Vec::new();
    let mut some = [0; 256];
    while let Ok(n @ 1..) = stream.read(&mut some) {
        said.extend_from_slice(&some[..n]);
    }
    said
}

fn handshaking(context: &Context) -> usize {
    context.stats().event_loop.unwrap().connections.handshaking
}

fn why(event: Event) -> (String, Failure) {
    match event {
        Event::HandshakeFailed { peer, failure, .. } => (peer, failure),
        other => panic!("{other}"),
    }
}

fn why_not(monitor: &Monitor) -> (String, Failure) {
    why(wait_for!(monitor, HandshakeFailed))
}

fn turned_away(limit: Limit, value: u64) -> Failure {
    Failure::TurnedAway {
        limit,
        value,
        observed: value + 1,
    }
}

/// T6: "10,000 connections that never speak".
#[test]
fn threat_06_silent_connections_do_not_keep_honest_clients_out() {
    const SILENT: usize = 2_000;
    const HONEST: usize = 50;
    let (context, pull, _, here) = pull(Options::default());
    let silent: Vec<_> = (0..SILENT).map(|_| TcpStream::connect(&here).unwrap()).collect();
    let away = || usize::try_from(pull.stats().turned_away.by(Limit::PendingHandshakes)).unwrap();
    until("all have come", || away() == SILENT - 1_024);
    assert_eq!(handshaking(&context), 1_024);

    let theirs = Context::new().unwrap();
    let honest: Vec<_> = (0..HONEST).map(|_| push(&theirs, &here)).collect();
    for push in &honest {
        push.send("honest").unwrap();
    }

    for _ in 0..HONEST {
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "honest");
    }
    assert_eq!(pull.stats().peers.len(), HONEST);
    assert!(
        handshaking(&context) < 1_024,
        "who came in took the place of who is silent"
    );
    drop(silent);
}

#[test]
fn threat_06_the_oldest_handshake_ends_for_the_newest() {
    let (context, pull, monitor, here) = pull(Options::default().max_pending_handshakes(3));
    let mut silent = Vec::new();
    for n in 1..=3 {
        silent.push(TcpStream::connect(&here).unwrap());
        until("it is in its handshake", || handshaking(&context) == n);
    }
    // Who is through does not count, though it is older than those that come.
    silent[1].write_all(&hello("PUSH")).unwrap();
    wait_connected(&monitor);
    silent.push(TcpStream::connect(&here).unwrap());
    until("it is in its handshake", || handshaking(&context) == 3);

    for oldest in [0, 2, 3] {
        silent.push(TcpStream::connect(&here).unwrap());
        let (peer, failure) = why(wait_for!(monitor, HandshakeFailed));
        assert_eq!(failure, turned_away(Limit::PendingHandshakes, 3));
        assert_eq!(peer, format!("tcp://{}", silent[oldest].local_addr().unwrap()));
        let end = silent[oldest].try_clone().unwrap();
        assert_eq!(heard(end).len(), 64, "our greeting, and then the end");
    }

    assert_eq!(handshaking(&context), 3);
    silent[1].write_all(b"\0\x02hi").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi");
}

#[test]
fn max_peers_turns_the_next_away_and_lets_it_in_once_one_has_gone() {
    let (context, pull, monitor, here) = pull(Options::default().max_peers(2));
    // Those that it makes itself do not count, nor those over inproc.
    let other = Push::new(&context);
    pull.connect(other.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    wait_connected(&monitor);
    let inproc = Push::new(&context);
    inproc.connect(pull.bind("inproc://beside").unwrap()).unwrap();
    wait_connected(&monitor);
    let first = push(&context, &here);
    wait_connected(&monitor);
    let silent = TcpStream::connect(&here).unwrap();
    until("it is in its handshake", || handshaking(&context) == 1);

    let third = TcpStream::connect(&here).unwrap();
    let (_, failure) = why(wait_for!(monitor, HandshakeFailed));

    assert_eq!(failure, turned_away(Limit::Peers, 2));
    assert_eq!(failure.to_string(), "turned away: 3 peers, max_peers is 2");
    assert_eq!(failure.fault(), Fault::Ours);
    assert!(heard(third).is_empty(), "it is closed without a word");
    let late = push(&context, &here);
    late.send("late").unwrap();
    wait_for!(monitor, HandshakeFailed);
    assert_eq!(pull.try_recv().unwrap_err(), RecvError::WouldBlock);

    drop(silent);
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "late");
    let counted = pull.stats();
    assert_eq!(counted.turned_away.total(), counted.turned_away.by(Limit::Peers));
    assert_eq!(
        counted.failed_handshakes,
        counted.turned_away.total() + 1,
        "and the silent one"
    );
    drop(first);
}

#[test]
fn max_peers_per_address_leaves_other_addresses_alone() {
    let (_context, pull, monitor, here) = pull(Options::default().max_peers_per_address(2));
    let come = |host: u8| {
        let mut stream = from([127, 0, 0, host], &here);
        // It may be closed already.
        let _is_written = stream.write_all(&hello("PUSH"));
        stream
    };
    let mut first: Vec<_> = (0..2).map(|_| come(1)).collect();
    wait_connected(&monitor);
    wait_connected(&monitor);

    let third = come(1);
    let (peer, failure) = why(wait_for!(monitor, HandshakeFailed));
    assert_eq!(failure, turned_away(Limit::PeersPerAddress, 2));
    assert_eq!(peer, format!("tcp://{}", third.local_addr().unwrap()));
    assert!(heard(third).is_empty(), "it is closed without a word");
    let _others: Vec<_> = (0..2).map(|_| come(2)).collect();
    wait_connected(&monitor);
    wait_connected(&monitor);
    come(2);
    wait_for!(monitor, HandshakeFailed);

    first.pop();
    wait_for!(monitor, Disconnected);
    let _next = come(1);
    wait_connected(&monitor);
    assert_eq!(pull.stats().turned_away.by(Limit::PeersPerAddress), 2);
    assert_eq!(pull.stats().peers.len(), 4);
}

#[test]
fn accept_rate_lets_everybody_in_later() {
    const MANY: usize = 20;
    let (context, pull, monitor, here) = pull(Options::default().accept_rate(50, 3));
    let all: Vec<_> = (0..MANY).map(|_| push(&context, &here)).collect();
    for push in &all {
        push.send("patient").unwrap();
    }

    for _ in 0..MANY {
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "patient");
    }

    let mut connected = 0;
    for event in monitor.try_iter() {
        match event {
            Event::Connected { .. } => connected += 1,
            Event::Listening { .. } => {}
            other => panic!("nobody is refused: {other}"),
        }
    }
    assert_eq!(connected, MANY);
    assert_eq!(pull.stats().failed_handshakes, 0);
}

/// T27.
#[test]
fn threat_27_what_was_not_told_is_said_by_the_next_of_its_kind() {
    let (_context, pull, monitor, here) = pull(Options::default());
    let banner = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(&here).unwrap();
        stream.write_all(bytes).unwrap();
        heard(stream);
    };
    let flood = || banner(b"GET / HTTP/1.1\r\n\r\n");
    (0..200).for_each(|_| flood());
    // Another kind is told at once.
    banner(&[0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 1, 0]);
    wait_until(&monitor, "another kind", |event| {
        matches!(
            event,
            Event::HandshakeFailed {
                failure: Failure::OldVersion { .. },
                suppressed: 0,
                ..
            }
        )
    });

    let suppressed = loop {
        flood();
        let mut told = monitor.try_iter().filter_map(|event| match event {
            Event::HandshakeFailed { suppressed, .. } => Some(suppressed),
            _ => None,
        });
        if let Some(suppressed) = told.find(|&suppressed| suppressed > 0) {
            break suppressed;
        }
    };
    assert!(suppressed <= pull.stats().untold_handshakes);
}

#[test]
fn threat_12_properties_are_taken_up_to_their_number() {
    let (_context, pull, monitor, here) = pull(Options::default().max_properties(4));
    let say = |count: usize| {
        let mut properties = vec![("Socket-Type", "PUSH")];
        properties.resize(count, ("X-a", "1"));
        let mut stream = TcpStream::connect(&here).unwrap();
        stream.write_all(&hello("PUSH")[..64]).unwrap();
        stream.write_all(&ready_with(&properties)).unwrap();
        stream
    };
    let _at_limit = say(4);
    wait_connected(&monitor);

    let _over = say(5);
    let (_, failure) = why(wait_for!(monitor, HandshakeFailed));
    assert_eq!(failure.to_string(), "5 properties are over the limit of 4");
    assert_eq!(failure.limit(), Some(Limit::Properties));
    until("it is counted", || pull.stats().turned_away.by(Limit::Properties) == 1);
    let text = pull.stats().to_prometheus(&[]);
    assert!(
        text.contains("peermq_turned_away_total{limit=\"max_properties\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("peermq_failed_handshakes_total 1\n"), "{text}");
}

/// Whoever has as much metadata as a socket of ours may have is let in by default.
#[test]
fn threat_12_metadata_is_taken_up_to_its_bytes() {
    let (context, _pull, monitor, here) = pull(Options::default());
    let options = Options::default().metadata("X-a", vec![b'x'; 8 * 1024 - 8]);
    let most = Push::with_options(&context, options).unwrap();
    most.connect(format!("tcp://{here}")).unwrap();
    wait_connected(&monitor);

    let narrow = Pull::with_options(&context, Options::default().max_metadata_bytes(512)).unwrap();
    let told = narrow.monitor();
    let endpoint = narrow.bind("tcp://127.0.0.1:0").unwrap();
    let ready = ready_of_ours("PUSH").len() - 2 - 6;
    for (bytes, is_in) in [(512 - ready - 8, true), (512 - ready - 7, false)] {
        let options = Options::default().metadata("X-a", vec![b'x'; bytes]);
        let push = Push::with_options(&context, options).unwrap();
        let theirs = push.monitor();
        push.connect(endpoint.clone()).unwrap();
        match is_in {
            true => wait_connected(&told),
            false => {
                let (_, failure) = why(wait_for!(told, HandshakeFailed));
                assert_eq!(failure.to_string(), "513 metadata bytes are over the limit of 512");
                wait_for!(theirs, GaveUp);
            }
        }
    }
}

/// T16.
#[test]
fn threat_16_a_topic_is_taken_up_to_its_length() {
    let context = Context::new().unwrap();
    let options = Options::default().max_topic_len(10);
    let publisher = Pub::with_options(&context, options).unwrap();
    let monitor = publisher.monitor();
    let here = address(&publisher.bind("tcp://127.0.0.1:0").unwrap());
    let command = |topic: &str| [&[4, 10 + topic.len() as u8, 9], &b"SUBSCRIBE"[..], topic.as_bytes()].concat();
    let message = |topic: &str| [&[0, 1 + topic.len() as u8, 1], topic.as_bytes()].concat();
    for (n, is_command) in [true, false].into_iter().enumerate() {
        let say = |topic| match is_command {
            true => command(topic),
            false => message(topic),
        };
        let mut stream = TcpStream::connect(&here).unwrap();
        stream.write_all(&hello("SUB")).unwrap();
        stream.write_all(&say("0123456789")).unwrap();
        until("it has subscribed", || publisher.subscribers("0123456789") == 1);
        stream.write_all(&say("0123456789a")).unwrap();

        let Event::Disconnected { failure, .. } = wait_for!(monitor, Disconnected) else {
            unreachable!("it was waited for")
        };

        assert_eq!(failure.to_string(), "11 topic bytes are over the limit of 10");
        until("the end of its subscriptions", || publisher.topics() == 0);
        assert_eq!(publisher.stats().turned_away.by(Limit::TopicLen), n as u64 + 1);
    }
    let counted = publisher.stats();
    assert_eq!(counted.ignored_commands, 1);
    assert_eq!(counted.incoming.dropped.of(DropReason::Oversubscribed), 1);
    assert!(counted.incoming.is_conserved());
    assert_eq!(counted.failed_handshakes, 0);
}

/// NULL proves nothing; where somebody comes from can be asked all the same.
#[test]
fn who_comes_from_where_nobody_may_is_closed_before_a_word() {
    let subnets = |text: &[&str]| text.iter().map(|one| one.parse().unwrap()).collect::<Vec<Subnet>>();
    let security = Null::allow_from(subnets(&["127.0.0.0/30"])).deny_from(subnets(&["127.0.0.2"]));
    let (_context, pull, monitor, here) = pull(Options::default().security(security));

    for (host, why) in [
        ([127, 0, 0, 2], "127.0.0.2 is one of the addresses that are denied"),
        ([127, 0, 0, 4], "127.0.0.4 is none of the addresses that are allowed"),
    ] {
        assert_eq!(heard(from(host, &here)), b"");
        let (peer, failure) = why_not(&monitor);
        assert!(
            peer.starts_with(&format!("tcp://{}:", std::net::Ipv4Addr::from(host))),
            "{peer}"
        );
        assert_eq!(failure.to_string(), format!("not admitted: {why}"));
    }

    let mut allowed = from([127, 0, 0, 3], &here);
    allowed.write_all(&hello("PUSH")).unwrap();
    wait_connected(&monitor);
    assert_eq!(pull.stats().failed_handshakes, 2);

    // Whom this socket connects to it has chosen; and who is in the process is trusted.
    let theirs = Context::new().unwrap();
    let push = Push::new(&theirs);
    let there = push.bind("tcp://127.0.0.4:0").unwrap();
    pull.connect(there).unwrap();
    wait_connected(&monitor);
    push.send("over tcp").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "over tcp");
}

/// An address in a datagram is whatever its sender writes there.
#[test]
fn addresses_are_not_asked_of_datagrams() {
    let context = Context::new().unwrap();
    let security = Null::deny_from(["192.0.2.0/24".parse().unwrap()]);
    let dish = Dish::with_options(&context, Options::default().security(security)).unwrap();
    let refused = dish.bind("udp://127.0.0.1:0").unwrap_err();
    assert!(refused.to_string().contains("udp has no security"), "{refused}");
}

/// T31: descriptors are exhausted by those who come, and the program needs some for itself.
#[test]
fn threat_31_descriptors_are_left_to_the_program() {
    const ALL: usize = usize::MAX;
    let (_context, pull, monitor, here) = pull(Options::default().fd_reserve(ALL));

    assert_eq!(heard(TcpStream::connect(&here).unwrap()), b"");

    let (_, failure) = why_not(&monitor);
    let limit = Limit::FdReserve;
    let Failure::TurnedAway { observed, .. } = failure else {
        panic!("{failure}")
    };
    assert!((100..1 << 40).contains(&observed), "{failure}");
    assert_eq!(
        failure.to_string(),
        format!("turned away: {observed} descriptors left, fd_reserve is {ALL}")
    );
    assert_eq!(pull.stats().turned_away.by(limit), 1);
}

/// Who sends and is not read fills a part of what there is, over each transport; another gets through all the same.
#[test]
fn all_queues_of_a_context_hold_no_more_than_it_may() {
    const LIMIT: usize = 1 << 20;
    const SIZE: usize = 1_000;
    let context = Context::with_options(ContextOptions::default().max_queued_bytes(LIMIT)).unwrap();
    let (unread, unsent) = (
        Options::default().recv_mark(usize::MAX),
        Options::default().send_mark(usize::MAX),
    );
    let pulls: Vec<Pull> = (0..3)
        .map(|_| Pull::with_options(&context, unread.clone()).unwrap())
        .collect();
    let pushes: Vec<Push> = ["tcp", "ipc", "inproc"]
        .iter()
        .zip(&pulls)
        .map(|(transport, pull)| {
            let push = Push::with_options(&context, unsent.clone()).unwrap();
            push.connect(pull.bind(endpoint(transport)).unwrap()).unwrap();
            push
        })
        .collect();
    let mut sent = [0; 3];
    let body = vec![7; SIZE];
    let held = || usize::try_from(context.stats().queued_weight()).unwrap();

    // All that fits, here and in the system.
    for _ in 0..20_000 {
        for (push, sent) in pushes.iter().zip(&mut sent) {
            *sent += usize::from(push.try_send(&body[..]).is_ok());
        }
    }

    let one_each = 6 * (SIZE + 64);
    assert!((LIMIT / 2..=LIMIT + one_each).contains(&held()), "{}", held());
    let many = Push::with_options(&context, unsent.clone()).unwrap();
    many.connect(endpoint("inproc")).unwrap();
    let taken = many.try_send_many((0..5_000).map(|_| &body[..]));
    println!("one more takes {taken:?}");
    assert!(held() <= LIMIT + one_each + SIZE + 64, "{}", held());
    let (push, pull) = (Push::new(&context), Pull::new(&context));
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    push.send_timeout("beside", LONG).unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "beside");

    for (pull, sent) in pulls.iter().zip(sent) {
        for _ in 0..sent {
            assert_eq!(pull.recv_timeout(LONG).unwrap(), body);
        }
    }
    for (push, pull) in pushes.iter().zip(&pulls) {
        push.send_timeout("after", LONG).unwrap();
        assert_eq!(pull.recv_timeout(LONG).unwrap(), "after");
    }
}

/// Who sends may be who is to receive: what it has sent is not left where it fills its own queue.
#[test]
fn a_queue_that_others_fill_is_moved_to_who_has_room() {
    const LIMIT: usize = 1 << 20;
    let context = Context::with_options(ContextOptions::default().max_queued_bytes(LIMIT)).unwrap();
    let (push, pull) = (Push::new(&context), Pull::new(&context));
    push.connect(pull.bind(endpoint("inproc")).unwrap()).unwrap();
    // A stream, that is left to be fetched.
    for n in 0..500_u32 {
        push.send(&n.to_be_bytes()[..]).unwrap();
    }
    let unsent = Options::default().send_mark(usize::MAX);
    let others: Vec<Push> = (0..5)
        .map(|_| {
            let other = Push::with_options(&context, unsent.clone()).unwrap();
            other.connect(endpoint("inproc")).unwrap();
            while other.try_send(&[7; 1_000][..]).is_ok() {}
            other
        })
        .collect();

    for n in 500..520_u32 {
        push.send_timeout(&n.to_be_bytes()[..], LONG).unwrap();
    }

    for n in 0..520_u32 {
        assert_eq!(pull.recv_timeout(LONG).unwrap(), n.to_be_bytes());
    }
    drop(others);
}

#[test]
fn a_context_that_may_queue_nothing_is_refused() {
    let refused = Context::with_options(ContextOptions::default().max_queued_bytes(0)).unwrap_err();
    assert_eq!(refused.to_string(), "max_queued_bytes must be at least 1");
    Context::with_options(ContextOptions::hardened()).unwrap();
}

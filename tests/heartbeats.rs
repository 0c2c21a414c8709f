//! Peers that are asked for a sign of life ([RFC 37](https://rfc.zeromq.org/spec/37/)), over real sockets. What takes
//! minutes is tested in the world of `src/sim`.

mod common;

use common::{LONG, address, hello, ready_of_ours, transport_suite, until, wait_connected, wait_for};
use peermq::{Context, DropReason, Event, Failure, InvalidOptions, Options, Pair, Pull, Push, Router};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A peer made of bytes, connected to a new socket with these options.
fn stranger(context: &Context, options: Options) -> (Pull, peermq::Monitor, TcpStream) {
    let pull = Pull::with_options(context, options).unwrap();
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let mut stream = TcpStream::connect(here).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(&hello("PUSH")).unwrap();
    wait_connected(&monitor);
    (pull, monitor, stream)
}

/// Reads what our socket says first.
fn skip_handshake(stream: &mut TcpStream, ready: usize) {
    stream.read_exact(&mut vec![0; 64 + ready]).unwrap();
}

fn timed_out(event: &Event) -> Option<Duration> {
    match event {
        Event::Disconnected {
            failure: Failure::TimedOut { what, limit },
            ..
        } => {
            assert_eq!(*what, "a sign of life");
            Some(*limit)
        }
        _ => None,
    }
}

/// T38, RFC 37: "When a peer receives a PING command it SHALL respond with a PONG command", and who does not is gone.
#[test]
fn t38_a_peer_that_says_nothing_is_asked_and_dropped() {
    let context = Context::new().unwrap();
    let options = Options::default().heartbeat(ms(50)).heartbeat_ttl(ms(250));
    let (_pull, monitor, mut stream) = stranger(&context, options);

    let event = wait_for!(monitor, Disconnected);

    assert_eq!(timed_out(&event), Some(ms(100)), "two intervals");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    let ping = b"\x04\x0f\x04PING\x00\x03mq:.\0\0\0\0";
    assert!(said.ends_with(ping), "{}", said.escape_ascii());
}

/// ZMTP 3.0 has no PING: beside one of 3.1 that is asked and dropped, a peer that says as little is not.
#[test]
fn a_peer_of_a_version_without_ping_is_never_asked() {
    let context = Context::new().unwrap();
    let options = Options::default().heartbeat(ms(50));
    let pull = Pull::with_options(&context, options).unwrap();
    let monitor = pull.monitor();
    let here = address(&pull.bind("tcp://127.0.0.1:0").unwrap());
    let mut of_3_0 = hello("PUSH");
    of_3_0[11] = 0;
    let [mut old, _young] = [of_3_0, hello("PUSH")].map(|hello| {
        let mut stream = TcpStream::connect(&here).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(&hello).unwrap();
        wait_connected(&monitor);
        stream
    });

    let event = wait_for!(monitor, Disconnected);

    assert!(timed_out(&event).is_some());
    let mut said = [0; 64 + 2];
    old.read_exact(&mut said).unwrap();
    old.read_exact(&mut vec![0; usize::from(said[65])]).unwrap();
    old.set_nonblocking(true).unwrap();
    let nothing = old.read(&mut [0; 64]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    old.write_all(b"\0\x05alive").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "alive");
}

/// T38, RFC 37: "the PONG ... SHALL contain the ping-context of the corresponding PING".
#[test]
fn t38_a_context_is_echoed_and_cut_at_16_bytes() {
    let context = Context::new().unwrap();
    let (_pull, _monitor, mut stream) = stranger(&context, Options::default());
    skip_handshake(&mut stream, ready_of_ours("PULL").len());
    for (ping, pong) in [
        (&b"\x04\x07\x04PING\x00\x00"[..], &b"\x04\x05\x04PONG"[..]),
        (
            b"\x04\x17\x04PING\x00\x000123456789abcdef",
            b"\x04\x15\x04PONG0123456789abcdef",
        ),
        (
            b"\x04\x18\x04PING\x00\x000123456789abcdefg",
            b"\x04\x15\x04PONG0123456789abcdef",
        ),
    ] {
        stream.write_all(ping).unwrap();
        let mut said = vec![0; pong.len()];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(said, pong);
    }
}

/// T38: the time to live of a PING, in tenths of a second, also where we do not PING at all.
#[test]
fn t38_the_time_to_live_of_a_peers_ping_is_kept() {
    let context = Context::new().unwrap();
    let (pull, monitor, mut stream) = stranger(&context, Options::default().no_heartbeat());
    let begin = Instant::now();
    stream.write_all(b"\x04\x07\x04PING\x00\x02").unwrap();
    stream.write_all(b"\x04\x07\x04PING\x00\x00").unwrap();
    stream.write_all(b"\x00\x02hi").unwrap();
    assert_eq!(pull.recv_timeout(LONG).unwrap(), "hi");
    stream.write_all(b"\x04\x07\x04PING\x00\x03").unwrap();

    let event = wait_for!(monitor, Disconnected);

    let limit = timed_out(&event).expect("it wanted to be given up");
    assert!(limit == ms(300) || limit == ms(200), "{limit:?}");
    assert!(begin.elapsed() >= limit);
}

/// T29: a peer whose window stays shut fills its queue, which is the sender's to bear, and is given up since it says nothing.
#[test]
fn threat_29_a_peer_that_never_reads_is_full_and_then_given_up() {
    const MARK: usize = 10;
    let context = Context::new().unwrap();
    let options = Options::default()
        .heartbeat(ms(50))
        .heartbeat_timeout(ms(300))
        .send_mark(MARK);
    let push = Push::with_options(&context, options).unwrap();
    let monitor = push.monitor();
    let here = address(&push.bind("tcp://127.0.0.1:0").unwrap());
    let mut stream = TcpStream::connect(here).unwrap();
    stream.write_all(&hello("PULL")).unwrap();
    wait_connected(&monitor);
    let body = vec![7; 1 << 20];
    // As much as the two kernels take, and then the mark: full until half of it is gone.
    while push.send_timeout(&body[..], ms(100)).is_ok() {}
    assert!(push.stats().out.queued > MARK as u64 / 2);

    let event = wait_for!(monitor, Disconnected);

    assert_eq!(timed_out(&event), Some(ms(300)));
    let out = push.stats().out;
    assert!(out.dropped.of(DropReason::PeerLost) > MARK as u64 / 2);
    assert!(out.queued == 0 && out.is_conserved());
}

/// libzmq's test_heartbeats: who beats, and is beaten at, and never answers.
#[test]
fn t38_heartbeat_timeout_router() {
    let context = Context::new().unwrap();
    let router = Router::with_options(&context, Options::default().heartbeat(ms(50))).unwrap();
    let monitor = router.monitor();
    let mut stream = TcpStream::connect(address(&router.bind("tcp://127.0.0.1:0").unwrap())).unwrap();
    stream.write_all(&hello("DEALER")).unwrap();
    wait_connected(&monitor);

    let event = wait_for!(monitor, Disconnected);

    assert_eq!(timed_out(&event), Some(ms(100)));
}

/// The same of one that does not beat, and is asked itself, at once behind the handshake.
#[test]
fn t38_heartbeat_timeout_router_mock_ping() {
    let context = Context::new().unwrap();
    let router = Router::new(&context);
    let mut stream = TcpStream::connect(address(&router.bind("tcp://127.0.0.1:0").unwrap())).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let ping = b"\x04\x0b\x04PING\0\0LOLz";
    stream.write_all(&[&hello("DEALER")[..], ping].concat()).unwrap();

    let mut said = [0; 64 + 2];
    stream.read_exact(&mut said).unwrap();
    stream.read_exact(&mut vec![0; usize::from(said[65])]).unwrap();
    let mut pong = [0; 11];
    stream.read_exact(&mut pong).unwrap();

    assert_eq!(&pong, b"\x04\x09\x04PONGLOLz");
    assert_eq!(router.stats().peers.len(), 1, "and it stays");
}

#[test]
fn t38_setsockopt_heartbeat_ttl_max() {
    let context = Context::new().unwrap();
    assert!(Pair::with_options(&context, Options::default().heartbeat_ttl(ms(6_553_500))).is_ok());
}

#[test]
fn t38_setsockopt_heartbeat_ttl_more_than_max_fails() {
    let context = Context::new().unwrap();
    let (option, most) = ("heartbeat_ttl", ms(6_553_500));
    let refused = Pair::with_options(&context, Options::default().heartbeat_ttl(most + ms(1)));
    assert_eq!(refused.unwrap_err(), InvalidOptions::TooLong { option, most });
}

/// Less than a PING can say is said as the least that it can.
#[test]
fn t38_setsockopt_heartbeat_ttl_near_zero() {
    let context = Context::new().unwrap();
    let options = Options::default().heartbeat(ms(50)).heartbeat_ttl(ms(99));
    let (_pull, _monitor, mut stream) = stranger(&context, options);
    let mut said = [0; 64 + 2];
    stream.read_exact(&mut said).unwrap();
    stream.read_exact(&mut vec![0; usize::from(said[65])]).unwrap();
    let mut ping = [0; 9];
    stream.read_exact(&mut ping).unwrap();
    assert_eq!(&ping, b"\x04\x0f\x04PING\0\x01");
}

transport_suite!(
    an_idle_pair_that_lives_is_not_parted,
    a_receiver_that_does_not_read_stays_and_then_gets_everything,
);

/// The timeout is ten intervals: the machine may be busy.
fn an_idle_pair_that_lives_is_not_parted(transport: &str) {
    let context = Context::new().unwrap();
    let options = || {
        Options::default()
            .heartbeat(ms(20))
            .heartbeat_timeout(ms(1_000))
            .heartbeat_ttl(ms(2_000))
    };
    let (a, b) = (
        Pair::with_options(&context, options()).unwrap(),
        Pair::with_options(&context, options()).unwrap(),
    );
    let (mine, theirs) = (a.monitor(), b.monitor());
    a.connect(b.bind(common::endpoint(transport)).unwrap()).unwrap();
    wait_connected(&mine);
    wait_connected(&theirs);
    if transport != "inproc" {
        let has_beaten = |socket: &Pair| socket.stats().peers[0].round_trip.is_some();
        until("both were answered", || has_beaten(&a) && has_beaten(&b));
    }
    let disconnected = mine.recv_timeout(ms(1_200));
    assert!(disconnected.is_err(), "{disconnected:?}");
    assert!(theirs.try_recv().is_err());
    a.send("here").unwrap();
    assert_eq!(b.recv_timeout(LONG).unwrap(), "here");
}

/// libzmq parts from such a receiver: it answers nothing while it does not read.
fn a_receiver_that_does_not_read_stays_and_then_gets_everything(transport: &str) {
    const COUNT: usize = 3_000;
    let context = Context::new().unwrap();
    let sender = Options::default()
        .heartbeat(ms(20))
        .heartbeat_timeout(ms(300))
        .send_mark(2 * COUNT);
    let receiver = Options::default().heartbeat(Duration::MAX).recv_mark(1);
    let push = Push::with_options(&context, sender).unwrap();
    let pull = Pull::with_options(&context, receiver).unwrap();
    let (mine, theirs) = (push.monitor(), pull.monitor());
    push.connect(pull.bind(common::endpoint(transport)).unwrap()).unwrap();
    wait_connected(&mine);
    wait_connected(&theirs);
    let body = vec![7; 10_000];
    for n in 0..COUNT {
        push.send([n.to_string().as_bytes(), &body[..]]).unwrap();
    }
    let disconnected = mine.recv_timeout(ms(1_500));
    assert!(disconnected.is_err(), "{disconnected:?}");
    assert!(theirs.try_recv().is_err());
    assert!(push.stats().out.queued > 0, "it was really stopped");
    for n in 0..COUNT {
        assert_eq!(pull.recv_timeout(LONG).unwrap().first(), n.to_string().as_bytes());
    }
    assert_eq!(pull.stats().incoming.passed, COUNT as u64);
}

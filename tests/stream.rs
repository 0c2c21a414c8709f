//! STREAM: bytes to and from peers that do not speak ZMTP. What comes from libzmq's tests carries its number.

mod common;

use common::{Chance, LONG, hello, until, wait_for};
use peermq::{
    BindError, ConnectError, Context, Dealer, DropReason, Event, Failure, Identity, InvalidOptions, Message, NotSent,
    Options, Pull, Push, Stream,
};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

/// The next message, and whose it is.
fn next(stream: &Stream) -> (Identity, Message) {
    stream.recv_timeout(LONG).unwrap()
}

/// A notice: a connection began or ended. Gives whose.
fn notice(stream: &Stream) -> Identity {
    let (from, message) = next(stream);
    assert_eq!(message, "");
    from
}

/// So many bytes of this peer, however they come.
fn bytes_of(stream: &Stream, peer: &Identity, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let (from, message) = next(stream);
        assert_eq!(&from, peer);
        assert_eq!(message.frame_count(), 1);
        assert!(!message.first().is_empty(), "ended after {} bytes", bytes.len());
        bytes.extend_from_slice(message.first());
    }
    assert_eq!(bytes.len(), count);
    bytes
}

/// A stream that listens, a plain peer that is connected to it, and by what id.
fn with_peer(context: &Context, options: Options) -> (Stream, TcpStream, Identity) {
    let stream = Stream::with_options(context, options).unwrap();
    let bound = stream.bind("tcp://127.0.0.1:*").unwrap();
    let peer = TcpStream::connect(common::address(&bound)).unwrap();
    peer.set_read_timeout(Some(LONG)).unwrap();
    let id = notice(&stream);
    (stream, peer, id)
}

fn is_conserved(stream: &Stream) {
    let stats = stream.stats();
    assert!(stats.out.is_conserved() && stats.incoming.is_conserved(), "{stats:?}");
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// test_stream: to_dealer, with the greeting byte by byte.
#[test]
fn t37_a_dealer_says_its_greeting_to_a_stream_and_is_answered_in_zmtp() {
    let context = Context::new().unwrap();
    let stream = Stream::new(&context);
    let bound = stream.bind("tcp://127.0.0.1:*").unwrap();
    let dealer = Dealer::new(&context);
    let monitor = dealer.monitor();
    dealer.connect(&bound).unwrap();
    let peer = notice(&stream);

    let mut greeting = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
    greeting.extend_from_slice(b"NULL");
    greeting.resize(64, 0);
    assert_eq!(bytes_of(&stream, &peer, 64), greeting);
    stream.send_to(&peer, hello("ROUTER")).unwrap();
    wait_for!(monitor, Connected);

    // READY is a short command, and says how long it is.
    let head = bytes_of_at_least(&stream, &peer, 2);
    assert_eq!(head[0], 4);
    let ready = rest_of(&stream, &peer, head.clone(), 2 + usize::from(head[1]));
    assert!(ready[2..].starts_with(b"\x05READY"));
    let find = |name: &[u8]| ready.windows(name.len()).any(|window| window == name);
    assert!(find(b"\x0BSocket-Type\0\0\0\x06DEALER"));

    // A long frame, larger than any read.
    let body = pattern(1 << 16);
    let mut frame = vec![2];
    frame.extend_from_slice(&(body.len() as u64).to_be_bytes());
    frame.extend_from_slice(&body);
    stream.send_to(&peer, frame.clone()).unwrap();
    assert_eq!(dealer.recv_timeout(LONG).unwrap(), body.clone());
    dealer.send(body).unwrap();
    assert_eq!(bytes_of(&stream, &peer, frame.len()), frame);
    is_conserved(&stream);
}

/// At least so many bytes of this peer.
fn bytes_of_at_least(stream: &Stream, peer: &Identity, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let (from, message) = next(stream);
        assert_eq!(&from, peer);
        bytes.extend_from_slice(message.first());
    }
    bytes
}

/// These bytes, and those that are missing.
fn rest_of(stream: &Stream, peer: &Identity, mut bytes: Vec<u8>, count: usize) -> Vec<u8> {
    bytes.extend(bytes_of(stream, peer, count - bytes.len()));
    bytes
}

/// test_stream: to_stream.
#[test]
fn t37_two_streams_exchange_a_page() {
    let context = Context::new().unwrap();
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*"] {
        let (server, client) = (Stream::new(&context), Stream::new(&context));
        let to_server = client.connect(server.bind(endpoint).unwrap()).unwrap();
        client.send_to(&to_server, "GET /\n\n").unwrap();
        assert_eq!(notice(&client), to_server);
        let to_client = notice(&server);

        assert_eq!(bytes_of(&server, &to_client, 7), b"GET /\n\n");
        server
            .send_to(&to_client, ["HTTP/1.0 200 OK\r\n\r\n", "", "Hello, World!"])
            .unwrap();
        server.send_to(&to_client, "").unwrap();

        let page = b"HTTP/1.0 200 OK\r\n\r\nHello, World!";
        assert_eq!(bytes_of(&client, &to_server, page.len()), page);
        assert_eq!(notice(&client), to_server, "it was the server's end");
        is_conserved(&server);
        is_conserved(&client);
    }
}

/// test_stream_disconnect.
#[test]
fn t37_both_ends_are_told_of_a_connection_and_of_its_end() {
    let context = Context::new().unwrap();
    let (stream, mut peer, id) = with_peer(&context, Options::default());
    assert_eq!((id.as_bytes().len(), id.as_bytes()[0]), (5, 0));

    peer.write_all(b"last words").unwrap();
    drop(peer);

    assert_eq!(bytes_of(&stream, &id, 10), b"last words");
    assert_eq!(notice(&stream), id);
    until("nobody is known by the id", || stream.stats().peers.is_empty());
    let gone = stream.send_to(&id, "to nobody").unwrap_err();
    assert_eq!(gone.reason, NotSent::UnknownPeer);
    is_conserved(&stream);
}

/// test_stream_empty.
#[test]
fn t37_a_message_without_bytes_ends_the_connection_behind_all_that_was_sent() {
    let context = Context::new().unwrap();
    let (stream, mut peer, id) = with_peer(&context, Options::default());
    let body = pattern(3 << 20);

    for part in body.chunks(1 << 16) {
        stream.send_to_timeout(&id, part, LONG).unwrap();
    }
    stream.send_to(&id, "").unwrap();
    assert_eq!(stream.send_to(&id, "late").unwrap_err().reason, NotSent::UnknownPeer);

    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    assert!(received == body);
    drop(peer);
    until("the end", || stream.stats().peers.is_empty());
    assert!(stream.try_recv().is_err(), "nothing tells an end that was asked for");
    let out = stream.stats().out;
    assert_eq!((out.taken, out.passed), (49, 49));
    is_conserved(&stream);
}

/// test_stream_exceeds_buffer.
#[test]
fn t37_no_byte_of_a_large_piece_is_changed() {
    let context = Context::new().unwrap();
    let (stream, mut peer, id) = with_peer(&context, Options::default());
    for size in [1, 64, 255, 256, 8_192, 8_193, 65_536, 65_537, 1 << 20] {
        let body = pattern(size);

        stream.send_to(&id, &body).unwrap();
        let mut echo = vec![0; size];
        peer.read_exact(&mut echo).unwrap();
        peer.write_all(&echo).unwrap();

        assert!(bytes_of(&stream, &id, size) == body, "{size}");
    }
    is_conserved(&stream);
}

/// test_stream_timeout: a peer that says nothing is given up by who connected to it, and by who accepted it.
#[test]
fn t28_who_waits_for_a_streams_greeting_gives_up_in_time() {
    let context = Context::new().unwrap();
    let limit = Duration::from_millis(50);
    let options = || Options::default().handshake_timeout(limit).no_reconnect();

    let stream = Stream::new(&context);
    let push = Push::with_options(&context, options()).unwrap();
    let monitor = push.monitor();
    push.connect(stream.bind("tcp://127.0.0.1:*").unwrap()).unwrap();
    let Event::HandshakeFailed { failure, .. } = wait_for!(monitor, HandshakeFailed) else {
        unreachable!("it was waited for")
    };
    let what = "the handshake";
    assert_eq!(failure, Failure::TimedOut { what, limit });
    let peer = notice(&stream);
    bytes_of(&stream, &peer, 64);
    assert_eq!(notice(&stream), peer);

    let stream = Stream::with_options(&context, Options::default().no_reconnect()).unwrap();
    let pull = Pull::with_options(&context, options()).unwrap();
    let monitor = pull.monitor();
    let peer = stream.connect(pull.bind("tcp://127.0.0.1:*").unwrap()).unwrap();
    wait_for!(monitor, HandshakeFailed);
    assert_eq!(notice(&stream), peer);
    bytes_of(&stream, &peer, 64);
    assert_eq!(notice(&stream), peer);
}

#[test]
fn inproc_has_no_bytes() {
    let context = Context::new().unwrap();
    let stream = Stream::new(&context);
    let why = "inproc://x: a STREAM socket speaks tcp and ipc";

    let refused = stream.bind("inproc://x").unwrap_err();
    assert!(matches!(refused, BindError::Endpoint(_)));
    assert_eq!(refused.to_string(), why);
    let refused = stream.connect("inproc://x").unwrap_err();
    assert!(matches!(refused, ConnectError::Endpoint(_)));
    assert_eq!(refused.to_string(), why);
    assert!(stream.stats().peers.is_empty());
}

#[test]
fn a_dialed_peer_keeps_its_id_and_what_was_not_written_is_lost_with_its_connection() {
    let context = Context::new().unwrap();
    let options = Options::default()
        .send_buffer(4_096)
        .reconnect(Duration::ZERO, Duration::ZERO);
    let stream = Stream::with_options(&context, options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = stream
        .connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    let (first, _) = listener.accept().unwrap();
    assert_eq!(notice(&stream), id);

    // More than the kernel takes, to a peer that does not read.
    stream.send_to(&id, vec![1; 32 << 20]).unwrap();
    stream.send_to(&id, "lost").unwrap();
    drop(first);
    let (mut second, _) = listener.accept().unwrap();
    assert_eq!((notice(&stream), notice(&stream)), (id.clone(), id.clone()));
    let out = stream.stats().out;
    assert_eq!(
        (out.passed, out.dropped.of(DropReason::PeerLost), out.queued),
        (0, 2, 0)
    );

    stream.send_to(&id, "again").unwrap();
    let mut heard = [0; 5];
    second.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"again");
    is_conserved(&stream);
}

#[test]
fn a_dialed_connection_that_was_ended_is_not_made_again() {
    let context = Context::new().unwrap();
    let options = Options::default().reconnect(Duration::ZERO, Duration::ZERO);
    let stream = Stream::with_options(&context, options).unwrap();
    let monitor = stream.monitor();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = stream
        .connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(notice(&stream), id);

    stream.send_to(&id, "bye").unwrap();
    stream.send_to(&id, "").unwrap();
    let mut heard = String::new();
    peer.read_to_string(&mut heard).unwrap();
    drop(peer);

    assert_eq!(heard, "bye");
    wait_for!(monitor, Disconnected);
    until("the peer is gone", || stream.stats().peers.is_empty());
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came again");
}

/// The end was asked for, and the peer is lost before it is written.
#[test]
fn a_dialed_connection_that_was_to_end_and_is_lost_before_is_not_made_again() {
    let context = Context::new().unwrap();
    let options = Options::default()
        .send_buffer(4_096)
        .reconnect(Duration::ZERO, Duration::ZERO);
    let stream = Stream::with_options(&context, options).unwrap();
    let monitor = stream.monitor();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = stream
        .connect(format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    let (peer, _) = listener.accept().unwrap();
    assert_eq!(notice(&stream), id);

    stream.send_to(&id, vec![1; 32 << 20]).unwrap();
    stream.send_to(&id, "").unwrap();
    drop(peer);

    wait_for!(monitor, Disconnected);
    until("the peer is gone", || stream.stats().peers.is_empty());
    assert_eq!(stream.stats().out.dropped.of(DropReason::PeerLost), 2);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came again");
}

/// Who does not close its side is closed after the linger time.
#[test]
fn a_peer_that_stays_is_left_after_the_linger_time() {
    let context = Context::new().unwrap();
    let (stream, mut peer, id) = with_peer(&context, Options::default().linger(Duration::from_millis(50)));
    let monitor = stream.monitor();

    stream.send_to(&id, "").unwrap();

    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    peer.write_all(b"nobody receives this").unwrap();
    wait_for!(monitor, Disconnected);
    assert!(stream.try_recv().is_err());
}

/// Half a stream is one: who has said all may still listen.
#[test]
fn what_is_sent_before_the_peers_end_is_known_arrives() {
    let context = Context::new().unwrap();
    let (stream, mut peer, id) = with_peer(&context, Options::default());
    stream.send_to(&id, "answer before the question").unwrap();
    let mut heard = [0; 26];
    peer.read_exact(&mut heard).unwrap();

    peer.shutdown(Shutdown::Write).unwrap();

    assert_eq!(notice(&stream), id, "its end");
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_receiver_that_does_not_receive_stops_the_peer_and_loses_nothing() {
    let context = Context::new().unwrap();
    let options = Options::default().recv_mark(2).recv_buffer(4_096);
    let (stream, peer, id) = with_peer(&context, options);
    let body = pattern(8 << 20);
    let sending = {
        let (body, mut peer) = (body.clone(), peer.try_clone().unwrap());
        std::thread::spawn(move || peer.write_all(&body).unwrap())
    };

    until("the mark is reached", || stream.stats().incoming.queued >= 2);
    assert!(stream.stats().incoming.queued <= 3, "two, and what one read brought");
    assert!(bytes_of(&stream, &id, body.len()) == body);
    sending.join().unwrap();
    is_conserved(&stream);
}

#[test]
fn a_peer_that_does_not_read_is_full_at_the_mark_and_others_are_not() {
    let context = Context::new().unwrap();
    let options = Options::default().send_mark(4).send_buffer(4_096);
    let (stream, slow, id) = with_peer(&context, options);
    let bound = stream.bind("tcp://127.0.0.1:*").unwrap();
    let mut other = TcpStream::connect(common::address(&bound)).unwrap();
    let other_id = notice(&stream);

    let full = loop {
        if let Err(error) = stream.send_to(&id, vec![7; 1 << 20]) {
            break error;
        }
    };
    assert_eq!(full.reason, NotSent::PeerFull);
    let message = full.message.unwrap();
    stream.send_to(&other_id, "not full").unwrap();
    let mut heard = [0; 8];
    other.read_exact(&mut heard).unwrap();

    let reading = std::thread::spawn(move || {
        let mut slow = slow;
        let mut all = Vec::new();
        slow.read_to_end(&mut all).unwrap();
        all
    });
    stream.send_to_timeout(&id, message, LONG).unwrap();
    let taken = stream.stats().out.taken - 1;
    stream.send_to_timeout(&id, "", LONG).unwrap();
    let all = reading.join().unwrap();
    assert_eq!(all.len() as u64, taken << 20);
    assert!(all.iter().all(|&byte| byte == 7));
    is_conserved(&stream);
}

#[test]
fn without_notices_only_bytes_are_received() {
    let context = Context::new().unwrap();
    let stream = Stream::with_options(&context, Options::default().stream_notify(false)).unwrap();
    let monitor = stream.monitor();
    let bound = stream.bind("tcp://127.0.0.1:*").unwrap();
    let mut peer = TcpStream::connect(common::address(&bound)).unwrap();
    peer.write_all(b"x").unwrap();
    drop(peer);

    assert_eq!(next(&stream).1, "x");
    wait_for!(monitor, Disconnected);
    assert!(stream.try_recv().is_err());
    let refused = Push::with_options(&context, Options::default().stream_notify(false)).unwrap_err();
    assert!(matches!(
        refused,
        InvalidOptions::NotForType {
            option: "stream_notify",
            ..
        }
    ));
}

#[test]
fn close_writes_what_was_sent() {
    let context = Context::new().unwrap();
    let (stream, mut peer, id) = with_peer(&context, Options::default());
    let body = pattern(1 << 20);
    stream.send_to(&id, &body).unwrap();
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    });

    let report = stream.close().unwrap();

    assert!(reading.join().unwrap() == body);
    assert!(report.is_confirmed());
    assert_eq!((report.written(), report.dropped()), (1, 0));
    is_conserved(&stream);
}

/// Pieces of any size, cut anywhere by either side, come out as they went in.
#[test]
fn a_stream_of_chance_is_kept_byte_by_byte() {
    let seed = std::env::var("SEED").map_or(0x57E4, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut chance = Chance(seed);
    let context = Context::new().unwrap();
    let options = Options::default()
        .send_mark(3)
        .recv_mark(3)
        .send_buffer(4_096)
        .recv_buffer(4_096);
    let (server, client) = (
        Stream::with_options(&context, options.clone()).unwrap(),
        Stream::with_options(&context, options.max_message_size(1_000)).unwrap(),
    );
    let there = client.connect(server.bind("tcp://127.0.0.1:*").unwrap()).unwrap();
    assert_eq!(notice(&client), there);
    let id = notice(&server);
    let pieces: Vec<Vec<u8>> = (0..300)
        .map(|_| {
            let size = 1 + chance.below(20_000) as usize;
            (0..size).map(|_| chance.next() as u8).collect()
        })
        .collect();
    let all = pieces.concat();

    let sending = std::thread::spawn(move || {
        for piece in pieces {
            server.send_to_timeout(&id, piece, LONG).unwrap();
        }
        server
    });
    let received = bytes_of(&client, &there, all.len());

    assert!(received == all);
    is_conserved(&sending.join().unwrap());
    is_conserved(&client);
}

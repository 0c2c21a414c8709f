//! SCATTER, GATHER, CHANNEL, CLIENT and SERVER, whose messages have one frame, over real sockets: the same tests over every
//! transport.

mod common;

use common::*;
use peermq::*;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const PEERS: usize = 5;
const SHORT: Duration = Duration::from_millis(20);

/// A socket that dials another, once both know it.
macro_rules! linked {
    ($context:expr, $transport:expr, $Dialing:ident, $Listening:ident) => {
        linked!($context, $transport, $Dialing, $Listening, Options::default())
    };
    ($context:expr, $transport:expr, $Dialing:ident, $Listening:ident, $options:expr) => {{
        let listening = $Listening::new($context);
        let monitor = listening.monitor();
        let dialing = $Dialing::with_options($context, $options).unwrap();
        dialing.connect(listening.bind(endpoint($transport)).unwrap()).unwrap();
        wait_connected(&monitor);
        (dialing, listening)
    }};
}

fn reason(result: Result<(), SendError>) -> NotSent {
    result.unwrap_err().reason
}

transport_suite!(
    scatter_goes_round,
    gather_takes_of_each_in_turn,
    several_frames_are_given_back,
    both_ways,
    a_server_tells_its_clients_apart_and_answers_each,
    a_server_waits_for_one_clients_room_and_for_nobody_elses,
    what_waits_for_a_peer_that_was_connected_to_is_kept,
    who_has_no_peer_waits_and_times_out,
    closing_ends_calls_that_wait,
    a_close_reports_what_it_wrote,
    a_second_peer_of_a_channel_is_refused_and_both_are_told,
    scatter_to_gather,
    a_full_scatter_says_so_and_a_closed_one_wakes,
    a_server_waits_for_room_only_if_asked,
);

/// RFC 49: SCATTER "SHALL route outgoing messages to available peers using a round-robin strategy."
fn scatter_goes_round(transport: &str) {
    let context = Context::new().unwrap();
    let scatter = Scatter::new(&context);
    let monitor = scatter.monitor();
    let here = scatter.bind(endpoint(transport)).unwrap();
    let gathers: Vec<Gather> = (0..PEERS)
        .map(|_| {
            let gather = Gather::new(&context);
            gather.connect(&here).unwrap();
            wait_connected(&monitor);
            gather
        })
        .collect();

    for number in 0..2 * PEERS as u8 {
        scatter.send(&[number]).unwrap();
    }

    for gather in &gathers {
        let first = gather.recv_timeout(LONG).unwrap().first()[0];
        let second = gather.recv_timeout(LONG).unwrap().first()[0];
        assert_eq!(second, first + PEERS as u8);
        assert_eq!(gather.try_recv(), Err(RecvError::WouldBlock));
    }
}

/// RFC 49: GATHER "SHALL receive incoming messages from its peers using a fair-queuing strategy."
fn gather_takes_of_each_in_turn(transport: &str) {
    let context = Context::new().unwrap();
    let gather = Gather::new(&context);
    let here = gather.bind(endpoint(transport)).unwrap();
    let scatters: Vec<Scatter> = (0..PEERS)
        .map(|n| {
            let scatter = Scatter::new(&context);
            scatter.connect(&here).unwrap();
            scatter.send(&[n as u8]).unwrap();
            scatter.send(&[n as u8]).unwrap();
            scatter
        })
        .collect();
    until("two of each", || gather.stats().incoming.queued == 2 * PEERS as u64);

    for round in 0..2 {
        let whose: BTreeSet<u8> = (0..PEERS).map(|_| gather.recv().unwrap().first()[0]).collect();
        assert_eq!(whose.len(), PEERS, "one of each in round {round}");
    }
    drop(scatters);
}

/// RFCs 47, 49 and 52: "MUST NOT send multipart messages." What was given away comes back, and nothing is counted.
fn several_frames_are_given_back(transport: &str) {
    let context = Context::new().unwrap();
    let (scatter, gather) = linked!(&context, transport, Scatter, Gather);
    let (one, other) = linked!(&context, transport, Channel, Channel);
    let (client, server) = linked!(&context, transport, Client, Server);
    client.send("who am I?").unwrap();
    let (id, _) = server.recv_timeout(LONG).unwrap();
    let two = || Message::from(["two", "frames"]);

    for refused in [
        scatter.send(two()),
        scatter.try_send(two()),
        scatter.send_timeout(two(), LONG),
        block_on(scatter.send_async(two())),
        one.send(two()),
        other.try_send(two()),
        client.send(two()),
        block_on(client.send_async(two())),
        server.send_to(&id, two()),
        server.send_to_timeout(&id, two(), LONG),
        block_on(server.send_to_async(&id, two())),
    ] {
        let SendError { reason, message, .. } = refused.unwrap_err();
        assert_eq!((reason, message), (NotSent::SeveralFrames, Some(two())));
    }
    assert_eq!(reason(scatter.send(["two", "lent"])), NotSent::SeveralFrames);

    scatter.send(["one"]).unwrap();
    assert_eq!(gather.recv_timeout(LONG).unwrap(), "one");
    assert_eq!((scatter.stats().out.taken, client.stats().out.taken), (1, 1));
}

fn both_ways(transport: &str) {
    const COUNT: u32 = 5_000;
    let context = Context::new().unwrap();
    let small = Options::default().mark(4);
    let (one, other) = linked!(&context, transport, Channel, Channel, small.clone());
    let (client, server) = linked!(&context, transport, Client, Server, small);
    thread::scope(|scope| {
        for channel in [&one, &other] {
            scope.spawn(move || (0..COUNT).for_each(|number| channel.send(&number.to_le_bytes()).unwrap()));
            scope.spawn(move || {
                for number in 0..COUNT {
                    assert_eq!(channel.recv_timeout(LONG).unwrap(), number.to_le_bytes());
                }
            });
        }
        scope.spawn(|| (0..COUNT).for_each(|number| client.send(&number.to_le_bytes()).unwrap()));
        scope.spawn(|| {
            for number in 0..COUNT {
                let (id, question) = server.recv_timeout(LONG).unwrap();
                assert_eq!(question, number.to_le_bytes());
                server.send_to_timeout(&id, question, LONG).unwrap();
            }
        });
        for number in 0..COUNT {
            assert_eq!(client.recv_timeout(LONG).unwrap(), number.to_le_bytes());
        }
    });
    for stats in [one.stats(), other.stats(), client.stats(), server.stats()] {
        assert!(stats.out.is_conserved() && stats.incoming.is_conserved(), "{stats:?}");
        assert_eq!(stats.incoming.passed, u64::from(COUNT));
    }
}

/// RFC 47: SERVER "SHALL identify each double queue using a unique "routing id", which is a non-zero 32-bit unsigned integer
/// value", "SHALL route the message to the outgoing queue if that queue exists", and "SHALL return an error if the queue
/// does not exist."
fn a_server_tells_its_clients_apart_and_answers_each(transport: &str) {
    let context = Context::new().unwrap();
    let server = Server::new(&context);
    let monitor = server.monitor();
    let here = server.bind(endpoint(transport)).unwrap();
    let clients: Vec<Client> = (0..PEERS)
        .map(|n| {
            let client = Client::new(&context);
            client.connect(&here).unwrap();
            client.send(&[n as u8]).unwrap();
            client
        })
        .collect();

    let mut ids = BTreeSet::new();
    for _ in 0..PEERS {
        let (id, question) = server.recv_timeout(LONG).unwrap();
        assert!(id.get() != 0 && ids.insert(id), "{id} is new");
        server.send_to(&id, &[question.first()[0] + 100]).unwrap();
    }
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(client.recv_timeout(LONG).unwrap(), [n as u8 + 100]);
    }

    clients[0].send("bye").unwrap();
    let (gone, _) = server.recv_timeout(LONG).unwrap();
    clients[0].send("last words").unwrap();
    clients[0].close().unwrap();
    wait_for!(monitor, Disconnected);
    until("its end", || server.stats().peers.len() == PEERS - 1);
    let given = server.send_to(&gone, vec![7; 100]).unwrap_err();
    assert_eq!(
        (given.reason, given.message),
        (NotSent::UnknownPeer, Some(vec![7; 100].into()))
    );
    let late = server.send_to_timeout(&gone, "x", LONG).unwrap_err();
    assert_eq!(late.reason, NotSent::UnknownPeer, "at once");
    assert_eq!(server.recv_timeout(LONG).unwrap(), (gone, "last words".into()));
    assert_eq!(reason(server.send_to(&gone, "x")), NotSent::UnknownPeer);
}

/// RFC 47: SERVER "SHALL NOT discard messages that it cannot queue."
fn a_server_waits_for_one_clients_room_and_for_nobody_elses(transport: &str) {
    let context = Context::new().unwrap();
    let server = Server::with_options(&context, Options::default().send_mark(2)).unwrap();
    let here = server.bind(endpoint(transport)).unwrap();
    let slow = Client::with_options(&context, Options::default().recv_mark(2)).unwrap();
    let quick = Client::new(&context);
    let mut ids = Vec::new();
    for client in [&slow, &quick] {
        client.connect(&here).unwrap();
        client.send("hello").unwrap();
        ids.push(server.recv_timeout(LONG).unwrap().0);
    }
    // More than kernels take.
    let body = vec![0; 4 << 20];
    let mut sent = 0;
    let full = loop {
        match server.send_to_timeout(&ids[0], &body, SHORT) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100, "it is never full");
    };
    assert_eq!((full.reason, full.message), (NotSent::TimedOut, None));
    assert_eq!(reason(server.send_to(&ids[0], &body)), NotSent::PeerFull);
    assert!(
        poll_once(server.send_to_async(&ids[0], &body)).is_none(),
        "it waits; dropped, it has sent nothing"
    );
    server.send_to(&ids[1], "you have room").unwrap();
    assert_eq!(quick.recv_timeout(LONG).unwrap(), "you have room");

    thread::scope(|scope| {
        let waiting = scope.spawn(|| block_on(server.send_to_async(&ids[0], "at last")));
        for _ in 0..sent {
            assert_eq!(slow.recv_timeout(LONG).unwrap().byte_count(), body.len());
        }
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(slow.recv_timeout(LONG).unwrap(), "at last");
}

/// RFCs 47 and 52: "SHALL create a double queue when initiating an outgoing connection to a peer, and SHALL maintain the
/// double queue whether or not the connection is established."
fn what_waits_for_a_peer_that_was_connected_to_is_kept(transport: &str) {
    let context = Context::new().unwrap();
    let here = common::unused(transport);
    let quick = Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(20));
    let client = Client::with_options(&context, quick.clone()).unwrap();
    client.connect(&*here).unwrap();
    client.send("first").unwrap();
    client.send("second").unwrap();

    let server = Server::new(&context);
    let bound = server.bind(&*here).unwrap();
    let (id, first) = server.recv_timeout(LONG).unwrap();
    assert_eq!(first, "first");
    assert_eq!(server.recv_timeout(LONG).unwrap(), (id, "second".into()));

    let monitor = client.monitor();
    server.close().unwrap();
    wait_for!(monitor, Disconnected);
    client.send("third").unwrap();
    let next = Server::new(&context);
    next.bind(bound).unwrap();
    let (id, third) = next.recv_timeout(LONG).unwrap();
    assert_eq!(third, "third");
    next.send_to(&id, "you are back").unwrap();
    assert_eq!(client.recv_timeout(LONG).unwrap(), "you are back");
}

/// RFC 47: "SHALL block on sending, or return a suitable error, when it has no available peers."
fn who_has_no_peer_waits_and_times_out(transport: &str) {
    let context = Context::new().unwrap();
    let scatter = Scatter::new(&context);
    let client = Client::new(&context);
    let channel = Channel::new(&context);
    scatter.bind(endpoint(transport)).unwrap();
    client.bind(endpoint(transport)).unwrap();
    channel.bind(endpoint(transport)).unwrap();
    assert_eq!(reason(scatter.try_send("x")), NotSent::WouldBlock);
    assert_eq!(reason(scatter.send_timeout("x", SHORT)), NotSent::TimedOut);
    assert_eq!(reason(client.try_send("x")), NotSent::WouldBlock);
    assert_eq!(reason(client.send_timeout("x", SHORT)), NotSent::TimedOut);
    assert_eq!(reason(channel.try_send("x")), NotSent::WouldBlock);
    assert_eq!(channel.recv_timeout(SHORT), Err(RecvError::TimedOut));
    assert_eq!(client.try_recv(), Err(RecvError::WouldBlock));
    assert!(poll_once(client.send_async("x")).is_none());
    assert!(poll_once(channel.recv_async()).is_none());
    assert_eq!(
        client.stats().out.taken,
        0,
        "a future that was dropped has sent nothing"
    );
}

fn closing_ends_calls_that_wait(transport: &str) {
    let context = Context::new().unwrap();
    let (scatter, gather) = linked!(&context, transport, Scatter, Gather);
    let (client, server) = linked!(&context, transport, Client, Server);
    let channel = Channel::new(&context);
    thread::scope(|scope| {
        let gathering = scope.spawn(|| gather.recv());
        let serving = scope.spawn(|| block_on(server.recv_async()));
        let sending = scope.spawn(|| channel.send(vec![1, 2, 3]));
        drop(gather.close().unwrap());
        drop(server.close().unwrap());
        drop(channel.close().unwrap());
        assert_eq!(gathering.join().unwrap(), Err(RecvError::Closed));
        assert_eq!(serving.join().unwrap(), Err(RecvError::Closed));
        let given = sending.join().unwrap().unwrap_err();
        assert_eq!(
            (given.reason, given.message),
            (NotSent::Closed, Some(vec![1, 2, 3].into()))
        );
    });
    let id = peermq::RoutingId::new(1).unwrap();
    assert_eq!(reason(server.send_to(&id, "x")), NotSent::Closed);
    drop((scatter, client));
}

fn a_close_reports_what_it_wrote(transport: &str) {
    let context = Context::new().unwrap();
    let (client, server) = linked!(&context, transport, Client, Server);
    for number in 0..100u32 {
        client.send(&number.to_le_bytes()).unwrap();
    }
    thread::scope(|scope| {
        let closing = scope.spawn(|| client.close().unwrap());
        for number in 0..100u32 {
            assert_eq!(server.recv_timeout(LONG).unwrap().1, number.to_le_bytes());
        }
        let report = closing.join().unwrap();
        assert!(report.is_confirmed(), "{report:?}");
        assert_eq!(report.written(), 100);
    });
}

/// Both sides are told; who was turned away gets in once the place is free.
fn a_second_peer_of_a_channel_is_refused_and_both_are_told(transport: &str) {
    let context = Context::new().unwrap();
    let (first, listening) = linked!(&context, transport, Channel, Channel);
    let refusing = listening.monitor();
    let here = listening.bind(endpoint(transport)).unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(10));
    let second = Channel::with_options(&context, quick).unwrap();
    let refused = second.monitor();
    second.connect(&here).unwrap();

    let Event::HandshakeFailed { failure, endpoint, .. } = wait_for!(refusing, HandshakeFailed) else {
        unreachable!()
    };
    assert!(matches!(failure, Failure::Refused { .. }), "{failure}");
    assert_eq!(endpoint, here);
    wait_for!(refused, HandshakeFailed);
    assert_eq!(reason(first.try_send(["still", "two"])), NotSent::SeveralFrames);
    first.send("still here").unwrap();
    assert_eq!(listening.recv_timeout(LONG).unwrap(), "still here");

    first.close().unwrap();
    wait_connected(&refused);
    second.send("my turn").unwrap();
    assert_eq!(listening.recv_timeout(LONG).unwrap(), "my turn");
}

fn scatter_to_gather(transport: &str) {
    let context = Context::new().unwrap();
    let (scatter, gather) = (Scatter::new(&context), Gather::new(&context));
    scatter.connect(gather.bind(endpoint(transport)).unwrap()).unwrap();
    assert_eq!(gather.try_recv().unwrap_err(), RecvError::WouldBlock);
    assert_eq!(
        gather.recv_timeout(Duration::from_millis(1)).unwrap_err(),
        RecvError::TimedOut
    );
    for n in 0..1_000_u32 {
        scatter.send(&n.to_be_bytes()).unwrap();
    }
    for n in 0..1_000_u32 {
        assert_eq!(gather.recv_timeout(LONG).unwrap(), n.to_be_bytes());
    }
    assert!(scatter.close().unwrap().is_confirmed());
}

fn a_full_scatter_says_so_and_a_closed_one_wakes(transport: &str) {
    let context = Context::new().unwrap();
    let scatter = Arc::new(Scatter::with_options(&context, Options::default().mark(2).linger(Duration::ZERO)).unwrap());
    assert_eq!(scatter.try_send("nobody").unwrap_err().reason, NotSent::WouldBlock);
    scatter.connect(unused(transport)).unwrap();
    scatter.send("1").unwrap();
    scatter.send("2").unwrap();
    assert_eq!(scatter.try_send("3").unwrap_err().reason, NotSent::WouldBlock);
    let waiting = {
        let scatter = Arc::clone(&scatter);
        thread::spawn(move || scatter.send(Message::from("3")).unwrap_err())
    };
    scatter.close().unwrap();
    let error = waiting.join().unwrap();
    assert_eq!((error.reason, error.message), (NotSent::Closed, Some("3".into())));
}

fn a_server_waits_for_room_only_if_asked(transport: &str) {
    let context = Context::new().unwrap();
    let server = Server::with_options(&context, Options::default().send_mark(2)).unwrap();
    let client = Client::with_options(&context, Options::default().recv_mark(1)).unwrap();
    client.connect(server.bind(endpoint(transport)).unwrap()).unwrap();
    client.send("hello").unwrap();
    let (who, _) = server.recv_timeout(LONG).unwrap();
    let large = vec![0; 100_000];
    let mut sent = 0;
    let error = loop {
        match server.send_to(&who, &large) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason, NotSent::PeerFull);
    let reading = thread::spawn(move || {
        (0..sent + 1).for_each(|_| assert_eq!(client.recv_timeout(LONG).unwrap().first().len(), 100_000));
    });
    server.send_to_timeout(&who, &large, LONG).unwrap();
    reading.join().unwrap();
    assert!(server.stats().out.is_conserved());
}

/// RFCs 47, 49 and 52: "MUST discard any part of a multipart message." Nobody is told that it came but the counters: a
/// receiver would be woken in vain.
#[test]
fn several_frames_that_come_are_dropped_as_malformed() {
    let context = Context::new().unwrap();
    let (gather, server, channel) = (Gather::new(&context), Server::new(&context), Channel::new(&context));
    let bytes = b"\x01\x01a\x00\x01b\x00\x05whole\x01\x00\x01\x01c\x00\x00";
    let raw = |socket_type: &str, to: &peermq::Endpoint| {
        let mut stream = TcpStream::connect(address(to)).unwrap();
        stream.write_all(&[&hello(socket_type)[..], bytes].concat()).unwrap();
        stream
    };
    let _strangers = [
        raw("SCATTER", &gather.bind("tcp://127.0.0.1:0").unwrap()),
        raw("CLIENT", &server.bind("tcp://127.0.0.1:0").unwrap()),
        raw("CHANNEL", &channel.bind("tcp://127.0.0.1:0").unwrap()),
    ];

    assert_eq!(gather.recv_timeout(LONG).unwrap(), "whole");
    assert_eq!(server.recv_timeout(LONG).unwrap().1, "whole");
    assert_eq!(channel.recv_timeout(LONG).unwrap(), "whole");

    for socket in
        [&|| gather.stats() as _, &|| server.stats(), &|| channel.stats()] as [&dyn Fn() -> peermq::SocketStats; 3]
    {
        until("both", || socket().incoming.taken == 3);
        let incoming = socket().incoming;
        assert_eq!(incoming.dropped.of(DropReason::Malformed), 2);
        assert!(incoming.is_conserved() && incoming.passed == 1, "{incoming:?}");
    }
    assert_eq!(gather.try_recv(), Err(RecvError::WouldBlock));
}

#[test]
fn options_that_a_type_cannot_use_are_refused() {
    let context = Context::new().unwrap();
    let not_for = |option, socket_type| InvalidOptions::NotForType { option, socket_type };
    let named = Options::default().identity(Identity::new("me").unwrap());
    assert_eq!(
        Client::with_options(&context, named.clone()).unwrap_err(),
        not_for("identity", SocketType::Client)
    );
    assert_eq!(
        Server::with_options(&context, named).unwrap_err(),
        not_for("identity", SocketType::Server)
    );
    assert_eq!(
        Gather::with_options(&context, Options::default().send_mark(3)).unwrap_err(),
        not_for("send_mark", SocketType::Gather)
    );
    assert_eq!(
        Scatter::with_options(&context, Options::default().conflate()).unwrap_err(),
        not_for("conflate", SocketType::Scatter)
    );
    Scatter::with_options(
        &context,
        Options::default().requeue_unwritten(true).connected_first(true),
    )
    .unwrap();
}

/// A SERVER may dial too; what it calls its client it keeps, over all connections.
#[test]
fn a_server_that_dials_knows_its_client_by_one_number() {
    let context = Context::new().unwrap();
    let quick = Options::default().reconnect(Duration::from_millis(5), Duration::from_millis(10));
    let server = Server::with_options(&context, quick).unwrap();
    let monitor = server.monitor();
    let client = Client::new(&context);
    let here = client.bind("tcp://127.0.0.1:0").unwrap();
    server.connect(&here).unwrap();
    client.send("one").unwrap();
    let (id, _) = server.recv_timeout(LONG).unwrap();
    client.close().unwrap();
    wait_for!(monitor, Disconnected);
    server.send_to(&id, "for whoever comes").unwrap();

    let next = Client::new(&context);
    next.bind(&here).unwrap();
    assert_eq!(next.recv_timeout(LONG).unwrap(), "for whoever comes");
    next.send("two").unwrap();
    assert_eq!(server.recv_timeout(LONG).unwrap(), (id, "two".into()));
}

//! SCATTER, GATHER, CHANNEL, CLIENT and SERVER: messages of one frame.

mod common;

use common::*;
use peermq::*;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

transport_suite!(
    scatter_to_gather,
    gathers_take_turns,
    channel_both_ways,
    a_second_channel_is_turned_away_with_an_event,
    several_frames_are_refused,
    a_full_scatter_says_so_and_a_closed_one_wakes,
    a_server_answers_each_client,
    a_server_waits_for_room_only_if_asked,
);

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

fn gathers_take_turns(transport: &str) {
    let context = Context::new().unwrap();
    let scatter = Scatter::new(&context);
    let gathers = [(); 3].map(|()| Gather::new(&context));
    let monitor = scatter.monitor();
    for gather in &gathers {
        scatter.connect(gather.bind(endpoint(transport)).unwrap()).unwrap();
        if transport != "inproc" {
            wait_connected(&monitor);
        }
    }
    for _ in 0..3 {
        scatter.send("one for each").unwrap();
    }
    for gather in &gathers {
        assert_eq!(gather.recv_timeout(LONG).unwrap(), "one for each");
        assert_eq!(gather.try_recv().unwrap_err(), RecvError::WouldBlock);
    }
}

fn channel_both_ways(transport: &str) {
    let context = Context::new().unwrap();
    let (one, other) = (Channel::new(&context), Channel::new(&context));
    one.connect(other.bind(endpoint(transport)).unwrap()).unwrap();
    one.send("ping").unwrap();
    assert_eq!(other.recv_timeout(LONG).unwrap(), "ping");
    other.send("pong").unwrap();
    assert_eq!(one.recv_timeout(LONG).unwrap(), "pong");
}

fn a_second_channel_is_turned_away_with_an_event(transport: &str) {
    let context = Context::new().unwrap();
    let channels = [(); 3].map(|()| Channel::new(&context));
    let [bound, first, second] = &channels;
    let monitors = [bound.monitor(), second.monitor()];
    let at = bound.bind(endpoint(transport)).unwrap();
    first.connect(at.clone()).unwrap();
    first.send("first").unwrap();
    assert_eq!(bound.recv_timeout(LONG).unwrap(), "first");

    second.connect(at).unwrap();

    for monitor in &monitors {
        wait_for!(monitor, HandshakeFailed);
    }
    bound.send("still for the first").unwrap();
    assert_eq!(first.recv_timeout(LONG).unwrap(), "still for the first");
    assert_eq!(second.try_recv().unwrap_err(), RecvError::WouldBlock);
}

fn several_frames_are_refused(transport: &str) {
    let context = Context::new().unwrap();
    let (one, other) = (Channel::new(&context), Channel::new(&context));
    one.connect(other.bind(endpoint(transport)).unwrap()).unwrap();
    let message = Message::from(["two", "frames"]);
    let error = one.send(message.clone()).unwrap_err();
    assert_eq!((error.reason, error.message), (NotSent::SeveralFrames, Some(message)));
    let lent: &[&[u8]] = &[b"two", b"frames"];
    assert_eq!(one.try_send(lent).unwrap_err().reason, NotSent::SeveralFrames);
    one.send("one").unwrap();
    assert_eq!(other.recv_timeout(LONG).unwrap(), "one");
    assert!(one.stats().out.is_conserved());
    assert_eq!(one.stats().out.taken, 1);
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

fn a_server_answers_each_client(transport: &str) {
    let context = Context::new().unwrap();
    let server = Server::new(&context);
    let at = server.bind(endpoint(transport)).unwrap();
    let clients = [(); 3].map(|()| Client::new(&context));
    for (n, client) in clients.iter().enumerate() {
        client.connect(at.clone()).unwrap();
        client.send(format!("client {n}")).unwrap();
    }
    let mut known = Vec::new();
    for _ in &clients {
        let (who, question) = server.recv_timeout(LONG).unwrap();
        server.send_to(&who, question).unwrap();
        known.push(who);
    }
    known.dedup();
    assert_eq!(known.len(), 3, "each has a number of its own");
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(client.recv_timeout(LONG).unwrap(), format!("client {n}"));
    }
    let monitor = server.monitor();
    drop(clients);
    (0..3).for_each(|_| drop(wait_for!(monitor, Disconnected)));
    let error = server.send_to(&known[0], Message::from("too late")).unwrap_err();
    assert_eq!(
        (error.reason, error.message),
        (NotSent::UnknownPeer, Some("too late".into()))
    );
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

/// What comes with several frames is dropped and counted.
#[test]
fn several_frames_that_come_are_dropped() {
    use std::io::Write;
    let context = Context::new().unwrap();
    let gather = Gather::new(&context);
    let here = gather.bind("tcp://127.0.0.1:0").unwrap();
    let mut stream = std::net::TcpStream::connect(address(&here)).unwrap();
    stream
        .write_all(&[&hello("SCATTER")[..], b"\x01\x01a\0\x01b\0\x03one"].concat())
        .unwrap();
    assert_eq!(gather.recv_timeout(LONG).unwrap(), "one");
    let incoming = gather.stats().incoming;
    assert_eq!((incoming.dropped.of(DropReason::Malformed), incoming.passed), (1, 1));
    assert!(incoming.is_conserved());
}

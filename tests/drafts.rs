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

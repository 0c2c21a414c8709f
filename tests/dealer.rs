//! DEALER over real sockets: the same tests over every transport. Names with a number are tests of libzmq.

mod common;

use common::{LONG, endpoint, transport_suite, until, wait_connected, wait_for};
use peermq::{Context, Dealer, DropReason, Message, NotSent, Options, Rep};
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

const PEERS: usize = 5;

/// RFC 28: a DEALER "SHALL route outgoing messages to available peers using a round-robin strategy."
fn t04_round_robin_out(transport: &str) {
    let context = Context::new().unwrap();
    let dealer = Dealer::new(&context);
    let monitor = dealer.monitor();
    let here = dealer.bind(endpoint(transport)).unwrap();
    let reps: Vec<Rep> = (0..PEERS)
        .map(|_| {
            let rep = Rep::new(&context);
            rep.connect(&here).unwrap();
            wait_connected(&monitor);
            rep
        })
        .collect();

    for _ in 0..PEERS {
        dealer.send(["", "ABC"]).unwrap();
    }

    for rep in &reps {
        let request = rep.recv_timeout(LONG).unwrap();
        assert_eq!(*request.message(), "ABC");
        request.reply("DEF").unwrap();
        assert!(rep.try_recv().is_err(), "each has exactly one");
    }
    for _ in 0..PEERS {
        assert_eq!(dealer.recv_timeout(LONG).unwrap(), Message::from(["", "DEF"]));
    }
}

/// RFC 28: "SHALL receive incoming messages from its peers using a fair-queuing strategy."
fn t04_fair_queue_in(transport: &str) {
    let context = Context::new().unwrap();
    let receiver = Dealer::new(&context);
    let here = receiver.bind(endpoint(transport)).unwrap();
    let senders: Vec<Dealer> = (0..PEERS)
        .map(|n| {
            let sender = Dealer::new(&context);
            sender.connect(&here).unwrap();
            sender.send([n as u8].to_vec()).unwrap();
            sender.send([n as u8].to_vec()).unwrap();
            sender
        })
        .collect();
    until("two of each", || receiver.stats().incoming.queued == 2 * PEERS as u64);

    for round in 0..2 {
        let first: BTreeSet<_> = (0..PEERS)
            .map(|_| receiver.recv_timeout(LONG).unwrap().first()[0])
            .collect();
        assert_eq!(first.len(), PEERS, "one of each in round {round}");
    }
    drop(senders);
}

/// RFC 28: "SHALL block on sending, or return a suitable error, when it has no available peers."
#[test]
fn t04_block_on_send_no_peers() {
    let context = Context::new().unwrap();
    let dealer = Dealer::new(&context);
    assert_eq!(dealer.try_send("in vain").unwrap_err().reason, NotSent::WouldBlock);
    let given = dealer
        .send_timeout(vec![7; 100], Duration::from_millis(50))
        .unwrap_err();
    assert_eq!(given.reason, NotSent::TimedOut);
    assert_eq!(given.message.unwrap(), [7; 100]);
    assert_eq!(dealer.stats().out.taken, 0);
}

/// RFC 28: "SHALL NOT discard messages that it cannot send to a connected peer."
fn a_sender_at_the_mark_waits_and_nothing_is_lost(transport: &str) {
    const COUNT: u32 = 20_000;
    let context = Context::new().unwrap();
    let options = Options::default().mark(4);
    let one = Dealer::with_options(&context, options.clone()).unwrap();
    let other = Dealer::with_options(&context, options).unwrap();
    one.connect(other.bind(endpoint(transport)).unwrap()).unwrap();
    thread::scope(|scope| {
        for dealer in [&one, &other] {
            scope.spawn(move || (0..COUNT).for_each(|number| dealer.send(&number.to_le_bytes()).unwrap()));
            scope.spawn(move || {
                for number in 0..COUNT {
                    assert_eq!(dealer.recv_timeout(LONG).unwrap(), number.to_le_bytes());
                }
            });
        }
    });
    for dealer in [&one, &other] {
        let stats = dealer.stats();
        assert!(stats.out.is_conserved() && stats.incoming.is_conserved(), "{stats:?}");
        assert_eq!(stats.incoming.passed, u64::from(COUNT));
    }
}

/// RFC 28: "SHALL maintain the double queue whether or not the connection is established": what waits for a peer that was
/// connected to waits until it is back.
fn what_waits_for_a_peer_that_was_connected_to_is_kept(transport: &str) {
    let context = Context::new().unwrap();
    let first = Dealer::new(&context);
    let here = first.bind(endpoint(transport)).unwrap();
    let options = Options::default().reconnect(Duration::from_millis(10), Duration::from_millis(50));
    let dealer = Dealer::with_options(&context, options).unwrap();
    let monitor = dealer.monitor();
    dealer.connect(&here).unwrap();
    wait_connected(&monitor);
    first.close().unwrap();
    wait_for!(monitor, Disconnected);

    for number in 0..100u32 {
        dealer.send(&number.to_le_bytes()).unwrap();
    }

    let second = Dealer::new(&context);
    second.bind(&here).unwrap();
    for number in 0..100u32 {
        assert_eq!(second.recv_timeout(LONG).unwrap(), number.to_le_bytes());
    }
}

/// RFC 28, of a peer that connected to it: "If this peer disconnects, the DEALER socket SHALL destroy its double queue and
/// SHALL discard any messages it contains." What it had sent is received all the same.
fn what_waits_for_a_peer_that_came_to_us_goes_with_it(transport: &str) {
    let context = Context::new().unwrap();
    let dealer = Dealer::new(&context);
    let monitor = dealer.monitor();
    let here = dealer.bind(endpoint(transport)).unwrap();
    let options = Options::default().recv_mark(1).linger(Duration::ZERO);
    let other = Dealer::with_options(&context, options).unwrap();
    other.connect(&here).unwrap();
    other.send("last words").unwrap();
    wait_connected(&monitor);
    until("last words", || dealer.stats().incoming.queued == 1);
    // More than a kernel takes.
    (0..900).for_each(|_| dealer.send(vec![0; 100_000]).unwrap());

    other.close().unwrap();
    wait_for!(monitor, Disconnected);

    until("the peer's end", || dealer.stats().peers.is_empty());
    let out = dealer.stats().out;
    // Over inproc the socket that closes takes them in, and drops them there.
    let (here, there) = (out.dropped.of(DropReason::PeerLost), other.stats().incoming.dropped);
    assert!(here > 0 || there.of(DropReason::Closed) > 0, "{out:?} {there:?}");
    assert_eq!((out.queued, out.is_conserved()), (0, true), "{out:?}");
    assert_eq!(dealer.recv_timeout(LONG).unwrap(), "last words");
    assert_eq!(dealer.try_send("x").unwrap_err().reason, NotSent::WouldBlock);
}

transport_suite!(
    t04_round_robin_out,
    t04_fair_queue_in,
    a_sender_at_the_mark_waits_and_nothing_is_lost,
    what_waits_for_a_peer_that_was_connected_to_is_kept,
    what_waits_for_a_peer_that_came_to_us_goes_with_it,
);

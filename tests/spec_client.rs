//! RFC 47, and 41 before it: CLIENT and SERVER.

mod common;
#[path = "spec/numbers.rs"]
mod numbers;
#[path = "spec/raw.rs"]
mod raw;
#[path = "spec/rules.rs"]
mod rules;
#[path = "spec/types.rs"]
mod types;

use common::{LONG, endpoint, until, unused, wait_connected, wait_for};
use numbers::{number_rules, numbers};
use peermq::{Client, Context, NotSent, Server};
use rules::{sender_rules, several_frames_are_discarded, stamp};
use std::collections::BTreeSet;
use std::time::Duration;
use types::{Node, Receives, Sends, join, node, number, numbered, quick, receives, sends, tight};

node!(Client, false);
node!(Server, false);
sends!(Client);
receives!(Client);
receives!(Server, |(_, message)| message);
numbers!(Server, "CLIENT");

sender_rules!(client, peermq::Client, peermq::Server);
stamp!(
    client_family,
    peermq::Client,
    peermq::Server,
    [many_threads_send_and_receive, several_frames_are_not_sent]
);
number_rules!(server, peermq::Server, peermq::Client);

const TRANSPORTS: [&str; 2] = ["tcp", "inproc"];

/// RFC 47: "SHALL maintain a double queue for each connected peer, allowing outgoing and incoming messages to be queued
/// independently."
#[test]
fn the_two_queues_of_a_clients_peer_are_independent() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let client = Client::make(&context, tight().mark(4));
        let server = Server::make(&context, tight().mark(4));
        join(&client, &server, &Node::bind(&server, &endpoint(transport)).to_string());
        Sends::send(&client, "here I am");
        let (who, _) = server.recv_timeout(LONG).unwrap();
        let mut sent = 0;
        while client.send_timeout(vec![0; 1 << 20], Duration::from_millis(50)).is_ok() {
            sent += 1;
        }
        for n in 0..20 {
            server.send_to(&who, numbered(n)).unwrap();
            assert_eq!(Receives::recv(&client), numbered(n));
        }
        (0..sent).for_each(|_| assert_eq!(server.recv_timeout(LONG).unwrap().1, vec![0; 1 << 20]));
    }
}

/// RFC 47: a CLIENT "SHALL receive incoming messages from its peers using a fair-queuing strategy", and "SHALL deliver these to
/// its calling application."
#[test]
fn a_client_receives_of_its_servers_in_turn() {
    const SERVERS: u32 = 5;
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let client = Client::make(&context, quick());
        let servers: Vec<Server> = (0..SERVERS).map(|_| Server::make(&context, quick())).collect();
        for server in &servers {
            join(&client, server, &Node::bind(server, &endpoint(transport)).to_string());
        }
        // One to each.
        (0..SERVERS).for_each(|_| Sends::send(&client, "who are you?"));
        for (n, server) in (0..).zip(&servers) {
            let (who, _) = server.recv_timeout(LONG).unwrap();
            (0..if n == 0 { 50 } else { 2 }).for_each(|_| server.send_to(&who, numbered(n)).unwrap());
        }
        until("all", || {
            client.stats().incoming.queued == u64::from(50 + 2 * (SERVERS - 1))
        });
        for round in 0..2 {
            let turn: BTreeSet<u32> = (0..SERVERS).map(|_| number(&Receives::recv(&client))).collect();
            assert_eq!(turn, (0..SERVERS).collect(), "one of each in round {round}");
        }
    }
}

/// RFC 47, of a CLIENT: "MUST discard any part of a multipart message."
#[test]
fn a_client_discards_several_frames() {
    several_frames_are_discarded::<Client>("SERVER");
}

/// RFC 47, of a SERVER: "SHALL create a double queue when initiating an outgoing connection to a peer, and SHALL maintain the
/// double queue whether or not the connection is established." Its number is known with its first message, and stays.
#[test]
fn a_servers_queue_outlives_connections() {
    for transport in TRANSPORTS {
        let context = Context::new().unwrap();
        let here = unused(transport);
        let server = Server::make(&context, quick().linger(Duration::ZERO));
        let monitor = Node::monitor(&server);
        Node::connect(&server, &here);
        let peers = server.stats().peers;
        assert_eq!(
            (peers.len(), peers[0].is_dialed, peers[0].is_connected),
            (1, true, false)
        );
        let first = Client::make(&context, quick());
        Node::bind(&first, &here);
        Sends::send(&first, "here I am");
        let (who, _) = server.recv_timeout(LONG).unwrap();
        Node::close(&first);
        wait_for!(monitor, Disconnected);

        (0..3).for_each(|n| server.send_to(&who, numbered(n)).unwrap());
        let second = Client::make(&context, quick());
        Node::bind(&second, &here);
        wait_connected(&monitor);

        (0..3).for_each(|n| assert_eq!(number(&Receives::recv(&second)), n, "over {transport}"));
        Sends::send(&second, "and here");
        assert_eq!(server.recv_timeout(LONG).unwrap(), (who, "and here".into()));
        Node::close(&second);
        assert_eq!(server.try_recv().unwrap_err(), peermq::RecvError::WouldBlock);
        assert_ne!(
            server.send_to(&who, "later").map_err(|error| error.reason),
            Err(NotSent::UnknownPeer)
        );
    }
}

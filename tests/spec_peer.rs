//! RFC 51: PEER.

mod common;
#[path = "spec/numbers.rs"]
mod numbers;
#[path = "spec/raw.rs"]
mod raw;
#[path = "spec/rules.rs"]
mod rules;
#[path = "spec/types.rs"]
mod types;

use common::{LONG, unused, wait_for};
use numbers::{number_rules, numbers};
use peermq::{Context, Endpoint, Message, Monitor, NotSent, Options, Peer, RecvError, RoutingId, SocketStats};
use std::sync::OnceLock;
use std::time::Duration;
use types::{Node, Receives, Sends, node, number, numbered, quick};

node!(Peer, false);
numbers!(Peer, "PEER");

/// A PEER that speaks to the one that it has connected to.
pub struct Far {
    peer: Peer,
    there: OnceLock<RoutingId>,
}

impl Node for Far {
    const SEVERAL_FRAMES: bool = false;

    fn make(context: &Context, options: Options) -> Self {
        let there = OnceLock::new();
        Far {
            peer: Node::make(context, options),
            there,
        }
    }
    fn bind(&self, endpoint: &str) -> Endpoint {
        Node::bind(&self.peer, endpoint)
    }
    fn connect(&self, endpoint: &str) {
        let there = self.peer.connect(endpoint).unwrap();
        self.there.set(there).unwrap();
    }
    fn unbind(&self, endpoint: &str) {
        Node::unbind(&self.peer, endpoint);
    }
    fn monitor(&self) -> Monitor {
        Node::monitor(&self.peer)
    }
    fn stats(&self) -> SocketStats {
        Node::stats(&self.peer)
    }
    fn close(&self) {
        Node::close(&self.peer);
    }
}

impl Sends for Far {
    fn try_send(&self, message: Message) -> Result<(), NotSent> {
        let sent = self.peer.send_to(self.there.get().unwrap(), message);
        sent.map_err(|error| error.reason)
    }
    fn send_timeout(&self, message: Message, limit: Duration) -> Result<(), NotSent> {
        let sent = self.peer.send_to_timeout(self.there.get().unwrap(), message, limit);
        sent.map_err(|error| error.reason)
    }
}

impl Receives for Far {
    fn recv_timeout(&self, limit: Duration) -> Result<Message, RecvError> {
        self.peer.recv_timeout(limit).map(|(_, message)| message)
    }
}

number_rules!(peer, peermq::Peer, crate::Far);

/// RFC 51: "SHALL create a double queue when initiating an outgoing connection to a peer, and SHALL maintain the double queue
/// whether or not the connection is established", and "SHALL provide the application with an API to connect and retrieve the
/// "routing id" of the double queue in atomic manner."
#[test]
fn connect_gives_the_number_of_a_queue_that_outlives_connections() {
    for transport in ["tcp", "inproc"] {
        let context = Context::new().unwrap();
        let here = unused(transport);
        let ours = Peer::with_options(&context, quick()).unwrap();
        let monitor = ours.monitor();
        let there = ours.connect(&here).unwrap();
        for round in 0..2 {
            (0..3).for_each(|n| ours.send_to(&there, numbered(3 * round + n)).unwrap());
            let peer = &ours.stats().peers[0];
            assert_eq!((peer.is_connected, peer.out.queued), (false, 3));
            let theirs = Peer::with_options(&context, quick()).unwrap();
            theirs.bind(&here).unwrap();
            for n in 0..3 {
                let (back, message) = theirs.recv_timeout(LONG).unwrap();
                assert_eq!(number(&message), 3 * round + n);
                theirs.send_to(&back, message).unwrap();
                assert_eq!(ours.recv_timeout(LONG).unwrap(), (there, numbered(3 * round + n)));
            }
            theirs.close().unwrap();
            wait_for!(monitor, Disconnected);
        }
    }
}

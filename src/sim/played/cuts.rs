//! What was written bounds the loss: a connection is cut at every byte of a stream, and what was not wholly written
//! comes by the next one, in order, once. In clear, and in boxes.

use crate::hub::Hub;
use crate::message::Message;
use crate::options::Options;
use crate::security::Security;
use crate::sim::World;
use crate::sim::fabric::Cut;
use crate::sim::laws::{check, curve, recv, send};
use crate::socket::pair::PairPattern;
use crate::socket::pull::PullPattern;
use crate::socket::push::PushPattern;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the bodies.
const SIZES: [usize; 5] = [1, 5, 300, 2, 40];

/// A mechanism, and how many bytes the bodies are on the wire under it.
#[derive(Clone, Copy)]
struct Wire {
    security: fn() -> [Security; 2],
    lengths: [usize; 5],
}

const WIRES: [Wire; 2] = [
    Wire {
        security: || [Security::default(), Security::default()],
        lengths: [3, 7, 309, 4, 42],
    },
    Wire {
        security: curve,
        lengths: [2 + 33 + 1, 2 + 33 + 5, 9 + 33 + 300, 2 + 33 + 2, 2 + 33 + 40],
    },
];

fn messages() -> Vec<Message> {
    let bodies = SIZES.iter().enumerate();
    bodies
        .map(|(number, &size)| Message::from(vec![number as u8; size]))
        .collect()
}

impl Wire {
    fn options(&self, which: usize) -> Options {
        Options::default().security((self.security)()[which].clone())
    }

    fn len(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Messages whose last byte is among the first so many.
    fn written_by(&self, bytes: usize) -> usize {
        let mut end = 0;
        let ends = self.lengths.iter().map(|&wire| {
            end += wire;
            end
        });
        ends.filter(|&end| end <= bytes).count()
    }
}

fn numbers(pull: &Hub<PullPattern>) -> Vec<usize> {
    std::iter::from_fn(|| recv(pull))
        .map(|message| usize::from(message.first()[0]))
        .collect()
}

fn sent_until_cut(wire: Wire, mark: usize, cut: Cut) -> (World, Arc<Hub<PushPattern>>, Vec<usize>) {
    let mut world = World::new(cut.after as u64, 2);
    let push = world.open(0, PushPattern::new, wire.options(0).send_mark(mark));
    let pull = world.open(1, PullPattern::new, wire.options(1));
    world.listen(1, &pull, 1);
    world.settle();
    world.dial(0, &push, 1);
    world.settle();
    let mut fabric = world.fabric();
    let end = fabric.dialed()[0];
    fabric.cut(end, cut);
    fabric.piece = 50;
    drop(fabric);
    let mut received = Vec::new();
    for message in messages() {
        while !send(&*push, message.clone()) {
            // What came by the lost connection is received first: PULL takes turns between the two.
            world.settle();
            received.extend(numbers(&pull));
            world.run_for(Duration::from_secs(1));
        }
        check(&push);
    }
    world.settle();
    received.extend(numbers(&pull));
    world.run_for(Duration::from_secs(5));
    check(&push);
    received.extend(numbers(&pull));
    (world, push, received)
}

#[test]
fn threat_30_messages_that_were_not_wholly_written_come_by_the_next_connection_in_order_and_once() {
    for (wire, mark) in WIRES.iter().flat_map(|wire| [(*wire, 2), (*wire, 1000)]) {
        for after in 0..=wire.len() {
            let (_world, push, received) = sent_until_cut(wire, mark, Cut { after, arrives: true });
            assert_eq!(
                received,
                [0, 1, 2, 3, 4],
                "cut after {after} bytes, all of which arrived"
            );
            assert_eq!(check(&push).reconnects, 1);
        }
    }
}

#[test]
fn a_lost_stream_loses_at_most_what_was_wholly_written() {
    for (wire, mark) in WIRES.iter().flat_map(|wire| [(*wire, 2), (*wire, 1000)]) {
        for after in 1..wire.len() {
            let (_world, push, received) = sent_until_cut(wire, mark, Cut { after, arrives: false });
            let unwritten: Vec<usize> = (wire.written_by(after)..5).collect();
            assert!(received.ends_with(&unwritten), "cut after {after} bytes: {received:?}");
            assert!(
                received.is_sorted_by(|a, b| a < b),
                "cut after {after} bytes: {received:?}"
            );
            let out = check(&push).out;
            assert_eq!((out.taken, out.passed, out.queued), (5, 5, 0));
        }
    }
}

#[test]
fn a_listening_socket_drops_and_counts_what_its_lost_peer_had_not_been_written() {
    for (wire, after) in WIRES
        .iter()
        .flat_map(|wire| (1..wire.len()).map(move |after| (wire, after)))
    {
        let mut world = World::new(1, 2);
        let here = world.open(0, PairPattern::new, wire.options(0));
        let there = world.open(1, PairPattern::new, wire.options(1));
        world.listen(0, &here, 1);
        world.settle();
        world.dial(1, &there, 1);
        world.settle();
        let end = world.fabric().dialed()[0] ^ 1;
        world.fabric().cut(end, Cut { after, arrives: true });
        for message in messages() {
            assert!(send(&*here, message));
        }
        world.run_for(Duration::from_secs(5));
        let received: Vec<_> = std::iter::from_fn(|| recv(&*there)).collect();
        let out = check(&here).out;
        assert_eq!(received.len(), wire.written_by(after));
        assert_eq!(
            (out.passed, out.dropped.total()),
            (received.len() as u64, 5 - received.len() as u64)
        );
        assert!(send(&*here, "it is there again"));
        world.settle();
        assert!(recv(&*there).is_some());
    }
}

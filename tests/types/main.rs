//! The same first tests for every socket type, over every transport.

#[path = "../common/mod.rs"]
mod common;

mod closing;
mod every;
mod exchange;
mod heartbeats;
mod kind;
mod many;
mod options;
mod partners;
mod readiness;
mod waiting;

use common::{LONG, endpoint, wait_connected};
use every::{facts, open};
use kind::{Facts, How, Kind, Said};
use peermq::{Context, Message, Options, SocketType};
use std::time::Duration;

/// Stamps tests over transports and types. STREAM has no inproc.
macro_rules! stamp {
    ($($test:path as $name:ident),* $(,)?) => {
        stamp!(tcp, [$($test as $name),*], Push Pull Scatter Gather Pair Channel Dealer Router Client Server Req Rep Pub Sub XPub XSub Radio Dish Peer Stream);
        stamp!(ipc, [$($test as $name),*], Push Pull Scatter Gather Pair Channel Dealer Router Client Server Req Rep Pub Sub XPub XSub Radio Dish Peer Stream);
        stamp!(inproc, [$($test as $name),*], Push Pull Scatter Gather Pair Channel Dealer Router Client Server Req Rep Pub Sub XPub XSub Radio Dish Peer);
    };
    ($transport:ident, $tests:tt, $($Type:ident)*) => {
        #[expect(non_snake_case, reason = "the modules are named after the types")]
        mod $transport {
            $(mod $Type { stamp!(@ $transport, $Type, $tests); })*
        }
    };
    (@ $transport:ident, $Type:ident, [$($test:path as $name:ident),*]) => {
        $(#[test]
        fn $name() {
            $test(stringify!($transport), crate::every::facts(peermq::SocketType::$Type));
        })*
    };
}

stamp!(
    crate::options::what_it_cannot_use as an_option_that_it_cannot_use_is_refused_by_name,
    crate::exchange::whole as messages_arrive_whole_and_in_order_whoever_dials,
    crate::exchange::whose as whose_a_message_is_comes_with_it,
    crate::exchange::frames as several_frames_go_or_come_back,
    crate::partners::strangers as a_wrong_type_is_turned_away_once_and_for_all_and_both_sides_know,
    crate::partners::comes_back as a_peer_that_comes_back_is_spoken_with_again,
    crate::readiness::readable as it_is_readable_exactly_while_there_is_something,
    crate::readiness::writable as it_is_writable_exactly_while_there_is_room,
    crate::readiness::after_the_end as a_peer_that_left_leaves_what_it_sent_and_no_more,
    crate::waiting::times as a_wait_with_a_limit_ends_at_it,
    crate::waiting::dropped_receive as a_receive_that_is_dropped_takes_nothing,
    crate::waiting::dropped_send as a_send_that_is_dropped_sends_nothing,
    crate::waiting::closed as a_blocked_call_ends_with_its_socket,
    crate::waiting::shut_down as a_blocked_call_ends_with_its_context,
    crate::many::whole as many_by_one_call_arrive_as_if_one_by_one,
    crate::many::times as many_wait_no_longer_than_they_are_to,
    crate::many::dropped as many_that_are_dropped_take_nothing_and_send_nothing,
    crate::many::closed as many_that_wait_end_with_their_socket,
    crate::closing::twice as a_second_close_says_the_same_and_other_calls_that_it_is_closed,
    crate::closing::in_the_middle as what_was_accepted_before_close_arrives,
);

/// Nobody waits for what nobody reads.
fn brief() -> Options {
    Options::default().linger(Duration::ZERO)
}

/// Which side dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dials {
    It,
    Other,
}

/// A socket of this type and one that it speaks with, connected, each knowing what it has to of the other.
fn meet(context: &Context, transport: &str, facts: Facts, dials: Dials, options: [Options; 2]) -> [Box<dyn Kind>; 2] {
    let [mine, theirs] = options;
    let it = open(facts.socket_type, context, mine).unwrap();
    let other = open(facts.partner, context, theirs).unwrap();
    let (dialing, listening) = match dials {
        Dials::It => (&it, &other),
        Dials::Other => (&other, &it),
    };
    join(&**dialing, &**listening, &endpoint(transport));
    [it, other]
}

/// Connects two sockets, and waits until both know of it and each can send to the other. Returns the endpoint.
fn join(dialing: &dyn Kind, listening: &dyn Kind, endpoint: &str) -> String {
    let monitors = [dialing.monitor(), listening.monitor()];
    let bound = listening.bind(endpoint).unwrap().to_string();
    dialing.connect(&bound).unwrap();
    monitors.iter().for_each(wait_connected);
    introduce(dialing, listening);
    bound
}

/// What follows a connection, so that each can send to the other.
fn introduce(dialing: &dyn Kind, listening: &dyn Kind) {
    listening.settle_in();
    dialing.settle_in();
    for (one, other, dialed) in [(listening, dialing, false), (dialing, listening, true)] {
        if one.is_addressed_first(dialed) {
            pass(other, one, &Message::from("hello"));
        }
    }
}

/// Sends a message, and waits until it has arrived as it was.
#[track_caller]
fn pass(from: &dyn Kind, to: &dyn Kind, message: &Message) {
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| from.send(message.clone(), How::Within(LONG)));
        assert_eq!(to.recv(How::Within(LONG)), Said::Done(arriving(from, message)));
        assert_eq!(sender.join().unwrap(), Said::Done(()));
    });
}

/// What comes of a message: a stream has no borders.
fn arriving(from: &dyn Kind, message: &Message) -> Message {
    match from.is_a_stream() {
        true => Message::from(message.frames().collect::<Vec<_>>().concat()),
        false => message.clone(),
    }
}

/// Two that speak with each other, of which one can send and the other receive: each way that there is.
fn ways(it: Facts) -> Vec<[usize; 2]> {
    let both = [it, facts(it.partner)];
    let mut ways = Vec::new();
    for [from, to] in [[0, 1], [1, 0]] {
        if both[from].sends != kind::Sends::Never && both[to].receives {
            ways.push([from, to]);
        }
    }
    ways
}

/// The law of conservation: out, accepted = written + dropped + queued; in, arrived = received + dropped + queued.
#[track_caller]
fn assert_law(sockets: &[Box<dyn Kind>]) {
    for stats in sockets.iter().map(|socket| socket.stats()) {
        let peers = stats.peers.iter().map(|peer| (&peer.out, &peer.incoming));
        for (out, incoming) in peers.chain([(&stats.out, &stats.incoming)]) {
            assert!(out.is_conserved() && incoming.is_conserved(), "{stats:#?}");
        }
    }
}

#[test]
fn every_type_that_there_is_is_here() {
    assert_eq!(every::ALL.len(), 20);
    for &socket_type in every::ALL {
        assert!(socket_type.speaks_with(facts(socket_type).partner) || socket_type == SocketType::Stream);
    }
}

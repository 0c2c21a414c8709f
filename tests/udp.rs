//! RADIO and DISH over datagrams: each message is one, to whoever is there, and nobody says that anybody is.
//!
//! Of libzmq's own: test_radio_dish's test_radio_dish_udp, test_dish_connect_fails, test_radio_bind_fails and its
//! multicast cases. Datagrams over the loopback interface come, and in order, as long as the system has room for them.

mod common;

use common::{Chance, LONG, until, wait_for};
use peermq::{
    BindError, Cause, ConnectError, Context, Dish, DropReason, Endpoint, Message, Monitor, Options, Push, Radio, Sub,
};
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

/// A radio that sends there, and what it tells.
fn radio(context: &Context, there: impl Into<String>, options: Options) -> (Radio, Monitor) {
    let radio = Radio::with_options(context, options).unwrap();
    let monitor = radio.monitor();
    radio.connect(there.into()).unwrap();
    wait_for!(monitor, Connected);
    (radio, monitor)
}

fn near(context: &Context, dish: &Dish) -> (Radio, Monitor) {
    let at = dish.bind("udp://127.0.0.1:0").unwrap();
    radio(context, at.to_string(), Options::default())
}

fn joined(context: &Context, group: &str) -> Dish {
    let dish = Dish::new(context);
    dish.join(group).unwrap();
    dish
}

/// Somebody who speaks no more than UDP.
fn stranger() -> (UdpSocket, String) {
    stranger_at("127.0.0.1:0")
}

fn stranger_at(here: &str) -> (UdpSocket, String) {
    let socket = UdpSocket::bind(here).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let at = format!("udp://{}", socket.local_addr().unwrap());
    (socket, at)
}

fn address(at: &Endpoint) -> String {
    at.to_string().replace("udp://", "")
}

fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    let n = socket.recv(&mut bytes).unwrap();
    bytes[..n].to_vec()
}

fn heard(dish: &Dish) -> (String, Message) {
    let (group, message) = dish.recv_timeout(LONG).unwrap();
    (String::from_utf8(group.to_vec()).unwrap(), message)
}

fn text(group: &str, message: &str) -> (String, Message) {
    (group.to_owned(), Message::from(message))
}

#[test]
fn a_dish_hears_of_the_groups_that_it_has_joined() {
    let context = Context::new().unwrap();
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let dish = joined(&context, "TV");
        let at = match dish.bind(format!("udp://{host}:0")) {
            Ok(at) => at,
            Err(error) if host == "[::1]" => {
                eprintln!("skipped: no IPv6 here: {error}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let there = format!("udp://{host}:{}", at.port().unwrap());
        let (radio, _monitor) = radio(&context, there, Options::default());
        radio.send("Movies", "Godfather").unwrap();
        radio.send("TV", "Friends").unwrap();
        assert_eq!(heard(&dish), text("TV", "Friends"));
        dish.leave("TV").unwrap();
        dish.join("Movies").unwrap();
        radio.send("TV", "Friends").unwrap();
        radio.send("Movies", "Godfather").unwrap();
        assert_eq!(heard(&dish), text("Movies", "Godfather"));

        let stats = dish.stats();
        assert_eq!(stats.incoming.dropped.of(DropReason::NotSubscribed), 2);
        assert!(stats.incoming.is_conserved() && stats.incoming.taken == 4);
    }
}

#[test]
fn a_datagram_is_the_length_of_the_group_the_group_and_the_body() {
    let context = Context::new().unwrap();
    let (stranger, there) = stranger();
    let (radio, _monitor) = radio(&context, there, Options::default());
    radio.send("TV", "Friends").unwrap();
    assert_eq!(received(&stranger), b"\x02TVFriends");
    radio.send([7; 255], vec![9; 8_000]).unwrap();
    assert_eq!(received(&stranger), [vec![255], vec![7; 255], vec![9; 8_000]].concat());
    radio.send("", "").unwrap();
    assert_eq!(received(&stranger), b"\0");

    let dish = joined(&context, "TV");
    dish.join("").unwrap();
    let at = dish.bind("udp://*:0").unwrap();
    let there = format!("127.0.0.1:{}", at.port().unwrap());
    stranger.send_to(b"\x02TVFriends", &there).unwrap();
    assert_eq!(heard(&dish), text("TV", "Friends"));
    stranger.send_to(b"\0", &there).unwrap();
    assert_eq!(heard(&dish), text("", ""));
}

#[test]
fn messages_come_in_the_order_in_which_they_went() {
    let context = Context::new().unwrap();
    let dish = joined(&context, "n");
    let (radio, _monitor) = near(&context, &dish);
    for n in 0..2_000_u32 {
        let size = n as usize % 3_000;
        let body = [&n.to_le_bytes()[..], &vec![n as u8; size]].concat();
        radio.send("n", &body[..]).unwrap();
        // Nothing holds a radio back, and the system drops what it has no room for.
        assert_eq!(heard(&dish), ("n".to_owned(), Message::from(body)));
    }
    let stats = radio.stats();
    assert_eq!((stats.out.taken, stats.out.dropped.total()), (2_000, 0));
}

/// The interface of this machine alone, and a group that is nobody else's.
fn group(port: u16) -> String {
    format!("udp://127.0.0.1;239.255.{}.77:{port}", std::process::id() % 250)
}

#[test]
fn all_that_have_bound_a_multicast_group_hear_the_same() {
    let context = Context::new().unwrap();
    let dishes: Vec<Dish> = (0..3).map(|_| joined(&context, "TV")).collect();
    let at = match dishes[0].bind(group(0)) {
        Ok(at) => at,
        Err(error) => return eprintln!("skipped: no multicast here: {error}"),
    };
    assert_eq!(
        at.to_string(),
        group(at.port().unwrap()),
        "it can be bound and connected to"
    );
    for other in &dishes[1..] {
        assert_eq!(other.bind(&at).unwrap(), at);
    }
    let outside = joined(&context, "TV");
    outside.bind(format!("udp://127.0.0.1:{}", at.port().unwrap())).unwrap();

    let (radio, _monitor) = radio(&context, at.to_string(), Options::default());
    for message in ["one", "two"] {
        radio.send("TV", message).unwrap();
        for dish in &dishes {
            assert_eq!(heard(dish), text("TV", message));
        }
    }
    // One that goes takes nothing from the others.
    dishes[0].unbind(&at).unwrap();
    radio.send("TV", "three").unwrap();
    for dish in &dishes[1..] {
        assert_eq!(heard(dish), text("TV", "three"));
    }
    assert!(dishes[0].try_recv().is_err() && outside.try_recv().is_err());
}

#[test]
fn what_passes_no_network_still_comes_on_this_machine() {
    let context = Context::new().unwrap();
    let dish = joined(&context, "TV");
    let at = match dish.bind(group(0)) {
        Ok(at) => at,
        Err(error) => return eprintln!("skipped: no multicast here: {error}"),
    };
    let (radio, _monitor) = radio(&context, at.to_string(), Options::default().multicast_hops(0));
    radio.send("TV", "here").unwrap();
    assert_eq!(heard(&dish), text("TV", "here"));
}

#[test]
fn what_does_not_fit_in_a_datagram_is_dropped_and_counted_for_that_peer() {
    let context = Context::new().unwrap();
    let (dish, other) = (joined(&context, "TV"), joined(&context, "TV"));
    let (radio, monitor) = near(&context, &dish);
    other.connect(radio.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    radio.wait_for_members("TV", 1, LONG).unwrap();

    let most = 65_507 - 1 - 2;
    for size in [most + 1, 70_000, 1 << 20, most] {
        radio.send("TV", vec![size as u8; size]).unwrap();
        assert_eq!(heard(&other).1, vec![size as u8; size]);
    }
    assert_eq!(heard(&dish).1, vec![most as u8; most]);

    let stats = radio.stats();
    assert_eq!(stats.out.dropped.of(DropReason::TooLarge), 3);
    let over_udp = &stats.peers[0].out;
    assert_eq!((over_udp.taken, over_udp.passed, over_udp.queued), (4, 1, 0));
    assert!(over_udp.is_conserved() && stats.out.is_conserved());
    while let Ok(event) = monitor.try_recv() {
        assert!(!event.to_string().contains("disconnected"), "{event}");
    }
}

#[test]
fn garbage_is_counted_and_ends_nothing() {
    let context = Context::new().unwrap();
    let dish = Dish::with_options(&context, Options::default().max_message_size(100)).unwrap();
    dish.join("TV").unwrap();
    let monitor = dish.monitor();
    let there = address(&dish.bind("udp://127.0.0.1:0").unwrap());
    let (stranger, _) = stranger();
    let mut chance = Chance(20_261_125);
    println!("seed {}", chance.0);
    for n in 1..=500 {
        let mut garbage = match n % 5 {
            0 => Vec::new(),
            1 => vec![1],
            2 => vec![255; 255],
            3 => [&b"\x02TV"[..], &[b'x'; 101]].concat(),
            _ => (0..chance.below(200)).map(|_| chance.next() as u8).collect(),
        };
        if n % 5 == 4
            && let Some(first) = garbage.first_mut()
        {
            *first = 200;
        }
        stranger.send_to(&garbage, &there).unwrap();
        stranger.send_to(b"\x02TVFriends", &there).unwrap();
        assert_eq!(heard(&dish), text("TV", "Friends"));
    }
    let stats = dish.stats();
    assert_eq!(stats.incoming.dropped.of(DropReason::Malformed), 500);
    assert_eq!((stats.incoming.taken, stats.incoming.passed), (1_000, 500));
    assert!(stats.incoming.is_conserved());
    assert_eq!(stats.peers.len(), 1);
    while let Ok(event) = monitor.try_recv() {
        assert!(!event.to_string().contains("disconnected"), "{event}");
    }
}

#[test]
fn what_nobody_here_wants_takes_no_room() {
    let context = Context::new().unwrap();
    let dish = Dish::with_options(&context, Options::default().recv_mark(1)).unwrap();
    dish.join("TV").unwrap();
    let (radio, _monitor) = near(&context, &dish);
    for _ in 0..50 {
        radio.send("Movies", "Godfather").unwrap();
    }
    // Nobody receives meanwhile, and yet it reads on.
    until("all to be dropped", || {
        dish.stats().incoming.dropped.of(DropReason::NotSubscribed) == 50
    });
    radio.send("TV", "Friends").unwrap();
    until("what is wanted", || dish.stats().incoming.queued == 1);
    assert_eq!(heard(&dish), text("TV", "Friends"));
}

#[test]
fn at_its_mark_a_dish_reads_no_more_and_goes_on_where_it_stopped() {
    let context = Context::new().unwrap();
    let dish = Dish::with_options(&context, Options::default().recv_mark(3)).unwrap();
    dish.join("n").unwrap();
    let (radio, _monitor) = near(&context, &dish);
    for n in 0..40_u8 {
        radio.send("n", &[n]).unwrap();
    }
    until("all to be written", || radio.stats().out.passed == 40);
    until("the mark", || dish.stats().incoming.queued == 3);
    for n in 0..40_u8 {
        assert_eq!(heard(&dish).1, Message::from(&[n]));
    }
    assert_eq!(dish.stats().incoming.taken, 40);
}

#[test]
fn unbind_frees_the_port_and_a_second_bind_hears_again() {
    let context = Context::new().unwrap();
    let dish = joined(&context, "TV");
    // An address that no other test has: the port is free for a moment.
    let at = dish.bind("udp://127.0.0.2:0").unwrap();
    let other = Dish::new(&context);
    let Err(BindError::Io { error, .. }) = other.bind(&at) else {
        panic!("two at one address would take each other's messages")
    };
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let (radio, _monitor) = radio(&context, at.to_string(), Options::default());
    radio.send("TV", "one").unwrap();
    assert_eq!(heard(&dish), text("TV", "one"));

    dish.unbind(&at).unwrap();

    assert!(dish.stats().peers.is_empty());
    drop(UdpSocket::bind(address(&at)).unwrap());
    assert_eq!(dish.bind(&at).unwrap(), at);
    radio.send("TV", "two").unwrap();
    assert_eq!(heard(&dish), text("TV", "two"));
}

#[test]
fn that_nobody_listens_is_no_end() {
    let context = Context::new().unwrap();
    let (listener, there) = stranger_at("127.0.0.3:0");
    let (radio, monitor) = radio(&context, there, Options::default());
    let at = listener.local_addr().unwrap();
    drop(listener);
    for n in 1..=50 {
        radio.send("TV", "nobody").unwrap();
        until("it to be written", || radio.stats().out.passed == n);
    }

    let listener = UdpSocket::bind(at).unwrap();
    listener.set_read_timeout(Some(LONG)).unwrap();
    radio.send("TV", "somebody").unwrap();
    assert_eq!(received(&listener), b"\x02TVsomebody");
    let stats = radio.stats();
    assert_eq!(
        (stats.out.passed, stats.out.dropped.total(), stats.reconnects),
        (51, 0, 0)
    );
    while let Ok(event) = monitor.try_recv() {
        assert!(!event.to_string().contains("disconnected"), "{event}");
    }
}

#[test]
fn only_a_radio_connects_to_udp_and_only_a_dish_binds_it() {
    let context = Context::new().unwrap();
    let (radio, dish) = (Radio::new(&context), Dish::new(&context));
    let (push, sub) = (Push::new(&context), Sub::new(&context));
    let at = "udp://127.0.0.1:5555";
    let bind = |result: Result<Endpoint, BindError>| result.unwrap_err().to_string();
    let connect = |result: Result<(), ConnectError>| result.unwrap_err().to_string();
    for (error, why) in [
        (bind(radio.bind(at)), "over udp a RADIO socket connects, and DISH binds"),
        (
            connect(dish.connect(at)),
            "over udp a DISH socket binds, and RADIO connects",
        ),
        (bind(sub.bind(at)), "only RADIO and DISH speak udp"),
        (connect(sub.connect(at)), "only RADIO and DISH speak udp"),
        (connect(push.connect(at)), "only RADIO and DISH speak udp"),
        (
            connect(radio.connect("udp://*:5")),
            "host * is for binding; connecting needs to know which (did you mean udp://127.0.0.1:5?)",
        ),
        (
            bind(dish.bind("udp://127.0.0.1;127.0.0.1:5")),
            "to bind, what stands before the ; is the interface of a multicast group, without a port \
             (did you mean udp://127.0.0.1:5?)",
        ),
    ] {
        assert!(error.ends_with(why), "{error}");
    }
}

#[test]
fn closing_writes_what_is_queued_and_waits_for_nobody() {
    let context = Context::new().unwrap();
    let (stranger, there) = stranger();
    let hour = Duration::from_secs(3_600);
    let (radio, _monitor) = radio(&context, there, Options::default().linger(hour));
    for n in 0..100_u8 {
        radio.send("n", &[n]).unwrap();
    }

    let begun = Instant::now();
    let report = radio.close().unwrap();

    assert!(begun.elapsed() < LONG);
    assert_eq!((report.written(), report.dropped()), (100, 0));
    assert!(!report.peers[0].confirmed, "nobody says that any has arrived");
    for n in 0..100 {
        assert_eq!(received(&stranger), [1, b'n', n]);
    }
    let dish = Dish::with_options(&context, Options::default().linger(hour)).unwrap();
    let at = dish.bind("udp://127.0.0.4:0").unwrap();
    dish.close().unwrap();
    drop(UdpSocket::bind(address(&at)).unwrap());
}

#[test]
fn what_is_queued_goes_before_a_disconnect() {
    let context = Context::new().unwrap();
    let (stranger, there) = stranger();
    let (radio, monitor) = radio(&context, &there, Options::default());
    for n in 0..100_u8 {
        radio.send("n", &[n]).unwrap();
    }
    radio.disconnect(&there[..]).unwrap();
    wait_for!(monitor, Disconnected);
    for n in 0..100 {
        assert_eq!(received(&stranger), [1, b'n', n]);
    }
    radio.send("n", "nobody").unwrap();
    assert_eq!(radio.stats().out.dropped.of(DropReason::NoSubscriber), 1);
    assert!(radio.stats().out.is_conserved());
}

#[test]
fn who_hears_by_datagrams_is_neither_asked_nor_counted() {
    let context = Context::new().unwrap();
    let dish = Dish::new(&context);
    let (radio, _monitor) = near(&context, &dish);
    assert!(radio.wait_for_members("TV", 1, Duration::ZERO).is_err());
    radio.send("Movies", "Godfather").unwrap();
    let causes = radio.explain().causes;
    let is_it = |cause: &Cause| matches!(cause, Cause::NoSubscription { .. } | Cause::NoneMatches { .. });
    assert!(!causes.iter().any(is_it), "{causes:?}");

    let other = Radio::new(&context);
    dish.connect(other.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    assert_eq!(dish.join_confirmed("TV", LONG).unwrap(), 1);
    other.send("TV", "by tcp").unwrap();
    assert_eq!(heard(&dish), text("TV", "by tcp"));
    radio.send("TV", "by udp").unwrap();
    assert_eq!(heard(&dish), text("TV", "by udp"));
}

#[test]
fn many_threads_send_and_each_datagram_is_whole() {
    let context = Context::new().unwrap();
    let (stranger, there) = stranger();
    let (radio, _monitor) = radio(&context, there, Options::default());
    thread::scope(|scope| {
        for letter in b'a'..b'e' {
            let radio = &radio;
            scope.spawn(move || {
                for n in 0..25 {
                    radio.send([letter], vec![letter; n * 40]).unwrap();
                }
            });
        }
    });
    let mut next = [0; 4];
    for _ in 0..100 {
        let datagram = received(&stranger);
        let letter = datagram[1];
        let n = &mut next[usize::from(letter - b'a')];
        assert_eq!(datagram, [vec![1, letter], vec![letter; *n * 40]].concat());
        *n += 1;
    }
}

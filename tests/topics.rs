//! Who may subscribe to what.

mod common;

use common::{LONG, address, endpoint, hello, until, wait_connected, wait_for};
use peermq::*;
use std::io::{Read, Write};
use std::net::TcpStream;

/// One that lets all in, as a user that may have these topics.
fn limited(topics: &'static [&'static str]) -> Security {
    Null::ask(move |_: &Claim| Verdict::Admit(User::new("ann").limit_topics(topics)))
}

fn options(topics: &'static [&'static str]) -> Options {
    Options::default().security(limited(topics))
}

#[test]
fn a_beginning_that_is_allowed_allows_what_begins_so_and_nothing_wider() {
    let user = User::new("ann").limit_topics(["news.", "weather"]);
    for topic in ["news.", "news.local", "weather", "weathering"] {
        assert!(user.may_subscribe(topic.as_bytes()), "{topic}");
    }
    for topic in ["", "news", "New.", "sport", "weathe"] {
        assert!(!user.may_subscribe(topic.as_bytes()), "{topic}");
    }
    assert!(User::new("bob").may_subscribe(b""));
    assert!(!User::new("eve").limit_topics([""; 0]).may_subscribe(b""));
    assert!(User::new("root").limit_topics([""]).may_subscribe(b""));
}

#[test]
fn what_a_peer_may_not_have_it_does_not_get_and_the_rest_goes_on() {
    for transport in ["tcp", "ipc"] {
        let context = Context::new().unwrap();
        let publisher = Pub::with_options(&context, options(&["news."])).unwrap();
        let monitor = publisher.monitor();
        let sub = Sub::new(&context);
        sub.connect(publisher.bind(endpoint(transport)).unwrap()).unwrap();
        wait_connected(&monitor);
        sub.subscribe_confirmed("sport.", LONG).unwrap();
        sub.subscribe_confirmed("", LONG).unwrap();
        sub.subscribe_confirmed("news.", LONG).unwrap();
        sub.subscribe_confirmed("news", LONG).unwrap();

        for topic in ["sport.1", "else", "news", "news.2"] {
            publisher.send(topic).unwrap();
        }

        assert_eq!(sub.recv_timeout(LONG).unwrap(), "news.2");
        let event = wait_for!(monitor, SubscriptionRefused);
        let Event::SubscriptionRefused { topic, refused, .. } = &event else {
            panic!("{event}")
        };
        assert_eq!((topic.as_slice(), *refused), (&b"sport."[..], 1));
        assert!(
            event
                .to_string()
                .ends_with("may not subscribe to \"sport.\" (1 refused so far)")
        );
        let event = wait_for!(monitor, SubscriptionRefused);
        assert!(event.to_string().ends_with("\"\" (2 refused so far)"), "{event}");
        let stats = publisher.stats();
        assert_eq!(
            (stats.refused_subscriptions, stats.peers[0].refused_subscriptions),
            (3, 3)
        );
        assert_eq!((publisher.topics(), stats.peers[0].is_connected), (1, true));

        drop(sub);
        wait_for!(monitor, Disconnected);
        until("it is gone", || publisher.stats().peers.is_empty());
        assert_eq!(publisher.stats().refused_subscriptions, 3);
    }
}

#[test]
fn an_xpub_hands_over_what_was_taken_only() {
    for manual in [false, true] {
        let context = Context::new().unwrap();
        let options = match manual {
            true => options(&["a"]).manual(true),
            false => options(&["a"]).verbosity(Verbosity::All),
        };
        let publisher = XPub::with_options(&context, options).unwrap();
        let monitor = publisher.monitor();
        let sub = Sub::new(&context);
        sub.connect(publisher.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        wait_connected(&monitor);
        for topic in ["b", "", "ab"] {
            sub.subscribe(topic).unwrap();
        }
        let next = || publisher.recv_timeout(LONG).unwrap();
        let Upstream::Subscribe { topic, .. } = next() else {
            panic!()
        };
        assert_eq!(topic, "ab");

        sub.unsubscribe("b").unwrap();
        sub.unsubscribe("ab").unwrap();

        let Upstream::Cancel { topic, .. } = next() else {
            panic!()
        };
        assert_eq!(topic, "ab");
        assert_eq!(publisher.stats().refused_subscriptions, 2);
    }
}

#[test]
fn a_group_is_joined_by_who_may() {
    let context = Context::new().unwrap();
    let radio = Radio::with_options(&context, options(&["north"])).unwrap();
    let dish = Dish::new(&context);
    dish.connect(radio.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    for group in ["south", "north"] {
        dish.join(group).unwrap();
    }
    radio.wait_for_members("north", 1, LONG).unwrap();

    for group in ["south", "north"] {
        radio.send(group, format!("to {group}")).unwrap();
    }

    let (group, message) = dish.recv_timeout(LONG).unwrap();
    assert_eq!(
        (group.as_ref(), message),
        (b"north".as_ref(), Message::from("to north"))
    );
    assert_eq!(radio.stats().refused_subscriptions, 1);
}

/// There a subscription takes away: who has none gets everything, whatever it may subscribe to.
#[test]
fn with_inverted_matching_the_limit_keeps_nothing_from_anybody() {
    let context = Context::new().unwrap();
    let publisher = Pub::with_options(&context, options(&["news."]).invert_matching(true)).unwrap();
    let monitor = publisher.monitor();
    let sub = Sub::with_options(&context, Options::default().invert_matching(true)).unwrap();
    sub.connect(publisher.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    wait_connected(&monitor);
    sub.subscribe_confirmed("news.", LONG).unwrap();

    for topic in ["news.1", "sport.1"] {
        publisher.send(topic).unwrap();
    }

    assert_eq!(sub.recv_timeout(LONG).unwrap(), "sport.1");
}

/// Before ZMTP 3.1 subscriptions are messages. A thousand refused are told ten times.
#[test]
fn refused_messages_are_counted_as_dropped_and_told_ever_less() {
    let context = Context::new().unwrap();
    let publisher = Pub::with_options(&context, options(&["a"])).unwrap();
    let monitor = publisher.monitor();
    let here = address(&publisher.bind("tcp://127.0.0.1:0").unwrap());
    let mut stream = TcpStream::connect(here).unwrap();
    let mut said = hello("SUB");
    said[11] = 0;
    for _ in 0..1_000 {
        said.extend_from_slice(b"\0\x03\x01b\x07");
    }
    said.extend_from_slice(b"\0\x02\x01a");
    stream.write_all(&said).unwrap();
    publisher.wait_for_subscribers("a", 1, LONG).unwrap();

    publisher.send("b\x07 no").unwrap();
    publisher.send("a yes").unwrap();

    let mut greeting = [0; 64 + 2];
    stream.read_exact(&mut greeting).unwrap();
    let mut rest = vec![0; usize::from(greeting[65]) + 7];
    stream.read_exact(&mut rest).unwrap();
    assert!(rest.ends_with(b"\0\x05a yes"), "{}", rest.escape_ascii());
    let stats = publisher.stats();
    assert_eq!(stats.incoming.dropped.of(DropReason::NotAuthorised), 1_000);
    assert_eq!((stats.refused_subscriptions, stats.ignored_commands), (1_000, 0));
    drop(stream);
    publisher.close().unwrap();
    let refusals = std::iter::from_fn(|| monitor.recv().ok());
    let told: Vec<String> = refusals
        .filter(|event| matches!(event, Event::SubscriptionRefused { .. }))
        .map(|event| event.to_string())
        .collect();
    assert_eq!(told.len(), 10, "{told:?}");
    assert!(
        told[9].ends_with(r#"subscribe to "b\x07" (512 refused so far)"#),
        "{}",
        told[9]
    );
}

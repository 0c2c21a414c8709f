//! Nonces that count, and what CURVE's two sides refuse.

use super::*;

#[test]
fn nonces_count_the_commands_of_each_side() {
    let [from_client, from_server] = transcript(&pairs()[1]);
    let at = |frame: &[u8], name, at: usize| {
        let nonce = data(frame, name)[at..].first_chunk();
        u64::from_be_bytes(*nonce.unwrap())
    };
    assert_eq!(at(&from_client[1], "HELLO", 106), 1);
    assert_eq!(at(&from_client[2], "INITIATE", 96), 2);
    assert_eq!(at(&from_server[2], "READY", 0), 1);

    let (mut a, mut b) = in_sealed_traffic();
    for number in 0..10 {
        assert_eq!(number_of(&a.sealed(&frame(0, b"x"))), 3 + number);
        assert_eq!(number_of(&b.sealed(&frame(0, b"x"))), 2 + number);
    }
}

#[test]
fn behind_the_last_nonce_nothing_is_sealed() {
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    for name in [b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES"] {
        let mut sealer = Sealer::new(key.messages(name), u64::MAX - 1);
        let plain = frame(0, b"x");
        let mut seal = || {
            let mut out = Vec::new();
            let taken = sealer.seal(&[std::io::IoSlice::new(&plain)], usize::MAX, &mut out);
            (taken, out)
        };

        let (last, message) = seal();
        assert_eq!((last, number_of(&message)), (Some(plain.len()), u64::MAX - 1));
        for _ in 0..2 {
            assert_eq!(seal(), (None, Vec::new()));
        }
    }
}

/// An INITIATE with this nonce, whose boxes are right.
fn initiate(from_client: &[Vec<u8>], number: u64) -> Vec<u8> {
    let it = secrets();
    let plain = initiate_of(&from_client[2], &it.clients_transient);
    let key = key(&it.clients_transient, &it.servers_transient);
    let cookie = &data(&from_client[2], "INITIATE")[..96];
    let sealed = sealed(&key, b"CurveZMQINITIATE", number, &plain);
    command("INITIATE", &[cookie, &sealed].concat())
}

#[test]
fn a_client_that_uses_a_nonce_again_is_left() {
    let [from_client, _] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    // That of HELLO was 1.
    for (number, is_new) in [(0, false), (1, false), (2, true), (1_000, true)] {
        let (_, mut server) = ends(&pairs()[1]);
        server.hear(&from_client[..2].concat()).unwrap();
        assert_eq!(server.hear(&initiate(&from_client, number)).is_ok(), is_new, "{number}");
        assert_eq!(server.facts.is_some(), is_new, "{number}");
    }
    for (numbers, received) in [(&[3, 4][..], 2), (&[2], 0), (&[1], 0), (&[3, 3], 1), (&[3, 4, 3], 2)] {
        let (_, mut server) = ends(&pairs()[1]);
        server.hear(&from_client.concat()).unwrap();
        let said = numbers
            .iter()
            .map(|&number| message(&key, b"CurveZMQMESSAGEC", number, 0, b"x"));
        let heard = server.hear(&said.collect::<Vec<_>>().concat());
        assert_eq!(heard.is_ok(), received == numbers.len(), "{numbers:?}");
        assert_eq!(server.received().len(), received, "{numbers:?}");
    }
}

#[test]
fn a_server_that_uses_a_nonce_again_is_left() {
    let [_, from_server] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    for (numbers, received) in [(&[2, 3][..], 2), (&[1], 0), (&[0], 0), (&[2, 2], 1), (&[2, 3, 2], 2)] {
        let (mut client, _) = ends(&pairs()[1]);
        client.hear(&from_server.concat()).unwrap();
        let said = numbers
            .iter()
            .map(|&number| message(&key, b"CurveZMQMESSAGES", number, 0, b"x"));
        let heard = client.hear(&said.collect::<Vec<_>>().concat());
        assert_eq!(heard.is_ok(), received == numbers.len(), "{numbers:?}");
        assert_eq!(client.received().len(), received, "{numbers:?}");
    }
}

/// Each side begins with what it likes.
#[test]
fn the_first_nonce_may_be_any() {
    let it = secrets();
    let [from_client, from_server] = transcript(&pairs()[1]);
    for first in [0, 1, 2, 1 << 40] {
        let (_, mut server) = ends(&pairs()[1]);
        server.hear(&from_client[0]).unwrap();
        let hello = Hello {
            nonce: first,
            ..Hello::right()
        };
        server.hear(&hello.said()).unwrap();
        server.hear(&initiate(&from_client, first + 1)).unwrap();

        let (mut client, _) = ends(&pairs()[1]);
        client.hear(&from_server[..2].concat()).unwrap();
        let key = key(&it.clients_transient, &it.servers_transient);
        let ready = command("READY", &sealed(&key, b"CurveZMQREADY---", first, ROUTER));
        client.hear(&ready).unwrap();

        for (end, name) in [(&mut client, b"CurveZMQMESSAGES"), (&mut server, b"CurveZMQMESSAGEC")] {
            let number = if end.role.is_server() { first + 2 } else { first + 1 };
            end.hear(&message(&key, name, number, 0, b"first")).unwrap();
            assert_eq!(end.received(), [Message::from("first")]);
        }
    }
}

// -- what is refused

/// A HELLO, of which one thing may be another.
struct Hello<'a> {
    version: [u8; 2],
    padding: [u8; 72],
    key: PublicKey,
    nonce: u64,
    text: &'a [u8],
    sealed_for: PublicKey,
}

impl Hello<'_> {
    fn right() -> Self {
        let it = secrets();
        Hello {
            version: [1, 0],
            padding: [0; 72],
            key: it.clients_transient.public(),
            nonce: 1,
            text: &[0; 64],
            sealed_for: it.server.public(),
        }
    }

    fn said(&self) -> Vec<u8> {
        let key = BoxKey::agreed(&secrets().clients_transient, &self.sealed_for).unwrap();
        let sealed = sealed(&key, b"CurveZMQHELLO---", self.nonce, self.text);
        let data = [&self.version[..], &self.padding, self.key.as_bytes(), &sealed];
        command("HELLO", &data.concat())
    }
}

#[test]
fn a_hello_of_other_fields_is_refused() {
    let heard = |hello: &Hello<'_>| {
        let (mut client, mut server) = ends(&pairs()[1]);
        server.hear(&client.say()).unwrap();
        server.say();
        let heard = server.hear(&hello.said());
        (heard.is_ok(), server.say().len())
    };
    assert_eq!(heard(&Hello::right()), (true, 2 + 168));

    let padding = |at: usize| {
        let mut padding = [0; 72];
        padding[at] = 1;
        Hello {
            padding,
            ..Hello::right()
        }
    };
    let version = |version| Hello {
        version,
        ..Hello::right()
    };
    let another = secret(99).public();
    let wrong = [
        version([1, 1]),
        version([2, 0]),
        version([0, 1]),
        padding(0),
        padding(71),
        Hello {
            key: another,
            ..Hello::right()
        },
        Hello {
            text: &[1; 64],
            ..Hello::right()
        },
        Hello {
            text: &[0; 63],
            ..Hello::right()
        },
        Hello {
            sealed_for: another,
            ..Hello::right()
        },
    ];
    for (n, hello) in wrong.iter().enumerate() {
        assert_eq!(heard(hello), (false, 0), "{n}");
    }
}

#[test]
fn who_is_not_let_in_hears_error_and_nothing_else() {
    let others = Curve::server(secret(1)).allow([secret(99).public()]);
    let mut server = End::new(with(Router, &others), Side::Accepted);
    let [from_client, _] = transcript(&pairs()[1]);
    server.hear(&from_client[..2].concat()).unwrap();
    server.say();

    let failure = server.hear(&from_client[2]).unwrap_err();

    assert!(matches!(failure, Failure::NotAdmitted { .. }), "{failure}");
    assert_eq!(server.say(), b"\x04\x0a\x05ERROR\x03400");
}

/// An ERROR is the server's.
#[test]
fn a_client_says_no_error() {
    let [_, from_server] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    for (metadata, is_right) in [
        (ROUTER, true),
        (b"\x0bSocket-Type\0\0\0\x03PUB", false),
        (b"\x0bSocket-Type\0\0\0\x07ROUTER", false),
        (b"", false),
    ] {
        let (mut client, _) = ends(&pairs()[1]);
        client.hear(&from_server[..2].concat()).unwrap();
        client.say();

        let ready = command("READY", &sealed(&key, b"CurveZMQREADY---", 1, metadata));
        assert_eq!(client.hear(&ready).is_ok(), is_right);

        assert_eq!(client.say(), b"");
    }
}

#[test]
fn behind_ready_the_client_takes_messages_and_nothing_else() {
    let [_, from_server] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    let first = message(&key, b"CurveZMQMESSAGES", 2, 0, b"first");
    let (mut client, _) = ends(&pairs()[1]);
    client.hear(&from_server[..2].concat()).unwrap();

    // At once.
    client.hear(&[&from_server[2][..], &first].concat()).unwrap();

    assert_eq!(client.received(), [Message::from("first")]);
    let others = [
        from_server[2].clone(),
        command("READY", &sealed(&key, b"CurveZMQREADY---", 2, ROUTER)),
        command("ERROR", b"\x03400"),
        frame(0, b"in clear"),
        message(&key, b"CurveZMQMESSAGEC", 2, 0, b"of a client"),
    ];
    for other in others {
        let (mut client, _) = ends(&pairs()[1]);
        client.hear(&from_server.concat()).unwrap();
        assert!(client.hear(&other).is_err(), "{}", other.escape_ascii());
        assert!(client.received().is_empty());
    }
}

#[test]
fn reserved_flags_in_a_box_are_refused() {
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    for bit in 0..8 {
        let (_, mut server) = in_sealed_traffic();
        let said = message(&key, b"CurveZMQMESSAGEC", 3, 1 << bit, b"\x04PING\0\0");

        let heard = server.hear(&said);

        match bit {
            0 | 1 => heard.unwrap(),
            _ => assert!(
                matches!(heard, Err(Failure::Malformed { what: "MESSAGE", .. })),
                "{bit}: {heard:?}"
            ),
        }
    }
}

#[test]
fn a_malformed_command_is_not_answered() {
    let [from_client, _] = transcript(&pairs()[1]);
    let it = secrets();
    let key = key(&it.clients_transient, &it.servers_transient);
    let changed = |word: &[u8]| {
        let mut changed = word.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        changed
    };
    let right = message(&key, b"CurveZMQMESSAGEC", 3, 0, b"x");
    let wrong = [
        (1, changed(&from_client[1])),
        (2, changed(&from_client[2])),
        (3, changed(&right)),
        (3, message(&key, b"CurveZMQMESSAGEC", 3, 0x80, b"x")),
        (3, message(&key, b"CurveZMQMESSAGEC", 2, 0, b"x")),
        (3, frame(0, b"\x07MESSAGE")),
        (3, frame(0, b"x")),
    ];
    for (behind, wrong) in wrong {
        let mut server = End::new(with(Router, &server()), Side::Accepted);
        server.hear(&from_client[..behind].concat()).unwrap();
        server.say();

        assert!(server.hear(&wrong).is_err(), "{}", wrong.escape_ascii());

        assert_eq!(server.say(), b"", "{}", wrong.escape_ascii());
    }
}

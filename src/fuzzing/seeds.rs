//! What fuzzers begin with: what honest peers say, and what people write.

use super::words::{command, frame, greeting, metadata, property};
use crate::batch::frame::MORE;
use crate::keys::{Certificate, SecretKey};
use crate::socket_type::SocketType;

type Seeds = Vec<(String, Vec<u8>)>;

/// Those of a target, each with a name.
pub(super) fn seeds(target: &str) -> Seeds {
    let all = match target {
        "calls" => calls(),
        "certificates" => certificates(),
        "confirmed" => confirmed(),
        "curve" => curve(),
        "datagrams" => datagrams(),
        "endpoints" => ENDPOINTS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "frames" => frames(),
        "greeting" => greetings(),
        "null" => handshakes(false),
        "plain" => handshakes(true),
        "options" => options(),
        "socks5" => socks5(),
        "zap" => zap(),
        _ => Vec::new(),
    };
    let named = |(n, bytes)| (format!("seed-{n:02}"), bytes);
    all.into_iter().enumerate().map(named).collect()
}

/// Bytes behind their length.
fn long(bytes: &[u8]) -> Vec<u8> {
    match u8::try_from(bytes.len()) {
        Ok(len) if len < u8::MAX => [&[len], bytes].concat(),
        _ => {
            let len = u16::try_from(bytes.len()).expect("a seed is short");
            [&[u8::MAX], &len.to_be_bytes()[..], bytes].concat()
        }
    }
}

/// Two sentences of each side, and a source with workers that come, take, fail, go, and are late.
fn confirmed() -> Vec<Vec<u8>> {
    let hello = [&b"CD\x01\x01"[..], &[7; 16], &[0; 16], &[0, 0, 0, 1, 0, 0]].concat();
    let done = b"CD\x01\x03\0\x01\0\0\0\0\0\0\0\x01".to_vec();
    let task = b"CD\x01\x82\0\0\0\0\0\0\0\x01\0\x01\0\0\0\0\x01\0\0\0\0\0\0\0\0\x01k\0\x01h".to_vec();
    let settings = [50, 0, 1, 0, 15, 1, 0, 2];
    let story = [
        &settings[..],
        &[0, 0, b't', b'a', b's', b'k', 0, 0, 0], // a task
        &[0, 7, 0, 1, 0, 2, 0, 0],                // HELLO of the first worker
        &[0, 7, 2, 1, 0, 0],                      // DONE
        &[0, 2, 0, 200],                          // time
        &[0, 3],                                  // the connection is lost
        &[1, 6, 42],                              // HELLO in octets, of the second
        &hello,
        &[1, 7, 3, 0, 0, 0, 0], // FAILED
        &[1, 7, 7, 0],          // BYE
    ];
    vec![hello.clone(), done, task, story.concat()]
}

fn greetings() -> Vec<Vec<u8>> {
    let strangers: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x01\0\x05\0hello",
        b"\xff\0\0\0\0\0\0\x01\x00\0identity",
    ];
    let honest = [("NULL", 0), ("PLAIN", 1), ("PLAIN", 2), ("CURVE", 3), ("CURVE", 4)];
    let honest = honest.map(|(mechanism, role)| {
        let ready = command(b"READY", &metadata(SocketType::Push));
        let first = greeting(mechanism, role % 2 == 1);
        [&[role, 0, 0, 0, 0][..], &first, &ready].concat()
    });
    let strangers = strangers.map(|said| [&[0, 0, 0, 0, 0], said].concat());
    honest.into_iter().chain(strangers).collect()
}

/// Of types, sides and limits, and what is said as it is.
fn handshakes(is_plain: bool) -> Vec<Vec<u8>> {
    let ready = [
        metadata(SocketType::Dealer),
        property("Identity", b"you"),
        property("X-a", b"b"),
    ]
    .concat();
    let hello = command(b"HELLO", b"\x04name\x04word");
    let then = [frame(MORE, b"one"), frame(0, &[7; 300]), command(b"PING", b"\0\x05ctx")].concat();
    let ready_of = |name: &[u8]| command(name, &ready);
    let error = command(b"ERROR", b"\x03400");
    match is_plain {
        false => vec![
            [&[2, 0, 0, 1][..], &ready_of(b"READY"), &then].concat(),
            [
                &[3, 1, 1, 1][..],
                &command(b"READY", &metadata(SocketType::Router)),
                &then,
            ]
            .concat(),
            [&[2, 1, 0, 1][..], &error].concat(),
            [
                &[4, 0, 0, 1][..],
                &command(b"READY", &metadata(SocketType::Sub)),
                &command(b"SUBSCRIBE", b"a"),
            ]
            .concat(),
        ],
        true => vec![
            [&[2, 1, 0, 0, 1][..], &hello, &ready_of(b"INITIATE"), &then].concat(),
            [
                &[2, 0, 0, 1, 1][..],
                &command(b"WELCOME", b""),
                &ready_of(b"READY"),
                &then,
            ]
            .concat(),
            [&[2, 0, 0, 1, 1][..], &error].concat(),
            [&[2, 1, 0, 0, 1][..], &command(b"HELLO", b"\x04name\x05wrong")].concat(),
        ],
    }
}

fn frames() -> Vec<Vec<u8>> {
    let said = [
        [frame(0, b"one"), frame(MORE, b""), frame(0, &[7; 300])].concat(),
        [frame(0, &[1; 255]), frame(0, &[2; 256]), frame(0, b"")].concat(),
        [
            command(b"PING", b"\0\x05ctx"),
            command(b"PONG", b"ctx"),
            command(b"PING", b"\0\0"),
        ]
        .concat(),
        b"\x02\0\0\0\0\0\0\x01\0".to_vec(),
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        [frame(0, b"\x01topic"), frame(0, b"\0topic")].concat(),
    ];
    let commands = [
        (
            4,
            [command(b"SUBSCRIBE", b"topic"), command(b"CANCEL", b"topic")].concat(),
        ),
        (13, [command(b"JOIN", b"group"), command(b"LEAVE", b"group")].concat()),
        (10, command(b"ERROR", b"\x03why")),
    ];
    // Word by word: frames of 66,048 and of 510 bytes, and one in between.
    let large = [3, 0, 0, 0, 1, 6, 1, 3, 0x81, 0, 1, 1, 2, b'a', b'b', 1, 6, 0, 3, 0, 255].to_vec();
    let all = said.into_iter().enumerate().map(|(n, said)| ((n % 5) as u8, said));
    all.chain(commands)
        .map(|(types, said)| [&[types, 0, 0, 1][..], &said].concat())
        .chain([large])
        .collect()
}

/// What is said is sealed by the target.
fn curve() -> Vec<Vec<u8>> {
    let message = |body: &[u8]| [&[0, 4, 0][..], &long(body), &[0]].concat();
    let more = |body: &[u8]| [&[0, 4, 1][..], &long(body), &[0]].concat();
    let ping = [0, 2, 5, 0, 5, b'c', b't', b'x', 0];
    let traffic = [message(b"one"), more(b"two"), message(&[7; 300]), ping.to_vec()].concat();
    let itself = [&[0][..], &long(&property("Identity", b"you"))].concat();
    // A server that hears HELLO and INITIATE, and a client that hears WELCOME and READY.
    [1, 0]
        .into_iter()
        .flat_map(|is_server| {
            let head = [is_server, 2, 0, 0, 1];
            [
                [&head[..], &[0, 0], &itself, &traffic].concat(),
                [
                    &head[..],
                    &[0, 0],
                    &itself,
                    &message(b""),
                    &[32, 0, 0, 0, 0, 0, 0, 0, 9, 4, 0, 1, b'x', 0],
                ]
                .concat(),
                [&head[..], &[16], &long(&[0; 64])].concat(),
                [&head[..], &[0, 16, 1], &long(&[1; 150])].concat(),
                [&head[..], &[15, 7], b"\x05ERROR\x03400"].concat(),
                [&head[..], &[0, 64], &itself, &[9, 1]].concat(),
            ]
        })
        .collect()
}

fn datagrams() -> Vec<Vec<u8>> {
    let all: [&[&[u8]]; 4] = [
        &[b"\x02TVFriends", b"\0", b"\x05four", b""],
        &[b"\x01aBODY"],
        &[b"\xff", &[1; 400]],
        &[b"\x03abc"],
    ];
    let datagrams = all.map(|all| [&[0, 0][..], &all.iter().flat_map(|one| long(one)).collect::<Vec<_>>()].concat());
    let streams = [[&[3, 1][..], &[5; 700]].concat(), [&[3, 0][..], b"GET /"].concat()];
    datagrams.into_iter().chain(streams).collect()
}

fn certificates() -> Vec<Vec<u8>> {
    let noted = Certificate::from(SecretKey::from_bytes([1; 32]))
        .with_metadata("name", "Alice")
        .expect("it can be said");
    let (public, secret) = noted.texts();
    let public = public.into_bytes();
    let key = SecretKey::from_bytes([2; 32]).public();
    let other = format!(
        "# a comment\nmetadata\n\tname = 'it is \"so\"' # a\n    x = plain#text\nother\n  a = b\ncurve\n    public-key = \"{key}\"\n"
    );
    let unquoted = format!("curve\n    public-key = {key}\n");
    let secret = secret.expect("it has one").as_bytes().to_vec();
    let texts = [
        other,
        unquoted,
        key.to_string(),
        "%nSc0".repeat(8),
        "curve\n  public-key = \"\"\n".to_owned(),
    ];
    [public, secret]
        .into_iter()
        .chain(texts.map(String::into_bytes))
        .collect()
}

/// Setters, by their number.
fn options() -> Vec<Vec<u8>> {
    vec![
        vec![2, 0, 10, 3, 20],
        vec![0, 45, 1, 7, 45, 3, 9, 9],
        vec![1, 0, 0, 3, 0],
        [&[2, 26][..], &long(b"X-name"), &long(b"value")].concat(),
        vec![2, 19, 50, 20, 60, 21, 70],
        [&[2, 23, 1][..], &long(b"hello"), &long(b"you"), &[27], &long(b"me")].concat(),
        vec![2, 36, 1, 38, 9, 39, 9, 9],
        vec![2, 36, 3, 42, 43, 5],
        [
            &[2, 49, 10][..],
            &long(b"proxy.test:1080"),
            &long(b"me"),
            &long(b"word"),
            &[1],
        ]
        .concat(),
        [&[2, 49, 7][..], &long(b"eth0")].concat(),
        vec![2, 49, 0, 9, 9, 9, 49, 6, 9, 49, 8, 9, 49, 9, 3, 1],
        [&[2, 44, 1, 9, 0][..], &long(b"me"), &long(b"word")].concat(),
        vec![2, 44, 1, 9, 3, 2, 1],
        vec![2, 30, 1, 1, 31, 9, 3, 33, 1],
        vec![2, 9, 203, 10, 203, 11, 4, 12, 9, 14, 9, 9],
    ]
}

fn socks5() -> Vec<Vec<u8>> {
    let to = |address: &[u8]| [&[5, 0, 0][..], address, &[0x15, 0xB3]].concat();
    let name = [&[3, 9][..], b"name.test"].concat();
    let addresses = [to(&[1, 127, 0, 0, 1]), to(&[&[4][..], &[0xFE; 16]].concat()), to(&name)];
    let mut all: Vec<Vec<u8>> = addresses
        .iter()
        .map(|reply| [&[0, 0, 7, 5, 0][..], reply, b"\xFFgreeting"].concat())
        .collect();
    all.push([&[1, 1, 7, 5, 2, 1, 0][..], &addresses[0]].concat());
    all.push(vec![1, 1, 7, 5, 2, 1, 1]);
    all.push(vec![0, 0, 7, 5, 0xFF]);
    all.push(vec![2, 0, 7, 5, 0, 5, 5]);
    all
}

fn zap() -> Vec<Vec<u8>> {
    let good: [&[u8]; 7] = [b"", b"1.0", b"12345678", b"200", b"OK", b"me", b"\x03X-a\0\0\0\x01b"];
    let whole = good.iter().flat_map(|frame| long(frame)).collect::<Vec<_>>();
    let statuses = [b"200", b"300", b"400", b"500", b"201"].map(|status| [&[4], &status[..]].concat());
    let mut all = vec![
        [&[0, 7][..], &whole].concat(),
        [&[7][..], good[6]].concat(),
        b"\x06me".to_vec(),
    ];
    all.extend(statuses);
    // With a text beside a status that is none of admitting.
    let refusal: [&[u8]; 7] = [b"", b"1.0", b"12345678", b"400", b"no\n", b"", b""];
    all.push(
        [
            &[0, 7][..],
            &refusal.iter().flat_map(|frame| long(frame)).collect::<Vec<_>>(),
        ]
        .concat(),
    );
    all
}

/// A game of each pair of types: all that is done is done once.
fn calls() -> Vec<Vec<u8>> {
    (0..9)
        .chain([250, 253])
        .map(|pair| {
            let settings = [pair, pair % 8, pair % 4, 3, 9, 4, 9, pair];
            // A REQ says how it tells replies apart.
            let more: &[u8] = if pair == 250 { &[1, 0] } else { &[] };
            let begin = [&[0; 7][..], &settings, more, &[pair % 2]].concat();
            // Wants topics that begin with an a; two messages go there, and a large one back.
            let wants = [5, 39, 0x8B, 1, b'a', 1, 5, 39];
            let sends = [0, 1, 2, b'a', b'b', 1, b'c', 0, 0, 0, 1, b'a', 0, 5, 39, 5, 39];
            let answers = [0x83, 0x80, 2, 1, b'a', 0, 1, b'n', 15, 1, 200, 5, 39, 3];
            let receives = [3, 0x83, 5, 20, 0x84, 4, 7, 0, 90, 3];
            let strangers = [
                12, 0, 5, 9, 12, 4, 12, 8, 12, 12, 5, 20, 12, 32, 1, 2, b'a', b'b', 5, 20,
            ];
            let network = [
                13, 0, 1, 13, 5, 0, 0, 0, 5, 30, 13, 3, 0, 50, 13, 4, 3, 1, 5, 39, 14, 1, 7, 0, 9, 14, 0,
            ];
            let ends = [10, 0, 5, 9, 9, 1, 0x8A, 0, 15, 0, 5, 20, 0x8F, 0, 6, 30];
            [
                &begin[..],
                &wants,
                &sends,
                &answers,
                &receives,
                &strangers,
                &network,
                &ends,
            ]
            .concat()
        })
        .collect()
}

const ENDPOINTS: [&str; 35] = [
    "tcp://127.0.0.1:5555",
    "tcp://*:*",
    "tcp://localhost:5555",
    "tcp://eth0.100:5555",
    "tcp://[::]:5555",
    "tcp://[fe80::1%eth0]:5555",
    "tcp://[FE80::1%03]:1",
    "tcp://192.168.1.17:6000;192.168.1.1:5555",
    "tcp://[fe80::1%3]:0;[fe80::2%wlp4s0]:5555",
    "tcp://127.0.0.1;host:0080",
    "udp://239.1.2.3:5555",
    "udp://192.168.1.17;239.1.2.3:5555",
    "udp://[ff02::1%eth0]:5555",
    "udp://*:1",
    "ipc://*",
    "ipc:///run/app/socket",
    "ipc://@name",
    "ipc:///a b/ü",
    "inproc://any thing; *@://",
    "localhost:5555",
    ":5555",
    "5555",
    "/run/socket",
    "TCP://host:1",
    "unix:///a",
    "tpc://a:1",
    "tcp://host:1/path",
    "tcp://::1:5555",
    "tcp://host:65536",
    " tcp://host:1\n",
    "192.0.2.0/24",
    "192.0.2.7/24",
    "2001:db8::/32",
    "::ffff:10.0.0.0/104",
    "::1",
];

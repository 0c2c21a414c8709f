//! What strangers cost those who belong: peers that were let in before, and honest ones that come meanwhile.
//!
//! `cargo bench --bench strangers -- [--seconds S] [--rounds N] [--json FILE]`.
//!
//! "Hellos": messages a second, of 64 bytes, from one peer to a CURVE server, with and without 500 HELLOs a second of
//! strangers. Each HELLO is one that its server opens and answers, which is as dear as it gets for who holds no key that is
//! let in. "Silent": how long it takes 50 honest peers to be let in, all at once, while a stranger holds 10,000 connections
//! on which nothing is ever said, as many of them as the server keeps. Each side is a process of its own.

mod support;

use peermq::{Context, Curve, Options, Pull, Push, SecretKey};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use support::{Args, Role};

const HELLOS_PER_SECOND: u32 = 500;
const SILENT: usize = 10_000;
const HONEST: usize = 50;
const LIMIT: Duration = Duration::from_secs(30);

fn main() {
    let args = Args::read();
    let (to, key) = (
        || args.value("--to").expect("--to"),
        || args.value("--key").expect("--key"),
    );
    match args.value("--role") {
        Some("server") => server(),
        Some("peer") => peer(to(), key()),
        Some("hellos") => hellos(to(), key()),
        Some("silent") => silent(to()),
        _ => all(&args),
    }
}

fn all(args: &Args) {
    let rounds = args
        .number("--rounds")
        .unwrap_or(if args.has("--bench") { 5 } else { 1 });
    let mut rows = Vec::new();
    let mut ratios: Vec<f64> = (0..rounds)
        .map(|_| {
            let [alone, beside] = [false, true].map(|is_flooded| throughput(args.duration(), is_flooded));
            println!(
                "hellos: {alone:.0} messages/s alone, {beside:.0} beside {HELLOS_PER_SECOND} HELLOs/s: {:.2}",
                beside / alone
            );
            beside / alone
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("hellos: {median:.2} of the throughput is left (median of {rounds})");
    rows.push(support::json_object(&[("hellos_left", median.to_string())]));
    for _ in 0..rounds {
        let [alone, beside] = [0, SILENT].map(admission);
        println!(
            "silent: {HONEST} are let in after {:.0} ms alone, {:.0} ms beside {SILENT} that say nothing",
            alone * 1e3,
            beside * 1e3
        );
        rows.push(support::json_object(&[
            ("alone_s", alone.to_string()),
            ("beside_s", beside.to_string()),
        ]));
    }
    support::write_json(args, "strangers", &rows);
}

/// Messages a second that a peer gets through to a server.
fn throughput(duration: Duration, is_flooded: bool) -> f64 {
    let mut server = Role::start(None, &["--role", "server"]);
    let (to, key) = (server.line(), server.line());
    let _peer = Role::start(None, &["--role", "peer", "--to", &to, "--key", &key]);
    received(&mut server, 1.0);
    let _hellos = is_flooded.then(|| {
        let mut hellos = Role::start(None, &["--role", "hellos", "--to", &to, "--key", &key]);
        assert_eq!(hellos.line(), "begun");
        hellos
    });
    let before = received(&mut server, 1.0);
    let begin = Instant::now();
    thread::sleep(duration);
    (received(&mut server, 1.0) - before) / begin.elapsed().as_secs_f64()
}

/// How many messages a server has received, once these are there.
fn received(server: &mut Role, least: f64) -> f64 {
    let begin = Instant::now();
    loop {
        server.tell("count");
        let [count] = server.numbers();
        if count >= least {
            return count;
        }
        assert!(begin.elapsed() < LIMIT, "{count} of {least} messages came");
    }
}

/// Seconds until the last of the honest peers has got a message through.
fn admission(silent: usize) -> f64 {
    let mut server = Role::start(None, &["--role", "server"]);
    let (to, key) = (server.line(), server.line());
    let _silent = (silent > 0).then(|| {
        let mut strangers = Role::start(None, &["--role", "silent", "--to", &to]);
        assert_eq!(strangers.line(), "begun");
        strangers
    });
    let context = Context::new().expect("a context");
    let key = key.parse().expect("a key");
    let begin = Instant::now();
    let honest: Vec<Push> = (0..HONEST).map(|_| connected(&context, &to, key)).collect();
    for push in &honest {
        push.send("honest").expect("send");
    }
    received(&mut server, HONEST as f64);
    begin.elapsed().as_secs_f64()
}

fn connected(context: &Context, to: &str, key: peermq::PublicKey) -> Push {
    let security = Curve::client(SecretKey::generate().expect("a key"), key);
    let push = Push::with_options(context, Options::default().security(security)).expect("options");
    push.connect(to).expect("connect");
    push
}

/// Receives until it is killed, and says how many so far when it is asked.
fn server() {
    let context = Context::new().expect("a context");
    let secret = SecretKey::generate().expect("a key");
    let key = secret.public();
    let options = Options::default().security(Curve::server(secret).allow_any());
    let pull = Pull::with_options(&context, options).expect("options");
    println!("{}\n{key}", pull.bind("tcp://127.0.0.1:0").expect("bind"));
    thread::spawn({
        let context = context.clone();
        move || {
            for _ in std::io::stdin().lines() {
                let sockets = context.stats().sockets;
                println!("{}", sockets[0].stats.incoming.passed);
            }
        }
    });
    while pull.recv().is_ok() {}
}

/// Sends until it is killed.
fn peer(to: &str, key: &str) {
    let context = Context::new().expect("a context");
    let push = connected(&context, to, key.parse().expect("a key"));
    while push.send(&[7; 64][..]).is_ok() {}
}

/// Says one and the same HELLO on ever new connections, until it is killed.
fn hellos(to: &str, key: &str) {
    let said = greeting_and_hello(key);
    let to = to.trim_start_matches("tcp://");
    // They are not gone at once: what the server answers has somewhere to go.
    let mut open = VecDeque::new();
    let begin = Instant::now();
    for count in 0.. {
        let mut stream = TcpStream::connect(to).expect("connect");
        let _is_taken = stream.write_all(&said);
        open.push_back(stream);
        if open.len() > HELLOS_PER_SECOND as usize {
            open.pop_front();
        }
        if count == HELLOS_PER_SECOND / 10 {
            println!("begun");
        }
        let next = begin + Duration::from_secs(1) * count / HELLOS_PER_SECOND;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// What a client says to this server until it is answered.
fn greeting_and_hello(key: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let here = format!("tcp://{}", listener.local_addr().expect("an address"));
    let context = Context::new().expect("a context");
    let _client = connected(&context, &here, key.parse().expect("a key"));
    let mut stream = listener.accept().expect("the client").0;
    let mut greeting = [0; 64];
    greeting[..12].copy_from_slice(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01");
    greeting[12..17].copy_from_slice(b"CURVE");
    greeting[32] = 1;
    stream.write_all(&greeting).expect("write");
    // RFC 25: 200 octets, and the two of the frame's header.
    let mut said = vec![0; greeting.len() + 2 + 200];
    stream.read_exact(&mut said).expect("a greeting and a HELLO");
    said
}

/// Holds connections and says nothing, until it is killed.
fn silent(to: &str) {
    let to = to.trim_start_matches("tcp://");
    let _all: Vec<TcpStream> = (0..SILENT).map(|_| TcpStream::connect(to).expect("connect")).collect();
    println!("begun");
    thread::park();
}

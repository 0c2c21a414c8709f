//! Interop with libzmq, through pyzmq: one Python process, told what to do by lines (`interop.py`).
//!
//! `PEERMQ_PYTHON` names the Python; else `.venv/bin/python`, else `python3`. Without pyzmq the tests say so and pass,
//! unless `PEERMQ_INTEROP=required`.

mod common;

use common::{until, wait_for};
use peermq::{Context, Dealer, Identity, Message, Options, Pair, Pull, Push, Rep, Req, Router};
use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_secs(10);
/// The peer's own waits end after `LIMIT`, and it is to tell so itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
const SIZES: [usize; 6] = [0, 1, 255, 256, 8192, 1 << 20];
const FRAMES: [usize; 2] = [1, 3];

#[test]
fn push_to_pull() {
    for_each_way("PULL", |peer, way| {
        let push = Push::new(&way.context);
        way.link(peer, |at| push.bind(at).unwrap(), |to| push.connect(to).unwrap());
        for shape in shapes() {
            peer.tell(format_args!("recv {} {shape}", way.name));
        }
        for shape in shapes() {
            shape.lend(|frames| push.send_timeout(frames, LIMIT).unwrap());
        }
        peer.all_ok(shapes().count());
        assert!(push.close().unwrap().is_confirmed());
    });
}

#[test]
fn pull_from_push() {
    for_each_way("PUSH", |peer, way| {
        let pull = Pull::new(&way.context);
        way.link(peer, |at| pull.bind(at).unwrap(), |to| pull.connect(to).unwrap());
        for shape in shapes() {
            peer.tell(format_args!("send {} {shape}", way.name));
        }
        for shape in shapes() {
            shape.check(&pull.recv_timeout(LIMIT).unwrap());
        }
        peer.all_ok(shapes().count());
    });
}

#[test]
fn req_to_rep() {
    requests_to("REP");
}

#[test]
fn req_to_router() {
    requests_to("ROUTER");
}

fn requests_to(kind: &str) {
    for_each_way(kind, |peer, way| {
        let req = Req::new(&way.context);
        way.link(peer, |at| req.bind(at).unwrap(), |to| req.connect(to).unwrap());
        for shape in shapes() {
            peer.tell(format_args!("echo {} {shape}", way.name));
            let reply = shape.lend(|frames| req.request_timeout(frames, LIMIT).unwrap());
            shape.check(&reply);
            peer.all_ok(1);
        }
    });
}

#[test]
fn rep_to_req() {
    replies_to("REQ");
}

#[test]
fn rep_to_dealer() {
    replies_to("DEALER");
}

fn replies_to(kind: &str) {
    for_each_way(kind, |peer, way| {
        let rep = Rep::new(&way.context);
        way.link(peer, |at| rep.bind(at).unwrap(), |to| rep.connect(to).unwrap());
        for shape in shapes() {
            peer.tell(format_args!("ask {} {shape}", way.name));
            let request = rep.recv_timeout(LIMIT).unwrap();
            shape.check(request.message());
            let reply = request.message().clone();
            request.reply(reply).unwrap();
            peer.all_ok(1);
        }
    });
}

#[test]
fn pair_with_pair() {
    for_each_way("PAIR", |peer, way| {
        let pair = Pair::new(&way.context);
        way.link(peer, |at| pair.bind(at).unwrap(), |to| pair.connect(to).unwrap());
        for shape in shapes() {
            peer.tell(format_args!("echo {} {shape}", way.name));
        }
        for shape in shapes() {
            shape.lend(|frames| pair.send_timeout(frames, LIMIT).unwrap());
        }
        for shape in shapes() {
            shape.check(&pair.recv_timeout(LIMIT).unwrap());
        }
        peer.all_ok(shapes().count());
    });
}

/// To a ROUTER a DEALER is one more identity; a REP wants an empty frame in front.
#[test]
fn dealer_to_dealer_router_and_rep() {
    for (kind, envelope) in [("DEALER", &[][..]), ("ROUTER", &[&b"x"[..], b""]), ("REP", &[b""])] {
        for_each_way(kind, |peer, way| {
            let dealer = Dealer::new(&way.context);
            way.link(peer, |at| dealer.bind(at).unwrap(), |to| dealer.connect(to).unwrap());
            for shape in shapes() {
                peer.tell(format_args!("echo {} {shape}", way.name));
                shape.lend(|frames| {
                    let frames = [envelope, frames].concat();
                    dealer.send_timeout(&frames[..], LIMIT).unwrap();
                });
                let mut back = dealer.recv_timeout(LIMIT).unwrap().into_frames();
                assert_eq!(back[..envelope.len()], *envelope);
                shape.check(&Message::from_frames(back.split_off(envelope.len())).unwrap());
                peer.all_ok(1);
            }
        });
    }
}

#[test]
fn router_from_req_and_dealer() {
    for kind in ["REQ", "DEALER"] {
        for_each_way(kind, |peer, way| {
            let router = Router::new(&way.context);
            way.link(peer, |at| router.bind(at).unwrap(), |to| router.connect(to).unwrap());
            for shape in shapes() {
                peer.tell(format_args!("ask {} {shape}", way.name));
                let (sender, message) = router.recv_timeout(LIMIT).unwrap();
                assert!(sender.is_made_up());
                assert_eq!(message.first(), b"");
                shape.check(&Message::from_frames(message.clone().into_frames().split_off(1)).unwrap());
                router.send_to(&sender, message).unwrap();
                peer.all_ok(1);
            }
        });
    }
}

#[test]
fn router_to_router() {
    for_each_way("ROUTER", |peer, way| {
        let options = Options::default().identity(Identity::new("ours").unwrap());
        let router = Router::with_options(&way.context, options).unwrap();
        let theirs = Identity::new("theirs").unwrap();
        way.link(
            peer,
            |at| router.bind(at).unwrap(),
            |to| router.connect_as(to, &theirs).unwrap(),
        );
        until("who is there", || !router.identities().is_empty());
        let theirs = router.identities().remove(0);
        for shape in shapes() {
            peer.tell(format_args!("echo {} {shape}", way.name));
            let sent = shape.lend(|frames| {
                let frames = [&[&b""[..]], frames].concat();
                router.send_to(&theirs, &frames[..])
            });
            sent.unwrap();
            let (sender, message) = router.recv_timeout(LIMIT).unwrap();
            assert_eq!(sender, theirs);
            shape.check(&Message::from_frames(message.into_frames().split_off(1)).unwrap());
            peer.all_ok(1);
        }
    });
}

/// The reader starts a second late, and sends PINGs that arrive after our end of stream. Its heartbeat timeout is
/// long: a libzmq peer that has stopped reading at its mark does not see our PONG, and would cut the connection itself.
#[test]
fn close_waits_for_a_late_reader_that_pings() {
    const COUNT: usize = 10_000;
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let context = Context::new().unwrap();
            let name = unique();
            peer.ask(format_args!(
                "open {name} PULL HEARTBEAT_IVL=100 HEARTBEAT_TIMEOUT=30000"
            ));
            let place = Place::new(transport);
            let endpoint = peer.ask(format_args!("bind {name} {}", place.theirs()));
            let push = Push::with_options(&context, Options::default().send_mark(COUNT)).unwrap();
            push.connect(endpoint.as_str()).unwrap();
            peer.tell(format_args!("read_late {name} 1 {COUNT} 1024"));
            for shape in plain(0..COUNT, 1024) {
                shape.lend(|frames| push.send_timeout(frames, LIMIT).unwrap());
            }
            let report = push.close().unwrap();
            peer.all_ok(1);
            assert!(report.is_confirmed(), "{transport}: {report:?}");
            assert_eq!(report.written(), COUNT as u64, "{transport}: {report:?}");
            peer.ask(format_args!("close {name}"));
        }
    });
}

/// T38 `test_heartbeat_notimeout`: both sides ask, and an idle pair that lives is not parted. libzmq echoes our context.
#[test]
fn hearts_beat_on_both_sides() {
    for_each_way("PAIR HEARTBEAT_IVL=50 HEARTBEAT_TIMEOUT=1000", |peer, way| {
        let options = Options::default().heartbeat(50 * MS).heartbeat_timeout(1_000 * MS);
        let pair = Pair::with_options(&way.context, options).unwrap();
        let monitor = pair.monitor();
        way.link(peer, |at| pair.bind(at).unwrap(), |to| pair.connect(to).unwrap());
        wait_for!(monitor, Connected);
        until("a PING was answered", || pair.stats().peers[0].round_trip.is_some());
        let parted = monitor.recv_timeout(1_200 * MS);
        assert!(parted.is_err(), "{parted:?}");
        for shape in shapes() {
            peer.tell(format_args!("echo {} {shape}", way.name));
            shape.lend(|frames| pair.send_timeout(frames, LIMIT).unwrap());
            shape.check(&pair.recv_timeout(LIMIT).unwrap());
            peer.all_ok(1);
        }
    });
}

/// libzmq counts silence also towards a peer that has no room for what it sends: ours says that it lives all the same.
#[test]
fn libzmq_does_not_part_from_a_receiver_of_ours_that_does_not_read() {
    for_each_way("PUSH HEARTBEAT_IVL=100 HEARTBEAT_TIMEOUT=600", |peer, way| {
        let options = Options::default().heartbeat(100 * MS).recv_mark(1);
        let pull = Pull::with_options(&way.context, options).unwrap();
        let monitor = pull.monitor();
        way.link(peer, |at| pull.bind(at).unwrap(), |to| pull.connect(to).unwrap());
        wait_for!(monitor, Connected);
        let shapes = || plain(0..40, 1 << 19);
        for shape in shapes() {
            peer.ask(format_args!("send {} {shape}", way.name));
        }
        let parted = monitor.recv_timeout(1_500 * MS);
        assert!(parted.is_err(), "{parted:?}");
        for shape in shapes() {
            shape.check(&pull.recv_timeout(LIMIT).unwrap());
        }
    });
}

/// A PING by default would part from it: it does not answer while it does not read. Waits for longer than our default
/// interval and timeout together, while others use the process.
#[test]
fn a_libzmq_receiver_that_does_not_read_is_not_parted_from_and_then_gets_everything() {
    let (context, name, count) = (Context::new().unwrap(), unique(), 200);
    let push = Push::new(&context);
    let monitor = push.monitor();
    let shapes = || plain(0..count, 1 << 17);
    let mut is_there = false;
    with_peer(|peer| {
        is_there = true;
        peer.ask(format_args!("open {name} PULL RCVHWM=1"));
        let endpoint = peer.ask(format_args!("bind {name} tcp://127.0.0.1:*"));
        push.connect(endpoint.as_str()).unwrap();
        wait_for!(monitor, Connected);
        for shape in shapes() {
            shape.lend(|frames| push.send_timeout(frames, LIMIT).unwrap());
        }
    });
    if !is_there {
        return;
    }
    let parted = monitor.recv_timeout(17_000 * MS);
    assert!(parted.is_err(), "{parted:?}");
    assert!(push.stats().out.queued > 0, "it was really stopped");
    with_peer(|peer| {
        for shape in shapes() {
            peer.ask(format_args!("recv {name} {shape}"));
        }
        peer.ask(format_args!("close {name}"));
    });
}

#[test]
fn we_may_connect_before_they_bind() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (name, place) = (unique(), Place::new(transport));
            peer.ask(format_args!("open {name} PULL"));
            let endpoint = peer.ask(format_args!("bind {name} {}", place.theirs()));
            peer.ask(format_args!("close {name}"));
            wait_until_free(&endpoint);

            let context = Context::new().unwrap();
            let push = Push::new(&context);
            let monitor = push.monitor();
            push.connect(endpoint.as_str()).unwrap();
            let shapes = || plain(0..10, 100);
            for shape in shapes() {
                shape.lend(|frames| push.send_timeout(frames, LIMIT).unwrap());
            }
            wait_for!(monitor, RetryingIn);
            peer.ask(format_args!("open {name} PULL"));
            peer.ask(format_args!("bind {name} {endpoint}"));
            for shape in shapes() {
                peer.ask(format_args!("recv {name} {shape}"));
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

#[test]
fn they_may_connect_before_we_bind() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (name, place) = (unique(), Place::new(transport));
            let context = Context::new().unwrap();
            let reserved = Pull::new(&context);
            let endpoint = reserved.bind(place.ours()).unwrap();
            reserved.close().unwrap();

            peer.ask(format_args!("open {name} PUSH"));
            peer.ask(format_args!("connect {name} {endpoint}"));
            let shapes = || plain(0..10, 100);
            for shape in shapes() {
                peer.ask(format_args!("send {name} {shape}"));
            }
            let pull = Pull::new(&context);
            pull.bind(&endpoint).unwrap();
            for shape in shapes() {
                shape.check(&pull.recv_timeout(LIMIT).unwrap());
            }
            peer.ask(format_args!("close {name}"));
        }
    });
}

#[test]
fn a_restarted_pull_is_found_again() {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            let (name, place) = (unique(), Place::new(transport));
            let context = Context::new().unwrap();
            let push = Push::new(&context);
            let monitor = push.monitor();
            peer.ask(format_args!("open {name} PULL"));
            let endpoint = peer.ask(format_args!("bind {name} {}", place.theirs()));
            push.connect(endpoint.as_str()).unwrap();
            for life in 0..3 {
                let shapes = || plain(life * 10..life * 10 + 10, 1000);
                for shape in shapes() {
                    shape.lend(|frames| push.send_timeout(frames, LIMIT).unwrap());
                }
                for shape in shapes() {
                    peer.ask(format_args!("recv {name} {shape}"));
                }
                peer.ask(format_args!("close {name}"));
                // What is written to a dead connection before its end is known may be lost.
                wait_for!(monitor, Disconnected);
                peer.ask(format_args!("open {name} PULL"));
                peer.ask(format_args!("bind {name} {endpoint}"));
            }
            wait_for!(monitor, Connected);
            assert_eq!(push.stats().reconnects, 3, "{transport}: {:?}", push.stats());
            peer.ask(format_args!("close {name}"));
        }
    });
}

// ---- the ways to be connected ----

const TRANSPORTS: [&str; 2] = ["tcp", "ipc"];

/// One connection between a socket of ours and one of theirs.
struct Way {
    context: Context,
    name: String,
    place: Place,
    we_bind: bool,
}

impl Way {
    fn link<E: Display>(&self, peer: &mut Peer, bind: impl FnOnce(&str) -> E, connect: impl FnOnce(&str)) {
        if self.we_bind {
            let endpoint = bind(&self.place.ours());
            peer.ask(format_args!("connect {} {endpoint}", self.name));
        } else {
            let endpoint = peer.ask(format_args!("bind {} {}", self.name, self.place.theirs()));
            connect(&endpoint);
        }
    }
}

fn for_each_way(kind: &str, run: impl Fn(&mut Peer, &Way)) {
    with_peer(|peer| {
        for transport in TRANSPORTS {
            for we_bind in [true, false] {
                let way = Way {
                    context: Context::new().unwrap(),
                    name: unique(),
                    place: Place::new(transport),
                    we_bind,
                };
                peer.about = format!(
                    "{kind} over {transport}, we {}",
                    if we_bind { "bind" } else { "connect" }
                );
                peer.ask(format_args!("open {} {kind}", way.name));
                run(peer, &way);
                peer.ask(format_args!("close {}", way.name));
            }
        }
    });
}

/// Where to bind: a port that the system chooses, or a file that is removed in the end.
struct Place(Option<PathBuf>);

impl Place {
    fn new(transport: &str) -> Self {
        let file = format!("peermq-{}-{}.sock", std::process::id(), unique());
        Place((transport == "ipc").then(|| std::env::temp_dir().join(file)))
    }

    fn ours(&self) -> String {
        self.file("tcp://127.0.0.1:0")
    }

    fn theirs(&self) -> String {
        self.file("tcp://127.0.0.1:*")
    }

    fn file(&self, or: &str) -> String {
        self.0
            .as_ref()
            .map_or(or.to_owned(), |path| format!("ipc://{}", path.display()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn unique() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// libzmq closes a listener some time after `close` has returned.
fn wait_until_free(endpoint: &str) {
    let deadline = Instant::now() + LIMIT;
    let is_taken = || match endpoint.strip_prefix("tcp://") {
        Some(address) => std::net::TcpStream::connect(address).is_ok(),
        None => std::os::unix::net::UnixStream::connect(endpoint.trim_start_matches("ipc://")).is_ok(),
    };
    while is_taken() {
        assert!(Instant::now() < deadline, "{endpoint} is not freed");
        std::thread::yield_now();
    }
}

// ---- messages that both sides compute ----

static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |i: u32| (i.wrapping_mul(7) + (i >> 8) * 13 + (i >> 16) * 29) as u8;
    (0..(1 << 20) + (1 << 16)).map(byte).collect()
});

struct Shape {
    seed: usize,
    frames: usize,
    size: usize,
}

fn shapes() -> impl Iterator<Item = Shape> {
    let kinds = FRAMES.into_iter().flat_map(|frames| SIZES.map(|size| (frames, size)));
    kinds
        .enumerate()
        .map(|(seed, (frames, size))| Shape { seed, frames, size })
}

/// One frame each, all of one size.
fn plain(seeds: Range<usize>, size: usize) -> impl Iterator<Item = Shape> {
    seeds.map(move |seed| Shape { seed, frames: 1, size })
}

impl Shape {
    fn frame(&self, index: usize) -> &'static [u8] {
        let start = (self.seed * 131 + index * 31) & 0xFFFF;
        &PATTERN[start..start + self.size]
    }

    fn lend<T>(&self, send: impl FnOnce(&[&[u8]]) -> T) -> T {
        let frames: Vec<&[u8]> = (0..self.frames).map(|index| self.frame(index)).collect();
        send(&frames)
    }

    fn check(&self, message: &Message) {
        assert_eq!(message.frame_count(), self.frames, "frames of {self}");
        for (index, frame) in message.frames().enumerate() {
            assert_eq!(frame.len(), self.size, "bytes of frame {index} of {self}");
            assert!(frame == self.frame(index), "frame {index} of {self} has other bytes");
        }
    }
}

/// As the peer is told it: seed, frames, size.
impl Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.seed, self.frames, self.size)
    }
}

// ---- the Python process ----

struct Peer {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<String>,
    about: String,
}

/// The tests take turns with one process; one that failed in the middle leaves none behind.
fn with_peer(run: impl FnOnce(&mut Peer)) {
    static PEER: Mutex<Option<Peer>> = Mutex::new(None);
    let mut place = PEER.lock().unwrap_or_else(PoisonError::into_inner);
    let mut peer = match place.take().map_or_else(Peer::start, Ok) {
        Ok(peer) => peer,
        Err(why) if std::env::var("PEERMQ_INTEROP").is_ok_and(|value| value == "required") => panic!("{why}"),
        Err(why) => return eprintln!("skipped: {why}"),
    };
    run(&mut peer);
    *place = Some(peer);
}

impl Peer {
    fn start() -> Result<Self, String> {
        let python = std::env::var_os("PEERMQ_PYTHON").map_or_else(default_python, PathBuf::from);
        let found = Command::new(&python)
            .args(["-c", "import zmq"])
            .stderr(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            return Err(format!(
                "{} has no pyzmq (PEERMQ_PYTHON names another Python)",
                python.display()
            ));
        }
        let mut child = Command::new(&python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", python.display()))?;
        let orders = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, answers) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let about = String::from("start");
        let mut peer = Peer {
            child,
            orders,
            answers,
            about,
        };
        println!("{}", peer.answer());
        Ok(peer)
    }

    /// An order whose answer is read later.
    fn tell(&mut self, order: impl Display) {
        writeln!(self.orders, "{order}").expect("the Python process takes orders");
    }

    /// An order and its answer.
    fn ask(&mut self, order: impl Display) -> String {
        self.tell(order);
        self.answer()
    }

    fn all_ok(&mut self, orders: usize) {
        (0..orders).for_each(|_| drop(self.answer()));
    }

    fn answer(&mut self) -> String {
        let about = &self.about;
        match self.answers.recv_timeout(ANSWER_LIMIT) {
            Ok(line) => match line.strip_prefix("ok") {
                Some(answer) => answer.trim().to_owned(),
                None => panic!("{about}: {line}"),
            },
            Err(error) => panic!("{about}: no answer from Python: {error}"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn default_python() -> PathBuf {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if venv.exists() { venv } else { PathBuf::from("python3") }
}

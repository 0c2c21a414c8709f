//! What neighbours cost: sockets that nobody waits for, and a quiet peer beside a loud one. Microseconds.
//!
//! `cargo bench --bench neighbours -- [--seconds S] [--json FILE]`.
//!
//! "Late": eight PULLs share a context, and one thread waits for one of them only, which gets nothing, or a message at
//! times, on which the thread may work for a while, or many. How long after it is sent is a message to one of the other
//! seven there to receive? A future that was polled once is woken then; it is a waiter that cannot drive, so what wakes
//! it is the loop, by whoever drives it.
//!
//! "Echo": a DEALER asks a ROUTER, with and without a PULL of the same context that another process floods, and a thread
//! which receives that; at once after each answer, or a while after it. Where there are few cores, the flood takes its share
//! of them too, and who sleeps for a while may find all of them taken. How much that is, blocking sockets beside it say,
//! between the same processes and beside the same flood, which they have no part in.

mod support;

use peermq::{Context, Dealer, Pull, Push, Router};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use support::{Args, Role};

/// Sockets beside the one that is waited for.
const OTHERS: usize = 7;
const LIMIT: Duration = Duration::from_secs(10);
const WARM_UP: usize = 200;
/// Between messages of which one is measured: longer than who waits looks before it sleeps.
const PAUSE: Duration = Duration::from_millis(1);

fn main() {
    let args = Args::read();
    match args.value("--role") {
        Some("server") => server(),
        Some("flood") => flood(args.value("--to").expect("--to")),
        _ => all(&args),
    }
}

fn all(args: &Args) {
    println!("{:<48} {:>9} {:>9} {:>9} {:>9}", "", "p50", "p99", "max", "count");
    let mut rows = Vec::new();
    let mut show = |name: &str, samples: Vec<u64>| {
        let figures = Figures::of(samples);
        rows.push(figures.show(name));
        figures
    };
    let millisecond = Some(Duration::from_millis(1));
    for (gets, pause, work) in [
        ("nothing", None, Duration::ZERO),
        ("one each ms", millisecond, Duration::ZERO),
        ("one each ms, works 300 us", millisecond, Duration::from_micros(300)),
        ("all it can", Some(Duration::ZERO), Duration::ZERO),
    ] {
        let samples = late(args.duration(), pause, work);
        show(&format!("late; who waits gets {gets}"), samples);
    }
    for (pause, when) in [(Duration::ZERO, "at once"), (PAUSE, "each ms")] {
        for (of, is_raw) in [("", false), ("raw ", true)] {
            let mut show_echo = |beside, is_flooded| {
                let samples = echo(args.duration(), pause, is_raw, is_flooded);
                show(&format!("{of}echo {when}, {beside}"), samples)
            };
            let (quiet, beside) = (show_echo("alone", false), show_echo("beside a flood", true));
            let (p50, p99) = (beside.p50 / quiet.p50, beside.p99 / quiet.p99);
            println!("  beside a flood, p50 is {p50:.1} times as long, and p99 {p99:.1} times");
        }
    }
    support::write_json(args, "neighbours", &rows);
}

/// In microseconds.
struct Figures {
    p50: f64,
    p99: f64,
    most: f64,
    count: usize,
}

impl Figures {
    fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let last = nanoseconds.len() - 1;
        let at = |part: f64| nanoseconds[(last as f64 * part) as usize] as f64 / 1e3;
        Figures {
            p50: at(0.5),
            p99: at(0.99),
            most: at(1.0),
            count: nanoseconds.len(),
        }
    }

    fn show(&self, name: &str) -> String {
        let Figures { p50, p99, most, count } = self;
        println!("{name:<48} {p50:>9.1} {p99:>9.1} {most:>9.1} {count:>9}");
        support::json_object(&[
            ("what", format!("\"{name}\"")),
            ("p50_us", p50.to_string()),
            ("p99_us", p99.to_string()),
            ("max_us", most.to_string()),
            ("count", count.to_string()),
        ])
    }
}

/// The one that is waited for gets a message after each such pause, if any, and who waits for it works so long on each.
fn late(duration: Duration, pause: Option<Duration>, work: Duration) -> Vec<u64> {
    let (here, there) = (context(), context());
    let pair = || {
        let (pull, push) = (Pull::new(&here), Push::new(&there));
        push.connect(pull.bind("tcp://127.0.0.1:0").expect("bind"))
            .expect("connect");
        push.send("are you there?").expect("send");
        pull.recv().expect("a message");
        (pull, push)
    };
    let (awaited, to_awaited) = pair();
    let others: Vec<_> = (0..OTHERS).map(|_| pair()).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while awaited.recv().is_ok() {
                let begin = Instant::now();
                while begin.elapsed() < work {
                    std::hint::spin_loop();
                }
            }
        });
        if let Some(pause) = pause {
            let (is_over, to_awaited) = (&is_over, &to_awaited);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) && to_awaited.send(&[7; 64][..]).is_ok() {
                    if !pause.is_zero() {
                        thread::sleep(pause);
                    }
                }
            });
        }
        let _guard = Ends(&is_over, [&there, &here]);
        let mut samples = Vec::new();
        let end = Instant::now() + duration;
        for (pull, push) in others.iter().cycle() {
            thread::sleep(PAUSE);
            samples.push(lateness(pull, push));
            if Instant::now() > end {
                break;
            }
        }
        samples
    })
}

/// Ends the threads beside, also if something fails: the scope waits for them.
struct Ends<'a>(&'a AtomicBool, [&'a Context; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for context in self.1 {
            context.shutdown();
        }
    }
}

fn lateness(pull: &Pull, push: &Push) -> u64 {
    let begin = Instant::now();
    let bell = Arc::new(Bell {
        begin,
        rang_ns: AtomicU64::new(0),
        listener: thread::current(),
    });
    let waker = Waker::from(bell.clone());
    let mut message = pin!(pull.recv_async());
    let mut look = || message.as_mut().poll(&mut std::task::Context::from_waker(&waker));
    assert!(look().is_pending());
    let sent = begin.elapsed().as_nanos() as u64;
    push.send(&[7; 64][..]).expect("send");
    while bell.rang_ns.load(Ordering::Acquire) == 0 {
        assert!(begin.elapsed() < LIMIT, "nobody was woken");
        thread::park_timeout(LIMIT);
    }
    assert!(matches!(look(), Poll::Ready(Ok(_))));
    bell.rang_ns.load(Ordering::Acquire) - sent
}

/// Keeps when it was woken.
struct Bell {
    begin: Instant,
    /// Zero: it was not.
    rang_ns: AtomicU64,
    listener: Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rang_ns
            .store(self.begin.elapsed().as_nanos() as u64, Ordering::Release);
        self.listener.unpark();
    }
}

fn echo(duration: Duration, pause: Duration, is_raw: bool, is_flooded: bool) -> Vec<u64> {
    let mut server = Role::start(None, &["--role", "server"]);
    let (router, pull, raw) = (server.line(), server.line(), server.line());
    let _flood = is_flooded.then(|| {
        let flood = Role::start(None, &["--role", "flood", "--to", &pull]);
        assert_eq!(server.line(), "flooded");
        flood
    });
    let context = context();
    let dealer = Dealer::new(&context);
    dealer.connect(router.as_str()).expect("connect");
    let mut stream = TcpStream::connect(raw).expect("connect");
    stream.set_nodelay(true).expect("no delay");
    let mut ask = || {
        let begin = Instant::now();
        if is_raw {
            stream.write_all(&[7; 64]).expect("write");
            stream.read_exact(&mut [0; 64]).expect("an answer");
        } else {
            dealer.send(&[7; 64][..]).expect("send");
            dealer.recv_timeout(LIMIT).expect("an answer");
        }
        begin.elapsed().as_nanos() as u64
    };
    for _ in 0..WARM_UP {
        ask();
    }
    let end = Instant::now() + duration;
    let mut samples = Vec::new();
    while Instant::now() < end {
        samples.push(ask());
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
    samples
}

/// Until it is killed.
fn server() {
    let context = context();
    let (router, pull) = (Router::new(&context), Pull::new(&context));
    println!("{}", router.bind("tcp://127.0.0.1:0").expect("bind"));
    println!("{}", pull.bind("tcp://127.0.0.1:0").expect("bind"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    println!("{}", listener.local_addr().expect("an address"));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = listener.accept().expect("a peer").0;
            stream.set_nodelay(true).expect("no delay");
            let mut message = [0; 64];
            while stream.read_exact(&mut message).is_ok() {
                stream.write_all(&message).expect("write");
            }
        });
        scope.spawn(|| {
            pull.recv().expect("a message");
            println!("flooded");
            while pull.recv().is_ok() {}
        });
        loop {
            let (peer, message) = router.recv().expect("a message");
            router.send_to(&peer, message).expect("send");
        }
    });
}

/// Until it is killed.
fn flood(to: &str) {
    let context = context();
    let push = Push::new(&context);
    push.connect(to).expect("connect");
    loop {
        push.send(&[7; 64][..]).expect("send");
    }
}

fn context() -> Context {
    Context::new().expect("a context")
}

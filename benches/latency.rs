//! Round trips of REQ and REP between two processes (inproc: two threads), one at a time.
//!
//! `cargo bench --bench latency -- [--seconds S] [--pin] [--json FILE]`; `--pin` puts both processes on one core.

mod support;

use hdrhistogram::Histogram;
use peermq::{Context, Rep, Req};
use std::time::{Duration, Instant};
use support::{Args, Role};

const SIZES: [usize; 4] = [1, 64, 1024, 65_536];
const TRANSPORTS: [&str; 3] = ["tcp", "ipc", "inproc"];
const WARM_UP: usize = 1000;
const LIMIT: Duration = Duration::from_secs(10);

fn main() {
    let args = Args::read();
    match args.value("--role") {
        Some("server") => server(args.value("--at").expect("--at")),
        Some("client") => {
            let context = Context::new().expect("a context");
            client(
                &context,
                args.value("--to").expect("--to"),
                args.number("--size").expect("--size"),
                args.duration(),
            );
        }
        Some("both") => both(args.number("--size").expect("--size"), args.duration()),
        _ => all(&args),
    }
}

fn all(args: &Args) {
    let core = if args.has("--pin") {
        support::core_to_pin()
    } else {
        None
    };
    let seconds = args.duration().as_secs_f64().to_string();
    let pinned = if core.is_some() { ", all on one core" } else { "" };
    println!("round trip in microseconds, REQ and REP{pinned}");
    println!(
        "{:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "size", "p50", "p90", "p99", "p99.9", "max", "count"
    );
    let mut rows = Vec::new();
    for transport in TRANSPORTS {
        for size in SIZES {
            let words = size.to_string();
            let measure = ["--size", words.as_str(), "--seconds", seconds.as_str()];
            let figures = match transport {
                "inproc" => {
                    let mut both = Role::start(core, &[&["--role", "both"], &measure[..]].concat());
                    let figures = both.numbers();
                    both.end();
                    figures
                }
                _ => two_processes(core, transport, &measure),
            };
            let [p50, p90, p99, p999, max] = [0, 1, 2, 3, 4].map(|at| figures[at] / 1000.0);
            let (size_text, count) = (support::bytes(size), figures[5]);
            println!("{transport:>8} {size_text:>8} {p50:9.1} {p90:9.1} {p99:9.1} {p999:9.1} {max:9.1} {count:9}");
            let text = |value: &str| format!("\"{value}\"");
            rows.push(support::json_object(&[
                ("transport", text(transport)),
                ("bytes", size.to_string()),
                ("pinned", core.is_some().to_string()),
                ("p50_us", p50.to_string()),
                ("p90_us", p90.to_string()),
                ("p99_us", p99.to_string()),
                ("p99_9_us", p999.to_string()),
                ("max_us", max.to_string()),
                ("count", count.to_string()),
            ]));
        }
    }
    support::write_json(args, "latency", &rows);
}

fn two_processes(core: Option<usize>, transport: &str, measure: &[&str]) -> [f64; 6] {
    let path = std::env::temp_dir().join(format!("peermq-latency-{}.sock", std::process::id()));
    let at = match transport {
        "ipc" => format!("ipc://{}", path.display()),
        _ => String::from("tcp://127.0.0.1:0"),
    };
    let mut server = Role::start(core, &["--role", "server", "--at", &at]);
    let endpoint = server.line();
    let mut client = Role::start(core, &[&["--role", "client", "--to", &endpoint], measure].concat());
    let figures = client.numbers();
    client.end();
    server.end();
    figures
}

/// Echoes until an empty request, which it answers too.
fn server(at: &str) {
    let context = Context::new().expect("a context");
    let rep = Rep::new(&context);
    println!("{}", rep.bind(at).expect("bind"));
    echo(&rep);
    rep.close().expect("close");
}

fn echo(rep: &Rep) {
    loop {
        let request = rep.recv().expect("a request");
        let message = request.message().clone();
        let is_end = message.byte_count() == 0;
        request.reply(message).expect("reply");
        if is_end {
            return;
        }
    }
}

fn client(context: &Context, to: &str, size: usize, duration: Duration) {
    let req = Req::new(context);
    req.connect(to).expect("connect");
    let payload = vec![7; size];
    let round_trip = || {
        let reply = req.request_timeout(&payload[..], LIMIT).expect("a reply");
        assert_eq!(reply.byte_count(), size);
    };
    (0..WARM_UP).for_each(|_| round_trip());
    // Bounds are needed: a histogram that resizes itself does not do so for `saturating_record`.
    let mut histogram = Histogram::<u64>::new_with_bounds(1, LIMIT.as_nanos() as u64, 3).expect("a histogram");
    let end = Instant::now() + duration;
    let mut begin = Instant::now();
    while begin < end {
        round_trip();
        let now = Instant::now();
        histogram.saturating_record(now.duration_since(begin).as_nanos() as u64);
        begin = now;
    }
    req.request_timeout("", LIMIT).expect("the last reply");
    let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|part| histogram.value_at_quantile(part));
    println!("{p50} {p90} {p99} {p999} {} {}", histogram.max(), histogram.len());
}

fn both(size: usize, duration: Duration) {
    let context = Context::new().expect("a context");
    let rep = Rep::new(&context);
    rep.bind("inproc://latency").expect("bind");
    std::thread::scope(|scope| {
        scope.spawn(|| echo(&rep));
        client(&context, "inproc://latency", size, duration);
    });
}

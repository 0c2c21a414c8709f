//! The same workloads through peermq and through libzmq, in the same run: each round runs every contender once, the
//! order turns from round to round, and the figures are medians of the rounds.
//!
//! `cargo run --release --manifest-path benches/versus/Cargo.toml -- [--rounds N] [--seconds S] [--sizes 16,64]
//! [--only throughput|latency|fan-out|fan-in]`. Each sender and each receiver is a process of its own.

mod contender;
mod libzmq;
mod peers;
mod roles;
#[path = "../../support/mod.rs"]
mod support;

use support::Role;

/// The others' figures are compared with the first one's.
const CONTENDERS: [&str; 2] = ["peermq", "libzmq"];

fn run(contender: &str, words: &[&str]) {
    match contender {
        "peermq" => roles::run::<peers::Peermq>(words),
        "libzmq" => roles::run::<libzmq::Libzmq>(words),
        _ => panic!("no such contender: {contender}"),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--role", contender, words @ ..] => run(contender, words),
        words => compare(&Plan::read(words)),
    }
}

struct Plan {
    rounds: usize,
    seconds: String,
    sizes: Vec<usize>,
    only: Option<String>,
}

impl Plan {
    fn read(words: &[&str]) -> Self {
        let mut plan = Plan {
            rounds: 3,
            seconds: String::from("2"),
            sizes: vec![16, 64, 256, 1024, 8192, 65_536, 1 << 20],
            only: None,
        };
        for pair in words.chunks(2) {
            match pair {
                ["--rounds", rounds] => plan.rounds = rounds.parse().expect("--rounds"),
                ["--seconds", seconds] => plan.seconds = String::from(*seconds),
                ["--sizes", sizes] => {
                    plan.sizes = sizes.split(',').map(|size| size.parse().expect("--sizes")).collect()
                }
                ["--only", what] => plan.only = Some(String::from(*what)),
                _ => {
                    eprintln!(
                        "options: --rounds N, --seconds S, --sizes 16,64, --only throughput|latency|fan-out|fan-in"
                    );
                    std::process::exit(2);
                }
            }
        }
        plan
    }

    fn wants(&self, what: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == what)
    }

    /// Figures of each contender: each the median of the rounds; and the range of the first.
    fn medians<const N: usize>(&self, measure: impl Fn(&str) -> [f64; N]) -> Vec<([f64; N], Range)> {
        let mut figures = vec![Vec::new(); CONTENDERS.len()];
        for round in 0..self.rounds {
            for turn in 0..CONTENDERS.len() {
                let at = if round % 2 == 0 {
                    turn
                } else {
                    CONTENDERS.len() - 1 - turn
                };
                figures[at].push(measure(CONTENDERS[at]));
            }
        }
        let summary = |rounds: &Vec<[f64; N]>| {
            let each = |at: usize| rounds.iter().map(move |figures| figures[at]);
            let range = Range {
                least: each(0).fold(f64::INFINITY, f64::min),
                most: each(0).fold(0.0, f64::max),
            };
            (std::array::from_fn(|at| median(each(at))), range)
        };
        figures.iter().map(summary).collect()
    }
}

/// How far the rounds lie apart.
struct Range {
    least: f64,
    most: f64,
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} to {:.0}", self.least, self.most)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

fn compare(plan: &Plan) {
    let names = CONTENDERS.map(|contender| {
        let mut role = start(None, contender, &["name"]);
        role.line()
    });
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    println!(
        "{}; {cores} cores; medians of {} rounds of {} s",
        names.join(" and "),
        plan.rounds,
        plan.seconds
    );
    if plan.wants("throughput") {
        throughput(plan, &names);
    }
    if plan.wants("latency") {
        latency(plan, &names);
    }
    if plan.wants("fan-out") {
        println!("\nPUB to SUB over TCP, marks 1,000, nothing dropped; messages published a second");
        fans(plan, &names, &[1, 8, 64], pub_sub);
    }
    if plan.wants("fan-in") {
        println!("\nPUSH to one PULL over TCP, marks 1,000; messages received a second");
        fans(plan, &names, &[8, 64], fan_in);
    }
}

/// One socket, and many on the other side.
fn fans(plan: &Plan, names: &[String], many: &[usize], run: fn(&str, usize, usize, &str) -> f64) {
    println!(
        "{:>9} {:>9} {:<14} {:>12} {:>7}  messages/s of the rounds",
        "sockets", "size", "", "messages/s", "ratio"
    );
    for &count in many {
        for &size in plan.sizes.iter().filter(|size| [64, 1024].contains(size)) {
            let figures = plan.medians(|contender| [run(contender, count, size, &plan.seconds)]);
            for (name, ([rate], range)) in names.iter().zip(&figures) {
                let ratio = figures[0].0[0] / rate;
                println!("{count:>9} {size:>9} {name:<14} {rate:12.0} {ratio:7.2}  {range}");
            }
        }
    }
}

/// Messages published a second; each reaches all.
fn pub_sub(contender: &str, subscribers: usize, size: usize, seconds: &str) -> f64 {
    let mut publisher = start(
        None,
        contender,
        &["pub", &subscribers.to_string(), &size.to_string(), seconds],
    );
    let endpoint = publisher.line();
    let subs: Vec<_> = (0..subscribers)
        .map(|_| start(None, contender, &["sub", &endpoint]))
        .collect();
    let [sent, _] = publisher.numbers();
    let mut slowest: f64 = 0.0;
    for mut sub in subs {
        let [arrived, elapsed, _] = sub.numbers();
        assert_eq!(arrived, sent, "{contender} at {size} bytes: what was published arrives");
        slowest = slowest.max(elapsed);
    }
    sent / (slowest / 1e9)
}

/// Messages received a second.
fn fan_in(contender: &str, senders: usize, size: usize, seconds: &str) -> f64 {
    let mut pull = start(None, contender, &["pull", &senders.to_string()]);
    let endpoint = pull.line();
    let pushes: Vec<_> = (0..senders)
        .map(|_| start(None, contender, &["push", &endpoint, &size.to_string(), seconds]))
        .collect();
    let mut sent = 0.0;
    for mut push in pushes {
        sent += push.numbers::<2>()[0];
    }
    // The first message of each is not counted there; here only the first of all is not.
    let [arrived, elapsed, _] = pull.numbers();
    assert_eq!(
        arrived,
        sent + senders as f64 - 1.0,
        "{contender} at {size} bytes: what was sent arrives"
    );
    arrived / (elapsed / 1e9)
}

fn throughput(plan: &Plan, names: &[String]) {
    println!("\nPUSH to PULL over TCP, marks 1,000, two processes; processor nanoseconds a message");
    println!(
        "{:>9} {:<14} {:>12} {:>10} {:>9} {:>9} {:>7}  messages/s of the rounds",
        "size", "", "messages/s", "MB/s", "cpu push", "cpu pull", "ratio"
    );
    for &size in &plan.sizes {
        let figures = plan.medians(|contender| push_pull(contender, size, &plan.seconds));
        for (name, ([rate, cpu_push, cpu_pull], range)) in names.iter().zip(&figures) {
            let (megabytes, ratio) = (rate * size as f64 / 1e6, figures[0].0[0] / rate);
            println!(
                "{size:>9} {name:<14} {rate:12.0} {megabytes:10.1} {cpu_push:9.0} {cpu_pull:9.0} {ratio:7.2}  {range}"
            );
        }
    }
}

/// Messages a second, processor nanoseconds a message of the sender and of the receiver.
fn push_pull(contender: &str, size: usize, seconds: &str) -> [f64; 3] {
    let mut pull = start(None, contender, &["pull", "1"]);
    let endpoint = pull.line();
    let mut push = start(None, contender, &["push", &endpoint, &size.to_string(), seconds]);
    // The sender's first: if it fails, the receiver waits for ever.
    let [sent, cpu_push] = push.numbers();
    let [arrived, elapsed, cpu_pull] = pull.numbers();
    assert_eq!(arrived, sent, "{contender} at {size} bytes: what was sent arrives");
    [arrived / (elapsed / 1e9), cpu_push / sent, cpu_pull / arrived]
}

fn latency(plan: &Plan, names: &[String]) {
    println!("\nREQ and REP over TCP, 64 bytes, two processes; round trip in microseconds");
    println!(
        "{:>9} {:<14} {:>9} {:>9} {:>10} {:>10}",
        "", "", "p50", "p99", "ratio p50", "ratio p99"
    );
    let core = (support::core_to_pin(), "one core");
    for (core, place) in [(None, "free"), core] {
        if place != "free" && core.is_none() {
            continue;
        }
        let figures = plan.medians(|contender| req_rep(core, contender, 64, &plan.seconds));
        for (name, ([p50, p99], _)) in names.iter().zip(&figures) {
            let [ratio50, ratio99] = [figures[0].0[0] / p50, figures[0].0[1] / p99];
            let [p50, p99] = [p50 / 1000.0, p99 / 1000.0];
            println!("{place:>9} {name:<14} {p50:9.1} {p99:9.1} {ratio50:10.2} {ratio99:10.2}");
        }
    }
}

/// p50 and p99 in nanoseconds.
fn req_rep(core: Option<usize>, contender: &str, size: usize, seconds: &str) -> [f64; 2] {
    let mut rep = start(core, contender, &["rep"]);
    let endpoint = rep.line();
    let mut req = start(core, contender, &["req", &endpoint, &size.to_string(), seconds]);
    let [p50, p99, _] = req.numbers();
    [p50, p99]
}

/// This program again, as one process of a workload.
fn start(core: Option<usize>, contender: &str, words: &[&str]) -> Role {
    Role::start(core, &[&["--role", contender], words].concat())
}

//! What a message costs as work grows: by the number of peers, and by the number of messages.
//!
//! `cargo bench --bench growth -- [--rounds N] [--json FILE]`. Lent slices of 64 B go over TCP from a process with one or
//! many PUSHes, which send so many at a time each before it is the next one's turn, to a process with one or many PULLs, all in one thread each: one
//! PULL receives, of several a `Poller` tells which are ready. Counted from when all are connected until all has arrived:
//! processor nanoseconds and allocations of either process, and, where perf may count, system calls of both; these in a run
//! of their own, as counting makes each slower. The plot is `target/bench-plots/growth.svg`.

#[path = "support/allocations.rs"]
mod allocations;
mod support;

use allocations::allocations;
use peermq::{Context, Event, Interest, Poller, Pull, Push};
use std::path::Path;
use std::time::Instant;
use support::calls::CallCount;
use support::svg::{self, Curve};
use support::{Args, Role};

const SIZE: usize = 64;
/// For any number of peers.
const MESSAGES: usize = 1_000_000;
/// As many at most while system calls are counted.
const MOST_COUNTED: usize = 1_000_000;
/// As many to or from one socket before the next has its turn.
const TURN: usize = 1000;

fn main() {
    let args = Args::read();
    match args.value("--role") {
        Some("push") => push(&args),
        Some("pull") => pull(&args),
        _ => all(&args),
    }
}

/// Which ends there are, and how many messages go between them.
#[derive(Clone, Copy)]
struct Case {
    pushes: usize,
    pulls: usize,
    messages: usize,
    /// From one PUSH before the next has its turn.
    at_a_time: usize,
}

/// Each for one message.
#[derive(Clone, Copy)]
struct Cost {
    elapsed_ns: f64,
    /// Of the pushing process and of the pulling one.
    cpu_ns: [f64; 2],
    allocations: [f64; 2],
    /// Of both.
    calls: Option<f64>,
}

fn all(args: &Args) {
    let is_long = args.has("--bench");
    let rounds = args.number("--rounds").unwrap_or(if is_long { 3 } else { 1 });
    let (peers, few, counts): (&[usize], _, &[usize]) = if is_long {
        (
            &[1, 2, 4, 8, 16, 32, 64],
            MESSAGES,
            &[1000, 10_000, 100_000, 1_000_000, 10_000_000],
        )
    } else {
        (&[1, 2], 1000, &[1000, 2000])
    };
    println!("{SIZE} B over TCP, two processes; for each message, medians of {rounds}: processor nanoseconds and");
    println!("allocations of the pushing and of the pulling process, and system calls of both");
    println!(
        "{:>6} {:>6} {:>10} {:>9} {:>12} {:>9} {:>9} {:>10} {:>10} {:>9}",
        "PUSHes",
        "PULLs",
        "messages",
        "at a time",
        "messages/s",
        "cpu push",
        "cpu pull",
        "alloc push",
        "alloc pull",
        "calls"
    );
    let mut rows = Vec::new();
    let mut series = |cases: Vec<Case>| -> Vec<Cost> {
        let costs = cases.into_iter().map(|case| {
            let cost = cost(case, rounds, is_long);
            rows.push(tell(&case, &cost));
            cost
        });
        costs.collect()
    };
    let case = |pushes, pulls, messages, at_a_time| Case {
        pushes,
        pulls,
        messages,
        at_a_time,
    };
    let to_many = series(peers.iter().map(|&n| case(1, n, few, TURN)).collect());
    let from_many = series(peers.iter().map(|&n| case(n, 1, few, TURN)).collect());
    let in_turn = series(peers.iter().map(|&n| case(n, 1, few / 10, 1)).collect());
    let by_count = series(counts.iter().map(|&count| case(1, 1, count, TURN)).collect());
    support::write_json(args, "growth", &rows);

    let by_peers = [
        ("1 PUSH, n PULLs", to_many),
        ("n PUSHes, 1 PULL", from_many),
        ("… 1 at a time", in_turn),
    ];
    if !is_long {
        return;
    }
    plot(
        &panel(peers, &by_peers),
        &panel(counts, &[("1 PUSH, 1 PULL", by_count)]),
    );
}

fn tell(case: &Case, cost: &Cost) -> String {
    let [cpu_push, cpu_pull] = cost.cpu_ns;
    let [alloc_push, alloc_pull] = cost.allocations;
    let rate = 1e9 / cost.elapsed_ns;
    let calls = cost.calls.map_or(String::from("-"), |calls| format!("{calls:.4}"));
    let Case {
        pushes,
        pulls,
        messages,
        at_a_time,
    } = case;
    println!(
        "{pushes:>6} {pulls:>6} {messages:>10} {at_a_time:>9} {rate:>12.0} {cpu_push:>9.0} {cpu_pull:>9.0} {alloc_push:>10.5} \
         {alloc_pull:>10.5} {calls:>9}"
    );
    support::json_object(&[
        ("pushes", pushes.to_string()),
        ("pulls", pulls.to_string()),
        ("messages", messages.to_string()),
        ("at_a_time", at_a_time.to_string()),
        ("messages_per_second", format!("{rate:.0}")),
        ("cpu_ns_push", cpu_push.to_string()),
        ("cpu_ns_pull", cpu_pull.to_string()),
        ("allocations_push", alloc_push.to_string()),
        ("allocations_pull", alloc_pull.to_string()),
        (
            "calls",
            cost.calls.map_or(String::from("null"), |calls| calls.to_string()),
        ),
    ])
}

/// The medians of so many runs, and system calls if they are asked for.
fn cost(case: Case, rounds: usize, counts_calls: bool) -> Cost {
    let runs: Vec<Cost> = (0..rounds).map(|_| run(case, false)).collect();
    let median = |figure: fn(&Cost) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let messages = case.messages.min(MOST_COUNTED);
    Cost {
        elapsed_ns: median(|cost| cost.elapsed_ns),
        cpu_ns: [median(|cost| cost.cpu_ns[0]), median(|cost| cost.cpu_ns[1])],
        allocations: [median(|cost| cost.allocations[0]), median(|cost| cost.allocations[1])],
        calls: counts_calls
            .then(|| run(Case { messages, ..case }, true).calls)
            .flatten(),
    }
}

fn run(case: Case, counts_calls: bool) -> Cost {
    let (pushes, pulls) = (case.pushes.to_string(), case.pulls.to_string());
    let (messages, at_a_time) = (case.messages.to_string(), case.at_a_time.to_string());
    let counts = ["--pushes", &pushes, "--pulls", &pulls, "--messages", &messages];
    let mut pull = Role::start(None, &[&["--role", "pull"], &counts[..]].concat());
    let endpoints = pull.line();
    let to = ["--role", "push", "--to", &endpoints, "--at-a-time", &at_a_time];
    let mut push = Role::start(None, &[&to[..], &counts].concat());
    assert_eq!(pull.line(), "connected");
    let calls = counts_calls
        .then(|| CallCount::begin(&[push.id(), pull.id()]))
        .flatten();
    push.tell("go");
    let [elapsed_ns, cpu_pull, allocations_pull] = pull.numbers();
    let calls = calls.and_then(CallCount::end);
    push.tell("end");
    let [cpu_push, allocations_push] = push.numbers();
    push.end();
    pull.end();
    let each = |total: f64| total / case.messages as f64;
    Cost {
        elapsed_ns: each(elapsed_ns),
        cpu_ns: [cpu_push, cpu_pull].map(each),
        allocations: [allocations_push, allocations_pull].map(each),
        calls: calls.map(each),
    }
}

fn push(args: &Args) {
    let context = Context::new().expect("a context");
    let endpoints = args.value("--to").expect("--to");
    let pushes: usize = args.number("--pushes").expect("--pushes");
    let mut left: usize = args.number("--messages").expect("--messages");
    let at_a_time: usize = args.number("--at-a-time").expect("--at-a-time");
    let connected = || {
        let push = Push::new(&context);
        endpoints.split(',').for_each(|at| push.connect(at).expect("connect"));
        push
    };
    let pushes: Vec<_> = (0..pushes).map(|_| connected()).collect();
    let payload = [7; SIZE];
    let mut words = std::io::stdin().lines();
    words.next();
    let (cpu, allocations) = (support::cpu_ns(), allocations());
    for push in pushes.iter().cycle() {
        let now = at_a_time.min(left);
        (0..now).for_each(|_| push.send(&payload[..]).expect("send"));
        left -= now;
        if left == 0 {
            break;
        }
    }
    // All has arrived.
    words.next();
    println!("{} {}", support::cpu_ns() - cpu, self::allocations() - allocations);
}

fn pull(args: &Args) {
    let context = Context::new().expect("a context");
    let count: usize = args.number("--pulls").expect("--pulls");
    let pushes: usize = args.number("--pushes").expect("--pushes");
    let messages: usize = args.number("--messages").expect("--messages");
    let pulls: Vec<_> = (0..count).map(|_| Pull::new(&context)).collect();
    let monitors: Vec<_> = pulls.iter().map(Pull::monitor).collect();
    let bind = |pull: &Pull| pull.bind("tcp://127.0.0.1:0").expect("bind").to_string();
    println!("{}", pulls.iter().map(bind).collect::<Vec<_>>().join(","));
    for monitor in &monitors {
        for _ in 0..pushes {
            while !matches!(monitor.recv().expect("an event"), Event::Connected { .. }) {}
        }
    }
    drop(monitors);
    let (cpu, allocations) = (support::cpu_ns(), allocations());
    println!("connected");
    let begin = match pulls.as_slice() {
        [pull] => receive(pull, messages),
        pulls => receive_from(pulls, messages),
    };
    let elapsed = begin.elapsed().as_nanos();
    let (cpu, allocations) = (support::cpu_ns() - cpu, self::allocations() - allocations);
    println!("{elapsed} {cpu} {allocations}");
}

/// Returns when the first had come.
fn receive(pull: &Pull, messages: usize) -> Instant {
    pull.recv().expect("a message");
    let begin = Instant::now();
    for _ in 1..messages {
        pull.recv().expect("a message");
    }
    begin
}

fn receive_from(pulls: &[Pull], messages: usize) -> Instant {
    let mut poller = Poller::new();
    let watched: Vec<_> = pulls
        .iter()
        .map(|pull| (poller.add(pull, Interest::Readable).expect("a place"), pull))
        .collect();
    let mut ready = poller.wait(None).expect("a message");
    let begin = Instant::now();
    let mut left = messages;
    loop {
        for (_, pull) in watched
            .iter()
            .filter(|(key, _)| ready.iter().any(|one| one.key == *key))
        {
            left -= (0..TURN).take_while(|_| pull.try_recv().is_ok()).count();
        }
        if left == 0 {
            return begin;
        }
        ready = poller.wait(None).expect("a message");
    }
}

/// Processor time of both processes over the number of peers or of messages.
fn panel(places: &[usize], series: &[(&str, Vec<Cost>)]) -> Option<String> {
    let colours = ["#d62728", "#1f77b4", "#17becf"];
    let point = |(place, cost): (&usize, &Cost)| (*place as f64, cost.cpu_ns[0] + cost.cpu_ns[1]);
    let curves: Vec<_> = series
        .iter()
        .zip(colours)
        .map(|((name, costs), colour)| Curve {
            name,
            colour,
            width: 2.0,
            points: places.iter().zip(costs).map(point).collect(),
        })
        .collect();
    svg::curves(&curves, svg::short)
}

fn plot(by_peers: &Option<String>, by_count: &Option<String>) {
    let (Some(by_peers), Some(by_count)) = (by_peers, by_count) else {
        return;
    };
    let title = "Processor nanoseconds for each message of 64 B: by peers, and by messages";
    let body = format!(
        "{by_peers}<g transform='translate(0 {})'>\n{by_count}</g>\n",
        svg::HEIGHT
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-plots");
    let file = folder.join("growth.svg");
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&file, svg::page(title, 2.0 * svg::HEIGHT, &body)));
    match written {
        Ok(()) => println!("{}", file.display()),
        Err(error) => eprintln!("{}: {error}", file.display()),
    }
}

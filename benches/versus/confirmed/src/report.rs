//! Says what was measured: a table for each workload, and all figures of all rounds as JSON.

use crate::plan::{Contender, PREFETCH, Plan, Workload};
use crate::rounds::{Figures, Rounds};
use crate::task::SIZE;
use std::fmt::Write as _;

/// A column: its name, where its figure is, its decimals.
type Column = (&'static str, fn(&Figures) -> f64, usize);

const STREAM: &[Column] = &[
    ("tasks/s", |figures| figures.rate, 0),
    ("CPU us/task", |figures| figures.cpu.iter().sum(), 1),
    ("producer", |figures| figures.cpu[0], 1),
    ("consumer", |figures| figures.cpu[1], 1),
    ("broker", |figures| figures.cpu[2], 1),
    ("memory MiB", |figures| figures.memory.iter().sum(), 1),
    ("producer", |figures| figures.memory[0], 1),
    ("consumer", |figures| figures.memory[1], 1),
    ("broker", |figures| figures.memory[2], 1),
];

const TIMES: &[Column] = &[
    ("kept p50 us", |figures| figures.kept[0], 0),
    ("kept p99", |figures| figures.kept[1], 0),
    ("done p50", |figures| figures.done[0], 0),
    ("done p99", |figures| figures.done[1], 0),
    ("way p50", |figures| figures.way[0], 0),
    ("way p99", |figures| figures.way[1], 0),
    ("tasks/s", |figures| figures.rate, 0),
    ("CPU us/task", |figures| figures.cpu.iter().sum(), 1),
];

fn columns(workload: Workload) -> &'static [Column] {
    match workload {
        Workload::Stream => STREAM,
        Workload::Paced | Workload::Single => TIMES,
    }
}

pub fn head(plan: &Plan) {
    println!("{}", machine());
    for contender in &plan.contenders {
        println!("  {:<18} {}", contender.name(), contender.about());
    }
    let Plan {
        rounds,
        seconds,
        window,
        acks,
        ..
    } = plan;
    println!(
        "tasks of {SIZE} B, a producer and a consumer with a prefetch of {PREFETCH}; {rounds} rounds of {seconds} s; medians\n\
         RabbitMQ: at most {window} not confirmed, an ack for each {acks}"
    );
}

pub fn table(plan: &Plan, workload: Workload, all: &[Rounds]) {
    println!("\n{}: {}", workload.name(), about(workload));
    let columns = columns(workload);
    print!("{:<18}", "");
    for (name, ..) in columns {
        print!(" {name:>11}");
    }
    let (first, of, decimals) = columns[0];
    println!("  {first} of the rounds");
    for (contender, rounds) in plan.contenders.iter().zip(all) {
        print!("{:<18}", contender.name());
        for (_, of, decimals) in columns {
            print!(" {:>11}", text(median(rounds, *of), *decimals));
        }
        let values = || rounds.figures.iter().map(of);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        print!("  {} to {}", text(least, decimals), text(most, decimals));
        match rounds.failures.last() {
            Some(why) => println!("; {} failed: {why}", rounds.failures.len()),
            None => println!(),
        }
    }
    for reference in [
        Contender::RabbitmqClassic,
        Contender::RabbitmqQuorum,
        Contender::RabbitmqTransient,
    ] {
        let Some(at) = plan.contenders.iter().position(|one| *one == reference) else {
            continue;
        };
        for (contender, rounds) in plan.contenders.iter().zip(all) {
            if contender.is_rabbitmq() {
                continue;
            }
            print!("{:<18}", format!("{} to", contender.name()));
            for (_, of, _) in columns {
                print!(" {:>11}", text(median(rounds, *of) / median(&all[at], *of), 3));
            }
            println!("  {}", reference.name());
        }
    }
}

fn about(workload: Workload) -> &'static str {
    match workload {
        Workload::Stream => {
            "as fast as it goes; from the first task to the last that was acknowledged, what the broker had not passed on by then included\n\
             (so many tasks are open at most: RabbitMQ's are those that it has not confirmed, peermq's those that no worker has done)"
        }
        Workload::Paced | Workload::Single => {
            "until its sender is told that a task is kept (RabbitMQ: the publisher confirm; peermq: `send` returns),\n\
             that a worker has done it (RabbitMQ does not tell; peermq: the receipt), and its way into the worker's hands"
        }
    }
}

pub fn write_json(plan: &Plan, measured: &[(Workload, Vec<Rounds>)]) {
    let Some(file) = &plan.json else { return };
    let mut results = Vec::new();
    for (workload, all) in measured {
        for (contender, rounds) in plan.contenders.iter().zip(all) {
            for (round, figures) in rounds.figures.iter().enumerate() {
                results.push(object(workload.name(), contender.name(), round, figures));
            }
            for why in &rounds.failures {
                let (workload, contender) = (workload.name(), contender.name());
                results.push(format!(
                    "{{\"workload\": \"{workload}\", \"contender\": \"{contender}\", \"failed\": {why:?}}}"
                ));
            }
        }
    }
    let Plan {
        seconds, window, acks, ..
    } = plan;
    let text = format!(
        "{{\n  \"bench\": \"versus/confirmed\",\n  \"machine\": {:?},\n  \"seconds\": {seconds},\n  \"size\": {SIZE},\n  \
         \"prefetch\": {PREFETCH},\n  \"window\": {window},\n  \"acks\": {acks},\n  \
         \"results\": [\n    {}\n  ]\n}}\n",
        machine(),
        results.join(",\n    ")
    );
    std::fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

fn object(workload: &str, contender: &str, round: usize, figures: &Figures) -> String {
    let Figures {
        rate,
        kept,
        done,
        way,
        cpu,
        memory,
    } = figures;
    let mut text = format!(
        "{{\"workload\": \"{workload}\", \"contender\": \"{contender}\", \"round\": {}",
        round + 1
    );
    let mut put = |name: &str, value: f64| {
        let value = if value.is_finite() {
            value.to_string()
        } else {
            String::from("null")
        };
        let _ = write!(text, ", \"{name}\": {value}");
    };
    put("tasks_per_second", *rate);
    for (name, [p50, p99]) in [("kept", kept), ("done", done), ("way", way)] {
        put(&format!("{name}_p50_us"), *p50);
        put(&format!("{name}_p99_us"), *p99);
    }
    for (at, who) in ["producer", "consumer", "broker"].iter().enumerate() {
        put(&format!("{who}_cpu_us_per_task"), cpu[at]);
        put(&format!("{who}_resident_mib"), memory[at]);
    }
    text.push('}');
    text
}

fn median(rounds: &Rounds, of: fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len => (values[(len - 1) / 2] + values[len / 2]) / 2.0,
    }
}

fn text(value: f64, decimals: usize) -> String {
    match value.is_finite() {
        true => format!("{value:.decimals$}"),
        false => String::from("-"),
    }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |text| text.trim_start_matches(['\t', ' ', ':']));
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

//! Confirmed delivery through peermq and through RabbitMQ, in the same run: tasks of 1 KiB from one process to another, each
//! acknowledged, and their sender told. Each round runs every contender once, the order turns from round to round, and the
//! figures are medians of the rounds.
//!
//! `benches/versus/confirmed/run [--only stream,paced,single] [--contenders a,b] [--rounds N] [--seconds S] [--window N]
//! [--acks N] [--json FILE]` starts a node of RabbitMQ, runs this against it, and stops it.

mod ours;
mod plan;
mod process;
mod rabbitmq;
mod report;
mod rounds;
mod task;

use plan::{Part, Plan};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [role, words @ ..] = words.as_slice()
        && role == "--role"
    {
        process::end_with_parent();
        return play(&Part::read(words));
    }
    let plan = Plan::read(&words);
    report::head(&plan);
    let measured: Vec<_> = plan
        .workloads()
        .map(|workload| {
            let rounds = rounds::run(&plan, workload);
            report::table(&plan, workload, &rounds);
            (workload, rounds)
        })
        .collect();
    report::write_json(&plan, &measured);
}

/// This process's part, until it is ended.
fn play(part: &Part) {
    match (part.contender.is_rabbitmq(), part.is_producer) {
        (true, true) => rabbitmq::produce(part),
        (true, false) => rabbitmq::consume(part),
        (false, true) => ours::produce(part),
        (false, false) => ours::consume(part),
    }
    loop {
        std::thread::park();
    }
}

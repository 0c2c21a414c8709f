//! The same workloads through peermq and through those it is compared with, in the same run: each round runs every
//! contender once, the order turns from round to round, and the figures are medians of the rounds.
//!
//! `cargo run --release --manifest-path benches/versus/Cargo.toml -- [--only throughput,latency,...]
//! [--contenders peermq,libzmq,...] [--transports tcp,ipc,inproc] [--sizes 16,64] [--rounds N] [--seconds S]
//! [--json FILE] [--plots DIR]`. Each socket has a process of its own; over inproc, a thread. One that takes too long is
//! killed, and the line says so. Variants of peermq take part in the workload that they say something about, and where
//! they are named.

mod contender;
mod contenders;
mod crowd;
mod plan;
mod plot;
mod process;
mod report;
mod roles;
#[path = "../../support/mod.rs"]
mod support;
mod workloads;

use plan::Plan;
use report::Report;

fn main() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [role, name, words @ ..] = words.as_slice()
        && role == "--role"
    {
        let contender = contenders::named(name).expect("a contender");
        (contender.play)(words);
    }
    let plan = Plan::read(&words);
    let mut report = Report::begin(&plan);
    for workload in workloads::ALL.iter().filter(|workload| plan.wants(workload.name)) {
        report.run(workload);
    }
    report.end();
}

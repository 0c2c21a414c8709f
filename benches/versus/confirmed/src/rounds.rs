//! Runs the rounds of a workload.

use crate::plan::{Contender, Part, Plan, Workload};
use crate::process::{Member, Usage, usage};
use std::time::{Duration, Instant};

/// What a round gave. What a contender has not is not a number.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Tasks a second, from the first to the last that was acknowledged.
    pub rate: f64,
    /// Until the sender is told that a task is kept: by the broker, or by its own source. Microseconds.
    pub kept: [f64; 2],
    /// Until the sender is told that a worker has done it. Microseconds.
    pub done: [f64; 2],
    /// Until it is in the worker's hands. Microseconds.
    pub way: [f64; 2],
    /// Processor time for a task, in microseconds: the producer's, the consumer's, the broker's.
    pub cpu: [f64; 3],
    /// Resident memory in MiB, when the last task was acknowledged: likewise.
    pub memory: [f64; 3],
}

/// The figures of one contender, or why there are none.
#[derive(Debug, Default)]
pub struct Rounds {
    pub figures: Vec<Figures>,
    pub failures: Vec<String>,
}

/// In the order of the plan's contenders. Who takes part first turns from round to round.
pub fn run(plan: &Plan, workload: Workload) -> Vec<Rounds> {
    let count = plan.contenders.len();
    let mut all: Vec<Rounds> = (0..count).map(|_| Rounds::default()).collect();
    for round in 0..plan.rounds {
        for turn in 0..count {
            let at = if round % 2 == 0 { turn } else { count - 1 - turn };
            match measure(plan, plan.contenders[at], workload, round) {
                Ok(figures) => all[at].figures.push(figures),
                Err(why) => all[at].failures.push(why),
            }
        }
    }
    all
}

fn measure(plan: &Plan, contender: Contender, workload: Workload, round: usize) -> Result<Figures, String> {
    let deadline = Instant::now() + Duration::from_secs_f64(5.0 * plan.seconds + 20.0);
    let folder = std::env::temp_dir().join(format!("peermq-versus-{}", std::process::id()));
    let part = Part {
        contender,
        is_producer: true,
        workload,
        seconds: plan.seconds,
        window: plan.window,
        // Who waits for one task must not wait for 31 others.
        acks: if workload == Workload::Stream { plan.acks } else { 1 },
        address: plan.url.clone(),
        name: match contender.is_rabbitmq() {
            true => format!(
                "{}-{}-{round}-{}",
                contender.name(),
                workload.name(),
                std::process::id()
            ),
            false => folder.to_string_lossy().into_owned(),
        },
    };
    let figures = play(plan, part, deadline);
    let _ = std::fs::remove_dir_all(folder);
    figures
}

fn play(plan: &Plan, part: Part, deadline: Instant) -> Result<Figures, String> {
    let consuming = |address: String| Part {
        is_producer: false,
        address,
        ..part.clone()
    };
    let (mut producer, consumer);
    if part.contender.is_rabbitmq() {
        consumer = Member::start(&consuming(plan.url.clone()), deadline);
        consumer.hear("open")?;
        producer = Member::start(&part, deadline);
        producer.hear("open")?;
    } else {
        producer = Member::start(&part, deadline);
        consumer = Member::start(&consuming(producer.hear("open")?), deadline);
        consumer.hear("open")?;
    }
    let broker = part.contender.is_rabbitmq().then_some(plan.broker);
    let processes = [Some(producer.id()), Some(consumer.id()), broker];
    let measured = || processes.map(|pid| pid.map_or(Usage::default(), usage));
    producer.go();
    consumer.hear("begin")?;
    let before = measured();
    let done = consumer.numbers("done")?;
    let after = measured();
    let told = producer.numbers("told")?;
    if broker.is_some() {
        consumer.hear("deleted")?;
    }
    let ([count, elapsed_ns, way50, way99], [kept50, kept99, done50, done99]) = (&done[..], &told[..]) else {
        return Err(String::from("not as many figures as there should be"));
    };
    let us = |p50: &f64, p99: &f64| [p50 / 1e3, p99 / 1e3];
    Ok(Figures {
        rate: count * 1e9 / elapsed_ns,
        kept: us(kept50, kept99),
        done: us(done50, done99),
        way: us(way50, way99),
        cpu: [0, 1, 2].map(|at| (after[at].cpu_us - before[at].cpu_us) / count),
        memory: after.map(|usage| usage.resident_mib),
    })
}

//! Runs the rounds of each case, prints the medians, and keeps all figures for the file and the plots.

use crate::contender::About;
use crate::contenders::Contender;
use crate::plan::Plan;
use crate::plot;
use crate::process::Failure;
use crate::support;
use crate::workloads::{Case, Stage, Workload};
use std::fmt::Write as _;

pub struct Report<'a> {
    plan: &'a Plan,
    abouts: Vec<(&'static str, About)>,
    lines: Vec<Line>,
    /// As JSON objects: every figure of every round.
    results: Vec<String>,
}

/// The figures of one contender in one case.
pub struct Line {
    pub workload: &'static str,
    pub case: Case,
    pub contender: &'static str,
    pub medians: Vec<f64>,
}

impl Line {
    /// Percent, where some may be.
    pub fn dropped(&self) -> Option<f64> {
        (self.workload == "fan-out").then(|| self.medians[2])
    }
}

/// What the rounds gave: figures, or why there are none.
#[derive(Default)]
struct Rounds {
    figures: Vec<Vec<f64>>,
    failures: Vec<String>,
    cannot: bool,
}

impl Rounds {
    /// A contender that has failed twice is not waited for again.
    fn is_over(&self) -> bool {
        self.cannot || self.failures.len() >= 2
    }

    fn medians(&self) -> Option<Vec<f64>> {
        let columns = self.figures.first()?.len();
        Some(
            (0..columns)
                .map(|at| median(self.figures.iter().map(|figures| figures[at])))
                .collect(),
        )
    }

    /// How far the rounds lie apart in the first figure, and how many failed.
    fn spread(&self, decimals: usize) -> String {
        let first = || self.figures.iter().map(|figures| figures[0]);
        let (least, most) = (first().fold(f64::INFINITY, f64::min), first().fold(0.0, f64::max));
        let mut text = format!("{} to {}", grouped(least, decimals), grouped(most, decimals));
        if let Some(why) = self.failures.last() {
            let _ = write!(text, "; {} failed: {why}", self.failures.len());
        }
        text
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// With a comma between thousands.
fn grouped(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return String::from("-");
    }
    let plain = format!("{value:.decimals$}");
    let whole = plain.split('.').next().unwrap_or_default().len();
    let mut text = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn first_line(file: &str, field: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    String::from(line.map_or("", |rest| rest.trim_start_matches([' ', '\t', ':'])))
}

fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(char::is_control, " ")
    )
}

impl<'a> Report<'a> {
    /// Prints where, what, and for how long.
    pub fn begin(plan: &'a Plan) -> Self {
        println!("{}", machine());
        let everybody = plan.everybody().into_iter();
        let abouts: Vec<_> = everybody.map(|one| (one.name, (one.about)())).collect();
        for (contender, about) in &abouts {
            println!("  {contender:<14} {}: {}", about.name, about.settings);
        }
        println!(
            "rounds: {}, of {} s; the figures are medians",
            plan.rounds, plan.seconds
        );
        Report {
            plan,
            abouts,
            lines: Vec::new(),
            results: Vec::new(),
        }
    }

    pub fn run(&mut self, workload: &Workload) {
        println!("\n{}: {}", workload.name, workload.about);
        print!(
            "{:<9} {:<13} {:<8} {:>8} {:>6}  {:<14}",
            "transport", "pattern", "cores", "size", "count", ""
        );
        for (column, _) in workload.columns {
            print!(" {column:>13}");
        }
        let contenders = self.plan.contenders(workload.name);
        let first = format!("to {}", contenders[0].name);
        println!(" {first:>9}  {} of the rounds", workload.columns[0].0);
        for (at, case) in (workload.cases)(self.plan).into_iter().enumerate() {
            if at > 0 {
                println!();
            }
            let rounds = self.play(workload, &contenders, &case);
            print(workload, &contenders, &case, &rounds);
            self.keep(workload, &contenders, &case, rounds);
        }
    }

    /// The order turns from round to round.
    fn play(&self, workload: &Workload, contenders: &[&Contender], case: &Case) -> Vec<Rounds> {
        let count = contenders.len();
        let mut all: Vec<Rounds> = (0..count).map(|_| Rounds::default()).collect();
        for round in 0..self.plan.rounds {
            for turn in 0..count {
                let at = if round % 2 == 0 { turn } else { count - 1 - turn };
                let rounds = &mut all[at];
                if rounds.is_over() {
                    continue;
                }
                let stage = Stage::new(contenders[at].name, case, self.plan.seconds);
                match (workload.measure)(&stage) {
                    Ok(figures) => rounds.figures.push(figures),
                    Err(Failure::Cannot) => rounds.cannot = true,
                    Err(Failure::Failed(why)) => rounds.failures.push(why),
                }
            }
        }
        all
    }

    fn keep(&mut self, workload: &Workload, contenders: &[&'static Contender], case: &Case, all: Vec<Rounds>) {
        for (contender, rounds) in contenders.iter().zip(all) {
            let about = [
                ("workload", quoted(workload.name)),
                ("transport", quoted(&case.transport)),
                ("pattern", quoted(case.pattern)),
                ("cores", quoted(case.place())),
                ("size", case.size.to_string()),
                ("count", case.count.to_string()),
                ("contender", quoted(contender.name)),
            ];
            for (round, figures) in rounds.figures.iter().enumerate() {
                let mut fields = about.to_vec();
                fields.push(("round", (round + 1).to_string()));
                let number = |figure: f64| {
                    if figure.is_finite() {
                        figure.to_string()
                    } else {
                        "null".into()
                    }
                };
                let columns = workload.columns.iter().zip(figures);
                fields.extend(columns.map(|((name, _), figure)| (*name, number(*figure))));
                self.results.push(support::json_object(&fields));
            }
            for why in &rounds.failures {
                let mut fields = about.to_vec();
                fields.push(("failed", quoted(why)));
                self.results.push(support::json_object(&fields));
            }
            if let Some(medians) = rounds.medians() {
                self.lines.push(Line {
                    workload: workload.name,
                    case: case.clone(),
                    contender: contender.name,
                    medians,
                });
            }
        }
    }

    /// Writes the file and the plots.
    pub fn end(self) {
        if let Some(file) = &self.plan.json {
            let named = self.abouts.iter().map(|(contender, about)| {
                let fields = [
                    ("contender", quoted(contender)),
                    ("name", quoted(&about.name)),
                    ("settings", quoted(about.settings)),
                ];
                support::json_object(&fields)
            });
            let text = format!(
                "{{\n  \"bench\": \"versus\",\n  \"machine\": {},\n  \"seconds\": {},\n  \"contenders\": [\n    {}\n  ],\n  \
                 \"results\": [\n    {}\n  ]\n}}\n",
                quoted(&machine()),
                self.plan.seconds,
                named.collect::<Vec<_>>().join(",\n    "),
                self.results.join(",\n    ")
            );
            std::fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
        plot::write(&self.plan.plots, &self.lines);
    }
}

fn print(workload: &Workload, contenders: &[&Contender], case: &Case, all: &[Rounds]) {
    let reference = all[0].medians();
    for (contender, rounds) in contenders.iter().zip(all).filter(|(_, rounds)| !rounds.cannot) {
        let Case {
            transport,
            pattern,
            size,
            count,
            ..
        } = case;
        let (place, name) = (case.place(), contender.name);
        print!("{transport:<9} {pattern:<13} {place:<8} {size:>8} {count:>6}  {name:<14}");
        let Some(medians) = rounds.medians() else {
            println!(" failed: {}", rounds.failures.last().map_or("", String::as_str));
            continue;
        };
        for (figure, (_, decimals)) in medians.iter().zip(workload.columns) {
            print!(" {:>13}", grouped(*figure, *decimals));
        }
        let ratio = reference
            .as_ref()
            .map_or(f64::NAN, |reference| medians[0] / reference[0]);
        println!(" {:>9}  {}", grouped(ratio, 2), rounds.spread(workload.columns[0].1));
    }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = first_line("/proc/cpuinfo", "model name");
    let kernel = first_line("/proc/sys/kernel/osrelease", "");
    format!("{model}, {cores} cores, Linux {kernel}")
}

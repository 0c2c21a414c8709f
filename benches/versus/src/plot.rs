//! Plots of the medians, as SVG: lines of throughput by size, and dots on a logarithmic scale for all else.

use crate::contenders;
use crate::report::Line;
use crate::support;
use crate::support::svg::{self, Curve, GRID, LEFT, Scale, TOP, WIDTH, dot, line, page, short, text};
use std::path::Path;

/// In the order of `contenders::ALL`.
const COLOURS: [&str; 12] = [
    "#d62728", "#f08a8b", "#8e1516", "#1f77b4", "#2ca02c", "#98a93b", "#ff7f0e", "#9467bd", "#17becf", "#8c564b",
    "#555555", "#e377c2",
];

pub fn write(folder: &Path, lines: &[Line]) {
    let of = |workload: &'static str, transport: &'static str| {
        move |line: &&Line| line.workload == workload && line.case.transport == transport
    };
    let mut files = Vec::new();
    for transport in ["tcp", "ipc", "inproc"] {
        let found: Vec<_> = lines.iter().filter(of("throughput", transport)).collect();
        let title = format!("PUSH to PULL over {transport}, messages received a second");
        files.push((format!("throughput-{transport}"), by_size(&title, &found)));
        let size = |size: usize| move |line: &&Line| line.case.size == size;
        let found: Vec<_> = lines.iter().filter(of("latency", transport)).filter(size(64)).collect();
        let title = format!("Round trip over {transport}, 64 B, in microseconds: p50 (full) and p99 (hollow)");
        files.push((format!("latency-{transport}"), dots(&title, &found, 2)));
        for (workload, title) in [
            ("fan-out", "PUB to SUBs"),
            ("fan-in", "PUSHes to one PULL"),
            ("push-fan-out", "One PUSH to PULLs"),
        ] {
            let found: Vec<_> = lines.iter().filter(of(workload, transport)).collect();
            let title = format!("{title} over {transport}, messages received a second");
            files.push((format!("{workload}-{transport}"), dots(&title, &found, 1)));
        }
    }
    let _ = std::fs::create_dir_all(folder);
    for (name, text) in files.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        let file = folder.join(name + ".svg");
        match std::fs::write(&file, text) {
            Ok(()) => println!("{}", file.display()),
            Err(error) => eprintln!("{}: {error}", file.display()),
        }
    }
}

/// The same in all plots.
fn colour(contender: &str) -> &'static str {
    let place = contenders::ALL.iter().position(|one| one.name == contender);
    COLOURS[place.unwrap_or(0) % COLOURS.len()]
}

const FAINT: &str = "#f2f2f2";
const RULE: &str = "#bbbbbb";

fn by_size(title: &str, lines: &[&Line]) -> Option<String> {
    let curves: Vec<_> = contenders::ALL
        .iter()
        .enumerate()
        .map(|(at, contender)| {
            let width = if at == 0 { 3.0 } else { 1.8 };
            let own = lines.iter().filter(|line| line.contender == contender.name);
            let mut points: Vec<_> = own.map(|line| (line.case.size as f64, line.medians[0])).collect();
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            Curve {
                name: contender.name,
                colour: colour(contender.name),
                width,
                points,
            }
        })
        .collect();
    let body = svg::curves(&curves, |size| support::bytes(size as usize))?;
    Some(page(title, svg::HEIGHT, &body))
}

/// A row for each line, in groups by case: one dot for each of its first `figures` figures, the second hollow.
fn dots(title: &str, lines: &[&Line], figures: usize) -> Option<String> {
    let left = LEFT + 150.0;
    let values = lines.iter().flat_map(|line| line.medians[..figures].iter().copied());
    let x = Scale::new(values, left, WIDTH - 30.0)?;
    let mut svg = String::new();
    let mut y = TOP;
    let mut case = None;
    for one in lines {
        if case.is_some_and(|case| case != &one.case) {
            line(&mut svg, [20.0, y - 4.0, WIDTH - 30.0, y - 4.0], RULE, 1.0);
            y += 12.0;
        }
        if case != Some(&one.case) {
            case = Some(&one.case);
            let words = match figures {
                2 => [String::from(one.case.pattern), String::from(one.case.place())],
                _ => [one.case.count.to_string() + " ×", support::bytes(one.case.size)],
            };
            text(&mut svg, 20.0, y + 8.0, "start", &words[0]);
            text(&mut svg, 20.0, y + 24.0, "start", &words[1]);
        }
        let colour = colour(one.contender);
        text(&mut svg, left - 10.0, y + 8.0, "end", one.contender);
        line(&mut svg, [left, y + 4.0, WIDTH - 30.0, y + 4.0], FAINT, 1.0);
        let places: Vec<_> = one.medians[..figures].iter().map(|&figure| x.at(figure)).collect();
        line(
            &mut svg,
            [places[0], y + 4.0, places[figures - 1], y + 4.0],
            colour,
            2.0,
        );
        for (at, &x) in places.iter().enumerate() {
            dot(&mut svg, x, y + 4.0, colour, at == 1);
        }
        if let Some(dropped) = one.dropped().filter(|&dropped| dropped >= 0.1) {
            let words = format!("{dropped:.0} % dropped");
            text(&mut svg, places[0] + 10.0, y + 8.0, "start", &words);
        }
        y += 16.0;
    }
    let mut grid = String::new();
    for &tick in &x.ticks {
        line(&mut grid, [x.at(tick), TOP - 8.0, x.at(tick), y], GRID, 1.0);
        text(&mut grid, x.at(tick), TOP - 14.0, "middle", &short(tick));
        text(&mut grid, x.at(tick), y + 16.0, "middle", &short(tick));
    }
    Some(page(title, y + 30.0, &(grid + &svg)))
}

//! Plots of the medians, as SVG: lines of throughput by size, and dots on a logarithmic scale for all else.

use crate::contenders;
use crate::report::Line;
use crate::support;
use std::path::Path;

/// In the order of `contenders::ALL`.
const COLOURS: [&str; 12] = [
    "#d62728", "#f08a8b", "#8e1516", "#1f77b4", "#2ca02c", "#98a93b", "#ff7f0e", "#9467bd", "#17becf", "#8c564b",
    "#555555", "#e377c2",
];
const WIDTH: f64 = 860.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 64.0;

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

/// From a figure to a place: whole decades from `least` to `most`, or what lies between 1, 2 and 5 of them.
struct Scale {
    ticks: Vec<f64>,
    from: f64,
    to: f64,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Option<Self> {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(0.0, f64::max);
        if !least.is_finite() || least <= 0.0 {
            return None;
        }
        let steps: Vec<f64> = (-3..13)
            .flat_map(|exponent| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(exponent)))
            .collect();
        let first = steps.iter().rposition(|&step| step <= least)?;
        let last = steps.iter().position(|&step| step >= most)?.max(first + 1);
        let wide = last - first > 9;
        let ticks = steps[first..=last].iter().enumerate();
        let is_shown = |at: usize| !wide || (at + first).is_multiple_of(3) || at == 0 || at == last - first;
        let ticks = ticks.filter(|(at, _)| is_shown(*at)).map(|(_, &tick)| tick).collect();
        Some(Scale { ticks, from, to })
    }

    fn at(&self, value: f64) -> f64 {
        let (least, most) = (self.ticks[0].ln(), self.ticks[self.ticks.len() - 1].ln());
        self.from + (self.to - self.from) * (value.ln() - least) / (most - least)
    }
}

fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e3.. => format!("{} k", value / 1e3),
        _ => format!("{value}"),
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    *svg += &format!("<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}'>{words}</text>\n");
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], colour: &str, width: f64) {
    let style = format!("stroke='{colour}' stroke-width='{width}'");
    *svg += &format!("<line x1='{x1:.1}' y1='{y1:.1}' x2='{x2:.1}' y2='{y2:.1}' {style}/>\n");
}

fn dot(svg: &mut String, x: f64, y: f64, colour: &str, is_hollow: bool) {
    let fill = if is_hollow { "#ffffff" } else { colour };
    let style = format!("fill='{fill}' stroke='{colour}' stroke-width='1.8'");
    *svg += &format!("<circle cx='{x:.1}' cy='{y:.1}' r='4' {style}/>\n");
}

fn page(title: &str, height: f64, body: &str) -> String {
    let size = format!("width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'");
    let font = "font-family='Helvetica, Arial, sans-serif' font-size='12' fill='#333333'";
    let middle = WIDTH / 2.0;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' {size} {font}>\n<rect width='100%' height='100%' fill='#ffffff'/>\n\
         <text x='{middle}' y='28' text-anchor='middle' font-size='16' font-weight='bold'>{title}</text>\n{body}</svg>\n"
    )
}

const GRID: &str = "#e3e3e3";
const FAINT: &str = "#f2f2f2";
const RULE: &str = "#bbbbbb";

fn by_size(title: &str, lines: &[&Line]) -> Option<String> {
    let mut sizes: Vec<usize> = lines.iter().map(|line| line.case.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let bottom = 500.0;
    let y = Scale::new(lines.iter().map(|line| line.medians[0]), bottom, TOP)?;
    let x = |size: usize| {
        let log = |size: usize| (size.max(1) as f64).ln();
        let (least, most) = (log(sizes[0]), log(sizes[sizes.len() - 1]));
        LEFT + 16.0 + (RIGHT - LEFT - 32.0) * (log(size) - least) / (most - least).max(1.0)
    };
    let mut svg = String::new();
    for &tick in &y.ticks {
        line(&mut svg, [LEFT, y.at(tick), RIGHT, y.at(tick)], GRID, 1.0);
        text(&mut svg, LEFT - 8.0, y.at(tick) + 4.0, "end", &short(tick));
    }
    for &size in &sizes {
        line(&mut svg, [x(size), TOP, x(size), bottom], GRID, 1.0);
        text(&mut svg, x(size), bottom + 20.0, "middle", &support::bytes(size));
    }
    // Names stand at the lines' right ends, below each other where these are close.
    let mut names = Vec::new();
    for (at, contender) in contenders::ALL.iter().map(|contender| contender.name).enumerate() {
        let colour = colour(contender);
        let mut points: Vec<_> = lines.iter().filter(|line| line.contender == contender).collect();
        points.sort_by_key(|line| line.case.size);
        let places = points.iter().map(|line| (x(line.case.size), y.at(line.medians[0])));
        let places: Vec<(f64, f64)> = places.collect();
        let width = if at == 0 { 3.0 } else { 1.8 };
        for pair in places.windows(2) {
            let [(x1, y1), (x2, y2)] = [pair[0], pair[1]];
            line(&mut svg, [x1, y1, x2, y2], colour, width);
        }
        places.iter().for_each(|&(x, y)| dot(&mut svg, x, y, colour, false));
        names.extend(places.last().map(|&(x, y)| (y, x, contender, colour)));
    }
    names.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut lowest = f64::NEG_INFINITY;
    let overhang = names.len() as f64 * 15.0 - (bottom + 15.0 - names.first()?.0);
    for (y, x, name, colour) in names {
        let place = (y - overhang.max(0.0)).max(lowest + 15.0);
        lowest = place;
        line(&mut svg, [x + 6.0, y, RIGHT + 14.0, place], colour, 0.6);
        text(&mut svg, RIGHT + 18.0, place + 4.0, "start", name);
    }
    Some(page(title, bottom + 40.0, &svg))
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

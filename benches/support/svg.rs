//! Plots as SVG: lines through points, and the pieces of which other plots are made. All scales are logarithmic.

pub(crate) const WIDTH: f64 = 860.0;
pub(crate) const LEFT: f64 = 90.0;
pub(crate) const TOP: f64 = 64.0;
pub(crate) const GRID: &str = "#e3e3e3";
/// Of [`curves`].
pub(crate) const HEIGHT: f64 = 540.0;
const RIGHT: f64 = 700.0;
const BOTTOM: f64 = 500.0;

pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    pub(crate) colour: &'a str,
    pub(crate) width: f64,
    /// In the order of x.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Each named at its right end; `place` names what lies on the other axis. `None`: there is nothing above zero.
pub(crate) fn curves(curves: &[Curve], place: impl Fn(f64) -> String) -> Option<String> {
    let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    let mut places: Vec<f64> = points().map(|(x, _)| x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let y = Scale::new(points().map(|(_, y)| y), BOTTOM, TOP)?;
    let x = |value: f64| {
        let log = |value: f64| value.max(1.0).ln();
        let (least, most) = (log(places[0]), log(places[places.len() - 1]));
        LEFT + 16.0 + (RIGHT - LEFT - 32.0) * (log(value) - least) / (most - least).max(1.0)
    };
    let mut svg = String::new();
    for &tick in &y.ticks {
        line(&mut svg, [LEFT, y.at(tick), RIGHT, y.at(tick)], GRID, 1.0);
        text(&mut svg, LEFT - 8.0, y.at(tick) + 4.0, "end", &short(tick));
    }
    for &value in &places {
        line(&mut svg, [x(value), TOP, x(value), BOTTOM], GRID, 1.0);
        text(&mut svg, x(value), BOTTOM + 20.0, "middle", &place(value));
    }
    // Names stand at the lines' right ends, below each other where these are close.
    let mut names = Vec::new();
    for curve in curves {
        let places: Vec<(f64, f64)> = curve.points.iter().map(|&(at, value)| (x(at), y.at(value))).collect();
        for pair in places.windows(2) {
            let [(x1, y1), (x2, y2)] = [pair[0], pair[1]];
            line(&mut svg, [x1, y1, x2, y2], curve.colour, curve.width);
        }
        places
            .iter()
            .for_each(|&(x, y)| dot(&mut svg, x, y, curve.colour, false));
        names.extend(places.last().map(|&(x, y)| (y, x, curve)));
    }
    names.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut lowest = f64::NEG_INFINITY;
    let overhang = names.len() as f64 * 15.0 - (BOTTOM + 15.0 - names.first()?.0);
    for (y, x, curve) in names {
        let place = (y - overhang.max(0.0)).max(lowest + 15.0);
        lowest = place;
        line(&mut svg, [x + 6.0, y, RIGHT + 14.0, place], curve.colour, 0.6);
        text(&mut svg, RIGHT + 18.0, place + 4.0, "start", curve.name);
    }
    Some(svg)
}

/// From a figure to a place: whole decades from `least` to `most`, or what lies between 1, 2 and 5 of them.
pub(crate) struct Scale {
    pub(crate) ticks: Vec<f64>,
    from: f64,
    to: f64,
}

impl Scale {
    pub(crate) fn new(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Option<Self> {
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

    pub(crate) fn at(&self, value: f64) -> f64 {
        let (least, most) = (self.ticks[0].ln(), self.ticks[self.ticks.len() - 1].ln());
        self.from + (self.to - self.from) * (value.ln() - least) / (most - least)
    }
}

pub(crate) fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e3.. => format!("{} k", value / 1e3),
        _ => format!("{value}"),
    }
}

pub(crate) fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    *svg += &format!("<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}'>{words}</text>\n");
}

pub(crate) fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], colour: &str, width: f64) {
    let style = format!("stroke='{colour}' stroke-width='{width}'");
    *svg += &format!("<line x1='{x1:.1}' y1='{y1:.1}' x2='{x2:.1}' y2='{y2:.1}' {style}/>\n");
}

pub(crate) fn dot(svg: &mut String, x: f64, y: f64, colour: &str, is_hollow: bool) {
    let fill = if is_hollow { "#ffffff" } else { colour };
    let style = format!("fill='{fill}' stroke='{colour}' stroke-width='1.8'");
    *svg += &format!("<circle cx='{x:.1}' cy='{y:.1}' r='4' {style}/>\n");
}

pub(crate) fn page(title: &str, height: f64, body: &str) -> String {
    let size = format!("width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'");
    let font = "font-family='Helvetica, Arial, sans-serif' font-size='12' fill='#333333'";
    let middle = WIDTH / 2.0;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' {size} {font}>\n<rect width='100%' height='100%' fill='#ffffff'/>\n\
         <text x='{middle}' y='28' text-anchor='middle' font-size='16' font-weight='bold'>{title}</text>\n{body}</svg>\n"
    )
}

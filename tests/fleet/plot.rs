//! The plot: calls per second over time, as SVG that reads on light and on dark paper.

use std::fmt::Write as _;

use crate::report::Report;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 86.0;
const BOTTOM: f64 = 56.0;

/// Plain classes, which every viewer knows.
const STYLE: &str = "\
    text { font: 13px system-ui, sans-serif; fill: #1c1e21 }
    .title { font-size: 16px; font-weight: 600 }
    .paper { fill: #ffffff }
    .grid { stroke: #d5d8dc }
    .axis, .moment { stroke: #1c1e21 }
    .moment { stroke-dasharray: 4 3 }
    .served { stroke: #0b6bcb; fill: #0b6bcb }
    .failed { stroke: #c4320a; fill: #c4320a }
    .hostile { stroke: #7a5195; fill: #7a5195 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6e8eb }
      .paper { fill: #16181b }
      .grid { stroke: #3a3f45 }
      .axis, .moment { stroke: #e6e8eb }
      .served { stroke: #5db0ff; fill: #5db0ff }
      .failed { stroke: #ff8a5c; fill: #ff8a5c }
      .hostile { stroke: #c9a3e6; fill: #c9a3e6 }
    }
    polyline { fill: none !important; stroke-width: 2; stroke-linejoin: round }
";

/// Draws a report's series.
pub(crate) fn draw(report: &Report) -> String {
    let series = &report.series;
    let lines = [
        ("served", "phones served", &series.served),
        ("failed", "phones' calls that failed", &series.failed),
        ("hostile", "hostile attempts", &series.hostile),
    ];
    let shown: Vec<_> = lines
        .into_iter()
        .filter(|(class, _, values)| *class == "served" || values.iter().any(|rate| *rate > 0.0))
        .collect();
    let most = shown.iter().flat_map(|(_, _, values)| values.iter().copied()).fold(1.0, f64::max);
    let steps = f64::from(u32::try_from(series.served.len()).unwrap_or(u32::MAX));
    let scale = Scale { seconds: (steps * series.step).max(0.1), most: top(most) };

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Phones served per second over time\">\n  <style>\n{STYLE}  </style>\n  \
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    let title = format!(
        "{}: {} phones, {} s of theirs in each second shown",
        report.scenario, report.phones, report.speed
    );
    text(&mut svg, LEFT, 26.0, "start", "title", &title);
    axes(&mut svg, &scale);
    for mark in &series.moments {
        let x = scale.x(mark.second);
        line(&mut svg, "moment", (x, TOP), (x, HEIGHT - BOTTOM));
    }
    moment_names(&mut svg, &scale, report);
    for (class, _, values) in &shown {
        let _ = write!(svg, "  <polyline class=\"{class}\" fill=\"none\" points=\"");
        let mut second = 0.0;
        for rate in *values {
            // A step is a level line from its beginning to its end.
            for at in [second, second + series.step] {
                let _ = write!(svg, "{:.1},{:.1} ", scale.x(at), scale.y(*rate));
            }
            second += series.step;
        }
        svg.push_str("\"/>\n");
    }
    let mut x = LEFT;
    for (class, name, _) in &shown {
        let _ = writeln!(svg, "  <rect x=\"{x:.1}\" y=\"40\" width=\"14\" height=\"4\" class=\"{class}\"/>");
        text(&mut svg, x + 20.0, 47.0, "start", "", name);
        x += 210.0;
    }
    svg.push_str("</svg>\n");
    svg
}

/// From seconds and rates to places on the paper.
struct Scale {
    seconds: f64,
    most: f64,
}

impl Scale {
    fn x(&self, second: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (second / self.seconds).min(1.0)
    }

    fn y(&self, rate: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * rate / self.most
    }
}

fn axes(svg: &mut String, scale: &Scale) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for rate in ticks(scale.most) {
        let y = scale.y(rate);
        line(svg, if rate == 0.0 { "axis" } else { "grid" }, (LEFT, y), (right, y));
        text(svg, LEFT - 8.0, y + 4.0, "end", "", &format!("{rate}"));
    }
    for second in ticks(scale.seconds) {
        let x = scale.x(second);
        line(svg, "axis", (x, bottom), (x, bottom + 5.0));
        text(svg, x, bottom + 20.0, "middle", "", &format!("{second}"));
    }
    line(svg, "axis", (LEFT, TOP), (LEFT, bottom));
    text(svg, (LEFT + right) / 2.0, HEIGHT - 14.0, "middle", "", "time in seconds");
    let _ = writeln!(
        svg,
        "  <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">calls per second</text>",
        (TOP + bottom) / 2.0
    );
}

/// The names of the moments, each on the line where it does not cover the one before.
fn moment_names(svg: &mut String, scale: &Scale, report: &Report) {
    let mut ends = [0.0_f64; 2];
    for mark in &report.series.moments {
        let x = scale.x(mark.second);
        let width = 7.0 * f64::from(u32::try_from(mark.what.chars().count()).unwrap_or_default());
        // One near the right edge ends there.
        let x = (x + 3.0).min(WIDTH - RIGHT - width);
        let row = if ends[0] <= x { 0 } else { 1 };
        if let Some(end) = ends.get_mut(row) {
            *end = x + width + 8.0;
        }
        text(svg, x, if row == 0 { TOP - 6.0 } else { TOP - 22.0 }, "start", "", &mark.what);
    }
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "  <line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(svg, "  <text{class} x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// 0 and some round values up to `most`.
fn ticks(most: f64) -> Vec<f64> {
    let step = round_up(most / 6.0);
    let mut ticks = Vec::new();
    let mut count = 0_u32;
    while f64::from(count) * step <= most * 1.0001 {
        // Twelve digits: 3 × 0.1 is written 0.3.
        ticks.push((f64::from(count) * step * 1e9).round() / 1e9);
        count += 1;
    }
    ticks
}

/// The end of an axis: the first tick that no value exceeds.
fn top(most: f64) -> f64 {
    let step = round_up(most / 5.0);
    (most / step).ceil() * step
}

/// The next of 1, 2, 5, 10, 20, 50 and so on, and below 1 likewise.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-6).log10().floor());
    let digits = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * power >= value * 0.9999);
    digits.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_axis() {
        assert_eq!(ticks(1.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(ticks(2000.0), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        assert_eq!(round_up(1.0), 1.0);
        assert_eq!(round_up(1300.0), 2000.0);
        assert_eq!((top(5100.0), top(98.0), top(1.0)), (6000.0, 100.0, 1.0));
    }
}

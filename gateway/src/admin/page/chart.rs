//! Charts, drawn as SVG: columns over time, and bars in tables. Each has its numbers in a table too.

use maud::{Markup, html};

use super::text::{Plain, Told, grouped, number};

/// One colour of a chart.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// What it stands for.
    pub(super) name: String,
    /// The class of its colour in the style sheet.
    pub(super) class: &'static str,
    /// One count for each column.
    pub(super) counts: Vec<u64>,
}

/// Columns of several parts on each other.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// Unlike any other on its page; of letters and digits.
    pub(super) id: &'static str,
    /// What is counted, in a few words.
    pub(super) title: String,
    /// What each column is of.
    pub(super) labels: Vec<String>,
    /// What the columns are made of, from the bottom.
    pub(super) parts: Vec<Part>,
}

// In tenths of a unit that is a pixel where the chart is 400 pixels wide.
const WIDTH: u64 = 4000;
const HEIGHT: u64 = 1600;
const LEFT: u64 = 520;
const RIGHT: u64 = 20;
const TOP: u64 = 100;
const BOTTOM: u64 = 200;
/// Labels below the columns, at most.
const MOST_LABELS: usize = 6;

impl Columns {
    /// The drawing, and below it the legend and the numbers.
    pub(super) fn draw(&self) -> Markup {
        let Self { id, title, labels, parts } = self;
        let sums: Vec<u64> = (0..labels.len()).map(|at| self.sum(at)).collect();
        let top = round_up(sums.iter().copied().max().unwrap_or(0));
        let whole = total(sums.iter().copied());
        let columns = u64::try_from(labels.len()).unwrap_or(1).max(1);
        let (plot_width, plot_height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        let step = plot_width / columns;
        let gap = step / 8;
        let height = |count: u64| scale(count, plot_height, top);
        let every = labels.len().div_ceil(MOST_LABELS).max(1);
        let left = |at: usize| LEFT + step * u64::try_from(at).unwrap_or(0);
        let peak = sums.iter().zip(labels).max_by_key(|(sum, _)| **sum).filter(|(sum, _)| **sum > 0);
        html! {
            figure {
                figcaption { (title) }
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(format!("{id}-title {id}-words")) {
                    title id=(format!("{id}-title")) { (title) }
                    desc id=(format!("{id}-words")) {
                        (grouped(whole)) " in all."
                        @if let Some((sum, label)) = peak { " Most at " (label) ": " (grouped(*sum)) "." }
                        " The numbers are in the table below."
                    }
                    @for part in [0, top / 2, top] {
                        @let y = HEIGHT - BOTTOM - height(part);
                        line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                        text.tick x=(LEFT - 60) y=(y + 40) text-anchor="end" { (short(part)) }
                    }
                    @for (at, label) in labels.iter().enumerate() {
                        @let x = left(at) + gap;
                        g {
                            title { (label) @for part in parts { ", " (Plain(&part.name)) " " (grouped(part.count(at))) } }
                            rect.room x=(left(at)) y=(TOP) width=(step) height=(plot_height) {}
                            @for (below, part) in parts.iter().enumerate() {
                                @let base = total(parts.iter().take(below).map(|part| part.count(at)));
                                @let rise = height(base.saturating_add(part.count(at))) - height(base);
                                // What is there can be seen, however little it is.
                                @let rise = if part.count(at) > 0 { rise.max(8) } else { 0 };
                                @if rise > 0 {
                                    rect class=(part.class) x=(x) y=(HEIGHT - BOTTOM - height(base) - rise)
                                        width=(step - 2 * gap) height=(rise) {}
                                }
                            }
                        }
                        @if at % every == 0 {
                            text.tick x=(left(at)) y=(HEIGHT - 60) { (label) }
                        }
                    }
                }
                ul.legend {
                    @for part in parts {
                        li { svg viewBox="0 0 10 10" aria-hidden="true" { rect class=(part.class) width="10" height="10" {} } " " (Told(&part.name)) }
                    }
                }
                (self.table())
            }
        }
    }

    fn table(&self) -> Markup {
        let Self { id, title, labels, parts } = self;
        html! {
            details {
                summary { "The numbers" }
                div.scroll {
                    table id=(format!("{id}-table")) {
                        caption.quiet { (title) }
                        thead { tr { th scope="col" { "from" } @for part in parts { th.n scope="col" { (Told(&part.name)) } } } }
                        tbody {
                            @for (at, label) in labels.iter().enumerate() {
                                @if self.sum(at) > 0 {
                                    tr { th scope="row" { (label) } @for part in parts { td.n { (number(part.count(at))) } } }
                                }
                            }
                            tr.total {
                                th scope="row" { "all" }
                                @for part in parts { td.n { (number(total(part.counts.iter().copied()))) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn sum(&self, at: usize) -> u64 {
        total(self.parts.iter().map(|part| part.count(at)))
    }
}

impl Part {
    fn count(&self, at: usize) -> u64 {
        self.counts.get(at).copied().unwrap_or(0)
    }
}

/// A bar beside a number of a table: its share of the largest.
pub(super) fn bar(count: u64, largest: u64, class: &'static str) -> Markup {
    let width = scale(count, 1000, largest).max(u64::from(count > 0) * 8);
    html! {
        svg.bar viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.room width="1000" height="100" {}
            @if width > 0 { rect class=(class) width=(width) height="100" {} }
        }
    }
}

/// The sum; what a database claims may be too large for one.
pub(super) fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

fn scale(count: u64, size: u64, largest: u64) -> u64 {
    if largest == 0 {
        return 0;
    }
    let scaled = u128::from(count) * u128::from(size) / u128::from(largest);
    u64::try_from(scaled).unwrap_or(size).min(size)
}

/// The next even number with one digit before its zeros: its half is a round number too.
fn round_up(count: u64) -> u64 {
    let mut unit: u64 = 1;
    loop {
        for digit in [2, 4, 6, 8, 10] {
            let round = unit.saturating_mul(digit);
            if round >= count {
                return round;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// A number for an axis: `20 k`.
fn short(count: u64) -> String {
    match count {
        0..=9_999 => count.to_string(),
        10_000..=9_999_999 => format!("{}\u{202f}k", count / 1000),
        10_000_000.. => format!("{}\u{202f}M", count / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, class: &'static str, counts: &[u64]) -> Part {
        Part { name: name.to_owned(), class, counts: counts.to_vec() }
    }

    #[test]
    fn columns_stand_on_each_other_in_proportion() {
        let chart = Columns {
            id: "c",
            title: "Connections".to_owned(),
            labels: vec!["00:00".to_owned(), "01:00".to_owned()],
            parts: vec![part("served", "served", &[50, 100]), part("refused", "refused", &[50, 0])],
        };
        let drawn = chart.draw().into_string();
        // The plot is 1300 high and stands on 1400.
        assert!(
            drawn.contains(r#"<rect class="served" x="736" y="750" width="1298" height="650">"#),
            "{drawn}"
        );
        assert!(drawn.contains(r#"<rect class="refused" x="736" y="100" width="1298" height="650">"#));
        assert!(drawn.contains(r#"y="100" width="1298" height="1300">"#));
        assert!(drawn.contains("<td class=\"n\"><data value=\"150\">"), "the sum of the served");
        assert!(drawn.contains("Most at 01:00: 100.") || drawn.contains("Most at 00:00: 100."));
    }

    #[test]
    fn what_is_there_is_seen_and_what_is_not_is_not() {
        let counts = part("served", "served", &[u64::MAX / 4, 1, 0]);
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let chart = Columns { id: "c", title: "x".to_owned(), labels, parts: vec![counts] };
        assert_eq!(chart.draw().into_string().matches("class=\"served\" x=").count(), 2);
        let empty = Columns { id: "c", title: "x".to_owned(), labels: Vec::new(), parts: Vec::new() };
        assert!(empty.draw().into_string().contains("0 in all."));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        let rounded = [0, 1, 2, 3, 7, 11, 42, 501, 1_000_000].map(round_up);
        assert_eq!(rounded, [2, 2, 2, 4, 8, 20, 60, 600, 1_000_000]);
        assert_eq!(
            (short(9999), short(20_000), short(50_000_000)),
            ("9999".into(), "20\u{202f}k".into(), "50\u{202f}M".into())
        );
    }
}

//! The table: medians, and the ratio of the gateway to each peer, round by round.

use std::fmt::Write as _;
use std::time::Duration;

/// Rows of figures, one column a server; the first column is the gateway.
pub(crate) struct Table {
    text: String,
}

impl Table {
    pub(crate) fn new(servers: Vec<&str>) -> Self {
        let mut text = String::from("| operation |");
        for name in &servers {
            let _ = write!(text, " {name} |");
        }
        for name in servers.iter().skip(1) {
            let _ = write!(text, " gateway ÷ {name} |");
        }
        text.push_str("\n|");
        for _ in 0..servers.len() * 2 {
            text.push_str(" --- |");
        }
        text.push('\n');
        Self { text }
    }

    pub(crate) fn add(&mut self, name: &str, mut figures: Vec<Vec<Duration>>) {
        let _ = write!(self.text, "| {name} |");
        let ratios: Vec<f64> = match figures.split_first() {
            Some((gateway, peers)) => peers.iter().map(|peer| ratio(gateway, peer)).collect(),
            None => Vec::new(),
        };
        for column in &mut figures {
            column.sort();
            let median = column.get(column.len() / 2).copied().unwrap_or_default();
            let _ = write!(self.text, " {} µs |", median.as_micros());
        }
        for ratio in ratios {
            let _ = write!(self.text, " {ratio:.2} |");
        }
        self.text.push('\n');
    }

    pub(crate) fn markdown(&self) -> &str {
        &self.text
    }
}

/// The median of the ratios within each round: what the machine did to one it did to the other.
fn ratio(gateway: &[Duration], peer: &[Duration]) -> f64 {
    let mut ratios: Vec<f64> =
        gateway.iter().zip(peer).map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

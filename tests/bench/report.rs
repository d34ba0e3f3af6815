//! The table: medians, and the ratio of the gateway to each peer, round by round. Below it the spread of the ratios, and
//! which certificates were shown.

use std::fmt::Write as _;
use std::time::Duration;

use certs::KeyAlgorithm;

/// Rows of figures, one column a server; the first column is the gateway.
pub(crate) struct Table {
    servers: Vec<String>,
    text: String,
    notes: Vec<String>,
    /// The figures of the last row, in the order of the rounds.
    last: Vec<Vec<Duration>>,
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
        let servers = servers.into_iter().map(str::to_owned).collect();
        Self { servers, text, notes: Vec::new(), last: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &str, mut figures: Vec<Vec<Duration>>) {
        let _ = write!(self.text, "| {name} |");
        self.last.clone_from(&figures);
        let ratios: Vec<Vec<f64>> = match figures.split_first() {
            Some((gateway, peers)) => peers.iter().map(|peer| ratios(gateway, peer)).collect(),
            None => Vec::new(),
        };
        for column in &mut figures {
            column.sort();
            let median = column.get(column.len() / 2).copied().unwrap_or_default();
            let _ = write!(self.text, " {} µs |", median.as_micros());
        }
        for (peer, ratios) in self.servers.iter().skip(1).zip(ratios) {
            let median = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);
            let _ = write!(self.text, " {median:.2} |");
            if let (Some(least), Some(most)) = (ratios.first(), ratios.last()) {
                self.notes
                    .push(format!("{name}: gateway ÷ {peer} {least:.2} to {most:.2} from round to round"));
            }
        }
        self.text.push('\n');
    }

    /// Says below the table what the bare server took in the rounds of the row that was added last.
    pub(crate) fn bare(&mut self, name: &str, mut bare: Vec<Duration>) {
        for (peer, figures) in self.servers.iter().zip(&self.last) {
            let ratios = ratios(&bare, figures);
            let median = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);
            let (least, most) = (ratios.first().copied(), ratios.last().copied());
            self.notes.push(format!(
                "{name}: the sockets and the asymmetric work alone ÷ {peer} {median:.2} ({:.2} to {:.2})",
                least.unwrap_or(f64::NAN),
                most.unwrap_or(f64::NAN)
            ));
        }
        bare.sort();
        let median = bare.get(bare.len() / 2).copied().unwrap_or_default();
        self.notes
            .push(format!("{name}: the sockets and the asymmetric work alone: {} µs", median.as_micros()));
    }

    /// Says below the table which certificate each server chose.
    pub(crate) fn note(&mut self, name: &str, shown: &[KeyAlgorithm]) {
        let shown = self.servers.iter().zip(shown).map(|(server, key)| format!("{server} {key}"));
        self.notes.push(format!("{name}: certificates shown by {}", shown.collect::<Vec<_>>().join(", ")));
    }

    /// Says below the table how many bytes a second of CPU time sends.
    pub(crate) fn throughput(&mut self, name: &str, bytes: usize) {
        for (server, figures) in self.servers.iter().zip(&self.last) {
            let mut sorted = figures.clone();
            sorted.sort();
            let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default().as_secs_f64();
            let mib = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / f64::from(1 << 20);
            self.notes
                .push(format!("{name}: {server} sends {:.0} MiB for each second of CPU time", mib / median));
        }
    }

    pub(crate) fn markdown(&self) -> String {
        format!("{}\n{}\n", self.text, self.notes.join("\n"))
    }
}

/// The ratios within each round, the least first: what the machine did to one it did to the other.
fn ratios(gateway: &[Duration], peer: &[Duration]) -> Vec<f64> {
    let mut ratios: Vec<f64> =
        gateway.iter().zip(peer).map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

//! What was measured, as two tables and some lines; and what is far from what it should be.

use std::time::Duration;

use certs::KeyAlgorithm;

use crate::bound::{Bound, Unit, Verdict};
use crate::flood::{self, Flood};
use crate::idle::{self, Idle};
use crate::power_cut::{self, PowerCut};
use crate::request::LARGE_PROFILE;
use crate::row::{Measured, Row, Work};
use crate::statistics::{Ratio, median, percentile};
use crate::table::Table;

/// Memory of a connection that stays open without saying anything.
const IDLE: Bound = Bound { most: 26.0, goal: Some(15.0), unit: Unit::Kibibytes };
/// What a phone in a crowd costs, of what it costs alone.
const CROWD: Bound = Bound { most: 1.2, goal: None, unit: Unit::Times };
/// With fewer phones the figure says more of the machine than of the server.
const LEAST_CROWD: usize = 200;
/// A full TLS 1.3 handshake, of the asymmetric work alone.
const ASYMMETRIC_WORK: Bound = Bound { most: 1.9, goal: None, unit: Unit::Times };
/// A server that needs more than so many times what another needs, or less than one such part of it, was not measured
/// doing the same.
const PLAUSIBLE: f64 = 20.0;

/// What was measured so far.
pub(crate) struct Report {
    /// The gateway first.
    servers: Vec<&'static str>,
    /// CPU time per operation.
    operations: Table,
    /// Memory, flood and power cut.
    crowds: Table,
    notes: Vec<String>,
    /// What is far from what it should be, as sentences.
    faults: Vec<String>,
}

impl Report {
    pub(crate) fn new(servers: Vec<&'static str>) -> Self {
        let named = |text: &str| servers.iter().map(|name| format!("{text}{name}")).collect::<Vec<_>>();
        let heads = |first: &str, ratios: &[String]| {
            let mut heads = vec![first.to_owned()];
            heads.extend(named("").into_iter().chain(ratios.iter().cloned()));
            heads.push("bound for the gateway".to_owned());
            heads
        };
        let ratios = named("gateway ÷ ").split_off(1.min(servers.len()));
        Self {
            operations: Table::new(heads("server CPU per operation", &ratios)),
            crowds: Table::new(heads("many connections at once", &[])),
            servers,
            notes: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// A row of CPU time per operation.
    pub(crate) fn operation(&mut self, row: &Row, measured: &Measured, bound: Option<Bound>) {
        let Some((gateway, peers)) = measured.figures.split_first() else { return };
        let mut cells = vec![row.name.to_owned()];
        cells.extend(measured.figures.iter().map(|figures| micros(median(figures))));
        let ratios: Vec<_> = peers.iter().map(|peer| Ratio::of(gateway, peer)).collect();
        let mut spread = Vec::new();
        for (name, ratio) in self.servers.iter().skip(1).zip(&ratios) {
            let Some(Ratio { least, median, most }) = ratio else {
                cells.push("–".to_owned());
                self.faults.push(format!("{}: gateway or {name} took no CPU time at all", row.name));
                continue;
            };
            cells.push(format!("{median:.2}"));
            spread.push(format!("{name} {least:.2} to {most:.2}"));
            if !(1.0 / PLAUSIBLE..=PLAUSIBLE).contains(median) {
                self.faults.push(format!("{}: gateway ÷ {name} is {median:.2}, which cannot be", row.name));
            }
        }
        let found = bound.and_then(|bound| match bound.unit {
            Unit::TimesPeer(peer) => {
                let at = self.servers.iter().position(|name| *name == peer)?;
                Some((bound, ratios.get(at.checked_sub(1)?).copied().flatten()?.median))
            }
            Unit::Count | Unit::Kibibytes | Unit::Times => None,
        });
        cells.push(match found {
            None => String::new(),
            Some((bound, found)) => match self.physical_limit(bound, measured) {
                None => self.judged(row.name, bound, found),
                // Where a signature takes long beside everything else, no server can meet the bound: then how many times
                // the asymmetric work the gateway takes decides alone.
                Some(limit) => format!("{}; physical limit {limit:.2}", bound.told(found)),
            },
        });
        self.operations.add(cells);
        self.notes.push(format!("{}: from round to round gateway ÷ {}", row.name, spread.join(", ")));
        self.further(row, measured);
    }

    /// What the sockets and the asymmetric work alone take of the time of the peer that a bound names, where the row has
    /// that.
    fn physical_limit(&self, bound: Bound, measured: &Measured) -> Option<f64> {
        let Unit::TimesPeer(peer) = bound.unit else { return None };
        let at = self.servers.iter().position(|name| *name == peer)?;
        Some(Ratio::of(&measured.bare, measured.figures.get(at)?)?.median)
    }

    /// What only some rows have to say.
    fn further(&mut self, row: &Row, measured: &Measured) {
        let mut shown = measured.shown.iter();
        let first = shown.next();
        if shown.any(|key| Some(key) != first) || measured.shown.iter().any(is_ec) {
            let shown = self.servers.iter().zip(&measured.shown).map(|(name, key)| format!("{name} {key}"));
            self.notes.push(format!("{}: certificates shown by {}", row.name, listed(shown)));
        }
        if row.work == Work::LargeProfile {
            let rate = |figures: &Vec<Duration>| {
                let second = median(figures).map_or(f64::NAN, |median| median.as_secs_f64());
                mebibytes(LARGE_PROFILE.try_into().unwrap_or(u64::MAX)) / second
            };
            let rates = self.servers.iter().zip(&measured.figures);
            let rates = rates.map(|(name, figures)| format!("{name} {:.0} MiB", rate(figures)));
            self.notes.push(format!("{}: sent for each second of CPU time: {}", row.name, listed(rates)));
        }
        if !measured.bare.is_empty() {
            let parts = self.servers.iter().zip(&measured.figures).filter_map(|(name, figures)| {
                let ratio = Ratio::of(&measured.bare, figures)?;
                Some(format!("{:.2} of {name}", ratio.median))
            });
            let bare = micros(median(&measured.bare));
            self.notes.push(format!(
                "{}: a server of the sockets and the asymmetric work alone takes {bare}: {}",
                row.name,
                listed(parts)
            ));
        }
        if let Some(gateway) = measured.figures.first() {
            self.asymmetric_work(row, gateway, &measured.asymmetric_work);
        }
    }

    /// What no server with RSA keys can do without, where the row has that.
    fn asymmetric_work(&mut self, row: &Row, gateway: &[Duration], work: &[Duration]) {
        let Some(ratio) = Ratio::of(gateway, work) else { return };
        let told = self.judged("full TLS 1.3 handshake ÷ asymmetric work", ASYMMETRIC_WORK, ratio.median);
        self.notes.push(format!(
            "{}: one RSA 2048 signature, one X25519 agreement and two RSA 2048 verifications take {} with all cores busy; the \
             gateway ÷ that: {:.2}, from round to round {:.2} to {:.2} ({told})",
            row.name,
            micros(median(work)),
            ratio.median,
            ratio.least,
            ratio.most
        ));
    }

    pub(crate) fn idle(&mut self, found: &[Idle], count: u32) {
        let kib = |idle: &Idle| kibibytes(idle.each);
        let told = found.iter().map(|idle| format!("{:.1} KiB", kib(idle)));
        self.crowd(idle::ROW, told, Some(IDLE).zip(found.first().map(kib)));
        self.notes.push(format!(
            "{}: growth of the proportional resident memory (Pss) of all the server's processes, for each of {count} \
             mutually authenticated TLS 1.3 connections after one GET each; the kernel's socket buffers are not in it",
            idle::ROW
        ));
        for (name, idle) in self.servers.iter().zip(found) {
            if idle.closed > 0 {
                self.faults.push(format!("{}: {name} had closed {} of {count}", idle::ROW, idle.closed));
            }
        }
    }

    pub(crate) fn flood(&mut self, found: &[Flood], seconds: u32) {
        let phones = flood::PHONES * seconds;
        let served = |flood: &Flood| flood.calls.served.len();
        let missing = found.first().map(|flood| count(flood.calls.lost + flood.calls.refused_count()));
        let told: Vec<_> = found.iter().map(|flood| format!("{} of {phones}", served(flood))).collect();
        self.crowd("flood: phones served", told, None);
        if let Some(missing) = missing.filter(|missing| *missing > 0.0) {
            self.faults.push(format!("flood: the gateway did not serve {missing:.0} of {phones} phones"));
        }
        for (name, percent) in [("half", 50), ("99 of 100", 99)] {
            let told: Vec<_> =
                found.iter().map(|flood| millis(percentile(&flood.calls.served, percent))).collect();
            self.crowd(&format!("flood: {name} served phones had their profile after"), told, None);
        }
        let told: Vec<_> = found.iter().map(|flood| micros(flood.cpu_each())).collect();
        self.crowd("flood: server CPU for each served phone", told, None);
        let told: Vec<_> = found.iter().map(|flood| format!("{:.1} MiB", mebibytes(flood.grown))).collect();
        self.crowd("flood: memory growth at most", told, None);
        self.notes.push(format!(
            "flood: for {seconds} s, {} connections a second from 1000 addresses, half silent, half with a TLS 1.3 hello \
             and nothing after it; among them {} phones a second with full handshake and GET, each with an address and \
             certificate (P-256) of its own and {} s of patience; the server's CPU is for flood and phones together",
            flood::CONNECTIONS,
            flood::PHONES,
            flood::PATIENCE.as_secs()
        ));
        self.refusals("flood", found.iter().map(|flood| flood.calls.refusals()));
    }

    pub(crate) fn power_cut(&mut self, found: &[PowerCut], phones: usize) {
        let row = |what: &str| format!("power cut of {phones} phones: {what}");
        let counts = |of: fn(&PowerCut) -> usize| {
            let told: Vec<_> = found.iter().map(|cut| of(cut).to_string()).collect();
            (told, Some(Bound::NONE).zip(found.first().map(|cut| count(of(cut)))))
        };
        let (told, bound) = counts(|cut| cut.calls.lost);
        self.crowd(&row("lost"), told, bound);
        let (told, bound) = counts(|cut| cut.calls.refused_count());
        self.crowd(&row("refused"), told, bound);
        let told: Vec<_> = found
            .iter()
            .map(|cut| {
                let all = cut.calls.served.len() == phones;
                if all { seconds_of(Some(cut.over_after)) } else { "never".to_owned() }
            })
            .collect();
        self.crowd(&row("all served after"), told, None);
        let told: Vec<_> = found.iter().map(|cut| seconds_of(Some(cut.cpu))).collect();
        self.crowd(&row("server CPU"), told, None);
        let dearer: Vec<_> = found.iter().map(|cut| cut.dearer(phones)).collect();
        let told: Vec<_> = dearer.iter().map(|times| format!("{times:.2}")).collect();
        let bound = Some(CROWD).filter(|_| phones >= LEAST_CROWD).zip(dearer.first().copied());
        self.crowd(&row("server CPU ÷ (phones × one handshake + GET)"), told, bound);
        let told: Vec<_> = found.iter().map(|cut| seconds_of(Some(cut.generator))).collect();
        self.crowd(&row("CPU of the phones meanwhile"), told, None);
        let told: Vec<_> = found.iter().map(|cut| format!("{:.0} MiB", mebibytes(cut.grown))).collect();
        self.crowd(&row("memory growth at most"), told, None);
        let one =
            self.servers.iter().zip(found).map(|(name, cut)| format!("{name} {}", micros(Some(cut.one))));
        self.notes.push(format!(
            "{}: each phone with an address and a certificate (P-256) of its own; one handshake + GET of such a phone \
             alone, 16 at once: {}",
            power_cut::ROW,
            listed(one)
        ));
        self.refusals(power_cut::ROW, found.iter().map(|cut| cut.calls.refusals()));
    }

    /// That the gateway's crypto library was told this of the processor.
    pub(crate) fn processor(&mut self, told: &str) {
        self.notes.push(format!("the gateway's crypto library, and the physical limit's, had {told}"));
    }

    /// The tables that have rows, then the lines.
    pub(crate) fn markdown(&self) -> String {
        let tables = [&self.operations, &self.crowds].into_iter().filter(|table| !table.is_empty());
        let mut parts: Vec<_> = tables.map(Table::markdown).collect();
        parts.push(self.notes.iter().map(|note| format!("- {note}\n")).collect());
        parts.join("\n")
    }

    /// What is far from what it should be, as sentences.
    pub(crate) fn faults(&self) -> &[String] {
        &self.faults
    }

    fn crowd(&mut self, name: &str, told: impl IntoIterator<Item = String>, bound: Option<(Bound, f64)>) {
        let mut cells = vec![name.to_owned()];
        cells.extend(told);
        cells.push(bound.map_or_else(String::new, |(bound, found)| self.judged(name, bound, found)));
        self.crowds.add(cells);
    }

    fn refusals(&mut self, row: &str, refusals: impl Iterator<Item = Option<String>>) {
        for (name, refusals) in self.servers.iter().zip(refusals) {
            if let Some(refusals) = refusals {
                self.notes.push(format!("{row}: refused by {name}: {refusals}"));
            }
        }
    }

    /// The verdict for a cell; one that is missed by far is a fault too.
    fn judged(&mut self, name: &str, bound: Bound, found: f64) -> String {
        let told = bound.told(found);
        match bound.judge(found) {
            Verdict::Met | Verdict::Missed => {}
            Verdict::MissedByFar => self.faults.push(format!("{name}: {found:.2}, bound {told}")),
        }
        told
    }
}

fn is_ec(key: &KeyAlgorithm) -> bool {
    matches!(key, KeyAlgorithm::Ec { .. })
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn micros(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".to_owned(), |time| format!("{} µs", time.as_micros()))
}

fn millis(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".to_owned(), |time| format!("{} ms", time.as_millis()))
}

fn seconds_of(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
}

fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Bytes as KiB. To the byte as long as there are less than 4 GiB of them.
fn kibibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1024.0
}

fn mebibytes(bytes: u64) -> f64 {
    kibibytes(bytes) / 1024.0
}

#[cfg(test)]
mod tests;

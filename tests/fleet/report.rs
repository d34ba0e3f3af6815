//! What a run found: as a table for people, as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::call::Call;
use crate::cli::Scenario;
use crate::crew::{failures, in_words, lost};
use crate::finding::{Figure, Findings, Promise};
use crate::percentile::Percentiles;
use crate::refusals::Reasons;
use crate::series::Series;
use crate::world::{Target, World};

/// Everything a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) phones: usize,
    pub(crate) old_percent: u8,
    pub(crate) device_key: &'static str,
    pub(crate) seed: u64,
    /// The phones' seconds in one of ours.
    pub(crate) speed: f64,
    /// How long it took.
    pub(crate) seconds: f64,
    pub(crate) held: bool,
    pub(crate) promises: Vec<Promise>,
    pub(crate) calls: Calls,
    /// From wanting a connection until the handshake was done, in milliseconds.
    pub(crate) wait_ms: Percentiles,
    /// From a request to the answer's last byte, in milliseconds.
    pub(crate) service_ms: Percentiles,
    /// The gateway's records with a reason, hostile clients' among them.
    pub(crate) gateway_refusals: Reasons,
    pub(crate) gateway: Gateway,
    /// CPU time of this program, phones and profile store together.
    pub(crate) generator_cpu_seconds: f64,
    pub(crate) figures: Vec<Figure>,
    pub(crate) series: Series,
}

/// The phones' calls; hostile clients' are not among them.
#[derive(Debug, Serialize)]
pub(crate) struct Calls {
    pub(crate) made: usize,
    pub(crate) served: usize,
    /// Phones that never got their profile.
    pub(crate) phones_lost: usize,
    /// Handshakes that were completed.
    pub(crate) connections: usize,
    /// Requests the profile store answered since it was started.
    pub(crate) store_answers: u64,
    pub(crate) statuses: BTreeMap<u16, usize>,
    pub(crate) failures: BTreeMap<String, usize>,
}

/// What the gateway needed, where that can be known.
#[derive(Debug, Serialize)]
pub(crate) struct Gateway {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) final_memory_bytes: Option<u64>,
}

impl Report {
    pub(crate) fn new(world: &World, scenario: &Scenario, findings: Findings) -> Self {
        let common = scenario.common();
        let all = world.log.all();
        let seconds = world.log.now().as_secs_f64();
        let series = Series::new(&all, &findings.moments);
        let calls: Vec<Call> = all.into_iter().filter(|call| call.phone().is_some()).collect();
        let mut statuses = BTreeMap::new();
        for status in calls.iter().flat_map(|call| &call.statuses) {
            *statuses.entry(*status).or_default() += 1;
        }
        let usage = world.usage();
        let memory = match &world.target {
            Target::Own(gateway) => Some(gateway.memory()),
            Target::Other(_) => None,
        };
        Self {
            scenario: scenario.name(),
            phones: world.phones.len(),
            old_percent: common.old,
            device_key: common.device_key.as_str(),
            seed: common.seed,
            speed: scenario.speed(),
            seconds,
            held: findings.all_held(),
            promises: findings.promises,
            calls: Calls {
                made: calls.len(),
                served: calls.iter().filter(|call| call.is_served()).count(),
                phones_lost: lost(world.phones.len(), &calls).len(),
                connections: calls.iter().map(|call| call.waits.len()).sum(),
                store_answers: world.backend.answered(),
                statuses,
                failures: failures(&calls),
            },
            wait_ms: Percentiles::of(calls.iter().flat_map(|call| call.waits.iter().copied())),
            service_ms: Percentiles::of(calls.iter().flat_map(|call| call.services.iter().copied())),
            gateway_refusals: world.records().reasons(),
            gateway: Gateway {
                cpu_seconds: usage.gateway.map(|time| time.as_secs_f64()),
                peak_memory_bytes: memory.map(|(peak, _)| peak),
                final_memory_bytes: memory.map(|(_, now)| now),
            },
            generator_cpu_seconds: usage.generator.as_secs_f64(),
            figures: findings.figures,
            series,
        }
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut rows = Rows::default();
        rows.add(
            "phones",
            format!("{}, {} % of them old, keys {}", self.phones, self.old_percent, self.device_key),
        );
        rows.add("time", format!("{:.1} s, {} s of the phones' in each", self.seconds, self.speed));
        let calls = &self.calls;
        rows.add("calls", format!("{} made, {} served", calls.made, calls.served));
        rows.add("calls that failed", in_words(&calls.failures));
        rows.add("phones never served", calls.phones_lost.to_string());
        rows.add("handshakes completed", calls.connections.to_string());
        let statuses: Vec<_> =
            calls.statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        rows.add("answers", if statuses.is_empty() { "none".to_owned() } else { statuses.join(", ") });
        let reasons: Vec<_> =
            self.gateway_refusals.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
        rows.add(
            "gateway's reasons",
            if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") },
        );
        rows.times("wait for the handshake", &self.wait_ms);
        rows.times("service of a file", &self.service_ms);
        if let Some(cpu) = self.gateway.cpu_seconds {
            rows.add("gateway's CPU", format!("{cpu:.2} s"));
        }
        rows.add("phones' and store's CPU", format!("{:.2} s", self.generator_cpu_seconds));
        if let (Some(peak), Some(last)) = (self.gateway.peak_memory_bytes, self.gateway.final_memory_bytes) {
            rows.add(
                "gateway's memory",
                format!("{} MiB at most, {} MiB at the end", peak >> 20, last >> 20),
            );
        }
        for Figure { name, value, unit } in &self.figures {
            let digits = if *value < 100.0 { 2 } else { 0 };
            rows.add(name, format!("{value:.digits$} {unit}").trim_end().to_owned());
        }
        let mut text = format!("fleet {}\n\n{}\n", self.scenario, rows.text());
        for Promise { promise, held, found } in &self.promises {
            let _ = writeln!(text, "{} {promise}: {found}", if *held { "held  " } else { "BROKEN" });
        }
        text
    }

    /// The promises that did not hold, as sentences.
    pub(crate) fn broken(&self) -> Vec<String> {
        let broken = self.promises.iter().filter(|promise| !promise.held);
        broken
            .map(|Promise { promise, found, .. }| format!("it did not hold that {promise}: {found}"))
            .collect()
    }
}

#[derive(Default)]
struct Rows(Vec<(String, String)>);

impl Rows {
    fn add(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    fn times(&mut self, name: &str, times: &Percentiles) {
        let Percentiles { count: _, p50, p90, p99, max } = times;
        self.add(name, format!("p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  max {max:.1} ms"));
    }

    fn text(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        self.0.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
    }
}

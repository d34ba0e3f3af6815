//! A device's story as JSON.

use serde::Serialize;

use policies::Reason;

use super::Dossier;
use super::visit::{Step, Visit};
use crate::audit::entry::Entry;
use crate::audit::query::{Change, DeviceStatus, PresentedCertificate, Sighting, SightingKind};
use crate::respond::phone;

/// The answer of `audit device --json`.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    mac: String,
    /// Whether it ever proved itself; if not, all of this is only claimed.
    proven: bool,
    product: Option<&'a str>,
    serial: Option<&'a str>,
    first_seen: Option<String>,
    last_seen: Option<String>,
    records: u64,
    peer: Option<&'a str>,
    host: Option<&'a str>,
    user_agent: Option<&'a str>,
    certificate: Option<Certificate<'a>>,
    certificates: Vec<Certificate<'a>>,
    last_success: Option<Success<'a>>,
    last_refusal: Option<Refusal<'a>>,
    changes: Vec<Changed<'a>>,
    networks: Vec<Seen<'a>>,
    user_agents: Vec<Seen<'a>>,
    events: Vec<Event<'a>>,
}

#[derive(Debug, Serialize)]
struct Certificate<'a> {
    issuer: &'a str,
    serial: &'a str,
    not_after: Option<String>,
    sha256: &'a str,
    key_sha256: Option<&'a str>,
    proven: bool,
    first_seen: String,
    last_seen: String,
    connections: u64,
}

#[derive(Debug, Serialize)]
struct Success<'a> {
    time: String,
    method: Option<&'a str>,
    path: Option<&'a str>,
    status: Option<u16>,
    bytes: Option<u64>,
    peer: Option<&'a str>,
    host: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Refusal<'a> {
    time: String,
    reason: Option<&'a str>,
    proven: bool,
}

#[derive(Debug, Serialize)]
struct Changed<'a> {
    kind: &'static str,
    deserves_a_look: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    another_key: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    another_issuer: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    both_in_use: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Seen<'a> {
    value: &'a str,
    first_seen: String,
    last_seen: String,
    records: u64,
}

#[derive(Debug, Serialize)]
struct Event<'a> {
    times: u64,
    first: String,
    last: String,
    /// `device`: proven; `certificate`, `path` or `syslog`: only claimed.
    known_by: &'static str,
    peers: &'a [String],
    version: Option<&'a str>,
    exceptions: &'a [String],
    certificate_sha256: Option<&'a str>,
    steps: Vec<Stepped<'a>>,
}

#[derive(Debug, Serialize)]
struct Stepped<'a> {
    outcome: &'static str,
    /// What the phone says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<&'a str>,
    method: Option<&'a str>,
    path: Option<&'a str>,
    status: Option<u16>,
    bytes: Option<u64>,
    reason: Option<&'a str>,
    meaning: Option<&'static str>,
    phone_shows: Option<String>,
    remedy: Option<&'static str>,
    detail: Option<&'a str>,
    alert: Option<&'a str>,
    count: u64,
}

impl<'a> Report<'a> {
    pub(super) fn of(dossier: &'a Dossier, limit: usize) -> Self {
        let Dossier { mac, status, certificates, sightings, changes, last_success, visits, has_more: _ } =
            dossier;
        let status = status.as_ref();
        let sighted =
            |kind| sightings.iter().filter(move |one: &&Sighting| one.kind == kind).map(Seen::of).collect();
        Self {
            mac: mac.to_string(),
            proven: status.is_some_and(|status| status.proven),
            product: status.and_then(|status| status.product.as_deref()),
            serial: status.and_then(|status| status.serial.as_deref()),
            first_seen: status.map(|status| status.first_seen.to_string()),
            last_seen: status.map(|status| status.last_seen.to_string()),
            records: status.map_or(0, |status| status.records),
            peer: status.and_then(|status| status.peer.as_deref()),
            host: status.and_then(|status| status.host.as_deref()),
            user_agent: status.and_then(|status| status.user_agent.as_deref()),
            certificate: status.and_then(|status| status.certificate.as_ref()).map(Certificate::of),
            certificates: certificates.iter().map(Certificate::of).collect(),
            last_success: status.and_then(|status| Success::of(status, last_success.as_ref())),
            last_refusal: status.and_then(Refusal::of),
            changes: changes.iter().map(Changed::of).collect(),
            networks: sighted(SightingKind::Network),
            user_agents: sighted(SightingKind::UserAgent),
            events: visits.iter().take(limit).map(Event::of).collect(),
        }
    }
}

impl<'a> Certificate<'a> {
    fn of(certificate: &'a PresentedCertificate) -> Self {
        let PresentedCertificate {
            sha256,
            key_sha256,
            issuer,
            serial,
            not_after,
            proven,
            first_seen,
            last_seen,
            count,
        } = certificate;
        Self {
            issuer,
            serial,
            not_after: not_after.map(|end| end.to_string()),
            sha256,
            key_sha256: key_sha256.as_deref(),
            proven: *proven,
            first_seen: first_seen.to_string(),
            last_seen: last_seen.to_string(),
            connections: *count,
        }
    }
}

impl<'a> Success<'a> {
    fn of(status: &DeviceStatus, entry: Option<&'a Entry>) -> Option<Self> {
        Some(Self {
            time: status.last_success?.to_string(),
            method: entry.and_then(|entry| entry.method.as_deref()),
            path: entry.and_then(|entry| entry.path.as_deref()),
            status: entry.and_then(|entry| entry.status),
            bytes: entry.and_then(|entry| entry.bytes),
            peer: entry.and_then(|entry| entry.peer.as_deref()),
            host: entry.and_then(|entry| entry.host.as_deref()),
        })
    }
}

impl<'a> Refusal<'a> {
    fn of(status: &'a DeviceStatus) -> Option<Self> {
        let refusal = status.last_refusal.as_ref()?;
        Some(Self {
            time: refusal.time.to_string(),
            reason: refusal.reason.as_deref(),
            proven: refusal.source == crate::audit::entry::MacSource::Device,
        })
    }
}

impl<'a> Changed<'a> {
    fn of(change: &'a Change) -> Self {
        let mut report = Self {
            kind: "",
            deserves_a_look: change.deserves_a_look(),
            time: None,
            from_sha256: None,
            to_sha256: None,
            another_key: change.is_another_key(),
            another_issuer: None,
            both_in_use: None,
            networks: Vec::new(),
            user_agent: None,
        };
        match change {
            Change::FirstSeen { mac: _, at } => {
                report.kind = "first_seen";
                report.time = Some(at.to_string());
            }
            Change::Certificate { mac: _, from, to } => {
                report.kind = if change.is_renewal() { "renewed_certificate" } else { "another_certificate" };
                report.time = Some(to.first_seen.to_string());
                report.from_sha256 = Some(&from.sha256);
                report.to_sha256 = Some(&to.sha256);
                report.another_issuer = Some(change.is_another_issuer());
                report.both_in_use = Some(change.is_either_in_use());
            }
            Change::Networks { mac: _, networks } => {
                report.kind = "networks";
                report.networks = networks.iter().map(|one| one.value.as_str()).collect();
            }
            Change::UserAgent { mac: _, agreement: _, user_agent } => {
                report.kind = "user_agent";
                report.time = Some(user_agent.first_seen.to_string());
                report.user_agent = Some(&user_agent.value);
            }
        }
        report
    }
}

impl<'a> Seen<'a> {
    fn of(sighting: &'a Sighting) -> Self {
        let Sighting { kind: _, value, first_seen, last_seen, count } = sighting;
        Self { value, first_seen: first_seen.to_string(), last_seen: last_seen.to_string(), records: *count }
    }
}

impl<'a> Event<'a> {
    fn of(visit: &'a Visit) -> Self {
        let Visit { times, first, last, source, peers, version, claim, exceptions, steps } = visit;
        Self {
            times: *times,
            first: first.to_string(),
            last: last.to_string(),
            known_by: source.as_str(),
            peers,
            version: version.as_deref(),
            exceptions,
            certificate_sha256: claim.as_ref().map(|claim| claim.sha256.as_str()),
            steps: steps.iter().map(Stepped::of).collect(),
        }
    }
}

impl<'a> Stepped<'a> {
    fn of(step: &'a Step) -> Self {
        let Step { outcome, asked, said, status, reason, detail, bytes, alert, count } = step;
        let known = reason.as_deref().and_then(Reason::from_code);
        Self {
            outcome: outcome.as_str(),
            said: said.as_deref(),
            method: asked.as_ref().map(|(method, _)| method.as_str()),
            path: asked.as_ref().map(|(_, path)| path.as_str()),
            status: *status,
            bytes: *bytes,
            reason: reason.as_deref(),
            meaning: known.map(Reason::meaning),
            phone_shows: known.map(|reason| phone::shows(reason).join(" ")),
            remedy: known.map(Reason::remedy),
            detail: detail.as_deref(),
            alert: alert.as_deref(),
            count: *count,
        }
    }
}

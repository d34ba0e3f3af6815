//! `audit expiring`: devices by the end of the certificate they presented.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Failure, Outcome, Streams, words, write_json};
use crate::audit::AuditDatabase;
use crate::audit::moment::Moment;
use crate::audit::query::DeviceStatus;
use crate::cli;
use crate::printer::Printable;

/// The answer for programs.
#[derive(Debug, Serialize)]
struct Report {
    before: String,
    devices: Vec<Device>,
    totals: Vec<Total>,
}

#[derive(Debug, Serialize)]
struct Device {
    mac: String,
    product: Option<String>,
    serial: Option<String>,
    issuer: String,
    certificate_serial: String,
    not_after: String,
    proven: bool,
    last_seen: String,
}

/// How many devices' certificates of one issuer end in one month.
#[derive(Debug, Serialize)]
struct Total {
    month: String,
    issuer: String,
    devices: u64,
    claimed: u64,
}

pub(super) fn expiring(
    question: &cli::AuditExpiring,
    json: bool,
    database: &mut AuditDatabase,
    now: Moment,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Failure> {
    let before = now.after(question.within).timestamp();
    let limit = question.limit.get();
    let devices = database.expiring(before, limit)?;
    let mut months = BTreeMap::<((i64, i64), String), Total>::new();
    for proven in [true, false] {
        for found in database.expiring_by_month(before, proven)? {
            let (year, month) = found.month;
            let total = months.entry((found.month, found.issuer.clone())).or_insert_with(|| Total {
                month: format!("{year:04}-{month:02}"),
                issuer: found.issuer,
                devices: 0,
                claimed: 0,
            });
            if proven {
                total.devices = found.devices;
            } else {
                total.claimed = found.devices;
            }
        }
    }
    let totals: Vec<Total> = months.into_values().collect();
    let all: u64 = totals.iter().map(|total| total.devices.saturating_add(total.claimed)).sum();
    let left_out = all.saturating_sub(u64::try_from(devices.len()).unwrap_or(u64::MAX));
    if json {
        let devices = devices.iter().filter_map(Device::of).collect();
        let report = Report { before: before.to_string(), devices, totals };
        write_json(streams.out, &report)?;
    } else if devices.is_empty() {
        writeln!(streams.err, "note: no certificate that was presented ends before {before}")?;
    } else {
        write(&devices, &totals, now, streams)?;
    }
    if left_out > 0 {
        writeln!(streams.err, "note: {left_out} more are not listed, only counted; --limit lists more")?;
    }
    Ok(Outcome::Done)
}

impl Device {
    fn of(status: &DeviceStatus) -> Option<Self> {
        let DeviceStatus { mac, product, serial, last_seen, certificate, proven, .. } = status;
        let certificate = certificate.as_ref()?;
        Some(Self {
            mac: mac.to_string(),
            product: product.clone(),
            serial: serial.clone(),
            issuer: certificate.issuer.clone(),
            certificate_serial: certificate.serial.clone(),
            not_after: certificate.not_after?.to_string(),
            proven: *proven && certificate.proven,
            last_seen: last_seen.to_string(),
        })
    }
}

fn write(
    devices: &[DeviceStatus],
    totals: &[Total],
    now: Moment,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    writeln!(
        streams.out,
        "{:<20}  {:<14}  {:<13}  {:<16}  {:<20}  issuer",
        "expires", "", "mac", "product", "last seen"
    )?;
    let mut claimed = false;
    for status in devices {
        let Some(Device { mac, product, issuer, not_after, proven, .. }) = Device::of(status) else {
            continue;
        };
        let left = status.certificate.as_ref().and_then(|certificate| certificate.not_after);
        let left = left.map(|end| words::left(end, now)).unwrap_or_default();
        claimed |= !proven;
        writeln!(
            streams.out,
            "{not_after}  {left:<14}  {:<13}  {:<16}  {}  {}",
            if proven { mac } else { format!("{mac}?") },
            Printable(product.as_deref().unwrap_or("-")).to_string(),
            words::second(status.last_seen),
            Printable(&issuer),
        )?;
    }
    writeln!(streams.out, "\n{:<7}  {:>7}  {:>7}  issuer", "month", "devices", "claimed")?;
    for Total { month, issuer, devices, claimed } in totals {
        writeln!(streams.out, "{month:<7}  {devices:>7}  {claimed:>7}  {}", Printable(issuer))?;
    }
    let sum = |of: fn(&Total) -> u64| totals.iter().map(of).fold(0, u64::saturating_add);
    writeln!(
        streams.out,
        "{:<7}  {:>7}  {:>7}",
        "all",
        sum(|total| total.devices),
        sum(|total| total.claimed)
    )?;
    if claimed {
        writeln!(
            streams.err,
            "note: ? after a MAC address: its certificate was never accepted, so it is only claimed"
        )?;
    }
    Ok(())
}

//! `audit device`: one device's story, newest first.

mod happened;
mod report;
mod text;
mod visit;

use std::time::Duration;

use policies::MacAddress;

use self::report::Report;
use self::visit::Visit;
use super::{Failure, Outcome, Streams, write_json};
use crate::audit::entry::{Entry, EntryEvent, MacSource, Outcome as Ending};
use crate::audit::moment::Moment;
use crate::audit::query::{Change, DeviceStatus, Filter, PhonesSay, PresentedCertificate, Sighting};
use crate::audit::{AuditDatabase, DatabaseError};
use crate::{cli, printer};

/// Records that are read of one device, the newest: enough for months of a phone, and little work.
const RECORDS: u32 = 1000;

/// Messages of its own that are read, the newest.
const MESSAGES: u32 = 200;

/// All that is known of one MAC address.
#[derive(Debug)]
struct Dossier {
    mac: MacAddress,
    /// `None` where no certificate ever named it.
    status: Option<DeviceStatus>,
    certificates: Vec<PresentedCertificate>,
    sightings: Vec<Sighting>,
    changes: Vec<Change>,
    last_success: Option<Entry>,
    /// What happened, newest first, equal ones folded.
    visits: Vec<Visit>,
    /// Whether there are older records than those that were read.
    has_more: bool,
}

/// No record names the address.
#[derive(Debug, thiserror::Error)]
#[error("no record names the MAC address {0}")]
struct Unknown(MacAddress);

pub(super) fn device(
    question: &cli::AuditDevice,
    json: bool,
    database: &mut AuditDatabase,
    now: Moment,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Failure> {
    let cli::AuditDevice { mac, since, limit } = question;
    let dossier = Dossier::gather(*mac, since.map(|since| since.beginning(now)), database)?;
    if dossier.status.is_none() && dossier.visits.is_empty() {
        let hint = "a phone is known by its certificate or by the path it asks for; if it failed before that, look for its \
            address: provision-gateway audit --peer ADDRESS";
        printer::error(streams.err, &Unknown(*mac), Some(hint))?;
        return Ok(Outcome::Refused);
    }
    let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
    if json {
        write_json(streams.out, &Report::of(&dossier, limit))?;
    } else {
        text::write(&dossier, limit, now, streams.out)?;
    }
    let left_out = dossier.visits.len().saturating_sub(limit);
    if left_out > 0 {
        writeln!(streams.err, "note: {left_out} earlier connections are left out; --limit shows more")?;
    }
    if dossier.has_more {
        writeln!(
            streams.err,
            "note: its newest {RECORDS} records were read; provision-gateway audit --mac {mac} --limit N lists more"
        )?;
    }
    Ok(Outcome::Done)
}

impl Dossier {
    fn gather(
        mac: MacAddress,
        since: Option<Moment>,
        database: &mut AuditDatabase,
    ) -> Result<Self, DatabaseError> {
        let status = database.device(mac)?;
        let certificates = database.certificates(mac)?;
        let sightings = database.sightings(mac)?;
        let changes = match &status {
            Some(status) => Change::of_device_lately(status, &certificates, &sightings),
            None => Vec::new(),
        };
        // Apart, so that no number of messages that anybody may send leaves out what happened.
        let of_device = |said| Filter { mac: Some(mac), since, said, ..Filter::default() };
        let mut records = database.records(&of_device(PhonesSay::LeftOut), RECORDS)?;
        let has_more = u32::try_from(records.len()).is_ok_and(|found| found >= RECORDS);
        records.extend(database.records(&of_device(PhonesSay::Only), MESSAGES)?);
        records.sort_by_key(|record| std::cmp::Reverse(record.id));
        // A line of another hand tells nothing.
        let entries: Vec<Entry> = records.iter().filter_map(|record| record.entry().ok()).collect();
        let last_success = match status.as_ref().and_then(|status| status.last_success) {
            Some(at) => success(mac, at, database)?,
            None => None,
        };
        let visits = visit::visits(entries);
        Ok(Self { mac, status, certificates, sightings, changes, last_success, visits, has_more })
    }
}

/// The record of the request that was served then; `None` when it is not kept any more.
fn success(
    mac: MacAddress,
    at: Moment,
    database: &mut AuditDatabase,
) -> Result<Option<Entry>, DatabaseError> {
    let then = Filter {
        mac: Some(mac),
        since: Some(at),
        until: Some(at.after(Duration::from_micros(1))),
        event: Some(EntryEvent::Request),
        outcome: Some(Ending::Served),
        ..Filter::default()
    };
    let records = database.records(&then, 20)?;
    let mut entries = records.iter().filter_map(|record| record.entry().ok());
    Ok(entries.find(|entry| entry.mac() == Some((mac, MacSource::Device))))
}

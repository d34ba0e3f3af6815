//! A batch of records on its way into the database: their rows, and what they add to counts and devices.

mod tables;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use policies::MacAddress;

use self::tables::{CERTIFICATES, DEVICES, LINES, RECORDS, SIGHTINGS, TALLIES};
use super::backend::{Backend, Value};
use super::seen::Seen;
use super::{BatchId, DatabaseError};
use crate::audit::entry::{Entry, MacSource, Outcome, Subject};
use crate::audit::moment::Moment;

/// Records of one gateway, parsed.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    gateway: &'a str,
    entries: Vec<(Entry, &'a str)>,
}

/// Stands in the counts for the values that came after [`MOST_VALUES`] others.
const OTHER: &str = "(other)";
/// Distinct values of one dimension that are counted by name in one hour: a stranger may invent issuers, and must not fill the
/// table with them.
const MOST_VALUES: usize = 250;
/// MAC addresses that were only claimed which the device table keeps at most; strangers may invent those too.
const MOST_CLAIMED: i64 = 20_000;
/// Certificates, networks or User-Agents that are kept of one device.
const MOST_OF_ONE_DEVICE: i64 = 32;
/// In one of so many batches, all devices of it are looked at for more than that.
const FORGET_EVERY: i64 = 16;

/// Which values were counted by name in this hour, and how many MAC addresses are only claimed.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    hour: i64,
    values: HashMap<&'static str, HashSet<String>>,
}

impl Admitted {
    fn value(&mut self, hour: i64, dimension: &'static str, value: &str) -> String {
        if self.hour != hour {
            self.hour = hour;
            self.values.clear();
        }
        let values = self.values.entry(dimension).or_default();
        if values.contains(value) {
            return value.to_owned();
        }
        if values.len() >= MOST_VALUES {
            return OTHER.to_owned();
        }
        values.insert(value.to_owned());
        value.to_owned()
    }
}

impl<'a> Batch<'a> {
    /// Parses lines; also says how many are no records.
    pub(super) fn read(gateway: &'a str, lines: &'a [u8]) -> (Self, u64) {
        let mut entries = Vec::new();
        let mut unreadable = 0;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match (Entry::parse(line), str::from_utf8(line)) {
                (Ok(entry), Ok(text)) => entries.push((entry, text)),
                _ => unreadable += 1,
            }
        }
        (Self { gateway, entries }, unreadable)
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Writes everything, inside a transaction.
    pub(super) fn write(
        &self,
        to: &mut dyn Backend,
        id: BatchId<'_>,
        admitted: &mut Admitted,
    ) -> Result<(), DatabaseError> {
        if !is_new(to, id)? {
            return Ok(());
        }
        let first = to.value("SELECT value FROM audit_setting WHERE name = 'next_id'", &[])?;
        let first = first.ok_or(DatabaseError::NotAnAuditDatabase)?.integer()?;
        let next = first + i64::try_from(self.entries.len()).unwrap_or(0);
        to.execute("UPDATE audit_setting SET value = ?1 WHERE name = 'next_id'", &[next.into()])?;
        let rows: Vec<_> = (first..).zip(&self.entries).map(|(id, (entry, _))| self.row(id, entry)).collect();
        to.insert(&RECORDS, &rows)?;
        let lines: Vec<_> =
            (first..).zip(&self.entries).map(|(id, (_, line))| vec![id.into(), (*line).into()]).collect();
        to.insert(&LINES, &lines)?;
        to.insert(&TALLIES, &self.tallies(admitted))?;
        self.write_devices(to, id.number % FORGET_EVERY == 0)
    }

    fn row(&self, id: i64, entry: &Entry) -> Vec<Value> {
        let Entry { hello, tls, certificate, device, .. } = entry;
        // Two columns: what anybody may say is not to be in the way of what is known.
        let (mac, said_mac) = match entry.mac() {
            Some((mac, MacSource::Syslog)) => (None, Some(mac)),
            known => (known, None),
        };
        let hello = hello.as_ref();
        let tls = tls.as_ref();
        let certificate = certificate.as_ref();
        let device = device.as_ref();
        let exceptions = (!entry.exceptions.is_empty()).then(|| entry.exceptions.join(","));
        vec![
            id.into(),
            entry.time.micros().into(),
            self.gateway.into(),
            entry.event.as_str().into(),
            entry.subject().as_str().into(),
            entry.outcome().as_str().into(),
            entry.weight().into(),
            entry.connection.as_ref().into(),
            entry.request.as_ref().into(),
            entry.peer_address().map(|peer| address_bytes(peer).to_vec()).into(),
            entry.host.as_ref().into(),
            entry.engine.as_ref().into(),
            tls.map(|tls| &tls.version).into(),
            tls.map(|tls| &tls.suite).into(),
            hello.and_then(|hello| hello.sni.as_ref()).into(),
            hello.and_then(|hello| hello.ja4.as_ref()).into(),
            tls.map(|tls| tls.resumed).into(),
            entry.decision.as_ref().into(),
            entry.reason.as_ref().into(),
            entry.rule.as_ref().into(),
            entry.method.as_ref().into(),
            entry.path.as_ref().into(),
            entry.status.map(i64::from).into(),
            entry.bytes.into(),
            entry.duration_us.into(),
            device.map(|device| &device.kind).into(),
            device.and_then(|device| device.product.as_ref()).into(),
            device.and_then(|device| device.serial.as_ref()).into(),
            mac.map(|(mac, _)| mac.to_string()).as_ref().into(),
            mac.map(|(_, source)| source.as_str()).into(),
            certificate.map(|certificate| &certificate.subject).into(),
            certificate.map(|certificate| &certificate.issuer).into(),
            certificate.map(|certificate| &certificate.serial).into(),
            certificate.map(|certificate| &certificate.sha256).into(),
            certificate.and_then(|certificate| certificate.key_sha256.as_ref()).into(),
            certificate.and_then(|certificate| certificate.expires()).map(|end| end.unix()).into(),
            exceptions.as_ref().into(),
            entry.user_agent.as_ref().into(),
            said_mac.map(|mac| mac.to_string()).as_ref().into(),
        ]
    }

    fn tallies(&self, admitted: &mut Admitted) -> Vec<Vec<Value>> {
        let mut tallies = BTreeMap::<(i64, Subject, &str, String, Outcome), (u64, Moment, Moment)>::new();
        for (entry, _) in &self.entries {
            let hour = hour_of(entry.time);
            for (dimension, value) in dimensions(entry) {
                let value = admitted.value(hour, dimension, value);
                let key = (hour, entry.subject(), dimension, value, entry.outcome());
                let (from, to) =
                    (entry.first.or(entry.since).unwrap_or(entry.time), entry.last.unwrap_or(entry.time));
                let tally = tallies.entry(key).or_insert((0, from, to));
                tally.0 = tally.0.saturating_add(entry.weight());
                tally.1 = tally.1.min(from);
                tally.2 = tally.2.max(to);
            }
        }
        let rows =
            tallies.into_iter().map(|((hour, subject, dimension, value, outcome), (count, from, to))| {
                vec![
                    hour.into(),
                    subject.as_str().into(),
                    dimension.into(),
                    value.as_str().into(),
                    outcome.as_str().into(),
                    self.gateway.into(),
                    count.into(),
                    from.micros().into(),
                    to.micros().into(),
                ]
            });
        rows.collect()
    }

    fn write_devices(&self, to: &mut dyn Backend, forgets_all: bool) -> Result<(), DatabaseError> {
        let mut devices = BTreeMap::<MacAddress, Seen<'_>>::new();
        for (entry, _) in &self.entries {
            match entry.mac() {
                Some((mac, source @ (MacSource::Device | MacSource::Certificate))) => {
                    devices.entry(mac).or_default().add(entry, source == MacSource::Device);
                }
                Some((_, MacSource::Path | MacSource::Syslog)) | None => {}
            }
        }
        let claimed: Vec<MacAddress> =
            devices.iter().filter(|(_, seen)| !seen.proven).map(|(mac, _)| *mac).collect();
        if !claimed.is_empty() {
            let count = to.value("SELECT count(*) FROM audit_device WHERE proven = 0", &[])?;
            let mut room = MOST_CLAIMED - count.unwrap_or(Value::Null).integer()?;
            for mac in claimed {
                let known = "SELECT 1 FROM audit_device WHERE mac = ?1";
                if to.rows(known, &[(&mac.to_string()).into()])?.is_empty() {
                    room -= 1;
                    if room < 0 {
                        devices.remove(&mac);
                    }
                }
            }
        }
        let rows: Vec<_> = devices.iter().map(|(mac, seen)| seen.device(*mac)).collect();
        to.insert(&DEVICES, &rows)?;
        let mut certificates = Vec::new();
        let mut sightings = Vec::new();
        for (mac, seen) in &devices {
            certificates.extend(seen.certificate_rows(*mac));
            sightings.extend(seen.sighting_rows(*mac));
        }
        to.insert(&CERTIFICATES, &certificates)?;
        to.insert(&SIGHTINGS, &sightings)?;
        self.forget_excess(to, &devices, forgets_all)
    }

    /// Keeps what is stored of one device within bounds: a phone may send a new User-Agent with every request. One that tells
    /// no more of itself in a batch than phones do is looked at in some batches only, with `all`: it brings one at a time.
    fn forget_excess(
        &self,
        to: &mut dyn Backend,
        devices: &BTreeMap<MacAddress, Seen<'_>>,
        all: bool,
    ) -> Result<(), DatabaseError> {
        for (mac, seen) in devices {
            if seen.sightings.len() > 2 || all && !seen.sightings.is_empty() {
                to.execute(
                    "DELETE FROM audit_sighting WHERE mac = ?1 AND last_seen < (SELECT last_seen FROM audit_sighting \
                     WHERE mac = ?1 ORDER BY last_seen DESC LIMIT 1 OFFSET ?2)",
                    &[(&mac.to_string()).into(), MOST_OF_ONE_DEVICE.into()],
                )?;
            }
            if seen.certificates.values().any(|certificate| !certificate.proven) {
                to.execute(
                    "DELETE FROM audit_certificate WHERE mac = ?1 AND proven = 0 AND last_seen < (SELECT last_seen FROM \
                     audit_certificate WHERE mac = ?1 AND proven = 0 ORDER BY last_seen DESC LIMIT 1 OFFSET ?2)",
                    &[(&mac.to_string()).into(), MOST_OF_ONE_DEVICE.into()],
                )?;
            }
        }
        Ok(())
    }
}

/// Notes the batch; false when it is in the database already.
fn is_new(to: &mut dyn Backend, id: BatchId<'_>) -> Result<bool, DatabaseError> {
    let BatchId { gateway, process, number } = id;
    let last = to.rows("SELECT process, batch FROM audit_writer WHERE gateway = ?1", &[gateway.into()])?;
    if last.first().is_some_and(|row| row.as_slice() == [Value::from(process), Value::from(number)]) {
        return Ok(false);
    }
    to.execute(
        "INSERT INTO audit_writer (gateway, process, batch) VALUES (?1, ?2, ?3) \
         ON CONFLICT (gateway) DO UPDATE SET process = excluded.process, batch = excluded.batch",
        &[gateway.into(), process.into(), number.into()],
    )?;
    Ok(true)
}

/// The hour a record is counted in, as the seconds since 1970 of its beginning.
pub(in crate::audit) fn hour_of(time: Moment) -> i64 {
    let seconds = time.timestamp().unix();
    seconds - seconds.rem_euclid(3600)
}

/// What a record is counted by: the columns of the same meaning, and `exception`, of which there may be several.
fn dimensions(entry: &Entry) -> impl Iterator<Item = (&'static str, &str)> {
    let device = entry.device.as_ref();
    let tls = entry.tls.as_ref();
    let one = [
        Some(("all", "")),
        entry.reason.as_deref().map(|reason| ("reason", reason)),
        device.and_then(|device| device.product.as_deref()).map(|product| ("product", product)),
        entry.certificate.as_ref().map(|certificate| ("issuer", certificate.issuer.as_str())),
        tls.map(|tls| ("version", tls.version.as_str())),
        tls.map(|tls| ("suite", tls.suite.as_str())),
        entry.host.as_deref().map(|host| ("host", host)),
        entry.engine.as_deref().map(|engine| ("engine", engine)),
        entry.rule.as_deref().map(|rule| ("rule", rule)),
    ];
    let exceptions = entry.exceptions.iter().map(|exception| ("exception", exception.as_str()));
    one.into_iter().flatten().chain(exceptions)
}

/// An address as 16 bytes, IPv4 mapped into IPv6, so that networks of both are ranges.
pub(in crate::audit) fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

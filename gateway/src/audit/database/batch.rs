//! A batch of records on its way into the database: their rows, and what they add to counts and devices.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use policies::MacAddress;

use super::backend::{Backend, Insert, Value};
use super::{BatchId, DatabaseError};
use crate::audit::entry::{Entry, EntryEvent, MacSource, Moment, Outcome, Subject};

/// Records of one gateway, parsed.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    gateway: &'a str,
    entries: Vec<(Entry, &'a str)>,
}

const RECORDS: Insert = Insert {
    table: "audit_record",
    columns: &[
        "id",
        "time",
        "gateway",
        "event",
        "subject",
        "outcome",
        "weight",
        "connection",
        "request",
        "peer",
        "host",
        "engine",
        "tls_version",
        "suite",
        "sni",
        "ja4",
        "resumed",
        "decision",
        "reason",
        "rule",
        "method",
        "path",
        "status",
        "bytes",
        "duration_us",
        "kind",
        "product",
        "serial",
        "mac",
        "mac_source",
        "subject_name",
        "issuer",
        "certificate_serial",
        "sha256",
        "key_sha256",
        "not_after",
        "exceptions",
        "user_agent",
    ],
    on_conflict: "",
};
const LINES: Insert = Insert { table: "audit_line", columns: &["id", "line"], on_conflict: "" };
const TALLIES: Insert = Insert {
    table: "audit_tally",
    columns: &[
        "hour",
        "subject",
        "dimension",
        "value",
        "outcome",
        "gateway",
        "count",
        "first_seen",
        "last_seen",
    ],
    on_conflict: "ON CONFLICT (dimension, subject, hour, value, outcome, gateway) DO UPDATE SET \
        count = audit_tally.count + excluded.count, \
        first_seen = CASE WHEN excluded.first_seen < audit_tally.first_seen THEN excluded.first_seen ELSE audit_tally.first_seen END, \
        last_seen = CASE WHEN excluded.last_seen > audit_tally.last_seen THEN excluded.last_seen ELSE audit_tally.last_seen END",
};
/// What a stranger's certificate claims never replaces what the device has proven.
const DEVICES: Insert = Insert {
    table: "audit_device",
    columns: &[
        "mac",
        "proven",
        "product",
        "serial",
        "first_seen",
        "last_seen",
        "last_success",
        "last_refusal",
        "refusal_reason",
        "refusal_source",
        "subject_name",
        "issuer",
        "certificate_serial",
        "sha256",
        "key_sha256",
        "not_after",
        "user_agent",
        "peer",
        "host",
        "records",
    ],
    on_conflict: "ON CONFLICT (mac) DO UPDATE SET \
        product = CASE WHEN excluded.proven >= audit_device.proven THEN COALESCE(excluded.product, audit_device.product) ELSE audit_device.product END, \
        serial = CASE WHEN excluded.proven >= audit_device.proven THEN COALESCE(excluded.serial, audit_device.serial) ELSE audit_device.serial END, \
        first_seen = CASE WHEN excluded.first_seen < audit_device.first_seen THEN excluded.first_seen ELSE audit_device.first_seen END, \
        last_seen = CASE WHEN excluded.last_seen > audit_device.last_seen THEN excluded.last_seen ELSE audit_device.last_seen END, \
        last_success = COALESCE(excluded.last_success, audit_device.last_success), \
        refusal_reason = CASE WHEN excluded.last_refusal IS NULL THEN audit_device.refusal_reason ELSE excluded.refusal_reason END, \
        refusal_source = CASE WHEN excluded.last_refusal IS NULL THEN audit_device.refusal_source ELSE excluded.refusal_source END, \
        last_refusal = COALESCE(excluded.last_refusal, audit_device.last_refusal), \
        subject_name = CASE WHEN excluded.proven >= audit_device.proven AND excluded.sha256 IS NOT NULL THEN excluded.subject_name ELSE audit_device.subject_name END, \
        issuer = CASE WHEN excluded.proven >= audit_device.proven AND excluded.sha256 IS NOT NULL THEN excluded.issuer ELSE audit_device.issuer END, \
        certificate_serial = CASE WHEN excluded.proven >= audit_device.proven AND excluded.sha256 IS NOT NULL THEN excluded.certificate_serial ELSE audit_device.certificate_serial END, \
        key_sha256 = CASE WHEN excluded.proven >= audit_device.proven AND excluded.sha256 IS NOT NULL THEN excluded.key_sha256 ELSE audit_device.key_sha256 END, \
        not_after = CASE WHEN excluded.proven >= audit_device.proven AND excluded.sha256 IS NOT NULL THEN excluded.not_after ELSE audit_device.not_after END, \
        sha256 = CASE WHEN excluded.proven >= audit_device.proven AND excluded.sha256 IS NOT NULL THEN excluded.sha256 ELSE audit_device.sha256 END, \
        user_agent = CASE WHEN excluded.proven >= audit_device.proven THEN COALESCE(excluded.user_agent, audit_device.user_agent) ELSE audit_device.user_agent END, \
        peer = CASE WHEN excluded.proven >= audit_device.proven THEN COALESCE(excluded.peer, audit_device.peer) ELSE audit_device.peer END, \
        host = CASE WHEN excluded.proven >= audit_device.proven THEN COALESCE(excluded.host, audit_device.host) ELSE audit_device.host END, \
        records = audit_device.records + excluded.records, \
        proven = CASE WHEN excluded.proven > audit_device.proven THEN excluded.proven ELSE audit_device.proven END",
};
const CERTIFICATES: Insert = Insert {
    table: "audit_certificate",
    columns: &[
        "mac",
        "sha256",
        "key_sha256",
        "issuer",
        "serial",
        "not_after",
        "proven",
        "first_seen",
        "last_seen",
        "count",
    ],
    on_conflict: "ON CONFLICT (mac, sha256) DO UPDATE SET \
        proven = CASE WHEN excluded.proven > audit_certificate.proven THEN excluded.proven ELSE audit_certificate.proven END, \
        first_seen = CASE WHEN excluded.first_seen < audit_certificate.first_seen THEN excluded.first_seen ELSE audit_certificate.first_seen END, \
        last_seen = CASE WHEN excluded.last_seen > audit_certificate.last_seen THEN excluded.last_seen ELSE audit_certificate.last_seen END, \
        count = audit_certificate.count + excluded.count",
};
const SIGHTINGS: Insert = Insert {
    table: "audit_sighting",
    columns: &["mac", "kind", "value", "first_seen", "last_seen", "count"],
    on_conflict: "ON CONFLICT (mac, kind, value) DO UPDATE SET \
        first_seen = CASE WHEN excluded.first_seen < audit_sighting.first_seen THEN excluded.first_seen ELSE audit_sighting.first_seen END, \
        last_seen = CASE WHEN excluded.last_seen > audit_sighting.last_seen THEN excluded.last_seen ELSE audit_sighting.last_seen END, \
        count = audit_sighting.count + excluded.count",
};

/// Stands in the counts for the values that came after [`MOST_VALUES`] others.
const OTHER: &str = "(other)";
/// Distinct values of one dimension that are counted by name in one hour: a stranger may invent issuers, and must not fill the
/// table with them.
const MOST_VALUES: usize = 250;
/// MAC addresses that were only claimed which the device table keeps at most; strangers may invent those too.
const MOST_CLAIMED: i64 = 20_000;
/// Certificates, networks or User-Agents that are kept of one device.
const MOST_OF_ONE_DEVICE: i64 = 32;

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
        self.write_devices(to)
    }

    fn row(&self, id: i64, entry: &Entry) -> Vec<Value> {
        let Entry { hello, tls, certificate, device, .. } = entry;
        let mac = entry.mac();
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

    fn write_devices(&self, to: &mut dyn Backend) -> Result<(), DatabaseError> {
        let mut devices = BTreeMap::<MacAddress, Seen<'_>>::new();
        for (entry, _) in &self.entries {
            match entry.mac() {
                Some((mac, source @ (MacSource::Device | MacSource::Certificate))) => {
                    devices.entry(mac).or_default().add(entry, source == MacSource::Device);
                }
                Some((_, MacSource::Path)) | None => {}
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
        self.forget_excess(to, &devices)
    }

    /// Keeps what is stored of one device within bounds: a phone may send a new User-Agent with every request.
    fn forget_excess(
        &self,
        to: &mut dyn Backend,
        devices: &BTreeMap<MacAddress, Seen<'_>>,
    ) -> Result<(), DatabaseError> {
        for (mac, seen) in devices {
            if seen.sightings.len() > 2 {
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

/// What the batch tells of one MAC address.
#[derive(Debug, Default)]
struct Seen<'a> {
    proven: bool,
    first: Option<Moment>,
    last: Option<Moment>,
    success: Option<Moment>,
    refusal: Option<(Moment, &'a Entry, bool)>,
    /// The last record that the device proved itself in, or else the last one.
    latest: Option<&'a Entry>,
    certified: Option<&'a Entry>,
    user_agent: Option<&'a str>,
    product: Option<&'a str>,
    serial: Option<&'a str>,
    host: Option<&'a str>,
    records: u64,
    certificates: BTreeMap<&'a str, SeenCertificate<'a>>,
    sightings: BTreeMap<(&'static str, String), (Moment, Moment, u64)>,
}

#[derive(Debug)]
struct SeenCertificate<'a> {
    entry: &'a Entry,
    proven: bool,
    first: Moment,
    last: Moment,
    count: u64,
}

impl<'a> Seen<'a> {
    fn add(&mut self, entry: &'a Entry, proven: bool) {
        self.records += entry.weight();
        self.first = Some(self.first.map_or(entry.time, |first| first.min(entry.time)));
        self.last = Some(self.last.map_or(entry.time, |last| last.max(entry.time)));
        match entry.outcome() {
            // The profile store may have answered that there is no such file: the phone got nothing.
            Outcome::Served
                if entry.event == EntryEvent::Request && entry.status.is_none_or(|status| status < 400) =>
            {
                self.success = self.success.max(Some(entry.time));
            }
            Outcome::Refused | Outcome::Failed => self.refusal = Some((entry.time, entry, proven)),
            Outcome::Served | Outcome::Lost => {}
        }
        if let Some(certificate) = &entry.certificate {
            let seen = self.certificates.entry(&certificate.sha256).or_insert(SeenCertificate {
                entry,
                proven,
                first: entry.time,
                last: entry.time,
                count: 0,
            });
            seen.proven |= proven;
            seen.last = seen.last.max(entry.time);
            // A connection is one presentation, however many requests follow.
            seen.count += u64::from(entry.subject() == Subject::Connection);
        }
        if proven || !self.proven {
            if proven && !self.proven {
                (self.certified, self.user_agent, self.host) = (None, None, None);
            }
            self.latest = Some(entry);
            self.certified = entry.certificate.as_ref().map(|_| entry).or(self.certified);
            self.user_agent = entry.user_agent.as_deref().or(self.user_agent);
            self.host = entry.host.as_deref().or(self.host);
        }
        self.proven |= proven;
        if proven {
            let device = entry.device.as_ref();
            self.product = device.and_then(|device| device.product.as_deref()).or(self.product);
            self.serial = device.and_then(|device| device.serial.as_deref()).or(self.serial);
            let agent = entry.user_agent.clone().map(|agent| ("user_agent", agent));
            let network = entry.peer_address().map(|peer| ("network", network_of(peer)));
            for key in [agent, network].into_iter().flatten() {
                let seen = self.sightings.entry(key).or_insert((entry.time, entry.time, 0));
                seen.1 = seen.1.max(entry.time);
                seen.2 += 1;
            }
        }
    }

    fn device(&self, mac: MacAddress) -> Vec<Value> {
        let certificate = self.certified.and_then(|entry| entry.certificate.as_ref());
        let peer = self.latest.and_then(Entry::peer_address).map(|peer| peer.to_string());
        let refusal = self.refusal.as_ref();
        let source = |proven: bool| if proven { MacSource::Device } else { MacSource::Certificate };
        let time = |time: Option<Moment>| time.map(Moment::micros);
        vec![
            (&mac.to_string()).into(),
            self.proven.into(),
            self.product.into(),
            self.serial.into(),
            time(self.first).into(),
            time(self.last).into(),
            time(self.success).into(),
            refusal.map(|(time, _, _)| time.micros()).into(),
            refusal.and_then(|(_, entry, _)| entry.reason.as_ref()).into(),
            refusal.map(|(_, _, proven)| source(*proven).as_str()).into(),
            certificate.map(|certificate| &certificate.subject).into(),
            certificate.map(|certificate| &certificate.issuer).into(),
            certificate.map(|certificate| &certificate.serial).into(),
            certificate.map(|certificate| &certificate.sha256).into(),
            certificate.and_then(|certificate| certificate.key_sha256.as_ref()).into(),
            certificate.and_then(|certificate| certificate.expires()).map(|end| end.unix()).into(),
            self.user_agent.into(),
            peer.as_ref().into(),
            self.host.into(),
            self.records.into(),
        ]
    }

    fn certificate_rows(&self, mac: MacAddress) -> impl Iterator<Item = Vec<Value>> {
        self.certificates.iter().filter_map(move |(sha256, seen)| {
            let certificate = seen.entry.certificate.as_ref()?;
            Some(vec![
                (&mac.to_string()).into(),
                (*sha256).into(),
                certificate.key_sha256.as_ref().into(),
                (&certificate.issuer).into(),
                (&certificate.serial).into(),
                certificate.expires().map(|end| end.unix()).into(),
                seen.proven.into(),
                seen.first.micros().into(),
                seen.last.micros().into(),
                seen.count.into(),
            ])
        })
    }

    fn sighting_rows(&self, mac: MacAddress) -> impl Iterator<Item = Vec<Value>> {
        self.sightings.iter().map(move |((kind, value), (first, last, count))| {
            let mac = mac.to_string();
            vec![
                (&mac).into(),
                (*kind).into(),
                value.into(),
                first.micros().into(),
                last.micros().into(),
                (*count).into(),
            ]
        })
    }
}

/// An address as 16 bytes, IPv4 mapped into IPv6, so that networks of both are ranges.
pub(in crate::audit) fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The network an address lies in, as sites are numbered: /24, or /48 of IPv6.
fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

//! Devices: what is known of one, and which of them need a look.

use std::collections::BTreeMap;

use certs::Timestamp;
use policies::MacAddress;

use crate::audit::database::{AuditDatabase, DatabaseError, Value};
use crate::audit::entry::{MacSource, words};
use crate::audit::moment::Moment;

/// What is known of the device with one MAC address.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceStatus {
    /// The address.
    pub mac: MacAddress,
    /// Whether it ever proved itself. If not, all of this is only what refused certificates claim.
    pub proven: bool,
    /// Its product.
    pub product: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// The first record of it.
    pub first_seen: Moment,
    /// The last record of it.
    pub last_seen: Moment,
    /// When it last got what it asked for: an answer below 400.
    pub last_success: Option<Moment>,
    /// When and why it was last refused, or failed.
    pub last_refusal: Option<Refusal>,
    /// The certificate it presented last.
    pub certificate: Option<PresentedCertificate>,
    /// The User-Agent it sent last: model and firmware.
    pub user_agent: Option<String>,
    /// The address it came from last.
    pub peer: Option<String>,
    /// The virtual host it asked last.
    pub host: Option<String>,
    /// How many records there were of it.
    pub records: u64,
}

/// A refusal or failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub time: Moment,
    /// The reason code.
    pub reason: Option<String>,
    /// Whether the device had proven itself then, or a certificate only claimed to be its.
    pub source: MacSource,
}

/// A certificate that was presented for a MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedCertificate {
    /// SHA-256 of it, in hex.
    pub sha256: String,
    /// SHA-256 of its public key (subjectPublicKeyInfo), in hex: the same key in a renewed certificate has the same.
    pub key_sha256: Option<String>,
    /// Who issued it.
    pub issuer: String,
    /// Its serial number.
    pub serial: String,
    /// The end of its validity.
    pub not_after: Option<Timestamp>,
    /// Whether it was ever accepted.
    pub proven: bool,
    /// First presented.
    pub first_seen: Moment,
    /// Last presented.
    pub last_seen: Moment,
    /// On how many connections.
    pub count: u64,
}

words! {
    /// What is noted of a device besides its certificates.
    SightingKind {
        /// A network it came from, /24 or /48.
        Network "network"
        /// A User-Agent it sent.
        UserAgent "user_agent"
    }
}

/// A network a device came from, or a User-Agent it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which of the two.
    pub kind: SightingKind,
    /// The network or text.
    pub value: String,
    /// First time.
    pub first_seen: Moment,
    /// Last time.
    pub last_seen: Moment,
    /// In how many records.
    pub count: u64,
}

/// The order of a list of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevicesBy {
    /// Last seen first.
    LastSeen,
    /// Last refused first; those never refused are left out.
    LastRefusal,
}

/// How many devices' certificates of one issuer end in one month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiryCount {
    /// The month, as its year and number.
    pub month: (i64, i64),
    /// The issuer.
    pub issuer: String,
    /// Devices.
    pub devices: u64,
}

const DEVICE: &str = "SELECT d.mac, d.proven, d.product, d.serial, d.first_seen, d.last_seen, d.last_success, d.last_refusal, \
    d.refusal_reason, d.refusal_source, d.issuer, d.certificate_serial, d.sha256, d.key_sha256, d.not_after, d.user_agent, \
    d.peer, d.host, d.records, c.first_seen, c.last_seen, c.count, c.proven FROM audit_device d \
    LEFT JOIN audit_certificate c ON c.mac = d.mac AND c.sha256 = d.sha256";
const CERTIFICATE: &str =
    "SELECT sha256, key_sha256, issuer, serial, not_after, proven, first_seen, last_seen, count";

impl AuditDatabase {
    /// What is known of a MAC address now; its records are found with a [`Filter`](super::Filter).
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn device(&mut self, mac: MacAddress) -> Result<Option<DeviceStatus>, DatabaseError> {
        let rows =
            self.backend().rows(&format!("{DEVICE} WHERE d.mac = ?1"), &[(&mac.to_string()).into()])?;
        rows.into_iter().next().map(status).transpose()
    }

    /// Devices, at most `most`; with a part of their MAC address, serial number or product where `search` is given.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn devices(
        &mut self,
        search: Option<&str>,
        by: DevicesBy,
        most: u32,
    ) -> Result<Vec<DeviceStatus>, DatabaseError> {
        let (condition, order) = match by {
            DevicesBy::LastSeen => ("1 = 1", "d.last_seen DESC"),
            DevicesBy::LastRefusal => ("d.last_refusal IS NOT NULL", "d.last_refusal DESC"),
        };
        let mut values: Vec<Value> = vec![i64::from(most).into()];
        let mut statement = format!("{DEVICE} WHERE {condition}");
        if let Some(search) = search {
            let separators = |c: char| matches!(c, ':' | '-' | '.' | ' ');
            let digits = search.replace(separators, "").to_lowercase();
            values.extend([pattern(&digits), pattern(search)]);
            statement.push_str(
                " AND (d.mac LIKE ?2 ESCAPE '!' OR lower(d.serial) LIKE lower(?3) ESCAPE '!' \
                 OR lower(d.product) LIKE lower(?3) ESCAPE '!')",
            );
        }
        let statement = format!("{statement} ORDER BY {order} LIMIT ?1");
        self.backend().rows(&statement, &values)?.into_iter().map(status).collect()
    }

    /// Devices whose certificate has ended or ends before `before`, the earliest first, at most `most`.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn expiring(&mut self, before: Timestamp, most: u32) -> Result<Vec<DeviceStatus>, DatabaseError> {
        let statement = format!("{DEVICE} WHERE d.not_after < ?1 ORDER BY d.not_after, d.mac LIMIT ?2");
        let rows = self.backend().rows(&statement, &[before.unix().into(), i64::from(most).into()])?;
        rows.into_iter().map(status).collect()
    }

    /// How many proven devices' certificates end in each month, by issuer.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn expiry_by_month(&mut self) -> Result<Vec<ExpiryCount>, DatabaseError> {
        self.count_expiry(true, None)
    }

    /// How many devices' certificates have ended or end before `before`, by month and issuer: the certificates that were proven, or
    /// those that were only ever claimed.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn expiring_by_month(
        &mut self,
        before: Timestamp,
        proven: bool,
    ) -> Result<Vec<ExpiryCount>, DatabaseError> {
        self.count_expiry(proven, Some(before))
    }

    fn count_expiry(
        &mut self,
        proven: bool,
        before: Option<Timestamp>,
    ) -> Result<Vec<ExpiryCount>, DatabaseError> {
        let statement = "SELECT not_after - not_after % 86400, issuer, count(*) FROM audit_device \
            WHERE proven = ?1 AND not_after < ?2 GROUP BY 1, issuer";
        let before = before.map_or(i64::MAX, Timestamp::unix);
        let mut months = BTreeMap::<((i64, i64), String), u64>::new();
        for row in self.backend().rows(statement, &[proven.into(), before.into()])? {
            let [day, issuer, count] = columns(row)?;
            let (year, month, ..) = Timestamp::from_unix(day.integer()?).civil();
            *months.entry(((year, month), issuer.text()?)).or_default() += unsigned(&count)?;
        }
        let counts = months.into_iter();
        Ok(counts.map(|((month, issuer), devices)| ExpiryCount { month, issuer, devices }).collect())
    }

    /// The certificates that were presented for a MAC address, last presented first.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn certificates(&mut self, mac: MacAddress) -> Result<Vec<PresentedCertificate>, DatabaseError> {
        let statement =
            format!("{CERTIFICATE} FROM audit_certificate WHERE mac = ?1 ORDER BY last_seen DESC");
        self.backend().rows(&statement, &[(&mac.to_string()).into()])?.into_iter().map(certificate).collect()
    }

    /// The networks a device came from and the User-Agents it sent, last first.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn sightings(&mut self, mac: MacAddress) -> Result<Vec<Sighting>, DatabaseError> {
        let statement = "SELECT kind, value, first_seen, last_seen, count FROM audit_sighting WHERE mac = ?1 \
            ORDER BY last_seen DESC, value";
        self.backend().rows(statement, &[(&mac.to_string()).into()])?.into_iter().map(sighting).collect()
    }
}

/// A text anywhere within another, for LIKE.
fn pattern(text: &str) -> Value {
    let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    (&format!("%{escaped}%")).into()
}

pub(super) fn columns<const N: usize>(row: Vec<Value>) -> Result<[Value; N], DatabaseError> {
    row.try_into().map_err(|_| DatabaseError::Unexpected("rows of another width"))
}

fn unsigned(value: &Value) -> Result<u64, DatabaseError> {
    Ok(u64::try_from(value.integer()?).unwrap_or(0))
}

pub(super) fn moment(value: &Value) -> Result<Moment, DatabaseError> {
    Ok(Moment::from_micros(value.integer()?))
}

pub(super) fn address(value: Value) -> Result<MacAddress, DatabaseError> {
    MacAddress::parse(&value.text()?).map_err(|_| DatabaseError::Unexpected("a MAC address that is none"))
}

fn status(row: Vec<Value>) -> Result<DeviceStatus, DatabaseError> {
    let [
        mac,
        proven,
        product,
        serial,
        first_seen,
        last_seen,
        last_success,
        last_refusal,
        refusal_reason,
        refusal_source,
        issuer,
        certificate_serial,
        sha256,
        key_sha256,
        not_after,
        user_agent,
        peer,
        host,
        records,
        certificate_first,
        certificate_last,
        certificate_count,
        certificate_proven,
    ] = columns(row)?;
    let refused = last_refusal.optional_integer()?;
    let (reason, source) = (refusal_reason.optional_text()?, refusal_source.text()?);
    let last_refusal = refused.map(|time| Refusal {
        time: Moment::from_micros(time),
        reason,
        source: MacSource::from_word(&source).unwrap_or(MacSource::Certificate),
    });
    let (issuer, serial_number) = (issuer.text()?, certificate_serial.text()?);
    let certificate = match sha256.optional_text()? {
        None => None,
        Some(sha256) => Some(PresentedCertificate {
            sha256,
            key_sha256: key_sha256.optional_text()?,
            issuer,
            serial: serial_number,
            not_after: not_after.optional_integer()?.map(Timestamp::from_unix),
            proven: certificate_proven.integer()? == 1,
            first_seen: moment(&certificate_first)?,
            last_seen: moment(&certificate_last)?,
            count: unsigned(&certificate_count)?,
        }),
    };
    Ok(DeviceStatus {
        mac: address(mac)?,
        proven: proven.integer()? == 1,
        product: product.optional_text()?,
        serial: serial.optional_text()?,
        first_seen: moment(&first_seen)?,
        last_seen: moment(&last_seen)?,
        last_success: last_success.optional_integer()?.map(Moment::from_micros),
        last_refusal,
        certificate,
        user_agent: user_agent.optional_text()?,
        peer: peer.optional_text()?,
        host: host.optional_text()?,
        records: unsigned(&records)?,
    })
}

fn certificate(row: Vec<Value>) -> Result<PresentedCertificate, DatabaseError> {
    let [sha256, key_sha256, issuer, serial, not_after, proven, first_seen, last_seen, count] = columns(row)?;
    Ok(PresentedCertificate {
        sha256: sha256.text()?,
        key_sha256: key_sha256.optional_text()?,
        issuer: issuer.text()?,
        serial: serial.text()?,
        not_after: not_after.optional_integer()?.map(Timestamp::from_unix),
        proven: proven.integer()? == 1,
        first_seen: moment(&first_seen)?,
        last_seen: moment(&last_seen)?,
        count: unsigned(&count)?,
    })
}

pub(super) fn sighting(row: Vec<Value>) -> Result<Sighting, DatabaseError> {
    let [kind, value, first_seen, last_seen, count] = columns(row)?;
    let kind = SightingKind::from_word(&kind.text()?);
    Ok(Sighting {
        kind: kind.ok_or(DatabaseError::Unexpected("a sighting of an unknown kind"))?,
        value: value.text()?,
        first_seen: moment(&first_seen)?,
        last_seen: moment(&last_seen)?,
        count: unsigned(&count)?,
    })
}

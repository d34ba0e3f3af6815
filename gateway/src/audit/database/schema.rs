//! The tables, in the SQL that both databases understand.
//!
//! | table | one row for each |
//! | --- | --- |
//! | `audit_record` | record: the columns that are searched by |
//! | `audit_line` | record: its whole JSON line |
//! | `audit_tally` | hour, value and outcome: counts, so that a summary reads a few thousand rows, not a million |
//! | `audit_device` | MAC address: what is known of the device now |
//! | `audit_certificate` | certificate that a MAC address presented |
//! | `audit_sighting` | network a MAC address came from, and User-Agent it sent |
//! | `audit_writer` | gateway: its last batch, so that none is written twice |
//! | `audit_setting` | the version of these tables, the next record's number |
//!
//! The address that a phone's own syslog message names stands in `said_mac`, not in `mac`: however many such messages anybody sends,
//! what is known of a device is found as quickly as without them.
//!
//! Times of records are microseconds since 1970, dates of certificates and hours are seconds. In `{curly brackets}` stands what the
//! two databases call differently.

/// The steps from one version of the tables to the next; the version is how many were taken.
pub(crate) const STEPS: &[&str] = &[
    "
CREATE TABLE audit_record (
    id            {id},
    time          BIGINT NOT NULL,
    gateway       TEXT NOT NULL,
    event         TEXT NOT NULL,
    subject       TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    weight        BIGINT NOT NULL,
    connection    TEXT,
    request       TEXT,
    peer          {bytes},
    host          TEXT,
    engine        TEXT,
    tls_version   TEXT,
    suite         TEXT,
    sni           TEXT,
    ja4           TEXT,
    resumed       BIGINT,
    decision      TEXT,
    reason        TEXT,
    rule          TEXT,
    method        TEXT,
    path          TEXT,
    status        BIGINT,
    bytes         BIGINT,
    duration_us   BIGINT,
    kind          TEXT,
    product       TEXT,
    serial        TEXT,
    mac           TEXT,
    mac_source    TEXT,
    subject_name  TEXT,
    issuer        TEXT,
    certificate_serial TEXT,
    sha256        TEXT,
    key_sha256    TEXT,
    not_after     BIGINT,
    exceptions    TEXT,
    user_agent    TEXT
);
CREATE INDEX audit_record_time ON audit_record (time);
CREATE INDEX audit_record_mac ON audit_record (mac, id) WHERE mac IS NOT NULL;
CREATE INDEX audit_record_reason ON audit_record (reason, id) WHERE reason IS NOT NULL;
CREATE INDEX audit_record_peer ON audit_record (peer, id) WHERE peer IS NOT NULL;
CREATE INDEX audit_record_ja4 ON audit_record (ja4, id) WHERE ja4 IS NOT NULL;
CREATE INDEX audit_record_connection ON audit_record (connection) WHERE connection IS NOT NULL;
CREATE TABLE audit_line (
    id   {id},
    line TEXT NOT NULL
);
CREATE TABLE audit_tally (
    hour       BIGINT NOT NULL,
    subject    TEXT NOT NULL,
    dimension  TEXT NOT NULL,
    value      TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    gateway    TEXT NOT NULL,
    count      BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    PRIMARY KEY (dimension, subject, hour, value, outcome, gateway)
){without_rowid};
CREATE TABLE audit_device (
    mac            TEXT NOT NULL PRIMARY KEY,
    proven         BIGINT NOT NULL,
    product        TEXT,
    serial         TEXT,
    first_seen     BIGINT NOT NULL,
    last_seen      BIGINT NOT NULL,
    last_success   BIGINT,
    last_refusal   BIGINT,
    refusal_reason TEXT,
    refusal_source TEXT,
    subject_name   TEXT,
    issuer         TEXT,
    certificate_serial TEXT,
    sha256         TEXT,
    key_sha256     TEXT,
    not_after      BIGINT,
    user_agent     TEXT,
    peer           TEXT,
    host           TEXT,
    records        BIGINT NOT NULL
){without_rowid};
CREATE INDEX audit_device_not_after ON audit_device (not_after);
CREATE INDEX audit_device_last_seen ON audit_device (last_seen);
CREATE TABLE audit_certificate (
    mac        TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    key_sha256 TEXT,
    issuer     TEXT NOT NULL,
    serial     TEXT NOT NULL,
    not_after  BIGINT,
    proven     BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    count      BIGINT NOT NULL,
    PRIMARY KEY (mac, sha256)
){without_rowid};
CREATE TABLE audit_sighting (
    mac        TEXT NOT NULL,
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    count      BIGINT NOT NULL,
    PRIMARY KEY (mac, kind, value)
){without_rowid};
CREATE TABLE audit_writer (
    gateway TEXT NOT NULL PRIMARY KEY,
    process TEXT NOT NULL,
    batch   BIGINT NOT NULL
){without_rowid};
INSERT INTO audit_setting (name, value) VALUES ('next_id', 1);
",
    "
ALTER TABLE audit_device ADD COLUMN current_at BIGINT;
ALTER TABLE audit_record ADD COLUMN said_mac TEXT;
CREATE INDEX audit_record_said_mac ON audit_record (said_mac, id) WHERE said_mac IS NOT NULL;
",
];

/// The table that is there before the first step.
pub(crate) const SETTINGS: &str =
    "CREATE TABLE IF NOT EXISTS audit_setting (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL)";
/// Asks for the version; NULL or no row in a new database.
pub(crate) const VERSION: &str = "SELECT value FROM audit_setting WHERE name = 'schema_version'";
/// Notes the version `?1`.
pub(crate) const SET_VERSION: &str = "INSERT INTO audit_setting (name, value) VALUES ('schema_version', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// How one database calls what the two call differently.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) id: &'static str,
    pub(crate) bytes: &'static str,
    pub(crate) without_rowid: &'static str,
}

impl Dialect {
    /// A step in this database's words.
    pub(crate) fn spell(self, step: &str) -> String {
        let Self { id, bytes, without_rowid } = self;
        step.replace("{id}", id).replace("{bytes}", bytes).replace("{without_rowid}", without_rowid)
    }
}

/// The steps still to be taken from the version that was found.
pub(crate) fn steps_after(
    found: i64,
) -> Result<impl Iterator<Item = (i64, &'static str)>, super::DatabaseError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(super::DatabaseError::Newer { found, known });
    }
    let taken = usize::try_from(found).unwrap_or(0);
    Ok((found + 1..).zip(STEPS.iter().copied().skip(taken)))
}

//! `audit`: definitions only.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use policies::document::nearest;
use policies::{MacAddress, Reason};

use crate::audit::entry::{EntryEvent, Outcome};
use crate::audit::query::{By, Cidr};
use crate::commands::audit::TimePoint;

/// `audit`
#[derive(Debug, Args)]
pub struct Audit {
    /// The gateway's configuration; the first database sink of it is asked.
    #[arg(long, short, value_name = "FILE", global = true, conflicts_with = "database")]
    pub config: Option<PathBuf>,
    /// The audit database: an SQLite file, or postgres://USER@HOST/NAME (its password in PGPASSWORD).
    #[arg(long, value_name = "FILE|URL", global = true)]
    pub database: Option<String>,
    /// Print JSON, for programs: the records themselves, one a line, or one object of the answer.
    #[arg(long, global = true)]
    pub json: bool,
    /// Which records.
    #[command(flatten)]
    pub filter: AuditFilter,
    /// How many records at most [default: 100].
    #[arg(long, value_name = "N", value_parser = limit)]
    pub limit: Option<NonZeroU32>,
    /// What else is asked.
    #[command(subcommand)]
    pub question: Option<AuditQuestion>,
}

/// The questions besides single records.
#[derive(Debug, Subcommand)]
pub enum AuditQuestion {
    /// Tell one device's story, newest first: who it is, its certificate, firmware, last success, and each refusal with its reason.
    Device(AuditDevice),
    /// List devices by the end of the certificate they presented, the earliest first.
    Expiring(AuditExpiring),
    /// Show new records as they come, until Ctrl-C.
    Follow(AuditFollow),
    /// Count connections and requests, with the first and the last of each.
    Summary(AuditSummary),
}

/// Which records are shown. What is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct AuditFilter {
    /// Of this MAC address, in any spelling: proven, or only claimed by a refused certificate, a path or a phone's syslog.
    #[arg(long)]
    pub mac: Option<MacAddress>,
    /// Since then: how long ago (90m, 2h, 3d, 1w), a day (2026-11-23) or a time (2026-11-23T02:25:11Z). UTC.
    #[arg(long, value_name = "TIME")]
    pub since: Option<TimePoint>,
    /// Until then, in the same forms; a day counts whole.
    #[arg(long, value_name = "TIME")]
    pub until: Option<TimePoint>,
    /// Ended for this reason, such as expired or no_rule_matched.
    #[arg(long, value_parser = reason)]
    pub reason: Option<Reason>,
    /// Ended in this way.
    #[arg(long, value_parser = outcome())]
    pub outcome: Option<Outcome>,
    /// What the record is of.
    #[arg(long, value_parser = event())]
    pub event: Option<EntryEvent>,
    /// For the host with this first name.
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// From this address or network, such as 192.0.2.7 or 192.0.2.0/24.
    #[arg(long, value_name = "CIDR")]
    pub peer: Option<Cidr>,
    /// Of clients with this JA4 fingerprint.
    #[arg(long, value_name = "FINGERPRINT")]
    pub ja4: Option<String>,
    /// On this connection.
    #[arg(long, value_name = "ID", value_parser = connection)]
    pub connection: Option<String>,
    /// The request with this id, as the phone's refusal page shows it.
    #[arg(long, value_name = "ID", value_parser = request)]
    pub request: Option<String>,
}

/// `audit follow`
#[derive(Debug, Args)]
pub struct AuditFollow {
    /// Which records.
    #[command(flatten)]
    pub filter: AuditFilter,
}

/// `audit device`
#[derive(Debug, Args)]
pub struct AuditDevice {
    /// The device's MAC address, in any spelling.
    pub mac: MacAddress,
    /// Tell what happened since then only, as in `audit --since`.
    #[arg(long, value_name = "TIME")]
    pub since: Option<TimePoint>,
    /// How many connections are told of at most; equal ones in a row count once.
    #[arg(long, value_name = "N", default_value = "20", value_parser = limit)]
    pub limit: NonZeroU32,
}

/// `audit expiring`
#[derive(Debug, Args)]
pub struct AuditExpiring {
    /// Certificates that end within this time, such as 180d or 1y; those that have ended are listed too.
    #[arg(long, value_name = "TIME", default_value = "180d", value_parser = duration)]
    pub within: std::time::Duration,
    /// How many devices are listed at most; the totals count all.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = limit)]
    pub limit: NonZeroU32,
}

/// `audit summary`
#[derive(Debug, Args)]
pub struct AuditSummary {
    /// What is counted by.
    #[arg(long, default_value = "reason", value_parser = by())]
    pub by: By,
    /// Count what happened since then only, as in `audit --since`.
    #[arg(long, value_name = "TIME")]
    pub since: Option<TimePoint>,
    /// Count what happened until then only, as in `audit --until`.
    #[arg(long, value_name = "TIME")]
    pub until: Option<TimePoint>,
    /// How many values are shown at most.
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    pub limit: NonZeroU32,
}

fn limit(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("write a number from 1 to {}", u32::MAX))
}

fn reason(text: &str) -> Result<Reason, String> {
    let word = text.to_ascii_lowercase().replace('-', "_");
    Reason::from_code(&word).ok_or_else(|| {
        match nearest(text, Reason::ALL.iter().map(|reason| reason.as_str())) {
            Some(near) => format!("there is no such reason; did you mean {near}?"),
            None => "there is no such reason; provision-gateway reasons lists them".to_owned(),
        }
    })
}

/// A parser of the words of one of our lists.
macro_rules! words {
    ($list:ty) => {
        PossibleValuesParser::new(<$list>::ALL.iter().map(|one| one.as_str()))
            .try_map(|word| <$list>::from_word(&word).ok_or("not one of the words"))
    };
}

fn outcome() -> impl TypedValueParser<Value = Outcome> {
    words!(Outcome)
}

fn event() -> impl TypedValueParser<Value = EntryEvent> {
    words!(EntryEvent)
}

fn by() -> impl TypedValueParser<Value = By> {
    words!(By)
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    let read = policies::document::parse_duration(text);
    read.map_err(|error| format!("{error}; write a duration such as 180d, 26w or 1y"))
}

/// An identifier is read out on the telephone: letter case and spaces around it do not matter, its form does.
fn connection(text: &str) -> Result<String, &'static str> {
    let id = text.trim().to_ascii_lowercase();
    if is_connection(&id) { Ok(id) } else { Err("a connection's id is 16 hex digits") }
}

fn request(text: &str) -> Result<String, &'static str> {
    let id = text.trim().to_ascii_lowercase();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match id.split_once('-') {
        Some((connection, number)) if is_connection(connection) && is_number(number) => Ok(id),
        Some(_) | None => Err("a request's id is 16 hex digits, a hyphen and a number"),
    }
}

fn is_connection(id: &str) -> bool {
    id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

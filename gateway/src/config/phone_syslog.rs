//! `[phone-syslog]`: where phones' own syslog messages are taken, and whose.

use std::net::SocketAddr;

use policies::document::Table;

use super::audit::{AuditConfig, SinkKind};
use super::files::Files;
use super::listener;
use crate::audit::query::Cidr;
use crate::phone_syslog::Rate;

/// The listener for phones' syslog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneSyslogConfig {
    /// Address and UDP port.
    pub address: SocketAddr,
    /// Where messages may come from; never empty.
    pub networks: Vec<Cidr>,
    /// Messages that are taken from one address.
    pub per_address: Rate,
    /// Messages that are taken from all together.
    pub in_all: Rate,
}

/// What is known of `[audit]` when `[phone-syslog]` is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Audit<'a> {
    /// It stands there with mistakes, which are noted.
    Mistaken,
    /// There is none.
    Missing,
    /// It says this.
    Read(&'a AuditConfig),
}

/// Ten phones behind one address, each telling of two profiles in a second.
const PER_ADDRESS: u64 = 20;
/// A resync an hour of a million phones and more; after a power cut ten seconds' worth may come at once.
const IN_ALL: u64 = 2000;

impl PhoneSyslogConfig {
    /// Reads `[phone-syslog]`, whose messages go where `audit` says.
    pub(super) fn read(table: &Table<'_, '_>, files: &Files<'_, '_>, audit: Audit<'_>) -> Option<Self> {
        let address = table.string("address").and_then(|text| listener::address(&text, files));
        let networks = read_networks(table, files);
        let rate = |key, most, default| {
            let read = table.optional_integer(key, 1..=most).map_or(default, |found| found.value);
            Rate::per_second(u32::try_from(read).unwrap_or(u32::MAX))
        };
        let per_address = rate("messages-per-address", 10_000, PER_ADDRESS);
        let in_all = rate("messages", 100_000, IN_ALL);
        let is_database = |kind: &SinkKind| match kind {
            SinkKind::Database { .. } => true,
            SinkKind::File { .. } | SinkKind::Stdout | SinkKind::Syslog(_) => false,
        };
        let hint = "[[audit.sink]] with kind = \"database\" and url = \"sqlite:audit.db\"";
        match audit {
            Audit::Missing => {
                let message = "what phones say is recorded nowhere without [audit]";
                files.document().error_with_hint(table.place(), message, hint);
                return None;
            }
            Audit::Read(audit) if !audit.sinks.iter().any(|sink| is_database(&sink.kind)) => {
                let message = "what phones say is joined to a device's story in an audit database only, and there is none";
                files.document().warning(table.place(), message, Some(hint.to_owned()));
            }
            Audit::Mistaken | Audit::Read(_) => {}
        }
        Some(Self { address: address?, networks: networks?, per_address, in_all })
    }
}

fn read_networks(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<Vec<Cidr>> {
    if !table.has("networks") {
        let message = "missing: the networks that phones' messages may come from";
        let example = "networks = [\"192.0.2.0/24\"]";
        files.document().error_with_hint(&table.place_of("networks"), message, example);
        return None;
    }
    let texts = table.strings("networks")?;
    let mut networks = Vec::new();
    let mut sound = true;
    for text in texts {
        match text.value.parse() {
            Ok(network) => networks.push(network),
            Err(error) => {
                let error: crate::audit::query::NotACidr = error;
                let message = format!("\"{}\" is no network", text.value.escape_debug());
                files.document().error_with_hint(&text.place, message, error.to_string());
                sound = false;
            }
        }
    }
    sound.then_some(networks)
}

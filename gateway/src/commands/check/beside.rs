//! What listens beside the phones' listeners: the admin's, and the one for phones' own syslog.

use serde::Serialize;

use crate::config::{AdminConfig, MetricsAccess, PhoneSyslogConfig};

/// The listener for people and monitoring systems.
#[derive(Debug, Serialize)]
pub(super) struct Admin {
    pub(super) address: String,
    pub(super) encrypted: bool,
    pub(super) names: Vec<String>,
    /// Whether whoever can connect may read the metrics.
    pub(super) metrics_open: bool,
    pub(super) database: Option<String>,
}

impl Admin {
    pub(super) fn of(admin: &AdminConfig) -> Self {
        let AdminConfig { address, token: _, names, credentials, metrics, database } = admin;
        Self {
            address: address.to_string(),
            encrypted: credentials.is_some(),
            names: names.clone(),
            metrics_open: *metrics == MetricsAccess::Open,
            database: database.as_ref().map(ToString::to_string),
        }
    }
}

/// The listener for phones' own syslog.
#[derive(Debug, Serialize)]
pub(super) struct PhoneSyslog {
    pub(super) address: String,
    pub(super) networks: Vec<String>,
    /// A second, from one address.
    pub(super) messages_per_address: u32,
    /// A second, from all together.
    pub(super) messages: u32,
}

impl PhoneSyslog {
    pub(super) fn of(phone_syslog: &PhoneSyslogConfig) -> Self {
        let PhoneSyslogConfig { address, networks, per_address, in_all } = phone_syslog;
        Self {
            address: address.to_string(),
            networks: networks.iter().map(ToString::to_string).collect(),
            messages_per_address: per_address.messages(),
            messages: in_all.messages(),
        }
    }
}

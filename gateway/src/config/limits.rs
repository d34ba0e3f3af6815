//! `[limits]`: what one device may cost, and how long anything may take.

use std::{fmt, ops::RangeInclusive, time::Duration};

use policies::document::Table;

use crate::backend::BackendLimits;
use crate::request::BodyLimits;

/// The limits of the whole gateway. Each has a default and can be set in `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the connection's first moment to the end of the handshake, without the wait for a place.
    pub handshake_timeout: Duration,
    /// How long a client may wait for a place among the handshakes.
    pub handshake_queue_timeout: Duration,
    /// From a request's first byte to the end of its header, and from the handshake to the first byte.
    pub header_timeout: Duration,
    /// How long a connection may stay open between requests.
    pub idle_timeout: Duration,
    /// Bytes per second below which a request or response body is too slow.
    pub min_body_rate: u64,
    /// Bytes of a request's line and fields together.
    pub header_size: usize,
    /// Fields of a request.
    pub header_count: usize,
    /// Bytes of a request body.
    pub body_size: u64,
    /// Connections open at once.
    pub connections: usize,
    /// Connections open at once from one address; `None` is no limit, since a whole site may sit behind one address.
    pub connections_per_address: Option<usize>,
    /// Handshakes under way at once; the rest wait in order.
    pub handshakes: usize,
    /// Connecting to a backend, its answer, and the connections kept to it.
    pub backend: BackendLimits,
    /// How long requests may take to finish once the gateway was told to stop.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            // A core does some seven hundred handshakes a second; a phone that has heard nothing for longer has given up.
            handshake_queue_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            min_body_rate: 500,
            header_size: 16 * 1024,
            header_count: 100,
            body_size: 16 * 1024 * 1024,
            connections: 20_000,
            connections_per_address: None,
            handshakes: 256,
            backend: BackendLimits::default(),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60);
const COUNT: RangeInclusive<u64> = 1..=10_000_000;

impl Limits {
    /// What holds for a request's body. A device has the header's time again before the rate counts.
    #[must_use]
    pub const fn body_limits(&self) -> BodyLimits {
        BodyLimits { bytes: self.body_size, rate: self.min_body_rate, grace: self.header_timeout }
    }

    /// Reads `[limits]`, with the default for each key that is absent.
    pub(super) fn read(table: Option<Table<'_, '_>>) -> Self {
        let default = Self::default();
        let Some(table) = table else { return default };
        let duration =
            |key, default| table.optional_duration(key, TIMEOUT).map_or(default, |found| found.value);
        let size = |key, range, default| table.optional_size(key, range).map_or(default, |found| found.value);
        let count = |key| table.optional_integer(key, COUNT).map(|found| saturating(found.value));
        Self {
            handshake_timeout: duration("handshake-timeout", default.handshake_timeout),
            handshake_queue_timeout: duration("handshake-queue-timeout", default.handshake_queue_timeout),
            header_timeout: duration("header-timeout", default.header_timeout),
            idle_timeout: duration("idle-timeout", default.idle_timeout),
            min_body_rate: size("min-body-rate", 0..=1 << 30, default.min_body_rate),
            header_size: table
                .optional_size("header-size", 1024..=1 << 20)
                .map_or(default.header_size, |found| saturating(found.value)),
            header_count: table
                .optional_integer("header-count", 8..=10_000)
                .map_or(default.header_count, |found| saturating(found.value)),
            body_size: size("body-size", 0..=1 << 40, default.body_size),
            connections: count("connections").unwrap_or(default.connections),
            connections_per_address: count("connections-per-address"),
            handshakes: count("handshakes").unwrap_or(default.handshakes),
            backend: BackendLimits {
                connect: duration("backend-connect-timeout", default.backend.connect),
                response: duration("backend-response-timeout", default.backend.response),
                idle: duration("backend-idle-timeout", default.backend.idle),
                kept_connections: table
                    .optional_integer("backend-kept-connections", 0..=100_000)
                    .map_or(default.backend.kept_connections, |found| saturating(found.value)),
                kept_for: duration("backend-kept-time", default.backend.kept_for),
            },
            shutdown_timeout: duration("shutdown-timeout", default.shutdown_timeout),
        }
    }

    /// Each limit by its key in the file, with its value as it would be written there.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        let Self {
            handshake_timeout,
            handshake_queue_timeout,
            header_timeout,
            idle_timeout,
            min_body_rate,
            header_size,
            header_count,
            body_size,
            connections,
            connections_per_address,
            handshakes,
            backend,
            shutdown_timeout,
        } = self;
        let BackendLimits { connect, response, idle, kept_connections, kept_for } = backend;
        vec![
            ("handshake-timeout", Time(*handshake_timeout).to_string()),
            ("handshake-queue-timeout", Time(*handshake_queue_timeout).to_string()),
            ("header-timeout", Time(*header_timeout).to_string()),
            ("idle-timeout", Time(*idle_timeout).to_string()),
            ("min-body-rate", Size(*min_body_rate).to_string()),
            ("header-size", Size(u64::try_from(*header_size).unwrap_or(u64::MAX)).to_string()),
            ("header-count", header_count.to_string()),
            ("body-size", Size(*body_size).to_string()),
            ("connections", connections.to_string()),
            (
                "connections-per-address",
                connections_per_address.map_or_else(|| "off".to_owned(), |count| count.to_string()),
            ),
            ("handshakes", handshakes.to_string()),
            ("backend-connect-timeout", Time(*connect).to_string()),
            ("backend-response-timeout", Time(*response).to_string()),
            ("backend-idle-timeout", Time(*idle).to_string()),
            ("backend-kept-connections", kept_connections.to_string()),
            ("backend-kept-time", Time(*kept_for).to_string()),
            ("shutdown-timeout", Time(*shutdown_timeout).to_string()),
        ]
    }
}

/// A checked count as `usize`; no range above reaches past 32 bits.
fn saturating(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A duration in the largest unit that divides it.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
        match units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(formatter, "{}{name}", millis / unit),
            None => write!(formatter, "{millis}ms"),
        }
    }
}

/// A number of bytes in the largest unit that divides it.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.into_iter().find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(formatter, "{}{name}", self.0 / unit),
            None => write!(formatter, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use policies::document::Document;

    use super::*;

    fn read(text: &str) -> Result<Limits, Vec<String>> {
        let document = Document::parse("gateway.toml", text).unwrap();
        let root = document.root();
        let limits = Limits::read(root.optional_table("limits"));
        root.finish();
        let finished = document.finish();
        finished.map(|_| limits).map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_check_prints_reads_back_as_the_same_limits() {
        let limits = Limits { connections_per_address: Some(400), ..Limits::default() };
        let mut text = "[limits]\n".to_owned();
        for (key, value) in limits.entries() {
            let number = value.bytes().all(|byte| byte.is_ascii_digit());
            text += &if number { format!("{key} = {value}\n") } else { format!("{key} = \"{value}\"\n") };
        }
        assert_eq!(read(&text), Ok(limits));
        assert_eq!(read(""), Ok(Limits::default()));
    }

    #[test]
    fn a_limit_out_of_its_range_or_misspelt_is_named_with_its_line() {
        let found = read("[limits]\nhandshakes = 0\nhandshake-timout = \"10s\"\nidle-timeout = \"75\"\n")
            .unwrap_err();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("gateway.toml:2:14: `limits.handshakes`: 0 is out of range"),
            "{found:?}"
        );
        assert!(
            found[1].starts_with("gateway.toml:3:1: `limits.handshake-timout`: unknown key"),
            "{found:?}"
        );
        assert!(found[2].starts_with("gateway.toml:4:16: `limits.idle-timeout`:"), "{found:?}");
    }
}

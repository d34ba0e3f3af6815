//! The time of a record, to the microsecond.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certs::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time in microseconds since 1970, UTC. Displays as `2026-11-23T02:25:11.000042Z`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The second it lies in.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        Timestamp::from_unix(self.0.div_euclid(1_000_000))
    }

    /// So much earlier; stops at the end of what a moment can tell.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// So much later; stops at the end of what a moment can tell.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Reads RFC 3339, as in `2026-11-23T02:25:11Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).ok().map(Self)
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        let micros = |since: Duration| i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(micros(since)),
            Err(before) => Self(-micros(before.duration())),
        }
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(time.unix().saturating_mul(1_000_000))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.timestamp().to_string();
        write!(formatter, "{}.{:06}Z", seconds.trim_end_matches('Z'), self.0.rem_euclid(1_000_000))
    }
}

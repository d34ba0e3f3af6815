//! The time, as an argument: nothing else in this crate asks the system for it.

use std::time::{SystemTime, UNIX_EPOCH};

use certs::Timestamp;

/// Tells the time. The program has one [`SystemClock`]; tests and demonstrations hand in a [`FixedClock`].
pub trait Clock: Send + Sync {
    /// The present time, whole seconds UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where this program reads the system clock")]
    fn now(&self) -> Timestamp {
        let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
        };
        Timestamp::from_unix(seconds)
    }
}

/// A clock that stands still.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

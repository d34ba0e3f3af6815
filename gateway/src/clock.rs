//! The program's one look at the wall clock; everything else takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use certs::Timestamp;

/// The time now, in whole seconds. A clock before 1970 reads as 1970, which no certificate survives.
pub fn now() -> Timestamp {
    let since_epoch = system().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}

/// The time now as the system counts it, for records.
pub fn system() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    SystemTime::now()
}

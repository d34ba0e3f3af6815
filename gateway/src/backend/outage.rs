//! What the program's log tells of a backend that cannot be reached. Each request that it fails has an audit record of its own; this
//! is for whoever looks at the journal, so it is said once a minute however many requests ask.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::{info, warn};

/// The time between two warnings of the same backend.
const QUIET: Duration = Duration::from_secs(60);

/// The connections to one backend that failed since one stood. Nothing is touched while kept connections serve.
#[derive(Debug)]
pub(super) struct Outage {
    backend: Arc<str>,
    made: Instant,
    failed: AtomicU64,
    /// When it may be warned of again, in milliseconds since it was made.
    quiet_until: AtomicU64,
    /// Whether the log stands at a warning.
    is_told: AtomicBool,
}

impl Outage {
    pub(super) fn new(backend: Arc<str>) -> Self {
        Self {
            backend,
            made: Instant::now(),
            failed: AtomicU64::new(0),
            quiet_until: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
        }
    }

    /// A connection could not be opened.
    pub(super) fn failed(&self, error: &(dyn Error + 'static)) {
        self.failed_after(self.made.elapsed(), error);
    }

    /// Whether it was told.
    fn failed_after(&self, time: Duration, error: &(dyn Error + 'static)) -> bool {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let failed = self.failed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let quiet_until = self.quiet_until.load(Ordering::Relaxed);
        let next = milliseconds(time.saturating_add(QUIET));
        // Of several at the same moment one tells it.
        let is_due = milliseconds(time) >= quiet_until
            && self
                .quiet_until
                .compare_exchange(quiet_until, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_due {
            self.is_told.store(true, Ordering::Relaxed);
            let backend = &*self.backend;
            warn!(backend, error, connections.failed = failed, "the backend cannot be reached");
        }
        is_due
    }

    /// A connection stands. Whether that was told: only where the failure was.
    pub(super) fn reached(&self) -> bool {
        if self.failed.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let failed = self.failed.swap(0, Ordering::Relaxed);
        let was_told = self.is_told.swap(false, Ordering::Relaxed);
        if was_told {
            info!(backend = &*self.backend, connections.failed = failed, "the backend is reached again");
        }
        was_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_a_minute_and_its_end_once() {
        let outage = Outage::new("http://127.0.0.1:8080".into());
        let error = std::io::Error::other("refused");
        let fails = |seconds| outage.failed_after(Duration::from_secs(seconds), &error);
        assert!(!outage.reached(), "nothing had failed");
        assert!(fails(0));
        assert!(!fails(1));
        assert!(!fails(59));
        assert!(fails(60), "it is still so");
        assert!(outage.reached());
        assert!(!outage.reached());
        // One that comes and goes does not fill the log.
        assert!(!fails(70));
        assert!(!outage.reached(), "nor does its end");
        assert!(fails(120));
    }
}

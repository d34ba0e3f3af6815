//! How often each trust entry had to let something pass that strict rules refuse: an operator who wants to end an
//! `allow` needs to know who still rests on it.
//!
//! Counted once for each connection, in the log when it happens first, at each reload and at the end. Each record of
//! such a connection names its exceptions too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use certs::Exception;
use tracing::info;

/// The counts since the start. A connection without exceptions never locks them.
#[derive(Debug, Default)]
pub struct ExceptionCounts(Mutex<BTreeMap<Key, u64>>);

/// Whose exception it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: Arc<str>,
    trust: String,
    exception: Exception,
}

impl ExceptionCounts {
    /// Counts the exceptions of one connection.
    pub fn count(&self, host: &Arc<str>, trust: &str, exceptions: impl Iterator<Item = Exception>) {
        for exception in exceptions {
            let key = Key { host: Arc::clone(host), trust: trust.to_owned(), exception };
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(key).or_default();
            *count += 1;
            if *count == 1 {
                info!(host = &**host, trust, exception = %exception, "an exception is used for the first time");
            }
        }
    }

    /// Each host, trust entry and exception with its connections.
    pub fn all(&self) -> Vec<(Arc<str>, String, Exception, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row =
            |(key, count): (&Key, &u64)| (Arc::clone(&key.host), key.trust.clone(), key.exception, *count);
        counts.iter().map(row).collect()
    }

    /// Writes the counts to the log.
    pub fn log(&self) {
        for (host, trust, exception, connections) in self.all() {
            info!(host = &*host, trust, exception = %exception, connections, "exceptions used since the start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_host_entry_and_exception() {
        let counts = ExceptionCounts::default();
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        counts.count(&one, "sipura", [Exception::Sha1, Exception::Rsa1024].into_iter());
        counts.count(&one, "sipura", [Exception::Sha1].into_iter());
        counts.count(&other, "sipura", [Exception::Sha1].into_iter());
        counts.count(&other, "maker", std::iter::empty());
        let all = counts.all();
        let of = |host: &str, exception| {
            let found = all.iter().find(|row| &*row.0 == host && row.2 == exception);
            found.map(|row| (row.1.as_str(), row.3))
        };
        assert_eq!(of("one", Exception::Sha1), Some(("sipura", 2)));
        assert_eq!(of("one", Exception::Rsa1024), Some(("sipura", 1)));
        assert_eq!(of("other", Exception::Sha1), Some(("sipura", 1)));
        assert_eq!(all.len(), 3);
    }
}

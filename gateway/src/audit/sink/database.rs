//! The audit database as a sink: batches, one transaction each, and old records deleted a few at a time.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::AuditSink;
use crate::audit::database::{AuditDatabase, BatchId, DatabaseError, DatabaseUrl, Retention};
use crate::config::certificates::Causes;

/// Records in one transaction, at most.
const BATCH: usize = 4000;
/// Records that may be deleted in a second, at least.
const PRUNE: u64 = 2000;

/// Writes into an audit database, and connects again when it was away.
#[derive(Debug)]
pub struct DatabaseSink {
    url: DatabaseUrl,
    gateway: String,
    process: String,
    batch: i64,
    retention: Retention,
    clock: fn() -> SystemTime,
    database: Option<AuditDatabase>,
    /// Records written since the last tick: at least as many may be deleted, or the database would grow all the same.
    fresh: u64,
    pruning_fails: bool,
}

impl DatabaseSink {
    /// Opens the database. A server that cannot be reached now is tried again later; a file that cannot be opened is an error.
    ///
    /// # Errors
    /// The file cannot be opened, or the database is of a later gateway.
    pub fn open(
        url: DatabaseUrl,
        gateway: String,
        retention: Retention,
        clock: fn() -> SystemTime,
    ) -> Result<Self, DatabaseError> {
        let database = match AuditDatabase::open(&url) {
            Ok(database) => Some(database),
            Err(DatabaseError::Postgres(error)) => {
                let error = Causes(&error).to_string();
                warn!(database = %url, error, "the audit database cannot be reached yet");
                None
            }
            Err(error) => return Err(error),
        };
        let started = clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        // Two starts within one microsecond still differ.
        let process = format!("{started:x}-{:x}", RandomState::new().hash_one(started));
        Ok(Self {
            url,
            gateway,
            process,
            batch: 1,
            retention,
            clock,
            database,
            fresh: 0,
            pruning_fails: false,
        })
    }

    /// A file that was deleted or moved away would take records for ever, and nobody would find them.
    fn look_whether_it_is_there(&mut self) {
        let Some(database) = &mut self.database else { return };
        match database.reconnect_if_replaced() {
            Ok(false) => {}
            Ok(true) => warn!(
                database = %self.url,
                "the audit database was deleted, moved away or replaced: records go to the one of its name from now on"
            ),
            // The next batch tries again, and tells why it cannot.
            Err(_) => self.database = None,
        }
    }

    /// The connection, made anew where there is none.
    fn database(&mut self) -> Result<&mut AuditDatabase, DatabaseError> {
        match &mut self.database {
            Some(database) => Ok(database),
            missing @ None => Ok(missing.insert(AuditDatabase::open(&self.url)?)),
        }
    }
}

impl AuditSink for DatabaseSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        let part = first_lines(lines, BATCH);
        let (gateway, process, number) = (self.gateway.clone(), self.process.clone(), self.batch);
        let id = BatchId { gateway: &gateway, process: &process, number };
        let mut appended = self.database().and_then(|database| database.append(id, part));
        if appended.is_err()
            && let Some(database) = &mut self.database
        {
            // A connection that was lost is made anew at once, since there may be no later: the same batch is taken once.
            if database.reconnect().is_ok() {
                appended = database.append(id, part);
            } else {
                self.database = None;
            }
        }
        match appended {
            Ok(appended) => {
                self.batch += 1;
                self.fresh = self.fresh.saturating_add(appended.records);
                if appended.unreadable > 0 {
                    warn!(lines = appended.unreadable, "the audit database does not understand some records");
                }
                Ok(part.len())
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.look_whether_it_is_there();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.database = None;
        Ok(())
    }

    /// Larger batches cost less for each record.
    fn gather(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn has_ticks(&self) -> bool {
        true
    }

    fn tick(&mut self) {
        self.look_whether_it_is_there();
        let most = PRUNE.max(std::mem::take(&mut self.fresh).saturating_mul(2));
        let (retention, now) = (self.retention, (self.clock)().into());
        let Some(database) = &mut self.database else { return };
        match database.prune(retention, now, most) {
            Ok(_) => {
                if std::mem::take(&mut self.pruning_fails) {
                    info!("old audit records are deleted again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.pruning_fails, true) {
                    warn!(error = Causes(&error).to_string(), "old audit records cannot be deleted");
                }
            }
        }
    }
}

/// So many whole lines; the same ones whenever the same bytes come again.
fn first_lines(lines: &[u8], most: usize) -> &[u8] {
    let ends = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    match ends.take(most).last() {
        Some(end) => &lines[..end],
        None => lines,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::database::tests::lines;
    use crate::audit::query::Filter;

    const GAP: &str = r#""event":"gap","count":1"#;

    fn clock() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_400_000)
    }

    #[test]
    fn a_file_that_was_deleted_or_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
        let mut sink =
            DatabaseSink::open(url.clone(), "one".to_owned(), Retention::default(), clock).unwrap();
        let line = lines(1_795_400_000, &[GAP]);
        let kept = || {
            let mut reader = AuditDatabase::open_to_read(&url).unwrap();
            reader.records(&Filter::default(), 10).unwrap().len()
        };
        sink.append(line.as_bytes()).unwrap();
        sink.tick();
        sink.append(line.as_bytes()).unwrap();
        assert_eq!(kept(), 2, "nothing was replaced");
        for name in ["audit.db", "audit.db-wal", "audit.db-shm"] {
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        sink.tick();
        sink.append(line.as_bytes()).unwrap();
        assert_eq!(kept(), 1);
        fs::rename(folder.path().join("audit.db"), folder.path().join("old.db")).unwrap();
        sink.reopen().unwrap();
        sink.append(line.as_bytes()).unwrap();
        assert_eq!(kept(), 1);
    }
}

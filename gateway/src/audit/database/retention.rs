//! How long records are kept: by age, by size, and never more work at once than a moment's.

use std::time::Duration;

use super::batch::hour_of;
use super::{AuditDatabase, DatabaseError};
use crate::audit::moment::Moment;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Records older than this go.
    pub keep: Option<Duration>,
    /// The oldest go when the database takes more bytes than this.
    pub keep_size: Option<u64>,
}

/// How long counts and devices are kept where records are kept for a shorter time: they are small, and a year can be compared
/// with the last.
const SUMMARIES: Duration = Duration::from_secs(400 * 86_400);
/// Rows of counts, devices and sightings that are deleted at one time.
const SUMMARY_ROWS: i64 = 500;

impl AuditDatabase {
    /// Deletes what need not be kept, at most `most` records; how many it deleted. To be called again a second later: the work
    /// of one call is bounded, so that records are written in between.
    ///
    /// # Errors
    /// The database cannot do it now.
    pub fn prune(&mut self, retention: Retention, now: Moment, most: u64) -> Result<u64, DatabaseError> {
        let backend = self.backend();
        let mut deleted = 0;
        let oldest = backend.value("SELECT min(id) FROM audit_record", &[])?;
        let oldest = oldest.and_then(|oldest| oldest.optional_integer().transpose()).transpose()?;
        if let Some(oldest) = oldest {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let mut below = oldest;
            if let Some(keep) = retention.keep {
                // Numbers ascend with time as nearly as matters here; the first record that is young enough ends the search.
                let young = backend.value(
                    "SELECT id FROM audit_record WHERE id >= ?1 AND id < ?2 AND time >= ?3 ORDER BY id LIMIT 1",
                    &[oldest.into(), oldest.saturating_add(most).into(), now.before(keep).micros().into()],
                )?;
                below = match young {
                    Some(young) => young.integer()?,
                    None => oldest.saturating_add(most),
                };
            }
            if retention.keep_size.is_some_and(|most| most > 0) && self.is_too_large(retention)? {
                below = below.max(oldest.saturating_add(most));
            }
            if below > oldest {
                deleted = self.delete_below(below)?;
            }
        }
        self.prune_summaries(retention, now)?;
        if deleted > 0 || retention.keep_size.is_some() {
            self.backend().release()?;
        }
        Ok(deleted)
    }

    fn is_too_large(&mut self, retention: Retention) -> Result<bool, DatabaseError> {
        let size = self.backend().size()?;
        Ok(retention.keep_size.is_some_and(|most| size > most))
    }

    fn delete_below(&mut self, id: i64) -> Result<u64, DatabaseError> {
        let backend = self.backend();
        backend.begin()?;
        let deleted = (|| {
            backend.execute("DELETE FROM audit_line WHERE id < ?1", &[id.into()])?;
            let deleted = backend.execute("DELETE FROM audit_record WHERE id < ?1", &[id.into()])?;
            backend.commit()?;
            Ok(deleted)
        })();
        if deleted.is_err() {
            backend.roll_back();
        }
        deleted
    }

    fn prune_summaries(&mut self, retention: Retention, now: Moment) -> Result<(), DatabaseError> {
        // Each statement looks through a whole table of the size of the fleet: once an hour is enough.
        if self.swept == Some(hour_of(now)) {
            return Ok(());
        }
        let oldest = now.before(retention.keep.unwrap_or_default().max(SUMMARIES));
        let backend = self.backend();
        let hour = hour_of(oldest);
        let before: [(&str, i64); 4] = [
            (
                "DELETE FROM audit_tally WHERE (dimension, subject, hour, value, outcome, gateway) IN (SELECT dimension, \
                 subject, hour, value, outcome, gateway FROM audit_tally WHERE hour < ?1 LIMIT ?2)",
                hour,
            ),
            (
                "DELETE FROM audit_device WHERE mac IN (SELECT mac FROM audit_device WHERE last_seen < ?1 LIMIT ?2)",
                oldest.micros(),
            ),
            (
                "DELETE FROM audit_certificate WHERE (mac, sha256) IN (SELECT mac, sha256 FROM audit_certificate WHERE \
                 last_seen < ?1 LIMIT ?2)",
                oldest.micros(),
            ),
            (
                "DELETE FROM audit_sighting WHERE (mac, kind, value) IN (SELECT mac, kind, value FROM audit_sighting WHERE \
                 last_seen < ?1 LIMIT ?2)",
                oldest.micros(),
            ),
        ];
        let mut more = false;
        for (statement, before) in before {
            let deleted = backend.execute(statement, &[before.into(), SUMMARY_ROWS.into()])?;
            more |= deleted >= SUMMARY_ROWS.unsigned_abs();
        }
        if !more {
            self.swept = Some(hour_of(now));
        }
        Ok(())
    }
}

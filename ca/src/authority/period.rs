//! How long a certificate lasts when nobody says.

use certs::{Timestamp, Validity};

use super::Authority;
use crate::error::IssueError;
use crate::legacy::TEST_DAYS;
use crate::profile::validity_for;
use crate::store::Side;

/// Seconds in a day.
const DAY: i64 = 86_400;

impl Authority {
    /// From an hour ago for `days`; when they are not said, for `usual` days in a production store, and in a test store
    /// for no more than [`TEST_DAYS`] and no longer than the authority that signs.
    ///
    /// # Errors
    /// When this side has no authority.
    pub fn period(&self, side: Side, days: Option<u32>, usual: u32) -> Result<Validity, IssueError> {
        self.period_at(side, days, usual, self.now())
    }

    pub(super) fn period_at(
        &self,
        side: Side,
        days: Option<u32>,
        usual: u32,
        now: Timestamp,
    ) -> Result<Validity, IssueError> {
        if let Some(days) = days {
            return Ok(validity_for(now, days));
        }
        if !self.is_test() {
            return Ok(validity_for(now, usual));
        }
        let mut validity = validity_for(now, usual.min(TEST_DAYS));
        validity.not_after =
            validity.not_after.min(self.issuer_for(side)?.certificate().validity().not_after);
        Ok(validity)
    }

    /// A period of the usual length, or of `days`, that ended `ago` days ago; for test stores only.
    ///
    /// # Errors
    /// In a production store.
    pub fn expired_period(&self, ago: u32, days: Option<u32>, usual: u32) -> Result<Validity, IssueError> {
        self.require_test("an expired certificate (`--expired`)")?;
        let not_after = self.now().plus_seconds(-i64::from(ago) * DAY);
        let length = i64::from(days.unwrap_or_else(|| usual.min(TEST_DAYS))) * DAY - 1;
        Ok(Validity { not_before: not_after.plus_seconds(-length), not_after })
    }
}

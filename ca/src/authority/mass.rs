//! Many certificates at once: found by a selector, revoked, or given back.

use serde_json::json;

use super::{Authority, Revoked};
use crate::error::IssueError;
use crate::selector::Selector;
use crate::serial::hex;
use crate::store::{
    AuditEvent, CertificateRecord, Kind, Page, RecordId, Revocation, RevocationReason, State, Tally,
};

impl Authority {
    /// The next certificates that the selector means, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn page(&self, selector: &Selector, page: Page) -> Result<Vec<CertificateRecord>, IssueError> {
        Ok(self.store.page(selector, self.now(), page)?)
    }

    /// How many certificates the selector means, by kind and model.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn tally(&self, selector: &Selector, until: Option<RecordId>) -> Result<Vec<Tally>, IssueError> {
        Ok(self.store.tally(selector, self.now(), until)?)
    }

    /// The newest row: what is issued later is no part of a work that begins now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn last_row(&self) -> Result<Option<RecordId>, IssueError> {
        Ok(self.store.last_row()?)
    }

    /// Where a work that was begun and not finished ends, when there is one by this name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn work_in_progress(&self, work: &str) -> Result<Option<RecordId>, IssueError> {
        let kept = self.store.setting(&work_setting(work))?;
        Ok(kept.and_then(|row| row.parse().ok()).map(RecordId))
    }

    /// Notes that a work was begun which ends with this row, or that none is in progress.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn note_work(&mut self, work: &str, until: Option<RecordId>) -> Result<(), IssueError> {
        let _lock = self.lock()?;
        let row = until.map(|row| row.0.to_string());
        Ok(self.store.keep_setting(&work_setting(work), row.as_deref())?)
    }

    /// Revokes certificates in one transaction, with the rules of [`revoke`](Self::revoke).
    ///
    /// # Errors
    /// One of them is a root, or was never issued; then none is revoked.
    pub fn revoke_all(
        &mut self,
        records: Vec<CertificateRecord>,
        reason: RevocationReason,
    ) -> Result<Vec<Revoked>, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let mut revocations = Vec::with_capacity(records.len());
        for record in &records {
            if self.is_root(record) {
                return Err(IssueError::RootRevocation { name: record.intent.name.clone() });
            }
            if let Some(issuer) =
                self.issuers.iter().find(|one| one.id() == record.intent.authority && one.is_foreign())
            {
                return Err(IssueError::ForeignRevocation {
                    name: record.intent.name.clone(),
                    serial: hex(&record.intent.serial),
                    issuer: issuer.name().to_owned(),
                });
            }
            if record.state != State::Issued {
                return Err(IssueError::NotFound { selector: hex(&record.intent.serial) });
            }
            let audit = event(record, "revoke", now, Some(reason));
            revocations.push((record.id, Revocation { at: now, reason }, audit));
        }
        let settled = self.store.revoke_all(&revocations)?;
        self.write_log()?;
        let revoked = records.into_iter().zip(settled).map(|(record, revocation)| {
            let already = record.revocation.is_some();
            Revoked { record, revocation, already }
        });
        Ok(revoked.collect())
    }

    /// Lifts the suspension of certificates, in one transaction; whether each was suspended (CA G5).
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn unhold_all(&mut self, records: &[CertificateRecord]) -> Result<Vec<bool>, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let holds: Vec<_> =
            records.iter().map(|record| (record.id, event(record, "unhold", now, None))).collect();
        let lifted = self.store.unhold_all(&holds)?;
        self.write_log()?;
        Ok(lifted)
    }

    fn is_root(&self, record: &CertificateRecord) -> bool {
        record.intent.kind == Kind::Authority
            && self
                .issuers
                .iter()
                .any(|one| one.id() == record.intent.authority && one.name() == record.intent.name)
    }
}

fn work_setting(work: &str) -> String {
    format!("work: {work}")
}

/// What the audit log says of one certificate.
pub(super) fn event(
    record: &CertificateRecord,
    event: &'static str,
    at: certs::Timestamp,
    reason: Option<RevocationReason>,
) -> AuditEvent {
    let mut detail = json!({
        "kind": record.intent.kind.as_str(),
        "name": record.intent.name,
        "serial": hex(&record.intent.serial),
    });
    if let Some(reason) = reason {
        detail["reason"] = json!(reason.as_str());
    }
    AuditEvent { at, event, detail }
}

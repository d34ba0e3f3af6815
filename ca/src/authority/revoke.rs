//! Revoking certificates (CA group G).

use super::Authority;
use crate::error::IssueError;
use crate::store::{CertificateRecord, RecordId, Revocation, RevocationReason};

/// A certificate that is revoked now.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The certificate.
    pub record: CertificateRecord,
    /// That, when and why; the first date stays when it was revoked before.
    pub revocation: Revocation,
    /// Whether it was revoked before.
    pub already: bool,
}

impl Authority {
    /// Revokes one certificate. Twice is once: the first date stays, the reason changes only to keyCompromise.
    ///
    /// Nobody learns of it before [`publish_crls`](Self::publish_crls). No key is needed.
    pub fn revoke(&mut self, id: RecordId, reason: RevocationReason) -> Result<Revoked, IssueError> {
        let record = self.store.certificate(id)?;
        let mut revoked = self.revoke_all(record.into_iter().collect(), reason)?;
        revoked.pop().ok_or_else(|| IssueError::NotFound { selector: format!("row {}", id.0) })
    }
}

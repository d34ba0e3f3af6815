//! Revoking certificates (CA group G).

use serde_json::json;

use super::Authority;
use crate::error::IssueError;
use crate::serial::hex;
use crate::store::{AuditEvent, CertificateRecord, Kind, RecordId, Revocation, RevocationReason};

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
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let record = self
            .store
            .certificate(id)?
            .filter(|record| record.certificate.is_some())
            .ok_or_else(|| IssueError::NotFound { selector: format!("row {}", id.0) })?;
        let is_root = record.intent.kind == Kind::Authority
            && self
                .issuers
                .iter()
                .any(|one| one.id() == record.intent.authority && one.name() == record.intent.name);
        if is_root {
            return Err(IssueError::RootRevocation { name: record.intent.name });
        }
        let audit = AuditEvent {
            at: now,
            event: "revoke",
            detail: json!({
                "kind": record.intent.kind.as_str(),
                "name": record.intent.name,
                "serial": hex(&record.intent.serial),
                "reason": reason.as_str(),
            }),
        };
        let already = record.revocation.is_some();
        let revocation = self.store.revoke(id, Revocation { at: now, reason }, &audit)?;
        Ok(Revoked { record, revocation, already })
    }
}

//! What becomes of many certificates at once.

use super::{AuditEvent, RecordId, Revocation, StoreError};

/// Changes to many certificates; each call is one durable transaction.
pub trait Lifecycle {
    /// Records revocations as [`Store::revoke`](super::Store::revoke) does; what stands after each.
    fn revoke_all(
        &mut self,
        revocations: &[(RecordId, Revocation, AuditEvent)],
    ) -> Result<Vec<Revocation>, StoreError>;

    /// Lifts suspensions (CA G5); whether each was one.
    fn unhold_all(&mut self, holds: &[(RecordId, AuditEvent)]) -> Result<Vec<bool>, StoreError>;

    /// Keeps a value beside the inventory, or removes it.
    fn keep_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError>;
}

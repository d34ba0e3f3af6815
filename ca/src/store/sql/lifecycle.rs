//! Many certificates in one transaction.

use super::{LogEnd, SqlStore, revoke_one};
use crate::store::backend::values;
use crate::store::{AuditEvent, Lifecycle, RecordId, Revocation, RevocationReason, StoreError};

impl Lifecycle for SqlStore {
    fn revoke_all(
        &mut self,
        revocations: &[(RecordId, Revocation, AuditEvent)],
    ) -> Result<Vec<Revocation>, StoreError> {
        self.write(|backend| {
            let mut log = LogEnd::of(backend)?;
            revocations
                .iter()
                .map(|(id, revocation, audit)| revoke_one(backend, &mut log, *id, *revocation, audit))
                .collect()
        })
    }

    fn unhold_all(&mut self, holds: &[(RecordId, AuditEvent)]) -> Result<Vec<bool>, StoreError> {
        self.write(|backend| {
            let mut log = LogEnd::of(backend)?;
            holds
                .iter()
                .map(|(id, audit)| {
                    let lifted = backend.execute(
                        "DELETE FROM revocation WHERE certificate = ?1 AND reason = ?2",
                        values![id.0, RevocationReason::CertificateHold.as_str()],
                    )?;
                    if lifted > 0 {
                        log.append(backend, audit)?;
                    }
                    Ok(lifted > 0)
                })
                .collect()
        })
    }

    fn keep_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        self.write(|backend| {
            match value {
                Some(value) => backend.execute(
                    "INSERT INTO setting (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    values![name, value],
                )?,
                None => backend.execute("DELETE FROM setting WHERE name = ?1", values![name])?,
            };
            Ok(())
        })
    }
}

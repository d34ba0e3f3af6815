//! Rows that another program's work becomes.

use certs::Fingerprint;

use super::publication::insert_crl;
use super::{LogEnd, SqlStore, append_audit, finish_one, insert_authority, insert_intent, revoke_one};
use crate::store::backend::{Backend, values};
use crate::store::{
    AdoptedAuthority, AuditEvent, AuthorityId, CertificateRecord, CrlRecord, ImportStep, ImportedCertificate,
    Imports, Intent, RecordId, Revocation, StoreError,
};

impl Imports for SqlStore {
    fn import_all(&mut self, steps: &[ImportStep]) -> Result<(), StoreError> {
        self.write(|backend| {
            let mut log = LogEnd::of(backend)?;
            for step in steps {
                match step {
                    ImportStep::Add(one) => add(backend, &mut log, one)?,
                    ImportStep::Complete(id, one) => complete(backend, &mut log, *id, one)?,
                    ImportStep::Revoke(id, revocation, audit) => {
                        revoke_one(backend, &mut log, *id, *revocation, audit)?;
                    }
                }
            }
            Ok(())
        })
    }

    fn adopt(&mut self, adopted: &AdoptedAuthority) -> Result<(), StoreError> {
        let AdoptedAuthority { authority, intent, known_as, is_foreign, last_list, audit } = adopted;
        self.write(|backend| {
            insert_authority(backend, authority)?;
            match known_as {
                Some(id) => {
                    let folder = intent.folder.display().to_string();
                    backend.execute(
                        "UPDATE certificate SET name = ?2, folder = ?3 WHERE id = ?1",
                        values![id.0, &intent.name, folder],
                    )?;
                }
                None => {
                    let id = insert_intent(backend, intent)?;
                    finish_one(backend, id, &authority.certificate)?;
                }
            }
            set_foreign(backend, &authority.name, *is_foreign)?;
            if let Some(list) = last_list {
                insert_crl(backend, list)?;
            }
            append_audit(backend, audit)
        })
    }

    fn is_foreign(&self, name: &str) -> Result<bool, StoreError> {
        let row = self
            .backend
            .borrow_mut()
            .row("SELECT value FROM setting WHERE name = ?1", values![foreign(name)])?;
        Ok(row.map(|row| row.text(0)).transpose()?.is_some_and(|value| value == YES))
    }

    fn key_arrived(&mut self, name: &str, audit: &AuditEvent) -> Result<(), StoreError> {
        self.write(|backend| {
            set_foreign(backend, name, false)?;
            append_audit(backend, audit)
        })
    }

    fn note_list(&mut self, list: &CrlRecord, audit: &AuditEvent) -> Result<(), StoreError> {
        self.write(|backend| {
            insert_crl(backend, list)?;
            append_audit(backend, audit)
        })
    }

    fn renew_authority(
        &mut self,
        id: AuthorityId,
        intent: &Intent,
        certificate: &[u8],
        audit: &AuditEvent,
    ) -> Result<(), StoreError> {
        self.write(|backend| {
            backend.execute(
                "UPDATE authority SET certificate = ?2 WHERE id = ?1",
                values![id.0, &certificate.to_vec()],
            )?;
            let row = insert_intent(backend, intent)?;
            finish_one(backend, row, certificate)?;
            append_audit(backend, audit)
        })
    }

    fn by_serial(
        &self,
        authority: AuthorityId,
        serial: &[u8],
    ) -> Result<Option<CertificateRecord>, StoreError> {
        let found =
            self.select("WHERE c.authority = ?1 AND c.serial = ?2", values![authority.0, &serial.to_vec()])?;
        Ok(found.into_iter().next())
    }
}

/// The value of a setting that holds.
const YES: &str = "yes";

/// Under which name the store keeps that an authority's key is elsewhere.
pub(crate) fn foreign(name: &str) -> String {
    format!("foreign: {name}")
}

fn set_foreign(backend: &mut dyn Backend, name: &str, is_foreign: bool) -> Result<(), StoreError> {
    backend.execute("DELETE FROM setting WHERE name = ?1", values![foreign(name)])?;
    if is_foreign {
        backend.execute("INSERT INTO setting (name, value) VALUES (?1, ?2)", values![foreign(name), YES])?;
    }
    Ok(())
}

fn add(backend: &mut dyn Backend, log: &mut LogEnd, one: &ImportedCertificate) -> Result<(), StoreError> {
    let id = insert_intent(backend, &one.intent)?;
    match &one.certificate {
        Some(der) => finish_one(backend, id, der)?,
        None => {
            backend.execute("UPDATE certificate SET state = 'issued' WHERE id = ?1", values![id.0])?;
        }
    }
    log.append(backend, &one.audit)?;
    one.revocation.map_or(Ok(()), |revocation| insert_revocation(backend, id, revocation))
}

/// Gives a row its certificate, and all that only the certificate tells.
fn complete(
    backend: &mut dyn Backend,
    log: &mut LogEnd,
    id: RecordId,
    one: &ImportedCertificate,
) -> Result<(), StoreError> {
    let ImportedCertificate { intent, certificate, revocation: _, audit } = one;
    let der = certificate.as_deref().unwrap_or_default();
    backend.execute(
        "UPDATE certificate SET certificate = ?2, fingerprint = ?3, kind = ?4, name = ?5, product = ?6,
                device_serial = ?7, public_key = ?8, not_before = ?9, not_after = ?10, folder = ?11
         WHERE id = ?1 AND certificate IS NULL",
        values![
            id.0,
            der,
            Fingerprint::of(der).as_bytes(),
            intent.kind.as_str(),
            &intent.name,
            &intent.product,
            &intent.device_serial,
            &intent.public_key,
            intent.validity.not_before.unix(),
            intent.validity.not_after.unix(),
            intent.folder.display().to_string(),
        ],
    )?;
    // Its end is the certificate's now, and with it the time until when it stays on lists.
    backend.execute(
        "UPDATE revocation SET not_after = ?2 WHERE certificate = ?1",
        values![id.0, intent.validity.not_after.unix()],
    )?;
    log.append(backend, audit)
}

fn insert_revocation(
    backend: &mut dyn Backend,
    id: RecordId,
    revocation: Revocation,
) -> Result<(), StoreError> {
    backend.execute(
        "INSERT INTO revocation (certificate, authority, serial, not_after, revoked_at, reason, shard)
         SELECT id, authority, serial, not_after, CAST(?2 AS BIGINT), CAST(?3 AS TEXT), shard
         FROM certificate WHERE id = ?1",
        values![id.0, revocation.at.unix(), revocation.reason.as_str()],
    )?;
    Ok(())
}

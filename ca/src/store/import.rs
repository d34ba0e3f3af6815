//! Taking in what another program issued.

use super::{AuditEvent, AuthorityId, AuthorityRecord, CrlRecord, Intent, RecordId, Revocation, StoreError};

/// What is written of one certificate that is taken in.
#[derive(Debug, Clone)]
pub struct ImportedCertificate {
    /// What it is.
    pub intent: Intent,
    /// The certificate, DER; without it, it is known by its serial number alone.
    pub certificate: Option<Vec<u8>>,
    /// That it is revoked.
    pub revocation: Option<Revocation>,
    /// What is written into the audit log about it.
    pub audit: AuditEvent,
}

/// One change of an import.
#[derive(Debug, Clone)]
pub enum ImportStep {
    /// A certificate that the inventory does not know.
    Add(Box<ImportedCertificate>),
    /// A certificate that it knows by its serial number alone.
    Complete(RecordId, Box<ImportedCertificate>),
    /// A certificate that it knows, and that was revoked since; one that is revoked keeps its date (CA G5).
    Revoke(RecordId, Revocation, AuditEvent),
}

/// An authority that another program made.
#[derive(Debug, Clone)]
pub struct AdoptedAuthority {
    /// The authority.
    pub authority: AuthorityRecord,
    /// Its own certificate's row.
    pub intent: Intent,
    /// That row, where its issuer's import made it already.
    pub known_as: Option<RecordId>,
    /// Whether its key is elsewhere.
    pub is_foreign: bool,
    /// The last list that was published elsewhere: the next has a higher number (CA G2).
    pub last_list: Option<CrlRecord>,
    /// What is written into the audit log about it.
    pub audit: AuditEvent,
}

/// The part of the inventory that imports write. Every method is one durable transaction.
pub trait Imports {
    /// Makes these changes, all or none.
    fn import_all(&mut self, steps: &[ImportStep]) -> Result<(), StoreError>;

    /// Adds an authority that another program made.
    fn adopt(&mut self, adopted: &AdoptedAuthority) -> Result<(), StoreError>;

    /// Whether an authority's key is elsewhere, so that it signs nothing here.
    fn is_foreign(&self, name: &str) -> Result<bool, StoreError>;

    /// Its key is here from now on.
    fn key_arrived(&mut self, name: &str, audit: &AuditEvent) -> Result<(), StoreError>;

    /// The next list has a higher number than this one, which was published elsewhere.
    fn note_list(&mut self, list: &CrlRecord, audit: &AuditEvent) -> Result<(), StoreError>;

    /// Gives an authority another certificate of the same name and key.
    fn renew_authority(
        &mut self,
        id: AuthorityId,
        intent: &Intent,
        certificate: &[u8],
        audit: &AuditEvent,
    ) -> Result<(), StoreError>;

    /// The row of a certificate, by its authority and serial number.
    fn by_serial(
        &self,
        authority: AuthorityId,
        serial: &[u8],
    ) -> Result<Option<super::CertificateRecord>, StoreError>;
}

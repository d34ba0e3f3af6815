//! Taking in what another program issued: authorities, with their keys or without, and certificates with what became of them.

mod adopt;
mod certificates;

pub use adopt::{Adopted, Adoption, Arrival, LastList};
pub(crate) use certificates::check;
pub use certificates::{CertificateImport, ImportContent, ImportOutcome};

use certs::Certificate;

use super::Authority;

/// The folder of certificates that were imported, below the store's.
pub(super) const IMPORTED: &str = "imported";

/// Whether this key signed the certificate.
pub(crate) fn is_signed_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    certificate
        .signature_algorithm()
        .verify(issuer.public_key(), certificate.tbs(), certificate.signature())
        .is_ok()
}

impl Authority {
    /// The authority of the store that issued this certificate: by its name, and by its signature.
    pub(crate) fn issuer_of(&self, certificate: &Certificate) -> IssuerFound<'_> {
        let mut found = IssuerFound::Unknown;
        for issuer in self.issuers.iter().map(super::Issuer::certificate) {
            if issuer.subject().equals(certificate.issuer()) {
                if is_signed_by(certificate, issuer) {
                    return IssuerFound::Proved(issuer);
                }
                found = IssuerFound::Named;
            }
        }
        found
    }
}

/// Who issued a certificate.
#[derive(Debug)]
pub(crate) enum IssuerFound<'a> {
    /// It names one that did not sign it.
    Named,
    /// This one did.
    Proved(&'a Certificate),
    /// None of the store's.
    Unknown,
}

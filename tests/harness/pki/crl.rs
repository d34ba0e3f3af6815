//! Revocation lists, each as a test wants it.

use super::{Authority, Digest, Extension};
use crate::der;

/// A revocation list to be.
#[derive(Debug)]
pub struct Crl<'a> {
    pub(super) issuer: &'a Authority,
    /// Serial numbers.
    pub revoked: Vec<Vec<u8>>,
    /// When it was made.
    pub this_update: i64,
    /// When the next is due.
    pub next_update: Option<i64>,
    /// Beyond the number.
    pub extensions: Vec<Extension>,
}

impl Crl<'_> {
    /// The list in DER.
    pub fn der(&self) -> Vec<u8> {
        let algorithm = self.issuer.key.algorithm(Digest::Usual);
        let mut parts = vec![
            der::small_integer(1),
            algorithm.clone(),
            self.issuer.name.der(),
            der::time(self.this_update),
        ];
        parts.extend(self.next_update.map(der::time));
        if !self.revoked.is_empty() {
            let entry =
                |serial: &Vec<u8>| der::sequence(&[der::integer(serial), der::time(self.this_update)]);
            parts.push(der::sequence(&self.revoked.iter().map(entry).collect::<Vec<_>>()));
        }
        let number = Extension::new("2.5.29.20", false, der::small_integer(1));
        let extensions: Vec<_> =
            std::iter::once(&number).chain(&self.extensions).map(Extension::der).collect();
        parts.push(der::explicit(0, &der::sequence(&extensions)));
        let tbs = der::sequence(&parts);
        let signature = self.issuer.key.sign(&tbs, Digest::Usual);
        der::sequence(&[tbs, algorithm, der::bits(&signature)])
    }

    /// The list in PEM.
    pub fn pem(&self) -> String {
        der::pem("X509 CRL", &self.der())
    }
}

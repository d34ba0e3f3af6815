//! CRLs made to order.

use super::certificate::Authority;
use super::encode;
use super::key::TestKey;
use crate::certificate::Certificate;
use crate::crl::RevocationList;
use crate::der::{encode as der, tag};
use crate::oid::{self, Oid};
use crate::pem;
use crate::serial::Serial;
use crate::validity::Timestamp;

/// What a CRL shall hold.
#[derive(Debug, Clone)]
pub struct CrlBuilder {
    issuer: Authority,
    signer: std::sync::Arc<TestKey>,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    entries: Vec<Vec<u8>>,
    extensions: Vec<(Oid, bool, Vec<u8>)>,
    version_1: bool,
}

impl CrlBuilder {
    pub(super) fn new(issuer: Authority) -> Self {
        let identifier = encode::sequence(&[&der(tag::context(0), &issuer.key_identifier())]);
        Self {
            signer: issuer.key().clone(),
            issuer,
            this_update: super::Pki::NOW.plus_seconds(-3600),
            next_update: Some(super::Pki::NOW.plus_seconds(86_400)),
            entries: Vec::new(),
            extensions: vec![
                (oid::AUTHORITY_KEY_IDENTIFIER, false, identifier),
                (oid::CRL_NUMBER, false, encode::integer(1)),
            ],
            version_1: false,
        }
    }

    /// Adds a certificate, revoked an hour before [`Pki::NOW`](super::Pki::NOW) for no stated reason.
    #[must_use]
    pub fn revoke(self, certificate: &Certificate) -> Self {
        self.revoke_serial(certificate.serial())
    }

    /// Adds a serial number.
    #[must_use]
    pub fn revoke_serial(self, serial: &Serial) -> Self {
        self.entry(serial, &[])
    }

    /// Adds a certificate with a reason code (RFC 5280 §5.3.1), such as 1 for keyCompromise.
    #[must_use]
    pub fn revoke_because(self, certificate: &Certificate, reason: u8) -> Self {
        let value = der(tag::ENUMERATED, &[reason]);
        self.entry(certificate.serial(), &[(oid::REASON_CODE, false, value)])
    }

    /// Adds an entry with any extensions.
    #[must_use]
    pub fn entry(mut self, serial: &Serial, extensions: &[(Oid, bool, Vec<u8>)]) -> Self {
        let list: Vec<u8> = extensions
            .iter()
            .flat_map(|(oid, critical, value)| encode::extension(oid, *critical, value))
            .collect();
        let list = if extensions.is_empty() { Vec::new() } else { encode::sequence(&[&list]) };
        let date = encode::time(self.this_update);
        self.entries.push(encode::sequence(&[&der(tag::INTEGER, serial.as_bytes()), &date, &list]));
        self
    }

    /// The CRL number.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.extension(oid::CRL_NUMBER, false, &encode::integer(number))
    }

    /// When it was issued.
    #[must_use]
    pub fn this_update(mut self, time: Timestamp) -> Self {
        self.this_update = time;
        self
    }

    /// When the next one comes; `None` leaves it out.
    #[must_use]
    pub fn next_update(mut self, time: Option<Timestamp>) -> Self {
        self.next_update = time;
        self
    }

    /// Expired one second before [`Pki::NOW`](super::Pki::NOW).
    #[must_use]
    pub fn expired(self) -> Self {
        self.next_update(Some(super::Pki::NOW.plus_seconds(-1)))
    }

    /// Any extension, as DER; replaces one of the same kind.
    #[must_use]
    pub fn extension(mut self, oid: Oid, critical: bool, value: &[u8]) -> Self {
        self.extensions.retain(|(other, _, _)| *other != oid);
        self.extensions.push((oid, critical, value.to_vec()));
        self
    }

    /// Only for certificates whose distribution point has this URI.
    #[must_use]
    pub fn for_distribution_point(self, uri: &str) -> Self {
        self.issuing_distribution_point(&point_name(uri))
    }

    /// A critical issuingDistributionPoint with these fields, as DER.
    #[must_use]
    pub fn issuing_distribution_point(self, fields: &[u8]) -> Self {
        self.extension(oid::ISSUING_DISTRIBUTION_POINT, true, &encode::sequence(&[fields]))
    }

    /// Signs with another key than the issuer's, and names it.
    #[must_use]
    pub fn signed_by(mut self, other: &Authority) -> Self {
        self.signer = other.key().clone();
        self.key_identifier_of(other)
    }

    /// Names this authority's key as the one that signed.
    #[must_use]
    pub fn key_identifier_of(self, other: &Authority) -> Self {
        let identifier = encode::sequence(&[&der(tag::context(0), &other.key_identifier())]);
        self.extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &identifier)
    }

    /// A version 1 list, without any extension.
    #[must_use]
    pub fn version_1(mut self) -> Self {
        self.version_1 = true;
        self
    }

    /// Makes the list.
    ///
    /// # Panics
    /// When it is not one that [`RevocationList::parse`] accepts.
    pub fn build(&self) -> RevocationList {
        RevocationList::parse(&self.to_der()).expect("the builder makes lists that parse")
    }

    /// The list's DER.
    ///
    /// # Panics
    /// Never: a key signs with its own algorithm.
    pub fn to_der(&self) -> Vec<u8> {
        let algorithm = self.signer.default_algorithm();
        let identifier = encode::signature_algorithm(algorithm);
        let version = if self.version_1 { Vec::new() } else { encode::integer(1) };
        let next_update = self.next_update.map(encode::time).unwrap_or_default();
        let entries =
            if self.entries.is_empty() { Vec::new() } else { encode::sequence(&[&self.entries.concat()]) };
        let extensions = if self.version_1 { Vec::new() } else { encode::extensions(0, &self.extensions) };
        let tbs = encode::sequence(&[
            &version,
            &identifier,
            self.issuer.certificate().subject().der(),
            &encode::time(self.this_update),
            &next_update,
            &entries,
            &extensions,
        ]);
        let signature = self.signer.sign(algorithm, &tbs);
        encode::sequence(&[&tbs, &identifier, &encode::bit_string(&signature)])
    }

    /// The list in an `X509 CRL` block.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::X509_CRL, &self.to_der())
    }
}

/// A DistributionPointName with one URI, inside its `[0]`.
pub(super) fn point_name(uri: &str) -> Vec<u8> {
    let full = der(tag::context_constructed(0), &der(tag::context(6), uri.as_bytes()));
    der(tag::context_constructed(0), &full)
}

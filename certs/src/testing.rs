//! Real certificates, keys and CRLs for tests, each with at most the one thing wrong that the test asks for.
//!
//! Everything is made at run time; keys are made once per process and label, so tests stay fast. Every refusal in a
//! test should have its accepted twin: start from the same builder and leave the one change out.
//!
//! ```
//! use certs::testing::{KeyKind, Pki};
//! use certs::{ChainError, oid};
//!
//! let pki = Pki::new();
//! // A phone as Cisco's small-business range presents itself, signed by the root.
//! let device = pki.device().issue();
//! // The same below an intermediate, with another key, another MAC, and a BMPString.
//! let other = pki.intermediate().leaf().key(KeyKind::Rsa2048).bmp_attribute(oid::SURNAME, "000e08aaaaaa").issue();
//! assert!(pki.verifier().verify(&other.presented(), Pki::NOW).is_ok());
//! // One thing wrong.
//! let late = pki.device().not_after(Pki::NOW.plus_seconds(-1)).issue();
//! let refused = pki.verifier().verify(&late.presented(), Pki::NOW).unwrap_err();
//! assert!(matches!(refused, ChainError::Expired { depth: 0, .. }));
//! // What servers and clients load from files.
//! assert!(device.chain_pem().starts_with("-----BEGIN CERTIFICATE-----"));
//! assert!(device.key_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
//! ```

mod certificate;
mod encode;
mod key;
mod request;
mod revocation;

pub use certificate::{Authority, CertificateBuilder, Issued};
pub use key::{KeyKind, TestKey};
pub use request::RequestBuilder;
pub use revocation::CrlBuilder;

use crate::chain::{ChainVerifier, PresentedChain, VerifiedChain};
use crate::oid;
use crate::trust_store::{TrustAnchor, TrustEntry};
use crate::validity::Timestamp;

/// A root, one intermediate below it, and builders for everything else.
#[derive(Debug, Clone)]
pub struct Pki {
    root: Authority,
    intermediate: Authority,
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

impl Pki {
    /// The time that the certificates are made for: 2026-11-23 00:00:00 UTC.
    pub const NOW: Timestamp = Timestamp::from_unix(1_795_392_000);

    /// Authorities with P-256 keys, named after `Test`.
    pub fn new() -> Self {
        Self::named("Test")
    }

    /// Authorities with P-256 keys and other names and keys than those of another name: a foreign PKI.
    pub fn named(name: &str) -> Self {
        Self::with_key(name, KeyKind::P256)
    }

    /// Authorities with keys of this kind.
    pub fn with_key(name: &str, kind: KeyKind) -> Self {
        let root = Authority::root(&format!("{name} Client Root")).key(kind).authority();
        let intermediate = root.intermediate(&format!("{name} Issuing CA")).key(kind).authority();
        Self { root, intermediate }
    }

    /// The self-signed root.
    pub fn root(&self) -> &Authority {
        &self.root
    }

    /// The intermediate below the root.
    pub fn intermediate(&self) -> &Authority {
        &self.intermediate
    }

    /// A leaf without subject, signed by the root.
    pub fn leaf(&self) -> CertificateBuilder {
        self.root.leaf()
    }

    /// `OU=CP-8841-3PCC, L=88012BA01234, SN=000e08abcdef`, signed by the root as the guide's figure has it.
    pub fn device(&self) -> CertificateBuilder {
        self.device_with("CP-8841-3PCC", "88012BA01234", "000e08abcdef")
    }

    /// A device with this product, serial number and MAC, signed by the root.
    pub fn device_with(&self, product: &str, serial: &str, mac: &str) -> CertificateBuilder {
        self.leaf()
            .attribute(oid::ORGANIZATIONAL_UNIT, product)
            .attribute(oid::LOCALITY, serial)
            .attribute(oid::SURNAME, mac)
    }

    /// A server certificate for a DNS name, signed by the root.
    pub fn server(&self, name: &str) -> CertificateBuilder {
        self.leaf().attribute(oid::COMMON_NAME, name).dns_names(&[name]).purposes(&[oid::SERVER_AUTH])
    }

    /// The root as an anchor.
    pub fn anchor(&self) -> TrustAnchor {
        TrustAnchor::new(self.root.certificate().clone())
    }

    /// A strict trust entry named `devices` for the root, to be changed at will.
    pub fn trust_entry(&self) -> TrustEntry {
        TrustEntry::new("devices", [self.anchor()])
    }

    /// A strict verifier for the root.
    ///
    /// # Panics
    /// Never: one entry cannot contradict itself.
    pub fn verifier(&self) -> ChainVerifier {
        ChainVerifier::new(vec![self.trust_entry()]).expect("one entry cannot contradict itself")
    }

    /// What a strict verifier makes of this chain now.
    ///
    /// # Panics
    /// When the chain is refused.
    pub fn verified(&self, issued: &Issued) -> VerifiedChain {
        self.verifier().verify(&issued.presented(), Self::NOW).expect("the chain should be accepted")
    }
}

/// A presented chain of these certificates.
///
/// # Panics
/// When they are beyond the limits of a chain.
pub fn presented<'a>(certificates: impl IntoIterator<Item = &'a crate::Certificate>) -> PresentedChain {
    PresentedChain::parse(certificates.into_iter().map(crate::Certificate::der))
        .expect("certificates that were parsed")
}

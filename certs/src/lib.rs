//! What a certificate is: X.509 facts, and the validation of certification paths.
//!
//! Facts are read once, strictly, from bytes that may be hostile; nothing panics. [`Certificate`],
//! [`CertificationRequest`] and [`RevocationList`] keep their DER. A [`PresentedChain`] is what a peer sent; only a
//! [`ChainVerifier`] makes a [`VerifiedChain`] of it. What is acceptable for which purpose is not decided here but in
//! the `policies` crate, whose choices arrive as plain values: [`TrustEntry`] and [`Tolerances`].
//!
//! DER is read by a reader of our own, not by x509-parser: a chain is judged by DER alone with every octet accounted
//! for, names are kept as they came and folded once for comparison, and what a hostile peer can make a reader do is
//! bounded. x509-parser, rustls-webpki and OpenSSL are second opinions in the tests.
//!
//! There is no I/O, clock or environment in this crate: bytes and times are arguments.
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use certs::testing::Pki;
//!
//! let pki = Pki::new();
//! let device = pki.device().issue();
//! let chain = pki.verifier().verify(&device.presented(), Pki::NOW)?;
//! assert_eq!(chain.leaf().subject().to_string(), "SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC");
//! # }
//! # Ok::<(), certs::ChainError>(())
//! ```

mod certificate;
mod chain;
mod crl;
mod der;
mod envelope;
mod error;
mod extension;
mod fingerprint;
mod general_name;
mod hex;
mod key;
mod name;
pub mod oid;
pub mod pem;
mod request;
mod serial;
mod signature;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trust_store;
mod validity;

pub use certificate::{Certificate, Version};
pub use chain::{ChainError, ChainVerifier, PresentedChain, UnknownRevocation, VerifiedChain, VerifierError};
pub use crl::{CrlNumber, RevocationList, RevocationReason, Revoked, Unusable};
pub use der::{DerError, DerProblem};
pub use error::ParseError;
pub use extension::{
    AuthorityKeyIdentifier, BasicConstraints, DistributionPoint, DistributionPointName, ExtendedKeyUsage,
    Extension, KeyUsage,
};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use general_name::{GeneralName, SubjectAltNames};
pub use key::{Curve, KeyAlgorithm, PublicKey};
pub use name::{Attribute, DistinguishedName, ValueError};
pub use oid::Oid;
pub use request::CertificationRequest;
pub use serial::Serial;
pub use signature::{Hash, SignatureAlgorithm, SignatureError};
pub use trust_store::{
    Exception, OnExpired, OnUnknown, Purpose, Revocation, Tolerances, TrustAnchor, TrustEntry,
};
pub use validity::{Timestamp, Validity};

//! Why a presented chain is refused.

use crate::certificate::Version;
use crate::crl::RevocationReason;
use crate::error::ParseError;
use crate::extension::KeyUsage;
use crate::key::KeyAlgorithm;
use crate::oid::Oid;
use crate::signature::SignatureAlgorithm;
use crate::trust_store::Purpose;
use crate::validity::Timestamp;

/// Why a chain is refused. `depth` counts certificates from the leaf, which is 0; in [`Malformed`](Self::Malformed)
/// and [`KeyTooLarge`](Self::KeyTooLarge) as presented, elsewhere along the path that came closest to an anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The issuer's key did not sign the certificate.
    #[error("the signature of certificate {depth} does not verify with its issuer's key")]
    BadSignature {
        /// Which certificate.
        depth: usize,
    },
    /// Only lists that expired cover the certificate (RFC 5280 §5.1.2.5).
    #[error("the CRL for certificate {depth} expired {next_update}")]
    CrlExpired {
        /// Which certificate.
        depth: usize,
        /// When the next list was due.
        next_update: Timestamp,
    },
    /// No certificate at all.
    #[error("no certificate was presented")]
    Empty,
    /// The validity period is over (RFC 5280 §4.1.2.5).
    #[error("certificate {depth} expired {not_after}")]
    Expired {
        /// Which certificate.
        depth: usize,
        /// Its last valid second.
        not_after: Timestamp,
    },
    /// The extKeyUsage does not allow the purpose, or is missing where it is required (RFC 5280 §4.2.1.12).
    #[error("certificate {depth} is not for {needed}{}", if *.present { "" } else { ": it has no extKeyUsage" })]
    ExtendedKeyUsage {
        /// Which certificate.
        depth: usize,
        /// What it is needed for.
        needed: Purpose,
        /// Whether it has the extension.
        present: bool,
    },
    /// The chain was verified by another verifier and must be verified again.
    #[error("the chain was verified under other trust settings")]
    ForeignChain,
    /// The policies of the path are not acceptable (RFC 5280 §6.1.3 f).
    #[error("certificate {depth} ends every acceptable certificate policy")]
    InvalidPolicy {
        /// Which certificate.
        depth: usize,
    },
    /// A key that takes too long to use.
    #[error("certificate {depth} has an RSA key of {bits} bits, more than the {limit} allowed")]
    KeyTooLarge {
        /// Which certificate.
        depth: usize,
        /// The length of its modulus.
        bits: u32,
        /// The longest allowed.
        limit: u32,
    },
    /// The keyUsage does not allow what the certificate is used for (RFC 5280 §4.2.1.3).
    #[error("the key of certificate {depth} may not be used for {needed}")]
    KeyUsage {
        /// Which certificate.
        depth: usize,
        /// What it is needed for.
        needed: KeyUsage,
    },
    /// The leaf is a certificate authority (SEC-24).
    #[error("the presented certificate is a certificate authority's")]
    LeafIsAuthority,
    /// A presented certificate cannot be read.
    #[error("certificate {depth} cannot be read")]
    Malformed {
        /// Which certificate, as presented.
        depth: usize,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// A name lies outside what an issuer may name (RFC 5280 §4.2.1.10).
    #[error("certificate {depth} holds the name {name}, which certificate {issuer} may not give")]
    NameConstraints {
        /// Which certificate holds the name.
        depth: usize,
        /// Which certificate has the constraint.
        issuer: usize,
        /// The name.
        name: String,
    },
    /// An issuer is no certificate authority (RFC 5280 §4.2.1.9).
    #[error("certificate {depth} issued another but is not a certificate authority's")]
    NotACertificateAuthority {
        /// Which certificate.
        depth: usize,
    },
    /// The certificate breaks a rule of RFC 5280 on what certificates may hold.
    #[error("certificate {depth} breaks RFC 5280: {rule}")]
    NotConforming {
        /// Which certificate.
        depth: usize,
        /// The rule.
        rule: &'static str,
    },
    /// The validity period has not begun (RFC 5280 §4.1.2.5).
    #[error("certificate {depth} is not valid before {not_before}")]
    NotYetValid {
        /// Which certificate.
        depth: usize,
        /// Its first valid second.
        not_before: Timestamp,
    },
    /// More intermediates than an issuer allows below it (RFC 5280 §4.2.1.9).
    #[error("certificate {depth} allows {limit} intermediates below it, and there are more")]
    PathLength {
        /// Which certificate has the limit.
        depth: usize,
        /// The limit.
        limit: u32,
    },
    /// No usable list covers the certificate.
    #[error("the revocation of certificate {depth} cannot be judged: {cause}")]
    RevocationUnknown {
        /// Which certificate.
        depth: usize,
        /// What is wrong with the lists at hand.
        cause: UnknownRevocation,
    },
    /// A list names the certificate.
    #[error("certificate {depth} was revoked {date}{}", .reason.map_or_else(String::new, |reason| format!(": {reason}")))]
    Revoked {
        /// Which certificate.
        depth: usize,
        /// Since when.
        date: Timestamp,
        /// Why, when the list says.
        reason: Option<RevocationReason>,
    },
    /// The search for a path was given up (SEC-54).
    #[error("no valid path was found within {steps} steps")]
    SearchExhausted {
        /// How many steps were tried.
        steps: u32,
    },
    /// More bytes than any honest chain has (SEC-54).
    #[error("a chain of {size} bytes or more, and {limit} are allowed")]
    TooLarge {
        /// Bytes of the certificates that were looked at.
        size: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// More certificates than any honest chain has (SEC-54).
    #[error("more than {limit} certificates were presented")]
    TooManyCertificates {
        /// Most certificates allowed.
        limit: usize,
    },
    /// More intermediates than the verifier was told to accept.
    #[error("the path needs more than {limit} intermediates")]
    TooManyIntermediates {
        /// Most intermediates allowed.
        limit: usize,
    },
    /// A critical extension that the product does not process (RFC 5280 §4.2).
    #[error("certificate {depth} has the unknown critical extension {oid}")]
    UnknownCriticalExtension {
        /// Which certificate.
        depth: usize,
        /// The extension.
        oid: Oid,
    },
    /// No certificate at hand issued this one.
    #[error("the issuer of certificate {depth} is not known: {issuer}")]
    UnknownIssuer {
        /// Which certificate.
        depth: usize,
        /// Its issuer's name.
        issuer: String,
    },
    /// A signature algorithm, or a combination of key and algorithm, that the product does not verify.
    #[error("certificate {depth} is signed with {signature} by a key of {key}, which is not supported")]
    UnsupportedAlgorithm {
        /// Which certificate.
        depth: usize,
        /// How it is signed.
        signature: SignatureAlgorithm,
        /// Its issuer's key.
        key: KeyAlgorithm,
    },
    /// A version 1 or 2 certificate where none is accepted.
    #[error("certificate {depth} is of version {}", .version.number())]
    UnsupportedVersion {
        /// Which certificate.
        depth: usize,
        /// Its version.
        version: Version,
    },
    /// A key that is too short.
    #[error("certificate {depth} has the weak key {key}")]
    WeakKey {
        /// Which certificate.
        depth: usize,
        /// Its key.
        key: KeyAlgorithm,
    },
    /// A signature with a broken hash.
    #[error("certificate {depth} has a weak signature: {signature}")]
    WeakSignature {
        /// Which certificate.
        depth: usize,
        /// How it is signed.
        signature: SignatureAlgorithm,
    },
}

/// Why no list says whether a certificate is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnknownRevocation {
    /// A list of its issuer is not signed by its issuer's key.
    #[error("the CRL is not signed by the issuer")]
    BadSignature,
    /// No list of its issuer covers it.
    #[error("no CRL covers it")]
    NoList,
    /// The list's time has not begun.
    #[error("the CRL is not valid yet")]
    NotYetValid,
    /// A list of its issuer cannot be relied on.
    #[error("{0}")]
    Unusable(#[from] crate::crl::Unusable),
}

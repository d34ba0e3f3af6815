//! Whom a verifier trusts, and how far.

use std::sync::Arc;

use crate::certificate::Certificate;
use crate::crl::RevocationList;
use crate::key::PublicKey;
use crate::name::DistinguishedName;
use crate::validity::Timestamp;

/// A certificate that is trusted because the operator says so. It may be of version 1, and its own signature
/// and dates are not looked at (RFC 5280 §6.1.1 d).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchor(Certificate);

impl TrustAnchor {
    /// Trusts this certificate's subject and key.
    pub fn new(certificate: Certificate) -> Self {
        Self(certificate)
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.0
    }

    /// Its subject.
    pub fn subject(&self) -> &DistinguishedName {
        self.0.subject()
    }

    /// Its key.
    pub fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }
}

impl From<Certificate> for TrustAnchor {
    fn from(certificate: Certificate) -> Self {
        Self::new(certificate)
    }
}

/// Anchors that are trusted in the same way.
#[derive(Debug, Clone)]
pub struct TrustEntry {
    /// What messages call it.
    pub name: String,
    /// Where paths may end.
    pub anchors: Vec<TrustAnchor>,
    /// Certificates that help to build paths when peers leave them out. They are not trusted.
    pub intermediates: Vec<Certificate>,
    /// What is let pass that strict rules refuse.
    pub tolerances: Tolerances,
    /// Whether and how revocation is checked.
    pub revocation: Revocation,
    /// What the leaf must be good for.
    pub purpose: Purpose,
    /// Whether a leaf without extKeyUsage is refused.
    pub require_eku: bool,
}

impl TrustEntry {
    /// These anchors for TLS clients, strictly, without revocation.
    pub fn new(name: impl Into<String>, anchors: impl IntoIterator<Item = TrustAnchor>) -> Self {
        Self {
            name: name.into(),
            anchors: anchors.into_iter().collect(),
            intermediates: Vec::new(),
            tolerances: Tolerances::default(),
            revocation: Revocation::NotChecked,
            purpose: Purpose::ClientAuth,
            require_eku: false,
        }
    }
}

/// What is let pass that strict rules refuse, because real phones still present it. Nothing by default (SEC-56).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tolerances {
    /// Signatures with SHA-1.
    pub sha1: bool,
    /// RSA signatures with MD5.
    pub md5: bool,
    /// RSA keys from 1024 to 2047 bits.
    pub rsa_1024: bool,
    /// A leaf of version 1, signed by the anchor itself.
    pub x509_v1: bool,
    /// Seconds for which certificates are accepted after they expired. An anchor's own dates are not looked at.
    pub expired: Option<u32>,
    /// The last moment at which any of this holds; without it, it holds for ever.
    pub until: Option<Timestamp>,
}

impl Tolerances {
    /// What is tolerated at this time: nothing once `until` is over, whatever grace a certificate would still have.
    #[must_use]
    pub fn in_force(self, now: Timestamp) -> Self {
        match self.until {
            Some(until) if now > until => Self { until: Some(until), ..Self::default() },
            Some(_) | None => self,
        }
    }
}

/// A tolerance that a path needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exception {
    /// A certificate expired within the grace period.
    Expired,
    /// A signature with MD5.
    Md5,
    /// An RSA key of less than 2048 bits.
    Rsa1024,
    /// A signature with SHA-1.
    Sha1,
    /// A leaf of version 1.
    X509V1,
}

impl Exception {
    /// As the configuration and audit records spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Md5 => "md5",
            Self::Rsa1024 => "rsa-1024",
            Self::Sha1 => "sha1",
            Self::X509V1 => "x509-v1",
        }
    }
}

impl std::fmt::Display for Exception {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a leaf must be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Anything: the extKeyUsage and the kind of leaf are not looked at.
    Any,
    /// A TLS client: a device.
    ClientAuth,
    /// A TLS server.
    ServerAuth,
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Any => "any purpose",
            Self::ClientAuth => "clientAuth",
            Self::ServerAuth => "serverAuth",
        })
    }
}

/// Whether and how revocation is checked.
#[derive(Debug, Clone)]
pub enum Revocation {
    /// Every certificate below the anchor needs a list that covers it.
    Checked {
        /// The lists of all issuers.
        lists: Vec<Arc<RevocationList>>,
        /// What becomes of a certificate that no usable list covers.
        unknown: OnUnknown,
        /// What becomes of a certificate that only expired lists cover.
        expired: OnExpired,
    },
    /// Revoked certificates are accepted.
    NotChecked,
}

/// What becomes of a certificate that no usable list covers (SEC-46).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// It is accepted.
    Allow,
    /// It is refused.
    #[default]
    Deny,
}

/// What becomes of a certificate that only expired lists cover (SEC-47).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnExpired {
    /// It is accepted unless one of them lists it.
    Allow,
    /// It is refused.
    #[default]
    Deny,
}

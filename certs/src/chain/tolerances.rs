//! Which keys and signatures are strong enough, and what a trust entry lets pass all the same.

use super::ChainError;
use crate::certificate::{Certificate, Version};
use crate::key::KeyAlgorithm;
use crate::signature::{Hash, SignatureAlgorithm};
use crate::trust_store::{Exception, Tolerances};
use crate::validity::Timestamp;

/// Keys below this are refused whatever is tolerated.
pub(super) const MIN_RSA_BITS: u32 = 1024;
const STRONG_RSA_BITS: u32 = 2048;

/// The tolerances that a path needed, each once, in order.
#[derive(Debug, Default)]
pub(super) struct Exceptions(Vec<Exception>);

impl Exceptions {
    fn note(&mut self, exception: Exception) {
        if !self.0.contains(&exception) {
            self.0.push(exception);
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<Exception> {
        self.0.sort_unstable();
        self.0
    }
}

impl Tolerances {
    /// Checks the key of a certificate.
    pub(super) fn check_key(
        &self,
        certificate: &Certificate,
        depth: usize,
        exceptions: &mut Exceptions,
    ) -> Result<(), ChainError> {
        let key = certificate.public_key().algorithm();
        match key {
            KeyAlgorithm::Rsa { bits } if bits >= STRONG_RSA_BITS => Ok(()),
            KeyAlgorithm::Rsa { bits } if bits >= MIN_RSA_BITS && self.rsa_1024 => {
                exceptions.note(Exception::Rsa1024);
                Ok(())
            }
            KeyAlgorithm::Rsa { .. } => Err(ChainError::WeakKey { depth, key }),
            KeyAlgorithm::Ec { .. } | KeyAlgorithm::Ed25519 => Ok(()),
            KeyAlgorithm::Other { .. } => Err(ChainError::UnsupportedAlgorithm {
                depth,
                signature: certificate.signature_algorithm(),
                key,
            }),
        }
    }

    /// Checks the hash with which a certificate is signed.
    pub(super) fn check_signature(
        &self,
        certificate: &Certificate,
        depth: usize,
        exceptions: &mut Exceptions,
    ) -> Result<(), ChainError> {
        let signature = certificate.signature_algorithm();
        match self.weakness(signature) {
            Weakness::None => Ok(()),
            Weakness::Tolerated(exception) => {
                exceptions.note(exception);
                Ok(())
            }
            Weakness::Refused => Err(ChainError::WeakSignature { depth, signature }),
        }
    }

    /// Whether a list signed in this way may be relied on.
    pub(super) fn accepts(&self, signature: SignatureAlgorithm) -> bool {
        !matches!(self.weakness(signature), Weakness::Refused)
    }

    fn weakness(&self, signature: SignatureAlgorithm) -> Weakness {
        match signature.hash() {
            Some(Hash::Md5) if self.md5 => Weakness::Tolerated(Exception::Md5),
            Some(Hash::Sha1) if self.sha1 => Weakness::Tolerated(Exception::Sha1),
            Some(Hash::Md5 | Hash::Sha1) => Weakness::Refused,
            Some(Hash::Sha256 | Hash::Sha384 | Hash::Sha512) | None => Weakness::None,
        }
    }

    /// Checks the validity period; both ends belong to it.
    pub(super) fn check_validity(
        &self,
        certificate: &Certificate,
        depth: usize,
        now: Timestamp,
        exceptions: &mut Exceptions,
    ) -> Result<(), ChainError> {
        let validity = certificate.validity();
        if now < validity.not_before {
            return Err(ChainError::NotYetValid { depth, not_before: validity.not_before });
        }
        if now <= validity.not_after {
            return Ok(());
        }
        let grace = i64::from(self.expired.unwrap_or(0));
        if self.expired.is_some() && now <= validity.not_after.plus_seconds(grace) {
            exceptions.note(Exception::Expired);
            Ok(())
        } else {
            Err(ChainError::Expired { depth, not_after: validity.not_after })
        }
    }

    /// Checks the version of a certificate below the anchor. `directly_issued`: a leaf signed by the anchor itself.
    pub(super) fn check_version(
        &self,
        certificate: &Certificate,
        depth: usize,
        directly_issued: bool,
        exceptions: &mut Exceptions,
    ) -> Result<(), ChainError> {
        match certificate.version() {
            Version::V3 => Ok(()),
            Version::V1 if directly_issued && self.x509_v1 => {
                exceptions.note(Exception::X509V1);
                Ok(())
            }
            version @ (Version::V1 | Version::V2) => Err(ChainError::UnsupportedVersion { depth, version }),
        }
    }
}

enum Weakness {
    None,
    Refused,
    Tolerated(Exception),
}

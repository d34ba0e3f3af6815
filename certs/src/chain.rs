//! Certification paths: what a peer presents, and what a verifier made of it (RFC 5280 §6).

mod constraints;
mod error;
mod leaves;
mod links;
pub(crate) mod names;
mod path;
pub(crate) mod policies;
mod revocation;
mod tolerances;
mod verifier;
mod work;

use std::sync::Arc;

pub use error::{ChainError, UnknownRevocation};
pub use verifier::{ChainVerifier, VerifierError};

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::key::KeyAlgorithm;
use crate::trust_store::Exception;

/// The certificates a peer presented, leaf first, within the limits of SEC-54. Nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedChain(Arc<[Certificate]>);

impl PresentedChain {
    /// Most certificates.
    pub const MAX_CERTIFICATES: usize = 10;
    /// Most bytes of all certificates together.
    pub const MAX_SIZE: usize = 64 * 1024;
    /// Longest RSA modulus, in bits.
    pub const MAX_RSA_BITS: u32 = 8192;

    /// Reads DER encoded certificates, leaf first.
    ///
    /// # Errors
    /// [`ChainError::Empty`], [`ChainError::TooManyCertificates`], [`ChainError::TooLarge`],
    /// [`ChainError::Malformed`] or [`ChainError::KeyTooLarge`].
    pub fn parse(certificates: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Self, ChainError> {
        let mut parsed = Vec::with_capacity(3);
        let mut size = 0_usize;
        for (depth, der) in certificates.into_iter().enumerate() {
            let der = der.as_ref();
            if depth == Self::MAX_CERTIFICATES {
                return Err(ChainError::TooManyCertificates { limit: Self::MAX_CERTIFICATES });
            }
            size = size.saturating_add(der.len());
            if size > Self::MAX_SIZE {
                return Err(ChainError::TooLarge { size, limit: Self::MAX_SIZE });
            }
            let certificate =
                Certificate::parse(der).map_err(|source| ChainError::Malformed { depth, source })?;
            check_key_size(&certificate, depth)?;
            parsed.push(certificate);
        }
        if parsed.is_empty() { Err(ChainError::Empty) } else { Ok(Self(parsed.into())) }
    }

    /// The certificate of the peer itself.
    pub fn leaf(&self) -> &Certificate {
        self.0.first().expect("a presented chain is never empty")
    }

    /// Every certificate, as presented.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }
}

fn check_key_size(certificate: &Certificate, depth: usize) -> Result<(), ChainError> {
    match certificate.public_key().algorithm() {
        KeyAlgorithm::Rsa { bits } if bits > PresentedChain::MAX_RSA_BITS => {
            Err(ChainError::KeyTooLarge { depth, bits, limit: PresentedChain::MAX_RSA_BITS })
        }
        KeyAlgorithm::Rsa { .. }
        | KeyAlgorithm::Ec { .. }
        | KeyAlgorithm::Ed25519
        | KeyAlgorithm::Other { .. } => Ok(()),
    }
}

/// A path from a leaf to a trust anchor, made only by a [`ChainVerifier`] that found it valid. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct VerifiedChain {
    path: Arc<[Certificate]>,
    presented: PresentedChain,
    entry: usize,
    exceptions: Arc<[Exception]>,
    verifier: verifier::Identity,
}

impl VerifiedChain {
    /// The certificate of the peer itself.
    pub fn leaf(&self) -> &Certificate {
        self.presented.leaf()
    }

    /// The path that was verified, from the leaf to the anchor, both included.
    pub fn path(&self) -> &[Certificate] {
        &self.path
    }

    /// The anchor's certificate, the last of the path.
    pub fn anchor(&self) -> &Certificate {
        self.path.last().expect("a verified path is never empty")
    }

    /// Which of the verifier's trust entries the anchor belongs to, counted from 0.
    pub fn entry(&self) -> usize {
        self.entry
    }

    /// The fingerprint of the key that the leaf's signature was verified with: for
    /// [`ChainVerifier::verify_again`]. `None` for a leaf that is itself the anchor.
    pub fn leaf_signer(&self) -> Option<Fingerprint> {
        self.path.get(1).map(|issuer| issuer.public_key().fingerprint())
    }

    /// The tolerances that were needed, each once.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// What the peer presented.
    pub fn presented(&self) -> &PresentedChain {
        &self.presented
    }
}

#[cfg(test)]
mod tests;

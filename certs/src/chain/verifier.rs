//! The verifier: trust entries in, verified chains out.

use std::sync::Arc;

use super::{ChainError, PresentedChain, VerifiedChain};
use crate::fingerprint::Fingerprint;
use crate::trust_store::TrustEntry;
use crate::validity::Timestamp;

/// Judges presented chains against trust entries (RFC 5280 §6), the same for every TLS engine.
#[derive(Debug)]
pub struct ChainVerifier {
    entries: Vec<TrustEntry>,
    identity: Identity,
}

/// Tells verifiers apart, so that a chain is only rechecked by the one that made it.
#[derive(Debug, Clone)]
pub(super) struct Identity(Arc<()>);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Trust entries that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// One anchor in two entries: which tolerances would hold?
    #[error("the anchor {subject} ({fingerprint}) stands in the trust entries `{first}` and `{second}`")]
    AnchorInTwoEntries {
        /// The anchor's subject.
        subject: String,
        /// The anchor's certificate.
        fingerprint: Fingerprint,
        /// The name of one entry.
        first: String,
        /// The name of the other.
        second: String,
    },
}

impl ChainVerifier {
    /// A verifier for these entries.
    ///
    /// # Errors
    /// [`VerifierError::AnchorInTwoEntries`].
    pub fn new(entries: Vec<TrustEntry>) -> Result<Self, VerifierError> {
        Ok(Self { entries, identity: Identity(Arc::new(())) })
    }

    /// The trust entries, in the order that [`VerifiedChain::entry`] counts.
    pub fn entries(&self) -> &[TrustEntry] {
        &self.entries
    }

    /// Finds a valid path from the leaf to an anchor.
    ///
    /// # Errors
    /// Why the path that came closest is not valid.
    pub fn verify(&self, presented: &PresentedChain, now: Timestamp) -> Result<VerifiedChain, ChainError> {
        let leaf = presented.leaf();
        if now > leaf.validity().not_after {
            return Err(ChainError::Expired { depth: 0, not_after: leaf.validity().not_after });
        }
        for (entry, trust) in self.entries.iter().enumerate() {
            for anchor in &trust.anchors {
                if anchor.subject().equals(leaf.issuer())
                    && leaf
                        .signature_algorithm()
                        .verify(anchor.public_key(), leaf.tbs(), leaf.signature())
                        .is_ok()
                {
                    return Ok(VerifiedChain {
                        path: [leaf.clone(), anchor.certificate().clone()].into(),
                        presented: presented.clone(),
                        entry,
                        exceptions: Arc::default(),
                        verifier: self.identity.clone(),
                    });
                }
            }
        }
        Err(ChainError::UnknownIssuer { depth: 0, issuer: leaf.issuer().to_string() })
    }

    /// Judges dates and revocation of a chain again, without verifying signatures again.
    ///
    /// # Errors
    /// [`ChainError::ForeignChain`] for a chain that another verifier made; else what time or a list says.
    pub fn recheck(&self, chain: &VerifiedChain, _now: Timestamp) -> Result<(), ChainError> {
        if chain.verifier == self.identity { Ok(()) } else { Err(ChainError::ForeignChain) }
    }
}

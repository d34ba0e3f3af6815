//! The verifier: trust entries in, verified chains out.

use std::sync::Arc;

use super::constraints::{Target, check_dates};
use super::leaves::VerifiedLeaves;
use super::links::VerifiedLinks;
use super::path::{Search, SearchFailure};
use super::revocation::{ListSignatures, Revocations};
use super::work::Work;
use super::{ChainError, PresentedChain, VerifiedChain};
use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::trust_store::{TrustAnchor, TrustEntry};
use crate::validity::Timestamp;

/// Judges presented chains against trust entries (RFC 5280 §6), the same for every TLS engine.
#[derive(Debug)]
pub struct ChainVerifier {
    entries: Vec<TrustEntry>,
    identity: Identity,
    list_signatures: ListSignatures,
    links: VerifiedLinks,
    leaves: VerifiedLeaves,
    max_intermediates: Option<usize>,
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
    /// [`VerifierError::AnchorInTwoEntries`], which counts name and key, so that another certificate of the same
    /// authority is the same anchor.
    pub fn new(entries: Vec<TrustEntry>) -> Result<Self, VerifierError> {
        for (index, first) in entries.iter().enumerate() {
            for second in entries.iter().skip(index + 1) {
                if let Some(anchor) = shared_anchor(first, second) {
                    return Err(VerifierError::AnchorInTwoEntries {
                        subject: anchor.subject().to_string(),
                        fingerprint: anchor.certificate().fingerprint(),
                        first: first.name.clone(),
                        second: second.name.clone(),
                    });
                }
            }
        }
        Ok(Self {
            entries,
            identity: Identity(Arc::new(())),
            list_signatures: ListSignatures::default(),
            links: VerifiedLinks::default(),
            leaves: VerifiedLeaves::default(),
            max_intermediates: None,
        })
    }

    /// Accepts only paths with so many intermediates, those that are self-issued not counted. Without it the limits
    /// of the authorities and of the search hold.
    #[must_use]
    pub fn with_max_intermediates(mut self, limit: usize) -> Self {
        self.max_intermediates = Some(limit);
        self
    }

    /// The trust entries, in the order that [`VerifiedChain::entry`] counts.
    pub fn entries(&self) -> &[TrustEntry] {
        &self.entries
    }

    /// Finds a valid path from the leaf to an anchor. Entries are tried in their order. Signatures of a path that was
    /// accepted before are not verified again; everything else is judged anew.
    ///
    /// CRLs are judged by `now`; so are validity periods, plus the grace of [`Tolerances`](crate::Tolerances).
    ///
    /// # Errors
    /// Why the path that came closest is not valid.
    pub fn verify(&self, presented: &PresentedChain, now: Timestamp) -> Result<VerifiedChain, ChainError> {
        self.find(presented, None, now)
    }

    /// [`verify`](Self::verify), for a chain that was verified before, perhaps by another verifier: everything is judged
    /// anew except the leaf's signature, where the issuer still has the key that it was verified with. A signature that
    /// was good stays good, and verifying it is most of the work.
    ///
    /// `signer` is [`VerifiedChain::leaf_signer`] of that chain. It must have been kept together with these very
    /// bytes and where nobody else could change them, as in a session ticket.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_again(
        &self,
        presented: &PresentedChain,
        signer: Fingerprint,
        now: Timestamp,
    ) -> Result<VerifiedChain, ChainError> {
        self.find(presented, Some(signer), now)
    }

    fn find(
        &self,
        presented: &PresentedChain,
        signer: Option<Fingerprint>,
        now: Timestamp,
    ) -> Result<VerifiedChain, ChainError> {
        let leaf = presented.leaf();
        let known = signer.or_else(|| self.leaves.signer(leaf));
        let mut closest: Option<SearchFailure> = None;
        let work = Work::default();
        for (entry, trust) in self.entries.iter().enumerate() {
            let revocations = Revocations::new(trust, presented.certificates(), &self.list_signatures, &work);
            let mut search =
                Search::new(leaf, presented.certificates(), trust, Target::EndEntity, now, &work);
            if let Some(limit) = self.max_intermediates {
                search = search.with_max_intermediates(limit);
            }
            match search.with_revocations(&revocations).with_links(&self.links).with_leaf_signer(known).run()
            {
                Ok(found) => {
                    self.links.keep(&found.path);
                    if known.is_none() {
                        self.leaves.keep(&found.path);
                    }
                    return Ok(VerifiedChain {
                        path: found.path.into_iter().cloned().collect(),
                        presented: presented.clone(),
                        entry,
                        exceptions: found.exceptions.into(),
                        verifier: self.identity.clone(),
                    });
                }
                Err(failure) => {
                    if closest.as_ref().is_none_or(|closest| failure.rank > closest.rank) {
                        closest = Some(failure);
                    }
                }
            }
        }
        let nobody = || ChainError::UnknownIssuer { depth: 0, issuer: leaf.issuer().to_string() };
        Err(closest.map_or_else(nobody, |closest| closest.error))
    }

    /// Judges dates and revocation of a chain again, without verifying signatures again. A chain that needed a
    /// tolerance whose last day is over is judged as a new one is.
    ///
    /// # Errors
    /// [`ChainError::ForeignChain`] for a chain that another verifier made; else what time or a list says.
    pub fn recheck(&self, chain: &VerifiedChain, now: Timestamp) -> Result<(), ChainError> {
        let trust = self.entries.get(chain.entry).filter(|_| chain.verifier == self.identity);
        let Some(trust) = trust else { return Err(ChainError::ForeignChain) };
        if !chain.exceptions.is_empty() && trust.tolerances.in_force(now) != trust.tolerances {
            // What let this chain in is over; what is wrong with it now, only a whole judgement tells.
            return self.verify(&chain.presented, now).map(|_| ());
        }
        check_dates(chain.path(), trust, now)?;
        let path: Vec<&Certificate> = chain.path().iter().collect();
        let work = Work::default();
        Revocations::new(trust, chain.presented.certificates(), &self.list_signatures, &work)
            .check(&path, now)
    }

    #[cfg(test)]
    pub(super) fn leaves(&self) -> usize {
        self.leaves.len()
    }

    #[cfg(test)]
    pub(super) fn list_signatures(&self) -> usize {
        self.list_signatures.len()
    }
}

fn shared_anchor<'a>(first: &'a TrustEntry, second: &TrustEntry) -> Option<&'a TrustAnchor> {
    first.anchors.iter().find(|anchor| {
        second.anchors.iter().any(|other| {
            anchor.public_key() == other.public_key() && anchor.subject().equals(other.subject())
        })
    })
}

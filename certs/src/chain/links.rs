//! Links between authorities whose signature was verified before.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;

/// Which authority's certificate is signed by which other's key. Every phone of a maker presents the same
/// intermediates, and a signature that verified once always will: both certificates are named by the SHA-256 of all
/// their bytes. Only links of accepted paths are kept, so that strangers cannot fill it.
#[derive(Debug, Default)]
pub(super) struct VerifiedLinks(Mutex<HashSet<(Fingerprint, Fingerprint)>>);

impl VerifiedLinks {
    const MAX: usize = 1024;

    pub(super) fn contains(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.contains(&(certificate.fingerprint(), issuer.fingerprint()))
    }

    /// Keeps the links above the leaf.
    pub(super) fn keep(&self, path: &[&Certificate]) {
        let [_, authorities @ ..] = path else { return };
        if authorities.len() < 2 {
            return;
        }
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for pair in authorities.windows(2) {
            if let [certificate, issuer] = pair
                && links.len() < Self::MAX
            {
                links.insert((certificate.fingerprint(), issuer.fingerprint()));
            }
        }
    }
}

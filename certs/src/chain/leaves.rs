//! Leaves whose signature was verified before.

use std::collections::HashMap;
use std::sync::{Mutex, TryLockError};

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;

/// Which key the signature of each leaf was verified with. A phone comes back every day with the certificate it was
/// made with, and a signature that verified once always will: the leaf is named by the SHA-256 of all its bytes, the
/// key by that of its subjectPublicKeyInfo. Only leaves of accepted chains are kept, so that strangers cannot fill it.
///
/// Nobody waits for it: who finds a part locked verifies the signature, or keeps nothing.
#[derive(Debug, Default)]
pub(super) struct VerifiedLeaves([Mutex<HashMap<Fingerprint, Fingerprint>>; PARTS]);

/// So many are locked one by one; a power of two.
const PARTS: usize = 16;
/// Leaves in each part: 65 536 together, with 64 octets and the table's own room for each.
const MAX: usize = 4096;

impl VerifiedLeaves {
    /// The fingerprint of the key that this leaf's signature was verified with.
    pub(super) fn signer(&self, leaf: &Certificate) -> Option<Fingerprint> {
        let leaf = leaf.fingerprint();
        self.with(leaf, |leaves| leaves.get(&leaf).copied()).flatten()
    }

    /// Keeps who signed the leaf of an accepted path. Where there is no room, some other has to go: it will be verified
    /// when its phone calls again.
    pub(super) fn keep(&self, path: &[&Certificate]) {
        let [leaf, issuer, ..] = path else { return };
        let (leaf, signer) = (leaf.fingerprint(), issuer.public_key().fingerprint());
        self.with(leaf, |leaves| {
            if leaves.len() >= MAX
                && let Some(other) = leaves.keys().next().copied()
            {
                leaves.remove(&other);
            }
            leaves.insert(leaf, signer);
        });
    }

    fn with<T>(
        &self,
        leaf: Fingerprint,
        use_it: impl FnOnce(&mut HashMap<Fingerprint, Fingerprint>) -> T,
    ) -> Option<T> {
        let part = usize::from(leaf.as_bytes()[0]) % PARTS;
        match self.0[part].try_lock() {
            Ok(mut leaves) => Some(use_it(&mut leaves)),
            Err(TryLockError::Poisoned(poisoned)) => Some(use_it(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|part| part.lock().unwrap().len()).sum()
    }
}

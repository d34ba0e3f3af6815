//! Whether certificates of a path are revoked (RFC 5280 §6.3).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::constraints::Target;
use super::path::Search;
use super::work::Work;
use super::{ChainError, UnknownRevocation};
use crate::certificate::Certificate;
use crate::crl::RevocationList;
use crate::extension::KeyUsage;
use crate::fingerprint::Fingerprint;
use crate::key::PublicKey;
use crate::trust_store::{OnExpired, OnUnknown, Revocation, TrustEntry};
use crate::validity::Timestamp;

/// Which keys signed which lists, found out once per key. A list may take long to hash.
#[derive(Debug, Default)]
pub(super) struct ListSignatures(Mutex<HashMap<(Fingerprint, Fingerprint), bool>>);

impl ListSignatures {
    /// Only keys of certificates with a verified path are asked for, so that peers cannot fill it; the bound is for
    /// certainty.
    const MAX: usize = 4096;

    fn verify(&self, list: &RevocationList, key: &PublicKey) -> bool {
        let index = (list.fingerprint(), Fingerprint::of(key.spki_der()));
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&index) {
            return *known;
        }
        let good = list.verify_signature(key).is_ok();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < Self::MAX {
            known.insert(index, good);
        }
        good
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The lists of a trust entry, and what is needed to find who signed them.
pub(super) struct Revocations<'a> {
    trust: &'a TrustEntry,
    presented: &'a [Certificate],
    signatures: &'a ListSignatures,
    work: &'a Work,
    /// Lists with the signer that is just being judged; such a list may vouch for its own signer.
    judging: RefCell<Vec<(Fingerprint, Certificate)>>,
}

impl<'a> Revocations<'a> {
    /// Deepest nesting of separate CRL signers.
    const MAX_NESTING: usize = 3;

    pub(super) fn new(
        trust: &'a TrustEntry,
        presented: &'a [Certificate],
        signatures: &'a ListSignatures,
        work: &'a Work,
    ) -> Self {
        Self { trust, presented, signatures, work, judging: RefCell::default() }
    }

    /// Checks every certificate below the anchor.
    pub(super) fn check(&self, path: &[&Certificate], now: Timestamp) -> Result<(), ChainError> {
        let Revocation::Checked { lists, unknown, expired } = &self.trust.revocation else { return Ok(()) };
        let Some(anchor) = path.last() else { return Ok(()) };
        for (depth, (certificate, issuer)) in path.iter().zip(path.iter().skip(1)).enumerate().rev() {
            let status = self.status(certificate, issuer, anchor, lists, now);
            if self.work.is_exhausted() {
                // What was not looked at must not count as unknown, which may be let pass.
                return Err(ChainError::SearchExhausted { steps: self.work.steps() });
            }
            match status {
                Status::Good => {}
                Status::Revoked(revoked) => {
                    return Err(ChainError::Revoked { depth, date: revoked.date, reason: revoked.reason });
                }
                Status::Expired(next_update) => match expired {
                    OnExpired::Allow => {}
                    OnExpired::Deny => return Err(ChainError::CrlExpired { depth, next_update }),
                },
                Status::Unknown(cause) => match unknown {
                    OnUnknown::Allow => {}
                    OnUnknown::Deny => return Err(ChainError::RevocationUnknown { depth, cause }),
                },
            }
        }
        Ok(())
    }

    fn status(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        anchor: &Certificate,
        lists: &[Arc<RevocationList>],
        now: Timestamp,
    ) -> Status {
        let mut status = Status::Unknown(UnknownRevocation::NoList);
        let own = lists.iter().filter(|list| list.issuer().equals(certificate.issuer()));
        for list in own.filter(|list| list.scope().covers(certificate, issuer.subject())) {
            let next = self.ask(list, certificate, issuer, anchor, now);
            if next.rank() > status.rank() {
                status = next;
            }
        }
        status
    }

    /// What one list of the issuer says.
    fn ask(
        &self,
        list: &RevocationList,
        certificate: &Certificate,
        issuer: &Certificate,
        anchor: &Certificate,
        now: Timestamp,
    ) -> Status {
        if !self.is_signed_by_issuer(list, issuer, anchor, now) {
            return Status::Unknown(UnknownRevocation::BadSignature);
        }
        if let Some(reason) = list.unusable_reason() {
            return Status::Unknown(UnknownRevocation::Unusable(reason));
        }
        if let Some(revoked) = list.contains(certificate.serial()) {
            return Status::Revoked(revoked);
        }
        if now < list.this_update() {
            return Status::Unknown(UnknownRevocation::NotYetValid);
        }
        match list.next_update() {
            Some(next_update) if now > next_update => Status::Expired(next_update),
            Some(_) => Status::Good,
            None => Status::Unknown(UnknownRevocation::NotYetValid),
        }
    }

    /// By the key that signed the certificate, or by another key of the same name below the same anchor
    /// (RFC 5280 §6.3.3 f, g).
    fn is_signed_by_issuer(
        &self,
        list: &RevocationList,
        issuer: &Certificate,
        anchor: &Certificate,
        now: Timestamp,
    ) -> bool {
        if !self.trust.tolerances.in_force(now).accepts(list.signature_algorithm()) {
            return false;
        }
        let may_sign = |certificate: &Certificate| {
            certificate.key_usage().is_none_or(|usage| usage.allows(KeyUsage::CRL_SIGN))
        };
        if may_sign(issuer) && self.signatures.verify(list, issuer.public_key()) {
            return true;
        }
        let is_signer = |other: &Certificate| {
            other.subject().equals(list.issuer()) && names_key_of(list, other) && may_sign(other)
        };
        if is_signer(anchor) && self.signatures.verify(list, anchor.public_key()) {
            return true;
        }
        // Those that are held come first: they are few, and nobody else chose them.
        self.trust
            .intermediates
            .iter()
            .chain(self.presented)
            .filter(|other| other.public_key() != issuer.public_key() && is_signer(other))
            .any(|other| {
                self.is_valid_signer(other, list, anchor, now)
                    && self.signatures.verify(list, other.public_key())
            })
    }

    /// Whether a separate CRL signer has a valid path to the same anchor and is not revoked itself.
    fn is_valid_signer(
        &self,
        signer: &Certificate,
        list: &RevocationList,
        anchor: &Certificate,
        now: Timestamp,
    ) -> bool {
        let fingerprint = list.fingerprint();
        if let Some((_, judged)) = self.judging.borrow().iter().find(|(list, _)| *list == fingerprint) {
            // The list is asked about its own signer, which has a verified path already and is judged a level above.
            return judged == signer;
        }
        if self.judging.borrow().len() >= Self::MAX_NESTING {
            return false;
        }
        self.judging.borrow_mut().push((fingerprint, signer.clone()));
        let search = Search::new(signer, self.presented, self.trust, Target::CrlIssuer, now, self.work)
            .with_revocations(self);
        let found = search.run().is_ok_and(|found| found.path.last().copied() == Some(anchor));
        self.judging.borrow_mut().pop();
        found
    }
}

/// Whether the list may be signed by this certificate's key, by the key identifiers where both have one.
fn names_key_of(list: &RevocationList, signer: &Certificate) -> bool {
    let wanted = list.authority_key_identifier().and_then(|identifier| identifier.key_identifier.as_deref());
    wanted.zip(signer.subject_key_identifier()).is_none_or(|(wanted, own)| wanted == own)
}

enum Status {
    Expired(Timestamp),
    Good,
    Revoked(crate::crl::Revoked),
    Unknown(UnknownRevocation),
}

impl Status {
    /// A list that names the certificate outweighs every other; one that can be relied on outweighs the rest.
    fn rank(&self) -> u8 {
        match self {
            Self::Revoked(_) => 6,
            Self::Good => 5,
            Self::Expired(_) => 4,
            Self::Unknown(UnknownRevocation::Unusable(_)) => 3,
            Self::Unknown(UnknownRevocation::NotYetValid) => 2,
            Self::Unknown(UnknownRevocation::BadSignature) => 1,
            Self::Unknown(UnknownRevocation::NoList) => 0,
        }
    }
}

//! Every refusal has its accepted twin: the same chain without the one change.

mod building;
mod refusals;
mod revocation;
mod second_opinion;
mod tolerances;
mod vendor;

use super::*;
use crate::testing::{Issued, Pki};
use crate::trust_store::TrustEntry;

/// A verifier with one entry for the root of a PKI, changed at will.
fn verifier(pki: &Pki, change: impl FnOnce(&mut TrustEntry)) -> ChainVerifier {
    let mut entry = pki.trust_entry();
    change(&mut entry);
    ChainVerifier::new(vec![entry]).expect("one entry cannot contradict itself")
}

/// What a strict verifier for the root says.
fn judge(pki: &Pki, issued: &Issued) -> Result<(), ChainError> {
    pki.verifier().verify(&issued.presented(), Pki::NOW).map(|_| ())
}

/// Asserts that one chain is refused for this reason, and its twin accepted.
#[track_caller]
fn refused(pki: &Pki, bad: &Issued, good: &Issued, expected: ChainError) {
    assert_eq!(judge(pki, good), Ok(()), "the accepted twin");
    assert_eq!(judge(pki, bad), Err(expected));
}

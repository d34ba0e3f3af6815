//! NIST's PKITS, handed straight to `ChainVerifier`, each case with the lists it names.

use std::sync::Arc;

use certs::{
    Certificate, ChainError, ChainVerifier, OnExpired, OnUnknown, PresentedChain, Revocation, RevocationList,
    Timestamp, TrustAnchor, TrustEntry, VerifiedChain,
};
use harness::pkits::{self, CASES, Case, Expected, Suite};
use policies::Reason;

/// Between the suite's beginning in 2010 and its end in 2030.
const NOW: &str = "2026-11-23T00:00:00Z";

#[test]
fn judges_pkits_as_nist_does() {
    let Some(suite) = Suite::find("judges_pkits_as_nist_does") else { return };
    let said: Vec<_> = CASES
        .iter()
        .map(|case| match verify(&suite, case) {
            Ok(_) => (case, Expected::Valid),
            Err(error) => (case, Expected::Invalid(Reason::from(&error))),
        })
        .collect();
    pkits::judge(&said);
}

fn verify(suite: &Suite, case: &Case) -> Result<VerifiedChain, ChainError> {
    let list = |der: &Vec<u8>| Arc::new(RevocationList::parse(der).expect("a CRL"));
    let anchor = TrustAnchor::new(Certificate::parse(&suite.anchor()).expect("a certificate"));
    let entry = TrustEntry {
        revocation: Revocation::Checked {
            lists: suite.lists(case).iter().map(list).collect(),
            unknown: OnUnknown::Deny,
            expired: OnExpired::Deny,
        },
        ..TrustEntry::new("pkits", [anchor])
    };
    let now = Timestamp::parse_rfc3339(NOW).expect("RFC 3339");
    let presented = PresentedChain::parse(suite.chain(case))?;
    ChainVerifier::new(vec![entry]).expect("one entry cannot contradict itself").verify(&presented, now)
}

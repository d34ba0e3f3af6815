//! NIST's PKITS, handed straight to `ChainVerifier`. The folder that holds `certs` and `crls` is given by `PKITS_DATA`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use certs::{
    Certificate, ChainError, ChainVerifier, OnExpired, OnUnknown, PresentedChain, Revocation, RevocationList,
    Timestamp, TrustAnchor, TrustEntry, VerifiedChain,
};
use harness::pkits::{ANCHOR, CASES, Case, Expected, Kind};

/// Between the suite's beginning in 2010 and its end in 2030.
const NOW: &str = "2026-11-23T00:00:00Z";

#[test]
fn judges_pkits_as_nist_does() {
    let Some(folder) = std::env::var_os("PKITS_DATA").map(PathBuf::from) else {
        println!("skipped: judges_pkits_as_nist_does needs PKITS_DATA");
        return;
    };
    let now = Timestamp::parse_rfc3339(NOW).unwrap();
    let (mut counted, mut right) = (0, 0);
    let mut wrong = Vec::new();
    for case in CASES.iter().filter(|case| case.kind != Kind::LeafIsAuthority) {
        counted += 1;
        let result = verify(&folder, case, now);
        if result.is_ok() == (case.expected == Expected::Valid) {
            right += 1;
        } else {
            wrong.push(format!("{} {}: {:?}", case.section, case.leaf, result.err()));
        }
    }
    println!("PKITS: {right} of {counted} cases right\n{}", wrong.join("\n"));
    let allowed: Vec<&Case> =
        CASES.iter().filter(|case| case.kind == Kind::Dsa && case.expected == Expected::Valid).collect();
    assert_eq!(wrong.len(), allowed.len(), "only the valid DSA cases may be judged wrongly");
    assert!(allowed.iter().all(|case| wrong.iter().any(|line| line.contains(case.leaf))));
}

#[test]
fn a_leaf_that_is_an_authority_is_refused_as_such() {
    let Some(folder) = std::env::var_os("PKITS_DATA").map(PathBuf::from) else {
        println!("skipped: a_leaf_that_is_an_authority_is_refused_as_such needs PKITS_DATA");
        return;
    };
    let now = Timestamp::parse_rfc3339(NOW).unwrap();
    for case in CASES.iter().filter(|case| case.kind == Kind::LeafIsAuthority) {
        let error = verify(&folder, case, now).unwrap_err();
        if case.expected == Expected::Valid {
            assert_eq!(error, ChainError::LeafIsAuthority, "{}", case.section);
        }
    }
}

fn verify(folder: &Path, case: &Case, now: Timestamp) -> Result<VerifiedChain, ChainError> {
    let certificate = |name: &str| {
        std::fs::read(folder.join("certs").join(format!("{name}.crt"))).expect("the suite has the file")
    };
    let list = |name: &&str| {
        let bytes =
            std::fs::read(folder.join("crls").join(format!("{name}.crl"))).expect("the suite has the file");
        Arc::new(RevocationList::parse(&bytes).expect("a CRL"))
    };
    let anchor = TrustAnchor::new(Certificate::parse(&certificate(ANCHOR)).expect("a certificate"));
    let entry = TrustEntry {
        revocation: Revocation::Checked {
            lists: case.crls.iter().map(list).collect(),
            unknown: OnUnknown::Deny,
            expired: OnExpired::Deny,
        },
        ..TrustEntry::new("pkits", [anchor])
    };
    let presented = std::iter::once(&case.leaf).chain(case.intermediates).map(|name| certificate(name));
    let presented = PresentedChain::parse(presented)?;
    ChainVerifier::new(vec![entry]).expect("one entry cannot contradict itself").verify(&presented, now)
}

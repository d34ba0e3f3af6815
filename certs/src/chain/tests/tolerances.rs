use super::*;
use crate::certificate::Version;
use crate::key::KeyAlgorithm;
use crate::signature::{Hash, SignatureAlgorithm};
use crate::testing::KeyKind;
use crate::trust_store::{Exception, Tolerances};

/// Asserts that a chain is refused strictly, and accepted with the tolerance, which is reported.
#[track_caller]
fn tolerated(pki: &Pki, issued: &Issued, tolerances: Tolerances, expected: ChainError, exception: Exception) {
    assert_eq!(judge(pki, issued), Err(expected.clone()), "strictly");
    let all_others = Tolerances {
        sha1: !tolerances.sha1,
        md5: !tolerances.md5,
        rsa_1024: !tolerances.rsa_1024,
        x509_v1: !tolerances.x509_v1,
        expired: if tolerances.expired.is_some() { None } else { Some(86_400) },
        until: None,
    };
    let with = |tolerances| {
        verifier(pki, |entry| entry.tolerances = tolerances).verify(&issued.presented(), Pki::NOW)
    };
    assert_eq!(with(all_others).unwrap_err(), expected, "with every other tolerance");
    assert_eq!(with(tolerances).unwrap().exceptions(), [exception]);
}

fn rsa() -> Pki {
    Pki::with_key("RSA", KeyKind::Rsa2048)
}

#[test]
fn sha1_signatures() {
    // SEC-56
    let (pki, signature) = (rsa(), SignatureAlgorithm::RsaPkcs1(Hash::Sha1));
    let issued = pki.device().signed_with(signature).issue();
    let tolerances = Tolerances { sha1: true, ..Tolerances::default() };
    tolerated(&pki, &issued, tolerances, ChainError::WeakSignature { depth: 0, signature }, Exception::Sha1);
}

#[test]
fn md5_signatures() {
    let (pki, signature) = (rsa(), SignatureAlgorithm::RsaPkcs1(Hash::Md5));
    let issued = pki.device().signed_with(signature).issue();
    let tolerances = Tolerances { md5: true, ..Tolerances::default() };
    tolerated(&pki, &issued, tolerances, ChainError::WeakSignature { depth: 0, signature }, Exception::Md5);
    let broken = pki.device().signed_with(signature).broken_signature().issue();
    let verifier = verifier(&pki, |entry| entry.tolerances = tolerances);
    assert_eq!(
        verifier.verify(&broken.presented(), Pki::NOW).unwrap_err(),
        ChainError::BadSignature { depth: 0 }
    );
}

#[test]
fn rsa_keys_of_1024_bits_in_leaves_and_roots() {
    let key = KeyAlgorithm::Rsa { bits: 1024 };
    let tolerances = Tolerances { rsa_1024: true, ..Tolerances::default() };
    let pki = Pki::new();
    let issued = pki.device().key(KeyKind::Rsa1024).issue();
    tolerated(&pki, &issued, tolerances, ChainError::WeakKey { depth: 0, key }, Exception::Rsa1024);
    let pki = Pki::with_key("Short", KeyKind::Rsa1024);
    let issued = pki.device().issue();
    tolerated(&pki, &issued, tolerances, ChainError::WeakKey { depth: 1, key }, Exception::Rsa1024);
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let issued = pki.device().signed_with(SignatureAlgorithm::RsaPkcs1(hash)).issue();
        tolerated(&pki, &issued, tolerances, ChainError::WeakKey { depth: 1, key }, Exception::Rsa1024);
    }
    let issued = pki.device().signed_with(SignatureAlgorithm::RsaPss(Hash::Sha256)).issue();
    tolerated(&pki, &issued, tolerances, ChainError::WeakKey { depth: 1, key }, Exception::Rsa1024);
}

#[test]
fn rsa_keys_below_1024_bits_are_refused_whatever_is_tolerated() {
    let pki = Pki::new();
    let all = Tolerances {
        sha1: true,
        md5: true,
        rsa_1024: true,
        x509_v1: true,
        expired: Some(86_400),
        until: None,
    };
    let verifier = verifier(&pki, |entry| entry.tolerances = all);
    let leaf = |kind| verifier.verify(&pki.device().key(kind).issue().presented(), Pki::NOW);
    assert!(leaf(KeyKind::Rsa1024).is_ok());
    let key = KeyAlgorithm::Rsa { bits: 512 };
    assert_eq!(leaf(KeyKind::Rsa512).unwrap_err(), ChainError::WeakKey { depth: 0, key });
}

#[test]
fn version_1_leaves_signed_by_the_anchor() {
    let pki = Pki::new();
    let version = Version::V1;
    let tolerances = Tolerances { x509_v1: true, ..Tolerances::default() };
    let issued = pki.device().version(version).issue();
    let expected = ChainError::UnsupportedVersion { depth: 0, version };
    tolerated(&pki, &issued, tolerances, expected.clone(), Exception::X509V1);
    let below = pki.intermediate().leaf().version(version).issue();
    let verifier = verifier(&pki, |entry| entry.tolerances = tolerances);
    assert_eq!(verifier.verify(&below.presented(), Pki::NOW).unwrap_err(), expected, "below an intermediate");
    let authority = pki.root().intermediate("Old CA").version(version).authority();
    let expected = ChainError::UnsupportedVersion { depth: 1, version };
    let refused = verifier.verify(&authority.leaf().issue().presented(), Pki::NOW).unwrap_err();
    assert_eq!(refused, expected, "an authority of version 1 could be anybody");
}

#[test]
fn expiry_within_the_grace_and_not_a_second_more() {
    let pki = Pki::new();
    let tolerances = Tolerances { expired: Some(3600), ..Tolerances::default() };
    let ended = |seconds: i64| pki.device().not_after(Pki::NOW.plus_seconds(-seconds)).issue();
    let not_after = Pki::NOW.plus_seconds(-3600);
    let expected = ChainError::Expired { depth: 0, not_after };
    let strict = ChainVerifier::new(vec![pki.trust_entry()]).unwrap();
    assert_eq!(strict.verify(&ended(3600).presented(), Pki::NOW).unwrap_err(), expected);
    let verifier = verifier(&pki, |entry| entry.tolerances = tolerances);
    let chain = verifier.verify(&ended(3600).presented(), Pki::NOW).unwrap();
    assert_eq!(chain.exceptions(), [Exception::Expired]);
    assert_eq!(verifier.recheck(&chain, Pki::NOW), Ok(()));
    assert_eq!(verifier.recheck(&chain, Pki::NOW.plus_seconds(1)), Err(expected));
    let refused = verifier.verify(&ended(3601).presented(), Pki::NOW).unwrap_err();
    assert_eq!(refused, ChainError::Expired { depth: 0, not_after: Pki::NOW.plus_seconds(-3601) });
}

#[test]
fn nothing_is_tolerated_after_the_last_moment_whatever_grace_is_left() {
    let pki = Pki::new();
    let sha1 = SignatureAlgorithm::RsaPkcs1(Hash::Sha1);
    let strong = pki.device().issue();
    let old = Pki::with_key("Short", KeyKind::Rsa2048);
    let weak = old.device().signed_with(sha1).issue();
    let late = pki.device().not_after(Pki::NOW.plus_seconds(-60)).issue();
    let tolerances =
        Tolerances { sha1: true, expired: Some(86_400), until: Some(Pki::NOW), ..Tolerances::default() };
    let (at, after) = (Pki::NOW, Pki::NOW.plus_seconds(1));

    let verifier_of_late = verifier(&pki, |entry| entry.tolerances = tolerances);
    let chain = verifier_of_late.verify(&late.presented(), at).unwrap();
    assert_eq!(verifier_of_late.recheck(&chain, at), Ok(()));
    let expired = ChainError::Expired { depth: 0, not_after: Pki::NOW.plus_seconds(-60) };
    assert_eq!(verifier_of_late.verify(&late.presented(), after).unwrap_err(), expired);
    assert_eq!(verifier_of_late.recheck(&chain, after), Err(expired), "also on a connection that is kept");

    let verifier_of_weak = verifier(&old, |entry| entry.tolerances = tolerances);
    let chain = verifier_of_weak.verify(&weak.presented(), at).unwrap();
    assert_eq!(chain.exceptions(), [Exception::Sha1]);
    let refused = ChainError::WeakSignature { depth: 0, signature: sha1 };
    assert_eq!(verifier_of_weak.verify(&weak.presented(), after).unwrap_err(), refused);
    assert_eq!(verifier_of_weak.recheck(&chain, after), Err(refused));

    let chain = verifier_of_late.verify(&strong.presented(), at).unwrap();
    assert_eq!(verifier_of_late.recheck(&chain, after), Ok(()), "a strong chain needs none of it");
}

#[test]
fn several_exceptions_are_all_reported() {
    let pki = Pki::with_key("Short", KeyKind::Rsa1024);
    let all = Tolerances {
        sha1: true,
        md5: true,
        rsa_1024: true,
        x509_v1: true,
        expired: Some(86_400),
        until: None,
    };
    let sha1 = SignatureAlgorithm::RsaPkcs1(Hash::Sha1);
    let issued = pki.device().version(Version::V1).signed_with(sha1).expired().issue();
    let chain = verifier(&pki, |entry| entry.tolerances = all).verify(&issued.presented(), Pki::NOW).unwrap();
    let mut names: Vec<_> = chain.exceptions().iter().map(|exception| exception.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["expired", "rsa-1024", "sha1", "x509-v1"]);
}

#[test]
fn every_strong_algorithm_needs_none() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let pki = Pki::with_key("Strong", kind);
        let issued = pki.intermediate().leaf().key(kind).issue();
        assert_eq!(judge(&pki, &issued), Ok(()), "{kind:?}");
    }
    for algorithm in [
        SignatureAlgorithm::RsaPkcs1(Hash::Sha384),
        SignatureAlgorithm::RsaPkcs1(Hash::Sha512),
        SignatureAlgorithm::RsaPss(Hash::Sha256),
    ] {
        let pki = rsa();
        assert_eq!(judge(&pki, &pki.device().signed_with(algorithm).issue()), Ok(()), "{algorithm}");
    }
}

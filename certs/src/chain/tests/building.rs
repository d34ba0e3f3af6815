use std::time::{Duration, Instant};

use super::*;
use crate::fingerprint::Fingerprint;
use crate::oid;
use crate::testing::{Authority, CertificateBuilder, TestKey, presented};
use crate::trust_store::{Exception, Tolerances, TrustAnchor};

fn entry(name: &str, roots: &[&Authority]) -> TrustEntry {
    TrustEntry::new(name, roots.iter().map(|root| TrustAnchor::new(root.certificate().clone())))
}

#[test]
fn intermediates_that_phones_omit_are_held() {
    let pki = Pki::new();
    let leaf = pki.intermediate().leaf().issue();
    let alone = presented([&leaf.certificate]);
    let issuer = "CN=Test Issuing CA".to_owned();
    assert_eq!(
        pki.verifier().verify(&alone, Pki::NOW).unwrap_err(),
        ChainError::UnknownIssuer { depth: 0, issuer }
    );
    let held = verifier(&pki, |entry| entry.intermediates.push(pki.intermediate().certificate().clone()));
    let chain = held.verify(&alone, Pki::NOW).unwrap();
    assert_eq!(chain.path().len(), 3);
    assert_eq!(chain.presented().certificates().len(), 1);
}

#[test]
fn order_and_strangers_in_what_is_presented_do_not_matter() {
    let (pki, foreign) = (Pki::new(), Pki::named("Foreign"));
    let lower = pki.intermediate().intermediate("Lower CA").authority();
    let leaf = lower.leaf().issue().certificate;
    let chain = presented([
        &leaf,
        foreign.intermediate().certificate(),
        pki.root().certificate(),
        pki.intermediate().certificate(),
        lower.certificate(),
    ]);
    assert_eq!(pki.verifier().verify(&chain, Pki::NOW).unwrap().path().len(), 4);
}

#[test]
fn two_anchors_with_one_name_and_two_keys_both_work() {
    // SEC-51
    let old = Authority::root("Twice").key_label("old").authority();
    let new = Authority::root("Twice").key_label("new").authority();
    let verifier = ChainVerifier::new(vec![entry("old", &[&old]), entry("new", &[&new])]).unwrap();
    for (index, root) in [&old, &new].into_iter().enumerate() {
        let leaf = root.leaf().without_key_identifiers().issue();
        let chain = verifier.verify(&leaf.presented(), Pki::NOW).unwrap();
        assert_eq!((chain.entry(), chain.anchor()), (index, root.certificate()));
    }
}

#[test]
fn a_cross_signed_authority_is_followed_to_the_anchor_that_is_trusted() {
    let (ours, theirs) = (Pki::new(), Pki::named("Their"));
    let key = TestKey::cached(crate::testing::KeyKind::P256, "crossed");
    let below = |root: &Authority| root.intermediate("Crossed CA").with_key(&key).authority();
    let (by_us, by_them) = (below(ours.root()), below(theirs.root()));
    let leaf = by_them.leaf().issue().certificate;
    let chain = presented([&leaf, by_them.certificate(), by_us.certificate()]);
    assert_eq!(
        ours.verified_path(&chain),
        [&leaf, by_us.certificate(), ours.root().certificate()].map(Clone::clone)
    );
    assert_eq!(
        theirs.verified_path(&chain),
        [&leaf, by_them.certificate(), theirs.root().certificate()].map(Clone::clone)
    );
}

#[test]
fn a_valid_path_is_found_behind_one_that_is_not() {
    let pki = Pki::new();
    let key = TestKey::cached(crate::testing::KeyKind::P256, "renewed");
    let below = |builder: crate::testing::CertificateBuilder| builder.with_key(&key).authority();
    let expired = below(pki.root().intermediate("Renewed CA").expired());
    let renewed = below(pki.root().intermediate("Renewed CA"));
    let leaf = expired.leaf().issue().certificate;
    let only_expired = presented([&leaf, expired.certificate()]);
    let not_after = Pki::NOW.plus_seconds(-1);
    assert_eq!(
        pki.verifier().verify(&only_expired, Pki::NOW).unwrap_err(),
        ChainError::Expired { depth: 1, not_after }
    );
    let both = presented([&leaf, expired.certificate(), renewed.certificate()]);
    assert_eq!(pki.verified_path(&both)[1], *renewed.certificate());
}

#[test]
fn the_entry_that_came_closest_names_the_reason() {
    let (pki, foreign) = (Pki::new(), Pki::named("Foreign"));
    let verifier = ChainVerifier::new(vec![foreign.trust_entry(), pki.trust_entry()]).unwrap();
    let expired = pki.device().expired().issue();
    let refused = verifier.verify(&expired.presented(), Pki::NOW).unwrap_err();
    assert_eq!(refused, ChainError::Expired { depth: 0, not_after: Pki::NOW.plus_seconds(-1) });
    assert_eq!(verifier.verify(&pki.device().issue().presented(), Pki::NOW).unwrap().entry(), 1);
}

#[test]
fn tolerances_hold_for_their_entry_alone() {
    let (lenient, strict) = (Pki::named("Lenient"), Pki::named("Strict"));
    let mut first = lenient.trust_entry();
    first.tolerances = Tolerances { expired: Some(3600), ..Tolerances::default() };
    let verifier = ChainVerifier::new(vec![first, strict.trust_entry()]).unwrap();
    let judge = |pki: &Pki| verifier.verify(&pki.device().expired().issue().presented(), Pki::NOW);
    assert_eq!(judge(&lenient).unwrap().exceptions(), [Exception::Expired]);
    assert!(matches!(judge(&strict).unwrap_err(), ChainError::Expired { depth: 0, .. }));
}

#[test]
fn one_anchor_in_two_entries_is_an_error() {
    let pki = Pki::new();
    let other = Pki::named("Other");
    let (first, second) = (pki.trust_entry(), TrustEntry::new("again", [other.anchor(), pki.anchor()]));
    let error = ChainVerifier::new(vec![first.clone(), second]).unwrap_err();
    let expected = VerifierError::AnchorInTwoEntries {
        subject: "CN=Test Client Root".to_owned(),
        fingerprint: Fingerprint::of(pki.root().certificate().der()),
        first: "devices".to_owned(),
        second: "again".to_owned(),
    };
    assert_eq!(error, expected);
    assert!(ChainVerifier::new(vec![first, other.trust_entry()]).is_ok());
}

#[test]
fn an_anchor_may_be_presented_as_a_leaf_that_is_no_authority() {
    let monitor = Authority::root("monitor").extension(crate::oid::BASIC_CONSTRAINTS, true, &[0x30, 0]);
    let monitor = monitor.key_usage(crate::KeyUsage::DIGITAL_SIGNATURE).issue();
    let verifier = |certificate: &Certificate| {
        ChainVerifier::new(vec![TrustEntry::new("pinned", [TrustAnchor::new(certificate.clone())])]).unwrap()
    };
    assert!(verifier(&monitor.certificate).verify(&presented([&monitor.certificate]), Pki::NOW).is_ok());
    let other = Authority::root("monitor").key_label("another").issue();
    let refused =
        verifier(&other.certificate).verify(&presented([&monitor.certificate]), Pki::NOW).unwrap_err();
    assert_eq!(refused, ChainError::BadSignature { depth: 0 });
}

#[test]
fn an_anchor_of_version_1_may_issue() {
    let root = Authority::root("Old Root").version(crate::Version::V1).authority();
    let verifier = ChainVerifier::new(vec![entry("old", &[&root])]).unwrap();
    assert!(verifier.verify(&root.leaf().issue().presented(), Pki::NOW).is_ok());
}

#[test]
fn loops_and_meshes_of_cross_signed_authorities_end() {
    // CA.md I9, SEC-54: every authority signs every other, and none leads to an anchor.
    let pki = Pki::new();
    let roots: Vec<Authority> =
        (0..4).map(|index| Authority::root(&format!("Mesh {index}")).authority()).collect();
    let mut mesh = Vec::new();
    for signer in &roots {
        for (index, subject) in roots.iter().enumerate() {
            let crossed = signer.intermediate(&format!("Mesh {index}")).with_key(subject.key()).issue();
            mesh.push(crossed.certificate);
        }
    }
    let leaf = roots[0].leaf().issue().certificate;
    let held = verifier(&pki, |entry| entry.intermediates = mesh);
    let refused = held.verify(&presented([&leaf]), Pki::NOW).unwrap_err();
    assert!(
        matches!(refused, ChainError::UnknownIssuer { .. } | ChainError::SearchExhausted { .. }),
        "{refused:?}"
    );
}

#[test]
fn a_search_that_explodes_is_given_up() {
    // RUSTSEC-2023-0053: twelve authorities of one name, each with its own certificate for every other key.
    let pki = Pki::new();
    let authorities: Vec<Authority> = (0..12)
        .map(|index| Authority::root("Bomb").key_label(&format!("bomb {index}")).authority())
        .collect();
    let crossed = authorities.iter().flat_map(|signer| {
        authorities
            .iter()
            .map(|subject| signer.intermediate("Bomb").with_key(subject.key()).issue().certificate)
    });
    let crossed: Vec<Certificate> = crossed.collect();
    let leaf = authorities[0].leaf().issue().certificate;
    let held = verifier(&pki, |entry| entry.intermediates = crossed);
    let refused = held.verify(&presented([&leaf]), Pki::NOW).unwrap_err();
    assert!(matches!(refused, ChainError::SearchExhausted { .. }), "{refused:?}");
}

#[test]
fn an_intermediate_that_was_accepted_before_is_not_trusted_in_another_shape() {
    let pki = Pki::new();
    let verifier = pki.verifier();
    let key = TestKey::cached(crate::testing::KeyKind::P256, "shape");
    let good = pki.root().intermediate("CA").with_key(&key).authority();
    let forged = pki.root().intermediate("CA").with_key(&key).broken_signature().authority();
    for _ in 0..2 {
        assert!(verifier.verify(&good.leaf().issue().presented(), Pki::NOW).is_ok());
        let refused = verifier.verify(&forged.leaf().issue().presented(), Pki::NOW).unwrap_err();
        assert_eq!(refused, ChainError::BadSignature { depth: 1 });
        let refused =
            verifier.verify(&good.leaf().broken_signature().issue().presented(), Pki::NOW).unwrap_err();
        assert_eq!(refused, ChainError::BadSignature { depth: 0 });
    }
}

#[test]
fn only_its_own_verifier_rechecks_a_chain() {
    let pki = Pki::new();
    let issued = pki.device().issue();
    let (one, other) = (pki.verifier(), pki.verifier());
    let chain = one.verify(&issued.presented(), Pki::NOW).unwrap();
    assert_eq!(one.recheck(&chain, Pki::NOW), Ok(()));
    assert_eq!(other.recheck(&chain, Pki::NOW), Err(ChainError::ForeignChain));
    let not_after = issued.certificate.validity().not_after;
    assert_eq!(one.recheck(&chain, not_after), Ok(()));
    let expected = ChainError::Expired { depth: 0, not_after };
    assert_eq!(one.recheck(&chain, not_after.plus_seconds(1)), Err(expected));
}

impl Pki {
    fn verified_path(&self, chain: &PresentedChain) -> Vec<Certificate> {
        self.verifier().verify(chain, Self::NOW).unwrap().path().to_vec()
    }
}

#[test]
fn a_chain_of_long_equal_names_costs_next_to_nothing() {
    // SEC-54: ten authorities of one key and one long name, in another letter case in each place, so that each may
    // have issued each other. Comparing such names value by value took minutes.
    const BUDGET: Duration = Duration::from_secs(1);
    let key = TestKey::cached(crate::testing::KeyKind::P256, "long names");
    let named = |builder: CertificateBuilder, first: &str| {
        let values: Vec<String> =
            (0..8).map(|index| format!("{first}{}{index:02}", "b".repeat(31))).collect();
        let rdn: Vec<_> = values.iter().map(|value| (oid::ORGANIZATIONAL_UNIT, value.as_str())).collect();
        (0..8).fold(builder, |builder, _| builder.multi_valued(&rdn))
    };
    let upper = named(Authority::root("x").without_subject(), "A").with_key(&key).authority();
    let ders: Vec<Vec<u8>> = (0..10)
        .map(|index| {
            let builder = upper.intermediate("x").without_subject().without_key_identifiers().with_key(&key);
            named(builder, "a").dns_names(&[&format!("x{index}")]).to_der()
        })
        .collect();
    let verifier = Pki::new().verifier();
    let begin = Instant::now();
    let chain = PresentedChain::parse(&ders).unwrap();
    let refused = verifier.verify(&chain, Pki::NOW).unwrap_err();
    assert!(matches!(refused, ChainError::SearchExhausted { .. }), "{refused:?}");
    assert!(begin.elapsed() < BUDGET, "took {:?}", begin.elapsed());
}

#[test]
fn a_leaf_that_was_verified_before_is_not_verified_again_by_the_same_key_only() {
    let pki = Pki::new();
    let (sound, broken) = (pki.device().issue(), pki.device().broken_signature().issue());
    let verifier = pki.verifier();
    let chain = verifier.verify(&sound.presented(), Pki::NOW).unwrap();
    let signer = chain.leaf_signer().unwrap();
    assert_eq!(signer, chain.path()[1].public_key().fingerprint());
    assert!(verifier.verify_again(&sound.presented(), signer, Pki::NOW).is_ok());
    // A broken signature shows that it is not looked at.
    assert!(verifier.verify_again(&broken.presented(), signer, Pki::NOW).is_ok());
    let other = sound.certificate().public_key().fingerprint();
    let refused = verifier.verify_again(&broken.presented(), other, Pki::NOW).unwrap_err();
    assert!(matches!(refused, ChainError::BadSignature { depth: 0 }), "{refused:?}");
    assert!(
        verifier.verify_again(&sound.presented(), other, Pki::NOW).is_ok(),
        "another key is a reason to verify"
    );
    // All else is judged as ever.
    let expired = pki.device().not_after(Pki::NOW.plus_seconds(-1)).issue();
    let refused = verifier.verify_again(&expired.presented(), signer, Pki::NOW).unwrap_err();
    assert!(matches!(refused, ChainError::Expired { depth: 0, .. }), "{refused:?}");
}

#[test]
fn the_leaves_of_accepted_chains_are_remembered_and_no_others() {
    let pki = Pki::new();
    let verifier = pki.verifier();
    let refused = |issued: &Issued| verifier.verify(&issued.presented(), Pki::NOW).unwrap_err();
    let expired = pki.device().not_after(Pki::NOW.plus_seconds(-1)).issue();
    assert!(matches!(refused(&expired), ChainError::Expired { depth: 0, .. }));
    assert!(matches!(
        refused(&pki.device().broken_signature().issue()),
        ChainError::BadSignature { depth: 0 }
    ));
    assert_eq!(verifier.leaves(), 0);

    let sound = pki.device().issue();
    assert!(verifier.verify(&sound.presented(), Pki::NOW).is_ok());
    assert!(verifier.verify(&sound.presented(), Pki::NOW).is_ok());
    assert_eq!(verifier.leaves(), 1);
    // A ticket's word is good for its own connection, and teaches nothing.
    let broken = pki.device().broken_signature().issue();
    let signer = verifier.verify(&sound.presented(), Pki::NOW).unwrap().leaf_signer().unwrap();
    assert!(verifier.verify_again(&broken.presented(), signer, Pki::NOW).is_ok());
    assert!(matches!(refused(&broken), ChainError::BadSignature { depth: 0 }));

    // What is remembered is the signature alone: when the time has come, the same bytes are refused.
    let later = sound.certificate().validity().not_after.plus_seconds(1);
    let refused = verifier.verify(&sound.presented(), later).unwrap_err();
    assert!(matches!(refused, ChainError::Expired { depth: 0, .. }), "{refused:?}");
}

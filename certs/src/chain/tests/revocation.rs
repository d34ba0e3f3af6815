use super::*;
use crate::crl::{RevocationList, RevocationReason, Unusable};
use crate::extension::KeyUsage;
use crate::oid;
use crate::testing::{Authority, CrlBuilder};
use crate::trust_store::{OnExpired, OnUnknown, Revocation, TrustAnchor};

fn checked(lists: &[&CrlBuilder], unknown: OnUnknown, expired: OnExpired) -> Revocation {
    let lists = lists.iter().map(|list| Arc::new(list.build())).collect::<Vec<Arc<RevocationList>>>();
    Revocation::Checked { lists, unknown, expired }
}

fn strict(lists: &[&CrlBuilder]) -> Revocation {
    checked(lists, OnUnknown::Deny, OnExpired::Deny)
}

#[track_caller]
fn judge_with(pki: &Pki, issued: &Issued, revocation: Revocation) -> Result<(), ChainError> {
    let verifier = verifier(pki, |entry| entry.revocation = revocation);
    let chain = verifier.verify(&issued.presented(), Pki::NOW)?;
    assert_eq!(verifier.recheck(&chain, Pki::NOW), Ok(()), "what was just accepted");
    Ok(())
}

#[test]
fn refuses_a_revoked_leaf_and_a_revoked_intermediate() {
    let pki = Pki::new();
    let (device, other) = (pki.device().issue(), pki.device().issue());
    let list = pki.root().crl().revoke_because(&device.certificate, 1);
    let date = Pki::NOW.plus_seconds(-3600);
    assert_eq!(judge_with(&pki, &other, strict(&[&list])), Ok(()));
    let reason = Some(RevocationReason::KeyCompromise);
    assert_eq!(
        judge_with(&pki, &device, strict(&[&list])),
        Err(ChainError::Revoked { depth: 0, date, reason })
    );
    assert_eq!(judge_with(&pki, &device, Revocation::NotChecked), Ok(()));
    let below = pki.intermediate().leaf().issue();
    let empty = pki.intermediate().crl();
    assert_eq!(judge_with(&pki, &below, strict(&[&empty, &pki.root().crl()])), Ok(()));
    let list = pki.root().crl().revoke(pki.intermediate().certificate());
    let expected = ChainError::Revoked { depth: 1, date, reason: None };
    assert_eq!(judge_with(&pki, &below, strict(&[&empty, &list])), Err(expected));
}

#[test]
fn every_certificate_below_the_anchor_needs_a_list() {
    // SEC-46
    let pki = Pki::new();
    let below = pki.intermediate().leaf().issue();
    let (upper, lower) = (pki.root().crl(), pki.intermediate().crl());
    let unknown = |depth| Err(ChainError::RevocationUnknown { depth, cause: UnknownRevocation::NoList });
    assert_eq!(judge_with(&pki, &below, strict(&[&upper, &lower])), Ok(()));
    assert_eq!(judge_with(&pki, &below, strict(&[&upper])), unknown(0));
    assert_eq!(judge_with(&pki, &below, strict(&[&lower])), unknown(1));
    assert_eq!(judge_with(&pki, &below, checked(&[&upper], OnUnknown::Allow, OnExpired::Deny)), Ok(()));
}

#[test]
fn refuses_what_only_an_expired_list_covers() {
    // SEC-47
    let pki = Pki::new();
    let (device, revoked) = (pki.device().issue(), pki.device().issue());
    let fresh = pki.root().crl().next_update(Some(Pki::NOW)).revoke(&revoked.certificate);
    let expired = pki.root().crl().expired().revoke(&revoked.certificate);
    let next_update = Pki::NOW.plus_seconds(-1);
    assert_eq!(judge_with(&pki, &device, strict(&[&fresh])), Ok(()));
    let expected = ChainError::CrlExpired { depth: 0, next_update };
    assert_eq!(judge_with(&pki, &device, strict(&[&expired])), Err(expected));
    assert_eq!(judge_with(&pki, &device, strict(&[&expired, &fresh])), Ok(()), "one fresh list is enough");
    let lenient = || checked(&[&expired], OnUnknown::Deny, OnExpired::Allow);
    assert_eq!(judge_with(&pki, &device, lenient()), Ok(()));
    let refused = judge_with(&pki, &revoked, lenient()).unwrap_err();
    assert!(matches!(refused, ChainError::Revoked { depth: 0, .. }), "an expired list still revokes");
}

#[test]
fn a_grace_for_certificates_is_none_for_lists() {
    let pki = Pki::new();
    let device = pki.device().expired().issue();
    let judge = |list: &CrlBuilder| {
        let verifier = verifier(&pki, |entry| {
            entry.tolerances.expired = Some(3600);
            entry.revocation = strict(&[list]);
        });
        verifier.verify(&device.presented(), Pki::NOW).map(|_| ())
    };
    assert_eq!(judge(&pki.root().crl()), Ok(()));
    let next_update = Pki::NOW.plus_seconds(-1);
    assert_eq!(judge(&pki.root().crl().expired()), Err(ChainError::CrlExpired { depth: 0, next_update }));
}

#[test]
fn lists_that_cannot_be_relied_on_leave_certificates_unknown() {
    let pki = Pki::new();
    let device = pki.device().issue();
    let unknown = |cause| Err(ChainError::RevocationUnknown { depth: 0, cause });
    assert_eq!(judge_with(&pki, &device, strict(&[&pki.root().crl()])), Ok(()));
    let foreign = Authority::root("Test Client Root").key_label("imitation").authority();
    let bad = pki.root().crl().signed_by(&foreign);
    assert_eq!(judge_with(&pki, &device, strict(&[&bad])), unknown(UnknownRevocation::BadSignature));
    let early = pki.root().crl().this_update(Pki::NOW.plus_seconds(1));
    assert_eq!(judge_with(&pki, &device, strict(&[&early])), unknown(UnknownRevocation::NotYetValid));
    let delta = pki.root().crl().extension(oid::DELTA_CRL_INDICATOR, true, &[2, 1, 1]);
    let cause = UnknownRevocation::Unusable(Unusable::Delta);
    assert_eq!(judge_with(&pki, &device, strict(&[&delta])), unknown(cause));
    assert_eq!(judge_with(&pki, &device, strict(&[&delta, &pki.root().crl()])), Ok(()));
}

#[test]
fn lists_of_two_authorities_with_one_name_are_told_apart_by_key() {
    // SEC-51
    let old = Authority::root("Twice").key_label("old").authority();
    let new = Authority::root("Twice").key_label("new").authority();
    let serial = [0x42];
    let (by_old, by_new) = (old.leaf().serial(&serial).issue(), new.leaf().serial(&serial).issue());
    let anchors = [&old, &new].map(|root| TrustAnchor::new(root.certificate().clone()));
    let entry = TrustEntry {
        revocation: strict(&[&old.crl().revoke(&by_old.certificate), &new.crl()]),
        ..TrustEntry::new("both", anchors)
    };
    let verifier = ChainVerifier::new(vec![entry]).unwrap();
    let refused = verifier.verify(&by_old.presented(), Pki::NOW).unwrap_err();
    assert!(matches!(refused, ChainError::Revoked { depth: 0, .. }));
    assert!(verifier.verify(&by_new.presented(), Pki::NOW).is_ok());
}

#[test]
fn shards_cover_the_certificates_that_name_them() {
    let pki = Pki::new();
    let device = |uri: &str| pki.device().distribution_point(uri).issue();
    let (first, second) = (device("http://crl.example/1"), device("http://crl.example/2"));
    let shard = pki.root().crl().for_distribution_point("http://crl.example/1").revoke(&second.certificate);
    assert_eq!(judge_with(&pki, &first, strict(&[&shard])), Ok(()));
    let unknown = ChainError::RevocationUnknown { depth: 0, cause: UnknownRevocation::NoList };
    assert_eq!(judge_with(&pki, &second, strict(&[&shard])), Err(unknown.clone()));
    assert_eq!(judge_with(&pki, &pki.device().issue(), strict(&[&shard])), Err(unknown));
    let other = pki.root().crl().for_distribution_point("http://crl.example/2");
    assert_eq!(judge_with(&pki, &second, strict(&[&shard, &other])), Ok(()));
    assert_eq!(
        judge_with(&pki, &second, strict(&[&shard, &pki.root().crl()])),
        Ok(()),
        "a list of everything"
    );
    let other = other.revoke(&second.certificate);
    let refused = judge_with(&pki, &second, strict(&[&shard, &other, &pki.root().crl()])).unwrap_err();
    assert!(matches!(refused, ChainError::Revoked { depth: 0, .. }));
}

#[test]
fn lists_for_users_or_authorities_cover_only_those() {
    let pki = Pki::new();
    let below = pki.intermediate().leaf().issue();
    let lower = pki.intermediate().crl();
    let (users, authorities) = (
        pki.root().crl().issuing_distribution_point(&[0x81, 1, 0xff]),
        pki.root().crl().issuing_distribution_point(&[0x82, 1, 0xff]),
    );
    let unknown = |depth| Err(ChainError::RevocationUnknown { depth, cause: UnknownRevocation::NoList });
    assert_eq!(judge_with(&pki, &below, strict(&[&lower, &authorities])), Ok(()));
    assert_eq!(judge_with(&pki, &below, strict(&[&lower, &users])), unknown(1));
    let device = pki.device().issue();
    assert_eq!(judge_with(&pki, &device, strict(&[&users])), Ok(()));
    assert_eq!(judge_with(&pki, &device, strict(&[&authorities])), unknown(0));
}

#[test]
fn an_issuer_that_may_not_sign_lists_signs_none() {
    let pki = Pki::new();
    let judge = |usages: &[KeyUsage]| {
        let authority = pki.root().intermediate("CA").key_usages(usages).authority();
        judge_with(&pki, &authority.leaf().issue(), strict(&[&pki.root().crl(), &authority.crl()]))
    };
    assert_eq!(judge(&[KeyUsage::KEY_CERT_SIGN, KeyUsage::CRL_SIGN]), Ok(()));
    let cause = UnknownRevocation::BadSignature;
    assert_eq!(judge(&[KeyUsage::KEY_CERT_SIGN]), Err(ChainError::RevocationUnknown { depth: 0, cause }));
}

#[test]
fn a_separate_key_of_the_same_name_may_sign_lists() {
    // RFC 5280 §6.3.3 f
    let pki = Pki::new();
    let authority = pki.root().intermediate("CA").key_usage(KeyUsage::KEY_CERT_SIGN).authority();
    let signer = |root: &Authority| {
        root.intermediate("CA").key_label("lists").key_usage(KeyUsage::CRL_SIGN).authority()
    };
    let device = authority.leaf().issue();
    let judge = |signer: &Authority| {
        let verifier = verifier(&pki, |entry| {
            entry.intermediates.push(signer.certificate().clone());
            entry.revocation = strict(&[&pki.root().crl(), &authority.crl().signed_by(signer)]);
        });
        verifier.verify(&device.presented(), Pki::NOW).map(|_| ())
    };
    assert_eq!(judge(&signer(pki.root())), Ok(()));
    let foreign = Pki::named("Foreign");
    let cause = UnknownRevocation::BadSignature;
    assert_eq!(judge(&signer(foreign.root())), Err(ChainError::RevocationUnknown { depth: 0, cause }));
}

#[test]
fn a_recheck_knows_what_was_revoked_since() {
    let pki = Pki::new();
    let device = pki.device().issue();
    let list = pki.root().crl().next_update(Some(Pki::NOW.plus_seconds(60)));
    let verifier = verifier(&pki, |entry| entry.revocation = strict(&[&list]));
    let chain = verifier.verify(&device.presented(), Pki::NOW).unwrap();
    assert_eq!(verifier.recheck(&chain, Pki::NOW.plus_seconds(60)), Ok(()));
    let expected = ChainError::CrlExpired { depth: 0, next_update: Pki::NOW.plus_seconds(60) };
    assert_eq!(verifier.recheck(&chain, Pki::NOW.plus_seconds(61)), Err(expected));
}

#[test]
fn a_list_is_signed_by_the_key_that_it_names() {
    let pki = Pki::new();
    let authority = pki.root().intermediate("CA").key_usage(KeyUsage::KEY_CERT_SIGN).authority();
    let signer = pki.root().intermediate("CA").key_label("lists").key_usage(KeyUsage::CRL_SIGN).authority();
    let device = authority.leaf().issue();
    let judge = |list: &CrlBuilder| {
        let verifier = verifier(&pki, |entry| {
            entry.intermediates.push(signer.certificate().clone());
            entry.revocation = strict(&[&pki.root().crl(), list]);
        });
        verifier.verify(&device.presented(), Pki::NOW).map(|_| ())
    };
    let list = authority.crl().signed_by(&signer);
    assert_eq!(judge(&list), Ok(()));
    let cause = UnknownRevocation::BadSignature;
    let expected = Err(ChainError::RevocationUnknown { depth: 0, cause });
    assert_eq!(judge(&list.key_identifier_of(&authority)), expected);
}

/// A list of the anchor that nobody known signed, and certificates of the anchor's name that a peer made itself.
fn unsigned_list_and_strangers() -> (Authority, CrlBuilder, Vec<Certificate>) {
    let root = Authority::root("CA").authority();
    let list = root.crl().signed_by(&Authority::root("CA").key_label("gone").authority());
    let stranger = Authority::root("CA").key_label("stranger").authority();
    let strangers = (0..8).map(|index| {
        let name = format!("x{index}");
        let builder = stranger.intermediate("CA").with_key(stranger.key()).dns_names(&[&name]);
        builder.without_key_identifiers().issue().certificate
    });
    (root, list, strangers.collect())
}

#[test]
fn keys_that_a_peer_made_up_are_never_asked_for_a_list() {
    let (root, list, strangers) = unsigned_list_and_strangers();
    let signer = root.intermediate("CA").key_label("lists").key_usage(KeyUsage::CRL_SIGN);
    let signer = signer.without_key_identifiers().authority();
    let leaf = root.leaf().issue().certificate;
    let keys_asked = |list: &CrlBuilder, strangers: &[Certificate]| {
        let anchor = TrustAnchor::new(root.certificate().clone());
        let entry = TrustEntry { revocation: strict(&[list]), ..TrustEntry::new("ca", [anchor]) };
        let verifier = ChainVerifier::new(vec![entry]).unwrap();
        let presented = [&leaf, signer.certificate()].into_iter().chain(strangers);
        let result = verifier.verify(&crate::testing::presented(presented), Pki::NOW);
        (verifier.list_signatures(), result.map(|_| ()))
    };
    let cause = UnknownRevocation::BadSignature;
    let unknown = Err(ChainError::RevocationUnknown { depth: 0, cause });
    assert_eq!(keys_asked(&root.crl().signed_by(&signer), &strangers[..2]), (2, Ok(())));
    assert_eq!(keys_asked(&list, &[]), (2, unknown.clone()), "the anchor's and the signer's");
    assert_eq!(keys_asked(&list, &strangers[..2]), (2, unknown), "and no stranger's");
}

#[test]
fn work_that_a_peer_adds_to_the_search_for_a_signer_is_bounded_and_never_lets_it_pass() {
    // SEC-54
    let (root, list, strangers) = unsigned_list_and_strangers();
    let leaf = root.leaf().issue().certificate;
    let judge = |strangers: &[Certificate]| {
        let anchor = TrustAnchor::new(root.certificate().clone());
        let revocation = checked(&[&list], OnUnknown::Allow, OnExpired::Deny);
        let entry = TrustEntry { revocation, ..TrustEntry::new("ca", [anchor]) };
        let presented = std::iter::once(&leaf).chain(strangers);
        let verifier = ChainVerifier::new(vec![entry]).unwrap();
        verifier.verify(&crate::testing::presented(presented), Pki::NOW).map(|_| ())
    };
    assert_eq!(judge(&[]), Ok(()));
    let refused = judge(&strangers).unwrap_err();
    assert!(matches!(refused, ChainError::SearchExhausted { steps: ..=2_000 }), "{refused:?}");
}

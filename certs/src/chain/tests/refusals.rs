use super::*;
use crate::extension::KeyUsage;
use crate::oid::{self, Oid};
use crate::signature::{Hash, SignatureAlgorithm};
use crate::testing::{Authority, CertificateBuilder, KeyKind, presented};
use crate::trust_store::{Purpose, TrustAnchor};
use crate::{ParseError, Version};

#[test]
fn accepts_a_device_signed_by_the_root_and_one_below_an_intermediate() {
    let pki = Pki::new();
    let direct = pki.device().issue();
    let chain = pki.verified(&direct);
    assert_eq!(chain.path(), [direct.certificate.clone(), pki.root().certificate().clone()]);
    assert_eq!((chain.leaf(), chain.anchor()), (&direct.certificate, pki.root().certificate()));
    assert_eq!((chain.entry(), chain.exceptions()), (0, &[][..]));
    let below = pki.intermediate().leaf().issue();
    assert_eq!(pki.verified(&below).path().len(), 3);
}

#[test]
fn refuses_a_leaf_that_expired_one_second_ago() {
    let pki = Pki::new();
    let not_after = Pki::NOW.plus_seconds(-1);
    let good = pki.device().not_after(Pki::NOW).issue();
    refused(&pki, &pki.device().expired().issue(), &good, ChainError::Expired { depth: 0, not_after });
}

#[test]
fn refuses_a_leaf_that_is_valid_from_the_next_second_on() {
    let pki = Pki::new();
    let not_before = Pki::NOW.plus_seconds(1);
    let bad = pki.device().not_before(not_before).issue();
    let good = pki.device().not_before(Pki::NOW).issue();
    refused(&pki, &bad, &good, ChainError::NotYetValid { depth: 0, not_before });
}

#[test]
fn refuses_an_expired_intermediate_but_does_not_look_at_the_dates_of_an_anchor() {
    let pki = Pki::new();
    let not_after = Pki::NOW.plus_seconds(-1);
    let bad = pki.root().intermediate("Late CA").expired().authority();
    let good = pki.root().intermediate("Late CA").authority();
    let (bad, good) = (bad.leaf().issue(), good.leaf().issue());
    refused(&pki, &bad, &good, ChainError::Expired { depth: 1, not_after });
    let root = Authority::root("Late Root").expired().authority();
    let late =
        ChainVerifier::new(vec![TrustEntry::new("late", [TrustAnchor::new(root.certificate().clone())])])
            .unwrap();
    let chain = late.verify(&root.leaf().issue().presented(), Pki::NOW).unwrap();
    assert!(chain.exceptions().is_empty(), "RFC 5280 §6.1.1 (d) gives an anchor no dates");
    assert_eq!(late.recheck(&chain, Pki::NOW), Ok(()));
}

#[test]
fn refuses_a_broken_signature() {
    let pki = Pki::new();
    let bad = pki.device().broken_signature().issue();
    refused(&pki, &bad, &pki.device().issue(), ChainError::BadSignature { depth: 0 });
    let bad = pki.root().intermediate("CA").broken_signature().authority().leaf().issue();
    let good = pki.root().intermediate("CA").authority().leaf().issue();
    refused(&pki, &bad, &good, ChainError::BadSignature { depth: 1 });
}

#[test]
fn refuses_algorithms_that_are_not_verified() {
    let pki = Pki::new();
    let key = pki.root().certificate().public_key().algorithm();
    let dsa = Oid::parse("1.2.840.10040.4.3").unwrap();
    for signature in [SignatureAlgorithm::Other(dsa), SignatureAlgorithm::RsaPkcs1(Hash::Sha256)] {
        let bad = pki.device().claims_algorithm(signature).issue();
        let expected = ChainError::UnsupportedAlgorithm { depth: 0, signature, key };
        refused(&pki, &bad, &pki.device().issue(), expected);
    }
    let other_hash = pki.device().claims_algorithm(SignatureAlgorithm::Ecdsa(Hash::Sha384)).issue();
    assert_eq!(judge(&pki, &other_hash), Err(ChainError::BadSignature { depth: 0 }));
}

#[test]
fn refuses_a_leaf_of_a_foreign_authority() {
    let (pki, foreign) = (Pki::new(), Pki::named("Foreign"));
    let issuer = "CN=Foreign Client Root".to_owned();
    let expected = ChainError::UnknownIssuer { depth: 0, issuer: issuer.clone() };
    refused(&pki, &foreign.device().issue(), &pki.device().issue(), expected);
    let below = foreign.intermediate().leaf().issue();
    assert_eq!(judge(&pki, &below), Err(ChainError::UnknownIssuer { depth: 1, issuer }));
}

#[test]
fn refuses_a_foreign_authority_with_the_same_name() {
    // SEC-23
    let pki = Pki::new();
    let imitation = Authority::root("Test Client Root").key_label("imitation").authority();
    refused(&pki, &imitation.leaf().issue(), &pki.leaf().issue(), ChainError::BadSignature { depth: 0 });
}

#[test]
fn refuses_a_leaf_that_lists_other_purposes() {
    // SEC-24
    let pki = Pki::new();
    let leaf = |purposes: &[Oid]| pki.device().purposes(purposes).issue();
    let expected = ChainError::ExtendedKeyUsage { depth: 0, needed: Purpose::ClientAuth, present: true };
    let good = leaf(&[oid::SERVER_AUTH, oid::CLIENT_AUTH]);
    refused(&pki, &leaf(&[oid::SERVER_AUTH]), &good, expected.clone());
    refused(&pki, &leaf(&[oid::ANY_EXTENDED_KEY_USAGE]), &good, expected.clone());
    refused(&pki, &leaf(&[oid::EMAIL_PROTECTION, oid::CODE_SIGNING]), &leaf(&[oid::CLIENT_AUTH]), expected);
    let server = |purpose| verifier(&pki, |entry| entry.purpose = purpose);
    let device = pki.device().issue();
    let refused = server(Purpose::ServerAuth).verify(&device.presented(), Pki::NOW).unwrap_err();
    assert_eq!(
        refused,
        ChainError::ExtendedKeyUsage { depth: 0, needed: Purpose::ServerAuth, present: true }
    );
    assert!(server(Purpose::Any).verify(&device.presented(), Pki::NOW).is_ok());
}

#[test]
fn refuses_a_leaf_without_purposes_only_when_they_are_required() {
    let pki = Pki::new();
    let bare = pki.device().without_extension(&oid::EXTENDED_KEY_USAGE).issue();
    assert_eq!(judge(&pki, &bare), Ok(()));
    let strict = verifier(&pki, |entry| entry.require_eku = true);
    let expected = ChainError::ExtendedKeyUsage { depth: 0, needed: Purpose::ClientAuth, present: false };
    assert_eq!(strict.verify(&bare.presented(), Pki::NOW).unwrap_err(), expected);
    assert!(strict.verify(&pki.device().issue().presented(), Pki::NOW).is_ok());
}

#[test]
fn purposes_of_an_intermediate_bind_what_is_below() {
    let pki = Pki::new();
    let below =
        |purposes: &[Oid]| pki.root().intermediate("CA").purposes(purposes).authority().leaf().issue();
    let expected = ChainError::ExtendedKeyUsage { depth: 1, needed: Purpose::ClientAuth, present: true };
    let good = below(&[oid::SERVER_AUTH, oid::CLIENT_AUTH]);
    refused(&pki, &below(&[oid::SERVER_AUTH]), &good, expected);
    assert_eq!(judge(&pki, &below(&[oid::ANY_EXTENDED_KEY_USAGE])), Ok(()));
}

#[test]
fn refuses_a_leaf_whose_key_may_not_sign() {
    let pki = Pki::new();
    let bad = pki.device().key_usage(KeyUsage::KEY_ENCIPHERMENT).issue();
    let expected = ChainError::KeyUsage { depth: 0, needed: KeyUsage::DIGITAL_SIGNATURE };
    let good = pki.device().key_usages(&[KeyUsage::KEY_ENCIPHERMENT, KeyUsage::DIGITAL_SIGNATURE]).issue();
    refused(&pki, &bad, &good, expected);
    let bare = pki.device().without_extension(&oid::KEY_USAGE).issue();
    assert_eq!(judge(&pki, &bare), Ok(()), "a key without the extension may do anything");
}

#[test]
fn refuses_an_issuer_whose_key_may_not_sign_certificates() {
    let pki = Pki::new();
    let below = |usage| pki.root().intermediate("CA").key_usage(usage).authority().leaf().issue();
    let expected = ChainError::KeyUsage { depth: 1, needed: KeyUsage::KEY_CERT_SIGN };
    refused(&pki, &below(KeyUsage::CRL_SIGN), &below(KeyUsage::KEY_CERT_SIGN), expected);
}

#[test]
fn refuses_an_issuer_that_is_no_authority() {
    let pki = Pki::new();
    let below = |change: fn(CertificateBuilder) -> CertificateBuilder| {
        change(pki.root().intermediate("CA")).authority().leaf().issue()
    };
    let good = below(|authority| authority);
    let expected = ChainError::NotACertificateAuthority { depth: 1 };
    let without = below(|authority| authority.without_extension(&oid::BASIC_CONSTRAINTS));
    refused(&pki, &without, &good, expected.clone());
    let denied = below(|authority| authority.extension(oid::BASIC_CONSTRAINTS, true, &[0x30, 0]));
    refused(&pki, &denied, &good, expected.clone());
    let by_device = pki.device().authority().leaf().issue();
    refused(&pki, &by_device, &good, expected);
}

#[test]
fn refuses_an_authority_as_a_leaf() {
    // SEC-24
    let pki = Pki::new();
    let leaf = |ca: &[u8]| pki.device().extension(oid::BASIC_CONSTRAINTS, true, ca).issue();
    refused(&pki, &leaf(&[0x30, 3, 1, 1, 0xff]), &leaf(&[0x30, 0]), ChainError::LeafIsAuthority);
    let root = presented([pki.root().certificate()]);
    assert_eq!(pki.verifier().verify(&root, Pki::NOW).unwrap_err(), ChainError::LeafIsAuthority);
}

#[test]
fn refuses_more_intermediates_than_an_issuer_allows() {
    let pki = Pki::new();
    let chain = |limit: u64| {
        let upper = pki.root().intermediate("Upper CA").is_authority(Some(limit)).authority();
        upper.intermediate("Lower CA").authority().leaf().issue()
    };
    refused(&pki, &chain(0), &chain(1), ChainError::PathLength { depth: 2, limit: 0 });
}

#[test]
fn refuses_more_intermediates_than_the_verifier_allows() {
    let pki = Pki::new();
    let chain = pki.intermediate().leaf().issue();
    assert!(pki.verifier().with_max_intermediates(1).verify(&chain.presented(), Pki::NOW).is_ok());
    let refused = pki.verifier().with_max_intermediates(0).verify(&chain.presented(), Pki::NOW).unwrap_err();
    assert_eq!(refused, ChainError::TooManyIntermediates { limit: 0 });
}

#[test]
fn refuses_names_that_an_issuer_may_not_give() {
    let pki = Pki::new();
    let authority = pki
        .root()
        .intermediate("CA")
        .name_constraints(
            &[(0x82, b"example.com")],
            &[(0x82, b"no.example.com"), (0x87, &[10, 0, 0, 0, 255, 0, 0, 0])],
        )
        .authority();
    let leaf = |names: &[(u8, &[u8])]| {
        authority.leaf().attribute(oid::COMMON_NAME, "x").alternative_names(names).issue()
    };
    let expected = |name: &str| ChainError::NameConstraints { depth: 0, issuer: 1, name: name.to_owned() };
    let good = leaf(&[(0x82, b"phone.example.com"), (0x87, &[192, 0, 2, 1])]);
    refused(&pki, &leaf(&[(0x82, b"phone.example.net")]), &good, expected("DNS:phone.example.net"));
    refused(&pki, &leaf(&[(0x82, b"a.no.example.com")]), &good, expected("DNS:a.no.example.com"));
    refused(&pki, &leaf(&[(0x87, &[10, 1, 2, 3])]), &good, expected("IP:10.1.2.3"));
    assert_eq!(
        judge(&pki, &leaf(&[(0x86, b"https://10.1.2.3/")])),
        Ok(()),
        "SEC-18: kinds never match one another"
    );
}

#[test]
fn refuses_subjects_and_addresses_that_an_issuer_may_not_give() {
    let pki = Pki::new();
    let base = pki.leaf().attribute(oid::ORGANIZATION, "Acme").issue().certificate;
    let authority = pki
        .root()
        .intermediate("CA")
        .name_constraints(&[(0xa4, base.subject().der()), (0x81, b"acme.example")], &[])
        .authority();
    let leaf = |organization: &str, address: &str| {
        authority.leaf().attribute(oid::ORGANIZATION, organization).attribute(oid::EMAIL, address).issue()
    };
    let good = leaf("ACME", "a@acme.example");
    let name = "DirName:emailAddress=a@acme.example,O=Other".to_owned();
    let expected = ChainError::NameConstraints { depth: 0, issuer: 1, name };
    refused(&pki, &leaf("Other", "a@acme.example"), &good, expected);
    let name = "email:a@other.example".to_owned();
    let expected = ChainError::NameConstraints { depth: 0, issuer: 1, name };
    refused(&pki, &leaf("Acme", "a@other.example"), &good, expected);
}

#[test]
fn refuses_unknown_critical_extensions_anywhere() {
    let pki = Pki::new();
    let oid = Oid::parse("1.2.3.4").unwrap();
    let leaf = |critical| pki.device().extension(oid, critical, &[5, 0]).issue();
    refused(&pki, &leaf(true), &leaf(false), ChainError::UnknownCriticalExtension { depth: 0, oid });
    let below =
        |critical| pki.root().intermediate("CA").extension(oid, critical, &[5, 0]).authority().leaf().issue();
    refused(&pki, &below(true), &below(false), ChainError::UnknownCriticalExtension { depth: 1, oid });
}

#[test]
fn refuses_certificates_that_break_the_profile() {
    let pki = Pki::new();
    let constraints = crate::der::encode(0x30, &[0xa0, 5, 0x30, 3, 0x82, 1, b'a']);
    let with = |oid, critical, value: &[u8]| pki.device().extension(oid, critical, value).issue();
    let good = pki.device().issue();
    let rule = |rule| ChainError::NotConforming { depth: 0, rule };
    let identifier = crate::der::encode(0x04, &[1; 20]);
    let bad = with(oid::SUBJECT_KEY_IDENTIFIER, true, &identifier);
    refused(
        &pki,
        &bad,
        &with(oid::SUBJECT_KEY_IDENTIFIER, false, &identifier),
        rule("subjectKeyIdentifier is critical"),
    );
    let bad = with(oid::NAME_CONSTRAINTS, true, &constraints);
    refused(&pki, &bad, &good, rule("nameConstraints without being an authority"));
    let bad = with(oid::POLICY_CONSTRAINTS, false, &[0x30, 3, 0x80, 1, 5]);
    let good = with(oid::POLICY_CONSTRAINTS, true, &[0x30, 3, 0x80, 1, 5]);
    refused(&pki, &bad, &good, rule("policyConstraints is not critical"));
}

#[test]
fn refuses_paths_that_end_every_policy_when_one_is_required() {
    let pki = Pki::new();
    let policy = |number: u8| [0x30, 0x07, 0x30, 0x05, 0x06, 0x03, 0x2a, 0x03, number];
    let authority = pki
        .root()
        .intermediate("CA")
        .extension(oid::CERTIFICATE_POLICIES, true, &policy(4))
        .extension(oid::POLICY_CONSTRAINTS, true, &[0x30, 3, 0x80, 1, 0])
        .authority();
    let leaf = |number| authority.leaf().extension(oid::CERTIFICATE_POLICIES, true, &policy(number)).issue();
    refused(&pki, &leaf(5), &leaf(4), ChainError::InvalidPolicy { depth: 0 });
}

#[test]
fn refuses_versions_1_and_2() {
    let pki = Pki::new();
    for version in [Version::V1, Version::V2] {
        let bad = pki.device().version(version).issue();
        refused(&pki, &bad, &pki.device().issue(), ChainError::UnsupportedVersion { depth: 0, version });
    }
}

#[test]
fn limits_hold_for_what_is_presented() {
    // SEC-54, CA.md I9
    let pki = Pki::new();
    let leaf = pki.device().issue().certificate;
    let chain = |count| PresentedChain::parse(std::iter::repeat_n(leaf.der(), count));
    assert_eq!(PresentedChain::parse(std::iter::empty::<&[u8]>()), Err(ChainError::Empty));
    assert!(chain(10).is_ok());
    assert_eq!(chain(11), Err(ChainError::TooManyCertificates { limit: 10 }));
    let large = pki.device().extension(Oid::parse("1.2.3").unwrap(), false, &[0; 33_000]).to_der();
    assert!(PresentedChain::parse([&large]).is_ok());
    let size = large.len() * 2;
    assert_eq!(PresentedChain::parse([&large, &large]), Err(ChainError::TooLarge { size, limit: 65_536 }));
    let broken = PresentedChain::parse([leaf.der(), &[0x30]]);
    assert!(matches!(broken, Err(ChainError::Malformed { depth: 1, source: ParseError::Der { .. } })));
}

#[test]
fn refuses_keys_beyond_8192_bits() {
    // SEC-54
    let pki = Pki::new();
    let with_modulus = |bytes: usize| {
        let leaf = pki.device().key(KeyKind::Rsa512).issue().certificate;
        let modulus = [&[0, 0xff][..], &vec![0xff; bytes - 1]].concat();
        let key = [crate::der::encode(2, &modulus), crate::der::encode(2, &[1, 0, 1])].concat();
        let key = [&[0][..], &crate::der::encode(0x30, &key)].concat();
        let algorithm = crate::der::encode(
            0x30,
            &[&crate::der::encode(6, oid::RSA_ENCRYPTION.as_bytes())[..], &[5, 0]].concat(),
        );
        let spki = crate::der::encode(0x30, &[algorithm, crate::der::encode(3, &key)].concat());
        splice(leaf.der(), leaf.public_key().spki_der(), &spki)
    };
    assert!(PresentedChain::parse([with_modulus(1024)]).is_ok());
    let expected = ChainError::KeyTooLarge { depth: 0, bits: 8200, limit: 8192 };
    assert_eq!(PresentedChain::parse([with_modulus(1025)]), Err(expected));
}

/// Replaces a part of the signed half of a certificate; the signature no longer verifies.
fn splice(der: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut outer = crate::der::Reader::new(der).sequence("a certificate").unwrap();
    let tbs = outer.any().unwrap();
    let (algorithm, signature) = (outer.any().unwrap(), outer.any().unwrap());
    let at = tbs.value.windows(old.len()).position(|window| window == old).unwrap();
    let contents = [&tbs.value[..at], new, &tbs.value[at + old.len()..]].concat();
    let tbs = crate::der::encode(0x30, &contents);
    crate::der::encode(0x30, &[&tbs, algorithm.encoded, signature.encoded].concat())
}

use proptest::prelude::*;

use super::*;
use crate::testing::{KeyKind, Pki};
use crate::{CertificationRequest, GeneralName, KeyAlgorithm, RevocationList};

#[test]
fn facts_are_read() {
    let pki = Pki::new();
    let leaf = pki
        .device()
        .serial(&[0x0a, 0xbc])
        .alternative_names(&[
            (0x82, b"a.example"),
            (0x87, &[192, 0, 2, 1]),
            (0x86, b"urn:x"),
            (0x81, b"a@b.example"),
        ])
        .distribution_point("http://crl.example/1.crl")
        .issue()
        .certificate;
    assert_eq!(leaf.version(), Version::V3);
    assert_eq!(leaf.serial().to_string(), "0ABC");
    assert_eq!(leaf.issuer(), pki.root().certificate().subject());
    assert_eq!(leaf.validity().not_after, Pki::NOW.plus_seconds(365 * 86_400));
    assert_eq!(leaf.public_key().algorithm(), KeyAlgorithm::Ec { curve: crate::Curve::P256 });
    assert!(leaf.key_usage().unwrap().allows(KeyUsage::DIGITAL_SIGNATURE));
    assert!(leaf.extended_key_usage().unwrap().lists(&oid::CLIENT_AUTH));
    assert_eq!(leaf.basic_constraints(), None);
    assert_eq!(leaf.crl_distribution_points()[0].uris().collect::<Vec<_>>(), ["http://crl.example/1.crl"]);
    let names = leaf.subject_alternative_names().unwrap();
    let text: Vec<_> = names.names().map(GeneralName::to_string).collect();
    assert_eq!(text, ["DNS:a.example", "IP:192.0.2.1", "URI:urn:x", "email:a@b.example"]);
    let authority =
        leaf.authority_key_identifier().and_then(|identifier| identifier.key_identifier.as_deref());
    assert_eq!(authority, pki.root().certificate().subject_key_identifier());
    assert_eq!(Certificate::parse_pem(leaf.to_pem()), Ok(leaf.clone()));
    assert_eq!(leaf.fingerprint(), Fingerprint::of(leaf.der()));
    assert!(!leaf.is_self_issued() && pki.root().certificate().is_self_issued());
}

#[test]
fn versions_1_and_2_have_no_extensions() {
    for version in [Version::V1, Version::V2] {
        let certificate = Pki::new().device().version(version).issue().certificate;
        assert_eq!(certificate.version(), version);
        assert!(certificate.extensions().is_empty());
    }
}

#[test]
fn key_sizes_are_those_of_the_modulus() {
    for (kind, bits) in [(KeyKind::Rsa512, 512), (KeyKind::Rsa1024, 1024), (KeyKind::Rsa2048, 2048)] {
        let certificate = Pki::new().device().key(kind).issue().certificate;
        assert_eq!(certificate.public_key().algorithm(), KeyAlgorithm::Rsa { bits });
    }
}

#[test]
fn odd_serials_are_read() {
    // SEC-57
    for (bytes, text) in [(&[0xff][..], "-01"), (&[0], "00"), (&[0x00, 0x80], "80"), (&[0x11; 30], "")] {
        let certificate = Pki::new().device().serial(bytes).issue().certificate;
        assert!(text.is_empty() || certificate.serial().to_string() == text);
    }
}

#[test]
fn a_padded_serial_is_read_as_the_number_that_it_is() {
    // SEC-57
    let der = Pki::new().device().serial(&[0x11, 0x22, 0x33, 0x44]).broken_signature().to_der();
    let serial = [0x02, 0x04, 0x11, 0x22, 0x33, 0x44];
    let at = der.windows(serial.len()).position(|window| window == serial).unwrap();
    let mut padded = der.clone();
    padded[at + 2] = 0;
    let certificate = Certificate::parse(&padded).unwrap();
    assert_eq!(certificate.serial(), &Serial::from_bytes(&[0x22, 0x33, 0x44]));
    let list = Pki::new().root().crl().revoke_serial(&Serial::from_bytes(&[0x11, 0x22, 0x33, 0x44])).to_der();
    let at = list.windows(serial.len()).position(|window| window == serial).unwrap();
    let mut padded = list.clone();
    padded[at + 2] = 0;
    assert!(RevocationList::parse(&padded).unwrap().contains(certificate.serial()).is_some());
}

#[test]
fn refuses_repeated_and_malformed_extensions() {
    let leaf = Pki::new().device();
    let malformed = leaf.clone().extension(oid::KEY_USAGE, true, &[5, 0]).to_der();
    assert!(matches!(Certificate::parse(&malformed), Err(ParseError::Der { what: "keyUsage", .. })));
    for (oid, value) in [
        (oid::SUBJECT_ALTERNATIVE_NAME, &[0x30, 0x04, 0x82, 0x02, b'a', 0xff][..]),
        (oid::SUBJECT_ALTERNATIVE_NAME, &[0x30, 0x03, 0x87, 0x01, 1]),
        (oid::EXTENDED_KEY_USAGE, &[0x30, 0x00]),
        (oid::BASIC_CONSTRAINTS, &[0x30, 0x03, 0x01, 0x01, 0x01]),
        (oid::NAME_CONSTRAINTS, &[0x30, 0x00]),
        (oid::POLICY_CONSTRAINTS, &[0x30, 0x00]),
        (oid::CRL_DISTRIBUTION_POINTS, &[0x30, 0x00]),
    ] {
        let der = leaf.clone().extension(oid, false, value).to_der();
        assert!(matches!(Certificate::parse(&der), Err(ParseError::Der { .. })), "{oid}");
    }
}

#[test]
fn refuses_two_signature_algorithms_in_one_certificate() {
    // RFC 5280 §4.1.1.2
    let der = Pki::new().device().to_der();
    let algorithm = oid::ECDSA_WITH_SHA256.as_bytes();
    let outer = der.windows(algorithm.len()).rposition(|window| window == algorithm).unwrap();
    let changed =
        [&der[..outer], oid::ECDSA_WITH_SHA384.as_bytes(), &der[outer + algorithm.len()..]].concat();
    assert!(Certificate::parse(&der).is_ok());
    assert_eq!(Certificate::parse(&changed), Err(ParseError::AlgorithmMismatch { what: "certificate" }));
}

#[test]
fn refuses_versions_that_do_not_exist_and_extensions_in_old_ones() {
    let der = Pki::new().device().to_der();
    let version = der.windows(5).position(|window| window == [0xa0, 3, 2, 1, 2]).unwrap() + 4;
    let with = |number: u8| {
        let mut changed = der.clone();
        changed[version] = number;
        Certificate::parse(&changed).map(|_| ())
    };
    assert_eq!(with(2), Ok(()));
    assert_eq!(with(1), Err(ParseError::ExtensionsInOldVersion { version: 2 }));
    for version in [0, 3] {
        let what = "certificate";
        assert_eq!(
            with(u8::try_from(version).unwrap()),
            Err(ParseError::UnsupportedVersion { what, version })
        );
    }
}

#[test]
fn refuses_trailing_data_and_oversize() {
    // SEC-54, CA.md I9
    let leaf = Pki::new().device();
    let der = leaf.to_der();
    assert!(Certificate::parse(&der).is_ok());
    let source = crate::DerError { offset: der.len(), problem: crate::DerProblem::Trailing };
    let expected = ParseError::Der { what: "certificate", source };
    assert_eq!(Certificate::parse(&[&der[..], &[0]].concat()), Err(expected));
    let unknown = Oid::parse("1.2.3").unwrap();
    let size = |bytes: usize| leaf.clone().extension(unknown, false, &vec![0; bytes]).to_der();
    assert!(Certificate::parse(&size(60_000)).is_ok());
    let large = size(Certificate::MAX_SIZE);
    let expected =
        ParseError::TooLarge { what: "certificate", size: large.len(), limit: Certificate::MAX_SIZE };
    assert_eq!(Certificate::parse(&large), Err(expected));
}

#[test]
fn refuses_more_extensions_than_any_honest_certificate_has() {
    // SEC-54
    let with = |count: usize| {
        let add = |leaf: crate::testing::CertificateBuilder, number| {
            leaf.extension(Oid::parse(&format!("1.2.{number}")).unwrap(), false, &[5, 0])
        };
        let leaf = Pki::new().leaf().without_key_identifiers();
        let existing = 2;
        Certificate::parse(&(existing..count).fold(leaf, add).to_der()).map(|_| ())
    };
    assert_eq!(with(Extension::MAX), Ok(()));
    assert!(matches!(with(Extension::MAX + 1), Err(ParseError::Der { .. })));
}

proptest! {
    #[test]
    fn random_bytes_panic_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Certificate::parse(&bytes);
        let _ = CertificationRequest::parse_file(&bytes);
        let _ = RevocationList::parse(&bytes);
        let _ = pem::blocks(&bytes);
        let _ = PublicKey::from_spki_der(&bytes);
        let _ = DistinguishedName::parse(&bytes);
    }

    #[test]
    fn mutated_certificates_panic_nothing(index in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let der = Pki::new()
            .device()
            .alternative_names(&[(0x82, b"a.example"), (0x87, &[192, 0, 2, 1])])
            .name_constraints(&[(0x82, b"example")], &[(0x87, &[10, 0, 0, 0, 255, 0, 0, 0])])
            .distribution_point("http://crl.example/1.crl")
            .to_der();
        let mut changed = der.clone();
        changed[index.index(der.len())] = byte;
        for bytes in [&changed[..], &changed[..cut.index(der.len())]] {
            if let Ok(certificate) = Certificate::parse(bytes) {
                let _ = (certificate.subject().to_string(), certificate.subject().to_one_line());
                let _ = format!("{certificate:?}");
                let _ = Pki::new().verifier().verify(&crate::testing::presented([&certificate]), Pki::NOW);
            }
        }
    }

    #[test]
    fn mutated_lists_panic_nothing(index in any::<prop::sample::Index>(), byte: u8) {
        let pki = Pki::new();
        let device = pki.device().issue().certificate;
        let der = pki.root().crl().revoke_because(&device, 1).for_distribution_point("http://a.example/").to_der();
        let mut changed = der.clone();
        changed[index.index(der.len())] = byte;
        if let Ok(list) = RevocationList::parse(&changed) {
            let _ = list.contains(device.serial());
            let _ = list.verify_signature(pki.root().certificate().public_key());
        }
    }
}

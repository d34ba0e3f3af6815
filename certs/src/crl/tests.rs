use super::*;
use crate::testing::Pki;

#[test]
fn finds_revoked_serials_and_nothing_else() {
    let pki = Pki::new();
    let certificate = pki.device().issue().certificate;
    let other = pki.device().issue().certificate;
    let builder = pki.root().crl().number(0x2a).revoke_because(&certificate, 1);
    let list = builder.build();
    let date = Pki::NOW.plus_seconds(-3600);
    let revoked = Revoked { date, reason: Some(RevocationReason::KeyCompromise) };
    assert_eq!(list.contains(certificate.serial()), Some(revoked));
    assert_eq!(list.contains(other.serial()), None);
    assert_eq!((list.len(), list.is_usable()), (1, true));
    assert_eq!(list.number().unwrap().to_string(), "2A");
    assert_eq!(list.issuer(), pki.root().certificate().subject());
    assert!(list.verify_signature(pki.root().certificate().public_key()).is_ok());
    let foreign = Pki::named("Foreign");
    assert_eq!(list.verify_signature(foreign.root().certificate().public_key()), Err(SignatureError::Bad));
    assert_eq!(RevocationList::parse(builder.to_pem().as_bytes()).unwrap().len(), 1);
}

#[test]
fn an_empty_list_is_usable() {
    // SEC-48
    let list = Pki::new().root().crl().build();
    assert!(list.is_empty() && list.is_usable());
    assert_eq!(list.contains(&Serial::from_bytes(&[1])), None);
}

#[test]
fn negative_and_long_serials_are_found() {
    // SEC-57
    let serials = [&[0xff][..], &[0x80, 0x01], &[0x00], &[0x7f; 20], &[0x00, 0x80]].map(Serial::from_bytes);
    let builder = Pki::new().root().crl();
    let list = serials.iter().fold(builder, |builder, serial| builder.revoke_serial(serial)).build();
    assert!(serials.iter().all(|serial| list.contains(serial).is_some()));
    assert_eq!(list.contains(&Serial::from_bytes(&[0x80])), None);
}

#[test]
fn a_large_list_is_searched_by_hash() {
    let serial = |number: u32| Serial::from_bytes(&[&[1], &number.to_be_bytes()[..]].concat());
    let builder = Pki::new().root().crl();
    let list =
        (0..20_000).map(|n| serial(n * 2)).fold(builder, |builder, serial| builder.revoke_serial(&serial));
    let list = list.build();
    assert_eq!(list.len(), 20_000);
    assert!((0..20_000).all(|number| list.contains(&serial(number * 2)).is_some()));
    assert!((0..20_000).all(|number| list.contains(&serial(number * 2 + 1)).is_none()));
}

#[test]
fn a_version_1_list_is_usable() {
    let pki = Pki::new();
    let certificate = pki.device().issue().certificate;
    let list = pki.root().crl().version_1().revoke(&certificate).build();
    assert!(list.is_usable() && list.contains(certificate.serial()).is_some());
}

#[test]
fn lists_that_cannot_be_relied_on_are_read_and_say_why() {
    let pki = Pki::new();
    let crl = || pki.root().crl();
    let unknown = Oid::parse("1.2.3.4").unwrap();
    let serial = Serial::from_bytes(&[1]);
    assert_eq!(crl().extension(unknown, false, &[5, 0]).build().unusable_reason(), None);
    for (builder, reason) in [
        (crl().extension(unknown, true, &[5, 0]), Unusable::UnknownCriticalExtension { oid: unknown }),
        (
            crl().entry(&serial, &[(unknown, true, vec![5, 0])]),
            Unusable::UnknownCriticalExtension { oid: unknown },
        ),
        (crl().entry(&serial, &[(oid::CERTIFICATE_ISSUER, true, vec![0x30, 0])]), Unusable::Indirect),
        (crl().extension(oid::DELTA_CRL_INDICATOR, true, &[2, 1, 1]), Unusable::Delta),
        (crl().issuing_distribution_point(&[0x84, 1, 0xff]), Unusable::Indirect),
        (crl().issuing_distribution_point(&[0x83, 2, 1, 0x40]), Unusable::SomeReasons),
        (crl().issuing_distribution_point(&[0x85, 1, 0xff]), Unusable::AttributeCertificates),
        (crl().issuing_distribution_point(&[0x81, 1, 0xff, 0x82, 1, 0xff]), Unusable::ContradictoryScope),
        (
            crl().issuing_distribution_point(&[0x89, 1, 0xff]),
            Unusable::MalformedExtension { oid: oid::ISSUING_DISTRIBUTION_POINT },
        ),
        (crl().next_update(None), Unusable::NoNextUpdate),
        (
            crl().extension(oid::CRL_NUMBER, false, &[&[2, 21], &[1; 21][..]].concat()),
            Unusable::MalformedExtension { oid: oid::CRL_NUMBER },
        ),
        (
            crl().extension(oid::CRL_NUMBER, true, &[2, 1, 1]),
            Unusable::MalformedExtension { oid: oid::CRL_NUMBER },
        ),
        (
            crl().entry(&serial, &[(oid::REASON_CODE, false, vec![0x0a, 1, 7])]),
            Unusable::MalformedExtension { oid: oid::REASON_CODE },
        ),
    ] {
        let list = builder.build();
        assert_eq!(list.unusable_reason(), Some(reason));
        assert!(!list.is_usable());
    }
}

#[test]
fn what_is_no_list_is_refused() {
    let der = Pki::new().root().crl().to_der();
    assert!(RevocationList::parse(&der).is_ok());
    let trailing = [&der[..], &[0]].concat();
    let source = der::DerError { offset: der.len(), problem: der::DerProblem::Trailing };
    assert_eq!(RevocationList::parse(&trailing).unwrap_err(), ParseError::Der { what: "CRL", source });
    let certificate = Pki::new().root().certificate().to_pem();
    let refused = RevocationList::parse(certificate.as_bytes()).unwrap_err();
    assert!(matches!(refused, ParseError::WrongLabel { line: 1, expected: "X509 CRL", .. }));
    assert!(RevocationList::parse(b"").is_err() && RevocationList::parse(b"no CRL at all").is_err());
}

#[test]
fn a_list_of_one_serial_number_loads_as_fast_as_any_other() {
    const ENTRIES: usize = 200_000;
    let certificate = Pki::new().device().issue().certificate;
    let twice =
        Pki::new().root().crl().revoke_because(&certificate, 1).revoke_because(&certificate, 4).build();
    let reason = twice.contains(certificate.serial()).unwrap().reason;
    assert_eq!((twice.len(), reason), (2, Some(RevocationReason::KeyCompromise)), "the first entry counts");
    let once = Pki::new().root().crl().revoke(&certificate);
    let template = once.to_der();
    let same = with_entries_repeated(&template, ENTRIES);
    let begin = std::time::Instant::now();
    let list = RevocationList::parse(&same).unwrap();
    assert_eq!(list.len(), ENTRIES);
    assert!(list.contains(certificate.serial()).is_some());
    assert!(list.contains(&Serial::from_bytes(&[1])).is_none());
    // One probe chain through all of them would take hours.
    assert!(begin.elapsed() < std::time::Duration::from_secs(30), "took {:?}", begin.elapsed());
}

#[test]
fn refuses_an_extension_of_an_entry_that_stands_twice() {
    let serial = Serial::from_bytes(&[1]);
    let reason = |code| (oid::REASON_CODE, false, vec![0x0a, 1, code]);
    let parse = |extensions: &[_]| {
        RevocationList::parse(&Pki::new().root().crl().entry(&serial, extensions).to_der()).map(|_| ())
    };
    assert_eq!(parse(&[reason(1)]), Ok(()));
    let refused = parse(&[reason(1), reason(8)]).unwrap_err();
    let ParseError::Der { what: "CRL", source } = refused else { panic!("{refused:?}") };
    assert_eq!(source.problem, der::DerProblem::Invalid("repeated extension of an entry"));
}

#[test]
fn refuses_extensions_of_entries_in_a_version_1_list() {
    let serial = Serial::from_bytes(&[1]);
    let list = || Pki::new().root().crl().version_1();
    assert!(RevocationList::parse(&list().revoke_serial(&serial).to_der()).is_ok());
    let extended = list().entry(&serial, &[(oid::REASON_CODE, false, vec![0x0a, 1, 1])]).to_der();
    let expected = ParseError::ExtensionsInOldVersion { version: 1 };
    assert_eq!(RevocationList::parse(&extended).unwrap_err(), expected);
}

/// A list whose only entry stands many times, under a signature that no longer verifies.
fn with_entries_repeated(der: &[u8], times: usize) -> Vec<u8> {
    let mut fields = Reader::new(der).sequence("a list").unwrap();
    let tbs = fields.any().unwrap();
    let rest = [fields.any().unwrap().encoded, fields.any().unwrap().encoded].concat();
    let mut reader = tbs.reader();
    let mut parts = Vec::new();
    let mut sequences = 0;
    while !reader.is_empty() {
        let part = reader.any().unwrap();
        sequences += usize::from(part.tag == tag::SEQUENCE);
        // After the algorithm and the issuer come the entries.
        if sequences == 3 && part.tag == tag::SEQUENCE {
            parts.extend(der::encode(tag::SEQUENCE, &part.value.repeat(times)));
        } else {
            parts.extend_from_slice(part.encoded);
        }
    }
    der::encode(tag::SEQUENCE, &[der::encode(tag::SEQUENCE, &parts), rest].concat())
}

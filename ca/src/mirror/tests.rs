use certs::testing::{Authority, CertificateBuilder, KeyKind, Pki};
use certs::{Hash, KeyUsage, PublicKey, oid};

use super::*;
use crate::device::DeviceIdentity;
use crate::random::OperatingSystem;

const OPTIONS: MirrorOptions = MirrorOptions { keep_dates: false, days: None, device: None };
const NOW: Timestamp = Pki::NOW;

fn made(certificates: &[&Certificate], options: &MirrorOptions) -> Result<Vec<Twin>, IssueError> {
    let certificates: Vec<Certificate> = certificates.iter().copied().cloned().collect();
    mirror(&certificates, options, NOW, &OperatingSystem)
}

fn names(twins: &[Twin]) -> Vec<&str> {
    twins.iter().map(|twin| twin.name.as_str()).collect()
}

/// Names byte for byte, the same extensions in the same order but for the mark, and a signature by the one above.
fn assert_faithful(twins: &[Twin]) {
    for (index, twin) in twins.iter().enumerate() {
        let Some(original) = &twin.original else { continue };
        let copy = &twin.certificate;
        assert_eq!(copy.subject().der(), original.subject().der());
        assert_eq!(copy.issuer().der(), original.issuer().der());
        assert_eq!(copy.version(), original.version());
        assert_eq!(copy.signature_algorithm(), original.signature_algorithm());
        assert_eq!(copy.public_key().algorithm(), original.public_key().algorithm());
        assert_eq!(exponent(copy.public_key()), exponent(original.public_key()));
        assert_ne!(copy.public_key(), original.public_key());
        let (before, mut after) = (original.extensions(), copy.extensions());
        if copy.version() == Version::V3 {
            assert_eq!(after.len(), before.len() + 1);
            assert_eq!(after[before.len()].oid.to_string(), MARKER.to_string());
            assert!(!after[before.len()].critical);
            after = &after[..before.len()];
        }
        for (one, other) in before.iter().zip(after) {
            assert_eq!(
                (one.oid, one.critical, one.value.len()),
                (other.oid, other.critical, other.value.len())
            );
            if ![oid::SUBJECT_KEY_IDENTIFIER, oid::AUTHORITY_KEY_IDENTIFIER].contains(&one.oid) {
                assert_eq!(one.value, other.value);
            }
        }
        assert!(is_twin(copy) && !is_twin(original));
        assert!(copy.serial().as_bytes().starts_with(&SERIAL_PREFIX));
        let issuer = index.checked_sub(1).map_or(copy, |above| &twins[above].certificate);
        copy.signature_algorithm().verify(issuer.public_key(), copy.tbs(), copy.signature()).unwrap();
        let named = copy.authority_key_identifier().and_then(|one| one.key_identifier.as_deref());
        assert!(named.is_none() || named == issuer.subject_key_identifier(), "{}", twin.name);
    }
}

fn verifier_accepts(twins: &[Twin]) -> bool {
    let anchor = certs::TrustAnchor::new(twins[0].certificate.clone());
    let mut entry = certs::TrustEntry::new("twins", [anchor]);
    entry.purpose = certs::Purpose::Any;
    let chain = certs::testing::presented(twins.iter().skip(1).rev().map(|twin| &twin.certificate));
    certs::ChainVerifier::new(vec![entry]).unwrap().verify(&chain, NOW).is_ok()
}

#[test]
fn a_whole_chain_in_any_order_is_mirrored_and_verifies() {
    let pki = Pki::new();
    let leaf = pki.intermediate().leaf().bmp_attribute(oid::SURNAME, "000e08aaaaaa").issue();
    let (root, middle) = (pki.root().certificate(), pki.intermediate().certificate());
    for order in [[root, middle, &leaf.certificate], [middle, &leaf.certificate, root]] {
        let twins = made(&order, &OPTIONS).unwrap();
        assert_eq!(names(&twins), ["root", "intermediate", "leaf"]);
        assert_faithful(&twins);
        assert!(verifier_accepts(&twins));
    }
}

#[test]
fn every_kind_of_key_and_signature_is_kept() {
    for kind in
        [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519, KeyKind::Rsa1024, KeyKind::Rsa2048]
    {
        let pki = Pki::with_key("Kinds", kind);
        let leaf = pki.intermediate().leaf().attribute(oid::SURNAME, "x").key(kind).issue();
        let (root, middle) = (pki.root().certificate(), pki.intermediate().certificate());
        assert_faithful(&made(&[root, middle, &leaf.certificate], &OPTIONS).unwrap());
    }
    let root = Authority::root("Old").key(KeyKind::Rsa1024).authority();
    for algorithm in [
        SignatureAlgorithm::RsaPkcs1(Hash::Md5),
        SignatureAlgorithm::RsaPkcs1(Hash::Sha1),
        SignatureAlgorithm::RsaPkcs1(Hash::Sha512),
        SignatureAlgorithm::RsaPss(Hash::Sha256),
    ] {
        let leaf = root.leaf().attribute(oid::SURNAME, "x").signed_with(algorithm).issue();
        assert_faithful(&made(&[root.certificate(), &leaf.certificate], &OPTIONS).unwrap());
    }
}

#[test]
fn a_certificate_of_version_1_is_marked_in_its_serial_number() {
    let root = Authority::root("Old").key(KeyKind::Rsa1024).version(Version::V1).authority();
    let leaf = root.leaf().attribute(oid::SURNAME, "x").version(Version::V1).issue();
    let twins = made(&[&leaf.certificate, root.certificate()], &OPTIONS).unwrap();
    assert_eq!(names(&twins), ["root", "leaf"]);
    assert_faithful(&twins);
    assert!(twins.iter().all(|twin| twin.certificate.extensions().is_empty()));
}

#[test]
fn lengths_of_life_stay_or_the_very_dates() {
    let pki = Pki::new();
    let leaf = pki.device().not_before(NOW.plus_seconds(-86_400)).issue();
    let chain = [pki.root().certificate(), &leaf.certificate];
    let twins = made(&chain, &OPTIONS).unwrap();
    let length = |one: &Certificate| one.validity().not_after.unix() - one.validity().not_before.unix();
    for (twin, original) in twins.iter().zip(chain) {
        assert_eq!(length(&twin.certificate), length(original));
    }
    assert_eq!(twins[1].certificate.validity().not_before, NOW.plus_seconds(-3600), "the newest begins now");
    assert_eq!(twins[0].certificate.validity().not_after, twins[1].certificate.validity().not_after);
    let kept = made(&chain, &MirrorOptions { keep_dates: true, ..OPTIONS }).unwrap();
    assert!(
        kept.iter().zip(chain).all(|(twin, original)| twin.certificate.validity() == original.validity())
    );
    let short = made(&chain, &MirrorOptions { days: Some(7), ..OPTIONS }).unwrap();
    assert!(short.iter().all(|twin| twin.certificate.validity().not_after < NOW.plus_seconds(7 * 86_400)));
    // "No end" is no date that could move.
    let endless = Authority::root("Endless").not_after(NO_END).authority();
    assert_eq!(made(&[endless.certificate()], &OPTIONS).unwrap()[0].certificate.validity().not_after, NO_END);
}

#[test]
fn an_issuer_that_is_not_there_is_stood_in_for() {
    let pki = Pki::with_key("Away", KeyKind::Rsa2048);
    let twins = made(&[pki.intermediate().certificate()], &OPTIONS).unwrap();
    assert_eq!(names(&twins), ["stand-in-root", "intermediate"]);
    assert_faithful(&twins);
    assert!(twins[0].remark.as_deref().unwrap().contains("not in the file"));
    assert_eq!(twins[0].certificate.public_key().algorithm(), KeyAlgorithm::Rsa { bits: 2048 });
    assert!(is_twin(&twins[0].certificate) && verifier_accepts(&twins));
}

#[test]
fn differences_are_those_that_new_keys_make_and_no_others() {
    let pki = Pki::new();
    let leaf = pki.device().issue();
    let twins = made(&[pki.root().certificate(), &leaf.certificate], &OPTIONS).unwrap();
    let fields: Vec<String> = twins[1].differences().into_iter().map(|one| one.field).collect();
    assert_eq!(
        fields,
        [
            "serial number",
            "from",
            "until",
            "key",
            "subject key identifier (2.5.29.14)",
            "authority key identifier (2.5.29.35)",
            "mark of a test twin (1.3.6.1.4.1.32473.90.1)",
            "signature"
        ]
    );
}

fn device(profile: TwinProfile) -> DeviceTwin {
    let identity = DeviceIdentity::parse("CP-8861", "FCH2133E8B9", "2C:31:24:C9:F8:E1").unwrap();
    DeviceTwin { identity, profile, days: None }
}

#[test]
fn a_device_goes_below_the_lowest_authority_and_ends_with_it() {
    let pki = Pki::with_key("Maker", KeyKind::Rsa2048);
    let chain = [pki.root().certificate(), pki.intermediate().certificate()];
    let with = |profile| made(&chain, &MirrorOptions { device: Some(device(profile)), ..OPTIONS }).unwrap();
    let twins = with(TwinProfile::CiscoMic);
    assert_eq!(names(&twins), ["root", "intermediate", "device"]);
    assert_eq!(
        twins[2].certificate.subject().to_one_line(),
        "/serialNumber=PID:CP-8861 SN:FCH2133E8B9/O=Cisco Systems Inc./OU=CTG/CN=CP-8861-SEP2C3124C9F8E1"
    );
    assert!(verifier_accepts(&twins));
    let small = with(TwinProfile::SmallBusiness);
    assert_eq!(small[2].certificate.subject().to_one_line(), "/OU=CP-8861/L=FCH2133E8B9/SN=2c3124c9f8e1");
    let ends = NOW.plus_seconds(10 * 86_400);
    let root = Authority::root("Soon").not_after(ends).authority();
    let kept = MirrorOptions { keep_dates: true, device: Some(device(TwinProfile::CiscoMic)), ..OPTIONS };
    let twins = made(&[root.certificate()], &kept).unwrap();
    assert_eq!(twins[1].certificate.validity().not_after, ends);
    let over = Authority::root("Over").expired().authority();
    let refused = made(&[over.certificate()], &kept).map(drop).unwrap_err();
    assert!(matches!(refused, IssueError::Mirror(MirrorError::Over { .. })), "{refused}");
    let leaf: CertificateBuilder = Authority::root("Leaf").without_extension(&oid::BASIC_CONSTRAINTS);
    let leaf = leaf.key_usage(KeyUsage::DIGITAL_SIGNATURE).issue();
    let refused = made(&[&leaf.certificate], &kept).map(drop).unwrap_err();
    assert!(matches!(refused, IssueError::Mirror(MirrorError::NoAuthority)), "{refused}");
}

#[test]
fn what_is_not_one_chain_is_refused() {
    let (one, other) = (Pki::named("One"), Pki::named("Other"));
    let why = |certificates: &[&Certificate]| match made(certificates, &OPTIONS) {
        Err(IssueError::Mirror(MirrorError::NotOneChain { why })) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was mirrored"),
    };
    let roots = why(&[one.root().certificate(), other.root().certificate()]);
    assert!(roots.contains("nor above"), "{roots}");
    let (first, second) = (one.device().issue(), one.device_with("a", "b", "c").issue());
    let siblings = why(&[one.root().certificate(), &first.certificate, &second.certificate]);
    assert!(siblings.contains("several are issued by"), "{siblings}");
    // The same certificate twice is one.
    assert_eq!(made(&[one.root().certificate(), one.root().certificate()], &OPTIONS).unwrap().len(), 1);
}

#[test]
fn unknown_public_keys_are_refused_by_name() {
    let key = PublicKey::from_spki_der(Pki::new().root().key().public().spki_der()).unwrap();
    assert!(matches!(key.algorithm(), KeyAlgorithm::Ec { .. }));
    let short =
        Authority::root("Short").key(KeyKind::Rsa512).signed_with(SignatureAlgorithm::RsaPkcs1(Hash::Md5));
    let refused = made(&[short.authority().certificate()], &OPTIONS).map(drop).unwrap_err();
    assert!(refused.to_string().contains("RSA 512"), "{refused}");
}

#[test]
fn an_issuer_named_by_serial_number_is_named_by_the_twins_also_by_a_root_that_names_itself() {
    // [0] four octets of no known making, [1] a directory name, [2] a serial number, as OpenSSL writes `keyid,issuer:always`.
    let value = |serial: &[u8]| {
        let name = [0xa1, 4, 0xa4, 2, 0x30, 0];
        let fields =
            [&[0x80, 4, 1, 2, 3, 4][..], &name, &[0x82, u8::try_from(serial.len()).unwrap()], serial];
        let fields = fields.concat();
        [&[0x30, u8::try_from(fields.len()).unwrap()], &fields[..]].concat()
    };
    let root = Authority::root("Old")
        .serial(&[5])
        .extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &value(&[5]))
        .authority();
    let leaf = root.leaf().attribute(oid::SURNAME, "x");
    let leaf = leaf.extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &value(&[5])).issue();
    let twins = made(&[root.certificate(), &leaf.certificate], &OPTIONS).unwrap();
    let serial = twins[0].certificate.serial().as_bytes();
    for twin in &twins {
        let named = twin.certificate.authority_key_identifier().unwrap();
        assert_eq!(named.serial.as_deref(), Some(serial));
        assert_eq!(named.key_identifier.as_deref().unwrap().len(), 4, "{}", twin.name);
        assert_eq!(named.issuer.len(), 1);
    }
}

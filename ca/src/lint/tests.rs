use std::sync::Arc;

use certs::{Timestamp, Validity};
use der::asn1::OctetString;

use super::*;
use crate::key::twin::{TwinKey, TwinKind, USUAL_EXPONENT};
use crate::key::{KeyType, PrivateKey};
use crate::profile::validity_for;
use crate::signer::TwinSigner;
use crate::subject::{AttributeType, SubjectName};

struct Scene {
    root: Certificate,
    root_key: PrivateKey,
    leaf: Template,
}

fn name(text: &str) -> Vec<u8> {
    SubjectName::new(vec![(AttributeType::CommonName, text.to_owned())]).unwrap().to_der()
}

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn scene() -> Scene {
    let root_key = PrivateKey::generate(KeyType::P256).unwrap();
    let profile = Profile::Authority { path_length: 0 };
    let public_key = root_key.public_key_der();
    let template = Template {
        version: Version::V3,
        serial: vec![0x41; 16],
        signature_algorithm: root_key.signature_algorithm(),
        issuer: name("root"),
        validity: validity_for(NOW, 100),
        subject: name("root"),
        extensions: profile.extensions(&public_key, None, &[]).unwrap(),
        public_key,
    };
    let root = prepare(template, profile, Rules::Production, None).unwrap().issue(&root_key).unwrap();
    let public_key = PrivateKey::generate(KeyType::P256).unwrap().public_key_der();
    let names = [ServerName::host("prov.example.com").unwrap()];
    let leaf = Template {
        version: Version::V3,
        serial: vec![0x42; 16],
        signature_algorithm: root_key.signature_algorithm(),
        issuer: root.subject().der().to_vec(),
        validity: validity_for(NOW, 50),
        subject: name("prov.example.com"),
        extensions: Profile::Server.extensions(&public_key, root.subject_key_identifier(), &names).unwrap(),
        public_key,
    };
    Scene { root, root_key, leaf }
}

/// What is said of the leaf after one change.
fn complaints(change: impl FnOnce(&mut Template)) -> Vec<String> {
    let Scene { root, leaf: mut template, .. } = scene();
    change(&mut template);
    match prepare(template, Profile::Server, Rules::Production, Some(&root)) {
        Ok(_) => Vec::new(),
        Err(IssueError::Lint { complaints }) => complaints,
        Err(other) => vec![other.to_string()],
    }
}

#[test]
fn i1_an_unchanged_leaf_passes_and_is_signed() {
    let Scene { root, root_key, leaf } = scene();
    let certificate = prepare(leaf.clone(), Profile::Server, Rules::Production, Some(&root))
        .unwrap()
        .issue(&root_key)
        .unwrap();
    assert_eq!(certificate.tbs(), leaf.to_tbs().unwrap(), "I2: what was linted is what was signed");
}

#[test]
fn i1_another_key_than_the_issuers_is_noticed() {
    let Scene { root, leaf, .. } = scene();
    let stranger = PrivateKey::generate(KeyType::P256).unwrap();
    let refused =
        prepare(leaf, Profile::Server, Rules::Production, Some(&root)).unwrap().issue(&stranger).unwrap_err();
    assert!(refused.to_string().contains("does not verify"), "{refused}");
}

/// A certificate of `profile` under `issuer`, or itself, and its key.
fn made(
    profile: Profile,
    issuer: Option<(&Certificate, &PrivateKey)>,
) -> Result<(Certificate, PrivateKey), IssueError> {
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let (public_key, signer) = (key.public_key_der(), issuer.map_or(&key, |(_, key)| key));
    let subject = name(if issuer.is_some() { "below" } else { "root" });
    let above = issuer.map(|(certificate, _)| certificate);
    let template = Template {
        version: Version::V3,
        serial: vec![0x43; 16],
        signature_algorithm: signer.signature_algorithm(),
        issuer: above.map_or_else(|| subject.clone(), |above| above.subject().der().to_vec()),
        validity: validity_for(NOW, 100),
        subject,
        extensions: profile
            .extensions(&public_key, above.and_then(Certificate::subject_key_identifier), &[])
            .unwrap(),
        public_key,
    };
    Ok((prepare(template, profile, Rules::Production, above)?.issue(signer)?, key))
}

#[test]
fn c2_r9_root_1_then_0_then_no_authority_and_no_leaf_signs() {
    let authority = |path_length| Profile::Authority { path_length };
    let (root, root_key) = made(authority(1), None).unwrap();
    let refused = made(authority(1), Some((&root, &root_key))).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("allows no such authority below it"), "{refused}");
    let (a, a_key) = made(authority(0), Some((&root, &root_key))).unwrap();
    let refused = made(authority(0), Some((&a, &a_key))).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("allows no such authority below it"), "{refused}");
    let (leaf, leaf_key) = made(Profile::Device, Some((&a, &a_key))).unwrap();
    let refused = made(Profile::Device, Some((&leaf, &leaf_key))).map(|_| ()).unwrap_err().to_string();
    assert!(
        refused.contains("its issuer is no authority; its issuer may not sign certificates"),
        "{refused}"
    );
}

#[test]
fn a1_r4_serial_numbers_that_are_none() {
    for bad in [vec![0; 16], vec![1], vec![1; 8], vec![1; 20]] {
        assert!(!complaints(|leaf| leaf.serial = bad.clone()).is_empty(), "{bad:?}");
    }
}

#[test]
fn r7_c4_periods_that_cannot_be() {
    let said = complaints(|leaf| {
        leaf.validity = Validity { not_before: NOW, not_after: NOW.plus_seconds(-1) };
    });
    assert_eq!(said, ["it ends before it begins"]);
    let said = complaints(|leaf| leaf.validity.not_after = NOW.plus_seconds(100 * 86_400));
    assert_eq!(said, ["it outlives its issuer"]);
}

#[test]
fn r10_f1_an_extension_written_twice() {
    let said = complaints(|leaf| leaf.extensions.push(leaf.extensions[0].clone()));
    assert!(!said.is_empty());
}

#[test]
fn c1_r2_an_issuer_or_key_identifier_that_is_not_the_issuers() {
    assert_eq!(
        complaints(|leaf| leaf.issuer = name("other")),
        ["the issuer's name is not the issuer's subject"]
    );
    let said = complaints(|leaf| {
        let strange = crate::profile::authority_key_identifier(&[7; 20]).unwrap();
        *leaf.extensions.last_mut().unwrap() = strange;
    });
    assert_eq!(said, ["the authority key identifier is not the issuer's"]);
}

#[test]
fn c3_f2_usages_of_another_profile() {
    let device = |template: &mut Template| {
        let extensions = Profile::Device.extensions(&template.public_key, Some(&[7; 20]), &[]).unwrap();
        template.extensions[2] = extensions[2].clone();
    };
    assert_eq!(complaints(device), ["the purpose is not server authentication alone"]);
    let signs = |template: &mut Template| {
        template.extensions[1].extn_value = OctetString::new([3, 2, 2, 0x84]).unwrap();
    };
    assert_eq!(complaints(signs), ["the key usage does not fit the server's key"]);
}

#[test]
fn b4_d5_d7_names_are_judged_as_they_stand_in_the_certificate() {
    let said = complaints(|leaf| leaf.subject = name("other.example.com"));
    assert_eq!(said, ["the common name is not among the subject alternative names"]);
    let wildcard = |template: &mut Template| {
        let names = [b"\x30\x0f\x82\x0d".as_slice(), b"*.example.com"].concat();
        template.extensions[3].extn_value = OctetString::new(names).unwrap();
    };
    assert!(complaints(wildcard).iter().any(|said| said.contains("wildcard")));
    let twice = |template: &mut Template| {
        let one = [b"\x82\x10".as_slice(), b"prov.example.com"].concat();
        let names = [b"\x30\x24".as_slice(), &one, &one].concat();
        template.extensions[3].extn_value = OctetString::new(names).unwrap();
    };
    assert_eq!(complaints(twice), ["the name prov.example.com occurs twice"]);
}

/// Under a root of a test store with RSA keys: what is said of a device made in this way, under these rules.
fn said_of(made: Legacy, rules: Rules) -> String {
    let algorithm = |key: &Arc<TwinKey>| TwinSigner::new(Arc::clone(key), made.hash()).unwrap();
    let key = |bits| Arc::new(TwinKey::generate(TwinKind::Rsa { bits, exponent: USUAL_EXPONENT }).unwrap());
    let root_key = key(2048);
    let profile = Profile::Authority { path_length: 0 };
    let public_key = root_key.public_key_der().unwrap();
    let strong = TwinSigner::new(Arc::clone(&root_key), certs::Hash::Sha256).unwrap();
    let root = Template {
        version: Version::V3,
        serial: vec![0x41; 16],
        signature_algorithm: strong.algorithm(),
        issuer: name("root"),
        validity: validity_for(NOW, 100),
        subject: name("root"),
        extensions: profile.extensions(&public_key, None, &[]).unwrap(),
        public_key,
    };
    let root = prepare(root, profile, Rules::Test(Legacy::default()), None).unwrap().issue(&strong).unwrap();
    let public_key = key(if made.rsa_1024 { 1024 } else { 2048 }).public_key_der().unwrap();
    let extensions = Profile::Device.extensions(&public_key, root.subject_key_identifier(), &[]).unwrap();
    let signer = algorithm(&root_key);
    let leaf = Template {
        version: if made.x509_v1 { Version::V1 } else { Version::V3 },
        serial: vec![0x42; 16],
        signature_algorithm: signer.algorithm(),
        issuer: root.subject().der().to_vec(),
        validity: validity_for(NOW, 50),
        subject: name("phone"),
        extensions: if made.x509_v1 { Vec::new() } else { extensions },
        public_key,
    };
    match prepare(leaf, Profile::Device, rules, Some(&root)).and_then(|linted| linted.issue(&signer)) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn b5_b6_production_refuses_every_weakness_and_a_test_store_takes_the_one_it_was_asked_for() {
    let none = Legacy::default();
    assert_eq!(said_of(none, Rules::Production), "");
    for (made, why) in [
        (Legacy { sha1: true, ..none }, "the signature algorithm is not a strong one"),
        (Legacy { md5: true, ..none }, "the signature algorithm is not a strong one"),
        (Legacy { rsa_1024: true, ..none }, "the RSA key has less than 2048 bits"),
        (Legacy { x509_v1: true, ..none }, "the version is not the one that is due"),
    ] {
        let refused = said_of(made, Rules::Production);
        assert!(refused.contains(why), "{made}: {refused}");
        assert_eq!(said_of(made, Rules::Test(made)), "");
        assert_ne!(said_of(made, Rules::Test(none)), "", "{made}: nor by mistake in a test store");
        assert_ne!(said_of(none, Rules::Test(made)), "", "{made}: nor stronger than asked for");
    }
}

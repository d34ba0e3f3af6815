use certs::{Timestamp, Validity};
use der::asn1::OctetString;

use super::*;
use crate::key::{KeyType, PrivateKey};
use crate::profile::validity_for;
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

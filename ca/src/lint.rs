//! Checks on a certificate before the real key signs it, and once more after (CA I1).
//!
//! Building is done with `der` and `x509-cert`; judging with `certs`, which has a parser of its own, so one mistake does
//! not hide itself.

use std::collections::BTreeSet;

use certs::{Certificate, KeyAlgorithm, Version};
use der::Encode;

use crate::error::IssueError;
use crate::profile::Profile;
use crate::server_name::ServerName;
use crate::signer::{Signer, verifies};
use crate::template::{Template, assemble};

/// A certificate that passed every check and waits for its signature. Only [`prepare`] makes one; issuing spends it.
#[derive(Debug)]
pub(crate) struct Linted<'a> {
    template: Template,
    profile: Profile,
    issuer: Option<&'a Certificate>,
    tbs: Vec<u8>,
}

/// Builds the to-be-signed bytes and checks them, under a placeholder no key made in the signature's place.
pub(crate) fn prepare(
    template: Template,
    profile: Profile,
    issuer: Option<&Certificate>,
) -> Result<Linted<'_>, IssueError> {
    let tbs = template.to_tbs()?;
    let placeholder = assemble(&tbs, &template.signature_algorithm, &[0; 64])?;
    judge(&placeholder, &tbs, &template, profile, issuer)?;
    Ok(Linted { template, profile, issuer, tbs })
}

impl Linted<'_> {
    /// Signs, reads the result back with the second parser, and compares it with what was meant.
    pub(crate) fn issue(self, signer: &dyn Signer) -> Result<Certificate, IssueError> {
        let algorithm = &self.template.signature_algorithm;
        let signature = signer.sign(&self.tbs)?;
        let der = assemble(&self.tbs, algorithm, &signature)?;
        let certificate = judge(&der, &self.tbs, &self.template, self.profile, self.issuer)?;
        let issuer_key =
            self.issuer.map_or(self.template.public_key.as_slice(), |issuer| issuer.public_key().spki_der());
        if !verifies(issuer_key, algorithm, certificate.tbs(), &signature) {
            return Err(complaint("the signature does not verify under the issuer's key"));
        }
        Ok(certificate)
    }
}

fn complaint(text: &str) -> IssueError {
    IssueError::Lint { complaints: vec![text.to_owned()] }
}

fn judge(
    der: &[u8],
    tbs: &[u8],
    template: &Template,
    profile: Profile,
    issuer: Option<&Certificate>,
) -> Result<Certificate, IssueError> {
    let certificate = Certificate::parse(der)
        .map_err(|error| complaint(&format!("the second parser refuses it: {error}")))?;
    let mut complaints = Vec::new();
    compare(&certificate, tbs, template, &mut complaints)?;
    let names = names(&certificate, &mut complaints);
    check_extensions(&certificate, profile, &names, &mut complaints);
    check_issuer(&certificate, issuer, &mut complaints);
    if complaints.is_empty() { Ok(certificate) } else { Err(IssueError::Lint { complaints }) }
}

/// Byte for byte what was intended (CA I1, B5, C1, R1, R2, R10).
fn compare(
    certificate: &Certificate,
    tbs: &[u8],
    template: &Template,
    complaints: &mut Vec<String>,
) -> Result<(), IssueError> {
    let extensions_match = certificate.extensions().len() == template.extensions.len()
        && certificate.extensions().iter().zip(&template.extensions).all(|(found, meant)| {
            found.oid.to_string() == meant.extn_id.to_string()
                && found.critical == meant.critical
                && *found.value == *meant.extn_value.as_bytes()
        });
    let distinct: BTreeSet<_> = template.extensions.iter().map(|extension| extension.extn_id).collect();
    for (ok, what) in [
        (certificate.tbs() == tbs, "the signed part changed"),
        (certificate.version() == Version::V3, "the version is not 3"),
        (certificate.serial().as_bytes() == template.serial, "the serial number changed"),
        (is_good_serial(&template.serial), "the serial number is not 9 to 19 octets, positive"),
        (certificate.issuer().der() == template.issuer, "the issuer's name changed"),
        (certificate.subject().der() == template.subject, "the subject changed"),
        (certificate.validity() == template.validity, "the dates changed"),
        (certificate.public_key().spki_der() == template.public_key, "the public key changed"),
        (extensions_match, "the extensions changed"),
        (distinct.len() == template.extensions.len(), "an extension occurs twice"),
        (template.signature_algorithm.to_der()?.len() < 32, "the signature algorithm is no simple one"),
    ] {
        if !ok {
            complaints.push(what.to_owned());
        }
    }
    Ok(())
}

fn is_good_serial(octets: &[u8]) -> bool {
    (9..=19).contains(&octets.len()) && octets.first().is_some_and(|first| (1..0x80).contains(first))
}

/// The name rules run on what the certificate says, wherever it came from (CA B4, D5).
fn names(certificate: &Certificate, complaints: &mut Vec<String>) -> Vec<String> {
    let mut names = Vec::new();
    let Some(alternatives) = certificate.subject_alternative_names() else {
        return names;
    };
    for name in alternatives.names() {
        let text = if let certs::GeneralName::Dns(host) = name {
            if let Err(error) = ServerName::host(host) {
                complaints.push(error.to_string());
            }
            host.to_string()
        } else if let Some(address) = name.ip_address() {
            address.to_string()
        } else {
            complaints.push(format!("the name {name} is neither host nor address"));
            continue;
        };
        if names.contains(&text) {
            complaints.push(format!("the name {text} occurs twice"));
        }
        names.push(text);
    }
    names
}

/// Extensions agree with the profile, the key and each other (CA C3, D7, F1, F2).
fn check_extensions(
    certificate: &Certificate,
    profile: Profile,
    names: &[String],
    complaints: &mut Vec<String>,
) {
    let constraints = certificate.basic_constraints();
    let purposes: Vec<String> = certificate
        .extended_key_usage()
        .map(|usage| usage.purposes().iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    let usage: Vec<&str> = certificate.key_usage().map(|usage| usage.names().collect()).unwrap_or_default();
    let is_authority = constraints.is_some_and(|constraints| constraints.ca);
    let mut require = |ok: bool, what: &str| {
        if !ok {
            complaints.push(what.to_owned());
        }
    };
    require(certificate.subject_key_identifier().is_some(), "there is no subject key identifier");
    require(!certificate.subject().is_empty(), "the subject is empty");
    match profile {
        Profile::Authority { path_length } => {
            let stated = constraints.and_then(|constraints| constraints.path_length);
            require(is_authority, "basicConstraints does not say CA");
            require(stated == Some(u32::from(path_length)), "the path length is not the profile's");
            require(usage == ["keyCertSign", "cRLSign"], "the key usage is not an authority's");
            require(purposes.is_empty() && names.is_empty(), "an authority has purposes or host names");
        }
        Profile::Device => {
            require(!is_authority, "a device would be an authority");
            require(usage == ["digitalSignature"], "the key usage is not a device's");
            require(purposes == ["1.3.6.1.5.5.7.3.2"], "the purpose is not client authentication alone");
            require(names.is_empty(), "a device has no host names");
        }
        Profile::Server => {
            let rsa = matches!(certificate.public_key().algorithm(), KeyAlgorithm::Rsa { .. });
            let expected: &[&str] =
                if rsa { &["digitalSignature", "keyEncipherment"] } else { &["digitalSignature"] };
            let common_name = certificate
                .subject()
                .values_of(&certs::oid::COMMON_NAME)
                .next()
                .and_then(|attribute| attribute.text().ok().map(|text| text.into_owned()));
            require(!is_authority, "a server would be an authority");
            require(usage == expected, "the key usage does not fit the server's key");
            require(purposes == ["1.3.6.1.5.5.7.3.1"], "the purpose is not server authentication alone");
            require(
                common_name.is_some_and(|name| names.contains(&name)),
                "the common name is not among the subject alternative names",
            );
        }
    }
}

/// The certificate fits under its issuer (CA C1, C4).
fn check_issuer(certificate: &Certificate, issuer: Option<&Certificate>, complaints: &mut Vec<String>) {
    let mut require = |ok: bool, what: &str| {
        if !ok {
            complaints.push(what.to_owned());
        }
    };
    let validity = certificate.validity();
    require(validity.not_before < validity.not_after, "it ends before it begins");
    match issuer {
        None => {
            require(
                certificate.subject().der() == certificate.issuer().der(),
                "a root is not its own issuer",
            );
            require(certificate.authority_key_identifier().is_none(), "a root names another key");
        }
        Some(issuer) => {
            let names_key = certificate
                .authority_key_identifier()
                .and_then(|identifier| identifier.key_identifier.as_deref());
            require(
                certificate.issuer().der() == issuer.subject().der(),
                "the issuer's name is not the issuer's subject",
            );
            require(
                names_key.is_some() && names_key == issuer.subject_key_identifier(),
                "the authority key identifier is not the issuer's",
            );
            require(validity.not_after <= issuer.validity().not_after, "it outlives its issuer");
            let constraints = issuer.basic_constraints();
            require(constraints.is_some_and(|one| one.ca), "its issuer is no authority");
            require(
                issuer.key_usage().is_some_and(|usage| usage.names().any(|name| name == "keyCertSign")),
                "its issuer may not sign certificates",
            );
            // An authority takes one place of the path its issuer allows, and allows fewer itself (RFC 5280 §4.2.1.9).
            if let Some(own) = certificate.basic_constraints().filter(|one| one.ca)
                && let Some(allowed) = constraints.and_then(|one| one.path_length)
            {
                require(
                    own.path_length.is_some_and(|own| own < allowed),
                    "its issuer allows no such authority below it",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
            serial: vec![0x41; 16],
            signature_algorithm: root_key.signature_algorithm(),
            issuer: name("root"),
            validity: validity_for(NOW, 100),
            subject: name("root"),
            extensions: profile.extensions(&public_key, None, &[]).unwrap(),
            public_key,
        };
        let root = prepare(template, profile, None).unwrap().issue(&root_key).unwrap();
        let public_key = PrivateKey::generate(KeyType::P256).unwrap().public_key_der();
        let names = [ServerName::host("prov.example.com").unwrap()];
        let leaf = Template {
            serial: vec![0x42; 16],
            signature_algorithm: root_key.signature_algorithm(),
            issuer: root.subject().der().to_vec(),
            validity: validity_for(NOW, 50),
            subject: name("prov.example.com"),
            extensions: Profile::Server
                .extensions(&public_key, root.subject_key_identifier(), &names)
                .unwrap(),
            public_key,
        };
        Scene { root, root_key, leaf }
    }

    /// What is said of the leaf after one change.
    fn complaints(change: impl FnOnce(&mut Template)) -> Vec<String> {
        let Scene { root, leaf: mut template, .. } = scene();
        change(&mut template);
        match prepare(template, Profile::Server, Some(&root)) {
            Ok(_) => Vec::new(),
            Err(IssueError::Lint { complaints }) => complaints,
            Err(other) => vec![other.to_string()],
        }
    }

    #[test]
    fn i1_an_unchanged_leaf_passes_and_is_signed() {
        let Scene { root, root_key, leaf } = scene();
        let certificate =
            prepare(leaf.clone(), Profile::Server, Some(&root)).unwrap().issue(&root_key).unwrap();
        assert_eq!(certificate.tbs(), leaf.to_tbs().unwrap(), "I2: what was linted is what was signed");
    }

    #[test]
    fn i1_another_key_than_the_issuers_is_noticed() {
        let Scene { root, leaf, .. } = scene();
        let stranger = PrivateKey::generate(KeyType::P256).unwrap();
        let refused = prepare(leaf, Profile::Server, Some(&root)).unwrap().issue(&stranger).unwrap_err();
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
        Ok((prepare(template, profile, above)?.issue(signer)?, key))
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
}

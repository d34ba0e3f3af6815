//! Issuance profiles: what a certificate of each kind contains, and nothing else (RFC 5280 §4.2; CA C3, F1–F3).

pub(crate) mod constraints;
pub(crate) mod pointers;

use aws_lc_rs::digest::{SHA256, digest};
use certs::{Timestamp, Validity};
use der::asn1::{Ia5String, Null, ObjectIdentifier, OctetString};
use der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::server_name::ServerName;

/// The kinds of certificate this authority makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A certificate authority; `path_length` authorities may stand below it.
    Authority {
        /// How many authorities may follow on a path.
        path_length: u8,
    },
    /// A phone's client certificate, its own or the generic one.
    Device,
    /// An OCSP responder's, to which an authority hands its word (RFC 6960 §4.2.2.2).
    Responder,
    /// A provisioning server's certificate.
    Server,
}

/// How far back a certificate begins, so that a phone whose clock is behind accepts it (CA E3).
const BACKDATED: i64 = 3600;

/// Seconds in a day.
const DAY: i64 = 86_400;

/// A period of `days` beginning an hour before `now`; both ends count, so it ends a second earlier (CA E2).
pub fn validity_for(now: Timestamp, days: u32) -> Validity {
    let not_before = now.plus_seconds(-BACKDATED);
    Validity { not_before, not_after: not_before.plus_seconds(i64::from(days) * DAY - 1) }
}

impl Profile {
    /// The extensions, in the order they are written.
    pub(crate) fn extensions(
        self,
        public_key: &[u8],
        issuer_key_identifier: Option<&[u8]>,
        names: &[ServerName],
    ) -> der::Result<Vec<Extension>> {
        let spki = SubjectPublicKeyInfoRef::from_der(public_key)?;
        let mut extensions = Vec::with_capacity(6);
        match self {
            Self::Authority { path_length } => {
                let constraints = BasicConstraints { ca: true, path_len_constraint: Some(path_length) };
                extensions.push(extension(BASIC_CONSTRAINTS, true, &constraints)?);
                let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
                extensions.push(extension(KEY_USAGE, true, &usage)?);
            }
            Self::Device => leaf(&mut extensions, KeyUsages::DigitalSignature.into(), CLIENT_AUTH)?,
            Self::Responder => {
                leaf(&mut extensions, KeyUsages::DigitalSignature.into(), OCSP_SIGNING)?;
                // Short-lived, and asking the responder about itself would never end.
                extensions.push(extension(OCSP_NO_CHECK, false, &Null)?);
            }
            Self::Server => {
                // Only RSA keys encipher (CA F2); without it, no RSA key exchange with old phones.
                let usage = if spki.algorithm.oid == RSA_ENCRYPTION {
                    KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment
                } else {
                    KeyUsages::DigitalSignature.into()
                };
                leaf(&mut extensions, usage, SERVER_AUTH)?;
            }
        }
        if !names.is_empty() {
            let names = names.iter().map(general_name).collect::<der::Result<Vec<_>>>()?;
            extensions.push(extension(SUBJECT_ALT_NAME, false, &SubjectAltName(names))?);
        }
        let own = SubjectKeyIdentifier(OctetString::new(key_identifier(&spki))?);
        extensions.push(extension(SUBJECT_KEY_IDENTIFIER, false, &own)?);
        if let Some(issuer) = issuer_key_identifier {
            extensions.push(authority_key_identifier(issuer)?);
        }
        Ok(extensions)
    }
}

fn leaf(
    extensions: &mut Vec<Extension>,
    usage: der::flagset::FlagSet<KeyUsages>,
    purpose: ObjectIdentifier,
) -> der::Result<()> {
    let constraints = BasicConstraints { ca: false, path_len_constraint: None };
    extensions.push(extension(BASIC_CONSTRAINTS, true, &constraints)?);
    extensions.push(extension(KEY_USAGE, true, &KeyUsage(usage))?);
    extensions.push(extension(EXTENDED_KEY_USAGE, false, &ExtendedKeyUsage(vec![purpose]))?);
    Ok(())
}

fn general_name(name: &ServerName) -> der::Result<GeneralName> {
    Ok(match name {
        ServerName::Dns(name) => GeneralName::DnsName(Ia5String::new(name)?),
        ServerName::Ip(address) => GeneralName::from(*address),
    })
}

/// The extension that names an issuer's key; `keyIdentifier` alone, no issuer and serial (CA F1).
pub(crate) fn authority_key_identifier(identifier: &[u8]) -> der::Result<Extension> {
    let value =
        AuthorityKeyIdentifier { key_identifier: Some(OctetString::new(identifier)?), ..Default::default() };
    extension(AUTHORITY_KEY_IDENTIFIER, false, &value)
}

/// One extension with its DER value.
pub(crate) fn extension(
    oid: ObjectIdentifier,
    critical: bool,
    value: &impl Encode,
) -> der::Result<Extension> {
    Ok(Extension { extn_id: oid, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// A subject alternative name extension for a certification request.
pub(crate) fn subject_alt_name(names: &[ServerName]) -> der::Result<Extension> {
    let names = names.iter().map(general_name).collect::<der::Result<Vec<_>>>()?;
    extension(SUBJECT_ALT_NAME, false, &SubjectAltName(names))
}

/// RFC 7093 §2 method 1: the leftmost 160 bits of SHA-256 over the key's bits.
fn key_identifier(spki: &SubjectPublicKeyInfoRef<'_>) -> Vec<u8> {
    digest(&SHA256, spki.subject_public_key.raw_bytes()).as_ref().iter().take(20).copied().collect()
}

pub(crate) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
pub(crate) const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
pub(crate) const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
pub(crate) const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
pub(crate) const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
pub(crate) const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
const OCSP_NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyType, PrivateKey};

    fn written(profile: Profile, key_type: KeyType) -> Vec<(String, bool)> {
        let key = PrivateKey::generate(key_type).unwrap().public_key_der();
        let names = [ServerName::host("a.example").unwrap()];
        let names: &[ServerName] = if profile == Profile::Server { &names } else { &[] };
        let issuer = (!matches!(profile, Profile::Authority { path_length: 1 })).then_some([1_u8; 20]);
        profile
            .extensions(&key, issuer.as_ref().map(<[u8; 20]>::as_slice), names)
            .unwrap()
            .into_iter()
            .map(|extension| (extension.extn_id.to_string(), extension.critical))
            .collect()
    }

    fn table(rows: &[(&str, bool)]) -> Vec<(String, bool)> {
        rows.iter().map(|(oid, critical)| ((*oid).to_owned(), *critical)).collect()
    }

    #[test]
    fn f1_r13_each_profile_writes_exactly_these_extensions() {
        let (constraints, usage, purpose) = ("2.5.29.19", "2.5.29.15", "2.5.29.37");
        let (names, own, issuer) = ("2.5.29.17", "2.5.29.14", "2.5.29.35");
        assert_eq!(
            written(Profile::Authority { path_length: 1 }, KeyType::P256),
            table(&[(constraints, true), (usage, true), (own, false)])
        );
        assert_eq!(
            written(Profile::Device, KeyType::P256),
            table(&[(constraints, true), (usage, true), (purpose, false), (own, false), (issuer, false)])
        );
        assert_eq!(
            written(Profile::Responder, KeyType::P256),
            table(&[
                (constraints, true),
                (usage, true),
                (purpose, false),
                ("1.3.6.1.5.5.7.48.1.5", false),
                (own, false),
                (issuer, false)
            ])
        );
        assert_eq!(
            written(Profile::Server, KeyType::P256),
            table(&[
                (constraints, true),
                (usage, true),
                (purpose, false),
                (names, false),
                (own, false),
                (issuer, false)
            ])
        );
    }

    #[test]
    fn f2_f3_key_usage_fits_the_key_and_has_no_spare_bits() {
        let usage = |profile: Profile, key_type| {
            let key = PrivateKey::generate(key_type).unwrap().public_key_der();
            let extensions = profile.extensions(&key, Some(&[1; 20]), &[]).unwrap();
            extensions[1].extn_value.as_bytes().to_vec()
        };
        assert_eq!(
            usage(Profile::Server, KeyType::Rsa2048),
            [3, 2, 5, 0xa0],
            "digitalSignature, keyEncipherment"
        );
        assert_eq!(usage(Profile::Server, KeyType::P256), [3, 2, 7, 0x80], "digitalSignature only");
        assert_eq!(usage(Profile::Device, KeyType::Rsa2048), [3, 2, 7, 0x80]);
        assert_eq!(usage(Profile::Authority { path_length: 0 }, KeyType::P256), [3, 2, 1, 0x06]);
    }

    #[test]
    fn e2_a_period_of_one_day_has_86400_seconds_counting_both_ends() {
        let validity = validity_for(Timestamp::from_unix(1_800_000_000), 1);
        assert_eq!(validity.not_after.unix() - validity.not_before.unix() + 1, 86_400);
        assert_eq!(validity.not_before.unix(), 1_800_000_000 - 3600);
    }
}

//! What a real certificate is made of, as a template that gives its very bytes again.

use certs::{Certificate, Curve, Hash, KeyAlgorithm, SignatureAlgorithm, Version};
use der::asn1::{Any, BitString, ObjectIdentifier, OctetString};
use der::{AnyRef, Decode, Encode, Reader, Sequence};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::MirrorError;
use crate::error::IssueError;
use crate::key::twin::{TwinKind, USUAL_EXPONENT};
use crate::key_policy::exponent;
use crate::profile::{BASIC_CONSTRAINTS, KEY_USAGE, SUBJECT_KEY_IDENTIFIER, extension};
use crate::template::Template;

/// Everything that a certificate says. It is proven: written again, it is the original's signed part.
pub(super) fn template_of(original: &Certificate) -> Result<Template, IssueError> {
    let extensions = original.extensions().iter().map(copied).collect::<der::Result<Vec<_>>>()?;
    let template = Template {
        version: original.version(),
        serial: original.serial().as_bytes().to_vec(),
        signature_algorithm: signature_algorithm(original)?,
        issuer: original.issuer().der().to_vec(),
        validity: original.validity(),
        subject: original.subject().der().to_vec(),
        public_key: original.public_key().spki_der().to_vec(),
        extensions,
    };
    if template.to_tbs().is_ok_and(|tbs| tbs == original.tbs()) {
        Ok(template)
    } else {
        Err(MirrorError::Irregular { subject: original.subject().to_rfc4514() }.into())
    }
}

fn copied(found: &certs::Extension) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: ObjectIdentifier::new(&found.oid.to_string()).map_err(|_unusual| der::ErrorKind::Failed)?,
        critical: found.critical,
        extn_value: OctetString::new(&*found.value)?,
    })
}

/// The algorithm in the certificate's own words, parameters and all.
fn signature_algorithm(original: &Certificate) -> der::Result<AlgorithmIdentifierOwned> {
    AnyRef::from_der(original.tbs())?.sequence(|reader| {
        if original.version() != Version::V1 {
            let _version = AnyRef::decode(reader)?;
        }
        let _serial = AnyRef::decode(reader)?;
        let algorithm = AlgorithmIdentifierOwned::decode(reader)?;
        while !reader.is_finished() {
            let _rest = AnyRef::decode(reader)?;
        }
        Ok(algorithm)
    })
}

/// The longest RSA key that the second parser verifies every signature with.
const LONGEST: u32 = 4096;

/// The exponents that keys can be made with.
const EXPONENTS: std::ops::Range<u64> = 3..1 << 33;

/// What kind of key a twin gets: the original's.
pub(super) fn key_kind(original: &Certificate) -> Result<TwinKind, MirrorError> {
    let key = original.public_key().algorithm();
    match key {
        KeyAlgorithm::Rsa { bits: bits @ 1024..=LONGEST } => {
            let exponent = exponent(original.public_key()).filter(|exponent| EXPONENTS.contains(exponent));
            exponent.map(|exponent| TwinKind::Rsa { bits, exponent })
        }
        KeyAlgorithm::Ec { curve } => Some(TwinKind::Ec(curve)),
        KeyAlgorithm::Ed25519 => Some(TwinKind::Ed25519),
        KeyAlgorithm::Rsa { .. } | KeyAlgorithm::Other { .. } => None,
    }
    .ok_or_else(|| MirrorError::Key { subject: original.subject().to_rfc4514(), key: key.to_string() })
}

/// What kind of key signed this, as far as the signature shows: an RSA signature is as long as its key.
pub(super) fn key_kind_that_signed(certificate: &Certificate) -> Result<TwinKind, MirrorError> {
    let algorithm = certificate.signature_algorithm();
    let kind = match algorithm {
        SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::RsaPss(_) => {
            let bits =
                u32::try_from(certificate.signature().len()).ok().and_then(|octets| octets.checked_mul(8));
            bits.filter(|bits| (1024..=LONGEST).contains(bits))
                .map(|bits| TwinKind::Rsa { bits, exponent: USUAL_EXPONENT })
        }
        SignatureAlgorithm::Ecdsa(Hash::Sha256) => Some(TwinKind::Ec(Curve::P256)),
        SignatureAlgorithm::Ecdsa(Hash::Sha384) => Some(TwinKind::Ec(Curve::P384)),
        SignatureAlgorithm::Ecdsa(Hash::Sha512) => Some(TwinKind::Ec(Curve::P521)),
        SignatureAlgorithm::Ed25519 => Some(TwinKind::Ed25519),
        SignatureAlgorithm::Ecdsa(Hash::Md5 | Hash::Sha1) | SignatureAlgorithm::Other(_) => None,
    };
    kind.ok_or_else(|| MirrorError::Signature { subject: certificate.subject().to_rfc4514(), algorithm })
}

#[derive(Sequence)]
struct PublicKeyInfo {
    algorithm: Any,
    key: BitString,
}

/// A new public key, introduced in the original's words: parameters that others leave out stay as they were.
pub(super) fn like(original: &Certificate, public_key: &[u8]) -> der::Result<Vec<u8>> {
    let old = PublicKeyInfo::from_der(original.public_key().spki_der())?;
    let new = PublicKeyInfo::from_der(public_key)?;
    PublicKeyInfo { algorithm: old.algorithm, key: new.key }.to_der()
}

/// What an authority of no known extensions says: that it is one, and which key it has.
pub(super) fn authority_extensions(key_identifier: &[u8]) -> der::Result<Vec<Extension>> {
    let constraints = BasicConstraints { ca: true, path_len_constraint: None };
    let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
    Ok(vec![
        extension(BASIC_CONSTRAINTS, true, &constraints)?,
        extension(KEY_USAGE, true, &usage)?,
        extension(SUBJECT_KEY_IDENTIFIER, false, &SubjectKeyIdentifier(OctetString::new(key_identifier)?))?,
    ])
}

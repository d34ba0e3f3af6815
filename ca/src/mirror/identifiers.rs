//! Key identifiers of twins: those that depend on keys are made anew, in the form the original has (RFC 5280 §4.2.1.1,
//! §4.2.1.2).

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
use certs::{Certificate, PublicKey};
use der::asn1::{Any, OctetString};
use der::{AnyRef, Decode, Encode, Reader, Tag, TagNumber};

use super::Twin;
use crate::error::IssueError;
use crate::profile::{AUTHORITY_KEY_IDENTIFIER, SUBJECT_KEY_IDENTIFIER};
use crate::template::Template;

/// How long most identifiers are.
pub(super) const SHA1_OCTETS: usize = 20;

/// How an identifier was made from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// SHA-1 of the key's bits: RFC 5280 §4.2.1.2 method 1.
    Sha1,
    /// Four bits 0100 and the last sixty of SHA-1: method 2.
    Sha1Short,
    /// SHA-1 of the whole `SubjectPublicKeyInfo`.
    Sha1OfInfo,
    /// The first 160 bits of SHA-256 of the key's bits: RFC 7093 §2 method 1.
    Sha256,
    /// In no way that is known; only the length can be kept.
    Unknown(usize),
}

impl Method {
    fn of(key: &PublicKey, identifier: &[u8]) -> Self {
        [Self::Sha1, Self::Sha1Short, Self::Sha1OfInfo, Self::Sha256]
            .into_iter()
            .find(|method| method.apply(key) == identifier)
            .unwrap_or(Self::Unknown(identifier.len()))
    }

    fn apply(self, key: &PublicKey) -> Vec<u8> {
        let hash = |algorithm: &'static Algorithm, bytes: &[u8]| digest(algorithm, bytes).as_ref().to_vec();
        let bits = key.key_bytes();
        match self {
            Self::Sha1 => hash(&SHA1_FOR_LEGACY_USE_ONLY, bits),
            Self::Sha1Short => {
                let mut short = hash(&SHA1_FOR_LEGACY_USE_ONLY, bits).split_off(SHA1_OCTETS - 8);
                if let Some(first) = short.first_mut() {
                    *first = 0x40 | (*first & 0x0f);
                }
                short
            }
            Self::Sha1OfInfo => hash(&SHA1_FOR_LEGACY_USE_ONLY, key.spki_der()),
            Self::Sha256 => hash(&SHA256, bits).into_iter().take(SHA1_OCTETS).collect(),
            Self::Unknown(SHA1_OCTETS) => Self::Sha1.apply(key),
            Self::Unknown(length) => hash(&SHA512, bits).into_iter().cycle().take(length).collect(),
        }
    }
}

/// An identifier of this key with so many octets.
pub(super) fn of_length(public_key: &[u8], length: usize) -> Result<Vec<u8>, IssueError> {
    Ok(Method::Unknown(length).apply(&key(public_key)?))
}

/// Puts the new keys' identifiers, and the new serial numbers, where the old ones stand. Key and serial number of the
/// template are the new ones already.
pub(super) fn renew(
    template: &mut Template,
    original: &Certificate,
    original_issuer: Option<&Certificate>,
    issuer: Option<&Twin>,
) -> Result<(), IssueError> {
    let own_key = key(&template.public_key)?;
    let own = original
        .subject_key_identifier()
        .map(|identifier| Method::of(original.public_key(), identifier).apply(&own_key));
    let own_serial = template.serial.clone();
    for extension in &mut template.extensions {
        if extension.extn_id == SUBJECT_KEY_IDENTIFIER {
            let identifier = own.clone().unwrap_or_default();
            extension.extn_value = OctetString::new(OctetString::new(identifier)?.to_der()?)?;
        } else if extension.extn_id == AUTHORITY_KEY_IDENTIFIER {
            let named = original.authority_key_identifier().and_then(|one| one.key_identifier.as_deref());
            let new = named.map(|named| match issuer {
                // It names itself, as some roots do.
                None => Method::of(original.public_key(), named).apply(&own_key),
                Some(twin) => issuer_identifier(named, original_issuer, &twin.certificate),
            });
            let serial = issuer.map_or(own_serial.as_slice(), |twin| twin.certificate.serial().as_bytes());
            let value = renamed(extension.extn_value.as_bytes(), new.as_deref(), serial)?;
            extension.extn_value = OctetString::new(value)?;
        }
    }
    Ok(())
}

/// How the twin of the issuer is to be named by those below it.
fn issuer_identifier(named: &[u8], original: Option<&Certificate>, twin: &Certificate) -> Vec<u8> {
    let is_its_own = original.is_none_or(|one| one.subject_key_identifier() == Some(named));
    match (twin.subject_key_identifier().filter(|_| is_its_own), original) {
        (Some(own), _) => own.to_vec(),
        (None, Some(original)) => Method::of(original.public_key(), named).apply(twin.public_key()),
        (None, None) => Method::Unknown(named.len()).apply(twin.public_key()),
    }
}

/// An authority key identifier with other contents in the fields that it has: `[0]` the key, `[2]` the serial number;
/// `[1]`, the issuer's issuer, has the same name as before.
fn renamed(value: &[u8], identifier: Option<&[u8]>, serial: &[u8]) -> der::Result<Vec<u8>> {
    let field = |number| Tag::ContextSpecific { constructed: false, number: TagNumber(number) };
    let fields = AnyRef::from_der(value)?.sequence(|reader| {
        let mut fields: Vec<Any> = Vec::new();
        while !reader.is_finished() {
            let found = Any::decode(reader)?;
            let tag = der::Tagged::tag(&found);
            fields.push(match identifier {
                Some(identifier) if tag == field(0) => Any::new(tag, identifier)?,
                _ if tag == field(2) => Any::new(tag, serial)?,
                _ => found,
            });
        }
        Ok::<_, der::Error>(fields)
    })?;
    fields.to_der()
}

fn key(public_key: &[u8]) -> Result<PublicKey, IssueError> {
    PublicKey::from_spki_der(public_key).map_err(|error| IssueError::Lint {
        complaints: vec![format!("the second parser refuses the new key: {error}")],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyType, PrivateKey};

    fn public() -> PublicKey {
        let key = PrivateKey::generate(KeyType::P256).unwrap().public_key_der();
        PublicKey::from_spki_der(&key).unwrap()
    }

    #[test]
    fn every_known_form_is_recognised_and_the_others_keep_their_length() {
        let (old, new) = (public(), public());
        for method in [Method::Sha1, Method::Sha1Short, Method::Sha1OfInfo, Method::Sha256] {
            let identifier = method.apply(&old);
            assert_eq!(identifier.len(), if method == Method::Sha1Short { 8 } else { 20 });
            assert_eq!(Method::of(&old, &identifier), method);
            assert_ne!(method.apply(&new), identifier);
        }
        assert_eq!(Method::Sha1Short.apply(&old)[0] >> 4, 0b0100);
        for length in [1, 4, 20, 32, 64, 100] {
            let method = Method::of(&old, &vec![7; length]);
            assert_eq!(method, Method::Unknown(length));
            assert_eq!(method.apply(&new).len(), length);
        }
    }

    #[test]
    fn an_issuer_and_serial_number_stay_in_their_place() {
        // [0] 0101, [1] a directory name, [2] 05
        let value = [&[0x30, 13, 0x80, 2, 1, 1, 0xa1, 4, 0xa4, 2, 0x30, 0, 0x82, 1, 5][..]].concat();
        let new = renamed(&value, Some(&[9, 9]), &[6, 6]).unwrap();
        assert_eq!(new, [0x30, 14, 0x80, 2, 9, 9, 0xa1, 4, 0xa4, 2, 0x30, 0, 0x82, 2, 6, 6]);
        assert_eq!(renamed(&value, None, &[5]).unwrap(), value);
    }
}

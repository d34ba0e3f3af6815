//! Public keys and signatures as tokens write them, turned into what certificates have.

use cryptoki::object::Attribute;
use der::asn1::{Any, BitString, ObjectIdentifier, OctetString, Uint};
use der::{Decode, Encode, Sequence};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::{Kind, TokenError};

/// The curve's object identifier, DER: what tokens call parameters.
pub(super) const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// What stands before a SHA-256 in an RSA signature (RFC 8017 §9.2).
pub(super) const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// Octets of an uncompressed point on P-256, and of one coordinate.
const POINT: usize = 65;
const COORDINATE: usize = 32;

#[derive(Sequence)]
struct RsaPublicKey {
    modulus: Uint,
    exponent: Uint,
}

#[derive(Sequence)]
struct EcdsaSignature {
    r: Uint,
    s: Uint,
}

/// How an RSA key is to be made.
pub(super) fn rsa(bits: u32) -> Vec<Attribute> {
    vec![Attribute::ModulusBits(u64::from(bits).into()), Attribute::PublicExponent(vec![1, 0, 1])]
}

/// The kind of a key and its `SubjectPublicKeyInfo`, DER.
pub(super) fn read(attributes: &[Attribute]) -> Result<(Kind, Vec<u8>), TokenError> {
    let (mut modulus, mut exponent, mut curve, mut point) = (None, None, None, None);
    for attribute in attributes {
        if let Attribute::Modulus(value) = attribute {
            modulus = Some(value);
        } else if let Attribute::PublicExponent(value) = attribute {
            exponent = Some(value);
        } else if let Attribute::EcParams(value) = attribute {
            curve = Some(value);
        } else if let Attribute::EcPoint(value) = attribute {
            point = Some(value);
        }
    }
    let spki = match (modulus, exponent, curve, point) {
        (Some(modulus), Some(exponent), _, _) => rsa_spki(modulus, exponent).map(|spki| (Kind::Rsa, spki)),
        (_, _, Some(curve), Some(point)) if curve[..] == P256 => {
            ec_spki(point).map(|spki| (Kind::P256, spki))
        }
        _ => return Err(TokenError::Unsupported),
    };
    spki.map_err(|_malformed| TokenError::Unsupported)
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> der::Result<Vec<u8>> {
    let key = RsaPublicKey { modulus: Uint::new(modulus)?, exponent: Uint::new(exponent)? };
    let algorithm = AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(Any::null()) };
    SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(&key.to_der()?)? }
        .to_der()
}

/// A point is an OCTET STRING with the point in it; some tokens leave the OCTET STRING out.
fn ec_spki(point: &[u8]) -> der::Result<Vec<u8>> {
    let inner =
        if point.len() == POINT { point.to_vec() } else { OctetString::from_der(point)?.as_bytes().to_vec() };
    if inner.len() != POINT || inner.first() != Some(&4) {
        return Err(der::Tag::OctetString.value_error().into());
    }
    let algorithm = AlgorithmIdentifierOwned { oid: EC_PUBLIC_KEY, parameters: Some(Any::from_der(&P256)?) };
    SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(&inner)? }.to_der()
}

/// Tokens write both numbers side by side; certificates have them as DER (RFC 3279 §2.2.3).
pub(super) fn ecdsa_signature(raw: &[u8]) -> Result<Vec<u8>, TokenError> {
    if raw.len() != 2 * COORDINATE {
        return Err(TokenError::Signature);
    }
    let (r, s) = raw.split_at(COORDINATE);
    let signature = Uint::new(r).and_then(|r| EcdsaSignature { r, s: Uint::new(s)? }.to_der());
    signature.map_err(|_malformed| TokenError::Signature)
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

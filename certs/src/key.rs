//! Public keys.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::signature::ParsedPublicKey;

use crate::der::{self, Element, Reader, tag};
use crate::error::ParseError;
use crate::fingerprint::Fingerprint;
use crate::oid::{self, Oid};

/// A subject public key (RFC 5280 §4.1.2.7) over its own DER. Cloning is cheap; `==` compares the DER.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    spki: Box<[u8]>,
    algorithm: KeyAlgorithm,
    key_start: usize,
    /// The key made ready for the signature algorithm that first needed it.
    ready: OnceLock<(crate::signature::SignatureAlgorithm, Option<ParsedPublicKey>)>,
    fingerprint: OnceLock<Fingerprint>,
}

/// The kind and size of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// An elliptic-curve key.
    Ec {
        /// Its named curve.
        curve: Curve,
    },
    /// An Ed25519 key.
    Ed25519,
    /// A kind of key that the product does not use, or parameters that it does not know.
    Other {
        /// The algorithm.
        oid: Oid,
    },
    /// An RSA key.
    Rsa {
        /// The length of its modulus.
        bits: u32,
    },
}

/// A named curve (RFC 5480 §2.1.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// secp256r1
    P256,
    /// secp384r1
    P384,
    /// secp521r1
    P521,
}

impl fmt::Display for Curve {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        })
    }
}

impl fmt::Display for KeyAlgorithm {
    /// `RSA 2048`, `P-256`, `Ed25519`, or the OID of another algorithm.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ec { curve } => curve.fmt(out),
            Self::Ed25519 => out.write_str("Ed25519"),
            Self::Other { oid } => oid.fmt(out),
            Self::Rsa { bits } => write!(out, "RSA {bits}"),
        }
    }
}

impl PublicKey {
    /// Reads a DER encoded SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// Not DER, trailing bytes, or an RSA or elliptic-curve key that is none. Unknown algorithms are read as
    /// [`KeyAlgorithm::Other`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, ParseError> {
        let read = || {
            let mut reader = Reader::new(der);
            let element = reader.expect(tag::SEQUENCE, "a public key")?;
            reader.finish()?;
            Self::from_element(&element)
        };
        read().map_err(ParseError::der("public key"))
    }

    pub(crate) fn from_element(spki: &Element<'_>) -> der::Result<Self> {
        let mut fields = spki.reader();
        let mut algorithm = fields.sequence("a key algorithm")?;
        let oid = Oid::from_element(&algorithm.expect(tag::OBJECT_IDENTIFIER, "a key algorithm")?)?;
        let parameters = if algorithm.is_empty() { None } else { Some(algorithm.any()?) };
        algorithm.finish()?;
        let key = fields.octet_aligned_bits("a public key")?;
        fields.finish()?;
        let algorithm = if oid == oid::RSA_ENCRYPTION || oid == oid::RSA_PSS {
            KeyAlgorithm::Rsa { bits: rsa_bits(&key)? }
        } else if oid == oid::EC_PUBLIC_KEY {
            ec_algorithm(oid, parameters.as_ref(), &key)?
        } else if oid == oid::ED25519 && parameters.is_none() && key.value.len() == 32 {
            KeyAlgorithm::Ed25519
        } else {
            KeyAlgorithm::Other { oid }
        };
        let key_start = spki.encoded.len() - key.value.len();
        Ok(Self(Arc::new(Inner {
            spki: spki.encoded.into(),
            algorithm,
            key_start,
            ready: OnceLock::new(),
            fingerprint: OnceLock::new(),
        })))
    }

    /// The SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// Kind and size.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.algorithm
    }

    /// The contents of the BIT STRING: for RSA an RSAPublicKey, for curves the point.
    pub fn key_bytes(&self) -> &[u8] {
        self.0.spki.get(self.0.key_start..).unwrap_or_default()
    }

    /// The SHA-256 of the SubjectPublicKeyInfo, as RFC 7469 §2.4 pins it; computed when first asked for.
    pub fn fingerprint(&self) -> Fingerprint {
        *self.0.fingerprint.get_or_init(|| Fingerprint::of(&self.0.spki))
    }

    pub(crate) fn ready(&self) -> &OnceLock<(crate::signature::SignatureAlgorithm, Option<ParsedPublicKey>)> {
        &self.0.ready
    }
}

/// The length of the modulus of an RSAPublicKey (RFC 8017 §A.1.1) that is DER to the last byte.
fn rsa_bits(key: &Element<'_>) -> der::Result<u32> {
    let mut outer = Reader::new(key.value);
    let mut numbers = outer.sequence("an RSA key")?;
    outer.finish()?;
    let modulus = numbers.integer("a modulus")?;
    let exponent = numbers.integer("a public exponent")?;
    numbers.finish()?;
    let negative = |number: &[u8]| number.first().is_some_and(|first| first & 0x80 != 0);
    let significant = modulus.value.strip_prefix(&[0]).unwrap_or(modulus.value);
    let even = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 0);
    if negative(modulus.value) || negative(exponent.value) || even(modulus.value) || even(exponent.value) {
        return key.invalid("RSA key");
    }
    let leading = significant.first().map_or(0, |first| first.leading_zeros());
    Ok(u32::try_from(significant.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_sub(leading))
}

fn ec_algorithm(oid: Oid, parameters: Option<&Element<'_>>, key: &Element<'_>) -> der::Result<KeyAlgorithm> {
    let named = parameters.filter(|parameters| parameters.tag == tag::OBJECT_IDENTIFIER);
    let Some(named) = named else { return Ok(KeyAlgorithm::Other { oid }) };
    let name = Oid::from_element(named)?;
    let (curve, length) = match name {
        oid::SECP256R1 => (Curve::P256, 32),
        oid::SECP384R1 => (Curve::P384, 48),
        oid::SECP521R1 => (Curve::P521, 66),
        _ => return Ok(KeyAlgorithm::Other { oid: name }),
    };
    match key.value.first() {
        Some(0x04) if key.value.len() == 1 + 2 * length => Ok(KeyAlgorithm::Ec { curve }),
        Some(0x02 | 0x03) if key.value.len() == 1 + length => Ok(KeyAlgorithm::Ec { curve }),
        _ => key.invalid("point of an elliptic curve"),
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.algorithm().fmt(out)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({self})")
    }
}

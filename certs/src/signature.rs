//! Signature algorithms, and the verification of signatures over certificates, requests and CRLs.

mod twin;

use std::fmt;

use aws_lc_rs::signature::{self as aws, ParsedPublicKey, VerificationAlgorithm};
use sha2::Digest as _;

use crate::der::{self, Element, Reader, tag};
use crate::key::{Curve, KeyAlgorithm, PublicKey};
use crate::oid::{self, Oid};

pub(crate) use twin::twin;

/// A hash inside a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// Broken; verified only where a trust entry tolerates it.
    Md5,
    /// Broken for signatures; verified only where a trust entry tolerates it.
    Sha1,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// How something was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ECDSA with this hash, on any curve.
    Ecdsa(Hash),
    /// Ed25519
    Ed25519,
    /// An algorithm, or parameters, that the product does not verify.
    Other(Oid),
    /// RSA with PKCS #1 v1.5 padding.
    RsaPkcs1(Hash),
    /// RSA with PSS padding: MGF1 with the same hash, salt as long as the hash.
    RsaPss(Hash),
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

impl fmt::Display for SignatureAlgorithm {
    /// `RSA with SHA-256`, `RSA-PSS with SHA-256`, `ECDSA with SHA-384`, `Ed25519`, or an OID.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecdsa(hash) => write!(out, "ECDSA with {hash}"),
            Self::Ed25519 => out.write_str("Ed25519"),
            Self::Other(oid) => oid.fmt(out),
            Self::RsaPkcs1(hash) => write!(out, "RSA with {hash}"),
            Self::RsaPss(hash) => write!(out, "RSA-PSS with {hash}"),
        }
    }
}

/// Why a signature was not found good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key did not sign these bytes.
    #[error("the signature does not verify")]
    Bad,
    /// The algorithm does not go with the key, or is not one the product verifies.
    #[error("the signature algorithm is not supported with this key")]
    Unsupported,
}

impl SignatureAlgorithm {
    /// The hash, where there is one.
    pub fn hash(self) -> Option<Hash> {
        match self {
            Self::Ecdsa(hash) | Self::RsaPkcs1(hash) | Self::RsaPss(hash) => Some(hash),
            Self::Ed25519 | Self::Other(_) => None,
        }
    }

    /// Reads an AlgorithmIdentifier (RFC 5280 §4.1.1.2).
    pub(crate) fn from_element(identifier: &Element<'_>) -> der::Result<Self> {
        let mut fields = identifier.reader();
        let oid = Oid::from_element(&fields.expect(tag::OBJECT_IDENTIFIER, "a signature algorithm")?)?;
        let parameters = if fields.is_empty() { None } else { Some(fields.any()?) };
        fields.finish()?;
        let absent = parameters.is_none();
        // RFC 4055 §5 wants NULL here; some encoders leave it out.
        let null = parameters.is_none_or(|parameters| parameters.encoded == [tag::NULL, 0]);
        Ok(match oid {
            oid::MD5_WITH_RSA if null => Self::RsaPkcs1(Hash::Md5),
            oid::SHA1_WITH_RSA if null => Self::RsaPkcs1(Hash::Sha1),
            oid::SHA256_WITH_RSA if null => Self::RsaPkcs1(Hash::Sha256),
            oid::SHA384_WITH_RSA if null => Self::RsaPkcs1(Hash::Sha384),
            oid::SHA512_WITH_RSA if null => Self::RsaPkcs1(Hash::Sha512),
            oid::ECDSA_WITH_SHA1 if absent => Self::Ecdsa(Hash::Sha1),
            oid::ECDSA_WITH_SHA256 if absent => Self::Ecdsa(Hash::Sha256),
            oid::ECDSA_WITH_SHA384 if absent => Self::Ecdsa(Hash::Sha384),
            oid::ECDSA_WITH_SHA512 if absent => Self::Ecdsa(Hash::Sha512),
            oid::ED25519 if absent => Self::Ed25519,
            oid::RSA_PSS => match parameters.map(|parameters| pss_hash(&parameters)) {
                Some(Ok(Some(hash))) => Self::RsaPss(hash),
                Some(Err(problem)) => return Err(problem),
                Some(Ok(None)) | None => Self::Other(oid),
            },
            _ => Self::Other(oid),
        })
    }

    /// Verifies a signature over a message.
    ///
    /// This says nothing of whether the algorithm or key is strong enough; see [`Tolerances`](crate::Tolerances).
    ///
    /// # Errors
    /// [`SignatureError::Bad`], or an algorithm that does not go with the key.
    pub fn verify(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if self.is_slow(key) {
            return self.verify_slowly(key, message, signature);
        }
        let (ready_for, ready) = key.ready().get_or_init(|| (self, self.prepare(key)));
        if *ready_for == self {
            verify_with(ready.as_ref(), message, signature)
        } else {
            verify_with(self.prepare(key).as_ref(), message, signature)
        }
    }

    /// As [`verify`](Self::verify), for a key that will not be needed again: what was prepared for it, about 1.8 KiB, is
    /// not kept beside it.
    ///
    /// # Errors
    /// As there.
    pub fn verify_once(
        self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if self.is_slow(key) {
            return self.verify_slowly(key, message, signature);
        }
        verify_with(self.prepare(key).as_ref(), message, signature)
    }

    fn is_slow(self, key: &PublicKey) -> bool {
        matches!(key.algorithm(), KeyAlgorithm::Rsa { bits } if self.needs_slow_rsa(bits))
    }

    /// Nothing where the algorithm does not go with the key.
    fn prepare(self, key: &PublicKey) -> Option<ParsedPublicKey> {
        ParsedPublicKey::new(self.verification(key.algorithm())?, key.key_bytes()).ok()
    }

    fn verification(self, key: KeyAlgorithm) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match (self, key) {
            (Self::RsaPkcs1(Hash::Sha1), KeyAlgorithm::Rsa { .. }) => {
                &aws::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY
            }
            (Self::RsaPkcs1(Hash::Sha256), KeyAlgorithm::Rsa { .. }) => {
                &aws::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
            }
            (Self::RsaPkcs1(Hash::Sha384), KeyAlgorithm::Rsa { .. }) => &aws::RSA_PKCS1_2048_8192_SHA384,
            (Self::RsaPkcs1(Hash::Sha512), KeyAlgorithm::Rsa { .. }) => {
                &aws::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
            }
            (Self::RsaPss(Hash::Sha256), KeyAlgorithm::Rsa { .. }) => &aws::RSA_PSS_2048_8192_SHA256,
            (Self::RsaPss(Hash::Sha384), KeyAlgorithm::Rsa { .. }) => &aws::RSA_PSS_2048_8192_SHA384,
            (Self::RsaPss(Hash::Sha512), KeyAlgorithm::Rsa { .. }) => &aws::RSA_PSS_2048_8192_SHA512,
            (Self::Ecdsa(hash), KeyAlgorithm::Ec { curve }) => match (curve, hash) {
                (Curve::P256, Hash::Sha256) => &aws::ECDSA_P256_SHA256_ASN1,
                (Curve::P256, Hash::Sha384) => &aws::ECDSA_P256_SHA384_ASN1,
                (Curve::P256, Hash::Sha512) => &aws::ECDSA_P256_SHA512_ASN1,
                (Curve::P384, Hash::Sha256) => &aws::ECDSA_P384_SHA256_ASN1,
                (Curve::P384, Hash::Sha384) => &aws::ECDSA_P384_SHA384_ASN1,
                (Curve::P384, Hash::Sha512) => &aws::ECDSA_P384_SHA512_ASN1,
                (Curve::P521, Hash::Sha256) => &aws::ECDSA_P521_SHA256_ASN1,
                (Curve::P521, Hash::Sha384) => &aws::ECDSA_P521_SHA384_ASN1,
                (Curve::P521, Hash::Sha512) => &aws::ECDSA_P521_SHA512_ASN1,
                (_, Hash::Md5 | Hash::Sha1) => return None,
            },
            (Self::Ed25519, KeyAlgorithm::Ed25519) => &aws::ED25519,
            (_, _) => return None,
        })
    }

    /// The combinations that aws-lc-rs does not have: MD5, PSS with SHA-1, and SHA-384 or PSS with less than 2048 bits.
    fn needs_slow_rsa(self, bits: u32) -> bool {
        match self {
            Self::RsaPkcs1(Hash::Md5) | Self::RsaPss(Hash::Md5 | Hash::Sha1) => true,
            Self::RsaPkcs1(Hash::Sha384) | Self::RsaPss(_) => bits < 2048,
            Self::RsaPkcs1(_) | Self::Ecdsa(_) | Self::Ed25519 | Self::Other(_) => false,
        }
    }

    fn verify_slowly(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if matches!(key.algorithm(), KeyAlgorithm::Rsa { bits } if bits < MIN_SLOW_BITS) {
            return Err(SignatureError::Unsupported);
        }
        let key = rsa_key(key).ok_or(SignatureError::Unsupported)?;
        let bad = |_| SignatureError::Bad;
        match self {
            Self::RsaPkcs1(Hash::Md5) => {
                let digest = <md5::Md5 as md5::Digest>::digest(message);
                let padding =
                    rsa::Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: MD5_DIGEST_INFO.into() };
                key.verify(padding, &digest, signature).map_err(bad)
            }
            Self::RsaPkcs1(Hash::Sha384) => {
                let digest = sha2::Sha384::digest(message);
                key.verify(rsa::Pkcs1v15Sign::new::<sha2::Sha384>(), &digest, signature).map_err(bad)
            }
            Self::RsaPss(Hash::Sha1) => key
                .verify(rsa::Pss::new::<sha1::Sha1>(), &sha1::Sha1::digest(message), signature)
                .map_err(bad),
            Self::RsaPss(Hash::Sha256) => key
                .verify(rsa::Pss::new::<sha2::Sha256>(), &sha2::Sha256::digest(message), signature)
                .map_err(bad),
            Self::RsaPss(Hash::Sha384) => key
                .verify(rsa::Pss::new::<sha2::Sha384>(), &sha2::Sha384::digest(message), signature)
                .map_err(bad),
            Self::RsaPss(Hash::Sha512) => key
                .verify(rsa::Pss::new::<sha2::Sha512>(), &sha2::Sha512::digest(message), signature)
                .map_err(bad),
            Self::RsaPkcs1(_) | Self::RsaPss(Hash::Md5) | Self::Ecdsa(_) | Self::Ed25519 | Self::Other(_) => {
                Err(SignatureError::Unsupported)
            }
        }
    }
}

fn verify_with(
    prepared: Option<&ParsedPublicKey>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let key = prepared.ok_or(SignatureError::Unsupported)?;
    key.verify_sig(message, signature).map_err(|_| SignatureError::Bad)
}

/// What stands before an MD5 hash in a PKCS #1 v1.5 signature (RFC 8017 §9.2, note 1).
pub(crate) const MD5_DIGEST_INFO: &[u8] = &[
    0x30, 0x20, 0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05, 0x05, 0x00, 0x04,
    0x10,
];

/// Shortest key that is verified without aws-lc-rs: tiny ones are nobody's, and have no room for a padded hash.
const MIN_SLOW_BITS: u32 = 512;
/// Longest key that is verified without aws-lc-rs: peers may not make slow work slower.
const MAX_SLOW_BITS: usize = 4096;

fn rsa_key(key: &PublicKey) -> Option<rsa::RsaPublicKey> {
    let mut numbers = Reader::new(key.key_bytes()).sequence("an RSA key").ok()?;
    let modulus = rsa::BigUint::from_bytes_be(numbers.integer("a modulus").ok()?.value);
    let exponent = rsa::BigUint::from_bytes_be(numbers.integer("an exponent").ok()?.value);
    rsa::RsaPublicKey::new_with_max_size(modulus, exponent, MAX_SLOW_BITS).ok()
}

/// The hash of RSASSA-PSS parameters (RFC 4055 §3.1) of the one shape that is used: MGF1 with the same hash, a salt
/// as long as the hash. `None` for any other shape.
fn pss_hash(parameters: &Element<'_>) -> der::Result<Option<Hash>> {
    let mut fields = match parameters.tag {
        tag::SEQUENCE => parameters.reader(),
        _ => return Ok(None),
    };
    let hash_of = |outer: Option<Element<'_>>| -> der::Result<Option<Hash>> {
        let Some(outer) = outer else { return Ok(Some(Hash::Sha1)) };
        let mut reader = outer.reader();
        let hash = read_hash(&mut reader)?;
        reader.finish().map(|()| hash)
    };
    let hash = hash_of(fields.optional(tag::context_constructed(0))?)?;
    let mask = match fields.optional(tag::context_constructed(1))? {
        None => Some(Hash::Sha1),
        Some(outer) => {
            let mut reader = outer.reader();
            let mut algorithm = reader.sequence("a mask generation function")?;
            reader.finish()?;
            let function =
                Oid::from_element(&algorithm.expect(tag::OBJECT_IDENTIFIER, "a mask generation function")?)?;
            let hash = read_hash(&mut algorithm)?;
            algorithm.finish()?;
            hash.filter(|_| function == oid::MGF1)
        }
    };
    let salt = match fields.optional(tag::context_constructed(2))? {
        None => 20,
        Some(outer) => only_integer(&outer, "a salt length")?,
    };
    let trailer = match fields.optional(tag::context_constructed(3))? {
        None => 1,
        Some(outer) => only_integer(&outer, "a trailer")?,
    };
    fields.finish()?;
    let expected_salt = match hash {
        Some(Hash::Sha1) => 20,
        Some(Hash::Sha256) => 32,
        Some(Hash::Sha384) => 48,
        Some(Hash::Sha512) => 64,
        Some(Hash::Md5) | None => return Ok(None),
    };
    Ok(hash.filter(|_| mask == hash && salt == expected_salt && trailer == 1))
}

fn only_integer(outer: &Element<'_>, expected: &'static str) -> der::Result<u32> {
    let mut reader = outer.reader();
    let number = reader.small_integer(expected)?;
    reader.finish().map(|()| number)
}

fn read_hash(reader: &mut Reader<'_>) -> der::Result<Option<Hash>> {
    let mut algorithm = reader.sequence("a hash algorithm")?;
    let oid = Oid::from_element(&algorithm.expect(tag::OBJECT_IDENTIFIER, "a hash algorithm")?)?;
    if !algorithm.is_empty() {
        algorithm.expect(tag::NULL, "NULL")?;
    }
    algorithm.finish()?;
    Ok(match oid {
        oid::SHA1 => Some(Hash::Sha1),
        oid::SHA256 => Some(Hash::Sha256),
        oid::SHA384 => Some(Hash::Sha384),
        oid::SHA512 => Some(Hash::Sha512),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::der::{DerProblem, encode};
    use crate::testing::{KeyKind, TestKey};

    /// PSS parameters with SHA-256 throughout, and these contents of the salt length and the trailer.
    fn pss(salt: &[u8], trailer: &[u8]) -> der::Result<SignatureAlgorithm> {
        let sequence = |parts: &[&[u8]]| encode(tag::SEQUENCE, &parts.concat());
        let oid = |oid: Oid| encode(tag::OBJECT_IDENTIFIER, oid.as_bytes());
        let hash = sequence(&[&oid(oid::SHA256)]);
        let parameters = sequence(&[
            &encode(tag::context_constructed(0), &hash),
            &encode(tag::context_constructed(1), &sequence(&[&oid(oid::MGF1), &hash])),
            &encode(tag::context_constructed(2), salt),
            &encode(tag::context_constructed(3), trailer),
        ]);
        let identifier = sequence(&[&oid(oid::RSA_PSS), &parameters]);
        SignatureAlgorithm::from_element(&Reader::new(&identifier).any()?)
    }

    #[test]
    fn refuses_pss_parameters_with_more_behind_a_number() {
        assert_eq!(pss(&[2, 1, 32], &[2, 1, 1]), Ok(SignatureAlgorithm::RsaPss(Hash::Sha256)));
        let problem = |result: der::Result<_>| result.unwrap_err().problem;
        assert_eq!(problem(pss(&[2, 1, 32, 5, 0], &[2, 1, 1])), DerProblem::Trailing);
        assert_eq!(problem(pss(&[2, 1, 32], &[2, 1, 1, 5, 0])), DerProblem::Trailing);
    }

    const SLOW: [SignatureAlgorithm; 5] = [
        SignatureAlgorithm::RsaPkcs1(Hash::Md5),
        SignatureAlgorithm::RsaPkcs1(Hash::Sha384),
        SignatureAlgorithm::RsaPss(Hash::Sha1),
        SignatureAlgorithm::RsaPss(Hash::Sha256),
        SignatureAlgorithm::RsaPss(Hash::Sha512),
    ];

    #[test]
    fn the_smallest_key_verifies_and_a_smaller_one_is_not_supported() {
        let key = TestKey::cached(KeyKind::Rsa512, "smallest");
        let algorithm = SignatureAlgorithm::RsaPkcs1(Hash::Md5);
        let signature = key.sign(algorithm, b"message");
        assert_eq!(algorithm.verify(key.public(), b"message", &signature), Ok(()));
        let mut modulus = vec![0xff; 63];
        modulus[0] = 0x7f;
        let smaller = rsa_key_of(&modulus, &[3]);
        assert_eq!(smaller.algorithm(), KeyAlgorithm::Rsa { bits: 503 });
        for algorithm in SLOW {
            let refused = algorithm.verify(&smaller, b"message", &[1; 63]);
            assert_eq!(refused, Err(SignatureError::Unsupported), "{algorithm}");
        }
    }

    fn rsa_key_of(modulus: &[u8], exponent: &[u8]) -> PublicKey {
        let numbers = [encode(tag::INTEGER, modulus), encode(tag::INTEGER, exponent)].concat();
        let key = encode(tag::SEQUENCE, &numbers);
        let oid = encode(tag::OBJECT_IDENTIFIER, oid::RSA_ENCRYPTION.as_bytes());
        let algorithm = encode(tag::SEQUENCE, &[&oid[..], &[tag::NULL, 0]].concat());
        let bits = encode(tag::BIT_STRING, &[&[0], &key[..]].concat());
        PublicKey::from_spki_der(&encode(tag::SEQUENCE, &[algorithm, bits].concat())).unwrap()
    }

    proptest! {
        #[test]
        fn small_moduli_never_panic(
            mut modulus in prop::collection::vec(any::<u8>(), 1..80),
            exponent in prop::sample::select(vec![1_u8, 3, 17]),
            signature in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let first = modulus[0] & 0x7f;
            modulus[0] = first.max(1);
            let last = modulus.len() - 1;
            modulus[last] |= 1;
            let key = rsa_key_of(&modulus, &[exponent]);
            for algorithm in SLOW {
                prop_assert!(algorithm.verify(&key, b"message", &signature).is_err());
            }
        }
    }
}

//! What an authority signs with.

use std::sync::Arc;

use certs::{Curve, Hash, KeyAlgorithm, PublicKey, SignatureAlgorithm};
use der::asn1::{Any, ObjectIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::key::twin::TwinKey;
use crate::key::{KeyError, PrivateKey};

/// A private key somewhere: in a file, or in a token.
pub(crate) trait Signer: Send + Sync {
    /// The algorithm it signs with, as certificates name it.
    fn algorithm(&self) -> AlgorithmIdentifierOwned;

    /// Signs the whole message.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Checks a signature that it made with the public half alone, a `SubjectPublicKeyInfo`. Only signatures and keys
    /// that are strong pass, unless the signer is a [`TwinSigner`].
    fn verifies(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        verifies(public_key, &self.algorithm(), message, signature)
    }
}

impl Signer for PrivateKey {
    fn algorithm(&self) -> AlgorithmIdentifierOwned {
        self.signature_algorithm()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Self::sign(self, message)
    }
}

/// A test twin's key together with the algorithm it is to sign with.
pub(crate) struct TwinSigner {
    key: Arc<TwinKey>,
    algorithm: SignatureAlgorithm,
    identifier: AlgorithmIdentifierOwned,
}

impl TwinSigner {
    /// Signs with this hash, where the key leaves the choice.
    pub(crate) fn new(key: Arc<TwinKey>, hash: Hash) -> Result<Self, KeyError> {
        let algorithm = key.algorithm(hash)?;
        let identifier = identifier(algorithm).ok_or(KeyError::Algorithm(algorithm))?;
        Ok(Self { key, algorithm, identifier })
    }

    /// Signs with an algorithm that another certificate names in these words.
    pub(crate) fn like(
        key: Arc<TwinKey>,
        algorithm: SignatureAlgorithm,
        identifier: AlgorithmIdentifierOwned,
    ) -> Self {
        Self { key, algorithm, identifier }
    }
}

impl Signer for TwinSigner {
    fn algorithm(&self) -> AlgorithmIdentifierOwned {
        self.identifier.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key.sign(self.algorithm, message)
    }

    fn verifies(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        PublicKey::from_spki_der(public_key)
            .is_ok_and(|key| self.algorithm.verify(&key, message, signature).is_ok())
    }
}

/// How a key of this kind signs here: with the hash as strong as the key. `None` for a kind that is not known.
pub(crate) fn signature_of(key: KeyAlgorithm) -> Option<SignatureAlgorithm> {
    Some(match key {
        KeyAlgorithm::Rsa { .. } => SignatureAlgorithm::RsaPkcs1(Hash::Sha256),
        KeyAlgorithm::Ec { curve: Curve::P256 } => SignatureAlgorithm::Ecdsa(Hash::Sha256),
        KeyAlgorithm::Ec { curve: Curve::P384 } => SignatureAlgorithm::Ecdsa(Hash::Sha384),
        KeyAlgorithm::Ec { curve: Curve::P521 } => SignatureAlgorithm::Ecdsa(Hash::Sha512),
        KeyAlgorithm::Ed25519 => SignatureAlgorithm::Ed25519,
        KeyAlgorithm::Other { .. } => return None,
    })
}

/// The algorithm as certificates name it; RSA-PSS and what is unknown have no single name.
pub(crate) fn identifier(algorithm: SignatureAlgorithm) -> Option<AlgorithmIdentifierOwned> {
    let (oid, parameters) = match algorithm {
        SignatureAlgorithm::RsaPkcs1(hash) => {
            let oid = match hash {
                Hash::Md5 => "1.2.840.113549.1.1.4",
                Hash::Sha1 => "1.2.840.113549.1.1.5",
                Hash::Sha256 => "1.2.840.113549.1.1.11",
                Hash::Sha384 => "1.2.840.113549.1.1.12",
                Hash::Sha512 => "1.2.840.113549.1.1.13",
            };
            (oid, Some(Any::null()))
        }
        SignatureAlgorithm::Ecdsa(Hash::Sha256) => ("1.2.840.10045.4.3.2", None),
        SignatureAlgorithm::Ecdsa(Hash::Sha384) => ("1.2.840.10045.4.3.3", None),
        SignatureAlgorithm::Ecdsa(Hash::Sha512) => ("1.2.840.10045.4.3.4", None),
        SignatureAlgorithm::Ed25519 => ("1.3.101.112", None),
        SignatureAlgorithm::Ecdsa(Hash::Md5 | Hash::Sha1)
        | SignatureAlgorithm::RsaPss(_)
        | SignatureAlgorithm::Other(_) => return None,
    };
    Some(AlgorithmIdentifierOwned { oid: ObjectIdentifier::new(oid).ok()?, parameters })
}

/// Whether a certificate may be signed with this algorithm in a production store.
pub(crate) fn is_strong(algorithm: &AlgorithmIdentifierOwned) -> bool {
    verification(algorithm).is_some()
}

/// Checks a strong signature with the public half alone.
pub(crate) fn verifies(
    public_key: &[u8],
    algorithm: &AlgorithmIdentifierOwned,
    message: &[u8],
    signature: &[u8],
) -> bool {
    verification(algorithm).is_some_and(|algorithm| {
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(algorithm, public_key);
        key.verify(message, signature).is_ok()
    })
}

fn verification(
    algorithm: &AlgorithmIdentifierOwned,
) -> Option<&'static dyn aws_lc_rs::signature::VerificationAlgorithm> {
    use aws_lc_rs::signature as s;

    match algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.11" => Some(&s::RSA_PKCS1_2048_8192_SHA256),
        "1.2.840.10045.4.3.2" => Some(&s::ECDSA_P256_SHA256_ASN1),
        "1.2.840.10045.4.3.3" => Some(&s::ECDSA_P384_SHA384_ASN1),
        "1.2.840.10045.4.3.4" => Some(&s::ECDSA_P521_SHA512_ASN1),
        "1.3.101.112" => Some(&s::ED25519),
        _ => None,
    }
}

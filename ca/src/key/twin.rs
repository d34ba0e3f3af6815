//! Private keys of test twins: of kinds and sizes that aws-lc-rs neither makes nor signs with, as old units have them.
//!
//! This is the one place where the crate `rsa` uses private keys. How long it takes tells of the key to whoever can
//! measure it (RUSTSEC-2023-0071). That is no matter here: the keys belong to test stores and twins, whose certificates
//! are marked, and they sign only when an operator runs this program, never when something arrives from the network.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use certs::{Curve, Hash, SignatureAlgorithm};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use rsa::rand_core::OsRng;
use rsa::{Pkcs1v15Sign, Pss};
use sha2::Digest as _;
use zeroize::Zeroizing;

use super::{KeyError, KeyType, PrivateKey, armour, encryption};
use crate::passphrase::Passphrase;
use crate::random::RandomSource;

/// What kind of key a twin has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TwinKind {
    Ec(Curve),
    Ed25519,
    Rsa { bits: u32, exponent: u64 },
}

impl From<KeyType> for TwinKind {
    fn from(key_type: KeyType) -> Self {
        let rsa = |bits| Self::Rsa { bits, exponent: USUAL_EXPONENT };
        match key_type {
            KeyType::Rsa2048 => rsa(2048),
            KeyType::Rsa3072 => rsa(3072),
            KeyType::Rsa4096 => rsa(4096),
            KeyType::P256 => Self::Ec(Curve::P256),
        }
    }
}

/// The exponent of nearly every RSA key.
pub(crate) const USUAL_EXPONENT: u64 = 65_537;

/// A private key of a test twin.
pub(crate) struct TwinKey {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: Pair,
}

enum Pair {
    Ec(Box<EcdsaKeyPair>, Hash),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<rsa::RsaPrivateKey>),
}

impl TwinKey {
    /// Makes a new key. One of a size or exponent that aws-lc-rs does not make takes up to some seconds.
    pub(crate) fn generate(kind: TwinKind) -> Result<Self, KeyError> {
        match kind {
            TwinKind::Rsa { bits, exponent: USUAL_EXPONENT } if matches!(bits, 2048 | 3072 | 4096) => {
                let quick = match bits {
                    2048 => KeyType::Rsa2048,
                    3072 => KeyType::Rsa3072,
                    _ => KeyType::Rsa4096,
                };
                Self::from_pkcs8(&PrivateKey::generate(quick)?.pkcs8)
            }
            TwinKind::Rsa { bits, exponent } => {
                let bits = usize::try_from(bits).map_err(|_too_many| KeyError::Generation)?;
                let key = rsa::RsaPrivateKey::new_with_exp(&mut OsRng, bits, &exponent.into())
                    .map_err(|_failed| KeyError::Generation)?;
                let document = key.to_pkcs8_der().map_err(|_failed| KeyError::Generation)?;
                Ok(Self {
                    pkcs8: Zeroizing::new(document.as_bytes().to_vec()),
                    pair: Pair::Rsa(Box::new(key)),
                })
            }
            TwinKind::Ec(curve) => {
                let (algorithm, hash) = signing(curve);
                let pair = EcdsaKeyPair::generate(algorithm).map_err(|_failed| KeyError::Generation)?;
                let document = pair.to_pkcs8v1().map_err(|_failed| KeyError::Generation)?;
                let pkcs8 = Zeroizing::new(document.as_ref().to_vec());
                Ok(Self { pkcs8, pair: Pair::Ec(Box::new(pair), hash) })
            }
            TwinKind::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(|_failed| KeyError::Generation)?;
                let document =
                    AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).map_err(|_failed| KeyError::Generation)?;
                let pkcs8 = Zeroizing::new(document.as_ref().to_vec());
                Ok(Self { pkcs8, pair: Pair::Ed25519(Box::new(pair)) })
            }
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pkcs8 = Zeroizing::new(der.to_vec());
        if let Ok(key) = rsa::RsaPrivateKey::from_pkcs8_der(der) {
            return Ok(Self { pkcs8, pair: Pair::Rsa(Box::new(key)) });
        }
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let (algorithm, hash) = signing(curve);
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(algorithm, der) {
                return Ok(Self { pkcs8, pair: Pair::Ec(Box::new(pair), hash) });
            }
        }
        Err(KeyError::Rejected)
    }

    /// Reads the private key of a PEM text as a store keeps it: PKCS #8, plain or encrypted.
    pub(crate) fn from_pem(text: &str, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let blocks = pem::parse_many(text)
            .map_err(|_not_pem| KeyError::Unrecognised { found: "no PEM".to_owned() })?;
        match blocks.first().map(|block| (block.tag(), block.contents())) {
            Some(("PRIVATE KEY", der)) => Self::from_pkcs8(der),
            Some(("ENCRYPTED PRIVATE KEY", der)) => {
                let passphrase = passphrase.ok_or(KeyError::WantsPassphrase)?;
                Self::from_pkcs8(&encryption::decrypt(der, passphrase)?)
            }
            Some((label, _)) => Err(KeyError::Unrecognised { found: label.to_owned() }),
            None => Err(KeyError::Unrecognised { found: "no PEM".to_owned() }),
        }
    }

    /// The key as a plain PKCS #8 PEM block.
    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(armour("PRIVATE KEY", &self.pkcs8))
    }

    /// The key as an encrypted PKCS #8 PEM block, as [`PrivateKey::to_encrypted_pem`].
    pub(crate) fn to_encrypted_pem(
        &self,
        passphrase: &Passphrase,
        random: &dyn RandomSource,
    ) -> Result<String, KeyError> {
        Ok(armour("ENCRYPTED PRIVATE KEY", &encryption::encrypt(&self.pkcs8, passphrase, random)?))
    }

    /// The public half as a DER `SubjectPublicKeyInfo`.
    pub(crate) fn public_key_der(&self) -> Result<Vec<u8>, KeyError> {
        let der = |der: PublicKeyX509Der<'static>| der.as_ref().to_vec();
        match &self.pair {
            Pair::Ec(pair, _) => pair.public_key().as_der().map(der).map_err(|_failed| KeyError::Rejected),
            Pair::Ed25519(pair) => pair.public_key().as_der().map(der).map_err(|_failed| KeyError::Rejected),
            Pair::Rsa(key) => key
                .to_public_key()
                .to_public_key_der()
                .map(|document| document.as_bytes().to_vec())
                .map_err(|_failed| KeyError::Rejected),
        }
    }

    /// How this key signs with this hash; keys on a curve and Ed25519 have a way of their own and no weak ones.
    pub(crate) fn algorithm(&self, hash: Hash) -> Result<SignatureAlgorithm, KeyError> {
        let weak = matches!(hash, Hash::Md5 | Hash::Sha1);
        match &self.pair {
            Pair::Rsa(_) => Ok(SignatureAlgorithm::RsaPkcs1(hash)),
            Pair::Ec(_, own) if !weak => Ok(SignatureAlgorithm::Ecdsa(*own)),
            Pair::Ed25519(_) if !weak => Ok(SignatureAlgorithm::Ed25519),
            Pair::Ec(..) | Pair::Ed25519(_) => Err(KeyError::Algorithm(SignatureAlgorithm::RsaPkcs1(hash))),
        }
    }

    /// Signs with exactly this algorithm, also with broken ones.
    pub(crate) fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match (&self.pair, algorithm) {
            (Pair::Ec(pair, own), SignatureAlgorithm::Ecdsa(hash)) if *own == hash => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_failed| KeyError::Signing),
            (Pair::Ed25519(pair), SignatureAlgorithm::Ed25519) => Ok(pair.sign(message).as_ref().to_vec()),
            (Pair::Rsa(key), SignatureAlgorithm::RsaPkcs1(hash)) => {
                let (padding, digest) = pkcs1(hash, message);
                // With blinding, which hides at least the message's share of the time.
                key.sign_with_rng(&mut OsRng, padding, &digest).map_err(|_failed| KeyError::Signing)
            }
            (Pair::Rsa(key), SignatureAlgorithm::RsaPss(hash)) => {
                let (padding, digest) = match hash {
                    Hash::Sha1 => (Pss::new::<sha1::Sha1>(), sha1::Sha1::digest(message).to_vec()),
                    Hash::Sha256 => (Pss::new::<sha2::Sha256>(), sha2::Sha256::digest(message).to_vec()),
                    Hash::Sha384 => (Pss::new::<sha2::Sha384>(), sha2::Sha384::digest(message).to_vec()),
                    Hash::Sha512 => (Pss::new::<sha2::Sha512>(), sha2::Sha512::digest(message).to_vec()),
                    Hash::Md5 => return Err(KeyError::Algorithm(algorithm)),
                };
                key.sign_with_rng(&mut OsRng, padding, &digest).map_err(|_failed| KeyError::Signing)
            }
            (_, _) => Err(KeyError::Algorithm(algorithm)),
        }
    }
}

fn signing(curve: Curve) -> (&'static EcdsaSigningAlgorithm, Hash) {
    match curve {
        Curve::P256 => (&ECDSA_P256_SHA256_ASN1_SIGNING, Hash::Sha256),
        Curve::P384 => (&ECDSA_P384_SHA384_ASN1_SIGNING, Hash::Sha384),
        Curve::P521 => (&ECDSA_P521_SHA512_ASN1_SIGNING, Hash::Sha512),
    }
}

/// The padding of RFC 8017 §9.2 and the digest that goes into it.
fn pkcs1(hash: Hash, message: &[u8]) -> (Pkcs1v15Sign, Vec<u8>) {
    match hash {
        Hash::Md5 => {
            let digest = md5::Md5::digest(message).to_vec();
            (Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: MD5_DIGEST_INFO.into() }, digest)
        }
        Hash::Sha1 => (Pkcs1v15Sign::new::<sha1::Sha1>(), sha1::Sha1::digest(message).to_vec()),
        Hash::Sha256 => (Pkcs1v15Sign::new::<sha2::Sha256>(), sha2::Sha256::digest(message).to_vec()),
        Hash::Sha384 => (Pkcs1v15Sign::new::<sha2::Sha384>(), sha2::Sha384::digest(message).to_vec()),
        Hash::Sha512 => (Pkcs1v15Sign::new::<sha2::Sha512>(), sha2::Sha512::digest(message).to_vec()),
    }
}

/// What stands before an MD5 hash in a PKCS #1 v1.5 signature (RFC 8017 §9.2, note 1).
const MD5_DIGEST_INFO: [u8; 18] = [
    0x30, 0x20, 0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05, 0x05, 0x00, 0x04,
    0x10,
];

#[cfg(test)]
mod tests {
    use certs::PublicKey;

    use super::*;
    use crate::random::OperatingSystem;

    #[test]
    fn every_signature_it_makes_verifies_with_the_second_library() {
        for kind in [
            TwinKind::Rsa { bits: 1024, exponent: 3 },
            TwinKind::Rsa { bits: 2048, exponent: USUAL_EXPONENT },
        ] {
            let key = TwinKey::generate(kind).unwrap();
            let public = PublicKey::from_spki_der(&key.public_key_der().unwrap()).unwrap();
            let hashes = [Hash::Md5, Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];
            let algorithms = hashes
                .map(SignatureAlgorithm::RsaPkcs1)
                .into_iter()
                .chain([SignatureAlgorithm::RsaPss(Hash::Sha1), SignatureAlgorithm::RsaPss(Hash::Sha256)]);
            for algorithm in algorithms {
                let signature = key.sign(algorithm, b"message").unwrap();
                assert_eq!(algorithm.verify(&public, b"message", &signature), Ok(()), "{algorithm}");
                assert!(algorithm.verify(&public, b"other", &signature).is_err(), "{algorithm}");
            }
        }
        for (kind, algorithm) in [
            (TwinKind::Ec(Curve::P256), SignatureAlgorithm::Ecdsa(Hash::Sha256)),
            (TwinKind::Ec(Curve::P384), SignatureAlgorithm::Ecdsa(Hash::Sha384)),
            (TwinKind::Ec(Curve::P521), SignatureAlgorithm::Ecdsa(Hash::Sha512)),
            (TwinKind::Ed25519, SignatureAlgorithm::Ed25519),
        ] {
            let key = TwinKey::generate(kind).unwrap();
            let public = PublicKey::from_spki_der(&key.public_key_der().unwrap()).unwrap();
            let signature = key.sign(algorithm, b"message").unwrap();
            assert_eq!(algorithm.verify(&public, b"message", &signature), Ok(()), "{algorithm}");
            let other = SignatureAlgorithm::RsaPkcs1(Hash::Sha1);
            assert!(matches!(key.sign(other, b"message"), Err(KeyError::Algorithm(_))));
            assert!(key.algorithm(Hash::Sha1).is_err() && key.algorithm(Hash::Sha256).is_ok());
        }
    }

    #[test]
    fn a_short_key_is_read_back_and_the_ordinary_kind_still_refuses_it() {
        let key = TwinKey::generate(TwinKind::Rsa { bits: 1024, exponent: USUAL_EXPONENT }).unwrap();
        let passphrase = Passphrase::new("correct horse");
        let text = key.to_encrypted_pem(&passphrase, &OperatingSystem).unwrap();
        let read = TwinKey::from_pem(&text, Some(&passphrase)).unwrap();
        assert_eq!(read.public_key_der().unwrap(), key.public_key_der().unwrap());
        assert!(matches!(TwinKey::from_pem(&text, None), Err(KeyError::WantsPassphrase)));
        let wrong = TwinKey::from_pem(&text, Some(&Passphrase::new("battery staple")));
        assert!(matches!(wrong, Err(KeyError::WrongPassphrase)));
        assert!(matches!(PrivateKey::from_pem(&key.to_pem(), None), Err(KeyError::Rejected)));
    }
}

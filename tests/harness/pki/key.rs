//! Keys, strong ones and such as old phones have, and what they sign.

use rcgen::{PublicKeyData as _, RsaKeySize, SigningKey as _};
use rsa::{
    pkcs1v15::Pkcs1v15Sign,
    pkcs8::{EncodePrivateKey as _, EncodePublicKey as _},
};
use sha1::Digest as _;

use crate::der;

/// The kinds of key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// P-256.
    P256,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 1024 bits, as old phones have.
    Rsa1024,
    /// Ed25519.
    Ed25519,
}

/// A key pair.
#[derive(Debug)]
pub struct Key {
    holder: Holder,
}

#[derive(Debug)]
enum Holder {
    Strong(Box<rcgen::KeyPair>),
    Old(Box<rsa::RsaPrivateKey>),
}

/// The digest in a certificate's signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Digest {
    /// SHA-256, or what belongs to the key.
    Usual,
    /// MD5; the issuer's key must be an old one.
    Md5,
    /// SHA-1; the issuer's key must be an old one.
    Sha1,
    /// The usual one, under the name of an algorithm that nobody knows.
    Unheard,
}

impl Key {
    /// A new one.
    ///
    /// # Panics
    /// The system has no randomness.
    pub fn new(kind: KeyKind) -> Self {
        let strong = |algorithm| rcgen::KeyPair::generate_for(algorithm).unwrap();
        let holder = match kind {
            KeyKind::P256 => Holder::Strong(Box::new(strong(&rcgen::PKCS_ECDSA_P256_SHA256))),
            KeyKind::Ed25519 => Holder::Strong(Box::new(strong(&rcgen::PKCS_ED25519))),
            KeyKind::Rsa2048 => {
                let key =
                    rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
                Holder::Strong(Box::new(key))
            }
            KeyKind::Rsa1024 => Self::old(1024).holder,
        };
        Self { holder }
    }

    /// An RSA key that can also sign with SHA-1.
    ///
    /// # Panics
    /// The system has no randomness.
    pub fn old(bits: usize) -> Self {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits).unwrap();
        Self { holder: Holder::Old(Box::new(key)) }
    }

    /// PKCS #8.
    ///
    /// # Panics
    /// Never, for a key made here.
    pub fn pkcs8(&self) -> Vec<u8> {
        match &self.holder {
            Holder::Strong(key) => key.serialize_der(),
            Holder::Old(key) => key.to_pkcs8_der().unwrap().as_bytes().to_vec(),
        }
    }

    pub(super) fn public(&self) -> Vec<u8> {
        match &self.holder {
            Holder::Strong(key) => key.subject_public_key_info(),
            Holder::Old(key) => key.to_public_key().to_public_key_der().unwrap().as_bytes().to_vec(),
        }
    }

    pub(super) fn algorithm(&self, digest: Digest) -> Vec<u8> {
        let rsa = |oid| der::sequence(&[der::oid(oid), der::null()]);
        match (&self.holder, digest) {
            (_, Digest::Unheard) => der::sequence(&[der::oid("1.3.6.1.4.1.99999.7")]),
            (Holder::Strong(key), _) if key.algorithm() == &rcgen::PKCS_ECDSA_P256_SHA256 => {
                der::sequence(&[der::oid("1.2.840.10045.4.3.2")])
            }
            (Holder::Strong(key), _) if key.algorithm() == &rcgen::PKCS_ED25519 => {
                der::sequence(&[der::oid("1.3.101.112")])
            }
            (_, Digest::Usual) => rsa("1.2.840.113549.1.1.11"),
            (_, Digest::Sha1) => rsa("1.2.840.113549.1.1.5"),
            (_, Digest::Md5) => rsa("1.2.840.113549.1.1.4"),
        }
    }

    pub(super) fn sign(&self, message: &[u8], digest: Digest) -> Vec<u8> {
        match &self.holder {
            Holder::Strong(key) => {
                assert!(
                    !matches!(digest, Digest::Md5 | Digest::Sha1),
                    "only an old key signs with an old digest"
                );
                key.sign(message).unwrap()
            }
            Holder::Old(key) => match digest {
                Digest::Usual | Digest::Unheard => {
                    key.sign(Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &rsa::sha2::Sha256::digest(message))
                }
                Digest::Sha1 => key.sign(Pkcs1v15Sign::new::<sha1::Sha1>(), &sha1::Sha1::digest(message)),
                Digest::Md5 => key.sign(Pkcs1v15Sign::new::<md5::Md5>(), &md5::Md5::digest(message)),
            }
            .unwrap(),
        }
    }
}

//! Keys for tests, made once per process, kind and label.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use sha2::Digest as _;

use super::encode;
use crate::der::{encode as der, tag};
use crate::key::PublicKey;
use crate::oid;
use crate::pem;
use crate::signature::{Hash, SignatureAlgorithm};

/// The kind of a test key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Ed25519
    Ed25519,
    /// ECDSA on P-256, made in microseconds; the default
    P256,
    /// ECDSA on P-384
    P384,
    /// ECDSA on P-521
    P521,
    /// RSA of 512 bits, which nothing accepts
    Rsa512,
    /// RSA of 1024 bits, which only a tolerance accepts
    Rsa1024,
    /// RSA of 2048 bits
    Rsa2048,
    /// RSA of 3072 bits
    Rsa3072,
    /// RSA of 4096 bits, slow to make
    Rsa4096,
}

/// A private key and what is needed to sign with it.
pub struct TestKey {
    pkcs8: Vec<u8>,
    public: PublicKey,
    pair: Pair,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>, Hash),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<rsa::RsaPrivateKey>),
}

type Cache = Mutex<HashMap<(KeyKind, String), Arc<TestKey>>>;

static CACHE: LazyLock<Cache> = LazyLock::new(Cache::default);

impl TestKey {
    /// The key of this kind and label: the same one whenever this process asks.
    ///
    /// # Panics
    /// When the system gives no random numbers.
    pub fn cached(kind: KeyKind, label: &str) -> Arc<Self> {
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = cache.entry((kind, label.to_owned()));
        Arc::clone(entry.or_insert_with(|| Arc::new(Self::generate(kind))))
    }

    /// A new key.
    ///
    /// # Panics
    /// When the system gives no random numbers.
    pub fn generate(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Ed25519 => {
                let pair = Ed25519KeyPair::generate().expect("the system has random numbers");
                let pkcs8 = pair.to_pkcs8v1().expect("a fresh key can be written").as_ref().to_vec();
                let spki = spki(&encode::object_identifier(&oid::ED25519), pair.public_key().as_ref());
                Self::new(pkcs8, &spki, Pair::Ed25519(Box::new(pair)))
            }
            KeyKind::P256 => Self::ecdsa(&aws::ECDSA_P256_SHA256_ASN1_SIGNING, &oid::SECP256R1, Hash::Sha256),
            KeyKind::P384 => Self::ecdsa(&aws::ECDSA_P384_SHA384_ASN1_SIGNING, &oid::SECP384R1, Hash::Sha384),
            KeyKind::P521 => Self::ecdsa(&aws::ECDSA_P521_SHA512_ASN1_SIGNING, &oid::SECP521R1, Hash::Sha512),
            KeyKind::Rsa512 => Self::small_rsa(512),
            KeyKind::Rsa1024 => Self::small_rsa(1024),
            KeyKind::Rsa2048 => Self::rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => Self::rsa(KeySize::Rsa3072),
            KeyKind::Rsa4096 => Self::rsa(KeySize::Rsa4096),
        }
    }

    fn new(pkcs8: Vec<u8>, spki: &[u8], pair: Pair) -> Self {
        let public = PublicKey::from_spki_der(spki).expect("a fresh key can be read");
        Self { pkcs8, public, pair }
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, curve: &oid::Oid, hash: Hash) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).expect("the system has random numbers");
        let pkcs8 = pair.to_pkcs8v1().expect("a fresh key can be written").as_ref().to_vec();
        let algorithm =
            [encode::object_identifier(&oid::EC_PUBLIC_KEY), encode::object_identifier(curve)].concat();
        let spki = spki(&algorithm, pair.public_key().as_ref());
        Self::new(pkcs8, &spki, Pair::Ecdsa(Box::new(pair), hash))
    }

    fn rsa(size: KeySize) -> Self {
        let pair = aws::RsaKeyPair::generate(size).expect("the system has random numbers");
        let pkcs8 = pair.as_der().expect("a fresh key can be written").as_ref().to_vec();
        Self::from_rsa(pkcs8)
    }

    /// aws-lc-rs makes no keys of less than 2048 bits.
    fn small_rsa(bits: usize) -> Self {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits).expect("a size that RSA has");
        let pkcs8 = key.to_pkcs8_der().expect("a fresh key can be written").as_bytes().to_vec();
        Self::from_rsa(pkcs8)
    }

    fn from_rsa(pkcs8: Vec<u8>) -> Self {
        use rsa::pkcs8::EncodePublicKey as _;
        let key = rsa::RsaPrivateKey::from_pkcs8_der(&pkcs8).expect("a fresh key can be read");
        let spki = key.to_public_key().to_public_key_der().expect("a fresh key can be written");
        Self::new(pkcs8, spki.as_bytes(), Pair::Rsa(Box::new(key)))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS #8 DER.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// PKCS #8 PEM, as servers and clients load it.
    pub fn to_pem(&self) -> String {
        pem::encode("PRIVATE KEY", &self.pkcs8)
    }

    /// SHA-256 with RSA or P-256, the longer hashes with the longer curves.
    pub fn default_algorithm(&self) -> SignatureAlgorithm {
        match &self.pair {
            Pair::Ecdsa(_, hash) => SignatureAlgorithm::Ecdsa(*hash),
            Pair::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Pair::Rsa(_) => SignatureAlgorithm::RsaPkcs1(Hash::Sha256),
        }
    }

    /// Signs a message. The algorithm must go with the key; RSA signs with any hash, also broken ones.
    ///
    /// # Panics
    /// When it does not.
    pub fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
        match (&self.pair, algorithm) {
            (Pair::Ecdsa(pair, hash), SignatureAlgorithm::Ecdsa(wanted)) if *hash == wanted => {
                pair.sign(&SystemRandom::new(), message).expect("a key that signs").as_ref().to_vec()
            }
            (Pair::Ed25519(pair), SignatureAlgorithm::Ed25519) => pair.sign(message).as_ref().to_vec(),
            (Pair::Rsa(key), SignatureAlgorithm::RsaPkcs1(hash)) => {
                sign_pkcs1(key, hash, message).expect("a key long enough for the hash")
            }
            (Pair::Rsa(key), SignatureAlgorithm::RsaPss(Hash::Sha256)) => {
                let digest = sha2::Sha256::digest(message);
                let padding = rsa::Pss::new::<sha2::Sha256>();
                key.sign_with_rng(&mut rsa::rand_core::OsRng, padding, &digest).expect("a key long enough")
            }
            (_, algorithm) => panic!("test keys of this kind do not sign with {algorithm}"),
        }
    }
}

fn sign_pkcs1(key: &rsa::RsaPrivateKey, hash: Hash, message: &[u8]) -> rsa::Result<Vec<u8>> {
    use rsa::Pkcs1v15Sign;
    match hash {
        Hash::Md5 => {
            let prefix = crate::signature::MD5_DIGEST_INFO.into();
            let digest = <md5::Md5 as md5::Digest>::digest(message);
            key.sign(Pkcs1v15Sign { hash_len: Some(digest.len()), prefix }, &digest)
        }
        Hash::Sha1 => key.sign(Pkcs1v15Sign::new::<sha1::Sha1>(), &sha1::Sha1::digest(message)),
        Hash::Sha256 => key.sign(Pkcs1v15Sign::new::<sha2::Sha256>(), &sha2::Sha256::digest(message)),
        Hash::Sha384 => key.sign(Pkcs1v15Sign::new::<sha2::Sha384>(), &sha2::Sha384::digest(message)),
        Hash::Sha512 => key.sign(Pkcs1v15Sign::new::<sha2::Sha512>(), &sha2::Sha512::digest(message)),
    }
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    encode::sequence(&[&der(tag::SEQUENCE, algorithm), &encode::bit_string(key)])
}

impl fmt::Debug for TestKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TestKey({})", self.public)
    }
}

//! Private keys: made, kept as PKCS #8 (plain or encrypted), and used to sign.

mod encryption;
pub(crate) mod foreign;
pub(crate) mod token;
pub(crate) mod twin;

use std::fmt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use certs::{Curve, KeyAlgorithm};
use der::asn1::{Any, ObjectIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use crate::passphrase::Passphrase;
use crate::random::{RandomError, RandomSource};

pub use encryption::check_decryption_cost;
pub use token::{Token, TokenError};

/// What kind of key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum KeyType {
    /// RSA with 2048 bits: what every phone understands.
    #[value(name = "rsa2048")]
    Rsa2048,
    /// RSA with 3072 bits.
    #[value(name = "rsa3072")]
    Rsa3072,
    /// RSA with 4096 bits.
    #[value(name = "rsa4096")]
    Rsa4096,
    /// ECDSA on P-256: smaller and faster; old phones do not understand it.
    #[value(name = "p256")]
    P256,
}

impl KeyType {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::P256];

    /// What a public key of this kind says it is.
    pub(crate) fn algorithm(self) -> KeyAlgorithm {
        match self {
            Self::Rsa2048 => KeyAlgorithm::Rsa { bits: 2048 },
            Self::Rsa3072 => KeyAlgorithm::Rsa { bits: 3072 },
            Self::Rsa4096 => KeyAlgorithm::Rsa { bits: 4096 },
            Self::P256 => KeyAlgorithm::Ec { curve: Curve::P256 },
        }
    }

    /// The word the command line uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
            Self::P256 => "p256",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A private key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key is of another kind than the signature that is wanted.
    #[error("this private key makes no signatures of the kind {0}")]
    Algorithm(certs::SignatureAlgorithm),
    /// The encryption is of a kind we do not read.
    #[error("the private key is encrypted in a way that is not supported ({0})")]
    EncryptionUnsupported(String),
    /// The library could not make a key.
    #[error("key generation failed")]
    Generation,
    /// The text holds a public key only.
    #[error("this is a public key, the private key is needed")]
    PublicKeyOnly,
    /// The key is well-formed, but of a kind or size we do not use.
    #[error("the private key is damaged or of a kind that is not supported")]
    Rejected,
    /// The random generator failed.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A key could not be sealed to its recipient.
    #[error("the private key could not be sealed to its recipient")]
    Sealing,
    /// Signing failed.
    #[error("signing failed")]
    Signing,
    /// The key is in a token, which did not do what was asked.
    #[error(transparent)]
    Token(#[from] token::TokenError),
    /// Opening it would take more time or memory than any honest key needs.
    #[error("opening the private key would take {0}, which is refused")]
    TooCostly(String),
    /// The text holds no private key.
    #[error(
        "no private key found: a PEM block `PRIVATE KEY` or `ENCRYPTED PRIVATE KEY` is expected, found {found}"
    )]
    Unrecognised {
        /// What was found instead.
        found: String,
    },
    /// The key is encrypted and no passphrase was given.
    #[error("the private key is encrypted, a passphrase is needed")]
    WantsPassphrase,
    /// The passphrase does not open the key.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// The key is encrypted in the old way of OpenSSL, with `Proc-Type` lines.
    #[error("the private key is encrypted in OpenSSL's old format")]
    OldEncryption,
}

/// A private key that can sign.
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    // Keys of the last two kinds are not made here: they come with authorities that are imported.
    P521(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// Makes a new key. An RSA-2048 key takes about a tenth of a second, an RSA-4096 key about a second.
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        let size = match key_type {
            KeyType::Rsa2048 => KeySize::Rsa2048,
            KeyType::Rsa3072 => KeySize::Rsa3072,
            KeyType::Rsa4096 => KeySize::Rsa4096,
            KeyType::P256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                    .map_err(|_failed| KeyError::Generation)?;
                let document = pair.to_pkcs8v1().map_err(|_failed| KeyError::Generation)?;
                return Ok(Self {
                    pkcs8: Zeroizing::new(document.as_ref().to_vec()),
                    pair: Pair::P256(pair),
                });
            }
        };
        let pair = RsaKeyPair::generate(size).map_err(|_failed| KeyError::Generation)?;
        let document = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).map_err(|_failed| KeyError::Generation)?;
        Ok(Self { pkcs8: Zeroizing::new(document.as_ref().to_vec()), pair: Pair::Rsa(pair) })
    }

    /// Reads a plain PKCS #8 `PrivateKeyInfo` (RFC 5958).
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pkcs8 = Zeroizing::new(der.to_vec());
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Ok(Self { pkcs8, pair: Pair::Rsa(pair) });
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            return Ok(Self { pkcs8, pair: Pair::P256(pair) });
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, der) {
            return Ok(Self { pkcs8, pair: Pair::P384(pair) });
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA512_ASN1_SIGNING, der) {
            return Ok(Self { pkcs8, pair: Pair::P521(pair) });
        }
        Ed25519KeyPair::from_pkcs8(der)
            .map(|pair| Self { pkcs8, pair: Pair::Ed25519(pair) })
            .map_err(|_rejected| KeyError::Rejected)
    }

    /// Reads the first private key of a PEM text, in any of the usual wrappings.
    pub fn from_pem(text: &str, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let blocks = pem::parse_many(text)
            .map_err(|_not_pem| KeyError::Unrecognised { found: "no PEM".to_owned() })?;
        let mut found = Vec::new();
        for block in blocks {
            if block.headers().get("Proc-Type").is_some() {
                return Err(KeyError::OldEncryption);
            }
            let tag = block.tag().to_owned();
            let contents = Zeroizing::new(block.into_contents());
            match tag.as_str() {
                "PRIVATE KEY" => return Self::from_pkcs8(&contents),
                "ENCRYPTED PRIVATE KEY" => return Self::from_encrypted(&contents, passphrase),
                "RSA PRIVATE KEY" => return Self::from_pkcs1(&contents),
                "EC PRIVATE KEY" => return Self::from_sec1(&contents),
                _ => found.push(tag),
            }
        }
        if found.iter().any(|tag| tag == "PUBLIC KEY" || tag == "RSA PUBLIC KEY") {
            return Err(KeyError::PublicKeyOnly);
        }
        let found = if found.is_empty() { "no PEM".to_owned() } else { found.join(", ") };
        Err(KeyError::Unrecognised { found })
    }

    /// Reads a private key in DER: PKCS #8 plain or encrypted, PKCS #1 or SEC 1.
    pub fn from_der(der: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        Self::from_pkcs8(der)
            .or_else(|_not_pkcs8| Self::from_pkcs1(der))
            .or_else(|_not_pkcs1| Self::from_sec1(der))
            .or_else(|rejected| {
                if encryption::is_encrypted(der) {
                    Self::from_encrypted(der, passphrase)
                } else {
                    Err(rejected)
                }
            })
    }

    fn from_encrypted(der: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let passphrase = passphrase.ok_or(KeyError::WantsPassphrase)?;
        Self::from_pkcs8(&encryption::decrypt(der, passphrase)?)
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        let pair = RsaKeyPair::from_der(der).map_err(|_rejected| KeyError::Rejected)?;
        let document = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).map_err(|_failed| KeyError::Rejected)?;
        Ok(Self { pkcs8: Zeroizing::new(document.as_ref().to_vec()), pair: Pair::Rsa(pair) })
    }

    fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .or_else(|_other_curve| EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_ASN1_SIGNING, der))
            .or_else(|_other_curve| EcdsaKeyPair::from_private_key_der(&ECDSA_P521_SHA512_ASN1_SIGNING, der))
            .map_err(|_rejected| KeyError::Rejected)?;
        let document = pair.to_pkcs8v1().map_err(|_failed| KeyError::Rejected)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// The key as a plain PKCS #8 PEM block.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(armour("PRIVATE KEY", &self.pkcs8))
    }

    /// The key as an encrypted PKCS #8 PEM block: PBKDF2 with HMAC-SHA-256, AES-256-CBC, fresh salt and vector
    /// (CA A5). OpenSSL 1.0 and later read it.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &Passphrase,
        random: &dyn RandomSource,
    ) -> Result<String, KeyError> {
        let der = encryption::encrypt(&self.pkcs8, passphrase, random)?;
        Ok(armour("ENCRYPTED PRIVATE KEY", &der))
    }

    /// The public half as a DER `SubjectPublicKeyInfo`.
    pub fn public_key_der(&self) -> Vec<u8> {
        let der: Result<PublicKeyX509Der<'static>, _> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::P256(pair) | Pair::P384(pair) | Pair::P521(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
        };
        der.expect("a key pair that was made or read has a public half that encodes").as_ref().to_vec()
    }

    /// The signature algorithm this key signs with, as certificates name it.
    pub(crate) fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        match self.pair {
            Pair::Rsa(_) => {
                AlgorithmIdentifierOwned { oid: SHA256_WITH_RSA_ENCRYPTION, parameters: Some(Any::null()) }
            }
            Pair::P256(_) => AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
            Pair::P384(_) => AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA384, parameters: None },
            Pair::P521(_) => AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA512, parameters: None },
            Pair::Ed25519(_) => AlgorithmIdentifierOwned { oid: ED25519, parameters: None },
        }
    }

    /// Signs `message`; RSA signatures are PKCS #1 v1.5 and so always the same for the same bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_failed| KeyError::Signing)?;
                Ok(signature)
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair) | Pair::P384(pair) | Pair::P521(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_failed| KeyError::Signing),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(hidden)")
    }
}

/// Whether the PEM file at `path` holds an encrypted key, without opening it.
pub(crate) fn is_encrypted_file(path: &Path) -> std::io::Result<bool> {
    let text = Zeroizing::new(std::fs::read_to_string(path)?);
    Ok(text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----"))
}

/// PEM with `\n` line ends.
pub(crate) fn armour(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}

const SHA256_WITH_RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112"); // RFC 8410 §3

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OperatingSystem;

    fn key() -> PrivateKey {
        PrivateKey::generate(KeyType::P256).unwrap()
    }

    #[test]
    fn a5_the_same_key_encrypted_twice_gives_different_bytes() {
        let (key, passphrase) = (key(), Passphrase::new("correct horse"));
        let first = key.to_encrypted_pem(&passphrase, &OperatingSystem).unwrap();
        let second = key.to_encrypted_pem(&passphrase, &OperatingSystem).unwrap();
        assert_ne!(first, second);
        let read = PrivateKey::from_pem(&second, Some(&passphrase)).unwrap();
        assert_eq!(read.public_key_der(), key.public_key_der());
    }

    #[test]
    fn h3_wrong_missing_and_public_only_are_told_apart() {
        let key = key();
        let text = key.to_encrypted_pem(&Passphrase::new("correct horse"), &OperatingSystem).unwrap();
        let wrong = PrivateKey::from_pem(&text, Some(&Passphrase::new("battery staple")));
        assert!(matches!(wrong, Err(KeyError::WrongPassphrase)));
        assert!(matches!(PrivateKey::from_pem(&text, None), Err(KeyError::WantsPassphrase)));
        let public = armour("PUBLIC KEY", &key.public_key_der());
        assert!(matches!(PrivateKey::from_pem(&public, None), Err(KeyError::PublicKeyOnly)));
        assert!(PrivateKey::from_pem(&key.to_pem(), None).is_ok());
    }

    #[test]
    fn h2_a_key_does_not_print() {
        assert_eq!(format!("{:?}", key()), "PrivateKey(hidden)");
    }

    #[test]
    fn reads_its_own_rsa_key_back() {
        let key = PrivateKey::generate(KeyType::Rsa2048).unwrap();
        let read = PrivateKey::from_pem(&key.to_pem(), None).unwrap();
        assert_eq!(read.public_key_der(), key.public_key_der());
        assert_eq!(read.sign(b"x").unwrap(), key.sign(b"x").unwrap());
    }
}

//! The private key of an authority: a strong one in a production store, in a file or a token; any in a test store.

use std::sync::Arc;

use certs::Hash;
use zeroize::Zeroizing;

use crate::key::token::{KeyUri, TokenKey};
use crate::key::twin::{TwinKey, TwinKind, USUAL_EXPONENT};
use crate::key::{KeyError, KeyType, PrivateKey, Token};
use crate::legacy::{Legacy, SHORT_RSA};
use crate::passphrase::Passphrase;
use crate::random::RandomSource;
use crate::signer::{Signer, TwinSigner};

/// Whether strict rules hold in a store, or what is tolerated there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// Nothing weak is made.
    Production,
    /// What is made is marked, and may be weak.
    Test,
}

/// A private key of an authority.
#[derive(Clone)]
pub(super) enum AuthorityKey {
    Production(Arc<PrivateKey>),
    Test(Arc<TwinKey>),
    Token(Arc<TokenKey>),
}

/// How a key is kept in an authority's folder.
pub(super) enum Kept {
    /// The key itself, in `key.pem`.
    Pem(Zeroizing<String>),
    /// The name of a key in a token, in `key.uri`.
    Uri(String),
}

impl AuthorityKey {
    /// Makes a new key; `test` says how old the authority is made, if it is for tests.
    pub(super) fn generate(key_type: KeyType, test: Option<Legacy>) -> Result<Self, KeyError> {
        match test {
            None => PrivateKey::generate(key_type).map(Arc::new).map(Self::Production),
            Some(legacy) => {
                let short = TwinKind::Rsa { bits: SHORT_RSA, exponent: USUAL_EXPONENT };
                let kind = if legacy.rsa_1024 { short } else { key_type.into() };
                TwinKey::generate(kind).map(Arc::new).map(Self::Test)
            }
        }
    }

    /// Makes a new key in a token, called `object` there.
    pub(super) fn generate_in(
        token: &Token,
        object: &str,
        key_type: KeyType,
        pin: Option<&Passphrase>,
        random: &dyn RandomSource,
    ) -> Result<Self, KeyError> {
        let pin = pin.ok_or(KeyError::WantsPassphrase)?;
        TokenKey::generate(token, object, key_type, pin, random).map(Arc::new).map(Self::Token)
    }

    /// Puts a key that was made elsewhere into a token, called `object` there.
    pub(super) fn import_into(
        token: &Token,
        object: &str,
        key: &PrivateKey,
        pin: Option<&Passphrase>,
    ) -> Result<Self, KeyError> {
        let pin = pin.ok_or(KeyError::WantsPassphrase)?;
        TokenKey::import(token, object, key, pin).map(Arc::new).map(Self::Token)
    }

    /// Opens the key in a token that this text names.
    pub(super) fn from_uri(text: &str, pin: Option<&Passphrase>) -> Result<Self, KeyError> {
        TokenKey::open(KeyUri::parse(text)?, pin).map(Arc::new).map(Self::Token)
    }

    /// Reads the key of a store.
    pub(super) fn from_pem(
        text: &str,
        passphrase: Option<&Passphrase>,
        purpose: StoreKind,
    ) -> Result<Self, KeyError> {
        match purpose {
            StoreKind::Production => {
                PrivateKey::from_pem(text, passphrase).map(Arc::new).map(Self::Production)
            }
            StoreKind::Test => TwinKey::from_pem(text, passphrase).map(Arc::new).map(Self::Test),
        }
    }

    /// The public half as a DER `SubjectPublicKeyInfo`.
    pub(super) fn public_key_der(&self) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Production(key) => Ok(key.public_key_der()),
            Self::Test(key) => key.public_key_der(),
            Self::Token(key) => Ok(key.public_key_der().to_vec()),
        }
    }

    /// What is kept of the key: PEM, encrypted when there is a passphrase; of one in a token, its name.
    pub(super) fn kept(
        &self,
        passphrase: Option<&Passphrase>,
        random: &dyn RandomSource,
    ) -> Result<Kept, KeyError> {
        Ok(match (self, passphrase) {
            (Self::Production(key), None) => Kept::Pem(key.to_pem()),
            (Self::Production(key), Some(passphrase)) => {
                Kept::Pem(Zeroizing::new(key.to_encrypted_pem(passphrase, random)?))
            }
            (Self::Test(key), None) => Kept::Pem(key.to_pem()),
            (Self::Test(key), Some(passphrase)) => {
                Kept::Pem(Zeroizing::new(key.to_encrypted_pem(passphrase, random)?))
            }
            (Self::Token(key), _) => Kept::Uri(format!("{}\n", key.uri())),
        })
    }

    /// What signs lists and everything that is not made old.
    pub(super) fn signer(&self) -> Result<Arc<dyn Signer>, KeyError> {
        self.signer_for(Legacy::default())
    }

    /// What signs a certificate that is made as old as this.
    pub(super) fn signer_for(&self, legacy: Legacy) -> Result<Arc<dyn Signer>, KeyError> {
        match self {
            Self::Production(_) | Self::Token(_) if legacy.signs_weakly() => {
                let hash = legacy.hash();
                Err(KeyError::Algorithm(certs::SignatureAlgorithm::RsaPkcs1(hash)))
            }
            Self::Production(key) => {
                let key: Arc<dyn Signer> = Arc::<PrivateKey>::clone(key);
                Ok(key)
            }
            Self::Token(key) => {
                let key: Arc<dyn Signer> = Arc::<TokenKey>::clone(key);
                Ok(key)
            }
            Self::Test(key) => {
                // A key on a curve has one hash, whatever is asked for.
                let hash = if legacy.signs_weakly() { legacy.hash() } else { Hash::Sha256 };
                Ok(Arc::new(TwinSigner::new(Arc::clone(key), hash)?))
            }
        }
    }
}

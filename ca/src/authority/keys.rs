//! The private key of an authority: a strong one in a production store, any in a test store.

use std::sync::Arc;

use certs::Hash;
use zeroize::Zeroizing;

use crate::key::twin::{TwinKey, TwinKind, USUAL_EXPONENT};
use crate::key::{KeyError, KeyType, PrivateKey};
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
        }
    }

    /// The key as PEM, encrypted when there is a passphrase.
    pub(super) fn to_pem(
        &self,
        passphrase: Option<&Passphrase>,
        random: &dyn RandomSource,
    ) -> Result<Zeroizing<String>, KeyError> {
        match (self, passphrase) {
            (Self::Production(key), None) => Ok(key.to_pem()),
            (Self::Production(key), Some(passphrase)) => {
                key.to_encrypted_pem(passphrase, random).map(Zeroizing::new)
            }
            (Self::Test(key), None) => Ok(key.to_pem()),
            (Self::Test(key), Some(passphrase)) => {
                key.to_encrypted_pem(passphrase, random).map(Zeroizing::new)
            }
        }
    }

    /// What signs lists and everything that is not made old.
    pub(super) fn signer(&self) -> Result<Arc<dyn Signer>, KeyError> {
        self.signer_for(Legacy::default())
    }

    /// What signs a certificate that is made as old as this.
    pub(super) fn signer_for(&self, legacy: Legacy) -> Result<Arc<dyn Signer>, KeyError> {
        match self {
            Self::Production(_) if legacy.signs_weakly() => {
                let hash = legacy.hash();
                Err(KeyError::Algorithm(certs::SignatureAlgorithm::RsaPkcs1(hash)))
            }
            Self::Production(key) => {
                let key: Arc<dyn Signer> = Arc::<PrivateKey>::clone(key);
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

//! A host's certificates and keys, and which of them a client gets.

use std::sync::Arc;

use certs::Certificate;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};

/// The certificates a host can show, the one to prefer first: an ECDSA key beside an RSA one costs the server
/// a third of the work for the clients that take it.
#[derive(Debug)]
pub struct Credentials {
    keys: Vec<Arc<CertifiedKey>>,
}

impl Credentials {
    /// Takes the pairs of chain (leaf first) and key; that they belong together was checked on load. Only the
    /// `allowed` schemes are signed with.
    ///
    /// # Errors
    /// A key of a kind that TLS 1.2 and 1.3 cannot sign with.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a [Certificate], &'a PrivateKeyDer<'static>)>,
        allowed: &Arc<[SignatureScheme]>,
    ) -> Result<Self, rustls::Error> {
        let mut keys = Vec::new();
        for (chain, key) in pairs {
            let chain = chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
            let key = LimitedKey { key: any_supported_type(key)?, allowed: Arc::clone(allowed) };
            keys.push(Arc::new(CertifiedKey::new(chain, Arc::new(key))));
        }
        keys.sort_by_key(|pair| pair.key.algorithm() == SignatureAlgorithm::RSA);
        Ok(Self { keys })
    }

    /// The kinds of key at hand.
    pub fn algorithms(&self) -> impl Iterator<Item = SignatureAlgorithm> + '_ {
        self.keys.iter().map(|pair| pair.key.algorithm())
    }

    /// Whether one of the keys can sign with one of these schemes.
    pub fn can_sign(&self, offered: &[SignatureScheme]) -> bool {
        self.keys.iter().any(|pair| pair.key.choose_scheme(offered).is_some())
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.keys.iter().find(|pair| pair.key.choose_scheme(hello.signature_schemes()).is_some()).cloned()
    }
}

/// A key that signs only with the schemes of its TLS policy, whatever else a client offers.
#[derive(Debug)]
struct LimitedKey {
    key: Arc<dyn SigningKey>,
    allowed: Arc<[SignatureScheme]>,
}

impl SigningKey for LimitedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let both: Vec<SignatureScheme> =
            offered.iter().copied().filter(|scheme| self.allowed.contains(scheme)).collect();
        self.key.choose_scheme(&both)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

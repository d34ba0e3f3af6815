//! A host's certificates and keys, and which of them a client gets.

use std::sync::Arc;

use certs::Certificate;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates a host can show, the one to prefer first: an ECDSA key beside an RSA one costs the server
/// a third of the work for the clients that take it.
#[derive(Debug)]
pub struct Credentials {
    keys: Vec<Arc<CertifiedKey>>,
}

impl Credentials {
    /// Takes the pairs of chain (leaf first) and key; that they belong together was checked on load.
    ///
    /// # Errors
    /// A key of a kind that TLS 1.2 and 1.3 cannot sign with.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a [Certificate], &'a PrivateKeyDer<'static>)>,
    ) -> Result<Self, rustls::Error> {
        let mut keys = Vec::new();
        for (chain, key) in pairs {
            let chain = chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
            keys.push(Arc::new(CertifiedKey::new(chain, any_supported_type(key)?)));
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

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

/// A key that signs only with the schemes of its TLS policy, whatever else a client offers, and with the first of them that
/// both have: rustls by itself takes the longest hash, which is slower and makes an RSA signature no stronger.
#[derive(Debug)]
struct LimitedKey {
    key: Arc<dyn SigningKey>,
    allowed: Arc<[SignatureScheme]>,
}

impl SigningKey for LimitedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let mut both = self.allowed.iter().filter(|scheme| offered.contains(scheme));
        both.find_map(|scheme| self.key.choose_scheme(&[*scheme]))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[cfg(test)]
mod tests {
    use certs::testing::{KeyKind, Pki};
    use rustls_pki_types::PrivatePkcs8KeyDer;

    use super::*;

    #[test]
    fn the_first_scheme_of_the_policy_that_the_client_offers_is_signed_with() {
        use SignatureScheme as Scheme;
        let issued = Pki::new().server("phones.example.net").key(KeyKind::Rsa2048).issue();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(issued.key_der().to_vec()));
        let chosen = |allowed: &[Scheme], offered: &[Scheme]| {
            let key = LimitedKey { key: any_supported_type(&key).unwrap(), allowed: allowed.into() };
            key.choose_scheme(offered).map(|signer| signer.scheme())
        };
        let allowed = [Scheme::RSA_PSS_SHA256, Scheme::RSA_PSS_SHA512, Scheme::RSA_PKCS1_SHA256];
        let offered = [Scheme::RSA_PKCS1_SHA256, Scheme::RSA_PSS_SHA512, Scheme::RSA_PSS_SHA256];
        assert_eq!(chosen(&allowed, &offered), Some(Scheme::RSA_PSS_SHA256));
        assert_eq!(chosen(&allowed, &offered[..2]), Some(Scheme::RSA_PSS_SHA512));
        assert_eq!(chosen(&allowed, &offered[..1]), Some(Scheme::RSA_PKCS1_SHA256));
        assert_eq!(chosen(&allowed[..2], &offered[..1]), None, "what the policy does not have");
        assert_eq!(chosen(&allowed, &[Scheme::ECDSA_NISTP256_SHA256]), None, "what the key cannot do");
    }
}

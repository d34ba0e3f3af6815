//! TLS towards an `https://` backend: its own authorities, never the system's (SEC-26), and an optional client certificate.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Whom an `https://` backend must be certified by, and the certificate we show it.
#[derive(Clone, Debug)]
pub struct BackendTls(Arc<ClientConfig>);

impl BackendTls {
    /// Trusts `anchors` alone, for TLS 1.2 and 1.3; shows `client`'s chain (leaf first) where the backend asks.
    ///
    /// # Errors
    ///
    /// No anchor, an anchor that is no usable certificate, or a key that does not fit the chain.
    pub fn new(
        anchors: impl IntoIterator<Item = CertificateDer<'static>>,
        client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, BackendTlsError> {
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            roots.add(anchor).map_err(BackendTlsError::Anchor)?;
        }
        if roots.is_empty() {
            return Err(BackendTlsError::NoAnchor);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(BackendTlsError::Provider)?
            .with_root_certificates(roots);
        let config = match client {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(BackendTlsError::Client)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self(Arc::new(config)))
    }

    /// For whoever speaks TLS itself.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

/// Why TLS towards a backend cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BackendTlsError {
    /// A certificate of the CA file cannot be an anchor.
    #[error("a certificate of the backend's authorities is not usable")]
    Anchor(#[source] rustls::Error),
    /// The client certificate and key do not fit.
    #[error("the client certificate for the backend is not usable")]
    Client(#[source] rustls::Error),
    /// Without an anchor no backend would be believed.
    #[error("no certificate authority is given for the backend")]
    NoAnchor,
    /// The cryptography in this build lacks what TLS needs.
    #[error("the cryptography in this build has no TLS 1.2 and 1.3")]
    Provider(#[source] rustls::Error),
}

//! The phones' TLS stacks: rustls for those of today, OpenSSL at its weakest for the old.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use tokio_rustls::TlsConnector;

use crate::HOST;
use crate::call::Failure;
use crate::device::Age;
use crate::error::FleetError;

/// What phones trust, and how they compute.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    server_root: std::path::PathBuf,
}

/// A phone's TLS settings, with its certificate and key.
///
/// No session is kept from one call to the next: whether phones resume is not known, and without it the gateway has
/// the most to do.
#[derive(Clone)]
pub(crate) enum Stack {
    Modern(Arc<ClientConfig>),
    Old(SslContext),
}

/// An encrypted stream.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

impl Trust {
    /// Phones that trust this root to vouch for the provisioning server.
    pub(crate) fn new(server_root: &Path) -> Result<Self, FleetError> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(server_root).map_err(FleetError::pem(server_root))?;
        roots.add(root)?;
        Ok(Self {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            roots: Arc::new(roots),
            server_root: server_root.to_owned(),
        })
    }

    /// The stack of a phone whose `chain.pem` and `key.pem` lie in `folder`.
    pub(crate) fn stack(&self, age: Age, folder: &Path) -> Result<Stack, FleetError> {
        match age {
            Age::Modern => self.modern(folder),
            Age::Old => self.old(folder),
        }
    }

    /// A client of today without a certificate.
    pub(crate) fn stranger(&self) -> Result<Stack, FleetError> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Stack::Modern(Arc::new(config)))
    }

    fn modern(&self, folder: &Path) -> Result<Stack, FleetError> {
        let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(&chain).map_err(FleetError::pem(&chain))?.collect();
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(
                certificates.map_err(FleetError::pem(&chain))?,
                PrivateKeyDer::from_pem_file(&key).map_err(FleetError::pem(&key))?,
            )?;
        config.resumption = Resumption::disabled();
        Ok(Stack::Modern(Arc::new(config)))
    }

    fn old(&self, folder: &Path) -> Result<Stack, FleetError> {
        let mut context = SslContextBuilder::new(SslMethod::tls_client())?;
        context.set_security_level(0);
        context.set_min_proto_version(Some(SslVersion::TLS1))?;
        context.set_max_proto_version(Some(SslVersion::TLS1))?;
        context.set_cipher_list("AES128-SHA:@SECLEVEL=0")?;
        context.set_ca_file(&self.server_root)?;
        context.set_verify(SslVerifyMode::PEER);
        context.set_certificate_chain_file(folder.join("chain.pem"))?;
        context.set_private_key_file(folder.join("key.pem"), SslFiletype::PEM)?;
        Ok(Stack::Old(context.build()))
    }
}

impl Stack {
    /// Connects and does the handshake.
    pub(crate) async fn connect(&self, gateway: SocketAddr) -> Result<Box<dyn Wire>, Failure> {
        let tcp = TcpStream::connect(gateway).await.map_err(|error| of_io(&error))?;
        tcp.set_nodelay(true).map_err(|error| of_io(&error))?;
        match self {
            Self::Modern(config) => {
                let name = ServerName::try_from(HOST).map_err(|error| Failure::Tls(error.to_string()))?;
                let connected = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await;
                Ok(Box::new(connected.map_err(|error| of_io(&error))?))
            }
            Self::Old(context) => {
                let set_up = || {
                    let mut ssl = Ssl::new(context)?;
                    // The name is checked, though it is not sent.
                    ssl.param_mut().set_host(HOST)?;
                    SslStream::new(ssl, tcp)
                };
                let mut stream =
                    set_up().map_err(|error: openssl::error::ErrorStack| Failure::Tls(error.to_string()))?;
                Pin::new(&mut stream).connect().await.map_err(|error| of_openssl(&error))?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl Stack {
    /// The certificate the server shows to a phone of today, in DER.
    pub(crate) async fn shown_certificate(&self, gateway: SocketAddr) -> Option<Vec<u8>> {
        let Self::Modern(config) = self else { return None };
        let tcp = TcpStream::connect(gateway).await.ok()?;
        let name = ServerName::try_from(HOST).ok()?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.ok()?;
        let certificates = stream.get_ref().1.peer_certificates()?;
        certificates.first().map(|certificate| certificate.to_vec())
    }
}

/// What an error of a TLS stream means to the phone.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "std may add kinds; what is not named is told in its own words"
)]
pub(crate) fn of_io(error: &io::Error) -> Failure {
    let inner = error.get_ref();
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return match error {
            rustls::Error::AlertReceived(alert) => Failure::Alert(words_to_name(&format!("{alert:?}"))),
            _ => Failure::Tls(error.to_string()),
        };
    }
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<openssl::ssl::Error>()) {
        return of_openssl(error);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::ConnectionRefused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::Reset,
        io::ErrorKind::UnexpectedEof => Failure::Closed,
        _ => Failure::Network(error.to_string()),
    }
}

fn of_openssl(error: &openssl::ssl::Error) -> Failure {
    if let Some(error) = error.io_error() {
        return of_io(error);
    }
    let Some(stack) = error.ssl_error() else { return Failure::Closed };
    let reason = stack.errors().iter().find_map(openssl::error::Error::reason).unwrap_or_default();
    match reason.split_once("alert ") {
        Some((_, alert)) => Failure::Alert(alert.replace(' ', "_")),
        None if reason.contains("unexpected eof") => Failure::Closed,
        None => Failure::Tls(reason.to_owned()),
    }
}

/// An alert's name as RFC 8446 §6 writes it: rustls says `UnknownCA` and `CertificateRevoked`.
fn words_to_name(words: &str) -> String {
    let mut name = String::new();
    let mut after_lower = false;
    for letter in words.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            name.push('_');
        }
        after_lower = !letter.is_ascii_uppercase();
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_named_as_the_standard_names_them() {
        assert_eq!(words_to_name("UnknownCA"), "unknown_ca");
        assert_eq!(words_to_name("CertificateRevoked"), "certificate_revoked");
        assert_eq!(words_to_name("BadRecordMac"), "bad_record_mac");
    }
}

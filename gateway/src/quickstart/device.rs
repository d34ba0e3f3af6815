//! A phone, played: its certificate, its sessions, its requests.

use std::{error::Error, fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use certs::pem;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::QuickstartError;

/// Longer than anything here takes, so that a hang becomes a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// A phone with its sessions: what it fetches later may resume what it began.
#[derive(Debug, Clone)]
pub(super) struct Device {
    tls: Arc<ClientConfig>,
    gateway: SocketAddr,
}

/// What a phone got.
#[derive(Debug)]
pub(super) enum Fetched {
    /// An answer.
    Answer { status: StatusCode, body: String, resumed: bool },
    /// The handshake was refused: the alert, or what else ended it.
    Refused(String),
}

impl Device {
    /// A phone that trusts `server_root` and presents what lies in `folder`, if anything.
    pub(super) fn new(
        gateway: SocketAddr,
        server_root: &Path,
        folder: Option<&Path>,
    ) -> Result<Self, QuickstartError> {
        Self::speaking(gateway, server_root, folder, &[&TLS13, &TLS12])
    }

    /// The same over TLS 1.2 alone.
    pub(super) fn over_tls_1_2(
        gateway: SocketAddr,
        server_root: &Path,
        folder: Option<&Path>,
    ) -> Result<Self, QuickstartError> {
        Self::speaking(gateway, server_root, folder, &[&TLS12])
    }

    fn speaking(
        gateway: SocketAddr,
        server_root: &Path,
        folder: Option<&Path>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, QuickstartError> {
        let mut roots = RootCertStore::empty();
        for root in certificates(server_root)? {
            roots.add(root)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_root_certificates(roots);
        let mut tls = match folder {
            Some(folder) => builder.with_client_auth_cert(
                certificates(&folder.join("chain.pem"))?,
                key(&folder.join("key.pem"))?,
            )?,
            None => builder.with_no_client_auth(),
        };
        tls.resumption = Resumption::in_memory_sessions(16);
        Ok(Self { tls: Arc::new(tls), gateway })
    }

    /// Connects anew and fetches one path.
    pub(super) async fn fetch(&self, host: &'static str, path: &str, fields: &[(&str, &str)]) -> Fetched {
        match timeout(PATIENCE, self.try_fetch(host, path, fields)).await {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(error)) => Fetched::Refused(cause(&*error)),
            Err(_) => Fetched::Refused("no answer in time".to_owned()),
        }
    }

    async fn try_fetch(
        &self,
        host: &'static str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Fetched, Box<dyn Error + Send + Sync>> {
        let tcp = TcpStream::connect(self.gateway).await?;
        let name = ServerName::try_from(host)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::get(path).header(HOST, host);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new())?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            drop(sender);
            Ok::<_, hyper::Error>((status, body))
        };
        // In TLS 1.3 a refusal reaches the phone after its own half of the handshake: the connection ends with the alert.
        let (exchanged, ended) = tokio::join!(exchange, connection);
        match exchanged {
            Ok((status, body)) => {
                Ok(Fetched::Answer { status, body: String::from_utf8_lossy(&body).into_owned(), resumed })
            }
            Err(error) => Err(ended.err().unwrap_or(error).into()),
        }
    }
}

/// The TLS alert among an error's causes, or the error as it says itself.
fn cause(error: &(dyn Error + 'static)) -> String {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::AlertReceived(alert)) = error.downcast_ref() {
            return format!("{alert:?}");
        }
        // An I/O error gives the error inside it only when asked for by its own type.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(rustls::Error::AlertReceived(alert)) = inner.and_then(|inner| inner.downcast_ref()) {
            return format!("{alert:?}");
        }
        next = error.source();
    }
    error.to_string()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, QuickstartError> {
    let text = fs::read(path).map_err(QuickstartError::file(path))?;
    let found = pem::certificates(&text).map_err(|_| QuickstartError::Key(path.to_owned()))?;
    Ok(found.iter().map(|(certificate, _)| CertificateDer::from(certificate.der().to_vec())).collect())
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, QuickstartError> {
    let text = fs::read(path).map_err(QuickstartError::file(path))?;
    let blocks = pem::blocks(&text).map_err(|_| QuickstartError::Key(path.to_owned()))?;
    let block = blocks.into_iter().next().ok_or_else(|| QuickstartError::Key(path.to_owned()))?;
    Ok(PrivatePkcs8KeyDer::from(block.contents).into())
}

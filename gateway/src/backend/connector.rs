//! Opening connections to a backend.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderValue;
use http::uri::Authority;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::BackendTls;

/// How to reach a backend.
pub(super) struct Connector {
    route: Route,
    /// The Host field for a device that sent none (HTTP/1.0).
    pub(super) host: HeaderValue,
}

enum Route {
    Tcp(Address),
    Tls { address: Address, name: Option<ServerName<'static>>, connector: TlsConnector },
    Unix(PathBuf),
}

struct Address {
    host: String,
    port: u16,
}

impl Connector {
    pub(super) fn tcp(authority: &Authority) -> Self {
        Self { route: Route::Tcp(Address::new(authority, 80)), host: host_field(authority) }
    }

    pub(super) fn tls(authority: &Authority, tls: &BackendTls) -> Self {
        let address = Address::new(authority, 443);
        let name = ServerName::try_from(address.host.clone()).ok();
        let connector = TlsConnector::from(tls.config());
        Self { route: Route::Tls { address, name, connector }, host: host_field(authority) }
    }

    pub(super) fn unix(path: PathBuf) -> Self {
        Self { route: Route::Unix(path), host: HeaderValue::from_static("localhost") }
    }

    pub(super) async fn connect(&self) -> Result<Stream, ConnectError> {
        match &self.route {
            Route::Tcp(address) => Ok(Stream::Tcp(address.connect().await?)),
            Route::Tls { address, name, connector } => {
                let name = name.clone().ok_or(ConnectError::Name)?;
                let stream = address.connect().await?;
                let secured = connector.connect(name, stream).await.map_err(ConnectError::Tls)?;
                Ok(Stream::Tls(Box::new(secured)))
            }
            Route::Unix(path) => {
                UnixStream::connect(path).await.map(Stream::Unix).map_err(ConnectError::Unreachable)
            }
        }
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connector").field("host", &self.host).finish_non_exhaustive()
    }
}

fn host_field(authority: &Authority) -> HeaderValue {
    HeaderValue::from_str(authority.as_str()).unwrap_or_else(|_| HeaderValue::from_static("localhost"))
}

impl Address {
    fn new(authority: &Authority, default_port: u16) -> Self {
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: host.to_owned(), port: authority.port_u16().unwrap_or(default_port) }
    }

    async fn connect(&self) -> Result<TcpStream, ConnectError> {
        let stream =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(ConnectError::Unreachable)?;
        stream.set_nodelay(true).map_err(ConnectError::Unreachable)?;
        Ok(stream)
    }
}

/// Why no connection stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The configured host is no name a certificate can have.
    #[error("the backend's host is not a name a certificate can have")]
    Name,
    /// The TLS handshake failed.
    #[error("the TLS handshake with the backend failed")]
    Tls(#[source] io::Error),
    /// No address answered.
    #[error("the backend cannot be reached")]
    Unreachable(#[source] io::Error),
}

/// A connection to a backend.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

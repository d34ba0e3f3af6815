//! Phones of today: rustls.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use certs::KeyAlgorithm;
use rustls::client::Resumption as ClientResumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use super::{Credentials, Resumption, THREADS, Version, key_of};
use crate::request::Request;

/// TLS settings of every thread's phone: a TLS 1.3 ticket serves once, so two must not share a store.
pub(crate) struct Tls {
    configs: Vec<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(
        credentials: &Credentials,
        version: Version,
        resumption: Resumption,
    ) -> io::Result<Self> {
        let version = match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        };
        let mut configs = Vec::with_capacity(THREADS);
        for _ in 0..THREADS {
            let mut config = ClientConfig::builder_with_protocol_versions(&[version])
                .with_root_certificates(Arc::clone(&credentials.roots))
                .with_client_auth_cert(credentials.chain.clone(), credentials.key.clone_key())
                .map_err(io::Error::other)?;
            if matches!(resumption, Resumption::Never) {
                config.resumption = ClientResumption::disabled();
            }
            configs.push(Arc::new(config));
        }
        Ok(Self { configs })
    }

    /// Opens a connection; nothing is said yet.
    pub(super) fn connect(
        &self,
        thread: usize,
        socket: TcpStream,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let config =
            self.configs.get(thread).ok_or_else(|| io::Error::other("more threads than settings"))?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, socket))
    }

    /// One connection for one request.
    pub(super) fn handshake(
        &self,
        thread: usize,
        socket: TcpStream,
        request: &Request,
    ) -> io::Result<(HandshakeKind, KeyAlgorithm)> {
        let mut stream = self.connect(thread, socket)?;
        request.exchange(&mut stream)?;
        let kind = stream.conn.handshake_kind().ok_or_else(|| io::Error::other("no handshake"))?;
        let shown = stream.conn.peer_certificates().and_then(<[_]>::first);
        let shown = key_of(shown.ok_or_else(|| io::Error::other("no server certificate"))?)?;
        stream.conn.send_close_notify();
        let _ = stream.flush();
        Ok((kind, shown))
    }
}

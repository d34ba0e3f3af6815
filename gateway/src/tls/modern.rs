//! The modern engine: rustls over TLS 1.2 and 1.3.

use std::io;
use std::sync::Arc;

use policies::{CipherSuite, Group, TlsRules, TlsVersion};
use rustls::crypto::aws_lc_rs::{self, ALL_CIPHER_SUITES, ALL_KX_GROUPS};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::ServerConfig;
use rustls::{ProtocolVersion, SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::client_verifier::{ClientVerifier, with_verdict};
use super::credentials::Credentials;
use super::tickets::{Session, Tickets, with_session};
use crate::handshake::Corked;
use crate::peer::{Peer, Refusal};

/// rustls's suite of this number.
pub fn suite(wanted: CipherSuite) -> Option<SupportedCipherSuite> {
    ALL_CIPHER_SUITES.iter().copied().find(|known| u16::from(known.suite()) == wanted.0)
}

/// rustls's key exchange group of this number.
pub fn group(wanted: Group) -> Option<&'static dyn SupportedKxGroup> {
    ALL_KX_GROUPS.iter().copied().find(|known| u16::from(known.name()) == wanted.0)
}

/// The signature schemes of a TLS policy, for our signatures and for clients'.
pub fn signature_schemes(rules: &TlsRules) -> Arc<[SignatureScheme]> {
    rules.signature_algorithms().iter().map(|scheme| SignatureScheme::from(scheme.0)).collect()
}

/// What of a TLS policy this engine serves, in the policy's order.
pub fn provider(rules: &TlsRules) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: rules.suites().iter().copied().filter_map(suite).collect(),
        kx_groups: rules.groups().iter().copied().filter_map(group).collect(),
        ..aws_lc_rs::default_provider()
    }
}

/// The server configuration of one virtual host on one listener; `None` where the policy has no version and suite for
/// this engine.
///
/// # Errors
/// The policy leaves this engine no group.
pub fn server_config(
    rules: &TlsRules,
    credentials: Arc<Credentials>,
    verifier: Arc<ClientVerifier>,
    tickets: Arc<Tickets>,
) -> Result<Option<ServerConfig>, rustls::Error> {
    let has_suite = |version| rules.suites().iter().any(|suite| suite.is_modern() && suite.serves(version));
    let versions: Vec<&'static SupportedProtocolVersion> =
        [(TlsVersion(0x0304), &rustls::version::TLS13), (TlsVersion(0x0303), &rustls::version::TLS12)]
            .into_iter()
            .filter(|(version, _)| rules.versions().contains(version) && has_suite(*version))
            .map(|(_, known)| known)
            .collect();
    if versions.is_empty() {
        return Ok(None);
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider(rules)))
        .with_protocol_versions(&versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(credentials);
    config.ticketer = tickets;
    // The stateful store would hold a session per connection and lock on each; tickets hold all that is needed.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    config.ignore_client_order = true;
    // A client that names HTTP/1.0 alone would be refused for want of a common protocol (RFC 7301 §3.2).
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    Ok(Some(config))
}

/// What one handshake came to.
#[derive(Debug)]
pub struct Handshaken<S> {
    /// The stream, or the error with the socket, so that what the client still sends can be drained.
    pub outcome: Result<TlsStream<Corked<S>>, (io::Error, S)>,
    /// What was judged in it; `None` without a certificate and on resumption.
    pub verdict: Option<Result<Peer, Refusal>>,
    /// The session that was resumed.
    pub session: Option<Session>,
}

/// Runs the handshake. The caller bounds its time.
pub async fn handshake<S>(config: Arc<ServerConfig>, stream: S) -> Handshaken<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let accept = TlsAcceptor::from(config).accept(Corked::new(stream)).into_fallible();
    let ((outcome, session), verdict) = with_verdict(with_session(accept)).await;
    let outcome = match outcome {
        Ok(mut stream) => {
            let (corked, connection) = stream.get_mut();
            if connection.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
                // Only a ticket can be left, and no client waits for that.
                corked.hold_for_the_next_write();
                Ok(stream)
            } else {
                let opened = corked.open().await;
                match opened {
                    Ok(()) => Ok(stream),
                    Err(error) => Err((error, stream.into_inner().0.into_inner().await)),
                }
            }
        }
        Err((error, corked)) => Err((error, corked.into_inner().await)),
    };
    Handshaken { outcome, verdict, session }
}

//! Phones of ten years ago: OpenSSL held to one old version, one suite and no extension that they lack. rustls has
//! nothing to offer here.
//!
//! They do full handshakes only. Handing OpenSSL a session to resume is `unsafe` in its crate, and this program has no
//! other need of that.

use std::io;
use std::net::TcpStream;

use certs::KeyAlgorithm;
use openssl::pkey::PKey;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslStream, SslVerifyMode,
    SslVersion,
};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use rustls::HandshakeKind;

use super::{Credentials, LegacyVersion, key_of};
use crate::request::Request;

/// The one suite that is offered: the strongest that every phone of the maker's table has.
const SUITE: &str = "AES128-SHA";

/// TLS settings of all the phones.
pub(crate) struct Tls {
    context: SslContext,
    version: SslVersion,
}

impl Tls {
    pub(super) fn new(credentials: &Credentials, version: LegacyVersion) -> io::Result<Self> {
        let version = match version {
            LegacyVersion::Tls10 => SslVersion::TLS1,
            LegacyVersion::Tls12 => SslVersion::TLS1_2,
        };
        let mut context = SslContextBuilder::new(SslMethod::tls_client())?;
        context.set_security_level(0);
        context.set_min_proto_version(Some(version))?;
        context.set_max_proto_version(Some(version))?;
        context.set_cipher_list(SUITE)?;
        context.set_options(SslOptions::NO_TICKET | SslOptions::DONT_INSERT_EMPTY_FRAGMENTS);
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        let (leaf, others) =
            credentials.chain.split_first().ok_or_else(|| io::Error::other("no certificate"))?;
        context.set_certificate(&*X509::from_der(leaf)?)?;
        for other in others {
            context.add_extra_chain_cert(X509::from_der(other)?)?;
        }
        context.set_private_key(&*PKey::private_key_from_der(credentials.key.secret_der())?)?;
        let mut store = X509StoreBuilder::new()?;
        store.add_cert(X509::from_der(&credentials.server_root)?)?;
        context.set_cert_store(store.build());
        context.set_verify(SslVerifyMode::PEER);
        Ok(Self { context: context.build(), version })
    }

    /// One connection for one request.
    pub(super) fn handshake(
        &self,
        socket: TcpStream,
        request: &Request,
    ) -> io::Result<(HandshakeKind, KeyAlgorithm)> {
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_hostname("localhost")?;
        let mut stream: SslStream<TcpStream> =
            ssl.connect(socket).map_err(|error| io::Error::other(error.to_string()))?;
        request.exchange(&mut stream)?;
        let ssl = stream.ssl();
        let suite = ssl.current_cipher().map(|cipher| cipher.name());
        if ssl.version2() != Some(self.version) || suite != Some(SUITE) {
            return Err(io::Error::other(format!("{suite:?} of {} was agreed", ssl.version_str())));
        }
        let shown = ssl.peer_certificate().ok_or_else(|| io::Error::other("no server certificate"))?;
        let shown = key_of(&shown.to_der()?)?;
        let kind = if ssl.session_reused() { HandshakeKind::Resumed } else { HandshakeKind::Full };
        // The server may have closed first.
        let _ = stream.shutdown();
        Ok((kind, shown))
    }
}

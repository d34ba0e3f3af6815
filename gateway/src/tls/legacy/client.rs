//! OpenSSL as a client that takes whatever a server has: for `probe`, which plays old phones. It judges nobody: what the
//! server showed is for the caller to look at.

use std::io::{Read, Write};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    ErrorCode, HandshakeError, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslSession,
    SslStream, SslVerifyMode, SslVersion, cipher_name,
};
use openssl::x509::X509;
use policies::{CipherSuite, TlsVersion};

use super::{ffi, start};

/// A client's settings.
pub struct Client {
    context: SslContext,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client(..)")
    }
}

/// Why a connection came to nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// The server's alert, if one came (RFC 8446 §6).
    pub alert: Option<u8>,
    /// What OpenSSL says.
    pub text: String,
}

/// `SSL_OP_LEGACY_SERVER_CONNECT`: old servers know no secure renegotiation, and nobody renegotiates here.
const LEGACY_SERVER_CONNECT: u64 = 0x4;

/// What errors of received alerts are counted from in OpenSSL's numbers (sslerr.h: `SSL_AD_REASON_OFFSET`).
const ALERTS_FROM: i32 = 1000;

impl Client {
    /// A client of TLS 1.0 up to `highest` with these suites of before TLS 1.3, or with all that OpenSSL has. What it
    /// presents, if anything: its chain as DER, its own certificate first, and its key as DER.
    ///
    /// # Errors
    /// What OpenSSL says of the certificate, the key or the suites.
    pub fn new(
        highest: TlsVersion,
        suites: Option<&[CipherSuite]>,
        presented: Option<(&[Vec<u8>], &[u8])>,
    ) -> Result<Self, ErrorStack> {
        start()?;
        let mut context = SslContextBuilder::new(SslMethod::tls_client())?;
        context.set_security_level(0);
        context.set_verify(SslVerifyMode::NONE);
        context.set_options(SslOptions::from_bits_retain(LEGACY_SERVER_CONNECT));
        context.set_min_proto_version(Some(SslVersion::TLS1))?;
        context.set_max_proto_version(super::version(highest))?;
        match suites {
            Some(suites) => {
                let names: Vec<&str> = suites.iter().map(|suite| cipher_name(&suite.name())).collect();
                context.set_cipher_list(&names.join(":"))?;
            }
            None => context.set_cipher_list("ALL:COMPLEMENTOFDEFAULT:!aNULL:!eNULL")?,
        }
        if let Some((chain, key)) = presented {
            let (leaf, others) = chain.split_first().ok_or_else(ErrorStack::get)?;
            context.set_certificate(&*X509::from_der(leaf)?)?;
            for other in others {
                ffi::add_to_chain(&mut context, &X509::from_der(other)?)?;
            }
            context.set_private_key(&*PKey::private_key_from_der(key)?)?;
        }
        Ok(Self { context: context.build() })
    }

    /// Runs one handshake on a stream that blocks, with a session of an earlier one.
    ///
    /// # Errors
    /// The server refused, or went away.
    pub fn connect<S: Read + Write>(
        &self,
        stream: S,
        server_name: Option<&str>,
        session: Option<&SslSession>,
    ) -> Result<SslStream<S>, Broken> {
        let ssl = self
            .prepare(server_name, session)
            .map_err(|error| Broken { alert: None, text: error.to_string() })?;
        ssl.connect(stream).map_err(|error| match error {
            HandshakeError::SetupFailure(error) => Broken { alert: None, text: error.to_string() },
            HandshakeError::Failure(stopped) => broken(stopped.error()),
            HandshakeError::WouldBlock(_) => {
                Broken { alert: None, text: "the server does not answer in time".to_owned() }
            }
        })
    }

    fn prepare(&self, server_name: Option<&str>, session: Option<&SslSession>) -> Result<Ssl, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        if let Some(name) = server_name {
            ssl.set_hostname(name)?;
        }
        if let Some(session) = session {
            ffi::offer_session(&mut ssl, session)?;
        }
        Ok(ssl)
    }
}

/// What an error of OpenSSL says.
pub fn broken(error: &openssl::ssl::Error) -> Broken {
    let errors = error.ssl_error().map(|stack| stack.errors()).unwrap_or_default();
    let alert = errors
        .iter()
        .filter(|one| one.library() == Some("SSL routines"))
        .find_map(|one| u8::try_from(one.reason_code().checked_sub(ALERTS_FROM)?).ok());
    let text = match errors.iter().find_map(|one| one.reason()) {
        Some(reason) => reason.to_owned(),
        None if error.code() == ErrorCode::ZERO_RETURN || error.code() == ErrorCode::SYSCALL => {
            "the server closed the connection".to_owned()
        }
        None => error.to_string(),
    };
    Broken { alert, text }
}
